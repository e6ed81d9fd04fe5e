"""Scores as a Markdown table."""

from __future__ import annotations

from collections.abc import Mapping

from pyrodis.metrics.score import Score

__all__ = ["check_scores", "score_table"]


def score_table(scores: Mapping[str, Score], wanted: Mapping[str, str] | None = None) -> str:
    """Write scores as a Markdown table, each beside its interval, chance and ceiling.

    Args:
        scores: name -> score.
        wanted: name -> what the score should be, as a further column; see :func:`pyrodis.metrics.two_sided_wanted`.

    Returns:
        The table, without a line break at its end; numbers with four significant digits.

    Raises:
        TypeError: an entry is no score.
        ValueError: no scores, or ``wanted`` lacks one of them.

    Source:
        A table of our own.

    Example:
        >>> print(score_table({"action": Score(0.9, 0.85, 0.95, 1 / 9, 1.0, num=2664)}))
        | score | value | 95 % interval | chance | ceiling | items | seeds |
        | --- | ---: | ---: | ---: | ---: | ---: | ---: |
        | action | 0.9 | 0.85 to 0.95 | 0.1111 | 1 | 2664 | 1 |
    """
    check_scores(scores, wanted)
    heads = ["score", "value", "95 % interval", "chance", "ceiling", "items", "seeds"]
    rules = ["---"] + ["---:"] * 6
    if wanted is not None:
        heads, rules = [*heads, "wanted"], [*rules, "---"]
    lines = [heads, rules]
    for name, score in scores.items():
        interval = f"{score.low:.4g} to {score.high:.4g}"
        levels = ["" if level is None else f"{level:.4g}" for level in (score.chance, score.ceiling)]
        cells = [name, f"{score.value:.4g}", interval, *levels, str(score.num), str(score.seeds)]
        lines.append(cells if wanted is None else [*cells, wanted[name]])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def check_scores(scores: Mapping[str, Score], wanted: Mapping[str, str] | None) -> None:
    """Refuse what is no mapping to scores, and aims that leave one out.

    Args:
        scores: name -> score.
        wanted: name -> what the score should be, or None.

    Raises:
        TypeError: an entry is no score.
        ValueError: no scores, or ``wanted`` lacks one of them.
    """
    if not scores:
        raise ValueError("scores must hold at least one score, got none; compute some first")
    for name, score in scores.items():
        if not isinstance(score, Score):
            raise TypeError(f"scores must map names to Score, got {type(score).__name__} for {name!r}; wrap it first")
    missing = [name for name in scores if wanted is not None and name not in wanted]
    if missing:
        raise ValueError(f"wanted must name every score, got none for {missing}; pass those of two_sided_wanted")
