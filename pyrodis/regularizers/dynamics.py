"""Regularizers of how a latent sequence moves."""

from __future__ import annotations

import torch


def temporal_difference(z: torch.Tensor) -> torch.Tensor:
    r"""Return the summed squared difference of adjacent frames: zero for what stays.

    $$R(z) = \sum_{t=2}^{T} \lVert z_t - z_{t-1} \rVert^2$$

    Args:
        z: Latent sequences.

    Shape:
        z: (..., T, D) to (...).

    Returns:
        The penalty of each sequence, 0 or more.

    Raises:
        ValueError: If z has no time and latent dimension.

    Source:
        Wiskott and Sejnowski, Slow Feature Analysis (2002), without its constraint on the variance.

    Example:
        >>> temporal_difference(torch.tensor([[[0.0], [1.0], [3.0]]]))
        tensor([5.])
    """
    if z.ndim < 2:
        raise ValueError(f"z must have shape (..., T, D), got {tuple(z.shape)}")
    return z.diff(dim=-2).square().sum(dim=(-2, -1))
