"""A training that was killed or stopped anywhere goes on as if it had not been."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from pyrodis.infer.checkpoint import collect_weights, read_checkpoint, read_weights, write_checkpoint
from pyrodis.infer.history import History
from pyrodis.infer.interruption import StopRequest, TrainingInterrupted
from pyrodis.infer.settings import FitSettings
from pyrodis.infer.training import fit
from tests.infer import tiny
from tests.infer.tiny import make_frames, make_pair

ROOT = Path(__file__).parents[2]
CODE = "import sys, pathlib; from tests.infer import tiny; tiny.train(pathlib.Path(sys.argv[1]), seconds_a_call=0.05)"


def start(output: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", CODE, str(output)], env=environment, stderr=subprocess.PIPE, text=True
    )


def wait_for_step(output: Path, step: int) -> None:
    """Wait until the last checkpoint is of this step or a later one."""
    path = output / "checkpoints" / "last.ckpt"
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if path.exists() and read_checkpoint(path)[2].step >= step:
            return
        time.sleep(0.02)
    raise TimeoutError(f"no checkpoint of step {step}")


def rows(output: Path) -> list[dict[str, str]]:
    with (output / "history.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def assert_same_run(a: Path, b: Path) -> None:
    for read in (
        lambda p: read_weights(p / "weights.safetensors"),
        lambda p: read_checkpoint(p / "checkpoints/best.ckpt")[0],
    ):
        first, second = read(a), read(b)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)
    assert rows(a) == rows(b)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "whole"
    tiny.train(path)
    return path


def test_a_run_killed_at_a_random_step_ends_with_the_same_weights(uninterrupted: Path, tmp_path: Path) -> None:
    step = random.randint(2, 40)
    process = start(tmp_path / "killed")
    wait_for_step(tmp_path / "killed", step)
    time.sleep(random.uniform(0, 0.1))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, f"the run ended before it was killed at step {step}"
    assert read_checkpoint(tmp_path / "killed/checkpoints/last.ckpt")[2].step < 48
    tiny.train(tmp_path / "killed", resume=True)
    assert_same_run(uninterrupted, tmp_path / "killed")


def test_a_signal_from_outside_stops_after_the_step_and_saves(uninterrupted: Path, tmp_path: Path) -> None:
    output = tmp_path / "stopped"
    process = start(output)
    wait_for_step(output, 4)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    state = read_checkpoint(output / "checkpoints/last.ckpt")[2]
    assert process.returncode != 0
    assert errors.startswith("Traceback"), "nothing but the error may be written"
    assert 4 <= state.step < 48
    assert (
        f"TrainingInterrupted: training stopped at epoch {(state.step + 5) // 6}, step {state.step}; resume" in errors
    )
    tiny.train(output, resume=True)
    assert_same_run(uninterrupted, output)


@pytest.mark.parametrize("call", [1, 6, 7, 8, 9, 31])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_step_stops_and_saves(
    uninterrupted: Path, tmp_path: Path, number: signal.Signals, call: int
) -> None:
    def hook(model: tiny.TinyModel) -> None:
        if model.calls == call:
            os.kill(os.getpid(), number)

    with pytest.raises(TrainingInterrupted, match=r"last\.ckpt") as caught:
        tiny.train(tmp_path, hook=hook)
    assert read_checkpoint(tmp_path / "checkpoints/last.ckpt")[2].step == caught.value.step
    tiny.train(tmp_path, resume=True)
    assert_same_run(uninterrupted, tmp_path)


def test_a_second_signal_aborts_at_once(tmp_path: Path) -> None:
    def hook(model: tiny.TinyModel) -> None:
        if model.calls == 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="training aborted by a second signal"):
        tiny.train(tmp_path, hook=hook)
    assert read_checkpoint(tmp_path / "checkpoints/last.ckpt")[2].step == 2
    assert signal.getsignal(signal.SIGINT) == before


def settings(**changes: Any) -> FitSettings:
    return FitSettings(**({"num_epochs": 2, "batch_size": 8, "device": "cpu", "schedule": "constant"} | changes))


def train(output: Path | None, seed: int = 0, **options: Any) -> tuple[dict[str, torch.Tensor], History]:
    model, guide = make_pair(seed)
    history = fit(model, guide, make_frames(), output=output, **options)
    return collect_weights(model, guide), history


def test_a_stop_without_output_says_that_nothing_was_saved() -> None:
    model, guide = make_pair()
    model.register_forward_hook(lambda *_: os.kill(os.getpid(), signal.SIGINT) if model.calls == 2 else None)
    with pytest.raises(TrainingInterrupted, match="stopped at epoch 1, step 2; nothing was saved") as caught:
        fit(model, guide, make_frames(), settings=settings())
    assert (caught.value.epoch, caught.value.step, caught.value.checkpoint) == (1, 2, None)
    assert isinstance(caught.value, KeyboardInterrupt)


def test_a_complete_run_returns_at_once(tmp_path: Path) -> None:
    weights, history = train(tmp_path, settings=settings())
    before = (tmp_path / "checkpoints/last.ckpt").stat().st_mtime_ns
    again, history_again = train(tmp_path, seed=7, settings=settings(), resume=True)
    assert history_again == history
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert (tmp_path / "checkpoints/last.ckpt").stat().st_mtime_ns == before


def test_resume_of_nothing_starts(tmp_path: Path) -> None:
    assert len(train(tmp_path / "new", settings=settings(), resume=True)[1].rows) == 2


def test_a_constant_schedule_may_be_made_longer(tmp_path: Path) -> None:
    train(tmp_path, settings=settings())
    longer, history = train(tmp_path, settings=settings(num_epochs=5), resume=True)
    whole, expected = train(None, settings=settings(num_epochs=5))
    assert all(torch.equal(whole[name], longer[name]) for name in whole)
    assert history.column("train_total") == expected.column("train_total")


@pytest.mark.parametrize(("optimizer", "momentum"), [("rmsprop", 0.0), ("rmsprop", 0.5), ("sgd", 0.0), ("sgd", 0.9)])
def test_every_optimizer_goes_on_as_if_it_had_not_stopped(tmp_path: Path, optimizer: str, momentum: float) -> None:
    options = {"optimizer": optimizer, "momentum": momentum, "learning_rate": 1e-3}
    train(tmp_path, settings=settings(**options))
    longer, _ = train(tmp_path, settings=settings(num_epochs=4, **options), resume=True)
    whole, _ = train(None, settings=settings(num_epochs=4, **options))
    assert all(torch.equal(whole[name], longer[name]) for name in whole)
    with pytest.raises(ValueError, match=rf"training\.optimizer was '{optimizer}', is 'adam'"):
        train(tmp_path, settings=settings(num_epochs=4, learning_rate=1e-3), resume=True)


def test_the_state_of_another_optimizer_is_refused(tmp_path: Path) -> None:
    options = {"optimizer": "sgd", "momentum": 0.9}
    train(tmp_path, settings=settings(**options))
    path = tmp_path / "checkpoints" / "last.ckpt"
    weights, optimizer, state = read_checkpoint(path)
    for kept in optimizer["state"].values():
        del kept["momentum_buffer"]
    write_checkpoint(path, weights, optimizer, state)
    with pytest.raises(ValueError, match="the optimizer's state of the checkpoint must be that of this training"):
        train(tmp_path, settings=settings(num_epochs=4, **options), resume=True)


def test_a_cosine_may_not_be_made_longer_nor_any_run_shorter(tmp_path: Path) -> None:
    train(tmp_path / "cosine", settings=settings(schedule="cosine"))
    with pytest.raises(
        ValueError, match=r"training\.num_epochs was 2, is 5 \(under the cosine schedule, or with fewer"
    ):
        train(tmp_path / "cosine", settings=settings(schedule="cosine", num_epochs=5), resume=True)
    train(tmp_path / "constant", settings=settings())
    with pytest.raises(ValueError, match=r"training\.num_epochs was 2, is 1"):
        train(tmp_path / "constant", settings=settings(num_epochs=1), resume=True)


def test_an_early_stop_stays_stopped_when_the_run_is_made_longer(tmp_path: Path) -> None:
    options = {"patience": 2, "learning_rate": 0.1, "warmup_steps": 0, "gradient_clip": 10.0}
    first = train(tmp_path, settings=settings(num_epochs=30, **options), validation=make_frames(6, 4))[1]
    assert first.finished == "early stop"
    second = train(tmp_path, settings=settings(num_epochs=40, **options), validation=make_frames(6, 4), resume=True)[1]
    assert second == first


def test_what_cannot_change_a_result_may_differ_on_resume(tmp_path: Path) -> None:
    train(tmp_path, settings=settings())
    other = settings(num_epochs=4, num_workers=1, checkpoint_minutes=1.0)
    resumed, history = train(tmp_path, settings=other, resume=True)
    whole, expected = train(None, settings=settings(num_epochs=4))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert history.column("train_total") == expected.column("train_total")


def test_damaged_checkpoints_alone_are_refused(tmp_path: Path) -> None:
    train(tmp_path, settings=settings())
    for path in (tmp_path / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"last\.ckpt cannot be read, it is truncated .* overwrite=True"):
        train(tmp_path, settings=settings(), resume=True)


def test_signals_outside_a_watch_keep_their_handlers() -> None:
    before = signal.getsignal(signal.SIGINT)
    request = StopRequest()
    with request.watch():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
