"""Scenes of solid objects on a plane, in the manner of CLEVR, drawn on demand with masks of what is seen."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Final, final

import torch
from torch import Tensor
from torch.utils.data import Dataset

from pyrodis.datasets.compositor import wrap_index
from pyrodis.datasets.item_sources import check_types
from pyrodis.datasets.item_table import types_at
from pyrodis.datasets.scene_drawing import CAMERA, PITCH, VIEW, render_scene, scene_masks
from pyrodis.datasets.solids import BOUNDS, SHAPES, SceneObjects
from pyrodis.datasets.streams import check_seed, check_split, counted_rows, unknown_rows
from pyrodis.ops.checks import check_positive_int

_VERSION: Final = "scenes 1"
_SIZES: Final = (64, 128)
_RADII: Final = (0.45, 0.75)
_GAP: Final = 0.15  # least distance of the circles on the ground around two objects
_DEPTHS: Final = (-3.0, 4.0)  # of the objects' middles, away from the camera
_VIEW_SIZE: Final = 64  # visible pixels are counted in frames of this size
_MIN_PIXELS: Final = 30
_PER_SLOT: Final = 7
_ADVICE: Final = "ask for fewer objects, there is no room for so many"
_TRIED_AT_ONCE: Final = 16
_NUM_COLORS: Final = 8


@final
class Scenes(Dataset[dict[str, Tensor]]):
    """Spheres, cylinders and cubes on a gray plane, with occlusion, shadows, eight colors and two materials.

    The number of objects is uniform. Type, color, material (matt, shiny), size (small, large: radii of .45 and .75),
    rotation and place of each are drawn uniformly, and again for the whole scene until no two objects are closer than
    .15 on the ground and at least 30 pixels of each, in a frame of 64 x 64, are visible (a small sphere in the middle
    has 58), so that large objects are rarer among many. Places are uniform in depth, then across those where an object
    lies wholly within the frame.
    Image i is a function of (seed, split, i), whatever `num_images` is; the size and the color of the frames change
    nothing else.

    A type is its number in `types`, whatever `items` is, so that data sets of fewer types, for training in stages, name
    a type alike.

    Args:
        split: "train", "validation" or "test", which are drawn from different random numbers.
        num_images: How many.
        seed: A whole number in [0, 2^32).
        size: Height and width of the frames, 64 or 128.
        num_objects: The least and the greatest number of objects.
        types: The names of the types 0, 1, ..: some of "sphere", "cylinder" and "cube", in any order.
        items: The types that occur, as places in `types`; None: all of them.
        color: Whether frames have three channels; else they are gray and have one.
        with_masks: Whether images come with masks.

    Attributes:
        factor_names: ("type_0", .., "color_0", .., "material_0", .., "size_0", ..), each for all slots.
        factor_sizes: num_types + 1, 9, 3 and 3; of an empty slot, each has its last value.
        num_types: Types of which there are names; as a factor this number stands for an empty slot.
        num_slots: The greatest number of objects. The first `num_slots` factors are the slots' types.
        items: Types that occur.
        split: The split's name.
        seed: The seed.
        name: "scenes" or "gray_scenes".
        num_frames: 1.
        frame_shape: (C, size, size).
        checksum: The sha256 of the generator's version and settings, the same for all splits.

    Shape:
        An item is {"x": float32 (1, C, H, W) in [0, 1], "factors": int64 (4 num_slots,), "positions": float32
        (num_slots, 2)}, places on the ground, 0 for empty slots, and with masks also {"masks": bool (1, num_slots + 1,
        H, W)}: what is seen of each object, then the background.

    Raises:
        ValueError: If an argument lies outside its range, a type is unknown, or so many objects find no room.
        TypeError: If a number is not whole.

    Source:
        In the manner of Johnson et al., CLEVR (CVPR 2017), and of the crops of it that Burgess et al., MONet (2019),
        train on. Pictures and random numbers are ours; see :func:`render_scene` for what differs.

    Example:
        >>> data = Scenes(num_images=100, types=("cylinder", "sphere"), items=(0,), with_masks=True)
        >>> data[0]["x"].shape, data[0]["masks"].shape, data.factor_sizes[0]
        (torch.Size([1, 3, 64, 64]), torch.Size([1, 5, 64, 64]), 3)
    """

    num_frames: Final = 1

    def __init__(
        self,
        *,
        split: str = "train",
        num_images: int = 10_000,
        seed: int = 0,
        size: int = 64,
        num_objects: tuple[int, int] = (2, 4),
        types: Sequence[str] = SHAPES,
        items: Sequence[int] | None = None,
        color: bool = True,
        with_masks: bool = False,
    ) -> None:
        self.split = check_split(split)
        self.num_images = check_positive_int("num_images", num_images)
        self.seed = check_seed(seed)
        if check_positive_int("size", size) not in _SIZES:
            raise ValueError(f"size must be 64 or 128, got {size}; render_scene draws others")
        self.size = size
        self.num_objects = check_counts("num_objects", num_objects)
        self.types = check_names("types", types, SHAPES)
        self.num_types, self.num_slots = len(self.types), self.num_objects[1]
        self.items = check_types("items", tuple(range(self.num_types)) if items is None else items, self.num_types)
        self.color = color
        self.with_masks = with_masks
        self.name = "scenes" if color else "gray_scenes"
        self.frame_shape = (3 if color else 1, size, size)
        slots = range(self.num_slots)
        self.factor_names = tuple(f"{name}_{i}" for name in ("type", "color", "material", "size") for i in slots)
        sizes = (self.num_types + 1, _NUM_COLORS + 1, 3, 3)
        self.factor_sizes = tuple(size for size in sizes for _ in slots)
        settings = (_VERSION, self.seed, size, self.num_objects, self.types, self.items, bool(color))
        self.checksum = hashlib.sha256(repr(settings).encode()).hexdigest()
        self._uniforms = unknown_rows(num_images, 1 + _PER_SLOT * self.num_slots)
        self._drawn(torch.arange(min(num_images, _TRIED_AT_ONCE)))  # is there room for so many?

    @property
    def factors(self) -> Tensor:
        """Factors of all images, int64 (N, 4 num_slots), without the images; the places of all are drawn."""
        return self._factors(self._drawn(torch.arange(self.num_images)))

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Tensor]]:
        """Draws many items at once, as a `DataLoader` asks for them; the items are views into one batch."""
        where = torch.tensor([wrap_index(index, len(self)) for index in indices], dtype=torch.long)
        uniforms = self._drawn(where)
        objects = self._objects(uniforms)
        batch = {
            "x": render_scene(objects, size=self.size, color=self.color).unsqueeze(1),
            "factors": self._factors(uniforms),
            "positions": objects.positions,
        }
        if self.with_masks:
            batch["masks"] = scene_masks(objects, size=self.size).unsqueeze(1)
        return [{key: value[i] for key, value in batch.items()} for i in range(len(indices))]

    def _drawn(self, rows: Tensor) -> Tensor:
        """Number of objects and accepted numbers of images, drawn when they are first asked for: float64 (B, 1 + U)."""
        key: tuple[int | str, ...] = (_VERSION, self.seed, self.split, *self.num_objects, *self.types, *self.items)
        return counted_rows(self._uniforms, rows, key, self.num_objects, self._accepts, _ADVICE, _TRIED_AT_ONCE)

    def _split(self, uniforms: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Which slots are filled, bool (B, M), and the numbers of each kind, float64 (B, M)."""
        parts = uniforms[:, 1:].unflatten(1, (self.num_slots, _PER_SLOT)).unbind(-1)
        return torch.arange(self.num_slots) < uniforms[:, :1], list(parts)

    def _factors(self, uniforms: Tensor) -> Tensor:
        filled, (kinds, colors, materials, sizes, *_) = self._split(uniforms)
        columns = [
            types_at(kinds, self.items).where(filled, torch.tensor(self.num_types)),
            (colors * _NUM_COLORS).long().masked_fill(~filled, _NUM_COLORS),
            (materials * 2).long().masked_fill(~filled, 2),
            (sizes * 2).long().masked_fill(~filled, 2),
        ]
        return torch.cat(columns, 1)

    def _objects(self, uniforms: Tensor) -> SceneObjects:
        filled, (kinds, colors, materials, sizes, turns, across, away) = self._split(uniforms)
        shapes = torch.tensor([SHAPES.index(self.types[i]) for i in self.items])
        shapes = shapes[(kinds * len(self.items)).long()]
        radii = torch.tensor(_RADII, dtype=torch.float64)[(sizes * 2).long()]
        y = _DEPTHS[0] + (_DEPTHS[1] - _DEPTHS[0]) * away
        depth = math.cos(PITCH) * (y - CAMERA[1]) + math.sin(PITCH) * (CAMERA[2] - radii)
        bounds = radii * torch.tensor(BOUNDS, dtype=torch.float64)[shapes]
        x = (2 * across - 1) * (VIEW * depth - 1.1 * bounds)  # wholly within the frame
        return SceneObjects(
            shapes=shapes.masked_fill(~filled, -1),
            positions=torch.stack([x, y], -1).float() * filled.unsqueeze(-1),
            radii=radii.float(),
            rotations=(2 * math.pi * turns).float(),
            colors=(colors * _NUM_COLORS).long(),
            shiny=materials >= 0.5,
        )

    def _accepts(self, uniforms: Tensor) -> Tensor:
        """Which scenes keep their objects apart and visible: (B, 1 + U) to bool (B)."""
        objects = self._objects(uniforms)
        accepted = _apart(objects)
        seen = scene_masks(objects[accepted], size=_VIEW_SIZE)[:, :-1].sum((-1, -2))
        empty = objects.shapes[accepted] < 0
        accepted[accepted.clone()] = ((seen >= _MIN_PIXELS) | empty).all(1)
        return accepted


def check_counts(name: str, counts: tuple[int, int]) -> tuple[int, int]:
    """Return the least and the greatest number of objects if they are such.

    Args:
        name: Name of the argument, for the message.
        counts: What was given.

    Returns:
        The two numbers.

    Raises:
        ValueError: If they are not two whole numbers of at least 1 in order.

    Example:
        >>> check_counts("num_objects", (2, 4))
        (2, 4)
    """
    if not isinstance(counts, Sequence) or len(counts) != 2:
        raise ValueError(f"{name} must be the least and the greatest number, got {counts!r}; pass (2, 4), for example")
    low, high = (check_positive_int(name, number) for number in counts)
    if low > high:
        raise ValueError(f"{name} must be the least and the greatest number, got {counts!r}; exchange them")
    return low, high


def check_names(name: str, names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return names if they are some of those known, each once.

    Args:
        name: Name of the argument, for the message.
        names: What was given.
        known: The names to choose from.

    Returns:
        The names.

    Raises:
        ValueError: If there are none, or one is unknown or repeated.

    Example:
        >>> check_names("types", ["cube"], ("sphere", "cube"))
        ('cube',)
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    if not names or len(set(names)) < len(names) or not set(names) <= set(known):
        raise ValueError(f"{name} must be some of {', '.join(known)}, each once, got {names}; choose from these")
    return names


def _apart(objects: SceneObjects) -> Tensor:
    """Whether the circles on the ground around all objects of a scene keep a distance: bool (B)."""
    distances = (objects.positions.unsqueeze(1) - objects.positions.unsqueeze(2)).square().sum(-1).sqrt()
    least = objects.radii.unsqueeze(1) + objects.radii.unsqueeze(2) + _GAP
    empty = objects.shapes < 0
    free = empty.unsqueeze(1) | empty.unsqueeze(2) | torch.eye(empty.shape[1], dtype=torch.bool)
    return ((distances > least) | free).flatten(1).all(1)
