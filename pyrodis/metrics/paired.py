"""The difference of two methods over the same seeds."""

from __future__ import annotations

import math

from pyrodis.metrics._arrays import Array, check_ndim, check_same_length, finite
from pyrodis.metrics.score import Score


def paired_difference(first: Array, second: Array) -> Score:
    r"""Mean difference of two methods that ran with the same seeds, with Student's 95 % interval.

    :math:`\bar d \pm t_{.975,\,n-1}\, s_d / \sqrt n` with :math:`d_i = a_i - b_i`: an interval that excludes 0 says
    that the methods differ by more than their runs do. Seeds that share data and initial weights make it narrower than
    two intervals side by side.

    Args:
        first: score of the first method with each seed.
        second: score of the second method with the same seeds, in the same order.

    Shape:
        first, second: (n,), n at least 2.

    Returns:
        The difference, in the unit of the scores; chance 0, no ceiling, ``num`` and ``seeds`` are n. With equal
        differences the interval has no width.

    Raises:
        TypeError: no arrays of real numbers.
        ValueError: other shapes, different lengths, NaN, or one seed.

    Source:
        Student, "The probable error of a mean", 1908.

    Example:
        >>> import numpy as np
        >>> score = paired_difference(np.array([0.5, 0.6, 0.7]), np.array([0.2, 0.4, 0.3]))
        >>> round(score.value, 3), round(score.low, 3), score.seeds
        (0.3, 0.052, 3)
    """
    ours, theirs = finite(first, "first"), finite(second, "second")
    for name, values in (("first", ours), ("second", theirs)):
        check_ndim(values, name, 1, "(n,)")
    check_same_length(ours, "first", theirs, "second")
    num = len(ours)
    if num < 2:
        raise ValueError(f"first must have at least 2 seeds, got {num}; one run has no interval")
    from scipy.stats import t  # comes with scikit-learn

    differences = ours - theirs
    mean = float(differences.mean())
    half = float(t.ppf(0.975, num - 1)) * float(differences.std(ddof=1)) / math.sqrt(num)
    return Score(mean, mean - half, mean + half, chance=0.0, ceiling=None, num=num, seeds=num)
