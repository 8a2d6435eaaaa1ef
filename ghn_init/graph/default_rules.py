"""The rules that come with the package, one a line.

The types are those of DeepNets-1M (Knyazev et al., 2021, section 3.1 and appendix A): a linear layer is a 1x1
convolution, grouped convolutions are "sep_conv" or, dilated, "dil_conv", and tables added to the data are "pos_enc".
Operations whose meaning depends on what surrounds them (sums, means, products, softmax) are decided in
`ghn_init.graph.abstract`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import timm.layers
import torchvision.models.swin_transformer as tv_swin
import torchvision.models.video.mvit as tv_mvit
import torchvision.models.video.swin_transformer as tv_swin3d
from timm.layers.grn import GlobalResponseNorm
from timm.models import mvitv2
from torch import nn

from ghn_init.graph.rules import Chain, Layer, NodeRule, norm, register, weighted
from ghn_init.graph.views import matrix


def _numbers(value: Any) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(value)


def _conv_type(groups: Any, dilation: Any) -> str:
    if groups == 1:
        return "conv"
    return "dil_conv" if min(_numbers(dilation)) > 1 else "sep_conv"


def _conv_type_of_module(layer: Layer) -> str:
    return _conv_type(layer.groups, layer.dilation)


def _conv_type_of_call(layer: Layer) -> str:
    return _conv_type(layer.get("groups", 1), layer.get("dilation", 1))


def _window_of_module(dims: int) -> Callable[[Layer], tuple[int, ...]]:
    return lambda layer: _square(layer.kernel_size, dims)


def _window_of_call(dims: int) -> Callable[[Layer], tuple[int, ...]]:
    return lambda layer: _square(layer["kernel_size"], dims)


def _square(size: Any, dims: int) -> tuple[int, ...]:
    """The last two extents of a window, a single number standing for all."""
    sizes = _numbers(size) * (dims if len(_numbers(size)) == 1 else 1)
    return sizes[-2:] if len(sizes) > 1 else (1, *sizes)


_CONV_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_POOL_ARGUMENTS = ("input", "kernel_size", "stride", "padding")
_QKV = ("query", "key", "value")

for _dims in (1, 2, 3):
    _convolution = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[_dims]
    _transposed = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[_dims]
    _maximum = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}[_dims]
    _average = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}[_dims]
    _batch_norm = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[_dims]
    _instance_norm = {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}[_dims]
    _to_one = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}[_dims]
    register(_convolution, *weighted(_conv_type_of_module))
    register(_transposed, *weighted(_conv_type_of_module))
    register(_maximum, NodeRule("max_pool", window=_window_of_module(_dims)))
    register(_average, NodeRule("avg_pool", window=_window_of_module(_dims)))
    register(_batch_norm, *norm("bn"))
    register(_instance_norm, *norm("bn"))
    register(_to_one, "glob_avg")
    register(f"conv{_dims}d", *weighted(_conv_type_of_call), arguments=_CONV_ARGUMENTS)
    register(f"conv_transpose{_dims}d", *weighted(_conv_type_of_call), arguments=_TRANSPOSED_ARGUMENTS)
    register(f"max_pool{_dims}d", NodeRule("max_pool", window=_window_of_call(_dims)), arguments=_POOL_ARGUMENTS)
    register(f"avg_pool{_dims}d", NodeRule("avg_pool", window=_window_of_call(_dims)), arguments=_POOL_ARGUMENTS)
    register(f"adaptive_avg_pool{_dims}d", "glob_avg")

register(nn.Linear, *weighted("conv"))
register(nn.LayerNorm, *norm("ln"))
register(nn.GroupNorm, *norm("ln"))
register(nn.RMSNorm, *norm("ln"))
register(GlobalResponseNorm, *norm("ln"))
register(nn.Embedding, NodeRule("embedding", "weight"))
register(nn.EmbeddingBag, NodeRule("embedding", "weight"))
register(
    nn.MultiheadAttention,
    (
        NodeRule("conv", "in_proj_weight"),
        NodeRule("conv", "q_proj_weight"),
        NodeRule("conv", "k_proj_weight"),
        NodeRule("conv", "v_proj_weight"),
    ),
    NodeRule("bias", "in_proj_bias"),
    (NodeRule("token", "bias_k"), NodeRule("token", "bias_v")),
    NodeRule("msa"),
    *weighted("conv", "out_proj.weight", "out_proj.bias"),
)


def _recurrent(layer: Layer) -> Chain:
    """Layer by layer and, within one, the input's matrices before the state's, both directions side by side."""
    ends = ("", "_reverse") if layer.bidirectional else ("",)
    chain: list[NodeRule | tuple[NodeRule, ...]] = []
    for depth in range(layer.num_layers):
        for kind in ("ih", "hh"):
            names = [f"{kind}_l{depth}{end}" for end in ends]
            chain.append(tuple(NodeRule("rnn", f"weight_{name}", rider=f"bias_{name}") for name in names))
        if layer.proj_size:
            chain.append(tuple(NodeRule("rnn", f"weight_hr_l{depth}{end}") for end in ends))
    return tuple(chain)


for _recurrent_class in (nn.RNN, nn.LSTM, nn.GRU):
    register(_recurrent_class, chain=_recurrent)
for _cell_class in (nn.RNNCell, nn.LSTMCell, nn.GRUCell):
    register(_cell_class, *(NodeRule("rnn", f"weight_{kind}", rider=f"bias_{kind}") for kind in ("ih", "hh")))

register(
    "linear",
    NodeRule("conv", "weight", shape=lambda _, shape: matrix(shape)),
    NodeRule("bias", "bias"),
    arguments=("input", "weight", "bias"),
)
register(
    "batch_norm",
    *norm("bn"),
    arguments=("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps"),
)
register(
    "instance_norm",
    *norm("bn"),
    arguments=("input", "running_mean", "running_var", "weight", "bias", "use_input_stats"),
)
register("layer_norm", *norm("ln"), arguments=("input", "normalized_shape", "weight", "bias", "eps"))
register("group_norm", *norm("ln"), arguments=("input", "num_groups", "weight", "bias", "eps"))
register("rms_norm", NodeRule("ln", "weight"), arguments=("input", "normalized_shape", "weight", "eps"))
register("embedding", NodeRule("embedding", "weight"), arguments=("input", "weight"))
register(
    "scaled_dot_product_attention",
    NodeRule("msa", also=("attn_mask",)),
    arguments=(*_QKV, "attn_mask"),
    stream=_QKV,
)
for _shifted_window_attention, _last in (
    (tv_swin.shifted_window_attention, ("logit_scale", "training")),
    (tv_swin3d.shifted_window_attention_3d, ("training", "logit_scale")),
):
    register(
        _shifted_window_attention,
        *weighted("conv", "qkv_weight", "qkv_bias"),
        NodeRule("layer_scale", "logit_scale"),
        NodeRule("msa", also=("relative_position_bias",)),
        *weighted("conv", "proj_weight", "proj_bias"),
        arguments=(
            "input",
            "qkv_weight",
            "proj_weight",
            "relative_position_bias",
            "window_size",
            "num_heads",
            "shift_size",
            "attention_dropout",
            "dropout",
            "qkv_bias",
            "proj_bias",
            *_last,
        ),
    )
register(mvitv2.reshape_pre_pool, arguments=("x", "feat_size"), stream=("x",))  # sizes are no data
register(
    mvitv2.cal_rel_pos_type,
    (NodeRule("rel_pos", "rel_pos_h"), NodeRule("rel_pos", "rel_pos_w")),
    arguments=("attn", "q", "has_cls_token", "q_size", "k_size", "rel_pos_h", "rel_pos_w"),
)
register(
    tv_mvit._add_rel_pos,
    tuple(NodeRule("rel_pos", f"rel_pos_{axis}") for axis in "hwt"),
    arguments=("attn", "q", "q_thw", "k_thw", "rel_pos_h", "rel_pos_w", "rel_pos_t"),
)

# Layers of timm that are not subclasses of torch's; what an older timm lacks is left out.
_TIMM_LAYERS: dict[str, tuple[NodeRule, ...]] = {
    **dict.fromkeys(("RmsNorm", "RmsNormFp32", "RmsNorm2d", "RmsNorm2dFp32"), norm("ln")),
    **dict.fromkeys(("SimpleNorm", "SimpleNormFp32", "SimpleNorm2d", "SimpleNorm2dFp32"), norm("ln")),
    **dict.fromkeys(("FilterResponseNormTlu2d", "FilterResponseNormAct2d"), (*norm("ln"), NodeRule("bias", "tau"))),
    **dict.fromkeys(("EvoNorm2dB0", "EvoNorm2dB1", "EvoNorm2dB2"), (NodeRule("layer_scale", "v"), *norm("bn"))),
    **dict.fromkeys(("EvoNorm2dS0", "EvoNorm2dS1", "EvoNorm2dS2"), (NodeRule("layer_scale", "v"), *norm("ln"))),
    **dict.fromkeys(("LayerScale", "LayerScale2d"), (NodeRule("layer_scale", "gamma"),)),
    **dict.fromkeys(
        ("ScaledStdConv2d", "ScaledStdConv2dSame"),
        (NodeRule(_conv_type_of_module, "weight"), NodeRule("layer_scale", "gain"), NodeRule("bias", "bias")),
    ),
    "CondConv2d": (
        NodeRule(
            _conv_type_of_module,
            "weight",
            shape=lambda layer, _: (layer.num_experts * layer.out_channels, *layer.weight_shape[1:]),
        ),
        NodeRule("bias", "bias"),
    ),
}
for _name, _nodes in _TIMM_LAYERS.items():
    if hasattr(timm.layers, _name):
        register(getattr(timm.layers, _name), *_nodes)
