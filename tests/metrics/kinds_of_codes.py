"""Codes whose scores are known: three factors, exactly independent, held well, twice, mixed or not at all."""

from __future__ import annotations

import numpy as np

SIZES = (4, 3, 5)
# every combination of 4 x 3 x 5 classes, ten times
CLASSES = np.stack(np.meshgrid(*map(range, SIZES), range(10), indexing="ij"), -1).reshape(-1, 4)[:, :3]
NUMBERS = np.random.default_rng(0).random((600, 3))
NOISE = np.random.default_rng(1).normal(size=(600, 3))
# no dimension is one factor, or orthogonal to one
ROTATION = np.linalg.qr(np.array([[1.0, 1.0, 1.0], [1.0, -1.0, 0.5], [0.5, 1.0, -2.0]]))[0]


def unit(factors: np.ndarray) -> np.ndarray:
    """Factors of mean 0 and standard deviation 1."""
    return (factors - factors.mean(axis=0)) / factors.std(axis=0)


def rotated(factors: np.ndarray) -> np.ndarray:
    return unit(factors) @ ROTATION


def twice(factors: np.ndarray) -> np.ndarray:
    return np.concatenate([factors, -3.0 * factors], axis=1)


def with_dead(factors: np.ndarray) -> np.ndarray:
    return np.concatenate([factors, np.full((len(factors), 2), 0.3)], axis=1)


# what every score of codes against factors refuses: codes, factors, options, part of the message
REFUSED = [
    (NOISE[:3], CLASSES[:4], {}, r"factors must have shape \(3, F\)"),
    (NOISE, CLASSES[:, 0], {}, r"factors must have shape \(600, F\)"),
    (NOISE[:, 0], CLASSES, {}, r"codes must have shape \(N, D\)"),
    (NOISE * np.nan, CLASSES, {}, "codes must be finite, got 1800 NaN"),
    (NOISE, NUMBERS * np.inf, {}, "factors must be finite"),
    (NOISE, CLASSES * [1, 0, 1], {"factor_names": ("a", "b", "c")}, "got only 0 for 'b'; drop the constant factor"),
    (NOISE, CLASSES, {"factor_names": ("a", "b")}, "factor_names must hold 3 different names"),
    (NOISE, CLASSES, {"num_resamples": 1}, "num_resamples must be at least 2"),
    (NOISE[:0], CLASSES[:0], {}, "at least one item"),
]
