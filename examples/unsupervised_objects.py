"""Find the objects of images without labels or stages: VAEs in windows that look one after the other at what is left.

    python examples/unsupervised_objects.py --data flat

The first VAE draws the ground; each of the others looks where the ground fails and no VAE before it has been, and draws
what it finds in a window. Scores ask whether the pixels of an object are one VAE's. The run directory holds settings,
weights, history, scores and figures. No paper has this method: --preset paper is --preset best.
See docs/papers/parallel_vae.md.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path
from typing import Any

import shared_parallel as parallel
import torch
from torch import nn

import pyrodis
from pyrodis import metrics
from pyrodis.datasets import (
    MULTI_DSPRITES,
    BundledDigits,
    DigitPairs,
    FlatScenes,
    ItemSource,
    KeptClips,
    MNISTItems,
    ObjectRecords,
    OverlappingDigits,
    type_masks,
)
from pyrodis.guides import ResidualGuide
from pyrodis.infer import FitSettings, History, first_process
from pyrodis.models import MixturePixels, ParallelVAE
from pyrodis.nn import LocScale, StridedEncoder, UniformDecoder, WindowDecoder, WindowEncoder
from pyrodis.options import add_shared_options, run_script
from pyrodis.plotting import score_table, training_curves

# What a preset sets; every value can be overridden by its own option.
SHARED: dict[str, Any] = {
    "window_size": 28,
    "what_dim": 16,
    "scale": 0.1,
    "widths": (16, 32),
    "dense_dim": 128,
    "batch_size": 32,
    "learning_rate": 2e-3,
    "num_train": 10_000,
    "precision": "32-true",
}
PRESETS: dict[str, dict[str, Any]] = {
    # Minutes on two cores.
    "default": SHARED | {"num_epochs": 12},
    # Wider networks, more images and more passes over them.
    "best": SHARED | {"widths": (32, 64), "dense_dim": 256, "num_train": 40_000, "num_epochs": 16},
}
PRESETS["paper"] = PRESETS["best"]  # no paper has this method
SMOKE = {"what_dim": 2, "widths": (2, 2), "dense_dim": 8, "num_train": 32, "num_epochs": 1, "batch_size": 16}
SIZES = {"validation": 500, "test": 1_000}
RECORDS = "multi_dsprites_colored_on_grayscale.tfrecords"  # as it is published
SMOKE_SIZES = {"validation": 16, "test": 40}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_options(parser, "unsupervised_objects")
    preset = PRESETS["default"]
    data = parser.add_argument_group("images")
    data.add_argument(
        "--data",
        choices=DATA,
        default="flat",
        help="flat: two to four colored shapes on gray, drawn by pyrodis; digits: two of the digits 0 to 3, side by "
        "side; overlapping: some of them anywhere on a larger canvas; digits are MNIST's where found, else, after "
        f"saying so, small ones that need no file; multi-dsprites: the published set, from {RECORDS} in --data-root "
        "(default: flat)",
    )
    option = parser.add_argument_group("model (defaults are those of --preset default)").add_argument
    option("--num-windows", type=int, metavar="M", help="VAEs beside that of the ground (default: most objects)")
    option("--window-size", type=int, help=f"side of a window in pixels (default: {preset['window_size']})")
    option("--what-dim", type=int, help=f"size of a code beside its place (default: {preset['what_dim']})")
    option("--widths", type=int, nargs="+", help="channels of the encoders' layers (default: 16 32)")
    option("--dense-dim", type=int, help=f"size of the dense layers (default: {preset['dense_dim']})")
    option(
        "--scale",
        type=float,
        help=f"deviation of a pixel; the smaller, the more it is one VAE's alone (default: {preset['scale']})",
    )
    option = parser.add_argument_group("training (defaults are those of --preset default)").add_argument
    option("--num-train", type=int, help=f"images (default: {preset['num_train']:,})")
    option("--num-epochs", type=int, help=f"passes over them (default: {preset['num_epochs']})")
    option("--batch-size", type=int, help=f"images a step (default: {preset['batch_size']})")
    option("--learning-rate", type=float, help=f"highest step size of Adam (default: {preset['learning_rate']})")
    option("--precision", choices=("bf16-mixed", "32-true"), help=f"of the networks (default: {preset['precision']})")
    return parser


def apply_preset(options: argparse.Namespace) -> None:
    """Fill the options that were not given with the values of the preset."""
    preset = PRESETS[options.preset] | (SMOKE if options.smoke_test else {})
    for name, value in preset.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    for name in ("num_windows", "window_size", "what_dim", "dense_dim", "num_train", "num_epochs", "batch_size"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {value}")
    if min(options.widths) < 1:
        raise ValueError(f"--widths must be at least 1 each, got {' '.join(map(str, options.widths))}")


def check_window(options: argparse.Namespace, frame_shape: tuple[int, int, int]) -> None:
    """Refuse a window that the frame does not hold, or that cannot be halved as often as there are layers."""
    side, multiple = min(frame_shape[1:]), 2 ** len(options.widths)
    if options.window_size > side or options.window_size % multiple:
        raise ValueError(
            f"--window-size must be a multiple of {multiple}, one doubling for each of --widths, at most {side}, the "
            f"side of the frames, got {options.window_size}"
        )


def load_digits(options: argparse.Namespace) -> ItemSource:
    """MNIST where it is found, else the digits that scikit-learn brings."""
    if options.smoke_test:
        return BundledDigits()
    try:
        return MNISTItems(options.data_root, download=False)
    except FileNotFoundError as error:
        if options.data_root is not None:
            raise
        if first_process():
            print(f"no MNIST, so this run is on the small digits that scikit-learn brings: {error}")
        return BundledDigits()


def flat(source: ItemSource | None, split: str, num_images: int) -> FlatScenes:
    return FlatScenes(split=split, num_images=num_images, with_masks=split == "test")


def digits(source: ItemSource | None, split: str, num_images: int) -> DigitPairs:
    masks = split == "test"
    return DigitPairs(source, split=split, items=range(4), num_images=num_images, with_masks=masks)


def overlapping(source: ItemSource | None, split: str, num_images: int) -> OverlappingDigits:
    masks = split == "test"
    return OverlappingDigits(source, split=split, items=range(4), num_images=num_images, with_masks=masks)


def multi_dsprites(path: Path, split: str, num_images: int) -> ObjectRecords:
    """A part of the published file: test scenes first, then those of validation, the rest to train on."""
    first = {"test": 0, "validation": SIZES["test"], "train": SIZES["test"] + SIZES["validation"]}[split]
    return ObjectRecords(path, MULTI_DSPRITES, split=split, first=first, num_images=num_images)


DATA: dict[str, Any] = {"flat": flat, "digits": digits, "overlapping": overlapping, "multi-dsprites": multi_dsprites}


def load_data(options: argparse.Namespace) -> dict[str, Any]:
    """Images to train on, to validate and to test."""
    sizes = (SMOKE_SIZES if options.smoke_test else SIZES) | {"train": options.num_train}
    source: Any = None
    if options.data == "multi-dsprites":
        folder = options.data_root or os.environ.get("PYRODIS_DATA")
        if folder is None:
            raise ValueError(
                f"--data multi-dsprites needs --data-root, or PYRODIS_DATA, the folder that holds {RECORDS}"
            )
        source = Path(folder) / RECORDS
    elif options.data != "flat":
        source = load_digits(options)
    return {split: DATA[options.data](source, split, num) for split, num in sizes.items()}


def make_pair(options: argparse.Namespace, data: Any) -> tuple[ParallelVAE, ResidualGuide]:
    """A ground and windows on it; guide and model share the decoders."""
    check_window(options, data.frame_shape)
    torch.manual_seed(options.seed)
    channels, height, width = data.frame_shape
    shape, code, widths = (channels + 1, height, width), options.what_dim + 2, tuple(options.widths)
    size, dense = options.window_size, options.dense_dim
    bias = 0.0 if channels == 3 else -2.0  # digits are mostly black
    windows = range(options.num_windows or data.num_slots)
    decoders = [UniformDecoder(code, shape, output_bias=bias)]
    decoders += [WindowDecoder(code, shape, size, widths[::-1], dense, output_bias=bias) for _ in windows]
    encoders = [nn.Sequential(StridedEncoder(shape, (8, 8), 32), LocScale(32, code, 0.1))]
    encoders += [WindowEncoder(code, shape, size, widths, dense) for _ in windows]
    return ParallelVAE(decoders, MixturePixels(options.scale), code), ResidualGuide(decoders, encoders, code)


def mask_scores(found: Any, scenes: Any, num_types: int | None) -> dict[str, metrics.Score]:
    """Whether the pixels of an object are one VAE's, with the ground left out, of types, if known, for objects."""
    items, masks = scenes["masks"][:, 0], found["masks"].numpy()
    windows = masks.copy()
    windows[:, 0] = 0
    scores = {
        "foreground_ari": metrics.adjusted_rand_index(items.numpy(), masks),
        "foreground_ari/posterior": metrics.adjusted_rand_index(items.numpy(), found["posterior"].numpy()),
        "foreground_ari/windows": metrics.adjusted_rand_index(items.numpy(), windows),
    }
    if num_types is not None:
        by_type = type_masks(items, scenes["factors"][:, : items.shape[1] - 1], num_types).numpy()
        scores["foreground_ari/types"] = metrics.adjusted_rand_index(by_type, masks)
    return scores


def evaluate(options: argparse.Namespace, pair: Any, data: Any) -> dict[str, Any]:
    """Scores on test images, and what the figures show."""
    scenes = parallel.read_items(data)
    found = parallel.explain(*pair, scenes["x"])
    num_types = getattr(data, "num_types", None)  # published sets do not tell types
    scores = mask_scores(found, scenes, num_types)
    untrained = parallel.explain(*make_pair(options, data), scenes["x"])
    start = mask_scores(untrained, scenes, num_types)
    scores |= {f"untrained/{name}": score for name, score in start.items()}
    chance = parallel.squared_errors(scenes["x"], scenes["x"].mean(0, keepdim=True)).mean()
    errors = parallel.squared_errors(scenes["x"], found["reconstruction"])
    scores["mse"] = metrics.mean_score(errors, float(chance), 0.0)
    for k, kl in enumerate(found["kl"].T):
        scores[f"kl/{k}"] = metrics.mean_score(kl.numpy())
    few = {name: value[:12] for name, value in found.items()}
    return {"scores": scores, "x": scenes["x"][:12], "found": few}


def draw_figures(folder: Path, model: Any, result: dict[str, Any], history: History) -> None:
    parallel.save(folder, "components", parallel.draw_components(result["x"], result["found"]))
    parallel.save(folder, "training", training_curves({name: history.column(name) for name in history.rows[0]}))
    parallel.draw_walks(folder, model, result["found"]["z"][:6])


def main(options: argparse.Namespace) -> None:
    import matplotlib

    matplotlib.use("Agg")
    apply_preset(options)
    data = load_data(options)
    pair = make_pair(options, data["train"])
    settings = FitSettings(
        num_epochs=options.num_epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        schedule="cosine",
        precision=options.precision,
        device=options.device,
        seed=options.seed,
    )
    run = Path(options.output)
    history = pyrodis.fit(
        *pair,
        KeptClips(data["train"]),
        validation=KeptClips(data["validation"]),
        settings=settings,
        output=run,
        resume=options.resume,
        overwrite=options.overwrite,
        description={"preset": "smoke test" if options.smoke_test else options.preset},
    )
    if not first_process():
        return
    print(f"trained on {data['train'].name} in {math.fsum(history.column('seconds')) / 60:.1f} minutes")
    pair = tuple(program.cpu().eval() for program in pair)
    result = evaluate(options, pair, data["test"])
    parallel.write_scores(run, result["scores"])
    draw_figures(run / "figures", pair[0], result, history)
    print(score_table(result["scores"]))
    print(f"weights, history.csv, metrics.json and figures are in {run}; load it with pyrodis.load({str(run)!r})")


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
