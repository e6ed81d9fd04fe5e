"""The hyperbolic tangent of a normal variable: density, mean, and what happens near the ends."""

from __future__ import annotations

import math

import pytest
import torch

from pyrodis.distributions import TanhNormal
from pyrodis.testing import check_distribution

F, D = torch.float32, torch.float64


def test_is_a_density_and_draws_from_it() -> None:
    torch.manual_seed(0)
    fn = TanhNormal(torch.tensor([0.0, 1.0]).double(), torch.tensor([0.2, 0.7]).double())
    check_distribution(fn)
    points = torch.linspace(-1 + 2e-6, 1 - 2e-6, 400_001, dtype=torch.float64).unsqueeze(-1)
    density = fn.log_prob(points).exp()
    ones = torch.ones(2, dtype=torch.float64)
    torch.testing.assert_close(torch.trapezoid(density, points, dim=0), ones, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(torch.trapezoid(points * density, points, dim=0), fn.mean, rtol=1e-5, atol=1e-5)
    spread = (points - fn.mean).square()
    torch.testing.assert_close(torch.trapezoid(spread * density, points, dim=0), fn.variance, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("scale", "error"), [(0.1, 1e-9), (1.0, 1e-9), (2.0, 2e-5)])
def test_the_mean_is_as_good_as_it_says(scale: float, error: float) -> None:
    loc = torch.tensor([0.0, 1.0, 2.0, 4.0]).double()
    u = torch.linspace(-12, 12, 100_001, dtype=torch.float64)
    weights = (-0.5 * u.square()).exp()
    dense = ((1 - 1e-6) * (loc.unsqueeze(-1) + scale * u).tanh() * weights).sum(-1) / weights.sum()
    assert float((TanhNormal(loc, scale).mean - dense).abs().max()) < error


@pytest.mark.parametrize("loc", [0.0, 3.0, 6.0, 20.0, -20.0])
def test_the_density_at_a_draw_is_exact_and_finite_in_single_precision(loc: float) -> None:
    torch.manual_seed(0)
    parameters = torch.tensor(loc, requires_grad=True), torch.tensor(0.5, requires_grad=True)
    fn = TanhNormal(*parameters).expand([1000])
    value = fn.rsample()
    assert bool((value.abs() < 1).all())
    u = torch.randn(1000, generator=torch.Generator().manual_seed(0)).double() * 0.5 + loc
    slope = math.log(1 - 1e-6) - 2 * u.cosh().log()
    exact = torch.distributions.Normal(torch.tensor(loc).double(), 0.5).log_prob(u) - slope
    torch.testing.assert_close(fn.log_prob(value).double(), exact, rtol=1e-4, atol=1e-3)
    gradients = torch.autograd.grad(fn.log_prob(value).sum(), parameters)
    assert all(bool(g.isfinite()) for g in gradients)


def test_the_density_of_other_values_is_finite_at_the_very_end() -> None:
    value = torch.tensor([1 - 1e-6, -1 + 1e-6, 0.5], requires_grad=True)
    log_prob = TanhNormal(torch.tensor(1.0), torch.tensor(1.0)).log_prob(value)
    assert bool(log_prob.isfinite().all())
    (gradient,) = torch.autograd.grad(log_prob.sum(), value)
    assert bool(gradient.isfinite().all())


def test_a_copy_of_a_draw_has_nearly_its_density() -> None:
    """What float32 loses up to |u| = 5; the draw itself loses nothing."""
    torch.manual_seed(0)
    fn = TanhNormal(torch.linspace(-4, 4, 9), torch.tensor(0.2))
    value = fn.rsample((50,))
    torch.testing.assert_close(fn.log_prob(value.clone()), fn.log_prob(value), rtol=0, atol=0.05)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="scale"):
        TanhNormal(torch.tensor(0.0), torch.tensor(-1.0))
    with pytest.raises(ValueError, match="support"):
        TanhNormal(torch.tensor(0.0), torch.tensor(1.0)).log_prob(torch.tensor(1.0))


@pytest.mark.parametrize("loc", [4.0, 5.0, 6.0])
def test_the_variance_near_one_is_right_in_single_precision(loc: float) -> None:
    single, double = (TanhNormal(torch.tensor(loc, dtype=kind), torch.tensor(0.1, dtype=kind)) for kind in (F, D))
    u = loc + 0.1 * torch.linspace(-8, 8, 100_001, dtype=D)
    weights = torch.distributions.Normal(loc, 0.1).log_prob(u).exp()
    weights = weights / weights.sum()
    away = -2 / (torch.exp(2 * u) + 1)  # tanh u - 1, of which nothing cancels
    away = away - (weights * away).sum()
    expected = (weights * away.square()).sum()
    torch.testing.assert_close(double.variance, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(single.variance.double(), expected, rtol=1e-5, atol=0)
