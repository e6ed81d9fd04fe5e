"""The equations of the decoder that places what it draws, against torch's spatial transformer and pixel by pixel."""

from __future__ import annotations

import math
from itertools import permutations, product

import torch

from pyrodis.nn import Glimpses, PartsDecoder, PlacedDecoder
from pyrodis.nn._placing import overlay
from pyrodis.ops import match_parts


def test_jaderberg_placed_decoder_is_a_translated_sampling() -> None:
    """The interpolation of patches is that of a spatial transformer, here torch's own, that only translates."""
    patches, size = torch.randn(5, 3, 8, 8).double(), (12, 17)
    places = torch.rand(5, 2).double() * torch.tensor([17 - 8, 12 - 8])
    theta = torch.zeros(5, 2, 3).double()
    for axis, (side, place) in enumerate(zip((17, 12), places.T)):
        theta[:, axis, axis] = side / 8
        theta[:, axis, 2] = (side - 2 * place) / 8 - 1
    grid = torch.nn.functional.affine_grid(theta, [5, 3, *size], align_corners=False)
    sampled = torch.nn.functional.grid_sample(patches.sigmoid(), grid, align_corners=False)
    frame = overlay(patches[:, None], places[:, None], size)
    torch.testing.assert_close(frame.sigmoid(), 1 - (1 - 1e-6) * (1 - (1 - 1e-6) * sampled))


@torch.no_grad()
def test_placed_decoder_overlays_what_its_networks_say() -> None:
    torch.manual_seed(0)
    decoder = PlacedDecoder(3, 2, (1, 10, 12), num_places=2, patch_size=4, widths=(4,), hidden_dim=8).double()
    what, where = torch.randn(3).double(), torch.randn(2).double()
    (first, _, last), code = decoder.place_layers, where
    told = torch.tanh(last.weight @ (first.weight @ code + first.bias).clamp(min=0) + last.bias).reshape(2, 2)
    u, shown = decoder.patches(what), torch.ones(10, 12).double()
    for m in range(2):
        x, y = (1 + told[m]) / 2 * torch.tensor([12 - 4, 10 - 4])
        torch.testing.assert_close(decoder.places(where)[m], torch.stack([x, y]))
        for i in range(10):
            for j in range(12):
                a = sum(
                    max(0.0, 1 - abs(i - float(y) - k))
                    * max(0.0, 1 - abs(j - float(x) - n))
                    * float(u[m, 0, k, n].sigmoid())
                    for k in range(4)
                    for n in range(4)
                )
                shown[i, j] *= 1 - (1 - 1e-6) * a
    frame = decoder(torch.cat([what, where])).sigmoid()
    torch.testing.assert_close(frame[0], 1 - (1 - 1e-6) * shown)


def uniform(number: torch.Tensor) -> float:
    """The distribution function of the standard normal."""
    return (1 + math.erf(float(number) / math.sqrt(2))) / 2


@torch.no_grad()
def test_eslami_parts_decoder_draws_each_part_from_its_own_code() -> None:
    torch.manual_seed(0)
    decoder = PartsDecoder(6, (1, 10, 12), num_parts=2, patch_size=4, widths=(4,), hidden_dim=8).double()
    what, where = torch.randn(6).double(), torch.randn(4).double()
    dark = torch.ones(10, 12).double()
    for m in range(2):
        u = decoder.patch_layers(what[None, 3 * m : 3 * m + 3])[0]
        place = torch.tensor([uniform(where[2 * m]) * (12 - 4), uniform(where[2 * m + 1]) * (10 - 4)]).double()
        torch.testing.assert_close(decoder.places(where)[m], place)
        alone = overlay(u[None], place[None], (10, 12))[0].sigmoid()  # 1 - (1 - epsilon)(1 - (1 - epsilon) a)
        dark *= (1 - alone) / (1 - 1e-6)
    frame = decoder(torch.cat([what, where])).sigmoid()
    torch.testing.assert_close(frame[0], 1 - (1 - 1e-6) * dark)


@torch.no_grad()
def test_jaderberg_glimpses_are_cut_out_and_shared() -> None:
    """Pixel by pixel, and without shares against the adjoint of the placing."""
    torch.manual_seed(0)
    glimpses = Glimpses((1, 10, 12), num_parts=2, patch_size=4, size=6)
    frame, where = torch.rand(1, 1, 1, 10, 12).double(), torch.randn(1, 1, 4).double()
    places = [(uniform(where[0, 0, 2 * m]) * 8, uniform(where[0, 0, 2 * m + 1]) * 6) for m in range(2)]
    found = glimpses(frame, where)[0, 0, :, 0]
    for m, (x, y) in enumerate(places):
        for k in range(6):
            for n in range(6):
                row, column = y - 1 + k, x - 1 + n  # of this pixel in the frame
                cut = sum(
                    max(0.0, 1 - abs(i - row)) * max(0.0, 1 - abs(j - column)) * float(frame[0, 0, 0, i, j])
                    for i in range(10)
                    for j in range(12)
                )
                near = [math.exp(-((row - b - 1.5) ** 2 + (column - a - 1.5) ** 2) / 2) for a, b in places]
                assert math.isclose(float(found[m, k, n]), cut * near[m] / sum(near), rel_tol=1e-9, abs_tol=1e-12)


def test_jaderberg_glimpses_are_the_adjoint_of_placing() -> None:
    """The gradient of a frame's product with what is placed, by the patch, is the glimpse of that frame."""
    torch.manual_seed(0)
    glimpses = Glimpses((1, 10, 12), num_parts=1, patch_size=4, size=4, shared=False)
    frame, where = torch.rand(10, 12).double(), torch.randn(2).double()
    grid, patch = torch.zeros(1, 3, 3).double()[..., :2, :], torch.zeros(1, 1, 4, 4).double().requires_grad_()
    for axis, (side, number) in enumerate(zip((12, 10), where)):
        grid[0, axis, axis], place = side / 4, uniform(number) * (side - 4)
        grid[0, axis, 2] = (side - 2 * place) / 4 - 1
    sampling = torch.nn.functional.affine_grid(grid, [1, 1, 10, 12], align_corners=False)
    placed = torch.nn.functional.grid_sample(patch, sampling, align_corners=False)
    (adjoint,) = torch.autograd.grad((placed[0, 0] * frame).sum(), patch)
    torch.testing.assert_close(glimpses(frame[None, None, None], where[None, None])[0, 0], adjoint)


def test_matched_parts_are_those_of_the_largest_sums() -> None:
    generator = torch.Generator().manual_seed(0)
    parts = torch.randn(6, 1, 3, 5, generator=generator, dtype=torch.float64)
    looks = parts + 0.5 * torch.randn(6, 3, 3, 5, generator=generator, dtype=torch.float64)
    for clip, order in zip(looks, match_parts(looks)):

        def objective(rows: list[list[int]], clip: torch.Tensor = clip) -> float:
            return sum(
                float(sum(clip[t, rows[t][m]] for t in range(3)).square().sum())  # type: ignore[union-attr]
                for m in range(3)
            )

        every = [objective([list(row) for row in rows]) for rows in product(permutations(range(3)), repeat=3)]
        assert math.isclose(objective(order.tolist()), max(every))
