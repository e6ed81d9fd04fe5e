"""Sequences that move, side by side in one GIF."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pyrodis.plotting._frames import GAP, Array, frames_to_bytes, sheet

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

LABEL_SIZE = 13  # dots
NUM_COLORS = 256
MAX_FPS = 50  # viewers slow down anything faster


def save_gif(
    path: str | os.PathLike[str],
    sequences: Array,
    fps: float = 8,
    scale: int = 3,
    columns: int | None = None,
    labels: Sequence[str] | None = None,
) -> Path:
    """Write sequences as one endlessly repeating GIF, side by side and in step.

    Pixels are enlarged without smoothing. All frames share one palette, exact up to 256 colors and otherwise the
    nearest of 256, never dithered. A GIF counts in hundredths of a second, so delays that no such number fits (125 ms
    at 8 frames a second) alternate between the neighbors and the whole keeps its time. The file appears at once or
    not at all.

    Args:
        path: the file, ending in ".gif", in a folder that exists.
        sequences: frames in [0, 1], gray or RGB.
        fps: frames per second, at most 50.
        scale: dots per pixel.
        columns: sequences side by side before the next row starts; all of them by default.
        labels: one short label above each sequence.

    Shape:
        sequences: (R, T, C, H, W).

    Returns:
        The path of the file.

    Raises:
        TypeError: ``sequences`` is no array.
        ValueError: wrong shape, values outside [0, 1] or NaN, a file name of another kind, or a rate, scale, number
            of columns or of labels that does not fit.
        FileNotFoundError: the folder does not exist.

    Source:
        The GIF89a format: delays in hundredths of a second.

    Example:
        >>> folder = tempfile.mkdtemp()
        >>> save_gif(Path(folder) / "swap.gif", np.zeros((2, 8, 3, 16, 16)), labels=("real", "swap")).name
        'swap.gif'
    """
    target = Path(path)
    tiles = frames_to_bytes(sequences, "sequences")
    num, num_frames = tiles.shape[:2]
    columns = num if columns is None else columns
    _check_settings(target, num, fps, scale, columns, labels)
    frames = _to_palette([_draw_frame(tiles[:, t], scale, columns, labels) for t in range(num_frames)])
    ends = [round(100 * (t + 1) / fps) for t in range(num_frames)]
    delays = [10 * (end - start) for start, end in zip([0, *ends], ends, strict=False)]
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            frames[0].save(
                file,
                "GIF",
                save_all=True,
                append_images=frames[1:],
                duration=delays,
                loop=0,
                disposal=1,
                optimize=False,
            )
        Path(temporary).chmod(0o644)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target


def _check_settings(target: Path, num: int, fps: float, scale: int, columns: int, labels: Sequence[str] | None) -> None:
    """Refuse settings that no GIF can follow."""
    if target.suffix.lower() != ".gif":
        raise ValueError(f"path must end in .gif, got {str(target)!r}; GIF is the one format written here")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"path must be in a folder that exists, got {str(target)!r}; make the folder first")
    if not 0 < fps <= MAX_FPS:
        raise ValueError(f"fps must be above 0 and at most {MAX_FPS}, got {fps}; viewers show no faster GIF")
    if scale < 1:
        raise ValueError(f"scale must be at least 1, got {scale}; pass whole dots per pixel")
    if not 1 <= columns <= num:
        raise ValueError(f"columns must be between 1 and {num}, the number of sequences, got {columns}; leave it out")
    if labels is not None and (isinstance(labels, str) or len(labels) != num):
        raise ValueError(f"labels must hold {num} labels, one for each sequence, got {labels!r}; pass one for each")


def _draw_frame(tiles: np.ndarray, scale: int, columns: int, labels: Sequence[str] | None) -> np.ndarray:
    """Lay the frames (R, H, W, 3) of one moment on a sheet, labels above them."""
    from PIL import Image, ImageDraw

    num, height, width = tiles.shape[:3]
    num_rows = math.ceil(num / columns)
    enlarged = tiles.repeat(scale, axis=1).repeat(scale, axis=2)
    blank = np.full((num_rows * columns - num, *enlarged.shape[1:]), 255, dtype=np.uint8)
    cells = np.concatenate([enlarged, blank]).reshape(num_rows, columns, *enlarged.shape[1:])
    gap, head = GAP * scale, LABEL_SIZE + 6 if labels is not None else 0
    tops = gap + head + np.arange(num_rows) * (height * scale + gap + head)
    lefts = gap + np.arange(columns) * (width * scale + gap)
    image = Image.fromarray(np.pad(sheet(cells, tops, lefts), ((0, gap), (0, gap), (0, 0)), constant_values=255))
    if labels is not None:
        draw, font = ImageDraw.Draw(image), _font()
        draw.fontmode = "1"  # no gray edges: they would use up the palette
        for i, label in enumerate(labels):
            center = int(lefts[i % columns]) + width * scale // 2
            draw.text((center, int(tops[i // columns]) - 4), label, fill=(0, 0, 0), font=font, anchor="ms")
    return np.asarray(image)


def _font() -> FreeTypeFont:
    """Return the typeface that comes with matplotlib, the same on every machine."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", LABEL_SIZE)


def _to_palette(frames: list[np.ndarray]) -> list[Image]:
    """Give all frames one palette: exact if their colors fit, else the nearest of 256, undithered."""
    from PIL import Image

    film = np.stack(frames)
    packed = film.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    unique, inverse, counts = np.unique(packed, return_inverse=True, return_counts=True)
    colors = np.stack([unique >> 16, unique >> 8 & 255, unique & 255], axis=1).astype(np.uint8)
    if len(colors) > NUM_COLORS:
        strip = Image.fromarray(colors[None])
        # roots, so that a large background does not take the palette from small and colorful figures
        weighted = colors.repeat(np.ceil(np.sqrt(counts)).astype(np.int64), axis=0)
        palette_image = Image.fromarray(weighted[None]).quantize(
            NUM_COLORS, method=Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE
        )
        nearest = np.asarray(strip.quantize(palette=palette_image, dither=Image.Dither.NONE))[0]
        palette, inverse = palette_image.getpalette() or [], nearest[inverse.ravel()]
    else:
        palette = colors.ravel().tolist()
    indices = inverse.reshape(film.shape[:3]).astype(np.uint8)
    images = []
    for frame in indices:
        image = Image.frombytes("P", frame.shape[::-1], frame.tobytes())
        image.putpalette(palette)
        images.append(image)
    return images
