"""Images under masks: brute force, integrals, bounds, draws, saturated masks, and bad input."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch

from pyrodis.distributions import MaskWeightedNormal, PixelMixture
from pyrodis.testing import check_distribution
from tests.components import log_normal

BOTH = pytest.mark.parametrize("make", [MaskWeightedNormal, PixelMixture])


def parts(num: int = 3, shape: tuple[int, int, int] = (2, 2, 2), batch: tuple[int, ...] = (4,)) -> Any:
    """Images of components, their confidences, and an image."""
    generator = torch.Generator().manual_seed(0)
    draw = {"generator": generator, "dtype": torch.float64}
    loc = torch.rand(*batch, num, *shape, **draw)
    return loc, 2 * torch.randn(*batch, num, *shape[1:], **draw), torch.rand(*batch, 1, *shape, **draw)


def test_the_mixture_is_the_sum_over_all_assignments_of_pixels() -> None:
    loc, logits, x = parts(num=3, shape=(2, 2, 2), batch=())
    masks = logits.exp() / logits.exp().sum(0)
    places = [(i, j) for i in range(2) for j in range(2)]
    total = 0.0
    for owners in itertools.product(range(3), repeat=4):
        density = 1.0
        for (i, j), k in zip(places, owners):
            density = density * masks[k, i, j]
            for c in range(2):
                density = density * log_normal(x[0, c, i, j], loc[k, c, i, j], 0.2).exp()
        total = total + density
    torch.testing.assert_close(PixelMixture(loc, logits, 0.2).log_prob(x), total.log())


def test_the_posterior_of_a_pixel_is_its_part_of_all_assignments() -> None:
    loc, logits, x = parts(num=3, shape=(2, 2, 2), batch=())
    masks = logits.exp() / logits.exp().sum(0)
    places = [(i, j) for i in range(2) for j in range(2)]
    expected, total = torch.zeros(3, 2, 2, dtype=torch.float64), 0.0
    for owners in itertools.product(range(3), repeat=4):
        density = 1.0
        for (i, j), k in zip(places, owners):
            density = density * masks[k, i, j] * log_normal(x[0, :, i, j], loc[k, :, i, j], 0.2).sum().exp()
        total = total + density
        for (i, j), k in zip(places, owners):
            expected[k, i, j] += density
    torch.testing.assert_close(PixelMixture(loc, logits, 0.2).posterior(x), expected / total)


def test_the_posterior_is_the_masks_where_components_draw_alike() -> None:
    loc, logits, x = parts()
    pixels = PixelMixture(loc[:, :1].expand_as(loc), logits, 0.2)
    torch.testing.assert_close(pixels.posterior(x), pixels.masks)
    wide = PixelMixture(loc, logits, 0.2).expand([5, 4])
    torch.testing.assert_close(wide.posterior(x), PixelMixture(loc, logits, 0.2).posterior(x).expand(5, *logits.shape))
    sharp = PixelMixture(loc.float(), 1e4 * logits.float(), 1e-3).posterior(x.float())
    torch.testing.assert_close(sharp.sum(-3), torch.ones_like(sharp[..., 0, :, :]))
    assert pixels.posterior(torch.stack([x, x])).shape == (2, *logits.shape)
    with pytest.raises(ValueError, match=r"images must have shape"):
        pixels.posterior(x[:, :, :1])
    with pytest.raises(ValueError, match="images must be finite, got NaN or infinity"):
        pixels.posterior(x.clone().index_fill_(0, torch.tensor([1]), math.nan))


@BOTH
def test_refuses_images_that_are_none_or_too_many(make: Any) -> None:
    loc, logits, x = parts()
    with pytest.raises(TypeError, match="images must be a floating-point tensor, got str"):
        make(loc, logits).log_prob("x")
    with pytest.raises(ValueError, match=r"broadcasts with \(4,\), that of the components, got \(3,\)"):
        make(loc, logits).log_prob(x[:3])
    assert make(loc, logits).log_prob(x[:1]).shape == (4,)


def test_the_weighted_normal_is_the_mean_over_all_assignments_of_pixels() -> None:
    loc, logits, x = parts(num=3, shape=(2, 2, 2), batch=())
    masks = logits.exp() / logits.exp().sum(0)
    places = [(i, j) for i in range(2) for j in range(2)]
    expected = 0.0
    for owners in itertools.product(range(3), repeat=4):
        chance = math.prod(float(masks[k, i, j]) for (i, j), k in zip(places, owners))
        scores = [log_normal(x[0, :, i, j], loc[k, :, i, j], 0.2).sum() for (i, j), k in zip(places, owners)]
        expected = expected + chance * sum(scores)
    torch.testing.assert_close(MaskWeightedNormal(loc, logits, 0.2).log_prob(x), expected)


def integral(make: Any) -> float:
    loc = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64).reshape(3, 1, 1, 1)
    logits = torch.tensor([0.3, -0.4, 1.0], dtype=torch.float64).reshape(3, 1, 1)
    grid = torch.linspace(-2, 3, 20001, dtype=torch.float64)
    density = make(loc, logits, 0.1).expand([len(grid)]).log_prob(grid.reshape(-1, 1, 1, 1, 1)).exp()
    return float(torch.trapezoid(density, grid))


def test_the_mixture_integrates_to_one() -> None:
    assert integral(PixelMixture) == pytest.approx(1, abs=1e-9)


def test_the_weighted_normal_integrates_to_less_where_components_disagree() -> None:
    masks = torch.tensor([0.3, -0.4, 1.0], dtype=torch.float64).softmax(0)
    loc = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    variance = (masks * loc**2).sum() - (masks * loc).sum() ** 2
    assert integral(MaskWeightedNormal) == pytest.approx(float((-variance / (2 * 0.1**2)).exp()), rel=1e-9)


def test_the_weighted_normal_is_a_lower_bound_of_the_mixture() -> None:
    loc, logits, x = parts()
    low, high = (make(loc, logits, 0.3).log_prob(x) for make in (MaskWeightedNormal, PixelMixture))
    assert bool((low < high - 1e-3).all())


@BOTH
def test_one_component_is_a_normal(make: Any) -> None:
    loc, logits, x = parts(num=1)
    expected = torch.distributions.Normal(loc, 0.3).log_prob(x).sum((-4, -3, -2, -1))
    torch.testing.assert_close(make(loc, logits, 0.3).log_prob(x), expected)


@BOTH
def test_draws_have_the_mean_and_the_variance_they_tell(make: Any) -> None:
    loc, logits, _ = parts(num=3, shape=(1, 2, 2), batch=(2,))
    pixels = make(loc, logits, 0.1)
    torch.manual_seed(0)
    draws = pixels.sample((4000,))
    assert draws.shape == (4000, 2, 1, 1, 2, 2)
    error = (draws.mean(0) - pixels.mean) / (pixels.variance / 4000).sqrt()
    assert float(error.abs().max()) < 4.5
    torch.testing.assert_close(draws.var(0), pixels.variance, rtol=0.15, atol=0)
    torch.testing.assert_close(pixels.masks.sum(-3), torch.ones(2, 2, 2, dtype=torch.float64))


def test_all_channels_of_a_pixel_are_drawn_from_one_component() -> None:
    loc = torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)])
    drawn = PixelMixture(loc, torch.zeros(2, 4, 4), scale=1e-6).sample((50,)).round()
    assert bool((drawn == drawn[:, :, :1]).all())
    assert 0.4 < float(drawn.mean()) < 0.6


@BOTH
def test_batch_shapes_expand_and_broadcast(make: Any) -> None:
    loc, logits, x = parts()
    pixels = make(loc, logits, 0.3)
    assert pixels.event_shape == (1, 2, 2, 2)
    wide = pixels.expand([5, 4])
    assert type(wide) is make
    torch.testing.assert_close(wide.log_prob(x), pixels.log_prob(x).expand(5, 4))
    assert wide.sample((2,)).shape == (2, 5, 4, 1, 2, 2, 2)
    torch.testing.assert_close(pixels.log_prob(torch.stack([x, x]))[1], pixels.log_prob(x))


def test_the_weighted_normal_keeps_the_contract() -> None:
    loc, logits, _ = parts()
    check_distribution(MaskWeightedNormal(loc, logits, 0.3), num_samples=10)


@BOTH
def test_saturated_masks_have_finite_densities_and_gradients(make: Any) -> None:
    loc, logits, x = (part.float() for part in parts())
    loc, logits = loc.requires_grad_(), (1e4 * logits).requires_grad_()
    make(loc, logits, 0.05).log_prob(x).sum().backward()
    assert bool(loc.grad.isfinite().all())
    assert bool(logits.grad.isfinite().all())


@BOTH
def test_refuses_parts_that_do_not_fit(make: Any) -> None:
    loc, logits, x = parts()
    with pytest.raises(ValueError, match=r"loc must have shape \(\.\.\., K, C, H, W\) and logits"):
        make(loc, logits[:, :2])
    with pytest.raises(ValueError, match="loc must have shape"):
        make(loc[0, 0], logits)
    with pytest.raises(ValueError, match="at least one component, got K = 0"):
        make(loc[:, :0], logits[:, :0])
    with pytest.raises(ValueError, match="scale must be a finite number above 0, got 0"):
        make(loc, logits, 0.0)
    with pytest.raises(ValueError, match=r"images must have shape .* \(\.\.\., 1, 2, 2, 2\), got \(4, 1, 1, 2, 2\)"):
        make(loc, logits).log_prob(x[:, :, :1])
