"""The code on the pages of the papers runs, block after block, and what the pages say of it is so."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from pyrodis.datasets import DigitPairs, MNISTItems

ROOT = Path(__file__).resolve().parents[1]
PAPERS = ROOT / "docs" / "papers"
PAGES = ("dsvae", "disentangling_via_dynamics", "disentangled_dynamics", "parallel_vae", "what_where")


def run_blocks(page: str) -> dict[str, Any]:
    """Run the Python blocks of a page in one namespace, and return its names."""
    torch.manual_seed(0)
    path = PAPERS / f"{page}.md"
    blocks = re.findall(r"^```python\n(.+?)^```$", path.read_text(encoding="utf8"), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) > 2
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(path), "exec"), names)
    return names


def test_the_code_of_disentangling_via_dynamics_runs() -> None:
    names = run_blocks("disentangling_via_dynamics")
    assert names["model"].prior.eigenvalues.shape == (4,)
    assert names["guide"](names["x"])["eigenvalues"].shape == (1, 9, 4)
    assert names["filled"].shape == names["x"].shape


def test_the_code_of_disentangled_dynamics_runs() -> None:
    names = run_blocks("disentangled_dynamics")
    torch.testing.assert_close(names["dream"], names["dream"][:, :1].expand_as(names["dream"]))
    torch.testing.assert_close(names["inertial"].weights(3), torch.tensor([[1.0, 0, 0], [1, 0, 0], [1, 0, 0]]))
    assert names["terms"].values["prediction"] > 0


def test_the_code_of_parallel_vae_runs() -> None:
    names = run_blocks("parallel_vae")
    assert names["drawn"]["masks"].shape == (5, 2, 28, 56)
    assert [row["stage"] for row in names["history"].rows] == [0, 1, 2]
    assert names["kl"].shape == (20, 2)
    assert 37 < names["gray"] < 41, "the page says 39 nats on average"
    assert 147 < names["color"] < 163, "the page says 155 nats on average"
    try:
        digits = MNISTItems(os.environ.get("PYRODIS_DATA", ROOT.parent / "shared" / "data"), download=False)
    except FileNotFoundError:
        return
    pairs = DigitPairs(digits, items=(0, 1, 2, 3), num_images=500)
    assert 95 < names["worth"](pairs) < 105, "the page says 100 nats on average"


def test_the_code_of_what_and_where_runs() -> None:
    names = run_blocks("what_where")
    assert len(names["history"].column("validation_barlow")) == 2
    assert 0.965 < names["near"] < 0.975, "the page says .97"
    assert 0.42 < names["far"] < 0.48, "the page says .45"
    assert names["exchanged"].shape == (2, 4, 1, 64, 64)
    assert names["loss"] > 0
    assert names["terms"].values["kl_what"] > 0


@pytest.mark.parametrize("num_frames", [2, 10, 50])
def test_a_unit_diagonal_bounds_what_stands_beside_it(num_frames: int) -> None:
    """The page's bound: positive definite below 1 / (2 cos(pi / (T + 1))), .521 for ten frames, and not above."""
    bound = 1 / (2 * math.cos(math.pi / (num_frames + 1)))
    beside = torch.ones(num_frames - 1, dtype=torch.float64)
    for factor, definite in ((1 - 1e-6, True), (1 + 1e-6, False)):
        matrix = torch.eye(num_frames).double() + factor * bound * (beside.diag(1) + beside.diag(-1))
        assert bool((torch.linalg.eigvalsh(matrix) > 0).all()) is definite
    if num_frames == 10:
        assert round(bound, 3) == 0.521


def test_every_file_that_the_pages_name_is_there() -> None:
    for page in PAGES:
        text = (PAPERS / f"{page}.md").read_text(encoding="utf8")
        named = set(re.findall(r"\b(?:tests|examples|docs/results)/[\w/]+\.py\b", text))
        assert named
        assert sorted(path for path in named if not (ROOT / path).is_file()) == []


@pytest.mark.parametrize("page", PAGES)
def test_every_object_that_the_tables_name_is_there(page: str) -> None:
    import importlib

    text = (PAPERS / f"{page}.md").read_text(encoding="utf8")
    for name in sorted(set(re.findall(r"`(pyrodis(?:\.\w+)+)`", text))):
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


def test_the_readme_lists_every_example() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf8")
    scripts = {path.name for path in (ROOT / "examples").glob("*.py") if not path.name.startswith("shared_")}
    assert set(re.findall(r"^\| `python examples/(\w+\.py)(?: --data mnist)?`", text, flags=re.MULTILINE)) == scripts
