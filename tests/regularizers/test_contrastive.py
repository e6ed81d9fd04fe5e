"""InfoNCE in cases whose value is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pyrodis.regularizers import info_nce
from pyrodis.testing import check_regularizer


def test_codes_that_are_all_alike_give_log_b() -> None:
    torch.testing.assert_close(info_nce(torch.ones(7, 2), 3 * torch.ones(7, 2)), torch.full((7,), math.log(7)))


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_orthogonal_codes_have_a_closed_form(temperature: float) -> None:
    codes = torch.eye(4)
    expected = math.log(1 + 3 * math.exp(-1 / temperature))
    torch.testing.assert_close(info_nce(codes, 5 * codes, temperature), torch.full((4,), expected))
    worst = math.log(3 + math.exp(1 / temperature))
    torch.testing.assert_close(info_nce(codes, codes.roll(1, 0), temperature), torch.full((4,), worst))


def test_a_batch_of_one_gives_zero() -> None:
    torch.testing.assert_close(info_nce(torch.randn(1, 3), torch.randn(1, 3)), torch.zeros(1))


def test_leading_dimensions_broadcast() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(2, 5, 3), torch.randn(5, 3)
    torch.testing.assert_close(info_nce(a, b)[1], info_nce(a[1], b))


def test_is_finite_at_zero_and_computed_in_full_precision() -> None:
    codes = torch.zeros(3, 2, requires_grad=True)
    info_nce(codes, codes).sum().backward()
    assert codes.grad is not None
    assert bool(codes.grad.isfinite().all())
    a, b = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = info_nce(a, b)
    assert torch.equal(inside, info_nce(a, b))


def test_is_a_regularizer_of_codes_of_other_clips_held_fixed() -> None:
    other = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    check_regularizer(lambda a: info_nce(a, other), torch.randn(3, 4, generator=torch.Generator().manual_seed(2)))


@pytest.mark.parametrize(
    ("a", "b", "temperature", "error", "match"),
    [
        (torch.zeros(3, 2), torch.zeros(4, 2), 0.5, ValueError, r"of the same clips, got \(3, 2\) and \(4, 2\)"),
        (torch.zeros(3), torch.zeros(3), 0.5, ValueError, r"must be codes \(..., B, D\)"),
        (torch.zeros(3, 2), torch.zeros(3, 2), 0.0, ValueError, "temperature must be a finite number above 0, got 0"),
        (torch.zeros(3, 2), torch.zeros(3, 2), "1", TypeError, "temperature must be a number above 0"),
    ],
)
def test_bad_input(a: Tensor, b: Tensor, temperature: float, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        info_nce(a, b, temperature)
