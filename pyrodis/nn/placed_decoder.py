"""A decoder that draws what there is, and then puts it where it is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from pyrodis.nn._placing import check_bias, check_patch_size, overlay, patch_layers, room_of, split_codes
from pyrodis.nn.strided import _check_frame_shape, _check_widths
from pyrodis.ops import check_positive_int, full_precision


class PlacedDecoder(nn.Module):
    r"""Map codes of what and where to frames: patches drawn from what, each put at a place that is read off where.

    $$\hat x = 1 - (1 - \epsilon) \prod_{m=1}^{M} \bigl(1 - (1 - \epsilon)\, a_m\bigr), \qquad
    a_{m, ij} = \sum_{k, l} \Lambda(i - y_m - k)\, \Lambda(j - x_m - l)\, \sigma(u_m)_{kl}, \qquad
    \Lambda(d) = \max(0, 1 - |d|)$$

    $$u = f(\mathrm{what}), \qquad (x_m, y_m) = \tfrac12 \bigl(1 + \tanh g_m(\mathrm{where})\bigr) (W - P, H - P)$$

    f are transposed convolutions, from which M patches of P x P logits come; g is a network with one hidden layer.
    (x_m, y_m) is the place in the frame of the upper left pixel of patch m, so that every patch lies in the frame; what
    lies between pixels is interpolated. A pixel is dark where it is dark in all patches that cover it.

    No network sees both codes. Where can do nothing but move patches, and what cannot move them: this is an assumption
    on the frames, not something that is learned. It holds where objects keep their look and size while they move in
    front of black. It does not hold where they turn, grow or are lit differently from place to place, where they hide
    each other, or where there is something behind them.

    The output is the logit of the frame, of which the likelihood takes the sigmoid. It is the sum of logarithms, in
    full precision; epsilon, 1e-6, keeps it within 14 of 0 for a single patch. So a gradient reaches empty as well as
    full patches, and only what is outside of a patch says nothing of its place.

    Args:
        what_dim: S, size of the code of what, which comes first: as `pyrodis.models.ConcatenateCodes` puts it.
        where_dim: D, size of the code of where.
        frame_shape: (C, H, W).
        num_places: M, number of patches.
        patch_size: P, side of a patch in pixels: a multiple of 2 to the number of widths, at most H and W.
        widths: Channels before each transposed convolution; each doubles the side.
        hidden_dim: Hidden units of both networks.
        output_bias: Logit of a patch where training starts.

    Shape:
        (..., S + D) to (..., C, H, W).

    Raises:
        TypeError: If a size is not an int, or codes and weights are not both of double precision where one is.
        ValueError: If a size is not positive, a patch is larger than the frame or no such multiple, the bias is not
            finite, or codes have another size.

    Source:
        The spatial transformer of Jaderberg et al. (2015), restricted to translations, as Eslami et al., Attend, Infer,
        Repeat (2016), and, for moving digits, Hsieh et al., Learning to Decompose and Disentangle Representations for
        Video Prediction (2018), draw with it. There a code tells the scale and whether there is an object as well,
        objects have codes of their own, and patches are summed.

    Example:
        >>> decoder = PlacedDecoder(4, 2, (1, 32, 32), patch_size=12, widths=(4, 2), hidden_dim=8)
        >>> decoder(torch.zeros(2, 5, 6)).shape
        torch.Size([2, 5, 1, 32, 32])
    """

    room: torch.Tensor

    def __init__(
        self,
        what_dim: int,
        where_dim: int,
        frame_shape: Sequence[int] = (1, 64, 64),
        num_places: int = 2,
        patch_size: int = 28,
        widths: Sequence[int] = (64, 32),
        hidden_dim: int = 256,
        output_bias: float = -2.0,
    ) -> None:
        super().__init__()
        self.what_dim = check_positive_int("what_dim", what_dim)
        self.where_dim = check_positive_int("where_dim", where_dim)
        self.code_dim = what_dim + where_dim
        self.frame_shape = _check_frame_shape(frame_shape)
        self.num_places = check_positive_int("num_places", num_places)
        self.widths = _check_widths(widths)
        self.patch_size = check_patch_size(patch_size, self.frame_shape, len(self.widths))
        self.hidden_dim = check_positive_int("hidden_dim", hidden_dim)
        self.output_bias = check_bias(output_bias)
        channels = self.frame_shape[0]
        self.patch_layers = patch_layers(
            what_dim, num_places * channels, patch_size, self.widths, hidden_dim, self.output_bias
        )
        self.place_layers = nn.Sequential(
            nn.Linear(where_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, 2 * num_places)
        )
        self.register_buffer("room", room_of(self.frame_shape, patch_size), persistent=False)

    def patches(self, what: torch.Tensor) -> torch.Tensor:
        """Return the patches that what draws.

        Args:
            what: Codes (..., S).

        Returns:
            Logits (..., M, C, P, P), in full precision.
        """
        patches = full_precision(self.patch_layers(what.reshape(-1, self.what_dim)))
        sizes = (self.num_places, self.frame_shape[0], self.patch_size, self.patch_size)
        return patches.reshape(*what.shape[:-1], *sizes)

    def places(self, where: torch.Tensor) -> torch.Tensor:
        """Return the places that where tells.

        Args:
            where: Codes (..., D).

        Returns:
            x and y of the upper left pixels (..., M, 2), between 0 and (W - P, H - P), in full precision.
        """
        places = full_precision(self.place_layers(where)).tanh().unflatten(-1, (self.num_places, 2))
        return (1 + places) / 2 * self.room

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the logits of the frames for codes.

        Args:
            codes: Tensor of shape (..., S + D), what first.

        Returns:
            Tensor of shape (..., C, H, W), in full precision.
        """
        what, where = split_codes(codes, self.what_dim, self.where_dim, next(self.parameters()))
        return overlay(self.patches(what), self.places(where), self.frame_shape[1:])
