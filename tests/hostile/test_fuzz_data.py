"""Data sets and networks with spoilt arguments, files with spoilt bytes: a result, or one sentence."""

from __future__ import annotations

import inspect
import io
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

import pyrodis
from pyrodis import datasets as ds
from pyrodis import nn
from pyrodis.infer.checkpoint import RunState, collect_weights, read_checkpoint, save_weights, write_checkpoint
from pyrodis.infer.describe import describe
from pyrodis.infer.run_directory import RunDirectory, make_config
from pyrodis.testing import tiny_dsvae
from tests.datasets.clip_writing import moving_square, write_gif, write_video
from tests.hostile.spoiling import complaint, spoil
from tests.pairs import DYNAMIC_PAIRS

FEW = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
MANY = settings(FEW, max_examples=200, derandomize=False, phases=[Phase.generate, Phase.shrink])
SMALL = {"split": "train", "seed": 0}
DIGITS = ds.BundledDigits()
DATASETS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "AtRest": (ds.AtRest, {"num_points": 4}),
    "BouncingBox": (ds.BouncingBox, {"num_sequences": 4, "num_frames": 3, **SMALL}),
    "BouncingMotion": (ds.BouncingMotion, {"min_speed": 0.05, "max_speed": 0.15}),
    "CircleOnGaussian": (ds.CircleOnGaussian, {"num_sequences": 4, "num_frames": 3, "with_masks": True, **SMALL}),
    "CircleScene": (ds.CircleScene, {"size": 32, "num_circles": 1, "circle_value": 1.0, "occlude": False}),
    "ClipSubset": (ds.ClipSubset, {"dataset": ds.FlatScenes(num_images=3), "indices": [0, 2]}),
    "DigitPairs": (ds.DigitPairs, {"source": DIGITS, "num_images": 3, "items": [0, 1], **SMALL}),
    "FlatScenes": (ds.FlatScenes, {"num_images": 3, "num_objects": (2, 4), "types": ("square", "heart"), **SMALL}),
    "GravityMotion": (ds.GravityMotion, {"gravity": 0.04, "max_speed": 0.1}),
    "HeldOutBand": (ds.HeldOutBand, {"factor": "circle_x", "low": 0.4, "high": 0.6}),
    "HeldOutCells": (ds.HeldOutCells, {"fraction": 0.2, "num_cells": 16, "seed": 0}),
    "LinearMotion": (ds.LinearMotion, {"min_distance": 0.1}),
    "MixedItems": (ds.MixedItems, {"parts": [(DIGITS, 0), (DIGITS, (1, 4))]}),
    "MovingDigits": (
        ds.MovingDigits,
        {"source": DIGITS, "num_sequences": 3, "num_frames": 3, "num_digits": 1, **SMALL},
    ),
    "OverlappingDigits": (ds.OverlappingDigits, {"source": DIGITS, "num_images": 3, "num_digits": (1, 2), **SMALL}),
    "PresentTypes": (ds.PresentTypes, {"dataset": ds.DigitPairs(DIGITS, num_images=3), "num_types": 10}),
    "ProceduralSprites": (ds.ProceduralSprites, SMALL),
    "RecordFormat": (ds.RecordFormat, {"name": "a", "height": 8, "width": 8, "channels": 3, "num_entities": 4}),
    "Scenes": (ds.Scenes, {"num_images": 2, "size": 16, "num_objects": (2, 3), **SMALL}),
}


def built() -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """A good call of each class of networks, models and guides that some pair is made of."""
    found: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {}
    views = (nn.PatchShuffle(4), nn.RandomCrop(4), nn.RandomShift(1), nn.Downsample(2), nn.GaussianBlur(1.0))
    more = (nn.PatchEncoder((1, 8, 8), 4, 4), nn.HideFrames(1), nn.SubsetFrames(2), nn.LocScale(3, 2), *views)
    pairs = [module for make in DYNAMIC_PAIRS.values() for module in make()]
    for top in [*pairs, *tiny_dsvae(), *more]:
        for module in top.modules():
            name = type(module).__name__
            if describe(module)["arguments"] and type(module).__module__.startswith("pyrodis") and name not in found:
                names = [p for p in inspect.signature(type(module)).parameters if hasattr(module, p)]
                found[name] = (type(module), {p: getattr(module, p) for p in names})
    return found


CLASSES = DATASETS | built()


def check(name: str, data: st.DataObject) -> None:
    function, arguments = CLASSES[name]
    plain = [k for k, v in arguments.items() if v is None or isinstance(v, (bool, int, float, str, tuple, list))]
    key = data.draw(st.sampled_from(sorted(plain or arguments)))
    value = spoil(data.draw, arguments[key])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            made = function(**(arguments | {key: value}))
            if hasattr(made, "__len__") and hasattr(made, "frame_shape"):
                x = made[0]["x"]
                assert x.shape[1:] == tuple(made.frame_shape)
                assert bool(((x >= 0) & (x <= 1)).all())
        except Exception as error:
            found = complaint(error)
            assert not found, f"{name} with {key}={value!r}: {found}"


@pytest.mark.parametrize("name", CLASSES)
@FEW
@given(data=st.data())
def test_a_spoilt_argument_gives_an_object_or_a_sentence(name: str, data: st.DataObject) -> None:
    check(name, data)


@pytest.mark.long
@pytest.mark.parametrize("name", CLASSES)
@MANY
@given(data=st.data())
def test_a_spoilt_argument_gives_an_object_or_a_sentence_many_times(name: str, data: st.DataObject) -> None:
    check(name, data)


def png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(moving_square(1, 16, 16)[0]).save(file, "png")
    return file.getvalue()


def write_run(folder: Path) -> Path:
    model, guide = tiny_dsvae()
    directory = RunDirectory(folder)
    directory.claim(make_config(describe(model), describe(guide), {}, {}, None), resume=False, overwrite=False)
    save_weights(directory.weights, model, guide)
    write_checkpoint(directory.last, collect_weights(model, guide), {}, RunState(step=3))
    return folder


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good file of every kind."""
    folder = tmp_path_factory.mktemp("good")
    square = moving_square(6, 16, 16)
    np.save(folder / "a.npy", square)
    np.savez_compressed(folder / "b.npz", clip=square)
    write_gif(folder / "c.gif", square)
    write_video(folder / "d.mp4", square)
    (folder / "e.png").write_bytes(png())
    write_run(folder / "run")
    return folder


def read_video(path: Path, cache: Path) -> Any:
    return ds.read_clip(path, num_frames=2, size=8, cache=cache)


def read_picture(path: Path, cache: Path) -> Any:
    return ds.ImageFolder(path.parent)[0]


READERS: dict[str, Callable[[Path, Path], Any]] = {
    "a.npy": read_video,
    "b.npz": read_video,
    "c.gif": read_video,
    "d.mp4": read_video,
    "e.png": read_picture,
    "run/config.json": lambda path, cache: pyrodis.load(path.parent),
    "run/weights.safetensors": lambda path, cache: pyrodis.load(path.parent),
    "run/checkpoints/last.ckpt": lambda path, cache: read_checkpoint(path),
}


def check_file(name: str, good: Path, folder: Path, data: st.DataObject) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good / name.partition("/")[0], folder / "run") if "/" in name else folder.mkdir(parents=True)
    path = folder / name
    contents = bytearray((good / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, min(len(contents), 4000) - 1))
        contents[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(contents)), st.integers(0, len(contents))))
    path.write_bytes(bytes(contents[:end]))
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        try:
            READERS[name](path, folder / "cache")
        except Exception as error:
            found = complaint(error)
            assert not found, f"{name}: {found}"


@pytest.mark.parametrize("name", READERS)
def test_a_file_with_spoilt_bytes_is_read_or_refused(name: str, good: Path, tmp_path: Path) -> None:
    run = given(data=st.data())(lambda data: check_file(name, good, tmp_path / "f", data))
    settings(FEW, max_examples=25)(run)()


@pytest.mark.long
@pytest.mark.parametrize("name", READERS)
def test_a_file_with_spoilt_bytes_is_read_or_refused_many_times(name: str, good: Path, tmp_path: Path) -> None:
    run = given(data=st.data())(lambda data: check_file(name, good, tmp_path / "f", data))
    settings(MANY, max_examples=600)(run)()


def test_the_good_files_are_good(good: Path, tmp_path: Path) -> None:
    for name, read in READERS.items():
        folder = tmp_path / name.replace("/", "-")
        shutil.copytree(good / name.partition("/")[0], folder / "run") if "/" in name else folder.mkdir()
        shutil.copy(good / name, folder / name)
        read(folder / name, tmp_path / "cache")
    assert json.loads((good / "run" / "config.json").read_text())["format"] == "pyrodis.run"
