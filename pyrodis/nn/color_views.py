"""Views without colors, which hide what a thing is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from pyrodis.nn._clips import as_clips, as_frames, check_flag, check_part, check_seed, per_clip, uniform, weighted_sum
from pyrodis.ops import check_positive_number


class RandomGray(nn.Module):
    r"""Mix the channels of every clip at random to one gray tone, and bend its scale by a random power.

    $$y_c = \Bigl(\sum_{c'} a_{c'} x_{c'}\Bigr)^{\gamma}, \qquad a \sim \mathrm{Dirichlet}(1, \dots, 1), \quad
    \log \gamma \sim \mathcal U(\log \gamma_0, \log \gamma_1)$$

    One a and one gamma a clip, for all its pixels; every channel y_c is the same. Keeps shapes and, roughly, what is
    brighter than what; hides hue. Black stays black and white stays white.

    Args:
        gamma: The least and the largest power; (1, 1) for none.
        seed: Seed of mix and power in eval mode.
        keep_channels: Whether to show the gray in all C channels; False for one, which is cheaper to encode.

    Shape:
        (..., T, C, H, W) to the same, or to (..., T, 1, H, W).

    Raises:
        TypeError: If an argument has the wrong type or the frames are no floating-point tensor.
        ValueError: If an argument is out of range or the frames have another rank.

    Example:
        >>> RandomGray()(torch.rand(5, 3, 4, 4)).std(-3).max()
        tensor(0.)
    """

    def __init__(self, gamma: Sequence[float] = (0.5, 2.0), seed: int = 0, keep_channels: bool = True) -> None:
        super().__init__()
        if not isinstance(gamma, Sequence) or len(gamma) != 2:
            raise TypeError(f"gamma must be two numbers, the least and the largest power, got {gamma!r}")
        low, high = (check_positive_number("gamma", value) for value in gamma)
        if low > high:
            raise ValueError(f"gamma must be the least and the largest power, got {(low, high)}; exchange the two")
        self.gamma = (low, high)
        self.seed = check_seed(seed)
        self.keep_channels = check_flag("keep_channels", keep_channels)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the frames in gray.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of the same shape, all channels equal, or of one channel.
        """
        clips = as_clips(frames)
        draws = uniform(clips, (clips.shape[2] + 1,), None if self.training else self.seed)
        lengths = 1e-12 - torch.log1p(-draws[:, :-1])  # exponential; a uniform draw may be 0
        low, high = self.gamma
        power = per_clip(low * (high / low) ** draws[:, -1:], clips)
        # Rounding alone leaves [0, 1].
        gray = weighted_sum(clips, lengths / lengths.sum(-1, keepdim=True)).clamp(0, 1) ** power
        return as_frames(gray.expand_as(clips) if self.keep_channels else gray, frames)


class RandomTones(nn.Module):
    r"""Map the colors of every clip at random to tones of gray, by a smooth wave through the space of colors.

    $$y_c = \min\Bigl(1, \frac{\max_{c'} x_{c'}}{r}\Bigr) \Bigl(s + (1 - s)
    \frac{1 + \sin(\sum_{c'} w_{c'} x_{c'} + b)}{2}\Bigr), \qquad
    w_{c'} \sim \mathcal U(-\omega, \omega), \quad b \sim \mathcal U(0, 2 \pi)$$

    One w and one b a clip, for all its pixels; every channel y_c is the same. omega is `frequency`, s is `darkest`, r
    is `black`. Keeps shapes and edges between colors; hides hue and brightness: the tone of any one color that is not
    black has the same distribution, and those of two depend on their difference alone. Close colors may come out alike,
    and distant ones by chance. Black stays black by the first factor, which is 0 there and 1 from a largest channel of
    r on; s keeps what is not black apart from it.

    Args:
        frequency: Largest slope of the wave's phase along a channel, in radians for a channel's whole range.
        darkest: The darkest tone of what is not black, in [0, 1).
        black: Largest channel below which a pixel fades to black.
        seed: Seed of the map in eval mode.
        keep_channels: Whether to show the gray in all C channels; False for one, which is cheaper to encode.

    Shape:
        (..., T, C, H, W) to the same, or to (..., T, 1, H, W).

    Raises:
        TypeError: If an argument has the wrong type or the frames are no floating-point tensor.
        ValueError: If an argument is out of range or the frames have another rank.

    Example:
        >>> RandomTones()(torch.rand(5, 3, 4, 4)).std(-3).max()
        tensor(0.)
    """

    def __init__(
        self,
        frequency: float = 10.0,
        darkest: float = 0.2,
        black: float = 0.05,
        seed: int = 0,
        keep_channels: bool = True,
    ) -> None:
        super().__init__()
        self.frequency = check_positive_number("frequency", frequency)
        self.darkest = check_part("darkest", darkest)
        self.black = check_positive_number("black", black)
        self.seed = check_seed(seed)
        self.keep_channels = check_flag("keep_channels", keep_channels)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the frames in random tones.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of the same shape, all channels equal, or of one channel.
        """
        clips = as_clips(frames)
        draws = uniform(clips, (clips.shape[2] + 1,), None if self.training else self.seed)
        phase = weighted_sum(clips, self.frequency * (2 * draws[:, :-1] - 1))
        wave = torch.sin(phase + per_clip(2 * math.pi * draws[:, -1:], clips))
        tones = (1 + self.darkest) / 2 + (1 - self.darkest) / 2 * wave
        visible = (clips.amax(-3, keepdim=True) / self.black).clamp(max=1)
        gray = visible * tones
        return as_frames(gray.expand_as(clips) if self.keep_channels else gray, frames)


class Silhouette(nn.Module):
    r"""Show what is not black as white.

    Keeps outline, pose and place; hides colors, brightness and all that is within the outline. Its gradient is 0.

    Args:
        threshold: Largest channel above which a pixel is white, in [0, 1).
        keep_channels: Whether to show the outline in all C channels; False for one, which is cheaper to encode.

    Shape:
        (..., T, C, H, W) to the same, or to (..., T, 1, H, W).

    Raises:
        TypeError: If the threshold is no number or the frames are no floating-point tensor.
        ValueError: If the threshold is not in [0, 1) or the frames have another rank.

    Example:
        >>> Silhouette()(torch.tensor([0.0, 0.3]).reshape(1, 1, 1, 2)).flatten()
        tensor([0., 1.])
    """

    def __init__(self, threshold: float = 0.05, keep_channels: bool = True) -> None:
        super().__init__()
        self.threshold = check_part("threshold", threshold)
        self.keep_channels = check_flag("keep_channels", keep_channels)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the outlines.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of the same shape, or of one channel, with values 0 and 1.
        """
        clips = as_clips(frames)
        white = (clips.amax(-3, keepdim=True) > self.threshold).to(clips.dtype)
        return as_frames(white.expand_as(clips) if self.keep_channels else white, frames)
