"""Draws docs/_static/plots: one small picture for each function of pyrodis.plotting, for its reference page.

Run from the root of the repository: python docs/figures/plots.py [NAME ...]
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from PIL import Image

from pyrodis import plotting
from pyrodis.datasets import CircleOnGaussian, FlatScenes, ProceduralSprites
from pyrodis.guides import FullGuide, MeanFieldGuide, StructuredGuide
from pyrodis.infer.guide_scores import GuideScores
from pyrodis.metrics import Score, bimodality, mean_score, two_sided_wanted
from pyrodis.models import LinearGaussianDynamics
from pyrodis.nn import ConvEncoder

FOLDER = Path(__file__).resolve().parents[1] / "_static" / "plots"
DOTS_PER_INCH = 110
NUM_COLORS = 128
RANDOM = np.random.default_rng(0)


def sprites(num: int = 4) -> np.ndarray:
    """Clips of procedural characters, (num, 8, 3, 64, 64)."""
    data = ProceduralSprites(split="test")
    return np.stack([data[37 * i]["x"].numpy() for i in range(num)])


def circles(num: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Frames (num, 1, 32, 32) of a disc on a background, and their factors."""
    data = CircleOnGaussian(num_sequences=num)
    items = [data[i] for i in range(num)]
    return np.stack([item["x"][0].numpy() for item in items]), RANDOM.random((num, 2))


def blurred(x: np.ndarray, num: int = 5) -> np.ndarray:
    """What a mediocre decoder would make of frames."""
    for axis in (-1, -2):
        x = sum(np.roll(x, k - num // 2, axis) for k in range(num)) / num
    return x


def frame_grid() -> Any:
    x = sprites(2)
    rows = np.stack([x, blurred(x)], 1).reshape(4, *x.shape[1:])
    return plotting.frame_grid(rows, ("real", "decoded") * 2, rows_per_group=2)


def swap_grid() -> Any:
    data = ProceduralSprites(split="test")
    a, b, ab, ba = (data[i]["x"].numpy()[None] for i in (0, 13, 4, 9))
    return plotting.swap_grid(a, b, ab, ba)


def traversal() -> np.ndarray:
    """What traverse returns of a disc that one dimension moves across and another down, (2, 7, 1, 1, 1, 32, 32)."""
    row, column = np.mgrid[:32, :32]
    places = np.linspace(8, 24, 7)
    across = [(row - 16) ** 2 + (column - p) ** 2 < 30 for p in places]
    down = [(row - p) ** 2 + (column - 16) ** 2 < 30 for p in places]
    return np.array([across, down], dtype=float)[:, :, None, None, None]


def traversal_grid() -> Any:
    return plotting.traversal_grid(traversal(), values=np.linspace(-3, 3, 7))


def mask_panel() -> Any:
    data = FlatScenes(num_images=5, with_masks=True)
    items = [data[i] for i in range(5)]
    images = np.stack([item["x"][0].numpy() for item in items])
    whole = np.stack([item["masks"][0].numpy().astype(float) for item in items])
    masks = np.concatenate([whole[:, :1], whole[:, 1:2], whole[:, 2:].sum(1, keepdims=True)], 1)
    parts = np.clip(masks[:, :, None] * images[:, None] + (1 - masks[:, :, None]) * 0.5, 0, 1)
    return plotting.mask_panel(images, masks, parts, (masks[:, :, None] * parts).sum(1), scale=1)


def worst_and_best() -> Any:
    x, _ = circles(60)
    made = blurred(x)
    return plotting.worst_and_best(x, made, ((x - made) ** 2).mean((1, 2, 3)), num=5)


def training_curves() -> Any:
    epochs = np.arange(1, 31)
    falls = {"total": (900, 400), "nll": (880, 300), "kl_f": (5, 60), "kl_z": (15, 40)}
    history: dict[str, Any] = {"epoch": epochs}
    for name, (start, end) in falls.items():
        for part, excess in (("train", 0.0), ("validation", 0.03)):
            path = end + (start - end) * np.exp(-epochs / 6) + excess * end
            history[f"{part}_{name}"] = path * (1 + 0.01 * RANDOM.normal(size=30))
    return plotting.training_curves(history)


def factorization_graph() -> Any:
    from matplotlib import pyplot

    guides = {
        "full": FullGuide(ConvEncoder(), 16, 8),
        "structured": StructuredGuide(ConvEncoder(), 8, static_dim=16),
        "mean field": MeanFieldGuide(ConvEncoder(), 8),
    }
    axes = pyplot.subplots(1, 3, figsize=(9.6, 3.0), layout="constrained")[1]
    for ax, (name, guide) in zip(axes, guides.items(), strict=True):
        plotting.factorization_graph(guide.factorization(3), ax=ax)
        ax.set_title(name, fontsize=10)
    return axes


def linear() -> tuple[LinearGaussianDynamics, dict[str, torch.Tensor]]:
    """A model with a known posterior, and one clip of twelve frames that it drew."""
    torch.manual_seed(0)
    turn = torch.tensor([[0.9, -0.35], [0.35, 0.9]], dtype=torch.float64)
    model = LinearGaussianDynamics(turn, torch.eye(2).double(), scale=0.8, num_frames=12)
    with torch.no_grad():
        return model, model(batch_size=1)


def posterior_over_time() -> Any:
    model, drawn = linear()
    shown = torch.ones(12, dtype=torch.bool)
    shown[4:8] = False
    draws = model.exact_posterior(drawn["x"], shown).sample([1000])[:, 0]
    return plotting.posterior_over_time(draws, num_paths=6, truth=drawn["z"][0], shown=shown)


def time_covariance() -> Any:
    model, drawn = linear()
    exact = model.exact_posterior(drawn["x"]).covariance_matrix[0][::2, ::2]
    near = (torch.arange(12)[:, None] - torch.arange(12)).abs() < 1
    return plotting.time_covariance({"exact": exact, "mean field": exact * near})


def latent_kl_map() -> Any:
    kl = RANDOM.gamma(1.0, 0.6, size=(8, 10)) * (np.arange(10) < 4)
    return plotting.latent_kl_map({"f": RANDOM.gamma(2.0, 1.0, size=10) * (np.arange(10) < 6), "z": kl})


def rank_histogram() -> Any:
    truth, draws = RANDOM.normal(size=(1000, 1)), RANDOM.normal(size=(1000, 99))
    ranks = np.stack([(draws < truth).sum(1), (0.6 * draws < truth).sum(1), (draws + 0.3 < truth).sum(1)], 1)
    return plotting.rank_histogram(ranks, 99, names=("calibrated", "too narrow", "biased"))


def guide_rows() -> list[GuideScores]:
    """Scores of three made-up guides."""
    rows = []
    for name, gap, heavy in (("full", 0.1, 0.02), ("factorized", 1.9, 0.4), ("frame-wise", 2.7, 0.7)):
        elbo = 10 - gap + RANDOM.normal(size=200)
        bounds = {"elbo": elbo, "iwae": elbo + 0.8 * gap, "gap": 0.8 * gap + 0.3 * RANDOM.normal(size=200)}
        scores = [mean_score(bounds[key]) for key in ("elbo", "iwae", "gap", "gap")]
        rows.append(GuideScores(name, *scores, {}, 50, {}, mean_score(RANDOM.random(200) < heavy)))
    return rows


def guide_comparison() -> Any:
    return plotting.guide_comparison(guide_rows(), evidence=10.0)


def two_sided_bars() -> Any:
    wanted = two_sided_wanted(("action", "skin", "hair"))
    chance = {"action": 1 / 9, "skin": 1 / 6, "hair": 1 / 6, "attributes": 1 / 6}
    scores = {}
    for name, aim in wanted.items():
        floor = chance[name.split("/")[1]]
        value = floor + 0.02 if aim == "chance" else 0.97 - 0.1 * RANDOM.random()
        scores[name] = Score(value, value - 0.02, value + 0.02, floor, 1.0, num=300)
    return plotting.two_sided_bars(scores, wanted)


def correlation_matrix() -> Any:
    z = RANDOM.normal(size=(300, 4))
    factors = np.stack([z[:, 0], z[:, 1] + 0.4 * z[:, 2], z[:, 3] - z[:, 2]], 1)
    names = ("circle x", "circle y", "size")
    return plotting.correlation_matrix(np.corrcoef(z.T, factors.T)[:4, 4:], column_names=names)


def eigenvalue_histogram() -> Any:
    learned = {
        "circle": 1 - np.exp(-RANDOM.normal(3.6, 0.2, 40)),
        "background": 1 - np.exp(-RANDOM.normal(7.5, 0.4, 40)),
    }
    control = 1 - np.exp(-RANDOM.normal(2.0, 0.3, 80))
    fits = (bimodality(np.concatenate([*learned.values()])), bimodality(control))
    return plotting.eigenvalue_histogram(learned, control, {"circle": 0.97, "background": 1.0}, fits)


def factor_sweep() -> Any:
    factor = np.linspace(0, 1, 40)
    codes = np.stack([3 * factor - 1.5, np.sin(6 * factor), 0.1 * factor], 1)
    return plotting.factor_sweep(factor, codes)


def sweep_curve() -> Any:
    gamma = np.linspace(0, 1, 6)
    error, lag = 0.02 + 0.2 * gamma**2, 0.15 * gamma
    ax = plotting.sweep_curve(gamma, error, 0.9 * error, 1.1 * error, "error")
    return plotting.sweep_curve(gamma, lag, 0.8 * lag, 1.2 * lag, "lag", ax)


def sweep_map() -> Any:
    values = np.outer([1, 2, 4, 9], [0.02, 0.03, 0.05, 0.02])
    return plotting.sweep_map(values, [0.01, 0.1, 1.0, 10.0], [0.0, 0.01, 1.0, 100.0])


def position_map() -> Any:
    places = RANDOM.random((4000, 2))
    far = np.hypot(*(places - 0.5).T)
    return plotting.position_map(places, {"inside": 0.02 + 0.1 * far**2, "edge": 0.1 + 0.3 * far}, num_bins=12)


def error_by_distance() -> Any:
    distance = RANDOM.random(4000)
    errors = {"inside": 0.05 + 0.1 * distance + 0.05 * RANDOM.random(4000), "edge": 0.3 - 0.2 * distance}
    return plotting.error_by_distance(distance, errors)


def gifs() -> dict[str, Callable[[], Path]]:
    """The functions whose picture moves."""
    film = plotting.traversal_film(traversal())
    return {
        "save_gif": lambda: plotting.save_gif(FOLDER / "save_gif.gif", sprites(4), scale=1, columns=4),
        "traversal_film": lambda: plotting.save_gif(FOLDER / "traversal_film.gif", film, scale=3, columns=2),
    }


STILLS = (
    correlation_matrix,
    eigenvalue_histogram,
    error_by_distance,
    factor_sweep,
    factorization_graph,
    frame_grid,
    guide_comparison,
    latent_kl_map,
    mask_panel,
    position_map,
    posterior_over_time,
    rank_histogram,
    swap_grid,
    sweep_curve,
    sweep_map,
    time_covariance,
    training_curves,
    traversal_grid,
    two_sided_bars,
    worst_and_best,
)


def save(name: str, axes: Any) -> Path:
    """Write the figure of some axes in few colors, and close it."""
    from matplotlib import pyplot

    figure = axes.figure if hasattr(axes, "figure") else np.asarray(axes).flat[0].figure
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=DOTS_PER_INCH, bbox_inches="tight", facecolor="white")
    pyplot.close(figure)
    path = FOLDER / f"{name}.png"
    Image.open(buffer).convert("RGB").quantize(NUM_COLORS).save(path, optimize=True)
    return path


def main() -> None:
    mpl.use("Agg")
    FOLDER.mkdir(parents=True, exist_ok=True)
    drawn = {draw.__name__: lambda draw=draw: save(draw.__name__, draw()) for draw in STILLS} | gifs()
    for name in sys.argv[1:] or drawn:
        path = drawn[name]()
        print(f"wrote {path} ({path.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
