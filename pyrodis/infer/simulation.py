"""Codes that made a clip, ranked among draws of the guide: what calibration and coverage are counted from."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pyro
import torch
from torch import nn

from pyrodis.infer.elbo import _CheckedReplay
from pyrodis.infer.log_ratios import draws_dim, site_log_prob
from pyrodis.infer.penalties import innermost
from pyrodis.infer.queries import _evaluating, _required_arguments
from pyrodis.infer.sampler import seed_noise
from pyrodis.infer.sites import OBSERVED, get_trace, is_factor, latent_sites, sample_sites
from pyrodis.ops import check_positive_int

__all__ = ["JOINT", "simulated_ranks"]

JOINT = "log_joint"  # beside the latent sites: the log-density of codes and clip


def simulated_ranks(
    model: nn.Module,
    guide: nn.Module,
    num_simulations: int,
    num_draws: int,
    *,
    with_joint: bool = False,
    batch_size: int = 50,
    chunk_size: int = 50,
    seed: int = 0,
) -> dict[str, torch.Tensor]:
    """Draw codes and a clip from the model, and count how many draws of the guide lie below every code.

    Where the guide is the posterior every rank is uniform on 0 .. num_draws. Draws are independent, so there is
    nothing to thin. The clip's values may leave [0, 1]: they are those of the model.

    Args:
        model: A generative program.
        guide: An inference program over the same sites.
        num_simulations: Clips.
        num_draws: L, draws of the guide a clip.
        with_joint: Whether log p(x, codes) is ranked as well, as "log_joint"; the model then scores every draw.
        batch_size: Clips at once.
        chunk_size: Draws of a clip that are in memory at once.
        seed: Seed of the simulations; those of a batch depend on it and on the batch's number alone.

    Returns:
        Site name to ranks 0 .. L, int64, (num_simulations, event shape); of a site in a plate "components"
        (num_simulations, K, event shape); of "log_joint" (num_simulations).

    Raises:
        TypeError: If a count is not an int.
        ValueError: If a count is not positive, the model draws no x, the guide has no latent sites, or the sites of the
            two differ.

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> {name: tuple(ranks.shape) for name, ranks in simulated_ranks(*tiny_dsvae(), 3, 9).items()}
        {'f': (3, 3), 'z': (3, 5, 2)}
    """
    counts = {"num_simulations": num_simulations, "num_draws": num_draws}
    for name, count in (counts | {"batch_size": batch_size, "chunk_size": chunk_size}).items():
        check_positive_int(name, count)
    model, guide = innermost(model), innermost(guide)
    if "x" in _required_arguments(model):
        raise ValueError(
            "the model must draw its clips, got a program that cannot run without x; pass the model, then the guide"
        )
    tensors = chain(model.parameters(), guide.parameters(), model.buffers())
    device = next((tensor.device for tensor in tensors), torch.device("cpu"))
    found: dict[str, list[torch.Tensor]] = {}
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), _evaluating(model), _evaluating(guide):
        for number, start in enumerate(range(0, num_simulations, batch_size)):
            seed_noise(device, seed, "simulation", number)
            truth = get_trace(model, batch_size=min(batch_size, num_simulations - start))
            for name, ranks in _rank(model, guide, truth, num_draws, chunk_size, with_joint).items():
                found.setdefault(name, []).append(ranks.cpu())
    return {name: torch.cat(ranks) for name, ranks in found.items()}


def _rank(
    model: nn.Module, guide: nn.Module, truth: Any, num_draws: int, chunk_size: int, with_joint: bool
) -> dict[str, torch.Tensor]:
    """Ranks of a batch of simulations, the clip leftmost."""
    if OBSERVED not in truth.nodes:
        raise ValueError("the model must draw x at a site 'x', got a program without; pass the model, then the guide")
    x = truth.nodes[OBSERVED]["value"]
    with _CheckedReplay(trace=truth):  # as the draws are scored: clips that a model draws have no frames hidden
        joint = _log_joint(get_trace(model, x), 1)
    dim, below = draws_dim(guide, x), dict[str, torch.Tensor]()
    for start in range(0, num_draws, chunk_size):
        size = min(chunk_size, num_draws - start)
        with pyro.plate("num_samples", size, dim=dim):
            drawn = get_trace(guide, x)
            counts = {name: _count(site, truth.nodes[name]) for name, site in _latents(drawn, truth).items()}
            if with_joint:
                with _CheckedReplay(trace=drawn):
                    counts[JOINT] = (_log_joint(get_trace(model, x), size) < joint).sum(0)
        below = {name: below[name] + count if start else count for name, count in counts.items()}
    return below


def _latents(drawn: Any, truth: Any) -> dict[str, Any]:
    """The guide's sites, which must be the model's."""
    ours, theirs = latent_sites(drawn), latent_sites(truth)
    if sorted(ours) != sorted(theirs):
        raise ValueError(
            f"model and guide must have the same latent sites, got {sorted(theirs)} and {sorted(ours)}; pair them anew"
        )
    return ours


def _count(site: Any, truth: Any) -> torch.Tensor:
    """How many draws lie below the truth, (B, ..., event shape)."""
    wanted, event_dim = truth["value"].shape, len(truth["fn"].event_shape)
    if site["fn"].event_shape != truth["fn"].event_shape:
        raise ValueError(
            f"site '{site['name']}' has event shape {tuple(site['fn'].event_shape)} in the guide and "
            f"{tuple(truth['fn'].event_shape)} in the model; build both with the same sizes"
        )
    below = (site["value"] < truth["value"]).reshape(-1, *wanted).sum(0)
    return below.movedim(-1 - event_dim, 0)


def _log_joint(trace: Any, num: int) -> torch.Tensor:
    """The log-density of all sites of a trace of a number of draws, penalties left out, (num, B)."""
    values = [site_log_prob(site).double() for site in sample_sites(trace).values() if not is_factor(site)]
    return torch.stack([value.reshape(num, -1, value.shape[-1]).sum(1) for value in values]).sum(0)
