"""Linear recurrences over frames, whose gradients are recurrences too."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn.functional import pad

# Up to here one pass frame by frame is as quick as blocks.
SHORT = 16


def linear_recurrence(coefficients: torch.Tensor, drive: torch.Tensor) -> torch.Tensor:
    r"""Run a recurrence that is linear and elementwise, for all frames at once.

    $$u_1 = b_1, \qquad u_t = a_t u_{t-1} + b_t$$

    The frames are cut into about sqrt(T) blocks, which run side by side; then the blocks' last states are handed on. So
    the work is linear in T, the number of kernels goes with sqrt(T), and only products of coefficients occur, which
    for $|a| \le 1$ cannot overflow. The gradient is the same recurrence backwards in time.

    Args:
        coefficients: a_2 .. a_T, real or complex.
        drive: b_1 .. b_T.

    Shape:
        coefficients: (..., T - 1, n); drive: (..., T, n); leading dimensions broadcast.

    Returns:
        u_1 .. u_T, (..., T, n).

    Raises:
        ValueError: If the last two dimensions do not fit.

    Source:
        Blocked prefix sums, as in Blelloch, Prefix Sums and Their Applications (1990), with two levels.

    Example:
        >>> linear_recurrence(torch.full((3, 1), 0.5), torch.ones(4, 1)).flatten().tolist()
        [1.0, 1.5, 1.75, 1.875]
    """
    _check_tensors("coefficients", coefficients, drive, 2)
    _check_shapes(coefficients.shape[-2:], drive, (drive.shape[-2] - 1, drive.shape[-1]), "(..., T - 1, n)")
    dtype = torch.promote_types(coefficients.dtype, drive.dtype)
    coefficients, drive = coefficients.to(dtype), drive.to(dtype)
    batch = torch.broadcast_shapes(coefficients.shape[:-2], drive.shape[:-2])
    result: torch.Tensor = _Elementwise.apply(
        coefficients.expand(*batch, *coefficients.shape[-2:]), drive.expand(*batch, *drive.shape[-2:])
    )
    return result


def matrix_recurrence(matrices: torch.Tensor, drive: torch.Tensor) -> torch.Tensor:
    r"""Run a recurrence that is linear with a matrix a frame, frame by frame, over several columns at once.

    $$U_1 = B_1, \qquad U_t = A_t U_{t-1} + B_t$$

    The gradient is the recurrence of the transposed matrices backwards in time.

    Args:
        matrices: A_2 .. A_T.
        drive: B_1 .. B_T, k columns each.

    Shape:
        matrices: (..., T - 1, n, n); drive: (..., T, n, k); leading dimensions broadcast.

    Returns:
        U_1 .. U_T, (..., T, n, k).

    Raises:
        ValueError: If the last dimensions do not fit.

    Source:
        The adjoint of a linear recurrence.

    Example:
        >>> turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
        >>> drive = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
        >>> matrix_recurrence(turn.expand(2, 2, 2), drive.unsqueeze(-1)).squeeze(-1).tolist()
        [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]
    """
    _check_tensors("matrices", matrices, drive, 3)
    num_frames, dim = drive.shape[-3:-1]
    _check_shapes(matrices.shape[-3:], drive, (num_frames - 1, dim, dim), "(..., T - 1, n, n)")
    batch = torch.broadcast_shapes(matrices.shape[:-3], drive.shape[:-3])
    result: torch.Tensor = _Matrix.apply(
        matrices.expand(*batch, *matrices.shape[-3:]), drive.expand(*batch, *drive.shape[-3:])
    )
    return result


def _check_tensors(name: str, given: Any, drive: Any, least: int) -> None:
    """Refuse what is not two tensors of one precision with so many dimensions, or whose leading ones do not fit."""
    for label, value in ((name, given), ("drive", drive)):
        if not isinstance(value, torch.Tensor) or not (value.is_floating_point() or value.is_complex()):
            got = value.dtype if isinstance(value, torch.Tensor) else type(value).__name__
            raise TypeError(f"{label} must be a tensor of real or complex numbers, got {got}; use torch.as_tensor")
    if given.dtype != drive.dtype and name == "matrices":  # numbers are widened, matrices are not
        raise TypeError(f"{name} and drive must be of one dtype, got {given.dtype} and {drive.dtype}; convert one")
    if min(given.ndim, drive.ndim) < least or drive.shape[-least] < 1:
        raise ValueError(
            f"{name} and drive must have at least {least} dimensions and drive a frame, got {tuple(given.shape)} and "
            f"{tuple(drive.shape)}"
        )
    try:
        torch.broadcast_shapes(given.shape[:-least], drive.shape[:-least])
    except RuntimeError as error:
        raise ValueError(
            f"leading dimensions of {name} and drive must broadcast, got {tuple(given.shape)} and {tuple(drive.shape)}"
        ) from error


def _check_shapes(given: torch.Size, drive: torch.Tensor, wanted: tuple[int, ...], words: str) -> None:
    if tuple(given) != wanted:
        raise ValueError(
            f"a recurrence over drive {tuple(drive.shape)} needs coefficients {words} that end in {wanted}, "
            f"got {tuple(given)}; give one for each frame after the first"
        )


class _Elementwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, coefficients: torch.Tensor, drive: torch.Tensor) -> torch.Tensor:
        states = _scan(pad(coefficients, (0, 0, 1, 0)), drive)
        ctx.save_for_backward(coefficients, states)
        return states

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        coefficients, states = ctx.saved_tensors
        reached = linear_recurrence(coefficients.conj().flip(-2), gradients[0].flip(-2)).flip(-2)
        return reached[..., 1:, :] * states[..., :-1, :].conj(), reached


class _Matrix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrices: torch.Tensor, drive: torch.Tensor) -> torch.Tensor:
        frames = drive.unbind(-3)
        states = [frames[0]]
        for matrix, frame in zip(matrices.unbind(-3), frames[1:]):
            states.append(matrix @ states[-1] + frame)
        result = torch.stack(states, dim=-3)
        ctx.save_for_backward(matrices, result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        matrices, states = ctx.saved_tensors
        reached = matrix_recurrence(matrices.mT.flip(-3), gradients[0].flip(-3)).flip(-3)
        return reached[..., 1:, :, :] @ states[..., :-1, :, :].mT, reached


def _scan(coefficients: torch.Tensor, drive: torch.Tensor) -> torch.Tensor:
    """The recurrence over (..., T, n), where the first coefficient plays no part."""
    num_frames = drive.shape[-2]
    length = num_frames if num_frames <= SHORT else math.isqrt(num_frames - 1) + 1
    num_blocks = -(-num_frames // length)
    missing = num_blocks * length - num_frames
    if missing:
        coefficients, drive = pad(coefficients, (0, 0, 0, missing)), pad(drive, (0, 0, 0, missing))
    steps = coefficients.unflatten(-2, (num_blocks, length)).unbind(-2)
    frames = drive.unflatten(-2, (num_blocks, length)).unbind(-2)
    states, reach = [frames[0]], [steps[0]]
    for step, frame in zip(steps[1:], frames[1:]):
        states.append(torch.addcmul(frame, step, states[-1]))
        reach.append(step * reach[-1])
    result = torch.stack(states, dim=-2)
    if num_blocks > 1:
        carried = [torch.zeros_like(states[-1][..., 0, :])]
        for end, product in zip(states[-1].unbind(-2)[:-1], reach[-1].unbind(-2)[:-1]):
            carried.append(torch.addcmul(end, product, carried[-1]))
        before = torch.stack(carried, dim=-2).unsqueeze(-2)
        result = torch.addcmul(result, torch.stack(reach, dim=-2), before)
    return result.flatten(-3, -2)[..., :num_frames, :]
