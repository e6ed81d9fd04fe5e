"""Sweeps: codes along a factor, scores along one setting, and scores over two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pyrodis.plotting._frames import COLORS, Array
from pyrodis.plotting._numbers import check_names, draw_cells, named, numbers, panels, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLES = ("-", "--", ":", "-.")
MARKERS = "osD^v"


def factor_sweep(
    values: Array | Sequence[float],
    codes: Mapping[str, Array] | Array,
    names: Sequence[str] | None = None,
    scales: Mapping[str, Array] | None = None,
    axes: Sequence[Axes] | None = None,
) -> np.ndarray:
    """Draw posterior means against a factor that is swept while the others stay: a panel a factor, a line a latent.

    Where a factor is held by one latent, one line rises or falls and the others are flat.

    Args:
        values: values of the factor along the sweep.
        codes: posterior means along the sweep; or name of a factor -> those of its sweep.
        names: name of each latent; "z 0", "z 1", ... by default.
        scales: name of a factor -> standard deviations, drawn as bands.
        axes: where to draw, one for each factor; without them a figure is made.

    Shape:
        values: (P,); codes and scales: (P, D).

    Returns:
        The axes of the panels.

    Raises:
        TypeError: no arrays of numbers.
        ValueError: other shapes, NaN, names of another number, or too few axes.

    Source:
        A chart of our own.

    Example:
        >>> steps = np.linspace(0, 1, 9)
        >>> codes = np.stack([steps, 0 * steps], axis=1)
        >>> axes = factor_sweep(steps, {"circle x": codes, "circle y": codes[:, ::-1]})
        >>> [line.get_label() for line in axes[0].lines]
        ['z 0', 'z 1']
    """
    places, means = numbers(values, "values", 1), named(codes, "codes", 2)
    bands = named(scales, "scales", 2) if scales is not None else {}
    wanted = (len(places), next(iter(means.values())).shape[1])
    for key, array in [*means.items(), *bands.items()]:
        if array.shape != wanted:
            raise ValueError(f"codes and scales must have shape (P, D) = {wanted}, got {array.shape} for {key!r}")
    if scales is not None and set(bands) != set(means):
        raise ValueError(f"scales must be of the factors {list(means)}, got {list(bands)}; pass all or none")
    latents = check_names(names, wanted[1], "names", "z")
    made = panels(axes, len(means), (2.5, 2.4))
    for ax, (name, lines) in zip(made, means.items(), strict=True):
        for d, latent in enumerate(latents):
            color, style = COLORS[d % len(COLORS)], STYLES[d // len(COLORS) % len(STYLES)]
            ax.plot(places, lines[:, d], color=color, ls=style, lw=1.6, label=latent)
            if bands:
                low, high = lines[:, d] - bands[name][:, d], lines[:, d] + bands[name][:, d]
                ax.fill_between(places, low, high, color=color, alpha=0.2, lw=0)
        ax.set_title(name, fontsize=10)
        ax.set_xlabel("factor", fontsize=9)
        tidy(ax)
    _share_vertical(made)
    made[0].set_ylabel("posterior mean", fontsize=9)
    made[-1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return made


def sweep_curve(
    x: Array | Sequence[float],
    y: Array | Sequence[float],
    low: Array | Sequence[float] | None = None,
    high: Array | Sequence[float] | None = None,
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a score against a setting, with its interval as a band.

    Called again with the axes that it returned, it adds a curve of the next color, line and marker.

    Args:
        x: values of the setting.
        y: the score at each; NaN, where a run is missing, leaves a gap.
        low: lower end of each interval.
        high: upper end of each interval; with ``low``, or neither.
        label: name of the curve, in a legend.
        ax: where to draw; without it a figure is made.

    Shape:
        x, y, low, high: (P,).

    Returns:
        The axes.

    Raises:
        TypeError: no arrays of numbers.
        ValueError: unequal lengths, infinite values, or one end of the intervals alone.

    Source:
        A chart of our own.

    Example:
        >>> ax = sweep_curve([0.0, 0.5, 1.0], [0.9, 0.8, 0.1], label="live latents")
        >>> ax = sweep_curve([0.0, 0.5, 1.0], [0.2, 0.3, 0.4], [0.1, 0.2, 0.3], [0.3, 0.4, 0.5], "lag", ax)
        >>> [line.get_label() for line in ax.lines]
        ['live latents', 'lag']
    """
    if (low is None) != (high is None):
        raise ValueError("low and high must be given together, got one of them; pass both ends of the intervals")
    given = {"y": y, "low": low, "high": high}
    places = numbers(x, "x", 1)
    curves = {
        name: numbers(value, name, 1, missing=True) for name, value in given.items() if name == "y" or value is not None
    }
    for name, curve in curves.items():
        if len(curve) != len(places):
            raise ValueError(f"{name} must hold {len(places)} numbers, one for each x, got {len(curve)}")
    ax = panels(ax, 1, (4.6, 3.0))[0]
    num = len(ax.lines)
    color = COLORS[num % len(COLORS)]
    marker, style = MARKERS[num % len(MARKERS)], STYLES[num // len(COLORS) % len(STYLES)]
    ax.plot(places, curves["y"], color=color, ls=style, lw=1.6, marker=marker, ms=4, label=label or f"_{num}")
    if low is not None:
        ax.fill_between(places, curves["low"], curves["high"], color=color, alpha=0.25, lw=0)
    tidy(ax)
    if label is not None:
        ax.legend(frameon=False, fontsize=8)
    return ax


def sweep_map(
    values: Array,
    row_values: Sequence[float],
    column_values: Sequence[float],
    row_name: str = "beta",
    column_name: str = "weight",
    ax: Axes | None = None,
    log: bool = False,
) -> Axes:
    """Draw a score over a grid of two settings as colored cells, each with its number.

    The cells are of one size, so that settings that grow by a factor stand on a logarithmic axis, and 0 has its place
    before them. The first row is at the bottom. A run that is missing (NaN) is a gray cell.

    Args:
        values: the score of each pair of settings.
        row_values: settings of the rows, rising.
        column_values: settings of the columns, rising.
        row_name: what the rows vary.
        column_name: what the columns vary.
        ax: where to draw; without it a figure is made.
        log: whether the colors follow the logarithm; the scores are then positive.

    Shape:
        values: (rows, columns).

    Returns:
        The axes.

    Raises:
        TypeError: no array of numbers.
        ValueError: settings that do not fit or do not rise, infinite values, or values for ``log`` that are not
            positive.

    Source:
        The map of beta and prediction weight of Zaharia and Peters, "Analyzing disentanglement of visual objects in
        semi-supervised neural networks".

    Example:
        >>> ax = sweep_map([[0.1, 0.2], [0.3, float("nan")]], [0.001, 5.0], [0.0, 1e-4])
        >>> [label.get_text() for label in ax.get_xticklabels()]
        ['0', '0.0001']
    """
    cells = numbers(values, "values", 2, missing=True)
    rows, columns = numbers(row_values, "row_values", 1), numbers(column_values, "column_values", 1)
    if cells.shape != (len(rows), len(columns)):
        raise ValueError(
            f"values must have shape (rows, columns) = ({len(rows)}, {len(columns)}), got {cells.shape}; transpose them"
        )
    for name, settings in (("row_values", rows), ("column_values", columns)):
        if (np.diff(settings) <= 0).any():
            raise ValueError(f"{name} must rise, got {settings.tolist()}; sort the settings and their scores")
    if log and not np.nanmin(cells, initial=np.inf) > 0:
        raise ValueError(f"values must be positive for log, got {np.nanmin(cells):.4g}; draw them with log=False")
    from matplotlib.colors import LogNorm, Normalize

    ax = panels(ax, 1, (1.6 + 0.62 * len(columns), 1.0 + 0.4 * len(rows)))[0]
    low, high = (float(end(cells)) if np.isfinite(cells).any() else None for end in (np.nanmin, np.nanmax))
    norm = LogNorm(low, high) if log else Normalize(low, high)
    image = draw_cells(ax, cells, lambda value: f"{value:.2g}", cmap="cividis", norm=norm, origin="lower")
    ax.set_yticks(range(len(rows)), _short(rows))
    ax.set_xticks(range(len(columns)), _short(columns))
    ax.set_ylabel(row_name, fontsize=9)
    ax.set_xlabel(column_name, fontsize=9)
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.95)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, length=2)
    return ax


def _short(settings: np.ndarray) -> list[str]:
    """Write settings with three digits, and large ones without an exponent."""
    return [f"{float(f'{value:.3g}'):g}" for value in settings]


def _share_vertical(axes: np.ndarray) -> None:
    """Give all panels the same vertical range."""
    ends = np.array([ax.get_ylim() for ax in axes])
    for ax in axes:
        ax.set_ylim(ends[:, 0].min(), ends[:, 1].max())
