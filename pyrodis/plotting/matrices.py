"""Correlation matrices as colored cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pyrodis.plotting._frames import Array
from pyrodis.plotting._numbers import check_names, draw_cells, numbers, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROUNDING = 1e-6


def correlation_matrix(
    matrix: Array,
    row_names: Sequence[str] | None = None,
    column_names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw correlations as cells from purple (-1) over white (0) to orange (1), each with its number.

    Of latents with latents, or of latents (rows) with factors (columns). NaN, the correlation of a latent that never
    changes, is a gray cell.

    Args:
        matrix: correlations in [-1, 1], or NaN.
        row_names: name of each row; "z 0", "z 1", ... by default.
        column_names: name of each column; those of the rows by default, if they are as many.
        ax: where to draw; without it a figure is made.

    Shape:
        matrix: (R, C).

    Returns:
        The axes.

    Raises:
        TypeError: ``matrix`` is no array of numbers.
        ValueError: another shape, values outside [-1, 1], or names of another number.

    Source:
        A chart of our own.

    Example:
        >>> ax = correlation_matrix(np.eye(2), column_names=("circle x", "circle y"))
        >>> [label.get_text() for label in ax.get_yticklabels()]
        ['z 0', 'z 1']
    """
    cells = numbers(matrix, "matrix", 2, missing=True)
    if np.nanmax(np.abs(cells), initial=0.0) > 1 + ROUNDING:
        raise ValueError(
            f"matrix must lie in [-1, 1], got {np.nanmin(cells):.4g} to {np.nanmax(cells):.4g}; pass correlations"
        )
    rows = check_names(row_names, cells.shape[0], "row_names", "z")
    if column_names is None and cells.shape[0] == cells.shape[1]:
        column_names = rows
    columns = check_names(column_names, cells.shape[1], "column_names", "column")
    size = (1.6 + 0.5 * len(columns), 0.9 + 0.36 * len(rows))
    ax = panels(ax, 1, size)[0]
    image = draw_cells(ax, cells, lambda value: f"{value:.2f}", cmap="PuOr_r", vmin=-1, vmax=1)
    ax.set_yticks(range(len(rows)), rows)
    slanted = max(map(len, columns)) > 5
    ax.set_xticks(range(len(columns)), columns, rotation=35 if slanted else 0, ha="right" if slanted else "center")
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.9, ticks=[-1, 0, 1])
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=2)
    return ax
