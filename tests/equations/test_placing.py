"""The equations of the decoder that places what it draws, against torch's spatial transformer and pixel by pixel."""

from __future__ import annotations

import torch

from pyrodis.nn import PlacedDecoder
from pyrodis.nn.placed_decoder import _overlay


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
    frame = _overlay(patches[:, None], places[:, None], size)
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
