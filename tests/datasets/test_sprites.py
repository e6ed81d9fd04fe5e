"""The Sprites benchmark: on drawn stand-ins for its sheets, and on the real ones where they are at hand."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from pyrodis.datasets import Sprites
from pyrodis.datasets.download import SPRITES_SHA256

FIRST_TILES = (130, 117, 143, 26, 13, 39, 182, 169, 195)
FRAME_TILES = ((8, 1, 2, 3, 4, 5, 6, 7), (0, 1, 2, 3, 4, 5, 4, 6), (0, 1, 2, 3, 4, 5, 4, 0))
NOWHERE = "http://127.0.0.1:9/"  # The discard port: nothing answers there.


def draw_sheet(seed: int) -> Image.Image:
    """A sheet whose 273 tiles each hold a rectangle of their own color and opacity."""
    rng = np.random.default_rng(seed)
    sheet = np.zeros((21, 64, 13, 64, 4), np.uint8)
    for row in range(21):
        for column in range(13):
            y, x = rng.integers(0, 40, 2)
            color = [*rng.integers(0, 256, 3), rng.choice([255, 255, 128])]
            sheet[row, y : y + 24, column, x : x + 24] = color
    return Image.fromarray(sheet.reshape(1344, 832, 4))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drawn")
    for seed, name in enumerate(SPRITES_SHA256):
        (root / name).parent.mkdir(exist_ok=True)
        draw_sheet(seed).save(root / name, compress_level=1)
    return root


@pytest.fixture
def copy(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn, tmp_path / "copy"))


@pytest.fixture(autouse=True)
def no_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PYRODIS_DATA", raising=False)
    monkeypatch.setenv("PYRODIS_CACHE", str(tmp_path / "cache"))


def real_sheets() -> Path:
    candidates = [Path(os.environ.get("PYRODIS_DATA", "")), Path(__file__).parents[2].parent / "shared" / "data"]
    for folder in candidates:
        if str(folder) != "." and (folder / "sprites" / "body").is_dir():
            return folder / "sprites"
    return Path()


REAL = real_sheets()
needs_real = pytest.mark.skipif(Path() == REAL, reason="needs the published sheets")


def published(root: Path, character: int) -> np.ndarray:
    """All nine clips of a character the published way: whole sheets through Pillow, then cut; (9, 8, 3, 64, 64)."""
    names = [
        f"body/{character // 216}.png",
        f"bottomwear/{character // 36 % 6}.png",
        f"topwear/{character // 6 % 6}.png",
        f"hair/{character % 6}.png",
        "shoes/1.png",
    ]
    image = Image.new("RGBA", (832, 1344), "black")
    for name in names:
        image = Image.alpha_composite(image, Image.open(root / name).convert("RGBA"))
    clips = []
    for action, first in enumerate(FIRST_TILES):
        boxes = [(first + offset) for offset in FRAME_TILES[action // 3]]
        crops = [image.crop((64 * (i % 13), 64 * (i // 13), 64 * (i % 13) + 64, 64 * (i // 13) + 64)) for i in boxes]
        clips.append([np.asarray(crop.convert("RGB")).transpose(2, 0, 1) for crop in crops])
    return np.array(clips)


def check_against_pillow(root: Path, split: str, positions: list[int]) -> None:
    data = Sprites(root, split=split)
    order = np.random.RandomState(423).permutation(1296)
    order = order[1000:] if split == "test" else order
    for position in positions:
        character = int(order[position])
        items = data.__getitems__(list(range(9 * position, 9 * position + 9)))
        x = torch.stack([item["x"] for item in items])
        assert torch.equal(x, torch.from_numpy(published(root, character)).float() / 256)
        attributes = [character // 216, character // 36 % 6, character // 6 % 6, character % 6]
        assert [item["factors"].tolist() for item in items] == [[action, *attributes] for action in range(9)]


def test_drawn_sheets_pixel_for_pixel(drawn: Path) -> None:
    check_against_pillow(drawn, "train", [999])
    check_against_pillow(drawn, "test", [295])


@needs_real
def test_real_sheets_pixel_for_pixel() -> None:
    check_against_pillow(REAL, "train", [0, 777])
    check_against_pillow(REAL, "test", [200])


@needs_real
def test_real_sheets_are_the_published_ones() -> None:
    for name, digest in SPRITES_SHA256.items():
        assert hashlib.sha256((REAL / name).read_bytes()).hexdigest() == digest
    assert Sprites(REAL).checksum == "7dac881ef1c4b3adf3b0a632f97d97ee8460f363f12436d24d3f12ae6427c92d"


def test_splits(drawn: Path) -> None:
    data = {split: Sprites(drawn, split=split) for split in ("train", "test", "fit", "validation")}
    assert {split: len(part) for split, part in data.items()} == {
        "train": 9000,
        "test": 2664,
        "fit": 8100,
        "validation": 900,
    }

    order = np.random.RandomState(423).permutation(1296)
    first = {"train": 0, "test": 1000, "fit": 0, "validation": 900}
    for split, part in data.items():
        for index in (0, len(part) - 1):
            action, *variants = part[index]["factors"].tolist()
            assert action == index % 9
            assert np.dot(variants, [216, 36, 6, 1]) == order[first[split] + index // 9]


def test_describes_itself(drawn: Path) -> None:
    data = Sprites(drawn, split="test")
    assert data.factor_names == ("action", "skin", "bottom", "top", "hair")
    assert data.factor_sizes == (9, 6, 6, 6, 6)
    assert (data.split, data.seed, data.name, data.num_frames) == ("test", 423, "sprites", 8)
    item = data[-1]
    assert item["x"].shape == (data.num_frames, *data.frame_shape)
    assert item["x"].dtype == torch.float32
    assert item["factors"].dtype == torch.int64
    assert torch.equal(item["x"], data[len(data) - 1]["x"])


def test_batches_through_a_loader_and_a_pickle(drawn: Path) -> None:
    data = pickle.loads(pickle.dumps(Sprites(drawn)))
    batch = next(iter(DataLoader(data, batch_size=5)))
    assert batch["x"].shape == (5, 8, 3, 64, 64)
    assert torch.equal(batch["x"][3], data[3]["x"])
    assert data.__getitems__([]) == []


def test_checksum_follows_the_sheets(drawn: Path, copy: Path) -> None:
    assert Sprites(copy).checksum == Sprites(drawn).checksum
    draw_sheet(99).save(copy / "hair" / "3.png")
    assert Sprites(copy).checksum != Sprites(drawn).checksum


def test_finds_the_sheets(drawn: Path, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    cached = Path(shutil.copytree(drawn, tmp_path / "cache" / "sprites"))
    copy.rename(parent / "sprites")
    assert Sprites(parent).root == parent / "sprites"
    assert Sprites(download=False).root == cached
    for data_root in (parent, parent / "sprites"):
        monkeypatch.setenv("PYRODIS_DATA", str(data_root))
        assert Sprites(download=False).root == parent / "sprites"
    monkeypatch.setenv("PYRODIS_DATA", str(tmp_path))
    assert Sprites(download=False).root == cached


def test_downloads_once_nothing_is_found(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def copy_all(root: Path) -> Path:
        return Path(shutil.copytree(drawn, root))

    monkeypatch.setattr("pyrodis.datasets.sprites.download_sprites", copy_all)
    with pytest.raises(FileNotFoundError, match=r"neither in .*cache.sprites, nor .*\(download=False\)"):
        Sprites(download=False)
    first = Sprites()
    assert first.root == Path(os.environ["PYRODIS_CACHE"]) / "sprites"
    monkeypatch.setattr("pyrodis.datasets.sprites.download_sprites", None)
    assert Sprites().root == first.root
    (first.root / "shoes" / "1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"neither in .*cache.sprites, nor"):
        Sprites(download=False)


def test_says_where_it_looked_when_the_download_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyrodis.datasets.download import download_sprites

    monkeypatch.setattr(
        "pyrodis.datasets.sprites.download_sprites", lambda root: download_sprites(root, base_url=NOWHERE)
    )
    monkeypatch.setenv("PYRODIS_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError) as caught:
        Sprites()
    message = str(caught.value)
    for part in (str(tmp_path), str(tmp_path / "cache" / "sprites"), NOWHERE, "PYRODIS_DATA", "ProceduralSprites"):
        assert part in message


@pytest.mark.parametrize("index", [9000, -9001])
def test_index_out_of_range(drawn: Path, index: int) -> None:
    with pytest.raises(IndexError, match=rf"index must lie in \[-9000, 9000\), got {index}"):
        Sprites(drawn)[index]


def test_bad_folder_or_split(drawn: Path, copy: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="split must be one of train, test, fit, validation, got 'all'"):
        Sprites(drawn, split="all")
    with pytest.raises(FileNotFoundError, match="root must hold body/"):
        Sprites(tmp_path / "none")
    (copy / "topwear" / "2.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 are missing, first topwear/2\.png"):
        Sprites(copy)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def garble(path: Path) -> None:
    path.write_bytes(b"not a picture")


def garble_inside(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[200:400] = bytes(200)
    path.write_bytes(content)


def shrink(path: Path) -> None:
    Image.new("RGBA", (832, 1280)).save(path)


def drop_alpha(path: Path) -> None:
    Image.new("RGB", (832, 1344)).save(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut_short, "must be a whole PNG file"),
        (garble, "must be a whole PNG file"),
        (garble_inside, "must be a whole PNG file"),
        (shrink, "must be a sheet of 832 x 1344 pixels with a palette or RGBA, got 832 x 1280 in mode RGBA"),
        (drop_alpha, "got 832 x 1344 in mode RGB;"),
    ],
)
def test_spoiled_sheet(copy: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(copy / "bottomwear" / "4.png")
    data = Sprites(copy)
    with pytest.raises(ValueError, match=message) as caught:
        data[0]
    assert str(copy / "bottomwear" / "4.png") in str(caught.value)
