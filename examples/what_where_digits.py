"""Tell what moves from where it is on moving digits: the report's two losses over lambda, and a cure beside them.

    python examples/what_where_digits.py

Every loss and lambda has a run directory of its own in the output directory, and so has the cured model; the output
directory holds scores and figures of all of them besides. See docs/papers/what_where.md.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shared_circle as circle
import shared_what_where as ww
import torch
from torch import nn

import pyrodis
from pyrodis.datasets import ItemSource
from pyrodis.guides import DeltaWhatWhereGuide, WhatThenWhereGuide, WhatWhereGuide, WhereThenWhatGuide
from pyrodis.infer import FitSettings, History, SameClip, first_process, score_shown_frames
from pyrodis.metrics import Score
from pyrodis.models import AddCodes, ConcatenateCodes, NormalPixels, WhatWhereVAE
from pyrodis.nn import (
    BroadcastDecoder,
    ConvDecoder,
    ConvEncoder,
    Downsample,
    EveryFrame,
    GaussianBlur,
    Glimpses,
    MeanFrames,
    OneFrame,
    OtherFrame,
    PartsDecoder,
    PlaceBlindEncoder,
    PlacedDecoder,
    PlaceFinder,
    PooledEncoder,
    ProductFrames,
    RandomShift,
    SubsetFrames,
    UpsampleDecoder,
)
from pyrodis.options import add_shared_options, run_script
from pyrodis.regularizers import barlow_twins, inertial_loss, mixing_weight

LAMBDAS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # of the report
CURE = "cure"

# What a preset sets; every value can be overridden by its own option.
SHARED: dict[str, Any] = {
    "cure": True,
    "widths": (8, 16, 16),
    "output_bias": -3.0,
    "schedule": "cosine",
    "precision": "bf16-mixed",
    "num_test": 1_100,  # the least that probes of 55 pairs of digits take
    "test_frames": 20,
    "judge_frames": 200_000,
    # the report's set-up
    "losses": ("inertial", "barlow"),
    "lambdas": (1e-3, 10.0),
    "alpha": 0.05,
    "report_what_dim": 64,
    "report_where_dim": 16,
    "report_affine": True,
    "report_where_view": "none",
    "report_combine": "concatenate",
    "report_batch_size": 64,
    "report_optimizer": "adam",
    "report_learning_rate": 3e-3,
    "report_train": 10_000,
    # the cured model
    "num_frames": 4,
    "gap": 5,
    "decoder": "parts",
    "num_places": 2,
    "patch_size": 28,
    "what_encoder": "glimpses",
    "glimpse_size": 32,
    "match": True,
    "what_frames": 0,
    "what_view": "none",
    "shift": 32,
    "what_factor": 2,
    "what_widths": (24, 48),
    "what_kernel": 5,
    "where_encoder": "conv",
    "where_view": "none",
    "blur": 3.0,
    "factor": 4,
    "reader": "product",
    "combine": "concatenate",
    "feature_dim": 128,
    "channels": 16,
    "what_dim": 64,
    "where_dim": 4,
    "scale": 0.1,
    "beta_what": 1.0,
    "beta_where": 1.0,
    "kl_cooldown": 0.0,
    "same_clip": 0.0,
    "batch_size": 16,
    "learning_rate": 3e-3,
}
PRESETS: dict[str, dict[str, Any]] = {
    # Minutes on two cores.
    "default": SHARED | {"report_steps": 500, "num_steps": 4000, "num_train": 64_000},
    # Three values of lambda, wider networks, more steps.
    "best": SHARED
    | {
        "lambdas": (1e-3, 1e-1, 10.0),
        "widths": (16, 32, 32),
        "what_widths": (32, 64),
        "channels": 32,
        "report_steps": 2000,
        "num_steps": 12_000,
        "num_train": 100_000,
        "num_test": 4000,
    },
    # The report's training: a pair of each of 10,000 clips, 100 epochs. It tells neither widths nor sizes of codes nor
    # batches. It tried SGD as well, which was worse than Adam: --report-optimizer sgd.
    "paper": SHARED
    | {
        "cure": False,
        "lambdas": LAMBDAS,
        "widths": (32, 64, 64),
        "output_bias": 0.0,
        "report_learning_rate": 1e-3,
        "schedule": "constant",
        "precision": "32-true",
        "report_steps": 15_700,
        "num_steps": 15_700,
        "num_train": 100_000,
        "num_test": 4000,
    },
}
SMOKE: dict[str, Any] = {"widths": (2, 2, 2), "batch_size": 8, "precision": "32-true", "num_test": 120}
SMOKE |= {"what_widths": (2, 2), "channels": 2, "report_batch_size": 8, "test_frames": 4}
SMOKE |= {"judge_frames": 64, "lambdas": (10.0,), "report_train": 24, "report_steps": 6, "num_train": 16}
SMOKE |= {"num_steps": 4, "feature_dim": 4, "report_what_dim": 4, "report_where_dim": 2, "what_dim": 4}

WHERE_VIEWS = ("none", "blur", "down")
COMBINATIONS = ("concatenate", "add")
READERS: dict[str, Any] = {"mean": MeanFrames, "product": ProductFrames, "one": OneFrame, "other": OtherFrame}


@dataclass(frozen=True)
class Setting:
    """One run.

    Args:
        loss: "inertial" or "barlow", the report's; or "cure".
        mixing: lambda of the report's losses.
    """

    loss: str
    mixing: float = 0.0

    @property
    def name(self) -> str:
        return self.loss if self.loss == CURE else f"{self.loss}-{self.mixing:g}"


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_options(parser, "what_where_digits")
    preset = PRESETS["default"]
    option = parser.add_argument_group(
        "what is trained, and on what (defaults are those of --preset default)"
    ).add_argument
    option(
        "--data",
        choices=("auto", "mnist", "fashion", "bundled"),
        default="auto",
        help="mnist: the published digits, downloaded if need be; fashion: clothes; bundled: small digits that need no "
        "file; auto: mnist where found, else, after saying so, bundled (default: auto)",
    )
    option("--cure", action=argparse.BooleanOptionalAction, help="whether to train the cured model (default: yes)")
    option("--num-test", type=int, help=f"test clips (default: {preset['num_test']})")
    option("--test-frames", type=int, help=f"frames of a test clip (default: {preset['test_frames']})")
    option("--judge-frames", type=int, help=f"frames that the judge is trained on (default: {preset['judge_frames']})")
    option("--widths", type=int, nargs="+", help="channels of the report's blocks (default: 8 16 16)")
    option("--output-bias", type=float, help=f"logit of a pixel at the start (default: {preset['output_bias']})")
    option("--schedule", choices=("cosine", "constant"), help=f"of the step size (default: {preset['schedule']})")
    option("--precision", choices=("bf16-mixed", "32-true"), help=f"of the networks (default: {preset['precision']})")
    add_report_options(parser.add_argument_group("the report's set-up").add_argument, preset)
    add_cure_options(parser.add_argument_group("the cured model").add_argument, preset)
    return parser


def add_report_options(option: Any, preset: dict[str, Any]) -> None:
    option("--losses", nargs="*", choices=LOSSES, help="its losses of agreement; none after it: none (default: both)")
    shown = " ".join(f"{value:g}" for value in LAMBDAS)
    option("--lambdas", type=float, nargs="+", metavar="LAMBDA", help=f"report: {shown} (default: 0.001 10)")
    option("--alpha", type=float, help=f"weight of redundancy in Barlow Twins (default: {preset['alpha']})")
    option("--report-what-dim", type=int, help=f"size of what (default: {preset['report_what_dim']})")
    option("--report-where-dim", type=int, help=f"size of where (default: {preset['report_where_dim']})")
    option(
        "--report-affine",
        action=argparse.BooleanOptionalAction,
        help="whether the normalization of codes learns a scale, by which they can shrink (default: yes)",
    )
    option("--report-where-view", choices=WHERE_VIEWS, help="as --where-view, of its where (default: none)")
    option("--report-combine", choices=COMBINATIONS, help="as --combine, of its codes (default: concatenate)")
    option("--report-batch-size", type=int, help=f"clips a step (default: {preset['report_batch_size']})")
    rate = preset["report_learning_rate"]
    option(
        "--report-optimizer",
        choices=("adam", "sgd"),
        help=f"what takes the steps (default: {preset['report_optimizer']})",
    )
    option(
        "--report-learning-rate", type=float, help=f"its highest step size, in the loss of the report (default: {rate})"
    )
    option("--report-steps", type=int, help=f"optimizer steps (default: {preset['report_steps']})")
    option("--report-train", type=int, help=f"pairs of frames to train on (default: {preset['report_train']})")


def add_cure_options(option: Any, preset: dict[str, Any]) -> None:
    option("--num-frames", type=int, help=f"frames of a training clip (default: {preset['num_frames']})")
    option("--gap", type=int, help=f"from one to the next, in frames of Moving MNIST (default: {preset['gap']})")
    option(
        "--decoder",
        choices=DECODERS,
        help="parts: patches that one network draws, each from its share of what, put at the places that where is; "
        "placed: patches drawn from all of what, at places that a network reads off where; broadcast, conv, upsample: "
        "networks that have to learn it, on coordinates, doubling a small image, the report's (default: parts)",
    )
    option("--num-places", type=int, help=f"patches of a placed frame (default: {preset['num_places']}, one a digit)")
    option("--patch-size", type=int, help=f"side of a patch in pixels (default: {preset['patch_size']})")
    option(
        "--what-encoder",
        choices=("glimpses", "blind", "pooled"),
        help="glimpses: looks at the places that where says, in an order that all frames agree on; the others see "
        "whole frames: blind to place, or the report's (default: glimpses)",
    )
    option("--glimpse-size", type=int, help=f"side of a glimpse, a power of two (default: {preset['glimpse_size']})")
    option(
        "--match",
        action=argparse.BooleanOptionalAction,
        help="whether places keep their numbers from frame to frame by what is seen there (default: yes)",
    )
    option("--what-frames", type=int, help="random frames that what is read off, 0 for all (default: 0)")
    option("--what-view", choices=("none", "shift"), help="shift: frames moved at random, in a circle (default: none)")
    option("--shift", type=int, help=f"most pixels of a shift (default: {preset['shift']})")
    option(
        "--what-factor",
        type=int,
        help=f"side of a block that what sees as one pixel (default: {preset['what_factor']})",
    )
    option("--what-widths", type=int, nargs="+", help="channels of the blind encoder's blocks (default: 24 48)")
    option(
        "--what-kernel",
        type=int,
        help=f"side of its windows; 3 sees parts of a digit (default: {preset['what_kernel']})",
    )
    option(
        "--where-encoder",
        choices=("finder", "conv"),
        help="finder: looks in a frame for what there is, so that what decides whose place is whose; conv: sees the "
        "frame alone (default: conv)",
    )
    option("--where-view", choices=WHERE_VIEWS, help="without detail, or of fewer pixels (default: none)")
    option("--blur", type=float, help=f"deviation of either blur in pixels (default: {preset['blur']})")
    option("--factor", type=int, help=f"side of a block that becomes one pixel in either (default: {preset['factor']})")
    option("--reader", choices=READERS, help="how frames speak for what (default: product)")
    option("--combine", choices=COMBINATIONS, help="add: codes of one size, summed (default: concatenate)")
    option("--feature-dim", type=int, help=f"features of the encoders (default: {preset['feature_dim']})")
    option(
        "--channels", type=int, help=f"of encoder of where and decoder at their largest (default: {preset['channels']})"
    )
    option("--what-dim", type=int, help=f"size of what (default: {preset['what_dim']})")
    option("--where-dim", type=int, help=f"size of where (default: {preset['where_dim']})")
    option("--scale", type=float, help=f"deviation of a pixel (default: {preset['scale']})")
    option("--beta-what", type=float, help=f"weight of the KL of what (default: {preset['beta_what']})")
    option("--beta-where", type=float, help=f"weight of the KL of where (default: {preset['beta_where']})")
    option(
        "--kl-cooldown",
        type=float,
        metavar="EPOCHS",
        help="epochs over which the KL weight of where falls from 10,000 times its value, so that what speaks first "
        f"(default: {preset['kl_cooldown']})",
    )
    option("--batch-size", type=int, help=f"clips a step (default: {preset['batch_size']})")
    option("--learning-rate", type=float, help=f"highest step size of Adam (default: {preset['learning_rate']})")
    option(
        "--same-clip",
        type=float,
        metavar="WEIGHT",
        help="weight of a discriminator that recognizes clips by where (default: 0)",
    )
    option("--num-steps", type=int, help=f"optimizer steps (default: {preset['num_steps']})")
    option("--num-train", type=int, help=f"training clips (default: {preset['num_train']})")


def apply_preset(options: argparse.Namespace) -> None:
    """Fill the options that were not given with the values of the preset."""
    if options.glimpse_size is not None and options.what_encoder not in (None, "glimpses"):
        raise ValueError("--glimpse-size is for --what-encoder glimpses, got --what-encoder " + options.what_encoder)
    for name, value in (PRESETS[options.preset] | (SMOKE if options.smoke_test else {})).items():
        if getattr(options, name) is None:
            setattr(options, name, value)


def make_settings(options: argparse.Namespace) -> list[Setting]:
    """All runs: loss after loss, lambda after lambda, then the cure."""
    check_options(options)
    lambdas = sorted({*options.lambdas})
    settings = [Setting(loss, mixing) for loss in dict.fromkeys(options.losses) for mixing in lambdas]
    settings += [Setting(CURE)] if options.cure else []
    if len({setting.name for setting in settings}) < len(settings):
        raise ValueError(f"--lambdas must differ in six digits, got {lambdas}")
    if not settings:
        raise ValueError("--losses without a loss and --no-cure leave nothing to train; leave one of them out")
    return settings


def check_options(options: argparse.Namespace) -> None:
    if not all(math.isfinite(value) and value > 0 for value in options.lambdas):
        raise ValueError(f"--lambdas must be finite numbers above 0, got {[*options.lambdas]}")
    rate = options.report_learning_rate
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"--report-learning-rate must be a finite number above 0, got {rate}")
    for name in COUNTS:
        if getattr(options, name) < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(options, name)}")
    if "barlow" in options.losses:
        for name, num in (("--report-train", options.report_train), ("validation", num_validation(options))):
            size = options.report_batch_size
            if num % size == 1 or size == 1:
                raise ValueError(
                    f"Barlow Twins needs two clips in every batch, got {num} of {name} in batches of {size}, which "
                    "leave one alone; take another --report-batch-size or number"
                )
    if options.losses:
        check_report(options)
    if options.cure:
        check_cure(options)


def check_divides(options: argparse.Namespace, *names: str) -> None:
    """Refuse blocks that do not fill a frame."""
    height = ww.FRAME[1]
    for name in names:
        value = getattr(options, name)
        if height % value:
            raise ValueError(f"--{name.replace('_', '-')} must divide {height}, the height of a frame, got {value}")


def check_report(options: argparse.Namespace) -> None:
    if options.report_where_view == "down":
        check_divides(options, "factor")
    if options.report_combine == "add" and options.report_what_dim != options.report_where_dim:
        raise ValueError(
            f"--report-combine add sums codes of one size, got --report-what-dim {options.report_what_dim} and "
            f"--report-where-dim {options.report_where_dim}; give both the same"
        )
    with torch.random.fork_rng(devices=[]):
        make_report(options)


def check_cure(options: argparse.Namespace) -> None:
    check_divides(options, "what_factor", *(["factor"] if options.where_view == "down" else []))
    if options.decoder in ("parts", "placed") and options.combine == "add":
        raise ValueError("--combine add leaves no what apart from where to place; take --decoder upsample beside it")
    if not 0 <= options.what_frames <= options.num_frames:
        raise ValueError(
            f"--what-frames must be at most --num-frames {options.num_frames}, got {options.what_frames}; 0 is all"
        )
    if options.reader == "other" and (options.what_frames or options.num_frames < 2):
        raise ValueError("--reader other needs the code of every frame of two or more; leave --what-frames out")
    if options.same_clip and options.num_frames < 2:
        raise ValueError(f"--same-clip needs --num-frames of at least 2, got {options.num_frames}")
    if options.decoder == "parts" and options.where_dim != 2 * options.num_places:
        raise ValueError(
            f"--decoder parts has two numbers of where a place, so --where-dim must be {2 * options.num_places}, "
            f"got {options.where_dim}"
        )
    if options.what_encoder == "glimpses":
        check_glimpses(options)
    elif options.match is False:
        raise ValueError("--no-match is for --what-encoder glimpses, got --what-encoder " + options.what_encoder)
    with torch.random.fork_rng(devices=[]):
        make_cure(options)  # what its parts refuse they refuse here, before anything is trained


def check_glimpses(options: argparse.Namespace) -> None:
    """Refuse what has no meaning for a what that is read off glimpses."""
    if options.decoder != "parts":
        raise ValueError(
            "--what-encoder glimpses looks where --decoder parts puts things, "
            f"got --decoder {options.decoder}; take --what-encoder blind beside it"
        )
    whole = {"--what-frames": options.what_frames, "--what-view": options.what_view == "shift"}
    whole["--where-encoder finder"] = options.where_encoder == "finder"
    if options.glimpse_size < 8 or options.glimpse_size & (options.glimpse_size - 1):
        raise ValueError(f"--glimpse-size must be a power of two of at least 8, got {options.glimpse_size}")
    given = [name for name, value in whole.items() if value]
    if given:
        raise ValueError(f"{given[0]} is for a what that sees whole frames; take --what-encoder blind beside it")


COUNTS = ("report_batch_size", "report_steps", "report_train", "batch_size", "num_frames", "gap", "what_factor")
COUNTS += ("factor", "num_steps", "num_train")


def num_validation(options: argparse.Namespace) -> int:
    return 16 if options.smoke_test else 1024


def inertia(output: dict[str, torch.Tensor]) -> torch.Tensor:
    """Equation 2: how far the codes of adjacent frames are apart."""
    return inertial_loss(output["what_frames"])


def make_twins(alpha: float) -> Any:
    """Equations 5 and 6: how far the correlation of the codes of both frames is from the identity."""
    return lambda output: barlow_twins(output["what_frames"][:, 0], output["what_frames"][:, 1], alpha)


LOSSES: dict[str, Any] = {"inertial": lambda options: inertia, "barlow": lambda options: make_twins(options.alpha)}
REPORT_SCALE = math.sqrt(0.5)  # with it nats are squared errors, and only the ratio of the two losses matters


def make_report(options: argparse.Namespace) -> tuple[WhatWhereVAE, DeltaWhatWhereGuide]:
    """Model and guide of the report, of the same initial weights for both losses and all lambdas."""
    torch.manual_seed(options.seed)
    what_dim, where_dim, widths = options.report_what_dim, options.report_where_dim, tuple(options.widths)
    added = options.report_combine == "add"
    code_dim = what_dim if added else what_dim + where_dim
    decoder = UpsampleDecoder(code_dim, ww.FRAME, widths[::-1], output_bias=options.output_bias)
    combine = AddCodes() if added else ConcatenateCodes()
    model = WhatWhereVAE(decoder, NormalPixels(REPORT_SCALE), what_dim, where_dim, 2, True, combine)
    view, size = make_where_view(options, options.report_where_view)
    encoders = PooledEncoder(ww.FRAME, widths), PooledEncoder(size, widths)
    kept = {"where_view": view, "what_reader": EveryFrame(), "affine": options.report_affine}
    return model, DeltaWhatWhereGuide(*encoders, what_dim, where_dim, **kept)


def make_where_view(options: argparse.Namespace, name: str) -> tuple[nn.Module | None, tuple[int, int, int]]:
    """A view of where, and the size of the frames that it shows."""
    channels, height, width = ww.FRAME
    if name == "blur":
        return GaussianBlur(options.blur), ww.FRAME
    if name == "down":
        small = (channels, height // options.factor, width // options.factor)
        return Downsample(options.factor, restore=False), small
    return None, ww.FRAME


def make_where(options: argparse.Namespace) -> tuple[nn.Module | None, nn.Module]:
    """The view of where, and the encoder of what it shows."""
    view, size = make_where_view(options, options.where_view)
    if options.where_encoder == "conv":
        return view, ConvEncoder(size, options.feature_dim, options.channels)
    widths = (options.channels, 2 * options.channels)[: 1 if options.where_view == "down" else 2]
    return view, PlaceFinder(options.what_dim, size, options.num_places, 2 * options.channels, widths)


def make_what(options: argparse.Namespace) -> tuple[nn.Module | None, nn.Module]:
    """The view of what, and the encoder of what it shows."""
    channels, height, width = ww.FRAME
    views: list[nn.Module] = [SubsetFrames(options.what_frames)] if options.what_frames else []
    views += [RandomShift(options.shift, per_frame=True, circular=True)] if options.what_view == "shift" else []
    views += [Downsample(options.what_factor, restore=False)] if options.what_factor > 1 else []
    view = nn.Sequential(*views) if len(views) > 1 else views[0] if views else None
    small = (channels, height // options.what_factor, width // options.what_factor)
    if options.what_encoder == "blind":
        return view, PlaceBlindEncoder(small, options.feature_dim, tuple(options.what_widths), options.what_kernel)
    return view, PooledEncoder(small, tuple(options.widths))


def placing(options: argparse.Namespace) -> tuple[Any, ...]:
    """Frames, and number, side and channels of patches: as many channels on the way as a convolutional decoder has."""
    return ww.FRAME, options.num_places, options.patch_size, (4 * options.channels, 2 * options.channels)


DECODERS: dict[str, Any] = {
    "parts": lambda options, code_dim: PartsDecoder(options.what_dim, *placing(options)),
    "placed": lambda options, code_dim: PlacedDecoder(options.what_dim, code_dim - options.what_dim, *placing(options)),
    "broadcast": lambda options, code_dim: BroadcastDecoder(
        code_dim, ww.FRAME, 2 * options.channels, 3, ww.FRAME[1] // 2, options.output_bias
    ),
    "conv": lambda options, code_dim: ConvDecoder(
        code_dim, ww.FRAME, options.channels, output_bias=options.output_bias
    ),
    "upsample": lambda options, code_dim: UpsampleDecoder(
        code_dim,
        ww.FRAME,
        (4 * options.channels, 2 * options.channels, options.channels),
        output_bias=options.output_bias,
    ),
}


def make_glimpses(options: argparse.Namespace) -> WhereThenWhatGuide:
    """The guide that says where first, and looks there for what."""
    view, where_encoder = make_where(options)
    size = options.glimpse_size
    what_encoder = ConvEncoder((ww.FRAME[0], size, size), options.feature_dim, options.channels)
    glimpses = Glimpses(ww.FRAME, options.num_places, options.patch_size, size)
    return WhereThenWhatGuide(
        where_encoder,
        glimpses,
        what_encoder,
        options.what_dim,
        where_view=view,
        what_reader=READERS[options.reader](),
        matched=options.match,
    )


def make_cure(options: argparse.Namespace) -> tuple[WhatWhereVAE, Any]:
    """The cured model and its guide."""
    torch.manual_seed(options.seed)
    what_dim, where_dim = options.what_dim, options.where_dim
    combine = AddCodes() if options.combine == "add" else ConcatenateCodes()
    decoder = DECODERS[options.decoder](options, what_dim if options.combine == "add" else what_dim + where_dim)
    likelihood, per_frame = NormalPixels(options.scale), options.reader == "other"
    model = WhatWhereVAE(decoder, likelihood, what_dim, where_dim, options.num_frames, per_frame, combine)
    if options.what_encoder == "glimpses":
        return model, make_glimpses(options)
    (what_view, what_encoder), (where_view, where_encoder) = make_what(options), make_where(options)
    guide_class = WhatThenWhereGuide if options.where_encoder == "finder" else WhatWhereGuide
    guide = guide_class(
        what_encoder,
        where_encoder,
        what_dim,
        where_dim,
        what_view=what_view,
        where_view=where_view,
        what_reader=READERS[options.reader](),
    )
    return model, guide


def make_pair(options: argparse.Namespace, setting: Setting) -> tuple[WhatWhereVAE, Any]:
    return make_cure(options) if setting.loss == CURE else make_report(options)


def to_train(options: argparse.Namespace, setting: Setting, pair: tuple[Any, Any]) -> tuple[nn.Module, nn.Module]:
    """Model and guide as they are trained: the report's first frame alone is scored, and losses of codes are added."""
    model, guide = pair
    if setting.loss == CURE:
        if options.same_clip:
            penalty = SameClip(options.where_dim)
            guide = pyrodis.add_penalty(guide, "same_clip", penalty, options.same_clip, side="guide")
        return model, guide
    weight = mixing_weight(setting.mixing, ww.NUM_PIXELS, REPORT_SCALE)
    guide = pyrodis.add_penalty(guide, setting.loss, LOSSES[setting.loss](options), weight, side="guide")
    return score_shown_frames(model, torch.tensor([True, False])), guide


def load_clips(options: argparse.Namespace, setting: Setting, source: ItemSource) -> dict[str, Any]:
    """Training and validation clips of a run: pairs of adjacent frames, or frames far apart."""
    cure = setting.loss == CURE
    sizes = {"train": options.num_train if cure else options.report_train, "validation": num_validation(options)}
    num_frames, gap = (options.num_frames, options.gap) if cure else (2, 1)
    return {split: ww.clips(source, split, size, num_frames, gap) for split, size in sizes.items()}


def kl_weights(options: argparse.Namespace, setting: Setting) -> dict[str, float]:
    cure = setting.loss == CURE
    return {"what": options.beta_what if cure else 0.0, "where": options.beta_where if cure else 0.0}


def make_fit_settings(options: argparse.Namespace, setting: Setting, data: Any) -> FitSettings:
    cure = setting.loss == CURE
    num_steps = options.num_steps if cure else options.report_steps
    batch_size = options.batch_size if cure else options.report_batch_size
    optimizer = "adam" if cure else options.report_optimizer
    rate = options.learning_rate if cure else options.report_learning_rate
    if optimizer == "sgd":  # its steps are in the units of the loss, which is trained in nats; Adam's are not
        rate /= mixing_weight(1.0, ww.NUM_PIXELS, REPORT_SCALE)
    return FitSettings(
        num_epochs=math.ceil(num_steps / math.ceil(len(data) / batch_size)),
        max_steps=num_steps,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=rate,
        schedule=options.schedule,
        kl_weights=kl_weights(options, setting),
        kl_cooldown_epochs={"where": options.kl_cooldown} if cure and options.kl_cooldown else {},
        precision=options.precision,
        device=options.device,
        seed=options.seed,
    )


def objective(options: argparse.Namespace, setting: Setting) -> dict[str, dict[str, float]]:
    """Weight of every term of the history in the loss, in units of the squared error of a pixel; of its parts, too.

    The history has penalties with their weight, KLs without. A discriminator's is left out.
    """
    if setting.loss != CURE:
        unit = mixing_weight(1.0, ww.NUM_PIXELS, REPORT_SCALE)
        agreement = {setting.loss: 1 / (setting.mixing * unit)}
        loss = {"nll": 1 / unit, setting.loss: 1 / unit}
        return {"loss": loss, "reconstruction": {"nll": 1 / unit}, "agreement": agreement}
    unit = mixing_weight(1.0, options.num_frames * ww.NUM_PIXELS, options.scale)
    betas = kl_weights(options, setting)
    loss = {"nll": 1 / unit} | {f"kl_{site}": beta / unit for site, beta in betas.items()}
    return {"loss": loss, "reconstruction": {"nll": 1 / unit}}


def train(options: argparse.Namespace, setting: Setting, source: ItemSource) -> tuple[WhatWhereVAE, Any, History]:
    """Train one run or go on with it."""
    pair, data = make_pair(options, setting), load_clips(options, setting, source)
    history = pyrodis.fit(
        *to_train(options, setting, pair),
        data["train"],
        validation=data["validation"],
        settings=make_fit_settings(options, setting, data["train"]),
        output=Path(options.output) / setting.name,
        resume=options.resume,
        overwrite=options.overwrite,
        description={
            "preset": "smoke test" if options.smoke_test else options.preset,
            "loss": setting.loss,
            "lambda": None if setting.loss == CURE else setting.mixing,
            "alpha": options.alpha if setting.loss == "barlow" else None,
        },
    )
    model, guide = (program.cpu().eval() for program in pair)
    print(f"{setting.name}: trained in {math.fsum(history.column('seconds')) / 60:.1f} minutes on {source.name}")
    return model, guide, history


def score(
    options: argparse.Namespace, setting: Setting, trained: Any, judge: Any, test: Any, real: list[Any]
) -> dict[str, Score]:
    """Score a run, draw its figures, and write metrics.json last: where it is, nothing is left to do."""
    model, guide, history = trained
    draws = setting.loss == CURE and (options.what_view == "shift" or options.reader == "one")
    scores = ww.evaluate(model, guide, judge, test, num_views=8 if draws else None, real=real)
    scores |= ww.overfit_scores(history, objective(options, setting))
    scores["training_minutes"] = circle.number(math.fsum(history.column("seconds")) / 60, 1)
    run = Path(options.output) / setting.name
    ww.draw_run(run / "figures", model, guide, history, ww.first_clips(test, 2))
    circle.write_scores(run, scores)
    return scores


def draw_sweep(options: argparse.Namespace, trained: dict[Setting, Any], results: Any, test: Any) -> None:
    """Training, reconstructions and overfitting by lambda, and the scores of all runs."""
    from pyrodis import plotting

    folder, x = Path(options.output) / "figures", ww.first_clips(test, 1)
    for loss in options.losses:
        runs = {setting: pair for setting, pair in trained.items() if setting.loss == loss}
        histories = {setting.mixing: history for setting, (_, _, history) in runs.items()}
        ww.draw_curves(folder, loss, histories, REPORT_SCALE)
        shown = [x, *(pyrodis.reconstruct(model, guide, x) for model, guide, _ in runs.values())]
        labels = ["clip", *(f"lambda {setting.mixing:g}" for setting in runs)]
        circle.save(folder, f"reconstructions_{loss}", plotting.frame_grid(torch.cat(shown), labels))
    gaps = {s.name: ww.gap_curves(h, objective(options, s)["loss"])["gap"] for s, (_, _, h) in trained.items()}
    ww.draw_gaps(folder, gaps)
    ww.draw_scores(folder, {setting.name: found for setting, found in results.items()})


def say_hours(options: argparse.Namespace, settings: list[Setting], source: ItemSource) -> None:
    """Time a step of every kind of run and print what all of them would take on this CPU."""
    seconds = 0.0
    for setting in settings:
        data = load_clips(options, setting, source)["train"]
        model, guide = to_train(options, setting, make_pair(options, setting))
        size = options.batch_size if setting.loss == CURE else options.report_batch_size
        x, start = ww.first_clips(data, size), time.perf_counter()
        pyrodis.NamedELBO()(model, guide)(x).backward()
        num_steps = options.num_steps if setting.loss == CURE else options.report_steps
        seconds += (time.perf_counter() - start) * num_steps
    print(f"on this CPU {len(settings)} runs take about {seconds / 3600:.0f} hours")


def main(options: argparse.Namespace) -> None:
    import matplotlib

    matplotlib.use("Agg")
    apply_preset(options)
    settings = make_settings(options)
    output = Path(options.output)
    circle.check_free([output / setting.name for setting in settings], options)
    source = ww.load_source(options)
    test = ww.load_test(options, source)
    if options.preset == "paper" and not options.smoke_test:
        say_hours(options, settings, source)
    judge: Any = None
    real: list[Any] = []  # what the judge reads off the test clips, once for all runs
    trained: dict[Setting, Any] = {}
    results: dict[Setting, dict[str, Score]] = {}
    for setting in settings:
        trained[setting] = train(options, setting, source)
        if not first_process():
            continue  # to the next training
        results[setting] = circle.read_scores(output / setting.name)
        if not results[setting]:
            judge = judge or ww.load_judge(options, source, test)[0]
            results[setting] = score(options, setting, trained[setting], judge, test, real)
    if not first_process():
        return
    merged = {f"{setting.name}/{name}": value for setting, found in results.items() for name, value in found.items()}
    circle.write_scores(output, merged)
    draw_sweep(options, trained, results, test)
    print(ww.table({setting.name: found for setting, found in results.items()}))
    print(f"every run has its directory in {output}, with the sweep's metrics.json and figures")


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
