"""What the components of a pair say of images, each for itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.distributions import kl_divergence

from pyrodis.infer.penalties import innermost
from pyrodis.infer.queries import _evaluating
from pyrodis.infer.sites import get_trace, latent_sites
from pyrodis.ops import check_frames

__all__ = ["component_kl"]


def component_kl(model: nn.Module, guide: nn.Module, x: torch.Tensor, site: str = "z") -> torch.Tensor:
    r"""Return how many nats each component spends on each image, which tells whether what it knows is there.

    $$\mathrm{KL}_k(x) = \mathrm{KL}\bigl(q(z_k \mid x) \,\|\, p(z_k)\bigr)$$

    In closed form, without beta and without gradients, both programs in eval mode. Over all components they sum to the
    term "kl_z" of `NamedELBO`.

    Args:
        model: A generative program with a plate "components" around the site.
        guide: An inference program over the same sites.
        x: Images.
        site: Name of the site, whose prior is the same for every datum.

    Shape:
        x: (B, 1, C, H, W) in [0, 1].

    Returns:
        Tensor (B, K) in nats, 0 or more.

    Raises:
        TypeError: If x is not a floating-point tensor.
        ValueError: If x has another shape or is not within [0, 1], or the site is missing, is in no plate "components",
            or differs between the programs.
        NotImplementedError: If torch knows no closed form for the two distributions.

    Source:
        Stavarache, Multi-model disentanglement of object representations (2019), section 4.1.4.

    Example:
        >>> from pyrodis.guides import ParallelGuide
        >>> from pyrodis.models import MaskedNormal, ParallelVAE
        >>> from pyrodis.nn import StridedDecoder, StridedEncoder
        >>> decoders = [StridedDecoder(2, (2, 8, 8), widths=(4,), hidden_dim=4) for _ in range(3)]
        >>> encoders = [StridedEncoder((1, 8, 8), widths=(4,), feature_dim=4) for _ in range(3)]
        >>> model, guide = ParallelVAE(decoders, MaskedNormal(), 2), ParallelGuide(encoders, 2)
        >>> component_kl(model, guide, torch.zeros(5, 1, 1, 8, 8)).shape
        torch.Size([5, 3])
    """
    check_frames(x)
    model, guide = innermost(model), innermost(guide)
    with _evaluating(guide), _evaluating(model):
        q, p = _site(guide, site, x=x), _site(model, site, batch_size=1)
        ours, theirs = q["fn"], p["fn"]
        wanted = theirs.batch_shape[0]
        if ours.batch_shape[0] != wanted or ours.event_shape != theirs.event_shape:
            raise ValueError(
                f"site '{site}' has {ours.batch_shape[0]} components of shape {tuple(ours.event_shape)} in the guide "
                f"and {wanted} of {tuple(theirs.event_shape)} in the model; build both with the same sizes"
            )
        kl: torch.Tensor = kl_divergence(ours, theirs)
        return kl.mT


def _site(program: nn.Module, name: str, **arguments: Any) -> Any:
    sites = latent_sites(get_trace(program, **arguments))
    if name not in sites:
        raise ValueError(f"site must name a latent site of both programs, {sorted(sites)}, got '{name}'")
    plates = {frame.name: frame.dim for frame in sites[name]["cond_indep_stack"]}
    if plates != {"components": -2, "data": -1}:
        raise ValueError(
            f"site '{name}' must be in the plates 'components' (dim -2) and 'data' (dim -1), got {plates}; "
            "component_kl is of models such as ParallelVAE"
        )
    return sites[name]
