"""The look of each node type: hues by family, told apart by a marker and by the label as well.

Hues are those of Okabe and Ito's palette for colour-blind people, lightened so that dark text is legible on them.
"""

from __future__ import annotations

import dataclasses

#: Colour of the text on every node.
INK = "#111827"


@dataclasses.dataclass(frozen=True)
class Look:
    """How nodes of a type are drawn.

    Attributes:
        fill: colour of the box.
        stroke: colour of its border and of its marker, darker.
        marker: shape of the marker, one of `MARKERS`; no two types of one fill have the same.
        words: what the type is, for the legend.
    """

    fill: str
    stroke: str
    marker: str
    words: str


#: Corners of each marker in a square from -1 to 1; none for a circle.
MARKERS: dict[str, tuple[tuple[float, float], ...]] = {
    "circle": (),
    "square": ((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),
    "diamond": ((0.0, -1.1), (1.1, 0.0), (0.0, 1.1), (-1.1, 0.0)),
    "up": ((0.0, -1.0), (1.0, 0.8), (-1.0, 0.8)),
    "down": ((0.0, 1.0), (1.0, -0.8), (-1.0, -0.8)),
    "bar": ((-1.1, -0.4), (1.1, -0.4), (1.1, 0.4), (-1.1, 0.4)),
    "plus": (
        (-0.35, -1.0), (0.35, -1.0), (0.35, -0.35), (1.0, -0.35), (1.0, 0.35), (0.35, 0.35),
        (0.35, 1.0), (-0.35, 1.0), (-0.35, 0.35), (-1.0, 0.35), (-1.0, -0.35), (-0.35, -0.35),
    ),
    "cross": (
        (-0.95, -0.5), (-0.5, -0.95), (0.0, -0.45), (0.5, -0.95), (0.95, -0.5), (0.45, 0.0),
        (0.95, 0.5), (0.5, 0.95), (0.0, 0.45), (-0.5, 0.95), (-0.95, 0.5), (-0.45, 0.0),
    ),
    "hourglass": ((-0.9, -0.9), (0.9, -0.9), (-0.9, 0.9), (0.9, 0.9)),
}  # fmt: skip

_BLUE, _SKY, _GREEN = ("#a9cdf0", "#0b5394"), ("#cdeaf9", "#1f78a8"), ("#aee3c9", "#00694a")
_ORANGE, _YELLOW, _PINK = ("#fbd08a", "#8a5200"), ("#f8f0a0", "#6f6500"), ("#f0c4dc", "#8c2f66")
_RED, _GREY, _WHITE = ("#f6b89a", "#8f3600"), ("#dfe3e8", "#4b5563"), ("#ffffff", "#111827")

#: Each node type's look, in the order of the legend.
LOOKS: dict[str, Look] = {
    "input": Look(*_WHITE, "circle", "what the network reads"),
    "conv": Look(*_BLUE, "square", "convolution or linear layer"),
    "sep_conv": Look(*_BLUE, "diamond", "grouped or depthwise convolution"),
    "dil_conv": Look(*_BLUE, "hourglass", "dilated convolution"),
    "rnn": Look(*_BLUE, "up", "weights of a recurrent layer"),
    "bias": Look(*_SKY, "circle", "bias of a layer"),
    "bn": Look(*_ORANGE, "square", "batch norm"),
    "ln": Look(*_ORANGE, "bar", "layer norm"),
    "layer_scale": Look(*_ORANGE, "cross", "learned factor on the data"),
    "msa": Look(*_RED, "diamond", "self-attention"),
    "cse": Look(*_RED, "up", "squeeze and excitation"),
    "max_pool": Look(*_GREEN, "up", "max pooling"),
    "avg_pool": Look(*_GREEN, "bar", "average pooling"),
    "glob_avg": Look(*_GREEN, "down", "global average pooling"),
    "sum": Look(*_GREY, "plus", "sum of branches"),
    "mul": Look(*_GREY, "cross", "product of branches"),
    "concat": Look(*_GREY, "hourglass", "concatenation of branches"),
    "pos_enc": Look(*_PINK, "diamond", "position table"),
    "rel_pos": Look(*_PINK, "hourglass", "relative position table"),
    "embedding": Look(*_PINK, "square", "embedding table"),
    "token": Look(*_PINK, "circle", "learned tokens"),
}

#: The look of a type that the table lacks: one of a checkpoint's own vocabulary, or of a user's own rule.
OTHER = Look(*_YELLOW, "square", "a type of its own")


def look(node_type: str) -> Look:
    """How nodes of that type are drawn."""
    return LOOKS.get(node_type, OTHER)


def in_order(node_types: set[str]) -> list[str]:
    """Those types in the order of the legend, others last by name."""
    return [name for name in LOOKS if name in node_types] + sorted(node_types - LOOKS.keys())
