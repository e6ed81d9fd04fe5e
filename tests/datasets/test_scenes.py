"""Scenes drawn on demand, solid and flat: the same always, wholly in the frame, each object seen, types by number."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from pyrodis.datasets import (
    FLAT_COLORS,
    FLAT_SHAPES,
    FlatScenes,
    OverlappingDigits,
    Scenes,
    flat_shape_masks,
    hold_out,
    type_masks,
)
from pyrodis.datasets.scene_drawing import _ground, sphere_edges
from pyrodis.datasets.solids import Solids
from pyrodis.testing import check_dataset

NUM = 40
MIN_PIXELS = 30
both = pytest.mark.parametrize("make", [Scenes, FlatScenes])
Make = Callable[..., Any]


def stacked(data: Any, key: str) -> Tensor:
    return torch.stack([item[key] for item in data.__getitems__(list(range(len(data))))])


@both
def test_keeps_the_promises_of_a_data_set(make: Make) -> None:
    for settings in ({}, {"with_masks": True}, {"num_objects": (1, 5)}):
        check_dataset(make(num_images=5, **settings))
    assert "masks" not in make(num_images=1)[0]


def test_gray_scenes_have_one_channel_and_the_same_objects() -> None:
    color, gray = (Scenes(num_images=3, color=c, with_masks=True) for c in (True, False))
    check_dataset(gray)
    assert (gray.frame_shape, gray.name, color.name) == ((1, 64, 64), "gray_scenes", "scenes")
    for one, other in zip(color, gray, strict=False):
        assert all(torch.equal(one[key], other[key]) for key in ("factors", "positions", "masks"))
        weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
        assert float((other["x"] - (weights * one["x"]).sum(1, True)).abs().max()) < 1.01 / 255


def test_large_frames_show_the_same_scenes() -> None:
    small, large = (Scenes(num_images=3, size=size, with_masks=True) for size in (64, 128))
    check_dataset(large)
    assert torch.equal(small.factors, large.factors)
    shrunk = torch.nn.functional.avg_pool2d(large[1]["x"], 2)
    assert float((shrunk - small[1]["x"]).abs().mean()) < 0.01
    coarse = torch.nn.functional.avg_pool2d(large[1]["masks"].float(), 2)
    assert float((coarse - small[1]["masks"].float()).abs().mean()) < 0.01


BYTES = {Scenes: "112ec3d67d8682a9", FlatScenes: "8eb865dce0d52c12"}


@both
def test_the_same_seed_gives_the_same_bytes(make: Make) -> None:
    data, again = (make(num_images=NUM, with_masks=True) for _ in range(2))
    order = torch.randperm(NUM, generator=torch.Generator().manual_seed(0)).tolist()
    drawn = dict(zip(order, again.__getitems__(order), strict=True))
    for index in range(NUM):  # in another order, and alone
        item = data[index]
        assert all(torch.equal(value, drawn[index][key]) for key, value in item.items())
    digest = hashlib.sha256((255 * stacked(data, "x")).round().byte().numpy().tobytes()).hexdigest()
    assert digest.startswith(BYTES[make]), digest  # type: ignore[index]


@both
def test_an_item_is_a_function_of_seed_split_and_index(make: Make) -> None:
    few, many = make(num_images=3), make(num_images=NUM)
    assert torch.equal(few[-1]["x"], many[2]["x"])
    assert few.checksum == many.checksum == make(num_images=3, split="test").checksum
    others = [make(num_images=3, seed=1), make(num_images=3, split="test"), make(num_images=3, split="validation")]
    for other in others:
        assert not torch.equal(other.factors, few.factors)
    assert others[0].checksum != few.checksum
    assert make(num_images=3, num_objects=(1, 2)).checksum != few.checksum


@both
def test_every_object_is_seen_and_masks_are_a_partition(make: Make) -> None:
    data = make(num_images=NUM, with_masks=True, num_objects=(1, 4))
    masks, types = stacked(data, "masks")[:, 0], data.factors[:, : data.num_slots]
    assert masks.sum(1).eq(1).all()
    seen = masks[:, :-1].sum((-1, -2))
    filled = types < data.num_types
    assert torch.equal(seen >= MIN_PIXELS, filled)
    assert torch.equal(seen == 0, ~filled)
    assert sorted(filled.sum(1).unique().tolist()) == [1, 2, 3, 4]
    merged = type_masks(masks, types, data.num_types)
    assert merged.sum(1).eq(1).all()


@both
def test_objects_lie_wholly_within_the_frame(make: Make) -> None:
    masks = stacked(make(num_images=NUM, with_masks=True), "masks")[:, 0, :-1]
    border = torch.ones(64, 64, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    share = (masks & border).flatten(2).sum(2)
    assert int(share.max()) <= 3  # a shape may touch the border, not be cut by it


def test_the_outermost_places_of_solid_objects_lie_within_the_frame() -> None:
    data = Scenes(num_images=1, num_objects=(1, 1))
    grid = torch.cartesian_prod(*[torch.tensor([0.0, 0.5, 1 - 1e-9], dtype=torch.float64)] * 4)
    kinds, sizes, across, away = grid.T
    half = torch.full_like(kinds, 0.5)
    objects = data._objects(torch.stack([1 + 0 * half, kinds, half, half, sizes, half, across, away], 1))
    solids = Solids(objects)
    assert float(sphere_edges(solids.centers, solids.bounds).abs().max()) < 1
    assert len(solids.shapes.unique()) == 3


def test_solid_objects_keep_their_distance() -> None:
    data = Scenes(num_images=NUM)
    radii = torch.tensor([0.45, 0.75, 0.0])[data.factors[:, -4:]]
    positions = stacked(data, "positions")
    distance = (positions.unsqueeze(1) - positions.unsqueeze(2)).norm(dim=-1)
    filled = data.factors[:, :4] < 3
    pairs = (filled.unsqueeze(1) & filled.unsqueeze(2)).triu(1)
    assert bool((distance > radii.unsqueeze(1) + radii.unsqueeze(2) + 0.149)[pairs].all())
    assert int(pairs.sum()) > NUM
    assert bool((positions[~filled] == 0).all())


@both
def test_all_that_may_occur_does(make: Make) -> None:
    data = make(num_images=200)
    for column in range(len(data.factor_names)):
        last = data.factor_sizes[column] - 1
        found = set(data.factors[:, column].tolist())
        empty = int(data.factor_names[column][-1]) >= 2
        assert found == set(range(last)) | ({last} if empty else set())


@both
def test_harder_scenes_are_not_rarer(make: Make) -> None:
    data = make(num_images=300)
    counts = (data.factors[:, :4] < 3).sum(1).bincount()[2:]
    assert float((counts - 100).abs().max()) < 3 * (300 * 2 / 9) ** 0.5


@both
def test_a_type_has_the_same_number_in_data_of_fewer_types(make: Make) -> None:
    types = ("cylinder", "sphere") if make is Scenes else ("heart", "square")
    for items in ((0,), (1,), (0, 1)):
        data = make(num_images=10, types=types, items=items, num_objects=(2, 2))
        assert set(data.factors[:, :2].flatten().tolist()) == set(items)
        assert data.factor_sizes[0] == 3
    first = make(num_images=4, types=types, items=(0,), with_masks=True)
    swapped = make(num_images=4, types=types[::-1], items=(1,), with_masks=True)
    assert first.types[0] == swapped.types[1]
    # Only the first of these has round tops and no corners: a cylinder alone fills most of the box around it.
    masks = stacked(first, "masks")[:, 0, :-1].flatten(0, 1).flatten(1).any(1)
    assert masks.any()


def test_flat_pixels_have_the_color_of_their_owner() -> None:
    data = FlatScenes(num_images=5, with_masks=True)
    palette = torch.tensor(list(FLAT_COLORS.values())).float() / 255
    for item in data.__getitems__(list(range(5))):
        types, colors = item["factors"].view(2, -1)
        for slot in range(data.num_slots):
            pixels = item["x"][0][:, item["masks"][0, slot]]
            if types[slot] < 3:
                assert torch.equal(pixels.unique(dim=1), palette[colors[slot]].unsqueeze(1))
        background = item["x"][0][:, item["masks"][0, -1]]
        assert len(background.unique()) == 1
        assert 0 <= float(background[0, 0]) <= 128 / 255


def test_flat_shapes_of_a_scene_have_different_colors() -> None:
    for types, colors in FlatScenes(num_images=200).factors.unflatten(1, (2, 4)).unbind(0):
        filled = colors[types < 3].tolist()
        assert len(set(filled)) == len(filled) >= 2


def test_the_later_flat_shape_hides_the_earlier() -> None:
    data = FlatScenes(num_images=NUM, with_masks=True, num_objects=(2, 2), types=("ellipse",))
    hidden = 0
    for index in range(NUM):
        item, uniforms = data[index], data._drawn(torch.tensor([index]))
        geometry = data._split(uniforms)[1][2:]
        alone = flat_shape_masks(torch.tensor([1, 1]), torch.stack([g[0] for g in geometry], -1))
        assert torch.equal(item["masks"][0, 1], alone[1])
        assert torch.equal(item["masks"][0, 0], alone[0] & ~alone[1])
        hidden += int((alone[0] & alone[1]).any())
    assert hidden > 0


def test_flat_shapes_have_their_areas_and_turn_about_their_middle() -> None:
    radius = 20.0
    areas = [2 * radius**2, 0.6 * torch.pi * radius**2, 0.630 * torch.pi * radius**2]
    for angle in (0.0, 1.0, 2.5):
        masks = flat_shape_masks(torch.arange(3), torch.tensor([[radius, angle, 32.0, 32.0]] * 3))
        for mask, area in zip(masks, areas, strict=True):
            assert abs(int(mask.sum()) - area) < 0.03 * area
    assert not flat_shape_masks(torch.tensor([-1]), torch.tensor([[radius, 0.0, 32.0, 32.0]])).any()
    upright = flat_shape_masks(torch.arange(3), torch.tensor([[radius, 0.0, 32.0, 32.0]] * 3))
    assert torch.equal(upright, upright.flip(-1))  # left and right are alike
    assert int(upright[2, :32].sum()) > 1.1 * int(upright[2, 32:].sum())  # a heart points down
    turned = flat_shape_masks(torch.arange(3), torch.tensor([[radius, torch.pi / 2, 32.0, 32.0]] * 3))
    assert float((turned[1] ^ upright[1].T).float().mean()) < 0.01
    grid = torch.arange(64) + 0.5 - 32
    outside = grid.square() + grid.unsqueeze(1).square() > (radius + 0.1) ** 2
    assert not bool((upright & outside).any())
    assert len(FLAT_SHAPES) == 3


def test_works_in_a_loader_with_workers_and_with_hold_out() -> None:
    data = Scenes(num_images=8, with_masks=True)
    batches = list(DataLoader(data, batch_size=4, num_workers=1))
    assert batches[1]["x"].shape == (4, 1, 3, 64, 64)
    assert torch.equal(batches[1]["x"][0], data[4]["x"])
    without, only = hold_out(Scenes(num_images=30), "type_0", 2)
    assert len(without) + len(only) == 30


@both
def test_refuses_settings_that_make_no_scene(make: Make) -> None:
    for settings, sentence in [
        ({"num_objects": (3, 2)}, r"num_objects must be the least and the greatest number, got \(3, 2\)"),
        ({"num_objects": 3}, "num_objects must be the least and the greatest number, got 3"),
        ({"num_objects": (0, 2)}, "num_objects must be a positive whole number, got 0"),
        ({"types": ("cone",)}, r"types must be some of .*, each once, got \('cone',\)"),
        ({"types": ()}, "types must be some of"),
        ({"items": (3,)}, r"items must lie in \[0, 3\)"),
        ({"items": ()}, "items must name at least one type"),
        ({"split": "valid"}, "split must be one of train, validation, test"),
        ({"num_images": 0}, "num_images must be a positive whole number"),
        ({"seed": -1}, "seed must be in"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            make(**settings)


def test_refuses_sizes_and_crowds() -> None:
    with pytest.raises(TypeError, match=r"size must be a positive whole number, got 64\.0"):
        Scenes(size=64.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="size must be 64 or 128, got 100"):
        Scenes(size=100)
    with pytest.raises(ValueError, match="num_objects must be at most 6, got"):
        FlatScenes(num_objects=(2, 7))


def test_says_when_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyrodis.datasets.streams._MAX_ATTEMPTS", 3)
    with pytest.raises(ValueError, match="were refused 3 times; ask for fewer objects, there is no room for so many"):
        Scenes(num_objects=(20, 20), num_images=1)


@pytest.mark.parametrize("make", [Scenes, FlatScenes, OverlappingDigits])
def test_the_default_dtype_changes_no_byte(make: Any) -> None:
    expected = make(num_images=3, seed=1)[2]["x"]
    torch.set_default_dtype(torch.float64)
    _ground.cache_clear()  # which another test may have filled
    try:
        found = make(num_images=3, seed=1)[2]["x"]
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
