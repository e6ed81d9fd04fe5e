"""What the scripts on the circle before a Gaussian background share: networks, codes, scores and figures."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import pyrodis
from pyrodis import metrics
from pyrodis.datasets import (
    CircleOnGaussian,
    KeptClips,
    LinearMotion,
    circle_masks,
    published_circle_masks,
    render_circle,
)
from pyrodis.infer import first_process
from pyrodis.metrics import Score
from pyrodis.nn import BroadcastDecoder, ConvDecoder, ConvEncoder

GROUPS = {"object": (0, 1), "background": (2, 3)}
CHUNK = 100  # clips that are encoded and decoded at once
MOST_KEPT = 50_000  # clips, half a gigabyte of ten frames


class PublishedEncoder(nn.Module):
    """The document's encoder: four 3 x 3 convolutions of stride 2 with ReLU; the guide adds the linear layer.

    Args:
        frame_shape: (C, H, W) with H = W a multiple of 16.
        channels: Channels of the first two convolutions; the other two have twice as many.
    """

    def __init__(self, frame_shape: tuple[int, int, int], channels: int = 32) -> None:
        super().__init__()
        self.frame_shape = frame_shape
        self.channels = channels
        self.feature_dim = 2 * channels * (frame_shape[1] // 16) ** 2
        sizes = [frame_shape[0], channels, channels, 2 * channels, 2 * channels]
        layers = [(nn.Conv2d(i, o, 3, stride=2, padding=1), nn.ReLU()) for i, o in zip(sizes, sizes[1:], strict=False)]
        self.convolutions = nn.Sequential(*(part for pair in layers for part in pair))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        features = self.convolutions(frames.flatten(0, -4)).flatten(1)
        return features.float().reshape(*frames.shape[:-3], -1)


class PublishedDecoder(nn.Module):
    """The document's decoder: a linear layer, then the mirror of `PublishedEncoder` with ELU.

    Args:
        code_dim: Size of the code.
        frame_shape: (C, H, W) with H = W a multiple of 16.
        channels: Channels of the last two hidden layers; the others have twice as many.
    """

    def __init__(self, code_dim: int, frame_shape: tuple[int, int, int], channels: int = 32) -> None:
        super().__init__()
        self.code_dim = code_dim
        self.frame_shape = frame_shape
        self.channels = channels
        self.side = frame_shape[1] // 16
        sizes = [2 * channels, 2 * channels, channels, channels, frame_shape[0]]
        self.linear = nn.Linear(code_dim, sizes[0] * self.side**2)
        layers: list[nn.Module] = []
        for i, o in zip(sizes, sizes[1:], strict=False):
            layers += [nn.ConvTranspose2d(i, o, 3, stride=2, padding=1, output_padding=1), nn.ELU()]
        self.convolutions = nn.Sequential(*layers[:-1])

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        hidden = self.linear(codes.flatten(0, -2)).unflatten(1, (-1, self.side, self.side))
        return self.convolutions(hidden).float().reshape(*codes.shape[:-1], *self.frame_shape)


def make_networks(name: str, code_dim: int, channels: int, frame_shape: tuple[int, int, int]) -> tuple[Any, Any]:
    """Encoder and decoder: "broadcast", the default; "conv"; or "published", the document's own."""
    if name == "published":
        return PublishedEncoder(frame_shape, channels), PublishedDecoder(code_dim, frame_shape, channels)
    encoder = ConvEncoder(frame_shape, 8 * channels, channels)
    if name == "conv":
        return encoder, ConvDecoder(code_dim, frame_shape, channels)
    return encoder, BroadcastDecoder(code_dim, frame_shape, 2 * channels, 3, frame_shape[1] // 2)


def load_circles(moving: bool, num_train: int, smoke_test: bool) -> dict[str, Any]:
    """Train, validation and test clips of the published task: moving in 10 frames, or resting in one."""
    motion, num_frames = (LinearMotion(), 10) if moving else (None, 1)
    sizes = {"train": 24, "validation": 12, "test": 40} if smoke_test else {"train": num_train}
    sizes = {"validation": 500, "test": 1000 if moving else 4000} | sizes
    return {
        split: KeptClips(data) if len(data) <= MOST_KEPT else data
        for split, size in sizes.items()
        for data in [CircleOnGaussian(split=split, num_sequences=size, num_frames=num_frames, motion=motion)]
    }


def encode_all(guide: nn.Module, data: Any) -> tuple[np.ndarray, np.ndarray]:
    """Posterior means of z (N, T, D) and true factors (N, T, F)."""
    means, factors = [], []
    for start in range(0, len(data), CHUNK):
        items = data.__getitems__([*range(start, min(start + CHUNK, len(data)))])
        means.append(pyrodis.encode(guide, torch.stack([item["x"] for item in items]))["z"])
        factors.append(torch.stack([item["factors"] for item in items]))
    return torch.cat(means).numpy(), torch.cat(factors).numpy()


def still_frames(positions: torch.Tensor) -> torch.Tensor:
    """Frames (..., 1, H, W) of circle and background at positions (..., 4)."""
    return render_circle(positions[..., :2], positions[..., 2:])


def reconstruct_stills(model: nn.Module, guide: nn.Module, frames: torch.Tensor, num_frames: int) -> torch.Tensor:
    """Reconstructions of frames that stand still: each is shown as a clip, of which the middle frame is taken."""
    parts = []
    for part in frames.split(CHUNK):
        clips = part.unsqueeze(1).expand(-1, num_frames, -1, -1, -1)
        parts.append(pyrodis.reconstruct(model, guide, clips)[:, num_frames // 2])
    return torch.cat(parts)


def encode_stills(guide: nn.Module, frames: torch.Tensor, num_frames: int) -> torch.Tensor:
    """Posterior means (N, D) of frames that stand still."""
    clips = frames.unsqueeze(1).expand(-1, num_frames, -1, -1, -1)
    return torch.cat([pyrodis.encode(guide, part)["z"][:, num_frames // 2] for part in clips.split(CHUNK)])


def code_scores(means: np.ndarray, factors: np.ndarray, names: tuple[str, ...]) -> dict[str, Score]:
    """Disentanglement of codes, and how many of them live."""
    rows = means.reshape(-1, means.shape[-1])
    live = metrics.active_units(rows)
    scores = {"active_units": number(live, len(means), ceiling=means.shape[-1])}
    # A dead latent still moves a little with the frame; it is to say nothing, however faithfully it does.
    means = np.where(metrics.activity(rows) > 0.01, means, 0.0)
    scores |= metrics.mig(means, factors, names)
    scores |= {f"dci/{name}": score for name, score in metrics.dci(means[:, ::3], factors[:, ::3], names).items()}
    scores |= {f"r2/{name}": score for name, score in metrics.factor_r2(means[:, ::3], factors[:, ::3], names).items()}
    if live > 1:
        scores["squared_cross_correlation"] = metrics.squared_cross_correlation(means)
    return scores


def group_scores(means: np.ndarray, factors: np.ndarray) -> dict[str, Score]:
    """How much of every latent object and background explain, and how far apart that keeps the two.

    1 where every latent is explained by one of the two alone, 0 where by both alike: the disentanglement of DCI with
    the two groups in place of factors, and explained variances in place of importances.
    """
    shares = metrics.explained_by_groups(means, factors, GROUPS)
    scores = {
        f"explained/z{i}/{group}": number(value, len(means), 1.0)
        for group, column in shares.items()
        for i, value in enumerate(column)
    }
    positive = np.stack([*shares.values()]).clip(1e-12)
    part = positive / positive.sum(0)
    apart = 1 + (part * np.log2(part)).sum(0)
    weights = positive.sum(0) * (np.var(means.reshape(-1, means.shape[-1]), axis=0) > 0.01)
    value = (weights * apart).sum() / weights.sum() if weights.sum() > 0 else 0.0
    return scores | {"group_separation": number(value, len(means), 1.0)}


def position_grid(num: int = 8) -> torch.Tensor:
    """All combinations of `num` values of each of the four positions, as the published error analysis takes them."""
    return torch.cartesian_prod(*[torch.linspace(0, 1, num)] * 4)


def region_scores(frames: torch.Tensor, reconstructions: torch.Tensor, positions: torch.Tensor) -> dict[str, Score]:
    """Squared error a pixel inside, on the edge and outside of the circle, by our masks and by the published ones.

    An item is a frame, with positions (N, 4), or a clip, with positions (N, T, 4).
    """
    regions, scores = ("inside", "edge", "background"), {}
    errors = metrics.region_errors(frames, reconstructions, circle_masks(positions[..., :2]))
    scores |= {f"mse/{region}": errors[region] for region in regions}
    masks = published_circle_masks(positions[..., :2])
    masks = torch.cat([masks, ~masks.any(-3, keepdim=True)], dim=-3)  # a margin belongs to none of the three
    errors = metrics.region_errors(frames, reconstructions, masks, (*regions, "margin"))
    return scores | {f"published_mse/{region}": errors[region] for region in regions}


def number(value: float, num: int, ceiling: float | None = None) -> Score:
    """A number of one run, which has no interval of its own."""
    return Score(float(value), float(value), float(value), None, ceiling, num)


def write_scores(run: Path, scores: Mapping[str, Score]) -> None:
    (run / "metrics.json").write_text(json.dumps({name: score.as_dict() for name, score in scores.items()}, indent=1))


def read_scores(run: Path) -> dict[str, Score]:
    """What `write_scores` wrote; empty where it has not."""
    file = run / "metrics.json"
    return {name: Score(**score) for name, score in json.loads(file.read_text()).items()} if file.exists() else {}


def check_free(runs: Sequence[Path], options: argparse.Namespace) -> None:
    """Refuse a sweep at its start, not in its middle, if a directory that it needs holds a run."""
    if not first_process():
        return  # the first may have begun to write
    taken = [run for run in runs if (run / "config.json").exists()]
    if taken and not (options.resume or options.overwrite):
        raise FileExistsError(f"{taken[0]} already holds a run; --resume goes on with it, --overwrite starts again")


def say_hours(model: nn.Module, guide: nn.Module, data: Any, options: argparse.Namespace, num_runs: int) -> None:
    """Time one step and print what all runs would take on this CPU."""
    clips = torch.stack([item["x"] for item in data.__getitems__([*range(4)])])
    start = time.perf_counter()
    pyrodis.NamedELBO()(model, guide)(clips).backward()
    seconds = (time.perf_counter() - start) / len(clips) * len(data) * options.num_epochs * num_runs
    for parameter in (*model.parameters(), *guide.parameters()):
        parameter.grad = None
    print(f"on this CPU {num_runs} x {options.num_epochs} epochs take about {seconds / 3600:.0f} hours, by one step")


def save(folder: Path, name: str, axes: Any) -> None:
    """Write the figure of some axes, and close it."""
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    figure = axes.figure if hasattr(axes, "figure") else np.asarray(axes).flat[0].figure
    figure.savefig(folder / f"{name}.png", dpi=100, bbox_inches="tight")
    pyplot.close(figure)


def draw_codes(folder: Path, model: nn.Module, guide: nn.Module, data: Any, means: np.ndarray, factors: Any) -> None:
    """Sweeps of factors into latents, traversals of latents into frames, and both correlation matrices."""
    from pyrodis import plotting

    num_dims, num_frames = means.shape[-1], means.shape[1]
    latents = [f"z{i}" for i in range(num_dims)]
    values = torch.linspace(0, 1, 21)
    sweeps = {}
    for i, name in enumerate(data.factor_names):
        positions = torch.full((len(values), 4), 0.5)
        positions[:, i] = values
        sweeps[name] = encode_stills(guide, still_frames(positions), num_frames).numpy()
    save(folder, "factor_sweeps", plotting.factor_sweep(values, sweeps, latents))
    middle = still_frames(torch.tensor([[0.35, 0.35, 0.65, 0.65]])).expand(num_frames, -1, -1, -1).unsqueeze(0)
    codes = pyrodis.encode(guide, middle)
    rows = means.reshape(-1, num_dims)
    low, high = np.quantile(rows, 0.02), np.quantile(rows, 0.98)
    steps = torch.linspace(float(low), float(high), 9)
    frames = pyrodis.traverse(model, codes, values=steps)
    at = num_frames // 2
    save(folder, "traversals", plotting.traversal_grid(frames.numpy(), steps, latents, frame=at))
    film = plotting.traversal_film(frames.numpy(), frame=at)
    plotting.save_gif(folder / "traversals.gif", film, columns=num_dims, labels=latents)
    save(folder, "latent_correlation", plotting.correlation_matrix(metrics.latent_correlation(rows), latents, latents))
    matrix = metrics.latent_factor_correlation(rows, factors.reshape(-1, factors.shape[-1]))
    save(folder, "factor_correlation", plotting.correlation_matrix(matrix, latents, list(data.factor_names)))


def draw_errors(folder: Path, frames: torch.Tensor, shown: torch.Tensor, positions: torch.Tensor) -> None:
    """Where frames are reconstructed badly: maps over positions, error by distance, worst and best cases."""
    from pyrodis import plotting

    errors = metrics.region_errors_by_item(frames, shown, circle_masks(positions[:, :2]))
    names = ("inside", "edge", "background")
    by_region = {name: errors[:, i] for i, name in enumerate(names)}
    known = {name: value[~np.isnan(errors).any(1)] for name, value in by_region.items()}
    places = positions[torch.from_numpy(~np.isnan(errors).any(1))]
    num_bins = min(8, len(places[:, 0].unique()))  # a coarser grid of positions would leave cells empty
    save(folder, "error_over_circle_positions", plotting.position_map(places[:, :2], known, num_bins))
    save(folder, "error_over_background_positions", plotting.position_map(places[:, 2:], known, num_bins))
    distance = (places[:, :2] * 48 + 8 - places[:, 2:] * 64).norm(dim=-1)
    save(folder, "error_by_distance", plotting.error_by_distance(distance, known))
    total = (frames - shown).square().mean(dim=(-3, -2, -1))
    save(folder, "worst_and_best", plotting.worst_and_best(frames.numpy(), shown.numpy(), total.numpy()))
