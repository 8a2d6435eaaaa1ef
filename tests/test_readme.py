"""The README's examples run, and its commands are ones that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from ghn_init.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [line.split("#")[0] for line in re.findall(r"(?:^|&& )(ghn-init [^\n]*)", README, re.MULTILINE)]


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert ("print" in code) == ("predicted" in capsys.readouterr().out)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command: str) -> None:
    _, name, *arguments = shlex.split(command)
    group = typer.main.get_command(app)
    subcommand = group.commands[name]  # type: ignore[attr-defined]
    assert subcommand.make_context(name, arguments)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(((?!http)[^)#]+)\)", README):
        assert (ROOT / target).exists()


def test_the_check_finds_both_set_up_commands() -> None:
    for name, expected in (
        ("main", "ghn-init apply resnet50 -o resnet50.safetensors"),
        ("test", "pytest -n 2 --dist worksteal"),
    ):
        block = re.search(rf"<!-- run: {name} -->\n```bash\n(.*?)\n```", README, re.DOTALL)
        assert block is not None
        assert block[1].startswith("python3 -m venv .venv && . .venv/bin/activate && pip install ")
        assert block[1].endswith(f"&& {expected}")
