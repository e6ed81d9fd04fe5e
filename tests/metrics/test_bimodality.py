"""One against two kinds of eigenvalues: known heaps, saturation, and bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from pyrodis.metrics import bimodality, eigenvalue_memory

RNG = np.random.default_rng(0)


def eigenvalues(*memories: np.ndarray) -> np.ndarray:
    return -np.expm1(-np.concatenate(memories))


def test_memory_is_the_logarithm_of_the_remembered_frames() -> None:
    values = np.array([-1.0, 0.0, 0.5, 0.99])
    assert eigenvalue_memory(values) == pytest.approx(np.log(1 / (1 - values)))


def test_two_heaps() -> None:
    slow, fast = RNG.normal(8, 0.4, 30), RNG.normal(4, 0.3, 70)
    result = bimodality(eigenvalues(slow, fast))
    assert result.bimodal
    assert result.num_modes == 2
    assert result.bic_difference > 50
    assert result.locs == pytest.approx((fast.mean(), slow.mean()), abs=0.01)
    assert result.scales == pytest.approx((fast.std(), slow.std()), abs=0.05)
    assert result.weights == pytest.approx((0.7, 0.3), abs=1e-3)
    assert result.eigenvalues == pytest.approx((1 - np.exp(-fast.mean()), 1 - np.exp(-slow.mean())), abs=1e-3)


def test_one_heap_is_not_two() -> None:
    for seed in range(5):
        result = bimodality(eigenvalues(np.random.default_rng(seed).normal(4, 0.5, 40)))
        assert not result.bimodal


def test_a_skewed_heap_is_not_two_though_two_describe_it_better() -> None:
    result = bimodality(eigenvalues(2 + RNG.gamma(2.0, 0.7, 2000)))
    assert result.bic_difference > 10
    assert result.num_modes == 1
    assert not result.bimodal


def test_bic_by_hand() -> None:
    memory = np.concatenate([RNG.normal(4, 1.0, 50), RNG.normal(12, 0.5, 50)])
    result = bimodality(eigenvalues(memory))
    memory = eigenvalue_memory(eigenvalues(memory))
    one = -2 * _log_normal(memory, memory.mean(), np.sqrt(memory.var() + 0.01)).sum() + 2 * np.log(100)
    parts = [
        np.log(weight) + _log_normal(memory, loc, scale)
        for weight, loc, scale in zip(result.weights, result.locs, result.scales)
    ]
    two = -2 * np.logaddexp(*parts).sum() + 5 * np.log(100)
    assert result.bic_difference == pytest.approx(one - two, abs=1e-6)


def _log_normal(x: np.ndarray, loc: float, scale: float) -> np.ndarray:
    return -0.5 * ((x - loc) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)


def test_saturated_eigenvalues_are_counted_and_stay_finite() -> None:
    largest = torch.tanh(torch.tensor([20.0] * 10)) * (1 - 1e-6)
    result = bimodality(torch.cat([largest, torch.ones(2), torch.linspace(0.9, 0.95, 12)]))
    assert result.num_saturated == 12
    assert result.bimodal
    assert result.locs[1] == pytest.approx(-np.log(1e-6), abs=0.05)


def test_equal_eigenvalues_are_one_kind() -> None:
    for constant in (0.0, 0.9, 1.0):
        result = bimodality(np.full(20, constant))
        assert not result.bimodal
        assert np.isfinite(result.bic_difference)


def test_shape_and_order_do_not_matter() -> None:
    values = eigenvalues(RNG.normal(8, 0.4, 12), RNG.normal(4, 0.3, 12))
    assert bimodality(values.reshape(4, 6)).bic_difference == pytest.approx(bimodality(values[::-1]).bic_difference)


def test_the_result_is_json() -> None:
    result = bimodality(np.linspace(0.1, 0.9, 12))
    assert json.loads(json.dumps(result.as_dict()))["num"] == 12


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (np.linspace(0, 0.9, 5), "at least 6, got 5"),
        (np.linspace(0, 1.1, 9), r"in \[-1, 1\], got 1.1"),
        (np.linspace(-2, 0, 9), r"in \[-1, 1\], got -2.0"),
        (np.full(9, np.nan), "must be finite"),
        (np.zeros(0), "at least one item"),
    ],
)
def test_refuses(values: np.ndarray, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        bimodality(values)
