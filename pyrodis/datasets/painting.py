"""Painting with signed distances: shapes, and parts that cover one another, become RGBA tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

SIZE = 64
"""Height and width of a tile, pixels."""

_Y, _X = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5, indexing="ij")
_LIGHT = (0.6, 0.8)  # the light comes from the upper left
_OUTLINE = 0.42  # tone of the outline


@dataclass(frozen=True)
class Part:
    """One shape of one color slot in every pose.

    Args:
        distance: signed distance to the shape's edge in pixels, negative inside.
        near: nearness to the viewer; of two parts, the one with the larger value covers the other, of equals
            the later one.
        slot: name of the palette's color that fills the part.
        trim: a pattern of a second color on it: its mask in [0, 1] and the name of its color; None for none.
        flat: whether to leave out outline and shading (eyes, buttons).

    Shape:
        distance: (N, 64, 64); near: (N,); the mask: (N, 64, 64).
    """

    distance: np.ndarray
    near: np.ndarray
    slot: str
    trim: tuple[np.ndarray, str] | None = None
    flat: bool = False


def _column(value: np.ndarray | float) -> np.ndarray:
    """A value a pose, ready to meet the pixels: (N,) -> (N, 1, 1)."""
    return np.asarray(value, dtype=np.float64).reshape(-1, 1, 1)


def offset(point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates relative to a point a pose.

    Shape:
        point: (N, 2 or 3), x and y first; each result: (N, 64, 64).

    Returns:
        x and y in pixels, from the point to each pixel's middle.

    Example:
        >>> offset(np.array([[32.5, 10.5]]))[0][0, 0, 32]
        np.float64(0.0)
    """
    return _X - _column(point[:, 0]), _Y - _column(point[:, 1])


def chain(points: Sequence[np.ndarray], radii: Sequence[np.ndarray | float]) -> np.ndarray:
    """Signed distance to a chain of round segments whose radius changes linearly from joint to joint.

    d(p) = min over segments of |p - c(s)| - r(s), with s the nearest place on the segment's axis: exact for constant
    radii, close to it for slowly changing ones.

    Args:
        points: the joints, x and y first.
        radii: the radius at each joint, pixels; a number or one value a pose.

    Shape:
        each point: (N, 2 or 3); result: (N, 64, 64).

    Returns:
        Distances in pixels, negative inside.

    Raises:
        ValueError: If there are fewer than two joints, or not one radius a joint.

    Example:
        >>> d = chain([np.array([[20.5, 32.5]]), np.array([[40.5, 32.5]])], [3.0, 3.0])
        >>> d[0, 32, 30], d[0, 40, 30]
        (np.float64(-3.0), np.float64(5.0))
    """
    if len(points) < 2 or len(radii) != len(points):
        raise ValueError(f"points must be two or more joints with one radius each, got {len(points)} and {len(radii)}")
    segments = []
    for start, end, first, last in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
        x, y = offset(start)
        along_x, along_y = _column(end[:, 0] - start[:, 0]), _column(end[:, 1] - start[:, 1])
        square = np.maximum(along_x**2 + along_y**2, 1e-9)
        place = np.clip((x * along_x + y * along_y) / square, 0.0, 1.0)
        distance = np.sqrt((x - place * along_x) ** 2 + (y - place * along_y) ** 2)
        distance -= _column(first) + place * (_column(last) - _column(first))
        segments.append(distance)
    return reduce(np.minimum, segments)


def ellipse(center: np.ndarray, width: np.ndarray | float, height: np.ndarray | float) -> np.ndarray:
    """Approximate signed distance to an upright ellipse.

    d(p) = k (k - 1) / |grad k^2 / 2| with k = |(x / width, y / height)|: exact at the edge to first order.

    Args:
        center: its middle, x and y first.
        width: half its width, pixels; a number or one value a pose.
        height: half its height, pixels; a number or one value a pose.

    Shape:
        center: (N, 2 or 3); result: (N, 64, 64).

    Returns:
        Distances in pixels, negative inside.

    Example:
        >>> ellipse(np.array([[32.5, 32.5]]), 8.0, 4.0)[0, 32, 40]
        np.float64(0.0)
    """
    x, y = offset(center)
    x, y = x / _column(width), y / _column(height)
    reach = np.sqrt(x**2 + y**2)
    slope = np.sqrt((x / _column(width)) ** 2 + (y / _column(height)) ** 2)
    small = np.minimum(_column(width), _column(height))
    return np.where(slope > 1e-6, reach * (reach - 1.0) / np.maximum(slope, 1e-6), -small)


def _coverage(distance: np.ndarray) -> np.ndarray:
    return np.clip(0.5 - distance, 0.0, 1.0)


def _tone(distance: np.ndarray) -> np.ndarray:
    """Brightness of a part: three flat bands by the slope toward the light, and a dark outline of one pixel."""
    slope = np.zeros_like(distance)
    slope[:, :, 1:-1] += _LIGHT[0] * (distance[:, :, 2:] - distance[:, :, :-2]) / 2
    slope[:, 1:-1] += _LIGHT[1] * (distance[:, 2:] - distance[:, :-2]) / 2
    rim = np.clip(1.0 + distance / 5.0, 0.0, 1.0)  # 0 deep inside, 1 at the edge
    lit = slope * rim
    band = 1.0 - 0.2 * np.clip(8.0 * (lit - 0.28), 0.0, 1.0) + 0.16 * np.clip(8.0 * (-0.3 - lit), 0.0, 1.0)
    return band * (1.0 - (1.0 - _OUTLINE) * np.clip(distance + 1.4, 0.0, 1.0))


def shade(parts: Sequence[Part], blockers: Sequence[Part] = ()) -> dict[str, np.ndarray]:
    """Weigh what each color slot gives to each pixel of one layer, with nearer parts covering farther ones.

    weight_slot = sum over its parts p of tone_p a_p prod over nearer parts q of (1 - a_q), where a is the share of the
    pixel that a part covers. The weights are linear in the colors, so that one geometry serves many palettes.

    Args:
        parts: what the layer shows.
        blockers: parts of lower layers that cut the parts behind them, so that an arm shows in front of a shirt.

    Shape:
        each weight: (N, 64, 64).

    Returns:
        Weight of each slot, and under "alpha" the opacity in [0, 1].

    Example:
        >>> dot = Part(ellipse(np.array([[32.5, 32.5]]), 8.0, 8.0), np.zeros(1), "skin", flat=True)
        >>> weights = shade([dot])
        >>> weights["skin"][0, 32, 32], weights["alpha"][0, 0, 0]
        (np.float64(1.0), np.float64(0.0))
    """
    covered = [_coverage(part.distance) for part in (*parts, *blockers)]
    nears = [part.near for part in (*parts, *blockers)]
    weights: dict[str, np.ndarray] = {"alpha": np.zeros_like(covered[0])}
    for index, part in enumerate(parts):
        seen = covered[index].copy()
        for other, near in enumerate(nears):
            nearer = (near > part.near) | ((near == part.near) & (other > index))
            if nearer.any():
                seen[nearer] *= 1.0 - covered[other][nearer]
        weights["alpha"] += seen
        light = seen if part.flat else seen * _tone(part.distance)
        if part.trim is not None:
            mask, slot = part.trim
            weights[slot] = weights.get(slot, 0.0) + light * mask
            light = light * (1.0 - mask)
        weights[part.slot] = weights.get(part.slot, 0.0) + light
    return weights


def colorize(weights: Mapping[str, np.ndarray], palette: Mapping[str, np.ndarray]) -> np.ndarray:
    """Fill weighted slots with colors.

    Args:
        weights: the result of `shade`.
        palette: slot -> RGB color, 0 to 255.

    Shape:
        result: (N, 64, 64, 4).

    Returns:
        uint8 RGBA tiles, straight (not premultiplied) alpha, partial at the edges; color 0 where alpha is 0.

    Example:
        >>> dot = Part(ellipse(np.array([[32.5, 32.5]]), 8.0, 8.0), np.zeros(1), "skin", flat=True)
        >>> colorize(shade([dot]), {"skin": np.array([200, 150, 100])})[0, 32, 32].tolist()
        [200, 150, 100, 255]
    """
    alpha = np.minimum(weights["alpha"], 1.0)
    opacity = np.rint(255.0 * alpha)
    tiles = np.zeros((*alpha.shape, 4), dtype=np.uint8)
    lit = opacity > 0
    for channel in range(3):
        light = sum(weight[lit] * palette[slot][channel] for slot, weight in weights.items() if slot != "alpha")
        tiles[..., channel][lit] = np.clip(np.rint(light / alpha[lit]), 0, 255).astype(np.uint8)
    tiles[..., 3] = opacity.astype(np.uint8)
    return tiles
