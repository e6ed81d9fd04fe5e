"""Learned eigenvalues beside their negative control."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pyrodis.metrics import Bimodality, eigenvalue_memory
from pyrodis.plotting._frames import COLORS, Array
from pyrodis.plotting._numbers import panels, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Eigenvalues = Mapping[str, Array] | Array

NEAR = 0.02  # expected values closer than this share of the axis have one label
LARGEST_DECADE = 7
MARGIN = 0.25  # nats


def eigenvalue_histogram(
    eigenvalues: Eigenvalues,
    control: Eigenvalues | None = None,
    expected: Mapping[str, float] | None = None,
    fits: Sequence[Bimodality | None] = (None, None),
    titles: Sequence[str] = ("eigenvalues in the prior", "negative control"),
    num_bins: int = 40,
    axes: Sequence[Axes] | None = None,
) -> np.ndarray:
    r"""Draw where eigenvalues lie on the axis of their memory, with a negative control on the same axis below.

    The axis is :math:`-\log(1 - \lambda)`, on which .9, .99 and .999 are equally far apart, and is labeled with the
    eigenvalues. Groups ("circle", "background") have colors of their own; a short stroke under the bars stands for each
    eigenvalue. What one expects, such as the lag-one correlations of the true factors, is a dashed line; an
    expectation of exactly 1, that of what never moves, is an arrow at the right end. Where a fit is given, a panel
    shows its two components if it is bimodal, else one normal, and the difference of BIC.

    Args:
        eigenvalues: eigenvalues of any shape in [-1, 1]; or name of a group -> its eigenvalues.
        control: those of a model whose eigenvalues cannot follow the data; None for no second panel.
        expected: name of a factor -> the eigenvalue that it should have, in (-1, 1].
        fits: what :func:`pyrodis.metrics.bimodality` returned for the first and for the second panel, or None.
        titles: title of either panel.
        num_bins: number of bins over the whole axis.
        axes: where to draw, one for each panel; without them a figure is made.

    Returns:
        The axes of the panels.

    Raises:
        TypeError: no arrays of numbers.
        ValueError: no eigenvalues, some outside of [-1, 1], an expectation outside of (-1, 1], more groups than
            colors, no bin, or too few axes, fits or titles.

    Source:
        The question of the draft "Disentangling via dynamics", section 2.4: are the distributions of learned
        eigenvalues bimodal?

    Example:
        >>> learned = {"circle": np.array([0.975, 0.98]), "background": np.array([0.9995, 0.9999])}
        >>> axes = eigenvalue_histogram(learned, control=np.zeros(4), expected={"circle": 0.98, "background": 1.0})
        >>> [ax.get_title(loc="left") for ax in axes]
        ['eigenvalues in the prior', 'negative control']
    """
    groups = [_memories(given) for given in (eigenvalues, control) if given is not None]
    names = dict.fromkeys(name for group in groups for name in group)
    if len(names) > len(COLORS):
        raise ValueError(f"eigenvalues must be of 1 to {len(COLORS)} groups, got {len(names)}; join some of them")
    wanted = _expectations(expected or {})
    if min(len(fits), len(titles)) < len(groups):
        raise ValueError(f"fits and titles must hold one for each panel, got {len(fits)} and {len(titles)}; pass two")
    if num_bins < 1:
        raise ValueError(f"num_bins must be at least 1, got {num_bins}; use 40, for example")
    made = panels(axes, len(groups), (6.4, 2.0 if len(groups) > 1 else 2.8), (len(groups), 1))
    low, high = _range(groups, wanted)
    edges = np.linspace(low, high, num_bins + 1)
    colors = dict(zip(names, COLORS, strict=False))
    for i, (ax, group) in enumerate(zip(made, groups)):
        _draw_bars(ax, group, edges, colors)
        _draw_fit(ax, group, fits[i], edges)
        _draw_expected(ax, wanted, (low, high), is_named=i == 0)
        _label_axis(ax, low, high)
        pad = 15 if i == 0 and wanted else 6
        ax.set_title(titles[i], fontsize=10, loc="left", pad=pad)
        ax.set_title(_verdict(fits[i]), fontsize=8, loc="right", pad=pad, color="#444444")
        ax.set_ylabel("share", fontsize=9)
    for ax in made[:-1]:
        ax.tick_params(labelbottom=False)
    made[-1].set_xlabel("eigenvalue", fontsize=9)
    if set(colors) != {""}:
        made[0].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.6))
    return made


def _memories(given: Eigenvalues) -> dict[str, np.ndarray]:
    """Return the groups on the axis of the figure."""
    groups = dict(given) if isinstance(given, Mapping) else {"": given}
    if not groups:
        raise ValueError(f"eigenvalues must be of 1 to {len(COLORS)} groups, got 0; pass an array for each")
    return {name: eigenvalue_memory(values).ravel() for name, values in groups.items()}


def _expectations(expected: Mapping[str, float]) -> dict[str, float]:
    """Return the expectations on the axis of the figure, infinity for 1."""
    for name, value in expected.items():
        if not -1 < value <= 1:
            raise ValueError(f"expected must be above -1 and at most 1, got {value} for {name!r}; pass correlations")
    return {name: math.inf if value == 1 else -math.log1p(-value) for name, value in expected.items()}


def _range(groups: list[dict[str, np.ndarray]], wanted: Mapping[str, float]) -> tuple[float, float]:
    values = np.concatenate([part for group in groups for part in group.values()])
    ends = [*values, *(value for value in wanted.values() if math.isfinite(value))]
    room = 4 * MARGIN if math.inf in wanted.values() else MARGIN
    return min(ends) - MARGIN, max(ends) + room


def _draw_bars(ax: Axes, group: dict[str, np.ndarray], edges: np.ndarray, colors: Mapping[str, str]) -> None:
    """Draw stacked bars that add up to 1 over all groups, and a stroke for every eigenvalue."""
    num = sum(map(len, group.values()))
    bottom = np.zeros(len(edges) - 1)
    for name, values in group.items():
        shares = np.histogram(values, edges)[0] / num
        ax.bar(
            (edges[1:] + edges[:-1]) / 2,
            shares,
            np.diff(edges),
            bottom,
            color=colors[name],
            ec="white",
            lw=0.4,
            label=f"{name} ({len(values)})" if name else "_",
        )
        bottom += shares
    top = bottom.max()
    for name, values in group.items():
        ax.vlines(values, -0.07 * top, -0.02 * top, color=colors[name], lw=0.8, alpha=0.7)
    ax.axhline(0, color="black", lw=0.6)
    ax.set_ylim(-0.09 * top, 1.12 * top)


def _draw_fit(ax: Axes, group: dict[str, np.ndarray], fit: Bimodality | None, edges: np.ndarray) -> None:
    """Draw two components or one, as the shares that bars of this width would have."""
    if fit is None:
        return
    parts = list(zip(fit.weights, fit.locs, fit.scales))
    if not fit.bimodal:
        values = np.concatenate(list(group.values()))
        parts = [(1.0, float(values.mean()), max(float(values.std()), min(fit.scales)))]
    grid, top = np.linspace(edges[0], edges[-1], 600), ax.get_ylim()[1]
    for weight, loc, scale in parts:
        density = weight / (scale * math.sqrt(2 * math.pi)) * np.exp(-0.5 * ((grid - loc) / scale) ** 2)
        shares = density * (edges[1] - edges[0])
        ax.plot(grid, shares, color="black", lw=1.2)
        top = max(top, 1.08 * float(shares.max()))
    ax.set_ylim(top=top)


def _verdict(fit: Bimodality | None) -> str:
    if fit is None:
        return ""
    kind = "two modes" if fit.bimodal else "one mode"
    return f"{kind}, BIC difference {fit.bic_difference:.0f}".replace("-", "−")


def _draw_expected(ax: Axes, wanted: Mapping[str, float], ends: tuple[float, float], is_named: bool) -> None:
    """Draw a dashed line for each expectation and name neighbors together."""
    labels: list[tuple[float, list[str]]] = []
    for name, value in sorted(wanted.items(), key=lambda entry: entry[1]):
        place = min(value, ends[1])
        if labels and place - labels[-1][0] < NEAR * (ends[1] - ends[0]):
            labels[-1][1].append(name)
        else:
            labels.append((place, [name]))
        if math.isfinite(value):
            ax.axvline(value, color="black", lw=1.1, ls=(0, (4, 2)), zorder=3)
        else:
            arrow = {"arrowstyle": "->", "lw": 1.2, "color": "black", "mutation_scale": 14}
            height = ("data", "axes fraction")
            ax.annotate("", (ends[1], 0.92), (ends[1] - 3 * MARGIN, 0.92), height, height, arrowprops=arrow)
    for place, names in labels if is_named else []:
        side = "right" if place == ends[1] else "center"
        ax.annotate(
            ", ".join(names),
            (place, 1.0),
            (0, 2),
            ("data", "axes fraction"),
            "offset points",
            fontsize=8,
            ha=side,
            va="bottom",
        )


def _label_axis(ax: Axes, low: float, high: float) -> None:
    """Label the axis with eigenvalues: 0, .9, .99, .999, and small ticks between."""
    decades = [0.0, *(1 - 10.0**-k for k in range(1, LARGEST_DECADE))]
    between = [1 - m * 10.0**-k for k in range(LARGEST_DECADE) for m in range(2, 10) if m * 10.0**-k < 2]
    ax.set_xlim(low, high)
    major = {-math.log1p(-value): f"{value:.6f}".rstrip("0").rstrip(".") for value in decades}
    if low < -0.5:
        major[-math.log(1.9)] = "-0.9"
    shown = {place: text for place, text in major.items() if low <= place <= high}
    ax.set_xticks(list(shown), list(shown.values()))
    ax.set_xticks([place for value in between if low <= (place := -math.log1p(-value)) <= high], minor=True)
    tidy(ax)
    ax.grid(visible=False)
