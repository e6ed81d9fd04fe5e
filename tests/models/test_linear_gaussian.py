"""The linear-Gaussian sequence and the stationary prior: their contract, their moments, and bad input."""

from __future__ import annotations

from typing import Any

import pyro
import pytest
import torch

import pyrodis
from pyrodis.guides import FramewiseGuide
from pyrodis.infer.describe import build, describe
from pyrodis.infer.gaps import factorization_gaps
from pyrodis.models import (
    DSVAE,
    LinearGaussianDynamics,
    LinearGaussianSequence,
    NormalPixels,
    StandardPrior,
    StationaryPrior,
)
from pyrodis.nn import ConvDecoder, ConvEncoder
from pyrodis.testing import check_distribution, check_model_guide
from tests.linear_gaussian import PATTERN, T, draw, make_model

WEIGHTS = torch.full((64, 2), 0.01)


def test_keeps_the_contract_of_every_pair() -> None:
    def make() -> tuple[Any, Any]:
        torch.manual_seed(0)
        model = LinearGaussianSequence(WEIGHTS, WEIGHTS, scale=0.05, offset=0.5, frame_shape=(1, 8, 8))
        return model, FramewiseGuide(ConvEncoder((1, 8, 8), 4, base_channels=2), 2, 2, hidden_dim=4)

    check_model_guide(make, torch.rand(3, 5, 1, 8, 8))


def test_a_dsvae_with_a_stationary_prior_keeps_the_contract() -> None:
    def make() -> tuple[Any, Any]:
        torch.manual_seed(0)
        model = DSVAE(ConvDecoder(4, (1, 8, 8), base_channels=2), StationaryPrior(2, 0.9), NormalPixels(), 2, 2)
        return model, FramewiseGuide(ConvEncoder((1, 8, 8), 4, base_channels=2), 2, 2, hidden_dim=4)

    check_model_guide(make, torch.rand(3, 5, 1, 8, 8))
    check_distribution(StationaryPrior(2, 0.5)(3).expand([2]))
    assert describe(build(describe(StationaryPrior(3, 0.5)))) == describe(StationaryPrior(3, 0.5))


def test_without_memory_it_is_the_standard_prior() -> None:
    z = torch.randn(3, 4, 2)
    torch.testing.assert_close(StationaryPrior(2, 0.0)(4).log_prob(z), StandardPrior(2)(4).log_prob(z))


def test_draws_have_the_covariance_of_the_dense_algebra() -> None:
    model = make_model()
    x = draw(model, 20000).flatten(1)
    design = model.design(T)
    expected = design @ model.prior_covariance(T) @ design.mT + 0.7**2 * torch.eye(len(design))
    spread = expected.diagonal().outer(expected.diagonal()).sqrt()
    assert float(((x.T.cov() - expected) / spread).abs().max()) < 0.05
    assert float((x.mean(0) - 0.5).abs().max()) < 5 * float(expected.diagonal().max().sqrt()) / 20000**0.5


def test_the_posterior_explains_its_own_draws() -> None:
    """Codes less their posterior means, whitened, are standard normal."""
    model = make_model()
    torch.manual_seed(0)
    output = model(batch_size=4000)
    for shown in (None, PATTERN):
        loc, covariance = model.posterior(output["x"], shown)
        codes = torch.cat([output["f"], output["z"].flatten(1)], -1)
        noise = torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), (codes - loc).T, upper=False)
        assert float((noise.cov() - torch.eye(len(noise))).abs().max()) < 0.1
        assert float(noise.mean(1).abs().max()) < 5 / 4000**0.5


def test_queries_work() -> None:
    model = make_model()
    assert pyrodis.sample_prior(model, 3)["z"].shape == (3, T, 2)
    latents = pyrodis.sample_prior(model, 3)
    expected = 0.5 + torch.cat([latents["f"], latents["z"].flatten(1)], -1) @ model.design(T).mT
    torch.testing.assert_close(pyrodis.decode(model, latents).flatten(1), expected)


def test_autocast_does_not_round_what_is_exact() -> None:
    model = make_model().float()
    x = draw(model, 3)
    shared = (model.posterior(x)[0], model.log_evidence(x), *model.precision_and_regression(T))
    trace = pyro.poutine.trace(pyro.poutine.condition(model, {"f": torch.ones(3, 2), "z": torch.ones(3, T, 2)}))
    density = trace.get_trace(x).log_prob_sum()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(trace.get_trace(x).log_prob_sum(), density)
        again = (model.posterior(x)[0], model.log_evidence(x), *model.precision_and_regression(T))
    assert all(torch.equal(a, b) for a, b in zip(again, shared, strict=True))


ONES = torch.ones(2, 1)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: LinearGaussianSequence([[1.0]], ONES), TypeError, "static_weight must be a matrix, a floating"),
        (lambda: LinearGaussianSequence(ONES, ONES[0]), ValueError, "dynamic_weight must be a matrix with at least"),
        (lambda: LinearGaussianSequence(ONES, ONES * float("nan")), ValueError, "dynamic_weight must be finite"),
        (lambda: LinearGaussianSequence(ONES, torch.ones(3, 1)), ValueError, "a row a pixel each, got 2 and 3 rows"),
        (
            lambda: LinearGaussianSequence(ONES, ONES.double()),
            TypeError,
            "static_weight and dynamic_weight must be of one precision, got torch.float32 and torch.float64",
        ),
        (
            lambda: make_model().log_evidence(torch.ones(1, T, 1, 1, 3)),
            TypeError,
            "x and the weights must be of one precision, got torch.float32 and torch.float64",
        ),
        (
            lambda: LinearGaussianDynamics(0.5 * torch.eye(1).double(), ONES),
            TypeError,
            "transition and emission must be of one precision",
        ),
        (
            lambda: (
                LinearGaussianDynamics(0.5 * torch.eye(1), ONES).double().exact_posterior(torch.ones(1, T, 1, 1, 2))
            ),
            TypeError,
            "x and the matrices must be of one precision",
        ),
        (lambda: LinearGaussianSequence(ONES, ONES, scale=0.0), ValueError, "scale must be a finite number above 0"),
        (lambda: LinearGaussianSequence(ONES, ONES, offset="dark"), TypeError, "offset must be a finite number, got"),
        (lambda: LinearGaussianSequence(ONES, ONES, offset=float("nan")), ValueError, "offset must be .* got nan"),
        (lambda: LinearGaussianSequence(ONES, ONES, 1.0), ValueError, "autocorrelation must be above -1 and below 1"),
        (
            lambda: LinearGaussianSequence(ONES, ONES, frame_shape=(1, 3, 3)),
            ValueError,
            r"frame_shape must be \(C, H, W\) of 2 pixels, got \(1, 3, 3\)",
        ),
        (lambda: LinearGaussianSequence(ONES, ONES)(), ValueError, "pass clips x, or batch_size"),
        (lambda: LinearGaussianSequence(ONES, ONES)(torch.ones(1, 3, 1, 1, 3)), ValueError, "x must have frames of"),
        (lambda: StationaryPrior(2, "high"), TypeError, "autocorrelation must be a number"),
        (
            lambda: factorization_gaps(LinearGaussianSequence(ONES, ONES), 0),
            ValueError,
            "num_frames must be a positive",
        ),
        (
            lambda: factorization_gaps(torch.nn.Identity(), 3),
            TypeError,
            "must be a LinearGaussianSequence, got Identity",
        ),
        (
            lambda: factorization_gaps(LinearGaussianSequence(ONES, ONES), 3, torch.ones(2, dtype=torch.bool)),
            ValueError,
            r"shown must be a bool tensor of shape \(T\) = \(3,\), got torch.bool \(2,\)",
        ),
        (
            lambda: LinearGaussianSequence(ONES, ONES).posterior(torch.ones(1, 3, 1, 1, 2), [True]),
            ValueError,
            r"shown must be a bool tensor of shape \(T\) = \(3,\), got \[True\]",
        ),
    ],
)
def test_bad_input(make: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make()
