"""The importance-weighted bound, and the likelihood of the shown frames alone."""

from __future__ import annotations

import math

import pyro
import pytest
import torch
from torch.distributions import Normal

import pyrodis
from pyrodis.infer.gaps import factorization_gaps
from pyrodis.infer.hidden_frames import score_shown_frames
from tests.linear_gaussian import LinearGuide, T, draw, make_model
from tests.pairs import every_pair, make_clips, make_latents, make_pair
from tests.pairs import make_model as make_dsvae

SHOWN = torch.tensor([True, False, True, True])


@every_pair
def test_burda_importance_bound_from_plain_traces(guide_class: type, prior_class: type) -> None:
    """A trace a draw, log_prob_sum of both programs, one clip: the same mean as the vectorized bound of the library."""
    (model, guide), x = make_pair(guide_class, prior_class), make_clips(1)
    num, repeats = 3, 60
    by_hand = []
    with torch.no_grad():
        torch.manual_seed(0)
        for _ in range(repeats):
            weights = []
            for _ in range(num):
                q = pyro.poutine.trace(guide).get_trace(x)
                p = pyro.poutine.trace(pyro.poutine.replay(model, trace=q)).get_trace(x)
                weights.append(p.log_prob_sum() - q.log_prob_sum())
            by_hand.append(torch.stack(weights).logsumexp(0) - math.log(num))
        found = torch.stack([pyrodis.importance_bound(model, guide, x, num)[0] for _ in range(repeats)])
    expected = torch.stack(by_hand)
    error = math.sqrt(float(expected.var() + found.var()) / repeats)
    assert abs(float(expected.mean() - found.mean())) < 4 * error


def test_evidence_is_the_elbo_and_the_gap() -> None:
    """The posterior's own means with the best independent scales leave the gap of mean field, on average."""
    model = make_model()
    x = draw(model, 400)
    precision = torch.linalg.inv(model.posterior(x)[1])
    scale = precision.diagonal().rsqrt()
    guide = LinearGuide(model, scale=(scale[:2], scale[2:].reshape(T, 2)))
    left = model.log_evidence(x) - torch.stack([pyrodis.importance_bound(model, guide, x, 1) for _ in range(10)]).mean(
        0
    )
    assert left.mean().item() == pytest.approx(
        factorization_gaps(model, T)["mean_field"], abs=4 * left.std().item() / math.sqrt(len(x))
    )
    assert left.std().item() / math.sqrt(len(x)) < 0.1


def test_likelihood_of_shown_frames_alone() -> None:
    model, x, latents = make_dsvae(), make_clips(), make_latents()
    with pyro.poutine.trace() as whole, pyro.poutine.condition(data=latents):
        score_shown_frames(model, SHOWN)(x)
    site = whole.trace.nodes["x"]
    loc = pyro.poutine.condition(model, data=latents)(x)["reconstruction"]
    frames = Normal(loc, 0.3).log_prob(x).flatten(2).sum(-1)
    torch.testing.assert_close(site["fn"].log_prob(site["value"]), frames[:, SHOWN].sum(-1), rtol=1e-6, atol=1e-6)
