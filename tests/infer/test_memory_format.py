"""Convolutions of whatever pyrodis hands out lie channels last, which a CPU runs in half the time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from pyrodis.guides import FullGuide
from pyrodis.infer import FitSettings, Judge
from pyrodis.infer.loading import load
from pyrodis.infer.training import fit
from pyrodis.ops import channels_last
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


def test_tensors_of_five_dimensions_stay_as_they_are() -> None:
    flat = nn.Sequential(nn.Conv3d(2, 3, 3), nn.Conv2d(2, 3, 3), nn.Linear(2, 2))
    before = {name: value.clone() for name, value in flat.state_dict().items()}
    strides = flat[0].weight.stride()
    assert channels_last(flat) is flat
    assert flat[0].weight.stride() == strides
    assert flat[1].weight.is_contiguous(memory_format=torch.channels_last)
    assert all(torch.equal(value, before[name]) for name, value in flat.state_dict().items())


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(TypeError, match="module must be a torch module, got Tensor"):
        channels_last(torch.zeros(1, 2, 3, 4))  # type: ignore[type-var]


def test_a_pair_with_a_volume_convolution_is_trained_and_loaded(tmp_path: Path) -> None:
    class Volume(nn.Module):
        """Features of the clip from a convolution over time, too."""

        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.feature_dim = nn.Conv3d(1, 2, 3, padding=1), 4
            self.linear = nn.Linear(2 * 64, 4)

        def forward(self, frames: torch.Tensor) -> torch.Tensor:
            maps = self.convolution(frames.movedim(-3, -4)).movedim(-4, -3)
            return self.linear(maps.flatten(-3))

    def make() -> tuple[nn.Module, nn.Module]:
        return tiny_dsvae()[0], FullGuide(Volume(), static_dim=3, dynamic_dim=2, hidden_dim=8)

    pair = make()
    fit(*pair, torch.rand(4, 5, 1, 8, 8), settings=FitSettings(num_epochs=1, device="cpu"), output=tmp_path)
    assert load(tmp_path, *make())[1].encoder.convolution.weight.shape == (2, 1, 3, 3, 3)
