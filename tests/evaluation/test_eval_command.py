"""``ghn-init eval`` on generated images and a tiny GHN."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from ghn_init.checkpoints import CheckpointInfo, save
from ghn_init.cli import app
from ghn_init.evaluation import NamedNetwork, Setup, evaluate_networks
from ghn_init.images import Images, LazyImages, load_images

MODEL = ("--model", "tiny_networks:without_norm")


def write_parquet(path, images, count):
    rows = []
    for pixels, label in zip(images.pixels[:count], images.labels[:count].tolist(), strict=True):
        buffer = io.BytesIO()
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(buffer, "PNG")
        rows.append({"img": {"bytes": buffer.getvalue(), "path": None}, "label": label})
    pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.fixture(scope="module")
def files(tmp_path_factory, images, trained_ghn):
    folder = tmp_path_factory.mktemp("eval")
    (folder / "data").mkdir()
    write_parquet(folder / "data" / "train.parquet", images, 96)
    write_parquet(folder / "data" / "test.parquet", images, 64)
    save(trained_ghn, folder / "ghn", CheckpointInfo("tiny"))
    return folder


def run(files, *arguments):
    base = ("eval", "--ghn", str(files / "ghn"), "--data", str(files / "data"))
    return CliRunner().invoke(app, [*base, *map(str, arguments)])


def results(files, *arguments):
    found = run(files, *arguments, "--json")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def test_predicted_weights_against_own_ones(files, tmp_path):
    found = results(files, *MODEL, "--baseline", "--seed", 2, "--out", tmp_path / "out")
    column = found["columns"]["tiny_networks:without_norm"]
    assert column["predicted"]["mean"] > 0.95
    assert column["predicted"]["mean"] > column["own"]["mean"]
    assert found["chance"] == 0.5
    names = {path.name for path in (tmp_path / "out").iterdir()}
    wanted = {"networks.jsonl", "networks.settings.json", "results.json", "networks.csv", "tables.txt"}
    assert names == wanted | {"histograms.png", "accuracy_by_size.png"}
    assert len(found["files"]) == 5
    assert "Accuracy without training" in (tmp_path / "out" / "tables.txt").read_text()


def test_splits_continue_and_refuse_other_settings(files, tmp_path):
    options = ("--split", "test", "--images", 8, "--batch-size", 8, "--out", tmp_path, "--no-plots")
    first = results(files, *options, "--n", 1)
    before = (tmp_path / "networks.jsonl").read_text()
    both = results(files, *options, "--n", 2)
    assert both["columns"]["test"]["predicted"]["accuracies"][:1] == first["columns"]["test"]["predicted"]["accuracies"]
    assert (tmp_path / "networks.jsonl").read_text().startswith(before)
    other = run(files, *options, "--seed", 3)
    assert other.exit_code == 1
    assert "seed was 0 and is 3" in other.stderr
    assert len((tmp_path / "networks.jsonl").read_text().splitlines()) == 2


def test_tables_on_the_terminal(files):
    found = run(files, *MODEL)
    assert found.exit_code == 0, found.output
    for words in ("mean ± standard error (best)", "tiny_networks:without_norm", "guessing gives 50.0 %"):
        assert words in found.stdout


def test_finetuning(files, tmp_path):
    options = ("--finetune", 2, "--finetune", 4, "--lr", 0.1, "--lr", 0.01, "--seeds", 2, "--held-out", 16)
    found = results(files, *MODEL, *options, "--train-batch-size", 8, "--out", tmp_path)
    rows = found["finetune"]
    assert [row["steps"] for row in rows] == [0, 2, 4]
    for row in rows:
        assert row["difference"]["mean"] == pytest.approx(row["predicted"]["mean"] - row["own"]["mean"])
    assert rows[0]["predicted"]["mean"] > 0.9
    assert {"finetune.jsonl", "finetune.csv", "finetune.png"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("source", [("data/test.parquet",), ("data", "--data-split", "train")])
def test_training_on_the_test_images_is_refused(files, source):
    arguments = ["eval", "--ghn", str(files / "ghn"), "--data", str(files / source[0]), *source[1:], *MODEL]
    found = CliRunner().invoke(app, [*arguments, "--finetune", "2"])
    assert found.exit_code == 1
    assert "--train-data" in found.stderr


def test_other_classes_can_be_finetuned_for_only(files, images, tmp_path):
    other = Images(images.pixels, torch.arange(96) % 3)
    for name in ("train", "test"):
        write_parquet(tmp_path / f"{name}.parquet", other, 96)
    arguments = ["eval", "--ghn", str(files / "ghn"), "--data", str(tmp_path), *MODEL]
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 1
    assert "3 classes and the GHN predicts classifiers of 2" in found.stderr
    found = CliRunner().invoke(app, [*arguments, "--finetune", "1", "--lr", "0.1", "--held-out", "8", "--json"])
    assert found.exit_code == 0, found.output
    assert "no accuracy without training" in found.stderr
    assert [row["steps"] for row in json.loads(found.stdout)["finetune"]] == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--split", "tests"), "unknown split 'tests'"),
        (("--model", "resnet1"), "know no network 'resnet1'"),
        (("--ghn", "nowhere"), "no checkpoint 'nowhere'"),
        (("--device", "nowhere"), "nowhere"),
    ],
)
def test_mistakes_are_errors_in_one_line(files, arguments, words):
    found = run(files, *arguments)
    assert found.exit_code == 1
    assert words in found.stderr
    assert found.stderr.count("\n") == 1


def test_images_are_normalised_as_in_training(files, trained_ghn, tmp_path):
    settings = {}
    data = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "classes": 2}
    for name, training in (("says", {"data": data}), ("not", {})):
        save(trained_ghn, tmp_path / name, CheckpointInfo("tiny", training=training))
        options = ("--data", str(files / "data"), *MODEL, "--out", str(tmp_path / "out" / name), "--no-plots")
        found = CliRunner().invoke(app, ["eval", "--ghn", str(tmp_path / name), *options])
        assert found.exit_code == 0, found.output
        settings[name] = json.loads((tmp_path / "out" / name / "networks.settings.json").read_text())
    assert (settings["says"]["mean"], settings["says"]["std"]) == ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    pixels = load_images(files / "data", "test").pixels / 255
    assert settings["not"]["mean"] == pytest.approx(pixels.mean((0, 2, 3)).tolist(), abs=1e-4)


def test_failures_are_listed_and_all_of_them_are_an_error(files):
    some = run(files, *MODEL, "--model", "tiny_networks:wrong")
    assert some.exit_code == 0
    assert "RuntimeError" in some.stdout
    everything = run(files, "--model", "tiny_networks:wrong")
    assert everything.exit_code == 1
    assert "RuntimeError" in everything.stdout


def test_images_that_are_decoded_on_demand_give_the_same(trained_ghn, images, tmp_path):
    for number, (pixels, label) in enumerate(zip(images.pixels, images.labels.tolist(), strict=True)):
        folder = tmp_path / "test" / f"class{label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / f"{number:03}.png")
    subjects = [NamedNetwork("tiny_networks:without_norm")]
    found = []
    for memory in (2**30, 1000):
        loaded = load_images(tmp_path, "test", image_size=16, memory=memory)
        found += evaluate_networks(Setup(trained_ghn, loaded, image_size=16), subjects, out=tmp_path / str(memory))
    assert isinstance(loaded, LazyImages)
    assert found[0].top1 == found[1].top1 > 0.95
    assert found[1].images == 96
