"""The page of the metrics: its code runs, its tables are those of the stored rows, and what it says of them is so."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
PAGE = RESULTS.parent / "concepts" / "metrics.md"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script docs/results/metrics_table.py."""
    sys.path.insert(0, str(RESULTS))
    try:
        spec = importlib.util.spec_from_file_location("metrics_table", RESULTS / "metrics_table.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(RESULTS))
    return module


def stored(row: str) -> dict[str, dict[str, list[float]]]:
    return json.loads((RESULTS / f"metrics_table-{row}.json").read_text(encoding="utf8"))["scores"]


def test_the_code_of_the_page_runs() -> None:
    blocks = re.findall(r"^```python\n(.+?)^```$", PAGE.read_text(encoding="utf8"), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    names: dict[str, object] = {}
    exec(compile(blocks[0], str(PAGE), "exec"), names)
    assert names["found"].active == 2  # type: ignore[attr-defined]


def test_the_tables_are_those_of_the_stored_rows(script: ModuleType) -> None:
    import shared_results

    text = PAGE.read_text(encoding="utf8")
    assert all(f"<!-- results:{name} -->" in text for name in script.BLOCKS)
    assert shared_results.write_blocks(text, script.BLOCKS) == text
    assert "Not finished" not in text


@pytest.mark.parametrize(("row", "kind"), [("numbers", "rotated"), ("classes", "twice")])
def test_the_rows_are_what_the_scores_give(script: ModuleType, row: str, kind: str) -> None:
    factors = script.factors_of(row)
    found = script.scores_of(script.codes_of(factors)[kind], factors, quick=True)
    for name, numbers in found.items():
        assert numbers == pytest.approx(stored(row)[kind][name], abs=2e-3), name


def test_the_page_and_every_score_of_it_are_listed() -> None:
    assert "\nmetrics\n" in (PAGE.parent / "index.md").read_text(encoding="utf8")
    from pyrodis import metrics

    named = re.findall(r"{func}`~pyrodis\.metrics\.(\w+)`", PAGE.read_text(encoding="utf8"))
    assert set(named) <= set(metrics.__all__)
    assert {"sap", "mig", "dci", "mcc", "modularity", "factor_vae_score", "beta_vae_score", "report"} <= set(named)


@pytest.mark.parametrize("row", ["numbers", "classes"])
def test_when_a_score_misleads(row: str) -> None:
    scores = {kind: {name: pair[0] for name, pair in found.items()} for kind, found in stored(row).items()}
    perfect, rotated, noise = scores["perfect"], scores["rotated"], scores["noise"]
    assert min(rotated[name] for name in ("beta_vae", "factor_vae", "linear", "nonlinear", "informativeness")) > 0.85
    assert max(rotated[name] for name in ("mig", "sap", "disentanglement", "completeness")) < 0.2
    assert [round(scores["twice"][name], 2) for name in ("modularity", "disentanglement", "mig", "sap")] == [1, 1, 0, 0]
    assert noise["modularity"] > 0.15
    for name in ("beta_vae", "factor_vae"):
        assert noise[name] == pytest.approx(1 / 3, abs=0.05)
    assert scores["with dead"]["modularity"] == pytest.approx(perfect["modularity"] / 2)
    unchanged = [name for name in perfect if name != "modularity"]
    assert all(scores["with dead"][name] == pytest.approx(perfect[name], abs=0.02) for name in unchanged)
    falls = ["mcc", "linear", "mig"] + ["sap"] * (row == "numbers")
    assert all(scores["bent"][name] < perfect[name] - 0.03 for name in falls)
    stays = ("mcc of ranks", "disentanglement", "completeness", "factor_vae", "beta_vae")
    assert all(scores["bent"][name] == pytest.approx(perfect[name], abs=0.01) for name in stays)


def test_ceilings_that_perfect_codes_do_not_reach() -> None:
    assert stored("classes")["perfect"]["sap"][0] < 0.5
    assert stored("numbers")["perfect"]["mig"][0] < 0.99
    assert stored("classes")["noise"]["modularity"][0] > stored("numbers")["noise"]["modularity"][0]
