"""Seconds for a training step of a DSVAE: pyrodis against a plain PyTorch step of the published design.

    python benchmarks/dsvae_step.py [--output docs/results/dsvae_step.json]

16 clips of 8 frames of 64 x 64 pixels, 32 and 64 base channels. The plain step is shared_plain_dsvae.py: single
precision, default layout, frame by frame, Adam. That of pyrodis is what the examples do: frames as one batch,
channels-last, bfloat16 autocast, fused Adam, the objective of `NamedELBO`; and the same in single precision. Each
round times all in turn. With --train both are then trained from scratch on the same batches of `ProceduralSprites`, for
as many steps, over several seeds; ratios of speed mean nothing if what is learned differs, so the negative ELBO of
held-out clips is stored beside them.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyro
import torch
from shared_benchmark import compare, finish, machine
from shared_plain_dsvae import PlainDSVAE
from tqdm import tqdm

from pyrodis import NamedELBO
from pyrodis.datasets import ProceduralSprites
from pyrodis.guides import FullGuide
from pyrodis.models import DSVAE, LSTMPrior, NormalPixels
from pyrodis.nn import ConvDecoder, ConvEncoder

SIZES = {"static": 64, "dynamic": 32, "hidden": 128, "features": 256}
PLAIN, OURS, SINGLE = "plain PyTorch", "pyrodis", "pyrodis, single precision"
Objective = Callable[[torch.Tensor], torch.Tensor]


def make_plain(channels: int) -> tuple[Objective, list[torch.nn.Parameter], torch.nn.Module]:
    module = PlainDSVAE(channels, SIZES["static"], SIZES["dynamic"], SIZES["hidden"], SIZES["features"])
    return module, list(module.parameters()), module


def make_ours(channels: int) -> tuple[Objective, list[torch.nn.Parameter], torch.nn.Module]:
    static, dynamic, hidden = SIZES["static"], SIZES["dynamic"], SIZES["hidden"]
    decoder = ConvDecoder(static + dynamic, base_channels=channels, output_bias=-3.0)
    model = DSVAE(decoder, LSTMPrior(dynamic, hidden), NormalPixels(scale=0.1), static, dynamic)
    encoder = ConvEncoder(feature_dim=SIZES["features"], base_channels=channels)
    guide = FullGuide(encoder, static, dynamic, hidden)
    elbo = NamedELBO()
    both = torch.nn.ModuleList([model, guide]).to(memory_format=torch.channels_last)
    return lambda x: elbo.terms(model, guide, x).total, list(both.parameters()), both


def make_step(objective: Objective, parameters: list[torch.nn.Parameter], half: bool, fused: bool) -> Objective:
    optimizer = torch.optim.Adam([p for p in parameters if p.requires_grad], lr=1e-3, fused=fused)

    def step(x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
            loss = objective(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def measure(channels: int, num_rounds: int, num_clips: int, num_frames: int) -> dict[str, Any]:
    torch.manual_seed(0)
    x = torch.rand(num_clips, num_frames, 3, 64, 64)
    steps = {
        PLAIN: make_step(*make_plain(channels)[:2], half=False, fused=False),
        OURS: make_step(*make_ours(channels)[:2], half=True, fused=True),
        SINGLE: make_step(*make_ours(channels)[:2], half=False, fused=True),
    }
    with pyro.validation_enabled(False):
        ways = {name: lambda step=step: step(x) for name, step in steps.items()}
        return compare(ways, OURS, num_rounds, f"{channels} channels")


def train(make: Any, seed: int, options: argparse.Namespace, batches: torch.Tensor, test: torch.Tensor) -> float:
    """Negative ELBO of held-out clips after as many steps, nats a clip."""
    torch.manual_seed(seed)
    objective, parameters, module = make(32 if not options.smoke_test else 4)
    step = make_step(objective, parameters, half=make is make_ours, fused=make is make_ours)
    with pyro.validation_enabled(False):
        for x in tqdm(batches, desc=f"{make.__name__}, seed {seed}", leave=False):
            step(x)
        module.eval()
        with torch.no_grad():
            return statistics.fmean(float(objective(test)) for _ in range(4))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="rounds that count (default: 15)")
    parser.add_argument("--train", type=int, default=0, help="steps to train both for (default: 0)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each (default: 3)")
    parser.add_argument("--smoke-test", action="store_true", help="sizes that take seconds and say nothing")
    parser.add_argument("--output", type=Path, help="JSON file for the result (default: none)")
    options = parser.parse_args()
    if options.rounds < 3:
        parser.error(f"--rounds must be 3 or more for an interval, got {options.rounds}")
    num_clips, num_frames = (2, 2) if options.smoke_test else (16, 8)
    widths = (4,) if options.smoke_test else (32, 64)
    result: dict[str, Any] = {
        "machine": machine(),
        "columns": ["base channels", "step", OURS],
        "size": {"clips": num_clips, "frames": num_frames, "rounds": options.rounds, **SIZES},
        "groups": {str(width): measure(width, options.rounds, num_clips, num_frames) for width in widths},
    }
    if options.train:
        data, held_out = ProceduralSprites(), ProceduralSprites(split="test")
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[: options.train * num_clips]
        batches = torch.stack([data[int(i)]["x"] for i in order]).unflatten(0, (options.train, num_clips))
        test = torch.stack([held_out[i]["x"] for i in range(0, len(held_out), max(1, len(held_out) // 64))][:64])
        result["training"] = {
            "steps": options.train,
            "nats": {
                name: [train(make, seed, options, batches, test) for seed in range(options.seeds)]
                for name, make in ((PLAIN, make_plain), (OURS, make_ours))
            },
        }
        for name, nats in result["training"]["nats"].items():
            print(f"{name}: {', '.join(f'{value:.0f}' for value in nats)} nats a clip after {options.train} steps")
    finish(result, options.output)


if __name__ == "__main__":
    main()
