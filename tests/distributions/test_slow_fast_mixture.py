"""The prior of what stays and what moves: density, draws, and their gradients."""

from __future__ import annotations

import pytest
import torch

from pyrodis.distributions import SlowFastMixture, TruncatedLaplace
from pyrodis.testing import check_distribution


def make(logits: torch.Tensor | float = 0.0, slow_scale: float = 0.05, fast_loc: float = 0.5) -> SlowFastMixture:
    slow = TruncatedLaplace(torch.tensor(1.0).double(), torch.tensor(slow_scale).double())
    fast = TruncatedLaplace(torch.tensor(fast_loc).double(), torch.tensor(0.2).double())
    return SlowFastMixture(torch.as_tensor(logits, dtype=torch.float64), slow, fast)


def test_is_a_density_with_its_moments() -> None:
    fn = make(0.7)
    points = torch.linspace(-1, 1, 400_001, dtype=torch.float64)
    density = fn.log_prob(points).exp()
    mean = torch.trapezoid(points * density, points)
    close = {"rtol": 1e-6, "atol": 1e-8}
    torch.testing.assert_close(torch.trapezoid(density, points), torch.ones((), dtype=torch.float64), **close)
    torch.testing.assert_close(fn.mean, mean, **close)
    torch.testing.assert_close(fn.variance, torch.trapezoid((points - mean).square() * density, points), **close)
    torch.testing.assert_close(fn.cdf(points[300_000]), torch.trapezoid(density[:300_001], points[:300_001]), **close)


def test_draws_come_from_both_parts() -> None:
    torch.manual_seed(0)
    fn = make(torch.tensor([-1.0, 1.0]), slow_scale=1e-4, fast_loc=0.0)
    check_distribution(fn)
    share = (fn.rsample((4000,)) > 0.998).double().mean(0)
    torch.testing.assert_close(share, fn.logits.sigmoid(), rtol=0, atol=5 * 0.5 / 4000**0.5)


def test_the_gradient_of_draws_is_that_of_the_mean() -> None:
    """Unbiased in the logits too, for which choosing a component by itself has no gradient."""
    torch.manual_seed(0)
    logits, scale = torch.zeros((), dtype=torch.float64, requires_grad=True), torch.tensor(0.2).double()
    loc = torch.tensor(0.5).double().requires_grad_()
    slow = TruncatedLaplace(torch.tensor(1.0).double(), torch.tensor(0.05).double())
    fn = SlowFastMixture(logits, slow, TruncatedLaplace(loc, scale))
    wanted = torch.autograd.grad(fn.mean, [logits, loc])
    draws = fn.rsample((200_000,))
    found = torch.autograd.grad(draws.mean(), [logits, loc])
    torch.testing.assert_close(found, wanted, rtol=0.03, atol=0.003)


def test_names_the_slow_part() -> None:
    fn = make(slow_scale=0.001)
    assert fn.slow_probability(torch.tensor(0.9999).double()) > 0.99
    assert fn.slow_probability(torch.tensor(0.9).double()) < 0.01


def test_bad_input() -> None:
    slow, fast = TruncatedLaplace(1.0, 0.1), TruncatedLaplace(0.5, 0.1, 0.0, 1.0)
    with pytest.raises(ValueError, match=r"the same bounds, got \(-1\.0, 1\.0\) and \(0\.0, 1\.0\)"):
        SlowFastMixture(torch.tensor(0.0), slow, fast)


def test_the_variance_of_parts_that_are_close_is_right_in_single_precision() -> None:
    def variance(kind: torch.dtype) -> torch.Tensor:
        slow = TruncatedLaplace(torch.tensor(1.0, dtype=kind), torch.tensor(1e-4, dtype=kind))
        fast = TruncatedLaplace(torch.tensor(0.9999, dtype=kind), torch.tensor(2e-4, dtype=kind))
        return SlowFastMixture(torch.zeros((), dtype=kind), slow, fast).variance.double()

    torch.testing.assert_close(variance(torch.float32), variance(torch.float64), rtol=2e-2, atol=0)
