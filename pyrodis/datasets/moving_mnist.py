"""The published file of Moving MNIST: ten thousand clips without labels."""

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

from pyrodis.datasets.compositor import wrap_index
from pyrodis.datasets.streams import check_split
from pyrodis.ops.paths import cache_dir

_FILE: Final = Path("MovingMNIST") / "mnist_test_seq.npy"
_MD5: Final = "be083ec986bfe91a449d63653c411eb2"
_NUM_FRAMES: Final = 20
_SIZE: Final = 64
_SHARES: Final = {"train": (0, 8), "validation": (8, 9), "test": (9, 10)}  # tenths of the clips


@final
class MovingMNIST(Dataset[dict[str, Tensor]]):
    """The clips of the published file mnist_test_seq.npy: two digits that move, 20 frames of 64 x 64 pixels.

    The file tells neither which digits there are nor where, so that it serves to train and to look at, not to score;
    `MovingDigits` draws clips like these, as many as wanted, with both. The first eight tenths of the clips are train,
    the ninth is validation, the last test: 8,000, 1,000 and 1,000.

    Args:
        root: The folder that holds MovingMNIST/mnist_test_seq.npy, as torchvision lays it out; None to look for it in
            the folder `PYRODIS_DATA`, then in the cache folder (`pyrodis.ops.paths.cache_dir`).
        split: "train", "validation" or "test".
        download: Whether torchvision may download the file, 819 MB, to root or to the cache folder, if it is not found.

    Attributes:
        factor_names: (), as nothing is known.
        factor_sizes: ().
        split: The split's name.
        seed: 0, as nothing is drawn.
        name: "moving_mnist_file".
        num_frames: 20.
        frame_shape: (1, 64, 64).
        path: The file.
        checksum: The sha256 of the file, computed when it is asked for.

    Shape:
        An item is {"x": float32 (20, 1, 64, 64) in [0, 1], "factors": int64 (0,)}.

    Raises:
        FileNotFoundError: If the file is not found, nor downloaded.
        ValueError: If the file is not whole, or another one.

    Source:
        Srivastava, Mansimov and Salakhutdinov, Unsupervised Learning of Video Representations using LSTMs (2015). There
        the file is a test set as a whole; its splits are ours.

    Example:
        >>> MovingMNIST("data", split="test")[0]["x"].shape  # doctest: +SKIP
        torch.Size([20, 1, 64, 64])
    """

    name: Final = "moving_mnist_file"
    factor_names: Final = ()
    factor_sizes: Final = ()
    seed: Final = 0
    num_frames: Final = _NUM_FRAMES
    frame_shape: Final = (1, _SIZE, _SIZE)

    def __init__(self, root: str | Path | None = None, *, split: str = "train", download: bool = False) -> None:
        self.split = check_split(split)
        self.path = _find(root, download)
        clips = _read(self.path)
        first, last = (clips.shape[1] * tenths // 10 for tenths in _SHARES[split])
        self._clips = clips[:, first:last]

    @property
    def factors(self) -> Tensor:
        """No factors of all sequences, int64 (N, 0)."""
        return torch.zeros(len(self), 0, dtype=torch.int64)

    @property
    def checksum(self) -> str:
        """The sha256 of the file."""
        return _checksum(self.path)

    def __len__(self) -> int:
        return int(self._clips.shape[1])

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Tensor]]:
        """Reads many items at once, as a `DataLoader` asks for them; the items are views into one batch."""
        where = [wrap_index(index, len(self)) for index in indices]
        drawn = np.ascontiguousarray(self._clips[:, where].swapaxes(0, 1))
        x = torch.from_numpy(drawn).unsqueeze(2).float().div_(255)
        return [{"x": clip, "factors": torch.zeros(0, dtype=torch.int64)} for clip in x.unbind(0)]


def _find(root: str | Path | None, download: bool) -> Path:
    """The file: in root, else in PYRODIS_DATA or the cache folder, else downloaded."""
    data = os.environ.get("PYRODIS_DATA")
    roots = [Path(root)] if root is not None else [Path(folder) for folder in (data, cache_dir()) if folder]
    paths = [folder.absolute() / _FILE for folder in roots]
    for path in paths:
        if path.is_file():
            return path
    reason = "download=False"
    if download:
        try:
            _download(paths[-1])
            return paths[-1]
        except (OSError, RuntimeError) as error:
            reason = str(error).strip()
    raise FileNotFoundError(
        f"Moving MNIST must be the file {' or '.join(map(str, paths))}, which is missing and was not downloaded "
        f"({reason}); give the folder that holds {_FILE.as_posix()} as root or in PYRODIS_DATA, pass download=True, or "
        "use MovingDigits, which draws such clips"
    )


def _download(path: Path) -> None:
    from torchvision.datasets import MovingMNIST as Published
    from torchvision.datasets.utils import download_url

    download_url(Published._URL, root=str(path.parent), filename=path.name, md5=_MD5)


def _read(path: Path) -> np.ndarray:
    """The clips uint8 (20, N, 64, 64), which stay in the file until they are asked for."""
    try:
        clips = np.load(path, mmap_mode="r", allow_pickle=False)
        problem = f"{clips.dtype} {clips.shape}"
        if clips.dtype == np.uint8 and clips.shape[:1] + clips.shape[2:] == (_NUM_FRAMES, _SIZE, _SIZE):
            problem = "" if clips.shape[1] >= 10 else f"{clips.shape[1]} clips, fewer than 10"
    except Exception as error:  # what numpy raises for damaged files is of many kinds
        problem = f"one that cannot be read ({' '.join(str(error).split())})"
    if problem:
        raise ValueError(
            f"{path} must be a whole file of clips uint8 ({_NUM_FRAMES}, N, {_SIZE}, {_SIZE}), got {problem}; "
            "replace it"
        )
    return clips


@lru_cache(maxsize=2)
def _checksum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
