"""Frames at the edge of the pictures: checked, as bytes, and laid out on a sheet."""

from __future__ import annotations

import numpy as np
import torch

Array = np.ndarray | torch.Tensor

# Okabe and Ito's colors, told apart by color-blind readers as well
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
GAP = 2  # source pixels between frames
GROUP_GAP = 10  # source pixels between groups of frames


def frames_to_bytes(sequences: Array, name: str) -> np.ndarray:
    """Return frames (R, T, C, H, W) in [0, 1] as bytes (R, T, H, W, 3)."""
    if isinstance(sequences, torch.Tensor):
        sequences = sequences.detach().cpu().float().numpy()
    if not isinstance(sequences, np.ndarray):
        raise TypeError(
            f"{name} must be a numpy array or a torch tensor, got {type(sequences).__name__}; stack it first"
        )
    if sequences.ndim != 5 or sequences.shape[2] not in (1, 3) or 0 in sequences.shape:
        raise ValueError(
            f"{name} must have shape (R, T, C, H, W) with 1 or 3 channels, got {sequences.shape}; "
            "add a row with x[None] or permute the channels"
        )
    if not np.isfinite(sequences).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity; find what produced it")
    if sequences.min() < 0 or sequences.max() > 1:
        raise ValueError(
            f"{name} must be in [0, 1], got values from {sequences.min():.4g} to {sequences.max():.4g}; "
            "divide bytes by 255, clamp what a decoder made"
        )
    pixels = np.rint(sequences * 255).astype(np.uint8)
    return np.repeat(pixels, 3 // pixels.shape[2], axis=2).transpose(0, 1, 3, 4, 2)


def offsets(num: int, size: int, per_group: int) -> np.ndarray:
    """Return where each of ``num`` tiles of ``size`` pixels starts, with a wider gap after every group."""
    index = np.arange(num)
    return index * (size + GAP) + index // per_group * (GROUP_GAP - GAP)


def sheet(tiles: np.ndarray, tops: np.ndarray, lefts: np.ndarray) -> np.ndarray:
    """Lay tiles (R, T, H, W, 3) on a white sheet at the given rows and columns."""
    height, width = tiles.shape[2:4]
    canvas = np.full((tops[-1] + height, lefts[-1] + width, 3), 255, dtype=np.uint8)
    for row, top in zip(tiles, tops, strict=True):
        for tile, left in zip(row, lefts, strict=True):
            canvas[top : top + height, left : left + width] = tile
    return canvas
