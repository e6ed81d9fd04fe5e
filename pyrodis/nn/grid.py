"""Networks of codes that are laid out in space: a few latents in each cell of a grid, and no dense layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn
from torch.nn.functional import softplus

from pyrodis.nn.conv import check_frame_dtype, flatten_frames
from pyrodis.nn.heads import MIN_SCALE, inverse_softplus
from pyrodis.nn.strided import _check_frame_shape, _check_slope, _check_widths
from pyrodis.ops import check_positive_int, check_positive_number, full_precision, without_autocast


class GridEncoder(nn.Module):
    """Map frames to what a code on a grid needs: convolutions down to grid x grid cells of 2 c channels each.

    One 3 x 3 convolution for each width, of stride 2 until the grid is reached, then two more on the grid, all but the
    last with batch normalization and LeakyReLU. There is no dense layer: a cell hears of the frame around it alone, and
    all cells share their weights, so that what is learned of an object at one place holds at the others. The features
    are the channels one after the other, c of the locs and then c of the raw scales, which `GridLocScale` splits.

    Args:
        frame_shape: (C, H, W); each side must be the grid's side times a power of two, with at most one halving for
            each width.
        latent_channels: c, the latents of a cell.
        grid: Side of the grid, in cells.
        widths: Channels after each convolution, from the frame on.
        negative_slope: Slope of the activation below 0: 0 is ReLU, above it LeakyReLU.
        batch_norm: Whether batch normalization follows every convolution but the last.

    Shape:
        (..., C, H, W) to (..., feature_dim), feature_dim = 2 c grid^2.

    Raises:
        TypeError: If a size is not an int, or frames and weights are not both of double precision where one is.
        ValueError: If a size is not positive, the slope is not in [0, 1), halvings do not lead to the grid, or frames
            have another shape.

    Example:
        >>> encoder = GridEncoder((3, 64, 64), latent_channels=4, widths=(2, 4, 8))
        >>> encoder(torch.zeros(2, 1, 3, 64, 64)).shape
        torch.Size([2, 1, 512])
    """

    def __init__(
        self,
        frame_shape: Sequence[int] = (3, 64, 64),
        latent_channels: int = 4,
        grid: int = 8,
        widths: Sequence[int] = (16, 32, 64),
        negative_slope: float = 0.3,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        self.frame_shape = _check_frame_shape(frame_shape)
        self.latent_channels = check_positive_int("latent_channels", latent_channels)
        self.grid = check_positive_int("grid", grid)
        self.widths = _check_widths(widths)
        self.negative_slope = _check_slope(negative_slope)
        self.batch_norm = batch_norm
        self.feature_dim = 2 * latent_channels * grid**2
        layers: list[nn.Module] = []
        strides = [*_strides(self.frame_shape, grid, len(self.widths)), (1, 1)]
        outputs = (*self.widths, self.widths[-1])
        for before, after, stride in zip((self.frame_shape[0], *self.widths), outputs, strides):
            layers.append(nn.Conv2d(before, after, 3, stride, padding=1, bias=not batch_norm))
            layers += _rest(after, negative_slope, batch_norm)
        self.convolutions = nn.Sequential(*layers, nn.Conv2d(self.widths[-1], 2 * latent_channels, 3, padding=1))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the features of frames.

        Args:
            frames: Tensor of shape (..., C, H, W).

        Returns:
            Tensor of shape (..., feature_dim), in full precision.
        """
        return self._from_maps(self.convolutions(self._to_maps(frames)), frames)

    def _to_maps(self, frames: torch.Tensor) -> torch.Tensor:
        """Return what `convolutions` reads of frames (..., C, H, W): one batch (N, C, H, W)."""
        return flatten_frames(frames, self.frame_shape, next(self.parameters()))

    def _from_maps(self, maps: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Return the features (..., feature_dim) of frames (..., C, H, W), of what `convolutions` made of them."""
        return full_precision(maps.flatten(1)).reshape(*frames.shape[:-3], -1)


class GridLocScale(nn.Module):
    r"""Split features into the loc and scale of a normal distribution, in full precision: a head without weights.

    $$(\mathrm{loc}, r) = h, \qquad \mathrm{scale} = 10^{-4} + \operatorname{softplus}(r + c)$$

    The first half of the features is loc. The constant c makes the scale `initial_scale` where r is zero, and the floor
    1e-4 keeps densities finite, as in `LocScale`, whose linear layer would connect every latent with every cell.

    Args:
        initial_scale: Scale where training starts.

    Shape:
        features (..., 2 D) to loc (..., D) and scale (..., D).

    Raises:
        TypeError: If the scale is not a number.
        ValueError: If the scale is not positive, or the number of features is odd.

    Example:
        >>> loc, scale = GridLocScale()(torch.zeros(3, 8))
        >>> loc.shape, [round(float(value), 4) for value in scale[0]]
        (torch.Size([3, 4]), [0.1001, 0.1001, 0.1001, 0.1001])
    """

    def __init__(self, initial_scale: float = 0.1) -> None:
        super().__init__()
        self.initial_scale = check_positive_number("initial_scale", initial_scale)
        self.offset = inverse_softplus(self.initial_scale)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return loc and scale.

        Args:
            features: Tensor of shape (..., 2 D).

        Returns:
            loc and scale, each of shape (..., D).
        """
        if features.shape[-1] % 2:
            raise ValueError(
                f"features must hold a loc and a raw scale for each latent, got an odd number, {features.shape[-1]}; "
                "take those of a GridEncoder"
            )
        with without_autocast(features):
            loc, raw = full_precision(features).chunk(2, dim=-1)
            return loc, MIN_SCALE + softplus(raw + self.offset)


class GridDecoder(nn.Module):
    """Map codes that lie on a grid to frames: convolutions on the grid, then transposed ones up to the frame.

    The mirror of `GridEncoder`. The code is c channels of grid x grid cells, one channel after the other; two more tell
    each cell where it is. Two 3 x 3 convolutions on the grid follow, then one transposed convolution for each width,
    which doubles the sides, where they still have to. A pixel is drawn by the cells around it alone. The output is
    unbounded; the likelihood of the model says what it means.

    Args:
        latent_channels: c, the latents of a cell.
        frame_shape: (C, H, W), as of `GridEncoder`; (C + 1, H, W) for a component of a `ParallelVAE`.
        grid: Side of the grid, in cells.
        widths: Channels before each transposed convolution, from the code on.
        negative_slope: Slope of the activation below 0: 0 is ReLU, above it LeakyReLU.
        batch_norm: Whether batch normalization follows every layer but the last.
        output_bias: The output's value where training starts; -3 for frames on black, whose sigmoid is then near 0.

    Shape:
        (..., code_dim) to (..., C, H, W), code_dim = c grid^2.

    Raises:
        TypeError: If a size is not an int, or codes and weights are not both of double precision where one is.
        ValueError: If a size is not positive, the slope is not in [0, 1), the bias is not finite, doublings do not lead
            from the grid to the frame, or codes have another size.

    Source:
        The coordinates beside the code are those of Watters et al., "Spatial Broadcast Decoder" (2019), where a code
        without places is repeated at every pixel.

    Example:
        >>> decoder = GridDecoder(4, (4, 64, 64), widths=(8, 4, 2))
        >>> decoder(torch.zeros(2, 5, decoder.code_dim)).shape
        torch.Size([2, 5, 4, 64, 64])
    """

    coordinates: torch.Tensor

    def __init__(
        self,
        latent_channels: int = 4,
        frame_shape: Sequence[int] = (3, 64, 64),
        grid: int = 8,
        widths: Sequence[int] = (64, 32, 16),
        negative_slope: float = 0.3,
        batch_norm: bool = True,
        output_bias: float = 0.0,
    ) -> None:
        super().__init__()
        self.latent_channels = check_positive_int("latent_channels", latent_channels)
        self.frame_shape = _check_frame_shape(frame_shape)
        self.grid = check_positive_int("grid", grid)
        self.widths = _check_widths(widths)
        self.negative_slope = _check_slope(negative_slope)
        self.batch_norm = batch_norm
        if not math.isfinite(output_bias):
            raise ValueError(f"output_bias must be a finite number, got {output_bias}; 0 is a gray frame")
        self.output_bias = output_bias
        self.code_dim = latent_channels * grid**2
        steps = torch.linspace(-1, 1, grid)
        places = torch.stack(torch.meshgrid(steps, steps, indexing="ij"))
        self.register_buffer("coordinates", places[None], persistent=False)
        layers: list[nn.Module] = []
        for before in (latent_channels + 2, self.widths[0]):
            layers.append(nn.Conv2d(before, self.widths[0], 3, padding=1, bias=not batch_norm))
            layers += _rest(self.widths[0], negative_slope, batch_norm)
        strides = _strides(self.frame_shape, grid, len(self.widths))[::-1]
        for before, after, stride in zip(self.widths, self.widths[1:], strides):
            layers.append(_transposed(before, after, stride, bias=not batch_norm))
            layers += _rest(after, negative_slope, batch_norm)
        last = _transposed(self.widths[-1], self.frame_shape[0], strides[-1], bias=True)
        nn.init.constant_(cast("torch.Tensor", last.bias), output_bias)
        self.convolutions = nn.Sequential(*layers, last)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the unbounded output for codes.

        Args:
            codes: Tensor of shape (..., code_dim).

        Returns:
            Tensor of shape (..., C, H, W), in full precision.
        """
        return self._from_maps(self.convolutions(self._to_maps(codes)), codes)

    def _to_maps(self, codes: torch.Tensor) -> torch.Tensor:
        """Return what `convolutions` reads of codes (..., code_dim): cells and their places, (N, c + 2, grid, grid)."""
        if codes.shape[-1:] != (self.code_dim,):
            raise ValueError(
                f"codes must have shape (..., code_dim) = (..., {self.code_dim}), got {tuple(codes.shape)}; "
                f"{self.latent_channels} latents in each of {self.grid} x {self.grid} cells are {self.code_dim}"
            )
        check_frame_dtype("codes", codes, next(self.parameters()))
        cells = codes.reshape(-1, self.latent_channels, self.grid, self.grid)
        places = self.coordinates.to(cells.dtype).expand(len(cells), -1, -1, -1)
        return torch.cat([cells, places], 1).contiguous(memory_format=torch.channels_last)

    def _from_maps(self, maps: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Return the output (..., C, H, W) for codes (..., code_dim), of what `convolutions` made of them."""
        return full_precision(maps).reshape(*codes.shape[:-1], *self.frame_shape)


def _rest(channels: int, slope: float, batch_norm: bool) -> list[nn.Module]:
    """What follows a convolution."""
    norm: list[nn.Module] = [nn.BatchNorm2d(channels)] if batch_norm else []
    return [*norm, nn.LeakyReLU(slope, inplace=True)]


def _transposed(before: int, after: int, stride: tuple[int, int], bias: bool) -> nn.ConvTranspose2d:
    """The transposed convolution that multiplies each side by its stride, 1 or 2."""
    kernel = (2 + stride[0], 2 + stride[1])
    return nn.ConvTranspose2d(before, after, kernel, stride, padding=1, bias=bias)


def _strides(frame_shape: tuple[int, int, int], grid: int, num_layers: int) -> list[tuple[int, int]]:
    """Strides of the layers from the frame to the grid, along H and W: 2 until the grid is reached, then 1."""
    halvings = []
    for side in frame_shape[1:]:
        number = (side // grid).bit_length() - 1
        if number < 0 or number > num_layers or side != grid * 2**number:
            raise ValueError(
                f"frame_shape must have sides of {grid} x 2^n pixels, where grid = {grid} and n is from 0 to "
                f"{num_layers}, one halving for each of widths, got {frame_shape}; take another grid or more widths"
            )
        halvings.append(number)
    return [(1 + (i < halvings[0]), 1 + (i < halvings[1])) for i in range(num_layers)]
