"""Descriptions rebuild built-in classes, and nothing else."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest
import torch
from torch import nn

import pyrodis.guides
import pyrodis.models
import pyrodis.nn
from pyrodis.infer.describe import BUILT_IN, build, describe


class Own(nn.Module):
    def __init__(self, size: int, parts: tuple[int, ...], inner: nn.Module | None = None) -> None:
        super().__init__()
        self.size = size
        self.parts = parts
        self.inner = inner


class Forgetful(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.layer = nn.Linear(size, size)


class HoldsTensor(nn.Module):
    def __init__(self, table: torch.Tensor) -> None:
        super().__init__()
        self.table = table


class OpenEnded(nn.Module):
    def __init__(self, **sizes: int) -> None:
        super().__init__()


class Derived(pyrodis.models.NormalPixels):
    """A user's class that inherits from a built-in one."""


def make_dsvae() -> nn.Module:
    decoder = pyrodis.nn.ConvDecoder(6, (1, 8, 8), base_channels=2)
    return pyrodis.models.DSVAE(
        decoder, pyrodis.models.LSTMPrior(2, 4), pyrodis.models.NormalPixels(), static_dim=4, dynamic_dim=2
    )


def test_own_classes_are_recorded_with_their_package() -> None:
    described = describe(Own(3, (1, 2), Own(4, ())))
    inner = {"class": f"{Own.__module__}.Own", "arguments": {"size": 4, "parts": [], "inner": None}}
    assert described == {
        "class": f"{Own.__module__}.Own",
        "arguments": {"size": 3, "parts": [1, 2], "inner": inner},
    }


@pytest.mark.parametrize(
    "module", [Forgetful(2), HoldsTensor(torch.zeros(2)), OpenEnded(a=1)], ids=lambda m: type(m).__name__
)
def test_classes_that_do_not_keep_plain_arguments(module: nn.Module) -> None:
    assert describe(module) == {"class": f"{type(module).__module__}.{type(module).__name__}", "arguments": None}


def test_a_built_in_pair_rebuilds_through_json() -> None:
    model = make_dsvae()
    described = json.loads(json.dumps(describe(model)))
    rebuilt = build(described)
    assert type(rebuilt) is pyrodis.models.DSVAE
    assert describe(rebuilt) == described
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    assert {name: value.shape for name, value in rebuilt.state_dict().items()} == shapes


@pytest.mark.parametrize(
    "view",
    [
        pyrodis.nn.PatchShuffle(4, per_frame=False, seed=1),
        pyrodis.nn.FrameShuffle(2),
        pyrodis.nn.SingleFrame(3),
        pyrodis.nn.SubsetFrames(2, seed=7, all_in_eval=False),
        pyrodis.nn.RandomCrop(4, enlarge=False, seed=8),
        pyrodis.nn.RandomGray((0.7, 1.5), seed=4, keep_channels=False),
        pyrodis.nn.RandomTones(5.0, 0.1, 0.2, seed=5),
        pyrodis.nn.RandomShift(3, seed=6, per_frame=True, circular=True),
        pyrodis.nn.RandomCrop(4, per_frame=True),
        pyrodis.nn.Downsample(4),
        pyrodis.nn.GaussianBlur(1.5),
        pyrodis.nn.Silhouette(0.3),
        nn.Sequential(pyrodis.nn.RandomGray(), nn.Sequential(pyrodis.nn.Downsample(), pyrodis.nn.SingleFrame())),
        nn.Sequential(),
    ],
    ids=lambda view: type(view).__name__,
)
def test_views_and_sequences_of_them_rebuild_through_json(view: nn.Module) -> None:
    described = json.loads(json.dumps(describe(view)))
    rebuilt = build(described)
    assert type(rebuilt) is type(view)
    assert describe(rebuilt) == described
    frames = torch.rand(2, 3, 3, 8, 8)
    assert torch.equal(rebuilt.eval()(frames), view.eval()(frames))


def test_a_sequence_is_recorded_with_what_is_in_it() -> None:
    layers = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    inner = [
        {"class": "torch.nn.modules.linear.Linear", "arguments": None},
        {"class": "torch.nn.modules.activation.Tanh", "arguments": {}},
    ]
    assert describe(layers) == {"class": "torch.nn.Sequential", "arguments": {"modules": inner}}
    with pytest.raises(ValueError, match=r"'torch\.nn\.modules\.linear\.Linear' is not a class of pyrodis"):
        build(describe(layers))


def test_a_sequence_with_names_of_its_own_is_not_rebuilt() -> None:
    named = nn.Sequential()
    named.add_module("first", pyrodis.nn.Downsample())
    assert describe(named) == {"class": "torch.nn.modules.container.Sequential", "arguments": None}


def test_a_class_derived_from_a_built_in_one_is_not_built_in() -> None:
    assert describe(Derived())["class"] == f"{Derived.__module__}.Derived"


def test_every_class_of_the_table_exists_under_its_name() -> None:
    for name, path in BUILT_IN.items():
        cls = getattr(importlib.import_module(path), name)
        assert cls.__name__ == name
        assert issubclass(cls, nn.Module)


@pytest.mark.parametrize(
    ("description", "match"),
    [
        (
            {"class": "os.system", "arguments": {"command": "true"}},
            "'os.system' is not a class of pyrodis; pass your own",
        ),
        ({"class": "Sequential", "arguments": {}}, "'Sequential' is not a class of pyrodis"),
        (
            {"class": "torch.nn.Sequential", "arguments": None},
            "torch.nn.Sequential must hold a list 'modules' alone, got",
        ),
        ({"class": "torch.nn.Sequential", "arguments": {"modules": {}}}, "must hold a list 'modules' alone, got"),
        (
            {"class": "torch.nn.Sequential", "arguments": {"modules": [{"class": "os.system", "arguments": {}}]}},
            "'os.system' is not a class of pyrodis",
        ),
        ({"class": "torch.nn.Sequential", "arguments": {"modules": ["Downsample"]}}, "a description must hold 'class'"),
        ({"class": "torch.nn.Linear", "arguments": {}}, "'torch.nn.Linear' is not a class of pyrodis"),
        ({"class": "DSVAE", "arguments": None}, "the arguments of DSVAE were not recorded; pass the objects with load"),
        ({"class": "DSVAE"}, "a description must hold 'class' and 'arguments'"),
        ("DSVAE", "a description must hold 'class' and 'arguments', got 'DSVAE'"),
        ({"class": "NormalPixels", "arguments": {"size": 1}}, "NormalPixels has no argument size; the description was"),
        ({"class": "DSVAE", "arguments": {}}, "DSVAE cannot be built from its recorded arguments"),
    ],
)
def test_bad_descriptions(description: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        build(description)
