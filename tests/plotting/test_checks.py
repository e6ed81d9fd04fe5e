"""KL maps, rank histograms and guides side by side: what is drawn is what was given; bad input."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from pyrodis.infer import GuideScores
from pyrodis.metrics import Score
from pyrodis.plotting import guide_comparison, latent_kl_map, rank_histogram
from pyrodis.plotting._frames import COLORS


def score(value: float) -> Score:
    return Score(value, value - 1, value + 2, None, None, num=10)


def row(name: str, elbo: float, khat: float | None = None) -> GuideScores:
    high = None if khat is None else Score(khat, khat - 0.1, khat + 0.1, None, 0.0, num=10)
    return GuideScores(name, score(elbo), score(elbo + 3), score(3), score(0), {}, 50, high_khat=high)


def test_the_map_is_frames_across_and_dimensions_down() -> None:
    table = np.arange(6.0).reshape(3, 2)
    f_map, z_map = latent_kl_map({"f": torch.tensor([7.0, 0.0, 1.0]), "z": table})
    np.testing.assert_array_equal(z_map.images[0].get_array(), table.T)
    np.testing.assert_array_equal(f_map.images[0].get_array(), [[7.0], [0.0], [1.0]])
    assert f_map.images[0].get_clim() == z_map.images[0].get_clim() == (0, 7)
    assert [f_map.get_title(), z_map.get_title()] == ["f: 8 nats", "z: 15 nats"]
    assert [f_map.get_xlabel(), z_map.get_xlabel()] == ["clip", "frame"]
    assert latent_kl_map(-np.ones((2, 2)))[0].images[0].get_clim()[0] == -1  # an estimate may be negative


def test_bars_are_counts_relative_to_uniform() -> None:
    ranks = np.repeat(np.arange(10), 4)
    ranks[:4] = 9  # none at rank 0, twice as many at rank 9
    ax = rank_histogram(ranks, num_draws=9)[0]
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([0, *[1] * 8, 2])
    uneven = rank_histogram(np.tile(np.arange(10), 6), num_draws=9, num_bins=4)[0]
    assert [bar.get_height() for bar in uneven.patches] == pytest.approx([1] * 4)
    assert [bar.get_width() for bar in uneven.patches] == [2, 3, 3, 2]


def test_bars_outside_the_band_have_another_color() -> None:
    generator = np.random.default_rng(0)
    good, narrow = generator.integers(0, 100, 2000), np.where(generator.random(2000) < 0.3, 0, 50)
    axes = rank_histogram(np.stack([good, narrow], 1), num_draws=99, names=("good", "narrow"), level=0.999)
    colors = [{to_hex(bar.get_facecolor(), keep_alpha=False) for bar in ax.patches} for ax in axes]
    assert colors == [{COLORS[0].lower()}, {COLORS[5].lower()}]


def test_guides_stand_at_their_scores() -> None:
    rows = [row("full", 5.0, 0.1), row("frame-wise", 2.0, 0.8)]
    bounds, gap, khat = guide_comparison(rows, evidence=9.0)
    elbo, iwae = (container.lines[0] for container in bounds.containers)
    assert [*elbo.get_xdata()] == [5.0, 2.0]
    assert [*iwae.get_xdata()] == [8.0, 5.0]
    segments = bounds.containers[0].lines[2][0].get_segments()
    assert [[*segment[:, 0]] for segment in segments] == [[4.0, 7.0], [1.0, 4.0]]
    assert [*gap.containers[0].lines[0].get_xdata()] == [3.0, 3.0]
    assert [*khat.containers[0].lines[0].get_xdata()] == [0.1, 0.8]
    assert [label.get_text() for label in bounds.get_yticklabels()] == ["full", "frame-wise"]
    assert [line.get_xdata()[0] for line in bounds.lines if line.get_label() == "evidence"] == [9.0]
    assert bounds.get_ylim()[0] > bounds.get_ylim()[1]  # the first guide stands on top


def test_without_khat_there_are_two_panels_where_told() -> None:
    _, given = plt.subplots(1, 2)
    assert [*guide_comparison([row("full", 5.0)], axes=given)] == [*given]
    with pytest.raises(ValueError, match="rows must all have k-hat or none, got 1 of 2"):
        guide_comparison([row("a", 1.0, 0.1), row("b", 1.0)])
    with pytest.raises(ValueError, match="rows must hold at least one guide's scores"):
        guide_comparison([])


@pytest.mark.parametrize(
    ("kl", "match"),
    [
        ({}, "kl must hold at least one site"),
        ({"z": np.zeros((2, 2, 2))}, "kl 'z' must have 2 dimensions"),
        (np.full((2, 2), np.nan), "kl must be finite"),
    ],
)
def test_map_refuses(kl: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        latent_kl_map(kl)


@pytest.mark.parametrize(
    ("ranks", "rest", "error", "match"),
    [
        (np.array([0, 10]), {}, ValueError, "ranks must be whole numbers from 0 to num_draws = 9, got 0 to 10"),
        (np.array([0.5]), {}, ValueError, "ranks must be whole numbers"),
        (np.array([1]), {"num_bins": 11}, ValueError, "num_bins must be between 2 and the 10 ranks, got 11"),
        (np.array([1]), {"level": 1.0}, ValueError, "level must lie between 0 and 1, got 1.0"),
        (np.zeros((3, 2)), {"names": ("a",)}, ValueError, "names must hold 2 names"),
        ("ranks", {}, TypeError, "ranks must be an array of numbers"),
    ],
)
def test_ranks_refuse(ranks: Any, rest: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        rank_histogram(ranks, 9, **rest)
