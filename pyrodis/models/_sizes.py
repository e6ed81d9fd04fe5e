"""What the programs of clips check first: how many clips and frames there are, and whether their parts fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from pyrodis.ops import check_frames_shape, check_positive_int


def clip_sizes(
    x: torch.Tensor | None, batch_size: int | None, frame_shape: Sequence[int] | None, num_frames: int
) -> tuple[int, int]:
    """Return B and T: those of clips, or those that are drawn without clips."""
    if x is not None:
        shape = check_frames_shape(x, None if frame_shape is None else tuple(frame_shape)).shape
        return shape[0], shape[1]
    if batch_size is None:
        raise ValueError("pass clips x, or batch_size to draw clips from the prior; got neither")
    return check_positive_int("batch_size", batch_size), num_frames


def check_size(part: str, attribute: str, module: nn.Module, name: str, size: int) -> None:
    """Raise unless a part is a module and, if it tells its size, has the size that the model needs."""
    check_part(part, module)
    found = getattr(module, attribute, size)
    if found != size:
        raise ValueError(f"{part}.{attribute} must be {name} = {size}, got {found}; build the {part} with {size}")


def check_part(name: str, value: Any) -> None:
    """Raise unless a part of a model is a module."""
    if isinstance(value, type):
        raise TypeError(f"{name} must be a module, got the class {value.__name__}; call it")
    if not isinstance(value, nn.Module):
        raise TypeError(f"{name} must be a module, got {value!r} of type {type(value).__name__}")


def check_matrix(name: str, value: Any) -> torch.Tensor:
    """Return a copy of a finite matrix."""
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        raise TypeError(f"{name} must be a matrix, a floating-point tensor, got {value!r}")
    if value.ndim != 2 or 0 in value.shape:
        raise ValueError(f"{name} must be a matrix with at least one row and one column, got {tuple(value.shape)}")
    if not bool(value.isfinite().all()):
        raise ValueError(f"{name} must be finite, got {float(value[~value.isfinite()][0])} in it")
    return value.detach().clone()


def check_offset(value: Any) -> float:
    """Return the mean of pixels as a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"offset must be a finite number, got {value!r} of type {type(value).__name__}")
    if not math.isfinite(value):
        raise ValueError(f"offset must be a finite number, got {value}")
    return float(value)


def shape_of_pixels(num_pixels: int, frame_shape: Sequence[int] | None) -> tuple[int, ...]:
    """Return (C, H, W) of so many pixels: the one that is given, or one row of them."""
    shape = (1, 1, num_pixels) if frame_shape is None else tuple(frame_shape)
    if len(shape) != 3 or math.prod(shape) != num_pixels:
        raise ValueError(f"frame_shape must be (C, H, W) of {num_pixels} pixels, got {shape}")
    return shape
