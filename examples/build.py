"""Makes the notebooks from the scripts beside it: ``python examples/build.py [NAME...]``.

Needs jupytext, nbclient and ipykernel. The notebooks run with the Python that runs this, in an empty folder.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).parent
NAMES = ("initialise_and_train", "compare", "rank")
#: The tag of the cell with the settings, which is papermill's.
SETTINGS = "parameters"


class RunningPython(AsyncKernelManager):
    """Starts the Python that runs this program, whatever kernels are installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """That Python, with ipykernel."""
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="Python 3", language="python")


def notebook(name: str) -> NotebookNode:
    """The notebook of a script, without outputs; the same script gives the same notebook."""
    made = jupytext.read(HERE / f"{name}.py", fmt="py:percent")
    made.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for number, cell in enumerate(made.cells):
        cell.id = f"cell-{number}"
    return made


def execute(made: NotebookNode, folder: Path, settings: Mapping[str, Any] | None = None, timeout: int = 600) -> None:
    """Runs a notebook in a folder, with other settings where they are given, and keeps the outputs in it.

    Raises:
        CellExecutionError: a cell failed.
    """
    if settings:
        place = next(number for number, cell in enumerate(made.cells) if SETTINGS in cell.metadata.get("tags", ()))
        code = "\n".join(f"{name} = {value!r}" for name, value in settings.items())
        made.cells.insert(place + 1, nbformat.v4.new_code_cell(code, id="settings"))
    client = NotebookClient(
        made,
        timeout=timeout,
        kernel_manager_class=RunningPython,
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
    )
    client.execute()
    for cell in made.cells:
        if cell.cell_type == "code":  # warnings name this machine's folders
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]


def main(names: list[str]) -> None:
    """Makes the notebooks of these names, all by default."""
    for name in names or NAMES:
        made = notebook(name)
        with tempfile.TemporaryDirectory() as folder:
            execute(made, Path(folder))
        nbformat.write(made, HERE / f"{name}.ipynb")


if __name__ == "__main__":
    main(sys.argv[1:])
