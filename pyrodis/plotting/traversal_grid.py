"""Traversals of latent dimensions, as a sheet and as a film."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from pyrodis.plotting._frames import Array
from pyrodis.plotting._numbers import check_names, numbers
from pyrodis.plotting.frame_grid import frame_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def traversal_grid(
    frames: Array,
    values: Array | Sequence[float] | None = None,
    names: Sequence[str] | None = None,
    clip: int = 0,
    frame: int = 0,
    ax: Axes | None = None,
    scale: int = 2,
) -> Axes:
    """Draw what each latent dimension does: a row a dimension, a column a value.

    Args:
        frames: what :func:`pyrodis.traverse` returned, in [0, 1].
        values: the values that were given to the dimensions, written above the columns.
        names: name of each dimension; numbered by default.
        clip: which clip of the batch to show.
        frame: which of its frames.
        ax: where to draw; without it a figure of the right size is made.
        scale: dots per pixel on a figure of its own.

    Shape:
        frames: (dims, values, B, T, C, H, W).

    Returns:
        The axes, in units of source pixels.

    Raises:
        TypeError: ``frames`` is no array.
        ValueError: wrong shape, a clip or a frame that is not there, names or values of another number, or frames as
            :func:`pyrodis.plotting.frame_grid` refuses them.

    Source:
        The traversals of Higgins et al., "beta-VAE", 2017.

    Example:
        >>> ax = traversal_grid(np.zeros((4, 7, 2, 5, 1, 32, 32)), values=np.linspace(-2, 2, 7))
        >>> [label.get_text() for label in ax.get_yticklabels()]
        ['z 0', 'z 1', 'z 2', 'z 3']
    """
    shown = _select(frames, clip, frame)
    columns = None
    if values is not None:
        levels = numbers(values, "values", 1)
        if len(levels) != shown.shape[1]:
            raise ValueError(f"values must hold {shown.shape[1]} numbers, got {len(levels)}; pass those of traverse")
        columns = [f"{round(level, 4) + 0.0:.2g}" for level in levels.tolist()]  # a zero of single precision is 1e-8
    return frame_grid(shown, check_names(names, len(shown), "names", "z"), ax, columns, scale=scale)


def traversal_film(frames: Array, clip: int = 0, frame: int = 0) -> np.ndarray:
    """Turn a traversal into films, one a dimension, that run through the values and back.

    :func:`pyrodis.plotting.save_gif` writes them side by side.

    Args:
        frames: what :func:`pyrodis.traverse` returned.
        clip: which clip of the batch to show.
        frame: which of its frames.

    Shape:
        frames: (dims, values, B, T, C, H, W).

    Returns:
        Films (dims, 2 values - 2, C, H, W); the first and the last value are not shown twice in a row.

    Raises:
        TypeError: ``frames`` is no array.
        ValueError: wrong shape, or a clip or a frame that is not there.

    Example:
        >>> traversal_film(np.zeros((4, 7, 2, 5, 1, 32, 32))).shape
        (4, 12, 1, 32, 32)
    """
    shown = _select(frames, clip, frame)
    return np.concatenate([shown, shown[:, -2:0:-1]], axis=1)


def _select(frames: Array, clip: int, frame: int) -> np.ndarray:
    """Return the frames (dims, values, C, H, W) of one clip and frame."""
    if isinstance(frames, torch.Tensor):
        frames = frames.detach().cpu().float().numpy()
    if not isinstance(frames, np.ndarray):
        raise TypeError(f"frames must be a numpy array or a torch tensor, got {type(frames).__name__}")
    if frames.ndim != 7:
        raise ValueError(f"frames must have shape (dims, values, B, T, C, H, W), got {frames.shape}; use traverse")
    for name, index, size in (("clip", clip, frames.shape[2]), ("frame", frame, frames.shape[3])):
        if not 0 <= index < size:
            raise ValueError(f"{name} must be between 0 and {size - 1}, got {index}")
    return frames[:, :, clip, frame]
