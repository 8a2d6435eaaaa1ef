"""Whether a network's activations keep their scale through depth, and what to do where they do not."""

from ghn_init.calibration.batch_norm import reestimate_batch_norm
from ghn_init.calibration.errors import CalibrationError
from ghn_init.calibration.head import HeadFit, fit_head
from ghn_init.calibration.lsuv import calibrate
from ghn_init.calibration.report import CalibrationReport, Rescaled
from ghn_init.calibration.scales import ActivationScales, LayerScale, measure
from ghn_init.calibration.state import restored_on_error

__all__ = [
    "ActivationScales",
    "CalibrationError",
    "CalibrationReport",
    "HeadFit",
    "LayerScale",
    "Rescaled",
    "calibrate",
    "fit_head",
    "measure",
    "reestimate_batch_norm",
    "restored_on_error",
]
