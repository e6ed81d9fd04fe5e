"""Do the masks of components lie where the items are? Rand index, overlap, and who draws an item."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyrodis.metrics._arrays import Array, check_count, check_ndim, check_not_empty, finite, to_numpy
from pyrodis.metrics.score import Score, mean_score, proportion_score


def adjusted_rand_index(
    true_masks: Array, predicted_masks: Array, foreground: bool = True, min_groups: int = 2
) -> Score:
    r"""Agreement of two ways to cut scenes into groups of pixels, whatever the groups are called.

    :math:`(R - \mathbb E R) / (\max R - \mathbb E R)` for the number R of pairs of pixels that are together in both;
    the expectation is over groupings with groups of the same sizes. An average over scenes. A pixel belongs to the
    component of its largest mask. With true masks of item types, two items of one type are one group, as they are
    rightly drawn by one component.

    Args:
        true_masks: which pixels belong to which group, the background last; a pixel of none is not counted.
        predicted_masks: masks of the components, booleans or weights.
        foreground: whether to leave the pixels of the background out.
        min_groups: least number of true groups with a counted pixel; scenes with fewer are left out, since a single
            group scores 1 if it is whole and else 0.

    Shape:
        true_masks: (N, M + 1, H, W), bool; predicted_masks: (N, K, H, W).

    Returns:
        The score, at most 1; chance 0, ceiling 1, ``num`` the scenes that count.

    Raises:
        TypeError: no arrays, true masks that are not boolean, or a count that is no integer.
        ValueError: shapes that do not fit, NaN, a pixel of two groups, or no scene with enough groups.

    Source:
        Hubert and Arabie, "Comparing partitions", 1985; over the foreground alone as in Greff et al., "Multi-object
        representation learning with iterative variational inference", 2019.

    Example:
        >>> truth = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=bool).reshape(1, 3, 1, 4)
        >>> swapped = np.array([[0.1, 0.2, 0.9, 0.9], [0.9, 0.8, 0.1, 0.1]]).reshape(1, 2, 1, 4)
        >>> adjusted_rand_index(truth, swapped).value
        1.0
    """
    values = adjusted_rand_index_by_scene(true_masks, predicted_masks, foreground, min_groups)
    values = values[~np.isnan(values)]
    if len(values) == 0:
        raise ValueError(
            f"true_masks must hold scenes of at least {min_groups} groups, got none; add scenes or lower min_groups"
        )
    return mean_score(values, chance=0.0, ceiling=1.0)


def adjusted_rand_index_by_scene(
    true_masks: Array, predicted_masks: Array, foreground: bool = True, min_groups: int = 2
) -> np.ndarray:
    r"""Adjusted Rand index of each scene.

    As :func:`adjusted_rand_index`, before the average; for the worst and best scenes.

    Args:
        true_masks: which pixels belong to which group, the background last; a pixel of none is not counted.
        predicted_masks: masks of the components, booleans or weights.
        foreground: whether to leave the pixels of the background out.
        min_groups: least number of true groups with a counted pixel.

    Shape:
        true_masks: (N, M + 1, H, W), bool; predicted_masks: (N, K, H, W).

    Returns:
        Indices (N,), at most 1; NaN where a scene has fewer groups.

    Raises:
        TypeError: no arrays, true masks that are not boolean, or a count that is no integer.
        ValueError: shapes that do not fit, NaN, or a pixel of two groups.

    Source:
        As :func:`adjusted_rand_index`.

    Example:
        >>> truth = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=bool).reshape(1, 3, 1, 4)
        >>> adjusted_rand_index_by_scene(truth, truth, min_groups=3)
        array([nan])
    """
    check_count(min_groups, "min_groups")
    truth, weights = _checked(true_masks, predicted_masks, "true_masks")
    if (truth.sum(axis=1) > 1).any():
        raise ValueError("true_masks must not overlap, got pixels of two groups; pass the visible part of each item")
    if foreground:
        truth = truth[:, :-1]
    num, groups, num_components = len(truth), truth.shape[1], weights.shape[1]
    cells = (np.arange(num)[:, None, None] * groups + truth.argmax(axis=1)) * num_components + weights.argmax(axis=1)
    counts = np.bincount(cells[truth.any(axis=1)], minlength=num * groups * num_components)
    table = counts.reshape(num, groups, num_components).astype(np.float64)
    total = table.sum(axis=(1, 2))
    squares = (table**2).sum(axis=(1, 2))
    rows, columns = (table.sum(axis=2) ** 2).sum(axis=1), (table.sum(axis=1) ** 2).sum(axis=1)
    # ordered pairs of pixels: together in both, apart in both, and together in one alone
    together, split, merged = squares - total, rows - squares, columns - squares
    apart = total * (total - 1) - together - split - merged
    scale = (together + split) * (split + apart) + (together + merged) * (merged + apart)
    equal = (split == 0) & (merged == 0)
    index = np.where(equal, 1.0, 2 * (together * apart - split * merged) / np.where(equal, 1.0, scale))
    return np.where((table.sum(axis=2) > 0).sum(axis=1) >= min_groups, index, np.nan)


def mask_iou(
    type_masks: Array, predicted_masks: Array, type_names: Sequence[str], foreground: bool = True
) -> dict[str, Score]:
    r"""Overlap of component k's pixels with those of item type k, in the scenes that hold the type.

    :math:`|T_k \cap C_k| / |T_k \cup C_k|`, where a pixel is in :math:`C_k` if k has its largest mask.

    Args:
        type_masks: which pixels belong to which type, type k that of component k, the background last.
        predicted_masks: masks of the components, booleans or weights.
        type_names: name of each type.
        foreground: whether to leave the pixels of the background out: where all components draw it alike, as black
            around digits, nothing says who should own it.

    Shape:
        type_masks: (N, K + 1, H, W), bool; predicted_masks: (N, K, H, W).

    Returns:
        Name of the type -> overlap in [0, 1]. Chance is that of pixels given to components evenly at random, with the
        expectation of numerator and denominator; the ceiling is 1.

    Raises:
        TypeError: no arrays, or masks that are not boolean.
        ValueError: shapes that do not fit, NaN, or a type that no scene holds.

    Source:
        Jaccard, "The distribution of the flora in the alpine zone", 1912.

    Example:
        >>> truth = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=bool).reshape(1, 3, 1, 4)
        >>> masks = np.array([[0.9, 0.2, 0.1, 0.9], [0.1, 0.8, 0.9, 0.1]]).reshape(1, 2, 1, 4)
        >>> {name: score.value for name, score in mask_iou(truth, masks, ("zero", "one")).items()}
        {'zero': 0.5, 'one': 0.5}
    """
    truth, weights = _checked(type_masks, predicted_masks, "type_masks")
    num_components = weights.shape[1]
    if truth.shape[1] != num_components + 1:
        raise ValueError(
            f"type_masks must have one mask for each of the {num_components} components and one of the background, got "
            f"{truth.shape[1]}; merge the items of one type first"
        )
    if len(type_names) != num_components or len(set(type_names)) != num_components:
        raise ValueError(f"type_names must be {num_components} different names, got {tuple(type_names)}; name each")
    counted = np.asarray((truth[:, :-1] if foreground else np.ones_like(truth)).any(axis=1))
    owned = weights.argmax(axis=1)
    scores = {}
    for number, name in enumerate(type_names):
        there = truth[:, number].any(axis=(1, 2))
        if not there.any():
            raise ValueError(f"type_masks must hold pixels of every type, got none of {name!r}; add such scenes")
        wanted, pixels = truth[there, number], counted[there]
        got = (owned[there] == number) & pixels
        overlap, union = (both.sum(axis=(1, 2)) for both in (wanted & got, wanted | got))
        size = wanted.sum(axis=(1, 2))
        chance = size / num_components / (size + (pixels.sum(axis=(1, 2)) - size) / num_components)
        scores[name] = mean_score(overlap / union, chance=float(chance.mean()), ceiling=1.0)
    return scores


def owner_accuracy(item_masks: Array, predicted_masks: Array, types: Array) -> Score:
    r"""Share of the items whose owner is the component of their type.

    The owner of an item is :math:`\arg\max_k \sum_{p \in \text{item}} m_{kp}`, the component with most mask on its
    visible pixels.

    Args:
        item_masks: which pixels belong to which item, the background last.
        predicted_masks: masks of the components, booleans or weights of 0 or more.
        types: number of the component that each item belongs to; an item of any other number (an empty slot, a type
            that no component has learnt) and one without a pixel are not counted.

    Shape:
        item_masks: (N, M + 1, H, W), bool; predicted_masks: (N, K, H, W); types: (N, M), integers.

    Returns:
        The score, a share in [0, 1], over items; chance 1 / K, ceiling 1. Its interval takes the items as independent.

    Raises:
        TypeError: no arrays, masks that are not boolean, or types that are no integers.
        ValueError: shapes that do not fit, NaN, negative masks, or no item to count.

    Source:
        Ours.

    Example:
        >>> items = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=bool).reshape(1, 3, 1, 4)
        >>> masks = np.array([[0.9, 0.2, 0.1, 0.9], [0.1, 0.8, 0.9, 0.1]]).reshape(1, 2, 1, 4)
        >>> owner_accuracy(items, masks, np.array([[0, 0]])).value
        0.5
    """
    items, weights = _checked(item_masks, predicted_masks, "item_masks")
    if weights.min() < 0:
        raise ValueError(f"predicted_masks must be 0 or more, got {weights.min()}; pass them after the softmax")
    numbers = to_numpy(types, "types")
    if numbers.dtype.kind not in "iu":
        raise TypeError(f"types must hold integers, got dtype {numbers.dtype}; pass the number of a component")
    if numbers.shape != (len(items), items.shape[1] - 1):
        raise ValueError(
            f"types must have one entry for each mask but the background, {(len(items), items.shape[1] - 1)}, got "
            f"{numbers.shape}"
        )
    num_components = weights.shape[1]
    mass = np.einsum("nmhw,nkhw->nmk", items[:, :-1], weights, optimize=True)
    counted = items[:, :-1].any(axis=(2, 3)) & (numbers >= 0) & (numbers < num_components)
    if not counted.any():
        raise ValueError(f"types must name a component, 0 to {num_components - 1}, of at least one visible item")
    return proportion_score((mass.argmax(axis=2) == numbers)[counted], chance=1 / num_components)


def _checked(truth: Array, predicted: Array, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return true masks as booleans and predicted ones as numbers, of scenes of the same size."""
    masks = to_numpy(truth, name)
    if masks.dtype != np.bool_:
        raise TypeError(f"{name} must hold booleans, got dtype {masks.dtype}; compare with a threshold first")
    check_ndim(masks, name, 4, "(N, M + 1, H, W)")
    check_not_empty(masks, name)
    if masks.shape[1] < 2:
        raise ValueError(f"{name} must hold the background as its last mask besides others, got shape {masks.shape}")
    weights = finite(predicted, "predicted_masks")
    check_ndim(weights, "predicted_masks", 4, "(N, K, H, W)")
    if masks.shape[:1] + masks.shape[2:] != weights.shape[:1] + weights.shape[2:]:
        raise ValueError(
            f"{name} and predicted_masks must be of the same scenes and size, got {masks.shape} and {weights.shape}; "
            "resize the masks"
        )
    return masks, weights
