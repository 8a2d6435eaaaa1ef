import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ghn_init.checkpoints import CheckpointInfo, save
from ghn_init.hypernet import GHN, GHNConfig
from ghn_init.images import Images


@pytest.fixture(autouse=True, scope="session")
def as_in_processes(one_thread):
    """As in the processes that a ranking starts, so that sums are the same to the last bit."""


@pytest.fixture(scope="session")
def images():
    """Two classes that the mean colour tells apart, not always, in random order."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (64,), generator=generator)
    pixels = torch.randint(0, 200, (64, 3, 12, 12), generator=generator) + 50 * labels[:, None, None, None]
    pixels += torch.randint(-40, 5, (64, 3, 1, 1), generator=generator)
    return Images(pixels.clamp(0, 255).to(torch.uint8), labels)


@pytest.fixture(scope="session")
def ghn():
    torch.manual_seed(0)
    return GHN(GHNConfig(num_classes=2, max_shape=(8, 8, 3, 3), hid=16, layers=1, heads=2)).eval()


@pytest.fixture(scope="session")
def files(tmp_path_factory, images, ghn):
    """The GHN and the images as files."""
    folder = tmp_path_factory.mktemp("ranking")
    rows = []
    for pixels, label in zip(images.pixels, images.labels.tolist(), strict=True):
        buffer = io.BytesIO()
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(buffer, "PNG")
        rows.append({"img": {"bytes": buffer.getvalue(), "path": None}, "label": label})
    pq.write_table(pa.Table.from_pylist(rows), folder / "test.parquet")
    save(ghn, folder / "ghn", CheckpointInfo("tiny"))
    return folder
