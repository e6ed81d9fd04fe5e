"""The equations of eigenvalues as variables, of Laplace steps, and of the penalties of dynamics."""

from __future__ import annotations

import math
from typing import Any

import torch
from pyro import poutine
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, Laplace, MixtureSameFamily, MultivariateNormal, Normal

from pyrodis.distributions import LaplaceTransition, SlowFastMixture, TanhNormal, TruncatedLaplace
from pyrodis.distributions.laplace_transition import mean_absolute
from pyrodis.guides import EigenvalueGuide
from pyrodis.infer import TotalCorrelation
from pyrodis.infer.penalties import GuideRun
from pyrodis.models import EigenvalueVAE, LaplaceEigenvalues, LaplacePrior, NormalPixels, SlowFastEigenvalues
from pyrodis.nn import ConvDecoder, ConvEncoder
from pyrodis.regularizers import (
    identity_deviation,
    increasing_weights,
    linear_prediction_error,
    slowness,
    total_correlation,
    weighted_slowness,
)
from tests.equations import by_hand
from tests.pairs import FRAME, D, T, make_clips, make_latents

EIGENVALUES = 2 * torch.rand(3, T - 1, D, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 1
BOUND = 1 - 1e-6


def pair() -> tuple[Any, Any]:
    """Model and guide in eval mode, float64."""
    torch.manual_seed(0)
    model = EigenvalueVAE(ConvDecoder(D, FRAME, base_channels=2), LaplaceEigenvalues(D, 3.0), NormalPixels(0.3), D, T)
    guide = EigenvalueGuide(ConvEncoder(FRAME, 4, base_channels=2), D, 8)
    return model.double().eval(), guide.double().eval()


def truncated(value: Tensor, loc: float, scale: float) -> Tensor:
    """The log-density of a Laplace distribution, less the logarithm of its mass between the bounds."""
    fn = Laplace(torch.tensor(loc, dtype=torch.float64), scale)
    low, high = (fn.cdf(torch.tensor(bound, dtype=torch.float64)) for bound in (-BOUND, BOUND))
    return fn.log_prob(value) - (high - low).log()


def test_zaharia_peters_slowness() -> None:
    expected = [sum(abs(float(v) - 1) for v in clip.flatten()) for clip in EIGENVALUES]
    torch.testing.assert_close(slowness(EIGENVALUES), torch.tensor(expected, dtype=torch.float64))


def test_zaharia_peters_weighted_slowness() -> None:
    weights = torch.tensor([0.5, 2.0], dtype=torch.float64)
    expected = sum(weights[i] * (1 - EIGENVALUES[:, t, i]) for t in range(T - 1) for i in range(D))
    torch.testing.assert_close(weighted_slowness(EIGENVALUES, weights), expected)


def test_zaharia_peters_weights_grow_with_the_dimension() -> None:
    assert increasing_weights(4, 0.5).tolist() == [0.5, 1.0, 1.5, 2.0]


def test_zaharia_peters_identity_deviation() -> None:
    matrices = torch.randn(3, T - 1, D, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = [
        sum(abs(float(m[i, j]) - float(i == j)) for m in clip for i in range(D) for j in range(D)) for clip in matrices
    ]
    torch.testing.assert_close(identity_deviation(matrices), torch.tensor(expected, dtype=torch.float64))


def test_zaharia_peters_linear_prediction_error() -> None:
    z, alpha = make_latents()["z"], 0.7
    expected = sum((z[:, t] - z[:, t - 1] - alpha * (z[:, t - 1] - z[:, t - 2])).square().sum(-1) for t in range(2, T))
    torch.testing.assert_close(linear_prediction_error(z, alpha), expected)


def test_truncated_laplace_density() -> None:
    value = torch.linspace(-0.9, 0.9, 7, dtype=torch.float64)
    for loc, scale in ((0.3, 0.5), (BOUND, 0.1)):
        fn = TruncatedLaplace(torch.tensor(loc, dtype=torch.float64), scale, -BOUND, BOUND)
        torch.testing.assert_close(fn.log_prob(value), truncated(value, loc, scale))


def test_tanh_normal_change_of_variables() -> None:
    u = torch.linspace(-3, 3, 9, dtype=torch.float64, requires_grad=True)
    value = BOUND * u.tanh()
    slope = torch.autograd.grad(value.sum(), u)[0]
    loc, scale = torch.tensor(0.4, dtype=torch.float64), torch.tensor(0.8, dtype=torch.float64)
    expected = by_hand.normal_log_prob(u, loc, scale) - slope.log()
    torch.testing.assert_close(TanhNormal(loc, scale).log_prob(value.detach()), expected.detach())


def test_slow_fast_mixture_density() -> None:
    value, weight = torch.linspace(-0.9, 0.9, 7, dtype=torch.float64), 0.3
    parts = [TruncatedLaplace(torch.tensor(loc).double(), scale) for loc, scale in ((1.0, 0.2), (0.5, 0.4))]
    logits = torch.tensor(math.log(weight / (1 - weight)), dtype=torch.float64)
    expected = weight * parts[0].log_prob(value).exp() + (1 - weight) * parts[1].log_prob(value).exp()
    torch.testing.assert_close(SlowFastMixture(logits, *parts).log_prob(value).exp(), expected)


def test_slow_fast_eigenvalues_prior() -> None:
    prior = SlowFastEigenvalues(D, 0.1, 0.5, 0.3, initial_weight=0.2).double()
    parts = [truncated(EIGENVALUES, BOUND, 0.1), truncated(EIGENVALUES, 0.5, 0.3)]
    expected = (0.2 * parts[0].exp() + 0.8 * parts[1].exp()).log().sum((-2, -1))
    torch.testing.assert_close(prior(T).log_prob(EIGENVALUES), expected, rtol=1e-5, atol=1e-6)


def test_laplace_eigenvalues_are_the_slowness_penalty() -> None:
    prior = LaplaceEigenvalues(D, rate=3.0).double()(T)
    expected = truncated(EIGENVALUES, BOUND, 1 / 3.0).sum((-2, -1))
    torch.testing.assert_close(prior.log_prob(EIGENVALUES), expected)
    constant = prior.log_prob(EIGENVALUES) + 3.0 * slowness(EIGENVALUES)
    torch.testing.assert_close(constant, constant[0].expand(3))


def test_klindt_laplace_transition_density() -> None:
    z, rate = make_latents()["z"], torch.tensor([2.0, 0.5], dtype=torch.float64)
    expected = Normal(0.0, 1.0).log_prob(z[:, 0]).sum(-1)
    for t in range(1, T):
        expected = expected + Laplace(z[:, t - 1], 1 / rate).log_prob(z[:, t]).sum(-1)
    torch.testing.assert_close(LaplaceTransition(T, D, rate).log_prob(z), expected)


def test_klindt_laplace_prior_density() -> None:
    z = make_latents()["z"]
    expected = LaplaceTransition(T, D, torch.tensor(4.0, dtype=torch.float64)).log_prob(z)
    torch.testing.assert_close(LaplacePrior(D, rate=4.0).double()(T).log_prob(z), expected)


def test_klindt_divergence_given_the_frames_before() -> None:
    """Frame by frame by quadrature."""
    z, generator = make_latents(1)["z"], torch.Generator().manual_seed(4)
    loc = torch.randn(1, T, D, dtype=torch.float64, generator=generator)
    scale = 0.3 + torch.rand(1, T, D, dtype=torch.float64, generator=generator)
    u = torch.linspace(-12, 12, 400_001, dtype=torch.float64)
    expected = torch.zeros(1, dtype=torch.float64)
    for t in range(T):
        for i in range(D):
            point, density = loc[0, t, i] + scale[0, t, i] * u, by_hand.normal_log_prob(u, u[:1] * 0, u[:1] * 0 + 1)
            before = Laplace(z[0, t - 1, i], 0.5) if t else Normal(u.new_zeros(()), 1.0)
            ratio = density - scale[0, t, i].log() - before.log_prob(point)
            expected += torch.trapezoid(density.exp() * ratio, u)
    q = Independent(Normal(loc, scale), 2)
    torch.testing.assert_close(LaplaceTransition(T, D, 2.0).conditional_kl(q, z), expected, rtol=1e-6, atol=1e-6)


def test_mean_absolute_value_of_a_normal() -> None:
    loc, scale = torch.tensor([-2.0, 0.0, 0.7]).double(), torch.tensor([0.5, 1.0, 2.0]).double()
    u = torch.linspace(-12, 12, 400_001, dtype=torch.float64)
    density = by_hand.normal_log_prob(u, u[:1] * 0, u[:1] * 0 + 1).exp()
    expected = torch.trapezoid((loc[:, None] + scale[:, None] * u).abs() * density, u)
    torch.testing.assert_close(mean_absolute(loc, scale), expected, rtol=1e-7, atol=1e-8)


def test_chen_total_correlation_of_a_whole_data_set() -> None:
    """With equal weights, the densities are those of the mixture of all posteriors."""
    torch.manual_seed(0)
    loc, scale = torch.randn(6, 3, dtype=torch.float64), torch.rand(6, 3, dtype=torch.float64) + 0.5
    draws = loc + scale * torch.randn(6, 3, dtype=torch.float64)
    densities = by_hand.normal_log_prob(draws.unsqueeze(1), loc, scale)
    equal = Categorical(logits=torch.zeros(6))
    joint = MixtureSameFamily(equal, Independent(Normal(loc, scale), 1)).log_prob(draws)
    marginals = [MixtureSameFamily(equal, Normal(loc[:, i], scale[:, i])).log_prob(draws[:, i]) for i in range(3)]
    weights = torch.full((6, 6), -math.log(6), dtype=torch.float64)
    torch.testing.assert_close(total_correlation(densities, weights), joint - sum(marginals))


def test_chen_stratified_weights_of_frames() -> None:
    """From a loop over frames: a clip's value is T times the mean of its frames."""
    num, num_data = 3, 50
    fn = Normal(make_latents(num)["z"], 0.7)
    torch.manual_seed(0)
    value = fn.sample()
    run = GuideRun(nn.Identity(), value, {"z": {"fn": Independent(fn, 2), "value": value}})
    expected = torch.zeros(num, dtype=torch.float64)
    for b in range(num):
        for t in range(T):
            weights = torch.full((num, T), (num_data - 1) / (num_data * T * (num - 1)), dtype=torch.float64)
            weights[b] = (T - 1) / (num_data * T * (T - 1))
            weights[b, t] = 1 / (num_data * T)
            densities = by_hand.normal_log_prob(value[b, t], fn.loc, fn.scale).exp()
            joint = (weights * densities.prod(-1)).sum().log()
            expected[b] += joint - (weights.unsqueeze(-1) * densities).sum((0, 1)).log().sum()
    torch.testing.assert_close(TotalCorrelation(num_data)(run), expected)


def test_eigenvalue_vae_joint_density() -> None:
    model, _ = pair()
    x, z = make_clips(), make_latents()["z"]
    data = {"eigenvalues": EIGENVALUES, "z": z}
    found = poutine.trace(poutine.condition(model, data=data)).get_trace(x).log_prob_sum()
    expected = truncated(EIGENVALUES, BOUND, 1 / 3.0).sum() + by_hand.standard(z[:, 0]).log_prob(z[:, 0]).sum()
    for t in range(1, T):
        kept = EIGENVALUES[:, t - 1]
        expected = expected + by_hand.normal_log_prob(z[:, t], kept * z[:, t - 1], (1 - kept**2).sqrt()).sum()
    frames = torch.stack([model.decoder(z[:, t]) for t in range(T)], 1).sigmoid()
    expected = expected + by_hand.normal_log_prob(x, frames, torch.tensor(0.3, dtype=torch.float64)).sum()
    torch.testing.assert_close(found, expected)


def test_eigenvalue_guide_factorization() -> None:
    _, guide = pair()
    x, z = make_clips(), make_latents()["z"]
    data = {"eigenvalues": EIGENVALUES, "z": z}
    found = poutine.trace(poutine.condition(guide, data=data)).get_trace(x).log_prob_sum()
    features = by_hand.features_of(guide, x)
    u, expected = (EIGENVALUES / BOUND).atanh(), torch.zeros((), dtype=torch.float64)
    loc, scale = by_hand.head(guide.head, features)
    kept = []
    for t in range(1, T):
        hidden = guide.hidden(torch.cat([features[:, t], features[:, t - 1]], -1))
        raw, raw_scale = by_hand.head(guide.eigenvalue_head, hidden)
        slope = (BOUND * (1 - u[:, t - 1].tanh() ** 2)).log()
        expected = expected + (by_hand.normal_log_prob(u[:, t - 1], raw + 1.5, raw_scale) - slope).sum()
        kept.append(BOUND * guide.correlation_head(hidden).tanh())
    for b in range(len(x)):
        for i in range(D):
            correlation = torch.eye(T, dtype=torch.float64)
            for s in range(T):
                for t in range(s + 1, T):
                    between = math.prod(float(kept[k][b, i].detach()) for k in range(s, t))
                    correlation[s, t] = correlation[t, s] = between
            spread = scale[b, :, i].detach()
            covariance = correlation * spread * spread.unsqueeze(-1)
            expected = expected + MultivariateNormal(loc[b, :, i].detach(), covariance).log_prob(z[b, :, i])
    torch.testing.assert_close(found, expected)
