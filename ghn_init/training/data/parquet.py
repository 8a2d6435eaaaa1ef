"""Images in parquet files, in the layout of the Hugging Face Hub."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from ghn_init.training.data.images import Images

#: Names of the image column in the Hub's parquet files.
_IMAGE_COLUMNS = ("img", "image")


def read_parquet(path: str | Path) -> Images:
    """Read a parquet file in the Hub's layout: a column `img` or `image` of encoded images, a column `label`.

    Raises:
        ValueError: a column is missing, or the images differ in size.
    """
    import numpy as np
    import pyarrow.parquet as pq
    from PIL import Image

    table = pq.read_table(path)
    column = next((name for name in _IMAGE_COLUMNS if name in table.column_names), None)
    if column is None or "label" not in table.column_names:
        raise ValueError(f"{path} has columns {table.column_names}; needed are 'label' and one of {_IMAGE_COLUMNS}")
    arrays = [
        np.asarray(Image.open(io.BytesIO(row["bytes"])).convert("RGB")) for row in table.column(column).to_pylist()
    ]
    if len({array.shape for array in arrays}) != 1:
        raise ValueError(f"the images of {path} differ in size: resize them first")
    pixels = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()
    return Images(pixels, torch.tensor(table.column("label").to_pylist(), dtype=torch.int64))
