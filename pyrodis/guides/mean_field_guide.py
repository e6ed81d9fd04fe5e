"""The guide of a beta-VAE: every frame's code is normal given its frame."""

from __future__ import annotations

import pyro
import torch
from pyro.distributions import Normal
from torch import nn

from pyrodis.guides.factorization import Factorization, frame_by_frame
from pyrodis.guides.static_posterior import INITIAL_SCALE, encode_frames, feature_dim_of
from pyrodis.nn import LocScale
from pyrodis.ops import check_positive_int, register_parameters


class MeanFieldGuide(nn.Module):
    r"""The mean-field guide: all codes of all frames are independent, and a frame's codes see their frame alone.

    $$q(z_{1:T} \mid x_{1:T}) = \prod_t \mathcal N\bigl(z_t; \mathrm{loc}(x_t), \operatorname{diag}\mathrm{scale}(x_t)^2
    \bigr)$$

    Loc and scale are linear in the encoder's features.

    Sites: "z", batch (B), event (T, D). Plate: "data", dim -1.

    Args:
        encoder: Maps frames (..., C, H, W) to features (..., encoder.feature_dim).
        latent_dim: D.

    Shape:
        x: (B, T, C, H, W) in [0, 1]. Still images are clips of one frame, T = 1.

    Raises:
        TypeError: If the size is not an int, or x is not a floating-point tensor.
        ValueError: If the size is not positive, or x has another shape.

    Source:
        Kingma and Welling (2014); Higgins et al. (2017). `FramewiseGuide` without f has one hidden layer more.

    Example:
        >>> from pyrodis.nn import ConvEncoder
        >>> guide = MeanFieldGuide(ConvEncoder((1, 8, 8), 4, base_channels=2), latent_dim=2)
        >>> guide(torch.zeros(2, 5, 1, 8, 8))["z"].shape
        torch.Size([2, 5, 2])
    """

    def __init__(self, encoder: nn.Module, latent_dim: int = 4) -> None:
        super().__init__()
        self.encoder = encoder
        self.latent_dim = check_positive_int("latent_dim", latent_dim)
        self.head = LocScale(feature_dim_of(encoder), latent_dim, INITIAL_SCALE)

    def factorization(self, num_frames: int) -> Factorization:
        """Return what the factor of every code reads: its frame.

        Args:
            num_frames: T.

        Returns:
            Name of a code to the names of what its parameters depend on.
        """
        return frame_by_frame(num_frames)

    def forward(self, x: torch.Tensor, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        """Draw z given clips.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1].
            batch_size: Not used; guides and models share one signature.

        Returns:
            "z" (B, T, D).
        """
        register_parameters(self)
        loc, scale = self.head(encode_frames(self.encoder, x))
        with pyro.plate("data", x.shape[0], dim=-1):
            z = pyro.sample("z", Normal(loc, scale, validate_args=False).to_event(2))
        return {"z": z}
