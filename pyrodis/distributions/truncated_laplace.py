"""A Laplace distribution between two bounds."""

from __future__ import annotations

import torch
from pyro.distributions import TorchDistribution
from torch.distributions import constraints
from torch.distributions.utils import broadcast_all, clamp_probs

from pyrodis.distributions.sequence_checks import check_parameter


class TruncatedLaplace(TorchDistribution):
    r"""A Laplace distribution, truncated to an interval, with its normalizer.

    $$p(x) = \frac{1}{Z} e^{-|x - c| / s}, \qquad
    Z = s \bigl(2 - e^{-(c - \mathrm{low}) / s} - e^{-(\mathrm{high} - c) / s}\bigr), \qquad
    \mathrm{low} \le x \le \mathrm{high}$$

    c is `loc` and s is `scale`. A loc outside the interval means the same as one at the bound that is nearer, since
    the density falls off exponentially from there; it is taken so. With loc at a bound only one side has mass.

    Everything is in closed form and stays accurate where the interval is short or long against the scale. Draws are by
    the inverse of the distribution function, differentiable in loc and scale.

    Args:
        loc: Where the density is largest.
        scale: Distance over which it falls by a factor of e.
        low: Lower bound.
        high: Upper bound.
        validate_args: As in torch.

    Shape:
        loc, scale: shapes that broadcast to the batch shape; event shape ().

    Raises:
        ValueError: If low is not below high, or, where arguments are validated, the scale is not above 0.

    Source:
        Zaharia and Peters, Disentangling via dynamics, section 2.2, asks for a prior over eigenvalues in place of a
        tuned penalty: with loc 1 and scale 1 / gamma this is the one whose negative log-density is that penalty.

    Example:
        >>> prior = TruncatedLaplace(torch.tensor(1.0), torch.tensor(0.1))
        >>> prior.mean, prior.log_prob(torch.tensor(1.0))
        (tensor(0.9000), tensor(2.3026))
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    has_rsample = True

    def __init__(
        self,
        loc: torch.Tensor | float,
        scale: torch.Tensor | float,
        low: float = -1.0,
        high: float = 1.0,
        validate_args: bool | None = None,
    ) -> None:
        for name, end in (("low", low), ("high", high)):
            if isinstance(check_parameter(name, end), torch.Tensor):
                raise TypeError(f"{name} must be a number, got a tensor; use its item()")
        if not low < high:
            raise ValueError(f"low must be below high, got low {low} and high {high}")
        self.low, self.high = float(low), float(high)
        self.loc, self.scale = broadcast_all(check_parameter("loc", loc), check_parameter("scale", scale))
        super().__init__(self.loc.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> constraints.Constraint:
        """The closed interval."""
        return constraints.interval(self.low, self.high)

    def expand(
        self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: TruncatedLaplace | None = None
    ) -> TruncatedLaplace:
        """Return the same distribution with a larger batch shape.

        Args:
            batch_shape: The new batch shape, to which the old one broadcasts.

        Returns:
            A distribution of that batch shape.
        """
        new = self._get_checked_instance(TruncatedLaplace, _instance)
        new.low, new.high = self.low, self.high
        new.loc, new.scale = self.loc.expand(batch_shape), self.scale.expand(batch_shape)
        super(TruncatedLaplace, new).__init__(torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mode(self) -> torch.Tensor:
        """The loc, or the bound that is nearer."""
        return self.loc.clamp(self.low, self.high)

    @property
    def mean(self) -> torch.Tensor:
        """The mean."""
        left, right = self._moments(1)
        return self.mode + (right - left) * self.scale

    @property
    def variance(self) -> torch.Tensor:
        """The variance."""
        first, second = self._moments(1), self._moments(2)
        return (sum(second) - (first[1] - first[0]).square()) * self.scale.square()

    def entropy(self) -> torch.Tensor:
        """Return the entropy.

        Returns:
            Nats, shape of the batch.
        """
        return self._log_normalizer() + sum(self._moments(1))

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Return the log-density.

        Args:
            value: Tensor that broadcasts with the batch shape.

        Returns:
            Log-densities in nats; minus infinity outside of the interval where arguments are not validated.
        """
        if self._validate_args:
            self._validate_sample(value)
        inside = (value >= self.low) & (value <= self.high)
        log_prob = -(value - self.mode).abs() / self.scale - self._log_normalizer()
        return torch.where(inside, log_prob, -torch.inf)

    def cdf(self, value: torch.Tensor) -> torch.Tensor:
        """Return the probability of a smaller value.

        Args:
            value: Tensor within the interval that broadcasts with the batch shape.

        Returns:
            Probabilities.
        """
        if self._validate_args:
            self._validate_sample(value)
        left, right = self._masses()
        distance = (value - self.mode) / self.scale
        return (left - distance.sign() * torch.expm1(-distance.abs())) / (left + right)

    def icdf(self, value: torch.Tensor) -> torch.Tensor:
        """Return the point below which a probability lies.

        Args:
            value: Probabilities that broadcast with the batch shape.

        Returns:
            Points within the interval.
        """
        left, right = self._masses()
        from_mode = value * (left + right) - left
        point = self.mode - self.scale * from_mode.sign() * torch.log1p(-from_mode.abs())
        return point.clamp(self.low, self.high)  # what rounding may put beyond a bound

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = torch.Size()) -> torch.Tensor:
        """Draw values, differentiably.

        Args:
            sample_shape: Leading shape of the draws.

        Returns:
            Draws of shape sample_shape + batch_shape.
        """
        shape = torch.Size(sample_shape) + self.batch_shape
        uniform = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.icdf(clamp_probs(uniform))

    def _distances(self) -> tuple[torch.Tensor, torch.Tensor]:
        """From the mode to either bound, in units of the scale."""
        return (self.mode - self.low) / self.scale, (self.high - self.mode) / self.scale

    def _masses(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Left and right of the mode; 1 without truncation."""
        left, right = self._distances()
        return -torch.expm1(-left), -torch.expm1(-right)

    def _moments(self, order: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Left and right parts of the mean power of the distance from the mode, in units of the scale."""
        power = torch.full_like(self.scale, order + 1.0)
        total = sum(self._masses())
        left, right = (torch.special.gammainc(power, distance) * order / total for distance in self._distances())
        return left, right

    def _log_normalizer(self) -> torch.Tensor:
        left, right = self._masses()
        return self.scale.log() + (left + right).log()
