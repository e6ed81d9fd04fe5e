"""Scores that need no labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pyrodis.cli.clips import spread
from pyrodis.infer.comparison import compare_guides
from pyrodis.infer.queries import decode, encode
from pyrodis.metrics import Score, active_units, image_quality, proportion_score

STATIC_SITES = ("f", "what")


def label_free_scores(model: nn.Module, guide: nn.Module, data: Any, num_clips: int = 32) -> dict[str, Score]:
    r"""Score a pair on clips of which nothing is known.

    The bounds of the evidence, how close reconstructions are, how many latent dimensions are alive, and whether an
    exchange is found again: clip a is decoded with the moving codes of clip b, encoded again, and each code compared
    with those of a and of b. It should be nearer to that which it was decoded from; of a code that the decoder ignores
    this is so by chance at best, and less often where the other code tells whose clip it was.

    Args:
        model: A generative program.
        guide: An inference program over the same sites.
        data: Windows of videos.
        num_clips: How many windows to score, evenly over the data.

    Returns:
        "elbo" and "iwae" (nats a clip), "kl/site" (nats), "mse", "psnr" (dB), "ssim" with the mean clip as chance,
        "active_units/site", and "exchange/site", the share of exchanges found again, where there are two clips and a
        static code.

    Example:
        >>> label_free_scores(model, guide, data)["exchange/f"].chance  # doctest: +SKIP
        0.5
    """
    rows = spread(len(data), num_clips)
    x = torch.stack([item["x"] for item in data.__getitems__(rows)])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        # Draws of a clip share its features, and no more frames are in memory than of 20 clips.
        (row,) = compare_guides({"guide": (model, guide)}, x, num_samples=20, chunk_size=5, batch_size=4)
        scores = {"elbo": row.elbo, "iwae": row.iwae} | {f"kl/{site}": score for site, score in row.kl.items()}
        codes = encode(guide, x)
        scores |= image_quality(decode(model, codes), x, baseline=x.mean(0) if len(x) > 1 else None)
        for site, code in codes.items() if len(x) > 1 else ():
            count = float(active_units(code))
            scores[f"active_units/{site}"] = Score(count, count, count, None, float(code.shape[-1]), len(x))
        return scores | _exchanges(model, guide, codes, [data.window(i)[0] for i in rows])


def _exchanges(model: nn.Module, guide: nn.Module, codes: dict[str, Tensor], names: list[str]) -> dict[str, Score]:
    """Whether codes are found again in decodings of exchanged ones, among pairs of different clips."""
    static = [site for site in codes if site in STATIC_SITES]
    donors = np.roll(np.arange(len(names)), len(names) // 2)
    pairs = [(a, int(b)) for a, b in enumerate(donors) if names[a] != names[b]]
    if not static or len(static) == len(codes) or not pairs:
        return {}
    first, second = (torch.tensor(side) for side in zip(*pairs, strict=True))
    mixed = {site: value[first if site in static else second] for site, value in codes.items()}
    found = encode(guide, decode(model, mixed).clamp(0, 1))
    scores = {}
    for site, code in codes.items():
        own, other = (first, second) if site in static else (second, first)
        near, far = ((found[site] - code[side]).flatten(1).norm(dim=1) for side in (own, other))
        scores[f"exchange/{site}"] = proportion_score((near < far).numpy(), 0.5)
    return scores


def write_scores(run: Path, scores: Mapping[str, Score]) -> None:
    """Write the scores of a run.

    Args:
        run: Directory of the run.
        scores: Name to score.

    Example:
        >>> write_scores(Path("runs/videos"), scores)  # doctest: +SKIP
    """
    content = json.dumps({name: score.as_dict() for name, score in scores.items()}, indent=1)
    (run / "metrics.json").write_text(content + "\n", encoding="utf8")
