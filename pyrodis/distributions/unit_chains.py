"""Gauss-Markov chains of unit scale, one class a form of the transition: what `GaussMarkovNormal` is made of.

Each maps independent standard normals e_1 .. e_T to a stationary chain u_1 .. u_T and back:
u_t = A_t u_{t-1} + Q_t^{1/2} e_t, where Q_t keeps every frame's covariance the same.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch.nn.functional import pad

from pyrodis.ops import linear_recurrence, matrix_recurrence
from pyrodis.ops.block_tridiagonal import block_factor, expand_batch, from_columns, to_columns


class UnitChain(Protocol):
    """What `GaussMarkovNormal` needs of a chain."""

    def expand(self, batch_shape: torch.Size) -> UnitChain:
        """Return the same chain with parameters of that batch shape, as views."""
        ...

    def draw(self, noise: torch.Tensor) -> torch.Tensor:
        """Map standard normals (..., T, n) to the chain."""
        ...

    def whiten(self, chain: torch.Tensor) -> torch.Tensor:
        """Map the chain (..., T, n) back to standard normals."""
        ...

    def log_noise(self) -> torch.Tensor:
        """Return log |Q_1^{1/2}| + .. + log |Q_T^{1/2}|, shape (...)."""
        ...

    def transitions(self) -> torch.Tensor:
        """Return A_2 .. A_T, (..., T - 1, n, n)."""
        ...

    def noise_precisions(self) -> torch.Tensor:
        """Return the inverses of Q_1 .. Q_T, (..., T, n, n)."""
        ...

    def covariance(self) -> torch.Tensor | None:
        """Return the covariance of every frame (n, n), or None if it is the identity."""
        ...


class DiagonalChain:
    """Dimensions that do not see each other: everything is elementwise.

    Args:
        eigenvalues: (..., T - 1, n).
    """

    def __init__(self, eigenvalues: torch.Tensor) -> None:
        self.eigenvalues = pad(eigenvalues, (0, 0, 1, 0))  # the first frame has none: zero
        self.noise_scale = ((1 - self.eigenvalues) * (1 + self.eigenvalues)).sqrt()

    def expand(self, batch_shape: torch.Size) -> DiagonalChain:
        """Return the same chain with parameters of that batch shape, as views."""
        new = DiagonalChain.__new__(DiagonalChain)
        new.eigenvalues, new.noise_scale = (
            expand_batch(self.eigenvalues, batch_shape, 2),
            expand_batch(self.noise_scale, batch_shape, 2),
        )
        return new

    def predict(self, chain: torch.Tensor) -> torch.Tensor:
        """Return the mean of every frame given the one before."""
        return self.eigenvalues * _previous(chain)

    def draw(self, noise: torch.Tensor) -> torch.Tensor:
        """Map standard normals (..., T, n) to the chain."""
        return linear_recurrence(self.eigenvalues[..., 1:, :], self.noise_scale * noise)

    def whiten(self, chain: torch.Tensor) -> torch.Tensor:
        """Map the chain (..., T, n) back to standard normals."""
        return torch.addcmul(chain, self.eigenvalues, _previous(chain), value=-1) / self.noise_scale

    def log_noise_scale(self) -> torch.Tensor:
        """Return the logarithm of the noise's standard deviation, (..., T, n), exact near +1 and -1."""
        return 0.5 * (torch.log1p(-self.eigenvalues) + torch.log1p(self.eigenvalues))

    def log_noise(self) -> torch.Tensor:
        """Return log |Q_1^{1/2}| + .. + log |Q_T^{1/2}|, shape (...)."""
        return self.log_noise_scale().sum((-2, -1))

    def transitions(self) -> torch.Tensor:
        """Return A_2 .. A_T, (..., T - 1, n, n)."""
        return self.eigenvalues[..., 1:, :].diag_embed()

    def noise_precisions(self) -> torch.Tensor:
        """Return the inverses of Q_1 .. Q_T, (..., T, n, n)."""
        return self.noise_scale.square().reciprocal().diag_embed()

    def covariance(self) -> torch.Tensor | None:
        """Return None: every frame's covariance is the identity."""
        return None


class RotationChain:
    """Pairs of dimensions that shrink and turn, and one real dimension at the end where n is odd.

    A pair is one complex number, and the chain is diagonal over them.

    Args:
        moduli: (..., T - 1, n - n // 2), the last one a real eigenvalue where n is odd.
        angles: (..., T - 1, n // 2).
    """

    def __init__(self, moduli: torch.Tensor, angles: torch.Tensor) -> None:
        self.radial = DiagonalChain(moduli)
        self.dim = moduli.shape[-1] + angles.shape[-1]
        turns = pad(angles, (0, self.dim % 2, 1, 0))
        self.factors = torch.polar(torch.ones_like(turns), turns) * self.radial.eigenvalues

    def expand(self, batch_shape: torch.Size) -> RotationChain:
        """Return the same chain with parameters of that batch shape, as views."""
        new = RotationChain.__new__(RotationChain)
        new.radial, new.dim = self.radial.expand(batch_shape), self.dim
        new.factors = expand_batch(self.factors, batch_shape, 2)
        return new

    @property
    def noise_scale(self) -> torch.Tensor:
        """Standard deviation of the noise of every dimension, (..., T, n)."""
        return self._both(self.radial.noise_scale)

    def predict(self, chain: torch.Tensor) -> torch.Tensor:
        """Return the mean of every frame given the one before."""
        return self._join(self.factors * _previous(self._pair(chain)))

    def draw(self, noise: torch.Tensor) -> torch.Tensor:
        """Map standard normals (..., T, n) to the chain."""
        return self._join(linear_recurrence(self.factors[..., 1:, :], self._pair(self.noise_scale * noise)))

    def whiten(self, chain: torch.Tensor) -> torch.Tensor:
        """Map the chain (..., T, n) back to standard normals."""
        return (chain - self.predict(chain)) / self.noise_scale

    def log_noise(self) -> torch.Tensor:
        """Return log |Q_1^{1/2}| + .. + log |Q_T^{1/2}|, shape (...)."""
        return self._both(self.radial.log_noise_scale()).sum((-2, -1))

    def transitions(self) -> torch.Tensor:
        """Return A_2 .. A_T, (..., T - 1, n, n)."""
        factors = self.factors[..., 1:, :]
        unit = torch.eye(self.dim, dtype=factors.real.dtype, device=factors.device)
        return self._join(factors.unsqueeze(-2) * self._pair(unit)).mT

    def noise_precisions(self) -> torch.Tensor:
        """Return the inverses of Q_1 .. Q_T, (..., T, n, n)."""
        return self.noise_scale.square().reciprocal().diag_embed()

    def covariance(self) -> torch.Tensor | None:
        """Return None: every frame's covariance is the identity."""
        return None

    def _both(self, value: torch.Tensor) -> torch.Tensor:
        """From one number a pair to one a dimension."""
        return value.repeat_interleave(2, dim=-1)[..., : self.dim]

    def _pair(self, value: torch.Tensor) -> torch.Tensor:
        value = pad(value, (0, self.dim % 2))
        return torch.complex(value[..., ::2], value[..., 1::2])

    def _join(self, value: torch.Tensor) -> torch.Tensor:
        return torch.stack([value.real, value.imag], dim=-1).flatten(-2)[..., : self.dim]


class BasisChain:
    """A chain seen in another basis, u = L w; every frame's covariance is then L L^T.

    Args:
        inner: The chain w, of unit covariance.
        basis: L, (n, n).
        num_frames: T.
    """

    def __init__(self, inner: DiagonalChain | RotationChain, basis: torch.Tensor, num_frames: int) -> None:
        self.inner, self.basis, self.num_frames = inner, basis, num_frames

    def expand(self, batch_shape: torch.Size) -> BasisChain:
        """Return the same chain with parameters of that batch shape, as views."""
        return BasisChain(self.inner.expand(batch_shape), self.basis, self.num_frames)

    def draw(self, noise: torch.Tensor) -> torch.Tensor:
        """Map standard normals (..., T, n) to the chain."""
        return self.inner.draw(noise) @ self.basis.mT

    def whiten(self, chain: torch.Tensor) -> torch.Tensor:
        """Map the chain (..., T, n) back to standard normals."""
        return self.inner.whiten(chain @ torch.linalg.inv(self.basis).mT)

    def log_noise(self) -> torch.Tensor:
        """Return log |Q_1^{1/2}| + .. + log |Q_T^{1/2}|, shape (...)."""
        return self.inner.log_noise() + self.num_frames * torch.linalg.slogdet(self.basis).logabsdet

    def transitions(self) -> torch.Tensor:
        """Return A_2 .. A_T, (..., T - 1, n, n)."""
        return self.basis @ self.inner.transitions() @ torch.linalg.inv(self.basis)

    def noise_precisions(self) -> torch.Tensor:
        """Return the inverses of Q_1 .. Q_T, (..., T, n, n)."""
        inverse = torch.linalg.inv(self.basis)
        return inverse.mT @ self.inner.noise_precisions() @ inverse

    def covariance(self) -> torch.Tensor | None:
        """Return L L^T."""
        return self.basis @ self.basis.mT


class DenseChain:
    """Any matrix of norm below one a frame; the noise's covariance is factored for all frames at once.

    Args:
        transition: (..., T - 1, n, n).

    Raises:
        ValueError: If I - A_t A_t^T is not positive definite; the message names the frame.
    """

    def __init__(self, transition: torch.Tensor) -> None:
        identity = torch.eye(transition.shape[-1], dtype=transition.dtype, device=transition.device)
        self.matrices = transition
        expectation = "transition must have a spectral norm below 1 at every frame"
        noise = identity - transition @ transition.mT
        self.factors = block_factor(noise, expectation, "use pyrodis.ops.contraction", first_frame=1)

    def expand(self, batch_shape: torch.Size) -> DenseChain:
        """Return the same chain with parameters of that batch shape, as views."""
        new = DenseChain.__new__(DenseChain)
        new.matrices, new.factors = (
            expand_batch(self.matrices, batch_shape, 3),
            expand_batch(self.factors, batch_shape, 3),
        )
        return new

    def draw(self, noise: torch.Tensor) -> torch.Tensor:
        """Map standard normals (..., T, n) to the chain."""
        columns = to_columns(noise, self.matrices.ndim - 1)
        drive = torch.cat([columns[..., :1, :, :], self.factors @ columns[..., 1:, :, :]], dim=-3)
        return from_columns(matrix_recurrence(self.matrices, drive), noise.shape)

    def whiten(self, chain: torch.Tensor) -> torch.Tensor:
        """Map the chain (..., T, n) back to standard normals."""
        columns = to_columns(chain, self.matrices.ndim - 1)
        rest = columns[..., 1:, :, :] - self.matrices @ columns[..., :-1, :, :]
        later = torch.linalg.solve_triangular(self.factors, rest, upper=False)
        return from_columns(torch.cat([columns[..., :1, :, :], later], dim=-3), chain.shape)

    def log_noise(self) -> torch.Tensor:
        """Return log |Q_1^{1/2}| + .. + log |Q_T^{1/2}|, shape (...)."""
        return self.factors.diagonal(dim1=-2, dim2=-1).log().sum((-2, -1))

    def transitions(self) -> torch.Tensor:
        """Return A_2 .. A_T, (..., T - 1, n, n)."""
        return self.matrices

    def noise_precisions(self) -> torch.Tensor:
        """Return the inverses of Q_1 .. Q_T, (..., T, n, n)."""
        dim = self.factors.shape[-1]
        first = torch.eye(dim, dtype=self.factors.dtype, device=self.factors.device)
        return torch.cat(
            [first.expand(*self.factors.shape[:-3], 1, dim, dim), torch.cholesky_inverse(self.factors)], -3
        )

    def covariance(self) -> torch.Tensor | None:
        """Return None: every frame's covariance is the identity."""
        return None


def _previous(chain: torch.Tensor) -> torch.Tensor:
    """The frame before each, zero before the first."""
    return pad(chain[..., :-1, :], (0, 0, 1, 0))
