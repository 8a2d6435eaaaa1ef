"""Pictures of networks: the graph that a GHN reads, as SVG, PNG or an interactive page; and filters as images."""

from ghn_init.drawing.draw import Drawing, draw
from ghn_init.drawing.errors import DrawingError
from ghn_init.drawing.filters import draw_filters

__all__ = ["Drawing", "DrawingError", "draw", "draw_filters"]
