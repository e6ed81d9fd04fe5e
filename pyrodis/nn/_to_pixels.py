"""The last layer of a decoder: maps of many channels to pixels of few."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

_MOST_CHANNELS = 4  # more were not faster this way on the CPU where it was tried, with 8


class _Interleave(torch.autograd.Function):
    """(N, 4 C, H + 1, W + 1), where channels are (row, column, C), to (N, C, 2 H, 2 W), in one pass.

    Place (i, j) holds the pixels (2 i - 1 + row, 2 j - 1 + column); those outside of the frame are left out.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(places: torch.Tensor) -> torch.Tensor:
        num, _, height, width = places.shape
        height, width = height - 1, width - 1
        parts = places.permute(0, 2, 3, 1).unflatten(-1, (2, 2, -1))
        channels, area = parts.shape[-1], 4 * height * width
        # channels last; what is returned is no view, so that a caller may change it in place
        found = places.new_empty_strided(
            (num, channels, 2 * height, 2 * width), (area * channels, 1, 2 * width * channels, channels)
        )
        pixels = found.permute(0, 2, 3, 1).unflatten(2, (width, 2)).unflatten(1, (height, 2))
        for i in (0, 1):
            for j in (0, 1):
                pixels[:, :, i, :, j] = parts[:, i : height + i, j : width + j, 1 - i, 1 - j]
        return found

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        num, channels, height, width = gradient.shape
        height, width = height // 2, width // 2
        pixels = gradient.permute(0, 2, 3, 1).unflatten(2, (width, 2)).unflatten(1, (height, 2))
        parts = gradient.new_zeros((num, height + 1, width + 1, 2, 2, channels))
        for i in (0, 1):
            for j in (0, 1):
                parts[:, i : height + i, j : width + j, 1 - i, 1 - j] = pixels[:, :, i, :, j]
        return parts.flatten(-3).permute(0, 3, 1, 2)

    @staticmethod
    def jvp(ctx: Any, tangent: torch.Tensor) -> torch.Tensor:
        pixels: torch.Tensor = _Interleave.apply(tangent)
        return pixels


class ToPixels(nn.ConvTranspose2d):
    """A 4 x 4 transposed convolution of stride 2 to pixels, faster on a CPU where they have few channels.

    The same function and the same parameters as `ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)`, computed
    there as one 2 x 2 convolution, whose window between four places makes the four pixels that lie between them; how
    much faster that is, is measured by `benchmarks/pixels.py`.

    Args:
        inputs: Channels of the maps.
        outputs: Channels of a pixel.

    Shape:
        (N, inputs, H, W) to (N, outputs, 2 H, 2 W).

    Example:
        >>> ToPixels(24, 3)(torch.zeros(2, 24, 32, 32)).shape
        torch.Size([2, 3, 64, 64])
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 4, stride=2, padding=1)

    def forward(self, maps: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        """Return the pixels.

        Args:
            maps: Tensor of shape (N, inputs, H, W).
            output_size: As in torch's layer.

        Returns:
            Tensor of shape (N, outputs, 2 H, 2 W).
        """
        bias, plain = self.bias, maps.ndim == 4 and output_size is None
        graph = torch.jit.is_tracing() or torch.compiler.is_compiling()  # which cannot hold a function of Python
        if graph or bias is None or not plain or maps.device.type != "cpu" or self.out_channels > _MOST_CHANNELS:
            return super().forward(maps, output_size)
        # k = 2 h + row is read with the place before (h = 1) or the place itself (h = 0)
        kernel = self.weight.unflatten(3, (2, 2)).unflatten(2, (2, 2)).flip(2, 4)
        kernel = kernel.permute(3, 5, 1, 0, 2, 4).flatten(0, 2)
        places = nn.functional.conv2d(maps, kernel, bias.repeat(4), padding=1)
        found: torch.Tensor = _Interleave.apply(places)
        return found
