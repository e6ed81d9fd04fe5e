"""The tables of results on what and where: trains what is missing, stores every finished row, prints the tables.

    python docs/results/what_where.py [--rows NAME ...] [--table-only] [--write]

A row is one experiment and one seed; a row of one of the report's losses has all five lambdas. It is stored as JSON
beside this script once it has finished, and never trained again; a run that was cut is resumed. Figures of the first
seed are kept under docs/_static. Unfinished rows are named. --write puts the tables between the markers
<!-- results:NAME --> and <!-- /results --> of README.md and of the page of the paper.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shared_results
from shared_results import interval, line, run_tables

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FIGURES = ROOT / "docs" / "_static"
PAGES = (ROOT / "README.md", ROOT / "docs" / "papers" / "what_where.md")
SEEDS = range(3)
LAMBDAS = ("0.001", "0.01", "0.1", "1", "10")
HIGHEST = LAMBDAS[-1]

SCRIPT = "examples/what_where_digits.py"
COMMON = (SCRIPT, "--data", "mnist", "--num-test", "4000")
PAPER = ("--preset", "paper", "--precision", "bf16-mixed", "--report-steps", "1570")  # its sizes, 10 of 100 epochs
CURE = (*COMMON, "--losses")  # none of the report's
LONG = ("--report-steps", "15700")  # 100 epochs of 10,000 pairs, 10 of 100,480
MORE = ("--report-train", "100480")


@dataclass(frozen=True)
class Experiment:
    """What is trained: in words, as a command without its seed, as which runs, on how many seeds."""

    words: str
    command: tuple[str, ...]
    runs: tuple[str, ...]
    seeds: Sequence[int] = SEEDS


def report(loss: str, *lambdas: str) -> tuple[str, ...]:
    return (*COMMON, "--no-cure", "--losses", loss, "--lambdas", *lambdas)


REPORT = {
    loss: Experiment(words, report(loss, *LAMBDAS), tuple(f"{loss}-{value}" for value in LAMBDAS))
    for loss, words in (("inertial", "inertial loss"), ("barlow", "Barlow Twins"))
}
CURES = {"cure": Experiment("**the cured model**", CURE, ("cure",))}

# Without glimpses: one code of whole frames, by an encoder that is blind to place, and patches all drawn from it.
WHOLE = ("--what-encoder", "blind", "--reader", "mean")
PLACED = (*WHOLE, "--decoder", "placed")

# Every line of the ablation: in words, and the options that it adds to the command of the cure.
CHANGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "unmatched": ("places in the order of each frame", ("--no-match",)),
    "mean": ("every frame says as much of what", ("--reader", "mean")),
    "near": ("frames that follow each other", ("--gap", "1")),
    "more-frames": ("eight frames, of half as many clips", ("--num-frames", "8", "--batch-size", "8")),
    "dear-where": ("where at KL weight 4", ("--beta-where", "4")),
    "one-frame": ("clips of one frame", ("--num-frames", "1")),
    "cooldown": ("where silent at first", ("--kl-cooldown", "0.5")),
    "other": ("every frame decoded from the what of another", ("--reader", "other")),
    "blur": ("where from blurred frames", ("--where-view", "blur")),
    "down": ("where from frames of a sixteenth of the pixels", ("--where-view", "down")),
    "same-clip": ("a discriminator that recognizes clips by where", ("--same-clip", "100")),
    "blind-parts": ("what of whole frames, blind to place", ("--what-encoder", "blind")),
    "blind": (
        "the cure as it was: what of whole frames, blind to place, their mean, patches all drawn from it",
        PLACED,
    ),
    "finder": ("the same, where looked for, given what", (*PLACED, "--where-encoder", "finder")),
    "shift": ("the same, what from frames that are shifted at random besides", (*PLACED, "--what-view", "shift")),
    "product": ("the same, surer frames say more of what", (*PLACED, "--reader", "product")),
    "small-field": ("the same, what from windows of 16 pixels, parts of a digit", (*PLACED, "--what-kernel", "3")),
    "pooled": ("the same, what from the report's encoder, which knows places", (*PLACED, "--what-encoder", "pooled")),
    "pooled-shift": (
        "the latter on frames that are shifted at random",
        (*PLACED, "--what-encoder", "pooled", "--what-view", "shift"),
    ),
    "broadcast": ("without glimpses and placing: broadcast decoder", (*WHOLE, "--decoder", "broadcast")),
    "conv": ("without glimpses and placing: transposed convolutions", (*WHOLE, "--decoder", "conv")),
    "add": (
        "codes of one size, added (equation 1), the report's decoder",
        (*WHOLE, "--combine", "add", "--what-dim", "64", "--where-dim", "64", "--decoder", "upsample"),
    ),
}
ABLATION = {
    f"cure-{name}": Experiment(words, (*CURE, *options), ("cure",), range(1))
    for name, (words, options) in CHANGES.items()
}
# The report's set-up, changed as it proposes or tried itself: its sizes, more training where agreement costs least,
# another optimizer, codes that cannot shrink, equation 1, where from blurred frames.
VARIANTS = {
    "inertial-long": Experiment(
        "inertial loss, lambda 0.001, 100 epochs", (*report("inertial", "0.001"), *LONG), ("inertial-0.001",), range(1)
    ),
    **{
        f"{loss}-paper": Experiment(
            f"{words}, `--preset paper` in bfloat16, 10 epochs",
            (*report(loss, "0.001", HIGHEST), *PAPER),
            (f"{loss}-0.001", f"{loss}-{HIGHEST}"),
            range(1),
        )
        for loss, words in (("inertial", "inertial loss"), ("barlow", "Barlow Twins"))
    },
    "barlow-blur": Experiment(
        "Barlow Twins, lambda 0.001, where from blurred frames",
        (*report("barlow", "0.001"), "--report-where-view", "blur"),
        ("barlow-0.001",),
        range(1),
    ),
    "barlow-down": Experiment(
        "Barlow Twins, lambda 0.001, where from frames of a sixteenth of the pixels",
        (*report("barlow", "0.001"), "--report-where-view", "down"),
        ("barlow-0.001",),
        range(1),
    ),
    "inertial-add": Experiment(
        "inertial loss, lambda 0.001, codes of 64 dimensions each, added (equation 1)",
        (*report("inertial", "0.001"), "--report-combine", "add", "--report-where-dim", "64"),
        ("inertial-0.001",),
        range(1),
    ),
    "inertial-fixed": Experiment(
        "inertial loss, lambda 10, normalization without a learned scale",
        (*report("inertial", HIGHEST), "--no-report-affine"),
        (f"inertial-{HIGHEST}",),
        range(1),
    ),
    **{
        f"sgd-{rate}": Experiment(
            f"inertial loss, lambda 0.1, SGD at rate {rate}",
            (*report("inertial", "0.1"), "--report-optimizer", "sgd", "--report-learning-rate", rate),
            ("inertial-0.1",),
            range(1),
        )
        for rate in ("0.1", "1")
    },
}
OVERFITTING = {
    "overfit-inertial": Experiment(
        "inertial loss, lambda 10, 100 epochs of 10,000 pairs",
        (*report("inertial", HIGHEST), *LONG),
        (f"inertial-{HIGHEST}",),
        range(1),
    ),
    "overfit-inertial-more": Experiment(
        "inertial loss, lambda 10, 10 epochs of 100,480 pairs",
        (*report("inertial", HIGHEST), *LONG, *MORE),
        (f"inertial-{HIGHEST}",),
        range(1),
    ),
    "overfit-barlow": Experiment(
        "Barlow Twins, lambda 10, 100 epochs of 10,000 pairs",
        (*report("barlow", HIGHEST), *LONG),
        (f"barlow-{HIGHEST}",),
        range(1),
    ),
    "overfit-barlow-more": Experiment(
        "Barlow Twins, lambda 10, 10 epochs of 100,480 pairs",
        (*report("barlow", HIGHEST), *LONG, *MORE),
        (f"barlow-{HIGHEST}",),
        range(1),
    ),
    "overfit-cure": Experiment(
        "the cured model, 10,000 clips", (*CURE, "--num-train", "10000", "--num-steps", "18750"), ("cure",), range(1)
    ),
    "overfit-cure-more": Experiment(
        "the cured model, 50,000 clips", (*CURE, "--num-train", "50000", "--num-steps", "18750"), ("cure",), range(1)
    ),
}
EXPERIMENTS = {**REPORT, **CURES, **ABLATION, **VARIANTS, **OVERFITTING}
# Name of a row -> its command, in the order in which rows are trained: first seeds first.
ROWS: dict[str, list[str]] = {
    f"{name}-seed{seed}": [*experiment.command, "--seed", str(seed)]
    for seed in SEEDS
    for name, experiment in EXPERIMENTS.items()
    if seed in experiment.seeds
}


# How a network that probes codes decides when it has learned enough; rows without this note were scored before.
PROBES = "whole clips held out"


def path_of(row: str) -> Path:
    return HERE / f"what_where-{row}.json"


def columns_of(run: Path, *names: str) -> dict[str, list[float]]:
    """Columns of a run's history.csv."""
    with (run / "history.csv").open(encoding="utf8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in names}


def figure_of(name: str, suffix: str = ".png") -> Path:
    return FIGURES / f"what_where-{name}{suffix}"


def drawn_of(name: str) -> dict[str, str]:
    """Names of the figures of an experiment to what each shows: of the report's losses what the report draws, too."""
    if name in OVERFITTING:
        return {name: "validation less training"}
    *_, last = EXPERIMENTS[name].runs
    found = {name: "the swap" + (f", lambda {last.rpartition('-')[2]}" if len(EXPERIMENTS[name].runs) > 1 else "")}
    if name in REPORT:
        found |= {
            f"{name}-training": "the losses by epoch, a line for every lambda",
            f"{name}-reconstructions": "reconstructions by lambda",
            f"{name}-ablation-least": f"without a code, lambda {LAMBDAS[0]}",
            f"{name}-ablation": f"without a code, lambda {HIGHEST}",
        }
    return found


def keep_figures(row: str, output: Path) -> bool:
    """Keep the figures of the first seed, or of the first that has them all; of the cure the film as well.

    Returns:
        Whether all of them are kept, and are of this row.
    """
    from PIL import Image

    name, _, seed = row.rpartition("-seed")
    if seed != "0" and all(figure_of(kept).exists() for kept in drawn_of(name)):
        return False
    last = output / EXPERIMENTS[name].runs[-1] / "figures"
    shown = {name: output / "figures" / "overfitting.png" if name in OVERFITTING else last / "swap.png"}
    if name in REPORT:
        shown |= {
            f"{name}-{part}": output / "figures" / f"{part}_{name}.png" for part in ("training", "reconstructions")
        }
        shown[f"{name}-ablation-least"] = output / EXPERIMENTS[name].runs[0] / "figures" / "ablation.png"
        shown[f"{name}-ablation"] = last / "ablation.png"
    for kept, path in shown.items():
        if path.exists():
            with Image.open(path) as figure:
                figure.convert("RGB").quantize(64).save(figure_of(kept), optimize=True)
    if name in CURES and (last / "swap.gif").exists():
        shutil.copyfile(last / "swap.gif", figure_of(name, ".gif"))
    return all(path.exists() for path in shown.values())


def finish(row: str) -> None:
    """Train, score and store one row, resuming a run that was cut."""
    name, output = row.rpartition("-seed")[0], ROOT / "runs" / f"results-what_where-{row}"
    result: dict[str, Any] = {**shared_results.train(output, ROWS[row]), "probes": PROBES}
    histories = {run: columns_of(output / run, "seconds") for run in EXPERIMENTS[name].runs}
    result["training_minutes"] = {run: round(sum(found["seconds"]) / 60, 1) for run, found in histories.items()}
    result["scores"] = json.loads((output / "metrics.json").read_text(encoding="utf8"))
    if name in OVERFITTING:
        (run,) = EXPERIMENTS[name].runs
        result["history"] = columns_of(output / run, "epoch", "train_total", "validation_total")
    result["figures"] = keep_figures(row, output)
    path_of(row).write_text(json.dumps(result, indent=1) + "\n")


def stored(name: str) -> list[dict[str, Any]]:
    """The finished seeds of an experiment."""
    paths = [path_of(f"{name}-seed{seed}") for seed in EXPERIMENTS[name].seeds]
    return [json.loads(path.read_text(encoding="utf8")) for path in paths if path.exists()]


def value_of(result: dict[str, Any], run: str, score: str) -> float | None:
    """A score of a run of a row, or one that is made of its scores.

    "kept" is the identity after a swap as a part of that of reconstructions, both less chance: 0 where a swap leaves
    nothing of it; "over_floor" by how many pixels centers are off after a swap beyond the judge's own error; "left" how
    often a swap shows the identity of the clip that gave "where", above chance; "leak" by how much "where" tells the
    identity above chance, and "place" the R^2 of positions read off "what", both by the better of two probes.
    """
    found = result["scores"]

    def part(name: str, field: str = "value") -> float:
        return float(found[f"{run}/{name}"][field])

    try:
        if score == "kept":
            swapped, decoded = (
                part(f"{row}/identity") - part(f"{row}/identity", "chance") for row in ("swapped", "reconstruction")
            )
            return swapped / max(decoded, 1e-9)
        if score == "over_floor":
            return part("swapped/centroid_error") - part("real/centroid_error")
        if score == "left":
            return part("swapped/identity_of_where") - part("swapped/identity_of_where", "chance")
        if score == "leak":
            found_by = [f"where/identity/{probe}" for probe in ("linear", "network")]
            return max(part(name) - part(name, "chance") for name in found_by)
        if score == "place":
            return max(part(f"what/position/{probe}") for probe in ("linear", "network"))
        return part(score)
    except KeyError:
        return None


def digits_of(score: str) -> int:
    if score.endswith("epoch") or score.startswith("active"):
        return 0
    if score.startswith("overfit"):
        return 3 if score.endswith("agreement/validation") else 5
    return 4 if score.startswith(("mse", "future")) else 1 if "fid" in score else 3


def cell(name: str, run: str, score: str) -> str:
    """Mean and interval of a score of a run of an experiment over its finished seeds."""
    found = [value_of(result, run, score) for result in stored(name)]
    return interval([value for value in found if value is not None], digits_of(score))


def missing(names: Sequence[str]) -> str:
    """A sentence on the rows of a table that are not there yet."""
    counts = {name: (len(EXPERIMENTS[name].seeds), len(stored(name))) for name in names}
    absent = [f"{name} ({all_ - there} of {all_} seeds)" for name, (all_, there) in counts.items() if there < all_]
    return f"\n\nNot finished: {', '.join(absent)}." if absent else ""


def table(names: Sequence[str], scores: dict[str, str]) -> str:
    """A line for every run of every experiment with a finished seed, means over seeds with 95 % intervals."""
    lines = [line("what is trained", "seeds", *scores, "minutes"), "| --- |" + " ---: |" * (len(scores) + 2)]
    for name in names:
        results, experiment = stored(name), EXPERIMENTS[name]
        for run in experiment.runs if results else ():
            words = experiment.words + (f", lambda {run.rpartition('-')[2]}" if len(experiment.runs) > 1 else "")
            words += "; 500 steps" if name in REPORT else ""
            minutes = np.mean([result["training_minutes"][run] for result in results])
            found = [cell(name, run, score) for score in scores.values()]
            lines.append(line(words, len(results), *found, f"{minutes:.1f}"))
    for words, ends in (("*chance*", CHANCE), ("*the judge on real clips*", JUDGED)):
        found = [end_of(names, *ends[score]) if score in ends else "" for score in scores.values()]
        lines += [line(words, "", *found, "")] if any(found) else []
    probes = other_probes(names) if any(score.endswith("/network") for score in scores.values()) else ""
    return "\n".join(lines) + missing(names) + probes + other_commands(names)


def end_of(names: Sequence[str], score: str, field: str) -> str:
    """What is about the same for all runs, such as chance: the value, or the least and the greatest."""
    scores = [
        result["scores"].get(f"{run}/{score}")
        for name in names
        for result in stored(name)
        for run in EXPERIMENTS[name].runs
    ]
    found = sorted(entry[field] for entry in scores if entry is not None)
    if not found:
        return ""
    least, greatest = (f"{value:.{digits_of(score)}f}" for value in (found[0], found[-1]))
    return least if least == greatest else f"{least} to {greatest}"


def other_probes(names: Sequence[str]) -> str:
    """A sentence on the rows whose codes were probed by networks that single frames told when to stop."""
    older = [name for name in names if any(result.get("probes") != PROBES for result in stored(name))]
    found = [EXPERIMENTS[name].words.replace("*", "") for name in older]
    if not found:
        return ""
    return (
        "\n\nProbed by networks that held out frames, not clips, and so may have learned clips by heart: "
        f"{'; '.join(found)}. Their columns *network* may be below what is there to be read."
    )


def other_commands(names: Sequence[str]) -> str:
    """A sentence on every row that was trained by another command than the present one, with older defaults."""
    sentences = []
    for name in names:
        for seed in EXPERIMENTS[name].seeds:
            path = path_of(f"{name}-seed{seed}")
            result = json.loads(path.read_text(encoding="utf8")) if path.exists() else {}
            now = " ".join(["python", *ROWS[f"{name}-seed{seed}"]])
            if result and result["command"] != now:
                was = f"`{result['command']}` at commit {result['trained_at']}"
                sentences.append(
                    f"{name}, seed {seed}, was trained by {was}, whose defaults were others; now: `{now}`."
                )
    return "".join(f"\n\n{sentence}" for sentence in sentences)


# What hardly depends on the run: chance of a score, and what the judge reads off real clips in its place.
CHANCE = {
    name: (name, "chance")
    for name in (
        *("reconstruction/identity", "swapped/identity", "swapped/identity_of_where"),
        *("reconstruction/centroid_error", "swapped/centroid_error", "swapped/centroid_error_of_what"),
        *("where/identity/linear", "where/identity/network", "what/position/linear", "what/position/network"),
        *("what/identity/linear", "what/identity/network", "where/position/network"),
        *("mse/reconstruction", "future/linear"),
    )
}
JUDGED = dict.fromkeys(("reconstruction/identity", "swapped/identity"), ("real/identity", "value"))
JUDGED |= dict.fromkeys(("reconstruction/centroid_error", "swapped/centroid_error"), ("real/centroid_error", "value"))
SWAP_SCORES = {
    "decoded: identity": "reconstruction/identity",
    "swap: identity of what's clip": "swapped/identity",
    "the same as a part of the decoded, both less chance": "kept",
    "swap: identity of where's clip": "swapped/identity_of_where",
    "decoded: centers off, pixels": "reconstruction/centroid_error",
    "swap: centers off those of where's clip, pixels": "swapped/centroid_error",
    "less the judge's own error": "over_floor",
    "swap: centers off those of what's clip": "swapped/centroid_error_of_what",
    "where: identity, linear": "where/identity/linear",
    "where: identity, network": "where/identity/network",
    "what: position, linear": "what/position/linear",
    "what: position, network": "what/position/network",
    "error a pixel": "mse/reconstruction",
}
AGREEMENT = {"L_I or L_BT of validation clips, as the row says": "overfit/agreement/validation"}
USE_SCORES = {
    "active dimensions of what": "active_units/what",
    "of where": "active_units/where",
    "what: identity, linear": "what/identity/linear",
    "what: identity, network": "what/identity/network",
    "where: position, network": "where/position/network",
    "error without what": "mse/without_what",
    "error without where": "mse/without_where",
    "FID, decoded": "fid/reconstruction",
    "FID, swapped": "fid/swapped",
    "next frame, linear": "future/linear",
    "next frame, ridge": "future/ridge",
}
OVERFIT_SCORES = {
    "gap at the end: validation less training": "overfit/loss/gap",
    "how far the gap grew in the last half": "overfit/loss/gap_growth_in_last_half",
    "how far validation rose from its least value": "overfit/loss/validation_growth",
    "of the reconstruction alone": "overfit/reconstruction/validation_growth",
    "of the agreement alone": "overfit/agreement/validation_growth",
    "epoch of least validation": "overfit/loss/lowest_validation_epoch",
}

# What was to be reached: in words, as which score, the value, and by which rows of each kind.
BY_SWAP = (("overfit-inertial", f"inertial-{HIGHEST}"), ("overfit-barlow", f"barlow-{HIGHEST}"), ("cure", "cure"))
BY_LENGTH = (*BY_SWAP[:2], ("overfit-cure", "cure"))
BY_CLIPS = tuple((f"{name}-more", run) for name, run in BY_LENGTH)
GOALS = (
    ("reconstruction: identity", "reconstruction/identity", "", BY_SWAP),
    ("swap: identity follows what", "swapped/identity", "", BY_SWAP),
    (
        "swap: identity follows what, as a part of the reconstruction's, both less chance",
        "kept",
        "at least .90",
        BY_SWAP,
    ),
    ("swap: centers off those of where's clip, pixels over the judge's own error", "over_floor", "at most 2", BY_SWAP),
    ("swap: identity of where's clip, above chance", "left", "", BY_SWAP),
    ("identity read off where by the better of two probes, above chance", "leak", "at most .05", BY_SWAP),
    ("position read off what by the better of two probes, R²", "place", "at most .05", BY_SWAP),
    (
        "gap of validation and training: how far it grew in the last half of the training",
        "overfit/loss/gap_growth_in_last_half",
        "does not grow",
        BY_LENGTH,
    ),
    (
        "the same on 100,480 pairs, or 50,000 clips, in place of 10,000, in as many steps",
        "overfit/loss/gap_growth_in_last_half",
        "does not grow",
        BY_CLIPS,
    ),
)


LONGEST = ("overfit-inertial", "overfit-barlow")  # as long as the report trained


def goal_table() -> str:
    """What was to be reached, and what was: by the report's losses at the highest lambda, and by the cure."""
    heads = (
        "measure",
        *(f"{REPORT[loss].words}, lambda {HIGHEST}, 100 epochs" for loss in REPORT),
        "to reach",
        "the cure",
    )
    lines = [line(*heads), "| --- |" + " ---: |" * 4]
    for words, score, wanted, runs in GOALS:
        inertial, barlow, cure = (cell(name, run, score) or "not finished" for name, run in runs)
        lines.append(line(words, inertial, barlow, wanted, cure))
    return "\n".join(lines)


def figure_list(names: Sequence[str]) -> str:
    """The kept figures of some experiments, each under its words."""
    found = []
    for name in names:
        shown = {figure_of(part): label for part, label in drawn_of(name).items()}
        shown |= {figure_of(name, ".gif"): "the swap, as a film"} if name in CURES else {}
        shown = {path: label for path, label in shown.items() if path.exists()}
        first = sorted(stored(name), key=lambda result: not result.get("figures"))[:1]  # the first seed that drew them
        words, labels = EXPERIMENTS[name].words.replace("*", ""), "; ".join(shown.values())
        images = "\n".join(f"![{words}: {label}](../_static/{path.name})" for path, label in shown.items())
        found += [f"{images}\n\n*{words}, {labels}: `{result['command']}`*" for result in first if shown]
    absent = [part for name in names for part in drawn_of(name) if not figure_of(part).exists()]
    return "\n\n".join([*found, f"Not drawn yet: {', '.join(absent)}."] if absent else found)


BLOCKS: dict[str, Callable[[], str]] = {
    "what-where-goals": goal_table,
    "what-where-report": lambda: table([*REPORT, *LONGEST, *CURES], SWAP_SCORES),
    "what-where-uses": lambda: table([*REPORT, *LONGEST, *CURES], USE_SCORES),
    "what-where-variants": lambda: table([*VARIANTS], SWAP_SCORES | AGREEMENT),
    "what-where-variant-figures": lambda: figure_list(list(VARIANTS)),
    "what-where-figures": lambda: figure_list([*REPORT, *CURES]),
    "what-where-ablation": lambda: table([*CURES, *ABLATION], SWAP_SCORES),
    "what-where-ablation-figures": lambda: figure_list(list(ABLATION)),
    "what-where-overfitting": lambda: table(list(OVERFITTING), OVERFIT_SCORES),
    "what-where-overfitting-figures": lambda: figure_list(list(OVERFITTING)),
}


def write_blocks(text: str) -> str:
    """Return a page with the tables between its markers."""
    return shared_results.write_blocks(text, BLOCKS)


def main() -> None:
    run_tables("what_where", __doc__, ROWS, path_of, finish, PAGES, BLOCKS)


if __name__ == "__main__":
    main()
