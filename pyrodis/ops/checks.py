"""Checks of arguments, raised at the edge of the library in one sentence each."""

from __future__ import annotations

import math
from typing import Any

import torch


def check_positive_int(name: str, value: Any) -> int:
    """Return `value` if it is a positive whole number.

    Args:
        name: Name of the argument, for the message.
        value: What was given.

    Returns:
        The value, unchanged.

    Raises:
        TypeError: If `value` is not an int.
        ValueError: If `value` is smaller than 1.

    Example:
        >>> check_positive_int("static_dim", 64)
        64
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a positive whole number, got {value!r} of type {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{name} must be a positive whole number, got {value}; pass 1 or more")
    return value


def check_positive_number(name: str, value: Any) -> float:
    """Return `value` as a float if it is a finite number above zero.

    Args:
        name: Name of the argument, for the message.
        value: What was given.

    Returns:
        The value as a Python float.

    Raises:
        TypeError: If `value` is not a number.
        ValueError: If `value` is not finite or not above 0.

    Example:
        >>> check_positive_number("scale", 1)
        1.0
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number above 0, got {value!r} of type {type(value).__name__}")
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} must be a finite number above 0, got {value}")
    return float(value)


def check_eigenvalue(name: str, value: Any) -> float:
    """Return `value` as a float if it is a number above -1 and below 1.

    Args:
        name: Name of the argument, for the message.
        value: What was given.

    Returns:
        The value as a Python float.

    Raises:
        TypeError: If `value` is not a number.
        ValueError: If `value` is not between -1 and 1.

    Example:
        >>> check_eigenvalue("initial_eigenvalue", 0)
        0.0
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number above -1 and below 1, got {value!r} of type {type(value).__name__}")
    if not -1 < value < 1:
        raise ValueError(f"{name} must be above -1 and below 1, got {value}; 0 is no memory")
    return float(value)


def check_floating(name: str, value: Any) -> torch.Tensor:
    """Return `value` if it is a tensor of floating-point numbers; its values are not read, so it is free.

    Args:
        name: Name of the argument, for the message.
        value: What was given.

    Returns:
        The tensor, unchanged.

    Raises:
        TypeError: If `value` is not a floating-point tensor.

    Example:
        >>> check_floating("z", torch.zeros(2)).shape
        torch.Size([2])
    """
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        got = value.dtype if isinstance(value, torch.Tensor) else type(value).__name__
        raise TypeError(
            f"{name} must be a floating-point tensor, got {got}; convert it with torch.as_tensor and .float()"
        )
    return value


def check_same_dtype(first_name: str, first: torch.Tensor, second_name: str, second: torch.Tensor) -> None:
    """Refuse two tensors of different precision, where neither is a half precision that is widened anyway.

    Args:
        first_name: Name of the one, for the message.
        first: The one.
        second_name: Name of the other.
        second: The other.

    Raises:
        TypeError: If they differ.

    Example:
        >>> check_same_dtype("a", torch.zeros(2), "b", torch.zeros(2, dtype=torch.bfloat16))
    """
    wide = [torch.float32 if t.dtype in (torch.float16, torch.bfloat16) else t.dtype for t in (first, second)]
    if wide[0] != wide[1]:
        raise TypeError(
            f"{first_name} and {second_name} must be of one precision, got {first.dtype} and {second.dtype}"
        )


def check_frames(x: Any, frame_shape: tuple[int, ...] | None = None, name: str = "x") -> torch.Tensor:
    """Return `x` if it is a batch of clips: floating point, shape (B, T, C, H, W), finite, within [0, 1].

    Args:
        x: What was given.
        frame_shape: (C, H, W) that the networks were built for, or None for any.
        name: Name of the argument, for the message.

    Shape:
        x: (B, T, C, H, W).

    Returns:
        The tensor, unchanged.

    Raises:
        TypeError: If `x` is not a floating-point tensor.
        ValueError: If the shape, the range or a value is wrong.

    Example:
        >>> check_frames(torch.zeros(2, 8, 3, 64, 64)).shape
        torch.Size([2, 8, 3, 64, 64])
    """
    check_frames_shape(x, frame_shape, name)
    if x.device.type == "meta":
        return x
    low, high = (float(v) for v in torch.aminmax(x.detach()))
    if math.isnan(low) or math.isnan(high):
        raise ValueError(f"{name} contains NaN; remove or fill the broken frames first")
    if low < 0 or high > 1:
        raise ValueError(
            f"{name} must lie in [0, 1], got values from {low:.4g} to {high:.4g}; divide 8-bit frames by 255"
        )
    return x


def check_frames_shape(x: Any, frame_shape: tuple[int, ...] | None = None, name: str = "x") -> torch.Tensor:
    """Return `x` if its type and shape are those of a batch of clips; values are not read, so it is free.

    Args:
        x: What was given.
        frame_shape: (C, H, W) that the networks were built for, or None for any.
        name: Name of the argument, for the message.

    Shape:
        x: (B, T, C, H, W).

    Returns:
        The tensor, unchanged.

    Raises:
        TypeError: If `x` is not a floating-point tensor.
        ValueError: If the shape is wrong or a size is zero.

    Example:
        >>> check_frames_shape(torch.zeros(2, 8, 3, 64, 64)).ndim
        5
    """
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"{name} must be a torch tensor, got {type(x).__name__}; convert it with torch.as_tensor")
    if not x.is_floating_point():
        raise TypeError(
            f"{name} must be floating point in [0, 1], got {x.dtype}; use {name}.float() / 255 for 8-bit frames"
        )
    if x.ndim != 5:
        raise ValueError(f"{name} must have shape (B, T, C, H, W), got {tuple(x.shape)}{hint_of_shape(name, x)}")
    if 0 in x.shape:
        raise ValueError(f"{name} must not be empty, got shape {tuple(x.shape)}; pass at least one clip of one frame")
    if frame_shape is not None and tuple(x.shape[2:]) != tuple(frame_shape):
        raise ValueError(
            f"{name} must have frames of shape (C, H, W) = {tuple(frame_shape)}, got {tuple(x.shape[2:])}; "
            + hint_of_frames(tuple(x.shape[2:]), tuple(frame_shape), f"{name}.permute(0, 1, 4, 2, 3)")
        )
    return x


def hint_of_shape(name: str, x: torch.Tensor) -> str:
    """Return what to do with a tensor that lacks one of the five dimensions of clips.

    Args:
        name: Name of the argument.
        x: What was given.

    Returns:
        The end of a sentence, empty where there is nothing to say.

    Example:
        >>> hint_of_shape("x", torch.zeros(8, 64, 64))
        ''
    """
    if x.ndim != 4:
        return ""
    return f"; one clip is {name}.unsqueeze(0), images are {name}.unsqueeze(1), gray clips {name}.unsqueeze(2)"


def hint_of_frames(found: tuple[int, ...], wanted: tuple[int, ...], permuted: str) -> str:
    """Return what to do with frames of another shape.

    Args:
        found: Their shape.
        wanted: (C, H, W).
        permuted: How channels come first, in code.

    Returns:
        The end of a sentence.

    Example:
        >>> hint_of_frames((64, 64, 3), (3, 64, 64), "x.permute(0, 1, 4, 2, 3)")
        'channels come first: x.permute(0, 1, 4, 2, 3)'
    """
    if wanted and found == (*wanted[1:], wanted[0]):
        return f"channels come first: {permuted}"
    return "resize the frames or build the networks for this frame_shape"


def check_shown(shown: Any, x: torch.Tensor) -> torch.Tensor:
    """Return `shown` if it says of every frame of clips whether it is observed, and leaves each clip at least one.

    Args:
        shown: What was given.
        x: The clips.

    Shape:
        shown: (T) or (B, T), bool; x: (B, T, ...).

    Returns:
        The tensor, unchanged.

    Raises:
        TypeError: If `shown` is not a bool tensor.
        ValueError: If it has another shape, or hides all frames of a clip.

    Example:
        >>> check_shown(torch.tensor([True, False]), torch.zeros(3, 2, 1, 8, 8)).tolist()
        [True, False]
    """
    if not isinstance(shown, torch.Tensor) or shown.dtype != torch.bool:
        got = shown.dtype if isinstance(shown, torch.Tensor) else type(shown).__name__
        raise TypeError(f"shown must be a bool tensor, True where a frame is observed, got {got}")
    if not isinstance(x, torch.Tensor) or x.ndim < 2:
        raise TypeError(f"x must be a tensor of clips (B, T, ...), got {type(x).__name__}; see check_frames")
    if shown.shape not in (x.shape[1:2], x.shape[:2]):
        raise ValueError(
            f"shown must have shape (T) or (B, T) = {tuple(x.shape[:2])}, got {tuple(shown.shape)}; "
            "give one value a frame"
        )
    if shown.device.type != "meta" and not bool(shown.any(-1).all()):
        which = "" if shown.ndim == 1 else f" of clip {int((~shown.any(-1)).int().argmax())}"
        raise ValueError(f"shown must leave at least one frame to see, got False for all frames{which}")
    return shown
