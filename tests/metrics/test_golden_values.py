"""The metrics equal published implementations on stored arrays, and differ from them by what their docstrings say."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyrodis.metrics import mcc, mig, modularity, sap, two_factor_score
from pyrodis.metrics.beta_vae_score import distances_of, hits_of_distances
from pyrodis.metrics.dci import _completeness, _disentanglement
from pyrodis.metrics.factor_vae_score import hits_of_votes, votes_of

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
RECORD = json.loads((GOLDEN / "metrics.json").read_text(encoding="utf8"))
PUBLISHED = {name: value for source in RECORD["sources"].values() for name, value in source["values"].items()}
with np.load(GOLDEN / "metrics.npz") as stored:
    ARRAYS: dict[str, np.ndarray] = dict(stored)
CODES, CLASSES = ARRAYS["codes_of_classes"], ARRAYS["classes"]
OF_NUMBERS = (ARRAYS["codes_of_numbers"], ARRAYS["numbers"])


def published(name: str) -> Any:
    return pytest.approx(PUBLISHED[name], abs=1e-6)


def test_every_value_says_where_it_is_from() -> None:
    assert all(len(source["commit"]) == 40 for source in RECORD["sources"].values())
    assert set(RECORD["versions"]) == {"numpy", "scipy", "sklearn", "pandas"}


def test_the_stored_arrays_are_those_of_the_script() -> None:
    spec = importlib.util.spec_from_file_location("make_golden", GOLDEN / "make_golden.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    made = script.make_arrays()
    assert set(made) == set(ARRAYS)
    assert all(np.allclose(made[name], ARRAYS[name]) for name in made)


def test_mig() -> None:
    assert mig(CODES, CLASSES, num_resamples=2)["mig"].value == published("mig")


def test_modularity() -> None:
    assert modularity(CODES, CLASSES, num_resamples=2).value == published("modularity")


def test_sap_of_classes_on_the_same_halves() -> None:
    assert np.random.default_rng(0).permutation(400).tolist() == ARRAYS["halves"].tolist()
    assert sap(CODES, CLASSES, num_resamples=2, seed=0)["sap"].value == published("sap_of_classes")


def test_sap_of_numbers() -> None:
    assert sap(*OF_NUMBERS, num_resamples=2)["sap"].value == published("sap_of_numbers")


@pytest.mark.parametrize("ranks", [False, True])
def test_mean_correlation_coefficient(ranks: bool) -> None:
    found = mcc(*OF_NUMBERS, ranks=ranks, num_resamples=2)["mcc"].value
    assert found == published("mcc_of_ranks" if ranks else "mcc")


def test_a_factor_without_a_dimension_counts_here_and_is_left_out_there() -> None:
    codes, numbers = OF_NUMBERS
    assert mcc(codes[:, :2], numbers, num_resamples=2)["mcc"].value * 3 / 2 == published("mcc_of_two_codes")


@pytest.mark.parametrize("name", ["importances", "importances_uneven"])
def test_disentanglement_of_the_same_importances(name: str) -> None:
    assert _disentanglement(ARRAYS[name]) == published(f"disentanglement_of_{name}")


def test_completeness_of_the_same_importances() -> None:
    assert _completeness(ARRAYS["importances"]) == published("completeness_of_importances")


def test_completeness_weighs_factors_by_their_importances_there() -> None:
    uneven = ARRAYS["importances_uneven"]
    weights = uneven.sum(0) / uneven.sum()
    theirs = sum(weight * _completeness(uneven[:, [j]]) for j, weight in enumerate(weights))
    assert theirs == published("completeness_of_importances_uneven")
    assert _completeness(uneven) != published("completeness_of_importances_uneven")


def test_factor_vae_on_the_same_batches() -> None:
    codes = CODES / CODES.std(axis=0)
    train, scored = ((ARRAYS[f"held_{part}"], votes_of(codes, ARRAYS[f"batch_{part}"])) for part in ("train", "eval"))
    assert hits_of_votes(train, scored, num_dims=5).mean() == published("factor_vae")


@pytest.mark.parametrize(("name", "codes"), [("beta_vae", CODES / CODES.std(axis=0)), ("beta_vae_unscaled", CODES)])
def test_beta_vae_on_the_same_pairs(name: str, codes: np.ndarray) -> None:
    parts = [
        (distances_of(codes, ARRAYS[f"first_{part}"], ARRAYS[f"second_{part}"]), ARRAYS[f"held_{part}"])
        for part in ("train", "eval")
    ]
    assert hits_of_distances(*parts).mean() == published(name)


def test_two_factor() -> None:
    arrays = (ARRAYS[name] for name in ("static_changed", "dynamic_changed", "labels"))
    found = two_factor_score(*arrays, ("action", "skin", "hair"), (3, 4, 2), num_resamples=2)
    assert found.value == published("two_factor")
