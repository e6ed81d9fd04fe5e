"""Clips that show one value of one factor, apart from those that do not."""

from __future__ import annotations

from typing import Any

import torch

from pyrodis.datasets.clip_subset import ClipSubset


def hold_out(dataset: Any, factor: str, value: int) -> tuple[ClipSubset, ClipSubset]:
    """Return the clips of a data set without one value of a factor, and those with it alone.

    A model that is trained on the former has never seen the value, so that exchanges of codes with the latter show what
    it makes of it. A clip whose factors change from frame to frame has the value if any frame has.

    Factors are read from the data set's attribute `factors` where it has one, as the sets of this library do; else from
    all its items, which costs as much as one pass over it.

    Args:
        dataset: A data set of clips with known factors.
        factor: Name of the factor.
        value: Its value, below the factor's size.

    Returns:
        The clips without the value, and those with it, each in the order of the data set.

    Raises:
        TypeError: If the value is no int.
        ValueError: If the data set has no such factor, the factor no such value, or all clips or none have it.

    Example:
        >>> from pyrodis.datasets import ProceduralSprites
        >>> without, only = hold_out(ProceduralSprites(split="test"), "hair", 5)
        >>> len(without) + len(only), {int(only[i]["factors"][4]) for i in range(9)}
        (2664, {5})
    """
    if factor not in dataset.factor_names:
        raise ValueError(f"factor must be one of {', '.join(dataset.factor_names)}, got {factor!r}; choose one of them")
    column = list(dataset.factor_names).index(factor)
    size = dataset.factor_sizes[column]
    if size is None:
        raise ValueError(f"factor must have classes, got {factor}, which is continuous; see HeldOutBand")
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"value must be a whole number, got {value!r} of type {type(value).__name__}")
    if not 0 <= value < size:
        raise ValueError(f"value must be one of the {size} values of {factor}, 0 to {size - 1}, got {value}")
    has_value = (_factors_of(dataset)[..., column] == value).reshape(len(dataset), -1).any(1)
    if not 0 < int(has_value.sum()) < len(dataset):
        share = "all" if bool(has_value.any()) else "none"
        raise ValueError(f"some but not all clips must have {factor} {value}, got {share}; hold out another value")
    return (
        ClipSubset(dataset, (~has_value).nonzero().flatten().tolist()),
        ClipSubset(dataset, has_value.nonzero().flatten().tolist()),
    )


def _factors_of(dataset: Any) -> torch.Tensor:
    """The factors of all clips: (N, F), or (N, T, F)."""
    if hasattr(dataset, "factors"):
        return dataset.factors
    return torch.stack([dataset[i]["factors"] for i in range(len(dataset))])
