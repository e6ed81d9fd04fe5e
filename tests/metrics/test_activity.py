"""Active units: dead dimensions, frames, the threshold, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pyrodis.metrics import active_units, activity


def test_counts_the_dimensions_that_vary() -> None:
    means = torch.randn(500, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 0.5, 0, 1e-3, 2, 0])
    assert active_units(means) == 3
    assert activity(means) == pytest.approx(means.var(0, unbiased=False).numpy(), rel=1e-5)


def test_frames_count_as_rows() -> None:
    means = np.zeros((4, 3, 2))
    means[:, :, 0] = np.array([-1.0, 0.0, 1.0])
    assert activity(means).tolist() == pytest.approx([2 / 3, 0.0])
    assert active_units(means) == 1


def test_the_threshold_is_exclusive() -> None:
    means = np.array([[0.0], [2.0]])
    assert (active_units(means, threshold=1.0), active_units(means, threshold=0.999)) == (0, 1)


def test_a_constant_offset_is_no_activity() -> None:
    assert active_units(np.full((50, 4), 1e3)) == 0


@pytest.mark.parametrize(
    ("means", "match"),
    [
        (np.zeros(5), r"shape \(N, ..., D\), got \(5,\)"),
        (np.zeros((1, 5)), "at least 2 rows"),
        (np.zeros((0, 5)), "at least one item"),
        (np.array([[0.0], [np.inf]]), "must be finite"),
    ],
)
def test_refuses(means: np.ndarray, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        active_units(means)


@pytest.mark.parametrize("threshold", [-0.1, float("nan")])
def test_refuses_threshold(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold must be"):
        active_units(np.zeros((2, 2)), threshold)
