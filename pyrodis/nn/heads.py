"""Heads that turn features into the parameters of a distribution."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import softplus

from pyrodis.nn.conv import check_num_to_normalize
from pyrodis.ops import check_positive_int, check_positive_number, full_precision, without_autocast

MIN_SCALE = 1e-4


def inverse_softplus(value: float) -> float:
    """Return the number whose softplus is a positive value; above 30 they are the same to all digits."""
    return value if value > 30 else math.log(math.expm1(value))


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
        self.input_dim = check_positive_int("input_dim", input_dim)
        self.dim = check_positive_int("dim", dim)
        self.initial_scale = check_positive_number("initial_scale", initial_scale)
        self.offset = inverse_softplus(self.initial_scale)
        self.linear = nn.Linear(input_dim, 2 * dim)

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


class NormalizedHead(nn.Module):
    r"""Map features to a code without noise whose every dimension is normalized over the batch, in full precision.

    $$c = \gamma\, \frac{W h - \operatorname{mean}(W h)}{\sqrt{\operatorname{var}(W h) + 10^{-5}}} + \beta$$

    Mean and variance are those of all codes of the batch, of all their frames; in eval mode, running averages. A code
    cannot shrink to escape a penalty of its differences then, as long as gamma stays: without `affine` gamma is 1 and
    beta 0. It is for codes without noise; the scale of a code with noise is what its prior and its KL are about.

    Args:
        input_dim: Size of the features.
        dim: Size of the code.
        affine: Whether gamma and beta are learned.

    Shape:
        features (..., input_dim) to (..., dim).

    Raises:
        TypeError: If a size is not an int.
        ValueError: If a size is not positive, or there is only one code in training mode.

    Source:
        Mantel, Disentangling Motion from Identity with Barlow Twins Autoencoders (2021), sections 2.2 and 3.1.

    Example:
        >>> NormalizedHead(8, 2)(torch.randn(3, 5, 8)).mean((0, 1)).abs().max() < 1e-6
        tensor(True)
    """

    def __init__(self, input_dim: int, dim: int, affine: bool = True) -> None:
        super().__init__()
        self.affine = affine
        self.linear = nn.Linear(check_positive_int("input_dim", input_dim), check_positive_int("dim", dim))
        self.norm = nn.BatchNorm1d(dim, affine=affine)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the code.

        Args:
            features: Tensor of shape (..., input_dim).

        Returns:
            Tensor of shape (..., dim).
        """
        with without_autocast(features):
            codes = self.linear(full_precision(features))
            flat = codes.reshape(-1, codes.shape[-1])
            check_num_to_normalize(len(flat), self.training)
            return self.norm(flat).reshape(codes.shape)
