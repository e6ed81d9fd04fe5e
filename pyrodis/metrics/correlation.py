"""Correlations of latent dimensions with each other, with the factors, and of factors with their own past."""

from __future__ import annotations

import numpy as np

from pyrodis.metrics._arrays import Array, check_ndim, finite
from pyrodis.metrics._bootstrap import bootstrap_errors
from pyrodis.metrics._codes import code_rows, code_table
from pyrodis.metrics.activity import activity, check_threshold
from pyrodis.metrics.score import Score


def latent_correlation(codes: Array) -> np.ndarray:
    r"""Correlation matrix of the latent dimensions.

    :math:`\mathrm{cov}(z_d, z_e) / \sqrt{\mathrm{var}(z_d)\,\mathrm{var}(z_e)}` over all rows. A dimension that is
    constant correlates with nothing: its row and column are 0, the diagonal included.

    Args:
        codes: posterior means.

    Shape:
        codes: (N, D) or (N, T, D), at least 2 items.

    Returns:
        Correlations (D, D), in [-1, 1].

    Raises:
        TypeError: no array of real numbers.
        ValueError: another shape, NaN, or a single item.

    Source:
        Pearson's correlation.

    Example:
        >>> latent_correlation(np.array([[0.0, 3.0, 1.0], [1.0, 1.0, 1.0]])).round(6).tolist()
        [[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    rows, _ = code_rows(codes)
    return _correlations(rows, rows)


def latent_factor_correlation(codes: Array, factors: Array) -> np.ndarray:
    r"""Correlation of every latent dimension with every factor.

    :math:`\mathrm{cov}(z_d, y_j) / \sqrt{\mathrm{var}(z_d)\,\mathrm{var}(y_j)}` over all rows; 0 for a dimension that
    is constant. It sees linear relations alone; :func:`pyrodis.metrics.mutual_information_matrix` sees all.

    Args:
        codes: posterior means.
        factors: true factors of the same rows; integers are taken as numbers.

    Shape:
        codes: (N, D) or (N, T, D); factors: (N, F) or (N, T, F).

    Returns:
        Correlations (D, F), in [-1, 1].

    Raises:
        TypeError: no arrays of real numbers.
        ValueError: shapes that do not fit, NaN, a factor that is constant, or a single item.

    Source:
        Pearson's correlation.

    Example:
        >>> latent_factor_correlation(np.array([[0.0, 7.0], [1.0, 7.0]]), np.array([[5.0], [2.0]])).round(6).tolist()
        [[-1.0], [0.0]]
    """
    table = code_table(codes, factors)
    return _correlations(table.codes, table.factors.astype(np.float64))


def squared_cross_correlation(codes: Array, threshold: float = 0.01, num_resamples: int = 200, seed: int = 0) -> Score:
    r"""Mean squared correlation between different live latent dimensions.

    :math:`\frac{2}{L(L-1)} \sum_{d<e} \mathrm{corr}(z_d, z_e)^2` over the L dimensions whose variance is above the
    threshold: 0 where they are uncorrelated, 1 where they are copies of one. Dead dimensions are left out, so read it
    beside L, :func:`pyrodis.metrics.active_units` at the same threshold. In a sample of N independent rows it is about
    1 / N above 0.

    Args:
        codes: posterior means.
        threshold: variance above which a dimension counts as live.
        num_resamples: size of the bootstrap.
        seed: seed of the bootstrap.

    Shape:
        codes: (N, D) or (N, T, D), at least 2 items.

    Returns:
        The score, in [0, 1], with 1.96 standard deviations of the bootstrap over items, cut to [0, 1]; its ceiling is
        0, since less is better.

    Raises:
        TypeError: no array of real numbers, or a count that is no integer.
        ValueError: another shape, NaN, a single item, a negative threshold, or fewer than 2 live dimensions (which
            have no correlation: count them first).

    Source:
        The mean squared cross-correlation of Zaharia, Peters, Cunningham and Kriegeskorte, "Analyzing disentanglement
        of visual objects in semi-supervised neural networks"; leaving out dead dimensions is ours.

    Example:
        >>> codes = np.array([[0.0, 0.0, 3.0], [0.0, 1.0, 3.0], [1.0, 0.0, 3.0], [1.0, 1.0, 3.0]])
        >>> squared_cross_correlation(codes, num_resamples=10).value
        0.0
    """
    check_threshold(threshold)
    rows, num = code_rows(codes)
    live = rows[:, activity(rows) > threshold]
    size = live.shape[1]
    if size < 2:
        raise ValueError(
            f"codes must have at least 2 live dimensions, got {size} with a variance above {threshold}; "
            "ask active_units first"
        )
    standard = (live - live.mean(axis=0)) / live.std(axis=0)
    # the products of an item's rows, summed once: a resample then only weighs them
    parts = np.concatenate([standard, np.ones((len(standard), 1))], axis=1).reshape(num, -1, size + 1)
    moments = np.einsum("ntd,nte->nde", parts, parts).reshape(num, -1)
    pairs = np.triu_indices(size, 1)

    def statistic(weights: np.ndarray) -> np.ndarray:
        sums = (weights @ moments).reshape(size + 1, size + 1)
        covariance = sums[:-1, :-1] / sums[-1, -1] - np.outer(sums[-1, :-1], sums[-1, :-1]) / sums[-1, -1] ** 2
        variances = np.diag(covariance)
        products = np.outer(variances, variances)
        varied = products > 1e-18  # a resample of equal items has no correlation
        return np.where(varied, covariance**2 / np.where(varied, products, 1.0), 0.0)[pairs].mean(keepdims=True)

    values, errors = bootstrap_errors(statistic, num, num_resamples, seed)
    value, error = min(float(values[0]), 1.0), float(errors[0])  # rounding alone
    return Score(value, max(0.0, value - error), min(1.0, value + error), chance=None, ceiling=0.0, num=num)


def lag_one_correlation(factors: Array) -> np.ndarray:
    r"""Correlation of every factor with itself one frame before, over all sequences and frames.

    :math:`\mathrm{corr}(y_{t-1}, y_t)`, pooled: what the eigenvalue of a first-order chain with the same marginals is,
    and so what a learned eigenvalue is compared with. A factor that is constant within each sequence has 1.

    Args:
        factors: true factors of sequences, or codes.

    Shape:
        factors: (N, T, F), T at least 2.

    Returns:
        Correlations (F,), in [-1, 1].

    Raises:
        TypeError: no array of real numbers.
        ValueError: another shape, NaN, one frame, or a factor that is the same in all sequences.

    Source:
        The empirical autocorrelation at lag one.

    Example:
        >>> lag_one_correlation(np.array([[[0.0], [0.0]], [[1.0], [1.0]]])).round(6).tolist()
        [1.0]
    """
    values = finite(factors, "factors")
    check_ndim(values, "factors", 3, "(N, T, F)")
    if values.shape[1] < 2:
        raise ValueError(f"factors must have at least 2 frames, got shape {values.shape}; one frame has no lag")
    before, after = (part.reshape(-1, values.shape[-1]) for part in (values[:, :-1], values[:, 1:]))
    for number in range(values.shape[-1]):
        if np.ptp(before[:, number]) == 0 or np.ptp(after[:, number]) == 0:
            raise ValueError(f"factors must vary, got a constant column {number}; drop the constant factor")
    return np.diag(_correlations(before, after)).copy()


def _correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the correlations of two sets of columns; 0 with a constant one."""
    left, right = _standardized(first), _standardized(second)
    return np.clip(left.T @ right, -1.0, 1.0)  # rounding alone


def _standardized(columns: np.ndarray) -> np.ndarray:
    """Return columns of mean 0 and length 1; a constant one is 0."""
    centered = np.where(np.ptp(columns, axis=0) > 0, columns - columns.mean(axis=0), 0.0)
    lengths = np.linalg.norm(centered, axis=0)
    return centered / np.where(lengths > 0, lengths, 1.0)
