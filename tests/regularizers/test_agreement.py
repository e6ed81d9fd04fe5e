"""Losses of agreement in cases whose value is known; their equations are in tests/equations/test_what_where.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pyrodis.regularizers import barlow_twins, inertial_loss, mixing_weight, pixel_error, temporal_difference
from pyrodis.testing import check_regularizer


def test_inertial_loss_keeps_the_contract() -> None:
    codes = torch.randn(3, 4, 2)
    check_regularizer(inertial_loss, codes)
    torch.testing.assert_close(inertial_loss(codes), temporal_difference(codes) / 3)


def test_pixel_error_keeps_the_contract() -> None:
    x = torch.rand(3, 2, 1, 4, 4)
    check_regularizer(lambda decoded: pixel_error(decoded, x.expand_as(decoded)), torch.rand(3, 2, 1, 4, 4))


def test_barlow_twins_is_one_number_for_all_and_leading_dimensions_are_kept() -> None:
    first, second = torch.randn(2, 5, 16, 3)
    found = barlow_twins(first, second)
    assert found.shape == (5, 16)
    torch.testing.assert_close(found[2], barlow_twins(first[2], second[2]))
    assert torch.equal(found, found[:, :1].expand(5, 16))


def test_scale_and_place_of_a_code_do_not_matter() -> None:
    first, second = torch.randn(2, 16, 3, dtype=torch.float64)
    torch.testing.assert_close(barlow_twins(7 * first + 3, second / 9 - 1), barlow_twins(first, second))


def test_independent_codes_cost_what_chance_correlates() -> None:
    """The bias of small batches in the second sum: about weight * S^2 / B."""
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 400, 32, 10, generator=generator)
    redundancy = barlow_twins(first, second, 1.0)[:, 0] - barlow_twins(first, second, 0.0)[:, 0]
    assert abs(float(redundancy.mean()) / (90 / 31) - 1) < 0.05


def test_a_dead_dimension_costs_one_and_has_a_finite_gradient() -> None:
    codes = torch.randn(16, 3)
    codes[:, 1] = 0.25
    codes.requires_grad_()
    loss = barlow_twins(codes, codes, 0.0)
    torch.testing.assert_close(loss[0].detach(), torch.tensor(1.0), atol=1e-4, rtol=0)
    loss[0].backward()
    assert codes.grad is not None
    assert bool(codes.grad.isfinite().all())


def test_is_computed_in_full_precision() -> None:
    first, second = torch.randn(2, 16, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = barlow_twins(first, second)
    assert torch.equal(inside, barlow_twins(first, second))


Z = torch.zeros(4, 3)
CASES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "one frame": (lambda: inertial_loss(torch.zeros(2, 1, 3)), ValueError, r"T of 2 or more, got \(2, 1, 3\)"),
    "no frames": (lambda: inertial_loss(torch.zeros(3)), ValueError, r"must have shape \(\.\.\., T, S\)"),
    "batch of one": (lambda: barlow_twins(Z[:1], Z[:1]), ValueError, "must have at least two clips .* got 1"),
    "two shapes": (lambda: barlow_twins(Z, Z[:, :2]), ValueError, r"got \(4, 3\) and \(4, 2\)"),
    "no batch": (lambda: barlow_twins(Z[0], Z[0]), ValueError, r"must be codes \(\.\.\., B, S\)"),
    "negative weight": (lambda: barlow_twins(Z, Z, -1), ValueError, "redundancy_weight must be a finite number of 0"),
    "weight of words": (lambda: barlow_twins(Z, Z, "1"), TypeError, "redundancy_weight must be a number, got '1'"),  # type: ignore[arg-type]
    "pixels": (lambda: pixel_error(Z, Z), ValueError, r"must have one shape \(\.\.\., T, C, H, W\)"),
    "negative mixing": (lambda: mixing_weight(-1, 4), ValueError, "mixing must be a finite number of 0 or more"),
    "mixing": (lambda: mixing_weight("1", 4), TypeError, "mixing must be a number of 0 or more, got '1'"),  # type: ignore[arg-type]
    "no pixels": (lambda: mixing_weight(1, 0), ValueError, "num_pixels must be a positive whole number, got 0"),
    "scale": (lambda: mixing_weight(1, 4, 0), ValueError, "scale must be a finite number above 0, got 0"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case: str) -> None:
    action, error, sentence = CASES[case]
    with pytest.raises(error, match=sentence):
        action()
