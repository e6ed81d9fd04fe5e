"""Which image of a type is drawn, and how what belongs to a type is told from the ground."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor

from pyrodis.datasets.item_sources import SIZE, ItemSource


@final
class ItemTable:
    """The images of one split of a source, by type.

    Args:
        source: Where the images come from.
        split: "train", "validation" or "test".
        types: Types that will be drawn.

    Raises:
        ValueError: If the split has no image of a type, or the source's images have another shape.

    Example:
        >>> from pyrodis.datasets import BundledDigits
        >>> table = ItemTable(BundledDigits(), "test", (0, 1))
        >>> table.draw(torch.tensor([0, 10]), torch.tensor([0.5, 0.5])).sum((1, 2)).gt(0).tolist()
        [True, False]
    """

    def __init__(self, source: ItemSource, split: str, types: tuple[int, ...]) -> None:
        images, labels = source.images(split)
        _check_images(images, labels, source)
        counts = torch.bincount(labels, minlength=source.num_types)
        for number in types:
            if counts[number] == 0:
                raise ValueError(f"{source.name} must hold type {number} in {split}, got no image; leave the type out")
        self._images, self._counts = images, counts
        self._order = labels.argsort(stable=True)
        self._starts = counts.cumsum(0) - counts
        self._thresholds = torch.tensor([*source.thresholds, 255], dtype=torch.uint8)
        self._empty, self._any = source.num_types, int(labels[0])

    def draw(self, types: Tensor, uniforms: Tensor) -> Tensor:
        """Return one image for each type.

        Args:
            types: Types; the number of types stands for the empty item, which is black.
            uniforms: Which of a type's images, from 0 (the first) to 1 (behind the last).

        Shape:
            types: (...). uniforms: (...).

        Returns:
            uint8 (..., 28, 28).
        """
        empty = types == self._empty
        filled = types.masked_fill(empty, self._any)
        place = self._starts[filled] + (uniforms * self._counts[filled]).long()
        drawn = self._images[self._order[place]]
        drawn[empty] = 0
        return drawn

    def foreground(self, drawn: Tensor, types: Tensor) -> Tensor:
        """Return which pixels belong to the items: those of at least the source's threshold for the type.

        Args:
            drawn: Images of one item each, of any size.
            types: Their types.

        Shape:
            drawn: (..., H, W), uint8. types: (...).

        Returns:
            bool (..., H, W).
        """
        return drawn >= self._thresholds[types][..., None, None]


def _check_images(images: Any, labels: Any, source: ItemSource) -> None:
    """Raises unless a source keeps its promise."""
    if images.shape[1:] != (SIZE, SIZE) or images.dtype != torch.uint8 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"{source.name} must give images uint8 (N, {SIZE}, {SIZE}) and types (N), "
            f"got {images.dtype} {tuple(images.shape)} and {tuple(labels.shape)}; resize the images"
        )
    if len(source.thresholds) != source.num_types or not all(0 < value <= 255 for value in source.thresholds):
        raise ValueError(
            f"{source.name} must give {source.num_types} thresholds from 1 to 255, one for each type, "
            f"got {source.thresholds}; 64 suits digits"
        )
    if len(labels) == 0 or not 0 <= int(labels.min()) <= int(labels.max()) < source.num_types:
        raise ValueError(f"{source.name} must give types in [0, {source.num_types}), got {labels.unique().tolist()}")


def types_at(uniforms: Tensor, types: tuple[int, ...]) -> Tensor:
    """Return types drawn with equal chances.

    Args:
        uniforms: Numbers in [0, 1).
        types: What to draw from.

    Shape:
        uniforms: (...).

    Returns:
        int64 (...).

    Example:
        >>> types_at(torch.tensor([0.1, 0.9]), (0, 1, 10)).tolist()
        [0, 10]
    """
    return torch.tensor(types)[(uniforms * len(types)).long()]
