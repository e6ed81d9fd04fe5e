"""Train VAEs in parallel, one for each type of object, on scenes of solids; score whose object is whose, and draw it.

    python examples/parallel_vae_scenes.py --types sphere cylinder

Every VAE sees the whole scene and draws it with a mask; a schedule says which VAE learns from scenes of which types.
One type, or --single, is one VAE. The run directory holds settings, weights, history, scores and figures. See
docs/papers/parallel_vae.md.
"""

from __future__ import annotations

import argparse
import math
import sys
from functools import cache
from pathlib import Path
from typing import Any

import shared_parallel as parallel
import shared_stages as staged
import torch

from pyrodis import metrics
from pyrodis.datasets import CLEVRImages, ClipSubset, FlatScenes, KeptClips, Scenes, type_masks
from pyrodis.guides import ParallelGuide
from pyrodis.infer import History, Stage, first_process, tandem_stages
from pyrodis.metrics import Score
from pyrodis.models import ParallelVAE
from pyrodis.nn import BroadcastDecoder, GridDecoder, GridEncoder, GridLocScale, StridedDecoder, StridedEncoder
from pyrodis.options import add_shared_options, run_script
from pyrodis.plotting import score_table

TYPES = {
    "scenes": ("sphere", "cylinder"),
    "flat": ("square", "ellipse", "heart"),
    "clevr": ("sphere", "cylinder"),
}

# What a preset sets; every value can be overridden by its own option.
SHARED: dict[str, Any] = {
    "schedule": "labels",
    "likelihood": "mixture",
    "scale": 0.15,
    "decoder": "grid",
    "size": 64,
    "grid": 8,
    "latent_channels": 4,
    "broadcast_size": 32,
    "channels": 16,
    "dense_dim": 128,
    "latent_dim": 32,
    "negative_slope": 0.3,
    "batch_norm": True,
    "output_bias": 0.0,
    "beta": 1.0,
    "gamma": 0.0,
    "silence": 50.0,
    "claims": 0.0,
    "batch_size": 32,
    "num_rounds": 10,
    "learning_rate": 3e-3,
    "together_learning_rate": 1e-3,
    "rates": "cosine",
    "precision": "bf16-mixed",
}
PRESETS: dict[str, dict[str, Any]] = {
    # Minutes on two cores.
    "default": SHARED | {"num_train": 8_000, "num_epochs": 8},
    # More channels, more images and more passes over them.
    "best": SHARED | {"channels": 32, "num_train": 20_000, "num_epochs": 16},
    # The document's hyper-parameters; it tells neither channels nor batches nor the lengths of its stages.
    "paper": SHARED
    | {
        "schedule": "tandem",
        "likelihood": "masked",
        "scale": None,
        "decoder": "broadcast",
        "broadcast_size": 64,
        "channels": 32,
        "dense_dim": 256,
        "latent_dim": 128,
        "beta": 0.5,
        "gamma": 0.009,
        "num_train": 10_000,
        "num_epochs": 2,
        "batch_size": 64,
        "num_rounds": 20,
        "learning_rate": 1e-3,
        "together_learning_rate": 1e-4,
        "rates": "constant",
        "precision": "32-true",
    },
}
SMOKE: dict[str, Any] = {
    "latent_channels": 1,
    "broadcast_size": 16,
    "channels": 4,
    "dense_dim": 8,
    "latent_dim": 4,
    "num_train": 32,
    "num_epochs": 1,
    "num_rounds": 1,
    "batch_size": 16,
    "precision": "32-true",
}
SIZES = {"validation": 500, "test": 1_000}
SMOKE_SIZES = {"validation": 16, "test": 40}


def single(options: argparse.Namespace) -> list[Stage]:
    """One VAE on all types, for as many epochs as one for each would have alone."""
    types = tuple(range(len(options.types)))
    return [Stage("single", (0,), types, len(types) * options.num_epochs, options.learning_rate)]


def tandem(options: argparse.Namespace) -> list[Stage]:
    """Each component in its turn, round after round; at the end all together, if asked for."""
    stages = tandem_stages(
        options.num_components, options.num_rounds, options.num_epochs, learning_rate=options.learning_rate
    )
    return stages + last_together(options)


def own(options: argparse.Namespace) -> list[Stage]:
    """Each component in its turn on its type alone; at the end all together, if asked for."""
    rate, num_epochs = options.learning_rate, options.num_epochs
    stages = [Stage(f"train-{k}", (k,), (k,), num_epochs, rate) for k in range(options.num_components)]
    return stages + last_together(options)


def last_together(options: argparse.Namespace) -> list[Stage]:
    everyone = tuple(range(options.num_components))
    if options.together_epochs is None:
        return []
    return [Stage("together", everyone, everyone, options.together_epochs, options.together_learning_rate)]


SCHEDULES = {
    "single": single,
    "individual": staged.alone,
    "own": own,
    "together": staged.together,
    "tandem": tandem,
    "labels": staged.labels,
    "unsupervised": staged.unsupervised,
}


def strided(options: argparse.Namespace, frame_shape: tuple[int, int, int]) -> StridedDecoder:
    return StridedDecoder(
        options.latent_dim,
        frame_shape,
        widths_of(options)[::-1],
        options.dense_dim,
        options.negative_slope,
        options.batch_norm,
        options.output_bias,
    )


def broadcast(options: argparse.Namespace, frame_shape: tuple[int, int, int]) -> BroadcastDecoder:
    grid = options.broadcast_size
    return BroadcastDecoder(
        options.latent_dim, frame_shape, options.channels, broadcast_size=grid, output_bias=options.output_bias
    )


def on_grid(options: argparse.Namespace, frame_shape: tuple[int, int, int]) -> GridDecoder:
    return GridDecoder(
        options.latent_channels,
        frame_shape,
        options.grid,
        grid_widths_of(options)[::-1],
        options.negative_slope,
        options.batch_norm,
        options.output_bias,
    )


DECODERS = {"grid": on_grid, "strided": strided, "broadcast": broadcast}


def solid_scenes(options: argparse.Namespace, split: str, num_images: int, items: Any, with_masks: bool) -> Scenes:
    return Scenes(
        split=split,
        num_images=num_images,
        size=options.size,
        num_objects=(options.min_objects, options.max_objects),
        types=options.types,
        items=items,
        color=not options.gray,
        with_masks=with_masks,
    )


def flat_scenes(options: argparse.Namespace, split: str, num_images: int, items: Any, with_masks: bool) -> FlatScenes:
    return FlatScenes(
        split=split,
        num_images=num_images,
        num_objects=(options.min_objects, options.max_objects),
        types=options.types,
        items=items,
        with_masks=with_masks,
    )


def clevr_images(options: argparse.Namespace, split: str, num_images: int, items: Any, with_masks: bool) -> ClipSubset:
    """Images of CLEVR, which have no masks; every other one of its validation split is for the test."""
    data = CLEVRImages(
        options.data_root,
        split="train" if split == "train" else "validation",
        size=options.size,
        types=options.types,
        items=items,
        max_objects=options.max_objects,
        color=not options.gray,
    )
    every = {"train": range(len(data)), "validation": range(0, len(data), 2), "test": range(1, len(data), 2)}
    return ClipSubset(data, every[split][:num_images])


DATA = {"scenes": solid_scenes, "flat": flat_scenes, "clevr": clevr_images}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_options(parser, "parallel_vae_scenes")
    preset = PRESETS["default"]
    data = parser.add_argument_group("scenes")
    option = data.add_argument
    option(
        "--data",
        choices=DATA,
        default="scenes",
        help="scenes: solids on a plane, drawn by pyrodis; flat: colored shapes on gray, likewise; clevr: the "
        "published images in --data-root, for which there are no scores of masks (default: scenes)",
    )
    option(
        "--types",
        nargs="+",
        metavar="TYPE",
        help="type of each VAE, in their order: of sphere, cylinder, cube, or, where flat, of square, ellipse, heart "
        "(default: sphere cylinder, or square ellipse heart)",
    )
    option("--min-objects", type=int, help="least number of objects, not of clevr (default: 2)")
    option("--max-objects", type=int, help="greatest number of objects (default: 4; of clevr 10)")
    option("--gray", action="store_true", help="scenes without color")
    option("--size", type=int, choices=(64, 128), help="height and width of an image (default: 64)")
    model = parser.add_argument_group("model (defaults are those of --preset default)")
    option = model.add_argument
    option(
        "--decoder",
        choices=DECODERS,
        help="grid: a code laid out in cells, in encoder and decoder, which have convolutions alone; broadcast: the "
        "code at every pixel and convolutions of stride 1; strided: transposed convolutions of stride 2 "
        f"(default: {preset['decoder']})",
    )
    option("--latent-channels", type=int, help=f"latents of a cell (default: {preset['latent_channels']})")
    option("--grid", type=int, choices=(4, 8, 16, 32), help=f"cells on each side (default: {preset['grid']})")
    option("--broadcast-size", type=int, help="side of the grid of a broadcast decoder (default: 32)")
    option(
        "--channels",
        type=int,
        help="N of a broadcast decoder's layers; N/2, N, N and 2 N of those of stride 2; N, 2 N and 4 N of those down "
        f"to a grid (default: {preset['channels']})",
    )
    option("--negative-slope", type=float, help="slope below 0 of the layers of stride 2 (default: 0.3)")
    option("--batch-norm", action=argparse.BooleanOptionalAction, help="in the layers of stride 2 (default: yes)")
    latent_dim = f"{preset['latent_dim']}; of a grid, what is in its cells"
    staged.add_model_options(option, preset | {"latent_dim": latent_dim})
    training = parser.add_argument_group("training (defaults are those of --preset default)")
    option = training.add_argument
    meaning = "single: one VAE on all types; individual: one VAE after another, on its type and those before; own: on "
    meaning += "its type alone; together: as individual, and all so far after each; tandem: as individual, round after "
    meaning += "round; labels: all at once, told which images hold their type; unsupervised: all at once, slower by "
    meaning += "their KL"
    staged.add_training_options(option, preset, SCHEDULES, meaning)
    option("--single", action="store_true", help="the same as --schedule single")
    option(
        "--together-epochs",
        type=int,
        help="epochs of the stages together (default: as the others), or, where own or tandem, of one at the end "
        "(default: none)",
    )
    option("--num-rounds", type=int, help=f"rounds of tandem (default: {preset['num_rounds']})")
    return parser


def apply_preset(options: argparse.Namespace) -> None:
    """Fill the options that were not given with the values of the preset, and refuse those that do not fit."""
    options.types = tuple(options.types or TYPES[options.data])
    if options.single and options.schedule not in (None, "single"):
        raise ValueError(f"--single is --schedule single, got --schedule {options.schedule} as well; leave one out")
    if options.single or len(options.types) == 1:
        options.schedule = options.schedule or "single"
    clevr = options.data == "clevr"
    if options.data_root is not None and not clevr:
        raise ValueError(f"--data-root has no effect with --data {options.data}, which is drawn; leave it out")
    if clevr and options.min_objects is not None:
        raise ValueError(f"--min-objects must not be given with --data clevr, got {options.min_objects}; leave it out")
    if clevr and options.data_root is None and not options.smoke_test:
        raise ValueError("--data clevr needs --data-root, the folder that holds clevr/CLEVR_v1.0/")
    most = 10 if clevr else 4
    objects = {"min_objects": 2, "max_objects": most}
    if options.max_objects is None and (options.min_objects or 0) > most:
        raise ValueError(f"--min-objects {options.min_objects} is above --max-objects, {most} unless given; give both")
    preset = PRESETS[options.preset] | objects | (SMOKE if options.smoke_test else {})
    if options.likelihood not in (None, preset["likelihood"]):
        preset.pop("scale", None)  # that of the other likelihood
    given = options.latent_dim
    staged.refuse_unused(options, preset)
    staged.fill_preset(options, preset)
    if options.schedule == "single":
        options.gamma = 0.0  # one component's masks have no entropy to put a price on
    if options.decoder == "grid":
        options.latent_dim = options.latent_channels * options.grid**2
        if given is not None:
            raise ValueError(
                f"--latent-dim must not be given with --decoder grid, got {given}; --latent-channels in each cell of "
                f"--grid make {options.latent_dim}"
            )
    if options.data == "flat" and (options.gray or options.size != 64):
        raise ValueError("--data flat is in color and of 64 x 64 pixels; leave --gray and --size out")
    if options.channels < 2 or options.channels % 2:
        raise ValueError(f"--channels must be an even number of at least 2, got {options.channels}")
    if options.schedule == "unsupervised" and clevr:
        raise ValueError("--schedule unsupervised needs masks to tell whose type is whose; --data clevr has none")
    options.num_components = 1 if options.schedule == "single" else len(options.types)
    if options.num_components > 1 and not clevr and options.max_objects < 2:
        raise ValueError(
            f"--max-objects must be at least 2 to tell objects of {len(options.types)} --types apart, got "
            f"{options.max_objects}; raise it, or train one VAE with --single"
        )
    if options.num_components == 1 and options.schedule != "single":
        raise ValueError(f"--schedule {options.schedule} needs at least two --types, got {options.types[0]} alone")
    if options.smoke_test and clevr:
        options.data = "scenes"  # no data, as a smoke test needs none


def widths_of(options: argparse.Namespace) -> tuple[int, ...]:
    """Channels of the encoders' four layers."""
    num = options.channels
    return num // 2, num, num, 2 * num


def grid_widths_of(options: argparse.Namespace) -> tuple[int, ...]:
    """Channels of the layers down to the grid, each of which halves the sides."""
    num = max(1, (options.size // options.grid).bit_length() - 1)
    return tuple(options.channels * min(2**i, 4) for i in range(num))


def make_encoder(options: argparse.Namespace, frame_shape: tuple[int, int, int]) -> GridEncoder | StridedEncoder:
    """That of the decoder: a code on a grid needs an encoder that keeps places."""
    ways = (options.negative_slope, options.batch_norm)
    if options.decoder == "grid":
        return GridEncoder(frame_shape, options.latent_channels, options.grid, grid_widths_of(options), *ways)
    return StridedEncoder(frame_shape, widths_of(options), options.dense_dim, *ways)


def make_pair(options: argparse.Namespace) -> tuple[ParallelVAE, ParallelGuide]:
    torch.manual_seed(options.seed)
    channels, size, everyone = 1 if options.gray else 3, options.size, range(options.num_components)
    decoders = [DECODERS[options.decoder](options, (channels + 1, size, size)) for _ in everyone]
    encoders = [make_encoder(options, (channels, size, size)) for _ in everyone]
    heads = [GridLocScale() for _ in everyone] if options.decoder == "grid" else None
    model = ParallelVAE(decoders, staged.make_likelihood(options), options.latent_dim)
    return model, ParallelGuide(encoders, options.latent_dim, heads)


def sizes_of(options: argparse.Namespace) -> dict[str, int]:
    return SMOKE_SIZES if options.smoke_test else SIZES


def load_scenes(options: argparse.Namespace) -> Any:
    """Training and validation images of some types alone, as stages ask for them, each drawn once."""
    sizes = {"train": options.num_train, "validation": sizes_of(options)["validation"]}

    @cache
    def data(items: tuple[Any, ...]) -> tuple[Any, ...]:
        parts = (KeptClips(DATA[options.data](options, split, num, items, False)) for split, num in sizes.items())
        return tuple(staged.labeled(options, part) for part in parts)

    return data


def read_scenes(options: argparse.Namespace, split: str) -> dict[str, torch.Tensor]:
    """Images of all types, with their masks if they have some."""
    data = DATA[options.data](options, split, sizes_of(options)[split], range(len(options.types)), True)
    return parallel.read_items(data)


def types_in(scenes: Any, options: argparse.Namespace) -> torch.Tensor:
    """The types of all places for objects (N, M): factors that come first."""
    return scenes["factors"][:, : options.max_objects]


def kl_by_kind(found: Any, scenes: Any, options: argparse.Namespace, order: list[int]) -> dict[str, list[Score]]:
    """KL of each component on each kind of scene, nats: which types are there; component order[k] in column k."""
    there = parallel.present_types(types_in(scenes, options), len(options.types))
    table = {}
    for kind in there.unique(dim=0).flip(0):
        name = " + ".join(name for name, holds in zip(options.types, kind, strict=True) if holds)
        kl = found["kl"][(there == kind).all(1)][:, order].numpy()
        table[name] = [metrics.mean_score(column) for column in kl.T]
    return table


def error_scores(scenes: Any, shown: torch.Tensor) -> dict[str, Score]:
    """Squared error a pixel of the mixture: of all of them and, where masks tell, of objects and of the background."""
    x = scenes["x"]
    chance = parallel.squared_errors(x, x.mean(0, keepdim=True)).mean()
    scores = {"mse": metrics.mean_score(parallel.squared_errors(x, shown), float(chance), 0.0)}
    if "masks" in scenes:
        background = scenes["masks"][:, 0, -1:]
        regions = torch.cat([~background, background], 1).numpy()
        names = ("foreground", "background")
        errors = metrics.region_errors(x[:, 0].numpy(), shown[:, 0].numpy(), regions, names)
        scores |= {f"mse/{name}": score for name, score in errors.items()}
    return scores


def evaluate(options: argparse.Namespace, pair: Any) -> dict[str, Any]:
    """Scores on test images, what the figures show, and the KL by kind of scene."""
    num, names, order = options.num_components, options.types, [*range(options.num_components)]
    if options.schedule == "unsupervised":
        seen = read_scenes(options, "validation")
        order = parallel.match_components(parallel.explain(*pair, seen["x"]), seen, num)
    scenes = read_scenes(options, "test")
    found = parallel.explain(*pair, scenes["x"])
    scores, table, masked = {}, {}, "masks" in scenes
    if num > 1 and masked:
        scores = parallel.mask_scores(found, scenes, num, names, order)
        untrained = parallel.explain(*make_pair(options), scenes["x"])
        start = parallel.mask_scores(untrained, scenes, num, names, [*range(num)])
        scores["untrained/foreground_ari"] = start["foreground_ari"]
    elif num > 1:
        scores = parallel.presence_scores(found, types_in(scenes, options), names, order)
    scores |= error_scores(scenes, found["reconstruction"])
    if num > 1:
        table = kl_by_kind(found, scenes, options, order)
        scores |= {f"kl/{kind}/{names[k]}": score for kind, row in table.items() for k, score in enumerate(row)}
    few = {name: value[:12] for name, value in found.items()}
    result = {"scores": scores, "x": scenes["x"][:12], "found": few, "table": table, "order": order}
    if num > 1 and masked:
        result["truth"] = type_masks(scenes["masks"][:12, 0], types_in(scenes, options)[:12], num)
    return result


def draw_figures(folder: Path, model: Any, result: dict[str, Any], history: History, options: Any) -> None:
    x, found = result["x"], result["found"]
    parallel.save(folder, "components", parallel.draw_components(x, found))
    if "truth" in result:
        masks = parallel.draw_masks(x, found, result["truth"], options.types, result["order"])
        parallel.save(folder, "scenes", masks)
    if result["table"]:
        kl = {kind: [score.value for score in row] for kind, row in result["table"].items()}
        parallel.save(folder, "kl_by_kind", parallel.draw_kl(kl))
    parallel.save(folder, "training", parallel.draw_training(history, SCHEDULES[options.schedule](options)))
    parallel.draw_walks(folder, model, found["z"][:6])


def main(options: argparse.Namespace) -> None:
    import matplotlib

    matplotlib.use("Agg")
    apply_preset(options)
    stages, data, pair = SCHEDULES[options.schedule](options), load_scenes(options), make_pair(options)
    if options.preset == "paper" and not options.smoke_test:
        few = DATA[options.data](options, "train", options.batch_size, range(len(options.types)), False)
        staged.say_hours(options, pair, parallel.read_items(few)["x"], sum(stage.num_epochs for stage in stages))
        pair = make_pair(options)  # batch normalization has seen images
    history = staged.train(options, pair, stages, data)
    if not first_process():
        return
    minutes = math.fsum(history.column("seconds")) / 60
    print(f"trained {len(stages)} stages on {options.data} of {', '.join(options.types)} in {minutes:.1f} minutes")
    pair = tuple(program.cpu().eval() for program in pair)
    result = evaluate(options, pair)
    run = Path(options.output)
    parallel.write_scores(run, result["scores"])
    draw_figures(run / "figures", pair[0], result, history, options)
    print(score_table({name: score for name, score in result["scores"].items() if not name.startswith("kl/")}))
    if result["table"]:
        print("KL of each VAE by kind of scene, nats:")
        print(parallel.kl_table(result["table"]))
    print(f"weights, history.csv, metrics.json and figures are in {run}; load it with pyrodis.load({str(run)!r})")


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
