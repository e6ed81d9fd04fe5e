"""An encoder whose features of a frame tell only how it differs from the clip's other frames."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from pyrodis.ops import check_positive_int


class SubtractMean(nn.Module):
    r"""An encoder minus its mean over the frames of a clip.

    $$h_t = e(x_t) - \frac{1}{T} \sum_{s=1}^{T} e(x_s)$$

    What e says of every frame alike is gone from h, whatever it is: a color that stays, and a direction that stays as
    well. As the `dynamic_encoder` of a guide it keeps from z what adds the same to all features. e is not linear in the
    pixels, so a pose may still be told differently for different appearances. Every h_t depends on all frames.

    Args:
        encoder: Maps frames (..., C, H, W) to features (..., encoder.feature_dim).

    Shape:
        (..., T, C, H, W) to (..., T, feature_dim); a clip of one frame gives 0.

    Raises:
        TypeError: If the encoder is no module or does not tell its `feature_dim` as an int.
        ValueError: If the frames have no time dimension.

    Source:
        After Berman et al., Sequential Disentanglement by Extracting Static Information From A Single Sequence Element
        (2024), who subtract a static code that they read off one frame; here it is the mean over all.

    Example:
        >>> from pyrodis.nn import ConvEncoder
        >>> encoder = SubtractMean(ConvEncoder((1, 8, 8), 4, base_channels=2))
        >>> encoder(torch.rand(2, 5, 1, 8, 8)).sum(1).abs().max() < 1e-5
        tensor(True)
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        if not isinstance(encoder, nn.Module):
            raise TypeError(f"encoder must be a module from frames to features, got {type(encoder).__name__}")
        self.encoder = encoder
        self.feature_dim = check_positive_int("encoder.feature_dim", getattr(encoder, "feature_dim", None))
        self.frame_shape: Any = getattr(encoder, "frame_shape", None)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the features of clips.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of shape (..., T, feature_dim), of mean 0 over the frames.
        """
        if frames.ndim < 4:
            raise ValueError(
                f"frames must have shape (..., T, C, H, W), got {tuple(frames.shape)}; add a time dimension to images"
            )
        features = self.encoder(frames)
        return features - features.mean(-2, keepdim=True)
