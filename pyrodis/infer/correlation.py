"""How a guide says that frames of a clip hang together: correlations of a code over time."""

from __future__ import annotations

from typing import Any

import pyro
import torch
from torch import nn

from pyrodis.distributions.sequence_checks import independent_normal
from pyrodis.infer.log_ratios import draws_dim
from pyrodis.infer.penalties import innermost
from pyrodis.infer.queries import _evaluating
from pyrodis.infer.sites import get_trace, latent_sites
from pyrodis.ops import check_frames_shape, check_positive_int

__all__ = ["posterior_correlation"]

MIN_DRAWS = 3


def posterior_correlation(
    guide: nn.Module, x: torch.Tensor, site: str = "z", *, num_samples: int | None = None
) -> torch.Tensor:
    r"""Return, for every clip and dimension, the correlations of a code's frames under the guide.

    $$\rho_{i,ts} = \frac{\operatorname{Cov}_q(z_{ti}, z_{si})}{\sqrt{\operatorname{Var}_q(z_{ti})\,
    \operatorname{Var}_q(z_{si})}}$$

    The identity says that errors of frames are independent, as mean field has it; a band along the diagonal that
    neighbors share them; and a plane of ones that what is not known is the same in all frames, which a static code
    would rather hold.

    Args:
        guide: An inference program.
        x: Clips.
        site: Name of a latent site of event shape (T, D).
        num_samples: None for the exact covariance, which normal distributions over the sequence have; or the number of
            draws to estimate from, at least 3, whose standard error is about (1 - rho^2) / sqrt(N).

    Shape:
        x: (B, T, C, H, W).

    Returns:
        Correlations (B, D, T, T).

    Raises:
        TypeError: If x is not a floating-point tensor or the number is not an int.
        ValueError: If x has another shape, the site does not exist or is no sequence, its covariance has no closed form
            and there is no number of draws, or a code does not vary.

    Source:
        The definition of correlation.

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> posterior_correlation(tiny_dsvae()[1], torch.rand(2, 5, 1, 8, 8), num_samples=50).shape
        torch.Size([2, 2, 5, 5])
    """
    check_frames_shape(x)
    guide = innermost(guide)
    if num_samples is not None and check_positive_int("num_samples", num_samples) < MIN_DRAWS:
        raise ValueError(f"num_samples must be at least {MIN_DRAWS} to tell a correlation, got {num_samples}")
    with _evaluating(guide):
        sites = latent_sites(get_trace(guide, x))
        if site not in sites:
            raise ValueError(f"site must name a latent site of the guide, {sorted(sites)}, got '{site}'")
        if len(sites[site]["fn"].event_shape) != 2:
            shape = tuple(sites[site]["fn"].event_shape)
            raise ValueError(f"site '{site}' must be a sequence of event shape (T, D), got {shape}")
        if num_samples is None:
            covariance = _exact(guide, x, site)
        else:
            covariance = _estimate(_draw(guide, x, site, num_samples)["value"])
    scale = covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    if not bool((scale > 0).all()):
        raise ValueError(f"site '{site}' must vary under the guide, got a code without noise, such as DeltaGuide's")
    return covariance / (scale.unsqueeze(-1) * scale.unsqueeze(-2))


def _draw(guide: nn.Module, x: torch.Tensor, site: str, num: int) -> Any:
    with pyro.plate("num_samples", num, dim=draws_dim(guide, x)):
        return latent_sites(get_trace(guide, x))[site]


def _exact(guide: nn.Module, x: torch.Tensor, site: str) -> torch.Tensor:
    """The covariances over time (B, D, T, T) where the site's distribution is one normal that hears of no draw."""
    fn = _draw(guide, x, site, 2)["fn"]
    covariance = _covariance(fn, site)
    if not torch.equal(fn.mean[0], fn.mean[1]) or not torch.equal(covariance[0], covariance[1]):
        raise ValueError(
            f"the distribution of '{site}' depends on draws of other sites, so its covariance has no closed form; "
            "pass num_samples=1000, for example"
        )
    return covariance[0]


def _covariance(fn: Any, site: str) -> torch.Tensor:
    if hasattr(fn, "covariance_matrix"):
        num_frames, dim = fn.event_shape
        blocks = fn.covariance_matrix.unflatten(-1, (num_frames, dim)).unflatten(-3, (num_frames, dim))
        return blocks.diagonal(dim1=-3, dim2=-1).movedim(-1, -3)
    try:
        return independent_normal(fn).variance.mT.diag_embed()
    except NotImplementedError:
        raise ValueError(
            f"site '{site}' is a {type(fn).__name__}, whose covariance has no closed form; pass num_samples=1000, "
            "for example"
        ) from None


def _estimate(draws: torch.Tensor) -> torch.Tensor:
    """Covariances over time (B, D, T, T) of draws (N, B, T, D)."""
    distance = (draws - draws.mean(0)).movedim(-1, -2)
    return torch.einsum("n...t,n...s->...ts", distance, distance) / (len(draws) - 1)
