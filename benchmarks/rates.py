"""What a step achieves of what the machine can do: operations and bytes a second.

    python benchmarks/rates.py [--output docs/results/rates.json]

The machine: a product of two 1,024 x 1,024 matrices in single precision and in bfloat16, and a copy of 256 MiB. The
step: forward and backward of a DSVAE of 32 base channels on 16 clips of 8 frames, whose operations (convolutions and
matrix products, counted by torch) are divided by its seconds; and the same in plain PyTorch and single precision
(shared_plain_dsvae.py). The chain: draw, density and gradient of
`GaussMarkovNormal`, 16 sequences of 32 dimensions; of its bytes only those that cannot be avoided are counted, seven
arrays (three parameters and their gradients, and the draw). The ratio is the share of the machine's own rate: what is
missing to one is memory traffic of intermediate results, calls, and formats other than that of the product.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pyro
import torch
from elbo_step import SIZES, make_pair
from shared_benchmark import interleave, machine, parse, store, summary
from shared_plain_dsvae import PlainDSVAE
from structured_normal import DIM, NUM_SEQUENCES, make_parameters
from torch.utils.flop_counter import FlopCounterMode

from pyrodis import NamedELBO
from pyrodis.distributions import GaussMarkovNormal


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a @ b


def chain(parameters: tuple[torch.Tensor, ...]) -> None:
    for parameter in parameters:
        parameter.grad = None
    normal = GaussMarkovNormal(*parameters)
    normal.log_prob(normal.rsample()).sum().backward()


def make_step(channels: int, num_clips: int) -> Callable[[], None]:
    model, guide = make_pair(SIZES["sprites"] | {"channels": channels})
    x = torch.rand(num_clips, 8, 3, 64, 64)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = NamedELBO().terms(model, guide, x).total
        loss.backward()

    return step


def make_plain_step(channels: int, num_clips: int) -> Callable[[], None]:
    module = PlainDSVAE(channels, static_dim=64, dynamic_dim=32, hidden_dim=128, feature_dim=256)
    x = torch.rand(num_clips, 8, 3, 64, 64)
    return lambda: module(x).backward()


def count_operations(step: Callable[[], None]) -> int:
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def main() -> None:
    options = parse(__doc__, 15)
    side, megabytes, channels, num_clips = (64, 1, 2, 2) if options.smoke_test else (1024, 256, 32, 16)
    lengths = (8, 64) if options.smoke_test else (64, 512, 4096)
    torch.manual_seed(0)
    a = torch.randn(side, side)
    source = torch.zeros(megabytes * 2**18)
    step = make_step(channels, num_clips)
    ways: dict[str, Callable[[], Any]] = {
        "product, float32": partial(product, a, a),
        "product, bfloat16": partial(product, a.bfloat16(), a.bfloat16()),
        "copy": source.clone,
        "step": step,
        "step, plain PyTorch": make_plain_step(channels, num_clips),
    }
    chains = {f"chain of {length} frames": make_parameters(length) for length in lengths}
    ways |= {name: partial(chain, parameters) for name, parameters in chains.items()}
    with pyro.validation_enabled(False):
        amounts = {name: count_operations(ways[name]) for name in ("step", "step, plain PyTorch")}
        seconds = interleave(ways, options.rounds, "rates")
    amounts |= {"product, float32": 2 * side**3, "product, bfloat16": 2 * side**3, "copy": 2 * source.nbytes}
    amounts |= {f"chain of {length} frames": 7 * 4 * NUM_SEQUENCES * length * DIM for length in lengths}
    compared = {"step": "product, bfloat16", "step, plain PyTorch": "product, float32"}
    compared |= dict.fromkeys(chains, "copy")
    rows = {}
    for name, times in seconds.items():
        rate = amounts[name] / times
        own = amounts[compared.get(name, name)] / seconds[compared.get(name, name)]
        row = summary(times, times) | {k: v for k, v in summary(rate, own).items() if k in ("ratio", "low", "high")}
        rows[name] = row | {"giga_per_second": float(amounts[name] / row["median_milliseconds"] / 1e6)}
    result = {
        "machine": machine(),
        "columns": ["what", "giga a second", "share of the machine's rate"],
        "size": {"side": side, "megabytes": megabytes, "clips": num_clips, "base_channels": channels},
        "amounts": amounts,
        "groups": {"rates": rows},
    }
    print(table(result))
    store(result, options.output)


def table(result: dict[str, Any]) -> str:
    lines = ["| what | ms | giga a second | share of the machine's rate | 95 % interval |"]
    lines.append("| --- | ---: | ---: | ---: | --- |")
    for name, row in result["groups"]["rates"].items():
        unit = "operations" if name.startswith(("product", "step")) else "bytes"
        share = (f"{row['ratio']:.1%}", f"{row['low']:.1%} to {row['high']:.1%}")
        cells = (name, f"{row['median_milliseconds']:.2f}", f"{row['giga_per_second']:.1f} {unit}", *share)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
