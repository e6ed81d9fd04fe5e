"""Readers of frames: which frames speak, when, and bad input."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from pyrodis.nn import EveryFrame, MeanFrames, NormalizedHead, OneFrame, OtherFrame, ProductFrames

T = 4
LOC = torch.arange(T, dtype=torch.float64).reshape(1, T, 1).expand(6000, T, 2)
SCALE = LOC + 1


def test_one_frame_is_drawn_for_every_clip() -> None:
    torch.manual_seed(0)
    loc, scale = OneFrame()(LOC, SCALE)
    assert loc.shape == (6000, 2)
    assert torch.equal(loc[:, 0], loc[:, 1])
    assert torch.equal(scale, loc + 1)
    counts = Counter(loc[:, 0].tolist())
    assert all(abs(counts[t] / 6000 - 1 / T) < 5 * (3 / 16 / 6000) ** 0.5 for t in range(T))


def test_the_seed_decides_in_eval_mode() -> None:
    frames = set()
    for seed in range(20):
        reader = OneFrame(seed).eval()
        loc = reader(LOC, SCALE)[0]
        assert len(loc.unique()) == 1
        assert torch.equal(reader(LOC[:1], SCALE[:1])[0], loc[:1])
        frames.add(float(loc[0, 0]))
    assert len(frames) > 2


def test_other_frames_are_never_one_s_own() -> None:
    torch.manual_seed(0)
    loc, scale = OtherFrame()(LOC, SCALE)
    assert torch.equal(scale, loc + 1)
    steps = (loc - LOC)[..., 0] % T
    assert torch.equal(steps, steps[:, :1].expand(-1, T))
    counts = Counter(steps[:, 0].tolist())
    assert set(counts) == {1, 2, 3}
    assert all(abs(count / 6000 - 1 / 3) < 5 * (2 / 9 / 6000) ** 0.5 for count in counts.values())
    assert torch.equal(OtherFrame().eval()(LOC, SCALE)[0], LOC)
    assert torch.equal(EveryFrame()(LOC, SCALE)[0], LOC)


def test_product_is_surer_and_follows_the_surest() -> None:
    loc, scale = ProductFrames()(LOC[:1], torch.ones_like(LOC[:1]))
    torch.testing.assert_close(loc, MeanFrames()(LOC[:1], SCALE[:1])[0])
    torch.testing.assert_close(scale, torch.full_like(scale, T**-0.5))
    sure = torch.tensor([1.0, 1.0, 1e-4, 1.0], dtype=torch.float64).reshape(1, T, 1).expand(1, T, 2)
    torch.testing.assert_close(ProductFrames()(LOC[:1], sure)[0], torch.full((1, 2), 2.0).double())


@pytest.mark.parametrize("reader", [EveryFrame, OneFrame, OtherFrame, MeanFrames, ProductFrames])
def test_shapes_are_checked_and_one_frame_is_one_frame(reader: Any) -> None:
    with pytest.raises(ValueError, match=r"must have one shape \(B, T, S\), got \(2, 3\) and \(2, 3\)"):
        reader()(torch.zeros(2, 3), torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"got \(2, 4, 3\) and \(2, 4, 1\)"):
        reader()(torch.zeros(2, 4, 3), torch.zeros(2, 4, 1))
    loc, scale = reader().eval()(LOC[:2, :1], SCALE[:2, :1])
    assert torch.equal(loc.reshape(2, 2), LOC[:2, 0])
    torch.testing.assert_close(scale.reshape(2, 2), SCALE[:2, 0])


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="at least two frames to take the code of another, got 1"):
        OtherFrame()(LOC[:2, :1], SCALE[:2, :1])
    with pytest.raises(TypeError, match="seed must be a whole number"):
        OneFrame("0")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch normalization needs two frames or more a batch in training, got 1"):
        NormalizedHead(2, 3)(torch.zeros(1, 1, 2))
    with pytest.raises(ValueError, match="dim must be a positive"):
        NormalizedHead(2, 0)


def test_a_normalized_code_cannot_shrink() -> None:
    head, features = NormalizedHead(4, 3, affine=False), torch.randn(8, 5, 4)
    codes = head(features)
    torch.nn.init.normal_(head.linear.weight, std=100.0)
    torch.testing.assert_close(head(features).square().mean(), codes.square().mean(), atol=1e-3, rtol=0)
    codes = head.eval()(features[:1, :1])
    assert codes.shape == (1, 1, 3)
