"""Training curves: a panel a term, the lines are the data, and bad input."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from pyrodis.plotting import training_curves

HISTORY = {
    "epoch": [10, 20, 30],
    "train_nll": [900.0, 90.0, 9.0],
    "validation_nll": [950.0, 95.0, float("nan")],
    "train_kl_z": [1.0, 2.0, 3.0],
    "train_total": [-1.0, -2.0, -3.0],
    "seconds": [1.0, 1.0, 1.0],
}


def test_a_panel_for_each_term_the_total_first() -> None:
    axes = training_curves(HISTORY)
    assert [ax.get_title() for ax in axes] == ["total", "nll", "kl z"]
    nll = axes[1].lines
    assert [line.get_label() for line in nll] == ["train", "validation"]
    assert list(nll[0].get_xdata()) == [10, 20, 30]
    assert list(nll[0].get_ydata()) == HISTORY["train_nll"]
    assert len({line.get_linestyle() for line in nll}) == 2  # told apart without color
    assert len(axes[2].lines) == 1


def test_only_a_long_positive_fall_is_logarithmic() -> None:
    assert [ax.get_yscale() for ax in training_curves(HISTORY)] == ["linear", "log", "linear"]


def test_counts_epochs_itself_and_draws_where_it_is_told() -> None:
    _, axes = plt.subplots(1, 2)
    panels = training_curves({"train_total": [2.0, 1.0]}, axes)
    assert panels[0] is axes[0]
    assert list(panels[0].lines[0].get_xdata()) == [1, 2]
    assert len(plt.get_fignums()) == 1


@pytest.mark.parametrize("num", [1, 2, 3, 4, 5, 7])
def test_no_empty_panel_is_shown(num: int) -> None:
    axes = training_curves({f"train_{i}": np.ones(2) for i in range(num)})
    assert len(axes) == num
    assert sum(ax.get_visible() for ax in axes[0].figure.axes) == num


@pytest.mark.parametrize(
    ("history", "match"),
    [
        ({"epoch": [1], "seconds": [2.0]}, r"columns train_\* or validation_\*"),
        ({}, "got \\(\\)"),
        ({"train_total": [1.0, 2.0], "train_nll": [1.0]}, "one length"),
        ({"train_total": []}, "at least 1"),
    ],
)
def test_refuses(history: dict[str, list[float]], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        training_curves(history)


def test_refuses_too_few_axes() -> None:
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="got 1; pass 3 axes"):
        training_curves(HISTORY, [ax])
