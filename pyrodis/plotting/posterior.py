"""Posteriors of sequences: bands over frames, and how frames hang together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pyrodis.plotting._frames import COLORS, Array
from pyrodis.plotting._numbers import MISSING, check_names, frame_ticks, named, numbers, panels, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def posterior_over_time(
    draws: Array,
    num_paths: int = 0,
    truth: Array | None = None,
    shown: Sequence[bool] | Array | None = None,
    levels: Sequence[float] = (0.5, 0.9),
    names: Sequence[str] | None = None,
    axes: Sequence[Axes] | None = None,
) -> np.ndarray:
    """Draw what a posterior says of the codes of one clip, frame by frame, a panel for each dimension.

    A line is the mean of the draws, bands are their central intervals, thin lines single draws: a band shows how sure
    each frame is by itself, the single draws how frames vary together. Frames that were hidden stand on gray.

    Args:
        draws: draws of the codes of one clip, ``encode(guide, x, num_samples=500)["z"][:, clip]``.
        num_paths: how many of the draws to show as lines.
        truth: what the codes should be, drawn as crosses.
        shown: which frames the posterior saw; None for all.
        levels: shares of the draws within each band.
        names: name of each dimension; numbered by default.
        axes: where to draw, one for each dimension; without them a figure is made.

    Shape:
        draws: (N, T, D); truth: (T, D); shown: (T).

    Returns:
        The axes of the panels.

    Raises:
        TypeError: no arrays of numbers.
        ValueError: other shapes, NaN, fewer than two draws, more paths than draws, levels outside (0, 1), names of
            another number, or too few axes.

    Source:
        A chart of our own.

    Example:
        >>> draws = np.random.default_rng(0).normal(size=(200, 8, 2)).cumsum(1)
        >>> axes = posterior_over_time(draws, num_paths=5, truth=draws[0])
        >>> [ax.get_title() for ax in axes]
        ['z 0', 'z 1']
    """
    values = numbers(draws, "draws", 3)
    num_draws, num_frames, dim = values.shape
    if num_draws < 2:
        raise ValueError(f"draws must be at least 2, got {num_draws}; encode with num_samples=500, for example")
    if not 0 <= num_paths <= num_draws:
        raise ValueError(f"num_paths must be between 0 and the {num_draws} draws, got {num_paths}")
    wanted = None if truth is None else numbers(truth, "truth", 2)
    if wanted is not None and wanted.shape != (num_frames, dim):
        raise ValueError(f"truth must have shape (T, D) = {(num_frames, dim)}, got {wanted.shape}")
    bands = [_band(values, level) for level in sorted(levels, reverse=True)]
    made = panels(axes, dim, (3.2, 2.2))
    frames = np.arange(1, num_frames + 1)
    for d, (ax, name) in enumerate(zip(made, check_names(names, dim, "names", "z"))):
        _shade_hidden(ax, shown, num_frames)
        for low, high in bands:
            ax.fill_between(frames, low[:, d], high[:, d], color=COLORS[0], alpha=0.22, lw=0)
        ax.plot(frames, values[:num_paths, :, d].T, color=COLORS[1], lw=0.7, alpha=0.9)
        ax.plot(frames, values[:, :, d].mean(0), color=COLORS[0], lw=1.8)
        if wanted is not None:
            ax.plot(frames, wanted[:, d], ls="", marker="x", ms=5, color="black")
        ax.set_title(name, fontsize=10)
        ax.set_xlabel("frame", fontsize=9)
        frame_ticks(ax, num_frames)
        tidy(ax)
    return made


def time_covariance(
    covariance: Mapping[str, Array] | Array, axes: Sequence[Axes] | None = None, label: str = "covariance"
) -> np.ndarray:
    """Draw how the frames of a posterior vary together: frames by frames as colored cells, a panel for each posterior.

    All panels share one scale of colors, purple below zero and orange above, so that guides can be compared with each
    other and with the exact posterior. A posterior of independent frames has a diagonal and nothing else.

    Args:
        covariance: covariances, or correlations, of the frames of one dimension; or name of a guide -> those.
        axes: where to draw, one for each; without them a figure is made.
        label: what the numbers are.

    Shape:
        covariance: (T, T).

    Returns:
        The axes of the panels.

    Raises:
        TypeError: no arrays of numbers.
        ValueError: matrices that are not square, not symmetric or not finite, or too few axes.

    Source:
        A chart of our own.

    Example:
        >>> lag = np.abs(np.arange(6)[:, None] - np.arange(6))
        >>> axes = time_covariance({"mean field": np.eye(6), "structured": 0.9**lag})
        >>> [ax.get_title() for ax in axes]
        ['mean field', 'structured']
    """
    matrices = named(covariance, "covariance", 2)
    for name, matrix in matrices.items():
        if matrix.shape[0] != matrix.shape[1] or not np.allclose(matrix, matrix.T, rtol=1e-3, atol=1e-6):
            whose = f"covariance {name!r}" if name else "covariance"
            raise ValueError(f"{whose} must be (T, T) and symmetric, got shape {matrix.shape}; pass frames by frames")
    made = panels(axes, len(matrices), (2.3, 2.3))
    largest = max(np.abs(matrix).max() for matrix in matrices.values()) or 1.0
    for ax, (name, matrix) in zip(made, matrices.items()):
        num_frames = len(matrix)
        edges = (0.5, num_frames + 0.5)
        image = ax.imshow(matrix, cmap="PuOr_r", vmin=-largest, vmax=largest, extent=(*edges, *edges[::-1]))
        ax.set_title(name, fontsize=10)
        frame_ticks(ax, num_frames, most=8)
        ax.set_yticks(ax.get_xticks())
        ax.tick_params(labelsize=8, length=2)
        ax.spines[:].set_visible(False)
        ax.set_xlabel("frame", fontsize=9)
    made[0].set_ylabel("frame", fontsize=9)
    bar = made[0].figure.colorbar(image, ax=[*made], shrink=0.8, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=2)
    bar.set_label(label, fontsize=8)
    return made


def _band(values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    if not 0 < level < 1:
        raise ValueError(f"levels must lie between 0 and 1, got {level}; use 0.9, for example")
    return np.quantile(values, (1 - level) / 2, axis=0), np.quantile(values, (1 + level) / 2, axis=0)


def _shade_hidden(ax: Axes, shown: Sequence[bool] | Array | None, num_frames: int) -> None:
    if shown is None:
        return
    seen = numbers(shown, "shown", 1)
    if len(seen) != num_frames:
        raise ValueError(f"shown must say of each of the {num_frames} frames whether it was seen, got {len(seen)}")
    for t in np.flatnonzero(seen == 0):
        ax.axvspan(t + 0.5, t + 1.5, color=MISSING, alpha=0.6, lw=0, zorder=0)
