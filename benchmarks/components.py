"""Seconds for a step of K = 5 convolutional VAEs in parallel: a loop, grouped convolutions, and vmap.

    python benchmarks/components.py [--output docs/results/components.json]

The networks are like those of parallel VAEs. With a code of one vector, in float32: *small*, so small that calls
dominate; *digits*, the sizes of examples/parallel_vae_digits.py with stages; *scenes*, four layers on 64 x 64 pixels in
color. With a code in cells and no dense layer, under bfloat16 autocast: *digits, cells* and *scenes, cells*, with the
channels, strides and cells of the default presets of both examples. All ways have the same weights, without biases, and
normalize by the batch alone, since running averages cannot be changed under vmap; the latents are their means. Before
anything is timed, all must give the same loss and the same gradient. Each round times every way in turn, so that the
machine's drift hits all alike; printed is the median over rounds of the ratio to the loop, with a 95 % bootstrap
interval.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shared_benchmark import machine, store, summary
from torch.nn.functional import batch_norm, conv2d, conv_transpose2d, leaky_relu, linear
from tqdm import tqdm

NUM_COMPONENTS = 5
SLOPE = 0.3
LOOP, GROUPED, VMAP = "loop", "grouped convolutions", "vmap over stacked weights"

Weights = dict[str, torch.Tensor]
Way = Callable[[list[Weights], torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Size:
    """Networks of one component, and a batch; a code in cells has no hidden layer, and latent_dim numbers a cell."""

    image: tuple[int, int, int]
    widths: tuple[int, ...]
    hidden_dim: int
    latent_dim: int
    batch_size: int
    strides: tuple[tuple[int, int], ...] = ()  # of the layers; 2 along both sides where there are none

    @property
    def cells(self) -> bool:
        return self.hidden_dim == 0

    def stride(self, i: int) -> tuple[int, int]:
        return self.strides[i] if self.strides else (2, 2)

    @property
    def sides(self) -> list[tuple[int, int]]:
        found = [self.image[1:]]
        for i in range(len(self.widths)):
            height, width = (-(-side // stride) for side, stride in zip(found[-1], self.stride(i)))
            found.append((height, width))
        return found

    @property
    def start(self) -> tuple[int, int, int]:
        return (self.widths[-1], *self.sides[-1])


SIZES = {
    "small": Size((1, 28, 56), (4, 8), 16, 4, 16),
    "digits": Size((1, 28, 56), (16, 32), 64, 32, 32),
    "scenes": Size((3, 64, 64), (32, 32, 64, 64), 256, 128, 16),
    "digits, cells": Size((1, 28, 56), (8, 16, 32), 0, 4, 32, ((2, 2), (2, 2), (1, 2))),
    "scenes, cells": Size((3, 64, 64), (16, 32, 64), 0, 4, 32),
}


def make_weights(size: Size) -> Weights:
    """The weights of one component, by name; "up" and "down" by the number of the layer."""
    features, depth = math.prod(size.start), len(size.widths)
    dense = [features, size.hidden_dim, size.latent_dim, size.hidden_dim, features]
    channels = (size.image[0], *size.widths)
    shapes: dict[str, tuple[int, ...]] = {f"down{i}": (channels[i + 1], channels[i], 3, 3) for i in range(depth)}
    if size.cells:
        ends = size.widths[-1], size.latent_dim
        shapes |= {"last": (ends[0], ends[0], 3, 3), "code": (*ends[::-1], 3, 3)}
        shapes |= {"back": (*ends, 3, 3), "first": (ends[0], ends[0], 3, 3)}
    else:
        shapes |= {f"dense{i}": (dense[i + 1], dense[i]) for i in range(4)}
    outputs = (size.image[0] + 1, *size.widths)  # one channel of confidence
    shapes |= {f"up{i}": (channels[i + 1], outputs[i], 3, 3) for i in reversed(range(depth))}
    return {name: torch.randn(shape) / math.prod(shape[1:]) ** 0.5 for name, shape in shapes.items()}


def normalized(hidden: torch.Tensor) -> torch.Tensor:
    return leaky_relu(batch_norm(hidden, None, None, training=True), SLOPE)


def upwards(size: Size, i: int) -> dict[str, Any]:
    """Arguments of the transposed convolution that undoes the i-th halving."""
    stride = size.stride(i)
    rest = tuple(1 - side % 2 if step == 2 else 0 for side, step in zip(size.sides[i], stride))
    return {"stride": stride, "padding": 1, "output_padding": rest}


def component(size: Size, weights: Weights, x: torch.Tensor) -> torch.Tensor:
    """Image and confidence of one component, (B, C + 1, H, W)."""
    for i in range(len(size.widths)):
        x = normalized(conv2d(x, weights[f"down{i}"], stride=size.stride(i), padding=1))
    if size.cells:
        x = conv2d(normalized(conv2d(x, weights["last"], padding=1)), weights["code"], padding=1)
        x = normalized(conv2d(normalized(conv2d(x, weights["back"], padding=1)), weights["first"], padding=1))
    else:
        hidden = x.flatten(1)
        for i in range(4):
            hidden = linear(hidden, weights[f"dense{i}"])
            hidden = hidden if i == 1 else leaky_relu(hidden, SLOPE)
        x = hidden.unflatten(1, size.start)
    for i in reversed(range(len(size.widths))):
        x = conv_transpose2d(x, weights[f"up{i}"], **upwards(size, i))
        x = normalized(x) if i else x
    return x


def grouped(size: Size, weights: list[Weights], x: torch.Tensor) -> torch.Tensor:
    """Images and confidences of all components, (B, K, C + 1, H, W), in one convolution a layer."""
    stacked, groups = stack(weights), len(weights)
    x = x.repeat(1, groups, 1, 1)
    for i in range(len(size.widths)):
        x = normalized(conv2d(x, stacked[f"down{i}"].flatten(0, 1), stride=size.stride(i), padding=1, groups=groups))
    if size.cells:
        for name in ("last", "code", "back", "first"):
            x = conv2d(x, stacked[name].flatten(0, 1), padding=1, groups=groups)
            x = x if name == "code" else normalized(x)
    else:
        hidden = x.unflatten(1, (groups, -1)).flatten(2).transpose(0, 1)
        for i in range(4):
            hidden = hidden @ stacked[f"dense{i}"].mT
            hidden = hidden if i == 1 else leaky_relu(hidden, SLOPE)
        x = hidden.transpose(0, 1).unflatten(2, size.start).flatten(1, 2)
    for i in reversed(range(len(size.widths))):
        x = conv_transpose2d(x, stacked[f"up{i}"].flatten(0, 1), groups=groups, **upwards(size, i))
        x = normalized(x) if i else x
    return x.unflatten(1, (groups, -1))


def stack(weights: list[Weights]) -> Weights:
    return {name: torch.stack([own[name] for own in weights]) for name in weights[0]}


def ways(size: Size) -> dict[str, Way]:
    one = partial(component, size)
    return {
        LOOP: lambda weights, x: torch.stack([one(own, x) for own in weights], 1),
        GROUPED: partial(grouped, size),
        VMAP: lambda weights, x: torch.vmap(one, in_dims=(0, None), out_dims=1)(stack(weights), x),
    }


def loss_of(output: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The squared error, weighted by masks."""
    masks = output[:, :, -1:].softmax(1)
    return (masks * (output[:, :, :-1].sigmoid() - x.unsqueeze(1)).square()).sum()


def step(way: Way, weights: list[Weights], x: torch.Tensor, autocast: bool = False) -> tuple[float, list[torch.Tensor]]:
    leaves = [value for own in weights for value in own.values()]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        output = way(weights, x)
    loss = loss_of(output.float(), x)
    return float(loss.detach()), list(torch.autograd.grad(loss, leaves))


def check_same(found: dict[str, Way], weights: list[Weights], x: torch.Tensor) -> None:
    expected, gradients = step(found[LOOP], weights, x)
    for name, way in found.items():
        loss, ours = step(way, weights, x)
        distance = math.sqrt(sum(float((a - b).square().sum()) for a, b in zip(ours, gradients)))
        distance /= math.sqrt(sum(float(b.square().sum()) for b in gradients))
        if not math.isclose(loss, expected, rel_tol=1e-4) or distance > 1e-2:
            raise RuntimeError(f"{name} gives the loss {loss}, the loop {expected}; gradients differ by {distance}")


def measure(name: str, size: Size, num_rounds: int) -> dict[str, Any]:
    torch.manual_seed(0)
    weights = [make_weights(size) for _ in range(NUM_COMPONENTS)]
    for own in weights:
        for value in own.values():
            value.requires_grad_()
    x = torch.rand(size.batch_size, *size.image).contiguous(memory_format=torch.channels_last)
    found = ways(size)
    check_same(found, weights, x)
    seconds: dict[str, list[float]] = {way: [] for way in found}
    for number in tqdm(range(num_rounds + 1), desc=name, leave=False):
        for way, run in found.items():
            start = time.perf_counter()
            step(run, weights, x, autocast=size.cells)
            if number:  # the first round warms caches
                seconds[way].append(time.perf_counter() - start)
    base = np.array(seconds[LOOP])
    return {way: summary(np.array(times), base) for way, times in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="rounds that count (default: 15)")
    parser.add_argument("--output", type=Path, help="JSON file for the result (default: none)")
    options = parser.parse_args()
    if options.rounds < 3:
        parser.error(f"--rounds must be 3 or more for an interval, got {options.rounds}")
    sizes = {name: measure(name, size, options.rounds) for name, size in SIZES.items()}
    result = {
        "machine": machine(),
        "size": {"components": NUM_COMPONENTS, "rounds": options.rounds},
        "sizes": sizes,
    }
    print(table(result))
    store(result, options.output)


def table(result: dict[str, Any]) -> str:
    lines = ["| size | way | ms for a step | ratio to the loop | 95 % interval |", "| --- | --- | ---: | ---: | --- |"]
    for size, rows in result["sizes"].items():
        for way, row in rows.items():
            interval = f"{row['low']:.2f} to {row['high']:.2f}"
            lines.append(f"| {size} | {way} | {row['median_milliseconds']:.1f} | {row['ratio']:.2f} | {interval} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
