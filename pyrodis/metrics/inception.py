"""Inception score of a judge's class probabilities, and the two entropies that it is made of."""

from __future__ import annotations

import math

import numpy as np
import torch

from pyrodis.metrics._arrays import Array, check_ndim, check_same_length, classes, entropy, finite
from pyrodis.metrics._bootstrap import bootstrap_intervals
from pyrodis.metrics.score import Score


def inception_scores(
    probabilities: Array, labels: Array | None = None, num_resamples: int = 1000, seed: int = 0
) -> dict[str, Score]:
    r"""Sharpness and variety of what a judge sees, as entropies and as one score.

    :math:`IS = \exp\,\mathbb E_x KL(p(y|x)\,\|\,p(y)) = \exp(H(y) - H(y|x))` with :math:`p(y) = \mathbb E_x p(y|x)`:
    H(y|x) is low when every item is clearly of one class, H(y) is high when all classes occur. With ``labels`` each
    class that occurs among them weighs the same, so an unbalanced test set does not lower the ceiling. Both sides of
    the identity are computed, separately. The chance levels are those of a judge or generator that says nothing about
    the item: IS 1 and H(y|x) = ln K for uniform answers, H(y) = 0 when one class alone occurs.

    Args:
        probabilities: the judge's softmax over K classes; rows sum to 1.
        labels: class that each item should have, for the class balance.
        num_resamples: size of the bootstrap (within classes when there are labels).
        seed: seed of the bootstrap.

    Shape:
        probabilities: (N, K). labels: (N,).

    Returns:
        "inception_score" (between 1 and K), "conditional_entropy" H(y|x) and "marginal_entropy" H(y) (nats).

    Raises:
        TypeError: no real numbers, or labels that are no integers.
        ValueError: empty, wrong shape, negative, rows that do not sum to 1, or labels out of range.
        RuntimeError: the identity does not hold (a numerical fault).

    Source:
        Salimans et al., "Improved techniques for training GANs", 2016. No splits into ten parts; any judge.

    Example:
        >>> scores = inception_scores(np.eye(9))
        >>> round(scores["inception_score"].value, 6), scores["conditional_entropy"].value
        (9.0, 0.0)
    """
    table = _check_probabilities(probabilities)
    num, num_classes = table.shape
    groups = np.zeros(num, dtype=np.int64)
    if labels is not None:
        groups = classes(labels, "labels", num_classes)
        check_ndim(groups, "labels", 1, "(N,)")
        check_same_length(table, "probabilities", groups, "labels")
    counts = np.bincount(groups)
    weights = 1.0 / (counts[groups] * np.count_nonzero(counts))
    item_entropies = entropy(table)

    def statistic(rows: np.ndarray) -> np.ndarray:
        conditional = weights[rows] @ item_entropies[rows]
        marginal = entropy(weights[rows] @ table[rows])
        return np.array([math.exp(marginal - conditional), conditional, marginal])

    value, low, high = bootstrap_intervals(statistic, groups, num_resamples, seed)
    _check_identity(table, weights, value[0])
    limit = math.log(num_classes)
    levels = {
        "inception_score": (1.0, num_classes),
        "conditional_entropy": (limit, 0.0),
        "marginal_entropy": (0.0, limit),
    }
    return {name: Score(value[i], low[i], high[i], *levels[name], num=num) for i, name in enumerate(levels)}


def _check_probabilities(probabilities: Array) -> np.ndarray:
    """Return the table of probabilities, rows summing to one exactly."""
    table = finite(probabilities, "probabilities")
    check_ndim(table, "probabilities", 2, "(N, K)")
    if table.shape[1] < 2:
        raise ValueError(f"probabilities must have at least 2 classes, got shape {table.shape}; pass the whole softmax")
    sums = table.sum(axis=1)
    if table.min() < 0 or abs(sums - 1).max() > 1e-3:
        raise ValueError(
            f"probabilities must be non-negative with rows that sum to 1, got minimum {table.min():.4g} and sums from "
            f"{sums.min():.4g} to {sums.max():.4g}; apply softmax to logits first"
        )
    return table / sums[:, None]


def _check_identity(table: np.ndarray, weights: np.ndarray, score: float) -> None:
    """Compare exp of the mean divergence from the marginal with the score from the two entropies."""
    rows = torch.from_numpy(table)
    divergences = (torch.xlogy(rows, rows) - torch.xlogy(rows, torch.from_numpy(weights @ table))).sum(1)
    other = math.exp(weights @ divergences.numpy())
    if not math.isclose(other, score, rel_tol=1e-6):
        raise RuntimeError(
            f"exp(E KL) and exp(H(y) - H(y|x)) must agree, got {other} and {score}; check the probabilities' precision"
        )
