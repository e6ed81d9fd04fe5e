"""The one Lightning module: a training step over the ELBO's named terms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import lightning.pytorch as lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pyrodis.infer.checkpoint import RunState
from pyrodis.infer.data import check_batch
from pyrodis.infer.elbo import NamedELBO
from pyrodis.infer.freezing import component_modules, count_components, frozen_modules
from pyrodis.infer.handlers import scale_latents
from pyrodis.infer.penalties import innermost
from pyrodis.infer.processes import on_first_process, sum_over_processes
from pyrodis.infer.recovery import nan_parameter
from pyrodis.infer.sampler import StepBatchSampler, seed_noise
from pyrodis.infer.settings import FitSettings, kl_factor, learning_rate_at
from pyrodis.infer.sites import get_trace, latent_sites

__all__ = ["Engine", "find_latent_sites"]

_STANDS_STILL = 1e-3  # of the learning rate: components that learn slower than this do not begin to learn

# What an optimizer keeps of the shape of a parameter, besides momentum.
_KEPT: dict[str, tuple[str, ...]] = {"adam": ("exp_avg", "exp_avg_sq"), "rmsprop": ("square_avg",), "sgd": ()}


def find_latent_sites(guide: nn.Module, x: Tensor, inputs: Mapping[str, Tensor] | None = None) -> list[str]:
    """Return the names of the latent sites that a guide samples, in order; its modules keep their modes.

    Args:
        guide: The guide.
        x: Frames (B, T, C, H, W).
        inputs: What else the guide is given, by name.

    Returns:
        Site names, penalties left out.

    Raises:
        FloatingPointError: If the guide makes NaN of the frames.

    Example:
        >>> import pyro
        >>> class Guide(nn.Module):
        ...     def forward(self, x):
        ...         with pyro.plate("data", len(x)):
        ...             pyro.sample("z", pyro.distributions.Normal(0.0, 1.0))
        >>> find_latent_sites(Guide(), torch.zeros(2, 1, 1, 4, 4))
        ['z']
    """
    modes = {module: module.training for module in guide.modules()}
    guide.eval()  # or a batch normalization would count these frames, and a resumed run would count them twice
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            return list(latent_sites(get_trace(innermost(guide), x, **(inputs or {}))))  # a penalty may want more clips
    except ValueError as error:
        if found := nan_parameter(error):
            raise FloatingPointError(
                f"{found} is nan for the first clip; look for NaN in the guide's weights"
            ) from error
        raise
    finally:
        for module, mode in modes.items():
            module.training = mode


class Engine(lightning.LightningModule):
    """Model and guide under one optimizer; what a step does is a function of its number.

    Modules that are frozen when it is made (see `frozen_modules`) stay in eval mode.

    Args:
        model: The model.
        guide: The guide.
        settings: The settings of the training.
        sites: Latent sites.
        plan: Steps an epoch, and steps of the whole training.
        state: Where the training stands; only read here.
        optimizer_state: State of the optimizer to continue from; empty for a new one.
        sampler: What divides the batch of a step over processes and parts; None where nothing does.
    """

    def __init__(
        self,
        model: nn.Module,
        guide: nn.Module,
        settings: FitSettings,
        sites: list[str],
        plan: tuple[int, int],
        state: RunState,
        optimizer_state: Mapping[str, Any],
        sampler: StepBatchSampler | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.guide = guide
        self.settings = settings
        self.steps_per_epoch, self.num_steps = plan
        self.state = state
        self.full_weights = {site: settings.kl_weights.get(site, 1.0) for site in sites}
        scheduled = bool(settings.kl_warmup_epochs) or bool(settings.kl_cooldown_epochs)
        scaled = scheduled or any(weight != 1.0 for weight in self.full_weights.values())
        self._scaled = tuple(scale_latents(p, self.full_weights) for p in (model, guide)) if scaled else ()
        self._programs = self._scaled or (model, guide)  # in a tuple, so that wrappers are no submodules
        self._elbo = (NamedELBO(analytic=settings.analytic),)
        self._optimizer_state = optimizer_state
        self._sampler = sampler
        self._part = 0
        self.num_clips = 0
        self._trained = [p for p in self.parameters() if p.requires_grad]
        self._frozen = (*frozen_modules(model), *frozen_modules(guide))
        self._measured: tuple[list[str], Tensor] = ([], torch.empty(0))
        self.values: dict[str, float] = {}
        self._owners: dict[str, int] = {}
        self._active: list[int] = []
        self._validated = False  # whether all validation clips have been looked at
        self.rate = 0.0

    @property
    def ends_step(self) -> bool:
        """Whether the part of the batch under way is the last of its step."""
        return self._sampler is None or self._part == self._sampler.num_parts - 1

    def train(self, mode: bool = True) -> Engine:
        """Set the mode of all modules but the frozen ones."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def set_kl_weights(self, weights: Mapping[str, float]) -> None:
        """Weight the KL of each site, in both programs."""
        for program in self._scaled:
            program.weights = dict(weights)

    def kl_weights(self, step: int) -> dict[str, float]:
        """The KL weight of each site at a step."""
        factors = self._kl_factors(step)
        return {site: weight * factors[site] for site, weight in self.full_weights.items()}

    def _kl_factors(self, step: int) -> dict[str, float]:
        return {site: kl_factor(self.settings, step, self.steps_per_epoch, site) for site in self.full_weights}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One optimizer of all parameters, each once; a group a component where components learn slower."""
        fused = all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in self._trained)
        rate, momentum = self.settings.learning_rate, self.settings.momentum
        optimizer: torch.optim.Optimizer
        if self.settings.optimizer == "adam":
            optimizer = torch.optim.Adam(self._groups(), lr=rate, fused=fused)
        elif self.settings.optimizer == "rmsprop":
            optimizer = torch.optim.RMSprop(self._groups(), lr=rate, momentum=momentum)
        else:
            optimizer = torch.optim.SGD(self._groups(), lr=rate, momentum=momentum, fused=fused)
        if self._optimizer_state:
            self._restore(optimizer)
        return optimizer

    def _restore(self, optimizer: torch.optim.Optimizer) -> None:
        """Fill an optimizer from a checkpoint, if its state is of the same parameters."""
        try:
            optimizer.load_state_dict(dict(self._optimizer_state))
            kept = _KEPT[self.settings.optimizer] + (("momentum_buffer",) if self.settings.momentum else ())
            wrong = [p for p, s in optimizer.state.items() if any(s[name].shape != p.shape for name in kept)]
            problem = f"{len(wrong)} of other shapes" if wrong else ""
        except Exception as error:  # the state of anything may come in a file
            problem = str(error).partition("\n")[0] or type(error).__name__
        if problem:
            raise ValueError(
                f"the optimizer's state of the checkpoint must be that of this training, got another ({problem}); "
                "start again with overwrite=True"
            )

    def _groups(self) -> list[dict[str, Any]]:
        """The trained parameters: all in one group, or one for each component and one for what belongs to none."""
        if self.settings.slow_learning is None:
            return [{"params": self._trained}]
        owners: dict[nn.Parameter, int] = {}
        for k in range(count_components(self.model, self.guide)):
            for module in (*component_modules(self.model, k), *component_modules(self.guide, k)):
                owners |= dict.fromkeys(module.parameters(), k)
        keys = sorted({owners.get(p, -1) for p in self._trained})
        self._active = [k for k in keys if k >= 0]
        return [{"params": [p for p in self._trained if owners.get(p, -1) == k], "component": k} for k in keys]

    def on_train_batch_start(self, batch: Mapping[str, Tensor], batch_idx: int) -> None:
        """Set noise, learning rate and KL weights to those of this step."""
        step = self.state.step
        self._part = 0 if self._sampler is None else batch_idx % self._sampler.num_parts
        later = (self._part,) if self._part else ()
        seed_noise(self.device, self.settings.seed, "noise", step, self.global_rank, *later)
        self.rate = learning_rate_at(self.settings, step, self.num_steps)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.rate
        self.set_kl_weights(self.kl_weights(step))

    def _terms(self, batch: Mapping[str, Tensor]) -> tuple[list[str], Tensor, Tensor]:
        inputs: dict[str, Any] = {name: value for name, value in batch.items() if name != "x"}
        terms = self._elbo[0].terms(*self._programs, batch["x"], **inputs)
        rows = terms.components.items()
        self._owners = {f"kl_{site}.{k}": k for site, row in rows for k in range(len(row))}
        named = terms.values | {f"kl_{site}.{k}": value for site, row in rows for k, value in enumerate(row)}
        values = [value.detach().double() for value in named.values()]
        return [*named, "total"], torch.stack([*values, terms.total.detach().double()]), terms.total

    def training_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> Tensor:
        """Return the objective of a batch, nats per datum."""
        names, values, total = self._terms(batch)
        share, weight = self._share(len(batch["x"]))
        self._measured = (names, share * values if self._part == 0 else self._measured[1] + share * values)
        # What all sites cool down by is taken out of the objective. Adam's step is the same, but it would remember the
        # large gradients of what only the KL moves, such as a prior, and keep its steps small long after.
        return weight * total / max(1.0, min(self._kl_factors(self.state.step).values(), default=1.0))

    def _share(self, num: int) -> tuple[float, float]:
        """The share that some clips have in the mean over the whole batch, and what makes the mean over shares of it.

        Lightning divides by the number of parts, and takes the mean of gradients over processes.
        """
        if self._sampler is None:
            self.num_clips = num
            return 1.0, 1.0
        self.num_clips = self._sampler.num_in_step(self.state.step)
        return num / self.num_clips, num * self._sampler.num_shares / self.num_clips

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Stop at a value that is not finite, before it reaches a weight; clip the gradient."""
        names, values = self._measured
        values = sum_over_processes(values)
        trained = [p for p in self._trained if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in trained if p.grad is not None])
        *read, norm_read = torch.cat([values, norm.reshape(1).to(values)]).tolist()  # the one wait for the device
        self.values = dict(zip(names, read, strict=True))
        check_finite(self.values, "loss term", self.where())
        if not math.isfinite(norm_read):
            raise FloatingPointError(
                f"the gradient of {self._first_bad_gradient()} became {norm_read} at {self.where()}"
            )
        self._slow_down(optimizer)
        clip = self.settings.gradient_clip
        if clip is not None and norm_read > clip:
            torch.nn.utils.clip_grads_with_norm_(trained, clip, norm)

    def _slow_down(self, optimizer: torch.optim.Optimizer) -> None:
        """Multiply the learning rate of each component by its factor, where components learn slower."""
        slow = self.settings.slow_learning
        if slow is None:
            return
        count = count_components(self.model, self.guide)
        if set(self._owners.values()) != set(range(count)):
            raise ValueError(
                f'slow_learning needs a latent site inside a plate "components" of size {count}, the KL has '
                f"{len(set(self._owners.values()))} components; see ParallelVAE"
            )
        kl = [sum(self.values[name] for name, owner in self._owners.items() if owner == k) for k in range(count)]
        begins = not self.state.component_kl
        self.state.component_kl = slow.update(self.state.component_kl, kl)
        factors = slow.factors(self.state.component_kl, self._active)
        if begins and max((factors[k] for k in self._active), default=1.0) < _STANDS_STILL:
            raise ValueError(
                "slow_learning must leave some component a rate that it can learn with, got KLs of "
                f"{min(kl[k] for k in self._active):.3g} nats and more at the first step, at halving_kl="
                f"{slow.halving_kl}; take above_least=True, or a larger halving_kl"
            )
        for group in optimizer.param_groups:
            group["lr"] = self.rate * (1.0 if group["component"] < 0 else factors[group["component"]])

    def rate_factors(self) -> dict[str, float]:
        """What multiplies the learning rate of each component, by column of the history; empty for one rate."""
        slow = self.settings.slow_learning
        factors = [] if slow is None else slow.factors(self.state.component_kl, self._active)
        return {f"rate_factor.{k}": factor for k, factor in enumerate(factors)}

    def where(self) -> str:
        """Epoch and step under way, in words, both counted from 1."""
        return f"epoch {self.state.step // self.steps_per_epoch + 1}, step {self.state.step + 1}"

    def _first_bad_gradient(self) -> str:
        for name, parameter in self.named_parameters():
            if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
                return name
        return "all parameters together"

    def evaluate(self, loader: DataLoader[Any]) -> dict[str, float]:
        """Return the mean of every term over a loader, nats per datum, at the full KL weights, in eval mode.

        The noise of a batch is the same each time. Of several processes the first evaluates, and tells the others.
        """
        return on_first_process(lambda: self._evaluate(loader))

    def _evaluate(self, loader: DataLoader[Any]) -> dict[str, float]:
        self.set_kl_weights(self.full_weights)
        self.eval()
        names: list[str] = []
        sums, num_seen = torch.zeros(()), 0
        for index, batch in enumerate(loader):
            if not self._validated:
                check_batch(batch["x"], "validation", num_seen)
            seed_noise(self.device, self.settings.seed, "validation", index, self.global_rank)
            with torch.no_grad(), self._precision():
                names, values, _ = self._terms(self.transfer_batch_to_device(batch, self.device, 0))
            sums = sums.to(self.device) + values.double() * len(batch["x"])
            num_seen += len(batch["x"])
        self._validated = True
        self.train()
        means = dict(zip(names, (sums / num_seen).tolist(), strict=True))
        step = self.state.step
        check_finite(means, "validation term", f"the end of epoch {-(-step // self.steps_per_epoch)}, step {step}")
        return means

    def _precision(self) -> AbstractContextManager[Any]:
        return (
            torch.autocast(self.device.type, torch.bfloat16) if self.settings.precision != "32-true" else nullcontext()
        )


def check_finite(values: Mapping[str, float], kind: str, where: str) -> None:
    """Raise FloatingPointError for the first value that is not finite.

    Args:
        values: Name to value.
        kind: What the values are.
        where: Epoch and step in words.

    Raises:
        FloatingPointError: A value is not finite.

    Example:
        >>> check_finite({"nll": float("nan")}, "loss term", "epoch 1, step 3")
        Traceback (most recent call last):
            ...
        FloatingPointError: the loss term 'nll' became nan at epoch 1, step 3
    """
    for name, value in values.items():
        if not math.isfinite(value):
            raise FloatingPointError(f"the {kind} {name!r} became {value} at {where}")
