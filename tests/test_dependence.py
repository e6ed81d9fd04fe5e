"""What each factor depends on, by the Jacobian of its parameters; nothing leaks from clip to clip."""

from __future__ import annotations

from typing import Any

import pyro
import torch
from torch import Tensor

from pyrodis.guides import FactorizedGuide, FramewiseGuide, FullGuide, SmoothingGuide
from pyrodis.models import LSTMPrior
from tests.pairs import PRIORS, T, every_guide, make_clips, make_guide, make_latents, make_model

B = 2
SAME_CLIP = torch.eye(B, dtype=torch.bool).reshape(B, 1, B, 1)
EVERY_FRAME = torch.ones(1, T, 1, T, dtype=torch.bool)
SAME_FRAME = torch.eye(T, dtype=torch.bool).reshape(1, T, 1, T)
PAST_FRAMES = torch.ones(T, T, dtype=torch.bool).tril(-1).reshape(1, T, 1, T)
NO_FRAME = torch.zeros(1, T, 1, T, dtype=torch.bool)

# Which frames of x, and which of z, the parameters of q(z_t | ...) may see; and whether f.
EXPECTED = {
    FullGuide: (EVERY_FRAME, PAST_FRAMES, True),
    FactorizedGuide: (SAME_FRAME, PAST_FRAMES, False),
    FramewiseGuide: (SAME_FRAME, NO_FRAME, False),
    SmoothingGuide: (EVERY_FRAME, NO_FRAME, True),
}


def inputs() -> tuple[Tensor, dict[str, Tensor]]:
    """Clips and latents that record gradients."""
    return make_clips(B).requires_grad_(), {name: v.requires_grad_() for name, v in make_latents(B).items()}


def parameters_of(fn: Any, value: Tensor) -> Tensor:
    """Loc and scale of a site side by side, without the dimensions of plates."""
    fn = fn.conditional(value) if hasattr(fn, "conditional") else fn
    while not hasattr(fn, "loc"):
        fn = fn.base_dist
    return torch.cat([fn.loc, fn.scale], -1)


def depends(output: Tensor, source: Tensor) -> Tensor:
    """Whether output (B, T, ...) at b, t depends on source (B, T, ...) at c, s: bool (B, T, B, T)."""
    torch.manual_seed(0)
    weight = torch.randn(output.shape, dtype=output.dtype)  # so that no two parts cancel
    rows = []
    for part in (weight * output).sum(-1).flatten():
        (gradient,) = torch.autograd.grad(part, source, retain_graph=True, allow_unused=True)
        rows.append(torch.zeros_like(source) if gradient is None else gradient)
    found = torch.stack(rows) != 0
    kept = 2 if source.ndim > 2 else 1
    return found.flatten(1 + kept).any(-1).reshape(*output.shape[:-1], *source.shape[:kept])


def site(program: Any, x: Tensor, latents: dict[str, Tensor], name: str) -> Any:
    return pyro.poutine.trace(pyro.poutine.condition(program, data=latents)).get_trace(x).nodes[name]["fn"]


@every_guide
def test_what_q_of_z_depends_on(guide_class: type) -> None:
    guide, (x, latents) = make_guide(guide_class), inputs()
    output = parameters_of(site(guide, x, latents, "z"), latents["z"])
    frames, codes, sees_f = EXPECTED[guide_class]
    assert torch.equal(depends(output, x), (frames & SAME_CLIP).expand(B, T, B, T))
    assert torch.equal(depends(output, latents["z"]), (codes & SAME_CLIP).expand(B, T, B, T))
    on_f = torch.eye(B, dtype=torch.bool).reshape(B, 1, B).expand(B, T, B)
    assert torch.equal(depends(output, latents["f"]), on_f if sees_f else torch.zeros_like(on_f))


@every_guide
def test_q_of_f_depends_on_every_frame_of_its_clip(guide_class: type) -> None:
    guide, (x, latents) = make_guide(guide_class), inputs()
    output = parameters_of(site(guide, x, latents, "f"), latents["f"])
    assert torch.equal(depends(output, x), SAME_CLIP[:, 0].expand(B, B, T))


@every_guide
def test_a_guide_does_not_leak_across_the_batch(guide_class: type) -> None:
    """Clip for clip the draws of z are the same alone and in a batch, given the same noise."""
    guide, x = make_guide(guide_class), make_clips(B).requires_grad_()
    torch.manual_seed(0)
    drawn = guide(x)
    for name in ("f", "z"):
        for b in range(B):
            (gradient,) = torch.autograd.grad(drawn[name][b].square().sum(), x, retain_graph=True)
            assert [bool((part != 0).any()) for part in gradient] == [c == b for c in range(B)]


def test_the_model_decodes_a_frame_from_its_own_code_and_f() -> None:
    for prior_class in PRIORS:
        model, (_, latents) = make_model(prior_class), inputs()
        with pyro.poutine.condition(data=latents):
            frames = model(batch_size=B)["reconstruction"].flatten(2)
        assert torch.equal(depends(frames, latents["z"]), (SAME_FRAME & SAME_CLIP).expand(B, T, B, T))
        assert torch.equal(depends(frames, latents["f"]), SAME_CLIP[:, :, :, 0].expand(B, T, B))


def test_the_recurrent_prior_sees_the_past_alone() -> None:
    model, (_, latents) = make_model(LSTMPrior), inputs()
    output = parameters_of(model.prior(T), latents["z"])
    assert torch.equal(depends(output, latents["z"]), (PAST_FRAMES & SAME_CLIP).expand(B, T, B, T))


def test_the_measure_sees_a_planted_leak() -> None:
    x = make_clips(B).requires_grad_()
    leaky = x.flatten(2) + 1e-6 * x.flatten(2).mean((0, 1))
    assert depends(leaky, x).all()
