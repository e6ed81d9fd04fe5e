"""A part of a data set keeps what the whole promises."""

from __future__ import annotations

import pytest
import torch

from pyrodis.datasets import ClipSubset, MovingDigits, ProceduralSprites
from pyrodis.testing import check_dataset


def test_is_a_data_set_of_its_own() -> None:
    whole = ProceduralSprites(split="test")
    part = ClipSubset(whole, [5, 3, 11])
    check_dataset(part)
    assert torch.equal(part[1]["x"], whole[3]["x"])
    assert torch.equal(part.__getitems__([2])[0]["factors"], whole[11]["factors"])
    assert part.checksum not in (whole.checksum, ClipSubset(whole, [5, 3]).checksum)


@pytest.mark.parametrize("indices", [[], [-1], [10**6]])
def test_refuses_indices_out_of_range(indices: list[int]) -> None:
    with pytest.raises(ValueError, match="indices must be at least one index from 0 to"):
        ClipSubset(ProceduralSprites(split="test"), indices)


def test_a_part_of_moving_digits_can_be_judged() -> None:
    whole = MovingDigits(num_sequences=6, num_frames=2)
    part = ClipSubset(whole, [4, 1])
    assert part.num_digits == 2
    assert all(
        torch.equal(a, b[[4, 1]]) for a, b in zip(part.read_factors(part.factors), whole.read_factors(whole.factors))
    )
