"""Sequences whose steps have a Laplace distribution: mostly small, now and then large."""

from __future__ import annotations

import math
from typing import Any

import torch
from pyro.distributions import Laplace, Normal, TorchDistribution
from torch.distributions import Independent, constraints, register_kl

from pyrodis.distributions.sequence_checks import check_parameter, independent_normal
from pyrodis.ops import check_positive_int


class LaplaceTransition(TorchDistribution):
    r"""A sequence that starts standard normal and moves by independent Laplace steps.

    $$p(z_{1:T}) = \mathcal N(z_1; 0, I) \prod_{t=2}^{T} \prod_{i=1}^{D} \frac{r_i}{2} e^{-r_i |z_{ti} - z_{t-1,i}|}$$

    r is `rate`, the inverse of the steps' scale. Few dimensions move at a time, rather than all a little; a normal
    step could be rotated among the dimensions without a change of the density, a Laplace step cannot. The sequence is
    not stationary: its variance grows by 2 / r^2 a frame.

    The divergence of independent normal frames from this is registered with torch, in closed form: the difference of
    two frames is normal, and the mean absolute value of a normal is known.

    Args:
        num_frames: T.
        dim: D.
        rate: r, above 0.
        validate_args: As in torch.

    Shape:
        rate: () or (D). Batch shape (), event shape (T, D).

    Raises:
        TypeError: If a size is not an int.
        ValueError: If a size is not positive, the rate has another shape, or, where arguments are validated, is not
            above 0.

    Source:
        Klindt et al., Towards Nonlinear Disentanglement in Natural Data with Temporal Sparse Coding (2021), SlowVAE;
        their clips have two frames.

    Example:
        >>> prior = LaplaceTransition(5, 2, torch.tensor(6.0)).expand([3])
        >>> prior.log_prob(prior.rsample()).shape
        torch.Size([3])
    """

    arg_constraints = {"rate": constraints.positive}
    support = constraints.independent(constraints.real, 2)
    has_rsample = True

    def __init__(
        self, num_frames: int, dim: int, rate: torch.Tensor | float, validate_args: bool | None = None
    ) -> None:
        shape = (check_positive_int("num_frames", num_frames), check_positive_int("dim", dim))
        rate = torch.as_tensor(check_parameter("rate", rate))
        rate = rate if rate.is_floating_point() else rate.to(torch.get_default_dtype())
        if rate.shape not in ((), (dim,)):
            raise ValueError(f"rate must have shape () or (D) = ({dim},), got {tuple(rate.shape)}")
        self.rate = rate.expand(dim)
        super().__init__(torch.Size(), torch.Size(shape), validate_args=validate_args)

    def expand(
        self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: LaplaceTransition | None = None
    ) -> LaplaceTransition:
        """Return the same distribution with a larger batch shape.

        Args:
            batch_shape: The new batch shape.

        Returns:
            A distribution of that batch shape.
        """
        new = self._get_checked_instance(LaplaceTransition, _instance)
        new.rate = self.rate
        super(LaplaceTransition, new).__init__(torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> torch.Tensor:
        """Zeros."""
        return self.rate.new_zeros(self.batch_shape + self.event_shape)

    @property
    def variance(self) -> torch.Tensor:
        """One in the first frame, and 2 / rate^2 more in every other."""
        steps = torch.arange(self.event_shape[0], dtype=self.rate.dtype, device=self.rate.device)
        return (1 + 2 * steps.unsqueeze(-1) / self.rate.square()).expand(self.batch_shape + self.event_shape)

    def entropy(self) -> torch.Tensor:
        """Return the entropy.

        Returns:
            Nats, shape of the batch.
        """
        num_frames, dim = self.event_shape
        steps = (num_frames - 1) * (math.log(2 * math.e) - self.rate.log()).sum()
        return (0.5 * dim * math.log(2 * math.pi * math.e) + steps).expand(self.batch_shape)

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = torch.Size()) -> torch.Tensor:
        """Draw sequences, differentiably: the sums of their steps.

        Args:
            sample_shape: Leading shape of the draws.

        Returns:
            Draws of shape sample_shape + batch_shape + (T, D).
        """
        num_frames, dim = self.event_shape
        shape = torch.Size(sample_shape) + self.batch_shape
        zero = self.rate.new_zeros(())
        start = Normal(zero, zero + 1, validate_args=False).rsample((*shape, 1, dim))
        steps = Laplace(zero, zero + 1, validate_args=False).rsample((*shape, num_frames - 1, dim)) / self.rate
        return torch.cat([start, steps], dim=-2).cumsum(-2)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Return the log-density of sequences.

        Args:
            value: Sequences of shape (..., T, D).

        Returns:
            Log-densities in nats, shape (...).
        """
        if self._validate_args:
            self._validate_sample(value)
        steps = (self.rate / 2).log() - self.rate * value.diff(dim=-2).abs()
        start = -0.5 * (value[..., 0, :].square() + math.log(2 * math.pi))
        # The batch may be larger than the value.
        return (start.sum(-1) + steps.sum((-2, -1))) + self.rate.new_zeros(self.batch_shape)

    def conditional_kl(self, q: Any, value: torch.Tensor) -> torch.Tensor:
        r"""Return the divergence of the frames' normals from this, given the frames before at `value`.

        $$\mathrm{KL}\bigl(q(z_1) \,\|\, \mathcal N(0, I)\bigr)
        + \sum_{t=2}^{T} \mathrm{KL}\bigl(q(z_t) \,\|\, \mathrm{Laplace}(z_{t-1}, 1/r)\bigr)$$

        Every term is in closed form; the frames before are those of the draw. Its mean over draws is the divergence of
        the sequences.

        Args:
            q: Independent normals over (T, D), each frame given those before.
            value: A draw of q, shape (..., T, D).

        Returns:
            The divergence in nats, shape (...).

        Raises:
            NotImplementedError: If q is not of independent normals.
            ValueError: If q has another event shape.
        """
        normal = self._check_normal(q)
        distance = normal.loc[..., 1:, :] - value[..., :-1, :]
        return self._divergence(normal, distance, normal.scale[..., 1:, :])

    def _check_normal(self, q: Any) -> Any:
        normal = independent_normal(q)
        if q.event_shape != self.event_shape:
            raise ValueError(
                f"q and p must have one event shape, got {tuple(q.event_shape)} and {tuple(self.event_shape)}"
            )
        return normal

    def _divergence(self, normal: Any, loc: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """The divergence of a product of normals, given loc and scale of the steps that they are compared by."""
        first = 0.5 * (normal.loc.square() + normal.scale.square() - 1)[..., 0, :] - normal.scale[..., 0, :].log()
        steps = self.rate * mean_absolute(loc, scale) - (self.rate / 2).log() - normal.entropy()[..., 1:, :]
        # The batch may be larger than that of the normal.
        return first.sum(-1) + steps.sum((-2, -1)) + self.rate.new_zeros(self.batch_shape)


def mean_absolute(loc: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    r"""Return the mean absolute value of a normal variable.

    $$\mathbb E |u| = s \sqrt{2 / \pi}\, e^{-m^2 / 2 s^2} + m \operatorname{erf}\bigl(m / (s \sqrt 2)\bigr), \qquad
    u \sim \mathcal N(m, s^2)$$

    Args:
        loc: m.
        scale: s, above 0.

    Shape:
        loc, scale: (...), shapes that broadcast.

    Returns:
        Means, of the broadcast shape.

    Example:
        >>> mean_absolute(torch.tensor(-3.0), torch.tensor(1e-3))
        tensor(3.)
    """
    ratio = loc / (math.sqrt(2) * scale)
    return math.sqrt(2 / math.pi) * scale * (-ratio.square()).exp() + loc * torch.erf(ratio)


@register_kl(Independent, LaplaceTransition)
def _independent_laplace(q: Independent, p: LaplaceTransition) -> torch.Tensor:
    normal = p._check_normal(q)
    scale = (normal.scale[..., 1:, :].square() + normal.scale[..., :-1, :].square()).sqrt()
    return p._divergence(normal, normal.loc.diff(dim=-2), scale)
