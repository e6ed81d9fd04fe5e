"""Grids of frames: every pixel where it belongs, labels beside their rows, and bad input."""

from __future__ import annotations

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from pyrodis.plotting import frame_grid, swap_grid

GAP, GROUP_GAP = 2, 10


def clips(num: int = 4, num_frames: int = 3, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size=(num, num_frames, channels, 8, 10)) / 255


def drawn(ax: plt.Axes) -> np.ndarray:
    return np.asarray(ax.images[0].get_array())


def tile(image: np.ndarray, top: int, left: int) -> np.ndarray:
    return image[top : top + 8, left : left + 10].transpose(2, 0, 1) / 255


def test_every_frame_is_where_it_belongs() -> None:
    x = clips()
    image = drawn(frame_grid(torch.as_tensor(x), rows_per_group=2))
    tops, lefts = (0, 10, 28, 38), (0, 12, 24)  # 8 + GAP, then 8 + GROUP_GAP
    assert image.shape == (46, 34, 3)
    for r, top in enumerate(tops):
        for t, left in enumerate(lefts):
            assert np.allclose(tile(image, top, left), x[r, t]), (r, t)
    assert (image[18:28] == 255).all()  # the wide gap between the groups


def test_blocks_of_frames_stand_apart() -> None:
    image = drawn(frame_grid(clips(1, 4), frames_per_group=2, column_labels=("real", "decoded")))
    assert image.shape[1] == 4 * 10 + 2 * GAP + GROUP_GAP
    assert (image[:, 22:32] == 255).all()


def test_gray_frames_are_drawn_gray() -> None:
    x = clips(1, 1, channels=1)
    image = drawn(frame_grid(x))
    assert np.allclose(image / 255, x[0, 0, 0, :, :, None])


def test_intensities_are_rounded_to_the_nearest_byte() -> None:
    x = np.array([0.4, 0.6, 253.4, 254.6]).reshape(1, 1, 1, 2, 2) / 255
    assert drawn(frame_grid(x))[..., 0].ravel().tolist() == [0, 1, 253, 255]


def test_labels_stand_beside_rows_or_groups() -> None:
    ax = frame_grid(clips(), row_labels=("a", "b", "c", "d"), rows_per_group=2)
    assert ax.get_yticks() == pytest.approx([3.5, 13.5, 31.5, 41.5])
    ax = frame_grid(clips(), row_labels=("first", "second"), rows_per_group=2)
    assert ax.get_yticks() == pytest.approx([8.5, 36.5])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["first", "second"]


@pytest.mark.parametrize("scale", [1, 3])
def test_a_saved_figure_keeps_every_pixel(scale: int) -> None:
    ax = frame_grid(clips(), row_labels=("a", "b", "c", "d"), scale=scale)
    image = drawn(ax).repeat(scale, axis=0).repeat(scale, axis=1)
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format="png")
    saved = np.asarray(Image.open(buffer).convert("RGB"))
    bottom, right = saved.shape[0] - 4, saved.shape[1] - 4  # the margins without labels
    assert (saved[bottom - image.shape[0] : bottom, right - image.shape[1] : right] == image).all()


def test_draws_on_given_axes() -> None:
    _, ax = plt.subplots()
    assert frame_grid(clips(), ax=ax) is ax
    assert len(plt.get_fignums()) == 1


def test_swap_grid_puts_each_motion_beside_its_pair() -> None:
    x_a, x_b, ab, ba = (clips(2, seed=seed) for seed in range(4))
    ax = swap_grid(x_a, torch.as_tensor(x_b), ab, ba, pair_labels=("one", "two"))
    image = drawn(ax)
    right = 3 * 10 + 2 * GAP + GROUP_GAP
    for x, top, left in ((x_a, 0, 0), (x_b, 10, 0), (ab, 0, right), (ba, 10, right)):
        assert np.allclose(tile(image, top, left), x[0, 0])
        assert np.allclose(tile(image, top + 28, left + 24), x[1, 2])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["one", "two"]


@pytest.mark.parametrize(
    ("x", "error", "match"),
    [
        (clips()[0], ValueError, r"shape \(R, T, C, H, W\) .* got \(3, 3, 8, 10\)"),
        (np.zeros((1, 2, 8, 10, 3)), ValueError, "1 or 3 channels"),
        (clips() * 255, ValueError, r"in \[0, 1\], got values from 0 to 255"),
        (clips() - 1, ValueError, "clamp what a decoder made"),
        (clips() * np.nan, ValueError, "must be finite"),
        (clips().tolist(), TypeError, "got list"),
        (clips()[:0], ValueError, r"got \(0, 3"),
    ],
)
def test_refuses_frames(x: np.ndarray, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        frame_grid(x)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"row_labels": ("a", "b", "c")}, "row_labels must hold 4 or 1 labels"),
        ({"row_labels": "abcd"}, "row_labels must hold 4 or 1 labels, got 'abcd'"),
        ({"row_labels": ("a",), "rows_per_group": 2}, "must hold 4 or 2 labels"),
        ({"column_labels": ("a", "b")}, "column_labels must hold 3 or 1 labels"),
        ({"rows_per_group": 3}, "rows_per_group must divide 4, got 3"),
        ({"frames_per_group": 0}, "frames_per_group must divide 3, got 0"),
        ({"scale": 0}, "scale must be a positive whole number, got 0"),
    ],
)
def test_refuses_settings(settings: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        frame_grid(clips(), **settings)  # type: ignore[arg-type]


def test_swap_grid_refuses_unequal_shapes() -> None:
    x = clips(2)
    with pytest.raises(ValueError, match=r"swapped_ab must have the shape of x_a, got \(1, 3, 3, 8, 10\)"):
        swap_grid(x, x, x[:1], x)
