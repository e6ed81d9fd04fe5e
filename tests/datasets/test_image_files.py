"""Folders of images and CLEVR's files, written here: items are those of the files, and what is wrong is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pyrodis.datasets import CLEVRImages, ClipSubset, ImageFolder
from pyrodis.testing import check_dataset

SHAPES = [["cylinder"] * 3, ["cylinder", "sphere"], ["cube"], ["sphere"] * 10]


def picture(path: Path, size: tuple[int, int] = (12, 8), seed: int = 0) -> np.ndarray:
    pixels = np.random.RandomState(seed).randint(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def labels(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def test_images_of_a_folder(tmp_path: Path) -> None:
    second = picture(tmp_path / "b.png", seed=2)
    first = picture(tmp_path / "a.PNG", seed=1)
    picture(tmp_path / "c.jpg", seed=3)
    (tmp_path / "notes.txt").write_text("no image")
    data = ImageFolder(tmp_path)
    check_dataset(data)
    assert (len(data), data.frame_shape, data.factor_names) == (3, (3, 8, 12), ())
    assert np.array_equal((255 * data[0]["x"][0]).round().numpy(), np.moveaxis(first, -1, 0))
    assert np.array_equal((255 * data[1]["x"][0]).round().numpy(), np.moveaxis(second, -1, 0))
    gray = ImageFolder(tmp_path, color=False)
    check_dataset(gray)
    assert gray[0]["x"].shape == (1, 1, 8, 12)
    before = data.checksum
    picture(tmp_path / "c.jpg", seed=4)
    assert ImageFolder(tmp_path).checksum != before


def test_refuses_what_conversion_would_cut_off_and_takes_it_as_labels(tmp_path: Path) -> None:
    values = np.array([[0, 1, 300], [2, 0, 0]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    for color in (True, False):
        with pytest.raises(ValueError, match=r"a.png must be a whole image file, got numbers of kind I;16, not 8 bits"):
            ImageFolder(tmp_path, color=color)[0]
    picture(tmp_path / "images" / "a.png", (3, 2))
    data = ImageFolder(tmp_path / "images", masks=tmp_path, num_slots=300)
    assert data[0]["masks"][0, 299].tolist() == [[False, False, True], [False, False, False]]


def test_images_too_large_to_open_and_folders_named_like_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "b.png").mkdir()
    data = ImageFolder(tmp_path)
    assert len(data) == 1
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for act in (lambda: ImageFolder(tmp_path), lambda: data[0]):
        with pytest.raises(ValueError, match=r"a.png must be .*image file, got Image size .* exceeds limit"):
            act()


def test_label_maps_become_masks(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    values = np.zeros((8, 12), int)
    values[2:4, 3:6], values[5:, 8:] = 1, 3
    labels(tmp_path / "masks" / "a.png", values)
    data = ImageFolder(tmp_path / "images", masks=tmp_path / "masks", num_slots=4)
    check_dataset(data)
    masks = data[0]["masks"][0].numpy()
    for slot, number in enumerate([1, 2, 3, 4, 0]):
        assert np.array_equal(masks[slot], values == number)
    assert data[0]["factors"].tolist() == [2]
    assert data.factor_sizes == (5,)


def test_refuses_folders_that_hold_no_images_or_mixed_ones(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"root must be a folder of images, got .*nowhere, which is none"):
        ImageFolder(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"must hold images \(.png, .jpg, .jpeg, .bmp\), got none"):
        ImageFolder(tmp_path)
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png", (12, 9))
    with pytest.raises(ValueError, match=r"of one size, got 12 x 8 \(a.png\) and 12 x 9 \(b.png\); resize them"):
        ImageFolder(tmp_path)
    (tmp_path / "b.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"b.png must be a whole image file, got no image"):
        ImageFolder(tmp_path)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:150])
    data = ImageFolder(tmp_path)
    with pytest.raises(ValueError, match=r"b.png must be a whole image file, got .*; remove or replace it"):
        data[1]


def test_refuses_masks_that_do_not_fit(tmp_path: Path) -> None:
    images, masks = tmp_path / "images", tmp_path / "masks"
    picture(images / "a.png")
    with pytest.raises(FileNotFoundError, match=r"1 of 1 images have no mask, first .*a.png; add them"):
        ImageFolder(images, masks=masks, num_slots=2)
    labels(masks / "a.png", np.full((8, 12), 3))
    with pytest.raises(ValueError, match="num_slots must be the greatest number of objects, with masks alone"):
        ImageFolder(images, masks=masks)
    with pytest.raises(ValueError, match="num_slots must be a positive whole number, got 0"):
        ImageFolder(images, masks=masks, num_slots=0)
    with pytest.raises(ValueError, match="num_slots must be"):
        ImageFolder(images, num_slots=2)
    with pytest.raises(TypeError, match=r"num_slots must be a positive whole number, got 2\.5"):
        ImageFolder(images, masks=masks, num_slots=2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"a.png must hold 0 to 2, got 3; pass a greater num_slots"):
        ImageFolder(images, masks=masks, num_slots=2)[0]
    labels(masks / "a.png", np.zeros((9, 12)))
    with pytest.raises(ValueError, match=r"a mask must be of the size of the images, 12 x 8, got 12 x 9 \(a.png\)"):
        ImageFolder(images, masks=masks, num_slots=3)
    picture(masks / "a.png")
    with pytest.raises(
        ValueError, match=r"a.png must be a label map of \(8, 12\), one number a pixel, got \(8, 12, 3\)"
    ):
        ImageFolder(images, masks=masks, num_slots=3)[0]


def clevr(root: Path, shapes: list[list[str]] = SHAPES, **changed: Any) -> Path:
    """Files in the form of CLEVR's."""
    folder = root / "clevr" / "CLEVR_v1.0"
    scenes = []
    for number, things in enumerate(shapes):
        name = f"CLEVR_train_{number:06d}.png"
        picture(folder / "images" / "train" / name, (480, 320), seed=number)
        scenes.append({"image_filename": name, "objects": [{"shape": shape} for shape in things]} | changed)
    (folder / "scenes").mkdir(exist_ok=True)
    (folder / "scenes" / "CLEVR_train_scenes.json").write_text(json.dumps({"scenes": scenes}))
    return root


def test_clevr_images_and_types(tmp_path: Path) -> None:
    data = CLEVRImages(clevr(tmp_path), size=72)
    check_dataset(data)
    assert (len(data), data.name, data.frame_shape) == (4, "clevr", (3, 72, 72))
    assert data.factors[1].tolist() == [1, 0] + [3] * 8
    pixels = np.random.RandomState(0).randint(0, 256, (320, 480, 3))[
        24:312, 96:384
    ]  # as much on the left as on the right
    assert abs(float(data[0]["x"].mean()) - pixels.mean() / 255) < 0.002
    means = torch.tensor(pixels / 255).float().movedim(-1, 0).unfold(1, 4, 4).unfold(2, 4, 4).mean((-1, -2))
    assert float((data[0]["x"][0] - means).abs().mean()) < 0.05
    gray = CLEVRImages(tmp_path, color=False, size=32)
    check_dataset(gray)
    assert gray[0]["x"].shape == (1, 1, 32, 32)


def test_clevr_of_some_types_or_few_objects(tmp_path: Path) -> None:
    clevr(tmp_path)
    cylinders = CLEVRImages(tmp_path, types=("cylinder", "sphere"), items=(0,), max_objects=3)
    assert cylinders.factors.tolist() == [[0, 0, 0]]
    two = CLEVRImages(tmp_path, types=("cylinder", "sphere"), max_objects=3)
    assert two.factors.tolist() == [[0, 0, 0], [0, 1, 2]]
    later = ClipSubset(two, [1]).__getitems__([0])[0]
    assert torch.equal(later["x"], two[1]["x"])
    assert two.checksum != cylinders.checksum
    with pytest.raises(ValueError, match=r"no scene of 4 has at most 2 objects, all of \['cylinder'\]; allow more"):
        CLEVRImages(tmp_path, types=("cylinder",), max_objects=2)


def test_refuses_clevr_that_is_not_there_or_broken(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no clevr/CLEVR_v1.0/ with images and scenes in"):
        CLEVRImages(tmp_path)
    clevr(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no clevr/CLEVR_v1.0/ with images and scenes in"):
        CLEVRImages(tmp_path, split="validation")
    with pytest.raises(ValueError, match="split must be train or validation, got 'test'"):
        CLEVRImages(tmp_path, split="test")
    clevr(tmp_path, objects=[{"color": "red"}])
    with pytest.raises(ValueError, match="the scenes of train must list the shape of each object, got none"):
        CLEVRImages(tmp_path)
    clevr(tmp_path, image_filename="other.png")
    with pytest.raises(ValueError, match=r"the scenes of train in .* must list every image, got others"):
        CLEVRImages(tmp_path)
    listing = tmp_path / "clevr" / "CLEVR_v1.0" / "scenes" / "CLEVR_train_scenes.json"
    listing.write_text("{")
    with pytest.raises(ValueError, match="must list every image, got others; download them again"):
        CLEVRImages(tmp_path)
