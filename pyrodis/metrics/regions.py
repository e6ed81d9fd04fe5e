"""Reconstruction error region by region: inside an object, on its edge, on the background."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyrodis.metrics._arrays import Array, finite, to_numpy
from pyrodis.metrics.score import Score, mean_score

REGION_NAMES = ("inside", "edge", "background")


def region_errors(
    frames: Array, reconstructions: Array, masks: Array, region_names: Sequence[str] = REGION_NAMES
) -> dict[str, Score]:
    r"""Mean squared error per pixel in each region.

    :math:`\frac1N \sum_i \sum_{p \in r_i} (x_{ip} - \hat x_{ip})^2 / |r_i|`: an average over the items of
    :func:`region_errors_by_item`, so a small region of an item counts as much as a large one. Chance is the error of
    the mean frame of these items.

    Args:
        frames: true frames.
        reconstructions: their reconstructions.
        masks: which pixels belong to which region; every pixel belongs to one.
        region_names: name of each region, in the order of the masks.

    Shape:
        frames, reconstructions: (N, C, H, W) or (N, T, C, H, W); masks: (N, R, H, W) or (N, T, R, H, W), bool.

    Returns:
        Name of the region -> error in squared units of the pixels, with its interval over the items that have the
        region; the ceiling is 0, since less is better.

    Raises:
        TypeError: no arrays of real numbers, or masks that are not boolean.
        ValueError: shapes that do not fit, NaN, masks that leave out or share a pixel, or a region that no item has.

    Source:
        Zaharia, Peters, Cunningham and Kriegeskorte, "Analyzing disentanglement of visual objects in semi-supervised
        neural networks", whose tables have these three regions.

    Example:
        >>> frames, masks = np.ones((2, 1, 2, 2)), np.zeros((2, 3, 2, 2), dtype=bool)
        >>> masks[:, 0, 0, 0], masks[:, 1, 0, 1], masks[:, 2, 1] = True, True, True
        >>> scores = region_errors(frames, frames * np.array([[1.0, 0.5], [0.9, 0.9]]), masks)
        >>> {name: round(score.value, 6) for name, score in scores.items()}
        {'inside': 0.0, 'edge': 0.25, 'background': 0.01}
    """
    errors = region_errors_by_item(frames, reconstructions, masks)
    if len(region_names) != errors.shape[1]:
        raise ValueError(
            f"region_names must name the {errors.shape[1]} regions of masks, got {tuple(region_names)}; name each"
        )
    x = finite(frames, "frames")
    uninformed = region_errors_by_item(x, np.broadcast_to(x.mean(axis=0), x.shape), masks)
    scores = {}
    for name, column, blind in zip(region_names, errors.T, uninformed.T):
        present = ~np.isnan(column)
        if not present.any():
            raise ValueError(f"masks must hold pixels of every region, got none of {name!r}; check how they were made")
        scores[name] = mean_score(column[present], chance=float(blind[present].mean()), ceiling=0.0)
    return scores


def region_errors_by_item(frames: Array, reconstructions: Array, masks: Array) -> np.ndarray:
    r"""Mean squared error per pixel of each item in each region.

    :math:`\sum_{p \in r_i} (x_{ip} - \hat x_{ip})^2 / |r_i|` over the pixels, channels and frames of item i. For maps
    over positions and for the worst and best items; merge items and frames first to have an error a frame.

    Args:
        frames: true frames.
        reconstructions: their reconstructions.
        masks: which pixels belong to which region; every pixel belongs to one.

    Shape:
        frames, reconstructions: (N, C, H, W) or (N, T, C, H, W); masks: (N, R, H, W) or (N, T, R, H, W), bool.

    Returns:
        Errors (N, R), in squared units of the pixels; NaN where an item has no pixel of the region.

    Raises:
        TypeError: no arrays of real numbers, or masks that are not boolean.
        ValueError: shapes that do not fit, NaN, or masks that leave out or share a pixel.

    Source:
        As :func:`region_errors`.

    Example:
        >>> masks = np.array([[[[True, False]], [[False, True]]]])
        >>> region_errors_by_item(np.ones((1, 1, 1, 2)), np.array([[[[1.0, 3.0]]]]), masks).tolist()
        [[0.0, 4.0]]
    """
    x, y = finite(frames, "frames"), finite(reconstructions, "reconstructions")
    if x.ndim not in (4, 5) or x.shape != y.shape:
        raise ValueError(
            f"frames and reconstructions must have the same shape (N, C, H, W) or (N, T, C, H, W), got {x.shape} and "
            f"{y.shape}; pass one reconstruction for each item"
        )
    regions = _checked_masks(masks, x.shape)
    squared = ((x - y) ** 2).mean(axis=-3, keepdims=True)
    axes = tuple(axis for axis in range(1, x.ndim) if axis != x.ndim - 3)
    sums, counts = (squared * regions).sum(axis=axes), regions.sum(axis=axes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _checked_masks(masks: Array, shape: tuple[int, ...]) -> np.ndarray:
    regions = to_numpy(masks, "masks")
    if regions.dtype != np.bool_:
        raise TypeError(f"masks must hold booleans, got dtype {regions.dtype}; compare with a threshold first")
    if regions.ndim != len(shape) or regions.shape[:-3] != shape[:-3] or regions.shape[-2:] != shape[-2:]:
        expected = ", ".join(map(str, [*shape[:-3], "R", *shape[-2:]]))
        raise ValueError(
            f"masks must have shape ({expected}) beside frames of shape {shape}, got {regions.shape}; "
            "pass one mask for each region"
        )
    counts = regions.sum(axis=-3)
    if (counts != 1).any():
        raise ValueError(
            f"masks must put every pixel in one region, got {int((counts == 0).sum())} pixels in none and "
            f"{int((counts > 1).sum())} in several; let the last region be the rest"
        )
    return regions
