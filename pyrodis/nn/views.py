"""Views: modules from frames to frames, which a guide applies before one of its factors to restrict what it may see.

All take frames (..., T, C, H, W) in [0, 1]; several views are one in a `torch.nn.Sequential`. Most return frames of
that shape, so encoders need no change; those that can show fewer frames, channels or pixels say so, and the encoder is
then built for what they show. A clip is everything but the leading dimensions.

A random view draws anew at every call in training mode, for every clip by itself, from the global generator of torch.
In eval mode it draws from a generator that starts from its own `seed`, the same numbers for every clip and at every
call: what is encoded is then a function of the clip alone. `pyrodis.encode(guide, x, num_views=8)` averages posterior
means over as many draws.

Here are the views that move or cut out parts of a frame; those of frames, of colors and of detail are in `frame_views`,
`color_views` and `detail_views`.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import pad

from pyrodis.nn._clips import as_clips, as_frames, check_divides, check_flag, check_seed, uniform
from pyrodis.ops import check_positive_int


class PatchShuffle(nn.Module):
    r"""Cut every frame into square patches and put them back in random order.

    Keeps the colors and textures within a patch, and how many patches hold them; hides where they are, hence pose and
    direction as far as no patch shows them by itself.

    Args:
        patch_size: Side of a patch in pixels; it must divide H and W.
        per_frame: Whether every frame has an order of its own; False for one order a clip, which keeps which patches
            move.
        seed: Seed of the orders in eval mode.

    Shape:
        (..., T, C, H, W) to the same.

    Raises:
        TypeError: If an argument has the wrong type or the frames are no floating-point tensor.
        ValueError: If an argument is out of range, or the frames have another rank or are not cut without a rest.

    Example:
        >>> frames = torch.arange(16.0).reshape(1, 1, 4, 4) / 16
        >>> torch.equal(PatchShuffle(2)(frames).flatten().sort()[0], frames.flatten())
        True
    """

    def __init__(self, patch_size: int = 8, per_frame: bool = True, seed: int = 0) -> None:
        super().__init__()
        self.patch_size = check_positive_int("patch_size", patch_size)
        self.per_frame = check_flag("per_frame", per_frame)
        self.seed = check_seed(seed)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the frames with their patches in random order.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of the same shape.
        """
        clips = as_clips(frames)
        size, (num_clips, num_frames, channels, height, width) = self.patch_size, clips.shape
        check_divides("patch_size", size, clips)
        down, across = height // size, width // size
        seed = None if self.training else self.seed
        draws = uniform(clips, (num_frames if self.per_frame else 1, down * across), seed)
        order = draws.argsort(-1).reshape(*draws.shape[:2], 1, down, 1, across)
        # Of every row of pixels in a patch, the number of the row that comes there.
        row = torch.arange(size, device=clips.device).reshape(size, 1)
        within_frame = (order // across * size + row) * across + order % across
        frame = torch.arange(num_clips * num_frames * channels, device=clips.device) * (height * across)
        source = frame.reshape(num_clips, num_frames, channels, 1, 1, 1) + within_frame
        return clips.reshape(-1, size).index_select(0, source.flatten()).reshape(frames.shape)


class RandomShift(nn.Module):
    r"""Shift every clip by a random whole number of pixels down and across, all its frames alike or each by itself.

    Keeps shapes, colors and, where all frames of a clip are shifted alike, motion; hides the place in the frame. What
    is shifted out is lost, and what comes in is 0; of a circular shift, what goes out comes in at the other side, so
    nothing is lost and the border tells nothing.

    Args:
        max_shift: Largest shift in either direction, smaller than H and W.
        seed: Seed of the shift in eval mode.
        per_frame: Whether every frame has a shift of its own, which hides motion too.
        circular: Whether what is shifted out comes in at the other side. With half of H and W as `max_shift` every
            place is then about as likely, and a frame keeps nothing of where a thing was.

    Shape:
        (..., T, C, H, W) to the same.

    Raises:
        TypeError: If an argument has the wrong type or the frames are no floating-point tensor.
        ValueError: If an argument is out of range, or the frames have another rank or are too small.

    Example:
        >>> RandomShift(2)(torch.ones(5, 3, 8, 8)).sum() >= 5 * 3 * 6 * 6
        tensor(True)
    """

    def __init__(self, max_shift: int, seed: int = 0, per_frame: bool = False, circular: bool = False) -> None:
        super().__init__()
        self.max_shift = check_positive_int("max_shift", max_shift)
        self.seed = check_seed(seed)
        self.per_frame = check_flag("per_frame", per_frame)
        self.circular = check_flag("circular", circular)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the shifted frames.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of the same shape.
        """
        clips, most = as_clips(frames), self.max_shift
        height, width = clips.shape[-2:]
        if most >= min(height, width):
            raise ValueError(f"max_shift must be smaller than H and W, got {most} for frames of {height} x {width}")
        num_draws = clips.shape[1] if self.per_frame else 1
        draws = uniform(clips, (2, num_draws, 1, 1), None if self.training else self.seed)
        down, across = (draws * (2 * most + 1)).long().unbind(1)
        rows = torch.arange(height, device=clips.device).reshape(-1, 1) + down
        columns = torch.arange(width, device=clips.device) + across
        if self.circular:
            source = (rows - most) % height * width + (columns - most) % width
        else:
            clips = pad(clips, (most, most, most, most))
            source = rows * (width + 2 * most) + columns
        return _take_pixels(clips, source).reshape(frames.shape)


class RandomCrop(nn.Module):
    r"""Cut a square out of every clip at a random place, the same for all its frames or one of its own for each.

    $$y_{ij} = x_{a + \lfloor i s / H \rfloor, b + \lfloor j s / W \rfloor}, \qquad
    a \sim \mathcal U\{0, \dots, H - s\}, \quad b \sim \mathcal U\{0, \dots, W - s\}$$

    s is `size`; i and j count from 0. One a and one b a clip, or a frame. The square is enlarged to H x W by repeating
    pixels, so that no color is new; without `enlarge`, y is the square itself. Keeps textures and, with one place a
    clip, how they move; hides place, and at every draw most of the frame.

    Args:
        size: Side of the square, at most H and W.
        enlarge: Whether to enlarge the square; False for frames of size x size, which are cheaper to encode.
        seed: Seed of the place in eval mode.
        per_frame: Whether every frame has a place of its own, which hides motion too.

    Shape:
        (..., T, C, H, W) to the same, or to (..., T, C, size, size).

    Raises:
        TypeError: If an argument has the wrong type or the frames are no floating-point tensor.
        ValueError: If an argument is out of range, or the frames have another rank or are too small.

    Example:
        >>> RandomCrop(4)(torch.rand(5, 3, 8, 8)).shape, RandomCrop(4, enlarge=False)(torch.rand(5, 3, 8, 8)).shape
        (torch.Size([5, 3, 8, 8]), torch.Size([5, 3, 4, 4]))
    """

    def __init__(self, size: int, enlarge: bool = True, seed: int = 0, per_frame: bool = False) -> None:
        super().__init__()
        self.size = check_positive_int("size", size)
        self.enlarge = check_flag("enlarge", enlarge)
        self.seed = check_seed(seed)
        self.per_frame = check_flag("per_frame", per_frame)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the squares.

        Args:
            frames: Tensor of shape (..., T, C, H, W).

        Returns:
            Tensor of the same shape, or (..., T, C, size, size).
        """
        clips, size = as_clips(frames), self.size
        height, width = clips.shape[-2:]
        if size > min(height, width):
            raise ValueError(f"size must be at most H and W, got {size} for frames of {height} x {width}")
        seen_height, seen_width = (height, width) if self.enlarge else (size, size)
        num_draws = clips.shape[1] if self.per_frame else 1
        draws = uniform(clips, (2, num_draws, 1, 1), None if self.training else self.seed)
        down = (draws[:, 0] * (height - size + 1)).long()
        across = (draws[:, 1] * (width - size + 1)).long()
        rows = torch.arange(seen_height, device=clips.device).reshape(-1, 1) * size // seen_height + down
        columns = torch.arange(seen_width, device=clips.device) * size // seen_width + across
        return as_frames(_take_pixels(clips, rows * width + columns), frames)


def _take_pixels(clips: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """The pixels of every frame whose numbers are in source (N or 1, T or 1, height, width)."""
    index = source.flatten(-2).unsqueeze(2).expand(*clips.shape[:3], -1)
    return clips.flatten(-2).gather(3, index).unflatten(-1, source.shape[-2:])
