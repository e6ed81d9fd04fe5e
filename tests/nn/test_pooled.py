"""Pooled networks: shapes, layers, blindness to place, saving, and bad input."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn

from pyrodis.infer.describe import build, describe
from pyrodis.nn import PlaceBlindEncoder, PooledEncoder, UpsampleDecoder


def frames(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("size", [(8, 8), (16, 24)])
@pytest.mark.parametrize("widths", [(3,), (3, 2), (2, 3, 4)])
def test_any_size_that_halves_comes_back(size: tuple[int, int], widths: tuple[int, ...]) -> None:
    encoder, decoder = PooledEncoder((2, *size), widths), UpsampleDecoder(3, (2, *size), widths[::-1], output_bias=-3.0)
    features = encoder(frames(2, 4, 2, *size).float())
    factor = 2 ** len(widths)
    assert features.shape == (2, 4, encoder.feature_dim)
    assert encoder.feature_dim == widths[-1] * (size[0] // factor) * (size[1] // factor)
    assert decoder(torch.randn(2, 4, 3)).shape == (2, 4, 2, *size)
    assert PlaceBlindEncoder((2, *size), 5, widths, 3)(frames(2, 4, 2, *size).float()).shape == (2, 4, 5)


def test_the_networks_are_those_of_the_source() -> None:
    """Three blocks of convolution, ReLU, normalization and pooling; three of upsampling and transposed convolution."""
    encoder, decoder = PooledEncoder(), UpsampleDecoder(72)
    assert [type(layer) for layer in encoder.blocks] == [nn.Conv2d, nn.ReLU, nn.BatchNorm2d, nn.MaxPool2d] * 3
    kinds = [nn.Upsample, nn.ConvTranspose2d, nn.ReLU, nn.BatchNorm2d] * 3
    assert [type(layer) for layer in decoder.blocks] == kinds[:-2]
    assert (encoder.feature_dim, decoder.start) == (64 * 8 * 8, (64, 8, 8))


def test_leading_dimensions_are_one_batch() -> None:
    encoder, decoder = PooledEncoder((1, 8, 8), (3, 2)).double().eval(), UpsampleDecoder(3, (1, 8, 8), (3,)).double()
    blind, decoder = PlaceBlindEncoder((1, 8, 8), 4, (3, 2), 3).double().eval(), decoder.eval()
    x, codes = frames(2, 4, 1, 8, 8), frames(2, 4, 3)
    torch.testing.assert_close(encoder(x)[1, 2], encoder(x[1, 2]))
    torch.testing.assert_close(blind(x)[1, 2], blind(x[1, 2]))
    torch.testing.assert_close(decoder(codes)[1, 2], decoder(codes[1, 2]))


@pytest.mark.parametrize("training", [True, False])
def test_a_shift_by_the_stride_leaves_the_features(training: bool) -> None:
    torch.manual_seed(0)
    blind = PlaceBlindEncoder((1, 32, 32), 6, (4, 4, 4), 5).double().train(training)
    seeing = PooledEncoder((1, 32, 32), (4, 4, 4)).double().train(training)
    x = frames(3, 1, 32, 32)
    for down, across in ((4, 0), (0, -8), (12, 20)):
        moved = x.roll((down, across), (-2, -1))
        torch.testing.assert_close(blind(moved), blind(x))
        assert not torch.allclose(seeing(moved), seeing(x), atol=1e-3)
    assert not torch.allclose(blind(x.roll(2, -1)), blind(x), atol=1e-4)  # within the stride, a little is left
    assert not torch.allclose(blind(x.flip(-1)), blind(x), atol=1e-3)  # what is there does count


@pytest.mark.parametrize(("widths", "kernel_size", "side"), [((2,), 3, 3), ((2, 2), 3, 8), ((2, 2, 2), 5, 32)])
def test_the_receptive_field_is_what_a_place_sees(widths: tuple[int, ...], kernel_size: int, side: int) -> None:
    torch.manual_seed(0)
    encoder = PlaceBlindEncoder((1, 64, 64), 4, widths, kernel_size).double().eval()
    for parameter in encoder.parameters():
        parameter.data.abs_()  # so that no ReLU is dead
    assert (encoder.receptive_field, encoder.stride) == (side, 2 ** (len(widths) - 1))
    seen = torch.zeros(64, 64, dtype=torch.bool)
    for seed in range(20):  # a maximum passes the gradient to one pixel of four
        x = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        x.requires_grad_()
        places = encoder.blocks(x)
        middle = places.shape[-1] // 2
        seen |= torch.autograd.grad(places[0, :, middle, middle].square().sum(), x)[0][0, 0] != 0
    rows, columns = seen.any(1).nonzero(), seen.any(0).nonzero()
    for places in (rows, columns):
        extent = int(places.max() - places.min()) + 1
        assert extent == side


def test_output_starts_at_its_bias_and_trains_every_parameter() -> None:
    torch.manual_seed(0)
    decoder = UpsampleDecoder(3, (2, 8, 8), (8, 4), output_bias=-3.0)
    output = decoder(torch.randn(8, 3))
    assert float((output + 3).detach().abs().mean()) < 1
    output.square().sum().backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in decoder.parameters())


@pytest.mark.parametrize(
    "module",
    [
        PooledEncoder((1, 8, 12), (3, 2), 5),
        PlaceBlindEncoder((1, 8, 12), 4, (3, 2), 3),
        UpsampleDecoder(3, (1, 8, 12), (3, 2), 5, output_bias=-1.0),
    ],
    ids=lambda module: type(module).__name__,
)
def test_rebuilds_from_its_description(module: nn.Module) -> None:
    described = json.loads(json.dumps(describe(module)))
    rebuilt = build(described)
    assert describe(rebuilt) == described
    rebuilt.load_state_dict(module.state_dict())


CASES: dict[str, tuple[Any, type[Exception], str]] = {
    "no multiple": (lambda: PooledEncoder((1, 20, 16)), ValueError, r"H and W multiples of 8, .* got \(1, 20, 16\)"),
    "small input": (lambda: PooledEncoder((1, 4, 4)), ValueError, "H and W multiples of 8"),
    "no multiple to decode": (lambda: UpsampleDecoder(2, (1, 12, 16)), ValueError, "H and W multiples of 8"),
    "stride": (lambda: PlaceBlindEncoder((1, 30, 32)), ValueError, "H and W multiples of 4"),
    "even kernel": (lambda: PooledEncoder(kernel_size=4), ValueError, "kernel_size must be an odd number, got 4"),
    "large kernel": (
        lambda: PlaceBlindEncoder((1, 8, 8), widths=(2, 2, 2), kernel_size=7),
        ValueError,
        r"kernel_size must be at most 5 for frames of \(1, 8, 8\), got 7",
    ),
    "features": (lambda: PlaceBlindEncoder(feature_dim=0), ValueError, "feature_dim must be a positive"),
    "widths": (lambda: UpsampleDecoder(2, widths=()), ValueError, "at least one layer"),
    "shape": (lambda: PooledEncoder((64, 64)), ValueError, "three positive sizes"),
    "bias": (lambda: UpsampleDecoder(2, output_bias=float("inf")), ValueError, "output_bias must be a finite number"),
    "code": (lambda: UpsampleDecoder(2)(torch.zeros(1, 3)), ValueError, r"\(\.\.\., 2\), got \(1, 3\)"),
    "frames": (lambda: PlaceBlindEncoder()(torch.zeros(1, 1, 32, 32)), ValueError, "got .1, 1, 32, 32.; resize"),
    "dtype": (lambda: PooledEncoder()(torch.zeros(1, 1, 64, 64).double()), TypeError, "must be torch.float32"),
}


@pytest.mark.parametrize("case", CASES)
def test_refuses_bad_input(case: str) -> None:
    action, error, sentence = CASES[case]
    with pytest.raises(error, match=sentence):
        action()
