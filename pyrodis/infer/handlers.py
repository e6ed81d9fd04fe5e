"""Effect handlers: KL weights per site, and the values that queries put in place of draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from pyro.poutine.messenger import Messenger
from torch import nn


class _ScaleSites(Messenger):
    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.weights = weights
        self.latents: list[str] = []

    def _pyro_sample(self, msg: Any) -> None:
        if msg["is_observed"] or type(msg["fn"]).__name__ == "_Subsample":
            return
        self.latents.append(msg["name"])
        weight = self.weights.get(msg["name"])
        if weight is None:
            return
        if weight == 0:  # a scale of 0 is refused by Pyro: a mask says the same
            msg["mask"] = False
        else:
            msg["scale"] = msg["scale"] * weight


class ScaledLatents(nn.Module):
    r"""A program whose latent sites are weighted; made by `scale_latents`.

    Args:
        program: A model or a guide.
        weights: Site name to weight. It may be changed between runs, for example to warm the KL terms up.

    Example:
        >>> ScaledLatents(nn.Identity(), {"z": 2.0}).weights
        {'z': 2.0}
    """

    def __init__(self, program: nn.Module, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.program = program
        self.weights = {site: check_weight(site, weight) for site, weight in weights.items()}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program with its latent sites weighted.

        Args:
            args: Passed on.
            kwargs: Passed on.

        Returns:
            What the program returns.

        Raises:
            ValueError: If a weight names no latent site of the program.
        """
        with _ScaleSites(self.weights) as handler:
            output = self.program(*args, **kwargs)
        unknown = sorted(set(self.weights) - set(handler.latents))
        if unknown:
            raise ValueError(f"weights must name latent sites of the program, {handler.latents}, got {unknown}")
        return output


def scale_latents(program: nn.Module, weights: Mapping[str, float]) -> ScaledLatents:
    r"""Weight the log-densities of latent sites, so that each site's KL enters the objective with its own beta.

    $$-\mathbb E_q \log p(x \mid f, z) + \sum_{s} \beta_s \mathrm{KL}_s$$

    Wrap **both** programs with the same weights: scaled on one side only, an ELBO is silently wrong. A weight of 0
    takes the site out of the objective.

    Args:
        program: A model or a guide.
        weights: Site name to weight, 0 or more.

    Returns:
        A module that runs the program; its parameters are the program's.

    Raises:
        TypeError: If a weight is not a number.
        ValueError: If a weight is negative or not finite.

    Source:
        Higgins et al., beta-VAE (2017), with one beta for each site.

    Example:
        >>> import pyro
        >>> from pyro.distributions import Normal
        >>> class Program(nn.Module):
        ...     def forward(self):
        ...         return pyro.sample("z", Normal(0.0, 1.0))
        >>> trace = pyro.poutine.trace(scale_latents(Program(), {"z": 4.0})).get_trace()
        >>> trace.nodes["z"]["scale"]
        4.0
    """
    return ScaledLatents(program, weights)


def check_weight(name: str, weight: Any) -> float:
    """Return a weight as a float if it is finite and not negative.

    Args:
        name: What the weight belongs to, for the message.
        weight: What was given.

    Returns:
        The weight.

    Raises:
        TypeError: If it is not a number.
        ValueError: If it is negative or not finite.

    Example:
        >>> check_weight("z", 2)
        2.0
    """
    if isinstance(weight, bool) or not isinstance(weight, (int, float)):
        raise TypeError(f"the weight of {name} must be a Python number, got {weight!r} of type {type(weight).__name__}")
    if not math.isfinite(weight) or weight < 0:
        raise ValueError(f"the weight of {name} must be finite and 0 or more, got {weight}")
    return float(weight)


class SubstituteLatents(Messenger):
    """A handler that puts a value of its distribution in place of every latent draw.

    Args:
        choose: Maps a site's distribution (plates already applied) to the value.

    Example:
        >>> import pyro
        >>> from pyro.distributions import Normal
        >>> with SubstituteLatents(lambda fn: fn.mean):
        ...     pyro.sample("z", Normal(torch.tensor(3.0), 1.0))
        tensor(3.)
    """

    def __init__(self, choose: Callable[[Any], torch.Tensor]) -> None:
        super().__init__()
        self.choose = choose

    def _pyro_sample(self, msg: Any) -> None:
        if not msg["is_observed"] and type(msg["fn"]).__name__ != "_Subsample":
            msg["value"] = self.choose(msg["fn"])
            msg["done"] = True
