"""The tables of results on the moving circle: trains what is missing, stores every finished row, prints the tables.

    python docs/results/dynamics.py [--rows NAME ...] [--table-only] [--write]

A row is one method and one seed of an example on circles. It is stored as JSON beside this script once it has finished,
and never trained again; a run that was cut is resumed. Unfinished rows are named. --write puts the tables between the
markers <!-- results:NAME --> and <!-- /results --> of README.md and of the two pages on dynamics, and draws the figure
of eigenvalues over all seeds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shared_results
from shared_results import interval, run_tables

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAPERS = ROOT / "docs" / "papers"
PAGES = (ROOT / "README.md", PAPERS / "disentangling_via_dynamics.md", PAPERS / "disentangled_dynamics.md")
FIGURE = ROOT / "docs" / "_static" / "eigenvalues.png"
SEEDS = range(5)
FEW_SEEDS = range(3)

METHODS = {
    "dynamics": "**structured guide, prior with learned eigenvalues**",
    "control": "structured guide, prior N(0, I): the negative control",
    "mean-field": "mean-field guide, prior with learned eigenvalues",
    "beta-vae": "beta-VAE: mean-field guide, prior N(0, I)",
    "slow-vae": "SlowVAE: mean-field guide, Laplace transitions",
    "tc-vae": "beta-TCVAE: mean-field guide, prior N(0, I), total correlation",
    "lstm": "LSTM guide, prior with learned eigenvalues",
    "basis": "structured guide in a learned basis, prior with learned eigenvalues",
    "rotation": "structured guide with 2 x 2 rotations, prior with a learned matrix",
    "dense": "structured guide with dense transitions, prior with a learned matrix",
    "slowness": "negative control with a slowness penalty",
    "weighted-slowness": "negative control with a slowness penalty that grows with the dimension",
    "at-once": "structured guide, prior with learned eigenvalues; all latents open from the start (no cool-down)",
    "laplace": "eigenvalues as latent variables, Laplace prior",
    "slow-fast": "eigenvalues as latent variables, slow and fast prior",
}
MAIN = ("dynamics", "beta-vae", "tc-vae", "control", "mean-field", "slow-vae")


def _row(method: str, seed: int) -> tuple[list[str], str]:
    """Command of a row, and where in its output directory the scores lie."""
    trained, options = ("dynamics", ["--kl-cooldown", "0"]) if method == "at-once" else (method, [])
    script = ["examples/structured_vae_circle.py", "--methods", trained, *options, "--seed", str(seed)]
    return script, f"{trained}/metrics.json"


def _sweep(script: str, *options: str, seed: int = 0) -> tuple[list[str], str]:
    """The same of a sweep, whose scores stand together."""
    return [f"examples/{script}_vae_circle.py", *options, "--seed", str(seed)], "metrics.json"


PUBLISHED = ["--networks", "published", "--channels", "32", "--precision", "32-true"]
SLOW = ["--learning-rate", "1e-4", "--schedule", "constant"]
MOVING = ["--data", "moving", "--prediction-weights", "0", "1e-4", "1e-2", "1", "100", "10000"]
PREDICTION = [*MOVING, "--betas", "0.0001"]
SHARP = ["--networks", "broadcast", "--kl-warmup-epochs", "0", "--kl-cooldown", "2", "--learning-rate", "3e-3"]
SHARP += ["--betas", "0.0001", "0.001", "--num-steps", "12000", "--num-train", "96000"]
STATIC = {
    "static": "our networks, 4,000 steps, Adam 4e-3 with cosine decay",
    "static-published": "the published networks, 4,000 steps, Adam 1e-4, constant",
    "static-published-fast": "the published networks, 4,000 steps, Adam 4e-3 with cosine decay",
    "static-sharp": "the networks of the moving circle, latents opened one by one, three times the steps",
}
INERTIA = {
    "inertia": "alpha 1, normalized beta .0001",
    "inertia-autoencoder": "alpha 1, no KL",
    "inertia-learned": "alpha learned, normalized beta .0001",
}
# Name of a row -> command and scores, in the order in which they are trained.
ROWS: dict[str, tuple[list[str], str]] = {
    **{f"{method}-seed{seed}": _row(method, seed) for seed in SEEDS for method in MAIN[:4]},
    **{f"{method}-seed{seed}": _row(method, seed) for seed in FEW_SEEDS for method in MAIN[4:]},
    "static-seed0": _sweep("beta", "--supervised", "--autoencoder"),
    "static-published-seed0": _sweep("beta", *PUBLISHED, *SLOW),
    "inertia-seed0": _sweep("inertial"),
    "prediction-seed0": _sweep("beta", *PREDICTION),
    "prediction-strong-seed0": _sweep("beta", *MOVING, "--betas", "0.001", "0.0302"),
    "static-sharp-seed0": _sweep("beta", *SHARP),
    "static-published-fast-seed0": _sweep("beta", *PUBLISHED),
    "inertia-autoencoder-seed0": _sweep("inertial", "--beta-norm", "0"),
    "inertia-learned-seed0": _sweep("inertial", "--learn-alpha"),
    "guides-seed0": (["examples/compare_guides.py", "--seed", "0"], "metrics.json"),
    **{f"{method}-seed0": _row(method, 0) for method in METHODS if method not in MAIN},
    **{f"inertia-seed{seed}": _sweep("inertial", seed=seed) for seed in FEW_SEEDS if seed},
    **{f"prediction-seed{seed}": _sweep("beta", *PREDICTION, seed=seed) for seed in FEW_SEEDS if seed},
}


def path_of(row: str) -> Path:
    return HERE / f"dynamics-{row}.json"


def minutes_of(run: Path) -> float:
    """Minutes of all trainings in a directory."""
    seconds = 0.0
    for history in run.rglob("history.csv"):
        seconds += sum(float(line.rsplit(",", 1)[1]) for line in history.read_text().splitlines()[1:])
    return round(seconds / 60, 1)


def finish(row: str) -> None:
    """Train, score and store one row, resuming a run that was cut."""
    command, scores = ROWS[row]
    run = ROOT / "runs" / f"results-dynamics-{row}"
    result = {
        **shared_results.train(run, command),
        "training_minutes": minutes_of(run),
        "scores": json.loads((run / scores).read_text()),
    }
    path_of(row).write_text(json.dumps(result, indent=1) + "\n")


def stored(name: str) -> dict[int, dict[str, Any]]:
    """The finished seeds of a method."""
    rows = [row for row in ROWS if re.fullmatch(rf"{re.escape(name)}-seed\d+", row) and path_of(row).exists()]
    return {int(row.rpartition("seed")[2]): json.loads(path_of(row).read_text()) for row in rows}


def values(results: dict[int, dict[str, Any]], score: str) -> list[float]:
    return [result["scores"][score]["value"] for result in results.values() if score in result["scores"]]


COLUMNS = {
    "MIG": "mig",
    "DCI D": "dci/disentanglement",
    "DCI C": "dci/completeness",
    "DCI I": "dci/informativeness",
    "R² linear": "r2/linear",
    "object apart from background": "group_separation",
    "live of 4": "active_units",
    "inside": "mse/inside",
    "edge": "mse/edge",
    "background": "mse/background",
}


def method_table() -> str:
    """A line for every method, means over seeds with 95 % intervals."""
    lines = ["| method | seeds | " + " | ".join(COLUMNS) + " | minutes |", "| --- |" + " ---: |" * (len(COLUMNS) + 2)]
    missing = []
    for name, words in METHODS.items():
        results = stored(name)
        if results:
            cells = [
                interval(values(results, score), 1 if name == "active_units" else 4 if "mse" in score else 3)
                for score in COLUMNS.values()
            ]
            minutes = np.mean([result["training_minutes"] for result in results.values()])
            lines.append(f"| {words} | {len(results)} | " + " | ".join(cells) + f" | {minutes:.1f} |")
        wanted = sum(bool(re.fullmatch(rf"{re.escape(name)}-seed\d+", row)) for row in ROWS)
        if len(results) < wanted:
            missing.append(f"{name} ({wanted - len(results)} of {wanted} seeds)")
    return "\n".join(lines) + (f"\n\nNot finished: {'; '.join(missing)}." if missing else "")


def difference_table() -> str:
    """Paired differences over seeds: dynamics less each other method."""
    from pyrodis.metrics import paired_difference

    scores = ("mig", "dci/disentanglement", "r2/linear", "group_separation", "mse/inside")
    heads = "MIG | DCI D | R² linear | object apart from background | error inside"
    lines = [f"| dynamics less | seeds | {heads} |", "| --- |" + " ---: |" * 6]
    ours = stored("dynamics")
    for name in MAIN[1:]:
        theirs = stored(name)
        seeds = sorted(set(ours) & set(theirs))
        if len(seeds) < 2:
            continue
        cells = []
        for score in scores:
            pairs = [[result[seed]["scores"][score]["value"] for seed in seeds] for result in (ours, theirs)]
            difference = paired_difference(*map(np.array, pairs))
            places = 4 if score.startswith("mse") else 3
            low, high = f"{difference.low:+.{places}f}", f"{difference.high:+.{places}f}"
            cells.append(f"{difference.value:+.{places}f} ({low} to {high})")
        lines.append(f"| {METHODS[name]} | {len(seeds)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) if len(lines) > 2 else "Not finished: two methods of two seeds each are needed."


def eigenvalues(name: str) -> dict[str, list[float]]:
    """Eigenvalues of all finished seeds, by what their dimension holds: of the prior, or medians of the guide's."""
    found: dict[str, list[float]] = {"object": [], "background": []}
    for result in stored(name).values():
        scores = result["scores"]
        dims = sum(key.startswith("explained/") and key.endswith("/object") for key in scores)
        for i in range(dims):
            shares = {group: scores[f"explained/z{i}/{group}"]["value"] for group in found}
            group = max(shares, key=shares.__getitem__)
            if shares[group] < 0.1:  # a dead dimension holds neither
                continue
            learned = scores.get(f"prior_eigenvalue/z{i}", scores.get(f"guide_eigenvalue/z{i}"))
            if learned is not None:
                found[group].append(learned["value"])
    return found


def expected() -> dict[str, float]:
    """The factors' own lag-one correlations."""
    for result in stored("dynamics").values():
        scores = result["scores"]
        return {k.split("/")[1]: v["value"] for k, v in scores.items() if k.startswith("lag_one_correlation/")}
    return {}


def modes(name: str) -> Any:
    from pyrodis.metrics import bimodality

    pooled = [value for group in eigenvalues(name).values() for value in group]
    return bimodality(np.array(pooled)) if len(pooled) >= 6 else None


def eigenvalue_table() -> str:
    """Eigenvalues by what the dimensions hold, and whether they have two modes."""
    wanted = ", ".join(f"{name} {value:.4f}" for name, value in expected().items())
    lines = [
        f"Lag-one correlation of the true factors: {wanted}.",
        "",
        "| method | seeds | background: smallest, median | object: median, smallest to largest | one mode or two | "
        "BIC of one component less that of two |",
        "| --- |" + " ---: |" * 5,
    ]
    for name in ("dynamics", "control", "slowness", "weighted-slowness"):
        results, found, fit = stored(name), eigenvalues(name), modes(name)
        if not results:
            lines.append(f"| {METHODS[name]} | 0 |  |  |  | not finished |")
            continue
        ground, thing = found["background"], found["object"]
        cells = [
            f"{min(ground):.5f}, {np.median(ground):.5f}" if ground else "none",
            f"{np.median(thing):.4f}, {min(thing):.4f} to {max(thing):.4f}" if thing else "none",
            "too few values" if fit is None else "two" if fit.bimodal else "one",
            "" if fit is None else f"{fit.bic_difference:.1f}",
        ]
        lines.append(f"| {METHODS[name]} | {len(results)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw_figure() -> None:
    """The histogram of the prior's eigenvalues over all seeds, the negative control's beside it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from pyrodis.plotting import eigenvalue_histogram

    ours, control = (
        {group: np.array(found) for group, found in eigenvalues(name).items() if found}
        for name in ("dynamics", "control")
    )
    axes = eigenvalue_histogram(ours, control, expected(), fits=(modes("dynamics"), modes("control")))
    figure = np.asarray(axes).flat[0].figure
    figure.savefig(FIGURE, dpi=120, bbox_inches="tight")
    pyplot.close(figure)


# What the document's plots say of static circles: beta_norm -> inside, edge, background, correlation, live.
DOCUMENT = {
    "0.001": (0.018, 0.025, 0.0004, 0.007, 4),
    "0.00549": (0.283, 0.196, 0.0015, 0.065, 2),
    "0.0302": (0.266, 0.183, 0.0044, 0.028, 2),
    "0.166": (0.246, 0.172, 0.046, None, 0),
}
REGIONS = tuple(f"published_mse/{region}" for region in ("inside", "edge", "background"))


def settings_of(results: dict[int, dict[str, Any]]) -> list[str]:
    """The settings of a sweep, in its order."""
    first = next(iter(results.values()))["scores"]
    return list(dict.fromkeys(name.partition("/")[0] for name in first))


def cell(results: dict[int, dict[str, Any]], setting: str, score: str, digits: int = 3) -> str:
    return interval(values(results, f"{setting}/{score}"), digits)


def missing_rows(names: Sequence[str]) -> str:
    """Which rows of a table are not there yet."""
    rows = [row for row in ROWS if any(re.fullmatch(rf"{re.escape(name)}-seed\d+", row) for name in names)]
    missing = [row for row in rows if not path_of(row).exists()]
    return f"\n\nNot finished: {', '.join(missing)}." if missing else ""


def static_table() -> str:
    """A line for every beta and set-up on static circles."""
    lines = [
        "| set-up | normalized beta | seeds | live of 4 | MIG | DCI D | correlation² | inside | edge | background |",
        "| --- |" + " ---: |" * 9,
    ]
    for beta, (inside, edge, background, correlation, live) in DOCUMENT.items():
        numbers = f"{'' if correlation is None else correlation} | {inside} | {edge} | {background}"
        lines.append(f"| the document, 500,000 steps | {beta} | | {live} | | | {numbers} |")
    for name, words in STATIC.items():
        results = stored(name)
        for setting in settings_of(results) if results else []:
            if setting == "supervised":
                continue
            cells = [cell(results, setting, "active_units", 0), cell(results, setting, "mig")]
            cells += [cell(results, setting, key) for key in ("dci/disentanglement", "squared_cross_correlation")]
            cells += [cell(results, setting, key, 4) for key in REGIONS]
            beta = setting.removeprefix("beta-") if setting.startswith("beta-") else "0, autoencoder"
            lines.append(f"| {words} | {beta} | {len(results)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + missing_rows([*STATIC])


def gain(results: dict[int, dict[str, Any]], setting: str, score: str) -> str:
    """A score of a weight of prediction less that of weight 0, paired over seeds."""
    from pyrodis.metrics import paired_difference

    base = f"{setting.rpartition('-')[0]}-0"
    if len(results) < 2 or base == setting:
        return ""
    pairs = [np.array(values(results, f"{name}/{score}")) for name in (setting, base)]
    difference = paired_difference(*pairs)
    return f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"


def prediction_table() -> str:
    """A line for every beta and weight of linear prediction."""
    lines = [
        "| normalized beta | weight of prediction | seeds | MIG | less that of weight 0 | DCI D | R² linear | "
        "relative error of prediction | inside | edge | background | live of 4 |",
        "| ---: |" + " ---: |" * 11,
    ]
    for name in ("prediction", "prediction-strong"):
        results = stored(name)
        for setting in settings_of(results) if results else []:
            beta, _, weight = setting.removeprefix("beta-").partition("-prediction-")
            scores = ("dci/disentanglement", "r2/linear", "relative_prediction_error")
            cells = [cell(results, setting, "mig"), gain(results, setting, "mig")]
            cells += [cell(results, setting, key) for key in scores]
            cells += [cell(results, setting, key, 4) for key in REGIONS]
            cells.append(cell(results, setting, "active_units", 1))
            lines.append(f"| {beta} | {weight} | {len(results)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + missing_rows(["prediction", "prediction-strong"])


def inertia_table() -> str:
    """A line for every gamma."""
    lines = [
        "| set-up | gamma | seeds | lag in frames | variance over time, of the input's | MIG | DCI D | R² linear | "
        "inside | edge | background |",
        "| --- |" + " ---: |" * 10,
    ]
    for name, words in INERTIA.items():
        results = stored(name)
        for setting in settings_of(results) if results else []:
            cells = [cell(results, setting, "lag", 2), cell(results, setting, "motion/share", 2)]
            cells += [cell(results, setting, key) for key in ("mig", "dci/disentanglement", "r2/linear")]
            cells += [cell(results, setting, f"mse/{region}", 4) for region in ("inside", "edge", "background")]
            gamma = setting.removeprefix("gamma-")
            lines.append(f"| {words} | {gamma} | {len(results)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + missing_rows([*INERTIA])


def control_table() -> str:
    """The networks trained with labels."""
    results = stored("static")
    if not results:
        return missing_rows(["static"]).strip()
    names = {
        "mean squared error of the positions, in [0, 1]": "supervised/encoder/squared_error",
        "linear R² of the factors": "supervised/encoder/r2/linear",
        "MIG": "supervised/encoder/mig",
        "DCI disentanglement": "supervised/encoder/dci/disentanglement",
        "mean squared cross-correlation": "supervised/encoder/squared_cross_correlation",
        "decoder: error a pixel inside": "supervised/decoder/published_mse/inside",
        "decoder: error a pixel on the edge": "supervised/decoder/published_mse/edge",
        "decoder: error a pixel on the background": "supervised/decoder/published_mse/background",
    }
    lines = ["| trained with labels | value |", "| --- | ---: |"]
    lines += [f"| {words} | {interval(values(results, score), 5)} |" for words, score in names.items()]
    return "\n".join(lines)


def guide_table() -> str:
    """A line for every guide of one model: bounds, what they leave, and what a step takes."""
    lines = ["| guide | ELBO | IWAE | IWAE less ELBO | ELBO less that of the first | KL | seconds a step |"]
    lines.append("| --- |" + " ---: |" * 6)
    results = stored("guides")
    for guide in settings_of(results) if results else []:
        cells = [cell(results, guide, score, 1) for score in ("elbo", "iwae", "gap")]
        gains = [result["scores"][f"{guide}/elbo_gain"] for result in results.values()]
        cells += [f"{gain['value']:+.1f} ({gain['low']:+.1f} to {gain['high']:+.1f})" for gain in gains]
        cells += [cell(results, guide, "kl", 1), cell(results, guide, "seconds_a_step", 3)]
        lines.append(f"| {guide} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + missing_rows(["guides"])


BLOCKS: dict[str, Callable[[], str]] = {
    "guides-of-one-model": guide_table,
    "methods": method_table,
    "differences": difference_table,
    "eigenvalues": eigenvalue_table,
    "static-sweep": static_table,
    "prediction-map": prediction_table,
    "inertia": inertia_table,
    "controls": control_table,
}


def write_blocks(text: str) -> str:
    """Return a page with the tables between its markers."""
    return shared_results.write_blocks(text, BLOCKS)


def main() -> None:
    written = run_tables("dynamics", __doc__, ROWS, path_of, finish, PAGES, BLOCKS)
    if written and eigenvalues("dynamics")["object"]:
        draw_figure()


if __name__ == "__main__":
    main()
