"""What each factor of a guide sees: features of views of the frames."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from pyrodis.guides.static_posterior import encode_frames
from pyrodis.ops import check_frames_shape


def encode_views(
    x: torch.Tensor,
    encoder: nn.Module,
    static_view: nn.Module | None,
    dynamic_view: nn.Module | None,
    dynamic_encoder: nn.Module | None,
    has_static: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the features that q(f | ...) reads and those that q(z | ...) reads.

    Where both read the same (no views, or one object as both, and no encoder of its own for z) the view and the encoder
    run once. Views are applied to clips as they come, before any draw of a latent. They may change channels, height and
    width; what an encoder reads is what its own `frame_shape` says. A view for f may also change the number of frames.

    Args:
        x: Clips.
        encoder: Maps frames (..., C, H, W) to features; for f, and for z without `dynamic_encoder`.
        static_view: Maps frames to the frames that f is inferred from, any number of them, or None for all.
        dynamic_view: The same for z, as many frames as x has.
        dynamic_encoder: Maps frames to features for z, or None for `encoder`.
        has_static: Whether there is an f; if not, both features are those for z.

    Shape:
        x: (B, T, C, H, W).

    Returns:
        Features for f, of shape (B, frames of its view, feature_dim of its encoder), and for z, (B, T, feature_dim).

    Raises:
        TypeError: If x is not a floating-point tensor.
        ValueError: If x has another shape, or a view returns what its encoder or its code cannot read.

    Example:
        >>> from pyrodis.nn import ConvEncoder, SubsetFrames
        >>> encoder = ConvEncoder((1, 8, 8), 4, base_channels=2)
        >>> f, z = encode_views(torch.zeros(2, 5, 1, 8, 8), encoder, SubsetFrames(3), None, None)
        >>> f.shape, z.shape
        (torch.Size([2, 3, 4]), torch.Size([2, 5, 4]))
    """
    check_frames_shape(x)
    if not has_static:
        alone = encode_seen("dynamic_view", dynamic_view, "encoder", encoder, x, keeps_frames=True)
        return alone, alone
    shared = dynamic_view is static_view and dynamic_encoder is None
    static = encode_seen("static_view", static_view, "encoder", encoder, x, keeps_frames=shared)
    if shared:
        return static, static
    name, own = ("encoder", encoder) if dynamic_encoder is None else ("dynamic_encoder", dynamic_encoder)
    return static, encode_seen("dynamic_view", dynamic_view, name, own, x, keeps_frames=True)


def check_view(name: str, view: Any) -> nn.Module | None:
    """Return a view if it is a module or None.

    Args:
        name: Name of the argument, for the message.
        view: What was given.

    Returns:
        The view, unchanged.

    Raises:
        TypeError: If it is neither.

    Example:
        >>> check_view("static_view", None) is None
        True
    """
    if view is not None and not isinstance(view, nn.Module):
        raise TypeError(
            f"{name} must be a module from frames to frames or None, got {view!r}; pass one such as PatchShuffle()"
        )
    return view


def check_dynamic_encoder(dynamic_encoder: Any, encoder: nn.Module) -> nn.Module | None:
    """Return the encoder of z if it is a module of its own or None.

    Args:
        dynamic_encoder: What was given.
        encoder: The encoder of f.

    Returns:
        The encoder of z, unchanged.

    Raises:
        TypeError: If it is no module.
        ValueError: If it is the encoder of f.

    Example:
        >>> check_dynamic_encoder(None, nn.Identity()) is None
        True
    """
    if dynamic_encoder is not None and not isinstance(dynamic_encoder, nn.Module):
        raise TypeError(f"dynamic_encoder must be a module from frames to features or None, got {dynamic_encoder!r}")
    if dynamic_encoder is encoder:
        raise ValueError("dynamic_encoder must be another module than encoder; leave it out to share one encoder")
    return dynamic_encoder


def encode_seen(
    view_name: str, view: nn.Module | None, encoder_name: str, encoder: nn.Module, x: torch.Tensor, keeps_frames: bool
) -> torch.Tensor:
    """Return the features of what a view shows, where its encoder and its code can read that.

    Args:
        view_name: Name of the view's argument, for the messages.
        view: Maps frames to frames, or None.
        encoder_name: Name of the encoder's argument, for the messages.
        encoder: Maps frames (..., C, H, W) to features.
        x: Clips.
        keeps_frames: Whether the view must show as many frames as x has.

    Shape:
        x: (B, T, C, H, W).

    Returns:
        Features of shape (B, frames of the view, encoder.feature_dim).

    Raises:
        TypeError: If x is not a floating-point tensor.
        ValueError: If x has another shape, or the view returns what the encoder or the code cannot read.

    Example:
        >>> from pyrodis.nn import ConvEncoder, SubsetFrames
        >>> encoder = ConvEncoder((1, 8, 8), 4, base_channels=2)
        >>> encode_seen("view", SubsetFrames(3), "encoder", encoder, torch.zeros(2, 5, 1, 8, 8), False).shape
        torch.Size([2, 3, 4])
    """
    return encode_frames(encoder, see(view_name, view, encoder_name, encoder, x, keeps_frames))


def see(
    view_name: str, view: nn.Module | None, encoder_name: str, encoder: nn.Module, x: torch.Tensor, keeps_frames: bool
) -> torch.Tensor:
    """Return what a view shows, where its encoder and its code can read that.

    Args:
        view_name: Name of the view's argument, for the messages.
        view: Maps frames to frames, or None.
        encoder_name: Name of the encoder's argument, for the messages.
        encoder: What reads the frames; of its `frame_shape`, if it has one.
        x: Clips.
        keeps_frames: Whether the view must show as many frames as x has.

    Shape:
        x: (B, T, C, H, W).

    Returns:
        Frames of shape (B, frames of the view, C, H, W).

    Raises:
        ValueError: If the view returns what the encoder or the code cannot read.

    Example:
        >>> from pyrodis.nn import ConvEncoder, SubsetFrames
        >>> encoder = ConvEncoder((1, 8, 8), 4, base_channels=2)
        >>> see("view", SubsetFrames(3), "encoder", encoder, torch.zeros(2, 5, 1, 8, 8), False).shape
        torch.Size([2, 3, 1, 8, 8])
    """
    if view is None:
        return x
    seen = view(x)
    if not isinstance(seen, torch.Tensor) or seen.ndim != 5 or len(seen) != len(x) or 0 in seen.shape:
        got = tuple(seen.shape) if isinstance(seen, torch.Tensor) else type(seen).__name__
        raise ValueError(f"{view_name} must return frames (B, T, C, H, W), B = {len(x)} as x has, got {got}")
    if keeps_frames and seen.shape[1] != x.shape[1]:
        raise ValueError(
            f"{view_name} must keep the number of frames, since every frame has a code: expected {x.shape[1]}, "
            f"got {seen.shape[1]}; a view such as SubsetFrames is for the code of a whole clip alone"
        )
    frame_shape = getattr(encoder, "frame_shape", None)
    if frame_shape is not None and tuple(seen.shape[2:]) != tuple(frame_shape):
        raise ValueError(
            f"{view_name} must return frames of the (C, H, W) that {encoder_name} reads, {tuple(frame_shape)}, "
            f"got {tuple(seen.shape[2:])}; build {encoder_name} for that frame_shape, or change the view"
        )
    return seen
