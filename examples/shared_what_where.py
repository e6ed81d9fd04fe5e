"""What the script of what and where scores and draws: clips, the judge, overfitting, figures and the table."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shared_circle as circle
import torch
from torch import nn

import pyrodis
from pyrodis.datasets import (
    BouncingMotion,
    BundledDigits,
    FashionItems,
    ItemSource,
    MixedItems,
    MNISTItems,
    MovingDigits,
)
from pyrodis.infer import (
    ClipReading,
    DigitJudge,
    History,
    decode_what_where,
    future_frame_scores,
    train_digit_judge,
    what_where_probes,
    what_where_scores,
)
from pyrodis.metrics import Score
from pyrodis.regularizers import mixing_weight

FRAME = (1, 64, 64)
NUM_PIXELS = math.prod(FRAME)
PUBLISHED_SPEED = 0.1  # of the way between the walls, a frame

# Columns of the printed table: head to score.
COLUMNS = {
    "identity after swap": "swapped/identity",
    "identity decoded": "reconstruction/identity",
    "center off after swap": "swapped/centroid_error",
    "center off decoded": "reconstruction/centroid_error",
    "identity in where": "where/identity/network",
    "position in what, R²": "what/position/network",
    "error a pixel": "mse/reconstruction",
}
BARS = {"who after swap": "swapped/identity", "who, in where": "where/identity/network"}
BARS |= {"where, in what (R²)": "what/position/network"}


def load_source(options: argparse.Namespace) -> ItemSource:
    """Where digits or clothes come from."""
    if options.smoke_test:
        return MixedItems([(BundledDigits(), 0), (BundledDigits(), 1)])
    if options.data == "bundled":
        return BundledDigits()
    if options.data == "fashion":
        return FashionItems(options.data_root, download=True)
    try:
        return MNISTItems(options.data_root, download=options.data == "mnist")
    except FileNotFoundError as error:
        if options.data == "mnist" or options.data_root is not None:
            raise
        print(f"no MNIST, so this run is on the small digits that scikit-learn brings: {error}")
        return BundledDigits()


def clips(source: ItemSource, split: str, num: int, num_frames: int, gap: int = 1) -> MovingDigits:
    """Clips whose frames are some frames of Moving MNIST apart: digits then go as much farther from one to the next."""
    speed = gap * PUBLISHED_SPEED
    motion = BouncingMotion(speed, speed)
    return MovingDigits(source, split=split, num_sequences=num, num_frames=num_frames, motion=motion)


def load_test(options: argparse.Namespace, source: ItemSource) -> MovingDigits:
    """Test clips, as many as probes of pairs need: half of them train the probes, ten of a pair."""
    num_pairs = source.num_types * (source.num_types + 1) // 2
    if options.num_test < 20 * num_pairs:
        raise ValueError(f"--num-test must be at least {20 * num_pairs}, 20 for each pair, got {options.num_test}")
    if options.test_frames < 3:
        raise ValueError(f"--test-frames must be at least 3, two to foretell the next from, got {options.test_frames}")
    return clips(source, "test", options.num_test, options.test_frames)


def load_judge(
    options: argparse.Namespace, source: ItemSource, test: MovingDigits
) -> tuple[DigitJudge, dict[str, Any]]:
    """The judge of digits and centers, trained once and kept; that of a smoke test has learned nothing."""
    untrained: dict[str, Any] = {"required_accuracy": 0.0, "allowed_error": math.inf}
    judge, found = train_digit_judge(
        clips(source, "train", options.judge_frames, 1),
        test,
        cache=Path(options.output) / "judge" if options.smoke_test else None,
        report=print,
        **(untrained if options.smoke_test else {}),
    )
    print("the judge reads real test clips: " + ", ".join(f"{name} {value:.3f}" for name, value in found.items()))
    return judge, found


def first_clips(data: Any, num: int) -> torch.Tensor:
    return torch.stack([item["x"] for item in data.__getitems__([*range(num)])])


def pixel_errors(nll: Sequence[float], num_pixels: int, scale: float) -> np.ndarray:
    """The squared error of a pixel that `NormalPixels(scale)` turned into nats over some pixels."""
    constant = num_pixels * (math.log(scale) + math.log(2 * math.pi) / 2)
    return (np.asarray(nll) - constant) * 2 * scale**2 / num_pixels


def gap_curves(history: History, weights: Mapping[str, float]) -> dict[str, np.ndarray]:
    """The weighted sum of some terms, epoch by epoch: in validation, in training, and the former less the latter.

    A row's training terms are means over its epoch, its validation terms are of the epoch's end. So that a loss that
    falls does not look like one that generalizes, training at the end of an epoch is the mean of this epoch and of the
    next one. KLs count with their final weights in both, also while they cool down.
    """
    train, validation = (
        np.sum([weight * np.array(history.column(f"{split}_{term}")) for term, weight in weights.items()], axis=0)
        for split in ("train", "validation")
    )
    train = (train + np.append(train[1:], train[-1])) / 2
    return {"validation": validation, "train": train, "gap": validation - train}


def overfit_scores(history: History, sums: Mapping[str, Mapping[str, float]]) -> dict[str, Score]:
    """Validation at the end, by how much it exceeds training, and how much either grew after its minimum.

    Of every named sum of terms, such as the objective, and of the loss of agreement by itself. The minimum of the
    difference is that over the last half of the epochs: in the first ones the mean loss is far above that of their end.
    """
    scores, num = {}, len(history.rows)
    for name, weights in sums.items():
        curves = gap_curves(history, weights)
        gap, validation = curves["gap"], curves["validation"]
        numbers = {
            "validation": validation[-1],
            "gap": gap[-1],
            "lowest_validation_epoch": 1 + int(validation.argmin()),
        }
        numbers["gap_growth_in_last_half"] = gap[-1] - gap[num // 2 :].min()
        numbers["validation_growth"] = validation[-1] - validation.min()
        scores |= {f"overfit/{name}/{key}": circle.number(value, num, 0.0) for key, value in numbers.items()}
    return scores


def evaluate(
    model: nn.Module,
    guide: nn.Module,
    judge: DigitJudge,
    test: MovingDigits,
    num_views: int | None,
    real: list[ClipReading],
) -> dict[str, Score]:
    """All scores of a pair on test clips; what the judge reads off the clips themselves is kept in `real`."""
    known = real[0] if real else None
    decodings = decode_what_where(model, guide, judge, test, num_views=num_views, real=known, report=print)
    real[:] = [decodings.readings["real"]]
    scores = what_where_scores(decodings) | what_where_probes(decodings)
    return scores | future_frame_scores(model, guide, decodings, test, num_views=num_views)


@torch.no_grad()
def draw_run(folder: Path, model: nn.Module, guide: nn.Module, history: History, x: torch.Tensor) -> None:
    """Figures of one run: loss terms, what either code draws alone, and two clips that exchange codes."""
    from pyrodis import plotting

    curves = plotting.training_curves({name: history.column(name) for name in history.rows[0]})
    circle.save(folder, "training", curves)
    codes = pyrodis.encode(guide, x)
    decoded = pyrodis.decode(model, codes)
    alone = [pyrodis.decode(model, codes | {site: torch.zeros_like(codes[site])}) for site in ("what", "where")]
    rows = torch.stack([x[0], decoded[0], *(shown[0] for shown in alone)])
    circle.save(folder, "ablation", plotting.frame_grid(rows, ["clip", "decoded", "where alone", "what alone"]))
    swapped = pyrodis.decode(model, codes | {"what": codes["what"].flip(0)})
    rows = torch.stack([decoded[0], swapped[0], decoded[1], swapped[1]])
    labels = ["1 decoded", "what 2, where 1", "2 decoded", "what 1, where 2"]
    circle.save(folder, "swap", plotting.frame_grid(rows, labels))
    tiles = torch.cat([x, swapped])
    plotting.save_gif(folder / "swap.gif", tiles, columns=2, labels=["clip 1", "clip 2", labels[1], labels[3]])


def draw_curves(folder: Path, loss: str, histories: Mapping[float, History], scale: float) -> None:
    """Validation by epoch, a line for every lambda: the error of a pixel, and the loss of agreement."""
    from matplotlib import pyplot

    from pyrodis import plotting

    _, axes = pyplot.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for mixing, history in histories.items():
        weight = mixing_weight(mixing, NUM_PIXELS, scale)  # which the history counts the loss with
        errors = pixel_errors(history.column("validation_nll"), NUM_PIXELS, scale)
        found = {"error a pixel": errors, loss: np.array(history.column(f"validation_{loss}")) / weight}
        for ax, (name, values) in zip(axes, found.items(), strict=True):
            plotting.sweep_curve(history.column("epoch"), values, label=f"lambda {mixing:g}", ax=ax)
            ax.set_xlabel("epoch", fontsize=9)
            ax.set_ylabel(name, fontsize=9)
            ax.set_yscale("log")
    circle.save(folder, f"training_{loss}", axes)


def draw_gaps(folder: Path, gaps: Mapping[str, np.ndarray]) -> None:
    """Validation less training, epoch by epoch, a line for every run."""
    from pyrodis import plotting

    ax = None
    for name, values in gaps.items():
        ax = plotting.sweep_curve(range(1, len(values) + 1), values, label=name, ax=ax)
    if ax is not None:
        ax.set_xlabel("epoch", fontsize=9)
        ax.set_ylabel("validation less training", fontsize=9)
        ax.set_yscale("symlog", linthresh=1e-3)
        circle.save(folder, "overfitting", ax)


def draw_scores(folder: Path, results: Mapping[str, Mapping[str, Score]]) -> None:
    """Scores of all runs side by side: shares, and how far centers are off."""
    from matplotlib import pyplot

    from pyrodis import plotting

    bars = {f"{run}/{label}": scores[name] for run, scores in results.items() for label, name in BARS.items()}
    ax = plotting.two_sided_bars(bars)
    ax.set_ylabel("share, or R²")
    circle.save(folder, "scores", ax)
    _, ax = pyplot.subplots(figsize=(max(4, 1.2 * len(results)), 3), layout="constrained")
    for shift, name in ((-0.2, "reconstruction/centroid_error"), (0.2, "swapped/centroid_error")):
        found = [scores[name] for scores in results.values()]
        errors = [[score.value - score.low for score in found], [score.high - score.value for score in found]]
        places, values = np.arange(len(found)) + shift, [score.value for score in found]
        ax.bar(places, values, 0.36, yerr=errors, label=name.split("/")[0], error_kw={"lw": 1, "capsize": 2})
    ax.set_xticks(range(len(results)), [*results])
    ax.set_ylabel("centers off, pixels")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    circle.save(folder, "centers", ax)


def table(results: Mapping[str, Mapping[str, Score]]) -> str:
    """All runs as a Markdown table, chance in brackets."""
    rows = [["run", *COLUMNS], ["---", *["---:"] * len(COLUMNS)]]
    for run, scores in results.items():
        cells = [scores[name] for name in COLUMNS.values()]
        shown = [f"{s.value:.3g}" + ("" if s.chance is None else f" [{s.chance:.2g}]") for s in cells]
        rows.append([run, *shown])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
