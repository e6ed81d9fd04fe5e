"""Convolutions of whatever pyrodis hands out lie channels last, which a CPU runs in half the time."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from pyrodis.infer import FitSettings, Judge
from pyrodis.infer.loading import load
from pyrodis.infer.training import fit
from pyrodis.testing import tiny_dsvae
from tests.infer.test_digit_judge import judge_of
from tests.infer.test_judge import judge


def all_last(module: nn.Module) -> bool:
    kernels = [p for p in module.parameters() if p.ndim == 4 and p.shape[-1] > 1]
    return bool(kernels) and all(kernel.stride(1) == 1 for kernel in kernels)  # also told of a single channel


def test_a_pair_that_was_trained_resumed_or_loaded_lies_channels_last(tmp_path: Path) -> None:
    clips, settings = torch.rand(4, 5, 1, 8, 8), FitSettings(num_epochs=1, device="cpu")
    fresh = tiny_dsvae()
    assert not any(all_last(program) for program in fresh)
    fit(*fresh, clips, settings=settings, output=tmp_path)
    finished = tiny_dsvae()
    fit(*finished, clips, settings=settings, output=tmp_path, resume=True)
    for pair in (fresh, finished, load(tmp_path)):
        assert all(all_last(program) for program in pair)


def test_a_judge_from_the_cache_lies_channels_last(tmp_path: Path) -> None:
    for _ in range(2):
        assert all_last(judge_of(tmp_path)[0])
        found = judge(tmp_path)[0]
        assert isinstance(found, Judge)
        assert all_last(found)
