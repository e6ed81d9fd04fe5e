"""Small files in the form of MNIST's, and where the real ones may be."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest

NUM = 60


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write unsigned bytes in the IDX format."""
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def write_items(root: Path, name: str = "MNIST", seed: int = 0) -> Path:
    """Write the four files, 60 images each, ten types in turn; returns the folder to give as root."""
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    draw = np.random.RandomState(seed)
    for part in ("train", "t10k"):
        write_idx(folder / f"{part}-images-idx3-ubyte", draw.randint(1, 256, (NUM, 28, 28)))
        write_idx(folder / f"{part}-labels-idx1-ubyte", np.arange(NUM) % 10)
    return root


def real_root() -> Path:
    """The folder with the real files; skips the test where there is none."""
    for root in (Path(os.environ.get("PYRODIS_DATA", "")), Path(__file__).parents[2].parent / "shared" / "data"):
        if all((root / name / "raw").is_dir() for name in ("MNIST", "FashionMNIST")):
            return root
    pytest.skip("needs the files of MNIST and Fashion-MNIST")
