"""The guide of codes that are laid out in space, as the frames are."""

from __future__ import annotations

from typing import Any

import pyro
import torch
from pyro.distributions import Normal
from torch import nn

from pyrodis.guides.factorization import Factorization, frame_by_frame, named
from pyrodis.guides.static_posterior import INITIAL_SCALE, feature_dim_of
from pyrodis.guides.viewed_features import check_view, encode_seen
from pyrodis.nn import GridLocScale
from pyrodis.ops import check_frames_shape, register_parameters


class GridGuide(nn.Module):
    r"""Codes with a place: f and z_t have some latents in every cell of a grid, each read off the frames around it.

    $$
    q(f, z_{1:T} \mid x_{1:T}) = \mathcal N\Bigl(f; \frac1{T'} \sum_{t=1}^{T'} e_f(v_f(x)_t)\Bigr)
    \prod_{t=1}^{T} \mathcal N\bigl(z_t; e_z(v_z(x)_t)\bigr)
    $$

    The encoders give loc and scale side by side, which `GridLocScale` splits; T' is the number of frames that v_f
    shows. There is no layer between encoder and code that would connect the cells: a scene of many details is learned
    in far fewer steps than through a vector, and what is learned at one place holds at all. In exchange f and z hold
    many latents, draws from the prior show no scene, and to move a thing z must write it at one place after the other.

    With `MedianFrame` as v_f and `Motion` as v_z, f holds the ground of a filmed scene and z what moves before it, as
    its difference from what it covers: an exchange puts what moves in one clip before the ground of another, and its
    colors hold where the grounds are alike. For codes of looks and of poses take the other guides.

    The model is a `DSVAE` whose decoder is a `GridDecoder` of as many cells, with the latents of both in each.

    Sites: "f", batch (B), event (S); "z", batch (B), event (T, D). Plate: "data", dim -1.

    Args:
        static_encoder: e_f, maps frames (..., C, H, W) to 2 S features: a `GridEncoder`.
        dynamic_encoder: e_z, another one, to 2 D features.
        static_view: v_f, a module from frames to frames that `static_encoder` reads, any number of them, or None.
        dynamic_view: v_z, the same for z, but with as many frames as x has.

    Shape:
        x: (B, T, C, H, W) in [0, 1].

    Raises:
        TypeError: If a view or an encoder is no module, or x is not a floating-point tensor.
        ValueError: If both encoders are one module, an encoder gives an odd number of features, x has another shape or
            a view returns what its encoder or its code cannot read.

    Source:
        The views are the oldest way to tell what moves from what rests, the subtraction of a background that is the
        median over time.

    Example:
        >>> from pyrodis.nn import GridEncoder, MedianFrame, Motion
        >>> encoders = [GridEncoder((1, 8, 8), channels, grid=2, widths=(2, 4)) for channels in (3, 2)]
        >>> guide = GridGuide(*encoders, static_view=MedianFrame(), dynamic_view=Motion())
        >>> {site: tuple(code.shape) for site, code in guide(torch.zeros(2, 5, 1, 8, 8)).items()}
        {'f': (2, 12), 'z': (2, 5, 8)}
    """

    def __init__(
        self,
        static_encoder: nn.Module,
        dynamic_encoder: nn.Module,
        *,
        static_view: nn.Module | None = None,
        dynamic_view: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.static_dim = _half("static_encoder", static_encoder)
        self.dynamic_dim = _half("dynamic_encoder", dynamic_encoder)
        if dynamic_encoder is static_encoder:
            raise ValueError("dynamic_encoder must be another module than static_encoder, since they read other things")
        self.static_encoder = static_encoder
        self.dynamic_encoder = dynamic_encoder
        self.static_view = check_view("static_view", static_view)
        self.dynamic_view = check_view("dynamic_view", dynamic_view)
        self.head = GridLocScale(INITIAL_SCALE)

    def factorization(self, num_frames: int) -> Factorization:
        """Return what the factor of every code reads: f all frames, z its own, or all if there is a view for it.

        Args:
            num_frames: T.

        Returns:
            Name of a code to the names of what its parameters depend on.
        """
        x = named("x", num_frames)
        frames = frame_by_frame(num_frames)
        return {"f": x} | (frames if self.dynamic_view is None else dict.fromkeys(frames, x))

    def forward(self, x: torch.Tensor, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        """Draw f and z given clips.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1].
            batch_size: Not used; guides and models share one signature.

        Returns:
            "f" (B, S) and "z" (B, T, D).
        """
        register_parameters(self)
        check_frames_shape(x)
        still = encode_seen("static_view", self.static_view, "static_encoder", self.static_encoder, x, False)
        moving = encode_seen("dynamic_view", self.dynamic_view, "dynamic_encoder", self.dynamic_encoder, x, True)
        with pyro.plate("data", x.shape[0], dim=-1):
            loc, scale = self.head(still.mean(-2))
            f = pyro.sample("f", Normal(loc, scale, validate_args=False).to_event(1))
            loc, scale = self.head(moving)
            z = pyro.sample("z", Normal(loc, scale, validate_args=False).to_event(2))
        return {"f": f, "z": z}


def _half(name: str, encoder: Any) -> int:
    """The number of latents that an encoder's features are for."""
    if not isinstance(encoder, nn.Module):
        raise TypeError(f"{name} must be a module from frames to features, got {encoder!r}; pass a GridEncoder")
    features = feature_dim_of(encoder)
    if features % 2:
        raise ValueError(
            f"{name}.feature_dim must be even, a loc and a raw scale for each latent, got {features}; pass a "
            "GridEncoder"
        )
    return features // 2
