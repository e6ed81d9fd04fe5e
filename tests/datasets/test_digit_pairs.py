"""Pairs of items: what is drawn where, which types a split sees, and masks that name what is drawn."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from pyrodis.datasets import THESIS_PAIRS, BundledDigits, ClipSubset, DigitPairs, FashionItems, MixedItems, MNISTItems
from pyrodis.testing import check_dataset
from tests.datasets.item_files import real_root, write_items

ITEM = "d90cbb012eb1021e"


def batch_of(data: Any, num: int) -> dict[str, torch.Tensor]:
    items = data.__getitems__(list(range(num)))
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_each_slot_shows_a_drawing_of_its_type_from_its_split(split: str) -> None:
    data = DigitPairs(split=split, items=(0, 1, 2, 3), num_images=200)
    images, labels = BundledDigits().images(split)
    known = {image.numpy().tobytes(): int(label) for image, label in zip(images, labels, strict=True)}
    known[bytes(784)] = data.num_types
    batch = batch_of(data, 200)
    assert batch["x"].shape == (200, 1, 1, 28, 56)
    for x, types in zip(batch["x"], batch["factors"], strict=True):
        shown = (255 * x[0, 0]).round().byte()
        assert [known[half.contiguous().numpy().tobytes()] for half in shown.chunk(2, 1)] == types.tolist()


def test_slots_are_independent_and_types_equally_likely() -> None:
    data = DigitPairs(items=(0, 2, 3), num_images=9000)
    assert data.num_slots == 2
    pairs, counts = data.factors.unique(dim=0, return_counts=True)
    assert pairs.tolist() == [[a, b] for a in (0, 2, 3, 10) for b in (0, 2, 3, 10)]
    assert counts.min() > 490
    assert counts.max() < 640
    stage = DigitPairs(items=(0,), num_images=100)
    assert stage.factors.unique().tolist() == [0, 10]
    assert stage.factor_sizes == data.factor_sizes == (11, 11)


def test_all_drawings_of_a_type_occur() -> None:
    images, labels = BundledDigits().images("validation")
    batch = batch_of(DigitPairs(split="validation", items=(4,), num_images=600), 600)
    shown = {(255 * x).round().byte().numpy().tobytes() for x in batch["x"][:, 0, 0, :, :28].contiguous()}
    assert shown == {image.numpy().tobytes() for image in images[labels == 4]} | {bytes(784)}


def test_unseen_items_occur_in_the_test_split_alone() -> None:
    found = {}
    for split in ("train", "validation", "test"):
        data = DigitPairs(split=split, items=range(5), unseen=(5,), num_images=500)
        found[split] = data.factors.unique().tolist()
        assert list(data.items) == found[split][:-1]
    assert found["train"] == found["validation"] == [0, 1, 2, 3, 4, 10]
    assert found["test"] == [0, 1, 2, 3, 4, 5, 10]


def test_pairs_are_shown_in_turn() -> None:
    data = DigitPairs(pairs=THESIS_PAIRS, num_images=70, split="test", with_masks=True)
    expected = torch.tensor([[10, 10], [0, 0], [1, 1], [2, 2], [3, 3], [0, 1], [1, 2]])
    assert torch.equal(data.factors, expected.repeat(10, 1))
    assert data.items == (0, 1, 2, 3)
    batch = batch_of(data, 70)
    assert torch.equal(batch["factors"], data.factors)
    assert not batch["x"][::7].any()
    assert batch["x"][1::7].unique(dim=0).shape[0] == 10
    assert batch["masks"][0, 0, 2].all()


def test_a_pair_of_nothing_alone() -> None:
    data = DigitPairs(pairs=[(None, None)], num_images=2)
    assert not data[1]["x"].any()
    assert data.items == ()


def test_masks_are_a_partition_and_name_what_is_drawn() -> None:
    batch = batch_of(DigitPairs(num_images=100, with_masks=True), 100)
    x, masks = batch["x"][:, :, 0], batch["masks"]
    assert masks.shape == (100, 1, 3, 28, 56)
    assert (masks.sum(2) == 1).all()
    left, right, ground = masks.unbind(2)
    assert not left[..., 28:].any()
    assert not right[..., :28].any()
    assert torch.equal(~ground, (255 * x).round() >= 64)
    assert torch.equal(left.flatten(1).any(1), batch["factors"][:, 0] != 10)
    assert torch.equal(right.flatten(1).any(1), batch["factors"][:, 1] != 10)


def test_clothes_have_a_lower_threshold(tmp_path: Path) -> None:
    mnist, fashion = MNISTItems(write_items(tmp_path)), FashionItems(write_items(tmp_path, "FashionMNIST", 1))
    data = DigitPairs(MixedItems([(mnist, 0), (fashion, 3)]), pairs=[(0, 1)], num_images=1, with_masks=True)
    left, right = (255 * data[0]["x"][0, 0]).round().chunk(2, 1)
    masks = data[0]["masks"][0]
    assert torch.equal(masks[0, :, :28], left >= 64)
    assert torch.equal(masks[1, :, 28:], right >= 26)


def test_same_seed_same_bytes_and_everything_else_other_bytes() -> None:
    first, again = DigitPairs(num_images=50), DigitPairs(num_images=60, items=tuple(range(10)))
    assert first.checksum == again.checksum
    assert all(torch.equal(first[i]["x"], again[i]["x"]) for i in (0, 31, 49))
    shown = (255 * first[3]["x"]).round().to(torch.uint8).numpy().tobytes()
    assert hashlib.sha256(shown).hexdigest().startswith(ITEM)
    others = [DigitPairs(num_images=50, seed=1), DigitPairs(num_images=50, split="test"), DigitPairs(items=(0, 1))]
    assert all(not torch.equal(first.factors, other.factors[:50]) for other in others)
    assert others[0].checksum != first.checksum == others[1].checksum
    assert len({first.checksum, others[2].checksum, DigitPairs(unseen=(2,), items=(0, 1)).checksum}) == 3
    assert DigitPairs(pairs=[(0, 1)]).checksum != DigitPairs(pairs=[(1, 0)]).checksum


def test_batches_are_the_items_and_one_tensor() -> None:
    data = DigitPairs(num_images=200, with_masks=True)
    indices = [5, -1, 5, *range(60)]
    items = data.__getitems__(indices)
    for index, item in zip(indices, items, strict=True):
        alone = data[index]
        assert all(torch.equal(item[key], alone[key]) for key in ("x", "factors", "masks"))
    assert items[0]["x"].untyped_storage().data_ptr() == items[40]["x"].untyped_storage().data_ptr()
    assert "masks" not in DigitPairs(num_images=2)[0]


@pytest.mark.parametrize(
    "data",
    [
        DigitPairs(num_images=5, with_masks=True),
        DigitPairs(MixedItems([(BundledDigits(), 8), (BundledDigits(), 9)]), num_images=5, split="test"),
        ClipSubset(DigitPairs(pairs=THESIS_PAIRS, num_images=7), [3, 1]),
    ],
    ids=["all", "mixed", "subset"],
)
def test_keeps_the_contract(data: Any) -> None:
    check_dataset(data)


def test_names_its_items(tmp_path: Path) -> None:
    assert DigitPairs(num_images=1).name == "bundled_digits_pairs"
    assert DigitPairs(MNISTItems(write_items(tmp_path)), num_images=1).name == "mnist_pairs"


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "split": (lambda: DigitPairs(split="fit"), ValueError, "split must be one of train, validation, test, got 'fit'"),
    "number": (lambda: DigitPairs(num_images=0), ValueError, "num_images must be a positive whole number, got 0"),
    "seed": (lambda: DigitPairs(seed=0.5), TypeError, "seed must be an integer, got 0.5"),
    "index": (lambda: DigitPairs(num_images=3)[3], IndexError, "index must lie in [-3, 3), got 3"),
    "no items": (lambda: DigitPairs(items=()), ValueError, "items must name at least one type and none twice, got ()"),
    "unknown item": (lambda: DigitPairs(items=(0, 10)), ValueError, "items must lie in [0, 10), the types of the"),
    "twice": (lambda: DigitPairs(items=(1, 1)), ValueError, "none twice, got (1, 1)"),
    "one item": (lambda: DigitPairs(items=1), TypeError, "items must be a tuple of whole numbers, got 1"),
    "a word": (lambda: DigitPairs(items=("0",)), TypeError, "items must be whole numbers, got '0' of type str"),
    "unseen seen": (
        lambda: DigitPairs(items=(0, 1), unseen=(1,)),
        ValueError,
        "unseen must hold other types than items, got [1] in both",
    ),
    "unknown unseen": (lambda: DigitPairs(items=(0,), unseen=(12,)), ValueError, "unseen must lie in [0, 10)"),
    "no pairs": (lambda: DigitPairs(pairs=()), ValueError, "pairs must hold at least one (left, right), got none"),
    "no pair": (lambda: DigitPairs(pairs=[(0, 1, 2)]), TypeError, "pairs must be tuples (left, right), got (0, 1, 2)"),
    "unknown pair": (lambda: DigitPairs(pairs=[(0, 11)]), ValueError, "pairs must lie in [0, 10)"),
    "both": (
        lambda: DigitPairs(pairs=[(0, 1)], items=(0, 1)),
        ValueError,
        "pairs take the place of items and unseen, got items (0, 1)",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    make, error, text = BAD[case]
    with pytest.raises(error, match=re.escape(text)):
        make()


def test_the_real_files() -> None:
    root = real_root()
    mnist, fashion = MNISTItems(root), FashionItems(root)
    data = DigitPairs(MixedItems([(mnist, 0), (mnist, 1), (fashion, 3), (fashion, 7)]), split="test", with_masks=True)
    check_dataset(data)
    masks, factors = (batch_of(data, 500)[key] for key in ("masks", "factors"))
    shares = [masks[:, 0, 0][factors[:, 0] == number].float().mean() for number in range(4)]
    assert shares[1] < shares[0] < shares[2]  # ones have the least ink, dresses the most
    assert shares[1] < shares[3]
