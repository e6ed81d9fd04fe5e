"""Seconds for a step of K = 5 convolutional VAEs in parallel: a loop, grouped convolutions, and vmap.

    python benchmarks/components.py [--output docs/results/components.json]

Three sizes are networks like those of parallel VAEs, written here, with a code of one vector, without biases, in
float32: *small*, so small that calls dominate; *digits*, the sizes of examples/parallel_vae_digits.py with stages;
*scenes*, four layers on 64 x 64 pixels in color. Their latents are their means, their loss the masked squared error.
The others are the library's own networks with a code in cells, under bfloat16 autocast, with a draw of the latents and
the mixture's ELBO: *digits, cells* and *scenes, cells* as the default presets of both examples have them; *digits,
cells, two components*; *digits, cells, best* as the best preset has them. Grouped convolutions are there those of
`ParallelVAE(grouped=True)`. Freed memory is kept, as the examples keep it.

All ways have the same weights, and normalize by the batch alone where they run under vmap, which cannot change running
averages. Before anything is timed, all must give the same loss and the same gradient. Each round times every way in
turn, so that the machine's drift hits all alike; printed is the median over rounds of the ratio to the loop, with a
95 % bootstrap interval.
"""

from __future__ import annotations

import argparse
import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from shared_benchmark import compare, machine, store
from torch import nn
from torch.func import functional_call, replace_all_batch_norm_modules_
from torch.nn.functional import batch_norm, conv2d, conv_transpose2d, leaky_relu, linear

from pyrodis.models import MixturePixels
from pyrodis.nn import GridDecoder, GridEncoder, GridLocScale
from pyrodis.nn._grouped import run_components
from pyrodis.ops import keep_freed_memory

NUM_COMPONENTS = 5
SLOPE = 0.3
LOOP, GROUPED, VMAP = "loop", "grouped convolutions", "vmap over stacked weights"

Weights = dict[str, torch.Tensor]
Way = Callable[[list[Weights], torch.Tensor], torch.Tensor]
Run = Callable[[nn.ModuleList, Sequence[torch.Tensor]], list[torch.Tensor]]
Step = Callable[[], tuple[float, list[torch.Tensor]]]  # loss and gradients


@dataclass(frozen=True)
class Size:
    """Networks of one component with a code of one vector, and a batch."""

    image: tuple[int, int, int]
    widths: tuple[int, ...]
    hidden_dim: int
    latent_dim: int
    batch_size: int

    @property
    def sides(self) -> list[tuple[int, int]]:
        found = [self.image[1:]]
        for _ in self.widths:
            height, width = found[-1]
            found.append((-(-height // 2), -(-width // 2)))
        return found

    @property
    def start(self) -> tuple[int, int, int]:
        return (self.widths[-1], *self.sides[-1])


SIZES = {
    "small": Size((1, 28, 56), (4, 8), 16, 4, 16),
    "digits": Size((1, 28, 56), (16, 32), 64, 32, 32),
    "scenes": Size((3, 64, 64), (32, 32, 64, 64), 256, 128, 16),
}


@dataclass(frozen=True)
class Cells:
    """The library's networks of one component with a code in cells, and a batch."""

    image: tuple[int, int, int]
    widths: tuple[int, ...]
    latent_channels: int
    grid: int
    batch_size: int
    num_components: int = NUM_COMPONENTS


PRESETS = {
    "digits, cells": Cells((1, 28, 56), (8, 16, 32), 4, 7, 32),
    "digits, cells, two components": Cells((1, 28, 56), (8, 16, 32), 4, 7, 32, 2),
    "digits, cells, best": Cells((1, 28, 56), (16, 32, 64), 4, 7, 32),
    "scenes, cells": Cells((3, 64, 64), (16, 32, 64), 4, 8, 32),
}


def make_weights(size: Size) -> Weights:
    """The weights of one component, by name; "up" and "down" by the number of the layer."""
    features, depth = math.prod(size.start), len(size.widths)
    dense = [features, size.hidden_dim, size.latent_dim, size.hidden_dim, features]
    channels = (size.image[0], *size.widths)
    shapes: dict[str, tuple[int, ...]] = {f"down{i}": (channels[i + 1], channels[i], 3, 3) for i in range(depth)}
    shapes |= {f"dense{i}": (dense[i + 1], dense[i]) for i in range(4)}
    outputs = (size.image[0] + 1, *size.widths)  # one channel of confidence
    shapes |= {f"up{i}": (channels[i + 1], outputs[i], 3, 3) for i in reversed(range(depth))}
    return {name: torch.randn(shape) / math.prod(shape[1:]) ** 0.5 for name, shape in shapes.items()}


def normalized(hidden: torch.Tensor) -> torch.Tensor:
    return leaky_relu(batch_norm(hidden, None, None, training=True), SLOPE)


def upwards(size: Size, i: int) -> dict[str, Any]:
    """Arguments of the transposed convolution that undoes the i-th halving."""
    return {"stride": 2, "padding": 1, "output_padding": tuple(1 - side % 2 for side in size.sides[i])}


def component(size: Size, weights: Weights, x: torch.Tensor) -> torch.Tensor:
    """Image and confidence of one component, (B, C + 1, H, W)."""
    for i in range(len(size.widths)):
        x = normalized(conv2d(x, weights[f"down{i}"], stride=2, padding=1))
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
        x = normalized(conv2d(x, stacked[f"down{i}"].flatten(0, 1), stride=2, padding=1, groups=groups))
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


def steps_of(size: Size) -> dict[str, Step]:
    """A forward and backward pass of networks with a code of one vector, each way."""
    weights = [make_weights(size) for _ in range(NUM_COMPONENTS)]
    leaves = [value.requires_grad_() for own in weights for value in own.values()]
    x = torch.rand(size.batch_size, *size.image).contiguous(memory_format=torch.channels_last)

    def step(way: Way) -> tuple[float, list[torch.Tensor]]:
        loss = loss_of(way(weights, x), x)
        return float(loss.detach()), list(torch.autograd.grad(loss, leaves))

    return {name: partial(step, way) for name, way in ways(size).items()}


def stacked_call(networks: nn.ModuleList, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """What networks make of their inputs, under vmap over their stacked weights."""
    parts: list[Any] = list(networks)  # GridEncoder or GridDecoder
    layers = parts[0].convolutions
    names = [name for name, _ in layers.named_parameters()]
    weights = {name: torch.stack([part.convolutions.get_parameter(name) for part in parts]) for name in names}
    maps = torch.stack([part._to_maps(value) for part, value in zip(parts, inputs)])
    found = torch.vmap(lambda own, value: functional_call(layers, own, (value,)))(weights, maps)
    return [part._from_maps(own, value) for part, own, value in zip(parts, found.unbind(), inputs)]


def cells_steps_of(size: Cells) -> dict[str, Step]:
    """A forward and backward pass of the library's networks with a code in cells, each way."""
    channels, height, width = size.image
    sizes = size.latent_channels, size.grid
    num = size.num_components
    encoders = nn.ModuleList(GridEncoder(size.image, *sizes, size.widths) for _ in range(num))
    decoders = nn.ModuleList(
        GridDecoder(size.latent_channels, (channels + 1, height, width), size.grid, size.widths[::-1])
        for _ in range(num)
    )
    blind = copy.deepcopy([encoders, decoders])
    for networks in blind:
        replace_all_batch_norm_modules_(networks)
    head, likelihood = GridLocScale(), MixturePixels(0.15)
    x = torch.rand(size.batch_size, *size.image)
    noise = torch.randn(num, size.batch_size, size.latent_channels * size.grid**2)

    def step(networks: Sequence[nn.ModuleList], run: Run) -> tuple[float, list[torch.Tensor]]:
        leaves = [weight for part in networks for weight in part.parameters()]
        loc, scale = head(torch.stack(run(networks[0], [x] * num)))
        output = torch.stack(run(networks[1], (loc + scale * noise).unbind()), -4)
        pixels = likelihood(output[..., :-1, :, :], output[..., -1, :, :])
        kl = (loc.square() + scale.square() - 1).sum() / 2 - scale.log().sum()
        loss = kl - pixels.log_prob(x.unsqueeze(1)).sum()
        return float(loss.detach()), list(torch.autograd.grad(loss, leaves))

    return {
        LOOP: partial(step, (encoders, decoders), partial(run_components, grouped=False)),
        GROUPED: partial(step, (encoders, decoders), partial(run_components, grouped=True)),
        VMAP: partial(step, blind, stacked_call),
    }


def check_same(steps: dict[str, Step]) -> None:
    expected, gradients = steps[LOOP]()
    for name, step in steps.items():
        loss, ours = step()
        distance = math.sqrt(sum(float((a - b).square().sum()) for a, b in zip(ours, gradients)))
        distance /= math.sqrt(sum(float(b.square().sum()) for b in gradients))
        if not math.isclose(loss, expected, rel_tol=1e-4) or distance > 1e-2:
            raise RuntimeError(f"{name} gives the loss {loss}, the loop {expected}; gradients differ by {distance}")


def measure(name: str, num_rounds: int) -> dict[str, dict[str, float]]:
    torch.manual_seed(0)
    steps = steps_of(SIZES[name]) if name in SIZES else cells_steps_of(PRESETS[name])
    check_same(steps)
    with torch.autocast("cpu", torch.bfloat16, enabled=name in PRESETS):
        return compare(steps, LOOP, num_rounds, name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="rounds that count (default: 15)")
    parser.add_argument("--output", type=Path, help="JSON file for the result (default: none)")
    options = parser.parse_args()
    if options.rounds < 3:
        parser.error(f"--rounds must be 3 or more for an interval, got {options.rounds}")
    keep_freed_memory()
    sizes = {name: measure(name, options.rounds) for name in (*SIZES, *PRESETS)}
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
