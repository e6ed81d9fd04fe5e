"""A ball that bounces in a box: binary frames whose next position needs more than the last frame to be known."""

from __future__ import annotations

import hashlib
import math
from typing import Final, final

import torch
from torch import Tensor
from torch.utils.data import Dataset

from pyrodis.datasets.compositor import wrap_index
from pyrodis.datasets.motion import reflect
from pyrodis.datasets.streams import check_seed, check_split, counter_uniforms
from pyrodis.ops.checks import check_positive_int

_VERSION: Final = "bouncing box 1"
_SIZE: Final = 32
_WALL: Final = 2  # pixels between the frame's border and the wall
_RADIUS: Final = 3
_LOW: Final = _WALL + _RADIUS  # least coordinate of the ball's center
_WIDTH: Final = _SIZE - 2 * _LOW
_START_SCALE: Final = 10.0
_START_MARGIN: Final = 1.0
_SPEEDS: Final = (10.0, 15.0)  # pixels a second
_SECONDS: Final = 0.2  # from frame to frame


@final
class BouncingBox(Dataset[dict[str, Tensor]]):
    r"""A ball of radius 3 that bounces in a box without loss, in binary frames of 32 x 32 pixels.

    The ball starts near the middle, normal with a scale of 10 pixels, cut where it would be within a pixel of a wall,
    in a uniform direction at 2 to 3 pixels a frame (10 to 15 a second, five frames a second), uniform. Its center keeps
    5 pixels from the border of the frame: the walls, which are not drawn, are 2 from it. A pixel is 1 if it lies
    within 3 pixels of the center cut to whole pixels, which makes 29 pixels.

    Sequence i is a function of (seed, split, i), whatever `num_sequences` is.

    Args:
        split: "train", "validation" or "test", which are drawn from different random numbers.
        num_sequences: How many; published are 5,000 to train and 1,000 to test.
        num_frames: Frames of a sequence.
        seed: A whole number in [0, 2^32).

    Attributes:
        factor_names: ("x", "y"), of the ball's center between the walls that it can reach; y counts downwards.
        factor_sizes: (None, None), since both are continuous.
        split: The split's name.
        seed: The seed.
        name: "bouncing_box".
        num_frames: T.
        frame_shape: (1, 32, 32).
        checksum: The sha256 of the generator's version and settings, the same for all splits.

    Shape:
        An item is {"x": float32 (T, 1, 32, 32), 0 or 1, "factors": float32 (T, 2) in [0, 1]}.

    Raises:
        ValueError: If the split is unknown or a number is smaller than 1.
        TypeError: If a number is not whole.

    Source:
        The generator published with Fraccaro, Kamronn, Paquet and Winther, A Disentangled Recognition and Nonlinear
        Dynamics Model for Unsupervised Learning (NeurIPS 2017). There a physics engine moves the ball in steps and a
        game library draws it, and the walls with it; here reflections are exact, the disc is that of its radius, and
        walls, the same in all frames, are left out. The random numbers are ours.

    Example:
        >>> data = BouncingBox(num_sequences=10)
        >>> data[3]["x"].shape, float(data[3]["x"].sum((-1, -2)).unique())
        (torch.Size([20, 1, 32, 32]), 29.0)
    """

    name: Final = "bouncing_box"
    factor_names: Final = ("x", "y")
    factor_sizes: Final = (None, None)
    frame_shape: Final = (1, _SIZE, _SIZE)

    def __init__(self, *, split: str = "train", num_sequences: int = 5000, num_frames: int = 20, seed: int = 0) -> None:
        self.split = check_split(split)
        self.num_sequences = check_positive_int("num_sequences", num_sequences)
        self.num_frames = check_positive_int("num_frames", num_frames)
        self.seed = check_seed(seed)
        self.checksum = hashlib.sha256(repr((_VERSION, self.seed, num_frames)).encode()).hexdigest()
        self._uniforms = counter_uniforms((_VERSION, self.seed, split), torch.arange(num_sequences), 4)

    @property
    def factors(self) -> Tensor:
        """Factors of all sequences, float32 (N, T, 2), without their frames."""
        return self._positions(self._uniforms).float()

    def __len__(self) -> int:
        return self.num_sequences

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Tensor]]:
        """Draws many items at once, as a `DataLoader` asks for them; the items are views into one batch."""
        where = torch.tensor([wrap_index(index, len(self)) for index in indices], dtype=torch.long)
        positions = self._positions(self._uniforms[where])
        x, factors = _draw(positions), positions.float()
        return [{"x": x[i], "factors": factors[i]} for i in range(len(indices))]

    def _positions(self, uniforms: Tensor) -> Tensor:
        """float64 (B, 4) to (B, T, 2) in [0, 1]."""
        start = _SIZE / 2 + _START_SCALE * torch.special.ndtri(uniforms[:, :2])
        start = start.clamp(_LOW + _START_MARGIN, _SIZE - _LOW - _START_MARGIN)
        speed = _SECONDS * (_SPEEDS[0] + (_SPEEDS[1] - _SPEEDS[0]) * uniforms[:, 2:3])
        angle = 2 * math.pi * uniforms[:, 3:]
        velocity = speed * torch.cat([angle.cos(), angle.sin()], 1)
        time = torch.arange(self.num_frames, dtype=uniforms.dtype).unsqueeze(-1)
        return reflect((start.unsqueeze(1) - _LOW + velocity.unsqueeze(1) * time) / _WIDTH)


def _draw(positions: Tensor) -> Tensor:
    """float64 (B, T, 2) in [0, 1] to float32 (B, T, 1, 32, 32), each 0 or 1."""
    squares = (torch.arange(_SIZE) - (_LOW + _WIDTH * positions).long().unsqueeze(-1)).square()
    across, down = squares.unbind(-2)
    return (across.unsqueeze(-2) + down.unsqueeze(-1) <= _RADIUS**2).unsqueeze(-3).float()
