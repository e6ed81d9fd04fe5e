"""Training stage after stage, one run directory each inside that of the whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn
from torch.utils.data import Dataset

from pyrodis.infer.checkpoint import RunState, collect_weights, save_weights, write_checkpoint
from pyrodis.infer.data import as_dataset, check_inputs, check_takes, describe_data
from pyrodis.infer.describe import describe
from pyrodis.infer.freezing import count_components, frozen_components
from pyrodis.infer.history import History
from pyrodis.infer.penalties import innermost, wrappers
from pyrodis.infer.processes import on_first_process
from pyrodis.infer.run_directory import RunDirectory, make_config
from pyrodis.infer.sampler import derive_seed
from pyrodis.infer.settings import FitSettings
from pyrodis.infer.stages import Item, Stage
from pyrodis.infer.training import fit

__all__ = ["StageData", "fit_stages"]

StageData = Callable[[tuple[Item, ...]], tuple[Dataset[Any] | Tensor, Dataset[Any] | Tensor | None]]
"""Maps the item types of a stage to its training and its validation data."""

_Pair = tuple[Dataset[Any], "Dataset[Any] | None"]


def fit_stages(
    model: nn.Module,
    guide: nn.Module,
    stages: Sequence[Stage],
    data: StageData,
    *,
    settings: FitSettings = FitSettings(),  # noqa: B008 - frozen
    output: Path | str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    description: Mapping[str, Any] | None = None,
) -> History:
    """Train the components of a model and a guide in stages, each by `fit` with a new optimizer.

    In a stage its active components train, and what belongs to no component; the others are frozen: they still draw and
    compete for pixels, but nothing of theirs changes, buffers included. A component is its entry in each list of
    modules of the two programs.

    The run directory holds the state after the last finished stage, and the history of all of them with the columns
    ``stage`` (from 0) and ``epoch`` and ``step`` counted on. ``stages/00-NAME`` is the run directory of a stage. A
    training that was killed anywhere and resumed passes over finished stages and gives the weights of one that was not,
    bit for bit on a CPU.

    Args:
        model: The model, such as `ParallelVAE`, wrapped or not.
        guide: The guide, such as `ParallelGuide`, wrapped or not.
        stages: The schedule: stages in order, e.g. of `together_stages`.
        data: Maps the items of a stage to training and validation data, as `fit` takes them (None for no validation).
            It is asked for all of them before the first stage.
        settings: All settings that a stage has not; patience and max_steps count in each stage, and the seed of a
            stage is derived from its seed and the number of the stage.
        output: Run directory to write; None to write nothing.
        resume: Go on with the run that ``output`` holds, if it holds one.
        overwrite: Remove the run that ``output`` holds, stages included, and start again.
        description: What else ``config.json`` records and a resumed run must share, plain values by name.

    Returns:
        The history of all stages, nats per datum; ``best_epoch`` is that of the last stage alone.

    Raises:
        ValueError: The schedule is empty, names a component that does not exist or items that the data lack or
            refuse, images of the stages differ in shape, an argument is outside its range, or ``output`` holds a run of
            another schedule or other settings; all of this before any training.
        TypeError: An argument is of another type.
        FileExistsError: ``output`` holds a run, and neither ``resume`` nor ``overwrite`` was given.
        FloatingPointError: A loss term or a gradient was not finite; names it.
        TrainingInterrupted: SIGINT or SIGTERM came; a second one raises KeyboardInterrupt at once.

    Source:
        Stavarache, "Multi-model disentanglement of object representations" (2019), section 3.1.1.

    Example:
        >>> import torch
        >>> from pyrodis.guides import ParallelGuide
        >>> from pyrodis.infer.stages import individual_stages
        >>> from pyrodis.models import MaskedNormal, ParallelVAE
        >>> from pyrodis.nn import ConvDecoder, ConvEncoder
        >>> model = ParallelVAE([ConvDecoder(2, (2, 8, 8), base_channels=2) for _ in range(2)], MaskedNormal(), 2)
        >>> guide = ParallelGuide([ConvEncoder((1, 8, 8), 4, base_channels=2) for _ in range(2)], 2)
        >>> stages = individual_stages(2, num_epochs=1)
        >>> data = lambda items: (torch.rand(6, 1, 1, 8, 8), None)
        >>> history = fit_stages(model, guide, stages, data, settings=FitSettings(device="cpu"))
        >>> history.column("stage")
        [0, 1]
    """
    if not isinstance(settings, FitSettings):
        raise TypeError(f"settings must be FitSettings, got {type(settings).__name__}; use FitSettings(batch_size=...)")
    if resume and overwrite:
        raise ValueError("resume and overwrite exclude each other, got both; choose one")
    if (resume or overwrite) and output is None:
        raise ValueError("resume and overwrite need a run directory, got output=None; give output=DIR")
    _check_stages(model, guide, stages)
    for name, program in (("model", model), ("guide", guide)):
        check_takes(name, program, settings.inputs)
    found = _load(stages, data, settings.inputs)
    if settings.patience is not None and found[stages[0].items][1] is None:
        raise ValueError(f"patience needs validation data, got patience={settings.patience} and no validation data")
    directory = None if output is None else RunDirectory(output)
    if directory is not None:
        plan = (stages, found, settings, description)
        on_first_process(lambda: _claim(directory, model, guide, plan, resume, overwrite))
    rows: list[dict[str, float]] = []
    history = History((), "", 0)
    for number, stage in enumerate(stages):
        train, validation = found[stage.items]
        with frozen_components(model, guide, stage.active):
            history = fit(
                model,
                guide,
                train,
                validation=validation,
                settings=_stage_settings(settings, stage, number),
                output=None if directory is None else directory.path / "stages" / _label(stage, number),
                resume=resume,
                description={"stage": dataclasses.asdict(stage)},
            )
        rows += _numbered(history.rows, number, rows[-1] if rows else {"epoch": 0, "step": 0})
        if directory is not None:
            finished = number == len(stages) - 1
            on_first_process(partial(_record, directory, model, guide, rows, finished=finished))
    return History(tuple(rows), history.finished, history.best_epoch)


def _label(stage: Stage, number: int) -> str:
    return f"{number:02d}-{stage.name}"


def _stage_settings(settings: FitSettings, stage: Stage, number: int) -> FitSettings:
    return dataclasses.replace(
        settings,
        num_epochs=stage.num_epochs,
        learning_rate=stage.learning_rate,
        max_steps=settings.max_steps if stage.max_steps is None else stage.max_steps,
        seed=derive_seed(settings.seed, "stage", number),
    )


def _check_stages(model: object, guide: object, stages: object) -> None:
    for name, module in (("model", model), ("guide", guide)):
        if not isinstance(module, nn.Module):
            raise TypeError(f"{name} must be a torch module that is a Pyro program, got {type(module).__name__}")
    if not isinstance(stages, Sequence) or not all(isinstance(stage, Stage) for stage in stages):
        raise TypeError(f"stages must be a list of Stage, got {type(stages).__name__}; e.g. individual_stages(2)")
    if not stages:
        raise ValueError("stages must hold at least one stage, got none; e.g. individual_stages(2)")
    count = count_components(model, guide)  # type: ignore[arg-type]
    modes = {module: module.training for program in (model, guide) for module in program.modules()}  # type: ignore[attr-defined]
    try:
        for stage in stages:
            _check_stage(model, guide, stage, count)  # type: ignore[arg-type]
    finally:
        for module, mode in modes.items():
            module.training = mode


def _check_stage(model: nn.Module, guide: nn.Module, stage: Stage, count: int) -> None:
    """Freeze the components of a stage once to see whether that can be done; modes are changed."""
    if max(stage.active) >= count:
        raise ValueError(
            f"stage {stage.name!r} names component {max(stage.active)}, model and guide have 0 to {count - 1}; "
            "build as many as the schedule has"
        )
    with frozen_components(model, guide, stage.active):
        if not any(p.requires_grad for program in (model, guide) for p in program.parameters()):
            raise ValueError(f"stage {stage.name!r} has no parameter to train; unfreeze its components")


def _load(stages: Sequence[Stage], data: StageData, inputs: Sequence[str]) -> dict[tuple[Item, ...], _Pair]:
    """Data of every set of items in the schedule, looked at before any training."""
    found: dict[tuple[Item, ...], _Pair] = {}
    for stage in stages:
        if stage.items in found:
            continue
        try:
            pair = data(stage.items)
        except LookupError as error:
            raise ValueError(
                f"data has no items {stage.items}, which stage {stage.name!r} trains on ({error!r}); "
                "add them, or leave the stage out"
            ) from error
        except ValueError as error:
            raise ValueError(f"data of stage {stage.name!r}, items {stage.items}: {error}") from error
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(
                f"data must return a pair of training and validation data (or None), got {type(pair).__name__} for the "
                f"items {stage.items}"
            )
        found[stage.items] = (
            _checked(pair[0], f"training data of stage {stage.name!r}", inputs),
            None if pair[1] is None else _checked(pair[1], f"validation data of stage {stage.name!r}", inputs),
        )
    if len({validation is None for _, validation in found.values()}) > 1:
        raise ValueError("data must give validation data for all stages or for none, got some without")
    shapes = {
        f"{name} {items}": tuple(cast(Any, dataset)[0]["x"].shape[1:])
        for items, pair in found.items()
        for name, dataset in zip(("items", "validation of items"), pair, strict=True)
        if dataset is not None
    }
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{shape} of {name}" for name, shape in shapes.items())
        raise ValueError(f"images of all stages must be of one shape (C, H, W), got {listed}; resize them")
    return found


def _checked(data: Any, name: str, inputs: Sequence[str]) -> Dataset[Any]:
    dataset = as_dataset(data, name)
    check_inputs(dataset, name, inputs)
    return dataset


def _claim(
    directory: RunDirectory, model: nn.Module, guide: nn.Module, plan: tuple[Any, ...], resume: bool, overwrite: bool
) -> None:
    """Take the directory for this schedule, or refuse; with overwrite the files of all old stages are removed."""
    stages, found, settings, description = plan
    labels = {_label(stage, number): stage for number, stage in enumerate(stages)}
    training = settings.recorded()
    del training["num_epochs"], training["learning_rate"]  # each stage has its own
    training["stages"] = {label: dataclasses.asdict(stage) for label, stage in labels.items()}
    wrapped = {"model": wrappers(model), "guide": wrappers(guide)}
    if any(wrapped.values()):
        training["wrappers"] = wrapped
    data = {
        "+".join(map(str, items)): {"train": describe_data(train), "validation": describe_data(validation)}
        for items, (train, validation) in found.items()
    }
    described = describe(innermost(model)), describe(innermost(guide))
    directory.claim(make_config(*described, data, training, description), resume, overwrite)
    if overwrite:
        for path in sorted((directory.path / "stages").rglob("*"), reverse=True):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()


def _numbered(rows: Sequence[Mapping[str, float]], stage: int, last: Mapping[str, float]) -> Iterator[dict[str, float]]:
    """Rows of a stage as those of the whole training, epochs and steps counted on from its last row."""
    for row in rows:
        yield {"stage": stage, **row, "epoch": last["epoch"] + row["epoch"], "step": last["step"] + row["step"]}


def _record(
    directory: RunDirectory, model: nn.Module, guide: nn.Module, rows: list[dict[str, float]], finished: bool
) -> None:
    """Write the state after a stage into the directory of the whole training."""
    state = RunState(step=int(rows[-1]["step"]), rows=rows, finished="all steps" if finished else "")
    write_checkpoint(directory.last, collect_weights(model, guide, penalties=True), {}, state)
    directory.write_history(rows)
    save_weights(directory.weights, model, guide)
