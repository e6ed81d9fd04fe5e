"""The tables of results of DSVAE on Sprites: trains what is missing, stores every finished row, prints the tables.

    python docs/results/dsvae_sprites.py [--data-root DIR] [--rows NAME ...] [--table-only] [--write]

A row is one run of examples/dsvae_sprites.py. It is stored as JSON beside this script once it has finished, and never
trained again; a run that was cut is resumed. Unfinished rows are named. --write puts the tables between the markers
<!-- results:NAME --> and <!-- /results --> of README.md, the page of the paper and two pages of concepts.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import shared_results
from shared_results import commit_file, interval

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CONCEPTS = ROOT / "docs" / "concepts"
PAGES = (
    *(ROOT / "README.md", ROOT / "docs" / "papers" / "dsvae.md"),
    *(CONCEPTS / "views.md", CONCEPTS / "learned_similarity.md"),
)

SPRITES, PROCEDURAL = ["--data", "sprites"], ["--data", "procedural"]
# Guides are compared at full length and parts in six passes, both with a fixed scale of the pixels.
FIXED, SHORT = ["--no-learn-scale", "--num-epochs", "20"], ["--no-learn-scale", "--num-epochs", "6"]


def _short(*options: str) -> list[str]:
    return [*SPRITES, *SHORT, "--seed", "0", *options]


def guide_seeds(guide: str) -> range:
    """Seeds of a guide with each prior: three of those of the document, one of the smoothing guide."""
    return range(1 if guide == "smoothing" else 3)


# Name of a row -> options of the example, in the order in which they are trained.
ROWS: dict[str, list[str]] = {
    "default-seed0": [*SPRITES, "--seed", "0"],
    "plain-seed0": [*SPRITES, "--plain", "--seed", "0"],
    "procedural-seed0": [*PROCEDURAL, "--seed", "0"],
    # The first row, its codes averaged over draws of the views.
    "default-views8-seed0": [*SPRITES, "--num-views", "8", "--seed", "0"],
    # Every part of the recipe left out, or another in its place.
    "short-recipe": _short(),
    "short-plain": _short("--plain"),
    "short-cooldown-alone": _short("--plain", "--kl-cooldown-f", "0.5"),
    "short-no-cooldown": _short("--kl-cooldown-f", "0"),
    "short-no-dynamic-view": _short("--dynamic-view", "none"),
    "short-no-static-view": _short("--static-view", "none"),
    "short-tones-alone": _short("--static-view", "none", "--kl-cooldown-f", "0"),
    "short-shuffle": _short("--static-view", "shuffle"),
    "short-shuffle-views8": _short("--static-view", "shuffle", "--num-views", "8"),
    "short-single-frame": _short("--static-view", "single-frame"),
    "short-single-frame-views8": _short("--static-view", "single-frame", "--num-views", "8"),
    "short-frame-shuffle": _short("--static-view", "frame-shuffle"),
    "short-shift": _short("--static-view", "shift"),
    "short-crop": _short("--static-view", "crop"),
    "short-static-dim-64": _short("--static-dim", "64"),
    "short-static-dim-8": _short("--static-dim", "8"),
    "short-dynamic-dim-8": _short("--dynamic-dim", "8"),
    "short-mixture": _short("--prior", "mixture"),
    # One thing added to the plain model.
    "short-plain-kl-f-8": _short("--plain", "--kl-weight-f", "8"),
    "short-plain-kl-z-8": _short("--plain", "--kl-weight-z", "8"),
    "short-plain-warmup": _short("--plain", "--kl-warmup-epochs", "3"),
    "short-plain-contrast": _short("--plain", "--recipe", "contrast", "--recipe-weight", "10"),
    "short-plain-mutual-information": _short("--plain", "--recipe", "mutual-information", "--recipe-weight", "10"),
    "short-plain-density-ratio": _short("--plain", "--recipe", "density-ratio", "--recipe-weight", "10"),
    "short-plain-reencoding": _short("--plain", "--recipe", "reencoding", "--recipe-weight", "0.1"),
    "short-plain-subtract-mean": _short("--plain", "--recipe", "subtract-mean"),
    "short-plain-subtract-mean-cooldown": _short("--plain", "--recipe", "subtract-mean", "--kl-cooldown-f", "0.5"),
    "short-plain-static-dim-16": _short("--plain", "--static-dim", "16"),
    "short-plain-static-dim-256": _short("--plain", "--static-dim", "256"),
    # One thing changed in the recipe, or added to it.
    "short-gray": _short("--dynamic-view", "gray"),
    "short-silhouette": _short("--dynamic-view", "silhouette"),
    "short-blur": _short("--dynamic-view", "blur"),
    "short-learned-scale": [*SPRITES, "--num-epochs", "6", "--seed", "0"],
    "short-similarity": _short("--learned-similarity", "100"),
    "short-plain-similarity": _short("--plain", "--learned-similarity", "100"),
    # Characters with one shirt are in no training clip.
    "held-out-top5": [*SPRITES, "--hold-out", "top=5", "--seed", "0"],
    # Seeds of the first two rows.
    **{f"default-seed{seed}": [*SPRITES, "--seed", str(seed)] for seed in (1, 2)},
    **{f"best-seed{seed}": [*SPRITES, "--preset", "best", "--seed", str(seed)] for seed in (0, 1, 2)},
    **{f"plain-seed{seed}": [*SPRITES, "--plain", "--seed", str(seed)] for seed in (1, 2)},
    # A fixed scale, in more passes, with the recipe and without; then the same with other guides and priors.
    "fixed-scale-plain-seed0": [*SPRITES, "--plain", *FIXED, "--seed", "0"],
    **{f"fixed-scale-seed{seed}": [*SPRITES, *FIXED, "--seed", str(seed)] for seed in (0, 1, 2)},
    **{
        f"{guide}-{prior}-seed{seed}": [*SPRITES, "--guide", guide, "--prior", prior, *FIXED, "--seed", str(seed)]
        for seed in (0, 1, 2)
        for prior in ("lstm", "standard")
        for guide in ("full", "factorized", "framewise", "smoothing")
        if (guide, prior) != ("full", "lstm") and seed in guide_seeds(guide)
    },
    # Frames that the guide does not see.
    **{
        f"hidden-{guide}-seed0": _short("--plain", "--hide-frames", "3", "--guide", guide)
        for guide in ("full", "factorized", "framewise", "smoothing")
    },
}
# Rows that are another's trained run, scored otherwise; trained anew where that run is not there.
TRAINED_AS = {
    "default-views8-seed0": "default-seed0",
    "short-shuffle-views8": "short-shuffle",
    "short-single-frame-views8": "short-single-frame",
}
TABLE = ("reconstruction", "static_sampled", "static_swapped", "dynamic_sampled", "dynamic_swapped")
WORDS = {
    "reconstruction": "reconstruction",
    "static_sampled": "f drawn from the prior, z kept",
    "static_swapped": "f of another clip, z kept",
    "dynamic_sampled": "z drawn from the prior, f kept",
    "dynamic_swapped": "z of another clip, f kept",
}
FACTORS = ("action", "skin", "bottom", "top", "hair")
# Rows that differ in the seed alone, in the order of the tables, and what the tables call them.
FULL = {
    "default": "**Default preset**: z first, f from patches, z from tones, a learned scale of the pixels",
    "best": "**Best preset**: the same with more channels and passes, and a fixed scale",
    "plain": "**Plain model** (`--plain`), with as many passes as the default and a learned scale, too",
    "fixed-scale": "**Default preset with a fixed scale of the pixels**, 20 passes in place of 14",
    "fixed-scale-plain": "**Plain model with a fixed scale of the pixels**, 20 passes",
    "held-out": "**Default preset, trained without the characters in shirt 5**; on all test characters",
    "procedural": "**Default preset on `ProceduralSprites`**",
}
SHORT_ROWS = {
    "short-recipe": "the recipe: f from patches, z from tones, f cools down",
    "short-no-cooldown": "without the cool-down of f",
    "short-no-dynamic-view": "z sees the frames",
    "short-no-static-view": "f sees the frames, in order",
    "short-tones-alone": "f sees the frames, in order, without the cool-down of f",
    "short-frame-shuffle": "f sees the frames, in random order",
    "short-single-frame": "f sees one random frame",
    "short-shuffle": "f sees frames of shuffled 8 x 8 patches, in order",
    "short-shift": "f sees the frames shifted by up to 16 pixels",
    "short-crop": "f sees a random window of 16 x 16 pixels",
    "short-gray": "z sees random gray in place of tones",
    "short-silhouette": "z sees outlines in place of tones",
    "short-blur": "z sees blurred frames in place of tones",
    "short-static-dim-64": "f of 64 dimensions in place of 16",
    "short-static-dim-8": "f of 8 dimensions in place of 16",
    "short-dynamic-dim-8": "z of 8 dimensions in place of 32",
    "short-mixture": "the prior of z starts in a mixture",
    "short-learned-scale": "the recipe, the pixels' scale is learned (the default preset, cut short)",
    "short-similarity": "with a learned similarity, weight 100",
    "short-plain": "plain: f and z see the frames and learn together",
    "short-cooldown-alone": "plain, f cools down",
    "short-plain-static-dim-16": "plain, f of 16 dimensions in place of 64",
    "short-plain-static-dim-256": "plain, f of 256 dimensions in place of 64",
    "short-plain-kl-f-8": "plain, KL weight of f 8",
    "short-plain-kl-z-8": "plain, KL weight of z 8",
    "short-plain-warmup": "plain, both KL weights rise over three epochs",
    "short-plain-similarity": "plain, with a learned similarity, weight 100",
    "short-plain-contrast": "plain, contrast of f and of z, weight 10",
    "short-plain-mutual-information": "plain, mutual information, weight 10",
    "short-plain-density-ratio": "plain, density ratio, weight 10",
    "short-plain-reencoding": "plain, re-encoding, weight 0.1",
    "short-plain-subtract-mean": "plain, z from features less their mean",
    "short-plain-subtract-mean-cooldown": "plain, z from features less their mean, f cools down",
}
GUIDES = [
    (guide, prior) for prior in ("lstm", "standard") for guide in ("full", "factorized", "framewise", "smoothing")
]


def path_of(row: str) -> Path:
    return HERE / f"dsvae_sprites-{row}.json"


def run_of(row: str) -> Path:
    return ROOT / "runs" / f"results-dsvae_sprites-{row}"


def finish(row: str, data_root: str | None) -> None:
    """Train, score and store one row, resuming a run that was cut."""
    run = run_of(row)
    if (
        row in TRAINED_AS
        and path_of(TRAINED_AS[row]).exists()
        and run_of(TRAINED_AS[row]).is_dir()
        and not run.exists()
    ):
        shutil.copytree(run_of(TRAINED_AS[row]), partial := run.with_suffix(".tmp"), dirs_exist_ok=True)
        partial.rename(run)  # whole or not at all
        shutil.copyfile(commit_file(run_of(TRAINED_AS[row])), commit_file(run))
    root = ["--data-root", data_root] if data_root and "sprites" in ROWS[row] else []
    trained = shared_results.train(run, ["examples/dsvae_sprites.py", *ROWS[row]], *root)
    config = json.loads((run / "config.json").read_text())
    history = (run / "history.csv").read_text().splitlines()
    seconds = sum(float(line.rsplit(",", 1)[1]) for line in history[1:])
    with (run / "pairs.csv").open(newline="") as file:
        pairs = [{name: _number(cell) for name, cell in pair.items()} for pair in csv.DictReader(file)]
    result = {
        **trained,
        "training_minutes": round(seconds / 60, 1),
        "data": config["data"]["train"]["name"],
        "config": config,
        "scores": json.loads((run / "metrics.json").read_text()),
        "pairs": pairs,
    }
    keep_figure(row, run)
    path_of(row).write_text(json.dumps(result, indent=1) + "\n")


# Rows of which the page shows a figure, and which one of the run.
FIGURES = {
    "default-seed0": "style_transfer",
    "plain-seed0": "style_transfer",
    "short-plain-subtract-mean": "style_transfer",
    "held-out-top5": "reconstruction",
}


def keep_figure(row: str, run: Path) -> None:
    """Keep the figure of a row that the page shows, in 128 colors."""
    from PIL import Image

    if row in FIGURES:
        with Image.open(run / "figures" / f"{FIGURES[row]}.png") as figure:
            kept = figure.convert("RGB").quantize(128)
            kept.save(ROOT / "docs" / "_static" / f"dsvae-{row}.png", optimize=True)


def _number(cell: str) -> str | float:
    """A cell of pairs.csv: a word, the number of a clip, or a cosine."""
    return cell if cell.isalpha() else int(cell) if cell.isdecimal() else round(float(cell), 3)


def rows_of(name: str) -> list[str]:
    """The rows of that name: itself, or its seeds."""
    if name in ROWS:
        return [name]
    return [row for row in ROWS if row.startswith(f"{name}-seed") or (name == "held-out" and row.startswith(name))]


def stored(name: str) -> list[dict[str, Any]]:
    """What the finished rows of that name have stored."""
    return [json.loads(path_of(row).read_text()) for row in rows_of(name) if path_of(row).exists()]


def command(row: str) -> str:
    """The command that trains a row with the presets as they are now; its commit may have had others."""
    return " ".join(["python", "examples/dsvae_sprites.py", *ROWS[row]])


def seeds(name: str) -> str:
    """How many of the seeds of a name are finished, in words."""
    wanted = sum(row.startswith(f"{name}-seed") for row in ROWS)
    count = len(stored(name))
    missing = f", {wanted - count} missing" if wanted > count else ""
    return f"{count} seed{'s' * (count != 1)}{missing}"


def mean(results: list[dict[str, Any]], score: str) -> float:
    """Mean of a score over seeds."""
    return sum(result["scores"][score]["value"] for result in results) / len(results)


def exchange_table(results: list[dict[str, Any]]) -> str:
    """The two-sided table in per cent, means over seeds with intervals; in brackets what should be where not 100."""
    lines = ["| decoded from | action | " + " | ".join(FACTORS[1:]) + " |", "| --- |" + " ---: |" * len(FACTORS)]
    for row in TABLE:
        cells = []
        for factor in FACTORS:
            name = f"{row}/{factor}"
            drawn = row == ("dynamic_sampled" if factor == "action" else "static_sampled")
            chance = f" [{100 * results[0]['scores'][name]['chance']:.1f}]" if drawn else ""
            cells.append(interval([100 * result["scores"][name]["value"] for result in results], 1) + chance)
        lines.append(f"| {WORDS[row]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


UNSEEN = {
    "reconstruction": "reconstruction of clips in shirt 5",
    "appearance": "f of a clip in shirt 5, z of another clip",
    "motion": "z of a clip in shirt 5, f of another clip",
    "dynamic_sampled": "z drawn from the prior, f of a clip in shirt 5",
}


def unseen_table(results: list[dict[str, Any]]) -> str:
    """What becomes of the characters that no training clip shows: agreement in per cent, as in the two-sided table."""
    lines = ["| decoded from | clips | action | " + " | ".join(FACTORS[1:]) + " |", "| --- |" + " ---: |" * 6]
    for row, words in UNSEEN.items():
        entries = [f"held_out/{row}/{factor}" for factor in FACTORS]
        cells = [f"{100 * mean(results, name):.1f}" for name in entries]
        cells[0] += " [11.1]" if row == "dynamic_sampled" else ""
        lines.append(f"| {words} | {results[0]['scores'][entries[0]]['num']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def summary(results: list[dict[str, Any]]) -> str:
    """One line of the other scores, means over seeds."""

    def value(name: str) -> float:
        return mean(results, name)

    minutes = ", ".join(f"{result['training_minutes']}" for result in results)
    learned = results[0]["config"]["model"]["arguments"]["likelihood"]["arguments"]["learn_scale"]
    commits = ", ".join(dict.fromkeys(result["trained_at"] for result in results))
    return (
        f"With f drawn and z kept IS {value('inception_score'):.3f} of 9, H(y given x) "
        f"{value('conditional_entropy'):.4f}; with both drawn {value('unconditional/inception_score'):.3f}, "
        f"{value('unconditional/conditional_entropy'):.4f}. Reconstruction MSE "
        f"{value('mse'):.5f}, PSNR {value('psnr'):.1f} dB, SSIM {value('ssim'):.3f}; ELBO {value('elbo'):.0f} and IWAE "
        f"{value('iwae'):.0f} nats a clip (of {results[0]['scores']['iwae']['num']} clips, by 20 draws; with a "
        f"{'learned' if learned else 'fixed'} scale of the pixels). FID in the "
        f"judge's features {value('fid/reconstruction'):.2f} of reconstructions, {value('fid/unconditional'):.2f} of "
        f"draws, {value('fid/real_halves'):.2f} between two halves of the real clips (which differ by chance, as clips "
        f"and their reconstructions do not). Active units f {value('active_units/f'):.0f}, z "
        f"{value('active_units/z'):.0f}. AUC of cosines: appearance by f {value('cosine_auc/f/appearance'):.3f}, by z "
        f"{value('cosine_auc/z/appearance'):.3f}; motion by z {value('cosine_auc/z/motion'):.3f}, by f "
        f"{value('cosine_auc/f/motion'):.3f}; 0.5 is chance. Training {minutes} minutes on {results[0]['machine']}; "
        f"commit {commits}."
    )


def full_tables(names: list[str]) -> str:
    """For each name with a finished row: what it is, its commands, its two-sided table, its other scores."""
    parts = []
    for name in names:
        results = stored(name)
        if not results:
            parts.append(f"{FULL[name]}: not finished; `python docs/results/dsvae_sprites.py` trains it.")
            continue
        commands = "\n".join(f"`{command(row)}`" for row in rows_of(name) if path_of(row).exists())
        parts.append(f"{FULL[name]} ({seeds(name)}).\n{commands}\n\n{exchange_table(results)}\n\n{summary(results)}")
        if name == "held-out":
            parts.append(unseen_table(results))
    return "\n\n".join(parts)


def compact_cells(results: list[dict[str, Any]]) -> list[str]:
    """What a line of a compact table says: per cent, then IS and ELBO."""
    worst = min(mean(results, f"reconstruction/{factor}") for factor in FACTORS)
    names = ("static_swapped/action", "static_swapped/attributes", "static_sampled/action", "static_sampled/attributes")
    names += ("dynamic_sampled/attributes", "dynamic_sampled/action")
    cells = [f"{100 * mean(results, 'reconstruction/attributes'):.1f}", f"{100 * worst:.1f}"]
    cells += [f"{100 * mean(results, name):.1f}" for name in names]
    return [*cells, f"{mean(results, 'inception_score'):.3f}", f"{mean(results, 'elbo'):.0f}"]


# What was to be reached by a preset: in words, and what is enough of the default and of the best.
# What counts is the mean over seeds.
GOALS = (
    ("reconstruction: the worst of five factors", "worst", "at least 97", "at least 99.5"),
    ("f drawn: action kept", "static_sampled/action", "at least 99.5", "at least 99.995"),
    ("f drawn: attributes, farthest from chance", "off/static_sampled", "at most 3 points", "at most 3 points"),
    ("z drawn: mean of the attributes", "dynamic_sampled/attributes", "at least 93", "at least 99"),
    ("z drawn: action, from chance", "off/dynamic_sampled", "at most 3 points", "at most 3 points"),
    ("f of another clip: action", "static_swapped/action", "at least 99.5", "at least 99.995"),
    ("f of another clip: attributes of its donor", "static_swapped/attributes", "at least 93", "at least 99"),
    ("IS, of 9", "inception_score", "at least 8.9", "at least 8.99"),
    ("H(y given x)", "conditional_entropy", "at most .01", "at most .001"),
    ("minutes of training", "minutes", "at most 20", "at most 150"),
)


def goal_score(result: dict[str, Any], name: str) -> float:
    """A number of the table of goals, of one row."""
    scores = {score: entry["value"] for score, entry in result["scores"].items()}
    if name == "minutes":
        return float(result["training_minutes"])
    if name in ("inception_score", "conditional_entropy"):
        return float(scores[name])
    if name == "worst":
        return 100 * min(scores[f"reconstruction/{factor}"] for factor in FACTORS)
    if name.startswith("off/"):
        part = name.removeprefix("off/")
        factors = FACTORS[:1] if part == "dynamic_sampled" else FACTORS[1:]
        chances = {factor: result["scores"][f"{part}/{factor}"]["chance"] for factor in factors}
        return 100 * max(abs(scores[f"{part}/{factor}"] - chance) for factor, chance in chances.items())
    return 100 * float(scores[name])


def whole_minutes() -> list[float]:
    """Minutes of the default preset from its command to its last figure, where `lengths.py` has timed it."""
    path = HERE / "lengths-dsvae_sprites.json"
    return [float(json.loads(path.read_text(encoding="utf8"))["minutes"])] if path.exists() else []


def reached(value: float, wanted: str) -> bool:
    """Whether a number is what was wanted: at least so much, or at most."""
    limit = float(wanted.split()[2])
    return value >= limit if wanted.startswith("at least") else value <= limit


def goal_table() -> str:
    """What the presets were to reach, and what they did: means over seeds, and the least and the greatest seed."""
    lines = ["| in per cent | default, to reach | default | best, to reach | best |", "| --- |" + " ---: |" * 4]
    for words, name, *wanted in GOALS:
        cells = []
        for preset in ("default", "best"):
            found = [goal_score(result, name) for result in stored(preset)]
            if name == "minutes" and preset == "default":
                found = whole_minutes() or found
                words += "; default: of the whole command, by itself" if whole_minutes() else ""
            digits = 4 if name == "conditional_entropy" else 3 if name == "inception_score" else 1
            if name.endswith("/action") and not name.startswith("off"):
                digits = 2
            text = f"{sum(found) / len(found):.{digits}f}" if found else ""
            spread = f" ({min(found):.{digits}f} to {max(found):.{digits}f})" if len(found) > 1 else ""
            missed = found and not reached(sum(found) / len(found), wanted[preset == "best"])
            cells.append(text + spread + (", **missed**" if missed else ""))
        lines.append(f"| {words} | {wanted[0]} | {cells[0]} | {wanted[1]} | {cells[1]} |")
    return "\n".join(lines) + f"\n\nDefault: {seeds('default')}; best: {seeds('best')}."


COMPACT = (
    "reconstruction: attributes | its worst factor | swap of f: action | swap of f: attributes of the donor | "
    "f drawn: action | f drawn: attributes [16.7] | z drawn: attributes | z drawn: action [11.1] | IS | ELBO"
)


def short_table() -> str:
    """A line for every short run, each of six epochs and seed 0, with a fixed scale where not said."""
    lines = [f"| trained | {COMPACT} | row, commit |", "| --- |" + " ---: |" * 10 + " --- |"]
    missing = []
    for name, words in SHORT_ROWS.items():
        results = stored(name)
        if results:
            lines.append(
                f"| {words} | " + " | ".join(compact_cells(results)) + f" | {name}, {results[0]['trained_at']} |"
            )
        else:
            missing.append(words)
    return "\n".join(lines) + (f"\n\nNot finished: {'; '.join(missing)}." if missing else "")


def detail_table(names: list[str], columns: dict[str, str], digits: dict[str, int]) -> str:
    """A line for every finished row of these names: shares in per cent, other scores as they are."""
    lines = ["| trained | " + " | ".join(columns.values()) + " |", "| --- |" + " ---: |" * len(columns)]
    missing = []
    for name in names:
        results = stored(name)
        if not results:
            missing.append(SHORT_ROWS[name])
            continue
        values = {column: mean(results, column) * (1 if column in digits else 100) for column in columns}
        cells = [f"{value:.{digits.get(column, 1)}f}" for column, value in values.items()]
        lines.append(f"| {SHORT_ROWS[name]} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + (f"\n\nNot finished: {'; '.join(missing)}." if missing else "")


VIEW_ROWS = ["short-recipe", "short-no-static-view", "short-frame-shuffle", "short-single-frame", "short-shuffle"]
VIEW_ROWS += ["short-shift", "short-crop", "short-no-dynamic-view", "short-gray", "short-silhouette", "short-blur"]
VIEW_ROWS += ["short-plain"]


def price_table() -> str:
    """What a view costs: what is read off reconstructions, their error, and the terms of the bound."""
    columns = {f"reconstruction/{factor}": factor for factor in FACTORS}
    columns |= {"mse": "MSE", "nll": "- log-likelihood", "kl/f": "KL of f", "kl/z": "KL of z", "elbo": "ELBO"}
    return detail_table(VIEW_ROWS, columns, {"mse": 5, "nll": 0, "kl/f": 0, "kl/z": 0, "elbo": 0})


def similarity_table() -> str:
    """With and without a learned similarity: quality of reconstructions, distances in the judge's features."""
    columns = {"mse": "MSE", "psnr": "PSNR", "ssim": "SSIM", "reconstruction/attributes": "attributes read"}
    columns |= {"fid/reconstruction": "FID of reconstructions", "fid/static_swapped": "of exchanges"}
    columns |= {"fid/unconditional": "of draws", "fid/real_halves": "between halves of real clips"}
    names = ["short-recipe", "short-similarity", "short-plain", "short-plain-similarity"]
    digits = {"mse": 5, "psnr": 1, "ssim": 3} | {name: 1 for name in columns if name.startswith("fid")}
    return detail_table(names, columns, digits)


def pairs_table() -> str:
    """Cosines of the codes of twelve pairs of test clips, as in the text, of the first full run that kept them."""
    for row in ("default-seed0", "best-seed0", "best-seed1", "best-seed2", "default-seed1", "default-seed2"):
        results = [json.loads(path_of(row).read_text())] if path_of(row).exists() else []
        if results and results[0].get("pairs"):
            lines = [
                f"`{command(row)}`:\n\n| the pair shares | clips | f | z |",
                "| --- | --- | ---: | ---: |",
            ]
            for pair in results[0]["pairs"]:
                cosines = " | ".join(f"{pair[name]:.2f}" for name in ("cosine_f", "cosine_z"))
                lines.append(f"| {pair['shared']} | {pair['clip_a']}, {pair['clip_b']} | {cosines} |")
            return "\n".join(lines)
    return "Not finished: no run has kept its pairs yet."


def averaged_table() -> str:
    """Runs by one draw of the views, and by codes that are means over eight; bounds are of single draws."""
    lines = [f"| trained | codes | {COMPACT.rpartition(' | ')[0]} |", "| --- | --- |" + " ---: |" * 9]
    missing = []
    for averaged, single in TRAINED_AS.items():
        trained = SHORT_ROWS.get(single, "the default preset")
        for words, name in (("of one draw", single), ("mean of eight draws", averaged)):
            if path_of(name).exists():
                cells = compact_cells([json.loads(path_of(name).read_text())])[:-1]
                lines.append(f"| {trained} | {words} | " + " | ".join(cells) + " |")
            else:
                missing.append(f"{trained}, {words}")
    return "\n".join(lines) + (f"\n\nNot finished: {'; '.join(missing)}." if missing else "")


def seconds_an_epoch(result: dict[str, Any], name: str) -> float:
    """Steps of an epoch times the time of one, of all guides in one run of the benchmark, on the same quiet machine."""
    steps = -(-result["config"]["data"]["train"]["num_items"] // result["config"]["training"]["batch_size"])
    timed = json.loads((HERE / "guides.json").read_text(encoding="utf8"))["groups"]["guide and prior"][name]
    return float(steps * timed["median_milliseconds"] / 1000)


def guide_rows() -> str:
    """A line for every guide and prior."""
    lines = [
        f"| guide | prior | seeds | {COMPACT} | IWAE | FID: f drawn | FID: both drawn | seconds an epoch |",
        "| --- | --- |" + " ---: |" * 15,
    ]
    missing = []
    for guide, prior in GUIDES:
        name = "fixed-scale" if (guide, prior) == ("full", "lstm") else f"{guide}-{prior}"
        results = stored(name)
        if results:
            cells = compact_cells(results)[:-1]
            for score in ("elbo", "iwae", "fid/static_sampled", "fid/unconditional"):
                cells.append(interval([result["scores"][score]["value"] for result in results], 0))
            cells.append(f"{seconds_an_epoch(results[0], f'{guide}, {prior}'):.0f}")
            lines.append(f"| {guide} | {prior} | {len(results)} | " + " | ".join(cells) + " |")
        if len(results) < len(guide_seeds(guide)):
            missing.append(f"{guide}, {prior}: {len(guide_seeds(guide)) - len(results)}")
    return "\n".join(lines) + (f"\n\nSeeds not finished: {'; '.join(missing)}." if missing else "")


def hidden_rows() -> str:
    """A line for every guide, where the guide does not see three of the eight frames."""
    lines = ["| guide | ELBO | IWAE | KL of f | KL of z | - log-likelihood |", "| --- |" + " ---: |" * 5]
    missing = []
    for guide in ("full", "factorized", "framewise", "smoothing"):
        results = stored(f"hidden-{guide}")
        if results:
            cells = [f"{mean(results, score):.0f}" for score in ("elbo", "iwae", "kl/f", "kl/z", "nll")]
            lines.append(f"| {guide} | " + " | ".join(cells) + " |")
        else:
            missing.append(guide)
    return "\n".join(lines) + (f"\n\nNot finished: {'; '.join(missing)}." if missing else "")


BLOCKS: dict[str, Callable[[], str]] = {
    "goals": goal_table,
    "main": lambda: full_tables(["default", "best", "plain"]),
    "more": lambda: full_tables(["held-out", "procedural"]),
    "scale": lambda: full_tables(["fixed-scale", "fixed-scale-plain"]),
    "short": short_table,
    "averaged": averaged_table,
    "price": price_table,
    "similarity": similarity_table,
    "pairs": pairs_table,
    "guides": guide_rows,
    "hidden": hidden_rows,
}


def write_blocks(text: str) -> str:
    """Return a page with the tables between its markers."""
    return shared_results.write_blocks(text, BLOCKS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", help="folder of the Sprites sheets (default: as the example)")
    parser.add_argument("--rows", nargs="+", metavar="NAME", choices=ROWS, help="train these rows alone (default: all)")
    parser.add_argument("--table-only", action="store_true", help="train nothing, print what is finished")
    parser.add_argument("--write", action="store_true", help="write the tables into the pages")
    options = parser.parse_args()
    for row in options.rows or ROWS:
        if not path_of(row).exists() and not options.table_only:
            finish(row, options.data_root)
    if options.write:
        for page in PAGES:
            page.write_text(write_blocks(page.read_text()))
    for name, block in BLOCKS.items():
        print(f"{name}\n\n{block()}\n")
    for row in ROWS:
        if not path_of(row).exists():
            print(f"{row}: missing; run python docs/results/dsvae_sprites.py --rows {row}")


if __name__ == "__main__":
    main()
