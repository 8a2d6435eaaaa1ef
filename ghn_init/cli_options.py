"""The arguments and options of the commands of `ghn_init.cli`."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from ghn_init.options import BLEND


class DType(str, enum.Enum):
    """Dtypes that weights can be written in."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A network of timm or torchvision (timm's where both have it; 'timm:NAME' and 'torchvision:NAME' choose), "
        "or 'module:function' for your own.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="Safetensors file to write, or a folder: for one file, or several with the Hub's index. Without it, "
        "nothing is written.",
    ),
]
Checkpoint = Annotated[
    str, typer.Option(help="Checkpoint: a known name, a Hub repository 'user/name', a folder, or a file.")
]
Noise = Annotated[
    float, typer.Option(min=0.0, help="Standard deviation of the noise that tells repeated blocks apart.")
]
Seed = Annotated[
    int,
    typer.Option(help="Seed of the noise, of the random numbers of --blend and --floor, and of what is not predicted."),
]
DTypeOption = Annotated[DType, typer.Option("--dtype", help="Dtype of the weights.")]
Device = Annotated[str, typer.Option(help="Where to predict: cpu, cuda, cuda:1, mps.")]
Head = Annotated[
    bool | None,
    typer.Option(
        "--head/--no-head",
        help="Predict the classifier head in any case, or never; by default if its classes are the checkpoint's.",
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(help="Pattern of parameters or modules to leave alone, such as '*.bias' or 'head'; repeatable."),
]
Layers = Annotated[
    list[str] | None,
    typer.Option(help="Pattern of parameters or modules to predict, such as 'layer1'; repeatable. All by default."),
]
BlendOption = Annotated[
    float | None,
    typer.Option(
        "--blend",
        min=0.0,
        max=1.0,
        help=f"Share of random numbers in the predicted weights; by default {BLEND:g}, and all of the later half of "
        "the weights where the classifier head is not predicted.",
    ),
]
FloorOption = Annotated[
    float,
    typer.Option(
        "--floor",
        min=0.0,
        help="Weights predicted smaller than this share of He's deviation are drawn at random; 0 for none.",
    ),
]
CeilingOption = Annotated[
    float,
    typer.Option(
        "--ceiling",
        min=0.0,
        help="Weights that only batch norm reads are scaled down to this share of He's deviation; 0 for no limit.",
    ),
]
Calibrate = Annotated[
    bool,
    typer.Option("--calibrate", help="Rescale the weights to outputs of unit variance; holds the network in memory."),
]
ShardSize = Annotated[str, typer.Option(help="Most bytes in a file of a folder, such as 500MB.")]
InputSize = Annotated[
    tuple[int, int, int] | None,
    typer.Option(
        metavar="CHANNELS HEIGHT WIDTH", help="Shape of an input; by default the network's own, or found by trial."
    ),
]
ModelKwargs = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="Argument of the network's constructor, such as img_size=384; repeatable."),
]
Classes = Annotated[int | None, typer.Option(min=1, help="Number of classes; the network's own by default.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the stack trace of an error.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]
