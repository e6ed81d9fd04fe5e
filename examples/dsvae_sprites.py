"""Train a DSVAE on Sprites, judge it from both sides, and draw what it learned.

    python examples/dsvae_sprites.py

One static code f a clip, one dynamic code z_t a frame; then f of one clip with the z of another. The run directory
holds settings, weights, history, scores and figures. See docs/papers/dsvae.md.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pyrodis
from pyrodis.datasets import ClipSubset, ProceduralSprites, Sprites, hold_out
from pyrodis.guides import FactorizedGuide, FramewiseGuide, FullGuide, SmoothingGuide
from pyrodis.infer import (
    Contrast,
    DensityRatio,
    FitSettings,
    LearnedSimilarity,
    MutualInformation,
    Reencoding,
    add_guide_penalty,
    first_process,
)
from pyrodis.infer.evaluation import decode_exchanges, exchange_scores, pair_table, unseen_scores
from pyrodis.infer.judge import train_judge
from pyrodis.metrics import Score, proportion_score, two_sided_wanted
from pyrodis.models import DSVAE, LSTMPrior, MixtureStartPrior, NormalPixels, StandardPrior
from pyrodis.nn import (
    ConvDecoder,
    ConvEncoder,
    Downsample,
    FrameDiscriminator,
    FrameShuffle,
    GaussianBlur,
    HideFrames,
    MeanReader,
    PatchEncoder,
    PatchShuffle,
    RandomCrop,
    RandomGray,
    RandomShift,
    RandomTones,
    Silhouette,
    SingleFrame,
    SubsetFrames,
    SubtractMean,
)
from pyrodis.options import add_shared_options, run_script
from pyrodis.plotting import score_table

GUIDES = {"full": FullGuide, "factorized": FactorizedGuide, "framewise": FramewiseGuide, "smoothing": SmoothingGuide}
PRIORS = {"lstm": LSTMPrior, "mixture": MixtureStartPrior, "standard": StandardPrior}
# What f sees besides patches, and what z sees; z at half the resolution, and in one channel where colors are gone.
STATIC_VIEWS: dict[str, Any] = {
    "none": lambda: None,
    "shuffle": lambda: PatchShuffle(8),
    "single-frame": SingleFrame,
    "frame-shuffle": FrameShuffle,
    "shift": lambda: RandomShift(16),
    "crop": lambda: RandomCrop(16),
}
DYNAMIC_VIEWS: dict[str, Any] = {
    "none": None,
    "tones": lambda: RandomTones(keep_channels=False),
    "gray": lambda: RandomGray(keep_channels=False),
    "silhouette": lambda: Silhouette(keep_channels=False),
    "blur": lambda: GaussianBlur(4),
}
RECIPES = ("none", "mutual-information", "density-ratio", "contrast", "reencoding", "subtract-mean")
BOUND_CLIPS = 128  # test clips of the bounds

# What a preset sets; every value can be overridden by its own option.
SHARED: dict[str, Any] = {
    "guide": "full",
    "prior": "lstm",
    "static_view": "patches",
    "dynamic_view": "tones",
    "static_dim": 16,
    "dynamic_dim": 32,
    "channel_growth": 2,
    "feature_dim": 256,
    "scale": 0.1,
    "learn_scale": False,
    "output_bias": -3.0,
    "kl_cooldown_f": 0.5,
    "batch_size": 32,
    "learning_rate": 3e-3,
    "schedule": "cosine",
    "precision": "bf16-mixed",
}
# A DSVAE as it was published: f and z see all of the frames, and learn together.
PLAIN: dict[str, Any] = {"static_view": "none", "dynamic_view": "none", "static_dim": 64, "kl_cooldown_f": 0.0}
PRESETS: dict[str, dict[str, Any]] = {
    # Minutes on two cores.
    "default": SHARED | {"base_channels": 24, "hidden_dim": 128, "learn_scale": True, "num_epochs": 14},
    # The same recipe with more channels, more passes and a fixed scale of the pixels.
    "best": SHARED | {"base_channels": 32, "hidden_dim": 256, "num_epochs": 48},
    # The document's sizes, network and loss (the network it describes feeds no sample back); for a GPU.
    "paper": SHARED
    | PLAIN
    | {
        "guide": "smoothing",
        "prior": "standard",
        "base_channels": 256,
        "channel_growth": 1,
        "feature_dim": 1024,
        "hidden_dim": 256,
        "scale": math.sqrt(0.5),  # a squared-error loss
        "output_bias": 0.0,
        "num_epochs": 50,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "schedule": "constant",
        "precision": "32-true",
    },
}
SMOKE = {
    "base_channels": 2,
    "feature_dim": 16,
    "hidden_dim": 16,
    "num_epochs": 2,
    "batch_size": 4,
    "precision": "32-true",
}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_options(parser, "dsvae_sprites")
    parser.add_argument(
        "--data",
        choices=("auto", "sprites", "procedural"),
        default="auto",
        help="sprites: the published set; procedural: the stand-in that pyrodis draws; auto: sprites if it is to be "
        "had, else, after saying so, procedural (default: auto)",
    )
    parser.add_argument(
        "--num-views",
        type=int,
        metavar="K",
        help="average the codes over K draws of the guide's random views when scoring (default: one draw)",
    )
    parser.add_argument(
        "--hold-out",
        metavar="FACTOR=VALUE",
        help="train without the characters that have this value of an attribute, such as top=5, and score exchanges "
        "of them with the others as well (default: train on all)",
    )
    model = parser.add_argument_group("model and guide (defaults are those of --preset default)")
    option = model.add_argument
    option("--guide", choices=GUIDES, help="factorization of q(f, z | x) (default: full)")
    option("--plain", action="store_true", help="no views, no cool-down, f of 64 dimensions: the model as published")
    option(
        "--static-view",
        choices=("patches", *STATIC_VIEWS),
        help="what f is inferred from: patches: the set of 2 x 2 patches of two random frames; shuffle: frames of "
        "shuffled patches; single-frame: one random frame; frame-shuffle: frames in random order; shift: frames moved "
        "by up to 16 pixels; crop: a random window of 16 x 16 pixels; none: the frames (default: patches)",
    )
    option(
        "--dynamic-view",
        choices=DYNAMIC_VIEWS,
        help="what z is inferred from, at half the resolution: frames in random tones, in random gray, their outlines, "
        "or blurred; none: the frames (default: tones)",
    )
    option(
        "--hide-frames", type=int, default=0, help="black random frames of every clip that the guide sees (default: 0)"
    )
    option(
        "--prior",
        choices=PRIORS,
        help="prior of z: teacher-forced LSTM, the same from one of 32 starts, or independent N(0, I) (default: lstm)",
    )
    option("--static-dim", type=int, help="dimensions of f (default: 16)")
    option("--dynamic-dim", type=int, help="dimensions of each z_t (default: 32)")
    option("--base-channels", type=int, help="channels after the encoder's first convolution (default: 24)")
    option("--channel-growth", type=int, help="factor of the channels from layer to layer (default: 2)")
    option("--feature-dim", type=int, help="size of a frame's features (default: 256)")
    option("--hidden-dim", type=int, help="size of the guide's and the prior's recurrent states (default: 128)")
    option("--scale", type=float, help="standard deviation of a pixel, or where it starts (default: 0.1)")
    option("--output-bias", type=float, help="logit of a pixel where training starts (default: -3)")
    option(
        "--learn-scale",
        action=argparse.BooleanOptionalAction,
        help="learn the pixels' scale, from --scale on, or keep it (default: learn; other presets: keep)",
    )
    training = parser.add_argument_group("training (defaults are those of --preset default)")
    option = training.add_argument
    option(
        "--elbo",
        choices=("meanfield", "trace"),
        default="meanfield",
        help="KL terms in closed form given the sampled past, or Monte Carlo as Trace_ELBO (default: meanfield)",
    )
    option("--kl-weight-f", type=float, default=1.0, help="weight (beta) of the KL of f (default: 1)")
    option("--kl-weight-z", type=float, default=1.0, help="weight (beta) of the KL of z (default: 1)")
    option(
        "--kl-warmup-epochs",
        type=int,
        default=0,
        help="epochs over which KL weights rise from 0, but that of an f that cools down (default: 0)",
    )
    option(
        "--kl-cooldown-f",
        type=float,
        metavar="EPOCHS",
        help="epochs over which the KL weight of f falls from 10,000 times its value: z learns first (default: 0.5)",
    )
    option("--recipe", choices=RECIPES, default="none", help="a penalty, or a network, against leakage (default: none)")
    option("--recipe-weight", type=float, help="weight of the recipe's penalty (default: 1)")
    option("--learned-similarity", type=float, default=0.0, help="weight of a discriminator's terms (default: 0, none)")
    option("--num-epochs", type=int, help="passes over the training clips (default: 14)")
    option("--batch-size", type=int, help="clips a step (default: 32)")
    option("--learning-rate", type=float, help="highest step size of Adam (default: 3e-3)")
    option("--schedule", choices=("cosine", "constant"), default=None, help="of the learning rate (default: cosine)")
    option("--gradient-clip", type=float, default=None, help="largest norm of the gradient (default: no clipping)")
    option(
        "--patience",
        type=int,
        default=None,
        help="epochs without a better validation before an early stop (default: none)",
    )
    option("--precision", choices=("bf16-mixed", "32-true"), help="of the networks (default: bf16-mixed)")
    return parser


def apply_preset(options: argparse.Namespace) -> None:
    """Fill the options that were not given with the values of the preset."""
    if options.data == "procedural" and options.data_root is not None:
        raise ValueError("--data-root has no effect with --data procedural, which pyrodis draws; leave it out")
    preset = PRESETS[options.preset] | (PLAIN if options.plain else {}) | (SMOKE if options.smoke_test else {})
    for name, value in preset.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.static_view == "patches" and (options.feature_dim < 2 or options.feature_dim % 2):
        raise ValueError(
            f"--feature-dim must be even and at least 2 with --static-view patches, got {options.feature_dim}"
        )
    if options.recipe == "subtract-mean" and options.guide in ("factorized", "framewise"):
        raise ValueError(
            f"--recipe subtract-mean takes a mean over all frames, which --guide {options.guide} must not read; use "
            "--guide full or smoothing"
        )


def load_data(options: argparse.Namespace) -> dict[str, Any]:
    """Sprites where they are or can be had; else, and after saying so, the procedural stand-in."""
    splits = ("train", "fit", "validation", "test")
    if options.smoke_test:
        return {split: ClipSubset(ProceduralSprites(split=split), range(36)) for split in splits}
    if options.data != "procedural":
        try:
            return {split: Sprites(options.data_root, split=split) for split in splits}
        except FileNotFoundError as error:
            if options.data == "sprites" or options.data_root is not None:
                raise
            print(f"no Sprites, so this run is on ProceduralSprites, which pyrodis draws itself: {error}")
    return {split: ProceduralSprites(split=split) for split in splits}


def split_held_out(options: argparse.Namespace, data: dict[str, Any]) -> tuple[str, int] | None:
    """Take the characters with the held-out value out of the training; return factor and value."""
    if options.hold_out is None:
        return None
    factor, _, value = options.hold_out.partition("=")
    attributes = data["test"].factor_names[1:]
    if not value.isdecimal() or factor not in attributes:
        raise ValueError(
            f"--hold-out must be FACTOR=VALUE such as top=5, FACTOR one of {', '.join(attributes)}, "
            f"got {options.hold_out!r}"
        )
    for split in ("fit", "validation"):
        data[split] = hold_out(data[split], factor, int(value))[0]
    hold_out(data["test"], factor, int(value))  # some of the test clips must have it, or there is nothing to score
    return factor, int(value)


def make_static_side(options: argparse.Namespace, frame_shape: tuple[int, int, int]) -> dict[str, Any]:
    """What the guide infers f from: view, encoder, and reader of the features of all frames."""
    if options.static_view == "patches":
        return {
            "encoder": PatchEncoder(frame_shape, options.feature_dim // 2, 32),
            "static_view": SubsetFrames(2),
            "static_reader": MeanReader(options.feature_dim // 2, options.hidden_dim),
        }
    encoder = ConvEncoder(frame_shape, options.feature_dim, options.base_channels, options.channel_growth)
    return {"encoder": encoder, "static_view": STATIC_VIEWS[options.static_view]()}


def make_dynamic_side(options: argparse.Namespace, frame_shape: tuple[int, int, int]) -> dict[str, Any]:
    """What the guide infers z from: view and encoder; nothing where it shares those of f."""
    sizes = (options.feature_dim, options.base_channels, options.channel_growth)
    make_view = DYNAMIC_VIEWS[options.dynamic_view]
    view, encoder = None, None
    if make_view is not None:
        view = torch.nn.Sequential(make_view(), Downsample(2, restore=False))
        num_channels = frame_shape[0] if options.dynamic_view == "blur" else 1
        encoder = ConvEncoder((num_channels, frame_shape[1] // 2, frame_shape[2] // 2), *sizes)
    elif options.static_view != "none" or options.recipe == "subtract-mean":
        encoder = ConvEncoder(frame_shape, *sizes)
    if options.recipe == "subtract-mean":
        encoder = SubtractMean(encoder)
    return {"dynamic_view": view, "dynamic_encoder": encoder}


def make_pair(options: argparse.Namespace, frame_shape: tuple[int, int, int], num_frames: int) -> tuple[DSVAE, Any]:
    torch.manual_seed(options.seed)
    static_dim, dynamic_dim = options.static_dim, options.dynamic_dim
    sides = make_static_side(options, frame_shape) | make_dynamic_side(options, frame_shape)
    if options.hide_frames:
        if sides["static_view"] is not None or sides["dynamic_view"] is not None:
            raise ValueError("--hide-frames shows both codes the same frames, so it takes --plain, not other views")
        sides["static_view"] = sides["dynamic_view"] = HideFrames(options.hide_frames)
    decoder = ConvDecoder(
        static_dim + dynamic_dim,
        frame_shape,
        options.base_channels,
        options.channel_growth,
        output_bias=options.output_bias,
    )
    sizes = (dynamic_dim,) if options.prior == "standard" else (dynamic_dim, options.hidden_dim)
    prior = PRIORS[options.prior](*sizes)
    likelihood = NormalPixels(options.scale, options.learn_scale)
    model = DSVAE(decoder, prior, likelihood, static_dim, dynamic_dim, num_frames)
    guide = GUIDES[options.guide](
        static_dim=static_dim, dynamic_dim=dynamic_dim, hidden_dim=options.hidden_dim, **sides
    )
    return model, guide


def add_recipes(options: argparse.Namespace, model: DSVAE, guide: Any, num_clips: int) -> tuple[Any, Any]:
    """The programs with what the options add to the objective; their own weights stay theirs."""
    weight, trained, penalized = 1.0 if options.recipe_weight is None else options.recipe_weight, model, guide
    if options.recipe_weight is not None and options.recipe in ("none", "subtract-mean"):
        raise ValueError(
            f"--recipe-weight is the weight of a penalty, --recipe {options.recipe} has none; leave it out"
        )
    if options.recipe == "mutual-information":
        penalized = add_guide_penalty(guide, "mutual_information", MutualInformation(num_clips), weight)
    elif options.recipe == "density-ratio":
        ratio = DensityRatio(options.static_dim, options.dynamic_dim, model.num_frames)
        penalized = pyrodis.add_penalty(guide, "dependence", ratio, weight, side="guide")
    elif options.recipe == "contrast":
        penalized = add_guide_penalty(guide, "contrast_f", Contrast("f", FrameShuffle()), weight)
        penalized = add_guide_penalty(penalized, "contrast_z", Contrast("z", RandomTones()), weight)
    elif options.recipe == "reencoding":
        penalized = add_guide_penalty(guide, "reencoding", Reencoding(model), weight)
    if options.learned_similarity:
        weight, discriminator = options.learned_similarity, FrameDiscriminator(model.decoder.frame_shape)
        similarity = LearnedSimilarity(discriminator, weight, weight, num_frames=min(4, model.num_frames))
        trained = pyrodis.add_penalty(model, "similarity", similarity, 1.0, side="model")
    return trained, penalized


def make_settings(options: argparse.Namespace) -> FitSettings:
    return FitSettings(
        num_epochs=options.num_epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        schedule=options.schedule,
        gradient_clip=options.gradient_clip,
        kl_weights={"f": options.kl_weight_f, "z": options.kl_weight_z},
        kl_warmup_epochs=options.kl_warmup_epochs,
        kl_cooldown_epochs={"f": options.kl_cooldown_f} if options.kl_cooldown_f else {},
        analytic=options.elbo == "meanfield",
        precision=options.precision,
        device=options.device,
        seed=options.seed,
        patience=options.patience,
    )


def device_of(options: argparse.Namespace) -> torch.device:
    """What --device auto stands for on this machine."""
    if options.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(options.device)


def say_hours(model: DSVAE, guide: Any, clips: torch.Tensor, settings: FitSettings, num_clips: int) -> None:
    """Time one step of copies and print what the whole training would take on this CPU."""
    elbo = pyrodis.NamedELBO()(*copy.deepcopy((model, guide)))
    start = time.perf_counter()
    with torch.random.fork_rng():  # so that a seed is the same training whether this is said or not
        elbo(clips).backward()
    seconds = time.perf_counter() - start
    hours = seconds / len(clips) * num_clips * settings.num_epochs / 3600
    print(f"on this CPU {settings.num_epochs} epochs take about {hours:.0f} hours, by one step of {len(clips)} clips")


def draw_figures(folder: Path, model: DSVAE, guide: Any, data: Any, scores: dict[str, Any], history: Any) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from pyrodis import plotting

    def save(name: str, axes: Any) -> None:
        figure = axes.figure if hasattr(axes, "figure") else axes.flat[0].figure
        figure.savefig(folder / f"{name}.png", dpi=100, bbox_inches="tight")
        matplotlib.pyplot.close(figure)

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    x_a, x_b = pick_pairs(data, num_pairs=7)
    codes_a = pyrodis.encode(guide, x_a)
    drawn = pyrodis.sample_prior(model, 7)
    # Decodings of a normal likelihood's mean lie in [0, 1] by the sigmoid.
    real_beside = torch.stack([x_a, pyrodis.decode(model, codes_a)], dim=1).flatten(0, 1)
    save("reconstruction", plotting.frame_grid(real_beside, ["real", "reconstruction"] * 7, rows_per_group=2))
    swapped_ab = pyrodis.swap(model, guide, x_a, x_b, take=["z"])
    swapped_ba = pyrodis.swap(model, guide, x_b, x_a, take=["z"])
    save("style_transfer", plotting.swap_grid(x_a, x_b, swapped_ab, swapped_ba))
    one = {site: value[:1].expand(7, *value.shape[1:]) for site, value in codes_a.items()}
    f_drawn = pyrodis.decode(model, {"f": drawn["f"], "z": one["z"]})
    z_drawn = pyrodis.decode(model, {"f": one["f"], "z": drawn["z"]})
    labels = ["real", "reconstruction"]
    first = real_beside[:2]
    save("f_resampled", plotting.frame_grid(torch.cat([first, f_drawn]), labels + ["f drawn, z kept"] * 7))
    save("z_resampled", plotting.frame_grid(torch.cat([first, z_drawn]), labels + ["z drawn, f kept"] * 7))
    save("unconditional", plotting.frame_grid(pyrodis.decode(model, drawn), ["f and z drawn"] * 7))
    save("training", plotting.training_curves({name: history.column(name) for name in history.rows[0]}))
    wanted = two_sided_wanted(data.factor_names)
    save("two_sided", plotting.two_sided_bars({name: scores[name] for name in wanted}, wanted))
    tiles = torch.stack([x_a[:3], x_b[:3], swapped_ab[:3]], dim=1).flatten(0, 1)
    names = ["appearance", "motion", "exchanged"]
    plotting.save_gif(folder / "swap.gif", tiles, columns=3, labels=names * 3)


def pick_pairs(data: Any, num_pairs: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs of clips that differ in motion and in every attribute."""
    generator = torch.Generator().manual_seed(0)
    items = [data[int(i)] for i in torch.randperm(len(data), generator=generator)[:200]]
    pairs = [(a, b) for a, b in zip(items, items[1:], strict=False) if bool((a["factors"] != b["factors"]).all())]
    if len(pairs) < num_pairs:
        raise ValueError(f"the test set must hold {num_pairs} pairs that differ in every factor, found {len(pairs)}")
    return tuple(torch.stack([pair[side]["x"] for pair in pairs[:num_pairs]]) for side in (0, 1))


def bound_scores(options: argparse.Namespace, model: DSVAE, guide: Any, test: Any) -> dict[str, Score]:
    """Evidence bounds of some test clips, in nats: every so many of them, so that they are of many characters."""
    index = range(0, len(test), max(1, len(test) // BOUND_CLIPS))
    clips = torch.stack([item["x"] for item in test.__getitems__([*index][:BOUND_CLIPS])])
    # Ten draws of a clip share its features; eight clips at once fit the cache of a CPU.
    (row,) = pyrodis.compare_guides({options.guide: (model, guide)}, clips, num_samples=20, chunk_size=10, batch_size=8)
    bounds = {"elbo": row.elbo, "iwae": row.iwae, "gap": row.gap, "nll": row.nll}
    return bounds | {f"kl/{site}": score for site, score in row.kl.items()}


def evaluate(
    options: argparse.Namespace,
    run: Path,
    model: DSVAE,
    guide: Any,
    data: dict[str, Any],
    held_out: tuple[str, int] | None,
) -> dict[str, Score]:
    """Score the run by a judge that must first read real clips; write metrics.json and pairs.csv."""
    test, smoke = data["test"], options.smoke_test
    # A judge reads published clips without error, and drawn ones nearly so; that of a smoke test has learned nothing.
    required = 0.0 if smoke else 0.999 if test.name == "sprites" else 0.99
    epochs, cache = (1, run) if smoke else (6, None)
    judge, accuracies = train_judge(
        data["train"], test, num_epochs=epochs, required_accuracy=required, cache=cache, report=print
    )
    print("the judge reads real test clips: " + ", ".join(f"{name} {value:.2%}" for name, value in accuracies.items()))
    for module in (model, guide, judge):
        module.to(device_of(options))
    ways = {"precision": options.precision, "report": print, "num_views": options.num_views}
    decodings = decode_exchanges(model, guide, judge, test, **ways)
    scores = exchange_scores(decodings, test)
    if held_out is not None:
        unseen = unseen_scores(decodings, test, *held_out)
        scores |= {f"held_out/{name}": score for name, score in unseen.items()}
    for module in (model, guide):
        module.cpu()
    scores |= bound_scores(options, model, guide, test)
    for name, value in accuracies.items():
        scores[f"judge/{name}"] = proportion_score(np.arange(len(test)) < round(value * len(test)), None)
    (run / "metrics.json").write_text(json.dumps({name: score.as_dict() for name, score in scores.items()}, indent=1))
    pairs = pair_table(decodings, test)
    with (run / "pairs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(pairs[0]))
        writer.writeheader()
        writer.writerows(pairs)
    wanted = two_sided_wanted(test.factor_names)
    print(score_table({name: scores[name] for name in wanted}, wanted))
    if held_out is not None:
        print(f"exchanges of the clips with {options.hold_out}, which no training clip has, with the others:")
        print(score_table(unseen))
    rest = [name for name in scores if name not in wanted and not name.startswith(("judge", "held_out"))]
    print(score_table({name: scores[name] for name in rest}))
    return scores


def main(options: argparse.Namespace) -> None:
    apply_preset(options)
    data = load_data(options)
    held_out = split_held_out(options, data)
    model, guide = make_pair(options, data["test"].frame_shape, data["test"].num_frames)
    settings = make_settings(options)
    if options.num_views is not None:  # a mistake in it should not wait for the end of the training
        pyrodis.encode(guide, data["test"][0]["x"].unsqueeze(0), num_views=options.num_views)
    if options.preset == "paper" and not options.smoke_test and device_of(options).type == "cpu":
        say_hours(model, guide, torch.stack([data["fit"][i]["x"] for i in range(4)]), settings, len(data["fit"]))
    run = Path(options.output)
    history = pyrodis.fit(
        *add_recipes(options, model, guide, len(data["fit"])),
        data["fit"],
        validation=data["validation"],
        settings=settings,
        output=run,
        resume=options.resume,
        overwrite=options.overwrite,
        description={"preset": "smoke test" if options.smoke_test else options.preset, "hold_out": options.hold_out},
    )
    if not first_process():
        return
    name = data["test"].name
    print(f"trained on {name} in {sum(history.column('seconds')) / 60:.1f} minutes")
    scores = evaluate(options, run, model, guide, data, held_out)
    draw_figures(run / "figures", model, guide, data["test"], scores, history)
    print(f"weights, history.csv, metrics.json and figures are in {run}; load it with pyrodis.load({str(run)!r})")


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
