"""Views without detail."""

from __future__ import annotations

import math

import torch
from torch import nn

from pyrodis.nn._clips import as_clips, as_frames, check_divides, check_flag
from pyrodis.ops import check_positive_int, check_positive_number, without_autocast


class Downsample(nn.Module):
    r"""Average square blocks of pixels.

    $$y_{ij} = \frac{1}{n^2} \sum_{k=1}^{n} \sum_{l=1}^{n}
    x_{n \lfloor i / n \rfloor + k - 1, n \lfloor j / n \rfloor + l - 1}$$

    n is `factor`; i and j count from 0. Without `restore` every block is one pixel. Keeps what is large; hides detail.

    Args:
        factor: Side of a block; it must divide H and W.
        restore: Whether to enlarge the blocks to H x W again; False for frames that are cheaper to encode.

    Shape:
        (..., T, C, H, W) to the same, or to (..., T, C, H / factor, W / factor).

    Raises:
        TypeError: If an argument has the wrong type or the frames are no floating-point tensor.
        ValueError: If the factor is not positive, the frames have another rank or are not cut without a rest.

    Example:
        >>> Downsample(2)(torch.eye(4)[None, None])[0, 0, 0]
        tensor([0.5000, 0.5000, 0.0000, 0.0000])
    """

    def __init__(self, factor: int = 2, restore: bool = True) -> None:
        super().__init__()
        self.factor = check_positive_int("factor", factor)
        self.restore = check_flag("restore", restore)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the frames at the lower resolution.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of the same shape, or (..., T, C, H / factor, W / factor).
        """
        clips = as_clips(frames)
        check_divides("factor", self.factor, clips)
        n = self.factor
        small = clips.unflatten(-2, (-1, n)).mean(-2).unflatten(-1, (-1, n)).mean(-1)
        return as_frames(small.repeat_interleave(n, -1).repeat_interleave(n, -2) if self.restore else small, frames)


class GaussianBlur(nn.Module):
    r"""Blur every frame by a normal window.

    $$y_{ij} = \sum_{k=-r}^{r} \sum_{l=-r}^{r} w_k w_l x_{i+k, j+l}, \qquad
    w_k \propto \exp\Bigl(-\frac{k^2}{2 s^2}\Bigr), \quad \sum_k w_k = 1, \quad r = \lceil 3 s \rceil$$

    s is `scale`; beyond the border, x repeats its border. Keeps what is large; hides detail and sharp edges.

    Args:
        scale: Standard deviation of the window in pixels.

    Shape:
        (..., T, C, H, W) to the same.

    Raises:
        TypeError: If the scale is no number or the frames are no floating-point tensor.
        ValueError: If the scale is not above 0 or the frames have another rank.

    Example:
        >>> GaussianBlur(2.0)(torch.full((1, 1, 8, 8), 0.5)).mean()
        tensor(0.5000)
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = check_positive_number("scale", scale)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the blurred frames.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of the same shape.
        """
        clips = as_clips(frames)
        with without_autocast(clips):
            blurred = self._matrix(clips, -2) @ clips @ self._matrix(clips, -1).mT
        return blurred.clamp(0, 1).reshape(frames.shape)  # rounding alone leaves [0, 1]

    def _matrix(self, clips: torch.Tensor, dim: int) -> torch.Tensor:
        """The blur of one dimension as a matrix, which for frames is faster than a convolution."""
        size, radius = clips.shape[dim], math.ceil(3 * self.scale)
        kind = torch.promote_types(clips.dtype, torch.float32)
        steps = torch.arange(-radius, radius + 1, device=clips.device)
        window = torch.softmax(-((steps.to(kind) / self.scale) ** 2) / 2, 0)
        pixels = (torch.arange(size, device=clips.device).unsqueeze(-1) + steps).clamp(0, size - 1)
        matrix = torch.zeros(size, size, dtype=kind, device=clips.device)
        return matrix.scatter_add(1, pixels, window.expand(size, -1)).to(clips.dtype)
