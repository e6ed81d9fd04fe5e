"""The hyperbolic tangent of a normal variable: a posterior on (-1, 1)."""

from __future__ import annotations

import math

import numpy as np
import torch
from pyro.distributions import Normal, TorchDistribution
from torch.distributions import constraints
from torch.distributions.utils import broadcast_all

from pyrodis.distributions.sequence_checks import check_parameter
from pyrodis.ops.eigenvalues import LARGEST_EIGENVALUE, bounded_eigenvalues

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(64)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


class TanhNormal(TorchDistribution):
    r"""The hyperbolic tangent of a normal variable, kept off the ends of (-1, 1).

    $$v = c \tanh u, \quad u \sim \mathcal N(\mathrm{loc}, \mathrm{scale}^2), \qquad
    \log p(v) = \log \mathcal N(u; \mathrm{loc}, \mathrm{scale}^2) - \log c - 2 (\log 2 - u - \log(1 + e^{-2u}))$$

    c = 1 - 1e-6, so a value can be an eigenvalue of a transition as it is, as those of
    `pyrodis.ops.bounded_eigenvalues` are. Near the ends a floating-point v no longer tells u: a draw keeps its u, so
    the density at the draw itself is exact. Of any other v, u is c's inverse, and v at c itself is read as the number
    before it; in float32 u is good to .001 up to $|u| = 5$ and cannot be above 9.

    Args:
        loc: Mean of u.
        scale: Standard deviation of u.
        validate_args: As in torch.

    Shape:
        loc, scale: shapes that broadcast to the batch shape; event shape ().

    Raises:
        ValueError: If, where arguments are validated, the scale is not above 0.

    Source:
        A change of variables. The posterior of eigenvalues under the priors of `pyrodis.models.LaplaceEigenvalues`.

    Example:
        >>> posterior = TanhNormal(torch.tensor(2.0), torch.tensor(0.1))
        >>> bool(posterior.rsample() < 1), posterior.mean
        (True, tensor(0.9633))
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.interval(-LARGEST_EIGENVALUE, LARGEST_EIGENVALUE)
    has_rsample = True

    def __init__(
        self, loc: torch.Tensor | float, scale: torch.Tensor | float, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale = broadcast_all(check_parameter("loc", loc), check_parameter("scale", scale))
        self._last: tuple[torch.Tensor, torch.Tensor] | None = None
        super().__init__(self.loc.shape, validate_args=validate_args)

    def expand(
        self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: TanhNormal | None = None
    ) -> TanhNormal:
        """Return the same distribution with a larger batch shape.

        Args:
            batch_shape: The new batch shape, to which the old one broadcasts.

        Returns:
            A distribution of that batch shape.
        """
        new = self._get_checked_instance(TanhNormal, _instance)
        new.loc, new.scale, new._last = self.loc.expand(batch_shape), self.scale.expand(batch_shape), None
        super(TanhNormal, new).__init__(torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> torch.Tensor:
        """The mean, by Gauss-Hermite quadrature: good to 1e-9 for scales up to 1, to 1e-5 up to 2."""
        values, weights = self._values()
        return (values * weights).sum(-1).to(self.loc.dtype)

    @property
    def variance(self) -> torch.Tensor:
        """The variance, by the same quadrature."""
        values, weights = self._values()
        mean = (values * weights).sum(-1, keepdim=True)
        return ((values - mean).square() * weights).sum(-1).to(self.loc.dtype)

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = torch.Size()) -> torch.Tensor:
        """Draw values, differentiably.

        Args:
            sample_shape: Leading shape of the draws.

        Returns:
            Draws of shape sample_shape + batch_shape.
        """
        shape = torch.Size(sample_shape) + self.batch_shape
        u = self.loc + self.scale * torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        value = bounded_eigenvalues(u)
        self._last = value, u
        return value

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Return the log-density.

        Args:
            value: Tensor that broadcasts with the batch shape.

        Returns:
            Log-densities in nats.
        """
        if self._validate_args:
            self._validate_sample(value)
        u = self._last[1] if self._last is not None and self._last[0] is value else _inverse(value)
        log_slope = math.log(LARGEST_EIGENVALUE) + 2 * (math.log(2) - u - torch.nn.functional.softplus(-2 * u))
        return Normal(self.loc, self.scale, validate_args=False).log_prob(u) - log_slope

    def _values(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Values at the nodes and their weights, in double precision: near 1 they differ little."""
        nodes, weights = (
            torch.tensor(part, dtype=torch.float64, device=self.loc.device) for part in (_NODES, _WEIGHTS)
        )
        loc, scale = self.loc.double().unsqueeze(-1), self.scale.double().unsqueeze(-1)
        return LARGEST_EIGENVALUE * (loc + scale * nodes).tanh(), weights


def _inverse(value: torch.Tensor) -> torch.Tensor:
    """The u of a value; of the value at the very end, that of the number before it."""
    last = 1 - torch.finfo(value.dtype).eps
    ratio = (value / LARGEST_EIGENVALUE).clamp(-last, last)
    return 0.5 * (torch.log1p(ratio) - torch.log1p(-ratio))
