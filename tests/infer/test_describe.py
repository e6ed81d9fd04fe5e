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
