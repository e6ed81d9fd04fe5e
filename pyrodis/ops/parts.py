"""A network on a large batch, in parts that stay in the cache of a CPU."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

_PART_SIZE = 64  # frames: their maps after a first convolution are a few megabytes


def in_parts(network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """Return `network(batch)`, on a CPU in parts of 64 rows wherever nothing is kept for a backward pass.

    The maps of some hundred frames do not fit into a CPU's cache, so that layers wait for the memory; how much faster
    parts are is measured by `benchmarks/parts.py`. The network is called once where gradients are recorded, where it or
    a part of it is in training mode or normalizes by the batch, while it is traced or compiled, and for a batch on
    another device.

    Args:
        network: A module that maps rows to rows, each by itself in evaluation mode, and returns one tensor. Its hooks
            run once for each part.
        batch: Its input.

    Shape:
        batch: (N, ...) to (N, ...).

    Returns:
        What the network returns.

    Raises:
        TypeError: If the network is no module or the batch no tensor.

    Example:
        >>> with torch.no_grad():
        ...     in_parts(nn.Linear(2, 3).eval(), torch.zeros(200, 2)).shape
        torch.Size([200, 3])
    """
    if not isinstance(network, nn.Module):
        raise TypeError(f"network must be a torch module, got {type(network).__name__}")
    if not isinstance(batch, torch.Tensor):
        raise TypeError(f"batch must be a torch tensor, got {type(batch).__name__}")
    if batch.ndim == 0 or len(batch) <= _PART_SIZE or _needs_all(network, batch):
        return network(batch)
    return torch.cat([network(part) for part in batch.split(_PART_SIZE)])


def _needs_all(network: nn.Module, batch: torch.Tensor) -> bool:
    """Whether parts would be something else than the whole, or no faster."""
    if torch.is_grad_enabled() or batch.device.type != "cpu":
        return True
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return True  # the number of parts would be that of this batch for good
    return any(
        part.training or (isinstance(part, _BatchNorm) and part.running_mean is None) for part in network.modules()
    )
