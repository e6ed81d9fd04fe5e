"""Where a training step's time goes in the default preset of every example, and of `pyrodis fit`.

    python benchmarks/profile_presets.py [--only dsvae_sprites ...] [--output docs/results/profile_presets.json]

Each example runs as from its own command line until some steps are done: first steps that are not counted, then as many
timed as they are, then as many under torch's profiler, which makes small operations slower than they are. The shares
are of the latter, on a CPU, of the first training of a sweep. Data are what the example takes by itself, real where
they are found, else bundled or drawn; the table names them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shared_benchmark import machine, store
from torch.profiler import ProfilerActivity, profile

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))
FIRST = 5  # steps that warm caches
SHARES: dict[str, tuple[str, ...]] = {  # the first that a part of the operation's name is in
    "optimizer": ("adam", "foreach", "vector_norm", "clip_grad"),
    "random numbers": (
        *("normal_", "uniform_", "random", "bernoulli", "randn", "randint", "randperm", "multinomial", "exponential_"),
        *("=rand", "=normal"),
    ),
    "linear algebra": ("linalg", "cholesky", "triangular_solve"),
    "convolutions": ("conv",),
    "recurrent layers": ("rnn", "lstm", "gru"),
    "norms, pooling, resizing": ("batch_norm", "layer_norm", "group_norm", "pool", "upsample", "grid_sampl"),
    "products": ("=mm", "addmm", "bmm", "linear", "matmul", "einsum", "=dot"),
    "copies and casts": (
        *("copy", "=to", "cat", "stack", "clone", "contiguous", "index", "gather", "scatter", "flip", "roll", "pad"),
        *("fill_", "zero_", "select_backward", "slice_backward", "repeat", "=take"),
    ),
}
REST = "other operations"
COLUMNS = (*SHARES, REST, "data", "Python")

# Name of a preset -> example and the options that choose it; what trains one thing after another stands there twice.
PRESETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "dsvae_sprites": ("dsvae_sprites", ()),
    "structured_vae_circle": ("structured_vae_circle", ()),
    "beta_vae_circle": ("beta_vae_circle", ()),
    "inertial_vae_circle": ("inertial_vae_circle", ()),
    "compare_guides, its first guide": ("compare_guides", ()),
    "parallel_vae_digits": ("parallel_vae_digits", ()),
    "parallel_vae_scenes": ("parallel_vae_scenes", ()),
    "unsupervised_objects": ("unsupervised_objects", ()),
    "what_where_digits, the report": ("what_where_digits", ("--no-cure", "--losses", "inertial", "--lambdas", "10")),
    "what_where_digits, the cure": ("what_where_digits", ("--losses",)),
    "pyrodis fit": ("", ()),
}


class Done(BaseException):
    """Ends a training that has been measured: no error, which a training would report."""


class Meter:
    """Takes the place of the engine's step: counts, times, profiles, and ends the training."""

    def __init__(self, step: Callable[..., torch.Tensor], num_steps: int) -> None:
        self.step, self.num_steps = step, num_steps
        self.count = 0
        self.starts: list[float] = []
        self.profiler = profile(activities=[ProfilerActivity.CPU])
        self.wall = 0.0

    def __call__(self, *arguments: Any, **named: Any) -> torch.Tensor:
        self.starts.append(time.perf_counter())
        if self.count == FIRST + self.num_steps:
            self.profiler.__enter__()
            self.starts[-1] = time.perf_counter()
        if self.count == FIRST + 2 * self.num_steps:
            self.wall = time.perf_counter() - self.starts[FIRST + self.num_steps]
            self.profiler.__exit__(None, None, None)
            raise Done
        self.count += 1
        return self.step(*arguments, **named)

    def result(self) -> dict[str, Any]:
        """Milliseconds a step without the profiler, and shares of a step with it."""
        steps = np.diff(self.starts[FIRST : FIRST + self.num_steps + 1])
        found = shares(self.profiler.events(), self.wall)
        return {"milliseconds": round(float(np.median(steps)) * 1e3, 2), "shares": found}


def share_of(name: str) -> str:
    """The column of an operation of torch; a part that begins with = is the whole name."""
    words = f"={name.removeprefix('aten::')}="
    for share, parts in SHARES.items():
        if any(f"{part}=" in words if part.startswith("=") else part in words for part in parts):
            return share
    return REST


def shares(events: Sequence[Any], wall: float) -> dict[str, float]:
    """Seconds of every column, as a share of all that passed; what no operation of torch took is Python's."""
    found: Counter[str] = Counter()
    for event in events:
        if event.name.startswith("enumerate(DataLoader)"):
            found["data"] += event.cpu_time_total
        elif event.name.startswith("aten::") and not in_data(event):
            found[share_of(event.name)] += event.self_cpu_time_total
    whole = {name: found[name] / 1e6 / wall for name in COLUMNS if name != "Python"}
    return {name: round(value, 4) for name, value in whole.items()} | {"Python": round(1 - sum(whole.values()), 4)}


def in_data(event: Any) -> bool:
    """Whether it is the data set that began an operation."""
    while event is not None and not event.name.startswith("enumerate(DataLoader)"):
        event = event.cpu_parent
    return event is not None


def run_example(name: str, options: Sequence[str], output: Path) -> None:
    """Run an example as its command line does, errors and all."""
    example = importlib.import_module(name)
    example.main(example.make_parser().parse_args([*options, "--device", "cpu", "--output", str(output)]))


def run_command(output: Path) -> None:
    """Run `pyrodis fit` on a folder of clips that pyrodis draws."""
    from pyrodis.cli.commands import main
    from pyrodis.datasets import ProceduralSprites

    clips, folder = ProceduralSprites(split="test"), output / "clips"
    folder.mkdir(parents=True)
    for number in range(64):
        np.save(folder / f"{number}.npy", (255 * clips[number]["x"]).byte().movedim(1, -1).numpy())
    main(["fit", str(folder), "--output", str(output / "run"), "--device", "cpu", "--debug"])


def measure(name: str, num_steps: int) -> dict[str, Any]:
    """Run a preset until its steps are measured."""
    from pyrodis.infer.engine import Engine

    example, options = PRESETS[name]
    step = Engine.training_step
    meter = Meter(step, num_steps)
    Engine.training_step = lambda self, *rest, **named: meter(self, *rest, **named)  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory() as folder:
            try:
                if example:
                    run_example(example, options, Path(folder) / "run")
                else:
                    run_command(Path(folder))
            except Done:
                return {"data": data_of(Path(folder))} | meter.result()
    finally:
        Engine.training_step = step  # type: ignore[method-assign]
    raise RuntimeError(f"the training of {name} ended after {meter.count} steps; ask for fewer --rounds")


def data_of(folder: Path) -> str:
    """The name of what the runs in a folder were trained on, which is the same for all."""
    configs = (json.loads(path.read_text(encoding="utf8")) for path in folder.rglob("config.json"))
    (name,) = {config["data"]["train"]["name"] for config in configs if "train" in config["data"]}
    return str(name)


def table(result: dict[str, Any]) -> str:
    """Milliseconds and shares of every preset."""
    shown = [name for name in COLUMNS if any(row["shares"][name] >= 0.005 for row in result["presets"].values())]
    lines = [f"| preset | data | ms a step | {' | '.join(shown)} |", f"| --- | --- | ---: |{' ---: |' * len(shown)}"]
    for name, row in result["presets"].items():
        cells = [f"{100 * row['shares'][share]:.0f}" for share in shown]
        lines.append(f"| {name} | {row['data']} | {row['milliseconds']:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PRESETS, default=list(PRESETS), help="presets (default: all)")
    parser.add_argument("--rounds", type=int, default=20, help="steps that count (default: 20)")
    parser.add_argument("--output", type=Path, help="JSON file for the result (default: none)")
    options = parser.parse_args()
    if options.rounds < 3:
        parser.error(f"--rounds must be 3 or more, got {options.rounds}")
    os.environ.setdefault("MPLBACKEND", "Agg")
    result: dict[str, Any] = {"machine": machine(), "steps": options.rounds, "presets": {}}
    if options.output is not None and options.output.exists() and options.only != list(PRESETS):
        try:
            before = json.loads(options.output.read_text(encoding="utf8"))
            made = (before["machine"]["commit"], before["steps"])
        except (ValueError, KeyError, TypeError) as error:
            parser.error(f"--output must hold profiles of this script, got {options.output}: {error}; remove it")
        if made != (result["machine"]["commit"], options.rounds):
            parser.error("--output holds profiles of another commit or other --rounds; run all presets")
        result["presets"] = before["presets"]
    for name in options.only:
        result["presets"][name] = measure(name, options.rounds)
        result["presets"] = {name: result["presets"][name] for name in PRESETS if name in result["presets"]}
        store(result, options.output)
    print(table(result))


if __name__ == "__main__":
    main()
