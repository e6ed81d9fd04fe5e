"""The card of a run: one page that says what was trained, on what, how well it does, and how to load it."""

from __future__ import annotations

import csv
import inspect
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pyrodis.infer.checkpoint import write_atomic
from pyrodis.infer.describe import build
from pyrodis.infer.queries import _evaluating
from pyrodis.infer.run_directory import CONFIG_FORMAT, read_config
from pyrodis.infer.sites import get_trace, latent_sites
from pyrodis.metrics import Score
from pyrodis.metrics.score_table import score_table

__all__ = ["find_runs", "write_card"]

PLATES = {"data": "B", "components": "K"}
FRAMES_SHOWN = 3  # of a factorization


def write_card(run: Path | str) -> Path:
    """Write the card of a run, ``card.md`` in its directory: what a reader needs who finds nothing but the directory.

    It says what model and guide are (equations, latent sites, the factorization that the guide declares, parameters),
    which data with which checksum, all settings with the seed and the versions, when and for how long the run was
    trained, its scores with interval, chance and ceiling, its figures, and how to load it. All of it comes from the
    files of the run; what is missing there is said to be missing. A card that is there is written anew.

    Args:
        run: The directory of a run, finished or not.

    Returns:
        The path of the card.

    Raises:
        FileNotFoundError: The directory holds no run.
        ValueError: A file of the run is damaged.
        OSError: The card cannot be written.

    Source:
        Mitchell et al., Model Cards for Model Reporting (2019), for the idea; what a card holds is our own.

    Example:
        >>> write_card("nowhere")
        Traceback (most recent call last):
            ...
        FileNotFoundError: nowhere/config.json does not exist; give the directory of a run
    """
    run = Path(run)
    config, rows = _check(run, read_config(run)), _read_history(run / "history.csv")
    programs = {side: _build(config[side]) for side in ("model", "guide")}
    data = _data_sets(config["data"])
    parts = [
        _title(config, data, rows),
        "## Model and guide",
        *(_program(side.capitalize(), config[side], program) for side, program in programs.items()),
        _sites(programs["model"], rows),
        _factorization(programs["guide"], data),
        "## Data",
        _data(data),
        "## Training",
        _training(config, rows),
        "## Scores",
        _scores(run / "metrics.json"),
        "## Figures",
        _figures(run),
        "## Load",
        _loading(run, programs, data),
    ]
    card = run / "card.md"
    text = "\n\n".join(part for part in parts if part) + "\n"
    write_atomic(card, lambda target: target.write_text(text, encoding="utf8"))
    return card


def find_runs(folder: Path | str) -> list[Path]:
    """Return the run directories at a folder and right below it, stages of a run left out.

    Args:
        folder: An output directory of a script, which may hold one run or one a setting.

    Returns:
        The directories, sorted.

    Example:
        >>> find_runs("nowhere")
        []
    """
    files = [path for pattern in ("config.json", "*/config.json") for path in Path(folder).glob(pattern)]
    return sorted(path.parent for path in files if _is_of_a_run(path))


def _is_of_a_run(path: Path) -> bool:
    try:
        config = json.loads(path.read_text(encoding="utf8"))
    except ValueError:
        return False
    return isinstance(config, dict) and config.get("format") == CONFIG_FORMAT


def _check(run: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Refuse settings that do not say of which classes the programs are."""
    for side in ("model", "guide"):
        if not isinstance(config[side].get("class"), str) or "arguments" not in config[side]:
            raise ValueError(f"{run / 'config.json'} lacks class or arguments of the {side}; it was changed or damaged")
    return {**config, "versions": config.get("versions") or {}}


def _read_history(path: Path) -> list[dict[str, float]]:
    """The rows of the history; none where no epoch has finished."""
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf8") as file:
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read, it holds more than numbers: {error}") from error
    if rows and not {"epoch", "step"} <= rows[-1].keys():
        raise ValueError(
            f"{path} must have columns 'epoch' and 'step', got {sorted(rows[-1])}; it was changed or damaged"
        )
    return rows


def _build(description: Mapping[str, Any]) -> nn.Module | None:
    """The program with other weights, or None if it is not one of pyrodis alone."""
    with torch.random.fork_rng(devices=[]):
        try:
            program: nn.Module = build(description)
        except ValueError:
            return None
    return program


def _data_sets(data: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The recorded data sets by role; those of a training in stages are recorded by the items that they hold."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, described in data.items():
        inner = {name: described} if "class" in (described or {}) else described or {}
        found |= {role if role == name else f"{role}, items {name}": value for role, value in inner.items() if value}
    return found


def _title(config: Mapping[str, Any], data: Mapping[str, Any], rows: Sequence[Mapping[str, float]]) -> str:
    names = list(dict.fromkeys(value.get("name") or value["class"] for value in data.values()))
    on = f" on {', '.join(names)}" if names else ""
    made = f"A run of pyrodis {config['versions'].get('pyrodis')}, {_duration(config, rows)}."
    return f"# {_short(config['model'])} with {_short(config['guide'])}{on}\n\n{made}"


def _duration(config: Mapping[str, Any], rows: Sequence[Mapping[str, float]]) -> str:
    start = config.get("started")
    begun = f"started {start.replace('T', ' ').replace('+00:00', ' UTC')}" if start else "start not recorded"
    if not rows:
        return f"{begun}, no epoch finished yet"
    minutes = math.fsum(row.get("seconds", 0.0) for row in rows) / 60
    return (
        f"{begun}, trained for {minutes:.1f} minutes ({rows[-1]['epoch']:,.0f} epochs, {rows[-1]['step']:,.0f} steps)"
    )


def _short(description: Mapping[str, Any]) -> str:
    return str(description["class"]).rpartition(".")[2]


def _program(side: str, description: Mapping[str, Any], program: nn.Module | None) -> str:
    """Class, first sentence and first equation of a program, its size, and what it was built with."""
    head = f"**{side}**: `{description['class']}`"
    if program is None:
        return f"{head}, which `pyrodis.load` cannot build by itself.\n\n{_code('Arguments', description['arguments'])}"
    doc = inspect.getdoc(type(program)) or ""
    sentence = doc.partition("\n\n")[0].replace("\n", " ")
    equation = re.search(r"\$\$.+?\$\$", doc, flags=re.DOTALL)
    count = sum(parameter.numel() for parameter in program.parameters())
    lines = [f"{head}, {count:,} parameters. {sentence}", equation.group() if equation else ""]
    return "\n\n".join([*filter(None, lines), _code("Arguments", description["arguments"])])


def _code(summary: str, value: Any) -> str:
    """Plain values as JSON, folded."""
    text = json.dumps(value, indent=2)
    return f"<details><summary>{summary}</summary>\n\n```json\n{text}\n```\n\n</details>"


def _sites(model: nn.Module | None, rows: Sequence[Mapping[str, float]]) -> str:
    """The latent sites of the model with their shapes, or their names alone if the model cannot be built."""
    if model is None:
        names = [name.removeprefix("kl_weight_") for name in (rows[0] if rows else {}) if name.startswith("kl_weight_")]
        return f"Latent sites: {', '.join(f'`{name}`' for name in names) or 'not known'}."
    with torch.random.fork_rng(devices=[]), _evaluating(model):
        sites = latent_sites(get_trace(model, batch_size=1))
    lines = []
    for name, site in sites.items():
        plates = sorted(site["cond_indep_stack"], key=lambda frame: frame.dim)
        batch = ", ".join(PLATES.get(frame.name, frame.name) for frame in plates)
        lines.append([f"`{name}`", f"({batch})", f"({', '.join(map(str, site['fn'].event_shape))})"])
    return _table(["latent site", "batch", "event"], lines)


def _factorization(guide: nn.Module | None, data: Mapping[str, Mapping[str, Any]]) -> str:
    """What the guide declares that each code is inferred from."""
    declare: Any = getattr(guide, "factorization", None)
    if declare is None:
        return "What each code is inferred from: the guide does not declare it."
    lengths = [value["num_frames"] for value in data.values() if value.get("num_frames")]
    num_frames = min(FRAMES_SHOWN, *lengths) if lengths else FRAMES_SHOWN
    declared = declare(num_frames)
    lines = [[f"`{code}`", ", ".join(f"`{source}`" for source in sources)] for code, sources in declared.items()]
    frames = "one frame" if num_frames == 1 else f"{num_frames} frames"
    return f"The guide's factorization, for {frames}:\n\n{_table(['code', 'is inferred from'], lines)}"


def _data(data: Mapping[str, Mapping[str, Any]]) -> str:
    if not data:
        return "The data were not recorded."
    keys = ("name", "class", "split", "num_items", "num_frames", "frame_shape", "seed", "checksum")
    lines = [[role, *(_plain(value.get(key)) for key in keys)] for role, value in data.items()]
    heads = ["", "name", "class", "split", "clips", "frames a clip", "(C, H, W)", "seed", "checksum"]
    return _table(heads, lines)


def _training(config: Mapping[str, Any], rows: Sequence[Mapping[str, float]]) -> str:
    """Settings, seed, what the script recorded and versions; and the loss at the end."""
    wrapped = config["training"].get("wrappers")
    settings = {name: value for name, value in config["training"].items() if name != "wrappers"}
    settings |= {f"run: {name}": value for name, value in config["run"].items()}
    settings |= {f"version of {name}": value for name, value in config["versions"].items()}
    parts = [_table(["setting", "value"], [[name, _plain(value)] for name, value in settings.items()])]
    if wrapped:
        parts.append(_code("Penalties and weights around the programs", wrapped))
    if "resumed_with" in config:
        parts.append(f"Resumed with other versions: {_plain(config['resumed_with'])}.")
    if rows:
        totals = [name for name in ("train_total", "validation_total") if name in rows[-1]]
        ends = ", ".join(f"{name} {rows[-1][name]:.6g}" for name in totals)
        parts.append(f"After the last epoch, in nats a clip: {ends or 'no total was recorded'}.")
    return "\n\n".join(parts)


def _scores(path: Path) -> str:
    """The scores as a table, each beside interval, chance and ceiling."""
    if not path.exists():
        return "This run was not scored: there is no `metrics.json`."
    try:
        scores = {name: Score(**fields) for name, fields in json.loads(path.read_text(encoding="utf8")).items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read, it holds no scores by name: {error}") from error
    return score_table(scores) if scores else "This run was not scored: `metrics.json` is empty."


def _figures(run: Path) -> str:
    paths = sorted(path for kind in ("*.gif", "*.png") for path in (run / "figures").glob(kind))
    shown = [f"![{path.stem.replace('_', ' ')}](figures/{path.name})" for path in paths]
    return "\n\n".join(shown) or "There are no figures."


def _loading(run: Path, programs: Mapping[str, nn.Module | None], data: Mapping[str, Mapping[str, Any]]) -> str:
    """A code block that works in the directory of the card, if it can."""
    if not (run / "weights.safetensors").exists():
        return "The run has no weights yet."
    own = [side for side, program in programs.items() if program is None]
    if own:
        given = ", ".join(f"{side}={side}" for side in own)
        return (
            f"Build the {' and the '.join(own)} as they were built for the training; then, in the directory of this "
            f'card, `model, guide = pyrodis.load(".", {given})`.'
        )
    first = next(iter(data.values()), {})
    shape = ["B", first.get("num_frames") or "T", *(first.get("frame_shape") or "CHW")]
    code = """import pyrodis

model, guide = pyrodis.load(".")
frames = pyrodis.decode(model, pyrodis.sample_prior(model, 4))"""
    return (
        f"In the directory of this card:\n\n```python\n{code}\n```\n\n"
        f"`pyrodis.encode(guide, x)` gives the codes of clips x of shape ({', '.join(map(str, shape))}) in [0, 1]."
    )


def _plain(value: Any) -> str:
    """A setting in a cell of a table."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
