"""Models of timm that are tables of stages: each from a width, depths and what else such models differ in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg
from timm.models.ghostnet import GhostNet
from timm.models.hgnet import HighPerfGpuNet
from timm.models.vgg import VGG
from torch import nn

from ghn_init.deepnets.timm_family import ONE_TO_EIGHT, times

Growth = tuple[int, ...]


def vgg(
    width: int, depths: tuple[int, ...], *, growth: Growth = ONE_TO_EIGHT, hidden: int = 64, **options: Any
) -> nn.Module:
    """Plain convolutions with pooling after each stage, and a classifier of three layers.

    Args:
        width: channels of the first stage.
        depths: convolutions of each stage.
        growth: channels of each stage, in multiples of the width.
        hidden: units of the classifier's first layer.
        options: of the class.
    """
    layers: list[int | str] = []
    for depth, channels in zip(depths, times(width, growth), strict=True):
        layers += [channels] * depth + ["M"]
    network: nn.Module = VGG(layers, mlp_ratio=hidden / 4096, **options)  # the class's second layer has 4096 units
    return network


def rep_vgg(width: int, depths: tuple[int, ...], *, growth: Growth = ONE_TO_EIGHT, **options: Any) -> nn.Module:
    """Blocks of a 3x3 convolution, a 1x1 convolution and the identity, side by side, each with its norm.

    Args:
        width: channels of the first stage.
        depths: blocks of each stage.
        growth: channels of each stage, in multiples of the width.
        options: of the class and of its configuration.
    """
    stages = [ByoBlockCfg("rep", d=depth, c=c, gs=0) for depth, c in zip(depths, times(width, growth), strict=True)]
    return _by_blocks("rep", stages, width, **options)


def mobile_one(
    width: int,
    depths: tuple[int, ...],
    *,
    growth: Growth = ONE_TO_EIGHT,
    branches: int = 1,
    excited: int = 0,
    **options: Any,
) -> nn.Module:
    """Depthwise and pointwise convolutions in turn, each as several side by side, each with its norm.

    Args:
        width: channels of the first stage.
        depths: pairs of each stage.
        growth: channels of each stage, in multiples of the width.
        branches: convolutions side by side.
        excited: 1 for squeeze and excitation in the last stage.
        options: of the class and of its configuration.
    """
    further: dict[str, Any] = {"num_conv_branches": branches}
    before, stages = width, []
    for stage, (depth, channels) in enumerate(zip(depths, times(width, growth), strict=True)):
        attention = "se" if excited and stage == len(depths) - 1 else None
        blocks: list[ByoBlockCfg] = []
        for place in range(depth):
            stride = 1 if place else 2
            blocks += [
                ByoBlockCfg("one", d=1, c=before, s=stride, gs=1, attn_layer=attention, block_kwargs=further),
                ByoBlockCfg("one", 1, channels, 1, 0, attn_layer=attention, block_kwargs={"kernel_size": 1, **further}),
            ]
            before = channels
        stages.append(tuple(blocks))
    return _by_blocks("one", stages, width, **options)


def _by_blocks(
    stem: str, stages: Sequence[Any], width: int, *, num_classes: int, output_stride: int = 32, **config: Any
) -> nn.Module:
    made = ByoModelCfg(blocks=tuple(stages), stem_type=stem, stem_chs=width, **config)
    network: nn.Module = ByobNet(made, num_classes=num_classes, output_stride=output_stride)
    return network


def hgnet(
    width: int,
    depths: tuple[int, ...],
    *,
    version: int,
    growth: Growth = ONE_TO_EIGHT,
    expansion: int = 2,
    light: tuple[int, ...] = (0, 0, 0, 0),
    kernel: int = 3,
    layer_num: int = 3,
    **options: Any,
) -> nn.Module:
    """Blocks of some convolutions in a row, whose outputs are all concatenated (PP-HGNet).

    Args:
        width: channels within the blocks of the first stage.
        depths: blocks of each stage.
        version: 1 or 2: its stem, and its attention.
        growth: channels of each stage, in multiples of the width.
        expansion: how many times as many channels a block gives out.
        light: which stages have pointwise and depthwise convolutions in place of whole ones.
        kernel: side of the kernels of the later two stages.
        layer_num: convolutions of a block.
        options: of the class.
    """
    stem = [width] * (3 if version == 1 else 2)
    config: dict[str, Any] = {"stem_type": f"v{version}", "stem_chs": stem}
    before = width
    for stage, (depth, channels) in enumerate(zip(depths, times(width, growth), strict=True)):
        after = expansion * channels
        side = kernel if stage > 1 else 3
        config[f"stage{stage + 1}"] = [before, channels, after, depth, stage > 0, bool(light[stage]), side, layer_num]
        before = after
    network: nn.Module = HighPerfGpuNet(config, **options)
    return network


def ghost_net(
    width: int,
    depths: tuple[int, ...],
    *,
    growth: Growth = (1, 2, 3, 5),
    strides: tuple[int, ...] = (1, 2, 2, 1),
    kernels: tuple[int, ...] = (3, 3, 5, 5),
    expansion: int = 3,
    excited: tuple[int, ...] = (0, 0, 1, 1),
    **options: Any,
) -> nn.Module:
    """Inverted residuals half of whose channels come from a depthwise convolution of the other half.

    Args:
        width: channels of the first stage; the stem has 16.
        depths: blocks of the stages after the first.
        growth: channels of each stage, in multiples of the width.
        strides: of each stage.
        kernels: side of each stage's kernels.
        expansion: how many times as many channels the blocks have within.
        excited: which stages have squeeze and excitation.
        options: of the class.
    """
    stages = []
    for stage, (depth, channels) in enumerate(zip((1, *depths), times(width, growth), strict=True)):
        ratio = 0.25 * excited[stage]
        blocks = [[kernels[stage], expansion * channels, channels, ratio, 1] for _ in range(depth)]
        blocks[0][-1] = strides[stage]
        stages.append(blocks)
    network: nn.Module = GhostNet(stages, **options)
    return network
