"""Convolutional encoder and decoder of frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from pyrodis.nn._to_pixels import ToPixels
from pyrodis.ops import check_positive_int, full_precision, in_parts

_SLOPE = 0.2


class ConvEncoder(nn.Module):
    r"""Map frames to feature vectors: halving 4 x 4 convolutions down to 4 x 4 pixels, then a linear layer.

    All leading dimensions are one batch for the convolutions: clips (B, T, C, H, W) are one call over B T frames.
    Layer i = 0, 1, ... has `base_channels * min(growth^i, 8)` channels.

    Args:
        frame_shape: (C, H, W); H = W, a power of two of at least 8.
        feature_dim: Size of the feature vector.
        base_channels: Channels after the first convolution.
        growth: Factor of the channels from one layer to the next; 1 for the same number everywhere.
        batch_norm: Whether batch normalization follows every convolution but the first.

    Shape:
        (..., C, H, W) to (..., feature_dim).

    Raises:
        TypeError: If a size is not an int, or frames and weights are not both of double precision where one is.
        ValueError: If a size is not positive, frames are not square with a power of two, or have another shape.

    Source:
        The encoder of Radford et al. (2016), with LeakyReLU(0.2) and a feature vector in place of a class score.

    Example:
        >>> ConvEncoder((3, 64, 64), feature_dim=16, base_channels=4)(torch.zeros(2, 5, 3, 64, 64)).shape
        torch.Size([2, 5, 16])
    """

    def __init__(
        self,
        frame_shape: Sequence[int] = (3, 64, 64),
        feature_dim: int = 256,
        base_channels: int = 32,
        growth: int = 2,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        self.frame_shape = check_frame_shape(frame_shape)
        self.feature_dim = check_positive_int("feature_dim", feature_dim)
        self.base_channels = check_positive_int("base_channels", base_channels)
        self.growth = check_positive_int("growth", growth)
        self.batch_norm = batch_norm
        widths = _widths(self.frame_shape, base_channels, growth)
        layers: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(zip([self.frame_shape[0], *widths], widths)):
            norm = batch_norm and i > 0
            layers.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=not norm))
            if norm:
                layers.append(nn.BatchNorm2d(outputs))
            layers.append(nn.LeakyReLU(_SLOPE, inplace=True))
        self.convolutions = nn.Sequential(*layers)
        self.linear = nn.Linear(16 * widths[-1], feature_dim)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the features of frames.

        Args:
            frames: Tensor of shape (..., C, H, W).

        Returns:
            Tensor of shape (..., feature_dim), in full precision.
        """
        leading = frames.shape[:-3]
        flat = flatten_frames(frames, self.frame_shape, self.linear.weight)
        features = self.linear(in_parts(self.convolutions, flat).flatten(1))
        return full_precision(nn.functional.leaky_relu(features, _SLOPE)).reshape(*leading, -1)


class ConvDecoder(nn.Module):
    r"""Map codes to frames: a linear layer to 4 x 4 pixels, then doubling 4 x 4 transposed convolutions.

    The mirror of `ConvEncoder`. The output is unbounded; the likelihood of the model says what it means.

    Args:
        code_dim: Size of the code.
        frame_shape: (C, H, W); H = W, a power of two of at least 8.
        base_channels: Channels before the last transposed convolution.
        growth: Factor of the channels from one layer to the one before; 1 for the same number everywhere.
        batch_norm: Whether batch normalization follows every layer but the last.
        output_bias: The output's value where training starts; -3 for frames on black, whose sigmoid is then near 0.

    Shape:
        (..., code_dim) to (..., C, H, W).

    Raises:
        TypeError: If a size is not an int, or codes and weights are not both of double precision where one is.
        ValueError: If a size is not positive, the bias is not finite, frames are not square with a power of two, or
            codes have another size.

    Source:
        The generator of Radford et al. (2016); its first transposed convolution, on one pixel, is written as the linear
        layer that it is.

    Example:
        >>> ConvDecoder(8, (3, 64, 64), base_channels=4)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 3, 64, 64])
    """

    def __init__(
        self,
        code_dim: int,
        frame_shape: Sequence[int] = (3, 64, 64),
        base_channels: int = 32,
        growth: int = 2,
        batch_norm: bool = True,
        output_bias: float = 0.0,
    ) -> None:
        super().__init__()
        self.code_dim = check_positive_int("code_dim", code_dim)
        self.frame_shape = check_frame_shape(frame_shape)
        self.base_channels = check_positive_int("base_channels", base_channels)
        self.growth = check_positive_int("growth", growth)
        self.batch_norm = batch_norm
        if not math.isfinite(output_bias):
            raise ValueError(f"output_bias must be a finite number, got {output_bias}; 0 is a gray frame")
        self.output_bias = output_bias
        widths = _widths(self.frame_shape, base_channels, growth)[::-1]
        self.linear = nn.Linear(code_dim, 16 * widths[0])
        layers: list[nn.Module] = [nn.BatchNorm2d(widths[0])] if batch_norm else []
        layers.append(nn.LeakyReLU(_SLOPE, inplace=True))
        for inputs, outputs in zip(widths, widths[1:]):
            layers.append(nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=not batch_norm))
            if batch_norm:
                layers.append(nn.BatchNorm2d(outputs))
            layers.append(nn.LeakyReLU(_SLOPE, inplace=True))
        last = ToPixels(widths[-1], self.frame_shape[0])
        torch.nn.init.constant_(cast("torch.Tensor", last.bias), output_bias)
        layers.append(last)
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
                "build the decoder with the sum of the codes' sizes"
            )
        check_frame_dtype("codes", codes, self.linear.weight)
        leading = codes.shape[:-1]
        hidden = self.linear(codes.reshape(-1, self.code_dim)).unflatten(1, (-1, 4, 4))
        output = in_parts(self.convolutions, hidden.contiguous(memory_format=torch.channels_last))
        return full_precision(output).reshape(*leading, *self.frame_shape)


def check_frame_shape(frame_shape: Sequence[int]) -> tuple[int, int, int]:
    """Return (C, H, W) as a tuple if the networks here can be built for it.

    Args:
        frame_shape: What was given.

    Returns:
        The three sizes.

    Raises:
        TypeError: If it is not a sequence of ints.
        ValueError: If it is not three positive sizes with H = W, a power of two of at least 8.

    Example:
        >>> check_frame_shape([3, 64, 64])
        (3, 64, 64)
    """
    if not isinstance(frame_shape, Sequence) or not all(type(size) is int for size in frame_shape):
        raise TypeError(f"frame_shape must be three whole numbers (C, H, W), got {frame_shape!r}")
    shape = tuple(frame_shape)
    good = (
        len(shape) == 3
        and shape[0] >= 1
        and shape[1] == shape[2]
        and shape[1] >= 8
        and math.log2(shape[1]).is_integer()
    )
    if not good:
        raise ValueError(
            f"frame_shape must be (C, H, W) with H = W a power of two of at least 8, got {shape}; resize the frames"
        )
    return shape  # type: ignore[return-value]


def flatten_frames(frames: torch.Tensor, frame_shape: tuple[int, int, int], weight: torch.Tensor) -> torch.Tensor:
    """Return frames as one batch in the layout that convolutions like, if they are of the shape a network is built for.

    Args:
        frames: Tensor of shape (..., C, H, W).
        frame_shape: (C, H, W) of the network.
        weight: A weight of the network.

    Returns:
        Tensor of shape (N, C, H, W), channels last.

    Raises:
        TypeError: If frames or weight are of double precision and the other is not.
        ValueError: If the frames have another shape.

    Example:
        >>> flatten_frames(torch.zeros(2, 5, 1, 8, 8), (1, 8, 8), torch.zeros(1)).shape
        torch.Size([10, 1, 8, 8])
    """
    if frames.shape[-3:] != frame_shape:
        raise ValueError(
            f"frames must have shape (..., C, H, W) = (..., {', '.join(map(str, frame_shape))}), "
            f"got {tuple(frames.shape)}; resize them or build the network for their frame_shape"
        )
    check_frame_dtype("frames", frames, weight)
    return frames.reshape(-1, *frame_shape).contiguous(memory_format=torch.channels_last)


def check_frame_dtype(name: str, value: torch.Tensor, weight: torch.Tensor) -> None:
    """Refuse double precision beside single; the other types are for autocast to convert.

    Args:
        name: Name of the value, for the message.
        value: Frames or codes.
        weight: A weight of the network that is to take them.

    Raises:
        TypeError: If one of the two is of double precision and the other is not.

    Example:
        >>> check_frame_dtype("frames", torch.zeros(1), torch.zeros(1))
    """
    if value.dtype != weight.dtype and torch.float64 in (value.dtype, weight.dtype):
        raise TypeError(
            f"{name} must be {weight.dtype} as the network's weights are, got {value.dtype}; "
            f"use {name}.to({weight.dtype})"
        )


def _widths(frame_shape: tuple[int, int, int], base_channels: int, growth: int) -> list[int]:
    num_layers = int(math.log2(frame_shape[1])) - 2
    return [base_channels * min(growth**i, 8) for i in range(num_layers)]


def check_num_to_normalize(num: int, training: bool) -> None:
    """Refuse a batch of one where statistics of the batch are to normalize it.

    Args:
        num: Rows of the batch.
        training: Whether the network is in training mode.

    Raises:
        ValueError: If it is, and there is one row.

    Example:
        >>> check_num_to_normalize(2, training=True)
    """
    if training and num == 1:
        raise ValueError(
            "batch normalization needs two frames or more a batch in training, got 1; take a batch size that leaves no "
            "clip alone in the last batch, or a view that shows more frames"
        )


def max_over_places(maps: torch.Tensor) -> torch.Tensor:
    """Return the maximum of every channel over all places of a map.

    As `torch.amax`, whose backward pass shares the gradient among equal maxima, and takes many times as long for it on
    a CPU. There one of them has it all; on other devices it is `amax`.

    Args:
        maps: Tensor of shape (N, C, H, W).

    Returns:
        Tensor of shape (N, C).

    Example:
        >>> max_over_places(torch.arange(8.0).reshape(1, 2, 2, 2))
        tensor([[3., 7.]])
    """
    if maps.device.type != "cpu":
        return maps.amax((-2, -1))
    return torch.nn.functional.adaptive_max_pool2d(maps, 1).flatten(1)
