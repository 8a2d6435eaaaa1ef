"""The command ``ghn-init train``."""

from __future__ import annotations

import contextlib
import logging
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress
from torch.multiprocessing.spawn import ProcessExitedException

from ghn_init.allocator import keep_freed_memory
from ghn_init.cli_fields import given, options_for, plain, with_options
from ghn_init.cli_options import Debug, Json
from ghn_init.cli_support import counting_columns, err, errors_in_one_line, out, print_json
from ghn_init.cpu.bfloat16 import avoid_broken_bfloat16
from ghn_init.graph.arch import NODE_TYPES
from ghn_init.graph.vocabulary import FURTHER_TYPES
from ghn_init.hypernet import GHNConfig
from ghn_init.rendering import line
from ghn_init.training.config import ArchitectureConfig, TrainConfig
from ghn_init.training.group import Group, joined
from ghn_init.training.launch import run_processes
from ghn_init.training.logbook import Record
from ghn_init.training.presets import PRESETS

logger = logging.getLogger("ghn_init")

#: The status of a process that a signal stopped, as shells have it for SIGINT.
INTERRUPTED = 130

_RUN = "Run"
_FURTHER = ", ".join(FURTHER_TYPES)
_SETTINGS = [
    *options_for(GHNConfig, "GHN", leave_out=("num_classes", "node_types")),
    *options_for(TrainConfig, "Training", leave_out=("architectures",)),
    *options_for(ArchitectureConfig, "Training architectures"),
]


def _node_types(names: list[str] | None) -> list[str]:
    if unknown := sorted(set(names or ()) - FURTHER_TYPES.keys()):
        raise typer.BadParameter(f"{', '.join(map(repr, unknown))} is unknown; known are {_FURTHER}.")
    return list(names or ())


def _preset(name: str) -> str:
    if name not in PRESETS:
        raise typer.BadParameter(f"{name!r} is unknown; known are {', '.join(PRESETS)}.")
    return name


def _train(
    data: Annotated[
        str,
        typer.Option(
            help="Images: a parquet file or folder, an image folder, or a name such as torch/cifar10, hfds/user/name."
        ),
    ],
    out_: Annotated[Path, typer.Option("--out", help="Folder of the run; a run that is in it goes on.")],
    preset: Annotated[
        str, typer.Option(callback=_preset, metavar="|".join(PRESETS), help="Settings to start from; see above.")
    ] = "default",
    data_split: Annotated[str, typer.Option(help="Split of the data to train on.")] = "train",
    data_size: Annotated[int | None, typer.Option(help="Resize the images to this side.")] = None,
    data_limit: Annotated[int | None, typer.Option(help="Use so many images only.")] = None,
    start: Annotated[
        str | None, typer.Option(help="Checkpoint to start from: a known name, a Hub repository, a folder, a file.")
    ] = None,
    node_type: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel="GHN",
            callback=_node_types,
            help=f"Node type to know besides those of --start, or the published ones: {_FURTHER}. Repeatable.",
        ),
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, help="Processes on this machine, which may share a GPU; torchrun is for more.")
    ] = 1,
    device: Annotated[str, typer.Option(help="Where to train: auto, cpu, cuda, cuda:1.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes a rank that prepare architectures ahead.")] = 0,
    log_every: Annotated[int, typer.Option(min=1, rich_help_panel=_RUN, help="Steps between lines of the log.")] = 50,
    save_every: Annotated[int, typer.Option(min=1, rich_help_panel=_RUN, help="Steps between states.")] = 200,
    eval_every: Annotated[int, typer.Option(min=1, rich_help_panel=_RUN, help="Steps between validations.")] = 500,
    keep: Annotated[int, typer.Option(min=1, rich_help_panel=_RUN, help="States to keep.")] = 2,
    tensorboard: Annotated[bool, typer.Option(rich_help_panel=_RUN, help="Write a log for TensorBoard.")] = True,
    json_output: Json = False,
    debug: Debug = False,
    **settings: Any,
) -> None:
    """Train a GHN on your own images; started again with the same --out, it goes on where it stopped."""
    arguments = {
        "folder": out_,
        "source": data,
        "split": data_split,
        "size": data_size,
        "limit": data_limit,
        "preset": preset,
        "start": start,
        "device": device,
        "workers": workers,
        "intervals": {"log": log_every, "save": save_every, "evaluate": eval_every, "keep": keep},
        "tensorboard": tensorboard,
        "json_output": json_output,
        "debug": debug,
        "node_types": node_type or [],
        "settings": {name: plain(value) for name, value in settings.items()},  # children cannot unpickle choices
    }
    avoid_broken_bfloat16()
    with errors_in_one_line(debug):
        if processes == 1:
            _work(arguments)
            return
        try:
            run_processes(processes, _work_in_child, arguments)
        except ProcessExitedException as error:  # it has said why
            raise typer.Exit(error.exit_code) from error


def _work_in_child(arguments: dict[str, Any]) -> None:
    try:
        _work(arguments)
    except typer.Exit as ended:
        sys.exit(ended.exit_code)


def _work(arguments: dict[str, Any]) -> None:
    """What each process does."""
    keep_freed_memory()
    # in every process: an error may be in one of them only
    with errors_in_one_line(arguments["debug"]), joined(arguments["device"]) as group, _logged(group):
        stopped = _run(arguments, group)
    if stopped:
        raise typer.Exit(INTERRUPTED)


def _run(arguments: dict[str, Any], group: Group) -> bool:
    from ghn_init.checkpoints import load
    from ghn_init.images import load_images
    from ghn_init.training.run import Intervals, Run

    settings = arguments["settings"]
    with group.first_before_others():  # a download happens once
        images = load_images(
            arguments["source"],
            arguments["split"],
            image_size=arguments["size"],
            limit=arguments["limit"],
            device=group.device,
        )
    start = None if arguments["start"] is None else (arguments["start"], load(arguments["start"]))
    known = NODE_TYPES if start is None else start[1].config.node_types
    node_types = tuple(dict.fromkeys((*known, *arguments["node_types"])))
    ghn_config, config = PRESETS[arguments["preset"]].configs(
        {**given(GHNConfig, settings), "num_classes": images.num_classes, "node_types": node_types},
        given(TrainConfig, settings),
        given(ArchitectureConfig, settings),
    )
    with _shown(config.steps, group) as progress:
        run = Run(
            arguments["folder"],
            ghn_config,
            config,
            images,
            source=arguments["source"],
            group=group,
            start=start,
            intervals=Intervals(**arguments["intervals"]),
            workers=arguments["workers"],
            tensorboard=arguments["tensorboard"],
        )
        folder = run(progress)
    if group.first:
        trainer = run.trainer
        skipped = {
            "not_finite": trainer.not_finite,
            "out_of_memory": trainer.out_of_memory,
            "bad_images": trainer.images.skipped,
        }
        if arguments["json_output"]:
            result = {"ghn": str(folder), "step": trainer.step, "steps": config.steps, "skipped": skipped}
            print_json(result)
        else:
            counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in skipped.items())
            out.print(f"step {trainer.step} of {config.steps} in {trainer.seconds / 60:.1f} minutes; skipped: {counts}")
            out.print(line(f"the GHN: {folder}; use it with --ghn {folder}"))
    return run.stopped


class _Lines(logging.Handler):
    """Writes each message as a line, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        err.print(line(self.format(record)))


@contextlib.contextmanager
def _logged(group: Group) -> Iterator[None]:
    """Shows what the library logs: all of it in the first process, warnings in the others."""
    handler = _Lines()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%X"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO if group.first else logging.WARNING)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


@contextlib.contextmanager
def _shown(steps: int, group: Group) -> Iterator[Callable[[int, Record | None], object]]:
    """A progress bar on a terminal, in the first process only; lines of the log in any case."""
    with Progress(*counting_columns(), console=err, disable=not (group.first and err.is_terminal)) as bar:
        task = bar.add_task("training", total=steps)

        def progress(step: int, record: Record | None) -> None:
            bar.update(task, completed=step)
            if record is not None:
                bar.update(task, description=f"loss {record.loss:.3f}, {record.rate:.1f} architectures/s")
                logger.info("%s", _line(record))

        yield progress


def _line(record: Record) -> str:
    text = f"step {record.step}: loss {record.loss:.4f}, accuracy {100 * record.accuracy:.1f} %, {record.rate:.1f}/s"
    if record.validation is not None and not math.isnan(record.validation):
        text += f", unseen {100 * record.validation:.1f} %"
    return text


train = with_options(_train, _SETTINGS)
_LINES = "; ".join(f"{name}: {one.description}" for name, one in PRESETS.items())
train.__doc__ = f"{_train.__doc__}\n\nPresets: {_LINES}."
