"""Sequences that start in one of several normals: density, draws, and the estimate of a divergence."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal

import pyrodis
from pyrodis.distributions import AutoregressiveNormal, MixtureStart
from pyrodis.guides import FactorizedGuide, FramewiseGuide
from pyrodis.infer.describe import build, describe
from pyrodis.models import DSVAE, MixtureStartPrior, NormalPixels
from pyrodis.nn import ConvDecoder, ConvEncoder, RecurrentTransition
from pyrodis.testing import check_model_guide

T, D, K = 4, 2, 3


def make(logits: torch.Tensor | None = None, num_starts: int = K) -> MixtureStart:
    torch.manual_seed(0)
    base = AutoregressiveNormal(RecurrentTransition(D, hidden_dim=4).double(), T)
    loc, scale = 3 * torch.randn(num_starts, D).double(), 0.1 + torch.rand(num_starts, D).double()
    return MixtureStart(base, torch.randn(num_starts).double() if logits is None else logits, loc, scale)


def test_draws_start_as_often_as_the_weights_say_and_go_on_as_the_base_does() -> None:
    prior = make(torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log())
    prior = MixtureStart(prior.base, prior.logits, 50 * torch.eye(3, 2, dtype=torch.float64), prior.scale)
    z = prior.expand([10]).sample((500,))
    assert z.shape == (500, 10, T, D)
    start = torch.cdist(z[..., 0, :].reshape(-1, D), prior.loc).argmin(-1)
    share = torch.bincount(start, minlength=3) / 5000
    assert (share - torch.tensor([0.5, 0.3, 0.2])).abs().max() < 5 * math.sqrt(0.25 / 5000)
    frames = prior.base.conditional(z).base_dist
    noise = ((z - frames.loc) / frames.scale)[..., 1:, :].detach()
    assert noise.mean().abs() < 5 / math.sqrt(noise.numel())
    assert abs(float(noise.std()) - 1) < 5 / math.sqrt(2 * noise.numel())


def test_one_start_is_an_autoregressive_normal() -> None:
    prior = make(num_starts=1)
    z = prior.sample((6,))
    first = Normal(prior.loc[0], prior.scale[0]).log_prob(z[:, 0]).sum(-1)
    later = prior.base.conditional(z).base_dist.log_prob(z)[:, 1:].sum((-2, -1))
    torch.testing.assert_close(prior.log_prob(z), first + later)
    path = prior.mean_path
    torch.testing.assert_close(path[0], prior.loc[0])
    torch.testing.assert_close(path[1:], prior.base.conditional(path).base_dist.loc[1:])


def test_the_estimate_of_the_divergence_has_the_right_mean() -> None:
    prior = make().expand([1])
    torch.manual_seed(1)
    loc, scale = torch.randn(T, D).double(), 0.3 + torch.rand(T, D).double()
    q = torch.distributions.Independent(Normal(loc.expand(20000, T, D), scale.expand(20000, T, D)), 2)
    z = q.rsample()
    estimate, plain = prior.conditional_kl(q, z).detach(), (q.log_prob(z) - prior.log_prob(z)).detach()
    error = (estimate - plain).mean().abs() / ((estimate - plain).std() / math.sqrt(len(z)))
    assert error < 5
    assert estimate.std() < plain.std()


def test_no_closed_form_for_other_distributions() -> None:
    other = torch.distributions.Independent(torch.distributions.Laplace(torch.zeros(T, D), torch.ones(T, D)), 2)
    with pytest.raises(NotImplementedError):
        make().conditional_kl(other, torch.zeros(T, D))


@pytest.mark.parametrize("guide_class", [FactorizedGuide, FramewiseGuide])
def test_keeps_the_contract_of_a_pair(guide_class: type) -> None:
    def pair() -> tuple[torch.nn.Module, torch.nn.Module]:
        torch.manual_seed(0)
        prior = MixtureStartPrior(2, hidden_dim=4, num_starts=3)
        model = DSVAE(ConvDecoder(5, (1, 8, 8), base_channels=2), prior, NormalPixels(), 3, 2, num_frames=4)
        return model, guide_class(ConvEncoder((1, 8, 8), 4, base_channels=2), 3, 2, 4)

    check_model_guide(pair, torch.rand(3, 4, 1, 8, 8))
    model, guide = pair()
    x = torch.rand(3, 4, 1, 8, 8)
    torch.manual_seed(1)
    analytic = pyrodis.NamedELBO(analytic=True).terms(model, guide, x)
    assert analytic.analytic == {"f"}
    analytic.total.backward()
    assert all(p.grad is not None for p in (model.prior.logits, model.prior.loc, model.prior.log_scale))
    assert describe(build(describe(model))) == describe(model)


def test_starts_find_the_clusters_of_first_frames() -> None:
    torch.manual_seed(0)
    prior = MixtureStartPrior(2, hidden_dim=4, num_starts=8)
    centers = torch.tensor([[4.0, 0.0], [-4.0, 0.0], [0.0, 4.0]])
    optimizer = torch.optim.Adam([prior.logits, prior.loc, prior.log_scale], lr=0.05)
    for _ in range(400):
        z = torch.zeros(64, 1, 2)
        z[:, 0] = centers[torch.randint(3, (64,))] + 0.1 * torch.randn(64, 2)
        optimizer.zero_grad()
        (-prior(1).log_prob(z).mean()).backward()
        optimizer.step()
    drawn = prior(1).sample((500,))[:, 0]
    assert (torch.cdist(drawn, centers).min(1).values < 0.5).float().mean() > 0.95


def test_bad_input() -> None:
    prior = make()
    with pytest.raises(ValueError, match=r"logits must have shape \(K\) and loc and scale \(K, D\) with D = 2, got"):
        MixtureStart(prior.base, prior.logits, prior.loc[:, :1], prior.scale)
    transition = RecurrentTransition(D, 3, 4)
    with pytest.raises(ValueError, match="base must have no context"):
        MixtureStart(AutoregressiveNormal(transition, T, torch.zeros(T, 3)), prior.logits, prior.loc, prior.scale)
    with pytest.raises(ValueError, match=r"num_starts must be .* got 0"):
        MixtureStartPrior(2, num_starts=0)
