"""Give the codes of a moving circle inertia, from none to all, and see what lags, and what dreams.

    python examples/inertial_vae_circle.py

Each code is a blend of what its frame says and of what the two codes before predicted; the next frame is decoded from
it. One run for each gamma, the share of the prediction, in a directory of its own in the output directory; the scores
and the figures of the sweep stand beside them. See docs/papers/disentangled_dynamics.md.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import shared_circle as circle
import torch
from torch import nn

import pyrodis
from pyrodis import metrics
from pyrodis.datasets import render_circle
from pyrodis.guides import InertialGuide
from pyrodis.infer import FitSettings, first_process
from pyrodis.metrics import Score, mean_score
from pyrodis.models import DelayedVAE, NormalPixels, StandardPrior
from pyrodis.options import add_shared_options, run_script

FIRST = 2  # the first frame that is scored, from 0: it is decoded from the code of frame 1
OPACITY = 0.3  # less of a disc than this, in a pixel, is none
MAX_PIXELS = 100  # more pixels than this are no disc; a true one has about 40
MAX_LAG = 2  # frames
ENDS = ("value", "low", "high")
# What is printed of every gamma, and drawn over gamma: a figure, its curves, their scores.
TABLE = ("mse/inside", "mse/edge", "mse/background", "disc_seen", "lag", "motion/share", "mig", "r2/linear")
CURVES = {
    "error": {"inside the circle": "mse/inside", "on its edge": "mse/edge", "background": "mse/background"},
    "lag": {"frames behind": "lag"},
    "motion": {"reconstruction": "motion/reconstruction", "input": "motion/input"},
    "codes": {"MIG": "mig", "DCI disentanglement": "dci/disentanglement", "linear R2": "r2/linear"},
}
VERTICAL = {"error": "squared error a pixel", "lag": "lag, frames", "motion": "variance over time", "codes": "score"}

SHARED: dict[str, Any] = {
    "gammas": [0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
    "networks": "broadcast",
    "channels": 16,
    "latent_dim": 4,
    "beta_norm": 1e-4,
    "kl_cooldown": 1.0,
    "alpha": 1.0,
    "num_train": 8000,
    "batch_size": 16,
    "optimizer": "adam",
    "learning_rate": 3e-3,
    "schedule": "cosine",
    "precision": "bf16-mixed",
}
PRESETS: dict[str, dict[str, Any]] = {
    "default": SHARED | {"num_epochs": 5},
    "best": SHARED | {"channels": 32, "num_train": 40_000, "num_epochs": 5},
    # The document's networks, data, steps and optimizer.
    "paper": SHARED
    | {
        "networks": "published",
        "channels": 32,
        "beta_norm": 1e-3,
        "kl_cooldown": 0.0,
        "num_train": 200_000,
        "num_epochs": 160,
        "batch_size": 64,
        "optimizer": "rmsprop",
        "learning_rate": 1e-4,
        "schedule": "constant",
        "precision": "32-true",
    },
}
SMOKE = {"gammas": [0.5, 1.0], "channels": 2, "num_epochs": 2, "batch_size": 8, "precision": "32-true"}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_options(parser, "inertial_vae_circle")
    option = parser.add_argument_group("model and guide (defaults are those of --preset default)").add_argument
    option(
        "--gammas",
        type=float,
        nargs="+",
        metavar="GAMMA",
        help="how much of a code is the prediction, 0 to 1; a run each (default: 0 .2 .4 .6 .8 1)",
    )
    option("--alpha", type=float, help="how far the last step is continued; 1 is constant velocity (default: 1)")
    option("--learn-alpha", action="store_true", help="learn alpha, from --alpha on (default: fixed)")
    option(
        "--beta-norm",
        type=float,
        help="weight of the KL, times 1024 pixels / latent dimensions; 0 is an autoencoder (default: .0001)",
    )
    option(
        "--kl-cooldown",
        type=float,
        metavar="EPOCHS",
        help="epochs over which the weight of the KL falls from 10,000 times its value: latents open one by one "
        "(default: 1)",
    )
    option("--latent-dim", type=int, help="dimensions of each z_t (default: 4)")
    option("--networks", choices=("broadcast", "conv", "published"), help="encoder and decoder (default: broadcast)")
    option("--channels", type=int, help="channels of the networks' first convolution (default: 16)")
    option = parser.add_argument_group("training (defaults are those of --preset default)").add_argument
    option("--num-train", type=int, help="training sequences (default: 8000)")
    option("--num-epochs", type=int, help="passes over them (default: 5)")
    option("--batch-size", type=int, help="sequences a step (default: 16)")
    option("--optimizer", choices=("adam", "rmsprop"), help="what takes the steps (default: adam)")
    option("--learning-rate", type=float, help="its highest step size (default: 3e-3)")
    option("--schedule", choices=("cosine", "constant"), help="of the learning rate (default: cosine)")
    option("--precision", choices=("bf16-mixed", "32-true"), help="of the networks (default: bf16-mixed)")
    return parser


def apply_preset(options: argparse.Namespace) -> None:
    """Fill the options that were not given with the values of the preset."""
    for name, value in (PRESETS[options.preset] | (SMOKE if options.smoke_test else {})).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    options.gammas = sorted(set(options.gammas))


def make_pair(options: argparse.Namespace, gamma: float, data: Any) -> tuple[DelayedVAE, InertialGuide]:
    """Model and guide, with the same initial networks for every gamma."""
    torch.manual_seed(options.seed)
    dim = options.latent_dim
    encoder, decoder = circle.make_networks(options.networks, dim, options.channels, data.frame_shape)
    model = DelayedVAE(decoder, StandardPrior(dim), NormalPixels(scale=1.0), dim, data.num_frames)
    return model, InertialGuide(encoder, dim, gamma, options.alpha, options.learn_alpha)


def make_settings(options: argparse.Namespace, num_pixels: int) -> FitSettings:
    """The document's loss, halved: it adds beta KL to the squared error; a scale of 1 takes half the squared error."""
    beta = options.beta_norm * num_pixels / options.latent_dim
    return FitSettings(
        num_epochs=options.num_epochs,
        batch_size=options.batch_size,
        optimizer=options.optimizer,
        learning_rate=options.learning_rate,
        schedule=options.schedule,
        kl_weights={"z": beta / 2},
        kl_cooldown_epochs={"z": options.kl_cooldown} if beta and options.kl_cooldown else {},
        precision=options.precision,
        device=options.device,
        seed=options.seed,
    )


def fit(options: argparse.Namespace, pair: tuple[nn.Module, nn.Module], run: Path, data: dict[str, Any]) -> None:
    """Train with one gamma, or go on with it; a run that is finished is read."""
    from pyrodis import plotting

    history = pyrodis.fit(
        *pair,
        data["train"],
        validation=data["validation"],
        settings=make_settings(options, math.prod(data["train"].frame_shape)),
        output=run,
        resume=options.resume,
        overwrite=options.overwrite,
        description={"preset": "smoke test" if options.smoke_test else options.preset, "beta_norm": options.beta_norm},
    )
    print(f"{run.name}: trained in {sum(history.column('seconds')) / 60:.1f} minutes")
    curves = plotting.training_curves({name: history.column(name) for name in history.rows[0]})
    circle.save(run / "figures", "training", curves)


def reconstruct_all(model: nn.Module, guide: nn.Module, data: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips, and frames decoded each from the posterior mean of the code before it."""
    x = torch.stack([item["x"] for item in data.__getitems__([*range(len(data))])])
    return x, torch.cat([pyrodis.reconstruct(model, guide, part) for part in x.split(circle.CHUNK)])


def disc_paths(frames: torch.Tensor, positions: torch.Tensor) -> np.ndarray:
    """Centers of the discs, (N, T, 2) in pixels: of how opaque each pixel is, before the known background.

    A disc before a bright background stands out little; its opacity, (x - background) / (1 - background), does not
    depend on that.
    """
    corners = (torch.full_like(positions[..., :2], corner) for corner in (0.0, 1.0))
    background = torch.stack([render_circle(corner, positions[..., 2:]) for corner in corners]).amin(0)
    opacity = (frames - background) / (1 - background)
    disc = (opacity > OPACITY).sum((-3, -2, -1)) <= MAX_PIXELS
    return np.where(disc.unsqueeze(-1), metrics.disc_centroid(opacity, OPACITY), np.nan)


def lag_scores(x: torch.Tensor, shown: torch.Tensor, positions: torch.Tensor) -> dict[str, Score]:
    """How many frames the discs of the reconstructions are behind, where there are discs."""
    path, truth = disc_paths(shown, positions), disc_paths(x, positions)
    path[:, :FIRST] = np.nan  # what no frame of its own was decoded from
    seen = np.isfinite(path[:, FIRST:]).all(-1)
    scores = {"disc_seen": mean_score(seen.mean(1), ceiling=1.0)}
    if seen[:, : truth.shape[1] - FIRST - MAX_LAG].any():
        scores["lag"] = metrics.lag_of_paths(path, truth, max_lag=MAX_LAG)
    return scores


def motion_scores(x: torch.Tensor, shown: torch.Tensor) -> dict[str, Score]:
    """Variance of a pixel over time, and how much of that of the input the reconstruction has."""
    real, drawn = (frames[:, FIRST:].var(1, correction=0).mean((1, 2, 3)) for frames in (x, shown))
    share = float(drawn.mean() / real.mean())
    return {
        "motion/input": mean_score(real),
        "motion/reconstruction": mean_score(drawn, chance=0.0, ceiling=float(real.mean())),
        "motion/share": Score(share, share, share, 0.0, 1.0, len(x)),
    }


def evaluate(run: Path, model: DelayedVAE, guide: InertialGuide, test: Any) -> dict[str, Score]:
    """Score one gamma, draw its figures, write metrics.json."""
    from pyrodis import plotting

    means, factors = circle.encode_all(guide, test)
    x, shown = reconstruct_all(model, guide, test)
    positions = torch.from_numpy(factors)
    # A code is held against the factors of the frame that is decoded from it.
    scores = circle.code_scores(means[:, FIRST - 1 : -1], factors[:, FIRST:], test.factor_names)
    scores |= circle.region_scores(x[:, FIRST:], shown[:, FIRST:], positions[:, FIRST:])
    scores |= lag_scores(x, shown, positions) | motion_scores(x, shown)
    scores["alpha"] = circle.number(float(guide.extrapolation), len(x))
    folder = run / "figures"
    circle.draw_codes(folder, model, guide, test, means, factors)
    circle.draw_errors(folder, *(part[:, FIRST:].flatten(0, 1) for part in (x, shown, positions)))
    rows = torch.stack([x[:6, FIRST:], shown[:6, FIRST:]], dim=1).flatten(0, 1)
    circle.save(folder, "reconstruction", plotting.frame_grid(rows, ["real", "decoded"] * 6, rows_per_group=2))
    circle.write_scores(run, scores)  # last: a run that has them is not scored again
    return scores


def draw_sweep(folder: Path, done: dict[float, dict[str, Score]], frames: dict[str, torch.Tensor]) -> None:
    """Scores over gamma, and the same clips at every gamma."""
    from pyrodis import plotting

    for name, curves in CURVES.items():
        axes = None
        for label, key in curves.items():
            columns = [[getattr(s[key], end) if key in s else np.nan for s in done.values()] for end in ENDS]
            if not np.isnan(columns[0]).all():
                axes = plotting.sweep_curve([*done], *columns, label=label, ax=axes)
        if axes is not None:
            axes.set_xlabel("gamma")
            axes.set_ylabel(VERTICAL[name])
            circle.save(folder, f"sweep_{name}", axes)
    labels, num = [*frames], len(next(iter(frames.values())))
    rows = torch.stack([clips[:, FIRST:] for clips in frames.values()], dim=1).flatten(0, 1)
    grid = plotting.frame_grid(rows, labels * num, rows_per_group=len(labels), scale=2)
    circle.save(folder, "reconstructions", grid)
    plotting.save_gif(folder / "reconstructions.gif", rows, fps=4, columns=len(labels), labels=labels * num)


def sweep_table(done: dict[float, dict[str, Score]]) -> str:
    """The scores of all gammas as a Markdown table, with half the widths of their intervals."""
    lines = [["gamma", *TABLE], ["---:"] * (len(TABLE) + 1)]
    for gamma, scores in done.items():
        known = [scores.get(name) for name in TABLE]
        cells = ["none" if s is None else f"{s.value:.3g} ± {(s.high - s.low) / 2:.1g}" for s in known]
        lines.append([f"{gamma:g}", *cells])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main(options: argparse.Namespace) -> None:
    import matplotlib

    matplotlib.use("Agg")
    apply_preset(options)
    output = Path(options.output)
    runs = {gamma: output / f"gamma-{gamma:g}" for gamma in options.gammas}
    circle.check_free([*runs.values()], options)
    data = circle.load_circles(True, options.num_train, options.smoke_test)
    pairs = {gamma: make_pair(options, gamma, data["train"]) for gamma in runs}  # bad options fail before all training
    if options.preset == "paper" and not options.smoke_test:
        circle.say_hours(*pairs[options.gammas[0]], data["train"], options, len(runs))
    x = torch.stack([item["x"] for item in data["test"].__getitems__([*range(3)])])
    done, frames = {}, {"input": x}
    for gamma, run in runs.items():
        fit(options, pairs[gamma], run, data)
        if not first_process():
            continue  # to the next training
        known = circle.read_scores(run) if options.resume else {}
        done[gamma] = known or evaluate(run, *pairs[gamma], data["test"])
        frames[f"gamma {gamma:g}"] = pyrodis.reconstruct(*pairs[gamma], x)
    if not first_process():
        return
    circle.write_scores(output, {f"gamma-{g:g}/{name}": s for g, scores in done.items() for name, s in scores.items()})
    draw_sweep(output / "figures", done, frames)
    print(sweep_table(done))
    print(f"every gamma has its run in {output}; load one with pyrodis.load({str(runs[options.gammas[0]])!r})")


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
