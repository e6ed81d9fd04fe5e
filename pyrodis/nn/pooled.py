"""Convolutional networks with pooling and upsampling, and an encoder that is blind to place by construction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import nn

from pyrodis.nn.conv import check_frame_dtype, check_num_to_normalize, flatten_frames, max_over_places
from pyrodis.nn.strided import _check_frame_shape, _check_widths
from pyrodis.ops import check_positive_int, full_precision, in_parts


class PooledEncoder(nn.Module):
    """Map frames to feature vectors: blocks of convolution, ReLU, batch normalization and a maximum over 2 x 2 pixels.

    The features are all that the last block leaves, side by side; the linear layer that makes a code of them is the
    head of the guide.

    Args:
        frame_shape: (C, H, W); H and W must be multiples of 2 to the number of blocks.
        widths: Channels after each block.
        kernel_size: Side of the convolutions' windows, an odd number.

    Shape:
        (..., C, H, W) to (..., feature_dim), feature_dim = widths[-1] * H / 2^blocks * W / 2^blocks.

    Raises:
        TypeError: If a size is not an int, or frames and weights are not both of double precision where one is.
        ValueError: If a size is not positive, the kernel is even, H or W is not such a multiple, or frames have another
            shape.

    Source:
        Mantel, Disentangling Motion from Identity with Barlow Twins Autoencoders (2021), section 2.2, which tells the
        layers, not widths and windows.

    Example:
        >>> PooledEncoder((1, 64, 64), widths=(2, 4, 4))(torch.zeros(2, 5, 1, 64, 64)).shape
        torch.Size([2, 5, 256])
    """

    def __init__(
        self, frame_shape: Sequence[int] = (1, 64, 64), widths: Sequence[int] = (32, 64, 64), kernel_size: int = 3
    ) -> None:
        super().__init__()
        self.widths = _check_widths(widths)
        self.frame_shape = _check_multiple(frame_shape, 2 ** len(self.widths))
        self.kernel_size = _check_odd("kernel_size", kernel_size)
        layers: list[nn.Module] = []
        for inputs, outputs in zip((self.frame_shape[0], *self.widths), self.widths):
            layers += _block(inputs, outputs, kernel_size, "zeros")
            layers.append(nn.MaxPool2d(2))
        self.blocks = nn.Sequential(*layers)
        _, height, width = self.frame_shape
        self.feature_dim = self.widths[-1] * (height * width // 4 ** len(self.widths))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the features of frames.

        Args:
            frames: Tensor of shape (..., C, H, W).

        Returns:
            Tensor of shape (..., feature_dim), in full precision.
        """
        flat = flatten_frames(frames, self.frame_shape, next(self.parameters()))
        return full_precision(in_parts(self.blocks, flat).flatten(1)).reshape(*frames.shape[:-3], -1)


class PlaceBlindEncoder(nn.Module):
    r"""Map frames to features of what is in them, wherever it is: a network on windows, then the maximum over places.

    $$h = \mathrm{norm}\Bigl(\max_{i, j} \phi(x)_{ij}\Bigr)$$

    phi are blocks as of `PooledEncoder` without the last pooling, then a 1 x 1 convolution to `feature_dim` channels;
    norm is a batch normalization. phi(x)_ij sees a window of `receptive_field` pixels a side, 32 by default: about one
    digit, so that what is said of a digit is said of all of it, and little is said of two digits together, which would
    tell how they stand. Padding is circular: no border tells a window where it is. So h is the same for every circular
    shift of the frame by a multiple of `stride` pixels, 4 by default; what of the place is left within those few
    pixels, a `RandomShift(stride, per_frame=True, circular=True)` before it blurs.

    It does not count: two things that look alike are one.

    Args:
        frame_shape: (C, H, W); H and W must be multiples of the stride, 2 to the number of widths less one.
        feature_dim: Size of the feature vector.
        widths: Channels after each block.
        kernel_size: Side of the convolutions' windows, an odd number.

    Shape:
        (..., C, H, W) to (..., feature_dim).

    Raises:
        TypeError: If a size is not an int, or frames and weights are not both of double precision where one is.
        ValueError: If a size is not positive, the kernel is even, H or W is not such a multiple, or frames have another
            shape.

    Source:
        The maximum over places is that of Oquab et al., Is Object Localization for Free? (2015). `PatchEncoder` is the
        same for small patches of a grid.

    Example:
        >>> encoder = PlaceBlindEncoder((1, 64, 64), feature_dim=16, widths=(2, 4, 4))
        >>> encoder(torch.zeros(2, 5, 1, 64, 64)).shape, encoder.stride, encoder.receptive_field
        (torch.Size([2, 5, 16]), 4, 32)
    """

    def __init__(
        self,
        frame_shape: Sequence[int] = (1, 64, 64),
        feature_dim: int = 128,
        widths: Sequence[int] = (32, 64, 64),
        kernel_size: int = 5,
    ) -> None:
        super().__init__()
        self.widths = _check_widths(widths)
        self.frame_shape = _check_multiple(frame_shape, 2 ** (len(self.widths) - 1))
        self.feature_dim = check_positive_int("feature_dim", feature_dim)
        self.kernel_size = _check_odd("kernel_size", kernel_size)
        smallest = min(self.frame_shape[1:]) // self.stride
        if kernel_size // 2 > smallest:
            raise ValueError(
                f"kernel_size must be at most {2 * smallest + 1} for frames of {self.frame_shape}, got {kernel_size}; "
                "circular padding takes no more than the frame"
            )
        layers: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(zip((self.frame_shape[0], *self.widths), self.widths)):
            layers += [nn.MaxPool2d(2)] if i else []
            layers += _block(inputs, outputs, kernel_size, "circular")
        layers.append(nn.Conv2d(self.widths[-1], feature_dim, 1))
        self.blocks = nn.Sequential(*layers)
        self.norm = nn.BatchNorm1d(feature_dim)

    @property
    def stride(self) -> int:
        """By how many pixels, and multiples of them, a frame may be shifted without a change."""
        return 2 ** (len(self.widths) - 1)

    @property
    def receptive_field(self) -> int:
        """Side of the window that one place sees, in pixels."""
        side = 1
        for i in range(len(self.widths)):
            side += (self.kernel_size - 1) * 2**i + (2 ** (i - 1) if i else 0)
        return side

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the features of frames.

        Args:
            frames: Tensor of shape (..., C, H, W).

        Returns:
            Tensor of shape (..., feature_dim), in full precision.
        """
        flat = flatten_frames(frames, self.frame_shape, self.norm.weight)
        check_num_to_normalize(len(flat), self.training)
        features = self.norm(full_precision(max_over_places(in_parts(self.blocks, flat))))
        return full_precision(features).reshape(*frames.shape[:-3], -1)


class UpsampleDecoder(nn.Module):
    """Map codes to frames: a linear layer, then blocks of upsampling and transposed convolution.

    The mirror of `PooledEncoder`. Every block doubles both sides by repeating pixels; all but the last go on with ReLU
    and batch normalization. The output is unbounded: the sigmoid is that of `NormalPixels`, the model's likelihood.

    Args:
        code_dim: Size of the code.
        frame_shape: (C, H, W); H and W must be multiples of 2 to the number of blocks.
        widths: Channels before each block.
        kernel_size: Side of the convolutions' windows, an odd number.
        output_bias: The output's value where training starts; -3 for frames on black, whose sigmoid is then near 0.

    Shape:
        (..., code_dim) to (..., C, H, W).

    Raises:
        TypeError: If a size is not an int, or codes and weights are not both of double precision where one is.
        ValueError: If a size is not positive, the kernel is even, H or W is not such a multiple, the bias is not
            finite, or codes have another size.

    Source:
        Mantel, Disentangling Motion from Identity with Barlow Twins Autoencoders (2021), section 2.2, which tells the
        layers, not widths and windows.

    Example:
        >>> UpsampleDecoder(6, (1, 64, 64), widths=(4, 4, 2))(torch.zeros(2, 5, 6)).shape
        torch.Size([2, 5, 1, 64, 64])
    """

    def __init__(
        self,
        code_dim: int,
        frame_shape: Sequence[int] = (1, 64, 64),
        widths: Sequence[int] = (64, 64, 32),
        kernel_size: int = 3,
        output_bias: float = 0.0,
    ) -> None:
        super().__init__()
        self.code_dim = check_positive_int("code_dim", code_dim)
        self.widths = _check_widths(widths)
        self.frame_shape = _check_multiple(frame_shape, 2 ** len(self.widths))
        self.kernel_size = _check_odd("kernel_size", kernel_size)
        if not math.isfinite(output_bias):
            raise ValueError(f"output_bias must be a finite number, got {output_bias}; 0 is a gray frame")
        self.output_bias = output_bias
        channels, height, width = self.frame_shape
        factor = 2 ** len(self.widths)
        self.start = (self.widths[0], height // factor, width // factor)
        self.linear = nn.Linear(code_dim, math.prod(self.start))
        layers: list[nn.Module] = []
        for inputs, outputs in zip(self.widths, (*self.widths[1:], channels)):
            layers += [nn.ReLU(inplace=True), nn.BatchNorm2d(inputs)] if layers else []
            layers.append(nn.Upsample(scale_factor=2))
            layers.append(nn.ConvTranspose2d(inputs, outputs, kernel_size, padding=kernel_size // 2))
        nn.init.constant_(cast("torch.Tensor", layers[-1].bias), output_bias)
        self.blocks = nn.Sequential(*layers)

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
                "build the decoder with the size of the joined codes"
            )
        check_frame_dtype("codes", codes, self.linear.weight)
        hidden = self.linear(codes.reshape(-1, self.code_dim)).unflatten(1, self.start)
        output = in_parts(self.blocks, hidden.contiguous(memory_format=torch.channels_last))
        return full_precision(output).reshape(*codes.shape[:-1], *self.frame_shape)


def _block(inputs: int, outputs: int, kernel_size: int, padding_mode: Literal["zeros", "circular"]) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2, padding_mode=padding_mode)
    return [convolution, nn.ReLU(inplace=True), nn.BatchNorm2d(outputs)]


def _check_odd(name: str, value: int) -> int:
    if check_positive_int(name, value) % 2 == 0:
        raise ValueError(f"{name} must be an odd number, got {value}; an even window has no middle")
    return value


def _check_multiple(frame_shape: Sequence[int], factor: int) -> tuple[int, int, int]:
    """(C, H, W) whose sides can be halved as often as the network does."""
    shape = _check_frame_shape(frame_shape)
    if shape[1] % factor or shape[2] % factor:
        raise ValueError(
            f"frame_shape must be (C, H, W) with H and W multiples of {factor}, one halving for each block, "
            f"got {shape}; take fewer widths, or frames of another size"
        )
    return shape
