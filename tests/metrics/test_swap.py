"""The two-sided table: an ideal model, one that ignores a code, one that leaks, and bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pyrodis.metrics import class_histogram, histogram_entropy, two_sided_scores, two_sided_wanted

NAMES, SIZES = ("action", "skin", "bottom", "top", "hair"), (9, 6, 6, 6, 6)
ROWS = ("reconstruction", "static_sampled", "static_swapped", "dynamic_sampled", "dynamic_swapped")
NUM = 3000


def draw(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return np.stack([generator.integers(size, size=NUM) for size in SIZES], axis=1)


def mix(action: np.ndarray, attributes: np.ndarray) -> np.ndarray:
    return np.concatenate([action[:, :1], attributes[:, 1:]], axis=1)


OWN, DONOR, FRESH = draw(0), draw(1), draw(2)
IDEAL = {
    "reconstruction": OWN,
    "static_sampled": mix(OWN, FRESH),
    "static_swapped": mix(OWN, DONOR),
    "dynamic_sampled": mix(FRESH, OWN),
    "dynamic_swapped": mix(DONOR, OWN),
}


def table(predictions: dict[str, np.ndarray]) -> dict[str, float]:
    scores = two_sided_scores(predictions, {"own": OWN, "donor": DONOR}, NAMES, SIZES)
    assert list(scores) == list(two_sided_wanted(NAMES))
    return {name: score.value for name, score in scores.items()}


def test_an_ideal_model_meets_every_target() -> None:
    scores = two_sided_scores(IDEAL, {"own": OWN, "donor": torch.as_tensor(DONOR)}, NAMES, SIZES)
    wanted = two_sided_wanted(NAMES)
    for name, score in scores.items():
        if wanted[name] == "chance":
            assert score.value == pytest.approx(score.chance, abs=0.03), name
        else:
            assert score.value == score.high == 1.0, name
            assert 0.99 < score.low < 1.0, name
    assert scores["static_sampled/action"].chance == 1 / 9
    assert scores["static_sampled/attributes"].chance == pytest.approx(1 / 6)
    assert (scores["reconstruction/hair"].num, len(scores)) == (NUM, 5 * 6)


def test_a_model_that_ignores_the_static_code_fails_on_the_other_side() -> None:
    values = table(dict.fromkeys(ROWS, OWN))
    assert values["static_sampled/action"] == values["static_swapped/action"] == 1.0  # the one-sided figure is perfect
    assert values["static_sampled/attributes"] == 1.0  # wanted: one sixth
    assert values["static_swapped/attributes"] == pytest.approx(1 / 6, abs=0.03)  # wanted: one
    assert values["dynamic_swapped/action"] == pytest.approx(1 / 9, abs=0.03)  # wanted: one


def test_leakage_shows_in_the_factor_that_leaks() -> None:
    leaking = IDEAL["static_swapped"].copy()
    leaking[:, 4] = OWN[:, 4]  # hair is carried by the dynamic code
    values = table(IDEAL | {"static_swapped": leaking})
    assert values["static_swapped/hair"] == pytest.approx(1 / 6, abs=0.03)
    assert values["static_swapped/skin"] == values["static_swapped/action"] == 1.0
    assert values["static_swapped/attributes"] == pytest.approx((3 + values["static_swapped/hair"]) / 4)


def test_wanted_names_the_target_of_each_side() -> None:
    wanted = two_sided_wanted(NAMES)
    assert [wanted[f"{row}/action"] for row in ROWS] == ["own", "own", "own", "chance", "donor"]
    assert [wanted[f"{row}/skin"] for row in ROWS] == ["own", "chance", "donor", "own", "own"]
    assert [wanted[f"{row}/attributes"] for row in ROWS] == ["own", "chance", "donor", "own", "own"]


def test_several_dynamic_factors() -> None:
    wanted = two_sided_wanted(NAMES, dynamic=("action", "hair"))
    assert wanted["dynamic_swapped/hair"] == "donor"
    assert wanted["dynamic_swapped/top"] == "own"
    scores = two_sided_scores(
        dict.fromkeys(ROWS, OWN), {"own": OWN, "donor": OWN}, NAMES, SIZES, dynamic=("action", "hair")
    )
    assert all(score.value == 1.0 for score in scores.values())


@pytest.mark.parametrize(
    ("predictions", "labels", "match"),
    [
        ({"reconstruction": OWN}, {"own": OWN, "donor": DONOR}, "predictions must have the keys"),
        (IDEAL | {"extra": OWN}, {"own": OWN, "donor": DONOR}, "and no other"),
        (IDEAL, {"own": OWN}, "labels must have the keys"),
        (IDEAL, {"own": OWN, "donor": DONOR[:7]}, "same length, got 3000 and 7"),
        (IDEAL | {"static_sampled": OWN[:9]}, {"own": OWN, "donor": DONOR}, r"\['static_sampled'\] .* 9 and 3000"),
        (IDEAL | {"static_sampled": OWN[:, :2]}, {"own": OWN, "donor": DONOR}, r"5 factors, got shape \(3000, 2\)"),
        (IDEAL | {"static_sampled": OWN + 1}, {"own": OWN, "donor": DONOR}, "of action must hold classes 0 to 8"),
    ],
)
def test_refuses(predictions: dict[str, np.ndarray], labels: dict[str, np.ndarray], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        two_sided_scores(predictions, labels, NAMES, SIZES)


@pytest.mark.parametrize("dynamic", [(), NAMES, ("motion",)])
def test_refuses_a_split_that_is_none(dynamic: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="some but not all of the factors"):
        two_sided_wanted(NAMES, dynamic)


def test_refuses_ambiguous_names() -> None:
    with pytest.raises(TypeError, match="got the string 'action'"):
        two_sided_wanted(NAMES, "action")
    with pytest.raises(ValueError, match="must not contain 'attributes'"):
        two_sided_wanted(("action", "attributes"))


def test_histogram_and_its_entropy() -> None:
    predictions = torch.tensor([0, 0, 1, 3])
    assert class_histogram(predictions, 4).tolist() == [0.5, 0.25, 0.0, 0.25]
    score = histogram_entropy(predictions, 4, num_resamples=50)
    assert score.value == pytest.approx(1.5 * math.log(2))
    assert (score.chance, score.ceiling, score.num) == (0.0, math.log(4), 4)
    assert histogram_entropy(np.arange(900) % 9, 9, num_resamples=5).value == pytest.approx(math.log(9))
    assert histogram_entropy(np.zeros(5, dtype=int), 9, num_resamples=5).value == 0.0


@pytest.mark.parametrize(
    ("predictions", "size", "error", "match"),
    [
        (np.array([0, 9]), 9, ValueError, "classes 0 to 8, got values from 0 to 9"),
        (np.array([], dtype=int), 9, ValueError, "at least one item"),
        (np.zeros((2, 2), dtype=int), 9, ValueError, r"shape \(N,\)"),
        (np.array([0.5]), 9, TypeError, "integer classes"),
        (np.array([0]), 0, ValueError, "size must be at least 1"),
    ],
)
def test_histogram_refuses(predictions: np.ndarray, size: int, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        class_histogram(predictions, size)


def test_entropy_of_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="size must be at least 2"):
        histogram_entropy(np.array([0]), 1)
