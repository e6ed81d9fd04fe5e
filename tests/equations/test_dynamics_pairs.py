"""The models and guides of one code a frame, each against its written equation."""

from __future__ import annotations

from typing import Any

import pyro
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from pyrodis.guides import MeanFieldGuide
from pyrodis.models import BetaVAE, NormalPixels, StandardPrior, StationaryPrior
from pyrodis.nn import ConvDecoder, ConvEncoder
from tests.equations import by_hand
from tests.pairs import FRAME, D, T, make_clips, make_latents


def log_prob(program: Any, x: Tensor, z: Tensor, site: str) -> Tensor:
    """The log-density of one site where z is given."""
    trace = pyro.poutine.trace(pyro.poutine.condition(program, data={"z": z})).get_trace(x)
    trace.compute_log_prob()
    return trace.nodes[site]["log_prob"]


def tiny(module: torch.nn.Module) -> Any:
    return module.double().eval()


@pytest.mark.parametrize("prior", [StandardPrior(D), StationaryPrior(D, 0.6)])
def test_higgins_beta_vae_joint_density(prior: torch.nn.Module) -> None:
    torch.manual_seed(0)
    model = tiny(BetaVAE(ConvDecoder(D, FRAME, base_channels=2), prior, NormalPixels(0.3), D))
    x, z = make_clips(), make_latents()["z"]
    correlation = getattr(prior, "autocorrelation", 0.0)
    codes = Normal(0.0, 1.0).log_prob(z[:, 0]).sum(-1)
    pixels = Normal(model.decoder(z[:, 0]).sigmoid(), 0.3).log_prob(x[:, 0]).sum((-3, -2, -1))
    for t in range(1, T):
        codes = codes + Normal(correlation * z[:, t - 1], (1 - correlation**2) ** 0.5).log_prob(z[:, t]).sum(-1)
        frame = Normal(model.decoder(z[:, t]).sigmoid(), 0.3).log_prob(x[:, t])
        pixels = pixels + frame.sum((-3, -2, -1))
    torch.testing.assert_close(log_prob(model, x, z, "z"), codes, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(log_prob(model, x, z, "x"), pixels, rtol=1e-6, atol=1e-6)
    assert torch.equal(model(x)["x"], x)


def test_kingma_welling_mean_field_factorization() -> None:
    torch.manual_seed(0)
    guide = tiny(MeanFieldGuide(ConvEncoder(FRAME, 4, base_channels=2), D))
    x, z = make_clips(), make_latents()["z"]
    expected = sum(
        by_hand.normal_log_prob(z[:, t], *by_hand.head(guide.head, guide.encoder(x[:, t]))).sum(-1) for t in range(T)
    )
    torch.testing.assert_close(log_prob(guide, x, z, "z"), expected)
