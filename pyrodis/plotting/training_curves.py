"""What each term of the loss did, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pyrodis.plotting._frames import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PREFIXES = ("train_", "validation_")
NUM_COLUMNS = 3
LOG_RATIO = 20  # a positive term that falls further than this is drawn on a logarithmic axis


def training_curves(
    history: Mapping[str, Sequence[float]], axes: Sequence[Axes] | None = None, unit: str = "nats per datum"
) -> np.ndarray:
    """Draw one small panel for each loss term, training and validation together.

    Columns ``train_NAME`` and ``validation_NAME`` share the panel NAME, the total first; columns of other names
    (seconds, learning rate) are not drawn. ``epoch``, if there, is the horizontal axis. A term that stays positive
    and falls more than twentyfold has a logarithmic axis. NaN leaves a gap.

    Args:
        history: column name -> one number an epoch.
        axes: where to draw, one for each panel; without them a figure is made.
        unit: what the terms are measured in.

    Returns:
        The axes of the panels, an array of shape (number of terms,).

    Raises:
        ValueError: no column to draw, columns of unequal length, no epoch, or too few axes.

    Source:
        A chart of our own.

    Example:
        >>> axes = training_curves({"epoch": [1, 2], "train_total": [3.0, 2.0], "validation_total": [3.5, 2.5]})
        >>> axes[0].get_title()
        'total'
    """
    names = _terms(history)
    num = _num_epochs(history)
    epochs = history.get("epoch", range(1, num + 1))
    panels = _own_axes(len(names)) if axes is None else np.asarray(axes, dtype=object).ravel()
    if len(panels) < len(names):
        raise ValueError(f"axes must hold one for each of {names}, got {len(panels)}; pass {len(names)} axes")
    for ax, name in zip(panels, names, strict=False):
        _draw_term(ax, name, history, epochs)
        ax.set_ylabel(unit, fontsize=8)
    panels[0].legend(frameon=False, fontsize=8)
    return panels[: len(names)]


def _terms(history: Mapping[str, Sequence[float]]) -> list[str]:
    """Return the names of the terms, the total first."""
    if not isinstance(history, Mapping) or not all(isinstance(name, str) for name in history):
        raise TypeError(f"history must map names of columns to their numbers, got {type(history).__name__}")
    names = [column.removeprefix(prefix) for column in history for prefix in PREFIXES if column.startswith(prefix)]
    if not names:
        raise ValueError(f"history must have columns train_* or validation_*, got {tuple(history)}; pass a history")
    return sorted(dict.fromkeys(names), key=lambda name: name != "total")


def _num_epochs(history: Mapping[str, Sequence[float]]) -> int:
    """Return the length that all columns share."""
    lengths = {name: len(column) for name, column in history.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ValueError(f"history must have columns of one length of at least 1, got {lengths}; write a row an epoch")
    return next(iter(lengths.values()))


def _draw_term(ax: Axes, name: str, history: Mapping[str, Sequence[float]], epochs: Sequence[float]) -> None:
    """Draw one term on one panel."""
    from matplotlib.ticker import MaxNLocator

    columns = [prefix + name for prefix in PREFIXES if prefix + name in history]
    for column in columns:
        is_train = column.startswith("train_")
        ax.plot(
            epochs,
            history[column],
            color=COLORS[0] if is_train else COLORS[5],
            linestyle="-" if is_train else "--",
            linewidth=1.6,
            marker="o" if len(epochs) < 15 else None,
            markersize=3,
            label="train" if is_train else "validation",
        )
    values = [value for column in columns for value in history[column] if math.isfinite(value)]
    if values and min(values) > 0 and max(values) > LOG_RATIO * min(values):
        ax.set_yscale("log")
    ax.set_title(name.replace("_", " "), fontsize=10)
    ax.set_xlabel("epoch", fontsize=8)
    ax.tick_params(labelsize=8)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    ax.grid(alpha=0.25, linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)


def _own_axes(num: int) -> np.ndarray:
    """Return panels on a new figure, at most three side by side; those left over are hidden."""
    import matplotlib.pyplot as plt

    num_rows = math.ceil(num / NUM_COLUMNS)
    num_columns = math.ceil(num / num_rows)
    size = (3.2 * num_columns, 2.4 * num_rows)
    axes = plt.subplots(num_rows, num_columns, figsize=size, squeeze=False, layout="constrained")[1]
    for ax in axes.ravel()[num:]:
        ax.set_visible(False)
    return axes.ravel()
