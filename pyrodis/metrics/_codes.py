"""What every score of codes against factors checks first: one row of each for every item, or every frame of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pyrodis.metrics._arrays import Array, finite, to_numpy
from pyrodis.metrics.score import Score

NUM_PERMUTATIONS = 3  # orders of the factors that a chance level is the mean of


@dataclass(frozen=True)
class CodeTable:
    """Codes beside factors; the frames of an item are neighboring rows.

    Args:
        codes: (R, D), R = number of items times frames of an item.
        factors: (R, F), integers where they are classes.
        num: number of items, which are what a bootstrap draws and a split keeps whole.
        names: name of each factor.
        discrete: whether the factors are classes.
    """

    codes: np.ndarray
    factors: np.ndarray
    num: int
    names: tuple[str, ...]
    discrete: bool

    @property
    def num_frames(self) -> int:
        """Rows of an item."""
        return len(self.codes) // self.num

    def rows_of(self, items: np.ndarray) -> np.ndarray:
        """Return the rows of these items, item by item."""
        return (items[:, None] * self.num_frames + np.arange(self.num_frames)).ravel()

    def per_item(self, values: np.ndarray) -> np.ndarray:
        """Return the sums over the rows of an item of ``values`` (rows of whole items, ...)."""
        return values.reshape(-1, self.num_frames, *values.shape[1:]).sum(axis=1)


def code_rows(codes: Array) -> tuple[np.ndarray, int]:
    """Return codes (N, D) or (N, T, D) as rows (R, D), and N."""
    values = finite(codes, "codes")
    if values.ndim not in (2, 3):
        raise ValueError(f"codes must have shape (N, D) or (N, T, D), got {values.shape}; pass one row for each item")
    if len(values) < 2:
        raise ValueError(f"codes must hold at least 2 items, got shape {values.shape}; one item says nothing")
    return values.reshape(-1, values.shape[-1]), len(values)


def code_table(codes: Array, factors: Array, factor_names: Sequence[str] | None = None) -> CodeTable:
    """Return codes and factors as one table, refusing what does not fit together or does not vary."""
    rows, num = code_rows(codes)
    given = to_numpy(factors, "factors")
    finite(given, "factors")
    shape = to_numpy(codes, "codes").shape
    if given.ndim != len(shape) or given.shape[:-1] != shape[:-1]:
        expected = ", ".join(map(str, [*shape[:-1], "F"]))
        raise ValueError(
            f"factors must have shape ({expected}) beside codes of shape {shape}, got {given.shape}; "
            "pass one row for each row of codes"
        )
    columns = given.reshape(-1, given.shape[-1])
    names = _names(factor_names, columns.shape[1])
    for name, column in zip(names, columns.T):
        if (column == column[0]).all():
            raise ValueError(f"factors must vary, got only {column[0]} for {name!r}; drop the constant factor")
    discrete = columns.dtype.kind in "iub"
    return CodeTable(rows, columns.astype(np.int64 if discrete else np.float64), num, names, discrete)


def check_num_items(table: CodeTable, least: int, why: str) -> None:
    """Refuse fewer items than a split needs."""
    if table.num < least:
        raise ValueError(f"codes must hold at least {least} items, got {table.num}; {why}")


def check_several_factors(table: CodeTable, why: str) -> None:
    """Refuse a single factor where factors are told apart."""
    if len(table.names) < 2:
        raise ValueError(f"factors must have at least 2 columns, got 1; {why}")


def chance_level(table: CodeTable, statistic: Callable[[CodeTable], np.ndarray], seed: int) -> np.ndarray:
    """Return what codes score that know nothing of the factors: the factors go to other items, in whole rows.

    The mean over a few such orders. Codes and factors stay what they are, each by itself, so that what a finite sample
    adds to a score is in its chance level as well.
    """
    generator = np.random.default_rng([seed, 1])
    orders = [table.rows_of(generator.permutation(table.num)) for _ in range(NUM_PERMUTATIONS)]
    return np.mean([statistic(replace(table, factors=table.factors[rows])) for rows in orders], axis=0)


def share_scores(
    prefix: str, names: Sequence[str], values: np.ndarray, errors: np.ndarray, chances: np.ndarray, num: int
) -> dict[str, Score]:
    """Return "<prefix>" and "<prefix>/<factor>" from the mean and one share a factor, intervals cut to [0, 1]."""
    values = np.clip(values, 0.0, 1.0)  # rounding alone
    lows, highs = np.maximum(values - errors, 0.0), np.minimum(values + errors, 1.0)
    keys = [prefix, *(f"{prefix}/{name}" for name in names)]
    return {
        key: Score(value, low, high, chance=chance, ceiling=1.0, num=num)
        for key, value, low, high, chance in zip(keys, values, lows, highs, chances, strict=True)
    }


def with_mean(of_factors: np.ndarray) -> np.ndarray:
    """Return one number a factor (F,) behind their mean (F + 1,)."""
    return np.concatenate([of_factors.mean(keepdims=True), of_factors])


def _names(factor_names: Sequence[str] | None, num_factors: int) -> tuple[str, ...]:
    names = tuple(f"factor_{j}" for j in range(num_factors)) if factor_names is None else tuple(factor_names)
    if len(names) != num_factors or len(set(names)) != num_factors:
        raise ValueError(
            f"factor_names must hold {num_factors} different names, one for each column of factors, got {names}; "
            "take them from the data set"
        )
    return names
