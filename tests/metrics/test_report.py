"""The report: all scores in one table, as text, as HTML and as JSON."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from pyrodis.metrics import ALL_SCORES, QUICK_SCORES, Report, Score, dci, mcc, mig, report
from tests.metrics.kinds_of_codes import CLASSES, NOISE, NUMBERS, with_dead

NAMES = ("shape", "color", "<size>")


class Cells(HTMLParser):
    """The texts of a table, row by row; fails on tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] in ("th", "td"):
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def found() -> Report:
    return report(with_dead(CLASSES), CLASSES, NAMES)


def test_all_scores_are_in_it(found: Report) -> None:
    expected = ["mig", "sap", "modularity", "mcc", "factor_vae", "beta_vae"]
    expected += ["disentanglement", "completeness", "informativeness", "linear", "nonlinear"]
    assert [name for name in found.scores if "/" not in name] == expected
    assert all(isinstance(score, Score) for score in found.scores.values())
    assert (found.active, found.num_dims, found.num_items) == (3, 5, 600)
    assert set(QUICK_SCORES) < set(ALL_SCORES)


def test_values_are_those_of_the_functions(found: Report) -> None:
    assert found.scores["mig/shape"] == mig(with_dead(CLASSES), CLASSES, NAMES)["mig/shape"]
    assert found.scores["mcc"] == mcc(with_dead(CLASSES), CLASSES)["mcc"]


def test_as_text(found: Report) -> None:
    caption, header, *rows = repr(found).splitlines()
    assert caption == "3 of 5 latent dimensions are active, 600 items"
    assert header.split() == ["score", "value", "95", "%", "interval", "chance", "ceiling", "items", *NAMES]
    assert rows[0].split() == ["mig", "1.000", "0.996", "to", "1.000", "0.000", "1.000", "600", *["1.000"] * 3]
    assert len(rows) == 11
    assert max(map(len, rows)) <= 120


def test_as_html(found: Report) -> None:
    header, *rows = Cells(found._repr_html_()).rows
    assert header == ["score", "value", "95 % interval", "chance", "ceiling", "items", *NAMES]
    assert rows[0][:3] == ["mig", "1.000", "0.996 to 1.000"]
    assert "<size>" not in found._repr_html_()
    assert {len(row) for row in rows} == {len(header)}


def test_as_dict(found: Report) -> None:
    plain = json.loads(json.dumps(found.as_dict()))
    assert plain["active_units"] == 3
    assert plain["scores"]["mig"]["ceiling"] == 1.0
    assert plain["factor_names"] == list(NAMES)


def test_scores_can_be_left_out_and_put_in() -> None:
    def leaks(codes: Any, factors: Any, factor_names: Any = None, seed: int = 0) -> dict[str, Score]:
        return {"leaks": Score(float(seed), 0, 9, None, None, num=len(codes))}

    short = report(NOISE, NUMBERS, scores=(mig, leaks), seed=4)
    assert list(short.scores) == ["mig", "mig/factor_0", "mig/factor_1", "mig/factor_2", "leaks"]
    assert short.scores["leaks"].value == 4
    assert repr(short).splitlines()[-1].split() == ["leaks", "4.000", "0.000", "to", "9.000", "600"]


def test_forests_see_some_items_alone() -> None:
    whole, part = dci(NUMBERS, NUMBERS, num_trees=2), dci(NUMBERS, NUMBERS, num_trees=2, max_items=100)
    assert (whole["disentanglement"].num, part["disentanglement"].num) == (600, 100)
    assert part["informativeness/factor_2"].num == 100
    assert dci(NUMBERS, NUMBERS, num_trees=2, max_items=600) == whole
    frames = [np.repeat(array[:, None], 3, axis=1) for array in (NOISE, NUMBERS)]
    items = np.sort(np.random.default_rng([0, 2]).permutation(600)[:50])
    drawn = dci(*(array[items] for array in frames), num_trees=1)
    assert dci(*frames, num_trees=1, max_items=50) == drawn  # items are drawn whole, with all their frames


@pytest.mark.parametrize(
    ("codes", "factors", "options", "match"),
    [
        (NOISE[:5], CLASSES, {}, r"factors must have shape \(5, F\)"),
        (NOISE, CLASSES * [1, 0, 1], {}, "drop the constant factor"),
        (NOISE * np.nan, CLASSES, {}, "codes must be finite"),
        (NOISE, CLASSES, {"threshold": -1.0}, "threshold must be"),
        (NOISE, CLASSES, {"scores": (mig, mig)}, "scores must have different names, got 'mig' twice"),
        (NOISE, CLASSES, {"scores": (lambda *args, **rest: dci(*args, max_items=9),)}, "at least 10 items, got 9"),
    ],
)
def test_refuses(codes: Any, factors: Any, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        report(codes, factors, **options)
