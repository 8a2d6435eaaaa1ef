"""The commands ``ghn-init explain`` and ``ghn-init familiarity``."""

from __future__ import annotations

import dataclasses
import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import torch
import typer
from rich.progress import Progress

from ghn_init.atomic import write_text_atomically
from ghn_init.checkpoints import DEFAULT, load
from ghn_init.cli_options import Checkpoint, Classes, Debug, InputSize, Json, Model, ModelKwargs, Seed
from ghn_init.cli_support import counting_columns, err, errors_in_one_line, options_from, out, print_json, stage
from ghn_init.zoo import find_model

if TYPE_CHECKING:
    from ghn_init.explain import Explanation

#: As many architectures as `ghn_init.explain.trained.fit_folder` draws.
_DRAWN = 500
_PAGE = '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n{body}\n</html>\n'


def _page(explanation: Explanation) -> str:
    return _PAGE.format(title=html.escape(f"{explanation.model}, explained"), body=explanation._repr_html_())


def _json(explanation: Explanation) -> str:
    return json.dumps(explanation.to_dict(), indent=2) + "\n"


def _text(explanation: Explanation) -> str:
    return f"{explanation}\n"


_WRITERS: dict[str, Callable[[Explanation], str]] = {".html": _page, ".json": _json, ".txt": _text}


def explain(
    model: Model,
    ghn: Checkpoint = DEFAULT,
    influence: Annotated[
        list[str] | None,
        typer.Option(metavar="PARAMETER", help="Show which nodes decide this parameter's weights; repeatable."),
    ] = None,
    scales: Annotated[
        bool,
        typer.Option("--scales", help="Measure weights and activations beside the network's own initial ones."),
    ] = False,
    neighbours: Annotated[int, typer.Option(min=0, help="Nearest architectures of the training to show.")] = 5,
    top: Annotated[int, typer.Option(min=1, help="Nodes to show for each --influence.")] = 10,
    out_: Annotated[
        Path | None, typer.Option("--out", help="File to write, too: .html, .json, or .txt by its ending.")
    ] = None,
    num_classes: Classes = None,
    input_size: InputSize = None,
    model_kwargs: ModelKwargs = None,
    seed: Seed = 0,
    json_output: Json = False,
    debug: Debug = False,
) -> None:
    """Show how far a network is from those that a GHN knows, its strangest layers, and what decides a weight."""
    options = ({} if num_classes is None else {"num_classes": num_classes}) | options_from(model_kwargs or ())
    if out_ is not None and out_.suffix.lower() not in _WRITERS:
        raise typer.BadParameter(f"{out_}: write a file that ends with {', '.join(_WRITERS)}", param_hint="--out")
    with errors_in_one_line(debug):
        from ghn_init.explain import explain as explained  # with its tables, nothing that other commands need

        found = find_model(model)
        seconds: dict[str, float] = {}
        with stage("build", seconds):
            torch.manual_seed(seed)
            network = found.build(**options) if scales else found.skeleton(**options)
        with stage("load", seconds):
            loaded = load(ghn)
        with stage("explain", seconds):
            explanation = explained(
                network,
                loaded,
                example_inputs=None if input_size is None else torch.empty(2, *input_size, device="meta"),
                scales=scales,
                influence_on=influence or (),
                neighbours=neighbours,
                top=top,
                seed=seed,
            )
        explanation = dataclasses.replace(explanation, model=f"{found.zoo}:{found.name}", checkpoint=ghn)
        if out_ is not None:
            write_text_atomically(out_, _WRITERS[out_.suffix.lower()](explanation))
        if json_output:
            print_json({**explanation.to_dict(), "output": None if out_ is None else str(out_)})
            return
        out.print(explanation)
        if out_ is not None:
            out.print(f"wrote {out_}", markup=False)


def familiarity(
    folder: Annotated[Path, typer.Argument(help="Folder of a GHN that 'ghn-init train' made: RUN/ghn or RUN/best.")],
    n: Annotated[int, typer.Option("--n", min=20, help="Architectures of its training to draw.")] = _DRAWN,
    seed: Annotated[int, typer.Option(help="Which of them.")] = 0,
    json_output: Json = False,
    debug: Debug = False,
) -> None:
    """Write statistics of a GHN's training architectures into its config.json, for 'explain' and reports."""
    with errors_in_one_line(debug):
        from ghn_init.explain.trained import fit_folder

        with Progress(*counting_columns(), console=err, transient=True, disable=not err.is_terminal) as progress:
            bar = progress.add_task("architectures", total=n)
            info = fit_folder(folder, n, seed=seed, watch=lambda done, _: progress.update(bar, completed=done))
        if json_output:
            print_json({"folder": str(folder), "architectures": info.familiarity["architectures"]})
            return
        out.print(f"{folder}: statistics of {info.familiarity['architectures']} architectures", markup=False)
