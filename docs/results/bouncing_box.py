"""Twelve of twenty frames of a bouncing ball are missing: how far off guides and priors fill them in.

    python docs/results/bouncing_box.py [--rows NAME ...] [--threads N] [--table-only] [--write]

Every method is trained on complete clips with random windows of frames blacked out before its guide; the model scores
all frames, so what is trained is the ELBO with a guide that sees a part of the clip. Test clips have frames 5 to 16
hidden. A row is one method and one seed. It is stored as JSON beside this script once it has finished, and never
trained again; figures go to runs/results-bouncing_box-ROW/. --write puts the table between the markers
<!-- results:bouncing_box --> and <!-- /results --> of docs/papers/disentangling_via_dynamics.md.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import shared_results
import torch
from shared_results import commit, machine
from torch import Tensor, nn

import pyrodis
from pyrodis.datasets import BouncingBox
from pyrodis.guides import InformationGuide, MeanFieldGuide, SmoothingGuide
from pyrodis.infer import NamedELBO
from pyrodis.metrics import Score, hamming_distance, paired_difference
from pyrodis.models import BernoulliPixels, BetaVAE, LinearDynamicsPrior, LSTMPrior
from pyrodis.nn import BroadcastDecoder

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "papers" / "disentangling_via_dynamics.md"

NUM_FRAMES, FRAME = 20, (1, 32, 32)
DIM, HIDDEN_DIM, CHANNELS = 6, 64, 16
NUM_STEPS, BATCH_SIZE, LEARNING_RATE = 4500, 16, 3e-3
NUM_TRAIN, NUM_TEST, CHUNK = 5000, 1000, 100
LONGEST = 16  # frames of a window that is hidden in training; it grows to that from step 1/5 to step 3/5
SEEDS = (0, 1, 2)
# What the guide sees of a test clip, and which frames are scored; frames count from 0 here.
SEEN = {"smoothed": [*range(4), *range(16, 20)], "filtered": [*range(4)], "generated": [*range(8)]}
SCORED = {"smoothed": range(4, 16), "filtered": range(4, 16), "generated": range(8, 20)}


@dataclass(frozen=True)
class Method:
    """A prior, a guide for it, and how the prior goes on from codes.

    Args:
        words: What the table calls it.
        prior: Makes the prior.
        guide: Makes the guide from an encoder.
        go_on: Maps the prior, codes (B, t, D) and T to codes (B, T, D), drawn after t.
    """

    words: str
    prior: Callable[[], nn.Module]
    guide: Callable[[nn.Module], nn.Module]
    go_on: Callable[[Any, Tensor, int], Tensor]


def go_on_linear(prior: LinearDynamicsPrior, codes: Tensor, num_frames: int) -> Tensor:
    """Draw z_t = A z_{t-1} + noise of covariance I - A A^T."""
    transition = prior.transition
    root = torch.linalg.cholesky(torch.eye(DIM) - transition @ transition.mT)
    frames = [*codes.unbind(1)]
    while len(frames) < num_frames:
        frames.append(frames[-1] @ transition.mT + torch.randn_like(frames[-1]) @ root.mT)
    return torch.stack(frames, 1)


def go_on_recurrent(prior: LSTMPrior, codes: Tensor, num_frames: int) -> Tensor:
    """Feed the codes to the recurrent network, then its own draws."""
    frames: list[Tensor] = []
    previous, state = torch.zeros_like(codes[:, 0]), None
    for t in range(num_frames):
        loc, scale, state = prior.transition.step(previous, None, state)
        previous = codes[:, t] if t < codes.shape[1] else loc + scale * torch.randn_like(loc)
        frames.append(previous)
    return torch.stack(frames, 1)


METHODS = {
    "smoothing": Method(
        "LSTM prior, smoothing guide",
        lambda: LSTMPrior(DIM, HIDDEN_DIM),
        lambda encoder: SmoothingGuide(encoder, None, DIM, HIDDEN_DIM),
        go_on_recurrent,
    ),
    "mean_field": Method(
        "LSTM prior, mean-field guide",
        lambda: LSTMPrior(DIM, HIDDEN_DIM),
        lambda encoder: MeanFieldGuide(encoder, DIM),
        go_on_recurrent,
    ),
    "information": Method(
        "linear prior, information form",
        lambda: LinearDynamicsPrior(DIM),
        lambda encoder: InformationGuide(encoder, DIM, skip_blank=True),
        go_on_linear,
    ),
    "mean_field_linear": Method(
        "linear prior, mean-field guide",
        lambda: LinearDynamicsPrior(DIM),
        lambda encoder: MeanFieldGuide(encoder, DIM),
        go_on_linear,
    ),
}
ROWS = {f"{name}-seed{seed}": (name, seed) for seed in SEEDS for name in METHODS}
BASELINES = {
    "black": "black frames",
    "nearest": "the nearest frame that is shown",
    "line": "the ball on a straight line between its places",
}
CONTRASTS = {"smoothing": "mean_field", "information": "mean_field_linear"}


class PixelReader(nn.Module):
    """Two layers on the pixels of a frame, normalized: without that, a recurrent guide hardly begins to learn."""

    feature_dim = HIDDEN_DIM

    def __init__(self) -> None:
        super().__init__()
        sizes = math.prod(FRAME), 2 * HIDDEN_DIM, HIDDEN_DIM
        first, second = nn.Linear(*sizes[:2]), nn.Linear(*sizes[1:])
        self.layers = nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2), nn.LayerNorm(HIDDEN_DIM))

    def forward(self, frames: Tensor) -> Tensor:
        return self.layers(frames.flatten(-3))


class PartlySeeing(nn.Module):
    """A guide that sees clips with a random window of frames blacked out, as it is trained."""

    def __init__(self, guide: nn.Module) -> None:
        super().__init__()
        self.guide = guide

        self.longest = LONGEST

    def forward(self, x: Tensor, batch_size: int | None = None) -> Any:
        return self.guide(x * random_windows(len(x), x.shape[1], self.longest)[..., None, None, None])


def random_windows(num: int, num_frames: int, longest: int) -> Tensor:
    """Bool (num, T), False in one window a clip, whose length, from 0 to the longest, and place are uniform."""
    length = torch.randint(longest + 1, (num, 1))
    start = (torch.rand(num, 1) * (num_frames + 1 - length)).long()
    frames = torch.arange(num_frames)
    return (frames < start) | (frames >= start + length)


def shown_in(setting: str) -> Tensor:
    return torch.isin(torch.arange(NUM_FRAMES), torch.tensor(SEEN[setting]))


def scored_in(setting: str) -> Tensor:
    return torch.isin(torch.arange(NUM_FRAMES), torch.tensor(SCORED[setting]))


def make_pair(name: str) -> tuple[BetaVAE, nn.Module]:
    decoder = BroadcastDecoder(DIM, FRAME, CHANNELS, num_layers=2, broadcast_size=8, output_bias=-3.0)
    model = BetaVAE(decoder, METHODS[name].prior(), BernoulliPixels(), DIM, NUM_FRAMES)
    return model, METHODS[name].guide(PixelReader())


def clips_of(data: BouncingBox, indices: list[int]) -> Tensor:
    return torch.stack([item["x"] for item in data.__getitems__(indices)])


def train(model: nn.Module, guide: nn.Module, seed: int) -> None:
    data, partly, elbo = BouncingBox(num_sequences=NUM_TRAIN), PartlySeeing(guide), NamedELBO()
    parameters = [*model.parameters(), *guide.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, NUM_STEPS)
    choice = torch.Generator().manual_seed(seed)
    for step in range(NUM_STEPS):
        x = clips_of(data, torch.randint(len(data), (BATCH_SIZE,), generator=choice).tolist())
        partly.longest = round(LONGEST * min(1.0, max(0.0, 2.5 * step / NUM_STEPS - 0.5)))
        optimizer.zero_grad()
        terms = elbo.terms(model, partly, x)
        terms.total.backward()
        nn.utils.clip_grad_norm_(parameters, 100.0)
        optimizer.step()
        schedule.step()
        if step % 250 == 0:
            print(f"step {step}: {float(terms.total.detach()):.2f} nats a clip", flush=True)
    model.eval()
    guide.eval()


def fill_in(name: str, model: BetaVAE, guide: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Probabilities of pixels, for every setting and for all frames shown."""
    filled = {}
    for setting in SEEN:
        codes = pyrodis.encode(guide, x * shown_in(setting)[:, None, None, None])["z"]
        if setting == "generated":
            with torch.no_grad():
                codes = METHODS[name].go_on(model.prior, codes[:, : len(SEEN[setting])], NUM_FRAMES)
        filled[setting] = pyrodis.decode(model, {"z": codes})
    return {**filled, "reconstruction": pyrodis.reconstruct(model, guide, x)}


def fill_in_without_learning(name: str, x: Tensor) -> dict[str, Tensor]:
    """What a baseline puts in the place of hidden frames; the same keys as `fill_in`, less the reconstruction."""
    filled = {}
    for setting in SEEN:
        seen = torch.tensor(SEEN[setting])
        if name == "black":
            filled[setting] = x * shown_in(setting)[:, None, None, None]
        elif name == "nearest":
            nearest = (torch.arange(NUM_FRAMES)[:, None] - seen).abs().argmin(-1)
            filled[setting] = x[:, seen[nearest]]
        else:
            filled[setting] = draw_on_lines(centers(x[:, seen]), seen)
    return filled


def centers(x: Tensor) -> np.ndarray:
    """Centers of the lit pixels, (N, T, 2), row and column."""
    grid = torch.stack(torch.meshgrid(*[torch.arange(32.0)] * 2, indexing="ij"))
    weight = x.flatten(2).sum(-1, keepdim=True)
    return ((x * grid).sum((-1, -2)) / weight).numpy()


def draw_on_lines(places: np.ndarray, seen: Tensor) -> Tensor:
    """Balls of the data's size on straight lines between places (N, t, 2) at the frames seen, resting beyond them."""
    time = np.arange(NUM_FRAMES)
    paths = np.array([[np.interp(time, seen.numpy(), axis) for axis in place.T] for place in places])
    squares = (torch.arange(32) - torch.from_numpy(paths).round()[..., None]).square()
    return (squares[:, 0, :, :, None] + squares[:, 1, :, None, :] <= 9).float().unsqueeze(2)


def score(filled: Mapping[str, Tensor], x: Tensor) -> dict[str, Score]:
    """Pixels a frame on the wrong side of one half."""
    hidden = {setting: ~scored_in(setting) for setting in SEEN}
    return {name: hamming_distance(x, value, hidden.get(name)) for name, value in filled.items()}


def fill_in_all(name: str, model: BetaVAE, guide: nn.Module, x: Tensor) -> dict[str, Tensor]:
    parts = [fill_in(name, model, guide, part) for part in x.split(CHUNK)]
    return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}


def draw(folder: Path, x: Tensor, filled: Mapping[str, Tensor], num: int = 3) -> None:
    """A frame grid and a GIF of the first clips: true, seen, and filled in in every setting."""
    from matplotlib import pyplot

    from pyrodis.plotting import frame_grid, save_gif

    folder.mkdir(parents=True, exist_ok=True)
    seen = torch.where(shown_in("smoothed")[:, None, None, None], x, 0.35)  # hidden frames are gray
    rows = {"true": x, "seen": seen, **{name: filled[name] for name in SEEN}}
    tiles = torch.stack([value[:num] for value in rows.values()], 1).flatten(0, 1).numpy()
    axes = frame_grid(tiles, [*rows] * num, rows_per_group=len(rows))
    axes.figure.savefig(folder / "filled_in.png", dpi=100, bbox_inches="tight")
    pyplot.close(axes.figure)
    save_gif(folder / "filled_in.gif", tiles, fps=5, scale=3, columns=len(rows), labels=[*rows] * num)


def path_of(row: str) -> Path:
    return HERE / f"bouncing_box-{row}.json"


def store(row: str, scores: Mapping[str, Score], training: dict[str, Any] | None, trained_at: str) -> None:
    result = {
        "command": f"python docs/results/bouncing_box.py --rows {row}",
        "library_commit": trained_at,
        "machine": machine(),
        "data": BouncingBox(split="test", num_sequences=NUM_TEST).checksum,
        "training": training,
        "scores": {name: value.as_dict() for name, value in scores.items()},
    }
    path_of(row).write_text(json.dumps(result, indent=1) + "\n")


def finish(row: str) -> None:
    """Train one method from one seed, fill in the test clips, and store the row."""
    trained_at = commit()
    x = clips_of(BouncingBox(split="test", num_sequences=NUM_TEST), [*range(NUM_TEST)])
    if row in BASELINES:
        store(row, score(fill_in_without_learning(row, x), x), None, trained_at)
        return
    name, seed = ROWS[row]
    torch.manual_seed(seed)
    model, guide = make_pair(name)
    started = time.perf_counter()
    train(model, guide, seed)
    seconds = round(time.perf_counter() - started, 1)
    torch.manual_seed(seed)
    filled = fill_in_all(name, model, guide, x)
    settings = {"steps": NUM_STEPS, "batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE, "dim": DIM}
    training = {**settings, "seed": seed, "seconds": seconds, "threads": torch.get_num_threads()}
    store(row, score(filled, x), training, trained_at)
    draw(ROOT / "runs" / f"results-bouncing_box-{row}", x, filled)


def stored(name: str) -> list[dict[str, Any]]:
    """The finished rows of a method, in the order of the seeds, or of a baseline."""
    paths = [path_of(row) for row in ([name] if name in BASELINES else [f"{name}-seed{seed}" for seed in SEEDS])]
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def line(name: str) -> str:
    results = stored(name)
    cells = [BASELINES[name], ""] if name in BASELINES else [METHODS[name].words, str(len(results))]
    for setting in (*SEEN, "reconstruction"):
        values = [result["scores"][setting]["value"] for result in results if setting in result["scores"]]
        spread = f" ({min(values):.1f} to {max(values):.1f})" if len(values) > 1 else ""
        cells.append(f"{sum(values) / len(values):.1f}{spread}" if values else "")
    return f"| {' | '.join(cells)} |"


def contrast(name: str, other: str) -> str | None:
    """How much fewer pixels are wrong, seed by seed, in words; None before two seeds of both are finished."""
    pairs = [[path_of(f"{one}-seed{seed}") for one in (name, other)] for seed in SEEDS]
    finished = [[json.loads(path.read_text()) for path in pair] for pair in pairs if all(p.exists() for p in pair)]
    if len(finished) < 2:
        return None
    values = [[result["scores"]["smoothed"]["value"] for result in pair] for pair in finished]
    score = paired_difference(*(np.array(column) for column in zip(*values)))
    return (
        f"Smoothed, {METHODS[name].words} less {METHODS[other].words}: {score.value:.1f} pixels a frame, 95 % interval "
        f"{score.low:.1f} to {score.high:.1f}, {len(finished)} seeds."
    )


def table() -> str:
    """Means over seeds, in brackets the least and the greatest, as Markdown; and the names of the missing rows."""
    lines = [
        "| filled in by | seeds | smoothed | filtered | generated | all shown |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [line(name) for name in (*BASELINES, *METHODS) if stored(name)]
    lines += [f"\n{words}" for pair in CONTRASTS.items() if (words := contrast(*pair))]
    missing = [row for row in (*BASELINES, *ROWS) if not path_of(row).exists()]
    if missing:
        lines += ["", f"Missing: {', '.join(missing)}; run `python docs/results/bouncing_box.py`."]
    return "\n".join(lines)


def write_blocks(text: str) -> str:
    """Return a page with the table between its markers."""
    return shared_results.write_blocks(text, {"bouncing_box": table})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    rows = [*BASELINES, *ROWS]
    parser.add_argument("--rows", nargs="+", metavar="NAME", choices=rows, help="finish these rows alone")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch (default: its own)")
    parser.add_argument("--table-only", action="store_true", help="train nothing, print what is finished")
    parser.add_argument("--write", action="store_true", help="write the table into the paper's page")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pyro.enable_validation(False)
    for row in options.rows or rows:
        if not path_of(row).exists() and not options.table_only:
            finish(row)
            print(f"{row}: finished", flush=True)
    if options.write:
        PAGE.write_text(write_blocks(PAGE.read_text(encoding="utf8")), encoding="utf8")
    print(table())


if __name__ == "__main__":
    main()
