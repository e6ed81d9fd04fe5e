"""What trained guides leave of the evidence, beside what their factorizations must leave: a linear-Gaussian sequence.

    python docs/results/guide_gaps.py [--table-only]

Every guide of the library is trained on fresh draws of a model whose evidence is known; the gap that is left is
measured on 2,000 more. A row is stored as JSON beside this script once it has finished, and never trained again. It
takes about a minute a row on one core.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pyro
import torch
from torch import nn

from pyrodis.guides import FactorizedGuide, FramewiseGuide, FullGuide, SmoothingGuide
from pyrodis.infer import NamedELBO, factorization_gaps, score_shown_frames
from pyrodis.infer.comparison import draw_log_ratios
from pyrodis.metrics import mean_score
from pyrodis.models import LinearGaussianSequence
from pyrodis.nn import visible_frames

HERE = Path(__file__).resolve().parent

NUM_FRAMES = 6
UNIT = 0.06  # of all weights and the noise, so that pixels stay in [0, 1]
STATIC, DYNAMIC, SCALE = (1.0, 0.6), (0.8, 1.0), 0.5  # of two pixels, in that unit
GUIDES = {
    "full": FullGuide,
    "smoothing": SmoothingGuide,
    "factorized": FactorizedGuide,
    "frame_wise": FramewiseGuide,
}
PATTERNS = {"all": [True] * 6, "hidden": [True, False] * 3}
SETTINGS = [(autocorrelation, pattern) for autocorrelation in (0.0, 0.9) for pattern in PATTERNS]
NUM_STEPS, BATCH_SIZE, LEARNING_RATE, HIDDEN_DIM, SEED = 3000, 128, 1e-2, 24, 0
NUM_CLIPS, NUM_SAMPLES = 2000, 20
COMMIT = subprocess.run(  # of the code that is loaded now, whatever is committed while it runs
    ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True
).stdout.strip()


class Pixels(nn.Module):
    """The pixels of a frame as features, standardized, and whether it is shown."""

    feature_dim = len(STATIC) + 1

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        shown = visible_frames(frames).unsqueeze(-1).to(frames.dtype)
        return torch.cat([shown * (frames.flatten(-3) - 0.5) / UNIT, shown], -1)


def make_model(autocorrelation: float) -> LinearGaussianSequence:
    static, dynamic = (UNIT * torch.tensor(weight, dtype=torch.float64).unsqueeze(-1) for weight in (STATIC, DYNAMIC))
    return LinearGaussianSequence(static, dynamic, autocorrelation, UNIT * SCALE, offset=0.5, num_frames=NUM_FRAMES)


def draw(model: nn.Module, num: int, shown: torch.Tensor) -> torch.Tensor:
    """Clips whose hidden frames are black."""
    with torch.no_grad():
        return model(batch_size=num)["x"] * shown[:, None, None, None]


def train(model: nn.Module, guide: nn.Module, shown: torch.Tensor) -> None:
    scored, elbo = score_shown_frames(model, shown), NamedELBO()
    optimizer = torch.optim.Adam(guide.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, NUM_STEPS)
    for _ in range(NUM_STEPS):
        optimizer.zero_grad()
        elbo.terms(scored, guide, draw(model, BATCH_SIZE, shown)).total.backward()
        optimizer.step()
        schedule.step()


def path_of(autocorrelation: float, pattern: str, guide: str) -> Path:
    return HERE / f"guide_gaps-{autocorrelation:g}-{pattern}-{guide}.json"


def finish(autocorrelation: float, pattern: str, name: str) -> None:
    """Train one guide, measure what it leaves, and store the row."""
    torch.manual_seed(SEED)
    exact, shown = make_model(autocorrelation), torch.tensor(PATTERNS[pattern])
    guide, started = GUIDES[name](Pixels(), 1, 1, hidden_dim=HIDDEN_DIM), time.perf_counter()
    train(make_model(autocorrelation).float(), guide, shown)
    seconds = time.perf_counter() - started
    x = draw(exact, NUM_CLIPS, shown)
    ratios = draw_log_ratios(score_shown_frames(exact, shown), guide.double(), x, NUM_SAMPLES)
    elbo = torch.stack([*ratios.values()]).sum(0).mean(0)
    row = {
        "command": "python docs/results/guide_gaps.py",
        "commit": COMMIT,
        "autocorrelation": autocorrelation,
        "shown": PATTERNS[pattern],
        "guide": name,
        "theory": factorization_gaps(exact, NUM_FRAMES, shown)[name],
        "measured": mean_score(exact.log_evidence(x, shown) - elbo).as_dict(),
        "training": {"steps": NUM_STEPS, "batch_size": BATCH_SIZE, "seed": SEED, "seconds": round(seconds, 1)},
    }
    path_of(autocorrelation, pattern, name).write_text(json.dumps(row, indent=1) + "\n")


def line(row: dict[str, Any]) -> str:
    score = row["measured"]
    hidden = "none" if all(row["shown"]) else ", ".join(str(t + 1) for t, shown in enumerate(row["shown"]) if not shown)
    cells = [f"{row['autocorrelation']:g}", hidden, row["guide"].replace("_", "-"), f"{row['theory']:.3f}"]
    return f"| {' | '.join(cells)} | {score['value']:.3f} | {score['low']:.3f} to {score['high']:.3f} |"


def table() -> str:
    """The finished rows as Markdown, and the names of the missing ones."""
    lines = [
        "| a | hidden frames | guide | theory | measured | 95 % interval |",
        "| ---: | --- | --- | ---: | ---: | ---: |",
    ]
    paths = [path_of(*setting, name) for setting in SETTINGS for name in GUIDES]
    lines += [line(json.loads(path.read_text())) for path in paths if path.exists()]
    missing = [path.stem for path in paths if not path.exists()]
    return "\n".join(lines + [f"{name}: missing; run python docs/results/guide_gaps.py" for name in missing])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table-only", action="store_true", help="train nothing, print what is finished")
    options = parser.parse_args()
    pyro.enable_validation(False)
    for setting in SETTINGS:
        for name in GUIDES:
            if not path_of(*setting, name).exists() and not options.table_only:
                finish(*setting, name)
                print(line(json.loads(path_of(*setting, name).read_text())), flush=True)
    print(table())


if __name__ == "__main__":
    main()
