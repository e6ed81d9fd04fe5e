"""Frames left out of the likelihood: every pair, every objective, and a model run on the shown frames alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from pyro.infer import Trace_ELBO
from torch import nn

import pyrodis
from pyrodis.infer import FitSettings, NamedELBO, score_shown_frames
from pyrodis.models import BernoulliPixels, StandardPrior
from pyrodis.nn import visible_frames
from pyrodis.testing import tiny_dsvae
from tests.pairs import every_pair, make_clips, make_latents, make_model, make_pair

SHOWN = torch.tensor([True, False, True, True])


def log_likelihood(model: Any, x: torch.Tensor, latents: dict[str, torch.Tensor]) -> torch.Tensor:
    site = pyro.poutine.trace(pyro.poutine.condition(model, data=latents)).get_trace(x).nodes["x"]
    return site["fn"].log_prob(site["value"])


@pytest.mark.parametrize("likelihood", [None, BernoulliPixels()], ids=["normal", "bernoulli"])
def test_equals_a_model_of_the_shown_frames(likelihood: nn.Module | None) -> None:
    model, x, latents = make_model(StandardPrior, likelihood), make_clips(), make_latents()
    shown_latents = {"f": latents["f"], "z": latents["z"][:, SHOWN]}
    expected = log_likelihood(model, x[:, SHOWN], shown_latents)
    torch.testing.assert_close(log_likelihood(score_shown_frames(model, SHOWN), x, latents), expected)
    every = torch.ones_like(SHOWN)
    torch.testing.assert_close(
        log_likelihood(score_shown_frames(model, every), x, latents), log_likelihood(model, x, latents)
    )


def test_each_clip_has_its_own_hidden_frames() -> None:
    model, x, latents = make_model(), make_clips(2), make_latents(2)
    both = torch.stack([SHOWN, ~SHOWN])
    black = x * both[..., None, None, None]
    by_clip = torch.cat(
        [
            log_likelihood(
                score_shown_frames(model, both[b]), x[b : b + 1], {k: v[b : b + 1] for k, v in latents.items()}
            )
            for b in range(2)
        ]
    )
    torch.testing.assert_close(log_likelihood(score_shown_frames(model, both), x, latents), by_clip)
    torch.testing.assert_close(log_likelihood(score_shown_frames(model, visible_frames), black, latents), by_clip)


@every_pair
def test_every_objective_of_every_pair(guide_class: Any, prior_class: Any) -> None:
    (model, guide), x = make_pair(guide_class, prior_class), make_clips()
    scored = score_shown_frames(model, SHOWN)
    losses = []
    for elbo in (Trace_ELBO().differentiable_loss, NamedELBO(analytic=False).differentiable_loss):
        torch.manual_seed(0)
        losses.append(elbo(scored, guide, x))
    torch.testing.assert_close(losses[0], losses[1])
    vectorized = Trace_ELBO(num_particles=2, vectorize_particles=True, max_plate_nesting=1)
    assert bool(vectorized(scored, guide)(x).isfinite())
    changed = x.clone()
    changed[:, 1] = 1 - changed[:, 1]
    torch.manual_seed(0)
    nll = NamedELBO().terms(scored, lambda _: guide(x), changed).values["nll"]
    torch.manual_seed(0)
    torch.testing.assert_close(NamedELBO().terms(scored, guide, x).values["nll"], nll)
    losses[0].backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_queries_run_as_before() -> None:
    (model, guide), x = make_pair(), make_clips()
    scored = score_shown_frames(model, SHOWN)
    torch.testing.assert_close(pyrodis.reconstruct(scored, guide, x), pyrodis.reconstruct(model, guide, x))
    assert pyrodis.sample_prior(scored, 2)["z"].shape == (2, 4, 2)


@pytest.mark.parametrize(
    ("shown", "error", "match"),
    [
        ([True, False], TypeError, "shown must be a bool tensor or a function from clips to one, got"),
        (torch.ones(4), TypeError, "shown must be a bool tensor, True where a frame is observed, got torch.float32"),
        (lambda x: [True], TypeError, "True where a frame is observed, got list"),
        (SHOWN[:3], ValueError, r"shown must have shape \(T\) or \(B, T\) = \(3, 4\), got \(3,\)"),
    ],
    ids=["list", "float", "function", "shape"],
)
def test_bad_input(shown: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        score_shown_frames(make_model(), shown)(make_clips())


def test_pixels_that_are_not_independent() -> None:
    class Whole(nn.Module):
        def forward(self, x: torch.Tensor) -> None:
            with pyro.plate("data", len(x), dim=-1):
                loc = torch.zeros_like(x).flatten(1)
                pyro.sample("x", pyro.distributions.Normal(loc, 1.0).to_event(1), obs=x.flatten(1))

    with pytest.raises(
        ValueError, match=r"the site 'x' must be a distribution of independent pixels with to_event\(4\)"
    ):
        score_shown_frames(Whole(), SHOWN)(make_clips())


@pytest.mark.parametrize("shown", [SHOWN, torch.stack([SHOWN, ~SHOWN])], ids=["of the clips", "of each clip"])
def test_a_run_of_shown_frames_is_loaded_as_it_was(shown: torch.Tensor, tmp_path: Path) -> None:
    (model, guide), x = tiny_dsvae(), make_clips(2).float()
    scored = score_shown_frames(model, shown)
    settings = FitSettings(num_epochs=1, batch_size=2, device="cpu")
    pyrodis.fit(scored, guide, x, settings=settings, output=tmp_path / "run")
    loaded, loaded_guide = pyrodis.load(tmp_path / "run")
    assert torch.equal(loaded.shown, shown)
    latents = pyrodis.encode(guide, x)
    assert torch.equal(log_likelihood(loaded, x, latents), log_likelihood(scored.eval(), x, latents))
    assert torch.equal(pyrodis.reconstruct(loaded, loaded_guide, x), pyrodis.reconstruct(model, guide, x))


def test_a_run_whose_shown_frames_are_a_function_is_loaded_with_it(tmp_path: Path) -> None:
    (model, guide), x = tiny_dsvae(), make_clips(2).float()
    settings = FitSettings(num_epochs=1, batch_size=2, device="cpu")
    pyrodis.fit(score_shown_frames(model, visible_frames), guide, x, settings=settings, output=tmp_path / "run")
    with pytest.raises(ValueError, match=r"ShownFrames were not recorded; pass the objects with load\(run, model="):
        pyrodis.load(tmp_path / "run")
    loaded, _ = pyrodis.load(tmp_path / "run", model=score_shown_frames(tiny_dsvae()[0], visible_frames))
    assert loaded.shown is visible_frames


@pytest.mark.parametrize(
    "shown", [None, [], [1, 0, 1], [0.5], [[[True]]], "yes", [[True], [True, False]], [[True], True]]
)
def test_a_run_whose_shown_frames_were_changed_is_refused(shown: object, tmp_path: Path) -> None:
    (model, guide), x = tiny_dsvae(), make_clips(2).float()
    settings = FitSettings(num_epochs=1, batch_size=2, device="cpu")
    pyrodis.fit(score_shown_frames(model, SHOWN), guide, x, settings=settings, output=tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text())
    config["model"]["arguments"]["shown"] = shown
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match="ShownFrames cannot be built from its recorded arguments: shown must be"):
        pyrodis.load(tmp_path / "run")


def test_a_run_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    x, run = make_clips(2).float(), tmp_path / "run"
    settings = FitSettings(num_epochs=1, batch_size=2, device="cpu")
    for resume in (False, True):
        (model, guide) = tiny_dsvae()
        pyrodis.fit(score_shown_frames(model, SHOWN), guide, x, settings=settings, output=run, resume=resume)
        path = run / "config.json"
        config = json.loads(path.read_text())
        config["model"] = {"class": "pyrodis.infer.hidden_frames.ShownFrames", "arguments": None}
        path.write_text(json.dumps(config))
