"""Linear recurrences against loops, their gradients, and how their work grows with the number of frames."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pyrodis.ops import linear_recurrence, matrix_recurrence
from tests.work import count_work


def by_loop(coefficients: Tensor, drive: Tensor) -> Tensor:
    drive = drive.expand(*torch.broadcast_shapes(coefficients.shape[:-2], drive.shape[:-2]), *drive.shape[-2:])
    states = [drive[..., 0, :]]
    for t in range(1, drive.shape[-2]):
        states.append(coefficients[..., t - 1, :] * states[-1] + drive[..., t, :])
    return torch.stack(states, dim=-2)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("num_frames", [1, 2, 16, 17, 25, 26, 100])
def test_is_the_loop_at_every_length(num_frames: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    a = torch.randn(2, num_frames - 1, 3, dtype=dtype, requires_grad=True)
    b = torch.randn(5, 1, num_frames, 3, dtype=dtype, requires_grad=True)
    torch.testing.assert_close(linear_recurrence(a, b), by_loop(a, b))
    weight = torch.randn(5, 2, num_frames, 3, dtype=dtype)
    ours = torch.autograd.grad((linear_recurrence(a, b) * weight).sum().abs(), (a, b))
    theirs = torch.autograd.grad((by_loop(a, b) * weight).sum().abs(), (a, b), materialize_grads=True)
    for one, other in zip(ours, theirs):
        torch.testing.assert_close(one, other)


def test_second_derivatives() -> None:
    a = torch.rand(2, 3, 2, dtype=torch.float64, requires_grad=True)
    b = torch.randn(2, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(linear_recurrence, (a, b))
    matrices = torch.rand(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(matrix_recurrence, (matrices, b.unsqueeze(-1)))


def test_long_recurrences_neither_vanish_nor_overflow() -> None:
    a = torch.full((4999, 1), 1 - 1e-6)
    states = linear_recurrence(a, torch.ones(5000, 1))
    expected = by_loop(a.double(), torch.ones(5000, 1).double())
    torch.testing.assert_close(states.double(), expected, rtol=1e-4, atol=0)
    assert linear_recurrence(torch.zeros(4999, 1), torch.ones(5000, 1)).eq(1).all()


def test_work_is_linear_in_frames_and_kernels_grow_with_the_root() -> None:
    def run(num_frames: int) -> None:
        a = torch.rand(2, num_frames - 1, 4, requires_grad=True)
        linear_recurrence(a, torch.randn(2, num_frames, 4)).sum().backward()

    (few, little), (many, much) = count_work(lambda: run(256)), count_work(lambda: run(4096))
    assert much / little < 1.1 * 16
    assert many / few < 1.2 * 4


def test_refuses_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"coefficients \(..., T - 1, n\) that end in \(4, 2\), got \(5, 2\)"):
        linear_recurrence(torch.zeros(5, 2), torch.zeros(5, 2))
    with pytest.raises(ValueError, match=r"that end in \(4, 2, 2\), got \(4, 2, 3\)"):
        matrix_recurrence(torch.zeros(4, 2, 3), torch.zeros(5, 2, 1))


def test_real_coefficients_of_a_complex_drive_have_real_gradients() -> None:
    torch.manual_seed(0)
    a = torch.rand(4, 2, dtype=torch.float64, requires_grad=True)
    b = torch.randn(5, 2, dtype=torch.complex128, requires_grad=True)
    found = torch.autograd.grad(linear_recurrence(a, b).abs().square().sum(), (a, b))
    expected = torch.autograd.grad(by_loop(a, b).abs().square().sum(), (a, b))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        torch.testing.assert_close(ours, theirs)
