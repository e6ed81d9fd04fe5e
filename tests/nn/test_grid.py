"""Codes on a grid: shapes, that a cell stays where it is, precision, saving, and bad input."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn

from pyrodis.infer.describe import build, describe
from pyrodis.nn import GridDecoder, GridEncoder, GridLocScale


@pytest.mark.parametrize(
    ("size", "grid", "num_layers"),
    [((8, 8), 8, 1), ((16, 16), 4, 2), ((16, 16), 8, 3), ((28, 56), 7, 3), ((12, 3), 3, 2), ((4, 4), 1, 2)],
)
def test_any_size_that_halves_to_the_grid_comes_back(size: tuple[int, int], grid: int, num_layers: int) -> None:
    torch.manual_seed(0)
    widths = tuple(range(2, 2 + num_layers))
    encoder, decoder = GridEncoder((2, *size), 3, grid, widths), GridDecoder(3, (3, *size), grid, widths[::-1])
    assert (encoder.feature_dim, decoder.code_dim) == (6 * grid**2, 3 * grid**2)
    features = encoder(torch.rand(2, 4, 2, *size))
    assert features.shape == (2, 4, encoder.feature_dim)
    loc, scale = GridLocScale()(features)
    assert loc.shape == scale.shape == (2, 4, decoder.code_dim)
    assert decoder(loc).shape == (2, 4, 3, *size)


def test_the_layers_are_convolutions_alone() -> None:
    encoder, decoder = GridEncoder(), GridDecoder()
    kinds = [type(layer) for layer in encoder.convolutions]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU] * 4 + [nn.Conv2d]
    assert [layer.stride[0] for layer in encoder.convolutions if isinstance(layer, nn.Conv2d)] == [2, 2, 2, 1, 1]
    kinds = [type(layer) for layer in decoder.convolutions if not isinstance(layer, (nn.BatchNorm2d, nn.LeakyReLU))]
    assert kinds == [nn.Conv2d] * 2 + [nn.ConvTranspose2d] * 3
    assert not any(isinstance(part, nn.BatchNorm2d) for part in GridDecoder(batch_norm=False).modules())


def test_leading_dimensions_are_one_batch() -> None:
    torch.manual_seed(0)
    encoder, decoder = GridEncoder((1, 8, 8), 2, 4, (3,)).eval(), GridDecoder(2, (1, 8, 8), 4, (3,)).eval()
    x, codes = torch.rand(2, 5, 1, 8, 8), torch.randn(2, 5, 32)
    torch.testing.assert_close(encoder(x)[1, 2], encoder(x[1, 2]))
    torch.testing.assert_close(decoder(codes)[1, 2], decoder(codes[1, 2]))


def test_a_shift_of_the_frame_by_a_stride_shifts_the_code_by_a_cell() -> None:
    """A cell sees 5 pixels before its own 2 and 4 after: away from the border it moves with the frame."""
    torch.manual_seed(0)
    encoder, head = GridEncoder((1, 32, 32), 3, 16, (4,)).double().eval(), GridLocScale()
    x = torch.rand(2, 1, 32, 32, dtype=torch.float64)
    before, after = (torch.stack(head(encoder(frames))).view(2, 2, 3, 16, 16) for frames in (x, x.roll((4, 2), (2, 3))))
    torch.testing.assert_close(after[..., 5:-3, 4:-3], before[..., 3:-5, 3:-4])
    assert not torch.allclose(after[..., 5:-3, 4:-3], before[..., 5:-3, 4:-3])


def test_a_cell_hears_of_the_frame_around_it_and_draws_there_alone() -> None:
    torch.manual_seed(0)
    encoder, decoder = GridEncoder((1, 32, 32), 1, 16, (4,)).eval(), GridDecoder(1, (1, 32, 32), 16, (4,)).eval()
    x, codes = torch.rand(1, 1, 32, 32), torch.randn(1, 256)
    elsewhere, other = x.clone(), codes.clone()
    elsewhere[..., :, 20:] = 0.5
    other.view(16, 16)[8, 8] += 1
    moved = (encoder(x) - encoder(elsewhere)).detach().view(2, 16, 16).abs().amax((0, 1))
    assert bool((moved[:8] == 0).all())
    assert float(moved[8]) > 0
    drawn = (decoder(codes) - decoder(other)).detach()[0, 0].abs() > 0
    rows, columns = drawn.nonzero().unbind(1)
    assert {int(rows.min()), int(columns.min())} == {11}  # two cells to each side, and one pixel more
    assert {int(rows.max()), int(columns.max())} == {22}


def test_cells_know_where_they_are() -> None:
    torch.manual_seed(0)
    decoder = GridDecoder(2, (1, 16, 16), 8, (4,)).eval()
    frame = decoder(torch.zeros(1, 128)).detach()[0, 0]
    assert float(frame[6:10, 6:10].std()) > 1e-4, "the same code in all cells draws the same at each of them"
    with torch.no_grad():
        decoder.convolutions[0].weight[:, 2:] = 0
    blind = decoder(torch.zeros(1, 128)).detach()[0, 0]
    torch.testing.assert_close(blind[6:10:2, 6:10:2], blind[8:12:2, 8:12:2])


def test_output_starts_at_its_bias_and_trains_every_parameter() -> None:
    torch.manual_seed(0)
    encoder, decoder = GridEncoder((1, 8, 8), 2, 4, (8, 8)), GridDecoder(2, (2, 8, 8), 4, (8, 8), output_bias=-3.0)
    output = decoder(GridLocScale()(encoder(torch.rand(8, 1, 8, 8)))[0])
    assert float((output + 3).detach().abs().mean()) < 1
    loc, scale = GridLocScale()(encoder(torch.rand(8, 1, 8, 8)))
    (decoder(loc + scale * torch.randn_like(scale)).square().sum() + scale.log().sum()).backward()
    for network in (encoder, decoder):
        assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in network.parameters())


def test_runs_in_mixed_and_in_double_precision() -> None:
    encoder, decoder, head = GridEncoder((1, 8, 8), 2, 4, (4,)), GridDecoder(2, (1, 8, 8), 4, (4,)), GridLocScale()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loc, scale = head(encoder(torch.rand(2, 1, 8, 8)))
        outputs = [loc, scale, decoder(loc), *head(torch.zeros(1, 2, dtype=torch.bfloat16))]
    assert {output.dtype for output in outputs} == {torch.float32}
    loc, scale = head(encoder.double()(torch.rand(2, 1, 8, 8).double()))
    assert {output.dtype for output in (loc, scale, decoder.double()(loc))} == {torch.float64}


@pytest.mark.parametrize(
    "module",
    [
        GridEncoder((1, 8, 16), 2, 4, (3, 5), 0.1, batch_norm=False),
        GridDecoder(2, (1, 8, 16), 4, (3, 5), 0.1, batch_norm=False, output_bias=-1.0),
        GridLocScale(0.3),
    ],
    ids=["encoder", "decoder", "head"],
)
def test_rebuilds_from_its_description(module: nn.Module) -> None:
    described = json.loads(json.dumps(describe(module)))
    rebuilt = build(described)
    assert describe(rebuilt) == described
    rebuilt.load_state_dict(module.state_dict())


CASES: dict[str, tuple[Any, type[Exception], str]] = {
    "no multiple": (lambda: GridEncoder((3, 60, 64)), ValueError, r"sides of 8 x 2\^n pixels.* got \(3, 60, 64\)"),
    "three times": (lambda: GridDecoder(4, (3, 64, 24)), ValueError, r"got \(3, 64, 24\); take another grid or more"),
    "too few layers": (lambda: GridEncoder((3, 128, 128)), ValueError, "n is from 0 to 3, one halving for each"),
    "small frame": (lambda: GridDecoder(4, (3, 4, 4)), ValueError, "grid = 8 and n is from 0 to 3"),
    "shape": (lambda: GridEncoder((64, 64)), ValueError, "frame_shape must be three positive sizes"),
    "grid": (lambda: GridEncoder(grid=0), ValueError, "grid must be a positive whole number, got 0"),
    "half a grid": (lambda: GridDecoder(grid=8.0), TypeError, "grid must be a positive whole number, got 8.0"),
    "latents": (lambda: GridEncoder(latent_channels=0), ValueError, "latent_channels must be a positive"),
    "latents of the decoder": (lambda: GridDecoder(True), TypeError, "latent_channels must be a positive"),
    "no layer": (lambda: GridDecoder(widths=()), ValueError, "at least one layer"),
    "slope": (lambda: GridEncoder(negative_slope=1.0), ValueError, r"negative_slope must be in \[0, 1\), got 1.0"),
    "bias": (lambda: GridDecoder(output_bias=float("inf")), ValueError, "output_bias must be a finite number"),
    "scale": (lambda: GridLocScale(0.0), ValueError, "initial_scale must be a finite number above 0"),
    "odd": (lambda: GridLocScale()(torch.zeros(2, 3)), ValueError, "got an odd number, 3; take those of a GridEncoder"),
    "code": (
        lambda: GridDecoder(widths=(2, 2, 2))(torch.zeros(1, 64)),
        ValueError,
        r"\(\.\.\., 256\), got \(1, 64\); 4 latents in each of 8 x 8 cells are 256",
    ),
    "frame": (lambda: GridEncoder()(torch.zeros(1, 3, 32, 32)), ValueError, "got .1, 3, 32, 32.; resize"),
    "dtype": (lambda: GridEncoder()(torch.zeros(1, 3, 64, 64).double()), TypeError, "must be torch.float32"),
    "dtype of codes": (lambda: GridDecoder()(torch.zeros(1, 256).double()), TypeError, "codes must be torch.float32"),
}


@pytest.mark.parametrize("case", CASES)
def test_refuses_bad_input(case: str) -> None:
    action, error, sentence = CASES[case]
    with pytest.raises(error, match=sentence):
        action()
