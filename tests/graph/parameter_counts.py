"""To which type of node each parameter belongs, by the module that owns it.

An independent account of what `ghn_init.graph.trace` finds: nothing here looks at a forward pass.
"""

from __future__ import annotations

from typing import Any

from operation_counts import ancestors, rows
from timm.layers.cond_conv2d import CondConv2d
from torch import nn

#: The kind of a parameter that shares another's node: a norm's bias, the biases of a recurrent layer.
RIDER = "rider"
#: The kind of a parameter that is left to the network's own initialisation.
OWN = "own"

_NORM = {"weight": "bn", "bias": RIDER}
_LAYER_NORM = {"weight": "ln", "bias": RIDER}
_AFFINE = {"weight": "conv", "bias": "bias"}
_GAIN = {"scale": "layer_scale", "bias": "bias"}

#: Own parameters by class.
LAYERS: dict[str, dict[str, str]] = {
    "torch.nn.modules.linear.Linear": _AFFINE,
    "torch.nn.modules.sparse.Embedding": {"weight": "embedding"},
    "torch.nn.modules.batchnorm._NormBase": _NORM,
    "torch.nn.modules.normalization.LayerNorm": _LAYER_NORM,
    "torch.nn.modules.normalization.GroupNorm": _LAYER_NORM,
    "torch.nn.modules.normalization.RMSNorm": _LAYER_NORM,
    "torch.nn.modules.activation.PReLU": {"weight": OWN},
    "torch.nn.modules.activation.MultiheadAttention": {
        "in_proj_weight": "conv",
        "q_proj_weight": "conv",
        "k_proj_weight": "conv",
        "v_proj_weight": "conv",
        "in_proj_bias": "bias",
    },
    "torch.nn.modules.rnn.RNNBase": {"weight": "rnn", "bias": RIDER},
    "timm.layers.evo_norm.EvoNorm2dB0": {**_NORM, "v": "layer_scale"},
    "timm.layers.evo_norm.EvoNorm2dB1": _NORM,
    "timm.layers.evo_norm.EvoNorm2dB2": _NORM,
    "timm.layers.evo_norm.EvoNorm2dS0": {**_LAYER_NORM, "v": "layer_scale"},
    "timm.layers.evo_norm.EvoNorm2dS1": _LAYER_NORM,
    "timm.layers.filter_response_norm.FilterResponseNormAct2d": _LAYER_NORM,
    "timm.layers.filter_response_norm.FilterResponseNormTlu2d": {**_LAYER_NORM, "tau": "bias"},
    "timm.layers.grn.GlobalResponseNorm": _LAYER_NORM,
    "timm.layers.norm.RmsNorm": _LAYER_NORM,
    "timm.layers.norm.RmsNormFp32": _LAYER_NORM,
    "timm.layers.norm.RmsNorm2d": _LAYER_NORM,
    "timm.layers.norm.RmsNorm2dFp32": _LAYER_NORM,
    "timm.layers.norm.SimpleNorm": _LAYER_NORM,
    "timm.layers.norm.SimpleNormFp32": _LAYER_NORM,
    "timm.layers.norm.SimpleNorm2d": _LAYER_NORM,
    "timm.layers.norm.SimpleNorm2dFp32": _LAYER_NORM,
    "timm.models.hgnet.LearnableAffineBlock": _GAIN,
    "timm.models.metaformer.Scale": _GAIN,
    "timm.models.metaformer.StarReLU": _GAIN,
    # a norm without statistics: a gain and an offset of each channel
    "timm.models.mlp_mixer.Affine": {"alpha": "layer_scale", "beta": "bias"},
    "timm.models.efficientvim.EfficientViMBlock": {"alpha": "layer_scale"},
    "timm.models.efficientvim.HSMSSD": {"A": "bias", "D": "layer_scale"},
    "timm.models.efficientvim.EfficientViM": {"weights": "layer_scale", "weights_dist": "layer_scale"},
    "timm.models.swiftformer.EfficientAdditiveAttention": {"w_g": "conv"},
    "torchvision.models.convnext.CNBlock": {"layer_scale": "layer_scale"},
    "torchvision.models.vision_transformer.Encoder": {"pos_embedding": "pos_enc"},
}

#: Own parameters of all other classes: the zoo is of one mind about these names.
NAMES = rows("""
layer_scale gamma gamma1 gamma2 gamma3 gamma_1 gamma_2 gamma_xca ls1 ls2 layer_scale
token       class_token cls_token cls_token1 cls_token2 cls_token3 cls_token4 cls_token_0 cls_token_1
token       dist_token reg_token latent
pos_enc     pos_embed pos_embed1 pos_embed2 pos_embed3 pos_embed_0 pos_embed_1 pos_embed_win pos_embed_window
pos_enc     pos_embed_x pos_embed_y patch_pos pixel_pos pos_embed_spatial pos_embed_temporal position_embedding_table
rel_pos     relative_position_bias_table attention_biases rel_pos_h rel_pos_w rel_pos_t height_rel width_rel pos_emb
bias        q_bias v_bias mlp_bias
layer_scale logit_scale temperature gating_param gain skipinit_gain
layer_scale lambda_a lambda_b lambda_q1 lambda_q2 lambda_k1 lambda_k2
own         freqs
""")


def _convolution(module: Any) -> str:
    if module.groups == 1:
        return "conv"
    return "dil_conv" if min(module.dilation) > 1 else "sep_conv"


def parameter_kinds(model: nn.Module) -> dict[str, str]:
    """For each parameter by its first name, the type of node that it belongs to, `RIDER`, `OWN` or "unknown"."""
    kinds: dict[str, str] = {}
    seen: set[int] = set()
    for path, module in model.named_modules():
        listed = next((LAYERS[name] for name in ancestors(module) if name in LAYERS), {})
        if isinstance(module, (nn.modules.conv._ConvNd, CondConv2d)):
            listed = {"weight": _convolution(module), "bias": "bias"}
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in seen:
                continue
            seen.add(id(parameter))
            kind = listed.get(name) or listed.get(name.split("_")[0]) or NAMES.get(name, "unknown")
            kinds[f"{path}.{name}" if path else name] = kind
    return kinds
