import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F

from ghn_init.evaluation import NamedNetwork, Setup
from ghn_init.hypernet import GHN, GHNConfig
from ghn_init.images import Images, normalise


@pytest.fixture(scope="session")
def images():
    """Two classes that the mean colour tells apart, in random order."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (96,), generator=generator)
    pixels = torch.randint(0, 100, (96, 3, 16, 16), generator=generator) + 100 * labels[:, None, None, None]
    return Images(pixels.to(torch.uint8), labels)


def new_ghn(seed=0, **options):
    torch.manual_seed(seed)
    return GHN(GHNConfig(num_classes=2, max_shape=(8, 8, 3, 3), hid=16, layers=1, heads=2, **options)).eval()


@pytest.fixture
def make_ghn():
    return new_ghn


@pytest.fixture(scope="session")
def trained_ghn(images):
    """A GHN that was trained for a few steps on one small network."""
    ghn = new_ghn(1).train()
    skeleton = NamedNetwork("tiny_networks:without_norm").skeleton(2, 16)
    optimiser = torch.optim.Adam(ghn.parameters(), lr=3e-3)
    x = normalise(images.pixels, None, images.mean, images.std)
    for _ in range(40):
        loss = F.cross_entropy(functional_call(skeleton.network, ghn(skeleton.graph), (x,)), images.labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return ghn.eval()


@pytest.fixture
def setup(make_ghn, images):
    return Setup(make_ghn(), images, image_size=16, batch_size=32)
