"""What every score of codes against factors checks first: one row of each for every item, or every frame of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pyrodis.metrics._arrays import Array, finite, to_numpy


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


def _names(factor_names: Sequence[str] | None, num_factors: int) -> tuple[str, ...]:
    names = tuple(f"factor_{j}" for j in range(num_factors)) if factor_names is None else tuple(factor_names)
    if len(names) != num_factors or len(set(names)) != num_factors:
        raise ValueError(
            f"factor_names must hold {num_factors} different names, one for each column of factors, got {names}; "
            "take them from the data set"
        )
    return names
