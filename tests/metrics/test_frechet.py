"""The Frechet distance: closed forms, another implementation, and what the bootstrap may be asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pyrodis.metrics import frechet_distance


def whitened(num: int, dim: int, seed: int = 0) -> np.ndarray:
    """Rows whose mean is 0 and whose unbiased covariance is the identity, exactly."""
    rows = np.random.default_rng(seed).standard_normal((num, dim))
    rows -= rows.mean(axis=0)
    return np.linalg.qr(rows)[0] * np.sqrt(num - 1)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return frechet_distance(a, b, num_resamples=1).value


def test_normals_with_diagonal_covariances() -> None:
    scale_a, scale_b, shift = np.array([1.0, 2.0, 0.5]), np.array([3.0, 0.1, 0.5]), np.array([1.0, -2.0, 0.0])
    a, b = whitened(50, 3) * scale_a, whitened(40, 3, 1) * scale_b + shift
    assert distance(a, b) == pytest.approx(5 + np.square(scale_a - scale_b).sum(), rel=1e-10)


def test_normals_with_full_covariances() -> None:
    generator = np.random.default_rng(2)
    factor_a, factor_b = generator.standard_normal((2, 4, 4))
    a, b = whitened(50, 4) @ factor_a, whitened(60, 4, 1) @ factor_b
    cov_a, cov_b = factor_a.T @ factor_a, factor_b.T @ factor_b
    values, vectors = np.linalg.eigh(cov_a)
    root = vectors * np.sqrt(values) @ vectors.T
    trace = np.sqrt(np.linalg.eigvalsh(root @ cov_b @ root)).sum()
    assert distance(a, b) == pytest.approx(np.trace(cov_a) + np.trace(cov_b) - 2 * trace, rel=1e-10)


def test_it_agrees_with_torchmetrics() -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Same(torch.nn.Module):
        num_features = 6

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return features

    generator = torch.Generator().manual_seed(0)
    a = torch.randn(80, 6, generator=generator, dtype=torch.float64)
    b = a[:50] * torch.linspace(0.5, 2, 6) + torch.randn(50, 6, generator=generator) @ torch.ones(6, 6) + 0.3
    metric = FrechetInceptionDistance(feature=Same())
    metric.update(a, real=True)
    metric.update(b, real=False)
    assert frechet_distance(a, b, num_resamples=1).value == pytest.approx(float(metric.compute()), rel=1e-8)


def test_it_is_symmetric_zero_on_itself_and_needs_no_more_rows_than_columns() -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 5, 8))
    assert distance(a, a) == pytest.approx(0, abs=1e-12)
    assert distance(a, b) == pytest.approx(distance(b, a))


def test_the_score_holds_its_interval_ceiling_and_number() -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 200, 4))
    score = frechet_distance(a, b[:150] + 1)
    assert (score.chance, score.ceiling, score.num) == (None, 0.0, 150)
    assert 0 < score.low < score.value < score.high
    assert 4 < score.value < 5
    assert score == frechet_distance(a, b[:150] + 1)
    assert frechet_distance(a, a).low == 0
    wide = frechet_distance(a[:20], b[:20] + 1)
    assert wide.high - wide.low > 1.5 * (score.high - score.low)


def test_bad_input() -> None:
    rows = np.zeros((3, 2))
    with pytest.raises(ValueError, match="features_b must have at least 2 rows"):
        frechet_distance(rows, rows[:1])
    with pytest.raises(ValueError, match=r"must have the same columns, got 2 and 1; take both from one network"):
        frechet_distance(rows, rows[:, :1])
    with pytest.raises(ValueError, match=r"features_a must have shape \(N, D\), got \(3,\)"):
        frechet_distance(rows[:, 0], rows)
    with pytest.raises(ValueError, match="features_a must be finite"):
        frechet_distance(rows * np.nan, rows)
    with pytest.raises(ValueError, match="num_resamples must be at least 1"):
        frechet_distance(rows, rows, num_resamples=0)
    with pytest.raises(TypeError, match="features_a must be a numpy array or a torch tensor"):
        frechet_distance([[0.0]], rows)
