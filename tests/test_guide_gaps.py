"""The table of gaps on its page is that of the stored rows, and trained guides come near theory."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch

from pyrodis.infer import factorization_gaps

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script docs/results/guide_gaps.py."""
    spec = importlib.util.spec_from_file_location("guide_gaps", ROOT / "docs" / "results" / "guide_gaps.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_holds_the_stored_rows(script: ModuleType) -> None:
    page = (ROOT / "docs" / "concepts" / "factorizations.md").read_text(encoding="utf8")
    assert "missing" not in script.table()
    assert script.table() in page


def test_theory_of_the_stored_rows_is_that_of_the_library(script: ModuleType) -> None:
    for setting in script.SETTINGS:
        shown = torch.tensor(script.PATTERNS[setting[1]])
        gaps = factorization_gaps(script.make_model(setting[0]), script.NUM_FRAMES, shown)
        for name in script.GUIDES:
            row = json.loads(script.path_of(*setting, name).read_text(encoding="utf8"))
            assert row["theory"] == pytest.approx(gaps[name], abs=1e-6)
            assert row["measured"]["high"] > row["theory"] - 0.02, "a guide cannot be better than its factorization"


def test_a_missing_row_is_named(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "HERE", tmp_path)
    assert script.table().count("missing; run python docs/results/guide_gaps.py") == 16


def test_training_narrows_the_gap(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "HERE", tmp_path)
    monkeypatch.setattr(script, "NUM_CLIPS", 50)
    gaps = []
    for steps in (1, 40):
        monkeypatch.setattr(script, "NUM_STEPS", steps)
        script.finish(0.9, "hidden", "frame_wise")
        gaps.append(json.loads(script.path_of(0.9, "hidden", "frame_wise").read_text())["measured"]["value"])
    assert gaps[1] < 0.5 * gaps[0]
