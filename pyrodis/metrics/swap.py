"""The two-sided table: what must be kept is kept, what must change changes, as a judge reads it off the decodings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from pyrodis.metrics._arrays import (
    Array,
    check_count,
    check_factors,
    check_ndim,
    check_same_length,
    classes,
    entropy,
    factor_table,
)
from pyrodis.metrics._bootstrap import bootstrap_intervals
from pyrodis.metrics.score import Score, proportion_score, share_score

# row -> what a static factor and what a dynamic factor of the decoding should be
_WANTED: dict[str, tuple[str, str]] = {
    "reconstruction": ("own", "own"),
    "static_sampled": ("chance", "own"),
    "static_swapped": ("donor", "own"),
    "dynamic_sampled": ("own", "chance"),
    "dynamic_swapped": ("own", "donor"),
}
MEAN_NAME = "attributes"


def two_sided_wanted(factor_names: Sequence[str], dynamic: Sequence[str] = ("action",)) -> dict[str, str]:
    """Say what each entry of the two-sided table should show.

    "own": the factor is kept, so agreement with the item's own label should be 1. "donor": it is replaced, so
    agreement with the donor's label should be 1. "chance": it is drawn anew, so agreement with the own label should
    be at chance, neither above (leakage) nor below.

    Args:
        factor_names: name of each factor.
        dynamic: the factors that belong to the dynamic code; the others belong to the static code.

    Returns:
        "row/factor" -> "own", "donor" or "chance", with the keys and the order of :func:`two_sided_scores`.

    Raises:
        ValueError: a dynamic factor that is not among the names, no static or no dynamic factor, or a factor that is
            called "attributes".

    Source:
        The table itself; see :func:`two_sided_scores`.

    Example:
        >>> two_sided_wanted(("action", "skin"))["static_sampled/skin"]
        'chance'
    """
    check_dynamic(factor_names, dynamic)
    wanted: dict[str, str] = {}
    for row, (static_target, dynamic_target) in _WANTED.items():
        wanted |= {f"{row}/{name}": dynamic_target if name in dynamic else static_target for name in factor_names}
        wanted[f"{row}/{MEAN_NAME}"] = static_target
    return wanted


def two_sided_scores(
    predictions: Mapping[str, Array],
    labels: Mapping[str, Array],
    factor_names: Sequence[str],
    factor_sizes: Sequence[int],
    dynamic: Sequence[str] = ("action",),
) -> dict[str, Score]:
    r"""Agreement of what a judge reads off decodings with what it should read, for every factor and exchange.

    :math:`\frac1N \sum_i 1[\hat y_{ij} = t_{ij}]`, where the target t is the own label for a factor that is kept or
    drawn anew and the donor's label for one that is swapped in; :func:`two_sided_wanted` lists which. A model that
    ignores the exchanged code keeps everything: it scores 1 on the kept side alone, and so fails here.

    Rows: "reconstruction" decodes the posterior means; "static_sampled" draws f from its prior and keeps z;
    "static_swapped" takes f from the donor; "dynamic_sampled" draws z from its prior and keeps f; "dynamic_swapped"
    takes z from the donor. Each row also has "row/attributes", the mean over the static factors. Entries that are
    wanted at chance have the chance level as the aim; their ceiling of 1 would be complete leakage.

    Where donor and item happen to share a value nothing special is done: agreement counts for both, which for
    independent donors is a share of one over the number of classes, the chance level of the swapped entries.

    Args:
        predictions: row -> the judge's class of each factor of each decoding.
        labels: "own" -> labels of the items, "donor" -> labels of the items that the swapped code is taken from.
        factor_names: name of each factor.
        factor_sizes: number of classes of each factor.
        dynamic: the factors that belong to the dynamic code; the others belong to the static code.

    Shape:
        predictions[row], labels["own"], labels["donor"]: (N, F), integers, item i in row i throughout.

    Returns:
        "row/factor" -> share in [0, 1] with Wilson's 95 % interval. That of a mean over the static factors counts
        every item once, which is on the safe side.

    Raises:
        TypeError: no integer arrays.
        ValueError: a row or label set is missing or unknown, shapes or lengths differ, a class is out of range, or
            ``dynamic`` does not split the factors in two.

    Source:
        Action accuracy after drawing f anew is the figure of Li and Mandt, "Disentangled sequential autoencoder",
        2018, and its successors; the other side, the swaps and the chance levels are added here.

    Example:
        >>> own, donor = np.array([[0, 1], [1, 0]]), np.array([[1, 0], [0, 1]])
        >>> names = ("reconstruction", "static_sampled", "static_swapped", "dynamic_sampled", "dynamic_swapped")
        >>> ignores_f = {name: own for name in names}
        >>> scores = two_sided_scores(ignores_f, {"own": own, "donor": donor}, ("action", "skin"), (2, 2))
        >>> scores["static_swapped/action"].value, scores["static_swapped/skin"].value
        (1.0, 0.0)
    """
    check_factors(factor_names, factor_sizes)
    wanted = two_sided_wanted(factor_names, dynamic)
    _check_keys(predictions, "predictions", tuple(_WANTED))
    _check_keys(labels, "labels", ("own", "donor"))
    targets = {name: factor_table(labels[name], f"labels[{name!r}]", factor_names, factor_sizes) for name in labels}
    check_same_length(targets["own"], "labels['own']", targets["donor"], "labels['donor']")
    chances = dict(zip(factor_names, (1 / size for size in factor_sizes), strict=True))
    static = [name not in dynamic for name in factor_names]
    mean_chance = float(np.mean([chances[name] for name in factor_names if name not in dynamic]))
    scores: dict[str, Score] = {}
    for row in _WANTED:
        read = factor_table(predictions[row], f"predictions[{row!r}]", factor_names, factor_sizes)
        check_same_length(read, f"predictions[{row!r}]", targets["own"], "labels['own']")
        from_donor = [wanted[f"{row}/{name}"] == "donor" for name in factor_names]
        agrees = read == np.where(from_donor, targets["donor"], targets["own"])
        scores |= {
            f"{row}/{name}": proportion_score(agrees[:, j], chances[name]) for j, name in enumerate(factor_names)
        }
        scores[f"{row}/{MEAN_NAME}"] = share_score(agrees[:, static].mean(axis=1), mean_chance)
    return scores


def class_histogram(predictions: Array, size: int) -> np.ndarray:
    r"""Share of each class among the predictions.

    :math:`h_k = \frac1N \sum_i 1[\hat y_i = k]`: uniform when unconditional samples are as varied as the data.

    Args:
        predictions: predicted classes.
        size: number of classes.

    Shape:
        predictions: (N,), integers.

    Returns:
        Shares (size,), summing to 1.

    Raises:
        TypeError: no integer array, or a size that is no integer.
        ValueError: empty, not of rank 1, or a class out of range.

    Source:
        A histogram.

    Example:
        >>> class_histogram(np.array([0, 0, 2, 2]), 3).tolist()
        [0.5, 0.0, 0.5]
    """
    check_count(size, "size")
    values = classes(predictions, "predictions", size)
    check_ndim(values, "predictions", 1, "(N,)")
    return np.bincount(values, minlength=size) / len(values)


def histogram_entropy(predictions: Array, size: int, num_resamples: int = 1000, seed: int = 0) -> Score:
    r"""Entropy of the classes that occur among the predictions.

    :math:`H(h) = -\sum_k h_k \ln h_k` of :func:`class_histogram`: ln K when all classes occur equally often, 0 (given
    as chance) when the generator makes one class alone.

    Args:
        predictions: predicted classes.
        size: number of classes K, at least 2.
        num_resamples: size of the bootstrap.
        seed: seed of the bootstrap.

    Shape:
        predictions: (N,), integers.

    Returns:
        The entropy (nats), with its bootstrap interval.

    Raises:
        TypeError: no integer array, or a size that is no integer.
        ValueError: empty, not of rank 1, a class out of range, or fewer than 2 classes.

    Source:
        Shannon's entropy of the plug-in histogram (biased down by about (K - 1) / 2N).

    Example:
        >>> round(histogram_entropy(np.array([0, 1, 0, 1]), 2, num_resamples=10).value, 4)
        0.6931
    """
    shares = class_histogram(predictions, size)
    if size < 2:
        raise ValueError(f"size must be at least 2, got {size}; one class has no entropy")
    num = len(predictions)
    labels = np.repeat(np.arange(size), np.rint(shares * num).astype(np.int64))

    def statistic(rows: np.ndarray) -> np.ndarray:
        return entropy(np.bincount(labels[rows], minlength=size) / num)[None]

    value, low, high = bootstrap_intervals(statistic, np.zeros(num), num_resamples, seed)
    return Score(value[0], low[0], high[0], chance=0.0, ceiling=math.log(size), num=num)


def _check_keys(mapping: Mapping[str, Array], name: str, expected: tuple[str, ...]) -> None:
    """Refuse a mapping that lacks a key or has one too many."""
    if set(mapping) != set(expected):
        raise ValueError(f"{name} must have the keys {expected}, got {tuple(mapping)}; pass every one and no other")


def check_dynamic(factor_names: Sequence[str], dynamic: Sequence[str]) -> None:
    """Refuse a split of the factors that leaves one side empty or names a factor that does not exist."""
    if isinstance(dynamic, str):
        raise TypeError(f"dynamic must be a sequence of factor names, got the string {dynamic!r}; write ({dynamic!r},)")
    if MEAN_NAME in factor_names:
        raise ValueError(f"factor_names must not contain {MEAN_NAME!r}, the name of the mean; rename that factor")
    unknown = [name for name in dynamic if name not in factor_names]
    if unknown or not 0 < len(set(dynamic)) < len(factor_names):
        raise ValueError(
            f"dynamic must name some but not all of the factors {tuple(factor_names)}, got {tuple(dynamic)}; "
            "list the factors of the dynamic code"
        )
