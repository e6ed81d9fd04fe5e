"""Digits that move before black, bounce off the border and cross each other: Moving MNIST, drawn on demand."""

from __future__ import annotations

import hashlib
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pyrodis.datasets.compositor import wrap_index
from pyrodis.datasets.item_sources import SIZE, BundledDigits, ItemSource
from pyrodis.datasets.item_table import ItemTable, types_at
from pyrodis.datasets.motion import BouncingMotion, Motion
from pyrodis.datasets.streams import accepted_rows, check_seed, check_split
from pyrodis.ops.checks import check_positive_int

_VERSION: Final = "moving digits 1"
_PUBLISHED_MOTION: Final = BouncingMotion(0.1, 0.1)
_INKED: Final = 20  # of the 28 pixels of a digit's image, in either direction
_CENTER: Final = (SIZE - 1) / 2  # of a digit's image, in pixels from its first


@final
class MovingDigits(Dataset[dict[str, Tensor]]):
    """Some digits that each move by themselves on a black canvas, overlaid by the greater brightness.

    With its defaults it is Moving MNIST: two digits of any two types, 28 x 28 pixels on 64 x 64, each from a uniform
    start in a uniform direction at a tenth of its way a frame (3.6 pixels), bouncing off the borders without loss.
    Digits lie wholly on the canvas, on whole pixels, and may cross each other. Clip i is a function of (seed, split, i)
    and costs nothing until it is asked for, so that `num_sequences` may be as large as a training is long; the splits
    share no drawing.

    Args:
        source: Where items come from: `MNISTItems`, `FashionItems`, `MixedItems` (which also chooses fewer types), or
            None for `BundledDigits`, which need no file; the data set's name says which.
        split: "train", "validation" or "test".
        num_sequences: How many.
        num_frames: Frames of a sequence.
        num_digits: Digits of a sequence, at most as many of 20 x 20 pixels as fit on the canvas side by side.
        size: Height and width of the canvas, above 28.
        motion: How each digit moves over the places that it can take, as `BouncingMotion`, `GravityMotion`,
            `LinearMotion` and `AtRest`; its speeds are in shares of the `size` - 28 pixels between the walls.
        seed: A whole number in [0, 2^32).
        with_masks: Whether clips come with masks.

    Attributes:
        factor_names: ("type_0", ..., "x_0", "y_0", "x_1", ...): types of all digits, then the places of their centers
            between the walls that these can reach; y counts downwards.
        factor_sizes: The source's number of types for a type, None for a place, which is continuous.
        num_types: Types of the source.
        num_digits: Digits of a sequence. The first `num_digits` factors are the types.
        split: The split's name.
        seed: The seed.
        name: ``moving_`` and the name of the source.
        num_frames: T.
        frame_shape: (1, size, size).
        checksum: The sha256 of the source's checksum and the settings, the same for all splits.

    Shape:
        An item is {"x": float32 (T, 1, H, W) in [0, 1], "factors": float32 (T, 3 num_digits)}, the types as numbers
        that are the same in all frames, the places in [0, 1], and with masks also {"masks": bool (T, num_digits + 1, H,
        W)}: what is seen of each digit, then the background. A digit covers its pixels of at least the source's
        threshold, a quarter of full brightness; a pixel that several cover belongs to the brightest, of equals to the
        first. `read_factors` gives types and the centers in pixels.

    Raises:
        ValueError: If an argument lies outside its range, or the canvas is too small.
        TypeError: If a number is not whole.

    Source:
        Srivastava, Mansimov and Salakhutdinov, Unsupervised Learning of Video Representations using LSTMs (2015), and
        the generator published with it. There a digit that would leave the canvas is stopped at its border for a frame;
        here reflection is exact. Places are rounded, there cut, to whole pixels. The random numbers are ours, and so
        are the splits.

    Example:
        >>> data = MovingDigits(num_sequences=10, num_frames=5, with_masks=True)
        >>> data[0]["x"].shape, data[0]["factors"].shape, data[0]["masks"].shape, data.name
        (torch.Size([5, 1, 64, 64]), torch.Size([5, 6]), torch.Size([5, 3, 64, 64]), 'moving_bundled_digits')
    """

    def __init__(
        self,
        source: ItemSource | None = None,
        *,
        split: str = "train",
        num_sequences: int = 10_000,
        num_frames: int = 20,
        num_digits: int = 2,
        size: int = 64,
        motion: Motion = _PUBLISHED_MOTION,
        seed: int = 0,
        with_masks: bool = False,
    ) -> None:
        source = BundledDigits() if source is None else source
        self.split = check_split(split)
        self.num_sequences = check_positive_int("num_sequences", num_sequences)
        self.num_frames = check_positive_int("num_frames", num_frames)
        self.num_digits, self.size = _checked_canvas(num_digits, size)
        self.motion = motion
        self.seed = check_seed(seed)
        self.with_masks = with_masks
        self.num_types = source.num_types
        digits = range(num_digits)
        self.factor_names = (*(f"type_{i}" for i in digits), *(f"{axis}_{i}" for i in digits for axis in "xy"))
        self.factor_sizes = (source.num_types,) * num_digits + (None,) * 2 * num_digits
        self.name = f"moving_{source.name}"
        self.frame_shape = (1, size, size)
        settings = (source.checksum, source.thresholds, self.seed, num_frames, num_digits, size, motion)
        self.checksum = hashlib.sha256(repr((_VERSION, *settings)).encode()).hexdigest()
        self._table = ItemTable(source, split, tuple(range(source.num_types)))

    @property
    def factors(self) -> Tensor:
        """Factors of all sequences, float32 (N, T, 3 num_digits), without their frames."""
        types, _, places = self._draw(torch.arange(self.num_sequences))
        return self._factors_of(types, places)

    def read_factors(self, factors: Tensor) -> tuple[Tensor, Tensor]:
        """Return the types of the digits, and where their centers are.

        Args:
            factors: Factors of items.

        Shape:
            factors: (..., T, 3 num_digits).

        Returns:
            int64 (..., num_digits), and float32 (..., T, num_digits, 2): x and y in pixels, the center of the upper
            left pixel being (0, 0).

        Raises:
            ValueError: If the factors have another shape.

        Example:
            >>> data = MovingDigits(num_sequences=10, num_frames=5)
            >>> types, centers = data.read_factors(data.factors)
            >>> types.shape, centers.shape, float(centers.min()) >= 13.5, float(centers.max()) <= 49.5
            (torch.Size([10, 2]), torch.Size([10, 5, 2, 2]), True, True)
        """
        if factors.ndim < 2 or factors.shape[-1] != len(self.factor_names):
            raise ValueError(
                f"factors must have shape (..., T, {len(self.factor_names)}), got {tuple(factors.shape)}; take them "
                "from the items of this data set"
            )
        types = factors[..., 0, : self.num_digits].round().long()
        return types, _CENTER + (self.size - SIZE) * factors[..., self.num_digits :].unflatten(-1, (-1, 2))

    def __len__(self) -> int:
        return self.num_sequences

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Tensor]]:
        """Draws many items at once, as a `DataLoader` asks for them; the items are views into one batch."""
        where = torch.tensor([wrap_index(index, len(self)) for index in indices], dtype=torch.long)
        types, chosen, places = self._draw(where)
        layers = _place(self._table.draw(types, chosen), places, self.size)
        batch = {
            "x": layers.amax(2, keepdim=True).float().div_(255),
            "factors": self._factors_of(types, places),
        }
        if self.with_masks:
            batch["masks"] = _visible(layers, self._table.foreground(layers, types[:, None].expand(layers.shape[:3])))
        return [{key: value[i] for key, value in batch.items()} for i in range(len(indices))]

    def _draw(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Types int64 (B, M), what chooses among a type's drawings (B, M), upper left pixels int64 (B, T, M, 2)."""
        digits = self.num_digits
        advice = "ask the motion for less, or for fewer digits"
        num = digits * (2 + self.motion.num_uniforms)
        uniforms = accepted_rows((_VERSION, self.seed, self.split), rows, num, self._accepts, advice)
        paths = [self.motion.positions(part, self.num_frames) for part in self._parts(uniforms)]
        places = ((self.size - SIZE) * torch.stack(paths, 2)).round().long()
        types = types_at(uniforms[:, :digits], tuple(range(self.num_types)))
        return types, uniforms[:, digits : 2 * digits], places

    def _parts(self, uniforms: Tensor) -> tuple[Tensor, ...]:
        """What describes the motion of each digit."""
        return uniforms[:, 2 * self.num_digits :].split(self.motion.num_uniforms, 1)

    def _accepts(self, uniforms: Tensor) -> Tensor:
        """Whether the motion takes every digit's path: (B, U) to bool (B)."""
        return torch.stack([self.motion.accepts(part) for part in self._parts(uniforms)]).all(0)

    def _factors_of(self, types: Tensor, places: Tensor) -> Tensor:
        """(B, M) and (B, T, M, 2) to float32 (B, T, 3 M)."""
        shares = places.flatten(2).float() / (self.size - SIZE)
        return torch.cat([types[:, None].expand(-1, self.num_frames, -1).float(), shares], -1)


def _checked_canvas(num_digits: Any, size: Any) -> tuple[int, int]:
    """Number of digits and side of the canvas."""
    if check_positive_int("size", size) <= SIZE:
        raise ValueError(f"size must be above {SIZE}, the size of a digit's image, got {size}; pass 64, for example")
    most = (size // _INKED) ** 2
    if check_positive_int("num_digits", num_digits) > most:
        raise ValueError(
            f"num_digits must be at most {most}, what {size} x {size} pixels hold side by side, got {num_digits}; "
            "ask for fewer, or a larger size"
        )
    return num_digits, size


def _place(digits: Tensor, places: Tensor, size: int) -> Tensor:
    """Each digit on a canvas of its own: uint8 (B, M, 28, 28) and (B, T, M, 2) to uint8 (B, T, M, size, size).

    A digit whose rows are as long as the canvas's lies in one run of pixels, before which and behind which there is
    room; a frame is then a window into that run, so that drawing is copying.
    """
    batch, slots = digits.shape[:2]
    room = (size - SIZE) * (size + 1)  # the run's start where the digit is as far to the right and down as it can be
    runs = np.zeros((batch, slots, room + size * size), dtype=np.uint8)
    rows = np.zeros((batch, slots, SIZE, size), dtype=np.uint8)
    rows[..., :SIZE] = digits.numpy()
    runs[..., room : room + SIZE * size] = rows.reshape(batch, slots, -1)
    windows = np.lib.stride_tricks.sliding_window_view(runs, size * size, axis=2)
    starts = (room - places[..., 1] * size - places[..., 0]).numpy()
    drawn = windows[np.arange(batch)[:, None, None], np.arange(slots), starts]
    return torch.from_numpy(drawn).unflatten(-1, (size, size))


def _visible(layers: Tensor, ink: Tensor) -> Tensor:
    """What is seen of each digit, and of the ground: uint8 and bool (B, T, M, H, W) to bool (B, T, M + 1, H, W)."""
    ground = ~ink.any(2, keepdim=True)
    brightest = torch.where(ink, layers.int(), -1).argmax(2, keepdim=True)
    owned = torch.zeros_like(ink).scatter_(2, brightest, torch.ones_like(ground)) & ~ground
    return torch.cat([owned, ground], 2)
