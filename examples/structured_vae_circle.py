"""Learn eigenvalues of latent dynamics on a moving circle before a resting background, and disentangle the two.

    python examples/structured_vae_circle.py

The structured guide under a prior with learned eigenvalues, beside its negative control: the same guide under a prior
without any. Other methods on the same data, networks and number of steps: --methods. Every method has a run directory
of its own in the output directory. See docs/papers/disentangling_via_dynamics.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import shared_circle as circle
import torch
from torch import nn

import pyrodis
from pyrodis import metrics
from pyrodis.guides import (
    BasisTransition,
    DenseTransition,
    EigenvalueGuide,
    MeanFieldGuide,
    RotationTransition,
    SmoothingGuide,
    StructuredGuide,
)
from pyrodis.infer import FitSettings, LinearPrediction, TotalCorrelation, add_guide_penalty, first_process
from pyrodis.metrics import Score
from pyrodis.models import (
    BetaVAE,
    DynamicsPrior,
    EigenvalueVAE,
    LaplaceEigenvalues,
    LaplacePrior,
    LinearDynamicsPrior,
    NormalPixels,
    SlowFastEigenvalues,
    StandardPrior,
)
from pyrodis.options import add_shared_options, run_script
from pyrodis.plotting import score_table
from pyrodis.regularizers import identity_deviation, increasing_weights, slowness, weighted_slowness

# What a method is, in the order of the tables.
METHODS = {
    "dynamics": "structured guide, prior with learned eigenvalues",
    "control": "structured guide, prior N(0, I): the negative control",
    "mean-field": "mean-field guide, prior with learned eigenvalues",
    "lstm": "LSTM guide, prior with learned eigenvalues",
    "basis": "structured guide in a learned basis, prior with learned eigenvalues",
    "rotation": "structured guide with 2 x 2 rotations, prior with a learned matrix",
    "dense": "structured guide with dense transitions held near the identity, prior with a learned matrix",
    "slowness": "the negative control with a slowness penalty, one weight for all dimensions",
    "weighted-slowness": "the negative control with a slowness penalty whose weight grows with the dimension",
    "laplace": "eigenvalues as latent variables, truncated Laplace prior at 1",
    "slow-fast": "eigenvalues as latent variables, prior of a slow and a fast component",
    "beta-vae": "mean-field guide, prior N(0, I)",
    "prediction": "the same with a penalty on the error of linear prediction",
    "tc-vae": "mean-field guide, prior N(0, I), penalty on total correlation",
    "slow-vae": "mean-field guide, Laplace transitions",
}
LATENT = ("laplace", "slow-fast")  # methods whose eigenvalues are latent variables

SHARED: dict[str, Any] = {
    "networks": "broadcast",
    "channels": 16,
    "latent_dim": 4,
    "scale": 0.1,
    "beta": 1.0,
    "kl_cooldown": 2.0,
    "penalty_weight": None,
    "num_train": 8000,
    "batch_size": 16,
    "learning_rate": 3e-3,
    "precision": "bf16-mixed",
}
PRESETS: dict[str, dict[str, Any]] = {
    "default": SHARED | {"num_epochs": 10},
    "best": SHARED | {"channels": 32, "num_train": 40_000, "num_epochs": 10},
    # The document gives no sizes; these are of the paper beside it: 200,000 sequences, batches of 64, its networks.
    "paper": SHARED
    | {
        "networks": "published",
        "channels": 32,
        "num_train": 200_000,
        "num_epochs": 160,
        "batch_size": 64,
        "learning_rate": 1e-4,
        "precision": "32-true",
    },
}
SMOKE = {"channels": 2, "num_epochs": 2, "batch_size": 8, "precision": "32-true"}
# Weight of a method's penalty where --penalty-weight does not say.
WEIGHTS = {"slowness": 1.0, "weighted-slowness": 1.0, "dense": 1.0, "prediction": 10.0, "tc-vae": 5.0, "slow-vae": 6.0}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_options(parser, "structured_vae_circle")
    described = "; ".join(f"{name}: {words}" for name, words in METHODS.items())
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=METHODS,
        default=["dynamics", "control"],
        metavar="NAME",
        help=f"what to train, one after the other (default: dynamics control). {described}",
    )
    option = parser.add_argument_group(
        "model, guide and training (defaults are those of --preset default)"
    ).add_argument
    option("--networks", choices=("broadcast", "conv", "published"), help="encoder and decoder (default: broadcast)")
    option("--channels", type=int, help="channels of the networks' first convolution (default: 16)")
    option("--latent-dim", type=int, help="dimensions of each z_t (default: 4)")
    option("--scale", type=float, help="standard deviation of a pixel (default: 0.1)")
    option("--beta", type=float, help="weight of the KL terms (default: 1)")
    option(
        "--kl-cooldown",
        type=float,
        metavar="EPOCHS",
        help="epochs over which the weight of the KL falls from 10,000 times its value: latents open one by one "
        "(default: 2)",
    )
    option(
        "--penalty-weight",
        type=float,
        help="weight of a method's penalty; rate of the Laplace transitions (default: by method)",
    )
    option("--num-train", type=int, help="training sequences (default: 8000)")
    option("--num-epochs", type=int, help="passes over them (default: 10)")
    option("--batch-size", type=int, help="sequences a step (default: 16)")
    option("--learning-rate", type=float, help="highest step size of Adam (default: 3e-3)")
    option("--precision", choices=("bf16-mixed", "32-true"), help="of the networks (default: bf16-mixed)")
    return parser


def apply_preset(options: argparse.Namespace) -> None:
    """Fill the options that were not given with the values of the preset."""
    for name, value in (PRESETS[options.preset] | (SMOKE if options.smoke_test else {})).items():
        if getattr(options, name) is None:
            setattr(options, name, value)


def make_guide(method: str, encoder: nn.Module, dim: int) -> nn.Module:
    size = encoder.feature_dim
    if method in ("beta-vae", "prediction", "tc-vae", "slow-vae", "mean-field"):
        return MeanFieldGuide(encoder, dim)
    if method in LATENT:
        return EigenvalueGuide(encoder, dim)
    if method == "lstm":
        return SmoothingGuide(encoder, None, dim)
    transitions = {"basis": BasisTransition, "rotation": RotationTransition, "dense": DenseTransition}
    transition = transitions[method](size, dim, 128) if method in transitions else None
    return StructuredGuide(encoder, dim, 128, transition=transition)


def make_pair(options: argparse.Namespace, method: str, data: Any) -> tuple[Any, Any]:
    """Model and guide of a method, with the same initial networks for every method."""
    torch.manual_seed(options.seed)
    dim, num_frames = options.latent_dim, data.num_frames
    encoder, decoder = circle.make_networks(options.networks, dim, options.channels, data.frame_shape)
    likelihood = NormalPixels(options.scale)
    guide = make_guide(method, encoder, dim)
    if method in LATENT:
        prior = LaplaceEigenvalues(dim) if method == "laplace" else SlowFastEigenvalues(dim)
        return EigenvalueVAE(decoder, prior, likelihood, dim, num_frames), guide
    if method in ("rotation", "dense"):
        return BetaVAE(decoder, LinearDynamicsPrior(dim), likelihood, dim, num_frames), guide
    if method == "slow-vae":
        return BetaVAE(decoder, LaplacePrior(dim, weight_of(options, method)), likelihood, dim, num_frames), guide
    learned = method in ("dynamics", "mean-field", "lstm", "basis")
    return BetaVAE(
        decoder, DynamicsPrior(dim, learn_scale=True) if learned else StandardPrior(dim), likelihood, dim, num_frames
    ), guide


def weight_of(options: argparse.Namespace, method: str) -> float:
    return WEIGHTS.get(method, 1.0) if options.penalty_weight is None else options.penalty_weight


def add_penalties(options: argparse.Namespace, method: str, guide: Any, train: Any) -> Any:
    """The guide with what its method adds to the objective."""
    weight, dim = weight_of(options, method), options.latent_dim
    if method == "slowness":
        return pyrodis.add_penalty(guide, "slow", lambda out: slowness(out["eigenvalues"]), weight, side="guide")
    if method == "weighted-slowness":
        weights = increasing_weights(dim, 1.0)
        penalty = lambda out: weighted_slowness(out["eigenvalues"], weights.to(out["eigenvalues"]))  # noqa: E731
        return pyrodis.add_penalty(guide, "slow", penalty, weight, side="guide")
    if method == "dense":
        penalty = lambda out: identity_deviation(out["transition"])  # noqa: E731
        return pyrodis.add_penalty(guide, "identity", penalty, weight, side="guide")
    if method == "prediction":
        return add_guide_penalty(guide, "prediction", LinearPrediction(), weight)
    if method == "tc-vae":
        return add_guide_penalty(guide, "total_correlation", TotalCorrelation(len(train)), weight)
    return guide


def guide_eigenvalues(guide: nn.Module, data: Any) -> np.ndarray | None:
    """Eigenvalues (N, T - 1, D) that a guide tells of the first clips; None of a guide that has none."""
    x = torch.stack([item["x"] for item in data.__getitems__([*range(min(300, len(data)))])])
    with torch.no_grad():
        told = guide.eval()(x)
    return told["eigenvalues"].numpy() if "eigenvalues" in told else None


def prior_eigenvalues(model: nn.Module) -> np.ndarray | None:
    """Eigenvalues (D) that a prior has learned."""
    prior = getattr(model, "prior", None)
    if isinstance(prior, DynamicsPrior):
        return prior.eigenvalues.detach().numpy()
    if isinstance(prior, LinearDynamicsPrior):
        return torch.linalg.eigvals(prior.transition.detach()).abs().numpy()
    return None


def evaluate(run: Path, model: nn.Module, guide: nn.Module, test: Any, figures: bool = True) -> dict[str, Score]:
    """Score a method, draw its figures, write metrics.json."""
    means, factors = circle.encode_all(guide, test)
    scores = circle.code_scores(means, factors, test.factor_names)
    holds = metrics.assign_latents(means, factors, circle.GROUPS)
    for name, value in zip(test.factor_names, metrics.lag_one_correlation(factors), strict=True):
        scores[f"lag_one_correlation/{name}"] = circle.number(value, len(factors), 1.0)
    scores |= circle.group_scores(means, factors)
    learned = prior_eigenvalues(model)
    if learned is not None:
        scores |= {f"prior_eigenvalue/z{i}": circle.number(value, 1, 1.0) for i, value in enumerate(learned)}
    told = guide_eigenvalues(guide, test)
    if told is not None and told.shape[1:] == (means.shape[1] - 1, means.shape[2]):
        np.save(run / "guide_eigenvalues.npy", told)
        for i in range(means.shape[2]):
            scores[f"guide_eigenvalue/z{i}"] = circle.number(np.median(told[..., i]), told[..., i].size, 1.0)
    positions = circle.position_grid(3 if len(test) < 100 else 6)
    frames = circle.still_frames(positions)
    shown = circle.reconstruct_stills(model, guide, frames, means.shape[1])
    scores |= circle.region_scores(frames, shown, positions)
    circle.write_scores(run, scores)
    print("latents hold: " + ", ".join(f"z{i} {name}" for i, name in enumerate(holds)))
    if figures:
        circle.draw_codes(run / "figures", model, guide, test, means, factors)
        circle.draw_errors(run / "figures", frames, shown, positions)
        draw_inpainting(run / "figures", model, guide, test, holds)
    return scores


def draw_inpainting(folder: Path, model: nn.Module, guide: nn.Module, test: Any, holds: tuple[str, ...]) -> None:
    """Frames, reconstructions, and what lies behind the object: its latents are those of many other clips in turn."""
    from pyrodis import plotting
    from pyrodis.infer import remove_latents

    objects = [i for i, name in enumerate(holds) if name == "object"]
    if not objects or len(objects) == len(holds):
        print(f"no in-painting: the latents hold {', '.join(holds)}, so the object has none, or all, for itself")
        return
    items = test.__getitems__([*range(min(len(test), 38))])
    x = torch.stack([item["x"] for item in items])
    codes = pyrodis.encode(guide, x)
    if set(codes) != {"z"}:
        return
    few = {"z": codes["z"][:6]}
    filled = remove_latents(model, few, objects, donors=codes["z"][6:])
    rows = torch.stack([x[:6], pyrodis.decode(model, few), filled], dim=1).flatten(0, 1)
    labels = ["clip", "reconstruction", "object removed"] * 6
    circle.save(folder, "inpainting", plotting.frame_grid(rows, labels, rows_per_group=3))


def draw_eigenvalues(output: Path, done: dict[str, dict[str, Score]]) -> None:
    """The histogram of the eigenvalues that the prior has learned, those of the control's guide below it."""
    from pyrodis import plotting

    if "dynamics" not in done or "control" not in done:
        return
    scores, told = done["dynamics"], np.load(output / "control" / "guide_eigenvalues.npy")
    expected = {
        name.split("/")[1]: score.value for name, score in scores.items() if name.startswith("lag_one_correlation/")
    }
    learned = by_group(scores, [np.array([scores[f"prior_eigenvalue/z{i}"].value]) for i in range(told.shape[-1])])
    control = by_group(done["control"], [told[..., i].ravel() for i in range(told.shape[-1])])
    circle.save(output / "figures", "eigenvalues", plotting.eigenvalue_histogram(learned, control, expected))


def by_group(scores: dict[str, Score], eigenvalues: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Eigenvalues of each latent under what explains most of it: object or background."""
    found: dict[str, list[np.ndarray]] = {group: [] for group in circle.GROUPS}
    for i, values in enumerate(eigenvalues):
        group = max(found, key=lambda group, i=i: scores[f"explained/z{i}/{group}"].value)
        found[group].append(values)
    return {group: np.concatenate(values) for group, values in found.items() if values}


def fit(options: argparse.Namespace, method: str, data: dict[str, Any]) -> tuple[Any, Any]:
    """Train one method, or go on with it, in its own directory."""
    from pyrodis import plotting

    model, guide = make_pair(options, method, data["train"])
    sites = ("z", "eigenvalues") if method in LATENT else ("z",)
    settings = FitSettings(
        num_epochs=options.num_epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        kl_weights=dict.fromkeys(sites, options.beta),
        kl_cooldown_epochs=dict.fromkeys(sites, options.kl_cooldown) if options.kl_cooldown else {},
        precision=options.precision,
        device=options.device,
        seed=options.seed,
    )
    run = Path(options.output) / method
    history = pyrodis.fit(
        model,
        add_penalties(options, method, guide, data["train"]),
        data["train"],
        validation=data["validation"],
        settings=settings,
        output=run,
        resume=options.resume,
        overwrite=options.overwrite,
        description={"preset": "smoke test" if options.smoke_test else options.preset, "method": method},
    )
    print(f"{method}: trained in {sum(history.column('seconds')) / 60:.1f} minutes")
    curves = plotting.training_curves({name: history.column(name) for name in history.rows[0]})
    circle.save(run / "figures", "training", curves)
    return model.cpu().eval(), guide.cpu().eval()


def main(options: argparse.Namespace) -> None:
    import matplotlib

    matplotlib.use("Agg")
    apply_preset(options)
    options.methods = [*dict.fromkeys(options.methods)]
    circle.check_free([Path(options.output) / method for method in options.methods], options)
    data = circle.load_circles(True, options.num_train, options.smoke_test)
    output, done = Path(options.output), {}
    for method in options.methods:
        model, guide = fit(options, method, data)
        if not first_process():
            continue  # to the next training
        done[method] = evaluate(output / method, model, guide, data["test"])
        shown = ("mig", "dci", "active", "group", "prior_eigenvalue", "published_mse")
        print(score_table({name: score for name, score in done[method].items() if name.startswith(shown)}))
    if not first_process():
        return
    draw_eigenvalues(output, done)
    print(f"every method has its run in {output}; load one with pyrodis.load({str(output / options.methods[0])!r})")


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
