"""What decoders that place patches, and glimpses at places, share."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn

from pyrodis.nn.conv import check_frame_dtype
from pyrodis.ops import check_positive_int, full_precision, without_autocast

_LEAST = 1e-6  # epsilon: what an empty frame shows, and what a full patch lets through


def patch_layers(
    code_dim: int, channels: int, patch_size: int, widths: tuple[int, ...], hidden_dim: int, output_bias: float
) -> nn.Sequential:
    """Codes (N, code_dim) to logits (N, channels, P, P)."""
    side = patch_size // 2 ** len(widths)
    start = (widths[0], side, side)
    layers: list[nn.Module] = [nn.Linear(code_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, math.prod(start))]
    layers.append(nn.Unflatten(1, start))
    for inputs, outputs in zip(widths, (*widths[1:], channels)):
        layers += [nn.ReLU(), nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)]
    nn.init.constant_(cast("torch.Tensor", layers[-1].bias), output_bias)
    return nn.Sequential(*layers)


def split_codes(
    codes: torch.Tensor, what_dim: int, where_dim: int, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What (..., S) and where (..., D) of joined codes."""
    if codes.shape[-1:] != (what_dim + where_dim,):
        raise ValueError(
            f"codes must have shape (..., what_dim + where_dim) = (..., {what_dim} + {where_dim}), got "
            f"{tuple(codes.shape)}; put what and where side by side, in this order"
        )
    check_frame_dtype("codes", codes, weight)
    what, where = codes.split((what_dim, where_dim), dim=-1)
    return what, where


def overlay(patches: torch.Tensor, places: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Logits (..., C, H, W) of the frames that patches (..., M, C, P, P), at places (..., M, 2), make."""
    with without_autocast(patches):
        rows = interpolation(places[..., 1], size[0], patches.shape[-2]).unsqueeze(-3)
        columns = interpolation(places[..., 0], size[1], patches.shape[-1]).unsqueeze(-3)
        placed = rows @ patches.sigmoid() @ columns.mT
        depth = -torch.log1p((_LEAST - 1) * placed).sum(-4) - math.log1p(-_LEAST)
        # The frame is 1 - exp(-depth); this is its logit, of which neither part cancels.
        return depth + torch.log(-torch.expm1(-depth))


def interpolation(first: torch.Tensor, size: int, patch_size: int) -> torch.Tensor:
    """How much of each pixel of a patch, whose first one lies at `first` (...), is in each of the frame's: (..., H, P).

    Translation and bilinear interpolation fall apart into rows and columns, so that two small matrices do it.
    """
    pixels = torch.arange(size, device=first.device, dtype=first.dtype).unsqueeze(-1)
    parts = torch.arange(patch_size, device=first.device, dtype=first.dtype)
    nearness = 1 - (pixels - parts - first[..., None, None]).abs()
    return torch.maximum(nearness, torch.zeros_like(nearness))  # relu would have no gradient at whole pixels


def check_bias(output_bias: float, name: str = "output_bias") -> float:
    """The bias if it is a finite number."""
    if isinstance(output_bias, bool) or not isinstance(output_bias, (int, float)):
        raise TypeError(f"{name} must be a number, got {output_bias!r}")
    if not math.isfinite(output_bias):
        raise ValueError(f"{name} must be a finite number, got {output_bias}; it is a logit, such as 0")
    return output_bias


def check_patch_size(patch_size: int, frame_shape: tuple[int, int, int], num_layers: int) -> int:
    """The side of a patch if so many doublings lead to it, and it lies within frames."""
    most, factor = min(frame_shape[1:]), 2**num_layers
    if check_positive_int("patch_size", patch_size) > most:
        raise ValueError(
            f"patch_size must be at most {most}, for patches that lie within frames {frame_shape}, got {patch_size}"
        )
    if patch_size % factor:
        raise ValueError(
            f"patch_size must be a multiple of {factor}, one doubling for each width, got {patch_size}; "
            "take fewer widths, or a patch of another size"
        )
    return patch_size


def check_what_dim(what_dim: int, num_parts: int) -> int:
    """The size of a code of what that is one code a part."""
    if check_positive_int("what_dim", what_dim) % num_parts:
        raise ValueError(
            f"what_dim must be a multiple of the number of parts {num_parts}, since each has a code of its own, "
            f"got {what_dim}"
        )
    return what_dim


def room_of(frame_shape: tuple[int, int, int], patch_size: int) -> torch.Tensor:
    """By how many pixels a patch can be moved, along x and along y."""
    _, height, width = frame_shape
    return torch.tensor([width - patch_size, height - patch_size], dtype=torch.get_default_dtype())


def places_of(where: torch.Tensor, num_parts: int, room: torch.Tensor) -> torch.Tensor:
    """Upper left pixels (..., M, 2) of the patches whose places are where (..., 2 M)."""
    with without_autocast(where):
        return torch.special.ndtr(full_precision(where)).unflatten(-1, (num_parts, 2)) * room
