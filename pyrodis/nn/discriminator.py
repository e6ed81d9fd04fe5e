"""A discriminator of frames, which shows an inner layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from pyrodis.nn.conv import _SLOPE, _widths, check_frame_shape, flatten_frames
from pyrodis.ops import check_positive_int, full_precision


class FrameDiscriminator(nn.Module):
    r"""Tell real frames from decoded ones, and show what an inner layer sees.

    Halving 4 x 4 convolutions with LeakyReLU(0.2) down to 4 x 4 pixels, then a linear layer to one logit, positive for
    real. Layer i = 0, 1, ... has `base_channels * min(2^i, 8)` channels. All leading dimensions are one batch.

    Every weight has spectral norm 1, estimated by one step of power iteration a call in training mode. So features and
    logits stay within a fixed multiple of the pixels (a convolution here at most doubles a distance), however long the
    discriminator is trained: a distance between features means the same at every step. There is no batch normalization:
    it would tell real from decoded by the statistics of a batch, and make the value of a frame depend on the others.

    Args:
        frame_shape: (C, H, W); H = W, a power of two of at least 8.
        base_channels: Channels after the first convolution.
        feature_layer: After which convolution the features are read, counted from 1; None for the last but one, of
            8 x 8 pixels (frames of 8 x 8 have one convolution alone: 4 x 4).

    Shape:
        (..., C, H, W) to logits (...) and features (..., channels, height, width).

    Raises:
        TypeError: If a size is not an int, or frames and weights are not both of double precision where one is.
        ValueError: If a size is not positive, there is no such layer, frames are not square with a power of two, or
            have another shape.

    Source:
        The discriminator of Radford et al. (2016), with the spectral normalization of Miyato et al. (2018) in place of
        batch normalization.

    Example:
        >>> logits, features = FrameDiscriminator((3, 64, 64), base_channels=4)(torch.zeros(2, 5, 3, 64, 64))
        >>> logits.shape, features.shape
        (torch.Size([2, 5]), torch.Size([2, 5, 16, 8, 8]))
    """

    def __init__(
        self, frame_shape: Sequence[int] = (3, 64, 64), base_channels: int = 32, feature_layer: int | None = None
    ) -> None:
        super().__init__()
        self.frame_shape = check_frame_shape(frame_shape)
        self.base_channels = check_positive_int("base_channels", base_channels)
        widths = _widths(self.frame_shape, base_channels, 2)
        last = max(len(widths) - 1, 1)
        self.feature_layer = last if feature_layer is None else check_positive_int("feature_layer", feature_layer)
        if self.feature_layer > len(widths):
            raise ValueError(
                f"feature_layer must be one of the {len(widths)} convolutions of this frame_shape, got {feature_layer}"
            )
        layers: list[nn.Module] = []
        for inputs, outputs in zip([self.frame_shape[0], *widths], widths):
            convolution = spectral_norm(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1))
            layers.append(nn.Sequential(convolution, nn.LeakyReLU(_SLOPE, inplace=True)))
        head = nn.Sequential(nn.Flatten(), spectral_norm(nn.Linear(16 * widths[-1], 1)))
        self.below = nn.Sequential(*layers[: self.feature_layer])
        self.above = nn.Sequential(*layers[self.feature_layer :], head)

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits of frames, and their features.

        Args:
            frames: Tensor of shape (..., C, H, W).

        Returns:
            Logits (...), positive for real, and features (..., channels, height, width), both in full precision.
        """
        leading = frames.shape[:-3]
        flat = flatten_frames(frames, self.frame_shape, next(self.parameters()))
        features = self.below(flat)
        logits = full_precision(self.above(features))
        return logits.reshape(leading), full_precision(features).reshape(*leading, *features.shape[1:])
