"""What the outputs of several decoders mean together: distributions of an image under masks."""

from __future__ import annotations

import math

import torch
from torch import nn

from pyrodis.distributions import MaskWeightedNormal, PixelMixture
from pyrodis.ops import check_positive_number


class MaskedNormal(nn.Module):
    """The squared error of every component, weighted by its mask, as an expected log-likelihood.

    Components are the sigmoids of what decoders give; masks are the softmax over components of their confidences. See
    `pyrodis.distributions.MaskWeightedNormal`, which is no normalized density. With the default scale it is the loss of
    the source, less a constant, and beta and the weight of the entropy penalty mean what they mean there.

    Args:
        scale: Standard deviation of a pixel, in units of pixels in [0, 1].

    Shape:
        output (..., K, C, H, W) and confidence (..., K, H, W) to a distribution of batch shape (...) and event shape
        (1, C, H, W).

    Raises:
        TypeError: If the scale is not a number.
        ValueError: If the scale is not above 0.

    Source:
        Stavarache, Multi-model disentanglement of object representations (2019), equation of the loss.

    Example:
        >>> MaskedNormal()(torch.zeros(2, 3, 1, 8, 8), torch.zeros(2, 3, 8, 8)).mean.shape
        torch.Size([2, 1, 1, 8, 8])
    """

    def __init__(self, scale: float = math.sqrt(0.5)) -> None:
        super().__init__()
        self.scale = check_positive_number("scale", scale)

    def forward(self, output: torch.Tensor, confidence: torch.Tensor) -> MaskWeightedNormal:
        """Return the distribution of an image.

        Args:
            output: What decoders give, (..., K, C, H, W).
            confidence: Their confidences, (..., K, H, W).

        Returns:
            A distribution with `loc`, the components, and `masks`.
        """
        return MaskWeightedNormal(output.sigmoid(), confidence, self.scale, validate_args=False)


class MixturePixels(nn.Module):
    """Pixels that are each of one component: a proper mixture density of the image.

    Components are the sigmoids of what decoders give; masks are the softmax over components of their confidences. See
    `pyrodis.distributions.PixelMixture`. The smaller the scale, the more a pixel belongs to one component alone.

    Args:
        scale: Standard deviation of a pixel around its component, in units of pixels in [0, 1].

    Shape:
        output (..., K, C, H, W) and confidence (..., K, H, W) to a distribution of batch shape (...) and event shape
        (1, C, H, W).

    Raises:
        TypeError: If the scale is not a number.
        ValueError: If the scale is not above 0.

    Source:
        Burgess et al., MONet (2019), whose background has a scale of its own; Greff et al., IODINE (2019).

    Example:
        >>> MixturePixels(0.1)(torch.zeros(2, 3, 1, 8, 8), torch.zeros(2, 3, 8, 8)).mean.shape
        torch.Size([2, 1, 1, 8, 8])
    """

    def __init__(self, scale: float = 0.1) -> None:
        super().__init__()
        self.scale = check_positive_number("scale", scale)

    def forward(self, output: torch.Tensor, confidence: torch.Tensor) -> PixelMixture:
        """Return the distribution of an image.

        Args:
            output: What decoders give, (..., K, C, H, W).
            confidence: Their confidences, (..., K, H, W).

        Returns:
            A distribution with `loc`, the components, and `masks`.
        """
        return PixelMixture(output.sigmoid(), confidence, self.scale, validate_args=False)
