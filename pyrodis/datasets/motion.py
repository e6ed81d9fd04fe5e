"""How a position moves through the unit square: closed forms, so that all frames of all sequences come at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor

from pyrodis.ops.checks import check_positive_int, check_positive_number

_TURN: Final = 2 * math.pi


class Motion(Protocol):
    """What a motion offers; any object with these three serves.

    Its `repr` must tell its settings, as that of a frozen dataclass does: the checksum of a data set is made of it.

    Example:
        >>> motion: Motion = LinearMotion()
        >>> motion.positions(torch.rand(3, motion.num_uniforms), 10).shape
        torch.Size([3, 10, 2])
    """

    @property
    def num_uniforms(self) -> int:
        """How many uniform numbers describe one sequence."""

    def accepts(self, uniforms: Tensor) -> Tensor:
        """Whether each sequence is wanted: float (B, num_uniforms) to bool (B); the others are drawn again."""

    def positions(self, uniforms: Tensor, num_frames: int) -> Tensor:
        """Positions x, y in the unit square: float (B, num_uniforms) to (B, T, 2)."""


def reflect(position: Tensor) -> Tensor:
    """Return where a point is that would be at `position` if it did not bounce off 0 and 1.

    Args:
        position: Any numbers.

    Shape:
        position: (...).

    Returns:
        The same shape, in [0, 1].

    Example:
        >>> reflect(torch.tensor([-0.25, 0.5, 1.25, 2.5]))
        tensor([0.2500, 0.5000, 0.7500, 0.5000])
    """
    return 1 - (1 - position.remainder(2)).abs()


@dataclass(frozen=True)
class AtRest:
    """A position that stays: uniform, or one of the points of a regular grid.

    Args:
        num_points: Points a side of a grid from 0 to 1, both included; None for anywhere.

    Raises:
        ValueError: If there are fewer than two points.

    Example:
        >>> AtRest(2).positions(torch.tensor([[0.1, 0.9]]), 3).tolist()
        [[[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]]
    """

    num_points: int | None = None
    num_uniforms = 2

    def __post_init__(self) -> None:
        if self.num_points is not None and check_positive_int("num_points", self.num_points) < 2:
            raise ValueError("num_points must be at least 2, got 1; a grid has both ends, 0 and 1")

    def accepts(self, uniforms: Tensor) -> Tensor:
        """Accepts every sequence."""
        return torch.ones(len(uniforms), dtype=torch.bool)

    def positions(self, uniforms: Tensor, num_frames: int) -> Tensor:
        """One position, repeated."""
        if self.num_points is not None:
            uniforms = (uniforms * self.num_points).floor() / (self.num_points - 1)
        return uniforms.unsqueeze(1).expand(-1, num_frames, -1)


@dataclass(frozen=True)
class LinearMotion:
    r"""A straight line, at constant speed, from a uniform start to a uniform end that is not too near.

    Frame t of T lies at $a + (b - a)\, t / (T - 1)$, counted from 0, where a and b are uniform in the unit square given
    that $\lvert b - a \rvert$ exceeds the least distance.

    Args:
        min_distance: Least distance of start and end, in sides of the square.

    Raises:
        ValueError: If the distance is not in [0, 1.4).

    Source:
        The moving circle of Zaharia, Peters et al., Disentangled dynamics; nothing differs.

    Example:
        >>> LinearMotion().positions(torch.tensor([[0.0, 0.0, 1.0, 0.5]]), 3).tolist()
        [[[0.0, 0.0], [0.5, 0.25], [1.0, 0.5]]]
    """

    min_distance: float = 0.1
    num_uniforms = 4

    def __post_init__(self) -> None:
        if not 0 <= self.min_distance < 1.4:
            raise ValueError(f"min_distance must be in [0, 1.4), got {self.min_distance}; the diagonal is 1.41 long")

    def accepts(self, uniforms: Tensor) -> Tensor:
        """Accepts what starts and ends far enough apart."""
        return (uniforms[:, 2:] - uniforms[:, :2]).norm(dim=1) > self.min_distance

    def positions(self, uniforms: Tensor, num_frames: int) -> Tensor:
        """Points at equal distances on the line, its ends included; with one frame, the start."""
        share = torch.linspace(0, 1, num_frames, dtype=uniforms.dtype).unsqueeze(-1)
        start, end = uniforms[:, None, :2], uniforms[:, None, 2:]
        return start + share * (end - start)


@dataclass(frozen=True)
class BouncingMotion:
    """A straight line in a uniform direction that bounces off the sides of the square without loss.

    The start is uniform in the square, the speed between the limits.

    Args:
        min_speed: Least speed, in sides of the square a frame.
        max_speed: Greatest speed.

    Raises:
        ValueError: If the speeds are not 0 < min_speed <= max_speed.

    Example:
        >>> motion = BouncingMotion(0.25, 0.25)
        >>> motion.positions(torch.tensor([[0.5, 0.5, 0.0, 0.0]]), 4)[0, :, 0].tolist()
        [0.5, 0.75, 1.0, 0.75]
    """

    min_speed: float = 0.05
    max_speed: float = 0.15
    num_uniforms = 4

    def __post_init__(self) -> None:
        check_positive_number("min_speed", self.min_speed)
        if not self.max_speed >= self.min_speed:
            raise ValueError(f"max_speed must be at least min_speed, got {self.max_speed} and {self.min_speed}")

    def accepts(self, uniforms: Tensor) -> Tensor:
        """Accepts every sequence."""
        return torch.ones(len(uniforms), dtype=torch.bool)

    def positions(self, uniforms: Tensor, num_frames: int) -> Tensor:
        """The free flight, folded at the sides."""
        speed = self.min_speed + (self.max_speed - self.min_speed) * uniforms[:, 2]
        angle = _TURN * uniforms[:, 3]
        velocity = torch.stack([speed * angle.cos(), speed * angle.sin()], -1).unsqueeze(1)
        time = torch.arange(num_frames, dtype=uniforms.dtype).unsqueeze(-1)
        return reflect(uniforms[:, None, :2] + velocity * time)


@dataclass(frozen=True)
class GravityMotion:
    r"""A ball under gravity that bounces off the floor and the sides without loss, and never reaches the ceiling.

    Its height above the floor, which is at y = 1 since y counts downwards, follows $h = s (v - g s / 2)$, where $v$ is
    the speed at the floor and $s$ the time since the ball left the floor, which starts again after $2 v / g$. The start
    is uniform in the square, the first vertical speed uniform among those that do not reach y = 0.

    Args:
        gravity: Acceleration g, in sides of the square a squared frame.
        max_speed: Greatest horizontal speed, in sides a frame; the speed is uniform up to it in both directions.

    Raises:
        ValueError: If either is not above 0.

    Example:
        >>> motion = GravityMotion(gravity=0.08, max_speed=0.1)
        >>> y = motion.positions(torch.tensor([[0.5, 0.0, 0.5, 0.5]]), 6)[0, :, 1]
        >>> [round(float(value), 2) for value in y]
        [0.0, 0.04, 0.16, 0.36, 0.64, 1.0]
    """

    gravity: float = 0.04
    max_speed: float = 0.1
    num_uniforms = 4

    def __post_init__(self) -> None:
        check_positive_number("gravity", self.gravity)
        check_positive_number("max_speed", self.max_speed)

    def accepts(self, uniforms: Tensor) -> Tensor:
        """Accepts every sequence."""
        return torch.ones(len(uniforms), dtype=torch.bool)

    def positions(self, uniforms: Tensor, num_frames: int) -> Tensor:
        """Parabolas from floor to floor, and a fold at the sides."""
        x, y, along, upward = uniforms.unsqueeze(1).unbind(-1)
        time = torch.arange(num_frames, dtype=uniforms.dtype)
        height = 1 - y
        rise = (2 * upward - 1) * (2 * self.gravity * y).sqrt()
        floor_speed = (rise.square() + 2 * self.gravity * height).sqrt()
        since = ((floor_speed - rise) / self.gravity + time).remainder(2 * floor_speed / self.gravity)
        height = since * (floor_speed - self.gravity * since / 2)
        across = reflect(x + self.max_speed * (2 * along - 1) * time)
        return torch.stack([across, 1 - height], -1).clamp(0, 1)  # of rounding at the floor, 1e-16
