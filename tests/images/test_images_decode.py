import io
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import file_of, noise, picture, pixels_of
from PIL import Image, ImageOps

from ghn_init.images.decode import decode, decode_all
from ghn_init.images.records import BadImageError

RGB = picture(noise(1, 16)[0])
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")


def grey_16_bit(values):
    return Image.fromarray(np.asarray(values, dtype=np.uint16))


def test_pixels_of_lossless_files_are_kept():
    for kind in ("PNG", "BMP", "TIFF", "PPM"):
        assert np.array_equal(decode(file_of(RGB, format=kind)), np.asarray(RGB))


def test_a_path_and_an_opened_image_will_do(tmp_path):
    RGB.save(tmp_path / "x.png")
    assert np.array_equal(decode(tmp_path / "x.png"), np.asarray(RGB))
    assert np.array_equal(decode(RGB), np.asarray(RGB))


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "PNG"), ("1", "PNG"), ("LA", "PNG"), ("RGBA", "PNG"), ("CMYK", "JPEG"), ("P", "GIF")]
)
def test_other_modes_become_rgb(mode, kind):
    image = RGB.convert(mode)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = decode(file_of(image, format=kind))
    assert found.shape == (16, 16, 3)
    assert found.dtype == np.uint8
    expected = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(found - expected).mean() < (40 if kind == "JPEG" else 1)


def test_transparent_palettes_bring_no_warning():
    palette = RGB.convert("P")
    palette.info["transparency"] = bytes(range(256))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = decode(file_of(palette, transparency=bytes(range(256))))
    assert np.array_equal(found, np.asarray(palette.convert("RGBA").convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_upper_byte(kind):
    values = np.array([[0, 255, 256, 32768], [65535, 4660, 513, 40000]])
    found = decode(file_of(grey_16_bit(values), format=kind))
    assert np.array_equal(found, np.repeat((values >> 8)[:, :, None], 3, axis=2))


@pytest.mark.parametrize("image", [Image.new("F", (4, 4), 0.5), Image.new("I", (4, 4), 70000)])
def test_pixels_without_a_known_range_are_bad(image):
    with pytest.raises(BadImageError):
        decode(file_of(image, format="TIFF"))


@pytest.mark.parametrize("shape", [(20, 20), (30, 20), (20, 31), (7, 9)])
def test_the_shorter_side_is_scaled_and_the_middle_cut_out(shape):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8))
    assert np.array_equal(decode(image, 10), np.asarray(ImageOps.fit(image, (10, 10), Image.Resampling.BICUBIC)))
    stripes = np.zeros((10, 30, 3), dtype=np.uint8)
    stripes[:, 10:20] = 200
    assert np.array_equal(decode(Image.fromarray(stripes), 10), stripes[:, 10:20])


def test_a_large_jpeg_comes_out_as_if_decoded_in_full():
    smooth = np.linspace(0, 255, 512).astype(np.uint8)
    image = Image.fromarray(np.stack(np.broadcast_arrays(smooth[:, None], smooth[None], np.uint8(90)), axis=2))
    content = file_of(image, format="JPEG", quality=95)
    whole = Image.open(io.BytesIO(content)).convert("RGB").resize((32, 32), Image.Resampling.BICUBIC)
    assert np.abs(decode(content, 32).astype(int) - np.asarray(whole)).max() <= 4


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(FORMATS), st.data())
def test_damaged_files_are_bad_images_and_nothing_worse(kind, data):
    content = bytearray(file_of(RGB, format=kind))
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = decode(bytes(content[:cut]), 8)
        except BadImageError as error:
            found = str(error)
            decoded = False
        else:
            decoded = True
    assert found.shape == (8, 8, 3) if decoded else found


@pytest.mark.parametrize("kind", FORMATS)
def test_half_a_file_is_bad(kind):
    content = file_of(picture(noise(1, 64)[0]), format=kind)
    with pytest.raises(BadImageError):
        decode(content[: len(content) // 2])


def test_bad_ones_come_back_as_the_reason_whatever_the_threads():
    encoded = [file_of(RGB), b"no image", BadImageError("missing"), file_of(RGB)]
    for workers in (1, 3):
        found = decode_all(encoded, 8, workers)
        assert [isinstance(one, BadImageError) for one in found] == [False, True, True, False]
        assert "no image" in str(found[1])
    assert torch.equal(pixels_of(decode(RGB)), noise(1, 16)[0])
