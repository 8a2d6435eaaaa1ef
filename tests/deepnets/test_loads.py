import math
import statistics
import time

import pytest
import torch

from ghn_init.deepnets import sample, timm_architecture
from ghn_init.hypernet import GHN, GHNConfig
from ghn_init.training.entries import make_entry
from ghn_init.training.network_step import network_step

GHN_CONFIG = GHNConfig(hid=8, layers=1, heads=2, max_shape=(16, 16, 7, 7), num_classes=10)


def seconds(architecture, ghn):
    """The processor's seconds of a training step of 32 images of 16x16."""
    entry = make_entry(architecture, 16, config=ghn.config)
    with torch.no_grad():
        predicted = ghn(entry.graph)
    images, labels = torch.randn(32, 3, 16, 16), torch.randint(10, (32,))
    found = []
    for _ in range(3):
        started = time.process_time()
        network_step(entry, predicted, images, labels, clip=1.0)
        found.append(time.process_time() - started)
    return min(found[1:])


def small(make):
    """The first architectures that take images of any size."""
    found = (make(index) for index in range(200))
    return [one for one in found if not one.fixed_resolution][:20]


@pytest.mark.parametrize("make", [lambda i: sample("train", i).with_width(16), timm_architecture])
def test_times_of_steps_vary_less_by_load_than_by_multiply_adds(make):
    torch.manual_seed(0)
    ghn = GHN(GHN_CONFIG).eval()
    architectures = small(make)
    took = [seconds(one, ghn) for one in architectures]
    by_load, by_cost = (
        statistics.stdev(math.log(second / of(one)) for one, second in zip(architectures, took, strict=True))
        for of in (lambda one: one.load(16), lambda one: one.cost(16))
    )
    assert by_load < 0.7 * by_cost


def test_loads_grow_with_images_and_width():
    architecture = sample("train", 0)
    assert 1 < architecture.load(32) / architecture.load(16) < 4.5
    assert 1 < architecture.with_width(2 * architecture.width).load() / architecture.load() < 4.5
    # the starting of operations does not grow
    assert architecture.load(4) / architecture.cost(4) > 2 * architecture.load(64) / architecture.cost(64)
