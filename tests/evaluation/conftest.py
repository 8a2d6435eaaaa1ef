import pytest
import torch

from ghn_init.hypernet import GHN, GHNConfig
from ghn_init.training.data import Images


@pytest.fixture(scope="session")
def images():
    """Two classes that the mean colour tells apart, in random order."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(96) % 2
    pixels = torch.randint(0, 100, (96, 3, 16, 16), generator=generator) + 100 * labels[:, None, None, None]
    return Images(pixels.to(torch.uint8), labels)


@pytest.fixture
def make_ghn():
    def make(seed=0, **options):
        torch.manual_seed(seed)
        return GHN(GHNConfig(max_shape=(8, 8, 3, 3), hid=16, layers=1, heads=2, **options)).eval()

    return make
