"""What the programs of clips check first: how many clips and frames there are, and whether their parts fit."""

from __future__ import annotations

from collections.abc import Sequence

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
    """Raise unless a part that tells its size has the size that the model needs."""
    found = getattr(module, attribute, size)
    if found != size:
        raise ValueError(f"{part}.{attribute} must be {name} = {size}, got {found}; build the {part} with {size}")
