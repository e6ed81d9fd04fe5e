"""A prior over a sequence whose memory is one known number."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from pyrodis.distributions import AutoregressiveNormal
from pyrodis.ops import check_eigenvalue, check_positive_int


@dataclass(eq=False)
class _StationaryTransition:
    """Loc and scale of a frame given the frame before; the first frame follows zeros and has scale 1."""

    dim: int
    autocorrelation: float
    zero: torch.Tensor

    def __call__(self, previous: torch.Tensor, context: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        scale = torch.full_like(previous, self._later_scale)
        scale[..., :1, :] = 1
        return self.autocorrelation * previous, scale

    def step(
        self, previous: torch.Tensor, context: torch.Tensor | None, state: bool | None
    ) -> tuple[torch.Tensor, torch.Tensor, bool]:
        scale = torch.full_like(previous, 1.0 if state is None else self._later_scale)
        return self.autocorrelation * previous, scale, True

    def parameters(self) -> Iterator[torch.Tensor]:
        return iter([self.zero])

    @property
    def _later_scale(self) -> float:
        return math.sqrt(1 - self.autocorrelation**2)


class StationaryPrior(nn.Module):
    r"""Standard normal frames, each correlated with the one before.

    $$p(z_{1:T}) = \mathcal N(z_1; 0, I) \prod_{t=2}^{T} \mathcal N\bigl(z_t; a z_{t-1}, (1 - a^2) I\bigr)$$

    Every frame by itself is standard normal, and frames t and s have correlation a^|t - s|. With a = 0 it is
    `StandardPrior`; it has no weights to train.

    Args:
        dynamic_dim: D.
        autocorrelation: a, above -1 and below 1.

    Raises:
        TypeError: If the size is not an int or the autocorrelation is not a number.
        ValueError: If the size is not positive or the autocorrelation is not between -1 and 1.

    Source:
        The stationary autoregressive process of order one.

    Example:
        >>> StationaryPrior(4, autocorrelation=0.9)(8).event_shape
        torch.Size([8, 4])
    """

    zero: torch.Tensor

    def __init__(self, dynamic_dim: int, autocorrelation: float = 0.9) -> None:
        super().__init__()
        self.dynamic_dim = check_positive_int("dynamic_dim", dynamic_dim)
        self.autocorrelation = check_eigenvalue("autocorrelation", autocorrelation)
        self.register_buffer("zero", torch.zeros(()), persistent=False)

    def forward(self, num_frames: int) -> AutoregressiveNormal:
        """Return the distribution of a sequence.

        Args:
            num_frames: T.

        Returns:
            A distribution of batch shape () and event shape (T, D).
        """
        transition = _StationaryTransition(self.dynamic_dim, self.autocorrelation, self.zero)
        return AutoregressiveNormal(transition, num_frames)
