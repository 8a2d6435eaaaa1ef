"""The command ``ghn-init``: a thin shell over the calls of `ghn_init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
import typer

import ghn_init
from ghn_init.checkpoints import DEFAULT, find, load
from ghn_init.cli_checkpoints import checkpoints, convert, inspect, push, verify
from ghn_init.cli_compare import compare
from ghn_init.cli_draw import draw
from ghn_init.cli_eval import evaluate
from ghn_init.cli_explain import explain, familiarity
from ghn_init.cli_options import (
    BlendOption,
    Calibrate,
    CeilingOption,
    Checkpoint,
    Classes,
    Debug,
    Device,
    DType,
    DTypeOption,
    Exclude,
    FloorOption,
    Force,
    Head,
    InputSize,
    Json,
    Layers,
    Model,
    ModelKwargs,
    Noise,
    Output,
    Seed,
    ShardSize,
)
from ghn_init.cli_rank import rank, search
from ghn_init.cli_support import (
    errors_in_one_line,
    options_from,
    out,
    print_json,
    progress_bar,
    size_text,
    stage,
)
from ghn_init.cli_train import train
from ghn_init.graph.tables import counts_table, nodes_table
from ghn_init.options import CEILING, FLOOR, NOISE
from ghn_init.rendering import line
from ghn_init.saving import check_output, check_wanted
from ghn_init.sharding import MAX_SHARD_SIZE, weights_in
from ghn_init.zoo import find_model

app = typer.Typer(
    help="Start neural networks from weights that a Graph HyperNetwork (GHN) predicts, instead of random ones.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"ghn-init {ghn_init.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def apply(
    model: Model,
    output: Output = None,
    ghn: Checkpoint = DEFAULT,
    noise: Noise = NOISE,
    seed: Seed = 0,
    num_classes: Classes = None,
    input_size: InputSize = None,
    model_kwargs: ModelKwargs = None,
    dtype: DTypeOption = DType.float32,
    device: Device = "cpu",
    head: Head = None,
    exclude: Exclude = None,
    layers: Layers = None,
    blend: BlendOption = None,
    floor: FloorOption = FLOOR,
    ceiling: CeilingOption = CEILING,
    calibrate: Calibrate = False,
    max_shard_size: ShardSize = MAX_SHARD_SIZE,
    force: Force = False,
    json_output: Json = False,
    debug: Debug = False,
) -> None:
    """Predict the weights of a network of any size and write them as safetensors, never holding them in memory."""
    options = _options(num_classes, model_kwargs)
    try:
        if output is not None:
            check_wanted(output, max_shard_size)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--output, --max-shard-size") from error
    with errors_in_one_line(debug):
        if output is not None:
            check_output(output, force=force)
        found = find_model(model)
        checkpoint = find(ghn)
        seconds: dict[str, float] = {}
        with stage("build", seconds):
            blueprint = found.blueprint(**options)
        with stage("load", seconds):
            loaded = load(ghn, device=_device(device))
        with stage("trace, predict", seconds):
            prediction = ghn_init.predict(
                blueprint.skeleton,
                loaded,
                noise=noise,
                seed=seed,
                head=head,
                exclude=tuple(exclude or ()),
                layers=layers and tuple(layers),
                blend=blend,
                floor=floor,
                ceiling=ceiling,
                example_inputs=_example(input_size),
            )
        report = prediction.report
        report.model, report.checkpoint = f"{found.zoo}:{found.name}", ghn
        report.seconds |= {"build": seconds["build"], "load": seconds["load"]}
        report.seconds = {name: report.seconds[name] for name in ("build", *report.seconds)}
        if output is not None or calibrate:
            with stage("values", report.seconds):
                torch.manual_seed(seed)
                values = found.build(**options) if calibrate else blueprint.with_values(prediction.not_covered)
        if calibrate:
            with stage("calibrate", {}):
                prediction.load_into(values.to(_device(device)), calibrate=True)
        if output is not None:
            with progress_bar("save") as progress:
                prediction.save(
                    output,
                    module=values,
                    force=force,
                    dtype=getattr(torch, dtype.value),
                    max_shard_size=max_shard_size,
                    progress=progress,
                )
        if json_output:
            print_json({**report.to_dict(), "origin": checkpoint.origin, **_written(output)})
            return
        out.print(report)
        if output is None:
            out.print("nothing was written: -o FILE.safetensors or -o FOLDER writes the weights")
            return
        files = _files(output)
        parts = f", {len(files)} files" if len(files) > 1 else ""
        out.print(line(f"wrote {output} ({size_text(sum(file.stat().st_size for file in files))}{parts})"))


@app.command()
def trace(
    model: Model,
    num_classes: Classes = None,
    input_size: InputSize = None,
    model_kwargs: ModelKwargs = None,
    json_output: Json = False,
    debug: Debug = False,
) -> None:
    """Show the graph that a GHN reads of a network: its nodes, their types, and what is not understood."""
    options = _options(num_classes, model_kwargs)
    with errors_in_one_line(debug):
        found = find_model(model)
        seconds: dict[str, float] = {}
        with stage("build", seconds):
            network = found.skeleton(**options)
        with stage("trace", seconds):
            graph = ghn_init.trace(network, example_inputs=_example(input_size))
        if json_output:
            counts = {"counts": dict(graph.counts()), "n_virtual_edges": graph.n_virtual_edges()}
            print_json({"model": f"{found.zoo}:{found.name}", **graph.to_dict(), **counts, "seconds": seconds})
            return
        out.print(nodes_table(graph, whole=True))
        out.print("", counts_table(graph), "", sep="\n")
        edges = f"{len(graph.edges)} edges, {graph.n_virtual_edges()} virtual ones"
        times = f"built in {seconds['build']:.2f} s, traced in {seconds['trace']:.2f} s"
        out.print(line(f"{found.zoo}:{found.name}: {len(graph)} nodes, {edges}; {graph.traced} trace; {times}"))
        for title, items in (("left out", graph.left_out), ("not understood", graph.not_understood)):
            for name, reason in items.items():
                out.print(line(f"{title}: {name}: {reason}"))


for _command in (checkpoints, convert, inspect, push, verify, compare, rank, search, draw, explain, familiarity):
    app.command()(_command)
app.command("eval")(evaluate)
app.command("train")(train)


def _options(num_classes: int | None, model_kwargs: list[str] | None) -> dict[str, Any]:
    return ({} if num_classes is None else {"num_classes": num_classes}) | options_from(model_kwargs or ())


def _example(input_size: tuple[int, int, int] | None) -> torch.Tensor | None:
    return None if input_size is None else torch.empty(2, *input_size, device="meta")


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ghn_init.GHNInitError(f"device {name!r} cannot be used here: {reason}") from error
    return device


def _files(output: Path) -> list[Path]:
    return weights_in(output) if output.is_dir() else [output]


def _written(output: Path | None) -> dict[str, Any]:
    if output is None:
        return {"output": None}
    return {"output": str(output), "bytes": sum(file.stat().st_size for file in _files(output))}


def main() -> None:
    """Runs the command: exit status 0, 1 for an error, 2 for wrong usage."""
    app()


if __name__ == "__main__":
    main()
