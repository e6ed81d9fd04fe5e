"""Stopping a training by Ctrl-C or SIGTERM without losing what it learnt."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

__all__ = ["StopRequest", "TrainingInterrupted"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrainingInterrupted(KeyboardInterrupt):
    """A training that was asked to stop has stopped after a whole step, and saved itself where it could.

    Args:
        epoch: The epoch it stopped in, from 1.
        step: The steps it has made.
        checkpoint: The checkpoint that continues it; None when it had no output directory.

    Example:
        >>> print(TrainingInterrupted(2, 31, None))
        training stopped at epoch 2, step 31; nothing was saved, as no output directory was given
    """

    def __init__(self, epoch: int, step: int, checkpoint: Path | None) -> None:
        self.epoch = epoch
        self.step = step
        self.checkpoint = checkpoint
        kept = f"resume=True continues from {checkpoint}"
        if checkpoint is None:
            kept = "nothing was saved, as no output directory was given"
        super().__init__(f"training stopped at epoch {epoch}, step {step}; {kept}")


class _Abort(BaseException):
    """A second request: leave at once. Not a KeyboardInterrupt, which Lightning turns into an exit of the process."""


class StopRequest:
    """Whether SIGINT or SIGTERM has asked a training to stop.

    Inside :meth:`watch` the first signal sets ``asked``, and the same one again raises KeyboardInterrupt at once (a
    launcher such as torchrun follows Ctrl-C up with a SIGTERM of its own); outside, and in threads other than the main
    one, signals keep their own handlers.

    Example:
        >>> request = StopRequest()
        >>> with request.watch():
        ...     signal.raise_signal(signal.SIGINT)
        >>> request.asked
        True
    """

    def __init__(self) -> None:
        self.asked = False
        self._seen: set[int] = set()

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if signum in self._seen:
            raise _Abort
        self._seen.add(signum)
        self.asked = True

    def install(self) -> None:
        """Take the signals (again), where this thread may."""
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                signal.signal(number, self._handle)

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Take the signals inside the context and give them back to their handlers after it."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        self.install()
        try:
            yield
        except _Abort:
            raise KeyboardInterrupt("training aborted by a second signal, nothing was saved after the first") from None
        finally:
            if threading.current_thread() is threading.main_thread():
                for number, handler in before.items():
                    signal.signal(number, signal.SIG_DFL if handler is None else handler)
