"""Multiply-adds against numbers that torchvision and papers publish."""

import pytest
import torch
import torchvision
from torch import nn

from ghn_init.evaluation import SplitNetwork
from ghn_init.ranking.costs import cost_of_image, flops, on_meta


@pytest.mark.parametrize("name", ["resnet50", "vit_b_16", "mobilenet_v2"])
def test_counts_are_those_that_torchvision_publishes(name):
    published = torchvision.models.get_model_weights(name).DEFAULT.meta["_ops"]  # in thousand millions
    with torch.device("meta"):
        network = torchvision.models.get_model(name).eval()
    assert flops(network, torch.empty(1, 3, 224, 224)) / 1e9 == pytest.approx(published, abs=5e-4)


def test_a_convolution_and_a_layer_by_hand():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Flatten(), nn.Linear(8 * 25, 7))
    assert flops(network, torch.empty(2, 3, 5, 5)) == 2 * (5 * 5 * 8 * 3 * 9 + 8 * 25 * 7)
    assert cost_of_image(network, 3, 5).flops == 5 * 5 * 8 * 3 * 9 + 8 * 25 * 7
    assert cost_of_image(network, 3, 5).outputs == (7,)


def test_several_arguments():
    class Product(nn.Module):
        def forward(self, x, y):
            return x @ y

    assert flops(Product(), (torch.empty(4, 5), torch.empty(5, 6))) == 4 * 5 * 6


def test_the_module_stays_as_it_is():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    parameters = [id(parameter) for parameter in network.parameters()]
    flops(network, torch.empty(2, 3, 4, 4))
    assert [id(parameter) for parameter in network.parameters()] == parameters
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_networks_without_values_can_be_counted_twice():
    network = SplitNetwork("search", 0).skeleton(10, 32).network
    first = cost_of_image(network, 3, 32)
    assert first == cost_of_image(network, 3, 32)
    assert first.outputs == (10,)
    assert 0.3 < first.flops / SplitNetwork("search", 0)._architecture.cost(32) < 3


def test_copies_without_values_keep_ties_and_settings():
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    network[1].weight = network[0].weight
    network[0].weight.requires_grad_(False)
    copied = on_meta(network)
    assert copied[1].weight is copied[0].weight
    assert isinstance(copied[0].weight, nn.Parameter)
    assert not copied[0].weight.requires_grad
    assert all(parameter.is_meta for parameter in copied.parameters())
    assert not any(parameter.is_meta for parameter in network.parameters())


def test_a_wrong_example_is_an_error_that_names_the_shapes():
    with pytest.raises(RuntimeError, match="channel"):
        flops(nn.Conv2d(3, 4, 1), torch.empty(1, 5, 8, 8))
