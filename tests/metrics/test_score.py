"""Score, and its two intervals: against scipy, against simulation, and at the edges."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from scipy import stats

from pyrodis.metrics import Score, mean_score, proportion_score


def test_score_is_frozen_and_writes_plain_json() -> None:
    score = Score(np.float32(0.5), np.float64(0.25), 0.75, 0.0, None, num=np.int64(4))
    assert json.loads(json.dumps(score.as_dict())) == {
        "value": 0.5,
        "low": 0.25,
        "high": 0.75,
        "chance": 0.0,
        "ceiling": None,
        "num": 4,
        "seeds": 1,
    }
    assert type(score.value) is float
    assert type(score.num) is int
    with pytest.raises(dataclasses.FrozenInstanceError):
        score.value = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"value": float("nan")}, ValueError, "value of a score must be finite, got nan"),
        ({"chance": float("nan")}, ValueError, "chance of a score must be finite"),
        ({"ceiling": float("inf")}, ValueError, "ceiling of a score must be finite, got inf"),
        ({"value": None}, TypeError, "value of a score must be a number, got None"),
        ({"value": "high"}, TypeError, "got 'high'"),
        ({"value": 0.9}, ValueError, "interval must hold the value, got value 0.9"),
        ({"num": 0}, ValueError, "num must be at least 1, got 0"),
        ({"num": 2.5}, TypeError, "num must be an integer"),
        ({"seeds": 0}, ValueError, "seeds must be at least 1"),
    ],
)
def test_score_refuses(changes: dict[str, object], error: type[Exception], match: str) -> None:
    fields = {"value": 0.5, "low": 0.4, "high": 0.6, "chance": 0.1, "ceiling": 1.0, "num": 10}
    with pytest.raises(error, match=match):
        Score(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(("right", "num"), [(0, 7), (7, 7), (1, 2), (9, 10), (2500, 2664), (2664, 2664)])
def test_proportion_interval_is_that_of_scipy(right: int, num: int) -> None:
    correct = np.arange(num) < right
    expected = stats.binomtest(right, num).proportion_ci(method="wilson")
    score = proportion_score(correct, chance=1 / 9)
    assert score.value == right / num
    assert (score.low, score.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert (score.chance, score.ceiling, score.num) == (1 / 9, 1.0, num)


def test_proportion_takes_tensors_and_zeros_and_ones() -> None:
    from_bools = proportion_score(torch.tensor([True, False, True]), chance=0.5)
    assert proportion_score(torch.tensor([1, 0, 1]), chance=0.5) == from_bools
    assert proportion_score(np.array([1.0, 0.0, 1.0]), chance=0.5) == from_bools


def test_mean_interval_is_the_normal_one() -> None:
    values = np.random.default_rng(0).gamma(2.0, size=50)
    score = mean_score(values, chance=0.0, ceiling=9.0)
    low, high = stats.norm.interval(0.95, loc=values.mean(), scale=stats.sem(values))
    assert (score.value, score.low, score.high) == pytest.approx((values.mean(), low, high), rel=1e-12)
    assert mean_score(torch.as_tensor(values)).value == score.value


def test_mean_interval_covers_the_truth_at_its_level() -> None:
    draws = np.random.default_rng(1).normal(3.0, 2.0, size=(2000, 40))
    scores = [mean_score(row) for row in draws]
    covered = np.mean([score.low <= 3.0 <= score.high for score in scores])
    assert 0.92 < covered < 0.97


def test_one_item_has_no_interval() -> None:
    score = mean_score(np.array([2.0]))
    assert score.low == score.value == score.high == 2.0


@pytest.mark.parametrize(
    ("values", "error", "match"),
    [
        (np.array([]), ValueError, "at least one item"),
        (np.array([1.0, np.nan]), ValueError, "got 1 NaN"),
        (np.ones((2, 2)), ValueError, r"shape \(N,\), got \(2, 2\)"),
        ([1.0, 2.0], TypeError, "got list"),
        (np.array(["a"]), TypeError, "real numbers"),
    ],
)
def test_mean_refuses(values: object, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        mean_score(values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("correct", "match"),
    [
        (np.array([], dtype=bool), "at least one item"),
        (np.array([0, 2]), "zeros and ones"),
        (np.array([1.0, np.nan]), "zeros and ones"),
        (np.ones((2, 1), dtype=bool), r"shape \(N,\)"),
    ],
)
def test_proportion_refuses(correct: np.ndarray, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        proportion_score(correct, chance=0.5)
