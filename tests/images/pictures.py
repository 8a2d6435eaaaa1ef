"""Small images, written as data sets write them."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image


def noise(count, side=8, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)


def picture(pixels):
    """A Pillow image of a uint8 tensor (3, h, w)."""
    return Image.fromarray(pixels.permute(1, 2, 0).numpy())


def file_of(image, **options):
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, **{"format": "PNG", **options})
    return buffer.getvalue()


def cell(pixels):
    """An image as the Hub's parquet files have it."""
    return {"bytes": file_of(picture(pixels)), "path": None}


def write_parquet(path, columns, metadata=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path, **options)
    return path


def write_images(path, pixels, labels, **options):
    return write_parquet(path, {"image": [cell(p) for p in pixels], "label": labels}, **options)


def write_folders(root, counts, side=8):
    """A folder a class with so many images; returns the pixels by class."""
    made = {}
    for seed, (name, count) in enumerate(counts.items()):
        made[name] = noise(count, side, seed)
        (root / name).mkdir(parents=True)
        for place, pixels in enumerate(made[name]):
            picture(pixels).save(root / name / f"{place}.png")
    return made


def pixels_of(image):
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)
