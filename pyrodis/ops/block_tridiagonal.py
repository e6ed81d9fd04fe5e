"""Algebra of symmetric block-tridiagonal matrices, in time linear in the number of blocks.

A matrix of T x T blocks is given by its blocks on the diagonal, (..., T, n, n), and below it, (..., T - 1, n, n). Its
Cholesky factor is block-bidiagonal and given likewise: lower triangular blocks L_t on the diagonal and C_t below it.
"""

from __future__ import annotations

import torch
from torch.nn.functional import pad

from pyrodis.ops.recurrence import matrix_recurrence

Blocks = tuple[torch.Tensor, torch.Tensor]


def block_factor(blocks: torch.Tensor, expectation: str, hint: str, first_frame: int = 0) -> torch.Tensor:
    """Return the Cholesky factors of one block a frame, and refuse the first frame that has none.

    Args:
        blocks: Symmetric blocks, of which the lower triangles are read.
        expectation: What was expected, the first part of the message.
        hint: What to do, its last part.
        first_frame: Number of the first block's frame.

    Shape:
        blocks: (..., T, n, n).

    Returns:
        Lower triangular factors (..., T, n, n).

    Raises:
        ValueError: If a block is not positive definite.

    Example:
        >>> block_factor(torch.tensor([[[4.0]]]), "blocks must be positive definite", "enlarge their diagonal")
        tensor([[[2.]]])
    """
    factor, info = torch.linalg.cholesky_ex(blocks)
    check_factored(info, expectation, hint, first_frame)
    return factor


def check_factored(info: torch.Tensor, expectation: str, hint: str, first_frame: int = 0) -> None:
    """Raise unless every frame's block had a Cholesky factor.

    Args:
        info: What `torch.linalg.cholesky_ex` says of each block: zero where it is positive definite.
        expectation: What was expected, the first part of the message.
        hint: What to do, its last part.
        first_frame: Number of the first block's frame.

    Shape:
        info: (..., T).

    Raises:
        ValueError: If one is not zero.

    Example:
        >>> check_factored(torch.zeros(3), "blocks must be positive definite", "enlarge their diagonal")
    """
    if info.is_meta or not bool(info.any()):
        return
    frame = int(info.reshape(-1, info.shape[-1]).ne(0).any(0).nonzero()[0]) + first_frame
    raise ValueError(f"{expectation}, it fails at frame {frame} (counted from 0); {hint}")


def block_cholesky(diagonal: torch.Tensor, lower: torch.Tensor) -> Blocks:
    r"""Return the bidiagonal Cholesky factor of a symmetric block-tridiagonal matrix.

    $$C_t = B_t L_{t-1}^{-\top}, \qquad L_t L_t^\top = D_t - C_t C_t^\top, \qquad L_1 L_1^\top = D_1$$

    Args:
        diagonal: D_1 .. D_T, of which the lower triangles are read.
        lower: B_2 .. B_T.

    Shape:
        diagonal: (..., T, n, n); lower: (..., T - 1, n, n); leading dimensions broadcast.

    Returns:
        L_1 .. L_T, (..., T, n, n), and C_2 .. C_T, (..., T - 1, n, n).

    Raises:
        ValueError: If the matrix is not positive definite; the message names the frame where it fails.

    Source:
        Block Gaussian elimination, as in the forward pass of Archer et al., Black box variational inference for state
        space models (2016).

    Example:
        >>> factor, below = block_cholesky(torch.full((2, 1, 1), 4.0), torch.full((1, 1, 1), 2.0))
        >>> factor.flatten().tolist(), below.flatten().tolist()
        ([2.0, 1.7320507764816284], [1.0])
    """
    batch = torch.broadcast_shapes(diagonal.shape[:-3], lower.shape[:-3])
    lower = expand_batch(lower, batch, 3)
    blocks = expand_batch(diagonal, batch, 3).unbind(-3)
    factor, info = torch.linalg.cholesky_ex(blocks[0])
    factors, belows, infos = [factor], [], [info]
    for block, side in zip(blocks[1:], lower.unbind(-3)):
        below = torch.linalg.solve_triangular(factors[-1], side.mT, upper=False).mT
        factor, info = torch.linalg.cholesky_ex(block - below @ below.mT)
        factors.append(factor)
        belows.append(below)
        infos.append(info)
    hint = "its blocks are broken or nearly singular; try float64, or larger blocks on the diagonal"
    check_factored(torch.stack(infos, dim=-1), "the precision must be positive definite", hint)
    return torch.stack(factors, dim=-3), torch.stack(belows, dim=-3) if belows else lower


def factor_product(factor: torch.Tensor, below: torch.Tensor) -> Blocks:
    """Return the blocks of the matrix whose bidiagonal Cholesky factor is given.

    Args:
        factor: L_1 .. L_T.
        below: C_2 .. C_T.

    Shape:
        factor: (..., T, n, n); below: (..., T - 1, n, n).

    Returns:
        Its blocks on the diagonal and below it.

    Example:
        >>> diagonal, lower = factor_product(torch.full((2, 1, 1), 2.0), torch.ones(1, 1, 1))
        >>> diagonal.flatten().tolist(), lower.flatten().tolist()
        ([4.0, 5.0], [2.0])
    """
    return factor @ factor.mT + pad(below @ below.mT, (0, 0, 0, 0, 1, 0)), below @ factor[..., :-1, :, :].mT


def times_upper(factor: torch.Tensor, below: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Return the transposed factor times columns, the inverse of `solve_upper`.

    Args:
        factor: L_1 .. L_T.
        below: C_2 .. C_T.
        columns: What is multiplied.

    Shape:
        factor: (..., T, n, n); below: (..., T - 1, n, n); columns: (..., T, n, k).

    Returns:
        The product, (..., T, n, k).

    Example:
        >>> times_upper(torch.full((2, 1, 1), 2.0), torch.ones(1, 1, 1), torch.ones(2, 1, 1)).flatten().tolist()
        [3.0, 2.0]
    """
    return factor.mT @ columns + pad(below.mT @ columns[..., 1:, :, :], (0, 0, 0, 0, 0, 1))


def solve_lower(factor: torch.Tensor, below: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Solve F y = b for the bidiagonal factor F, forwards through the frames.

    Args:
        factor: L_1 .. L_T.
        below: C_2 .. C_T.
        columns: b.

    Shape:
        factor: (..., T, n, n); below: (..., T - 1, n, n); columns: (..., T, n, k).

    Returns:
        y, (..., T, n, k).

    Example:
        >>> solve_lower(torch.full((2, 1, 1), 2.0), torch.ones(1, 1, 1), torch.ones(2, 1, 1)).flatten().tolist()
        [0.5, 0.25]
    """
    steps = torch.linalg.solve_triangular(factor[..., 1:, :, :], below, upper=False)
    return matrix_recurrence(-steps, torch.linalg.solve_triangular(factor, columns, upper=False))


def solve_upper(factor: torch.Tensor, below: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Solve F^T x = b for the bidiagonal factor F, backwards through the frames.

    Args:
        factor: L_1 .. L_T.
        below: C_2 .. C_T.
        columns: b.

    Shape:
        factor: (..., T, n, n); below: (..., T - 1, n, n); columns: (..., T, n, k).

    Returns:
        x, (..., T, n, k).

    Example:
        >>> solve_upper(torch.full((2, 1, 1), 2.0), torch.ones(1, 1, 1), torch.ones(2, 1, 1)).flatten().tolist()
        [0.25, 0.5]
    """
    steps = backward_steps(factor, below)
    drive = torch.linalg.solve_triangular(factor.mT, columns, upper=True)
    return matrix_recurrence(-steps.flip(-3), drive.flip(-3)).flip(-3)


def backward_steps(factor: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
    """Return the matrices G_t of the chain read backwards, x_t = -G_t x_{t+1} + noise.

    Args:
        factor: L_1 .. L_T of the precision.
        below: C_2 .. C_T.

    Shape:
        factor: (..., T, n, n); below: (..., T - 1, n, n).

    Returns:
        G_1 .. G_{T-1}, (..., T - 1, n, n).

    Example:
        >>> backward_steps(torch.full((2, 1, 1), 2.0), torch.ones(1, 1, 1))
        tensor([[[0.5000]]])
    """
    return torch.linalg.solve_triangular(factor[..., :-1, :, :].mT, below.mT, upper=True)


def selected_inverse(factor: torch.Tensor, below: torch.Tensor) -> Blocks:
    r"""Return the blocks of the inverse on its diagonal and next to it, without the others.

    $$\Sigma_{T,T} = (L_T L_T^\top)^{-1}, \qquad G_t = L_t^{-\top} C_{t+1}^\top, \qquad
    \Sigma_{t,t} = (L_t L_t^\top)^{-1} + G_t \Sigma_{t+1,t+1} G_t^\top, \qquad
    \Sigma_{t+1,t} = -\Sigma_{t+1,t+1} G_t^\top$$

    Args:
        factor: L_1 .. L_T of the precision.
        below: C_2 .. C_T.

    Shape:
        factor: (..., T, n, n); below: (..., T - 1, n, n).

    Returns:
        The covariances of the frames, (..., T, n, n), and of frames 2 .. T with the frame before, (..., T - 1, n, n).

    Source:
        The selected inverse of Takahashi et al. (1973), blockwise.

    Example:
        >>> covariances, lags = selected_inverse(torch.full((2, 1, 1), 2.0), torch.ones(1, 1, 1))
        >>> covariances.flatten().tolist(), lags.flatten().tolist()
        ([0.3125, 0.25], [-0.125])
    """
    steps = backward_steps(factor, below)
    noise = torch.cholesky_inverse(factor).unbind(-3)
    covariances, lags = [noise[-1]], []
    for step, own in zip(reversed(steps.unbind(-3)), reversed(noise[:-1])):
        lag = -covariances[-1] @ step.mT
        lags.append(lag)
        covariances.append(own - step @ lag)
    return torch.stack(covariances[::-1], dim=-3), torch.stack(lags[::-1], dim=-3) if lags else steps


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


def to_columns(value: torch.Tensor, num_dims: int) -> torch.Tensor:
    """Gather the leading dimensions of sequences, those of draws, into columns, so that they share matrix products.

    Args:
        value: Sequences.
        num_dims: How many trailing dimensions stay, T and n among them.

    Shape:
        value: (..., batch, T, n).

    Returns:
        Columns (batch, T, n, k), k the number of draws.

    Example:
        >>> to_columns(torch.zeros(7, 2, 5, 3), 3).shape
        torch.Size([2, 5, 3, 7])
    """
    draws = value.shape[: value.ndim - num_dims]
    return value.reshape(draws.numel(), *value.shape[len(draws) :]).movedim(0, -1)


def from_columns(columns: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Undo `to_columns`.

    Args:
        columns: Columns (batch, T, n, k).
        shape: Shape of the sequences, (..., batch, T, n).

    Returns:
        Sequences of that shape.

    Example:
        >>> from_columns(torch.zeros(2, 5, 3, 7), torch.Size([7, 2, 5, 3])).shape
        torch.Size([7, 2, 5, 3])
    """
    return columns.movedim(-1, 0).reshape(shape)


def expand_batch(value: torch.Tensor, batch_shape: torch.Size, event_dim: int) -> torch.Tensor:
    """Return a view of a tensor with a larger batch shape.

    Args:
        value: Any tensor.
        batch_shape: The new batch shape, to which the old one broadcasts.
        event_dim: How many trailing dimensions are no batch.

    Returns:
        The view, batch_shape and the trailing dimensions.

    Example:
        >>> expand_batch(torch.zeros(1, 5, 3), torch.Size([2, 4]), 2).shape
        torch.Size([2, 4, 5, 3])
    """
    return value.expand(*batch_shape, *value.shape[value.ndim - event_dim :])
