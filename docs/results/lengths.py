"""How long the default preset of an example takes from its command to its last figure: one row an example.

    pip install -e ".[test]"  # for psutil
    python docs/results/lengths.py [--rows NAME ...] [--table-only] [--write]

Each row runs the command as a user would, with all threads, in a directory of its own that is removed afterwards, and
notes the minutes on the clock: imports, data, training, scores and figures. The cache is empty, so that a judge is
trained as in a user's first run; data are those that the example finds in PYRODIS_DATA. What else the machine does
slows it, so the row notes how many cores were busy before it began; run it on a quiet one. A row that was cut is run
again from the start. --write puts the table between the markers <!-- results:lengths --> and <!-- /results --> of
docs/concepts/cost.md.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

import psutil
from shared_results import call, commit, line, machine, run_tables

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGES = (ROOT / "docs" / "concepts" / "cost.md",)
# Name of a row -> its command, and the most minutes that it was to take on two cores, where there is such a limit.
ROWS: dict[str, tuple[tuple[str, ...], int | None]] = {
    "dsvae_sprites": (("examples/dsvae_sprites.py", "--data", "sprites"), 20),
    "structured_vae_circle": (("examples/structured_vae_circle.py",), None),
    "beta_vae_circle": (("examples/beta_vae_circle.py",), None),
    "inertial_vae_circle": (("examples/inertial_vae_circle.py",), None),
    "compare_guides": (("examples/compare_guides.py",), None),
    "parallel_vae_digits": (("examples/parallel_vae_digits.py", "--data", "mnist"), 15),
    "parallel_vae_scenes": (("examples/parallel_vae_scenes.py",), 30),
    "unsupervised_objects": (("examples/unsupervised_objects.py",), None),
    "what_where_digits": (("examples/what_where_digits.py", "--data", "mnist"), 15),
}


def path_of(row: str) -> Path:
    return HERE / f"lengths-{row}.json"


def busy_cores() -> float:
    """How many cores other programs keep busy, over three seconds."""
    return psutil.cpu_percent(interval=3) / 100 * (psutil.cpu_count() or 1)


def finish(row: str) -> None:
    """Run the command of a row, and store how long it took."""
    if not os.environ.get("PYRODIS_DATA"):
        raise SystemExit("set PYRODIS_DATA to the folder with Sprites and MNIST, so that no download is timed")
    (command, _), busy = ROWS[row], busy_cores()
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PYRODIS_CACHE": f"{folder}/cache"}
        start = time.monotonic()
        call([*command, "--output", f"{folder}/run"], environment)
        minutes = (time.monotonic() - start) / 60
    result = {
        "command": " ".join(["python", *command]),
        "commit": commit(),
        "machine": machine(),
        "busy_cores": round(busy, 2),
        "minutes": minutes,
    }
    path_of(row).write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")


def length_table() -> str:
    """A line for every example that has been timed."""
    lines = [
        line("command", "minutes on the clock", "to take at most, on two cores", "cores busy before", "machine"),
        "| --- | ---: | ---: | ---: | --- |",
    ]
    missing = []
    for row, (_, limit) in ROWS.items():
        if not path_of(row).exists():
            missing.append(row)
            continue
        result = json.loads(path_of(row).read_text(encoding="utf8"))
        missed = ", **missed**" if limit is not None and result["minutes"] > limit else ""
        found = (f"{result['minutes']:.1f}{missed}", limit or "", result["busy_cores"], result["machine"])
        lines.append(line(f"`{result['command']}`", *found))
    return "\n".join(lines) + (f"\n\nNot timed yet: {', '.join(missing)}." if missing else "")


BLOCKS = {"lengths": length_table}


def main() -> None:
    run_tables("lengths", __doc__, ROWS, path_of, finish, PAGES, BLOCKS)


if __name__ == "__main__":
    main()
