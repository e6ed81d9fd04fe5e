"""Spheres, cylinders and cubes that stand on a plane, and where rays meet them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Final

import torch
from torch import Tensor

SHAPES: Final = ("sphere", "cylinder", "cube")
HALF_HEIGHTS: Final = (1.0, 1.0, math.sqrt(0.5))  # in units of the radius: a cube's corners lie on a circle around it
BOUNDS: Final = (1.0, math.sqrt(2.0), math.sqrt(1.5))  # radius of the sphere around each

_PARALLEL: Final = 1e-12  # added to squares, so that a ray along a face divides by something
_CAP: Final = 1 - 1e-3  # a point of a cylinder above this height lies on its lid


@dataclass(frozen=True)
class SceneObjects:
    """The objects of a batch of scenes, M slots a scene, some of which may be empty.

    Args:
        shapes: 0 for a sphere, 1 for a cylinder, 2 for a cube, -1 for an empty slot.
        positions: x (to the right) and y (away from the camera) of the point on the ground that an object stands on.
        radii: Radius of sphere and cylinder, which are as high as wide; of a cube, the distance of its vertical edges
            from its middle.
        rotations: Angle about the vertical axis, in radians.
        colors: Index of one of eight colors, as in `SCENE_COLORS`.
        shiny: Whether the surface is of metal; else it is matt.

    Shape:
        All are (B, M), positions (B, M, 2).

    Raises:
        ValueError: If shapes differ, or a shape, color or radius lies outside its range.
        TypeError: If a part has another type of numbers.

    Example:
        >>> ball = place_objects(["sphere"], [(0.0, 0.0)])
        >>> ball.positions.shape
        torch.Size([1, 1, 2])
    """

    shapes: Tensor
    positions: Tensor
    radii: Tensor
    rotations: Tensor
    colors: Tensor
    shiny: Tensor

    def __post_init__(self) -> None:
        size = self.shapes.shape
        for field in fields(self):
            part = getattr(self, field.name)
            wanted = (*size, 2) if field.name == "positions" else tuple(size)
            if len(size) != 2 or tuple(part.shape) != wanted:
                raise ValueError(f"{field.name} must have shape {wanted or '(B, M)'}, got {tuple(part.shape)}")
            whole = field.name in ("shapes", "colors")
            kind = torch.bool if field.name == "shiny" else torch.int64 if whole else torch.float32
            if part.dtype != kind:
                raise TypeError(f"{field.name} must be {kind}, got {part.dtype}; convert it with .to({kind})")
        _check_range("shapes", self.shapes, -1, len(SHAPES) - 1)
        _check_range("colors", self.colors, 0, 7)
        if self.radii.numel() and not bool((self.radii > 0).all()):
            raise ValueError(f"radii must be above 0, got {float(self.radii.min()):g}")

    def __getitem__(self, rows: slice | Tensor) -> SceneObjects:
        """The objects of some of the scenes."""
        return SceneObjects(*(getattr(self, field.name)[rows] for field in fields(self)))


def place_objects(
    shapes: list[str],
    positions: list[tuple[float, float]],
    *,
    radii: list[float] | None = None,
    rotations: list[float] | None = None,
    colors: list[int] | None = None,
    shiny: list[bool] | None = None,
) -> SceneObjects:
    """Return the objects of one scene, from lists.

    Args:
        shapes: "sphere", "cylinder" or "cube" for each object.
        positions: x and y of each.
        radii: Of each; None: .7.
        rotations: Of each, in radians; None: 0.
        colors: Of each; None: 0, 1, 2 and so on.
        shiny: Of each; None: matt.

    Returns:
        One scene without empty slots.

    Raises:
        ValueError: If a shape is unknown, or lists differ in length.

    Example:
        >>> place_objects(["cube"], [(0.0, 1.0)]).shapes.tolist()
        [[2]]
    """
    unknown = [shape for shape in shapes if shape not in SHAPES]
    if unknown:
        raise ValueError(f"shapes must be among {', '.join(SHAPES)}, got {unknown[0]!r}; choose from these")
    num = len(shapes)
    return SceneObjects(
        torch.tensor([[SHAPES.index(shape) for shape in shapes]], dtype=torch.int64),
        torch.tensor([positions], dtype=torch.float32),
        torch.tensor([[0.7] * num if radii is None else radii], dtype=torch.float32),
        torch.tensor([[0.0] * num if rotations is None else rotations], dtype=torch.float32),
        torch.tensor([[i % 8 for i in range(num)] if colors is None else colors], dtype=torch.int64),
        torch.tensor([[False] * num if shiny is None else shiny]),
    )


class Solids:
    """All objects of a batch of scenes in one list, without the empty slots; vectors have shape (3, N).

    Args:
        objects: The objects by scene and slot.

    Example:
        >>> Solids(place_objects(["sphere", "cube"], [(0, 0), (2, 0)])).slots.tolist()
        [0, 1]
    """

    def __init__(self, objects: SceneObjects) -> None:
        self.num_slots = objects.shapes.shape[1]
        flat = (objects.shapes.flatten() >= 0).nonzero().flatten()
        self.scenes = flat // self.num_slots
        self.slots = flat % self.num_slots
        self.shapes = objects.shapes.flatten()[flat]
        self.radii = objects.radii.flatten()[flat]
        self.heights = self.radii * torch.tensor(HALF_HEIGHTS, dtype=torch.float32)[self.shapes]
        self.bounds = self.radii * torch.tensor(BOUNDS, dtype=torch.float32)[self.shapes]
        self.centers = torch.cat([objects.positions.reshape(-1, 2)[flat].T, self.heights.unsqueeze(0)])
        angles = objects.rotations.double().flatten()[flat]
        self.cos, self.sin = angles.cos().float(), angles.sin().float()
        self.colors = objects.colors.flatten()[flat]
        self.shiny = objects.shiny.flatten()[flat]
        self.table = torch.full((len(objects.shapes), self.num_slots), -1)  # scene and slot to place in the list
        self.table.view(-1)[flat] = torch.arange(len(flat))

    def local_points(self, which: Tensor, points: Tensor) -> Tensor:
        """Points (3, Q) of space in the frames of some objects (Q), whose middle is 0 and whose radius is 1."""
        return self.local_directions(which, points - take(self.centers, which))

    def local_directions(self, which: Tensor, directions: Tensor) -> Tensor:
        """As `local_points`, for directions."""
        x, y, z = directions
        cos, sin, radius = take(self.cos, which), take(self.sin, which), take(self.radii, which)
        return torch.stack([(cos * x + sin * y) / radius, (cos * y - sin * x) / radius, z / radius])

    def intervals(self, which: Tensor, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Where rays, one for each of some objects, enter and leave them, in lengths of the direction.

        Args:
            which: The object that each ray is tried against.
            points: Where the rays start.
            directions: Where they go.

        Shape:
            which: (Q). points and directions: (3, Q).

        Returns:
            Two tensors (Q): a ray meets its object where the first is less than the second.
        """
        points, directions = self.local_points(which, points), self.local_directions(which, directions)
        near, far = torch.empty_like(points[0]), torch.empty_like(points[0])
        shapes = take(self.shapes, which)
        for shape, meet in enumerate((_meet_sphere, _meet_cylinder, _meet_cube)):
            rays = (shapes == shape).nonzero().flatten()
            if len(rays):
                ends = meet(take(points, rays), take(directions, rays))
                near.index_copy_(0, rays, ends[0])
                far.index_copy_(0, rays, ends[1])
        return near, far

    def normals(self, which: Tensor, points: Tensor) -> Tensor:
        """Unit normals (3, Q) at points (3, Q) of the surfaces of some objects (Q)."""
        local = self.local_points(which, points)
        shapes = take(self.shapes, which)
        x, y, z = local
        lid = (shapes == 1) & (z > _CAP)
        flat = (shapes == 1) & ~lid
        local = torch.stack([x.masked_fill(lid, 0), y.masked_fill(lid, 0), z.masked_fill(flat, 0)])
        reach = local.abs()
        aside = reach < torch.maximum(torch.maximum(reach[0], reach[1]), reach[2])
        local = local.masked_fill((shapes == 2) & aside, 0)
        x, y, z = local / _length(local)
        cos, sin = take(self.cos, which), take(self.sin, which)
        return torch.stack([cos * x - sin * y, sin * x + cos * y, z])


def take(values: Tensor, which: Tensor) -> Tensor:
    """Values of the last dimension, by place: `values[..., which]`, several times as fast.

    Args:
        values: Of any kind.
        which: Places.

    Shape:
        values: (..., N). which: (Q).

    Returns:
        The values, (..., Q).

    Example:
        >>> take(torch.tensor([[1, 2], [3, 4]]), torch.tensor([1, 1, 0])).tolist()
        [[2, 2, 1], [4, 4, 3]]
    """
    return values.index_select(-1, which)


def _check_range(name: str, values: Tensor, low: int, high: int) -> None:
    if values.numel() and not (low <= int(values.min()) and int(values.max()) <= high):
        raise ValueError(
            f"{name} must be in [{low}, {high}], got values from {int(values.min())} to {int(values.max())}"
        )


def _length(vectors: Tensor) -> Tensor:
    return (vectors[0] * vectors[0] + vectors[1] * vectors[1] + vectors[2] * vectors[2] + _PARALLEL).sqrt()


def _meet_round(squared: Tensor, mixed: Tensor, constant: Tensor) -> tuple[Tensor, Tensor]:
    """Where squared t^2 + 2 mixed t + constant is negative."""
    under = mixed * mixed - squared * constant
    root = under.clamp(min=0).sqrt()
    miss = under < 0
    return ((-mixed - root) / squared).masked_fill(miss, math.inf), (root - mixed) / squared


def _meet_sphere(points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    (x, y, z), (a, b, c) = points, directions
    return _meet_round(a * a + b * b + c * c, a * x + b * y + c * z, x * x + y * y + z * z - 1)


def _meet_slab(point: Tensor, direction: Tensor, half: float) -> tuple[Tensor, Tensor]:
    """Where a coordinate is within `half` of 0."""
    slope = direction + (direction.abs() < 1e-7).to(direction) * 1e-7
    first, second = (-half - point) / slope, (half - point) / slope
    return torch.minimum(first, second), torch.maximum(first, second)


def _meet_cylinder(points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    (x, y, z), (a, b, c) = points, directions
    near, far = _meet_round(a * a + b * b + _PARALLEL, a * x + b * y, x * x + y * y - 1)
    low, high = _meet_slab(z, c, 1.0)
    return torch.maximum(near, low), torch.minimum(far, high)


def _meet_cube(points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    sides = [_meet_slab(point, direction, HALF_HEIGHTS[2]) for point, direction in zip(points, directions)]
    near = torch.maximum(torch.maximum(sides[0][0], sides[1][0]), sides[2][0])
    return near, torch.minimum(torch.minimum(sides[0][1], sides[1][1]), sides[2][1])
