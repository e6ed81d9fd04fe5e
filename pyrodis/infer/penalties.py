"""Penalties: pure functions of what a program returns, as factors of the objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from pyro.poutine.runtime import _PYRO_STACK
from torch import nn

from pyrodis.infer.describe import describe
from pyrodis.infer.handlers import ScaledLatents, check_weight
from pyrodis.infer.sites import latent_sites
from pyrodis.ops import register_parameters

Penalty = Callable[[Mapping[str, torch.Tensor]], torch.Tensor]


@dataclass(frozen=True)
class GuideRun:
    """A run of a guide on a batch, for penalties that need more than the values it drew.

    Args:
        guide: The guide itself, without wrappers, to be run again if needed: see `second_pass`.
        x: The clips.
        sites: Latent site name to its site in the trace, with "fn", the distribution, and "value".

    Shape:
        x: (B, T, C, H, W) in [0, 1].
    """

    guide: nn.Module
    x: torch.Tensor
    sites: Mapping[str, Any]

    def site(self, name: str) -> Any:
        """Return a latent site.

        Args:
            name: Name of the site.

        Returns:
            The site.

        Raises:
            ValueError: If the guide has no such site.
        """
        if name not in self.sites:
            raise ValueError(f"a penalty names the site '{name}', the guide has {sorted(self.sites)}")
        return self.sites[name]


GuidePenalty = Callable[[GuideRun], torch.Tensor]


def penalty_factor(name: str, value: torch.Tensor, weight: float, side: str) -> None:
    r"""Add `weight * value` to the objective, from inside a running program.

    In a model the factor is -weight value, in a guide +weight value with `has_rsample=True`; both add the same nats to
    the loss, and the same gradient. The values of a batch get a plate of their own: call it outside the plate "data".

    Args:
        name: Name of the factor's site.
        value: Penalty of each datum.
        weight: Weight, 0 or more.
        side: "model" or "guide".

    Shape:
        value: (B), or (N, B) for draws.

    Raises:
        ValueError: If the side is unknown, the weight is negative, or value has no batch dimension.

    Example:
        >>> trace = pyro.poutine.trace(penalty_factor).get_trace("slow", torch.ones(4), 0.5, "model")
        >>> trace.log_prob_sum()
        tensor(-2.)
    """
    if side not in ("model", "guide"):
        raise ValueError(f'side must be "model" or "guide", got "{side}"')
    if value.ndim == 0:
        raise ValueError(
            f"penalty '{name}' must have one value per datum, shape (B), got a scalar; do not sum over the batch"
        )
    sign = -1.0 if side == "model" else 1.0
    value = _left_of_plates(value)
    # A plate of no size of its own, or Trace_ELBO would miss it in the other program; NaN has its own sentence in fit.
    with pyro.plate(f"{name}_data", dim=-1), pyro.validation_enabled(False):
        pyro.factor(name, sign * check_weight(name, weight) * value, has_rsample=None if side == "model" else True)


def _left_of_plates(value: torch.Tensor) -> torch.Tensor:
    """The same values (N, B) with their draws at the dimension of the plate that makes them, left of the program's."""
    plates = (handler for handler in _PYRO_STACK if isinstance(handler, pyro.plate))
    depth = max((-plate.dim for plate in plates if plate.dim is not None), default=0)
    missing = depth - value.ndim
    if value.ndim < 2 or missing < 1:
        return value
    return value.reshape(value.shape[0], *[1] * missing, *value.shape[1:])


class Penalized(nn.Module):
    """A program with penalties on what it returns; made by `add_penalty`.

    Args:
        program: A model or a guide whose `forward` returns a dict.
        name: Name of the factor's site.
        penalty: Maps that dict to one value per datum.
        weight: Weight, 0 or more.
        side: "model" or "guide".

    Example:
        >>> Penalized(nn.Identity(), "slow", lambda output: output["z"], 1.0, "guide").weight
        1.0
    """

    def __init__(self, program: nn.Module, name: str, penalty: Penalty, weight: float, side: str) -> None:
        super().__init__()
        self.program = program
        self.name = name
        self.penalty = penalty
        self.weight = check_weight(name, weight)
        self.side = side

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program, then add the penalty of what it returned.

        Args:
            args: Passed on.
            kwargs: Passed on.

        Returns:
            What the program returns.
        """
        output = self.program(*args, **kwargs)
        _register(self.penalty)
        value = _per_datum(self.name, self.penalty(output), (*args, *kwargs.values()))
        penalty_factor(self.name, value, self.weight, self.side)
        return output


class PenalizedGuide(nn.Module):
    """A guide with a penalty on its distributions, or on what it says of other clips; made by `add_guide_penalty`.

    Args:
        program: A guide.
        name: Name of the factor's site.
        penalty: Maps a `GuideRun` to one value per datum.
        weight: Weight, 0 or more.

    Example:
        >>> PenalizedGuide(nn.Identity(), "f", lambda run: run.sites["f"]["value"].sum(-1), 1.0).side
        'guide'
    """

    side = "guide"

    def __init__(self, program: nn.Module, name: str, penalty: GuidePenalty, weight: float) -> None:
        super().__init__()
        self.program = program
        self.name = name
        self.penalty = penalty
        self.weight = check_weight(name, weight)

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Run the guide, then add the penalty of the run.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1].
            args: Passed on.
            kwargs: Passed on.

        Returns:
            What the guide returns.
        """
        with pyro.poutine.trace() as messenger:
            output = self.program(x, *args, **kwargs)
        _register(self.penalty)
        run = GuideRun(innermost(self.program), x, latent_sites(messenger.trace))
        penalty_factor(self.name, _per_datum(self.name, self.penalty(run), (x,)), self.weight, self.side)
        return output


Wrapper = (Penalized, PenalizedGuide, ScaledLatents)


def _per_datum(name: str, value: Any, inputs: tuple[Any, ...]) -> torch.Tensor:
    """Return the value of a penalty if it is one for each of the clips that the program was run on."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"penalty '{name}' must return a tensor of one value per datum, got {type(value).__name__}")
    num = next((len(given) for given in inputs if isinstance(given, torch.Tensor)), None)
    if num is not None and value.ndim and value.shape[-1] != num:
        raise ValueError(
            f"penalty '{name}' must have one value per datum, shape (B) = ({num},), got {tuple(value.shape)}; reduce "
            "over named trailing dimensions, not over the batch"
        )
    return value


def _check_name(name: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"the name of a penalty must be a string, got {name!r} of type {type(name).__name__}")
    if name in ("", "total"):
        raise ValueError(f'the name of a penalty must neither be empty nor "total", got {name!r}; choose another')


def _register(penalty: Any) -> None:
    """Show the parameters of a penalty that has some to `pyro.infer.SVI`."""
    if isinstance(penalty, nn.Module):
        register_parameters(penalty)


def add_penalty(program: nn.Module, name: str, penalty: Penalty, weight: float, *, side: str) -> Penalized:
    r"""Add a penalty to the objective of a model and guide pair, without touching either.

    $$-\mathrm{ELBO} + \mathrm{weight} \sum_b \mathrm{penalty}_b$$

    Args:
        program: The model or the guide, whose `forward` returns a dict of site values and derived tensors.
        name: Name of the penalty, which `NamedELBO` reports.
        penalty: Maps that dict to one non-negative value per datum; any function of `pyrodis.regularizers` on one of
            its entries. Reduce over named trailing dimensions only: draws add leading ones. A module's parameters are
            trained along, and kept in checkpoints.
        weight: Weight, 0 or more.
        side: "model" if `program` is the model, "guide" if it is the guide. The loss is the same on either.

    Shape:
        penalty's value: (B), or (N, B) for draws.

    Returns:
        A module that runs the program with the penalty; its parameters are the program's, and the penalty's if that is
        a module.

    Raises:
        TypeError: If the name is not a string or the weight not a number.
        ValueError: If the side is unknown, the weight is negative, or the name is empty or "total".

    Example:
        >>> from pyrodis.regularizers import temporal_difference
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, guide = tiny_dsvae()
        >>> guide = add_penalty(guide, "slow", lambda output: temporal_difference(output["z"]), 0.1, side="guide")
    """
    if side not in ("model", "guide"):
        raise ValueError(f'side must be "model" or "guide", got "{side}"')
    _check_name(name)
    return Penalized(program, name, penalty, weight, side)


def add_guide_penalty(guide: nn.Module, name: str, penalty: GuidePenalty, weight: float) -> PenalizedGuide:
    r"""Add a penalty of a whole run of the guide: of its distributions, or of what it says of other clips.

    $$-\mathrm{ELBO} + \mathrm{weight} \sum_b \mathrm{penalty}_b$$

    Args:
        guide: The guide.
        name: Name of the penalty, which `NamedELBO` reports.
        penalty: Maps a `GuideRun` to one value per datum: `MutualInformation`, `Contrast`, `Reencoding` or one's own.
            A module's parameters are trained along, and kept in checkpoints.
        weight: Weight, 0 or more.

    Shape:
        penalty's value: (B), or (N, B) for draws.

    Returns:
        A guide with the penalty; its parameters are the guide's, and the penalty's if that is a module.

    Raises:
        TypeError: If the name is not a string or the weight not a number.
        ValueError: If the weight is negative, or the name is empty or "total".

    Example:
        >>> from pyrodis.infer import Contrast
        >>> from pyrodis.nn import FrameShuffle
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, guide = tiny_dsvae()
        >>> guide = add_guide_penalty(guide, "same appearance", Contrast("f", FrameShuffle()), 1.0)
    """
    _check_name(name)
    return PenalizedGuide(guide, name, penalty, weight)


def innermost(program: nn.Module) -> nn.Module:
    """Return the program itself, without the wrappers of `add_penalty`, `add_guide_penalty` and `scale_latents`.

    A run is saved without them, so that it can be loaded without the penalty's function.

    Args:
        program: A model or a guide, wrapped or not.

    Returns:
        The program that the wrappers run.

    Example:
        >>> program = nn.Identity()
        >>> innermost(add_penalty(program, "slow", lambda output: output["z"], 1.0, side="guide")) is program
        True
    """
    while isinstance(program, Wrapper):
        program = program.program
    return program


def penalty_modules(program: nn.Module) -> dict[str, nn.Module]:
    """Return the penalties of a program that are modules, by name, outermost first.

    Args:
        program: A model or a guide, wrapped or not.

    Returns:
        Penalty name to module.

    Example:
        >>> list(penalty_modules(add_penalty(nn.Identity(), "learned", nn.Linear(1, 1), 1.0, side="guide")))
        ['learned']
    """
    found: dict[str, nn.Module] = {}
    while isinstance(program, Wrapper):
        if not isinstance(program, ScaledLatents) and isinstance(program.penalty, nn.Module):
            found[program.name] = program.penalty
        program = program.program
    return found


def wrappers(program: nn.Module) -> list[dict[str, Any]]:
    """Describe the wrappers of a program, outermost first, in plain values.

    Args:
        program: A model or a guide, wrapped or not.

    Returns:
        A dict for each wrapper: name, weight and side of a penalty, and its settings if it is a module; or the KL
        weights.

    Example:
        >>> wrappers(add_penalty(nn.Identity(), "slow", lambda output: output["z"], 1.0, side="guide"))
        [{'penalty': 'slow', 'weight': 1.0, 'side': 'guide'}]
    """
    described: list[dict[str, Any]] = []
    while isinstance(program, Wrapper):
        if isinstance(program, ScaledLatents):
            described.append({"kl_weights": dict(program.weights)})
        else:
            described.append({"penalty": program.name, "weight": program.weight, "side": program.side})
            if isinstance(program.penalty, nn.Module):
                described[-1]["settings"] = describe(program.penalty)
        program = program.program
    return described
