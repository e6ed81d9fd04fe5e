"""Components that learn slower by their KL: the factor, what it does to Adam's steps, and an exact resume."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pyrodis import fit
from pyrodis.infer.checkpoint import collect_weights, read_checkpoint, read_weights
from pyrodis.infer.elbo import NamedELBO
from pyrodis.infer.freezing import frozen_components
from pyrodis.infer.interruption import TrainingInterrupted
from pyrodis.infer.settings import FitSettings
from pyrodis.infer.slow_learning import SlowLearning
from tests.infer.parallel import make_images, make_pair
from tests.infer.tiny import make_frames
from tests.infer.tiny import make_pair as make_plain_pair


def settings(slow: SlowLearning | None, **changes: Any) -> FitSettings:
    fixed = {"batch_size": 4, "device": "cpu", "schedule": "constant", "warmup_steps": 0, "num_epochs": 4}
    return FitSettings(**(fixed | {"slow_learning": slow} | changes))


def steps_of_first_update(slow: SlowLearning | None) -> tuple[dict[str, torch.Tensor], list[float]]:
    """How far each weight goes in the first step, and the KL of each component before it."""
    model, guide = make_pair()
    before = collect_weights(model, guide)
    history = fit(model, guide, make_images(4), settings=settings(slow, max_steps=1))
    after = collect_weights(model, guide)
    moved = {name: (after[name] - before[name]).abs() for name, _ in named(model, guide)}
    return moved, [history.rows[0][f"train_kl_z.{k}"] for k in (0, 1)]


def named(model: nn.Module, guide: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [
        (f"{p}.{n}", w) for p, program in (("model", model), ("guide", guide)) for n, w in program.named_parameters()
    ]


def test_the_step_of_adam_itself_is_scaled() -> None:
    plain, kl = steps_of_first_update(None)
    slow, same = steps_of_first_update(SlowLearning(halving_kl=0.5))
    assert same == kl
    expected = [2 ** (-value / 0.5) for value in kl]
    assert expected[0] < 0.9 * expected[1]
    for name in plain:
        own = [k for k in (0, 1) if f"s.{k}." in name]
        ratio = slow[name].sum() / plain[name].sum()
        assert float(ratio) == pytest.approx(expected[own[0]] if own else 1.0, rel=1e-3), name


def test_components_that_could_not_begin_to_learn_are_refused() -> None:
    model, guide = make_pair()
    with pytest.raises(
        ValueError, match=r"got KLs of [\d.]+ nats and more at the first step, at halving_kl=0.01; take above"
    ):
        fit(model, guide, make_images(4), settings=settings(SlowLearning(halving_kl=0.01), max_steps=1))
    slow = SlowLearning(halving_kl=0.01, above_least=True)
    before = {name: parameter.detach().clone() for name, parameter in named(model, guide)}
    fit(model, guide, make_images(4), settings=settings(slow, max_steps=1))
    moved = {
        name for name, parameter in named(model, guide) if float((parameter.detach() - before[name]).abs().max()) > 1e-9
    }
    one = [{name for name in moved if f"s.{k}." in name} for k in (0, 1)]
    assert bool(one[0]) != bool(one[1]), "the one that says least learns, and at this price it alone"


def test_the_history_names_each_component() -> None:
    slow = SlowLearning(halving_kl=2.0, memory=0.5)
    model, guide = make_pair()
    history = fit(model, guide, make_images(), validation=make_images(4), settings=settings(slow))
    for name in ("train", "validation"):
        parts = [history.column(f"{name}_kl_z.{k}") for k in (0, 1)]
        assert [a + b for a, b in zip(*parts, strict=True)] == pytest.approx(history.column(f"{name}_kl_z"))
    assert all(0 < factor < 1 for factor in history.column("rate_factor.0"))
    assert set(history.column("learning_rate")) == {1e-3}


def test_the_kl_of_components_adds_up_to_that_of_the_site() -> None:
    model, guide = make_pair(3)
    for analytic in (True, False):
        terms = NamedELBO(analytic).terms(model, guide, make_images())
        assert terms.components["z"].shape == (3,)
        torch.testing.assert_close(terms.components["z"].sum(), terms.values["kl_z"])
    assert NamedELBO().terms(*make_plain_pair(), make_frames()).components == {}


def test_a_resumed_training_remembers_the_running_means(tmp_path: Path) -> None:
    slow = SlowLearning(halving_kl=0.5, memory=0.9, above_least=True)

    def train(output: Path, call: int = 0, resume: bool = False) -> None:
        model, guide = make_pair()
        calls: list[int] = []

        def hook(*_: Any) -> None:
            calls.append(1)
            if len(calls) == call:
                os.kill(os.getpid(), signal.SIGINT)

        model.register_forward_hook(hook)
        fit(model, guide, make_images(), output=output, resume=resume, settings=settings(slow))

    train(tmp_path / "whole")
    with pytest.raises(TrainingInterrupted):
        train(tmp_path / "cut", call=5)
    assert len(read_checkpoint(tmp_path / "cut/checkpoints/last.ckpt")[2].component_kl) == 2
    train(tmp_path / "cut", resume=True)
    first, second = (read_weights(tmp_path / name / "weights.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_running_mean_and_the_factor() -> None:
    slow = SlowLearning(halving_kl=2.0, memory=0.75)
    means = slow.update([], [4.0, 0.0])
    assert means == [4.0, 0.0]
    assert slow.update(means, [0.0, 8.0]) == [3.0, 2.0]
    assert slow.factors([4.0, 2.0, -1.0]) == [0.25, 0.5, 1.0]
    assert SlowLearning(2.0, above_least=True).factors([6.0, 4.0]) == [0.5, 1.0]
    assert SlowLearning(2.0, above_least=True).factors([6.0, 4.0, 0.0], active=[0, 1]) == [0.5, 1.0, 1.0]
    assert slow.factors([6.0, 4.0], active=[0]) == [0.125, 0.25]


@pytest.mark.parametrize("above_least", [True, False])
def test_a_silent_frozen_component_slows_nobody_down(above_least: bool) -> None:
    model, guide = make_pair(3)
    slow = SlowLearning(halving_kl=0.5, above_least=above_least)
    with frozen_components(model, guide, [0, 2]):
        row = fit(model, guide, make_images(4), settings=settings(slow, max_steps=1)).rows[0]
    kl, factors = ([row[f"{name}.{k}"] for k in range(3)] for name in ("train_kl_z", "rate_factor"))
    assert kl[1] < min(kl[0], kl[2]) - 0.01
    least = min(kl[0], kl[2]) if above_least else 0.0
    assert [factors[0], factors[2]] == pytest.approx([2 ** (-(kl[k] - least) / 0.5) for k in (0, 2)], rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "error", "part"),
    [
        ({"halving_kl": 0.0}, ValueError, "halving_kl must be a finite number of nats above 0, got 0.0"),
        ({"halving_kl": float("nan")}, ValueError, "above 0, got nan"),
        ({"halving_kl": "1"}, TypeError, "halving_kl of SlowLearning must be a number, got '1'"),
        ({"memory": 1.0}, ValueError, "memory must be in [0, 1), got 1.0"),
        ({"above_least": 1}, TypeError, "above_least must be True or False, got 1"),
    ],
)
def test_settings_that_are_refused(arguments: dict[str, Any], error: type[Exception], part: str) -> None:
    with pytest.raises(error) as caught:
        SlowLearning(**arguments)
    assert part in str(caught.value)


def test_programs_without_components_cannot_learn_slower(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"slow_learning must be SlowLearning or None, got 5\.0"):
        FitSettings(slow_learning=5.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="TinyModel has no components"):
        fit(*make_plain_pair(), make_frames(), settings=settings(SlowLearning()), output=tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()
    with pytest.raises(ValueError, match='inside a plate "components" of size 2, the KL has 0 components'):
        fit(*make_pair(plate="others"), make_images(), settings=settings(SlowLearning()))
