"""Cosine similarity and its AUC: known answers, time, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from pyrodis.metrics import cosine_auc, cosine_similarities


def pairs(noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes of 400 pairs, the first half of which share a direction up to noise."""
    generator = np.random.default_rng(seed)
    first, second = generator.normal(size=(2, 400, 8))
    same = np.arange(400) < 200
    second[same] = first[same] + noise * second[same]
    return first, second, same


def test_similarity_is_that_of_torch() -> None:
    first, second, _ = pairs(0.5)
    expected = torch.cosine_similarity(torch.as_tensor(first), torch.as_tensor(second), dim=1)
    assert cosine_similarities(torch.as_tensor(first), second) == pytest.approx(expected.numpy(), abs=1e-12)


def test_sequences_are_flattened_over_time() -> None:
    codes = np.random.default_rng(1).normal(size=(5, 4, 3))
    reversed_codes = codes[:, ::-1]
    assert cosine_similarities(codes, codes) == pytest.approx(np.ones(5))
    assert cosine_similarities(codes, reversed_codes).max() < 0.99


def test_auc_is_one_for_shared_codes_and_half_for_noise() -> None:
    first, second, same = pairs(0.1)
    assert cosine_auc(first, second, same, num_resamples=20).value == 1.0
    score = cosine_auc(first, np.random.default_rng(5).normal(size=first.shape), torch.as_tensor(same), 20)
    assert score.value == pytest.approx(0.5, abs=0.1)
    assert (score.chance, score.ceiling, score.num) == (0.5, 1.0, 400)


def test_auc_interval_covers_chance_for_noise() -> None:
    same = np.arange(200) < 100
    codes = np.random.default_rng(2).normal(size=(40, 2, 200, 4))
    scores = [cosine_auc(first, second, same, num_resamples=60) for first, second in codes]
    assert sum(score.low < 0.5 < score.high for score in scores) >= 33  # 38 of 40 expected


def test_auc_is_the_share_of_ordered_pairs() -> None:
    first, second, same = pairs(2.0)
    cosines = cosine_similarities(first, second)
    expected = (cosines[same][:, None] > cosines[~same]).mean()
    score = cosine_auc(first, second, same, num_resamples=200)
    assert score.value == pytest.approx(expected)
    assert score.value == pytest.approx(roc_auc_score(same, cosines))
    assert score.low < score.value < score.high
    ties = np.where(same, 1.0, np.arange(400) % 2)[:, None] * [1.0, 0.0] + [0.0, 1.0]
    score_with_ties = cosine_auc(ties, np.tile([0.0, 1.0], (400, 1)), ~same, num_resamples=5)
    assert score_with_ties.value == pytest.approx(0.75)
    assert cosine_auc(first, second, ~same, num_resamples=5).value == pytest.approx(1 - expected)


@pytest.mark.parametrize(
    ("first", "second", "match"),
    [
        (np.ones((3, 2)), np.ones((2, 2)), r"same shape .* got \(3, 2\) and \(2, 2\)"),
        (np.ones(3), np.ones(3), "same shape"),
        (np.ones((2, 2)), np.array([[1.0, 1.0], [0.0, 0.0]]), "zero code in pair 1"),
        (np.full((2, 2), np.nan), np.ones((2, 2)), "codes_a must be finite"),
        (np.ones((0, 2)), np.ones((0, 2)), "at least one item"),
    ],
)
def test_refuses_codes(first: np.ndarray, second: np.ndarray, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        cosine_similarities(first, second)


@pytest.mark.parametrize(
    ("same", "error", "match"),
    [
        (np.array([True, True]), ValueError, "both kinds of pairs, got 2 times True"),
        (np.array([False, False]), ValueError, "2 times False"),
        (np.array([0, 1]), TypeError, "booleans, got dtype int64"),
        (np.array([True, False, True]), ValueError, "same length, got 2 and 3"),
        (np.array([], dtype=bool), ValueError, "at least one item"),
    ],
)
def test_refuses_kinds(same: np.ndarray, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        cosine_auc(np.eye(2), np.eye(2), same)
