"""The page on posteriors: its code runs, its table is that of the stored rows, and these are what theory says."""

from __future__ import annotations

import json
import re
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.distributions import kl_divergence

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "concepts" / "posterior.md"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script docs/results/posterior_checks.py."""
    sys.path.insert(0, str(ROOT / "docs" / "results"))
    try:
        return import_module("posterior_checks")
    finally:
        sys.path.remove(str(ROOT / "docs" / "results"))


def scores_of(script: ModuleType, row: str) -> dict[str, Any]:
    return json.loads(script.path_of(row).read_text(encoding="utf8"))["scores"]


def half(score: dict[str, Any]) -> float:
    return (score["high"] - score["low"]) / 2


def test_the_page_holds_the_stored_rows(script: ModuleType) -> None:
    text = PAGE.read_text(encoding="utf8")
    assert "missing" not in script.table()
    assert script.table() in text
    assert "posterior\n" in (PAGE.parent / "index.md").read_text(encoding="utf8")


def test_the_code_of_the_page_runs() -> None:
    (block,) = re.findall(r"^```python\n(.+?)^```$", PAGE.read_text(encoding="utf8"), flags=re.MULTILINE | re.DOTALL)
    torch.manual_seed(0)
    found: dict[str, Any] = {}
    exec(compile(block.replace("num_samples=2000", "num_samples=200"), str(PAGE), "exec"), found)
    assert found["khat"].shape == found["gap"].gap.shape == (4,)
    assert set(found["coverage"]) == {"f/0.5", "f/0.9", "z/0.5", "z/0.9"}
    assert found["kl"]["z"].values.shape == (4, 5, 2)
    assert found["memory"].shape == (4, 2, 5, 5)
    assert set(found["ranks"].site_p_values) == {"f", "z", "log_joint"}


def test_guides_of_the_table_are_what_it_calls_them(script: ModuleType) -> None:
    model = script.make_model()
    x = model(batch_size=2)["x"].detach()
    exact = model.exact_posterior(x)
    precision = exact.precision_matrix[0]
    least = 0.5 * float(precision.diagonal().log().sum() - torch.linalg.slogdet(precision).logabsdet)
    for row, expected in {
        "exact": 0.0,
        "mean_field": least,
        "halved": script.known_gain("halved", model),
        "doubled": script.known_gain("doubled", model),
    }.items():
        fn = script.make_guide(row, model)
        trace = script.pyro.poutine.trace(fn).get_trace(x)
        kl = kl_divergence(trace.nodes["z"]["fn"], exact)
        torch.testing.assert_close(kl, torch.full_like(kl, expected), rtol=1e-6, atol=1e-8)


def test_stored_rows_keep_to_theory(script: ModuleType) -> None:
    model = script.make_model()
    for row in script.ROWS:
        found = scores_of(script, row)
        for level in script.LEVELS:
            score, known = found["coverage"][f"{level:g}"], script.known_coverage(row, model, level)
            assert found["known_coverage"][f"{level:g}"] == pytest.approx(known)
            assert abs(score["value"] - known) < 2 * half(score) + 0.005, row
        p_values = found["calibration"]
        bound = found["iwae_minus_evidence"]
        if row == "exact":
            assert p_values["p_value"] > 0.01
            assert abs(bound["value"]) <= 3 / 1.96 * half(bound) + 1e-9  # three standard errors
            assert found["high_khat"]["value"] == 0
        else:
            assert p_values["p_value_z"] < 1e-6
        gain = found["refinement"]
        assert gain["value"] == pytest.approx(script.known_gain(row, model), abs=0.5)
    assert scores_of(script, "mean_field")["coverage"]["0.9"]["high"] < 0.7


def test_a_row_is_checked_and_stored(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"NUM_SIMULATIONS": 20, "NUM_RANK_DRAWS": 9, "NUM_BINS": 2, "NUM_COVERAGE": 10, "NUM_CLIPS": 4}
    sizes |= {"NUM_SAMPLES": 5, "NUM_KHAT_CLIPS": 2, "NUM_KHAT_SAMPLES": 100, "NUM_REFINED": 2, "NUM_STEPS": 2}
    for name, value in {"HERE": tmp_path, "NUM_COVERAGE_DRAWS": 19, **sizes}.items():
        monkeypatch.setattr(script, name, value)
    script.finish("halved")
    assert set(scores_of(script, "halved")) == set(
        json.loads((ROOT / "docs" / "results" / "posterior_checks-halved.json").read_text(encoding="utf8"))["scores"]
    )
    lines = script.table().splitlines()
    assert [line.count("missing") for line in lines[2:]] == [7, 7, 0, 7]
