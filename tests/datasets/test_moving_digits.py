"""Digits that move: where they go, what is seen of them, and that a clip depends on its number alone."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import torch

from pyrodis.datasets import (
    AtRest,
    BouncingMotion,
    BundledDigits,
    FashionItems,
    LinearMotion,
    MixedItems,
    MovingDigits,
)
from pyrodis.testing import check_dataset
from tests.datasets.item_files import real_root, write_items

ITEM = "e01a4575"


class Blocks:
    """Types that are squares of one brightness each: 28 x 28 pixels, all of them the item's."""

    name, num_types, thresholds, checksum = "blocks", 2, (64, 64), "b" * 64

    def images(self, split: str) -> tuple[torch.Tensor, torch.Tensor]:
        images = torch.stack([torch.full((28, 28), value, dtype=torch.uint8) for value in (100, 200)])
        return images, torch.arange(2)


def batch_of(data: Any, num: int = 20) -> dict[str, torch.Tensor]:
    items = data.__getitems__(list(range(num)))
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}


@pytest.mark.parametrize("options", [{}, {"num_digits": 1, "size": 40}, {"num_digits": 3, "num_frames": 4}])
def test_it_is_a_data_set_of_clips_with_factors_and_masks(options: Any) -> None:
    data = MovingDigits(num_sequences=30, with_masks=True, **options)
    check_dataset(data)
    assert torch.equal(data.factors[:20], batch_of(data)["factors"])


def test_each_digit_is_drawn_whole_where_its_factors_say() -> None:
    data = MovingDigits(num_sequences=30, num_frames=6, num_digits=1, size=48, split="test", with_masks=True)
    images, labels = BundledDigits().images("test")
    known = {image.numpy().tobytes(): int(label) for image, label in zip(images, labels, strict=True)}
    for item in data.__getitems__(list(range(30))):
        types, centers = data.read_factors(item["factors"])
        shown = (255 * item["x"][:, 0]).round().byte()
        for t in range(6):
            x, y = (centers[t, 0] - 13.5).round().long().tolist()
            cut = shown[t, y : y + 28, x : x + 28].contiguous()
            assert known[cut.numpy().tobytes()] == int(types[0])
            assert int(cut.long().sum()) == int(shown[t].long().sum()), "nothing lies outside of the digit's place"
        assert torch.equal(item["masks"][:, 0], shown >= 64)


def test_centers_are_those_of_the_masks() -> None:
    data = MovingDigits(Blocks(), num_sequences=40, num_frames=8, with_masks=True)
    batch = batch_of(data, 40)
    types, centers = data.read_factors(batch["factors"])
    whole = batch["masks"][:, :, :2].sum((-1, -2)) == 28 * 28  # digits that nothing hides
    grid = torch.arange(64.0)
    area = batch["masks"][:, :, :2].float()
    across = (area.sum(-2) * grid).sum(-1) / area.sum((-1, -2))
    down = (area.sum(-1) * grid).sum(-1) / area.sum((-1, -2))
    assert int(whole.sum()) > 100
    assert torch.allclose(torch.stack([across, down], -1)[whole], centers[whole], atol=1e-4)
    brightness = torch.tensor([100, 200])[types][:, None, :, None, None] / 255
    assert torch.allclose(batch["x"], (batch["masks"][:, :, :2] * brightness).sum(2, keepdim=True))


def test_of_digits_that_cross_the_brighter_is_seen() -> None:
    data = MovingDigits(Blocks(), num_sequences=200, num_frames=3, motion=BouncingMotion(0.2, 0.4), with_masks=True)
    batch = batch_of(data, 200)
    types, centers = data.read_factors(batch["factors"])
    near = (centers[:, :, 0] - centers[:, :, 1]).abs().amax(-1) < 28
    dark = types.argmin(1)[:, None].expand(-1, 3)
    seen = batch["masks"][:, :, :2].sum((-1, -2)).gather(2, dark[..., None])[..., 0]
    differ = (types[:, 0] != types[:, 1])[:, None] & near
    assert int(differ.sum()) > 20
    assert bool((seen[differ] < 28 * 28).all())
    assert bool((batch["x"].amax((-1, -2, -3)) == 200 / 255)[differ].all())


@pytest.mark.parametrize("motion", [BouncingMotion(0.1, 0.1), BouncingMotion(0.5, 1.5)])
def test_digits_bounce_inside_of_the_frame(motion: BouncingMotion) -> None:
    data = MovingDigits(num_sequences=300, num_frames=40, motion=motion)
    _, centers = data.read_factors(data.factors)
    assert float(centers.min()) == 13.5
    assert float(centers.max()) == 49.5, "digits touch every wall, and pass none"
    steps = centers.diff(dim=1).norm(dim=-1) / 36
    assert float(steps.max()) <= motion.max_speed + 0.05
    if motion.max_speed == 0.1:
        free = ((centers[:, :-1] > 18) & (centers[:, :-1] < 45)).all(-1)
        assert abs(float(steps[free].mean()) - 0.1) < 0.005


def test_a_clip_depends_on_seed_split_and_number_alone() -> None:
    digest = hashlib.sha256(batch_of(MovingDigits(num_sequences=20))["x"].numpy().tobytes()).hexdigest()
    assert digest == hashlib.sha256(batch_of(MovingDigits(num_sequences=10**9))["x"].numpy().tobytes()).hexdigest()
    assert digest[:8] == ITEM, "other bytes than in the releases before; raise the version in the checksum"
    for other in ({"seed": 1}, {"split": "test"}, {"split": "validation"}):
        assert not torch.equal(MovingDigits(**other)[0]["x"], MovingDigits()[0]["x"])
    assert torch.equal(MovingDigits()[7]["x"], MovingDigits().__getitems__([3, 7])[1]["x"])


def test_the_checksum_tells_settings_and_not_splits() -> None:
    same = [MovingDigits(split=split, num_sequences=n) for split, n in (("train", 10), ("test", 20))]
    others = [MovingDigits(seed=1), MovingDigits(num_frames=3), MovingDigits(size=48), MovingDigits(num_digits=1)]
    others += [MovingDigits(Blocks()), MovingDigits(motion=BouncingMotion(0.1, 0.2))]
    assert same[0].checksum == same[1].checksum
    assert len({data.checksum for data in [same[0], *others]}) == 7


def test_types_and_motions_are_those_that_are_asked_for() -> None:
    digits = BundledDigits()
    data = MovingDigits(MixedItems([(digits, 3), (digits, 7)]), num_sequences=200, num_frames=4, motion=AtRest())
    types, centers = data.read_factors(data.factors)
    assert [int((types.sum(1) == number).sum()) > 30 for number in range(3)] == [True] * 3
    assert bool((centers == centers[:, :1]).all())
    far = MovingDigits(num_sequences=200, num_frames=2, motion=LinearMotion(0.6))
    _, centers = far.read_factors(far.factors)
    assert float((centers[:, 1] - centers[:, 0]).norm(dim=-1).min()) > 20, "a motion that refuses paths is heard"


def test_clothes_move_as_well(tmp_path: Any) -> None:
    data = MovingDigits(FashionItems(write_items(tmp_path, "FashionMNIST")), num_sequences=3, num_frames=2)
    check_dataset(data)
    assert data.name == "moving_fashion_mnist"


def test_real_digits_move() -> None:
    from pyrodis.datasets import MNISTItems

    check_dataset(MovingDigits(MNISTItems(real_root()), split="test", num_sequences=3, with_masks=True))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"num_digits": 10},
            ValueError,
            r"num_digits must be at most 9, what 64 x 64 pixels hold side by side, got 10",
        ),
        ({"num_digits": 0}, ValueError, "num_digits"),
        ({"size": 28}, ValueError, "size must be above 28, the size of a digit's image, got 28"),
        ({"size": 64.0}, TypeError, "size"),
        ({"num_frames": 0}, ValueError, "num_frames"),
        ({"num_sequences": 0}, ValueError, "num_sequences"),
        ({"split": "all"}, ValueError, "split must be one of"),
        ({"seed": -1}, ValueError, "seed must be in"),
    ],
)
def test_refuses(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        MovingDigits(**options)


def test_refuses_factors_of_other_data() -> None:
    with pytest.raises(ValueError, match=r"factors must have shape \(\.\.\., T, 6\), got \(2, 3\)"):
        MovingDigits().read_factors(torch.zeros(2, 3))


def test_refuses_missing_files(tmp_path: Any) -> None:
    from pyrodis.datasets import MNISTItems

    with pytest.raises(FileNotFoundError, match="MNIST must be four files"):
        MovingDigits(MNISTItems(tmp_path))
