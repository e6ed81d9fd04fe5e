"""Train beta-VAEs on a circle before a Gaussian background, one for each beta, and see which latents hold what.

    python examples/beta_vae_circle.py

Every value of beta has a run directory of its own in the output directory, which holds the scores and the figures of
the whole sweep besides. On moving circles, --prediction-weights adds the error of linear prediction to the objective
and sweeps over both weights. See docs/papers/disentangled_dynamics.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shared_circle as circle
import torch
from safetensors.torch import save_file
from torch import nn

import pyrodis
from pyrodis import metrics
from pyrodis.guides import DeltaGuide, MeanFieldGuide
from pyrodis.infer import FitSettings, LinearPrediction, add_guide_penalty, first_process, fit_supervised
from pyrodis.metrics import Score
from pyrodis.models import BetaVAE, NormalPixels, StandardPrior
from pyrodis.options import add_shared_options, run_script
from pyrodis.plotting import score_table
from pyrodis.regularizers import linear_prediction_error

BETAS = tuple(float(f"{beta:.3g}") for beta in np.geomspace(0.001, 5, 6))  # of the document
PREDICTION_WEIGHTS = (0, 1e-4, 1e-2, 1, 1e2, 1e4)  # of the document; for --prediction-weights

# What the document reports on resting circles after 500,000 steps, by beta_norm: squared error a pixel inside, on the
# edge and on the background, squared correlation of latents, live latents. From .166 on its latents are dead.
DOCUMENT: dict[float, tuple[float, float, float, float | None, int]] = {
    0.001: (0.018, 0.025, 0.0004, 0.007, 4),
    0.00549: (0.283, 0.196, 0.0015, 0.065, 2),
    0.0302: (0.266, 0.183, 0.0044, 0.028, 2),
} | dict.fromkeys(BETAS[3:], (0.246, 0.172, 0.046, None, 0))

# What a preset sets; every value can be overridden by its own option.
SHARED: dict[str, Any] = {
    "betas": BETAS,
    "networks": "conv",  # leaves the plateau on which only the background is drawn sooner than "broadcast"
    "channels": 16,
    "latent_dim": 4,
    "batch_size": 64,
    "optimizer": "adam",
    "learning_rate": 4e-3,
    "kl_warmup_epochs": 3,
    "kl_cooldown": 0.0,
    "schedule": "cosine",
    "precision": "bf16-mixed",
}
PRESETS: dict[str, dict[str, Any]] = {
    # Minutes on two cores.
    "default": SHARED | {"num_steps": 4000, "num_train": 32_000},
    # More channels and steps, where the document's latents begin to die.
    "best": SHARED | {"betas": (0.0001, 0.001, 0.00549), "channels": 32, "num_steps": 20_000, "num_train": 160_000},
    # The document's networks, sizes and optimizer, for a GPU.
    "paper": SHARED
    | {
        "networks": "published",
        "channels": 32,
        "num_steps": 500_000,
        "num_train": 262_144,
        "optimizer": "rmsprop",
        "learning_rate": 1e-4,
        "kl_warmup_epochs": 0,
        "schedule": "constant",
        "precision": "32-true",
    },
}
# A moving clip has ten frames, so that a step costs ten times as much. Within so few steps the circle is found by
# networks that know where they draw, whose latents open one by one.
SHARED_MOVING: dict[str, Any] = {
    "networks": "broadcast",
    "batch_size": 16,
    "learning_rate": 3e-3,
    "kl_warmup_epochs": 0,
    "kl_cooldown": 1.0,
}
MOVING: dict[str, dict[str, Any]] = {
    "default": SHARED_MOVING | {"num_steps": 2500, "num_train": 8000},
    "best": SHARED_MOVING | {"num_steps": 12_500, "num_train": 40_000},
    "paper": {"num_train": 200_000},
}
SMOKE: dict[str, Any] = {"betas": (0.001, 5.0), "channels": 2, "num_steps": 6, "batch_size": 8, "precision": "32-true"}


@dataclass(frozen=True)
class Setting:
    """One run of the sweep.

    Args:
        beta: beta_norm; 0 is the autoencoder.
        weight: Weight of the error of linear prediction; None where the sweep has no such penalty.
    """

    beta: float
    weight: float | None = None

    @property
    def name(self) -> str:
        beta = f"beta-{self.beta:.4g}" if self.beta else "autoencoder"
        return beta if self.weight is None else f"{beta}-prediction-{self.weight:.4g}"


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_options(parser, "beta_vae_circle")
    option = parser.add_argument_group("what is swept").add_argument
    option(
        "--data",
        choices=("static", "moving"),
        default="static",
        help="frames in which the circle rests, or clips of ten frames in which it moves (default: static)",
    )
    option(
        "--betas",
        type=float,
        nargs="+",
        metavar="BETA",
        help="beta_norm = beta x latents / pixels of each run (default: the document's six from .001 to 5)",
    )
    option("--autoencoder", action="store_true", help="also a run with beta 0, whose codes have no noise")
    option(
        "--prediction-weights",
        type=float,
        nargs="+",
        metavar="WEIGHT",
        help="train each beta with each of these weights of the squared error of linear prediction of codes; needs "
        f"--data moving (default: none; the document's: {' '.join(f'{w:g}' for w in PREDICTION_WEIGHTS)})",
    )
    option("--alpha", type=float, default=1.0, help="how much of the last step is predicted to repeat (default: 1)")
    option("--learn-alpha", action="store_true", help="learn it, from --alpha on (default: fixed)")
    option(
        "--supervised",
        action="store_true",
        help="also the controls with labels: the encoder trained to give the positions, the decoder to draw them",
    )
    option = parser.add_argument_group("networks and training (defaults are those of --preset default)").add_argument
    option(
        "--networks",
        choices=("broadcast", "conv", "published"),
        help="encoder and decoder (default: conv; moving: broadcast)",
    )
    option("--channels", type=int, help="channels of the networks' first convolution (default: 16)")
    option("--latent-dim", type=int, help="dimensions of a frame's code (default: 4)")
    option("--num-steps", type=int, help="optimizer steps of each run (default: 4000; moving: 2500)")
    option("--num-train", type=int, help="training clips (default: 32000; moving: 8000)")
    option("--batch-size", type=int, help="clips a step (default: 64; moving: 16)")
    option("--optimizer", choices=("adam", "rmsprop"), help="what takes the steps (default: adam)")
    option("--learning-rate", type=float, help="its highest step size (default: 4e-3; moving: 3e-3)")
    option("--kl-warmup-epochs", type=int, help="epochs over which beta rises from 0 (default: 3; moving: 0)")
    option(
        "--kl-cooldown",
        type=float,
        metavar="EPOCHS",
        help="epochs over which the weight of the KL falls from 10,000 times its value: latents open one by one "
        "(default: 0; moving: 1)",
    )
    option("--schedule", choices=("cosine", "constant"), help="of the learning rate (default: cosine)")
    option("--precision", choices=("bf16-mixed", "32-true"), help="of the networks (default: bf16-mixed)")
    return parser


def apply_preset(options: argparse.Namespace) -> None:
    """Fill the options that were not given with the values of the preset."""
    moving = MOVING[options.preset] if options.data == "moving" else {}
    for name, value in (PRESETS[options.preset] | moving | (SMOKE if options.smoke_test else {})).items():
        if getattr(options, name) is None:
            setattr(options, name, value)


def make_settings(options: argparse.Namespace) -> list[Setting]:
    """All runs of the sweep, beta after beta."""
    betas = sorted({*options.betas, *([0.0] if options.autoencoder else [])})
    weights = sorted({*(options.prediction_weights or ())}) or [None]
    for name, values in (("--betas", betas), ("--prediction-weights", [w for w in weights if w is not None])):
        if not all(math.isfinite(value) and value >= 0 for value in values):
            raise ValueError(f"{name} must be finite numbers of at least 0, got {values}")
    if options.prediction_weights and options.data == "static":
        raise ValueError("--prediction-weights needs clips of several frames: add --data moving")
    if options.learn_alpha and not options.prediction_weights:
        raise ValueError("--learn-alpha needs a prediction: add --prediction-weights, such as 0.01")
    settings = [Setting(beta, weight) for beta in betas for weight in weights]
    if len({setting.name for setting in settings}) < len(settings):
        raise ValueError(f"--betas and --prediction-weights must differ in four digits, got {betas} and {weights}")
    return settings


def kl_weight(beta_norm: float, latent_dim: int, frame_shape: tuple[int, int, int]) -> float:
    """Weight of the KL term that stands for a beta_norm.

    The document's loss is the sum of squared errors + beta KL, beta = beta_norm x pixels / latents. The nll of
    `NormalPixels(scale=1)` is half of that sum, so that the weight of all else is halved as well.
    """
    return beta_norm * math.prod(frame_shape) / latent_dim / 2


def make_pair(options: argparse.Namespace, beta: float, data: Any) -> tuple[BetaVAE, Any]:
    """Model and guide, of the same initial weights for all runs."""
    torch.manual_seed(options.seed)
    size = options.latent_dim
    encoder, decoder = circle.make_networks(options.networks, size, options.channels, data.frame_shape)
    model = BetaVAE(decoder, StandardPrior(size), NormalPixels(scale=1.0), size, data.num_frames)
    return model, MeanFieldGuide(encoder, size) if beta else DeltaGuide(encoder, size)


def penalize(guide: nn.Module, setting: Setting, prediction: LinearPrediction) -> nn.Module:
    """The guide with the error of its prediction in the objective, which is half of the published one."""
    return add_guide_penalty(guide, "prediction", prediction, setting.weight / 2) if setting.weight else guide


def make_fit_settings(options: argparse.Namespace, beta: float, data: Any) -> FitSettings:
    return FitSettings(
        num_epochs=math.ceil(options.num_steps / math.ceil(len(data) / options.batch_size)),
        max_steps=options.num_steps,
        batch_size=options.batch_size,
        optimizer=options.optimizer,
        learning_rate=options.learning_rate,
        schedule=options.schedule,
        kl_weights={"z": kl_weight(beta, options.latent_dim, data.frame_shape)},
        kl_warmup_epochs=options.kl_warmup_epochs,
        kl_cooldown_epochs={"z": options.kl_cooldown} if beta and options.kl_cooldown else {},
        precision=options.precision,
        device=options.device,
        seed=options.seed,
    )


def say_hours(options: argparse.Namespace, data: Any, num_runs: int) -> None:
    """Time one step and print what the whole sweep would take on this CPU."""
    model, guide = make_pair(options, 1.0, data)
    clips = torch.stack([item["x"] for item in data.__getitems__([*range(options.batch_size)])])
    start = time.perf_counter()
    pyrodis.NamedELBO()(model, guide)(clips).backward()
    hours = (time.perf_counter() - start) * options.num_steps * num_runs / 3600
    print(f"on this CPU {num_runs} runs of {options.num_steps} steps take about {hours:.0f} hours")


def train(options: argparse.Namespace, setting: Setting, data: dict[str, Any]) -> tuple[Any, Any, Any, float]:
    """Train one run or go on with it: model, guide, history, and the alpha that was used."""
    model, guide = make_pair(options, setting.beta, data["train"])
    prediction = LinearPrediction(alpha=options.alpha, learn_alpha=options.learn_alpha)
    history = pyrodis.fit(
        model,
        penalize(guide, setting, prediction),
        data["train"],
        validation=data["validation"],
        settings=make_fit_settings(options, setting.beta, data["train"]),
        output=Path(options.output) / setting.name,
        resume=options.resume,
        overwrite=options.overwrite,
        description={
            "preset": "smoke test" if options.smoke_test else options.preset,
            "beta_norm": setting.beta,
            "prediction_weight": setting.weight,
            "alpha": "learned" if options.learn_alpha else options.alpha,
        },
    )
    return model.cpu().eval(), guide.cpu().eval(), history, float(prediction.coefficient.detach())


def prediction_scores(means: np.ndarray, alpha: float) -> dict[str, Score]:
    """How straight the codes of clips run: the error of linear prediction, and its ratio to the codes' steps."""
    codes = torch.from_numpy(means)
    errors, steps = linear_prediction_error(codes, alpha), linear_prediction_error(codes, 0.0)
    scores = {"prediction_error": metrics.mean_score(errors.numpy(), ceiling=0.0)}
    if float(steps.sum()) > 0:  # less than 1: better than to predict that nothing moves
        scores["relative_prediction_error"] = circle.number(float(errors.sum() / steps.sum()), len(means), 0.0)
    return scores


def evaluate(run: Path, setting: Setting, model: Any, guide: Any, history: Any, alpha: float, test: Any) -> None:
    """Score a run, draw its figures, and write metrics.json last: where it is, nothing is left to do."""
    from pyrodis import plotting

    codes, factors = circle.encode_all(guide, test)
    means = codes
    if not setting.beta:  # codes without noise have no unit of their own
        means = codes / max(codes.reshape(-1, codes.shape[-1]).std(0).max(), 1e-6)
    scores = circle.code_scores(means, factors, test.factor_names)
    if means.shape[1] > 2:
        scores |= prediction_scores(means, alpha)
    if setting.weight:
        scores["alpha"] = circle.number(alpha, 1)
    positions = circle.position_grid(4 if len(test) < 100 else 8)
    frames = circle.still_frames(positions)
    shown = circle.reconstruct_stills(model, guide, frames, 1)
    scores |= circle.region_scores(frames, shown, positions)
    folder = run / "figures"
    curves = plotting.training_curves({name: history.column(name) for name in history.rows[0]})
    circle.save(folder, "training", curves)
    circle.draw_codes(folder, model, guide, test, codes, factors)
    circle.draw_errors(folder, frames, shown, positions)
    if means.shape[1] > 1:
        clips = torch.stack([item["x"] for item in test.__getitems__([*range(5)])])
        tiles = torch.cat([clips, pyrodis.reconstruct(model, guide, clips)])
        plotting.save_gif(folder / "clips.gif", tiles, columns=5, labels=["clip"] * 5 + ["decoded"] * 5)
    circle.write_scores(run, scores)


def claim_controls(options: argparse.Namespace, run: Path) -> bool:
    """Whether the controls are still to be trained; their settings are written where nothing speaks against them."""
    names = ("data", "networks", "channels", "num_steps", "num_train", "batch_size", "learning_rate", "seed")
    config = {name: getattr(options, name) for name in names} | {"version": pyrodis.__version__}
    file = run / "config.json"
    if file.exists() and not options.overwrite:
        old = json.loads(file.read_text())
        if not options.resume or old != config:
            raise FileExistsError(f"{run} holds controls of {old}; use --resume with the same settings, or --overwrite")
    run.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(config, indent=2) + "\n")
    if options.overwrite:
        (run / "metrics.json").unlink(missing_ok=True)
    return not (run / "metrics.json").exists()


def train_control(options: argparse.Namespace, run: Path, side: str, network: nn.Module, train: Any) -> nn.Module:
    """Train the encoder or the decoder with labels, and keep its weights and its errors."""
    from pyrodis import plotting

    on_gpu = options.device == "cuda" or (options.device == "auto" and torch.cuda.is_available())
    inputs, targets = ("x", "factors") if side == "encoder" else ("factors", "x")
    history = fit_supervised(
        network.to("cuda" if on_gpu else "cpu"),
        train,
        inputs,
        targets,
        num_steps=options.num_steps,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        seed=options.seed,
    )
    network.cpu()
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, run / f"{side}.safetensors")
    with (run / f"{side}_history.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(history.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history.rows)
    curves = plotting.training_curves({name: history.column(name) for name in history.rows[0]}, unit="squared error")
    circle.save(run / "figures", f"{side}_training", curves)
    return network


@torch.no_grad()
def run_controls(options: argparse.Namespace, data: dict[str, Any]) -> dict[str, Score]:
    """Train, score and draw the controls: what encoder and decoder learn when they are told the positions."""
    from pyrodis import plotting

    run, test, names = Path(options.output) / "supervised", data["test"], data["test"].factor_names
    if not claim_controls(options, run):
        return circle.read_scores(run)
    torch.manual_seed(options.seed)
    encoder, decoder = circle.make_networks(options.networks, len(names), options.channels, test.frame_shape)
    reader: nn.Module = nn.Sequential(encoder, nn.Linear(encoder.feature_dim, len(names)))
    painter: nn.Module = nn.Sequential(decoder, nn.Sigmoid())
    with torch.enable_grad():
        reader = train_control(options, run, "encoder", reader, data["train"])
        painter = train_control(options, run, "decoder", painter, data["train"])

    items = test.__getitems__([*range(len(test))])
    factors = torch.stack([item["factors"] for item in items])
    told = torch.cat([reader(torch.stack([i["x"] for i in items[k : k + 100]])) for k in range(0, len(items), 100)])
    squares = (told - factors).square().mean(dim=(-2, -1))
    scores = {"encoder/squared_error": metrics.mean_score(squares.numpy(), chance=1 / 12, ceiling=0.0)}
    scores |= {f"encoder/{k}": v for k, v in circle.code_scores(told.numpy(), factors.numpy(), names).items()}
    values = torch.linspace(0, 1, 21)
    sweeps = {}
    for i, name in enumerate(names):
        positions = torch.full((len(values), len(names)), 0.5)
        positions[:, i] = values
        sweeps[name] = reader(circle.still_frames(positions)).numpy()
    axes = plotting.factor_sweep(values, sweeps, list(names))
    axes[0].set_ylabel("what the encoder says", fontsize=9)
    circle.save(run / "figures", "factor_sweeps", axes)
    matrix = metrics.latent_factor_correlation(told.flatten(0, 1).numpy(), factors.flatten(0, 1).numpy())
    circle.save(run / "figures", "factor_correlation", plotting.correlation_matrix(matrix, list(names), list(names)))
    positions = circle.position_grid(4 if len(test) < 100 else 8)
    frames = circle.still_frames(positions)
    shown = torch.cat([painter(part) for part in positions.split(100)])
    scores |= {f"decoder/{k}": v for k, v in circle.region_scores(frames, shown, positions).items()}
    circle.draw_errors(run / "figures", frames, shown, positions)
    circle.write_scores(run, scores)
    return scores


def value_of(scores: dict[str, Score], name: str) -> float:
    return scores[name].value if name in scores else math.nan


def sweep_table(results: dict[Setting, dict[str, Score]], compare: bool) -> str:
    """The sweep as a Markdown table; errors are a pixel, by the published masks, the document's beside them."""
    heads = ["beta_norm", "prediction", "live", "MIG", "DCI", "correlation²", "inside", "edge", "background"]
    heads += ["document: live", "correlation²", "inside", "edge", "background"] if compare else []
    rows = [heads, ["---:"] * len(heads)]
    columns = ("active_units", "mig", "dci/disentanglement", "squared_cross_correlation")
    columns += tuple(f"published_mse/{region}" for region in ("inside", "edge", "background"))
    for setting, scores in results.items():
        row = [f"{setting.beta:g}", "" if setting.weight is None else f"{setting.weight:g}"]
        row += [f"{value_of(scores, name):.3g}" for name in columns]
        near = [beta for beta in DOCUMENT if math.isclose(beta, setting.beta, rel_tol=0.02)]
        if compare and near:
            inside, edge, background, correlation, live = DOCUMENT[near[0]]
            row += [str(live), "" if correlation is None else str(correlation), str(inside), str(edge), str(background)]
        elif compare:
            row += [""] * 5
        rows.append(row)
    return "\n".join(f"| {' | '.join('' if cell == 'nan' else cell for cell in row)} |" for row in rows)


def draw_curves(folder: Path, results: dict[Setting, dict[str, Score]], compare: bool) -> None:
    """Errors, scores and live latents over beta; the document's errors beside them where they can be compared."""
    from pyrodis import plotting

    betas = [setting.beta for setting in results]
    least = min((beta for beta in betas if beta), default=1.0)
    regions = ("inside", "edge", "background")
    figures = {
        "errors": ("squared error a pixel", {f"published_mse/{region}": region for region in regions}),
        "scores": ("score", {"mig": "MIG", "dci/disentanglement": "DCI", "r2/nonlinear": "R²"}),
        "live_latents": ("live latents", {"active_units": None}),
    }
    for figure, (label, names) in figures.items():
        ax = None
        for name, shown in names.items():
            rows = [scores[name] for scores in results.values()]
            ends = [r.low for r in rows], [r.high for r in rows]
            ax = plotting.sweep_curve(betas, [r.value for r in rows], *ends, label=shown, ax=ax)
        ax.set_xscale("symlog", linthresh=least) if 0 in betas else ax.set_xscale("log")
        if figure == "errors":
            ax.set_yscale("log")
            known = [beta for beta in betas if compare and beta in DOCUMENT]
            for i, region in enumerate(regions if known else ()):
                ends = [DOCUMENT[beta][i] for beta in known]
                ax = plotting.sweep_curve(known, ends, label=f"{region}, document", ax=ax)
        ax.set_xlabel("beta, normalized", fontsize=9)
        ax.set_ylabel(label, fontsize=9)
        circle.save(folder, f"{figure}_over_beta", ax)


def draw_maps(folder: Path, results: dict[Setting, dict[str, Score]]) -> None:
    """Scores over beta and the weight of prediction."""
    from pyrodis import plotting

    betas, weights = sorted({s.beta for s in results}), sorted({s.weight for s in results})
    names = {"mig": "mig", "dci/disentanglement": "dci", "r2/nonlinear": "r2", "active_units": "live_latents"}
    names |= {f"published_mse/{region}": f"error_{region}" for region in ("inside", "edge", "background")}
    names |= {"squared_cross_correlation": "correlation", "relative_prediction_error": "prediction_error"}
    for name, figure in names.items():
        values = [[value_of(results[Setting(beta, weight)], name) for weight in weights] for beta in betas]
        ax = plotting.sweep_map(values, betas, weights, "beta, normalized", "weight of linear prediction")
        ax.set_title(figure.replace("_", " "), fontsize=10)
        circle.save(folder, f"map_{figure}", ax)


def draw_sweep(
    folder: Path, results: dict[Setting, dict[str, Score]], shown: dict[str, torch.Tensor], compare: bool
) -> None:
    """What all runs make of the same frames, and their scores over what was swept."""
    from pyrodis import plotting

    rows = torch.stack([*shown.values()])
    circle.save(folder, "reconstructions", plotting.frame_grid(rows, [*shown]))
    if len({setting.weight for setting in results}) > 1:
        draw_maps(folder, results)
    else:
        draw_curves(folder, results, compare)


def main(options: argparse.Namespace) -> None:
    import matplotlib

    matplotlib.use("Agg")
    apply_preset(options)
    settings = make_settings(options)
    circle.check_free([Path(options.output) / setting.name for setting in settings], options)
    data = circle.load_circles(options.data == "moving", options.num_train, options.smoke_test)
    if options.preset == "paper" and not options.smoke_test:
        say_hours(options, data["train"], len(settings))
    output, results = Path(options.output), {}
    frames = circle.still_frames(torch.rand(10, 4, generator=torch.Generator().manual_seed(0)))
    shown = {"real": frames}
    for setting in settings:
        run = output / setting.name
        model, guide, history, alpha = train(options, setting, data)
        if not first_process():
            continue  # to the next training
        if not (run / "metrics.json").exists():
            evaluate(run, setting, model, guide, history, alpha, data["test"])
        results[setting] = circle.read_scores(run)
        shown[setting.name] = circle.reconstruct_stills(model, guide, frames, 1)
        live, minutes = results[setting]["active_units"].value, sum(history.column("seconds")) / 60
        print(f"{setting.name}: trained in {minutes:.1f} minutes, {live:g} of {options.latent_dim} latents live")
    if not first_process():
        return
    scores = {f"{setting.name}/{name}": score for setting, found in results.items() for name, score in found.items()}
    if options.supervised:
        controls = run_controls(options, data)
        scores |= {f"supervised/{name}": score for name, score in controls.items()}
        print("with labels:")
        print(score_table({k: v for k, v in controls.items() if "circle_" not in k and "background_" not in k}))
    circle.write_scores(output, scores)
    compare = options.data == "static"
    draw_sweep(output / "figures", results, shown, compare)
    print(sweep_table(results, compare))
    print(f"every run has its directory in {output}, with the sweep's metrics.json and figures")


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
