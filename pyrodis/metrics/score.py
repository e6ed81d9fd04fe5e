"""A score that never travels alone: its interval, its chance level, its ceiling and its number of items."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from pyrodis.metrics._arrays import Array, check_count, check_ndim, check_not_empty, finite, to_numpy
from pyrodis.metrics._bootstrap import NORMAL_QUANTILE


@dataclass(frozen=True)
class Score:
    """A measured number beside what it must be compared with.

    ``low <= value <= high`` is a 95 % interval over the test items, ``chance`` what knowing nothing would score and
    ``ceiling`` what perfection would score; ``ceiling < chance`` where less is better, and ``None`` where no such
    level exists (PSNR has no ceiling).

    Args:
        value: the score.
        low: lower end of the interval.
        high: upper end of the interval.
        chance: level of an uninformed method, or None.
        ceiling: level of a perfect method, or None.
        num: number of items that the score averages over.
        seeds: number of training runs behind it.

    Raises:
        TypeError: a field is no number, or a count is no integer.
        ValueError: a field is NaN or infinite, the interval does not hold the value, or a count is below 1.

    Example:
        >>> Score(value=0.9, low=0.8, high=0.95, chance=0.1, ceiling=1.0, num=100).as_dict()["chance"]
        0.1
    """

    value: float
    low: float
    high: float
    chance: float | None
    ceiling: float | None
    num: int
    seeds: int = 1

    def __post_init__(self) -> None:
        for name in ("value", "low", "high", "chance", "ceiling"):
            object.__setattr__(self, name, _plain_float(getattr(self, name), name))
        if not self.low <= self.value <= self.high:
            raise ValueError(
                f"the interval must hold the value, got value {self.value} and interval [{self.low}, {self.high}]; "
                "check the order of the arguments"
            )
        for name in ("num", "seeds"):
            check_count(getattr(self, name), name)
            object.__setattr__(self, name, int(getattr(self, name)))

    def as_dict(self) -> dict[str, float | int | None]:
        """Return the fields as plain Python numbers, ready for JSON.

        Returns:
            Field name -> value, in the order of the fields.

        Example:
            >>> list(Score(1.0, 1.0, 1.0, None, None, num=1).as_dict())
            ['value', 'low', 'high', 'chance', 'ceiling', 'num', 'seeds']
        """
        return asdict(self)


def _plain_float(number: float | None, name: str) -> float | None:
    """Return ``number`` as a finite Python float; None is allowed for the levels of comparison alone."""
    if number is None and name in ("chance", "ceiling"):
        return None
    try:
        plain = float(number)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise TypeError(f"{name} of a score must be a number, got {number!r}; pass a float") from None
    if not math.isfinite(plain):
        raise ValueError(f"{name} of a score must be finite, got {plain}; a score on nothing is no score")
    return plain


def mean_score(values: Array, chance: float | None = None, ceiling: float | None = None) -> Score:
    r"""Average one number per test item, with a normal 95 % interval.

    :math:`\bar v \pm 1.96\, s / \sqrt{N}` with the sample standard deviation s: the uncertainty of the test items
    alone, not of the training run. A single item has no interval, and low = value = high says so.

    Args:
        values: one number per item.
        chance: level of an uninformed method.
        ceiling: level of a perfect method.

    Shape:
        values: (N,).

    Returns:
        The score, in the unit of ``values``.

    Raises:
        TypeError: ``values`` is no array of real numbers.
        ValueError: ``values`` is empty, not of rank 1, or holds NaN or infinity.

    Source:
        The central limit theorem.

    Example:
        >>> score = mean_score(np.array([1.0, 3.0, 1.0, 3.0]))
        >>> score.value, round(score.high - score.value, 3)
        (2.0, 1.132)
    """
    items = finite(values, "values")
    check_ndim(items, "values", 1, "(N,)")
    mean = float(items.mean())
    half = NORMAL_QUANTILE * float(items.std(ddof=1)) / math.sqrt(len(items)) if len(items) > 1 else 0.0
    return Score(mean, mean - half, mean + half, chance, ceiling, len(items))


def proportion_score(correct: Array, chance: float | None, ceiling: float | None = 1.0) -> Score:
    r"""Share of the items that are correct, with Wilson's 95 % interval.

    :math:`(\hat p + q^2/2N \pm q\sqrt{\hat p(1-\hat p)/N + q^2/4N^2}) / (1 + q^2/N)` with q = 1.96: unlike the normal
    interval it stays inside [0, 1] and does not shrink to nothing when every item is correct.

    Args:
        correct: whether each item is correct: booleans, or zeros and ones.
        chance: share that guessing would reach.
        ceiling: share of a perfect method.

    Shape:
        correct: (N,).

    Returns:
        The score, a share in [0, 1].

    Raises:
        TypeError: ``correct`` is no array.
        ValueError: ``correct`` is empty, not of rank 1, or holds anything but zeros and ones.

    Source:
        Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    Example:
        >>> score = proportion_score(np.array([True] * 9 + [False]), chance=0.5)
        >>> score.value, round(score.low, 4), round(score.high, 4)
        (0.9, 0.5958, 0.9821)
    """
    items = to_numpy(correct, "correct")
    check_ndim(items, "correct", 1, "(N,)")
    check_not_empty(items, "correct")
    if not np.isin(items, (0, 1)).all():
        raise ValueError(
            "correct must hold booleans or zeros and ones, got other values; compare with the labels first"
        )
    rate = float(items.astype(np.float64).mean())
    low, high = wilson_interval(rate, len(items))
    return Score(rate, low, high, chance, ceiling, len(items))


def share_score(shares: np.ndarray, chance: float | None, ceiling: float | None = 1.0) -> Score:
    r"""Average one share per item, with Wilson's interval for as many yes-or-no items.

    A variable in [0, 1] with mean p has variance at most p (1 - p), that of yes-or-no items, so the interval is on the
    safe side, and it does not vanish when every share is 1.

    Args:
        shares: one number in [0, 1] per item.
        chance: level of an uninformed method.
        ceiling: level of a perfect method.

    Shape:
        shares: (N,), not empty.

    Returns:
        The score, a share in [0, 1].
    """
    mean = min(1.0, float(shares.mean()))  # the mean of ones may round to a hair above one
    low, high = wilson_interval(mean, len(shares))
    return Score(mean, low, high, chance, ceiling, len(shares))


def wilson_interval(rate: float, num: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of ``num`` items; its equation is in :func:`proportion_score`."""
    ratio = NORMAL_QUANTILE**2 / num
    center = (rate + ratio / 2) / (1 + ratio)
    half = math.sqrt(rate * (1 - rate) * ratio + ratio**2 / 4) / (1 + ratio)
    return min(rate, max(0.0, center - half)), max(rate, min(1.0, center + half))
