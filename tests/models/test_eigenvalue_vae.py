"""Eigenvalues as latent variables: what a clip says of them, and the control in which it says nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pyro import poutine
from pyro.distributions import Delta
from torch import Tensor, nn

import pyrodis
from pyrodis.distributions import GaussMarkovNormal, TanhNormal
from pyrodis.guides import EigenvalueGuide
from pyrodis.infer.describe import build, describe
from pyrodis.models import DynamicsPrior, EigenvalueVAE, LaplaceEigenvalues, NormalPixels, SlowFastEigenvalues
from pyrodis.nn import ConvDecoder, ConvEncoder
from pyrodis.regularizers import slowness
from pyrodis.testing import check_model_guide

FRAME, T, D = (1, 8, 8), 4, 2


def conv_pair(prior: nn.Module, connected: bool = True) -> tuple[Any, Any]:
    torch.manual_seed(0)
    model = EigenvalueVAE(ConvDecoder(D, FRAME, base_channels=2), prior, NormalPixels(), D, T, connected)
    return model, EigenvalueGuide(ConvEncoder(FRAME, 4, base_channels=2), D, 8)


@pytest.mark.parametrize("make", [LaplaceEigenvalues, SlowFastEigenvalues])
@pytest.mark.parametrize("num_frames", [1, 2, 4])
def test_keeps_the_contract(make: Callable[[int], nn.Module], num_frames: int) -> None:
    check_model_guide(lambda: conv_pair(make(D)), torch.rand(3, num_frames, *FRAME))


def test_the_control_keeps_the_contract_and_is_described(tmp_path: Any) -> None:
    check_model_guide(lambda: conv_pair(SlowFastEigenvalues(D), connected=False), torch.rand(3, T, *FRAME))
    for part in conv_pair(SlowFastEigenvalues(D, 0.01, 0.5, 0.1, 0.3), connected=False):
        assert describe(build(describe(part))) == describe(part)
    settings = pyrodis.infer.FitSettings(num_epochs=1, device="cpu")
    pyrodis.fit(*conv_pair(LaplaceEigenvalues(D, 3.0)), torch.rand(4, T, *FRAME), settings=settings, output=tmp_path)
    model, guide = pyrodis.load(tmp_path)
    assert (model.eigenvalue_prior.rate, guide.hidden_dim) == (3.0, 8)


def test_runs_on_the_meta_device() -> None:
    model, guide = (program.to("meta") for program in conv_pair(SlowFastEigenvalues(D)))
    pyrodis.NamedELBO().terms(model, guide, torch.rand(2, T, *FRAME, device="meta")).total.backward()
    assert model(batch_size=2)["eigenvalues"].device.type == "meta"


@pytest.mark.parametrize("make", [LaplaceEigenvalues, SlowFastEigenvalues])
def test_prior_draws_follow_their_eigenvalues(make: Callable[[int], nn.Module]) -> None:
    model, _ = conv_pair(make(D))
    drawn = pyrodis.sample_prior(model, 2000)
    eigenvalues, z = drawn["eigenvalues"], drawn["z"]
    assert bool((eigenvalues.abs() < 1).all())
    noise = (z[:, 1:] - eigenvalues * z[:, :-1]) / (1 - eigenvalues.square()).sqrt()
    assert abs(float(noise.std()) - 1) < 5 / math.sqrt(2 * noise.numel())
    control, _ = conv_pair(make(D), connected=False)
    z = pyrodis.sample_prior(control, 2000)["z"]
    assert abs(float((z[:, 1:] * z[:, :-1]).mean())) < 5 / math.sqrt(z[:, 1:].numel())


def test_the_laplace_prior_is_the_slowness_penalty() -> None:
    """Under a guide of points, the objective of the prior is that of the penalty up to a constant: one MAP."""
    torch.manual_seed(0)
    eigenvalues = 2 * torch.rand(500, T - 1, D).double() - 1
    for rate in (0.5, 10.0, 200.0):
        log_prior = LaplaceEigenvalues(D, rate).double()(T).log_prob(eigenvalues)
        constant = log_prior + rate * slowness(eigenvalues)
        torch.testing.assert_close(constant, constant[:1].expand(500), rtol=1e-9, atol=1e-9)


class Brightness(nn.Module):
    """Features of a frame: its brightness, and its square."""

    feature_dim = 2
    frame_shape = FRAME

    def forward(self, frames: Tensor) -> Tensor:
        level = 4 * (frames.mean((-3, -2, -1)) - 0.5)
        return torch.stack([level, level.square()], -1)


class Lamp(nn.Module):
    """A frame as bright as its code."""

    code_dim = 1
    frame_shape = FRAME

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.0))

    def forward(self, code: Tensor) -> Tensor:
        return (self.gain * code).unsqueeze(-1).unsqueeze(-1).expand(*code.shape[:-1], *FRAME)


def lamps(num: int, still: bool) -> Tensor:
    """Clips whose one brightness stays, or is drawn anew in every frame."""
    level = torch.randn(num, 1 if still else T, 1, 1, 1, generator=torch.Generator().manual_seed(int(still)))
    return level.sigmoid().expand(num, T, *FRAME)


def train(connected: bool, rate: float) -> tuple[Any, Any]:
    torch.manual_seed(0)
    model = EigenvalueVAE(Lamp(), LaplaceEigenvalues(1, rate), NormalPixels(0.1), 1, T, connected)
    guide = EigenvalueGuide(Brightness(), 1, 16)
    elbo = pyrodis.NamedELBO()
    x = torch.cat([lamps(64, still=True), lamps(64, still=False)])
    optimizer = torch.optim.Adam([*model.parameters(), *guide.parameters()], lr=0.02)
    for step in range(400):
        for group in optimizer.param_groups:
            group["lr"] = 0.02 * (1 - step / 400)
        optimizer.zero_grad()
        elbo.terms(model, guide, x).total.backward()
        optimizer.step()
    return model, guide


def posterior_of(guide: Any, x: Tensor) -> TanhNormal:
    with torch.no_grad():
        fn = poutine.trace(guide).get_trace(x).nodes["eigenvalues"]["fn"]
    return fn.base_dist.base_dist if not isinstance(fn.base_dist, TanhNormal) else fn.base_dist


def nearest_to_the_prior(rate: float) -> TanhNormal:
    """The hyperbolic tangent of a normal of the least divergence from the prior, by quadrature."""
    prior = LaplaceEigenvalues(1, rate).double()(2).base_dist
    loc, log_scale = (torch.zeros((), dtype=torch.float64, requires_grad=True) for _ in range(2))
    noise = torch.distributions.Normal(0, 1).icdf((torch.arange(2000, dtype=torch.float64) + 0.5) / 2000)
    optimizer = torch.optim.Adam([loc, log_scale], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        q = TanhNormal(loc, log_scale.exp())
        value = (1 - 1e-6) * (loc + log_scale.exp() * noise).tanh()
        (q.log_prob(value) - prior.log_prob(value)).mean().backward()
        optimizer.step()
    return TanhNormal(loc.detach(), log_scale.exp().detach())


def test_eigenvalues_that_do_not_enter_the_model_keep_their_prior() -> None:
    rate = 2.0
    _, guide = train(connected=False, rate=rate)
    nearest = nearest_to_the_prior(rate)
    for still in (True, False):
        found = posterior_of(guide, lamps(200, still))
        assert float((found.mean.mean() - nearest.mean).abs()) < 0.05
        assert float((found.scale.mean() - nearest.scale).abs()) < 0.1
        assert float(found.mean.std()) < 0.05, "the posterior must not depend on the clip"


def exact_mean(x: Tensor, gain: Tensor, rate: float) -> Tensor:
    """The posterior mean of every eigenvalue given the codes of still or moving lamps, by quadrature."""
    z = (x.mean((-3, -2, -1)).logit() / gain).double()
    angle = torch.linspace(0, math.pi, 2003, dtype=torch.float64)[1:-1]  # eigenvalues are cosines: dense at both ends
    grid = angle.cos()
    step = torch.distributions.Normal(grid * z[:, :-1, None], angle.sin())
    weight = (step.log_prob(z[:, 1:, None]) - rate * (1 - grid) + angle.sin().log()).softmax(-1)
    return (weight * grid).sum(-1)


def test_eigenvalues_that_enter_the_model_tell_what_stays_from_what_moves() -> None:
    """As far as their exact posterior does: one step of a code says only so much of its eigenvalue."""
    model, guide = train(connected=True, rate=2.0)
    means = {}
    for still in (True, False):
        x = lamps(200, still)
        means[still] = posterior_of(guide, x).mean.mean()
        exact = exact_mean(x, model.decoder.gain.detach(), 2.0).mean()
        assert abs(float(means[still] - exact)) < 0.1, f"{means[still]} should be {exact}"
    assert means[True] > means[False] + 0.2


def test_the_posterior_of_z_has_a_memory_of_its_own() -> None:
    """Not the drawn eigenvalues: these have no say in q(z)."""
    _, guide = conv_pair(LaplaceEigenvalues(D))
    x = torch.rand(2, T, *FRAME)
    for value in (-0.5, 0.9):
        drawn = torch.full((2, T - 1, D), value)
        trace = poutine.trace(poutine.condition(guide.eval(), data={"eigenvalues": drawn})).get_trace(x)
        fn = trace.nodes["z"]["fn"]
        assert isinstance(fn, GaussMarkovNormal)
        torch.testing.assert_close(fn.eigenvalues, guide(x)["correlations"])


class Ones(nn.Module):
    """A prior that knows nothing of the bounds."""

    def forward(self, num_frames: int) -> Any:
        return Delta(torch.ones(num_frames - 1, D), event_dim=2)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: conv_pair(LaplaceEigenvalues(3)), r"eigenvalue_prior\.dynamic_dim must be latent_dim = 2, got 3"),
        (
            lambda: conv_pair(DynamicsPrior(2))[0](batch_size=2),
            r"event shape \(T - 1, D\) = \(3, 2\), got \(4, 2\)",
        ),
        (lambda: conv_pair(Ones())[0](batch_size=2), r"strictly between -1 and 1, got 1\.0 at frame 1, dimension 0"),
        (lambda: LaplaceEigenvalues(2, rate=-1.0), "rate must be a finite number above 0, got -1"),
        (lambda: LaplaceEigenvalues(0), "dynamic_dim must be a positive whole number, got 0"),
        (lambda: LaplaceEigenvalues(2)(0), "num_frames must be a positive whole number, got 0"),
        (lambda: SlowFastEigenvalues(2)(0), "num_frames must be a positive whole number, got 0"),
        (lambda: SlowFastEigenvalues(2, 0.1, 0.9, 0.1), "slow_scale must be below fast_scale, got 0.1 and 0.1"),
        (lambda: SlowFastEigenvalues(2, fast_loc=1.0), "fast_loc must be above -1 and below 1, got 1"),
        (lambda: SlowFastEigenvalues(2, initial_weight=1.0), "initial_weight must be above 0 and below 1, got 1"),
        (lambda: conv_pair(LaplaceEigenvalues(2))[0](), "pass clips x, or batch_size"),
        (lambda: EigenvalueGuide(Brightness(), 0), "latent_dim must be a positive whole number, got 0"),
        (lambda: conv_pair(LaplaceEigenvalues(2))[1](torch.rand(2, 1, 8, 8)), r"x must have shape \(B, T, C, H, W\)"),
    ],
)
def test_bad_input(call: Callable[[], Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        call()
