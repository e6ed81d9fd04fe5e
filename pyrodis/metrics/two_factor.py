"""One number for an exchange of codes: what was kept must be kept, what was changed must be at chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyrodis.metrics._arrays import Array, check_factors, check_same_length, factor_table
from pyrodis.metrics._bootstrap import bootstrap_errors
from pyrodis.metrics.score import Score
from pyrodis.metrics.swap import check_dynamic


def two_factor_score(
    static_changed: Array,
    dynamic_changed: Array,
    labels: Array,
    factor_names: Sequence[str],
    factor_sizes: Sequence[int],
    dynamic: Sequence[str] = ("action",),
    num_resamples: int = 200,
    seed: int = 0,
) -> Score:
    r"""Score how far decodings keep the factors of the code that was kept, and lose those of the code that was changed.

    :math:`1 - \frac12 \bigl(\frac1F \sum_j |a^{kept}_j - 1| + \frac1F \sum_j |a^{changed}_j - 1/K_j|\bigr)`, where
    :math:`a_j` is the share of decodings whose factor j a judge reads as the item's own label, once where the code of j
    was kept and once where it was changed, and :math:`K_j` the number of its classes. With codes of other items it is
    the two-factor **swap** score, with codes drawn from the prior the two-factor **sample** score.

    A model that ignores the changed code and one that decodes nothing both score
    :math:`1 - \frac1{2F} \sum_j (1 - 1/K_j)`, over a half; that is the chance level. Which of the two it is, and which
    factor fails, :func:`pyrodis.metrics.two_sided_scores` says of the same arrays.

    Args:
        static_changed: the judge's classes where the static code was changed and the dynamic one kept.
        dynamic_changed: the judge's classes where the dynamic code was changed and the static one kept.
        labels: the items' own classes.
        factor_names: name of each factor.
        factor_sizes: number of classes of each factor.
        dynamic: the factors that belong to the dynamic code; the others belong to the static code.
        num_resamples: size of the bootstrap.
        seed: seed of the bootstrap.

    Shape:
        static_changed, dynamic_changed, labels: (N, F), integers, item i in row i throughout.

    Returns:
        The score, at most 1, with 1.96 standard deviations of the bootstrap over items, cut to [0, 1]; ceiling 1.

    Raises:
        TypeError: no integer arrays.
        ValueError: shapes or lengths differ, a class is out of range, ``dynamic`` does not split the factors in two, or
            fewer than 2 resamples.

    Source:
        "Disentanglement beyond static vs. dynamic: a benchmark and evaluation framework for multi-factor sequential
        representations", arXiv 2510.17313, 2025; the value equals that of its code on the same hits. There a classifier
        finds which part of a code is static; here the codes are two. Chance and interval are added here.

    Example:
        >>> labels = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
        >>> static_changed, dynamic_changed = labels[:, [0, 0]], labels[:, [1, 1]]
        >>> score = two_factor_score(static_changed, dynamic_changed, labels, ("action", "skin"), (2, 2))
        >>> score.value, score.chance
        (1.0, 0.75)
    """
    check_factors(factor_names, factor_sizes)
    check_dynamic(factor_names, dynamic)
    own = factor_table(labels, "labels", factor_names, factor_sizes)
    hits = []
    for name, array in (("static_changed", static_changed), ("dynamic_changed", dynamic_changed)):
        read = factor_table(array, name, factor_names, factor_sizes)
        check_same_length(read, name, own, "labels")
        hits.append(read == own)
    is_dynamic = np.array([name in dynamic for name in factor_names])
    kept, changed = np.where(is_dynamic, hits[0], hits[1]), np.where(is_dynamic, hits[1], hits[0])
    floors, num = 1 / np.asarray(factor_sizes), len(own)

    def statistic(weights: np.ndarray) -> np.ndarray:
        off = (1 - weights @ kept / num).mean() + np.abs(weights @ changed / num - floors).mean()
        return np.array([1 - off / 2])

    values, errors = bootstrap_errors(statistic, num, num_resamples, seed)
    value, error = float(values[0]), float(errors[0])
    low, high = max(0.0, value - error), min(1.0, value + error)
    return Score(value, low, high, chance=1 - float((1 - floors).mean()) / 2, ceiling=1.0, num=num)
