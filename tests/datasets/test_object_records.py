"""Files of the public multi-object sets, written here in their form: read, put in order, and refused where broken."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyrodis.datasets import CLEVR_WITH_MASKS, MULTI_DSPRITES, ObjectRecords, RecordFormat
from pyrodis.testing import check_dataset

NUM = 5
TINY = RecordFormat("tiny", 8, 8, 3, 4, masks_last=True)


def varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def byte_list(array: np.ndarray, one_by_one: bool) -> bytes:
    data = array.tobytes()
    values = b"".join(field(1, data[i : i + 1]) for i in range(len(data))) if one_by_one else field(1, data)
    return field(1, values)


def example(features: dict[str, bytes]) -> bytes:
    entries = b"".join(field(1, field(1, name.encode()) + field(2, value)) for name, value in features.items())
    return field(1, entries)


def scene(number: int, layout: RecordFormat) -> tuple[np.ndarray, np.ndarray]:
    """An image and the entity of each pixel."""
    draw = np.random.RandomState(number)
    owners = draw.randint(0, layout.num_entities, (layout.height // 4, layout.width // 4)).repeat(4, 0).repeat(4, 1)
    return draw.randint(0, 256, (layout.height, layout.width, layout.channels)).astype(np.uint8), owners


def write(path: Path, layout: RecordFormat, num: int = NUM, one_by_one: bool = True, **changed: Any) -> Path:
    records = b""
    for number in range(num):
        image, owners = scene(number, layout)
        masks = 255 * (owners[..., None] == np.arange(layout.num_entities)).astype(np.uint8)
        features = {
            "x": field(2, field(1, np.zeros(layout.num_entities, np.float32).tobytes())),
            "image": byte_list(image, one_by_one),
            "mask": byte_list(masks if layout.masks_last else np.moveaxis(masks, -1, 0), one_by_one),
        }
        record = example({k: v for k, v in (features | changed).items() if v is not None})
        records += struct.pack("<QI", len(record), 0) + record + b"\0\0\0\0"
    path.write_bytes(gzip.compress(records))
    return path


@pytest.mark.parametrize("one_by_one", [True, False])
@pytest.mark.parametrize("layout", [TINY, MULTI_DSPRITES])
def test_items_are_those_of_the_file(tmp_path: Path, layout: RecordFormat, one_by_one: bool) -> None:
    path = write(tmp_path / "a.tfrecords", layout, one_by_one=one_by_one)
    data = ObjectRecords(path, layout, num_images=NUM, size=layout.height)
    check_dataset(data)
    for number in range(NUM):
        image, owners = scene(number, layout)
        assert np.array_equal((255 * data[number]["x"][0]).round().numpy(), np.moveaxis(image, -1, 0))
        masks = data[number]["masks"][0].numpy()
        assert np.array_equal(masks[-1], owners == 0)  # the background comes last
        for entity in range(1, layout.num_entities):
            assert np.array_equal(masks[entity - 1], owners == entity)
        assert int(data[number]["factors"]) == len(set(owners.flatten()) - {0})
    assert torch.equal(data.factors[3], data[3]["factors"])
    assert (data.name, data.num_slots, len(data)) == (layout.name, layout.num_entities - 1, NUM)


def test_clevr_is_cropped_and_reduced(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tfrecords", CLEVR_WITH_MASKS, num=1)
    data = ObjectRecords(path, CLEVR_WITH_MASKS, num_images=1)
    check_dataset(data)
    image, owners = (array[29:221, 64:256] for array in scene(0, CLEVR_WITH_MASKS))
    assert data[0]["masks"].shape == (1, 11, 64, 64)
    assert np.array_equal(data[0]["masks"][0, -1].numpy(), owners[1::3, 1::3] == 0)
    blocks = image.reshape(64, 3, 64, 3, 3).mean((1, 3))
    assert abs(float(data[0]["x"].mean()) - blocks.mean() / 255) < 0.005
    assert data[0]["x"].shape == (1, 3, 64, 64)


def test_skips_scenes_and_knows_what_it_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tfrecords", TINY)
    whole, rest = (ObjectRecords(path, TINY, first=i, num_images=NUM - i, size=8) for i in (0, 2))
    assert torch.equal(rest[0]["x"], whole[2]["x"])
    assert rest.checksum != whole.checksum == ObjectRecords(path, TINY, num_images=NUM, size=8).checksum


def test_refuses_files_that_are_not_there_or_broken(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tfrecords", TINY)
    content = path.read_bytes()
    with pytest.raises(
        FileNotFoundError, match=r"there is no file .*nothing; download it as https://github.com/google"
    ):
        ObjectRecords(tmp_path / "nothing", TINY)
    with pytest.raises(ValueError, match="must hold 6 scenes, got 5; ask for fewer"):
        ObjectRecords(path, TINY, num_images=6, size=8)
    unpacked = gzip.decompress(content)
    for broken in (
        content[: len(content) // 2],
        content[:100] + bytes([content[100] ^ 255]) + content[101:],
        unpacked,
        gzip.compress(unpacked[:-9]),
        gzip.compress(b"\xff" * 40),
        b"",
    ):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"must be a whole gzip file of TFRecords|must hold 5 scenes, got 0"):
            ObjectRecords(path, TINY, num_images=NUM, size=8)


@pytest.mark.parametrize(
    ("layout", "changed", "sentence"),
    [
        (MULTI_DSPRITES, {}, "scene 0 of .* must hold an image and masks as multi_dsprites does"),
        (RecordFormat("other", 8, 8, 3, 4), {}, "each pixel of scene 0 of .* must have one owner; check the format"),
        (TINY, {"mask": None}, r"got others \(mask\)"),
        (TINY, {"image": b"\x0a\xff\x01"}, "scene 0 of .* must hold an image"),
        (TINY, {"image": b"\xff"}, "scene 0 of .* must hold an image"),
        (TINY, {"image": b"\x80" * 11 + b"\x01"}, "a number of more than ten bytes"),
        (TINY, {"mask": byte_list(np.zeros(256, np.uint8), True)}, "must have one owner"),
        (TINY, {"image": field(3, b"\x01")}, r"got others \(image\)"),
    ],
)
def test_refuses_other_formats(tmp_path: Path, layout: RecordFormat, changed: dict[str, Any], sentence: str) -> None:
    path = write(tmp_path / "a.tfrecords", TINY, **changed)
    with pytest.raises(ValueError, match=sentence):
        ObjectRecords(path, layout, num_images=NUM, size=8)


def test_refuses_settings_out_of_range(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tfrecords", TINY)
    with pytest.raises(ValueError, match="first must be a whole number of at least 0, got -1"):
        ObjectRecords(path, TINY, first=-1)
    with pytest.raises(TypeError, match=r"first must be a whole number of at least 0, got 1\.5"):
        ObjectRecords(path, TINY, first=1.5)  # type: ignore[arg-type]
    for entities, backgrounds in ((2, 2), (256, 1)):
        with pytest.raises(ValueError, match=f"above num_backgrounds = {backgrounds} and at most 255, got {entities}"):
            RecordFormat("tiny", 8, 8, 3, entities, backgrounds)
    with pytest.raises(ValueError, match="num_images must be a positive whole number, got 0"):
        ObjectRecords(path, TINY, num_images=0)
    with pytest.raises(ValueError, match=r"crop must lie within 8 x 8 pixels, got \(1, 1, 8\)"):
        RecordFormat("tiny", 8, 8, 3, 4, crop=(1, 1, 8))
    with pytest.raises(ValueError, match="num_entities must be a positive whole number, got 0"):
        RecordFormat("tiny", 8, 8, 3, 0)
