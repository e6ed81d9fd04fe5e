"""Small convolutional networks for images of any size: convolutions of stride 2, a dense layer, and the way back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from pyrodis.nn.conv import check_frame_dtype, flatten_frames
from pyrodis.ops import check_positive_int, full_precision, in_parts


class StridedEncoder(nn.Module):
    """Map images to feature vectors: 3 x 3 convolutions of stride 2, then a dense layer.

    Every convolution is followed by batch normalization and the activation, and halves both sides, rounding up: images
    of 28 x 56 become 14 x 28 and 7 x 14. The defaults are those of the source for pairs of digits; for scenes it has
    four layers, 256 features and a slope of 0.3.

    Args:
        frame_shape: (C, H, W), of any size.
        widths: Channels after each convolution, from the image on.
        feature_dim: Size of the feature vector, which is activated too.
        negative_slope: Slope of the activation below 0: 0 is ReLU, above it LeakyReLU.
        batch_norm: Whether batch normalization follows every convolution.

    Shape:
        (..., C, H, W) to (..., feature_dim).

    Raises:
        TypeError: If a size is not an int, or images and weights are not both of double precision where one is.
        ValueError: If a size is not positive, the slope is not in [0, 1), or images have another shape.

    Source:
        Stavarache, Multi-model disentanglement of object representations (2019), appendix A, which does not tell the
        widths.

    Example:
        >>> StridedEncoder((1, 28, 56), widths=(4, 8), feature_dim=16)(torch.zeros(2, 1, 1, 28, 56)).shape
        torch.Size([2, 1, 16])
    """

    def __init__(
        self,
        frame_shape: Sequence[int] = (1, 28, 56),
        widths: Sequence[int] = (32, 64),
        feature_dim: int = 64,
        negative_slope: float = 0.0,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        self.frame_shape = _check_frame_shape(frame_shape)
        self.widths = _check_widths(widths)
        self.feature_dim = check_positive_int("feature_dim", feature_dim)
        self.negative_slope = _check_slope(negative_slope)
        self.batch_norm = batch_norm
        layers: list[nn.Module] = []
        for inputs, outputs in zip((self.frame_shape[0], *self.widths), self.widths):
            layers.append(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=not batch_norm))
            if batch_norm:
                layers.append(nn.BatchNorm2d(outputs))
            layers.append(nn.LeakyReLU(negative_slope, inplace=True))
        self.convolutions = nn.Sequential(*layers)
        height, width = _sizes(self.frame_shape, len(self.widths))[-1]
        self.linear = nn.Linear(self.widths[-1] * height * width, feature_dim)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the features of images.

        Args:
            frames: Tensor of shape (..., C, H, W).

        Returns:
            Tensor of shape (..., feature_dim), in full precision.
        """
        flat = flatten_frames(frames, self.frame_shape, self.linear.weight)
        features = self.linear(in_parts(self.convolutions, flat).flatten(1))
        features = nn.functional.leaky_relu(features, self.negative_slope)
        return full_precision(features).reshape(*frames.shape[:-3], -1)


class StridedDecoder(nn.Module):
    """Map codes to images: two dense layers, then 3 x 3 transposed convolutions of stride 2.

    The mirror of `StridedEncoder`, for images of any size. Every layer but the last is followed by the activation,
    every transposed convolution but the last by batch normalization. The output is unbounded; the likelihood of the
    model says what it means.

    Args:
        code_dim: Size of the code.
        frame_shape: (C, H, W), of any size; (C + 1, H, W) for a component of a `ParallelVAE`.
        widths: Channels before each transposed convolution, from the code on.
        hidden_dim: Size of the first dense layer.
        negative_slope: Slope of the activation below 0: 0 is ReLU, above it LeakyReLU.
        batch_norm: Whether batch normalization follows every transposed convolution but the last.
        output_bias: The output's value where training starts; -3 for images on black, whose sigmoid is then near 0.
        kernel_size: Of the transposed convolutions, 3 or 4. With stride 2 a kernel of 3 reaches some pixels from one
            input and others from up to four, which leaves a checkerboard; one of 4 reaches all alike.

    Shape:
        (..., code_dim) to (..., C, H, W).

    Raises:
        TypeError: If a size is not an int, or codes and weights are not both of double precision where one is.
        ValueError: If a size is not positive, the slope is not in [0, 1), the bias is not finite, the kernel is neither
            3 nor 4, or codes have another size.

    Source:
        Stavarache, Multi-model disentanglement of object representations (2019), appendix A, which tells the number of
        layers, kernel (3) and stride; the dense layers mirror the encoder's. Odena, Dumoulin and Olah, Deconvolution
        and checkerboard artifacts (2016), on kernels that strides divide.

    Example:
        >>> StridedDecoder(8, (2, 28, 56), widths=(8, 4), hidden_dim=16)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 2, 28, 56])
    """

    def __init__(
        self,
        code_dim: int,
        frame_shape: Sequence[int] = (2, 28, 56),
        widths: Sequence[int] = (64, 32),
        hidden_dim: int = 64,
        negative_slope: float = 0.0,
        batch_norm: bool = True,
        output_bias: float = 0.0,
        kernel_size: int = 3,
    ) -> None:
        super().__init__()
        self.code_dim = check_positive_int("code_dim", code_dim)
        self.frame_shape = _check_frame_shape(frame_shape)
        self.widths = _check_widths(widths)
        self.hidden_dim = check_positive_int("hidden_dim", hidden_dim)
        self.negative_slope = _check_slope(negative_slope)
        self.batch_norm = batch_norm
        if not math.isfinite(output_bias):
            raise ValueError(f"output_bias must be a finite number, got {output_bias}; 0 is a gray frame")
        self.output_bias = output_bias
        if kernel_size not in (3, 4):
            raise ValueError(f"kernel_size must be 3, or 4, which reaches all pixels alike, got {kernel_size}")
        self.kernel_size = kernel_size
        sizes = _sizes(self.frame_shape, len(self.widths))[::-1]
        self.start = (self.widths[0], *sizes[0])
        activation = nn.LeakyReLU(negative_slope)
        self.linear = nn.Linear(code_dim, hidden_dim)
        self.dense = nn.Sequential(activation, nn.Linear(hidden_dim, math.prod(self.start)), activation)
        layers: list[nn.Module] = []
        for i, outputs in enumerate((*self.widths[1:], self.frame_shape[0])):
            last = i == len(self.widths) - 1
            height, width = sizes[i + 1]
            bias = last or not batch_norm
            # Which of the two sizes that halve to one: a kernel of 3 has to add a row for the even one, 4 for the odd.
            padding = (1, 1) if kernel_size == 3 else (1 + height % 2, 1 + width % 2)
            added = (1 - height % 2, 1 - width % 2) if kernel_size == 3 else (height % 2, width % 2)
            layers.append(nn.ConvTranspose2d(self.widths[i], outputs, kernel_size, 2, padding, added, bias=bias))
            if not last:
                layers += [nn.BatchNorm2d(outputs)] if batch_norm else []
                layers.append(nn.LeakyReLU(negative_slope, inplace=True))
        nn.init.constant_(cast("torch.Tensor", layers[-1].bias), output_bias)
        self.convolutions = nn.Sequential(*layers)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the unbounded output for codes.

        Args:
            codes: Tensor of shape (..., code_dim).

        Returns:
            Tensor of shape (..., C, H, W), in full precision.
        """
        if codes.shape[-1:] != (self.code_dim,):
            raise ValueError(
                f"codes must have shape (..., code_dim) = (..., {self.code_dim}), got {tuple(codes.shape)}; "
                "build the decoder with the size of the code"
            )
        check_frame_dtype("codes", codes, self.linear.weight)
        hidden = self.dense(self.linear(codes.reshape(-1, self.code_dim))).unflatten(1, self.start)
        output = in_parts(self.convolutions, hidden.contiguous(memory_format=torch.channels_last))
        return full_precision(output).reshape(*codes.shape[:-1], *self.frame_shape)


def _check_frame_shape(frame_shape: Sequence[int]) -> tuple[int, int, int]:
    if not isinstance(frame_shape, Sequence) or not all(type(size) is int for size in frame_shape):
        raise TypeError(f"frame_shape must be three whole numbers (C, H, W), got {frame_shape!r}")
    if len(frame_shape) != 3 or min(frame_shape) < 1:
        raise ValueError(
            f"frame_shape must be three positive sizes (C, H, W), got {tuple(frame_shape)}; pass (1, 28, 56), say"
        )
    channels, height, width = frame_shape
    return channels, height, width


def _check_widths(widths: Sequence[int]) -> tuple[int, ...]:
    if not isinstance(widths, Sequence) or isinstance(widths, str):
        raise TypeError(f"widths must be channels, one number a layer, got {widths!r}; pass (32, 64), say")
    if not widths:
        raise ValueError("widths must hold the channels of at least one layer, got none; pass (32, 64), say")
    return tuple(check_positive_int(f"widths[{i}]", width) for i, width in enumerate(widths))


def _check_slope(slope: float) -> float:
    if isinstance(slope, bool) or not isinstance(slope, (int, float)):
        raise TypeError(f"negative_slope must be a number, got {slope!r} of type {type(slope).__name__}")
    if not 0 <= slope < 1:
        raise ValueError(f"negative_slope must be in [0, 1), got {slope}; 0 is ReLU")
    return float(slope)


def _sizes(frame_shape: tuple[int, int, int], num_layers: int) -> list[tuple[int, int]]:
    """Height and width of the image and after each halving, rounded up."""
    sizes = [frame_shape[1:]]
    for _ in range(num_layers):
        height, width = sizes[-1]
        sizes.append(((height + 1) // 2, (width + 1) // 2))
    return sizes
