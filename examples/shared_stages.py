"""What the scripts of parallel VAEs share in training: options, schedules, settings, and the training itself."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import pyrodis
from pyrodis.datasets import PresentTypes
from pyrodis.infer import FitSettings, History, SlowLearning, Stage, fit_stages, individual_stages, together_stages
from pyrodis.models import MaskedNormal, MixturePixels
from pyrodis.ops import check_positive_int
from pyrodis.regularizers import claim_penalty, mask_entropy_penalty, silence_penalty

LIKELIHOODS = {"masked": MaskedNormal, "mixture": MixturePixels}


def add_model_options(option: Any, preset: Mapping[str, Any]) -> None:
    """Options of both scripts' models; `option` is a group's `add_argument`, `preset` what the help names."""
    option(
        "--likelihood",
        choices=LIKELIHOODS,
        help=f"squared errors under masks, or a mixture (default: {preset['likelihood']})",
    )
    option(
        "--scale",
        type=float,
        help="deviation of a pixel (default: of the preset, or sqrt(1/2) for masked and 0.1 for mixture)",
    )
    option("--beta", type=float, help=f"weight of the KL (default: {preset['beta']})")
    option("--gamma", type=float, help=f"weight of the price of confident masks (default: {preset['gamma']})")
    option("--dense-dim", type=int, help=f"size of the dense layers (default: {preset['dense_dim']})")
    option("--latent-dim", type=int, help=f"size of a code (default: {preset['latent_dim']})")
    option(
        "--output-bias", type=float, help=f"logit of a pixel where training starts (default: {preset['output_bias']})"
    )


def add_training_options(option: Any, preset: Mapping[str, Any], schedules: Iterable[str], meaning: str) -> None:
    """Options of both scripts' trainings, `--schedule` with the meaning of its values."""
    option("--schedule", choices=[*schedules], help=f"{meaning} (default: {preset['schedule']})")
    option("--num-train", type=int, help=f"images of each stage (default: {preset['num_train']:,})")
    option("--num-epochs", type=int, help=f"epochs of each stage (default: {preset['num_epochs']})")
    option("--batch-size", type=int, help=f"images a step (default: {preset['batch_size']})")
    option("--learning-rate", type=float, help=f"highest step size of Adam (default: {preset['learning_rate']})")
    rate = preset["together_learning_rate"]
    option("--together-learning-rate", type=float, help=f"the same of the stages together (default: {rate})")
    option("--rates", choices=("cosine", "constant"), help=f"step sizes within a stage (default: {preset['rates']})")
    option(
        "--silence",
        type=float,
        help="with --schedule labels: weight of what a VAE says of images without its type "
        f"(default: {preset['silence']})",
    )
    option(
        "--claims",
        type=float,
        help="with --schedule labels: weight of errors by which confidences learn whose a pixel is when labels are "
        f"gone (default: {preset['claims']})",
    )
    option("--halving-kl", type=float, help="nats that halve the rate where unsupervised (default: 5)")
    option("--precision", choices=("bf16-mixed", "32-true"), help=f"of the networks (default: {preset['precision']})")


def fill_preset(options: argparse.Namespace, preset: Mapping[str, Any]) -> None:
    """Give the options that were not given the values of a preset; refuse batches of nothing."""
    for name, value in preset.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    check_positive_int("--batch-size", options.batch_size)


def refuse_unused(options: argparse.Namespace, preset: Mapping[str, Any]) -> None:
    """Refuse options that were given and that the schedule or the decoder would make nothing of.

    Rates are let pass: they belong together, whatever stages there are.

    Args:
        options: The options as they were given, None for those that were not.
        preset: What they would be.
    """
    schedule, decoder = (getattr(options, name) or preset[name] for name in ("schedule", "decoder"))
    used = {
        "silence": schedule == "labels",
        "claims": schedule == "labels",
        "halving_kl": schedule == "unsupervised",
        "together_epochs": schedule in ("together", "own", "tandem"),
        "num_rounds": schedule == "tandem",
        "gamma": schedule != "single",
        "latent_channels": decoder == "grid",
        "grid": decoder == "grid",
        "dense_dim": decoder != "grid",
        "kernel_size": decoder == "strided",
        "broadcast_size": decoder == "broadcast",
    }
    of_decoder = ("latent_channels", "grid", "dense_dim", "kernel_size", "broadcast_size")
    given = [name for name, is_used in used.items() if not is_used and getattr(options, name, None) is not None]
    if given:
        by = f"--decoder {decoder}" if given[0] in of_decoder else f"--schedule {schedule}"
        raise ValueError(f"--{given[0].replace('_', '-')} has no effect with {by}; leave it out")


def alone(options: argparse.Namespace) -> list[Stage]:
    """Each component in its turn, on its type and those before."""
    return individual_stages(options.num_components, options.num_epochs, learning_rate=options.learning_rate)


def together(options: argparse.Namespace) -> list[Stage]:
    """The same, and after each turn all components so far."""
    return together_stages(
        options.num_components,
        options.num_epochs,
        learning_rate=options.learning_rate,
        together_learning_rate=options.together_learning_rate,
        together_epochs=options.together_epochs,
    )


def unsupervised(options: argparse.Namespace) -> list[Stage]:
    """All components on all types at once, for as many epochs as alone; no stage says which type is whose."""
    everyone = tuple(range(options.num_components))
    num_epochs = options.num_components * options.num_epochs
    return [Stage("all", everyone, everyone, num_epochs, options.learning_rate)]


def labels(options: argparse.Namespace) -> list[Stage]:
    """The same, but images come with labels of which types are in them: see `train`."""
    return [replace(stage, name="labels") for stage in unsupervised(options)]


def labeled(options: argparse.Namespace, data: Any) -> Any:
    """A data set with labels of its images, if the schedule uses them."""
    return PresentTypes(data, options.num_components) if options.schedule == "labels" else data


def make_likelihood(options: argparse.Namespace) -> Any:
    likelihood = LIKELIHOODS[options.likelihood]
    return likelihood() if options.scale is None else likelihood(options.scale)


def make_settings(options: argparse.Namespace, stages: Sequence[Stage] = ()) -> FitSettings:
    """The settings of a training; a warm-up, which begins every stage, takes no more than a fifth of the shortest."""
    halving_kl = 5.0 if options.halving_kl is None else options.halving_kl
    # Codes laid out in cells may have hundreds of nats each, at which nobody would learn.
    least = options.decoder == "grid"
    slow = SlowLearning(halving_kl, above_least=least) if options.schedule == "unsupervised" else None
    epochs = min((stage.num_epochs for stage in stages), default=options.num_epochs)
    shortest = math.ceil(options.num_train / options.batch_size) * epochs
    return FitSettings(
        batch_size=options.batch_size,
        schedule=options.rates,
        warmup_steps=0 if options.rates == "constant" else min(FitSettings.warmup_steps, shortest // 5),
        kl_weights={"z": options.beta},
        precision=options.precision,
        device=options.device,
        seed=options.seed,
        slow_learning=slow,
        inputs=("present",) if options.schedule == "labels" else (),
    )


def count_parameters(pair: Any) -> int:
    return sum(parameter.numel() for program in pair for parameter in program.parameters())


def say_hours(options: argparse.Namespace, pair: Any, x: torch.Tensor, num_epochs: int) -> None:
    """Time one step of all components and print what the whole training would take on this CPU."""
    start = time.perf_counter()
    with torch.random.fork_rng():  # so that a seed is the same training whether this is said or not
        pyrodis.NamedELBO()(*pair)(x).backward()
    hours = (time.perf_counter() - start) / len(x) * options.num_train * num_epochs / 3600
    for program in pair:
        program.zero_grad(set_to_none=True)
    print(f"on this CPU {num_epochs} epochs take at most about {hours:.1f} hours, by one step of {len(x)} images")


def train(options: argparse.Namespace, pair: Any, stages: list[Stage], data: Any) -> History:
    """Train the components stage by stage, or go on with it; one component has no masks to put a price on.

    With labels, an image's pixels are for the components whose type it holds alone, the others are to be silent, and
    their confidences to leave the pixels to them.
    """
    model, guide = pair
    scale = model.likelihood.scale
    if options.schedule == "labels":
        silence = lambda output: silence_penalty(output["kl"], output["present"])  # noqa: E731
        guide = pyrodis.add_penalty(guide, "silence", silence, options.silence, side="guide")
        if options.claims:
            names = ("x", "components", "confidence")
            claims = lambda output: claim_penalty(*(output[name] for name in names), scale)  # noqa: E731
            model = pyrodis.add_penalty(model, "claims", claims, options.claims, side="model")
    if options.gamma:
        price = lambda output: mask_entropy_penalty(output["masks"])  # noqa: E731
        model = pyrodis.add_penalty(model, "entropy", price, options.gamma, side="model")
    return fit_stages(
        model,
        guide,
        stages,
        data,
        settings=make_settings(options, stages),
        output=Path(options.output),
        resume=options.resume,
        overwrite=options.overwrite,
        description={
            "preset": "smoke test" if options.smoke_test else options.preset,
            "schedule": options.schedule,
            "gamma": options.gamma,
        },
    )
