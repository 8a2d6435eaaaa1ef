"""Start neural networks from weights that a Graph HyperNetwork predicts, instead of random ones."""

from ghn_init.api import apply, predict
from ghn_init.calibration import (
    CalibrationError,
    CalibrationReport,
    HeadFit,
    calibrate,
    fit_head,
    measure,
    reestimate_batch_norm,
)
from ghn_init.checkpoints import load
from ghn_init.errors import (
    CheckpointError,
    GHNInitError,
    ModelNotFoundError,
    PredictionError,
    StrategyError,
    TraceError,
    UnsafeCheckpointError,
)
from ghn_init.graph import ArchGraph, Node, NodeRule, register, trace, unregister
from ghn_init.hypernet import GHN, GHNConfig
from ghn_init.prediction import Prediction
from ghn_init.properties.embedding import embed
from ghn_init.report import Report
from ghn_init.strategies import initialise

__version__ = "0.1.0"

__all__ = [
    "GHN",
    "ArchGraph",
    "CalibrationError",
    "CalibrationReport",
    "CheckpointError",
    "GHNConfig",
    "GHNInitError",
    "HeadFit",
    "ModelNotFoundError",
    "Node",
    "NodeRule",
    "Prediction",
    "PredictionError",
    "Report",
    "StrategyError",
    "TraceError",
    "UnsafeCheckpointError",
    "apply",
    "calibrate",
    "embed",
    "fit_head",
    "initialise",
    "load",
    "measure",
    "predict",
    "reestimate_batch_norm",
    "register",
    "trace",
    "unregister",
]
