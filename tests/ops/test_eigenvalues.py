"""Bounded eigenvalues keep off the ends in every precision."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrodis.ops import bounded_eigenvalues


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_keeps_off_the_ends(dtype: torch.dtype) -> None:
    raw = torch.tensor([-60.0, -9.1, 0.0, 3.0, 9.1, 60.0], dtype=dtype, requires_grad=True)
    values = bounded_eigenvalues(raw)
    assert values.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert (values.abs() <= 1 - 9e-7).all()
    torch.testing.assert_close(values[3], torch.tensor(3.0, dtype=values.dtype).tanh(), rtol=2e-6, atol=0)
    (gradient,) = torch.autograd.grad(values.sum(), raw)
    assert gradient.isfinite().all()


@settings(max_examples=50, deadline=None, database=None, derandomize=True)
@given(st.floats(width=32, allow_nan=False))
def test_any_number_is_allowed(raw: float) -> None:
    assert abs(float(bounded_eigenvalues(torch.tensor(raw)))) < 1


def test_refuses_what_is_no_floating_point_tensor() -> None:
    with pytest.raises(TypeError, match=r"raw must be a floating-point tensor, got torch.int64"):
        bounded_eigenvalues(torch.tensor([1]))
    with pytest.raises(TypeError, match="got float"):
        bounded_eigenvalues(0.5)  # type: ignore[arg-type]
