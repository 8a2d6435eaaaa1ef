import pytest
import torch

from ghn_init.deepnets import Architecture, CellGenotype, Classic
from ghn_init.hypernet import GHN, GHNConfig
from ghn_init.training.config import TrainConfig
from ghn_init.training.data import Images
from ghn_init.training.pool import make_entry

CELL = CellGenotype(steps=((("conv_3x3", 0), ("skip", 1)),), output=(2,))
POOLING = CellGenotype(steps=((("max_pool_3x3", 0), ("avg_pool_3x3", 1)),), output=(2,))


@pytest.fixture(scope="session")
def pool():
    return [
        make_entry(Architecture(CELL, POOLING, n_cells=4, width=8), 16),
        make_entry(Classic("plain", (1, 1), 8), 16),
        make_entry(Classic("basic", (1, 1), 8), 16),
    ]


@pytest.fixture(scope="session")
def images():
    """Two classes that the mean colour tells apart."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(64) % 2
    pixels = torch.randint(0, 100, (64, 3, 16, 16), generator=generator) + 100 * labels[:, None, None, None]
    return Images(pixels.to(torch.uint8), labels)


@pytest.fixture
def make_ghn():
    def make(seed=0):
        torch.manual_seed(seed)
        return GHN(GHNConfig(max_shape=(8, 8, 3, 3), hid=16, layers=1, heads=2))

    return make


@pytest.fixture
def config():
    return TrainConfig(steps=6, meta_batch=3, batch_size=8, lr=3e-3, warmup=2, pad=1, ema=0.5)
