"""Laplace steps: density, draws and divergences."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pyro.distributions import Independent, Laplace, Normal
from torch.distributions import kl_divergence

import pyrodis
from pyrodis.distributions import GaussMarkovNormal, LaplaceTransition
from pyrodis.distributions.laplace_transition import mean_absolute
from pyrodis.guides import FactorizedGuide, MeanFieldGuide
from pyrodis.infer.describe import build, describe
from pyrodis.models import BetaVAE, LaplacePrior, NormalPixels
from pyrodis.nn import ConvDecoder, ConvEncoder
from pyrodis.testing import check_distribution, check_model_guide

T, D, N = 4, 2, 40_000
PRIOR = LaplaceTransition(T, D, torch.tensor([1.0, 5.0]).double())


def posterior() -> Any:
    generator = torch.Generator().manual_seed(0)
    loc = torch.randn(T, D, generator=generator).double()
    return Normal(loc, 0.3 + torch.rand(T, D, generator=generator).double()).to_event(2)


def within(estimate: torch.Tensor, exact: torch.Tensor, errors: float = 5.0) -> bool:
    """Whether draws have a mean, within so many standard errors."""
    return bool((estimate.mean() - exact).abs() < errors * estimate.std() / math.sqrt(len(estimate)))


@pytest.mark.parametrize("num_frames", [1, 2, 5])
def test_draws_and_densities_agree(num_frames: int) -> None:
    torch.manual_seed(0)
    prior = LaplaceTransition(num_frames, D, torch.tensor([1.0, 5.0])).expand([3])
    check_distribution(prior)
    draws = prior.rsample((N // 4,))
    torch.testing.assert_close(draws.mean((0, 1)), prior.mean[0], rtol=0, atol=0.1)
    torch.testing.assert_close(draws.flatten(0, 1).var(0), prior.variance[0], rtol=0.1, atol=0)


def test_the_divergence_of_independent_normals_is_exact() -> None:
    torch.manual_seed(0)
    q = posterior()
    z = q.rsample((N,))
    exact = kl_divergence(q, PRIOR)
    assert within(q.log_prob(z) - PRIOR.log_prob(z), exact)
    assert within(PRIOR.conditional_kl(q, z), exact)


def test_the_divergence_of_a_chain_given_its_past_has_the_right_mean() -> None:
    torch.manual_seed(0)
    base = posterior().base_dist
    q = GaussMarkovNormal(base.loc, base.scale, torch.full((T - 1, D), 0.8).double())
    z = q.expand([N]).rsample()
    estimate = PRIOR.conditional_kl(q.expand([N]).conditional(z), z)
    plain = q.log_prob(z) - PRIOR.log_prob(z)
    assert within(estimate - plain, torch.zeros(()))
    assert estimate.std() < plain.std()


def test_mean_absolute_by_quadrature() -> None:
    for loc, scale in ((0.0, 1.0), (-2.0, 0.5), (0.3, 4.0)):
        u = torch.linspace(loc - 12 * scale, loc + 12 * scale, 400_001, dtype=torch.float64)
        density = torch.distributions.Normal(torch.tensor(loc).double(), scale).log_prob(u).exp()
        exact = torch.trapezoid(u.abs() * density, u)
        found = mean_absolute(torch.tensor(loc).double(), torch.tensor(scale).double())
        torch.testing.assert_close(found, exact, rtol=1e-7, atol=1e-8)


def test_no_closed_form_for_other_distributions() -> None:
    other = Independent(Laplace(torch.zeros(T, D), torch.ones(T, D)), 2)
    with pytest.raises(NotImplementedError):
        PRIOR.conditional_kl(other, torch.zeros(T, D))
    with pytest.raises(NotImplementedError):
        kl_divergence(other, PRIOR)


@pytest.mark.parametrize("guide_class", [MeanFieldGuide, FactorizedGuide])
@pytest.mark.parametrize("num_frames", [1, 4])
def test_keeps_the_contract_of_a_pair(guide_class: Any, num_frames: int) -> None:
    def pair() -> tuple[Any, Any]:
        torch.manual_seed(0)
        model = BetaVAE(ConvDecoder(D, (1, 8, 8), base_channels=2), LaplacePrior(D), NormalPixels(), D, T)
        encoder = ConvEncoder((1, 8, 8), 4, base_channels=2)
        return model, guide_class(encoder, D) if guide_class is MeanFieldGuide else guide_class(encoder, None, D, 4)

    x = torch.rand(3, num_frames, 1, 8, 8)
    check_model_guide(pair, x)
    model, guide = pair()
    pyrodis.NamedELBO().terms(model, guide, x).total.backward()
    assert describe(build(describe(model))) == describe(model)


def test_the_batch_of_either_is_that_of_the_divergence() -> None:
    q, p = posterior(), PRIOR.expand([3])
    torch.testing.assert_close(kl_divergence(q, p), kl_divergence(q, PRIOR).expand(3))
    assert p.conditional_kl(q, q.sample()).shape == (3,)
    assert LaplaceTransition(T, D, 6).rsample().dtype == torch.float32


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"one event shape, got \(4, 2\) and \(3, 2\)"):
        LaplaceTransition(3, D, 1.0).conditional_kl(posterior(), torch.zeros(T, D))
    with pytest.raises(ValueError, match=r"rate must have shape \(\) or \(D\) = \(2,\), got \(3,\)"):
        LaplaceTransition(T, D, torch.ones(3))
    with pytest.raises(ValueError, match="num_frames must be a positive whole number, got 0"):
        LaplaceTransition(0, D, 1.0)
    with pytest.raises(ValueError, match="rate"):
        LaplaceTransition(T, D, torch.tensor(-1.0))
    with pytest.raises(ValueError, match=r"one event shape, got \(4, 2\) and \(3, 2\)"):
        kl_divergence(posterior(), LaplaceTransition(3, D, 1.0))
    with pytest.raises(ValueError, match="rate must be a finite number above 0, got 0"):
        LaplacePrior(2, rate=0)
