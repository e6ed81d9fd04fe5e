"""Hidden frames: how many, which, where the choice comes from, and bad input."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pyrodis.guides import FramewiseGuide, FullGuide
from pyrodis.nn import HideFrames, visible_frames
from tests.pairs import make_clips, make_guide

FRAMES = torch.rand(6, 5, 3, 8, 8, generator=torch.Generator().manual_seed(0)) + 0.01


@pytest.mark.parametrize("num_hidden", [1, 4])
@pytest.mark.parametrize("training", [True, False])
def test_blanks_so_many_and_keeps_the_rest(num_hidden: int, training: bool) -> None:
    before = FRAMES.clone()
    seen = HideFrames(num_hidden).train(training)(FRAMES)
    shown = visible_frames(seen)
    assert torch.equal(FRAMES, before)
    assert shown.sum(1).tolist() == [5 - num_hidden] * 6
    assert torch.equal(seen[shown], FRAMES[shown])
    assert not seen[~shown].any()


def test_every_frame_is_hidden_as_often_and_clips_differ() -> None:
    torch.manual_seed(0)
    hidden = ~visible_frames(HideFrames(2)(FRAMES[:1].expand(4000, -1, -1, -1, -1)))
    assert float((hidden.float().mean(0) - 0.4).abs().max()) < 5 * (0.24 / 4000) ** 0.5


def test_the_seed_decides_in_eval_mode() -> None:
    views = [HideFrames(2, seed=seed).eval() for seed in range(20)]
    patterns = {tuple(visible_frames(view(FRAMES))[0].tolist()) for view in views}
    assert len(patterns) > 3
    for view in views:
        shown = visible_frames(view(FRAMES))
        assert torch.equal(shown, shown[:1].expand_as(shown))
        assert torch.equal(view(FRAMES), view(FRAMES))


@pytest.mark.parametrize("leading", [(), (2,), (2, 3)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_shapes_and_types(leading: tuple[int, ...], dtype: torch.dtype) -> None:
    frames = FRAMES[0].expand(*leading, -1, -1, -1, -1).to(dtype)
    seen = HideFrames(2)(frames)
    assert (seen.shape, seen.dtype) == (frames.shape, dtype)
    assert visible_frames(frames).shape == frames.shape[:-3]
    assert HideFrames(2)(frames.to("meta")).device.type == "meta"


def test_one_object_hides_the_same_frames_from_both_codes() -> None:
    view = HideFrames(3, seed=1)
    x = make_clips(1).requires_grad_()
    guide = make_guide(FullGuide, static_view=view, dynamic_view=view)
    shown = visible_frames(view.eval()(x.detach()))[0]
    output = guide(x)
    for name in ("f", "z"):
        (gradient,) = torch.autograd.grad(output[name].sum(), x, retain_graph=True)
        assert torch.equal(gradient.flatten(2).any(-1)[0], shown)


def test_a_frame_wise_code_of_a_hidden_frame_knows_nothing() -> None:
    view = HideFrames(2)
    guide, x = make_guide(FramewiseGuide, dynamic_view=view), make_clips(2)
    shown = visible_frames(view.eval()(x))[0]
    torch.manual_seed(0)
    z = guide(x)["z"]
    torch.manual_seed(0)
    other = guide(1 - x)["z"]
    assert torch.equal((z == other).all(-1), (~shown).expand(2, -1))


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"num_hidden": 0}, ValueError, "num_hidden must be a positive whole number, got 0"),
        ({"num_hidden": 0.5}, TypeError, "num_hidden must be a positive whole number, got 0.5"),
        ({"num_hidden": 1, "seed": -1}, ValueError, "seed must be a whole number of 0 or more"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        HideFrames(**arguments)


def test_bad_frames() -> None:
    with pytest.raises(ValueError, match="num_hidden must be smaller than the number of frames, got 5 for clips of 5"):
        HideFrames(5)(FRAMES)
    for function in (HideFrames(1), visible_frames):
        with pytest.raises(ValueError, match=r"frames must have shape \(..., T, C, H, W\)"):
            function(FRAMES[0, 0])
        with pytest.raises(TypeError, match="frames must be a floating-point tensor"):
            function(FRAMES.byte())
