"""Running programs a second time within a run, without a trace of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pyro import poutine
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pyrodis.infer.sites import get_trace, latent_sites


@contextmanager
def unseen(*programs: nn.Module) -> Iterator[None]:
    """Hide what runs inside: from handlers and traces outside, and from the programs' running statistics.

    Batch normalization in training mode normalizes by the batch at hand, as ever, but its running statistics stay those
    of the data.

    Args:
        programs: The modules that run inside.

    Yields:
        Nothing.

    Example:
        >>> norm = nn.BatchNorm1d(1)
        >>> with unseen(norm):
        ...     _ = norm(torch.tensor([[1.0], [3.0]]))
        >>> norm.running_mean
        tensor([0.])
    """
    modules = (module for program in programs for module in program.modules())
    norms = {m: m.track_running_stats for m in modules if isinstance(m, _BatchNorm)}
    for norm in norms:
        norm.track_running_stats = False
    try:
        with poutine.block():
            yield
    finally:
        for norm, tracked in norms.items():
            norm.track_running_stats = tracked


def second_pass(guide: nn.Module, x: torch.Tensor) -> dict[str, Any]:
    """Run a guide on other clips, unseen, and return its latent sites.

    Args:
        guide: The guide.
        x: Clips.

    Shape:
        x: (B, T, C, H, W) in [0, 1].

    Returns:
        Site name to site, with "fn", the distribution, and "value".

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, guide = tiny_dsvae()
        >>> list(second_pass(guide, torch.zeros(2, 5, 1, 8, 8)))
        ['f', 'z']
    """
    with unseen(guide):
        return latent_sites(get_trace(guide, x))
