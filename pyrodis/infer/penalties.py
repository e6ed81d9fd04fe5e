"""Penalties: pure functions of what a program returns, as factors of the objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyro
import torch
from torch import nn

from pyrodis.infer.handlers import ScaledLatents, check_weight

Penalty = Callable[[Mapping[str, torch.Tensor]], torch.Tensor]


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
    with pyro.plate(f"{name}_data", value.shape[-1], dim=-1):
        pyro.factor(name, sign * check_weight(name, weight) * value, has_rsample=None if side == "model" else True)


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
        penalty_factor(self.name, self.penalty(output), self.weight, self.side)
        return output


def add_penalty(program: nn.Module, name: str, penalty: Penalty, weight: float, *, side: str) -> Penalized:
    r"""Add a penalty to the objective of a model and guide pair, without touching either.

    $$-\mathrm{ELBO} + \mathrm{weight} \sum_b \mathrm{penalty}_b$$

    Args:
        program: The model or the guide, whose `forward` returns a dict of site values and derived tensors.
        name: Name of the penalty, which `NamedELBO` reports.
        penalty: Maps that dict to one non-negative value per datum; any function of `pyrodis.regularizers` on one of
            its entries. Reduce over named trailing dimensions only: draws add leading ones.
        weight: Weight, 0 or more.
        side: "model" if `program` is the model, "guide" if it is the guide. The loss is the same on either.

    Shape:
        penalty's value: (B), or (N, B) for draws.

    Returns:
        A module that runs the program with the penalty; its parameters are the program's.

    Raises:
        ValueError: If the side is unknown or the weight is negative.

    Example:
        >>> from pyrodis.regularizers import temporal_difference
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, guide = tiny_dsvae()
        >>> guide = add_penalty(guide, "slow", lambda output: temporal_difference(output["z"]), 0.1, side="guide")
    """
    if side not in ("model", "guide"):
        raise ValueError(f'side must be "model" or "guide", got "{side}"')
    return Penalized(program, name, penalty, weight, side)


def innermost(program: nn.Module) -> nn.Module:
    """Return the program itself, without the wrappers of `add_penalty` and `scale_latents`.

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
    while isinstance(program, (Penalized, ScaledLatents)):
        program = program.program
    return program


def wrappers(program: nn.Module) -> list[dict[str, Any]]:
    """Describe the wrappers of a program, outermost first, in plain values.

    Args:
        program: A model or a guide, wrapped or not.

    Returns:
        A dict for each wrapper: name, weight and side of a penalty, or the KL weights.

    Example:
        >>> wrappers(add_penalty(nn.Identity(), "slow", lambda output: output["z"], 1.0, side="guide"))
        [{'penalty': 'slow', 'weight': 1.0, 'side': 'guide'}]
    """
    described: list[dict[str, Any]] = []
    while isinstance(program, (Penalized, ScaledLatents)):
        if isinstance(program, Penalized):
            described.append({"penalty": program.name, "weight": program.weight, "side": program.side})
        else:
            described.append({"kl_weights": dict(program.weights)})
        program = program.program
    return described
