"""Numbers at the edge of the pictures: checked arrays, panels, and matrices drawn as colored cells."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pyrodis.plotting._frames import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

MISSING = "#d9d9d9"


def numbers(value: Any, name: str, num_dims: int, missing: bool = False) -> np.ndarray:
    """Return an array of double precision, if it has that many dimensions, entries, and no NaN unless those may be."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = value.double() if value.is_floating_point() else value  # NumPy has no bfloat16
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be an array of numbers, got {type(value).__name__}; convert it first") from None
    if array.ndim != num_dims or 0 in array.shape:
        raise ValueError(f"{name} must have {num_dims} dimensions and entries, got shape {array.shape}; reshape it")
    if np.isinf(array).any() or (not missing and np.isnan(array).any()):
        raise ValueError(f"{name} must be finite, got NaN or infinity; find what produced it")
    return array


def named(values: Mapping[str, Array] | Array, name: str, num_dims: int) -> dict[str, np.ndarray]:
    """Return arrays under their names; one array alone has no name."""
    entries = dict(values) if isinstance(values, Mapping) else {"": values}
    if not entries:
        raise ValueError(f"{name} must hold at least one array, got none; pass one under its name")
    return {key: numbers(value, f"{name} {key!r}" if key else name, num_dims) for key, value in entries.items()}


def same_length(arrays: Mapping[str, np.ndarray], num: int, what: str) -> None:
    """Refuse arrays of another length than what they belong to."""
    for key, array in arrays.items():
        if len(array) != num:
            label = f"errors {key!r}" if key else "errors"
            raise ValueError(f"{label} must hold one for each of the {num} {what}, got {len(array)}; pass all of them")


def panels(
    axes: Axes | Sequence[Axes] | None, num: int, size: tuple[float, float], shape: tuple[int, int] | None = None
) -> np.ndarray:
    """Return the axes given, if there are enough, or new ones: side by side, in rows of up to four, or as in shape."""
    if axes is not None:
        given = np.asarray(axes, dtype=object).ravel()
        if len(given) < num:
            raise ValueError(f"axes must hold {num}, one for each panel, got {len(given)}; pass {num} axes")
        return given[:num]
    import matplotlib.pyplot as plt

    rows, columns = shape or (math.ceil(num / 4), math.ceil(num / math.ceil(num / 4)))
    figure_size = (size[0] * columns, size[1] * rows)
    made = plt.subplots(rows, columns, figsize=figure_size, squeeze=False, layout="constrained")[1].ravel()
    for ax in made[num:]:
        ax.set_visible(False)
    return made[:num]


def draw_cells(ax: Axes, matrix: np.ndarray, write: Callable[[float], str], **look: Any) -> AxesImage:
    """Draw a matrix as colored cells with their numbers written in them; missing ones are gray."""
    import matplotlib as mpl

    colors = mpl.colormaps[look.pop("cmap")].with_extremes(bad=MISSING)
    image = ax.imshow(np.ma.masked_invalid(matrix), cmap=colors, aspect="auto", **look)
    for (i, j), value in np.ndenumerate(matrix):
        red, green, blue, _ = image.to_rgba(np.array([[value]]))[0, 0] if np.isfinite(value) else (1, 1, 1, 1)
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        text = write(value) if np.isfinite(value) else "–"
        ax.text(j, i, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
    ax.tick_params(length=0, labelsize=8)
    ax.spines[:].set_visible(False)
    return image


def tidy(ax: Axes) -> None:
    """Take away what a curve does not need."""
    ax.grid(alpha=0.25, linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8)


def check_names(names: Sequence[str] | None, num: int, name: str, default: str) -> list[str]:
    """Return one name for each, numbered ones where none are given."""
    if names is None:
        return [f"{default} {i}" for i in range(num)]
    if isinstance(names, str) or len(names) != num:
        raise ValueError(f"{name} must hold {num} names, got {names!r}; pass one for each")
    return [str(entry) for entry in names]


def frame_ticks(ax: Axes, num_frames: int, most: int = 12) -> None:
    """Number the frames from 1, all of them where there is room."""
    step = -(-num_frames // most)
    ax.set_xticks(np.arange(1, num_frames + 1, step))
