import numpy as np
import pytest
import torch
from pictures import noise, picture, write_folders, write_images
from timm.data import IterableImageDataset

from ghn_init.errors import DataError
from ghn_init.images import EVALUATION, LazyImages, load_images

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    """No network, and nothing written but below `tmp_path`."""
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture
def made():
    features = datasets.Features({"picture": datasets.Image(), "kind": datasets.ClassLabel(names=["a", "b", "c"])})
    rows = {"picture": [picture(p) for p in noise(6)], "kind": [0, 1, 2, 0, 1, 2]}
    return datasets.Dataset.from_dict(rows, features=features)


def check(images, places):
    assert torch.equal(images.pixels, noise(6)[places])
    assert images.labels.tolist() == [place % 3 for place in places]
    assert (images.names, images.num_classes) == (("a", "b", "c"), 3)


@pytest.mark.parametrize("prefix", ["", "hfds/"])
def test_a_saved_data_set(tmp_path, made, prefix):
    made.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": made, "valid": made.select([1, 2])}).save_to_disk(tmp_path / "two")
    check(load_images(f"{prefix}{tmp_path / 'one'}"), [0, 1, 2, 3, 4, 5])
    check(load_images(f"{prefix}{tmp_path / 'two'}", EVALUATION), [1, 2])
    with pytest.raises(DataError, match="no split 'test'; it has 'train'"):
        load_images(f"{prefix}{tmp_path / 'one'}", "test")


@pytest.mark.parametrize("prefix", ["", "hfds/", "hfids/"])
def test_a_folder_laid_out_like_the_hub(tmp_path, made, prefix):
    folder = tmp_path / "files" / "data"
    folder.mkdir(parents=True)
    made.to_parquet(folder / "train-00000-of-00001.parquet")
    made.select([4, 0]).to_parquet(folder / "test-00000-of-00001.parquet")
    check(load_images(f"{prefix}{folder.parent}", root=tmp_path / "cache"), [0, 1, 2, 3, 4, 5])
    check(load_images(f"{prefix}{folder.parent}", "test", root=tmp_path / "cache"), [4, 0])
    with pytest.raises(DataError, match="no split 'val'"):
        load_images(f"{prefix}{folder.parent}", "val", root=tmp_path / "cache")


def test_an_image_folder_through_the_library(tmp_path):
    write_folders(tmp_path / "files" / "train", {"cat": 2, "dog": 1})
    write_folders(tmp_path / "files" / "test", {"cat": 1, "dog": 1})
    images, direct = (load_images(f"{prefix}{tmp_path / 'files'}", root=tmp_path / "cache") for prefix in ("hfds/", ""))
    assert images.names == direct.names == ("cat", "dog")
    assert torch.equal(images.pixels, direct.pixels)
    assert torch.equal(images.labels, direct.labels)


def test_on_demand_from_the_library(tmp_path, made):
    made.save_to_disk(tmp_path / "one")
    images = load_images(tmp_path / "one", image_size=8, memory=100)
    assert isinstance(images, LazyImages)
    assert torch.equal(images.take(torch.tensor([5, 0, 5]))[0], noise(6)[[5, 0, 5]])


def test_bad_rows_are_skipped(tmp_path, made):
    rows = [{"bytes": b"no image", "path": None}, *made.cast_column("picture", datasets.Image(decode=False))["picture"]]
    features = datasets.Features({"image": datasets.Image(decode=False), "label": datasets.Value("int64")})
    broken = datasets.Dataset.from_dict({"image": rows, "label": [0, 1, None, 3, 4, 5, 6]}, features=features)
    broken.save_to_disk(tmp_path / "saved")
    (tmp_path / "files").mkdir()
    broken.to_parquet(tmp_path / "files" / "train.parquet")
    for source in (f"hfds/{tmp_path / 'saved'}", f"hfids/{tmp_path / 'files'}"):
        images = load_images(source)
        assert images.labels.tolist() == [1, 3, 4, 5, 6]
        assert torch.equal(images.pixels, noise(6)[[0, 2, 3, 4, 5]])
        assert images.skipped == 2


def test_streams_are_cut_and_must_fit(tmp_path):
    write_images(tmp_path / "files" / "train.parquet", noise(9), list(range(9)))
    images = load_images(f"hfids/{tmp_path / 'files'}", limit=4)
    assert images.labels.tolist() == [0, 1, 2, 3]
    assert images.pixels.untyped_storage().nbytes() == 4 * 3 * 64
    whole = load_images(f"hfids/{tmp_path / 'files'}", memory=9 * 3 * 64)
    assert len(whole) == 9
    with pytest.raises(DataError, match="more than 8 images of 8x8 take more"):
        load_images(f"hfids/{tmp_path / 'files'}", memory=9 * 3 * 64 - 1)


@pytest.mark.parametrize("prefix", ["hfds", "hfids"])
def test_without_a_connection_the_error_says_what_to_do(prefix):
    with pytest.raises(DataError, match=f"cannot open {prefix}/user/name: .*without a connection, copy"):
        load_images(f"{prefix}/user/name")


class Reader:
    """What timm's readers of streams look like."""

    class_to_idx = {"b": 1, "a": 0}  # noqa: RUF012 - as in timm

    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        for row in self.rows:
            if isinstance(row, Exception):
                raise row
            yield row


def stand_in(monkeypatch, rows, splits=("train",)):
    def create_dataset(name, root, split, **options):
        if split not in splits:
            raise ValueError(f"unknown split {split}")
        return IterableImageDataset(root, reader=Reader(rows), split=split)

    monkeypatch.setattr("timm.data.create_dataset", create_dataset)


def test_timms_streams(monkeypatch):
    stand_in(monkeypatch, [(picture(p), np.int64(place % 2)) for place, p in enumerate(noise(5))], ("validation",))
    images = load_images("tfds/anything", EVALUATION)
    assert torch.equal(images.pixels, noise(5))
    assert (images.labels.tolist(), images.names) == ([0, 1, 0, 1, 0], ("a", "b"))
    with pytest.raises(DataError, match="cannot open wds/anything: split 'train': unknown split train"):
        load_images("wds/anything")


def test_a_stream_that_breaks_off_is_an_error(monkeypatch):
    stand_in(monkeypatch, [(picture(noise(1)[0]), 0), OSError("connection lost")])
    with pytest.raises(DataError, match="reading tfds/anything failed: connection lost"):
        load_images("tfds/anything")
