"""Attention, channel gates and products of branches, counted in a network's module tree.

An independent account of what `ghn_init.graph.trace` finds: nothing here looks at a forward pass. Classes go by their
full name, so that no module of the zoo is imported for the sake of the table; a subclass counts as what it inherits
from. The layers inside these modules count for themselves, in `parameter_counts`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn


def rows(text: str) -> dict[str, str]:
    """From lines of a type and names, the type of each name."""
    lines = (line.split() for line in text.strip().splitlines())
    return {name: kind for kind, *names in lines for name in names}


#: Classes of which each module is one such operation: attention of any kind "msa"; channels of the data gated by what
#: their pooling says, whatever the pooling and the gate, "cse"; a product of two branches of the data "mul".
ATTENTION = rows("""
msa torch.nn.modules.activation.MultiheadAttention
msa timm.layers.attention.Attention
msa timm.layers.attention.AttentionRope
msa timm.layers.attention2d.Attention2d
msa timm.layers.attention2d.MultiQueryAttention2d
msa timm.layers.attention2d.MultiQueryAttentionV2
msa timm.layers.attention_pool.AttentionPoolLatent
msa timm.layers.attention_pool.AttentionPoolPrr
msa timm.layers.attention_pool2d.AttentionPool2d
msa timm.layers.attention_pool2d.RotAttentionPool2d
msa timm.layers.bottleneck_attn.BottleneckAttn
msa timm.layers.halo_attn.HaloAttn
msa timm.layers.lambda_layer.LambdaLayer
msa timm.layers.non_local_attn.BilinearAttnTransform
msa timm.layers.non_local_attn.NonLocalAttn
msa timm.models.beit.Attention
msa timm.models.cait.ClassAttn
msa timm.models.cait.TalkingHeadAttn
msa timm.models.coat.FactorAttnConvRelPosEnc
msa timm.models.convit.GPSA
msa timm.models.convit.MHSA
msa timm.models.cpubone.ConvAttention
msa timm.models.crossvit.CrossAttention
msa timm.models.csatv2.SpatialTransformerBlock
msa timm.models.davit.ChannelAttention
msa timm.models.davit.ChannelAttentionV2
msa timm.models.davit.WindowAttention
msa timm.models.edgenext.CrossCovarianceAttn
msa timm.models.efficientformer.Attention
msa timm.models.efficientformer_v2.Attention2d
msa timm.models.efficientformer_v2.Attention2dDownsample
msa timm.models.efficientvim.HSMSSD
msa timm.models.efficientvit_mit.LiteMLA
msa timm.models.eva.EvaAttention
msa timm.models.fastvit.Attention
msa timm.models.gcvit.WindowAttentionGlobal
msa timm.models.gemma4_vit.Gemma4Attention
msa timm.models.hiera.MaskUnitAttention
msa timm.models.hieradet_sam2.MultiScaleAttention
msa timm.models.iformer.SHMA
msa timm.models.levit.Attention
msa timm.models.levit.AttentionDownsample
msa timm.models.lowformer.ConvAttention
msa timm.models.maxxvit.Attention2d
msa timm.models.maxxvit.AttentionCl
msa timm.models.metaformer.Attention
msa timm.models.mobilevit.LinearSelfAttention
msa timm.models.mvitv2.MultiScaleAttention
msa timm.models.mvitv2.MultiScaleAttentionPoolFirst
msa timm.models.nest.Attention
msa timm.models.nextvit.EfficientAttention
msa timm.models.pvt_v2.Attention
msa timm.models.shvit.SHSA
msa timm.models.swiftformer.EfficientAdditiveAttention
msa timm.models.swin_transformer.WindowAttention
msa timm.models.swin_transformer_v2.WindowAttention
msa timm.models.swin_transformer_v2_cr.WindowMultiHeadAttention
msa timm.models.tiny_vit.Attention
msa timm.models.tnt.Attention
msa timm.models.twins.GlobalSubSampleAttn
msa timm.models.twins.LocallyGroupedAttn
msa timm.models.visformer.Attention
msa timm.models.vision_transformer.ParallelScalingBlock
msa timm.models.vision_transformer_relpos.RelPosAttention
msa timm.models.vision_transformer_sam.Attention
msa timm.models.volo.Attention
msa timm.models.volo.ClassAttention
msa timm.models.volo.OutlookAttention
msa timm.models.xcit.XCA
msa torchvision.models.maxvit.RelativePositionalMultiHeadAttention
msa torchvision.models.swin_transformer.ShiftedWindowAttention
msa torchvision.models.video.swin_transformer.ShiftedWindowAttention3d
msa torchvision.models.video.mvit.MultiscaleAttention
""")
GATES = rows("""
cse timm.layers.cbam.ChannelAttn
cse timm.layers.eca.CecaModule
cse timm.layers.eca.EcaModule
cse timm.layers.gather_excite.GatherExcite
cse timm.layers.selective_kernel.SelectiveKernelAttn
cse timm.layers.split_attn.SplitAttn
cse timm.layers.squeeze_excite.EffectiveSEModule
cse timm.layers.squeeze_excite.SEModule
cse timm.layers.squeeze_excite.SqueezeExciteCl
cse timm.models._efficientnet_blocks.SqueezeExcite
cse timm.models.hgnet.EseModule
cse timm.models.senet.SEModule
cse torchvision.ops.misc.SqueezeExcitation
""")
PRODUCTS = rows("""
mul timm.layers.cbam.SpatialAttn
mul timm.layers.mlp.GluMlp
mul timm.layers.mlp.SwiGLU
mul timm.models.coat.FactorAttnConvRelPosEnc
mul timm.models.csatv2.Block
mul timm.models.efficientvim.HSMSSD
mul timm.models.gemma4_vit.Gemma4GatedMlp
mul timm.models.ghostnet.GhostModuleV2
mul timm.models.iformer.SHMA
mul timm.models.mambaout.GatedConvBlock
mul timm.models.mlp_mixer.SpatialGatingUnit
mul timm.models.starnet.Block
mul timm.models.vitamin.GeGluMlp
""")

#: Modules with a number of such operations that depends on their size.
SEVERAL: dict[str, Callable[[Any], dict[str, int]]] = {
    # the difference of two attentions
    "timm.layers.diff_attention.DiffAttention": lambda m: {"msa": 2},
    "timm.models.vision_transformer.DiffParallelScalingBlock": lambda m: {"msa": 2},
    # its pooling is attention, and part of the gate where there is one
    "timm.layers.global_context.GlobalContext": lambda m: (
        {"cse": 1} if m.mlp_scale is not None else {"msa": int(m.conv_attn is not None)}
    ),
    "timm.models.efficientvit_msra.CascadedGroupAttention": lambda m: {"msa": len(m.qkvs)},
    "timm.models.ghostnet.GhostModuleV3": lambda m: {"mul": int(m.mode == "shortcut")},
    # a gate for each level and for the global context, and the modulation itself
    "timm.models.focalnet.FocalModulation": lambda m: {"mul": m.focal_level + 2},
}


def ancestors(module: nn.Module) -> Iterator[str]:
    """Full names of the module's class and of those that it inherits from, nearest first."""
    for cls in type(module).__mro__:
        yield f"{cls.__module__}.{cls.__qualname__}"


def operations(model: nn.Module) -> Counter[str]:
    """Numbers of "msa", "cse" and "mul" in the model."""
    found: Counter[str] = Counter()
    for module in model.modules():
        names = list(ancestors(module))
        for table in (ATTENTION, GATES, PRODUCTS):
            found.update({table[name] for name in names if name in table})
        for name in names:
            if name in SEVERAL:
                found.update(SEVERAL[name](module))
    return found
