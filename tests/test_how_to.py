"""The code of the how-to pages runs, block after block."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "how-to"


def run_blocks(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the Python blocks of a page in an empty folder and in one namespace, and return its names."""
    path = PAGES / f"{page}.md"
    blocks = re.findall(r"^```python\n(.+?)^```$", path.read_text(encoding="utf8"), flags=re.MULTILINE | re.DOTALL)
    assert blocks
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": page}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for block in blocks:
            exec(compile(block, str(path), "exec"), names)
    return names


def test_own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run_blocks("own_data", tmp_path, monkeypatch)
    assert names["frames"].shape == (4, 6, 3, 16, 16)
    assert (tmp_path / "runs" / "own_data" / "weights.safetensors").is_file()


def test_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run_blocks("gpu", tmp_path, monkeypatch)
    assert names["frames"].shape == names["x"].shape


def test_several_gpus_as_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run_blocks("several_gpus", tmp_path, monkeypatch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    history = names["train"](num_clips=8, num_epochs=1, base_channels=2, batch_size=8)
    assert len(history.rows) == 1
    assert (tmp_path / "runs/on_all/weights.safetensors").is_file()
    x = torch.rand(3, 2, 1, 16, 16)
    assert names["penalized"](x)["what"].shape[0] == 3
    variables = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with torch.random.fork_rng(devices=[]):
        elbo = names["main"](num_clips=16, num_epochs=1, base_channels=2)
    assert all(parameter.grad is not None for parameter in elbo.parameters() if parameter.requires_grad)


def test_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run_blocks("export", tmp_path, monkeypatch)
    torch.testing.assert_close(names["same"], names["model"].decoder(torch.ones(1, 5)))
    assert names["settings"]["num_epochs"] == 1
    for file in ("codes.npz", "draws.nc", "reconstructed.gif"):
        assert (tmp_path / file).stat().st_size > 0


def test_extend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run_blocks("extend", tmp_path, monkeypatch)
    assert names["nats"].shape == ()
    x = torch.rand(2, 5, 1, 8, 8)
    assert torch.equal(names["LeftHalf"]()(x)[..., :4], x[..., :4])
