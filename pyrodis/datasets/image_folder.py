"""A folder of images, with masks where there are some."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pyrodis.datasets.compositor import wrap_index
from pyrodis.ops.checks import check_positive_int

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS: Final = 2**25  # of one frame: 8K video has 33 million
# Whatever its name says, a file is read as one of these: Pillow would hand others, such as EPS, to other programs.
IMAGE_FORMATS: Final = ("PNG", "JPEG", "BMP")
_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".bmp")


@final
class ImageFolder(Dataset[dict[str, Tensor]]):
    """The images of a folder as clips of one frame, and label maps of another folder as their masks.

    Images are files .png, .jpg, .jpeg and .bmp, in the order of their names, all of one size. A mask is a PNG of the
    same stem whose pixels are numbers: 0 for the background, 1 to M for the objects. Files are read when their items
    are asked for; sizes are checked at once.

    Args:
        root: The folder.
        masks: The folder of label maps; None for no masks.
        num_slots: M, the greatest number of objects; it is needed with masks alone.
        color: Whether frames have three channels; else they are gray and have one.
        split: What to call these images.

    Attributes:
        factor_names: ("num_objects",) with masks, else ().
        factor_sizes: (M + 1,) with masks, else ().
        split: The split's name.
        seed: 0, as nothing is drawn.
        name: "image_folder".
        num_frames: 1.
        frame_shape: (C, H, W).
        files: The images.
        checksum: The sha256 of the files' names and bytes, computed when it is asked for.

    Shape:
        An item is {"x": float32 (1, C, H, W) in [0, 1], "factors": int64 (F,)}, and with masks also {"masks": bool (1,
        M + 1, H, W)}: the objects, then the background.

    Raises:
        FileNotFoundError: If there is no such folder, no image in it, or an image has no mask.
        TypeError: If `num_slots` is not whole.
        ValueError: If images differ in size or cannot be read; at the access of an item, if an image has more than 8
            bits a channel, or a mask another size or a number above `num_slots`.

    Example:
        >>> ImageFolder("pictures/", masks="labels/", num_slots=6)  # doctest: +SKIP
    """

    name: Final = "image_folder"
    num_frames: Final = 1
    seed: Final = 0

    def __init__(
        self,
        root: str | Path,
        *,
        masks: str | Path | None = None,
        num_slots: int | None = None,
        color: bool = True,
        split: str = "train",
    ) -> None:
        self.files = _images_in(Path(root))
        width, height = _common_size(self.files)
        self.masks = None if masks is None else _masks_of(self.files, Path(masks), (width, height))
        if (masks is None) != (num_slots is None):
            raise ValueError(f"num_slots must be the greatest number of objects, with masks alone, got {num_slots}")
        if num_slots is not None:
            check_positive_int("num_slots", num_slots)
        self.num_slots = num_slots
        self.color = color
        self.split = split
        self.frame_shape = (3 if color else 1, height, width)
        self.factor_names: tuple[str, ...] = () if num_slots is None else ("num_objects",)
        self.factor_sizes: tuple[int, ...] = () if num_slots is None else (num_slots + 1,)

    @property
    def checksum(self) -> str:
        """The sha256 of the names and the bytes of all files."""
        digest = hashlib.sha256()
        for file in [*self.files, *(self.masks or ())]:
            digest.update(file.name.encode() + file.read_bytes())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        place = wrap_index(index, len(self))
        image = read_image(self.files[place], "RGB" if self.color else "L")
        x = torch.from_numpy(image.reshape(*self.frame_shape[1:], -1)).movedim(-1, 0).unsqueeze(0).float() / 255
        if self.masks is None or self.num_slots is None:
            return {"x": x, "factors": torch.zeros(0, dtype=torch.int64)}
        labels = _read_labels(self.masks[place], self.frame_shape[1:], self.num_slots)
        numbers = torch.arange(1, self.num_slots + 2) % (self.num_slots + 1)
        masks = labels == numbers.view(-1, 1, 1)
        count = masks[:-1].flatten(1).any(1).sum().unsqueeze(0)
        return {"x": x, "factors": count, "masks": masks.unsqueeze(0)}


def read_image(path: Path, mode: str | None) -> np.ndarray:
    """Return the pixels of an image file.

    Args:
        path: The file.
        mode: Pillow's name of the kind of pixels to convert to, such as "RGB" or "L"; None for those of the file.

    Returns:
        Array (H, W, 3), or (H, W) for one number a pixel.

    Raises:
        ValueError: If it cannot be read, or a conversion would have to cut off its numbers.

    Example:
        >>> read_image(Path("picture.png"), "RGB")  # doctest: +SKIP
    """
    with _opened(path) as image:
        if mode is not None and image.mode.startswith(("I", "F")):  # converted, all above 255 would become white
            raise OSError(f"numbers of kind {image.mode}, not 8 bits a channel")
        return np.array(image if mode is None else image.convert(mode))


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height of an image file, from its header alone.

    Args:
        path: The file.

    Returns:
        Width and height in pixels.

    Raises:
        ValueError: If it is no image, or has too many pixels.

    Example:
        >>> image_size(Path("picture.png"))  # doctest: +SKIP
        (640, 480)
    """
    with _opened(path) as image:
        size: tuple[int, int] = image.size
        return size


@contextmanager
def _opened(path: Path) -> Iterator[Image]:
    """An image file whose header was read; whatever goes wrong with it is said in one sentence."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise OSError(f"{image.width} x {image.height} pixels, more than {MAX_PIXELS:,}")
            yield image
    except Exception as error:  # what Pillow raises for damaged files is of many kinds
        reason = "no image" if isinstance(error, UnidentifiedImageError) else " ".join(str(error).split())
        raise ValueError(f"{path} must be a whole image file, got {reason}; remove or replace it") from error


def _images_in(root: Path) -> list[Path]:
    if not root.is_dir():
        raise FileNotFoundError(f"root must be a folder of images, got {root}, which is none; give another path")
    files = sorted(file for file in root.iterdir() if file.suffix.lower() in _SUFFIXES and file.is_file())
    if not files:
        raise FileNotFoundError(f"{root} must hold images ({', '.join(_SUFFIXES)}), got none; give another folder")
    return files


def _common_size(files: Sequence[Path]) -> tuple[int, int]:
    """Width and height of all images; only their headers are read."""
    sizes: dict[tuple[int, int], Path] = {}
    for file in files:
        sizes.setdefault(image_size(file), file)
    if len(sizes) > 1:
        (first, one), (second, other), *_ = sizes.items()
        raise ValueError(
            f"images must be of one size, got {first[0]} x {first[1]} ({one.name}) and {second[0]} x {second[1]} "
            f"({other.name}); resize them"
        )
    return next(iter(sizes))


def _masks_of(files: Sequence[Path], root: Path, size: tuple[int, int]) -> list[Path]:
    """The label maps of images, by their headers of the same width and height."""
    masks = [root / f"{file.stem}.png" for file in files]
    missing = [mask for mask in masks if not mask.is_file()]
    if missing:
        raise FileNotFoundError(f"{len(missing)} of {len(files)} images have no mask, first {missing[0]}; add them")
    for mask in masks:
        if (found := image_size(mask)) != size:
            raise ValueError(
                f"a mask must be of the size of the images, {size[0]} x {size[1]}, got {found[0]} x {found[1]} "
                f"({mask.name}); make it again"
            )
    return masks


def _read_labels(path: Path, size: tuple[int, ...], num_slots: int) -> Tensor:
    labels = read_image(path, None)
    if labels.shape != size:
        raise ValueError(f"{path} must be a label map of {size}, one number a pixel, got {labels.shape}; make it again")
    if int(labels.max()) > num_slots:
        raise ValueError(f"{path} must hold 0 to {num_slots}, got {int(labels.max())}; pass a greater num_slots")
    return torch.from_numpy(labels.astype(np.int64))
