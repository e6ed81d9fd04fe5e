"""A folder of anyone's videos as a data set of clips."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pyrodis.datasets.clip_files import (
    ARRAY_SUFFIXES,
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    ClipFile,
    ImageRow,
    VideoFile,
    array_clips,
    in_order,
)
from pyrodis.datasets.compositor import wrap_index
from pyrodis.datasets.frame_store import FrameStore
from pyrodis.ops.checks import check_positive_int
from pyrodis.ops.paths import cache_dir

_SPLITS: Final = ("train", "validation", "all")
_END: Final = 2**16  # bytes at either end of a file that its checksum reads


class _Clip(NamedTuple):
    name: str  # within the folder
    file: ClipFile
    num_frames: int


@final
class VideoFolder(Dataset[dict[str, Tensor]]):
    r"""The videos of a folder and of its subfolders, as windows of T frames of one size.

    A clip is a video (.mp4, .m4v, .mov, .avi, .webm, .mkv, .mpg, .mpeg), a .gif, an array of frames (.npy, or each
    array of a .npz), or a folder of images (.png, .jpg, .jpeg, .bmp) in the order of their numbers. Sizes, lengths and
    kinds may differ. Window w of a clip starts at frame w times `stride` and takes every `step`-th frame; the largest
    square in the middle of a frame is resized. A file that cannot be read, or is too short, is left out with a warning;
    hidden files and directories of runs are passed by.

    A clip is decoded when its first window is asked for, and its frames are then kept as files, so memory does not grow
    with the folder: 12 kB a frame of 64 x 64 pixels in color, 1.1 GB an hour at 25 frames a second. What a video says
    of its length is believed where that is a frame or two too many: a window beyond the last frame is moved back to it.

    Args:
        root: The folder.
        num_frames: T.
        size: Side of a frame.
        color: Whether frames have three channels; else they are gray and have one.
        step: From one frame of a window to the next; 2 takes every other frame.
        stride: From one window's start to that of the next; None for windows that share no frame.
        split: "train", "validation" or "all". A clip is in one of the first two, as a hash of its name says.
        validation_share: Which share of the clips, rounded, is for validation: at least one, not all, and of every
            subfolder as many as fall to it.
        cache: The folder for decoded frames; None for `videos` in the cache folder (`pyrodis.ops.paths.cache_dir`).

    Attributes:
        factor_names: ("folder",) where clips lie in different subfolders of the folder, else ().
        factor_sizes: How many there are.
        folders: Their names, in the order of their numbers; "." is the folder itself.
        split: The split's name.
        seed: 0, as nothing is drawn.
        name: "video_folder".
        num_frames: T.
        frame_shape: (C, H, W).
        clips: Names of the clips of the split, within the folder.
        unreadable: A sentence for each file that was left out.
        checksum: The sha256 of names, lengths and both ends of the files, and of the arguments, when it is asked for.

    Shape:
        An item is {"x": float32 (T, C, H, W) in [0, 1], "factors": int64 (F,)}.

    Raises:
        FileNotFoundError: If there is no such folder, or no clip in it; at an access, if a clip is gone.
        OSError: If the cache folder cannot be written.
        TypeError: If a number is not whole.
        ValueError: If an argument is out of range, no clip can be read, or one clip alone is to be split.

    Example:
        >>> train = VideoFolder("my_videos", num_frames=16, step=2)  # doctest: +SKIP
        >>> train[0]["x"].shape  # doctest: +SKIP
        torch.Size([16, 3, 64, 64])
    """

    name: Final = "video_folder"
    seed: Final = 0

    def __init__(
        self,
        root: str | Path,
        *,
        num_frames: int = 8,
        size: int = 64,
        color: bool = True,
        step: int = 1,
        stride: int | None = None,
        split: str = "train",
        validation_share: float = 0.1,
        cache: str | Path | None = None,
    ) -> None:
        self.root = Path(root)
        self.num_frames = check_positive_int("num_frames", num_frames)
        self.step = check_positive_int("step", step)
        self._span = (num_frames - 1) * step + 1
        self.stride = self._span if stride is None else check_positive_int("stride", stride)
        self.frame_shape = (3 if color else 1, check_positive_int("size", size), size)
        self.split = _check_choice(split, validation_share)
        self._store = FrameStore(cache_dir() / "videos" if cache is None else Path(cache), size, color)
        self.unreadable: tuple[str, ...] = ()
        clips = self._readable(_find_clips(self.root))
        self.folders = tuple(sorted({_folder(clip.name) for clip in clips}))
        self.factor_names: tuple[str, ...] = ("folder",) if len(self.folders) > 1 else ()
        self.factor_sizes: tuple[int, ...] = (len(self.folders),) if self.factor_names else ()
        self._clips = _take(clips, split, validation_share)
        self.clips = tuple(clip.name for clip in self._clips)
        windows = [(clip.num_frames - self._span) // self.stride + 1 for clip in self._clips]
        self._ends = np.cumsum(windows)

    def _readable(self, found: Iterator[tuple[str, Sequence[ClipFile], str]]) -> list[_Clip]:
        clips, sentences = [], []
        for name, files, problem in found:
            if problem:
                sentences.append(problem)
            for number, file in enumerate(files):
                try:
                    frames = self._store.count(file, self._span)
                except ValueError as error:
                    sentences.append(str(error))
                else:
                    clips.append(_Clip(name if len(files) == 1 else f"{name}#{number}", file, frames))
        if not clips and not sentences:
            raise FileNotFoundError(
                f"{self.root} must hold videos ({', '.join(VIDEO_SUFFIXES)}), arrays ({', '.join(ARRAY_SUFFIXES)}) or "
                "folders of images, got none; give another folder"
            )
        if not clips:
            more = f"; {len(sentences) - 1} more files are left out as well" if len(sentences) > 1 else ""
            raise ValueError(f"{self.root} must hold a clip that can be read, got none: {sentences[0]}{more}")
        for sentence in sentences:
            warnings.warn(f"left out: {sentence}", stacklevel=3)
        self.unreadable = tuple(sentences)
        return clips

    @property
    def checksum(self) -> str:
        """The sha256 of names, lengths and both ends of the clips' files, and of how they are cut."""
        cut = (self.split, self.num_frames, self.frame_shape, self.step, self.stride)
        digest = hashlib.sha256(repr(cut).encode())
        for clip in self._clips:
            digest.update(clip.name.encode())
            for file in clip.file.files:
                digest.update(_fingerprint(file))
        return digest.hexdigest()

    def window(self, index: int) -> tuple[str, int]:
        """Return where an item comes from.

        Args:
            index: The item.

        Returns:
            The name of its clip, and the number of its first frame.

        Raises:
            IndexError: If it is beyond either end.
        """
        clip, first = self._locate(index)
        return clip.name, first

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        clip, first = self._locate(index)
        frames = self._store.read(clip.file, first, self.num_frames, self.step)
        x = torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2))).float().div_(255)
        label = [self.folders.index(_folder(clip.name))] if self.factor_names else []
        return {"x": x, "factors": torch.tensor(label, dtype=torch.int64)}

    def __getitems__(self, indices: list[int]) -> list[dict[str, Tensor]]:
        return [self[index] for index in indices]

    def _locate(self, index: int) -> tuple[_Clip, int]:
        place = wrap_index(index, len(self))
        row = int(np.searchsorted(self._ends, place, side="right"))
        before = int(self._ends[row - 1]) if row else 0
        return self._clips[row], (place - before) * self.stride


def read_clip(
    path: str | Path,
    *,
    num_frames: int = 8,
    size: int = 64,
    color: bool = True,
    step: int = 1,
    cache: str | Path | None = None,
) -> Tensor:
    """Return the first window of one video, GIF, array or folder of images.

    Args:
        path: The file, or the folder of images.
        num_frames: T.
        size: Side of a frame.
        color: Whether frames have three channels; else one.
        step: From one frame to the next.
        cache: The folder for decoded frames, as in `VideoFolder`.

    Shape:
        float32 (T, C, H, W).

    Returns:
        Frames in [0, 1].

    Raises:
        FileNotFoundError: If there is no such file, or it is of no kind that is read.
        OSError: If the cache folder cannot be written.
        TypeError: If a number is not whole.
        ValueError: If it cannot be read, or is too short.

    Example:
        >>> read_clip("my_videos/walk.mp4").shape  # doctest: +SKIP
        torch.Size([8, 3, 64, 64])
    """
    check_positive_int("num_frames", num_frames)
    check_positive_int("step", step)
    file, *_ = _clips_at(Path(path))
    store = FrameStore(
        cache_dir() / "videos" if cache is None else Path(cache), check_positive_int("size", size), color
    )
    store.count(file, (num_frames - 1) * step + 1)
    frames = store.read(file, 0, num_frames, step)
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2))).float().div_(255)


def _clips_at(path: Path) -> Sequence[ClipFile]:
    """The clips of one file, or of the images that lie in one folder."""
    if path.is_dir():
        images = [file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()]
        if images:
            return [ImageRow(tuple(in_order(images)))]
        raise FileNotFoundError(f"{path} must be a video or a folder of images, got a folder without; give another")
    if not path.is_file():
        raise FileNotFoundError(f"{path} must be a video or a folder of images that exists; give another path")
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return [VideoFile(path)]
    if suffix in ARRAY_SUFFIXES:
        return array_clips(path)
    kinds = ", ".join((*VIDEO_SUFFIXES, *ARRAY_SUFFIXES))
    raise FileNotFoundError(f"{path} must be a clip ({kinds}, or a folder of images), got {suffix or 'no suffix'}")


def _find_clips(root: Path) -> Iterator[tuple[str, Sequence[ClipFile], str]]:
    """Names, clips, and sentences on what cannot be opened; what is hidden, and figures of runs, are passed by."""
    if not root.is_dir():
        raise FileNotFoundError(f"root must be a folder of videos, got {root}, which is none; give another path")
    for parent, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here, name = Path(parent), Path(parent).relative_to(root).as_posix()
        if here != root and (here / "config.json").is_file() and (here / "checkpoints").is_dir():
            folders.clear()
            continue
        kinds = {file: Path(file).suffix.lower() for file in sorted(files) if not file.startswith(".")}
        if any(kind in IMAGE_SUFFIXES for kind in kinds.values()):
            yield name, _clips_at(here), ""
        for file, kind in kinds.items():
            if kind in VIDEO_SUFFIXES or kind in ARRAY_SUFFIXES:
                try:
                    yield (here / file).relative_to(root).as_posix(), _clips_at(here / file), ""
                except (ValueError, FileNotFoundError) as error:  # a broken link, or no file at all
                    yield file, (), str(error)


def _folder(name: str) -> str:
    """The subfolder that a clip lies in; an image folder is the clip itself."""
    first, _, rest = name.partition("/")
    return first if rest else "."


def _take(clips: list[_Clip], split: str, share: float) -> list[_Clip]:
    """The clips of a split: of all, ordered by folder and then by a hash of the name, one in so many is held out."""
    if split == "all":
        return clips
    if len(clips) < 2:
        raise ValueError('a folder must hold at least 2 clips to be split, got 1; cut it in two, or pass split="all"')
    order = sorted(clips, key=lambda clip: (_folder(clip.name), hashlib.sha256(clip.name.encode()).digest()))
    number = min(max(1, round(share * len(clips))), len(clips) - 1)
    held_out = {order[(2 * k + 1) * len(clips) // (2 * number)].name for k in range(number)}
    return [clip for clip in clips if (clip.name in held_out) == (split == "validation")]


def _check_choice(split: str, share: float) -> str:
    if split not in _SPLITS:
        raise ValueError(f"split must be one of {', '.join(_SPLITS)}, got {split!r}; choose one of them")
    if not 0 < share < 1:
        raise ValueError(f"validation_share must be between 0 and 1, got {share!r}; 0.1 is one clip in ten")
    return split


def _fingerprint(file: Path) -> bytes:
    """A file's length and what is at its two ends."""
    length = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(_END)
        stream.seek(max(0, length - _END))
        return length.to_bytes(8, "big") + start + stream.read(_END)
