"""Image quality: against independent formulas, batches, the baseline, and bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torchmetrics.functional.image import structural_similarity_index_measure

from pyrodis.metrics import image_quality, sequence_quality


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(3, 2, 3, 16, 20, generator=torch.Generator().manual_seed(0))


def test_mse_and_psnr_of_a_known_error(x: torch.Tensor) -> None:
    error = torch.tensor([0.1, 0.01, 0.2]).view(3, 1, 1, 1, 1)
    quality = sequence_quality(x + error, x)
    assert quality["mse"] == pytest.approx([1e-2, 1e-4, 4e-2], rel=1e-3)
    assert quality["psnr"] == pytest.approx([20.0, 40.0, -10 * math.log10(0.04)], abs=1e-2)


def test_psnr_is_of_the_whole_sequence(x: torch.Tensor) -> None:
    decoded = x.clone()
    decoded[:, 0] += 0.1  # the second frame is exact, so a mean over frames would be infinite
    assert sequence_quality(decoded, x)["psnr"] == pytest.approx(np.full(3, -10 * math.log10(0.005)), abs=1e-2)


def test_ssim_is_its_formula() -> None:
    first, second = np.random.default_rng(1).random((2, 16, 20))
    second = 0.6 * first + 0.4 * second
    axis = np.exp(-0.5 * ((np.arange(11) - 5) / 1.5) ** 2)
    window = np.outer(axis, axis) / axis.sum() ** 2

    def smooth(image: np.ndarray) -> np.ndarray:
        return ndimage.correlate(image, window, mode="mirror")

    mean_a, mean_b = smooth(first), smooth(second)
    variances = smooth(first**2) - mean_a**2 + smooth(second**2) - mean_b**2
    covariance = smooth(first * second) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    expected = (top / ((mean_a**2 + mean_b**2 + c1) * (variances + c2))).mean()
    quality = sequence_quality(second[None, None, None], first[None, None, None])
    assert quality["ssim"] == pytest.approx([expected], abs=1e-4)


@pytest.mark.parametrize("contrast", [1.0, 0.01])
@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 11, 40)])
@pytest.mark.parametrize("autocast", [False, True])
def test_ssim_is_that_of_torchmetrics_in_full_precision(
    shape: tuple[int, int, int], autocast: bool, contrast: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = 1 - contrast * torch.rand(3, 5, *shape, generator=generator)
    h = (x + 0.2 * contrast * torch.randn(x.shape, generator=generator)).clamp(0, 1)
    frames = (part.flatten(0, 1).double() for part in (h, x))
    wanted = structural_similarity_index_measure(*frames, data_range=1.0, reduction="none")
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = sequence_quality(h, x)["ssim"]
    assert found == pytest.approx(wanted.reshape(3, 5).mean(1).numpy(), abs=1e-6)


def test_blur_lowers_structure_more_than_brightness(x: torch.Tensor) -> None:
    flat = x.mean(dim=(-2, -1), keepdim=True).expand_as(x)
    assert image_quality(flat, x)["ssim"].value < 0.2 < 0.8 < image_quality(x * 0.8, x)["ssim"].value


def test_batches_join_to_the_whole(x: torch.Tensor) -> None:
    decoded = (x + 0.1).clamp(0, 1)
    whole = sequence_quality(decoded.numpy(), x.numpy())
    parts = [sequence_quality(decoded[i : i + 1], x[i : i + 1]) for i in range(3)]
    for name, values in whole.items():
        assert np.concatenate([part[name] for part in parts]) == pytest.approx(values, rel=1e-5)
        assert image_quality(decoded, x)[name].value == pytest.approx(values.mean())


def test_baseline_gives_chance(x: torch.Tensor) -> None:
    scores = image_quality(x * 0.9, x, baseline=x.mean(0))
    assert scores["mse"].value < scores["mse"].chance
    assert scores["psnr"].value > scores["psnr"].chance
    assert scores["ssim"].value > scores["ssim"].chance
    assert scores["mse"].chance == pytest.approx(float((x - x.mean(0)).square().mean()), rel=1e-5)
    assert image_quality(x * 0.9, x)["ssim"].chance is None
    assert (scores["mse"].ceiling, scores["psnr"].ceiling, scores["ssim"].ceiling) == (0.0, None, 1.0)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (lambda x: x[0], ValueError, r"reconstruction must have shape \(B, T, C, H, W\), got \(2, 3, 16, 20\)"),
        (lambda x: x[:, :1], ValueError, r"same shape, got \(3, 1, 3, 16, 20\) and \(3, 2, 3, 16, 20\)"),
        (lambda x: x * float("nan"), ValueError, "reconstruction must be finite"),
        (lambda x: x.to(torch.uint8), TypeError, "divide bytes by 255"),
        (lambda x: x.tolist(), TypeError, "got list"),
        (lambda x: x.clone(), ValueError, "equals x exactly in 3 sequences"),
        (lambda x: x[:0], ValueError, r"got \(0, 2"),
        (lambda x: x[..., :8], ValueError, "at least 11 x 11"),
    ],
)
def test_refuses_reconstructions(x: torch.Tensor, change: object, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        image_quality(change(x), x)  # type: ignore[operator]


def test_refuses_bytes_and_foreign_baselines(x: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"x must be in \[0, 1\], got values from"):
        image_quality(x, x * 255)
    with pytest.raises(ValueError, match=r"baseline must broadcast .* got \(7, 3, 16, 20\)"):
        image_quality(x * 0.9, x, baseline=torch.zeros(7, 3, 16, 20))
