"""Which latent dimensions are in use: the variance of their posterior means over the data."""

from __future__ import annotations

import math

import numpy as np

from pyrodis.metrics._arrays import Array, finite


def activity(means: Array) -> np.ndarray:
    r"""Variance of the posterior mean of each latent dimension over the data.

    :math:`A_d = \mathrm{Var}_x\,\mathbb E_{q(z|x)}[z_d]` over all axes but the last (items, and frames if any): zero
    for a dimension that the data do not move.

    Args:
        means: posterior means.

    Shape:
        means: (N, ..., D), at least two rows in all.

    Returns:
        Variances (D,), in squared units of the latent.

    Raises:
        TypeError: ``means`` is no array of real numbers.
        ValueError: empty, not finite, of rank below 2, or a single row (which has no variance).

    Source:
        Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", 2016; for sequences, frames count as rows.

    Example:
        >>> activity(np.array([[0.0, 5.0], [2.0, 5.0]])).tolist()
        [1.0, 0.0]
    """
    values = finite(means, "means")
    if values.ndim < 2:
        raise ValueError(f"means must have shape (N, ..., D), got {values.shape}; stack one row for each item")
    rows = values.reshape(-1, values.shape[-1])
    if len(rows) < 2:
        raise ValueError(f"means must have at least 2 rows, got shape {values.shape}; one item has no variance")
    return rows.var(axis=0)


def active_units(means: Array, threshold: float = 0.01) -> int:
    r"""Number of latent dimensions whose posterior mean varies.

    :math:`\#\{d : \mathrm{Var}_x\,\mathbb E_{q(z|x)}[z_d] > \text{threshold}\}`. A disentanglement score on dead
    dimensions means nothing, so it is to be read beside this count.

    Args:
        means: posterior means.
        threshold: variance above which a dimension counts as active.

    Shape:
        means: (N, ..., D), at least two rows in all.

    Returns:
        The count, between 0 and D.

    Raises:
        TypeError: ``means`` is no array of real numbers.
        ValueError: as :func:`activity`, or a negative or NaN threshold.

    Source:
        Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", 2016.

    Example:
        >>> active_units(np.array([[0.0, 5.0], [2.0, 5.0]]))
        1
    """
    check_threshold(threshold)
    return int((activity(means) > threshold).sum())


def check_threshold(threshold: float) -> None:
    """Refuse a threshold that is no variance."""
    if not (math.isfinite(threshold) and threshold >= 0):
        raise ValueError(f"threshold must be a finite non-negative variance, got {threshold}; the usual one is 0.01")
