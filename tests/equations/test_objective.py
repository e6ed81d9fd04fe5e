"""The equations of the objective, its weights and its penalties, without Pyro."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyrodis.guides import FramewiseGuide, FullGuide
from pyrodis.infer.elbo import NamedELBO
from pyrodis.infer.handlers import scale_latents
from pyrodis.infer.penalties import add_penalty
from pyrodis.models import LSTMPrior, StandardPrior
from pyrodis.regularizers import temporal_difference
from tests.equations import by_hand
from tests.pairs import D, S, T, make_clips, make_pair


def slowness(output: Any) -> Tensor:
    return temporal_difference(output["z"])


def framewise_posterior(guide: Any, x: Tensor) -> tuple[Tensor, ...]:
    """Loc and scale of q(f | x) and of all q(z_t | x_t), by hand."""
    features = by_hand.features_of(guide, x)
    hidden = (features @ guide.hidden[0].weight.T + guide.hidden[0].bias).tanh()
    return *by_hand.static_parameters(guide.static, features), *by_hand.head(guide.head, hidden)


def draw(posterior: tuple[Tensor, ...], seed: int) -> tuple[Tensor, Tensor]:
    f_loc, f_scale, z_loc, z_scale = posterior
    torch.manual_seed(seed)
    f = f_loc + f_scale * torch.randn(f_loc.shape, dtype=f_loc.dtype)
    return f, z_loc + z_scale * torch.randn(z_loc.shape, dtype=z_loc.dtype)


def nll(model: Any, x: Tensor, f: Tensor, z: Tensor) -> Tensor:
    scale = torch.tensor(model.likelihood.scale, dtype=x.dtype)
    return -by_hand.total(by_hand.normal_log_prob(x, by_hand.decoded(model, f, z).sigmoid(), scale))


def test_kingma_welling_elbo_from_closed_forms() -> None:
    """Terms of frame-wise guide and standard prior are the closed-form KLs and the likelihood of the same draws."""
    (model, guide), x = make_pair(FramewiseGuide, StandardPrior), make_clips()
    posterior = framewise_posterior(guide, x)
    f, z = draw(posterior, 0)
    torch.manual_seed(0)
    terms = NamedELBO().terms(model, guide, x)
    expected = {
        "kl_f": by_hand.total(by_hand.normal_kl(*posterior[:2])).mean(),
        "kl_z": by_hand.total(by_hand.normal_kl(*posterior[2:])).mean(),
        "nll": nll(model, x, f, z).mean(),
    }
    assert terms.analytic == {"f", "z"}
    assert terms.values.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms.values[name], value, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(terms.total, sum(expected.values()), rtol=1e-6, atol=1e-8)


def test_kingma_welling_elbo_by_monte_carlo() -> None:
    """The Monte Carlo estimate lies within four standard errors of closed-form KLs plus an independent likelihood."""
    (model, guide), x = make_pair(FramewiseGuide, StandardPrior), make_clips(1)
    with torch.no_grad():
        posterior = framewise_posterior(guide, x)
        f, z = draw(tuple(part.expand(4000, *part.shape[1:]) for part in posterior), 1)
        samples = nll(model, x, f, z)
        kl = by_hand.normal_kl(*posterior[:2]).sum() + by_hand.normal_kl(*posterior[2:]).sum()
        torch.manual_seed(2)
        estimates = torch.stack([NamedELBO(analytic=False).terms(model, guide, x).total for _ in range(400)])
    error = ((samples.var() / len(samples)) + (estimates.var() / len(estimates))).sqrt()
    difference = estimates.mean() - (samples.mean() + kl)
    assert abs(float(difference)) < 4 * error
    assert error < 0.05 * kl, "the check could not see a wrong KL"


def test_higgins_scaled_latents_objective() -> None:
    model, guide = make_pair(FramewiseGuide, StandardPrior)
    x, weights = make_clips(), {"f": 0.25, "z": 4.0}
    posterior = framewise_posterior(guide, x)
    f, z = draw(posterior, 0)
    kl_f, kl_z = (by_hand.total(by_hand.normal_kl(*part)).mean() for part in (posterior[:2], posterior[2:]))
    torch.manual_seed(0)
    terms = NamedELBO().terms(scale_latents(model, weights), scale_latents(guide, weights), x)
    torch.testing.assert_close(terms.total, nll(model, x, f, z).mean() + 0.25 * kl_f + 4 * kl_z, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(terms.values["kl_z"], kl_z, rtol=1e-6, atol=1e-8)
    assert terms.weights == {"nll": 1.0, "kl_f": 0.25, "kl_z": 4.0}


def test_terms_add_up_to_the_total() -> None:
    model, guide = make_pair()
    weights = {"f": 0.0, "z": 2.5}
    guide = add_penalty(scale_latents(guide, weights), "slow", slowness, 3.0, side="guide")
    terms = NamedELBO().terms(scale_latents(model, weights), guide, make_clips())
    assert terms.weights == {"nll": 1.0, "kl_f": 0.0, "kl_z": 2.5, "slow": 1.0}
    torch.testing.assert_close(terms.total, sum(terms.weights[name] * terms.values[name] for name in terms.values))
    assert float(terms.values["kl_f"].detach()) > 0


def test_chung_per_frame_kl_at_the_sampled_path() -> None:
    """With feedback on both sides, KL_z is the sum over frames of closed-form KLs between the conditionals."""
    (model, guide), x = make_pair(FullGuide, LSTMPrior), make_clips()
    latents: dict[str, Tensor] = {}
    guide.register_forward_hook(lambda module, args, output: latents.update(output))
    terms = NamedELBO().terms(model, guide, x)
    f, z = latents["f"], latents["z"]
    features = by_hand.features_of(guide, x)
    q = by_hand.autoregression(guide.transition, z, by_hand.context_of(guide, features, f))
    p = by_hand.autoregression(model.prior.transition, z, None)
    torch.testing.assert_close(terms.values["kl_z"], by_hand.total(by_hand.normal_kl(*q, *p)).mean())
    assert terms.analytic == {"f", "z"}


def test_penalty_adds_its_weight_times_its_sum() -> None:
    (model, guide), x = make_pair(), make_clips()
    torch.manual_seed(0)
    plain = NamedELBO().differentiable_loss(model, guide, x)
    torch.manual_seed(0)
    z = guide(x)["z"]
    torch.manual_seed(0)
    penalized = NamedELBO().differentiable_loss(model, add_penalty(guide, "slow", slowness, 0.7, side="guide"), x)
    squares = sum(((z[:, t] - z[:, t - 1]) ** 2).sum() for t in range(1, T))
    torch.testing.assert_close(penalized - plain, 0.7 * squares)


def test_wiskott_sejnowski_temporal_difference() -> None:
    z = torch.randn(2, 3, T, D, dtype=torch.float64)
    expected = torch.zeros(2, 3, dtype=torch.float64)
    for t in range(1, T):
        for d in range(D):
            expected += (z[:, :, t, d] - z[:, :, t - 1, d]) ** 2
    torch.testing.assert_close(temporal_difference(z), expected)
    assert torch.equal(temporal_difference(z[:, :, :1]), torch.zeros(2, 3, dtype=torch.float64))
    assert torch.equal(temporal_difference(torch.ones(S, T, D)), torch.zeros(S))
