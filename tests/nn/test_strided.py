"""Networks for images of any size: shapes, the sizes of the source, saving, and bad input."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn

from pyrodis.infer.describe import build, describe
from pyrodis.nn import StridedDecoder, StridedEncoder


@pytest.mark.parametrize("size", [(28, 56), (28, 28), (7, 5), (1, 1), (64, 64), (9, 16)])
@pytest.mark.parametrize("widths", [(3,), (3, 4), (2, 3, 4, 5)])
def test_any_size_comes_back(size: tuple[int, int], widths: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    encoder = StridedEncoder((2, *size), widths, 6).eval()
    assert encoder(torch.rand(2, 4, 2, *size)).shape == (2, 4, 6)
    for kernel_size in (3, 4):
        decoder = StridedDecoder(3, (3, *size), widths[::-1], 5, kernel_size=kernel_size).eval()
        assert decoder(torch.randn(2, 4, 3)).shape == (2, 4, 3, *size)


def test_a_kernel_of_four_leaves_no_checkerboard() -> None:
    """Equal weights draw an even plane: away from the border all pixels are reached alike."""
    for kernel_size, even in ((3, False), (4, True)):
        decoder = StridedDecoder(2, (1, 32, 32), (4, 4), 5, batch_norm=False, kernel_size=kernel_size).eval()
        with torch.no_grad():
            for layer in decoder.convolutions:
                if isinstance(layer, nn.ConvTranspose2d):
                    layer.weight.fill_(1.0)
                    layer.bias.fill_(0.0)
            plane = decoder.convolutions(torch.ones(1, 4, 8, 8))[0, 0, 8:-8, 8:-8]
        assert (plane.max() == plane.min()) == even


def test_leading_dimensions_are_one_batch() -> None:
    torch.manual_seed(0)
    encoder, decoder = StridedEncoder((1, 7, 5), (3, 4), 6).eval(), StridedDecoder(3, (2, 7, 5), (4, 3), 5).eval()
    x, codes = torch.rand(2, 4, 1, 7, 5), torch.randn(2, 4, 3)
    torch.testing.assert_close(encoder(x)[1, 2], encoder(x[1, 2]))
    torch.testing.assert_close(decoder(codes)[1, 2], decoder(codes[1, 2]))


def test_the_networks_are_those_of_the_source() -> None:
    """Kernel 3, stride 2, batch normalization and activation after every convolution, then the dense layer."""
    encoder, decoder = StridedEncoder(), StridedDecoder(32)
    kinds = [type(layer) for layer in encoder.convolutions]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU] * 2
    assert all(
        layer.kernel_size == (3, 3) and layer.stride == (2, 2)
        for layer in (*encoder.convolutions, *decoder.convolutions)
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))
    )
    assert encoder.linear.in_features == 64 * 7 * 14
    assert decoder.start == (64, 7, 14)
    assert float(encoder(torch.rand(4, 1, 28, 56)).detach().min()) == 0  # a slope of 0 is ReLU
    scenes = StridedEncoder((3, 64, 64), (4, 4, 4, 4), 256, negative_slope=0.3).eval()
    assert scenes(torch.rand(2, 3, 64, 64)).shape == (2, 256)
    assert float(scenes(torch.rand(2, 3, 64, 64)).detach().min()) < 0


def test_output_starts_at_its_bias_and_trains_every_parameter() -> None:
    torch.manual_seed(0)
    decoder = StridedDecoder(3, (2, 7, 5), (8, 4), 5, negative_slope=0.3, output_bias=-3.0)
    output = decoder(torch.randn(8, 3))
    assert float((output + 3).detach().abs().mean()) < 1
    output.square().sum().backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in decoder.parameters())


@pytest.mark.parametrize(
    "module",
    [
        StridedEncoder((1, 7, 5), (3,), 4, 0.3, batch_norm=False),
        StridedDecoder(3, (1, 7, 5), (3, 2), 4, 0.3, batch_norm=False, output_bias=-1.0),
    ],
    ids=["encoder", "decoder"],
)
def test_rebuilds_from_its_description(module: nn.Module) -> None:
    described = json.loads(json.dumps(describe(module)))
    rebuilt = build(described)
    assert describe(rebuilt) == described
    rebuilt.load_state_dict(module.state_dict())
    assert not any(isinstance(part, nn.BatchNorm2d) for part in rebuilt.modules())


CASES: dict[str, tuple[Any, type[Exception], str]] = {
    "shape": (lambda: StridedEncoder((28, 56)), ValueError, r"frame_shape must be three positive sizes"),
    "size": (lambda: StridedDecoder(2, (1, 0, 5)), ValueError, r"frame_shape must be three positive sizes"),
    "no ints": (lambda: StridedEncoder((1, 28.0, 56)), TypeError, "three whole numbers"),
    "no layer": (lambda: StridedEncoder(widths=()), ValueError, "at least one layer"),
    "one width": (lambda: StridedEncoder(widths=32), TypeError, "one number a layer, got 32"),
    "width": (lambda: StridedDecoder(2, widths=(4, 0)), ValueError, r"widths\[1\] must be a positive"),
    "slope": (lambda: StridedEncoder(negative_slope=1.5), ValueError, r"negative_slope must be in \[0, 1\), got 1.5"),
    "no slope": (lambda: StridedDecoder(2, negative_slope="relu"), TypeError, "negative_slope must be a number"),
    "kernel": (lambda: StridedDecoder(2, kernel_size=5), ValueError, "kernel_size must be 3, or 4, which reaches"),
    "bias": (lambda: StridedDecoder(2, output_bias=float("nan")), ValueError, "output_bias must be a finite number"),
    "code": (lambda: StridedDecoder(2)(torch.zeros(1, 3)), ValueError, r"\(\.\.\., 2\), got \(1, 3\)"),
    "image": (lambda: StridedEncoder()(torch.zeros(1, 1, 28, 28)), ValueError, "got .1, 1, 28, 28.; resize"),
    "dtype": (lambda: StridedEncoder()(torch.zeros(1, 1, 28, 56).double()), TypeError, "must be torch.float32"),
}


@pytest.mark.parametrize("case", CASES)
def test_refuses_bad_input(case: str) -> None:
    action, error, sentence = CASES[case]
    with pytest.raises(error, match=sentence):
        action()
