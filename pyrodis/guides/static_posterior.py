"""The factor q(f | x) that all guides of a static and a dynamic code share."""

from __future__ import annotations

import torch
from pyro.distributions import Independent, Normal
from torch import nn

from pyrodis.nn import BidirectionalLSTM, LocScale
from pyrodis.ops import check_frames_shape, check_positive_int

INITIAL_SCALE = 0.1  # of every posterior: at 1, the decoder first sees little but noise


class StaticPosterior(nn.Module):
    r"""Diagonal normal q(f | x_{1:T}) from the last states of a bidirectional LSTM over features of all frames.

    $$q(f \mid x_{1:T}) = \mathcal N(f; \mathrm{loc}(h), \operatorname{diag}\mathrm{scale}(h)^2), \qquad
    h = [\overrightarrow{h}_T, \overleftarrow{h}_1]$$

    Args:
        feature_dim: Size of the features of a frame.
        static_dim: S.
        hidden_dim: Size of each direction's state.

    Shape:
        features (..., T, feature_dim) to a distribution of batch shape (...) and event shape (S).

    Example:
        >>> StaticPosterior(4, static_dim=3, hidden_dim=8)(torch.zeros(2, 5, 4)).event_shape
        torch.Size([3])
    """

    def __init__(self, feature_dim: int, static_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.reader = BidirectionalLSTM(feature_dim, hidden_dim)
        self.head = LocScale(2 * hidden_dim, static_dim, INITIAL_SCALE)

    def forward(self, features: torch.Tensor) -> Independent:
        """Return the distribution of f.

        Args:
            features: Tensor of shape (..., T, feature_dim).

        Returns:
            A normal distribution of event shape (S).
        """
        loc, scale = self.head(self.reader.summary(features))
        return Normal(loc, scale, validate_args=False).to_event(1)


def encode_frames(encoder: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Return the features of every frame of a batch of clips, in one call of the encoder.

    Args:
        encoder: Maps frames (..., C, H, W) to features (..., feature_dim); of its `frame_shape`, if it has one.
        x: Clips.

    Shape:
        x: (B, T, C, H, W).

    Returns:
        Features of shape (B, T, feature_dim).

    Raises:
        TypeError: If x is not a floating-point tensor.
        ValueError: If x has another shape.

    Example:
        >>> from pyrodis.nn import ConvEncoder
        >>> encode_frames(ConvEncoder((1, 8, 8), 4, base_channels=2), torch.zeros(2, 5, 1, 8, 8)).shape
        torch.Size([2, 5, 4])
    """
    return encoder(check_frames_shape(x, getattr(encoder, "frame_shape", None)))


def feature_dim_of(encoder: nn.Module) -> int:
    """Return the size of an encoder's features, which guides need to build their other networks.

    Args:
        encoder: Any module with an attribute `feature_dim`.

    Returns:
        The size.

    Raises:
        TypeError: If the encoder does not tell it as an int.
        ValueError: If it is not positive.

    Example:
        >>> from pyrodis.nn import ConvEncoder
        >>> feature_dim_of(ConvEncoder((1, 8, 8), 4, base_channels=2))
        4
    """
    return check_positive_int("encoder.feature_dim", getattr(encoder, "feature_dim", None))


def join_static(features: torch.Tensor, f: torch.Tensor) -> torch.Tensor:
    """Append the static code to the features of every frame.

    Args:
        features: Features of the frames.
        f: Static codes, which may have more leading dimensions (draws).

    Shape:
        features: (B, T, F); f: (..., B, S).

    Returns:
        Tensor of shape (..., B, T, F + S).

    Example:
        >>> join_static(torch.zeros(2, 5, 4), torch.zeros(10, 2, 3)).shape
        torch.Size([10, 2, 5, 7])
    """
    leading = torch.broadcast_shapes(features.shape[:-2], f.shape[:-1])
    num_frames = features.shape[-2]
    repeated = f.unsqueeze(-2).expand(*leading, num_frames, f.shape[-1])
    return torch.cat([features.expand(*leading, *features.shape[-2:]), repeated], dim=-1)
