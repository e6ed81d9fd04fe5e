"""Sources of items: files found and refused, splits apart, types chosen and numbered."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyrodis.datasets import BundledDigits, DigitPairs, FashionItems, ItemSource, MixedItems, MNISTItems, item_sources
from tests.datasets.item_files import NUM, real_root, write_idx, write_items

SPLITS = ("train", "validation", "test")


def assert_splits_apart(source: ItemSource) -> None:
    """No image is in two splits."""
    found = [{image.tobytes() for image in source.images(split)[0].numpy()} for split in SPLITS]
    assert not found[0] & found[1]
    assert not found[0] & found[2]
    assert not found[1] & found[2]


def test_bundled_digits_are_scikit_learns_enlarged() -> None:
    from sklearn.datasets import load_digits

    source = BundledDigits()
    parts = [source.images(split) for split in SPLITS]
    assert [len(images) for images, _ in parts] == [1197, 200, 400]
    images, types = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
    order = np.random.RandomState(0).permutation(1797)
    assert np.array_equal(types.numpy(), load_digits().target[order])
    assert images.dtype == torch.uint8
    assert images.shape == (1797, 28, 28)
    inner = images[:, 4:24, 4:24]
    assert int(images.long().sum()) == int(inner.long().sum())
    small = torch.nn.functional.adaptive_avg_pool2d(inner.float().unsqueeze(1), 8).flatten(1).numpy()
    flat = load_digits().data[order]
    alike = [np.corrcoef(a, b)[0, 1] for a, b in zip(small, flat, strict=True)]
    assert min(alike) > 0.85  # each is the digit that it should be
    assert [int((parts[2][1] == k).sum()) for k in range(10)] == pytest.approx([40] * 10, abs=12)
    assert_splits_apart(source)
    assert source.checksum == BundledDigits().checksum


def test_bundled_digits_keep_their_bytes() -> None:
    assert BundledDigits().checksum.startswith("64b6c7a3019aad71")


@pytest.mark.parametrize(("source", "folder"), [(MNISTItems, "MNIST"), (FashionItems, "FashionMNIST")])
def test_files_are_divided_into_splits(tmp_path: Path, source: Any, folder: str) -> None:
    items = source(write_items(tmp_path, folder))
    assert [len(items.images(split)[0]) for split in SPLITS] == [50, 10, NUM]
    assert_splits_apart(items)
    images, types = items.images("validation")
    assert types.tolist() == list(range(10))
    raw = (tmp_path / folder / "raw" / "train-images-idx3-ubyte").read_bytes()
    assert images.numpy().tobytes() == raw[16 + 50 * 784 :]
    assert len(items.checksum) == 64


def test_files_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYRODIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PYRODIS_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=r"MNIST must be four files in .*cache/MNIST/raw, train-images-idx3"):
        MNISTItems()
    write_items(tmp_path / "cache")
    assert MNISTItems().folder == tmp_path / "cache" / "MNIST" / "raw"
    monkeypatch.setenv("PYRODIS_DATA", str(write_items(tmp_path / "data")))
    assert MNISTItems().folder == tmp_path / "data" / "MNIST" / "raw"
    with pytest.raises(FileNotFoundError, match=r"FashionMNIST/raw or in .*cache/FashionMNIST/raw"):
        FashionItems()
    (tmp_path / "data" / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"t10k-labels-idx1-ubyte is missing .*download=False.*use BundledDigits"
    ):
        MNISTItems(tmp_path / "data")


def test_a_download_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(root: str) -> None:
        asked.append(root)
        write_items(Path(root))

    monkeypatch.setattr(item_sources, "_download_mnist", download)
    root = tmp_path / "new"
    with pytest.raises(FileNotFoundError):
        MNISTItems(root)
    assert asked == []
    assert len(MNISTItems(root, download=True).images("test")[0]) == NUM
    MNISTItems(root, download=True)
    assert asked == [str(root)]


def test_a_failed_download_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(root: str) -> None:
        raise RuntimeError("no route to host")

    monkeypatch.setattr(item_sources, "_download_fashion", download)
    with pytest.raises(FileNotFoundError, match=r"was not downloaded \(no route to host\); give the folder"):
        FashionItems(tmp_path, download=True)


@pytest.mark.parametrize(
    ("file", "array", "match"),
    [
        ("train-images-idx3-ubyte", np.zeros((NUM, 28, 27)), r"images of shape \(60, 28, 27\)"),
        ("train-images-idx3-ubyte", np.zeros((NUM, 28)), "got one that cannot be read"),
        ("train-labels-idx1-ubyte", np.zeros(NUM - 1), "got 60 images and 59 labels"),
        ("train-labels-idx1-ubyte", np.full(NUM, 11), "labels up to 11"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, file: str, array: np.ndarray, match: str) -> None:
    write_idx(write_items(tmp_path) / "MNIST" / "raw" / file, array)
    with pytest.raises(ValueError, match=f"must be whole IDX files .*{match}"):
        MNISTItems(tmp_path).images("train")


@pytest.mark.parametrize("length", [0, 3, 10, 2000])
def test_a_broken_file_is_refused(tmp_path: Path, length: int) -> None:
    path = write_items(tmp_path) / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"must be whole IDX files .*got one that cannot be read"):
        MNISTItems(tmp_path).images("test")


def test_mixed_items_are_those_chosen() -> None:
    digits = BundledDigits()
    mixed = MixedItems([(digits, 3), (digits, (7, 1))])
    assert (mixed.name, mixed.num_types, mixed.thresholds) == ("bundled_digits", 2, (64, 64))
    images, types = mixed.images("validation")
    all_images, all_types = digits.images("validation")
    assert torch.equal(images[types == 0], all_images[all_types == 3])
    assert torch.equal(images[types == 1], all_images[(all_types == 7) | (all_types == 1)])
    assert mixed.checksum != MixedItems([(digits, 3), (digits, 7)]).checksum
    assert_splits_apart(mixed)


def test_sources_mix(tmp_path: Path) -> None:
    mnist, fashion = MNISTItems(write_items(tmp_path)), FashionItems(write_items(tmp_path, "FashionMNIST", 1))
    mixed = MixedItems([(mnist, 0), (mnist, 1), (fashion, 3), (fashion, (5, 7, 9))])
    assert mixed.name == "mnist_and_fashion_mnist"
    assert mixed.thresholds == (64, 64, 26, 26)
    images, types = mixed.images("test")
    assert types.bincount().tolist() == [6, 6, 6, 18]
    assert torch.equal(images[types == 2], fashion.images("test")[0][3::10])


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "split": (lambda: BundledDigits().images("fit"), ValueError, "split must be one of train, validation, test, got"),
    "no parts": (lambda: MixedItems([]), ValueError, "parts must hold at least one (source, type), got none"),
    "no pair": (lambda: MixedItems([BundledDigits()]), TypeError, "a part must be (source, type), got"),  # type: ignore[list-item]
    "no such type": (lambda: MixedItems([(BundledDigits(), 10)]), ValueError, "must lie in [0, 10)"),
    "half a type": (lambda: MixedItems([(BundledDigits(), 0.5)]), TypeError, "must be whole numbers, got 0.5"),  # type: ignore[list-item]
    "twice": (lambda: MixedItems([(BundledDigits(), (1, 1))]), ValueError, "none twice, got (1, 1)"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    make, error, text = BAD[case]
    with pytest.raises(error, match=re.escape(text)):
        make()


class Odd:
    """A source that breaks a promise."""

    name = "odd"
    checksum = "0"

    def __init__(self, images: torch.Tensor, types: list[int], thresholds: tuple[int, ...] = (64, 64)) -> None:
        self.num_types, self.thresholds, self._all = 2, thresholds, (images, torch.tensor(types))

    def images(self, split: str) -> tuple[torch.Tensor, torch.Tensor]:
        return self._all


@pytest.mark.parametrize(
    ("source", "match"),
    [
        (Odd(torch.zeros(2, 28, 28), [0, 1]), "odd must give images uint8"),
        (Odd(torch.zeros(2, 8, 8).byte(), [0, 1]), r"odd must give images .* got torch.uint8 \(2, 8, 8\)"),
        (Odd(torch.zeros(2, 28, 28).byte(), [0, 2]), r"odd must give types in \[0, 2\), got \[0, 2\]"),
        (Odd(torch.zeros(2, 28, 28).byte(), [0, 0]), "odd must hold type 1 in train, got no image"),
        (Odd(torch.zeros(2, 28, 28).byte(), [0, 1], (0, 64)), "odd must give 2 thresholds from 1 to 255"),
    ],
)
def test_a_source_that_breaks_its_promise_is_refused(source: Odd, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        DigitPairs(source)


def test_the_real_files() -> None:
    root = real_root()
    mnist, fashion = MNISTItems(root), FashionItems(root)
    for source in (mnist, fashion):
        assert [len(source.images(split)[1]) for split in SPLITS] == [50_000, 10_000, 10_000]
    assert mnist.images("train")[1][:5].tolist() == [5, 0, 4, 1, 9]
    assert mnist.images("test")[1][:5].tolist() == [7, 2, 1, 0, 4]
    assert fashion.images("test")[1][:5].tolist() == [9, 2, 1, 1, 6]
    assert mnist.checksum != fashion.checksum
