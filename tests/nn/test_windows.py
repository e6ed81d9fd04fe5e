"""VAEs in windows: edges, gradients, saving, bad input."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from pyrodis.infer.describe import build, describe
from pyrodis.nn import UniformDecoder, WindowDecoder, WindowEncoder

SIZES = {"frame_shape": (3, 16, 20), "patch_size": 8, "widths": (4, 3), "hidden_dim": 8}


def decoder_of(**rest: Any) -> WindowDecoder:
    torch.manual_seed(0)
    return WindowDecoder(**{"code_dim": 5, **SIZES, **rest})


def encoder_of(**rest: Any) -> WindowEncoder:
    torch.manual_seed(0)
    return WindowEncoder(**{"code_dim": 5, **SIZES, **rest})


def spot(*places: tuple[int, int]) -> torch.Tensor:
    """Images with what is unexplained at some places (x, y), one an image."""
    frames = torch.zeros(len(places), 3, 16, 20)
    for frame, (x, y) in zip(frames, places):
        frame[:, y, x] = 1
    return frames


def test_leading_dimensions_are_one_batch() -> None:
    codes, frames = torch.randn(2, 4, 5), torch.rand(2, 4, 3, 16, 20)
    for decoder in (decoder_of(), UniformDecoder(5, (3, 16, 20))):
        assert decoder(codes).shape == (2, 4, 3, 16, 20)
        torch.testing.assert_close(decoder(codes)[1, 2], decoder(codes[1, 2]))
    encoder = encoder_of()
    loc, scale = encoder(frames)
    assert loc.shape == scale.shape == (2, 4, 5)
    torch.testing.assert_close(loc[1, 2], encoder(frames[1, 2])[0])
    assert bool((scale > 0).all())


@torch.no_grad()
def test_a_window_makes_no_claim_outside_of_it() -> None:
    output = decoder_of()(torch.zeros(5))  # its window covers 6 to 14 along x, 4 to 12 along y
    outside = torch.ones(16, 20, dtype=torch.bool)
    outside[4:12, 6:14] = False
    assert bool((output[2][outside] == -10).all())
    assert not output[:2, outside].any()
    assert float(output[2][~outside].min()) > -9


@torch.no_grad()
def test_what_is_read_comes_back_at_its_place() -> None:
    encoder, decoder = encoder_of(), decoder_of()
    loc, _ = encoder(spot((6, 5), (15, 11), (10, 8)))
    middles = decoder.place(loc) + 3.5
    assert float((middles - torch.tensor([[6.0, 5], [15, 11], [10, 8]])).abs().max()) < 1  # the mover begins small


@torch.no_grad()
def test_windows_are_kept_within_the_image() -> None:
    loc, _ = encoder_of()(spot((0, 0), (19, 15)))
    assert bool(loc.isfinite().all())
    places = decoder_of().place(loc)
    assert float((places[0] / torch.tensor([12.0, 8])).max()) < 0.02
    assert float((places[1] / torch.tensor([12.0, 8])).min()) > 0.98


def test_a_window_as_high_as_the_image_has_one_place() -> None:
    sizes = SIZES | {"frame_shape": (3, 8, 20)}
    encoder, decoder = WindowEncoder(5, **sizes), WindowDecoder(5, **sizes)  # type: ignore[arg-type]
    loc, _ = encoder(torch.rand(4, 3, 8, 20))
    assert bool(loc.isfinite().all())
    assert not loc[:, 4].any()
    assert not decoder.place(torch.randn(6, 5))[:, 1].any()


def test_nothing_unexplained_is_no_mistake() -> None:
    loc, scale = encoder_of()(torch.zeros(2, 3, 16, 20))
    assert bool(loc.isfinite().all())
    assert bool(scale.isfinite().all())


def test_every_parameter_learns_in_mixed_and_double_precision() -> None:
    for module, inputs in (
        (decoder_of(), torch.randn(4, 5)),
        (UniformDecoder(5, (3, 16, 20), 6), torch.randn(4, 5)),
        (encoder_of(), spot((6, 5), (13, 10), (10, 8), (7, 9)) + 0.1 * torch.rand(4, 3, 16, 20)),
    ):
        found = module(inputs)
        parts = found if isinstance(found, tuple) else (found[..., :4, :], found[..., 4:, :])
        sum(part.sigmoid().square().sum() for part in parts).backward()
        assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in module.parameters()), type(module)
        with torch.autocast("cpu", torch.bfloat16):
            assert all(part.dtype == torch.float32 for part in (module(inputs) if len(parts) == 2 else parts))
        exact = module.double()(inputs.double())
        assert (exact[0] if isinstance(exact, tuple) else exact).dtype == torch.float64


@pytest.mark.parametrize("module", [decoder_of(output_bias=-1.0), encoder_of(), UniformDecoder(5, (3, 16, 20))])
def test_is_described_and_built_by_name(module: Any) -> None:
    again = build(json.loads(json.dumps(describe(module))))
    again.load_state_dict(module.state_dict())
    inputs = torch.rand(2, 3, 16, 20) if isinstance(module, WindowEncoder) else torch.randn(2, 5)
    torch.testing.assert_close(again(inputs), module(inputs))


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (decoder_of, {"code_dim": 2}, "code_dim must be at least 3, what and the two numbers of where, got 2"),
        (encoder_of, {"code_dim": 2}, "code_dim must be at least 3"),
        (decoder_of, {"frame_shape": (1, 16, 20)}, r"frame_shape must be \(C \+ 1, H, W\) with one channel beside"),
        (encoder_of, {"frame_shape": (1, 16, 20)}, r"frame_shape must be \(C \+ 1, H, W\) with one channel beside"),
        (decoder_of, {"patch_size": 24}, "patch_size must be at most 16"),
        (encoder_of, {"patch_size": 6}, "patch_size must be a multiple of 4"),
        (encoder_of, {"initial_scale": 0.0}, "initial_scale must be"),
        (
            decoder_of,
            {"confidence_bias": float("nan")},
            "confidence_bias must be a finite number, got nan; it is a logit, such as 0",
        ),
    ],
)
def test_impossible_options_are_refused(make: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(**options)


def test_biases_are_those_asked_for() -> None:
    bias = decoder_of(output_bias=-2.0, confidence_bias=0.5).patch_layers[-1].bias
    assert bias.tolist() == [-2.0, -2.0, 0.5]


def test_the_mover_begins_at_the_heap() -> None:
    torch.manual_seed(0)
    encoder = encoder_of()
    assert float(encoder.mover[-1].weight.detach().abs().max()) <= 0.1 / 32**0.5


@torch.no_grad()
def test_a_window_at_the_edge_is_read_within_the_image() -> None:
    encoder = encoder_of()
    first = spot((0, 0))
    moved = torch.nn.functional.pad(first, (6, 0, 6, 0))[..., :16, :20]  # the same, six pixels further
    torch.manual_seed(0)
    corner, inside = encoder(first)[0], encoder(moved)[0]
    assert not torch.allclose(corner[:, :3], inside[:, :3], atol=1e-4)  # there the spot is in the corner of the window


def test_low_precision_around_them_changes_their_numbers_little() -> None:
    """Places are found, windows cut and put in full precision; the networks alone are in that of autocast."""
    torch.manual_seed(0)
    codes, frames = torch.randn(4, 5), torch.rand(4, 3, 16, 20)
    encoder, decoder = encoder_of(), decoder_of()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert torch.equal(decoder.place(codes), decoder_of().place(codes))
        low = decoder.visited(codes), encoder.heap(frames[:, 2])
    assert torch.equal(low[0], decoder.visited(codes))
    assert torch.equal(low[1], encoder.heap(frames[:, 2]))


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(TypeError, match="output_bias must be a number, got 'a'"):
        decoder_of(output_bias="a")
    with pytest.raises(TypeError, match="confidence_bias must be a number, got None"):
        decoder_of(confidence_bias=None)
    with pytest.raises(TypeError, match="codes must be a tensor of floating-point numbers, got torch"):
        decoder_of()(torch.zeros(2, 5, dtype=torch.int64))
    with pytest.raises(TypeError, match="codes must be a tensor of floating-point numbers, got list"):
        UniformDecoder(5, (3, 16, 20))([0.0] * 5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"codes must have shape \(..., code_dim\)"):
        decoder_of().visited(torch.zeros(2, 3))
    assert encoder_of(initial_scale=1e3).offset == 1e3


def test_wrong_shapes_are_refused() -> None:
    for decoder in (decoder_of(), UniformDecoder(5, (3, 16, 20))):
        with pytest.raises(ValueError, match=r"codes must have shape \(..., code_dim\) = \(..., 5\), got \(2, 4\)"):
            decoder(torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"frames must have shape"):
        encoder_of()(torch.zeros(2, 2, 16, 20))
