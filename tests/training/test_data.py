import io
import itertools

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from ghn_init.training.data import CIFAR10_MEAN, CIFAR10_STD, Images, draw_batch, normalise, read_parquet


def noise(count, side=8):
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def encoded(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(buffer, format="PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def write(path, columns):
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("column", ["img", "image"])
def test_parquet_in_the_hubs_layout(tmp_path, column):
    pixels = noise(5)
    path = write(tmp_path / "x.parquet", {column: [encoded(p) for p in pixels], "label": [3, 1, 4, 1, 5]})
    images = read_parquet(path)
    assert torch.equal(images.pixels, pixels)
    assert images.labels.tolist() == [3, 1, 4, 1, 5]


def test_missing_columns_are_named(tmp_path):
    path = write(tmp_path / "x.parquet", {"picture": [1], "label": [1]})
    with pytest.raises(ValueError, match="'picture'"):
        read_parquet(path)


def test_images_of_several_sizes_are_refused(tmp_path):
    rows = [encoded(noise(1, 8)[0]), encoded(noise(1, 9)[0])]
    path = write(tmp_path / "x.parquet", {"img": rows, "label": [0, 1]})
    with pytest.raises(ValueError, match="differ in size"):
        read_parquet(path)


def test_wrong_tensors_are_refused():
    with pytest.raises(ValueError, match="uint8"):
        Images(torch.rand(2, 3, 4, 4), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match="labels of shape"):
        Images(noise(2), torch.zeros(3, dtype=torch.int64))


def test_split_is_a_partition_and_repeats():
    images = Images(noise(10), torch.arange(10))
    kept, held_out = images.split(3)
    assert sorted(kept.labels.tolist() + held_out.labels.tolist()) == list(range(10))
    assert torch.equal(images.split(3)[1].labels, held_out.labels)


def test_normalise_is_the_usual_one():
    pixels = noise(2)
    mean, std = torch.tensor(CIFAR10_MEAN), torch.tensor(CIFAR10_STD)
    expected = ((pixels.double() / 255).movedim(1, 3) - mean) / std
    torch.testing.assert_close(normalise(pixels), expected.movedim(3, 1).float())
    torch.testing.assert_close(normalise(pixels, 4), F.avg_pool2d(normalise(pixels), 2))


def test_batches_are_shifted_and_flipped_copies():
    images = Images(noise(6), torch.arange(6))
    x, y = draw_batch(images, 40, torch.Generator().manual_seed(0), pad=2)
    padded = F.pad(images.pixels, (2, 2, 2, 2))
    seen = set()
    for picture, label in zip(x, y, strict=True):
        matches = []
        for flip, top, left in itertools.product((False, True), range(5), range(5)):
            window = padded[label, :, top : top + 8, left : left + 8]
            expected = normalise(window.flip(2)[None] if flip else window[None], None, images.mean, images.std)[0]
            if torch.allclose(picture, expected):
                matches.append((flip, top, left))
        assert matches
        seen.add(matches[0])
    assert len(seen) > 15


def test_batches_repeat_with_their_generator():
    images = Images(noise(6), torch.arange(6))
    first, second = (draw_batch(images, 5, torch.Generator().manual_seed(3), size=4) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert first[0].shape == (5, 3, 4, 4)
