"""The directory of a run: what it holds, and who may write into it."""

from __future__ import annotations

import csv
import datetime
import json
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyrodis.infer.checkpoint import write_atomic

__all__ = ["CONFIG_FORMAT", "RunDirectory", "find_differences", "read_config"]

CONFIG_FORMAT = "pyrodis.run"
CONFIG_VERSION = 1
_COMPARED = ("model", "guide", "data", "training", "run")
# What holds for a run that was written before a setting existed.
_SINCE = {"training.optimizer": "adam", "training.momentum": 0.0}
_NOT_COMPARED = ("training.num_workers", "training.checkpoint_minutes", "training.strategy")
_RESULTS = ("metrics.json", "pairs.csv", "card.md", "figures/*.png", "figures/*.gif")
_OWN_FILES = ("config.json", "weights.safetensors", "history.csv", "checkpoints/*.ckpt", *_RESULTS)
_OWN_PATTERNS = ("logs/events.out.tfevents.*", ".*.tmp", "checkpoints/.*.tmp", "checkpoints/*.damaged")
_STAGES = tuple(f"stages/*/{pattern}" for pattern in _OWN_FILES + _OWN_PATTERNS)


class RunDirectory:
    """The files of one run.

    ``config.json`` holds every setting and when the run was started, ``weights.safetensors`` the weights,
    ``checkpoints/last.ckpt`` what continues the run, ``previous.ckpt`` the one before, should that be damaged, and
    ``best.ckpt`` its best epoch, ``history.csv`` a row an epoch, ``logs/`` the same for TensorBoard, ``stages/`` a run
    directory a stage where a training has some, and ``card.md`` the page that `pyrodis.write_card` makes of all this.
    Every file is written under a temporary name first.

    Args:
        path: The directory; it and its parents are made where they are missing.

    Raises:
        NotADirectoryError: The path is a file.
        OSError: The directory cannot be made or written.

    Example:
        >>> RunDirectory(tempfile.mkdtemp()).last.name
        'last.ckpt'
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            if self.path.exists() and not self.path.is_dir():
                raise NotADirectoryError(f"output must be a directory, {self.path} is a file; choose another path")
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            if error.errno is None:  # as above
                raise
            raise OSError(
                f"output directory {self.path} cannot be written ({error.strerror}); choose another path"
            ) from error

    @property
    def config(self) -> Path:
        """The settings."""
        return self.path / "config.json"

    @property
    def weights(self) -> Path:
        """The weights."""
        return self.path / "weights.safetensors"

    @property
    def last(self) -> Path:
        """The checkpoint that continues the run."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def previous(self) -> Path:
        """The checkpoint before the last."""
        return self.path / "checkpoints" / "previous.ckpt"

    @property
    def checkpoints(self) -> list[Path]:
        """The checkpoints that there are, and that a run can go on from; the last one first."""
        return [path for path in (self.last, self.previous, self.best) if path.exists()]

    @property
    def best(self) -> Path:
        """The checkpoint of the lowest validation total."""
        return self.path / "checkpoints" / "best.ckpt"

    @property
    def logs(self) -> Path:
        """The directory of TensorBoard's files."""
        return self.path / "logs"

    def files(self, patterns: Sequence[str] = _OWN_FILES + _OWN_PATTERNS + _STAGES) -> list[Path]:
        """Return the files in the directory that a run may have written, or those of some patterns."""
        found = (file for pattern in patterns for file in self.path.glob(pattern))
        return sorted(file for file in found if file.is_file())

    def claim(self, config: Mapping[str, Any], resume: bool, overwrite: bool) -> None:
        """Take the directory for a run of these settings, and write them, or refuse.

        Args:
            config: What :func:`make_config` returned.
            resume: Go on with a run of the same settings that is here. If it is made longer, the scores and figures of
                the shorter run are removed.
            overwrite: Remove the files of the run that is here, and start again.

        Raises:
            FileExistsError: The directory holds a run, or files of a run without its settings.
            ValueError: ``resume`` was asked for, and the run here has other settings.
        """
        started: Any = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        if not self.config.exists():
            if self.files():
                raise FileExistsError(
                    f"{self.path} holds {self.files()[0].name} but no config.json, so it is no run of pyrodis; "
                    "choose another output directory"
                )
        else:
            old = read_config(self.path)
            if not overwrite:
                self._check_same(old, config, resume)
            if resume and config["versions"] != old.get("versions"):  # say what trained, and what goes on with it
                config = {**config, "versions": old.get("versions"), "resumed_with": config["versions"]}
            started = old.get("started") if resume else started
            stale = self.files() if overwrite else self.files(_RESULTS) if find_differences(old, config) else []
            for file in stale:
                if file != self.config:  # replaced last of all, or a run killed here could not be overwritten again
                    file.unlink()
        config = {**config, "started": started}
        write_atomic(self.config, lambda target: target.write_text(json.dumps(config, indent=2) + "\n"))

    def _check_same(self, old: Mapping[str, Any], new: Mapping[str, Any], resume: bool) -> None:
        differences = find_differences(old, new)
        if resume:
            differences = [d for d in differences if not _extends(d, new)]
        if differences:
            named = "; ".join(f"{name} was {was!r}, is {now!r}" for name, was, now in differences[:5])
            more = f"; and {len(differences) - 5} more" if len(differences) > 5 else ""
            why = ""
            if resume and [d[0] for d in differences] == ["training.num_epochs"]:
                why = " (under the cosine schedule, or with fewer epochs, every earlier step would have been another)"
            message = (
                f"{self.path} holds a run of other settings: {named}{more}{why}; "
                "use those settings, another output directory, or overwrite=True"
            )
            raise ValueError(message) if resume else FileExistsError(message)
        if not resume:
            raise FileExistsError(
                f"{self.path} already holds a run of these settings; resume=True goes on with it (and returns at once "
                "when it is complete), overwrite=True starts again"
            )

    def write_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write ``history.csv``, a row an epoch.

        Args:
            rows: The rows, all of the same columns.

        Raises:
            OSError: The file cannot be written.
        """

        def write(target: Path) -> None:
            with target.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)

        if rows:
            write_atomic(self.path / "history.csv", write)


def _extends(difference: tuple[str, object, object], new: Mapping[str, Any]) -> bool:
    """Whether a difference only makes the run longer, without any change to the steps it has made."""
    name, was, now = difference
    training = new["training"]
    constant = training["schedule"] == "constant" and training["max_steps"] is None
    return name == "training.num_epochs" and constant and isinstance(was, int) and isinstance(now, int) and now > was


def make_config(
    model: Mapping[str, Any],
    guide: Mapping[str, Any],
    data: Mapping[str, Any],
    training: Mapping[str, Any],
    run: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the contents of ``config.json``.

    Args:
        model: Description of the model.
        guide: Description of the guide.
        data: Description of training and validation data.
        training: The settings of the training, seed included.
        run: What else the caller records, such as script and preset.

    Returns:
        Plain values.

    Raises:
        TypeError: ``run`` holds something that JSON cannot hold.

    Example:
        >>> make_config({}, {}, {}, {}, {"preset": "default"})["run"]
        {'preset': 'default'}
    """
    import pyro
    import torch

    package = sys.modules[__name__.partition(".")[0]]  # imported before any of its modules
    versions = {"pyrodis": package.__version__, "torch": torch.__version__, "pyro": pyro.__version__}
    versions["python"] = platform.python_version()
    config = {"format": CONFIG_FORMAT, "format_version": CONFIG_VERSION, "versions": versions}
    config |= {"model": model, "guide": guide, "data": data, "training": training, "run": dict(run or {})}
    try:
        return json.loads(json.dumps(config))
    except (TypeError, ValueError) as error:
        raise TypeError(f"description must hold plain JSON values only: {error}") from error


def read_config(path: Path | str) -> dict[str, Any]:
    """Read the settings of a run.

    Args:
        path: The directory of the run.

    Returns:
        What :func:`make_config` returned.

    Raises:
        FileNotFoundError: The directory holds no run.
        ValueError: Its ``config.json`` is damaged, of another program, or of a newer format.

    Example:
        >>> read_config("nowhere")
        Traceback (most recent call last):
            ...
        FileNotFoundError: nowhere/config.json does not exist; give the directory of a run
    """
    file = Path(path) / "config.json"
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist; give the directory of a run")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} cannot be read, it is no JSON: {error}") from error
    if not isinstance(config, dict) or config.get("format") != CONFIG_FORMAT:
        raise ValueError(f'{file} does not describe a run of pyrodis: it lacks "format": "{CONFIG_FORMAT}"')
    version = config.get("format_version")
    if not isinstance(version, int) or version > CONFIG_VERSION:
        raise ValueError(
            f"{file} has format version {version}, this pyrodis reads up to {CONFIG_VERSION}; upgrade pyrodis"
        )
    missing = [part for part in _COMPARED if not isinstance(config.get(part), dict)]
    if missing:
        raise ValueError(f"{file} lacks its part {missing[0]!r}; it was changed or damaged")
    return config


def find_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, object, object]]:
    """Return which settings of two runs differ, versions and what cannot change a result left out.

    A setting that a run was written without, since it did not exist yet, is as its default: an empty list or mapping as
    one that is missing, the optimizer Adam. Arguments of a module that were not recorded are as any.

    Args:
        old: One configuration.
        new: The other.

    Returns:
        Triples of dotted name, old and new value; None stands for a missing one.

    Example:
        >>> find_differences({"training": {"seed": 0}}, {"training": {"seed": 1}})
        [('training.seed', 0, 1)]
    """
    was = {k: v for part in _COMPARED for k, v in _flatten(part, old.get(part)).items()}
    now = {k: v for part in _COMPARED for k, v in _flatten(part, _as_recorded(new.get(part), old.get(part))).items()}
    names = sorted((was.keys() | now.keys()) - set(_NOT_COMPARED))
    pairs = ((name, was.get(name, _SINCE.get(name)), now.get(name, _SINCE.get(name))) for name in names)
    return [(name, before, after) for name, before, after in pairs if before != after]


def _as_recorded(new: Any, old: Any) -> Any:
    """`new`, where modules of which `old` recorded the class alone, as earlier versions did of more, are as there."""
    if not isinstance(new, Mapping) or not isinstance(old, Mapping):
        return new
    names = [str(value.get("class", "")).rpartition(".")[2] for value in (old, new)]
    if "class" in old and "arguments" in old and old["arguments"] is None and names[0] == names[1]:
        return old
    return {key: _as_recorded(value, old.get(key)) for key, value in new.items()}


def _flatten(name: str, value: object) -> dict[str, object]:
    if isinstance(value, Mapping):
        return {k: v for key, item in value.items() for k, v in _flatten(f"{name}.{key}", item).items()}
    return {} if value in ([], ()) else {name: value}
