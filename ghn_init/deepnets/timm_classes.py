"""Models of timm that scale through their classes, since the functions in its registry fix width and depth."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from timm.layers import GatedMlp, GroupNorm1
from timm.models._efficientnet_builder import decode_arch_def
from timm.models.convmixer import ConvMixer
from timm.models.efficientnet import EfficientNet
from timm.models.metaformer import (
    Attention,
    GroupNorm1NoBias,
    LayerNorm2dNoBias,
    LayerNormNoBias,
    MetaFormer,
    Pooling,
    SepConv,
)
from timm.models.mlp_mixer import Affine, MlpMixer, ResBlock, SpatialGatingBlock
from timm.models.mobilenetv3 import MobileNetV3
from timm.models.vision_transformer import VisionTransformer
from torch import nn


def _mobile(make: Callable[..., nn.Module], stages: tuple[str, ...], **fixed: Any) -> Callable[..., nn.Module]:
    """A network of inverted residuals.

    Args:
        make: its class.
        stages: the block of each stage in timm's notation, the first with a depthwise separable convolution.
        fixed: further arguments of the class.
    """

    def build(width: int, depths: tuple[int, ...], **options: Any) -> nn.Module:
        blocks = [[stages[0].format(repeats=1, channels=width)]]
        for number, (stage, repeats) in enumerate(zip(stages[1:], depths, strict=True), 1):
            blocks.append([stage.format(repeats=repeats, channels=width * (number + 1))])
        return make(decode_arch_def(blocks), num_features=8 * width, stem_size=width, **fixed, **options)

    return build


CLASSES: dict[str, Callable[..., nn.Module]] = {
    "MobileNetV2": _mobile(
        EfficientNet,
        (
            "ds_r{repeats}_k3_s1_c{channels}",
            "ir_r{repeats}_k3_s2_e6_c{channels}",
            "ir_r{repeats}_k3_s2_e6_c{channels}",
            "ir_r{repeats}_k3_s1_e6_c{channels}",
        ),
        act_layer=nn.ReLU6,
    ),
    "MobileNetV3": _mobile(
        MobileNetV3,
        (
            "ds_r{repeats}_k3_s1_e1_c{channels}_nre",
            "ir_r{repeats}_k3_s2_e4_c{channels}_nre",
            "ir_r{repeats}_k5_s2_e3_c{channels}_se0.25_nre",
            "ir_r{repeats}_k5_s1_e4_c{channels}_se0.25",
        ),
        act_layer=nn.Hardswish,
    ),
    "EfficientNet": _mobile(
        EfficientNet,
        (
            "ds_r{repeats}_k3_s1_e1_c{channels}_se0.25",
            "ir_r{repeats}_k3_s2_e4_c{channels}_se0.25",
            "ir_r{repeats}_k5_s2_e4_c{channels}_se0.25",
            "ir_r{repeats}_k5_s1_e4_c{channels}_se0.25",
        ),
        act_layer=nn.SiLU,
    ),
    "PooledViT": partial(VisionTransformer, class_token=False, global_pool="avg"),
    "MlpMixer": MlpMixer,
    "ResMLP": partial(MlpMixer, mlp_ratio=4, block_layer=ResBlock, norm_layer=Affine),
    "gMLP": partial(MlpMixer, mlp_ratio=4, block_layer=SpatialGatingBlock, mlp_layer=GatedMlp),
    "PoolFormer": partial(
        MetaFormer,
        token_mixers=Pooling,
        downsample_norm=None,
        mlp_act=nn.GELU,
        mlp_bias=True,
        norm_layers=GroupNorm1,
        layer_scale_init_values=1e-5,
        res_scale_init_values=None,
        use_mlp_head=False,
    ),
    "PoolFormerV2": partial(MetaFormer, token_mixers=Pooling, norm_layers=GroupNorm1NoBias, use_mlp_head=False),
    "ConvFormer": partial(MetaFormer, token_mixers=SepConv, norm_layers=LayerNorm2dNoBias),
    "CAFormer": partial(
        MetaFormer,
        token_mixers=(SepConv, SepConv, Attention, Attention),
        norm_layers=(LayerNorm2dNoBias, LayerNorm2dNoBias, LayerNormNoBias, LayerNormNoBias),
    ),
    "ConvMixer": ConvMixer,
}
