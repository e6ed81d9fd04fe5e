"""Disentanglement, completeness and informativeness: the known answers of the paper, and bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pyrodis.metrics import Score, dci
from pyrodis.metrics.dci import _completeness, _disentanglement
from pyrodis.testing import check_metric

RNG = np.random.default_rng(0)
FACTORS = RNG.random((400, 2))
CLASSES = RNG.integers(3, size=(400, 2))
NOISE = RNG.normal(size=(400, 2))


def scores(codes: np.ndarray, factors: np.ndarray = FACTORS, **options: Any) -> dict[str, Score]:
    return dci(codes, factors, **{"num_trees": 5, **options})


def values(codes: np.ndarray, factors: np.ndarray = FACTORS) -> tuple[float, float, float]:
    found = scores(codes, factors)
    return found["disentanglement"].value, found["completeness"].value, found["informativeness"].value


def test_formulas_by_hand() -> None:
    importances = np.array([[3.0, 1.0], [0.0, 2.0], [0.0, 0.0]])
    entropy = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert _disentanglement(importances) == pytest.approx(2 / 3 * (1 - entropy) + 1 / 3)
    of_second = -(np.log(1 / 3) / 3 + 2 * np.log(2 / 3) / 3) / np.log(3)
    assert _completeness(importances) == pytest.approx((1 + 1 - of_second) / 2)


@pytest.mark.parametrize("function", [_disentanglement, _completeness])
def test_formulas_of_perfect_even_and_no_importances(function: Any) -> None:
    check_metric(lambda a, b: function(a), (np.eye(3), 0), (np.ones((3, 3)), 0), 1e-12)
    assert function(np.zeros((3, 3))) == 0


def test_perfect_codes() -> None:
    assert values(np.exp(-2 * FACTORS)) == pytest.approx((1, 1, 1), abs=0.02)
    assert values(CLASSES[:, ::-1] * 1.0, CLASSES) == pytest.approx((1, 1, 1), abs=0.02)


def test_noise() -> None:
    found = scores(NOISE)
    assert found["disentanglement"].value < 0.05
    assert found["completeness"].value < 0.05
    assert found["informativeness"].value < 0.1
    hits = scores(NOISE, CLASSES)["informativeness"]
    assert hits.value == pytest.approx(hits.chance, abs=0.08)
    assert hits.chance == pytest.approx(1 / 3, abs=0.05)


def test_a_rotation_is_informative_but_entangled() -> None:
    rotated = np.stack([FACTORS.sum(1), FACTORS[:, 0] - FACTORS[:, 1]], axis=1)
    disentangled, complete, informative = values(rotated)
    assert disentangled < 0.15
    assert complete < 0.15
    assert informative > 0.9


def test_copies_are_disentangled_but_incomplete() -> None:
    disentangled, complete, informative = values(np.concatenate([FACTORS, FACTORS], axis=1))
    assert disentangled > 0.95
    assert complete == pytest.approx(0.5, abs=0.1)  # two of four dimensions: 1 - log 2 / log 4
    assert informative > 0.95


def test_dead_dimensions_change_nothing() -> None:
    dead = np.concatenate([FACTORS, np.ones((400, 3))], axis=1)
    assert values(dead) == pytest.approx(values(FACTORS), abs=0.02)


def test_all_dead() -> None:
    found = scores(np.zeros((400, 2)))
    assert (found["disentanglement"].value, found["completeness"].value) == (0, 0)
    assert found["informativeness"].value == pytest.approx(0, abs=0.02)


def test_the_order_of_codes_does_not_matter() -> None:
    codes = np.concatenate([FACTORS, FACTORS.sum(1, keepdims=True)], axis=1)
    assert values(codes[:, [2, 0, 1]]) == pytest.approx(values(codes), abs=0.02)


def test_the_seed_decides_and_intervals_hold() -> None:
    codes = FACTORS + 0.1 * NOISE
    found = scores(codes, seed=3)
    assert found == scores(codes, seed=3)
    assert found != scores(codes, seed=4)
    assert found["disentanglement"].low < found["disentanglement"].value < found["disentanglement"].high
    assert found["informativeness"].num == 400
    assert list(found) == [
        "disentanglement",
        "completeness",
        "informativeness",
        "informativeness/factor_0",
        "informativeness/factor_1",
    ]


def test_frames_of_an_item_are_never_split() -> None:
    codes, factors = RNG.normal(size=(40, 1, 2)), RNG.random((40, 1, 2))
    found = scores(np.repeat(codes, 20, axis=1), np.repeat(factors, 20, axis=1))
    assert found["informativeness"].value < 0.2  # a frame seen beside its twin would be predicted
    assert found["informativeness"].num == 40


@pytest.mark.parametrize(
    ("codes", "factors", "match"),
    [
        (FACTORS[:9], FACTORS[:9], "at least 10 items, got 9; they are cut into 5 parts"),
        (FACTORS, FACTORS[:, :1], "at least 2 columns each, got 2 and 1"),
        (FACTORS[:, :1], FACTORS, "at least 2 columns each, got 1 and 2"),
        (FACTORS[:5], FACTORS, r"factors must have shape \(5, F\)"),
        (FACTORS, FACTORS * [1, 0], "drop the constant factor"),
        (FACTORS * np.nan, FACTORS, "codes must be finite"),
    ],
)
def test_refuses(codes: np.ndarray, factors: np.ndarray, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        dci(codes, factors)


def test_refuses_no_trees() -> None:
    with pytest.raises(ValueError, match="num_trees must be at least 1"):
        dci(FACTORS, FACTORS, num_trees=0)
