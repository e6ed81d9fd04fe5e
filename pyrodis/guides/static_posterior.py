"""The factor q(f | x) that all guides of a static and a dynamic code share."""

from __future__ import annotations

from typing import Any

import pyro
import torch
from pyro.distributions import Independent, Normal
from torch import nn

from pyrodis.nn import BidirectionalLSTM, LocScale
from pyrodis.ops import check_frames_shape, check_positive_int

INITIAL_SCALE = 0.1  # of every posterior: at 1, the decoder first sees little but noise


class StaticPosterior(nn.Module):
    r"""Diagonal normal q(f | x_{1:T}) from what a reader says of the features of all frames.

    $$q(f \mid x_{1:T}) = \mathcal N(f; \mathrm{loc}(h), \operatorname{diag}\mathrm{scale}(h)^2)$$

    h is the reader's summary; of a bidirectional LSTM, the last states of both directions.

    Args:
        feature_dim: Size of the features of a frame.
        static_dim: S.
        hidden_dim: Size of each direction's state, where there is no reader.
        reader: Module with `summary(features)` (..., T, feature_dim) to (..., summary_dim) and the attribute
            `summary_dim`: `BidirectionalLSTM`, which is taken for None, `MeanReader`, or one's own.

    Shape:
        features (..., T, feature_dim) to a distribution of batch shape (...) and event shape (S).

    Raises:
        TypeError: If the reader has no `summary`, or its `summary_dim` is not an int.
        ValueError: If a size is not positive, or the reader is built for features of another size.

    Example:
        >>> StaticPosterior(4, static_dim=3, hidden_dim=8)(torch.zeros(2, 5, 4)).event_shape
        torch.Size([3])
    """

    def __init__(self, feature_dim: int, static_dim: int, hidden_dim: int, reader: nn.Module | None = None) -> None:
        super().__init__()
        self.reader = check_reader(reader, feature_dim) or BidirectionalLSTM(feature_dim, hidden_dim)
        summary_dim = check_positive_int("static_reader.summary_dim", getattr(self.reader, "summary_dim", None))
        self.head = LocScale(summary_dim, static_dim, INITIAL_SCALE)

    def forward(self, features: torch.Tensor) -> Independent:
        """Return the distribution of f.

        Args:
            features: Tensor of shape (..., T, feature_dim).

        Returns:
            A normal distribution of event shape (S).
        """
        loc, scale = self.head(self.reader.summary(features))  # type: ignore[operator]
        return Normal(loc, scale, validate_args=False).to_event(1)


def check_reader(reader: Any, feature_dim: int) -> nn.Module | None:
    """Return a reader of features if it is a module that can read them, or None.

    Args:
        reader: What was given.
        feature_dim: Size of the features of a frame.

    Returns:
        The reader, unchanged.

    Raises:
        TypeError: If it is no module with a method `summary`.
        ValueError: If it tells an `input_dim` other than feature_dim.

    Example:
        >>> check_reader(None, 4) is None
        True
    """
    if reader is None:
        return None
    if not isinstance(reader, nn.Module) or not callable(getattr(reader, "summary", None)):
        raise TypeError(
            f"static_reader must be a module with a method summary or None, got {type(reader).__name__}; "
            "pass MeanReader(encoder.feature_dim), for example"
        )
    if getattr(reader, "input_dim", feature_dim) != feature_dim:
        raise ValueError(
            f"static_reader.input_dim must be encoder.feature_dim = {feature_dim}, got {reader.input_dim}; "
            f"build the reader with {feature_dim}"
        )
    return reader


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


def make_static(
    encoder: nn.Module,
    static_dim: int | None,
    hidden_dim: int,
    static_view: nn.Module | None,
    dynamic_encoder: nn.Module | None,
    static_reader: nn.Module | None,
) -> StaticPosterior | None:
    """Return the factor q(f | x) of a guide, or None for a guide without f.

    Args:
        encoder: The encoder of f.
        static_dim: S, or None for no static code.
        hidden_dim: Size of each direction's state, where there is no reader.
        static_view: The view of f, None without f.
        dynamic_encoder: The encoder of z alone, None without f.
        static_reader: What summarizes the features of all frames, None without f.

    Returns:
        The factor, or None.

    Raises:
        TypeError: If static_dim is neither an int nor None, or the reader is no reader.
        ValueError: If static_dim is not positive, or there is no f but something that is for f alone.

    Example:
        >>> from pyrodis.nn import ConvEncoder
        >>> make_static(ConvEncoder((1, 8, 8), 4, base_channels=2), None, 8, None, None, None) is None
        True
    """
    if static_dim is not None:
        static_dim = check_positive_int("static_dim", static_dim)
        return StaticPosterior(feature_dim_of(encoder), static_dim, hidden_dim, static_reader)
    given = {"static_view": static_view, "dynamic_encoder": dynamic_encoder, "static_reader": static_reader}
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"{name} must be None without a static code (static_dim=None), got {type(value).__name__}; "
                "encoder and dynamic_view are what z has"
            )
    return None


def sample_static(static: StaticPosterior | None, features: torch.Tensor) -> dict[str, torch.Tensor]:
    """Draw the site "f" inside a guide, if the guide has one.

    Args:
        static: The factor q(f | x), or None.
        features: Features of shape (B, T, feature_dim).

    Returns:
        "f" (B, S), or nothing.

    Example:
        >>> sample_static(None, torch.zeros(2, 5, 4))
        {}
    """
    return {} if static is None else {"f": pyro.sample("f", static(features))}


def join_static(features: torch.Tensor, f: torch.Tensor | None) -> torch.Tensor:
    """Append the static code, where there is one, to the features of every frame.

    Args:
        features: Features of the frames.
        f: Static codes, which may have more leading dimensions (draws), or None.

    Shape:
        features: (B, T, F); f: (..., B, S).

    Returns:
        Tensor of shape (..., B, T, F + S), or the features.

    Example:
        >>> join_static(torch.zeros(2, 5, 4), torch.zeros(10, 2, 3)).shape
        torch.Size([10, 2, 5, 7])
    """
    if f is None:
        return features
    leading = torch.broadcast_shapes(features.shape[:-2], f.shape[:-1])
    num_frames = features.shape[-2]
    repeated = f.unsqueeze(-2).expand(*leading, num_frames, f.shape[-1])
    return torch.cat([features.expand(*leading, *features.shape[-2:]), repeated], dim=-1)
