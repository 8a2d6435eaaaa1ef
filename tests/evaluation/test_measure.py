import dataclasses
import sys

import pytest
import torch
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from ghn_init.evaluation import NamedNetwork, Setup, SplitNetwork, measure
from ghn_init.evaluation.measure import Task, depth
from ghn_init.graph import trace
from ghn_init.hypernet import GHN
from ghn_init.images import Images, normalise


def by_hand(setup, name, parameters):
    """Accuracy in training mode, whose batch norms use the batch, on shuffled images."""
    network = NamedNetwork(f"tiny_networks:{name}").build(2, 16).train()
    order = torch.randperm(96, generator=torch.Generator().manual_seed(setup.seed))
    right = 0
    for batch in order.split(setup.batch_size):
        pixels, labels = setup.images.pixels[batch], setup.images.labels[batch]
        x = normalise(pixels, None, setup.images.mean, setup.images.std)
        right += int((functional_call(network, parameters, (x,)).argmax(1) == labels).sum())
    return right / 96


def found(setup, name, start="predicted"):
    return measure(setup, Task(NamedNetwork(f"tiny_networks:{name}"), start))


@pytest.mark.parametrize("name", ["tiny", "without_norm"])
def test_accuracy_is_that_of_predicted_weights_by_hand(setup, name):
    skeleton = NamedNetwork(f"tiny_networks:{name}").skeleton(2, 16)
    with torch.no_grad():
        parameters = setup.ghn(skeleton.graph)
        expected = by_hand(setup, name, parameters)
    result = found(setup, name)
    assert (result.status, result.top1, result.top5) == ("ok", expected, None)
    assert result.images == 96
    assert result.predicted == 1.0
    assert result.parameters == sum(parameter.numel() for parameter in skeleton.network.parameters())
    assert result.nodes == len(skeleton.graph)


def test_equal_channels_are_computed_once(setup, monkeypatch):
    task = Task(SplitNetwork("test", 3), "predicted")
    setup = dataclasses.replace(setup, images_each=32)
    results, flops = [], []
    for worthwhile in (0.0, 1.0):
        monkeypatch.setattr(sys.modules["ghn_init.evaluation.measure"], "WORTHWHILE", worthwhile)
        with FlopCounterMode(display=False) as counter:
            results.append(dataclasses.replace(measure(setup, task), seconds=0.0))
        flops.append(counter.get_total_flops())
    assert results[0] == results[1]
    assert flops[1] < flops[0] / 4


def test_own_weights_are_random_but_always_the_same(setup):
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    first = found(setup, "without_norm", "own")
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(1)
    assert found(setup, "without_norm", "own").top1 == first.top1
    others = {found(dataclasses.replace(setup, seed=seed), "without_norm", "own").top1 for seed in range(1, 8)}
    assert len(others) > 1
    assert first.predicted == 0


def test_what_is_not_predicted_and_buffers_keep_their_values(setup):
    with torch.no_grad():
        parameters = setup.ghn(NamedNetwork("tiny_networks:with_buffer").skeleton(2, 16).graph)
    assert "scale" not in parameters
    result = found(setup, "with_buffer")
    assert result.status == "ok"
    assert 0.9 < result.predicted < 1
    assert result.top1 == by_hand(setup, "with_buffer", parameters)


def test_a_trained_ghn_beats_own_initialisation(trained_ghn, images):
    setup = Setup(trained_ghn, images, image_size=16)
    assert found(setup, "without_norm").top1 > 0.95
    own = [found(dataclasses.replace(setup, seed=seed), "without_norm", "own").top1 for seed in range(6)]
    assert sum(own) / 6 < 0.8


def test_logits_that_are_not_finite_are_counted(setup):
    result = found(setup, "not_finite")
    pixels = normalise(setup.images.pixels, None, setup.images.mean, setup.images.std)
    dark = int((pixels.mean((1, 2, 3)) <= 0).sum())
    assert (result.status, result.not_finite) == ("not finite", dark)
    assert 0 < dark < 96
    assert result.top1 == 1 - dark / 96


def test_a_network_that_is_too_large_or_broken_is_no_error_of_the_others(setup):
    greedy, wrong = found(setup, "greedy"), found(setup, "wrong")
    assert (greedy.status, greedy.top1) == ("out of memory", None)
    assert "allocate" in greedy.message
    assert (wrong.status, wrong.top1) == ("failed", None)
    assert wrong.message.startswith("RuntimeError: ")
    assert "\n" not in wrong.message


def test_each_network_of_a_split_has_its_own_images(setup):
    setup = dataclasses.replace(setup, images_each=20)
    blocks = [setup.block(place) for place in range(5)]
    seen = torch.cat(blocks)
    assert [len(block) for block in blocks] == [20] * 5
    assert len(seen[:96].unique()) == 96  # then they begin again
    assert torch.equal(seen[96:], seen[:4])
    assert not torch.equal(seen[:96], torch.arange(96))
    whole = dataclasses.replace(setup, images_each=None).block(3)
    assert torch.equal(whole.sort().values, torch.arange(96))
    assert len(dataclasses.replace(setup, images_each=1000).block(1)) == 96


def test_images_sorted_by_class_are_shuffled(trained_ghn, images):
    """In a batch of one class, batch statistics would take away what tells the classes apart."""
    order = images.labels.argsort()
    given = Setup(trained_ghn, Images(images.pixels[order], images.labels[order]), image_size=16, batch_size=16)
    batch = given.block(0)[:16]
    assert 0 < int(given.images.labels[batch].sum()) < 16


@pytest.mark.parametrize(("name", "layers"), [("resnet18", 18), ("resnet50", 50), ("vgg11", 11)])
def test_depth_is_the_number_in_the_name(name, layers):
    assert depth(trace(NamedNetwork(f"torchvision:{name}").skeleton(10, 32).network)) == layers


def test_top5_of_many_classes(make_ghn, images):
    labels = torch.arange(96) % 12
    given = Setup(make_ghn().eval(), Images(images.pixels, labels), image_size=16)
    config = dataclasses.replace(given.ghn.config, num_classes=12)
    torch.manual_seed(0)
    given.ghn = GHN(config).eval()
    result = found(given, "tiny")
    assert result.status == "ok"
    assert result.top1 <= result.top5 < 1
    assert result.top5 > 0
