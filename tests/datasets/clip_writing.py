"""Small clips of every kind, for tests: written with PyAV, Pillow and numpy."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image


def moving_square(num_frames: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """A bright square on a dark ground that goes from left to right, (T, H, W, 3) bytes."""
    frames = np.full((num_frames, height, width, 3), 20 + 10 * (seed % 5), dtype=np.uint8)
    side = height // 2
    for t in range(num_frames):
        left = (width - side) * t // max(1, num_frames - 1)
        frames[t, side // 2 : side // 2 + side, left : left + side, seed % 3] = 230
    return frames


def write_video(path: Path, frames: np.ndarray, codec: str = "mpeg4", rate: int = 25, gop: int = 4) -> Path:
    """Encode frames with one of the codecs that come with PyAV."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(rate))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = gop
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_gif(path: Path, frames: np.ndarray) -> Path:
    """Write frames as a GIF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = (Image.fromarray(frame) for frame in frames)
    first.save(path, save_all=True, append_images=rest, duration=40)
    return path


def write_images(folder: Path, frames: np.ndarray, suffix: str = ".png") -> Path:
    """Write frames as images whose numbers have no leading zeros."""
    folder.mkdir(parents=True, exist_ok=True)
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"frame{t}{suffix}")
    return folder
