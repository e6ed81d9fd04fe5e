"""What goes wrong around a training: full disks, damaged files, vanished data, memory; one sentence, nothing lost."""

from __future__ import annotations

import os
import resource
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pyrodis import fit
from pyrodis.infer import FitSettings
from pyrodis.infer.checkpoint import collect_weights, read_checkpoint, write_atomic
from pyrodis.infer.judge import Judge, save_cached
from pyrodis.infer.run_directory import RunDirectory
from pyrodis.infer.sampler import StepBatchSampler
from tests.infer.tiny import make_frames, make_pair

SETTINGS = FitSettings(num_epochs=3, batch_size=8, device="cpu", warmup_steps=2, checkpoint_minutes=1e-9)
NUM_STEPS = 9
Hook = Callable[[int], None]


def train(output: Path | None, data: Any = None, hook: Hook | None = None, **changes: Any) -> dict[str, torch.Tensor]:
    """Train the tiny pair in a directory, or go on there; the hook gets the number of each call of the model."""
    model, guide = make_pair()
    if hook is not None:
        model.register_forward_hook(lambda *_: hook(model.calls))
    data = make_frames() if data is None else data
    fit(model, guide, data, settings=replace(SETTINGS, **changes), output=output, resume=output is not None)
    return collect_weights(model, guide)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def whole() -> dict[str, torch.Tensor]:
    return train(None)


def fail_at(call: int, error: BaseException) -> Hook:
    def hook(number: int) -> None:
        if number == call:
            raise error

    return hook


def step_of(path: Path) -> int:
    return read_checkpoint(path)[2].step


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def flip(path: Path) -> None:
    """One bit of a weight, which no header tells of."""
    data = bytearray(path.read_bytes())
    weight = read_checkpoint(path)[0]["model.decoder.weight"].numpy().tobytes()
    data[data.find(weight[:32]) + 5] ^= 1
    path.write_bytes(bytes(data))


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, flip, empty])
def test_a_damaged_checkpoint_costs_the_steps_since_the_one_before(
    whole: dict[str, torch.Tensor], tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    with pytest.raises(RuntimeError, match="power"):
        train(tmp_path, hook=fail_at(6, RuntimeError("power")))
    last = tmp_path / "checkpoints" / "last.ckpt"
    assert (step_of(last), step_of(last.with_name("previous.ckpt"))) == (5, 4)
    damage(last)
    sentence = r"last\.ckpt in .* cannot be read and is kept as \*\.damaged; .* goes on from previous\.ckpt, step 4"
    with pytest.warns(UserWarning, match=sentence):
        resumed = train(tmp_path)
    assert same(resumed, whole)
    assert last.with_name("last.ckpt.damaged").exists()
    assert step_of(last) == NUM_STEPS


def test_without_last_and_previous_the_best_epoch_is_gone_on_from(tmp_path: Path) -> None:
    data = {"validation": make_frames(5, 2), "settings": replace(SETTINGS, schedule="constant"), "output": tmp_path}
    expected = make_pair()
    fit(*expected, make_frames(), **(data | {"output": None}))
    fit(*make_pair(), make_frames(), **data)
    for name in ("last.ckpt", "previous.ckpt"):
        truncate(tmp_path / "checkpoints" / name)
    pair = make_pair(5)
    with pytest.warns(UserWarning, match=r"last\.ckpt and previous\.ckpt in .* goes on from best\.ckpt"):
        fit(*pair, make_frames(), **data, resume=True)
    assert same(collect_weights(*pair), collect_weights(*expected))


@contextmanager
def disk_of(num_bytes: int) -> Iterator[None]:
    """No file may grow beyond so many bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_stops_with_one_sentence_and_keeps_the_last_checkpoint(
    whole: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(number: int) -> None:
        if number == 5:
            resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))

    try:
        with pytest.raises(OSError, match=r"last\.ckpt cannot be written: .*; check its permissions and the free") as e:
            train(tmp_path, hook=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(e.value)
    assert step_of(tmp_path / "checkpoints/last.ckpt") == 4
    assert not list(tmp_path.rglob("*.tmp"))
    assert same(train(tmp_path), whole)


@contextmanager
def nobody() -> Iterator[None]:
    """Rights of a user who owns nothing, where the tests run as root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_directory_that_may_not_be_written(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    for folder in (tmp_path, path):
        folder.chmod(0o555)
    with nobody(), pytest.raises(OSError, match=r"run cannot be written \(Permission denied\); choose another path"):
        RunDirectory(path)
    with nobody(), pytest.raises(OSError, match=r"a\.json cannot be written: .*; check its permissions and the free"):
        write_atomic(path / "a.json", lambda target: target.write_text("{}"))
    path.chmod(0o755)


class Clips(list[Any]):
    """A data set of items of frames, whose files can vanish."""

    def __init__(self, fails: Callable[[int], bool] = lambda index: False) -> None:
        super().__init__({"x": x} for x in make_frames())
        self.fails = fails

    def __getitem__(self, index: Any) -> Any:
        if self.fails(index):
            raise FileNotFoundError("/videos/7.mp4 must stay where it was, but it is gone; put it back")
        return super().__getitem__(index)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_data_that_vanish_cost_no_step(whole: dict[str, torch.Tensor], tmp_path: Path, num_workers: int) -> None:
    gone = next(iter(StepBatchSampler(22, SETTINGS.batch_size, 0, 4, 5)))[3]
    seen: list[int] = []

    def fails(index: int) -> bool:
        seen.append(index)
        return index == gone and seen.count(gone) > 1  # in the second epoch

    with pytest.raises(FileNotFoundError, match=r"^/videos/7\.mp4 must stay where it was.*") as caught:
        train(tmp_path, Clips(fails), num_workers=num_workers, checkpoint_minutes=100.0)
    assert "\n" not in str(caught.value)
    assert step_of(tmp_path / "checkpoints/last.ckpt") >= 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(train(tmp_path, Clips()), whole)


def test_nan_in_an_item_is_named(tmp_path: Path) -> None:
    bad = max(next(iter(StepBatchSampler(22, SETTINGS.batch_size, 0, 4, 5))))
    data = Clips()
    list.__setitem__(data, bad, {"x": make_frames()[bad] * float("nan")})
    first = next(s for s in range(9) if bad in next(iter(StepBatchSampler(22, SETTINGS.batch_size, 0, s, s + 1))))
    expected = rf"the loss term 'nll' became nan at epoch \d, step {first + 1}, as train\[{bad}\]\['x'\] holds NaN"
    if first < 3:
        expected = rf"train\[{bad}\]\['x'\] holds NaN; mend that item; "
    with pytest.raises((FloatingPointError, ValueError), match=expected):
        train(tmp_path, data)


def test_nan_in_the_loss_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    model, guide = make_pair(poison=5)
    expected = (
        r"the loss term 'nll' became nan at epoch 2, step 6; the last good checkpoint, of step 5, is kept in "
        r".*last\.ckpt; train again with a lower learning_rate or with gradient_clip"
    )
    with pytest.raises(FloatingPointError, match=expected):
        fit(model, guide, make_frames(), settings=SETTINGS, output=tmp_path)
    assert all(value.isfinite().all() for value in read_checkpoint(tmp_path / "checkpoints/last.ckpt")[0].values())


def too_much(number: int) -> None:
    if number == 5:
        torch.empty(2**60)


@pytest.mark.parametrize("hook", [too_much, fail_at(5, MemoryError())])
def test_memory_that_runs_out_says_what_to_lower(whole: dict[str, torch.Tensor], tmp_path: Path, hook: Hook) -> None:
    expected = (
        r"memory ran out at epoch 2, step 5; lower batch_size, which is 8, the number of frames or the sizes of the "
        r"networks; the last good checkpoint, of step 4, is kept in .*last\.ckpt"
    )
    with pytest.raises(MemoryError, match=expected):
        train(tmp_path, hook=hook)
    assert same(train(tmp_path), whole)


def test_a_finished_run_that_lost_its_history_gets_it_back(tmp_path: Path) -> None:
    train(tmp_path)
    history = tmp_path / "history.csv"
    before = history.read_text()
    history.unlink()
    train(tmp_path)
    assert history.read_text() == before


def test_an_overwrite_that_was_killed_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path)
    removed: list[Path] = []

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if len(removed) == 2:
            raise KeyboardInterrupt
        removed.append(path)
        os.unlink(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        with pytest.raises(KeyboardInterrupt):
            fit(*make_pair(), make_frames(), settings=SETTINGS, output=tmp_path, overwrite=True)
    fit(*make_pair(), make_frames(), settings=SETTINGS, output=tmp_path, overwrite=True)
    assert step_of(tmp_path / "checkpoints/last.ckpt") == NUM_STEPS


def test_a_judge_that_cannot_be_kept_is_not_lost(tmp_path: Path) -> None:
    judge = Judge((1, 8, 8), (2,), 2)
    path = tmp_path / "judge.safetensors"
    found = {"accuracies": {"a": 1.0}, "tested_on": "clips"}
    with disk_of(100), pytest.warns(UserWarning, match=r"the judge is not kept for the next time, as .* cannot be"):
        save_cached(judge, path, found)
    assert list(tmp_path.iterdir()) == []
    save_cached(judge, path, found)
    assert path.exists()
