"""The mutual information gap: is each factor in one latent dimension, and in no other?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyrodis.metrics._arrays import Array
from pyrodis.metrics._bootstrap import bootstrap_errors
from pyrodis.metrics._codes import code_table, share_scores, with_mean
from pyrodis.metrics._information import Informations
from pyrodis.metrics.score import Score


def mig(
    codes: Array,
    factors: Array,
    factor_names: Sequence[str] | None = None,
    num_bins: int = 20,
    num_resamples: int = 200,
    seed: int = 0,
) -> dict[str, Score]:
    r"""Mutual information gap of every factor, and their mean.

    :math:`(I(z_{(1)}; y) - I(z_{(2)}; y)) / H(y)`, where z_(1) and z_(2) are the two latent dimensions that say most
    about the factor y: 1 where one dimension determines the factor and no other knows of it, 0 where the factor is in
    two dimensions alike (copied, or rotated), or in none.

    Codes, and factors that are floating-point numbers, are cut into bins of equal width from their least to their
    largest value; integer factors are classes. A dimension that is constant carries 0, and so does the second one of a
    code of one dimension. A dead dimension that still varies a little has bins as well: leave out what
    :func:`pyrodis.metrics.activity` finds dead. In a finite sample the information of a dimension that knows nothing
    is about (bins of it - 1)(bins of the factor - 1) / 2N above 0, and noise scores what two such numbers differ by.

    Args:
        codes: posterior means.
        factors: true factors of the same rows.
        factor_names: name of each factor; "factor_0" and so on by default.
        num_bins: bins of a code, and of a continuous factor.
        num_resamples: size of the bootstrap.
        seed: seed of the bootstrap.

    Shape:
        codes: (N, D) or (N, T, D); factors: (N, F) or (N, T, F). Frames count as rows, items as what is drawn anew.

    Returns:
        "mig" and "mig/<factor>", in [0, 1]; chance 0, ceiling 1. The intervals are 1.96 standard deviations of the
        bootstrap over items, cut to [0, 1].

    Raises:
        TypeError: no arrays of real numbers, or a count that is no integer.
        ValueError: shapes that do not fit, NaN, a factor that is constant, fewer than 2 items, 2 bins or 2 resamples.

    Source:
        Chen, Li, Grosse and Duvenaud, "Isolating sources of disentanglement in variational autoencoders", 2018, who
        sample the posterior; bins of posterior means are the common practice since Locatello et al., "Challenging
        common assumptions in the unsupervised learning of disentangled representations", 2019. Continuous factors,
        frames and intervals are added here.

    Example:
        >>> factors = np.random.default_rng(0).integers(3, size=(200, 2))
        >>> scores = mig(factors * 1.0, factors, ("shape", "color"))
        >>> round(scores["mig"].value, 2), sorted(scores)
        (0.99, ['mig', 'mig/color', 'mig/shape'])
    """
    table = code_table(codes, factors, factor_names)
    informations = Informations(table, num_bins)

    def statistic(weights: np.ndarray) -> np.ndarray:
        shares = informations.normalized(weights)
        ordered = np.sort(np.concatenate([np.zeros_like(shares[:1]), shares]), axis=0)
        gaps = ordered[-1] - ordered[-2]
        return with_mean(gaps)

    values, errors = bootstrap_errors(statistic, table.num, num_resamples, seed)
    return share_scores("mig", table.names, values, errors, np.zeros_like(values), table.num)


def mutual_information_matrix(codes: Array, factors: Array, num_bins: int = 20) -> np.ndarray:
    r"""Share of each factor's entropy that each latent dimension knows.

    :math:`I(z_d; y_j) / H(y_j)`, with the bins of :func:`mig`: the matrix whose two largest entries of a column that
    score compares.

    Args:
        codes: posterior means.
        factors: true factors of the same rows.
        num_bins: bins of a code, and of a continuous factor.

    Shape:
        codes: (N, D) or (N, T, D); factors: (N, F) or (N, T, F).

    Returns:
        Shares (D, F), in [0, 1].

    Raises:
        TypeError: as :func:`mig`.
        ValueError: as :func:`mig`.

    Source:
        As :func:`mig`.

    Example:
        >>> factors = np.array([[0], [0], [1], [1]])
        >>> mutual_information_matrix(np.array([[5.0, 1.0], [5.0, 2.0], [7.0, 1.0], [7.0, 2.0]]), factors).tolist()
        [[1.0], [0.0]]
    """
    table = code_table(codes, factors)
    return Informations(table, num_bins).normalized(np.ones(table.num))
