"""A view that hides whole frames, and how to tell which are hidden."""

from __future__ import annotations

import torch
from torch import nn

from pyrodis.nn._clips import as_clips, check_seed, uniform
from pyrodis.ops import check_positive_int


class HideFrames(nn.Module):
    r"""Blank random frames of every clip to black.

    Keeps the rest; what a code says of a hidden frame it has to fill in from the others. As both views of a guide, one
    and the same object hides the same frames from both codes; the model's likelihood still scores every frame.

    Args:
        num_hidden: How many frames of a clip are hidden, fewer than it has.
        seed: Seed of their choice in eval mode.

    Shape:
        (..., T, C, H, W) to the same.

    Raises:
        TypeError: If an argument is no int or the frames are no floating-point tensor.
        ValueError: If an argument is out of range, the frames have another rank, or no frame would be left.

    Example:
        >>> int(visible_frames(HideFrames(2)(torch.ones(5, 1, 4, 4))).sum())
        3
    """

    def __init__(self, num_hidden: int, seed: int = 0) -> None:
        super().__init__()
        self.num_hidden = check_positive_int("num_hidden", num_hidden)
        self.seed = check_seed(seed)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the frames, some of them black.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of the same shape.
        """
        clips = as_clips(frames)
        num_frames = clips.shape[1]
        if self.num_hidden >= num_frames:
            raise ValueError(
                f"num_hidden must be smaller than the number of frames, got {self.num_hidden} for clips of {num_frames}"
            )
        order = uniform(clips, (num_frames,), None if self.training else self.seed).argsort(-1)
        hidden = order < self.num_hidden
        return clips.masked_fill(hidden[:, :, None, None, None], 0).reshape(frames.shape)


def visible_frames(frames: torch.Tensor) -> torch.Tensor:
    """Tell which frames are not black all over, as those are that `HideFrames` blanks.

    Args:
        frames: Clips.

    Shape:
        frames: (..., T, C, H, W).

    Returns:
        Bool tensor of shape (..., T).

    Raises:
        TypeError: If the frames are no floating-point tensor.
        ValueError: If the frames have another rank.

    Example:
        >>> visible_frames(torch.tensor([0.0, 0.2]).reshape(2, 1, 1, 1))
        tensor([False,  True])
    """
    as_clips(frames)
    return (frames != 0).flatten(-3).any(-1)
