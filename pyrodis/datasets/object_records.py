"""The public multi-object data sets with masks, from the files in which they are published."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pyrodis.datasets.compositor import wrap_index
from pyrodis.ops.checks import check_positive_int

ADDRESS: Final = "https://github.com/google-deepmind/multi_object_datasets"

_VARINT, _LENGTH = 0, 2  # kinds of protocol buffer fields that occur
_MAX_RECORD: Final = 1 << 26
_MAX_ENTITIES: Final = 255  # owners are kept as bytes


@dataclass(frozen=True)
class RecordFormat:
    """How one of the public multi-object files lays out a scene.

    Args:
        name: What to call the data set.
        height: Of its images.
        width: Of its images.
        channels: Of its images.
        num_entities: Masks of a scene, those of the background among them.
        num_backgrounds: How many of them, the first ones, are background; they are merged.
        masks_last: Whether the masks of a pixel follow each other; else the pixels of a mask.
        crop: First row, first column and size of the square to cut out; None for the whole image.

    Raises:
        ValueError: If a number is smaller than 1, masks are more than 255 or none is left for an object, or the square
            lies outside of the image.
        TypeError: If a number is not whole.

    Example:
        >>> MULTI_DSPRITES.num_entities
        6
    """

    name: str
    height: int
    width: int
    channels: int
    num_entities: int
    num_backgrounds: int = 1
    masks_last: bool = False
    crop: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        for name in ("height", "width", "channels", "num_entities", "num_backgrounds"):
            check_positive_int(name, getattr(self, name))
        if not self.num_backgrounds < self.num_entities <= _MAX_ENTITIES:
            raise ValueError(
                f"num_entities must be above num_backgrounds = {self.num_backgrounds} and at most {_MAX_ENTITIES}, got "
                f"{self.num_entities}"
            )
        top, left, size = self.crop or (0, 0, 1)
        if min(top, left) < 0 or size < 1 or top + size > self.height or left + size > self.width:
            raise ValueError(f"crop must lie within {self.height} x {self.width} pixels, got {self.crop}")


MULTI_DSPRITES: Final = RecordFormat("multi_dsprites", 64, 64, 3, 6, masks_last=True)
"""Multi-dSprites, colored on grayscale: 2 to 5 shapes. The other variants differ in channels and entities."""

CLEVR_WITH_MASKS: Final = RecordFormat("clevr_with_masks", 240, 320, 3, 11, crop=(29, 64, 192))
"""CLEVR with masks, cropped as in the published experiments: 3 to 10 objects."""


@final
class ObjectRecords(Dataset[dict[str, Tensor]]):
    """Scenes with masks from a public multi-object file: Multi-dSprites or CLEVR, where a user has it.

    The file (gzip-compressed TFRecords) is read from its start without TensorFlow, up to the scenes asked for, which
    are kept as bytes in memory: 16 kB for a colored scene of 64 x 64. The checksums of its records are not checked.
    Frames are reduced as Pillow does it (bilinear), masks to the pixels nearest to their grid.

    Args:
        path: The file, such as multi_dsprites_colored_on_grayscale.tfrecords.
        record_format: `MULTI_DSPRITES`, `CLEVR_WITH_MASKS`, or another layout.
        split: What to call this part of the file: it has no splits of its own.
        first: How many scenes to skip.
        num_images: How many to read.
        size: Height and width of the frames.

    Attributes:
        factor_names: ("num_objects",), of those that are visible.
        factor_sizes: (num_slots + 1,).
        num_slots: Masks but those of the background.
        split: The split's name.
        seed: 0, as nothing is drawn.
        name: The format's name.
        num_frames: 1.
        frame_shape: (C, size, size).
        checksum: The sha256 of the bytes that were read.

    Shape:
        An item is {"x": float32 (1, C, H, W) in [0, 1], "factors": int64 (1,), "masks": bool (1, num_slots + 1, H,
        W)}: what is seen of each object, then the background.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is broken, of another format, or has fewer scenes, or a pixel has no or several owners.
        TypeError: If a number is not whole.

    Source:
        Kabra et al., Multi-object datasets (2019). Their reader gives the background first; here it comes last.

    Example:
        >>> path = "multi_dsprites_colored_on_grayscale.tfrecords"
        >>> data = ObjectRecords(path, MULTI_DSPRITES, num_images=1000)  # doctest: +SKIP
        >>> data[0]["masks"].shape  # doctest: +SKIP
        torch.Size([1, 6, 64, 64])
    """

    num_frames: Final = 1
    factor_names: Final = ("num_objects",)
    seed: Final = 0

    def __init__(
        self,
        path: str | Path,
        record_format: RecordFormat,
        *,
        split: str = "test",
        first: int = 0,
        num_images: int = 1000,
        size: int = 64,
    ) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"there is no file {path}; download it as {ADDRESS} says and give its path")
        if isinstance(first, bool) or not isinstance(first, int):
            raise TypeError(f"first must be a whole number of at least 0, got {first!r}")
        if first < 0:
            raise ValueError(f"first must be a whole number of at least 0, got {first}; 0 skips none")
        self.format = record_format
        self.split = split
        self.size = check_positive_int("size", size)
        self.num_images = check_positive_int("num_images", num_images)
        self.name = record_format.name
        self.frame_shape = (record_format.channels, size, size)
        self.num_slots = record_format.num_entities - record_format.num_backgrounds
        self.factor_sizes = (self.num_slots + 1,)
        digest = hashlib.sha256(repr((record_format, size)).encode())
        self._frames = torch.empty(num_images, size, size, record_format.channels, dtype=torch.uint8)
        self._owners = torch.empty(num_images, size, size, dtype=torch.uint8)
        found = 0
        for number, record in enumerate(_records(self.path)):
            if number < first:
                continue
            digest.update(record)
            self._frames[found], self._owners[found] = self._scene(record, number)
            found += 1
            if found == num_images:
                break
        if found < num_images:
            raise ValueError(f"{path} must hold {first + num_images} scenes, got {first + found}; ask for fewer")
        self.checksum = digest.hexdigest()

    @property
    def factors(self) -> Tensor:
        """The number of visible objects of all scenes, int64 (N, 1)."""
        return torch.cat([self._masks(part)[:, :-1].flatten(2).any(2).sum(1, True) for part in self._owners.split(256)])

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Tensor]]:
        """Unpacks many items at once, as a `DataLoader` asks for them; the items are views into one batch."""
        where = torch.tensor([wrap_index(index, len(self)) for index in indices], dtype=torch.long)
        x = self._frames[where].movedim(-1, 1).unsqueeze(1).float().div_(255)
        masks = self._masks(self._owners[where])
        count = masks[:, :-1].flatten(2).any(2).sum(1, True)
        return [{"x": x[i], "factors": count[i], "masks": masks[i : i + 1]} for i in range(len(indices))]

    def _masks(self, owners: Tensor) -> Tensor:
        """Masks (B, M + 1, H, W) of owners (B, H, W)."""
        return owners.unsqueeze(1) == torch.arange(self.num_slots + 1, dtype=torch.uint8).view(-1, 1, 1)

    def _scene(self, record: bytes, number: int) -> tuple[Tensor, Tensor]:
        """Frame uint8 (size, size, C) and owners uint8 (size, size) of a record."""
        layout = self.format
        try:
            features = dict(_features(record))
            image = features["image"].reshape(layout.height, layout.width, layout.channels)
            shape = (layout.height, layout.width, layout.num_entities)
            masks = features["mask"].reshape(shape if layout.masks_last else (shape[2], *shape[:2]))
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                f"scene {number} of {self.path} must hold an image and masks as {layout.name} does, "
                f"got others ({str(error).strip(chr(39))}); check the format"
            ) from error
        masks = masks if layout.masks_last else np.moveaxis(masks, 0, -1)
        if not bool(((masks > 0).sum(-1) == 1).all()):
            raise ValueError(f"each pixel of scene {number} of {self.path} must have one owner; check the format")
        place = masks.argmax(-1)
        owners = np.where(place < layout.num_backgrounds, self.num_slots, place - layout.num_backgrounds)
        return _reduced(image, owners.astype(np.uint8), layout.crop, self.size)


def _reduced(image: np.ndarray, owners: np.ndarray, crop: Any, size: int) -> tuple[Tensor, Tensor]:
    """Cuts out a square and brings it to a size."""
    from PIL import Image

    if crop is not None:
        rows, columns = slice(crop[0], crop[0] + crop[2]), slice(crop[1], crop[1] + crop[2])
        image, owners = image[rows, columns], owners[rows, columns]
    if owners.shape != (size, size):
        channels = [
            Image.fromarray(np.ascontiguousarray(image[..., i])).resize((size, size), Image.Resampling.BILINEAR)
            for i in range(image.shape[-1])
        ]
        image = np.stack([np.asarray(channel) for channel in channels], -1)
        owners = np.asarray(Image.fromarray(owners).resize((size, size), Image.Resampling.NEAREST))
    return torch.from_numpy(image.copy()), torch.from_numpy(owners.copy())


def _records(path: Path) -> Iterator[bytes]:
    """The records of a file: each has its length, a checksum of it, its bytes and a checksum of these."""
    try:
        with gzip.open(path) as file:
            while header := file.read(12):
                (length,) = struct.unpack("<Q", _all_of(header, 12)[:8])
                if length > _MAX_RECORD:
                    raise OSError(f"it has a record of {length} bytes")
                yield _read(file, length)
                _read(file, 4)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise ValueError(
            f"{path} must be a whole gzip file of TFRecords, got one that cannot be read ({error}); download it again"
        ) from error


def _read(file: gzip.GzipFile, length: int) -> bytes:
    return _all_of(file.read(length), length)


def _all_of(data: bytes, length: int) -> bytes:
    if len(data) < length:
        raise EOFError(f"it ends {length - len(data)} bytes early")
    return data


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Numbers and contents of the fields of a protocol buffer message whose contents have a length."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        if tag & 7 == _VARINT:
            place = _varint(data, place)[1]
            continue
        if tag & 7 != _LENGTH:
            raise ValueError(f"a field of kind {tag & 7}")
        length, place = _varint(data, place)
        if place + length > len(data):
            raise ValueError("a field that ends behind its message")
        yield tag >> 3, data[place : place + length]
        place += length


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, least first, and where it ends."""
    value = shift = 0
    while data[place] & 128:
        if shift > 56:
            raise ValueError("a number of more than ten bytes")
        value |= (data[place] & 127) << shift
        place, shift = place + 1, shift + 7
    return value | data[place] << shift, place + 1


def _features(record: bytes) -> Iterator[tuple[str, np.ndarray]]:
    """Names and joined bytes, uint8 (N), of those features of a tf.train.Example that are lists of bytes."""
    for _, features in _fields(memoryview(record)):
        for _, entry in _fields(features):
            name, feature = (content for _, content in _fields(entry))
            for number, values in _fields(feature):
                if number == 1 and bytes(name) in (b"image", b"mask"):
                    yield bytes(name).decode(), _joined(values)


def _joined(values: memoryview) -> np.ndarray:
    """The bytes of all entries of a list of bytes, most often a single byte each."""
    array = np.frombuffer(values, dtype=np.uint8)
    if array.size % 3 == 0 and bool((array[0::3] == 10).all()) and bool((array[1::3] == 1).all()):
        return array[2::3]
    return np.frombuffer(b"".join(bytes(content) for _, content in _fields(values)), dtype=np.uint8)
