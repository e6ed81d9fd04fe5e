"""Bad input, over the whole library: each is refused at the edge with one short sentence that says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import pyrodis
from pyrodis.datasets import ProceduralSprites, Sprites
from pyrodis.datasets.download import SPRITES_SHA256
from pyrodis.distributions import AutoregressiveNormal
from pyrodis.guides import FactorizedGuide, FullGuide
from pyrodis.infer.elbo import NamedELBO
from pyrodis.infer.judge import Judge
from pyrodis.infer.settings import FitSettings
from pyrodis.metrics import mean_score
from pyrodis.models import DSVAE, LSTMPrior, NormalPixels, StandardPrior
from pyrodis.nn import BidirectionalLSTM, ConvDecoder, ConvEncoder, LocScale, RecurrentTransition
from pyrodis.regularizers import temporal_difference
from pyrodis.testing import tiny_dsvae

MODEL, GUIDE = tiny_dsvae()
X = torch.full((2, 5, 1, 8, 8), 0.5)
LATENTS = {"f": torch.zeros(2, 3), "z": torch.zeros(2, 5, 2)}


def model_of(static_dim: Any = 3, dynamic_dim: Any = 2, code_dim: int = 5, **rest: Any) -> DSVAE:
    return DSVAE(ConvDecoder(code_dim, (1, 8, 8), 2), StandardPrior(2), NormalPixels(), static_dim, dynamic_dim, **rest)


def guide_of(**rest: Any) -> FullGuide:
    return FullGuide(ConvEncoder((1, 8, 8), 4, base_channels=2), **{"static_dim": 3, "dynamic_dim": 2, **rest})


def slow(output: Any) -> torch.Tensor:
    return temporal_difference(output["z"])


def broken(value: float) -> torch.Tensor:
    x = X.clone()
    x[0, 0, 0, 0, 0] = value
    return x


def loss(model: nn.Module, guide: nn.Module, x: Any = X) -> float:
    return NamedELBO().loss(model, guide, x)


def fit(train: Any = X, **rest: Any) -> Any:
    settings = FitSettings(**{"num_epochs": 1, "batch_size": 2, "device": "cpu", **rest.pop("settings", {})})
    return pyrodis.fit(*tiny_dsvae(), train, settings=settings, **rest)


# What is done, the error, and a part of its sentence.
CASES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    # Clips.
    "rank 4": (
        lambda: pyrodis.encode(GUIDE, X[0]),
        ValueError,
        r"x must have shape (B, T, C, H, W), got (5, 1, 8, 8); one clip is",
    ),
    "rank 3": (lambda: GUIDE(X[0, 0]), ValueError, "x must have shape (B, T, C, H, W), got (1, 8, 8)"),
    "rank 6": (lambda: MODEL(X[None]), ValueError, "x must have shape (B, T, C, H, W)"),
    "channels": (lambda: GUIDE(X.expand(2, 5, 3, 8, 8)), ValueError, "(C, H, W) = (1, 8, 8), got (3, 8, 8)"),
    "channels of the model": (lambda: MODEL(X.expand(2, 5, 3, 8, 8)), ValueError, "(1, 8, 8), got (3, 8, 8)"),
    "size": (lambda: pyrodis.encode(GUIDE, torch.rand(2, 5, 1, 16, 16)), ValueError, "got (1, 16, 16); resize"),
    "size of the model": (lambda: MODEL(torch.rand(2, 5, 1, 16, 16)), ValueError, "got (1, 16, 16); resize"),
    "size in the objective": (lambda: loss(MODEL, GUIDE, torch.rand(2, 5, 1, 16, 16)), ValueError, "got (1, 16, 16)"),
    "size of the judge": (
        lambda: Judge((1, 8, 8), (2,), 2)(torch.rand(2, 5, 1, 16, 16)),
        ValueError,
        "got (1, 16, 16)",
    ),
    "nan latents": (
        lambda: pyrodis.decode(MODEL, {"f": torch.full((2, 3), torch.nan), "z": torch.zeros(2, 5, 2)}),
        ValueError,
        "latent 'f' must be finite",
    ),
    "a guide to decode": (
        lambda: pyrodis.decode(GUIDE, {"f": torch.zeros(2, 3)}),
        ValueError,
        "pass the model, not the guide",
    ),
    "a model to encode": (lambda: pyrodis.encode(MODEL, X), ValueError, "pass the guide instead of the model"),
    "take nothing": (
        lambda: pyrodis.swap(MODEL, GUIDE, X, X, take=None),
        TypeError,
        "take must be a list of site names, got None",
    ),
    "all frozen": (
        lambda: pyrodis.fit(*(p.requires_grad_(False) for p in tiny_dsvae()), X),
        ValueError,
        "must have a parameter to train",
    ),
    "bytes": (lambda: pyrodis.encode(GUIDE, X.byte()), TypeError, "got torch.uint8; use x.float() / 255"),
    "whole numbers": (lambda: GUIDE(X.long()), TypeError, "got torch.int64"),
    "an array": (lambda: pyrodis.encode(GUIDE, X.numpy()), TypeError, "got ndarray; convert it with torch.as_tensor"),
    "range": (lambda: pyrodis.encode(GUIDE, 255 * X), ValueError, "[0, 1], got values from 127.5 to 127.5; divide"),
    "negative": (lambda: pyrodis.encode(GUIDE, X - 1), ValueError, "must lie in [0, 1], got values from -0.5"),
    "NaN": (lambda: pyrodis.encode(GUIDE, broken(float("nan"))), ValueError, "x contains NaN"),
    "infinity": (lambda: pyrodis.encode(GUIDE, broken(float("inf"))), ValueError, "got values from 0.5 to inf"),
    "no clips": (lambda: pyrodis.encode(GUIDE, X[:0]), ValueError, "must not be empty, got shape (0, 5, 1, 8, 8)"),
    "no frames": (lambda: loss(MODEL, GUIDE, X[:, :0]), ValueError, "must not be empty, got shape (2, 0, 1, 8, 8)"),
    "double precision": (
        lambda: pyrodis.encode(GUIDE, X.double()),
        TypeError,
        "frames must be torch.float32 as the network's weights are, got torch.float64; use frames.to(torch.float32)",
    ),
    "codes of double precision": (
        lambda: pyrodis.decode(MODEL, {s: v.double() for s, v in pyrodis.encode(GUIDE, X).items()}),
        TypeError,
        "codes must be torch.float32 as the network's weights are, got torch.float64",
    ),
    # Sizes of models, guides and networks.
    "negative size": (
        lambda: guide_of(static_dim=-1),
        ValueError,
        "static_dim must be a positive whole number, got -1",
    ),
    "zero size": (lambda: guide_of(dynamic_dim=0), ValueError, "dynamic_dim must be a positive whole number, got 0"),
    "size of a half": (
        lambda: guide_of(hidden_dim=1.5),
        TypeError,
        "hidden_dim must be a positive whole number, got 1.5",
    ),
    "size of True": (lambda: model_of(static_dim=True), TypeError, "got True of type bool"),
    "no frames to draw": (lambda: model_of(num_frames=0), ValueError, "num_frames must be a positive whole number"),
    "decoder's size": (
        lambda: model_of(code_dim=6),
        ValueError,
        "decoder.code_dim must be static_dim + dynamic_dim = 5, got 6",
    ),
    "prior's size": (lambda: model_of(2, 3), ValueError, "prior.dynamic_dim must be dynamic_dim = 3, got 2"),
    "encoder without size": (lambda: FactorizedGuide(nn.Identity(), 3, 2), TypeError, "encoder.feature_dim must be"),
    "frame shape": (lambda: ConvEncoder((3, 48, 48)), ValueError, "a power of two of at least 8, got (3, 48, 48)"),
    "frame not square": (lambda: ConvDecoder(4, (3, 64, 32)), ValueError, "with H = W a power of two"),
    "small frame": (lambda: ConvEncoder((3, 4, 4)), ValueError, "at least 8, got (3, 4, 4)"),
    "frame of one number": (lambda: ConvEncoder(64), TypeError, "frame_shape must be three whole numbers"),
    "frame of halves": (lambda: ConvEncoder((3, 8.5, 8.5)), TypeError, "frame_shape must be three whole numbers"),
    "output bias": (
        lambda: ConvDecoder(4, (1, 8, 8), 2, output_bias=float("nan")),
        ValueError,
        "output_bias must be a finite number, got nan",
    ),
    "code size": (lambda: ConvDecoder(4, (1, 8, 8), 2)(torch.zeros(2, 5)), ValueError, "(..., 4), got (2, 5)"),
    "encoder's frames": (lambda: ConvEncoder((1, 8, 8), 4, 2)(torch.zeros(2, 3, 8, 8)), ValueError, "got (2, 3, 8, 8)"),
    "prior of no size": (lambda: LSTMPrior(0), ValueError, "dynamic_dim must be a positive whole number, got 0"),
    "head of no size": (lambda: LocScale(3, 0), ValueError, "dim must be a positive whole number, got 0"),
    "reader of no size": (lambda: BidirectionalLSTM(3, -2), ValueError, "hidden_dim must be a positive whole number"),
    "context": (
        lambda: AutoregressiveNormal(RecurrentTransition(2, 3), 5, torch.zeros(4, 3)),
        ValueError,
        "with T = 5",
    ),
    "scale of zero": (lambda: NormalPixels(0), ValueError, "scale must be a finite number above 0, got 0"),
    "negative scale": (lambda: NormalPixels(-0.1), ValueError, "scale must be a finite number above 0, got -0.1"),
    "flag of text": (lambda: NormalPixels(0.1, "no"), TypeError, "learn_scale must be True or False, got 'no'"),
    "scale of text": (lambda: NormalPixels("0.1"), TypeError, "scale must be a number above 0, got '0.1' of type str"),
    "neither": (lambda: MODEL(), ValueError, "pass clips x, or batch_size to draw clips from the prior; got neither"),
    "batch of none": (lambda: MODEL(batch_size=0), ValueError, "batch_size must be a positive whole number, got 0"),
    # Pairs, weights, penalties.
    "guide's size": (
        lambda: loss(model_of(4, 2, 6), GUIDE),
        ValueError,
        "site 'f' has event shape (3,) in the guide and (4,)",
    ),
    "site of no one": (lambda: pyrodis.scale_latents(MODEL, {"w": 1.0})(X), ValueError, "['f', 'z'], got ['w']"),
    "weight of data": (lambda: pyrodis.scale_latents(MODEL, {"x": 1.0})(X), ValueError, "['f', 'z'], got ['x']"),
    "negative weight": (
        lambda: pyrodis.scale_latents(MODEL, {"z": -1.0}),
        ValueError,
        "the weight of z must be finite and 0 or",
    ),
    "weight of NaN": (
        lambda: pyrodis.scale_latents(MODEL, {"z": float("nan")}),
        ValueError,
        "must be finite and 0 or more",
    ),
    "weight of a tensor": (
        lambda: pyrodis.scale_latents(MODEL, {"z": torch.ones(())}),
        TypeError,
        "must be a Python number",
    ),
    "one-sided weight": (
        lambda: loss(pyrodis.scale_latents(MODEL, {"z": 2.0}), GUIDE),
        ValueError,
        "wrap both programs",
    ),
    "penalty's weight": (
        lambda: pyrodis.add_penalty(GUIDE, "p", slow, -1, side="guide"),
        ValueError,
        "the weight of p must",
    ),
    "penalty's side": (
        lambda: pyrodis.add_penalty(GUIDE, "p", slow, 1, side="both"),
        ValueError,
        'must be "model" or "guide"',
    ),
    "penalty of a batch": (
        lambda: pyrodis.add_penalty(GUIDE, "p", lambda output: output["z"].sum(), 1, side="guide")(X),
        ValueError,
        "penalty 'p' must have one value per datum",
    ),
    "penalty's sign": (
        lambda: loss(MODEL, pyrodis.add_penalty(GUIDE, "p", slow, 1, side="model")),
        ValueError,
        "must be pyro.factor(name, weight * value, has_rsample=True)",
    ),
    "penalty of no sequence": (
        lambda: temporal_difference(torch.zeros(3)),
        ValueError,
        "z must have shape (..., T, D), got (3,)",
    ),
    # Queries.
    "take as a string": (
        lambda: pyrodis.swap(MODEL, GUIDE, X, X, take="f"),
        TypeError,
        'got the string "f"; write take=["f"]',
    ),
    "take of no one": (lambda: pyrodis.swap(MODEL, GUIDE, X, X, take=["w"]), ValueError, "['f', 'z'], got ['w']"),
    "swap of two shapes": (
        lambda: pyrodis.swap(MODEL, GUIDE, X, X[:1], take=["f"]),
        ValueError,
        "must have the same shape",
    ),
    "swap of no tensor": (
        lambda: pyrodis.swap(MODEL, GUIDE, X, None, take=["f"]),
        TypeError,
        "x_b must be a torch tensor, got",
    ),
    "latents missing": (
        lambda: pyrodis.decode(MODEL, {"f": LATENTS["f"]}),
        ValueError,
        "['f', 'z'], got ['f']; take them from",
    ),
    "latents of other size": (
        lambda: pyrodis.decode(MODEL, {**LATENTS, "f": torch.zeros(2, 4)}),
        ValueError,
        "(..., B, 3), got",
    ),
    "latents of other batch": (
        lambda: pyrodis.decode(MODEL, {**LATENTS, "f": torch.zeros(3, 3)}),
        ValueError,
        "same batch size",
    ),
    "no draws": (
        lambda: pyrodis.encode(GUIDE, X, num_samples=0),
        ValueError,
        "num_samples must be a positive whole number",
    ),
    "half a draw": (
        lambda: pyrodis.sample_prior(MODEL, 0.5),
        TypeError,
        "num_samples must be a positive whole number, got 0.5",
    ),
    # Data, settings, training.
    "split": (
        lambda: ProceduralSprites(split="all"),
        ValueError,
        "split must be one of train, test, fit, validation, got 'all'",
    ),
    "seed": (lambda: ProceduralSprites(seed=-1), ValueError, "seed must lie in [0, "),
    "index": (lambda: ProceduralSprites(split="test")[2664], IndexError, "index must lie in [-2664, 2664), got 2664"),
    "batch of no size": (
        lambda: FitSettings(batch_size=0),
        ValueError,
        "batch_size must be a whole number of at least 1, got 0",
    ),
    "negative rate": (
        lambda: FitSettings(learning_rate=-1e-3),
        ValueError,
        "learning_rate must be a finite number above 0",
    ),
    "schedule": (
        lambda: FitSettings(schedule="linear"),
        ValueError,
        "schedule must be one of 'constant', 'cosine', got 'linear'",
    ),
    "device": (lambda: FitSettings(device="tpu"), ValueError, "device must be one of"),
    "setting of a type": (lambda: FitSettings(num_epochs="3"), TypeError, "num_epochs must be a whole number"),
    "training on nothing": (lambda: fit(X[:0]), ValueError, "train is empty"),
    "training on bytes": (lambda: fit(X.byte()), TypeError, "train must be float in [0, 1], got torch.uint8"),
    "training on a list": (lambda: fit([]), ValueError, "train is empty"),
    "training on NaN": (lambda: fit(broken(float("nan"))), ValueError, "[0, 1] without NaN"),
    "training on other frames": (lambda: fit(torch.rand(2, 5, 1, 16, 16)), ValueError, "got (1, 16, 16); resize"),
    "training a function": (lambda: pyrodis.fit(lambda x: x, GUIDE, X), TypeError, "model must be a torch module"),
    "weights of no one": (
        lambda: fit(settings={"kl_weights": {"w": 1.0}}),
        ValueError,
        "kl_weights names the site 'w'",
    ),
    "patience alone": (lambda: fit(settings={"patience": 2}), ValueError, "patience needs validation data"),
    "resume of nothing": (lambda: fit(resume=True), ValueError, "need a run directory, got output=None"),
    "both at once": (lambda: fit(resume=True, overwrite=True, output="r"), ValueError, "exclude each other"),
    "no run": (lambda: pyrodis.load("nowhere"), FileNotFoundError, "nowhere/config.json does not exist"),
    "scores of nothing": (lambda: mean_score(np.zeros(0), chance=0.0, ceiling=1.0), ValueError, "at least one item"),
    "no such name": (lambda: pyrodis.encod, AttributeError, "module 'pyrodis' has no attribute 'encod'"),
}


def check(act: Callable[[], Any], error: type[Exception], part: str, path: Path | None = None) -> None:
    """One error of that type, whose one short sentence holds the part; a long path does not count."""
    with pytest.raises(error) as caught:
        act()
    assert type(caught.value) is error
    sentence = str(caught.value)
    assert part in sentence
    assert "\n" not in sentence
    assert len(sentence.replace(str(path), "PATH")) < 300
    assert not sentence.endswith(".")


@pytest.mark.parametrize("name", CASES)
def test_refused_with_one_sentence(name: str) -> None:
    check(*CASES[name])


def test_there_are_many_cases() -> None:
    assert len(CASES) >= 25


def write_sheets(root: Path) -> None:
    """Blank sheets of the right size."""
    for name in SPRITES_SHA256:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGBA", (13 * 64, 21 * 64)).save(root / name)


def remove(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def shrink(path: Path) -> None:
    Image.new("RGBA", (64, 64)).save(path)


@pytest.mark.parametrize(
    ("spoil", "error", "part"),
    [
        (remove, FileNotFoundError, "1 are missing, first hair/3.png; copy them there"),
        (truncate, ValueError, "hair/3.png must be a whole PNG file"),
        (shrink, ValueError, "hair/3.png must be a sheet of 832 x 1344 pixels"),
    ],
)
def test_sheets(tmp_path: Path, spoil: Callable[[Path], None], error: type[Exception], part: str) -> None:
    write_sheets(tmp_path)
    spoil(tmp_path / "hair" / "3.png")
    check(lambda: Sprites(tmp_path)[0], error, part, tmp_path)


def test_no_sheets(tmp_path: Path) -> None:
    check(lambda: Sprites(tmp_path), FileNotFoundError, "root must hold body/", tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    fit(output=path)
    return path


def copy_of(run: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(run, tmp_path / "run"))


def change_config(path: Path, **changes: Any) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | changes))


def test_a_used_run_directory(run: Path, tmp_path: Path) -> None:
    path = copy_of(run, tmp_path)
    check(lambda: fit(output=path), FileExistsError, "already holds a run of these settings", tmp_path)
    other = {"learning_rate": 0.5}
    check(
        lambda: fit(output=path, settings=other), FileExistsError, "training.learning_rate was 0.001, is 0.5", tmp_path
    )
    check(lambda: fit(output=path, settings=other, resume=True), ValueError, "holds a run of other settings", tmp_path)


def test_a_run_directory_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    check(lambda: fit(output=file), NotADirectoryError, "output must be a directory", tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"x")
    check(lambda: fit(output=tmp_path), FileExistsError, "but no config.json, so it is no run of pyrodis", tmp_path)


@pytest.mark.parametrize("contents", [b"", b"PK\x03\x04", b"\x80\x04K\x01.", b"not a checkpoint"])
def test_a_corrupt_checkpoint(run: Path, tmp_path: Path, contents: bytes) -> None:
    path = copy_of(run, tmp_path)
    (path / "checkpoints" / "last.ckpt").write_bytes(contents)
    check(lambda: fit(output=path, resume=True), ValueError, "last.ckpt", tmp_path)


def test_a_foreign_checkpoint(run: Path, tmp_path: Path) -> None:
    path = copy_of(run, tmp_path)
    torch.save({"state_dict": {}}, path / "checkpoints" / "last.ckpt")
    check(lambda: fit(output=path, resume=True), ValueError, "was not written by pyrodis", tmp_path)


def test_runs_that_cannot_be_loaded(run: Path, tmp_path: Path) -> None:
    path = copy_of(run, tmp_path)
    weights = path / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    check(lambda: pyrodis.load(path), ValueError, "cannot be read, it is truncated or no safetensors file", tmp_path)
    weights.unlink()
    check(lambda: pyrodis.load(path), FileNotFoundError, "weights.safetensors does not exist", tmp_path)
    weights.write_bytes(whole)
    other = model_of(4, 2, 6)
    check(lambda: pyrodis.load(path, model=other), ValueError, "weights.safetensors", tmp_path)
    change_config(path, model={"class": "os.system", "arguments": {}})
    check(lambda: pyrodis.load(path), ValueError, "'os.system' is not a class of pyrodis", tmp_path)
    change_config(path, format="another")
    check(lambda: pyrodis.load(path), ValueError, "does not describe a run of pyrodis", tmp_path)
    (path / "config.json").write_text("{")
    check(lambda: pyrodis.load(path), ValueError, "config.json cannot be read, it is no JSON", tmp_path)
