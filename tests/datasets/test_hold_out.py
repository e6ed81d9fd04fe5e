"""A value that is held out is in no clip of the one part and in every clip of the other."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from pyrodis.datasets import ClipSubset, ProceduralSprites, hold_out
from pyrodis.testing import check_dataset

WHOLE = ProceduralSprites(split="validation")


@pytest.mark.parametrize(("factor", "value"), [("action", 8), ("skin", 0), ("hair", 3)])
def test_divides_by_the_value(factor: str, value: int) -> None:
    without, only = hold_out(WHOLE, factor, value)
    column = WHOLE.factor_names.index(factor)
    assert sorted(without.indices + only.indices) == list(range(len(WHOLE)))
    assert without.indices == sorted(without.indices)
    for part, has_value in ((without, False), (only, True)):
        check_dataset(part)
        chosen = range(0, len(part), 7)
        assert {int(part[i]["factors"][column]) == value for i in chosen} == {has_value}
    assert without.checksum != only.checksum


def test_factors_without_frames_are_those_of_the_items() -> None:
    for data in (WHOLE, ClipSubset(WHOLE, [17, 3, 800])):
        assert data.factors.shape == (len(data), 5)
        assert data.factors.dtype == torch.int64
        for i in {0, len(data) // 2, len(data) - 1}:
            assert torch.equal(data.factors[i], data[i]["factors"])


def test_composes_no_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    data = ProceduralSprites(split="test")
    monkeypatch.setattr(ProceduralSprites, "__getitem__", None)
    monkeypatch.setattr(ProceduralSprites, "__getitems__", None)
    without, _ = hold_out(data, "top", 2)
    hold_out(without, "hair", 1)


class Foreign(list[dict[str, torch.Tensor]]):
    """A data set of two factors that has no attribute `factors`; they may change from frame to frame."""

    def __init__(self, factors: list[Any]) -> None:
        super().__init__({"x": torch.zeros(2, 1, 8, 8), "factors": torch.tensor(f)} for f in factors)
        shape = {"num_frames": 2, "frame_shape": (1, 8, 8), "seed": 0, "name": "foreign", "split": "all"}
        self.__dict__.update(shape, factor_names=("kind", "place"), factor_sizes=(2, 3), checksum="0")


@pytest.mark.parametrize(
    "factors",
    [[[0, 2], [1, 0], [0, 1], [1, 2]], [[[0, 1], [0, 2]], [[1, 0], [1, 1]], [[0, 0], [0, 0]], [[1, 2], [1, 0]]]],
    ids=["of clips", "of frames"],
)
def test_reads_the_items_where_there_is_no_other_way(factors: list[Any]) -> None:
    without, only = hold_out(Foreign(factors), "place", 2)
    assert (without.indices, only.indices) == ([1, 2], [0, 3])
    again, _ = hold_out(without, "kind", 0)
    assert again.indices == [0]


BAD: dict[str, tuple[tuple[Any, str, Any], type[Exception], str]] = {
    "factor": ((WHOLE, "shoes", 0), ValueError, "factor must be one of action, skin, bottom, top, hair, got 'shoes'"),
    "value": ((WHOLE, "hair", 6), ValueError, "value must be one of the 6 values of hair, 0 to 5, got 6"),
    "negative": ((WHOLE, "action", -1), ValueError, "value must be one of the 9 values of action, 0 to 8, got -1"),
    "name": ((WHOLE, "hair", "red"), TypeError, "value must be a whole number, got 'red' of type str"),
    "none": ((Foreign([[0, 0], [1, 1]]), "place", 2), ValueError, "some but not all clips must have place 2, got none"),
    "all": ((Foreign([[0, 2], [1, 2]]), "place", 2), ValueError, "some but not all clips must have place 2, got all"),
}


@pytest.mark.parametrize("case", BAD)
def test_refuses_what_cannot_be_held_out(case: str) -> None:
    arguments, error, text = BAD[case]
    with pytest.raises(error, match=re.escape(text)):
        hold_out(*arguments)
