"""Networks that take no time, by name for `NamedNetwork`, here and in other processes."""

import os
import time

import torch
from torch import nn


class Tiny(nn.Module):
    def __init__(self, num_classes, width=8, norm=True):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width) if norm else nn.Identity()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.fc(self.pool(torch.relu(self.norm(self.conv(x)))).flatten(1))


def tiny(num_classes=2, width=8):
    return Tiny(num_classes, width)


def without_norm(num_classes=2):
    """Its mean colour reaches the classifier; batch norm would take it away."""
    return Tiny(num_classes, norm=False)


class WithBuffer(Tiny):
    """A buffer and a parameter that nothing predicts."""

    def __init__(self, num_classes):
        super().__init__(num_classes)
        self.register_buffer("two", torch.tensor(2.0))
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return super().forward(x) * self.two * self.scale


def with_buffer(num_classes=2):
    return WithBuffer(num_classes)


class NotFinite(Tiny):
    """Finite, and right, for bright images only."""

    def forward(self, x):
        bright = (x.mean((1, 2, 3)) > 0)[:, None]
        return torch.log(super().forward(x) * 0 + bright) + bright * torch.tensor([0.0, 1.0])


def not_finite(num_classes=2):
    return NotFinite(num_classes)


class Greedy(Tiny):
    """Asks for a petabyte."""

    def forward(self, x):
        return super().forward(x) + torch.empty(2**48).mean()


def greedy(num_classes=2):
    return Greedy(num_classes)


class Wrong(Tiny):
    def forward(self, x):
        return super().forward(x.flatten(1)[:, :5, None, None])


def wrong(num_classes=2):
    return Wrong(num_classes)


def deadly(num_classes=2):
    os._exit(3)


def slow(num_classes=2, index=0):
    time.sleep(0.4)
    return Tiny(num_classes)
