"""Hostile inputs, each with the error and the sentence that it must give: nothing runs, nothing is lost, no riddle.

An action gets a `Place`: an empty folder and a run directory of its own. In the expected sentences PATH stands for the
folder; they are regular expressions for the whole of the message.
"""

# ruff: noqa: E501 - a row of the table is one case
from __future__ import annotations

import io
import json
import os
import pickle
import re
import shutil
import struct
import traceback
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import pyrodis
from pyrodis.cli.commands import main
from pyrodis.datasets import BundledDigits, ClipSubset, FlatScenes, ImageFolder, MovingDigits, MovingMNIST, VideoFolder
from pyrodis.datasets.video_folder import read_clip
from pyrodis.infer import FitSettings
from pyrodis.infer.checkpoint import read_weights
from pyrodis.infer.judge import Judge, load_cached
from pyrodis.metrics import adjusted_rand_index, dci, factor_accuracies, mig, sap
from pyrodis.models import DSVAE, NormalPixels, StandardPrior
from pyrodis.nn import ConvDecoder
from pyrodis.testing import tiny_dsvae
from tests.hostile.spoiling import LIBRARY

X = torch.full((6, 5, 1, 8, 8), 0.5)
SETTINGS = FitSettings(num_epochs=2, batch_size=2, device="cpu", schedule="constant", warmup_steps=0)
CODES, FACTORS = np.random.default_rng(0).normal(size=(20, 3)), np.stack([np.arange(20) % 2, np.arange(20) % 3], 1)


class Bomb:
    """Unpickled, it makes a file: what no test may ever find."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path(MARK).touch, ()


MARK = "this-file-was-made-by-a-pickle"


@dataclass
class Place:
    """Where an action plays."""

    folder: Path
    run: Path

    @property
    def last(self) -> Path:
        return self.run / "checkpoints" / "last.ckpt"

    @property
    def weights(self) -> Path:
        return self.run / "weights.safetensors"

    def configure(self, **changes: Any) -> Place:
        file = self.run / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))
        return self

    def change_model(self, **arguments: Any) -> Place:
        model = json.loads((self.run / "config.json").read_text())["model"]
        return self.configure(model={**model, "arguments": {**model["arguments"], **arguments}})

    def only_checkpoint(self, contents: bytes | dict[str, Any] | None = None, **parts: Any) -> Place:
        """Leave one checkpoint: these bytes, these contents, or the good one with other parts."""
        self.last.with_name("previous.ckpt").unlink(missing_ok=True)
        if isinstance(contents, bytes):
            self.last.write_bytes(contents)
            return self
        good = torch.load(self.last, weights_only=True)
        torch.save(good | parts if contents is None else contents, self.last)
        return self

    def state(self, **changes: Any) -> Place:
        state = torch.load(self.last, weights_only=True)["state"]
        return self.only_checkpoint(state=state | changes)


def fit(train: Any = X, **rest: Any) -> Any:
    return pyrodis.fit(*tiny_dsvae(), train, settings=rest.pop("settings", SETTINGS), **rest)


def load(place: Place) -> Any:
    return pyrodis.load(place.run)


def resume(place: Place) -> Any:
    return fit(output=place.run, resume=True, settings=replace(SETTINGS, num_epochs=3))


def write(path: Path, contents: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    return path


def config_of(contents: bytes | str) -> Callable[[Place], Any]:
    def act(place: Place) -> Any:
        write(place.run / "config.json", contents)
        return load(place)

    return act


def zipped(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, contents in entries.items():
            archive.writestr(name, contents)
    return file.getvalue()


def png(width: int, height: int) -> bytes:
    chunks = [(b"IHDR", struct.pack(">II", width, height) + bytes([8, 2, 0, 0, 0])), (b"IDAT", zlib.compress(b"\0"))]
    packed = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + packed


def tensors(place: Place, change: Callable[[dict[str, torch.Tensor]], Any], **metadata: str) -> Any:
    found = read_weights(place.weights)
    change(found)
    save_file(found, place.weights, {"format": "pyrodis.weights", "format_version": "1"} | metadata)
    return load(place)


class Items(list[Any]):
    """A data set of given items."""


def items(*spoilt: Any, at: int = 5) -> Items:
    """Good items but for one, which is not the first."""
    data: list[Any] = [{"x": torch.full((5, 1, 8, 8), 0.5)} for _ in range(12)]
    data[at : at + 1] = spoilt
    return Items(data)


def npy(shape: str, dtype: str = "|u1", body: bytes = b"\0" * 640) -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body


def clip(name: str, contents: bytes) -> Callable[[Place], Any]:
    return lambda place: read_clip(write(place.folder / name, contents), num_frames=2, size=8, cache=place.folder / "c")


def image(contents: bytes, name: str = "a.png") -> Callable[[Place], Any]:
    return lambda place: ImageFolder(write(place.folder / "i" / name, contents).parent)[0]


def link(place: Place) -> Any:
    folder = place.folder / "videos"
    folder.mkdir()
    (folder / "a.mp4").symlink_to(place.folder / "gone.mp4")
    return VideoFolder(folder, cache=place.folder / "c")


def pipe(place: Place) -> Any:
    folder = place.folder / "videos"
    folder.mkdir()
    os.mkfifo(folder / "a.mp4")
    return VideoFolder(folder, cache=place.folder / "c")


def moving_mnist(contents: bytes) -> Callable[[Place], Any]:
    return lambda place: MovingMNIST(write(place.folder / "MovingMNIST" / "mnist_test_seq.npy", contents).parent.parent)


def huge(place: Place) -> Any:
    """Sizes of 4 TB beside weights of a few kB."""
    place.change_model(static_dim=10**6)
    decoder = json.loads((place.run / "config.json").read_text())["model"]["arguments"]["decoder"]
    decoder["arguments"] |= {"code_dim": 10**6 + 2, "base_channels": 10**6}
    return load(place.change_model(decoder=decoder))


Case = tuple[Callable[[Place], Any], type[Exception], str]
UNREADABLE = r"PATH/run/checkpoints/last\.ckpt cannot be read, it is truncated or no checkpoint of pyrodis \(\w+\); remove it, or start again with overwrite=True"
LACKS = r"PATH/run/checkpoints/last\.ckpt lacks a part of a checkpoint \({}\); it was changed or damaged"
NO_TENSORS = r"PATH/run/weights\.safetensors cannot be read, it is truncated or no safetensors file: .*"
NO_ARRAY = r"PATH/a\.npy must be a whole \.npy file, got: .*; replace or remove it"
NO_IMAGE = r"PATH/i/a\.png must be a whole image file, got {}; remove or replace it"
OWN = r"pass your own objects with load\(run, model=\.\.\., guide=\.\.\.\)"

RUNS: dict[str, Case] = {
    "no directory": (
        lambda p: pyrodis.load(p.folder / "no"),
        FileNotFoundError,
        r"PATH/no/config\.json does not exist; give the directory of a run",
    ),
    "a directory of something else": (
        lambda p: pyrodis.load(p.folder),
        FileNotFoundError,
        r"PATH/config\.json does not exist; give the directory of a run",
    ),
    "empty settings": (
        config_of(""),
        ValueError,
        r"PATH/run/config\.json cannot be read, it is no JSON: Expecting value: .*",
    ),
    "settings in no encoding": (
        config_of(b"\xff\xfe{"),
        ValueError,
        r"PATH/run/config\.json cannot be read, it is no JSON: 'utf-8' codec .*",
    ),
    "settings that are a list": (
        config_of("[1]"),
        ValueError,
        r'PATH/run/config\.json does not describe a run of pyrodis: it lacks "format": "pyrodis\.run"',
    ),
    "settings that are a number": (
        config_of("NaN"),
        ValueError,
        r"PATH/run/config\.json does not describe a run of pyrodis: .*",
    ),
    "settings nested without end": (
        config_of("[" * 200_000),
        ValueError,
        r"PATH/run/config\.json cannot be read, it is no JSON: .*",
    ),
    "settings of another program": (
        lambda p: load(p.configure(format="other")),
        ValueError,
        r"PATH/run/config\.json does not describe a run of pyrodis: .*",
    ),
    "settings of a later version": (
        lambda p: load(p.configure(format_version=2)),
        ValueError,
        r"PATH/run/config\.json has format version 2, this pyrodis reads up to 1; upgrade pyrodis",
    ),
    "settings of version one in words": (
        lambda p: load(p.configure(format_version="one")),
        ValueError,
        r"PATH/run/config\.json has format version one, this pyrodis reads up to 1; upgrade pyrodis",
    ),
    "a model that is text": (
        lambda p: load(p.configure(model="DSVAE")),
        ValueError,
        r"PATH/run/config\.json lacks its part 'model'; it was changed or damaged",
    ),
    "a model without class": (
        lambda p: load(p.configure(model={})),
        ValueError,
        r"a description must hold 'class' and 'arguments', got \{\}",
    ),
    "a command as class": (
        lambda p: load(p.configure(model={"class": "os.system", "arguments": {"command": f"touch {MARK}"}})),
        ValueError,
        rf"'os\.system' is not a class of pyrodis; {OWN}",
    ),
    "code as class": (
        lambda p: load(p.configure(model={"class": f"__import__('os').mknod('{MARK}')", "arguments": {}})),
        ValueError,
        rf".* is not a class of pyrodis; {OWN}",
    ),
    "a class of torch": (
        lambda p: load(
            p.configure(model={"class": "torch.nn.Linear", "arguments": {"in_features": 1, "out_features": 1}})
        ),
        ValueError,
        rf"'torch\.nn\.Linear' is not a class of pyrodis; {OWN}",
    ),
    "a stranger inside": (
        lambda p: load(p.change_model(decoder={"class": "builtins.exec", "arguments": {"source": "1"}})),
        ValueError,
        rf"'builtins\.exec' is not a class of pyrodis; {OWN}",
    ),
    "a stranger in a sequence": (
        lambda p: load(
            p.change_model(
                prior={
                    "class": "torch.nn.Sequential",
                    "arguments": {"modules": [{"class": "evil.Module", "arguments": {}}]},
                }
            )
        ),
        ValueError,
        rf"'evil\.Module' is not a class of pyrodis; {OWN}",
    ),
    "a sequence that is none": (
        lambda p: load(p.change_model(prior={"class": "torch.nn.Sequential", "arguments": {"modules": "x"}})),
        ValueError,
        r"the arguments of torch\.nn\.Sequential must hold a list 'modules' alone, got \{'modules': 'x'\}",
    ),
    "no arguments": (
        lambda p: load(p.configure(model={"class": "DSVAE", "arguments": None})),
        ValueError,
        r"the arguments of DSVAE were not recorded; .*",
    ),
    "too few arguments": (
        lambda p: load(p.configure(model={"class": "DSVAE", "arguments": {}})),
        ValueError,
        r"DSVAE cannot be built from its recorded arguments: .* missing .*",
    ),
    "an unknown argument": (
        lambda p: load(p.change_model(evil=1)),
        ValueError,
        r"DSVAE has no argument evil; the description was changed or is of another version",
    ),
    "text for a network": (
        lambda p: load(p.configure(guide={"class": "FactorizedGuide", "arguments": {"encoder": "x"}})),
        ValueError,
        r"FactorizedGuide cannot be built from its recorded arguments: .*",
    ),
    "text for a prior": (
        lambda p: load(p.change_model(prior="x")),
        ValueError,
        r"DSVAE cannot be built from its recorded arguments: prior must be a module, got 'x' of type str",
    ),
    "a negative size": (
        lambda p: load(p.change_model(static_dim=-1)),
        ValueError,
        r"static_dim must be a positive whole number, got -1; pass 1 or more",
    ),
    "sizes beyond all memory": (
        huge,
        ValueError,
        r"PATH/run/weights\.safetensors holds model\.decoder\.\S+ of shape \(.*\), expected \(.*10000\d\d.*\); build model and guide with the sizes of the run",
    ),
    "no weights": (
        lambda p: (p.weights.unlink(), load(p)),
        FileNotFoundError,
        r"PATH/run/weights\.safetensors does not exist; a run writes it when its first epoch ends",
    ),
    "empty weights": (lambda p: (write(p.weights, b""), load(p)), ValueError, NO_TENSORS),
    "half of the weights": (
        lambda p: (write(p.weights, p.weights.read_bytes()[:900]), load(p)),
        ValueError,
        NO_TENSORS,
    ),
    "a pickle as weights": (lambda p: (write(p.weights, pickle.dumps(Bomb())), load(p)), ValueError, NO_TENSORS),
    "a checkpoint as weights": (lambda p: (shutil.copy(p.last, p.weights), load(p)), ValueError, NO_TENSORS),
    "a header of petabytes": (
        lambda p: (write(p.weights, struct.pack("<Q", 2**50) + b"{}"), load(p)),
        ValueError,
        NO_TENSORS,
    ),
    "weights of another program": (
        lambda p: (save_file({"w": torch.ones(1)}, p.weights), load(p)),
        ValueError,
        r"PATH/run/weights\.safetensors was not written by pyrodis: its format is None, expected 'pyrodis\.weights'",
    ),
    "weights of a later version": (
        lambda p: tensors(p, lambda w: None, format_version="9"),
        ValueError,
        r"PATH/run/weights\.safetensors has format version 9, this pyrodis reads up to 1; upgrade pyrodis",
    ),
    "weights of version ²": (
        lambda p: tensors(p, lambda w: None, format_version="²"),
        ValueError,
        r"PATH/run/weights\.safetensors has format version ², this pyrodis reads up to 1; upgrade pyrodis",
    ),
    "a weight too few": (
        lambda p: tensors(p, lambda w: w.pop(sorted(w)[0])),
        ValueError,
        r"PATH/run/weights\.safetensors has no weights for guide\.\S+; it belongs to another model or guide",
    ),
    "a weight too many": (
        lambda p: tensors(p, lambda w: w.update(extra=torch.ones(1))),
        ValueError,
        r"PATH/run/weights\.safetensors holds extra, which neither model nor guide has; it belongs to another pair",
    ),
    "a weight of another shape": (
        lambda p: tensors(p, lambda w: w.update({sorted(w)[0]: torch.ones(7)})),
        ValueError,
        r"PATH/run/weights\.safetensors holds \S+ of shape \(7,\), expected \(.*\); build model and guide with the sizes of the run",
    ),
    "scores that are no JSON": (
        lambda p: (write(p.run / "metrics.json", "{"), pyrodis.write_card(p.run)),
        ValueError,
        r"PATH/run/metrics\.json cannot be read, .*",
    ),
    "scores that are a list": (
        lambda p: (write(p.run / "metrics.json", "[1]"), pyrodis.write_card(p.run)),
        ValueError,
        r"PATH/run/metrics\.json cannot be read, .*",
    ),
    "scores of text": (
        lambda p: (
            write(
                p.run / "metrics.json",
                '{"a": {"value": "x", "low": 1, "high": 2, "num": 3, "chance": null, "ceiling": null}}',
            ),
            pyrodis.write_card(p.run),
        ),
        ValueError,
        r"PATH/run/metrics\.json cannot be read, .*",
    ),
    "a history of text": (
        lambda p: (write(p.run / "history.csv", "epoch,a\n1,x\n"), pyrodis.write_card(p.run)),
        ValueError,
        r"PATH/run/history\.csv cannot be read, .*",
    ),
    "a file as run": (
        lambda p: fit(output=write(p.folder / "f", "x")),
        NotADirectoryError,
        r"output must be a directory, PATH/f is a file; choose another path",
    ),
    "somebody's files as run": (
        lambda p: fit(output=write(p.folder / "s" / "history.csv", "x").parent),
        FileExistsError,
        r"PATH/s holds history\.csv but no config\.json, so it is no run of pyrodis; choose another output directory",
    ),
    "a run of others": (
        lambda p: (p.configure(format="other"), fit(output=p.run, overwrite=True)),
        ValueError,
        r"PATH/run/config\.json does not describe a run of pyrodis: .*",
    ),
}
CHECKPOINTS: dict[str, Case] = {
    "a pickle": (lambda p: resume(p.only_checkpoint(pickle.dumps(Bomb()))), ValueError, UNREADABLE),
    "a pickle in a zip file": (
        lambda p: resume(p.only_checkpoint(zipped({"a/data.pkl": pickle.dumps(Bomb())}, zipfile.ZIP_STORED))),
        ValueError,
        UNREADABLE,
    ),
    "a zip file that unpacks to gigabytes": (
        lambda p: resume(p.only_checkpoint(zipped({"a/data.pkl": b"\0" * 10**7}))),
        ValueError,
        UNREADABLE,
    ),
    "no bytes": (lambda p: resume(p.only_checkpoint(b"")), ValueError, UNREADABLE),
    "half of it": (lambda p: resume(p.only_checkpoint(p.last.read_bytes()[:5000])), ValueError, UNREADABLE),
    "a checkpoint of others": (
        lambda p: resume(p.only_checkpoint({"state_dict": {}})),
        ValueError,
        r"PATH/run/checkpoints/last\.ckpt was not written by pyrodis: its format is None, expected 'pyrodis\.checkpoint'",
    ),
    "a tensor": (
        lambda p: (torch.save(torch.ones(1), p.last), resume(p)),
        ValueError,
        r"PATH/run/checkpoints/last\.ckpt was not written by pyrodis: .*",
    ),
    "a later version": (
        lambda p: resume(p.only_checkpoint(format_version=7)),
        ValueError,
        r"PATH/run/checkpoints/last\.ckpt has format version 7, this pyrodis reads up to 1; upgrade pyrodis",
    ),
    "no weights": (lambda p: resume(p.only_checkpoint(weights=None)), ValueError, LACKS.format("weights by name")),
    "weights that are numbers": (
        lambda p: resume(p.only_checkpoint(weights={"a": 1})),
        ValueError,
        LACKS.format("weights by name"),
    ),
    "weights of others": (
        lambda p: resume(p.only_checkpoint(weights={"a": torch.ones(1)})),
        ValueError,
        r"PATH/run/checkpoints/last\.ckpt has no weights for model\.\S+; it belongs to another model or guide",
    ),
    "an optimizer that is a list": (
        lambda p: resume(p.only_checkpoint(optimizer=[])),
        ValueError,
        LACKS.format("the optimizer's state"),
    ),
    "an optimizer of others": (
        lambda p: resume(p.only_checkpoint(optimizer={"state": {}, "param_groups": [{"params": [0]}]})),
        ValueError,
        r"the optimizer's state of the checkpoint must be that of this training, got another \(.*\); start again with overwrite=True",
    ),
    "no state": (
        lambda p: resume(p.only_checkpoint(state=None)),
        ValueError,
        LACKS.format("where the training stands"),
    ),
    "a state with more": (lambda p: resume(p.state(evil=1)), ValueError, LACKS.format("where the training stands")),
    "a step in words": (lambda p: resume(p.state(step="two")), ValueError, LACKS.format("step")),
    "rows that are text": (lambda p: resume(p.state(rows="x", sums=[])), ValueError, LACKS.format("sums, rows")),
    "a step beyond the end": (
        lambda p: resume(p.state(step=10**6, finished="")),
        ValueError,
        r"first_step must be in \[0, 9\], got 1000000",
    ),
}
DATA: dict[str, Case] = {
    "NaN": (
        lambda p: fit(X * float("nan")),
        ValueError,
        r"train must be in \[0, 1\] without NaN, got NaN; remove or fill the broken frames first",
    ),
    "frames of 0 to 255": (
        lambda p: fit(X * 255),
        ValueError,
        r"train must be in \[0, 1\] without NaN, got values from 127\.5 to 127\.5; scale the frames",
    ),
    "complex frames": (
        lambda p: fit(X.to(torch.complex64)),
        TypeError,
        r"train must be float in \[0, 1\], got torch\.complex64; convert bytes with x\.float\(\) / 255",
    ),
    "clips without frames": (
        lambda p: fit(X[:, :0]),
        ValueError,
        r"train is empty, its shape is \(6, 0, 1, 8, 8\); give it at least one sequence",
    ),
    "an array": (
        lambda p: fit(X.numpy()),
        TypeError,
        r"train must be a tensor or a data set, got an array; convert it with torch\.as_tensor",
    ),
    "a generator": (lambda p: fit(iter(X)), TypeError, r"train must be a tensor or a data set with a length, got \w+"),
    "items that are tensors": (
        lambda p: fit(Items(X)),
        TypeError,
        r"items of train must be dicts with a tensor \"x\" \(T, C, H, W\), got Tensor",
    ),
    "an item with NaN": (
        lambda p: fit(items({"x": X[0] * float("nan")}, at=_place_of_step(4))),
        FloatingPointError,
        r"the loss term '\w+' became nan at epoch 1, step 5, as train\[\d+\]\['x'\] holds NaN or infinity; mend that item; no checkpoint was written before it",
    ),
    "an item of another length": (
        lambda p: fit(items({"x": X[0, :3]})),
        ValueError,
        r"items of a batch must have 'x' of one shape, got \(5, 1, 8, 8\) and \(3, 1, 8, 8\); cut or pad them; no checkpoint .*|.*cut or pad them",
    ),
    "an item without x": (
        lambda p: fit(items({"y": X[0]})),
        ValueError,
        r"items must hold a tensor 'x', one of a batch has y; look at every item of the data",
    ),
    "an item that is an array": (
        lambda p: fit(items({"x": X[0].numpy()})),
        ValueError,
        r"items must hold a tensor 'x', one of a batch has x of type ndarray; look at every item of the data",
    ),
    "an item in bytes among floats": (
        lambda p: fit(items({"x": (X[0] * 255).byte()})),
        ValueError,
        r"items of a batch must have 'x' of one type, got .*",
    ),
    "an index beyond the end": (
        lambda p: FlatScenes(num_images=3)[3],
        IndexError,
        r"index must lie in \[-3, 3\), got 3.*",
    ),
    "an index of a half": (
        lambda p: FlatScenes(num_images=3)[1.5],
        TypeError,
        r"index must be a whole number, got 1\.5; ask for one clip at a time",
    ),
    "a subset beyond the end": (lambda p: ClipSubset(FlatScenes(num_images=3), [7]), ValueError, r".*7.*"),
    "no digits": (lambda p: MovingDigits(BundledDigits(), num_digits=0), ValueError, r"num_digits must be .*, got 0.*"),
    "a file of clips that is pickled": (
        moving_mnist(pickle.dumps(Bomb())),
        ValueError,
        r"PATH/MovingMNIST/mnist_test_seq\.npy must be a whole file of clips uint8 \(20, N, 64, 64\), got one that cannot be read \(.*\); replace it",
    ),
    "a file of clips that is short": (
        moving_mnist(npy("(20, 99, 64, 64)")),
        ValueError,
        r"PATH/MovingMNIST/mnist_test_seq\.npy must be a whole file of clips .*",
    ),
    "objects in an array": (clip("a.npy", npy("(3,)", "|O", pickle.dumps(Bomb()))), ValueError, NO_ARRAY),
    "a shape of exabytes": (clip("a.npy", npy("(4, 1000000000000, 1000000)")), ValueError, NO_ARRAY),
    "a shape beyond all numbers": (clip("a.npy", npy(f"({'9' * 60}, 8, 8)")), ValueError, NO_ARRAY),
    "a negative shape": (clip("a.npy", npy("(-4, 8, 8)")), ValueError, NO_ARRAY),
    "a header of code": (clip("a.npy", npy(f"__import__('os').mknod('{MARK}')")), ValueError, NO_ARRAY),
    "a header that does not end": (clip("a.npy", npy("((((((3")), ValueError, NO_ARRAY),
    "an archive of text": (
        clip("a.npz", zipped({"clip.npy": b"text"})),
        ValueError,
        r"PATH/a\.npz must be a whole \.npz file, got: .*; replace or remove it",
    ),
    "a video that is text": (
        clip("a.mp4", b"no video"),
        ValueError,
        r"PATH/a\.mp4 must be a whole \.mp4 file, got: .*; replace or remove it",
    ),
    "a GIF that ends": (clip("a.gif", b"GIF89a\x08\x00\x08\x00\x80\x00\x00"), ValueError, r"PATH/a\.gif must .*"),
    "a link to nothing": (
        link,
        ValueError,
        r"PATH/videos must hold a clip that can be read, got none: PATH/videos/a\.mp4 must be a video or a folder of images that exists; .*",
    ),
    "a pipe": (
        pipe,
        ValueError,
        r"PATH/videos must hold a clip that can be read, got none: PATH/videos/a\.mp4 must be a video or a folder of images that exists; .*",
    ),
    "PostScript named as a picture": (
        image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nquit\n"),
        ValueError,
        NO_IMAGE.format("no image"),
    ),
    "a picture that ends": (image(png(8, 8)[:40]), ValueError, NO_IMAGE.format(".*")),
    "a picture of 60,000 squared": (image(png(60_000, 60_000)), ValueError, NO_IMAGE.format(".*")),
    "a picture of 9,000 squared": (
        image(png(9_000, 9_000)),
        ValueError,
        NO_IMAGE.format("9000 x 9000 pixels, more than 33,554,432"),
    ),
}
CODES_AND_MASKS: dict[str, Case] = {
    "codes with NaN": (
        lambda p: mig(CODES * float("nan"), FACTORS),
        ValueError,
        r"codes must be finite, got 60 NaN or infinite values; find what produced them",
    ),
    "codes of text": (
        lambda p: mig(CODES.astype(str), FACTORS),
        TypeError,
        r"codes must hold real numbers, got dtype <U\d+; convert it first",
    ),
    "codes as a list": (
        lambda p: sap(CODES.tolist(), FACTORS),
        TypeError,
        r"codes must be a numpy array or a torch tensor, got list; convert it first",
    ),
    "fewer factors than codes": (
        lambda p: dci(CODES, FACTORS[:7]),
        ValueError,
        r"factors must have shape \(20, F\) beside codes of shape \(20, 3\), got \(7, 2\); pass one row for each row of codes",
    ),
    "a factor that is constant": (
        lambda p: mig(CODES, FACTORS * 0),
        ValueError,
        r"factors must vary, got only 0 for 'factor_0'; drop the constant factor",
    ),
    "a class that does not exist": (
        lambda p: factor_accuracies(FACTORS + 9, FACTORS, ("a", "b"), (2, 3)),
        ValueError,
        r"predictions of a must hold classes 0 to 1, got values from 9 to 10; check the factor sizes",
    ),
    "masks that overlap": (
        lambda p: adjusted_rand_index(np.ones((2, 3, 4, 4), bool), np.ones((2, 3, 4, 4))),
        ValueError,
        r".*mask.*",
    ),
    "masks of other frames": (
        lambda p: adjusted_rand_index(np.ones((2, 1, 4, 4), bool), np.ones((3, 1, 4, 4))),
        ValueError,
        r".*must.*",
    ),
    "a decoder of another size": (
        lambda p: DSVAE(ConvDecoder(9, (1, 8, 8), 2), StandardPrior(2), NormalPixels(), 3, 2),
        ValueError,
        r"decoder\.code_dim must be static_dim \+ dynamic_dim = 5, got 9.*",
    ),
    "a rate of NaN": (
        lambda p: FitSettings(learning_rate=float("nan")),
        ValueError,
        r"learning_rate must be a finite number above 0, got nan",
    ),
    "epochs of a half": (
        lambda p: FitSettings(num_epochs=2.5),
        TypeError,
        r"num_epochs must be a whole number of at least 1, got 2\.5",
    ),
    "a weight below zero": (
        lambda p: FitSettings(kl_weights={"z": -1}),
        ValueError,
        r"kl_weights\['z'\] must be a finite number of at least 0, got -1",
    ),
    "batch_size as input": (
        lambda p: FitSettings(inputs=("batch_size",)),
        ValueError,
        r"inputs must be names that differ, none \"x\" or \"batch_size\", got \('batch_size',\)",
    ),
}
COMMANDS: dict[str, tuple[Callable[[Place], list[str]], int, str]] = {
    "info on nothing": (
        lambda p: ["info", str(p.folder / "no")],
        1,
        r"pyrodis info: error: PATH/no/config\.json does not exist; give the directory of a run",
    ),
    "info on data that are text": (
        lambda p: ["info", str(p.configure(data={"train": "x"}).run)],
        1,
        r"pyrodis info: error: PATH/run/config\.json .*",
    ),
    "info on settings without versions": (
        lambda p: ["info", str(p.configure(versions=3).run)],
        1,
        r"pyrodis info: error: PATH/run/config\.json .*",
    ),
    "info on scores that are text": (
        lambda p: (write(p.run / "metrics.json", '"x"'), ["info", str(p.run)])[1],
        1,
        r"pyrodis info: error: PATH/run/metrics\.json must hold scores .*",
    ),
    "info on a history of text": (
        lambda p: (write(p.run / "history.csv", "seconds\nlong\n"), ["info", str(p.run)])[1],
        1,
        r"pyrodis info: error: PATH/run/history\.csv .*",
    ),
    "swap in a run without videos": (
        lambda p: ["swap", str(p.run), "0", "1"],
        1,
        r"pyrodis swap: error: the run must be of pyrodis fit to know its clips, got another; pass --data FOLDER",
    ),
    "swap of clips that are gone": (
        lambda p: ["swap", str(p.run), "a.mp4", "b.mp4"],
        1,
        r"pyrodis swap: error: a\.mp4 must be a video or a folder of images that exists; .*",
    ),
    "swap with a shape of text": (
        lambda p: [
            "swap",
            str(p.configure(data={"train": {"frame_shape": "big", "num_frames": 5}}).run),
            "a.mp4",
            "b.mp4",
        ],
        1,
        r"pyrodis swap: error: .*",
    ),
    "sample of a stranger": (
        lambda p: ["sample", str(p.configure(model={"class": "os.system", "arguments": {}}).run)],
        1,
        r"pyrodis sample: error: 'os\.system' is not a class of pyrodis; .*",
    ),
    "fit on nothing": (
        lambda p: ["fit", str(p.folder / "no"), "--output", str(p.folder / "out")],
        1,
        r"pyrodis fit: error: root must be a folder of videos, got PATH/no, which is none; give another path",
    ),
    "fit on an empty folder": (
        lambda p: ["fit", str(write(p.folder / "v" / "a.txt", "x").parent), "--output", str(p.folder / "out")],
        1,
        r"pyrodis fit: error: PATH/v must hold videos .*",
    ),
    "fit on bad videos alone": (
        lambda p: ["fit", str(write(p.folder / "v" / "a.mp4", "x").parent), "--output", str(p.folder / "out")],
        1,
        r"pyrodis fit: error: PATH/v must hold a clip that can be read, got none: PATH/v/a\.mp4 must be .*",
    ),
    "evaluate weights that are a pickle": (
        lambda p: (write(p.weights, pickle.dumps(Bomb())), ["evaluate", str(p.run)])[1],
        1,
        r"pyrodis evaluate: error: PATH/run/weights\.safetensors cannot be read, .*",
    ),
}
CASES = {
    f"{group}: {name}": case
    for group, cases in (("run", RUNS), ("checkpoint", CHECKPOINTS), ("data", DATA), ("argument", CODES_AND_MASKS))
    for name, case in cases.items()
}


def _place_of_step(step: int) -> int:
    from pyrodis.infer.sampler import StepBatchSampler

    return max(next(iter(StepBatchSampler(12, SETTINGS.batch_size, SETTINGS.seed, step, step + 1))))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "run"
    fit(output=run)
    return run


@pytest.fixture
def place(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, Path(shutil.copytree(finished, tmp_path / "run")))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_a_hostile_input_gets_its_sentence(name: str, place: Place) -> None:
    act, kind, expected = CASES[name]
    with pytest.raises(kind) as caught:
        act(place)
    sentence = str(caught.value).replace(str(place.folder), "PATH")
    assert type(caught.value) is kind
    assert re.fullmatch(expected, sentence), sentence
    assert "\n" not in sentence
    assert len(sentence) < 400
    where = traceback.extract_tb(caught.value.__traceback__)[-1].filename
    assert where.startswith(LIBRARY), f"raised deep inside, in {where}"
    assert not (place.folder / MARK).exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_hostile_command_gets_its_sentence(name: str, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    words, code, expected = COMMANDS[name]
    assert main(words(place)) == code
    said = capsys.readouterr().err.replace(str(place.folder), "PATH").strip()
    assert re.fullmatch(expected, said.splitlines()[-1]), said
    assert "Traceback" not in said
    assert not (place.folder / MARK).exists()


def test_there_are_sixty() -> None:
    assert len(CASES) + len(COMMANDS) >= 60


def test_the_bomb_goes_off_where_it_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Bomb()))
    assert (tmp_path / MARK).exists()


def test_the_place_is_good_before_it_is_spoilt(place: Place) -> None:
    guide = load(place)[1]
    assert pyrodis.encode(guide, X[:1])["f"].shape == (1, 3)
    assert resume(place).finished == "all steps"


def test_a_judge_out_of_a_pickle_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "judge.safetensors", pickle.dumps(Bomb()))
    assert load_cached(Judge((1, 8, 8), (2,), 2), path) is None
    assert not (tmp_path / MARK).exists()


def test_an_archive_is_read_in_place(tmp_path: Path) -> None:
    """Nothing of it is unpacked to where its names point."""
    archive = zipped({"../../out.npy": npy("(4, 8, 8)", body=b"\0" * 256), "../../evil.txt": b"x"})
    path = write(tmp_path / "a" / "b" / "clip.npz", archive)
    assert read_clip(path, num_frames=2, size=8, cache=tmp_path / "cache").shape == (2, 3, 8, 8)
    assert {file.name for file in tmp_path.rglob("*") if file.suffix in (".npy", ".txt")} == set()
