"""Stages: what each of them trains, what it leaves alone, and how a schedule is interrupted, resumed and refused."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyrodis import add_penalty, fit
from pyrodis.infer.checkpoint import collect_weights, read_checkpoint, read_weights
from pyrodis.infer.freezing import component_modules, count_components, frozen_components, frozen_modules
from pyrodis.infer.history import History
from pyrodis.infer.interruption import TrainingInterrupted
from pyrodis.infer.settings import FitSettings
from pyrodis.infer.staged_training import fit_stages
from pyrodis.infer.stages import Stage, individual_stages, tandem_stages, together_stages
from tests.infer.parallel import make_images, make_pair

SETTINGS = FitSettings(num_epochs=2, batch_size=4, device="cpu", warmup_steps=0, checkpoint_minutes=1e-9)
STAGES = together_stages(2, num_epochs=2)


def data(items: tuple[Any, ...]) -> tuple[Tensor, Tensor]:
    return make_images(12, seed=len(items)), make_images(4, seed=9)


def run(output: Path | None = None, stages: Any = STAGES, hook: Any = None, **options: Any) -> tuple[Any, Any, History]:
    model, guide = make_pair()
    if hook is not None:
        model.register_forward_hook(hook)
    options = {"data": data, "settings": SETTINGS} | options
    return model, guide, fit_stages(model, guide, stages, output=output, **options)


def weights_of(path: Path) -> dict[str, Tensor]:
    return read_weights(path / "weights.safetensors")


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


# Schedules.


def test_individual_stages_train_one_component_on_the_items_so_far() -> None:
    stages = individual_stages(3, 4, learning_rate=0.5)
    assert [stage.active for stage in stages] == [(0,), (1,), (2,)]
    assert [stage.items for stage in stages] == [(0,), (0, 1), (0, 1, 2)]
    assert {(stage.num_epochs, stage.learning_rate, stage.max_steps) for stage in stages} == {(4, 0.5, None)}


def test_together_stages_follow_each_individual_stage_but_the_first() -> None:
    stages = together_stages(3, 4, together_epochs=2)
    assert [stage.active for stage in stages] == [(0,), (1,), (0, 1), (2,), (0, 1, 2)]
    assert [stage.items for stage in stages] == [(0,), (0, 1), (0, 1), (0, 1, 2), (0, 1, 2)]
    assert [stage.learning_rate for stage in stages] == [1e-3, 1e-3, 1e-4, 1e-3, 1e-4]
    assert [stage.num_epochs for stage in stages] == [4, 4, 2, 4, 2]
    assert len(together_stages(1)) == 1


def test_tandem_stages_alternate() -> None:
    stages = tandem_stages(2, 3, items=("cylinder", "sphere"), max_steps=7)
    assert [stage.active for stage in stages] == [(0,), (1,)] * 3
    assert [stage.items for stage in stages] == [("cylinder",), ("cylinder", "sphere")] * 3
    assert len({stage.name for stage in stages}) == 6
    assert {stage.max_steps for stage in stages} == {7}


@pytest.mark.parametrize(
    ("act", "error", "part"),
    [
        (lambda: individual_stages(0), ValueError, "num_components must be a whole number of at least 1, got 0"),
        (lambda: together_stages(True), TypeError, "num_components must be a whole number"),
        (lambda: tandem_stages(2, 0), ValueError, "num_rounds must be a whole number of at least 1, got 0"),
        (lambda: individual_stages(2, items=(1,)), ValueError, "one type for each of the 2 components, got (1,)"),
        (lambda: individual_stages(2, items="ab"), TypeError, "items must be a sequence of item types, got 'ab'"),
        (lambda: individual_stages(2, items=(1, 1)), ValueError, "items of stage 'train-1' must differ, got (1, 1)"),
        (lambda: individual_stages(2, num_epochs=0), ValueError, "num_epochs of stage 'train-0' must be at least 1"),
        (lambda: Stage("a/b", (0,), (0,)), ValueError, "must be letters, digits, - and _, got 'a/b'"),
        (lambda: Stage(3, (0,), (0,)), TypeError, "the name of a stage must be a str, got 3"),
        (lambda: Stage("a", (), (0,)), ValueError, "must train at least one component, got active=()"),
        (lambda: Stage("a", (-1,), (0,)), ValueError, "components are numbered from 0, stage 'a' names -1"),
        (lambda: Stage("a", (0,), ()), ValueError, "must have at least one item to train on, got items=()"),
        (lambda: Stage("a", 0, (0,)), TypeError, "active of stage 'a' must be a tuple, got 0"),
        (lambda: Stage("a", (0.0,), (0,)), TypeError, "active of stage 'a' must hold int, got 0.0"),
        (lambda: Stage("a", (0,), (0,), learning_rate=0.0), ValueError, "must be finite and above 0, got 0.0"),
        (lambda: Stage("a", (0,), (0,), learning_rate="x"), TypeError, "must be a number, got 'x'"),
        (lambda: Stage("a", (0,), (0,), num_epochs=1.5), TypeError, "must be a whole number, got 1.5"),
    ],
)
def test_schedules_that_are_none(act: Callable[[], Any], error: type[Exception], part: str) -> None:
    with pytest.raises(error) as caught:
        act()
    assert part in str(caught.value)


# What trains.


def test_each_stage_changes_all_of_its_components_and_nothing_else(tmp_path: Path) -> None:
    before = collect_weights(*make_pair())
    model, guide, _ = run(tmp_path)
    own = {k: {f"model.decoders.{k}.", f"guide.encoders.{k}.", f"guide.heads.{k}."} for k in (0, 1)}
    for number, stage in enumerate(STAGES):
        after = weights_of(tmp_path / "stages" / f"{number:02d}-{stage.name}")
        expected = {"model.offset"}
        for k in stage.active:
            expected |= {name for name in before if name.startswith(tuple(own[k]))}
        assert changed(before, after) == expected  # running means of batch normalization included
        before = after
    assert changed(before, collect_weights(model, guide)) == set()
    assert changed(before, weights_of(tmp_path)) == set()


def test_a_frozen_module_stays_in_eval_mode_while_the_rest_trains() -> None:
    model, guide = make_pair()
    decoder = model.decoders[1].requires_grad_(False).eval()
    modes = []
    decoder.register_forward_hook(lambda *_: modes.append((decoder[1].training, model.decoders[0][1].training)))
    before = {name: value.clone() for name, value in decoder.state_dict().items()}
    fit(model, guide, make_images(), validation=make_images(4), settings=SETTINGS)
    assert set(modes) == {(False, True), (False, False)}  # training, validation
    assert all(torch.equal(value, before[name]) for name, value in decoder.state_dict().items())


def test_without_eval_mode_batch_normalization_goes_on() -> None:
    model, guide = make_pair()
    decoder = model.decoders[1].requires_grad_(False)
    before = decoder[1].running_mean.clone()
    fit(model, guide, make_images(), settings=SETTINGS)
    assert not torch.equal(decoder[1].running_mean, before)


def test_a_second_training_trains_dropout_again() -> None:
    model, guide = make_pair()
    fit(model, guide, make_images(), settings=SETTINGS)
    modes = []
    guide.encoders[0][4].register_forward_hook(lambda module, *_: modes.append(module.training))
    fit(model, guide, make_images(), settings=SETTINGS)
    assert modes[0] is False  # the look at the sites
    assert set(modes[2:]) == {True}


def test_frozen_components_still_share_the_masks() -> None:
    model, guide = make_pair()
    with torch.no_grad():
        model.decoders[1][3].bias[16:] = 20.0  # confident everywhere
    with frozen_components(model, guide, [0]):
        assert bool((model(make_images())["masks"][:, 1] > 0.99).all())


def test_gradients_are_required_again_after_the_stages() -> None:
    model, guide = make_pair()
    model.offset.requires_grad_(False)
    guide.heads[0].requires_grad_(False)
    offset, head = model.offset.clone(), guide.heads[0].weight.clone()
    required = [p.requires_grad for program in (model, guide) for p in program.parameters()]
    fit_stages(model, guide, STAGES, data, settings=SETTINGS)
    assert [p.requires_grad for program in (model, guide) for p in program.parameters()] == required
    assert torch.equal(model.offset, offset)
    assert torch.equal(guide.heads[0].weight, head)
    assert not any(module.training for program in (model, guide) for module in program.modules())


def test_each_stage_has_its_rate_and_its_data() -> None:
    asked: list[Any] = []

    def recorded(items: Any) -> Any:
        asked.append(items)
        return data(items)

    stages = [
        Stage("a", (0,), (0,), 1, 1e-3),
        Stage("b", (0,), (0,), 2, 1e-4),
        Stage("c", (1,), (0, 1), 9, max_steps=2),
    ]
    _, _, history = run(stages=stages, data=recorded, settings=FitSettings(schedule="constant", device="cpu"))
    assert asked == [(0,), (0, 1)]
    assert history.column("stage") == [0, 1, 1, 2, 2]
    assert history.column("epoch") == history.column("step") == [1, 2, 3, 4, 5]
    assert history.column("learning_rate")[0] == pytest.approx(10 * history.column("learning_rate")[1])
    assert history.finished == "all steps"


def test_programs_in_wrappers_are_staged_like_bare_ones() -> None:
    model, guide = make_pair()
    wrapped = add_penalty(model, "even", lambda out: out["masks"].pow(2).sum((-1, -2, -3)), 0.1, side="model")
    before = collect_weights(model, guide)
    fit_stages(wrapped, guide, individual_stages(2)[:1], data, settings=SETTINGS)
    assert not any(
        name.startswith(("model.decoders.1.", "guide.encoders.1.", "guide.heads.1."))
        for name in changed(before, collect_weights(model, guide))
    )


# Run directories.


def test_the_run_directory_of_a_schedule(tmp_path: Path) -> None:
    _, _, history = run(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert [*config["data"]] == ["0", "0+1"]
    assert [*config["training"]["stages"]] == ["00-train-0", "01-train-1", "02-together-1"]
    assert config["training"]["stages"]["02-together-1"]["active"] == [0, 1]
    assert "learning_rate" not in config["training"]
    stages = [json.loads(path.read_text())["training"] for path in (tmp_path / "stages").glob("*/config.json")]
    assert len({training["seed"] for training in stages}) == 3
    assert {training["learning_rate"] for training in stages} == {1e-3, 1e-4}
    header, *lines = (tmp_path / "history.csv").read_text().splitlines()
    assert header.startswith("stage,epoch,step,train_kl_z,")
    assert len(lines) == 6 == len(history.rows)
    state = read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")[2]
    assert (state.step, state.finished) == (18, "all steps")


@pytest.mark.parametrize("call", [3, 10, 16])
def test_a_schedule_stopped_anywhere_goes_on_as_if_it_had_not_been(tmp_path: Path, call: int) -> None:
    run(tmp_path / "whole")
    calls = []

    def hook(module: nn.Module, *_: Any) -> None:
        calls.append(module.training)
        if module.training and sum(calls) == call:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingInterrupted):
        run(tmp_path / "cut", hook=hook)
    _, _, history = run(tmp_path / "cut", resume=True)
    assert changed(weights_of(tmp_path / "whole"), weights_of(tmp_path / "cut")) == set()
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in history.rows]
    whole = read_checkpoint(tmp_path / "whole/checkpoints/last.ckpt")[2].rows
    assert rows == [{k: v for k, v in row.items() if k != "seconds"} for row in whole]


def test_finished_stages_are_passed_over(tmp_path: Path) -> None:
    run(tmp_path)
    calls: list[Any] = []
    run(tmp_path, resume=True, hook=lambda *_: calls.append(1))
    assert calls == []


def test_a_changed_schedule_is_refused_with_the_difference_named(tmp_path: Path) -> None:
    run(tmp_path)
    before = weights_of(tmp_path)
    longer = together_stages(2, num_epochs=2, together_epochs=3)
    with pytest.raises(ValueError, match=r"training\.stages\.02-together-1\.num_epochs was 2, is 3"):
        run(tmp_path, longer, resume=True)
    with pytest.raises(ValueError, match=r"training\.stages\.02-together-1\.active was \[0, 1\], is None"):
        run(tmp_path, STAGES[:2], resume=True)
    with pytest.raises(FileExistsError, match="already holds a run of these settings"):
        run(tmp_path)
    assert changed(before, weights_of(tmp_path)) == set()


def test_overwrite_removes_the_stages_of_the_old_schedule(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "stages" / "note.txt").write_text("mine")
    run(tmp_path, [Stage("only", (0, 1), (0, 1), 1)], overwrite=True)
    assert sorted(path.name for path in (tmp_path / "stages").iterdir()) == ["00-only", "note.txt"]


# Bad input: refused before any training, with nothing written.


def no_list(model: Any, guide: Any) -> None:
    del model.decoders


def one_less(model: Any, guide: Any) -> None:
    guide.heads, guide.encoders = guide.heads[:1], guide.encoders[:1]


def uneven(model: Any, guide: Any) -> None:
    guide.heads = guide.heads[:1]


def none_left(model: Any, guide: Any) -> None:
    model.decoders = nn.ModuleList()


def shared(model: Any, guide: Any) -> None:
    guide.heads[1] = guide.heads[0]


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (no_list, "Mixture has no components"),
        (none_left, "Mixture has no components"),
        (uneven, "Reader must have one entry a component in each list of modules, got lists of [1, 2] entries"),
        (one_less, "model and guide must have the same number of components, got 2 and 1"),
        (shared, "the components [0] share parameters with frozen ones"),
    ],
)
def test_programs_without_such_components(spoil: Callable[[Any, Any], None], part: str, tmp_path: Path) -> None:
    model, guide = make_pair()
    spoil(model, guide)
    with pytest.raises(ValueError) as caught:
        fit_stages(model, guide, STAGES, data, settings=SETTINGS, output=tmp_path / "run")
    assert part in str(caught.value)
    assert not (tmp_path / "run").exists()


def lacking(items: tuple[Any, ...]) -> Any:
    return {(0,): data(items)}[items]


def refusing(items: tuple[Any, ...]) -> Any:
    if len(items) > 1:
        raise ValueError("items must be at most 1, got 2")
    return data(items)


def growing(items: tuple[Any, ...]) -> Any:
    return torch.zeros(12, 1, 1, 4, 3 + len(items)), None


@pytest.mark.parametrize(
    ("options", "error", "part"),
    [
        ({"stages": []}, ValueError, "stages must hold at least one stage, got none"),
        ({"stages": [1]}, TypeError, "stages must be a list of Stage"),
        ({"stages": individual_stages(3)}, ValueError, "'train-2' names component 2, model and guide have 0 to 1"),
        ({"data": lacking}, ValueError, "data has no items (0, 1), which stage 'train-1' trains on"),
        ({"data": refusing}, ValueError, "data of stage 'train-1', items (0, 1): items must be at most 1, got 2"),
        (
            {"data": growing},
            ValueError,
            "must be of one shape (C, H, W), got (1, 4, 4) of items (0,), (1, 4, 5) of items (0, 1); resize them",
        ),
        (
            {"data": lambda items: (make_images(), growing(items)[0] if len(items) > 1 else make_images(3))},
            ValueError,
            "(1, 4, 5) of validation of items (0, 1); resize them",
        ),
        ({"data": lambda items: make_images()}, TypeError, "data must return a pair of training and validation data"),
        ({"data": lambda items: (make_images(0), None)}, ValueError, "training data of stage 'train-0' is empty"),
        (
            {"data": lambda items: (make_images(), None if len(items) == 1 else make_images())},
            ValueError,
            "validation data for all stages or for none",
        ),
        ({"settings": None}, TypeError, "settings must be FitSettings, got NoneType"),
        ({"resume": True, "overwrite": True}, ValueError, "exclude each other"),
    ],
)
def test_schedules_that_cannot_run(options: dict[str, Any], error: type[Exception], part: str, tmp_path: Path) -> None:
    with pytest.raises(error) as caught:
        run(tmp_path / "run", **options)
    assert part in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_refused_schedule_leaves_modes_alone() -> None:
    model, guide = (program.eval() for program in make_pair())
    model.decoders[0].train()
    modes = [module.training for program in (model, guide) for module in program.modules()]
    for spoilt in ({"stages": individual_stages(3)}, {"data": lacking}):
        with pytest.raises(ValueError, match="stage 'train-"):
            fit_stages(model, guide, **({"stages": STAGES, "data": data, "settings": SETTINGS} | spoilt))
        assert [module.training for program in (model, guide) for module in program.modules()] == modes


def test_patience_needs_validation_and_resume_a_directory() -> None:
    with pytest.raises(ValueError, match="patience needs validation data"):
        run(data=lambda items: (make_images(), None), settings=FitSettings(patience=1))
    with pytest.raises(ValueError, match="need a run directory, got output=None"):
        run(resume=True)


def test_a_stage_whose_components_are_frozen_already() -> None:
    model, guide = make_pair()
    model.offset.requires_grad_(False)
    for module in (*component_modules(model, 0), *component_modules(guide, 0)):
        module.requires_grad_(False)
    with pytest.raises(ValueError, match="stage 'train-0' has no parameter to train"):
        fit_stages(model, guide, STAGES, data, settings=SETTINGS)


def test_components_by_number() -> None:
    model, guide = make_pair(3)
    assert count_components(model, guide) == 3
    assert component_modules(guide, 2) == [guide.encoders[2], guide.heads[2]]
    with pytest.raises(ValueError, match="component must be 0 to 2, as Reader has them, got 3"):
        component_modules(guide, 3)
    assert frozen_modules(guide) == []
    guide.requires_grad_(False).eval()
    assert frozen_modules(guide) == [guide]
    guide.training = True
    assert frozen_modules(guide) == [guide.encoders, guide.heads]
