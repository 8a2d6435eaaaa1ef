import json
import subprocess
import sys

import pytest
import torch
from small_runs import GHN_CONFIG, coloured, small_config

from ghn_init.training import meta_step as meta_step_module
from ghn_init.training.architectures import ArchitectureStream
from ghn_init.training.checkpoint import States, load_state, save_state
from ghn_init.training.group import Group, backend_for, device_for, joined
from ghn_init.training.launch import run_processes
from ghn_init.training.meta_batches import MetaBatches
from ghn_init.training.run import Intervals, Run
from ghn_init.training.trainer import Trainer

CONFIG = small_config(steps=3, meta_batch=4, augment="standard")


def whole_run(folder):
    with joined("cpu") as group:
        Run(folder, GHN_CONFIG, CONFIG, coloured(), group=group, intervals=Intervals(1, 2, 2), tensorboard=False)()


def lonely(folder):
    """The second process has no network that works."""
    with joined("cpu") as group:
        if group.rank == 1:

            def scarce(*_, **__):
                raise torch.OutOfMemoryError("CUDA out of memory")

            meta_step_module.network_step = scarce
        torch.manual_seed(0)
        from ghn_init.hypernet import GHN

        trainer = Trainer(GHN(GHN_CONFIG), coloured(), CONFIG, group)
        trainer.run(2, after=lambda trainer, record: False)
        state = trainer.state()
        save_state({"ghn": state["ghn"], "skipped": state["out_of_memory"]}, folder / f"{group.rank}.pt")


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-3, atol=1e-5)


def test_two_processes_train_as_one_does(tmp_path):
    for count in (1, 2):
        run_processes(count, whole_run, tmp_path / str(count))
    one, two = (States(tmp_path / str(count) / "states").load() for count in (1, 2))
    assert_same(one["ghn"], two["ghn"])
    assert_same(one["average"], two["average"])
    start = Run(tmp_path / "new", GHN_CONFIG, CONFIG, coloured(), tensorboard=False).trainer.state()
    changed = max((one["ghn"][name] - value).abs().max() for name, value in start["ghn"].items())
    assert changed > 1e-3, "otherwise the comparison says nothing"
    assert json.loads((tmp_path / "2" / "run.json").read_text())["processes"] == 2
    assert (tmp_path / "1" / "log.csv").read_text().count("\n") == (tmp_path / "2" / "log.csv").read_text().count("\n")


def test_a_process_whose_networks_all_fail_does_not_hold_up_the_other(tmp_path):
    run_processes(2, lonely, tmp_path)
    first, second = (load_state(tmp_path / f"{rank}.pt") for rank in (0, 1))
    stream = ArchitectureStream(CONFIG.architectures, CONFIG.steps, CONFIG.seed)
    batches = MetaBatches(stream, GHN_CONFIG, CONFIG.meta_batch, rank=1, world=2)
    theirs = len(batches[0]) + len(batches[1])
    assert 0 < theirs < 2 * CONFIG.meta_batch
    assert first["skipped"] == second["skipped"] == theirs
    assert_same(first["ghn"], second["ghn"])


SCRIPT = """
import sys, torch
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_distributed import whole_run
whole_run(Path(sys.argv[1]))
"""


def test_torchrun_trains_as_one_process_does(tmp_path):
    from pathlib import Path

    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = [str(script), str(tmp_path / "run"), str(Path(__file__).parent)]
    subprocess.run([*launcher, *arguments], check=True, timeout=300)
    whole_run(tmp_path / "one")
    one, two = (States(tmp_path / name / "states").load() for name in ("one", "run"))
    assert_same(one["ghn"], two["ghn"])


def test_a_backend_for_every_sharing_of_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert backend_for(torch.device("cuda", 0), 2) == "nccl"
    assert backend_for(torch.device("cuda", 0), 3) == "gloo"
    assert backend_for(torch.device("cpu"), 1) == "gloo"


def test_a_device_that_is_not_there_is_an_error():
    from ghn_init.errors import TrainingError

    with pytest.raises(TrainingError, match="'cuda:99' cannot be used here"):
        device_for("cuda:99", 0)
    assert Group().first
