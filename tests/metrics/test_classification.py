"""Accuracy by factor: known answers, chance, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pyrodis.metrics import factor_accuracies

NAMES, SIZES = ("action", "skin"), (9, 6)


def draw(num: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return np.stack([generator.integers(size, size=num) for size in SIZES], axis=1)


def test_counts_each_factor_alone() -> None:
    labels = draw(60, 0)
    predictions = labels.copy()
    predictions[:15, 1] = (predictions[:15, 1] + 1) % 6
    scores = factor_accuracies(torch.as_tensor(predictions), labels, NAMES, SIZES)
    assert list(scores) == ["action", "skin"]
    assert (scores["action"].value, scores["skin"].value) == (1.0, 0.75)
    assert [scores[name].chance for name in NAMES] == [1 / 9, 1 / 6]


def test_guesses_score_chance() -> None:
    scores = factor_accuracies(draw(20000, 1), draw(20000, 2), NAMES, SIZES)
    for score in scores.values():
        assert score.value == pytest.approx(score.chance, abs=0.012)


@pytest.mark.parametrize(
    ("predictions", "error", "match"),
    [
        (np.zeros((4, 2)), TypeError, "integer classes, got dtype float64"),
        (np.zeros((3, 2), dtype=int), ValueError, "same length, got 3 and 4"),
        (np.zeros((4, 3), dtype=int), ValueError, r"2 factors, got shape \(4, 3\)"),
        (np.zeros(4, dtype=int), ValueError, r"shape \(N, 2\), got \(4,\)"),
        (np.zeros((0, 2), dtype=int), ValueError, "at least one item"),
        (np.full((4, 2), 6), ValueError, "predictions of skin must hold classes 0 to 5, got values from 6"),
        (np.full((4, 2), -1), ValueError, "predictions of action must hold classes 0 to 8, got values from -1"),
    ],
)
def test_refuses_predictions(predictions: np.ndarray, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        factor_accuracies(predictions, np.zeros((4, 2), dtype=int), NAMES, SIZES)


@pytest.mark.parametrize(
    ("names", "sizes", "match"),
    [
        (("action",), (9, 6), "1 names and 2 sizes"),
        (("action", "action"), (9, 6), "must differ"),
        (("action", "skin"), (9, 1), "at least 2"),
    ],
)
def test_refuses_factors(names: tuple[str, ...], sizes: tuple[int, ...], match: str) -> None:
    table = np.zeros((4, 2), dtype=int)
    with pytest.raises(ValueError, match=match):
        factor_accuracies(table, table, names, sizes)
