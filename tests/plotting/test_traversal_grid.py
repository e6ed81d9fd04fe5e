"""Traversals as sheet and film: which frame goes where, labels, and bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyrodis.plotting import save_gif, traversal_film, traversal_grid


def frames() -> np.ndarray:
    """Three dimensions, five values, two clips of four frames; every frame has one shade of its own."""
    shades = np.linspace(0, 1, 3 * 5 * 2 * 4).reshape(3, 5, 2, 4, 1, 1, 1)
    return np.broadcast_to(shades, (3, 5, 2, 4, 1, 8, 8))


def test_rows_are_dimensions_and_columns_values() -> None:
    ax = traversal_grid(frames(), torch.linspace(-2, 2, 5), clip=1, frame=2)
    image = np.asarray(ax.images[0].get_array())[..., 0]
    shown = frames()[:, :, 1, 2, 0, 0, 0]
    np.testing.assert_array_equal(image[4::10, 4::10], np.rint(255 * shown))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["z 0", "z 1", "z 2"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["-2", "-1", "0", "1", "2"]


def test_a_value_near_zero_is_written_as_zero() -> None:
    ax = traversal_grid(frames(), [-1.0, -1e-8, 1e-8, 0.5, 1.0], names=("a", "b", "c"))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["-1", "0", "0", "0.5", "1"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]


def test_a_film_runs_there_and_back(tmp_path: Path) -> None:
    film = traversal_film(torch.as_tensor(frames().copy()), clip=1, frame=3)
    assert film.shape == (3, 8, 1, 8, 8)
    shown = frames()[2, :, 1, 3, 0, 0, 0]
    np.testing.assert_allclose(film[2, :, 0, 0, 0], shown[[0, 1, 2, 3, 4, 3, 2, 1]], rtol=1e-6)
    assert save_gif(tmp_path / "film.gif", film, labels=("z 0", "z 1", "z 2")).stat().st_size > 0


@pytest.mark.parametrize("num_values", [1, 2])
def test_short_films(num_values: int) -> None:
    assert traversal_film(frames()[:, :num_values]).shape == (3, num_values, 1, 8, 8)


@pytest.mark.parametrize(
    ("x", "rest", "error", "match"),
    [
        (frames()[0], {}, ValueError, r"frames must have shape \(dims, values, B, T, C, H, W\), got \(5, 2"),
        (frames().tolist(), {}, TypeError, "frames must be a numpy array or a torch tensor, got list"),
        (frames(), {"clip": 2}, ValueError, "clip must be between 0 and 1, got 2"),
        (frames(), {"frame": -1}, ValueError, "frame must be between 0 and 3, got -1"),
        (frames(), {"values": [0.0]}, ValueError, "values must hold 5 numbers, got 1; pass those of traverse"),
        (frames(), {"names": ("a",)}, ValueError, "names must hold 3 names"),
        (2 * frames(), {}, ValueError, r"must be in \[0, 1\]"),
    ],
)
def test_refuses(x: Any, rest: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        traversal_grid(x, **rest)
