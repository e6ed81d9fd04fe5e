"""Views: modules from frames to frames, which a guide applies before one of its factors to restrict what it may see.

All take frames (..., T, C, H, W) in [0, 1] and return frames of that shape, so encoders need no change; several views
are one in a `torch.nn.Sequential`. A clip is everything but the leading dimensions.

A random view draws anew at every call in training mode, for every clip by itself, from the global generator of torch.
In eval mode it draws from a generator that starts from its own `seed`, the same numbers for every clip and at every
call: what is encoded is then a function of the clip alone. An average over draws is not built.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.functional import pad

from pyrodis.ops import check_positive_int, check_positive_number, without_autocast


class PatchShuffle(nn.Module):
    r"""Cut every frame into square patches and put them back in random order.

    Keeps the colors and textures within a patch, and how many patches hold them; hides where they are, hence pose and
    direction.

    Args:
        patch_size: Side of a patch in pixels; it must divide H and W.
        per_frame: Whether every frame has an order of its own; False for one order a clip, which keeps which patches
            move.
        seed: Seed of the orders in eval mode.

    Shape:
        (..., T, C, H, W) to the same.

    Raises:
        TypeError: If an argument has the wrong type or the frames are no floating-point tensor.
        ValueError: If an argument is out of range, or the frames have another rank or are not cut without a rest.

    Example:
        >>> frames = torch.arange(16.0).reshape(1, 1, 4, 4) / 16
        >>> torch.equal(PatchShuffle(2)(frames).flatten().sort()[0], frames.flatten())
        True
    """

    def __init__(self, patch_size: int = 8, per_frame: bool = True, seed: int = 0) -> None:
        super().__init__()
        self.patch_size = check_positive_int("patch_size", patch_size)
        if not isinstance(per_frame, bool):
            raise TypeError(f"per_frame must be True or False, got {per_frame!r}")
        self.per_frame = per_frame
        self.seed = _check_seed(seed)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the frames with their patches in random order.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of the same shape.
        """
        clips = _as_clips(frames)
        size, (num_clips, num_frames, channels, height, width) = self.patch_size, clips.shape
        _check_divides("patch_size", size, clips)
        down, across = height // size, width // size
        draws = _uniform(clips, (num_frames if self.per_frame else 1, down * across), self._seed())
        order = draws.argsort(-1).reshape(*draws.shape[:2], 1, down, 1, across)
        # Of every row of pixels in a patch, the number of the row that comes there.
        row = torch.arange(size, device=clips.device).reshape(size, 1)
        within_frame = (order // across * size + row) * across + order % across
        frame = torch.arange(num_clips * num_frames * channels, device=clips.device) * (height * across)
        source = frame.reshape(num_clips, num_frames, channels, 1, 1, 1) + within_frame
        return clips.reshape(-1, size).index_select(0, source.flatten()).reshape(frames.shape)

    def _seed(self) -> int | None:
        return None if self.training else self.seed


class FrameShuffle(nn.Module):
    r"""Put the frames of every clip in random order.

    Keeps all that single frames show; hides the order of poses, hence the direction of time.

    Args:
        seed: Seed of the order in eval mode.

    Shape:
        (..., T, C, H, W) to the same.

    Raises:
        TypeError: If the seed is no int or the frames are no floating-point tensor.
        ValueError: If the seed is negative or the frames have another rank.

    Example:
        >>> frames = torch.linspace(0, 1, 5).reshape(5, 1, 1, 1)
        >>> torch.equal(FrameShuffle()(frames).sort(0)[0], frames)
        True
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = _check_seed(seed)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the frames in random order.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of the same shape.
        """
        clips = _as_clips(frames)
        order = _uniform(clips, clips.shape[1:2], None if self.training else self.seed).argsort(-1)
        return _take_frames(clips, order).reshape(frames.shape)


class SingleFrame(nn.Module):
    r"""Show one random frame of every clip, repeated T times.

    Keeps one pose and the whole appearance; hides all motion. In eval mode the number of the frame is the same for all
    clips of one length.

    Args:
        seed: Seed of the frame's number in eval mode.

    Shape:
        (..., T, C, H, W) to the same.

    Raises:
        TypeError: If the seed is no int or the frames are no floating-point tensor.
        ValueError: If the seed is negative or the frames have another rank.

    Example:
        >>> len(SingleFrame()(torch.rand(5, 1, 4, 4)).unique(dim=0))
        1
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = _check_seed(seed)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return one frame a clip in the place of all.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of the same shape.
        """
        clips = _as_clips(frames)
        order = _uniform(clips, clips.shape[1:2], None if self.training else self.seed).argsort(-1)
        return _take_frames(clips, order[:, :1].expand_as(order)).reshape(frames.shape)


class RandomGrey(nn.Module):
    r"""Mix the channels of every clip at random to one grey tone, and bend its scale by a random power.

    $$y_c = \Bigl(\sum_{c'} a_{c'} x_{c'}\Bigr)^{\gamma}, \qquad a \sim \mathrm{Dirichlet}(1, \dots, 1), \quad
    \log \gamma \sim \mathcal U(\log \gamma_0, \log \gamma_1)$$

    One a and one gamma a clip, for all its pixels; every channel y_c is the same. Keeps shapes and, roughly, what is
    brighter than what; hides hue. Black stays black and white stays white.

    Args:
        gamma: The least and the largest power; (1, 1) for none.
        seed: Seed of mix and power in eval mode.

    Shape:
        (..., T, C, H, W) to the same.

    Raises:
        TypeError: If an argument has the wrong type or the frames are no floating-point tensor.
        ValueError: If an argument is out of range or the frames have another rank.

    Example:
        >>> RandomGrey()(torch.rand(5, 3, 4, 4)).std(-3).max()
        tensor(0.)
    """

    def __init__(self, gamma: Sequence[float] = (0.5, 2.0), seed: int = 0) -> None:
        super().__init__()
        if not isinstance(gamma, Sequence) or len(gamma) != 2:
            raise TypeError(f"gamma must be two numbers, the least and the largest power, got {gamma!r}")
        low, high = (check_positive_number("gamma", value) for value in gamma)
        if low > high:
            raise ValueError(f"gamma must be the least and the largest power, got {(low, high)}; exchange the two")
        self.gamma = (low, high)
        self.seed = _check_seed(seed)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the frames in grey.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of the same shape, all channels equal.
        """
        clips = _as_clips(frames)
        draws = _uniform(clips, (clips.shape[2] + 1,), None if self.training else self.seed)
        lengths = 1e-12 - torch.log1p(-draws[:, :-1])  # exponential; a uniform draw may be 0
        low, high = self.gamma
        power = _per_clip(low * (high / low) ** draws[:, -1:], clips)
        # Rounding alone leaves [0, 1].
        grey = _weighted_sum(clips, lengths / lengths.sum(-1, keepdim=True)).clamp(0, 1) ** power
        return grey.expand_as(clips).reshape(frames.shape)


class RandomTones(nn.Module):
    r"""Map the colors of every clip at random to tones of grey, by a smooth wave through the space of colors.

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

    Shape:
        (..., T, C, H, W) to the same.

    Raises:
        TypeError: If an argument has the wrong type or the frames are no floating-point tensor.
        ValueError: If an argument is out of range or the frames have another rank.

    Example:
        >>> RandomTones()(torch.rand(5, 3, 4, 4)).std(-3).max()
        tensor(0.)
    """

    def __init__(self, frequency: float = 10.0, darkest: float = 0.2, black: float = 0.05, seed: int = 0) -> None:
        super().__init__()
        self.frequency = check_positive_number("frequency", frequency)
        self.darkest = _check_part("darkest", darkest)
        self.black = check_positive_number("black", black)
        self.seed = _check_seed(seed)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the frames in random tones.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of the same shape, all channels equal.
        """
        clips = _as_clips(frames)
        draws = _uniform(clips, (clips.shape[2] + 1,), None if self.training else self.seed)
        phase = _weighted_sum(clips, self.frequency * (2 * draws[:, :-1] - 1))
        wave = torch.sin(phase + _per_clip(2 * math.pi * draws[:, -1:], clips))
        tones = (1 + self.darkest) / 2 + (1 - self.darkest) / 2 * wave
        visible = (clips.amax(-3, keepdim=True) / self.black).clamp(max=1)
        return (visible * tones).expand_as(clips).reshape(frames.shape)


class RandomShift(nn.Module):
    r"""Shift every clip by a random whole number of pixels down and across, all its frames alike.

    Keeps shapes, colors and motion; hides the place in the frame. What is shifted out is lost, and what comes in is 0.

    Args:
        max_shift: Largest shift in either direction, smaller than H and W.
        seed: Seed of the shift in eval mode.

    Shape:
        (..., T, C, H, W) to the same.

    Raises:
        TypeError: If an argument has the wrong type or the frames are no floating-point tensor.
        ValueError: If an argument is out of range, or the frames have another rank or are too small.

    Example:
        >>> RandomShift(2)(torch.ones(5, 3, 8, 8)).sum() >= 5 * 3 * 6 * 6
        tensor(True)
    """

    def __init__(self, max_shift: int, seed: int = 0) -> None:
        super().__init__()
        self.max_shift = check_positive_int("max_shift", max_shift)
        self.seed = _check_seed(seed)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the shifted frames.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of the same shape.
        """
        clips, most = _as_clips(frames), self.max_shift
        height, width = clips.shape[-2:]
        if most >= min(height, width):
            raise ValueError(f"max_shift must be smaller than H and W, got {most} for frames of {height} x {width}")
        draws = _uniform(clips, (2, 1, 1), None if self.training else self.seed)
        down, across = (draws * (2 * most + 1)).long().unbind(1)
        rows = torch.arange(height, device=clips.device).reshape(-1, 1) + down
        columns = torch.arange(width, device=clips.device) + across
        padded = pad(clips.flatten(1, 2), (most, most, most, most)).flatten(2)
        source = (rows * (width + 2 * most) + columns).reshape(-1, 1, height * width)
        return padded.gather(2, source.expand(*padded.shape[:2], -1)).reshape(frames.shape)


class Downsample(nn.Module):
    r"""Average square blocks of pixels.

    $$y_{ij} = \frac{1}{n^2} \sum_{k=1}^{n} \sum_{l=1}^{n}
    x_{n \lfloor i / n \rfloor + k - 1, n \lfloor j / n \rfloor + l - 1}$$

    n is `factor`; i and j count from 0. Keeps what is large; hides detail.

    Args:
        factor: Side of a block; it must divide H and W.

    Shape:
        (..., T, C, H, W) to the same.

    Raises:
        TypeError: If the factor is no int or the frames are no floating-point tensor.
        ValueError: If the factor is not positive, the frames have another rank or are not cut without a rest.

    Example:
        >>> Downsample(2)(torch.eye(4)[None, None])[0, 0, 0]
        tensor([0.5000, 0.5000, 0.0000, 0.0000])
    """

    def __init__(self, factor: int = 2) -> None:
        super().__init__()
        self.factor = check_positive_int("factor", factor)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the frames at the lower resolution, enlarged again.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of the same shape.
        """
        clips = _as_clips(frames)
        _check_divides("factor", self.factor, clips)
        n = self.factor
        small = clips.unflatten(-2, (-1, n)).mean(-2).unflatten(-1, (-1, n)).mean(-1)
        return small.repeat_interleave(n, -1).repeat_interleave(n, -2).reshape(frames.shape)


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
        clips = _as_clips(frames)
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


class Silhouette(nn.Module):
    r"""Show what is not black as white.

    Keeps outline, pose and place; hides colors, brightness and all that is within the outline. Its gradient is 0.

    Args:
        threshold: Largest channel above which a pixel is white, in [0, 1).

    Shape:
        (..., T, C, H, W) to the same.

    Raises:
        TypeError: If the threshold is no number or the frames are no floating-point tensor.
        ValueError: If the threshold is not in [0, 1) or the frames have another rank.

    Example:
        >>> Silhouette()(torch.tensor([0.0, 0.3]).reshape(1, 1, 1, 2)).flatten()
        tensor([0., 1.])
    """

    def __init__(self, threshold: float = 0.05) -> None:
        super().__init__()
        self.threshold = _check_part("threshold", threshold)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the outlines.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of the same shape with values 0 and 1.
        """
        clips = _as_clips(frames)
        white = clips.amax(-3, keepdim=True) > self.threshold
        return white.to(clips.dtype).expand_as(clips).reshape(frames.shape)


def _as_clips(frames: Any) -> torch.Tensor:
    """The frames as (N, T, C, H, W), one row a clip."""
    if not isinstance(frames, torch.Tensor) or not frames.is_floating_point():
        kind = frames.dtype if isinstance(frames, torch.Tensor) else type(frames).__name__
        raise TypeError(f"frames must be a floating-point tensor in [0, 1], got {kind}; divide 8-bit frames by 255")
    if frames.ndim < 4:
        raise ValueError(
            f"frames must have shape (..., T, C, H, W), got {tuple(frames.shape)}; add a time dimension to images"
        )
    return frames.reshape(-1, *frames.shape[-4:])


def _uniform(clips: torch.Tensor, shape: Sequence[int], seed: int | None) -> torch.Tensor:
    """Numbers in [0, 1): without a seed (N, *shape) from the global generator, with one (1, *shape) from that seed."""
    if seed is None:
        return torch.rand(len(clips), *shape, dtype=torch.float32, device=clips.device)
    generator = torch.Generator("cpu").manual_seed(seed)  # on the CPU, so that every device sees the same view
    return torch.rand(1, *shape, dtype=torch.float32, device="cpu", generator=generator).to(clips.device)


def _take_frames(clips: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Frame order[n, t] of clip n at t; one row of order for all clips is enough."""
    first = torch.arange(len(clips), device=clips.device).unsqueeze(-1) * clips.shape[1]
    return clips.flatten(0, 1).index_select(0, (first + order).flatten())


def _per_clip(value: torch.Tensor, clips: torch.Tensor) -> torch.Tensor:
    """Numbers (N, C) or (N, 1) beside clips (N, T, C, H, W), in their type."""
    return value.to(clips.dtype)[:, None, :, None, None]


def _weighted_sum(clips: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The sum over channels, weighted (N, C), as one channel; elementwise, so that autocast does not round it."""
    return (clips * _per_clip(weights, clips)).sum(-3, keepdim=True)


def _check_divides(name: str, size: int, clips: torch.Tensor) -> None:
    height, width = clips.shape[-2:]
    if height % size or width % size:
        raise ValueError(f"{name} must divide H and W, got {size} for frames of {height} x {width}; pass a divisor")


def _check_seed(seed: Any) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed must be a whole number of 0 or more, got {seed!r} of type {type(seed).__name__}")
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed must be a whole number of 0 or more and below 2**63, got {seed}")
    return seed


def _check_part(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number in [0, 1), got {value!r} of type {type(value).__name__}")
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be a number in [0, 1), got {value}")
    return float(value)
