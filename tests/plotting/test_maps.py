"""Errors over positions and distances, worst and best frames: the means are right, and bad input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from pyrodis.plotting import error_by_distance, position_map, worst_and_best

DRAW = np.random.default_rng(0)


def test_a_grid_of_positions_falls_into_the_cells_one_by_one() -> None:
    steps = np.linspace(0, 1, 16)
    y, x = np.meshgrid(steps, steps, indexing="ij")
    ax = position_map(np.stack([x.ravel(), y.ravel()], 1), np.arange(256.0))[0]
    np.testing.assert_array_equal(ax.images[0].get_array(), np.arange(256.0).reshape(16, 16))  # rows are y
    assert ax.get_ylim() == (1, 0)  # downwards


def test_cells_are_means_and_empty_ones_are_missing() -> None:
    positions, errors = np.array([[0.1, 0.1], [0.2, 0.3], [0.9, 0.1]]), np.array([1.0, 3.0, 5.0])
    axes = position_map(positions, {"inside": errors, "edge": 2 * errors}, num_bins=2)
    assert [ax.get_title() for ax in axes] == ["inside", "edge"]
    np.testing.assert_array_equal(axes[1].images[0].get_array().filled(-1), [[4, 10], [-1, -1]])
    _, given = plt.subplots()
    assert position_map(positions, errors, axes=given)[0] is given


def test_distances_are_binned_and_the_band_is_two_standard_errors() -> None:
    distances, errors = np.repeat([0.0, 1.0], 50), DRAW.normal(np.repeat([3.0, 5.0], 50), 1.0)
    ax = error_by_distance(distances, errors, num_bins=4)
    np.testing.assert_allclose(ax.lines[0].get_xdata(), [0.125, 0.875])
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [errors[:50].mean(), errors[50:].mean()])
    band = ax.collections[0].get_paths()[0].get_extents()
    expected = errors[:50].mean() - 2 * errors[:50].std(ddof=1) / np.sqrt(50)
    assert band.y0 == pytest.approx(expected)
    assert ax.get_yscale() == "linear"


def test_curves_far_apart_have_a_logarithmic_axis() -> None:
    distances = np.linspace(0, 1, 100)
    ax = error_by_distance(distances, {"inside": distances + 1, "background": (distances + 1) / 100})
    assert ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["inside", "background"]
    assert len({line.get_marker() for line in ax.lines}) == 2  # told apart without color
    assert len(error_by_distance(np.ones(5), np.ones(5)).lines[0].get_xdata()) == 1


def test_worst_stand_left_and_best_right() -> None:
    shades = np.linspace(0.1, 1, 10)[:, None, None, None] * np.ones((10, 1, 8, 8))
    errors = np.array([5, 9, 1, 0, 7, 3, 2, 8, 6, 4]) / 10
    ax = worst_and_best(shades, shades / 2, errors, num=2)
    image = np.asarray(ax.images[0].get_array())[..., 0]
    columns = [4, 14, 32, 42]  # two pixels between frames, ten between the halves
    order = [1, 7, 2, 3]
    np.testing.assert_array_equal(image[4, columns], np.rint(255 * shades[order, 0, 0, 0]))
    np.testing.assert_array_equal(image[14, columns], np.rint(255 * shades[order, 0, 0, 0] / 2))
    np.testing.assert_array_equal(image[24, columns], image[14, columns])
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == ["worst\n0.9", "0.8", "best\n0.1", "0"]


ONE = np.zeros((4, 1, 8, 8))


@pytest.mark.parametrize(
    ("draw", "error", "match"),
    [
        (lambda: position_map(np.zeros((3, 3)), np.zeros(3)), ValueError, r"positions must be \(N, 2\) in \[0, 1\]"),
        (lambda: position_map(np.full((3, 2), 2.0), np.zeros(3)), ValueError, "from 2 to 2; scale them"),
        (lambda: position_map(np.zeros((3, 2)), np.zeros(4)), ValueError, "one for each of the 3 positions, got 4"),
        (lambda: position_map(np.zeros((3, 2)), {}), ValueError, "errors must hold at least one array"),
        (lambda: position_map(np.zeros((3, 2)), np.zeros(3), num_bins=0), ValueError, "num_bins must be a positive"),
        (
            lambda: position_map(np.zeros((3, 2)), {"inside": np.full(3, np.nan)}),
            ValueError,
            "errors 'inside' must be finite",
        ),
        (lambda: error_by_distance(np.zeros(3), np.zeros(4)), ValueError, "one for each of the 3 distances, got 4"),
        (lambda: error_by_distance(np.zeros(3), np.zeros(3), 0), ValueError, "num_bins must be a positive"),
        (lambda: error_by_distance("far", np.zeros(3)), TypeError, "distances must be an array of numbers, got str"),
        (lambda: worst_and_best(ONE, ONE[:3], np.zeros(4), 1), ValueError, "must have the shape of frames"),
        (lambda: worst_and_best(ONE, ONE, np.zeros(3), 1), ValueError, "one for each of the 4 frames, got 3"),
        (lambda: worst_and_best(ONE, ONE, np.zeros(4), 3), ValueError, "at most half of the 4 frames, got 3"),
        (lambda: worst_and_best(ONE, ONE - 1, np.zeros(4), 1), ValueError, r"reconstructions must be in \[0, 1\]"),
    ],
)
def test_refuses(draw: Callable[[], Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        draw()
