"""Priors over sequences whose dynamics is learned: eigenvalues, or a whole matrix."""

from __future__ import annotations

import math

import torch
from torch import nn

from pyrodis.distributions import GaussMarkovNormal
from pyrodis.ops import (
    bounded_eigenvalues,
    check_eigenvalue,
    check_positive_int,
    check_positive_number,
    contraction,
    without_autocast,
)


class DynamicsPrior(nn.Module):
    r"""Every dimension follows itself with an eigenvalue of its own, which is learned.

    $$p(z_{1:T}) = \mathcal N(z_1; 0, s^2 I) \prod_{t=2}^{T} \prod_i \mathcal N\bigl(z_t^{(i)};
    \lambda_i z_{t-1}^{(i)}, (1 - \lambda_i^2) s^2\bigr), \qquad \lambda_i = (1 - 10^{-6}) \tanh(g\, a_i)$$

    Every frame by itself is normal with standard deviation s, whatever the eigenvalues: only what successive frames
    have to do with each other moves them. Here is where eigenvalues can be learned from data at all; those of a guide
    alone, under a prior without them, follow the prior. A dimension that stays goes to 1, one that moves to its
    correlation with the frame before: exactly where s is the standard deviation of its codes. Codes that are wider than
    a fixed s, which one term of T resists, have a smaller eigenvalue. With `learn_scale` every dimension has an s of
    its own that is learned along, so that eigenvalues do not depend on the size of the codes, and that size is free.

    g, the gain, is for the optimizer: from 0.9 to 0.9999 a hyperbolic tangent needs its argument at 4.95 instead of
    1.47, and steps of Adam are of the size of the learning rate, whatever the gradient. With 1e-3 and g = 1 that alone
    takes 3500 steps in one direction; with g = 10, 350.

    Args:
        dynamic_dim: D.
        initial_eigenvalue: lambda of all dimensions where training starts, above -1 and below 1.
        scale: s; where training starts, if it is learned.
        gain: g.
        learn_scale: Whether s is a parameter, one a dimension.

    Raises:
        TypeError: If the size is not an int or another argument is no number.
        ValueError: If the size, the scale or the gain is not positive, or the eigenvalue not between -1 and 1.

    Source:
        Zaharia and Peters, Disentangling via dynamics, whose eigenvalues are moved from the posterior to the prior.

    Example:
        >>> prior = DynamicsPrior(4)
        >>> prior(8).event_shape, [round(value, 4) for value in prior.eigenvalues.tolist()]
        (torch.Size([8, 4]), [0.9, 0.9, 0.9, 0.9])
    """

    def __init__(
        self,
        dynamic_dim: int,
        initial_eigenvalue: float = 0.9,
        scale: float = 1.0,
        gain: float = 10.0,
        learn_scale: bool = False,
    ) -> None:
        super().__init__()
        self.dynamic_dim = check_positive_int("dynamic_dim", dynamic_dim)
        self.initial_eigenvalue = check_eigenvalue("initial_eigenvalue", initial_eigenvalue)
        self.scale = check_positive_number("scale", scale)
        self.gain = check_positive_number("gain", gain)
        self.learn_scale = learn_scale
        self.raw = nn.Parameter(torch.full((dynamic_dim,), math.atanh(self.initial_eigenvalue) / self.gain))
        if learn_scale:
            self.log_scale = nn.Parameter(torch.full((dynamic_dim,), math.log(self.scale)))

    @property
    def eigenvalues(self) -> torch.Tensor:
        """The eigenvalue of every dimension, (D), the same for all frames."""
        return bounded_eigenvalues(self.gain * self.raw)

    def forward(self, num_frames: int) -> GaussMarkovNormal:
        """Return the distribution of a sequence.

        Args:
            num_frames: T.

        Returns:
            A distribution of batch shape () and event shape (T, D).
        """
        eigenvalues = self.eigenvalues
        loc = eigenvalues.new_zeros(check_positive_int("num_frames", num_frames), self.dynamic_dim)
        scale = self.log_scale.exp().expand_as(loc) if self.learn_scale else torch.full_like(loc, self.scale)
        return GaussMarkovNormal(loc, scale, eigenvalues.expand(num_frames - 1, -1))


class LinearDynamicsPrior(nn.Module):
    r"""Every frame follows the one before through one learned matrix.

    $$p(z_{1:T}) = \mathcal N(z_1; 0, I) \prod_{t=2}^{T} \mathcal N\bigl(z_t; A z_{t-1}, I - A A^\top\bigr), \qquad
    \|A\|_2 < 1$$

    Every frame by itself is standard normal. A is `contraction` of a free matrix. Dimensions may drive each other and
    turn around each other, so what the prior says of single dimensions depends on the basis, which nothing fixes.

    Args:
        dynamic_dim: D.
        initial_eigenvalue: A is this multiple of the identity where training starts, above -1 and below 1.
        gain: Factor between the parameter and the free matrix; see `DynamicsPrior`.

    Raises:
        TypeError: If the size is not an int or another argument is no number.
        ValueError: If the size or the gain is not positive, or the eigenvalue not between -1 and 1.

    Source:
        Archer et al., Black box variational inference for state space models (2016), with stationary frames.

    Example:
        >>> LinearDynamicsPrior(4)(8).event_shape
        torch.Size([8, 4])
    """

    def __init__(self, dynamic_dim: int, initial_eigenvalue: float = 0.9, gain: float = 10.0) -> None:
        super().__init__()
        self.dynamic_dim = check_positive_int("dynamic_dim", dynamic_dim)
        self.initial_eigenvalue = check_eigenvalue("initial_eigenvalue", initial_eigenvalue)
        self.gain = check_positive_number("gain", gain)
        start = self.initial_eigenvalue / math.sqrt(1 - self.initial_eigenvalue**2)
        self.raw = nn.Parameter(torch.eye(dynamic_dim) * start / self.gain)

    @property
    def transition(self) -> torch.Tensor:
        """A, (D, D), the same for all frames."""
        return contraction(self.gain * self.raw)

    def forward(self, num_frames: int) -> GaussMarkovNormal:
        """Return the distribution of a sequence.

        Args:
            num_frames: T.

        Returns:
            A distribution of batch shape () and event shape (T, D).
        """
        with without_autocast(self.raw):
            transition = self.transition
            loc = transition.new_zeros(check_positive_int("num_frames", num_frames), self.dynamic_dim)
            every = transition.expand(num_frames - 1, -1, -1)
            return GaussMarkovNormal(loc, torch.ones_like(loc), transition=every)
