"""The settings of a training, and the two schedules that follow from them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, cast

from torch import nn

from pyrodis.infer.slow_learning import SlowLearning

__all__ = ["FitSettings", "kl_factor", "learning_rate_at", "warn_of_kl_weights"]

_CHOICES = {
    "optimizer": ("adam", "rmsprop", "sgd"),
    "schedule": ("constant", "cosine"),
    "precision": ("32-true", "bf16-mixed"),
    "device": ("auto", "cpu", "cuda"),
    "strategy": ("ddp", "ddp_find_unused_parameters_true"),
}
_WHOLE = {"num_epochs": 1, "max_steps": 1, "batch_size": 1, "warmup_steps": 0}
_WHOLE |= {"seed": 0, "patience": 1, "num_workers": 0, "accumulation": 1}
_POSITIVE = ("learning_rate", "gradient_clip", "checkpoint_minutes")
_COOLDOWN_START = 1e4  # large enough to close a site whose code is worth thousands of nats
_OPTIONAL = ("max_steps", "gradient_clip", "patience", "accumulation")


@dataclass(frozen=True)
class FitSettings:
    """Every setting of a training that is not part of the model, the guide or the data.

    The objective per datum is the sum of nll, of kl_weights[site] times the KL of each latent site, and of each penalty
    times its weight. During the first ``kl_warmup_epochs`` epochs a KL weight is multiplied by a factor that rises
    linearly to one, or, of a site in ``kl_cooldown_epochs``, by one that falls geometrically from 10,000 to one;
    validation always uses the full weights.

    Args:
        num_epochs: Passes over the training data.
        max_steps: Stop after this many optimizer steps, even inside an epoch; None for no such limit.
        batch_size: Sequences a step, over all processes; the last batch of an epoch may be smaller, no sequence is left
            out.
        accumulation: Parts that a batch is computed in, one after the other, to need the memory of one part; the step
            is that of the whole batch. Batch normalization, and penalties that couple the clips of a batch, see one
            part. None for one.
        learning_rate: Step size of the optimizer at its highest.
        schedule: ``"constant"``, or ``"cosine"``: down to the final fraction over the whole training.
        warmup_steps: Steps over which the learning rate first rises linearly, under either schedule; with the cosine at
            most a fifth of all steps. A constant schedule, whose training may be made longer later, has them all.
        final_learning_rate_fraction: Where the cosine ends, as a fraction of ``learning_rate``, in [0, 1].
        gradient_clip: Largest norm of the whole gradient; None for no clipping.
        kl_weights: Latent site name to the weight of its KL (beta); a site that is not named has weight one.
        kl_warmup_epochs: Epochs over which all KL weights rise but those that cool down; 0 for none. Or latent site
            name to the epochs of that site; a site that is not named has none. `fit` warns of a training that ends
            before a weight has come to its value, here and below. Each stage of `fit_stages` begins anew.
        kl_cooldown_epochs: Latent site name to the epochs, or the part of one, over which its KL weight falls. Such a
            site says nothing at first, so what it shares with the others is theirs when it begins to speak. Where all
            sites cool down, what their factors have in common divides the objective that is differentiated instead.
        analytic: Use the closed form of each KL that has one, rather than its estimate from the drawn latents.
        precision: ``"32-true"``, or ``"bf16-mixed"`` for bfloat16 autocast.
        device: ``"auto"`` (a CUDA device where there is one), ``"cpu"`` or ``"cuda"``.
        seed: Seed of the batches and of the noise; the initial weights are made before training and do not use it.
        patience: Stop when the validation total has not fallen for this many epochs; None to train to the end.
        num_workers: Processes that load data; 0 loads in the training process.
        strategy: How the processes that torchrun started share a step, as Lightning names it: ``"ddp"``, or
            ``"ddp_find_unused_parameters_true"`` where a parameter takes no part in the loss. Of no effect without
            torchrun.
        checkpoint_minutes: Longest time between two saves of the last checkpoint, inside an epoch too.
        inputs: Names of what items of the data hold beside "x" that model and guide are to be given as keyword
            arguments, such as ``("present",)`` for `ParallelVAE`: tensors that stack to a batch. Training and its
            validation alone give them: queries, `compare_guides` and penalties that run a program a second time do not,
            so let programs do without.
        slow_learning: How components (see `ParallelVAE`) learn slower by their KL; None where all learn at one rate.
        optimizer: ``"adam"``, ``"rmsprop"`` or ``"sgd"`` of `torch.optim`, with its defaults for what is not named.
            The first two divide gradients by their size. Steps of SGD grow with the objective, which is in nats a
            sequence: a rate that was chosen for a mean over pixels is far too large for it.
        momentum: Momentum of ``"rmsprop"`` and ``"sgd"``, in [0, 1); 0 for none. Adam has its own, .9.
        preview: Called with copies of model and guide, on the CPU and in eval mode, after two minutes and then whenever
            twice that time has passed again: four, eight, ..., to draw what they make of data so far. The training
            does not notice: torch's random numbers, and so weights, are the same with and without; it is not recorded.
            If it fails, a line on standard error says so and the training goes on. None for nothing.

    Raises:
        TypeError: A setting has another type than stated.
        ValueError: A setting lies outside its range.

    Example:
        >>> FitSettings(num_epochs=5, kl_weights={"f": 1.0, "z": 0.5}).schedule
        'cosine'
        >>> FitSettings(batch_size=0)
        Traceback (most recent call last):
            ...
        ValueError: batch_size must be a whole number of at least 1, got 0
    """

    num_epochs: int = 100
    max_steps: int | None = None
    batch_size: int = 32
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup_steps: int = 100
    final_learning_rate_fraction: float = 0.01
    gradient_clip: float | None = None
    kl_weights: Mapping[str, float] = field(default_factory=dict)
    kl_warmup_epochs: int | Mapping[str, int] = 0
    kl_cooldown_epochs: Mapping[str, float] = field(default_factory=dict)
    analytic: bool = True
    precision: str = "32-true"
    device: str = "auto"
    seed: int = 0
    patience: int | None = None
    num_workers: int = 0
    checkpoint_minutes: float = 5.0
    slow_learning: SlowLearning | None = None
    inputs: tuple[str, ...] = ()
    accumulation: int | None = None
    strategy: str = "ddp"
    optimizer: str = "adam"
    momentum: float = 0.0
    preview: Callable[[nn.Module, nn.Module], object] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self)):
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            if name in _CHOICES:
                _check_choice(name, value)
            elif name in _WHOLE:
                _check_whole(name, value, _WHOLE[name])
            elif name in _POSITIVE:
                _check_number(name, value)
        _check_number("final_learning_rate_fraction", self.final_learning_rate_fraction, zero=True)
        if self.final_learning_rate_fraction > 1:
            raise ValueError(
                f"final_learning_rate_fraction must be in [0, 1], got {self.final_learning_rate_fraction}; "
                "it is a fraction of learning_rate"
            )
        _check_number("momentum", self.momentum, zero=True)
        if self.momentum >= 1:
            raise ValueError(f"momentum must be in [0, 1), got {self.momentum}; usual values are .9 and .99")
        if self.momentum and self.optimizer == "adam":
            raise ValueError(
                f"momentum must be 0 for the optimizer 'adam', which has its own, got {self.momentum}; take 'sgd' or "
                "'rmsprop'"
            )
        if not isinstance(self.analytic, bool):
            raise TypeError(f"analytic must be True or False, got {self.analytic!r}")
        if self.preview is not None and not callable(self.preview):
            raise TypeError(
                f"preview must be a function of model and guide or None, got {self.preview!r}; pass its name alone"
            )
        if not isinstance(self.slow_learning, (SlowLearning, type(None))):
            raise TypeError(
                f"slow_learning must be SlowLearning or None, got {self.slow_learning!r}; e.g. SlowLearning(5.0)"
            )
        object.__setattr__(self, "inputs", _check_inputs(self.inputs))
        if not isinstance(self.kl_weights, Mapping):
            raise TypeError(f"kl_weights must map site names to weights, got {self.kl_weights!r}; e.g. {{'f': 1.0}}")
        for site, weight in self.kl_weights.items():
            _check_number(f"kl_weights[{site!r}]", weight, zero=True)
        if isinstance(self.kl_warmup_epochs, Mapping):
            for site, epochs in self.kl_warmup_epochs.items():
                _check_whole(f"kl_warmup_epochs[{site!r}]", epochs, 0)
            object.__setattr__(self, "kl_warmup_epochs", dict(self.kl_warmup_epochs))
        else:
            _check_whole("kl_warmup_epochs", self.kl_warmup_epochs, 0)
        if not isinstance(self.kl_cooldown_epochs, Mapping):
            raise TypeError(
                f"kl_cooldown_epochs must map site names to epochs, got {self.kl_cooldown_epochs!r}; e.g. {{'f': 0.5}}"
            )
        for site, length in self.kl_cooldown_epochs.items():
            _check_number(f"kl_cooldown_epochs[{site!r}]", length, zero=True)
        object.__setattr__(self, "kl_cooldown_epochs", dict(self.kl_cooldown_epochs))
        rising = self.kl_warmup_epochs if isinstance(self.kl_warmup_epochs, Mapping) else {}
        both = [site for site, epochs in rising.items() if epochs and self.kl_cooldown_epochs.get(site)]
        if both:
            raise ValueError(
                f"a KL weight rises or falls, got kl_warmup_epochs and kl_cooldown_epochs of {both}; keep one"
            )
        object.__setattr__(self, "kl_weights", {str(site): float(w) for site, w in self.kl_weights.items()})

    def recorded(self) -> dict[str, Any]:
        """Return the settings that a run records and a resumed one must share: all but ``preview``.

        Returns:
            Name to value.

        Example:
            >>> FitSettings(num_epochs=5).recorded()["num_epochs"]
            5
        """
        values = asdict(replace(self, preview=None))
        del values["preview"]
        return values


def _check_inputs(inputs: object) -> tuple[str, ...]:
    listed = isinstance(inputs, (list, tuple))
    names: tuple[str, ...] = tuple(cast(Any, inputs)) if listed else ()
    if not listed or not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise TypeError(f"inputs must be a list of names of what items hold, got {inputs!r}; e.g. ('present',)")
    if "x" in names or "batch_size" in names or len(set(names)) < len(names):
        raise ValueError(f'inputs must be names that differ, none "x" or "batch_size", got {names}')
    return names


def _check_choice(name: str, value: object) -> None:
    if value not in _CHOICES[name]:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, _CHOICES[name]))}, got {value!r}")


def _check_whole(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number of at least {least}, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value}")


def _check_number(name: str, value: object, zero: bool = False) -> None:
    wanted = "a finite number of at least 0" if zero else "a finite number above 0"
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{name} must be {wanted}, got {value!r}")
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise ValueError(f"{name} must be {wanted}, got {value}")


def learning_rate_at(settings: FitSettings, step: int, num_steps: int) -> float:
    """Return the learning rate of one step, a function of the step alone.

    It is r min(1, (s + 1) / w) c(s) for rate r, step s and w steps of warm-up. Of the constant schedule c is one;
    otherwise it falls from one to the final fraction along half a cosine over all steps, of which w is at most a fifth.

    Args:
        settings: The settings of the training.
        step: The step, from 0.
        num_steps: The steps of the whole training.

    Returns:
        The learning rate.

    Example:
        >>> learning_rate_at(FitSettings(learning_rate=0.5, schedule="constant", warmup_steps=4), 1, 100)
        0.25
    """
    rate = settings.learning_rate
    cosine = settings.schedule == "cosine"
    warmup = min(settings.warmup_steps, num_steps // 5) if cosine else settings.warmup_steps
    if warmup:
        rate *= min(1.0, (step + 1) / warmup)
    if cosine:
        last = settings.final_learning_rate_fraction
        rate *= last + (1 - last) * 0.5 * (1 + math.cos(math.pi * step / num_steps))
    return rate


def kl_factor(settings: FitSettings, step: int, steps_per_epoch: int, site: str) -> float:
    """Return what the KL weight of a site is multiplied by at one step of its warm-up or its cool-down.

    The warm-up gives min(1, (s + 1) / (e n)) for step s, e epochs of warm-up and n steps an epoch: never zero, and one
    when there is no warm-up. The cool-down gives 10000^max(0, 1 - s / (c n)) for c epochs of it, and a site that has
    one has no warm-up.

    Args:
        settings: The settings of the training.
        step: The step, from 0.
        steps_per_epoch: Steps of one epoch.
        site: Name of the latent site.

    Returns:
        The factor.

    Example:
        >>> kl_factor(FitSettings(kl_warmup_epochs=2), 9, 10, "z")
        0.5
        >>> kl_factor(FitSettings(kl_warmup_epochs={"f": 2}), 9, 10, "z")
        1.0
        >>> kl_factor(FitSettings(kl_cooldown_epochs={"f": 2}), 10, 10, "f")
        100.0
    """
    falling = settings.kl_cooldown_epochs.get(site, 0) * steps_per_epoch
    if falling:
        return float(_COOLDOWN_START ** max(0.0, 1 - step / falling))
    epochs = settings.kl_warmup_epochs
    rising = (epochs.get(site, 0) if isinstance(epochs, Mapping) else epochs) * steps_per_epoch
    return min(1.0, (step + 1) / rising) if rising else 1.0


def warn_of_kl_weights(settings: FitSettings, num_steps: int, steps_per_epoch: int, sites: Sequence[str]) -> None:
    """Warn of KL weights that would still be rising or falling when training ends.

    Args:
        settings: The settings of the training.
        num_steps: Steps of the whole training.
        steps_per_epoch: Steps of one epoch.
        sites: Names of the latent sites.

    Example:
        >>> warn_of_kl_weights(FitSettings(num_epochs=9, kl_warmup_epochs=3), 90, 10, ["z"])
    """
    if away := [site for site in sites if kl_factor(settings, num_steps, steps_per_epoch, site) != 1]:
        last = {site: kl_factor(settings, num_steps - 1, steps_per_epoch, site) for site in away}
        listed = ", ".join(f"that of {site!r} at {factor:.3g} times it" for site, factor in last.items())
        warnings.warn(
            f"training ends after {num_steps} steps, before all KL weights have come to their values, {listed}; train "
            "longer, or shorten kl_warmup_epochs or kl_cooldown_epochs",
            stacklevel=2,
        )
