"""Networks that take no time, by name for rankings, here and in other processes."""

import torch
from torch import nn

from ghn_init.evaluation import NamedNetwork


class Small(nn.Module):
    """Its logits are normalised over the batch, so that random weights find more than one class."""

    def __init__(self, num_classes=2, width=8, depth=1):
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(depth - 1))
        self.fc = nn.Linear(width, num_classes)
        self.norm = nn.BatchNorm1d(num_classes)

    def forward(self, x):
        x = torch.relu(self.first(x))
        for conv in self.convs:
            x = torch.relu(conv(x))
        return self.norm(self.fc(x.mean((2, 3))))


def small(num_classes=2, width=8, depth=1):
    return Small(num_classes, width, depth)


class Normed(nn.Module):
    """With running statistics, a buffer, and a parameter that nothing predicts."""

    def __init__(self, num_classes=2):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, num_classes)
        self.scale = nn.Parameter(torch.rand(2) + 0.5)
        self.register_buffer("two", torch.tensor(2.0))

    def forward(self, x):
        return self.fc(torch.relu(self.norm(self.conv(x))).mean((2, 3))) * self.scale * self.two


def normed(num_classes=2):
    return Normed(num_classes)


class Broken(Small):
    def forward(self, x):
        return super().forward(x.flatten(1)[:, :5, None, None])


def broken(num_classes=2):
    return Broken(num_classes)


def unbuildable(num_classes=2):
    raise LookupError("no such thing")


def many_outputs(num_classes=2):
    return Small(num_classes + 3)


def infinite(num_classes=2):
    network = Small(num_classes)
    network.gain = float("inf")
    network.register_forward_hook(lambda module, inputs, output: output * module.gain)
    return network


def generated(index):
    """Of width 8, 16, 24, 32, 40, 8, ... and depth 1, 2, 1, ..."""
    return Small(2, 8 * (1 + index % 5), 1 + index % 2)


def random_generated(index):
    """Draws torch's random numbers, as many generators do."""
    return Small(2, 8 * int(torch.randint(1, 5, ())), int(torch.randint(1, 4, ())))


def subjects(index):
    return NamedNetwork("ranked_networks:small", (("width", 8 * (index + 1)),))


def sometimes(index):
    return Broken(2) if index == 1 else Small(2, 8 * (index + 1))


def nothing(index):
    return "network"
