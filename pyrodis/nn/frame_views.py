"""Views of fewer or reordered frames, which hide motion, and one that hides what rests."""

from __future__ import annotations

import torch
from torch import nn

from pyrodis.nn._clips import as_clips, as_frames, check_flag, check_seed, take_frames, uniform
from pyrodis.ops import check_positive_int


class FrameShuffle(nn.Module):
    r"""Put the frames of every clip in random order.

    Keeps all that single frames show; hides the order of poses, hence the direction of time.

    Args:
        seed: Seed of the order in eval mode.

    Shape:
        (..., T, C, H, W) to the same.

    Raises:
        TypeError: If the seed is no int or the frames are no floating-point tensor.
        ValueError: If the seed is negative or the frames have another rank.

    Example:
        >>> frames = torch.linspace(0, 1, 5).reshape(5, 1, 1, 1)
        >>> torch.equal(FrameShuffle()(frames).sort(0)[0], frames)
        True
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = check_seed(seed)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the frames in random order.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of the same shape.
        """
        clips = as_clips(frames)
        order = uniform(clips, clips.shape[1:2], None if self.training else self.seed).argsort(-1)
        return take_frames(clips, order).reshape(frames.shape)


class SingleFrame(nn.Module):
    r"""Show one random frame of every clip, repeated T times.

    Keeps one pose and the whole appearance; hides all motion. In eval mode the number of the frame is the same for all
    clips of one length.

    Args:
        seed: Seed of the frame's number in eval mode.

    Shape:
        (..., T, C, H, W) to the same.

    Raises:
        TypeError: If the seed is no int or the frames are no floating-point tensor.
        ValueError: If the seed is negative or the frames have another rank.

    Example:
        >>> len(SingleFrame()(torch.rand(5, 1, 4, 4)).unique(dim=0))
        1
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = check_seed(seed)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return one frame a clip in the place of all.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of the same shape.
        """
        clips = as_clips(frames)
        order = uniform(clips, clips.shape[1:2], None if self.training else self.seed).argsort(-1)
        return take_frames(clips, order[:, :1].expand_as(order)).reshape(frames.shape)


class SubsetFrames(nn.Module):
    r"""Show some random frames of every clip, in random order.

    Keeps a few poses and the whole appearance; hides most of the motion, and costs an encoder as much less as there are
    fewer frames. It is for f alone: z needs every frame.

    In eval mode it shows all frames in their own order: a reader of f that averages over frames, or takes them in no
    order, has then the least noise, and the codes are those of the whole clip. A reader with a memory, such as an LSTM,
    knows only clips of `num_frames` frames from training: give it `all_in_eval=False`, which shows as many in eval mode
    too, the same for all clips of one length.

    Args:
        num_frames: How many frames to show, at most T.
        seed: Seed of the frames' numbers in eval mode.
        all_in_eval: Whether to show all frames in eval mode.

    Shape:
        (..., T, C, H, W) to (..., num_frames, C, H, W), or to the same in eval mode.

    Raises:
        TypeError: If an argument has the wrong type or the frames are no floating-point tensor.
        ValueError: If an argument is out of range, or the frames have another rank or are too few.

    Example:
        >>> view = SubsetFrames(2)
        >>> view(torch.rand(5, 1, 4, 4)).shape, view.eval()(torch.rand(5, 1, 4, 4)).shape
        (torch.Size([2, 1, 4, 4]), torch.Size([5, 1, 4, 4]))
    """

    def __init__(self, num_frames: int, seed: int = 0, all_in_eval: bool = True) -> None:
        super().__init__()
        self.num_frames = check_positive_int("num_frames", num_frames)
        self.seed = check_seed(seed)
        self.all_in_eval = check_flag("all_in_eval", all_in_eval)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return some frames of every clip.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of shape (..., num_frames, C, H, W), or of the same shape in eval mode.
        """
        clips = as_clips(frames)
        if not self.training and self.all_in_eval:
            return frames
        num_frames = clips.shape[1]
        if self.num_frames > num_frames:
            raise ValueError(f"num_frames must be at most T, got {self.num_frames} for clips of {num_frames} frames")
        order = uniform(clips, (num_frames,), None if self.training else self.seed).argsort(-1)
        seen = take_frames(clips, order[:, : self.num_frames])
        return as_frames(seen.reshape(len(clips), self.num_frames, *clips.shape[2:]), frames)


class Motion(nn.Module):
    r"""Show how far every frame is from the mean of its clip, which hides all that rests.

    $$v(x)_t = \frac{1}{2} \Bigl(1 + x_t - \frac{1}{T} \sum_{s=1}^{T} x_s\Bigr)$$

    Keeps what moves, where it is, and how far it is apart from what it covers; hides the ground, and every object that
    does not move: they are gray. What moves is seen together with the ground that it leaves and covers. A clip of one
    frame, or one in which nothing moves, is all gray. `SubtractMean` does the same to features.

    Shape:
        (..., T, C, H, W) in [0, 1] to the same.

    Raises:
        TypeError: If the frames are no floating-point tensor.
        ValueError: If the frames have another rank.

    Example:
        >>> Motion()(torch.rand(1, 1, 4, 4).expand(5, 1, 4, 4)).allclose(torch.tensor(0.5))
        True
    """

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the frames less their mean over time.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of the same shape.
        """
        clips = as_clips(frames)
        return ((1 + clips - clips.mean(1, keepdim=True)) / 2).reshape(frames.shape)
