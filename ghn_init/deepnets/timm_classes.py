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

from ghn_init.deepnets.timm_builders import ghost_net, hgnet, mobile_one, rep_vgg, vgg

#: Of a network of inverted residuals: the first stage, and three to six further ones.
_STAGES = 7


def _mobile(make: Callable[..., nn.Module], **kind: Any) -> Callable[..., nn.Module]:
    """A network of inverted residuals, behind a depthwise separable convolution.

    Args:
        make: its class.
        kind: further arguments of the class, and other defaults for those of what is returned.
    """

    def build(
        width: int,
        depths: tuple[int, ...],
        *,
        stem: int = 1,
        growth: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7),
        kernels: tuple[int, ...] = (3, 3, 5, 5, 5, 5, 3),
        strides: tuple[int, ...] = (1, 2, 2, 1),
        expansion: int = 4,
        excited: tuple[int, ...] = (0,) * _STAGES,
        relus: tuple[int, ...] = (0,) * _STAGES,
        separable: int = 0,
        fused: int = 0,
        head: int = 8,
        **options: Any,
    ) -> nn.Module:
        """Builds it.

        Args:
            width: channels of which all others are multiples.
            depths: blocks of the stages after the first; those that it says nothing of have one.
            stem: channels of the first convolution.
            growth: channels of each stage.
            kernels: side of each stage's kernels.
            strides: of each stage; their number is that of the stages.
            expansion: how many times as many channels the blocks have within.
            excited: which stages have squeeze and excitation.
            relus: which stages have ReLUs whatever the network's activation is.
            separable: 1 for depthwise separable convolutions without residuals in all stages.
            fused: how many stages after the first have plain convolutions in place of pointwise and depthwise ones.
            head: channels before the classifier.
            options: of the class.
        """
        stages = []
        for stage, stride in enumerate(strides):
            block = "dsa" if separable else "ds" if not stage else "er" if stage <= fused else "ir"
            expanded = f"_e{expansion}" if block in {"er", "ir"} else ""
            further = expanded + "_se0.25" * excited[stage] + "_nre" * relus[stage]
            repeats = depths[stage - 1] if 1 <= stage <= len(depths) else 1
            channels = width * growth[stage]
            stages.append([f"{block}_r{repeats}_k{kernels[stage]}_s{stride}{further}_c{channels}"])
        return make(decode_arch_def(stages), num_features=head * width, stem_size=stem * width, **options)

    return partial(build, **kind)


CLASSES: dict[str, Callable[..., nn.Module]] = {
    "MobileNetV2": _mobile(EfficientNet, expansion=6, kernels=(3,) * _STAGES, act_layer=nn.ReLU6),
    "MobileNetV3": _mobile(
        MobileNetV3, excited=(0, 0, 1, 1, 1, 1, 1), relus=(1, 1, 1, 0, 0, 0, 0), act_layer=nn.Hardswish
    ),
    "EfficientNet": _mobile(EfficientNet, excited=(1,) * _STAGES, act_layer=nn.SiLU),
    "LCNet": _mobile(MobileNetV3, separable=1, excited=(0, 0, 0, 0, 0, 1, 1), act_layer=nn.Hardswish),
    "VGG": vgg,
    "BatchNormVGG": partial(vgg, norm_layer=nn.BatchNorm2d),
    "RepVGG": rep_vgg,
    "MobileOne": mobile_one,
    "HGNet": partial(hgnet, version=1),
    "HGNetV2": partial(hgnet, version=2, light=(0, 0, 1, 1), kernel=5),
    "GhostNet": ghost_net,
    "GhostNetV2": partial(ghost_net, version="v2"),
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
