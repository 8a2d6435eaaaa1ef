"""A scene as a PNG file, drawn by matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ghn_init.drawing.errors import needed
from ghn_init.drawing.layout import FRAME_STRIP
from ghn_init.drawing.palette import INK, MARKERS, look
from ghn_init.drawing.scene import Line, Rect, Scene, steps
from ghn_init.drawing.svg import ARC, EDGE, FAINT, FRAME, FRAME_FILL, PAPER, clean, shortened

#: Pixels for each unit of a scene, unless a size is asked for.
SCALE = 2.0
#: Most pixels of a side: what image viewers can be expected to open.
LARGEST = 16384
#: Pixels of a picture beyond which it is drawn smaller, but not smaller than a pixel for each unit.
MANY = 2.4e7
_DPI = 72.0


def write_png(scene: Scene, path: Path, size: tuple[int, int] | None = None) -> None:
    """Writes the picture.

    Args:
        scene: what to draw.
        path: the file.
        size: width and height in pixels, in which the picture is fitted and centred; by default `SCALE` pixels for
            each unit of the scene, fewer for one of more than `MANY` pixels or a side of more than `LARGEST`.
    """
    scale = min(SCALE, max(1.0, (MANY / (scene.width * scene.height)) ** 0.5), LARGEST / max(scene.width, scene.height))
    width, height = size or (round(scene.width * scale), round(scene.height * scale))
    scale = min(width / scene.width, height / scene.height)
    figure_class = needed("matplotlib.figure").Figure
    plain = {"font.family": "DejaVu Sans", "text.usetex": False, "text.parse_math": False}
    with needed("matplotlib").rc_context(plain):
        figure = figure_class(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=PAPER)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        beside, above = (width / scale - scene.width) / 2, (height / scale - scene.height) / 2
        axes.set_xlim(-beside, scene.width + beside)
        axes.set_ylim(scene.height + above, -above)
        _Painter(axes, scale).paint(scene)
        figure.savefig(path, format="png", dpi=_DPI, facecolor=PAPER, pil_kwargs={"compress_level": 4})


class _Painter:
    """Puts a scene's parts on matplotlib axes whose data units are the scene's."""

    def __init__(self, axes: Any, scale: float) -> None:
        self.axes, self.scale = axes, scale
        self.patches, self.path = needed("matplotlib.patches"), needed("matplotlib.path").Path
        self.collections = needed("matplotlib.collections")

    def paint(self, scene: Scene) -> None:
        self._text(24, 42, scene.title, 17, weight="bold")
        self._text(24, 61, scene.subtitle, 11, color=FAINT)
        for entry in scene.legend:
            self._shape(entry.type, entry.rect, entry.rect.x + entry.rect.width / 2)
            self._text(entry.rect.right + 8, entry.rect.y + 12, entry.words, 11)
        for frame in scene.frames:
            self._round(frame.rect, 7, FRAME_FILL, FRAME, linestyle=(0, (5, 3)), zorder=1)
            x = frame.rect.x + FRAME_STRIP / 2 + 2
            self._text(x, frame.rect.y + 17, f"×{frame.times}", 12, weight="bold", ha="center")
            words = shortened(frame.words, int((frame.rect.height - 34) / 6.0))
            self._text(x + 4, frame.rect.bottom - 8, words, 10.5, color=FAINT, rotation=90, va="bottom", ha="right")
        paths = [self._line(line) for line in scene.lines]
        self._collect(paths, EDGE, 1.2, 2)
        heads = [
            self.path([(x - 3, y - 5), (x, y), (x + 3, y - 5), (x - 3, y - 5)])
            for x, y in dict.fromkeys(line.points[-1] for line in scene.lines)
        ]
        self._collect(heads, EDGE, 0.4, 2, facecolors=EDGE)
        for arc in scene.arcs:
            bow = self.path(arc.points, [self.path.MOVETO, self.path.CURVE3, self.path.CURVE3])
            self._collect([bow], ARC, 0.8, 3, alpha=max(0.25, 1.4 / arc.length), linestyles=[(0, (3, 2))])
        for box in scene.boxes:
            self._shape(box.type, box.rect, box.rect.x + 13)
            self._text(box.rect.x + 25, box.rect.y + box.rect.height / 2 + 4, box.label, 11)

    def _text(self, x: float, y: float, text: str, size: float, color: str = INK, **style: Any) -> None:
        at = {"va": "baseline", "ha": "left"} | style
        self.axes.text(x, y, clean(text), fontsize=size * self.scale, color=color, zorder=6, **at)

    def _shape(self, node_type: str, rect: Rect, x: float) -> None:
        style, y, radius = look(node_type), rect.y + rect.height / 2, 4.5
        self._round(rect, 4, style.fill, style.stroke, zorder=4)
        corners = MARKERS[style.marker]
        filled = {"facecolor": style.stroke, "edgecolor": "none", "zorder": 5}
        if corners:
            marker = self.patches.Polygon([(x + radius * dx, y + radius * dy) for dx, dy in corners], **filled)
        else:
            marker = self.patches.Circle((x, y), radius, **filled)
        self.axes.add_artist(marker)

    def _round(self, rect: Rect, radius: float, fill: str, stroke: str, **style: Any) -> None:
        shape = f"round,pad=0,rounding_size={radius}"
        corner = (rect.x, rect.y)
        colours = {"facecolor": fill, "edgecolor": stroke, "linewidth": self.scale}
        self.axes.add_artist(
            self.patches.FancyBboxPatch(corner, rect.width, rect.height, boxstyle=shape, **colours, **style)
        )

    def _line(self, line: Line) -> Any:
        points, codes = [line.points[0]], [self.path.MOVETO]
        for step in steps(line.points):
            points += [*(step.controls or ()), step.end]
            codes += [self.path.CURVE4] * 3 if step.controls else [self.path.LINETO]
        return self.path(points, codes)

    def _collect(self, paths: list[Any], colour: str, width: float, order: int, **style: Any) -> None:
        look_of = {"facecolors": "none"} | style
        self.axes.add_collection(
            self.collections.PathCollection(
                paths, edgecolors=colour, linewidths=width * self.scale, zorder=order, **look_of
            ),
            autolim=False,
        )
