"""The guide whose codes are a blend of what a frame says and of what the codes before predicted."""

from __future__ import annotations

import math
from typing import Any

import pyro
import torch
from pyro.distributions import Normal
from torch import nn

from pyrodis.guides.factorization import Factorization, frame_by_frame, named
from pyrodis.guides.static_posterior import INITIAL_SCALE, encode_frames, feature_dim_of
from pyrodis.nn import LocScale
from pyrodis.ops import check_positive_int, register_parameters, without_autocast


class InertialGuide(nn.Module):
    r"""Representational inertia: the mean of a code is drawn towards the line through the two means before.

    $$\mathrm{loc}_1 = e(x_1), \quad \mathrm{pred}_2 = \mathrm{loc}_1, \qquad
    \mathrm{loc}_t = (1 - \gamma)\, e(x_t) + \gamma\, \mathrm{pred}_t, \qquad
    \mathrm{pred}_{t+1} = \mathrm{loc}_t + \alpha (\mathrm{loc}_t - \mathrm{loc}_{t-1})$$

    $$q(z_{1:T} \mid x_{1:T}) = \prod_t \mathcal N\bigl(z_t; \mathrm{loc}_t, \operatorname{diag}\mathrm{scale}(x_t)^2
    \bigr)$$

    With gamma = 0 it is the `MeanFieldGuide`; with gamma = 1 every mean is that of the first frame, whatever follows.
    The scales are those of their own frames at any gamma. `DelayedVAE` is the model that it is made for: there
    decode(loc_t) is scored on frame t + 1.

    loc is linear in the codes e(x_1), ..., e(x_T): one lower-triangular matrix of gamma and alpha, `weights`, does what
    the recurrence says.

    Sites: "z", batch (B), event (T, D). Plate: "data", dim -1.

    Args:
        encoder: Maps frames (..., C, H, W) to features (..., encoder.feature_dim).
        latent_dim: D.
        gamma: How much a mean follows the prediction instead of its frame, 0 to 1.
        alpha: How far the step before is continued; 1 is constant velocity, 0 that the code stays.
        learn_alpha: Whether alpha is a parameter, which then starts at `alpha`.

    Shape:
        x: (B, T, C, H, W) in [0, 1].

    Raises:
        TypeError: If a number is no number or the size is not an int, or x is not a floating-point tensor.
        ValueError: If gamma is not between 0 and 1, alpha is not finite, the size is not positive, or x has another
            shape.

    Source:
        Zaharia and Peters, representational inertia. Their published code never passed gamma on (it ran with .75
        always), and the sign of the extrapolation in their text is reversed; here the equations are as meant.

    Example:
        >>> from pyrodis.nn import ConvEncoder
        >>> guide = InertialGuide(ConvEncoder((1, 8, 8), 4, base_channels=2), latent_dim=2, gamma=0.5)
        >>> guide.weights(3)
        tensor([[1.0000, 0.0000, 0.0000],
                [0.5000, 0.5000, 0.0000],
                [0.0000, 0.5000, 0.5000]])
    """

    def __init__(
        self,
        encoder: nn.Module,
        latent_dim: int = 4,
        gamma: float = 0.5,
        alpha: float = 1.0,
        learn_alpha: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.latent_dim = check_positive_int("latent_dim", latent_dim)
        self.gamma = _check_number("gamma", gamma, 0.0, 1.0)
        self.alpha = _check_number("alpha", alpha, -math.inf, math.inf)
        self.learn_alpha = learn_alpha
        self.extrapolation = nn.Parameter(torch.tensor(self.alpha), requires_grad=learn_alpha)
        self.head = LocScale(feature_dim_of(encoder), latent_dim, INITIAL_SCALE)

    def weights(self, num_frames: int) -> torch.Tensor:
        """Return what every mean takes of the code of every frame.

        Args:
            num_frames: T.

        Returns:
            Lower-triangular matrix (T, T) whose rows sum to 1.
        """
        like = self.extrapolation
        codes = torch.eye(check_positive_int("num_frames", num_frames), dtype=like.dtype, device=like.device)
        rows = [codes[0]]
        prediction = rows[0]
        for code in codes[1:]:
            rows.append((1 - self.gamma) * code + self.gamma * prediction)
            prediction = rows[-1] + self.extrapolation * (rows[-1] - rows[-2])
        return torch.stack(rows)

    def factorization(self, num_frames: int) -> Factorization:
        """Return what the factor of every code reads: the frames so far; its own with gamma = 0, and the first with 1.

        Args:
            num_frames: T.

        Returns:
            Name of a code to the names of what its parameters depend on.
        """
        if self.gamma == 0:
            return frame_by_frame(num_frames)
        z, x = named("z", num_frames), named("x", num_frames)
        first = 1 if self.gamma == 1 else num_frames  # of how many frames before its own a mean takes something
        return {z[t]: (*x[: min(first, t)], x[t]) for t in range(num_frames)}

    def forward(self, x: torch.Tensor, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        """Draw z given clips.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1].
            batch_size: Not used; guides and models share one signature.

        Returns:
            "z" (B, T, D).
        """
        register_parameters(self)
        codes, scale = self.head(encode_frames(self.encoder, x))
        with without_autocast(codes):
            loc = self.weights(x.shape[1]) @ codes
        with pyro.plate("data", x.shape[0], dim=-1):
            z = pyro.sample("z", Normal(loc, scale, validate_args=False).to_event(2))
        return {"z": z}


def _check_number(name: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}")
    if not math.isfinite(value) or not low <= value <= high:
        limits = "" if math.isinf(low) else f" between {low:g} and {high:g}"
        raise ValueError(f"{name} must be a finite number{limits}, got {value}")
    return float(value)
