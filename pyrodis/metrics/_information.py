"""Mutual information between latent dimensions and factors, for any weights of the items."""

from __future__ import annotations

import numpy as np

from pyrodis.metrics._arrays import check_count, entropy
from pyrodis.metrics._codes import CodeTable

_ROUNDING = 1e-12  # nats; entropies are rounded to some 1e-15


class Informations:
    """Mutual information of every pair of dimension and factor, for any weights of the items.

    Args:
        table: codes beside factors.
        num_bins: bins of equal width of a code, and of a continuous factor.

    Raises:
        TypeError: a number of bins that is no integer.
        ValueError: fewer than 2 bins.
    """

    def __init__(self, table: CodeTable, num_bins: int) -> None:
        check_num_bins(num_bins)
        self.num_frames, self.num_bins = table.num_frames, num_bins
        self.codes = equal_width(table.codes, num_bins).T
        if table.discrete:
            columns = [np.unique(column, return_inverse=True)[1].ravel() for column in table.factors.T]
        else:
            columns = list(equal_width(table.factors, num_bins).T)
        self.factors = columns

    def in_nats(self, weights: np.ndarray) -> np.ndarray:
        """Return the information of every pair (D, F)."""
        return self._pairs(weights)[0]

    def normalized(self, weights: np.ndarray) -> np.ndarray:
        """Return the information of every pair over the entropy of its factor (D, F)."""
        information, of_factor = self._pairs(weights)
        return np.divide(information, of_factor, out=np.zeros_like(information), where=of_factor > 0)

    def _pairs(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the information of every pair (D, F) and the entropy of every factor (F,)."""
        rows = np.repeat(weights, self.num_frames)
        informations, entropies = zip(*(self._of_factor(column, rows) for column in self.factors))
        return np.stack(informations, axis=1), np.stack(entropies)

    def _of_factor(self, column: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size = int(column.max()) + 1
        counts = [np.bincount(code * size + column, rows, minlength=self.num_bins * size) for code in self.codes]
        joint = np.stack(counts).reshape(-1, self.num_bins, size) / rows.sum()
        of_code, of_factor = entropy(joint.sum(axis=2)), entropy(joint.sum(axis=1))
        information = of_code + of_factor - entropy(joint.reshape(len(joint), -1))
        return np.where(information > _ROUNDING, information, 0.0), of_factor[0]


def check_num_bins(num_bins: int) -> None:
    """Refuse what is no number of bins."""
    check_count(num_bins, "num_bins")
    if num_bins < 2:
        raise ValueError(f"num_bins must be at least 2, got {num_bins}; the usual number is 20")


def equal_width(columns: np.ndarray, num_bins: int) -> np.ndarray:
    """Return the bin of every number, 0..num_bins-1, between the least and the largest of its column."""
    low, spread = columns.min(axis=0), np.ptp(columns, axis=0)
    shares = (columns - low) / np.where(spread > 0, spread, 1.0)
    return np.minimum(shares * num_bins, num_bins - 1).astype(np.int64)
