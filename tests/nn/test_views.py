"""Views: shapes and ranges, what each keeps and hides, where randomness comes from, and bad input."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyrodis.nn import (
    Downsample,
    FrameShuffle,
    GaussianBlur,
    MedianFrame,
    Motion,
    PatchShuffle,
    RandomCrop,
    RandomGray,
    RandomShift,
    RandomTones,
    Silhouette,
    SingleFrame,
    SubsetFrames,
)

B, T, C, SIZE = 4, 5, 3, 8
RANDOM: dict[str, Callable[..., nn.Module]] = {
    "PatchShuffle": lambda **rest: PatchShuffle(2, **rest),
    "PatchShuffle of clips": lambda **rest: PatchShuffle(2, per_frame=False, **rest),
    "FrameShuffle": FrameShuffle,
    "SingleFrame": SingleFrame,
    "RandomGray": RandomGray,
    "RandomTones": RandomTones,
    "RandomShift": lambda **rest: RandomShift(2, **rest),
    "RandomShift of frames": lambda **rest: RandomShift(2, per_frame=True, **rest),
    "RandomShift in a circle": lambda **rest: RandomShift(2, circular=True, **rest),
    "RandomCrop": lambda **rest: RandomCrop(5, **rest),
    "RandomCrop of frames": lambda **rest: RandomCrop(5, per_frame=True, **rest),
}
FIXED: dict[str, Callable[..., nn.Module]] = {
    "Downsample": Downsample,
    "GaussianBlur": lambda: GaussianBlur(1.5),
    "Silhouette": Silhouette,
    "Motion": Motion,
    "Sequential": lambda: nn.Sequential(RandomTones(), Downsample(4)).eval(),
}
EVERY = {**RANDOM, **FIXED}

# Views of fewer frames, channels or pixels, and the (T, C, H, W) that they show.
SMALLER: dict[str, tuple[Callable[..., nn.Module], tuple[int, ...]]] = {
    "SubsetFrames": (lambda **rest: SubsetFrames(3, all_in_eval=False, **rest), (3, C, SIZE, SIZE)),
    "MedianFrame": (MedianFrame, (1, C, SIZE, SIZE)),
    "RandomCrop": (lambda **rest: RandomCrop(5, enlarge=False, **rest), (T, C, 5, 5)),
    "RandomGray": (lambda **rest: RandomGray(keep_channels=False, **rest), (T, 1, SIZE, SIZE)),
    "RandomTones": (lambda **rest: RandomTones(keep_channels=False, **rest), (T, 1, SIZE, SIZE)),
    "Silhouette": (lambda: Silhouette(keep_channels=False), (T, 1, SIZE, SIZE)),
    "Downsample": (lambda: Downsample(2, restore=False), (T, C, SIZE // 2, SIZE // 2)),
}

every_view = pytest.mark.parametrize("make", EVERY.values(), ids=EVERY.keys())
every_random_view = pytest.mark.parametrize("make", RANDOM.values(), ids=RANDOM.keys())
every_gray_view = pytest.mark.parametrize("make", [RandomGray, RandomTones, Silhouette], ids=lambda cls: cls.__name__)


def make_frames(*leading: int, seed: int = 0) -> Tensor:
    """Frames in [0, 1] with a black border of a pixel."""
    frames = torch.rand(*leading, T, C, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))
    frames[..., 0, :] = frames[..., -1, :] = frames[..., 0] = frames[..., -1] = 0
    return frames


def same_clips(num: int = B) -> Tensor:
    return make_frames().expand(num, -1, -1, -1, -1)


def patches(frames: Tensor, size: int) -> Tensor:
    """The patches of frames (C, H, W), a row each."""
    cut = frames.unfold(-2, size, size).unfold(-2, size, size)
    return cut.movedim(0, 2).reshape(-1, frames.shape[0] * size * size)


def sorted_rows(rows: Tensor) -> Tensor:
    return rows[rows[:, 0].argsort()] if rows.shape[1] == 1 else torch.stack(sorted(rows, key=lambda row: row.tolist()))


@every_view
@pytest.mark.parametrize("leading", [(), (B,), (2, B)], ids=str)
def test_shapes_and_ranges(make: Any, leading: tuple[int, ...]) -> None:
    frames = make_frames(*leading)
    before = frames.clone()
    for view in (make(), make().eval()):
        seen = view(frames)
        assert seen.shape == frames.shape
        assert seen.dtype == frames.dtype
        assert float(seen.min()) >= 0
        assert float(seen.max()) <= 1
    assert torch.equal(frames, before)


@pytest.mark.parametrize("name", SMALLER)
@pytest.mark.parametrize("leading", [(), (B,), (2, B)], ids=str)
def test_shapes_and_ranges_of_smaller_views(name: str, leading: tuple[int, ...]) -> None:
    make, shape = SMALLER[name]
    frames = make_frames(*leading)
    before = frames.clone()
    for view in (make(), make().eval()):
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            seen = view(frames.to(dtype))
            assert seen.shape == (*leading, *shape)
            assert seen.dtype == dtype
            assert float(seen.min()) >= 0
            assert float(seen.max()) <= 1
        assert view(frames.to("meta")).shape == (*leading, *shape)
    assert torch.equal(frames, before)


@pytest.mark.parametrize("name", SMALLER)
def test_smaller_views_draw_as_the_others(name: str) -> None:
    make, _ = SMALLER[name]
    frames, view = same_clips(16), make()
    random = hasattr(view, "seed")
    torch.manual_seed(0)
    seen = view(frames)
    assert (len(seen.unique(dim=0)) > 1) == random
    torch.manual_seed(0)
    assert torch.equal(view(frames), seen)
    state = torch.get_rng_state()
    seen = view.eval()(frames)
    assert torch.equal(torch.get_rng_state(), state)
    assert len(seen.unique(dim=0)) == 1
    assert torch.equal(make().eval()(frames[:1]), seen[:1])
    assert not random or any(not torch.equal(make(seed=seed).eval()(frames), seen) for seed in range(1, 5))


@pytest.mark.parametrize("cls", [RandomGray, RandomTones, Silhouette])
def test_one_channel_is_any_of_all(cls: Any) -> None:
    frames = make_frames(B)
    assert torch.equal(cls(keep_channels=False).eval()(frames), cls().eval()(frames)[:, :, :1])


def test_subset_of_frames_holds_each_frame_once_at_most_and_each_as_often() -> None:
    torch.manual_seed(0)
    frames = same_clips(3000)
    seen = SubsetFrames(2)(frames)
    first, second = ((seen[:, k].unsqueeze(1) == frames).flatten(2).all(-1) for k in range(2))
    assert torch.equal((first | second).sum(1), torch.full((3000,), 2))
    for picked in (first, second):  # the order is random too
        assert (picked.float().mean(0) - 1 / T).abs().max() < 5 * (1 / T * (1 - 1 / T) / 3000) ** 0.5


def test_motion_hides_what_rests_and_the_median_what_moves() -> None:
    ground = torch.rand(B, 1, C, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    frames = ground.repeat(1, T, 1, 1, 1)
    for t in range(T):
        frames[:, t, :, t] = 1  # a line passes by
    assert torch.equal(MedianFrame()(frames), ground)
    seen = Motion()(frames)
    assert torch.equal(seen.flatten(-2).min(-1)[0], torch.full((B, T, C), 0.5))
    moving = [seen[:, t, :, t] for t in range(T)]
    assert torch.allclose(torch.stack(moving, 1), (2 - torch.stack([ground[:, 0, :, t] for t in range(T)], 1)) / 2)


def test_subset_of_frames_in_eval_mode() -> None:
    frames = make_frames(B)
    assert torch.equal(SubsetFrames(2).eval()(frames), frames)
    assert torch.equal(SubsetFrames(T + 1).eval()(frames), frames)
    few = SubsetFrames(2, all_in_eval=False).eval()
    assert few(frames).shape == (B, 2, C, SIZE, SIZE)


@every_view
def test_changes_the_frames(make: Any) -> None:
    torch.manual_seed(0)
    frames = make_frames(B)
    assert not torch.equal(make()(frames), frames)
    assert not torch.equal(make().eval()(frames), frames)


@every_view
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types(make: Any, dtype: torch.dtype) -> None:
    frames, view = make_frames(B), make().eval()
    seen = view(frames.to(dtype))
    assert seen.dtype == dtype
    if dtype == torch.float64:
        torch.testing.assert_close(seen.float(), view(frames), rtol=0, atol=1e-5)


@every_view
def test_runs_on_the_meta_device(make: Any) -> None:
    frames = make_frames(B).to("meta")
    for view in (make(), make().eval()):
        assert view(frames).device.type == "meta"
        assert view(frames).shape == frames.shape


@every_view
def test_autocast_does_not_round(make: Any) -> None:
    frames, view = make_frames(B), make().eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        seen = view(frames)
    assert torch.equal(seen, view(frames))


@every_view
def test_clips_do_not_mix(make: Any) -> None:
    """In eval mode a clip is seen alike alone and beside others."""
    frames, view = make_frames(B), make().eval()
    torch.testing.assert_close(view(frames)[1:2], view(frames[1:2]), rtol=0, atol=1e-6)


@every_random_view
def test_training_draws_anew_for_every_clip(make: Any) -> None:
    torch.manual_seed(0)
    frames, view = same_clips(16), make()
    seen = view(frames)
    assert len(seen.unique(dim=0)) > 1
    assert not torch.equal(view(frames), seen)
    torch.manual_seed(0)
    assert torch.equal(view(frames), seen)


@every_random_view
def test_evaluation_draws_the_same_for_every_clip_and_call(make: Any) -> None:
    frames, view = same_clips(), make().eval()
    state = torch.get_rng_state()
    seen = view(frames)
    assert torch.equal(torch.get_rng_state(), state)
    assert len(seen.unique(dim=0)) == 1
    assert torch.equal(view(frames), seen)
    assert torch.equal(make().eval()(frames), seen)
    assert any(not torch.equal(make(seed=seed).eval()(frames), seen) for seed in range(1, 5))


@pytest.mark.parametrize("size", [2, 4])
def test_patch_shuffle_keeps_every_patch_of_a_frame(size: int) -> None:
    torch.manual_seed(0)
    frames = make_frames(B)
    seen = PatchShuffle(size)(frames)
    for before, after in zip(frames.flatten(0, 1), seen.flatten(0, 1)):
        assert torch.equal(sorted_rows(patches(before, size)), sorted_rows(patches(after, size)))
    assert sorted_rows(patches(frames[0, 0], size)).unique(dim=0).shape[0] > 1


def test_patch_shuffle_of_one_patch_is_the_frame() -> None:
    frames = make_frames(B)
    assert torch.equal(PatchShuffle(SIZE)(frames), frames)


def test_patch_shuffle_of_frames_and_of_clips() -> None:
    torch.manual_seed(0)
    still = make_frames(B)[:, :1].expand(-1, T, -1, -1, -1)
    assert len(PatchShuffle(2)(still)[0].unique(dim=0)) > 1
    assert len(PatchShuffle(2, per_frame=False)(still)[0].unique(dim=0)) == 1


def test_patch_shuffle_puts_a_patch_everywhere_alike() -> None:
    torch.manual_seed(0)
    frames = torch.zeros(4000, 1, 1, 4, 4)
    frames[..., :2, :2] = 1
    share = PatchShuffle(2)(frames).mean((0, 1, 2))
    assert (share - 0.25).abs().max() < 5 * (0.25 * 0.75 / 4000) ** 0.5


def test_patch_shuffle_reads_frames_that_are_not_contiguous() -> None:
    frames, view = make_frames(B), PatchShuffle(2).eval()
    assert torch.equal(view(frames.mT.contiguous().mT), view(frames))


def test_frame_shuffle_keeps_every_frame() -> None:
    torch.manual_seed(0)
    frames = make_frames(B)
    for before, after in zip(frames.flatten(2), FrameShuffle()(frames).flatten(2)):
        assert torch.equal(sorted_rows(before), sorted_rows(after))


def test_single_frame_makes_frames_equal_and_picks_each() -> None:
    torch.manual_seed(0)
    frames = same_clips(2000)
    seen = SingleFrame()(frames)
    assert torch.equal(seen, seen[:, :1].expand_as(seen))
    picked = (seen[:, 0].unsqueeze(1) == frames).flatten(2).all(-1)
    assert torch.equal(picked.sum(1), torch.ones(2000, dtype=torch.long))
    assert (picked.float().mean(0) - 1 / T).abs().max() < 5 * (1 / T * (1 - 1 / T) / 2000) ** 0.5


@every_gray_view
def test_gray_views_make_channels_equal_and_keep_black(make: Any) -> None:
    torch.manual_seed(0)
    frames = make_frames(B)
    seen = make()(frames)
    assert torch.equal(seen, seen[:, :, :1].expand_as(seen))
    black = (frames == 0).all(2, keepdim=True).expand_as(frames)
    assert (seen[black] == 0).all()
    assert (seen[~black] > 0).float().mean() > 0.99


def test_random_gray_keeps_white_and_the_order_of_brightness() -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(0, 1, 6).expand(100, T, C, 2, 6)
    seen = RandomGray()(ramp)
    assert (seen.diff(dim=-1) > 0).all()
    torch.testing.assert_close(seen[..., -1], torch.ones_like(seen[..., -1]))


def test_random_tones_are_not_monotone() -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(0.1, 1, 30).expand(100, 1, C, 2, 30)
    slopes = RandomTones()(ramp)[:, 0, 0, 0].diff(dim=-1)
    assert ((slopes > 0).any(-1) & (slopes < 0).any(-1)).float().mean() > 0.5


def moments(view: nn.Module, colors: Tensor, num: int = 4000) -> tuple[Tensor, Tensor]:
    """Means over clips, and their standard errors, of tones of two colors (2, C): each, its square, their product."""
    pixels = colors.T.reshape(1, 1, C, 1, 2).expand(num, -1, -1, -1, -1)
    a, b = view(pixels)[:, 0, 0, 0].double().unbind(-1)
    values = torch.stack([a, b, a * a, b * b, a * b, a * a * b * b], -1)
    return values.mean(0), values.std(0) / num**0.5


def distance(view: nn.Module, colors: Tensor, others: Tensor) -> float:
    """The largest difference of two pairs of colors in those means, in standard errors."""
    (a, a_error), (b, b_error) = moments(view, colors), moments(view, others)
    return float(((a - b).abs() / (a_error**2 + b_error**2).sqrt()).max())


COLORS = torch.tensor([[0.9, 0.2, 0.1], [0.2, 0.3, 0.4]])


@pytest.mark.parametrize(
    "others",
    [COLORS[:, [1, 2, 0]], COLORS.flip(0), COLORS + 0.1, 1 - COLORS],
    ids=["channels exchanged", "colors exchanged", "brighter", "inverted"],
)
def test_random_tones_hide_colors_and_brightness(others: Tensor) -> None:
    torch.manual_seed(0)
    assert distance(RandomTones(), COLORS, others) < 4.5


def test_what_random_tones_do_not_hide() -> None:
    """The measure above sees what is kept: how far two colors are apart; and what gray does not hide: brightness."""
    torch.manual_seed(0)
    assert distance(RandomTones(), COLORS, torch.stack([COLORS[0], COLORS[0] * 0.99])) > 10
    assert distance(RandomGray(), COLORS, COLORS[:, [1, 2, 0]]) < 4.5
    assert distance(RandomGray(), COLORS, COLORS.flip(0)) > 10
    assert distance(RandomGray(), COLORS, COLORS + 0.1) > 10


def test_random_shift_moves_a_clip_as_a_whole() -> None:
    torch.manual_seed(0)
    frames = torch.zeros(500, T, C, SIZE, SIZE)
    frames[..., 4, 3] = 0.5
    seen = RandomShift(2)(frames)
    assert torch.equal(seen, seen[:, :1, :1].expand_as(seen))
    where = seen[:, 0, 0].nonzero()
    assert len(where) == 500
    assert {tuple(place) for place in (where[:, 1:] - torch.tensor([4, 3])).tolist()} == {
        (down, across) for down in range(-2, 3) for across in range(-2, 3)
    }


@pytest.mark.parametrize("circular", [False, True])
def test_random_shift_of_frames_moves_each_by_itself(circular: bool) -> None:
    torch.manual_seed(0)
    frames = torch.zeros(100, T, C, SIZE, SIZE)
    frames[..., 4, 3] = 0.5
    seen = RandomShift(2, per_frame=True, circular=circular)(frames)
    assert torch.equal(seen, seen[:, :, :1].expand_as(seen))
    places = seen[:, :, 0].nonzero()[:, 2:].reshape(100, T, 2)
    assert {tuple(place) for place in (places - torch.tensor([4, 3])).flatten(0, 1).tolist()} == {
        (down, across) for down in range(-2, 3) for across in range(-2, 3)
    }
    assert bool((places[:, 1:] != places[:, :1]).any(-1).float().mean() > 0.8)


def test_random_shift_in_a_circle_loses_nothing_and_reaches_every_place() -> None:
    torch.manual_seed(0)
    x = torch.rand(1, T, C, SIZE, SIZE).expand(300, -1, -1, -1, -1)
    seen = RandomShift(SIZE // 2, circular=True)(x)
    rolled = {(i, j): x[0].roll((i, j), (-2, -1)) for i in range(SIZE) for j in range(SIZE)}
    found = [next(place for place, frames in rolled.items() if torch.equal(clip, frames)) for clip in seen]
    assert len(set(found)) > 60


def test_random_crop_of_frames_cuts_each_by_itself() -> None:
    torch.manual_seed(0)
    x = torch.arange(float(SIZE * SIZE)).reshape(1, 1, 1, SIZE, SIZE).expand(100, T, C, -1, -1) / SIZE**2
    seen = RandomCrop(5, enlarge=False, per_frame=True)(x)
    corners = (seen[..., 0, 0] * SIZE**2).round().long()
    assert torch.equal(corners, corners[..., :1].expand_as(corners))
    assert set(corners.flatten().tolist()) == {SIZE * i + j for i in range(4) for j in range(4)}
    assert bool((corners[:, 1:, 0] != corners[:, :1, 0]).float().mean() > 0.8)
    up, left = int(corners[7, 3, 0]) // SIZE, int(corners[7, 3, 0]) % SIZE
    assert torch.equal(seen[7, 3], x[7, 3, :, up : up + 5, left : left + 5])


def test_random_shift_fills_with_zeros() -> None:
    torch.manual_seed(0)
    seen = RandomShift(2)(torch.ones(200, 1, 1, SIZE, SIZE))
    lost = SIZE * SIZE - seen.sum((1, 2, 3, 4))
    assert {0.0, 2.0 * SIZE, SIZE * SIZE - 36.0} <= set(lost.tolist())
    assert float(lost.max()) == SIZE * SIZE - 36


def test_silhouette_is_of_the_largest_channel() -> None:
    frames = torch.tensor([[0.0, 0.0, 0.3], [0.2, 0.2, 0.2], [0.0, 0.1, 0.0]]).T.reshape(1, C, 1, 3)
    assert Silhouette(0.2)(frames)[0, 1, 0].tolist() == [1.0, 0.0, 0.0]


def test_blur_keeps_the_sum_of_what_is_far_from_the_border() -> None:
    frames = torch.zeros(1, 1, 33, 33)
    frames[..., 16, 16] = 1
    seen = GaussianBlur(2.0)(frames)
    torch.testing.assert_close(seen.sum(), torch.tensor(1.0))
    steps = torch.arange(33) - 16.0
    spread = (seen[0, 0].sum(0) * steps**2).sum().sqrt()
    assert 1.8 < float(spread) < 2.05


def test_views_train_nothing() -> None:
    for make in EVERY.values():
        assert list(make().state_dict()) == []


BAD: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "patch of 0": (lambda: PatchShuffle(0), ValueError, "patch_size must be a positive whole number, got 0"),
    "patch of 2.0": (lambda: PatchShuffle(2.0), TypeError, "patch_size must be a positive whole number, got 2.0"),
    "patch of 3": (
        lambda: PatchShuffle(3)(make_frames(B)),
        ValueError,
        "patch_size must divide H and W, got 3 for frames of 8 x 8; pass a divisor",
    ),
    "per_frame": (lambda: PatchShuffle(2, per_frame=1), TypeError, "per_frame must be True or False, got 1"),
    "seed": (lambda: SingleFrame(-1), ValueError, "seed must be a whole number of 0 or more and below 2**63, got -1"),
    "large seed": (lambda: SingleFrame(2**64), ValueError, "and below 2**63, got 18446744073709551616"),
    "no frames": (
        lambda: Motion()(torch.zeros(2, 0, 3, 4, 4)),
        ValueError,
        "none of the last four 0, got (2, 0,",
    ),
    "no seed": (lambda: FrameShuffle(None), TypeError, "seed must be a whole number of 0 or more, got None"),
    "one gamma": (lambda: RandomGray(2.0), TypeError, "gamma must be two numbers, the least and the largest"),
    "gamma of 0": (lambda: RandomGray((0.0, 1.0)), ValueError, "gamma must be a finite number above 0, got 0.0"),
    "gamma exchanged": (lambda: RandomGray((2.0, 0.5)), ValueError, "got (2.0, 0.5); exchange the two"),
    "frequency": (lambda: RandomTones(-1.0), ValueError, "frequency must be a finite number above 0, got -1.0"),
    "darkest": (lambda: RandomTones(darkest=1.0), ValueError, "darkest must be a number in [0, 1), got 1.0"),
    "black": (lambda: RandomTones(black=0.0), ValueError, "black must be a finite number above 0, got 0.0"),
    "threshold": (lambda: Silhouette("0"), TypeError, "threshold must be a number in [0, 1), got '0' of type str"),
    "threshold nan": (lambda: Silhouette(float("nan")), ValueError, "threshold must be a number in [0, 1), got nan"),
    "shift of some": (
        lambda: RandomShift(2, per_frame="some"),
        TypeError,
        "per_frame must be True or False, got 'some'",
    ),
    "circular": (lambda: RandomShift(2, circular=1), TypeError, "circular must be True or False, got 1"),
    "circle of 8": (
        lambda: RandomShift(8, circular=True)(make_frames(B)),
        ValueError,
        "max_shift must be smaller than H and W",
    ),
    "shift of -1": (lambda: RandomShift(-1), ValueError, "max_shift must be a positive whole number, got -1"),
    "shift of 8": (
        lambda: RandomShift(8)(make_frames(B)),
        ValueError,
        "max_shift must be smaller than H and W, got 8 for frames of 8 x 8",
    ),
    "crop of 9": (
        lambda: RandomCrop(9)(make_frames(B)),
        ValueError,
        "size must be at most H and W, got 9 for frames of 8 x 8",
    ),
    "enlarge": (lambda: RandomCrop(4, enlarge=2), TypeError, "enlarge must be True or False, got 2"),
    "restore": (lambda: Downsample(2, restore=None), TypeError, "restore must be True or False, got None"),
    "keep_channels": (lambda: RandomTones(keep_channels=1), TypeError, "keep_channels must be True or False, got 1"),
    "all_in_eval": (lambda: SubsetFrames(2, all_in_eval=0), TypeError, "all_in_eval must be True or False, got 0"),
    "frames of 0": (lambda: SubsetFrames(0), ValueError, "num_frames must be a positive whole number, got 0"),
    "frames of 6": (
        lambda: SubsetFrames(6)(make_frames(B)),
        ValueError,
        "num_frames must be at most T, got 6 for clips of 5 frames",
    ),
    "factor of 3": (lambda: Downsample(3)(make_frames(B)), ValueError, "factor must divide H and W, got 3"),
    "scale": (lambda: GaussianBlur(-1.0), ValueError, "scale must be a finite number above 0, got -1.0"),
}


@pytest.mark.parametrize(("act", "error", "text"), BAD.values(), ids=BAD.keys())
def test_refuses_bad_arguments(act: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        act()


@every_view
def test_refuses_bad_frames(make: Any) -> None:
    with pytest.raises(ValueError, match=r"frames must have shape \(\.\.\., T, C, H, W\), got \(3, 8, 8\); add"):
        make()(make_frames()[0])
    with pytest.raises(TypeError, match=r"frames must be a floating-point tensor in \[0, 1\], got torch.uint8; divide"):
        make()((make_frames(B) * 255).byte())
