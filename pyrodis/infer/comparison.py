"""How close guides come to the evidence: importance-weighted bounds, and guides side by side on the same clips."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from pyrodis.infer.data import as_dataset, check_batch, stack_frames
from pyrodis.infer.guide_scores import GuideScores, GuideTable
from pyrodis.infer.log_ratios import draw_log_ratios
from pyrodis.infer.pareto import check_num_draws, khat_of_weights
from pyrodis.infer.sampler import seed_noise
from pyrodis.infer.sites import OBSERVED
from pyrodis.metrics import mean_score, proportion_score
from pyrodis.ops import check_positive_int

__all__ = ["compare_guides", "importance_bound"]

KHAT_LIMIT = 0.7  # above it, importance weights are too heavy-tailed to be relied on


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
    weights = _log_weights(draw_log_ratios(model, guide, x, num_samples, chunk_size=chunk_size))
    return torch.logsumexp(weights, 0) - math.log(num_samples)


def compare_guides(
    pairs: Mapping[str, tuple[nn.Module, nn.Module]],
    data: Dataset[Any] | torch.Tensor,
    *,
    num_samples: int = 50,
    num_khat_samples: int | None = None,
    chunk_size: int = 10,
    batch_size: int = 32,
    seed: int = 0,
) -> GuideTable:
    """Score pairs of model and guide on the same clips with the same seeds.

    Args:
        pairs: Name to model and guide.
        data: A data set of items ``{"x": (T, C, H, W)}``, or clips.
        num_samples: Draws a clip, K of the importance-weighted bound.
        num_khat_samples: Further draws a clip for `pareto_khat`, 2000 if it can be afforded, or None to leave it out.
        chunk_size: Draws of a clip that are in memory at once.
        batch_size: Clips at once.
        seed: Seed of the draws; those of a batch depend on it and on the batch's number alone.

    Shape:
        data: (B, T, C, H, W) in [0, 1] where a tensor.

    Returns:
        A list that prints as a table: a row a pair, in the order given; every score in nats per clip with its 95 %
        interval over the clips.

    Raises:
        TypeError: If the data is neither, a count is not an int, or pairs are not models and guides by name.
        ValueError: If there is no pair, the data is empty or out of range, k-hat is asked for from fewer draws than it
            needs, or as `importance_bound`.

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> rows = compare_guides({"full": tiny_dsvae()}, torch.rand(3, 5, 1, 8, 8), num_samples=4)
        >>> rows[0].name, rows[0].elbo.num, sorted(rows[0].kl)
        ('full', 3, ['f', 'z'])
    """
    _check_pairs(pairs)
    check_positive_int("batch_size", batch_size)
    if num_khat_samples is not None:
        check_num_draws("num_khat_samples", num_khat_samples)
    dataset = as_dataset(data, "data")
    rows = GuideTable()
    for name, (model, guide) in pairs.items():
        device = _device_of(model, guide)
        parts: dict[str, list[torch.Tensor]] = {}
        seconds, num_clips = 0.0, 0
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            for number, x in enumerate(DataLoader(dataset, batch_size, collate_fn=stack_frames)):
                check_batch(x, "data", num_clips)
                x = x.to(device)
                seed_noise(device, seed, "comparison", number)
                start = time.perf_counter()
                ratios = draw_log_ratios(model, guide, x, num_samples, chunk_size=chunk_size)
                seconds, num_clips = seconds + time.perf_counter() - start, num_clips + len(x)
                values = _per_clip(ratios)
                if num_khat_samples is not None:
                    ratios = draw_log_ratios(model, guide, x, num_khat_samples, chunk_size=chunk_size)
                    values["khat"] = khat_of_weights(_log_weights(ratios))
                for key, value in values.items():
                    parts.setdefault(key, []).append(value.cpu())
        found = {key: torch.cat(values) for key, values in parts.items()}
        rows.append(_row(name, found, num_samples, seconds / (num_clips * num_samples)))
    return rows


def _device_of(model: nn.Module, guide: nn.Module) -> torch.device:
    tensors = chain(*(module.parameters() for module in (guide, model)), model.buffers())
    return next((tensor.device for tensor in tensors), torch.device("cpu"))


def _check_pairs(pairs: Any) -> None:
    wanted = 'pairs must be a dict of models and guides by name, {"name": (model, guide)}'
    if not isinstance(pairs, Mapping):
        raise TypeError(f"{wanted}, got {type(pairs).__name__}")
    if not pairs:
        raise ValueError("pairs must hold at least one model and guide by name, got none")
    for name, pair in pairs.items():
        if not isinstance(pair, (tuple, list)) or [isinstance(part, nn.Module) for part in pair] != [True, True]:
            raise TypeError(f"{wanted}, got {type(pair).__name__} for {name!r}; pass both of its programs")


def _log_weights(ratios: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return torch.stack([*ratios.values()]).sum(0)


def _per_clip(ratios: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    weights = _log_weights(ratios)
    elbo, iwae = weights.mean(0), torch.logsumexp(weights, 0) - math.log(len(weights))
    kl = {f"kl_{site}": -ratio.mean(0) for site, ratio in ratios.items() if site != OBSERVED}
    return {"elbo": elbo, "iwae": iwae, "gap": iwae - elbo, "nll": -ratios[OBSERVED].mean(0), **kl}


def _row(name: str, values: dict[str, torch.Tensor], num_samples: int, seconds: float) -> GuideScores:
    scores = {key: mean_score(value) for key, value in values.items() if key != "khat"}
    kl = {key.removeprefix("kl_"): score for key, score in scores.items() if key.startswith("kl_")}
    khat = proportion_score(values["khat"] > KHAT_LIMIT, chance=None, ceiling=0.0) if "khat" in values else None
    elbo, iwae, gap, nll = (scores[key] for key in ("elbo", "iwae", "gap", "nll"))
    return GuideScores(name, elbo, iwae, gap, nll, kl, num_samples, values, khat, seconds)
