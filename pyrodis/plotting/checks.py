"""Checks of posteriors: the divergence of every code, ranks of simulations, guides side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pyrodis.ops.checks import check_positive_int
from pyrodis.plotting._frames import COLORS, Array
from pyrodis.plotting._numbers import check_names, frame_ticks, numbers, panels, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from pyrodis.infer import GuideScores
    from pyrodis.metrics import Score


def latent_kl_map(kl: Mapping[str, Array] | Array, axes: Sequence[Axes] | None = None) -> np.ndarray:
    """Draw the KL of every dimension at every frame as colored cells, a panel for each site; all share one scale.

    It shows which dimensions carry something, at which frames, and which are at the prior. A site of one code a clip is
    a single column.

    Args:
        kl: KL in nats, averaged over clips; or name of a site -> its KL.
        axes: where to draw, one for each site; without them a figure is made.

    Shape:
        kl: (T, D), or (D) for a code of the whole clip.

    Returns:
        The axes of the panels.

    Raises:
        TypeError: no arrays of numbers.
        ValueError: arrays of more dimensions, not finite, no site, or too few axes.

    Source:
        A chart of our own.

    Example:
        >>> axes = latent_kl_map({"f": np.array([2.0, 0.0]), "z": np.ones((8, 4))})
        >>> [ax.get_title() for ax in axes]
        ['f: 2 nats', 'z: 32 nats']
    """
    import matplotlib.pyplot as plt

    entries = dict(kl) if isinstance(kl, Mapping) else {"": kl}
    if not entries:
        raise ValueError("kl must hold at least one site, got none; pass an array under its name")
    tables = {}
    for name, value in entries.items():
        what = f"kl {name!r}" if name else "kl"
        tables[name] = numbers(value, what, 1)[None] if np.ndim(value) == 1 else numbers(value, what, 2)
    if axes is None:
        widths = [max(0.25 * len(table), 0.5) for table in tables.values()]
        size = (1.6 + sum(widths) + 0.7 * len(tables), 1.1 + 0.18 * max(table.shape[1] for table in tables.values()))
        ratios = {"width_ratios": widths}
        axes = plt.subplots(1, len(tables), figsize=size, gridspec_kw=ratios, squeeze=False, layout="constrained")[1][0]
    made = panels(axes, len(tables), (3.0, 2.4))
    high = max(table.max() for table in tables.values())
    low = min(0.0, *(float(table.min()) for table in tables.values()))
    for ax, (name, table) in zip(made, tables.items()):
        image = _draw_kl(ax, name, table, low, max(high, 1e-12))
    bar = made[0].figure.colorbar(image, ax=[*made], shrink=0.9, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=2)
    bar.set_label("nats", fontsize=8)
    return made


def _draw_kl(ax: Axes, name: str, table: np.ndarray, low: float, high: float) -> AxesImage:
    num_frames, dim = table.shape
    extent = (0.5, num_frames + 0.5, dim - 0.5, -0.5)
    image = ax.imshow(table.T, cmap="viridis", vmin=low, vmax=high, aspect="auto", extent=extent)
    total = f"{table.sum():.3g} nats"
    ax.set_title(f"{name}: {total}" if name else total, fontsize=9)
    ax.set_yticks(range(0, dim, -(-dim // 16)))
    ax.set_xlabel("frame" if num_frames > 1 else "clip", fontsize=9)
    frame_ticks(ax, num_frames)
    if num_frames == 1:
        ax.set_xticks([])
    ax.set_ylabel("dimension", fontsize=9)
    ax.tick_params(labelsize=8, length=2)
    ax.spines[:].set_visible(False)
    return image


def rank_histogram(
    ranks: Array,
    num_draws: int,
    num_bins: int = 10,
    level: float = 0.99,
    names: Sequence[str] | None = None,
    axes: Sequence[Axes] | None = None,
) -> np.ndarray:
    """Draw the ranks of true latents among posterior draws, relative to uniform ranks, a panel for each latent.

    With the exact posterior ranks are uniform, all bars about 1. A valley in the middle is a posterior that is too
    narrow, a hill one that is too wide, a slope one that is biased. The gray band is where a bar falls with probability
    ``level`` if ranks are uniform; bars outside of it have another color.

    Args:
        ranks: of each simulation, how many of the draws were below the true latent.
        num_draws: L, draws a simulation.
        num_bins: bars; ranks are shared among them as evenly as they can be.
        level: probability of the band, for each bar by itself.
        names: name of each latent; numbered by default.
        axes: where to draw, one for each latent; without them a figure is made.

    Shape:
        ranks: (N, D) or (N), whole numbers from 0 to L.

    Returns:
        The axes of the panels.

    Raises:
        TypeError: no array of numbers.
        ValueError: another shape, ranks that are not whole numbers from 0 to L, more bins than ranks or fewer than 2,
            a level outside (0, 1), names of another number, or too few axes.

    Source:
        Talts et al., Validating Bayesian Inference Algorithms with Simulation-Based Calibration (2018).

    Example:
        >>> ranks = np.random.default_rng(0).integers(0, 100, size=(500, 2))
        >>> axes = rank_histogram(ranks, num_draws=99, names=("f 0", "z 0"))
        >>> [len(ax.patches) for ax in axes]
        [10, 10]
    """
    from scipy.stats import binom

    check_positive_int("num_draws", num_draws)
    table = numbers(ranks, "ranks", 1)[:, None] if np.ndim(ranks) == 1 else numbers(ranks, "ranks", 2)
    if (table != np.rint(table)).any() or table.min() < 0 or table.max() > num_draws:
        raise ValueError(
            f"ranks must be whole numbers from 0 to num_draws = {num_draws}, got {table.min():g} to {table.max():g}"
        )
    check_positive_int("num_bins", num_bins)
    if not 2 <= num_bins <= num_draws + 1:
        raise ValueError(f"num_bins must be between 2 and the {num_draws + 1} ranks, got {num_bins}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}; use 0.99, for example")
    edges = np.rint(np.linspace(0, num_draws + 1, num_bins + 1))
    expected = len(table) * np.diff(edges) / (num_draws + 1)
    low, high = (bound / expected for bound in binom.interval(level, len(table), np.diff(edges) / (num_draws + 1)))
    made = panels(axes, table.shape[1], (2.5, 2.0))
    for d, (ax, name) in enumerate(zip(made, check_names(names, table.shape[1], "names", "z"))):
        heights = np.histogram(table[:, d], edges - 0.5)[0] / expected
        colors = np.where((heights < low) | (heights > high), COLORS[5], COLORS[0])
        ax.bar(edges[:-1], heights, np.diff(edges), align="edge", color=colors, ec="white", lw=0.5)
        ax.fill_between(edges, [*low, low[-1]], [*high, high[-1]], step="post", color="#888888", alpha=0.35, lw=0)
        ax.axhline(1, color="black", lw=0.8)
        ax.set_title(name, fontsize=10)
        ax.set_xlabel("rank", fontsize=9)
        tidy(ax)
    made[0].set_ylabel("relative to uniform", fontsize=9)
    return made


def guide_comparison(
    rows: Sequence[GuideScores], evidence: float | None = None, axes: Sequence[Axes] | None = None
) -> np.ndarray:
    """Draw guides side by side: their bounds, the gap between them and, where it was asked for, k-hat.

    Of every guide the ELBO (filled) and the importance-weighted bound (open), with 95 % intervals over the clips; then
    their difference, the least that the guide leaves of the evidence; then the share of clips whose k-hat is above 0.7,
    on which importance weights are not to be relied on. Better is further right, except in the last two.

    Args:
        rows: what :func:`pyrodis.compare_guides` returned.
        evidence: mean log-evidence of the clips in nats, where it is known, drawn as a line.
        axes: where to draw, two, or three with k-hat; without them a figure is made.

    Returns:
        The axes of the panels.

    Raises:
        ValueError: no rows, rows of which only some have k-hat, or too few axes.

    Source:
        A chart of our own.

    Example:
        >>> import pyrodis
        >>> from pyrodis.testing import tiny_dsvae
        >>> from torch import zeros
        >>> rows = pyrodis.compare_guides({"full": tiny_dsvae()}, zeros(2, 5, 1, 8, 8), num_samples=2)
        >>> [ax.get_title() for ax in guide_comparison(rows)]
        ['bounds', 'gap']
    """
    if not rows:
        raise ValueError("rows must hold at least one guide's scores, got none; take them from compare_guides")
    khats = [row.high_khat for row in rows]
    known = [khat for khat in khats if khat is not None]
    if 0 < len(known) < len(rows):
        raise ValueError(f"rows must all have k-hat or none, got {len(known)} of {len(rows)}; compare them together")
    made = panels(axes, 3 if known else 2, (3.1, 1.0 + 0.3 * len(rows)))
    _draw_points(made[0], [row.elbo for row in rows], COLORS[0], "ELBO", 0.12)
    _draw_points(made[0], [row.iwae for row in rows], COLORS[5], f"IWAE, K = {rows[0].num_samples}", -0.12)
    if evidence is not None:
        made[0].axvline(evidence, color="black", lw=1, ls=":", label="evidence")
    made[0].legend(frameon=False, fontsize=7, loc="upper center", ncols=3, columnspacing=1, handletextpad=0.4)
    _draw_points(made[1], [row.gap for row in rows], COLORS[0], "gap", 0.0)
    made[1].axvline(0, color="black", lw=0.8)
    if known:
        _draw_points(made[2], known, COLORS[0], "k-hat", 0.0)
        made[2].set_xlim(-0.03, 1.03)
    titles = ("bounds", "gap", "k-hat above 0.7")
    for ax, title, unit in zip(made, titles, ("nats a clip", "nats a clip", "share of clips")):
        ax.set_title(title, fontsize=10)
        ax.set_xlabel(unit, fontsize=9)
        ax.set_ylim(len(rows) - 0.5, -1.2)  # the legend has the room of a row
        ax.set_yticks(range(len(rows)), [row.name for row in rows] if ax is made[0] else [""] * len(rows))
        tidy(ax)
    return made


def _draw_points(ax: Axes, scores: Sequence[Score], color: str, label: str, up: float) -> None:
    """Draw a point with its interval for each guide; open points for the one that stands below."""
    values = np.array([score.value for score in scores])
    ends = np.array([[score.value - score.low for score in scores], [score.high - score.value for score in scores]])
    places = np.arange(len(scores)) - up
    face = "white" if up < 0 else color
    ax.errorbar(
        values, places, xerr=ends.clip(0), fmt="o", ms=5, mfc=face, color=color, lw=1.2, capsize=2.5, label=label
    )
