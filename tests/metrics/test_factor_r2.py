"""Explained variance of factors, and the groups of factors that explain latent dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from pyrodis.metrics import assign_latents, explained_by_groups, factor_r2
from pyrodis.metrics.factor_r2 import _halves
from pyrodis.testing import check_metric

RNG = np.random.default_rng(0)
FACTORS = RNG.random((400, 2))
NOISE = RNG.normal(size=(400, 2))
ONE_ITEM = np.isin(np.arange(400), _halves(400, 0)[0][:1])[:, None] * 1.0  # the other half does not vary
GROUPS = {"object": (0,), "background": (1,)}


def value(name: str) -> Callable[[Any, Any], float]:
    return lambda codes, factors: factor_r2(codes, factors, num_resamples=2)[name].value


def test_perfect_and_noise() -> None:
    check_metric(value("linear"), (3 - FACTORS, FACTORS), (NOISE, FACTORS), 0.05)
    assert value("nonlinear")(3 - FACTORS, FACTORS) > 0.99
    assert value("nonlinear")(NOISE, FACTORS) < 0.05


def test_a_rotation_hides_nothing_and_a_bend_hides_from_the_linear() -> None:
    rotated = np.stack([FACTORS.sum(1), FACTORS[:, 0] - FACTORS[:, 1]], axis=1)
    assert value("linear")(rotated, FACTORS) == pytest.approx(1)
    bent = (FACTORS - 0.5) ** 2
    assert value("linear")(FACTORS, bent) < 0.1
    assert value("nonlinear")(FACTORS, bent) > 0.95


def test_copies_and_dead_dimensions_change_nothing() -> None:
    more = np.concatenate([FACTORS, FACTORS, np.ones((400, 2))], axis=1)
    assert value("linear")(more, FACTORS) == pytest.approx(1)
    assert value("nonlinear")(more, FACTORS) == pytest.approx(value("nonlinear")(FACTORS, FACTORS))


def test_linear_is_that_of_scikit_learn() -> None:
    codes = FACTORS + NOISE
    seen, unseen = _halves(400, seed=7)
    fit = LinearRegression().fit(codes[seen], FACTORS[seen])
    expected = r2_score(FACTORS[unseen], fit.predict(codes[unseen]), multioutput="raw_values")
    scores = factor_r2(codes, FACTORS, ("x", "y"), num_resamples=20, seed=7)
    assert [scores["linear/x"].value, scores["linear/y"].value] == pytest.approx(expected.tolist())
    assert scores["linear"].value == pytest.approx(expected.mean())
    assert scores["linear"].low < scores["linear"].value < scores["linear"].high
    assert scores["linear"].num == 200


def test_frames_of_an_item_stay_in_one_half() -> None:
    codes, factors = RNG.normal(size=(40, 1, 2)), RNG.random((40, 1, 2))
    scores = factor_r2(np.repeat(codes, 20, axis=1), np.repeat(factors, 20, axis=1))
    assert scores["nonlinear"].value < 0.2
    assert scores["linear"].num == 20


def test_assigns_mixtures_to_the_larger_share() -> None:
    first, second = FACTORS.T
    codes = np.stack([4 * first + second, first + 4 * second, (second - 0.5) ** 2 * 9, NOISE[:, 0], 0 * first], axis=1)
    names = assign_latents(codes, FACTORS, GROUPS)
    assert names == ("object", "background", "background", "none", "dead")
    shares = explained_by_groups(codes, FACTORS, GROUPS)
    assert shares["object"][0] == pytest.approx(16 / 17, abs=0.05)
    assert shares["background"][0] == pytest.approx(1 / 17, abs=0.2)  # the noise that trees fit costs a little
    assert shares["object"][4] == 0


def test_groups_of_several_factors_see_rotations_within() -> None:
    rotated = np.stack([FACTORS.sum(1), FACTORS[:, 0] - FACTORS[:, 1]], axis=1)
    factors = np.concatenate([FACTORS, NOISE], axis=1)
    assert assign_latents(rotated, factors, {"noise": (2, 3), "position": (0, 1)}) == ("position", "position")


def test_the_threshold_says_what_is_dead() -> None:
    assert assign_latents(FACTORS, FACTORS, GROUPS, threshold=1.0) == ("dead", "dead")


@pytest.mark.parametrize(
    ("codes", "factors", "match"),
    [
        (FACTORS[:19], FACTORS[:19], "at least 20 items, got 19"),
        (FACTORS[:5], FACTORS, r"factors must have shape \(5, F\)"),
        (FACTORS, FACTORS * [0, 1], "drop the constant factor"),
        (FACTORS, ONE_ITEM, "must vary in every half"),
        (FACTORS[:, 0], FACTORS, r"codes must have shape \(N, D\)"),
    ],
)
def test_refuses(codes: np.ndarray, factors: np.ndarray, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        factor_r2(codes, factors)


@pytest.mark.parametrize(
    ("groups", "match"),
    [
        ({}, "groups must name at least one group"),
        ({"dead": (0,)}, "none of them 'dead' or 'none'"),
        ({"object": ()}, "group 'object' must hold columns of factors, 0 to 1, got ()"),
        ({"object": (2,)}, r"0 to 1, got \(2,\)"),
        ({"object": (-1,)}, r"0 to 1, got \(-1,\)"),
    ],
)
def test_refuses_groups(groups: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        assign_latents(FACTORS, FACTORS, groups)


def test_refuses_columns_by_name() -> None:
    with pytest.raises(TypeError, match="must hold column numbers"):
        assign_latents(FACTORS, FACTORS, {"object": ("x",)})  # type: ignore[dict-item]
