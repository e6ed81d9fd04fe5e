"""Settings refuse what cannot work, and the schedules follow their equations."""

from __future__ import annotations

import dataclasses
import math
import warnings
from typing import Any

import pytest

from pyrodis.infer.settings import FitSettings, kl_factor, learning_rate_at, warn_of_kl_weights


@pytest.mark.parametrize(
    ("setting", "error", "match"),
    [
        ({"num_epochs": 0}, ValueError, "num_epochs must be a whole number of at least 1, got 0"),
        ({"num_epochs": 1.5}, TypeError, "num_epochs must be a whole number of at least 1, got 1.5"),
        ({"max_steps": -1}, ValueError, "max_steps must be a whole number of at least 1, got -1"),
        ({"batch_size": 0}, ValueError, "batch_size must be a whole number of at least 1, got 0"),
        ({"batch_size": True}, TypeError, "batch_size must be a whole number"),
        ({"learning_rate": -0.1}, ValueError, "learning_rate must be a finite number above 0, got -0.1"),
        ({"learning_rate": float("nan")}, ValueError, "learning_rate must be a finite number above 0, got nan"),
        ({"learning_rate": "1e-3"}, TypeError, "learning_rate must be a finite number above 0, got '1e-3'"),
        ({"schedule": "linear"}, ValueError, "schedule must be one of 'constant', 'cosine', got 'linear'"),
        ({"warmup_steps": -2}, ValueError, "warmup_steps must be a whole number of at least 0, got -2"),
        ({"final_learning_rate_fraction": 2.0}, ValueError, r"final_learning_rate_fraction must be in \[0, 1\], got 2"),
        ({"gradient_clip": 0.0}, ValueError, "gradient_clip must be a finite number above 0, got 0.0"),
        ({"kl_weights": {"z": -1.0}}, ValueError, r"kl_weights\['z'\] must be a finite number of at least 0, got -1"),
        ({"kl_weights": 2.0}, TypeError, "kl_weights must map site names to weights, got 2.0"),
        ({"kl_warmup_epochs": -1}, ValueError, "kl_warmup_epochs must be a whole number of at least 0"),
        ({"kl_warmup_epochs": 1.5}, TypeError, "kl_warmup_epochs must be a whole number of at least 0, got 1.5"),
        ({"kl_warmup_epochs": {"f": -1}}, ValueError, r"kl_warmup_epochs\['f'\] must be a whole number of at least 0"),
        ({"analytic": "yes"}, TypeError, "analytic must be True or False, got 'yes'"),
        ({"optimizer": "lbfgs"}, ValueError, "optimizer must be one of 'adam', 'rmsprop', 'sgd', got 'lbfgs'"),
        ({"momentum": -0.1}, ValueError, "momentum must be a finite number of at least 0, got -0.1"),
        ({"optimizer": "sgd", "momentum": 1.0}, ValueError, r"momentum must be in \[0, 1\), got 1.0"),
        ({"momentum": 0.9}, ValueError, "momentum must be 0 for the optimizer 'adam', which has its own, got 0.9"),
        ({"precision": "16"}, ValueError, "precision must be one of '32-true', 'bf16-mixed', got '16'"),
        ({"device": "tpu"}, ValueError, "device must be one of 'auto', 'cpu', 'cuda', got 'tpu'"),
        ({"seed": -1}, ValueError, "seed must be a whole number of at least 0, got -1"),
        ({"patience": 0}, ValueError, "patience must be a whole number of at least 1, got 0"),
        ({"num_workers": -1}, ValueError, "num_workers must be a whole number of at least 0"),
        ({"checkpoint_minutes": 0}, ValueError, "checkpoint_minutes must be a finite number above 0, got 0"),
    ],
)
def test_bad_settings(setting: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        FitSettings(**setting)


def test_settings_cannot_be_changed_and_keep_no_hold_of_the_caller_s_weights() -> None:
    weights = {"z": 1}
    settings = FitSettings(kl_weights=weights)
    weights["z"] = 5
    assert settings.kl_weights == {"z": 1.0}
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.seed = 1  # type: ignore[misc]


def test_learning_rate_rises_and_then_follows_the_cosine() -> None:
    settings = FitSettings(learning_rate=2.0, warmup_steps=10, final_learning_rate_fraction=0.1)
    rates = [learning_rate_at(settings, step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == rates[9]
    assert rates[500] == pytest.approx(2.0 * (0.1 + 0.9 * 0.5))
    assert rates[-1] == pytest.approx(0.2, rel=1e-3)


def test_constant_schedule_does_not_depend_on_the_length() -> None:
    settings = FitSettings(learning_rate=2.0, warmup_steps=0, schedule="constant")
    assert {learning_rate_at(settings, step, length) for step in (0, 9) for length in (10, 99)} == {2.0}


def test_a_short_training_warms_up_for_a_fifth_of_it_at_most() -> None:
    rates = [learning_rate_at(FitSettings(learning_rate=1.0), step, 20) for step in range(5)]
    cosine = [0.5 * (1 + math.cos(math.pi * step / 20)) for step in range(5)]
    least = FitSettings().final_learning_rate_fraction
    expected = [min(1, (step + 1) / 4) * (least + (1 - least) * cosine[step]) for step in range(5)]
    assert rates == pytest.approx(expected)
    assert learning_rate_at(FitSettings(learning_rate=1.0), 0, 3) == 1.0
    assert learning_rate_at(FitSettings(learning_rate=1.0), 0, 10_000) == pytest.approx(0.01)
    assert learning_rate_at(FitSettings(learning_rate=1.0, schedule="constant"), 1, 20) == pytest.approx(0.02)


def test_kl_factor_rises_to_one_and_is_never_zero() -> None:
    settings = FitSettings(kl_warmup_epochs=2)
    assert [kl_factor(settings, step, 3, "z") for step in range(8)] == pytest.approx(
        [1 / 6, 1 / 3, 0.5, 2 / 3, 5 / 6, 1, 1, 1]
    )
    assert kl_factor(FitSettings(), 0, 3, "z") == 1.0


def test_kl_factors_of_single_sites() -> None:
    epochs = {"z": 2}
    settings = FitSettings(kl_warmup_epochs=epochs)
    epochs["z"] = 5
    assert [kl_factor(settings, 2, 3, site) for site in ("f", "z")] == [1.0, 0.5]


def test_a_cooldown_falls_geometrically_from_ten_thousand_to_one() -> None:
    settings = FitSettings(kl_cooldown_epochs={"f": 0.5}, kl_warmup_epochs={"z": 2})
    assert [kl_factor(settings, step, 8, "f") for step in range(6)] == pytest.approx([1e4, 1e3, 1e2, 10, 1, 1])
    assert kl_factor(settings, 7, 8, "z") == 0.5
    assert kl_factor(FitSettings(kl_cooldown_epochs={"f": 0}), 0, 8, "f") == 1.0


def test_what_cools_down_has_no_warm_up() -> None:
    settings = FitSettings(kl_cooldown_epochs={"f": 0.5}, kl_warmup_epochs=2)
    assert [kl_factor(settings, step, 8, "f") for step in range(6)] == pytest.approx([1e4, 1e3, 1e2, 10, 1, 1])
    assert kl_factor(settings, 7, 8, "z") == 0.5
    with pytest.raises(ValueError, match=r"rises or falls, got kl_warmup_epochs and kl_cooldown_epochs of \['f'\]"):
        FitSettings(kl_cooldown_epochs={"f": 0.5}, kl_warmup_epochs={"f": 2})


@pytest.mark.parametrize(
    ("value", "error", "match"),
    [
        (2.0, TypeError, "kl_cooldown_epochs must map site names to epochs, got 2.0"),
        ({"f": -1}, ValueError, r"kl_cooldown_epochs\['f'\] must be a finite number of at least 0, got -1"),
        ({"f": float("nan")}, ValueError, r"kl_cooldown_epochs\['f'\] must be a finite number"),
    ],
)
def test_a_bad_cooldown_is_refused(value: object, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        FitSettings(kl_cooldown_epochs=value)  # type: ignore[arg-type]


def test_a_preview_is_no_part_of_what_is_recorded() -> None:
    settings = FitSettings(num_epochs=3, preview=lambda model, guide: None)
    assert settings.recorded() == FitSettings(num_epochs=3).recorded()
    assert "preview" not in settings.recorded()
    assert settings.recorded()["num_epochs"] == 3


@pytest.mark.parametrize(
    ("schedule", "num_steps", "expected"),
    [
        ({"kl_warmup_epochs": 2}, 19, ""),
        ({"kl_warmup_epochs": 2}, 9, "that of 'f' at 0.45 times it, that of 'z' at 0.45 times it; train longer"),
        ({"kl_warmup_epochs": {"f": 4}}, 19, "that of 'f' at 0.475 times it; train longer"),
        ({"kl_cooldown_epochs": {"f": 0.5}}, 5, ""),
        ({"kl_cooldown_epochs": {"f": 2}}, 10, "that of 'f' at 158 times it; train longer"),
    ],
)
def test_weights_that_would_not_arrive_are_named(schedule: dict[str, Any], num_steps: int, expected: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_kl_weights(FitSettings(**schedule), num_steps, 10, ["f", "z"])
    assert [expected in str(warning.message) for warning in caught] == [True] * bool(expected)
