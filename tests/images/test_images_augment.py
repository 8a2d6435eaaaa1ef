import dataclasses
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import noise
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as tv

from ghn_init.errors import DataError
from ghn_init.images import AUGMENTS, Augment, Images, draw_batch, normalise


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def shifted_by_hand(images, batch_size, generator, pad):
    """Shifts and flips, an image at a time, by slicing."""
    chosen = torch.randint(len(images), (batch_size,), generator=generator)
    top, left = torch.randint(2 * pad + 1, (2, batch_size), generator=generator)
    mirrored = torch.rand(batch_size, generator=generator) < 0.5
    height, width = images.pixels.shape[2:]
    made = []
    for place, index in enumerate(chosen.tolist()):
        padded = F.pad(images.pixels[index], (pad, pad, pad, pad))
        window = padded[:, top[place] : top[place] + height, left[place] : left[place] + width]
        made.append(window.flip(2) if mirrored[place] else window)
    return torch.stack(made), images.labels[chosen]


@pytest.mark.parametrize("size", [None, 16])
def test_standard_draws_the_same_bits_as_ever(size):
    images = Images(noise(50, 32), torch.arange(50) % 10)
    pixels, labels = shifted_by_hand(images, 24, seeded(5), pad=4)
    x, y = draw_batch(images, 24, seeded(5), size=size)
    assert torch.equal(x, normalise(pixels, size, images.mean, images.std))
    assert torch.equal(y, labels)


def test_no_augmentation_leaves_the_images_as_they_are():
    images = Images(noise(50), torch.arange(50))
    x, y = draw_batch(images, 24, seeded(), augment=AUGMENTS["none"])
    assert torch.equal(x, normalise(images.pixels[y], None, images.mean, images.std))


def test_batches_are_shifted_and_flipped_copies():
    images = Images(noise(6), torch.arange(6))
    x, y = draw_batch(images, 40, seeded(), augment=Augment(shift=0.25, flip=True))
    padded = F.pad(images.pixels, (2, 2, 2, 2))
    seen = set()
    for picture, label in zip(x, y, strict=True):
        found = []
        for flip, top, left in itertools.product((False, True), range(5), range(5)):
            window = padded[label, :, top : top + 8, left : left + 8]
            expected = normalise(window.flip(2)[None] if flip else window[None], None, images.mean, images.std)[0]
            if torch.allclose(picture, expected):
                found.append((flip, top, left))
        assert found
        seen.add(found[0])
    assert len(seen) > 15


@settings(max_examples=25, deadline=None)
@given(
    st.builds(
        Augment,
        shift=st.sampled_from([0.0, 0.3]),
        flip=st.booleans(),
        zoom=st.sampled_from([0.0, 0.5]),
        rotate=st.sampled_from([0.0, 90.0]),
        brightness=st.sampled_from([0.0, 1.0]),
        contrast=st.sampled_from([0.0, 0.5]),
        saturation=st.sampled_from([0.0, 0.5]),
        erase=st.sampled_from([0.0, 0.7, 1.0]),
        cutmix=st.sampled_from([0.0, 0.7]),
    ),
    st.integers(1, 9),
    st.sampled_from([(8, 8), (6, 10), (9, 5)]),
    st.sampled_from([None, 4]),
)
def test_every_combination_repeats_and_keeps_to_its_shapes(augment, count, shape, size):
    pixels = noise(5, 16)[:, :, : shape[0], : shape[1]]
    images = Images(pixels, torch.arange(5), names=tuple("abcdef"))
    x, y = draw_batch(images, count, seeded(3), size=size, augment=augment)
    again, labels = draw_batch(images, count, seeded(3), size=size, augment=augment)
    assert torch.equal(x, again)
    assert torch.equal(y, labels)
    assert x.shape == (count, 3, *((size, size) if size else shape))
    assert x.dtype == torch.float32
    low, high = normalise(torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 1, 1), None,
                          images.mean, images.std)  # fmt: skip
    assert (x >= low - 1e-4).all()
    assert (x <= high + 1e-4).all()
    if augment.cutmix:
        assert y.shape == (count, 6)
        torch.testing.assert_close(y.sum(dim=1), torch.ones(count))
    else:
        assert y.dtype == torch.int64
    assert torch.equal(images.pixels, noise(5, 16)[:, :, : shape[0], : shape[1]]), "the data set must stay as it is"


def test_colours_change_as_torchvision_changes_them():
    x = noise(4, 16).float() / 255
    augment = Augment(brightness=0.6, contrast=0.7, saturation=0.8)
    generator = seeded(2)
    drawn = [1 - s + 2 * s * torch.rand(4, generator=generator) for s in (0.6, 0.7, 0.8)]
    expected = []
    for image, brightness, contrast, saturation in zip(x, *drawn, strict=True):
        image = tv.adjust_brightness(image, float(brightness))
        image = tv.adjust_contrast(image, float(contrast))
        expected.append(tv.adjust_saturation(image, float(saturation)))
    torch.testing.assert_close(augment.recoloured(x, seeded(2)), torch.stack(expected))


@pytest.mark.parametrize("shape", [(16, 16), (12, 20)])
def test_images_turn_and_zoom_as_torchvision_turns_them(shape):
    x = F.avg_pool2d(noise(4, 40).float() / 255, 2)[:, :, : shape[0], : shape[1]].contiguous()
    augment = Augment(zoom=0.3, rotate=40)
    generator = seeded(4)
    scale = 0.7 + 0.6 * torch.rand(4, generator=generator)
    angle = 80 * torch.rand(4, generator=generator) - 40
    found = augment.warped(x, seeded(4))
    for image, factor, degrees, result in zip(x, scale.tolist(), angle.tolist(), found, strict=True):
        expected = tv.affine(
            image,
            degrees,
            translate=[0, 0],
            scale=factor,
            shear=[0.0, 0.0],
            interpolation=tv.InterpolationMode.BILINEAR,
        )
        torch.testing.assert_close(result, expected, atol=1e-4, rtol=1e-4)


def test_erased_rectangles_have_the_mean_colour():
    x = torch.rand(200, 3, 12, 12, generator=seeded()) + 1
    erased = Augment(erase=0.5, erase_side=0.5).erased(x, seeded(1))
    hole = (erased == 0).all(dim=1)
    assert torch.equal(erased.masked_fill(hole[:, None], 0), x.masked_fill(hole[:, None], 0))
    assert 60 < int(hole.flatten(1).any(dim=1).sum()) < 110
    sides = []
    for mask in hole[hole.flatten(1).any(dim=1)]:
        rows, columns = mask.any(dim=1), mask.any(dim=0)
        assert torch.equal(mask, rows[:, None] & columns[None]), "not a rectangle"
        sides += [int(rows.sum()), int(columns.sum())]
    assert max(sides) == 6
    assert min(sides) == 1


def test_labels_of_mixed_images_are_the_shares_of_the_area():
    images = Images(
        (torch.arange(1, 5) * 50).to(torch.uint8).view(4, 1, 1, 1).expand(4, 3, 16, 16).contiguous(), torch.arange(4)
    )
    x, y = draw_batch(images, 64, seeded(), augment=Augment(cutmix=0.7))
    colours = normalise(images.pixels[:, :, :1, :1], None, images.mean, images.std)[:, 0, 0, 0]
    shares = torch.stack([(x[:, 0] - colour).abs().lt(1e-3).float().mean(dim=(1, 2)) for colour in colours], dim=1)
    torch.testing.assert_close(y, shares)
    assert 0.2 < float((y.max(dim=1).values < 1).float().mean()) < 0.8


def test_images_of_a_batch_differ_in_their_random_numbers():
    images = Images(noise(1, 16), torch.zeros(1, dtype=torch.int64))
    x, _ = draw_batch(images, 16, seeded(), augment=AUGMENTS["strong"])
    assert len(torch.unique(x.flatten(1), dim=0)) == 16


def test_presets_can_be_told_from_their_settings():
    assert {"none", "standard", "strong"} <= set(AUGMENTS)
    assert len({str(dataclasses.asdict(augment)) for augment in AUGMENTS.values()}) == len(AUGMENTS)


@pytest.mark.parametrize("name", ["shift", "erase", "cutmix"])
def test_shares_beyond_the_whole_are_refused(name):
    with pytest.raises(DataError, match=f"{name}=1.5"):
        Augment(**{name: 1.5})


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("preset", sorted(AUGMENTS))
def test_batches_on_a_gpu_are_the_same(preset):
    images = Images(noise(20, 32), torch.arange(20) % 10)
    x, y = draw_batch(images, 8, seeded(), size=16, augment=AUGMENTS[preset])
    on_gpu = images.to("cuda")
    xs, ys = draw_batch(on_gpu, 8, seeded(), size=16, augment=AUGMENTS[preset])
    assert xs.is_cuda
    assert ys.is_cuda
    torch.testing.assert_close(xs.cpu(), x, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ys.cpu(), y)
    assert on_gpu.fingerprint == images.fingerprint
