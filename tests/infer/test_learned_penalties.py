"""A penalty with weights of its own is trained, kept in checkpoints, and goes on bit for bit."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyrodis.infer.checkpoint import collect_weights, load_weights, read_checkpoint, read_weights
from pyrodis.infer.density_ratio import DensityRatio
from pyrodis.infer.interruption import TrainingInterrupted
from pyrodis.infer.penalties import add_penalty
from pyrodis.infer.settings import FitSettings
from pyrodis.infer.training import fit
from tests.infer.tiny import make_frames, make_pair


def make_penalized(seed: int = 0) -> tuple[Any, nn.Module, DensityRatio]:
    model, guide = make_pair(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        ratio = DensityRatio(2, 3, 4, 8)
    return model, add_penalty(guide, "dependence", ratio, 0.5, side="guide"), ratio


def train(output: Path | None, stop_at: int = 0, seed: int = 0, **changes: Any) -> dict[str, Tensor]:
    model, guide, _ = make_penalized(seed)
    if stop_at:
        model.register_forward_hook(lambda *_: os.kill(os.getpid(), signal.SIGINT) if model.calls == stop_at else None)
    settings = FitSettings(num_epochs=3, batch_size=4, warmup_steps=2, device="cpu", **changes)
    data = {"train": make_frames(), "validation": make_frames(7, 2)}
    fit(model, guide, **data, settings=settings, output=output, resume=output is not None)
    return collect_weights(model, guide, penalties=True)


def test_the_weights_of_a_penalty_are_trained() -> None:
    before = collect_weights(*make_penalized()[:2], penalties=True)
    after = train(None)
    learned = [name for name in before if name.startswith("penalty.dependence.")]
    assert len(learned) == 6
    assert not any(torch.equal(before[name], after[name]) for name in learned)


@pytest.mark.parametrize("stop_at", [4, 9])
def test_a_stopped_training_goes_on_bit_for_bit(tmp_path: Path, stop_at: int) -> None:
    whole = train(None)
    with pytest.raises(TrainingInterrupted):
        train(tmp_path, stop_at=stop_at)
    saved = read_checkpoint(tmp_path / "checkpoints/last.ckpt")[0]
    assert saved.keys() == whole.keys()
    resumed = train(tmp_path, seed=5)  # other initial weights: all of them must come from the checkpoint
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    shared = read_weights(tmp_path / "weights.safetensors")
    assert shared.keys() == {name for name in whole if not name.startswith("penalty.")}


def test_patience_gives_back_the_penalty_of_the_best_epoch() -> None:
    assert train(None, patience=1, learning_rate=0.3).keys() == train(None).keys()


def test_weights_without_those_of_the_penalty_are_refused_as_a_checkpoint() -> None:
    model, guide, _ = make_penalized()
    weights = collect_weights(model, guide)
    load_weights(model, guide, weights, Path("w"))
    with pytest.raises(ValueError, match=r"w has no weights for penalty\.dependence\.network\.0\.weight"):
        load_weights(model, guide, weights, Path("w"), penalties=True)
