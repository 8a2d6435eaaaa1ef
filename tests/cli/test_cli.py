"""The command line: what it writes, what it prints where, and its exit codes."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from huggingface_hub import load_torch_model
from safetensors import safe_open
from safetensors.torch import load_file
from typer.testing import CliRunner

import ghn_init
from ghn_init.checkpoints import CheckpointInfo, known, load, save
from ghn_init.cli import _device, app
from ghn_init.hypernet import GHN, GHNConfig

GHN3 = str(Path(__file__).parents[1] / "data" / "ghn3_random_hid16.pt")

OWN = """
import torch
from torch import nn


class Odd(nn.Module):
    def __init__(self, num_classes=4):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.fc = nn.Linear(8, num_classes)
        self.unused = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))


def tiny(num_classes=4):
    return Odd(num_classes)


class Picky(Odd):
    def forward(self, x):
        if x.shape[2:] != (40, 40):
            raise ValueError("give me (40, 40)")
        return super().forward(x)


def picky():
    return Picky()


def broken():
    raise RuntimeError("no [such] thing\\nsecond line")


def nothing():
    return 3


number = 3
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with a module of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "own_models.py").write_text(OWN)
    monkeypatch.delitem(sys.modules, "own_models", raising=False)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def failed(*arguments: str) -> str:
    """The one line that an error is."""
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert result.stdout == ""
    return lines[0].removeprefix("error: ")


def test_apply_writes_what_the_python_call_predicts(tmp_path: Path) -> None:
    result = run("apply", "own_models:tiny", "--ghn", GHN3, "-o", "tiny.safetensors", "--seed", "5")
    assert result.exit_code == 0, result.output
    for expected in (GHN3, "predicted 2 tensors", "unused", "left alone", "wrote tiny.safetensors", "trace", "build"):
        assert expected in result.stdout
    sys.path.insert(0, str(tmp_path))
    import own_models

    torch.manual_seed(5)
    model = ghn_init.apply(own_models.tiny(), ghn=GHN3, seed=5)
    written = load_file("tiny.safetensors")
    assert written.keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(written[name], tensor), name


def test_apply_to_a_zoo_model_loads_back_into_it() -> None:
    result = run("apply", "resnet18", "--ghn", GHN3, "-o", "r.safetensors", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["model"] == "timm:resnet18"
    assert report["n_predicted"] == sum(p.numel() for p in timm.create_model("resnet18").parameters())
    assert report["left_alone"] == {}
    assert report["output"] == "r.safetensors"
    assert report["bytes"] == Path("r.safetensors").stat().st_size
    assert {"build", "load", "trace", "predict", "save"} <= set(report["seconds"])
    timm.create_model("resnet18").load_state_dict(load_file("r.safetensors"))
    with safe_open("r.safetensors", "pt") as file:
        assert file.metadata()["ghn_init.checkpoint"] == GHN3


def test_apply_options() -> None:
    arguments = ("--ghn", GHN3, "-o", "m.safetensors", "--dtype", "bfloat16", "--num-classes", "7", "--noise", "0")
    result = run("apply", "torchvision:resnet18", *arguments, "--exclude", "bn1.*", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["model"] == "torchvision:resnet18"
    assert {"fc.weight", "fc.bias", "bn1.weight", "bn1.bias"} <= set(report["left_alone"])
    written = load_file("m.safetensors")
    assert written["fc.weight"].shape == (7, 512)
    assert written["layer1.0.conv1.weight"].dtype is torch.bfloat16
    torchvision.models.resnet18(num_classes=7).load_state_dict(written)
    forced = run("apply", "torchvision:resnet18", *arguments, "--head", "--force", "--json")
    assert "fc.weight" in json.loads(forced.stdout)["predicted"]
    without = run("apply", "resnet18", "--ghn", GHN3, "--no-head", "--json")
    assert set(json.loads(without.stdout)["left_alone"]) == {"fc.weight", "fc.bias"}


def test_apply_without_output_writes_nothing(tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    result = run("apply", "own_models:tiny", "--ghn", GHN3)
    assert result.exit_code == 0
    assert "nothing was written" in result.stdout
    assert {path for path in tmp_path.iterdir() if path.name != "__pycache__"} == before


def test_a_folder_of_shards() -> None:
    arguments = ("apply", "resnet18", "--ghn", GHN3, "-o", "folder", "--max-shard-size", "9MB")
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    files = list(Path("folder").glob("*.safetensors"))
    assert len(files) > 3
    index = Path("folder/model.safetensors.index.json")
    assert json.loads(result.stdout)["bytes"] == sum(file.stat().st_size for file in [*files, index])
    model = timm.create_model("resnet18")
    load_torch_model(model, "folder", strict=True)
    assert run("apply", "resnet18", "--ghn", GHN3, "-o", "one.safetensors").exit_code == 0
    one = load_file("one.safetensors")
    for name, tensor in model.state_dict().items():  # decoded in other groups: equal to rounding
        torch.testing.assert_close(tensor, one[name], rtol=1e-5, atol=1e-6)
    assert "exists; choose another name" in failed(*arguments)
    again = run(*arguments[:-1], "1GB", "--force")
    assert re.search(r"wrote folder \(47 MB\)", again.stdout)
    assert [path.name for path in Path("folder").iterdir()] == ["model.safetensors"]


def test_networks_too_large_to_be_built_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("apply", "vit_tiny_patch16_224", "--ghn", GHN3, "--seed", "3", "--num-classes", "11")
    assert run(*arguments, "-o", "whole.safetensors").exit_code == 0
    monkeypatch.setattr("ghn_init.lean.WHOLE", -1)
    result = run(*arguments, "-o", "lean.safetensors", "--json")
    assert result.exit_code == 0, result.output
    left_alone = json.loads(result.stdout)["left_alone"].keys()
    assert {"cls_token", "head.weight", "head.bias"} <= left_alone
    whole, lean = load_file("whole.safetensors"), load_file("lean.safetensors")
    timm.create_model("vit_tiny_patch16_224", num_classes=11).load_state_dict(lean)
    for name, tensor in whole.items():
        if name not in (*left_alone, "pos_embed"):
            assert torch.equal(lean[name], tensor), name
    assert float(lean["head.weight"].std()) == pytest.approx(float(whole["head.weight"].std()), rel=0.1)
    assert not lean["head.bias"].any()
    assert run(*arguments, "-o", "again.safetensors").exit_code == 0
    assert Path("again.safetensors").read_bytes() == Path("lean.safetensors").read_bytes()


def test_arguments_of_the_constructor_and_the_shape_of_the_input() -> None:
    size = ("--model-kwargs", "img_size=64", "--model-kwargs", "global_pool=avg", "--input-size", "3", "64", "64")
    result = run("apply", "vit_tiny_patch16_224", "--ghn", GHN3, *size, "-o", "v.safetensors")
    assert result.exit_code == 0, result.output
    assert load_file("v.safetensors")["pos_embed"].shape == (1, 17, 192)
    assert "(40, 40)" in failed("trace", "own_models:picky")
    graph = json.loads(run("trace", "own_models:picky", "--input-size", "3", "40", "40", "--json").stdout)
    assert graph["traced"] == "shapes"
    assert run("apply", "own_models:picky", "--ghn", GHN3, "--input-size", "3", "40", "40").exit_code == 0


def test_the_same_command_writes_the_same_bytes() -> None:
    for name in ("a", "b"):
        assert run("apply", "own_models:tiny", "--ghn", GHN3, "-o", f"{name}.safetensors").exit_code == 0
    assert Path("a.safetensors").read_bytes() == Path("b.safetensors").read_bytes()


def test_existing_files_are_kept_without_force() -> None:
    Path("m.safetensors").write_bytes(b"precious")
    message = failed("apply", "own_models:tiny", "--ghn", GHN3, "-o", "m.safetensors")
    assert message == "m.safetensors exists; choose another name or overwrite it with force=True (--force)"
    assert Path("m.safetensors").read_bytes() == b"precious"
    assert run("apply", "own_models:tiny", "--ghn", GHN3, "-o", "m.safetensors", "--force").exit_code == 0
    assert load_file("m.safetensors")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("apply", "resnet51"), "timm and torchvision know no network 'resnet51'. Did you mean .*'resnet50'"),
        (("apply", "torchvision:vit_tiny_patch16_224"), "torchvision know no network"),
        (("apply", "zzzzzz"), "For your own, write 'module:function'"),
        (("apply", "no_such_module:x"), "cannot import 'no_such_module'"),
        (("apply", "own_models:tinny"), "has no function 'tinny'. Did you mean 'tiny'"),
        (("apply", "own_models:number"), "has no function 'number'"),
        (("apply", "own_models:nothing", "--ghn", GHN3), "own_models:nothing returns int, not a torch.nn.Module"),
        (("apply", "own_models:broken", "--ghn", GHN3), r"RuntimeError: no \[such\] thing second line \(--debug"),
        (("apply", "own_models:tiny", "--ghn", "ghn3-xxl"), "Did you mean 'ghn3-xl'"),
        (("apply", "own_models:tiny", "--ghn", "own_models.py"), "damaged or not a GHN checkpoint|refused"),
        (("apply", "own_models:tiny", "--ghn", GHN3, "--device", "abacus"), "device 'abacus' cannot be used here"),
        (("apply", "own_models:tiny", "--ghn", GHN3, "-o", "own_models.py/x.safetensors"), "own_models.py"),
        (("trace", "own_models:broken"), "RuntimeError"),
        (("convert", "own_models.py", "out"), "own_models.py"),
        (("convert", "absent.pt", "out"), "absent.pt: cannot be read: No such file"),
    ],
)
def test_errors_are_one_line_and_status_1(arguments: tuple[str, ...], message: str) -> None:
    assert re.search(message, failed(*arguments))


def test_an_error_without_a_message_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: object, **options: object) -> None:
        raise AssertionError

    monkeypatch.setattr(torch, "device", fails)
    with pytest.raises(ghn_init.GHNInitError, match="device 'cuda' cannot be used here: AssertionError"):
        _device("cuda")


def test_debug_shows_the_stack_trace() -> None:
    result = run("apply", "own_models:broken", "--ghn", GHN3, "--debug")
    assert result.exit_code == 1
    assert isinstance(result.exception, RuntimeError)
    assert "no [such] thing" in str(result.exception)


@pytest.mark.parametrize(
    "arguments",
    [
        ("apply",),
        ("apply", "resnet18", "--noise", "-1"),
        ("apply", "resnet18", "--dtype", "float8"),
        ("apply", "resnet18", "--num-classes", "0"),
        ("apply", "resnet18", "-o", "resnet18.pt"),
        ("apply", "resnet18", "-o", "folder", "--max-shard-size", "5GiB"),
        ("apply", "resnet18", "-o", "folder", "--max-shard-size", "0"),
        ("apply", "resnet18", "--model-kwargs", "num_classes"),
        ("apply", "resnet18", "--input-size", "3", "32"),
        ("apply", "resnet18", "--surprise"),
        ("surprise",),
        ("convert", "one"),
    ],
)
def test_wrong_usage_is_status_2(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_warnings_are_a_line_too() -> None:
    result = run("apply", "own_models:tiny", "--ghn", GHN3, "--exclude", "conv*")
    assert result.exit_code == 0
    warning = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warning) == 1
    assert "only " in warning[0]


def test_trace_prints_nodes_counts_and_what_is_left_out() -> None:
    result = run("trace", "own_models:tiny")
    assert result.exit_code == 0, result.output
    assert re.search(r"conv +conv\.weight +8 x 3 x 3 x 3 +conv", result.stdout)
    assert re.search(r"^bias +2 +2 +12$", result.stdout, re.MULTILINE)
    assert "left out: unused" in result.stdout


def test_trace_as_json_is_the_graph() -> None:
    result = run("trace", "torchvision:resnet18", "--json")
    data = json.loads(result.stdout)
    graph = ghn_init.trace(torchvision.models.resnet18())
    assert ghn_init.ArchGraph.from_dict(data) == graph
    assert data["counts"] == dict(graph.counts())
    assert data["n_virtual_edges"] == graph.n_virtual_edges()


def test_checkpoints_are_listed() -> None:
    result = run("checkpoints")
    assert result.exit_code == 0
    data = json.loads(run("checkpoints", "--json").stdout)
    assert [entry["name"] for entry in data] == list(known())
    assert all(entry["name"] in result.stdout for entry in data)
    sizes = {entry["name"]: entry["size"] for entry in data}
    # The published sizes: 6.9, 35.8, 214.7 and 654.4 million parameters (Knyazev et al., 2023, table 1).
    for name, millions in (("ghn3-t", 6.9), ("ghn3-s", 35.8), ("ghn3-l", 214.7), ("ghn3-xl", 654.4)):
        assert sizes[name] / 4e6 == pytest.approx(millions, abs=0.05)


def test_convert_makes_a_checkpoint() -> None:
    result = run("convert", GHN3, "folder", "--name", "mine", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["name"] == "mine"
    assert load("folder").config.hid == 16
    assert "holds a checkpoint already" in failed("convert", GHN3, "folder")
    assert "width 16, blocks 16 x 16 x 16 x 16, 1000 classes" in run("convert", GHN3, "folder", "--force").stdout
    assert run("apply", "own_models:tiny", "--ghn", "folder").exit_code == 0


def test_a_checkpoint_with_nan_is_refused() -> None:
    ghn = GHN(GHNConfig(hid=16, max_shape=(8, 8, 3, 3)))
    with torch.no_grad():
        ghn.norm.bias[3] = torch.nan
    save(ghn, "nan", CheckpointInfo(name="nan"))
    assert "'norm.bias' holds 1 values of 16 that are NaN" in failed("apply", "own_models:tiny", "--ghn", "nan")


def test_version_and_help() -> None:
    assert run("--version").stdout.strip() == f"ghn-init {ghn_init.__version__}"
    for arguments in (("--help",), ("-h",)):
        assert "apply" in run(*arguments).stdout
    for command in ("apply", "trace", "checkpoints", "convert"):
        assert run(command, "--help").exit_code == 0
