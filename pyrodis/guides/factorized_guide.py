"""The guide in which z sees its own frame and its own past, not f."""

from __future__ import annotations

import pyro
import torch
from torch import nn

from pyrodis.distributions import AutoregressiveNormal
from pyrodis.guides.static_posterior import INITIAL_SCALE, StaticPosterior, encode_frames, feature_dim_of
from pyrodis.nn import RecurrentTransition
from pyrodis.ops import check_positive_int, register_parameters


class FactorizedGuide(nn.Module):
    r"""The factorized guide: f and z are independent given x, and a frame's code sees its frame and the codes before.

    $$q(f, z_{1:T} \mid x_{1:T}) = q(f \mid x_{1:T}) \prod_t q(z_t \mid z_{<t}, x_t)$$

    No network reads other frames on the way to z_t: an LSTM is fed the sampled z_{t-1}, and its state and the features
    of x_t give loc and scale.

    Sites: "f", batch (B), event (S); "z", batch (B), event (T, D). Plate: "data", dim -1.

    Args:
        encoder: Maps frames (..., C, H, W) to features (..., encoder.feature_dim).
        static_dim: S.
        dynamic_dim: D.
        hidden_dim: Size of every recurrent state.

    Shape:
        x: (B, T, C, H, W) in [0, 1].

    Raises:
        TypeError: If a size is not an int or x is not a floating-point tensor.
        ValueError: If a size is not positive or x has another shape.

    Source:
        Das and Dandi, section II.B.

    Example:
        >>> from pyrodis.nn import ConvEncoder
        >>> encoder = ConvEncoder((1, 8, 8), 4, base_channels=2)
        >>> guide = FactorizedGuide(encoder, static_dim=3, dynamic_dim=2, hidden_dim=8)
        >>> guide(torch.zeros(2, 5, 1, 8, 8))["z"].shape
        torch.Size([2, 5, 2])
    """

    def __init__(self, encoder: nn.Module, static_dim: int = 64, dynamic_dim: int = 32, hidden_dim: int = 128) -> None:
        super().__init__()
        self.encoder = encoder
        self.static_dim = check_positive_int("static_dim", static_dim)
        self.dynamic_dim = check_positive_int("dynamic_dim", dynamic_dim)
        self.hidden_dim = check_positive_int("hidden_dim", hidden_dim)
        feature_dim = feature_dim_of(encoder)
        self.static = StaticPosterior(feature_dim, static_dim, hidden_dim)
        self.transition = RecurrentTransition(dynamic_dim, feature_dim, hidden_dim, INITIAL_SCALE)

    def forward(self, x: torch.Tensor, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        """Draw f and z given clips.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1].
            batch_size: Not used; guides and models share one signature.

        Returns:
            "f" (B, S) and "z" (B, T, D).
        """
        register_parameters(self)
        features = encode_frames(self.encoder, x)
        with pyro.plate("data", x.shape[0], dim=-1):
            f = pyro.sample("f", self.static(features))
            z = pyro.sample("z", AutoregressiveNormal(self.transition, x.shape[1], features))
        return {"f": f, "z": z}
