"""Prediction for inference: parameters are written one piece after the other into where they belong."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, cast

import torch
from torch import Tensor

from ghn_init.errors import PredictionError
from ghn_init.hypernet.blending import blended, mixture
from ghn_init.hypernet.noise import Noise, NoisePool
from ghn_init.hypernet.scale import lowered
from ghn_init.hypernet.stream import Stream
from ghn_init.hypernet.targets import Target
from ghn_init.hypernet.writing import kernel_views, write

#: Bytes of predictions from which on it pays, and hardly counts, to lay out more noise.
MUCH = 2**26


#: Deviations of normal noise beyond which hardly any number lies (2e-9 of them).
FARTHEST = 6.0


class Vector(NamedTuple):
    """A one-dimensional prediction, to be repeated: its numbers, and one that none of them exceeds in size."""

    values: Tensor
    bound: float


def _numbers(scalars: Collection[Tensor]) -> list[float]:
    """The values of scalars, waiting for their device once."""
    return torch.stack(list(scalars)).tolist() if scalars else []


class DecodePlan:
    """The parameters of a network, all but decoded: from here on nothing can fail, and little memory is needed.

    Made by `GHN.plan`. Holds the hidden features before the decoder's last layer, all known to be finite, and bounds on
    what the last layer makes of them. Reads the GHN's weights until it is gone.

    Attributes:
        targets: what can be predicted, by parameter name, in the order of the graph's nodes.
        left_out: parameters that the graph has a node for, but that are not predicted, each with the reason.
        embedding: the mean of the nodes' states: float32, (hid,), on the GHN's device.

    Raises:
        PredictionError: a prediction is not finite, or could be too large for float32, with the parameter's name.
    """

    def __init__(
        self,
        wanted: Iterable[Target],
        vectors: Mapping[str, Vector],
        stream: Stream | None,
        left_out: dict[str, str],
        embedding: Tensor,
    ) -> None:
        self.targets = {target.name: target for target in wanted}
        self.left_out = left_out
        self.embedding = embedding
        self._vectors = vectors
        self._stream = stream
        self._members = {name: index for index, name in enumerate(n for n in self.targets if n not in vectors)}
        self._order = list(self._members)
        self._bounds = dict(zip(self._order, stream.bounds() if stream else [], strict=True))
        self._bounds.update((name, vector.bound) for name, vector in vectors.items())
        limit = torch.finfo(torch.float32).max
        wrong = [name for name, bound in self._bounds.items() if not bound <= limit]
        if wrong:
            raise PredictionError(
                f"the GHN's predictions for {len(wrong)} parameters, {wrong[0]} among them, are not finite: its "
                "weights or the states that it computes for this graph are out of range"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that can be predicted, in the order of the graph's nodes."""
        return tuple(self.targets)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a parameter in its module."""
        return self.targets[name].param_shape

    def kept_rows(self, name: str) -> int:
        """How many leading rows (class tokens) of a position table are not predicted; `write_all` leaves them alone."""
        return self.targets[name].kept_rows

    def block(self, name: str) -> tuple[int, ...]:
        """The shape, as the GHN sees it, of what is decoded for a parameter and repeated to `targets[name].shape`."""
        if name in self._vectors:
            return tuple(self._vectors[name].values.shape)
        target = self.targets[name]
        out, *rest = cast(Stream, self._stream).decoder.block_size(target)
        return target.shape[0] if target.kind == "class_block" else out, *rest

    def blends(self, name: str) -> bool:
        """Whether `write_all` can mix random numbers into a parameter: one of two dimensions or more."""
        return name in self._members

    def bound(self, name: str, blend: float = 0.0, floor: float = 0.0) -> float:
        """A number that no predicted element exceeds in size, noise apart: whether float16 can hold them all.

        Args:
            name: one of `names`.
            blend: the share of random numbers in it.
            floor: as for `write_all`.
        """
        kept, random = mixture(blend)
        mixed = self._bounds[name] * (kept + random * FARTHEST if name in self._members else 1.0)
        return max(mixed, self.targets[name].he * FARTHEST) if blend and floor else mixed

    def materialise(
        self,
        name: str,
        *,
        noise: float = 0.0,
        seed: int = 0,
        blend: float = 0.0,
        floor: float = 0.0,
        ceiling: float = 0.0,
    ) -> Tensor:
        """One parameter in its module's shape: float32, on the GHN's device; rows that are not predicted are zeros.

        Args:
            name: one of `names`.
            noise: standard deviation of the noise to add; 0 for none.
            seed: of the noise.
            blend: share of random numbers, as for `write_all`.
            floor: as for `write_all`.
            ceiling: as for `write_all`.
        """
        device = self._stream.device if self._stream and name in self._members else self._vectors[name].values.device
        whole = torch.zeros(self.shape(name), device=device)
        self.write_all({name: whole}, noise=noise, seed=seed, blend={name: blend}, floor=floor, ceiling=ceiling)
        return whole

    @torch.inference_mode()
    def write_all(
        self,
        destinations: Mapping[str, Tensor],
        *,
        noise: float = 0.0,
        seed: int = 0,
        blend: Mapping[str, float] | None = None,
        floor: float = 0.0,
        ceiling: float = 0.0,
    ) -> dict[str, float]:
        """Writes predictions into tensors of any float dtype, on any device, with any strides.

        Needs memory for a small part of the predictions at a time. The same GHN, graph, noise and seed give the same
        numbers, whichever other parameters are written along, and in whatever order; to rounding, since some libraries
        round products of matrices by how many rows these have.

        Args:
            destinations: tensors by parameter name; all or some of `names`.
            noise: standard deviation of the noise to add; 0 for none.
            seed: of the noise and of the random numbers.
            blend: by name, the share of random numbers in a parameter of two dimensions or more; 0 where it has none.
                Each row (out channel) keeps its root mean square: with w the prediction, r normal numbers of the
                same root mean square and b the share, it becomes ((1 - b) w + b r) / sqrt((1 - b)^2 + b^2).
            floor: share of the deviation of He's initialisation. Where random numbers are mixed in, rows of weights
                whose root mean square is smaller become normal numbers of that deviation.
            ceiling: share of that deviation, or 0. Where random numbers are mixed in, weights whose scale changes
                nothing (`Target.free`) are scaled down to it as a whole, if their root mean square is larger.

        Returns:
            By name, the share of a weight's rows that became such numbers; weights without any are left out.

        Raises:
            PredictionError: a name that is not predicted, or a tensor of another shape or of an integer dtype. Nothing
                has been written then.
        """
        self._check(destinations)
        size = 4 * sum(self.targets[name].numel for name in destinations)
        shares = {name: share for name, share in (blend or {}).items() if share}
        copies = 8 if size > MUCH else 2
        pool = NoisePool(noise, seed, copies) if noise else None
        unit = NoisePool(1.0, seed, copies) if shares else None
        for name, destination in destinations.items():
            if name in self._vectors:
                values = self._vectors[name].values
                self._write(destination, name, values, 0, values.shape[0], pool)
        members = [self._members[name] for name in destinations if name in self._members]
        replaced: dict[str, Tensor] = {}
        if self._stream is None or not members:
            return {}
        with torch.autocast(self._stream.device.type, enabled=False):
            for rows in self._stream.rows(members):
                name = self._order[rows.member]
                he = self.targets[name].he
                mixed = blended(rows.values, shares.get(name, 0.0), noise, he=he, floor=floor)
                numbers = pool if mixed.amplitude is None else unit
                self._write(destinations[name], name, mixed.part, rows.first, rows.period, numbers, mixed.amplitude)
                if mixed.replaced is not None:
                    out = self.targets[name].shape[0]
                    places = torch.arange(rows.first, rows.first + len(mixed.replaced), device=rows.values.device)
                    repeats = -((places - out) // rows.period)  # the last tile may be cut
                    replaced[name] = replaced.get(name, 0.0) + (mixed.replaced * repeats).sum() / out
        for name in shares.keys() & destinations.keys() if ceiling else ():
            if self.targets[name].free:
                lowered(destinations[name], ceiling * self.targets[name].he)
        return {name: share for name, share in zip(replaced, _numbers(replaced.values()), strict=True) if share}

    def _check(self, destinations: Mapping[str, Tensor]) -> None:
        for name, tensor in destinations.items():
            if name not in self.targets:
                raise PredictionError(f"{name} is not among the predicted parameters")
            if tuple(tensor.shape) != self.shape(name) or not tensor.is_floating_point():
                raise PredictionError(
                    f"{name} cannot be written into a {tensor.dtype} tensor of shape {tuple(tensor.shape)}: it needs "
                    f"floating-point numbers and shape {self.shape(name)}"
                )

    def _write(
        self,
        destination: Tensor,
        name: str,
        block: Tensor,
        first: int,
        period: int,
        pool: NoisePool | None,
        amplitude: Tensor | None = None,
    ) -> None:
        target = self.targets[name]
        views = kernel_views(destination, target)
        if views is None:
            # No view of these strides has the kernel's shape: a detour by a tensor with plain ones.
            plain = destination.contiguous()
            self._write(plain, name, block, first, period, pool, amplitude)
            destination.copy_(plain)
            return
        device = destination.device
        block, amplitude = block.to(device), None if amplitude is None else amplitude.to(device)
        for step, view in enumerate(views):
            extra = None if pool is None else Noise(pool, name, step * math.prod(target.shape), device)
            write(view, block, first, period, extra, amplitude)
