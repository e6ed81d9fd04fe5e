"""The decoder that places what it draws: places, gradients, precision, saving, and bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from pyrodis.infer.describe import build, describe
from pyrodis.models import ConcatenateCodes, NormalPixels, WhatWhereVAE
from pyrodis.nn import PlacedDecoder
from pyrodis.nn._placing import overlay

EPSILON = 1e-6


def decoder_of(**rest: Any) -> PlacedDecoder:
    torch.manual_seed(0)
    sizes = {"what_dim": 3, "where_dim": 2, "frame_shape": (2, 16, 20), "patch_size": 8, "widths": (4, 3)}
    return PlacedDecoder(**{**sizes, "hidden_dim": 8, **rest})


def logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def at(*places: tuple[float, float]) -> torch.Tensor:
    return torch.tensor(places, dtype=torch.float64)


def test_leading_dimensions_are_one_batch() -> None:
    decoder, codes = decoder_of(), torch.randn(2, 5, 5)
    frames = decoder(codes)
    assert frames.shape == (2, 5, 2, 16, 20)
    torch.testing.assert_close(frames[1, 2], decoder(codes[1, 2]))
    assert decoder.patches(codes[..., :3]).shape == (2, 5, 2, 2, 8, 8)


def test_at_whole_pixels_patches_are_pasted() -> None:
    patches, places = logits(2, 1, 4, 4), at((3, 0), (5, 2))
    empty = torch.zeros(2, 1, 9, 11, dtype=torch.float64)
    empty[0, 0, 0:4, 3:7] = patches[0, 0].sigmoid()
    empty[1, 0, 2:6, 5:9] = patches[1, 0].sigmoid()
    pasted = 1 - (1 - empty).prod(0)
    frame = overlay(patches, places, (9, 11)).sigmoid()
    torch.testing.assert_close(frame, pasted, rtol=0, atol=4 * EPSILON)
    assert float(pasted[0, 3, 6]) not in {0.0, float(patches[0, 0, 3, 3].sigmoid())}, "both patches cover this pixel"


def test_a_shift_of_a_place_shifts_the_frame() -> None:
    patches, places = logits(2, 1, 4, 4), at((1.3, 2.6), (3.7, 0.25))
    frame = overlay(patches, places, (12, 12))
    moved = overlay(patches, places + at((4, 3)), (12, 12))
    torch.testing.assert_close(moved, frame.roll((3, 4), (-2, -1)))


def test_patches_change_places_together() -> None:
    patches, places = logits(6, 3, 2, 4, 4), 8 * torch.rand(6, 3, 2, dtype=torch.float64)
    order = [2, 0, 1]
    frames = overlay(patches, places, (12, 12))
    torch.testing.assert_close(overlay(patches[:, order], places[:, order], (12, 12)), frames)
    assert not torch.allclose(overlay(patches[:, order], places, (12, 12)), frames)


def test_places_lie_in_the_frame_and_are_told_by_where_alone() -> None:
    decoder = decoder_of()
    places = decoder.places(1000 * torch.randn(50, 2)).detach()
    assert float(places.min()) == 0
    assert places.amax((0, 1)).tolist() == [12, 8]  # W - P and H - P
    where = torch.randn(1, 2).expand(4, 2)
    frames = decoder(torch.cat([torch.randn(4, 3), where], -1)).sigmoid().detach()
    assert float(frames.std(0).amax()) > 0
    covered = (frames > 2e-6).flatten(1)
    assert bool((covered == covered[:1]).all()), "what draws, and does not move"


def test_a_full_frame_is_a_patch() -> None:
    decoder = decoder_of(frame_shape=(1, 8, 8), num_places=1).double()
    codes = logits(4, 5)
    torch.testing.assert_close(decoder(codes), decoder.patches(codes[:, :3])[:, 0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("level", [-40.0, -12.0, 0.0, 12.0, 40.0])
def test_logits_stay_finite_and_exact(level: float) -> None:
    """In single precision as in double, of empty and of full patches, with gradients that are finite as well."""
    patches, places = torch.full((1, 1, 4, 4), level), torch.tensor([[2.5, 3.0]])
    found = []
    for kind in (torch.float32, torch.float64):
        u, p = patches.to(kind).requires_grad_(), places.to(kind).requires_grad_()
        frame = overlay(u, p, (12, 12))
        slopes = torch.autograd.grad(frame.sum(), (u, p))
        assert all(bool(slope.isfinite().all()) for slope in slopes)
        found.append(frame.detach().double())
    assert float(found[1].abs().max()) < 14
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0.1)
    assert float(found[1][0, 0, 0]) == pytest.approx(-13.8, abs=0.1)


@pytest.mark.parametrize("level", [-8.0, 8.0])
def test_cross_entropy_pulls_at_empty_and_at_full_patches(level: float) -> None:
    """Nothing is flat where a patch is wrong and sure: at the logit itself the slope is 1."""
    patches = torch.full((1, 1, 4, 4), level, requires_grad=True)
    frame = overlay(patches, torch.tensor([[2.0, 3.0]]), (12, 12))
    target = torch.zeros(1, 12, 12)
    target[:, 3:7, 2:6] = float(level < 0)
    torch.nn.functional.binary_cross_entropy_with_logits(frame, target, reduction="sum").backward()
    assert patches.grad is not None
    torch.testing.assert_close(patches.grad.abs(), torch.ones_like(patches), rtol=0, atol=0.02)


@pytest.mark.parametrize("start", [(3.4, 2.7), (3.0, 3.0)])
def test_places_follow_their_gradient(start: tuple[float, float]) -> None:
    """Also from whole pixels, where the interpolation has a kink."""
    ramp = torch.arange(6.0).add(1)
    patch = -((ramp - 3.5).square()[:, None] + (ramp - 3.5).square())[None, None]
    target = overlay(patch, torch.tensor([[4.6, 1.8]]), (12, 12)).sigmoid()
    places = torch.tensor([start], requires_grad=True)
    optimizer = torch.optim.Adam([places], lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        (overlay(patch, places, (12, 12)).sigmoid() - target).square().sum().backward()
        optimizer.step()
    torch.testing.assert_close(places.detach(), torch.tensor([[4.6, 1.8]]), rtol=0, atol=0.05)


def test_gradients_are_those_of_the_formula() -> None:
    patches, places = logits(2, 2, 4, 4).requires_grad_(), at((1.3, 2.6), (3.7, 0.25)).requires_grad_()
    assert torch.autograd.gradcheck(lambda u, p: overlay(u, p, (9, 8)), (patches, places))


def test_output_starts_dark_and_trains_every_parameter() -> None:
    decoder = decoder_of(output_bias=-3.0)
    assert float((decoder.patches(torch.randn(4, 3)) + 3).detach().abs().mean()) < 1
    decoder(torch.randn(4, 5)).sigmoid().square().sum().backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in decoder.parameters())


def test_is_described_and_built_by_name() -> None:
    decoder = decoder_of(num_places=3, output_bias=-1.0)
    described = json.loads(json.dumps(describe(decoder)))
    other = build(described)
    other.load_state_dict(decoder.state_dict())
    codes = torch.randn(2, 5)
    torch.testing.assert_close(other(codes), decoder(codes))


def test_runs_in_mixed_and_in_double_precision() -> None:
    decoder, codes = decoder_of(), torch.randn(2, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        frames = decoder(codes)
    assert frames.dtype == torch.float32
    torch.testing.assert_close(frames.sigmoid(), decoder(codes).sigmoid(), rtol=0, atol=0.02)
    assert decoder_of().double()(torch.zeros(2, 5, dtype=torch.float64)).dtype == torch.float64


def test_is_the_decoder_of_a_model_whose_codes_are_side_by_side() -> None:
    model = WhatWhereVAE(decoder_of(), NormalPixels(), 3, 2, combine=ConcatenateCodes())
    codes = {name: torch.randn(4, *shape) for name, shape in (("what", (3,)), ("where", (5, 2)))}
    joined = model.combine(codes["what"][:, None], codes["where"])
    torch.testing.assert_close(joined[:, 2, :3], codes["what"])
    assert model.decoder(joined).shape == (4, 5, 2, 16, 20)


CASES: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "large patch": (
        lambda: decoder_of(patch_size=20),
        ValueError,
        r"patch_size must be at most 16, for patches that lie within frames \(2, 16, 20\), got 20",
    ),
    "odd patch": (lambda: decoder_of(patch_size=6), ValueError, "patch_size must be a multiple of 4, .* got 6"),
    "no patch": (lambda: decoder_of(patch_size=0), ValueError, "patch_size must be a positive"),
    "no places": (lambda: decoder_of(num_places=0), ValueError, "num_places must be a positive"),
    "half a place": (lambda: decoder_of(num_places=1.5), TypeError, "num_places must be a positive"),
    "what": (lambda: decoder_of(what_dim=0), ValueError, "what_dim must be a positive"),
    "where": (lambda: decoder_of(where_dim=0), ValueError, "where_dim must be a positive"),
    "hidden": (lambda: decoder_of(hidden_dim=0), ValueError, "hidden_dim must be a positive"),
    "widths": (lambda: decoder_of(widths=()), ValueError, "at least one layer"),
    "shape": (lambda: decoder_of(frame_shape=(16, 16)), ValueError, "three positive sizes"),
    "bias": (lambda: decoder_of(output_bias=float("nan")), ValueError, "output_bias must be a finite number"),
    "codes": (
        lambda: decoder_of()(torch.zeros(1, 4)),
        ValueError,
        r"\(\.\.\., what_dim \+ where_dim\) = \(\.\.\., 3 \+ 2\), got \(1, 4\)",
    ),
    "dtype": (lambda: decoder_of()(torch.zeros(1, 5).double()), TypeError, "codes must be torch.float32"),
}


@pytest.mark.parametrize("case", CASES)
def test_refuses_bad_input(case: str) -> None:
    action, error, sentence = CASES[case]
    with pytest.raises(error, match=sentence):
        action()
