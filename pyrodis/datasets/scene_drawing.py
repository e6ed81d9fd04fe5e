"""Pictures of spheres, cylinders and cubes on a plane, by one ray cast for each part of a pixel."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from pyrodis.datasets.solids import SceneObjects, Solids, take
from pyrodis.ops.checks import check_positive_int

SCENE_COLORS: Final = {
    "gray": (87, 87, 87),
    "red": (173, 35, 35),
    "blue": (42, 75, 215),
    "green": (29, 105, 20),
    "brown": (129, 74, 25),
    "purple": (129, 38, 192),
    "cyan": (41, 208, 208),
    "yellow": (255, 238, 51),
}
"""Names and 8-bit values of the eight colors."""

CAMERA: Final = (0.0, -10.0, 6.0)
PITCH: Final = math.atan2(5.6, 10.0)  # looks at a point .4 above the origin
VIEW: Final = 0.29  # tangent of half the angle of view

_LUMINANCE: Final = (0.299, 0.587, 0.114)
_SCENES_AT_ONCE: Final = 16  # their rays fit into a processor's cache
_SAMPLES: Final = 2  # rays a pixel in each direction
_MIN_SIZE: Final = 8
_SHADE: Final = 0.62  # what a shadow leaves of the ground's brightness


def _unit(x: float, y: float, z: float) -> tuple[float, float, float]:
    length = math.hypot(x, y, z)
    return x / length, y / length, z / length


LIGHT: Final = _unit(-0.75, -0.30, 1.15)  # towards the key light: from the left, the front and above
_FILL: Final = _unit(0.9, -0.8, 0.5)


def render_scene(objects: SceneObjects, *, size: int = 64, color: bool = True) -> Tensor:
    r"""Draw scenes of solid objects on a gray plane, with one light, shadows, and highlights on metal.

    Every pixel is the mean of 2 x 2 rays. A ray takes the color of the nearest object that it meets, found in closed
    form, or of the ground. A surface with normal n is as bright as the sum of ambient, fill and key light, of which
    the last is absent where another object is between the surface and the light; metal reflects a sky and a highlight
    besides. Frames are rounded to whole 255ths. In gray, they are .299 red + .587 green + .114 blue.

    Only operations that IEEE 754 rounds correctly are used per ray, so that a scene's bytes depend on nothing but its
    objects, alone or in a batch.

    Args:
        objects: The objects of each scene. Those that intersect are drawn as they do.
        size: Height and width of the frames, at least 8.
        color: Whether frames have three channels; else one.

    Shape:
        objects: B scenes of M slots.

    Returns:
        Frames float32 (B, C, size, size) in [0, 1].

    Raises:
        ValueError: If the size is too small.
        TypeError: If the size is not whole.

    Source:
        In the manner of Johnson et al., CLEVR (CVPR 2017): its shapes, colors and two materials, seen in a part of its
        view. There a path tracer draws them, with three lamps and the camera shaken; here one light, no bounces, and a
        camera that stands still.

    Example:
        >>> from pyrodis.datasets.solids import place_objects
        >>> scene = place_objects(["sphere", "cube"], [(-1.0, 0.0), (1.0, 0.5)])
        >>> render_scene(scene).shape
        torch.Size([1, 3, 64, 64])
    """
    _check_size(size)
    starts = range(0, len(objects.shapes), _SCENES_AT_ONCE)
    frames = [_draw(objects[start : start + _SCENES_AT_ONCE], size) for start in starts]
    x = torch.cat(frames) if frames else torch.zeros(0, 3, size, size, dtype=torch.float32)
    if not color:
        red, green, blue = x.unbind(1)
        x = (_LUMINANCE[0] * red + _LUMINANCE[1] * green + _LUMINANCE[2] * blue).unsqueeze(1)
    return (255 * x + 0.5).floor().clamp(0, 255) / 255


def scene_masks(objects: SceneObjects, *, size: int = 64) -> Tensor:
    """Return which pixels show which object: of all objects on the ray through a pixel's center, the nearest.

    Args:
        objects: The objects of each scene.
        size: Height and width of the frames.

    Shape:
        objects: B scenes of M slots.

    Returns:
        bool (B, M + 1, size, size): a mask for each slot, then the background. Exactly one covers each pixel.

    Raises:
        ValueError: If the size is too small.
        TypeError: If the size is not whole.

    Example:
        >>> from pyrodis.datasets.solids import place_objects
        >>> masks = scene_masks(place_objects(["sphere"], [(0.0, 0.0)]))
        >>> masks.sum((-1, -2)).tolist()
        [[150, 3946]]
    """
    _check_size(size)
    num_slots = objects.shapes.shape[1]
    masks = torch.zeros(len(objects.shapes), num_slots + 1, size * size, dtype=torch.bool)
    for start in range(0, len(masks), _SCENES_AT_ONCE):
        part = objects[start : start + _SCENES_AT_ONCE]
        owner = _nearest(Solids(part), len(part.shapes), size)[1]
        masks[start : start + len(owner)].scatter_(1, owner.unsqueeze(1), True)
    return masks.unflatten(-1, (size, size))


def _check_size(size: int) -> None:
    if check_positive_int("size", size) < _MIN_SIZE:
        raise ValueError(f"size must be at least {_MIN_SIZE}, got {size}; 64 and 128 are usual")


def _column(vector: tuple[float, float, float]) -> Tensor:
    """A vector of space as (3, 1), in single precision whatever torch's default is."""
    return torch.tensor(vector, dtype=torch.float32).unsqueeze(-1)


def _directions(pixels: Tensor, grid: int) -> Tensor:
    """Directions (3, Q) of the rays through some pixels (Q) of a frame of grid x grid, from the camera."""
    across = ((2 * (pixels % grid) + 1).float() / grid - 1) * VIEW
    down = ((2 * (pixels // grid) + 1).float() / grid - 1) * VIEW
    cos, sin = math.cos(PITCH), math.sin(PITCH)
    return torch.stack([across, cos - sin * down, -sin - cos * down])


def sphere_edges(centers: Tensor, radii: Tensor) -> Tensor:
    """Return where the camera sees the edges of spheres, by the planes that touch them.

    Args:
        centers: Middles of the spheres.
        radii: Their radii.

    Shape:
        centers: (3, N). radii: (N).

    Returns:
        (2, 2, N): left and right, then upper and lower edge, from -1 to 1 across the frame.

    Example:
        >>> (100 * sphere_edges(torch.tensor([[0.0], [0.0], [0.5]]), torch.tensor([0.5]))).round().flatten().tolist()
        [-15.0, 15.0, -18.0, 12.0]
    """
    x, y, z = centers - _column(CAMERA)
    cos, sin = math.cos(PITCH), math.sin(PITCH)
    depth = cos * y - sin * z
    edges = []
    for aside in (x, -sin * y - cos * z):
        squared = (depth * depth - radii * radii).clamp(min=1e-6)
        root = radii * (aside * aside + squared).sqrt()
        edges.append(torch.stack([aside * depth - root, aside * depth + root]) / (squared * VIEW))
    return torch.stack(edges)


def _windows(centers: Tensor, radii: Tensor, grid: int) -> tuple[Tensor, Tensor]:
    """Which pixels (Q) may show which of N spheres, and which sphere (Q)."""
    edges = ((sphere_edges(centers, radii) + 1) * (grid / 2)).floor().long() + torch.tensor([[0], [1]])
    (left, right), (top, bottom) = edges.clamp(0, grid)
    widths = right - left
    counts = widths * (bottom - top)
    which = torch.repeat_interleave(counts)
    place = torch.arange(len(which)) - take(counts.cumsum(0) - counts, which)
    width = take(widths, which)
    down = torch.div(place, width, rounding_mode="trunc")
    return take(top * grid + left, which) + down * (grid - width) + place, which


def _nearest(solids: Solids, num_scenes: int, grid: int) -> tuple[Tensor, Tensor]:
    """Distance to the nearest object and its slot (M for none), for each ray: (B, grid^2) each."""
    pixels, which = _windows(solids.centers, solids.bounds, grid)
    origin = _column(CAMERA)
    near, far = solids.intervals(which, origin.expand(3, len(which)), _directions(pixels, grid))
    hit = ((near < far) & (near > 0)).nonzero().flatten()
    near, which = take(near, hit), take(which, hit)
    places = take(solids.scenes, which) * grid**2 + take(pixels, hit)
    depth = torch.full((num_scenes * grid**2,), math.inf, dtype=torch.float32).scatter_reduce_(0, places, near, "amin")
    first = (near == take(depth, places)).nonzero().flatten()
    owner = torch.full_like(depth, solids.num_slots, dtype=torch.int64)
    owner.scatter_reduce_(0, take(places, first), take(solids.slots, take(which, first)), "amin")
    return depth.view(num_scenes, -1), owner.view(num_scenes, -1)


def _draw(objects: SceneObjects, size: int) -> Tensor:
    """Frames (B, 3, size, size), not rounded yet."""
    grid, num_scenes = _SAMPLES * size, len(objects.shapes)
    solids = Solids(objects)
    depth, owner = _nearest(solids, num_scenes, grid)
    canvas = _ground(grid).unsqueeze(1) * (1 - (1 - _SHADE) * _ground_shadows(solids, owner, grid))
    places = (owner.view(-1) < solids.num_slots).nonzero().flatten()
    scenes = torch.div(places, grid**2, rounding_mode="trunc")
    which = take(solids.table.view(-1), scenes * solids.num_slots + take(owner.view(-1), places))
    colors = _surface(solids, which, take(depth.view(-1), places), _directions(places - scenes * grid**2, grid))
    canvas.view(3, -1).index_copy_(1, places, colors)
    canvas = canvas.clamp(0, 1).view(3, num_scenes, grid, grid).transpose(0, 1)
    quarters = [canvas[:, :, i::_SAMPLES, j::_SAMPLES] for i in range(_SAMPLES) for j in range(_SAMPLES)]
    return (quarters[0] + quarters[1] + quarters[2] + quarters[3]) / 4


def _ground_points(pixels: Tensor, grid: int) -> Tensor:
    """Where the rays through pixels meet the ground: (3, Q)."""
    directions = _directions(pixels, grid)
    points = _column(CAMERA) - CAMERA[2] / directions[2] * directions
    points[2] = 0
    return points


@lru_cache(maxsize=8)
def _ground(grid: int) -> Tensor:
    """Colors of the ground without shadows, brightest near the light: (3, grid^2)."""
    x, y, _ = _ground_points(torch.arange(grid**2), grid)
    squared = (x + 0.8) * (x + 0.8) + (y - 0.6) * (y - 0.6)
    bright = 0.40 + 0.26 / (1 + squared / 30)
    return torch.stack([1.0 * bright, 0.992 * bright, 0.98 * bright])


def _ground_shadows(solids: Solids, owner: Tensor, grid: int) -> Tensor:
    """Which rays meet the ground in a shadow: float (B, grid^2)."""
    light = torch.tensor(LIGHT, dtype=torch.float32)
    slant = solids.heights / light[2]
    feet = torch.stack([solids.centers[i] - slant * light[i] for i in range(2)] + [torch.zeros_like(slant)])
    pixels, which = _windows(feet, solids.bounds / light[2], grid)
    places = take(solids.scenes, which) * grid**2 + pixels
    on_ground = (take(owner.view(-1), places) == solids.num_slots).nonzero().flatten()
    pixels, which, places = take(pixels, on_ground), take(which, on_ground), take(places, on_ground)
    near, far = solids.intervals(which, _ground_points(pixels, grid), light.unsqueeze(-1).expand(3, len(which)))
    dark = ((near < far) & (far > 0)).nonzero().flatten()
    return torch.zeros(owner.numel(), dtype=torch.float32).index_fill_(0, take(places, dark), 1.0).view(owner.shape)


def _object_shadows(solids: Solids, which: Tensor, points: Tensor) -> Tensor:
    """Which points (3, Q) of objects (Q) other objects keep the light from: bool (Q)."""
    light = _column(LIGHT)
    dark = torch.zeros(len(which), dtype=torch.bool)
    for slot in range(solids.num_slots):
        caster = solids.table[solids.scenes, slot]
        offset = solids.centers[:, caster] - solids.centers
        along = (offset * light).sum(0)
        aside = (offset * offset).sum(0) - along * along
        reach = solids.bounds + solids.bounds[caster] + 1e-3  # spheres around both must meet the beam between them
        may = (caster >= 0) & (solids.slots != slot) & (along > 0) & (aside < reach * reach)
        rays = take(may, which).nonzero().flatten()
        casters = take(caster, take(which, rays))
        near, far = solids.intervals(casters, take(points, rays), light.expand(3, len(rays)))
        dark.index_fill_(0, take(rays, ((near < far) & (far > 0)).nonzero().flatten()), True)
    return dark


def _dot(first: Tensor, second: Tensor) -> Tensor:
    return first[0] * second[0] + first[1] * second[1] + first[2] * second[2]


def _surface(solids: Solids, which: Tensor, depth: Tensor, directions: Tensor) -> Tensor:
    """Colors (3, Q) of objects (Q) at a distance (Q) in directions (3, Q) from the camera."""
    points = _column(CAMERA) + depth * directions
    normals = solids.normals(which, points)
    view = -directions / _dot(directions, directions).sqrt()
    light, fill = _column(LIGHT), _column(_FILL)
    lit = (~_object_shadows(solids, which, points)).float()
    key = _dot(normals, light).clamp(min=0) * lit
    soft = 0.34 + 0.14 * normals[2] + 0.22 * _dot(normals, fill).clamp(min=0)
    half = light + view
    gloss = (_dot(normals, half) / _dot(half, half).sqrt()).clamp(min=0)
    gloss = gloss * gloss * (key > 0)
    sheen = (gloss * gloss) * (gloss * gloss)
    spot = sheen * sheen * sheen * sheen
    spot = spot * spot
    upward = 2 * _dot(normals, view) * normals[2] - view[2]  # of the mirrored ray
    mirrored = torch.where(upward > 0, 0.42 + 0.5 * upward, 0.42 + 0.30 * upward)
    albedo = (torch.tensor(list(SCENE_COLORS.values()), dtype=torch.float32) / 255.0).T
    albedo = take(albedo, take(solids.colors, which))
    matt = albedo * (soft + 0.72 * key) + 0.10 * sheen
    metal = albedo * (0.75 * soft + 0.45 * key) + 0.30 * mirrored * (0.35 + 0.65 * albedo) + 0.85 * spot
    return torch.where(take(solids.shiny, which), metal, matt)
