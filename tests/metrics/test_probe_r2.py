"""Numbers that a probe reads off codes: known answers, chance, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pyrodis.metrics import probe_r2

DRAW = np.random.default_rng(0)
CODES = DRAW.normal(size=(600, 3))
NOISE = DRAW.normal(size=(600, 2))


def r2(codes: np.ndarray, targets: np.ndarray, **options: Any) -> Any:
    half = len(codes) // 2
    return probe_r2(codes[:half], targets[:half], codes[half:], targets[half:], **options)


def test_a_linear_function_is_read_and_noise_is_not() -> None:
    score = r2(CODES, CODES[:, :2] @ np.array([[1.0, 2.0], [3.0, -1.0]]) + 5)
    assert 0.99 < score.value <= 1
    assert (score.chance, score.ceiling, score.num) == (0.0, 1.0, 300)
    blind = r2(CODES, NOISE)
    assert abs(blind.value) < 0.05
    assert blind.low <= blind.value <= blind.high
    assert 0.4 < r2(CODES, np.stack([CODES[:, 0], NOISE[:, 0]], 1)).value < 0.6, "the mean over the numbers"


def test_a_bent_function_takes_a_network() -> None:
    bent = CODES[:, :1] ** 2
    assert r2(CODES, bent).value < 0.1
    assert r2(CODES, bent, hidden=(32,)).value > 0.5


def test_frames_of_an_item_are_one_item() -> None:
    codes, targets = CODES.reshape(60, 10, 3), CODES.reshape(60, 10, 3)[..., :1]
    score = r2(codes, targets)
    assert score.num == 30
    assert score.value > 0.99


@pytest.mark.parametrize(
    ("codes", "targets", "message"),
    [
        (CODES, NOISE[:500], "pass a row of numbers for each row of codes"),
        (CODES, NOISE[:, 0], "pass a row of numbers for each row of codes"),
        (CODES, 0 * NOISE, "numbers that vary, got 300 with standard deviations"),
        (CODES[:12], NOISE[:12], "10 rows or more of numbers that vary, got 6"),
    ],
)
def test_refuses(codes: np.ndarray, targets: np.ndarray, message: str) -> None:
    half = len(codes) // 2
    with pytest.raises(ValueError, match=message):
        probe_r2(codes[:half], targets[:half], codes[half:], targets[half:])


def test_refuses_halves_of_other_sizes() -> None:
    with pytest.raises(ValueError, match="codes_train and codes_test must have the same size, got 3 and 2 numbers"):
        probe_r2(CODES, NOISE, CODES[:, :2], NOISE)
    with pytest.raises(TypeError, match="hidden must be an integer"):
        probe_r2(CODES, NOISE, CODES, NOISE, hidden=(2.5,))  # type: ignore[arg-type]


def test_a_network_does_not_learn_items_by_heart() -> None:
    """Every frame of an item has the item's code, which says nothing: all that a network could find is which item."""
    draw = np.random.default_rng(1)
    codes = np.repeat(draw.normal(size=(600, 1, 32)), 20, axis=1)
    targets = draw.normal(size=(600, 1, 2)) + 0.5 * draw.normal(size=(600, 20, 2))
    assert -0.05 < r2(codes, targets, hidden=(256,)).value < 0.05


def test_few_items_of_many_rows_are_split_by_rows() -> None:
    codes = CODES.reshape(6, 100, 3)
    assert r2(codes, codes[..., :1] ** 2, hidden=(32,)).value > 0.5
