"""The densities of the model, its priors and its likelihoods, against torch.distributions alone."""

from __future__ import annotations

import math
from pathlib import Path

import pyro
import pytest
import torch
from torch.distributions import Bernoulli, Normal

from pyrodis.models import BernoulliPixels, LSTMPrior, MixtureStartPrior, NormalPixels, StandardPrior
from pyrodis.models.likelihoods import SharedScaleNormal
from tests.equations import by_hand
from tests.pairs import PRIORS, make_clips, make_latents, make_model

LIKELIHOODS = (NormalPixels(0.3), NormalPixels(0.7, learn_scale=True), BernoulliPixels())


def model_log_prob(model: torch.nn.Module, x: torch.Tensor, latents: dict[str, torch.Tensor]) -> torch.Tensor:
    trace = pyro.poutine.trace(pyro.poutine.condition(model, data=latents)).get_trace(x)
    trace.compute_log_prob()
    return sum(trace.nodes[name]["log_prob"] for name in ("f", "z", "x"))


@pytest.mark.parametrize("prior_class", PRIORS)
@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=["normal", "learned", "bernoulli"])
def test_li_mandt_dsvae_joint_density(prior_class: type, likelihood: torch.nn.Module) -> None:
    model, x, latents = make_model(prior_class, likelihood), make_clips(), make_latents()
    f, z = latents["f"], latents["z"]
    expected = by_hand.total(by_hand.standard(f).log_prob(f))
    if prior_class is LSTMPrior:
        expected = expected + by_hand.total(
            Normal(*by_hand.autoregression(model.prior.transition, z, None)).log_prob(z)
        )
    else:
        expected = expected + by_hand.total(by_hand.standard(z).log_prob(z))
    for t in range(z.shape[1]):
        output = model.decoder(torch.cat([f, z[:, t]], -1))
        if isinstance(likelihood, BernoulliPixels):
            pixels = Bernoulli(logits=output, validate_args=False).log_prob(x[:, t])
        else:
            pixels = Normal(1 / (1 + (-output).exp()), likelihood.scale).log_prob(x[:, t])
        expected = expected + by_hand.total(pixels)
    torch.testing.assert_close(model_log_prob(model, x, latents), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("prior_class", PRIORS)
def test_li_mandt_dsvae_generative_process(prior_class: type) -> None:
    """F, then z, then x: many draws of f and x have the moments of the equation, and one run uses one f and z."""
    model = make_model(prior_class)
    torch.manual_seed(0)
    with torch.no_grad():
        output = model(batch_size=4000)
    assert abs(float(output["f"].mean())) < 4 / math.sqrt(output["f"].numel())
    assert abs(float(output["f"].var()) - 1) < 4 * math.sqrt(2 / output["f"].numel())
    mean = by_hand.decoded(model, output["f"], output["z"]).sigmoid().detach()
    torch.testing.assert_close(output["reconstruction"], mean)
    noise = (output["x"] - mean) / 0.3
    assert abs(float(noise.mean())) < 4 / math.sqrt(noise.numel())
    assert abs(float(noise.var()) - 1) < 4 * math.sqrt(2 / noise.numel())


def test_das_dandi_standard_prior() -> None:
    z = make_latents()["z"]
    frames = [by_hand.total(by_hand.standard(z[:, t]).log_prob(z[:, t])) for t in range(z.shape[1])]
    torch.testing.assert_close(StandardPrior(2).double()(4).log_prob(z), sum(frames))


def test_li_mandt_lstm_prior_is_scored_on_its_own_steps() -> None:
    """Step the transition by hand on its own draws; the sum of the steps' densities is the teacher-forced density."""
    torch.manual_seed(0)
    prior = LSTMPrior(2, hidden_dim=4).double()
    z, state, log_prob, steps = torch.zeros(6, 2, dtype=torch.float64), None, torch.zeros(6, dtype=torch.float64), []
    for _ in range(5):
        loc, scale, state = prior.transition.step(z, None, state)
        step = Normal(loc, scale)
        z = step.sample()
        log_prob = log_prob + step.log_prob(z).sum(-1)
        steps.append(z)
    torch.testing.assert_close(prior(5).log_prob(torch.stack(steps, 1)), log_prob)


def test_li_mandt_lstm_prior_density() -> None:
    torch.manual_seed(0)
    prior, z = LSTMPrior(2, hidden_dim=4).double(), make_latents(5)["z"]
    expected = by_hand.total(by_hand.normal_log_prob(z, *by_hand.autoregression(prior.transition, z, None)))
    torch.testing.assert_close(prior(4).log_prob(z), expected)
    flipped = prior(4).log_prob(z.flip(1))
    assert not torch.allclose(flipped, expected), "the order of the frames must matter"


@pytest.mark.parametrize("learn_scale", [False, True])
def test_normal_pixels_density(learn_scale: bool) -> None:
    torch.manual_seed(0)
    h, x = 2 * torch.randn(50, dtype=torch.float64), torch.rand(50, dtype=torch.float64)
    likelihood = NormalPixels(0.2, learn_scale).double()
    mean = 1 / (1 + (-h).exp())
    expected = by_hand.normal_log_prob(x, mean, likelihood.log_scale.exp())
    torch.testing.assert_close(likelihood(h).log_prob(x), expected)
    assert math.isclose(float(likelihood.log_scale.detach().exp()), 0.2, rel_tol=1e-6)
    assert likelihood.log_scale.requires_grad is learn_scale


def test_normal_pixels_with_scale_of_a_half_are_squared_error() -> None:
    h, x = torch.randn(50, dtype=torch.float64), torch.rand(50, dtype=torch.float64)
    likelihood = NormalPixels(math.sqrt(0.5)).double()
    losses = [(-likelihood(h).log_prob(x)).sum(), ((x - h.sigmoid()) ** 2).sum()]
    constant = 50 * 0.5 * math.log(math.pi)
    assert math.isclose(float(losses[0] - losses[1]), constant, rel_tol=1e-6)


def test_rybkin_learned_scale_is_best_at_the_root_mean_squared_error() -> None:
    torch.manual_seed(0)
    h, x = torch.randn(500, dtype=torch.float64), torch.rand(500, dtype=torch.float64)
    likelihood = NormalPixels(float((x - h.sigmoid()).square().mean().sqrt()), learn_scale=True).double()
    likelihood(h).log_prob(x).sum().backward()
    assert abs(float(likelihood.log_scale.grad)) < 1e-3


def test_bernoulli_pixels_density() -> None:
    torch.manual_seed(0)
    h, x = 2 * torch.randn(50, dtype=torch.float64), torch.rand(50, dtype=torch.float64)
    probability = 1 / (1 + (-h).exp())
    expected = x * probability.log() + (1 - x) * (1 - probability).log()
    torch.testing.assert_close(BernoulliPixels()(h).log_prob(x), expected)


def test_shared_scale_normal_is_the_normal_of_torch() -> None:
    torch.manual_seed(0)
    loc, x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True), torch.randn(4, 3, dtype=torch.float64)
    scale = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    ours, theirs = SharedScaleNormal(loc, scale), torch.distributions.Normal(loc, scale)
    torch.testing.assert_close(ours.log_prob(x), theirs.log_prob(x))
    for mine, other in zip(
        torch.autograd.grad(ours.log_prob(x).sum(), (loc, scale)),
        torch.autograd.grad(theirs.log_prob(x).sum(), (loc, scale)),
        strict=True,
    ):
        torch.testing.assert_close(mine, other)
    wide = ours.expand((2, 4, 3)).to_event(1)
    torch.testing.assert_close(wide.log_prob(x), theirs.log_prob(x).sum(-1).expand(2, 4))
    assert wide.rsample().shape == (2, 4, 3)
    with pytest.raises(ValueError, match=r"shared_scale must be one number.*got \(3,\)"):
        SharedScaleNormal(loc, torch.ones(3))


@pytest.mark.parametrize("num_dims", [1, 2])
def test_an_event_of_shared_scale_normals_is_that_of_torch(num_dims: int) -> None:
    torch.manual_seed(0)
    loc, x = (torch.randn(4, 3, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    scale = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    ours = SharedScaleNormal(loc, scale).to_event(num_dims)
    theirs = torch.distributions.Independent(torch.distributions.Normal(loc, scale), num_dims)
    assert (ours.batch_shape, ours.event_shape) == (theirs.batch_shape, theirs.event_shape)
    gradients = []
    for fn in (ours, theirs):
        first = torch.autograd.grad(fn.log_prob(x).square().sum(), (loc, x, scale), create_graph=True)
        second = torch.autograd.grad(sum(each.square().sum() for each in first), (loc, x, scale))
        gradients.append([*first, *second])
    torch.testing.assert_close(ours.log_prob(x), theirs.log_prob(x))
    torch.testing.assert_close(*gradients)
    # draws on the left, one of a kind on the right, and back to elements
    draws = torch.randn(5, 4, 3, 2, dtype=torch.float64)
    torch.testing.assert_close(ours.log_prob(draws), theirs.log_prob(draws))
    torch.testing.assert_close(torch.vmap(ours.log_prob)(draws), theirs.log_prob(draws))
    torch.testing.assert_close(ours.log_prob(draws[0, 0, 0]), theirs.log_prob(draws[0, 0, 0]))
    wide = ours.expand((5, *ours.batch_shape))
    torch.testing.assert_close(wide.log_prob(x), theirs.log_prob(x).expand(wide.batch_shape))
    torch.testing.assert_close(ours.to_event(-num_dims).log_prob(x), theirs.base_dist.log_prob(x))
    twice = SharedScaleNormal(loc, scale).to_event(1).to_event(num_dims - 1)
    assert type(twice) is type(ours)
    torch.testing.assert_close(twice.log_prob(x), theirs.log_prob(x))
    tangents = [
        torch.func.jvp(lambda loc, fn=fn: fn(loc).log_prob(x.detach()), (loc.detach(),), (x.detach(),))
        for fn in (
            lambda loc: SharedScaleNormal(loc, scale.detach()).to_event(num_dims),
            lambda loc: torch.distributions.Independent(torch.distributions.Normal(loc, scale.detach()), num_dims),
        )
    ]
    torch.testing.assert_close(*tangents)
    assert SharedScaleNormal(loc, scale).to_event().batch_shape == ()


def test_an_event_whose_value_is_larger_counts_every_element() -> None:
    loc, scale, x = torch.zeros(4, 1, 2), torch.tensor(0.3), torch.randn(4, 3, 2)
    ours, theirs = SharedScaleNormal(loc, scale).to_event(2), torch.distributions.Normal(loc, scale)
    torch.testing.assert_close(ours.log_prob(x), theirs.log_prob(x).sum((1, 2)))


def test_a_traced_event_can_be_saved(tmp_path: Path) -> None:
    loc, x, scale = torch.zeros(4, 3), torch.randn(4, 3), torch.tensor(0.3)
    traced = torch.jit.trace(lambda x: SharedScaleNormal(loc, scale, validate_args=False).to_event(1).log_prob(x), x)
    traced.save(str(tmp_path / "density.pt"))
    expected = torch.distributions.Normal(loc, scale).log_prob(x).sum(1)
    torch.testing.assert_close(torch.jit.load(tmp_path / "density.pt")(x), expected)


def test_an_event_of_many_pixels_sums_as_well_as_torch_does() -> None:
    torch.manual_seed(0)
    loc, x, scale = torch.rand(2, 8, 3, 64, 64), torch.rand(2, 8, 3, 64, 64), torch.tensor(0.1)
    exact = torch.distributions.Normal(loc.double(), scale.double()).log_prob(x.double()).sum((1, 2, 3, 4))
    ours = SharedScaleNormal(loc, scale).to_event(4).log_prob(x)
    assert float(((ours - exact) / exact).abs().max()) < 6e-7  # a sum in one go errs by 1.6e-6


def test_mixture_start_density() -> None:
    torch.manual_seed(0)
    prior, z = MixtureStartPrior(2, hidden_dim=4, num_starts=3).double(), torch.randn(5, 4, 2, dtype=torch.float64)
    with torch.no_grad():
        prior.logits.copy_(torch.randn(3))
        prior.log_scale.copy_(torch.randn(3, 2))
    weights = prior.logits.exp() / prior.logits.exp().sum()
    first = sum(
        weights[k] * by_hand.normal_log_prob(z[:, 0], prior.loc[k], prior.log_scale[k].exp()).sum(-1).exp()
        for k in range(3)
    ).log()
    loc, scale = by_hand.autoregression(prior.transition, z, None)
    later = by_hand.normal_log_prob(z, loc, scale)[:, 1:].sum((-2, -1))
    torch.testing.assert_close(prior(4).log_prob(z), first + later)


def test_divergence_given_the_past_from_its_closed_parts() -> None:
    torch.manual_seed(0)
    prior, z = MixtureStartPrior(2, hidden_dim=4, num_starts=3).double(), torch.randn(5, 4, 2, dtype=torch.float64)
    mean, deviation = torch.randn(5, 4, 2, dtype=torch.float64), 0.2 + torch.rand(5, 4, 2, dtype=torch.float64)
    loc, scale = by_hand.autoregression(prior.transition, z, None)
    kl = (scale / deviation).log() + (deviation**2 + (mean - loc) ** 2) / (2 * scale**2) - 0.5
    entropy = (0.5 * math.log(2 * math.pi * math.e) + deviation.log())[:, 0].sum(-1)
    parts = [
        w + Normal(m, s.exp()).log_prob(z[:, 0]).sum(-1) for w, m, s in zip(prior.logits, prior.loc, prior.log_scale)
    ]
    first = torch.logsumexp(torch.stack(parts), 0) - torch.logsumexp(prior.logits, 0)
    expected = kl[:, 1:].sum((-2, -1)) - entropy - first
    q = torch.distributions.Independent(Normal(mean, deviation), 2)
    torch.testing.assert_close(prior(4).conditional_kl(q, z), expected)
