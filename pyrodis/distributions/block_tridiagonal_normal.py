"""A normal sequence with any block-tridiagonal precision."""

from __future__ import annotations

import math

import torch
from pyro.distributions import TorchDistribution
from torch.distributions import constraints

from pyrodis.distributions.sequence_checks import check_event, check_shapes, require_all
from pyrodis.ops.block_tridiagonal import (
    Blocks,
    assemble,
    backward_steps,
    block_cholesky,
    expand_batch,
    factor_product,
    from_columns,
    selected_inverse,
    solve_lower,
    solve_upper,
    times_upper,
    to_columns,
)
from pyrodis.ops.checks import check_floating

Shape = torch.Size | list[int] | tuple[int, ...]


class BlockTridiagonalNormal(TorchDistribution):
    r"""A normal sequence in which a frame, given its two neighbors, depends on no other frame.

    $$z \sim \mathcal N(\mathrm{loc}, J^{-1}), \qquad J_{t,t} = D_t, \qquad J_{t,t-1} = B_t = J_{t-1,t}^\top,
    \qquad J_{t,s} = 0 \text{ for } |t - s| > 1$$

    Every Gauss-Markov sequence is one. Work is O(T n^3) and memory O(T n^2), by the block Cholesky factor of J;
    only `covariance_matrix` and `precision_matrix` are dense. A precision close to singular wants float64: it is
    factored as it is, and nothing is added to its diagonal.

    Args:
        loc: Means of the frames.
        precision_diagonal: D_1 .. D_T, symmetric.
        precision_lower: B_2 .. B_T.
        validate_args: As in torch; it reads the values, which waits for a GPU.

    Shape:
        loc: (..., T, n); precision_diagonal: (..., T, n, n); precision_lower: (..., T - 1, n, n). Batch shapes
        broadcast; event shape (T, n).

    Raises:
        TypeError: If a part is not a floating-point tensor.
        ValueError: If a shape does not fit, n is 0, or the precision is not positive definite (the message names the
            frame, counted from 0, at which it fails); where values are checked, if one is not finite or a block on the
            diagonal is not symmetric.

    Source:
        Archer et al., Black box variational inference for state space models (2016), where it is the posterior.

    Example:
        >>> diagonal, lower = 2 * torch.eye(2).expand(5, 2, 2), -0.5 * torch.eye(2).expand(4, 2, 2)
        >>> z = BlockTridiagonalNormal(torch.zeros(5, 2), diagonal, lower).expand([3])
        >>> z.log_prob(z.rsample()).shape
        torch.Size([3])
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    support = constraints.independent(constraints.real, 2)
    has_rsample = True

    def __init__(
        self,
        loc: torch.Tensor,
        precision_diagonal: torch.Tensor,
        precision_lower: torch.Tensor,
        validate_args: bool | None = None,
    ) -> None:
        parts = {"loc": loc, "precision_diagonal": precision_diagonal, "precision_lower": precision_lower}
        batch_shape = _check_parts(parts)
        if self._validate_args if validate_args is None else validate_args:
            _check_finite(parts)
            _check_symmetric("precision_diagonal", precision_diagonal)
        self._blocks: Blocks | None = (precision_diagonal, precision_lower)
        self._start(loc, block_cholesky(precision_diagonal, precision_lower), batch_shape, validate_args)

    @classmethod
    def from_cholesky(
        cls,
        loc: torch.Tensor,
        diagonal_factor: torch.Tensor,
        lower_factor: torch.Tensor,
        validate_args: bool | None = None,
    ) -> BlockTridiagonalNormal:
        """Return the normal whose precision has the given bidiagonal Cholesky factor, which saves the factorization.

        Args:
            loc: Means of the frames.
            diagonal_factor: L_1 .. L_T, lower triangular with a positive diagonal.
            lower_factor: C_2 .. C_T, any.
            validate_args: As in torch.

        Returns:
            The normal with D_t = L_t L_t^T + C_t C_t^T and B_t = C_t L_{t-1}^T.

        Raises:
            ValueError: If a shape does not fit; where values are checked, if one is not finite or a factor is not lower
                triangular with a positive diagonal.
        """
        parts = {"loc": loc, "diagonal_factor": diagonal_factor, "lower_factor": lower_factor}
        batch_shape = _check_parts(parts)
        if cls._validate_args if validate_args is None else validate_args:
            _check_finite(parts)
            _check_triangular("diagonal_factor", diagonal_factor)
        new = cls.__new__(cls)
        new._blocks = None
        new._start(loc, (diagonal_factor, lower_factor), batch_shape, validate_args)
        return new

    @classmethod
    def from_information(
        cls,
        precision_diagonal: torch.Tensor,
        precision_lower: torch.Tensor,
        observation_precision: torch.Tensor,
        information: torch.Tensor,
        validate_args: bool | None = None,
    ) -> BlockTridiagonalNormal:
        """Return the posterior of dynamics with a given precision and one normal observation of every frame.

        Its precision is that of the dynamics plus R_t on the diagonal, and its mean the precision's inverse times h.

        Args:
            precision_diagonal: Blocks on the diagonal of the dynamics' precision.
            precision_lower: Blocks below it.
            observation_precision: R_1 .. R_T, symmetric and positive semi-definite.
            information: h_1 .. h_T, R_t times what the frame alone says of z_t.
            validate_args: As in torch.

        Shape:
            precision_diagonal, observation_precision: (..., T, n, n); precision_lower: (..., T - 1, n, n);
            information: (..., T, n).

        Returns:
            The normal of precision J and mean J^-1 h.

        Raises:
            ValueError: If a shape does not fit or the sum is not positive definite; where values are checked, as for
                the blocks themselves.
        """
        parts = {"information": information, "precision_diagonal": precision_diagonal}
        parts |= {"observation_precision": observation_precision, "precision_lower": precision_lower}
        batch_shape = _check_parts(parts)
        if cls._validate_args if validate_args is None else validate_args:
            _check_finite(parts)
            _check_symmetric("precision_diagonal", precision_diagonal)
            _check_symmetric("observation_precision", observation_precision)
        diagonal = precision_diagonal + observation_precision
        factor = block_cholesky(diagonal, precision_lower)
        loc = solve_upper(*factor, solve_lower(*factor, information.unsqueeze(-1))).squeeze(-1)
        new = cls.__new__(cls)
        new._blocks = (diagonal, precision_lower)
        new._start(loc, factor, batch_shape, validate_args)
        return new

    def _start(self, loc: torch.Tensor, factor: Blocks, batch_shape: torch.Size, validate_args: bool | None) -> None:
        self.loc = expand_batch(loc, batch_shape, 2)
        self._factor = (expand_batch(factor[0], batch_shape, 3), expand_batch(factor[1], batch_shape, 3))
        if self._blocks is not None:
            self._blocks = (
                expand_batch(self._blocks[0], batch_shape, 3),
                expand_batch(self._blocks[1], batch_shape, 3),
            )
        super().__init__(batch_shape, loc.shape[-2:], validate_args=validate_args)

    def expand(self, batch_shape: Shape, _instance: BlockTridiagonalNormal | None = None) -> BlockTridiagonalNormal:
        """Return the same distribution with a larger batch shape; its parameters are views, not copies.

        Args:
            batch_shape: The new batch shape, to which the old one broadcasts.

        Returns:
            A distribution of that batch shape.
        """
        new = self._get_checked_instance(BlockTridiagonalNormal, _instance)
        new._blocks = self._blocks
        new._start(self.loc, self._factor, torch.Size(batch_shape), False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> torch.Tensor:
        """The means of the frames, batch_shape + (T, n)."""
        return self.loc

    @property
    def variance(self) -> torch.Tensor:
        """The variances of the frames' dimensions, batch_shape + (T, n)."""
        return self.marginal_covariances.diagonal(dim1=-2, dim2=-1)

    def rsample(self, sample_shape: Shape = torch.Size()) -> torch.Tensor:
        """Draw sequences, differentiably.

        Args:
            sample_shape: Leading shape of the draws.

        Returns:
            Draws of shape sample_shape + batch_shape + (T, n).
        """
        shape = torch.Size(sample_shape) + self.batch_shape + self.event_shape
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        columns = solve_upper(*self._factor, to_columns(noise, self.loc.ndim))
        return self.loc + from_columns(columns, shape)

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

    @property
    def precision_blocks(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Blocks of the precision: on its diagonal (..., T, n, n), and below it (..., T - 1, n, n)."""
        return factor_product(*self._factor) if self._blocks is None else self._blocks

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
        steps = backward_steps(*self._factor)
        covariances = self.marginal_covariances
        matrix = covariances[..., -1, :, :]
        for t in range(self.event_shape[0] - 2, -1, -1):
            # Frame t with all later ones, then the corner that it closes.
            across = -steps[..., t, :, :] @ matrix[..., : self.event_shape[1], :]
            upper = torch.cat([covariances[..., t, :, :], across], dim=-1)
            matrix = torch.cat([upper, torch.cat([across.mT, matrix], dim=-1)], dim=-2)
        return matrix

    def _whiten(self, value: torch.Tensor) -> torch.Tensor:
        """Independent standard normals of which a draw of `value` was made, (..., T, n)."""
        distance = value - self.loc
        return from_columns(times_upper(*self._factor, to_columns(distance, self.loc.ndim)), distance.shape)

    def _covariance_blocks(self) -> Blocks:
        """The covariances of the frames, and of frames 2 .. T with the frame before."""
        return selected_inverse(*self._factor)

    def _log_volume(self) -> torch.Tensor:
        """Half the log-determinant of the covariance."""
        return -self._factor[0].diagonal(dim1=-2, dim2=-1).log().sum((-2, -1))


def _check_parts(parts: dict[str, torch.Tensor]) -> torch.Size:
    """Check the shapes of a sequence, the first of the parts, and of its blocks, and return the batch shape."""
    names = list(parts)
    num_frames, dim = check_event(names[0], parts[names[0]])
    lower = names[-1]
    wanted = {name: (num_frames - (name == lower), dim, dim) for name in names[1:]}
    return check_shapes({name: (value, wanted.get(name, (num_frames, dim))) for name, value in parts.items()})


def _check_finite(parts: dict[str, torch.Tensor]) -> None:
    for name, value in parts.items():
        if check_floating(name, value).dtype not in (torch.float32, torch.float64):
            raise TypeError(f"{name} must be of single or double precision, got {value.dtype}; use {name}.float()")
        # Of the parts only means and information are vectors.
        event_dim = 2 if name in ("loc", "information") else 3
        first_frame = int(name in ("precision_lower", "lower_factor"))
        require_all(value.isfinite(), value, f"{name} must be finite", event_dim=event_dim, first_frame=first_frame)


def _check_symmetric(name: str, value: torch.Tensor) -> None:
    tolerance = 1e-4 * value.abs().amax((-2, -1), keepdim=True)
    require_all((value - value.mT).abs() <= tolerance, value, f"the blocks of {name} must be symmetric", event_dim=3)


def _check_triangular(name: str, value: torch.Tensor) -> None:
    require_all(
        value == value.tril(), value, f"the blocks of {name} must be lower triangular", "; use torch.tril", event_dim=3
    )
    diagonal = value.diagonal(dim1=-2, dim2=-1)
    require_all(diagonal > 0, diagonal, f"the blocks of {name} must have a positive diagonal")
