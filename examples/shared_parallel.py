"""What the scripts of parallel VAEs share: what components make of images, scores of masks and presence, figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pyro import poutine
from scipy.optimize import linear_sum_assignment
from torch import nn

import pyrodis
from pyrodis import metrics
from pyrodis.datasets import type_masks
from pyrodis.distributions import PixelMixture
from pyrodis.infer import History, Stage, component_kl
from pyrodis.metrics import Score
from pyrodis.models import MixturePixels

CHUNK = 200  # images that are looked at at once


def read_items(data: Any) -> dict[str, torch.Tensor]:
    """All items of a data set, stacked: "x" (N, 1, C, H, W), "factors" (N, F) and, where known, "masks"."""
    items = data.__getitems__([*range(len(data))])
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}


@torch.no_grad()
def explain(model: nn.Module, guide: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """What components make of images at their posterior means.

    "masks" (N, K, H, W), "components" (N, K, C, H, W), "reconstruction" (N, 1, C, H, W), "z" (N, K, D), "kl" (N, K);
    of a mixture also "posterior" (N, K, H, W), the masks once pixels have been seen.
    """
    model.eval()
    found: dict[str, list[torch.Tensor]] = {}
    for part in x.split(CHUNK):
        codes = pyrodis.encode(guide, part)
        with poutine.condition(data=codes):
            output = model(batch_size=len(part))
        row = {name: output[name] for name in ("masks", "components", "reconstruction")}
        row |= {"z": codes["z"].transpose(0, 1), "kl": component_kl(model, guide, part)}
        if isinstance(model.likelihood, MixturePixels):
            pixels = PixelMixture(output["components"], output["confidence"], model.likelihood.scale)
            row["posterior"] = pixels.posterior(part)
        for name, value in row.items():
            found.setdefault(name, []).append(value)
    return {name: torch.cat(values) for name, values in found.items()}


def mass_on_items(found: Mapping[str, torch.Tensor], scenes: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Mask of each component summed over the pixels of each item, (N, M, K)."""
    return torch.einsum("nmhw,nkhw->nmk", scenes["masks"][:, 0, :-1].float(), found["masks"])


def match_components(found: Mapping[str, torch.Tensor], scenes: Mapping[str, torch.Tensor], num: int) -> list[int]:
    """The component of each of `num` types of items where no schedule says so: the pairing with most mask on items."""
    mass, types = mass_on_items(found, scenes), scenes["factors"][:, : scenes["masks"].shape[2] - 1]
    table = torch.stack([mass[types == number].sum(0) for number in range(num)])
    table = table / table.sum(1, keepdim=True).clamp_min(1e-12)
    return [int(k) for k in linear_sum_assignment(-table.numpy())[1]]


def mask_scores(
    found: Mapping[str, torch.Tensor],
    scenes: Mapping[str, torch.Tensor],
    num_types: int,
    names: Sequence[str],
    order: Sequence[int],
) -> dict[str, Score]:
    """Scores of masks against items, and of the KL of components against what is there.

    `names` are of the first types, of which component order[k] is to own type k; `num_types` stands for nothing.
    """
    masks = found["masks"][:, [*order]].numpy()
    items = scenes["masks"][:, 0]
    types = scenes["factors"][:, : items.shape[1] - 1]
    by_type = type_masks(items, types, num_types)[:, [*range(len(names)), num_types]].numpy()
    scores = {
        "foreground_ari": metrics.adjusted_rand_index(by_type, masks),
        "owner": metrics.owner_accuracy(items.numpy(), masks, types.numpy()),
    }
    for k, name in enumerate(names):
        scores[f"owner/{name}"] = metrics.owner_accuracy(items.numpy(), masks, types.where(types == k, -1).numpy())
    overlaps = metrics.mask_iou(by_type, masks, names)
    scores |= {f"iou/{name}": score for name, score in overlaps.items()}
    return scores | presence_scores(found, types, names, order)


def presence_scores(
    found: Mapping[str, torch.Tensor], types: torch.Tensor, names: Sequence[str], order: Sequence[int]
) -> dict[str, Score]:
    """What the KL of components says of the types (N, M) that are there; component order[k] is to own type k."""
    kl = found["kl"][:, [*order]].clamp_min(1e-6).numpy()  # ratios to a component that says nothing at all are 1
    there = present_types(types, len(names)).numpy()
    parts = {
        "presence": metrics.presence_auroc(kl, there, names),
        "dominance": metrics.dominance(kl, there, names),
    }
    return {f"{part}/{name}": score for part, by_name in parts.items() for name, score in by_name.items()}


def present_types(types: torch.Tensor, num: int) -> torch.Tensor:
    """Which of the first `num` types are among items (N, M): bool (N, num)."""
    return (types.unsqueeze(-1) == torch.arange(num)).any(1)


def squared_errors(x: torch.Tensor, shown: torch.Tensor) -> np.ndarray:
    """Squared error a pixel of each image, (N,)."""
    return (x - shown).double().square().flatten(1).mean(1).numpy()


def write_scores(run: Path, scores: Mapping[str, Score]) -> None:
    run.mkdir(parents=True, exist_ok=True)
    (run / "metrics.json").write_text(json.dumps({name: score.as_dict() for name, score in scores.items()}, indent=1))


def save(folder: Path, name: str, axes: Any) -> None:
    """Write the figure of some axes, and close it."""
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    figure = axes.figure if hasattr(axes, "figure") else np.asarray(axes).flat[0].figure
    figure.savefig(folder / f"{name}.png", dpi=100, bbox_inches="tight")
    pyplot.close(figure)


def draw_components(x: torch.Tensor, found: Mapping[str, torch.Tensor]) -> Any:
    """The thesis's layout: a column an image; input, then mask and reconstruction of each component, then mixture."""
    from pyrodis.plotting import mask_panel

    components, mixture = found["components"].clamp(0, 1), found["reconstruction"][:, 0].clamp(0, 1)
    return mask_panel(x[:, 0], found["masks"], components, mixture)


def draw_masks(
    x: torch.Tensor, found: Mapping[str, torch.Tensor], truth: torch.Tensor, names: Sequence[str], order: Sequence[int]
) -> Any:
    """A column an image: input, true mask (N, types, H, W) of each type and that of its component; mixture."""
    from pyrodis.plotting import frame_grid

    def shown(mask: torch.Tensor) -> torch.Tensor:
        return mask.float().unsqueeze(1).expand(-1, x.shape[2], -1, -1)

    rows, labels = [x[:, 0]], ["input"]
    for k, name in enumerate(names):
        rows += [shown(truth[:, k]), shown(found["masks"][:, order[k]])]
        labels += [f"true {name}", f"mask {order[k]}"]
    rows.append(found["reconstruction"][:, 0])
    return frame_grid(torch.stack(rows).clamp(0, 1), [*labels, "mixture"], scale=2)


def draw_kl(kl: Mapping[str, Sequence[float]], theirs: Mapping[str, Sequence[float]] | None = None) -> Any:
    """KL of each component (columns) on each kind of scene (rows) as colored cells; that of the thesis beside it."""
    from matplotlib import pyplot

    tables = {"KL, nats": kl} | ({"KL, nats: the thesis": theirs} if theirs else {})
    num = len(next(iter(kl.values())))
    size = (len(tables) * (1.2 + 0.7 * num), 0.9 + 0.36 * len(kl))
    axes = pyplot.subplots(1, len(tables), figsize=size, squeeze=False, layout="constrained")[1][0]
    highest = max(max(row) for table in tables.values() for row in table.values())
    for ax, (title, table) in zip(axes, tables.items(), strict=True):
        cells = np.array([*table.values()])
        ax.imshow(cells, cmap="cividis", vmin=0, vmax=highest, aspect="auto")
        for (i, j), value in np.ndenumerate(cells):
            color = "black" if value > highest / 2 else "white"
            ax.text(j, i, f"{value:.1f}", ha="center", va="center", fontsize=8, color=color)
        ax.set_yticks(range(len(table)), [*table])
        ax.set_xticks(range(num), [f"VAE {k}" for k in range(num)])
        ax.tick_params(length=0, labelsize=8)
        ax.spines[:].set_visible(False)
        ax.set_title(title, fontsize=10)
    return axes


def kl_table(table: Mapping[str, Sequence[Score]], theirs: Mapping[str, Sequence[float]] | None = None) -> str:
    """KL by scene as a Markdown table, the thesis's numbers in brackets where they can be compared."""
    num = len(next(iter(table.values())))
    rows = [["scene", *(f"KL {k}" for k in range(num))], ["---", *["---:"] * num]]
    for name, row in table.items():
        cells, compared = [f"{score.value:.2f}" for score in row], (theirs or {}).get(name)
        if compared:
            cells = [f"{ours} ({other:.2f})" for ours, other in zip(cells, compared, strict=True)]
        rows.append([name, *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def draw_training(history: History, stages: Sequence[Stage]) -> Any:
    """Loss terms and the KL of each component over epochs, a line where a stage ends, their names above."""
    from pyrodis.plotting import training_curves

    axes = training_curves({name: history.column(name) for name in history.rows[0]})
    numbers = history.column("stage")
    ends = [i + 1.5 for i, (a, b) in enumerate(zip(numbers, numbers[1:], strict=False)) if a != b]
    for ax in axes:
        for end in ends:
            ax.axvline(end, color="#888888", linestyle=":", linewidth=1)
    names = [stage.name for stage in stages]
    shown = names if len(names) < 8 else [*names[:2], f"{len(names) - 3} more", names[-1]]
    axes[0].figure.suptitle(" | ".join(shown), fontsize=9)
    return axes


def draw_walks(folder: Path, model: nn.Module, codes: torch.Tensor, num_frames: int = 12) -> Path:
    """Films of the mixture on the straight way from the codes of each image to those of the next; codes (N, K, D)."""
    from pyrodis.plotting import save_gif

    steps = torch.cat([torch.linspace(0, 1, num_frames), torch.linspace(1, 0, num_frames)])[:, None, None, None]
    start, end = codes.transpose(0, 1), codes.roll(-1, 0).transpose(0, 1)
    frames = pyrodis.decode(model, {"z": start + steps * (end - start)})  # (T, N, 1, C, H, W)
    return save_gif(folder / "walks.gif", frames[:, :, 0].transpose(0, 1).clamp(0, 1), columns=2)
