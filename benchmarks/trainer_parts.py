"""What single parts of the trainer save on CPU: each with and without, one core, the best of some repetitions.

    python benchmarks/trainer_parts.py                   # prints the table of trainer_speed.md

Operations are timed forward and backward, on channels-last images. "memory kept" is a step of the first networks of a
split in a process of its own each, since a process that keeps freed memory does not stop doing so.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from ghn_init.allocator import keep_freed_memory
from ghn_init.cpu import fast_on_cpu
from ghn_init.deepnets import sample, timm_architecture
from ghn_init.graph.skip_init import skip_init
from ghn_init.hypernet import GHN, GHNConfig
from ghn_init.training.entries import make_entry
from ghn_init.training.network_step import network_step

CPU = torch.device("cpu")
REPEATS = 7
#: Batches of images and layers: what the table calls it, (n, channels, side), the layer's arguments.
LAYERS: dict[str, tuple[tuple[int, int, int], dict[str, int]]] = {
    "1x1, 24 channels, 32 images of 8 x 8": ((32, 24, 8), {"kernel_size": 1}),
    "1x1 with stride 2, 16 channels, 32 of 16 x 16": ((32, 16, 16), {"kernel_size": 1, "stride": 2}),
    "depthwise 7x7, 256 channels, 64 of 1 x 1": ((64, 256, 1), {"kernel_size": 7, "padding": 3, "groups": 256}),
    "depthwise 5x5, 64 channels, 64 of 32 x 32": ((64, 64, 32), {"kernel_size": 5, "padding": 2, "groups": 64}),
    "depthwise 7x7, 64 channels, 64 of 32 x 32": ((64, 64, 32), {"kernel_size": 7, "padding": 3, "groups": 64}),
    "depthwise 3x3 with dilation 2, 64 channels, 64 of 32 x 32": (
        (64, 64, 32),
        {"kernel_size": 3, "padding": 2, "dilation": 2, "groups": 64},
    ),
    "depthwise 5x5 with dilation and stride 2, 64 channels, 64 of 32 x 32": (
        (64, 64, 32),
        {"kernel_size": 5, "padding": 4, "dilation": 2, "stride": 2, "groups": 64},
    ),
}
NETWORKS = {"train": 8, "test": 3}


def best(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Milliseconds, after a first time that does not count."""
    found = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        work()
        found.append(1000 * (time.perf_counter() - started))
    return min(found[1:])


def both(network: nn.Module, x: Tensor) -> tuple[float, float]:
    """Without and with `fast_on_cpu`."""
    return best(functools.partial(there_and_back, network, x)), best(functools.partial(faster, network, x))


def layers() -> Iterator[tuple[str, float, float]]:
    for name, ((count, channels, side), options) in LAYERS.items():
        layer = nn.Conv2d(channels, channels, bias=False, **options)  # type: ignore[arg-type]
        x = torch.randn(count, channels, side, side).to(memory_format=torch.channels_last).requires_grad_()
        yield f"convolution {name}", *both(layer, x)


class Joined(nn.Module):
    """Two batch norms and what joins them, as cells end: the gradients of the norms are slices."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels, track_running_stats=False) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([norm(x) for norm in self.norms], dim=1)


def joined() -> Iterator[tuple[str, float, float]]:
    network, x = Joined(64), torch.randn(64, 64, 32, 32).to(memory_format=torch.channels_last).requires_grad_()
    yield "two batch norms and a concatenation, 64 channels, 64 of 32 x 32", *both(network, x)


def there_and_back(network: nn.Module, x: Tensor) -> None:
    output = network(x)
    torch.autograd.grad(output, [x, *network.parameters()], torch.ones_like(output))


def faster(network: nn.Module, x: Tensor) -> None:
    with fast_on_cpu(CPU):
        there_and_back(network, x)


def making() -> Iterator[tuple[str, float, float]]:
    models = [timm_architecture(index) for index in range(12)]

    def make(context: Callable[[], contextlib.AbstractContextManager[object]]) -> None:
        for model in models:
            with torch.device("meta"), context():
                model.build(10, 32)

    plain, fast = (best(functools.partial(make, context), 3) for context in (contextlib.nullcontext, skip_init))
    yield "making one of timm's models without values", plain / len(models), fast / len(models)


def step_time(split: str, keep: bool) -> float:
    """Milliseconds for the first networks of a split, 64 images of 32 x 32."""
    if keep:
        keep_freed_memory()
    torch.manual_seed(0)
    ghn = GHN(GHNConfig(hid=32, layers=1, max_shape=(64, 64, 11, 11), num_classes=10)).eval()
    entries = [make_entry(sample(split, index), 32, config=ghn.config) for index in range(NETWORKS[split])]
    with torch.no_grad():
        predicted = ghn([entry.graph for entry in entries])
    images, labels = torch.randn(64, 3, 32, 32), torch.randint(10, (64,))

    def step() -> None:
        for entry, values in zip(entries, predicted, strict=True):
            network_step(entry, values, images, labels, clip=1.0)

    return best(step, 2)


def memory() -> Iterator[tuple[str, float, float]]:
    for split, count in NETWORKS.items():
        times = []
        for keep in ("no", "yes"):
            command = [sys.executable, __file__, "--step", split, "--keep", keep]
            times.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        yield f"step of {count} networks of the {split} split, memory kept", times[0], times[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", choices=NETWORKS, help=argparse.SUPPRESS)
    parser.add_argument("--keep", choices=("no", "yes"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.step:
        sys.stdout.write(str(step_time(arguments.step, arguments.keep == "yes")))
        return
    sys.stdout.write("| part | without, ms | with, ms |\n| --- | --- | --- |\n")
    for name, without, now in rows():
        sys.stdout.write(f"| {name} | {without:,.2f} | {now:,.2f} |\n")
        sys.stdout.flush()


def rows() -> Iterator[tuple[str, float, float]]:
    yield from memory()
    keep_freed_memory()
    for part in (layers, joined, making):
        yield from part()


if __name__ == "__main__":
    main()
