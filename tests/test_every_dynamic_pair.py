"""What holds for every pair of one code a frame, or of structured posteriors: the contract, other devices and types."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pyro
import pytest
import torch
from torch import Tensor, nn

from pyrodis.infer import score_shown_frames
from pyrodis.infer.describe import build, describe
from pyrodis.infer.elbo import NamedELBO
from pyrodis.infer.queries import decode, encode, reconstruct, sample_prior
from pyrodis.models import LinearGaussianDynamics
from pyrodis.testing import check_model_guide
from tests.pairs import FRAME, T, every_dynamic_pair, make_clips

Make = Callable[[], tuple[Any, Any]]


@every_dynamic_pair
def test_keeps_the_contract(make: Make) -> None:
    torch.manual_seed(0)
    check_model_guide(make, make_clips(3).float())


@every_dynamic_pair
@pytest.mark.parametrize("analytic", [True, False])
def test_runs_on_the_meta_device(make: Make, analytic: bool) -> None:
    model, guide = (program.to("meta") for program in make())
    x = torch.rand(2, T, *FRAME, device="meta")
    with pyro.validation_enabled(False):
        terms = NamedELBO(analytic=analytic).terms(model, guide, x)
        terms.total.backward()
        drawn = (*model(batch_size=2).values(), *encode(guide, x, num_samples=3).values(), reconstruct(model, guide, x))
    assert all(value.device.type == "meta" for value in (*terms.values.values(), *drawn))
    for program in (model, guide):
        assert [name for name, p in program.named_parameters() if p.requires_grad and p.grad is None] == []


@every_dynamic_pair
def test_float64_stays_float64(make: Make) -> None:
    (model, guide), x = (program.double().eval() for program in make()), make_clips(2)
    terms = NamedELBO().terms(model, guide, x)
    terms.total.backward()
    values: dict[str, Tensor] = {"total": terms.total, "frames": decode(model, encode(guide, x)), **terms.values}
    for run in (model(x), guide(x), encode(guide, x, 3), sample_prior(model, 2)):
        values.update(run)
        assert {value.dtype for value in values.values()} == {torch.float64}


@every_dynamic_pair
def test_float32_and_float64_agree(make: Make) -> None:
    torch.manual_seed(0)
    (model, guide), x = (program.double().eval() for program in make()), make_clips(2)
    latents = {name: site.detach() for name, site in guide(x).items() if name in ("f", "z")}
    losses = []
    for dtype in (torch.float64, torch.float32):
        values = {name: value.to(dtype) for name, value in latents.items()}
        logs = []
        for program in (model, guide):
            conditioned = pyro.poutine.condition(copy.deepcopy(program).to(dtype), data=values)
            logs.append(pyro.poutine.trace(conditioned).get_trace(x.to(dtype)).log_prob_sum())
        losses.append(float((logs[1] - logs[0]).detach()))
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def _encode_once(encoder: nn.Module) -> None:
    """Let an encoder return what it returned first, in full precision."""
    forward, kept = encoder.forward, []

    def first(frames: Tensor) -> Tensor:
        kept.extend([forward(frames).detach()] if not kept else [])
        return kept[0]

    encoder.forward = first


@every_dynamic_pair
def test_autocast_keeps_densities_in_full_precision(make: Make) -> None:
    """The draws and the terms of the latents are those of full precision, given the same features."""
    model, guide = (program.eval() for program in make())
    x, found = make_clips(2).float(), []
    for name in ("encoder", "static_encoder", "dynamic_encoder"):
        if getattr(guide, name, None) is not None:
            _encode_once(getattr(guide, name))
    for enabled in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            torch.manual_seed(0)
            terms = NamedELBO().terms(model, guide, x)
        assert {value.dtype for value in terms.values.values()} == {torch.float32}
        found.append(terms.values["kl_z"].item())
    if type(guide).__name__ != "FramewiseGuide":  # it has a layer of its own in low precision
        assert found[1] == pytest.approx(found[0], rel=1e-5)


@every_dynamic_pair
def test_hidden_frames_are_left_out_of_the_likelihood(make: Make) -> None:
    (model, guide), x = (program.eval() for program in make()), make_clips(2).float()
    shown = torch.tensor([True, True, False, True])
    scored, changed = score_shown_frames(model, shown), x.clone()
    changed[:, 2] = 1 - changed[:, 2]
    found = []
    for clips in (x, changed):
        torch.manual_seed(0)
        found.append(NamedELBO().terms(scored, lambda _: guide(x), clips).values["nll"])
    torch.testing.assert_close(found[0], found[1])
    torch.manual_seed(0)
    assert found[0].item() != NamedELBO().terms(model, guide, x).values["nll"].item()


@every_dynamic_pair
def test_masks_that_make_no_sense_are_refused(make: Make) -> None:
    model, x = make()[0], make_clips(2).float()
    with pytest.raises(ValueError, match=r"shown must have shape \(T\) or \(B, T\) = \(2, 4\), got \(3,\)"):
        score_shown_frames(model, torch.ones(3, dtype=torch.bool))(x)
    with pytest.raises(ValueError, match=r"at least one frame to see, got False for all frames$"):
        score_shown_frames(model, torch.zeros(4, dtype=torch.bool))(x)
    one = torch.tensor([[True] * 4, [False] * 4])
    with pytest.raises(ValueError, match="at least one frame to see, got False for all frames of clip 1"):
        score_shown_frames(model, one)(x)


@every_dynamic_pair
def test_is_built_from_its_description(make: Make) -> None:
    for program in make():
        if not isinstance(program, LinearGaussianDynamics):  # its matrices are data, not settings
            again = build(describe(program))
            again.load_state_dict(program.state_dict())
            assert describe(again) == describe(program)
