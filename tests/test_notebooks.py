"""Every notebook of the documentation runs from top to bottom, with little data and few steps."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```[ ]*$", flags=re.MULTILINE | re.DOTALL)
OPTIONS = re.compile(r"\A(?:---\n.*?^---\n|(?::[\w-]+:[^\n]*\n)+)", flags=re.MULTILINE | re.DOTALL)


def cells(path: Path) -> list[str]:
    """The code cells of a notebook in JSON or in Markdown, without their options."""
    text = path.read_text(encoding="utf8")
    if path.suffix == ".ipynb":
        return ["".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    return [OPTIONS.sub("", cell) for cell in CELL.findall(text)]


def notebooks() -> Iterator[Path]:
    yield from sorted(path for path in (ROOT / "docs" / "tutorials").glob("*.md") if cells(path))
    yield from sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def run_cell(source: str, name: str, names: dict[str, Any]) -> str:
    """Run one cell, which is plain Python, and return what its last expression shows."""
    body = ast.parse(source, filename=name).body
    last = ast.Expression(body.pop().value) if body and isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), name, "exec"), names)
    value = None if last is None else eval(compile(last, name, "eval"), names)
    if value is None:
        return ""
    shown = value._repr_html_() if hasattr(value, "_repr_html_") else None
    return repr(value) if shown is None else str(shown)


@pytest.mark.parametrize("path", list(notebooks()), ids=lambda path: f"{path.parent.name}/{path.name}")
@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
def test_runs_from_top_to_bottom(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import matplotlib
    from matplotlib import pyplot

    monkeypatch.setenv("PYRODIS_SMOKE", "1")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    backend = matplotlib.get_backend()
    with torch.random.fork_rng(devices=[]), pyro.validation_enabled(True), matplotlib.rc_context():
        pyplot.switch_backend("agg")
        torch.manual_seed(0)
        pyro.clear_param_store()
        try:
            for number, source in enumerate(cells(path), start=1):
                run_cell(source, f"{path.name}, cell {number}", names)
        finally:
            pyplot.close("all")
            pyplot.switch_backend(backend)
            pyro.clear_param_store()


@pytest.mark.parametrize("path", list(notebooks()), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_is_a_notebook_to_sphinx(path: Path) -> None:
    """Without a kernel in its header a page's cells would be shown and not run."""
    text = path.read_text(encoding="utf8")
    if path.suffix == ".ipynb":
        assert json.loads(text)["metadata"]["kernelspec"]["name"] == "python3"
    else:
        assert re.match(r"---\n(.+\n)*kernelspec:\n(.+\n)*  name: python3\n(.+\n)*---\n", text)
        assert text.count("```{code-cell}") == len(cells(path))


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_stores_what_a_full_run_gave(path: Path) -> None:
    """For readers of the repository; `python docs/store_outputs.py NAME` stores it anew."""
    code = [cell for cell in json.loads(path.read_text(encoding="utf8"))["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in code for output in cell["outputs"]]
    assert [cell["execution_count"] for cell in code] == [*range(1, len(code) + 1)]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    texts = [output.get("text", output.get("data", {}).get("text/plain", "")) for output in outputs]
    assert not re.search(r"(^|[\s'\"])(/[a-z]\w*|[A-Z]:\\)[/\\]", "".join("".join(text) for text in texts))


def test_reads_cells_as_sphinx_does(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Text.\n\n```{code-cell} ipython3\n:tags: [hide-input]\n\na = 1\n```\n\n"
        "```{code-cell}\n---\ntags: [hide-output]\n---\na + 1\n```\n\n```python\nnot_run\n```\n",
        encoding="utf8",
    )
    names: dict[str, Any] = {}
    assert [run_cell(cell, "page", names) for cell in cells(page)] == ["", "2"]


def test_an_error_in_a_cell_is_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        run_cell("a = 1\na / 0", "page", {})
