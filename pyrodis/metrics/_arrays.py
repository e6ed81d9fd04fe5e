"""Checks that every metric makes at its edge: arrays or tensors in, finite numpy arrays of a known rank out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

Array = np.ndarray | torch.Tensor


def to_numpy(array: Any, name: str) -> np.ndarray:
    """Return ``array`` as a numpy array on the host, refusing what is neither array nor tensor."""
    if isinstance(array, torch.Tensor):
        array = array.detach().cpu()
        return (array.double() if array.is_floating_point() else array).numpy()
    if isinstance(array, np.ndarray):
        return array
    raise TypeError(f"{name} must be a numpy array or a torch tensor, got {type(array).__name__}; convert it first")


def check_not_empty(array: np.ndarray, name: str) -> None:
    """Refuse an array without items."""
    if array.size == 0:
        raise ValueError(f"{name} must hold at least one item, got shape {array.shape}; pass a non-empty array")


def finite(array: Any, name: str) -> np.ndarray:
    """Return ``array`` as float64, refusing an empty one, complex numbers, NaN and infinity."""
    values = to_numpy(array, name)
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got dtype {values.dtype}; convert it first")
    check_not_empty(values, name)
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise ValueError(f"{name} must be finite, got {count} NaN or infinite values; find what produced them")
    return values


def check_ndim(array: np.ndarray, name: str, ndim: int, axes: str) -> None:
    """Refuse an array whose rank is not ``ndim``; ``axes`` names the expected axes in the message."""
    if array.ndim != ndim:
        raise ValueError(f"{name} must have shape {axes}, got {array.shape}; reshape it")


def check_same_length(first: np.ndarray, first_name: str, second: np.ndarray, second_name: str) -> None:
    """Refuse two arrays that do not have one row for each item."""
    if len(first) != len(second):
        raise ValueError(
            f"{first_name} and {second_name} must have the same length, got {len(first)} and {len(second)}; "
            "pass one row for each item"
        )


def classes(array: Any, name: str, size: int) -> np.ndarray:
    """Return ``array`` as int64 class numbers in 0..size-1."""
    values = to_numpy(array, name)
    if values.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integer classes, got dtype {values.dtype}; take the argmax of scores first")
    check_not_empty(values, name)
    if values.min() < 0 or values.max() >= size:
        raise ValueError(
            f"{name} must hold classes 0 to {size - 1}, got values from {values.min()} to {values.max()}; "
            "check the factor sizes"
        )
    return values.astype(np.int64)


def check_factors(factor_names: Sequence[str], factor_sizes: Sequence[int]) -> None:
    """Refuse names and sizes of factors that do not fit each other."""
    if len(factor_names) == 0 or len(factor_names) != len(factor_sizes):
        raise ValueError(
            f"factor_names and factor_sizes must have one entry for each factor, got {len(factor_names)} names and "
            f"{len(factor_sizes)} sizes; take both from the data set"
        )
    if len(set(factor_names)) != len(factor_names):
        raise ValueError(f"factor_names must differ, got {tuple(factor_names)}; rename the repeated one")
    if min(factor_sizes) < 2:
        raise ValueError(f"factor_sizes must be at least 2, got {tuple(factor_sizes)}; drop the constant factor")


def factor_table(array: Any, name: str, factor_names: Sequence[str], factor_sizes: Sequence[int]) -> np.ndarray:
    """Return ``array`` of shape (N, F) as int64, column ``j`` holding classes 0..factor_sizes[j]-1."""
    values = to_numpy(array, name)
    check_ndim(values, name, 2, f"(N, {len(factor_names)})")
    if values.shape[1] != len(factor_names):
        raise ValueError(
            f"{name} must have one column for each of the {len(factor_names)} factors, got shape {values.shape}; "
            "select the columns that factor_names lists"
        )
    columns = zip(factor_names, factor_sizes, values.T, strict=True)
    return np.stack([classes(column, f"{name} of {factor}", size) for factor, size, column in columns], axis=1)


def entropy(shares: np.ndarray) -> np.ndarray:
    """Return the entropy over the last axis, in nats; a share of zero adds nothing."""
    return torch.special.entr(torch.from_numpy(shares)).sum(-1).numpy()


def check_count(value: int, name: str) -> None:
    """Refuse what is not a positive integer."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {value!r}; pass a count")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}; pass a positive count")
