"""The guide of a VAE whose eigenvalues are latent variables."""

from __future__ import annotations

import pyro
import torch
from torch import nn

from pyrodis.distributions import GaussMarkovNormal, TanhNormal
from pyrodis.guides.factorization import Factorization, chain, named
from pyrodis.guides.static_posterior import INITIAL_SCALE, encode_frames, feature_dim_of
from pyrodis.nn import LocScale
from pyrodis.ops import check_positive_int, full_precision, register_parameters, without_autocast
from pyrodis.ops.eigenvalues import bounded_eigenvalues

INITIAL_RAW = 1.5  # the inverse hyperbolic tangent of .9: frames of a clip resemble each other


class EigenvalueGuide(nn.Module):
    r"""The guide in which eigenvalues and codes are independent given the clip.

    $$q(\lambda, z_{1:T} \mid x_{1:T}) = \Bigl(\prod_{t=2}^{T} q(\lambda_t \mid x_t, x_{t-1})\Bigr)\,
    \mathrm{GaussMarkov}\bigl(z_{1:T}; \mathrm{loc}(x_t), \mathrm{scale}(x_t), r(x_t, x_{t-1})\bigr)$$

    q(lambda_t | ...) is the hyperbolic tangent of a normal. What z_t has to do with z_{t-1} given the clip is said by
    correlations r of the guide's own, not by the drawn lambda: where frames show their codes well, codes are nearly
    independent given the clip, however strongly they follow each other in the prior. With the two apart, lambda also
    costs nothing but its own KL where it does not enter the model.

    Loc and scale are linear in the features of x_t; what reads two frames has a hidden layer on both.

    Sites: "eigenvalues", batch (B), event (T - 1, D); "z", batch (B), event (T, D). Plate: "data", dim -1.

    Args:
        encoder: Maps frames (..., C, H, W) to features (..., encoder.feature_dim).
        latent_dim: D.
        hidden_dim: Size of the hidden layer that reads two frames.

    Shape:
        x: (B, T, C, H, W) in [0, 1].

    Raises:
        TypeError: If a size is not an int, or x is not a floating-point tensor.
        ValueError: If a size is not positive, or x has another shape.

    Source:
        Zaharia and Peters, Disentangling via dynamics, section 2.1, for what each factor reads.

    Example:
        >>> from pyrodis.nn import ConvEncoder
        >>> guide = EigenvalueGuide(ConvEncoder((1, 8, 8), 4, base_channels=2), latent_dim=2, hidden_dim=8)
        >>> guide(torch.zeros(2, 5, 1, 8, 8))["eigenvalues"].shape
        torch.Size([2, 4, 2])
    """

    def __init__(self, encoder: nn.Module, latent_dim: int = 4, hidden_dim: int = 128) -> None:
        super().__init__()
        self.encoder = encoder
        self.latent_dim = check_positive_int("latent_dim", latent_dim)
        self.hidden_dim = check_positive_int("hidden_dim", hidden_dim)
        feature_dim = feature_dim_of(encoder)
        self.head = LocScale(feature_dim, latent_dim, INITIAL_SCALE)
        self.hidden = nn.Sequential(nn.Linear(2 * feature_dim, hidden_dim), nn.Tanh())
        self.eigenvalue_head = LocScale(hidden_dim, latent_dim, INITIAL_SCALE)
        self.correlation_head = nn.Linear(hidden_dim, latent_dim)

    def factorization(self, num_frames: int) -> Factorization:
        """Return what every factor reads: that of an eigenvalue two frames, that of a code those and the code before.

        Args:
            num_frames: T.

        Returns:
            Name of a code to the names of what its parameters depend on.
        """
        x, eigenvalues = named("x", num_frames), named("eigenvalues", num_frames)
        pairs = {eigenvalues[t]: (x[t - 1], x[t]) for t in range(1, num_frames)}
        return pairs | chain(num_frames)

    def forward(self, x: torch.Tensor, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        """Draw eigenvalues and z given clips.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1].
            batch_size: Not used; guides and models share one signature.

        Returns:
            "eigenvalues" (B, T - 1, D), "z" (B, T, D), and "correlations" (B, T - 1, D), those of z given the clip.
        """
        register_parameters(self)
        features = encode_frames(self.encoder, x)
        pairs = self.hidden(torch.cat([features[..., 1:, :], features[..., :-1, :]], dim=-1))
        raw, raw_scale = self.eigenvalue_head(pairs)
        with without_autocast(pairs):
            correlations = bounded_eigenvalues(self.correlation_head(full_precision(pairs)))
        loc, scale = self.head(features)
        with pyro.plate("data", x.shape[0], dim=-1):
            posterior = TanhNormal(raw + INITIAL_RAW, raw_scale, validate_args=False)
            eigenvalues = pyro.sample("eigenvalues", posterior.to_event(2))
            z = pyro.sample("z", GaussMarkovNormal(loc, scale, correlations, validate_args=False))
        return {"eigenvalues": eigenvalues, "z": z, "correlations": correlations}
