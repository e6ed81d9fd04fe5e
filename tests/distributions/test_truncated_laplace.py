"""The truncated Laplace distribution against quadrature, at the ends as well."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pyrodis.distributions import TruncatedLaplace
from pyrodis.testing import check_distribution

CASES = [(loc, scale) for loc in (-1.0, -0.3, 0.99, 1.0, 4.0) for scale in (0.02, 0.5, 20.0)]


def make(loc: float, scale: float, **rest: float) -> TruncatedLaplace:
    return TruncatedLaplace(torch.tensor(loc).double(), torch.tensor(scale).double(), **rest)


def grid(fn: TruncatedLaplace, num: int = 400_001) -> tuple[Tensor, Tensor]:
    """Points of the interval and the trapezoid weights of their density."""
    points = torch.linspace(fn.low, fn.high, num, dtype=torch.float64)
    weights = fn.log_prob(points).exp() * (fn.high - fn.low) / (num - 1)
    weights[[0, -1]] *= 0.5
    return points, weights


@pytest.mark.parametrize(("loc", "scale"), CASES)
def test_moments_and_entropy_are_those_of_the_density(loc: float, scale: float) -> None:
    """By the trapezoid rule on 400,001 points: relative error below 1e-6."""
    fn = make(loc, scale)
    points, weights = grid(fn)
    close = {"rtol": 1e-6, "atol": 1e-8}
    torch.testing.assert_close(weights.sum(), torch.ones((), dtype=torch.float64), **close)
    mean = (weights * points).sum()
    torch.testing.assert_close(fn.mean, mean, **close)
    torch.testing.assert_close(fn.variance, (weights * (points - mean).square()).sum(), **close)
    torch.testing.assert_close(fn.entropy(), -(weights * fn.log_prob(points)).sum(), **close)
    torch.testing.assert_close(fn.cdf(points[[100_000]]), weights[:100_001].sum()[None], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("loc", "scale"), CASES)
def test_draws_are_those_of_the_density(loc: float, scale: float) -> None:
    torch.manual_seed(0)
    check_distribution(TruncatedLaplace(torch.full((2,), loc), scale))
    fn = make(loc, scale)
    probability = torch.linspace(0.001, 0.999, 99, dtype=torch.float64)
    torch.testing.assert_close(fn.cdf(fn.icdf(probability)), probability)


@pytest.mark.parametrize("scale", [1e-3, 0.1, 1e4])
def test_draws_stay_inside_in_single_precision(scale: float) -> None:
    torch.manual_seed(0)
    loc, width = (torch.tensor(v, requires_grad=True) for v in (1.0, scale))
    fn = TruncatedLaplace(loc, width, -1 + 1e-6, 1 - 1e-6)
    draws = fn.rsample((20_000,))
    assert bool((draws.abs() < 1).all())
    assert bool(fn.log_prob(draws).isfinite().all())
    draws.sum().backward()
    assert loc.grad is not None
    assert width.grad is not None
    assert bool(loc.grad.isfinite() & width.grad.isfinite())


def test_gradients_of_draws_follow_the_mean() -> None:
    loc, scale = torch.tensor(0.3).double().requires_grad_(), torch.tensor(0.4).double().requires_grad_()
    fn = TruncatedLaplace(loc, scale)
    probability = (torch.arange(100_000).double() + 0.5) / 100_000
    found = torch.autograd.grad(fn.icdf(probability).mean(), [loc, scale])
    torch.testing.assert_close(found, torch.autograd.grad(fn.mean, [loc, scale]), rtol=1e-3, atol=1e-4)


def test_a_loc_beyond_a_bound_is_the_bound() -> None:
    value = torch.linspace(-1, 1, 5, dtype=torch.float64)
    torch.testing.assert_close(make(3.0, 0.2).log_prob(value), make(1.0, 0.2).log_prob(value))


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"low must be below high, got low 1\.0 and high 1\.0"):
        make(0.0, 1.0, low=1.0)
    with pytest.raises(ValueError, match="scale"):
        make(0.0, 0.0)
    with pytest.raises(ValueError, match="support"):
        make(0.0, 1.0).log_prob(torch.tensor(1.5).double())
    unchecked = TruncatedLaplace(torch.tensor(0.0), torch.tensor(1.0), validate_args=False)
    assert unchecked.log_prob(torch.tensor(1.5)) == -torch.inf
