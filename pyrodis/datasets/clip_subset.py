"""A part of a data set that is a data set like the whole."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

Item = dict[str, torch.Tensor]


class ClipSubset(Dataset[Item]):
    """Some clips of a data set, with the attributes of the whole that say what its items hold.

    Unlike `torch.utils.data.Subset` it keeps names and sizes of the factors and everything else that judges, scores and
    run directories ask of a data set; its checksum is its own, so that nothing made from it is taken for the whole's.

    Args:
        dataset: A data set of clips with known factors.
        indices: Which clips, in which order.

    Raises:
        ValueError: If there are no indices, or one is out of range.

    Example:
        >>> from pyrodis.datasets import ProceduralSprites
        >>> few = ClipSubset(ProceduralSprites(split="test"), range(18))
        >>> len(few), few.factor_names[0]
        (18, 'action')
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.indices = [int(i) for i in indices]
        if not self.indices or min(self.indices) < 0 or max(self.indices) >= len(dataset):
            span = f"{min(self.indices)} to {max(self.indices)}" if self.indices else "none"
            raise ValueError(f"indices must be at least one index from 0 to {len(dataset) - 1}, got {span}")
        self.dataset = dataset
        self.factor_names: tuple[str, ...] = dataset.factor_names
        self.factor_sizes: tuple[int | None, ...] = dataset.factor_sizes
        self.num_frames: int = dataset.num_frames
        self.frame_shape: tuple[int, int, int] = dataset.frame_shape
        self.seed: int = dataset.seed
        self.name: str = dataset.name
        self.split: str = dataset.split
        for name in ("num_types", "num_slots", "num_digits", "read_factors"):  # judges, scores and `PresentTypes` ask
            if hasattr(dataset, name):
                setattr(self, name, getattr(dataset, name))
        self.checksum = hashlib.sha256(f"{dataset.checksum} {self.split} {self.indices}".encode()).hexdigest()

    @property
    def factors(self) -> torch.Tensor:
        """Factors, (N, F) or (N, T, F), without their frames; an AttributeError if the whole has none."""
        return self.dataset.factors[self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Item:
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> list[Item]:
        return self.dataset.__getitems__([self.indices[i] for i in indices])
