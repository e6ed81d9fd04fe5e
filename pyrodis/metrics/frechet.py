"""Frechet distance between two sets of feature vectors."""

from __future__ import annotations

import math

import numpy as np

from pyrodis.metrics._arrays import Array, check_count, check_ndim, finite
from pyrodis.metrics.score import NORMAL_QUANTILE, Score


def frechet_distance(features_a: Array, features_b: Array, num_resamples: int = 50, seed: int = 0) -> Score:
    r"""Distance between two sets of features, each seen as one normal distribution.

    :math:`\|m_a - m_b\|^2 + \mathrm{tr}\bigl(C_a + C_b - 2 (C_a C_b)^{1/2}\bigr)` with means m and unbiased covariances
    C: 0 where both agree, in squared units of the features. It says what the features see and nothing more: values in
    the features of two networks cannot be compared, those of a judge not with any in Inception's. Finite sets raise
    it: two halves of one set have a distance above 0, which is the floor to compare with, and values are comparable at
    one number of items only.

    Args:
        features_a: one row for each item.
        features_b: one row for each item, in the same features.
        num_resamples: size of the bootstrap, which draws the rows of each set by itself.
        seed: seed of the bootstrap.

    Shape:
        features_a: (N, D). features_b: (M, D).

    Returns:
        The distance; ceiling 0, no chance level, ``num`` the size of the smaller set. The interval is the value and
        1.96 standard deviations of the bootstrap on either side, from 0 up; quantiles would lie above the value, since
        a resample repeats items and so lies further away.

    Raises:
        TypeError: no arrays of real numbers.
        ValueError: empty, wrong or unequal shapes, not finite, or a single row (which has no covariance).

    Source:
        Dowson and Landau, "The Frechet distance between multivariate normal distributions", 1982; Heusel et al., "GANs
        trained by a two time-scale update rule", 2017. The trace of the root is computed from triangular factors, in
        float64, without a root of a matrix.

    Example:
        >>> line = np.array([[0.0], [2.0]])
        >>> frechet_distance(line, line + 3.0).value
        9.0
    """
    first, second = _features(features_a, "features_a"), _features(features_b, "features_b")
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"features_a and features_b must have the same columns, got {first.shape[1]} and {second.shape[1]}; "
            "take both from one network"
        )
    check_count(num_resamples, "num_resamples")
    generator = np.random.default_rng(seed)
    value = _distance(first, second)
    draws = [
        _distance(*(rows[generator.integers(len(rows), size=len(rows))] for rows in (first, second)))
        for _ in range(num_resamples)
    ]
    half = NORMAL_QUANTILE * float(np.std(draws))
    return Score(value, max(0.0, value - half), value + half, None, 0.0, min(len(first), len(second)))


def _features(features: Array, name: str) -> np.ndarray:
    rows = finite(features, name)
    check_ndim(rows, name, 2, "(N, D)")
    if len(rows) < 2:
        raise ValueError(f"{name} must have at least 2 rows, got shape {rows.shape}; one item has no covariance")
    return rows


def _distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the distance.

    With C = R'R on either side, the trace of the root of C_a C_b is the sum of the singular values of R_a R_b'.
    """
    shift = float(np.square(first.mean(axis=0) - second.mean(axis=0)).sum())
    root_a, root_b = _root(first), _root(second)
    spread = float(np.square(root_a).sum() + np.square(root_b).sum())
    overlap = float(np.linalg.norm(root_a @ root_b.T, "nuc"))
    return max(0.0, shift + spread - 2 * overlap)  # rounding alone is below 0


def _root(rows: np.ndarray) -> np.ndarray:
    triangle = np.asarray(np.linalg.qr(rows - rows.mean(axis=0), mode="r"))
    return triangle / math.sqrt(len(rows) - 1)
