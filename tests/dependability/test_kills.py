"""A training that is killed at any moment, and again while it is resumed, ends as if nothing had happened."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch

from tests.dependability.kills import KINDS, ROOT, contents, differences, kill


def test_three_kills_leave_no_trace(tmp_path: Path) -> None:
    rows = kill(3, seed=random.randrange(2**31), folder=tmp_path, kinds=("penalized",))
    assert [row["differs"] for row in rows] == [[]] * 3, rows


@pytest.mark.long
def test_thirty_kills_over_all_kinds_leave_no_trace(tmp_path: Path) -> None:
    rows = kill(30, seed=random.randrange(2**31), folder=tmp_path)
    assert {row["run"] for row in rows} == set(KINDS)
    assert [row for row in rows if row["differs"]] == []


def test_the_comparison_sees_a_single_bit() -> None:
    a = {"w": torch.zeros(3), "history.csv": [{"epoch": "1"}]}
    assert differences(a, {"w": torch.zeros(3), "history.csv": [{"epoch": "1"}]}) == []
    assert differences(a, {"w": torch.tensor([0.0, 0.0, 1e-45]), "history.csv": [{"epoch": "1"}]}) == ["w"]
    assert differences(a, {"w": torch.zeros(3)}) == ["history.csv"]


def test_a_missing_run_has_no_contents(tmp_path: Path) -> None:
    assert contents(tmp_path) == {}


def test_the_stored_result_is_of_thirty_kills() -> None:
    result = json.loads((ROOT / "docs/results/kills.json").read_text(encoding="utf8"))
    assert result["survived"] == result["kills"] == len(result["rows"]) >= 30
    assert {row["run"] for row in result["rows"]} == set(KINDS)
