"""Where objects are, whichever of them comes first: errors of centers, and numbers that know no order."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from pyrodis.metrics._arrays import Array, finite
from pyrodis.metrics.score import Score, mean_score

_MAX_OBJECTS = 6  # 720 orders


def centroid_errors(predicted: Array, true: Array) -> np.ndarray:
    r"""Return how far the predicted centers of an item's objects are from the true ones, under the best assignment.

    :math:`\frac1T \sum_t \min_\pi \frac1M \sum_m \lVert \hat c_{t \pi(m)} - c_{tm} \rVert`: in every frame the order
    :math:`\pi` of the objects that suits best.

    Args:
        predicted: predicted centers.
        true: true centers.

    Shape:
        predicted, true: (N, T, M, 2), M at most 6.

    Returns:
        Mean distance of each item, float64 (N,), in the unit of the centers.

    Raises:
        TypeError: no arrays of real numbers.
        ValueError: shapes that do not fit, NaN, or more than 6 objects.

    Source:
        The distance of two point sets by assignment.

    Example:
        >>> true = np.array([[[[0.0, 0.0], [9.0, 0.0]]]])
        >>> centroid_errors(true[:, :, ::-1] + np.array([0.0, 2.0]), true).tolist()
        [2.0]
    """
    first, second = finite(predicted, "predicted"), finite(true, "true")
    if first.ndim != 4 or first.shape[-1] != 2 or first.shape != second.shape:
        raise ValueError(
            f"predicted and true must have the same shape (N, T, M, 2), got {first.shape} and {second.shape}; "
            "pass x and y of every object in every frame"
        )
    num = first.shape[2]
    if num > _MAX_OBJECTS:
        raise ValueError(f"centers must be those of at most {_MAX_OBJECTS} objects, got {num}; score fewer at a time")
    orders = [np.linalg.norm(first[:, :, list(order)] - second, axis=-1).mean(-1) for order in permutations(range(num))]
    return np.asarray(np.min(orders, axis=0).mean(axis=1))


def centroid_error(predicted: Array, true: Array, chance: float | None = None, ceiling: float | None = 0.0) -> Score:
    """Mean of :func:`centroid_errors` over the items.

    Args:
        predicted: predicted centers.
        true: true centers.
        chance: error of centers that belong to other items, for example.
        ceiling: error that cannot be undercut; 0, or that of the method which reads centers off true frames.

    Shape:
        predicted, true: (N, T, M, 2), M at most 6.

    Returns:
        The error, in the unit of the centers, with the interval over the items.

    Raises:
        TypeError: as :func:`centroid_errors`.
        ValueError: as :func:`centroid_errors`.

    Source:
        See :func:`centroid_errors`.

    Example:
        >>> true = np.zeros((3, 2, 1, 2))
        >>> centroid_error(true + np.array([3.0, 4.0]), true).value
        5.0
    """
    return mean_score(centroid_errors(predicted, true), chance=chance, ceiling=ceiling)


def unordered_positions(centers: Array) -> np.ndarray:
    """Return what centers say without saying which object is which: their mean and their spread along x and y.

    Mean and standard deviation (over the objects) in either direction; of two objects the spread is half the absolute
    difference. For two objects that is everything but the sign of one diagonal.

    Args:
        centers: centers of objects.

    Shape:
        centers: (..., M, 2).

    Returns:
        float64 (..., 4): mean x, mean y, spread of x, spread of y; (..., 2), the means, of a single object.

    Raises:
        TypeError: no array of real numbers.
        ValueError: another shape, or NaN.

    Source:
        The first two moments.

    Example:
        >>> unordered_positions(np.array([[1.0, 5.0], [3.0, 5.0]])).tolist()
        [2.0, 5.0, 1.0, 0.0]
    """
    points = finite(centers, "centers")
    if points.ndim < 2 or points.shape[-1] != 2:
        raise ValueError(f"centers must have shape (..., M, 2), got {points.shape}; pass x and y of every object")
    means = points.mean(axis=-2)
    return means if points.shape[-2] == 1 else np.concatenate([means, points.std(axis=-2)], axis=-1)
