"""Algebra of symmetric block-tridiagonal matrices, in time linear in the number of blocks."""

from __future__ import annotations

import torch


def block_factor(blocks: torch.Tensor, expectation: str, first_frame: int = 0) -> torch.Tensor:
    """Return the Cholesky factors of one block a frame, and refuse the first frame that has none.

    Args:
        blocks: Symmetric blocks, of which the lower triangles are read.
        expectation: What was expected, the first part of the message.
        first_frame: Number of the first block's frame.

    Shape:
        blocks: (..., T, n, n).

    Returns:
        Lower triangular factors (..., T, n, n).

    Raises:
        ValueError: If a block is not positive definite.

    Example:
        >>> block_factor(torch.tensor([[[4.0]]]), "blocks must be positive definite")
        tensor([[[2.]]])
    """
    factor, info = torch.linalg.cholesky_ex(blocks)
    check_factored(info, expectation, first_frame)
    return factor


def check_factored(info: torch.Tensor, expectation: str, first_frame: int = 0) -> None:
    """Raise unless every frame's block had a Cholesky factor.

    Args:
        info: What `torch.linalg.cholesky_ex` says of each block: zero where it is positive definite.
        expectation: What was expected, the first part of the message.
        first_frame: Number of the first block's frame.

    Shape:
        info: (..., T).

    Raises:
        ValueError: If one is not zero.

    Example:
        >>> check_factored(torch.zeros(3), "blocks must be positive definite")
    """
    if info.is_meta or not bool(info.any()):
        return
    frame = int(info.reshape(-1, info.shape[-1]).ne(0).any(0).nonzero()[0]) + first_frame
    raise ValueError(
        f"{expectation}, it fails at frame {frame} (counted from 0); use a smaller or a better scaled matrix"
    )


def assemble(diagonal: torch.Tensor, lower: torch.Tensor) -> torch.Tensor:
    """Return the dense symmetric matrix of a block-tridiagonal one.

    Args:
        diagonal: Blocks on the diagonal.
        lower: Blocks below it.

    Shape:
        diagonal: (..., T, n, n); lower: (..., T - 1, n, n).

    Returns:
        The matrix, (..., T n, T n).

    Example:
        >>> assemble(torch.full((2, 1, 1), 2.0), torch.ones(1, 1, 1))
        tensor([[2., 1.],
                [1., 2.]])
    """
    num_frames, dim = diagonal.shape[-3], diagonal.shape[-1]
    dense = diagonal.new_zeros(*diagonal.shape[:-3], num_frames, num_frames, dim, dim)
    frames = torch.arange(num_frames, device=diagonal.device)
    dense[..., frames, frames, :, :] = diagonal
    dense[..., frames[1:], frames[:-1], :, :] = lower
    dense[..., frames[:-1], frames[1:], :, :] = lower.mT
    return dense.transpose(-3, -2).flatten(-4, -3).flatten(-2)
