"""Encoder that sees which patches a frame has, neither where nor how many."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from pyrodis.nn.conv import _SLOPE, check_frame_shape, check_num_to_normalize, flatten_frames, max_over_places
from pyrodis.ops import check_positive_int, full_precision


class PatchEncoder(nn.Module):
    r"""Map a frame to features of the set of its patches: a network on each patch, then the maximum over all.

    $$h = \mathrm{norm}\Bigl(\max_{p = 1 \dots P} \phi(x_p)\Bigr)$$

    x_1 .. x_P are the patches of a grid, phi three layers with `base_channels`, `2 base_channels` and `feature_dim`
    channels, the last two with batch normalization, and norm is a batch normalization of the result. Colors come
    through, and textures as far as a patch reaches; pose does not: shuffled patches (`PatchShuffle` of the same size)
    give the same features, with none of its noise, and so do repeated ones. A mean in place of the maximum would tell
    how many patches show a thing, which a turned head or a raised arm changes.

    Args:
        frame_shape: (C, H, W); H = W, a power of two of at least 8.
        feature_dim: Size of the feature vector.
        base_channels: Channels of the first layer.
        patch_size: Side of a patch in pixels; it must divide H. The smaller, the less a patch tells of shape.

    Shape:
        (..., C, H, W) to (..., feature_dim).

    Raises:
        TypeError: If a size is not an int, or frames and weights are not both of double precision where one is.
        ValueError: If a size is not positive, a patch_size leaves a rest, frames have another shape, or there is one
            alone in training.

    Source:
        Bags of patch features as in Brendel and Bethge, BagNet (2019), there with overlapping patches and their mean.

    Example:
        >>> PatchEncoder((3, 64, 64), feature_dim=16, base_channels=4)(torch.zeros(2, 5, 3, 64, 64)).shape
        torch.Size([2, 5, 16])
    """

    def __init__(
        self,
        frame_shape: Sequence[int] = (3, 64, 64),
        feature_dim: int = 256,
        base_channels: int = 32,
        patch_size: int = 2,
    ) -> None:
        super().__init__()
        self.frame_shape = check_frame_shape(frame_shape)
        self.feature_dim = check_positive_int("feature_dim", feature_dim)
        self.base_channels = check_positive_int("base_channels", base_channels)
        self.patch_size = check_positive_int("patch_size", patch_size)
        if self.frame_shape[1] % patch_size:
            raise ValueError(f"patch_size must divide the frame's side {self.frame_shape[1]}, got {patch_size}")
        wide = 2 * base_channels
        self.patches = nn.Sequential(
            nn.Conv2d(self.frame_shape[0], base_channels, patch_size, stride=patch_size),
            nn.LeakyReLU(_SLOPE, inplace=True),
            nn.Conv2d(base_channels, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.LeakyReLU(_SLOPE, inplace=True),
            nn.Conv2d(wide, feature_dim, 1, bias=False),
            nn.BatchNorm2d(feature_dim),
        )
        self.norm = nn.BatchNorm1d(feature_dim)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the features of frames.

        Args:
            frames: Tensor of shape (..., C, H, W).

        Returns:
            Tensor of shape (..., feature_dim), in full precision.
        """
        flat = flatten_frames(frames, self.frame_shape, self.norm.weight)
        check_num_to_normalize(len(flat), self.training)
        # the last activation rises, so it may come after the maximum: once a frame in place of once a patch
        greatest = nn.functional.leaky_relu(max_over_places(self.patches(flat)), _SLOPE)
        return full_precision(self.norm(full_precision(greatest))).reshape(*frames.shape[:-3], -1)
