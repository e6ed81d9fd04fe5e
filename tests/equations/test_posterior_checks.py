"""Tails of weights, calibration, coverage, divergences and correlations, against independent calculations."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pyro
import pytest
import torch
from pyro.distributions import MultivariateNormal
from scipy.stats import chisquare, genpareto, norm
from torch import Tensor, nn
from torch.distributions import kl_divergence

from pyrodis.distributions import BlockTridiagonalNormal, GaussMarkovNormal
from pyrodis.infer import (
    NamedELBO,
    amortization_gap,
    interval_coverage,
    latent_kl,
    pareto_khat,
    posterior_correlation,
    simulation_based_calibration,
)
from pyrodis.infer.calibration import _covered, _cut, rank_p_values
from pyrodis.infer.elementwise_kl import elementwise_kl
from pyrodis.infer.pareto import khat_of_weights
from pyrodis.infer.sites import get_trace, latent_sites
from pyrodis.models import LinearGaussianDynamics
from tests.linear_gaussian import ExactGuide, LinearGuide, T, draw, make_model, reshaped
from tests.pairs import DYNAMIC_PAIRS, every_pair, make_clips, make_pair

CHAIN = torch.tensor([[0.3, 0.8], [-0.8, 0.3]], dtype=torch.float64)  # turns, so that some correlations are negative
EMISSION = torch.tensor([[1.0, 0.5], [0.0, 1.0], [0.3, -0.4]], dtype=torch.float64)


def make_dynamics(num_frames: int = 4) -> LinearGaussianDynamics:
    return LinearGaussianDynamics(CHAIN, EMISSION, scale=0.8, num_frames=num_frames)


class DenseGuide(nn.Module):
    """The posterior of linear-Gaussian dynamics, its standard deviations multiplied by a width for every clip."""

    def __init__(self, model: LinearGaussianDynamics, width: Tensor | float = 1.0, prior: bool = False) -> None:
        super().__init__()
        self.model, self.width, self.prior = [model], torch.as_tensor(width, dtype=torch.float64), prior

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        exact = self.model[0].prior(x.shape[1]).expand([len(x)]) if self.prior else self.model[0].exact_posterior(x)
        width = (self.width[: len(x)] if self.width.ndim else self.width).expand(len(x))[:, None, None]
        normal = MultivariateNormal(exact.mean.flatten(1), exact.covariance_matrix * width**2)
        with pyro.plate("data", len(x), dim=-1):
            return {"z": pyro.sample("z", reshaped(normal, exact.event_shape))}


def arviz_khat(log_weights: np.ndarray) -> np.ndarray:
    """k-hat by ArviZ, of the series whose function this is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arviz = pytest.importorskip("arviz")
    if not hasattr(arviz, "psislw"):
        pytest.skip("this ArviZ has another function")
    return arviz.psislw(log_weights)[1]


@pytest.mark.parametrize("shape", [-0.3, 0.2, 0.6, 1.2])
def test_vehtari_tail_of_known_shape(shape: float) -> None:
    """Weights of a generalized Pareto distribution have its shape, which ArviZ finds as well."""
    weights = genpareto(shape).rvs((3, 20000), random_state=0)
    found = khat_of_weights(torch.as_tensor(np.log(weights)).mT)
    tail = 3 * math.sqrt(20000)
    assert float((found - shape).abs().max()) < 4 * (1 + abs(shape)) / math.sqrt(tail)
    np.testing.assert_allclose(found.numpy(), arviz_khat(np.log(weights)), rtol=1e-6)


def test_khat_of_guides_that_are_too_narrow_clip_by_clip() -> None:
    """One dimension, width s: weights exp((1 - s^2) e^2 / 2) have the shape 1 - s^2, reached from below."""
    model = LinearGaussianDynamics(torch.zeros(1, 1).double(), torch.ones(1, 1).double(), num_frames=1)
    x = draw(model, 4)
    widths = torch.tensor([0.2, 1.0, 0.3, 1.5])
    torch.manual_seed(0)
    narrow, exact, narrower, wide = pareto_khat(model, DenseGuide(model, widths), x, 4000).tolist()
    assert 0.7 < narrow < 1.3
    assert 0.7 < narrower < 1.3
    assert exact == -math.inf
    assert wide < 0


def test_cremer_amortization_gap_of_independent_normals() -> None:
    """Independent normals that are off: what refinement gains is their KL less the least of their family."""
    model = make_model()
    x = draw(model, 4)
    guide = LinearGuide(model, (1.2, 0.3))
    precision = torch.linalg.inv(model.posterior(x)[1])
    scale = torch.cat([torch.full((2,), 1.2), torch.full((2 * T,), 0.3)]).double()
    log_det = torch.linalg.slogdet(precision)[1]
    kl = 0.5 * ((precision.diagonal() * scale**2).sum() - len(scale) - log_det) - scale.log().sum()
    least = 0.5 * (precision.diagonal().log().sum() - log_det)
    torch.manual_seed(0)
    found = amortization_gap(model, guide, x, num_steps=150)
    expected = float(kl - least)
    assert expected > 2
    assert float((found.gap - expected).abs().max()) < 4 * float(found.error.max()) + 0.03 * expected
    assert float((model.log_evidence(x) - found.refined - least).mean()) == pytest.approx(0, abs=0.3)


def test_amortization_gap_of_a_mean_that_is_off() -> None:
    """The posterior itself, moved: half the squared distance in the posterior's metric is won back."""
    model = make_model()
    x = draw(model, 4)
    guide = ExactGuide(model, shift=0.4)
    precision = torch.linalg.inv(model.posterior(x)[1])
    torch.manual_seed(0)
    found = amortization_gap(model, guide, x, num_steps=150)
    expected = 0.5 * 0.16 * float(precision.sum())
    assert float((found.gap - expected).abs().max()) < 4 * float(found.error.max()) + 0.03 * expected
    assert amortization_gap(model, ExactGuide(model), x, num_steps=150).score().value == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("seed", [0, 1])
def test_chain_rule_of_relative_entropy_element_by_element(seed: int) -> None:
    """Dense chains: each term by conditioning on the elements before, in both normals."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    eye = torch.eye(2, dtype=torch.float64)
    factor = eye.expand(3, 2, 2) + random(3, 2, 2).tril(-1)
    q = BlockTridiagonalNormal.from_cholesky(random(3, 2), factor, random(2, 2, 2))
    p = GaussMarkovNormal(random(3, 2), random(3, 2).exp(), transition=0.3 * CHAIN.expand(2, 2, 2))
    terms, exact = elementwise_kl(q, p, q.rsample())
    assert exact
    torch.testing.assert_close(terms.sum(), kl_divergence(q, p))
    (loc, cov), (other_loc, other_cov) = ((fn.mean.flatten(), fn.covariance_matrix) for fn in (q, p))
    shift = loc - other_loc
    for i, term in enumerate(terms.flatten()):
        slopes = [torch.linalg.solve(c[:i, :i], c[:i, i]) for c in (cov, other_cov)]
        ours, theirs = (c[i, i] - c[i, :i] @ slope for c, slope in zip((cov, other_cov), slopes))
        between = slopes[0] - slopes[1]
        square = (shift[i] - shift[:i] @ slopes[1]) ** 2 + between @ cov[:i, :i] @ between
        expected = 0.5 * ((ours + square) / theirs - 1 - (ours / theirs).log())
        torch.testing.assert_close(term, expected)


def assert_terms_of_the_objective(model: Any, guide: Any, x: Tensor) -> None:
    """At one draw, the elements of every site's KL add up to the objective's term."""
    torch.manual_seed(0)
    terms = NamedELBO().terms(model, guide, x)
    torch.manual_seed(0)
    drawn = get_trace(guide, x)
    with pyro.poutine.replay(trace=drawn):
        scored = get_trace(model, x)
    for name, site in latent_sites(scored).items():
        ours = drawn.nodes[name]
        values, _ = elementwise_kl(ours["fn"], site["fn"], ours["value"])
        assert values.shape == ours["value"].shape
        torch.testing.assert_close(values.sum() / len(x), terms.values[f"kl_{name}"], rtol=1e-4, atol=1e-4)


@every_pair
def test_latent_kl_is_the_kl_of_the_objective(guide_class: type, prior_class: type) -> None:
    model, guide = make_pair(guide_class, prior_class)
    assert_terms_of_the_objective(model, guide, make_clips())
    torch.manual_seed(0)
    found = latent_kl(model, guide, make_clips(), num_samples=40)
    for name, kl in found.items():
        means = [NamedELBO().terms(model, guide, make_clips()).values[f"kl_{name}"] for _ in range(40)]
        wanted = torch.stack(means).detach()
        error = math.sqrt(float(kl.error.flatten(1).sum(1).square().sum()) / 9 + float(wanted.var()) / 40)
        assert abs(float(kl.values.flatten(1).sum(1).mean() - wanted.mean())) < 4 * error + 1e-9


@pytest.mark.parametrize("make", DYNAMIC_PAIRS.values(), ids=DYNAMIC_PAIRS.keys())
def test_latent_kl_of_every_dynamic_pair(make: Any) -> None:
    torch.manual_seed(0)
    model, guide = (program.eval() for program in make())
    assert_terms_of_the_objective(model, guide, make_clips().float())


def test_talts_ranks_of_the_exact_posterior() -> None:
    """Uniform for the posterior; at the ends if it is too narrow, and only the joint density sees the prior."""
    model = make_dynamics()
    checks = {
        name: simulation_based_calibration(model, guide, 300, 99, num_bins=10, batch_size=100)
        for name, guide in {
            "exact": DenseGuide(model),
            "halved": DenseGuide(model, 0.5),
            "prior": DenseGuide(model, prior=True),
        }.items()
    }
    exact, halved, prior = checks.values()
    assert exact.ranks["z"].shape == (300, 4, 2)
    assert exact.ranks["log_joint"].shape == (300,)
    assert exact.p_value > 0.01
    assert min(exact.site_p_values.values()) > 0.01
    assert halved.site_p_values["z"] < 1e-6
    assert halved.p_value < 1e-6
    outer = (halved.ranks["z"] < 10) | (halved.ranks["z"] >= 90)
    assert float(outer.double().mean()) == pytest.approx(2 * norm.cdf(0.5 * norm.ppf(0.1)), abs=0.03)
    assert prior.site_p_values["z"] > 0.01
    assert prior.site_p_values["log_joint"] < 1e-6


def test_chi_square_of_ranks() -> None:
    ranks = torch.randint(0, 20, (150, 3, 2), generator=torch.Generator().manual_seed(0))
    found = rank_p_values(ranks, num_draws=19, num_bins=5)
    for t in range(3):
        for d in range(2):
            counts = np.bincount(ranks[:, t, d].numpy() // 4, minlength=5)
            assert float(found[t, d]) == pytest.approx(chisquare(counts).pvalue, rel=1e-9)


def test_coverage_of_intervals_by_their_definition() -> None:
    """Of the posterior the level; of independent normals what their scale is worth against the posterior's."""
    model = make_model()
    levels = (0.5, 0.9)
    exact = interval_coverage(model, ExactGuide(model), levels, num_simulations=300, num_draws=39, batch_size=100)
    narrow = interval_coverage(
        model, LinearGuide(model, (0.15, 0.15)), levels, num_simulations=300, num_draws=199, batch_size=100
    )
    deviation = model.posterior(draw(model, 1))[1].diagonal().sqrt()
    for name, deviations in {"f": deviation[:2], "z": deviation[2:]}.items():
        for level in levels:
            score = exact[f"{name}/{level}"]
            assert abs(score.value - level) < 2 * (score.high - score.low)
            assert score.ceiling == level
            score = narrow[f"{name}/{level}"]
            quantile = norm.ppf((1 + level) / 2)
            expected = float(np.mean(2 * norm.cdf(quantile * 0.15 / deviations.numpy()) - 1))
            assert expected < level - 0.05
            assert abs(score.value - expected) < 2 * (score.high - score.low) + 0.005


@pytest.mark.parametrize("num_draws", [3, 4, 198, 199])
@pytest.mark.parametrize("level", [0.001, 0.2, 0.5])
def test_uniform_ranks_cover_any_level_exactly(num_draws: int, level: float) -> None:
    """Also where the interval is a part of the middle rank alone, which is cut on both sides then."""
    ranks = torch.arange(num_draws + 1).reshape(-1, 1)
    assert float(_covered(ranks, _cut(level, num_draws), num_draws).mean()) == pytest.approx(level)


def test_posterior_correlation_is_that_of_the_dense_covariance() -> None:
    model = make_dynamics()
    x = draw(model, 3)
    guide = BlockGuide(model)
    found = posterior_correlation(guide, x)
    covariance = model.exact_posterior(x).covariance_matrix
    for b in range(3):
        for d in range(2):
            part = covariance[b, d::2, d::2].numpy()
            scale = np.sqrt(np.diag(part))
            np.testing.assert_allclose(found[b, d].numpy(), part / np.outer(scale, scale), atol=1e-9)
    torch.manual_seed(0)
    estimate = posterior_correlation(DenseGuide(model), x, num_samples=4000)
    assert float((estimate - found).abs().max()) < 5 / math.sqrt(4000)


class BlockGuide(nn.Module):
    """The posterior of linear-Gaussian dynamics as the library writes it."""

    def __init__(self, model: LinearGaussianDynamics) -> None:
        super().__init__()
        self.model = [model]

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        with pyro.plate("data", len(x), dim=-1):
            return {"z": pyro.sample("z", self.model[0].exact_posterior(x))}
