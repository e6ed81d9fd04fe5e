"""The published file of Moving MNIST: read where it is, refused where it is not whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyrodis.datasets import MovingMNIST
from pyrodis.testing import check_dataset


def write_clips(root: Path, shape: tuple[int, ...] = (20, 20, 64, 64), dtype: Any = np.uint8) -> np.ndarray:
    path = root / "MovingMNIST" / "mnist_test_seq.npy"
    path.parent.mkdir(parents=True)
    clips = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    np.save(path, clips)
    return clips


def test_clips_are_those_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = write_clips(tmp_path)
    monkeypatch.setenv("PYRODIS_DATA", str(tmp_path))
    parts = [MovingMNIST(split=split) for split in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [16, 2, 2]
    for part in parts:
        check_dataset(part)
    x = torch.stack([part[i]["x"] for part in parts for i in range(len(part))])
    assert np.array_equal((255 * x[:, :, 0]).round().byte().numpy(), clips.swapaxes(0, 1))
    assert parts[0].factors.shape == (16, 0)


@pytest.mark.parametrize(
    ("shape", "dtype", "problem"),
    [
        ((20, 20, 64, 60), np.uint8, r"got uint8 \(20, 20, 64, 60\)"),
        ((10, 20, 64, 64), np.uint8, r"got uint8 \(10, 20, 64, 64\)"),
        ((20, 10, 64, 64), np.float32, "got float32"),
        ((20, 9, 64, 64), np.uint8, "got 9 clips, fewer than 10"),
    ],
)
def test_refuses_another_file(tmp_path: Path, shape: tuple[int, ...], dtype: Any, problem: str) -> None:
    write_clips(tmp_path, shape, dtype)
    with pytest.raises(ValueError, match=problem):
        MovingMNIST(tmp_path)


@pytest.mark.parametrize("kept", [0, 50, 5000])
def test_refuses_a_broken_file(tmp_path: Path, kept: int) -> None:
    write_clips(tmp_path)
    path = tmp_path / "MovingMNIST" / "mnist_test_seq.npy"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"must be a whole file of clips uint8 .* cannot be read .*; replace it"):
        MovingMNIST(tmp_path)


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"mnist_test_seq\.npy, which is missing .* pass download=True, or use"):
        MovingMNIST(tmp_path)
    with pytest.raises(ValueError, match="split must be one of"):
        MovingMNIST(tmp_path, split="all")
