"""The bouncing box: a ball that keeps its speed, turns at the walls, and whose place can be read off each frame."""

from __future__ import annotations

import hashlib

import pytest
import torch
from torch import Tensor

from pyrodis.datasets import BouncingBox
from pyrodis.testing import check_dataset

SEVENTH = "97e9a1f963c68f6af58e1f9e9d745d0105c04c7e67f1b71e0d81b0fab083c380"


def clips(data: BouncingBox, number: int) -> tuple[Tensor, Tensor]:
    items = data.__getitems__(list(range(number)))
    return torch.stack([item["x"] for item in items]), torch.stack([item["factors"] for item in items])


def test_keeps_the_contract() -> None:
    data = BouncingBox(num_sequences=4)
    check_dataset(data)
    assert (len(BouncingBox()), data.num_frames, data.frame_shape) == (5000, 20, (1, 32, 32))
    assert data.factor_names == ("x", "y")


def test_frames_are_binary_with_a_ball_where_the_factors_say() -> None:
    x, factors = clips(BouncingBox(split="test", num_sequences=50), 50)
    assert x.dtype == torch.float32
    assert x.unique().tolist() == [0.0, 1.0]
    assert (x.sum((-1, -2, -3)) == 29).all()
    pixels = torch.arange(32.0)
    found = torch.stack([x.sum((2, 3)) @ pixels, x.sum((2, 4)) @ pixels], -1) / 29
    exact = 5 + 22 * factors
    assert ((exact - found) > -1e-4).all()
    assert ((exact - found) < 1 + 1e-4).all()
    assert x[..., :2, :].sum() == x[..., :2].sum() == 0  # walls
    assert x[..., 30:, :].sum() == x[..., 31:].sum() == 0


def test_speed_and_start_are_the_published_ones() -> None:
    factors = BouncingBox(num_sequences=4000).factors.double()
    start = 5 + 22 * factors[:, 0]
    assert start.min() > 6 - 1e-5
    assert start.max() < 26 + 1e-5
    middle = (start - 16).abs() < 9.99
    assert 0.63 < middle.double().mean() < 0.73  # within one scale of the normal distribution
    step = 22 * factors.diff(dim=1).norm(dim=-1)
    speed = step.median(1).values
    assert speed.min() > 2 - 1e-3
    assert speed.max() < 3 + 1e-3
    assert abs(float(speed.mean()) - 2.5) < 0.02
    turns = (factors.diff(dim=1)[:, 1:] * factors.diff(dim=1)[:, :-1] < 0).any(-1)
    assert turns.any(1).double().mean() > 0.9


def test_same_seed_same_bytes() -> None:
    first, longer, other = BouncingBox(num_sequences=20), BouncingBox(num_sequences=30), BouncingBox(seed=1)
    assert torch.equal(clips(first, 20)[0], clips(longer, 20)[0])
    assert first.checksum == longer.checksum != other.checksum
    digest = hashlib.sha256(first[7]["x"].to(torch.uint8).numpy().tobytes()).hexdigest()
    assert digest == SEVENTH
    starts = torch.cat([BouncingBox(split=s, num_sequences=9).factors[:, 1] for s in ("train", "validation", "test")])
    assert starts.unique(dim=0).shape[0] == 27


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="split must be one of train, validation, test, got 'fit'"):
        BouncingBox(split="fit")
    with pytest.raises(ValueError, match="num_frames must be a positive whole number, got 0"):
        BouncingBox(num_frames=0)
    with pytest.raises(IndexError, match=r"index must lie in \[-3, 3\), got -4"):
        BouncingBox(num_sequences=3)[-4]
