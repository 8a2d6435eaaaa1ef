"""The example notebooks are made from their scripts, run, and say nothing about the machine that made them."""

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

_SPEC = importlib.util.spec_from_file_location("examples_build", EXAMPLES / "build.py")
build = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(build)

#: Settings for a few seconds.
SMALL = {
    "initialise_and_train": {"STEPS": 3, "SEEDS": 1, "BATCH": 8, "IMAGE_SIZE": 8},
    "compare": {"STRATEGIES": ("default", "ghn"), "BUDGETS": (2,), "SEEDS": 2, "EXTENSIONS": 0, "IMAGE_SIZE": 8},
    "rank": {"NETWORKS": 3, "IMAGES": 64, "STEPS": 2, "IMAGE_SIZE": 8},
}
LARGEST = 200_000


def stored(name):
    return nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)


def outputs(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def text_of(notebook):
    """All that it prints, with pictures' data left out."""
    parts = [output.get("text", "") for output in outputs(notebook)]
    parts += [
        content
        for output in outputs(notebook)
        for kind, content in output.get("data", {}).items()
        if not kind.startswith("image/png")
    ]
    return "\n".join(parts)


def test_every_notebook_has_its_script():
    assert {path.stem for path in EXAMPLES.glob("*.ipynb")} == set(build.NAMES) == SMALL.keys()


@pytest.mark.parametrize("name", build.NAMES)
def test_stored_notebooks_are_their_scripts_and_were_run(name):
    found, made = stored(name), build.notebook(name)
    nbformat.validate(found)
    assert [(cell.cell_type, cell.source) for cell in found.cells] == [
        (cell.cell_type, cell.source) for cell in made.cells
    ]
    code = [cell for cell in found.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert {output.output_type for output in outputs(found)} <= {"stream", "display_data", "execute_result"}


@pytest.mark.parametrize("name", build.NAMES)
def test_stored_notebooks_are_small_and_name_no_folder_of_a_machine(name):
    path = EXAMPLES / f"{name}.ipynb"
    assert path.stat().st_size < LARGEST
    # closing tags and paths of the Hub's look alike; folders of machines are absolute
    assert not re.search(r"(?<![\w<.:/\"'])/(home|root|tmp|usr|opt|work|var|mnt|Users)/", path.read_text("utf-8"))
    assert not re.search(r"[A-Z]:\\\\|site-packages", path.read_text("utf-8"))


@pytest.mark.parametrize("name", build.NAMES)
def test_notebooks_run(name, tmp_path, monkeypatch):
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel has its own
    made = build.notebook(name)
    build.execute(made, tmp_path, SMALL[name], timeout=300)
    assert list(tmp_path.iterdir()) == []
    kinds = {kind for output in outputs(made) for kind in output.get("data", {})}
    was = {kind for output in outputs(stored(name)) for kind in output.get("data", {})}
    assert kinds == was
    assert "<pre style=" in text_of(made)
