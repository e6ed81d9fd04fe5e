"""Heads that turn features into the parameters of a distribution."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import softplus

from pyrodis.ops import check_positive_int, check_positive_number, full_precision, without_autocast

MIN_SCALE = 1e-4


class LocScale(nn.Module):
    r"""Map features to the loc and scale of a normal distribution, in full precision.

    $$\mathrm{loc} = W_1 h + b_1, \qquad \mathrm{scale} = 10^{-4} + \operatorname{softplus}(W_2 h + b_2 + c)$$

    The constant c makes the scale `initial_scale` where the linear part is zero, which is where training starts. The
    floor 1e-4 keeps densities finite; autocast is switched off inside.

    Args:
        input_dim: Size of the features.
        dim: Size of the variable.
        initial_scale: Scale where training starts. A posterior better starts at 0.1 than at 1, where the
            decoder first sees little but noise.

    Shape:
        features (..., input_dim) to loc (..., dim) and scale (..., dim).

    Raises:
        TypeError: If a size is not an int or the scale is not a number.
        ValueError: If a size or the scale is not positive.

    Example:
        >>> loc, scale = LocScale(8, 2)(torch.zeros(3, 8))
        >>> loc.shape, bool((scale > 0).all())
        (torch.Size([3, 2]), True)
    """

    def __init__(self, input_dim: int, dim: int, initial_scale: float = 1.0) -> None:
        super().__init__()
        self.offset = math.log(math.expm1(check_positive_number("initial_scale", initial_scale)))
        self.linear = nn.Linear(check_positive_int("input_dim", input_dim), 2 * check_positive_int("dim", dim))

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return loc and scale.

        Args:
            features: Tensor of shape (..., input_dim).

        Returns:
            loc and scale, each of shape (..., dim).
        """
        with without_autocast(features):
            loc, raw = self.linear(full_precision(features)).chunk(2, dim=-1)
            return loc, MIN_SCALE + softplus(raw + self.offset)
