"""The command ``ghn-init``: a thin shell over the calls of `ghn_init`."""

from __future__ import annotations

import dataclasses
import enum
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

import ghn_init
from ghn_init.checkpoints import CheckpointInfo, find
from ghn_init.checkpoints import convert as convert_file
from ghn_init.checkpoints.listing import listings
from ghn_init.cli_support import errors_in_one_line, out, print_json, size_text, stage, table
from ghn_init.zoo import find_model

app = typer.Typer(
    help="Start neural networks from weights that a Graph HyperNetwork (GHN) predicts, instead of random ones.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
Classes = Annotated[int | None, typer.Option(min=1, help="Number of classes; the network's own by default.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the stack trace of an error.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]


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
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Safetensors file to write; without it, nothing is written."),
    ] = None,
    ghn: Annotated[
        str,
        typer.Option(help="Checkpoint: a known name, a Hub repository 'user/name', a folder, or a file."),
    ] = "default",
    noise: Annotated[
        float, typer.Option(min=0.0, help="Standard deviation of the noise that tells repeated blocks apart.")
    ] = 1e-5,
    seed: Annotated[int, typer.Option(help="Seed of the noise, and of what is not predicted.")] = 0,
    num_classes: Classes = None,
    dtype: Annotated[DType, typer.Option(help="Dtype of the weights.")] = DType.float32,
    device: Annotated[str, typer.Option(help="Where to predict: cpu, cuda, cuda:1, mps.")] = "cpu",
    head: Annotated[
        bool | None,
        typer.Option(
            "--head/--no-head",
            help="Predict the classifier head in any case, or never; by default if its classes are the checkpoint's.",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Pattern of parameters to leave alone, such as '*.bias'; repeatable.")
    ] = None,
    force: Force = False,
    json_output: Json = False,
    debug: Debug = False,
) -> None:
    """Predict the weights of a network and write them to a safetensors file."""
    if output is not None and output.suffix != ".safetensors":
        raise typer.BadParameter(f"{output} must end in .safetensors.", param_hint="--output")
    with errors_in_one_line(debug):
        if output is not None and output.exists() and not force:
            raise FileExistsError(f"{output} exists; --force overwrites it.")
        found = find_model(model)
        checkpoint = find(ghn)
        seconds: dict[str, float] = {}
        with stage("build", seconds):
            torch.manual_seed(seed)
            network = found.build(**_options(num_classes)).to(_device(device), getattr(torch, dtype.value))
        with stage("load, trace, predict", seconds):
            prediction = ghn_init.predict(network, ghn, noise=noise, seed=seed, head=head, exclude=tuple(exclude or ()))
        if output is not None:
            with stage("save", seconds):
                prediction.save(output, force=force)
        report = prediction.report
        report.model = f"{found.zoo}:{found.name}"
        report.seconds = {"build": seconds["build"], **report.seconds}
        if json_output:
            print_json({**report.to_dict(), "origin": checkpoint.origin, **_written(output)})
            return
        out.print(report)
        if output is None:
            out.print("nothing was written: -o FILE writes the weights to a file")
        else:
            out.print(f"wrote {output} ({size_text(output.stat().st_size)})")


@app.command()
def trace(
    model: Model,
    num_classes: Classes = None,
    json_output: Json = False,
    debug: Debug = False,
) -> None:
    """Show the graph that a GHN reads of a network: its nodes, their types, and what is not understood."""
    with errors_in_one_line(debug):
        found = find_model(model)
        seconds: dict[str, float] = {}
        with stage("build", seconds):
            network = found.skeleton(**_options(num_classes))
        with stage("trace", seconds):
            graph = ghn_init.trace(network)
        if json_output:
            counts = {"counts": dict(graph.counts()), "n_virtual_edges": graph.n_virtual_edges()}
            print_json({"model": f"{found.zoo}:{found.name}", **graph.to_dict(), **counts, "seconds": seconds})
            return
        nodes = table("#", "type", "parameter", "shape", "from", right=("#",))
        for index, node in enumerate(graph.nodes):
            shape = "" if node.shape is None else " x ".join(map(str, node.shape))
            names = " + ".join(filter(None, (node.param, node.rider)))
            nodes.add_row(str(index), node.type, names, shape, node.source)
        out.print(nodes)
        counts_table = table("type", "nodes", right=("nodes",))
        for node_type, count in graph.counts().most_common():
            counts_table.add_row(node_type, str(count))
        out.print("", counts_table, "", sep="\n")
        edges = f"{len(graph.edges)} edges, {graph.n_virtual_edges()} virtual ones"
        times = f"built in {seconds['build']:.2f} s, traced in {seconds['trace']:.2f} s"
        out.print(f"{found.zoo}:{found.name}: {len(graph)} nodes, {edges}; {graph.traced} trace; {times}")
        for title, items in (("left out", graph.left_out), ("not understood", graph.not_understood)):
            for name, reason in items.items():
                out.print(f"{title}: {name}: {reason}", markup=False)


@app.command()
def checkpoints(json_output: Json = False, debug: Debug = False) -> None:
    """List the checkpoints that are known by name."""
    with errors_in_one_line(debug):
        found = listings()
        if json_output:
            print_json([dataclasses.asdict(listing) for listing in found])
            return
        rows = table("name", "size", "here", "classes", "what for", right=("size", "classes"))
        for listing in found:
            rows.add_row(
                listing.name,
                size_text(listing.size, listing.exact),
                "yes" if listing.here else "no",
                str(listing.num_classes or "?"),
                listing.description,
            )
        out.print(rows)


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(help="Published GHN file: joblib's or PyTorch's format.")],
    folder: Annotated[Path, typer.Argument(help="Folder to write config.json and model.safetensors to.")],
    name: Annotated[str | None, typer.Option(help="The checkpoint's name; the file's by default.")] = None,
    license_: Annotated[str | None, typer.Option("--license", help="SPDX identifier of its licence.")] = None,
    force: Force = False,
    json_output: Json = False,
    debug: Debug = False,
) -> None:
    """Convert a published GHN file (a pickle) to safetensors, running nothing of what is in it."""
    with errors_in_one_line(debug):
        known = CheckpointInfo(name or file.stem, description=f"Converted from {file.name}.", license=license_)
        with stage("convert", {}):
            written = convert_file(file, folder, known, overwrite=force)
        if json_output:
            print_json({"folder": str(folder), "name": written.name, "size": written.size, "sha256": written.sha256})
            return
        assert written.ghn is not None
        shape = " x ".join(map(str, written.ghn.max_shape))
        out.print(f"{written.ghn.gnn}, width {written.ghn.hid}, blocks {shape}, {written.ghn.num_classes} classes")
        out.print(f"wrote {folder} ({size_text(written.size)})")


def _options(num_classes: int | None) -> dict[str, int]:
    return {} if num_classes is None else {"num_classes": num_classes}


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ghn_init.GHNInitError(f"device {name!r} cannot be used here: {reason}") from error
    return device


def _written(output: Path | None) -> dict[str, Any]:
    return {"output": None} if output is None else {"output": str(output), "bytes": output.stat().st_size}


def main() -> None:
    """Runs the command: exit status 0, 1 for an error, 2 for wrong usage."""
    app()


if __name__ == "__main__":
    main()
