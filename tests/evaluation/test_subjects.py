import pickle

import pytest
import torch
from torch import nn

from ghn_init import deepnets
from ghn_init.evaluation import EvaluationError, NamedNetwork, SplitNetwork, split_networks
from ghn_init.graph import trace


def test_all_stands_for_the_columns_of_the_papers_table():
    networks = split_networks(["all"], 3)
    columns = list(dict.fromkeys(network.column for network in networks))
    assert columns == ["test", "wide", "deep", "dense", "bnfree", "ResNet-50", "ViT"]
    assert len(networks) == 5 * 3 + 2
    assert len({network.name for network in networks}) == len(networks)


@pytest.mark.parametrize("split", deepnets.SPLITS)
def test_every_split_has_networks(split):
    network = split_networks([split], 1)[0]
    architecture = deepnets.sample(split, 0)
    skeleton = network.skeleton(7, 32)
    assert skeleton.graph == architecture.graph(7, 32)
    assert all(parameter.is_meta for parameter in skeleton.network.parameters())
    shapes = {name: parameter.shape for name, parameter in architecture.build(7, 32).named_parameters()}
    assert {name: parameter.shape for name, parameter in skeleton.network.named_parameters()} == shapes


def test_splits_are_as_large_as_published_and_start_where_asked():
    assert len(split_networks(["test"], 10**6)) == deepnets.SPLIT_SIZES["test"]
    assert [network.index for network in split_networks(["deep"], 2, first=5)] == [5, 6]
    assert len(split_networks(["test", "test"], 4)) == 4


def test_an_unknown_split_is_refused():
    with pytest.raises(EvaluationError, match=r"'tset'.*bnfree"):
        split_networks(["tset"], 1)


def test_predefined_networks_are_resnet50_and_a_vit():
    resnet, vit = split_networks(["predefined"], 5)
    sizes = [sum(p.numel() for p in one.skeleton(10, 32).network.parameters()) for one in (resnet, vit)]
    theirs = NamedNetwork("torchvision:resnet50").skeleton(10, 32)
    assert sizes[0] == sum(parameter.numel() for parameter in theirs.network.parameters())
    assert len(resnet.skeleton(10, 32).graph) == len(theirs.graph)
    assert vit.skeleton(10, 32).graph.counts()["msa"] > 0


def test_named_networks_of_a_fixed_size_are_built_for_the_images():
    network = NamedNetwork("timm:vit_tiny_patch16_224", (("patch_size", 4), ("depth", 1))).build(5, 32)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 5)
    assert NamedNetwork("timm:vit_tiny_patch16_224", (("img_size", 48),)).build(5, 32).patch_embed.img_size == (48, 48)


def test_batch_norms_of_named_networks_use_the_batch():
    network = NamedNetwork("tiny_networks:tiny").build(2, 16)
    norm = network.norm
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is None
    assert not network.training


@pytest.mark.parametrize("subject", [SplitNetwork("wide", 3), NamedNetwork("tiny_networks:tiny", (("width", 16),))])
def test_subjects_survive_pickling_after_use(subject):
    graph = subject.skeleton(2, 32).graph
    other = pickle.loads(pickle.dumps(subject))
    assert other == subject
    assert other.skeleton(2, 32).graph == graph
    assert trace(other.build(2, 32)).nodes == graph.nodes
