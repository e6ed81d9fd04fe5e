"""The equations of VAEs in windows and of their guide, pixel by pixel and step by step."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from pyrodis.guides import ResidualGuide
from pyrodis.models import MixturePixels, ParallelVAE
from pyrodis.nn import LocScale, StridedEncoder, UniformDecoder, WindowDecoder, WindowEncoder

SHAPE, SIZE, CODE = (3, 10, 12), 4, 5


def distribution(number: torch.Tensor) -> float:
    """The distribution function of the standard normal."""
    return (1 + math.erf(float(number) / math.sqrt(2))) / 2


@torch.no_grad()
def test_uniform_decoder_is_one_color_of_no_confidence() -> None:
    torch.manual_seed(0)
    decoder = UniformDecoder(CODE, SHAPE, hidden_dim=6, output_bias=-1.0).double()
    code = torch.randn(2, CODE).double()
    first, _, last = decoder.layers
    color = torch.relu(code @ first.weight.T + first.bias) @ last.weight.T + last.bias
    output = decoder(code)
    torch.testing.assert_close(output[:, :2], color[..., None, None].expand(2, 2, 10, 12))
    assert not output[:, 2].any()
    assert last.bias.tolist() == [-1.0, -1.0]


@torch.no_grad()
def test_eslami_window_decoder_puts_its_window_at_its_place() -> None:
    torch.manual_seed(0)
    decoder = WindowDecoder(CODE, SHAPE, SIZE, widths=(4,), hidden_dim=8).double()
    code = torch.randn(CODE).double()
    x, y = distribution(code[3]) * (12 - 4), distribution(code[4]) * (10 - 4)
    assert decoder.place(code).tolist() == pytest.approx([x, y])
    window, output = decoder.patch_layers(code[None, :3])[0], decoder(code)
    for i in range(10):
        for j in range(12):
            shares = [[max(0.0, 1 - abs(i - y - k)) * max(0.0, 1 - abs(j - x - n)) for n in range(4)] for k in range(4)]
            near = torch.tensor(shares, dtype=torch.float64)
            wanted = (near * window).sum((1, 2)) + (1 - near.sum()) * torch.tensor([0.0, 0.0, -10.0]).double()
            torch.testing.assert_close(output[:, i, j], wanted)


def heaps_by_hand(unexplained: torch.Tensor) -> torch.Tensor:
    """Sums of an image (H, W) under a Gaussian of P / 6 pixels around every pixel, up to a factor."""
    rows, columns = torch.meshgrid(torch.arange(10.0), torch.arange(12.0), indexing="ij")
    found = torch.zeros_like(unexplained)
    reach = math.ceil(2 * SIZE / 6)
    for i in range(10):
        for j in range(12):
            near = ((rows - i).abs() <= reach) & ((columns - j).abs() <= reach)
            weights = (-((rows - i) ** 2 + (columns - j) ** 2) / (2 * (SIZE / 6) ** 2)).exp() * near
            found[i, j] = (weights * unexplained).sum()
    return found


@torch.no_grad()
def test_window_encoder_reads_the_window_around_the_largest_heap() -> None:
    torch.manual_seed(0)
    encoder = WindowEncoder(CODE, SHAPE, SIZE, widths=(4,), hidden_dim=8).double()
    nn.init.normal_(encoder.mover[-1].weight, std=0.3)
    frame = torch.rand(3, 10, 12).double()
    frame[2] *= 0.1
    frame[2, 5:7, 6:8] += 2
    best = int(heaps_by_hand(frame[2]).argmax())
    middle = torch.tensor([best % 12, best // 12]).double()
    assert encoder.heap(frame[None, 2])[0].tolist() == middle.tolist()

    def window(corner: torch.Tensor) -> torch.Tensor:
        """The window whose upper left pixel is there, by bilinear interpolation."""
        found = torch.zeros(3, SIZE, SIZE).double()
        for k in range(SIZE):
            for n in range(SIZE):
                for i in range(10):
                    for j in range(12):
                        share = max(0.0, 1 - abs(i - float(corner[1]) - k)) * max(
                            0.0, 1 - abs(j - float(corner[0]) - n)
                        )
                        found[:, k, n] += share * frame[:, i, j]
        return found

    first = middle - (SIZE - 1) / 2
    place = first + SIZE / 3 * encoder.mover(window(first)[None])[0].tanh()
    room = torch.tensor([12.0 - 4, 10.0 - 4]).double()
    assert bool((place > 0).all() and (place < room).all())  # else it would be kept within the image
    loc, scale = encoder(frame)
    what, raw = encoder.head(encoder.reader(window(place)[None]))[0].split((CODE - 2, CODE))
    torch.testing.assert_close(loc[:3], what)
    shares = [distribution(number) for number in loc[3:]]
    assert shares == pytest.approx((place / room).tolist())
    offset = math.log(math.expm1(0.1))
    torch.testing.assert_close(scale, 1e-4 + torch.log1p((raw + offset).exp()))


def make_pair(windows: int = 2) -> tuple[ParallelVAE, ResidualGuide]:
    """A ground and windows on it, double precision, with weights large enough to claim pixels."""
    torch.manual_seed(1)
    sizes: dict[str, Any] = {"patch_size": SIZE, "widths": (4,), "hidden_dim": 8}
    decoders: list[nn.Module] = [UniformDecoder(CODE, SHAPE)]
    decoders += [WindowDecoder(CODE, SHAPE, confidence_bias=1.0, **sizes) for _ in range(windows)]
    encoders: list[nn.Module] = [nn.Sequential(StridedEncoder(SHAPE, (2, 2), 4), LocScale(4, CODE, 0.1))]
    encoders += [WindowEncoder(CODE, SHAPE, **sizes) for _ in range(windows)]
    model, guide = ParallelVAE(decoders, MixturePixels(), CODE), ResidualGuide(decoders, encoders, CODE)
    return model.double().eval(), guide.double().eval()


@torch.no_grad()
def test_residual_guide_looks_at_what_is_the_grounds_and_unlike_it() -> None:
    model, guide = make_pair()
    x = torch.rand(3, 1, 2, 10, 12).double()
    found = guide(x)
    unexplained, drawn, kl, new = [torch.zeros(3, 10, 12).double()], [], [], torch.ones(3, 10, 12).double()
    rows, columns = torch.meshgrid(torch.arange(10.0).double(), torch.arange(12.0).double(), indexing="ij")
    for k, encoder in enumerate(guide.encoders):
        loc, scale = encoder(torch.cat([x[:, 0], unexplained[k][:, None]], 1))
        kl.append((-scale.log() + (scale**2 + loc**2) / 2 - 0.5).sum(-1))
        drawn.append(model.decoders[k](loc))
        share = drawn[0][:, -1].exp() / sum(output[:, -1].exp() for output in drawn)
        ground = 1 / (1 + (-drawn[0][:, :-1]).exp())
        for b in range(3) if k else ():
            left, top = distribution(loc[b, 3]) * (12 - SIZE), distribution(loc[b, 4]) * (10 - SIZE)
            square = (columns - left - 1.5) ** 2 + (rows - top - 1.5) ** 2
            new[b] *= 1 - (-square / (2 * (SIZE / 6) ** 2)).exp()
        unexplained.append(new * share * (x[:, 0] - ground).abs().mean(1))
    torch.testing.assert_close(found["unexplained"], torch.stack(unexplained[:-1], 1))
    torch.testing.assert_close(found["kl"], torch.stack(kl, 1))
    # What the first window claims, the second one looks at less.
    assert bool((found["unexplained"][:, 2] <= found["unexplained"][:, 1]).all())
    assert float(found["unexplained"][:, 2].sum()) < 0.95 * float(found["unexplained"][:, 1].sum())
