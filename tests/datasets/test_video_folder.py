"""Anyone's videos: every kind is read, windows are where they should be, and nothing hostile stops the rest."""

from __future__ import annotations

import io
import os
import re
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from pyrodis.datasets import VideoFolder, read_clip
from pyrodis.datasets.frame_store import resize_and_crop
from pyrodis.infer.data import stack_frames
from pyrodis.testing import check_dataset
from tests.datasets.clip_writing import moving_square, write_gif, write_images, write_video

SQUARE = moving_square(12, 32, 32)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """One clip of every kind, in sizes and lengths of their own."""
    root = tmp_path / "mixed"
    write_video(root / "walk" / "a.mp4", moving_square(20, 48, 64, 1), "libx264")
    write_video(root / "walk" / "b.avi", moving_square(11, 32, 32, 2))
    write_video(root / "run" / "c.webm", moving_square(17, 64, 48, 3), "libvpx")
    write_video(root / "run" / "d.mov", moving_square(9, 32, 80, 4), "libx264")
    write_video(root / "run" / "e.mkv", moving_square(9, 34, 34, 5))
    write_gif(root / "f.gif", moving_square(10, 20, 30, 6))
    write_images(root / "run" / "g", moving_square(12, 24, 24, 7))
    np.save(root / "h.npy", moving_square(9, 16, 16, 8))
    np.savez(root / "i.npz", one=moving_square(8, 16, 16, 9), two=np.zeros((8, 16, 16), dtype=np.float32))
    return root


def test_every_kind_is_read(mixed: Path, cache: Path) -> None:
    data = VideoFolder(mixed, size=16, split="all", cache=cache)
    names = ["f.gif", "h.npy", "i.npz#0", "i.npz#1", "run/c.webm", "run/d.mov", "run/e.mkv", "run/g"]
    assert sorted(data.clips) == sorted([*names, "walk/a.mp4", "walk/b.avi"])
    assert data.unreadable == ()
    check_dataset(data)
    for i in range(len(data)):
        x = data[i]["x"]
        assert x.dtype == torch.float32
        assert x.shape == (8, 3, 16, 16)
        if data.window(i)[0] != "i.npz#1":
            assert float(x.max()) > 0.5
            assert not torch.equal(x[0], x[-1])


def test_subfolders_are_a_factor(mixed: Path, cache: Path) -> None:
    data = VideoFolder(mixed, size=8, split="all", cache=cache)
    assert (data.folders, data.factor_names, data.factor_sizes) == ((".", "run", "walk"), ("folder",), (3,))
    for i in range(len(data)):
        name = data.window(i)[0]
        folder = name.split("/")[0] if "/" in name else "."
        assert data.folders[int(data[i]["factors"])] == folder


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "libx264"), ("avi", "mpeg4"), ("webm", "libvpx")])
def test_frames_are_those_of_the_video(tmp_path: Path, cache: Path, suffix: str, codec: str) -> None:
    write_video(tmp_path / f"clip.{suffix}", SQUARE, codec)
    x = read_clip(tmp_path / f"clip.{suffix}", num_frames=12, size=32, cache=cache)
    real = torch.from_numpy(SQUARE).permute(0, 3, 1, 2) / 255
    assert (x - real).abs().mean() < 0.08  # lossy, and color at half the resolution
    for t in (0, 5, 11):  # and each frame is nearer to its own than to its neighbors
        errors = [(x[t] - other).abs().mean().item() for other in real]
        assert min(range(12), key=errors.__getitem__) == t


@pytest.mark.parametrize("layout", ["bytes", "channels first", "floats", "gray", "images"])
def test_lossless_kinds_are_exact(tmp_path: Path, cache: Path, layout: str) -> None:
    path = tmp_path / "clip.npy"
    if layout == "images":
        path = write_images(tmp_path / "clip", SQUARE)
    else:
        arrays = {
            "bytes": SQUARE,
            "channels first": SQUARE.transpose(0, 3, 1, 2),
            "floats": (SQUARE / 255).astype(np.float32),
            "gray": SQUARE[..., 0],
        }
        np.save(path, arrays[layout])
    x = read_clip(path, num_frames=12, size=32, cache=cache, color=layout != "gray")
    real = SQUARE[..., :1] if layout == "gray" else SQUARE
    assert torch.equal(x, torch.from_numpy(real).permute(0, 3, 1, 2).float() / 255)


@pytest.mark.parametrize(("num_frames", "step", "stride", "firsts"), [(4, 1, None, [0, 4, 8]), (4, 2, 3, [0, 3])])
def test_windows(
    tmp_path: Path, cache: Path, num_frames: int, step: int, stride: int | None, firsts: list[int]
) -> None:
    frames = np.broadcast_to(np.arange(12, dtype=np.uint8)[:, None, None], (12, 8, 8))
    np.save(tmp_path / "clip.npy", frames)
    data = VideoFolder(
        tmp_path, num_frames=num_frames, size=8, step=step, stride=stride, color=False, split="all", cache=cache
    )
    assert [data.window(i) for i in range(len(data))] == [("clip.npy", first) for first in firsts]
    for i, first in enumerate(firsts):
        shown = (data[i]["x"][:, 0, 0, 0] * 255).round().int().tolist()
        assert shown == [first + step * t for t in range(num_frames)]
    with pytest.raises(IndexError, match=f"got {len(firsts)}"):
        data[len(firsts)]


def test_the_middle_is_kept_and_sizes_are_averaged() -> None:
    image = np.zeros((40, 100, 3), dtype=np.uint8)
    image[:, 30:70] = 200
    cropped = resize_and_crop(Image.fromarray(image), 8, color=True)
    assert (cropped[:, 1:-1] == 200).all()
    assert cropped.min() > 150  # a pixel at the edge averages over a little of what lies beyond
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[::2] = 200
    middle = resize_and_crop(Image.fromarray(stripes), 8, color=False)[2:-2]
    assert np.abs(middle.astype(int) - 100).max() <= 4


def test_splits_share_no_clip_and_stay(tmp_path: Path, cache: Path) -> None:
    for folder in "ab":
        for i in range(10):
            (tmp_path / folder).mkdir(exist_ok=True)
            np.save(tmp_path / folder / f"{i}.npy", moving_square(8, 8, 8, i))
    parts = {split: VideoFolder(tmp_path, size=8, split=split, cache=cache) for split in ("train", "validation", "all")}
    train, validation, whole = (set(parts[split].clips) for split in parts)
    assert train | validation == whole
    assert not train & validation
    assert {name[0] for name in validation} == {"a", "b"}
    assert len(validation) == 2
    assert parts["train"].factor_sizes == parts["validation"].factor_sizes == (2,)
    assert VideoFolder(tmp_path, size=8, split="validation", cache=cache).clips == parts["validation"].clips
    assert len({data.checksum for data in parts.values()}) == 3


def test_checksum_follows_the_files_and_the_cut(tmp_path: Path, cache: Path) -> None:
    np.save(tmp_path / "a.npy", SQUARE)
    first = VideoFolder(tmp_path, size=8, split="all", cache=cache).checksum
    assert VideoFolder(tmp_path, size=8, split="all", cache=cache).checksum == first
    assert VideoFolder(tmp_path, size=8, step=1, stride=1, split="all", cache=cache).checksum != first
    os.utime(tmp_path / "a.npy", (1, 1))  # touched, not changed
    assert VideoFolder(tmp_path, size=8, split="all", cache=cache).checksum == first
    np.save(tmp_path / "a.npy", 255 - SQUARE)
    assert VideoFolder(tmp_path, size=8, split="all", cache=cache).checksum != first


def test_a_changed_file_is_decoded_again(tmp_path: Path, cache: Path) -> None:
    np.save(tmp_path / "a.npy", SQUARE)
    before = VideoFolder(tmp_path, size=32, split="all", cache=cache)[0]["x"]
    np.save(tmp_path / "a.npy", 255 - SQUARE)
    os.utime(tmp_path / "a.npy", (5, 5))
    after = VideoFolder(tmp_path, size=32, split="all", cache=cache)[0]["x"]
    assert torch.allclose(after, 1 - before)


def test_a_clip_is_decoded_once_and_when_asked(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "a.mp4", SQUARE)
    write_video(tmp_path / "b.mp4", SQUARE)
    data = VideoFolder(tmp_path, num_frames=4, size=16, split="all", cache=cache)
    assert list(cache.glob("*.frames")) == []
    first = data[0]["x"]
    assert len(list(cache.glob("*.frames"))) == 1

    def fail(*_: object) -> None:
        raise RuntimeError("decoded twice")

    monkeypatch.setattr("pyrodis.datasets.clip_files.VideoFile.images", fail)
    assert torch.equal(data[0]["x"], first)
    again = VideoFolder(tmp_path, num_frames=4, size=16, split="all", cache=cache)
    assert torch.equal(again[0]["x"], first)


def test_works_in_worker_processes(tmp_path: Path, cache: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_square(33, 16, 16), "libx264")
    data = VideoFolder(tmp_path, num_frames=4, size=16, split="all", cache=cache)
    loader = DataLoader(data, batch_size=3, num_workers=2, collate_fn=stack_frames)
    assert torch.equal(torch.cat(list(loader)), stack_frames([data[i] for i in range(len(data))]))


MEMORY = """
import resource, sys
from pyrodis.datasets import VideoFolder
data = VideoFolder(sys.argv[1], num_frames=2, size=64, split="all", cache=sys.argv[2])
for i in range(4): data[i]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for i in range(len(data)): data[i]
print(len(data), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
def test_memory_does_not_grow_with_the_folder(tmp_path: Path, cache: Path) -> None:
    root = tmp_path / "clips"
    root.mkdir()
    for i in range(8):  # 8 x 600 frames of 12 kB, 59 MB in all, from files that nothing is stored in
        np.lib.format.open_memmap(root / f"{i}.npy", "w+", np.uint8, (600, 16, 16))
    command = [sys.executable, "-c", MEMORY, str(root), str(cache)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    num, grown_kb = map(int, result.stdout.split())
    assert num == 2400
    assert sum(file.stat().st_size for file in cache.glob("*.frames")) == 8 * 600 * 64 * 64 * 3
    assert grown_kb < 8_000


def test_rotated_phone_videos_stand_upright(tmp_path: Path, cache: Path) -> None:
    from pyrodis.datasets.clip_files import VideoFile

    path = write_video(tmp_path / "a.mp4", moving_square(4, 32, 48))
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 40  # the matrix of the track: turned by a quarter
    content[place : place + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(bytes(content))
    image = next(VideoFile(path).images(32))
    assert image.size == (32, 48)
    # The square starts at the left, which a quarter clockwise turn puts on top.
    pixels = np.asarray(image).astype(int)[..., 0]
    assert pixels[:16].mean() > 2 * pixels[-16:].mean()


def _text_named_mp4(folder: Path) -> None:
    (folder / "bad.mp4").write_text("this is a text file\n" * 100)


def _truncated_mp4(folder: Path) -> None:
    whole = write_video(folder / "bad.mp4", SQUARE).read_bytes()
    (folder / "bad.mp4").write_bytes(whole[: len(whole) // 2])


def _empty_file(folder: Path) -> None:
    (folder / "bad.avi").touch()


def _short_video(folder: Path) -> None:
    write_video(folder / "bad.mp4", SQUARE[:5])


def _sound_alone(folder: Path) -> None:
    import av

    with av.open(str(folder / "bad.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), dtype=np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))


def _playlist_named_mp4(folder: Path) -> None:
    """FFmpeg, left to itself, opens what a list of this kind names."""
    write_video(folder / "elsewhere.ts", SQUARE, "mpeg4")
    (folder / "bad.mp4").write_text("ffconcat version 1.0\nfile elsewhere.ts\n")


def _stream_list_named_mp4(folder: Path) -> None:
    write_video(folder.parent / "elsewhere.ts", SQUARE, "mpeg4")
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:1,", str(folder.parent / "elsewhere.ts"), "#EXT-X-ENDLIST"]
    (folder / "bad.mp4").write_text("\n".join(lines))


def _save(array: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / "bad.npy", array)


def _pickled(folder: Path) -> None:
    np.save(folder / "bad.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


def _text_named_npz(folder: Path) -> None:
    (folder / "bad.npz").write_text("no zip file")


def _npz_that_claims_much(folder: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**4, 10**4)}
    )
    with zipfile.ZipFile(folder / "bad.npz", "w") as archive:
        archive.writestr("clip.npy", header.getvalue() + b"\0" * 10)


def _image_bomb(folder: Path) -> None:
    write_images(folder / "bad", SQUARE)
    size = struct.pack(">II", 60_000, 60_000) + bytes([8, 2, 0, 0, 0])
    chunks = [(b"IHDR", size), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    packed = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    (folder / "bad" / "frame3.png").write_bytes(b"\x89PNG\r\n\x1a\n" + packed)


def _image_of_middle_size(folder: Path) -> None:
    write_images(folder / "bad", SQUARE)
    Image.new("1", (8192, 8192)).save(folder / "bad" / "frame3.png")


def _broken_image(folder: Path) -> None:
    write_images(folder / "bad", SQUARE)
    (folder / "bad" / "frame2.png").write_bytes(b"\x89PNG\r\n\x1a\nabc")


HOSTILE = [
    (_text_named_mp4, r"bad\.mp4 must be a whole \.mp4 file, got: Invalid data"),
    (_truncated_mp4, r"bad\.mp4 must (hold a whole video|be a whole \.mp4 file)"),
    (_empty_file, r"bad\.avi must be a whole \.avi file"),
    (_short_video, r"bad\.mp4 must have at least 8 frames, got 5"),
    (_sound_alone, r"bad\.mkv must hold a whole video, got no picture"),
    (_playlist_named_mp4, r"bad\.mp4 must be a whole \.mp4 file"),
    (_stream_list_named_mp4, r"bad\.mp4 must be a whole \.mp4 file"),
    (_save(np.zeros((9, 8, 8), dtype=np.int64)), r"bad\.npy must hold bytes or floats, got int64"),
    (_save(np.zeros((9, 8, 8, 5), dtype=np.uint8)), r"bad\.npy must be a clip .* got \(9, 8, 8, 5\)"),
    (_save(np.zeros((2, 9, 3, 8, 8), dtype=np.uint8)), r"bad\.npy must be a clip .*; save one clip a file"),
    (_save(np.zeros((0, 8, 8), dtype=np.uint8)), r"bad\.npy must be a clip"),
    (_save(np.full((9, 8, 8), np.nan, dtype=np.float32)), r"bad\.npy must be bytes, or floats .* got values from nan"),
    (_save(np.full((9, 8, 8), 2.0)), r"bad\.npy must be bytes, or floats .* got values from 2 to 2"),
    (_save(np.zeros((9, 1, 2**26), dtype=np.uint8)[:1]), r"bad\.npy must have frames of 1 to 33,554,432 pixels"),
    (_pickled, r"bad\.npy must be a whole \.npy file"),
    (_text_named_npz, r"bad\.npz must be a whole \.npz file"),
    (_npz_that_claims_much, r"bad\.npz must be a whole \.npz file, got: clip claims the shape"),
    (_image_bomb, r"frame3\.png must be a whole image file, got Image size"),
    (_image_of_middle_size, r"frame3\.png must be a whole image file, got 8192 x 8192 pixels, more than 33,554,432"),
    (_broken_image, r"frame2\.png must be a whole image file"),
]


@pytest.mark.parametrize(("make", "sentence"), HOSTILE, ids=[str(i) for i in range(len(HOSTILE))])
def test_one_sentence_for_a_hostile_file_and_the_rest_goes_on(
    tmp_path: Path, cache: Path, make: Callable[[Path], None], sentence: str
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    np.save(root / "good.npy", SQUARE)
    make(root)
    with pytest.warns(UserWarning, match=sentence) as caught:
        data = VideoFolder(root, size=8, split="all", cache=cache)
    assert data.clips == ("good.npy",)
    assert len(data.unreadable) == len(caught) == 1
    assert re.search(sentence, data.unreadable[0])
    assert len(data.unreadable[0]) < 400
    assert "\n" not in data.unreadable[0]
    assert data[0]["x"].shape == (8, 3, 8, 8)


def test_no_sentence_of_the_codec_library_reaches_the_console(
    tmp_path: Path, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _text_named_mp4(tmp_path)
    _truncated_mp4(tmp_path)
    np.save(tmp_path / "good.npy", SQUARE)
    with pytest.warns(UserWarning, match="left out"):
        VideoFolder(tmp_path, size=8, split="all", cache=cache)
    assert capfd.readouterr().err == ""


def test_a_video_damaged_in_the_middle_is_used_up_to_there(tmp_path: Path, cache: Path) -> None:
    write_images(tmp_path / "clip", SQUARE)
    (tmp_path / "clip" / "frame9.png").write_bytes(b"nothing")
    data = VideoFolder(tmp_path, num_frames=4, size=8, split="all", cache=cache)
    with pytest.warns(UserWarning, match=r"clip is used up to frame 9: .*frame9\.png must be a whole"):
        first = data[0]["x"]
    assert first.shape == (4, 3, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        last = data[2]["x"]  # frames 8 to 11 were promised: 5 to 8 are the last that there are
    real = resize_and_crop(Image.fromarray(SQUARE[5]), 8, color=True)
    assert torch.equal(last[0], torch.tensor(real).permute(2, 0, 1) / 255)


@pytest.mark.parametrize(
    ("arguments", "kind", "sentence"),
    [
        ({"root": "nowhere"}, FileNotFoundError, "root must be a folder of videos, got .*nowhere"),
        ({"root": "empty"}, FileNotFoundError, "must hold videos"),
        ({"num_frames": 0}, ValueError, "num_frames"),
        ({"num_frames": 2.0}, TypeError, "num_frames"),
        ({"size": -1}, ValueError, "size"),
        ({"step": 0}, ValueError, "step"),
        ({"stride": 0}, ValueError, "stride"),
        ({"split": "test"}, ValueError, "split must be one of train, validation, all, got 'test'"),
        ({"split": "train"}, ValueError, "at least 2 clips to be split, got 1"),
        ({"validation_share": 1.0}, ValueError, "validation_share must be between 0 and 1, got 1.0"),
        ({"num_frames": 99}, ValueError, "must hold a clip that can be read, got none: .* at least 99 frames, got 12"),
        ({"cache": "one/one.npy"}, OSError, "frames must have room in"),
    ],
)
def test_bad_arguments(tmp_path: Path, arguments: dict[str, object], kind: type[Exception], sentence: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "one").mkdir()
    np.save(tmp_path / "one" / "one.npy", SQUARE)
    given = {"root": "one", "split": "all", "cache": "cache"} | arguments
    for name in ("root", "cache"):
        given[name] = tmp_path / str(given[name])
    with pytest.raises(kind, match=sentence):
        VideoFolder(**given)  # type: ignore[arg-type]


def test_runs_and_hidden_files_are_passed_by(tmp_path: Path, cache: Path) -> None:
    for folder in ("runs/first", "runs/first/figures", "runs/first/checkpoints", ".thumbnails"):
        (tmp_path / folder).mkdir(parents=True)
        np.save(tmp_path / folder / "a.npy", SQUARE)
    (tmp_path / "runs" / "first" / "config.json").write_text("{}")
    np.save(tmp_path / ".hidden.npy", SQUARE)
    np.save(tmp_path / "mine.npy", SQUARE)
    assert VideoFolder(tmp_path, size=8, split="all", cache=cache).clips == ("mine.npy",)
    assert len(VideoFolder(tmp_path / "runs" / "first", size=8, split="all", cache=cache).clips) == 3


def test_a_file_that_vanishes_is_named(tmp_path: Path, cache: Path) -> None:
    np.save(tmp_path / "a.npy", SQUARE)
    data = VideoFolder(tmp_path, size=8, split="all", cache=cache)
    (tmp_path / "a.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.npy must stay where it was"):
        data[0]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("none.mp4", "that exists"), ("notes.txt", r"got \.txt"), ("folder", "a folder of images, got a folder without")],
)
def test_read_clip_says_what_it_needs(tmp_path: Path, cache: Path, name: str, sentence: str) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileNotFoundError, match=sentence):
        read_clip(tmp_path / name, cache=cache)
