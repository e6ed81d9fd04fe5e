"""What a guide loses by serving all clips with one network: its draws refined for every clip by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from torch import nn
from torch.distributions import biject_to

from pyrodis.infer.elbo import _CheckedReplay
from pyrodis.infer.log_ratios import check_pair, draws_dim, site_log_prob
from pyrodis.infer.penalties import innermost
from pyrodis.infer.queries import _evaluating
from pyrodis.infer.sites import get_trace, is_factor, latent_sites, sample_sites
from pyrodis.metrics import Score, mean_score
from pyrodis.ops import check_frames_shape, check_positive_int, check_positive_number

__all__ = ["AmortizationGap", "amortization_gap"]

NUM_PILOT = 100  # draws that tell where a guide's draws are and how far they spread


@dataclass(frozen=True, eq=False)
class AmortizationGap:
    """What every clip gains when the guide's draws are moved and stretched for it alone.

    Args:
        elbo: Of the guide as it is.
        refined: Of the refined draws.
        gap: refined - elbo, from the same draws.
        error: Monte Carlo standard error of the gap.

    Shape:
        All: (B), in nats per clip, double precision.
    """

    elbo: torch.Tensor
    refined: torch.Tensor
    gap: torch.Tensor
    error: torch.Tensor

    def score(self) -> Score:
        """Return the mean gap with its interval over the clips.

        Returns:
            The score in nats per clip; its ceiling is 0.
        """
        return mean_score(self.gap.cpu(), ceiling=0.0)


class _Refinement:
    """An affine map of every element of every site, of every clip by itself; shifts in units of the stretched spread.

    Where a site's support is bounded the map is that of the unbounded variable behind it.
    """

    def __init__(self, pilot: dict[str, Any]) -> None:
        self.centers: dict[str, torch.Tensor] = {}
        self.spreads: dict[str, torch.Tensor] = {}
        for name, site in pilot.items():
            draws = biject_to(site["fn"].support).inv(site["value"])
            self.centers[name], self.spreads[name] = draws.mean(0), draws.std(0)
            if not bool((self.spreads[name] > 0).all()):
                raise ValueError(
                    f"site '{name}' must vary under the guide, got a code without noise, such as DeltaGuide's; "
                    "a point has no evidence lower bound"
                )
        self.shifts = {name: torch.zeros_like(value).requires_grad_() for name, value in self.centers.items()}
        self.stretches = {name: torch.zeros_like(value).requires_grad_() for name, value in self.centers.items()}

    def parameters(self) -> list[torch.Tensor]:
        return [*self.shifts.values(), *self.stretches.values()]

    def apply(self, site: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """The moved draws of a site, and the logarithm of how much the map stretches volumes, of the plates' shape."""
        name, map_ = site["name"], biject_to(site["fn"].support)
        before = map_.inv(site["value"])
        center, stretch = self.centers[name], self.stretches[name]
        after = center + stretch.exp() * (self.spreads[name] * self.shifts[name] + before - center)
        value = map_(after)
        event_dims = tuple(range(-map_.domain.event_dim, 0))
        volume = stretch.sum(event_dims) if event_dims else stretch
        volume = volume + map_.log_abs_det_jacobian(after, value) - map_.log_abs_det_jacobian(before, site["value"])
        return value, volume


def amortization_gap(
    model: nn.Module,
    guide: nn.Module,
    x: torch.Tensor,
    *,
    num_steps: int = 300,
    num_particles: int = 16,
    learning_rate: float = 0.1,
    num_samples: int = 200,
    chunk_size: int = 10,
) -> AmortizationGap:
    r"""Refine a guide's draws for every clip by itself, and return what its evidence lower bound gains.

    $$\mathrm{gap}(x) = \max_{a, b} \mathrm{ELBO}\bigl(q_{a,b}(\cdot \mid x)\bigr) -
    \mathrm{ELBO}\bigl(q(\cdot \mid x)\bigr), \qquad q_{a,b}: \; s'_i = a_i + e^{b_i} s_i, \quad
    s \sim q(\cdot \mid x)$$

    a and b are free for every clip and every element of every site, drawn together as they were: what the guide says of
    dependences stays. The guide itself is not changed and not differentiated, so any with a density will do. Where q
    is an independent normal, the maps reach every independent normal, and this is the amortization gap of Cremer et al.
    exactly: what the network loses against free means and scales of this clip. A posterior with memory keeps its
    correlations, so more could be gained by changing these too: a lower bound of the gap then. What is left below the
    evidence after refinement is the family's, and no better network of the kind would win it back.

    The maximum is sought by Adam with a falling step; the bounds are then taken from fresh draws, so a search that
    stopped early tells of less, never of more, on average. Penalties and KL weights are left out.

    Args:
        model: A generative program.
        guide: An inference program over the same sites.
        x: Clips, all refined at once.
        num_steps: Steps of the search.
        num_particles: Draws a clip and step.
        learning_rate: First step size, of shifts in units of an element's spread and of stretches in e-folds: the
            search can move a mean by about half of num_steps times this.
        num_samples: Fresh draws a clip for the two bounds, at least 2.
        chunk_size: Of these draws, how many are in memory at once.

    Shape:
        x: (B, T, C, H, W).

    Returns:
        Both bounds, the gap and its error of every clip; see `AmortizationGap`.

    Raises:
        TypeError: If x is not a floating-point tensor or a number has the wrong type.
        ValueError: If x has another shape, a number is not positive, the guide has no latent sites or no noise, or the
            sites of the two differ.
        FloatingPointError: If a bound became NaN.

    Source:
        Cremer et al., Inference suboptimality in variational autoencoders (2018), who optimize the parameters of a
        normal; Kim et al., Semi-amortized variational autoencoders (2018).

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> found = amortization_gap(*tiny_dsvae(), torch.rand(2, 5, 1, 8, 8), num_steps=3, num_samples=10)
        >>> found.gap.shape, bool(torch.allclose(found.refined - found.elbo, found.gap))
        (torch.Size([2]), True)
    """
    check_frames_shape(x)
    counts = {"num_steps": num_steps, "num_particles": num_particles, "chunk_size": chunk_size}
    for name, count in counts.items():
        check_positive_int(name, count)
    if check_positive_int("num_samples", num_samples) < 2:
        raise ValueError("num_samples must be at least 2, whose spread is the error of the gap, got 1")
    check_positive_number("learning_rate", learning_rate)
    model, guide = innermost(model), innermost(guide)
    with _evaluating(model), _evaluating(guide):
        refinement = _refine(model, guide, x, num_steps, num_particles, learning_rate)
        dim, parts = draws_dim(guide, x), []
        for start in range(0, num_samples, chunk_size):
            drawn = _draw(guide, x, min(chunk_size, num_samples - start), dim)
            parts.append(torch.stack([_bound(model, x, drawn, dim, moves) for moves in (None, refinement)]))
        plain, refined = torch.cat(parts, dim=1)
    if bool((plain + refined).isnan().any()):
        raise FloatingPointError("a bound became NaN; look for NaN in the clips, or take a smaller learning_rate")
    gain = refined - plain
    return AmortizationGap(plain.mean(0), refined.mean(0), gain.mean(0), gain.std(0) / math.sqrt(num_samples))


def _refine(
    model: nn.Module, guide: nn.Module, x: torch.Tensor, num_steps: int, num_particles: int, learning_rate: float
) -> _Refinement:
    dim = draws_dim(guide, x)
    refinement = _Refinement(latent_sites(_draw(guide, x, NUM_PILOT, dim)))
    parameters = refinement.parameters()
    optimizer = torch.optim.Adam(parameters, lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    with torch.backends.cudnn.flags(enabled=False):  # whose recurrent networks have no gradient in eval mode
        for _ in range(num_steps):
            drawn = _draw(guide, x, num_particles, dim)
            with torch.enable_grad():
                loss = -_bound(model, x, drawn, dim, refinement).mean(0).sum()
                gradients = torch.autograd.grad(loss, parameters)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            optimizer.step()
            schedule.step()
    return refinement


def _draw(guide: nn.Module, x: torch.Tensor, num: int, dim: int) -> Any:
    with pyro.plate("num_samples", num, dim=dim):
        return get_trace(guide, x)


def _bound(model: nn.Module, x: torch.Tensor, drawn: Any, dim: int, refinement: _Refinement | None) -> torch.Tensor:
    """Log p(x, codes) - log q(codes) of draws of the guide as they are, or moved, (num, B)."""
    sites, moved, terms = latent_sites(drawn), drawn.copy(), []
    for name, site in sites.items():
        terms.append(-site_log_prob(site))
        if refinement is not None:
            value, volume = refinement.apply(site)
            moved.nodes[name] = {**site, "value": value}
            terms.append(volume)
    num = len(next(iter(sites.values()))["value"])
    with pyro.plate("num_samples", num, dim=dim), _CheckedReplay(trace=moved):
        scored = get_trace(model, x)
    check_pair(moved, scored)
    terms += [site_log_prob(site) for site in sample_sites(scored).values() if not is_factor(site)]
    return torch.stack([term.double().reshape(num, -1, len(x)).sum(1) for term in terms]).sum(0)
