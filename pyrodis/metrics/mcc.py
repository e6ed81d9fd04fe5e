"""The mean correlation coefficient: each factor beside the latent dimension that is assigned to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyrodis.metrics._arrays import Array
from pyrodis.metrics._bootstrap import bootstrap_errors
from pyrodis.metrics._codes import CodeTable, chance_level, code_table, share_scores, with_mean
from pyrodis.metrics._moments import dense_ranks, weighted_correlations, weighted_ranks
from pyrodis.metrics.score import Score


def mcc(
    codes: Array,
    factors: Array,
    factor_names: Sequence[str] | None = None,
    ranks: bool = False,
    num_resamples: int = 200,
    seed: int = 0,
) -> dict[str, Score]:
    r"""Correlation of every factor with a latent dimension of its own, and their mean.

    :math:`\frac1F \max_\pi \sum_j |\mathrm{corr}(z_{\pi(j)}, y_j)|` over all assignments :math:`\pi` that give each
    factor another dimension: 1 where every factor is, up to sign and scale, one dimension. Other dimensions may hold
    the same: copies cost nothing, and neither do dead dimensions. With fewer dimensions than factors, a factor that is
    left without one counts as 0.

    Args:
        codes: posterior means.
        factors: true factors of the same rows; integers are taken as numbers, so a class without an order is
            understood by no correlation.
        factor_names: name of each factor; "factor_0" and so on by default.
        ranks: correlate ranks (Spearman's coefficient) and not values (Pearson's), so that a monotone bend costs
            nothing.
        num_resamples: size of the bootstrap.
        seed: seed of the bootstrap and of the chance level.

    Shape:
        codes: (N, D) or (N, T, D); factors: (N, F) or (N, T, F). Frames count as rows, items as what is drawn anew.

    Returns:
        "mcc" and "mcc/<factor>", in [0, 1]; the ceiling is 1, chance the mean over three runs in which the factors go
        to other items (the best assignment of noise is above 0). The intervals are 1.96 standard deviations of the
        bootstrap over items, each resample with an assignment of its own, cut to [0, 1].

    Raises:
        TypeError: no arrays of real numbers, or a count that is no integer.
        ValueError: shapes that do not fit, NaN, a factor that is constant, fewer than 2 items or 2 resamples.

    Source:
        Hyvarinen and Morioka, "Unsupervised feature extraction by time-contrastive learning and nonlinear ICA", 2016,
        for as many dimensions as factors. Others average over what was assigned; here over all factors, which differs
        where dimensions are fewer. Some fill up missing factors with noise before they assign; here nothing is added.

    Example:
        >>> factors = np.random.default_rng(0).random((500, 2))
        >>> scores = mcc(np.exp(-3 * factors[:, ::-1]), factors, ("x", "y"), ranks=True)
        >>> round(scores["mcc"].value, 6), sorted(scores)
        (1.0, ['mcc', 'mcc/x', 'mcc/y'])
    """
    table = code_table(codes, factors, factor_names)
    left = dense_ranks(table.codes) if ranks else table.codes

    def statistic(right: np.ndarray, weights: np.ndarray) -> np.ndarray:
        rows = np.repeat(weights, table.num_frames)
        if ranks:
            return _assigned(weighted_correlations(weighted_ranks(left, rows), weighted_ranks(right, rows), rows))
        return _assigned(weighted_correlations(left, right, rows))

    def of(found: CodeTable) -> np.ndarray:
        return dense_ranks(found.factors) if ranks else found.factors.astype(np.float64)

    own, ones = of(table), np.ones(table.num)
    values, errors = bootstrap_errors(lambda weights: statistic(own, weights), table.num, num_resamples, seed)
    chances = chance_level(table, lambda shuffled: statistic(of(shuffled), ones), seed)
    return share_scores("mcc", table.names, values, errors, chances, table.num)


def _assigned(correlations: np.ndarray) -> np.ndarray:
    """Return the correlation of every factor with its dimension behind their mean (F + 1,), from a matrix (D, F)."""
    from scipy.optimize import linear_sum_assignment  # comes with scikit-learn

    sizes = np.abs(correlations)
    found = linear_sum_assignment(sizes, maximize=True)
    of_factors = np.zeros(sizes.shape[1])
    of_factors[found[1]] = sizes[found]
    return with_mean(of_factors)
