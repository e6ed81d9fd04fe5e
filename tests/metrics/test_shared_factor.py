"""The scores of FactorVAE and beta-VAE: what their batches share, the known answers, chance, and bad input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pyrodis.metrics import Score, beta_vae_score, factor_vae_score
from pyrodis.metrics._codes import code_table
from pyrodis.metrics._shared_factor import RowsByValue, shared_values
from pyrodis.metrics.factor_vae_score import hits_of_votes
from tests.metrics.kinds_of_codes import CLASSES, NOISE, NUMBERS, REFUSED, rotated, twice, with_dead

both = pytest.mark.parametrize("function", [factor_vae_score, beta_vae_score])
Function = Callable[..., dict[str, Score]]
FEW: dict[str, Any] = {"num_train": 300, "num_eval": 150, "num_resamples": 3, "batch_size": 16}


def score(function: Function, codes: Any, factors: Any = CLASSES, **options: Any) -> Score:
    return next(iter(function(codes, factors, **{**FEW, **options}).values()))


def test_fellows_and_partners_share_the_value() -> None:
    values, rng = np.array([2, 0, 1, 0, 2, 0, 1]), np.random.default_rng(0)
    index = RowsByValue(values)
    rows = rng.integers(7, size=(50, 40))
    partners = index.partners(rows, rng)
    assert (values[partners] == values[rows]).all()
    assert (partners != rows).all()
    assert {int(row) for row in partners[rows == 1]} == {3, 5}
    fellows = index.fellows(rows[:, 0], 30, rng)
    assert fellows.shape == (50, 30)
    assert (values[fellows] == values[rows[:, :1]]).all()
    assert {int(row) for row in fellows[rows[:, 0] == 1].ravel()} == {1, 3, 5}
    counts = np.bincount(index.fellows(np.array([1]), 30_000, rng)[0], minlength=7)[[1, 3, 5]] / 30_000
    assert counts == pytest.approx(1 / 3, abs=0.015)


def test_a_row_that_is_alone_is_its_own_partner() -> None:
    assert RowsByValue(np.array([0, 1])).partners(np.array([0, 1]), np.random.default_rng(0)).tolist() == [0, 1]


def test_bins_of_numbers_hold_equally_many_and_keep_equal_numbers_together() -> None:
    table = code_table(NOISE, np.stack([np.exp(5 * NUMBERS[:, 0]), np.round(NUMBERS[:, 1])], axis=1))
    bent, halves = shared_values(table, 20)
    assert np.bincount(bent).tolist() == [30] * 20
    assert np.corrcoef(bent, NUMBERS[:, 0])[0, 1] > 0.99
    assert halves.tolist() == np.round(NUMBERS[:, 1]).astype(int).tolist()


def test_votes_by_hand() -> None:
    train = (np.array([0, 0, 1, 1, 1]), np.array([0, 0, 0, 1, 1]))  # dimension 0 stands for factor 0, 1 for 1
    scored = (np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1]))
    assert hits_of_votes(train, scored, num_dims=3).tolist() == [True, False, True, False]


@both
@pytest.mark.parametrize("factors", [CLASSES, NUMBERS])
def test_perfect_copied_and_dead_dimensions(function: Function, factors: np.ndarray) -> None:
    for codes in (factors[:, [2, 0, 1]] * [1, -9, 1e-3], twice(factors), with_dead(factors)):
        assert score(function, codes, factors).value == 1


@both
def test_noise_is_at_its_chance_level(function: Function) -> None:
    found = score(function, NOISE, num_train=1500, num_eval=1500)
    assert found.value == pytest.approx(1 / 3, abs=0.1)
    assert found.chance == pytest.approx(1 / 3, abs=0.1)
    assert found.low <= found.value <= found.high


def test_all_dead() -> None:
    assert score(factor_vae_score, np.zeros((600, 3))).value == 0
    assert score(beta_vae_score, np.zeros((600, 3))).value == pytest.approx(1 / 3, abs=0.01)


def test_a_factor_that_no_dimension_holds() -> None:
    found = factor_vae_score(CLASSES[:, :2] * 1.0, CLASSES, ("a", "b", "c"), **FEW)
    assert (found["factor_vae/a"].value, found["factor_vae/b"].value, found["factor_vae/c"].value) == (1, 1, 0)
    assert found["factor_vae"].value < 0.95
    assert found["factor_vae"].value == pytest.approx(np.mean([found[f"factor_vae/{name}"].value for name in "abc"]))


def test_a_rotation_is_still_told_by_distances() -> None:
    assert score(beta_vae_score, rotated(NUMBERS), NUMBERS, batch_size=64).value > 0.9
    assert score(factor_vae_score, rotated(NUMBERS), NUMBERS, batch_size=64).value < 1


@both
def test_scale_and_the_number_of_resamples_do_not_matter(function: Function) -> None:
    codes = CLASSES + NOISE
    found = score(function, codes)
    assert score(function, codes * [1, 1000, -0.01], num_resamples=5).value == pytest.approx(found.value)
    assert score(function, codes, seed=1) != found
    assert score(function, codes) == found


@both
def test_the_interval_holds_the_score_of_other_items(function: Function) -> None:
    rng = np.random.default_rng(3)
    factors = rng.integers(3, size=(300, 2))
    codes = factors[:, :1] * [1.0, 1.0] + 1.2 * rng.normal(size=(300, 2)) + factors * [0.0, 1.0]
    found = score(function, codes, factors, num_resamples=20)
    assert 0.02 < found.high - found.low < 0.5
    assert found.chance < found.low


@both
def test_frames_count_as_rows(function: Function) -> None:
    frames = np.repeat(CLASSES[:, None], 2, axis=1)
    found = score(function, frames * 1.0, frames)
    assert (found.value, found.num) == (1, 600)


@both
@pytest.mark.parametrize(
    ("codes", "factors", "options", "match"),
    [
        *REFUSED,
        (NOISE, CLASSES[:, :1], {}, "factors must have at least 2 columns, got 1"),
        (
            NOISE,
            np.stack([CLASSES[:, 0], np.arange(600) // 599], axis=1),
            {},
            "at least 2 rows, got one with 'factor_1'",
        ),
        (NOISE, CLASSES, {"batch_size": 1}, "batch_size must be at least 2, got 1"),
        (NOISE, CLASSES, {"num_eval": 2}, "num_train and num_eval must be at least 3"),
        (NOISE, CLASSES, {"num_train": 0}, "num_train must be at least 1"),
        (NOISE, NUMBERS, {"num_bins": 1}, "num_bins must be at least 2"),
    ],
)
def test_refuses(function: Function, codes: Any, factors: Any, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        function(codes, factors, **options)
