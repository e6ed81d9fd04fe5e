"""Seconds for the convolutions of a DSVAE's step by number format and memory layout.

    python benchmarks/precision.py [--output docs/results/precision.json]

Encoder and decoder of 32 base channels on 128 frames of 64 x 64 pixels (16 clips of 8), forward and backward, in
single precision and under bfloat16 autocast, in torch's default layout and in channels-last. The weights are the same,
and each round times all in turn.
"""

from __future__ import annotations

from contextlib import nullcontext
from copy import deepcopy
from functools import partial

import torch
from shared_benchmark import compare, finish, machine, parse
from torch import nn

from pyrodis.nn import ConvDecoder, ConvEncoder

BASE = "float32, default layout"


def make_networks(channels: int) -> nn.Sequential:
    torch.manual_seed(0)
    encoder, decoder = ConvEncoder(base_channels=channels), ConvDecoder(8, base_channels=channels)
    # the layer of torch, which computes in the layout of its input; that of the decoder has one of its own
    last = nn.ConvTranspose2d(channels, 3, 4, stride=2, padding=1)
    return nn.Sequential(encoder.convolutions, *decoder.convolutions[:-1], last)


def step(networks: nn.Module, x: torch.Tensor, half: bool) -> None:
    networks.zero_grad()
    with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
        output = networks(x)
    output.float().square().mean().backward()


def main() -> None:
    options = parse(__doc__, 15)
    channels, num_frames = (4, 4) if options.smoke_test else (32, 128)
    plain = make_networks(channels)
    last = deepcopy(plain).to(memory_format=torch.channels_last)
    x = torch.rand(num_frames, 3, 64, 64)
    x_last = x.contiguous(memory_format=torch.channels_last)
    ways = {
        BASE: partial(step, plain, x, False),
        "float32, channels-last": partial(step, last, x_last, False),
        "bfloat16, default layout": partial(step, plain, x, True),
        "bfloat16, channels-last": partial(step, last, x_last, True),
    }
    result = {
        "machine": machine(),
        "columns": ["networks", "format and layout", BASE],
        "size": {"frames": num_frames, "base_channels": channels, "rounds": options.rounds},
        "groups": {f"{channels} base channels": compare(ways, BASE, options.rounds, "precision")},
    }
    finish(result, options.output)


if __name__ == "__main__":
    main()
