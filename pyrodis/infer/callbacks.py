"""What happens around the steps of a training: records, checkpoints, progress, stopping."""

from __future__ import annotations

import copy
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import pyro
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from pyrodis.infer.checkpoint import collect_weights, keep_copy, save_weights, write_checkpoint
from pyrodis.infer.engine import Engine
from pyrodis.infer.interruption import StopRequest
from pyrodis.infer.processes import any_process, first_process
from pyrodis.infer.run_directory import RunDirectory
from pyrodis.ops import check_frames

__all__ = ["Interruption", "Preview", "Progress", "Recorder", "ValidateFirstSteps"]


class ValidateFirstSteps(lightning.Callback):
    """Pyro's checks of shapes and supports, and ours of the frames, on for the first steps of a process, then off.

    Args:
        num_steps: Steps to check.
    """

    def __init__(self, num_steps: int = 3) -> None:
        self.num_steps = num_steps

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Check the frames of the first steps; switch Pyro's checks off when these are over."""
        if batch_idx < self.num_steps:
            check_frames(batch["x"], name="x of a batch")
        elif batch_idx == self.num_steps:
            pyro.enable_validation(False)


class Recorder(lightning.Callback):
    """Adds up terms, closes epochs, and keeps the run directory.

    Args:
        directory: Where to write; None to write nothing.
        validation: Loader of the validation data, or None.
    """

    def __init__(self, directory: RunDirectory | None, validation: DataLoader[Any] | None) -> None:
        self.directory = directory
        self.validation = validation
        self.best_weights: dict[str, Tensor] | None = None
        self._clock = self._saved = 0.0
        self._writer: Any = None
        self._stepping = False
        self._step = float("inf")  # the last one that is saved; unknown before the start

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Engine) -> None:  # type: ignore[override]
        """Start the clocks, and the log where there is a directory."""
        self._clock = self._saved = time.monotonic()
        self._step = pl_module.state.step
        if self.directory is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.directory.logs), purge_step=pl_module.state.step + 1)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Note that weights may change from here on."""
        self._stepping = True

    def on_train_batch_end(self, trainer: Any, pl_module: Engine, outputs: Any, batch: Any, batch_idx: int) -> None:  # type: ignore[override]
        """Count the step; close the epoch or save where it is time."""
        if not pl_module.ends_step:
            return
        state = pl_module.state
        for name, value in pl_module.values.items():
            state.sums[name] = state.sums.get(name, 0.0) + value * pl_module.num_clips
        state.num_seen += pl_module.num_clips
        state.step += 1
        if state.step % pl_module.steps_per_epoch == 0 or state.step == pl_module.num_steps:
            self._close_epoch(trainer, pl_module)
        elif time.monotonic() - self._saved >= 60 * pl_module.settings.checkpoint_minutes:
            self.save(pl_module)
        self._stepping = False

    def on_exception(self, trainer: Any, pl_module: Engine, exception: BaseException) -> None:  # type: ignore[override]
        """Save the steps made so far if it was no step that failed: within one, weights or buffers may have changed."""
        if isinstance(exception, Exception) and not self._stepping and pl_module.state.step > self._step:
            with suppress(OSError):  # the exception says more
                self.save(pl_module)

    def _close_epoch(self, trainer: lightning.Trainer, engine: Engine) -> None:
        state = engine.state
        epoch = -(-state.step // engine.steps_per_epoch)
        row: dict[str, float] = {"epoch": epoch, "step": state.step}
        row |= {f"train_{name}": value / state.num_seen for name, value in state.sums.items()}
        if self.validation is not None:
            row |= {f"validation_{name}": value for name, value in engine.evaluate(self.validation).items()}
        row |= {f"kl_weight_{site}": weight for site, weight in engine.kl_weights(state.step - 1).items()}
        row |= {"learning_rate": engine.rate, **engine.rate_factors(), "seconds": round(self._lap(engine), 3)}
        state.rows.append(row)
        state.sums, state.num_seen, state.seconds = {}, 0, 0.0
        total = row.get("validation_total")
        better = total is not None and (state.best is None or total < state.best)
        if better:
            state.best, state.best_epoch = total, epoch
        self._decide(trainer, engine, epoch)
        if better:
            self._keep_best(engine)
        self._write_epoch(engine, row)

    def _decide(self, trainer: lightning.Trainer, engine: Engine, epoch: int) -> None:
        state, patience = engine.state, engine.settings.patience
        if state.step == engine.num_steps:
            state.finished = "all steps"
        elif patience is not None and epoch - state.best_epoch >= patience:
            state.finished = "early stop"
            trainer.should_stop = True

    def _keep_best(self, engine: Engine) -> None:
        if engine.settings.patience is not None:
            self.best_weights = collect_weights(engine.model, engine.guide, penalties=True)
        if self.directory is not None:
            self._write_checkpoint(engine, self.directory.best)

    def _write_epoch(self, engine: Engine, row: dict[str, float]) -> None:
        if self.directory is None:
            return
        self.save(engine)
        self.directory.write_history(engine.state.rows)
        save_weights(self.directory.weights, engine.model, engine.guide)
        try:
            for name, value in row.items():
                if name not in ("epoch", "step"):
                    self._writer.add_scalar(name.replace("_", "/", 1), value, engine.state.step)
        except OSError as error:
            raise OSError(f"{self.directory.logs} cannot be written: {error}; check the free space") from error

    def save(self, engine: Engine) -> Path | None:
        """Save the last checkpoint; return its path, or None without a directory."""
        if self.directory is None:
            return None
        engine.state.seconds = self._lap(engine)
        keep_copy(self.directory.last, self.directory.previous)
        self._write_checkpoint(engine, self.directory.last)
        self._saved, self._step = time.monotonic(), engine.state.step
        return self.directory.last

    def leave_out(self, seconds: float) -> None:
        """Leave seconds that were no training out of the history.

        Args:
            seconds: How many have passed.
        """
        self._clock += seconds

    def _lap(self, engine: Engine) -> float:
        now = time.monotonic()
        seconds, self._clock = engine.state.seconds + now - self._clock, now
        return seconds

    def _write_checkpoint(self, engine: Engine, path: Path) -> None:
        weights = collect_weights(engine.model, engine.guide, penalties=True)
        write_checkpoint(path, weights, engine.trainer.optimizers[0].state_dict(), engine.state)

    def close(self) -> None:
        """Close the log."""
        if self._writer is not None:
            with suppress(OSError):  # of a full disk, said before
                self._writer.close()


class Preview(lightning.Callback):
    """Shows copies of model and guide after some minutes, and whenever twice that time has passed again.

    Args:
        show: What is called with them, on the CPU and in eval mode.
        recorder: What counts the seconds of the training, which these are not.
        minutes: Until the first time.
    """

    def __init__(
        self, show: Callable[[nn.Module, nn.Module], object], recorder: Recorder, minutes: float = 2.0
    ) -> None:
        self.show = show
        self.recorder = recorder
        self.minutes = minutes
        self._clock = 0.0

    def on_train_start(self, trainer: Any, pl_module: Engine) -> None:  # type: ignore[override]
        """Start the clock, which runs anew in a resumed training."""
        self._clock = time.monotonic()

    def on_train_batch_end(self, trainer: Any, pl_module: Engine, outputs: Any, batch: Any, batch_idx: int) -> None:  # type: ignore[override]
        """Show them if it is time and the training goes on."""
        passed = time.monotonic() - self._clock
        if not pl_module.ends_step or pl_module.state.finished or passed < 60 * self.minutes:
            return
        while passed >= 60 * self.minutes:
            self.minutes *= 2
        start = time.monotonic()
        try:
            # Random numbers of a device need not be kept: those of every step are set before it.
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                pair = copy.deepcopy((pl_module.model, pl_module.guide))  # at once, so that what is shared stays so
                self.show(*(program.cpu().eval() for program in pair))
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            tqdm.write(f"the preview failed and the training goes on: {reason}", file=sys.stderr)
        self.recorder.leave_out(time.monotonic() - start)


class Interruption(lightning.Callback):
    """Saves and stops after the step in which a stop was asked for.

    Args:
        request: Whether a stop was asked for.
        recorder: What saves.
    """

    def __init__(self, request: StopRequest, recorder: Recorder) -> None:
        self.request = request
        self.recorder = recorder
        self.checkpoint: Path | None = None
        self.stopped = False

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Take the signals back from Lightning, which has set handlers of its own."""
        self.request.install()

    def on_train_batch_end(self, trainer: Any, pl_module: Engine, outputs: Any, batch: Any, batch_idx: int) -> None:  # type: ignore[override]
        """Save and stop if asked to, all processes after the same step."""
        if pl_module.ends_step and not pl_module.state.finished and any_process(self.request.asked):
            self.checkpoint = self.recorder.save(pl_module)
            self.stopped = trainer.should_stop = True


class Progress(lightning.Callback):
    """One bar for the whole training: loss terms, and the time left over all epochs.

    Where standard error is no terminal it is a line an epoch, at most one in 30 seconds. The environment variable
    ``TQDM_DISABLE=1`` silences it.
    """

    def __init__(self, seconds_between_lines: float = 30.0) -> None:
        self.seconds_between_lines = seconds_between_lines
        self._bar: Any = None
        self._terminal = False
        self._line = self._text = 0.0

    def on_train_start(self, trainer: Any, pl_module: Engine) -> None:  # type: ignore[override]
        """Open the bar."""
        self._terminal = sys.stderr.isatty()
        interval = 0.2 if self._terminal else float("inf")
        # A terminal without a size (some containers) would get no bar at all.
        sized = self._terminal and os.get_terminal_size(sys.stderr.fileno()).columns > 0
        self._bar = tqdm(
            disable=os.environ.get("TQDM_DISABLE", "0") not in ("", "0") or not first_process(),
            total=pl_module.num_steps,
            initial=pl_module.state.step,
            unit="step",
            dynamic_ncols=sized,
            ncols=None if sized else 120,
            nrows=None if sized else 24,
            mininterval=interval,
            file=sys.stderr if self._terminal else _Nowhere(),
        )

    def on_train_batch_end(self, trainer: Any, pl_module: Engine, outputs: Any, batch: Any, batch_idx: int) -> None:  # type: ignore[override]
        """Move the bar."""
        if not pl_module.ends_step:
            return
        now = time.monotonic()
        step = pl_module.state.step
        if self._terminal and now - self._text > 0.2:
            self._text = now
            self._bar.set_description_str(self._epoch(pl_module), refresh=False)
            self._bar.set_postfix_str(", ".join(f"{k} {v:.5g}" for k, v in pl_module.values.items()), refresh=False)
        self._bar.update(1)
        ended = step == pl_module.num_steps or trainer.should_stop
        due = step % pl_module.steps_per_epoch == 0 and now - self._line >= self.seconds_between_lines
        if not self._terminal and not self._bar.disable and (ended or due):
            self._line = now
            self._write_line(pl_module)

    def _epoch(self, engine: Engine) -> str:
        num_epochs = -(-engine.num_steps // engine.steps_per_epoch)
        return f"epoch {-(-engine.state.step // engine.steps_per_epoch)}/{num_epochs}"

    def _write_line(self, engine: Engine) -> None:
        passed = self._bar.format_dict
        rate = (engine.state.step - passed["initial"]) / max(passed["elapsed"], 1e-9)
        left = tqdm.format_interval((engine.num_steps - engine.state.step) / rate)
        row = engine.state.rows[-1] if engine.state.rows else {f"train_{k}": v for k, v in engine.values.items()}
        terms = ", ".join(f"{k} {v:.5g}" for k, v in row.items() if k.startswith(("train_", "validation_")))
        passed_text = tqdm.format_interval(passed["elapsed"])
        sys.stderr.write(f"{self._epoch(engine)}, {terms}, {passed_text} passed, {left} left\n")
        sys.stderr.flush()

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()


class _Nowhere:
    """A file that forgets."""

    def write(self, text: str) -> None:
        """Forget a text."""

    def flush(self) -> None:
        """Do nothing."""
