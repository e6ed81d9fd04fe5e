"""What a run is, in lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyrodis.infer.run_directory import read_config


def describe_run(run: Path) -> list[str]:
    """Return lines on a run: its parts, data, settings, history and scores.

    Args:
        run: Directory of the run.

    Returns:
        The lines.

    Raises:
        FileNotFoundError: If it holds no run.
        ValueError: If a file of it is damaged.

    Example:
        >>> describe_run(Path("runs/videos"))[0]  # doctest: +SKIP
        'model: DSVAE'
    """
    config = read_config(run)
    try:
        lines = [*_settings(config)]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{run / 'config.json'} lacks a setting, or has one of another kind ({error!r}); it was changed or damaged"
        ) from error
    return [*lines, *_history(run / "history.csv"), *_scores(run / "metrics.json")]


def _settings(config: dict[str, Any]) -> list[str]:
    training = config["training"]
    lines = [f"{part}: {_class_name(config[part])}" for part in ("model", "guide")]
    for split, data in config["data"].items():
        if data:
            shape = " x ".join(map(str, [data["num_frames"], *(data["frame_shape"] or ())]))
            lines.append(f"{split}: {data['num_items']:,} clips of {shape} of {data['name']}")
    lines += [f"{name}: {value}" for name, value in config["run"].items()]
    names = ("num_epochs", "max_steps", "batch_size", "learning_rate", "precision", "seed")
    lines += [f"{name}: {training[name]}" for name in names if training.get(name) is not None]
    lines.append("versions: " + ", ".join(f"{name} {version}" for name, version in config["versions"].items()))
    return lines


def _class_name(described: Any) -> str:
    return str(described.get("class", "unknown")) if isinstance(described, dict) else str(described)


def _history(file: Path) -> Iterator[str]:
    if not file.is_file():
        yield "history: none, no epoch has ended"
        return
    try:
        with file.open(newline="", encoding="utf8") as stream:
            rows = list(csv.DictReader(stream))
        minutes = sum(float(row.get("seconds") or 0) for row in rows) / 60
    except (ValueError, TypeError, csv.Error) as error:
        raise ValueError(
            f"{file} must hold a row of numbers an epoch, got something else ({error}); remove it"
        ) from error
    if rows:
        yield f"trained: {rows[-1].get('step', '?')} steps in {minutes:.1f} minutes"


def _scores(file: Path) -> Iterator[str]:
    if not file.is_file():
        yield "scores: none yet"
        return
    try:
        scores = json.loads(file.read_text(encoding="utf8"))
        for name, score in scores.items():
            chance = "" if score["chance"] is None else f", chance {score['chance']:.4g}"
            yield f"{name}: {score['value']:.4g} ({score['low']:.4g} to {score['high']:.4g}{chance})"
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{file} must hold scores as pyrodis writes them, got something else; remove it") from error
