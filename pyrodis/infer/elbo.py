"""The evidence lower bound with named terms."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from pyro.infer import ELBO
from pyro.poutine.replay_messenger import ReplayMessenger
from torch.distributions import Independent, kl_divergence

from pyrodis.infer.sites import get_trace, is_factor, latent_sites, sample_sites
from pyrodis.ops import without_autocast

Program = Callable[..., Any]


@dataclass(frozen=True)
class Terms:
    r"""The terms of an objective, in nats per datum.

    $$\mathrm{total} = \sum_{k} \mathrm{weights}_k \, \mathrm{values}_k$$

    Args:
        values: Term name to its unweighted value: "nll", "kl_<site>" for each latent site, and each penalty by its name
            (a penalty's own weight is inside its value, since a factor carries it so).
        weights: Term name to its weight in the objective.
        total: The objective, differentiable.
        analytic: The sites whose KL was computed in closed form, given the sampled ancestors.
        components: Site name to the unweighted KL of each component, for each latent site inside a plate "components";
            they add up to "kl_<site>".

    Shape:
        Every value and the total: (); of each site in components: (K).
    """

    values: dict[str, torch.Tensor]
    weights: dict[str, float]
    total: torch.Tensor
    analytic: frozenset[str]
    components: dict[str, torch.Tensor] = field(default_factory=dict)


class NamedELBO(ELBO):
    r"""Pyro's negative ELBO, term by term, without a synchronization per site.

    $$-\mathrm{ELBO} = -\mathbb E_q \log p(x \mid \text{latents}) + \sum_s \beta_s \mathrm{KL}_s
    + \sum_r \mathrm{penalty}_r$$

    With `analytic=False` every KL term is the Monte Carlo estimate log q - log p, and the objective is that of
    `pyro.infer.Trace_ELBO`, number for number. With `analytic=True` a term is computed in closed form where torch has
    the KL of the two distributions registered, and else frame by frame where a sequence is normal given the frames
    before:

    $$\mathrm{KL}_z = \sum_t \mathrm{KL}\bigl(q(z_t \mid z_{<t}, \cdot) \,\|\, p(z_t \mid z_{<t})\bigr),$$

    at the sampled z_{<t}: an unbiased estimate of the KL of the sequences, with much less noise in its gradient.
    A prior with a method `conditional_kl` says itself which part is in closed form.
    `pyro.infer.TraceMeanField_ELBO` does so for registered pairs alone. A pair without closed form falls back to Monte
    Carlo; `Terms.analytic` says which did not.

    Penalties are the programs' `pyro.factor` sites: minus the factor of a model, plus that of a guide.

    Args:
        analytic: Whether to use closed forms.

    Raises:
        ValueError: If a latent site is missing in one program, has another event shape there, is not reparametrized, or
            is weighted on one side only; if a penalty has the sign of the other side, or the name of another term.

    Source:
        Kingma and Welling (2014); the per-frame form is that of Chung et al. (2015).

    Example:
        >>> import pyro
        >>> from pyro.distributions import Normal
        >>> def model(x):
        ...     with pyro.plate("data", len(x)):
        ...         z = pyro.sample("z", Normal(0.0, 1.0))
        ...         pyro.sample("x", Normal(z, 1.0), obs=x)
        >>> def guide(x):
        ...     with pyro.plate("data", len(x)):
        ...         pyro.sample("z", Normal(x, 1.0))
        >>> terms = NamedELBO().terms(model, guide, torch.zeros(5))
        >>> sorted(terms.values), float(terms.values["kl_z"])
        (['kl_z', 'nll'], 0.0)
    """

    def __init__(self, analytic: bool = True) -> None:
        super().__init__()
        self.analytic = analytic

    def terms(self, model: Program, guide: Program, *args: Any, **kwargs: Any) -> Terms:
        """Run guide and model once and return the terms of the objective, per datum.

        Args:
            model: The generative program.
            guide: The inference program.
            args: Passed to both; the first dimension of the first counts the data if there is no plate "data".
            kwargs: Passed to both.

        Returns:
            The terms in nats per datum, averaged over the batch.
        """
        return self._terms(model, guide, args, kwargs)[0]

    def differentiable_loss(self, model: Program, guide: Program, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the objective summed over the batch, as Pyro's estimators do.

        Args:
            model: The generative program.
            guide: The inference program.
            args: Passed to both.
            kwargs: Passed to both.

        Returns:
            The negative ELBO in nats, summed over the batch, shape ().
        """
        terms, num_data = self._terms(model, guide, args, kwargs)
        return terms.total * num_data

    def loss(self, model: Program, guide: Program, *args: Any, **kwargs: Any) -> float:
        """Return the objective summed over the batch as a number, without gradients.

        Args:
            model: The generative program.
            guide: The inference program.
            args: Passed to both.
            kwargs: Passed to both.

        Returns:
            The negative ELBO in nats, summed over the batch.
        """
        with torch.no_grad():
            return self.differentiable_loss(model, guide, *args, **kwargs).item()

    def loss_and_grads(self, model: Program, guide: Program, *args: Any, **kwargs: Any) -> float:
        """Return the objective summed over the batch and add its gradients to the parameters, for `pyro.infer.SVI`.

        Args:
            model: The generative program.
            guide: The inference program.
            args: Passed to both.
            kwargs: Passed to both.

        Returns:
            The negative ELBO in nats, summed over the batch.
        """
        loss = self.differentiable_loss(model, guide, *args, **kwargs)
        loss.backward()
        return loss.item()

    def _terms(self, model: Program, guide: Program, args: Any, kwargs: Any) -> tuple[Terms, int]:
        """Return the terms per datum, and the number of data."""
        model_trace, guide_trace = self._get_trace(model, guide, args, kwargs)
        found: dict[str, tuple[torch.Tensor, float]] = {}
        analytic: set[str] = set()
        components: dict[str, torch.Tensor] = {}
        for name, site in sample_sites(model_trace).items():
            if is_factor(site):
                _check_side(name, site, in_guide=False)
                _add(found, name, -_log_prob(site), site)
            elif site["is_observed"]:
                _add(found, f"nll_{name}" if "nll" in found else "nll", -_log_prob(site), site)
            else:
                with without_autocast(site["value"]):  # of sequences it multiplies matrices
                    kl, exact = self._kl(_check_pair(name, site, guide_trace), site)
                _add(found, f"kl_{name}", kl.sum(), site)
                analytic |= {name} if exact else set()
                components |= _by_component(name, kl, site)
        for name, site in sample_sites(guide_trace).items():
            if is_factor(site):
                _check_side(name, site, in_guide=True)
                _add(found, name, _log_prob(site), site)
            elif name not in model_trace.nodes:
                have = list(latent_sites(model_trace))
                raise ValueError(f"the guide has a latent site '{name}' that the model lacks; it has {have}")
        num_data = _num_data(guide_trace, (*args, *kwargs.values()))
        values = {name: value / num_data for name, (value, _) in found.items()}
        weights = {name: weight for name, (_, weight) in found.items()}
        total = torch.stack([weights[name] * value for name, value in values.items() if weights[name] != 0]).sum()
        components = {name: kl / num_data for name, kl in components.items()}
        return Terms(values, weights, total, frozenset(analytic), components), num_data

    def _get_trace(self, model: Program, guide: Program, args: Any, kwargs: Any) -> tuple[Any, Any]:
        guide_trace = get_trace(guide, *args, **kwargs)
        with _CheckedReplay(trace=guide_trace):
            return get_trace(model, *args, **kwargs), guide_trace

    def _kl(self, guide_site: Any, model_site: Any) -> tuple[torch.Tensor, bool]:
        value, mask = guide_site["value"], model_site["mask"]
        q, p = guide_site["fn"], model_site["fn"]
        if self.analytic and _same_mask(guide_site["mask"], mask):
            with suppress(NotImplementedError):
                return _masked(kl_divergence(q, p), mask), True
            with suppress(NotImplementedError):
                return _masked(_conditional_kl(q, p, value), mask), not hasattr(p, "conditional_kl")
        return _masked(q.log_prob(value), guide_site["mask"]) - _masked(p.log_prob(value), mask), False


class _CheckedReplay(ReplayMessenger):
    """Replay that says so, in one sentence, where a value of the guide does not fit the model's site."""

    def _pyro_sample(self, msg: Any) -> None:
        super()._pyro_sample(msg)
        if not msg["done"] or msg["is_observed"] or type(msg["fn"]).__name__ == "_Subsample":
            return
        trace: Any = self.trace
        given, wanted = trace.nodes[msg["name"]]["fn"].event_shape, msg["fn"].event_shape
        if given != wanted:
            raise ValueError(
                f"site '{msg['name']}' has event shape {tuple(given)} in the guide and {tuple(wanted)} in the model; "
                "build both with the same sizes"
            )


def _conditional_kl(q: Any, p: Any, value: torch.Tensor) -> torch.Tensor:
    """The KL frame by frame, given the frames before."""
    if hasattr(p, "conditional_kl"):
        return p.conditional_kl(_conditional(q, value), value)
    return kl_divergence(_conditional(q, value), _conditional(p, value))


def _conditional(fn: Any, value: torch.Tensor) -> Any:
    """The product of the frames' distributions given the frames before, which alone may be compared frame by frame."""
    if hasattr(fn, "conditional"):
        return fn.conditional(value)
    if isinstance(fn, Independent):
        return fn
    raise NotImplementedError


def _weight(site: Any) -> float:
    scale = site["scale"]
    if isinstance(scale, torch.Tensor) and (scale.numel() > 1 or scale.requires_grad):
        raise ValueError(
            f"the scale of site '{site['name']}' must be a number that is not learned, got a tensor of shape "
            f"{tuple(scale.shape)}; multiply what the program returns, or use Trace_ELBO"
        )
    return 0.0 if site["mask"] is False else float(scale)


def _same_mask(first: Any, second: Any) -> bool:
    """Whether two sites leave out the same data, so that one divergence stands for both."""
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return first is second or torch.equal(*torch.broadcast_tensors(first, second))
    return not isinstance(first, torch.Tensor) and not isinstance(second, torch.Tensor)


def _log_prob(site: Any) -> torch.Tensor:
    return _masked(site["fn"].log_prob(site["value"]), site["mask"]).sum()


def _masked(value: torch.Tensor, mask: Any) -> torch.Tensor:
    if isinstance(mask, torch.Tensor):  # a mask of False is a weight of 0: the unweighted value is still worth knowing
        value = torch.where(mask, value, value.new_zeros(()))
    return value


def _by_component(name: str, kl: torch.Tensor, site: Any) -> dict[str, torch.Tensor]:
    """The KL of a site for each entry of the plate "components", if it is inside one."""
    dim = next((frame.dim for frame in site["cond_indep_stack"] if frame.name == "components"), None)
    return {} if dim is None else {name: kl.movedim(dim, 0).flatten(1).sum(1)}


def _add(found: dict[str, tuple[torch.Tensor, float]], name: str, value: torch.Tensor, site: Any) -> None:
    if name in found:
        raise ValueError(f"two terms of the objective have the name '{name}'; give the penalty another one")
    found[name] = value, _weight(site)


def _check_side(name: str, site: Any, in_guide: bool) -> None:
    if in_guide and not site["fn"].has_rsample:
        raise ValueError(
            f"factor '{name}' is in the guide, where it must be pyro.factor(name, weight * value, has_rsample=True); "
            'add_penalty(..., side="guide") makes it so'
        )
    if site["fn"].has_rsample and not in_guide:
        raise ValueError(
            f"factor '{name}' is in the model, where it must be pyro.factor(name, -weight * value), without "
            'has_rsample; add_penalty(..., side="model") makes it so'
        )


def _check_pair(name: str, model_site: Any, guide_trace: Any) -> Any:
    if name not in guide_trace.nodes:
        raise ValueError(
            f"the model has a latent site '{name}' that the guide lacks; it has {list(latent_sites(guide_trace))}"
        )
    site = guide_trace.nodes[name]
    if not site["fn"].has_rsample:
        raise ValueError(
            f"the guide's site '{name}' must be reparametrized (has_rsample), got {type(site['fn']).__name__}"
        )
    if _weight(site) != _weight(model_site):
        raise ValueError(
            f"site '{name}' has weight {_weight(model_site)} in the model and {_weight(site)} in the guide; "
            "wrap both programs with scale_latents and the same weights"
        )
    return site


def _num_data(trace: Any, args: tuple[Any, ...]) -> int:
    for site in sample_sites(trace).values():
        for frame in site["cond_indep_stack"]:
            if frame.name == "data":
                if frame.full_size not in (None, frame.size):
                    raise ValueError(
                        f'the plate "data" must hold every clip of the batch, got {frame.size} of {frame.full_size}; '
                        "leave subsample and subsample_size out, as the objective is nats a clip"
                    )
                return frame.size
    return next((len(arg) for arg in args if isinstance(arg, torch.Tensor)), 1)
