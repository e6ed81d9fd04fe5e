"""The guides of one code a frame: exactness on a linear model, inertia, the autoencoder, short clips, bad input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pyro.distributions import Normal
from torch import Tensor, nn
from torch.distributions import kl_divergence

import pyrodis
from pyrodis.distributions import GaussMarkovNormal
from pyrodis.guides import (
    BasisTransition,
    DeltaGuide,
    DiagonalTransition,
    InertialGuide,
    InformationGuide,
    MeanFieldGuide,
    StructuredGuide,
)
from pyrodis.infer import score_shown_frames
from pyrodis.infer.elbo import NamedELBO
from pyrodis.infer.settings import FitSettings
from pyrodis.models import (
    BetaVAE,
    DelayedVAE,
    DynamicsPrior,
    LinearDynamicsPrior,
    LinearGaussianDynamics,
    NormalPixels,
    StandardPrior,
)
from pyrodis.nn import ConvDecoder, ConvEncoder
from pyrodis.ops import chain_precision, contraction
from tests.pairs import DYNAMIC_PAIRS, FRAME, TRANSITIONS, D, make_clips, make_pair

NUM_FRAMES, NUM_PIXELS = 5, 3


class Pixels(nn.Module):
    """An encoder whose features are the pixels."""

    feature_dim = NUM_PIXELS

    def forward(self, frames: Tensor) -> Tensor:
        return frames.flatten(-3)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear_model() -> LinearGaussianDynamics:
    turn = torch.tensor([[0.85, -0.35], [0.35, 0.85]], dtype=torch.float64)
    return LinearGaussianDynamics(turn, random(NUM_PIXELS, 2, seed=3), scale=0.6, num_frames=NUM_FRAMES)


def inverse_contraction(transition: Tensor) -> Tensor:
    """The M whose contraction is A: with A = A' / (1 - 1e-5), (C C^T)^-1 is I - A'^T A' in reversed Cholesky form."""
    ratio = transition / (1 - 1e-5)
    flip = torch.eye(len(ratio), dtype=ratio.dtype).flip(0)
    lower = flip @ torch.linalg.cholesky(flip @ (torch.eye(len(ratio), dtype=ratio.dtype) - ratio.mT @ ratio) @ flip)
    inverse_root = (lower @ flip).mT  # C^-1: lower triangular, C^-T C^-1 = I - A'^T A'
    return ratio @ torch.linalg.inv(inverse_root).mT


def exact_guide(model: LinearGaussianDynamics) -> InformationGuide:
    """An information guide whose parameters are set so that it is the model's posterior."""
    guide = InformationGuide(Pixels(), model.latent_dim).double()
    precision = model.emission.mT @ model.emission / model.scale**2
    factor = torch.linalg.cholesky(precision)
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.zero_()
        guide.raw.copy_(inverse_contraction(model.transition) / guide.gain)
        guide.head.linear.weight[:2] = torch.linalg.solve(precision, model.emission.mT / model.scale**2)
        scale = 1 / factor.diagonal() - 1e-4
        guide.head.linear.bias[2:] = scale.expm1().log() - guide.head.offset
        guide.mixing.bias.copy_((factor / factor.diagonal()[:, None]).tril(-1).flatten())
    return guide


def clips(num: int = 20) -> Tensor:
    torch.manual_seed(1)
    return linear_model()(batch_size=num)["x"]


def test_the_information_form_contains_the_exact_posterior() -> None:
    model, x = linear_model(), clips()
    guide = exact_guide(model)
    torch.testing.assert_close(contraction(guide.gain * guide.raw).detach(), model.transition)
    for seed in range(3):  # whatever the draw: log p(x, z) - log q(z | x) is the evidence
        torch.manual_seed(seed)
        loss = NamedELBO(analytic=False).terms(model, guide, x).total
        assert -float(loss.detach()) == pytest.approx(float(model.log_evidence(x).mean()), abs=1e-6)


def test_the_information_form_fills_in_missing_frames_exactly() -> None:
    model, x = linear_model(), clips()
    guide = exact_guide(model)
    guide.skip_blank = True
    shown = torch.tensor([True, False, True, False, True])
    black = x * shown[:, None, None, None]
    scored = score_shown_frames(model, shown)
    loss = NamedELBO(analytic=False).terms(scored, guide, black).total
    assert -float(loss.detach()) == pytest.approx(float(model.log_evidence(x, shown).mean()), abs=1e-6)
    exact = model.exact_posterior(x, shown)
    torch.testing.assert_close(guide._posterior(x.flatten(2), shown).mean, exact.mean)


def test_training_closes_the_gap_of_the_information_form() -> None:
    """From near the exact parameters, with draws as in any training, to 1e-3 nats a frame."""
    model, x = linear_model(), clips(64)
    guide, exact = exact_guide(model), model.exact_posterior(x)
    with torch.no_grad():
        for seed, parameter in enumerate(guide.parameters()):
            parameter.add_(0.1 * random(*parameter.shape, seed=seed))

    def gap() -> float:
        with torch.no_grad():
            return float(kl_divergence(guide._posterior(x.flatten(2), None), exact).mean()) / NUM_FRAMES

    assert gap() > 0.02
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(guide.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.985)
    for _ in range(300):
        optimizer.zero_grad()
        NamedELBO().terms(model, guide, x).total.backward()
        optimizer.step()
        schedule.step()
    assert gap() < 1e-3


def test_mean_field_stops_at_its_analytic_gap() -> None:
    """1/2 (sum log J_ii - log |J|), at the best loc and scale, which any other choice exceeds."""
    model, x = linear_model(), clips(4)
    exact = model.exact_posterior(x)
    precision = exact.precision_matrix[0]
    expected = 0.5 * (precision.diagonal().log().sum() - torch.linalg.slogdet(precision).logabsdet)
    scale = precision.diagonal().rsqrt().reshape(NUM_FRAMES, 2)
    best = Normal(exact.mean, scale).to_event(2)
    torch.testing.assert_close(kl_divergence(best, exact), expected.expand(4))
    pixels = Normal(exact.mean @ model.emission.mT, model.scale).log_prob(x.flatten(2)).sum((-2, -1))
    noise = (scale.square() @ model.emission.square().mT).sum() / (2 * model.scale**2)
    elbo = pixels - noise - kl_divergence(best, model.prior(NUM_FRAMES))
    torch.testing.assert_close(model.log_evidence(x) - elbo, expected.expand(4))
    assert float(expected) > 0.1
    for other in (Normal(exact.mean, 1.1 * scale), Normal(exact.mean + 0.1, scale)):
        assert bool((kl_divergence(other.to_event(2), exact) > expected).all())


def inertial(gamma: float, **rest: Any) -> InertialGuide:
    torch.manual_seed(0)
    return InertialGuide(ConvEncoder(FRAME, 4, base_channels=2), D, gamma, **rest).double().eval()


def test_no_inertia_is_the_plain_delayed_model() -> None:
    """With gamma = 0 loss and gradients are those of the mean-field guide with the same weights."""
    x, guide = make_clips(3, 5), inertial(0.0)
    plain = MeanFieldGuide(ConvEncoder(FRAME, 4, base_channels=2), D).double().eval()
    plain.load_state_dict({name: value for name, value in guide.state_dict().items() if name != "extrapolation"})
    model = DelayedVAE(ConvDecoder(D, FRAME, base_channels=2), StandardPrior(D), NormalPixels(), D).double().eval()
    totals = []
    for one in (guide, plain):
        torch.manual_seed(0)
        totals.append(NamedELBO().terms(model, one, x).total)
        totals[-1].backward()
    torch.testing.assert_close(totals[0], totals[1])
    torch.testing.assert_close(guide.head.linear.weight.grad, plain.head.linear.weight.grad)


@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_full_inertia_depends_on_the_first_frame_alone(alpha: float) -> None:
    guide, x = inertial(1.0, alpha=alpha), make_clips(3, 5)
    z = pyrodis.encode(guide, x)["z"]
    torch.testing.assert_close(z, z[:, :1].expand_as(z))
    other = torch.cat([x[:, :1], make_clips(3, 4, seed=9)], 1)
    torch.testing.assert_close(pyrodis.encode(guide, other)["z"], z)
    changed = torch.cat([make_clips(3, 1, seed=9), x[:, 1:]], 1)
    assert bool((pyrodis.encode(guide, changed)["z"] != z).all())


def test_inertia_keeps_straight_lines_once_it_follows_them() -> None:
    """A code that moves at constant speed is predicted without error, apart from the start from rest."""
    line = torch.arange(12.0, dtype=torch.float64)
    loc = inertial(0.5).weights(12) @ line
    assert torch.allclose(loc[-4:], line[-4:], atol=0.1)
    assert bool((inertial(0.5, alpha=0.0).weights(12)[-1] @ line) < line[-1] - 0.9)


def test_a_learned_alpha_gets_a_gradient() -> None:
    guide = inertial(0.5, learn_alpha=True)
    guide(make_clips(2, 4))["z"].sum().backward()
    assert float(guide.extrapolation.grad) != 0
    assert not inertial(0.5).extrapolation.requires_grad


def test_the_autoencoder_trains_without_its_prior() -> None:
    """With beta = 0 the decoder fits the clips and nothing of the prior is learned."""
    torch.manual_seed(0)
    model = BetaVAE(ConvDecoder(D, FRAME, base_channels=2), DynamicsPrior(D), NormalPixels(), D, num_frames=4)
    guide, x = DeltaGuide(ConvEncoder(FRAME, 4, base_channels=2), D), make_clips(6).float()
    raw = model.prior.raw.detach().clone()
    settings = FitSettings(num_epochs=3, batch_size=3, device="cpu", learning_rate=1e-2, kl_weights={"z": 0.0})
    history = pyrodis.fit(model, guide, x, settings=settings)
    assert history.column("train_nll")[-1] < history.column("train_nll")[0]
    assert history.column("train_total")[-1] == history.column("train_nll")[-1]
    assert torch.equal(model.prior.raw, raw)
    z = pyrodis.encode(guide, x)["z"]
    assert torch.equal(z, pyrodis.encode(guide, x, num_samples=2)["z"][1])
    assert pyrodis.reconstruct(model, guide, x).shape == x.shape


@pytest.mark.parametrize("num_frames", [1, 2])
def test_one_and_two_frames_are_valid(num_frames: int) -> None:
    x = make_clips(2, num_frames).float()
    for name, make in DYNAMIC_PAIRS.items():
        model, guide = make()
        if not isinstance(model, DelayedVAE):
            terms = NamedELBO().terms(model, guide, x)
            assert bool(terms.total.isfinite()), name
            assert pyrodis.encode(guide, x)["z"].shape == (2, num_frames, getattr(guide, "dynamic_dim", D))


def test_delayed_frames_come_from_the_code_before() -> None:
    torch.manual_seed(0)
    model = DelayedVAE(ConvDecoder(D, FRAME, base_channels=2), StandardPrior(D), NormalPixels(), D).double().eval()
    z = random(2, 5, D)
    frames = pyrodis.decode(model, {"z": z})
    expected = model.decoder(torch.cat([z[:, :1], z[:, :1], z[:, 1:4]], 1)).sigmoid()
    torch.testing.assert_close(frames, expected)


def test_priors_start_where_they_are_told() -> None:
    prior = DynamicsPrior(3, initial_eigenvalue=0.97)
    torch.testing.assert_close(prior.eigenvalues, torch.full((3,), 0.97))
    torch.testing.assert_close(LinearDynamicsPrior(3, 0.97).transition, 0.97 * torch.eye(3), rtol=2e-5, atol=1e-6)
    torch.testing.assert_close(DynamicsPrior(3, scale=2.0)(4).variance, torch.full((4, 3), 4.0))


def test_eigenvalues_move_by_steps_of_the_optimizer() -> None:
    """From 0.9 to past 0.9999 in a few hundred steps of Adam at 1e-3, where the gradient always says so."""
    prior = DynamicsPrior(2)
    optimizer = torch.optim.Adam(prior.parameters(), lr=1e-3)
    z = torch.ones(8, 2)
    for _ in range(450):
        optimizer.zero_grad()
        (-prior(8).log_prob(z)).backward()
        optimizer.step()
    assert bool((prior.eigenvalues > 0.9999).all())
    assert bool(prior.raw.isfinite().all())


@pytest.mark.parametrize("learn_scale", [False, True])
def test_a_learned_scale_keeps_eigenvalues_from_paying_for_wide_codes(learn_scale: bool) -> None:
    """Codes three times as wide as s: with a learned s the eigenvalue is their correlation, with a fixed one less."""
    torch.manual_seed(0)
    z = GaussMarkovNormal(torch.zeros(20, 1), torch.full((20, 1), 3.0), torch.full((19, 1), 0.98)).sample((2000,))
    prior = DynamicsPrior(1, learn_scale=learn_scale)
    optimizer = torch.optim.LBFGS(prior.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = -prior(20).log_prob(z).mean()
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]
    found = float(prior.eigenvalues.detach())
    if learn_scale:
        assert found == pytest.approx(0.98, abs=0.002)
        assert float(prior.log_scale.detach().exp()) == pytest.approx(3.0, rel=0.05)
    else:
        assert found < 0.95


@pytest.mark.parametrize("size", [1e-3, 1.0, 30.0, 1e3])
@pytest.mark.parametrize("kind", TRANSITIONS, ids=lambda kind: kind.__name__)
def test_any_output_of_a_network_is_a_normal(kind: Any, size: float) -> None:
    """Single precision: finite draws, densities and gradients whatever the raw outputs are."""
    torch.manual_seed(0)
    transition = kind(4, 3, 6)
    with torch.no_grad():
        transition.network.output.weight.mul_(size)
    features = torch.randn(16, 6, 4)
    posterior, told = transition(features, torch.zeros(16, 6, 3), torch.ones(16, 6, 3))
    z = posterior.rsample()
    posterior.log_prob(z.detach()).sum().backward()
    assert bool(z.isfinite().all())
    assert all(bool(value.isfinite().all()) for value in told.values())
    assert all(bool(p.grad.isfinite().all()) for p in transition.parameters())


def test_a_contraction_stays_below_one_in_single_precision() -> None:
    torch.manual_seed(0)
    raw = torch.randn(200, 4, 4) * 10 ** torch.empty(200, 1, 1).uniform_(-3, 5)
    transition = contraction(raw)
    noise = torch.eye(4) - transition @ transition.mT
    assert int(torch.linalg.cholesky_ex(noise).info.sum()) == 0
    assert contraction(raw.bfloat16()).dtype == torch.float32


def structured(**rest: Any) -> StructuredGuide:
    return StructuredGuide(ConvEncoder(FRAME, 4, base_channels=2), D, hidden_dim=3, **rest)


EYE = torch.eye(2)
BAD: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "transition of other features": (
        lambda: structured(transition=DiagonalTransition(5, D)),
        ValueError,
        "transition.feature_dim must be 4, as the guide's, got 5",
    ),
    "transition of another size": (
        lambda: structured(transition=BasisTransition(4, 3)),
        ValueError,
        "transition.dynamic_dim must be 2, as the guide's, got 3",
    ),
    "transition by name": (lambda: structured(transition="dense"), TypeError, "transition must be a module such as"),
    "size 0": (lambda: DiagonalTransition(4, 0), ValueError, "dynamic_dim must be a positive whole number, got 0"),
    "latent_dim": (lambda: MeanFieldGuide(ConvEncoder(FRAME, 4, 2), 0), ValueError, "latent_dim must be a positive"),
    "gamma": (lambda: inertial(1.5), ValueError, "gamma must be a finite number between 0 and 1, got 1.5"),
    "gamma of text": (lambda: inertial("half"), TypeError, "gamma must be a number, got 'half'"),
    "alpha": (lambda: inertial(0.5, alpha=float("nan")), ValueError, "alpha must be a finite number, got nan"),
    "eigenvalue 1": (lambda: DynamicsPrior(2, 1.0), ValueError, "initial_eigenvalue must be above -1 and below 1"),
    "eigenvalue of text": (
        lambda: InformationGuide(Pixels(), 2, "x"),
        TypeError,
        "initial_eigenvalue must be a number",
    ),
    "gain": (lambda: DynamicsPrior(2, gain=0.0), ValueError, "gain must be a finite number above 0, got 0.0"),
    "decoder": (
        lambda: BetaVAE(ConvDecoder(3, FRAME, 2), StandardPrior(2), NormalPixels(), 2),
        ValueError,
        "decoder.code_dim must be latent_dim = 2, got 3",
    ),
    "prior": (
        lambda: BetaVAE(ConvDecoder(2, FRAME, 2), StandardPrior(3), NormalPixels(), 2),
        ValueError,
        "prior.dynamic_dim must be latent_dim = 2, got 3",
    ),
    "nothing": (lambda: linear_model()(), ValueError, "pass clips x, or batch_size"),
    "short model": (
        lambda: DelayedVAE(ConvDecoder(2, FRAME, 2), StandardPrior(2), NormalPixels(), 2, num_frames=2),
        ValueError,
        "num_frames must be 3 or more",
    ),
    "short clips": (
        lambda: DYNAMIC_PAIRS["DelayedVAE-InertialGuide"]()[0](torch.zeros(2, 2, *FRAME)),
        ValueError,
        "T of x must be 3 or more, since the third frame is the first that is scored, got 2; use BetaVAE",
    ),
    "not square": (
        lambda: LinearGaussianDynamics(torch.ones(2, 3), torch.ones(4, 2)),
        ValueError,
        r"transition must have shape \(D, D\) with the D = 2 columns of emission, got \(2, 3\)",
    ),
    "norm 1": (
        lambda: LinearGaussianDynamics(EYE, torch.ones(4, 2)),
        ValueError,
        "transition must have a spectral norm below 1, got 1; pass the covariance",
    ),
    "covariance": (
        lambda: LinearGaussianDynamics(EYE, torch.ones(4, 2), -EYE),
        ValueError,
        "process_covariance must be symmetric and positive definite",
    ),
    "shape of the covariance": (
        lambda: LinearGaussianDynamics(0.5 * EYE, torch.ones(4, 2), None, torch.eye(3)),
        ValueError,
        r"initial_covariance must have shape \(D, D\) = \(2, 2\), got \(3, 3\)",
    ),
    "pixels": (
        lambda: LinearGaussianDynamics(0.5 * EYE, torch.ones(4, 2), frame_shape=(1, 3, 3)),
        ValueError,
        r"frame_shape must be \(C, H, W\) of 4 pixels",
    ),
    "all hidden": (
        lambda: linear_model().log_evidence(clips(2), torch.zeros(NUM_FRAMES, dtype=torch.bool)),
        ValueError,
        "shown must leave at least one frame to see",
    ),
    "mask": (
        lambda: linear_model().exact_posterior(clips(2), torch.ones(4, dtype=torch.bool)),
        ValueError,
        r"shown must have shape \(T\) or \(B, T\) = \(2, 5\), got \(4,\)",
    ),
    "no frames": (lambda: linear_model().prior(0), ValueError, "num_frames must be a positive whole number, got 0"),
    "matrix": (
        lambda: LinearGaussianDynamics([[0.9]], torch.ones(4, 1)),  # type: ignore[arg-type]
        TypeError,
        r"transition must be a matrix, a floating-point tensor, got \[\[0.9\]\]",
    ),
    "matrix with NaN": (
        lambda: LinearGaussianDynamics(EYE * float("nan"), torch.ones(4, 2)),
        ValueError,
        "transition must be finite, got nan in it",
    ),
    "contraction": (lambda: contraction(torch.ones(2, 3)), ValueError, r"raw must have shape \(\.\.\., n, n\)"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    action, error, match = BAD[case]
    with pytest.raises(error, match=match):
        action()


def test_the_unstable_chain_is_valid_with_its_own_noise() -> None:
    model = LinearGaussianDynamics(EYE, torch.ones(4, 2), 0.1 * EYE)
    assert model(batch_size=2)["z"].shape == (2, 8, 2)
    assert chain_precision(EYE, 0.1 * EYE, EYE, 1)[0].shape == (1, 2, 2)
    assert make_pair()[0](batch_size=1)["z"].ndim == 3
