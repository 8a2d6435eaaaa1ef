"""Does a GHN know networks, or patterns of networks? Families of timm as a pattern, varied, and timm's own models.

    python benchmarks/structure.py --ghn GHN --data test.parquet --out runs/structure [--json NAME] [--kind KIND]

For each of `ghn_init.deepnets.timm_families.FAMILIES`: models that follow the family's pattern at other widths and
depths, all that legs 6 to 15 of the default were trained on; models varied in further ways, unseen ones; and timm's
own as they are, at their own widths and depths. Predicted weights, no training, CIFAR-10's test images, statistics of
the batch. With `--json NAME` the means go into `benchmarks/structure.json`, from which `structure.md` is made, three
columns for each name.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

import torch
from paired import predicted_rows
from rich.console import Console
from torch import nn

from ghn_init.atomic import write_text_atomically
from ghn_init.checkpoints import load
from ghn_init.deepnets import TimmArchitecture, timm_architecture
from ghn_init.deepnets.timm_classes import CLASSES
from ghn_init.deepnets.timm_families import FAMILIES
from ghn_init.evaluation import Result, Setup, Subject, evaluate_networks, named_networks
from ghn_init.evaluation.normalisation import as_trained
from ghn_init.evaluation.subjects import Skeleton
from ghn_init.images import EVALUATION, load_images

HERE = Path(__file__).parent
TABLE = HERE / "structure.json"
PAGE = HERE / "structure.md"
KINDS = ("pattern", "varied", "timm's own")
SEED = 1  # other models than training draws
EACH, IMAGES = 4, 512
#: Models of timm for the families whose own come through their classes.
OWN = {
    "mobilenetv2": ("mobilenetv2_050", "mobilenetv2_100"),
    "mobilenetv3": ("mobilenetv3_small_050", "mobilenetv3_large_100"),
    "efficientnet": ("efficientnet_b0", "efficientnet_lite0", "tf_efficientnetv2_b0"),
    "lcnet": ("lcnet_050", "lcnet_100"),
    "vgg": ("vgg11", "vgg11_bn", "vgg16_bn"),
    "repvgg": ("repvgg_a0", "repvgg_b0"),
    "mobileone": ("mobileone_s0", "mobileone_s1"),
    "hgnet": ("hgnet_tiny", "hgnetv2_b0"),
    "ghostnet": ("ghostnet_100", "ghostnetv2_100"),
    "mixer": ("mixer_s16_224", "resmlp_12_224", "gmlp_s16_224"),
    "metaformer": ("poolformer_s12", "poolformerv2_s12", "convformer_s18", "caformer_s18"),
    "convmixer": ("convmixer_768_32", "convmixer_1024_20_ks9_p14"),
}
HEAD = """# Networks, or patterns of networks?

Accuracy in % that predicted weights have on CIFAR-10's test images without training (512 images a model, statistics
of the batch, ± the standard error of the mean), `python benchmarks/structure.py`. Of each family of timm that the
default GHN is trained on: models that follow the family's pattern at other widths and depths; models varied in
further ways (stems, patches, channels and number of stages, expansions, kernels, strides, activations, squeeze and
excitation, norms of queries: `variants` in `ghn_init/deepnets/timm_families.py`), none of which was trained on; the
family's models in timm's registry as they are, at their own widths and depths and with stems for large images.
"""


@dataclasses.dataclass(frozen=True)
class Model:
    """A model of a family as a subject of the evaluation."""

    kind: str
    family: str
    place: int

    @property
    def name(self) -> str:
        """What results call it."""
        return f"{self.column}/{self.place}"

    @property
    def column(self) -> str:
        """Family and kind."""
        return f"{self.kind}:{self.family}"

    def skeleton(self, num_classes: int, image_size: int) -> Skeleton:
        """The network without memory, and its graph."""
        with torch.device("meta"):
            network = self.build(num_classes, image_size)
        return Skeleton(network, self._architecture.graph(num_classes, image_size))

    def build(self, num_classes: int, image_size: int) -> nn.Module:
        """The network with its own random weights."""
        return self._architecture.build(num_classes, image_size)

    @functools.cached_property
    def _architecture(self) -> TimmArchitecture:
        drawn = (one for one in (timm_architecture(i, SEED) for i in itertools.count()) if one.family == self.family)
        found = next(itertools.islice(drawn, self.place, None))
        return found if self.kind == "varied" else dataclasses.replace(found, variant=())


def subjects(kinds: Sequence[str]) -> list[tuple[str, str, Subject]]:
    """All models of some kinds, with kind and family."""
    found: list[tuple[str, str, Subject]] = []
    for name, family in FAMILIES.items():
        for kind in KINDS[:2]:
            found += [(kind, name, Model(kind, name, place)) for place in range(EACH)]
        own = OWN.get(name) or [one for one in family.models if one not in CLASSES]
        networks = named_networks([f"timm:{one}" for one in own], small_images=False)
        found += [(KINDS[2], name, network) for network in networks]
    return [one for one in found if one[0] in kinds]


def measured(args: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Accuracies by kind and family."""
    torch.set_num_threads(1)
    setup = Setup(
        load(args.ghn), as_trained(load_images(args.data, EVALUATION), args.ghn), image_size=32, images_each=IMAGES
    )
    console = Console()

    def watch(done: int, total: int, result: Result) -> None:
        console.print(f"{done}/{total} {result.name} {result.status} {result.top1}")

    wanted = subjects(args.kind or KINDS)
    evaluate_networks(setup, [subject for _, _, subject in wanted], out=args.out, watch=watch)
    rows = {row["name"]: row["top1"] for row in predicted_rows([args.out])}
    found: dict[str, dict[str, list[float]]] = {}
    for kind, family, subject in wanted:
        if subject.name in rows:  # some do not run on images as small as these
            found.setdefault(kind, {}).setdefault(family, []).append(100 * rows[subject.name])
    return found


def page(table: dict[str, dict[str, dict[str, list[float]]]]) -> str:
    """The page of some GHNs."""
    columns = [(name, kind) for kind in KINDS for name in table if kind in table[name]]
    lines = [[family, *(_mean(table[name][kind].get(family, [])) for name, kind in columns)] for family in FAMILIES]
    whole = [[value for values in table[name][kind].values() for value in values] for name, kind in columns]
    lines.append(["all", *map(_mean, whole)])
    header = ["family", *(f"{kind}, {name}" for name, kind in columns)]
    text = "\n".join("| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *lines))
    return f"{HEAD}\n{text}\n"


def _mean(values: list[float]) -> str:
    if not values:
        return ""
    text = f"{statistics.fmean(values):.1f}"
    return text if len(values) == 1 else f"{text} ± {statistics.stdev(values) / len(values) ** 0.5:.1f}"


def main() -> None:
    """Read the command line, measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ghn", default="default")
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kind", action="append", choices=KINDS, help="again for several; all if left out")
    parser.add_argument("--json", help="keep the means under this name")
    args = parser.parse_args()
    found = measured(args)
    if args.json:
        table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
        table[args.json] = {**table.get(args.json, {}), **found}
        write_text_atomically(TABLE, json.dumps(table, indent=1) + "\n")
        write_text_atomically(PAGE, page(table))
    Console(width=200).print(page({"this GHN": found}))


if __name__ == "__main__":
    main()
