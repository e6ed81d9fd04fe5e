"""The order in which networks keep their weights in memory."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def channels_last(module: Module) -> Module:
    """Lay the weights of all two-dimensional convolutions channels last, in place: on a CPU they take half the time.

    `torch.nn.Module.to` does the same, but refuses a module that has a tensor of five dimensions, such as the weights
    of a `torch.nn.Conv3d`; these stay as they are.

    Args:
        module: Any module.

    Returns:
        The same module.

    Raises:
        TypeError: If it is no module.

    Example:
        >>> channels_last(nn.Conv2d(2, 3, 4)).weight.stride()
        (32, 1, 8, 2)
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch module, got {type(module).__name__}")
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.ndim == 4:
            tensor.data = tensor.data.to(memory_format=torch.channels_last)
    return module
