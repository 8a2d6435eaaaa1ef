"""`python -m ghn_init.timm` on a script with the shape of timm's."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import timm
import torch
import yaml
from launching import SCRIPTS, run, start
from timm.utils import random_seed

import ghn_init

SCRIPT = SCRIPTS / "timm_like.py"


def own(seed: int = 42, rank: int = 0, name: str = "test_resnet") -> torch.nn.Module:
    """The model as the script's own code initialises it."""
    with torch.random.fork_rng():
        random_seed(seed, rank)
        return timm.create_model(name, num_classes=10)


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def saved(folder: Path, rank: int = 0) -> dict:
    return torch.load(folder / f"first-{rank}.pt")


def train(folder: Path, *arguments: object, **env: str) -> tuple[int | None, str]:
    return run("timm", "--output", folder, *arguments, output=folder / "log", script=SCRIPT, **env)


def port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def expected(seed: int = 42, **options: object) -> dict[str, torch.Tensor]:
    return ghn_init.apply(own(), seed=seed, **options).state_dict()


def test_model_ema_and_first_step_start_from_the_prediction(tmp_path):
    code, log = train(tmp_path, "--init", "ghn", "--teacher", "test_vit", "--channels-last")
    assert code == 0, log
    first, wanted = saved(tmp_path), expected()
    assert not same(wanted, own().state_dict())
    for stage in ("model", "ema", "first"):
        assert same(first[stage], wanted), stage
    assert first["strides"] == [value.stride() for value in own().parameters()], (
        "memory format is the script's business"
    )
    with torch.random.fork_rng():
        random_seed(42, 0)
        timm.create_model("test_resnet", num_classes=10)
        assert torch.equal(first["random"], torch.get_rng_state()), "whatever is drawn next must be as without --init"
        assert same(first["teacher"], timm.create_model("test_vit", num_classes=10).state_dict())
    assert f"steps 2 argv {SCRIPT} path {SCRIPTS} main {SCRIPT}" in log


def test_log_args_and_checkpoint_say_what_was_done(tmp_path):
    code, log = train(tmp_path, "--init", "ghn,head=false", "--init-noise", "0.001", "--init-seed", "7")
    assert code == 0, log
    line = next(line for line in log.splitlines() if "initialised ResNet by ghn" in line)
    args = yaml.safe_load((tmp_path / "run" / "args.yaml").read_text())
    report = args["init_report"]
    assert (args["init"], args["init_seed"], args["init_noise"]) == ("ghn,head=false", 7, 0.001)
    before, after = own(), ghn_init.apply(own(), seed=7, noise=0.001, head=False)
    changed = [
        new.numel()
        for new, old in zip(after.parameters(), before.parameters(), strict=True)
        if not torch.equal(new, old)
    ]
    assert (report["tensors"], report["parameters"]) == (len(changed), sum(changed))
    assert report["parameters_of"] == sum(parameter.numel() for parameter in before.parameters())
    assert report["share"] == pytest.approx(report["parameters"] / report["parameters_of"], abs=1e-6)
    assert report["seed"] == 7
    assert report["settings"]["ghn"] == "default"
    assert report["settings"]["noise"] == 0.001
    assert report["settings"]["head"] is False
    assert f"{report['parameters']:,} of {report['parameters_of']:,} parameters" in line
    checkpoint = torch.load(tmp_path / "run" / "last.pth.tar", weights_only=False)
    assert checkpoint["args"].init_report == report
    assert same(saved(tmp_path)["first"], after.state_dict())


def test_default_is_the_script_as_it_is(tmp_path):
    code, log = train(tmp_path)
    assert code == 0, log
    assert same(saved(tmp_path)["first"], own().state_dict())
    args = yaml.safe_load((tmp_path / "run" / "args.yaml").read_text())
    assert args["init"] == "default"
    assert "init_report" not in args
    assert "initialised" not in log


def two_processes(folder: Path, strategy: str) -> list[tuple[int, str]]:
    """Exit statuses and logs of the script in a group of two."""
    env = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port(), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    runs = [
        start(
            "timm",
            *("--output", folder, "--init", strategy),
            env=env | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            output=folder / f"log-{rank}",
            script=SCRIPT,
        )
        for rank in (0, 1)
    ]
    return [one.wait() for one in runs]


@pytest.mark.parametrize("strategy", ["ghn,head=false", "kaiming_normal"])
def test_two_processes_start_from_the_same_weights(tmp_path, strategy):
    """timm seeds each process by its rank: what a strategy keeps would differ, in the averages for good."""
    assert not same(own(rank=0).state_dict(), own(rank=1).state_dict())
    ended = two_processes(tmp_path, strategy)
    assert [code for code, _ in ended] == [0, 0], ended
    wanted = ghn_init.initialise(own(), strategy, seed=42).state_dict()
    for rank in (0, 1):
        first = saved(tmp_path, rank)
        for stage in ("model", "ema", "first"):
            assert same(first[stage], wanted), (rank, stage)
    assert "initialised ResNet" in ended[0][1]
    assert "initialised ResNet" not in ended[1][1]


def test_failure_of_the_first_process_ends_the_others(tmp_path):
    (first, first_log), (second, second_log) = two_processes(tmp_path, f"ghn:{tmp_path}/nothing-there")
    assert (first, second) == (1, 1)
    assert "nothing-there" in first_log
    assert "process 0 failed" in second_log
    assert "nothing-there" in second_log


def test_config_file(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("init: ghn\ninit_noise: 1e-3\ninit_seed: 5\nsteps: 1\n")  # YAML reads 1e-3 as text
    code, log = train(tmp_path, "-c", config)
    assert code == 0, log
    assert same(saved(tmp_path)["first"], expected(5, noise=1e-3))
    assert "steps 1" in log
    # the record is a config file for the next run, where the command line wins
    (tmp_path / "again").mkdir()
    record = tmp_path / "run" / "args.yaml"
    assert "init_report" in record.read_text()
    code, log = train(tmp_path / "again", "-c", record, "--init", "default", "--output", tmp_path / "again")
    assert code == 0, log
    assert same(saved(tmp_path / "again")["first"], own().state_dict())
    assert "init_report" not in (tmp_path / "again" / "run" / "args.yaml").read_text()


def test_resumed_run_is_not_initialised(tmp_path):
    code, log = train(tmp_path)
    assert code == 0, log
    checkpoint = tmp_path / "run" / "last.pth.tar"
    trained = torch.load(checkpoint, weights_only=False)["state_dict"]
    resumed = tmp_path / "resumed"
    resumed.mkdir()
    code, log = train(resumed, "--init", "default", "--resume", checkpoint)
    assert code == 0, log
    assert same(saved(resumed)["first"], trained)
    code, log = train(resumed, "--init", "ghn", "--resume", checkpoint)
    assert code == 2
    assert "--init: 'ghn' is not allowed with --resume: a resumed run has its weights from the checkpoint" in log


def test_help_lists_both_sets_of_options(tmp_path):
    code, log = train(tmp_path, "--help")
    assert code == 0
    for text in ("--init STRATEGY", "--init-seed N", "--init-noise STD", "--initial-checkpoint", "100% of a teacher"):
        assert text in log
    assert "usage: timm_like.py" in log


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--init", "gnh"], "Did you mean 'ghn'?"),
        (["--init", "ghn,nose=1"], "Did you mean 'noise'?"),
        (["--init", "ghn", "--pretrained"], "not allowed with --pretrained: the pretrained weights"),
        (["--init", "ghn", "--initial-checkpoint", "x.pth"], "not allowed with --initial-checkpoint"),
        (["--init", "kaiming_normal", "--init-noise", "0.1"], "has no option 'noise'"),
        (["--init", "ghn,noise=0", "--init-noise", "0.1"], "says the noise already"),
        (["--init", "ghn", "--init-noise", "-1"], "argument --init-noise: a standard deviation cannot be -1"),
        (["--init", "ghn", "--init-noise", "inf"], "argument --init-noise: a standard deviation cannot be inf"),
        (["--init", "ghn", "--init-seed", "x"], "argument --init-seed: invalid int value"),
        (["--init"], "argument --init: expected one argument"),
        (["--inti", "ghn"], "unrecognized arguments: --inti ghn"),
    ],
)
def test_wrong_options_end_the_run_before_it_begins(tmp_path, arguments, message):
    code, log = train(tmp_path, *arguments)
    assert code == 2, log
    assert message in log
    assert "usage: timm_like.py" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("end", [["--end", "early"]])
def test_run_without_a_model_is_an_error(tmp_path, end):
    code, log = train(tmp_path, "--init", "ghn", *end)
    assert code == 1
    assert "nothing was initialised: the script ended without a model from timm.models.create_model" in log
    assert train(tmp_path, *end)[0] == 0


def test_script_that_reads_its_arguments_itself(tmp_path):
    script = tmp_path / "own.py"
    script.write_text("import sys, timm\nprint(sys.argv[1:])\ntimm.create_model('test_resnet')\n")
    code, log = run("timm", "--init", "ghn", output=tmp_path / "log", script=script)
    assert code == 1
    assert "--init was not read" in log


def test_option_of_the_scripts_own(tmp_path):
    script = tmp_path / "own.py"
    script.write_text("import argparse\np = argparse.ArgumentParser()\np.add_argument('--init')\np.parse_args()\n")
    code, log = run("timm", "--init", "ghn", output=tmp_path / "log", script=script)
    assert code == 2
    assert "ghn_init cannot add --init to this script" in log


def test_pretrained_in_the_scripts_code_is_refused(tmp_path):
    script = tmp_path / "own.py"
    script.write_text(
        "import argparse, timm\nargparse.ArgumentParser().parse_args()\n"
        "timm.create_model('test_resnet', True)\nprint('went on')\n"
    )
    code, log = run("timm", "--init", "ghn", output=tmp_path / "log", script=script)
    assert code == 1
    assert "pretrained=True" in log
    assert "went on" not in log


def test_parsers_of_libraries_are_left_alone(tmp_path):
    (tmp_path / "library.py").write_text(
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('--level', default=1)\n"
        "assert vars(p.parse_args([])) == {'level': 1}\nassert vars(p.parse_args(['--level', '2'])) == {'level': '2'}\n"
    )
    script = tmp_path / "own.py"
    script.write_text(
        "import argparse, library\nfrom timm import create_model\np = argparse.ArgumentParser()\n"
        "args = p.parse_args()\nmodel = create_model('test_resnet', num_classes=10)\n"
        "import torch; torch.save(model.state_dict(), 'weights.pt'); print(args.init_report['seed'])\n"
    )
    script.write_text(script.read_text().replace("'weights.pt'", repr(str(tmp_path / "weights.pt"))))
    code, log = run("timm", "--init", "ghn", output=tmp_path / "log", script=script)
    assert code == 0, log
    assert log.rstrip().endswith("0"), "the seed of a script without --seed"
    wanted = ghn_init.apply(timm.create_model("test_resnet", num_classes=10)).state_dict()
    assert same(torch.load(tmp_path / "weights.pt"), wanted)


def test_model_that_is_made_of_models_counts_as_one(tmp_path):
    script = tmp_path / "own.py"
    script.write_text(
        "import argparse, timm, torch\n"
        "class Pair(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.left, self.right = (timm.create_model('test_resnet', num_classes=10) for _ in range(2))\n"
        "    def forward(self, x):\n"
        "        return self.left(x) + self.right(x)\n"
        "@timm.models.register_model\n"
        "def pair(pretrained=False, **_):\n"
        "    return Pair()\n"
        "args = argparse.ArgumentParser().parse_args()\n"
        "timm.create_model('pair')\n"
        "print(args.init_report['model'], args.init_report['share'])\n"
    )
    code, log = run("timm", "--init", "kaiming_normal", output=tmp_path / "log", script=script)
    assert code == 0, log
    model, share = log.split()[-2:]
    assert model == "Pair"
    assert float(share) > 0.9


def test_sigterm_ends_the_script(tmp_path):
    going = start(
        "timm", "--output", tmp_path, "--init", "ghn", "--end", "wait", output=tmp_path / "log", script=SCRIPT
    )
    _until_ready(tmp_path / "log")
    going.process.terminate()
    assert going.wait()[0] == -signal.SIGTERM


def _until_ready(log: Path) -> None:
    deadline = time.monotonic() + 240
    while not (log.exists() and "ready" in log.read_text()):
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


class TestInterpreter:
    """With interpreters of their own: how they start, how they end."""

    def command(self, *words: object) -> list[str]:
        return [sys.executable, *map(str, words)]

    def test_spawned_workers_and_exit_status(self, tmp_path):
        """Workers import the script, under its own path, to find its classes; they must not run it."""
        words = ("--output", tmp_path, "--workers", 1, "--init", "ghn", "--end", "exit")
        done = subprocess.run(self.command("-m", "ghn_init.timm", SCRIPT, *words), capture_output=True, text=True)
        assert done.returncode == 3, done.stderr
        assert same(saved(tmp_path)["first"], expected())
        assert done.stdout.count("steps 2") == 1
        assert done.stderr.count("initialised ResNet") == 1

    def test_errors_look_as_without(self, tmp_path):
        words = (SCRIPT, "--end", "raise")
        direct = subprocess.run(self.command(*words), capture_output=True, text=True)
        through = subprocess.run(self.command("-m", "ghn_init.timm", *words), capture_output=True, text=True)
        assert direct.returncode == through.returncode == 1
        assert "ValueError: from the script" in direct.stderr
        # parse_args's frames are gone by then; main() and the last line are all there is
        assert through.stderr == direct.stderr

    def test_ctrl_c(self, tmp_path):
        words = ("--output", tmp_path, "--init", "ghn", "--end", "wait")
        log = tmp_path / "log"
        command = self.command("-m", "ghn_init.timm", SCRIPT, *words)
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's children ignore it
        try:
            with log.open("w") as output:
                going = subprocess.Popen(command, stdout=output, stderr=output)
        finally:
            signal.signal(signal.SIGINT, before)
        try:
            _until_ready(log)
            going.send_signal(signal.SIGINT)
            assert going.wait(60) == -signal.SIGINT
        finally:
            going.kill()
            going.wait()
        trace = log.read_text().partition("Traceback")[2]
        assert "KeyboardInterrupt" in trace
        assert re.findall(r'File "([^"]+)"', trace)[0] == str(SCRIPT)

    @pytest.mark.slow
    def test_torchrun(self, tmp_path):
        launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, "-m", "ghn_init.timm")
        words = (*launcher, SCRIPT, "--output", tmp_path, "--init", "ghn")
        done = subprocess.run(self.command(*words), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert (done.stdout + done.stderr).count("initialised ResNet") == 1
        assert same(saved(tmp_path, 0)["ema"], expected())
        assert same(saved(tmp_path, 1)["ema"], expected())

    def test_script_with_a_timm_beside_it(self, tmp_path):
        """A clone of timm has the package next to train.py, and `python train.py` uses that one."""
        clone = tmp_path / "clone"
        (clone / "timm").mkdir(parents=True)
        installed = Path(timm.__file__).parent
        for part in installed.iterdir():
            (clone / "timm" / part.name).symlink_to(part)
        init = clone / "timm" / "__init__.py"
        text = init.read_text()
        init.unlink()
        init.write_text(text + "\nCLONED = True\n")
        (clone / "train.py").write_text(
            "import argparse, os, sys, timm\nargparse.ArgumentParser().parse_args()\n"
            "timm.create_model('test_resnet')\n"
            "print(timm.CLONED, sys.path.count(sys.path[0]), 'PYTHONPATH' in os.environ, os.getcwd())\n"
        )
        command = self.command("-m", "ghn_init.timm", clone / "train.py", "--init", "ghn")
        root = Path(ghn_init.__file__).parents[1]
        done = subprocess.run(command, capture_output=True, text=True, cwd=root)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1].startswith("True 1 ")
        assert done.stdout.splitlines()[-1].endswith(str(root))


@pytest.mark.parametrize(("words", "code"), [((), 2), (("--help",), 0), (("missing.py",), 2), (("--init", "ghn"), 2)])
def test_usage(tmp_path, words, code):
    ended, log = run("timm", *words, output=tmp_path / "log")
    assert ended == code
    assert "usage: python -m ghn_init.timm [-h] script ..." in log
    assert "missing.py" in log or "missing.py" not in words
