"""Bootstrap intervals for scores that are no plain mean over items."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pyrodis.metrics._arrays import check_count

NORMAL_QUANTILE = 1.959963984540054  # 97.5 % of the standard normal


def bootstrap_intervals(
    statistic: Callable[[np.ndarray], np.ndarray], groups: np.ndarray, num_resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the statistics of the data and the 2.5 % and 97.5 % quantiles of their stratified bootstrap.

    Items are drawn with replacement inside each group, so every resample keeps the sizes of the groups. The interval
    is widened to hold the statistic itself, which a plug-in entropy (biased downward in a resample) may leave.

    Args:
        statistic: from row numbers (N,) to a vector of statistics.
        groups: group of each item, shape (N,).
        num_resamples: number of resamples.
        seed: seed of the resampling.

    Returns:
        Values, lower ends and upper ends, each of the statistic's shape.
    """
    check_count(num_resamples, "num_resamples")
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    value = statistic(np.arange(len(groups)))
    draws = np.stack(
        [
            statistic(np.concatenate([rows[generator.integers(len(rows), size=len(rows))] for rows in members]))
            for _ in range(num_resamples)
        ]
    )
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    return value, np.minimum(low, value), np.maximum(high, value)


def bootstrap_errors(
    statistic: Callable[[np.ndarray], np.ndarray], num_items: int, num_resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the statistics of the data and 1.96 standard deviations of their bootstrap.

    For statistics that a resample alone moves, as repeated items raise a mutual information: the quantiles of the
    resamples would then lie beside the statistic, while their spread stays right.

    Args:
        statistic: from the weight of each item (N,), a whole number, to a vector of statistics.
        num_items: number of items N.
        num_resamples: number of resamples, at least 2.
        seed: seed of the resampling.

    Returns:
        Values and half widths, each of the statistic's shape.
    """
    check_count(num_resamples, "num_resamples")
    if num_resamples < 2:
        raise ValueError(f"num_resamples must be at least 2, got {num_resamples}; one resample has no spread")
    generator = np.random.default_rng(seed)
    even = np.full(num_items, 1 / num_items)
    value = statistic(np.ones(num_items))  # first: a statistic that draws then gives it for any number of resamples
    draws = [statistic(generator.multinomial(num_items, even).astype(np.float64)) for _ in range(num_resamples)]
    return value, NORMAL_QUANTILE * np.std(draws, axis=0, ddof=1)
