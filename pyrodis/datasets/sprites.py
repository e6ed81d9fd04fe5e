"""The Sprites benchmark: clips of pixel-art characters, composited on demand from the published sheets."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Final, final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pyrodis.datasets.compositor import (
    FACTOR_NAMES,
    FACTOR_SIZES,
    NUM_ACTIONS,
    NUM_VARIANTS,
    LayeredCharacters,
    clip_factors,
    clip_items,
    split_characters,
    wrap_index,
)
from pyrodis.datasets.download import SPRITES_SHA256, download_sprites
from pyrodis.ops.paths import cache_dir

_LAYERS: Final = ("body", "bottomwear", "topwear", "hair")
_SHOES: Final = "shoes/1.png"

_TILE: Final = 64
_COLUMNS: Final = 13
_ROWS: Final = 21
_MODES: Final = ("P", "RGBA")

# Of walk, spellcast and slash: the first tile when seen from the front, left and right, and the tiles of the 8 frames.
_FIRST_TILES: Final = ((130, 117, 143), (26, 13, 39), (182, 169, 195))
_FRAME_TILES: Final = ((8, 1, 2, 3, 4, 5, 6, 7), (0, 1, 2, 3, 4, 5, 4, 6), (0, 1, 2, 3, 4, 5, 4, 0))


@final
class Sprites(Dataset[dict[str, Tensor]]):
    """Animated characters whose appearance stays while they act: the Sprites benchmark, from its raw sheets.

    A character wears one of six skins, bottoms, tops and hairs each, 6^4 = 1,296 in all, and the same shoes. It does
    one of nine actions, walk, spellcast or slash seen from the front, left or right (action = 3 kind + direction), in
    8 frames. Layers are composited over opaque black in 8-bit integers and divided by 256. Items are ordered by
    character, in the published permutation, then action: index = 9 position + action. No character is in two of
    train and test, nor of fit and validation.

    The sheets, art of the Liberated Pixel Cup under CC-BY-SA 3.0 or GPL 3.0, are not part of this library. Without a
    root they are looked for in the folder `PYRODIS_DATA`, then in the cache folder (`pyrodis.ops.paths.cache_dir`),
    then downloaded to the cache folder from github.com/YingzhenLi/Sprites. They are decoded at the first access, once
    for all splits, and only frames asked for are composited.

    Args:
        root: Folder with body/, bottomwear/, topwear/, hair/ and shoes/, or with a folder sprites/ that has them; None
            to look for it as above.
        split: "train" (9,000 clips), "test" (2,664, other characters), or "fit" (8,100) and "validation" (900), which
            divide train.
        download: Whether the sheets may be downloaded where they are not found. It needs root to be None.

    Attributes:
        factor_names: ("action", "skin", "bottom", "top", "hair").
        factor_sizes: (9, 6, 6, 6, 6).
        split: The split's name.
        seed: 423, which gave the published permutation of the characters.
        name: "sprites".
        num_frames: 8.
        frame_shape: (3, 64, 64).
        root: The folder with the sheets.

    Shape:
        An item is {"x": float32 (8, 3, 64, 64) in [0, 1), "factors": int64 (5,)}.

    Raises:
        ValueError: If the split is unknown; at the first access, if a sheet is broken or of another size or mode.
        FileNotFoundError: If the sheets, or one of them, are not found.

    Source:
        Li and Mandt, Disentangled Sequential Autoencoder (ICML 2018), with the split of the code published with it.
        Nothing differs but that "fit" and "validation" are ours.

    Example:
        >>> from pyrodis.datasets import Sprites
        >>> test = Sprites(split="test")  # doctest: +SKIP
        >>> len(test), test[0]["x"].shape  # doctest: +SKIP
        (2664, torch.Size([8, 3, 64, 64]))
    """

    factor_names: Final = FACTOR_NAMES
    factor_sizes: Final = FACTOR_SIZES
    name: Final = "sprites"
    num_frames: Final = 8
    frame_shape: Final = (3, _TILE, _TILE)
    seed: Final = 423

    def __init__(self, root: str | Path | None = None, *, split: str = "train", download: bool = True) -> None:
        self._characters = split_characters(split)
        self.split = split
        self.root = _find_sheets(download) if root is None else _sheets_in(Path(root))
        missing = [name for name in SPRITES_SHA256 if not (self.root / name).is_file()]
        if missing:
            raise FileNotFoundError(
                f"{self.root} must hold {len(SPRITES_SHA256)} sheets, {len(missing)} are missing, first {missing[0]}; "
                "copy them there, or give another folder as root"
            )

    @property
    def checksum(self) -> str:
        """The sha256 of the sheets' bytes, layer by layer; the published sheets' begins with 7dac881e."""
        digest = hashlib.sha256()
        for name in SPRITES_SHA256:
            digest.update((self.root / name).read_bytes())
        return digest.hexdigest()

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
        return clip_items(_load_characters(self.root), characters, where % NUM_ACTIONS, 256)


def _sheets_in(root: Path) -> Path:
    """Finds the sheets in a folder, or in sprites/ within it."""
    for folder in (root, root / "sprites"):
        if (folder / _LAYERS[0]).is_dir():
            return folder.absolute()
    raise FileNotFoundError(
        f"root must hold body/, bottomwear/, topwear/, hair/ and shoes/, itself or in sprites/, got {root}; "
        "give the folder with the sheets, or root=None to look for them and download them"
    )


def _find_sheets(download: bool) -> Path:
    """Looks in PYRODIS_DATA, then in the cache folder, then on the network."""
    cache = cache_dir() / "sprites"
    looked = [cache]
    data = os.environ.get("PYRODIS_DATA")
    if data:
        looked.insert(0, Path(data))
        try:
            return _sheets_in(Path(data))
        except FileNotFoundError:
            pass  # The folder may well be there for other data sets only.
    if all((cache / name).is_file() for name in SPRITES_SHA256):
        return cache
    reason = "download=False"
    if download:
        try:
            return download_sprites(cache)
        except (OSError, ValueError) as error:
            reason = str(error)
    raise FileNotFoundError(
        f"the Sprites sheets are neither in {' nor in '.join(map(str, looked))}, nor were they downloaded ({reason}); "
        "give the folder that holds body/, bottomwear/, topwear/, hair/ and shoes/ as root or in PYRODIS_DATA, "
        "or use ProceduralSprites, which needs no files"
    )


@lru_cache(maxsize=1)
def _load_characters(root: Path) -> LayeredCharacters:
    """Decodes all sheets of a folder, which the splits then share."""
    tiles = torch.empty(len(_LAYERS), NUM_VARIANTS, NUM_ACTIONS, 8, _TILE, _TILE, 4, dtype=torch.uint8)
    for layer, folder in enumerate(_LAYERS):
        for variant in range(NUM_VARIANTS):
            tiles[layer, variant] = _read_tiles(root / folder / f"{variant}.png")
    return LayeredCharacters(tiles, _read_tiles(root / _SHOES))


def _read_tiles(path: Path) -> Tensor:
    """Cuts a sheet into the tiles of the nine actions, uint8 (9, 8, 64, 64, 4)."""
    sheet = torch.from_numpy(_read_sheet(path))
    tiles = sheet.unflatten(1, (_COLUMNS, _TILE)).unflatten(0, (_ROWS, _TILE)).transpose(1, 2).flatten(0, 1)
    first = torch.tensor(_FIRST_TILES).unsqueeze(-1)
    return tiles[(first + torch.tensor(_FRAME_TILES).unsqueeze(1)).flatten(0, 1)]


def _read_sheet(path: Path) -> np.ndarray:
    """Reads a PNG sheet as RGBA, uint8 (1344, 832, 4)."""
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG",)) as image:
            image.verify()  # It checks what decoding leaves unchecked, the checksums of the pixels; then open again.
        with Image.open(path, formats=("PNG",)) as image:
            mode, size = image.mode, image.size
            pixels = np.array(image.convert("RGBA"))
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{path} must be a whole PNG file, got one that cannot be read ({error}); replace it"
        ) from error
    wanted = (_COLUMNS * _TILE, _ROWS * _TILE)
    if size != wanted or mode not in _MODES:
        raise ValueError(
            f"{path} must be a sheet of {wanted[0]} x {wanted[1]} pixels with a palette or RGBA, "
            f"got {size[0]} x {size[1]} in mode {mode}; replace it with the published sheet"
        )
    return pixels
