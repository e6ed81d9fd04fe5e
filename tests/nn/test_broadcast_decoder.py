"""The broadcast decoder: shapes, where things are, smaller grids, saving, and bad input."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pyrodis.infer.describe import build, describe
from pyrodis.nn import BroadcastDecoder


def decoder_of(**rest: Any) -> BroadcastDecoder:
    torch.manual_seed(0)
    return BroadcastDecoder(**{"code_dim": 3, "frame_shape": (1, 8, 8), "channels": 4, "num_layers": 1, **rest})


@pytest.mark.parametrize("broadcast_size", [None, 8, 4, 2, 1])
def test_leading_dimensions_are_one_batch(broadcast_size: int | None) -> None:
    decoder, codes = decoder_of(broadcast_size=broadcast_size), torch.randn(2, 5, 3)
    frames = decoder(codes)
    assert frames.shape == (2, 5, 1, 8, 8)
    torch.testing.assert_close(frames[1, 2], decoder(codes[1, 2]))


def test_a_small_grid_gives_each_of_its_pixels_a_square_of_the_frame() -> None:
    decoder, codes = decoder_of(broadcast_size=4).double(), torch.randn(6, 3, dtype=torch.float64)
    output = decoder(codes)
    on_grid = decoder.convolutions[:-1](
        decoder.code_layer(codes)[..., None, None] + decoder.coordinate_layer(decoder.coordinates)
    )
    assert on_grid.shape == (6, 4, 4, 4)
    for i in range(2):
        for j in range(2):
            torch.testing.assert_close(output[:, 0, i::2, j::2], on_grid[:, 2 * i + j])


def test_can_draw_a_point_where_the_code_says() -> None:
    """Two steps of the coordinates by hand: a pixel of the frame answers to the code alone through its distance."""
    decoder = decoder_of(code_dim=1, channels=2, num_layers=1)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.zero_()
        decoder.code_layer.weight[:, 0] = torch.tensor([1.0, -1.0])
        decoder.coordinate_layer.weight[:, 1, 0, 0] = torch.tensor([-1.0, 1.0])  # the second coordinate runs along W
        decoder.convolutions[1].weight[:, :, 1, 1] = torch.eye(2)
        decoder.convolutions[3].weight[0, :, 0, 0] = -1.0
    steps = torch.linspace(-1, 1, 8)
    frames = decoder(steps[:, None])
    assert frames[:, 0].flatten(1).argmax(1).remainder(8).tolist() == list(range(8))
    torch.testing.assert_close(frames[:, 0, 0], frames[:, 0, 5])


def test_output_starts_at_its_bias_and_trains_every_parameter() -> None:
    decoder = decoder_of(output_bias=-3.0)
    frames = decoder(torch.randn(4, 3))
    assert float((frames + 3).detach().abs().mean()) < 1
    frames.square().sum().backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in decoder.parameters())


def test_is_described_and_built_by_name() -> None:
    decoder = decoder_of(broadcast_size=4, output_bias=-3.0)
    other = build(describe(decoder))
    other.load_state_dict(decoder.state_dict())
    codes = torch.randn(2, 3)
    torch.testing.assert_close(other(codes), decoder(codes))


def test_runs_in_mixed_and_in_double_precision() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert decoder_of()(torch.zeros(2, 3)).dtype == torch.float32
    assert decoder_of().double()(torch.zeros(2, 3, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize(
    ("rest", "error", "match"),
    [
        ({"broadcast_size": 3}, ValueError, "broadcast_size must divide the frames' height 8, got 3; pass 4"),
        ({"broadcast_size": 16}, ValueError, "got 16"),
        ({"broadcast_size": 0}, ValueError, "broadcast_size must be a positive"),
        ({"broadcast_size": 4.0}, TypeError, "broadcast_size must be a positive"),
        ({"channels": 0}, ValueError, "channels"),
        ({"num_layers": 0}, ValueError, "num_layers"),
        ({"code_dim": 0}, ValueError, "code_dim"),
        ({"frame_shape": (1, 9, 9)}, ValueError, "power of two"),
        ({"output_bias": float("nan")}, ValueError, "output_bias must be a finite number"),
    ],
)
def test_refuses(rest: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        decoder_of(**rest)


def test_refuses_codes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"codes must have shape \(..., code_dim\) = \(..., 3\), got \(2, 4\)"):
        decoder_of()(torch.zeros(2, 4))
    with pytest.raises(TypeError, match=r"codes must be torch\.float32"):
        decoder_of()(torch.zeros(2, 3, dtype=torch.float64))
