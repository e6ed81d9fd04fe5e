"""Equations of trainings of several components."""

from __future__ import annotations

import math

import pytest
import torch

from pyrodis.infer import SlowLearning


@pytest.mark.parametrize("above_least", [False, True])
def test_slow_learning_halves_the_rate_by_a_running_mean(above_least: bool) -> None:
    h, d = 3.0, 0.8
    slow = SlowLearning(h, d, above_least)
    batches = torch.rand(6, 4, generator=torch.Generator().manual_seed(0)) * 9
    means: list[float] = []
    for batch in batches:
        means = slow.update(means, batch.tolist())
    weights = [d**5] + [(1 - d) * d ** (5 - s) for s in range(1, 6)]  # of the batches, unrolled
    expected = [sum(w * float(kl) for w, kl in zip(weights, column, strict=True)) for column in batches.T]
    assert means == pytest.approx(expected)
    base = min(expected) if above_least else 0.0
    assert slow.factors(means) == pytest.approx([math.exp(-math.log(2) * (m - base) / h) for m in expected])
