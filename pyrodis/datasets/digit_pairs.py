"""Two items side by side, each drawn independently or missing: the data of parallel VAEs."""

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
from pyrodis.datasets.streams import check_seed, check_split, counter_uniforms
from pyrodis.ops.checks import check_positive_int

_VERSION: Final = "digit pairs 1"
_NUM_UNIFORMS: Final = 4

THESIS_PAIRS: Final = ((None, None), (0, 0), (1, 1), (2, 2), (3, 3), (0, 1), (1, 2))
"""The seven scenes of the thesis's Table 4.1; None is the empty item."""


@final
class DigitPairs(Dataset[dict[str, Tensor]]):
    """Two slots of 28 x 28 pixels side by side, each with an item of some types or empty.

    Each slot is drawn independently, and each of its types, the empty one among them, with the same chance. The type of
    an item is its number in the source, whatever `items` is, so that data sets of fewer types, for training in stages,
    name a type alike. Image i is a function of (seed, split, i), whatever `num_images` is; the splits share no drawing.

    Args:
        source: Where items come from: `MNISTItems`, `FashionItems`, `MixedItems`, or None for `BundledDigits`, which
            need no file; the data set's name says which.
        split: "train", "validation" or "test".
        items: Types that occur; None: all types of the source.
        unseen: Further types that occur in the test split alone.
        pairs: In place of items: the pairs of types (left, right), None for empty, that are shown in turn; image i
            shows pair i modulo their number, such as `THESIS_PAIRS`.
        num_images: How many.
        seed: A whole number in [0, 2^32).
        with_masks: Whether images come with masks.

    Attributes:
        factor_names: ("left", "right"), the types of the slots.
        factor_sizes: (num_types + 1, num_types + 1).
        num_types: Types of the source; as a factor this number stands for the empty slot.
        num_slots: 2. The first `num_slots` factors are the slots' types.
        items: Types that occur in this split.
        split: The split's name.
        seed: The seed.
        name: The source's name and "_pairs", such as "bundled_digits_pairs".
        num_frames: 1.
        frame_shape: (1, 28, 56).
        checksum: The sha256 of the source's checksum and the settings, the same for all splits.

    Shape:
        An item is {"x": float32 (1, 1, 28, 56) in [0, 1], "factors": int64 (2,)}, and with masks also
        {"masks": bool (1, 3, 28, 56)}: the left item, the right item, the background. A pixel belongs to an item if it
        has at least the source's threshold: a quarter of full brightness in digits, a tenth in clothes. `type_masks`
        merges two items of one type.

    Raises:
        ValueError: If an argument lies outside its range, the source lacks a type, or both items and pairs are given.
        TypeError: If a number is not whole.

    Source:
        Stavarache, Multi-model disentanglement of object representations (2019). It draws training and test data alike;
        the separate splits are ours.

    Example:
        >>> data = DigitPairs(items=(0, 1), num_images=100)
        >>> data[0]["x"].shape, data.factor_sizes, data.name
        (torch.Size([1, 1, 28, 56]), (11, 11), 'bundled_digits_pairs')
        >>> DigitPairs(pairs=THESIS_PAIRS, num_images=7).factors[:3].tolist()
        [[10, 10], [0, 0], [1, 1]]
    """

    factor_names: Final = ("left", "right")
    num_slots: Final = 2
    num_frames: Final = 1
    frame_shape: Final = (1, SIZE, 2 * SIZE)

    def __init__(
        self,
        source: ItemSource | None = None,
        *,
        split: str = "train",
        items: Sequence[int] | None = None,
        unseen: Sequence[int] = (),
        pairs: Sequence[tuple[int | None, int | None]] | None = None,
        num_images: int = 10_000,
        seed: int = 0,
        with_masks: bool = False,
    ) -> None:
        source = BundledDigits() if source is None else source
        self.split = check_split(split)
        self.num_images = check_positive_int("num_images", num_images)
        self.seed = check_seed(seed)
        self.with_masks = with_masks
        self.num_types = source.num_types
        self.factor_sizes = (source.num_types + 1,) * 2
        self.name = f"{source.name}_pairs"
        items = range(source.num_types) if items is None and pairs is None else items
        self._pairs = None if pairs is None else _checked_pairs(pairs, items, unseen, source.num_types)
        self.items = self._occurring(items, unseen) if self._pairs is None else self._paired()
        chosen = (items and tuple(items), tuple(unseen), self._pairs)
        settings = (_VERSION, source.checksum, source.thresholds, self.seed, *chosen)
        self.checksum = hashlib.sha256(repr(settings).encode()).hexdigest()
        self._table = ItemTable(source, split, self.items)

    @property
    def factors(self) -> Tensor:
        """Types of all slots, int64 (N, 2), without the images."""
        return self._draw(torch.arange(self.num_images))[0]

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Tensor]]:
        """Draws many items at once, as a `DataLoader` asks for them; the items are views into one batch."""
        where = torch.tensor([wrap_index(index, len(self)) for index in indices], dtype=torch.long)
        types, uniforms = self._draw(where)
        slots = self._table.draw(types, uniforms)
        x = slots.movedim(1, 2).flatten(2)
        batch = {"x": x[:, None, None].float().div_(255), "factors": types}
        if self.with_masks:
            owned = torch.zeros(len(indices), 3, *self.frame_shape[1:], dtype=torch.bool)
            owned[:, 0, :, :SIZE], owned[:, 1, :, SIZE:] = self._table.foreground(slots, types).unbind(1)
            owned[:, 2] = ~owned[:, :2].any(1)
            batch["masks"] = owned.unsqueeze(1)
        return [{key: value[i] for key, value in batch.items()} for i in range(len(indices))]

    def _draw(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Types int64 (B, 2) of images and the numbers (B, 2) that choose among a type's drawings."""
        uniforms = counter_uniforms((_VERSION, self.seed, self.split), rows, _NUM_UNIFORMS)
        if self._pairs is None:
            return types_at(uniforms[:, :2], (*self.items, self.num_types)), uniforms[:, 2:]
        return torch.tensor(self._pairs)[rows % len(self._pairs)], uniforms[:, 2:]

    def _occurring(self, items: Any, unseen: Sequence[int]) -> tuple[int, ...]:
        """The types of this split."""
        seen = check_types("items", items, self.num_types)
        if not unseen:
            return seen
        both = sorted(set(seen) & set(check_types("unseen", unseen, self.num_types)))
        if both:
            raise ValueError(f"unseen must hold other types than items, got {both} in both; take them out of one")
        return (*seen, *unseen) if self.split == "test" else seen

    def _paired(self) -> tuple[int, ...]:
        """The types that occur in the pairs."""
        return tuple(sorted({number for pair in self._pairs or () for number in pair} - {self.num_types}))


def _checked_pairs(pairs: Any, items: Any, unseen: Any, num_types: int) -> tuple[tuple[int, int], ...]:
    """Pairs with the number of types in place of None."""
    if items is not None or unseen:
        raise ValueError(f"pairs take the place of items and unseen, got items {items} and unseen {unseen}; drop one")
    if not pairs:
        raise ValueError("pairs must hold at least one (left, right), got none; pass THESIS_PAIRS, for example")
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(f"pairs must be tuples (left, right), got {pair!r}; write None for an empty slot")
        for number in pair:
            if number is not None:
                check_types("pairs", (number,), num_types)
    return tuple((num_types if a is None else a, num_types if b is None else b) for a, b in pairs)
