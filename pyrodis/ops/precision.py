"""Numerical precision: where mixed precision ends and densities begin."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch


def full_precision(x: torch.Tensor) -> torch.Tensor:
    """Cast half-precision tensors to float32 and leave every other type alone, float64 included.

    Densities are evaluated in full precision: parameters in bfloat16 cost an ELBO most of its digits.

    Args:
        x: Any floating-point tensor.

    Shape:
        Any; unchanged.

    Returns:
        The tensor as float32 if it was bfloat16 or float16, else the tensor itself.

    Example:
        >>> full_precision(torch.zeros(1, dtype=torch.bfloat16)).dtype
        torch.float32
        >>> full_precision(torch.zeros(1, dtype=torch.float64)).dtype
        torch.float64
    """
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"x must be a torch tensor, got {type(x).__name__}; convert it with torch.as_tensor")
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def without_autocast(x: torch.Tensor) -> AbstractContextManager[None]:
    """Return a context in which autocast is off on the device of `x`.

    Args:
        x: A tensor on the device in question.

    Returns:
        A context manager.

    Example:
        >>> x = torch.zeros(1, 1)
        >>> with torch.autocast("cpu", dtype=torch.bfloat16), without_autocast(x):
        ...     (x @ x).dtype
        torch.float32
    """
    device = x.device.type if torch.amp.is_autocast_available(x.device.type) else "cpu"
    return torch.autocast(device, enabled=False)
