"""Centers of objects in no order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pyrodis.metrics import centroid_error, centroid_errors, unordered_positions


def test_the_order_of_objects_does_not_count() -> None:
    true = np.random.default_rng(0).uniform(0, 64, (5, 7, 3, 2))
    turned = true.copy()
    turned[:, ::2] = turned[:, ::2, [2, 0, 1]]  # another order in every other frame
    assert centroid_errors(turned, true).tolist() == [0.0] * 5
    assert centroid_error(turned, torch.from_numpy(true)).value == 0.0
    assert np.allclose(unordered_positions(turned), unordered_positions(true))


def test_errors_are_distances_under_the_best_assignment() -> None:
    true = np.array([[[[0.0, 0.0], [10.0, 0.0]]], [[[0.0, 0.0], [10.0, 0.0]]]])
    read = np.array([[[[10.0, 3.0], [0.0, 4.0]]], [[[0.0, 0.0], [4.0, 8.0]]]])
    assert centroid_errors(read, true).tolist() == [3.5, 5.0]
    score = centroid_error(read, true, chance=20.0, ceiling=1.0)
    assert (score.value, score.chance, score.ceiling, score.num) == (4.25, 20.0, 1.0, 2)


def test_positions_of_one_and_of_several_objects() -> None:
    assert unordered_positions(np.array([[[1.0, 2.0]]])).tolist() == [[1.0, 2.0]]
    assert unordered_positions(np.array([[1.0, 0.0], [5.0, 0.0]])).tolist() == [3.0, 0.0, 2.0, 0.0]


@pytest.mark.parametrize(
    ("read", "true", "message"),
    [
        (np.zeros((2, 3, 2, 2)), np.zeros((2, 3, 1, 2)), r"same shape \(N, T, M, 2\), got \(2, 3, 2, 2\) and"),
        (np.zeros((2, 3, 2, 3)), np.zeros((2, 3, 2, 3)), r"same shape \(N, T, M, 2\)"),
        (np.zeros((1, 1, 7, 2)), np.zeros((1, 1, 7, 2)), "at most 6 objects, got 7"),
        (np.full((1, 1, 1, 2), np.nan), np.zeros((1, 1, 1, 2)), "must be finite"),
    ],
)
def test_refuses(read: Any, true: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        centroid_error(read, true)


def test_refuses_centers_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"centers must have shape \(\.\.\., M, 2\), got \(3,\)"):
        unordered_positions(np.zeros(3))
