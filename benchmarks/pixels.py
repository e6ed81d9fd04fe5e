"""Seconds for the two ends of a decoder in training: its last layer, and the density of its pixels.

    python benchmarks/pixels.py [--output docs/results/pixels.json]

256 frames (32 clips of 8) of 64 x 64 pixels, the value and all gradients. The last layer makes pixels of 24 channels;
torch's own is `ConvTranspose2d`, ours the same function as one 2 x 2 convolution. The density is of normal pixels of
one scale, once a clip: pyro's is `Normal(loc, scale).to_event(4)`. Each round times both.
"""

from __future__ import annotations

from collections.abc import Callable

import pyro.distributions
import torch
from shared_benchmark import compare, finish, machine, parse
from torch import nn

from pyrodis.models.likelihoods import SharedScaleNormal
from pyrodis.nn._to_pixels import ToPixels
from pyrodis.ops import channels_last, keep_freed_memory

Way = Callable[[], list[torch.Tensor]]


def layer_ways(num_frames: int, channels: int, half: bool) -> dict[str, Way]:
    """The last layer of torch and ours, with the same weights."""
    torch.manual_seed(0)
    ours = channels_last(ToPixels(24, channels))
    theirs = channels_last(nn.ConvTranspose2d(24, channels, 4, stride=2, padding=1))
    theirs.load_state_dict(ours.state_dict())
    dtype = torch.bfloat16 if half else torch.float32
    maps = torch.randn(num_frames, 24, 32, 32).to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()

    def way(layer: nn.Module) -> Way:
        def run() -> list[torch.Tensor]:
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                pixels: torch.Tensor = layer(maps)
            return [pixels, *torch.autograd.grad(pixels, [maps, *layer.parameters()], torch.ones_like(pixels))]

        return run

    return {"torch or pyro": way(theirs), "pyrodis": way(ours)}


def density_ways(num_frames: int) -> dict[str, Way]:
    """The density of clips, by pyro's distribution and ours."""
    torch.manual_seed(0)
    shape = (num_frames // 8, 8, 3, 64, 64)
    loc, x, scale = torch.rand(shape).requires_grad_(), torch.rand(shape), torch.tensor(0.1)

    def way(fn: Callable[..., torch.distributions.Distribution]) -> Way:
        def run() -> list[torch.Tensor]:
            density = fn(loc, scale, validate_args=False).to_event(4).log_prob(x)
            return [density, *torch.autograd.grad(density.sum(), loc)]

        return run

    return {"torch or pyro": way(pyro.distributions.Normal), "pyrodis": way(SharedScaleNormal)}


def main() -> None:
    options = parse(__doc__, 15)
    keep_freed_memory()  # as in training
    num_frames = 8 if options.smoke_test else 256
    groups = {
        "last layer, 3 channels, bfloat16": layer_ways(num_frames, 3, True),
        "last layer, 1 channel, bfloat16": layer_ways(num_frames, 1, True),
        "last layer, 3 channels, single precision": layer_ways(num_frames, 3, False),
        "density of a clip": density_ways(num_frames),
    }
    for name, ways in groups.items():
        tolerance = {"rtol": 0.05, "atol": 0.05} if "bfloat16" in name else {"rtol": 1e-3, "atol": 1e-3}
        torch.testing.assert_close(*(way() for way in ways.values()), **tolerance)
    result = {
        "machine": machine(),
        "columns": ["part of a decoder", "by", "torch or pyro"],
        "size": {"frames": num_frames, "rounds": options.rounds},
        "groups": {name: compare(ways, "torch or pyro", options.rounds, name) for name, ways in groups.items()},
    }
    finish(result, options.output)


if __name__ == "__main__":
    main()
