import json
import logging
import tarfile

import pytest
import torch
from pictures import cell, file_of, noise, picture, write_folders, write_images, write_parquet
from PIL import Image
from torchvision import datasets as vision

from ghn_init.errors import DataError
from ghn_init.images import EVALUATION, Images, LazyImages, load_images, read_parquet


def test_a_parquet_file_in_the_hubs_layout(tmp_path):
    pixels = noise(5)
    for column, label in (("img", "label"), ("image", "fine_label"), ("image", "labels")):
        path = write_parquet(
            tmp_path / f"{column}-{label}.parquet", {column: [cell(p) for p in pixels], label: [3, 1, 4, 1, 5]}
        )
        for images in (read_parquet(path), load_images(path)):
            assert torch.equal(images.pixels, pixels)
            assert images.labels.tolist() == [3, 1, 4, 1, 5]
            assert (images.num_classes, images.names, images.skipped) == (6, (), 0)


def test_cells_may_be_bytes_or_paths_beside_the_file(tmp_path):
    pixels = noise(3)
    picture(pixels[1]).save(tmp_path / "one.png")
    rows = [file_of(picture(pixels[0])), file_of(picture(pixels[2]))]
    write_parquet(tmp_path / "bytes.parquet", {"image": rows, "label": [0, 1]})
    assert torch.equal(read_parquet(tmp_path / "bytes.parquet").pixels, pixels[[0, 2]])
    struct = [{"bytes": None, "path": "one.png"}, cell(pixels[2])]
    write_parquet(tmp_path / "paths.parquet", {"image": struct, "label": [0, 1]})
    assert torch.equal(read_parquet(tmp_path / "paths.parquet").pixels, pixels[[1, 2]])


@pytest.mark.parametrize("layout", ["{}.parquet", "data/{}-00000-of-00001.parquet", "default/{}/0000.parquet"])
def test_a_folder_of_parquet_files_by_split(tmp_path, layout):
    for seed, split in enumerate(("train", "validation", "test")):
        write_images(tmp_path / layout.format(split), noise(3 + seed, seed=seed), [0, 1, 2, 0, 1][: 3 + seed])
    for seed, split in enumerate(("train", "val", "test")):
        assert torch.equal(load_images(tmp_path, split).pixels, noise(3 + seed, seed=seed))
    assert len(load_images(tmp_path, EVALUATION)) == 5
    with pytest.raises(DataError, match=r"no split 'extra'.*'train'.*'validation'"):
        load_images(tmp_path, "extra")


def test_shards_follow_one_another_and_row_groups_are_told_apart(tmp_path):
    pixels = noise(14)
    for shard in range(2):
        part = slice(7 * shard, 7 * shard + 7)
        path = tmp_path / "data" / f"train-0000{shard}-of-00002.parquet"
        write_images(path, pixels[part], list(range(14))[part], row_group_size=3)
    images = load_images(tmp_path)
    assert torch.equal(images.pixels, pixels)
    assert images.labels.tolist() == list(range(14))
    some = load_images(tmp_path, limit=5)
    assert torch.equal(some.pixels, pixels[some.labels])
    assert len(some) == 5
    assert some.labels.tolist() == sorted(set(some.labels.tolist()))


def test_class_names_come_from_the_schema(tmp_path):
    info = {
        "info": {"features": {"picture": {"_type": "Image"}, "kind": {"_type": "ClassLabel", "names": ["a", "b", "c"]}}}
    }
    columns = {"kind": [0, 1], "picture": [cell(p) for p in noise(2)], "weight": [1.0, 2.0]}
    path = write_parquet(tmp_path / "x.parquet", columns, {"huggingface": json.dumps(info)})
    images = load_images(path)
    assert (images.names, images.num_classes) == (("a", "b", "c"), 3)


def test_a_file_is_the_split_that_its_name_says(tmp_path):
    path = write_images(tmp_path / "test-00000-of-00001.parquet", noise(2), [0, 1])
    assert len(load_images(path, EVALUATION)) == 2
    with pytest.raises(DataError, match="no split 'train'; it has 'test'"):
        load_images(path)
    with pytest.raises(DataError, match="no split 'test'; it has 'train'"):
        load_images(write_images(tmp_path / "mine.parquet", noise(2), [0, 1]), "test")


def test_what_parquet_files_lack_is_said(tmp_path):
    with pytest.raises(DataError, match=r"'picture'.*images are looked for"):
        read_parquet(write_parquet(tmp_path / "a.parquet", {"picture": [1], "label": [1]}))
    with pytest.raises(DataError, match="class_encode_column"):
        read_parquet(write_images(tmp_path / "b.parquet", noise(1), ["cat"]))
    (tmp_path / "c.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"cannot read .*c\.parquet"):
        load_images(tmp_path / "c.parquet")
    for config in "xy":
        write_images(tmp_path / "d" / config / "train.parquet", noise(1), [0])
    with pytest.raises(DataError, match="several configurations"):
        load_images(tmp_path / "d")


def test_images_of_several_sizes_need_an_image_size(tmp_path):
    rows = [cell(noise(1, 8)[0]), cell(noise(1, 9)[0])]
    path = write_parquet(tmp_path / "x.parquet", {"img": rows, "label": [0, 1]})
    with pytest.raises(DataError, match=r"row 1 is 9x9, others are 8x8.*image_size"):
        read_parquet(path)
    images = load_images(path, image_size=8)
    assert images.pixels.shape == (2, 3, 8, 8)
    assert torch.equal(images.pixels[0], noise(1, 8)[0])


def test_bad_images_are_skipped_counted_and_named(tmp_path, caplog):
    pixels = noise(4)
    rows = [cell(pixels[0]), {"bytes": b"no image", "path": None}, {"bytes": None, "path": None}]
    rows += [cell(pixels[1]), {"bytes": None, "path": "gone.png"}, cell(pixels[2]), cell(pixels[3])]
    path = write_parquet(tmp_path / "x.parquet", {"img": rows, "label": [0, 1, 2, None, 4, -1, 6]}, row_group_size=2)
    with caplog.at_level(logging.WARNING):
        images = load_images(path)
    assert torch.equal(images.pixels, pixels[[0, 3]])
    assert images.labels.tolist() == [0, 6]
    assert images.skipped == 5
    for row in (1, 2, 3, 4, 5):
        assert sum(f"x.parquet, row {row}:" in message for message in caplog.messages) == 1
    assert any("gone.png" in message for message in caplog.messages)


def test_nothing_but_bad_images_is_an_error(tmp_path):
    rows = [{"bytes": b"no image", "path": None}] * 3
    path = write_parquet(tmp_path / "x.parquet", {"img": rows, "label": [0, 1, 2]})
    for size in (None, 8):
        with pytest.raises(DataError, match="not one good image among 3"):
            load_images(path, image_size=size)
    with pytest.raises(DataError, match="none of 2 images has a label"):
        load_images(write_images(tmp_path / "y.parquet", noise(2), [-1, -1]))


@pytest.mark.parametrize("held", ["val", "validation", "test"])
def test_folders_of_classes_in_folders_of_splits(tmp_path, held):
    training = write_folders(tmp_path / "train", {"cat": 3, "dog": 2, "eel": 1})
    # a class without images there must not move the others' numbers
    write_folders(tmp_path / held, {"cat": 1, "eel": 2})
    images = load_images(tmp_path)
    expected = vision.ImageFolder(tmp_path / "train")
    assert images.names == tuple(expected.classes)
    assert images.labels.tolist() == expected.targets
    assert torch.equal(images.pixels, torch.cat([training[name] for name in images.names]))
    assert load_images(tmp_path, EVALUATION).labels.tolist() == [0, 2, 2]
    assert load_images(tmp_path, EVALUATION).num_classes == 3
    with pytest.raises(DataError, match="no split 'extra'"):
        load_images(tmp_path, "extra")


def test_a_folder_of_classes_without_splits(tmp_path):
    write_folders(tmp_path / "flowers", {"a": 2, "b": 2})
    write_folders(tmp_path / "val", {"a": 1, "b": 1})
    assert load_images(tmp_path / "flowers").labels.tolist() == [0, 0, 1, 1]
    assert load_images(tmp_path / "flowers", limit=2).labels.tolist() == [0, 1]
    assert len(load_images(tmp_path / "val", "validation")) == 2
    with pytest.raises(DataError, match="no split 'test'; it has 'train'"):
        load_images(tmp_path / "flowers", "test")


def test_folders_that_make_no_sense_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images in folders of classes"):
        load_images(tmp_path / "empty")
    write_folders(tmp_path / "x" / "train", {"cat": 1})
    write_folders(tmp_path / "x" / "val", {"images": 1})
    with pytest.raises(DataError, match=r"classes that .*train has not: images"):
        load_images(tmp_path / "x", "val")


def test_damaged_files_in_folders_are_skipped(tmp_path, caplog):
    write_folders(tmp_path, {"a": 3, "b": 2})
    (tmp_path / "a" / "1.png").write_bytes(b"")
    (tmp_path / "b" / "2.jpg").write_bytes(file_of(picture(noise(1, 64)[0]), format="JPEG")[:900])
    (tmp_path / "b" / "notes.txt").write_text("not an image, and not taken for one")
    images = load_images(tmp_path)
    assert images.labels.tolist() == [0, 0, 1, 1]
    assert images.skipped == 2
    assert sorted(message.split()[1].rpartition("/")[2] for message in caplog.messages) == ["1.png:", "2.jpg:"]


def test_a_tar_file_of_folders(tmp_path):
    made = write_folders(tmp_path / "files", {"a": 2, "b": 3})
    for name, mode in (("x.tar", "w"), ("test.tar", "w"), ("z.tar", "w:gz")):
        with tarfile.open(tmp_path / name, mode) as tar:
            tar.add(tmp_path / "files", "images")
    images = load_images(tmp_path / "x.tar")
    assert images.names == ("a", "b")
    assert torch.equal(images.pixels, torch.cat([made["a"], made["b"]]))
    assert len(load_images(tmp_path / "test.tar", "test")) == 5
    with pytest.raises(DataError, match="no split 'test'"):
        load_images(tmp_path / "x.tar", "test")
    with pytest.raises(DataError, match="unpacked first"):
        load_images(tmp_path / "z.tar")


def test_torchvisions_data_sets_by_timms_names(tmp_path):
    """MNIST's files, written here in MNIST's format."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    grey = {"train": noise(6, 28)[:, 0], "t10k": noise(4, 28, seed=2)[:, 0]}
    for split, pixels in grey.items():
        count = len(pixels)
        header = (2051).to_bytes(4, "big") + b"".join(n.to_bytes(4, "big") for n in (count, 28, 28))
        (raw / f"{split}-images-idx3-ubyte").write_bytes(header + pixels.numpy().tobytes())
        header = (2049).to_bytes(4, "big") + count.to_bytes(4, "big")
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(header + bytes(range(count)))
    training, test = (load_images("torch/mnist", split, root=tmp_path) for split in ("train", "test"))
    assert torch.equal(training.pixels, grey["train"][:, None].expand(-1, 3, -1, -1))
    assert training.labels.tolist() == list(range(6))
    assert (training.num_classes, training.names[3]) == (10, "3 - three")
    assert torch.equal(test.pixels[:, 0], grey["t10k"])


def test_unknown_sources_say_what_there_is(tmp_path):
    with pytest.raises(DataError, match=r"no file or folder user/name.*hfds/user/name"):
        load_images("user/name")
    with pytest.raises(DataError, match="Unknown torchvision dataset nothing"):
        load_images("torch/nothing", root=tmp_path)
    with pytest.raises(DataError, match="no split 'extra'"):
        load_images("torch/cifar10", "extra", root=tmp_path)
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(DataError, match=r"neither a folder nor a \.parquet or \.tar file"):
        load_images(tmp_path / "x.txt")
    with pytest.raises(DataError, match="limit=0"):
        load_images(tmp_path, limit=0)


def test_a_data_set_that_cannot_be_downloaded_says_what_to_do(tmp_path, monkeypatch):
    def unreachable(*arguments, **keywords):
        raise OSError("name or service not known")

    monkeypatch.setattr(vision.cifar, "download_and_extract_archive", unreachable)
    with pytest.raises(DataError, match=r"name or service not known.*without a connection, copy"):
        load_images("torch/cifar10", root=tmp_path)


def test_libraries_that_are_missing_are_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.dataset", None)
    with pytest.raises(DataError, match=r"needs pyarrow.*pip install 'ghn-init\[train\]'"):
        load_images(write_images(tmp_path / "x.parquet", noise(1), [0]))
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(DataError, match=r"needs datasets.*pip install 'ghn-init\[train\]'"):
        load_images("hfds/user/name")
    monkeypatch.setitem(__import__("sys").modules, "tensorflow", None)
    with pytest.raises(DataError, match="pip install tensorflow"):
        load_images("tfds/mnist")


def test_what_fits_is_held_in_memory_and_the_rest_decoded_on_demand(tmp_path):
    write_folders(tmp_path, {"a": 3, "b": 3})
    need = 6 * 3 * 8 * 8
    assert isinstance(load_images(tmp_path, image_size=8, memory=need), Images)
    assert isinstance(load_images(tmp_path, image_size=8, memory=need - 1), LazyImages)
    assert isinstance(load_images(tmp_path, memory=need), Images)
    with pytest.raises(DataError, match="6 images of 8x8 take more than"):
        load_images(tmp_path, memory=need - 1)
    assert isinstance(load_images(tmp_path, image_size=8, memory=need - 1, limit=5), Images)


def test_progress_is_told(tmp_path):
    write_folders(tmp_path, {"a": 3, "b": 3})
    told = []
    load_images(tmp_path, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (6, 6)


def test_grey_and_transparent_files_in_one_data_set(tmp_path):
    (tmp_path / "a").mkdir()
    for mode in ("L", "RGBA", "P", "CMYK"):
        image = Image.new("RGB", (8, 8), (90, 90, 90))
        (image.quantize() if mode == "P" else image.convert(mode)).save(tmp_path / "a" / f"{mode}.tiff")
    images = load_images(tmp_path)
    assert images.skipped == 0
    assert (images.pixels.int() - 90).abs().max() <= 1
