"""GIFs read back: pixels, timing, palette, one file or none, and bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from pyrodis.plotting import save_gif

GAP = 2


def clips(num: int, num_frames: int, num_colors: int, side: int = 8) -> np.ndarray:
    generator = np.random.default_rng(0)
    palette = generator.integers(0, 256, size=(num_colors, 3)) / 255
    index = generator.integers(num_colors, size=(num, num_frames, side, side))
    return palette[index].transpose(0, 1, 4, 2, 3)


def read(path: Path) -> tuple[np.ndarray, list[int]]:
    with Image.open(path) as image:
        assert image.info["loop"] == 0
        pairs = [(np.asarray(f.convert("RGB")), f.info["duration"]) for f in ImageSequence.Iterator(image)]
    return np.stack([frame for frame, _ in pairs]), [duration for _, duration in pairs]


def test_up_to_256_colors_are_exact(tmp_path: Path) -> None:
    x = clips(3, 5, num_colors=200)
    path = save_gif(tmp_path / "a.gif", torch.as_tensor(x), scale=3, columns=2)
    frames, _ = read(path)
    side, gap = 8 * 3, GAP * 3
    assert frames.shape == (5, 2 * side + 3 * gap, 2 * side + 3 * gap, 3)
    for i, (top, left) in enumerate(((gap, gap), (gap, 2 * gap + side), (2 * gap + side, gap))):
        cell = frames[:, top : top + side, left : left + side]
        enlarged = np.rint(x[i] * 255).repeat(3, axis=2).repeat(3, axis=3).transpose(0, 2, 3, 1)
        assert (cell == enlarged).all()
    assert (frames[:, 2 * gap + side :, 2 * gap + side :] == 255).all()  # the cell that is left over


def test_many_colors_are_near_and_never_dithered(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 64)
    x = np.stack(np.broadcast_arrays(ramp[:, None], ramp, 0.5), axis=0)[None, None].repeat(2, axis=1)
    x[:, 1] = 1 - x[:, 1]
    frames, _ = read(save_gif(tmp_path / "a.gif", x, scale=2))
    inner = frames[:, 4:-4, 4:-4]
    blocks = inner.reshape(2, 64, 2, 64, 2, 3)
    assert (blocks == blocks[:, :, :1, :, :1]).all()  # every enlarged pixel is one color: no dither
    assert abs(inner[:, ::2, ::2] / 255 - x[0].transpose(0, 2, 3, 1)).mean() < 0.03
    assert len(np.unique(frames.reshape(-1, 3), axis=0)) <= 256  # one palette for all frames


@pytest.mark.parametrize(("fps", "total"), [(8, 1000), (3, 2670), (50, 160), (12.5, 640)])
def test_the_whole_keeps_its_time(tmp_path: Path, fps: float, total: int) -> None:
    _, durations = read(save_gif(tmp_path / "a.gif", clips(1, 8, 50), fps=fps))
    assert sum(durations) == total
    assert max(durations) - min(durations) <= 10
    assert all(duration % 10 == 0 for duration in durations)


def test_frames_that_stand_still_keep_their_time(tmp_path: Path) -> None:
    x = clips(1, 4, 50)
    x[:, 2] = x[:, 1]
    _, durations = read(save_gif(tmp_path / "a.gif", x, fps=10))
    assert sum(durations) == 400


def test_labels_stand_above_their_sequences(tmp_path: Path) -> None:
    x = np.zeros((2, 2, 3, 32, 32))
    plain, _ = read(save_gif(tmp_path / "a.gif", x))
    labeled, _ = read(save_gif(tmp_path / "b.gif", x, labels=("real", "swap")))
    head = labeled.shape[1] - plain.shape[1]
    assert head > 10
    gap = GAP * 3
    assert (labeled[0, head + gap :] == plain[0, gap:]).all()  # no label reaches into a picture
    for columns in (slice(0, 102), slice(108, None)):
        assert (labeled[0, :head, columns] == 0).any()


def test_one_frame_is_a_gif_too(tmp_path: Path) -> None:
    with Image.open(save_gif(str(tmp_path / "a.gif"), clips(1, 1, 9))) as image:
        assert image.n_frames == 1


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_gif(tmp_path / "a.gif", clips(1, 2, 9))
    before = path.read_bytes()

    def fail(self: Image.Image, file: object, *args: object, **kwargs: object) -> None:
        file.write(b"GIF89a")  # type: ignore[attr-defined]
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_gif(path, clips(2, 2, 9))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"fps": 0}, "fps must be above 0 and at most 50, got 0"),
        ({"fps": 60}, "got 60"),
        ({"fps": float("nan")}, "got nan"),
        ({"scale": 0}, "scale must be at least 1"),
        ({"columns": 3}, "columns must be between 1 and 2"),
        ({"labels": ("one",)}, "labels must hold 2 labels"),
        ({"labels": "ab"}, "got 'ab'"),
        ({"path": "a.png"}, "must end in .gif, got"),
    ],
)
def test_refuses(tmp_path: Path, settings: dict[str, object], match: str) -> None:
    path = tmp_path / str(settings.pop("path", "a.gif"))
    with pytest.raises(ValueError, match=match):
        save_gif(path, clips(2, 2, 9), **settings)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_refuses_a_missing_folder_and_wrong_frames(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="folder that exists"):
        save_gif(tmp_path / "none" / "a.gif", clips(1, 2, 9))
    with pytest.raises(ValueError, match="shape"):
        save_gif(tmp_path / "a.gif", clips(1, 2, 9)[0])
