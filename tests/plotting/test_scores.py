"""Scores as table and bars: every number is the one that was given."""

from __future__ import annotations

import subprocess
import sys

import matplotlib.pyplot as plt
import pytest
from matplotlib.container import BarContainer

from pyrodis.metrics import Score, two_sided_wanted
from pyrodis.plotting import score_table, two_sided_bars

WANTED = two_sided_wanted(("action", "skin", "hair"))
CHANCE = {"action": 1 / 9, "skin": 1 / 6, "hair": 1 / 6, "attributes": 1 / 6}
SCORES = {
    name: Score(0.02 * i + 0.1, 0.02 * i + 0.05, 0.02 * i + 0.2, CHANCE[name.split("/")[1]], 1.0, num=100)
    for i, name in enumerate(WANTED)
}


def test_the_table_holds_every_score() -> None:
    lines = score_table(SCORES, WANTED).splitlines()
    assert len(lines) == 2 + len(SCORES)
    assert lines[2] == "| reconstruction/action | 0.1 | 0.05 to 0.2 | 0.1111 | 1 | 100 | 1 | own |"
    assert len({line.count("|") for line in lines}) == 1
    assert score_table({"psnr": Score(20.0, 19.0, 21.0, None, None, num=2)}).endswith("| 20 | 19 to 21 |  |  | 2 | 1 |")


def test_the_bars_are_the_scores() -> None:
    ax = two_sided_bars(SCORES, WANTED)
    bars = [container for container in ax.containers if isinstance(container, BarContainer)]
    assert [container.get_label() for container in bars] == ["action", "skin", "hair"]  # no means
    rows = list(dict.fromkeys(name.split("/")[0] for name in SCORES))
    for container in bars:
        expected = [SCORES[f"{row}/{container.get_label()}"].value for row in rows]
        assert [bar.get_height() for bar in container] == pytest.approx(expected)
    assert len({bars[j][0].get_facecolor() for j in range(3)}) == 3


def test_the_aims_stand_at_one_or_at_chance() -> None:
    ax = two_sided_bars(SCORES, WANTED)
    aims = [float(line.get_ydata()[0]) for line in ax.lines if line.get_marker() == "D"]
    names = [
        f"{row}/{factor}"
        for factor in ("action", "skin", "hair")
        for row in dict.fromkeys(n.split("/")[0] for n in WANTED)
    ]
    assert aims == pytest.approx([SCORES[n].chance if WANTED[n] == "chance" else 1.0 for n in names])
    assert not [line for line in two_sided_bars(SCORES).lines if line.get_marker() == "D"]


def test_draws_on_given_axes() -> None:
    _, ax = plt.subplots()
    assert two_sided_bars(SCORES, ax=ax) is ax
    assert len(plt.get_fignums()) == 1


@pytest.mark.parametrize("draw", [score_table, two_sided_bars])
def test_refuses_what_is_no_score(draw: object) -> None:
    with pytest.raises(ValueError, match="at least one score"):
        draw({})  # type: ignore[operator]
    with pytest.raises(TypeError, match="got float for 'a/b'"):
        draw({"a/b": 0.5})  # type: ignore[operator]
    with pytest.raises(ValueError, match="wanted must name every score"):
        draw(SCORES, {})  # type: ignore[operator]


def test_bars_refuse_a_table_with_holes() -> None:
    score = SCORES["reconstruction/skin"]
    with pytest.raises(ValueError, match="'row/factor'"):
        two_sided_bars({"skin": score})
    with pytest.raises(ValueError, match=r"got none for \['b/skin'\]"):
        two_sided_bars({"a/skin": score, "a/hair": score, "b/hair": score})
    with pytest.raises(ValueError, match="at most 8 factors, got 9"):
        two_sided_bars({f"a/{i}": score for i in range(9)})


def test_importing_the_plots_loads_no_matplotlib() -> None:
    heavy = "{'matplotlib', 'PIL', 'scipy', 'sklearn', 'lightning'}"
    code = (
        f"import sys, torch; old = set(sys.modules); import pyrodis.plotting; print({heavy} & (set(sys.modules) - old))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
