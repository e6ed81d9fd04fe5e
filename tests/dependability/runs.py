"""Trainings of seconds at most, one a kind of what a run keeps, and a server that starts them as processes.

`python -m tests.dependability.runs` imports everything once and then forks a process for each line of its input.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.utils.tensorboard  # here and below: once for all processes
from torch import Tensor, nn

from pyrodis import add_penalty, fit
from pyrodis.guides import DiagonalTransition, FullGuide, StructuredGuide, WhatWhereGuide
from pyrodis.infer import FitSettings, SlowLearning, callbacks, engine, fit_stages, together_stages
from pyrodis.infer.density_ratio import DensityRatio
from pyrodis.models import DSVAE, BetaVAE, DynamicsPrior, LSTMPrior, NormalPixels, WhatWhereVAE
from pyrodis.nn import ConvDecoder, ConvEncoder, PatchShuffle, RandomTones
from pyrodis.regularizers import temporal_difference
from tests.infer import parallel, tiny

ALREADY_IMPORTED = (callbacks, engine)
FRAME = (1, 8, 8)
Pair = tuple[nn.Module, nn.Module]


def clips(num: int, seed: int, num_frames: int = 4) -> Tensor:
    return torch.rand(num, num_frames, *FRAME, generator=torch.Generator().manual_seed(seed))


def plain() -> Pair:
    """Batch normalization and dropout, which have buffers and noise."""
    return tiny.make_pair()


def viewed() -> Pair:
    """The DSVAE of the default preset: recurrent prior, full guide, views that draw noise of their own."""
    model = DSVAE(ConvDecoder(5, FRAME, base_channels=2), LSTMPrior(2, 4), NormalPixels(), 3, 2, num_frames=4)
    guide = FullGuide(
        ConvEncoder(FRAME, 4, base_channels=2), 3, 2, 4, static_view=PatchShuffle(4), dynamic_view=RandomTones()
    )
    return model, guide


def penalized() -> Pair:
    """A penalty with weights, which Adam has moments of, and one without."""
    model, guide = tiny.make_pair()
    guide = add_penalty(guide, "dependence", DensityRatio(2, 3, 4, 8), 0.5, side="guide")
    return model, add_penalty(guide, "slowness", lambda output: temporal_difference(output["z"]), 0.1, side="guide")


def structured() -> Pair:
    """The pair of the moving circle: a block-tridiagonal posterior."""
    model = BetaVAE(ConvDecoder(2, FRAME, base_channels=2), DynamicsPrior(2), NormalPixels(), 2, 4)
    transition = DiagonalTransition(4, 2, hidden_dim=3)
    return model, StructuredGuide(ConvEncoder(FRAME, 4, base_channels=2), 2, hidden_dim=4, transition=transition)


def what_where() -> Pair:
    model = WhatWhereVAE(ConvDecoder(5, FRAME, base_channels=2), NormalPixels(), 3, 2, num_frames=4)
    encoders = (ConvEncoder(FRAME, 4, base_channels=2) for _ in range(2))
    return model, WhatWhereGuide(*encoders, 3, 2)


def settings(kind: str, every_step: bool) -> FitSettings:
    own: dict[str, Any] = {
        "plain": {"kl_weights": {"z": 0.5}, "kl_warmup_epochs": 2, "gradient_clip": 5.0},
        "viewed": {"kl_cooldown_epochs": {"f": 1}, "schedule": "cosine"},
        "penalized": {"patience": 2, "learning_rate": 0.02, "num_epochs": 8},
        "structured": {"schedule": "constant", "max_steps": 20},
        "stages": {"slow_learning": SlowLearning(halving_kl=2.0, memory=0.5)},
    }.get(kind, {})
    shared = {"num_epochs": 5, "batch_size": 4, "warmup_steps": 3, "device": "cpu"}
    return FitSettings(**(shared | own), checkpoint_minutes=1e-9 if every_step else 10.0)


def train(kind: str, output: Path, every_step: bool, hook: Callable[[], None]) -> None:
    """Train one kind of pair in a directory, or go on with the run that is there."""
    torch.manual_seed(0)
    model, guide = parallel.make_pair() if kind == "stages" else KINDS[kind]()
    model.register_forward_hook(lambda *_: hook())
    chosen = settings(kind, every_step)
    if kind == "stages":
        data = (parallel.make_images(), parallel.make_images(4, 2))
        stages = together_stages(2, num_epochs=2)
        fit_stages(model, guide, stages, lambda items: data, settings=chosen, output=output, resume=True)
        return
    small = kind in ("plain", "penalized")
    pair = (tiny.make_frames(), tiny.make_frames(7, 2)) if small else (clips(18, 1), clips(5, 2))
    fit(model, guide, pair[0], validation=pair[1], settings=chosen, output=output, resume=True)


KINDS: dict[str, Any] = {
    "plain": plain,
    "viewed": viewed,
    "penalized": penalized,
    "structured": structured,
    "what_where": what_where,
    "stages": parallel.make_pair,
}


def run(kind: str, output: str, every_step: bool, call: int, delay: float) -> None:
    """Train in this process, which is killed some seconds after so many calls of its model (0 for never)."""
    calls, process = 0, os.getpid()

    def count() -> None:
        nonlocal calls
        calls += 1
        if calls == call and os.fork() == 0:
            time.sleep(delay)
            os.kill(process, signal.SIGKILL)
            os._exit(0)

    train(kind, Path(output), every_step, count)
    Path(f"{output}.calls").write_text(str(calls), encoding="utf8")


def serve() -> None:
    """Run each line of the input, the arguments of `run`, in a process of its own; answer with how it ended."""
    torch.set_num_threads(1)
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            run(*json.loads(line))
            sys.stderr.flush()
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
