"""The commands about checkpoints: ``checkpoints``, ``convert``, ``inspect``, ``verify``, ``push``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ghn_init.checkpoints import CheckpointInfo, load
from ghn_init.checkpoints import convert as convert_file
from ghn_init.checkpoints.fit import fit, lines
from ghn_init.checkpoints.inspect import inspect as look_into
from ghn_init.checkpoints.listing import listings
from ghn_init.checkpoints.push import prepare, upload
from ghn_init.checkpoints.verify import TOLERANCE, Agreement, chosen, published_norms, read_norms
from ghn_init.checkpoints.verify import verify as compare_norms
from ghn_init.cli_options import Classes, Debug, Device, Force, Json, ModelKwargs
from ghn_init.cli_support import err, errors_in_one_line, options_from, out, print_json, size_text, stage, table
from ghn_init.rendering import inert, line
from ghn_init.zoo import find_model


def checkpoints(json_output: Json = False, debug: Debug = False) -> None:
    """List the checkpoints that are known by name."""
    with errors_in_one_line(debug):
        found = listings()
        if json_output:
            print_json([dataclasses.asdict(listing) for listing in found])
            return
        out.print(found)


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
        out.print(line(f"wrote {folder} ({size_text(written.size)})"))


def inspect(
    path: Annotated[Path, typer.Argument(help="Safetensors file, folder of shards or checkpoint, or published file.")],
    model: Annotated[
        str | None,
        typer.Option(help="Network that it should fit: a name of timm or torchvision, or 'module:function'."),
    ] = None,
    num_classes: Classes = None,
    model_kwargs: ModelKwargs = None,
    json_output: Json = False,
    debug: Debug = False,
) -> None:
    """Show what is in a file of weights without loading it, and whether it fits a network (exit status 1 if not)."""
    options = ({} if num_classes is None else {"num_classes": num_classes}) | options_from(model_kwargs or ())
    with errors_in_one_line(debug):
        found = look_into(path)
        fitting = None
        if model is not None:
            fitting = fit(found, find_model(model).skeleton(**options).state_dict())
        if json_output:
            print_json(found.to_dict() | ({} if fitting is None else {"model": model, "fit": fitting.to_dict()}))
        else:
            out.print(found)
            if fitting is not None:
                text = f"fits {model}" if fitting.fits else f"does not fit {model} ({fitting.matching} tensors do)"
                asked = len(fitting.missing) + fitting.matching + len(fitting.wrong)
                out.print(line(f"{text}: {asked} tensors asked for"))
                for misfit in lines(fitting):
                    out.print(line(f"  {misfit}"))
        if found.problems or (fitting is not None and not fitting.fits):
            raise typer.Exit(1)


def verify(
    checkpoint: Annotated[
        str, typer.Argument(help="Checkpoint: a known name, a Hub repository, a folder, or a published file.")
    ],
    like: Annotated[
        str | None,
        typer.Option("--as", help="Known name whose published norms it must have; by default its own.", metavar="NAME"),
    ] = None,
    norms: Annotated[
        Path | None, typer.Option("--table", help="Norms of your own: a JSON object of numbers by network.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Network of torchvision; repeatable. All of the table by default.")
    ] = None,
    tolerance: Annotated[float, typer.Option(min=0, help="Largest relative difference of equal norms.")] = TOLERANCE,
    device: Device = "cpu",
    json_output: Json = False,
    debug: Debug = False,
) -> None:
    """Predict torchvision's networks, and compare the norms with those that the checkpoint's authors published."""
    with errors_in_one_line(debug):
        expected = read_norms(norms) if norms is not None else published_norms(like or checkpoint)
        expected = chosen(expected, model or ())
        with stage("load", {}):
            ghn = load(checkpoint, device=device)
        found: list[Agreement] = []
        for number, agreement in enumerate(compare_norms(ghn, expected, device=device), start=1):
            found.append(agreement)
            if err.is_terminal:
                err.print(f"{number}/{len(expected)} {agreement.model}: {agreement.difference:.1e}")
        agreeing = [agreement for agreement in found if agreement.agrees(tolerance)]
        if json_output:
            counts = {"agree": len(agreeing), "networks": len(found), "tolerance": tolerance}
            rows = [agreement.to_dict(tolerance) for agreement in found]
            print_json({"checkpoint": checkpoint, **counts, "results": rows})
        else:
            out.print(_agreements(found, tolerance))
            out.print(f"\n{len(agreeing)} of {len(found)} networks agree within {tolerance:g} (relative)")
        if len(agreeing) < len(found):
            raise typer.Exit(1)


def _agreements(found: list[Agreement], tolerance: float) -> Table:
    rows = table(
        "network", "published", "here", "difference", "predicted", "", right=("published", "here", "difference")
    )
    for agreement in found:
        here = "-" if agreement.found is None else f"{agreement.found:.4f}"
        verdict = inert("agrees") if agreement.agrees(tolerance) else inert(agreement.message or "differs", "red")
        rows.add_row(
            inert(agreement.model),
            f"{agreement.expected:.4f}",
            here,
            f"{agreement.difference:.1e}",
            f"{agreement.share:.2%}",
            verdict,
        )
    return rows


def push(
    folder: Annotated[Path, typer.Argument(help="Folder of a checkpoint: config.json, model.safetensors.")],
    repository: Annotated[str, typer.Argument(metavar="USER/NAME", help="Repository on the Hub.")],
    results: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of 'ghn-init eval', whose numbers go onto the card; repeatable."),
    ] = None,
    private: Annotated[bool, typer.Option("--private/--public", help="What a new repository is made.")] = True,
    revision: Annotated[str | None, typer.Option(help="Branch; the main one by default.")] = None,
    message: Annotated[str | None, typer.Option(help="Message of the commit.")] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "--no-dry-run", help="Upload; without it, only say what would be.")
    ] = False,
    json_output: Json = False,
    debug: Debug = False,
) -> None:
    """Upload a checkpoint to the Hugging Face Hub: without --yes, say what would be uploaded and contact nobody."""
    with errors_in_one_line(debug):
        with stage("check", {}):
            plan = prepare(folder, repository, tuple(results or ()), private=private, revision=revision)
        url = None
        if yes:
            url = upload(plan, message=message)
        if json_output:
            print_json({**plan.to_dict(), "uploaded": yes, "url": url})
            return
        rows = table("file", "size", right=("size",))
        for name, size in plan.sizes.items():
            rows.add_row(inert(name), size_text(size))
        out.print(rows)
        if plan.left_out:
            out.print(line(f"not uploaded: {', '.join(plan.left_out)}"))
        where = f"{'private' if private else 'public'} repository {repository}, branch {revision or 'main'}"
        if yes:
            out.print(line(f"uploaded to {repository}, branch {revision or 'main'}: {url}"))
            return
        out.print(line(f"\n{plan.texts['README.md']}"))
        out.print(line(f"nothing was uploaded: --yes uploads this to the {where} (made if there is none)"))
