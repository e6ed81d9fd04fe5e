"""What `pyrodis fit` trains: a DSVAE for clips of any size and color, for filmed scenes or for single figures."""

from __future__ import annotations

import copy
import math
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from pyrodis.guides import FullGuide, GridGuide, SmoothingGuide
from pyrodis.infer.elbo import NamedELBO
from pyrodis.infer.settings import FitSettings
from pyrodis.models import DSVAE, LSTMPrior, NormalPixels, StandardPrior
from pyrodis.nn import (
    ConvDecoder,
    ConvEncoder,
    Downsample,
    GridDecoder,
    GridEncoder,
    MeanReader,
    MedianFrame,
    Motion,
    PatchEncoder,
    RandomTones,
    SubsetFrames,
)
from pyrodis.ops import channels_last

_COOLDOWN_STEPS = 140  # over which f opens: z learns first
_CELL = 8  # pixels a side of a cell of a scene
_SHARE_OF_OVERHEAD = 1.2  # what an optimizer, checkpoints and validation cost over forward and backward


@dataclass(frozen=True)
class Recipe:
    """Sizes of a model and its guide, and how they are trained.

    Args:
        content: "scenes": f is the ground that rests, z what moves before it; "figures": f is the look of a figure, z
            its pose, from patches of two frames and from frames in random tones; "any": both codes see all.
        static_dim: S; in scenes, of a cell of 8 x 8 pixels.
        dynamic_dim: D; in scenes, of a cell.
        base_channels: Channels after the encoder's first convolution.
        channel_growth: Factor of the channels from layer to layer.
        feature_dim: Size of a frame's features; not of scenes.
        hidden_dim: Size of recurrent states; not of scenes.
        scale: Standard deviation of a pixel.
        batch_size: Windows a step.
        learning_rate: Highest step size of Adam.
        schedule: Of the step size.
        precision: Of the networks.
        minutes: How long to train if nothing else is said; None for `num_epochs`.
        num_epochs: Passes over the windows, where `minutes` is None.

    Example:
        >>> RECIPES["default"].minutes
        4.0
    """

    content: str = "scenes"
    static_dim: int = 16
    dynamic_dim: int = 4
    base_channels: int = 24
    channel_growth: int = 2
    feature_dim: int = 256
    hidden_dim: int = 128
    scale: float = 0.05
    batch_size: int = 32
    learning_rate: float = 3e-3
    schedule: str = "cosine"
    precision: str = "bf16-mixed"
    minutes: float | None = 4.0
    num_epochs: int = 50


RECIPES = {
    "default": Recipe(),
    "best": Recipe(base_channels=32, hidden_dim=256, minutes=120.0),
    # The sizes of the published DSVAE and its loss, a squared error; for a GPU.
    "paper": Recipe(
        content="any",
        static_dim=64,
        dynamic_dim=32,
        base_channels=256,
        channel_growth=1,
        feature_dim=1024,
        hidden_dim=256,
        scale=math.sqrt(0.5),
        batch_size=64,
        learning_rate=1e-3,
        schedule="constant",
        precision="32-true",
        minutes=None,
    ),
    "smoke": Recipe(
        base_channels=8, feature_dim=16, hidden_dim=16, batch_size=4, precision="32-true", minutes=None, num_epochs=1
    ),
}


def recipe_for(preset: str, content: str | None = None) -> Recipe:
    """Return the recipe of a preset for some kind of clips.

    Args:
        preset: "default", "best", "paper" or "smoke".
        content: "scenes", "figures", or None for what the preset is made for.

    Returns:
        The recipe.

    Raises:
        ValueError: If there is no such content, or the preset is made for other clips.

    Example:
        >>> recipe_for("default", "figures").dynamic_dim
        32
    """
    recipe = RECIPES[preset]
    if content not in (None, "scenes", "figures"):
        raise ValueError(f"content must be scenes, figures or None, got {content!r}")
    if content is None or content == recipe.content:
        return recipe
    if recipe.content == "any":
        raise ValueError(f"--content must be left out with --preset {preset}, whose codes both see all, got {content}")
    return replace(recipe, content="figures", static_dim=16, dynamic_dim=32, scale=0.1)


def make_pair(recipe: Recipe, x: Tensor, seed: int) -> tuple[nn.Module, nn.Module]:
    """Return a model and a guide for clips like these.

    Args:
        recipe: The sizes.
        x: Some clips; decodings start at their mean brightness.
        seed: Seed of the weights.

    Shape:
        x: (B, T, C, H, W), H = W a power of two of at least 16.

    Returns:
        Model and guide over the sites "f" and "z".

    Raises:
        ValueError: If the frames have another shape.

    Example:
        >>> model, guide = make_pair(RECIPES["smoke"], torch.rand(2, 3, 1, 16, 16), 0)
        >>> model.num_frames
        3
    """
    torch.manual_seed(seed)
    frame_shape, num_frames = (x.shape[2], x.shape[3], x.shape[4]), x.shape[1]
    bias = round(float(x.double().mean().clamp(0.05, 0.95).logit()), 1)
    if recipe.content == "scenes":
        return _make_scenes(recipe, frame_shape, num_frames, bias)
    dims = (recipe.static_dim, recipe.dynamic_dim)
    decoder = ConvDecoder(sum(dims), frame_shape, recipe.base_channels, recipe.channel_growth, output_bias=bias)
    sizes = (recipe.feature_dim, recipe.base_channels, recipe.channel_growth)
    if recipe.content == "any":
        model = DSVAE(decoder, StandardPrior(dims[1]), NormalPixels(recipe.scale), *dims, num_frames)
        return model, SmoothingGuide(ConvEncoder(frame_shape, *sizes), *dims, hidden_dim=recipe.hidden_dim)
    prior = LSTMPrior(dims[1], recipe.hidden_dim)
    patches = recipe.feature_dim // 2
    guide = FullGuide(
        PatchEncoder(frame_shape, patches, 32),
        *dims,
        hidden_dim=recipe.hidden_dim,
        static_view=SubsetFrames(min(2, num_frames)),
        static_reader=MeanReader(patches, recipe.hidden_dim),
        dynamic_view=nn.Sequential(RandomTones(keep_channels=False), Downsample(2, restore=False)),
        dynamic_encoder=ConvEncoder((1, frame_shape[1] // 2, frame_shape[2] // 2), *sizes),
    )
    return DSVAE(decoder, prior, NormalPixels(recipe.scale), *dims, num_frames), guide


def _make_scenes(
    recipe: Recipe, frame_shape: tuple[int, int, int], num_frames: int, bias: float
) -> tuple[DSVAE, GridGuide]:
    """A pair whose codes are laid out in cells of 8 x 8 pixels: f sees what rests, z what moves."""
    grid = frame_shape[1] // _CELL
    widths = [recipe.base_channels * recipe.channel_growth**i for i in range(3)]
    channels = (recipe.static_dim, recipe.dynamic_dim)
    encoders = [GridEncoder(frame_shape, number, grid, widths) for number in channels]
    guide = GridGuide(*encoders, static_view=MedianFrame(), dynamic_view=Motion())
    decoder = GridDecoder(sum(channels), frame_shape, grid, widths[::-1], output_bias=bias)
    prior = StandardPrior(guide.dynamic_dim)
    model = DSVAE(decoder, prior, NormalPixels(recipe.scale), guide.static_dim, guide.dynamic_dim, num_frames)
    return model, guide


def make_settings(recipe: Recipe, num_steps: int, steps_per_epoch: int, device: str, seed: int) -> FitSettings:
    """Return the settings of a training of so many steps.

    Args:
        recipe: The sizes.
        num_steps: Steps of the training.
        steps_per_epoch: Steps of one pass over the windows.
        device: "auto", "cpu" or "cuda".
        seed: Seed of batches and noise.

    Returns:
        The settings.

    Example:
        >>> make_settings(RECIPES["default"], 1000, 100, "cpu", 0).num_epochs
        10
    """
    cooldown = min(_COOLDOWN_STEPS, num_steps // 8) / steps_per_epoch
    return FitSettings(
        num_epochs=math.ceil(num_steps / steps_per_epoch),
        max_steps=num_steps,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        schedule=recipe.schedule,
        warmup_steps=min(100, num_steps // 10),
        kl_cooldown_epochs={"f": cooldown} if recipe.content == "figures" and cooldown else {},
        precision=recipe.precision,
        device=device,
        seed=seed,
    )


def steps_in(recipe: Recipe, pair: tuple[nn.Module, nn.Module], data: Any, minutes: float, device: str = "auto") -> int:
    """Return how many steps fit into a time on this machine, by three steps of a copy of the pair.

    With s seconds a step, b windows a step and d seconds to decode a clip that is met for the first time, n steps take
    at most n s + min(n b, clips) d.

    Args:
        recipe: The sizes.
        pair: Model and guide.
        data: The windows.
        minutes: The time.
        device: "auto", "cpu" or "cuda": where the training will run, and where its steps are timed.

    Returns:
        The number, at least one.

    Example:
        >>> steps_in(recipe, pair, data, 4.0)  # doctest: +SKIP
        1000
    """
    rows = [int(i) for i in torch.linspace(0, len(data) - 1, recipe.batch_size)]
    start = time.perf_counter()
    x = torch.stack([item["x"] for item in data.__getitems__(rows)])
    decode = (time.perf_counter() - start) / min(len(rows), len(data.clips))
    place = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    with torch.random.fork_rng(devices=[]):
        step = min(_time_step(pair, x, recipe.precision, place) for _ in range(3)) * _SHARE_OF_OVERHEAD
    seconds = 60 * minutes
    all_decoded = (seconds - decode * len(data.clips)) / step
    always_new = seconds / (step + decode * len(rows))
    return max(1, int(max(all_decoded, always_new)))


def _time_step(pair: tuple[nn.Module, nn.Module], x: Tensor, precision: str, device: str) -> float:
    model, guide = (channels_last(copy.deepcopy(program).to(device)) for program in pair)
    context = torch.autocast(device, dtype=torch.bfloat16) if precision == "bf16-mixed" else nullcontext()
    x = x.to(device)
    start = time.perf_counter()
    with context:
        loss = NamedELBO()(model, guide)(x)
    loss.backward()
    loss.item()  # waits for the device
    return time.perf_counter() - start
