"""The drawn characters: as many as published, the same every time, and with every factor to be seen in every clip."""

from __future__ import annotations

import hashlib

import pytest
import torch
from torch import Tensor

from pyrodis.datasets import ProceduralSprites
from pyrodis.datasets.compositor import split_characters

ATTRIBUTES = ("skin", "bottom", "top", "hair")
CLIP = 8 * 3 * 64 * 64


@pytest.fixture(scope="module")
def train() -> ProceduralSprites:
    return ProceduralSprites(split="train")


@pytest.fixture(scope="module")
def batch(train: ProceduralSprites) -> tuple[Tensor, Tensor]:
    """180 clips, twenty characters in all actions."""
    return stacked(train, list(range(180)))


def stacked(data: ProceduralSprites, indices: list[int]) -> tuple[Tensor, Tensor]:
    items = data.__getitems__(indices)
    return torch.stack([item["x"] for item in items]), torch.stack([item["factors"] for item in items])


def clips_of(data: ProceduralSprites, characters: list[int], action: int) -> Tensor:
    """Clips of characters by their number, whatever their place in the train split, or none."""
    where = {int(character): place for place, character in enumerate(split_characters("train"))}
    return stacked(data, [9 * where[character] + action for character in characters])[0]


@pytest.mark.parametrize(("split", "length"), [("train", 9000), ("test", 2664), ("fit", 8100), ("validation", 900)])
def test_counts(split: str, length: int) -> None:
    assert len(ProceduralSprites(split=split)) == length


def test_item(train: ProceduralSprites) -> None:
    item = train[13]
    assert item["x"].dtype == torch.float32
    assert item["x"].shape == (train.num_frames, *train.frame_shape) == (8, 3, 64, 64)
    assert item["factors"].dtype == torch.int64
    assert item["factors"].shape == (len(train.factor_names),)
    assert (train.name, train.split, train.seed, len(train.checksum)) == ("procedural_sprites", "train", 0, 64)
    assert train.factor_names == ("action", *ATTRIBUTES)
    assert train.factor_sizes == (9, 6, 6, 6, 6)


def test_order_is_by_character_then_action(train: ProceduralSprites) -> None:
    characters = split_characters("train")
    for index in (0, 8, 9, 4507, 8999):
        action, *variants = train[index]["factors"].tolist()
        assert action == index % 9
        number = sum(variant * 6**power for variant, power in zip(variants, (3, 2, 1, 0), strict=True))
        assert number == int(characters[index // 9])
    assert torch.equal(train[-1]["x"], train[8999]["x"])


def test_fetching_many_equals_fetching_each(train: ProceduralSprites) -> None:
    indices = [5, 8999, 17, 5]
    for index, item in zip(indices, train.__getitems__(indices), strict=True):
        assert torch.equal(item["x"], train[index]["x"])
        assert torch.equal(item["factors"], train[index]["factors"])


def test_frames_lie_in_the_unit_interval_and_reach_both_ends(batch: tuple[Tensor, Tensor]) -> None:
    x = batch[0]
    assert x.min() == 0.0
    assert 0.9 < x.max() <= 1.0
    steps = 255 * x[:9]
    assert torch.allclose(steps, steps.round(), atol=1e-4)


def test_background_is_black_and_nobody_is_cut_off(batch: tuple[Tensor, Tensor]) -> None:
    x = batch[0]
    border = torch.cat([x[..., 0, :].flatten(), x[..., -1, :].flatten(), x[..., 0].flatten(), x[..., -1].flatten()])
    assert border.max() == 0.0
    drawn = (x.sum(2) > 0).float().mean((-1, -2))
    assert drawn.min() > 0.12
    assert drawn.max() < 0.5


def test_same_seed_same_frames_and_other_seed_other_frames(train: ProceduralSprites) -> None:
    again, other = ProceduralSprites(split="train", seed=0), ProceduralSprites(split="train", seed=1)
    assert again.checksum == train.checksum
    assert other.checksum != train.checksum
    assert torch.equal(again[7]["x"], train[7]["x"])
    assert torch.equal(other[7]["factors"], train[7]["factors"])
    difference = (other[7]["x"] - train[7]["x"]).abs()
    assert 0.0 < difference.max() <= 14 / 255  # two dyes of up to 6, brightened by up to 1.16
    assert ProceduralSprites(split="test").checksum == train.checksum


def test_drawing_is_repeated_bit_by_bit(train: ProceduralSprites) -> None:
    from pyrodis.datasets.procedural_sprites import _draw

    tiles, top = _draw(0)
    assert hashlib.sha256(tiles.tobytes() + top.tobytes()).hexdigest() == train.checksum


@pytest.mark.parametrize("attribute", range(4), ids=ATTRIBUTES)
def test_each_pair_of_values_differs_to_the_eye_in_each_action_and_frame(
    train: ProceduralSprites, attribute: int
) -> None:
    """At least 20 pixels of every frame must change by over 0.1, and clips by 0.002 in the mean."""
    weight = 6 ** (3 - attribute)
    known = set(split_characters("train").tolist())
    base = next(c for c in range(1296) if (c // weight) % 6 == 0 and {c + v * weight for v in range(6)} <= known)
    for action in range(9):
        clips = clips_of(train, [base + value * weight for value in range(6)], action)
        for first in range(6):
            for second in range(first + 1, 6):
                change = (clips[first] - clips[second]).abs()
                assert change.mean() > 0.002, (action, first, second)
                assert (change.amax(1) > 0.1).sum((-1, -2)).min() >= 20, (action, first, second)


def test_the_nine_actions_differ_pairwise_and_move(train: ProceduralSprites) -> None:
    x = stacked(train, list(range(9)))[0]
    for first in range(9):
        assert ((x[first, 1:] - x[first, :-1]).abs().mean((1, 2, 3)) > 0.004).sum() >= 5
        for second in range(first + 1, 9):
            assert (x[first] - x[second]).abs().mean() > 0.015, (first, second)


def test_left_mirrors_right_only_where_the_motion_is_symmetric(train: ProceduralSprites) -> None:
    walk_left, walk_right = train[1]["x"], train[2]["x"]
    slash_left, slash_right = train[7]["x"], train[8]["x"]
    half_a_cycle = torch.roll(walk_right, 4, 0).flip(-1)
    assert (walk_left - half_a_cycle).abs().mean() < 0.5 * (walk_left - walk_right).abs().mean()
    assert (slash_left - slash_right.flip(-1)).abs().mean() > 0.01


def test_a_small_reader_of_few_clips_reads_all_factors(train: ProceduralSprites) -> None:
    """Kernel regression from two coarse frames: 1,200 clips to fit, 300 more to score."""
    order = torch.randperm(1000, generator=torch.Generator().manual_seed(0))
    picked = (9 * order.unsqueeze(1) + torch.arange(9)).flatten()[:1500].tolist()
    x, factors = stacked(train, picked)
    features = torch.nn.functional.avg_pool2d(x[:, [0, 3]].flatten(1, 2), 4).flatten(1)
    distances = torch.cdist(features, features).double() ** 2
    kernel = torch.exp(-distances / (6.0 * distances.median()))
    sizes = list(train.factor_sizes)
    labels = torch.cat([torch.nn.functional.one_hot(factors[:, k], size) for k, size in enumerate(sizes)], 1).double()
    ridge = kernel[:1200, :1200] + 1e-3 * torch.eye(1200, dtype=torch.double)
    predicted = kernel[1200:, :1200] @ torch.linalg.solve(ridge, labels[:1200])
    for column, scores in enumerate(predicted.split(sizes, 1)):
        accuracy = (scores.argmax(1) == factors[1200:, column]).double().mean()
        assert accuracy > 0.87, train.factor_names[column]


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"split": "valid"}, ValueError, "split must be one of .*got 'valid'"),
        ({"seed": -1}, ValueError, "seed must lie in .*got -1"),
        ({"seed": 2**32}, ValueError, "seed must lie in .*got 4294967296"),
        ({"seed": 0.5}, TypeError, "seed must be an integer, got 0.5"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        ProceduralSprites(**arguments)


@pytest.mark.parametrize("index", [9000, -9001])
def test_index_beyond_the_end(train: ProceduralSprites, index: int) -> None:
    with pytest.raises(IndexError, match=rf"index must lie in \[-9000, 9000\), got {index}"):
        train[index]
