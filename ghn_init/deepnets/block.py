"""Layers in a row, with the module and the fragment of a graph that they turn into."""

from __future__ import annotations

import functools

import torch
from torch import nn

from ghn_init.deepnets.fragment import FED, Draft, Extent, Fragment
from ghn_init.deepnets.layers import Layer, Sequence
from ghn_init.deepnets.skeleton import Template, on_meta


class Block:
    """One layer, or several in a row as an `nn.Sequential`.

    Args:
        layers: the layers; a tuple for several.
    """

    def __init__(self, layers: Layer | Sequence) -> None:
        self._layers = layers

    @classmethod
    @functools.lru_cache(maxsize=4096)
    def of(cls, layers: Layer | Sequence) -> Block:
        """The one block of these layers that is kept."""
        return cls(layers)

    @functools.cached_property
    def fragment(self) -> Fragment:
        """The nodes of the layers, at the paths that `build` gives them."""
        draft, feed, extent = Draft(), FED, Extent.INPUT
        numbered = enumerate(self._layers) if isinstance(self._layers, tuple) else [("", self._layers)]
        for place, layer in numbered:
            feed, extent = layer.draw(draft, str(place), feed, extent)
        return draft.fragment()

    def build(self, meta: bool | None = None) -> nn.Module:
        """A new module on the current default device.

        Args:
            meta: whether that is the meta device, where it is known.
        """
        return self._template.make() if (on_meta() if meta is None else meta) else self._make()

    @functools.cached_property
    def _template(self) -> Template:
        with torch.device("meta"):
            return Template(self._make())

    def _make(self) -> nn.Module:
        if isinstance(self._layers, tuple):
            return nn.Sequential(*(layer.module() for layer in self._layers))
        return self._layers.module()
