"""Images with labels of which types are in them, and not where."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import Dataset

from pyrodis.ops import check_positive_int

Item = dict[str, torch.Tensor]


class PresentTypes(Dataset[Item]):
    """A data set whose items also say which types of items an image holds: labels of whole images.

    Args:
        dataset: A data set of scenes whose first `num_slots` factors are the types of its items, such as `Scenes`,
            `FlatScenes`, `DigitPairs` or `OverlappingDigits`.
        num_types: K: the first K types are told of; None for all types of the data set.

    Attributes:
        dataset: The same.
        num_present: K.

    It has all other attributes of the data set, its checksum too: frames and factors are the same.

    Shape:
        Items as those of the data set, with "present": bool (K,).

    Raises:
        TypeError: If the data set does not say how many items and types there are, or the number is not whole.
        ValueError: If there are not so many types.

    Example:
        >>> from pyrodis.datasets import FlatScenes
        >>> data = PresentTypes(FlatScenes(num_images=8))
        >>> data[0]["present"].shape, len(data)
        (torch.Size([3]), 8)
    """

    def __init__(self, dataset: Any, num_types: int | None = None) -> None:
        if not hasattr(dataset, "num_slots") or not hasattr(dataset, "num_types"):
            raise TypeError(
                f"dataset must be one of items with types, with num_slots and num_types, got {type(dataset).__name__}; "
                "e.g. Scenes or DigitPairs"
            )
        self.dataset = dataset
        self.num_present = check_positive_int("num_types", dataset.num_types if num_types is None else num_types)
        if self.num_present > dataset.num_types:
            raise ValueError(f"num_types must be from 1 to the data set's {dataset.num_types}, got {num_types}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "dataset":  # not there yet, as while a copy is made
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Item:
        return self._labeled(self.dataset[index])

    def __getitems__(self, indices: list[int]) -> list[Item]:
        return [self._labeled(item) for item in self.dataset.__getitems__(indices)]

    def _labeled(self, item: Item) -> Item:
        types = item["factors"][: self.dataset.num_slots]
        return item | {"present": (types == torch.arange(self.num_present)[:, None]).any(-1)}
