"""Priors over the eigenvalues of transitions: modules that return a distribution of event shape (T - 1, D)."""

from __future__ import annotations

import math

import torch
from pyro.distributions import Independent
from torch import nn

from pyrodis.distributions import SlowFastMixture, TruncatedLaplace
from pyrodis.ops import check_eigenvalue, check_positive_int, check_positive_number
from pyrodis.ops.eigenvalues import LARGEST_EIGENVALUE


class LaplaceEigenvalues(nn.Module):
    r"""Independent eigenvalues near one: Laplace at 1, truncated to (-1, 1).

    $$-\log p(\lambda) = \mathrm{rate} \sum_{t=2}^{T} \sum_{i=1}^{D} \bigl|\lambda_t^{(i)} - 1\bigr| + \mathrm{const}$$

    It is the prior that `pyrodis.regularizers.slowness` with weight `rate` stands for: the most probable eigenvalues
    under the one are the least penalized ones under the other. The bounds are those of
    `pyrodis.ops.bounded_eigenvalues`, 1e-6 from -1 and 1.

    Args:
        dynamic_dim: D.
        rate: The penalty's weight. The mean of the prior is about 1 - 1 / rate.

    Raises:
        TypeError: If the size is not an int or the rate is not a number.
        ValueError: If either is not positive.

    Source:
        Zaharia and Peters, Disentangling via dynamics, section 2.2: "there is probably a better way to get this prior
        than just tuning the regularization".

    Example:
        >>> LaplaceEigenvalues(4, rate=10.0)(8).event_shape
        torch.Size([7, 4])
    """

    one: torch.Tensor

    def __init__(self, dynamic_dim: int, rate: float = 10.0) -> None:
        super().__init__()
        self.dynamic_dim = check_positive_int("dynamic_dim", dynamic_dim)
        self.rate = check_positive_number("rate", rate)
        self.register_buffer("one", torch.ones(()), persistent=False)

    def forward(self, num_frames: int) -> Independent:
        """Return the distribution of the eigenvalues of a sequence.

        Args:
            num_frames: T.

        Returns:
            A distribution of batch shape () and event shape (T - 1, D).
        """
        prior = _near_one(self.one, 1 / self.rate, 1.0)
        return prior.expand((check_positive_int("num_frames", num_frames) - 1, self.dynamic_dim)).to_event(2)


class SlowFastEigenvalues(nn.Module):
    r"""Independent eigenvalues of two kinds, what stays and what moves, in shares that are learned.

    $$p(\lambda) = \prod_{t=2}^{T} \prod_{i=1}^{D} w\, p_{\mathrm{slow}}\bigl(\lambda_t^{(i)}\bigr)
    + (1 - w)\, p_{\mathrm{fast}}\bigl(\lambda_t^{(i)}\bigr)$$

    Both parts are Laplace distributions truncated to (-1, 1): the slow one at 1, the fast one at `fast_loc`. w is one
    weight, the share of what stays among all dimensions and frames, and the only parameter: were the scales learned as
    well, the parts could change places.

    Args:
        dynamic_dim: D.
        slow_scale: Scale of the slow part.
        fast_loc: Where the fast part is largest.
        fast_scale: Scale of the fast part, above that of the slow one.
        initial_weight: w where training starts.

    Raises:
        TypeError: If the size is not an int or a number is none.
        ValueError: If a size or scale is not positive, the slow part is no tighter than the fast one, or `fast_loc` or
            `initial_weight` is not between its bounds.

    Source:
        Zaharia and Peters, Disentangling via dynamics, section 2.4.1, asks whether learned eigenvalues have two modes.

    Example:
        >>> SlowFastEigenvalues(4)(8).event_shape
        torch.Size([7, 4])
    """

    one: torch.Tensor

    def __init__(
        self,
        dynamic_dim: int,
        slow_scale: float = 0.001,
        fast_loc: float = 0.9,
        fast_scale: float = 0.05,
        initial_weight: float = 0.5,
    ) -> None:
        super().__init__()
        self.dynamic_dim = check_positive_int("dynamic_dim", dynamic_dim)
        self.slow_scale = check_positive_number("slow_scale", slow_scale)
        self.fast_scale = check_positive_number("fast_scale", fast_scale)
        if slow_scale >= fast_scale:
            raise ValueError(f"slow_scale must be below fast_scale, got {slow_scale} and {fast_scale}")
        self.fast_loc = check_eigenvalue("fast_loc", fast_loc)
        self.initial_weight = check_positive_number("initial_weight", initial_weight)
        if initial_weight >= 1:
            raise ValueError(f"initial_weight must be above 0 and below 1, got {initial_weight}")
        self.logits = nn.Parameter(torch.tensor(math.log(initial_weight / (1 - initial_weight))))
        self.register_buffer("one", torch.ones(()), persistent=False)

    @property
    def weight(self) -> torch.Tensor:
        """W, the share of what stays."""
        return self.logits.sigmoid()

    def forward(self, num_frames: int) -> Independent:
        """Return the distribution of the eigenvalues of a sequence.

        Args:
            num_frames: T.

        Returns:
            A distribution of batch shape () and event shape (T - 1, D).
        """
        slow = _near_one(self.one, self.slow_scale, 1.0)
        fast = _near_one(self.one, self.fast_scale, self.fast_loc)
        prior = SlowFastMixture(self.logits, slow, fast, validate_args=False)
        return prior.expand((check_positive_int("num_frames", num_frames) - 1, self.dynamic_dim)).to_event(2)


def _near_one(one: torch.Tensor, scale: float, loc: float) -> TruncatedLaplace:
    """A Laplace distribution on the range of bounded eigenvalues."""
    bound = LARGEST_EIGENVALUE
    return TruncatedLaplace(loc * one, scale * one, -bound, bound, validate_args=False)
