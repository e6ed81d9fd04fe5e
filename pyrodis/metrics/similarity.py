"""Do codes of pairs that share something point the same way? Cosine similarities and their AUC."""

from __future__ import annotations

import numpy as np

from pyrodis.metrics._arrays import Array, check_ndim, check_not_empty, check_same_length, finite, to_numpy
from pyrodis.metrics._bootstrap import bootstrap_intervals
from pyrodis.metrics.score import Score


def cosine_similarities(codes_a: Array, codes_b: Array) -> np.ndarray:
    r"""Cosine of the angle between the two codes of each pair.

    :math:`c_i = a_i \cdot b_i / (|a_i| |b_i|)`; codes of sequences are flattened over time, so that frame t of one is
    compared with frame t of the other.

    Args:
        codes_a: codes of the first items.
        codes_b: codes of the second items.

    Shape:
        codes_a, codes_b: (N, D) or (N, T, D), equal.

    Returns:
        Similarities (N,), in [-1, 1].

    Raises:
        TypeError: no arrays of real numbers.
        ValueError: empty, shapes that differ, NaN, or a code of length zero (which has no direction).

    Source:
        Das and Dandi, "Learning disentangled representations from sequential data": its comparison of pairs.

    Example:
        >>> cosine_similarities(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[2.0, 0.0], [0.0, 3.0]])).tolist()
        [1.0, 0.0]
    """
    first, second = finite(codes_a, "codes_a"), finite(codes_b, "codes_b")
    if first.shape != second.shape or first.ndim < 2:
        raise ValueError(
            f"codes_a and codes_b must have the same shape (N, D) or (N, T, D), got {first.shape} and {second.shape}; "
            "pass one row for each pair"
        )
    first, second = first.reshape(len(first), -1), second.reshape(len(second), -1)
    lengths = np.stack([np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)])
    if lengths.min() == 0:
        pair = int(np.argwhere(lengths == 0)[0, 1])
        raise ValueError(f"codes must not be zero, got a zero code in pair {pair}; a dead code has no direction")
    cosines = ((first / lengths[0][:, None]) * (second / lengths[1][:, None])).sum(axis=1)
    return np.clip(cosines, -1.0, 1.0)  # rounding alone: both vectors have length one


def cosine_auc(codes_a: Array, codes_b: Array, same: Array, num_resamples: int = 1000, seed: int = 0) -> Score:
    r"""Probability that a pair that shares the factor is more similar than a pair that does not.

    :math:`P(c_{same} > c_{different}) + \frac12 P(c_{same} = c_{different})`: the area under the ROC curve of the
    cosine similarity. It is 1 where one threshold separates the two kinds of pairs, and 0.5 where the code says
    nothing about the factor. Below 0.5 the code says it the wrong way round.

    Args:
        codes_a: codes of the first items.
        codes_b: codes of the second items.
        same: whether the pair shares the factor.
        num_resamples: size of the bootstrap, within the two kinds of pairs.
        seed: seed of the bootstrap.

    Shape:
        codes_a, codes_b: (N, D) or (N, T, D). same: (N,), booleans.

    Returns:
        The score, in [0, 1]; chance 0.5, ceiling 1. Its interval takes the pairs as independent.

    Raises:
        TypeError: no arrays, or ``same`` is not boolean.
        ValueError: as :func:`cosine_similarities`, lengths that differ, or pairs of one kind only.

    Source:
        Das and Dandi, "Learning disentangled representations from sequential data"; they print 12 pairs, this ranks
        any number.

    Example:
        >>> a, b = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 0.1], [0.0, 1.0]])
        >>> cosine_auc(a, b, np.array([True, False]), num_resamples=10).value
        1.0
    """
    cosines = cosine_similarities(codes_a, codes_b)
    kinds = to_numpy(same, "same")
    if kinds.dtype != np.bool_:
        raise TypeError(f"same must hold booleans, got dtype {kinds.dtype}; compare the labels of each pair")
    check_ndim(kinds, "same", 1, "(N,)")
    check_not_empty(kinds, "same")
    check_same_length(cosines, "codes_a", kinds, "same")
    if kinds.all() or not kinds.any():
        raise ValueError(
            f"same must hold both kinds of pairs, got {len(kinds)} times {bool(kinds[0])}; add the other kind"
        )

    def statistic(rows: np.ndarray) -> np.ndarray:
        similar, different = cosines[rows[kinds[rows]]], np.sort(cosines[rows[~kinds[rows]]])
        below = np.searchsorted(different, similar, "left") + np.searchsorted(different, similar, "right")
        return np.array([below.mean() / (2 * len(different))])

    value, low, high = bootstrap_intervals(statistic, kinds, num_resamples, seed)
    return Score(value[0], low[0], high[0], chance=0.5, ceiling=1.0, num=len(kinds))
