"""The equation by which frames are drawn, pixel by pixel."""

from __future__ import annotations

import math

import pytest
import torch

from pyrodis.datasets import CircleScene, render_circle


@pytest.mark.parametrize("circle", [(0.2, 0.7), (1.0, 0.0)])
@pytest.mark.parametrize("ground", [(0.4, 0.1), (1.0, 0.33)])
def test_zaharia_peters_circle_on_gaussian(circle: tuple[float, float], ground: tuple[float, float]) -> None:
    center = [48 * float(torch.tensor(c)) + 8 for c in circle]
    peak = [64 * float(torch.tensor(b)) for b in ground]
    pixels = [(column, row) for row in range(64) for column in range(64)]
    nearest = min(math.dist(p, peak) ** 2 for p in pixels)
    canvas = []
    for p in pixels:
        disc = 255 * (math.dist(p, center) ** 2 <= 6.4**2 + 6.4)
        blob = 204 * math.exp(-(math.dist(p, peak) ** 2 - nearest) / (2 * 15 * 64))
        canvas.append(math.floor(min(255, disc + blob)))
    full = torch.tensor(canvas, dtype=torch.float64).reshape(64, 64)
    drawn = render_circle(torch.tensor(circle), torch.tensor(ground), CircleScene(64))
    assert torch.equal((255 * drawn[0]).round().double(), full)

    def halve(lines: torch.Tensor) -> torch.Tensor:
        """Means of four with weights 1, 3, 3, 1 along the last dimension, rounded."""
        means = []
        for i in range(32):
            taps = [(w, 2 * i - 1 + k) for k, w in enumerate((1, 3, 3, 1)) if 0 <= 2 * i - 1 + k < 64]
            total = sum(w * lines[:, k] for w, k in taps)
            means.append(torch.floor(total / sum(w for w, _ in taps) + 0.5))
        return torch.stack(means, -1)

    reduced = halve(halve(full).T).T
    small = render_circle(torch.tensor(circle), torch.tensor(ground))
    assert torch.equal((255 * small[0]).round().double(), reduced)
