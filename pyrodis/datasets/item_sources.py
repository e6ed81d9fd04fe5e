"""Images of single items, digits or clothes, of which scenes with several items are made."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Protocol, final

import numpy as np
import torch
from torch import Tensor

from pyrodis.datasets.streams import check_split
from pyrodis.ops.paths import cache_dir

SIZE: Final = 28

_NUM_CLASSES: Final = 10
_INK: Final = (64,) * _NUM_CLASSES  # a quarter of full brightness
_CLOTH: Final = (26,) * _NUM_CLASSES  # a tenth: clothes may be dark
_FILES: Final = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_BUNDLED: Final = {"train": (0, 1197), "validation": (1197, 1397), "test": (1397, 1797)}
_BUNDLED_SIZE: Final = 20  # of a digit within its image, as in MNIST


class ItemSource(Protocol):
    """What a data set of scenes asks of its items: images on black with a type each, in splits that share no image.

    Example:
        >>> images, types = BundledDigits().images("test")
    """

    @property
    def name(self) -> str:
        """A word for the items, part of the data set's name."""

    @property
    def num_types(self) -> int:
        """How many types there are; they are numbered from 0."""

    @property
    def thresholds(self) -> tuple[int, ...]:
        """For each type, the least value of a pixel, of 255, that belongs to the item and not to the background."""

    @property
    def checksum(self) -> str:
        """The sha256 of what the images are made from."""

    def images(self, split: str) -> tuple[Tensor, Tensor]:
        """Images uint8 (N, 28, 28) and types int64 (N) of "train", "validation" or "test"."""


@final
class MNISTItems:
    """Handwritten digits from the files of MNIST; the type of a digit is its value.

    Train are the first five sixths of the 60,000 training images, validation the last sixth, test the 10,000 test
    images. The files are not part of this library.

    Args:
        root: The folder that holds MNIST/raw/ with the four files, uncompressed, as torchvision lays them out; None to
            look for it in the folder `PYRODIS_DATA`, then in the cache folder (`pyrodis.ops.paths.cache_dir`).
        download: Whether torchvision may download the files, to root or to the cache folder, if they are not found.

    Attributes:
        name: "mnist".
        num_types: 10.
        thresholds: 64 for each type: what has a quarter of full brightness belongs to the digit.
        folder: The folder with the files.

    Raises:
        FileNotFoundError: If a file is not found, nor downloaded.
        ValueError: At the first access, if a file is broken.

    Source:
        LeCun, Cortes and Burges, the MNIST database of handwritten digits. The validation split is ours.

    Example:
        >>> images, types = MNISTItems("data").images("test")  # doctest: +SKIP
        >>> images.shape  # doctest: +SKIP
        torch.Size([10000, 28, 28])
    """

    name: Final = "mnist"
    num_types: Final = _NUM_CLASSES
    thresholds: Final = _INK

    def __init__(self, root: str | Path | None = None, *, download: bool = False) -> None:
        self.folder = _find("MNIST", root, _download_mnist if download else None)

    @property
    def checksum(self) -> str:
        """The sha256 of the four files' bytes, one after another."""
        return _checksum(self.folder)

    def images(self, split: str) -> tuple[Tensor, Tensor]:
        """Return all images and types of a split.

        Args:
            split: "train", "validation" or "test".

        Returns:
            uint8 (N, 28, 28) and int64 (N).
        """
        return _read_split(self.folder, split)


@final
class FashionItems:
    """Clothes from the files of Fashion-MNIST.

    Types: 0 T-shirt, 1 trousers, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker, 8 bag, 9 ankle boot. Files,
    splits, arguments and errors are those of `MNISTItems`, in FashionMNIST/raw/.

    Args:
        root: The folder that holds FashionMNIST/raw/, or None to look for it.
        download: Whether torchvision may download the files if they are not found.

    Attributes:
        name: "fashion_mnist".
        num_types: 10.
        thresholds: 26 for each type, a tenth of full brightness, since clothes may be dark.
        folder: The folder with the files.

    Raises:
        FileNotFoundError: If a file is not found, nor downloaded.
        ValueError: At the first access, if a file is broken.

    Source:
        Xiao, Rasul and Vollgraf, Fashion-MNIST (arXiv 1708.07747). The validation split is ours.

    Example:
        >>> images, types = FashionItems("data").images("test")  # doctest: +SKIP
    """

    name: Final = "fashion_mnist"
    num_types: Final = _NUM_CLASSES
    thresholds: Final = _CLOTH

    def __init__(self, root: str | Path | None = None, *, download: bool = False) -> None:
        self.folder = _find("FashionMNIST", root, _download_fashion if download else None)

    @property
    def checksum(self) -> str:
        """The sha256 of the four files' bytes, one after another."""
        return _checksum(self.folder)

    def images(self, split: str) -> tuple[Tensor, Tensor]:
        """Return all images and types of a split.

        Args:
            split: "train", "validation" or "test".

        Returns:
            uint8 (N, 28, 28) and int64 (N).
        """
        return _read_split(self.folder, split)


@final
class BundledDigits:
    """The 1,797 handwritten digits that scikit-learn brings along, enlarged: they need no file and no network.

    Their 8 x 8 pixels are enlarged to 20 x 20 (bicubic), their contrast is raised by 1.6, and they are set into 28 x 28
    as MNIST's are. They are about 180 a digit, blurred and of few hands, and no substitute for MNIST in a comparison.
    Train, validation and test are 1,197, 200 and 400 of a fixed permutation, so that a hand may be in all of them.

    Attributes:
        name: "bundled_digits".
        num_types: 10.
        thresholds: 64 for each type: what has a quarter of full brightness belongs to the digit.

    Source:
        Alpaydin and Kaynak, Optical Recognition of Handwritten Digits (UCI), test part, as in scikit-learn's
        `load_digits`. Size, contrast and splits are ours.

    Example:
        >>> images, types = BundledDigits().images("test")
        >>> images.shape, int(types.max())
        (torch.Size([400, 28, 28]), 9)
    """

    name: Final = "bundled_digits"
    num_types: Final = _NUM_CLASSES
    thresholds: Final = _INK

    @property
    def checksum(self) -> str:
        """The sha256 of the enlarged images and their types."""
        images, types = _bundled()
        return hashlib.sha256(images.numpy().tobytes() + types.numpy().astype("<i8").tobytes()).hexdigest()

    def images(self, split: str) -> tuple[Tensor, Tensor]:
        """Return all images and types of a split.

        Args:
            split: "train", "validation" or "test".

        Returns:
            uint8 (N, 28, 28) and int64 (N).
        """
        first, last = _BUNDLED[check_split(split)]
        images, types = _bundled()
        return images[first:last], types[first:last]


@final
class MixedItems:
    """Items chosen from several sources, numbered in the order in which they are given.

    Args:
        parts: One (source, type) for each new type, or (source, (type, type, ...)) for several that become one.

    Attributes:
        name: The sources' names, joined by "_and_".
        num_types: The number of parts.
        thresholds: Those of the sources; where several types become one, the first one's.

    Raises:
        ValueError: If there are no parts, or a source lacks a type.
        TypeError: If a part is no pair, or a type no whole number.

    Source:
        Stavarache, Multi-model disentanglement of object representations (2019), keeps the digits 0 and 1 of MNIST,
        and replaces 2 by dresses and 3 by shoes: `MixedItems([(mnist, 0), (mnist, 1), (fashion, 3), (fashion, 7)])`.
        Which shoes it does not say: 5, 7 and 9 are sandals, sneakers and ankle boots.

    Example:
        >>> digits = BundledDigits()
        >>> items = MixedItems([(digits, 3), (digits, (1, 7))])
        >>> items.num_types, items.images("test")[1].unique().tolist()
        (2, [0, 1])
    """

    def __init__(self, parts: Sequence[tuple[ItemSource, int | tuple[int, ...]]]) -> None:
        self.parts = [_checked_part(part) for part in parts]
        if not self.parts:
            raise ValueError("parts must hold at least one (source, type), got none; add one for each type")
        self.num_types = len(self.parts)
        self.thresholds = tuple(source.thresholds[types[0]] for source, types in self.parts)
        self.name = "_and_".join(dict.fromkeys(source.name for source, _ in self.parts))

    @property
    def checksum(self) -> str:
        """The sha256 of the sources' checksums and the chosen types."""
        chosen = [(source.checksum, types) for source, types in self.parts]
        return hashlib.sha256(repr(chosen).encode()).hexdigest()

    def images(self, split: str) -> tuple[Tensor, Tensor]:
        """Return all images of the chosen types, with their new types.

        Args:
            split: "train", "validation" or "test".

        Returns:
            uint8 (N, 28, 28) and int64 (N).
        """
        chosen, numbers = [], []
        for number, (source, types) in enumerate(self.parts):
            images, labels = source.images(split)
            found = images[torch.isin(labels, torch.tensor(types))]
            chosen.append(found)
            numbers.append(torch.full((len(found),), number))
        return torch.cat(chosen), torch.cat(numbers)


def _checked_part(part: Any) -> tuple[ItemSource, tuple[int, ...]]:
    """A source and the types taken from it."""
    if not isinstance(part, tuple) or len(part) != 2:
        raise TypeError(f"a part must be (source, type), got {part!r}; for example (BundledDigits(), 0)")
    source, types = part[0], part[1] if isinstance(part[1], tuple) else (part[1],)
    return source, check_types("a part's types", types, source.num_types)


def check_types(name: str, types: Any, num_types: int) -> tuple[int, ...]:
    """Return types as a tuple if they are distinct types of a source, at least one.

    Args:
        name: Name of the argument, for the message.
        types: What was given.
        num_types: How many types the source has.

    Returns:
        The types.

    Raises:
        TypeError: If they are no tuple, list or range of whole numbers.
        ValueError: If there are none, one is twice there, or the source lacks one.

    Example:
        >>> check_types("items", [0, 1], 10)
        (0, 1)
    """
    if not isinstance(types, (tuple, list, range)):
        raise TypeError(f"{name} must be a tuple of whole numbers, got {types!r}; pass (0, 1), for example")
    for value in types:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} must be whole numbers, got {value!r} of type {type(value).__name__}")
        if not 0 <= value < num_types:
            raise ValueError(f"{name} must lie in [0, {num_types}), the types of the source, got {value}")
    if not types or len(set(types)) < len(types):
        raise ValueError(f"{name} must name at least one type and none twice, got {tuple(types)}")
    return tuple(types)


def _download_mnist(root: str) -> None:
    from torchvision.datasets import MNIST

    MNIST(root, download=True)


def _download_fashion(root: str) -> None:
    from torchvision.datasets import FashionMNIST

    FashionMNIST(root, download=True)


def _find(name: str, root: str | Path | None, download: Callable[[str], None] | None) -> Path:
    """The folder with the four files: in root, else in PYRODIS_DATA or the cache folder, else downloaded."""
    data = os.environ.get("PYRODIS_DATA")
    roots = [Path(root)] if root is not None else [Path(folder) for folder in (data, cache_dir()) if folder]
    folders = [folder.absolute() / name / "raw" for folder in roots]
    reason = "download=False"
    for folder in folders:
        if not _missing(folder):
            return folder
    if download is not None:
        try:
            download(str(roots[-1]))
            return folders[-1]
        except (OSError, RuntimeError) as error:
            reason = str(error).strip()
    raise FileNotFoundError(
        f"{name} must be four files in {' or in '.join(map(str, folders))}, {_missing(folders[-1])[0]} is missing and "
        f"was not downloaded ({reason}); give the folder that holds {name}/raw/ as root or in PYRODIS_DATA, pass "
        "download=True, or use BundledDigits, which needs no files"
    )


def _missing(folder: Path) -> list[str]:
    """Which of the four files a folder lacks."""
    return [name for names in _FILES.values() for name in names if not (folder / name).is_file()]


def _read_split(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Images and types of a split; validation is the last sixth of the training file."""
    images, types = _read("test" if check_split(split) == "test" else "train", folder)
    last = len(images) if split == "test" else len(images) - len(images) // 6
    return (images[last:], types[last:]) if split == "validation" else (images[:last], types[:last])


@lru_cache(maxsize=4)
def _read(part: str, folder: Path) -> tuple[Tensor, Tensor]:
    """A pair of files, decoded once a process."""
    from torchvision.datasets.mnist import read_image_file, read_label_file

    image_file, label_file = (folder / name for name in _FILES[part])
    try:
        images, types = read_image_file(str(image_file)), read_label_file(str(label_file))
        problem = "" if len(images) == len(types) > 0 else f"{len(images)} images and {len(types)} labels"
        if tuple(images.shape[1:]) != (SIZE, SIZE) or not bool((types < _NUM_CLASSES).all()):
            problem = f"images of shape {tuple(images.shape)} and labels up to {int(types.max())}"
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, AssertionError) as error:
        problem = f"one that cannot be read ({error})"
    if problem:
        raise ValueError(
            f"{image_file} and {label_file.name} must be whole IDX files of images of {SIZE} x {SIZE} and their labels "
            f"below {_NUM_CLASSES}, got {problem}; replace them"
        )
    return images, types


@lru_cache(maxsize=4)
def _checksum(folder: Path) -> str:
    digest = hashlib.sha256()
    for names in _FILES.values():
        for name in names:
            digest.update((folder / name).read_bytes())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _bundled() -> tuple[Tensor, Tensor]:
    """The enlarged digits in a fixed order, uint8 (1797, 28, 28), and their types."""
    from PIL import Image
    from sklearn.datasets import load_digits

    found = load_digits()
    bytes_of = np.minimum(16 * found.images, 255).astype(np.uint8)
    size, margin = (_BUNDLED_SIZE, _BUNDLED_SIZE), (SIZE - _BUNDLED_SIZE) // 2
    large = [np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)) for image in bytes_of]
    sharp = ((8 * np.stack(large).astype(np.int64) - 384) // 5).clip(0, 255)
    images = np.pad(sharp.astype(np.uint8), ((0, 0), (margin, margin), (margin, margin)))
    order = np.random.RandomState(0).permutation(len(images))  # its numbers are the same in every release of numpy
    return torch.from_numpy(images[order]), torch.from_numpy(found.target.astype(np.int64)[order])
