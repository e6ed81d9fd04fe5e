"""A prior over eigenvalues of two kinds: what stays, and what moves."""

from __future__ import annotations

import torch
from pyro.distributions import TorchDistribution
from torch.distributions import constraints
from torch.nn.functional import logsigmoid

from pyrodis.distributions.truncated_laplace import TruncatedLaplace


class SlowFastMixture(TorchDistribution):
    r"""A mixture of two truncated Laplace distributions: a slow one, tight at 1, and a fast one.

    $$p(\lambda) = w\, p_{\mathrm{slow}}(\lambda) + (1 - w)\, p_{\mathrm{fast}}(\lambda), \qquad
    w = \frac{1}{1 + e^{-\mathrm{logits}}}$$

    Draws choose a component and are differentiable in all parameters, the logits included, by the implicit function
    theorem: the gradient of a draw is minus that of the distribution function, divided by the density.

    Args:
        logits: Log-odds of the slow component.
        slow: The slow component.
        fast: The fast component, of the same bounds.
        validate_args: As in torch.

    Shape:
        logits and the components' batch shapes broadcast to the batch shape; event shape ().

    Raises:
        ValueError: If the components have different bounds.

    Source:
        Zaharia and Peters, Disentangling via dynamics, section 2.4.1, asks for two modes of eigenvalues; here they are
        in the prior. Implicit gradients: Figurnov, Mohamed and Mnih (2018).

    Example:
        >>> prior = SlowFastMixture(torch.tensor(0.0), TruncatedLaplace(1.0, 0.001), TruncatedLaplace(0.9, 0.05))
        >>> prior.slow_probability(torch.tensor([0.9999, 0.9])).round()
        tensor([1., 0.])
    """

    arg_constraints = {"logits": constraints.real}
    has_rsample = True

    def __init__(
        self, logits: torch.Tensor, slow: TruncatedLaplace, fast: TruncatedLaplace, validate_args: bool | None = None
    ) -> None:
        if (slow.low, slow.high) != (fast.low, fast.high):
            raise ValueError(
                f"slow and fast must have the same bounds, got ({slow.low}, {slow.high}) and ({fast.low}, {fast.high})"
            )
        shape = torch.broadcast_shapes(logits.shape, slow.batch_shape, fast.batch_shape)
        self.logits, self.slow, self.fast = logits.expand(shape), slow.expand(shape), fast.expand(shape)
        super().__init__(shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> constraints.Constraint:
        """The closed interval of the components."""
        return self.slow.support

    def expand(
        self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: SlowFastMixture | None = None
    ) -> SlowFastMixture:
        """Return the same distribution with a larger batch shape.

        Args:
            batch_shape: The new batch shape, to which the old one broadcasts.

        Returns:
            A distribution of that batch shape.
        """
        new = self._get_checked_instance(SlowFastMixture, _instance)
        new.logits = self.logits.expand(batch_shape)
        new.slow, new.fast = self.slow.expand(batch_shape), self.fast.expand(batch_shape)
        super(SlowFastMixture, new).__init__(torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> torch.Tensor:
        """The mean."""
        return self._mix(self.slow.mean, self.fast.mean)

    @property
    def variance(self) -> torch.Tensor:
        """The variance."""
        share = self.logits.sigmoid()
        between = share * (1 - share) * (self.slow.mean - self.fast.mean).square()
        return self._mix(self.slow.variance, self.fast.variance) + between

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Return the log-density.

        Args:
            value: Tensor that broadcasts with the batch shape.

        Returns:
            Log-densities in nats.
        """
        if self._validate_args:
            self._validate_sample(value)
        return torch.logaddexp(*self._parts(value))

    def cdf(self, value: torch.Tensor) -> torch.Tensor:
        """Return the probability of a smaller value.

        Args:
            value: Tensor within the interval that broadcasts with the batch shape.

        Returns:
            Probabilities.
        """
        return self._mix(self.slow.cdf(value), self.fast.cdf(value))

    def slow_probability(self, value: torch.Tensor) -> torch.Tensor:
        """Return the probability that a value came from the slow component.

        Args:
            value: Tensor that broadcasts with the batch shape.

        Returns:
            Probabilities.
        """
        slow, fast = self._parts(value)
        return (slow - fast).sigmoid()

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = torch.Size()) -> torch.Tensor:
        """Draw values, differentiably.

        Args:
            sample_shape: Leading shape of the draws.

        Returns:
            Draws of shape sample_shape + batch_shape.
        """
        with torch.no_grad():
            slow, fast = self.slow.rsample(sample_shape), self.fast.rsample(sample_shape)
            value = torch.where(torch.rand_like(slow) < self.logits.sigmoid(), slow, fast)
            density = torch.logaddexp(*self._parts(value)).exp()
        if not torch.is_grad_enabled():
            return value
        below = self.cdf(value)
        return value - (below - below.detach()) / density

    def _parts(self, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The log-density of either component, weight included."""
        slow = logsigmoid(self.logits) + self.slow.log_prob(value)
        return slow, logsigmoid(-self.logits) + self.fast.log_prob(value)

    def _mix(self, slow: torch.Tensor, fast: torch.Tensor) -> torch.Tensor:
        weight = self.logits.sigmoid()
        return weight * slow + (1 - weight) * fast
