"""Correlations and ranks of rows that count more than once."""

from __future__ import annotations

import numpy as np


def weighted_correlations(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the correlations (D, F) of two sets of columns (R, D), (R, F) with a weight a row; 0 with a constant."""
    left, right = _standardized(first, weights), _standardized(second, weights)
    return np.clip(left.T @ right, -1.0, 1.0)  # rounding alone


def weighted_ranks(columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the rank of every number in its column, ties sharing their mean, as if each row came weight times."""
    return np.stack([_ranks(column, weights) for column in columns.T], axis=1)


def _standardized(columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return columns of weighted mean 0 and length 1, times the root of the weights; a constant one is 0."""
    centered = (columns - np.average(columns, axis=0, weights=weights)) * np.sqrt(weights)[:, None]
    lengths = np.linalg.norm(centered, axis=0)
    varied = lengths > 1e-9 * np.abs(columns).max(axis=0) * np.sqrt(weights.sum())  # else rounding alone
    return np.where(varied, centered / np.where(varied, lengths, 1.0), 0.0)


def _ranks(places: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return weighted mid-ranks; ``places`` numbers the different values of a column in their order, from 0."""
    counts = np.bincount(places, weights)
    return (np.cumsum(counts) - counts / 2)[places]


def dense_ranks(columns: np.ndarray) -> np.ndarray:
    """Return the number of every value among the different values of its column, from 0 (R, D)."""
    return np.stack([np.unique(column, return_inverse=True)[1].ravel() for column in columns.T], axis=1)
