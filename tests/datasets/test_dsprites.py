"""dSprites from a file of the published form: found, read without unpickling, and refused where it is broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyrodis.datasets import DSprites
from pyrodis.datasets.dsprites import FILE_NAME
from pyrodis.testing import check_dataset

NUM = 30


def write(folder: Path, **changed: Any) -> Path:
    """Write a file with the keys of the published one, its pickled metadata included."""
    draw = np.random.RandomState(0)
    sizes = np.array([1, 3, 6, 40, 32, 32])
    classes = (draw.uniform(size=(NUM, 6)) * sizes).astype(np.int64)
    arrays = {
        "metadata": np.array({"author": "someone"}, dtype=object),
        "imgs": (draw.uniform(size=(NUM, 64, 64)) > 0.5).astype(np.uint8),
        "latents_classes": classes,
        "latents_values": classes.astype(np.float64),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    np.savez_compressed(path, **{name: value for name, value in (arrays | changed).items() if value is not None})
    return path


def test_items_are_those_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path)
    data = DSprites(path)
    check_dataset(data)
    with np.load(path) as file:
        images, classes = file["imgs"], file["latents_classes"]
    assert len(data) == NUM
    for index in (0, 17, -1):
        assert np.array_equal(data[index]["x"][0, 0].numpy(), images[index])
        assert np.array_equal(data[index]["factors"].numpy(), classes[index, 1:])
    assert np.array_equal(data.factors.numpy(), classes[:, 1:])
    assert (data.name, data.num_frames, data.frame_shape, len(data.checksum)) == ("dsprites", 1, (1, 64, 64), 64)
    assert data.factor_names == ("shape", "scale", "orientation", "x", "y")
    assert data.factor_sizes == (3, 6, 40, 32, 32)


def test_pieces_are_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = DSprites(write(tmp_path / "a"))
    monkeypatch.setattr("pyrodis.datasets.dsprites._ROWS_AT_ONCE", 7)
    pieces = DSprites(write(tmp_path / "b"))
    assert all(torch.equal(whole[i]["x"], pieces[i]["x"]) for i in range(NUM))


def test_splits_of_other_seeds_have_other_checksums(tmp_path: Path) -> None:
    """Judges are cached by the checksum: one that learned images must not judge a split in which they are tested."""
    path = write(tmp_path)
    assert len({DSprites(path, split="test", seed=seed).checksum for seed in range(3)}) == 3
    assert DSprites(path, seed=0).checksum == DSprites(path, seed=1).checksum  # all images, in the order of the file


def test_splits_divide_the_images(tmp_path: Path) -> None:
    path = write(tmp_path)
    parts = [DSprites(path, split=split)._indices().tolist() for split in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [24, 3, 3]
    assert sorted(parts[0] + parts[1] + parts[2]) == list(range(NUM))
    assert DSprites(path, split="train", seed=1)._indices().tolist() != parts[0]
    check_dataset(DSprites(path, split="test"))


def test_is_found_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "data" / "dsprites")
    monkeypatch.setenv("PYRODIS_CACHE", str(tmp_path / "cache"))
    assert DSprites(tmp_path / "data").path == DSprites(path.parent).path == path
    monkeypatch.setenv("PYRODIS_DATA", str(tmp_path / "data"))
    assert DSprites().path == path
    monkeypatch.delenv("PYRODIS_DATA")
    with pytest.raises(FileNotFoundError, match=r"cache; download it from https://github.com/google-deepmind/dsprites"):
        DSprites()
    with pytest.raises(FileNotFoundError, match=r"there is no dsprites_ndarray.*nowhere; download it from"):
        DSprites(tmp_path / "nowhere")


IMAGES = np.zeros((NUM, 64, 64), dtype=np.uint8)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"imgs": None}, "got one that cannot be read .*imgs.npy"),
        ({"latents_classes": None}, "got one that cannot be read .*latents_classes.npy"),
        ({"imgs": IMAGES[:, :32]}, r"imgs must be uint8 of shape \(N, 64, 64\), not uint8 \(30, 32, 64\)"),
        ({"imgs": IMAGES.astype(np.float32)}, "imgs must be uint8 of shape .* not float32"),
        ({"imgs": IMAGES + 255}, "imgs must hold zeros and ones, not 255"),
        ({"imgs": IMAGES[:20]}, r"latents_classes in .* must be whole numbers of shape \(20, 6\), got int64 \(30, 6\)"),
        ({"latents_classes": np.full((NUM, 6), 50)}, r"must lie below \(3, 6, 40, 32, 32\)"),
        ({"latents_classes": np.full((NUM, 6), None)}, "cannot be read .*allow_pickle=False"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, changed: dict[str, Any], match: str) -> None:
    data = DSprites(write(tmp_path, **changed))
    with pytest.raises(ValueError, match=match):
        data[0]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_broken_file_is_refused(tmp_path: Path, share: float) -> None:
    path = write(tmp_path)
    contents = path.read_bytes()
    path.write_bytes(contents[: int(share * len(contents))])
    with pytest.raises(ValueError, match="must be the whole dSprites file, got one that cannot be read"):
        DSprites(path)[0]


def test_a_changed_byte_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 0xFF  # within the images, the largest member
    path.write_bytes(bytes(contents))
    with pytest.raises(ValueError, match="got one that cannot be read"):
        DSprites(path)[0]


def test_bad_arguments(tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(ValueError, match="split must be one of all, train, validation, test, got 'fit'"):
        DSprites(path, split="fit")
    with pytest.raises(ValueError, match=r"seed must be in \[0, 2\^32\), got -1"):
        DSprites(path, seed=-1)
