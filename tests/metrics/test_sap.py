"""SAP: the known answers for numbers and classes, chance, intervals, and bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pyrodis.metrics import Score, sap
from tests.metrics.kinds_of_codes import CLASSES, NOISE, NUMBERS, REFUSED, rotated, twice, with_dead

COINS = np.stack(np.meshgrid(range(2), range(2), range(100), indexing="ij"), -1).reshape(-1, 3)[:, :2]


def scores(codes: Any, factors: Any = NUMBERS, **options: Any) -> dict[str, Score]:
    return sap(codes, factors, **{"num_resamples": 20, **options})


def value(codes: Any, factors: Any = NUMBERS) -> float:
    return scores(codes, factors)["sap"].value


def test_numbers() -> None:
    assert value(5 - NUMBERS) == pytest.approx(1, abs=0.02)
    assert value(twice(NUMBERS)) == pytest.approx(0, abs=1e-9)
    assert value(with_dead(NUMBERS)) == pytest.approx(value(NUMBERS))
    assert value(np.zeros((600, 2))) == 0


def test_numbers_are_scored_by_squared_correlations() -> None:
    codes = rotated(NUMBERS)
    squares = np.sort(np.corrcoef(codes, NUMBERS, rowvar=False)[:3, 3:] ** 2, axis=0)
    found = scores(codes)
    expected = squares[-1] - squares[-2]
    assert [found[f"sap/factor_{j}"].value for j in range(3)] == pytest.approx(expected.tolist())
    assert found["sap"].value == pytest.approx(expected.mean())


def test_classes_reach_one_less_their_share() -> None:
    found = scores(COINS * 1.0, COINS)
    assert found["sap"].value == pytest.approx(1 - 1 / 2, abs=0.07)
    assert found["sap"].num == 200
    assert value(twice(COINS), COINS) == pytest.approx(0, abs=1e-9)


def test_classes_in_a_row_are_not_told_apart_by_lines() -> None:
    found = scores(CLASSES * 1.0, CLASSES)
    assert found["sap/factor_2"].value < 0.6 < 1 - 1 / 5


def test_noise_is_at_its_chance_level() -> None:
    for factors in (NUMBERS, CLASSES):
        found = scores(NOISE, factors)["sap"]
        assert found.value == pytest.approx(found.chance, abs=0.04)
        assert 0 < found.chance < 0.06


def test_intervals_frames_and_seeds() -> None:
    codes, factors = NUMBERS + 0.2 * NOISE, NUMBERS
    found = scores(codes, num_resamples=100)["sap"]
    assert found.low < found.value < found.high
    framed = scores(np.repeat(codes[:, None], 3, axis=1), np.repeat(factors[:, None], 3, axis=1), num_resamples=100)
    assert (framed["sap"].value, framed["sap"].low) == pytest.approx((found.value, found.low))
    of_classes = [scores(CLASSES + NOISE, CLASSES, seed=seed)["sap"].value for seed in (0, 0, 1)]
    assert of_classes[0] == of_classes[1] != of_classes[2]


def test_the_interval_covers_the_score_of_much_data() -> None:
    rng = np.random.default_rng(1)
    factors = rng.random((30_000, 1))
    codes = np.concatenate([factors + 0.3 * rng.normal(size=factors.shape), rng.normal(size=factors.shape)], axis=1)
    much = value(codes, factors)
    hits = []
    for number in range(60):
        rows = slice(500 * number, 500 * number + 500)
        found = scores(codes[rows], factors[rows], num_resamples=50)["sap"]
        hits.append(found.low <= much <= found.high)
    assert np.mean(hits) > 0.8


@pytest.mark.parametrize(
    ("codes", "factors", "options", "match"),
    [
        *REFUSED,
        (NOISE[:, :1], CLASSES, {}, "codes must have at least 2 dimensions, got 1"),
        (NOISE[:3], NUMBERS[:3], {}, "at least 4 items, got 3"),
        (NOISE, (np.arange(600) == 7)[:, None] * np.ones((1, 2), dtype=int), {"seed": 0}, "vary in every half"),
    ],
)
def test_refuses(codes: Any, factors: Any, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        sap(codes, factors, **options)
