"""The mean correlation coefficient: assignment, ranks against scipy, chance, and bad input."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from pyrodis.metrics import Score, mcc
from pyrodis.metrics._moments import dense_ranks, weighted_correlations, weighted_ranks
from tests.metrics.kinds_of_codes import CLASSES, NOISE, NUMBERS, REFUSED, rotated, twice, with_dead


def scores(codes: Any, factors: Any = NUMBERS, **options: Any) -> dict[str, Score]:
    return mcc(codes, factors, **{"num_resamples": 10, **options})


def value(codes: Any, factors: Any = NUMBERS, **options: Any) -> float:
    return scores(codes, factors, **options)["mcc"].value


@pytest.mark.parametrize("ranks", [False, True])
@pytest.mark.parametrize("factors", [NUMBERS, CLASSES])
def test_perfect_copied_and_dead_dimensions(factors: np.ndarray, ranks: bool) -> None:
    assert value(-2.0 * factors[:, [2, 0, 1]], factors, ranks=ranks) == pytest.approx(1)
    assert value(twice(factors), factors, ranks=ranks) == pytest.approx(1)
    assert value(with_dead(factors), factors, ranks=ranks) == pytest.approx(1)
    assert value(np.zeros((600, 3)), factors, ranks=ranks) == 0


def test_a_bend_costs_values_but_not_ranks() -> None:
    bent = np.exp(-6 * NUMBERS)
    assert value(bent) < 0.9
    assert value(bent, ranks=True) == pytest.approx(1)


def test_the_assignment_is_the_best_of_all() -> None:
    codes = np.concatenate([rotated(NUMBERS) + 0.5 * NOISE, NOISE[:, :1]], axis=1)
    sizes = np.abs(np.corrcoef(codes, NUMBERS, rowvar=False)[:4, 4:])
    best = max(sum(sizes[d, j] for j, d in enumerate(order)) for order in permutations(range(4), 3))
    assert value(codes) == pytest.approx(best / 3)


def test_factors_without_a_dimension_count_as_nothing() -> None:
    found = scores(NUMBERS[:, :2], factor_names=("a", "b", "c"))
    assert found["mcc/c"].value == 0
    assert found["mcc"].value == pytest.approx(2 / 3)


def test_noise_is_at_its_chance_level() -> None:
    found = scores(NOISE)["mcc"]
    assert found.value == pytest.approx(found.chance, abs=0.04)
    assert 0 < found.chance < 0.1


def test_ranks_are_those_of_scipy() -> None:
    columns = np.round(NOISE[:50], 1)  # with ties
    weights = np.random.default_rng(0).integers(4, size=50).astype(float)
    rows = np.repeat(np.arange(50), weights.astype(int))
    expected = rankdata(columns[rows], axis=0) - 0.5
    assert weighted_ranks(dense_ranks(columns), weights)[rows] == pytest.approx(expected)
    ranked = weighted_ranks(dense_ranks(columns), weights)
    found = weighted_correlations(ranked, ranked, weights)
    assert found == pytest.approx(spearmanr(columns[rows]).statistic)


def test_weighted_correlations_are_those_of_repeated_rows() -> None:
    weights = np.random.default_rng(0).integers(4, size=600).astype(float)
    rows = np.repeat(np.arange(600), weights.astype(int))
    expected = np.corrcoef((NUMBERS + NOISE)[rows], NUMBERS[rows], rowvar=False)[:3, 3:]
    assert weighted_correlations(NUMBERS + NOISE, NUMBERS, weights) == pytest.approx(expected)
    assert (weighted_correlations(np.full((600, 1), 0.1), NUMBERS, weights) == 0).all()


def test_intervals_and_frames() -> None:
    codes = NUMBERS + 0.3 * NOISE
    for ranks in (False, True):
        found = scores(codes, ranks=ranks)["mcc"]
        assert found.low < found.value < found.high
        framed = scores(np.repeat(codes[:, None], 3, axis=1), np.repeat(NUMBERS[:, None], 3, axis=1), ranks=ranks)
        assert (framed["mcc"].value, framed["mcc"].low) == pytest.approx((found.value, found.low))


@pytest.mark.parametrize(("codes", "factors", "options", "match"), REFUSED)
def test_refuses(codes: Any, factors: Any, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        mcc(codes, factors, **options)
