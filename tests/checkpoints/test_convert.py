"""Published files become GHNs with the architecture that the published code would build."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import joblib
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors import safe_open

from ghn_init.checkpoints import CheckpointInfo, convert, load, read_info, read_published, save
from ghn_init.checkpoints.keys import COMMON, DECODERS
from ghn_init.errors import CheckpointError, UnsafeCheckpointError
from ghn_init.hypernet import GHN, GHNConfig

DATA = Path(__file__).parents[1] / "data"
GHN2, GHN3 = DATA / "ghn2_random_hid16.pt", DATA / "ghn3_random_hid16.pt"

CONFIGS = {
    GHN3: GHNConfig(max_shape=(16, 16, 16, 16), num_classes=1000, hid=16, layers=3, heads=8),
    GHN2: GHNConfig(max_shape=(32, 32, 16, 16), num_classes=1000, hid=16, gnn="gatedgnn", centred_kernels=False),
}


@pytest.mark.parametrize("file", CONFIGS, ids=lambda path: path.stem)
def test_configuration_and_weights_of_the_reference_files(file: Path) -> None:
    ghn = read_published(file)
    assert ghn.config == CONFIGS[file]
    assert not ghn.training
    published = joblib.load(file)
    ours = ghn.state_dict()
    assert len(ours) == len(published)
    assert sorted(tensor.double().norm().item() for tensor in ours.values()) == pytest.approx(
        sorted(tensor.double().norm().item() for tensor in published.values())
    )
    for name, tensor in (("embed.weight", "encoder.types.weight"), ("decoder.conv.2.bias", "decoder.weights.bias")):
        assert torch.equal(published[name], ours[tensor])
    assert all(parameter.requires_grad and not parameter.is_meta for parameter in ghn.parameters())


def test_every_row_of_the_key_tables_names_a_module_of_some_ghn() -> None:
    configs = [
        *CONFIGS.values(),
        GHNConfig(hid=16, gnn="mlp", decoder="mlp", max_shape=(8, 8, 3, 3)),
        GHNConfig(hid=16, decoder="lowrank", rank=4, factor_rows=64, max_shape=(8, 8, 3, 3)),
    ]
    modules = {name for config in configs for name, _ in GHN(config).named_modules()}
    for _, ours in COMMON:
        assert ours.replace("{n}", "0") in modules
    for config in configs:
        own = {name for name, _ in GHN(config).named_modules()}
        assert {ours for _, ours in DECODERS[config.decoder]} <= own


def published_names(ghn: GHN) -> dict[str, torch.Tensor]:
    """A GHN's state dict under the published names."""
    back = {ours: published for published, ours in reversed(COMMON + DECODERS[ghn.config.decoder])}
    state = {}
    for name, tensor in ghn.state_dict().items():
        module, _, leaf = name.rpartition(".")
        number = re.search(r"(?<=layers\.)\d+", module)
        digits = number[0] if number else ""
        published = back[re.sub(r"(?<=layers\.)\d+", "{n}", module)].replace("{n}", digits)
        state[f"{published}.{leaf}"] = tensor
    return state


def test_a_file_of_ppuda_with_convolutions_and_switches(tmp_path: Path) -> None:
    config = GHNConfig(
        hid=16,
        gnn="gatedgnn",
        max_shape=(12, 8, 11, 11),
        num_classes=10,
        virtual_edges=False,
        weight_norm=False,
        layernorm=False,
        centred_kernels=False,
    )
    ghn = GHN(config)
    state = published_names(ghn)
    for name in ("decoder.conv.0.weight", "decoder.conv.2.weight", "decoder.class_layer_predictor.1.weight"):
        state[name] = state[name][:, :, None, None]
    declared = {"max_shape": (12, 8, 11, 11), "hid": 16, "weight_norm": False, "ve": False, "hypernet": "gatedgnn"}
    torch.save({"state_dict": state, "config": declared, "epoch": 299}, tmp_path / "ghn1.pt")
    read = read_published(tmp_path / "ghn1.pt")
    assert read.config == config
    for name, tensor in ghn.state_dict().items():
        assert torch.equal(read.state_dict()[name], tensor)


def test_a_ghn1_with_the_mlp_decoder(tmp_path: Path) -> None:
    config = GHNConfig(
        hid=16, gnn="mlp", decoder="mlp", max_shape=(8, 8, 7, 7), num_classes=10, layernorm=False, centred_kernels=False
    )
    torch.save(published_names(GHN(config)), tmp_path / "mlp.pt")
    assert read_published(tmp_path / "mlp.pt").config == config


def test_embeddings_in_the_first_layer(tmp_path: Path) -> None:
    state = joblib.load(GHN3)
    for name in ("centrality_embed_in", "centrality_embed_out", "input_dist_embed"):
        state[f"gnn.0.{name}.weight"] = state.pop(f"{name}.weight")
    joblib.dump(state, tmp_path / "ghn.pt")
    moved, released = read_published(tmp_path / "ghn.pt").state_dict(), read_published(GHN3).state_dict()
    assert all(torch.equal(moved[name], tensor) for name, tensor in released.items())


def changed(tmp_path: Path, **changes: torch.Tensor | None) -> Path:
    state = joblib.load(GHN3)
    for name, tensor in changes.items():
        name = name.replace("__", ".")
        if tensor is None:
            del state[name]
        else:
            state[name] = tensor
    joblib.dump(state, tmp_path / "changed.pt")
    return tmp_path / "changed.pt"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"surprise__weight": torch.zeros(2)}, "unknown tensors 'surprise.weight'"),
        ({"gnn__x__ln1__weight": torch.zeros(2)}, r"unknown tensors 'gnn\.x\.ln1\.weight'"),
        ({"embed__weight": None}, r"no tensor stands for 'encoder\.types\.weight'"),
        ({"embed__weight": torch.zeros(15)}, r"'encoder\.types\.weight' has the shape \(15,\), needs 2"),
        ({"ln__bias": None}, r"missing: 'norm\.bias'"),
        ({"ln__extra": torch.zeros(2)}, r"unexpected: 'norm\.extra'"),
        ({"ln__bias": torch.zeros(3)}, r"wrong shape: 'norm\.bias' is \(3,\), not \(16,\)"),
        ({"gnn__1__ln1__weight": None, "gnn__1__ln1__bias": None}, r"gnn\.layers\.1\.norm_attention\.weight"),
        ({"gnn__7__ln1__weight": torch.zeros(16)}, r"gnn\.layers\.3|gnn\.layers\.7"),
        ({"decoder__conv__2__weight": torch.zeros(255, 128)}, "its decoder's sizes fit no block"),
        (
            {"gnn__0__centrality_embed_in__weight": torch.zeros(101, 16)},
            r"two of its tensors stand for 'gnn\.in_degree",
        ),
        ({"gnn__0__attn__proj_e__2__weight": torch.zeros(7, 16)}, "heads is 7, must divide hid"),
        ({"embed__weight": torch.full((15, 16), torch.inf)}, r"'embed\.weight' holds 240 values"),
    ],
)
def test_files_that_are_no_ghn(tmp_path: Path, changes: dict[str, torch.Tensor | None], message: str) -> None:
    path = changed(tmp_path, **changes)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_published(path)
    assert str(path) in str(caught.value)


def test_conversion_to_a_folder(tmp_path: Path) -> None:
    written = convert(GHN3, tmp_path / "new" / "ghn", CheckpointInfo(name="mine", license="mit", training={"steps": 3}))
    folder = tmp_path / "new" / "ghn"
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert read_info(folder / "config.json") == written
    assert written.ghn == CONFIGS[GHN3]
    assert written.size == (folder / "model.safetensors").stat().st_size
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert set(file.keys()) == set(GHN(CONFIGS[GHN3]).state_dict())
        assert file.metadata() == {"format": "pt"}
    card = (folder / "README.md").read_text()
    assert ModelCard(card).data.license == "mit"
    assert "steps: 3" in card
    modes = {path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {(tmp_path / "new").stat().st_mode & 0o666}

    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(CheckpointError, match="holds a checkpoint already"):
        convert(GHN3, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    convert(GHN3, folder, CheckpointInfo(name="mine", license="mit", training={"steps": 3}), overwrite=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first

    ghn = load(folder)
    for name, tensor in read_published(GHN3).state_dict().items():
        assert torch.equal(ghn.state_dict()[name], tensor)
    assert not ghn.training


def test_a_hostile_file_is_not_converted(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> object:
            return os.system, ("true",)

    joblib.dump({"w": Hostile()}, tmp_path / "ghn.pt")
    with pytest.raises(UnsafeCheckpointError, match=r"posix\.system|nt\.system"):
        convert(tmp_path / "ghn.pt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_interrupted_write_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ghn = GHN(GHNConfig(hid=16, max_shape=(8, 8, 3, 3)))
    save(ghn, tmp_path / "a", CheckpointInfo(name="a"))
    before = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}

    def full(*arguments: object, **keywords: object) -> None:
        Path(str(arguments[1])).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ghn_init.checkpoints.folder.save_file", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        save(ghn, tmp_path / "a", CheckpointInfo(name="b"), overwrite=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()} == before


def test_half_precision_weights_are_saved_in_full(tmp_path: Path) -> None:
    ghn = GHN(GHNConfig(hid=16, max_shape=(8, 8, 3, 3))).half()
    save(ghn, tmp_path / "a", CheckpointInfo(name="a"))
    read = load(tmp_path / "a")
    assert {parameter.dtype for parameter in read.parameters()} == {torch.float32}
    assert torch.equal(read.encoder.types.weight, ghn.encoder.types.weight.float())


def test_the_configuration_is_plain_json(tmp_path: Path) -> None:
    convert(GHN2, tmp_path / "ghn2")
    data = json.loads((tmp_path / "ghn2" / "config.json").read_text())
    assert data["format_version"] == 1
    assert data["ghn"]["max_shape"] == [32, 32, 16, 16]
    assert data["name"] == "ghn2_random_hid16"
