"""Inception score: the identity, three known answers, the class balance, and bad input."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch

from pyrodis.metrics import inception_scores


def test_identity_holds_on_random_tables() -> None:
    generator = np.random.default_rng(0)
    for concentration in (0.05, 1.0, 20.0):
        scores = inception_scores(generator.dirichlet(np.full(9, concentration), size=200), num_resamples=20)
        marginal, conditional = scores["marginal_entropy"].value, scores["conditional_entropy"].value
        assert scores["inception_score"].value == pytest.approx(math.exp(marginal - conditional), rel=1e-12)
        assert 0 <= conditional <= marginal <= math.log(9)


def test_sharp_and_varied_reaches_the_ceiling() -> None:
    scores = inception_scores(torch.eye(9).repeat(5, 1), num_resamples=20)
    for score in scores.values():
        assert score.value == pytest.approx(score.ceiling, abs=1e-6)
    assert scores["marginal_entropy"].ceiling == pytest.approx(2.197, abs=1e-3)


def test_uninformed_and_collapsed_stand_at_chance() -> None:
    uniform = inception_scores(np.full((30, 9), 1 / 9), num_resamples=5)
    assert uniform["inception_score"].value == pytest.approx(1.0)
    assert uniform["conditional_entropy"].value == pytest.approx(uniform["conditional_entropy"].chance)
    collapsed = inception_scores(np.eye(9)[np.zeros(30, dtype=int)], num_resamples=5)
    assert collapsed["inception_score"].value == pytest.approx(1.0)
    assert collapsed["marginal_entropy"].value == pytest.approx(collapsed["marginal_entropy"].chance)


def test_known_two_class_value() -> None:
    scores = inception_scores(np.array([[0.9, 0.1], [0.1, 0.9]]), num_resamples=5)
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert scores["conditional_entropy"].value == pytest.approx(entropy)
    assert scores["inception_score"].value == pytest.approx(2 * math.exp(-entropy))


def test_labels_balance_the_classes() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    plain, balanced = (inception_scores(np.eye(2)[labels], given, num_resamples=20) for given in (None, labels))
    assert plain["inception_score"].value == pytest.approx(math.exp(-0.9 * math.log(0.9) - 0.1 * math.log(0.1)))
    assert balanced["inception_score"].value == pytest.approx(2.0)


def test_balance_equals_repeating_the_rare_class() -> None:
    table = np.random.default_rng(3).dirichlet(np.ones(3), size=6)
    labels = np.array([0, 0, 0, 0, 1, 2])
    repeated = np.concatenate([table[:4], np.repeat(table[4:], 4, axis=0)])
    balanced, plain = inception_scores(table, labels, num_resamples=5), inception_scores(repeated, num_resamples=5)
    for name, score in balanced.items():
        assert score.value == pytest.approx(plain[name].value, rel=1e-12)


def test_interval_holds_the_value_and_the_seed_fixes_it() -> None:
    table = np.random.default_rng(1).dirichlet(np.full(9, 0.3), size=100)
    first, again, other = (inception_scores(table, num_resamples=50, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert all(score.low < score.high for score in first.values())


def test_a_broken_identity_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("pyrodis.metrics.inception")
    original = module.entropy
    monkeypatch.setattr(module, "entropy", lambda table: original(table) + 0.1 * (table.ndim == 1))
    with pytest.raises(RuntimeError, match="must agree"):
        inception_scores(np.eye(3), num_resamples=5)


@pytest.mark.parametrize(
    ("table", "labels", "error", "match"),
    [
        (np.zeros((0, 9)), None, ValueError, "at least one item"),
        (np.full((4, 9), np.nan), None, ValueError, "must be finite"),
        (np.full(9, 1 / 9), None, ValueError, r"shape \(N, K\), got \(9,\)"),
        (np.ones((4, 1)), None, ValueError, "at least 2 classes"),
        (np.array([[2.0, -1.0]]), None, ValueError, "apply softmax"),
        (np.ones((4, 2)), None, ValueError, "rows that sum to 1"),
        (np.eye(2), np.array([0, 2]), ValueError, "labels must hold classes 0 to 1"),
        (np.eye(2), np.array([0]), ValueError, "same length, got 2 and 1"),
        (np.eye(2), np.array([0.0, 1.0]), TypeError, "integer classes"),
    ],
)
def test_refuses(table: np.ndarray, labels: np.ndarray | None, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        inception_scores(table, labels, num_resamples=5)


def test_refuses_an_empty_bootstrap() -> None:
    with pytest.raises(ValueError, match="num_resamples must be at least 1, got 0"):
        inception_scores(np.eye(2), num_resamples=0)
