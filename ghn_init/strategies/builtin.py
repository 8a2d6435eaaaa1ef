"""The strategies that come with the package, one a line."""

from __future__ import annotations

from torch import nn

from ghn_init.api import apply
from ghn_init.strategies import drawn, orthogonal
from ghn_init.strategies.mimetic import mimetic
from ghn_init.strategies.predicted import ghn_orth
from ghn_init.strategies.probe import linear_probe
from ghn_init.strategies.registry import register
from ghn_init.strategies.selection import weight_selection
from ghn_init.strategies.zero import zero


def default(module: nn.Module) -> None:
    """Leaves the module as its own code has initialised it."""


_HE = "He et al., 2015, Delving deep into rectifiers, section 2.2"
_GLOROT = "Glorot & Bengio, 2010, Understanding the difficulty of training deep networks, section 4.2.1"

register("default", default, description="the module's own values", atomic=True)
register(
    "ghn",
    apply,
    description="predicted by a Graph HyperNetwork: ghn_init.apply",
    citation="Knyazev et al., 2021 and 2023",
    atomic=True,
)
register(
    "linear_probe",
    linear_probe,
    description="another start, the head fitted to labelled batches",
    citation="Kumar et al., 2022, Fine-tuning can distort pretrained features",
)
register("kaiming_normal", drawn.kaiming_normal, description="normal, variance gain² / fan", citation=_HE)
register("kaiming_uniform", drawn.kaiming_uniform, description="uniform, variance gain² / fan", citation=_HE)
register("xavier_normal", drawn.xavier_normal, description="normal, variance 2 gain² / both fans", citation=_GLOROT)
register("xavier_uniform", drawn.xavier_uniform, description="uniform, variance 2 gain² / both fans", citation=_GLOROT)
register(
    "trunc_normal",
    drawn.trunc_normal,
    description="normal, cut off at two deviations",
    citation="Dosovitskiy et al., 2021, An image is worth 16x16 words",
)
register(
    "orthogonal",
    orthogonal.orthogonal,
    description="orthonormal rows or columns",
    citation="Saxe et al., 2014, Exact solutions to the nonlinear dynamics of learning, section 3.1",
)
register(
    "delta_orthogonal",
    orthogonal.delta_orthogonal,
    description="orthogonal in the centre of kernels, zero around it",
    citation="Xiao et al., 2018, Dynamical isometry and a mean field theory of CNNs",
)
register(
    "lsuv",
    orthogonal.lsuv,
    description="orthogonal, then outputs of unit variance, layer by layer",
    citation="Mishkin & Matas, 2016, All you need is a good init, algorithm 1",
)
register(
    "zero",
    zero,
    description="identities and Hadamard matrices (ZerO)",
    citation="Zhao et al., 2022, ZerO initialization, algorithms 1 and 2",
)
register(
    "mimetic",
    mimetic,
    description="attention as it looks after pretraining, all else unchanged",
    citation="Trockman & Kolter, 2023, Mimetic initialization of self-attention layers, section 4",
)
register(
    "weight_selection",
    weight_selection,
    description="a part of a larger pretrained network of the same family",
    citation="Xu et al., 2024, Initializing models with larger ones, section 3",
)
register(
    "ghn_orth",
    ghn_orth,
    description="predicted by a GHN, then made orthogonal, with noise",
    citation="Knyazev, 2022, Pretraining a neural network before knowing its architecture",
)
