"""A decoder that draws each part from its own code, and puts it where its own place is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from pyrodis.nn._placing import (
    check_bias,
    check_patch_size,
    check_what_dim,
    overlay,
    patch_layers,
    places_of,
    room_of,
    split_codes,
)
from pyrodis.nn.strided import _check_frame_shape, _check_widths
from pyrodis.ops import check_positive_int, full_precision


class PartsDecoder(nn.Module):
    r"""Map codes of what and where to frames: M parts, each drawn from its share of what and put at its own place.

    $$\hat x = 1 - (1 - \epsilon) \prod_{m=1}^{M} \bigl(1 - (1 - \epsilon)\, T_{(x_m, y_m)}\, \sigma(f(\mathrm{what}_m))
    \bigr), \qquad (x_m, y_m) = \Phi(\mathrm{where}_m)\, (W - P, H - P)$$

    It is `PlacedDecoder`, whose overlay and whose translation T it has, with two differences. what is M codes side by
    side, and one network f draws every patch from its own: parts are of one kind, and to exchange the codes of two of
    them and their places leaves the frame as it is. And where is the places themselves, x and y of part after part, by
    the distribution function of the standard normal: no network is between, so that a guide knows from where at which
    pixels a part is, and under the standard normal prior every place of the frame is equally likely.

    Args:
        what_dim: S, size of the code of what, which comes first: M codes of S / M.
        frame_shape: (C, H, W).
        num_parts: M.
        patch_size: P, side of a patch in pixels: a multiple of 2 to the number of widths, at most H and W.
        widths: Channels before each transposed convolution; each doubles the side.
        hidden_dim: Hidden units of f.
        output_bias: Logit of a patch where training starts.

    Shape:
        (..., S + 2 M) to (..., C, H, W).

    Raises:
        TypeError: If a size is not an int, or codes and weights are not both of double precision where one is.
        ValueError: If a size is not positive, what_dim is no multiple of num_parts, a patch is larger than the frame or
            no such multiple, the bias is not finite, or codes have another size.

    Source:
        Eslami et al., Attend, Infer, Repeat (2016), and, for moving digits, Hsieh et al., Learning to Decompose and
        Disentangle Representations for Video Prediction (2018), with one code of what for the whole clip; there patches
        are summed, and a code tells the scale and whether there is an object as well.

    Example:
        >>> decoder = PartsDecoder(6, (1, 32, 32), num_parts=2, patch_size=12, widths=(4, 2), hidden_dim=8)
        >>> decoder(torch.zeros(2, 5, 10)).shape, decoder.places(torch.zeros(4)).tolist()
        (torch.Size([2, 5, 1, 32, 32]), [[10.0, 10.0], [10.0, 10.0]])
    """

    room: torch.Tensor

    def __init__(
        self,
        what_dim: int,
        frame_shape: Sequence[int] = (1, 64, 64),
        num_parts: int = 2,
        patch_size: int = 28,
        widths: Sequence[int] = (64, 32),
        hidden_dim: int = 256,
        output_bias: float = -2.0,
    ) -> None:
        super().__init__()
        self.num_parts = check_positive_int("num_parts", num_parts)
        self.what_dim = check_what_dim(what_dim, num_parts)
        self.where_dim = 2 * num_parts
        self.code_dim = what_dim + self.where_dim
        self.frame_shape = _check_frame_shape(frame_shape)
        self.widths = _check_widths(widths)
        self.patch_size = check_patch_size(patch_size, self.frame_shape, len(self.widths))
        self.hidden_dim = check_positive_int("hidden_dim", hidden_dim)
        self.output_bias = check_bias(output_bias)
        part_dim, channels = what_dim // num_parts, self.frame_shape[0]
        self.patch_layers = patch_layers(part_dim, channels, patch_size, self.widths, hidden_dim, self.output_bias)
        self.register_buffer("room", room_of(self.frame_shape, patch_size), persistent=False)

    def patches(self, what: torch.Tensor) -> torch.Tensor:
        """Return the patches that what draws.

        Args:
            what: Codes (..., S).

        Returns:
            Logits (..., M, C, P, P), in full precision.

        Raises:
            ValueError: If the codes have another size.
        """
        if what.shape[-1:] != (self.what_dim,):
            raise ValueError(f"what must have shape (..., what_dim) = (..., {self.what_dim}), got {tuple(what.shape)}")
        patches = full_precision(self.patch_layers(what.reshape(-1, self.what_dim // self.num_parts)))
        sizes = (self.num_parts, self.frame_shape[0], self.patch_size, self.patch_size)
        return patches.reshape(*what.shape[:-1], *sizes)

    def places(self, where: torch.Tensor) -> torch.Tensor:
        """Return the places that where is.

        Args:
            where: Codes (..., 2 M).

        Returns:
            x and y of the upper left pixels (..., M, 2), between 0 and (W - P, H - P), in full precision.

        Raises:
            ValueError: If the codes have another size.
        """
        if where.shape[-1:] != (self.where_dim,):
            raise ValueError(f"where must have shape (..., 2 M) = (..., {self.where_dim}), got {tuple(where.shape)}")
        return places_of(where, self.num_parts, self.room)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the logits of the frames for codes.

        Args:
            codes: Tensor of shape (..., S + 2 M), what first.

        Returns:
            Tensor of shape (..., C, H, W), in full precision.
        """
        what, where = split_codes(codes, self.what_dim, self.where_dim, next(self.parameters()))
        return overlay(self.patches(what), self.places(where), self.frame_shape[1:])
