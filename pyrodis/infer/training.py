"""Training a model and a guide."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, cast

import pyro
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from pyrodis.infer.checkpoint import RunState, collect_weights, load_weights, read_checkpoint, save_weights
from pyrodis.infer.data import as_dataset, check_inputs, check_takes, describe_data, stack_items
from pyrodis.infer.describe import describe
from pyrodis.infer.freezing import count_components
from pyrodis.infer.history import History
from pyrodis.infer.interruption import StopRequest, TrainingInterrupted
from pyrodis.infer.penalties import innermost, wrappers
from pyrodis.infer.processes import (
    first_process,
    num_processes,
    on_first_process,
    process_number,
    processes_per_node,
    synchronized_batch_norm,
)
from pyrodis.infer.recovery import ignore_signals, read_last_good, retell
from pyrodis.infer.run_directory import RunDirectory, make_config
from pyrodis.infer.sampler import StepBatchSampler
from pyrodis.infer.settings import FitSettings, warn_of_kl_weights
from pyrodis.ops import channels_last

__all__ = ["fit"]


def fit(
    model: nn.Module,
    guide: nn.Module,
    train: Dataset[Any] | Tensor,
    *,
    validation: Dataset[Any] | Tensor | None = None,
    settings: FitSettings = FitSettings(),  # noqa: B008 - frozen
    output: Path | str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    description: Mapping[str, Any] | None = None,
) -> History:
    """Train a model and a guide together by stochastic variational inference.

    What is minimized, by the optimizer of the settings, is the mean over a batch of
    -E_q log p(x | latents) + sum_s beta_s KL_s + sum_r weight_r penalty_r.

    Batches and noise are functions of the seed and the step alone, so a training that was cut anywhere and resumed on
    the same machine gives the weights of one that was not cut, bit for bit on a CPU, if an item of the data is the same
    whenever it is asked for. Where the last checkpoint is damaged, a warning says so and the training goes on from the
    one before. If data fail between two steps, the steps made so far are saved first.

    A script that torchrun started trains on all of its processes together, each on a device of its own: see
    ``batch_size``, ``strategy`` and ``accumulation`` of `FitSettings`. The first process alone writes.

    Both modules are trained in place, and left on the CPU in eval mode. They hold the weights of the last step; with
    ``patience``, those of the lowest validation total. ``weights.safetensors`` holds the same. A part that is frozen
    (no parameter of it requires a gradient, and it is in eval mode) stays in eval mode, so nothing of it changes.

    Args:
        model: The model, a Pyro program over ``x``; its parameters are trained.
        guide: The guide over the same latent sites; its parameters are trained, shared ones once.
        train: A data set of items ``{"x": (T, C, H, W)}``, or frames.
        validation: Data for a validation at the end of each epoch, of the same form.
        settings: All other settings.
        output: Run directory to write; None to write nothing.
        resume: Go on with the run that ``output`` holds, if it holds one; return at once if that is complete.
        overwrite: Remove the run that ``output`` holds and start again.
        description: What else ``config.json`` records and a resumed run must share, plain values by name.

    Shape:
        - train, validation: (B, T, C, H, W) where tensors, float in [0, 1]

    Returns:
        The history, a row an epoch, in nats per datum.

    Raises:
        ValueError: An argument is outside its range, or ``output`` holds a run of other settings; or components that
            are to learn slower have so much to say at the first step that none could begin (`SlowLearning`).
        TypeError: An argument is of another type.
        FileExistsError: ``output`` holds a run, and neither ``resume`` nor ``overwrite`` was given.
        FloatingPointError: A loss term or a gradient was not finite; names it, and the item that it came from.
        MemoryError: Memory ran out; says what to lower.
        OSError: A file of the run cannot be written, or one of the data is gone.
        TrainingInterrupted: SIGINT or SIGTERM came; a second one raises KeyboardInterrupt at once.

    Example:
        >>> from pyrodis.guides import FramewiseGuide
        >>> from pyrodis.models import DSVAE, NormalPixels, StandardPrior
        >>> from pyrodis.nn import ConvDecoder, ConvEncoder
        >>> model = DSVAE(ConvDecoder(6, (1, 8, 8), base_channels=2), StandardPrior(2), NormalPixels(), 4, 2)
        >>> guide = FramewiseGuide(ConvEncoder((1, 8, 8), base_channels=2), 4, 2, hidden_dim=4)
        >>> history = fit(model, guide, torch.rand(6, 3, 1, 8, 8), settings=FitSettings(num_epochs=2, device="cpu"))
        >>> len(history.column("train_nll"))
        2
    """
    _check_modules(model, guide)
    if not isinstance(settings, FitSettings):
        raise TypeError(f"settings must be FitSettings, got {type(settings).__name__}; use FitSettings(num_epochs=...)")
    if resume and overwrite:
        raise ValueError("resume and overwrite exclude each other, got both; choose one")
    if (resume or overwrite) and output is None:
        raise ValueError("resume and overwrite need a run directory, got output=None; give output=DIR")
    train = as_dataset(train, "train")
    validation = None if validation is None else as_dataset(validation, "validation")
    check_inputs(train, "train", settings.inputs)
    if validation is not None:
        check_inputs(validation, "validation", settings.inputs)
    if settings.patience is not None and validation is None:
        raise ValueError(f"patience needs validation data, got patience={settings.patience} and validation=None")
    options = (output, resume, overwrite, description)
    prepared = on_first_process(lambda: _prepare(model, guide, (train, validation), settings, options))
    directory, state, optimizer_state = prepared
    if not state.finished:
        own = directory if first_process() else None
        shared = num_processes() > 1 and _uses_cuda(settings)
        with synchronized_batch_norm(model, guide) if shared else nullcontext():
            _train(model, guide, (train, validation), settings, own, state, optimizer_state)
    _spread_weights(model, guide)
    return History(tuple(state.rows), state.finished, state.best_epoch)


def _prepare(
    model: nn.Module,
    guide: nn.Module,
    data: tuple[Dataset[Any], Dataset[Any] | None],
    settings: FitSettings,
    options: tuple[Path | str | None, bool, bool, Mapping[str, Any] | None],
) -> tuple[RunDirectory | None, RunState, dict[str, Any]]:
    """Claim the run directory, and load what the training goes on from."""
    (train, validation), (output, resume, overwrite, description) = data, options
    directory = None if output is None else RunDirectory(output)
    if directory is None or not (resume and directory.checkpoints):
        _check_ready(model, guide, train, settings)  # before a directory is claimed, and a run in it removed
    if directory is not None:
        described_data = {"train": describe_data(train), "validation": describe_data(validation)}
        training = settings.recorded()
        wrapped = {"model": wrappers(model), "guide": wrappers(guide)}
        if any(wrapped.values()):
            training["wrappers"] = wrapped
        described = describe(innermost(model)), describe(innermost(guide))
        directory.claim(make_config(*described, described_data, training, description), resume, overwrite)
    return (directory, *_restore(directory, model, guide, settings))


def _spread_weights(model: nn.Module, guide: nn.Module) -> None:
    """Give the weights of the first process to all, running statistics included, which each has its own of."""
    if num_processes() > 1:
        weights = on_first_process(lambda: collect_weights(model, guide, penalties=True))
        load_weights(model, guide, weights, Path("the first process"), penalties=True)
        for module in (model, guide):
            channels_last(module.eval())


def _check_modules(model: object, guide: object) -> None:
    for name, module in (("model", model), ("guide", guide)):
        if not isinstance(module, nn.Module):
            raise TypeError(f"{name} must be a torch module that is a Pyro program, got {type(module).__name__}")
    inner: Any = innermost(cast(nn.Module, guide))
    if hasattr(inner, "shares_with") and not inner.shares_with(innermost(cast(nn.Module, model))):
        raise ValueError(
            "guide must have the very modules of the model that it uses, got others, which would not train with it; "
            "call guide.share_with(model)"
        )


def _check_ready(model: nn.Module, guide: nn.Module, train: Dataset[Any], settings: FitSettings) -> None:
    """Refuse what a training that starts now would refuse at its first step."""
    from pyrodis.infer.engine import find_latent_sites

    if not any(p.requires_grad for program in (model, guide) for p in program.parameters()):
        raise ValueError(
            "model and guide must have a parameter to train, got none that requires a gradient; unfreeze one"
        )
    if settings.slow_learning is not None:
        count_components(model, guide)
    _uses_cuda(settings)
    _make_sampler(train, settings, 0, _plan(train, settings)[1])
    for name, program in (("model", model), ("guide", guide)):
        check_takes(name, program, settings.inputs)
    _check_sites(settings, find_latent_sites(guide, *_first_item(train, guide, settings)))


def _restore(
    directory: RunDirectory | None, model: nn.Module, guide: nn.Module, settings: FitSettings
) -> tuple[RunState, dict[str, Any]]:
    """State of the run in the directory, its weights loaded; a new state where it has no checkpoint."""
    found = None if directory is None else read_last_good(directory)
    if found is None:
        return RunState(), {}
    weights, optimizer_state, state, source = found
    load_weights(model, guide, weights, source, penalties=True)
    if state.finished == "all steps" and len(state.rows) < settings.num_epochs and settings.max_steps is None:
        state.finished = ""  # the same run, made longer
    if state.finished:
        _finish(directory, model, guide, settings, state, None)
    return state, optimizer_state


def _finish(
    directory: RunDirectory | None,
    model: nn.Module,
    guide: nn.Module,
    settings: FitSettings,
    state: RunState,
    best_weights: dict[str, Tensor] | None,
) -> None:
    """Leave modules and files as a finished run leaves them."""
    if settings.patience is not None:
        source = Path("memory") if directory is None else directory.best
        best = read_checkpoint(source)[0] if best_weights is None else best_weights
        load_weights(model, guide, best, source, penalties=True)
    for module in (model, guide):
        channels_last(module.eval())  # also where nothing was left to train
    if directory is not None:
        directory.write_history(state.rows)
        save_weights(directory.weights, model, guide)


def _train(
    model: nn.Module,
    guide: nn.Module,
    data: tuple[Dataset[Any], Dataset[Any] | None],
    settings: FitSettings,
    directory: RunDirectory | None,
    state: RunState,
    optimizer_state: dict[str, Any],
) -> None:
    from pyrodis.infer.callbacks import Interruption, Preview, Progress, Recorder, ValidateFirstSteps
    from pyrodis.infer.engine import Engine, find_latent_sites

    cuda = _uses_cuda(settings)
    plan = _plan(data[0], settings)
    for module in (model, guide):
        channels_last(module)
    sites = find_latent_sites(guide, *_first_item(data[0], guide, settings))
    _check_sites(settings, sites)
    warn_of_kl_weights(settings, plan[1], plan[0], sites)
    sampler = _make_sampler(data[0], settings, state.step, plan[1])
    engine = Engine(model, guide, settings, sites, plan, state, optimizer_state, sampler)
    recorder = Recorder(directory, None if data[1] is None else _loader(data[1], settings, cuda))
    request = StopRequest()
    interruption = Interruption(request, recorder)
    with _quiet(), request.watch(), _isolated(cuda):
        shown = [] if settings.preview is None or not first_process() else [Preview(settings.preview, recorder)]
        trainer = _make_trainer(settings, cuda, [ValidateFirstSteps(), recorder, *shown, interruption, Progress()])
        engine.train()
        try:
            trainer.fit(engine, _loader(data[0], settings, cuda, sampler))
        except Exception as error:
            bad = partial(_bad_items, data[0], settings, state.step, plan[1])
            told = retell(error, engine.where(), settings.batch_size, bad, _kept(directory))
            if told is None:
                raise
            raise told from error
        finally:
            recorder.close()
    if interruption.stopped:
        for module in (model, guide):
            channels_last(module.eval())
        raise TrainingInterrupted(-(-state.step // plan[0]), state.step, interruption.checkpoint)
    if first_process():
        _finish(directory, model, guide, settings, state, recorder.best_weights)


def _kept(directory: RunDirectory | None) -> str:
    if directory is None or not directory.last.exists():
        return "no checkpoint was written before it"
    try:
        step = read_checkpoint(directory.last)[2].step
    except (OSError, ValueError, MemoryError):
        return f"what was saved last is in {directory.last}"
    return f"the last good checkpoint, of step {step}, is kept in {directory.last}"


def _bad_items(train: Dataset[Any], settings: FitSettings, step: int, num_steps: int) -> list[int]:
    """Which items of the batch of a step hold NaN or infinity."""
    batch = next(iter(StepBatchSampler(_length(train), settings.batch_size, settings.seed, step, num_steps)), [])
    return [index for index in batch if not bool(train[index]["x"].isfinite().all())]


def _uses_cuda(settings: FitSettings) -> bool:
    available = torch.cuda.is_available()
    if settings.device == "cuda" and not available:
        raise ValueError("device must be one that this machine has, got 'cuda' and no CUDA device; use device='cpu'")
    cuda = available and settings.device != "cpu"
    if cuda and torch.cuda.device_count() < processes_per_node():
        raise ValueError(
            f"each process needs a CUDA device of its own, got {processes_per_node()} processes and "
            f"{torch.cuda.device_count()} devices; start fewer with torchrun --nproc-per-node, or use device='cpu'"
        )
    return cuda


def _length(data: Dataset[Any]) -> int:
    return len(cast(Any, data))


def _plan(train: Dataset[Any], settings: FitSettings) -> tuple[int, int]:
    """Steps of an epoch, and of the whole training."""
    steps_per_epoch = math.ceil(_length(train) / settings.batch_size)
    num_steps = settings.num_epochs * steps_per_epoch
    return steps_per_epoch, num_steps if settings.max_steps is None else min(num_steps, settings.max_steps)


def _make_sampler(train: Dataset[Any], settings: FitSettings, first_step: int, num_steps: int) -> StepBatchSampler:
    """Batches from a step on: the share of this process, in parts."""
    return StepBatchSampler(
        _length(train),
        settings.batch_size,
        settings.seed,
        first_step,
        num_steps,
        process=process_number(),
        num_processes=num_processes(),
        num_parts=settings.accumulation or 1,
    )


def _first_item(train: Dataset[Any], guide: nn.Module, settings: FitSettings) -> tuple[Tensor, dict[str, Tensor]]:
    """Frames and further inputs of one item, as a batch where the guide is."""
    item = train[0]
    parameter = next(guide.parameters(), None)
    device = item["x"].device if parameter is None else parameter.device
    batch = {name: item[name].unsqueeze(0).to(device) for name in ("x", *settings.inputs)}
    return batch.pop("x"), batch


def _check_sites(settings: FitSettings, sites: list[str]) -> None:
    warmups = settings.kl_warmup_epochs if isinstance(settings.kl_warmup_epochs, Mapping) else {}
    named = {"kl_weights": settings.kl_weights, "kl_warmup_epochs": warmups}
    for name, weighted in (named | {"kl_cooldown_epochs": settings.kl_cooldown_epochs}).items():
        for site in weighted:
            if site not in sites:
                raise ValueError(f"{name} names the site {site!r}, the guide has {', '.join(map(repr, sites))}")


def _loader(
    data: Dataset[Any], settings: FitSettings, cuda: bool, sampler: StepBatchSampler | None = None
) -> DataLoader[Any]:
    batching: dict[str, Any] = {"batch_size": settings.batch_size} if sampler is None else {"batch_sampler": sampler}
    batching |= {"num_workers": settings.num_workers, "persistent_workers": settings.num_workers > 0}
    batching |= {"worker_init_fn": ignore_signals} if settings.num_workers else {}
    pin = cuda and data[0]["x"].device.type == "cpu"  # what lies on the device already cannot be pinned
    collate = partial(stack_items, names=("x", *settings.inputs))
    return DataLoader(data, **batching, pin_memory=pin, collate_fn=collate)


def _make_trainer(settings: FitSettings, cuda: bool, callbacks: list[Any]) -> Any:
    from lightning.pytorch import Trainer

    return Trainer(
        accelerator="gpu" if cuda else "cpu",
        devices=processes_per_node(),
        num_nodes=num_processes() // processes_per_node(),
        strategy=settings.strategy if num_processes() > 1 else "auto",
        accumulate_grad_batches=settings.accumulation or 1,
        precision=settings.precision,  # type: ignore[arg-type]
        max_epochs=1,  # the loader passes over all epochs at once, so any step is as good a place to resume as another
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning without banners, tips and warnings about loaders."""
    names = ("lightning", "lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
    loggers = [logging.getLogger(name) for name in (*names, "lightning.fabric.utilities.rank_zero")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def _isolated(cuda: bool) -> Iterator[None]:
    """Give torch's generators and Pyro's checks back as they were."""
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[torch.cuda.current_device()] if cuda else []))
        stack.enter_context(pyro.validation_enabled(True))
        yield
