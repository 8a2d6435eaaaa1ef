import dataclasses
import io
import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

import ghn_init
from ghn_init.cli import app
from ghn_init.hypernet import GHNConfig
from ghn_init.training.config import ArchitectureConfig, TrainConfig
from ghn_init.training.presets import PRESETS
from ghn_init.training.run_folder import locked

SMALL = [
    *("--hid", "16", "--layers", "1", "--heads", "2", "--max-shape", "8", "8", "3", "3"),
    *("--widths", "8", "--max-cells", "4", "--classic", "1.0", "--image-size", "8", "--fixed-image-size", "8"),
    *("--steps", "2", "--meta-batch", "2", "--batch-size", "4", "--validation", "6", "--eval-networks", "1"),
    *("--log-every", "1", "--eval-every", "2", "--no-tensorboard", "--device", "cpu"),
]


def rows():
    """24 images of three classes."""
    made = []
    for index in range(24):
        file = io.BytesIO()
        Image.new("RGB", (8, 8), (10 * index, 80 * (index % 3), 0)).save(file, "PNG")
        made.append({"image": {"bytes": file.getvalue(), "path": None}, "label": index % 3})
    return made


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A parquet file in the Hub's layout."""
    path = tmp_path_factory.mktemp("data") / "train.parquet"
    pq.write_table(pa.Table.from_pylist(rows()), path)
    return path


def train(*arguments):
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def test_one_command_trains_a_ghn_that_can_be_used(data, tmp_path):
    result = train("--data", data, "--out", tmp_path / "run", *SMALL, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["step"], found["steps"]) == (2, 2)
    assert set(found["skipped"].values()) == {0}
    ghn = ghn_init.load(found["ghn"])
    assert ghn.config.num_classes == 3
    settings = json.loads((tmp_path / "run" / "run.json").read_text())
    assert settings["training"]["architectures"]["widths"] == [8]
    assert settings["data"]["source"] == str(data)


def test_bad_images_are_skipped_counted_and_named(tmp_path):
    spoilt = rows()
    spoilt[5]["image"]["bytes"] = spoilt[5]["image"]["bytes"][:40]
    pq.write_table(pa.Table.from_pylist(spoilt), tmp_path / "train.parquet")
    result = train("--data", tmp_path / "train.parquet", "--out", tmp_path / "run", *SMALL)
    assert result.exit_code == 0, result.output
    assert "1 bad images" in result.stdout
    assert "train.parquet" in result.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["data"]["images"] == 23


def test_a_finished_run_says_so_and_other_settings_are_refused(data, tmp_path):
    assert train("--data", data, "--out", tmp_path, *SMALL).exit_code == 0
    again = train("--data", data, "--out", tmp_path, *SMALL)
    assert again.exit_code == 0
    assert "step 2 of 2" in again.stdout
    other = train("--data", data, "--out", tmp_path, *SMALL, "--lr", "0.5")
    assert other.exit_code == 1
    assert "training.lr was 0.003, is 0.5" in " ".join(other.stderr.split())


def test_a_ghn_for_other_classes_starts_from_the_embedded_one(data, tmp_path):
    sizes = ("--hid", "64", "--layers", "3", "--heads", "8", "--max-shape", "32", "32", "11", "11")
    arguments = [*SMALL, *sizes, "--start", "default", "--node-type", "rnn", "--steps", "1"]
    result = train("--data", data, "--out", tmp_path, *arguments)
    assert result.exit_code == 0, result.output
    own, default = ghn_init.load(str(tmp_path / "ghn")), ghn_init.load("default")
    assert own.config.node_types == (*default.config.node_types, "rnn")
    assert own.config.num_classes == 3
    difference = (own.decoder.weights.weight - default.decoder.weights.weight).abs().max()
    assert 0 < difference < 0.02, "one step away from where it started"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--preset", "ghn9"], 2, "known are default, ghn2"),
        (["--node-type", "gate"], 2, "'gate' is unknown; known are layer_scale, token"),
        (["--schedule", "linear"], 2, "'cosine', 'wsd'"),
        (["--lr", "-1"], 1, "lr=-1.0 must be positive"),
        (["--heads", "3"], 1, "heads is 3, must divide hid"),
        (["--validation", "24"], 1, "(--validation) how many, such as 2"),
        (["--device", "cuda:77"], 1, "'cuda:77' cannot be used here"),
        (["--start", "no-such-checkpoint"], 1, "no-such-checkpoint"),
    ],
)
def test_bad_input_is_one_line(data, tmp_path, arguments, status, message):
    result = train("--data", data, "--out", tmp_path / "run", *SMALL, *arguments)
    assert result.exit_code == status
    assert message in " ".join(result.stderr.split()).replace("│ ", "")
    assert not (tmp_path / "run" / "states").exists()


def test_bad_input_is_one_line_from_several_processes_too(data, tmp_path):
    command = [sys.executable, "-m", "ghn_init", "train", "--data", str(data), "--out", str(tmp_path / "run"), *SMALL]
    done = subprocess.run(
        [*command, "--processes", "2", "--lr", "-1"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 1
    assert "error: " in done.stderr
    assert "lr=-1.0 must be positive" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_several_processes_get_every_kind_of_option(data, tmp_path):
    command = [sys.executable, "-m", "ghn_init", "train", "--data", str(data), "--out", str(tmp_path / "run"), *SMALL]
    done = subprocess.run(
        [*command, "--processes", "2", "--schedule", "wsd"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (run["processes"], run["training"]["schedule"]) == (2, "wsd")
    assert run["training"]["architectures"]["widths"] == [8]  # a list of the command line's


def test_missing_data_is_one_line(tmp_path):
    result = train("--data", tmp_path / "none.parquet", "--out", tmp_path / "run", *SMALL)
    assert result.exit_code == 1
    assert "none.parquet" in result.stderr


def test_a_folder_in_use_is_one_line(data, tmp_path):
    with locked(tmp_path):
        result = train("--data", data, "--out", tmp_path, *SMALL)
    assert result.exit_code == 1
    assert "another process trains in this folder" in " ".join(result.stderr.split())


def test_every_setting_has_an_option():
    result = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "200"}, color=False)
    fixed = {"num_classes", "node_types", "architectures"}
    for config in (GHNConfig, TrainConfig, ArchitectureConfig):
        for field in dataclasses.fields(config):
            assert (f"--{field.name.replace('_', '-')}" in result.output) == (field.name not in fixed), field.name


def test_presets_are_possible_and_reach_the_settings():
    for preset in PRESETS.values():
        ghn, training = preset.configs({"num_classes": 7}, {"seed": 5}, {"timm": 0.1})
        assert (ghn.num_classes, training.seed, training.architectures.timm) == (7, 5, 0.1)


def test_torchrun_runs_the_command(data, tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "ghn_init", "train", "--data", str(data), "--out", str(tmp_path / "run"), *SMALL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("step 2 of 2") == 1
    assert json.loads((tmp_path / "run" / "run.json").read_text())["processes"] == 2
