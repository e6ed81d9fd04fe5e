"""The score of FactorVAE: does the dimension that varies least in a batch tell which factor the batch shares?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pyrodis.metrics._arrays import Array
from pyrodis.metrics._codes import check_several_factors, code_table, with_mean
from pyrodis.metrics._shared_factor import RowsByValue, Sizes, held_factors, shared_factor_scores
from pyrodis.metrics.score import Score


def factor_vae_score(
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
    r"""Share of batches whose common factor a vote of the least varying latent dimension names.

    A batch is of rows that share the value of one factor j. It votes for the dimension
    :math:`d^* = \mathrm{argmin}_d\, \mathrm{Var}_{batch}(z_d) / \mathrm{Var}(z_d)`; each dimension stands for the
    factor that most of its votes of the training batches come from, and the score is the share of the other batches
    whose vote stands for their factor. 1 where every factor keeps a dimension of its own still, however many
    dimensions do so. It compares the stillest dimension alone: what else the dimensions hold goes unseen.

    Batches are drawn from the rows that are given, so factors that hang together in the data do so in the batches.
    Factors that are floating-point numbers are cut into bins of equally many rows, and rows of one bin share them.
    Constant dimensions take no part.

    Args:
        codes: posterior means.
        factors: true factors of the same rows, at least 2.
        factor_names: name of each factor; "factor_0" and so on by default.
        batch_size: rows of a batch, drawn with replacement.
        num_train: batches that say what each dimension stands for.
        num_eval: batches that are scored.
        num_bins: bins of a continuous factor.
        num_resamples: size of the bootstrap.
        seed: seed of the batches, of the bootstrap and of the chance level.

    Shape:
        codes: (N, D) or (N, T, D); factors: (N, F) or (N, T, F). Frames count as rows, items as what is drawn anew.

    Returns:
        "factor_vae" and "factor_vae/<factor>", in [0, 1]; 0 where every dimension is constant. The ceiling is 1, chance
        the mean over three runs in which the factors go to other items, about 1 / F for the mean. The intervals are
        1.96 standard deviations of the bootstrap over items, each resample with batches of its own, cut to [0, 1].

    Raises:
        TypeError: no arrays of real numbers, or a count that is no integer.
        ValueError: shapes that do not fit, NaN, a factor that is constant, a single factor, a class that one row alone
            has, a batch of 1, fewer batches than factors, or fewer than 2 items, bins or resamples.

    Source:
        Kim and Mnih, "Disentangling by factorising", 2018; its value equals that of Locatello et al., 2019, on the
        same batches. Both draw the other factors of a batch independently, from a generator of all combinations; here
        they come as they are in the data. Every factor is held equally often, not about so. Continuous factors, chance
        and intervals are added here.

    Example:
        >>> factors = np.random.default_rng(0).integers(3, size=(500, 2))
        >>> scores = factor_vae_score(factors * 1.0, factors, ("shape", "color"), num_resamples=2)
        >>> scores["factor_vae"].value, sorted(scores)
        (1.0, ['factor_vae', 'factor_vae/color', 'factor_vae/shape'])
    """
    table = code_table(codes, factors, factor_names)
    check_several_factors(table, "a batch that shares one is told from a batch that shares another")
    sizes = Sizes(batch_size, num_train, num_eval)
    sizes.check(table)
    live = np.ptp(table.codes, axis=0) > 0
    table = replace(table, codes=table.codes[:, live] / table.codes[:, live].std(axis=0))
    return shared_factor_scores("factor_vae", table, _share_of_hits, sizes, num_bins, num_resamples, seed)


def _share_of_hits(
    codes: np.ndarray, columns: list[np.ndarray], sizes: Sizes, generator: np.random.Generator
) -> np.ndarray:
    """Return the share of hits for each factor behind their mean (F + 1,)."""
    if codes.shape[1] == 0:
        return np.zeros(len(columns) + 1)
    indexes = [RowsByValue(column) for column in columns]
    votes = []
    for num in (sizes.num_train, sizes.num_eval):
        held = held_factors(num, len(columns))
        anchors = generator.integers(len(codes), size=num)
        vote = np.empty(num, dtype=np.int64)
        for j, index in enumerate(indexes):
            vote[held == j] = votes_of(codes, index.fellows(anchors[held == j], sizes.batch_size, generator))
        votes.append((held, vote))
    hits, held = hits_of_votes(votes[0], votes[1], codes.shape[1]), votes[1][0]
    return with_mean(np.array([hits[held == j].mean() for j in range(len(columns))]))


def votes_of(codes: np.ndarray, batches: np.ndarray) -> np.ndarray:
    """Return the dimension that varies least in each batch of rows (V, L), for codes (R, D) of variance 1 each."""
    return codes[batches].var(axis=1).argmin(axis=1)


def hits_of_votes(
    train: tuple[np.ndarray, np.ndarray], scored: tuple[np.ndarray, np.ndarray], num_dims: int
) -> np.ndarray:
    """Return whether each scored vote stands for its factor, from (factor, dimension) of the votes of both parts."""
    factor, dimension = train
    num_factors = int(factor.max()) + 1
    counts = np.bincount(factor * num_dims + dimension, minlength=num_factors * num_dims)
    stands_for = counts.reshape(num_factors, num_dims).argmax(axis=0)
    return np.asarray(stands_for[scored[1]] == scored[0])
