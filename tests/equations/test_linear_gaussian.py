"""The linear-Gaussian sequence, its posterior and evidence, and the gaps of factorizations, against dense algebra."""

from __future__ import annotations

import math

import pyro
import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from pyrodis.infer.gaps import best_autoregression, best_means, factorization_gaps, make_problem
from pyrodis.models import StationaryPrior
from tests.linear_gaussian import PATTERN, T, draw, make_model

patterns = pytest.mark.parametrize("shown", [None, PATTERN], ids=["all frames", "hidden frames"])


def test_stationary_prior_density_and_draws() -> None:
    prior, z = StationaryPrior(2, 0.8).double(), torch.randn(3, 5, 2, dtype=torch.float64)
    expected = Normal(0, 1).log_prob(z[:, 0]).sum(-1)
    for t in range(1, 5):
        expected = expected + Normal(0.8 * z[:, t - 1], math.sqrt(1 - 0.8**2)).log_prob(z[:, t]).sum(-1)
    torch.testing.assert_close(prior(5).log_prob(z), expected)
    torch.manual_seed(0)
    drawn = prior(5).rsample((20000,))
    frames = torch.arange(5)
    correlation = 0.8 ** (frames[:, None] - frames).abs()
    for d in range(2):
        torch.testing.assert_close(drawn[..., d].T.cov(), correlation.double(), rtol=0, atol=0.05)


def joint(model: torch.nn.Module, x: Tensor, f: Tensor, z: Tensor) -> Tensor:
    """Log p(x, f, z) of one clip, written out."""
    a, total = model.autocorrelation, Normal(0, 1).log_prob(f).sum()
    for t in range(len(z)):
        prior = Normal(0.0, 1.0) if t == 0 else Normal(a * z[t - 1], math.sqrt(1 - a * a))
        loc = 0.5 + model.static_weight @ f + model.dynamic_weight @ z[t]
        total = total + prior.log_prob(z[t]).sum() + Normal(loc, 0.7).log_prob(x[t].flatten()).sum()
    return total


def test_linear_gaussian_sequence_joint_density() -> None:
    model = make_model()
    x, latents = draw(model, 1), {"f": torch.randn(1, 2).double(), "z": torch.randn(1, T, 2).double()}
    trace = pyro.poutine.trace(pyro.poutine.condition(model, data=latents)).get_trace(x)
    torch.testing.assert_close(trace.log_prob_sum(), joint(model, x[0], latents["f"][0], latents["z"][0]))


def test_linear_gaussian_posterior_is_the_normal_of_the_joint() -> None:
    """Its precision is minus the Hessian of the joint density in the codes, and its mean has a zero gradient."""
    model = make_model()
    x = draw(model, 1)
    loc, covariance = model.posterior(x)

    def of_codes(codes: Tensor) -> Tensor:
        return joint(model, x[0], codes[:2], codes[2:].reshape(T, 2))

    hessian = torch.autograd.functional.hessian(of_codes, loc[0])
    torch.testing.assert_close(torch.linalg.inv(-hessian), covariance)
    gradient = torch.autograd.functional.jacobian(of_codes, loc[0])
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-9)


@patterns
def test_linear_gaussian_evidence_by_bayes(shown: Tensor | None) -> None:
    """Log p(x) = log p(x | u) + log p(u) - log p(u | x) at any codes u."""
    model = make_model()
    x, codes = draw(model, 3), torch.randn(2 + 2 * T).double()
    loc, covariance = model.posterior(x, shown)
    prior = MultivariateNormal(torch.zeros_like(codes), model.prior_covariance(T)).log_prob(codes)
    pixels = Normal(0.5 + model.design(T) @ codes, 0.7).log_prob(x.flatten(1)).reshape(3, T, -1).sum(-1)
    likelihood = (pixels if shown is None else pixels[:, shown]).sum(-1)
    expected = likelihood + prior - MultivariateNormal(loc, covariance).log_prob(codes)
    torch.testing.assert_close(model.log_evidence(x, shown), expected)


@patterns
@pytest.mark.parametrize("autocorrelation", [0.0, 0.8])
def test_factorization_gaps_are_least_expected_kls(autocorrelation: float, shown: Tensor | None) -> None:
    """KL of normals built factor by factor, by torch, from the best scales: the diagonal part of every gap."""
    model = make_model(autocorrelation)
    gaps = factorization_gaps(model, T, shown)
    _, covariance = model.posterior(draw(model, 1), shown)
    n = len(covariance)
    center = torch.zeros(n, dtype=torch.float64)
    posterior = MultivariateNormal(center, covariance)

    def from_factors(sees: dict[int, tuple[list[int], list[int]]]) -> float:
        """KL of the normal whose code i has the posterior's regression on the codes that it sees.

        Its scale is that of code i given those and the others of its block.
        """
        feedback, scales = torch.zeros(n, n).double(), torch.zeros(n).double()
        for i, (seen, block) in sees.items():
            if seen:
                feedback[i, seen] = torch.linalg.solve(covariance[seen][:, seen], covariance[seen, i])
            both = [*seen, *block]
            scales[i] = torch.linalg.inv(covariance[both][:, both])[both.index(i), both.index(i)].rsqrt()
        mixing = torch.linalg.inv(torch.eye(n).double() - feedback)
        q = MultivariateNormal(center, mixing @ scales.square().diag() @ mixing.mT)
        return float(kl_divergence(q, posterior))

    static, dynamic = [0, 1], [*range(2, n)]
    full = {i: ([*range(i - i % 2)], [i - i % 2, i - i % 2 + 1]) for i in range(n)}
    smoothing = {i: ([], static) if i < 2 else (static, dynamic) for i in range(n)}
    mean_field = {i: ([], [*range(n)]) for i in range(n)}
    assert gaps["full"] == pytest.approx(from_factors(full), abs=1e-9)
    assert gaps["smoothing"] == pytest.approx(from_factors(smoothing), abs=1e-9)
    assert gaps["mean_field"] == pytest.approx(from_factors(mean_field), abs=1e-9)
    ordered = [gaps[name] for name in ("full", "smoothing", "mean_field", "frame_wise")]
    assert all(a <= b + 1e-12 for a, b in zip(ordered, ordered[1:]))
    assert gaps["full"] <= gaps["factorized"] <= gaps["frame_wise"]


@patterns
def test_who_sees_what(shown: Tensor | None) -> None:
    """Two static codes, then two a frame; three pixels a shown frame."""
    problem = make_problem(make_model(), T, shown)
    frames = [t for t in range(T) if shown is None or shown[t]]
    assert problem.sees_pixels.shape == (2 + 2 * T, 3 * len(frames))
    assert problem.sees_pixels[:2].all()
    assert not problem.sees_codes[:2].any()
    for i in range(2 * T):
        assert problem.sees_pixels[2 + i].tolist() == [frames[j // 3] == i // 2 for j in range(3 * len(frames))]
        assert problem.sees_codes[2 + i].tolist() == [False] * 2 + [j // 2 < i // 2 for j in range(2 * T)]


def expected_kl(problem: object, feedback: Tensor, means: Tensor, log_scale: Tensor, n_pixels: int) -> Tensor:
    """E KL(q || p) from the joint covariance of pixels and codes, another way than the library's."""
    precision = problem.precision  # type: ignore[attr-defined]
    n = len(precision)
    mixing = torch.linalg.inv(torch.eye(n).double() - feedback)
    # u - A x as a linear map of independent unit noise: the pixels' (whitened) and the codes' own.
    root = torch.linalg.cholesky(problem.pixel_covariance)  # type: ignore[attr-defined]
    of_noise = torch.cat([(mixing @ means - problem.regression) @ root, mixing * log_scale.exp()], 1)  # type: ignore[attr-defined]
    quadratic = (torch.linalg.cholesky(precision).mT @ of_noise).square().sum()
    return 0.5 * (quadratic - n - torch.logdet(precision)) - log_scale.sum()


@patterns
@pytest.mark.parametrize("name", ["frame_wise", "factorized"])
def test_gaps_of_restricted_means_are_stationary_points(name: str, shown: Tensor | None) -> None:
    """At the optimum the gradient is 0 in every number that a guide may choose, and is not in those it may not."""
    model = make_model(0.8)
    problem = make_problem(model, T, shown)
    feedback = torch.zeros_like(problem.precision)
    if name == "factorized":
        feedback = best_autoregression(problem)[1]
    _, means, scale = best_means(feedback, problem)
    leaves = [value.clone().requires_grad_() for value in (feedback, means, scale.log())]
    value = expected_kl(problem, *leaves, means.shape[1])
    assert value.item() == pytest.approx(factorization_gaps(model, T, shown)[name], abs=1e-8)
    of_feedback, of_means, of_scale = torch.autograd.grad(value, leaves)
    assert float(of_scale.abs().max()) < 1e-8
    assert float(of_means[problem.sees_pixels].abs().max()) < 1e-8
    assert float(of_means[~problem.sees_pixels].abs().max()) > 1e-3
    if name == "factorized":
        assert float(of_feedback[problem.sees_codes].abs().max()) < 1e-5
    assert not (means != 0)[~problem.sees_pixels].any()


def test_the_descent_finds_no_better_point_from_other_starts() -> None:
    problem = make_problem(make_model(0.8), T)
    best, feedback = best_autoregression(problem)
    torch.manual_seed(0)
    for size in (1e-3, 1e-1):
        moved = feedback + size * torch.randn_like(feedback) * problem.sees_codes
        assert float(best_means(moved, problem)[0]) > float(best)


def test_the_smoothing_guide_is_exact_when_frames_are_independent_and_codes_are_numbers() -> None:
    independent = factorization_gaps(make_model(0.0, 1, 1), T)
    assert independent["full"] == pytest.approx(0, abs=1e-9)
    assert independent["smoothing"] == pytest.approx(0, abs=1e-9)
    assert independent["mean_field"] > 0.01
    dependent = factorization_gaps(make_model(0.8, 1, 1), T)
    assert dependent["full"] == pytest.approx(0, abs=1e-9)
    assert dependent["smoothing"] > 0.01
