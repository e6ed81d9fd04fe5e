"""What two processes that torchrun started do, for tests of several processes; each writes what it found."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from pyrodis.guides import DeltaWhatWhereGuide
from pyrodis.infer.checkpoint import collect_weights
from pyrodis.infer.penalties import add_penalty
from pyrodis.infer.processes import any_process, end_processes, first_process, joint_batch, on_first_process
from pyrodis.infer.settings import FitSettings
from pyrodis.infer.training import fit
from pyrodis.models import NormalPixels, WhatWhereVAE
from pyrodis.nn import EveryFrame
from pyrodis.regularizers import barlow_twins
from tests.infer.tiny import make_frames, make_pair

NUM_CLIPS, BATCH = 14, 5  # batches of 5, 5 and 4: two processes do not always have as many clips
EXACT: dict[str, Any] = {"num_epochs": 2, "batch_size": BATCH, "warmup_steps": 0, "device": "cpu"}
NOISY: dict[str, Any] = {"num_epochs": 2, "batch_size": 8, "schedule": "constant", "patience": 1, "device": "cpu"}


class Flat(torch.nn.Module):
    """Features of frames without a batch normalization."""

    feature_dim = 6

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(64, self.feature_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.flatten(-3)).tanh()


class Drawn(torch.nn.Module):
    """Frames from codes without a batch normalization."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(5, 64)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        return self.layer(codes).unflatten(-1, (1, 8, 8))


def twins(output: Any) -> torch.Tensor:
    return barlow_twins(output["what_frames"][:, 0], output["what_frames"][:, 1])


def make_exact(penalty: Any) -> tuple[torch.nn.Module, torch.nn.Module]:
    """A pair without noise, in double precision, under a penalty that couples the clips of a batch."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = WhatWhereVAE(Drawn(), NormalPixels(), what_dim=3, where_dim=2, what_per_frame=True).double()
        guide = DeltaWhatWhereGuide(
            Flat(), Flat(), what_dim=3, where_dim=2, what_reader=EveryFrame(), batch_norm=False
        ).double()
    return model, add_penalty(guide, "twins", penalty, 30.0, side="guide")


def exact_clips() -> torch.Tensor:
    return torch.rand(NUM_CLIPS, 2, 1, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def fit_exact(output: Path, penalty: Any, **settings: Any) -> dict[str, Any]:
    """Train the exact pair; return its weights and its history."""
    model, guide = make_exact(penalty)
    weights = {"kl_weights": {"what": 0.0, "where": 0.0}}
    history = fit(model, guide, exact_clips(), output=output, settings=FitSettings(**EXACT, **weights, **settings))
    return {"weights": collect_weights(model, guide), "rows": history.rows}


def fit_noisy(output: Path | None, **options: Any) -> dict[str, Any]:
    """Train a pair with noise, dropout and batch normalization; return its weights, buffers too, and its history."""
    model, guide = make_pair()
    settings = FitSettings(**(NOISY | options.pop("settings", {})))
    data = {"train": make_frames(), "validation": make_frames(7, 2)}
    history = fit(model, guide, **data, settings=settings, output=output, **options)
    return {"weights": collect_weights(model, guide), "rows": history.rows}


def gradients(penalty: Any) -> dict[str, torch.Tensor]:
    """Value of the penalty of this process, and the mean over processes of the gradient of its mean value."""
    number = torch.distributed.get_rank()
    codes = torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    scale = torch.ones(3, dtype=torch.float64, requires_grad=True)
    own = codes[number::2]
    value = penalty({"what_frames": own * scale + own.square()})
    value.mean().backward()
    gradient = scale.grad.clone()
    torch.distributed.all_reduce(gradient)
    return {"value": value.detach(), "gradient": gradient / 2}


def fails() -> str:
    try:
        on_first_process(lambda: 1 // 0)
    except ZeroDivisionError as error:
        return str(error)
    return ""


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    found = {
        "exact": fit_exact(folder / "exact", joint_batch(twins)),
        "apart": fit_exact(folder / "apart", twins),
        "noisy": fit_noisy(folder / "noisy"),
        "short": fit_noisy(folder / "resumed", settings={"num_epochs": 1}),
        "one_step": fit_noisy(None, settings={"max_steps": 1}),
        "resumed": fit_noisy(folder / "resumed", resume=True),
        "gradients": gradients(joint_batch(twins)),
        "error": fails(),
        "any": [any_process(first_process()), any_process(False)],
        "first": first_process(),
    }
    torch.save(found, folder / f"found{torch.distributed.get_rank()}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    end_processes()
