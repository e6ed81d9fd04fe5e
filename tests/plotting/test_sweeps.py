"""Sweeps: lines and cells are the data, missing runs show, and bad input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from pyrodis.plotting import factor_sweep, sweep_curve, sweep_map

STEPS = np.linspace(0, 1, 5)
CODES = {"circle x": np.stack([STEPS, 0 * STEPS], 1), "circle y": np.stack([0 * STEPS, 3 * STEPS], 1)}


def test_a_panel_a_factor_and_a_line_a_latent() -> None:
    axes = factor_sweep(STEPS, CODES, scales={name: np.full((5, 2), 0.5) for name in CODES})
    assert [ax.get_title() for ax in axes] == ["circle x", "circle y"]
    for ax, codes in zip(axes, CODES.values()):
        np.testing.assert_array_equal([line.get_ydata() for line in ax.lines], codes.T)
        assert [line.get_label() for line in ax.lines] == ["z 0", "z 1"]
    assert axes[0].get_ylim() == axes[1].get_ylim()
    band = axes[1].collections[1].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == (-0.5, 3.5)


def test_more_latents_than_colors_differ_in_style() -> None:
    ax = factor_sweep(STEPS, np.zeros((5, 10)))[0]
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 10


def test_curves_are_added_with_their_intervals() -> None:
    ax = sweep_curve(STEPS, STEPS, STEPS - 1, STEPS + 1, "lag")
    assert sweep_curve(STEPS, [1, 2, float("nan"), 4, 5], label="error", ax=ax) is ax
    assert [line.get_label() for line in ax.lines] == ["lag", "error"]
    assert len({line.get_color() for line in ax.lines}) == len({line.get_marker() for line in ax.lines}) == 2
    band = ax.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == (-1, 2)
    assert sweep_curve(STEPS, STEPS).get_legend() is None


def test_a_map_writes_its_scores_and_settings() -> None:
    ax = sweep_map([[1e-4, 0.5], [float("nan"), 1.0]], [0.001, 0.030199], [0, 1e4], log=True)
    assert [text.get_text() for text in ax.texts] == ["0.0001", "0.5", "–", "1"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "10000"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0.001", "0.0302"]
    assert ax.get_ylim()[0] < ax.get_ylim()[1]  # the first row is at the bottom
    assert ax.images[0].norm(np.sqrt(1e-4)) == pytest.approx(0.5)
    _, given = plt.subplots()
    assert sweep_map([[float("nan")]], [1], [1], ax=given) is given


@pytest.mark.parametrize(
    ("draw", "error", "match"),
    [
        (lambda: factor_sweep(STEPS[:4], CODES), ValueError, r"shape \(P, D\) = \(4, 2\), got \(5, 2\) for 'circle x'"),
        (lambda: factor_sweep(STEPS, CODES, names=("a",)), ValueError, "names must hold 2 names"),
        (lambda: factor_sweep(STEPS, CODES, scales={"a": CODES["circle x"]}), ValueError, "scales must be of the fac"),
        (lambda: factor_sweep(STEPS, CODES, axes=[plt.subplots()[1]]), ValueError, "axes must hold 2"),
        (lambda: factor_sweep(STEPS, {}), ValueError, "codes must hold at least one array"),
        (lambda: sweep_curve(STEPS, STEPS[1:]), ValueError, "y must hold 5 numbers, one for each x, got 4"),
        (lambda: sweep_curve(STEPS, STEPS, low=STEPS), ValueError, "low and high must be given together"),
        (lambda: sweep_curve(STEPS, STEPS / 0.0 + 1), ValueError, "y must be finite"),
        (lambda: sweep_map(np.ones((2, 3)), [1, 2, 3], [1, 2]), ValueError, r"\(3, 2\), got \(2, 3\); transpose"),
        (lambda: sweep_map(np.ones((2, 1)), [2, 1], [1]), ValueError, r"row_values must rise, got \[2.0, 1.0\]"),
        (lambda: sweep_map(np.zeros((1, 1)), [1], [1], log=True), ValueError, "must be positive for log, got 0"),
        (lambda: sweep_map("map", [1], [1]), TypeError, "values must be an array of numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_refuses(draw: Callable[[], Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        draw()
