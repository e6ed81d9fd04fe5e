"""Clips of characters that the library draws itself, with the factors of the Sprites benchmark."""

from __future__ import annotations

import hashlib
import operator
from functools import lru_cache
from typing import Final, final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pyrodis.datasets.clothes import BOTTOMS, TOPS
from pyrodis.datasets.compositor import (
    FACTOR_NAMES,
    FACTOR_SIZES,
    NUM_ACTIONS,
    NUM_FRAMES,
    NUM_LAYERS,
    NUM_VARIANTS,
    LayeredCharacters,
    clip_factors,
    clip_items,
    split_characters,
    wrap_index,
)
from pyrodis.datasets.hairstyles import HAIRSTYLES
from pyrodis.datasets.painting import SIZE, colorize, shade
from pyrodis.datasets.wardrobe import BOOTS, PALETTES, Figure, blockers, body, boots

_DYE: Final = 6.0  # how far, of 255, the seed moves a color's red, green and blue
_MAX_SEED: Final = 2**32 - 1


@final
class ProceduralSprites(Dataset[dict[str, Tensor]]):
    """Small articulated characters, drawn by the library, whose appearance stays while they act.

    A stand-in for `Sprites` that needs no files: the same five factors, order and splits, with art of its own. A
    character has one of six skins, bottoms, tops and hairs each, 6^4 = 1,296 in all; skins differ in color, the others
    in color and shape. It does one of nine actions, walk, spellcast or slash seen from the front, left or right
    (action = 3 kind + direction), in 8 frames on black. Four layers of RGBA tiles are drawn with signed distances over
    a posed skeleton, once a process (about a second), and stacked to frames in 8-bit integers, divided by 255. Items
    are ordered by character, in the permutation of `Sprites`, then action: index = 9 position + action.

    Args:
        split: "train" (9,000 clips), "test" (2,664, other characters), or "fit" (8,100) and "validation" (900), which
            divide train.
        seed: Dyes the six values of each attribute anew, each of red, green and blue by up to 6 of 255; shapes, motion
            and splits do not depend on it. In [0, 2^32).

    Attributes:
        factor_names: ("action", "skin", "bottom", "top", "hair").
        factor_sizes: (9, 6, 6, 6, 6).
        split: The split's name.
        seed: The seed.
        name: "procedural_sprites".
        num_frames: 8.
        frame_shape: (3, 64, 64).
        checksum: The sha256 of all tiles, which depends on the seed alone.

    Shape:
        An item is {"x": float32 (8, 3, 64, 64) in [0, 1], "factors": int64 (5,)}.

    Raises:
        ValueError: If the split is unknown or the seed is out of range.
        TypeError: If the seed is not an integer.

    Source:
        The factors and splits are those of Li and Mandt, Disentangled Sequential Autoencoder (ICML 2018). The art is
        ours, and frames are divided by 255, not 256.

    Example:
        >>> from pyrodis.datasets import ProceduralSprites
        >>> test = ProceduralSprites(split="test")
        >>> len(test), test[0]["x"].shape, test[4]["factors"].tolist()
        (2664, torch.Size([8, 3, 64, 64]), [4, 4, 0, 3, 2])
    """

    factor_names: Final = FACTOR_NAMES
    factor_sizes: Final = FACTOR_SIZES
    name: Final = "procedural_sprites"
    num_frames: Final = NUM_FRAMES
    frame_shape: Final = (3, SIZE, SIZE)

    def __init__(self, *, split: str = "train", seed: int = 0) -> None:
        self._characters = split_characters(split)
        self.split = split
        self.seed = _checked_seed(seed)
        self.checksum = _load_characters(self.seed)[1]

    @property
    def factors(self) -> Tensor:
        """Factors of all clips, int64 (N, 5), without their frames."""
        return clip_factors(self._characters)

    def __len__(self) -> int:
        return NUM_ACTIONS * len(self._characters)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Tensor]]:
        """Composites many items at once, as a `DataLoader` asks for them; the items are views into one batch."""
        where = torch.tensor([wrap_index(index, len(self)) for index in indices], dtype=torch.long)
        characters = self._characters[where // NUM_ACTIONS]
        return clip_items(_load_characters(self.seed)[0], characters, where % NUM_ACTIONS, 255)


def _checked_seed(seed: int) -> int:
    """Raises unless the seed is an integer that the generator takes."""
    try:
        number = operator.index(seed)
    except TypeError as error:
        raise TypeError(f"seed must be an integer, got {seed!r}; pass 0, for example") from error
    if not 0 <= number <= _MAX_SEED:
        raise ValueError(f"seed must lie in [0, {_MAX_SEED}], got {number}; choose one of these integers")
    return number


@lru_cache(maxsize=2)
def _load_characters(seed: int) -> tuple[LayeredCharacters, str]:
    """Draws the tiles of a seed, which the splits then share, and takes their checksum."""
    tiles, top = _draw(seed)
    digest = hashlib.sha256(tiles.tobytes())
    digest.update(top.tobytes())
    return LayeredCharacters(torch.from_numpy(tiles), torch.from_numpy(top)), digest.hexdigest()


def _draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws the four layers, uint8 (4, 6, 9, 8, 64, 64, 4), and the boots, uint8 (9, 8, 64, 64, 4)."""
    random = np.random.RandomState(seed)  # its numbers are the same in every release of numpy
    figure = Figure()
    cuts = blockers(figure)
    shapes = {"bottom": BOTTOMS, "top": TOPS, "hair": HAIRSTYLES}
    naked = shade(body(figure))
    tiles = np.empty((NUM_LAYERS, NUM_VARIANTS, NUM_ACTIONS * NUM_FRAMES, SIZE, SIZE, 4), dtype=np.uint8)
    for layer, (attribute, palettes) in enumerate(PALETTES.items()):
        for value, palette in enumerate(palettes):
            dye = random.uniform(-_DYE, _DYE, size=3)
            colors = {slot: np.array(color) + dye for slot, color in palette.items()}
            weights = naked if attribute == "skin" else shade(shapes[attribute][value](figure), cuts)
            tiles[layer, value] = colorize(weights, colors)
    top = colorize(shade(boots(figure), cuts), {slot: np.array(color, dtype=float) for slot, color in BOOTS.items()})
    poses = (NUM_ACTIONS, NUM_FRAMES, SIZE, SIZE, 4)
    return tiles.reshape(NUM_LAYERS, NUM_VARIANTS, *poses), top.reshape(poses)
