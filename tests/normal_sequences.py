"""Normal sequences of every form, and the same as dense normals over the flattened sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pyro.distributions import Normal
from torch import Tensor
from torch.distributions import MultivariateNormal

from pyrodis.distributions import BlockTridiagonalNormal, GaussMarkovNormal

Maker = Callable[..., Any]


def normals(*shape: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(shape, dtype=dtype)


def chain(batch: tuple[int, ...], T: int, n: int, dtype: torch.dtype = torch.float64, **parts: Any) -> Any:
    scale = 0.3 + torch.rand(*batch, T, n, dtype=dtype)
    return GaussMarkovNormal(normals(*batch, T, n, dtype=dtype), scale, **parts)


def eigenvalues(batch: tuple[int, ...], T: int, n: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return 1.8 * torch.rand(*batch, T - 1, n, dtype=dtype) - 0.9


def contraction(batch: tuple[int, ...], T: int, n: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Matrices of spectral norm below 1."""
    matrix = normals(*batch, T - 1, n, n, dtype=dtype)
    root = torch.linalg.cholesky(torch.eye(n, dtype=dtype) + matrix.mT @ matrix)
    return torch.linalg.solve_triangular(root, matrix.mT, upper=False).mT


def well_conditioned(n: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.eye(n, dtype=dtype) + 0.3 * normals(n, n, dtype=dtype)


def diagonal(batch: tuple[int, ...], T: int, n: int, dtype: torch.dtype = torch.float64) -> Any:
    return chain(batch, T, n, dtype, eigenvalues=eigenvalues(batch, T, n, dtype))


def rotation(batch: tuple[int, ...], T: int, n: int, dtype: torch.dtype = torch.float64) -> Any:
    angles = normals(*batch, T - 1, n // 2, dtype=dtype)
    return chain(batch, T, n, dtype, eigenvalues=eigenvalues(batch, T, n - n // 2, dtype), angles=angles)


def basis(batch: tuple[int, ...], T: int, n: int, dtype: torch.dtype = torch.float64) -> Any:
    return chain(batch, T, n, dtype, eigenvalues=eigenvalues(batch, T, n, dtype), basis=well_conditioned(n, dtype))


def turned_basis(batch: tuple[int, ...], T: int, n: int, dtype: torch.dtype = torch.float64) -> Any:
    angles, moduli = normals(*batch, T - 1, n // 2, dtype=dtype), eigenvalues(batch, T, n - n // 2, dtype)
    return chain(batch, T, n, dtype, eigenvalues=moduli, angles=angles, basis=well_conditioned(n, dtype))


def dense_transition(batch: tuple[int, ...], T: int, n: int, dtype: torch.dtype = torch.float64) -> Any:
    return chain(batch, T, n, dtype, transition=contraction(batch, T, n, dtype))


def factors(batch: tuple[int, ...], T: int, n: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    within = 0.3 * normals(*batch, T, n, n, dtype=dtype).tril(-1)
    own = (0.8 + torch.rand(*batch, T, n, dtype=dtype)).diag_embed()
    return own + within, 0.3 * normals(*batch, T - 1, n, n, dtype=dtype)


def from_factor(batch: tuple[int, ...], T: int, n: int, dtype: torch.dtype = torch.float64) -> Any:
    loc = normals(*batch, T, n, dtype=dtype)
    return BlockTridiagonalNormal.from_cholesky(loc, *factors(batch, T, n, dtype))


def from_blocks(batch: tuple[int, ...], T: int, n: int, dtype: torch.dtype = torch.float64) -> Any:
    return BlockTridiagonalNormal(normals(*batch, T, n, dtype=dtype), *from_factor(batch, T, n, dtype).precision_blocks)


def from_information(batch: tuple[int, ...], T: int, n: int, dtype: torch.dtype = torch.float64) -> Any:
    side = normals(*batch, T, n, n, dtype=dtype)
    blocks = diagonal(batch, T, n, dtype).precision_blocks
    return BlockTridiagonalNormal.from_information(*blocks, side @ side.mT, normals(*batch, T, n, dtype=dtype))


def independent(batch: tuple[int, ...], T: int, n: int, dtype: torch.dtype = torch.float64) -> Any:
    return Normal(normals(*batch, T, n, dtype=dtype), 0.3 + torch.rand(*batch, T, n, dtype=dtype)).to_event(2)


CHAINS: list[Maker] = [diagonal, rotation, basis, turned_basis, dense_transition]
FORMS: list[Maker] = [*CHAINS, from_factor, from_blocks, from_information]


def dense(normal: Any) -> MultivariateNormal:
    """The same in float64 over (..., T n), built from precisions where there are any."""
    loc = normal.mean.double().flatten(-2)
    if not hasattr(normal, "precision_matrix"):
        return MultivariateNormal(loc, covariance_matrix=normal.variance.double().flatten(-2).diag_embed())
    return MultivariateNormal(loc, precision_matrix=normal.precision_matrix.double())
