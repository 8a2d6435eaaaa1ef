"""The names that the published files give their tensors, and ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from ghn_init.errors import CheckpointError

#: Published module name, then ours; ``{n}`` is a Graphormer layer's number. GHN-3's training script moves the three
#: embeddings of degree and distance into the first layer, its released files keep them outside.
LEGACY_MODULES: tuple[tuple[str, str], ...] = (
    ("embed", "encoder.types"),
    ("shape_enc.embed_channel", "encoder.channels"),
    ("shape_enc.embed_spatial", "encoder.sides"),
    # Graphormer (GHN-3)
    ("centrality_embed_in", "gnn.in_degree"),
    ("centrality_embed_out", "gnn.out_degree"),
    ("input_dist_embed", "gnn.input_distance"),
    ("gnn.0.centrality_embed_in", "gnn.in_degree"),
    ("gnn.0.centrality_embed_out", "gnn.out_degree"),
    ("gnn.0.input_dist_embed", "gnn.input_distance"),
    ("gnn.0.attn.edge_embed.embed", "gnn.bias.distance"),
    ("gnn.0.attn.proj_e.0", "gnn.bias.hidden"),
    ("gnn.0.attn.proj_e.2", "gnn.bias.out"),
    ("gnn.{n}.ln1", "gnn.layers.{n}.norm_attention"),
    ("gnn.{n}.attn.to_qkv", "gnn.layers.{n}.qkv"),
    ("gnn.{n}.attn.to_out.0", "gnn.layers.{n}.project"),
    ("gnn.{n}.ln2", "gnn.layers.{n}.norm_feedforward"),
    ("gnn.{n}.ff.net.0", "gnn.layers.{n}.expand"),
    ("gnn.{n}.ff.net.3", "gnn.layers.{n}.contract"),
    # GatedGNN (GHN-1, GHN-2)
    ("gnn.mlp.fc.0", "gnn.message.first"),
    ("gnn.mlp.fc.2", "gnn.message.second"),
    ("gnn.mlp_ve.fc.0", "gnn.virtual_message.first"),
    ("gnn.mlp_ve.fc.2", "gnn.virtual_message.second"),
    ("gnn.gru", "gnn.gru"),
    # MLP, without edges
    ("gnn.fc.0", "gnn.first"),
    ("gnn.fc.2", "gnn.second"),
    ("ln", "norm"),
    # convolutional decoder
    ("decoder.fc.0", "decoder.places"),
    ("decoder.conv.0", "decoder.mix"),
    ("decoder.conv.2", "decoder.weights"),
    ("decoder.class_layer_predictor.1", "decoder.classes"),
    # MLP decoder
    ("decoder.mlp.fc.0", "decoder.hidden"),
    ("decoder.mlp.fc.2", "decoder.weights"),
    # vectors: norms, biases
    ("decoder_1d.fc.0", "vectors.hidden"),
    ("decoder_1d.fc.2", "vectors.out"),
    ("bias_class.1", "vectors.classes"),
)

_NUMBER = re.compile(r"^(gnn\.)(0|[1-9]\d{0,2})(\..*)$")


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published state dict under our names; 1x1 convolutions become the linear layers that they are.

    Raises:
        CheckpointError: a name that is not known, or two for the same tensor.
    """
    result: dict[str, Tensor] = {}
    unknown = []
    for name, tensor in tensors.items():
        ours = _our_name(name)
        if ours is None:
            unknown.append(name)
        elif ours in result:
            raise CheckpointError(f"two of its tensors stand for {ours!r}, one of them {name!r}")
        else:
            result[ours] = tensor.flatten(1) if tensor.dim() == 4 and tensor.shape[2:] == (1, 1) else tensor
    if unknown:
        raise CheckpointError(
            f"not a GHN-1, GHN-2 or GHN-3: unknown tensors {', '.join(map(repr, sorted(unknown)[:5]))}"
        )
    return result


def _our_name(name: str) -> str | None:
    module, _, leaf = name.rpartition(".")
    if (exact := _TABLE.get(module)) is not None:
        return f"{exact}.{leaf}"
    if (numbered := _NUMBER.match(module)) is None:
        return None
    pattern = _TABLE.get(f"{numbered[1]}{{n}}{numbered[3]}")
    return None if pattern is None else f"{pattern.replace('{n}', numbered[2])}.{leaf}"


_TABLE = dict(LEGACY_MODULES)
