"""Log-densities of model and guide at draws of the guide, site by site."""

from __future__ import annotations

from typing import Any

import pyro
import torch
from torch import nn

from pyrodis.infer.elbo import _CheckedReplay
from pyrodis.infer.penalties import innermost
from pyrodis.infer.queries import _evaluating
from pyrodis.infer.sites import OBSERVED, get_trace, is_factor, latent_sites, sample_sites
from pyrodis.ops import check_frames_shape, check_positive_int

__all__ = ["check_pair", "draw_log_ratios", "draws_dim", "site_log_prob"]


def draw_log_ratios(
    model: nn.Module, guide: nn.Module, x: torch.Tensor, num_samples: int, *, chunk_size: int = 10
) -> dict[str, torch.Tensor]:
    """Return log p(x | latents), and log p - log q of every latent site, at draws from the guide.

    Args:
        model: A generative program.
        guide: An inference program over the same sites.
        x: Clips.
        num_samples: K.
        chunk_size: Draws of a clip that are in memory at once.

    Shape:
        x: (B, T, C, H, W).

    Returns:
        Site name to tensor (K, B) in nats, double precision; "x" is the likelihood.

    Raises:
        TypeError: If x is not a floating-point tensor or a count is not an int.
        ValueError: As `importance_bound`.

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> sorted(draw_log_ratios(*tiny_dsvae(), torch.rand(2, 5, 1, 8, 8), num_samples=4))
        ['f', 'x', 'z']
    """
    check_frames_shape(x)
    check_positive_int("num_samples", num_samples)
    check_positive_int("chunk_size", chunk_size)
    model, guide = innermost(model), innermost(guide)
    with _evaluating(model), _evaluating(guide), pyro.validation_enabled(False):  # NaN has its own sentence below
        dim = draws_dim(guide, x)
        sizes = [min(chunk_size, num_samples - start) for start in range(0, num_samples, chunk_size)]
        chunks = [_draw(model, guide, x, size, dim) for size in sizes]
    ratios = {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}
    broken = [name for name, value in ratios.items() if bool(value.isnan().any())]
    if broken:
        raise ValueError(f"the log-densities of {broken} became NaN; look for NaN in the clips and in the weights")
    return ratios


def draws_dim(guide: nn.Module, x: torch.Tensor) -> int:
    """Return the dimension left of all plates of a guide, where a plate of draws fits.

    Args:
        guide: An inference program.
        x: Clips.

    Returns:
        A negative dimension of log-densities.

    Raises:
        ValueError: If the guide has no latent sites, or one is in no plate.

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> draws_dim(tiny_dsvae()[1], torch.rand(2, 5, 1, 8, 8))
        -2
    """
    sites = latent_sites(get_trace(guide, x[:1]))
    if not sites:
        raise ValueError(
            f"the guide must have at least one latent site, got none in {type(guide).__name__}; sample its codes with "
            "pyro.sample"
        )
    bare = [name for name, site in sites.items() if not site["cond_indep_stack"]]
    if bare:
        raise ValueError(
            f"site '{bare[0]}' of the guide is in no plate, so its clips cannot be told apart; sample it inside "
            'pyro.plate("data", x.shape[0], dim=-1)'
        )
    return -1 - max(-frame.dim for site in sites.values() for frame in site["cond_indep_stack"])


def _draw(model: nn.Module, guide: nn.Module, x: torch.Tensor, num: int, dim: int) -> dict[str, torch.Tensor]:
    """Log-density ratios of a number of draws at once, (num, B) a site."""
    with pyro.plate("num_samples", num, dim=dim):
        drawn = get_trace(guide, x)
        with _CheckedReplay(trace=drawn):
            scored = get_trace(model, x)
    check_pair(drawn, scored)
    found: dict[str, torch.Tensor] = {}
    for name, site in sample_sites(scored).items():
        if is_factor(site):
            continue
        ratio = site_log_prob(site)
        if not site["is_observed"]:
            ratio = ratio - site_log_prob(drawn.nodes[name])
        key = OBSERVED if site["is_observed"] else name
        ratio = ratio.double().reshape(num, -1, ratio.shape[-1]).sum(1)
        found[key] = found[key] + ratio if key in found else ratio
    return found


def check_pair(drawn: Any, scored: Any) -> None:
    """Refuse traces of programs that are no pair.

    Args:
        drawn: Trace of the guide.
        scored: Trace of the model.

    Raises:
        ValueError: If the model observes no x, or the latent sites differ.

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> check_pair(*(get_trace(program, torch.rand(2, 5, 1, 8, 8)) for program in reversed(tiny_dsvae())))
    """
    if OBSERVED not in scored.nodes or not scored.nodes[OBSERVED]["is_observed"]:
        raise ValueError(
            "the model must observe x at a site 'x', got a program without; pass the model, then the guide"
        )
    theirs, ours = sorted(latent_sites(scored)), sorted(latent_sites(drawn))
    if theirs != ours:
        raise ValueError(f"model and guide must have the same latent sites, got {theirs} and {ours}; pair them anew")


def site_log_prob(site: Any) -> torch.Tensor:
    """Return the log-density of a site without the weight of `scale_latents`, a mask of data kept.

    Args:
        site: A site of a trace.

    Returns:
        Log-densities of the shape of the site's plates.

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> trace = get_trace(tiny_dsvae()[0], batch_size=2)
        >>> site_log_prob(trace.nodes["z"]).shape
        torch.Size([2])
    """
    value = site["fn"].log_prob(site["value"])
    return torch.where(site["mask"], value, 0.0) if isinstance(site["mask"], torch.Tensor) else value
