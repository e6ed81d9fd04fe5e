"""The score of beta-VAE: can a linear classifier tell which factor pairs share, from how far apart their codes are?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pyrodis.metrics._arrays import Array
from pyrodis.metrics._codes import check_several_factors, code_table, with_mean
from pyrodis.metrics._shared_factor import RowsByValue, Sizes, held_factors, shared_factor_scores
from pyrodis.metrics.score import Score


def beta_vae_score(
    codes: Array,
    factors: Array,
    factor_names: Sequence[str] | None = None,
    batch_size: int = 64,
    num_train: int = 2000,
    num_eval: int = 1000,
    num_bins: int = 20,
    num_resamples: int = 30,
    seed: int = 0,
) -> dict[str, Score]:
    r"""Share of batches of pairs whose common factor a linear classifier names, from the distances of their codes.

    In a batch of L pairs both rows of each pair share the value of one factor j; its features are
    :math:`\frac1L \sum_l |z^a_l - z^b_l|`, one number a latent dimension, and a logistic regression that learned on the
    training batches names j. 1 where each factor moves some dimension, or some sum of dimensions, that the others do
    not move alike. It is the easiest of the scores: dimensions of many factors still tell them apart, and rotated codes
    score far above chance.

    Pairs are drawn from the rows that are given, so factors that hang together in the data do so in the pairs. Factors
    that are floating-point numbers are cut into bins of equally many rows, and rows of one bin share them. Codes are
    divided by their standard deviation first; a constant dimension stays as it is.

    Args:
        codes: posterior means.
        factors: true factors of the same rows, at least 2.
        factor_names: name of each factor; "factor_0" and so on by default.
        batch_size: pairs of a batch.
        num_train: batches that the classifier learns from.
        num_eval: batches that it is scored on.
        num_bins: bins of a continuous factor.
        num_resamples: size of the bootstrap.
        seed: seed of the pairs, of the bootstrap and of the chance level.

    Shape:
        codes: (N, D) or (N, T, D); factors: (N, F) or (N, T, F). Frames count as rows, items as what is drawn anew.

    Returns:
        "beta_vae" and "beta_vae/<factor>", in [0, 1]; the ceiling is 1, chance the mean over three runs in which the
        factors go to other items, about 1 / F for the mean. The intervals are 1.96 standard deviations of the bootstrap
        over items, each resample with pairs and a classifier of its own, cut to [0, 1].

    Raises:
        TypeError: no arrays of real numbers, or a count that is no integer.
        ValueError: shapes that do not fit, NaN, a factor that is constant, a single factor, a class that one row alone
            has, a batch of 1, fewer batches than factors, or fewer than 2 items, bins or resamples.

    Source:
        Higgins et al., "beta-VAE: learning basic visual concepts with a constrained variational framework", 2017, with
        the classifier of Locatello et al., 2019, whose value it equals on the same pairs of standardized codes. Theirs
        are not standardized, so that the score depends on their unit. Both draw the other factors of a pair
        independently, from a generator of all combinations; here they come as they are in the data. Every factor is
        shared equally often, not about so. Continuous factors, chance and intervals are added here.

    Example:
        >>> factors = np.random.default_rng(0).integers(3, size=(500, 2))
        >>> scores = beta_vae_score(factors * 1.0, factors, ("shape", "color"), num_resamples=2)
        >>> scores["beta_vae"].value, sorted(scores)
        (1.0, ['beta_vae', 'beta_vae/color', 'beta_vae/shape'])
    """
    table = code_table(codes, factors, factor_names)
    check_several_factors(table, "a pair that shares one is told from a pair that shares another")
    sizes = Sizes(batch_size, num_train, num_eval)
    sizes.check(table)
    scale = np.where(np.ptp(table.codes, axis=0) > 0, table.codes.std(axis=0), 1.0)
    table = replace(table, codes=table.codes / scale)
    return shared_factor_scores("beta_vae", table, _share_of_hits, sizes, num_bins, num_resamples, seed)


def _share_of_hits(
    codes: np.ndarray, columns: list[np.ndarray], sizes: Sizes, generator: np.random.Generator
) -> np.ndarray:
    """Return the share of hits for each factor behind their mean (F + 1,)."""
    indexes = [RowsByValue(column) for column in columns]
    parts = []
    for num in (sizes.num_train, sizes.num_eval):
        held = held_factors(num, len(columns))
        distances = np.empty((num, codes.shape[1]))
        for j, index in enumerate(indexes):
            first = generator.integers(len(codes), size=(int((held == j).sum()), sizes.batch_size))
            distances[held == j] = distances_of(codes, first, index.partners(first, generator))
        parts.append((distances, held))
    hits, held = hits_of_distances(*parts), parts[1][1]
    return with_mean(np.array([hits[held == j].mean() for j in range(len(columns))]))


def distances_of(codes: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the mean distance in each dimension (V, D) of the pairs of rows of each batch (V, L)."""
    return np.asarray(np.abs(codes[first] - codes[second]).mean(axis=1))


def hits_of_distances(train: tuple[np.ndarray, np.ndarray], scored: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return whether a classifier names the factor of each scored batch, from (distances, factor) of both parts."""
    from sklearn.linear_model import LogisticRegression

    classifier = LogisticRegression(max_iter=1000).fit(*train)
    return np.asarray(classifier.predict(scored[0]) == scored[1])
