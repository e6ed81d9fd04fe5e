"""The mutual information gap: the known answers of the papers, scikit-learn's numbers, and bad input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from pyrodis.metrics import mig, mutual_information_matrix
from pyrodis.testing import check_metric

RNG = np.random.default_rng(0)
FACTORS = RNG.random((20000, 2))
NOISE = RNG.normal(size=(20000, 3))
# every combination of 4 x 5 classes, ten times: independent exactly, so that no finite sample blurs the answers
GRID = np.stack(np.meshgrid(range(4), range(5), range(10), indexing="ij"), -1).reshape(-1, 3)[:, :2]


def value(codes: Any, factors: Any) -> float:
    return mig(codes, factors, num_resamples=2)["mig"].value


def test_perfect_and_noise() -> None:
    check_metric(value, (GRID * 1.0, GRID), (NOISE, FACTORS), 0.01)
    assert value(FACTORS, FACTORS) == pytest.approx(1, abs=0.01)


def test_neither_order_nor_sign_nor_scale_of_the_codes_matters() -> None:
    codes = np.concatenate([GRID, NOISE[: len(GRID)]], axis=1)
    expected = mig(codes, GRID, num_resamples=2)
    turned = mig((codes * [-3, 7, 1, 1, 1] + 5)[:, [3, 1, 4, 0, 2]], GRID, num_resamples=2)
    assert {key: score.value for key, score in turned.items()} == pytest.approx(
        {key: score.value for key, score in expected.items()}
    )


def test_items_may_come_in_any_order() -> None:
    order = RNG.permutation(len(GRID))
    assert value(GRID[order] * 1.0, GRID[order]) == pytest.approx(1)


def test_a_copy_closes_the_gap() -> None:
    scores = mig(np.concatenate([GRID, GRID[:, :1]], axis=1), GRID, ("a", "b"), num_resamples=2)
    assert scores["mig/a"].value == pytest.approx(0)
    assert scores["mig/b"].value == pytest.approx(1)
    assert scores["mig"].value == pytest.approx(0.5)


def test_a_rotation_by_45_degrees_closes_the_gap() -> None:
    rotated = np.stack([FACTORS.sum(1), FACTORS[:, 0] - FACTORS[:, 1]], axis=1)
    assert value(rotated, FACTORS) == pytest.approx(0, abs=0.01)


def test_dead_dimensions_carry_nothing() -> None:
    codes = np.concatenate([GRID, np.full((len(GRID), 3), 0.3)], axis=1)
    assert value(codes, GRID) == pytest.approx(1)
    assert value(np.zeros((len(GRID), 2)), GRID) == 0


def test_a_single_dimension_is_compared_with_nothing() -> None:
    assert value(GRID[:, :1] * 1.0, GRID[:, :1]) == pytest.approx(1)


def test_by_hand() -> None:
    factors = np.array([[0], [0], [1], [1]])
    codes = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 1.0]])
    joint = 0.25 * math.log(0.25 / (0.25 * 0.5)) + 0.25 * math.log(0.25 / (0.75 * 0.5))
    joint += 0.5 * math.log(0.5 / (0.75 * 0.5))
    assert mutual_information_matrix(codes, factors)[:, 0].tolist() == pytest.approx([1, joint / math.log(2)])
    assert value(codes, factors) == pytest.approx(1 - joint / math.log(2))


def test_information_is_that_of_scikit_learn() -> None:
    codes, factors = NOISE[:500] + FACTORS[:500, :1], RNG.integers(4, size=(500, 2))
    matrix = mutual_information_matrix(codes, factors, num_bins=7)
    edges = [np.linspace(column.min(), column.max(), 8)[1:-1] for column in codes.T]
    for d, column in enumerate(codes.T):
        for j, labels in enumerate(factors.T):
            expected = mutual_info_score(np.digitize(column, edges[d]), labels) / mutual_info_score(labels, labels)
            assert matrix[d, j] == pytest.approx(expected, abs=1e-12)


def test_continuous_factors_have_bins_of_equal_width() -> None:
    binned = np.minimum((FACTORS - FACTORS.min(0)) / np.ptp(FACTORS, axis=0) * 20, 19).astype(int)
    assert mutual_information_matrix(NOISE, FACTORS) == pytest.approx(mutual_information_matrix(NOISE, binned))


def test_frames_are_rows_and_items_are_drawn() -> None:
    codes, factors = NOISE[:200], FACTORS[:200]
    flat = mig(codes, factors)["mig"]
    repeated = mig(np.repeat(codes[:, None], 5, axis=1), np.repeat(factors[:, None], 5, axis=1))["mig"]
    assert (repeated.low, repeated.value, repeated.high) == pytest.approx((flat.low, flat.value, flat.high))
    assert repeated.num == 200


def test_the_interval_covers_the_score_of_much_data() -> None:
    rng = np.random.default_rng(1)
    factors = rng.integers(3, size=(40000, 1))
    codes = np.concatenate([factors + 0.4 * rng.normal(size=factors.shape), rng.normal(size=factors.shape)], axis=1)
    much = value(codes[:, :1], factors)
    hits = []
    for number in range(40):
        rows = slice(500 * number, 500 * number + 500)
        score = mig(codes[rows, :1], factors[rows], num_resamples=50)["mig"]
        hits.append(score.low <= much <= score.high)
    assert np.mean(hits) > 0.75


def test_takes_tensors() -> None:
    assert value(torch.from_numpy(GRID).float(), torch.from_numpy(GRID)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("codes", "factors", "options", "match"),
    [
        (np.zeros((3, 2)), np.zeros((4, 2)), {}, r"factors must have shape \(3, F\)"),
        (np.zeros((3, 2)), np.zeros(3), {}, r"factors must have shape \(3, F\)"),
        (np.zeros((3, 5, 2)), np.zeros((3, 2)), {}, r"factors must have shape \(3, 5, F\)"),
        (np.zeros(3), np.zeros((3, 1)), {}, r"codes must have shape \(N, D\) or \(N, T, D\), got \(3,\)"),
        (np.zeros((1, 2)), np.zeros((1, 2)), {}, "at least 2 items"),
        (np.zeros((0, 2)), np.zeros((0, 2)), {}, "at least one item"),
        (np.full((3, 2), np.nan), GRID[:3], {}, "codes must be finite, got 6 NaN"),
        (GRID[:3], np.full((3, 2), np.inf), {}, "factors must be finite"),
        (GRID, GRID * [1, 0], {"factor_names": ("a", "b")}, "got only 0 for 'b'; drop the constant factor"),
        (GRID, GRID, {"factor_names": ("a",)}, "factor_names must hold 2 different names"),
        (GRID, GRID, {"factor_names": ("a", "a")}, "factor_names must hold 2 different names"),
        (GRID, GRID, {"num_bins": 1}, "num_bins must be at least 2"),
        (GRID, GRID, {"num_resamples": 1}, "num_resamples must be at least 2"),
    ],
)
def test_refuses(codes: np.ndarray, factors: np.ndarray, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        mig(codes, factors, **options)


def test_refuses_what_is_no_array() -> None:
    with pytest.raises(TypeError, match="factors must be a numpy array or a torch tensor, got list"):
        mig(np.zeros((2, 2)), [[0, 1], [1, 0]])  # type: ignore[arg-type]
