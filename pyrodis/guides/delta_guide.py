"""The guide without noise: it makes an autoencoder of a model."""

from __future__ import annotations

import pyro
import torch
from pyro.distributions import Delta
from torch import nn

from pyrodis.guides.factorization import Factorization, frame_by_frame
from pyrodis.guides.static_posterior import encode_frames, feature_dim_of
from pyrodis.ops import check_positive_int, full_precision, register_parameters, without_autocast


class DeltaGuide(nn.Module):
    r"""The guide of an autoencoder: all of a frame's code is one value, linear in the encoder's features.

    $$q(z_{1:T} \mid x_{1:T}) = \prod_t \delta\bigl(z_t - \mathrm{loc}(x_t)\bigr)$$

    With a KL weight of 0 the prior has no say, and the objective is the autoencoder's, the likelihood alone: the limit
    of a beta-VAE for beta = 0. With any other weight the objective is that of a maximum a posteriori estimate,
    -log p(x | z) - beta log p(z): the entropy of a point has no density to measure, so it is left out, and the value is
    no bound of the evidence. Importance-weighted bounds mean nothing here for the same reason.

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
        Zaharia and Peters, whose grids include the autoencoder without the KL term.

    Example:
        >>> from pyrodis.nn import ConvEncoder
        >>> guide = DeltaGuide(ConvEncoder((1, 8, 8), 4, base_channels=2), latent_dim=2).eval()
        >>> x = torch.rand(2, 5, 1, 8, 8)
        >>> torch.equal(guide(x)["z"], guide(x)["z"])
        True
    """

    def __init__(self, encoder: nn.Module, latent_dim: int = 4) -> None:
        super().__init__()
        self.encoder = encoder
        self.latent_dim = check_positive_int("latent_dim", latent_dim)
        self.loc = nn.Linear(feature_dim_of(encoder), latent_dim)

    def factorization(self, num_frames: int) -> Factorization:
        """Return what the factor of every code reads: its frame.

        Args:
            num_frames: T.

        Returns:
            Name of a code to the names of what its parameters depend on.
        """
        return frame_by_frame(num_frames)

    def forward(self, x: torch.Tensor, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        """Set z to the code of clips.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1].
            batch_size: Not used; guides and models share one signature.

        Returns:
            "z" (B, T, D).
        """
        register_parameters(self)
        features = encode_frames(self.encoder, x)
        with without_autocast(features):
            loc = self.loc(full_precision(features))
        with pyro.plate("data", x.shape[0], dim=-1):
            z = pyro.sample("z", Delta(loc, event_dim=2, validate_args=False))
        return {"z": z}
