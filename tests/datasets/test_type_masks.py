"""Masks of types: two items of one type are one, empty slots are background."""

from __future__ import annotations

import pytest
import torch

from pyrodis.datasets import THESIS_PAIRS, DigitPairs, type_masks


def test_by_hand() -> None:
    masks = torch.eye(4, dtype=torch.bool).reshape(1, 4, 1, 4).expand(3, 4, 1, 4)
    types = torch.tensor([[2, 0, 2], [1, 3, 1], [3, 3, 3]])
    expected = [[[0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]]
    expected += [[[0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 1]]]
    expected += [[[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]]]
    assert type_masks(masks, types, 3)[:, :, 0].int().tolist() == expected


def test_two_instances_of_a_digit_are_one_type() -> None:
    data = DigitPairs(pairs=THESIS_PAIRS, num_images=7, with_masks=True)
    items = data.__getitems__(list(range(7)))
    masks, types = torch.stack([item["masks"] for item in items]), data.factors[:, : data.num_slots]
    merged = type_masks(masks.squeeze(1), types, data.num_types)
    assert merged.shape == (7, 11, 28, 56)
    assert (merged.sum(1) == 1).all()
    assert torch.equal(merged[:, 10], masks[:, 0, 2])
    assert torch.equal(merged[1, 0], masks[1, 0, 0] | masks[1, 0, 1])
    assert torch.equal(merged[5, :2], masks[5, 0, :2])


@pytest.mark.parametrize(
    ("masks", "types", "error", "match"),
    [
        (torch.ones(3, 2, 2), torch.zeros(2).long(), TypeError, "masks must be bool, got torch.float32"),
        (torch.ones(3, 2, 2).bool(), torch.zeros(3).long(), ValueError, r"got \(3,\) for \(3, 2, 2\)"),
        (torch.ones(5, 1, 3, 2, 2).bool(), torch.zeros(5, 2).long(), ValueError, r"masks.squeeze\(1\)"),
        (torch.ones(2, 2).bool(), torch.zeros(1).long(), ValueError, "types must have one entry for each mask"),
        (torch.ones(3, 2, 2).bool(), torch.tensor([0, 5]), ValueError, r"must lie in \[0, 4\], 4 being empty"),
    ],
)
def test_bad_input(masks: torch.Tensor, types: torch.Tensor, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        type_masks(masks, types, 4)
