"""Frames with white circles on a Gaussian background, from positions, and masks of where the circles are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from pyrodis.ops import without_autocast

_CANVAS: Final = 64
_RADIUS: Final = 0.1 * _CANVAS
_DISC: Final = _RADIUS**2 + _RADIUS  # the square of the radius that is drawn, 6.88 pixels: see the source
_VARIANCE: Final = 15.0 * _CANVAS
_BACKGROUND: Final = 0.8 * 255


@dataclass(frozen=True)
class CircleScene:
    """How circles and background are drawn.

    Args:
        size: Height and width of a frame, a divisor of 64 of at least 4: frames are drawn at 64 pixels and reduced.
        num_circles: Circles in a frame.
        circle_value: Brightness of a circle in (0, 1].
        occlude: Whether circles hide the background; else their brightness is added to it and cut at 1. With a
            brightness of 1, as published, both give the same frames.

    Raises:
        ValueError: If an argument lies outside its range.

    Example:
        >>> CircleScene(size=64).size
        64
    """

    size: int = 32
    num_circles: int = 1
    circle_value: float = 1.0
    occlude: bool = False

    def __post_init__(self) -> None:
        if self.size not in (4, 8, 16, 32, 64):
            raise ValueError(f"size must be 4, 8, 16, 32 or 64, got {self.size!r}; frames are drawn at 64 and reduced")
        if isinstance(self.num_circles, bool) or not isinstance(self.num_circles, int) or self.num_circles < 1:
            raise ValueError(f"num_circles must be a whole number of at least 1, got {self.num_circles!r}")
        if not 0 < self.circle_value <= 1:
            raise ValueError(f"circle_value must be in (0, 1], got {self.circle_value!r}; 1 is white")


_PUBLISHED: Final = CircleScene()


def render_circle(circle_positions: Tensor, background_positions: Tensor, scene: CircleScene = _PUBLISHED) -> Tensor:
    r"""Draw circles before a Gaussian background, exactly as published, to the byte.

    $$
    y(p) = \Big\lfloor \min\big(255,\; 255\, [\lvert p - 48 c - 8 \rvert^2 \le 6.4^2 + 6.4]
           + 204\, e^{-(\lvert p - 64 b \rvert^2 - d^2) / (2 \cdot 15 \cdot 64)}\big) \Big\rfloor
    $$

    at the pixels p of a canvas of 64 x 64, where c and b are the positions of circle and background and d is the
    distance of 64 b from its nearest pixel, so that the background's peak is 204 of 255. The canvas is then reduced
    as Pillow does it, columns first: each pixel of a frame of 32 is the mean of four of the canvas, with weights 1, 3,
    3, 1 (fewer at the border), rounded to whole numbers after either direction. Values are divided by 255.

    Args:
        circle_positions: x and y of each circle in turn, in [0, 1]; x counts to the right, y downwards.
        background_positions: x and y of the background's peak, in [0, 1].
        scene: Size, brightness and overlap.

    Shape:
        circle_positions: (..., 2 num_circles). background_positions: (..., 2), which broadcast with the former.

    Returns:
        Frames float32 (..., 1, size, size) in [0, 1].

    Raises:
        ValueError: If a last dimension has another size, or a position is outside of [0, 1].

    Source:
        The code published with Disentangled dynamics (Zaharia, Peters et al.). It adds the radius to its square, so
        that the circle has a radius of 6.88 pixels in place of 6.4. Where its code is exactly on the circle's edge,
        which occurs on its grid, rounding decides; positions are therefore taken as float32, as there.

    Example:
        >>> sweep = torch.cartesian_prod(torch.linspace(0, 1, 4), torch.linspace(0, 1, 4))
        >>> render_circle(sweep, torch.tensor([0.5, 0.5])).shape
        torch.Size([16, 1, 32, 32])
    """
    _check_positions("circle_positions", circle_positions, 2 * scene.num_circles)
    _check_positions("background_positions", background_positions, 2)
    disc = _disc(circle_positions)
    ground = _background(background_positions)
    value = 255 * scene.circle_value
    covered = (torch.full_like(ground, value) if scene.occlude else ground + value).clamp(max=255).floor().float()
    canvas = torch.where(disc, covered, ground.floor().float())
    return _reduce(canvas, scene.size).div_(255).unsqueeze(-3)


def circle_masks(circle_positions: Tensor, scene: CircleScene = _PUBLISHED) -> Tensor:
    """Return which pixels lie inside the circles, on their edge, and on the background.

    A pixel is inside if all pixels of the canvas that it averages are covered by a circle, on the edge if some are, and
    background if none is. At size 64 nothing is averaged, so that no pixel is on an edge. The three are a partition.

    Args:
        circle_positions: As for :func:`render_circle`.
        scene: Size and number of circles.

    Shape:
        circle_positions: (..., 2 num_circles).

    Returns:
        bool (..., 3, size, size): inside, edge, background.

    Raises:
        ValueError: If the last dimension has another size, or a position is outside of [0, 1].

    Example:
        >>> circle_masks(torch.tensor([0.5, 0.5])).sum((-1, -2)).tolist()
        [19, 39, 966]
    """
    _check_positions("circle_positions", circle_positions, 2 * scene.num_circles)
    coverage = _cover(_disc(circle_positions).float(), scene.size)
    inside, background = coverage > 1 - 1e-5, coverage < 1e-5
    return torch.stack([inside, ~(inside | background), background], -3)


def published_circle_masks(circle_positions: Tensor) -> Tensor:
    """Return the masks of the published reconstruction errors, for frames of 32 x 32 with one circle.

    Three circles are drawn, with radii of .05, .1 and .15 of the frame, reduced, and cut at 102 of 255. Inside is in
    the small one; edge is in the middle one and not in the small one; background is outside of the large one. A margin
    around the circle is in none of the three, and "edge" is most of the circle.

    Args:
        circle_positions: As for :func:`render_circle`.

    Shape:
        circle_positions: (..., 2).

    Returns:
        bool (..., 3, 32, 32): inside, edge, background.

    Raises:
        ValueError: If the last dimension is not 2, or a position is outside of [0, 1].

    Source:
        The code published with Disentangled dynamics (Zaharia, Peters et al.); nothing differs.

    Example:
        >>> published_circle_masks(torch.tensor([0.5, 0.5])).sum((-1, -2)).tolist()
        [13, 26, 939]
    """
    _check_positions("circle_positions", circle_positions, 2)
    size, radii = _PUBLISHED.size, (0.1 - 0.05, 0.1, 0.1 + 0.05)
    small, middle, large = (
        _reduce(255 * _disc(circle_positions, radius * _CANVAS).float(), size) > 0.4 * 255 for radius in radii
    )
    return torch.stack([middle & small, middle & ~small, ~large], -3)


def _check_positions(name: str, positions: Tensor, num: int) -> None:
    if positions.dim() == 0 or positions.shape[-1] != num:
        raise ValueError(f"{name} must have shape (..., {num}), an x and a y each, got {tuple(positions.shape)}")
    if positions.numel() > 0 and not bool(((positions >= 0) & (positions <= 1)).all()):
        low, high = (float(value) for value in positions.aminmax())
        raise ValueError(f"{name} must be in [0, 1], got values from {low:g} to {high:g}; scale them")


def _disc(positions: Tensor, radius: float = _RADIUS) -> Tensor:
    """Pixels of the canvas in any circle: (..., 2K) to bool (..., 64, 64)."""
    pixels = torch.arange(_CANVAS, dtype=torch.float64, device=positions.device)
    centers = ((0.75 * _CANVAS) * positions.float()).double() + _CANVAS / 8  # in float32 up to the product, as there
    squares = (pixels - centers.unsqueeze(-1)).square().unflatten(-2, (-1, 2))
    across, down = squares[..., 0, :], squares[..., 1, :]
    discs = across.unsqueeze(-2) <= (radius**2 + radius - down).unsqueeze(-1)
    return discs.squeeze(-3) if discs.shape[-3] == 1 else discs.any(-3)


def _background(positions: Tensor) -> Tensor:
    """The Gaussian on the canvas, of height 204: (..., 2) to float64 (..., 64, 64)."""
    pixels = torch.arange(_CANVAS, dtype=torch.float64, device=positions.device)
    squares = (pixels - _CANVAS * positions.float().double().unsqueeze(-1)).square()
    across, down = torch.exp((squares.amin(-1, keepdim=True) - squares) / (2 * _VARIANCE)).unbind(-2)
    return (_BACKGROUND * down).unsqueeze(-1) * across.unsqueeze(-2)


@lru_cache(maxsize=8)
def _weights(size: int) -> Tensor:
    """The matrix (64, size) of a triangular window as wide as two pixels of the frame, columns adding up to 1."""
    step = _CANVAS // size
    centers = (torch.arange(size, dtype=torch.float64) + 0.5) * step
    pixels = torch.arange(_CANVAS, dtype=torch.float64).unsqueeze(-1) + 0.5
    window = (1 - (pixels - centers).abs() / step).clamp(min=0)
    return (window / window.sum(0)).float()


def _cover(canvas: Tensor, size: int) -> Tensor:
    """Weighted means of the canvas, without rounding: float32 (..., 64, 64) to (..., size, size)."""
    weights = _weights(size).to(canvas.device)
    with without_autocast(canvas):
        return weights.mT @ (canvas @ weights)


def _reduce(canvas: Tensor, size: int) -> Tensor:
    """Weighted means of the canvas, rounded in each direction: float32 (..., 64, 64) to (..., size, size)."""
    if size == _CANVAS:
        return canvas
    weights = _weights(size).to(canvas.device)
    with without_autocast(canvas):
        narrow = (canvas @ weights).add_(0.5).floor_()
        return (weights.mT @ narrow).add_(0.5).floor_()
