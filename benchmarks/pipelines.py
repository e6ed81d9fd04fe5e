"""Seconds for making a batch of clips, as a share of a training step on it, for every kind of data.

    python benchmarks/pipelines.py [--output docs/results/pipelines.json]

A batch of 32 clips of the data's own length and size, made in the training process, against a step of a DSVAE on it: 24
base channels, bfloat16, channels-last, fused Adam; frames whose side is no power of two go through `StridedEncoder`.
The videos of `VideoFolder` are 40 arrays of 60 frames of 96 x 96 pixels, decoded and resized when first asked for;
timed is what comes after, as of what `KeptClips` keeps. Sprites are left out where their sheets are not found. Each
round times data and step in turn.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import torch
from shared_benchmark import finish, interleave, machine, parse, summary

from pyrodis import NamedELBO
from pyrodis.datasets import CircleOnGaussian, KeptClips, MovingDigits, ProceduralSprites, Scenes, Sprites, VideoFolder
from pyrodis.guides import FactorizedGuide
from pyrodis.infer.data import stack_frames
from pyrodis.models import DSVAE, LSTMPrior, NormalPixels
from pyrodis.nn import ConvDecoder, ConvEncoder, StridedDecoder, StridedEncoder

STEP, DATA = "training step", "data"


def make_videos(folder: Path, num_videos: int) -> VideoFolder:
    generator = np.random.default_rng(0)
    for number in range(num_videos):
        np.save(folder / f"{number}.npy", generator.integers(0, 256, size=(60, 96, 96, 3), dtype=np.uint8))
    return VideoFolder(folder, cache=folder / "cache")


def make_step(frame_shape: tuple[int, int, int], channels: int) -> Callable[[torch.Tensor], None]:
    side = frame_shape[1]
    if side & (side - 1) == 0:
        encoder: Any = ConvEncoder(frame_shape, base_channels=channels)
        decoder: Any = ConvDecoder(48, frame_shape, base_channels=channels)
    else:
        encoder, decoder = StridedEncoder(frame_shape), StridedDecoder(48, frame_shape)
    model = DSVAE(decoder, LSTMPrior(32), NormalPixels(), 16, 32)
    guide = FactorizedGuide(encoder, 16, 32)
    both = torch.nn.ModuleList([model, guide]).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam([p for p in both.parameters() if p.requires_grad], fused=True)

    def step(x: torch.Tensor) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = NamedELBO().terms(model, guide, x).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def make_batch(data: Any, generator: np.random.Generator, size: int) -> torch.Tensor:
    indices = generator.integers(len(data), size=size).tolist()
    items = data.__getitems__(indices) if hasattr(data, "__getitems__") else [data[i] for i in indices]
    return stack_frames(items)


def measure(name: str, data: Any, num_rounds: int, batch: int, channels: int) -> dict[str, dict[str, float]]:
    make = partial(make_batch, data, np.random.default_rng(0), batch)
    if isinstance(data, KeptClips):
        data.__getitems__(list(range(len(data))))  # drawn once
    x = make()
    step = make_step(tuple(x.shape[2:]), channels)  # type: ignore[arg-type]
    seconds = interleave({DATA: make, STEP: partial(step, x)}, num_rounds, name)
    return {DATA: summary(seconds[DATA], seconds[STEP]), STEP: summary(seconds[STEP], seconds[STEP])}


def main() -> None:
    options = parse(__doc__, 15)
    batch, channels = (2, 2) if options.smoke_test else (32, 24)
    data: dict[str, Any] = {
        "ProceduralSprites": ProceduralSprites(),
        "MovingDigits": MovingDigits(),
        "CircleOnGaussian": CircleOnGaussian(),
        "CircleOnGaussian, kept": KeptClips(CircleOnGaussian(num_sequences=1000)),
        "Scenes": Scenes(),
        "Scenes, kept": KeptClips(Scenes(num_images=1000)),
    }
    try:
        data = {"Sprites": Sprites(split="fit")} | data
    except FileNotFoundError:
        print("Sprites are left out: their sheets are not here")
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder, pyro.validation_enabled(False):
        videos = make_videos(Path(folder), 3 if options.smoke_test else 40)
        for index in range(len(videos)):
            videos[index]  # decoded once
        groups = {
            name: measure(name, source, options.rounds, batch, channels)
            for name, source in (data | {"VideoFolder": videos}).items()
        }
    result = {
        "machine": machine(),
        "columns": ["data", "what", "the step"],
        "size": {"clips": batch, "base_channels": channels, "rounds": options.rounds},
        "groups": groups,
    }
    finish(result, options.output)


if __name__ == "__main__":
    main()
