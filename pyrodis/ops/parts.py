"""A network on a large batch, in parts that stay in the cache of a CPU."""

from __future__ import annotations

import torch
from torch import nn

_PART_SIZE = 64  # frames: their maps after a first convolution are a few megabytes


def in_parts(network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """Return `network(batch)`, on a CPU in parts of 64 rows wherever nothing is kept for a backward pass.

    The maps of some hundred frames do not fit into a CPU's cache, so that every layer would wait for the memory
    (measured by `benchmarks/parts.py`). Where gradients are recorded, the network is in training mode
    (a batch normalization needs the whole batch), or the batch is on another device, it is called once.

    Args:
        network: A module that maps rows to rows, each by itself in evaluation mode.
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
    once = network.training or torch.is_grad_enabled() or batch.device.type != "cpu" or torch.compiler.is_compiling()
    if once or batch.ndim == 0 or len(batch) <= _PART_SIZE:
        return network(batch)
    return torch.cat([network(part) for part in batch.split(_PART_SIZE)])
