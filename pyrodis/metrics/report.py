"""Every score of codes against factors at once, as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

from pyrodis.metrics._arrays import Array
from pyrodis.metrics._codes import code_table
from pyrodis.metrics.activity import active_units
from pyrodis.metrics.beta_vae_score import beta_vae_score
from pyrodis.metrics.dci import dci
from pyrodis.metrics.factor_r2 import factor_r2
from pyrodis.metrics.factor_vae_score import factor_vae_score
from pyrodis.metrics.mcc import mcc
from pyrodis.metrics.mig import mig
from pyrodis.metrics.modularity import modularity
from pyrodis.metrics.sap import sap
from pyrodis.metrics.score import Score

ScoreFunction = Callable[..., Mapping[str, Score]]


def _modularity(
    codes: Array, factors: Array, factor_names: Sequence[str] | None = None, seed: int = 0
) -> dict[str, Score]:
    return {"modularity": modularity(codes, factors, factor_names, seed=seed)}


#: The scores of codes against factors that take a second or so each.
QUICK_SCORES: tuple[ScoreFunction, ...] = (mig, sap, _modularity, mcc, factor_vae_score, beta_vae_score)
#: All scores of codes against factors; forests see 2,000 items at most.
ALL_SCORES: tuple[ScoreFunction, ...] = (*QUICK_SCORES, partial(dci, max_items=2000), factor_r2)


@dataclass(frozen=True, repr=False)
class Report:
    """Scores of one set of codes, printed as a table and rendered as one in a notebook.

    Args:
        scores: name -> score, "<name>/<factor>" beside "<name>" where there is one a factor.
        factor_names: name of each factor.
        num_items: number of items.
        num_dims: number of latent dimensions.
        active: number of latent dimensions that vary.

    Example:
        >>> scores = {"mig": Score(0.5, 0.4, 0.6, 0.0, 1.0, num=9)}
        >>> print(Report(scores, ("shape",), num_items=9, num_dims=3, active=2))
        2 of 3 latent dimensions are active, 9 items
        score  value   95 % interval  chance  ceiling  items  shape
        mig    0.500  0.400 to 0.600   0.000    1.000      9
    """

    scores: Mapping[str, Score]
    factor_names: tuple[str, ...]
    num_items: int
    num_dims: int
    active: int

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain Python objects, ready for JSON.

        Returns:
            "active_units", "num_dims", "num_items", "factor_names", and "scores": name -> fields of the score.

        Example:
            >>> list(Report({}, ("shape",), num_items=9, num_dims=3, active=2).as_dict())
            ['active_units', 'num_dims', 'num_items', 'factor_names', 'scores']
        """
        return {
            "active_units": self.active,
            "num_dims": self.num_dims,
            "num_items": self.num_items,
            "factor_names": list(self.factor_names),
            "scores": {name: score.as_dict() for name, score in self.scores.items()},
        }

    def __repr__(self) -> str:
        header, *rows = self._cells()
        widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
        lines = [
            "  ".join(cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(pairs))
            for pairs in (list(zip(row, widths, strict=True)) for row in (header, *rows))
        ]
        return "\n".join([self._caption(), *(line.rstrip() for line in lines)])

    def _repr_html_(self) -> str:
        """Return the table as HTML, which notebooks show."""
        header, *rows = self._cells()
        head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
        body = "".join(
            f"<tr><th>{escape(name)}</th>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
            for name, *cells in rows
        )
        return (
            f"<table><caption>{escape(self._caption())}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    def _caption(self) -> str:
        return f"{self.active} of {self.num_dims} latent dimensions are active, {self.num_items} items"

    def _cells(self) -> list[list[str]]:
        """Return the header and a row a score: its fields, then its value for each factor."""
        header = ["score", "value", "95 % interval", "chance", "ceiling", "items", *self.factor_names]
        rows = []
        for name, score in self.scores.items():
            if "/" not in name:
                levels = ["" if level is None else f"{level:.3f}" for level in (score.chance, score.ceiling)]
                own = [self.scores.get(f"{name}/{factor}") for factor in self.factor_names]
                values = ["" if found is None else f"{found.value:.3f}" for found in own]
                interval = f"{score.low:.3f} to {score.high:.3f}"
                rows.append([name, f"{score.value:.3f}", interval, *levels, str(score.num), *values])
        return [header, *rows]


def report(
    codes: Array,
    factors: Array,
    factor_names: Sequence[str] | None = None,
    scores: Sequence[ScoreFunction] = ALL_SCORES,
    threshold: float = 0.01,
    seed: int = 0,
) -> Report:
    """Score codes against factors in every way, each with its interval and chance, beside the count of active units.

    Args:
        codes: posterior means.
        factors: true factors of the same rows: integers are classes, floating-point numbers are numbers.
        factor_names: name of each factor; "factor_0" and so on by default.
        scores: what to score, each called as ``score(codes, factors, factor_names, seed=seed)`` and giving name ->
            :class:`Score`. By default all of :func:`pyrodis.metrics.mig`, ``sap``, ``modularity``, ``mcc``,
            ``factor_vae_score``, ``beta_vae_score``, ``dci`` (of 2,000 items at most) and ``factor_r2``;
            ``QUICK_SCORES`` leaves the last two out.
        threshold: variance above which a dimension counts as active, as in :func:`pyrodis.metrics.active_units`.
        seed: seed of every score.

    Shape:
        codes: (N, D) or (N, T, D); factors: (N, F) or (N, T, F).

    Returns:
        The scores, as an object that prints as a table.

    Raises:
        TypeError: no arrays of real numbers.
        ValueError: shapes that do not fit, NaN, a factor that is constant, a negative threshold, what a score refuses,
            or two scores of one name.

    Source:
        Each score says its own; :func:`pyrodis.metrics.probe_accuracy` and the scores of exchanged codes need a judge
        or a second set of items, and are not part of it.

    Example:
        >>> import numpy as np
        >>> factors = np.random.default_rng(0).integers(3, size=(200, 2))
        >>> found = report(factors * 1.0, factors, ("shape", "color"), scores=(mig,))
        >>> found.active, round(found.scores["mig/shape"].value, 2)
        (2, 0.99)
    """
    table = code_table(codes, factors, factor_names)
    active = active_units(table.codes, threshold)
    found: dict[str, Score] = {}
    for function in scores:
        named = function(codes, factors, table.names, seed=seed)
        twice = sorted(found.keys() & named.keys())
        if twice:
            raise ValueError(f"scores must have different names, got {twice[0]!r} twice; leave one of the two out")
        found |= named
    return Report(found, table.names, table.num, table.codes.shape[1], active)
