"""The call that draws a network."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from ghn_init.api import predict
from ghn_init.atomic import write_atomically, write_text_atomically
from ghn_init.drawing.compose import compose
from ghn_init.drawing.errors import DrawingError
from ghn_init.drawing.facts import ParameterFacts, parameter_facts, total_count
from ghn_init.drawing.layout import ASPECT, lay_out
from ghn_init.drawing.outline import Outline, outline
from ghn_init.drawing.page import page
from ghn_init.drawing.png import write_png
from ghn_init.drawing.scene import Scene
from ghn_init.drawing.svg import svg
from ghn_init.graph import VIRTUAL_EDGE_CUTOFF, ArchGraph, trace
from ghn_init.prediction import Prediction
from ghn_init.sources import Source

Subject = nn.Module | ArchGraph | Prediction
#: Least and most pixels of a picture's side.
SIDES = (64, 16384)


class Drawing:
    """A network, drawn: shown by Jupyter as it is, and written by `save` as SVG, PNG or an interactive HTML page.

    Made by `draw`, whose arguments it takes.

    Attributes:
        graph: what is drawn.
        title: its title.
    """

    def __init__(
        self,
        subject: Subject,
        *,
        fold: bool = True,
        virtual_edges: int | None = None,
        title: str | None = None,
        size: tuple[int, int] | None = None,
        ghn: Source = None,
        example_inputs: Any = None,
    ) -> None:
        if virtual_edges is not None and not 2 <= virtual_edges <= VIRTUAL_EDGE_CUTOFF:
            raise DrawingError(
                f"virtual_edges is the length of the longest to draw, from 2 to {VIRTUAL_EDGE_CUTOFF}, "
                f"not {virtual_edges}"
            )
        if size is not None and not all(SIDES[0] <= side <= SIDES[1] for side in size):
            raise DrawingError(f"a picture has {SIDES[0]} to {SIDES[1]} pixels a side, not {size[0]} x {size[1]}")
        self._subject, self._ghn, self._example_inputs = subject, ghn, example_inputs
        self._fold, self._longest, self._size = fold, virtual_edges, size
        self.graph = _graph(subject, example_inputs)
        if not self.graph.nodes:
            raise DrawingError("the graph has no nodes to draw")
        self.title = _name(subject) if title is None else title

    @property
    def outline(self) -> Outline:
        """What is drawn: boxes, edges, and the repeated blocks."""
        return self._outline(self._fold)

    @cached_property
    def scene(self) -> Scene:
        """The geometry of the picture."""
        return self._scene(self._fold)

    def svg(self) -> str:
        """The picture as SVG text."""
        return svg(self.scene, self._size)

    def html(self) -> str:
        """The interactive page, one HTML file that needs no other and no network.

        It says how each parameter was predicted; a module is predicted for it, unless a `Prediction` is drawn.

        Raises:
            DrawingError: jinja2 is missing.
            GHNInitError: the module cannot be predicted.
        """
        views = {"folded": self._scene(True), "whole": self._scene(False)} if self._fold else {"whole": self.scene}
        outlines = {name: self._outline(name == "folded") for name in views}
        return page(self.graph, views, outlines, self.parameters, self._origin())

    def save(self, path: str | Path) -> Path:
        """Writes the file, as its suffix says: .svg, .png or .html.

        Raises:
            DrawingError: another suffix, or a library is missing.
            OSError: the place cannot be written to.
        """
        path = Path(path)
        write = self._writer(path)
        write(path)
        return path

    @cached_property
    def parameters(self) -> tuple[ParameterFacts, ...]:
        """What is known of each parameter, and how it was predicted."""
        module = self._subject if isinstance(self._subject, nn.Module) else None
        return parameter_facts(self.graph, module, self._prediction)

    @cached_property
    def _prediction(self) -> Prediction | None:
        if isinstance(self._subject, nn.Module):
            return predict(self._subject, self._ghn, example_inputs=self._example_inputs)
        return self._subject if isinstance(self._subject, Prediction) else None

    def _writer(self, path: Path) -> Callable[[Path], object]:
        writers: dict[str, Callable[[Path], object]] = {
            ".svg": lambda path: write_text_atomically(path, self.svg()),
            ".html": lambda path: write_text_atomically(path, self.html()),
            ".png": lambda path: write_atomically(path, lambda temporary: write_png(self.scene, temporary, self._size)),
        }
        check_suffix(path, tuple(writers))
        return writers[path.suffix.lower()]

    def _outline(self, fold: bool) -> Outline:
        return outline(self.graph, fold=fold)

    def _scene(self, fold: bool) -> Scene:
        plan = self._outline(fold)
        aspect = ASPECT if self._size is None else self._size[0] / self._size[1]
        return compose(plan, lay_out(plan, aspect), self.title, self._subtitle(plan), self._longest)

    def _subtitle(self, plan: Outline) -> str:
        graph = self.graph
        module = self._subject if isinstance(self._subject, nn.Module) else None
        given = self._subject if isinstance(self._subject, Prediction) else None
        count = total_count(parameter_facts(graph, module, given))
        parts = [f"{len(graph)} nodes", f"{len(graph.edges)} edges", f"{count:,} parameters"]
        if plan.groups:
            parts.append(f"repeated blocks are drawn once ({len(plan.boxes)} boxes)")
        if self._longest is not None:
            parts.append(f"dashed: virtual edges of 2 to {self._longest} steps")
        return " · ".join(parts)

    def _origin(self) -> str:
        prediction = self._prediction
        if prediction is None:
            return "Nothing was predicted for this graph."
        report = prediction.report
        return (
            f"Checkpoint {report.checkpoint}: {len(report.predicted)} of "
            f"{len(report.predicted) + len(report.left_alone)} tensors predicted, {report.share:.2%} of the parameters."
        )

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_html_(self) -> str:
        return f'<div style="max-height:46em;overflow:auto;background:#fff">{self.svg()}</div>'


def draw(
    subject: Subject,
    path: str | Path | None = None,
    *,
    fold: bool = True,
    virtual_edges: int | None = None,
    title: str | None = None,
    size: tuple[int, int] | None = None,
    ghn: Source = None,
    example_inputs: Any = None,
) -> Drawing:
    """Draws the graph of a network, top to bottom, long ones in several columns, coloured by node type.

    Args:
        subject: a module (on any device, the meta device too), its graph, or a prediction for it.
        path: file to write: .svg, .png, or .html for an interactive page; nothing is written by default.
        fold: whether blocks that are repeated one after another are drawn once, with their number.
        virtual_edges: draw virtual edges of up to this length too, from 2 to 50; none by default.
        title: the first line; by default the class of the module.
        size: width and height of the picture in pixels, in which it is fitted; by default what it needs.
        ghn: what predicts a module's weights for the page, as for `ghn_init.apply`.
        example_inputs: see `ghn_init.trace`.

    Returns:
        The drawing, which Jupyter shows.

    Raises:
        DrawingError: igraph, or for pages jinja2, or for PNG matplotlib is missing; or an argument out of range.
        TraceError: the module cannot be traced.
    """
    if path is not None:
        check_suffix(Path(path))
    drawing = Drawing(
        subject,
        fold=fold,
        virtual_edges=virtual_edges,
        title=title,
        size=size,
        ghn=ghn,
        example_inputs=example_inputs,
    )
    if path is not None:
        drawing.save(path)
    return drawing


def check_suffix(path: Path, known: tuple[str, ...] = (".svg", ".png", ".html")) -> None:
    """Raises `DrawingError` for a file of another kind than those known."""
    if path.suffix.lower() not in known:
        raise DrawingError(f"{path}: the suffix says what to write; known are {', '.join(known)}")


def _graph(subject: Subject, example_inputs: Any) -> ArchGraph:
    if isinstance(subject, ArchGraph):
        return subject
    if isinstance(subject, Prediction):
        return subject.graph
    if isinstance(subject, nn.Module):
        return trace(subject, example_inputs=example_inputs)
    raise TypeError(f"draw takes a torch.nn.Module, an ArchGraph or a Prediction, not {type(subject).__name__}")


def _name(subject: Subject) -> str:
    if isinstance(subject, Prediction):
        return subject.report.model
    return "Graph" if isinstance(subject, ArchGraph) else type(subject).__name__
