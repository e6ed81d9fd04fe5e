"""The guide that adds what frames say of their codes to what linear dynamics says of the sequence."""

from __future__ import annotations

import math

import pyro
import torch
from torch import nn

from pyrodis.distributions import BlockTridiagonalNormal
from pyrodis.guides.factorization import Factorization, named
from pyrodis.guides.static_posterior import INITIAL_SCALE, encode_frames, feature_dim_of
from pyrodis.nn import LocScale, visible_frames
from pyrodis.ops import (
    chain_precision,
    check_eigenvalue,
    check_positive_int,
    check_positive_number,
    contraction,
    full_precision,
    register_parameters,
    without_autocast,
)


class InformationGuide(nn.Module):
    r"""The information form: the precision of a linear chain, plus a precision for what every frame says by itself.

    $$q(z_{1:T} \mid x) = \mathcal N(J^{-1} h, J^{-1}), \qquad
    J = J_{\mathrm{chain}}(A) + \operatorname{blockdiag}(R_t), \qquad h_t = R_t\, m(x_t),
    \qquad R_t = F(x_t) F(x_t)^\top$$

    The chain is z_1 ~ N(0, I), z_t ~ N(A z_{t-1}, I - A A^T), with a learned A, a `contraction` of a free matrix. m is
    linear in the encoder's features; F is lower triangular: its diagonal is one over a scale as `LocScale` makes it,
    its other elements are linear in the features, times the diagonal element of their row. So a mean draws on all
    frames, near ones more than far ones, and where a frame says little the chain fills in.

    It contains the exact posterior of a `LinearGaussianDynamics` of the same chain.

    Sites: "z", batch (B), event (T, D). Plate: "data", dim -1.

    Args:
        encoder: Maps frames (..., C, H, W) to features (..., encoder.feature_dim).
        dynamic_dim: D.
        initial_eigenvalue: A is this multiple of the identity where training starts, above -1 and below 1.
        gain: Factor between the parameter and the free matrix: how fast A moves at a given learning rate.
        skip_blank: Whether frames that are black all over say nothing: R_t = 0. So missing frames are given, blacked
            out, and their codes are those of the chain between the frames that are there.

    Shape:
        x: (B, T, C, H, W) in [0, 1].

    Raises:
        TypeError: If the size is not an int or another argument is no number, or x is not a floating-point tensor.
        ValueError: If the size or the gain is not positive, the eigenvalue is not between -1 and 1, or x has another
            shape.

    Source:
        Archer et al., Black box variational inference for state space models (2016), section 3.

    Example:
        >>> from pyrodis.nn import ConvEncoder
        >>> guide = InformationGuide(ConvEncoder((1, 8, 8), 4, base_channels=2), dynamic_dim=2)
        >>> guide(torch.zeros(3, 5, 1, 8, 8))["z"].shape
        torch.Size([3, 5, 2])
    """

    def __init__(
        self,
        encoder: nn.Module,
        dynamic_dim: int = 4,
        initial_eigenvalue: float = 0.9,
        gain: float = 10.0,
        skip_blank: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.dynamic_dim = check_positive_int("dynamic_dim", dynamic_dim)
        self.initial_eigenvalue = check_eigenvalue("initial_eigenvalue", initial_eigenvalue)
        self.gain = check_positive_number("gain", gain)
        self.skip_blank = skip_blank
        start = self.initial_eigenvalue / math.sqrt(1 - self.initial_eigenvalue**2)
        self.raw = nn.Parameter(torch.eye(dynamic_dim) * start / self.gain)
        feature_dim = feature_dim_of(encoder)
        self.head = LocScale(feature_dim, dynamic_dim, INITIAL_SCALE)
        self.mixing = nn.Linear(feature_dim, dynamic_dim**2)

    @property
    def transition(self) -> torch.Tensor:
        """A, (D, D), the same for all frames."""
        return contraction(self.gain * self.raw)

    def factorization(self, num_frames: int) -> Factorization:
        """Return what the factor of every code reads: the code before, its frame and all frames after it.

        Args:
            num_frames: T.

        Returns:
            Name of a code to the names of what its parameters depend on.
        """
        z, x = named("z", num_frames), named("x", num_frames)
        return {z[t]: (*z[max(t - 1, 0) : t], *x[t:]) for t in range(num_frames)}

    def forward(self, x: torch.Tensor, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        """Draw z given clips.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1].
            batch_size: Not used; guides and models share one signature.

        Returns:
            "z" (B, T, D).
        """
        register_parameters(self)
        features = full_precision(encode_frames(self.encoder, x))
        with pyro.plate("data", x.shape[0], dim=-1), without_autocast(features):
            z = pyro.sample("z", self._posterior(features, visible_frames(x) if self.skip_blank else None))
        return {"z": z}

    def _posterior(self, features: torch.Tensor, shown: torch.Tensor | None) -> BlockTridiagonalNormal:
        loc, scale = self.head(features)
        mixing = self.mixing(features).reshape(*loc.shape, self.dynamic_dim).tril(-1)
        eye = torch.eye(self.dynamic_dim, dtype=loc.dtype, device=loc.device)
        factor = (eye + mixing) / scale.unsqueeze(-1)
        if shown is not None:
            factor = factor * shown[..., None, None]
        precision = factor @ factor.mT
        information = (precision @ loc.unsqueeze(-1)).squeeze(-1)
        transition = self.transition
        chain = chain_precision(transition, eye - transition @ transition.mT, eye, loc.shape[-2])
        return BlockTridiagonalNormal.from_information(*chain, precision, information)
