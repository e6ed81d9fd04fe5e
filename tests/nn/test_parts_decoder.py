"""The decoder of parts with codes of their own, and glimpses at their places: exchange, inverse, saving, bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from pyrodis.infer.describe import build, describe
from pyrodis.nn import Glimpses, PartsDecoder
from pyrodis.nn._placing import overlay


def decoder_of(**rest: Any) -> PartsDecoder:
    torch.manual_seed(0)
    sizes = {"what_dim": 6, "frame_shape": (2, 16, 20), "patch_size": 8, "widths": (4, 3), "hidden_dim": 8}
    return PartsDecoder(**{**sizes, **rest})


def glimpses_of(**rest: Any) -> Glimpses:
    return Glimpses(**{"frame_shape": (2, 16, 20), "patch_size": 8, "size": 8, **rest})


def where_at(glimpses: Glimpses, *places: tuple[float, float]) -> torch.Tensor:
    """The code of one frame whose patches have their upper left pixels at places."""
    at = torch.tensor(places, dtype=torch.float64) / glimpses.room
    return torch.special.ndtri(at).flatten()[None, None]


def test_leading_dimensions_are_one_batch() -> None:
    decoder, codes = decoder_of(), torch.randn(2, 5, 10)
    frames = decoder(codes)
    assert frames.shape == (2, 5, 2, 16, 20)
    torch.testing.assert_close(frames[1, 2], decoder(codes[1, 2]))
    assert decoder.patches(codes[..., :6]).shape == (2, 5, 2, 2, 8, 8)
    assert (decoder.where_dim, decoder.code_dim) == (4, 10)


def test_parts_can_be_exchanged_with_their_places() -> None:
    decoder, what, where = decoder_of(what_dim=9, num_parts=3), torch.randn(4, 9), torch.randn(4, 6)
    order = [2, 0, 1]
    moved = torch.cat([part.unflatten(-1, (3, -1))[:, order].flatten(-2) for part in (what, where)], -1)
    frames = decoder(torch.cat([what, where], -1))
    torch.testing.assert_close(decoder(moved), frames)
    assert not torch.allclose(decoder(torch.cat([moved[:, :9], where], -1)), frames)


def test_places_are_uniform_under_the_prior() -> None:
    decoder = decoder_of().double()
    where = torch.special.ndtri(torch.linspace(0, 1, 9, dtype=torch.float64)[1:-1])
    places = decoder.places(where.unsqueeze(-1).expand(-1, 4))
    torch.testing.assert_close(places[:, 1, 0], torch.linspace(0, 12, 9, dtype=torch.float64)[1:-1])
    torch.testing.assert_close(places[:, 0, 1], torch.linspace(0, 8, 9, dtype=torch.float64)[1:-1])
    assert decoder.places(torch.tensor([-50.0, 50, 0, 0]).double())[0].tolist() == [0, 8]


def test_every_parameter_learns_in_mixed_and_double_precision() -> None:
    decoder = decoder_of()
    decoder(torch.randn(4, 10)).sigmoid().square().sum().backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in decoder.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        assert decoder(torch.randn(2, 10)).dtype == torch.float32
    assert decoder_of().double()(torch.zeros(2, 10, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("module", [decoder_of(output_bias=-1.0, num_parts=3), glimpses_of(size=10, shared=False)])
def test_is_described_and_built_by_name(module: Any) -> None:
    again = build(json.loads(json.dumps(describe(module))))
    again.load_state_dict(module.state_dict())
    inputs = (
        (torch.randn(2, 12),)
        if isinstance(module, PartsDecoder)
        else (torch.rand(2, 5, 2, 16, 20), torch.randn(2, 5, 4))
    )
    torch.testing.assert_close(again(*inputs), module(*inputs))


def test_a_glimpse_at_a_whole_pixel_is_the_patch_that_was_put_there() -> None:
    glimpses = glimpses_of()
    patches = torch.randn(2, 2, 8, 8, dtype=torch.float64)
    frame = overlay(patches, torch.tensor([[2.0, 1.0], [11.0, 8.0]]).double(), (16, 20)).sigmoid()
    found = glimpses_of(shared=False)(frame[None, None], where_at(glimpses, (2, 1), (11, 8)))[0, 0]
    torch.testing.assert_close(found, patches.sigmoid(), rtol=0, atol=1e-5)


def test_a_larger_glimpse_is_dark_outside_of_the_frame() -> None:
    glimpses, frame = glimpses_of(size=12, shared=False), torch.ones(1, 1, 2, 16, 20, dtype=torch.float64)
    found = glimpses(frame, where_at(glimpses, (0, 3), (12, 8)))[0, 0, :, 0]
    assert not found[0, :, :2].any()
    assert bool((found[0, :, 2:] == 1).all())
    assert not found[1, 10:].any()
    assert not found[1, :, 10:].any()


def test_shares_of_a_pixel_add_up_and_equal_places_share_equally() -> None:
    frames = torch.ones(1, 1, 2, 16, 20, dtype=torch.float64)
    glimpses = glimpses_of(num_parts=3)
    same = glimpses(frames, where_at(glimpses, (4, 2), (4, 2), (4, 2)))
    torch.testing.assert_close(same, torch.full_like(same, 1 / 3))
    apart = glimpses(frames, where_at(glimpses, (0, 2), (12, 2), (4, 8)))[0, 0, :, 0]
    assert float(apart[0, 3, 0]) > 0.95
    near = glimpses_of()(frames, where_at(glimpses_of(), (4, 2), (8, 2)))[0, 0, :, 0]
    torch.testing.assert_close(near[0, :, 4:] + near[1, :, :4], torch.ones(8, 4, dtype=torch.float64))
    assert float(near[0, 3, 7]) < 0.5 < float(near[0, 3, 4])


def test_draws_of_where_lead() -> None:
    glimpses, frames, where = glimpses_of(), torch.rand(2, 5, 2, 16, 20), torch.randn(7, 2, 5, 4)
    found = glimpses(frames, where)
    assert found.shape == (7, 2, 5, 2, 2, 8, 8)
    torch.testing.assert_close(found[3], glimpses(frames, where[3]))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(glimpses(frames, where), found)
    looks = glimpses_of(frame_shape=(1, 32, 32), patch_size=12).looks(torch.rand(2, 5, 1, 32, 32), where[0])
    assert looks.shape == (2, 5, 2, 36)


def test_gradients_are_those_of_the_formula() -> None:
    glimpses = glimpses_of(frame_shape=(1, 8, 9), patch_size=4, size=5).double()
    frames = torch.rand(1, 1, 1, 8, 9, dtype=torch.float64, requires_grad=True)
    where = torch.randn(1, 1, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).requires_grad_()
    assert torch.autograd.gradcheck(glimpses, (frames, where))


FRAMES = torch.zeros(2, 5, 2, 16, 20)
CASES: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "shares of what": (
        lambda: decoder_of(what_dim=7),
        ValueError,
        "what_dim must be a multiple of .* parts 2, .* got 7",
    ),
    "no what": (lambda: decoder_of(what_dim=0), ValueError, "what_dim must be a positive"),
    "no parts": (lambda: decoder_of(num_parts=0), ValueError, "num_parts must be a positive"),
    "half a part": (lambda: decoder_of(num_parts=1.5), TypeError, "num_parts must be a positive"),
    "patch": (lambda: decoder_of(patch_size=20), ValueError, "patch_size must be at most 16"),
    "multiple": (lambda: decoder_of(patch_size=6), ValueError, "patch_size must be a multiple of 4, .* got 6"),
    "bias": (lambda: decoder_of(output_bias=float("inf")), ValueError, "output_bias must be a finite number"),
    "codes": (lambda: decoder_of()(torch.zeros(1, 9)), ValueError, r"\(\.\.\., 6 \+ 4\), got \(1, 9\)"),
    "dtype": (lambda: decoder_of()(torch.zeros(1, 10).double()), TypeError, "codes must be torch.float32"),
    "glimpsed patch": (lambda: glimpses_of(patch_size=17), ValueError, "patch_size must be at most 16"),
    "shared": (lambda: glimpses_of(shared=None), TypeError, "shared must be True or False, got None"),
    "no glimpse": (lambda: glimpses_of(size=0), ValueError, "size must be a positive"),
    "frames": (
        lambda: glimpses_of()(torch.zeros(2, 5, 1, 16, 20), torch.zeros(2, 5, 4)),
        ValueError,
        r"frames must have shape \(B, T, C, H, W\) with \(C, H, W\) = \(2, 16, 20\), got \(2, 5, 1, 16, 20\)",
    ),
    "where": (
        lambda: glimpses_of()(FRAMES, torch.zeros(2, 5, 2)),
        ValueError,
        r"where must have shape .* = \(\.\.\., 2, 5, 4\), two numbers for each of 2 parts, got \(2, 5, 2\)",
    ),
    "frames of where": (lambda: glimpses_of()(FRAMES, torch.zeros(2, 1, 4)), ValueError, r"got \(2, 1, 4\)"),
    "double": (lambda: glimpses_of()(FRAMES, torch.zeros(2, 5, 4).double()), TypeError, "where must be torch.float32"),
}


@pytest.mark.parametrize("case", CASES)
def test_refuses_bad_input(case: str) -> None:
    action, error, sentence = CASES[case]
    with pytest.raises(error, match=sentence):
        action()
