"""Posteriors over frames, time covariances: the lines and cells are the numbers given; bad input."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.collections import PolyCollection

from pyrodis.plotting import posterior_over_time, time_covariance

DRAWS = np.random.default_rng(0).normal(size=(400, 5, 2)) * np.array([1.0, 3.0])


def test_the_line_is_the_mean_and_the_bands_hold_their_share() -> None:
    axes = posterior_over_time(torch.tensor(DRAWS), num_paths=3, truth=DRAWS[7], names=("a", "b"))
    for d, ax in enumerate(axes):
        *paths, mean, truth = ax.lines
        np.testing.assert_allclose(mean.get_ydata(), DRAWS[:, :, d].mean(0))
        assert [[*path.get_ydata()] for path in paths] == [[*draw] for draw in DRAWS[:3, :, d]]
        np.testing.assert_allclose(truth.get_ydata(), DRAWS[7, :, d])
        assert [*mean.get_xdata()] == [1, 2, 3, 4, 5]
        bands = [part for part in ax.collections if isinstance(part, PolyCollection)]
        assert len(bands) == 2
        for band, level in zip(bands, (0.9, 0.5)):
            corners = band.get_paths()[0].vertices
            first = corners[corners[:, 0] == 1, 1]
            inside = (DRAWS[:, 0, d] >= first.min()) & (DRAWS[:, 0, d] <= first.max())
            assert inside.mean() == pytest.approx(level, abs=0.01)
    assert [ax.get_title() for ax in axes] == ["a", "b"]


def test_hidden_frames_stand_on_gray() -> None:
    ax = posterior_over_time(DRAWS[..., :1], shown=torch.tensor([True, False, True, True, False]))[0]
    assert [patch.get_x() for patch in ax.patches] == [1.5, 4.5]
    assert not posterior_over_time(DRAWS[..., :1])[0].patches


def test_draws_where_told() -> None:
    _, given = plt.subplots(1, 2)
    assert [*posterior_over_time(DRAWS, axes=given)] == [*given]
    assert [*time_covariance({"a": np.eye(3), "b": np.eye(3)}, axes=given)] == [*given]


def test_covariances_share_one_scale_around_zero() -> None:
    wide = np.array([[4.0, -1.0], [-1.0, 2.0]])
    axes = time_covariance({"wide": wide, "narrow": np.eye(2)}, label="correlation")
    images = [ax.images[0] for ax in axes]
    np.testing.assert_array_equal(images[0].get_array(), wide)
    assert {image.get_clim() for image in images} == {(-4.0, 4.0)}
    assert images[0].get_extent() == [0.5, 2.5, 2.5, 0.5]  # frame 1 is the upper left cell
    assert [ax.get_title() for ax in axes] == ["wide", "narrow"]


@pytest.mark.parametrize(
    ("draws", "rest", "error", "match"),
    [
        (np.zeros((5, 2)), {}, ValueError, r"draws must have 3 dimensions and entries, got shape \(5, 2\)"),
        (np.zeros((1, 5, 2)), {}, ValueError, "draws must be at least 2, got 1; encode with num_samples"),
        (DRAWS, {"num_paths": 401}, ValueError, "num_paths must be between 0 and the 400 draws, got 401"),
        (DRAWS, {"truth": np.zeros((2, 5))}, ValueError, r"truth must have shape \(T, D\) = \(5, 2\), got \(2, 5\)"),
        (DRAWS, {"shown": [True]}, ValueError, "shown must say of each of the 5 frames whether it was seen, got 1"),
        (DRAWS, {"levels": (0.5, 1.0)}, ValueError, "levels must lie between 0 and 1, got 1.0"),
        (DRAWS, {"names": ("a",)}, ValueError, "names must hold 2 names"),
        (DRAWS * np.nan, {}, ValueError, "draws must be finite"),
        ("z", {}, TypeError, "draws must be an array of numbers, got str"),
    ],
)
def test_posterior_refuses(draws: Any, rest: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        posterior_over_time(draws, **rest)


@pytest.mark.parametrize(
    ("covariance", "match"),
    [
        (np.zeros((2, 3)), r"covariance must be \(T, T\) and symmetric, got shape \(2, 3\)"),
        ({"full": np.triu(np.ones((3, 3)))}, r"covariance 'full' must be \(T, T\) and symmetric"),
        (np.zeros((2, 2, 2)), "covariance must have 2 dimensions"),
        ({}, "covariance must hold at least one array"),
    ],
)
def test_covariance_refuses(covariance: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        time_covariance(covariance)
