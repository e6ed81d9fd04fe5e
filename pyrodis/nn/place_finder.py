"""An encoder of where that looks in a frame for what a code of what describes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from pyrodis.nn.conv import check_frame_dtype, flatten_frames
from pyrodis.nn.pooled import _check_odd
from pyrodis.nn.strided import _check_frame_shape, _check_widths
from pyrodis.ops import check_positive_int, full_precision, without_autocast

_SPREAD = 2.5  # objects that move over most of a frame have places of about unit variance then


class PlaceFinder(nn.Module):
    r"""Find where in frames the parts are that a code of what describes.

    $$a_{tm, ij} = \operatorname{softmax}_{ij} \bigl(q_m^\top k_{t, ij} / \sqrt{K}\bigr), \qquad
    h_{tm} = 2.5 \sum_{i, j} a_{tm, ij}\, (X_j, Y_i), \qquad q = \psi(\mathrm{what}), \quad k_t = \phi(x_t)$$

    phi are convolutions that halve the sides once a width, so that a key k of K numbers stands for the window around a
    place; psi is a network with one hidden layer, and makes a query q of K numbers for each of M parts. X and Y run
    from -1 to 1 over the places. The features of a frame are the mean places of the M parts, 2 M numbers.

    Which part is which is decided by what alone: keys know what a window shows and, the frame's border apart, not where
    it is, so that two parts have two places only if their queries tell their windows apart. An encoder that does not
    see what has to recognize the objects in every frame anew to know whose place comes first; where it cannot, the
    decoder sees the places in an order of their own, such as from left to right, and draws all parts alike.

    The features can hold no more than 2 M numbers a frame, and what is in frames reaches them through places alone.

    Args:
        what_dim: S, size of the code of what.
        frame_shape: (C, H, W), of any size.
        num_places: M, number of parts.
        key_dim: K, size of keys and queries.
        widths: Channels after each convolution of stride 2; one more of stride 1 follows, of the last width.
        kernel_size: Side of the convolutions' windows, an odd number.
        hidden_dim: Hidden units of psi.

    Shape:
        frames (B, T, C, H, W) and what (..., B, T, S), or (..., B, 1, S) for one code a clip, to (..., B, T, 2 M).

    Raises:
        TypeError: If a size is not an int, or frames and weights are not both of double precision where one is.
        ValueError: If a size is not positive, the kernel is even, or frames or codes have another shape.

    Source:
        Attention with a query as Bahdanau et al., Neural Machine Translation by Jointly Learning to Align and Translate
        (2015); the expected place under a softmax over places is that of Levine et al., End-to-End Training of Deep
        Visuomotor Policies (2016).

    Example:
        >>> finder = PlaceFinder(4, (1, 32, 32), key_dim=3, widths=(2, 2), hidden_dim=8)
        >>> finder(torch.rand(2, 5, 1, 32, 32), torch.zeros(2, 1, 4)).shape, finder.receptive_field
        (torch.Size([2, 5, 4]), 29)
    """

    def __init__(
        self,
        what_dim: int,
        frame_shape: Sequence[int] = (1, 64, 64),
        num_places: int = 2,
        key_dim: int = 32,
        widths: Sequence[int] = (16, 32),
        kernel_size: int = 5,
        hidden_dim: int = 128,
    ) -> None:
        super().__init__()
        self.what_dim = check_positive_int("what_dim", what_dim)
        self.frame_shape = _check_frame_shape(frame_shape)
        self.num_places = check_positive_int("num_places", num_places)
        self.key_dim = check_positive_int("key_dim", key_dim)
        self.widths = _check_widths(widths)
        self.kernel_size = _check_odd("kernel_size", kernel_size)
        self.hidden_dim = check_positive_int("hidden_dim", hidden_dim)
        layers: list[nn.Module] = []
        for inputs, outputs in zip((self.frame_shape[0], *self.widths), self.widths):
            layers += _block(inputs, outputs, kernel_size, stride=2)
        layers += _block(self.widths[-1], self.widths[-1], kernel_size, stride=1)
        self.keys = nn.Sequential(*layers, nn.Conv2d(self.widths[-1], key_dim, 1))
        self.queries = nn.Sequential(
            nn.Linear(what_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, num_places * key_dim)
        )

    @property
    def feature_dim(self) -> int:
        """2 M, size of the features of a frame."""
        return 2 * self.num_places

    @property
    def receptive_field(self) -> int:
        """Side of the window that one key sees, in pixels."""
        return 1 + (self.kernel_size - 1) * (2 ** (len(self.widths) + 1) - 1)

    def attention(self, frames: torch.Tensor, what: torch.Tensor) -> torch.Tensor:
        """Return where each part is thought to be.

        Args:
            frames: Tensor of shape (B, T, C, H, W).
            what: Codes (..., B, T, S) or (..., B, 1, S).

        Returns:
            Weights over places (..., B, T, M, rows, columns) that sum to 1, in full precision.
        """
        check_frame_dtype("what", what, next(self.parameters()))
        flat = flatten_frames(frames, self.frame_shape, next(self.parameters()))
        _check_codes(frames, what, self.what_dim)
        keys = full_precision(self.keys(flat))
        with without_autocast(keys):
            queries = self.queries(full_precision(what)).unflatten(-1, (self.num_places, self.key_dim))
            scores = queries @ keys.flatten(2).unflatten(0, frames.shape[:2]) / math.sqrt(self.key_dim)
            return scores.softmax(-1).unflatten(-1, tuple(keys.shape[-2:]))

    def forward(self, frames: torch.Tensor, what: torch.Tensor) -> torch.Tensor:
        """Return the mean places of the parts.

        Args:
            frames: Tensor of shape (B, T, C, H, W).
            what: Codes (..., B, T, S) or (..., B, 1, S).

        Returns:
            Features (..., B, T, 2 M): x and y of the first part, then of the next, in full precision.
        """
        weights = self.attention(frames, what)
        x = (weights.sum(-2) * _places(weights, weights.shape[-1])).sum(-1)
        y = (weights.sum(-1) * _places(weights, weights.shape[-2])).sum(-1)
        return _SPREAD * torch.stack([x, y], -1).flatten(-2)


def _places(like: torch.Tensor, num: int) -> torch.Tensor:
    """Places from -1 to 1; 0 if there is only one."""
    places = torch.arange(num, dtype=like.dtype, device=like.device)
    return places * (2 / max(num - 1, 1)) - (1 if num > 1 else 0)


def _block(inputs: int, outputs: int, kernel_size: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel_size, stride=stride, padding=kernel_size // 2)
    return [convolution, nn.ReLU(inplace=True), nn.BatchNorm2d(outputs)]


def _check_codes(frames: torch.Tensor, what: torch.Tensor, what_dim: int) -> None:
    """Refuse codes that are not those of clips, or of their frames."""
    if frames.ndim != 5:
        raise ValueError(f"frames must have shape (B, T, C, H, W), got {tuple(frames.shape)}")
    num_clips, num_frames = frames.shape[:2]
    allowed = ((num_clips, num_frames, what_dim), (num_clips, 1, what_dim))
    if tuple(what.shape[-3:]) not in allowed:
        raise ValueError(
            f"what must have shape (..., B, T, S) or (..., B, 1, S), one of {allowed} at its end, "
            f"got {tuple(what.shape)}; build the finder with the size of the code"
        )
