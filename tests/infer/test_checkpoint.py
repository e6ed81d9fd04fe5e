"""Files are whole or absent, and a bad one is refused in one sentence, without unpickling."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch
from safetensors.torch import save_file
from torch import nn

from pyrodis.infer.checkpoint import (
    RunState,
    collect_weights,
    load_weights,
    read_checkpoint,
    read_weights,
    save_weights,
    write_atomic,
    write_checkpoint,
)


class Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("pwned").touch, ())


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail(target: Path) -> None:
        target.write_text("half")
        raise RuntimeError("no space left")

    with pytest.raises(OSError, match=r"file cannot be written: no space left; check its permissions"):
        write_atomic(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_checkpoint_round_trip_is_exact(tmp_path: Path) -> None:
    model, guide = nn.Linear(3, 2), nn.Conv2d(1, 2, 3).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam([*model.parameters(), *guide.parameters()])
    (model(torch.ones(1, 3)).sum() + guide(torch.ones(1, 1, 3, 3)).sum()).backward()
    optimizer.step()
    state = RunState(7, {"nll": 0.1 + 0.2}, 4, 1.5, [{"epoch": 1, "train_nll": 1 / 3}], 0.7, 1, "")
    write_checkpoint(tmp_path / "a.ckpt", collect_weights(model, guide), optimizer.state_dict(), state)
    weights, optimizer_state, read = read_checkpoint(tmp_path / "a.ckpt")
    assert read == state
    assert all(torch.equal(weights[name], value) for name, value in collect_weights(model, guide).items())
    for index, entry in optimizer.state_dict()["state"].items():
        assert all(torch.equal(entry[key], optimizer_state["state"][index][key]) for key in entry)


def test_weights_survive_sharing_between_model_and_guide(tmp_path: Path) -> None:
    shared = nn.Linear(2, 2)
    save_weights(tmp_path / "w.safetensors", shared, nn.Sequential(shared))
    assert sorted(read_weights(tmp_path / "w.safetensors")) == [
        "guide.0.bias",
        "guide.0.weight",
        "model.bias",
        "model.weight",
    ]


@pytest.mark.parametrize("contents", [b"", b"nonsense", None], ids=["empty", "foreign", "truncated"])
def test_damaged_checkpoints(tmp_path: Path, contents: bytes | None) -> None:
    path = tmp_path / "last.ckpt"
    write_checkpoint(path, {"model.w": torch.zeros(500)}, {}, RunState())
    path.write_bytes(path.read_bytes()[:1000] if contents is None else contents)
    with pytest.raises(ValueError, match=r"last\.ckpt cannot be read, it is truncated or no checkpoint of pyrodis"):
        read_checkpoint(path)


def test_a_checkpoint_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"format": "pyrodis.checkpoint", "state": Malicious()}, "a.ckpt")
    Path("b.ckpt").write_bytes(pickle.dumps(Malicious()))
    for name in ("a.ckpt", "b.ckpt"):
        with pytest.raises(ValueError, match="cannot be read"):
            read_checkpoint(Path(name))
    assert not Path("pwned").exists()


def test_foreign_and_newer_checkpoints(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "lightning.ckpt")
    with pytest.raises(ValueError, match=r"lightning\.ckpt was not written by pyrodis: its format is None"):
        read_checkpoint(tmp_path / "lightning.ckpt")
    torch.save({"format": "pyrodis.checkpoint", "format_version": 99}, tmp_path / "new.ckpt")
    with pytest.raises(ValueError, match=r"format version 99, this pyrodis reads up to 1; upgrade pyrodis"):
        read_checkpoint(tmp_path / "new.ckpt")
    torch.save({"format": "pyrodis.checkpoint", "format_version": 1, "weights": {}}, tmp_path / "part.ckpt")
    with pytest.raises(ValueError, match=r"part\.ckpt lacks a part of a checkpoint"):
        read_checkpoint(tmp_path / "part.ckpt")


def test_damaged_and_foreign_weights(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist; a run writes it when its first epoch ends"):
        read_weights(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"bad\.safetensors cannot be read, it is truncated or no safetensors file"):
        read_weights(tmp_path / "bad.safetensors")
    save_file({"w": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ValueError, match=r"foreign\.safetensors was not written by pyrodis"):
        read_weights(tmp_path / "foreign.safetensors")
    for metadata in ({"format": "pyrodis.weights", "format_version": "2"}, {"format": "pyrodis.weights 2"}):
        save_file({"w": torch.zeros(1)}, tmp_path / "new.safetensors", metadata)
        with pytest.raises(ValueError, match="format version 2, this pyrodis reads up to 1"):
            read_weights(tmp_path / "new.safetensors")
    former = {"format": "pyrodis.weights", "format_version": "1"}  # two entries, which came in any order
    save_file({"w": torch.ones(1)}, tmp_path / "former.safetensors", former)
    assert read_weights(tmp_path / "former.safetensors")["w"].tolist() == [1.0]


def test_the_same_weights_are_the_same_bytes(tmp_path: Path) -> None:
    model, guide = nn.Linear(2, 1), nn.Linear(1, 2)
    paths = [tmp_path / f"{number}.safetensors" for number in range(8)]
    for path in paths:
        save_weights(path, model, guide)
    assert len({path.read_bytes() for path in paths}) == 1


def test_weights_of_another_pair_change_nothing() -> None:
    model, guide = nn.Linear(2, 1), nn.Linear(1, 2)
    before = collect_weights(model, guide)
    other = {name: value + 1 for name, value in before.items()}
    cases = [
        ({k: v for k, v in other.items() if k != "guide.bias"}, "has no weights for guide.bias"),
        (other | {"guide.extra": torch.zeros(1)}, "holds guide.extra, which neither model nor guide has"),
        (other | {"guide.bias": torch.zeros(5)}, r"holds guide.bias of shape \(5,\), expected \(2,\)"),
    ]
    for weights, match in cases:
        with pytest.raises(ValueError, match=match):
            load_weights(model, guide, weights, Path("w"))
        assert all(torch.equal(value, before[name]) for name, value in collect_weights(model, guide).items())
    load_weights(model, guide, other, Path("w"))
    assert torch.equal(guide.bias, other["guide.bias"])


def test_weights_that_cannot_be_written_are_an_os_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise safetensors.SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match=r"w\.safetensors cannot be written: I/O error: No space left .* the free space"):
        save_weights(tmp_path / "w.safetensors", nn.Identity(), nn.Identity())
    assert list(tmp_path.iterdir()) == []
