"""The table of results of DSVAE on Sprites: trains what is missing, stores every finished row, prints the table.

    python docs/results/dsvae_sprites.py [--data-root DIR] [--table-only]

A row is one run of examples/dsvae_sprites.py. It is stored as JSON beside this script once it has finished, and never
trained again; a run that was cut is resumed. Unfinished rows are named.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

SPRITES, PROCEDURAL, SHORT = ["--data", "sprites"], ["--data", "procedural"], ["--num-epochs", "6"]


def _short(*options: str) -> list[str]:
    return [*SPRITES, *SHORT, "--seed", "0", *options]


# Name of a row -> options of the example, in the order in which they are trained.
ROWS: dict[str, list[str]] = {
    "default-seed0": [*SPRITES, "--seed", "0"],
    "plain-seed0": [*SPRITES, "--plain", "--seed", "0"],
    "procedural-seed0": [*PROCEDURAL, "--seed", "0"],
    # Every part of the recipe left out, or another in its place.
    "short-recipe": _short(),
    "short-plain": _short("--plain"),
    "short-cooldown-alone": _short("--plain", "--kl-cooldown-f", "0.5"),
    "short-no-cooldown": _short("--kl-cooldown-f", "0"),
    "short-no-dynamic-view": _short("--dynamic-view", "none"),
    "short-no-static-view": _short("--static-view", "none"),
    "short-shuffle": _short("--static-view", "shuffle"),
    "short-single-frame": _short("--static-view", "single-frame"),
    "short-static-dim-64": _short("--static-dim", "64"),
    # One thing added to the plain model.
    "short-plain-kl-f-8": _short("--plain", "--kl-weight-f", "8"),
    "short-plain-contrast": _short("--plain", "--recipe", "contrast", "--recipe-weight", "10"),
    "short-plain-mutual-information": _short("--plain", "--recipe", "mutual-information", "--recipe-weight", "10"),
    "short-plain-density-ratio": _short("--plain", "--recipe", "density-ratio", "--recipe-weight", "10"),
    "short-plain-reencoding": _short("--plain", "--recipe", "reencoding", "--recipe-weight", "0.1"),
    "short-plain-subtract-mean": _short("--plain", "--recipe", "subtract-mean"),
    "short-plain-static-dim-16": _short("--plain", "--static-dim", "16"),
    "short-plain-static-dim-256": _short("--plain", "--static-dim", "256"),
    # One thing added to the recipe.
    "short-gray": _short("--dynamic-view", "gray"),
    "short-learned-scale": _short("--learn-scale"),
    "short-similarity": _short("--learned-similarity", "100"),
    # Characters with one shirt are in no training clip.
    "held-out-top5": [*SPRITES, "--hold-out", "top=5", "--seed", "0"],
    # Seeds of the first two rows.
    **{f"default-seed{seed}": [*SPRITES, "--seed", str(seed)] for seed in (1, 2)},
    **{f"best-seed{seed}": [*SPRITES, "--preset", "best", "--seed", str(seed)] for seed in (0, 1, 2)},
    **{f"plain-seed{seed}": [*SPRITES, "--plain", "--seed", str(seed)] for seed in (1, 2)},
    # Guides and priors; the full guide with the LSTM prior is the default.
    **{
        f"{guide}-{prior}-seed{seed}": [*SPRITES, "--guide", guide, "--prior", prior, "--seed", str(seed)]
        for seed in (0, 1, 2)
        for prior in ("lstm", "standard")
        for guide in ("full", "factorized", "framewise", "smoothing")
        if (guide, prior) != ("full", "lstm")
    },
    # Frames that the guide does not see.
    **{
        f"hidden-{guide}-seed0": _short("--plain", "--hide-frames", "3", "--guide", guide)
        for guide in ("full", "factorized", "framewise", "smoothing")
    },
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


def path_of(row: str) -> Path:
    return HERE / f"dsvae_sprites-{row}.json"


def commit() -> str:
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    return head.stdout.strip()


def finish(row: str, data_root: str | None) -> None:
    """Train, score and store one row, resuming a run that was cut."""
    run = ROOT / "runs" / f"results-dsvae_sprites-{row}"
    trained_at = run.with_suffix(".commit")  # of the code that began the training, which a resumed run goes on with
    run.parent.mkdir(exist_ok=True)
    if not trained_at.exists():
        trained_at.write_text(commit())
    scored_at = commit()
    command = [sys.executable, "examples/dsvae_sprites.py", *ROWS[row], "--output", str(run), "--resume"]
    root = ["--data-root", data_root] if data_root and "sprites" in ROWS[row] else []
    subprocess.run(command + root, cwd=ROOT, check=True)
    config = json.loads((run / "config.json").read_text())
    history = (run / "history.csv").read_text().splitlines()
    seconds = sum(float(line.rsplit(",", 1)[1]) for line in history[1:])
    result = {
        "command": " ".join(["python", *command[1:-3]]),
        "trained_at": trained_at.read_text(),
        "scored_at": scored_at,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "training_minutes": round(seconds / 60, 1),
        "data": config["data"]["train"]["name"],
        "config": config,
        "scores": json.loads((run / "metrics.json").read_text()),
    }
    path_of(row).write_text(json.dumps(result, indent=1) + "\n")


def table(result: dict[str, Any]) -> str:
    """The two-sided table in per cent; in brackets what the entry should be where that is not 100."""
    scores = result["scores"]
    lines = ["| decoded from | action | " + " | ".join(FACTORS[1:]) + " |", "| --- |" + " ---: |" * len(FACTORS)]
    for row in TABLE:
        cells = []
        for factor in FACTORS:
            score = scores[f"{row}/{factor}"]
            drawn = row == ("dynamic_sampled" if factor == "action" else "static_sampled")
            cells.append(f"{100 * score['value']:.1f}" + (f" [{100 * score['chance']:.1f}]" if drawn else ""))
        lines.append(f"| {WORDS[row]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def summary(result: dict[str, Any]) -> str:
    """One line of the other scores."""
    value = {name: score["value"] for name, score in result["scores"].items()}
    return (
        f"IS {value['inception_score']:.3f} of 9, H(y given x) {value['conditional_entropy']:.4f}; reconstruction MSE "
        f"{value['mse']:.5f}, PSNR {value['psnr']:.1f} dB, SSIM {value['ssim']:.3f}; active units "
        f"f {value['active_units/f']:.0f}, z {value['active_units/z']:.0f}; AUC of cosines: f for appearance "
        f"{value['cosine_auc/f/appearance']:.3f}, z for motion {value['cosine_auc/z/motion']:.3f}; "
        f"training {result['training_minutes']} minutes on {result['machine']}; trained at commit "
        f"{result['trained_at']}, scored at {result['scored_at']}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", help="folder of the Sprites sheets (default: as the example)")
    parser.add_argument("--rows", nargs="+", metavar="NAME", choices=ROWS, help="train these rows alone (default: all)")
    parser.add_argument("--table-only", action="store_true", help="train nothing, print what is finished")
    options = parser.parse_args()
    for row in options.rows or ROWS:
        if not path_of(row).exists() and not options.table_only:
            finish(row, options.data_root)
    for row in ROWS:
        if not path_of(row).exists():
            print(f"{row}: missing; run python docs/results/dsvae_sprites.py\n")
            continue
        result = json.loads(path_of(row).read_text())
        print(f"{row} ({result['data']}; `{result['command']}`)\n\n{table(result)}\n\n{summary(result)}\n")


if __name__ == "__main__":
    main()
