"""Regions of continuous factors that training never enters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pyrodis.datasets.streams import counter_uniforms
from pyrodis.ops.checks import check_positive_int


class Region(Protocol):
    """What a region offers; any object with this method serves.

    Its `repr` must tell its settings, as that of a frozen dataclass does: the checksum of a data set is made of it.

    Example:
        >>> region: Region = HeldOutBand("circle_x", 0.4, 0.6)
    """

    def contains(self, factors: Tensor, names: tuple[str, ...]) -> Tensor:
        """Whether each frame lies in the region: factors (B, T, F) with their names to bool (B, T)."""


@dataclass(frozen=True)
class HeldOutBand:
    """All frames in which one factor lies within limits: values that training never shows.

    Args:
        factor: Name of the factor.
        low: Lower limit, included.
        high: Upper limit, included.

    Raises:
        ValueError: If the limits are not 0 <= low < high <= 1; when used, if there is no such factor.

    Example:
        >>> band = HeldOutBand("x", 0.4, 0.6)
        >>> band.contains(torch.tensor([[[0.3], [0.5]]]), ("x",)).tolist()
        [[False, True]]
    """

    factor: str = "circle_x"
    low: float = 0.4
    high: float = 0.6

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 1:
            raise ValueError(f"low and high must be 0 <= low < high <= 1, got {self.low} and {self.high}")

    def contains(self, factors: Tensor, names: tuple[str, ...]) -> Tensor:
        """Whether the factor lies within the limits."""
        if self.factor not in names:
            raise ValueError(f"factor must be one of {', '.join(names)}, got {self.factor!r}; choose one of them")
        values = factors[..., names.index(self.factor)]
        return (values >= self.low) & (values <= self.high)


@dataclass(frozen=True)
class HeldOutCells:
    """A random share of the combinations of all factors: each value is seen in training, some combinations never are.

    Every factor's range is cut into cells of equal width; a combination of cells is held out or not at random.

    Args:
        fraction: Share of the combinations that is held out. A sequence that moves enters several cells, so that
            long ones need a small share.
        num_cells: Cells a factor; with 16, the points of the static task's circle have a cell each.
        seed: Which combinations.

    Raises:
        ValueError: If the share is not in (0, 1) or there is no cell.

    Example:
        >>> cells = HeldOutCells(0.25)
        >>> inside = cells.contains(torch.rand(1000, 1, 4), ("a", "b", "c", "d"))
        >>> 0.2 < float(inside.float().mean()) < 0.3
        True
    """

    fraction: float = 0.2
    num_cells: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.fraction < 1:
            raise ValueError(f"fraction must be in (0, 1), got {self.fraction}; 0.2 holds out a fifth")
        check_positive_int("num_cells", self.num_cells)

    def contains(self, factors: Tensor, names: tuple[str, ...]) -> Tensor:
        """Whether the combination of cells is held out."""
        cells = (factors * self.num_cells).long().clamp(max=self.num_cells - 1)
        powers = self.num_cells ** torch.arange(len(names))
        combination = (cells * powers).sum(-1)
        chances = counter_uniforms(("held-out cells", self.seed), combination.flatten(), 1)
        return (chances < self.fraction).reshape(combination.shape)
