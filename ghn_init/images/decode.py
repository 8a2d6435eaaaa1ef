"""An encoded image to pixels: 8-bit RGB, of one size if asked for."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ghn_init.images.records import BadImageError, Encoded

Pixels: TypeAlias = NDArray[np.uint8]

#: What Pillow's readers raise on damaged files.
UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def _from_16_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ValueError("its values are not those of a 16-bit image")
    return Image.fromarray((values.astype(np.uint16) >> 8).astype(np.uint8))


def _refuse(image: Image.Image) -> Image.Image:
    raise ValueError("floating-point pixels have no known range")


#: By Pillow's image mode, what comes before the conversion to RGB where that conversion would clip or warn.
_BEFORE_RGB: dict[str, Callable[[Image.Image], Image.Image]] = {
    "I": _from_16_bit,
    "I;16": _from_16_bit,
    "I;16L": _from_16_bit,
    "I;16B": _from_16_bit,
    "I;16N": _from_16_bit,
    "F": _refuse,
    "P": lambda image: image.convert("RGBA"),  # the palette may have transparent entries
}


def decode(encoded: Encoded, size: int | None = None) -> Pixels:
    """The pixels of an image, in RGB; transparency is dropped.

    Args:
        encoded: the image.
        size: height and width of the result: the shorter side is scaled to it, the middle is cut out. None for the
            image's own.

    Returns:
        uint8 (height, width, 3).

    Raises:
        BadImageError: it cannot be decoded.
    """
    try:
        if isinstance(encoded, Image.Image):
            return _pixels(encoded, size)
        with Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded) as image:
            if size is not None:
                image.draft(None, (2 * size, 2 * size))  # a JPEG of many times the size is decoded at a fraction
            return _pixels(image, size)
    except UnidentifiedImageError as error:
        raise BadImageError("it is no image that Pillow can read") from error
    except UNREADABLE as error:
        raise BadImageError(f"{type(error).__name__}: {error}") from error


def _pixels(image: Image.Image, size: int | None) -> Pixels:
    before = _BEFORE_RGB.get(image.mode)
    image = (image if before is None else before(image)).convert("RGB")
    if size is not None and image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.uint8)


def decode_all(
    encoded: Iterable[Encoded | BadImageError], size: int | None, workers: int
) -> list[Pixels | BadImageError]:
    """`decode` in `workers` threads; for a bad image, why it is bad."""
    one: Callable[[Any], Pixels | BadImageError] = partial(_decode_or_why, size=size)
    if workers == 1:
        return list(map(one, encoded))
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, encoded))


def _decode_or_why(encoded: Encoded | BadImageError, size: int | None) -> Pixels | BadImageError:
    try:
        return encoded if isinstance(encoded, BadImageError) else decode(encoded, size)
    except BadImageError as error:
        return error


def available_cores() -> int:
    """Cores that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def image_path(path: str, folder: Path) -> Path:
    """`path`, relative to `folder`.

    Raises:
        BadImageError: there is no such file.
    """
    found = folder / path
    if not found.is_file():
        raise BadImageError(f"there is no file {found}")
    return found
