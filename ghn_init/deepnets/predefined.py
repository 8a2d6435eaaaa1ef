"""The two networks that the papers evaluate beside random ones."""

from __future__ import annotations

from ghn_init.deepnets.classic import Classic
from ghn_init.deepnets.spec import Architecture, CellGenotype

#: ResNet-50 with a 3x3 stem without stride or pooling for small images (He et al., 2016; 23.5 M parameters).
RESNET50 = Classic("bottleneck", (3, 4, 6, 3), 64)

#: Ten transformer blocks of width 128, two poolings without stride between them (1.0 M parameters).
VIT = Architecture(
    normal=CellGenotype(steps=((("none", 0), ("msa", 1)),), output=(2,)),
    reduction=CellGenotype(steps=((("none", 0), ("avg_pool_3x3", 1)),), output=(2,)),
    n_cells=12,
    width=128,
    width_mult=1,
    preprocess=False,
)

PREDEFINED: tuple[Classic | Architecture, ...] = (RESNET50, VIT)
