"""Rows that share a factor, drawn from given rows: what the scores of beta-VAE and FactorVAE compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pyrodis.metrics._arrays import check_count
from pyrodis.metrics._bootstrap import bootstrap_errors
from pyrodis.metrics._codes import CodeTable, chance_level, share_scores
from pyrodis.metrics._information import check_num_bins
from pyrodis.metrics.score import Score


class RowsByValue:
    """Rows sorted by the value of one factor.

    Args:
        values: value of each row, integers from 0 (R,).
    """

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.order = np.argsort(values, kind="stable")
        self.counts = np.bincount(values)
        self.starts = np.cumsum(self.counts) - self.counts
        self.places = np.empty_like(self.order)
        self.places[self.order] = np.arange(len(values))

    def fellows(self, rows: np.ndarray, size: int, generator: np.random.Generator) -> np.ndarray:
        """Return ``size`` rows with the value of each given row (..., size), drawn with replacement."""
        value = self.values[rows][..., None]
        return self.order[self.starts[value] + generator.integers(self.counts[value], size=(*rows.shape, size))]

    def partners(self, rows: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return another row with the value of each given row; the row itself where it is alone."""
        value = self.values[rows]
        count, start = self.counts[value], self.starts[value]
        step = 1 + generator.integers(np.maximum(count - 1, 1))
        return self.order[start + (self.places[rows] - start + step) % count]


@dataclass(frozen=True)
class Sizes:
    """How much a score of shared factors draws.

    Args:
        batch_size: rows, or pairs of rows, of one batch.
        num_train: batches that a classifier learns from.
        num_eval: batches that it is scored on.
    """

    batch_size: int
    num_train: int
    num_eval: int

    def check(self, table: CodeTable) -> None:
        """Refuse sizes that leave a factor without a batch, or a batch without a comparison."""
        for name in ("batch_size", "num_train", "num_eval"):
            check_count(getattr(self, name), name)
        if self.batch_size < 2:
            raise ValueError(f"batch_size must be at least 2, got {self.batch_size}; the usual number is 64")
        least, num = min(self.num_train, self.num_eval), len(table.names)
        if least < num:
            raise ValueError(f"num_train and num_eval must be at least {num}, the number of factors, got {least}")


def shared_values(table: CodeTable, num_bins: int) -> list[np.ndarray]:
    """Return the values of each factor as integers from 0 (R,): classes, or bins of a number that hold equally many.

    Raises:
        ValueError: a class that a single row has, which no other row shares, or fewer than 2 bins.
    """
    check_num_bins(num_bins)
    columns = [np.unique(column, return_inverse=True)[1].ravel() for column in table.factors.T]
    if not table.discrete:
        return [_equal_counts(column, num_bins) for column in columns]
    for name, original, column in zip(table.names, table.factors.T, columns):
        counts = np.bincount(column)
        if counts.min() < 2:
            value = original[column == counts.argmin()][0]
            raise ValueError(
                f"every class of a factor must have at least 2 rows, got one with {name!r} = {value}; drop that row, "
                "or pass a factor that is a number as floating point"
            )
    return columns


def _equal_counts(places: np.ndarray, num_bins: int) -> np.ndarray:
    """Return bins of about equally many rows, equal numbers in one bin; ``places`` numbers the values in order."""
    counts = np.bincount(places)
    middle = (np.cumsum(counts) - counts / 2) / len(places)
    return np.unique((middle * num_bins).astype(np.int64)[places], return_inverse=True)[1].ravel()


def held_factors(num: int, num_factors: int) -> np.ndarray:
    """Return the factor that each of ``num`` batches shares, every factor as often as any other but for one."""
    return np.arange(num) % num_factors


ShareOfHits = Callable[[np.ndarray, list[np.ndarray], Sizes, np.random.Generator], np.ndarray]


def shared_factor_scores(
    name: str, table: CodeTable, share_of_hits: ShareOfHits, sizes: Sizes, num_bins: int, num_resamples: int, seed: int
) -> dict[str, Score]:
    """Return the scores of a classifier of shared factors, with intervals and chance.

    Args:
        name: name of the score.
        table: codes in the unit that the classifier reads, and factors.
        share_of_hits: maps codes, values of the factors, sizes and a generator to the share of hits for each factor,
            behind their mean (F + 1,).
        sizes: how much is drawn.
        num_bins: bins of a continuous factor.
        num_resamples: size of the bootstrap.
        seed: seed of all draws.
    """
    generator = np.random.default_rng(seed)

    def statistic(columns: list[np.ndarray], weights: np.ndarray) -> np.ndarray:
        rows = np.repeat(np.arange(len(table.codes)), np.repeat(weights.astype(np.int64), table.num_frames))
        return share_of_hits(table.codes[rows], [column[rows] for column in columns], sizes, generator)

    own, ones = shared_values(table, num_bins), np.ones(table.num)
    values, errors = bootstrap_errors(lambda weights: statistic(own, weights), table.num, num_resamples, seed)

    def chance(shuffled: CodeTable) -> np.ndarray:
        return statistic(shared_values(shuffled, num_bins), ones)

    return share_scores(name, table.names, values, errors, chance_level(table, chance, seed), table.num)
