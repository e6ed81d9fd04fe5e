"""Seconds for networks of frames in evaluation, on all frames at once and in parts that stay in the cache.

    python benchmarks/parts.py [--output docs/results/parts.json]

640 frames of 64 x 64 pixels (32 clips of 20), in single precision, channels last, without gradients: convolutions of
the default presets on what and where, its judge, and Sprites, which `pyrodis.ops.in_parts` calls on 64 frames at a
time. The values are the same; each round times both.
"""

from __future__ import annotations

import torch
from shared_benchmark import compare, finish, machine, parse
from torch import nn

from pyrodis.infer import DigitJudge
from pyrodis.nn import ConvDecoder, ConvEncoder, PooledEncoder, UpsampleDecoder
from pyrodis.ops import channels_last, in_parts

BASE = "all at once"


def make_networks(small: bool) -> dict[str, tuple[nn.Module, int]]:
    """Name to convolutions, and the channels of their input; those of a decoder take the maps of its first layer."""
    torch.manual_seed(0)
    widths, width = ((2, 4, 4), 2) if small else ((8, 16, 16), 24)
    return {
        "PooledEncoder": (PooledEncoder((1, 64, 64), widths).blocks, 1),
        "UpsampleDecoder": (UpsampleDecoder(80, (1, 64, 64), widths[::-1]).blocks, widths[-1]),
        "DigitJudge, digits": (DigitJudge(base_channels=2 if small else 16).trunk, 1),
        "DigitJudge, centers": (DigitJudge(base_channels=2 if small else 16).position, 1),
        "ConvEncoder": (ConvEncoder(base_channels=width).convolutions, 3),
        "ConvDecoder": (ConvDecoder(48, base_channels=width).convolutions, 8 * width),
    }


@torch.no_grad()
def main() -> None:
    options = parse(__doc__, 15)
    num_frames, groups = 70 if options.smoke_test else 640, {}
    sides = {"UpsampleDecoder": 8, "ConvDecoder": 4}
    for name, (network, channels) in make_networks(options.smoke_test).items():
        side, network = sides.get(name, 64), channels_last(network.eval())
        frames = torch.rand(num_frames, channels, side, side).contiguous(memory_format=torch.channels_last)

        def whole(network: nn.Module = network, frames: torch.Tensor = frames) -> torch.Tensor:
            return network(frames.clone())  # some networks work in place

        def parts(network: nn.Module = network, frames: torch.Tensor = frames) -> torch.Tensor:
            return in_parts(network, frames.clone())

        torch.testing.assert_close(whole(), parts())
        groups[name] = compare({BASE: whole, "in parts": parts}, BASE, options.rounds, name)
    result = {
        "machine": machine(),
        "columns": ["networks", "frames", BASE],
        "size": {"frames": num_frames, "rounds": options.rounds},
        "groups": groups,
    }
    finish(result, options.output)


if __name__ == "__main__":
    main()
