"""The structured normals of the docstrings, written out with loops over frames and dense matrices."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from pyrodis.distributions import BlockTridiagonalNormal, GaussMarkovNormal
from pyrodis.ops import bounded_eigenvalues, linear_recurrence, matrix_recurrence
from pyrodis.ops.block_tridiagonal import block_cholesky, selected_inverse

T, N = 4, 3


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def positive(*shape: int) -> Tensor:
    return 0.4 + torch.rand(*shape, dtype=torch.float64)


def memory() -> Tensor:
    return 1.8 * torch.rand(T - 1, N, dtype=torch.float64) - 0.9


def tridiagonal() -> tuple[Tensor, Tensor, Tensor]:
    """Blocks, and the dense matrix that they make up."""
    torch.manual_seed(0)
    side = random(T, N, N)
    blocks, lower = 8 * torch.eye(N).double() + side @ side.mT, random(T - 1, N, N)
    matrix = torch.zeros(T * N, T * N, dtype=torch.float64)
    for t in range(T):
        here = slice(t * N, (t + 1) * N)
        matrix[here, here] = blocks[t]
        if t:
            before = slice((t - 1) * N, t * N)
            matrix[here, before], matrix[before, here] = lower[t - 1], lower[t - 1].T
    return blocks, lower, matrix


def test_eigenvalues_are_a_bounded_tanh() -> None:
    raw = torch.linspace(-12, 12, 49, dtype=torch.float64)
    torch.testing.assert_close(bounded_eigenvalues(raw), (1 - 1e-6) * raw.sinh() / raw.cosh())


def test_linear_recurrence_frame_by_frame() -> None:
    a, b = random(40, N), random(41, N)
    state = b[0]
    for t in range(1, 41):
        state = a[t - 1] * state + b[t]
    torch.testing.assert_close(linear_recurrence(a, b)[-1], state)


def test_matrix_recurrence_frame_by_frame() -> None:
    a, b = random(T - 1, N, N), random(T, N, 2)
    state = b[0]
    for t in range(1, T):
        state = a[t - 1] @ state + b[t]
    torch.testing.assert_close(matrix_recurrence(a, b)[-1], state)


def test_block_cholesky_is_the_cholesky_factor() -> None:
    blocks, lower, matrix = tridiagonal()
    factor, below = block_cholesky(blocks, lower)
    dense = torch.linalg.cholesky(matrix)
    for t in range(T):
        here = slice(t * N, (t + 1) * N)
        torch.testing.assert_close(factor[t], dense[here, here])
        if t:
            torch.testing.assert_close(below[t - 1], dense[here, (t - 1) * N : t * N])


def test_selected_inverse_is_part_of_the_inverse() -> None:
    blocks, lower, matrix = tridiagonal()
    covariances, lags = selected_inverse(*block_cholesky(blocks, lower))
    inverse = torch.linalg.inv(matrix)
    for t in range(T):
        here = slice(t * N, (t + 1) * N)
        torch.testing.assert_close(covariances[t], inverse[here, here])
        if t:
            torch.testing.assert_close(lags[t - 1], inverse[here, (t - 1) * N : t * N])


def test_gauss_markov_normal_is_the_product_of_its_steps() -> None:
    """In every form, with A_t and P written as matrices."""
    torch.manual_seed(0)
    loc, scale, value, values, basis = random(T, N), positive(T, N), random(T, N), memory(), random(N, N)
    angles, identity = random(T - 1, 1), torch.eye(N).double()
    turns = torch.zeros(T - 1, N, N).double()
    for t in range(T - 1):
        cosine, sine = angles[t, 0].cos(), angles[t, 0].sin()
        turns[t, :2, :2] = values[t, 0] * torch.tensor([[cosine, -sine], [sine, cosine]])
        turns[t, 2, 2] = values[t, 1]
    forms = [
        ({"eigenvalues": values}, values.diag_embed(), identity),
        ({"eigenvalues": values[:, :2], "angles": angles}, turns, identity),
        ({"eigenvalues": values, "basis": basis}, basis @ values.diag_embed() @ basis.inverse(), basis @ basis.T),
        ({"transition": turns}, turns, identity),
    ]
    for parts, transition, covariance in forms:
        u = (value - loc) / scale
        expected = MultivariateNormal(torch.zeros(N).double(), covariance).log_prob(u[0]) - scale.log().sum()
        for t in range(1, T):
            noise = covariance - transition[t - 1] @ covariance @ transition[t - 1].T
            expected = expected + MultivariateNormal(transition[t - 1] @ u[t - 1], noise).log_prob(u[t])
        torch.testing.assert_close(GaussMarkovNormal(loc, scale, **parts).log_prob(value), expected)


def test_block_tridiagonal_normal_is_the_normal_of_its_precision() -> None:
    blocks, lower, matrix = tridiagonal()
    loc, value = random(T, N), random(T, N)
    expected = MultivariateNormal(loc.flatten(), precision_matrix=matrix).log_prob(value.flatten())
    normal = BlockTridiagonalNormal(loc, blocks, lower)
    torch.testing.assert_close(normal.log_prob(value), expected)
    torch.testing.assert_close(normal.precision_matrix, matrix)


def test_divergence_of_chains_in_units_of_the_other() -> None:
    """The chain of q in units of p, standardized in both ways, is the chain that p calls standard."""
    torch.manual_seed(0)
    q, p = (GaussMarkovNormal(random(T, N), positive(T, N), memory()) for _ in range(2))
    a, b = (q.loc - p.loc) / p.scale, q.scale / p.scale
    standard = GaussMarkovNormal(torch.zeros(T, N).double(), torch.ones(T, N).double(), p.eigenvalues)
    torch.testing.assert_close(kl_divergence(GaussMarkovNormal(a, b, q.eigenvalues), standard), kl_divergence(q, p))


def test_divergence_of_diagonal_chains_step_by_step() -> None:
    """By the mean over u_{t-1} of the divergence of one step from the other, each dimension by itself."""
    torch.manual_seed(0)
    q, p = (GaussMarkovNormal(random(T, N), positive(T, N), memory()) for _ in range(2))
    expected = kl_divergence(Normal(q.loc[0], q.scale[0]), Normal(p.loc[0], p.scale[0])).sum()
    nodes, weights = (torch.tensor(part) for part in np.polynomial.hermite_e.hermegauss(5))
    for t in range(1, T):
        ours, theirs = q.eigenvalues[t - 1], p.eigenvalues[t - 1]
        for u, weight in zip(nodes, weights / weights.sum()):
            before = (q.loc[t - 1] + q.scale[t - 1] * u - p.loc[t - 1]) / p.scale[t - 1]
            step = Normal(q.loc[t] + q.scale[t] * ours * u, q.scale[t] * (1 - ours**2).sqrt())
            other = Normal(p.loc[t] + p.scale[t] * theirs * before, p.scale[t] * (1 - theirs**2).sqrt())
            expected = expected + weight * kl_divergence(step, other).sum()
    torch.testing.assert_close(kl_divergence(q, p), expected)


def test_divergence_by_blocks_is_that_of_dense_normals() -> None:
    blocks, lower, matrix = tridiagonal()
    p = BlockTridiagonalNormal(random(T, N), blocks, lower)
    q = GaussMarkovNormal(random(T, N), positive(T, N), memory())
    distance, covariance = (q.loc - p.loc).flatten(), q.covariance_matrix
    expected = (matrix @ covariance).trace() + distance @ matrix @ distance - T * N
    expected = 0.5 * (expected - covariance.logdet() - matrix.logdet())
    torch.testing.assert_close(kl_divergence(q, p), expected)
