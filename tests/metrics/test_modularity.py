"""Modularity: the known answers, noise and its chance level, and bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pyrodis.metrics import Score, modularity
from pyrodis.metrics.modularity import _modularity
from tests.metrics.kinds_of_codes import CLASSES, NOISE, NUMBERS, REFUSED, rotated, twice, with_dead


def score(codes: Any, factors: Any = CLASSES, **options: Any) -> Score:
    return modularity(codes, factors, **{"num_resamples": 10, **options})


def test_formula_by_hand() -> None:
    information = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
    assert _modularity(information) == pytest.approx((1 - 1 / (2 * 4) + 1 + 0) / 3)
    assert _modularity(np.eye(4)) == pytest.approx(1)
    assert _modularity(np.ones((2, 3))) == pytest.approx(0)


def test_perfect_copied_and_dead_dimensions() -> None:
    assert score(CLASSES * 1.0).value == pytest.approx(1)
    assert score(CLASSES[:, :1] * 1.0).value == pytest.approx(1)  # of factors that nobody holds it does not speak
    assert score(twice(CLASSES)).value == pytest.approx(1)
    assert score(with_dead(CLASSES)).value == pytest.approx(3 / 5)
    assert score(np.zeros((600, 2))).value == 0


def test_rounding_is_no_information() -> None:
    """Entropies of factors of other sizes are rounded otherwise, so that a dead dimension seemed to know some alone."""
    rng = np.random.default_rng(0)
    for num in range(100, 130):
        factors = np.stack([rng.integers(size, size=num) for size in (3, 7, 10)], axis=1)
        assert score(np.zeros((num, 2)), factors).value == 0


def test_rotated_codes() -> None:
    assert score(rotated(NUMBERS), NUMBERS).value < 0.75


def test_noise_is_at_its_chance_level() -> None:
    rng = np.random.default_rng(5)
    found = score(rng.normal(size=(600, 40)), NUMBERS)
    assert found.chance == pytest.approx(found.value, abs=0.1)
    assert found.chance > 0.1  # not 0: small numbers are compared with small numbers


def test_order_sign_and_scale_do_not_matter() -> None:
    codes = np.concatenate([CLASSES + 0.3 * NOISE, NOISE], axis=1)
    turned = (codes * [-3, 7, 1, 1, -1, 0.1] + 5)[:, [3, 1, 4, 0, 2, 5]]
    assert score(turned).value == pytest.approx(score(codes).value)


def test_interval_frames_and_tensors() -> None:
    codes = CLASSES + NOISE
    found = score(codes)
    assert found.low < found.value < found.high
    framed = score(np.repeat(codes[:, None], 3, axis=1), np.repeat(CLASSES[:, None], 3, axis=1))
    assert (framed.value, framed.low, framed.num) == pytest.approx((found.value, found.low, 600))
    assert score(torch.from_numpy(codes), torch.from_numpy(CLASSES)) == found


@pytest.mark.parametrize(
    ("codes", "factors", "options", "match"),
    [
        *REFUSED,
        (NOISE, CLASSES[:, :1], {}, "factors must have at least 2 columns, got 1"),
        (NOISE, CLASSES, {"num_bins": 1}, "num_bins must be at least 2"),
    ],
)
def test_refuses(codes: Any, factors: Any, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        modularity(codes, factors, **options)
