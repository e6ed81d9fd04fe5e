"""The dSprites images, from their public file where a user has it."""

from __future__ import annotations

import hashlib
import os
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Final, final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pyrodis.datasets.compositor import wrap_index
from pyrodis.datasets.streams import check_seed
from pyrodis.ops.paths import cache_dir

FILE_NAME: Final = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
ADDRESS: Final = "https://github.com/google-deepmind/dsprites-dataset"

_SIZE: Final = 64
_FACTORS: Final = {"shape": 3, "scale": 6, "orientation": 40, "x": 32, "y": 32}
_PARTS: Final = {"all": (0, 10), "train": (0, 8), "validation": (8, 9), "test": (9, 10)}  # tenths of a permutation
_ROWS_AT_ONCE: Final = 8192
_MAX_BYTES: Final = 2**32  # of an array; the published one has 3.02e9


@final
class DSprites(Dataset[dict[str, Tensor]]):
    """White shapes on black, one image for each combination of five factors: 737,280 clips of one frame.

    The file is not part of this library and is not downloaded. Its pickled metadata is never read. Its images, 3 GB,
    are read in pieces at the first access and kept as bits, 0.4 GB, once for all splits.

    Args:
        path: The file, or a folder with it; None to look for it in the folder `PYRODIS_DATA`, then in the cache folder
            (`pyrodis.ops.paths.cache_dir`), and in dsprites/ within each.
        split: "all" (the file's order), or "train", "validation" and "test": 8, 1 and 1 tenths of a permutation.
        seed: Of the permutation, in [0, 2^32).

    Attributes:
        factor_names: ("shape", "scale", "orientation", "x", "y"); the color, always white, is left out.
        factor_sizes: (3, 6, 40, 32, 32).
        split: The split's name.
        seed: The seed.
        name: "dsprites".
        num_frames: 1.
        frame_shape: (1, 64, 64).
        path: The file.

    Shape:
        An item is {"x": float32 (1, 1, 64, 64), 0 or 1, "factors": int64 (5,)}.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If the split or the seed is unknown; at the first access, if the file is broken or another one.
        TypeError: If the seed is not an integer.

    Source:
        Matthey, Higgins, Hassabis and Lerchner, dSprites (2017). The splits are ours.

    Example:
        >>> data = DSprites("dsprites/")  # doctest: +SKIP
        >>> len(data), data[0]["x"].shape  # doctest: +SKIP
        (737280, torch.Size([1, 1, 64, 64]))
    """

    factor_names: Final = tuple(_FACTORS)
    factor_sizes: Final = tuple(_FACTORS.values())
    name: Final = "dsprites"
    num_frames: Final = 1
    frame_shape: Final = (1, _SIZE, _SIZE)

    def __init__(self, path: str | Path | None = None, *, split: str = "all", seed: int = 0) -> None:
        if split not in _PARTS:
            raise ValueError(f"split must be one of {', '.join(_PARTS)}, got {split!r}; choose one of them")
        self.split = split
        self.seed = check_seed(seed)
        self.path = _find(path)
        self._order: np.ndarray | None = None

    @property
    def checksum(self) -> str:
        """The sha256 of the file's bytes and, where it is a split of a seed, of the seed."""
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
        if self.split != "all":
            digest.update(f" seed {self.seed}".encode())
        return digest.hexdigest()

    @property
    def factors(self) -> Tensor:
        """Factors of all images, int64 (N, 5), without the images."""
        return torch.from_numpy(_load(self.path)[1][self._indices()])

    def __len__(self) -> int:
        return len(self._indices())

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Tensor]]:
        """Unpacks many items at once, as a `DataLoader` asks for them; the items are views into one batch."""
        bits, classes = _load(self.path)
        where = self._indices()[[wrap_index(index, len(self)) for index in indices]]
        x = torch.from_numpy(np.unpackbits(bits[where], axis=1)).float().reshape(-1, 1, *self.frame_shape)
        factors = torch.from_numpy(classes[where])
        return [{"x": x[i], "factors": factors[i]} for i in range(len(indices))]

    def _indices(self) -> np.ndarray:
        """Places in the file of the split's images."""
        if self._order is None:
            num = len(_load(self.path)[1])
            order = np.arange(num)
            if self.split != "all":
                order = np.random.RandomState(self.seed).permutation(num)
            first, last = _PARTS[self.split]
            self._order = order[num * first // 10 : num * last // 10]
        return self._order


def _find(path: str | Path | None) -> Path:
    """The file: itself, in a folder, or in one of the usual folders."""
    data = os.environ.get("PYRODIS_DATA")
    roots = [Path(path)] if path is not None else [Path(folder) for folder in (data, cache_dir()) if folder]
    for root in roots:
        for file in (root, root / FILE_NAME, root / "dsprites" / FILE_NAME):
            if file.is_file():
                return file.absolute()
    raise FileNotFoundError(
        f"there is no {FILE_NAME} in {' nor in '.join(map(str, roots))}; download it from {ADDRESS} and give its path"
    )


@lru_cache(maxsize=1)
def _load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images as bits, uint8 (N, 512), and classes of the five factors, int64 (N, 5)."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name in ("latents_classes.npy", "imgs.npy"):
                if archive.getinfo(name).file_size > _MAX_BYTES:
                    raise ValueError(f"{name} has {archive.getinfo(name).file_size:,} bytes")
            with archive.open("latents_classes.npy") as member:
                classes = np.lib.format.read_array(member, allow_pickle=False)
            with archive.open("imgs.npy") as member:
                bits = _read_bits(member)
    except Exception as error:  # what numpy and zipfile raise for damaged files is of many kinds
        reason = " ".join(str(error).split()).strip('"')
        raise ValueError(
            f"{path} must be the whole dSprites file, got one that cannot be read ({reason}); "
            f"download it again from {ADDRESS}"
        ) from error
    columns = (len(bits), len(_FACTORS) + 1)
    if classes.shape != columns or not np.issubdtype(classes.dtype, np.integer):
        raise ValueError(
            f"latents_classes in {path} must be whole numbers of shape {columns}, got {classes.dtype} {classes.shape}; "
            f"download the file again from {ADDRESS}"
        )
    classes = classes[:, 1:].astype(np.int64)
    if bool(((classes < 0) | (classes >= np.array(list(_FACTORS.values())))).any()):
        raise ValueError(f"latents_classes in {path} must lie below {DSprites.factor_sizes}; download the file again")
    return bits, classes


def _read_bits(member: IO[bytes]) -> np.ndarray:
    """Reads images (N, 64, 64) of zeros and ones in pieces, each packed to bits before the next is read."""
    version = np.lib.format.read_magic(member)
    read_header: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_transposed, dtype = read_header(member)
    if shape[1:] != (_SIZE, _SIZE) or is_transposed or dtype != np.uint8:
        raise ValueError(f"imgs must be uint8 of shape (N, {_SIZE}, {_SIZE}), not {dtype} {shape}")
    if shape[0] * _SIZE * _SIZE > _MAX_BYTES:
        raise ValueError(f"imgs claims {shape[0]:,} images")
    bits = np.empty((shape[0], _SIZE * _SIZE // 8), dtype=np.uint8)
    for first in range(0, shape[0], _ROWS_AT_ONCE):
        rows = min(_ROWS_AT_ONCE, shape[0] - first)
        pixels = np.frombuffer(member.read(rows * _SIZE * _SIZE), dtype=np.uint8)
        if pixels.size != rows * _SIZE * _SIZE:
            raise ValueError(f"imgs ends after {first} images or a few more of {shape[0]}")
        if pixels.max() > 1:
            raise ValueError(f"imgs must hold zeros and ones, not {pixels.max()}")
        bits[first : first + rows] = np.packbits(pixels.reshape(rows, -1), axis=1)
    return bits
