"""A prediction: parameters of a module that a GHN has worked out and nobody has written yet."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from torch import Tensor, nn

from ghn_init.calibration import calibrate as calibrate_module
from ghn_init.calibration.batches import batch_in, is_wanted
from ghn_init.calibration.state import restored_on_error
from ghn_init.contents import Contents
from ghn_init.errors import PredictionError
from ghn_init.graph.arch import ArchGraph, Node
from ghn_init.graph.vocabulary import restricted
from ghn_init.hypernet import GHN
from ghn_init.hypernet.plan import DecodePlan
from ghn_init.interrupts import uninterrupted
from ghn_init.options import Options
from ghn_init.rendering import Rendered
from ghn_init.report import Report
from ghn_init.saving import Progress, save_tensors
from ghn_init.sharding import MAX_SHARD_SIZE
from ghn_init.shares import shares

if TYPE_CHECKING:
    from ghn_init.explain.score import Familiarity


class Prediction(Rendered):
    """What a GHN predicts for a module; nothing is written before `load_into` or `save`.

    It holds the small states from which the parameters are decoded, not the parameters: each is worked out when it is
    asked for, and `load_into` decodes them one by one straight into the module.

    Attributes:
        graph: the module's graph.
        report: what is predicted, and what is left alone and why.
    """

    def __init__(
        self,
        module: nn.Module,
        graph: ArchGraph,
        ghn: GHN,
        *,
        checkpoint: str,
        options: Options,
        seconds: Mapping[str, float],
        plan: DecodePlan | None = None,
        example_inputs: Any = None,
    ) -> None:
        started = time.perf_counter()
        self.graph = graph
        self._module = module
        self._example_inputs = example_inputs
        self._factors: dict[str, float] = {}
        head = options.head
        self._plan = plan if plan is not None else ghn.plan(as_asked(graph, ghn, head), head=head is not False)
        parameters = dict(module.named_parameters())
        left_alone = dict(graph.left_out) | dict(self._plan.left_out)
        for name in self._plan.names:
            refusal = options.refusal(name)
            if refusal is not None:
                left_alone[name] = refusal
            elif not parameters[name].is_floating_point():
                left_alone[name] = f"dtype {parameters[name].dtype} is not a floating-point one"
        self._names = tuple(name for name in self._plan.names if name not in left_alone)
        self._shares = shares(options, self._plan, self._names)
        self.report = Report(
            model=type(module).__name__,
            checkpoint=checkpoint,
            traced=graph.traced,
            nodes=dict(graph.counts()),
            predicted={name: parameters[name].numel() for name in self._names},
            left_alone={name: (parameters[name].numel(), reason) for name, reason in left_alone.items()},
            tied=dict(graph.aliases),
            not_understood=dict(graph.not_understood),
            noise=options.noise,
            seed=options.seed,
            blend=options.blend,
            random_shares=self._shares,
            floor=options.floor,
            ceiling=options.ceiling,
            familiarity=_familiarity(ghn, graph, self._plan),
            seconds=dict(seconds) | {"predict": seconds.get("predict", 0.0) + time.perf_counter() - started},
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The predicted parameters."""
        return self._names

    def decoded(self, name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """How a predicted parameter comes about: the shape of the decoded block, and the shape that it is repeated to.

        Both are as the GHN sees the parameter: ``(length,)`` or (out, in, height, width).
        """
        return self._plan.block(name), self._plan.targets[name].shape

    @property
    def not_covered(self) -> tuple[str, ...]:
        """The parameters whose own values, all of them or some rows, remain: `save` needs a module that has them."""
        partly = [name for name in self._names if self._plan.kept_rows(name)]
        return (*self.report.left_alone, *partly)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self.report.predicted

    def __getitem__(self, name: str) -> Tensor:
        """A predicted parameter as `load_into` leaves it, to rounding: in its module's shape and dtype, on the CPU.

        Raises:
            KeyError: it is not predicted; the report has the reason.
        """
        if name not in self:
            reason = self.report.left_alone.get(name, (0, "the module has no such parameter"))[1]
            raise KeyError(f"{name} is not predicted: {reason}")
        value = self._empty(name)
        self._write({name: value})
        return value

    def items(self) -> Iterator[tuple[str, Tensor]]:
        """Names and values, decoded one at a time."""
        for name in self._names:
            yield name, self[name]

    def check(self, module: nn.Module | None = None) -> None:
        """Raises what `load_into` would raise, and writes nothing."""
        self._destinations(self._module if module is None else module)

    def load_into(self, module: nn.Module | None = None, *, calibrate: Any = False) -> nn.Module:
        """Writes the predicted parameters into a module in place and returns it.

        Parameters keep their identity, dtype, device, memory format and `requires_grad`; buffers and all that is not
        predicted stay as they are. Everything that can fail is checked before the first write, and a calibration that
        fails is undone.

        Args:
            module: a module with the same parameters; by default the one that the prediction is for.
            calibrate: whether to rescale the predicted weights so that each layer's output has unit variance: True on
                random numbers, a batch or a loader on that (see `ghn_init.calibrate`). The report has the factors,
                and they belong to the prediction from then on: `save` applies them as well.

        Raises:
            PredictionError: a parameter is missing, has another shape or no memory (meta device).
            CalibrationError: the module does not run on the batch, or its outputs are not finite.
        """
        module = self._module if module is None else module
        started = time.perf_counter()
        destinations = self._destinations(module)
        wanted = is_wanted(calibrate)
        factors, self._factors = self._factors, {} if wanted else self._factors
        try:
            with restored_on_error(module, self._names) if wanted else contextlib.nullcontext():
                with uninterrupted():
                    self._write(destinations)
                self.report.seconds["write"] = time.perf_counter() - started
                if wanted:
                    self._calibrate(module, batch_in(calibrate))
        except BaseException:
            self._factors = factors
            raise
        return module

    def _calibrate(self, module: nn.Module, batch: Any) -> None:
        started = time.perf_counter()
        report = calibrate_module(
            module, batch, names=self._names, example_inputs=self._example_inputs, seed=self.report.seed
        )
        self._factors = report.changed
        self.report.calibration = report
        self.report.seconds["calibrate"] = time.perf_counter() - started

    def save(
        self,
        path: str | Path,
        *,
        module: nn.Module | None = None,
        only_predicted: bool = False,
        force: bool = False,
        dtype: torch.dtype | None = None,
        max_shard_size: int | str = MAX_SHARD_SIZE,
        progress: Progress | None = None,
    ) -> Path:
        """Writes the network's weights, parameter by parameter: they are never in memory together.

        A path ending in .safetensors is a file, which `safetensors.torch.load_model`, timm's `checkpoint_path` and
        others read. Any other is a folder laid out as on the Hugging Face Hub: ``model.safetensors``, or shards with an
        index, which `huggingface_hub.load_torch_model` and transformers' `from_pretrained` read. Either is there
        completely or not at all, also when the process is killed. The same prediction gives the same bytes.

        Args:
            path: the file or folder.
            module: a module with the same parameters, whose values of all that is not predicted, buffers included, go
                into the file, so that it is complete; by default the one that the prediction is for.
            only_predicted: leave out what is not predicted.
            force: overwrite weights that are there.
            dtype: of floating-point tensors; by default each tensor's own.
            max_shard_size: most bytes of a file in a folder, such as "500MB"; a larger tensor gets a file of its own.
            progress: called with the bytes written so far and those of all, from another thread.

        Raises:
            PredictionError: a tensor that is not predicted has no values to save (meta device), or a predicted one is
                out of the range of the dtype.
            FileExistsError: there are weights already and `force` is not set.
            OSError: the place cannot be written to, or is too small.
        """
        started = time.perf_counter()
        source = self._module if module is None else module
        contents = Contents(source, self._plan, self.names, self.report.tied, dtype, only_predicted=only_predicted)
        for slot in contents.slots:
            target = contents.predicted.get(slot.name)
            if target is not None and not self._fits(target, slot.dtype):
                raise PredictionError(f"{slot.name} has predictions beyond the range of {slot.dtype}")
        from ghn_init import __version__  # which imports this module

        metadata = {
            "format": "pt",
            "ghn_init.checkpoint": self.report.checkpoint,
            "ghn_init.model": self.report.model,
            "ghn_init.seed": str(self.report.seed),
            "ghn_init.noise": repr(self.report.noise),
            "ghn_init.blend": json.dumps(self.report.blend),
            "ghn_init.floor": repr(self.report.floor),
            "ghn_init.ceiling": repr(self.report.ceiling),
            "ghn_init.version": __version__,
            "ghn_init.predicted": f"{len(self)} tensors, {self.report.n_predicted} parameters",
            "ghn_init.left_alone": f"{len(self.report.left_alone)} tensors, {self.report.n_left_alone} parameters",
        }

        def fill(tensors: dict[str, Tensor]) -> None:
            for destinations in contents.fill(tensors):
                self._write(destinations)

        written = save_tensors(
            Path(path),
            contents.slots,
            fill,
            metadata,
            force=force,
            max_shard_size=max_shard_size,
            progress=progress,
        )
        self.report.seconds["save"] = time.perf_counter() - started
        return written

    def _empty(self, name: str) -> Tensor:
        """Memory for a parameter, with the present values of what a prediction may not cover (class tokens' rows)."""
        present = self._module.get_parameter(name).detach()
        if not self._plan.kept_rows(name):
            return torch.empty(present.shape, dtype=present.dtype)
        if present.is_meta:
            return torch.zeros(present.shape, dtype=present.dtype)
        return present.to("cpu", copy=True).contiguous()

    def _destinations(self, module: nn.Module) -> dict[str, Tensor]:
        parameters = dict(module.named_parameters(remove_duplicate=False))
        problems = []
        for name in self._names:
            parameter, shape = parameters.get(name), self._plan.shape(name)
            if parameter is None:
                problems.append(f"{name} is missing")
            elif tuple(parameter.shape) != tuple(shape):
                problems.append(f"{name} has shape {tuple(parameter.shape)}, predicted is {tuple(shape)}")
            elif parameter.is_meta:
                problems.append(f"{name} is on the meta device, call module.to_empty(device=...) first")
            elif _overlaps(parameter):
                problems.append(f"{name} has elements that share memory (an expanded tensor), clone it first")
            elif not parameter.is_floating_point():
                problems.append(f"{name} has dtype {parameter.dtype}, which is not a floating-point one")
            elif not self._fits(name, parameter.dtype):
                problems.append(f"{name} has predictions beyond the range of {parameter.dtype}")
        if problems:
            more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
            raise PredictionError(f"cannot write into {type(module).__name__}: {'; '.join(problems[:3])}{more}")
        return {name: parameters[name].detach() for name in self._names}

    def _fits(self, name: str, dtype: torch.dtype) -> bool:
        limit = torch.finfo(dtype).max / max(1.0, self._factors.get(name, 1.0))
        share = self._shares.get(name, 0.0)
        if self._plan.bound(name, share, self.report.floor) <= limit:
            return True
        # as it is written first, before it is scaled down to the ceiling
        whole = self._plan.materialise(name, seed=self.report.seed, blend=share, floor=self.report.floor)
        return float(whole.abs().amax()) <= limit

    def _write(self, destinations: dict[str, Tensor]) -> None:
        report = self.report
        report.replaced |= self._plan.write_all(
            destinations,
            noise=report.noise,
            seed=report.seed,
            blend=self._shares,
            floor=report.floor,
            ceiling=report.ceiling,
        )
        for name in destinations.keys() & self._factors.keys():
            destinations[name].mul_(self._factors[name])

    def __rich_console__(self, console: Console, options: Any) -> Any:
        yield self.report


def _overlaps(tensor: Tensor) -> bool:
    """Whether several elements are one in memory, as in `Tensor.expand`, so that nothing can be written."""
    return any(size > 1 and stride == 0 for size, stride in zip(tensor.shape, tensor.stride(), strict=True))


def _familiarity(ghn: GHN, graph: ArchGraph, plan: DecodePlan) -> Familiarity | None:
    if ghn.info is None or not ghn.info.familiarity:
        return None
    from ghn_init.explain.score import familiarity  # which imports this module

    return familiarity(ghn, restricted(graph, ghn.config.node_types), plan.embedding)


def as_asked(graph: ArchGraph, ghn: GHN, head: bool | None) -> ArchGraph:
    """The graph; if `head` is True, with a head of another number of classes as an ordinary layer."""
    if not head:
        return graph

    def plain(node: Node) -> Node:
        other = node.head and node.shape is not None and node.shape[0] != ghn.config.num_classes
        return dataclasses.replace(node, head=False) if other else node

    return dataclasses.replace(graph, nodes=tuple(plain(node) for node in graph.nodes))
