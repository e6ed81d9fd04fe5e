"""Figures of a run: reconstructions, exchanges, draws and curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pyrodis.cli.scoring import STATIC_SITES
from pyrodis.infer.history import History
from pyrodis.infer.queries import decode, encode, sample_prior, swap

_SCALE = 2  # dots per pixel
_FPS = 8


def moving_sites(guide: nn.Module, x: Tensor) -> list[str]:
    """Return the sites of the codes that move.

    Args:
        guide: An inference program.
        x: A clip.

    Returns:
        Names of the sites.

    Raises:
        ValueError: If the guide has no static code besides.

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> moving_sites(tiny_dsvae()[1], torch.zeros(1, 5, 1, 8, 8))
        ['z']
    """
    sites = list(encode(guide, x))
    moving = [site for site in sites if site not in STATIC_SITES]
    if len(moving) in (0, len(sites)):
        raise ValueError(f"an exchange needs a static code (f or what) and a moving one, got the sites {sites}")
    return moving


def draw_reconstructions(folder: Path, model: nn.Module, guide: nn.Module, x: Tensor) -> None:
    """Draw clips above their reconstructions, as reconstruction.png.

    Args:
        folder: Where to write.
        model: A generative program.
        guide: An inference program over the same sites.
        x: Clips (B, T, C, H, W).

    Example:
        >>> draw_reconstructions(folder, model, guide, x)  # doctest: +SKIP
    """
    decoded = decode(model, encode(guide, x))
    beside = torch.stack([x, decoded], dim=1).flatten(0, 1)
    _save_grid(folder / "reconstruction.png", beside, ["real", "reconstruction"] * len(x), 2)


def draw_exchange(path: Path, model: nn.Module, guide: nn.Module, x_a: Tensor, x_b: Tensor) -> list[Path]:
    """Draw pairs of clips beside the same with their moving codes exchanged, as a sheet and as a GIF.

    Args:
        path: Where to write, without suffix.
        model: A generative program.
        guide: An inference program over the same sites.
        x_a: First clip of each pair (B, T, C, H, W).
        x_b: Second clip of each pair.

    Returns:
        The two files.

    Raises:
        ValueError: If the guide has no static code, or none that moves.

    Example:
        >>> draw_exchange(Path("swap"), model, guide, x[:3], x[3:])  # doctest: +SKIP
    """
    from pyrodis.plotting import save_gif, swap_grid

    take = moving_sites(guide, x_a[:1])
    exchanged = swap(model, guide, x_a, x_b, take=take), swap(model, guide, x_b, x_a, take=take)
    _close(swap_grid(x_a, x_b, *exchanged, scale=_SCALE), sheet := path.with_name(f"{path.name}.png"))
    tiles = torch.stack([x_a, x_b, *exchanged], dim=1)[:3].flatten(0, 1)
    labels = ["a", "b", "a moves as b", "b moves as a"] * (len(tiles) // 4)
    film = save_gif(path.with_name(f"{path.name}.gif"), tiles, _FPS, _SCALE, columns=4, labels=labels)
    return [sheet, film]


def draw_samples(path: Path, model: nn.Module, num: int) -> list[Path]:
    """Draw clips out of nothing, as a sheet and as a GIF.

    Args:
        path: Where to write, without suffix.
        model: A generative program.
        num: How many.

    Returns:
        The two files.

    Example:
        >>> draw_samples(Path("samples"), model, 8)  # doctest: +SKIP
    """
    from pyrodis.plotting import save_gif

    frames = decode(model, sample_prior(model, num))
    frames = frames.unsqueeze(1) if frames.ndim == 4 else frames  # images are clips of one frame
    _save_grid(sheet := path.with_name(f"{path.name}.png"), frames, None, None)
    film = save_gif(path.with_name(f"{path.name}.gif"), frames, _FPS, _SCALE, columns=min(num, 4))
    return [sheet, film]


def draw_training(folder: Path, history: History) -> None:
    """Draw the terms of the loss over the epochs, as training.png.

    Args:
        folder: Where to write.
        history: The history.

    Example:
        >>> draw_training(folder, history)  # doctest: +SKIP
    """
    from pyrodis.plotting import training_curves

    _close(training_curves({name: history.column(name) for name in history.rows[0]}), folder / "training.png")


def _save_grid(path: Path, frames: Tensor, labels: list[str] | None, rows_per_group: int | None) -> None:
    from pyrodis.plotting import frame_grid

    _close(frame_grid(frames, labels, rows_per_group=rows_per_group, scale=_SCALE), path)


def _close(axes: Any, path: Path) -> None:
    from matplotlib import pyplot

    figure = axes.figure if hasattr(axes, "figure") else axes.flat[0].figure
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, bbox_inches="tight")
    pyplot.close(figure)
