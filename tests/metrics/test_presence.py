"""What the KL of components says of the types in a scene: known answers and bad input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from pyrodis.metrics import dominance, presence_auroc

# The scenes of the table: ee, 00, 11, 22, 33, 01, 12, and the KL of four components on each.
SCENES = [(), (0,), (1,), (2,), (3,), (0, 1), (1, 2)]
TABLE = np.array(
    [
        [0.63403076, 0.6190877, 1.4198456, 0.480307],
        [33.911064, 0.7044331, 20.23064, 0.5375141],
        [0.6985266, 15.11555, 1.8148736, 0.84338933],
        [1.9036595, 0.99384606, 30.392303, 1.0314183],
        [1.6360512, 2.186792, 28.371572, 7.6027184],
        [17.265297, 7.5015736, 11.151404, 0.8603339],
        [0.8505232, 8.492853, 14.917055, 0.3921642],
    ]
)
PRESENT = np.array([[number in scene for number in range(4)] for scene in SCENES])
NAMES = ("0", "1", "2", "3")


def test_dominance_on_the_published_table() -> None:
    ratios = {name: score.value for name, score in dominance(TABLE, PRESENT, NAMES, num_resamples=5).items()}
    assert ratios == {
        "0": pytest.approx((33.911064 + 17.265297) / 2 / 1.9036595),
        "1": pytest.approx((15.11555 + 7.5015736 + 8.492853) / 3 / 2.186792),
        "2": pytest.approx((30.392303 + 14.917055) / 2 / 28.371572),  # it takes digit 3 as well
        "3": pytest.approx(7.6027184 / 1.0314183),
    }
    assert [name for name, ratio in ratios.items() if ratio < 2] == ["2"]


def test_the_worst_kind_of_scene_counts_by_its_mean() -> None:
    kl = np.array([[8.0], [8.0], [6.0], [0.0], [1.0], [1.0]])
    present = np.array([[1, 0], [1, 1], [0, 1], [0, 1], [0, 0], [0, 0]], dtype=bool)
    score = dominance(torch.as_tensor(kl), torch.as_tensor(present), ("a",), num_resamples=50)["a"]
    assert score.value == pytest.approx(8 / 3)  # 3 on the scenes with the other type, 1 on empty ones
    assert score.low == pytest.approx(8 / 6)
    assert (score.chance, score.ceiling, score.num) == (1.0, None, 6)


def test_presence_is_the_area_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    present = generator.random((60, 3)) < 0.5
    kl = generator.gamma(1.0, size=(60, 3)) + present * [5.0, 0.5, 0.0]
    scores = presence_auroc(kl, present, ("a", "b", "c"), num_resamples=30)
    for number, score in enumerate(scores.values()):
        assert score.value == pytest.approx(roc_auc_score(present[:, number], kl[:, number]))
        assert score.low <= score.value <= score.high
    assert scores["a"].value > 0.99
    assert scores["c"].low < 0.5 < scores["c"].high
    wider = np.concatenate([present, present[:, :1]], axis=1)
    assert presence_auroc(kl, wider, ("a", "b", "c"), num_resamples=30) == scores


@pytest.mark.parametrize("metric", [presence_auroc, dominance])
@pytest.mark.parametrize(
    ("spoil", "error", "part"),
    [
        (lambda k, p, n: (k, p * 1, n), TypeError, "present must hold booleans, got dtype int64"),
        (lambda k, p, n: (k[0], p, n), ValueError, "kl must have shape (N, K), got (4,)"),
        (lambda k, p, n: (k[1:], p, n), ValueError, "kl and present must have the same length, got 6 and 7"),
        (lambda k, p, n: (k, p[:, 1:], n), ValueError, "present must have a column for each of the 4 components"),
        (lambda k, p, n: (k, p, n[1:]), ValueError, "type_names must be 4 different names"),
        (lambda k, p, n: (k * np.nan, p, n), ValueError, "kl must be finite"),
        (lambda k, p, n: (k[:4], p[:4], n), ValueError, "scenes with and without '3', got 4 times False"),
        (lambda k, p, n: (k, p | True, n), ValueError, "scenes with and without '0', got 7 times True"),
    ],
)
def test_bad_input(metric: Callable[..., Any], spoil: Callable[..., Any], error: type[Exception], part: str) -> None:
    with pytest.raises(error) as caught:
        metric(*spoil(TABLE, PRESENT, NAMES))
    assert part in str(caught.value)


def test_a_ratio_needs_positive_numbers() -> None:
    with pytest.raises(ValueError, match=r"kl must be 0 or more, got -29\.6"):
        dominance(TABLE - 30, PRESENT, NAMES)
    with pytest.raises(ValueError, match=r"kl must be above 0 on more scenes without '1', got 0 on (\d+) of \1;"):
        dominance(TABLE * PRESENT + [1, 0, 1, 1], PRESENT, NAMES)
    there = np.array([[True, False]] * 6 + [[False, True]] * 6)
    kl = 9.0 * there
    kl[[0, 11], [1, 0]] = 0.1  # which resamples miss
    with pytest.raises(ValueError, match="kl must be above 0 on more scenes without 'a', got 0 on 5 of 6; a ratio"):
        dominance(kl, there, ("a", "b"))
