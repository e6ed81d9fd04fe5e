"""What a training that fails says and keeps, and which checkpoint a resumed one goes on from."""

from __future__ import annotations

import os
import re
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyrodis.infer.checkpoint import DamagedCheckpoint, RunState, read_checkpoint
from pyrodis.infer.run_directory import RunDirectory

__all__ = ["ignore_signals", "nan_parameter", "read_last_good", "retell"]

_FULL = re.compile(r"out of memory|can't allocate memory|cannot allocate memory|not enough memory", re.IGNORECASE)
_WORKER = re.compile(r"Caught \w+ in DataLoader worker process \d+\.")
_BAD_PARAMETER = re.compile(
    r"Expected parameter (\w+) .*?of distribution (\w+)\(.*?but found invalid values", re.DOTALL
)
_DEAD_WORKER = re.compile(r"DataLoader worker \(pid\(?s?\)? [\d, ]+\)")


def read_last_good(directory: RunDirectory) -> tuple[dict[str, Tensor], dict[str, Any], RunState, Path] | None:
    """Return what the last checkpoint of a run holds; if it is damaged, with a warning, what an earlier one holds.

    A damaged file is kept under another name. From an earlier checkpoint a training makes the same steps once more and
    comes to the same weights.

    Args:
        directory: The run.

    Returns:
        Weights, state of the optimizer, where the training stood, and the file; None if there is no checkpoint.

    Raises:
        ValueError: All are damaged, or the last is of another program or of a newer format.

    Example:
        >>> import tempfile
        >>> read_last_good(RunDirectory(tempfile.mkdtemp())) is None
        True
    """
    damaged: list[tuple[Path, DamagedCheckpoint]] = []
    for path in directory.checkpoints:
        try:
            weights, optimizer, state = read_checkpoint(path)
        except DamagedCheckpoint as error:
            damaged.append((path, error))
            continue
        for bad, _ in damaged:
            os.replace(bad, bad.with_name(f"{bad.name}.damaged"))
        if damaged:
            names = " and ".join(bad.name for bad, _ in damaged)
            warnings.warn(
                f"{names} in {path.parent} cannot be read and is kept as *.damaged; the training goes on from "
                f"{path.name}, step {state.step}",
                stacklevel=4,  # who called fit
            )
        return weights, optimizer, state, path
    if damaged:
        raise ValueError(str(damaged[0][1])) from damaged[0][1]
    return None


def retell(
    error: Exception, where: str, batch_size: int, bad_items: Callable[[], list[int]], kept: str
) -> Exception | None:
    """Return an error that says in one sentence what stopped a training, what to do and what is kept.

    Args:
        error: What stopped it.
        where: Epoch and step in words.
        batch_size: Clips a batch.
        bad_items: Returns which training items of the batch hold NaN or infinity.
        kept: What is kept, in words.

    Returns:
        The error to raise in its place; None for one that speaks for itself.

    Example:
        >>> retell(MemoryError(), "epoch 1, step 3", 64, list, "nothing was saved")
        MemoryError('memory ran out at epoch 1, step 3; lower batch_size, which is 64, the number of frames or ...')
    """
    text = str(error)
    if found := nan_parameter(error):  # by Pyro's checks, which are on in the first steps
        error = FloatingPointError(f"{found} became nan at {where}")
    if isinstance(error, FloatingPointError):
        items = bad_items()
        cause = f", as train[{items[0]}]['x'] holds NaN or infinity; mend that item" if items else ""
        hint = "" if items else "; train again with a lower learning_rate or with gradient_clip"
        return FloatingPointError(f"{error}{cause}; {kept}{hint}")
    if isinstance(error, ValueError) and text.startswith("x of a batch contains NaN") and (items := bad_items()):
        return ValueError(f"train[{items[0]}]['x'] holds NaN; mend that item; {kept}")
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or _FULL.search(text):
        return MemoryError(
            f"memory ran out at {where}; lower batch_size, which is {batch_size}, the number of frames or the sizes of "
            f"the networks; {kept}"
        )
    if _DEAD_WORKER.match(text):
        return ChildProcessError(
            f"a process that loads data ended at {where}, most often for want of memory; lower num_workers; {kept}"
        )
    if _WORKER.match(text):
        last = text.rstrip().splitlines()[-1]
        return type(error)(f"{last.partition(': ')[2] or last}; {kept}")
    return None


def nan_parameter(error: Exception) -> str | None:
    """Return which parameter of a distribution was NaN, if that is what an error says.

    Args:
        error: An error of torch's or Pyro's checks.

    Returns:
        Parameter and distribution in words, or None.

    Example:
        >>> try:
        ...     torch.distributions.Normal(torch.tensor(torch.nan), 1.0)
        ... except ValueError as error:
        ...     nan_parameter(error)
        'loc of a Normal'
    """
    found = _BAD_PARAMETER.match(str(error))
    return f"{found[1]} of a {found[2]}" if found and "nan" in str(error) else None


def ignore_signals(worker: int) -> None:
    """Leave it to the training process to stop when Ctrl-C or SIGTERM comes to all of its processes.

    Args:
        worker: Number of the process that loads data.

    Example:
        >>> ignore_signals(0)  # doctest: +SKIP
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
