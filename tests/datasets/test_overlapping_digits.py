"""Digits over each other: where they lie, what is seen of them, how many there are and how far apart."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
import torch

from pyrodis.datasets import BundledDigits, OverlappingDigits
from pyrodis.testing import check_dataset

NUM = 60
ITEM = "0a139d8130aec3a5"


def batch_of(data: Any, num: int = NUM) -> dict[str, torch.Tensor]:
    items = data.__getitems__(list(range(num)))
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}


def unpacked(data: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Types (N, M) and places (N, M, 2) of all images."""
    types, places = data.factors.split([data.num_slots, 2 * data.num_slots], 1)
    return types, places.unflatten(1, (-1, 2))


def test_a_single_digit_lies_at_its_place() -> None:
    data = OverlappingDigits(num_digits=(1, 1), num_images=NUM, size=40, split="test", with_masks=True)
    images, labels = BundledDigits().images("test")
    known = {image.numpy().tobytes(): int(label) for image, label in zip(images, labels, strict=True)}
    for item in data.__getitems__(list(range(NUM))):
        number, x, y = item["factors"].tolist()
        shown = (255 * item["x"][0, 0]).round().byte()
        cut = shown[y : y + 28, x : x + 28]
        assert known[cut.contiguous().numpy().tobytes()] == number
        assert int(shown.long().sum()) == int(cut.long().sum())
        assert torch.equal(item["masks"][0, 0], shown >= 64)
    _, places = unpacked(data)
    assert places.unique().tolist() == list(range(13))


def test_images_and_masks_agree_with_drawing_digit_by_digit() -> None:
    data = OverlappingDigits(num_digits=(1, 4), num_images=NUM, size=48, min_distance=4, with_masks=True)
    digits = data._table  # the drawings, one at a time
    types, places, uniforms = data._unpack(data._uniforms)
    overlaps = 0
    for i, item in enumerate(data.__getitems__(list(range(NUM)))):
        x, owner = torch.zeros(48, 48), torch.full((48, 48), 4)
        for slot in range(4):
            if types[i, slot] == data.num_types:
                continue
            left, top = places[i, slot].tolist()
            drawn = digits.draw(types[i, slot], uniforms[i, slot])
            ink, window = drawn.float() / 255, (slice(top, top + 28), slice(left, left + 28))
            x[window] = ink + (1 - ink) * x[window]
            overlaps += int(((drawn >= 64) & (owner[window] < 4)).sum())
            owner[window] = torch.where(drawn >= 64, torch.tensor(slot), owner[window])
        assert torch.allclose(item["x"][0, 0], x, atol=1e-6)
        assert torch.equal(item["masks"][0], torch.stack([owner == slot for slot in range(5)]))
        assert torch.equal(item["factors"], data.factors[i])
    assert overlaps > 100


def test_masks_are_a_partition_and_empty_slots_have_none() -> None:
    data = OverlappingDigits(num_images=NUM, with_masks=True)
    batch = batch_of(data)
    masks = batch["masks"][:, 0]
    assert masks.shape == (NUM, 4, 64, 64)
    assert (masks.sum(1) == 1).all()
    seen = masks[:, :3].flatten(2).any(2)
    assert torch.equal(seen, batch["factors"][:, :3] != data.num_types)
    assert float(batch["x"].max()) <= 1


def test_numbers_types_and_places() -> None:
    data = OverlappingDigits(num_images=4000, items=(0, 3), num_digits=(2, 4), min_distance=9)
    slots = range(4)
    names = (*(f"type_{i}" for i in slots), *(name for i in slots for name in (f"x_{i}", f"y_{i}")))
    assert data.factor_names == names
    assert data.factor_sizes == (11,) * 4 + (38,) * 8
    types, places = unpacked(data)
    present = types != 10
    counts = present.sum(1).bincount(minlength=5).tolist()
    assert counts[:2] == [0, 0]
    assert min(counts[2:]) > 1200  # no number is rarer because its digits find less room
    assert torch.equal(present, torch.arange(4) < present.sum(1, keepdim=True))  # slots are filled from the first
    assert types[present].unique().tolist() == [0, 3]
    assert (places[~present] == 37).all()
    assert places[present].unique().tolist() == list(range(37))
    apart = torch.cdist(places.double(), places.double())
    both = (present[:, :, None] & present[:, None]).triu(1)
    assert 9 <= apart[both].min() < 10


def test_any_distance() -> None:
    data = OverlappingDigits(num_images=3000, num_digits=(2, 2), size=32, min_distance=0)
    _, places = unpacked(data)
    assert (places[:, 0] == places[:, 1]).all(1).any()


def test_same_seed_same_bytes_and_everything_else_other_bytes() -> None:
    first, again = OverlappingDigits(num_images=50), OverlappingDigits(num_images=70, items=tuple(range(10)))
    assert first.checksum == again.checksum
    assert torch.equal(first.factors, again.factors[:50])
    assert all(torch.equal(first[i]["x"], again[i]["x"]) for i in (0, 31, 49))
    shown = (255 * first[3]["x"]).round().to(torch.uint8).numpy().tobytes()
    assert hashlib.sha256(shown).hexdigest().startswith(ITEM)
    others: list[Any] = [{"seed": 1}, {"items": (0, 1)}, {"size": 50}, {"min_distance": 9}, {"num_digits": (1, 2)}]
    assert len({OverlappingDigits(num_images=5, **other).checksum for other in others} | {first.checksum}) == 6
    test = OverlappingDigits(num_images=50, split="test")
    assert test.checksum == first.checksum
    assert not torch.equal(test.factors, first.factors)


def test_batches_are_the_items_and_one_tensor() -> None:
    data = OverlappingDigits(num_images=20, with_masks=True)
    indices = [5, -1, 5, *range(20)]
    items = data.__getitems__(indices)
    for index, item in zip(indices, items, strict=True):
        alone = data[index]
        assert all(torch.equal(item[key], alone[key]) for key in ("x", "factors", "masks"))
    assert items[0]["x"].untyped_storage().data_ptr() == items[9]["x"].untyped_storage().data_ptr()
    assert "masks" not in OverlappingDigits(num_images=2)[0]


@pytest.mark.parametrize("rest", [{}, {"size": 28, "num_digits": (1, 1)}, {"num_digits": (5, 5), "min_distance": 0.0}])
def test_keeps_the_contract(rest: dict[str, Any]) -> None:
    check_dataset(OverlappingDigits(num_images=5, with_masks=True, **rest))


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "no items": (lambda: OverlappingDigits(items=()), ValueError, "items must name at least one type and none twice"),
    "unknown item": (lambda: OverlappingDigits(items=(10,)), ValueError, "items must lie in [0, 10)"),
    "number": (lambda: OverlappingDigits(num_digits=3), TypeError, "num_digits must be (least, greatest), got 3"),
    "order": (lambda: OverlappingDigits(num_digits=(3, 1)), ValueError, "got (3, 1); swap them"),
    "none": (lambda: OverlappingDigits(num_digits=(0, 1)), ValueError, "num_digits must be a positive whole number"),
    "size": (lambda: OverlappingDigits(size=20), ValueError, "size must be at least 28, the size of a digit's image"),
    "distance": (
        lambda: OverlappingDigits(min_distance=-1),
        ValueError,
        "min_distance must be finite and not negative",
    ),
    "distance of a word": (lambda: OverlappingDigits(min_distance="1"), TypeError, "min_distance must be a number of"),
    "too many": (
        lambda: OverlappingDigits(num_digits=(1, 9), size=40),
        ValueError,
        "num_digits must fit on the canvas, got up to 9 digits at a distance of at least 14 on 40 x 40 pixels",
    ),
    "no room": (lambda: OverlappingDigits(num_digits=(2, 2), size=28), ValueError, "num_digits must fit on the canvas"),
    "index": (lambda: OverlappingDigits(num_images=3)[-4], IndexError, "index must lie in [-3, 3), got -4"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    make, error, text = BAD[case]
    with pytest.raises(error, match=re.escape(text)):
        make()
