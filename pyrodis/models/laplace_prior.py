"""A prior over a sequence that moves in few dimensions at a time."""

from __future__ import annotations

import torch
from torch import nn

from pyrodis.distributions import LaplaceTransition
from pyrodis.ops import check_positive_int, check_positive_number


class LaplacePrior(nn.Module):
    r"""Standard normal first frames, and Laplace steps.

    $$p(z_{1:T}) = \mathcal N(z_1; 0, I) \prod_{t=2}^{T} \prod_{i=1}^{D} \frac{r}{2} e^{-r |z_{ti} - z_{t-1,i}|}$$

    It has no weights to train. Against a mean-field guide its KL is in closed form.

    Args:
        dynamic_dim: D.
        rate: r, the inverse of the steps' scale; the larger, the stiller.

    Raises:
        TypeError: If the size is not an int or the rate is not a number.
        ValueError: If either is not positive.

    Source:
        Klindt et al., Towards Nonlinear Disentanglement in Natural Data with Temporal Sparse Coding (2021), SlowVAE.
        They take pairs of frames, and weight the KL of the second one by a factor of its own; here clips have any
        length and one weight.

    Example:
        >>> LaplacePrior(4)(8).event_shape
        torch.Size([8, 4])
    """

    one: torch.Tensor

    def __init__(self, dynamic_dim: int, rate: float = 6.0) -> None:
        super().__init__()
        self.dynamic_dim = check_positive_int("dynamic_dim", dynamic_dim)
        self.rate = check_positive_number("rate", rate)
        self.register_buffer("one", torch.ones(()), persistent=False)

    def forward(self, num_frames: int) -> LaplaceTransition:
        """Return the distribution of a sequence.

        Args:
            num_frames: T.

        Returns:
            A distribution of batch shape () and event shape (T, D).
        """
        return LaplaceTransition(num_frames, self.dynamic_dim, self.rate * self.one, validate_args=False)
