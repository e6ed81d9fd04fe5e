"""The tables of results on parallel VAEs: trains what is missing, stores every finished row, prints the tables.

    python docs/results/parallel_vae.py [--rows NAME ...] [--table-only] [--write]

A row is one experiment and one seed. It is stored as JSON beside this script once it has finished, and never trained
again; a run that was cut is resumed. The figure of the first seed is kept under docs/_static. Unfinished rows are
named. --write puts the tables between the markers <!-- results:NAME --> and <!-- /results --> of README.md and of the
page of the paper.
"""

from __future__ import annotations

import csv
import importlib
import json
import sys
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
PAGES = (ROOT / "README.md", ROOT / "docs" / "papers" / "parallel_vae.md")
SEEDS = range(3)
MONET = 0.904  # its published foreground ARI on Multi-dSprites, where every instance is a group of its own

DIGITS_SCRIPT, SCENES_SCRIPT = "examples/parallel_vae_digits.py", "examples/parallel_vae_scenes.py"
WINDOWS_SCRIPT = "examples/unsupervised_objects.py"
FOUR = ("--data", "mnist", "--num-components", "4")
FIVE = ("--data", "mnist", "--num-components", "5", "--unseen", "5")
PAPER = ("--preset", "paper", "--num-train", "10000", "--precision", "bf16-mixed")


@dataclass(frozen=True)
class Experiment:
    """What is trained, in words and as a command without its seed, on how many seeds."""

    words: str
    command: tuple[str, ...]
    seeds: Sequence[int] = SEEDS


DIGITS = {
    "2-mnist": Experiment("two digits", (DIGITS_SCRIPT, "--data", "mnist", "--single")),
    "4-mnist": Experiment("four digits", (DIGITS_SCRIPT, *FOUR, "--single")),
    "5-mnist": Experiment("five digits", (DIGITS_SCRIPT, *FIVE)),
    "fashion": Experiment("0, 1, dresses and sneakers", (DIGITS_SCRIPT, "--data", "fashion", *FOUR[2:])),
    "2-mnist-thesis": Experiment(
        "two digits, stages as in the thesis: one after the other (figure 4.1)",
        (DIGITS_SCRIPT, "--data", "mnist", "--schedule", "individual"),
    ),
    "4-mnist-thesis": Experiment(
        "four digits, stages as in the thesis: together (figure 4.3)",
        (DIGITS_SCRIPT, *FOUR, "--schedule", "together", "--single"),
        range(1),
    ),
    "5-mnist-thesis": Experiment(
        "five digits, stages as in the thesis: one after the other (figure 4.2)",
        (DIGITS_SCRIPT, *FIVE, "--schedule", "individual"),
        range(1),
    ),
    "fashion-thesis": Experiment(
        "0, 1, dresses and sneakers, stages as in the thesis: together (figure 4.4)",
        (DIGITS_SCRIPT, "--data", "fashion", *FOUR[2:], "--schedule", "together"),
        range(1),
    ),
    # The hyper-parameters that the thesis tells, on a sixth of the images.
    "2-mnist-paper": Experiment(
        "two digits, `--preset paper` on 10,000 images, one after the other",
        (DIGITS_SCRIPT, "--data", "mnist", "--schedule", "individual", *PAPER),
        range(1),
    ),
    "4-mnist-paper": Experiment(
        "four digits, `--preset paper` on 10,000 images, together", (DIGITS_SCRIPT, *FOUR, *PAPER), range(1)
    ),
    "5-mnist-paper": Experiment(
        "five digits, `--preset paper` on 10,000 images, one after the other",
        (DIGITS_SCRIPT, *FIVE, "--schedule", "individual", *PAPER),
        range(1),
    ),
}
# What the default preset would be with more passes, one part less, or another.
LESS = {
    "2-mnist-long": Experiment(
        "two digits, five times as many passes",
        (DIGITS_SCRIPT, "--data", "mnist", "--num-epochs", "15", "--single"),
        range(1),
    ),
    "2-mnist-wide": Experiment(
        "two digits, five times as many passes and twice the channels",
        (DIGITS_SCRIPT, "--data", "mnist", "--widths", "16", "32", "64", "--num-epochs", "15", "--single"),
        range(1),
    ),
    "4-mnist-no-claims": Experiment(
        "four digits, without a price of claims", (DIGITS_SCRIPT, *FOUR, "--claims", "0"), range(1)
    ),
    "4-mnist-no-silence": Experiment(
        "four digits, without a price of speaking", (DIGITS_SCRIPT, *FOUR, "--silence", "0"), range(1)
    ),
    "4-mnist-dear": Experiment(
        "four digits, both prices several times as high",
        (DIGITS_SCRIPT, *FOUR, "--silence", "20", "--claims", "5"),
        range(1),
    ),
    "4-mnist-masked": Experiment(
        "four digits, squared errors under masks in place of a mixture",
        (DIGITS_SCRIPT, *FOUR, "--likelihood", "masked", "--scale", "0.15"),
        range(1),
    ),
    "4-mnist-vector": Experiment(
        "four digits, a code of one vector",
        (DIGITS_SCRIPT, *FOUR, "--decoder", "strided", "--widths", "16", "32", "--single"),
        range(1),
    ),
}
UNSUPERVISED = {
    "windows-digits": Experiment("two digits, in windows", (WINDOWS_SCRIPT, "--data", "digits")),
    "windows-overlapping": Experiment("overlapping digits, in windows", (WINDOWS_SCRIPT, "--data", "overlapping")),
    "windows-flat": Experiment("flat shapes, in windows", (WINDOWS_SCRIPT, "--data", "flat")),
    "unsupervised-4": Experiment(
        "two digits, slower by their KL", (DIGITS_SCRIPT, *FOUR, "--schedule", "unsupervised")
    ),
    "unsupervised-4-grid": Experiment(
        "two digits, slower by their KL above the least, codes in cells",
        (DIGITS_SCRIPT, *FOUR, "--schedule", "unsupervised", "--decoder", "grid"),
        range(1),
    ),
    "flat-unsupervised": Experiment(
        "flat shapes, slower by their KL",
        (SCENES_SCRIPT, "--data", "flat", "--schedule", "unsupervised"),
    ),
}
SCENES = {
    "scenes-default": Experiment("spheres and cylinders, the default preset", (SCENES_SCRIPT,)),
    "scenes-claims": Experiment("with a price of claims, as for digits", (SCENES_SCRIPT, "--claims", "3"), range(1)),
}

# The budget of the ladder and of the single VAEs: images of a stage, by rung where its steps take longer or shorter
# than those of the thesis's set-up, so that every training takes about ten minutes on two cores; and passes over them,
# all stages together, which two and three stages can share and so can two rounds of two stages.
LADDER_IMAGES = {"thesis": 4000, "decoder": 8000, "single-strided": 8000}
LADDER_IMAGES |= dict.fromkeys(
    ("grid", "ours", *(f"ours-but-{name}" for name in ("labels", "rate", "likelihood", "color", "mixture"))), 16000
)
# How much of it is time: the set-up, and what keeps its decoder, with four times the images.
LADDER_IMAGES |= dict.fromkeys(("thesis-long", "ours-but-grid-long"), 16000)
LADDER_PASSES = 12
HALF, THIRD = LADDER_PASSES // 2, LADDER_PASSES // 3

SHORT_STAGES = ("--schedule", "tandem", "--num-rounds", str(HALF), "--num-epochs", "1")
LONG_STAGES = ("--schedule", "tandem", "--num-rounds", "2", "--num-epochs", str(LADDER_PASSES // 4))
TOGETHER = ("--schedule", "together", "--num-epochs", str(THIRD), "--together-epochs", str(THIRD))
LABELS = ("--schedule", "labels", "--num-epochs", str(HALF))  # of each of two VAEs, which train at once
GRID = ("--decoder", "grid", "--latent-channels", "4")
MIXTURE = ("--likelihood", "mixture", "--scale", "0.1")
FAST = ("--learning-rate", "3e-3", "--together-learning-rate", "1e-3", "--rates", "cosine")

# The last set-up of section 4.3, part by part, over --preset paper. What it leaves open (batches, widths, scenes) and
# the precision are ours, the same on all rungs.
THESIS: dict[str, tuple[str, ...]] = {
    "types": ("--types", "cylinder", "sphere"),
    "steps": ("--batch-size", "32", "--precision", "bf16-mixed"),
    "decoder": ("--decoder", "broadcast"),
    "color": ("--gray",),
    "schedule": SHORT_STAGES,
    "rate": ("--learning-rate", "1e-3", "--together-learning-rate", "1e-4", "--rates", "constant"),
    "likelihood": ("--likelihood", "masked"),
    "beta": ("--beta", "0.5"),
    "gamma": ("--gamma", "0.009"),
    "capacity": ("--channels", "32", "--latent-dim", "128"),
}


@dataclass(frozen=True)
class Change:
    """What a rung of the ladder changes: a part of the set-up, the question that it asks, and the part's new value."""

    part: str
    words: str
    options: tuple[str, ...]


CHANGES = {
    "decoder": Change("decoder", "strided transposed convolutions", ("--decoder", "strided")),
    "grid": Change("decoder", "a code laid out in 8 x 8 cells, in encoder and decoder", GRID),
    "color": Change("color", "color", ()),
    "long-stages": Change("schedule", "three passes a stage of the tandem, not one", LONG_STAGES),
    "schedule": Change("schedule", "one after the other, then together", TOGETHER),
    "labels": Change(
        "schedule", "both at once, told which images hold their type, with a price of 50 on speaking of others", LABELS
    ),
    "rate": Change("rate", "steps of 3e-3 that fall to 0 within a stage", FAST),
    "gamma-0": Change("gamma", "no price of confident masks", ("--gamma", "0")),
    "gamma-9": Change("gamma", "a price of confident masks 1,000 times as high", ("--gamma", "9")),
    "beta": Change("beta", "beta .01: errors weigh 50 times as much", ("--beta", "0.01")),
    "likelihood": Change("likelihood", "a mixture of scale .1: errors weigh 50 times as much", MIXTURE),
    "wide": Change("capacity", "twice the channels", ("--channels", "64", "--latent-dim", "128")),
    "narrow": Change(
        "capacity", "half the channels, codes of 16 dimensions", ("--channels", "16", "--latent-dim", "16")
    ),
}
OURS = (
    "grid",
    "labels",
    "rate",
    "likelihood",
    "color",
)  # the changes that are made together, and then taken back one by one


def rung(name: str, changes: Sequence[str]) -> tuple[str, ...]:
    """The command of a rung: the thesis's set-up with some changes."""
    parts = THESIS | {CHANGES[change].part: CHANGES[change].options for change in changes}
    if parts["decoder"] == GRID and parts["capacity"] == THESIS["capacity"]:
        parts["capacity"] = ("--channels", "16")  # the number of latents follows from the grid
    options = [option for part in parts.values() for option in part]
    return (SCENES_SCRIPT, "--preset", "paper", *options, *images(name))


def images(name: str) -> tuple[str, str]:
    return "--num-train", str(LADDER_IMAGES.get(name, LADDER_IMAGES["thesis"]))


def single(name: str, *changes: str) -> tuple[str, ...]:
    """The command of one VAE on cylinders, with as many passes as all stages of a rung have."""
    kept = {part: THESIS[part] for part in ("steps", "decoder", "color", "rate", "likelihood", "beta", "capacity")}
    kept |= {CHANGES[change].part: CHANGES[change].options for change in changes}
    options = [option for part in kept.values() for option in part]
    stages = ("--types", "cylinder", "--schedule", "single", "--num-epochs", str(LADDER_PASSES))
    return (SCENES_SCRIPT, "--preset", "paper", *stages, *options, *images(name))


SINGLES = {
    "single-strided": Experiment("strided decoder, color (figure 4.5)", single("single-strided", "decoder", "color")),
    "single-broadcast": Experiment("broadcast decoder, color (figure 4.6)", single("single-broadcast", "color")),
    "single-gray": Experiment("broadcast decoder, gray (figure 4.7)", single("single-gray")),
}
LADDER = {
    "thesis": Experiment("**the thesis's set-up** (figure 4.8)", rung("thesis", ())),
    **{name: Experiment(change.words, rung(name, [name])) for name, change in CHANGES.items()},
    "ours": Experiment("**all of: " + "; ".join(CHANGES[name].words for name in OURS) + "**", rung("ours", OURS)),
    **{
        f"ours-but-{name}": Experiment(
            f"all of these except: {CHANGES[name].words}",
            rung(f"ours-but-{name}", [kept for kept in OURS if kept != name]),
        )
        for name in OURS
    },
    "ours-but-mixture": Experiment(
        "all of these except: a mixture; squared errors under masks of the same scale, .1",
        tuple("masked" if option == "mixture" else option for option in rung("ours-but-mixture", OURS)),
    ),
    "thesis-long": Experiment("the thesis's set-up, four times as many images", rung("thesis-long", ())),
    "ours-but-grid-long": Experiment(
        f"all of these except: {CHANGES['grid'].words}; four times as many images",
        rung("ours-but-grid-long", [kept for kept in OURS if kept != "grid"]),
    ),
}
EXPERIMENTS = {
    **DIGITS,
    **LESS,
    **UNSUPERVISED,
    **SCENES,
    **SINGLES,
    **{f"ladder-{name}": experiment for name, experiment in LADDER.items()},
}
# Name of a row -> its command, in the order in which rows are trained: first seeds first.
ROWS: dict[str, list[str]] = {
    f"{name}-seed{seed}": [*experiment.command, "--seed", str(seed)]
    for seed in SEEDS
    for name, experiment in EXPERIMENTS.items()
    if seed in experiment.seeds
}


def path_of(row: str) -> Path:
    return HERE / f"parallel_vae-{row}.json"


def minutes_of(run: Path) -> float:
    """Minutes of the training of all stages; that of one VAE beside them does not count."""
    with (run / "history.csv").open(encoding="utf8", newline="") as file:
        return round(sum(float(row["seconds"]) for row in csv.DictReader(file)) / 60, 1)


SHOWN_BESIDE = ("scenes-default-seed1",)  # another seed, whose masks look otherwise


def keep_figure(row: str, run: Path) -> None:
    """Keep the figure of masks and images of a first seed, or of one that is shown beside it.

    In 64 grays where it shows digits, else as it is.
    """
    from PIL import Image

    name, _, seed = row.rpartition("-seed")
    shown = run / "figures" / ("unseen.png" if name.startswith("5-mnist") else "components.png")
    if (seed == "0" or row in SHOWN_BESIDE) and shown.exists():
        with Image.open(shown) as figure:
            gray = ("mnist", "digits", "fashion", "overlapping", "unsupervised-4")
            kept = figure.convert("RGB")
            if any(part in name for part in gray):
                kept = kept.quantize(64)
            kept.save(figure_of(row if row in SHOWN_BESIDE else name), optimize=True)


def figure_of(name: str) -> Path:
    return FIGURES / f"parallel_vae-{name}.png"


def finish(row: str) -> None:
    """Train, score and store one row, resuming a run that was cut."""
    run = ROOT / "runs" / f"results-parallel_vae-{row}"
    result = {
        **shared_results.train(run, ROWS[row]),
        "training_minutes": minutes_of(run),
        "config": json.loads((run / "config.json").read_text(encoding="utf8")),
        "scores": json.loads((run / "metrics.json").read_text(encoding="utf8")),
    }
    keep_figure(row, run)
    path_of(row).write_text(json.dumps(result, indent=1) + "\n")


def stored(name: str) -> list[dict[str, Any]]:
    """The finished seeds of an experiment."""
    paths = [path_of(f"{name}-seed{seed}") for seed in EXPERIMENTS[name].seeds]
    return [json.loads(path.read_text(encoding="utf8")) for path in paths if path.exists()]


def value_of(result: dict[str, Any], score: str) -> float | None:
    """A score of a row, or one that is made of its scores.

    "presence/*" is the least of all types, "part/mse" an error as a part of that of the mean image, "rise" what
    training adds to the Rand index, and "gain" the same among windows where there are some, since an untrained ground
    has every pixel and hides what windows would tell. "code" is the nats of all codes together on scenes with all
    types.
    """
    found = result["scores"]
    scores = {name: entry["value"] for name, entry in found.items()}
    if score in ("gain", "rise"):
        among = score == "gain" and "foreground_ari/windows" in scores
        name = "foreground_ari/windows" if among else "foreground_ari"
        both = [scores.get(name), scores.get(f"untrained/{name}")]
        return None if None in both else both[0] - both[1]
    if score == "code":
        kinds = {name.split("/")[1] for name in scores if name.startswith("kl/")}
        fullest = max(kinds, key=lambda kind: kind.count("+"), default=None)
        return sum(v for name, v in scores.items() if name.startswith(f"kl/{fullest}/")) if kinds else None
    if score.startswith("part/"):
        name = score.removeprefix("part/")
        return scores[name] / found[name]["chance"] if name in found else None
    if score.endswith("/*"):
        return min((value for name, value in scores.items() if name.startswith(score[:-1])), default=None)
    return scores.get(score)


def values(results: list[dict[str, Any]], score: str) -> list[float]:
    found = [value_of(result, score) for result in results]
    return [value for value in found if value is not None]


def digits_of(score: str) -> int:
    return 1 if score.startswith("dominance") or score == "code" else 5 if score.startswith("mse") else 3


def cells(results: list[dict[str, Any]], scores: Sequence[str]) -> list[str]:
    return [interval(values(results, score), digits_of(score)) for score in scores]


def missing(names: Sequence[str]) -> str:
    """A sentence on the rows of a table that are not there yet."""
    counts = {name: (len(EXPERIMENTS[name].seeds), len(stored(name))) for name in names}
    absent = [f"{name} ({all_ - there} of {all_} seeds)" for name, (all_, there) in counts.items() if there < all_]
    return f"\n\nNot finished: {', '.join(absent)}." if absent else ""


def table(
    names: Sequence[str], first: str, scores: dict[str, str], more: dict[str, Callable[[str], str]] | None = None
) -> str:
    """A line for every experiment with a finished seed, means over seeds with 95 % intervals, and more by its name."""
    more = more or {}
    lines = [line(first, "seeds", *scores, *more, "minutes"), "| --- |" + " ---: |" * (len(scores) + len(more) + 2)]
    for name in names:
        results = stored(name)
        if results:
            minutes = np.mean([result["training_minutes"] for result in results])
            found = cells(results, list(scores.values()))
            found += [column(name) for column in more.values()]
            lines.append(line(EXPERIMENTS[name].words, len(results), *found, f"{minutes:.1f}"))
    return "\n".join(lines) + missing(names)


DIGIT_SCORES = {
    "foreground ARI": "foreground_ari",
    "right owner": "owner",
    "presence, least AUROC": "presence/*",
    "dominance, least": "dominance/*",
    "error a pixel": "mse",
    "minus that of one VAE": "mse_less_single",
}
SCENE_SCORES = {
    "foreground ARI": "foreground_ari",
    "right owner": "owner",
    "presence, least AUROC": "presence/*",
    "dominance, least": "dominance/*",
    "nats of codes": "code",
    "error on objects": "part/mse/foreground",
    "error on background": "part/mse/background",
}
FREE_SCORES = {
    "foreground ARI": "foreground_ari",
    "untrained": "untrained/foreground_ari",
    "of the posterior": "foreground_ari/posterior",
    "of the posterior, untrained": "untrained/foreground_ari/posterior",
    "among windows": "foreground_ari/windows",
    "among windows, untrained": "untrained/foreground_ari/windows",
    "gain": "gain",
    "of types": "foreground_ari/types",
    "right owner, after matching": "owner",
}
SINGLE_SCORES = {"error a pixel": "mse", "on objects": "part/mse/foreground", "on background": "part/mse/background"}

# What was to be reached: in words, by which experiment, as which score, and the least (or greatest) that is enough.
GOALS = (
    ("2-MNIST: foreground ARI", "2-mnist", "foreground_ari", "at least .90"),
    ("2-MNIST: items whose owner is right", "2-mnist", "owner", "at least .98"),
    ("2-MNIST: error a pixel minus that of one VAE of the same size", "2-mnist", "mse_less_single", "at most 0"),
    ("4-MNIST: foreground ARI", "4-mnist", "foreground_ari", "at least .90"),
    ("4-MNIST: items whose owner is right", "4-mnist", "owner", "at least .98"),
    ("4-MNIST: presence from KL, AUROC of the worst VAE", "4-mnist", "presence/*", "at least .99"),
    ("4-MNIST: dominance of the worst VAE", "4-mnist", "dominance/*", "at least 2"),
    ("4-MNIST: error a pixel minus that of one VAE of the same size", "4-mnist", "mse_less_single", "at most 0"),
    ("5-MNIST: presence from KL, AUROC of the worst VAE", "5-mnist", "presence/*", "at least .99"),
    ("5-MNIST: dominance of the worst VAE", "5-mnist", "dominance/*", "at least 2"),
    ("scenes, two types: foreground ARI", "scenes-default", "foreground_ari", "at least .85"),
    ("scenes, two types: items whose owner is right", "scenes-default", "owner", "at least .95"),
    ("slower by their KL, without labels, digits: foreground ARI", "unsupervised-4", "foreground_ari", "at least .60"),
    ("slower by their KL, without labels, digits: gain by training", "unsupervised-4", "gain", "at least .20"),
    (
        "slower by their KL, without labels, flat shapes: foreground ARI",
        "flat-unsupervised",
        "foreground_ari",
        "at least .60",
    ),
    ("slower by their KL, without labels, flat shapes: gain by training", "flat-unsupervised", "gain", "at least .20"),
    ("in windows, without labels, digits: foreground ARI", "windows-digits", "foreground_ari", "at least .60"),
    ("in windows, without labels, digits: gain by training", "windows-digits", "rise", "at least .20"),
    ("in windows, without labels, digits: gain by training, among windows", "windows-digits", "gain", "at least .20"),
    (
        "in windows, without labels, overlapping digits: foreground ARI",
        "windows-overlapping",
        "foreground_ari",
        "at least .60",
    ),
    (
        "in windows, without labels, overlapping digits: foreground ARI of the posterior",
        "windows-overlapping",
        "foreground_ari/posterior",
        "at least .60",
    ),
    ("in windows, without labels, overlapping digits: gain by training", "windows-overlapping", "rise", "at least .20"),
    (
        "in windows, without labels, overlapping digits: gain by training, among windows",
        "windows-overlapping",
        "gain",
        "at least .20",
    ),
    ("in windows, without labels, flat shapes: foreground ARI", "windows-flat", "foreground_ari", "at least .60"),
    ("in windows, without labels, flat shapes: gain by training", "windows-flat", "rise", "at least .20"),
    (
        "in windows, without labels, flat shapes: gain by training, among windows",
        "windows-flat",
        "gain",
        "at least .20",
    ),
)


def is_enough(value: float, wanted: str) -> bool:
    """Whether a mean over seeds is at least, or at most, what was wanted."""
    limit = float(wanted.split()[2])
    return bool(value >= limit if wanted.startswith("at least") else value <= limit)


def goal_table() -> str:
    """What was to be reached, and what was, where a seed has finished."""
    lines = ["| default presets | to reach | reached, mean over seeds | seeds |", "| --- | ---: | ---: | ---: |"]
    unfinished = []
    for words, name, score, wanted in GOALS:
        results = stored(name)
        (reached,) = cells(results, [score])
        if reached:
            missed = "" if is_enough(np.mean(values(results, score)), wanted) else ", **missed**"
            lines.append(line(words, wanted, reached + missed, len(results)))
        else:
            unfinished.append(name)
    if len(lines) > 2:
        lines.append(
            line("MONet on Multi-dSprites, as published, by masks that have seen the image", "", f"{MONET:.3f}", "")
        )
    missing = f"Not finished: {', '.join(dict.fromkeys(unfinished))}." if unfinished else ""
    return "\n\n".join(filter(None, ["\n".join(lines) if len(lines) > 2 else "", missing]))


def digit_table() -> str:
    """A line for every experiment on digits."""
    return table([*DIGITS, *LESS], "experiment", DIGIT_SCORES)


def scene_table() -> str:
    """The scores on scenes."""
    return table(list(SCENES), "scenes", SCENE_SCORES)


def unsupervised_table() -> str:
    """The trainings without stages, and a published one beside them."""
    found = table(list(UNSUPERVISED), "images", FREE_SCORES)
    head, _, rest = found.partition("\n\n")
    published = line("MONet on Multi-dSprites, as published", "", f"{MONET:.3f}", *[""] * 9)
    return "\n\n".join(filter(None, [f"{head}\n{published}", rest]))


def single_table() -> str:
    """One VAE on cylinders: the first experiments of the thesis on scenes."""
    return table(list(SINGLES), "one VAE", SINGLE_SCORES)


def steps_of(name: str) -> str:
    """Steps that each VAE of an experiment on scenes makes, in all stages."""
    example = load_example(EXPERIMENTS[name].command[0])
    options = example.make_parser().parse_args(EXPERIMENTS[name].command[1:])
    example.apply_preset(options)
    per_epoch = -(-options.num_train // options.batch_size)
    epochs = {
        sum(stage.num_epochs for stage in example.SCHEDULES[options.schedule](options) if k in stage.active)
        for k in range(options.num_components)
    }
    return " or ".join(f"{per_epoch * number:,}" for number in sorted(epochs))


def ladder_table() -> str:
    """A line for every rung, with the steps of each VAE before its minutes."""
    names, first = [f"ladder-{name}" for name in LADDER], "what differs from the thesis's set-up"
    return table(names, first, SCENE_SCORES, {"steps of each VAE": steps_of})


def component_table() -> str:
    """Presence and dominance of every VAE of every experiment on digits."""
    lines = [line("experiment", "item", "presence, AUROC", "dominance", "IoU"), "| --- | --- |" + " ---: |" * 3]
    for name in DIGITS:
        results = stored(name)
        items = [
            key.partition("/")[2] for key in (results[0]["scores"] if results else ()) if key.startswith("presence/")
        ]
        for item in items:
            found = cells(results, [f"{part}/{item}" for part in ("presence", "dominance", "iou")])
            lines.append(line(name, item, *found))
    return "\n".join(lines) + missing(list(DIGITS))


def thesis_kl() -> dict[str, tuple[float, ...]]:
    """Table 4.1 as the thesis prints it, which the example has."""
    found: dict[str, tuple[float, ...]] = load_example(DIGITS_SCRIPT).THESIS_KL
    return found


def load_example(script: str) -> Any:
    """The module of a script of the examples."""
    if str(ROOT / "examples") not in sys.path:
        sys.path.append(str(ROOT / "examples"))
    return importlib.import_module(Path(script).stem)


def kl_table(name: str = "4-mnist") -> str:
    """Table 4.1: KL of each VAE on each scene, the thesis's in brackets."""
    results = stored(name)
    lines = [line("scene", *(f"KL {k}" for k in range(4))), "| --- |" + " ---: |" * 4]
    for scene, theirs in thesis_kl().items():
        ours = [interval(values(results, f"kl/{scene}/{k}"), 2) for k in range(4)]
        lines.append(line(scene, *(f"{a} ({b:.2f})".strip() for a, b in zip(ours, theirs, strict=True))))
    return "\n".join(lines) + missing([name])


def unseen_table() -> str:
    """Which VAE draws a digit that none has learned."""
    rows = {"labels of whole images": "5-mnist", "stages as in the thesis": "5-mnist-thesis"}
    rows["`--preset paper`"] = "5-mnist-paper"
    lines = [line("share of the 5s that it owns", *(f"VAE {k}" for k in range(5))), "| --- |" + " ---: |" * 5]
    for words, name in rows.items():
        if results := stored(name):
            lines.append(line(words, *(interval(values(results, f"unseen/5/owned_by_{k}"), 2) for k in range(5))))
    return "\n".join(lines) + missing(list(rows.values()))


def figure_list(names: Sequence[str]) -> str:
    """The kept figures of some experiments, each under its words."""
    found = [
        f"![Input, mask and image of each VAE, and mixture](../_static/{figure_of(name).name})\n\n"
        f"*{EXPERIMENTS[name].words.replace('*', '')}: `{' '.join(['python', *ROWS[f'{name}-seed0']])}`*"
        for name in names
        if figure_of(name).exists()
    ]
    absent = [name for name in names if not figure_of(name).exists()]
    return "\n\n".join([*found, f"Not drawn yet: {', '.join(absent)}."] if absent else found)


BLOCKS: dict[str, Callable[[], str]] = {
    "parallel-goals": goal_table,
    "parallel-digits": digit_table,
    "parallel-components": component_table,
    "parallel-kl": kl_table,
    "parallel-kl-stages": lambda: kl_table("4-mnist-thesis"),
    "parallel-unseen": unseen_table,
    "parallel-unsupervised": unsupervised_table,
    "parallel-singles": single_table,
    "parallel-ladder": ladder_table,
    "parallel-scenes": scene_table,
    "parallel-window-figures": lambda: figure_list([name for name in UNSUPERVISED if name.startswith("windows")]),
    "parallel-digit-figures": lambda: figure_list(list(DIGITS)),
    "parallel-scene-figures": lambda: figure_list([*SCENES, *SINGLES, *(f"ladder-{name}" for name in LADDER)]),
}


def write_blocks(text: str) -> str:
    """Return a page with the tables between its markers."""
    return shared_results.write_blocks(text, BLOCKS)


def main() -> None:
    run_tables("parallel_vae", __doc__, ROWS, path_of, finish, PAGES, BLOCKS)


if __name__ == "__main__":
    main()
