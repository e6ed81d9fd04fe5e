"""Sequences as rows of frames on one labeled sheet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pyrodis.ops.checks import check_positive_int
from pyrodis.plotting._frames import Array, frames_to_bytes, offsets, sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOTS_PER_INCH = 100
LABEL_SIZE = 9  # points


def frame_grid(
    sequences: Array,
    row_labels: Sequence[str] | None = None,
    ax: Axes | None = None,
    column_labels: Sequence[str] | None = None,
    rows_per_group: int | None = None,
    frames_per_group: int | None = None,
    scale: int = 1,
) -> Axes:
    r"""Draw each sequence as a row of frames, left to right in time.

    Groups are set apart by a wider gap: ``rows_per_group=2`` puts each reconstruction right under its real sequence,
    and ``frames_per_group`` splits a row into blocks that stand side by side under the column labels. On a figure of
    its own, saved at its own resolution, one pixel of a frame is exactly ``scale`` dots wide.

    Args:
        sequences: frames in [0, 1], gray or RGB.
        row_labels: one label a row, or one a group of rows.
        ax: where to draw; without it a figure of the right size is made.
        column_labels: one label a block of frames, or one a frame.
        rows_per_group: rows that belong together; all by default.
        frames_per_group: frames that belong together; all of a row by default.
        scale: dots per pixel on a figure of its own.

    Shape:
        sequences: (R, T, C, H, W).

    Returns:
        The axes, in units of source pixels.

    Raises:
        TypeError: ``sequences`` is no array.
        ValueError: wrong shape, values outside [0, 1] or NaN, labels that do not fit, or groups that do not divide.

    Source:
        The figures of Li and Mandt, "Disentangled sequential autoencoder", 2018, in spirit.

    Example:
        >>> ax = frame_grid(np.zeros((2, 8, 3, 64, 64)), row_labels=("real", "decoded"), rows_per_group=2)
        >>> [label.get_text() for label in ax.get_yticklabels()]
        ['real', 'decoded']
    """
    tiles = frames_to_bytes(sequences, "sequences")
    num_rows, num_frames, height, width = tiles.shape[:4]
    blocks = num_frames if frames_per_group is None else frames_per_group
    rows_per_group = num_rows if rows_per_group is None else rows_per_group
    _check_groups(num_rows, rows_per_group, "rows_per_group")
    _check_groups(num_frames, blocks, "frames_per_group")
    check_positive_int("scale", scale)
    tops, lefts = offsets(num_rows, height, rows_per_group), offsets(num_frames, width, blocks)
    rows = _label_positions(row_labels, tops, height, rows_per_group, "row_labels")
    columns = _label_positions(column_labels, lefts, width, blocks, "column_labels")
    image = sheet(tiles, tops, lefts)
    if ax is None:
        ax = _own_axes(image, row_labels, column_labels, scale)
    ax.imshow(image, interpolation="nearest")
    ax.set_yticks(rows, row_labels or (), fontsize=LABEL_SIZE)
    ax.set_xticks(columns, column_labels or (), fontsize=LABEL_SIZE)
    ax.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False)
    ax.spines[:].set_visible(False)
    return ax


def swap_grid(
    x_a: Array,
    x_b: Array,
    swapped_ab: Array,
    swapped_ba: Array,
    pair_labels: Sequence[str] | None = None,
    ax: Axes | None = None,
    scale: int = 1,
) -> Axes:
    """Draw pairs of sequences beside the same appearances with the motions exchanged.

    A pair takes two rows. Left the real ones, a above b; right what the model makes of a's appearance with b's
    motion, above b's appearance with a's motion. So a row keeps its character, and each right half should move as the
    left half of the other row. Several pairs that differ in both are the style transfer of the papers.

    Args:
        x_a: first sequence of each pair, frames in [0, 1].
        x_b: second sequence of each pair.
        swapped_ab: appearance of a, motion of b.
        swapped_ba: appearance of b, motion of a.
        pair_labels: one label a pair.
        ax: where to draw; without it a figure of the right size is made.
        scale: dots per pixel on a figure of its own.

    Shape:
        x_a, x_b, swapped_ab, swapped_ba: (N, T, C, H, W), equal.

    Returns:
        The axes, in units of source pixels.

    Raises:
        TypeError: one of the four is no array.
        ValueError: unequal shapes, or as :func:`frame_grid`.

    Source:
        The style transfer of Das and Dandi, "Learning disentangled representations from sequential data".

    Example:
        >>> x = np.zeros((7, 8, 3, 64, 64))
        >>> [label.get_text() for label in swap_grid(x, x, x, x).get_xticklabels()]
        ['real', 'motion exchanged']
    """
    arrays = {"x_a": x_a, "x_b": x_b, "swapped_ab": swapped_ab, "swapped_ba": swapped_ba}
    tiles = {name: frames_to_bytes(array, name) for name, array in arrays.items()}
    for name, tile in tiles.items():
        if tile.shape != tiles["x_a"].shape:
            raise ValueError(
                f"{name} must have the shape of x_a, got {tuple(arrays[name].shape)} and {tuple(x_a.shape)}; "
                "pass one sequence for each pair"
            )
    real = np.stack([tiles["x_a"], tiles["x_b"]], axis=1)
    swapped = np.stack([tiles["swapped_ab"], tiles["swapped_ba"]], axis=1)
    both = np.concatenate([real, swapped], axis=2)  # (N, 2, 2 T, H, W, 3)
    frames = both.reshape(-1, *both.shape[2:]).transpose(0, 1, 4, 2, 3) / 255
    return frame_grid(
        frames,
        row_labels=pair_labels,
        ax=ax,
        column_labels=("real", "motion exchanged"),
        rows_per_group=2,
        frames_per_group=real.shape[2],
        scale=scale,
    )


def _check_groups(num: int, per_group: int, name: str) -> None:
    """Refuse groups that would not all be whole."""
    if per_group < 1 or num % per_group:
        raise ValueError(f"{name} must divide {num}, got {per_group}; pass whole groups")


def _label_positions(
    labels: Sequence[str] | None, starts: np.ndarray, size: int, per_group: int, name: str
) -> np.ndarray:
    """Return the centers of the tiles, or of the groups, that the labels name."""
    if labels is None:
        return np.empty(0)
    num_groups = len(starts) // per_group
    allowed = dict.fromkeys((len(starts), num_groups))
    if isinstance(labels, str) or len(labels) not in allowed:
        wanted = " or ".join(map(str, allowed))
        raise ValueError(f"{name} must hold {wanted} labels, got {labels!r}; pass one for each")
    centers = starts + (size - 1) / 2
    return centers if len(labels) == len(starts) else centers.reshape(num_groups, per_group).mean(axis=1)


def _own_axes(
    image: np.ndarray, row_labels: Sequence[str] | None, column_labels: Sequence[str] | None, scale: int
) -> Axes:
    """Return axes that fill a new figure but for the labels, whole dots for each pixel."""
    import matplotlib.pyplot as plt

    height, width = image.shape[0] * scale, image.shape[1] * scale
    dots = LABEL_SIZE * DOTS_PER_INCH / 72  # height of a label
    left = 8 + round(0.65 * dots * max(map(len, row_labels))) if row_labels else 4
    num_lines = 1 + max(label.count("\n") for label in column_labels) if column_labels else 0
    top = round((0.8 + 1.2 * num_lines) * dots) if column_labels else 4
    total_width, total_height = left + width + 4, top + height + 4
    size = (total_width / DOTS_PER_INCH, total_height / DOTS_PER_INCH)
    figure = plt.figure(figsize=size, dpi=DOTS_PER_INCH, facecolor="white")
    return figure.add_axes((left / total_width, 4 / total_height, width / total_width, height / total_height))
