"""Views of fewer or reordered frames, which hide motion, and one that hides what rests."""

from __future__ import annotations

import torch
from torch import nn

from pyrodis.nn._clips import as_clips, as_frames, check_flag, check_seed, take_frames, uniform
from pyrodis.ops import check_positive_int

_SORTED_BY_HAND = 16  # frames


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


class MedianFrame(nn.Module):
    r"""Show one frame that no clip need have: the median of every pixel over time, which hides what moves.

    $$v(x) = \operatorname{median}(x_1, \dots, x_T)$$

    Keeps the ground of a scene whose camera rests, and every object that does not move; hides what covers no pixel for
    half of the time. Of an even number of frames it takes the lower of the two in the middle. It is for f alone: z
    needs every frame. `Motion` shows what this view hides.

    Shape:
        (..., T, C, H, W) to (..., 1, C, H, W).

    Raises:
        TypeError: If the frames are no floating-point tensor.
        ValueError: If the frames have another rank.

    Example:
        >>> frames = torch.full((5, 1, 4, 4), 0.25)
        >>> frames[2] = 1  # something passes by
        >>> bool((MedianFrame()(frames) == 0.25).all())
        True
    """

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the median over time.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of shape (..., 1, C, H, W).
        """
        return as_frames(_median(as_clips(frames)), frames)


class Motion(nn.Module):
    r"""Show how far every frame is from the median of its clip, which hides all that rests.

    $$v(x)_t = \tfrac12 \bigl(1 + x_t - \operatorname{median}(x_1, \dots, x_T)\bigr)$$

    Keeps what moves, where it is, and how far it is apart from the ground that it covers; hides that ground, and every
    object that does not move: they are gray. Where the camera moves, all moves. `MedianFrame` shows what this view
    hides; `SubtractMean` does alike to features.

    Shape:
        (..., T, C, H, W) in [0, 1] to the same.

    Raises:
        TypeError: If the frames are no floating-point tensor.
        ValueError: If the frames have another rank.

    Example:
        >>> Motion()(torch.rand(1, 1, 4, 4).expand(5, 1, 4, 4)).unique()
        tensor([0.5000])
    """

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the frames less their median over time.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of the same shape.
        """
        clips = as_clips(frames)
        return (clips - _median(clips)).add(1).div(2).reshape(frames.shape)


def _median(clips: torch.Tensor) -> torch.Tensor:
    """The lower median over T of (N, T, ...), as (N, 1, ...)."""
    rows, num = [*clips.unbind(1)], clips.shape[1]
    if num > _SORTED_BY_HAND:
        return clips.median(1, keepdim=True)[0]
    for step in range(num):  # odd-even transposition: of few frames several times faster than torch.median
        for i in range(step % 2, num - 1, 2):
            rows[i], rows[i + 1] = torch.minimum(rows[i], rows[i + 1]), torch.maximum(rows[i], rows[i + 1])
    return rows[(num - 1) // 2].unsqueeze(1)
