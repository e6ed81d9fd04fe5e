"""Digits at random places of a canvas, before and behind each other, with masks of what is seen of each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final, final

import torch
from torch import Tensor
from torch.utils.data import Dataset

from pyrodis.datasets.compositor import wrap_index
from pyrodis.datasets.item_sources import SIZE, BundledDigits, ItemSource, check_types
from pyrodis.datasets.item_table import ItemTable, types_at
from pyrodis.datasets.streams import accepted_uniforms, check_seed, check_split
from pyrodis.ops.checks import check_positive_int

_VERSION: Final = "overlapping digits 1"
_PER_SLOT: Final = 4


@final
class OverlappingDigits(Dataset[dict[str, Tensor]]):
    """Some digits at random places of a square canvas; they may overlap, and the later hide the earlier.

    The number of digits is uniform, and so are their types and places; places are drawn again, for all slots, until no
    two slots, empty ones included, have their centers too close to each other. Digits lie wholly on the canvas. They
    are laid one over another in the order of their slots, a pixel's brightness being its opacity: v + (1 - v) b over a
    brightness b. Image i is a function of (seed, split, i), whatever `num_images` is; the splits share no drawing.

    Args:
        source: Where items come from: `MNISTItems`, `FashionItems`, `MixedItems`, or None for `BundledDigits`, which
            need no file; the data set's name says which.
        split: "train", "validation" or "test".
        items: Types that occur; None: all types of the source.
        num_digits: The least and the greatest number of digits.
        size: Height and width of the canvas, at least 28.
        min_distance: The least distance of two digits' centers, in pixels; 0 for any.
        num_images: How many.
        seed: A whole number in [0, 2^32).
        with_masks: Whether images come with masks.

    Attributes:
        factor_names: ("type_0", ..., "x_0", "y_0", "x_1", ...): types of all slots, then the left and upper edges of
            the 28 x 28 pixels in which a digit lies, in pixels.
        factor_sizes: num_types + 1 for a type and size - 26 for a place; of an empty slot, each has its last value.
        num_types: Types of the source; as a factor this number stands for the empty slot.
        num_slots: The greatest number of digits. The first `num_slots` factors are the slots' types.
        items: Types that occur.
        split: The split's name.
        seed: The seed.
        name: ``overlapping_`` and the name of the source.
        num_frames: 1.
        frame_shape: (1, size, size).
        checksum: The sha256 of the source's checksum and the settings, the same for all splits.

    Shape:
        An item is {"x": float32 (1, 1, H, W) in [0, 1], "factors": int64 (3 num_slots,)}, and with masks also
        {"masks": bool (1, num_slots + 1, H, W)}: what is seen of each digit, then the background. A digit covers its
        pixels of at least the source's threshold, a quarter of full brightness; a pixel that several cover belongs to
        the last of them. With a small `min_distance` nothing may be left of a digit.

    Raises:
        ValueError: If an argument lies outside its range, the source lacks a type, or the canvas is too small for the
            digits at this distance.
        TypeError: If a number is not whole.

    Example:
        >>> data = OverlappingDigits(num_digits=(2, 3), num_images=10, with_masks=True)
        >>> data[0]["x"].shape, data[0]["masks"].shape, len(data.factor_names)
        (torch.Size([1, 1, 64, 64]), torch.Size([1, 4, 64, 64]), 9)
    """

    num_frames: Final = 1

    def __init__(
        self,
        source: ItemSource | None = None,
        *,
        split: str = "train",
        items: Sequence[int] | None = None,
        num_digits: tuple[int, int] = (1, 3),
        size: int = 64,
        min_distance: float = 14.0,
        num_images: int = 10_000,
        seed: int = 0,
        with_masks: bool = False,
    ) -> None:
        source = BundledDigits() if source is None else source
        self.split = check_split(split)
        self.num_digits = _checked_range(num_digits)
        self.size = _checked_size(size)
        self.min_distance = _checked_distance(min_distance)
        self.num_images = check_positive_int("num_images", num_images)
        self.seed = check_seed(seed)
        self.with_masks = with_masks
        self.num_types, self.num_slots = source.num_types, self.num_digits[1]
        slots = range(self.num_slots)
        self.factor_names = (*(f"type_{i}" for i in slots), *(f"{axis}_{i}" for i in slots for axis in "xy"))
        self.factor_sizes = (source.num_types + 1,) * self.num_slots + (self._num_places + 1,) * 2 * self.num_slots
        self.name = f"overlapping_{source.name}"
        self.frame_shape = (1, size, size)
        chosen = tuple(range(source.num_types)) if items is None else items
        self.items = check_types("items", chosen, source.num_types)
        settings = (
            _VERSION,
            source.checksum,
            source.thresholds,
            self.seed,
            self.items,
            self.num_digits,
            size,
            self.min_distance,
        )
        self.checksum = hashlib.sha256(repr(settings).encode()).hexdigest()
        self._table = ItemTable(source, split, self.items)
        self._uniforms = self._accepted()

    @property
    def factors(self) -> Tensor:
        """Factors of all images, int64 (N, 3 num_slots), without the images."""
        types, places, _ = self._unpack(self._uniforms)
        return torch.cat([types, places.flatten(1)], 1)

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Tensor]]:
        """Draws many items at once, as a `DataLoader` asks for them; the items are views into one batch."""
        where = torch.tensor([wrap_index(index, len(self)) for index in indices], dtype=torch.long)
        types, places, uniforms = self._unpack(self._uniforms[where])
        layers = _place(self._table.draw(types, uniforms), places % self._num_places, self.size)
        batch = {"x": _overlay(layers)[:, None, None], "factors": torch.cat([types, places.flatten(1)], 1)}
        if self.with_masks:
            batch["masks"] = _visible(self._table.foreground(layers, types)).unsqueeze(1)
        return [{key: value[i] for key, value in batch.items()} for i in range(len(indices))]

    @property
    def _num_places(self) -> int:
        """How many places a digit has in either direction."""
        return self.size - SIZE + 1

    def _unpack(self, uniforms: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 1 + 4 M) to types (B, M), places (B, M, 2), and what chooses among a type's drawings (B, M)."""
        low, high = self.num_digits
        number = low + (uniforms[:, :1] * (high - low + 1)).long()
        empty = torch.arange(high) >= number
        types = types_at(uniforms[:, 1 : high + 1], self.items).masked_fill(empty, self.num_types)
        places = self._places(uniforms).masked_fill(empty.unsqueeze(-1), self._num_places)
        return types, places, uniforms[:, high + 1 : 2 * high + 1]

    def _places(self, uniforms: Tensor) -> Tensor:
        """Left and upper edges of all slots, empty or not: (B, 1 + 4 M) to int64 (B, M, 2)."""
        return (uniforms[:, 2 * self.num_slots + 1 :].unflatten(1, (-1, 2)) * self._num_places).long()

    def _accepts(self, uniforms: Tensor) -> Tensor:
        """Whether all slots keep their distance, empty or not, so that no number is favored: (B, U) to bool (B)."""
        places = self._places(uniforms)
        squares = (places.unsqueeze(1) - places.unsqueeze(2)).square().sum(-1)
        near = torch.ones(squares.shape[1:], dtype=torch.bool).triu(1) & (squares < self.min_distance**2)
        return ~near.flatten(1).any(1)

    def _accepted(self) -> Tensor:
        """The random numbers of all images, float64 (N, 1 + 4 M)."""
        key, num = (_VERSION, self.seed, self.split), 1 + _PER_SLOT * self.num_slots
        try:
            accepted_uniforms(key, min(50, self.num_images), num, self._accepts)  # refuses in no time what cannot fit
            return accepted_uniforms(key, self.num_images, num, self._accepts)
        except ValueError as error:
            raise ValueError(
                f"num_digits must fit on the canvas, got up to {self.num_slots} digits at a distance of at least "
                f"{self.min_distance:g} on {self.size} x {self.size} pixels; ask for fewer, nearer, or a larger size"
            ) from error


def _checked_range(num_digits: Any) -> tuple[int, int]:
    """The least and the greatest number."""
    if not isinstance(num_digits, tuple) or len(num_digits) != 2:
        raise TypeError(f"num_digits must be (least, greatest), got {num_digits!r}; pass (1, 3), for example")
    low, high = (check_positive_int("num_digits", number) for number in num_digits)
    if low > high:
        raise ValueError(f"num_digits must be (least, greatest), got {num_digits}; swap them")
    return low, high


def _checked_size(size: Any) -> int:
    """The canvas's side."""
    if check_positive_int("size", size) < SIZE:
        raise ValueError(f"size must be at least {SIZE}, the size of a digit's image, got {size}; pass 64, for example")
    return size


def _checked_distance(distance: Any) -> float:
    """The least distance as a float."""
    if isinstance(distance, bool) or not isinstance(distance, (int, float)):
        raise TypeError(f"min_distance must be a number of pixels, got {distance!r}; pass 0 for any distance")
    if not 0 <= distance < float("inf"):
        raise ValueError(f"min_distance must be finite and not negative, got {distance}; pass 0 for any distance")
    return float(distance)


def _place(digits: Tensor, places: Tensor, size: int) -> Tensor:
    """Each digit on a canvas of its own: uint8 (B, M, 28, 28) and (B, M, 2) to uint8 (B, M, size, size)."""
    batch, slots = digits.shape[:2]
    step = torch.arange(SIZE)
    across = (places[..., 0, None] + step).unsqueeze(-2)
    down = (places[..., 1, None] + step).unsqueeze(-1)
    canvas = torch.zeros(batch, slots, size, size, dtype=torch.uint8)
    canvas[torch.arange(batch)[:, None, None, None], torch.arange(slots)[:, None, None], down, across] = digits
    return canvas


def _overlay(layers: Tensor) -> Tensor:
    """Lays canvases one over another, white ink on black: uint8 (B, M, H, W) to float32 (B, H, W)."""
    x = torch.zeros(layers.shape[0], *layers.shape[2:], dtype=torch.float32)
    for layer in layers.float().div_(255).unbind(1):
        x = layer + (1 - layer) * x
    return x.clamp_(max=1)  # rounding alone may exceed 1


def _visible(ink: Tensor) -> Tensor:
    """What is seen of each item, and of the ground: bool (B, M, H, W) to (B, M + 1, H, W)."""
    above = ink.flip(1).cumsum(1).flip(1) - ink.long()
    return torch.cat([ink & (above == 0), ~ink.any(1, keepdim=True)], 1)
