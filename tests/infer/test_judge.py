"""Judges: what is cached, what is trained anew, and what may not judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pyrodis.infer import train_judge


class Squares(Dataset[dict[str, Tensor]]):
    """Gray clips whose two factors are their brightness and whether it alternates; labels can be made wrong."""

    name, seed, num_frames, frame_shape = "squares", 0, 4, (1, 8, 8)
    factor_names, factor_sizes = ("motion", "gray"), (2, 2)

    def __init__(self, split: str, wrong: bool = False) -> None:
        self.split = split
        self.wrong = wrong
        self.checksum = f"{int(wrong)}" * 64

    def __len__(self) -> int:
        return 256

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        motion, gray = index % 2, index // 2 % 2
        x = torch.full((4, 1, 8, 8), 0.3 + 0.5 * gray)
        x[1::2, :, 4:] -= 0.3 * motion
        factors = torch.tensor([motion, gray])
        return {"x": x, "factors": 1 - factors if self.wrong else factors}


def judge(tmp_path: Path, **options: Any) -> tuple[Any, dict[str, float], list[str]]:
    lines: list[str] = []
    data = {"train": Squares("train"), "test": Squares("test")} | options
    settings = {"num_epochs": 10, "cache": tmp_path, "report": lines.append} | {
        name: value for name, value in data.items() if name not in ("train", "test")
    }
    trained, accuracies = train_judge(data["train"], data["test"], **settings)
    return trained, accuracies, lines


def test_a_judge_is_trained_once(tmp_path: Path) -> None:
    first, accuracies, lines = judge(tmp_path)
    assert accuracies == {"motion": 1.0, "gray": 1.0}
    assert len(lines) == 10
    again, same, quiet = judge(tmp_path)
    assert (same, quiet) == (accuracies, [])
    assert not again.training
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert judge(tmp_path, seed=1)[2], "another seed is another judge"


def test_cached_accuracies_are_those_of_the_test_set_that_is_given(tmp_path: Path) -> None:
    judge(tmp_path)
    _, accuracies, lines = judge(tmp_path, test=Squares("test", wrong=True), required_accuracy=0.0)
    assert accuracies == {"motion": 0.0, "gray": 0.0}
    assert lines == []


def test_a_judge_that_cannot_read_real_clips_may_not_judge(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"accuracy \{'motion': 0\.0, 'gray': 0\.0\}, below 0\.999, so it may not"):
        judge(tmp_path, test=Squares("test", wrong=True))


@pytest.mark.parametrize("contents", [b"", b"no tensors"])
def test_a_damaged_cache_is_trained_anew(tmp_path: Path, contents: bytes) -> None:
    judge(tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    path.write_bytes(contents)
    _, accuracies, lines = judge(tmp_path)
    assert len(lines) == 10
    assert accuracies == {"motion": 1.0, "gray": 1.0}


def test_a_judge_leaves_the_generator_as_it_was(tmp_path: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    judge(tmp_path)
    assert torch.equal(torch.rand(2), expected)
