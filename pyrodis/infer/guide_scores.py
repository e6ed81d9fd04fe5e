"""The scores of guides on the same clips, and the table that they print as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

import torch

from pyrodis.metrics import Score

__all__ = ["GuideScores", "GuideTable"]


@dataclass(frozen=True)
class GuideScores:
    """What one pair of model and guide scores on a set of clips, in nats per clip.

    Two guides on the same clips differ far less by chance than their intervals say:
    `mean_score(a.per_clip["elbo"] - b.per_clip["elbo"])` has the interval of the difference.

    Args:
        name: Name of the pair.
        elbo: The evidence lower bound, penalties and KL weights left out.
        iwae: The importance-weighted bound.
        gap: iwae - elbo, a lower bound of KL(q || posterior) on average.
        nll: -E_q log p(x | latents).
        kl: Latent site to its part of the KL: elbo = -nll - sum of them.
        num_samples: Draws a clip.
        per_clip: "elbo", "iwae", "gap", "nll", "kl_<site>" and, if it was asked for, "khat" of every clip, (number of
            clips).
        high_khat: Share of the clips whose `pareto_khat` is above 0.7, or None if it was not asked for.
        seconds: Wall-clock seconds of one draw for one clip, scored by both programs.

    Example:
        >>> from pyrodis.metrics import mean_score
        >>> score = mean_score(torch.zeros(3))
        >>> GuideScores("full", score, score, score, score, {"z": score}, 50).as_dict()["kl_z"]["value"]
        0.0
    """

    name: str
    elbo: Score
    iwae: Score
    gap: Score
    nll: Score
    kl: Mapping[str, Score]
    num_samples: int
    per_clip: Mapping[str, torch.Tensor] = field(default_factory=dict, repr=False, compare=False)
    high_khat: Score | None = None
    seconds: float | None = field(default=None, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the scores as plain values, ready for JSON.

        Returns:
            Name to score: "elbo", "iwae", "gap", "nll", "kl_<site>" and "high_khat", if it is known; and "name",
            "num_samples" and "seconds".
        """
        scores = {"elbo": self.elbo, "iwae": self.iwae, "gap": self.gap, "nll": self.nll}
        scores |= {f"kl_{site}": score for site, score in self.kl.items()}
        scores |= {} if self.high_khat is None else {"high_khat": self.high_khat}
        plain = {key: score.as_dict() for key, score in scores.items()}
        return {"name": self.name, "num_samples": self.num_samples, "seconds": self.seconds, **plain}


class GuideTable(list[GuideScores]):
    """Rows of `compare_guides`: a list that prints as a Markdown table, and as a table in a notebook.

    Every number stands beside half the width of its 95 % interval over the clips. "k > 0.7" is the share of the clips
    whose importance weights have too heavy a tail, in per cent; "ms" are milliseconds a draw of a clip.

    Args:
        rows: What the list holds, as for `list`.

    Example:
        >>> from pyrodis.metrics import mean_score
        >>> score = mean_score(torch.zeros(3))
        >>> print(GuideTable([GuideScores("full", score, score, score, score, {"z": score}, 50)]))
        | guide | ELBO | IWAE, K = 50 | gap | nll | KL z |
        | --- | ---: | ---: | ---: | ---: | ---: |
        | full | 0.00 ± 0.00 | 0.00 ± 0.00 | 0.00 ± 0.00 | 0.00 ± 0.00 | 0.00 ± 0.00 |
    """

    def cells(self) -> list[list[str]]:
        """Return the table as text, the heads first.

        Returns:
            Rows of cells; an empty cell where a pair lacks a site or a score.
        """
        sites = list(dict.fromkeys(site for row in self for site in row.kl))
        draws = "/".join(dict.fromkeys(str(row.num_samples) for row in self))
        columns = [
            ("guide", [row.name for row in self]),
            ("ELBO", [_cell(row.elbo) for row in self]),
            (f"IWAE, K = {draws}", [_cell(row.iwae) for row in self]),
            ("gap", [_cell(row.gap) for row in self]),
            ("nll", [_cell(row.nll) for row in self]),
            *((f"KL {site}", [_cell(row.kl.get(site)) for row in self]) for site in sites),
            ("k > 0.7", ["" if row.high_khat is None else f"{100 * row.high_khat.value:.0f} %" for row in self]),
            ("ms", ["" if row.seconds is None else f"{1000 * row.seconds:.2g}" for row in self]),
        ]
        kept = [(head, cells) for head, cells in columns if any(cells)]
        return [[head for head, _ in kept], *([*line] for line in zip(*(cells for _, cells in kept), strict=True))]

    def __repr__(self) -> str:
        if not self:
            return "GuideTable([])"
        heads, *lines = self.cells()
        lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *lines]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

    def _repr_html_(self) -> str:
        if not self:
            return "<p>no guides</p>"
        heads, *lines = ([escape(cell) for cell in cells] for cells in self.cells())
        head = "".join(f"<th>{cell}</th>" for cell in heads)
        body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>" for cells in lines)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(score: Score | None) -> str:
    """A score beside half the width of its interval, or nothing."""
    if score is None:
        return ""
    half = f" ± {(score.high - score.low) / 2:.2f}" if score.num > 1 else ""  # one clip has no interval
    return f"{score.value:.2f}{half}"
