"""The work of a computation, counted and not timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class _Count(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls = self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        results = result if isinstance(result, tuple | list) else [result]
        self.calls += 1
        if not func.is_view:  # a view touches nothing
            self.elements += sum(part.numel() for part in results if isinstance(part, torch.Tensor))
        return result


def count_work(run: Callable[[], object]) -> tuple[int, int]:
    """How many operators ran, forward and backward, and how many elements they wrote."""
    with _Count() as count:
        run()
    return count.calls, count.elements
