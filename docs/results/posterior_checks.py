"""What the checks of posteriors say where the posterior is known: linear-Gaussian dynamics.

    python docs/results/posterior_checks.py [--rows NAME ...] [--table-only] [--write]

The model is that of docs/results/linear_gaussian.py. Nothing is trained: the information-form guide is set to the exact
posterior, the mean-field guide to the independent normals that are closest to it, and two more are the exact one with
its standard deviations halved or doubled. A row is stored as JSON beside this script once it has finished, and takes
half a minute. --write puts the table between the markers <!-- results:posterior_checks --> and <!-- /results --> of
docs/concepts/posterior.md.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pyro
import torch
from linear_gaussian import DIM, NUM_FRAMES, ClipReader, FrameReader, make_model, set_exactly
from pyro.distributions import Normal
from shared_results import commit, line, run_tables
from torch import Tensor, nn

from pyrodis.distributions import BlockTridiagonalNormal
from pyrodis.guides import InformationGuide, MeanFieldGuide
from pyrodis.infer import amortization_gap, interval_coverage, pareto_khat, simulation_based_calibration
from pyrodis.infer.comparison import importance_bound
from pyrodis.metrics import mean_score, proportion_score
from pyrodis.models import LinearGaussianDynamics

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "concepts" / "posterior.md"

LEVELS = (0.5, 0.9)
NUM_SIMULATIONS, NUM_RANK_DRAWS, NUM_BINS = 1000, 99, 20
NUM_COVERAGE, NUM_COVERAGE_DRAWS = 1000, 199
NUM_CLIPS, NUM_SAMPLES, NUM_KHAT_CLIPS, NUM_KHAT_SAMPLES = 200, 200, 100, 2000
NUM_REFINED, NUM_STEPS = 20, 300
SEED = 0
# Name of a row -> what the table calls it, and the factor of its standard deviations.
ROWS = {
    "exact": ("information form, exact", 1.0),
    "mean_field": ("mean field, the closest", 1.0),
    "halved": ("exact, scale halved", 0.5),
    "doubled": ("exact, scale doubled", 2.0),
}
HEAD = [
    "| guide | 50 % interval | 90 % interval | SBC: p of z | p of log p(x, z) | IWAE - evidence | k-hat > 0.7 "
    "| refinement gains |",
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
]


class Stretched(nn.Module):
    """The exact guide with its standard deviations multiplied by a factor, its correlations kept."""

    def __init__(self, guide: nn.Module, factor: float) -> None:
        super().__init__()
        self.guide, self.factor = guide, factor

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        with pyro.poutine.block():
            fn = pyro.poutine.trace(self.guide).get_trace(x).nodes["z"]["fn"]
        diagonal, lower = (blocks / self.factor**2 for blocks in fn.precision_blocks)
        with pyro.plate("data", len(x), dim=-1):
            return {"z": pyro.sample("z", BlockTridiagonalNormal(fn.mean, diagonal, lower))}


def exact_guide(model: LinearGaussianDynamics) -> InformationGuide:
    guide = InformationGuide(FrameReader(), DIM).double()
    set_exactly(guide, model)
    return guide


def independent_guide(model: LinearGaussianDynamics) -> MeanFieldGuide:
    """The posterior's means, with the scales of least divergence: one over the root of the precision's diagonal."""
    reader = ClipReader()
    guide = MeanFieldGuide(reader, DIM).double()
    num = NUM_FRAMES * model.emission.shape[0]
    exact = model.exact_posterior(torch.eye(num, dtype=torch.float64).reshape(num, NUM_FRAMES, *model.frame_shape))
    weight = torch.zeros(NUM_FRAMES, reader.feature_dim, num, dtype=torch.float64)
    weight[:, :DIM] = exact.mean.permute(1, 2, 0)  # the means are linear in the pixels
    scale = independent_scales(model).reshape(NUM_FRAMES, DIM)
    bias = torch.zeros(NUM_FRAMES, reader.feature_dim, dtype=torch.float64)
    bias[:, DIM : 2 * DIM] = (scale - 1e-4).expm1().log() - guide.head.offset  # the floor of `LocScale`
    with torch.no_grad():
        reader.linear.weight.copy_(weight.flatten(0, 1))
        reader.linear.bias.copy_(bias.flatten())
        guide.head.linear.weight.zero_()
        guide.head.linear.weight[:, : 2 * DIM] = torch.eye(2 * DIM, dtype=torch.float64)
        guide.head.linear.bias.zero_()
    return guide


def independent_scales(model: LinearGaussianDynamics) -> Tensor:
    return posterior_precision(model).diagonal().rsqrt()


def posterior_precision(model: LinearGaussianDynamics) -> Tensor:
    """It is the same for every clip."""
    frames = torch.zeros(1, NUM_FRAMES, *model.frame_shape, dtype=torch.float64)
    return model.exact_posterior(frames).precision_matrix[0]


def make_guide(row: str, model: LinearGaussianDynamics) -> nn.Module:
    if row == "mean_field":
        return independent_guide(model)
    factor = ROWS[row][1]
    return exact_guide(model) if factor == 1 else Stretched(exact_guide(model), factor)


def known_coverage(row: str, model: LinearGaussianDynamics, level: float) -> float:
    """Of a normal of scale s around the posterior's mean, for codes whose posterior deviation is d."""
    deviation = torch.linalg.inv(posterior_precision(model)).diagonal().sqrt()
    scale = independent_scales(model) if row == "mean_field" else ROWS[row][1] * deviation
    normal = Normal(torch.zeros_like(scale), 1.0)
    quantile = normal.icdf(torch.full_like(scale, (1 + level) / 2))
    return float((2 * normal.cdf(quantile * scale / deviation) - 1).mean())


def known_gain(row: str, model: LinearGaussianDynamics) -> float:
    """What the best stretching of the draws, which keeps their correlations, wins back, in nats a clip.

    Where q is the posterior with its deviations times c, stretching by 1 / c makes it exact.
    """
    factor, size = ROWS[row][1], NUM_FRAMES * DIM
    return 0.0 if row == "mean_field" else size * (0.5 * (factor**2 - 1) - math.log(factor))


def score(row: str, model: LinearGaussianDynamics) -> dict[str, Any]:
    guide = make_guide(row, model)
    ranks = simulation_based_calibration(model, guide, NUM_SIMULATIONS, NUM_RANK_DRAWS, num_bins=NUM_BINS, seed=SEED)
    coverage = interval_coverage(
        model, guide, LEVELS, num_simulations=NUM_COVERAGE, num_draws=NUM_COVERAGE_DRAWS, seed=SEED + 1
    )
    torch.manual_seed(SEED + 2)
    with torch.no_grad():
        x = model(batch_size=NUM_CLIPS)["x"]
    bound = importance_bound(model, guide, x, NUM_SAMPLES, chunk_size=50)
    khat = pareto_khat(model, guide, x[:NUM_KHAT_CLIPS], NUM_KHAT_SAMPLES, chunk_size=200)
    refined = amortization_gap(model, guide, x[:NUM_REFINED], num_steps=NUM_STEPS)
    return {
        "coverage": {f"{level:g}": coverage[f"z/{level:g}"].as_dict() for level in LEVELS},
        "known_coverage": {f"{level:g}": known_coverage(row, model, level) for level in LEVELS},
        "calibration": ranks.as_dict(),
        "iwae_minus_evidence": mean_score(bound - model.log_evidence(x), ceiling=0.0).as_dict(),
        "high_khat": proportion_score(khat > 0.7, chance=None, ceiling=0.0).as_dict(),
        "median_khat": None if not bool(khat.isfinite().all()) else float(khat.median()),
        "refinement": refined.score().as_dict(),
        "known_refinement": known_gain(row, model),
    }


def path_of(row: str) -> Path:
    return HERE / f"posterior_checks-{row}.json"


def finish(row: str) -> None:
    """Check one guide, and store the row."""
    started = time.perf_counter()
    torch.manual_seed(SEED)
    pyro.enable_validation(False)
    scores = score(row, make_model())
    result = {
        "command": f"python docs/results/posterior_checks.py --rows {row}",
        "library_commit": commit(),
        "seconds": round(time.perf_counter() - started, 1),
        "settings": {
            "simulations": NUM_SIMULATIONS,
            "rank_draws": NUM_RANK_DRAWS,
            "coverage_simulations": NUM_COVERAGE,
            "coverage_draws": NUM_COVERAGE_DRAWS,
            "clips": NUM_CLIPS,
            "samples": NUM_SAMPLES,
            "khat_samples": NUM_KHAT_SAMPLES,
            "refinement_steps": NUM_STEPS,
            "seed": SEED,
        },
        "scores": scores,
    }
    path_of(row).write_text(json.dumps(result, indent=1) + "\n")


def cell(score: dict[str, Any], digits: int, factor: float = 1.0) -> str:
    half = factor * (score["high"] - score["low"]) / 2
    return f"{factor * score['value']:.{digits}f} ± {half:.{digits}f}"


def p_value(number: float) -> str:
    return "< 0.0001" if number < 1e-4 else f"{number:.2f}" if number >= 0.1 else f"{number:.4f}"


def table() -> str:
    lines = list(HEAD)
    for row, (words, _) in ROWS.items():
        if not path_of(row).exists():
            lines.append(line(words, *["missing"] * 7))
            continue
        found = json.loads(path_of(row).read_text(encoding="utf8"))["scores"]
        known = found["known_coverage"]
        coverage = [f"{cell(found['coverage'][key], 1, 100)} ({100 * known[key]:.1f})" for key in ("0.5", "0.9")]
        ranks = [p_value(found["calibration"][f"p_value_{name}"]) for name in ("z", "log_joint")]
        rest = [cell(found["iwae_minus_evidence"], 3), f"{100 * found['high_khat']['value']:.0f} %"]
        gain = f"{cell(found['refinement'], 2)} ({found['known_refinement']:.2f})"
        lines.append(line(words, *coverage, *ranks, *rest, gain))
    return "\n".join(lines)


BLOCKS = {"posterior_checks": table}


def main() -> None:
    run_tables("posterior_checks", __doc__, ROWS, path_of, finish, [PAGE], BLOCKS)


if __name__ == "__main__":
    main()
