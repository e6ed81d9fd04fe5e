"""Where a guide spends its nats: the KL of every site, by clip, frame and dimension."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyro
import torch
from torch import nn

from pyrodis.infer.elbo import _CheckedReplay
from pyrodis.infer.elementwise_kl import elementwise_kl
from pyrodis.infer.log_ratios import check_pair, draws_dim
from pyrodis.infer.penalties import innermost
from pyrodis.infer.queries import _evaluating
from pyrodis.infer.sites import get_trace, latent_sites
from pyrodis.ops import check_frames_shape, check_positive_int

__all__ = ["SiteKL", "latent_kl"]


@dataclass(frozen=True, eq=False)
class SiteKL:
    """The KL of one latent site, element by element.

    Args:
        values: In nats; sums over the event dimensions are the site's KL of every clip, and 0 or more where they are in
            closed form: `values.mean(0)` is the map over frames and dimensions.
        error: Monte Carlo standard errors of the values, over draws of the guide; 0 where `exact`.
        exact: Whether every value is in closed form and the same at every draw.

    Shape:
        values, error: (B, event shape), such as (B, T, D); in a plate "components" (B, K, event shape).
    """

    values: torch.Tensor
    error: torch.Tensor
    exact: bool


def latent_kl(
    model: nn.Module, guide: nn.Module, x: torch.Tensor, *, num_samples: int = 20, chunk_size: int = 10
) -> dict[str, SiteKL]:
    r"""Return the KL of every latent site by clip, frame and dimension.

    $$\mathrm{KL}_s = \sum_i \mathbb E_q\, \mathrm{KL}\bigl(q(s_i \mid s_{<i}, \cdot) \,\|\, p(s_i \mid s_{<i}, \cdot)
    \bigr), \qquad \sum_i = \text{the term ``kl\_s'' of the objective}$$

    i runs through the dimensions of the first frame, then of the second. A dimension with no KL is not used; a frame
    with little is foreseen from the frames before. Where two distributions have no closed form the term is an average
    over draws with its error: see `elementwise_kl`. KL weights and penalties are left out; model and guide run in eval
    mode, without gradients.

    Args:
        model: A generative program.
        guide: An inference program over the same sites.
        x: Clips.
        num_samples: Draws of the guide a clip, at least 2: of what a site is conditioned on, and of what has no closed
            form.
        chunk_size: Draws of a clip that are in memory at once.

    Shape:
        x: (B, T, C, H, W).

    Returns:
        Site name to its KL, in nats.

    Raises:
        TypeError: If x is not a floating-point tensor or a count is not an int.
        ValueError: If x has another shape, a count is too small, the guide has no latent sites, or the sites differ.
        NotImplementedError: If a density cannot be taken apart.

    Source:
        The chain rule of relative entropy.

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> found = latent_kl(*tiny_dsvae(), torch.rand(2, 5, 1, 8, 8))
        >>> {name: (tuple(kl.values.shape), kl.exact) for name, kl in found.items()}
        {'f': ((2, 3), True), 'z': ((2, 5, 2), False)}
    """
    check_frames_shape(x)
    if check_positive_int("num_samples", num_samples) < 2:
        raise ValueError("num_samples must be at least 2, whose spread is the error of the values, got 1")
    check_positive_int("chunk_size", chunk_size)
    model, guide = innermost(model), innermost(guide)
    terms: dict[str, list[torch.Tensor]] = {}
    exact: dict[str, bool] = {}
    with _evaluating(model), _evaluating(guide):
        dim = draws_dim(guide, x)
        for start in range(0, num_samples, chunk_size):
            for name, (values, closed) in _draw(model, guide, x, min(chunk_size, num_samples - start), dim).items():
                terms.setdefault(name, []).append(values)
                exact[name] = closed
    return {name: _summary(torch.cat(values), exact[name]) for name, values in terms.items()}


def _draw(
    model: nn.Module, guide: nn.Module, x: torch.Tensor, num: int, dim: int
) -> dict[str, tuple[torch.Tensor, bool]]:
    """The terms of every site at a number of draws, (num, B, ...), and whether they are exact."""
    with pyro.plate("num_samples", num, dim=dim):
        drawn = get_trace(guide, x)
        with _CheckedReplay(trace=drawn):
            scored = get_trace(model, x)
    check_pair(drawn, scored)
    return {name: _site_terms(drawn.nodes[name], site, num) for name, site in latent_sites(scored).items()}


def _site_terms(ours: Any, theirs: Any, num: int) -> tuple[torch.Tensor, bool]:
    value, event_dim = ours["value"], len(ours["fn"].event_shape)
    terms, exact = elementwise_kl(ours["fn"], theirs["fn"], value)
    terms = terms.expand(value.shape)
    if isinstance(theirs["mask"], torch.Tensor):
        mask = theirs["mask"].reshape(*theirs["mask"].shape, *[1] * event_dim)
        terms = torch.where(mask, terms, 0.0)
    frames = sorted(theirs["cond_indep_stack"], key=lambda frame: frame.dim)
    inner = [frame.size for frame in frames if frame.name not in ("num_samples", "data")]  # such as "components"
    terms = terms.reshape(num, *inner, *value.shape[value.ndim - 1 - event_dim :])
    return terms.movedim(-1 - event_dim, 1), exact


def _summary(terms: torch.Tensor, exact: bool) -> SiteKL:
    """Mean over draws, and its standard error."""
    if exact and torch.allclose(terms, terms[:1].expand_as(terms)):
        return SiteKL(terms[0], torch.zeros_like(terms[0]), True)
    return SiteKL(terms.mean(0), terms.std(0) / len(terms) ** 0.5, False)
