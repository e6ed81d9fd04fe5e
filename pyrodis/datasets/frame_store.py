"""Decoded frames in files, so that a clip is decoded once and any part of it is then read at once."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, final

import numpy as np

from pyrodis.datasets.clip_files import MAX_FRAMES, ClipFile

if TYPE_CHECKING:
    from PIL.Image import Image


def resize_and_crop(image: Image, size: int, color: bool) -> np.ndarray:
    """Return the square in the middle of an image, of another size.

    Args:
        image: A gray or RGB image.
        size: Side of the square that comes out; that of the square that is cut out is the image's shorter side.
        color: Whether three channels come out; else one, of gray.

    Returns:
        uint8 (size, size, C).

    Example:
        >>> from PIL import Image
        >>> resize_and_crop(Image.new("RGB", (100, 50)), 16, color=False).shape
        (16, 16, 1)
    """
    from PIL import Image

    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side)
    resized = image.resize((size, size), Image.Resampling.BILINEAR, box=box)  # averages over what a pixel covers
    return np.asarray(resized.convert("RGB" if color else "L")).reshape(size, size, -1)


@final
class FrameStore:
    """Frames of clips of one size and color, decoded when they are first asked for and kept in files.

    A clip's frames are one file of bytes, frame after frame, named by where the clip lies, how long its files are and
    when they were changed. Nothing stays in memory. Several processes may use one folder at once.

    Args:
        folder: Where the files lie; it is made where it is missing.
        size: Side of a frame.
        color: Whether frames have three channels; else one.

    Raises:
        OSError: If the folder cannot be written.

    Example:
        >>> FrameStore(Path(tempfile.mkdtemp()), 64, color=True).frame_shape
        (64, 64, 3)
    """

    def __init__(self, folder: Path, size: int, color: bool) -> None:
        self.folder = folder
        self.size = size
        self.color = color
        self.frame_shape = (size, size, 3 if color else 1)
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def count(self, clip: ClipFile, least: int) -> int:
        """Return how many frames a clip has, after decoding the first ones.

        Args:
            clip: The clip.
            least: How many frames to decode.

        Returns:
            The number of frames; of a video, that of its packets.

        Raises:
            ValueError: If the clip has fewer, or far too many, or one of these cannot be decoded.
        """
        note = self._path(clip, ".json")
        known = _read_note(note)
        if known["decoded"] >= least:
            return known["frames"]
        name = _name(clip)
        frames = clip.count()
        if frames > MAX_FRAMES:
            raise ValueError(f"{name} must have at most {MAX_FRAMES:,} frames, got {frames:,}; cut it into parts")
        decoded = sum(1 for _ in islice(clip.images(self.size), least)) if frames >= least else frames
        if decoded < least:
            raise ValueError(f"{name} must have at least {least} frames, got {decoded}; remove it, or ask for fewer")
        with _writing(self.folder), _replacing(note) as file:
            file.write(json.dumps({"frames": frames, "decoded": decoded}).encode())
        return frames

    def read(self, clip: ClipFile, first: int, num: int, step: int) -> np.ndarray:
        """Return some frames of a clip, and decode the whole clip if this was not done before.

        Where a clip ends before the frames that it said it has, its last ones are returned.

        Args:
            clip: The clip.
            first: The first frame.
            num: How many frames.
            step: From one frame to the next.

        Returns:
            uint8 (num, H, W, C).

        Raises:
            FileNotFoundError: If the clip is gone.
            OSError: If there is no room for the frames.
            ValueError: If the clip is no longer the same.
        """
        path = self._path(clip, ".frames")
        span, frame_bytes = (num - 1) * step + 1, self.size * self.size * self.frame_shape[2]
        if not path.exists():
            self._decode(clip, path)
        first = min(first, path.stat().st_size // frame_bytes - span)
        if first < 0:
            raise ValueError(f"{path} must hold at least {span} frames of {_name(clip)}, got fewer; remove this file")
        frames = np.fromfile(path, np.uint8, count=span * frame_bytes, offset=first * frame_bytes)
        return frames.reshape(span, *self.frame_shape)[::step]

    def _decode(self, clip: ClipFile, path: Path) -> None:
        written = 0
        with _writing(self.folder), _replacing(path) as file:
            try:
                for image in islice(clip.images(self.size), MAX_FRAMES):
                    file.write(resize_and_crop(image, self.size, self.color).tobytes())
                    written += 1
            except ValueError as error:
                if not written:
                    raise
                warnings.warn(f"{_name(clip)} is used up to frame {written}: {error}", stacklevel=2)

    def _path(self, clip: ClipFile, suffix: str) -> Path:
        try:
            stats = [(str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns) for file in clip.files]
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error.filename} must stay where it was, but it is gone; put it back") from error
        key = (stats, getattr(clip, "member", None), self.size, self.color)
        return self.folder / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}{suffix}"


def _name(clip: ClipFile) -> str:
    first = clip.files[0]
    member = getattr(clip, "member", None)
    return str(first.parent if len(clip.files) > 1 else first if member is None else f"{member} of {first}")


def _read_note(note: Path) -> dict[str, int]:
    """What was found out about a clip before, zeros if nothing was."""
    try:
        known = json.loads(note.read_text(encoding="utf8"))
        return {"frames": int(known["frames"]), "decoded": int(known["decoded"])}
    except (OSError, ValueError, TypeError, KeyError):
        return {"frames": 0, "decoded": 0}


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"frames must have room in {folder}, got: {reason}; make room, or pass another cache") from error


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that is there whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
