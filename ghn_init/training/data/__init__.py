"""Image data sets, and batches of them with augmentation on tensors."""

from ghn_init.training.data.batch import draw_batch, normalise
from ghn_init.training.data.images import Images
from ghn_init.training.data.parquet import read_parquet
from ghn_init.training.data.statistics import CIFAR10_MEAN, CIFAR10_STD

__all__ = ["CIFAR10_MEAN", "CIFAR10_STD", "Images", "draw_batch", "normalise", "read_parquet"]
