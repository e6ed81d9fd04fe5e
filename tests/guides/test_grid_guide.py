"""Codes with a place: what a cell hears of, and bad input."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import nn

import pyrodis
from pyrodis.guides import GridGuide
from pyrodis.models import DSVAE, NormalPixels, StandardPrior
from pyrodis.nn import ConvEncoder, GridDecoder, GridEncoder, MedianFrame, Motion, SubsetFrames

FRAME = (3, 64, 64)


def encoder(channels: int = 2) -> GridEncoder:
    return GridEncoder(FRAME, channels, grid=16, widths=(4, 8))


def make() -> tuple[DSVAE, GridGuide]:
    torch.manual_seed(0)
    guide = GridGuide(encoder(3), encoder(2), static_view=MedianFrame(), dynamic_view=Motion())
    decoder = GridDecoder(3 + 2, FRAME, grid=16, widths=(8, 4))
    return DSVAE(decoder, StandardPrior(512), NormalPixels(), 768, 512, num_frames=5).eval(), guide.eval()


def test_what_rests_and_what_moves_go_to_their_own_codes_and_cells() -> None:
    """Another ground changes f alone; another thing that moves changes z alone, and only where it is."""
    _, guide = make()
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 1, *FRAME, generator=generator).mul(0.5).repeat(1, 5, 1, 1, 1)
    brighter = x + 0.25
    moved = x.clone()
    moved[:, 2, :, :4, :4] = 1  # one frame in five: not in the median
    codes, of_ground, of_thing = (pyrodis.encode(guide, clip) for clip in (x, brighter, moved))
    assert torch.allclose(codes["z"], of_ground["z"], atol=1e-5)
    assert (codes["f"] - of_ground["f"]).abs().max() > 1e-3
    assert torch.equal(codes["f"], of_thing["f"])
    difference = (codes["z"] - of_thing["z"]).abs().unflatten(-1, (2, 16, 16)).amax((0, 2))  # (T, 16, 16)
    assert difference[2, 0, 0] > 1e-4
    assert float(difference[2, 8:, 8:].max()) == 0
    assert float(difference[[0, 1, 3, 4]].max()) == 0


def test_an_exchange_is_local_too() -> None:
    """What moves in b shows before the ground of a where it is, and changes nothing far from there."""
    model, guide = make()
    x = torch.rand(2, 1, *FRAME, generator=torch.Generator().manual_seed(0)).repeat(1, 5, 1, 1, 1)
    still = pyrodis.swap(model, guide, x[:1], x[1:], take=["z"])
    x[1, 2, :, :4, :4] = 1 - x[1, 2, :, :4, :4].round()
    moving = pyrodis.swap(model, guide, x[:1], x[1:], take=["z"])
    difference = (still - moving).abs().amax((0, 2))
    assert difference[2, :8, :8].max() > 0
    assert float(difference[2, 40:, 40:].max()) == 0


BAD: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "no encoder": (
        lambda: GridGuide(3, encoder()),  # type: ignore[arg-type]
        TypeError,
        "static_encoder must be a module from frames to features, got 3; pass a GridEncoder",
    ),
    "odd features": (
        lambda: GridGuide(encoder(), ConvEncoder(FRAME, 5, base_channels=2)),
        ValueError,
        "dynamic_encoder.feature_dim must be even, a loc and a raw scale for each latent, got 5; pass a GridEncoder",
    ),
    "one encoder": (
        lambda: GridGuide(*[encoder()] * 2),
        ValueError,
        "dynamic_encoder must be another module than static_encoder",
    ),
    "no view": (
        lambda: GridGuide(encoder(), encoder(), static_view=1),  # type: ignore[arg-type]
        TypeError,
        "static_view must be a module from frames to frames or None, got 1",
    ),
    "fewer frames for z": (
        lambda: GridGuide(encoder(), encoder(), dynamic_view=SubsetFrames(2))(torch.zeros(1, 5, *FRAME)),
        ValueError,
        "dynamic_view must keep the number of frames",
    ),
    "frames of another size": (
        lambda: GridGuide(encoder(), encoder())(torch.zeros(1, 5, 3, 32, 32)),
        ValueError,
        "(3, 64, 64)",
    ),
    "no batch": (
        lambda: GridGuide(encoder(), encoder(), static_view=MedianFrame())(torch.zeros(5, *FRAME)),
        ValueError,
        "x must have shape (B, T, C, H, W), got (5, 3, 64, 64)",
    ),
    "no features": (lambda: GridGuide(nn.Identity(), encoder()), TypeError, "encoder.feature_dim"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str) -> None:
    call, error, sentence = BAD[name]
    with pytest.raises(error, match=re.escape(sentence)):
        call()
