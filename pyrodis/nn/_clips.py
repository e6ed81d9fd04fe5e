"""What views share: frames as rows of clips, the draws of random views, and checks of arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


def as_clips(frames: Any) -> torch.Tensor:
    """The frames as (N, T, C, H, W), one row a clip."""
    if not isinstance(frames, torch.Tensor) or not frames.is_floating_point():
        kind = frames.dtype if isinstance(frames, torch.Tensor) else type(frames).__name__
        raise TypeError(f"frames must be a floating-point tensor in [0, 1], got {kind}; divide 8-bit frames by 255")
    if frames.ndim < 4:
        raise ValueError(
            f"frames must have shape (..., T, C, H, W), got {tuple(frames.shape)}; add a time dimension to images"
        )
    if 0 in frames.shape[-4:]:
        raise ValueError(
            f"frames must have shape (..., T, C, H, W), none of the last four 0, got {tuple(frames.shape)}"
        )
    return frames.reshape(-1, *frames.shape[-4:])


def as_frames(clips: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """Clips (N, T', C', H', W') with the leading dimensions of the frames that they were made from."""
    return clips.reshape(*frames.shape[:-4], *clips.shape[1:])


def uniform(clips: torch.Tensor, shape: Sequence[int], seed: int | None) -> torch.Tensor:
    """Numbers in [0, 1): without a seed (N, *shape) from the global generator, with one (1, *shape) from that seed."""
    if seed is None:
        return torch.rand(len(clips), *shape, dtype=torch.float32, device=clips.device)
    generator = torch.Generator("cpu").manual_seed(seed)  # on the CPU, so that every device sees the same view
    return torch.rand(1, *shape, dtype=torch.float32, device="cpu", generator=generator).to(clips.device)


def take_frames(clips: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Frame order[n, t] of clip n at t; one row of order for all clips is enough."""
    first = torch.arange(len(clips), device=clips.device).unsqueeze(-1) * clips.shape[1]
    return clips.flatten(0, 1).index_select(0, (first + order).flatten())


def per_clip(value: torch.Tensor, clips: torch.Tensor) -> torch.Tensor:
    """Numbers (N, C) or (N, 1) beside clips (N, T, C, H, W), in their type."""
    return value.to(clips.dtype)[:, None, :, None, None]


def weighted_sum(clips: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The sum over channels, weighted (N, C), as one channel; elementwise, so that autocast does not round it."""
    return (clips * per_clip(weights, clips)).sum(-3, keepdim=True)


def check_divides(name: str, size: int, clips: torch.Tensor) -> None:
    """Refuse frames that squares of this side do not cover without a rest."""
    height, width = clips.shape[-2:]
    if height % size or width % size:
        raise ValueError(f"{name} must divide H and W, got {size} for frames of {height} x {width}; pass a divisor")


def check_seed(seed: Any) -> int:
    """The seed if a generator takes it."""
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed must be a whole number of 0 or more, got {seed!r} of type {type(seed).__name__}")
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed must be a whole number of 0 or more and below 2**63, got {seed}")
    return seed


def check_flag(name: str, value: Any) -> bool:
    """The value if it is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return value


def check_part(name: str, value: Any) -> float:
    """The value as a float if it is in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number in [0, 1), got {value!r} of type {type(value).__name__}")
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be a number in [0, 1), got {value}")
    return float(value)
