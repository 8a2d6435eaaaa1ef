"""Against what the published generator and the published splits say of themselves."""

import dataclasses
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp

from ghn_init.deepnets import Architecture, count_parameters, from_dict, sample
from ghn_init.graph.arch import NODE_TYPES

#: 40 networks that the published generator drew: their parameters, and the types of their graphs' nodes.
ROWS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "deepnets_published.jsonl").read_text().splitlines()
]
#: Parameters of the published evaluation splits' networks on CIFAR-10: least, and 10th, 50th and 90th percentile.
PUBLISHED_SIZES = {
    "val": (2501994, 2608578, 3017458, 4294378),
    "test": (2500522, 2579834, 2959818, 4498498),
    "wide": (38768490, 40304810, 46047450, 70898410),
    "deep": (2520250, 2585626, 3194238, 5417002),
    "dense": (2527946, 2583250, 3178906, 5938634),
    "bnfree": (2503690, 2575306, 2893210, 4371818),
}


@pytest.fixture(scope="module")
def drawn():
    """As the published generator has them before the loader draws their width."""
    return [dataclasses.replace(sample("train", index), width=32, fc_dim=256) for index in range(400)]


@pytest.fixture(scope="module")
def nodes(drawn):
    return np.array([len(architecture.graph()) for architecture in drawn])


@pytest.fixture(scope="module")
def parameters(drawn):
    return np.array([count_parameters(architecture, dead=True) for architecture in drawn])


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_published_networks_have_the_same_size_and_node_types(row):
    architecture = from_dict(row["architecture"])
    assert isinstance(architecture, Architecture)
    assert count_parameters(architecture, dead=True) == row["parameters"]
    assert architecture.graph().counts() == row["types"]


def test_the_predefined_networks_have_their_published_sizes():
    for index, size in enumerate((23_520_842, 1_012_234)):
        network = sample("predefined", index).build()
        assert sum(parameter.numel() for parameter in network.parameters()) == size


def test_all_node_types_are_there(drawn):
    counts = sum((architecture.graph().counts() for architecture in drawn[:100]), Counter())
    assert set(counts) == set(NODE_TYPES)


def test_node_counts_are_those_of_the_published_generator(nodes):
    # of 100 networks: 32 to 517 nodes, mean 181, standard deviation 97. The mean of 100 has a standard error of 9.7,
    # that of 400 of 4.9, their difference of 10.9; a standard deviation has about 0.8 of a mean's. Three of them:
    assert abs(nodes.mean() - 181) < 33
    assert abs(nodes.std() - 97) < 26
    # beyond the extremes of 100 there are 5 % or more with a probability below 1 %
    assert (nodes < 32).mean() < 0.05
    assert (nodes > 517).mean() < 0.05


def test_parameter_counts_are_those_of_the_published_generator(parameters):
    # of 100 networks: 0.04 to 8.6 M, mean 1.2 M, median 0.48 M. The standard deviation is 1.35 M, so that the means of
    # 100 and of 400 differ with a standard error of 0.15 M; that of their medians' logarithms, which have a standard
    # deviation of 1.2, is 1.25 * 1.2 * sqrt(1 / 100 + 1 / 400) = 0.17. Three of them:
    assert abs(parameters.mean() - 1.2e6) < 0.45e6
    assert abs(np.log(np.median(parameters) / 0.48e6)) < 0.51
    assert (parameters < 0.04e6).mean() < 0.05
    assert (parameters > 8.6e6).mean() < 0.05
    assert parameters.max() <= 10_000_000


def test_other_networks_of_the_published_generator_could_be_ours(nodes, parameters):
    assert ks_2samp(nodes, [sum(row["types"].values()) for row in ROWS]).pvalue > 0.001
    assert ks_2samp(parameters, [row["parameters"] for row in ROWS]).pvalue > 0.001


@pytest.mark.parametrize("split", PUBLISHED_SIZES)
def test_evaluation_splits_have_their_published_sizes(split):
    sizes = np.array([count_parameters(sample(split, index), dead=True) for index in range(100)])
    least, *percentiles = PUBLISHED_SIZES[split]
    assert abs(sizes.min() / least - 1) < 0.02
    for share, size in zip((0.1, 0.5, 0.9), percentiles, strict=True):
        # both are of 100 networks or more: three standard errors
        assert abs((sizes < size).mean() - share) < 3 * (2 * share * (1 - share) / 100) ** 0.5
