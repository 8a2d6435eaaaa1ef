"""Families of timm's models with what scales them, as a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

#: The keyword arguments of a model of some width, depths and variant.
Options = Callable[..., dict[str, Any]]
#: Values of an argument, the usual one first, with what they multiply the work with.
Variants = Mapping[str, Mapping[Any, float]]


@dataclasses.dataclass(frozen=True)
class Family:
    """Models that are scaled by the same arguments.

    Attributes:
        models: names in timm's registry, or in `ghn_init.deepnets.timm_classes.CLASSES`.
        options: the keyword arguments, given a width, depths, and further arguments, which it may use or pass on.
        widths: widths to choose from; what a width is differs by family.
        depths: for each stage, least and most blocks.
        work: multiply-adds for a 32x32 image at width 1 and with one block, and the powers of the width and of the
            number of blocks that they grow with: a fit to `torch.utils.flop_counter` over the family.
        sized: whether a model is built for images of one size, or for none as small as 16x16.
        size_argument: the argument that says for which, if there is one.
        variants: further arguments in which models differ. Without them a GHN knows each family by a pattern, and
            nothing about a model that departs from it (`benchmarks/training.md`).
    """

    models: tuple[str, ...]
    options: Options
    widths: tuple[int, ...]
    depths: tuple[tuple[int, int], ...]
    work: tuple[float, float, float]
    sized: bool = False
    size_argument: str | None = "img_size"
    variants: Variants = dataclasses.field(default_factory=dict)


#: Channels of the stages, in multiples of the first one's.
_GROWTH = ((1, 2, 4, 8), (1, 2, 3, 4), (1, 2, 5, 8))
_ONE_TO_EIGHT = _GROWTH[0]


def _any(*values: Any) -> dict[Any, float]:
    """Values that do not change the work."""
    return dict.fromkeys(values, 1.0)


def _times(width: int, growth: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(width * times for times in growth)


def _uniform(width: int, depths: tuple[int, ...], **further: Any) -> dict[str, Any]:
    return {"patch_size": 4, "embed_dim": width, "depth": depths[0], "num_heads": width // 32, **further}


def _layers(
    width: int, depths: tuple[int, ...], growth: tuple[int, ...] = _ONE_TO_EIGHT, **further: Any
) -> dict[str, Any]:
    return {"layers": depths, "channels": _times(width, growth), "output_stride": 8, **further}


def _dims(
    width: int, depths: tuple[int, ...], growth: tuple[int, ...] = _ONE_TO_EIGHT, **further: Any
) -> dict[str, Any]:
    return {"depths": depths, "dims": _times(width, growth), **further}


def _named(**names: str) -> Options:
    """Options of models that call width and depths otherwise: names of "depths", "widths" and "heads"."""

    def options(
        width: int, depths: tuple[int, ...], growth: tuple[int, ...] = _ONE_TO_EIGHT, **further: Any
    ) -> dict[str, Any]:
        widths = _times(width, growth)[: len(depths)]
        values = {"depths": depths, "widths": widths, "heads": tuple(max(1, one // 16) for one in widths)}
        return {name: values[what] for what, name in names.items()} | further

    return options


_FOUR = ((1, 2),) * 4
_ACTIVATIONS = _any("relu", "silu", "gelu")
_RESNET: Variants = {
    "growth": {(1, 2, 4, 8): 1.0, (1, 2, 3, 4): 0.78, (1, 2, 5, 8): 1.03},
    "output_stride": {8: 1.0, 16: 0.54, 32: 0.46},
    "replace_stem_pool": {False: 1.0, True: 1.3},
    "avg_down": _any(False, True),
    "act_layer": _ACTIVATIONS,
}
_MOBILE: Variants = {
    "stem": _any(1, 2),
    "growth": {
        (1, 2, 3, 4, 5, 6, 7): 1.0,
        (1, 2, 3, 5, 7, 9, 12): 1.12,
        (1, 1, 2, 4, 5, 6, 7): 0.64,
        (2, 2, 3, 5, 6, 8, 8): 1.52,
    },
    "kernels": _any((3, 3, 5, 5, 5, 5, 3), (3, 3, 5, 3, 5, 5, 3), (3,) * 7, (5, 3, 3, 5, 5, 3, 5)),
    "strides": {
        (1, 2, 2, 1): 1.0,
        (1, 2, 2, 2, 1): 0.91,
        (1, 2, 2, 2, 1, 2, 1): 0.92,
        (2, 2, 2, 1, 2): 0.33,
        (1, 2, 2, 1, 1, 1): 1.74,
    },
    "expansion": {4: 1.0, 6: 1.43, 3: 0.8},
    "excited": _any((0,) * 7, (1,) * 7, (0, 0, 1, 1, 1, 1, 1), (0, 1, 0, 0, 1, 1, 0)),
    "fused": {0: 1.0, 1: 1.53},
    "head": _any(8, 4, 20),
}
_PATCHES: Variants = {"patch_size": {4: 1.0, 8: 0.25}}
_VIT: Variants = {
    "patch_size": {4: 1.0, 8: 0.25, 16: 0.08},
    "mlp_ratio": {4: 1.0, 3: 0.85, 2: 0.72},
    "qkv_bias": _any(True, False),
    "init_values": _any(None, 1e-5),
    "act_layer": _any("gelu", "silu", "relu"),
    "qk_norm": _any(False, True),
    "pre_norm": _any(False, True),
}

FAMILIES: dict[str, Family] = {
    "resnet": Family(
        ("resnet18", "seresnet18", "skresnet18"),
        _layers,
        (16, 24, 32),
        _FOUR,
        (194000, 1.08, 0.66),
        variants=_RESNET,
    ),
    "bottleneck": Family(
        ("resnet26", "seresnet50", "res2net50_26w_4s"),
        _layers,
        (8, 16, 24),
        _FOUR,
        (403000, 0.92, 0.51),
        variants=_RESNET,
    ),
    "bottleneck_deep_stem": Family(
        ("resnet26d", "ecaresnet26t"), _layers, (8, 16, 24), _FOUR, (2.06e06, 0.68, 0.14), variants=_RESNET
    ),
    "resnext": Family(
        ("resnext50_32x4d", "seresnext50_32x4d"),
        lambda width, depths, **further: {
            **_layers(width, depths),
            "cardinality": 8,
            "base_width": 16,
            **further,
        },
        (16, 24),
        _FOUR,
        (106000, 1.42, 0.54),
        variants={
            "output_stride": {8: 1.0, 16: 0.47, 32: 0.36},
            "cardinality": {8: 1.0, 4: 0.71},
            "act_layer": _ACTIVATIONS,
        },
    ),
    "resnetv2": Family(
        ("resnetv2_50", "resnetv2_50d"),
        lambda width, depths, **further: {**_layers(width, depths), "stem_chs": width // 2, **further},
        (32, 48, 64),
        _FOUR,
        (2370, 1.81, 0.58),
        variants={"output_stride": {8: 1.0, 16: 0.43, 32: 0.31}, "avg_down": _any(False, True)},
    ),
    "regnet": Family(
        ("regnetx_002", "regnety_002"),
        lambda width, depths, **further: {
            "depth": depths[0],
            "w0": width,
            "wa": float(width),
            "wm": 2.0,
            "group_size": 8,
            "output_stride": 8,
            **further,
        },
        (16, 24, 32),
        ((6, 10),),
        (4010, 1.51, 1.23),
        variants={"output_stride": {8: 1.0, 16: 0.37, 32: 0.25}, "act_layer": _ACTIVATIONS},
    ),
    "convnext": Family(
        ("convnext_atto", "convnextv2_atto", "convnext_atto_ols"),
        lambda width, depths, **further: {
            "patch_size": 2,
            "output_stride": 16,
            **_dims(width, depths, **further),
        },
        (16, 24, 32),
        ((1, 2), (1, 2), (1, 3), (1, 1)),
        (2830, 1.93, 0.57),
        variants={
            "patch_size": _any(2, 4),
            "output_stride": {16: 1.0, 8: 2.71},
            "growth": {(1, 2, 4, 8): 1.0, (1, 2, 3, 4): 0.52, (1, 2, 5, 8): 1.17},
            "conv_mlp": _any(False, True),
            "kernel_sizes": _any(7, 5, 3),
            "ls_init_value": _any(1e-6, None),
        },
    ),
    "densenet": Family(
        ("densenet121",),
        lambda width, depths, **further: {"growth_rate": width, "block_config": depths, **further},
        (12, 16, 24),
        ((2, 5), (2, 6), (2, 6)),
        (11100, 1.75, 0.55),
        variants={"bn_size": {4: 1.0, 2: 0.64}, "act_layer": _ACTIVATIONS},
    ),
    "mobilenetv2": Family(
        ("MobileNetV2",),
        lambda width, depths, **further: {"width": width, "depths": depths, **further},
        (8, 16, 24),
        ((1, 3),) * 3,
        (2600, 1.82, 1.08),
        variants=_MOBILE,
    ),
    "mobilenetv3": Family(
        ("MobileNetV3",),
        lambda width, depths, **further: {"width": width, "depths": depths, **further},
        (8, 16, 24),
        ((1, 3),) * 3,
        (2740, 1.91, 0.93),
        variants=_MOBILE,
    ),
    "efficientnet": Family(
        ("EfficientNet",),
        lambda width, depths, **further: {"width": width, "depths": depths, **further},
        (8, 16, 24),
        ((1, 3),) * 3,
        (5500, 1.8, 0.78),
        variants=_MOBILE,
    ),
    "rexnet": Family(
        ("rexnet_100",),
        lambda width, depths, **further: {
            "initial_chs": width,
            "final_chs": 10 * width,
            "width_mult": 0.5,
            "depth_mult": depths[0] / 10,
            **further,
        },
        (8, 16),
        ((4, 8),),
        (13600, 1.51, 0.71),
        variants={"se_ratio": {1 / 12: 1.0, 0: 0.92}},
    ),
    "resnest": Family(
        ("resnest14d",),
        _layers,
        (8, 16, 24),
        _FOUR,
        (1.87e06, 0.74, 0.17),
        variants={"output_stride": {8: 1.0, 16: 0.65, 32: 0.63}},
    ),
    "nfnet": Family(
        ("nf_resnet26", "nf_seresnet26", "nf_ecaresnet26"),
        lambda width, depths, **further: {
            "depths": depths,
            "channels": _times(width, _ONE_TO_EIGHT),
            "output_stride": 8,
            **further,
        },
        (32, 48, 64),
        _FOUR,
        (227000, 0.85, 0.19),
        variants={"output_stride": {8: 1.0, 16: 0.57, 32: 0.48}},
    ),
    "vit": Family(
        ("vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "deit3_small_patch16_224", "PooledViT"),
        _uniform,
        (64, 96, 128, 160),
        ((2, 8),),
        (1550, 1.88, 0.97),
        sized=True,
        variants=_VIT,
    ),
    "eva": Family(
        ("eva02_tiny_patch14_224", "beit_base_patch16_224"),
        _uniform,
        (64, 96, 128),
        ((2, 6),),
        (1370, 1.91, 0.97),
        sized=True,
        variants=_PATCHES,
    ),
    "cait": Family(
        ("cait_xxs24_224",),
        lambda width, depths, **further: {**_uniform(width, depths, **further), "depth_token_only": 1},
        (64, 96, 128),
        ((2, 5),),
        (1730, 1.89, 0.89),
        sized=True,
        variants={**_PATCHES, "mlp_ratio": {4: 1.0, 2: 0.72}},
    ),
    "xcit": Family(
        ("xcit_nano_12_p8_224",),
        lambda width, depths, **further: {
            "embed_dim": width,
            "depth": depths[0],
            "num_heads": width // 32,
            **further,
        },
        (64, 96, 128),
        ((1, 3),),
        (640, 1.94, 0.53),
        sized=True,
        variants={"cls_attn_layers": {2: 1.0, 1: 0.92}, "patch_size": {8: 1.0, 16: 0.31}},
    ),
    "swin": Family(
        ("swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256"),
        lambda width, depths, **further: {
            "patch_size": 2,
            "window_size": 4,
            "embed_dim": width,
            "depths": depths,
            "num_heads": (2, 4, 8)[: len(depths)],
            **further,
        },
        (16, 32, 48),
        ((1, 2),) * 3,
        (5190, 1.92, 0.93),
        sized=True,
        variants={"patch_size": {2: 1.0, 4: 0.26}, "window_size": _any(4, 2), "mlp_ratio": {4: 1.0, 2: 0.71}},
    ),
    "pvt": Family(
        ("pvt_v2_b0",),
        _named(depths="depths", widths="embed_dims", heads="num_heads"),
        (16, 32),
        ((1, 2), (1, 2), (1, 2), (1, 1)),
        (3390, 1.88, 0.72),
        sized=True,
        size_argument=None,
        variants={
            "growth": {(1, 2, 4, 8): 1.0, (1, 2, 3, 4): 0.7, (1, 2, 5, 8): 1.17},
            "linear": {False: 1.0, True: 2.53},
        },
    ),
    "twins": Family(
        ("twins_svt_small", "twins_pcpvt_small"),
        lambda width, depths, **further: {
            **_named(depths="depths", widths="embed_dims", heads="num_heads")(width, depths, **further),
            "wss": (4, 4, 4, 4),
        },
        (16, 32),
        ((1, 2), (1, 2), (1, 2), (1, 1)),
        (4270, 1.92, 0.62),
        sized=True,
    ),
    "davit": Family(
        ("davit_tiny",),
        _named(depths="depths", widths="embed_dims", heads="num_heads"),
        (16, 32),
        ((1, 2),) * 3,
        (8290, 1.79, 0.94),
        sized=True,
        size_argument=None,
        variants={"window_size": {7: 1.0, 4: 0.53}, "mlp_ratio": {4: 1.0, 2: 0.83}},
    ),
    "levit": Family(
        ("levit_128s",),
        lambda width, depths, **further: {
            "embed_dim": _times(width, (4, 6, 8)),
            "num_heads": (2, 3, 4),
            "depth": depths,
            **further,
        },
        (8, 16),
        ((1, 2),) * 3,
        (3880, 1.78, 0.47),
        sized=True,
        variants={"key_dim": {16: 1.0, 8: 0.88}, "mlp_ratio": {2: 1.0, 4: 1.24}},
    ),
    "mixer": Family(
        ("MlpMixer", "ResMLP", "gMLP"),
        lambda width, depths, **further: {
            "patch_size": 4,
            "embed_dim": width,
            "num_blocks": depths[0],
            **further,
        },
        (64, 96, 128),
        ((2, 8),),
        (899, 1.89, 0.99),
        sized=True,
        variants=_PATCHES,
    ),
    "metaformer": Family(
        ("PoolFormer", "PoolFormerV2", "ConvFormer", "CAFormer"),
        _dims,
        (32,),
        ((1, 2), (1, 2), (1, 2), (1, 1)),
        (1.97e06, 0.0, 0.55),
        variants={"growth": {(1, 2, 4, 8): 1.0, (1, 2, 3, 4): 0.75, (1, 2, 5, 7): 1.16}},
    ),
    "convmixer": Family(
        ("ConvMixer",),
        lambda width, depths, **further: {
            "dim": width,
            "depth": depths[0],
            "kernel_size": 5,
            "patch_size": 2,
            **further,
        },
        (64, 96, 128),
        ((3, 10),),
        (1780, 1.66, 0.94),
        variants={"patch_size": {2: 1.0, 4: 0.26}, "kernel_size": {5: 1.0, 3: 0.87, 7: 1.18, 9: 1.45}},
    ),
    "inception_next": Family(
        ("inception_next_atto",),
        lambda width, depths, **further: {**_dims(width, depths, **further), "output_stride": 16},
        (32,),
        ((1, 2), (1, 2), (1, 2), (1, 1)),
        (1.8e06, 0.0, 0.61),
        variants={"growth": {(1, 2, 4, 8): 1.0, (1, 2, 3, 4): 0.6, (1, 2, 5, 8): 1.12}},
    ),
    "edgenext": Family(
        ("edgenext_xx_small",),
        _dims,
        (16, 24),
        ((2, 3),) * 4,
        (1470, 1.91, 0.75),
        sized=True,
        size_argument=None,
        variants={"growth": {(1, 2, 4, 6): 1.0, (1, 2, 4, 8): 1.12, (1, 2, 3, 4): 0.79, (1, 2, 5, 8): 1.28}},
    ),
    "mambaout": Family(
        ("mambaout_femto",),
        _dims,
        (16, 24, 32),
        ((1, 2), (1, 2), (1, 2), (1, 1)),
        (2110, 1.88, 0.71),
        variants={"growth": {(1, 2, 4, 8): 1.0, (1, 2, 4, 6): 0.91}},
    ),
    "starnet": Family(
        ("starnet_s1",),
        lambda width, depths, **further: {"base_dim": width, "depths": depths, **further},
        (8, 16, 24),
        _FOUR,
        (13000, 1.44, 0.67),
    ),
    "repvit": Family(
        ("repvit_m0_9", "repvit_m1"),
        _named(depths="depth", widths="embed_dim"),
        (16, 24, 32),
        _FOUR,
        (2440, 1.91, 0.42),
        variants={"growth": {(1, 2, 4, 8): 1.0, (1, 2, 3, 4): 0.75, (1, 2, 5, 8): 1.15}, "legacy": _any(False, True)},
    ),
    "shvit": Family(
        ("shvit_s1",),
        lambda width, depths, **further: {
            "embed_dim": _times(width, (4, 6, 8)),
            "partial_dim": _times(width, (1, 2, 2)),
            "depth": depths,
            **further,
        },
        (8, 16),
        ((1, 2),) * 3,
        (3730, 1.9, 0.27),
    ),
    "swiftformer": Family(
        ("swiftformer_xs",),
        _named(depths="layers", widths="embed_dims"),
        (16, 24),
        ((1, 2), (1, 2), (1, 2), (1, 1)),
        (2520, 1.95, 0.52),
        variants={"growth": {(1, 2, 4, 6): 1.0, (1, 2, 4, 8): 1.09, (1, 2, 3, 4): 0.82, (1, 2, 5, 8): 1.24}},
    ),
    "efficientvit": Family(
        ("efficientvit_b0",),
        lambda width, depths, **further: {
            "widths": _times(width, (1, 2, 4, 8, 16)),
            "depths": (1, *depths),
            "head_dim": width,
            "head_widths": _times(width, (20, 40)),
            **further,
        },
        (8,),
        ((1, 2), (1, 2), (1, 2), (1, 1)),
        (373000, 0.0, 0.76),
    ),
    "hiera": Family(
        ("hiera_tiny_224",),
        lambda width, depths, **further: {"embed_dim": width, "stages": depths, **further},
        (24, 48),
        ((1, 2), (1, 2), (1, 2), (1, 1)),
        (2440, 1.88, 0.78),
        sized=True,
    ),
}
