"""The equations of the views, pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pyrodis.nn import Downsample, GaussianBlur, MedianFrame, Motion, RandomCrop, RandomGray, RandomTones

SIZE = 6


def make_frames() -> Tensor:
    return torch.rand(2, 3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def shown(view: torch.nn.Module, color: list[float]) -> float:
    """The tone that a view in eval mode gives to a color."""
    frames = torch.tensor(color, dtype=torch.float64).reshape(1, 3, 1, 1)
    return float(view(frames)[0, 0, 0, 0])


def test_random_gray_is_a_power_of_a_mix() -> None:
    """Mix and power read off from pure colors; the former has a uniform distribution, the latter's log as well."""
    x, view = make_frames(), RandomGray((0.5, 2.0), seed=3).eval()
    power = math.log(shown(view, [0.5, 0.5, 0.5])) / math.log(0.5)
    mix = [shown(view, color) ** (1 / power) for color in ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0])]
    assert abs(sum(mix) - 1) < 1e-6
    expected = sum(a * x[:, :, c] for c, a in enumerate(mix)) ** power
    torch.testing.assert_close(view(x), expected.unsqueeze(2).expand_as(x), rtol=1e-5, atol=1e-6)
    torch.manual_seed(0)
    red = torch.zeros(20000, 1, 3, 1, 1)
    red[:, :, 0] = 1
    share = RandomGray((1.0, 1.0))(red)[:, 0, 0, 0, 0].double()  # Beta(1, 2) under Dirichlet(1, 1, 1)
    assert abs(float(share.mean()) - 1 / 3) < 5 * (1 / 18 / 20000) ** 0.5
    assert abs(float((share**2).mean()) - 1 / 6) < 5 * (1 / 15 / 20000) ** 0.5
    powers = RandomGray((0.5, 2.0))(torch.full_like(red, 0.5)).double()[:, 0, 0, 0, 0].log2().neg().log2()
    assert float(powers.min()) > -1 - 1e-4
    assert float(powers.max()) < 1 + 1e-4
    assert abs(float(powers.mean())) < 5 * (1 / 3 / 20000) ** 0.5
    assert abs(float((powers**2).mean()) - 1 / 3) < 5 * (4 / 45 / 20000) ** 0.5


def test_random_tones_are_a_wave_through_the_colors() -> None:
    """Its slopes and phase are the numbers that a generator of its seed gives."""
    x, frequency, darkest, black = make_frames(), 7.0, 0.3, 0.4
    view = RandomTones(frequency, darkest, black, seed=5).eval()
    draws = torch.rand(4, generator=torch.Generator().manual_seed(5)).double()
    w, b = frequency * (2 * draws[:3] - 1), 2 * math.pi * draws[3]
    wave = torch.sin(sum(w[c] * x[:, :, c] for c in range(3)) + b)
    visible = torch.stack([x[:, :, c] for c in range(3)]).max(0)[0] / black
    assert (visible < 1).any()
    expected = visible.where(visible < 1, torch.ones_like(visible)) * (darkest + (1 - darkest) * (1 + wave) / 2)
    torch.testing.assert_close(view(x), expected.unsqueeze(2).expand_as(x), rtol=1e-5, atol=1e-5)
    assert float(view(x)[x.amax(2, keepdim=True).expand_as(x) >= black].min()) >= darkest


def test_random_crop_repeats_the_pixels_of_a_square() -> None:
    """A corner of the square is at a place that a generator of its seed gives; every place is as likely."""
    x, size, seed = make_frames()[..., :5], 4, 7  # 6 x 5 pixels
    draws = torch.rand(2, generator=torch.Generator().manual_seed(seed))
    a, b = int(draws[0] * 3), int(draws[1] * 2)
    assert (a, b) != (0, 0)
    seen = RandomCrop(size, seed=seed).eval()(x)
    for i in range(6):
        for j in range(5):
            assert torch.equal(seen[..., i, j], x[..., a + i * size // 6, b + j * size // 5])
    assert torch.equal(RandomCrop(size, enlarge=False, seed=seed).eval()(x), x[..., a : a + size, b : b + size])
    torch.manual_seed(0)
    numbers = torch.arange(30.0).reshape(1, 1, 1, 6, 5).expand(6000, -1, -1, -1, -1) / 30
    corners = (RandomCrop(size, enlarge=False)(numbers)[:, 0, 0, 0, 0] * 30).round().long().bincount(minlength=30)
    places = torch.tensor([5 * row + column for row in range(3) for column in range(2)])
    assert int(corners[places].sum()) == 6000
    assert (corners[places] / 6000 - 1 / 6).abs().max() < 5 * (1 / 6 * 5 / 6 / 6000) ** 0.5


def test_downsample_averages_blocks() -> None:
    x = make_frames()
    for n in (2, 3):
        seen = Downsample(n)(x)
        for i in range(SIZE):
            for j in range(SIZE):
                up, left = n * (i // n), n * (j // n)
                pixels = [x[..., up + k - 1, left + m - 1] for k in range(1, n + 1) for m in range(1, n + 1)]
                torch.testing.assert_close(seen[..., i, j], sum(pixels) / n**2)
        assert torch.equal(Downsample(n, restore=False)(x), seen[..., ::n, ::n])


def test_gaussian_blur_is_a_window_in_both_directions() -> None:
    x, scale = make_frames(), 0.7
    radius = math.ceil(3 * scale)
    window = {k: math.exp(-(k**2) / (2 * scale**2)) for k in range(-radius, radius + 1)}
    total = sum(window.values())
    seen = GaussianBlur(scale)(x)
    for i in range(SIZE):
        for j in range(SIZE):
            expected = torch.zeros_like(x[..., 0, 0])
            for k, w_k in window.items():
                for m, w_m in window.items():
                    pixel = x[..., min(max(i + k, 0), SIZE - 1), min(max(j + m, 0), SIZE - 1)]
                    expected += w_k * w_m / total**2 * pixel
            torch.testing.assert_close(seen[..., i, j], expected)


@pytest.mark.parametrize("num_frames", [1, 2, 5, 8, 16, 17])
def test_median_frame_and_motion_are_those_of_numpy(num_frames: int) -> None:
    frames = torch.rand(3, num_frames, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    median = np.sort(frames.numpy(), axis=1)[:, [(num_frames - 1) // 2]]
    assert np.array_equal(MedianFrame()(frames).numpy(), median)
    assert np.allclose(Motion()(frames).numpy(), (1 + frames.numpy() - median) / 2, atol=1e-6)
