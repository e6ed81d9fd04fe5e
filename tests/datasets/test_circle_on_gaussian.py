"""The circle on a Gaussian: the published bytes, factors that can be read off, masks, splits and held-out regions."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pyrodis.datasets import (
    BouncingMotion,
    CircleOnGaussian,
    CircleScene,
    ClipSubset,
    GravityMotion,
    HeldOutBand,
    HeldOutCells,
    LinearMotion,
    circle_masks,
    hold_out,
    published_circle_masks,
    render_circle,
)
from pyrodis.testing import check_dataset

THIRD = "eb0e2b7c1aa8afc322f214176f6c9ddc2259dfe7b0f7c0ade27afa7171d4799c"


def published_frame(circle: list[float], ground: list[float], size: int, radius: float = 0.1) -> np.ndarray:
    """One frame by the published recipe, pixel by pixel, reduced by Pillow."""
    c, g = np.array(circle, dtype=np.float32), 64 * np.array(ground, dtype=np.float32)
    row, column = np.mgrid[:64, :64]
    center = 48 * c + np.array([8.0, 8.0])
    length = 64 * radius
    disc = (column - center[0]) ** 2 + (row - center[1]) ** 2 - length <= length**2
    blob = np.exp(-((column - g[0]) ** 2 + (row - g[1]) ** 2) / (2 * 15 * 64))
    canvas = np.clip(255.0 * disc + 0.8 * (255 * (blob / blob.max())), 0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(canvas).resize((size, size), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("size", [32, 64])
def test_frames_are_the_published_ones_to_the_byte(size: int) -> None:
    draw = np.random.RandomState(0)
    grid = np.concatenate([draw.randint(0, 16, (60, 2)) / 15, draw.randint(0, 32, (60, 2)) / 31], 1)
    for place in np.concatenate([grid, draw.uniform(size=(60, 4)), [[0, 0, 1, 1], [1, 1, 0, 0], [1, 0, 0.5, 1]]]):
        ours = render_circle(torch.tensor(place[:2]), torch.tensor(place[2:]), CircleScene(size))
        published = published_frame(place[:2], place[2:], size)
        assert ours.shape == (1, size, size)
        assert np.array_equal((255 * ours[0]).round().numpy(), published)
        assert torch.equal(ours[0], torch.tensor(published).float() / 255)


def test_autocast_changes_no_byte() -> None:
    data = CircleOnGaussian(num_sequences=2, with_masks=True)
    plain = data[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = data[0]
    assert all(torch.equal(inside[name], value) for name, value in plain.items())
    assert inside["x"].dtype == torch.float32


def test_small_frames_differ_from_pillow_where_it_rounds_a_half() -> None:
    place = np.random.RandomState(1).uniform(size=(20, 4))
    for size in (16, 8, 4):
        for p in place:
            ours = 255 * render_circle(torch.tensor(p[:2]), torch.tensor(p[2:]), CircleScene(size))[0].numpy()
            assert np.abs(ours - published_frame(p[:2], p[2:], size)).max() < 1.01


def test_published_masks() -> None:
    for p in np.random.RandomState(2).uniform(size=(20, 2)):
        drawn = []
        for radius in (0.05, 0.1, 0.15):
            row, column = np.mgrid[:64, :64]
            center, length = 48 * p.astype(np.float32) + np.array([8.0, 8.0]), 64 * radius
            disc = (column - center[0]) ** 2 + (row - center[1]) ** 2 - length <= length**2
            image = Image.fromarray(255 * disc.astype(np.uint8)).resize((32, 32), Image.Resampling.BILINEAR)
            drawn.append(np.asarray(image) / 255 > 0.4)
        small, middle, large = drawn
        expected = np.stack([middle & small, middle & ~small, ~large])
        assert np.array_equal(published_circle_masks(torch.tensor(p)).numpy(), expected)


def test_masks_are_a_partition_and_name_what_is_drawn() -> None:
    places, ground = torch.rand(50, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([1.0, 0.0])
    masks, x = circle_masks(places), render_circle(places, ground)[:, 0]
    assert masks.dtype == torch.bool
    assert masks.shape == (50, 3, 32, 32)
    assert (masks.sum(1) == 1).all()
    inside, edge, background = masks.unbind(1)
    assert (x[inside] == 1).all()
    assert inside.sum((-1, -2)).min() > 15
    elsewhere = (places + 0.5).remainder(1)
    other, shared = render_circle(elsewhere, ground)[:, 0], background & circle_masks(elsewhere)[:, 2]
    assert torch.equal(x[shared], other[shared])
    brighter = edge & circle_masks(elsewhere)[:, 2]
    assert (x[brighter] > other[brighter]).double().mean() > 0.99  # the rest is rounded away
    fine = circle_masks(places, CircleScene(64))
    assert not fine[:, 1].any()
    assert ((fine[:, 0].sum((-1, -2)) - np.pi * 47.36).abs() < 12).all()


def centroid(weights: Tensor) -> Tensor:
    """Where the weight is, in pixels of the canvas: (..., H, W) to (..., 2)."""
    size = weights.shape[-1]
    step = 64 / size
    pixels = step * (torch.arange(size) + 0.5) - 0.5
    total = weights.sum((-1, -2))
    return torch.stack([weights.sum(-2) @ pixels / total, weights.sum(-1) @ pixels / total], -1)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"num_frames": 1, "motion": None},
        {"scene": CircleScene(64), "motion": BouncingMotion()},
        {"motion": GravityMotion(), "background_motion": LinearMotion()},
    ],
    ids=["published", "static", "bouncing at 64", "gravity"],
)
def test_factors_can_be_read_off_the_frames(arguments: dict[str, Any]) -> None:
    data = CircleOnGaussian(split="validation", num_sequences=40, **arguments)
    items = data.__getitems__(list(range(40)))
    x, factors = torch.stack([i["x"] for i in items]), torch.stack([i["factors"] for i in items])
    ground = render_circle(torch.zeros(2), factors[..., 2:4], CircleScene(data.scene.size, occlude=True))
    other = render_circle(torch.ones(2), factors[..., 2:4], CircleScene(data.scene.size, occlude=True))
    circle = x - torch.minimum(ground, other)  # nothing but the circle, whose brightness differs
    circle = circle / (1 - torch.minimum(ground, other))
    found = (centroid(circle.squeeze(2)) - 8) / 48
    assert (found - factors[..., :2]).abs().max() < 0.02
    brightest = torch.minimum(x, torch.tensor(204 / 255)).squeeze(2) * (circle.squeeze(2) < 1e-6)
    step = 64 / data.scene.size
    place = brightest.flatten(-2).argmax(-1)
    peak = torch.stack([place % data.scene.size, place // data.scene.size], -1) * step + step / 2 - 0.5
    clear = (peak - (48 * factors[..., :2] + 8)).norm(dim=-1) > 16
    assert clear.any()
    assert (peak / 64 - factors[..., 2:4])[clear].abs().max() < 0.08


def test_published_moving_task() -> None:
    data = CircleOnGaussian(num_sequences=2000)
    assert (data.name, data.num_frames, data.frame_shape, data.seed) == ("circle_on_gaussian", 10, (1, 32, 32), 0)
    assert data.factor_names == ("circle_x", "circle_y", "background_x", "background_y")
    assert data.factor_sizes == (None,) * 4
    factors = data.factors
    assert factors.shape == (2000, 10, 4)
    assert torch.equal(factors[7], data[7]["factors"])
    path = factors[..., :2]
    assert path.diff(n=2, dim=1).abs().max() < 1e-6
    length = (path[:, -1] - path[:, 0]).norm(dim=-1)
    assert 0.1 < length.min() < 0.12
    assert torch.equal(factors[:, :1, 2:].expand(-1, 10, -1), factors[..., 2:])
    points = 31 * factors[:, 0, 2:]
    assert (points - points.round()).abs().max() < 1e-5
    assert points.round().unique().numel() == 32


def test_published_static_task() -> None:
    factors = CircleOnGaussian(num_sequences=3000, num_frames=1, motion=None).factors
    for columns, number in ((slice(0, 2), 16), (slice(2, 4), 32)):
        values = factors[..., columns].unique()
        assert torch.allclose(values, torch.linspace(0, 1, number))


def test_same_seed_same_bytes_and_everything_else_other_bytes() -> None:
    first = CircleOnGaussian(num_sequences=50)
    again = CircleOnGaussian(num_sequences=60)
    assert first.checksum == again.checksum
    assert all(torch.equal(first[i]["x"], again[i]["x"]) for i in (0, 31, 49))
    digest = hashlib.sha256((255 * first[3]["x"]).round().to(torch.uint8).numpy().tobytes()).hexdigest()
    assert digest == THIRD
    others = [CircleOnGaussian(num_sequences=50, seed=1), CircleOnGaussian(num_sequences=50, split="validation")]
    others.append(CircleOnGaussian(num_sequences=50, split="test"))
    ends = torch.cat([data.factors[:, 0] for data in (first, *others)])
    assert ends.unique(dim=0).shape[0] == 200
    assert others[0].checksum != first.checksum == others[1].checksum
    assert CircleOnGaussian(num_sequences=50, num_frames=1, motion=None).checksum != first.checksum


def test_batches_are_the_items_and_one_tensor() -> None:
    data = CircleOnGaussian(num_sequences=200, with_masks=True, scene=CircleScene(8))
    indices = [5, 199, 5, *range(60)]
    items = data.__getitems__(indices)
    for index, item in zip(indices, items, strict=True):
        alone = data[index]
        assert all(torch.equal(item[key], alone[key]) for key in ("x", "factors", "masks"))
    assert items[0]["x"].untyped_storage().data_ptr() == items[40]["x"].untyped_storage().data_ptr()
    assert "masks" not in CircleOnGaussian(num_sequences=2)[0]


@pytest.mark.parametrize(
    "data",
    [
        CircleOnGaussian(num_sequences=5, with_masks=True),
        CircleOnGaussian(num_sequences=5, scene=CircleScene(16, 2, 0.5), background_motion=LinearMotion()),
        ClipSubset(CircleOnGaussian(num_sequences=5), [3, 1]),
    ],
    ids=["published", "two circles", "subset"],
)
def test_keeps_the_contract(data: Any) -> None:
    check_dataset(data)


def test_a_moving_background_moves() -> None:
    moving = CircleOnGaussian(num_sequences=9, background_motion=LinearMotion()).factors
    assert (moving[:, 0, 2:] - moving[:, -1, 2:]).norm(dim=-1).min() > 0.1
    still = CircleOnGaussian(num_sequences=9, motion=None)
    x = still[0]["x"]
    assert torch.equal(x[0], x[9])


def test_occlusion_hides_what_addition_shows() -> None:
    circle, ground = torch.tensor([0.3, 0.3]), torch.tensor([1.0, 1.0])
    white = [render_circle(circle, ground, CircleScene(occlude=occlude)) for occlude in (False, True)]
    assert torch.equal(*white)
    added, hidden = (render_circle(circle, ground, CircleScene(32, 1, 0.5, occlude)) for occlude in (False, True))
    inside = circle_masks(circle)[0]
    assert torch.equal(255 * hidden[0][inside], torch.full((int(inside.sum()),), 127.0))
    assert added[0][inside].unique().numel() > 1
    assert added[0][inside].min() > 127 / 255
    outside = circle_masks(circle)[2]
    assert torch.equal(added[0][outside], hidden[0][outside])


def test_a_second_circle_is_the_union() -> None:
    data = CircleOnGaussian(num_sequences=20, num_frames=3, scene=CircleScene(num_circles=2))
    assert data.factor_names == ("circle_x", "circle_y", "background_x", "background_y", "second_x", "second_y")
    items = data.__getitems__(list(range(20)))
    factors = torch.stack([item["factors"] for item in items])
    one = render_circle(factors[..., :2], factors[..., 2:4], CircleScene(64))
    two = render_circle(factors[..., 4:], factors[..., 2:4], CircleScene(64))
    both = render_circle(factors[..., [0, 1, 4, 5]], factors[..., 2:4], CircleScene(64, num_circles=2))
    assert torch.equal(both, torch.maximum(one, two))
    x = torch.stack([item["x"] for item in items])
    assert torch.equal(x, render_circle(factors[..., [0, 1, 4, 5]], factors[..., 2:4], CircleScene(num_circles=2)))


@pytest.mark.parametrize("region", [HeldOutBand("circle_x", 0.4, 0.6), HeldOutCells(0.1)], ids=["band", "cells"])
@pytest.mark.parametrize("static", [True, False])
def test_training_never_enters_what_is_held_out(region: Any, static: bool) -> None:
    rest: dict[str, Any] = {"num_frames": 1, "motion": None} if static else {"num_frames": 4}
    for split in ("train", "validation", "test"):
        data = CircleOnGaussian(split=split, num_sequences=500, held_out=region, **rest)
        enters = region.contains(data.factors, data.factor_names).any(1)
        assert enters.all() if split == "test" else not enters.any()
    plain = CircleOnGaussian(num_sequences=500, **rest)
    enters = region.contains(plain.factors, plain.factor_names).any(1)
    held = CircleOnGaussian(num_sequences=500, held_out=region, **rest)
    assert 0.05 < enters.float().mean() < 0.9
    assert torch.equal(held.factors[~enters], plain.factors[~enters])


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "split": (lambda: CircleOnGaussian(split="fit"), ValueError, "split must be one of train, validation, test, got"),
    "number": (lambda: CircleOnGaussian(num_sequences=0), ValueError, "num_sequences must be a positive whole number"),
    "frames": (lambda: CircleOnGaussian(num_frames=2.0), TypeError, "num_frames must be a positive whole number, got"),
    "seed": (lambda: CircleOnGaussian(seed=0.5), TypeError, "seed must be an integer, got 0.5"),
    "index": (lambda: CircleOnGaussian(num_sequences=3)[3], IndexError, "index must lie in [-3, 3), got 3"),
    "size": (lambda: CircleScene(48), ValueError, "size must be 4, 8, 16, 32 or 64, got 48"),
    "circles": (lambda: CircleScene(num_circles=0), ValueError, "num_circles must be a whole number of at least 1"),
    "value": (lambda: CircleScene(circle_value=1.5), ValueError, "circle_value must be in (0, 1], got 1.5"),
    "region": (
        lambda: CircleOnGaussian(num_sequences=3, held_out=HeldOutBand("hair")),
        ValueError,
        "factor must be one of circle_x, circle_y, background_x, background_y, got 'hair'",
    ),
    "all held out": (
        lambda: CircleOnGaussian(num_sequences=3, held_out=HeldOutBand("circle_x", 0.0, 1.0)),
        ValueError,
        "3 of 3 sequences were refused 1000 times",
    ),
    "shape": (
        lambda: render_circle(torch.rand(4), torch.rand(2)),
        ValueError,
        "circle_positions must have shape (..., 2), an x and a y each, got (4,)",
    ),
    "range": (
        lambda: render_circle(torch.rand(2), torch.tensor([0.5, 1.5])),
        ValueError,
        "background_positions must be in [0, 1], got values from 0.5 to 1.5",
    ),
    "nan": (lambda: circle_masks(torch.tensor([0.5, float("nan")])), ValueError, "circle_positions must be in [0, 1]"),
    "classes": (
        lambda: hold_out(CircleOnGaussian(num_sequences=3), "circle_x", 0),
        ValueError,
        "factor must have classes, got circle_x, which is continuous",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    make, error, text = BAD[case]
    with pytest.raises(error, match=re.escape(text)):
        make()
