"""Seconds a training step: NamedELBO and Pyro's Trace_ELBO against the same ELBO written by hand, in one run.

    python benchmarks/elbo_step.py [--output docs/results/elbo_step.json]

Each round times one forward and backward pass of every variant in turn, on the same clips and the same networks, so
that the machine's drift hits all alike. What is printed is the median over rounds of the ratio to the hand-written one,
with a 95 % bootstrap interval; seconds alone mean little on another machine.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import torch
from pyro.infer import Trace_ELBO
from shared_benchmark import machine, store, summary
from tqdm import tqdm

from pyrodis import NamedELBO
from pyrodis.guides import FullGuide
from pyrodis.guides.static_posterior import join_static
from pyrodis.models import DSVAE, LSTMPrior, NormalPixels
from pyrodis.models.dsvae import join_codes
from pyrodis.nn import ConvDecoder, ConvEncoder

# Clips a step, frames, frame shape, base channels, f, z, hidden and feature sizes, precision.
SIZES = {
    "small": {"batch": 16, "frame": (1, 8, 8), "channels": 4, "static": 8, "dynamic": 4, "hidden": 16, "features": 16},
    "sprites": {
        "batch": 16,
        "frame": (3, 64, 64),
        "channels": 24,
        "static": 64,
        "dynamic": 32,
        "hidden": 128,
        "features": 256,
    },
}


def make_pair(size: dict[str, Any]) -> tuple[DSVAE, FullGuide]:
    torch.manual_seed(0)
    static, dynamic = size["static"], size["dynamic"]
    decoder = ConvDecoder(static + dynamic, size["frame"], size["channels"])
    model = DSVAE(decoder, LSTMPrior(dynamic, size["hidden"]), NormalPixels(), static, dynamic)
    guide = FullGuide(ConvEncoder(size["frame"], size["features"], size["channels"]), static, dynamic, size["hidden"])
    for module in (model, guide):
        module.to(memory_format=torch.channels_last)
    return model, guide


def kl_normal(loc_q: Any, scale_q: Any, loc_p: Any, scale_p: Any) -> torch.Tensor:
    ratio = (scale_q / scale_p) ** 2
    return 0.5 * (ratio + ((loc_q - loc_p) / scale_p) ** 2 - 1 - ratio.log()).sum()


def elbo_by_hand(model: DSVAE, guide: FullGuide, x: torch.Tensor) -> torch.Tensor:
    """The negative ELBO of the pair as one would write it without Pyro: tensors and the same networks alone."""
    features = guide.encoder(x)
    loc_f, scale_f = guide.static.head(guide.static.reader.summary(features))
    f = loc_f + scale_f * torch.randn_like(loc_f)
    context = guide.reader(join_static(features, f))
    noise = torch.randn(*x.shape[:2], model.dynamic_dim)
    z, state, steps = torch.zeros_like(noise[:, 0]), None, []
    for t in range(x.shape[1]):
        loc, scale, state = guide.transition.step(z, context[:, t], state)
        z = loc + scale * noise[:, t]
        steps.append((z, loc, scale))
    codes, loc_z, scale_z = (torch.stack(part, dim=1) for part in zip(*steps, strict=True))
    previous = torch.cat([torch.zeros_like(codes[:, :1]), codes[:, :-1]], dim=1)
    prior_loc, prior_scale = model.prior.transition(previous)
    means = model.decoder(join_codes(f, codes)).sigmoid()
    scale = model.likelihood.scale
    nll = (((x - means) / scale) ** 2 / 2).sum() + x.numel() * (math.log(scale) + math.log(2 * math.pi) / 2)
    return nll + kl_normal(loc_f, scale_f, 0.0, torch.ones(())) + kl_normal(loc_z, scale_z, prior_loc, prior_scale)


def seconds_of(loss: Callable[[], torch.Tensor], parameters: list[torch.nn.Parameter], half: bool) -> float:
    for parameter in parameters:
        parameter.grad = None
    start = time.perf_counter()
    with torch.autocast("cpu", dtype=torch.bfloat16) if half else nullcontext():
        value = loss()
    value.backward()
    return time.perf_counter() - start


def measure(name: str, num_rounds: int) -> dict[str, Any]:
    size = SIZES[name]
    model, guide = make_pair(size)
    x = torch.rand(size["batch"], 8, *size["frame"])
    losses: dict[str, Callable[[], torch.Tensor]] = {
        "by hand": lambda: elbo_by_hand(model, guide, x),
        "NamedELBO, analytic KL": lambda: NamedELBO().differentiable_loss(model, guide, x),
        "NamedELBO, Monte Carlo KL": lambda: NamedELBO(analytic=False).differentiable_loss(model, guide, x),
        "Pyro's Trace_ELBO": lambda: Trace_ELBO().differentiable_loss(model, guide, x),
    }
    values = {}
    for label in ("by hand", "NamedELBO, analytic KL"):
        torch.manual_seed(1)
        values[label] = losses[label]().item()
    by_hand, ours = values.values()
    if abs(by_hand - ours) > 1e-4 * abs(by_hand):
        raise RuntimeError(f"the variants must compute the same number, got {values}")
    parameters = [p for p in (*model.parameters(), *guide.parameters()) if p.requires_grad]
    seconds: dict[str, list[float]] = {label: [] for label in losses}
    half = size["frame"][1] == 64
    with pyro.validation_enabled(False):
        for number in tqdm(range(num_rounds + 2), desc=name, leave=False):
            for label, loss in losses.items():
                elapsed = seconds_of(loss, parameters, half)
                if number >= 2:  # the first rounds warm caches
                    seconds[label].append(elapsed)
    rows = {label: summary(np.array(times), np.array(seconds["by hand"])) for label, times in seconds.items()}
    return {"size": size, "rounds": num_rounds, "same_value": values, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="rounds that count (default: 40)")
    parser.add_argument("--output", type=Path, help="JSON file for the result (default: none)")
    options = parser.parse_args()
    if options.rounds < 5:
        parser.error(f"--rounds must be 5 or more for an interval, got {options.rounds}")
    result = {"machine": machine(), "sizes": {name: measure(name, options.rounds) for name in SIZES}}
    print(table(result))
    store(result, options.output)


def table(result: dict[str, Any]) -> str:
    lines = ["| size | variant | ratio to the hand-written ELBO | 95 % interval | extra ms a step |"]
    lines.append("| --- | --- | ---: | --- | ---: |")
    for name, size in result["sizes"].items():
        for label, row in size["rows"].items():
            interval = f"{row['low']:.3f} to {row['high']:.3f}"
            lines.append(f"| {name} | {label} | {row['ratio']:.3f} | {interval} | {row['extra_milliseconds']:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
