"""The eigenvalue histogram: bars are shares, the axis is the memory, fits and expectations are drawn; bad input."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from pyrodis.metrics import bimodality
from pyrodis.plotting import eigenvalue_histogram

DRAW = np.random.default_rng(0)
SLOW, FAST = 1 - np.exp(-8 + 0.3 * DRAW.standard_normal(10)), 1 - np.exp(-4 + 0.3 * DRAW.standard_normal(10))
LEARNED = {"circle": FAST, "background": SLOW}
CONTROL = {"circle": 0.05 * DRAW.standard_normal(10), "background": 0.05 * DRAW.standard_normal(10)}


def bars(ax: Any) -> list[np.ndarray]:
    return [np.array([bar.get_height() for bar in container]) for container in ax.containers]


def test_bars_are_shares_where_the_eigenvalues_lie() -> None:
    ax = eigenvalue_histogram(LEARNED, num_bins=30)[0]
    circle, background = bars(ax)
    assert circle.sum() == pytest.approx(0.5)
    assert background.sum() == pytest.approx(0.5)
    centers = np.array([bar.get_x() + bar.get_width() / 2 for bar in ax.containers[0]])
    assert centers @ circle / circle.sum() == pytest.approx(-np.log1p(-FAST).mean(), abs=0.1)
    assert centers @ background / background.sum() == pytest.approx(-np.log1p(-SLOW).mean(), abs=0.1)


def test_ticks_are_eigenvalues() -> None:
    ax = eigenvalue_histogram(np.array([-0.95, 0.0, 0.9999]))[0]
    ticks = {label.get_text(): place for label, place in zip(ax.get_xticklabels(), ax.get_xticks())}
    assert list(ticks) == ["0", "0.9", "0.99", "0.999", "0.9999", "-0.9"]
    for text, place in ticks.items():
        assert 1 - np.exp(-place) == pytest.approx(float(text))


def test_the_control_shares_axis_bins_and_colors() -> None:
    learned, control = eigenvalue_histogram(LEARNED, CONTROL)
    assert learned.get_xlim() == control.get_xlim()
    assert sum(part.sum() for part in bars(control)) == pytest.approx(1)
    for first, second in zip(learned.containers, control.containers):
        assert first[0].get_facecolor() == second[0].get_facecolor()
        assert first[0].get_x() == second[0].get_x()
    names = [text.get_text() for text in learned.get_legend().get_texts()]
    assert names == ["circle (10)", "background (10)"]


def test_a_fit_is_drawn_as_shares() -> None:
    everything, nothing = np.concatenate([FAST, SLOW]), np.concatenate([*CONTROL.values()])
    fits = (bimodality(everything), bimodality(nothing))
    learned, control = eigenvalue_histogram(LEARNED, CONTROL, fits=fits)
    curves = [[line for line in ax.lines if len(line.get_xdata()) > 2] for ax in (learned, control)]
    assert [len(lines) for lines in curves] == [2, 1]
    width = learned.containers[0][0].get_width()
    for line, weight in zip(curves[0], fits[0].weights):
        area = np.sum(line.get_ydata()) * np.diff(line.get_xdata())[0]
        assert area / width == pytest.approx(weight, rel=0.02)
    assert learned.get_title(loc="right").startswith("two modes, BIC difference ")
    assert control.get_title(loc="right").startswith("one mode, BIC difference −")


def test_expectations_are_lines_and_one_is_an_arrow() -> None:
    expected = {"circle x": 0.98, "circle y": 0.9801, "background": 1.0}
    learned, control = eigenvalue_histogram(LEARNED, CONTROL, expected)
    for ax in (learned, control):
        dashed = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"]
        assert dashed == pytest.approx([-np.log(0.02), -np.log(0.0199)])
    assert [text.get_text() for text in learned.texts if text.get_text()] == ["circle x, circle y", "background"]
    assert not [text for text in control.texts if text.get_text()]


def test_takes_tensors_that_saturate_and_given_axes() -> None:
    _, axes = plt.subplots(2)
    made = eigenvalue_histogram(torch.tensor([[0.5, 1 - 1e-6], [1.0, 0.2]]), torch.zeros(3), axes=axes)
    assert made[1] is axes[1]
    assert len(plt.get_fignums()) == 1
    assert made[0].get_legend() is None


@pytest.mark.parametrize(
    ("rest", "match"),
    [
        ({"eigenvalues": np.array([1.5])}, r"eigenvalues must be in \[-1, 1\], got 1.5"),
        ({"eigenvalues": {}}, "eigenvalues must be of 1 to 8 groups, got 0"),
        ({"eigenvalues": {f"z{i}": FAST for i in range(9)}}, "eigenvalues must be of 1 to 8 groups, got 9"),
        ({"eigenvalues": LEARNED, "control": {f"z{i}": FAST for i in range(7)}}, "1 to 8 groups, got 9; join some"),
        ({"eigenvalues": np.array([float("nan")])}, "eigenvalues must be finite"),
        ({"expected": {"circle": -1.0}}, "expected must be above -1 and at most 1, got -1.0 for 'circle'"),
        ({"num_bins": 0}, "num_bins must be at least 1"),
        ({"titles": ()}, "fits and titles must hold one for each panel"),
    ],
)
def test_refuses(rest: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        eigenvalue_histogram(**{"eigenvalues": FAST, **rest})


def test_refuses_too_few_axes() -> None:
    with pytest.raises(ValueError, match="axes must hold 2, one for each panel, got 1"):
        eigenvalue_histogram(LEARNED, CONTROL, axes=[plt.subplots()[1]])
