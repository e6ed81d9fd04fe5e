"""What guides of one code a frame leave of a known evidence, beside what they must leave: linear-Gaussian dynamics.

    python docs/results/linear_gaussian.py [--rows NAME ...] [--table-only] [--write]

A guide is trained on fresh draws of a model whose evidence a Kalman filter gives; what it leaves, KL(q || posterior),
has a closed form, since both are normal. Beside it stands the least that any guide of its family can leave. A row is
stored as JSON beside this script once it has finished, and never trained again; it takes less than a minute on one
core. --write puts the table between the markers <!-- results:linear_gaussian --> and <!-- /results --> of
docs/papers/disentangling_via_dynamics.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyro
import shared_results
import torch
from shared_results import commit
from torch import Tensor, nn
from torch.distributions import kl_divergence

from pyrodis.distributions import GaussMarkovNormal
from pyrodis.guides import (
    BasisTransition,
    DenseTransition,
    DiagonalTransition,
    InformationGuide,
    MeanFieldGuide,
    RotationTransition,
    StructuredGuide,
)
from pyrodis.infer import NamedELBO
from pyrodis.infer.comparison import draw_log_ratios
from pyrodis.metrics import mean_score
from pyrodis.models import LinearGaussianDynamics
from pyrodis.ops import contraction

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "papers" / "disentangling_via_dynamics.md"

NUM_FRAMES, NUM_PIXELS, DIM, SCALE = 10, 6, 3, 2.0
MODULI, TURN, MODEL_SEED = (0.98, 0.9, 0.7), 0.4, 0
NUM_STEPS, BATCH_SIZE, LEARNING_RATE, HIDDEN_DIM, SEED = 3000, 128, 1e-2, 16, 0
NUM_CLIPS, NUM_SAMPLES = 1000, 50
TRANSITIONS: dict[str, Callable[..., nn.Module]] = {
    "diagonal": DiagonalTransition,
    "rotation": RotationTransition,
    "basis": BasisTransition,
    "dense": DenseTransition,
}
# Name of a row -> what the table calls the family, and what the encoder sees when it makes loc and scale of a frame.
ROWS = {
    "information-exact": ("information form, parameters set", "its frame"),
    "information": ("information form", "its frame"),
    **{
        f"{family}-{reader}": (words, "its frame" if reader == "frame" else "the clip")
        for reader in ("frame", "clip")
        for family, words in {
            "mean_field": "mean field",
            **{name: f"structured, {name}" for name in TRANSITIONS},
        }.items()
    },
}
HEAD = [
    "| guide | loc from | least gap | gap | 95 % interval | ELBO | IWAE, 50 draws | evidence |",
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
]


class FrameReader(nn.Module):
    """The pixels of a frame as its features."""

    feature_dim = NUM_PIXELS

    def forward(self, frames: Tensor) -> Tensor:
        return frames.flatten(-3)


class ClipReader(nn.Module):
    """Any affine map from the pixels of a whole clip to the features of its frames, another one for every frame."""

    feature_dim = 4 * DIM

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(NUM_FRAMES * NUM_PIXELS, NUM_FRAMES * self.feature_dim)

    def forward(self, frames: Tensor) -> Tensor:
        return self.linear(frames.flatten(-4)).unflatten(-1, (NUM_FRAMES, self.feature_dim))


def make_model() -> LinearGaussianDynamics:
    """Three codes that turn around each other and shrink at different rates, under six noisy pixels."""
    draw = torch.Generator().manual_seed(MODEL_SEED)
    turn, emission = (torch.randn(size, DIM, generator=draw, dtype=torch.float64) for size in (DIM, NUM_PIXELS))
    moduli = torch.tensor(MODULI, dtype=torch.float64)
    transition = moduli.diag() @ torch.linalg.matrix_exp(TURN * (turn - turn.mT))
    return LinearGaussianDynamics(transition, emission, scale=SCALE, num_frames=NUM_FRAMES)


def set_exactly(guide: InformationGuide, model: LinearGaussianDynamics) -> None:
    """Give an information guide the parameters with which it is the model's posterior."""
    eye = torch.eye(DIM, dtype=torch.float64)
    bound = float(torch.linalg.matrix_norm(contraction(1e9 * eye), 2))  # of what `contraction` returns
    ratio = model.transition / bound
    root = torch.linalg.cholesky(eye - ratio.mT @ ratio)  # C^-1 of `contraction`, whose result is M C^-T
    precision = model.emission.mT @ model.emission / SCALE**2
    factor = torch.linalg.cholesky(precision)
    scale = 1 / factor.diagonal() - 1e-4  # the floor of `LocScale`
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.zero_()
        guide.raw.copy_(torch.linalg.solve_triangular(root.mT, ratio, upper=True, left=False) / guide.gain)
        guide.head.linear.weight[:DIM] = torch.linalg.solve(precision, model.emission.mT / SCALE**2)
        guide.head.linear.bias[DIM:] = scale.expm1().log() - guide.head.offset
        guide.mixing.bias.copy_((factor / factor.diagonal()[:, None]).tril(-1).flatten())


def make_guide(row: str) -> nn.Module:
    family, _, reader = row.partition("-")
    if family == "information":
        return InformationGuide(FrameReader(), DIM).double()
    encoder = FrameReader() if reader == "frame" else ClipReader()
    if family == "mean_field":
        return MeanFieldGuide(encoder, DIM).double()
    transition = TRANSITIONS[family](encoder.feature_dim, DIM, HIDDEN_DIM)
    return StructuredGuide(encoder, DIM, HIDDEN_DIM, transition=transition).double()


def train(model: nn.Module, guide: nn.Module) -> None:
    elbo, optimizer = NamedELBO(), torch.optim.Adam(guide.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, NUM_STEPS)
    for _ in range(NUM_STEPS):
        with torch.no_grad():
            x = model(batch_size=BATCH_SIZE)["x"]
        optimizer.zero_grad()
        elbo.terms(model, guide, x).total.backward()
        optimizer.step()
        schedule.step()


def least_gap(row: str, model: LinearGaussianDynamics) -> float:
    """The least KL(q || posterior) of the row's family, averaged over clips, in nats a clip: covariance and mean."""
    family, _, reader = row.partition("-")
    if family == "information":
        return 0.0
    num_rows = 1 if reader == "frame" else NUM_FRAMES  # a frame by itself does not tell when it is
    return least_covariance_gap(family, num_rows, model) + (least_mean_gap(model) if reader == "frame" else 0.0)


def least_covariance_gap(family: str, num_rows: int, model: LinearGaussianDynamics) -> float:
    """Half of trace(J S) - log|J S| - T n, minimized over the covariances S of a family, from five starts."""
    exact = model.exact_posterior(torch.zeros(1, NUM_FRAMES, *model.frame_shape, dtype=torch.float64))
    gaps = []
    for start in range(5):
        draw = torch.Generator().manual_seed(start)
        shapes = [(num_rows, DIM), (max(num_rows - 1, 1), DIM**2), (DIM, DIM)]
        raw = [0.3 * torch.randn(shape, generator=draw, dtype=torch.float64) for shape in shapes]
        raw = [value.requires_grad_() for value in raw]
        optimizer = torch.optim.LBFGS(
            raw, max_iter=1000, tolerance_grad=1e-8, tolerance_change=1e-12, line_search_fn="strong_wolfe"
        )

        def gap(raw: list[Tensor] = raw, optimizer: torch.optim.Optimizer = optimizer) -> Tensor:
            optimizer.zero_grad()
            value: Tensor = kl_divergence(chain(family, *raw), exact).sum()
            value.backward()
            return value

        optimizer.step(gap)
        gaps.append(float(gap().detach()))
    return min(gaps)


def chain(family: str, scale: Tensor, memory: Tensor, rows: Tensor) -> GaussMarkovNormal:
    """A member of a family, with mean 0, from any parameters; those of one frame are those of all."""
    scale = scale.exp().expand(NUM_FRAMES, -1)
    memory = memory.expand(NUM_FRAMES - 1, -1)
    loc, eigenvalues = torch.zeros_like(scale), memory[:, :DIM].tanh()
    if family == "dense":
        return GaussMarkovNormal(loc, scale, transition=contraction(memory.unflatten(-1, (DIM, DIM))))
    if family == "rotation":
        num_pairs = DIM // 2
        return GaussMarkovNormal(loc, scale, eigenvalues[:, num_pairs:], angles=memory[:, DIM : DIM + num_pairs])
    if family == "basis":
        basis = torch.eye(DIM, dtype=rows.dtype) + rows
        return GaussMarkovNormal(loc, scale, eigenvalues, basis=basis / basis.norm(dim=-1, keepdim=True))
    return GaussMarkovNormal(loc, scale, eigenvalues * (family == "diagonal"))


def least_mean_gap(model: LinearGaussianDynamics) -> float:
    r"""Half of E (m(x) - loc)^T J (m(x) - loc), minimized over loc_t = W x_t with one W for all frames.

    m is the posterior's mean, linear in x. Quadratic in W, so it is the residual of a least-squares problem: with
    J = F F^T and x = G e, e standard normal, it is |F^T (M - blockdiag(W)) G|^2 / 2.
    """
    num = NUM_FRAMES * NUM_PIXELS
    pixels = torch.eye(num, dtype=torch.float64)
    exact = model.exact_posterior(pixels.reshape(num, NUM_FRAMES, *model.frame_shape))
    emission = torch.block_diag(*[model.emission] * NUM_FRAMES)
    covariance = emission @ model.prior(NUM_FRAMES).covariance_matrix @ emission.mT + SCALE**2 * pixels
    left, right = (torch.linalg.cholesky(matrix) for matrix in (exact.precision_matrix[0], covariance))
    target = left.mT @ exact.mean.flatten(1).mT @ right
    units = torch.eye(DIM * NUM_PIXELS, dtype=torch.float64).reshape(-1, DIM, NUM_PIXELS)
    design = torch.stack([(left.mT @ torch.block_diag(*[unit] * NUM_FRAMES) @ right).flatten() for unit in units], 1)
    solved = torch.linalg.lstsq(design, target.flatten()[:, None]).solution
    return 0.5 * float((target.flatten()[:, None] - design @ solved).square().sum())


def posterior_of(guide: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        return pyro.poutine.trace(guide).get_trace(x).nodes["z"]["fn"]


def score(model: LinearGaussianDynamics, guide: nn.Module) -> dict[str, dict[str, Any]]:
    """All in nats a frame, with intervals over clips; the gap is exact for every clip."""
    with torch.no_grad():
        x = model(batch_size=NUM_CLIPS)["x"]
        gap = kl_divergence(posterior_of(guide, x), model.exact_posterior(x))
        ratios = draw_log_ratios(model, guide, x, NUM_SAMPLES)
    weights = torch.stack([*ratios.values()]).sum(0)
    iwae = weights.logsumexp(0) - torch.tensor(float(NUM_SAMPLES)).log()
    values = {"gap": gap, "elbo": weights.mean(0), "iwae": iwae, "evidence": model.log_evidence(x)}
    return {name: mean_score(value / NUM_FRAMES).as_dict() for name, value in values.items()}


def path_of(row: str) -> Path:
    return HERE / f"linear_gaussian-{row}.json"


def finish(row: str) -> None:
    """Train one guide, measure what it leaves, and store the row."""
    trained_at = commit()
    torch.manual_seed(SEED)
    model, guide, started = make_model(), make_guide(row), time.perf_counter()
    trained = not row.endswith("exact")
    if trained:
        train(model, guide)
    else:
        set_exactly(guide, model)
    seconds = time.perf_counter() - started
    torch.manual_seed(SEED + 1)  # the same clips for every row
    settings = {"steps": NUM_STEPS, "batch_size": BATCH_SIZE, "seed": SEED, "seconds": round(seconds, 1)}
    result = {
        "command": f"python docs/results/linear_gaussian.py --rows {row}",
        "library_commit": trained_at,
        "model": {"frames": NUM_FRAMES, "pixels": NUM_PIXELS, "codes": DIM, "scale": SCALE, "seed": MODEL_SEED},
        "training": settings if trained else None,
        "least_gap": least_gap(row, model) / NUM_FRAMES,
        "scores": score(model, guide),
    }
    path_of(row).write_text(json.dumps(result, indent=1) + "\n")


def line(row: str) -> str:
    result = json.loads(path_of(row).read_text())
    gap, elbo, iwae, evidence = (result["scores"][name] for name in ("gap", "elbo", "iwae", "evidence"))
    cells = [*ROWS[row], f"{result['least_gap']:.4f}", f"{gap['value']:.4f}", f"{gap['low']:.4f} to {gap['high']:.4f}"]
    return "| " + " | ".join([*cells, *(f"{one['value']:.3f}" for one in (elbo, iwae, evidence))]) + " |"


def table() -> str:
    """The finished rows as Markdown, and the names of the missing ones."""
    missing = [row for row in ROWS if not path_of(row).exists()]
    lines = HEAD + [line(row) for row in ROWS if row not in missing]
    if missing:
        lines += ["", f"Missing: {', '.join(missing)}; run `python docs/results/linear_gaussian.py`."]
    return "\n".join(lines)


def write_blocks(text: str) -> str:
    """Return a page with the table between its markers."""
    return shared_results.write_blocks(text, {"linear_gaussian": table})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", metavar="NAME", choices=ROWS, help="train these rows alone (default: all)")
    parser.add_argument("--table-only", action="store_true", help="train nothing, print what is finished")
    parser.add_argument("--write", action="store_true", help="write the table into the paper's page")
    options = parser.parse_args()
    pyro.enable_validation(False)
    for row in options.rows or ROWS:
        if not path_of(row).exists() and not options.table_only:
            finish(row)
            print(line(row), flush=True)
    if options.write:
        PAGE.write_text(write_blocks(PAGE.read_text(encoding="utf8")), encoding="utf8")
    print(table())


if __name__ == "__main__":
    main()
