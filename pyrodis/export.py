"""Draws of a model and a guide for ArviZ: groups of arrays whose dimensions have names."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pyro
import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from torch import nn

from pyrodis import __version__
from pyrodis.infer.log_ratios import check_pair, draws_dim, site_log_prob
from pyrodis.infer.penalties import innermost
from pyrodis.infer.queries import _check_latents, _evaluating
from pyrodis.infer.sites import OBSERVED, get_trace, latent_sites
from pyrodis.ops import check_frames_shape, check_positive_int

__all__ = ["to_arviz"]

Labeled = tuple[tuple[str, ...], torch.Tensor]

DRAWS = "num_samples"
PLATES = {DRAWS: "draw", "components": "component", "data": "sequence"}
EVENT_DIMS: dict[tuple[str, int], tuple[str, ...]] = {
    ("f", 1): ("static_dim",),
    ("z", 1): ("latent_dim",),
    ("z", 2): ("time", "dynamic_dim"),
    ("eigenvalues", 2): ("step", "eigenvalue"),
    ("correlations", 2): ("step", "dynamic_dim"),
    ("what", 1): ("what_dim",),
    ("what", 2): ("time", "what_dim"),
    ("where", 2): ("time", "where_dim"),
    ("x", 4): ("time", "channel", "height", "width"),
    ("factors", 1): ("factor",),
    ("factors", 2): ("time", "factor"),
}
"""Name of a site and how many event dimensions it has, to their names; for other sites they are numbered."""

DETERMINISTIC = ("eigenvalues", "correlations")  # what guides return besides their sites
FRAMES_AT_ONCE = 2048  # frames that are decoded at once, unless one draw of all clips has more


def to_arviz(
    model: nn.Module,
    guide: nn.Module,
    x: torch.Tensor,
    num_samples: int = 500,
    num_predictive: int = 20,
    *,
    factors: torch.Tensor | None = None,
    factor_names: Sequence[str] | None = None,
) -> Any:
    r"""Return draws from posterior and prior of a pair, and what they predict, for ArviZ.

    The groups and their variables; every array has named dimensions, and coordinates counted from 0:

    - posterior: every latent site, from the guide; "eigenvalues" and "correlations" of guides that return them.
    - prior: every latent site, from the model, of clips as long as x.
    - posterior_predictive, prior_predictive: "x", noise included, from the first draws of the posterior and the prior.
    - log_likelihood: "x", log p(x | latents) in nats per clip, of the first draws of the posterior.
    - observed_data: "x". constant_data: "factors", if they are given.

    Draws are independent, so they are one chain. Dimensions are "chain", "draw", "sequence" (the clips) and, by site: f
    "static_dim"; z "time", "dynamic_dim", or "component", "sequence", "latent_dim" for images of components;
    eigenvalues "step", "eigenvalue", where step t leads from frame t - 1 to frame t; what "what_dim", where "time",
    "where_dim"; x "time", "channel", "height", "width". Dimensions of a site that pyrodis does not know are numbered.

    The result is written by its own `to_netcdf(path)` and read again by `arviz.from_netcdf(path)`. Penalties and KL
    weights take no part; the model and the guide run in eval mode.

    Args:
        model: A generative program.
        guide: An inference program over the same sites.
        x: Clips.
        num_samples: N, draws of the latent sites from posterior and prior.
        num_predictive: How many of them are decoded, at most N; 0 leaves out what needs decoding. A draw of x is as
            large as x.
        factors: True factors of the clips.
        factor_names: Names of the factors, for the coordinates.

    Shape:
        x: (B, T, C, H, W); factors: (B, F) or (B, T, F).

    Returns:
        `arviz.InferenceData` with an ArviZ older than 1, `xarray.DataTree` with a newer one.

    Raises:
        TypeError: If x is not a floating-point tensor, factors are not a tensor, or a number is not an int.
        ValueError: If a shape or a number is wrong, the sites of model and guide differ, or a draw is not finite.

    Source:
        The InferenceData schema of ArviZ; one chain, since draws of a guide do not come from a Markov chain.

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> data = to_arviz(*tiny_dsvae(), torch.rand(2, 5, 1, 8, 8), num_samples=10, num_predictive=3)
        >>> data["posterior"]["z"].dims
        ('chain', 'draw', 'sequence', 'time', 'dynamic_dim')
        >>> data["log_likelihood"]["x"].shape
        (1, 3, 2)
    """
    check_frames_shape(x)
    _check_numbers(num_samples, num_predictive)
    known = _check_factors(x, factors, factor_names)
    model, guide = innermost(model), innermost(guide)
    with _evaluating(model), _evaluating(guide):
        dim = draws_dim(guide, x)
        scored = get_trace(model, x[:1])
        posterior, drawn = _draw_posterior(guide, x, num_samples, dim)
        check_pair(drawn, scored)
        _check_latents(latent_sites(scored), {name: site["value"] for name, site in latent_sites(drawn).items()})
        prior = _draw_prior(model, x, num_samples, dim, list(latent_sites(scored))[-1])
        groups = {"posterior": posterior, "prior": {name: _label(site) for name, site in latent_sites(prior).items()}}
        if num_predictive:
            for group, trace in (("posterior", drawn), ("prior", prior)):
                latents = {name: site["value"][:num_predictive] for name, site in latent_sites(trace).items()}
                predicted, log_likelihood = _predict(model, x, latents, dim)
                groups[f"{group}_predictive"] = {OBSERVED: predicted}
                if group == "posterior":
                    groups["log_likelihood"] = {OBSERVED: (("draw", "sequence"), log_likelihood)}
    groups["observed_data"] = {OBSERVED: (("sequence", *EVENT_DIMS[OBSERVED, 4]), x)}
    if factors is not None:
        groups["constant_data"] = {"factors": (("sequence", *EVENT_DIMS["factors", factors.ndim - 1]), factors)}
    return _make_container({name: _make_dataset(variables, known) for name, variables in groups.items()})


def _draw_posterior(guide: nn.Module, x: torch.Tensor, num: int, dim: int) -> tuple[dict[str, Labeled], Any]:
    """Draws of all latent sites and of what the guide returns besides, and the trace they are from."""
    with poutine.trace() as messenger, pyro.plate(DRAWS, num, dim=dim):
        output = guide(x)
    trace = messenger.trace
    found = {name: _label(site) for name, site in latent_sites(trace).items()}
    for name in DETERMINISTIC if isinstance(output, Mapping) else ():
        if name in output and name not in found:
            value = output[name]
            if value.ndim == 3:  # the same for all draws
                value = value.expand(num, *value.shape)
            found[name] = (("draw", "sequence", *EVENT_DIMS[name, 2]), value)
    return found, trace


class _StopAfter(Messenger):
    """Ends the program once a site has its value, so that a prior can be drawn without decoding it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] == self.name:
            msg["continuation"] = self._stop

    def _stop(self, msg: Any) -> None:
        raise _AllDrawn


class _AllDrawn(Exception):
    """The last latent site has its value."""


def _draw_prior(model: nn.Module, x: torch.Tensor, num: int, dim: int, last: str) -> Any:
    """Trace of the latent sites drawn from the prior, for clips of the shape of x."""
    with poutine.trace() as messenger, suppress(_AllDrawn), _StopAfter(last), pyro.plate(DRAWS, num, dim=dim):
        model(x)
    return messenger.trace


def _predict(
    model: nn.Module, x: torch.Tensor, latents: Mapping[str, torch.Tensor], dim: int
) -> tuple[Labeled, torch.Tensor]:
    """Draws of x given latents, and the log-likelihood (N, B) of x itself."""
    num = len(next(iter(latents.values())))
    size = max(1, FRAMES_AT_ONCE // (x.shape[0] * x.shape[1]))
    dims: tuple[str, ...] = ()
    draws, log_likelihood = [], []
    for start in range(0, num, size):
        part = {name: value[start : start + size] for name, value in latents.items()}
        with pyro.plate(DRAWS, min(size, num - start), dim=dim), poutine.condition(data=part):
            site = get_trace(model, x).nodes[OBSERVED]
        dims, drawn = _label({**site, "value": site["fn"].sample()})
        draws.append(drawn)
        log_likelihood.append(site_log_prob(site).reshape(-1, len(x)))
    return (dims, torch.cat(draws)), torch.cat(log_likelihood)


def _label(site: Any) -> Labeled:
    """The value of a site with the names of its dimensions; those that belong to no plate are dropped."""
    name, value, num_event = site["name"], site["value"], len(site["fn"].event_shape)
    plates = {frame.dim: PLATES.get(frame.name, frame.name) for frame in site["cond_indep_stack"]}
    batch = range(num_event - value.ndim, 0)
    index = tuple(slice(None) if dim in plates else 0 for dim in batch)
    numbered = tuple(f"{name}_dim_{i}" for i in range(num_event))
    event_dims = EVENT_DIMS.get((name, num_event), numbered)
    return (*(plates[dim] for dim in batch if dim in plates), *event_dims), value[index]


def _make_dataset(variables: Mapping[str, Labeled], known: Mapping[str, Sequence[str]]) -> Any:
    """An `xarray.Dataset` with coordinates; draws get the dimension "chain", of size 1."""
    import xarray

    arrays: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    coords: dict[str, Any] = {}
    for name, (dims, value) in variables.items():
        array = value.detach().cpu().numpy()
        if "draw" in dims:
            dims, array = ("chain", *dims), array[None]
        arrays[name] = (dims, array)
        for dim, size in zip(dims, array.shape):
            first = int(dim == "step")
            coords[dim] = list(known[dim]) if dim in known else np.arange(first, size + first)
    attributes = {"inference_library": "pyrodis", "inference_library_version": __version__}
    attributes["created_at"] = datetime.datetime.now(datetime.timezone.utc).isoformat()
    return xarray.Dataset(arrays, coords, attributes)


def _make_container(groups: Mapping[str, Any]) -> Any:
    """What the installed ArviZ keeps groups in: all that differs between its versions."""
    import arviz

    if int(arviz.__version__.partition(".")[0]) < 1:
        return arviz.InferenceData(**groups)
    from xarray import DataTree

    return DataTree.from_dict(groups)


def _check_numbers(num_samples: int, num_predictive: int) -> None:
    check_positive_int("num_samples", num_samples)
    if isinstance(num_predictive, bool) or not isinstance(num_predictive, int):
        raise TypeError(f"num_predictive must be a whole number of at least 0, got {num_predictive!r}")
    if not 0 <= num_predictive <= num_samples:
        raise ValueError(
            f"num_predictive must be from 0 to num_samples = {num_samples}, got {num_predictive}; "
            "it is how many of the draws are decoded"
        )


def _check_factors(
    x: torch.Tensor, factors: torch.Tensor | None, factor_names: Sequence[str] | None
) -> dict[str, Sequence[str]]:
    """Coordinates of the factors, if they have names."""
    if factors is None:
        if factor_names is not None:
            raise ValueError(f"factor_names must come with factors, got {tuple(factor_names)} alone; pass both")
        return {}
    if not isinstance(factors, torch.Tensor):
        raise TypeError(f"factors must be a torch tensor, got {type(factors).__name__}; stack the items' factors")
    if tuple(factors.shape[:-1]) not in (tuple(x.shape[:1]), tuple(x.shape[:2])):
        raise ValueError(
            f"factors must have shape (B, F) or (B, T, F) with B, T = {tuple(x.shape[:2])} as x, "
            f"got {tuple(factors.shape)}"
        )
    if factor_names is None:
        return {}
    if isinstance(factor_names, str) or len(factor_names) != factors.shape[-1]:
        raise ValueError(f"factor_names must be {factors.shape[-1]} names, one for each factor, got {factor_names!r}")
    return {"factor": factor_names}
