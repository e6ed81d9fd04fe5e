"""Whether a guide covers the tails of the posterior: the shape of the tail of its importance weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from pyro.ops.stats import fit_generalized_pareto
from torch import nn

from pyrodis.infer.log_ratios import draw_log_ratios
from pyrodis.ops import check_positive_int

__all__ = ["check_num_draws", "khat_of_weights", "pareto_khat"]

MIN_DRAWS = 100  # a tail of 20
MIN_TAIL = 5
EQUAL = 1e-6  # nats within which weights are equal for every purpose


def pareto_khat(
    model: nn.Module, guide: nn.Module, x: torch.Tensor, num_samples: int = 2000, *, chunk_size: int = 100
) -> torch.Tensor:
    r"""Return the shape of the tail of every clip's importance weights, k-hat of Pareto-smoothed importance sampling.

    $$w = \frac{p(x, f, z)}{q(f, z \mid x)}, \qquad P(w > u + t \mid w > u) \approx
    \Bigl(1 + \frac{\hat k\, t}{s}\Bigr)^{-1/\hat k}, \qquad f, z \sim q(f, z \mid x)$$

    The tail is that of the largest min(N / 5, 3 sqrt(N)) of N weights. Below 0.5 the weights have a variance, and an
    importance-weighted bound from these draws is sound; up to 0.7 it is usable; above, a few draws carry it all: the
    guide is too narrow somewhere that the posterior is not, and the bound from these draws is too low by an unknown
    amount. In many dimensions k-hat is high for every guide but a very good one: it is a diagnosis, no gate. It sees
    only where the guide draws: a mode that the guide never visits leaves no mark.

    Penalties and KL weights are left out. Model and guide run in eval mode, without gradients.

    Args:
        model: A generative program.
        guide: An inference program over the same sites, with a density: not a `DeltaGuide`.
        x: Clips.
        num_samples: N, at least 100; the estimate has little noise from 2,000 on.
        chunk_size: Draws of a clip that are in memory at once; it does not enter the result but for the noise.

    Shape:
        x: (B, T, C, H, W).

    Returns:
        k-hat (B), double precision; minus infinity where all weights are equal, as of the exact posterior.

    Raises:
        TypeError: If x is not a floating-point tensor or a count is not an int.
        ValueError: If there are fewer draws than PSIS needs, or as `importance_bound`.

    Source:
        Vehtari et al., Pareto Smoothed Importance Sampling (2024); of guides, Yao et al., Yes, but Did It Work? (2018).
        The fit is `pyro.ops.stats.fit_generalized_pareto`; the tail is cut as ArviZ cuts it.

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> pareto_khat(*tiny_dsvae(), torch.rand(2, 5, 1, 8, 8), num_samples=100).shape
        torch.Size([2])
    """
    check_num_draws("num_samples", num_samples)
    ratios = draw_log_ratios(model, guide, x, num_samples, chunk_size=chunk_size)
    return khat_of_weights(torch.stack([*ratios.values()]).sum(0))


def khat_of_weights(log_weights: torch.Tensor) -> torch.Tensor:
    """Return k-hat of importance weights.

    Args:
        log_weights: Logarithms of weights, up to a constant a column.

    Shape:
        log_weights: (N, B), N at least 100.

    Returns:
        k-hat (B), double precision; minus infinity where all weights are equal, infinity where fewer than five weights
        are in the tail, none is above zero or one is infinite.

    Raises:
        TypeError: If the weights are not a floating-point tensor.
        ValueError: If they have another shape or hold NaN, or there are fewer draws than PSIS needs.

    Example:
        >>> khat_of_weights(torch.zeros(100, 3))
        tensor([-inf, -inf, -inf], dtype=torch.float64)
    """
    if not isinstance(log_weights, torch.Tensor) or not log_weights.is_floating_point():
        got = log_weights.dtype if isinstance(log_weights, torch.Tensor) else type(log_weights).__name__
        raise TypeError(f"log_weights must be a floating-point tensor, got {got}")
    if log_weights.ndim != 2:
        raise ValueError(f"log_weights must have shape (N, B), got {tuple(log_weights.shape)}")
    check_num_draws("the number of log_weights", len(log_weights))
    if bool(log_weights.isnan().any()):
        clip = int(log_weights.isnan().any(0).nonzero()[0])
        raise ValueError(f"log_weights must not hold NaN, got some in column {clip}; find what produced it")
    found = [_khat(column) for column in log_weights.detach().cpu().double().unbind(-1)]
    return torch.tensor(found, dtype=torch.float64, device=log_weights.device)


def check_num_draws(name: str, num_draws: Any) -> int:
    """Return a number of draws if it is enough to fit the tail of their weights.

    Args:
        name: Name of the argument, for the message.
        num_draws: What was given.

    Returns:
        The number, unchanged.

    Raises:
        TypeError: If it is not an int.
        ValueError: If there are fewer draws than PSIS needs.

    Example:
        >>> check_num_draws("num_samples", 2000)
        2000
    """
    if check_positive_int(name, num_draws) < MIN_DRAWS:
        raise ValueError(
            f"{name} must be at least {MIN_DRAWS}, got {num_draws}: fewer draws than PSIS needs; take 2000 if you can"
        )
    return num_draws


def _khat(log_weights: torch.Tensor) -> float:
    """k-hat of the weights of one clip (N)."""
    ordered = log_weights.sort().values
    if not math.isfinite(float(ordered[-1])):
        return math.inf
    ordered = ordered - ordered[-1]
    if float(ordered[0]) > -EQUAL:
        return -math.inf
    num = len(ordered)
    tail = math.ceil(min(num / 5, 3 * math.sqrt(num)))
    cutoff = max(float(ordered[-tail - 1]), math.log(torch.finfo(torch.float64).tiny))
    largest = ordered[ordered > cutoff]
    if len(largest) < MIN_TAIL:
        return math.inf
    return float(fit_generalized_pareto(largest.exp() - math.exp(cutoff))[0])
