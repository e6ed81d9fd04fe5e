"""Train VAEs in parallel, one for each digit, on images of two; score whose digit is whose, and draw it.

    python examples/parallel_vae_digits.py --num-components 4

Every VAE sees the whole image and draws it with a mask; labels tell which digits an image holds, or, with other
schedules, stages bring one digit after another. The run directory holds settings, weights, history, scores and figures.
See docs/papers/parallel_vae.md.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import shared_parallel as parallel
import shared_stages as staged
import torch

import pyrodis
from pyrodis import metrics
from pyrodis.datasets import (
    THESIS_PAIRS,
    BundledDigits,
    DigitPairs,
    FashionItems,
    ItemSource,
    MixedItems,
    MNISTItems,
)
from pyrodis.guides import ParallelGuide
from pyrodis.infer import History, Stage, first_process
from pyrodis.metrics import Score
from pyrodis.models import ParallelVAE
from pyrodis.nn import GridDecoder, GridEncoder, GridLocScale, StridedDecoder, StridedEncoder
from pyrodis.options import add_shared_options, run_script
from pyrodis.plotting import score_table

# KL of VAE k on each scene, nats: the thesis's Table 4.1; "e" is an empty place.
THESIS_KL = {
    "ee": (0.63, 0.62, 1.42, 0.48),
    "00": (33.91, 0.70, 20.23, 0.54),
    "11": (0.70, 15.12, 1.81, 0.84),
    "22": (1.90, 0.99, 30.39, 1.03),
    "33": (1.64, 2.19, 28.37, 7.60),
    "01": (17.27, 7.50, 11.15, 0.86),
    "12": (0.85, 8.49, 14.92, 0.39),
}

# What a preset sets; every value can be overridden by its own option.
SHARED: dict[str, Any] = {
    "schedule": "labels",
    "likelihood": "masked",
    "decoder": "strided",
    "grid": 7,
    "latent_channels": 4,
    "latent_dim": 32,
    "num_epochs": 4,
    "batch_size": 32,
    "learning_rate": 3e-3,
    "together_learning_rate": 1e-3,
    "rates": "cosine",
    "beta": 0.5,
    "gamma": 0.009,
    "silence": 4.0,
    "claims": 3.0,
    "output_bias": -3.0,
    "kernel_size": 4,
    "precision": "32-true",
}
PRESETS: dict[str, dict[str, Any]] = {
    # Minutes on two cores.
    "default": SHARED | {"widths": (16, 32), "dense_dim": 64, "num_train": 10_000},
    # Wider networks, more images and more passes over them.
    "best": SHARED | {"widths": (32, 64), "dense_dim": 128, "num_train": 40_000, "num_epochs": 8},
    # The document's hyper-parameters; it tells neither widths nor batches nor epochs.
    "paper": SHARED
    | {
        "schedule": "together",
        "widths": (32, 64),
        "dense_dim": 64,
        "num_train": 60_000,
        "num_epochs": 20,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "together_learning_rate": 1e-4,
        "rates": "constant",
        "output_bias": 0.0,
        "kernel_size": 3,
    },
}
# What goes with labels; the other schedules keep the objective and the networks of the document.
LABELED: dict[str, Any] = {
    "likelihood": "mixture",
    "scale": 0.15,
    "decoder": "grid",
    "beta": 1.0,
    "gamma": 0.0,
    "precision": "bf16-mixed",
}
LABELED_PRESETS: dict[str, dict[str, Any]] = {
    "default": LABELED | {"widths": (8, 16, 32), "num_epochs": 3},
    "best": LABELED | {"widths": (16, 32, 64), "num_epochs": 4},
    "paper": {},
}
GRID_WIDTHS = {
    "default": (8, 16, 32),
    "best": (16, 32, 64),
    "paper": (16, 32, 64),
}  # a layer for each halving down to 7
SMOKE = {"widths": (2, 2, 4), "dense_dim": 8, "latent_dim": 4, "num_train": 32, "num_epochs": 1, "batch_size": 16}
SMOKE |= {"latent_channels": 1, "precision": "32-true"}
SIZES = {"validation": 1_000, "test": 2_000, "unseen": 500, "table": 100}  # the table's are of each scene
SMOKE_SIZES = {"validation": 16, "test": 60, "unseen": 40, "table": 4}


SCHEDULES = {
    "labels": staged.labels,
    "individual": staged.alone,
    "together": staged.together,
    "unsupervised": staged.unsupervised,
}


def strided(options: argparse.Namespace, widths: Any, growth: int) -> tuple[Any, Any, None]:
    """A decoder and an encoder with a code of one vector."""
    _, height, width = DigitPairs.frame_shape
    dense, latent, kernel = growth * options.dense_dim, growth * options.latent_dim, options.kernel_size
    decoder = StridedDecoder(
        latent, (2, height, width), widths[::-1], dense, 0.0, True, options.output_bias, kernel_size=kernel
    )
    return decoder, StridedEncoder((1, height, width), widths, dense), None


def on_grid(options: argparse.Namespace, widths: Any, growth: int) -> tuple[Any, Any, GridLocScale]:
    """A decoder and an encoder with a code in cells, and its head."""
    _, height, width = DigitPairs.frame_shape
    channels, grid = growth * options.latent_channels, options.grid
    decoder = GridDecoder(channels, (2, height, width), grid, widths[::-1], output_bias=options.output_bias)
    return decoder, GridEncoder((1, height, width), channels, grid, widths), GridLocScale()


DECODERS = {"grid": on_grid, "strided": strided}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_options(parser, "parallel_vae_digits")
    option = parser.add_argument
    option(
        "--data",
        choices=("auto", "mnist", "fashion", "bundled"),
        default="auto",
        help="mnist: the published digits, downloaded if need be; fashion: digits 0 and 1, dresses, sneakers, trousers "
        "and bags; bundled: small digits that need no file; auto: mnist where found, else, after saying so, bundled "
        "(default: auto)",
    )
    option(
        "--num-components",
        type=int,
        default=2,
        metavar="K",
        help="VAEs, one for each of the first K types (default: 2)",
    )
    option("--unseen", type=int, nargs="+", default=(), metavar="TYPE", help="further types that are in a test alone")
    option("--single", action="store_true", help="train one VAE of the same size for as many steps as well")
    preset = PRESETS["default"]
    model = parser.add_argument_group("model (defaults are those of --preset default)")
    model.add_argument(
        "--decoder",
        choices=DECODERS,
        help="grid: a code laid out in cells, in encoder and decoder, which have convolutions alone; strided: a code "
        "of one vector, from and to a dense layer (default: grid with --schedule labels, or strided)",
    )
    model.add_argument("--latent-channels", type=int, help=f"latents of a cell (default: {preset['latent_channels']})")
    model.add_argument("--grid", type=int, choices=(7, 14), help=f"cells on each side (default: {preset['grid']})")
    labeled, others = LABELED_PRESETS["default"], "{} with --schedule labels, or {}"
    both = {name: others.format(labeled[name], preset[name]) for name in ("likelihood", "beta", "gamma")}
    staged.add_model_options(model.add_argument, preset | both)
    model.add_argument(
        "--kernel-size",
        type=int,
        choices=(3, 4),
        help="of the decoders' transposed convolutions; 3, as in the document, reaches pixels unevenly (default: 4)",
    )
    model.add_argument(
        "--widths",
        type=int,
        nargs="+",
        help="channels of the encoders' layers (default: 8 16 32 with --schedule labels or --decoder grid, or 16 32)",
    )
    training = parser.add_argument_group("training (defaults are those of --preset default)")
    meaning = "labels: all at once, told which images hold their digit; individual: one component after another, on "
    meaning += "its type and those before; together: and all so far after each; unsupervised: all at once, slower by "
    meaning += "their KL"
    both = {name: others.format(labeled[name], preset[name]) for name in ("num_epochs", "precision")}
    staged.add_training_options(training.add_argument, preset | both, SCHEDULES, meaning)
    training.add_argument("--together-epochs", type=int, help="epochs of the stages together (default: as the others)")
    return parser


def apply_preset(options: argparse.Namespace) -> None:
    """Fill the options that were not given with the values of the preset."""
    preset = PRESETS[options.preset]
    if (options.schedule or preset["schedule"]) == "labels":
        preset = preset | LABELED_PRESETS[options.preset]
    if options.likelihood not in (None, preset["likelihood"]):
        preset = {name: value for name, value in preset.items() if name != "scale"}  # that of the other likelihood
    if (options.decoder or preset["decoder"]) == "grid":
        preset = preset | {"widths": GRID_WIDTHS[options.preset]}
    given = options.latent_dim
    staged.refuse_unused(options, preset)
    staged.fill_preset(options, preset | (SMOKE if options.smoke_test else {}))
    if options.decoder == "grid":
        options.latent_dim = options.latent_channels * options.grid**2
        if given is not None:
            raise ValueError(
                f"--latent-dim must not be given with --decoder grid, got {given}; --latent-channels in each cell of "
                f"--grid make {options.latent_dim}"
            )
    if options.num_components < 2:
        raise ValueError(f"--num-components must be at least 2, got {options.num_components}")
    seen = sorted(number for number in options.unseen if number < options.num_components)
    twice = sorted({number for number in options.unseen if options.unseen.count(number) > 1})
    if twice:
        raise ValueError(f"--unseen must name each type once, got {twice} more than once; leave the others out")
    if options.data == "bundled" and options.data_root is not None:
        raise ValueError("--data-root has no effect with --data bundled, which scikit-learn brings; leave it out")
    if seen:
        raise ValueError(f"--unseen must be types from {options.num_components} on, got {seen}, which are trained on")


def load_source(options: argparse.Namespace) -> tuple[ItemSource, tuple[str, ...]]:
    """Where items come from, and a name for each of its types."""
    digits = tuple(str(number) for number in range(10))
    if options.smoke_test or options.data == "bundled":
        return BundledDigits(), digits
    download = options.data != "auto"
    try:
        mnist = MNISTItems(options.data_root, download=download)
    except FileNotFoundError as error:
        if download or options.data_root is not None:
            raise
        print(f"no MNIST, so this run is on the small digits that scikit-learn brings: {error}")
        return BundledDigits(), digits
    if options.data != "fashion":
        return mnist, digits
    clothes = FashionItems(options.data_root, download=download)
    parts = [(mnist, 0), (mnist, 1), (clothes, 3), (clothes, 7), (clothes, 1), (clothes, 8)]  # the thesis has four
    return MixedItems(parts), ("0", "1", "dress", "sneaker", "trousers", "bag")


def make_pair(options: argparse.Namespace, num: int, widths: Any, growth: int = 1) -> tuple[ParallelVAE, ParallelGuide]:
    """Model and guide of some components; `growth` multiplies their codes and dense layers."""
    torch.manual_seed(options.seed)
    parts = [DECODERS[options.decoder](options, tuple(widths), growth) for _ in range(num)]
    decoders, encoders, heads = (list(found) for found in zip(*parts, strict=True))
    latent = growth * options.latent_dim
    grouped = options.decoder == "grid" and num > 1  # faster with networks of these sizes: benchmarks/components.py
    guide = ParallelGuide(encoders, latent, None if heads[0] is None else heads, grouped)
    return ParallelVAE(decoders, staged.make_likelihood(options), latent, grouped), guide


def make_single(options: argparse.Namespace) -> tuple[ParallelVAE, ParallelGuide]:
    """One VAE with no fewer parameters than all components have: codes and dense layers of their size together."""
    wanted = staged.count_parameters(make_pair(options, options.num_components, options.widths))
    widths = list(options.widths)
    while staged.count_parameters(pair := make_pair(options, 1, widths, options.num_components)) < wanted:
        widths = [width + 1 for width in widths]
    return pair


def load_pairs(options: argparse.Namespace, source: ItemSource) -> Any:
    """Training and validation images of some types, as stages ask for them."""

    def data(items: tuple[Any, ...]) -> tuple[Any, ...]:
        sizes = {"train": options.num_train, "validation": sizes_of(options)["validation"]}
        pairs = (DigitPairs(source, split=s, items=items, num_images=n) for s, n in sizes.items())
        return tuple(staged.labeled(options, part) for part in pairs)

    return data


def sizes_of(options: argparse.Namespace) -> dict[str, int]:
    return SMOKE_SIZES if options.smoke_test else SIZES


def train_single(options: argparse.Namespace, stages: list[Stage], data: Any) -> tuple[Any, Any]:
    """Train one VAE of the components' total size on images of all types, for as many steps as all stages have."""
    from dataclasses import replace

    pair = make_single(options)
    train, validation = data(tuple(range(options.num_components)))
    num_epochs = sum(stage.num_epochs for stage in stages)
    settings = replace(
        staged.make_settings(options),
        num_epochs=num_epochs,
        learning_rate=options.learning_rate,
        slow_learning=None,
        inputs=(),
    )
    pyrodis.fit(
        *pair,
        train,
        validation=validation,
        settings=settings,
        output=Path(options.output) / "single",
        resume=options.resume,
        overwrite=options.overwrite,
    )
    return pair


def table_scenes(num_components: int) -> list[tuple[int | None, int | None]]:
    """The thesis's seven scenes, without types that no component has; with two of a kind for types that it lacks."""
    known = [pair for pair in THESIS_PAIRS if all(number is None or number < num_components for number in pair)]
    return [*known, *((number, number) for number in range(4, num_components))]


def kl_by_scene(options: argparse.Namespace, pair: Any, source: ItemSource, order: list[int]) -> dict[str, list[Score]]:
    """KL of each component on each scene of the table, nats; component order[k] in column k."""
    scenes = table_scenes(options.num_components)
    num = len(scenes) * sizes_of(options)["table"]
    x = parallel.read_items(DigitPairs(source, split="test", pairs=scenes, num_images=num))["x"]
    kl = parallel.explain(*pair, x)["kl"][:, order]
    names = ["".join("e" if number is None else str(number) for number in scene) for scene in scenes]
    columns = {name: kl[i :: len(scenes)].numpy() for i, name in enumerate(names)}
    return {name: [metrics.mean_score(column) for column in kl.T] for name, kl in columns.items()}


def unseen_scores(found: Any, scenes: Any, options: argparse.Namespace, order: list[int]) -> dict[str, Score]:
    """Who draws an item of a type that no component was trained on: the share of each component."""
    mass, types, scores = parallel.mass_on_items(found, scenes)[..., order], scenes["factors"], {}
    for number in options.unseen:
        owners = mass[types == number].argmax(-1)
        for k in range(options.num_components):
            share = metrics.proportion_score((owners == k).numpy(), 1 / options.num_components, None)
            scores[f"unseen/{number}/owned_by_{k}"] = share
    return scores


def evaluate(options: argparse.Namespace, pair: Any, source: ItemSource, names: tuple[str, ...]) -> dict[str, Any]:
    """Scores on test images, what the figures show, and the KL by scene."""
    num, sizes = options.num_components, sizes_of(options)
    items, order = range(num), [*range(num)]
    test = DigitPairs(source, split="test", items=items, num_images=sizes["test"], with_masks=True)
    scenes = parallel.read_items(test)
    if options.schedule == "unsupervised":
        given = DigitPairs(source, split="validation", items=items, num_images=sizes["validation"], with_masks=True)
        seen = parallel.read_items(given)
        order = parallel.match_components(parallel.explain(*pair, seen["x"]), seen, num)
    found = parallel.explain(*pair, scenes["x"])
    scores = parallel.mask_scores(found, scenes, test.num_types, names[:num], order)
    untrained = parallel.explain(*make_pair(options, num, options.widths), scenes["x"])
    start = parallel.mask_scores(untrained, scenes, test.num_types, names[:num], [*range(num)])
    scores["untrained/foreground_ari"] = start["foreground_ari"]
    chance = parallel.squared_errors(scenes["x"], scenes["x"].mean(0, keepdim=True)).mean()
    errors = parallel.squared_errors(scenes["x"], found["reconstruction"])
    scores["mse"] = metrics.mean_score(errors, float(chance), 0.0)
    shown = {"components": (scenes["x"][:12], {name: value[:12] for name, value in found.items()})}
    if options.unseen:
        unseen = parallel.read_items(
            DigitPairs(
                source,
                split="test",
                items=items,
                unseen=options.unseen,
                num_images=sizes["unseen"],
                with_masks=True,
            )
        )
        known = torch.isin(unseen["factors"], torch.tensor(options.unseen)).any(1)
        unseen = {name: value[known] for name, value in unseen.items()}
        found = parallel.explain(*pair, unseen["x"])
        scores |= unseen_scores(found, unseen, options, order)
        shown["unseen"] = (unseen["x"][:12], {name: value[:12] for name, value in found.items()})
    table = kl_by_scene(options, pair, source, order)
    scores |= {f"kl/{scene}/{names[k]}": score for scene, row in table.items() for k, score in enumerate(row)}
    return {"scores": scores, "shown": shown, "table": table, "order": order, "x": scenes["x"], "errors": errors}


def single_scores(pair: Any, result: dict[str, Any]) -> dict[str, Score]:
    """Reconstruction by the one VAE, and how much less or more the components err on the same images."""
    errors = parallel.squared_errors(result["x"], parallel.explain(*pair, result["x"])["reconstruction"])
    chance = result["scores"]["mse"].chance
    less = metrics.mean_score(result["errors"] - errors, 0.0)
    return {"single/mse": metrics.mean_score(errors, chance, 0.0), "mse_less_single": less}


def draw_figures(
    folder: Path, model: Any, result: dict[str, Any], history: History, stages: Any, compare: bool
) -> None:
    for name, (x, found) in result["shown"].items():
        parallel.save(folder, name, parallel.draw_components(x, found))
    kl = {scene: [score.value for score in row] for scene, row in result["table"].items()}
    parallel.save(folder, "kl_by_scene", parallel.draw_kl(kl, THESIS_KL if compare else None))
    parallel.save(folder, "training", parallel.draw_training(history, stages))
    parallel.draw_walks(folder, model, result["shown"]["components"][1]["z"][:6])


def main(options: argparse.Namespace) -> None:
    import matplotlib

    matplotlib.use("Agg")
    apply_preset(options)
    source, names = load_source(options)
    if options.num_components > len(names) or max(options.unseen, default=0) >= len(names):
        raise ValueError(f"the data have {len(names)} types, {', '.join(names)}; ask for no more of them")
    stages, data = SCHEDULES[options.schedule](options), load_pairs(options, source)
    pair = make_pair(options, options.num_components, options.widths)
    num_epochs = sum(stage.num_epochs for stage in stages)
    if options.preset == "paper" and not options.smoke_test:
        x = parallel.read_items(DigitPairs(source, num_images=options.batch_size))["x"]
        staged.say_hours(options, pair, x, num_epochs)
        pair = make_pair(options, options.num_components, options.widths)  # batch normalization has seen images
    history = staged.train(options, pair, stages, data)
    single = train_single(options, stages, data) if options.single else None
    if not first_process():
        return
    print(f"trained {len(stages)} stages on {source.name} in {math.fsum(history.column('seconds')) / 60:.1f} minutes")
    pair = tuple(program.cpu().eval() for program in pair)
    result = evaluate(options, pair, source, names)
    if single is not None:
        result["scores"] |= single_scores(tuple(program.cpu().eval() for program in single), result)
    run, compare = Path(options.output), options.num_components == 4 and options.data != "fashion"
    parallel.write_scores(run, result["scores"])
    draw_figures(run / "figures", pair[0], result, history, stages, compare)
    print(score_table({name: score for name, score in result["scores"].items() if not name.startswith("kl/")}))
    print("KL of each VAE by scene, nats" + (", the thesis's in brackets:" if compare else ":"))
    print(parallel.kl_table(result["table"], THESIS_KL if compare else None))
    print(f"weights, history.csv, metrics.json and figures are in {run}; load it with pyrodis.load({str(run)!r})")


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
