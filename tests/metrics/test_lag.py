"""Centroids, the lag between paths, and paired differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_rel

from pyrodis.metrics import centroid_lag, disc_centroid, lag_of_paths, paired_difference

RNG = np.random.default_rng(0)
START, END = RNG.random((2, 30, 1, 2)) * 20


def lines(shift: float, num_frames: int = 10) -> np.ndarray:
    """Paths of uniform motion, seen `shift` frames late."""
    return START + (END - START) * (np.arange(num_frames)[:, None] - shift) / (num_frames - 1)


def discs(path: np.ndarray, size: int = 32) -> np.ndarray:
    """Frames (N, T, 1, H, W) with a smooth disc on a background of .5."""
    row, column = np.mgrid[:size, :size]
    distance = np.hypot(column - path[..., 0, None, None], row - path[..., 1, None, None])
    return 0.5 + 0.5 * np.clip(4.5 - distance, 0, 1)[:, :, None]


def test_centroid_of_discs() -> None:
    path = lines(0)[:5] + 6
    assert disc_centroid(discs(path)) == pytest.approx(path, abs=0.2)


def test_centroid_is_column_then_row_and_weighs_brightness() -> None:
    frame = np.zeros((1, 3, 6))
    frame[0, 2, 1], frame[0, 2, 5] = 0.95, 0.9
    assert disc_centroid(frame).tolist() == pytest.approx([(1 * 0.1 + 5 * 0.05) / 0.15, 2])


def test_a_frame_without_a_disc_has_no_centroid() -> None:
    frames = np.full((2, 1, 4, 4), 0.5)
    frames[1, 0, 1, 1] = 1
    found = disc_centroid(frames)
    assert np.isnan(found[0]).all()
    assert found[1].tolist() == [1, 1]


@pytest.mark.parametrize("shift", [-2.0, -1.3, -0.25, 0.0, 0.5, 1.0, 1.75, 2.0])
def test_finds_the_shift_of_uniform_motion(shift: float) -> None:
    score = lag_of_paths(lines(shift), lines(0), num_resamples=20)
    assert [score.value, score.low, score.high] == pytest.approx([shift] * 3, abs=1e-9)
    assert score.num == 30


def test_is_the_least_of_a_fine_grid() -> None:
    true = np.cumsum(RNG.normal(size=(10, 12, 2)), axis=1)
    path = true + RNG.normal(size=true.shape)
    path[:, 1:] = 0.5 * (path[:, 1:] + true[:, :-1])

    def error(lag: float) -> float:
        times = np.arange(2, 10) - lag
        moved = [np.stack([np.interp(times, np.arange(12), t[:, c]) for c in range(2)], 1) for t in true]
        return float(((path[:, 2:10] - np.stack(moved)) ** 2).sum())

    grid = np.linspace(-2, 2, 4001)
    best = grid[np.argmin([error(lag) for lag in grid])]
    assert lag_of_paths(path, true, num_resamples=2).value == pytest.approx(best, abs=1e-3)


def test_noise_widens_the_interval_around_the_shift() -> None:
    score = lag_of_paths(lines(0.7) + RNG.normal(size=(30, 10, 2)), lines(0), num_resamples=200)
    assert score.low < 0.7 < score.high
    assert 0 < score.high - score.low < 1


def test_frames_without_a_position_are_left_out() -> None:
    path = lines(0.4)
    path[::2, 4] = np.nan
    path[3] = np.nan
    assert lag_of_paths(path, lines(0), num_resamples=2).value == pytest.approx(0.4)


def test_lag_of_frames() -> None:
    frames, late = discs(lines(0) + 6), discs(lines(0.5) + 6)
    assert centroid_lag(frames, late, num_resamples=20).value == pytest.approx(0.5, abs=0.02)
    assert centroid_lag(frames, frames, num_resamples=20).value == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("path", "true_path", "options", "match"),
    [
        (lines(0), lines(0)[:5], {}, "the same shape"),
        (lines(0)[0], lines(0)[0], {}, "the same shape"),
        (lines(0, 4), lines(0, 4), {}, "more than 4 frames to find lags up to 2, got 4"),
        (lines(0), lines(0), {"max_lag": 0}, "max_lag must be at least 1"),
        (lines(0), np.zeros((30, 10, 2)), {}, "a static path has no lag"),
        (lines(0) * np.nan, lines(0), {}, "must move in frames that path has"),
        (lines(0), lines(0) * np.nan, {}, "true_path must be finite"),
    ],
)
def test_lag_refuses(path: np.ndarray, true_path: np.ndarray, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        lag_of_paths(path, true_path, **options)


def test_centroid_refuses() -> None:
    with pytest.raises(ValueError, match=r"frames must have shape \(..., C, H, W\)"):
        disc_centroid(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="threshold must be finite"):
        disc_centroid(np.zeros((1, 3, 3)), float("inf"))
    with pytest.raises(ValueError, match=r"reconstructions must have shape \(N, T, C, H, W\)"):
        centroid_lag(np.zeros((2, 5, 1, 3, 3)), np.zeros((2, 1, 3, 3)))


def test_paired_difference_is_the_paired_t_interval() -> None:
    first = RNG.normal(size=5)
    second = first - 0.2 + 0.05 * RNG.normal(size=5)
    score = paired_difference(first, second)
    interval = ttest_rel(first, second).confidence_interval(0.95)
    assert [score.value, score.low, score.high] == pytest.approx([(first - second).mean(), *interval])
    assert (score.chance, score.ceiling, score.num, score.seeds) == (0.0, None, 5, 5)
    back = paired_difference(second, first)
    assert [back.value, back.low, back.high] == pytest.approx([-score.value, -score.high, -score.low])


@pytest.mark.parametrize(
    ("first", "second", "match"),
    [
        (np.zeros(1), np.zeros(1), "at least 2 seeds, got 1"),
        (np.zeros(3), np.zeros(4), "the same length, got 3 and 4"),
        (np.zeros((3, 1)), np.zeros((3, 1)), r"first must have shape \(n,\)"),
        (np.array([0, np.nan]), np.zeros(2), "first must be finite"),
    ],
)
def test_paired_difference_refuses(first: np.ndarray, second: np.ndarray, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        paired_difference(first, second)
