"""A VAE of one object that fits in a window: a decoder draws one there, an encoder finds and reads one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn
from torch.nn.functional import conv2d, softplus

from pyrodis.nn._placing import check_bias, check_patch_size, interpolation, patch_layers, places_of, room_of
from pyrodis.nn.conv import check_frame_dtype, flatten_frames
from pyrodis.nn.heads import MIN_SCALE
from pyrodis.nn.strided import _check_frame_shape, _check_widths
from pyrodis.ops import check_positive_int, check_positive_number, full_precision, without_autocast

OUTSIDE = -10.0  # the confidence of a VAE where its window is not
_EDGE = 0.01  # least and greatest place, as shares of the room: beyond, a place would be a code many scales out


class UniformDecoder(nn.Module):
    r"""A ground for others to stand on: one color a code all over the image, of confidence 0.

    $$h_{ij} = W_2 \max(0, W_1 z + b_1) + b_2, \qquad c_{ij} = 0$$

    It is the component of a `ParallelVAE` that takes what no other wants.

    Args:
        code_dim: D.
        frame_shape: (C + 1, H, W), the confidence being the last channel.
        hidden_dim: Hidden units.
        output_bias: b_2, a logit, where training starts.

    Shape:
        (..., D) to (..., C + 1, H, W).

    Raises:
        TypeError: If a size is not an int.
        ValueError: If a size is not positive, the frame has no channel beside the confidence, or codes have another
            size.

    Example:
        >>> UniformDecoder(4, (4, 8, 8), hidden_dim=3)(torch.zeros(2, 4)).shape
        torch.Size([2, 4, 8, 8])
    """

    def __init__(
        self, code_dim: int, frame_shape: Sequence[int] = (4, 64, 64), hidden_dim: int = 32, output_bias: float = 0.0
    ) -> None:
        super().__init__()
        self.code_dim = check_positive_int("code_dim", code_dim)
        self.frame_shape = _check_with_confidence(frame_shape)
        self.hidden_dim = check_positive_int("hidden_dim", hidden_dim)
        self.output_bias = check_bias(output_bias)
        color = nn.Linear(hidden_dim, self.frame_shape[0] - 1)
        nn.init.constant_(color.bias, self.output_bias)
        self.layers = nn.Sequential(nn.Linear(code_dim, hidden_dim), nn.ReLU(), color)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Return logits and confidence for codes.

        Args:
            codes: Tensor of shape (..., D).

        Returns:
            Tensor of shape (..., C + 1, H, W), in full precision.
        """
        _check_codes(codes, self.code_dim, next(self.parameters()))
        color = full_precision(self.layers(codes))
        output = torch.cat([color, torch.zeros_like(color[..., :1])], -1)
        return output[..., None, None].expand(*output.shape, *self.frame_shape[1:])


class WindowDecoder(nn.Module):
    r"""Draw one object from its code, in a window at its place; outside of it, make no claim.

    $$(h, c) = T_{(x, y)}\, f(\mathrm{what}) + (1 - T_{(x, y)}\, 1)\, (0, -10), \qquad
    (x, y) = \Phi(\mathrm{where})\, (W - P, H - P)$$

    z is what (S) and then where (2). f draws a window of P x P pixels, logits and a confidence for each; T moves it to
    its place, by bilinear interpolation between pixels. Under the standard normal prior every place within the image is
    equally likely. It is a component of a `ParallelVAE` that can take no more than what fits in a window, and so takes
    one object where objects do.

    Args:
        code_dim: D = S + 2.
        frame_shape: (C + 1, H, W), the confidence being the last channel.
        patch_size: P, side of the window: a multiple of 2 to the number of widths, at most H and W.
        widths: Channels before each transposed convolution; each doubles the side.
        hidden_dim: Hidden units of f.
        output_bias: Logit of the window where training starts.
        confidence_bias: Confidence in the window where training starts. A ground has 0.

    Shape:
        (..., D) to (..., C + 1, H, W).

    Raises:
        TypeError: If a size is not an int, or codes and weights are not both of double precision where one is.
        ValueError: If a size is not positive, code_dim leaves nothing for what, a window is larger than the image or
            no such multiple, a bias is not finite, the frame has no channel beside the confidence, or codes have
            another size.

    Source:
        Eslami et al., Attend, Infer, Repeat (2016), whose windows are summed and have a scale; under masks here, as in
        Stavarache, Multi-model disentanglement of object representations (2019).

    Example:
        >>> decoder = WindowDecoder(6, (4, 32, 32), patch_size=12, widths=(4, 2), hidden_dim=8)
        >>> decoder(torch.zeros(2, 6)).shape, decoder.place(torch.zeros(6)).tolist()
        (torch.Size([2, 4, 32, 32]), [10.0, 10.0])
    """

    room: torch.Tensor
    outside: torch.Tensor

    def __init__(
        self,
        code_dim: int,
        frame_shape: Sequence[int] = (4, 64, 64),
        patch_size: int = 28,
        widths: Sequence[int] = (32, 16),
        hidden_dim: int = 128,
        output_bias: float = 0.0,
        confidence_bias: float = -1.0,
    ) -> None:
        super().__init__()
        self.code_dim = _check_code_dim(code_dim)
        self.frame_shape = _check_with_confidence(frame_shape)
        self.widths = _check_widths(widths)
        self.patch_size = check_patch_size(patch_size, self.frame_shape, len(self.widths))
        self.hidden_dim = check_positive_int("hidden_dim", hidden_dim)
        self.output_bias, self.confidence_bias = check_bias(output_bias), check_bias(confidence_bias, "confidence_bias")
        channels = self.frame_shape[0]
        self.patch_layers = patch_layers(code_dim - 2, channels, patch_size, self.widths, hidden_dim, self.output_bias)
        with torch.no_grad():
            cast("torch.Tensor", self.patch_layers[-1].bias)[-1] = self.confidence_bias
        self.register_buffer("room", room_of(self.frame_shape, patch_size), persistent=False)
        self.register_buffer("outside", torch.tensor([*[0.0] * (channels - 1), OUTSIDE])[:, None, None], False)

    def place(self, codes: torch.Tensor) -> torch.Tensor:
        """Return x and y of the upper left pixel of the window.

        Args:
            codes: Tensor of shape (..., D).

        Returns:
            Tensor of shape (..., 2), between 0 and (W - P, H - P), in full precision.
        """
        _check_codes(codes, self.code_dim, next(self.parameters()))
        return places_of(codes[..., -2:], 1, self.room)[..., 0, :]

    def visited(self, codes: torch.Tensor) -> torch.Tensor:
        """Return where the window has been: a Gaussian of P / 6 pixels around its middle, at most 1.

        Args:
            codes: Tensor of shape (..., D).

        Returns:
            Tensor of shape (..., H, W), in full precision.
        """
        with without_autocast(codes):
            middle = self.place(codes) + (self.patch_size - 1) / 2
            x, y = (
                torch.arange(side, device=middle.device, dtype=middle.dtype) - middle[..., axis, None]
                for axis, side in enumerate(self.frame_shape[:0:-1])
            )
            return (-(y.unsqueeze(-1) ** 2 + x.unsqueeze(-2) ** 2) / (2 * (self.patch_size / 6) ** 2)).exp()

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Return logits and confidence for codes.

        Args:
            codes: Tensor of shape (..., D), what first.

        Returns:
            Tensor of shape (..., C + 1, H, W), in full precision.
        """
        _check_codes(codes, self.code_dim, next(self.parameters()))
        what = codes[..., :-2].reshape(-1, self.code_dim - 2)
        patches = full_precision(self.patch_layers(what))
        patches = patches.reshape(*codes.shape[:-1], *patches.shape[1:])
        with without_autocast(patches):
            rows, columns = _window(self.place(codes), self.frame_shape[1:], self.patch_size)
            return rows @ (patches - self.outside) @ columns.mT + self.outside


class WindowEncoder(nn.Module):
    r"""Find an object by what is not explained yet, and read it in a window around its place.

    $$p_0 = \operatorname{argmax}_{ij} (G_{P / 6} * u)_{ij}, \qquad p = p_0 + \tfrac{P}{3} \tanh r(w(p_0)), \qquad
    \mathrm{loc} = \Bigl(a(w(p)), \Phi^{-1}\Bigl(\frac{p - (P - 1) / 2}{(W - P, H - P)}\Bigr)\Bigr)$$

    u, the last channel of what it reads, says how much of each pixel is unexplained, as `ResidualGuide` hands it over;
    G is a Gaussian, cut at twice its scale, so that p_0 is the middle of the largest heap of such pixels. w(p) is the
    window of P x P pixels around p, of all channels; r, a small network, moves it to the middle of one object, and a
    reads it. p is kept where the window lies within the image, and the place that the code tells a hundredth of the
    room away from its edges, where the code would be infinite. No gradient goes through the largest heap, which jumps;
    one goes through r. The scale of the whole code, place included, is read from the window as well. What is outside of
    the window the code cannot know.

    Args:
        code_dim: D = S + 2: what, then where, as `WindowDecoder` has them.
        frame_shape: (C + 1, H, W): the image and what is unexplained of it.
        patch_size: P, that of the decoder.
        widths: Channels after each convolution of stride 2, of r and of a alike.
        hidden_dim: Hidden units of a.
        initial_scale: Scale of the code where training starts.

    Shape:
        frames (..., C + 1, H, W) to loc (..., D) and scale (..., D).

    Raises:
        TypeError: If a size is not an int, or frames and weights are not both of double precision where one is.
        ValueError: If a size or the scale is not positive, code_dim leaves nothing for what, a window is larger than
            the image or no multiple of 2 to the number of widths, or frames have another shape.

    Source:
        Ours. Eslami et al., Attend, Infer, Repeat (2016), and Burgess et al., MONet (2019), look for one object after
        the other, with networks that learn where to look.

    Example:
        >>> encoder = WindowEncoder(6, (4, 32, 32), patch_size=12, widths=(2, 4), hidden_dim=8)
        >>> [tuple(part.shape) for part in encoder(torch.rand(5, 4, 32, 32))]
        [(5, 6), (5, 6)]
    """

    room: torch.Tensor
    kernel: torch.Tensor

    def __init__(
        self,
        code_dim: int,
        frame_shape: Sequence[int] = (4, 64, 64),
        patch_size: int = 28,
        widths: Sequence[int] = (16, 32),
        hidden_dim: int = 128,
        initial_scale: float = 0.1,
    ) -> None:
        super().__init__()
        self.code_dim = _check_code_dim(code_dim)
        self.frame_shape = _check_with_confidence(frame_shape)
        self.widths = _check_widths(widths)
        self.patch_size = check_patch_size(patch_size, self.frame_shape, len(self.widths))
        self.hidden_dim = check_positive_int("hidden_dim", hidden_dim)
        self.initial_scale = check_positive_number("initial_scale", initial_scale)
        self.offset = self.initial_scale + math.log(-math.expm1(-self.initial_scale))
        size = self.widths[-1] * (patch_size // 2 ** len(self.widths)) ** 2
        self.mover = nn.Sequential(*self._convolutions(), nn.Linear(size, 32), nn.ReLU(), nn.Linear(32, 2))
        with torch.no_grad():
            cast("torch.Tensor", self.mover[-1].weight).mul_(0.1)  # begins at the heap itself
        self.reader = nn.Sequential(*self._convolutions(), nn.Linear(size, hidden_dim), nn.ReLU())
        self.head = nn.Linear(hidden_dim, 2 * code_dim - 2)
        self.register_buffer("room", room_of(self.frame_shape, patch_size), persistent=False)
        reach = patch_size / 6
        offsets = torch.arange(-math.ceil(2 * reach), math.ceil(2 * reach) + 1) / reach
        kernel = (-offsets.square() / 2).exp()
        self.register_buffer("kernel", kernel / kernel.sum(), persistent=False)

    def _convolutions(self) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for inputs, outputs in zip((self.frame_shape[0], *self.widths), self.widths):
            layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU()]
        return [*layers, nn.Flatten()]

    def heap(self, unexplained: torch.Tensor) -> torch.Tensor:
        """Return the middle of the largest heap of unexplained pixels.

        Args:
            unexplained: Tensor of shape (N, H, W), 0 or more.

        Returns:
            x and y in pixels, (N, 2), without gradient.
        """
        with torch.no_grad(), without_autocast(unexplained):
            half, kernel = len(self.kernel) // 2, self.kernel.to(unexplained)
            rows = conv2d(unexplained.unsqueeze(1), kernel.view(1, 1, 1, -1), padding=(0, half))
            heaps = conv2d(rows, kernel.view(1, 1, -1, 1), padding=(half, 0))
            found = heaps.flatten(1).argmax(1)
            width = unexplained.shape[-1]
            return torch.stack([found % width, found // width], -1).to(unexplained)

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return loc and scale of the code.

        Args:
            frames: Tensor of shape (..., C + 1, H, W), what is unexplained last.

        Returns:
            loc and scale, each of shape (..., D), in full precision.
        """
        flat = full_precision(flatten_frames(frames, self.frame_shape, next(self.parameters())))
        first = self.heap(flat[:, -1]) - (self.patch_size - 1) / 2
        moved = full_precision(self.mover(self._cut(flat, first))).tanh()
        # Kept within the image. A window as large as the image has no room: its place is 0 whatever the code.
        place = torch.maximum(torch.minimum(first + moved * self.patch_size / 3, self.room), torch.zeros_like(first))
        share = (place / self.room.clamp_min(1)).clamp(_EDGE, 1 - _EDGE)
        with without_autocast(flat):
            where = torch.special.ndtri(share.where(self.room > 0, share.new_tensor(0.5)))
        features = self.reader(self._cut(flat, place))
        with without_autocast(flat):
            what, raw = self.head(full_precision(features)).split((self.code_dim - 2, self.code_dim), -1)
            loc, scale = torch.cat([what, where], -1), MIN_SCALE + softplus(raw + self.offset)
        sizes = (*frames.shape[:-3], self.code_dim)
        return loc.reshape(sizes), scale.reshape(sizes)

    def _cut(self, frames: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
        """The windows (N, C + 1, P, P) at upper left pixels (N, 2), dark outside of the image."""
        with without_autocast(frames):
            rows, columns = _window(first, self.frame_shape[1:], self.patch_size)
            return rows.mT @ frames @ columns


def _window(first: torch.Tensor, size: Sequence[int], patch_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows (..., 1, H, P) and columns (..., 1, W, P) of windows whose upper left pixels are (..., 2)."""
    height, width = size
    rows = interpolation(first[..., 1], height, patch_size)
    return rows.unsqueeze(-3), interpolation(first[..., 0], width, patch_size).unsqueeze(-3)


def _check_with_confidence(frame_shape: Sequence[int]) -> tuple[int, int, int]:
    shape = _check_frame_shape(frame_shape)
    if shape[0] < 2:
        raise ValueError(
            f"frame_shape must be (C + 1, H, W) with one channel beside those of the image, got {tuple(shape)}"
        )
    return shape


def _check_code_dim(code_dim: int) -> int:
    if check_positive_int("code_dim", code_dim) < 3:
        raise ValueError(f"code_dim must be at least 3, what and the two numbers of where, got {code_dim}")
    return code_dim


def _check_codes(codes: torch.Tensor, code_dim: int, weight: torch.Tensor) -> None:
    if not isinstance(codes, torch.Tensor) or not codes.is_floating_point():
        found = codes.dtype if isinstance(codes, torch.Tensor) else type(codes).__name__
        raise TypeError(f"codes must be a tensor of floating-point numbers, got {found}; use codes.float()")
    if codes.shape[-1:] != (code_dim,):
        raise ValueError(f"codes must have shape (..., code_dim) = (..., {code_dim}), got {tuple(codes.shape)}")
    check_frame_dtype("codes", codes, weight)
