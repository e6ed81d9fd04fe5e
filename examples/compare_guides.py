"""Train every guide against one model, and compare how close each comes to the evidence, and at what price.

    python examples/compare_guides.py

Every guide trains its own copy of the model, from the same initial weights, on the same batches: clips of a moving
circle, or, with --model linear-gaussian, clips whose evidence is known exactly. Each has a run directory of its own in
the output directory; the table and the figure of all stand beside them. See docs/concepts/index.md.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import shared_circle as circle
import torch
from torch import nn

import pyrodis
from pyrodis.guides import (
    BasisTransition,
    DenseTransition,
    DiagonalTransition,
    FactorizedGuide,
    FramewiseGuide,
    FullGuide,
    InformationGuide,
    MeanFieldGuide,
    RotationTransition,
    SmoothingGuide,
    StructuredGuide,
)
from pyrodis.infer import FitSettings, GuideScores, first_process
from pyrodis.metrics import Score, mean_score
from pyrodis.models import BetaVAE, DynamicsPrior, LinearGaussianDynamics, NormalPixels
from pyrodis.options import add_shared_options, run_script
from pyrodis.plotting import guide_table

Pair = tuple[nn.Module, nn.Module]

RECURRENT = {
    "framewise": FramewiseGuide,
    "smoothing": SmoothingGuide,
    "factorized": FactorizedGuide,
    "full": FullGuide,
}
TRANSITIONS = {
    "structured-diagonal": DiagonalTransition,
    "structured-basis": BasisTransition,
    "structured-rotation": RotationTransition,
    "structured-dense": DenseTransition,
}
GUIDES = {
    "mean-field": "frames by themselves",
    "framewise": "the same with a hidden layer",
    "smoothing": "means and scales from all frames, draws independent",
    "factorized": "a frame and the draws before",
    "full": "all frames and the draws before",
    "structured-diagonal": "frames, tied by eigenvalues",
    "structured-basis": "the same in a learned basis",
    "structured-rotation": "frames, tied by 2 x 2 rotations",
    "structured-dense": "frames, tied by matrices",
    "information": "linear dynamics, and what frames say of it",
}

SHARED: dict[str, Any] = {
    "networks": "broadcast",
    "channels": 16,
    "latent_dim": 4,
    "hidden_dim": 128,
    "scale": 0.1,
    "num_train": 8000,
    "batch_size": 16,
    "learning_rate": 3e-3,
    "schedule": "cosine",
    "precision": "bf16-mixed",
    "num_test": 128,
    "num_samples": 50,
}
PRESETS: dict[str, dict[str, Any]] = {
    "default": SHARED | {"num_epochs": 3},
    "best": SHARED | {"channels": 32, "num_epochs": 12, "num_test": 256},
    # No document has this comparison; these are the sizes of those on the circle.
    "paper": SHARED
    | {
        "networks": "published",
        "channels": 32,
        "num_train": 200_000,
        "num_epochs": 160,
        "batch_size": 64,
        "learning_rate": 1e-4,
        "schedule": "constant",
        "precision": "32-true",
        "num_test": 1000,
    },
}
# The linear-Gaussian model has a few pixels and no networks: a minute a guide.
LINEAR: dict[str, Any] = {
    "scale": 0.05,
    "num_train": 4000,
    "batch_size": 64,
    "learning_rate": 1e-2,
    "schedule": "cosine",
    "precision": "32-true",
    "num_test": 500,
}
LINEAR_EPOCHS = {"default": 25, "best": 200, "paper": 200}
SMOKE: dict[str, Any] = {"channels": 2, "hidden_dim": 8, "num_train": 24, "num_epochs": 2, "batch_size": 8}
SMOKE |= {"num_test": 12, "num_samples": 4, "precision": "32-true"}

NUM_FRAMES = 10
OFFSET = 0.5  # of the linear-Gaussian model's pixels


class PixelEncoder(nn.Module):
    """A frame's pixels as its features: what a linear guide reads.

    Args:
        frame_shape: (C, H, W).
        offset: Mean of a pixel.
        scale: Standard deviation of a pixel.
    """

    def __init__(self, frame_shape: tuple[int, int, int], offset: float, scale: float) -> None:
        super().__init__()
        self.frame_shape = frame_shape
        self.offset = offset
        self.scale = scale
        self.feature_dim = math.prod(frame_shape)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return (frames.flatten(-3) - self.offset) / self.scale


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_options(parser, "compare_guides")
    parser.add_argument(
        "--guides",
        nargs="+",
        choices=GUIDES,
        default=[*GUIDES],
        metavar="NAME",
        help="what to compare, the first being what the others are held against (default: all). What each draws a "
        "frame's code from: " + "; ".join(f"{name}: {words}" for name, words in GUIDES.items()),
    )
    parser.add_argument(
        "--model",
        choices=("circle", "linear-gaussian"),
        default="circle",
        help="circle: a VAE with learned eigenvalues in its prior, on moving circles; linear-gaussian: a model of 16 "
        "pixels without parameters whose evidence is known (default: circle)",
    )
    option = parser.add_argument_group("model and guides (defaults are those of --preset default)").add_argument
    option("--networks", choices=("broadcast", "conv", "published"), help="encoder and decoder (default: broadcast)")
    option("--channels", type=int, help="channels of the networks' first convolution (default: 16)")
    option("--latent-dim", type=int, help="dimensions of each z_t (default: 4)")
    option("--hidden-dim", type=int, help="size of the guides' hidden layers and recurrent states (default: 128)")
    option("--scale", type=float, help="standard deviation of a pixel (default: 0.1; linear-gaussian: 0.05)")
    option = parser.add_argument_group("training and scores (defaults are those of --preset default)").add_argument
    option("--num-train", type=int, help="training clips (default: 8000; linear-gaussian: 4000)")
    option("--num-epochs", type=int, help="passes over them (default: 3; linear-gaussian: 25)")
    option("--batch-size", type=int, help="clips a step (default: 16; linear-gaussian: 64)")
    option("--learning-rate", type=float, help="highest step size of Adam (default: 3e-3; linear-gaussian: 1e-2)")
    option("--schedule", choices=("cosine", "constant"), help="of the learning rate (default: cosine)")
    option("--precision", choices=("bf16-mixed", "32-true"), help="of the networks (default: bf16-mixed)")
    option("--num-test", type=int, help="test clips of the bounds (default: 128; linear-gaussian: 500)")
    option("--num-samples", type=int, metavar="K", help="draws a clip of the importance-weighted bound (default: 50)")
    return parser


def apply_preset(options: argparse.Namespace) -> None:
    """Fill the options that were not given with the values of the preset."""
    preset = PRESETS[options.preset]
    if options.model == "linear-gaussian":
        preset = preset | LINEAR | {"num_epochs": LINEAR_EPOCHS[options.preset]}
    for name, value in (preset | (SMOKE if options.smoke_test else {})).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    options.guides = [*dict.fromkeys(options.guides)]


def make_linear(options: argparse.Namespace) -> LinearGaussianDynamics:
    """One chain of codes that turn in pairs, each pair at its own speed, seen through random weights."""
    dim = options.latent_dim
    transition = torch.eye(dim) * 0.9
    for i in range(0, dim - 1, 2):
        angle, modulus = 0.6 / (1 + i), 0.95 - 0.15 * (i % 4 > 0)
        cosine, sine = modulus * math.cos(angle), modulus * math.sin(angle)
        transition[i : i + 2, i : i + 2] = torch.tensor([[cosine, -sine], [sine, cosine]])
    emission = 0.02 * torch.randn(16, dim, generator=torch.Generator().manual_seed(0))
    return LinearGaussianDynamics(
        transition, emission, scale=options.scale, offset=OFFSET, frame_shape=(1, 4, 4), num_frames=NUM_FRAMES
    )


def load_data(options: argparse.Namespace) -> dict[str, Any]:
    """Train, validation and test clips: data sets of circles, or draws of the linear-Gaussian model."""
    if options.model == "circle":
        return circle.load_circles(True, options.num_train, options.smoke_test)
    sizes = {"train": options.num_train, "validation": 500, "test": options.num_test}
    model, clips = make_linear(options), {}
    with torch.random.fork_rng(), torch.no_grad():
        for seed, (split, size) in enumerate(sizes.items()):
            torch.manual_seed(seed)
            clips[split] = model(batch_size=size)["x"]
    return clips


def make_guide(options: argparse.Namespace, name: str, encoder: nn.Module) -> nn.Module:
    dim, hidden_dim = options.latent_dim, options.hidden_dim
    if name == "mean-field":
        return MeanFieldGuide(encoder, dim)
    if name == "information":
        return InformationGuide(encoder, dim)
    if name in RECURRENT:
        return RECURRENT[name](encoder, static_dim=None, dynamic_dim=dim, hidden_dim=hidden_dim)
    transition = TRANSITIONS[name](encoder.feature_dim, dim, hidden_dim)
    return StructuredGuide(encoder, dim, hidden_dim, transition=transition)


def make_pair(options: argparse.Namespace, name: str) -> Pair:
    """A copy of the model, and a guide, with the same initial decoder, prior and encoder for every guide."""
    torch.manual_seed(options.seed)
    if options.model == "linear-gaussian":
        model = make_linear(options)
        spread = math.sqrt(options.scale**2 + float(model.emission.square().sum(1).mean()))
        return model, make_guide(options, name, PixelEncoder(model.frame_shape, OFFSET, spread))
    dim, frame_shape = options.latent_dim, (1, 32, 32)
    encoder, decoder = circle.make_networks(options.networks, dim, options.channels, frame_shape)
    model = BetaVAE(decoder, DynamicsPrior(dim), NormalPixels(options.scale), dim, NUM_FRAMES)
    return model, make_guide(options, name, encoder)


def fit(options: argparse.Namespace, name: str, pair: Pair, data: dict[str, Any]) -> None:
    """Train one guide and its model, or go on with them; a run that is finished is read."""
    from pyrodis import plotting

    run = Path(options.output) / name
    history = pyrodis.fit(
        *pair,
        data["train"],
        validation=data["validation"],
        settings=FitSettings(
            num_epochs=options.num_epochs,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            schedule=options.schedule,
            precision=options.precision,
            device=options.device,
            seed=options.seed,
        ),
        output=run,
        resume=options.resume,
        overwrite=options.overwrite,
        description={"preset": "smoke test" if options.smoke_test else options.preset, "program": options.model},
    )
    print(f"{name}: trained in {sum(history.column('seconds')) / 60:.1f} minutes")
    curves = plotting.training_curves({column: history.column(column) for column in history.rows[0]})
    circle.save(run / "figures", "training", curves)


def test_clips(options: argparse.Namespace, test: Any) -> torch.Tensor:
    """Clips (N, T, C, H, W) for the bounds."""
    if isinstance(test, torch.Tensor):
        return test
    return torch.stack([item["x"] for item in test.__getitems__([*range(min(options.num_test, len(test)))])])


def draw_reconstruction(folder: Path, pair: Pair, x: torch.Tensor) -> None:
    from pyrodis import plotting

    rows = torch.stack([x[:6], pyrodis.reconstruct(*pair, x[:6]).clamp(0, 1)], dim=1).flatten(0, 1)
    scale = max(1, 32 // x.shape[-1])
    grid = plotting.frame_grid(rows, ["real", "decoded"] * 6, rows_per_group=2, scale=scale)
    circle.save(folder, "reconstruction", grid)
    plotting.save_gif(folder / "reconstruction.gif", rows, scale=2 * scale, columns=4)


def bound_scores(row: GuideScores, first: GuideScores) -> dict[str, Score]:
    """A guide's bounds, and what both gain over those of the first guide, clip by clip."""
    scores = {"elbo": row.elbo, "iwae": row.iwae, "gap": row.gap, "nll": row.nll, "kl": row.kl["z"]}
    for bound in ("elbo", "iwae"):
        scores[f"{bound}_gain"] = mean_score(row.per_clip[bound] - first.per_clip[bound], chance=0.0)
    return scores


def exact_scores(model: LinearGaussianDynamics, row: GuideScores, x: torch.Tensor) -> dict[str, Score]:
    """What a guide leaves of the evidence, which is known."""
    evidence = model.double().log_evidence(x.double())
    model.float()
    left = evidence - row.per_clip["elbo"]
    return {
        "evidence": mean_score(evidence),
        "exact_gap": mean_score(left, ceiling=0.0),
        "exact_gap_a_frame": mean_score(left / x.shape[1], ceiling=0.0),
    }


def known_gaps(model: LinearGaussianDynamics, num_frames: int) -> dict[str, Score]:
    """The least gaps, in nats a clip, that networks can reach: all codes independent; each given the frames before."""
    frames = torch.full((1, num_frames, *model.frame_shape), OFFSET, dtype=torch.float64)
    precision = model.double().exact_posterior(frames).precision_matrix[0]
    model.float()
    covariance, size, chain = torch.linalg.inv(precision), model.latent_dim, 0.0
    for end in range(size, len(precision) + 1, size):
        chain += diagonal_gap(torch.linalg.inv(covariance[:end, :end])[-size:, -size:])
    gaps = {"smoothing": diagonal_gap(precision), "full": chain, "information": 0.0}
    return {name: circle.number(gap, 1, 0.0) for name, gap in gaps.items()}


def diagonal_gap(precision: torch.Tensor) -> float:
    """The least KL of a normal with diagonal covariance to one of this precision."""
    return float(precision.diagonal().log().sum() - torch.linalg.slogdet(precision)[1]) / 2


def time_steps(pairs: Mapping[str, Pair], x: torch.Tensor, num_turns: int) -> dict[str, Score]:
    """Median seconds of an ELBO and its gradient, in full precision.

    The guides take turns, so that all wait for other work alike. The interval of the median is from the second to the
    last but one of ten turns.
    """
    seconds: dict[str, list[float]] = {name: [] for name in pairs}
    for turn in range(num_turns + 1):
        for name, pair in pairs.items():
            start = time.perf_counter()
            pyrodis.NamedELBO()(*pair)(x).backward()
            if turn:  # the first turn warms up
                seconds[name].append(time.perf_counter() - start)
            for parameter in (*pair[0].parameters(), *pair[1].parameters()):
                parameter.grad = None
    cut = num_turns // 10
    ends = {name: (np.median(times), *np.sort(times)[[cut, -1 - cut]]) for name, times in seconds.items()}
    return {name: Score(*values, None, 0.0, num_turns) for name, values in ends.items()}


def draw_bounds(folder: Path, done: Mapping[str, Mapping[str, Score]], known: Mapping[str, Score]) -> None:
    """Bars with intervals: both bounds over those of the first guide, the gap, and the seconds of a step."""
    from matplotlib import pyplot

    first, places = next(iter(done)), range(len(done))
    exact = "exact_gap" in done[first]
    panels = {
        "elbo_gain": f"ELBO over that of {first}",
        "iwae_gain": f"IWAE over that of {first}",
        "exact_gap" if exact else "gap": "evidence - ELBO" if exact else "IWAE - ELBO",
        "seconds_a_step": "seconds a step",
    }
    figure, axes = pyplot.subplots(1, 4, figsize=(13, 0.9 + 0.32 * len(done)), sharey=True, layout="constrained")
    for (key, title), ax in zip(panels.items(), axes, strict=True):
        scores = [row[key] for row in done.values()]
        values = np.array([score.value for score in scores])
        errors = np.abs([[s.value - s.low for s in scores], [s.high - s.value for s in scores]])
        ax.barh(places, values, 0.7, xerr=errors, color="#0072b2", error_kw={"lw": 1, "capsize": 2})
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("seconds" if key == "seconds_a_step" else "nats per clip", fontsize=9)
        ax.axvline(0, color="black", lw=0.8)
        ax.locator_params(axis="x", nbins=4)  # more would run into those of the next panel
        ax.spines[["top", "right"]].set_visible(False)
    for name, score in known.items() if exact else ():
        if name in done:
            axes[2].plot(score.value, [*done].index(name), marker="D", ms=5, mfc="white", mec="black", ls="")
    axes[0].set_yticks(places, [*done])
    axes[0].invert_yaxis()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "guides.png", dpi=100, bbox_inches="tight")
    pyplot.close(figure)


def price_table(done: Mapping[str, Mapping[str, Score]], known: Mapping[str, Score]) -> str:
    """What each guide costs and, where the evidence is known, leaves of it, as a Markdown table."""
    exact = "exact_gap" in next(iter(done.values()))
    heads = ["guide", "ELBO gain", "IWAE gain", "seconds a step"]
    heads += ["evidence - ELBO", "a frame", "least possible"] if exact else []
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1)]
    for name, scores in done.items():
        keys = ["elbo_gain", "iwae_gain", "seconds_a_step", *(["exact_gap", "exact_gap_a_frame"] if exact else [])]
        cells = [f"{scores[key].value:.4g} ± {(scores[key].high - scores[key].low) / 2:.2g}" for key in keys]
        least = [f"{known[name].value:.4g}" if name in known else ""] if exact else []
        lines.append([name, *cells, *least])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main(options: argparse.Namespace) -> None:
    import matplotlib

    matplotlib.use("Agg")
    apply_preset(options)
    output = Path(options.output)
    circle.check_free([output / name for name in options.guides], options)
    data = load_data(options)
    pairs = {name: make_pair(options, name) for name in options.guides}  # bad options fail before all training
    if options.preset == "paper" and options.model == "circle" and not options.smoke_test:
        circle.say_hours(*pairs[options.guides[0]], data["train"], options, len(pairs))
    x = test_clips(options, data["test"])
    rows: list[GuideScores] = []
    done: dict[str, dict[str, Score]] = {}
    for name, pair in pairs.items():
        fit(options, name, pair, data)
        if not first_process():
            continue  # to the next training
        rows += pyrodis.compare_guides({name: pair}, x, num_samples=options.num_samples, batch_size=16)
        done[name] = bound_scores(rows[-1], rows[0])
        if isinstance(pair[0], LinearGaussianDynamics):
            done[name] |= exact_scores(pair[0], rows[-1], x)
        draw_reconstruction(output / name / "figures", pair, x)
        print(guide_table(rows[-1:]))
    if not first_process():
        return
    for name, score in time_steps(pairs, x[: options.batch_size], 3 if options.smoke_test else 10).items():
        done[name]["seconds_a_step"] = score
        circle.write_scores(output / name, done[name])
    first = pairs[options.guides[0]][0]
    known = known_gaps(first, x.shape[1]) if isinstance(first, LinearGaussianDynamics) else {}
    scores = {f"{name}/{key}": score for name, row in done.items() for key, score in row.items()}
    circle.write_scores(output, scores | {f"least_gap/{name}": score for name, score in known.items()})
    draw_bounds(output / "figures", done, known)
    print(f"{guide_table(rows)}\n\n{price_table(done, known)}")
    print(f"every guide has its run in {output}; bounds in nats per clip, from {len(x)} test clips")


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
