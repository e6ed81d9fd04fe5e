"""Kill trainings at random steps, resume them, and compare what they end with to trainings that nobody killed.

    python -m tests.dependability.kills [--kills 30] [--seed 0] [--output docs/results/kills.json]

A training is killed (SIGKILL) several times in a row, each time some random milliseconds after a random call of its
model, so in the middle of an epoch, a step or the writing of a file. Every second one saves a checkpoint after each
step, the others at the ends of epochs alone.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]
KINDS = ("plain", "viewed", "penalized", "structured", "what_where", "stages")
KILLS_IN_A_ROW = 3


class Server:
    """Trainings in processes of their own, forked from one that has imported everything."""

    def __enter__(self) -> Server:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.dependability.runs"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)

    def run(self, kind: str, output: Path, every_step: bool, call: int = 0, delay: float = 0.0) -> int:
        """Train, and return the exit code; -9 after a kill."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([kind, str(output), every_step, call, delay]) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


def contents(run: Path) -> dict[str, Any]:
    """What a run ends with: every tensor and number of its files, but for seconds."""
    from pyrodis.infer.checkpoint import read_checkpoint, read_weights

    found: dict[str, Any] = {}
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run).as_posix()
        if path.name == "weights.safetensors":
            found |= {f"{name}/{key}": value for key, value in read_weights(path).items()}
        elif path.name in ("last.ckpt", "best.ckpt"):
            weights, optimizer, state = read_checkpoint(path)
            found |= {f"{name}/{key}": value for key, value in weights.items()}
            for index, moments in optimizer.get("state", {}).items():
                found |= {f"{name}/{index}/{key}": value for key, value in moments.items()}
            found[f"{name}/step"], found[f"{name}/finished"] = state.step, state.finished
        elif path.name == "history.csv":
            with path.open(newline="") as file:
                rows = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
            found[name] = rows
    return found


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Names of what is not the same, bit for bit."""
    missing = sorted(a.keys() ^ b.keys())
    shared = sorted(a.keys() & b.keys())
    return missing + [name for name in shared if not _same(a[name], b[name])]


def _same(a: Any, b: Any) -> bool:
    return torch.equal(a, b) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else bool(a == b)


def kill_in_a_row(server: Server, kind: str, whole: Path, output: Path, number: int, draw: random.Random) -> Any:
    """Kill one training several times, let it end, and say where it was killed and what differs in the end."""
    every_step = draw.random() < 0.5
    num_calls = int(Path(f"{whole}.calls").read_text(encoding="utf8"))
    places = sorted(draw.sample(range(1, num_calls - 2), number))
    rows, before = [], 0
    for place in places:
        delay = draw.uniform(0, 0.03)
        code = server.run(kind, output, every_step, place - before, delay)
        assert code == -signal.SIGKILL, f"the run {kind} ended with {code} before call {place} of {num_calls}"
        before = place
        rows.append({"run": kind, "call": place, "of": num_calls, "saves_every_step": every_step})
    assert server.run(kind, output, every_step) == 0
    differing = differences(contents(whole), contents(output))
    return [row | {"differs": differing} for row in rows]


def kill(num_kills: int, seed: int, folder: Path, kinds: tuple[str, ...] = KINDS) -> list[dict[str, Any]]:
    """Kill trainings so many times in all; return a row a kill."""
    draw = random.Random(seed)
    rows: list[dict[str, Any]] = []
    whole: dict[str, Path] = {}
    with Server() as server:
        while len(rows) < num_kills:
            kind = kinds[len(rows) // KILLS_IN_A_ROW % len(kinds)]
            if kind not in whole:
                whole[kind] = folder / f"{kind}-whole"
                assert server.run(kind, whole[kind], False) == 0
            number = min(KILLS_IN_A_ROW, num_kills - len(rows))
            rows += kill_in_a_row(server, kind, whole[kind], folder / f"{kind}-{len(rows)}", number, draw)
            sys.stderr.write(f"{len(rows)} of {num_kills} kills, {kind} resumed\n")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30, help="how many (default: 30)")
    parser.add_argument("--seed", type=int, default=0, help="of where they come (default: 0)")
    parser.add_argument("--output", type=Path, help="JSON file for the result (default: none)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = kill(options.kills, options.seed, Path(folder))
    survived = sum(not row["differs"] for row in rows)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    machine = {"python": platform.python_version(), "torch": torch.__version__, "commit": commit.stdout.strip()}
    result = {"machine": machine, "seed": options.seed, "kills": len(rows), "survived": survived, "rows": rows}
    if options.output is not None:
        options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")
    sys.stdout.write(f"{survived} of {len(rows)} kills left no trace in what the runs ended with\n")
    sys.exit(survived < len(rows))


if __name__ == "__main__":
    main()
