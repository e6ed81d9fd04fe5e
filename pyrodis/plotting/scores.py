"""Scores as a table to read and as bars beside what they should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pyrodis.metrics import Score
from pyrodis.metrics.score_table import check_scores
from pyrodis.plotting._frames import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pyrodis.infer.guide_scores import GuideScores

MEAN_NAME = "attributes"


def guide_table(rows: Sequence[GuideScores]) -> str:
    """Write the scores of guides on the same clips as a Markdown table, in nats per clip.

    Args:
        rows: What :func:`pyrodis.compare_guides` returned.

    Returns:
        The table, without a line break at its end; each number beside half the width of its 95 % interval, and
        milliseconds a draw of a clip. It is what the rows print by themselves.

    Raises:
        ValueError: no rows, or rows of other latent sites or another number of draws than the first.

    Source:
        A table of our own.

    Example:
        >>> import pyrodis
        >>> from pyrodis.testing import tiny_dsvae
        >>> from torch import zeros
        >>> rows = pyrodis.compare_guides({"full": tiny_dsvae()}, zeros(2, 5, 1, 8, 8), num_samples=2)
        >>> print(guide_table(rows).splitlines()[0])
        | guide | ELBO | IWAE, K = 2 | gap | nll | KL f | KL z | ms |
    """
    from pyrodis.infer.guide_scores import GuideTable

    if not rows:
        raise ValueError("rows must hold at least one guide's scores, got none; take them from compare_guides")
    sites, num = list(rows[0].kl), rows[0].num_samples
    for row in rows:
        if list(row.kl) != sites or row.num_samples != num:
            raise ValueError(f"rows must share sites and draws, got {list(row.kl)}, {row.num_samples} for {row.name!r}")
    return repr(GuideTable(rows))


def two_sided_bars(
    scores: Mapping[str, Score], wanted: Mapping[str, str] | None = None, ax: Axes | None = None
) -> Axes:
    r"""Draw the two-sided table: a group of bars for each exchange, a bar for each factor.

    Whiskers are the 95 % intervals and a dotted line over each bar its chance level. With ``wanted`` a black diamond
    stands where the bar should end: at 1 for a factor that is kept or taken from the donor, at chance for one that is
    drawn anew. Means over the attributes are left out.

    Args:
        scores: "row/factor" -> score, as :func:`pyrodis.metrics.two_sided_scores` returns them.
        wanted: "row/factor" -> "own", "donor" or "chance", from :func:`pyrodis.metrics.two_sided_wanted`.
        ax: where to draw; without it a figure is made.

    Returns:
        The axes; vertical unit: share of the test items.

    Raises:
        TypeError: an entry is no score.
        ValueError: no scores, names that are not "row/factor", an entry missing in a row, more factors than colors,
            or ``wanted`` lacks an entry.

    Source:
        A chart of our own.

    Example:
        >>> score = Score(0.9, 0.85, 0.95, 0.1, 1.0, num=100)
        >>> ax = two_sided_bars({"reconstruction/action": score, "static_sampled/action": score})
        >>> [label.get_text() for label in ax.get_xticklabels()]
        ['reconstruction', 'static\nsampled']
    """
    check_scores(scores, wanted)
    rows, factors = _rows_and_factors(scores)
    ax = _own_axes(len(rows), len(factors)) if ax is None else ax
    width = 0.84 / len(factors)
    for j, factor in enumerate(factors):
        places = [i + (j - (len(factors) - 1) / 2) * width for i in range(len(rows))]
        entries = [scores[f"{row}/{factor}"] for row in rows]
        values = [score.value for score in entries]
        errors = [[s.value - s.low for s in entries], [s.high - s.value for s in entries]]
        ax.bar(
            places, values, width * 0.9, color=COLORS[j], label=factor, yerr=errors, error_kw={"lw": 1, "capsize": 2}
        )
        _draw_levels(ax, places, width, entries, None if wanted is None else [wanted[f"{r}/{factor}"] for r in rows])
    ax.set_xticks(range(len(rows)), [row.replace("_", "\n") for row in rows])
    ax.set_ylabel("agreement")
    ax.set_ylim(0, 1.08)
    ax.spines[["top", "right"]].set_visible(False)
    _draw_legend(ax)
    return ax


def _draw_levels(ax: Axes, places: list[float], width: float, entries: list[Score], wanted: list[str] | None) -> None:
    """Draw the chance level, and the aim where it is known, over each bar of one factor."""
    for i, (place, score) in enumerate(zip(places, entries, strict=True)):
        if score.chance is not None:
            ax.plot([place - width / 2, place + width / 2], [score.chance] * 2, color="black", lw=1.2, ls=":")
        if wanted is None:
            continue
        aim = score.chance if wanted[i] == "chance" else score.ceiling
        if aim is not None:
            ax.plot(place, aim, marker="D", ms=4.5, mfc="white", mec="black", mew=1.1, ls="", clip_on=False, zorder=4)


def _draw_legend(ax: Axes) -> None:
    """Name the factors and the marks above the bars."""
    from matplotlib.lines import Line2D

    handles, names = ax.get_legend_handles_labels()
    handles = [*handles, Line2D([], [], color="black", lw=1.2, ls=":")]
    names = [*names, "chance"]
    if any(line.get_marker() == "D" for line in ax.lines):
        handles.append(Line2D([], [], marker="D", ms=4.5, mfc="white", mec="black", mew=1.1, ls=""))
        names.append("wanted")
    ax.legend(
        handles, names, frameon=False, fontsize=8, ncols=len(names), loc="lower center", bbox_to_anchor=(0.5, 1.0)
    )


def _own_axes(num_rows: int, num_factors: int) -> Axes:
    """Return axes on a new figure, wide enough for the bars."""
    import matplotlib.pyplot as plt

    width = max(5.0, 0.3 * num_rows * num_factors + 1)
    return plt.subplots(figsize=(width, 3.4), layout="constrained")[1]


def _rows_and_factors(scores: Mapping[str, Score]) -> tuple[list[str], list[str]]:
    """Split the names, and refuse a table with holes."""
    if any(name.count("/") != 1 for name in scores):
        raise ValueError(f"scores must be named 'row/factor', got {tuple(scores)}; pass those of two_sided_scores")
    rows = list(dict.fromkeys(name.split("/")[0] for name in scores))
    factors = list(dict.fromkeys(name.split("/")[1] for name in scores))
    factors = [factor for factor in factors if factor != MEAN_NAME]
    missing = [f"{row}/{factor}" for row in rows for factor in factors if f"{row}/{factor}" not in scores]
    if missing or not factors:
        raise ValueError(f"scores must hold every factor in every row, got none for {missing}; pass the whole table")
    if len(factors) > len(COLORS):
        raise ValueError(f"scores must have at most {len(COLORS)} factors, got {len(factors)}; draw two charts")
    return rows, factors
