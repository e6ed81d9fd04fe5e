"""How far behind is the disc of a reconstruction? Centroid paths, and the shift in time that aligns them best."""

from __future__ import annotations

import math

import numpy as np

from pyrodis.metrics._arrays import Array, check_count, finite, to_numpy
from pyrodis.metrics._bootstrap import bootstrap_intervals
from pyrodis.metrics.score import Score


def disc_centroid(frames: Array, threshold: float = 0.85) -> np.ndarray:
    r"""Center of what is brighter than a threshold, in every frame.

    :math:`\sum_p w_p\, p / \sum_p w_p` with :math:`w_p = \max(x_p - \text{threshold}, 0)`, summed over channels. With
    the default it is the white disc in front of a background of at most .8. Where a reconstruction may be too dim for
    that, subtract the background first and take a low threshold.

    Args:
        frames: frames, or frames minus their backgrounds.
        threshold: brightness that counts for nothing.

    Shape:
        frames: (..., C, H, W).

    Returns:
        Centers (..., 2) as (column, row) in pixels, 0 the middle of the first; NaN where nothing is bright enough.

    Raises:
        TypeError: no array of real numbers.
        ValueError: fewer than three axes, NaN, or a threshold that is not finite.

    Source:
        The center of mass.

    Example:
        >>> frames = np.zeros((1, 4, 5))
        >>> frames[0, 2, 3] = 1.0
        >>> disc_centroid(frames).round(6).tolist()
        [3.0, 2.0]
    """
    values = finite(frames, "frames")
    if values.ndim < 3:
        raise ValueError(f"frames must have shape (..., C, H, W), got {values.shape}; add a channel dimension")
    if not math.isfinite(threshold):
        raise ValueError(f"threshold must be finite, got {threshold}; the disc is white, so 0.85 is usual")
    weights = np.maximum(values - threshold, 0.0).sum(axis=-3)
    total = weights.sum(axis=(-2, -1))
    height, width = weights.shape[-2:]
    sums = np.stack(
        [(weights.sum(axis=-2) * np.arange(width)).sum(-1), (weights.sum(axis=-1) * np.arange(height)).sum(-1)], -1
    )
    seen = (total > 0)[..., None]
    return np.where(seen, sums / np.where(seen, total[..., None], 1.0), np.nan)


def centroid_lag(
    frames: Array, reconstructions: Array, threshold: float = 0.85, max_lag: int = 2, num_resamples: int = 1000
) -> Score:
    r"""Shift in time that best aligns the disc of the reconstructions with that of the frames.

    :func:`lag_of_paths` of the :func:`disc_centroid` of both. Frame t of the reconstructions must be the one that is
    meant to show frame t.

    Args:
        frames: true frames.
        reconstructions: their reconstructions.
        threshold: brightness that counts for nothing.
        max_lag: largest lag, ahead or behind, that is looked for.
        num_resamples: size of the bootstrap.

    Shape:
        frames, reconstructions: (N, T, C, H, W).

    Returns:
        The lag in frames, as :func:`lag_of_paths`.

    Raises:
        TypeError: as :func:`lag_of_paths`.
        ValueError: as :func:`lag_of_paths`, or a frame without a disc.

    Source:
        As :func:`lag_of_paths`.

    Example:
        >>> frames = np.zeros((2, 7, 1, 3, 9))
        >>> frames[:, range(7), 0, 1, range(7)] = 1.0
        >>> round(centroid_lag(frames[:, 1:], frames[:, :-1], num_resamples=10).value, 6)
        1.0
    """
    for name, values in (("frames", frames), ("reconstructions", reconstructions)):
        if to_numpy(values, name).ndim != 5:
            raise ValueError(f"{name} must have shape (N, T, C, H, W), got {tuple(values.shape)}; pass whole sequences")
    paths = disc_centroid(reconstructions, threshold), disc_centroid(frames, threshold)
    return lag_of_paths(*paths, max_lag=max_lag, num_resamples=num_resamples)


def lag_of_paths(path: Array, true_path: Array, max_lag: int = 2, num_resamples: int = 1000, seed: int = 0) -> Score:
    r"""Sub-frame shift in time that best aligns paths with the true ones.

    :math:`\arg\min_\tau \sum_{i,t} |p_{i,t} - y_i(t - \tau)|^2`, with y linear between frames, over the frames t that
    have a true position at every lag that is looked for. Positive: the path is behind. Between two whole lags the sum
    is quadratic in the lag, so its least value is found exactly.

    Args:
        path: paths as they are, such as centroids of reconstructions; frames that are NaN are left out.
        true_path: true paths.
        max_lag: largest lag, ahead or behind, that is looked for; an estimate there is a bound.
        num_resamples: size of the bootstrap.
        seed: seed of the bootstrap.

    Shape:
        path, true_path: (N, T, 2), or any number of coordinates; T above 2 max_lag.

    Returns:
        The lag in frames, one for all paths, with its bootstrap interval over them; the ceiling is 0.

    Raises:
        TypeError: no arrays of real numbers, or a count that is no integer.
        ValueError: shapes that do not fit, too few frames, a NaN in ``true_path``, no frame that can be compared, or
            true paths that do not move.

    Source:
        The lag behind the direction of motion that Zaharia et al., "Analyzing disentanglement of visual objects in
        semi-supervised neural networks", describe; the estimate is ours.

    Example:
        >>> true = np.arange(8.0)[None, :, None] * np.ones((3, 1, 2))
        >>> round(lag_of_paths(true - 0.25, true, num_resamples=10).value, 6)
        0.25
    """
    check_count(max_lag, "max_lag")
    values, truth = to_numpy(path, "path").astype(np.float64), finite(true_path, "true_path")
    if truth.ndim != 3 or values.shape != truth.shape:
        raise ValueError(
            f"path and true_path must have the same shape (N, T, 2), got {values.shape} and {truth.shape}; "
            "pass one position for each frame"
        )
    if truth.shape[1] <= 2 * max_lag:
        raise ValueError(
            f"paths must have more than {2 * max_lag} frames to find lags up to {max_lag}, got {truth.shape[1]}; "
            "pass longer ones or a smaller max_lag"
        )
    sums = _quadratics(values, truth, max_lag)
    if not sums[..., 2].any():
        raise ValueError("true_path must move in frames that path has, got none that does; a static path has no lag")
    num = len(values)

    def statistic(items: np.ndarray) -> np.ndarray:
        return np.array([_least(sums[items].sum(axis=0), max_lag)])

    value, low, high = bootstrap_intervals(statistic, np.zeros(num), num_resamples, seed)
    return Score(value[0], low[0], high[0], chance=None, ceiling=0.0, num=num)


def _quadratics(path: np.ndarray, truth: np.ndarray, max_lag: int) -> np.ndarray:
    """Return the sums of r r, r d and d d (N, 2 max_lag, 3) for lags k + a, where the residual is r + a d."""
    inner = slice(max_lag, truth.shape[1] - max_lag)
    seen = np.isfinite(path[:, inner]).all(axis=-1, keepdims=True)
    observed = np.where(seen, path[:, inner], 0.0)
    length = observed.shape[1]
    cells = []
    for lag in range(-max_lag, max_lag):
        start = max_lag - lag
        here, before = truth[:, start : start + length], truth[:, start - 1 : start - 1 + length]
        residual, step = (observed - here) * seen, (here - before) * seen
        products = (residual * residual, residual * step, step * step)
        cells.append(np.stack([product.sum(axis=(1, 2)) for product in products], axis=-1))
    return np.stack(cells, axis=1)


def _least(sums: np.ndarray, max_lag: int) -> float:
    """Return the lag of the least sum of squares."""
    squares, cross, steps = sums.T
    share = np.clip(np.where(steps > 0, -cross / np.where(steps > 0, steps, 1.0), 0.0), 0.0, 1.0)
    error = squares + 2 * share * cross + share**2 * steps
    cell = int(error.argmin())
    return cell - max_lag + float(share[cell])
