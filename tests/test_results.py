"""Every number of a table of results comes from a stored row, and the script that prints it names what is missing."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def results() -> ModuleType:
    """The script docs/results/dsvae_sprites.py."""
    spec = importlib.util.spec_from_file_location("results", ROOT / "docs" / "results" / "dsvae_sprites.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["README.md", "docs/papers/dsvae.md"])
def test_tables_are_those_of_the_stored_rows(results: ModuleType, page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf8")
    stored = [row for row in results.ROWS if results.path_of(row).exists()]
    assert stored, "no row of results is stored"
    for row in stored:
        result = json.loads(results.path_of(row).read_text(encoding="utf8"))
        assert results.table(result) in text, f"{page} does not hold the table of {row}"
        assert results.summary(result) in text, f"{page} does not hold the summary of {row}"
        assert result["command"] in text, f"{page} does not say how {row} was made"


def test_a_missing_row_is_named(
    results: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(results, "HERE", tmp_path)
    monkeypatch.setattr("sys.argv", ["dsvae_sprites.py", "--table-only"])
    results.main()
    printed = capsys.readouterr().out
    assert all(f"{row}: missing" in printed for row in results.ROWS)


def test_benchmarks_are_those_stored() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf8")
    step = json.loads((ROOT / "docs" / "results" / "elbo_step.json").read_text(encoding="utf8"))
    for name, size in step["sizes"].items():
        for variant, row in size["rows"].items():
            interval = f"{row['low']:.3f} to {row['high']:.3f}"
            assert f"| {name} | {variant} | {row['ratio']:.3f} | {interval} |" in page
    share = json.loads((ROOT / "docs" / "results" / "sprites_data.json").read_text(encoding="utf8"))["share"]
    assert f"takes {share['ratio']:.1%} of a step" in page
