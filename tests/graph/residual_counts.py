"""How often a network adds one branch to another, counted in its module tree.

For each class of block, the additions in the paper's formula of it: a number, or a function of the module where its
settings decide. Additions inside attention (a bias on the scores) belong to the attention.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from operation_counts import ancestors
from torch import nn

Additions = int | Callable[[Any], int]


def _with(attribute: str) -> Callable[[Any], int]:
    """One addition where the attribute says that there is a shortcut."""
    return lambda module: int(getattr(module, attribute) not in (None, False))


def _hierarchical(module: Any) -> int:
    """A shortcut; and, but in a stage's first block, splits add the one before them (Gao et al., 2019)."""
    return 1 if module.is_first else len(module.convs)


#: Additions of each block, by module of timm.
BLOCKS: dict[str, dict[str, Additions]] = {
    "_efficientnet_blocks": {
        "ConvBnAct": _with("has_skip"),
        "DepthwiseSeparableConv": _with("has_skip"),
        "EdgeResidual": _with("has_skip"),
        "InvertedResidual": _with("has_skip"),
        "MobileAttention": _with("has_skip"),
        "UniversalInvertedResidual": _with("has_skip"),
    },
    "beit": {"Block": 2},
    "byobnet": {
        "MobileOneBlock": lambda m: len(m.conv_kxk) + (m.conv_scale is not None) + (m.identity is not None) - 1,
        "RepVggBlock": lambda m: 1 + (m.identity is not None),
        "BasicBlock": _with("shortcut"),
        "BottleneckBlock": _with("shortcut"),
        "DarkBlock": _with("shortcut"),
        "EdgeBlock": _with("shortcut"),
        "SelfAttnBlock": _with("shortcut"),
    },
    "cait": {"LayerScaleBlock": 2, "LayerScaleBlockClassAttn": 2},
    "convit": {"Block": 2},
    "convmixer": {"Residual": 1},
    "convnext": {"ConvNeXtBlock": 1},
    "cpubone": {"ResidualBlock": _with("shortcut")},
    # the scales' scores are averaged
    "crossvit": {"CrossAttentionBlock": 1, "CrossVit": 1},
    # position encoding, attention and MLP; with three scales side by side, each adds the two others
    "coat": {"SerialBlock": 3, "ParallelBlock": 15, "FactorAttnConvRelPosEnc": 1},
    "cspnet": {"DarkBlock": 1, "EdgeBlock": 1, "BottleneckBlock": 1},
    "cspnext": {"CspNextBlock": _with("add_identity")},
    "csatv2": {"Block": 1, "PosConv": 1, "SpatialTransformerBlock": 2, "TransformerBlock": 2},
    "davit": {"SpatialBlock": 2, "ChannelBlock": 2, "ConvPosEnc": 1},
    "deepseek_vit": {"DeepseekVitBlock": 2},
    "deit": {"VisionTransformerDistilled": 1},
    "dla": {"DlaBasic": 1, "DlaBottleneck": 1, "DlaBottle2neck": _hierarchical, "DlaRoot": _with("shortcut")},
    "dpn": {"DualPathBlock": 1},
    "edgenext": {
        "ConvBlock": 1,
        # two residuals, the splits' chain, the Fourier position encoding
        "SplitTransposeBlock": lambda m: 2 + len(m.convs) - 1 + (m.pos_embd is not None),
    },
    "efficientformer": {"MetaBlock1d": 2, "MetaBlock2d": 2, "EfficientFormer": 1},
    "efficientvit_mit": {"ResidualBlock": _with("shortcut")},
    "efficientformer_v2": {
        "EfficientFormerV2Block": lambda m: 1 + (m.token_mixer is not None),
        "EfficientFormerV2": 1,
        "Downsample": _with("attn"),
        "LocalGlobalQuery": 1,
        "Attention2d": 1,
        "Attention2dDownsample": 1,
    },
    # each head but the first adds the output of the one before
    "efficientvit_msra": {"ResidualDrop": 1, "CascadedGroupAttention": lambda m: len(m.qkvs) - 1},
    # four weighted residuals a block; the state is gated and added to itself; the heads' scores are added
    "efficientvim": {
        "EfficientViMBlock": 4,
        "HSMSSD": 1,
        "PatchMerging": 2,
        "EfficientViM": 1,
        "EfficientViMDistilled": 3,
    },
    "eva": {"EvaBlock": 2, "EvaBlockPostNorm": 2},
    "fasternet": {"MLPBlock": 1},
    "fastvit": {
        "AttentionBlock": 2,
        "MobileOneBlock": lambda m: len(m.conv_kxk or ()) + (m.conv_scale is not None) + (m.identity is not None) - 1,
        "RepConditionalPosEnc": 1,
        "RepMixer": 1,
        "RepMixerBlock": 1,
        "ReparamLargeKernelConv": _with("small_conv"),
    },
    "focalnet": {"FocalNetBlock": 2, "FocalModulation": lambda m: m.focal_level},
    "gcvit": {"MbConvBlock": 1, "GlobalContextVitBlock": 2},
    "gemma4_vit": {"Gemma4Block": 2},
    "ghostnet": {
        "GhostBottleneck": 1,
        "GhostBottleneckV3": lambda m: 1 + (len(m.dw_rpr_conv) if m.stride > 1 else 0),
        "GhostModuleV3": lambda m: len(m.primary_rpr_conv) - 1 + 1 + len(m.cheap_rpr_conv),
    },
    "hgnet": {"HighPerfGpuBlock": _with("residual")},
    "hiera": {"HieraBlock": 2},
    "hieradet_sam2": {"MultiScaleBlock": 2},
    # each branch adds all others; the head adds the branches one after the other
    "hrnet": {"HighResolutionModule": lambda m: len(m.fuse_layers) * (m.num_branches - 1), "HighResolutionNet": 3},
    "iformer": {"Residual": 1, "RepVitClassifier": _with("distillation")},
    "inception_next": {"MetaNeXtBlock": 1},
    "inception_resnet_v2": {"Block35": 1, "Block17": 1, "Block8": 1},
    "lcnetv2": {
        "RepDepthwiseSeparable": lambda m: int(m.use_shortcut) + (len(m.dw_conv_list) - 1 if m.dw_conv is None else 0)
    },
    "levit": {"LevitBlock": 2, "LevitDownsample": 1, "LevitDistilled": 1},
    "lowformer": {"ResidualBlock": _with("shortcut")},
    "mambaout": {"GatedConvBlock": 1},
    "maxxvit": {
        "MbConvBlock": 1,
        "ConvNeXtBlock": 1,
        "TransformerBlock2d": 2,
        "PartitionAttentionCl": 2,
        "ParallelPartitionAttention": 2,
    },
    "metaformer": {"MetaFormerBlock": 2},
    "mlp_mixer": {"MixerBlock": 2, "ResBlock": 2, "SpatialGatingBlock": 1},
    "mobilevit": {"LinearTransformerBlock": 2},
    "mvitv2": {"MultiScaleBlock": 2, "MultiScaleAttention": _with("residual_pooling")},
    "nasnet": {
        "CellStem0": 5,
        "CellStem1": 5,
        "FirstCell": 5,
        "NormalCell": 5,
        "ReductionCell0": 5,
        "ReductionCell1": 5,
    },
    "nest": {"TransformerLayer": 2},
    "nextvit": {"NextConvBlock": 2, "NextTransformerBlock": 3},
    "nfnet": {"NormFreeBlock": 1},
    "pit": {"PoolingVisionTransformer": _with("head_dist")},
    "pnasnet": {"CellStem0": 5, "Cell": 5},
    "pvt_v2": {"Block": 2},
    "regnet": {"Bottleneck": _with("downsample"), "PreBottleneck": 1},
    "repghost": {"RepGhostBottleneck": 1, "RepGhostModule": lambda m: len(m.fusion_conv)},
    "repvit": {"RepVggDw": 2, "RepViTBlock": 1, "RepVitDownsample": 1, "RepVitClassifier": _with("distillation")},
    "res2net": {"Bottle2neck": _hierarchical},
    "resnest": {"ResNestBottleneck": 1},
    "resnet": {"BasicBlock": 1, "Bottleneck": 1},
    "resnetv2": {"Bottleneck": 1, "PreActBasic": 1, "PreActBottleneck": 1},
    "rexnet": {"LinearBottleneck": _with("use_shortcut")},
    "senet": {"Bottleneck": 1, "SEResNetBlock": 1},
    "sequencer": {"Sequencer2dBlock": 2},
    "shvit": {"Residual": 1},
    "sknet": {"SelectiveKernelBasic": 1, "SelectiveKernelBottleneck": 1},
    "starnet": {"Block": 1},
    "swiftformer": {
        "Block": 2,
        "ConvEncoder": 1,
        "EfficientAdditiveAttention": 1,
        "LocalRepresentation": 1,
        "SwiftFormer": 1,
    },
    "swin_transformer": {"SwinTransformerBlock": 2},
    "swin_transformer_v2": {"SwinTransformerV2Block": 2},
    "swin_transformer_v2_cr": {"SwinTransformerV2CrBlock": 2},
    "tiny_vit": {"MBConv": 1, "TinyVitBlock": 2},
    "tnt": {"Block": 5},
    "tresnet": {"BasicBlock": 1, "Bottleneck": 1},
    "twins": {"Block": 2, "PosConv": lambda m: int(m.stride == 1)},
    "visformer": {"Block": lambda m: 1 + (m.attn is not None)},
    "vision_transformer": {
        "Block": 2,
        "DiffParallelScalingBlock": 1,
        "ParallelScalingBlock": 2,
        # of the parallel branches, then to the data; twice
        "ParallelThingsBlock": 4,
        "ResPostBlock": 2,
    },
    "vision_transformer_relpos": {"RelPosBlock": 2, "ResPostRelPosBlock": 2},
    "vision_transformer_sam": {"Block": 2},
    "vitamin": {"MbConvLNBlock": 1},
    # the auxiliary head's scores are added to the class token's
    "volo": {"Outlooker": 2, "Transformer": 2, "ClassBlock": 2, "VOLO": _with("aux_head")},
    "vovnet": {"OsaBlock": _with("residual")},
    "xception": {"Block": 1},
    "xception_aligned": dict.fromkeys(["XceptionModule", "PreXceptionModule"], lambda m: int(not m.no_skip)),
    "xcit": {"XCABlock": 3, "ClassAttentionBlock": 2, "Xcit": _with("pos_embed")},
}

#: Additions inside parts of blocks.
PARTS: dict[str, Additions] = {
    "timm.layers.attention_pool.AttentionPoolLatent": 1,
    "timm.layers.global_context.GlobalContext": _with("mlp_add"),
    # of what the content and what the position say
    "timm.layers.lambda_layer.LambdaLayer": 1,
    "timm.layers.non_local_attn.BatNonLocalAttn": 1,
    # of the paths, for the attention to look at
    "timm.layers.selective_kernel.SelectiveKernel": 1,
}

_BY_NAME = PARTS | {
    f"timm.models.{file}.{name}": count for file, blocks in BLOCKS.items() for name, count in blocks.items()
}


def additions(model: nn.Module) -> int:
    """Number of additions in the blocks of `model`, without those of position tables."""
    total = 0
    for module in model.modules():
        count = next((_BY_NAME[name] for name in ancestors(module) if name in _BY_NAME), 0)
        total += count if isinstance(count, int) else count(module)
    return total
