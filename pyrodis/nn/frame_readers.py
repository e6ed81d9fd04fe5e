"""Readers of what the frames of a clip say of one code: which frames speak, and for how long.

A reader maps the loc and scale of every frame, (B, T, S), to those of the code that a guide draws: (B, S) for one code
a clip, (B, T, S) for one a frame. None has parameters. They are for `pyrodis.guides.WhatWhereGuide` and its relatives;
of codes without noise the scale is 1 everywhere and what becomes of it is not used.
"""

from __future__ import annotations

import torch
from torch import nn

from pyrodis.nn._clips import check_seed, uniform


class EveryFrame(nn.Module):
    """Every frame keeps the code that it says: one code a frame.

    Shape:
        loc, scale (B, T, S) to the same.

    Raises:
        ValueError: If loc and scale are not of one shape (B, T, S).

    Source:
        Mantel, Disentangling Motion from Identity with Barlow Twins Autoencoders (2021).

    Example:
        >>> EveryFrame()(torch.zeros(2, 5, 3), torch.ones(2, 5, 3))[0].shape
        torch.Size([2, 5, 3])
    """

    def forward(self, loc: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return loc and scale as they are.

        Args:
            loc: What every frame says, shape (B, T, S).
            scale: How sure it is, the same shape.

        Returns:
            loc and scale (B, T, S).
        """
        _check_codes(loc, scale)
        return loc, scale


class OneFrame(nn.Module):
    """One random frame of every clip speaks for all: every other frame is decoded from the code of that one.

    What a frame alone shows, such as its place, is then of no use for the others: a cross-frame target. In training
    mode the frame is drawn anew for every clip at every call; in eval mode it is the same for all clips of one length,
    and `pyrodis.encode(guide, x, num_views=8)` averages over draws of it.

    Args:
        seed: Seed of the frame's number in eval mode.

    Shape:
        loc, scale (B, T, S) to (B, S).

    Raises:
        TypeError: If the seed is no int.
        ValueError: If the seed is negative, or loc and scale are not of one shape (B, T, S).

    Source:
        Denton and Birodkar, Unsupervised Learning of Disentangled Representations from Video (2017), who decode a frame
        from the content of another.

    Example:
        >>> OneFrame()(torch.zeros(2, 5, 3), torch.ones(2, 5, 3))[0].shape
        torch.Size([2, 3])
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = check_seed(seed)

    def forward(self, loc: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what one frame says.

        Args:
            loc: What every frame says, shape (B, T, S).
            scale: How sure it is, the same shape.

        Returns:
            loc and scale (B, S).
        """
        num_clips, num_frames, dim = _check_codes(loc, scale)
        draws = uniform(loc, (1, 1), None if self.training else self.seed)
        index = (draws * num_frames).long().expand(num_clips, 1, dim)
        return loc.gather(1, index).squeeze(1), scale.gather(1, index).squeeze(1)


class OtherFrame(nn.Module):
    """In training every frame takes the code of another frame of its clip: one code a frame, never its own.

    The frames of a clip are moved around in a circle by a random number, 1 to T - 1. So the code of a frame is trained
    for other frames alone, and what only that frame shows is of no use in it. In eval mode every frame keeps its own
    code.

    Shape:
        loc, scale (B, T, S) to the same.

    Raises:
        ValueError: If loc and scale are not of one shape (B, T, S), or clips have one frame only in training mode.

    Source:
        Denton and Birodkar, Unsupervised Learning of Disentangled Representations from Video (2017).

    Example:
        >>> loc = torch.arange(2.0).reshape(1, 2, 1)
        >>> OtherFrame()(loc, torch.ones(1, 2, 1))[0].flatten()
        tensor([1., 0.])
    """

    def forward(self, loc: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return for every frame what another says.

        Args:
            loc: What every frame says, shape (B, T, S).
            scale: How sure it is, the same shape.

        Returns:
            loc and scale (B, T, S).
        """
        num_frames = _check_codes(loc, scale)[1]
        if not self.training:
            return loc, scale
        if num_frames < 2:
            raise ValueError("clips must have at least two frames to take the code of another, got 1; use EveryFrame()")
        steps = 1 + (uniform(loc, (1,), None) * (num_frames - 1)).long()
        order = (torch.arange(num_frames, device=loc.device) + steps) % num_frames
        index = order.unsqueeze(-1).expand_as(loc)
        return loc.gather(1, index), scale.gather(1, index)


class MeanFrames(nn.Module):
    r"""The mean of what all frames say: one code a clip.

    $$\mathrm{loc} = \frac1T \sum_t \mathrm{loc}_t, \qquad \mathrm{scale} = \frac1T \sum_t \mathrm{scale}_t$$

    What differs from frame to frame averages out of the code, and the decoder never sees it.

    Shape:
        loc, scale (B, T, S) to (B, S).

    Raises:
        ValueError: If loc and scale are not of one shape (B, T, S).

    Source:
        Hosoya, Group-based Learning of Disentangled Representations with Generalizability for Novel Contents (2019),
        whose groups are here the clips.

    Example:
        >>> MeanFrames()(torch.tensor([[[1.0], [3.0]]]), torch.ones(1, 2, 1))
        (tensor([[2.]]), tensor([[1.]]))
    """

    def forward(self, loc: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the means over frames.

        Args:
            loc: What every frame says, shape (B, T, S).
            scale: How sure it is, the same shape.

        Returns:
            loc and scale (B, S).
        """
        _check_codes(loc, scale)
        return loc.mean(1), scale.mean(1)


class ProductFrames(nn.Module):
    r"""The normalized product of what all frames say: one code a clip, to which surer frames contribute more.

    $$\mathrm{scale}^{-2} = \sum_t \mathrm{scale}_t^{-2}, \qquad
    \mathrm{loc} = \mathrm{scale}^2 \sum_t \mathrm{scale}_t^{-2}\, \mathrm{loc}_t$$

    Evidence adds up: T frames that say the same leave a scale smaller by the root of T. Where all scales are 1, as of
    codes without noise, loc is that of `MeanFrames`.

    Shape:
        loc, scale (B, T, S) to (B, S).

    Raises:
        ValueError: If loc and scale are not of one shape (B, T, S).

    Source:
        Bouchacourt et al., Multi-Level Variational Autoencoder (2018), whose groups are here the clips.

    Example:
        >>> ProductFrames()(torch.tensor([[[1.0], [3.0]]]), torch.tensor([[[1.0], [0.5]]]))[0]
        tensor([[2.6000]])
    """

    def forward(self, loc: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return loc and scale of the product over frames.

        Args:
            loc: What every frame says, shape (B, T, S).
            scale: How sure it is, the same shape.

        Returns:
            loc and scale (B, S).
        """
        _check_codes(loc, scale)
        precision = scale.square().reciprocal()
        total = precision.sum(1)
        return (precision * loc).sum(1) / total, total.rsqrt()


def _check_codes(loc: torch.Tensor, scale: torch.Tensor) -> tuple[int, int, int]:
    """B, T and S of codes."""
    if loc.ndim != 3 or loc.shape != scale.shape:
        raise ValueError(
            f"loc and scale must have one shape (B, T, S), got {tuple(loc.shape)} and {tuple(scale.shape)}"
        )
    return loc.shape[0], loc.shape[1], loc.shape[2]
