"""The command ``ghn-init eval``."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress

from ghn_init.allocator import keep_freed_memory
from ghn_init.atomic import write_text_atomically
from ghn_init.checkpoints import DEFAULT, load
from ghn_init.checkpoints.fingerprint import fingerprint
from ghn_init.cli_options import Checkpoint, Debug, Json, ModelKwargs, Seed
from ghn_init.cli_support import counting_columns, err, errors_in_one_line, options_from, out, print_json
from ghn_init.evaluation import (
    BATCH_SIZE,
    EvaluationError,
    FinetuneConfig,
    FinetuneSetup,
    Report,
    Result,
    Setup,
    Start,
    Subject,
    evaluate_networks,
    finetune_networks,
    named_networks,
    split_networks,
    tables,
    write_plots,
)
from ghn_init.evaluation.normalisation import as_trained
from ghn_init.evaluation.plots import check_matplotlib
from ghn_init.rendering import as_text, line

if TYPE_CHECKING:
    from ghn_init.images import ImageSet

_IMAGES, _FINETUNING = "Images", "Fine-tuning"


class Optimiser(str, enum.Enum):
    """The optimisers that networks are fine-tuned with."""

    sgd = "sgd"
    adamw = "adamw"


def evaluate(
    data: Annotated[
        str,
        typer.Option(
            help="Images: a parquet file or folder, an image folder, or a name such as torch/cifar10, hfds/user/name."
        ),
    ],
    ghn: Checkpoint = DEFAULT,
    split: Annotated[
        list[str] | None,
        typer.Option(
            help="Split of DeepNets: train, val, test (in distribution), wide, deep, dense, bnfree, search, predefined "
            "(ResNet-50 and ViT), or all of the papers' table; repeatable. 'test' if no --model is given."
        ),
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="Networks a split; fewer where a split has fewer.")] = 500,
    first: Annotated[int, typer.Option(min=0, help="Index of a split's first network.")] = 0,
    model: Annotated[
        list[str] | None, typer.Option(help="Network of timm or torchvision, or 'module:function'; repeatable.")
    ] = None,
    model_kwargs: ModelKwargs = None,
    own_stem: Annotated[
        bool, typer.Option("--own-stem", help="Keep the stems of --model networks as they are for large images.")
    ] = False,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Measure each network with its own random weights too.")
    ] = False,
    out_: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for results, tables and plots; an evaluation that is in it goes on."),
    ] = None,
    plots: Annotated[bool, typer.Option(help="Draw PNG files into the folder.")] = True,
    processes: Annotated[int, typer.Option(min=1, help="Processes, each with one thread.")] = 1,
    device: Annotated[str, typer.Option(help="Where to predict and classify: cpu, cuda, cuda:1, mps.")] = "cpu",
    seed: Seed = 0,
    data_split: Annotated[
        str | None, typer.Option(rich_help_panel=_IMAGES, help="Split of the data; its test images by default.")
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(
            min=1, rich_help_panel=_IMAGES, help="Test images a network: each of a split has its own. All by default."
        ),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=_IMAGES, help="Side of the images; their own by default.")
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=2, rich_help_panel=_IMAGES, help="Images a batch, whose statistics batch norms use.")
    ] = BATCH_SIZE,
    finetune: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            metavar="STEPS",
            rich_help_panel=_FINETUNING,
            help="Fine-tune for so many steps, from predicted and from own weights; repeatable.",
        ),
    ] = None,
    finetune_n: Annotated[
        int, typer.Option(min=1, rich_help_panel=_FINETUNING, help="Networks a split to fine-tune.")
    ] = 10,
    train_data: Annotated[
        str | None,
        typer.Option(rich_help_panel=_FINETUNING, help="Images to train on; the training split of --data by default."),
    ] = None,
    train_split: Annotated[str, typer.Option(rich_help_panel=_FINETUNING, help="Split of them.")] = "train",
    optimiser: Annotated[
        Optimiser, typer.Option("--optimiser", "--optimizer", rich_help_panel=_FINETUNING, help="What trains.")
    ] = Optimiser.sgd,
    lr: Annotated[
        list[float] | None,
        typer.Option(
            rich_help_panel=_FINETUNING,
            help="Learning rate to try; repeatable. The best on held-out training images is chosen for each network, "
            "start and number of steps.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, rich_help_panel=_FINETUNING, help="Runs with the chosen one.")] = 3,
    train_batch_size: Annotated[int, typer.Option(min=2, rich_help_panel=_FINETUNING, help="Images a step.")] = 64,
    held_out: Annotated[
        int, typer.Option(min=1, rich_help_panel=_FINETUNING, help="Training images to choose learning rates on.")
    ] = 2000,
    json_output: Json = False,
    debug: Debug = False,
) -> None:
    """Measure networks with predicted weights: their accuracy without any training, and after some steps of it."""
    options = options_from(model_kwargs or ())
    keep_freed_memory()
    with errors_in_one_line(debug):
        if out_ is not None and plots:
            check_matplotlib()
        subjects: list[Subject] = [
            *named_networks(model or (), options, small_images=not own_stem),
            *split_networks(split or ([] if model else ["test"]), n, first=first),
        ]
        test = _images(data, data_split, image_size, device)
        train = None
        if finetune:
            _refuse_test_images(train_data or data, train_split, data, data_split)
            train = _images(train_data or data, train_split, image_size, device)
            test, train = as_trained(test.like(train), ghn), as_trained(train, ghn)
        else:
            test = as_trained(test, ghn)
        setup = Setup(
            load(ghn, device=device),
            test,
            image_size=test.side,
            images_each=images,
            batch_size=batch_size,
            seed=seed,
        )
        results: list[Result] = []
        starts: tuple[Start, ...] = ("predicted", "own") if baseline else ("predicted",)
        if finetune and test.num_classes != setup.ghn.config.num_classes:
            warnings.warn(
                f"classifiers of {setup.ghn.config.num_classes} classes are no use for images of {test.num_classes}: "
                "they start random, and there is no accuracy without training",
                stacklevel=1,
            )
        else:
            with _bar("networks") as watch:
                results = evaluate_networks(setup, subjects, starts=starts, out=out_, processes=processes, watch=watch)
        report = Report(ghn, data, test.num_classes, images, results, fingerprint=fingerprint(setup.ghn))
        if finetune and train is not None:
            config = FinetuneConfig(
                tuple(finetune), optimiser.value, tuple(lr or ()), seeds, train_batch_size, held_out=held_out
            )
            kept, rest = train.split(held_out, seed)
            context = FinetuneSetup(setup, kept, rest, config)
            with _bar("fine-tuning runs") as watch:
                runs = finetune_networks(
                    context, _first_of_each(subjects, finetune_n), out=out_, processes=processes, watch=watch
                )
            report = dataclasses.replace(report, runs=runs)
        _show(report, out_, plots, json_output)
        if results and all(result.top1 is None for result in results):
            raise typer.Exit(1)


def _images(source: str, split: str | None, image_size: int | None, device: str) -> ImageSet:
    from ghn_init.images import EVALUATION, load_images

    return load_images(source, split or EVALUATION, image_size=image_size, device=device)


def _refuse_test_images(source: str, split: str, test: str, test_split: str | None) -> None:
    same_file = Path(source).is_file() and Path(test).is_file() and Path(source).samefile(test)
    if same_file or (source == test and split == test_split):
        raise EvaluationError(f"{source} holds the test images; give images to train on with --train-data")


def _first_of_each(subjects: list[Subject], count: int) -> list[Subject]:
    """The first `count` networks of each column."""
    taken: dict[str, list[Subject]] = {}
    for subject in subjects:
        members = taken.setdefault(subject.column, [])
        if len(members) < count:
            members.append(subject)
    return [subject for members in taken.values() for subject in members]


@contextlib.contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int, Any], object]]:
    """Yields what is told the number of results, that of all to come, and the latest, and shows them on a terminal."""
    with Progress(*counting_columns(), console=err, transient=True, disable=not err.is_terminal) as progress:
        bar = progress.add_task(what, total=None)

        def watch(done: int, total: int, result: Any) -> None:
            shown = result.status if result.top1 is None else f"{100 * result.top1:.1f} %"
            progress.update(bar, completed=done, total=total, description=f"{what}: {result.name} {shown}")

        yield watch


def _show(report: Report, folder: Path | None, plots: bool, json_output: bool) -> None:
    made = tables(report)
    files = []
    if folder is not None:
        files = report.write(folder)
        files.append(write_text_atomically(folder / "tables.txt", "\n\n".join(as_text(one) for one in made) + "\n"))
        files += write_plots(report, folder) if plots else []
    if json_output:
        print_json({**report.to_dict(), "files": [str(file) for file in files]})
        return
    out.print(*made, sep="\n")
    if files:
        out.print(line(f"wrote {', '.join(file.name for file in files)} to {folder}"))
