"""What goes into the files of a network: predictions, and the module's own values of the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import torch
from torch import Tensor, nn

from ghn_init.errors import PredictionError
from ghn_init.hypernet.plan import DecodePlan
from ghn_init.tensorfile import Slot


class Contents:
    """The tensors of a module's state dict: which there are, and how each gets its values.

    Args:
        module: whose values of what is not predicted are written.
        plan: the predictions.
        names: the parameters to predict.
        tied: further names of parameters that have several, each with the one under which it may be predicted.
        dtype: of floating-point tensors; None for each tensor's own.
        only_predicted: leave out what is not predicted.

    Attributes:
        slots: the tensors, in the order of the state dict.
        predicted: for the name of each predicted tensor, the parameter that is predicted.

    Raises:
        PredictionError: a tensor has no values to write, or its shape is not the predicted one.
    """

    def __init__(
        self,
        module: nn.Module,
        plan: DecodePlan,
        names: Collection[str],
        tied: Mapping[str, str],
        dtype: torch.dtype | None,
        *,
        only_predicted: bool,
    ) -> None:
        self._plan = plan
        state = module.state_dict()
        self.predicted = {name: name for name in names}
        self.predicted |= {name: target for name, target in tied.items() if target in self.predicted}
        self._state = {name: tensor for name, tensor in state.items() if not only_predicted or name in self.predicted}
        for name in self.predicted:
            self._check(module, name)
        if not only_predicted:
            self._check_values()
        self.slots = [
            Slot(name, dtype if dtype and tensor.is_floating_point() else tensor.dtype, tuple(tensor.shape))
            for name, tensor in self._state.items()
        ]

    def fill(self, tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
        """Writes the module's own values into some of the tensors, and yields the others, to be predicted.

        Args:
            tensors: by their names in the state dict.

        Yields:
            Tensors by the names of predicted parameters. Leading rows of them that are not predicted have their values.
        """
        first: dict[str, Tensor] = {}
        for name, tensor in tensors.items():
            target = self.predicted.get(name)
            if target is None:
                tensor.copy_(self._state[name])
                continue
            if self._plan.kept_rows(target):
                tensor.zero_() if self._state[name].is_meta else tensor.copy_(self._state[name])
            if target in first:
                yield {target: tensor}
            else:
                first[target] = tensor
        yield first

    def _check(self, module: nn.Module, name: str) -> None:
        tensor = self._state.get(name)
        if tensor is None:
            raise PredictionError(f"{name} is missing in the state dict of {type(module).__name__}")
        shape = self._plan.shape(self.predicted[name])
        if tuple(tensor.shape) != shape:
            raise PredictionError(f"{name} has shape {tuple(tensor.shape)}, predicted is {shape}")

    def _check_values(self) -> None:
        for name, tensor in self._state.items():
            target = self.predicted.get(name)
            if not isinstance(tensor, Tensor):
                raise PredictionError(
                    f"{name} in the state dict is a {type(tensor).__name__}, which a safetensors file cannot hold; "
                    "save with only_predicted=True"
                )
            if tensor.is_meta and (target is None or self._plan.kept_rows(target)):
                raise PredictionError(
                    f"{name} is not {'wholly ' if target else ''}predicted and has no values (meta device); pass a "
                    "module that has them as module=, or save with only_predicted=True"
                )
