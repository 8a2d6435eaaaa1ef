"""The command ``ghn-init draw``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import nn

from ghn_init import deepnets
from ghn_init.api import predict
from ghn_init.checkpoints import DEFAULT, load
from ghn_init.cli_options import Checkpoint, Classes, Debug, InputSize, Json, ModelKwargs, Seed
from ghn_init.cli_support import errors_in_one_line, options_from, out, print_json, size_text, stage
from ghn_init.errors import ModelNotFoundError
from ghn_init.evaluation.subjects import SplitNetwork
from ghn_init.zoo import find_model

#: How networks of the splits of DeepNets are written, and what they are built for.
_SPLIT = "split:"
_SPLIT_CLASSES, _SPLIT_SIDE = 10, 32

DrawnModel = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A network of timm or torchvision, 'module:function' for your own, or 'split:test:3' for one of DeepNets.",
    ),
]


def draw(
    model: DrawnModel,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write: .svg, .png, or .html for an interactive page."),
    ] = None,
    fold: Annotated[
        bool, typer.Option("--fold/--no-fold", help="Draw blocks that come several times in a row once.")
    ] = True,
    virtual_edges: Annotated[
        int | None, typer.Option(min=2, max=50, help="Draw virtual edges of up to this many steps too.")
    ] = None,
    filters: Annotated[
        Path | None,
        typer.Option(help="File to write, .png or .svg: the first layer's filters, predicted and the network's own."),
    ] = None,
    size: Annotated[
        tuple[int, int] | None,
        typer.Option(metavar="WIDTH HEIGHT", help="Pixels of the picture; by default what it needs."),
    ] = None,
    ghn: Checkpoint = DEFAULT,
    seed: Seed = 0,
    num_classes: Classes = None,
    input_size: InputSize = None,
    model_kwargs: ModelKwargs = None,
    json_output: Json = False,
    debug: Debug = False,
) -> None:
    """Draw the graph that a GHN reads of a network, and the filters that it predicts for its first layer."""
    options = ({} if num_classes is None else {"num_classes": num_classes}) | options_from(model_kwargs or ())
    if output is None and filters is None:
        raise typer.BadParameter("give a file to write.", param_hint="--output, --filters")
    with errors_in_one_line(debug):
        from ghn_init.drawing import Drawing, draw_filters
        from ghn_init.drawing.draw import check_suffix
        from ghn_init.drawing.filters import FILTERS_SIZE

        if output is not None:
            check_suffix(output)
        if filters is not None:
            check_suffix(filters, (".png", ".svg"))
        example = None if input_size is None else torch.empty(2, *input_size, device="meta")
        seconds: dict[str, float] = {}
        with stage("build", seconds):
            torch.manual_seed(seed)
            title, network = _network(model, options, values=filters is not None)
        interactive = output is not None and output.suffix.lower() == ".html"
        checkpoint: Any = ghn
        if interactive or filters is not None:
            with stage("load", seconds):
                checkpoint = load(ghn)
            with stage("trace, predict", seconds):
                prediction = predict(network, checkpoint, seed=seed, example_inputs=example)
            prediction.report.model, prediction.report.checkpoint = title, ghn
        with stage("draw", seconds):
            files = []
            if output is not None:
                subject = prediction if interactive else network
                drawing = Drawing(
                    subject,
                    fold=fold,
                    virtual_edges=virtual_edges,
                    title=title,
                    size=size,
                    example_inputs=example,
                )
                files.append(drawing.save(output))
            if filters is not None:
                draw_filters(network, filters, prediction=prediction, size=size or FILTERS_SIZE)
                files.append(filters)
        if json_output:
            sizes = {str(file): file.stat().st_size for file in files}
            print_json({"model": title, "files": sizes, "seconds": seconds})
            return
        for file in files:
            out.print(f"wrote {file} ({size_text(file.stat().st_size)})", markup=False)


def _network(name: str, options: dict[str, Any], *, values: bool) -> tuple[str, nn.Module]:
    """Title and network: one with its own values in memory if they are wanted, and else without memory."""
    if not name.startswith(_SPLIT):
        found = find_model(name)
        return f"{found.zoo}:{found.name}", found.build(**options) if values else found.skeleton(**options)
    split, _, index = name.removeprefix(_SPLIT).partition(":")
    if split not in deepnets.SPLITS or not index.isdecimal():
        known = ", ".join(deepnets.SPLITS)
        raise ModelNotFoundError(f"{name!r} is no network of a split: write split:NAME:INDEX, NAME out of {known}")
    subject = SplitNetwork(split, int(index))
    classes = options.pop("num_classes", _SPLIT_CLASSES)
    if options:
        raise ModelNotFoundError(f"networks of DeepNets take no arguments ({', '.join(options)}) but --num-classes")
    if values:
        return subject.name, subject.build(classes, _SPLIT_SIDE)
    with torch.device("meta"):
        return subject.name, subject.build(classes, _SPLIT_SIDE)
