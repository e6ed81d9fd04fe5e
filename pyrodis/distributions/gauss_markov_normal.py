"""A normal sequence whose frames have given means and scales, and follow each other with given eigenvalues."""

from __future__ import annotations

import math
from typing import cast

import torch
from pyro.distributions import Independent, Normal, TorchDistribution
from torch.distributions import constraints
from torch.nn.functional import pad

from pyrodis.distributions.sequence_checks import check_event, check_shapes, require_all
from pyrodis.distributions.unit_chains import BasisChain, DenseChain, DiagonalChain, RotationChain, UnitChain
from pyrodis.ops.block_tridiagonal import Blocks, assemble, expand_batch

Shape = torch.Size | list[int] | tuple[int, ...]


class GaussMarkovNormal(TorchDistribution):
    r"""A normal sequence that is a Markov chain, with the means and scales of its frames kept apart from its memory.

    $$z_t = \mathrm{loc}_t + \mathrm{scale}_t u_t, \qquad u_1 \sim \mathcal N(0, P), \qquad
    u_t = A_t u_{t-1} + Q_t^{1/2} e_t, \qquad Q_t = P - A_t P A_t^\top, \qquad e_t \sim \mathcal N(0, I)$$

    The chain u is stationary in its covariance P, the identity unless there is a basis: then every frame by itself is
    N(loc_t, diag(scale_t^2)), whatever the memory. As a guide it is a mean-field posterior with memory; with loc zero
    it is the autoregressive prior of order one. The transition A_t has one of four forms, each positive definite by
    construction:

    - `eigenvalues` alone: A_t is diagonal, and everything is elementwise;
    - `eigenvalues` and `angles`: A_t consists of 2 x 2 blocks that shrink by an eigenvalue and turn by an angle;
    - `basis` L besides: A_t = L (diagonal or blocks) L^{-1} with P = L L^T, and the frames' covariances are
      diag(scale) L L^T diag(scale);
    - `transition`: any matrices of spectral norm below 1.

    Args:
        loc: Means of the frames.
        scale: Standard deviations of the frames (times those of P).
        eigenvalues: Correlations of frames 2 .. T with the frame before, in (-1, 1); with angles one modulus a pair,
            and last a real one where n is odd.
        angles: Rotations of the pairs, in radians.
        basis: L, invertible.
        transition: A_2 .. A_T, in place of eigenvalues.
        validate_args: As in torch; it reads the values, which waits for a GPU.

    Shape:
        loc, scale: (..., T, n); eigenvalues: (..., T - 1, n), or (..., T - 1, n - n // 2) with angles
        (..., T - 1, n // 2); basis: (n, n); transition: (..., T - 1, n, n). Batch shapes broadcast; event shape (T, n).

    Raises:
        TypeError: If a part is not a floating-point tensor.
        ValueError: If a shape does not fit, n is 0, or neither or both of eigenvalues and transition are given; if a
            transition's norm is not below 1; where values are checked, if an eigenvalue is not strictly between -1 and
            1, a scale not above 0, a value not finite, or the basis singular. Frames in messages count from 0.

    Source:
        The stationary Gauss-Markov process. It completes the structured posterior "from eigenvalues", whose own choice
        of a unit diagonal for the precision is positive definite only for small eigenvalues.

    Example:
        >>> z = GaussMarkovNormal(torch.zeros(5, 2), torch.ones(5, 2), torch.full((4, 2), 0.9)).expand([3])
        >>> value = z.rsample()
        >>> value.shape, z.log_prob(value).shape
        (torch.Size([3, 5, 2]), torch.Size([3]))
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    support = constraints.independent(constraints.real, 2)
    has_rsample = True

    def __init__(
        self,
        loc: torch.Tensor,
        scale: torch.Tensor,
        eigenvalues: torch.Tensor | None = None,
        *,
        angles: torch.Tensor | None = None,
        basis: torch.Tensor | None = None,
        transition: torch.Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        event_shape = check_event("loc", loc)
        num_frames, dim = event_shape
        num_pairs = 0 if angles is None else dim // 2
        parts = {
            "loc": (loc, (num_frames, dim)),
            "scale": (scale, (num_frames, dim)),
            "eigenvalues": (eigenvalues, (num_frames - 1, dim - num_pairs)),
            "angles": (angles, (num_frames - 1, num_pairs)),
            "transition": (transition, (num_frames - 1, dim, dim)),
        }
        _check_forms(eigenvalues, angles, basis, transition)
        batch_shape = check_shapes(parts)
        if basis is not None and basis.shape != (dim, dim):
            raise ValueError(f"basis must have shape (n, n) = {(dim, dim)}, got {tuple(basis.shape)}")
        if self._validate_args if validate_args is None else validate_args:
            _check_values(loc, scale, eigenvalues, angles)
            _check_invertible(basis)
        self._chain = _make_chain(num_frames, eigenvalues, angles, basis, transition)
        self.loc, self.scale, self.basis = loc, scale, basis
        self.eigenvalues, self.angles, self.transition = eigenvalues, angles, transition
        self._expand_parts(self, batch_shape)
        super().__init__(batch_shape, event_shape, validate_args=validate_args)

    def expand(self, batch_shape: Shape, _instance: GaussMarkovNormal | None = None) -> GaussMarkovNormal:
        """Return the same distribution with a larger batch shape; its parameters are views, not copies.

        Args:
            batch_shape: The new batch shape, to which the old one broadcasts.

        Returns:
            A distribution of that batch shape.
        """
        new = self._get_checked_instance(GaussMarkovNormal, _instance)
        self._expand_parts(new, torch.Size(batch_shape))
        super(GaussMarkovNormal, new).__init__(torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _expand_parts(self, new: GaussMarkovNormal, batch_shape: torch.Size) -> None:
        new.loc, new.scale = expand_batch(self.loc, batch_shape, 2), expand_batch(self.scale, batch_shape, 2)
        new.eigenvalues, new.angles = (
            None if part is None else expand_batch(part, batch_shape, 2) for part in (self.eigenvalues, self.angles)
        )
        new.transition = None if self.transition is None else expand_batch(self.transition, batch_shape, 3)
        new.basis, new._chain = self.basis, self._chain.expand(batch_shape)

    @property
    def mean(self) -> torch.Tensor:
        """The means of the frames, batch_shape + (T, n)."""
        return self.loc

    @property
    def variance(self) -> torch.Tensor:
        """The variances of the frames' dimensions, batch_shape + (T, n)."""
        covariance = self._chain.covariance()
        variance = self.scale.square()
        return variance if covariance is None else variance * covariance.diagonal()

    def rsample(self, sample_shape: Shape = torch.Size()) -> torch.Tensor:
        """Draw sequences, differentiably.

        Args:
            sample_shape: Leading shape of the draws.

        Returns:
            Draws of shape sample_shape + batch_shape + (T, n).
        """
        shape = torch.Size(sample_shape) + self.batch_shape + self.event_shape
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return torch.addcmul(self.loc, self.scale, self._chain.draw(noise))

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Return the log-density of sequences.

        Args:
            value: Sequences of shape (..., T, n).

        Returns:
            Log-densities in nats, summed over frames and dimensions, shape (...).
        """
        if self._validate_args:
            self._validate_sample(value)
        constant = 0.5 * self.event_shape.numel() * math.log(2 * math.pi)
        return -0.5 * self._whiten(value).square().sum((-2, -1)) - self._log_volume() - constant

    def entropy(self) -> torch.Tensor:
        """Return the entropy in nats, batch_shape."""
        constant = 0.5 * self.event_shape.numel() * (1 + math.log(2 * math.pi))
        return self._log_volume() + constant

    def conditional(self, value: torch.Tensor) -> Independent:
        """Return the product of the frames' normals given the frames before them, as one normal over (T, n).

        Args:
            value: Sequences of shape (..., T, n).

        Returns:
            The independent normal whose log-density at `value` is that of this distribution at `value`.

        Raises:
            NotImplementedError: If the dimensions of a frame depend on each other given the frame before, as with a
                basis or a dense transition.
        """
        chain = self._chain
        if not isinstance(chain, DiagonalChain | RotationChain):
            raise NotImplementedError(
                "a frame given the one before is no independent normal with a basis or transition"
            )
        loc = self.loc + self.scale * chain.predict((value - self.loc) / self.scale)
        return Normal(loc, self.scale * chain.noise_scale, validate_args=False).to_event(2)

    @property
    def precision_blocks(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Blocks of the precision: on its diagonal (..., T, n, n), and below it (..., T - 1, n, n)."""
        transitions, noise = self._chain.transitions(), self._chain.noise_precisions()
        lower = -noise[..., 1:, :, :] @ transitions
        diagonal = noise - pad(transitions.mT @ lower, (0, 0, 0, 0, 0, 1))
        inverse = self.scale.reciprocal()
        return _sandwich(inverse, diagonal, inverse), _sandwich(inverse[..., 1:, :], lower, inverse[..., :-1, :])

    @property
    def precision_matrix(self) -> torch.Tensor:
        """The precision of the flattened sequence, batch_shape + (T n, T n)."""
        return assemble(*self.precision_blocks)

    @property
    def marginal_covariances(self) -> torch.Tensor:
        """The covariances of the frames, batch_shape + (T, n, n)."""
        return self._covariance_blocks()[0]

    @property
    def lag_covariances(self) -> torch.Tensor:
        """The covariances of frames 2 .. T with the frame before, batch_shape + (T - 1, n, n)."""
        return self._covariance_blocks()[1]

    @property
    def covariance_matrix(self) -> torch.Tensor:
        """The covariance of the flattened sequence, batch_shape + (T n, T n)."""
        num_frames, dim = self.event_shape
        transitions, unit = self._chain.transitions(), self._unit_covariance()
        column = unit.expand(*self.batch_shape, dim, dim)
        rows = [column]
        for t in range(num_frames - 1):
            # Frame t + 1 with the frames up to t, and with itself.
            rows.append(torch.cat([transitions[..., t, :, :] @ rows[-1], column], dim=-1))
        lower = torch.cat([pad(row, (0, num_frames * dim - row.shape[-1])) for row in rows], dim=-2)
        scale = self.scale.flatten(-2)
        blocks = torch.ones(num_frames, num_frames, dtype=lower.dtype, device=lower.device).tril(-1)
        below = lower * blocks.repeat_interleave(dim, 0).repeat_interleave(dim, 1)
        return _sandwich(scale, lower + below.mT, scale)

    def _whiten(self, value: torch.Tensor) -> torch.Tensor:
        """Independent standard normals of which a draw of `value` was made, (..., T, n)."""
        return self._chain.whiten((value - self.loc) / self.scale)

    def _covariance_blocks(self) -> Blocks:
        """The covariances of the frames, and of frames 2 .. T with the frame before."""
        unit = self._unit_covariance()
        lag = _sandwich(self.scale[..., 1:, :], self._chain.transitions() @ unit, self.scale[..., :-1, :])
        return _sandwich(self.scale, unit, self.scale), lag

    def _unit_covariance(self) -> torch.Tensor:
        covariance = self._chain.covariance()
        if covariance is None:
            return torch.eye(self.event_shape[1], dtype=self.loc.dtype, device=self.loc.device)
        return covariance

    def _log_volume(self) -> torch.Tensor:
        """Half the log-determinant of the covariance."""
        return self.scale.log().sum((-2, -1)) + self._chain.log_noise()


def _make_chain(
    num_frames: int,
    eigenvalues: torch.Tensor | None,
    angles: torch.Tensor | None,
    basis: torch.Tensor | None,
    transition: torch.Tensor | None,
) -> UnitChain:
    if transition is not None or eigenvalues is None:
        return DenseChain(cast(torch.Tensor, transition))
    chain = DiagonalChain(eigenvalues) if angles is None else RotationChain(eigenvalues, angles)
    return chain if basis is None else BasisChain(chain, basis, num_frames)


def _sandwich(left: torch.Tensor, matrix: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return left.unsqueeze(-1) * matrix * right.unsqueeze(-2)


def _check_forms(
    eigenvalues: torch.Tensor | None,
    angles: torch.Tensor | None,
    basis: torch.Tensor | None,
    transition: torch.Tensor | None,
) -> None:
    if (eigenvalues is None) == (transition is None):
        got = "neither" if eigenvalues is None else "both"
        raise ValueError(f"exactly one of eigenvalues and transition must be given, got {got}")
    if transition is not None and (angles is not None or basis is not None):
        raise ValueError("angles and basis go with eigenvalues, got them with transition; multiply them into it")


def _check_values(
    loc: torch.Tensor, scale: torch.Tensor, eigenvalues: torch.Tensor | None, angles: torch.Tensor | None
) -> None:
    require_all(loc.isfinite(), loc, "loc must be finite")
    require_all((scale > 0) & scale.isfinite(), scale, "scale must be finite and above 0")
    if angles is not None:
        require_all(angles.isfinite(), angles, "angles must be finite", first_frame=1)
    if eigenvalues is not None:
        expectation, hint = "eigenvalues must lie strictly between -1 and 1", "; use pyrodis.ops.bounded_eigenvalues"
        require_all(eigenvalues.abs() < 1, eigenvalues, expectation, hint, first_frame=1)


def _check_invertible(basis: torch.Tensor | None) -> None:
    if basis is None or basis.is_meta:
        return
    values = torch.linalg.svdvals(basis.detach())
    if not values[-1] > len(basis) * torch.finfo(basis.dtype).eps * values[0]:  # what rounding leaves of a zero
        raise ValueError(
            f"basis must be invertible, got one with singular values from {float(values[0]):.4g} to "
            f"{float(values[-1]):.4g}"
        )
