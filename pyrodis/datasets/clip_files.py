"""Files that hold clips: videos, images in a row, and arrays, each read frame by frame."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Protocol, final

import numpy as np

from pyrodis.datasets.image_folder import MAX_PIXELS, read_image

if TYPE_CHECKING:
    from PIL.Image import Image

VIDEO_SUFFIXES: Final = (".mp4", ".m4v", ".mov", ".avi", ".webm", ".mkv", ".mpg", ".mpeg", ".gif")
IMAGE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".bmp")
ARRAY_SUFFIXES: Final = (".npy", ".npz")
_MAX_WORDS: Final = 150  # letters of somebody else's sentence
MAX_FRAMES: Final = 500_000  # of one clip: 5.5 hours at 25 frames a second
MAX_PACKED_BYTES: Final = 2**30  # of an array in a zip file, which is unpacked into memory

# A file is read as one of these whatever its name says, so that no playlist can make it open other files or addresses.
_FORMATS: Final = "mov,avi,matroska,webm,mpeg,mpegts,gif"


class ClipFile(Protocol):
    """A clip in one or more files.

    Example:
        >>> VideoFile(Path("walk.mp4")).count()  # doctest: +SKIP
        250
    """

    @property
    def files(self) -> tuple[Path, ...]:
        """The files."""

    def count(self) -> int:
        """How many frames there are, without reading their pixels where that is possible."""

    def images(self, least: int) -> Iterator[Image]:
        """The frames in order; an image may come already reduced, with no side below `least`."""


@final
@dataclass(frozen=True)
class VideoFile:
    """A video or a GIF.

    Args:
        file: The file.

    Example:
        >>> VideoFile(Path("walk.mp4")).files
        (PosixPath('walk.mp4'),)
    """

    file: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """The file."""
        return (self.file,)

    def count(self) -> int:
        """Return how many packets of frames the file holds.

        Returns:
            The number, at most a few more than there are frames.

        Raises:
            ValueError: If it is no video.
        """
        with self._open() as (container, stream):
            return sum(1 for packet in container.demux(stream) if packet.size and not packet.is_discard)

    def images(self, least: int) -> Iterator[Image]:
        """Decode the frames in order.

        Args:
            least: The least that a frame's shorter side may be reduced to.

        Returns:
            RGB images, turned upright.

        Raises:
            ValueError: If a frame cannot be decoded.
        """
        with self._open() as (container, stream):
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                _check_size(self.file, frame.width, frame.height)
                ratio = max(1.0, min(frame.width, frame.height) / least)
                width, height = round(frame.width / ratio), round(frame.height / ratio)
                image = frame.reformat(width, height, "rgb24", interpolation="AREA").to_image()
                yield image.rotate(frame.rotation, expand=True) if frame.rotation else image

    def _open(self) -> _OpenVideo:
        return _OpenVideo(self.file)


class _OpenVideo:
    """A video that is open; whatever goes wrong inside is said in one sentence."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __enter__(self) -> tuple[Any, Any]:
        import av

        options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
        try:
            self.container = av.open(str(self.file), options=options, metadata_errors="replace")
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise _unreadable(self.file, error) from error
        try:
            if not self.container.streams.video:
                raise ValueError(f"{self.file} must hold a whole video, got no picture in it; replace or remove it")
            stream = self.container.streams.video[0]
            if stream.codec_context is None:
                raise ValueError(f"{self.file} must be of a codec that FFmpeg knows, got another; replace or remove it")
            _check_size(self.file, stream.width, stream.height)
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        except BaseException:
            self.container.close()
            raise
        return self.container, stream

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        import av

        self.container.close()
        if isinstance(error, av.error.FFmpegError):
            raise _unreadable(self.file, error) from error


@final
@dataclass(frozen=True)
class ImageRow:
    """Images that are the frames of one clip, in the order of the numbers in their names.

    Args:
        files: The images, in order.

    Example:
        >>> ImageRow(tuple(in_order([Path("frame10.png"), Path("frame9.png")]))).files[0].name
        'frame9.png'
    """

    files: tuple[Path, ...]

    def count(self) -> int:
        """Return how many images there are.

        Returns:
            The number.
        """
        return len(self.files)

    def images(self, least: int) -> Iterator[Image]:
        """Read the images in order.

        Args:
            least: Not used: images come whole.

        Returns:
            RGB images.

        Raises:
            ValueError: If an image cannot be read, or has too many pixels.
        """
        from PIL import Image

        for file in self.files:
            yield Image.fromarray(read_image(file, "RGB"))


@final
@dataclass(frozen=True)
class ArrayFile:
    """A clip in a .npy file, or under one name in a .npz file.

    The array is (T, H, W) in gray, or (T, H, W, C) or (T, C, H, W) with one or three channels, of bytes or of floats in
    [0, 1]. Pickled objects are never read.

    Args:
        file: The file.
        member: The name within a .npz file; None for a .npy file.

    Example:
        >>> ArrayFile(Path("clips.npz"), "first").files
        (PosixPath('clips.npz'),)
    """

    file: Path
    member: str | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The file."""
        return (self.file,)

    def count(self) -> int:
        """Return the length of the array, after a look at all of its values.

        Returns:
            The number of frames.

        Raises:
            ValueError: If it is no array of frames.
        """
        frames = self._frames()
        if frames.dtype != np.uint8:
            for frame in frames:
                if not (frame.min() >= 0 and frame.max() <= 1):  # NaN fails both
                    raise ValueError(
                        f"{self._name} must be bytes, or floats in [0, 1] without NaN, got values from "
                        f"{frame.min():g} to {frame.max():g}; scale them"
                    )
        return len(frames)

    def images(self, least: int) -> Iterator[Image]:
        """Read the frames in order.

        Args:
            least: Not used: frames come whole.

        Returns:
            Gray or RGB images.

        Raises:
            ValueError: If it is no array of frames.
        """
        from PIL import Image

        for frame in self._frames():
            pixels = frame if frame.dtype == np.uint8 else (frame * 255).round().astype(np.uint8)
            yield Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))

    @property
    def _name(self) -> str:
        return str(self.file) if self.member is None else f"{self.member} of {self.file}"

    def _frames(self) -> np.ndarray:
        """The array as (T, H, W, C)."""
        try:
            array = np.load(self.file, mmap_mode="r", allow_pickle=False) if self.member is None else self._from_zip()
        except Exception as error:  # what numpy and zipfile raise for damaged files is of many kinds
            raise _unreadable(self.file, error) from error
        kind = array.dtype.name if isinstance(array, np.ndarray) else "an archive"
        if kind not in ("uint8", "float16", "float32", "float64"):
            raise ValueError(f"{self._name} must hold bytes or floats, got {kind}; convert it to uint8")
        if array.ndim == 3:
            array = array[..., None]
        if array.ndim == 4 and array.shape[-1] not in (1, 3) and array.shape[1] in (1, 3):
            array = np.moveaxis(array, 1, -1)
        if array.ndim != 4 or array.shape[-1] not in (1, 3) or 0 in array.shape:
            raise ValueError(
                f"{self._name} must be a clip (T, H, W), (T, H, W, C) or (T, C, H, W) with 1 or 3 channels, got "
                f"{array.shape}; save one clip a file"
            )
        _check_size(self._name, array.shape[2], array.shape[1])
        return array

    def _from_zip(self) -> np.ndarray:
        """An array out of a zip file, of no more bytes than its entry says that it has."""
        with zipfile.ZipFile(self.file) as archive:
            entry = archive.getinfo(f"{self.member}.npy")
            with archive.open(entry) as file:
                shape, dtype = _read_header(file)
            if entry.file_size > MAX_PACKED_BYTES:
                raise ValueError(
                    f"{self.member} has {entry.file_size:,} bytes; save it as .npy, which is read in parts"
                )
            if int(np.prod(shape, dtype=object)) * dtype.itemsize > entry.file_size:
                raise ValueError(f"{self.member} claims the shape {shape} and has {entry.file_size:,} bytes")
            with archive.open(entry) as file:
                return np.lib.format.read_array(file, allow_pickle=False)


def array_clips(file: Path) -> list[ArrayFile]:
    """Return the clips of a .npy or .npz file.

    Args:
        file: The file.

    Returns:
        One for a .npy file, one for each array of a .npz file.

    Raises:
        ValueError: If a .npz file is no zip file.

    Example:
        >>> array_clips(Path("clip.npy"))[0].member is None
        True
    """
    if file.suffix.lower() == ".npy":
        return [ArrayFile(file)]
    try:
        with zipfile.ZipFile(file) as archive:
            names = sorted(name for name in archive.namelist() if name.endswith(".npy"))
    except Exception as error:  # as above
        raise _unreadable(file, error) from error
    return [ArrayFile(file, name.removesuffix(".npy")) for name in names]


def in_order(files: list[Path]) -> list[Path]:
    """Return files in the order of the numbers in their names, so that frame9 stands before frame10.

    Args:
        files: The files.

    Returns:
        The files in order.

    Example:
        >>> [file.name for file in in_order([Path("b10"), Path("b9"), Path("a")])]
        ['a', 'b9', 'b10']
    """
    return sorted(files, key=lambda file: [int(p) if p.isdecimal() else p for p in re.split(r"(\d+)", file.name)])


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _check_size(name: Path | str, width: int, height: int) -> None:
    if not 0 < width * height <= MAX_PIXELS:
        raise ValueError(f"{name} must have frames of 1 to {MAX_PIXELS:,} pixels, got {width} x {height}; reduce it")


def _unreadable(file: Path, reason: object) -> ValueError:
    words = " ".join(str(getattr(reason, "strerror", None) or reason or type(reason).__name__).split())
    words = words if len(words) <= _MAX_WORDS else f"{words[:_MAX_WORDS]}..."
    return ValueError(f"{file} must be a whole {file.suffix.lower()} file, got: {words}; replace or remove it")
