"""Errors by region and Hamming distance: by hand, empty regions, hidden frames, and bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pyrodis.metrics import hamming_distance, region_errors, region_errors_by_item

RNG = np.random.default_rng(0)
X, Y = RNG.random((2, 3, 4, 1, 5, 5))
OWNER = RNG.integers(3, size=(3, 4, 5, 5))
MASKS = np.stack([region == OWNER for region in range(3)], axis=2)


def test_by_item_is_the_mean_over_the_pixels_of_the_region() -> None:
    errors = region_errors_by_item(X, Y, MASKS)
    assert errors.shape == (3, 3)
    for item in range(3):
        for region in range(3):
            inside = OWNER[item] == region
            expected = ((X - Y) ** 2)[item, :, 0][inside].mean()
            assert errors[item, region] == pytest.approx(expected)


def test_channels_are_averaged_and_frames_may_be_items() -> None:
    colors = np.concatenate([X, X, X], axis=2), np.concatenate([Y, X, X], axis=2)
    assert region_errors_by_item(*colors, MASKS) == pytest.approx(region_errors_by_item(X, Y, MASKS) / 3)
    merged = [values.reshape(12, *values.shape[2:]) for values in (X, Y, MASKS)]
    assert region_errors_by_item(*merged).shape == (12, 3)


def test_scores_average_items_beside_the_mean_frame() -> None:
    scores = region_errors(torch.from_numpy(X), torch.from_numpy(Y), torch.from_numpy(MASKS))
    assert list(scores) == ["inside", "edge", "background"]
    errors = region_errors_by_item(X, Y, MASKS)
    assert [score.value for score in scores.values()] == pytest.approx(errors.mean(0).tolist())
    blind = region_errors_by_item(X, np.broadcast_to(X.mean(0), X.shape), MASKS).mean(0)
    assert [score.chance for score in scores.values()] == pytest.approx(blind.tolist())
    assert {score.ceiling for score in scores.values()} == {0.0}


def test_perfect_reconstruction() -> None:
    assert {score.value for score in region_errors(X, X, MASKS).values()} == {0.0}


def test_an_item_without_a_region_is_left_out_of_it() -> None:
    masks = MASKS.copy()
    masks[1, :, 2] |= masks[1, :, 0]
    masks[1, :, 0] = False
    assert np.isnan(region_errors_by_item(X, Y, masks)[1, 0])
    scores = region_errors(X, Y, masks)
    assert (scores["inside"].num, scores["edge"].num) == (2, 3)
    assert scores["inside"].value == pytest.approx(region_errors_by_item(X, Y, MASKS)[[0, 2], 0].mean())


def test_other_regions_have_other_names() -> None:
    two = np.stack([OWNER == 0, OWNER != 0], axis=2)
    assert list(region_errors(X, Y, two, ("ball", "rest"))) == ["ball", "rest"]
    with pytest.raises(ValueError, match="region_names must name the 2 regions"):
        region_errors(X, Y, two)


@pytest.mark.parametrize(
    ("frames", "reconstructions", "masks", "match"),
    [
        (X, Y[:2], MASKS, "the same shape"),
        (X[0, 0], Y[0, 0], MASKS, "the same shape"),
        (X, Y, MASKS[:2], r"masks must have shape \(3, 4, R, 5, 5\)"),
        (X, Y, MASKS[..., :4], r"masks must have shape \(3, 4, R, 5, 5\)"),
        (X, Y, MASKS[:, 0], r"masks must have shape \(3, 4, R, 5, 5\)"),
        (X, Y, MASKS[:, :, :2], "pixels in none and 0 in several"),
        (X, Y, MASKS | MASKS[:, :, :1], "got 0 pixels in none"),
        (X * np.nan, Y, MASKS, "frames must be finite"),
        (X, Y, np.concatenate([0 * MASKS[:, :, :1] > 0, MASKS[:, :, :1], ~MASKS[:, :, :1]], 2), "none of 'inside'"),
    ],
)
def test_refuses(frames: Any, reconstructions: Any, masks: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        region_errors(frames, reconstructions, masks)


def test_refuses_numbers_for_masks() -> None:
    with pytest.raises(TypeError, match="masks must hold booleans, got dtype float64"):
        region_errors(X, Y, MASKS * 1.0)


BALLS = (X > 0.8).astype(np.float32)


def test_hamming_counts_pixels_on_the_wrong_side() -> None:
    predictions = BALLS.copy()
    predictions[0, 0, 0, 0] = 1 - predictions[0, 0, 0, 0]  # a row of five pixels in one of twelve frames
    score = hamming_distance(BALLS, 0.9 * predictions)
    assert score.value == pytest.approx(5 / 12)
    assert (score.ceiling, score.num) == (0.0, 3)
    assert hamming_distance(BALLS, BALLS).value == 0
    assert hamming_distance(BALLS, 1 - BALLS).value == 25


def test_hamming_counts_hidden_frames_alone() -> None:
    predictions = BALLS.copy()
    predictions[:, 0] = 1 - predictions[:, 0]
    shown = np.array([True, False, True, True])
    assert hamming_distance(BALLS, predictions, shown).value == 0
    assert hamming_distance(BALLS, predictions, ~shown).value == pytest.approx(25 / 3)
    each = np.ones((3, 4), dtype=bool)
    each[1, 0] = each[2, :2] = False
    score = hamming_distance(BALLS, predictions, torch.from_numpy(each))
    assert (score.value, score.num) == (pytest.approx((25 + 12.5) / 2), 2)


def test_hamming_chance_counts_items_as_the_score_does() -> None:
    frames = np.stack([np.ones((4, 1, 1, 1)), np.zeros((4, 1, 1, 1))])
    shown = np.array([[False] * 4, [False, True, True, True]])
    for constant in (0.0, 1.0):
        score = hamming_distance(frames, np.full_like(frames, constant), shown)
        assert (score.value, score.chance) == (0.5, pytest.approx(0.5))


def test_hamming_chance_is_the_best_constant_frame() -> None:
    majority = np.broadcast_to(BALLS.mean((0, 1)) > 0.5, BALLS.shape).astype(float)
    score = hamming_distance(BALLS, majority)
    assert score.chance == pytest.approx(score.value)
    assert hamming_distance(BALLS, 0 * BALLS).value >= score.value - 1e-9


@pytest.mark.parametrize(
    ("shown", "match"),
    [
        (np.ones(4, dtype=bool), "all frames shown"),
        (np.ones(3, dtype=bool), r"shown must have shape \(T\) or \(N, T\) = \(3, 4\), got \(3,\)"),
    ],
)
def test_hamming_refuses_masks(shown: np.ndarray, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        hamming_distance(BALLS, BALLS, shown)


def test_hamming_refuses() -> None:
    with pytest.raises(ValueError, match=r"the same shape \(N, T, C, H, W\)"):
        hamming_distance(BALLS[0], BALLS[0])
    with pytest.raises(ValueError, match="threshold must be finite"):
        hamming_distance(BALLS, BALLS, threshold=float("nan"))
    with pytest.raises(TypeError, match="shown must hold booleans"):
        hamming_distance(BALLS, BALLS, np.ones(4))
