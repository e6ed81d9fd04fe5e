"""What a training costs: operations of a step, seconds of a stored training, and what a collection of videos needs.

    python benchmarks/cost.py [--output docs/results/cost.json]

Nothing is timed here. The seconds are those of a training with the networks of the default preset of
examples/dsvae_sprites.py on a quiet machine (20 passes, a fixed scale of the pixels), stored with its scores; the
operations (multiplications and additions of convolutions and matrix products, forward and backward) are counted by
torch on the networks of that run, and of plain DSVAEs of several widths. From both follows the rate at which that
machine trains. What follows for other machines is arithmetic with a stated rate.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyro
import torch
from elbo_step import SIZES, make_pair
from shared_benchmark import machine, parse, store
from torch.utils.flop_counter import FlopCounterMode

from pyrodis import NamedELBO
from pyrodis.infer.describe import build

ROOT = Path(__file__).resolve().parents[1]
RUN = ROOT / "docs" / "results" / "dsvae_sprites-fixed-scale-seed0.json"
WIDTHS = (24, 32, 64, 128, 256)
HOURS = (1, 100, 10_000)
FRAMES_A_SECOND, PASSES, NUM_FRAMES = 25, 20, 8
GPU_RATE = 10e12  # operations a second that a GPU is assumed to reach on such networks


def count(model: torch.nn.Module, guide: torch.nn.Module, num_clips: int = 2) -> float:
    """Operations for a frame, forward and backward."""
    x = torch.rand(num_clips, NUM_FRAMES, 3, 64, 64)
    with FlopCounterMode(display=False) as counter, pyro.validation_enabled(False):
        NamedELBO().terms(model, guide, x).total.backward()
    return counter.get_total_flops() / (num_clips * NUM_FRAMES)


def main() -> None:
    options = parse(__doc__, 3)
    run = json.loads(RUN.read_text(encoding="utf8"))
    config = run["config"]
    frames = config["training"]["num_epochs"] * config["data"]["train"]["num_items"] * NUM_FRAMES
    default = count(build(config["model"]), build(config["guide"]))
    rate = frames * default / (60 * run["training_minutes"])
    plain = {width: count(*make_pair(SIZES["sprites"] | {"channels": width})) for width in WIDTHS}
    result: dict[str, Any] = {
        "machine": {name: value for name, value in machine().items() if name != "busy_cores"},
        "run": {"name": RUN.stem, "machine": run["machine"], "minutes": run["training_minutes"], "frames": frames},
        "operations_a_frame": {"default preset": default} | {f"{width} base channels": n for width, n in plain.items()},
        "operations_a_second": rate,
        "assumed": {
            "gpu_operations_a_second": GPU_RATE,
            "frames_a_second": FRAMES_A_SECOND,
            "passes": PASSES,
            "hours": HOURS,
        },
    }
    print(table(result))
    store(result, options.output)


def table(result: dict[str, Any]) -> str:
    run, assumed, rate = result["run"], result["assumed"], result["operations_a_second"]
    lines = [
        f"A training with the networks of the default preset saw {run['frames']:,} frames in {run['minutes']} minutes "
        f"on {run['machine']}: "
        f"{run['frames'] / run['minutes'] / 60:,.0f} frames and {rate / 1e9:.0f} billion operations a second.",
        "",
        f"| networks | million operations a frame | {' | '.join(f'{h:,} h of video' for h in assumed['hours'])} |",
        f"| --- | ---: |{' ---: |' * len(assumed['hours'])}",
    ]
    seen = [hours * 3600 * assumed["frames_a_second"] * assumed["passes"] for hours in assumed["hours"]]
    for name, operations in result["operations_a_frame"].items():
        total = [operations * frames for frames in seen]
        cells = [f"{say(n / rate)}; {say(n / assumed['gpu_operations_a_second'])}" for n in total]
        lines.append(f"| {name} | {operations / 1e6:,.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def say(seconds: float) -> str:
    """A time in the unit that it is said in."""
    for unit, size in (("years", 365.25 * 86400), ("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}" if seconds < 10 * size else f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.0f} s"


if __name__ == "__main__":
    main()
