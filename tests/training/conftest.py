import pytest
import torch
from small_runs import GHN_CONFIG, coloured, small_config

from ghn_init.deepnets import Architecture, CellGenotype, Classic
from ghn_init.hypernet import GHN
from ghn_init.training.entries import make_entry

CELL = CellGenotype(steps=((("conv_3x3", 0), ("skip", 1)),), output=(2,))
POOLING = CellGenotype(steps=((("max_pool_3x3", 0), ("avg_pool_3x3", 1)),), output=(2,))


@pytest.fixture(scope="session")
def pool():
    """Entries of three networks for images of 16 x 16."""
    cells = Architecture(CELL, POOLING, n_cells=4, width=8)
    return [make_entry(one, 16) for one in (cells, Classic("plain", (1, 1), 8), Classic("basic", (1, 1), 8))]


@pytest.fixture(scope="session")
def images():
    return coloured()


@pytest.fixture
def make_ghn():
    def make(seed=0):
        torch.manual_seed(seed)
        return GHN(GHN_CONFIG)

    return make


@pytest.fixture
def config():
    return small_config()
