"""Correlations: against numpy, by hand, of copies and dead dimensions, and bad input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pyrodis.metrics import (
    active_units,
    lag_one_correlation,
    latent_correlation,
    latent_factor_correlation,
    squared_cross_correlation,
)

RNG = np.random.default_rng(0)
CODES = RNG.normal(size=(300, 4)) @ RNG.normal(size=(4, 4))
FACTORS = RNG.random((300, 2)) + CODES[:, :2]


def test_matrices_are_those_of_numpy() -> None:
    everything = np.corrcoef(np.concatenate([CODES, FACTORS], axis=1).T)
    assert latent_correlation(CODES) == pytest.approx(everything[:4, :4])
    assert latent_factor_correlation(CODES, FACTORS) == pytest.approx(everything[:4, 4:])


def test_frames_are_rows() -> None:
    assert latent_correlation(CODES.reshape(30, 10, 4)) == pytest.approx(latent_correlation(CODES))
    matrix = latent_factor_correlation(CODES.reshape(30, 10, 4), FACTORS.reshape(30, 10, 2))
    assert matrix == pytest.approx(latent_factor_correlation(CODES, FACTORS))


def test_a_constant_dimension_correlates_with_nothing() -> None:
    codes = np.concatenate([CODES, np.full((300, 1), 0.1)], axis=1)
    assert not latent_correlation(codes)[-1].any()
    assert not latent_correlation(codes)[:, -1].any()
    assert not latent_factor_correlation(codes, FACTORS)[-1].any()


def test_squared_cross_correlation_is_the_mean_over_pairs() -> None:
    matrix = np.corrcoef(CODES.T)
    expected = np.mean([matrix[d, e] ** 2 for d in range(4) for e in range(d)])
    score = squared_cross_correlation(CODES)
    assert score.value == pytest.approx(expected)
    assert 0 <= score.low < score.value < score.high <= 1
    assert (score.chance, score.ceiling, score.num) == (None, 0.0, 300)


def test_squared_cross_correlation_of_copies_of_rotations_and_of_noise() -> None:
    noise = RNG.normal(size=(2000, 2))
    assert squared_cross_correlation(np.stack([noise[:, 0], -2 * noise[:, 0]], 1)).value == pytest.approx(1)
    assert squared_cross_correlation(noise).value == pytest.approx(0, abs=5e-3)
    rotated = np.stack([noise[:, 0] + 3 * noise[:, 1], 3 * noise[:, 1] - noise[:, 0]], 1)
    assert squared_cross_correlation(rotated).value == pytest.approx(0.8**2, abs=0.03)


def test_dead_dimensions_are_left_out() -> None:
    dead = np.concatenate([CODES, 1e-3 * RNG.normal(size=(300, 3)), np.zeros((300, 1))], axis=1)
    assert squared_cross_correlation(dead).value == pytest.approx(squared_cross_correlation(CODES).value)
    assert active_units(dead) == 4
    with pytest.raises(ValueError, match=r"at least 2 live dimensions, got 0 with a variance above 1000"):
        squared_cross_correlation(CODES, threshold=1000)


def test_the_bootstrap_draws_items_not_frames() -> None:
    wide = squared_cross_correlation(np.repeat(CODES[:, None], 7, axis=1))
    score = squared_cross_correlation(CODES)
    assert (wide.low, wide.high) == pytest.approx((score.low, score.high))


def test_lag_one_of_a_chain_of_a_line_and_of_a_constant() -> None:
    z = RNG.normal(size=(5000, 1))
    path = [z]
    for _ in range(9):
        path.append(0.9 * path[-1] + np.sqrt(1 - 0.81) * RNG.normal(size=z.shape))
    chain = np.stack(path, axis=1)
    still = np.repeat(z[:, None], 10, axis=1)
    noise = RNG.normal(size=chain.shape)
    found = lag_one_correlation(np.concatenate([chain, still, noise], axis=-1))
    assert found.tolist() == pytest.approx([0.9, 1.0, 0.0], abs=0.02)
    assert found[1] == pytest.approx(1, abs=1e-12)


def test_lag_one_is_that_of_numpy() -> None:
    values = RNG.normal(size=(20, 4, 1)).cumsum(1)
    expected = np.corrcoef(values[:, :-1].ravel(), values[:, 1:].ravel())[0, 1]
    assert lag_one_correlation(values)[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: latent_correlation(CODES[:1]), "at least 2 items"),
        (lambda: latent_correlation(CODES[0]), r"shape \(N, D\) or \(N, T, D\), got \(4,\)"),
        (lambda: latent_correlation(CODES * np.nan), "must be finite"),
        (lambda: latent_factor_correlation(CODES, FACTORS[1:]), r"factors must have shape \(300, F\)"),
        (lambda: latent_factor_correlation(CODES, 0 * FACTORS), "drop the constant factor"),
        (lambda: squared_cross_correlation(CODES[:, :1]), "at least 2 live dimensions, got 1"),
        (lambda: squared_cross_correlation(CODES, threshold=-1), "threshold must be"),
        (lambda: lag_one_correlation(CODES), r"shape \(N, T, F\), got \(300, 4\)"),
        (lambda: lag_one_correlation(CODES[:, None]), "at least 2 frames"),
        (lambda: lag_one_correlation(np.zeros((3, 4, 2))), "got a constant column 0"),
    ],
)
def test_refuses(call: Callable[[], Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        call()
