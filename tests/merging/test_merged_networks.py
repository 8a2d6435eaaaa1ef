import pytest
import timm
import torch
import torchvision
from repeated_weights import outcome, repeated, repeating
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from ghn_init.deepnets import Classic, sample
from ghn_init.deepnets.statistics import use_batch_statistics
from ghn_init.errors import MergingError
from ghn_init.hypernet.tiling import alike
from ghn_init.merging import Merged, merged_call

PERIOD = 8


def deepnets(split, index, width):
    architecture = sample(split, index).with_width(width)
    return architecture.build(10, 32), 32


def classic(block):
    return Classic(block, (1, 2, 1), 24).build(10, 16), 16


def zoo(name):
    if "." in name:
        return use_batch_statistics(timm.create_model(name.split(".")[1], num_classes=10)).eval(), 64
    return use_batch_statistics(torchvision.models.get_model(name, num_classes=10)).eval(), 64


NETWORKS = {
    **{f"train {index}": (deepnets, "train", index, (16, 24, 40, 48)[index % 4]) for index in range(12)},
    **{f"{split} 0": (deepnets, split, 0, 24) for split in ("dense", "bnfree", "deep")},
    **{block: (classic, block) for block in ("plain", "basic", "bottleneck")},
    **{name: (zoo, name) for name in ("resnet18", "mobilenet_v3_small", "densenet121", "timm.convmixer_768_32")},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_results_and_gradients_are_those_of_the_whole_network(name):
    make, *arguments = NETWORKS[name]
    network, side = make(*arguments)
    values, periods = repeating(network, PERIOD)
    x = torch.randn(3, 3, side, side, dtype=torch.float64)
    expected, whole_gradients = outcome(network, values, x)
    found, gradients = outcome(network, values, x, periods)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)
    size = max(gradient.abs().max() for gradient in whole_gradients.values())
    for parameter, gradient in whole_gradients.items():
        mine, theirs = (alike(one, periods[parameter]) for one in (gradients[parameter], gradient))
        torch.testing.assert_close(mine / size, theirs / size, rtol=1e-5, atol=1e-7, msg=parameter)


@pytest.mark.parametrize("block", ["plain", "basic", "bottleneck"])
def test_a_network_of_repeated_channels_takes_the_arithmetic_of_the_narrow_one(block):
    wide, narrow = (Classic(block, (2, 2), width) for width in (64, 16))
    flops = []
    for architecture, period in ((narrow, None), (wide, 16), (wide, None)):
        network = architecture.build(10)
        values, periods = repeating(network, period or 10**6)
        with FlopCounterMode(display=False) as counter:
            outcome(network, values, torch.randn(2, 3, 16, 16, dtype=torch.float64), periods if period else None)
        flops.append(counter.get_total_flops())
    # stages of the wide network have 16 channels left, all of them; the narrow one's grow
    assert flops[1] < flops[0] < flops[2] / 8


class Odd(nn.Module):
    """Reads shapes, looks up single channels, and does what has no rule."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 24, 3, bias=True)
        self.grouped = nn.Conv2d(24, 48, 1, groups=4)
        self.scale = nn.Parameter(torch.ones(48, 1, 1))
        self.fc = nn.Linear(48, 5)

    def forward(self, x):
        x = self.conv(x)
        n, channels, height, width = x.shape
        assert (channels, x.size(1), x.dim(), x.numel()) == (24, 24, 4, n * channels * height * width)
        assert x.size() == (n, 24, height, width)
        x = x + x.flip(1) + 2 * x[:, :1] + 1 / (1 + x.square())
        x = self.grouped(x.view(n, 2, 12, height, width).transpose(1, 2).reshape(n, channels, height, width))
        x = F.pad(x * self.scale, (1, 1, 1, 1), mode="reflect").softmax(dim=1)
        x = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(-1, -2))], dim=0)
        return self.fc(x)


def test_what_has_no_rule_gets_whole_tensors():
    network = Odd()
    values, periods = repeating(network, 6)
    x = torch.randn(2, 3, 7, 7, dtype=torch.float64)
    torch.testing.assert_close(outcome(network, values, x, periods)[0], outcome(network, values, x)[0])


def test_weights_of_unknown_periods_make_no_channels_equal():
    network = Odd()
    values, periods = repeating(network, 6)
    values["conv.weight"] = torch.randn_like(values["conv.weight"])
    del periods["conv.weight"]
    x = torch.randn(2, 3, 7, 7, dtype=torch.float64)
    torch.testing.assert_close(outcome(network, values, x, periods)[0], outcome(network, values, x)[0])


class InPlace(nn.Module):
    def __init__(self, change):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 1)
        self.fc = nn.Linear(8, 2)
        self.change = change

    def forward(self, x):
        x = self.conv(x)
        self.change(x)
        return self.fc(x.mean(dim=(2, 3)))


def _set(x):
    x[:, 0] = 0


@pytest.mark.parametrize(
    "change", [_set, lambda x: x.add_(x.flip(1)), lambda x: x.cumsum_(1), lambda x: x.__imul__(torch.rand(8, 1, 1))]
)
def test_changes_in_place_that_need_all_channels_are_refused(change):
    network = InPlace(change)
    values, periods = repeating(network, 4)
    with pytest.raises(MergingError, match="in place"):
        outcome(network, values, torch.randn(2, 3, 4, 4, dtype=torch.float64), periods)


@pytest.mark.parametrize(
    "change", [lambda x: x.relu_(), lambda x: x.mul_(2.0), lambda x: x.add_(x), lambda x: torch.zeros_like(x).add_(x)]
)
def test_other_changes_in_place_are_made(change):
    network = InPlace(change)
    values, periods = repeating(network, 4)
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(outcome(network, values, x, periods)[0], outcome(network, values, x)[0])


def test_dropout_in_training_draws_for_every_channel():
    network = nn.Sequential(nn.Conv2d(1, 64, 1, bias=False), nn.Dropout(0.5)).train()
    weight = repeated(64, 4, 0, torch.ones(4, 1, 1, 1))
    with Merged([(network[0].weight, (4, 1))]):
        network[0].weight.data.copy_(weight)
        dropped = network(torch.ones(1, 1, 1, 1)).flatten()
    assert len({tuple(dropped[i::4].tolist()) for i in range(4)}) == 4


class Viewed(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 24, 3, padding=1), nn.Linear(24 * 16, 5)

    def forward(self, x):
        x = self.conv(x)
        return self.fc(x.view(len(x), -1))


def test_tensors_made_whole_lie_in_memory_as_they_would():
    network = Viewed()
    values, periods = repeating(network, 6)
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(outcome(network, values, x, periods)[0], outcome(network, values, x)[0])


class Picky(nn.Module):
    """Looks at what a tensor keeps, behind torch's back."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 24, 1), nn.Linear(24, 5)

    def forward(self, x):
        x = self.conv(x)
        with torch._C.DisableTorchFunction():
            if x.shape[1] != 24 or len(x) > 2:
                raise ValueError(f"{x.shape[1]} channels, {len(x)} images")
        return self.fc(x.mean(dim=(2, 3)))


@pytest.mark.parametrize("network", [InPlace(lambda x: x.cumsum_(1)), Picky()])
def test_networks_that_cannot_be_merged_are_run_whole(network):
    values, periods = repeating(network, 4)
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    assert torch.equal(merged_call(network, values, x, periods), functional_call(network, values, (x,)))
    assert not periods


def test_what_is_wrong_with_a_network_itself_is_told():
    network = Picky()
    values, periods = repeating(network, 4)
    with pytest.raises(ValueError, match="24 channels, 3 images"):
        merged_call(network, values, torch.randn(3, 3, 4, 4, dtype=torch.float64), periods)


def _chunks(y):
    first, second = y.chunk(2, dim=1)
    first.mul_(3)
    return second


def _seen(y):
    seen = y.view(len(y), y.shape[1], -1)
    F.relu(y, inplace=True)
    return seen.mean(dim=2)[..., None, None]


def _out(y):
    torch.exp(y, out=y)


SHARED_MEMORY = {
    "chunk": _chunks,
    "slice": lambda y: y[:, :5].mul_(3),
    "permute": lambda y: y.permute(0, 2, 3, 1).add_(torch.arange(24.0)),
    "view of a view": lambda y: y.view(len(y), -1)[:, 7:].relu_(),
    "detach": lambda y: y.detach().mul_(2),
    "data": lambda y: y.data.mul_(2),
    "view before": _seen,
    "celu": lambda y: F.celu(y, inplace=True),
    "selu": nn.SELU(inplace=True),
    "dropout": lambda y: F.dropout(y, 1.0, True, True),
    "out": _out,
    "foreach": lambda y: torch._foreach_mul_([y], 2.0),
}


class ReadAfter(nn.Module):
    def __init__(self, change):
        super().__init__()
        self.conv, self.fc, self.change = nn.Conv2d(3, 24, 1), nn.Linear(24, 5), change

    def forward(self, x):
        y = self.conv(x)
        other = self.change(y)
        size = other.shape[1] if isinstance(other, torch.Tensor) and other.dim() == 4 else 0
        z = y.mean(dim=(2, 3))
        return self.fc(z + other.mean(dim=(2, 3))) if size == 24 else self.fc(z)


@pytest.mark.parametrize("name", SHARED_MEMORY)
def test_changes_in_place_are_seen_by_all_that_share_the_memory(name):
    network = ReadAfter(SHARED_MEMORY[name])
    values, periods = repeating(network, 6)
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(merged_call(network, values, x, periods), functional_call(network, values, (x,)))


class Joined(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 12, 1), nn.Conv2d(3, 20, 1)

    def forward(self, x):
        return torch.cat([self.b(x), self.a(x)], 1).mean((2, 3))


def test_results_may_be_merged_in_several_runs():
    network = Joined()
    values, periods = repeating(network, 6)
    x, periods = torch.randn(2, 3, 4, 4, dtype=torch.float64), dict.fromkeys(values, (6, 3))
    values = {name: repeated(len(value), 6, 0, value) for name, value in values.items()}
    found = merged_call(network, values, x, periods)
    assert periods
    torch.testing.assert_close(found, functional_call(network, values, (x,)))


def test_pools_over_channels_get_them_all():
    network = nn.Sequential(nn.Conv2d(3, 24, (4, 1)), nn.Flatten(2), nn.AdaptiveAvgPool2d((12, 1)), nn.Flatten())
    values, periods = repeating(nn.Sequential(network[0], nn.Linear(1, 1)), 6)
    values = {name: value for name, value in values.items() if name.startswith("0")}
    periods = {name: periods[name] for name in values}
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(outcome(network, values, x, periods)[0], outcome(network, values, x)[0])
