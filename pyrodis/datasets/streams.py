"""Random numbers as a function of where they are used: an item of a data set depends on nothing but its index."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

SPLITS: Final = ("train", "validation", "test")

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_FACTORS: Final = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS: Final = (np.uint64(30), np.uint64(27), np.uint64(31))
_MAX_ATTEMPTS: Final = 1000


def counter_uniforms(key: tuple[int | str, ...], rows: Tensor, num: int) -> Tensor:
    """Return the numbers of some rows of an endless table of uniform random numbers.

    The table belongs to the key; a row's numbers do not depend on which other rows are asked for.

    Args:
        key: Whole numbers and words; other keys have other tables.
        rows: Which rows.
        num: Numbers a row.

    Shape:
        rows: (N,), int64, not negative.

    Returns:
        float64 (N, num) in [0, 1).

    Source:
        Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators (OOPSLA 2014), SplitMix64.

    Example:
        >>> table = counter_uniforms(("example", 0), torch.arange(4), 2)
        >>> torch.equal(counter_uniforms(("example", 0), torch.tensor([2]), 2)[0], table[2])
        True
    """
    start = np.frombuffer(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), dtype="<u8").astype(np.uint64)
    places = rows.numpy().astype(np.uint64)[:, None] * np.uint64(num) + np.arange(1, num + 1, dtype=np.uint64)
    bits: Any = start + places * _GOLDEN
    for shift, factor in zip(_SHIFTS[:2], _FACTORS, strict=True):
        bits = (bits ^ (bits >> shift)) * factor
    bits ^= bits >> _SHIFTS[2]
    return torch.from_numpy((bits >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def accepted_uniforms(
    key: tuple[int | str, ...], num_rows: int, num: int, accepts: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return rows of uniform random numbers that a rule accepts; each row is drawn again until it is accepted.

    Args:
        key: As for :func:`counter_uniforms`.
        num_rows: Rows 0 to `num_rows` - 1.
        num: Numbers a row.
        accepts: From float64 (N, num) to bool (N).

    Returns:
        float64 (num_rows, num) in [0, 1).

    Raises:
        ValueError: If a row is still refused after 1,000 draws.

    Example:
        >>> bool((accepted_uniforms(("example", 0), 9, 2, lambda u: u[:, 0] > 0.5)[:, 0] > 0.5).all())
        True
    """
    advice = "hold out more or less, or ask the motion for less"
    return accepted_rows(key, torch.arange(num_rows), num, accepts, advice)


def accepted_rows(
    key: tuple[int | str, ...], rows: Tensor, num: int, accepts: Callable[[Tensor], Tensor], advice: str
) -> Tensor:
    """Return some rows of the table that :func:`accepted_uniforms` gives from its start.

    Args:
        key: As for :func:`counter_uniforms`.
        rows: Which rows.
        num: Numbers a row.
        accepts: From float64 (N, num) to bool (N).
        advice: What to do where rows are refused, for the message.

    Shape:
        rows: (N,), int64, not negative.

    Returns:
        float64 (N, num) in [0, 1).

    Raises:
        ValueError: If a row is still refused after 1,000 draws.

    Example:
        >>> rule = lambda u: u[:, 0] > 0.5
        >>> part = accepted_rows(("example", 0), torch.tensor([7]), 2, rule, "accept more")
        >>> torch.equal(part[0], accepted_uniforms(("example", 0), 9, 2, rule)[7])
        True
    """
    found = torch.empty(len(rows), num, dtype=torch.float64)
    pending = torch.arange(len(rows))
    for attempt in range(_MAX_ATTEMPTS):
        drawn = counter_uniforms((*key, attempt), rows[pending], num)
        accepted = accepts(drawn)
        found[pending[accepted]] = drawn[accepted]
        pending = pending[~accepted]
        if len(pending) == 0:
            return found
    raise ValueError(f"{len(pending)} of {len(rows)} sequences were refused {_MAX_ATTEMPTS} times; {advice}")


def counted_rows(
    table: Tensor,
    rows: Tensor,
    key: tuple[int | str, ...],
    counts: tuple[int, int],
    accepts: Callable[[Tensor], Tensor],
    advice: str,
    at_once: int = 16,
) -> Tensor:
    """Return some rows of a table of scenes, after drawing those that are asked for the first time.

    A row is the number of objects, uniform, then the random numbers of the scene, drawn until they are accepted. The
    number is drawn apart, so that one is not rarer for being harder to place.

    Args:
        table: The scenes that are drawn already; NaN where they are not. It is filled in place.
        rows: Which rows.
        key: As for :func:`counter_uniforms`.
        counts: The least and the greatest number of objects.
        accepts: From rows (B, 1 + U) to bool (B).
        advice: What to do where rows are refused, for the message.
        at_once: How many rows to try at once.

    Shape:
        table: (N, 1 + U), float64. rows: (B,), int64.

    Returns:
        float64 (B, 1 + U).

    Raises:
        ValueError: If a row is still refused after 1,000 draws.

    Example:
        >>> table = unknown_rows(9, 3)
        >>> rule = lambda row: row[:, 1] < row[:, 2]
        >>> drawn = counted_rows(table, torch.tensor([7, 2]), ("example", 0), (1, 4), rule, "accept more")
        >>> torch.equal(drawn, table[[7, 2]]), int(table[:, 0].isnan().sum())
        (True, 7)
    """
    low, high = counts
    new = rows[table[rows, 0].isnan()].unique()
    numbers = low + (counter_uniforms((*key, "number"), new, 1)[:, 0] * (high - low + 1)).long()
    for number in numbers.unique().tolist():
        put_first = partial(torch.nn.functional.pad, pad=(1, 0), value=float(number))
        for part in new[numbers == number].split(at_once):
            drawn = accepted_rows(key, part, table.shape[1] - 1, _after(put_first, accepts), advice)
            table[part] = put_first(drawn)
    return table[rows]


def unknown_rows(num: int, width: int) -> Tensor:
    """Return a table for :func:`counted_rows` in which no row is known, and which may be filled in any autograd mode.

    Args:
        num: N.
        width: Numbers of a row.

    Returns:
        float64 (N, width), all NaN.

    Example:
        >>> bool(unknown_rows(2, 3).isnan().all())
        True
    """
    with torch.inference_mode(False):
        return torch.full((num, width), torch.nan, dtype=torch.float64)


def _after(first: Callable[[Tensor], Tensor], second: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda drawn: second(first(drawn))


def check_seed(seed: int) -> int:
    """Return a seed if it is a whole number in [0, 2^32).

    Args:
        seed: The number.

    Returns:
        The number as an int.

    Raises:
        TypeError: If it is not whole.
        ValueError: If it is out of range.

    Example:
        >>> check_seed(7)
        7
    """
    try:
        number = operator.index(seed)
    except TypeError as error:
        raise TypeError(f"seed must be an integer, got {seed!r}; pass 0, for example") from error
    if not 0 <= number < 2**32:
        raise ValueError(f"seed must be in [0, 2^32), got {number}; choose one of these integers")
    return number


def check_split(split: str) -> str:
    """Return a split's name if it is one of train, validation and test.

    Args:
        split: The name.

    Returns:
        The name.

    Raises:
        ValueError: If it is none of them.

    Example:
        >>> check_split("test")
        'test'
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}; choose one of them")
    return split
