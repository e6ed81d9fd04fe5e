"""Checkpoints and weights on disk: written atomically, read without unpickling."""

from __future__ import annotations

import os
import shutil
import warnings
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pyrodis.infer.penalties import innermost, penalty_modules

__all__ = [
    "DamagedCheckpoint",
    "RunState",
    "check_weights",
    "collect_weights",
    "keep_copy",
    "load_weights",
    "read_checkpoint",
    "read_weights",
    "save_weights",
    "write_atomic",
    "write_checkpoint",
]

CHECKPOINT_FORMAT = "pyrodis.checkpoint"
WEIGHTS_FORMAT = "pyrodis.weights"
FORMAT_VERSION = 1
_NUMBER = (int, float)
_KINDS: dict[str, tuple[type, ...]] = {
    "step": (int,),
    "sums": (dict,),
    "num_seen": (int,),
    "seconds": _NUMBER,
    "rows": (list,),
    "best": (*_NUMBER, type(None)),
    "best_epoch": (int,),
    "finished": (str,),
    "component_kl": (list,),
}


class DamagedCheckpoint(ValueError):
    """A checkpoint that cannot be read, or lacks a part."""


@dataclass
class RunState:
    """Where a training stands: all of its state but weights and optimizer.

    Args:
        step: Optimizer steps made.
        sums: Term to its sum over the sequences of the epoch so far, nats.
        num_seen: Sequences of the epoch so far.
        seconds: Time spent in the epoch so far.
        rows: Rows of the history.
        best: Lowest validation total; None before the first.
        best_epoch: Epoch of that total; 0 before the first.
        finished: ``"all steps"``, ``"early stop"``, or empty.
        component_kl: Running mean of the KL of each component, nats; empty where components learn at one rate.

    Example:
        >>> RunState().step
        0
    """

    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    num_seen: int = 0
    seconds: float = 0.0
    rows: list[dict[str, float]] = field(default_factory=list)
    best: float | None = None
    best_epoch: int = 0
    finished: str = ""
    component_kl: list[float] = field(default_factory=list)


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under a temporary name, then move it to its own, so that it is never seen half written.

    Args:
        path: The file.
        write: Writes the contents to the path it is given.

    Raises:
        OSError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.txt"
        >>> write_atomic(path, lambda p: p.write_text("whole")); path.read_text()
        'whole'
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        with suppress(OSError):
            temporary.unlink()
        reason = str(error).partition("\n")[0]
        raise OSError(f"{path} cannot be written: {reason}; check its permissions and the free space") from error


def keep_copy(path: Path, copy: Path) -> None:
    """Give the contents of a file a second name, which stays when the file is replaced; do nothing without a file.

    Args:
        path: The file.
        copy: The second name, in the same folder; whatever has it is replaced.

    Raises:
        OSError: It cannot be written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.txt"
        >>> for text in ("old", "new"):
        ...     keep_copy(path, path.with_name("b.txt"))
        ...     write_atomic(path, lambda p: p.write_text(text))
        >>> path.read_text(), path.with_name("b.txt").read_text()
        ('new', 'old')
    """

    def write(target: Path) -> None:
        target.unlink(missing_ok=True)
        try:
            os.link(path, target)
        except OSError:  # not every file system has links
            shutil.copyfile(path, target)

    if path.exists() and not (copy.exists() and path.samefile(copy)):
        write_atomic(copy, write)


def collect_weights(model: nn.Module, guide: nn.Module, penalties: bool = False) -> dict[str, Tensor]:
    """Return copies of all weights and buffers on the CPU, named ``model.*`` and ``guide.*``.

    Args:
        model: The model; wrappers (penalties, KL weights) leave no trace in the names.
        guide: The guide, likewise.
        penalties: Whether to add those of penalties that are modules, named ``penalty.<name>.*``.

    Returns:
        Name to tensor; no two share memory.

    Example:
        >>> sorted(collect_weights(nn.Linear(1, 1), nn.Identity()))
        ['model.bias', 'model.weight']
    """
    return {
        prefix + name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for prefix, module in _parts(model, guide, penalties)
        for name, value in module.state_dict().items()
    }


def _parts(model: nn.Module, guide: nn.Module, penalties: bool) -> list[tuple[str, nn.Module]]:
    """What has weights, by the prefix of their names."""
    parts = [("model.", innermost(model)), ("guide.", innermost(guide))]
    if penalties:
        modules = [*penalty_modules(model).items(), *penalty_modules(guide).items()]
        parts += [(f"penalty.{name}.", module) for name, module in modules]
    return parts


def load_weights(
    model: nn.Module, guide: nn.Module, weights: Mapping[str, Tensor], source: Path, penalties: bool = False
) -> None:
    """Copy named weights into a model and a guide, all or none.

    Args:
        model: The model.
        guide: The guide.
        weights: What :func:`collect_weights` returned.
        source: Where the weights come from, for errors.
        penalties: As it was given there.

    Raises:
        ValueError: A name is missing or unknown, or a shape differs.

    Example:
        >>> load_weights(nn.Linear(1, 1), nn.Identity(), {}, Path("w.safetensors"))
        Traceback (most recent call last):
            ...
        ValueError: w.safetensors has no weights for model.weight; it belongs to another model or guide
    """
    check_weights(model, guide, weights, source, penalties)
    for prefix, module in _parts(model, guide, penalties):
        module.load_state_dict({name: weights[prefix + name] for name in module.state_dict()})


def check_weights(
    model: nn.Module, guide: nn.Module, weights: Mapping[str, Tensor], source: Path, penalties: bool = False
) -> None:
    """Refuse weights that are not those of a model and a guide, by names and shapes; values are not read.

    Args:
        model: The model, also one on the meta device.
        guide: The guide, likewise.
        weights: As for :func:`load_weights`.
        source: Where the weights come from, for errors.
        penalties: As for :func:`load_weights`.

    Raises:
        ValueError: A name is missing or unknown, or a shape differs.

    Example:
        >>> check_weights(nn.Identity(), nn.Identity(), {}, Path("w.safetensors"))
    """
    parts = _parts(model, guide, penalties)
    wanted = {prefix + name: value for prefix, module in parts for name, value in module.state_dict().items()}
    for name, value in wanted.items():
        if name not in weights:
            raise ValueError(f"{source} has no weights for {name}; it belongs to another model or guide")
        if weights[name].shape != value.shape:
            raise ValueError(
                f"{source} holds {name} of shape {tuple(weights[name].shape)}, expected {tuple(value.shape)}; "
                "build model and guide with the sizes of the run"
            )
    unknown = sorted(set(weights) - set(wanted))
    if unknown:
        raise ValueError(f"{source} holds {unknown[0]}, which neither model nor guide has; it belongs to another pair")


def save_weights(path: Path | str, model: nn.Module, guide: nn.Module) -> None:
    """Write the weights of a model and a guide as safetensors.

    Args:
        path: The file.
        model: The model.
        guide: The guide.

    Raises:
        OSError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "weights.safetensors"
        >>> save_weights(path, nn.Linear(1, 1), nn.Identity())
        >>> sorted(read_weights(path))
        ['model.bias', 'model.weight']
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    metadata = {"format": f"{WEIGHTS_FORMAT} {FORMAT_VERSION}"}  # one entry: safetensors writes several in any order

    def write(target: Path) -> None:
        try:
            save_file(collect_weights(model, guide), target, metadata)
        except SafetensorError as error:  # what it makes of a full disk; no OSError
            raise OSError(str(error)) from error

    write_atomic(Path(path), write)


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """Read what :func:`save_weights` wrote.

    Args:
        path: The file.

    Returns:
        Name to tensor, on the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, of another program, or of a newer format.

    Example:
        >>> read_weights("nowhere.safetensors")
        Traceback (most recent call last):
            ...
        FileNotFoundError: nowhere.safetensors does not exist; a run writes it when its first epoch ends
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; a run writes it when its first epoch ends")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            name, _, version = metadata.get("format", "").partition(" ")
            _check_format(path, name or None, version or metadata.get("format_version"), WEIGHTS_FORMAT)
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except SafetensorError as error:
        raise ValueError(f"{path} cannot be read, it is truncated or no safetensors file: {error}") from error


def _check_format(path: Path, found: object, version: object, wanted: str) -> None:
    if found != wanted:
        raise ValueError(f"{path} was not written by pyrodis: its format is {found!r}, expected {wanted!r}")
    if not str(version).isdecimal() or int(str(version)) > FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {version}, this pyrodis reads up to {FORMAT_VERSION}; upgrade pyrodis"
        )


def write_checkpoint(path: Path, weights: Mapping[str, Tensor], optimizer: Mapping[str, Any], state: RunState) -> None:
    """Write all that continues a training exactly: tensors and plain values only.

    Args:
        path: The file.
        weights: What :func:`collect_weights` returned.
        optimizer: State of the optimizer.
        state: Where the training stands.

    Raises:
        OSError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "last.ckpt"
        >>> write_checkpoint(path, {}, {}, RunState(step=3))
        >>> read_checkpoint(path)[2].step
        3
    """
    contents = {
        "format": CHECKPOINT_FORMAT,
        "format_version": FORMAT_VERSION,
        "weights": dict(weights),
        "optimizer": dict(optimizer),
        "state": dict(vars(state)),
    }
    write_atomic(path, lambda target: torch.save(contents, target))


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any], RunState]:
    """Read what :func:`write_checkpoint` wrote; no object of the file can run code.

    Args:
        path: The file.

    Returns:
        Weights, state of the optimizer, and where the training stood.

    Raises:
        FileNotFoundError: There is no such file.
        DamagedCheckpoint: The file is damaged: a ValueError.
        ValueError: The file is of another program, or of a newer format.

    Example:
        >>> read_checkpoint(Path("nowhere.ckpt"))
        Traceback (most recent call last):
            ...
        FileNotFoundError: nowhere.ckpt does not exist
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        _check_bytes(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of foreign files before it refuses them
            contents = torch.load(path, map_location="cpu", weights_only=True)
    except (PermissionError, MemoryError):
        raise
    except Exception as error:
        raise DamagedCheckpoint(
            f"{path} cannot be read, it is truncated or no checkpoint of pyrodis ({type(error).__name__}); "
            "remove it, or start again with overwrite=True"
        ) from error
    found = contents if isinstance(contents, dict) else {}
    _check_format(path, found.get("format"), found.get("format_version"), CHECKPOINT_FORMAT)
    return _parts_of(path, found)


def _check_bytes(path: Path) -> None:
    """Refuse a file whose bytes are not those that were written (torch does not look), or that unpacks to more."""
    with zipfile.ZipFile(path) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()) or archive.testzip():
            raise zipfile.BadZipFile("its contents are not those that were written")


def _parts_of(path: Path, found: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any], RunState]:
    """The three parts of a checkpoint, if they are of the right kinds."""
    weights, optimizer, state = (found.get(name) for name in ("weights", "optimizer", "state"))
    problem = ""
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        problem = "weights by name"
    elif not isinstance(optimizer, dict):
        problem = "the optimizer's state"
    elif not isinstance(state, dict) or not set(_KINDS) - {"component_kl"} <= set(state) <= set(_KINDS):
        problem = "where the training stands"
    else:
        problem = ", ".join(name for name, value in state.items() if not isinstance(value, _KINDS[name]))
    if problem:
        raise DamagedCheckpoint(f"{path} lacks a part of a checkpoint ({problem}); it was changed or damaged")
    return weights, optimizer, RunState(**state)  # type: ignore[return-value, arg-type]
