"""What is to be predicted for a graph: one `Target` for each parameter."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Literal

from ghn_init.errors import PredictionError
from ghn_init.graph.arch import ArchGraph, Node
from ghn_init.hypernet.config import GHNConfig
from ghn_init.hypernet.encoder import four_dimensions
from ghn_init.hypernet.normalise import FACTOR, OFFSET, fan_in_scale

#: How a target comes about: from the vector decoder or the block decoder, or from either followed by a class layer.
Kind = Literal["vector", "block", "class_vector", "class_block"]

#: Node types whose parameters multiply no inputs.
_NO_WEIGHTS = frozenset({"pos_enc", "token", "rel_pos", "layer_scale", "embedding"})
#: Node types whose parameters are vectors of factors and offsets, over how many dimensions whatever.
_NORMS = frozenset({"bn", "ln"})


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """One parameter to predict.

    Attributes:
        name: qualified name of the parameter.
        node: index of the node, in its graph, whose state is decoded.
        kind: which decoders make it.
        row: for vectors, the row of the vector decoder's output, `FACTOR` or `OFFSET`.
        shape: the shape as the GHN sees it: ``(length,)`` for vectors, else (out, in, height, width).
        depth: sides of a third kernel dimension, along which the kernel is repeated (Carreira & Zisserman, 2017,
            section 2.4.1).
        scale: factor of the fan-in normalisation, 1 where there is none.
        param_shape: the shape of the parameter in its module.
        table: whether the parameter is a table of positions, one row of channels for each place of the kernel.
        kept_rows: leading rows of a table for which nothing is predicted (the class token's).
        transposed: whether the parameter is a matrix stored as (in, out).
        he: standard deviation of He's initialisation; 0 for vectors, heads, tables and tokens, which it is not for.
        free: whether the scale of the parameter changes nothing (`ghn_init.graph.scale`).
    """

    name: str
    node: int
    kind: Kind
    row: int
    shape: tuple[int, ...]
    depth: int
    scale: float
    param_shape: tuple[int, ...]
    table: bool = False
    kept_rows: int = 0
    transposed: bool = False
    he: float = 0.0
    free: bool = False

    @property
    def numel(self) -> int:
        """Number of elements that are predicted."""
        return math.prod(self.shape) * self.depth

    def block_size(self, largest: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """What the block decoder makes of it: (out, in, height, width), with at most the channels of `largest`."""
        out, inner, height, width = self.shape
        return min(out, largest[0]), min(inner, largest[1]), height, width

    def periods(self, largest: tuple[int, int, int, int]) -> tuple[int, int] | None:
        """After how many numbers the parameter repeats, as the decoder makes blocks of at most `largest`.

        Returns:
            The number along its first dimension and that along its second one (1 for vectors); they are the sizes of
            the dimensions where nothing is repeated. None where its numbers lie in another order than the block's.
        """
        apart = self.table or self.transposed or self.depth > 1 or self.param_shape[:2] != self.shape[:2]
        if apart:
            return None
        rows = self.shape[0] if self.kind in ("class_vector", "class_block") else min(self.shape[0], largest[0])
        return rows, min(self.shape[1], largest[1]) if len(self.shape) > 1 else 1


def targets(graph: ArchGraph, config: GHNConfig, *, head: bool = True) -> tuple[list[Target], dict[str, str]]:
    """What a GHN predicts for a graph, in the order of its nodes, and the parameters that it leaves out, with reasons.

    A parameter that several nodes use is predicted from the first of them.

    Args:
        graph: the network.
        config: the GHN's configuration.
        head: whether the classifier head is wanted. It is left out in any case if its number of classes is not
            the GHN's own.

    Raises:
        PredictionError: a parameter whose shape does not fit its node's, named.
    """
    wanted: list[Target] = []
    left_out: dict[str, str] = {}
    seen: set[str | None] = set()
    for index, node in enumerate(graph.nodes):
        if node.param is None or node.param in seen:
            continue
        reason = _head_reason(node, config, head) if node.head else None
        if reason is not None:
            left_out[node.param] = reason
            continue
        seen |= {node.param, node.rider}
        row = OFFSET if node.type == "bias" else FACTOR
        target = _target(node.param, row, index, node, config)
        wanted.append(
            dataclasses.replace(target, free=True) if node.param in graph.scale_free and target.he else target
        )
        if node.rider is not None:
            shape = node.rider_shape
            riding = node if shape is None else dataclasses.replace(node, shape=shape, param_shape=shape)
            wanted.append(_target(node.rider, OFFSET, index, riding, config))
    return wanted, left_out


def by_kind(wanted: Iterable[Target]) -> dict[Kind, list[Target]]:
    """The targets of each kind that occurs."""
    kinds: dict[Kind, list[Target]] = {}
    for target in wanted:
        kinds.setdefault(target.kind, []).append(target)
    return kinds


def _head_reason(node: Node, config: GHNConfig, head: bool) -> str | None:
    classes = (node.shape or (0,))[0]
    if not head:
        return "classifier head, not asked for"
    if classes != config.num_classes:
        return f"classifier head of {classes} classes, the checkpoint was trained on {config.num_classes}"
    return None


def _target(name: str, row: int, index: int, node: Node, config: GHNConfig) -> Target:
    shape = node.shape
    if shape is None:
        raise PredictionError(f"parameter {name} at node {index} ({node.type}, {node.source}) has no shape")
    if len(shape) > 5:
        raise PredictionError(f"parameter {name} of shape {shape} has more dimensions than the 5 that a GHN knows")
    param_shape = shape if node.param_shape is None else node.param_shape
    if len(shape) < 2 or node.type in _NORMS:
        return Target(
            name=name,
            node=index,
            kind="class_vector" if node.head and row == OFFSET else "vector",
            row=row,
            shape=(math.prod(shape),),
            depth=1,
            scale=1.0,
            param_shape=_checked(name, param_shape, math.prod(shape)),
        )
    kernel = four_dimensions(shape)
    depth = shape[2] if len(shape) == 5 else 1
    table, kept = _table_rows(name, node.type, kernel, shape, param_shape)
    kind: Kind = "class_block" if node.head and kernel[2:] == (1, 1) else "block"
    return Target(
        name=name,
        node=index,
        kind=kind,
        row=row,
        shape=kernel,
        depth=depth,
        scale=fan_in_scale(shape) if config.weight_norm and node.type != "pos_enc" else 1.0,
        param_shape=param_shape if table else _checked(name, param_shape, math.prod(shape)),
        table=table,
        kept_rows=kept,
        transposed=len(shape) == 2 and param_shape == shape[::-1] != shape,
        he=0.0 if node.head or node.type in _NO_WEIGHTS else fan_in_scale(shape),
    )


def _table_rows(
    name: str,
    node_type: str,
    kernel: tuple[int, int, int, int],
    shape: tuple[int, ...],
    param_shape: tuple[int, ...],
) -> tuple[bool, int]:
    """Whether the parameter is a table (positions, channels), not a kernel, and how many rows precede the grid's."""
    _, channels, height, width = kernel
    if node_type != "pos_enc" or param_shape == shape or param_shape[-1] != channels:
        return False, 0
    rows = math.prod(param_shape[:-1])
    if rows < height * width:
        raise PredictionError(
            f"position table {name} of shape {param_shape} has fewer rows than its {height}x{width} grid"
        )
    return True, rows - height * width


def _checked(name: str, param_shape: tuple[int, ...], numel: int) -> tuple[int, ...]:
    if math.prod(param_shape) != numel:
        raise PredictionError(
            f"parameter {name} of shape {param_shape} does not have the {numel} elements of its node's shape"
        )
    return param_shape
