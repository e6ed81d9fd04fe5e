"""Stavarache, Multi-model disentanglement of object representations (2019): its model and its loss, by hand."""

from __future__ import annotations

import itertools
import math

import pyro
import pytest
import torch
from torch import Tensor

import pyrodis
from pyrodis.distributions import MaskWeightedNormal, PixelMixture
from pyrodis.infer import NamedELBO, component_kl
from pyrodis.infer.sites import get_trace
from pyrodis.models import MaskedNormal, MixturePixels
from pyrodis.regularizers import claim_penalty, mask_entropy_penalty, silence_penalty
from tests.components import IMAGE, C, H, K, W, decode_by_hand, log_normal, make_codes, make_images, make_pair
from tests.equations import by_hand


def entropy_by_hand(masks: Tensor) -> Tensor:
    """-log(H(m) / log K), pixel by pixel."""
    pixels = [-sum(masks[:, k, i, j] * masks[:, k, i, j].log() for k in range(K)) for i in range(H) for j in range(W)]
    return -(sum(pixels) / len(pixels) / math.log(K)).log()


def codes_by_hand(guide: torch.nn.Module, x: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [by_hand.head(guide.heads[k], guide.encoders[k](x[:, 0])) for k in range(K)]


def test_stavarache_mask_weighted_log_density() -> None:
    loc, masks = decode_by_hand(make_pair()[0], make_codes())
    x = make_images()
    expected = sum(masks[:, k, None] * log_normal(x[:, 0], loc[:, k], 0.3) for k in range(K)).sum((1, 2, 3))
    torch.testing.assert_close(MaskWeightedNormal(loc, masks.log() + 2.0, 0.3).log_prob(x), expected)


def test_burgess_pixel_mixture_density() -> None:
    loc, masks = decode_by_hand(make_pair()[0], make_codes())
    x = make_images()
    density = sum(masks[:, k] * log_normal(x[:, 0], loc[:, k], 0.3).sum(1).exp() for k in range(K))
    torch.testing.assert_close(
        PixelMixture(loc, masks.log() + 2.0, 0.3).log_prob(x), density.log().sum((1, 2)), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("likelihood", [MaskedNormal, MixturePixels])
def test_stavarache_parallel_vae_joint_density(likelihood: type) -> None:
    (model, _), z, x = make_pair(likelihood=likelihood), make_codes(), make_images()
    trace = get_trace(pyro.poutine.condition(model, data={"z": z}), x)
    loc, masks = decode_by_hand(model, z)
    prior = sum(by_hand.standard(z[k]).log_prob(z[k]).sum(-1) for k in range(K))
    log_pixels = torch.stack([log_normal(x[:, 0], loc[:, k], model.likelihood.scale) for k in range(K)], 1)
    if likelihood is MaskedNormal:
        pixels = (masks.unsqueeze(2) * log_pixels).sum((1, 2, 3, 4))
    else:
        pixels = (masks * log_pixels.sum(2).exp()).sum(1).log().sum((1, 2))
    torch.testing.assert_close(trace.log_prob_sum(), (prior + pixels).sum())


def test_stavarache_parallel_guide_factorization() -> None:
    (_, guide), z, x = make_pair(), make_codes(), make_images()
    expected = sum(
        by_hand.normal_log_prob(z[k], loc, scale).sum() for k, (loc, scale) in enumerate(codes_by_hand(guide, x))
    )
    trace = get_trace(pyro.poutine.condition(guide, data={"z": z}), x)
    torch.testing.assert_close(trace.log_prob_sum(), expected)


def test_silence_penalty() -> None:
    kl = torch.tensor([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])
    present = torch.tensor([[True, False, False], [False, True, True]])
    assert silence_penalty(kl, present).tolist() == [6.0, 8.0]


def test_claim_penalty() -> None:
    """Pixel by pixel, and component by component."""
    torch.manual_seed(0)
    x, components, confidence = torch.rand(2, 1, 2, 2, 4), torch.rand(2, 3, 2, 2, 4), torch.randn(2, 3, 2, 4)
    expected = torch.zeros(2)
    for b, h, w in itertools.product(range(2), range(2), range(4)):
        weights = [math.exp(confidence[b, k, h, w]) for k in range(3)]
        for k in range(3):
            error = sum((float(x[b, 0, c, h, w]) - float(components[b, k, c, h, w])) ** 2 for c in range(2))
            expected[b] += weights[k] / sum(weights) * error / (2 * 0.3**2)
    torch.testing.assert_close(claim_penalty(x, components, confidence, 0.3), expected)


def test_stavarache_mask_entropy() -> None:
    _, masks = decode_by_hand(make_pair()[0], make_codes())
    torch.testing.assert_close(mask_entropy_penalty(masks), entropy_by_hand(masks))


def test_stavarache_kl_of_each_component() -> None:
    (model, guide), x = make_pair(), make_images()
    expected = torch.stack([by_hand.normal_kl(*code).sum(-1) for code in codes_by_hand(guide, x)], -1)
    torch.testing.assert_close(component_kl(model, guide, x), expected.detach())


def test_stavarache_loss_is_the_objective_less_a_constant() -> None:
    """sum_k m_k (x_k - x)^2 + beta KL + gamma (-log H), and log(pi) / 2 for every pixel and channel."""
    beta, gamma = 0.5, 0.009
    (model, guide), x = make_pair(), make_images()
    penalized = pyrodis.add_penalty(
        pyrodis.scale_latents(model, {"z": beta}),
        "entropy",
        lambda output: mask_entropy_penalty(output["masks"]),
        gamma,
        side="model",
    )
    torch.manual_seed(0)
    terms = NamedELBO().terms(penalized, pyrodis.scale_latents(guide, {"z": beta}), x)
    torch.manual_seed(0)
    loc, masks = decode_by_hand(model, guide(x)["z"])
    squares = (masks.unsqueeze(2) * (loc - x) ** 2).sum((1, 2, 3, 4))
    kl = sum(by_hand.normal_kl(*code).sum(-1) for code in codes_by_hand(guide, x))
    loss = (squares + beta * kl + gamma * entropy_by_hand(masks)).mean()
    constant = math.prod(IMAGE) * 0.5 * math.log(math.pi)
    torch.testing.assert_close(terms.total, loss + constant)
    assert C > 1
    parameters = [p for program in (model, guide) for p in program.parameters()]
    ours, theirs = (torch.autograd.grad(value, parameters) for value in (terms.total, loss))
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)
