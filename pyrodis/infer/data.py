"""Training data as `fit` takes it: a tensor of frames, or a data set of items with "x"."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Sequence, Sized
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from pyrodis.infer.penalties import innermost
from pyrodis.ops import check_frames
from pyrodis.ops.checks import hint_of_shape

__all__ = ["as_dataset", "check_batch", "check_inputs", "check_takes", "describe_data", "stack_frames", "stack_items"]


class FrameTensor(Dataset[dict[str, Tensor]]):
    """Frames in memory as a data set of items ``{"x": (T, C, H, W)}``.

    Args:
        frames: Frames (B, T, C, H, W), float, in [0, 1].

    Example:
        >>> FrameTensor(torch.zeros(3, 2, 1, 4, 4))[1]["x"].shape
        torch.Size([2, 1, 4, 4])
    """

    name = "tensor"

    def __init__(self, frames: Tensor) -> None:
        self.frames = frames
        self.num_frames = frames.shape[1]
        self.frame_shape = tuple(frames.shape[2:])
        contents = frames.detach().cpu().reshape(-1)  # not only contiguous: strides of sizes of 1 may be any
        self.checksum = hashlib.sha256(contents.view(torch.uint8).numpy().data).hexdigest()

    def __len__(self) -> int:
        return self.frames.shape[0]

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x": self.frames[index]}


def as_dataset(data: Tensor | Dataset[Any], name: str) -> Dataset[Any]:
    """Return training or validation data as a data set, after a look at its first item.

    Args:
        data: A data set of dict items with ``"x"``, or frames (B, T, C, H, W).
        name: What to call the data in an error.

    Returns:
        A data set that has a length and whose items hold ``"x"``.

    Raises:
        TypeError: The data is neither, or its items are not dicts of float frames.
        ValueError: The data is empty, or its frames have another shape or range.

    Example:
        >>> len(as_dataset(torch.rand(3, 2, 1, 4, 4), "train"))
        3
    """
    if isinstance(data, Tensor):
        if data.dim() != 5:
            raise ValueError(
                f"{name} must have shape (B, T, C, H, W), got {tuple(data.shape)}{hint_of_shape(name, data)}"
            )
        _check_values(data, name)
        data = FrameTensor(data)
    if isinstance(data, np.ndarray):
        raise TypeError(f"{name} must be a tensor or a data set, got an array; convert it with torch.as_tensor")
    if not hasattr(data, "__getitem__") or not hasattr(data, "__len__"):
        raise TypeError(f"{name} must be a tensor or a data set with a length, got {type(data).__name__}")
    if len(cast(Sized, data)) == 0:
        raise ValueError(f"{name} is empty; give it at least one sequence")
    item = data[0]
    if not isinstance(item, dict) or not isinstance(item.get("x"), Tensor):
        raise TypeError(f'items of {name} must be dicts with a tensor "x" (T, C, H, W), got {type(item).__name__}')
    if item["x"].dim() != 4:
        raise ValueError(f'"x" of an item of {name} must have shape (T, C, H, W), got {tuple(item["x"].shape)}')
    _check_values(item["x"], f'"x" of the first item of {name}')
    return data


def _check_values(frames: Tensor, name: str) -> None:
    if not frames.is_floating_point():
        raise TypeError(f"{name} must be float in [0, 1], got {frames.dtype}; convert bytes with x.float() / 255")
    if frames.numel() == 0:
        raise ValueError(f"{name} is empty, its shape is {tuple(frames.shape)}; give it at least one sequence")
    low, high = (value.item() for value in frames.aminmax())
    if math.isnan(low):  # and then the other as well
        raise ValueError(f"{name} must be in [0, 1] without NaN, got NaN; remove or fill the broken frames first")
    if not (low >= 0 and high <= 1):
        raise ValueError(f"{name} must be in [0, 1] without NaN, got values from {low:g} to {high:g}; scale the frames")


def stack_frames(items: Sequence[dict[str, Tensor]]) -> Tensor:
    """Stack the frames of items into one batch, leaving factors and the rest out.

    Args:
        items: Items with ``"x"`` (T, C, H, W).

    Returns:
        Frames (B, T, C, H, W).

    Example:
        >>> stack_frames([{"x": torch.zeros(2, 1, 4, 4)}] * 3).shape
        torch.Size([3, 2, 1, 4, 4])
    """
    return torch.stack([item["x"] for item in items])


def check_batch(x: Tensor, name: str, first: int) -> None:
    """Refuse a batch of clips of which one is broken, and say which.

    Args:
        x: Clips (B, T, C, H, W).
        name: What to call their data in an error.
        first: Number of the batch's first clip.

    Raises:
        TypeError: They are no floating-point numbers.
        ValueError: A clip holds NaN, or values outside [0, 1].

    Example:
        >>> check_batch(torch.zeros(2, 3, 1, 4, 4) / torch.tensor([1.0, 0.0]).view(2, 1, 1, 1, 1), "validation", 4)
        Traceback (most recent call last):
            ...
        ValueError: validation[5]['x'] contains NaN; remove or fill the broken frames first
    """
    try:
        check_frames(x)
    except ValueError:
        for index in range(len(x)):
            check_frames(x[index : index + 1], name=f"{name}[{first + index}]['x']")


def check_inputs(data: Dataset[Any], name: str, inputs: Sequence[str]) -> None:
    """Refuse data whose items lack what model and guide are to be given beside their frames.

    Args:
        data: A data set of dict items.
        name: What to call the data in an error.
        inputs: Names of tensors that every item is to hold.

    Raises:
        ValueError: The first item lacks one, or it is no tensor.

    Example:
        >>> check_inputs(FrameTensor(torch.zeros(3, 2, 1, 4, 4)), "train", ("present",))
        Traceback (most recent call last):
            ...
        ValueError: items of train must hold a tensor 'present', as inputs asks for it, got x; see FitSettings
    """
    item = data[0] if inputs else {}
    for key in inputs:
        if not isinstance(item.get(key), Tensor):
            raise ValueError(
                f"items of {name} must hold a tensor {key!r}, as inputs asks for it, got {', '.join(item)}; "
                "see FitSettings"
            )


def check_takes(name: str, program: nn.Module, inputs: Sequence[str]) -> None:
    """Refuse a program that has no arguments for what it is to be given beside frames.

    Args:
        name: What to call the program in an error.
        program: A model or a guide, wrapped or not.
        inputs: Names of the arguments.

    Raises:
        ValueError: Its forward does not take one of them.

    Example:
        >>> check_takes("model", nn.Identity(), ("present",))
        Traceback (most recent call last):
            ...
        ValueError: model must take 'present', as inputs asks for it, but Identity.forward does not; see FitSettings
    """
    program = innermost(program)
    parameters = inspect.signature(program.forward).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for key in inputs:
        if key not in parameters:
            raise ValueError(
                f"{name} must take {key!r}, as inputs asks for it, but {type(program).__name__}.forward does not; "
                "see FitSettings"
            )


def stack_items(items: Sequence[dict[str, Tensor]], names: Sequence[str]) -> dict[str, Tensor]:
    """Stack what is wanted of items into one batch.

    Args:
        items: Items that hold tensors by name.
        names: What is wanted of them, such as ``("x", "present")``.

    Returns:
        Each of these, stacked, by name.

    Raises:
        ValueError: An item lacks one, or has it in another shape or type than the first.

    Example:
        >>> items = [{"x": torch.zeros(2, 1, 4, 4), "present": torch.ones(3)}] * 5
        >>> {name: tuple(value.shape) for name, value in stack_items(items, ("x", "present")).items()}
        {'x': (5, 2, 1, 4, 4), 'present': (5, 3)}
    """
    return {name: _stack([_value(item, name) for item in items], name) for name in names}


def _value(item: object, name: str) -> Tensor:
    value = item.get(name) if isinstance(item, dict) else None
    if isinstance(value, Tensor):
        return value
    got = f"a {type(item).__name__}"
    if isinstance(item, dict):
        got = f"{name} of type {type(value).__name__}" if name in item else ", ".join(map(str, item)) or "nothing"
    raise ValueError(f"items must hold a tensor {name!r}, one of a batch has {got}; look at every item of the data")


def _stack(values: Sequence[Tensor], name: str) -> Tensor:
    first = values[0]
    for value in values:
        if value.shape != first.shape:
            raise ValueError(
                f"items of a batch must have {name!r} of one shape, got {tuple(first.shape)} and "
                f"{tuple(value.shape)}; cut or pad them"
            )
        if value.dtype != first.dtype:
            raise ValueError(
                f"items of a batch must have {name!r} of one type, got {first.dtype} and {value.dtype}; convert them"
            )
    return torch.stack(list(values))


def describe_data(data: Dataset[Any] | None) -> dict[str, Any] | None:
    """Return what a run directory records of its data: name, split, seed, sizes and the checksum of its source.

    Args:
        data: A data set, or None.

    Returns:
        Plain values, None where the data set does not say; None for no data.

    Example:
        >>> describe_data(FrameTensor(torch.zeros(3, 2, 1, 4, 4)))["frame_shape"]
        [1, 4, 4]
    """
    if data is None:
        return None
    described: dict[str, Any] = {"class": type(data).__name__, "num_items": len(cast(Sized, data))}
    for key in ("name", "split", "seed", "checksum", "num_frames"):
        described[key] = getattr(data, key, None)
    shape = getattr(data, "frame_shape", None)
    described["frame_shape"] = None if shape is None else [int(size) for size in shape]
    return described
