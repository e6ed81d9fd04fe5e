"""A decoder that knows where each pixel is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from pyrodis.nn.conv import check_frame_dtype, check_frame_shape
from pyrodis.ops import check_positive_int, full_precision, in_parts

_SLOPE = 0.2


class BroadcastDecoder(nn.Module):
    r"""Map codes to frames: the code at every pixel beside the pixel's coordinates, then convolutions of stride 1.

    $$h_{ij} = \mathrm{LeakyReLU}(W c + V p_{ij} + b), \qquad p_{ij} \in [-1, 1]^2$$

    A position in the code is compared with the position of the pixel, so that what moves is the same figure
    everywhere; a decoder that grows a frame out of 4 x 4 pixels has to learn it at each place. The first layer is a
    1 x 1 convolution of the code, tiled over the frame, beside two channels of coordinates. Such a layer is the sum of
    a linear layer of the code and one of the coordinates, and is computed so: nothing is tiled.

    With `broadcast_size` below H, all convolutions run on a smaller grid, and the last one gives each of its pixels a
    square of the frame: half the size costs about a quarter.

    Args:
        code_dim: Size of the code.
        frame_shape: (C, H, W); H = W, a power of two of at least 8.
        channels: Channels of every hidden layer.
        num_layers: Number of 3 x 3 convolutions; a pixel is drawn from 2 num_layers + 1 pixels of the grid each way.
        broadcast_size: Side of the grid, which divides H; None for H itself.
        output_bias: The output's value where training starts; -3 for frames on black, whose sigmoid is then near 0.

    Shape:
        (..., code_dim) to (..., C, H, W).

    Raises:
        TypeError: If a size is not an int, or codes and weights are not both of double precision where one is.
        ValueError: If a size is not positive, the bias is not finite, `broadcast_size` does not divide H, frames are
            not square with a power of two, or codes have another size.

    Source:
        Watters et al., "Spatial Broadcast Decoder" (2019). Theirs begins with a 3 x 3 convolution of the tiled code
        and always runs at the frame's own size.

    Example:
        >>> BroadcastDecoder(4, (1, 32, 32), channels=8, broadcast_size=16)(torch.zeros(2, 5, 4)).shape
        torch.Size([2, 5, 1, 32, 32])
    """

    coordinates: torch.Tensor

    def __init__(
        self,
        code_dim: int,
        frame_shape: Sequence[int] = (3, 64, 64),
        channels: int = 32,
        num_layers: int = 4,
        broadcast_size: int | None = None,
        output_bias: float = 0.0,
    ) -> None:
        super().__init__()
        self.code_dim = check_positive_int("code_dim", code_dim)
        self.frame_shape = check_frame_shape(frame_shape)
        self.channels = check_positive_int("channels", channels)
        self.num_layers = check_positive_int("num_layers", num_layers)
        self.broadcast_size = broadcast_size
        if not math.isfinite(output_bias):
            raise ValueError(f"output_bias must be a finite number, got {output_bias}; 0 is a gray frame")
        self.output_bias = output_bias
        size = _grid_size(broadcast_size, self.frame_shape[1])
        steps = torch.linspace(-1, 1, size)
        grid = torch.stack(torch.meshgrid(steps, steps, indexing="ij"))
        self.register_buffer("coordinates", grid[None], persistent=False)
        self.code_layer = nn.Linear(code_dim, channels)
        self.coordinate_layer = nn.Conv2d(2, channels, 1, bias=False)
        layers: list[nn.Module] = [nn.LeakyReLU(_SLOPE)]
        for _ in range(num_layers):
            layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(_SLOPE, inplace=True)]
        factor = self.frame_shape[1] // size
        last = nn.Conv2d(channels, self.frame_shape[0] * factor**2, 1)
        nn.init.constant_(cast("torch.Tensor", last.bias), output_bias)
        self.convolutions = nn.Sequential(*layers, last, nn.PixelShuffle(factor))

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
        check_frame_dtype("codes", codes, self.code_layer.weight)
        hidden = self.code_layer(codes.reshape(-1, self.code_dim))[..., None, None]
        hidden = hidden + self.coordinate_layer(self.coordinates)
        output = in_parts(self.convolutions, hidden.contiguous(memory_format=torch.channels_last))
        return full_precision(output).reshape(*codes.shape[:-1], *self.frame_shape)


def _grid_size(broadcast_size: int | None, height: int) -> int:
    """Return the side of the grid on which the convolutions run."""
    if broadcast_size is None:
        return height
    if height % check_positive_int("broadcast_size", broadcast_size):
        raise ValueError(
            f"broadcast_size must divide the frames' height {height}, got {broadcast_size}; pass {height // 2}, "
            "for example"
        )
    return broadcast_size
