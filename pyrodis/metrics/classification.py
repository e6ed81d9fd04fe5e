"""Accuracy of a classifier, factor by factor."""

from __future__ import annotations

from collections.abc import Sequence

from pyrodis.metrics._arrays import Array, check_factors, check_same_length, factor_table
from pyrodis.metrics.score import Score, proportion_score


def factor_accuracies(
    predictions: Array, labels: Array, factor_names: Sequence[str], factor_sizes: Sequence[int]
) -> dict[str, Score]:
    r"""Share of items whose factor is predicted right, for each factor.

    :math:`\frac1N \sum_i 1[\hat y_{ij} = y_{ij}]` for factor j. Chance is one over the number of classes: what a guess
    scores that is uniform over the classes, or any guess where the labels are.

    Args:
        predictions: predicted class of each factor.
        labels: true class of each factor.
        factor_names: name of each column.
        factor_sizes: number of classes of each column.

    Shape:
        predictions, labels: (N, F), integers.

    Returns:
        Factor name -> share in [0, 1], with Wilson's 95 % interval.

    Raises:
        TypeError: predictions or labels are no integer arrays.
        ValueError: empty, of another shape, or a class out of range.

    Source:
        Plain accuracy; interval as in :func:`pyrodis.metrics.proportion_score`.

    Example:
        >>> import numpy as np
        >>> predictions, labels = np.array([[0, 1], [2, 1]]), np.array([[0, 1], [2, 0]])
        >>> scores = factor_accuracies(predictions, labels, ("action", "skin"), (9, 6))
        >>> scores["action"].value, scores["skin"].value
        (1.0, 0.5)
    """
    check_factors(factor_names, factor_sizes)
    predicted = factor_table(predictions, "predictions", factor_names, factor_sizes)
    true = factor_table(labels, "labels", factor_names, factor_sizes)
    check_same_length(predicted, "predictions", true, "labels")
    right = predicted == true
    return {name: proportion_score(right[:, j], 1 / factor_sizes[j]) for j, name in enumerate(factor_names)}
