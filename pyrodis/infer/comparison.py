"""How close guides come to the evidence: importance-weighted bounds, and guides side by side on the same clips."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pyro
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from pyrodis.infer.data import as_dataset, stack_frames
from pyrodis.infer.elbo import _CheckedReplay
from pyrodis.infer.penalties import innermost
from pyrodis.infer.queries import _evaluating
from pyrodis.infer.sampler import seed_noise
from pyrodis.infer.sites import OBSERVED, get_trace, is_factor, latent_sites, sample_sites
from pyrodis.metrics import Score, mean_score
from pyrodis.ops import check_frames_shape, check_positive_int

__all__ = ["GuideScores", "compare_guides", "importance_bound"]


def importance_bound(
    model: nn.Module, guide: nn.Module, x: torch.Tensor, num_samples: int = 50, *, chunk_size: int = 10
) -> torch.Tensor:
    r"""Return the importance-weighted bound of the log-evidence of every clip.

    $$\log \frac1K \sum_{k=1}^K \frac{p(x, f_k, z_k)}{q(f_k, z_k \mid x)} \le \log p(x) \text{ on average}, \qquad
    f_k, z_k \sim q(f, z \mid x)$$

    With K = 1 it is the ELBO's estimate from one draw; its mean rises with K to the log-evidence, the faster the closer
    q is to the posterior. Penalties and KL weights are left out: the number is about p(x), whatever the pair was
    trained by. Model and guide run in eval mode, without gradients; a random view then shows one fixed draw.

    Args:
        model: A generative program.
        guide: An inference program over the same sites.
        x: Clips.
        num_samples: K.
        chunk_size: Draws of a clip that are in memory at once; it does not enter the result but for the noise.

    Shape:
        x: (B, T, C, H, W).

    Returns:
        Bounds (B) in nats per clip, in double precision.

    Raises:
        TypeError: If x is not a floating-point tensor or a count is not an int.
        ValueError: If x has another shape, a count is not positive, the sites of model and guide differ, or a density
            is NaN.

    Source:
        Burda et al., Importance Weighted Autoencoders (2016).

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> importance_bound(*tiny_dsvae(), torch.rand(2, 5, 1, 8, 8), num_samples=4).shape
        torch.Size([2])
    """
    parts = draw_log_ratios(model, guide, x, num_samples, chunk_size=chunk_size)
    return torch.logsumexp(torch.stack([*parts.values()]).sum(0), 0) - math.log(num_samples)


def draw_log_ratios(
    model: nn.Module, guide: nn.Module, x: torch.Tensor, num_samples: int, *, chunk_size: int = 10
) -> dict[str, torch.Tensor]:
    """Return log p(x | latents), and log p - log q of every latent site, at draws from the guide.

    Args:
        model: A generative program.
        guide: An inference program over the same sites.
        x: Clips.
        num_samples: K.
        chunk_size: Draws of a clip that are in memory at once.

    Shape:
        x: (B, T, C, H, W).

    Returns:
        Site name to tensor (K, B) in nats, double precision; "x" is the likelihood.

    Raises:
        TypeError: If x is not a floating-point tensor or a count is not an int.
        ValueError: As `importance_bound`.

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> sorted(draw_log_ratios(*tiny_dsvae(), torch.rand(2, 5, 1, 8, 8), num_samples=4))
        ['f', 'x', 'z']
    """
    check_frames_shape(x)
    check_positive_int("num_samples", num_samples)
    check_positive_int("chunk_size", chunk_size)
    model, guide = innermost(model), innermost(guide)
    with _evaluating(model), _evaluating(guide), pyro.validation_enabled(False):  # NaN has its own sentence below
        dim = _plate_dim(guide, x)
        sizes = [min(chunk_size, num_samples - start) for start in range(0, num_samples, chunk_size)]
        chunks = [_draw(model, guide, x, size, dim) for size in sizes]
    ratios = {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}
    broken = [name for name, value in ratios.items() if bool(value.isnan().any())]
    if broken:
        raise ValueError(f"the log-densities of {broken} became NaN; look for NaN in the clips and in the weights")
    return ratios


@dataclass(frozen=True)
class GuideScores:
    """What one pair of model and guide scores on a set of clips, in nats per clip.

    Two guides on the same clips differ far less by chance than their intervals say:
    `mean_score(a.per_clip["elbo"] - b.per_clip["elbo"])` has the interval of the difference.

    Args:
        name: Name of the pair.
        elbo: The evidence lower bound, penalties and KL weights left out.
        iwae: The importance-weighted bound.
        gap: iwae - elbo, a lower bound of KL(q || posterior) on average.
        nll: -E_q log p(x | latents).
        kl: Latent site to its part of the KL: elbo = -nll - sum of them.
        num_samples: Draws a clip.
        per_clip: "elbo", "iwae", "gap", "nll" and "kl_<site>" of every clip, (number of clips).

    Example:
        >>> score = mean_score(torch.zeros(3))
        >>> GuideScores("full", score, score, score, score, {"z": score}, 50).as_dict()["kl_z"]["value"]
        0.0
    """

    name: str
    elbo: Score
    iwae: Score
    gap: Score
    nll: Score
    kl: Mapping[str, Score]
    num_samples: int
    per_clip: Mapping[str, torch.Tensor] = field(default_factory=dict, repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the scores as plain values, ready for JSON.

        Returns:
            Name to score: "elbo", "iwae", "gap", "nll", "kl_<site>"; and "name" and "num_samples".
        """
        scores = {"elbo": self.elbo, "iwae": self.iwae, "gap": self.gap, "nll": self.nll}
        scores |= {f"kl_{site}": score for site, score in self.kl.items()}
        plain = {key: score.as_dict() for key, score in scores.items()}
        return {"name": self.name, "num_samples": self.num_samples, **plain}


def compare_guides(
    pairs: Mapping[str, tuple[nn.Module, nn.Module]],
    data: Dataset[Any] | torch.Tensor,
    *,
    num_samples: int = 50,
    chunk_size: int = 10,
    batch_size: int = 32,
    seed: int = 0,
) -> list[GuideScores]:
    """Score pairs of model and guide on the same clips with the same seeds.

    Args:
        pairs: Name to model and guide.
        data: A data set of items ``{"x": (T, C, H, W)}``, or clips.
        num_samples: Draws a clip, K of the importance-weighted bound.
        chunk_size: Draws of a clip that are in memory at once.
        batch_size: Clips at once.
        seed: Seed of the draws; those of a batch depend on it and on the batch's number alone.

    Shape:
        data: (B, T, C, H, W) in [0, 1] where a tensor.

    Returns:
        A row a pair, in the order given; every score in nats per clip with its 95 % interval over the clips.

    Raises:
        TypeError: If the data is neither, a count is not an int, or pairs are not models and guides by name.
        ValueError: If there is no pair, the data is empty or out of range, or as `importance_bound`.

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> rows = compare_guides({"full": tiny_dsvae()}, torch.rand(3, 5, 1, 8, 8), num_samples=4)
        >>> rows[0].name, rows[0].elbo.num, sorted(rows[0].kl)
        ('full', 3, ['f', 'z'])
    """
    _check_pairs(pairs)
    check_positive_int("batch_size", batch_size)
    dataset = as_dataset(data, "data")
    rows = []
    for name, (model, guide) in pairs.items():
        tensors = chain(*(module.parameters() for module in (guide, model)), model.buffers())
        device = next((tensor.device for tensor in tensors), torch.device("cpu"))
        parts: dict[str, list[torch.Tensor]] = {}
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            for number, x in enumerate(DataLoader(dataset, batch_size, collate_fn=stack_frames)):
                seed_noise(device, seed, "comparison", number)
                ratios = draw_log_ratios(model, guide, x.to(device), num_samples, chunk_size=chunk_size)
                for key, value in _per_clip(ratios).items():
                    parts.setdefault(key, []).append(value.cpu())
        rows.append(_row(name, {key: torch.cat(values) for key, values in parts.items()}, num_samples))
    return rows


def _check_pairs(pairs: Any) -> None:
    wanted = 'pairs must be a dict of models and guides by name, {"name": (model, guide)}'
    if not isinstance(pairs, Mapping):
        raise TypeError(f"{wanted}, got {type(pairs).__name__}")
    if not pairs:
        raise ValueError("pairs must hold at least one model and guide by name, got none")
    for name, pair in pairs.items():
        if not isinstance(pair, (tuple, list)) or [isinstance(part, nn.Module) for part in pair] != [True, True]:
            raise TypeError(f"{wanted}, got {type(pair).__name__} for {name!r}; pass both of its programs")


def _per_clip(ratios: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    weights = torch.stack([*ratios.values()]).sum(0)
    elbo, iwae = weights.mean(0), torch.logsumexp(weights, 0) - math.log(len(weights))
    kl = {f"kl_{site}": -ratio.mean(0) for site, ratio in ratios.items() if site != OBSERVED}
    return {"elbo": elbo, "iwae": iwae, "gap": iwae - elbo, "nll": -ratios[OBSERVED].mean(0), **kl}


def _row(name: str, values: dict[str, torch.Tensor], num_samples: int) -> GuideScores:
    scores = {key: mean_score(value) for key, value in values.items()}
    kl = {key.removeprefix("kl_"): score for key, score in scores.items() if key.startswith("kl_")}
    return GuideScores(name, scores["elbo"], scores["iwae"], scores["gap"], scores["nll"], kl, num_samples, values)


def _plate_dim(guide: nn.Module, x: torch.Tensor) -> int:
    """The dimension left of all plates of a guide."""
    sites = latent_sites(get_trace(guide, x[:1]))
    return -1 - max((-frame.dim for site in sites.values() for frame in site["cond_indep_stack"]), default=0)


def _draw(model: nn.Module, guide: nn.Module, x: torch.Tensor, num: int, dim: int) -> dict[str, torch.Tensor]:
    """Log-density ratios of a number of draws at once, (num, B) a site."""
    with pyro.plate("num_samples", num, dim=dim):
        drawn = get_trace(guide, x)
        with _CheckedReplay(trace=drawn):
            scored = get_trace(model, x)
    _check_sites(drawn, scored)
    found: dict[str, torch.Tensor] = {}
    for name, site in sample_sites(scored).items():
        if is_factor(site):
            continue
        ratio = _log_prob(site)
        if not site["is_observed"]:
            ratio = ratio - _log_prob(drawn.nodes[name])
        key = OBSERVED if site["is_observed"] else name
        ratio = ratio.double().reshape(num, -1, ratio.shape[-1]).sum(1)
        found[key] = found[key] + ratio if key in found else ratio
    return found


def _check_sites(drawn: Any, scored: Any) -> None:
    if OBSERVED not in scored.nodes or not scored.nodes[OBSERVED]["is_observed"]:
        raise ValueError(
            "the model must observe x at a site 'x', got a program without; pass the model, then the guide"
        )
    theirs, ours = sorted(latent_sites(scored)), sorted(latent_sites(drawn))
    if theirs != ours:
        raise ValueError(f"model and guide must have the same latent sites, got {theirs} and {ours}; pair them anew")


def _log_prob(site: Any) -> torch.Tensor:
    """The log-density without the weight of `scale_latents`, a mask of data kept."""
    value = site["fn"].log_prob(site["value"])
    return torch.where(site["mask"], value, 0.0) if isinstance(site["mask"], torch.Tensor) else value
