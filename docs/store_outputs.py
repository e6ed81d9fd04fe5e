"""Run notebooks in full and store what they show in them, so that they can be read where nothing is built.

    python docs/store_outputs.py [NAME ...]

NAME is that of a notebook in docs/notebooks, without its ending; all of them by default. A notebook runs in a temporary
folder. What it writes to the error stream, progress bars mostly, is left out, and so is everything that differs from
run to run without a meaning.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parent / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def store(path: Path) -> None:
    """Run one notebook and write it back with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=3600, resources={"metadata": {"path": folder}}).execute()
    notebook.metadata = METADATA
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number:02d}", {}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    nbformat.write(notebook, path)


def main() -> None:
    known = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=known, metavar="NAME")
    for name in parser.parse_args().names:
        store(NOTEBOOKS / f"{name}.ipynb")
        print(f"stored {name}")


if __name__ == "__main__":
    main()
