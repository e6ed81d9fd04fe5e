"""The clips that a command works on."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from pyrodis.cli.reporting import complain
from pyrodis.datasets import VideoFolder, read_clip

_LEAST_WINDOWS = 3_200  # of an epoch: 100 steps of 32


@dataclass(frozen=True)
class Cut:
    """How windows are cut out of clips.

    Args:
        num_frames: T.
        size: Side of a frame.
        color: Whether frames have three channels.
        step: From one frame to the next.

    Example:
        >>> Cut(num_frames=8, size=64, color=True, step=1).size
        64
    """

    num_frames: int
    size: int
    color: bool
    step: int


class Repeated(Dataset[dict[str, Tensor]]):
    """A data set several times over, so that an epoch is no shorter than what is done after each.

    It has all attributes of the data set.

    Args:
        dataset: A data set of clips.
        least: How many items there are to be at least.

    Example:
        >>> from pyrodis.datasets import FlatScenes
        >>> len(Repeated(FlatScenes(num_images=8), 30))
        32
    """

    def __init__(self, dataset: Any, least: int = _LEAST_WINDOWS) -> None:
        self.dataset = dataset
        self.times = -(-least // len(dataset))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "dataset":
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return self.times * len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.dataset[range(len(self))[index] % len(self.dataset)]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Tensor]]:
        return [self[index] for index in indices]


def open_folder(folder: Path, cut: Cut) -> tuple[VideoFolder, VideoFolder | None, float]:
    """Return all windows of the training clips of a folder, and disjoint ones of the clips that are held out.

    Held out is one clip in ten, but two where there are four or more. Each file that cannot be read is named on
    standard error.

    Args:
        folder: The folder.
        cut: How windows are cut.

    Returns:
        Training windows; held-out ones, or None where the folder has one clip alone; and the share that is held out.

    Example:
        >>> train, held_out, share = open_folder(Path("videos"), Cut(8, 64, True, 1))  # doctest: +SKIP
    """
    whole = _open(folder, cut, "all", None)
    for sentence in whole.unreadable:
        complain(f"left out: {sentence}")
    if len(whole.clips) < 2:
        return _open(folder, cut, "all", 1), None, 0.0
    share = max(0.1, 2 / len(whole.clips)) if len(whole.clips) >= 4 else 0.1
    return _open(folder, cut, "train", 1, share), _open(folder, cut, "validation", None, share), share


def open_run(config: dict[str, Any], folder: Path | None) -> VideoFolder:
    """Return the windows that a run is looked at with: of a folder, or the held-out ones of its own.

    Args:
        config: What `config.json` of the run holds.
        folder: Another folder than that of the run.

    Returns:
        The windows, cut as the run's.

    Raises:
        ValueError: If the run was not trained by `pyrodis fit`, and no folder is given.

    Example:
        >>> open_run(config, None)  # doctest: +SKIP
    """
    own = config["run"].get("folder")
    if folder is None and own is None:
        raise ValueError("the run must be of pyrodis fit to know its clips, got another; pass --data FOLDER")
    share = config["run"].get("validation_share")
    if folder is not None or not share:
        return _open(Path(own) if folder is None else folder, cut_of(config), "all", None)
    return _open(Path(own), cut_of(config), "validation", None, share)


def cut_of(config: dict[str, Any]) -> Cut:
    """Return how the windows of a run were cut.

    Args:
        config: What `config.json` of the run holds.

    Returns:
        The cut.

    Raises:
        ValueError: If the run's frames are not square, gray or in color.

    Example:
        >>> data = {"train": {"frame_shape": [3, 64, 64], "num_frames": 8}}
        >>> cut_of({"data": data, "run": {}})
        Cut(num_frames=8, size=64, color=True, step=1)
    """
    described = config["data"].get("train")
    described = described if isinstance(described, dict) else {}
    shape = described.get("frame_shape")
    channels, height, width = shape if isinstance(shape, list) and len(shape) == 3 else (0, 0, 0)
    if channels not in (1, 3) or height != width:
        raise ValueError(
            f"the run must be of square frames in gray or color, got {channels} x {height} x {width}; "
            "use pyrodis.load and the functions of the library"
        )
    return Cut(int(described["num_frames"]), height, channels == 3, int(config["run"].get("step", 1)))


def pick(data: VideoFolder, num: int) -> Tensor:
    """Return some windows, evenly over a data set.

    Args:
        data: The windows.
        num: How many, at most.

    Returns:
        Clips (B, T, C, H, W).

    Example:
        >>> pick(data, 8)  # doctest: +SKIP
    """
    return torch.stack([data[i]["x"] for i in spread(len(data), num)])


def spread(length: int, num: int) -> list[int]:
    """Return numbers evenly over a range, all of it where it is short.

    Args:
        length: End of the range.
        num: How many, at most.

    Returns:
        The numbers.

    Example:
        >>> spread(10, 3)
        [1, 5, 8]
    """
    num = min(num, length)
    return [(2 * i + 1) * length // (2 * num) for i in range(num)]


def find_clip(text: str, config: dict[str, Any], folder: Path | None) -> tuple[str, Tensor]:
    """Return the clip that an argument names: a number of a held-out window, or a path.

    Args:
        text: The argument.
        config: What `config.json` of the run holds.
        folder: Another folder than that of the run, for numbers.

    Returns:
        A short name, and the clip (1, T, C, H, W).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there is no such window.

    Example:
        >>> find_clip("walk.mp4", config, None)  # doctest: +SKIP
    """
    if not text.isdecimal():
        cut = cut_of(config)
        frames = read_clip(text, num_frames=cut.num_frames, size=cut.size, color=cut.color, step=cut.step)
        return Path(text).stem, frames.unsqueeze(0)
    data = open_run(config, folder)
    if int(text) >= len(data):
        raise ValueError(f"a clip must be a path, or a number from 0 to {len(data) - 1}, got {text}; choose another")
    return text, data[int(text)]["x"].unsqueeze(0)


def _open(folder: Path, cut: Cut, split: str, stride: int | None, share: float = 0.1) -> VideoFolder:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="left out", category=UserWarning)
        return VideoFolder(
            folder,
            num_frames=cut.num_frames,
            size=cut.size,
            color=cut.color,
            step=cut.step,
            stride=stride,
            split=split,
            validation_share=share,
        )
