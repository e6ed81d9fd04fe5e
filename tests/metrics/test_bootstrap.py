"""The bootstrap: groups keep their sizes, and the interval holds the statistic."""

from __future__ import annotations

import numpy as np
import pytest

from pyrodis.metrics._bootstrap import bootstrap_intervals


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_the_interval_holds_a_statistic_that_every_resample_misses(sign: float) -> None:
    value, low, high = bootstrap_intervals(lambda rows: sign * np.array([len(set(rows))]), np.zeros(50), 100, seed=0)
    assert low[0] <= value[0] == sign * 50 <= high[0]
    assert low[0] < high[0]


def test_groups_keep_their_sizes() -> None:
    groups = np.array([3] * 5 + [7] * 2)
    value, low, high = bootstrap_intervals(lambda rows: np.bincount(groups[rows], minlength=8), groups, 50, seed=0)
    assert (low == value).all()
    assert (high == value).all()
