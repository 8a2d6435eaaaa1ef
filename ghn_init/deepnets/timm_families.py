"""Families of timm's models with what scales them, as a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

#: The keyword arguments of a model of some width and depths.
Options = Callable[[int, tuple[int, ...]], dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Family:
    """Models that are scaled by the same arguments.

    Attributes:
        models: names in timm's registry, or in `ghn_init.deepnets.timm_classes.CLASSES`.
        options: the keyword arguments.
        widths: widths to choose from; what a width is differs by family.
        depths: for each stage, least and most blocks.
        work: multiply-adds for a 32x32 image at width 1 and with one block, and the powers of the width and of the
            number of blocks that they grow with: a fit to `torch.utils.flop_counter` over the family.
        sized: whether a model is built for images of one size, given as `img_size`.
    """

    models: tuple[str, ...]
    options: Options
    widths: tuple[int, ...]
    depths: tuple[tuple[int, int], ...]
    work: tuple[float, float, float]
    sized: bool = False


def _doubled(width: int, stages: int) -> tuple[int, ...]:
    return tuple(width << stage for stage in range(stages))


def _uniform(width: int, depths: tuple[int, ...]) -> dict[str, Any]:
    return {"patch_size": 4, "embed_dim": width, "depth": depths[0], "num_heads": width // 32}


def _layers(width: int, depths: tuple[int, ...]) -> dict[str, Any]:
    return {"layers": depths, "channels": _doubled(width, len(depths)), "output_stride": 8}


def _dims(width: int, depths: tuple[int, ...]) -> dict[str, Any]:
    return {"depths": depths, "dims": _doubled(width, len(depths))}


_FOUR = ((1, 2),) * 4

FAMILIES: dict[str, Family] = {
    "resnet": Family(("resnet18", "seresnet18", "skresnet18"), _layers, (16, 24, 32), _FOUR, (19900, 1.66, 0.98)),
    "bottleneck": Family(
        ("resnet26", "seresnet50", "res2net50_26w_4s"), _layers, (8, 16, 24), _FOUR, (86000, 1.47, 0.6)
    ),
    "bottleneck_deep_stem": Family(("resnet26d", "ecaresnet26t"), _layers, (8, 16, 24), _FOUR, (506000, 1.05, 0.44)),
    "resnext": Family(
        ("resnext50_32x4d", "seresnext50_32x4d"),
        lambda width, depths: {**_layers(width, depths), "cardinality": 8, "base_width": 16},
        (16, 24),
        _FOUR,
        (28400, 1.78, 0.76),
    ),
    "resnetv2": Family(
        ("resnetv2_50", "resnetv2_50d"),
        lambda width, depths: {**_layers(width, depths), "stem_chs": width // 2},
        (32, 48, 64),
        _FOUR,
        (1300, 1.93, 0.68),
    ),
    "regnet": Family(
        ("regnetx_002", "regnety_002"),
        lambda width, depths: {
            "depth": depths[0],
            "w0": width,
            "wa": float(width),
            "wm": 2.0,
            "group_size": 8,
            "output_stride": 8,
        },
        (16, 24, 32),
        ((6, 10),),
        (650, 1.64, 1.88),
    ),
    "convnext": Family(
        ("convnext_atto", "convnextv2_atto", "convnext_atto_ols"),
        lambda width, depths: {**_dims(width, depths), "patch_size": 2, "output_stride": 16},
        (16, 24, 32),
        ((1, 2), (1, 2), (1, 3), (1, 1)),
        (3240, 1.9, 0.54),
    ),
    "densenet": Family(
        ("densenet121",),
        lambda width, depths: {"growth_rate": width, "block_config": depths},
        (12, 16, 24),
        ((2, 4), (2, 5), (2, 5)),
        (6960, 1.74, 0.76),
    ),
    "mobilenetv2": Family(
        ("MobileNetV2",),
        lambda width, depths: {"width": width, "depths": depths},
        (8, 16, 24),
        ((1, 2),) * 3,
        (4000, 1.86, 1.03),
    ),
    "mobilenetv3": Family(
        ("MobileNetV3",),
        lambda width, depths: {"width": width, "depths": depths},
        (8, 16, 24),
        ((1, 2),) * 3,
        (3290, 1.77, 1.06),
    ),
    "efficientnet": Family(
        ("EfficientNet",),
        lambda width, depths: {"width": width, "depths": depths},
        (8, 16, 24),
        ((1, 2),) * 3,
        (3910, 1.78, 0.99),
    ),
    "nfnet": Family(
        ("nf_resnet26", "nf_seresnet26", "nf_ecaresnet26"),
        lambda width, depths: {"depths": depths, "channels": _doubled(width, 4), "output_stride": 8},
        (32, 48, 64),
        _FOUR,
        (20900, 1.33, 0.54),
    ),
    "vit": Family(
        ("vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "deit3_small_patch16_224", "PooledViT"),
        _uniform,
        (64, 96, 128, 160),
        ((2, 8),),
        (1480, 1.89, 0.99),
        sized=True,
    ),
    "cait": Family(
        ("cait_xxs24_224",),
        lambda width, depths: {**_uniform(width, depths), "depth_token_only": 1},
        (64, 96, 128),
        ((2, 5),),
        (1670, 1.89, 0.94),
        sized=True,
    ),
    "xcit": Family(
        ("xcit_nano_12_p8_224",),
        lambda width, depths: {"embed_dim": width, "depth": depths[0], "num_heads": width // 32},
        (64, 96, 128),
        ((1, 3),),
        (682, 1.92, 0.58),
        sized=True,
    ),
    "swin": Family(
        ("swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256"),
        lambda width, depths: {
            "patch_size": 2,
            "window_size": 4,
            "embed_dim": width,
            "depths": depths,
            "num_heads": (2, 4, 8),
        },
        (16, 32, 48),
        ((1, 2),) * 3,
        (6290, 1.87, 0.93),
        sized=True,
    ),
    "mixer": Family(
        ("MlpMixer", "ResMLP", "gMLP"),
        lambda width, depths: {"patch_size": 4, "embed_dim": width, "num_blocks": depths[0]},
        (64, 96, 128),
        ((2, 8),),
        (920, 1.89, 0.98),
        sized=True,
    ),
    "metaformer": Family(
        ("PoolFormer", "PoolFormerV2", "ConvFormer", "CAFormer"),
        _dims,
        (32,),
        ((1, 2), (1, 2), (1, 2), (1, 1)),
        (1.45e06, 0, 0.74),
    ),
    "convmixer": Family(
        ("ConvMixer",),
        lambda width, depths: {"dim": width, "depth": depths[0], "kernel_size": 5, "patch_size": 2},
        (64, 96, 128),
        ((3, 10),),
        (1010, 1.76, 0.98),
    ),
    "inception_next": Family(
        ("inception_next_atto",),
        lambda width, depths: {**_dims(width, depths), "output_stride": 16},
        (32,),
        ((1, 2), (1, 2), (1, 2), (1, 1)),
        (1.94e06, 0, 0.57),
    ),
    "mambaout": Family(("mambaout_femto",), _dims, (16, 24, 32), ((1, 2), (1, 2), (1, 2), (1, 1)), (2180, 1.89, 0.67)),
    "starnet": Family(
        ("starnet_s1",),
        lambda width, depths: {"base_dim": width, "depths": depths},
        (8, 16, 24),
        _FOUR,
        (14700, 1.43, 0.62),
    ),
    "repvit": Family(
        ("repvit_m0_9",),
        lambda width, depths: {"embed_dim": _doubled(width, 4), "depth": depths},
        (16, 24, 32),
        ((1, 1), (1, 1), (1, 1), (1, 1)),
        (4290, 1.91, 0),
    ),
}
