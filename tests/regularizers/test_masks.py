"""The price of confident masks: its limits, its gradient where masks are confident, and bad input."""

from __future__ import annotations

import math

import pytest
import torch

from pyrodis.regularizers import mask_entropy_penalty
from pyrodis.testing import check_regularizer


@pytest.mark.parametrize("num", [2, 3, 7])
def test_uniform_masks_are_free(num: int) -> None:
    penalty = mask_entropy_penalty(torch.full((4, num, 5, 6), 1 / num, dtype=torch.float64))
    torch.testing.assert_close(penalty, torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("floor", [1e-6, 1e-2])
def test_one_hot_masks_cost_the_floor(floor: float) -> None:
    masks = torch.nn.functional.one_hot(torch.randint(3, (4, 5, 6)), 3).movedim(-1, 1).double().requires_grad_()
    penalty = mask_entropy_penalty(masks, floor)
    torch.testing.assert_close(penalty, torch.full((4,), -math.log(floor), dtype=torch.float64))
    penalty.sum().backward()
    assert bool(masks.grad.isfinite().all())


def test_the_mean_over_pixels_is_inside_the_logarithm() -> None:
    """Half of the pixels shared alike by both components, half of one alone: an entropy of one half."""
    masks = torch.tensor([[0.5, 1.0], [0.5, 0.0]], dtype=torch.float64).reshape(2, 1, 2)
    assert float(mask_entropy_penalty(masks)) == pytest.approx(math.log(2))


def test_confident_masks_still_get_a_gradient() -> None:
    """Of about the same size whether the other component has 1e-2 or 1e-5 of a pixel."""
    sizes = []
    for confidence in (5.0, 8.0, 11.0):
        logits = torch.tensor([confidence, 0.0], dtype=torch.float64).reshape(2, 1, 1).expand(2, 4, 4).clone()
        logits.requires_grad_()
        (gradient,) = torch.autograd.grad(mask_entropy_penalty(logits.softmax(-3), 1e-9), logits)
        sizes.append(float(gradient[0].sum()))
    assert all(0.5 < size < 1.1 for size in sizes)


def test_saturated_logits_have_finite_gradients() -> None:
    logits = (1e4 * torch.randn(3, 4, 5, 5)).requires_grad_()
    mask_entropy_penalty(logits.softmax(-3)).sum().backward()
    assert bool(logits.grad.isfinite().all())


def test_keeps_the_contract() -> None:
    torch.manual_seed(0)
    check_regularizer(lambda value: mask_entropy_penalty(value.softmax(-3)), torch.randn(3, 4, 5, 6))


def test_refuses_bad_input() -> None:
    masks = torch.full((2, 3, 4, 4), 1 / 3)
    with pytest.raises(ValueError, match="at least two components, got K = 1"):
        mask_entropy_penalty(torch.ones(2, 1, 4, 4))
    with pytest.raises(ValueError, match=r"masks must have shape \(\.\.\., K, H, W\), got \(4, 4\)"):
        mask_entropy_penalty(masks[0, 0])
    with pytest.raises(ValueError, match="floor must be a finite number above 0, got 0"):
        mask_entropy_penalty(masks, 0.0)
    with pytest.raises(ValueError, match="floor must be above 0 and below 1"):
        mask_entropy_penalty(masks, 1.0)
