"""timm's own models at any width and depth, as data."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import timm
import torch
from torch import nn

from ghn_init.deepnets.spec import checked
from ghn_init.deepnets.statistics import use_batch_statistics
from ghn_init.deepnets.timm_families import FAMILIES
from ghn_init.graph import trace
from ghn_init.graph.arch import ArchGraph
from ghn_init.graph.skip_init import skip_init

#: Time on CPU as for so many multiply-adds of a plain convolution: of each multiply-add, and of the starting of all
#: operations; a fit to training steps (`benchmarks/loads.py`).
PACE, START = 2.6, 26_000_000.0

#: Names and values of further arguments.
Variant = tuple[tuple[str, Any], ...]


@dataclasses.dataclass(frozen=True)
class TimmArchitecture:
    """A model of timm, scaled.

    Attributes:
        family: one of `ghn_init.deepnets.timm_families.FAMILIES`.
        model: one of the family's.
        width: of the model; what that is, the family's options say.
        depths: blocks of each stage.
        variant: further arguments, of those that the family has, and their values.
    """

    kind: ClassVar[str] = "timm"

    family: str
    model: str
    width: int
    depths: tuple[int, ...]
    variant: Variant = ()

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"unknown family {self.family!r}; known are {', '.join(FAMILIES)}")
        family = FAMILIES[self.family]
        if self.model not in family.models:
            raise ValueError(f"unknown model {self.model!r} of {self.family}; known are {', '.join(family.models)}")
        if len(self.depths) != len(family.depths) or min(self.depths) < 1 or self.width < 1:
            raise ValueError(
                f"width={self.width} and depths={self.depths} must be positive, with {len(family.depths)} stages"
            )
        for name, value in self.variant:
            if value not in family.variants.get(name, {}):
                raise ValueError(
                    f"{name}={value!r} is not among the variants of {self.family}: "
                    f"{', '.join(f'{key} of {list(values)}' for key, values in family.variants.items()) or 'none'}"
                )

    @property
    def fixed_resolution(self) -> bool:
        """Whether the network is for images of one size: a position table, positions mixed by weights, many strides."""
        return FAMILIES[self.family].sized

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments of the model."""
        return FAMILIES[self.family].options(self.width, self.depths, **dict(self.variant))

    def with_width(self, width: int) -> TimmArchitecture:
        """The same model at another width."""
        return dataclasses.replace(self, width=width)

    def build(self, num_classes: int = 10, image_size: int = 32) -> nn.Module:
        """The model in evaluation mode, on the current default device; batch norms use the batch's statistics.

        Args:
            num_classes: outputs of the classifier.
            image_size: side of the images; only networks with `fixed_resolution` depend on it.
        """
        from ghn_init.deepnets.timm_classes import CLASSES

        options = {**self.options, "num_classes": num_classes}
        argument = FAMILIES[self.family].size_argument
        if self.fixed_resolution and argument:
            options[argument] = image_size
        make = CLASSES.get(self.model)
        model: nn.Module = timm.create_model(self.model, **options) if make is None else make(**options)
        return use_batch_statistics(model).eval()

    def graph(self, num_classes: int = 10, image_size: int = 32) -> ArchGraph:
        """The graph of what `build` returns, traced on the meta device."""
        with torch.device("meta"), skip_init():
            model = self.build(num_classes, image_size)
        return trace(model, example_inputs=torch.empty(2, 3, image_size, image_size, device="meta"))

    def cost(self, image_size: int = 32) -> float:
        """Approximate multiply-adds of a forward pass of one image: see `Family.work`."""
        work, width_power, depth_power = FAMILIES[self.family].work
        scale: float = work * self.width**width_power * sum(self.depths) ** depth_power
        for name, value in self.variant:
            scale *= FAMILIES[self.family].variants[name][value]
        return scale * (image_size / 32) ** 2

    def load(self, image_size: int = 32) -> float:
        """Approximate time of a training step on CPU for one image of a batch of 32, in plain multiply-adds."""
        return PACE * self.cost(image_size) + START

    def to_dict(self) -> dict[str, Any]:
        """The architecture as JSON types; `ghn_init.deepnets.from_dict` reads it back."""
        fields = {**dataclasses.asdict(self), "depths": list(self.depths), "variant": dict(self.variant)}
        return {"kind": self.kind, **fields}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TimmArchitecture:
        """Inverse of `to_dict`.

        Raises:
            ValueError: another kind, unknown or missing keys, or an impossible architecture.
        """
        data = checked({"variant": {}, **data}, cls)
        depths = tuple(int(depth) for depth in data["depths"])
        variant = tuple((name, _hashable(value)) for name, value in data["variant"].items())
        return cls(data["family"], data["model"], int(data["width"]), depths, variant)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
