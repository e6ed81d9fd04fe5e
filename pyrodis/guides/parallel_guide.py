"""The guide of parallel VAEs: every component encodes the whole image for itself."""

from __future__ import annotations

from collections.abc import Sequence

import pyro
import torch
from pyro.distributions import Normal
from torch import nn
from torch.distributions import kl_divergence

from pyrodis.guides.factorization import Factorization
from pyrodis.guides.static_posterior import INITIAL_SCALE, feature_dim_of
from pyrodis.nn import LocScale
from pyrodis.nn._grouped import check_grouped, run_components
from pyrodis.ops import (
    as_components,
    check_frames_shape,
    check_positive_int,
    check_present,
    check_single_frames,
    register_parameters,
)


class ParallelGuide(nn.Module):
    r"""The guide of a `ParallelVAE`: K encoders that do not hear of each other, each with a head of its own.

    $$q(z_{1:K} \mid x) = \prod_{k=1}^{K} \mathcal N\bigl(z_k; \mathrm{loc}_k(x), \operatorname{diag}
    \mathrm{scale}_k(x)^2\bigr)$$

    Loc and scale are linear in the encoder's features, or what other heads make of them.

    Sites: "z", batch (K, B), event (D). Plates: "components", dim -2, and "data", dim -1.

    Args:
        encoders: One module for each of K components; each maps images (..., C, H, W) to features
            (..., encoder.feature_dim). They are kept as `encoders` and their heads as `heads`, each a
            `torch.nn.ModuleList`.
        latent_dim: D.
        heads: One module for each encoder, which maps its features to loc (..., D) and scale (..., D), such as
            `GridLocScale` for a `GridEncoder`; None for a `LocScale` each.
        grouped: Whether encoders that are built alike, each a `GridEncoder`, run as one network of grouped
            convolutions, as in `ParallelVAE`.

    Shape:
        x: (B, 1, C, H, W) in [0, 1]: an image is a clip of one frame.

    Raises:
        TypeError: If encoders or heads are not a list of modules, the size is not an int, grouped is no bool, or x is
            not a floating-point tensor.
        ValueError: If there is no encoder, a module stands there twice, there are not as many heads, they give codes of
            another size, encoders cannot run in groups, the size is not positive, or x has another shape.

    Source:
        Stavarache, Multi-model disentanglement of object representations (2019), section 3.1.

    Example:
        >>> from pyrodis.nn import ConvEncoder
        >>> guide = ParallelGuide([ConvEncoder((1, 8, 8), 4, base_channels=2) for _ in range(3)], latent_dim=2)
        >>> guide(torch.zeros(5, 1, 1, 8, 8))["z"].shape
        torch.Size([3, 5, 2])
    """

    def __init__(
        self,
        encoders: Sequence[nn.Module] | nn.ModuleList,
        latent_dim: int = 32,
        heads: Sequence[nn.Module] | nn.ModuleList | None = None,
        grouped: bool = False,
    ) -> None:
        super().__init__()
        self.encoders = as_components("encoders", encoders)
        self.grouped = check_grouped("encoders", self.encoders, grouped)
        self.latent_dim = check_positive_int("latent_dim", latent_dim)
        if heads is None:
            heads = [LocScale(feature_dim_of(encoder), latent_dim, INITIAL_SCALE) for encoder in self.encoders]
        self.heads = as_components("heads", heads)
        if len(self.heads) != len(self.encoders):
            raise ValueError(
                f"heads must be as many as encoders, {len(self.encoders)}, got {len(self.heads)}; pass one for each"
            )

    def factorization(self, num_frames: int = 1) -> Factorization:
        """Return what the factor of every component's code reads: the image.

        Args:
            num_frames: 1, as an image is a clip of one frame.

        Returns:
            Name of a code, "z^1" for the first component, to "x_1".

        Raises:
            ValueError: If there are more frames.
        """
        if num_frames != 1:
            raise ValueError(f"num_frames must be 1, since ParallelGuide reads images, got {num_frames!r}")
        return {f"z^{k + 1}": ("x_1",) for k in range(len(self.encoders))}

    def forward(
        self, x: torch.Tensor, batch_size: int | None = None, present: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Draw the codes of all components given images.

        Args:
            x: Images (B, 1, C, H, W) in [0, 1].
            batch_size: Not used; guides and models share one signature.
            present: Which components may take pixels of which image, bool (B, K); None for all. Codes do not depend on
                it: it is returned for penalties, such as `silence_penalty`.

        Returns:
            "z" (K, B, D); "kl" (B, K), the divergence of each code from N(0, I) in nats; "present" (B, K).
        """
        register_parameters(self)
        frames = [check_frames_shape(x, getattr(encoder, "frame_shape", None)) for encoder in self.encoders]
        features = run_components(self.encoders, frames, self.grouped)
        found = [head(part) for head, part in zip(self.heads, features)]
        check_single_frames(x)
        for k, (loc, scale) in enumerate(found):
            if not loc.shape[-1] == scale.shape[-1] == self.latent_dim:
                raise ValueError(
                    f"heads[{k}] must give loc and scale of latent_dim = {self.latent_dim}, got {loc.shape[-1]} and "
                    f"{scale.shape[-1]}; build guide, head and encoder for one size"
                )
        loc, scale = (torch.stack(parts).squeeze(-2) for parts in zip(*found))
        with pyro.plate("components", len(self.encoders), dim=-2), pyro.plate("data", x.shape[0], dim=-1):
            z = pyro.sample("z", Normal(loc, scale, validate_args=False).to_event(1))
        prior = Normal(torch.zeros_like(loc), torch.ones_like(scale), validate_args=False)
        kl = kl_divergence(Normal(loc, scale, validate_args=False), prior).sum(-1).T
        present = torch.ones_like(kl, dtype=torch.bool) if present is None else check_present(present, *kl.shape)
        return {"z": z, "kl": kl, "present": present}
