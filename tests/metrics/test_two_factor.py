"""The two-factor score: perfect, ignorant and destructive exchanges, its chance level, and bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pyrodis.metrics import Score, two_factor_score

NAMES, SIZES = ("action", "skin", "hair"), (3, 4, 2)
LABELS = np.stack(np.meshgrid(*map(range, SIZES), range(50), indexing="ij"), -1).reshape(-1, 4)[:, :3]
RNG = np.random.default_rng(0)
OTHERS = LABELS[RNG.permutation(len(LABELS))]
DRAWN = np.stack([RNG.integers(size, size=len(LABELS)) for size in SIZES], axis=1)
DYNAMIC = np.array([True, False, False])


def score(static_changed: Any, dynamic_changed: Any, labels: Any = LABELS, **options: Any) -> Score:
    return two_factor_score(static_changed, dynamic_changed, labels, NAMES, SIZES, **{"num_resamples": 50, **options})


@pytest.mark.parametrize("new", [OTHERS, DRAWN])
def test_a_perfect_exchange(new: np.ndarray) -> None:
    found = score(np.where(DYNAMIC, LABELS, new), np.where(DYNAMIC, new, LABELS))
    assert found.value == pytest.approx(1, abs=0.02)
    assert found.low < found.value <= found.high


def test_nothing_changes_or_nothing_is_kept() -> None:
    ignorant, destructive = score(LABELS, LABELS), score(DRAWN, DRAWN)
    assert ignorant.value == pytest.approx(ignorant.chance)
    assert destructive.value == pytest.approx(destructive.chance, abs=0.02)
    assert ignorant.chance == pytest.approx(1 - (2 / 3 + 3 / 4 + 1 / 2) / 6)


def test_the_wrong_way_round_is_worst() -> None:
    found = score(np.where(DYNAMIC, DRAWN, LABELS), np.where(DYNAMIC, LABELS, DRAWN))
    assert found.value == pytest.approx(1 - (2 / 3 + 3 / 4 + 1 / 2) / 3, abs=0.02)


def test_by_hand() -> None:
    labels = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    static_changed = np.array([[0, 0], [0, 1], [1, 0], [0, 0]])  # action kept in 3 of 4, skin changed in 1 of 4
    dynamic_changed = np.array([[1, 0], [1, 1], [0, 0], [1, 0]])  # skin kept in 3 of 4, action right in 1 of 4
    found = two_factor_score(static_changed, dynamic_changed, labels, ("action", "skin"), (2, 2), num_resamples=2)
    kept, changed = (0.25 + 0.25) / 2, (0.25 + 0.25) / 2
    assert found.value == pytest.approx(1 - (kept + changed) / 2)


@pytest.mark.parametrize(
    ("arrays", "options", "match"),
    [
        ((LABELS[:5], LABELS, LABELS), {}, "static_changed and labels must have the same length, got 5 and 1200"),
        ((LABELS, LABELS[:, :2], LABELS), {}, "dynamic_changed must have one column for each of the 3 factors"),
        ((LABELS, LABELS + 1, LABELS), {}, "must hold classes 0 to 2, got values from 1 to 3"),
        ((LABELS, LABELS, LABELS), {"dynamic": ("color",)}, "dynamic must name some but not all"),
        ((LABELS, LABELS, LABELS), {"num_resamples": 1}, "num_resamples must be at least 2"),
    ],
)
def test_refuses(arrays: Any, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        score(*arrays, **options)


def test_refuses_constant_factors_and_scores() -> None:
    with pytest.raises(ValueError, match="factor_sizes must be at least 2"):
        two_factor_score(LABELS, LABELS, LABELS, NAMES, (3, 4, 1))
    with pytest.raises(TypeError, match="labels of action must hold integer classes"):
        score(LABELS, LABELS, LABELS * 1.0)
