"""The commands ``ghn-init rank`` and ``ghn-init search``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from ghn_init import ranking
from ghn_init.allocator import keep_freed_memory
from ghn_init.checkpoints import DEFAULT
from ghn_init.cli_compare import INTERRUPTED
from ghn_init.cli_options import Checkpoint, Debug, Json, ModelKwargs, Seed
from ghn_init.cli_support import counting_columns, err, errors_in_one_line, options_from, out, print_json
from ghn_init.evaluation.accuracy import BATCH_SIZE
from ghn_init.ranking import DRAWS, IMAGES, Ranking, Row
from ghn_init.ranking.table import footnotes
from ghn_init.rendering import line
from ghn_init.zoo import find_function

#: The folder of a search's networks in its --out folder.
NETWORKS = "networks"
_IMAGES, _BUDGET = "Images", "Budget"
_SUFFIXES = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def _count(text: str) -> int:
    """A number of things, such as 250000, 250k, 1.5M or 1G."""
    factor = _SUFFIXES.get(text[-1:], 1)
    try:
        number = round(float(text if factor == 1 else text[:-1]) * factor)
    except (ValueError, OverflowError):
        number = 0
    if number < 1:
        raise typer.BadParameter(f"{text!r} is no number of 1 or more, such as 250000, 250k, 1.5M or 1G.")
    return number


Data = Annotated[
    str,
    typer.Option(
        help="Images: a parquet file or folder, an image folder, or a name such as digits, torch/cifar10, "
        "hfds/user/name."
    ),
]
By = Annotated[
    str,
    typer.Option(
        help="What to rank by: ghn, the accuracy with predicted weights; params or flops; or another proxy, of random "
        "weights: grad_norm, synflow, naswot and so on."
    ),
]
Top = Annotated[int | None, typer.Option(min=1, help="Show so many of the best only. Files and JSON have all.")]
Processes = Annotated[int, typer.Option(min=1, help="Processes, each with one thread.")]
Device = Annotated[str, typer.Option(help="Where to predict and classify: cpu, cuda, cuda:1, mps.")]
DataSplit = Annotated[
    str | None,
    typer.Option(rich_help_panel=_IMAGES, help="Split of the data; its validation images, or else its test images."),
]
Images = Annotated[
    int, typer.Option(min=1, rich_help_panel=_IMAGES, help="Images to measure on, the same for all networks.")
]
ImageSize = Annotated[
    int | None, typer.Option(min=1, rich_help_panel=_IMAGES, help="Side of the images; their own by default.")
]
BatchSize = Annotated[
    int, typer.Option(min=2, rich_help_panel=_IMAGES, help="Images a batch, whose statistics batch norms use.")
]
MaxParameters = Annotated[
    int | None,
    typer.Option(
        parser=_count, metavar="NUMBER", rich_help_panel=_BUDGET, help="Most parameters of a network, such as 10M."
    ),
]
MaxFlops = Annotated[
    int | None,
    typer.Option(
        parser=_count, metavar="NUMBER", rich_help_panel=_BUDGET, help="Most multiply-adds for one image, such as 1G."
    ),
]


def rank(
    data: Data,
    models: Annotated[
        list[str],
        typer.Option(
            help="Networks: a name or a pattern of timm or torchvision ('resnet*', 'torchvision:*net*'), "
            "'module:function' for your own, or split:search:0-99 for those of a split of DeepNets; repeatable."
        ),
    ],
    ghn: Checkpoint = DEFAULT,
    by: By = "ghn",
    model_kwargs: ModelKwargs = None,
    own_stem: Annotated[
        bool, typer.Option("--own-stem", help="Keep the stems of networks by name as they are for large images.")
    ] = False,
    top: Top = None,
    out_: Annotated[
        Path | None, typer.Option("--out", help="Folder for the ranking; one that was stopped in it goes on.")
    ] = None,
    processes: Processes = 1,
    device: Device = "cpu",
    seed: Seed = 0,
    data_split: DataSplit = None,
    images: Images = IMAGES,
    image_size: ImageSize = None,
    batch_size: BatchSize = BATCH_SIZE,
    max_parameters: MaxParameters = None,
    max_flops: MaxFlops = None,
    json_output: Json = False,
    debug: Debug = False,
) -> None:
    """Rank networks without training them, by their accuracy with predicted weights on the same images."""
    options = options_from(model_kwargs or ())
    keep_freed_memory()
    with errors_in_one_line(debug), _stopped(out_), _bar("networks") as watch:
        found = ranking.rank(
            models,
            data,
            ghn=ghn,
            by=by,
            images=images,
            image_size=image_size,
            data_split=data_split,
            batch_size=batch_size,
            seed=seed,
            max_parameters=max_parameters,
            max_flops=max_flops,
            model_kwargs=options,
            small_images=not own_stem,
            out=out_,
            processes=processes,
            device=device,
            watch=watch,
        )
        files = [] if out_ is None else found.write(out_)
    _show(found, top, files, json_output)


def search(
    data: Data,
    n: Annotated[int, typer.Option("--n", min=1, help="Architectures to rank; those over the budget do not count.")],
    split: Annotated[
        str, typer.Option(help="Split of DeepNets that architectures are drawn from: search, train, dense and so on.")
    ] = "search",
    generator: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:FUNCTION", help="Your own architectures instead: makes network i, a module, from the index."
        ),
    ] = None,
    keep: Annotated[int, typer.Option(min=1, help="Networks to write, the best ones.")] = 10,
    first: Annotated[int, typer.Option(min=0, help="Index of the first architecture.")] = 0,
    draws: Annotated[
        int | None, typer.Option(min=1, help=f"Architectures to draw at most; {DRAWS} times --n by default.")
    ] = None,
    ghn: Checkpoint = DEFAULT,
    by: By = "ghn",
    top: Top = None,
    out_: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the ranking and the networks; a search that was stopped in it goes on."),
    ] = None,
    processes: Processes = 1,
    device: Device = "cpu",
    seed: Seed = 0,
    data_split: DataSplit = None,
    images: Images = IMAGES,
    image_size: ImageSize = None,
    batch_size: BatchSize = BATCH_SIZE,
    max_parameters: MaxParameters = None,
    max_flops: MaxFlops = None,
    json_output: Json = False,
    debug: Debug = False,
) -> None:
    """Search random architectures without training them: rank those within a budget, write the best with weights."""
    keep_freed_memory()
    with errors_in_one_line(debug), _stopped(out_), _bar("architectures") as watch:
        found = ranking.search(
            n,
            data,
            split=split if generator is None else find_function(generator),
            keep=keep,
            max_parameters=max_parameters,
            max_flops=max_flops,
            first=first,
            draws=draws,
            ghn=ghn,
            by=by,
            images=images,
            image_size=image_size,
            data_split=data_split,
            batch_size=batch_size,
            seed=seed,
            out=out_,
            processes=processes,
            device=device,
            watch=watch,
        )
        files = [] if out_ is None else found.write(out_)
        if out_ is not None and found.ranked:
            files.append(found.save(out_ / NETWORKS))
    _show(found, top, files, json_output)


@contextlib.contextmanager
def _stopped(folder: Path | None) -> Iterator[None]:
    """Says after Ctrl-C where to go on from."""
    try:
        yield
    except KeyboardInterrupt:
        err.print(line("stopped", f"; what is done is in {folder}, the same command goes on" if folder else ""))
        raise typer.Exit(INTERRUPTED) from None


@contextlib.contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int, Row], object]]:
    """Yields what is told of each row, and shows on a terminal how many there are."""
    with Progress(*counting_columns(), console=err, transient=True, disable=not err.is_terminal) as progress:
        bar = progress.add_task(what, total=None)

        def watch(done: int, total: int, row: Row) -> None:
            progress.update(bar, completed=done, total=total, description=f"{what}: {row.name} {row.status}")

        yield watch


def _show(found: Ranking, top: int | None, files: list[Path], json_output: bool) -> None:
    if json_output:
        print_json({**found.to_dict(), "files": [str(file) for file in files]})
    else:
        out.print(found.table(top), *footnotes(found), sep="\n")
        if files:
            out.print(line("wrote ", ", ".join(file.name for file in files), " to ", files[0].parent))
    if found.best is None:
        raise typer.Exit(1)
