"""Scenes of flat shapes that hide each other, in the manner of Multi-dSprites, drawn on demand with masks."""

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
from pyrodis.datasets.scenes import check_counts, check_names
from pyrodis.datasets.streams import check_seed, check_split, counted_rows, unknown_rows
from pyrodis.ops.checks import check_positive_int

FLAT_SHAPES: Final = ("square", "ellipse", "heart")
FLAT_COLORS: Final = {
    "red": (230, 60, 50),
    "orange": (245, 150, 40),
    "yellow": (250, 225, 70),
    "green": (70, 180, 80),
    "cyan": (70, 200, 215),
    "blue": (60, 100, 225),
    "purple": (150, 75, 200),
    "pink": (245, 130, 185),
}

_VERSION: Final = "flat scenes 1"
_SIZE: Final = 64
_RADII: Final = (7.0, 12.0)  # of the circle around a shape, in pixels
_GRAYS: Final = (0, 128)  # of the background, in 255ths
_MIN_PIXELS: Final = 30
_PER_SLOT: Final = 6
_MAX_SHAPES: Final = 6
_ADVICE: Final = "ask for fewer shapes, they hide each other"
_TRIED_AT_ONCE: Final = 256
_DRAWN_AT_ONCE: Final = 16


@final
class FlatScenes(Dataset[dict[str, Tensor]]):
    """Squares, ellipses and hearts of eight colors on plain gray, 64 x 64, the later before the earlier.

    The number of shapes is uniform. Type, color, radius (7 to 12 pixels, of the circle around it), rotation and place,
    wholly within the frame, of each and the gray of the background (0 to 128 of 255) are drawn uniformly, and again for
    the whole scene until all colors differ and at least 30 pixels of each shape are visible. Pixels are not smoothed:
    each has the color of the last shape on its center. Image i is a function of (seed, split, i), whatever
    `num_images` is.

    A type is its number in `types`, whatever `items` is, so that data sets of fewer types, for training in stages, name
    a type alike.

    Args:
        split: "train", "validation" or "test", which are drawn from different random numbers.
        num_images: How many.
        seed: A whole number in [0, 2^32).
        num_objects: The least and the greatest number of shapes, at most 6.
        types: The names of the types 0, 1, ..: some of "square", "ellipse" and "heart", in any order.
        items: The types that occur, as places in `types`; None: all of them.
        with_masks: Whether images come with masks.

    Attributes:
        factor_names: ("type_0", .., "color_0", ..), each for all slots.
        factor_sizes: num_types + 1 and 9; of an empty slot, each has its last value.
        num_types: Types of which there are names; as a factor this number stands for an empty slot.
        num_slots: The greatest number of shapes. The first `num_slots` factors are the slots' types.
        items: Types that occur.
        split: The split's name.
        seed: The seed.
        name: "flat_scenes".
        num_frames: 1.
        frame_shape: (3, 64, 64).
        checksum: The sha256 of the generator's version and settings, the same for all splits.

    Shape:
        An item is {"x": float32 (1, 3, 64, 64) in [0, 1], "factors": int64 (2 num_slots,), "positions": float32
        (num_slots, 2)}, x and y of the middles in pixels, 0 for empty slots, and with masks also {"masks": bool (1,
        num_slots + 1, 64, 64)}: what is seen of each shape, then the background.

    Raises:
        ValueError: If an argument lies outside its range, a type is unknown, or so many shapes hide each other always.
        TypeError: If a number is not whole.

    Source:
        In the manner of Kabra et al., Multi-object datasets (2019), Multi-dSprites, colored on gray. Shapes, the eight
        colors (theirs are continuous) and random numbers are ours.

    Example:
        >>> data = FlatScenes(num_images=100, with_masks=True)
        >>> data[0]["x"].shape, data[0]["masks"].shape, len(data.factor_names)
        (torch.Size([1, 3, 64, 64]), torch.Size([1, 5, 64, 64]), 8)
    """

    name: Final = "flat_scenes"
    num_frames: Final = 1
    frame_shape: Final = (3, _SIZE, _SIZE)

    def __init__(
        self,
        *,
        split: str = "train",
        num_images: int = 10_000,
        seed: int = 0,
        num_objects: tuple[int, int] = (2, 4),
        types: Sequence[str] = FLAT_SHAPES,
        items: Sequence[int] | None = None,
        with_masks: bool = False,
    ) -> None:
        self.split = check_split(split)
        self.num_images = check_positive_int("num_images", num_images)
        self.seed = check_seed(seed)
        self.num_objects = check_counts("num_objects", num_objects)
        if self.num_objects[1] > _MAX_SHAPES:
            raise ValueError(f"num_objects must be at most {_MAX_SHAPES}, got {num_objects}; their colors must differ")
        self.types = check_names("types", types, FLAT_SHAPES)
        self.num_types, self.num_slots = len(self.types), self.num_objects[1]
        self.items = check_types("items", tuple(range(self.num_types)) if items is None else items, self.num_types)
        self.with_masks = with_masks
        slots = range(self.num_slots)
        self.factor_names = tuple(f"{name}_{i}" for name in ("type", "color") for i in slots)
        self.factor_sizes = (self.num_types + 1,) * self.num_slots + (len(FLAT_COLORS) + 1,) * self.num_slots
        settings = (_VERSION, self.seed, self.num_objects, self.types, self.items)
        self.checksum = hashlib.sha256(repr(settings).encode()).hexdigest()
        self._uniforms = unknown_rows(num_images, 2 + _PER_SLOT * self.num_slots)
        self._drawn(torch.arange(min(num_images, _DRAWN_AT_ONCE)))  # is there room for so many?

    @property
    def factors(self) -> Tensor:
        """Factors of all images, int64 (N, 2 num_slots), without the images; the places of all are drawn."""
        return self._factors(self._drawn(torch.arange(self.num_images)))

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Tensor]]:
        """Draws many items at once, as a `DataLoader` asks for them; the items are views into one batch."""
        where = torch.tensor([wrap_index(index, len(self)) for index in indices], dtype=torch.long)
        uniforms = self._drawn(where)
        owners = self._owners(uniforms)
        filled, (_, colors, _, _, *middle) = self._split(uniforms)
        palette = torch.tensor(list(FLAT_COLORS.values()))[(colors * len(FLAT_COLORS)).long()]
        gray = (_GRAYS[0] + uniforms[:, 1] * (_GRAYS[1] + 1 - _GRAYS[0])).long()
        palette = torch.cat([palette, gray.view(-1, 1, 1).expand(-1, 1, 3)], 1).float().div_(255)
        x = palette.gather(1, owners.flatten(1).unsqueeze(-1).expand(-1, -1, 3)).mT.unflatten(-1, (_SIZE, _SIZE))
        positions = torch.stack(middle, -1).float() * filled.unsqueeze(-1)
        batch = {"x": x.unsqueeze(1), "factors": self._factors(uniforms), "positions": positions}
        if self.with_masks:
            batch["masks"] = _one_hot(owners, self.num_slots).unsqueeze(1)
        return [{key: value[i] for key, value in batch.items()} for i in range(len(indices))]

    def _drawn(self, rows: Tensor) -> Tensor:
        """Number of objects and accepted numbers of images, drawn when they are first asked for: float64 (B, 1 + U)."""
        key: tuple[int | str, ...] = (_VERSION, self.seed, self.split, *self.num_objects, *self.types, *self.items)
        return counted_rows(self._uniforms, rows, key, self.num_objects, self._accepts, _ADVICE, _TRIED_AT_ONCE)

    def _accepts(self, uniforms: Tensor) -> Tensor:
        """Whether colors differ and enough of each shape is visible: (B, 1 + U) to bool (B)."""
        filled, (_, colors, *_) = self._split(uniforms)
        colors = (colors * len(FLAT_COLORS)).long()
        alike = (colors.unsqueeze(1) == colors.unsqueeze(2)) & filled.unsqueeze(1) & filled.unsqueeze(2)
        accepted = alike.sum((1, 2)) == filled.sum(1)  # each is like itself alone
        seen = _one_hot(self._owners(uniforms[accepted]), self.num_slots)[:, :-1].sum((-1, -2))
        accepted[accepted.clone()] = ((seen >= _MIN_PIXELS) | ~filled[accepted]).all(1)
        return accepted

    def _split(self, uniforms: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Which slots are filled, bool (B, M); type, color, radius, angle, x and y of each, float64 (B, M)."""
        kinds, colors, sizes, turns, *places = uniforms[:, 2:].unflatten(1, (self.num_slots, _PER_SLOT)).unbind(-1)
        radii = _RADII[0] + (_RADII[1] - _RADII[0]) * sizes
        middle = [radii + (_SIZE - 2 * radii) * place for place in places]
        return torch.arange(self.num_slots) < uniforms[:, :1], [kinds, colors, radii, 2 * math.pi * turns, *middle]

    def _factors(self, uniforms: Tensor) -> Tensor:
        filled, (kinds, colors, *_) = self._split(uniforms)
        types = types_at(kinds, self.items).where(filled, torch.tensor(self.num_types))
        return torch.cat([types, (colors * len(FLAT_COLORS)).long().masked_fill(~filled, len(FLAT_COLORS))], 1)

    def _owners(self, uniforms: Tensor) -> Tensor:
        """The slot that each pixel shows, M for the background: int64 (B, 64, 64)."""
        owners = torch.full((len(uniforms), _SIZE, _SIZE), self.num_slots)
        shapes = torch.tensor([FLAT_SHAPES.index(self.types[i]) for i in self.items])
        for part, place in zip(uniforms.split(_DRAWN_AT_ONCE), owners.split(_DRAWN_AT_ONCE)):
            filled, (kinds, _, *geometry) = self._split(part)
            which = shapes[(kinds * len(self.items)).long()].masked_fill(~filled, -1)
            for slot in range(self.num_slots):
                cover = flat_shape_masks(which[:, slot], torch.stack([value[:, slot] for value in geometry], -1))
                place.masked_fill_(cover, slot)
        return owners


def flat_shape_masks(shapes: Tensor, geometry: Tensor) -> Tensor:
    """Return which pixels' centers lie in a shape.

    In units of the radius, turned upright, a square is max(abs(x), abs(y)) <= 1 / sqrt(2), an ellipse
    x^2 + (y / .6)^2 <= 1, and a heart (x^2 + y^2 - 1)^3 <= x^2 y^3 after it is shrunk by 1.36 and moved down, which
    puts it into the circle of radius 1.

    Args:
        shapes: Places in ("square", "ellipse", "heart"), -1 for nothing.
        geometry: Radius, angle, x and y of each, in pixels and radians.

    Shape:
        shapes: (N). geometry: (N, 4).

    Returns:
        bool (N, 64, 64).

    Example:
        >>> flat_shape_masks(torch.tensor([1]), torch.tensor([[10.0, 0.0, 32.0, 32.0]])).sum().item()
        192
    """
    radii, angles, *middle = geometry.double().unsqueeze(-1).unsqueeze(-1).unbind(1)
    cos, sin = (angles.cos() / radii).float(), (angles.sin() / radii).float()
    across, down = (place.float() for place in middle)
    centers = torch.arange(_SIZE) + 0.5
    x, y = centers - across, centers.unsqueeze(-1) - down
    x, y = cos * x + sin * y, cos * y - sin * x
    square = torch.maximum(x.abs(), y.abs()) <= math.sqrt(0.5)
    ellipse = x * x + (y / 0.6) * (y / 0.6) <= 1
    x, y = 1.36 * x, -1.36 * y + 0.1
    round_part = x * x + y * y - 1
    heart = round_part * round_part * round_part <= x * x * (y * y * y)
    kinds = shapes.view(-1, 1, 1)
    return ((kinds == 0) & square) | ((kinds == 1) & ellipse) | ((kinds == 2) & heart)


def _one_hot(owners: Tensor, num_slots: int) -> Tensor:
    """Masks bool (B, M + 1, H, W) of owners (B, H, W)."""
    return owners.unsqueeze(1) == torch.arange(num_slots + 1).view(-1, 1, 1)
