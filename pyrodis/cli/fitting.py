"""Training on a folder of videos, from its files to figures and scores."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pyrodis.cli.clips import Cut, Repeated, open_folder, pick
from pyrodis.cli.figures import draw_exchange, draw_reconstructions, draw_samples, draw_training
from pyrodis.cli.recipe import Recipe, make_pair, make_settings, recipe_for, steps_in
from pyrodis.cli.reporting import say
from pyrodis.cli.scoring import label_free_scores, write_scores
from pyrodis.infer.card import write_card
from pyrodis.infer.history import History
from pyrodis.infer.processes import num_processes
from pyrodis.infer.run_directory import read_config
from pyrodis.infer.training import fit
from pyrodis.ops import keep_freed_memory

_NUM_PAIRS = 4  # of the figures
_SMOKE_STEPS = 3


@dataclass(frozen=True)
class FitOptions:
    """What `pyrodis fit` was asked for.

    Args:
        folder: The folder of videos.
        output: The directory of the run.
        preset: "default", "best" or "paper".
        cut: How windows are cut.
        content: "scenes", "figures", or None for what the preset is made for.
        minutes: How long to train; None for the preset's time.
        num_steps: How many steps to train instead; None for as many as fit into the time.
        seed: Seed of weights, batches and noise.
        device: "auto", "cpu" or "cuda".
        go_on: "resume", "overwrite", or neither.

    Example:
        >>> FitOptions(Path("videos"), Path("runs/videos"), "default", Cut(8, 64, True, 1)).seed
        0
    """

    folder: Path
    output: Path
    preset: str
    cut: Cut
    content: str | None = None
    minutes: float | None = None
    num_steps: int | None = None
    seed: int = 0
    device: str = "auto"
    go_on: str = ""


def fit_folder(options: FitOptions) -> None:
    """Train a DSVAE on a folder of videos, score it, and draw what it makes of them.

    Args:
        options: What was asked for.

    Raises:
        FileExistsError: If the output directory holds a run.
        FileNotFoundError: If there is no such folder, or no clip in it.
        ValueError: If no clip can be read, an option is out of range, or torchrun started several processes.

    Example:
        >>> fit_folder(FitOptions(Path("videos"), Path("runs/videos"), "default", cut))  # doctest: +SKIP
    """
    if (number := num_processes()) > 1:
        raise ValueError(
            f"pyrodis fit trains on one process, and torchrun started {number}; on several devices train with "
            "pyrodis.fit in a script of your own, which writes its scores on the first process"
        )
    keep_freed_memory()
    recipe = recipe_for(options.preset, options.content)
    _check_output(options)
    train, held_out, share = open_folder(options.folder, options.cut)
    data = Repeated(train) if options.preset != "smoke" else train
    say(_describe(options, train, held_out))
    pair = make_pair(recipe, pick(train, recipe.batch_size), options.seed)
    steps_per_epoch = -(-len(data) // recipe.batch_size)
    num_steps = _num_steps(options, recipe, pair, train, steps_per_epoch)
    settings = make_settings(recipe, num_steps, steps_per_epoch, options.device, options.seed)
    say(f"training for {num_steps:,} steps of {recipe.batch_size} windows")
    start = time.monotonic()
    run_of = {
        "preset": options.preset,
        "content": recipe.content,
        "folder": str(options.folder.absolute()),
        "step": options.cut.step,
    }
    shown = train if held_out is None else held_out
    settings = replace(settings, preview=lambda *so_far: _preview(options.output, so_far, (train, shown)))
    history = fit(
        *pair,
        data,
        validation=held_out,
        settings=settings,
        output=options.output,
        resume=options.go_on == "resume",
        overwrite=options.go_on == "overwrite",
        description=run_of | {"validation_share": share},
    )
    say(f"trained in {(time.monotonic() - start) / 60:.1f} minutes; drawing and scoring")
    _finish(options.output, pair, (train, shown), history)


def write_smoke_clips(folder: Path) -> Path:
    """Write small clips of a moving square into a folder, for a training of seconds.

    Args:
        folder: The folder.

    Returns:
        The folder.

    Example:
        >>> write_smoke_clips(Path("clips"))  # doctest: +SKIP
    """
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(6):
        frames = np.zeros((10, 20, 24, 3), dtype=np.uint8)
        for t in range(10):
            frames[t, 4 + i : 12 + i, 2 + t : 10 + t] = (40 * i, 255 - 40 * i, 128)
        np.save(folder / f"square{i}.npy", frames)
    return folder


def _check_output(options: FitOptions) -> None:
    """Refuse a directory that is taken before anything else is done."""
    if not options.go_on and (options.output / "config.json").exists():
        raise FileExistsError(
            f"{options.output} already holds a run; go on with it by --resume, start again by --overwrite, or choose "
            "another --output"
        )


def _num_steps(
    options: FitOptions, recipe: Recipe, pair: tuple[nn.Module, nn.Module], train: Any, steps_per_epoch: int
) -> int:
    """Steps as asked for, as the run that goes on has them, or as many as fit into the time."""
    if options.num_steps is not None:
        return options.num_steps
    if options.go_on == "resume" and options.minutes is None and (options.output / "config.json").exists():
        recorded = read_config(options.output)["training"].get("max_steps")
        if recorded is not None:
            return int(recorded)
    if options.preset == "smoke":
        return _SMOKE_STEPS
    minutes = recipe.minutes if options.minutes is None else options.minutes
    if minutes is None:
        return recipe.num_epochs * steps_per_epoch
    return steps_in(recipe, pair, train, minutes, options.device)


def _describe(options: FitOptions, train: Any, held_out: Any | None) -> str:
    cut = options.cut
    frames = f"{cut.num_frames} frames of {cut.size} x {cut.size} pixels in {'color' if cut.color else 'gray'}"
    if held_out is None:
        return f"1 clip, {len(train):,} windows of {frames}; no clip is left to be held out, so scores are of this one"
    number = len(held_out.clips)
    kept = f"{number} clip{'s are' if number > 1 else ' is'} held out for figures and scores"
    return f"{len(train.clips)} clip{'s' * (len(train.clips) > 1)}, {len(train):,} windows of {frames}; {kept}"


def _pairs(data: tuple[Any, Any]) -> torch.Tensor:
    """Clips for the figures: held-out ones, or of the training where there is but one."""
    train, held_out = data
    return pick(held_out if len(held_out) > 1 else train, 2 * _NUM_PAIRS)


def _draw(run: Path, pair: tuple[nn.Module, nn.Module], x: torch.Tensor) -> None:
    """Reconstructions, and pairs of clips exchanged where there are two."""
    half = len(x) // 2
    figures = run / "figures"
    figures.mkdir(exist_ok=True)
    draw_reconstructions(figures, *pair, x[:_NUM_PAIRS])
    if half:
        draw_exchange(figures / "swap", *pair, x[:half], x[half : 2 * half])


def _preview(run: Path, pair: tuple[nn.Module, nn.Module], data: tuple[Any, Any]) -> None:
    torch.manual_seed(0)
    _draw(run, pair, _pairs(data))
    say(f"the training goes on; figures of what it has learned so far are in {run / 'figures'}")


def _finish(run: Path, pair: tuple[nn.Module, nn.Module], data: tuple[Any, Any], history: History) -> None:
    from pyrodis.plotting import score_table

    model, guide = pair
    torch.manual_seed(0)
    x, figures = _pairs(data), run / "figures"
    _draw(run, pair, x)
    draw_samples(figures / "samples", model, _NUM_PAIRS)
    draw_training(figures, history)
    scores = label_free_scores(model, guide, data[1])
    write_scores(run, scores)
    write_card(run)
    say(score_table(scores))
    made = "figures/swap.gif and more are" if len(x) > 1 else "figures are"
    say(f"{made} in {run}; `pyrodis swap {run} A B` exchanges clips of your choice")
