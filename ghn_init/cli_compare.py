"""The command ``ghn-init compare``."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ghn_init import comparison
from ghn_init.allocator import keep_freed_memory
from ghn_init.cli_fields import given, options_for, with_options
from ghn_init.cli_options import Debug, Json, ModelKwargs
from ghn_init.cli_support import err, errors_in_one_line, options_from, out, print_json
from ghn_init.comparison import CompareConfig, ComparisonResult, Progress, load_data
from ghn_init.comparison.html import check_jinja2
from ghn_init.comparison.plots import check_matplotlib
from ghn_init.rendering import line

#: The status of a process that a signal stopped, as shells have it for SIGINT.
INTERRUPTED = 130
#: Seconds over which the speed is averaged for the time left; trainings differ, so as many as there are.
_AVERAGED = 24 * 3600.0

_BY_HAND = ("strategies", "budgets", "lrs")
_SETTINGS = options_for(CompareConfig, "Settings", leave_out=_BY_HAND)


def compare(
    model: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Networks of timm or torchvision (timm's where both have one; 'timm:NAME' and 'torchvision:NAME' "
            "choose), or 'module:function' for your own.",
        ),
    ],
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPEC",
            help="A start: default (the network's own), ghn, ghn:CHECKPOINT, kaiming_normal,mode=fan_out and so on, "
            "or all that need no argument: all; "
            "repeatable. default and ghn if none is given; the reference is compared in any case.",
        ),
    ] = None,
    budget: Annotated[
        list[int] | None,
        typer.Option(min=1, metavar="STEPS", help="Train for so many steps; repeatable. 10, 50 and 200 by default."),
    ] = None,
    lr: Annotated[
        list[float] | None,
        typer.Option(
            help="Learning rate to start each sweep with; repeatable. Those of the optimiser by default; a single one "
            "is taken as it is."
        ),
    ] = None,
    data: Annotated[
        str,
        typer.Option(
            help="Images: digits (of scikit-learn), a parquet file or folder, an image folder, a folder of IDX files, "
            "or a name such as torch/cifar10, hfds/user/name."
        ),
    ] = "digits",
    train_split: Annotated[str, typer.Option(help="Split of the data to train on.")] = "train",
    test_split: Annotated[
        str | None, typer.Option(help="Split of the data to measure on; its test images by default.")
    ] = None,
    model_kwargs: ModelKwargs = None,
    out_: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for results, tables, plots and the report; a comparison in it goes on."),
    ] = None,
    plots: Annotated[bool, typer.Option(help="Draw PNG files into the folder, and into the report.")] = True,
    processes: Annotated[
        int, typer.Option(min=1, help="Processes that train, each with one thread; they may share a GPU.")
    ] = 1,
    device: Annotated[str, typer.Option(help="Where to train: cpu, cuda, cuda:1, mps.")] = "cpu",
    json_output: Json = False,
    debug: Debug = False,
    **settings: Any,
) -> None:
    """Which start is best for a network on these images after so many steps? Trains from each, and reports."""
    keep_freed_memory()
    with errors_in_one_line(debug):
        by_hand: dict[str, Any] = {
            "strategies": tuple(strategy or ()),
            "budgets": tuple(budget or ()),
            "lrs": tuple(lr or ()),
        }
        config = CompareConfig(
            **given(CompareConfig, settings), **{name: values for name, values in by_hand.items() if values}
        )
        options = options_from(model_kwargs or ())
        if out_ is not None:
            check_jinja2()
        if out_ is not None and plots:
            check_matplotlib()
        with err.status("images") if err.is_terminal else contextlib.nullcontext():
            images = load_data(data, config, train_split=train_split, test_split=test_split, device=device)
        try:
            with _shown() as watch:
                result = comparison.compare(
                    model,
                    images,
                    config,
                    out=out_,
                    processes=processes,
                    watch=watch,
                    model_kwargs=options,
                )
        except KeyboardInterrupt:
            kept = f"; what is done is in {out_}, the same command goes on" if out_ else ""
            err.print(line(f"stopped{kept}"))
            raise typer.Exit(INTERRUPTED) from None
        result = dataclasses.replace(result, command=shlex.join(["ghn-init", *sys.argv[1:]]))
        _report(result, out_, plots, json_output)


def _report(result: ComparisonResult, folder: Path | None, plots: bool, json_output: bool) -> None:
    files = [] if folder is None else result.write(folder, plots=plots)
    if json_output:
        print_json({**result.to_dict(), "files": [str(file) for file in files]})
    else:
        out.print(result.table())
        if files:
            out.print(line(f"wrote {', '.join(file.name for file in files)} to {folder}"))
    if all(run.accuracy is None for run in result.runs if run.purpose == "test"):
        raise typer.Exit(1)


@contextlib.contextmanager
def _shown() -> Iterator[Callable[[Progress], object]]:
    """Yields what is told how far the comparison is, and shows it as a bar on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Bar(
        *columns, console=err, transient=True, disable=not err.is_terminal, speed_estimate_period=_AVERAGED
    ) as bar:
        task = bar.add_task("trainings", total=None)

        def watch(progress: Progress) -> None:
            text = f"{progress.runs} of {progress.of_runs} trainings"
            bar.update(task, completed=progress.done, total=progress.total, description=text)

        yield watch


compare = with_options(compare, _SETTINGS)
