import pytest
import timm
import torch
import torchvision
from torch import nn

from ghn_init.evaluation.stems import Stem, find_stem, shrink_stem
from ghn_init.evaluation.subjects import NamedNetwork
from ghn_init.graph import trace


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("resnet18", Stem("conv1", "maxpool")),
        ("densenet121", Stem("features.conv0", "features.pool0")),
        ("googlenet", Stem("conv1.conv", "maxpool1")),
        ("mobilenet_v3_small", Stem("features.0.0")),
        ("vgg11", Stem()),
        ("vit_b_32", Stem()),
        ("convnext_tiny", Stem()),
    ],
)
def test_what_is_a_stem_in_torchvision(name, stem):
    options = {"init_weights": False} if name == "googlenet" else {}
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None, **options).eval()
    assert find_stem(network, trace(network)) == stem


def test_a_stem_of_three_convolutions():
    with torch.device("meta"):
        network = timm.create_model("resnet18d").eval()
    assert find_stem(network, trace(network)) == Stem("conv1.0", "maxpool")


def test_resnet_for_small_images_is_that_of_the_papers():
    torch.manual_seed(0)
    network = torchvision.models.resnet18(num_classes=10).eval()
    expected = torchvision.models.resnet18(num_classes=10).eval()
    expected.load_state_dict(network.state_dict())
    conv = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    conv.weight.data = network.conv1.weight.data[:, :, 2:5, 2:5].clone()
    expected.conv1, expected.maxpool = conv, nn.Identity()
    shrink_stem(network, find_stem(network, trace(network)))
    assert network.conv1.weight.is_contiguous()
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(network(x), expected(x))
    assert trace(network).nodes == trace(expected).nodes


def test_named_networks_get_it_unless_asked_not_to():
    small, large = NamedNetwork("torchvision:resnet18"), NamedNetwork("torchvision:resnet18", small_images=False)
    assert small.name != large.name
    assert small.skeleton(10, 32).network.conv1.weight.shape == (64, 3, 3, 3)
    assert large.skeleton(10, 32).network.conv1.weight.shape == (64, 3, 7, 7)
    assert small.build(10, 32).conv1.stride == (1, 1)
