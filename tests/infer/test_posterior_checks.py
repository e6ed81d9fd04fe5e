"""Checks of posteriors on every kind of pair: shapes, what is left out, what is left alone, and bad input."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pyro
import pytest
import torch
from torch import nn

import pyrodis
from pyrodis.distributions import LaplaceTransition
from pyrodis.guides import DeltaGuide, EigenvalueGuide, SmoothingGuide
from pyrodis.infer import (
    NamedELBO,
    amortization_gap,
    interval_coverage,
    latent_kl,
    pareto_khat,
    posterior_correlation,
    score_shown_frames,
    simulation_based_calibration,
)
from pyrodis.infer.calibration import rank_p_values
from pyrodis.infer.elementwise_kl import elementwise_kl
from pyrodis.infer.pareto import khat_of_weights
from pyrodis.infer.simulation import simulated_ranks
from pyrodis.models import BetaVAE, EigenvalueVAE, LaplaceEigenvalues, MixtureStartPrior, NormalPixels, StandardPrior
from pyrodis.nn import ConvDecoder, ConvEncoder
from tests import components
from tests.linear_gaussian import PATTERN, ExactGuide, LinearGuide, T, draw, make_model
from tests.pairs import DYNAMIC_PAIRS, FRAME, make_clips, make_pair

MODEL = make_model()
GUIDE = LinearGuide(MODEL)
X = draw(MODEL, 3)


def eigenvalue_pair() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    prior = LaplaceEigenvalues(2)
    model = EigenvalueVAE(ConvDecoder(2, FRAME, base_channels=2), prior, NormalPixels(), 2, num_frames=T)
    return model.eval(), EigenvalueGuide(ConvEncoder(FRAME, 4, base_channels=2), 2, hidden_dim=4).eval()


def test_calibration_of_an_exact_guide_where_frames_are_hidden() -> None:
    """The joint density of truth and draws leaves out the same frames."""
    model = score_shown_frames(MODEL, PATTERN)
    ranks = simulated_ranks(model, ExactGuide(MODEL, PATTERN), 300, 19, with_joint=True)
    p_values = rank_p_values(ranks["log_joint"].unsqueeze(-1), 19, 10)
    assert float(p_values.min()) > 1e-3


def test_a_pair_with_components() -> None:
    model, guide = components.make_pair()
    x = components.make_images()
    num, size = components.K, components.D
    assert simulated_ranks(model, guide, 4, 9, with_joint=True)["z"].shape == (4, num, size)
    kl = latent_kl(model, guide, x)["z"]
    assert kl.exact
    assert kl.values.shape == (len(x), num, size)
    torch.testing.assert_close(kl.values.sum(-1), pyrodis.infer.component_kl(model, guide, x))
    assert pareto_khat(model, guide, x, 100).shape == (len(x),)
    assert amortization_gap(model, guide, x, num_steps=3, num_samples=4).gap.shape == (len(x),)
    with pytest.raises(ValueError, match=r"site 'z' must be a sequence of event shape \(T, D\)"):
        posterior_correlation(guide, x, num_samples=5)


def test_a_pair_with_bounded_codes() -> None:
    """Eigenvalues lie between -1 and 1: they are refined there, and their KL is an average with an error."""
    (model, guide), x = eigenvalue_pair(), make_clips().float()
    found = amortization_gap(model, guide, x, num_steps=30, num_particles=8)
    assert float((found.gap - 3 * found.error).min()) > 0
    kl = latent_kl(model, guide, x, num_samples=200)["eigenvalues"]
    assert kl.values.shape == (3, T - 1, 2)
    assert not kl.exact
    torch.manual_seed(0)
    terms = [NamedELBO().terms(model, guide, x).values["kl_eigenvalues"].detach() for _ in range(200)]
    mean, error = torch.stack(terms).mean(), torch.stack(terms).std() / math.sqrt(200)
    assert abs(float(kl.values.sum((1, 2)).mean() - mean)) < 6 * float(error)
    assert simulated_ranks(model, guide, 4, 9)["eigenvalues"].shape == (4, T - 1, 2)


@pytest.mark.parametrize("name", ["BetaVAE-RotationTransition", "DSVAE-DenseTransition", "BetaVAE-FullGuide"])
def test_every_check_runs_on_dynamic_pairs(name: str) -> None:
    torch.manual_seed(0)
    (model, guide), x = DYNAMIC_PAIRS[name](), make_clips().float()
    before = {key: value.clone() for key, value in [*model.state_dict().items(), *guide.state_dict().items()]}
    assert pareto_khat(model, guide, x, 100).shape == (3,)
    gap = amortization_gap(model, guide, x, num_steps=3, num_samples=5)
    torch.testing.assert_close(gap.refined - gap.elbo, gap.gap)
    assert simulation_based_calibration(model, guide, 20, 9, num_bins=2).ranks["z"].shape == (20, T, 2)
    assert 0 <= interval_coverage(model, guide, num_simulations=10, num_draws=19)["z/0.9"].value <= 1
    kl = latent_kl(model, guide, x)
    assert kl["z"].values.shape == (3, T, 2)
    assert posterior_correlation(guide, x, num_samples=20).shape == (3, 2, T, T)
    assert model.training
    assert guide.training
    after = dict([*model.state_dict().items(), *guide.state_dict().items()])
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert all(parameter.grad is None for program in (model, guide) for parameter in program.parameters())


def test_mixtures_and_laplace_steps_are_split() -> None:
    """Their elements add up to the densities; the mixture's by conditioning on the dimensions before."""
    torch.manual_seed(0)
    prior = MixtureStartPrior(2, hidden_dim=4, num_starts=3)(T)
    q = pyro.distributions.Normal(torch.randn(T, 2), 0.5).to_event(2)
    laplace = LaplaceTransition(T, 2, torch.tensor([2.0, 5.0]))
    value = q.sample()
    terms, exact = elementwise_kl(q, prior, value)
    torch.testing.assert_close(terms.sum(), prior.conditional_kl(q, value))
    assert not exact
    terms, exact = elementwise_kl(q, laplace, value)
    torch.testing.assert_close(terms.sum(), torch.distributions.kl_divergence(q, laplace))
    assert exact


def test_weights_and_penalties_are_left_out() -> None:
    model, guide = make_pair()
    x = make_clips()
    wrapped = [pyrodis.scale_latents(program, {"f": 8.0}) for program in (model, guide)]
    wrapped[1] = pyrodis.add_penalty(wrapped[1], "far", lambda output: output["z"].sum((-1, -2)), 5.0, side="guide")
    checks: list[Callable[..., torch.Tensor]] = [
        lambda *pair: pareto_khat(*pair, x, 100),
        lambda *pair: amortization_gap(*pair, x, num_steps=2, num_samples=4).gap,
        lambda *pair: latent_kl(*pair, x)["f"].values,
        lambda *pair: simulated_ranks(*pair, 5, 9, with_joint=True)["log_joint"],
    ]
    for check in checks:
        torch.manual_seed(0)
        plain = check(model, guide)
        torch.manual_seed(0)
        torch.testing.assert_close(check(*wrapped), plain)


def test_simulations_leave_the_generator_alone_and_repeat() -> None:
    state = torch.random.get_rng_state()
    first, again = (simulated_ranks(MODEL, GUIDE, 7, 5, batch_size=3, chunk_size=2, seed=4) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in ("f", "z"))
    assert int(first["z"].max()) <= 5
    assert not torch.equal(first["z"], simulated_ranks(MODEL, GUIDE, 7, 5, batch_size=3, chunk_size=2)["z"])


def test_calibration_as_plain_values() -> None:
    found = simulation_based_calibration(MODEL, ExactGuide(MODEL), 20, 9, num_bins=2).as_dict()
    assert set(found) == {
        *("p_value", "p_value_f", "p_value_z", "p_value_log_joint"),
        *("num_simulations", "num_draws", "num_bins"),
    }
    assert (found["num_simulations"], found["num_draws"], found["num_bins"]) == (20, 9, 2)


def test_khat_at_the_edges() -> None:
    torch.manual_seed(0)
    weights = torch.randn(100, 1).double()
    assert float(khat_of_weights(torch.cat([weights[:-1], torch.tensor([[-math.inf]])]))) < 1  # a draw without support
    assert float(khat_of_weights(torch.full((100, 1), -math.inf))) == math.inf
    assert float(khat_of_weights(torch.cat([torch.zeros(98, 1), torch.tensor([[50.0], [60.0]])]))) == math.inf
    torch.testing.assert_close(khat_of_weights(weights - 700), khat_of_weights(weights))


def test_codes_that_hear_of_others_have_no_closed_correlation() -> None:
    """Given f the frames of a smoothing guide are independent; with f drawn they are not."""
    guide = SmoothingGuide(ConvEncoder(FRAME, 4, base_channels=2), 3, 2, hidden_dim=4)
    with pytest.raises(ValueError, match=r"'z' depends on draws of other sites, .* pass num_samples=1000"):
        posterior_correlation(guide, make_clips().float())
    alone = SmoothingGuide(ConvEncoder(FRAME, 4, base_channels=2), None, 2, hidden_dim=4)
    torch.testing.assert_close(posterior_correlation(alone, make_clips().float()), torch.eye(T).expand(3, 2, T, T))


class Silent(nn.Module):
    """A guide without latent sites."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {}


def delta_pair() -> tuple[nn.Module, nn.Module]:
    model = BetaVAE(ConvDecoder(2, FRAME, base_channels=2), StandardPrior(2), NormalPixels(), 2, T)
    return model, DeltaGuide(ConvEncoder(FRAME, 4, base_channels=2), 2)


CLIPS = make_clips().float()
CASES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "few draws": (lambda: pareto_khat(MODEL, GUIDE, X, 99), ValueError, "at least 100, got 99: fewer draws than PSIS"),
    "half a draw": (
        lambda: pareto_khat(MODEL, GUIDE, X, 1e3),
        TypeError,
        "num_samples must be a positive whole number",
    ),
    "weights of one clip": (lambda: khat_of_weights(torch.zeros(200)), ValueError, r"shape \(N, B\), got \(200,\)"),
    "weights as a list": (lambda: khat_of_weights([0.0]), TypeError, "must be a floating-point tensor, got list"),
    "NaN weights": (
        lambda: khat_of_weights(torch.tensor([0.0, math.nan]).expand(100, 2)),
        ValueError,
        "must not hold NaN, got some in column 1",
    ),
    "ranks of text": (lambda: rank_p_values("ranks", 99), TypeError, "int64 tensor .* got str"),
    "ranks as floats": (lambda: rank_p_values(torch.rand(100, 1), 99), TypeError, r"got torch.float32 \(100, 1\)"),
    "rank above L": (lambda: rank_p_values(torch.full((100, 1), 100), 99), ValueError, "from 0 to num_draws = 99"),
    "few weights": (lambda: khat_of_weights(torch.zeros(50, 2)), ValueError, "at least 100, got 50"),
    "clips of rank 4": (lambda: pareto_khat(MODEL, GUIDE, X[0]), ValueError, r"x must have shape \(B, T, C, H, W\)"),
    "no sites, k-hat": (lambda: pareto_khat(MODEL, Silent(), X), ValueError, "at least one latent site, got none in S"),
    "no sites, KL": (lambda: latent_kl(MODEL, Silent(), X), ValueError, "at least one latent site"),
    "no sites, ranks": (lambda: simulated_ranks(MODEL, Silent(), 3, 5), ValueError, "at least one latent site"),
    "no sites, gap": (lambda: amortization_gap(MODEL, Silent(), X), ValueError, "at least one latent site"),
    "another model's sites": (
        lambda: interval_coverage(delta_pair()[0], make_pair()[1].float(), num_simulations=3),
        ValueError,
        r"the same latent sites, got \['z'\] and \['f', 'z'\]; pair them anew",
    ),
    "level of 1": (lambda: interval_coverage(MODEL, GUIDE, (0.5, 1.0)), ValueError, "between 0 and 1, got 1.0"),
    "level of 90": (lambda: interval_coverage(MODEL, GUIDE, (90,)), ValueError, "between 0 and 1, got 90; 0.9 is"),
    "level of 0": (lambda: interval_coverage(MODEL, GUIDE, (0.0,)), ValueError, "between 0 and 1, got 0.0"),
    "level of NaN": (lambda: interval_coverage(MODEL, GUIDE, (math.nan,)), ValueError, "between 0 and 1, got nan"),
    "one level": (lambda: interval_coverage(MODEL, GUIDE, 0.5), TypeError, "levels must be a list of numbers, got 0.5"),
    "no level": (lambda: interval_coverage(MODEL, GUIDE, ()), ValueError, "at least one level, got none"),
    "draws of a level": (
        lambda: interval_coverage(MODEL, GUIDE, (0.99,), num_draws=99),
        ValueError,
        "num_draws must be at least 199 for an interval of level 0.99, got 99",
    ),
    "bins": (
        lambda: simulation_based_calibration(MODEL, GUIDE, 100, 100),
        ValueError,
        r"num_bins must be at least 2 and divide num_draws \+ 1 = 101, got 20",
    ),
    "one bin": (
        lambda: simulation_based_calibration(MODEL, GUIDE, num_bins=1),
        ValueError,
        "num_bins must be at least 2 .* got 1",
    ),
    "few simulations": (
        lambda: simulation_based_calibration(MODEL, GUIDE, 99),
        ValueError,
        "num_simulations must be at least 5 a bin = 100, got 99",
    ),
    "no simulations": (lambda: simulated_ranks(MODEL, GUIDE, 0, 9), ValueError, "num_simulations must be a positive"),
    "programs swapped": (
        lambda: simulated_ranks(GUIDE, MODEL, 3, 9),
        ValueError,
        "cannot run without x; pass the model, then the guide",
    ),
    "one draw of the KL": (lambda: latent_kl(MODEL, GUIDE, X, num_samples=1), ValueError, "at least 2, whose spread"),
    "one draw of the gap": (
        lambda: amortization_gap(MODEL, GUIDE, X, num_samples=1),
        ValueError,
        "at least 2, whose spread",
    ),
    "no steps": (lambda: amortization_gap(MODEL, GUIDE, X, num_steps=0), ValueError, "num_steps must be a positive"),
    "no rate": (lambda: amortization_gap(MODEL, GUIDE, X, learning_rate=0.0), ValueError, "learning_rate must be"),
    "gap of a point": (
        lambda: amortization_gap(*delta_pair(), CLIPS),
        ValueError,
        "site 'z' must vary under the guide, got a code without noise, such as DeltaGuide's",
    ),
    "KL of a point": (lambda: latent_kl(*delta_pair(), CLIPS), NotImplementedError, "Delta cannot be split"),
    "unknown site": (
        lambda: posterior_correlation(GUIDE, X, "w"),
        ValueError,
        r"site must name a latent site of the guide, \['f', 'z'\], got 'w'",
    ),
    "site without time": (lambda: posterior_correlation(GUIDE, X, "f"), ValueError, r"\(T, D\), got \(2,\)"),
    "two draws": (lambda: posterior_correlation(GUIDE, X, num_samples=2), ValueError, "at least 3 to tell a corr"),
    "correlation of a point": (
        lambda: posterior_correlation(delta_pair()[1], CLIPS, num_samples=5),
        ValueError,
        "site 'z' must vary under the guide",
    ),
    "correlation with feedback": (
        lambda: posterior_correlation(make_pair()[1], make_clips()),
        ValueError,
        "AutoregressiveNormal, whose covariance has no closed form; pass num_samples=1000",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name: str) -> None:
    do, error, match = CASES[name]
    with pytest.raises(error, match=match):
        do()
