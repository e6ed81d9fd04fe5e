"""Where in the frame, and on which clips, a reconstruction is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from pyrodis.ops.checks import check_positive_int
from pyrodis.plotting._frames import COLORS, Array, frames_to_bytes
from pyrodis.plotting._numbers import MISSING, named, numbers, panels, same_length, tidy
from pyrodis.plotting.frame_grid import frame_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

LOG_RATIO = 20  # curves further apart than this are drawn on a logarithmic axis
MARKERS = "osD^v"


def position_map(
    positions: Array,
    errors: Mapping[str, Array] | Array,
    num_bins: int = 16,
    axes: Sequence[Axes] | None = None,
    label: str = "squared error",
) -> np.ndarray:
    """Draw the mean error over the grid of positions, a panel for each kind of error.

    The unit square is cut into ``num_bins`` x ``num_bins`` cells; a grid of that many positions from 0 to 1 each way
    falls into them one by one. As in a picture, x grows to the right and y downwards. Cells without an item are gray.
    Each panel has a scale of its own.

    Args:
        positions: x and y of each item, in [0, 1].
        errors: error of each item; or name of a kind ("inside", "edge", "background") -> errors.
        num_bins: cells each way.
        axes: where to draw, one for each kind; without them a figure is made.
        label: what the errors are.

    Shape:
        positions: (N, 2); errors: (N,).

    Returns:
        The axes of the panels.

    Raises:
        TypeError: no arrays of numbers.
        ValueError: other shapes, positions outside [0, 1], NaN, no cell, or too few axes.

    Source:
        A chart of our own.

    Example:
        >>> positions = np.random.default_rng(0).random((500, 2))
        >>> axes = position_map(positions, {"inside": positions[:, 0], "edge": positions[:, 1]}, num_bins=4)
        >>> [ax.get_title() for ax in axes]
        ['inside', 'edge']
    """
    places = numbers(positions, "positions", 2)
    if places.shape[1] != 2 or places.min() < 0 or places.max() > 1:
        raise ValueError(
            f"positions must be (N, 2) in [0, 1], got {places.shape} from {places.min():.4g} to {places.max():.4g}; "
            "scale them"
        )
    check_positive_int("num_bins", num_bins)
    kinds = named(errors, "errors", 1)
    same_length(kinds, len(places), "positions")
    column, row = np.minimum((places * num_bins).astype(int), num_bins - 1).T
    counts = np.bincount(row * num_bins + column, minlength=num_bins**2)
    made = panels(axes, len(kinds), (2.7, 2.3))
    for ax, (name, values) in zip(made, kinds.items(), strict=True):
        sums = np.bincount(row * num_bins + column, values, minlength=num_bins**2)
        means = np.divide(sums, counts, out=np.full(num_bins**2, np.nan), where=counts > 0)
        _draw_map(ax, means.reshape(num_bins, num_bins), name, label)
    return made


def error_by_distance(
    distances: Array,
    errors: Mapping[str, Array] | Array,
    num_bins: int = 20,
    ax: Axes | None = None,
    label: str = "squared error",
) -> Axes:
    """Draw the mean error against a distance, with a band of two standard errors.

    Distances are cut into bins of equal width; a bin of fewer than two items is left out. Positive curves more than
    twentyfold apart have a logarithmic axis.

    Args:
        distances: distance of each item, of the circle from the background's center for example.
        errors: error of each item; or name of a kind -> errors, a curve each.
        num_bins: number of bins.
        ax: where to draw; without it a figure is made.
        label: what the errors are.

    Shape:
        distances, errors: (N,).

    Returns:
        The axes.

    Raises:
        TypeError: no arrays of numbers.
        ValueError: other shapes, NaN, or no bin.

    Source:
        A chart of our own.

    Example:
        >>> distances = np.linspace(0, 1, 500)
        >>> ax = error_by_distance(distances, {"inside": distances**2, "edge": distances})
        >>> [line.get_label() for line in ax.lines]
        ['inside', 'edge']
    """
    lengths = numbers(distances, "distances", 1)
    check_positive_int("num_bins", num_bins)
    kinds = named(errors, "errors", 1)
    same_length(kinds, len(lengths), "distances")
    edges = np.linspace(lengths.min(), max(lengths.max(), lengths.min() + 1e-12), num_bins + 1)
    index = np.clip(np.searchsorted(edges, lengths, side="right") - 1, 0, num_bins - 1)
    counts = np.bincount(index, minlength=num_bins)
    kept = counts >= 2
    centers = ((edges[1:] + edges[:-1]) / 2)[kept]
    ax = panels(ax, 1, (4.6, 3.0))[0]
    drawn = []
    for i, (name, values) in enumerate(kinds.items()):
        means = np.bincount(index, values, minlength=num_bins)[kept] / counts[kept]
        squares = np.bincount(index, values**2, minlength=num_bins)[kept] / counts[kept]
        spread = np.sqrt(np.maximum(squares - means**2, 0) / (counts[kept] - 1))
        color = COLORS[i % len(COLORS)]
        marker = MARKERS[i % len(MARKERS)]
        ax.plot(centers, means, color=color, lw=1.6, marker=marker, ms=3.5, label=name or "_")
        ax.fill_between(centers, means - 2 * spread, means + 2 * spread, color=color, alpha=0.25, lw=0)
        drawn.append(means)
    everything = np.concatenate(drawn)
    if len(everything) and everything.min() > 0 and everything.max() > LOG_RATIO * everything.min():
        ax.set_yscale("log")
    ax.set_xlabel("distance", fontsize=9)
    ax.set_ylabel(label, fontsize=9)
    tidy(ax)
    if "" not in kinds:
        ax.legend(frameon=False, fontsize=8)
    return ax


def worst_and_best(
    frames: Array,
    reconstructions: Array,
    errors: Array,
    num: int = 6,
    ax: Axes | None = None,
    scale: int = 2,
) -> Axes:
    """Draw the frames that are reconstructed worst beside those that are reconstructed best.

    Under each real frame stand its reconstruction and the size of their difference, above it its error.

    Args:
        frames: real frames in [0, 1].
        reconstructions: what the model makes of them, in [0, 1].
        errors: error of each.
        num: frames on either side.
        ax: where to draw; without it a figure of the right size is made.
        scale: dots per pixel on a figure of its own.

    Shape:
        frames, reconstructions: (N, C, H, W); errors: (N,).

    Returns:
        The axes, in units of source pixels.

    Raises:
        TypeError: no arrays.
        ValueError: other shapes, fewer than 2 ``num`` frames, or frames as :func:`pyrodis.plotting.frame_grid`
            refuses them.

    Source:
        A chart of our own.

    Example:
        >>> x = np.random.default_rng(0).random((20, 1, 32, 32))
        >>> ax = worst_and_best(x, x / 2, x.mean((1, 2, 3)), num=3)
        >>> [label.get_text() for label in ax.get_yticklabels()]
        ['real', 'decoded', 'difference']
    """
    real, made = numbers(frames, "frames", 4), numbers(reconstructions, "reconstructions", 4)
    if real.shape != made.shape:
        raise ValueError(f"reconstructions must have the shape of frames, got {made.shape} and {real.shape}")
    sizes = numbers(errors, "errors", 1)
    same_length({"": sizes}, len(real), "frames")
    if num < 1 or 2 * num > len(real):
        raise ValueError(f"num must be at least 1 and at most half of the {len(real)} frames, got {num}")
    order = np.argsort(sizes, kind="stable")[::-1]
    chosen = np.concatenate([order[:num], order[len(order) - num :]])
    labels = [f"{size:.2g}" for size in sizes[chosen]]
    labels[0], labels[num] = f"worst\n{labels[0]}", f"best\n{labels[num]}"
    frames_to_bytes(made[None], "reconstructions")
    rows = np.stack([real, made, np.abs(real - made)])[:, chosen]
    return frame_grid(rows, ("real", "decoded", "difference"), ax, labels, frames_per_group=num, scale=scale)


def _draw_map(ax: Axes, means: np.ndarray, name: str, label: str) -> None:
    import matplotlib as mpl

    colors = mpl.colormaps["viridis"].with_extremes(bad=MISSING)
    image = ax.imshow(np.ma.masked_invalid(means), cmap=colors, extent=(0, 1, 1, 0), interpolation="nearest")
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.85)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, length=2)
    bar.formatter.set_powerlimits((-2, 3))  # type: ignore[attr-defined]
    bar.ax.yaxis.get_offset_text().set_fontsize(7)
    bar.set_label(label, fontsize=8)
    ax.set_title(name, fontsize=10)
    ax.set_xlabel("x", fontsize=9)
    ax.set_ylabel("y", fontsize=9)
    ax.set_xticks([0, 0.5, 1])
    ax.set_yticks([0, 0.5, 1])
    ax.tick_params(labelsize=8, length=2)
    ax.spines[:].set_visible(False)
