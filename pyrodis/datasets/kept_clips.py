"""A data set that is drawn once and kept in memory."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch.utils.data import Dataset

from pyrodis.datasets.compositor import wrap_index

Item = dict[str, torch.Tensor]


class KeptClips(Dataset[Item]):
    """A data set whose clips are drawn when first asked for, and then kept in memory, a byte a number.

    Frames that are costly to draw, such as those of `Scenes`, cost that once and not in every epoch. Pixels are rounded
    to the nearest of the 256 levels of a picture file, the first time as well, so that a clip is the same whenever it
    is asked for; all else stays as it is. A data set of 10,000 color frames of 64 x 64 pixels takes 123 MB, and its
    masks of five parts 205 MB.

    Room is taken for all clips when the first one is drawn, so a data set that is drawn on demand has to be of a length
    that memory holds. Each process that loads data draws and keeps clips of its own: load in the training process,
    with `num_workers` 0.

    Args:
        dataset: A data set of clips.

    Attributes:
        dataset: The same.
        checksum: The sha256 of the data set's checksum and of how it is rounded.

    It has all other attributes of the data set.

    Shape:
        Items as those of the data set.

    Raises:
        IndexError: If a clip beyond either end is asked for.
        ValueError: If pixels lie outside [0, 1].

    Example:
        >>> from pyrodis.datasets import FlatScenes
        >>> kept = KeptClips(FlatScenes(num_images=8))
        >>> len(kept), kept.name, bool(((kept[3]["x"] * 255).round() / 255 == kept[3]["x"]).all())
        (8, 'flat_scenes', True)
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.checksum = hashlib.sha256(f"{dataset.checksum} 8 bits".encode()).hexdigest()
        self._kept: dict[str, torch.Tensor] = {}
        with torch.inference_mode(False):  # in which it may be filled in any mode
            self._known = torch.zeros(len(dataset), dtype=torch.bool)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "dataset":  # not there yet, as while a copy is made
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Item:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[Item]:
        """The clips, those that are new drawn at once; frames are of their own, all else are views of what is kept."""
        where = torch.tensor([wrap_index(index, len(self)) for index in indices], dtype=torch.long)
        self._draw(where[~self._known[where]].unique())
        frames = self._kept["x"][where].float().div_(255)
        rest = {name: value for name, value in self._kept.items() if name != "x"}
        return [
            {"x": frames[i]} | {name: value[row] for name, value in rest.items()}
            for i, row in enumerate(where.tolist())
        ]

    def _draw(self, where: torch.Tensor) -> None:
        if not len(where):
            return
        for row, item in zip(where.tolist(), self.dataset.__getitems__(where.tolist()), strict=True):
            x = item["x"]
            if not (x.min() >= 0 and x.max() <= 1):
                raise ValueError(
                    f"pixels must lie in [0, 1] to be kept as bytes, clip {row} has {float(x.min()):g} to "
                    f"{float(x.max()):g}; scale its frames, or use the data set as it is"
                )
            for name, value in (item | {"x": x.mul(255).round_().byte()}).items():
                if name not in self._kept:
                    with torch.inference_mode(False):
                        self._kept[name] = torch.empty((len(self), *value.shape), dtype=value.dtype)
                self._kept[name][row] = value
        self._known[where] = True
