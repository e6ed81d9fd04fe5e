"""The encoder of where that looks for what: places, order, leading dimensions, saving, and bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from pyrodis.infer.describe import build, describe
from pyrodis.nn import PlaceFinder

PLACES = ((4, 4), (4, 16), (10, 10))


def finder_of(**rest: Any) -> PlaceFinder:
    torch.manual_seed(0)
    sizes = {"what_dim": 3, "frame_shape": (1, 16, 24), "key_dim": 4, "widths": (3,), "kernel_size": 3}
    return PlaceFinder(**{**sizes, "hidden_dim": 8, **rest}).eval()


def frames_with(place: tuple[int, int], size: tuple[int, int] = (16, 24)) -> torch.Tensor:
    """One clip of one frame that has a bright block at a place."""
    x = torch.zeros(1, 1, 1, *size)
    x[..., place[0] : place[0] + 2, place[1] : place[1] + 2] = 1
    return x


def test_codes_may_lead_with_draws_and_change_from_frame_to_frame() -> None:
    finder, frames, what = finder_of(), torch.rand(2, 5, 1, 16, 24), torch.randn(7, 2, 5, 3)
    found = finder(frames, what)
    assert found.shape == (7, 2, 5, finder.feature_dim)
    torch.testing.assert_close(found[3, :, 1:2], finder(frames[:, 1:2], what[3, :, 1:2]))
    same = what[:, :, :1]
    torch.testing.assert_close(finder(frames, same), finder(frames, same.expand(7, 2, 5, 3)))


def test_a_sharp_query_finds_the_block_wherever_it_is() -> None:
    finder = finder_of()
    with torch.no_grad():  # key and query of brightness
        for part in finder.keys:
            if isinstance(part, torch.nn.Conv2d):
                part.weight.fill_(1 / part.weight[0].numel())
                part.bias.zero_()
        finder.queries[-1].weight.zero_()
        finder.queries[-1].bias.fill_(1e3)
    with torch.no_grad():
        found = {place: (finder(frames_with(place), torch.zeros(1, 1, 3))[0, 0, :2] / 2.5).tolist() for place in PLACES}
    for place, (x, y) in found.items():
        assert abs((x + 1) / 2 * 23 - place[1] - 0.5) < 1.5
        assert abs((y + 1) / 2 * 15 - place[0] - 0.5) < 1.5


def test_parts_with_one_query_have_one_place() -> None:
    finder = finder_of()
    with torch.no_grad():
        weight, bias = finder.queries[-1].weight, finder.queries[-1].bias
        weight[4:], bias[4:] = weight[:4].clone(), bias[:4].clone()
    found = finder(torch.rand(2, 3, 1, 16, 24), torch.randn(2, 1, 3))
    torch.testing.assert_close(found[..., :2], found[..., 2:])


def test_every_parameter_learns() -> None:
    finder = finder_of().train()
    finder(torch.rand(2, 3, 1, 16, 24), torch.randn(2, 1, 3))[..., 0].sum().backward()
    silent = {name for name, p in finder.named_parameters() if p.grad is None or not p.grad.any()}
    # A key that is added everywhere, and what a batch normalization takes away, moves no softmax.
    assert silent <= {"keys.6.bias", "keys.0.bias", "keys.3.bias"}


def test_autocast_and_saving() -> None:
    finder, frames, what = finder_of(), torch.rand(1, 2, 1, 16, 24), torch.randn(1, 1, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert finder(frames, what).dtype == torch.float32
    again = build(json.loads(json.dumps(describe(finder)))).eval()
    again.load_state_dict(finder.state_dict())
    torch.testing.assert_close(again(frames, what), finder(frames, what))
    assert finder_of().double()(frames.double(), what.double()).dtype == torch.float64


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: finder_of(num_places=0), ValueError, "num_places must be a positive whole number, got 0"),
        (lambda: finder_of(kernel_size=4), ValueError, "kernel_size must be an odd number, got 4"),
        (lambda: finder_of(widths=()), ValueError, "widths must hold the channels"),
        (lambda: finder_of(key_dim=2.0), TypeError, "key_dim must be"),
        (
            lambda: finder_of()(torch.rand(2, 5, 1, 16, 24), torch.zeros(2, 3)),
            ValueError,
            r"what must have shape \(..., B, T, S\) or \(..., B, 1, S\), one of .* got \(2, 3\)",
        ),
        (
            lambda: finder_of()(torch.rand(2, 5, 1, 16, 24), torch.zeros(2, 4, 3)),
            ValueError,
            r"what must have shape .* got \(2, 4, 3\)",
        ),
        (lambda: finder_of()(torch.rand(2, 1, 16, 24), torch.zeros(2, 1, 3)), ValueError, r"got \(2, 1, 16, 24\)"),
        (lambda: finder_of()(torch.rand(2, 1, 1, 8, 8), torch.zeros(2, 1, 3)), ValueError, r"\.\.\., 1, 16, 24\)"),
        (
            lambda: finder_of()(torch.rand(2, 1, 1, 16, 24), torch.zeros(2, 1, 3, dtype=torch.float64)),
            TypeError,
            "what",
        ),
    ],
)
def test_bad_input(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
