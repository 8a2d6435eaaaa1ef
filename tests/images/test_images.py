import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import noise
from torch.nn import functional as F

from ghn_init.errors import DataError
from ghn_init.images import CIFAR10_MEAN, CIFAR10_STD, Images, normalise


def test_wrong_tensors_are_refused():
    with pytest.raises(DataError, match="uint8"):
        Images(torch.rand(2, 3, 4, 4), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(DataError, match="labels of shape"):
        Images(noise(2), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(DataError, match="not one image"):
        Images(noise(0), torch.zeros(0, dtype=torch.int64))


def test_only_square_images_have_a_side():
    labels = torch.zeros(2, dtype=torch.int64)
    assert Images(torch.zeros(2, 3, 6, 6, dtype=torch.uint8), labels).side == 6
    with pytest.raises(DataError, match="of 5 x 6 pixels"):
        _ = Images(torch.zeros(2, 3, 6, 5, dtype=torch.uint8), labels).side


def test_split_is_a_partition_and_repeats():
    images = Images(noise(10), torch.arange(10))
    kept, held_out = images.split(3)
    assert sorted(kept.labels.tolist() + held_out.labels.tolist()) == list(range(10))
    assert torch.equal(images.split(3)[1].labels, held_out.labels)
    assert kept.num_classes == held_out.num_classes == 10
    assert kept.mean == held_out.mean == images.mean
    with pytest.raises(DataError, match="10 of 10"):
        images.split(10)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**32), st.integers(0, 250), st.integers(1, 256))
def test_statistics_are_those_of_numpy(count, side, seed, low, width):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(low, min(256, low + width), (count, 3, side, side), dtype=np.uint8)
    images = Images(torch.from_numpy(pixels), torch.zeros(count, dtype=torch.int64))
    scaled = pixels.astype(np.float64) / 255
    np.testing.assert_allclose(images.mean, scaled.mean(axis=(0, 2, 3)), atol=5.1e-5)
    # a channel without variation must not be divided by zero
    np.testing.assert_allclose(images.std, np.maximum(scaled.std(axis=(0, 2, 3)), 1 / 255), atol=5.1e-5)


def test_known_statistics_are_taken_only_where_the_images_have_them():
    generator = torch.Generator().manual_seed(0)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (CIFAR10_MEAN, CIFAR10_STD))

    def images(shift):
        # two values at equal distances from the mean have that distance as standard deviation
        signs = torch.randint(0, 2, (64, 3, 32, 32), generator=generator) * 2 - 1
        pixels = ((mean + shift + std * signs) * 255).round().to(torch.uint8)
        return Images(pixels, torch.zeros(64, dtype=torch.int64))

    alike, other = images(0), images(0.02)
    assert (alike.mean, alike.std) == (CIFAR10_MEAN, CIFAR10_STD)
    np.testing.assert_allclose(other.mean, np.array(CIFAR10_MEAN) + 0.02, atol=4e-3)
    assert other.mean != CIFAR10_MEAN


def test_normalise_is_the_usual_one():
    pixels = noise(2)
    mean, std = torch.tensor(CIFAR10_MEAN), torch.tensor(CIFAR10_STD)
    expected = ((pixels.double() / 255).movedim(1, 3) - mean) / std
    torch.testing.assert_close(normalise(pixels), expected.movedim(3, 1).float())
    torch.testing.assert_close(normalise(pixels, 4), F.avg_pool2d(normalise(pixels), 2))
    other = ((pixels.double() / 255).movedim(1, 3) - torch.tensor([0.1, 0.2, 0.3])) / torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(normalise(pixels, None, (0.1, 0.2, 0.3), (1.0, 2.0, 3.0)), other.movedim(3, 1).float())


def test_fingerprints_tell_other_data():
    pixels, labels = noise(40), torch.arange(40) % 4
    images = Images(pixels, labels)
    assert images.fingerprint == Images(pixels.clone(), labels.clone()).fingerprint
    others = [
        images.subset(slice(39)),
        Images(pixels, labels.flip(0)),
        Images(pixels.flip(0), labels),
        Images(pixels.view(40, 3, 4, 16), labels),
    ]
    assert len({images.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_a_test_set_takes_over_from_its_training_set():
    training = Images(noise(9), torch.arange(9) % 3, names=("a", "b", "c"))
    other = Images(noise(4, seed=2), torch.tensor([0, 1, 1, 0]))
    taken = other.like(training)
    assert (taken.mean, taken.std) == (training.mean, training.std) != (other.mean, other.std)
    assert (taken.num_classes, taken.names) == (3, ("a", "b", "c"))
    assert torch.equal(taken.pixels, other.pixels)
    with pytest.raises(DataError, match="classes differ"):
        Images(noise(1), torch.zeros(1, dtype=torch.int64), names=("b", "a")).like(training)
    with pytest.raises(DataError, match="label 3"):
        Images(noise(1), torch.tensor([3])).like(training)
