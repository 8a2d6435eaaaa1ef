"""A classifier whose probabilities a GHN can be trained on in place of labels: for the ablation of distillation.

    python benchmarks/teacher.py --data train.parquet --out teacher.safetensors [--epochs 8]

A ResNet-18 of timm, of a quarter of its width and with a stem for small images, starts from the embedded GHN and is
trained on what `benchmarks/ablations.py` trains on, at 16 x 16 pixels as there. Its logits for all training images, in
their order, go into the file; its accuracy on the images held out is printed.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import sys
import time
from pathlib import Path

import timm
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

import ghn_init
from ghn_init.allocator import keep_freed_memory
from ghn_init.comparison.optimisers import learning_rate_factor, make_optimiser
from ghn_init.deepnets.statistics import use_batch_statistics
from ghn_init.evaluation.accuracy import score
from ghn_init.evaluation.loop import train_steps
from ghn_init.images import AUGMENTS, Images, ImageSet, draw_batch, load_images, normalise

SIDE, BATCH, LR = 16, 128, 3e-3
HELD_OUT = 5000


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Taught(Images):
    """Images whose labels are probabilities.

    Attributes:
        probabilities: float32, (images, classes).
    """

    probabilities: Tensor = dataclasses.field(default_factory=lambda: torch.empty(0))

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self.pixels[indices], self.probabilities[indices]


def taught(images: Images, teacher: Path, temperature: float) -> Taught:
    """`images` with the probabilities of a teacher.

    Raises:
        ValueError: the teacher's logits are of other images.
    """
    with safe_open(teacher, "pt") as file:
        logits, of = file.get_tensor("logits"), (file.metadata() or {}).get("images")
    if of != images.fingerprint:
        raise ValueError(f"{teacher} has logits of other images ({of}) than these ({images.fingerprint})")
    own = {field.name: getattr(images, field.name) for field in dataclasses.fields(images)}
    return Taught(**own, probabilities=F.softmax(logits / temperature, dim=1))


def make_teacher() -> nn.Module:
    network = timm.create_model("resnet18", channels=(16, 32, 64, 128), num_classes=10)
    network.conv1, network.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    return use_batch_statistics(ghn_init.apply(network)).to(memory_format=torch.channels_last)


def fit(network: nn.Module, images: ImageSet, epochs: int) -> None:
    steps = epochs * len(images) // BATCH
    optimiser = make_optimiser(network, "adamw", LR, 0.05)
    factor = functools.partial(learning_rate_factor, steps=steps, warmup=0.2, schedule="cosine")
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    generator = torch.Generator().manual_seed(0)
    draw = functools.partial(draw_batch, images, BATCH, generator, size=SIDE, augment=AUGMENTS["standard"])
    train_steps(network, (draw() for _ in range(steps)), optimiser, schedule, clip=5.0, label_smoothing=0.05)


@torch.no_grad()
def logits_of(network: nn.Module, images: ImageSet) -> Tensor:
    found = []
    for batch in torch.arange(len(images)).split(500):
        x = normalise(images.take(batch)[0], SIDE, images.mean, images.std)
        found.append(network(x.contiguous(memory_format=torch.channels_last)))
    return torch.cat(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=8)
    arguments = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    train, held_out = load_images(arguments.data).split(HELD_OUT)
    network, started = make_teacher(), time.perf_counter()
    fit(network, train, arguments.epochs)
    logits = logits_of(network, train)
    save_file({"logits": logits}, arguments.out, {"images": train.fingerprint})
    seen = float((logits.argmax(dim=1) == train.labels).float().mean())
    unseen = score(network, held_out, batch_size=500, size=SIDE).top1
    seconds = time.perf_counter() - started
    sys.stdout.write(f"trained on {seen:.1%}, held out {unseen:.1%}, {seconds:.0f} s\n")


if __name__ == "__main__":
    main()
