"""Checks of what programs of several components share: a module for each, and images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from pyrodis.ops.checks import check_floating


def as_components(name: str, modules: Sequence[nn.Module] | nn.ModuleList) -> nn.ModuleList:
    """Return the modules of K components as a `torch.nn.ModuleList`, if there is one of its own for each.

    Args:
        name: Name of the argument, for the message.
        modules: One module for each component.

    Returns:
        A list of the same modules.

    Raises:
        TypeError: If it is not a list, or not of modules.
        ValueError: If it is empty, or holds a module twice.

    Example:
        >>> len(as_components("decoders", [nn.Linear(2, 3), nn.Linear(2, 3)]))
        2
    """
    if not isinstance(modules, (list, tuple, nn.ModuleList)):
        raise TypeError(f"{name} must be a list of modules, one a component, got {type(modules).__name__}")
    if not len(modules):
        raise ValueError(f"{name} must hold one module for each component, got none; pass at least one")
    seen: dict[int, int] = {}
    for k, module in enumerate(modules):
        if not isinstance(module, nn.Module):
            raise TypeError(f"{name}[{k}] must be a torch module, got {type(module).__name__}")
        first = seen.setdefault(id(module), k)
        if first != k:
            raise ValueError(
                f"{name}[{k}] is the same module as {name}[{first}]; build one for each component, as in "
                "[build() for _ in range(K)]"
            )
    return nn.ModuleList(modules)


def check_single_frames(x: torch.Tensor, name: str = "x") -> torch.Tensor:
    """Return a batch of clips if each is one frame, a still image.

    Args:
        x: Clips.
        name: Name of the argument, for the message.

    Shape:
        x: (B, 1, C, H, W).

    Returns:
        The tensor, unchanged.

    Raises:
        ValueError: If clips have more frames than one.

    Example:
        >>> check_single_frames(torch.zeros(2, 1, 3, 8, 8)).shape
        torch.Size([2, 1, 3, 8, 8])
    """
    check_floating(name, x)
    if x.ndim < 2 or x.shape[1] != 1:
        raise ValueError(
            f"{name} must hold images as clips of one frame, (B, 1, C, H, W), got {tuple(x.shape)}; "
            f"use {name}.flatten(0, 1).unsqueeze(1) to take every frame for itself"
        )
    return x


def check_present(present: torch.Tensor, batch_size: int, num_components: int) -> torch.Tensor:
    """Return which components are present in which images, if it says so of all of them.

    Args:
        present: What to check.
        batch_size: B.
        num_components: K.

    Shape:
        present: (B, K).

    Returns:
        The same.

    Raises:
        TypeError: If it is no tensor of bools.
        ValueError: If it has another shape.

    Example:
        >>> check_present(torch.ones(4, 2, dtype=torch.bool), 4, 2).shape
        torch.Size([4, 2])
    """
    if not isinstance(present, torch.Tensor) or present.dtype != torch.bool:
        got = present.dtype if isinstance(present, torch.Tensor) else type(present).__name__
        raise TypeError(f"present must be a tensor of bools (B, K), got {got}; e.g. PresentTypes makes it from types")
    if tuple(present.shape) != (batch_size, num_components):
        raise ValueError(
            f"present must have shape (B, K) = {(batch_size, num_components)}, got {tuple(present.shape)}; it says of "
            "each image which components may take its pixels"
        )
    return present
