"""Modularity: does each latent dimension know of one factor at most?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyrodis.metrics._arrays import Array
from pyrodis.metrics._bootstrap import bootstrap_errors
from pyrodis.metrics._codes import CodeTable, chance_level, check_several_factors, code_table
from pyrodis.metrics._information import Informations
from pyrodis.metrics.score import Score


def modularity(
    codes: Array,
    factors: Array,
    factor_names: Sequence[str] | None = None,
    num_bins: int = 20,
    num_resamples: int = 200,
    seed: int = 0,
) -> Score:
    r"""Mean over latent dimensions of how far each knows of one factor alone.

    :math:`\frac1D \sum_d 1 - \frac{\sum_{j \ne j_d} I(z_d; y_j)^2}{(F - 1)\, I(z_d; y_{j_d})^2}`, where :math:`j_d` is
    the factor that dimension d knows most of: 1 where every dimension serves one factor, however many serve the same
    one. A dimension that carries no information at all counts as 0, so dead dimensions lower the score.

    Codes, and factors that are floating-point numbers, are cut into bins of equal width as in
    :func:`pyrodis.metrics.mig`. Where a dimension knows nothing, small numbers are compared with each other: noise does
    not score 0, but .1 with many bins for few items and .8 with factors of different numbers of classes. That level,
    which is given as chance, is what a code has to beat.

    Args:
        codes: posterior means.
        factors: true factors of the same rows, at least 2.
        factor_names: name of each factor; used by messages alone.
        num_bins: bins of a code, and of a continuous factor.
        num_resamples: size of the bootstrap.
        seed: seed of the bootstrap and of the chance level.

    Shape:
        codes: (N, D) or (N, T, D); factors: (N, F) or (N, T, F). Frames count as rows, items as what is drawn anew.

    Returns:
        The score, in [0, 1], with 1.96 standard deviations of the bootstrap over items, cut to [0, 1]. Chance is the
        mean over three runs in which the factors go to other items; the ceiling is 1.

    Raises:
        TypeError: no arrays of real numbers, or a count that is no integer.
        ValueError: shapes that do not fit, NaN, a factor that is constant, a single factor, fewer than 2 items, 2 bins
            or 2 resamples.

    Source:
        Ridgeway and Mozer, "Learning deep disentangled embeddings with the F-statistic loss", 2018, with bins as in
        Locatello et al., "Challenging common assumptions in the unsupervised learning of disentangled
        representations", 2019, whose value it equals. Continuous factors, frames, chance and interval are added here.

    Example:
        >>> factors = np.random.default_rng(0).integers(3, size=(500, 2))
        >>> modularity(np.concatenate([factors, factors], axis=1) * 1.0, factors).value > 0.99
        True
        >>> modularity(factors.sum(axis=1, keepdims=True), factors).value < 0.05
        True
    """
    table = code_table(codes, factors, factor_names)
    check_several_factors(table, "a dimension that knows one factor is told from one that knows two")
    informations = Informations(table, num_bins)

    def chance(shuffled: CodeTable) -> np.ndarray:
        return _modularity(Informations(shuffled, num_bins).in_nats(np.ones(table.num)))

    values, errors = bootstrap_errors(
        lambda weights: _modularity(informations.in_nats(weights)), table.num, num_resamples, seed
    )
    value, error = min(float(values[0]), 1.0), float(errors[0])  # rounding alone
    level = float(chance_level(table, chance, seed)[0])
    return Score(value, max(0.0, value - error), min(1.0, value + error), chance=level, ceiling=1.0, num=table.num)


def _modularity(information: np.ndarray) -> np.ndarray:
    """Return the score (1,) of a matrix of mutual information (D, F)."""
    squares = information**2
    most = squares.max(axis=1)
    rest = (squares.sum(axis=1) - most) / (squares.shape[1] - 1)
    knows = most > 0
    return np.where(knows, 1 - rest / np.where(knows, most, 1.0), 0.0).mean(keepdims=True)
