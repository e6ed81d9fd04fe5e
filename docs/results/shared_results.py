"""What the scripts of tables share: running the command of a row, means over seeds, and the command line."""

from __future__ import annotations

import argparse
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from subprocess import CalledProcessError

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
Blocks = Mapping[str, Callable[[], str]]


def commit() -> str:
    """The commit that is checked out, in short."""
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    return head.stdout.strip()


def machine() -> str:
    """Cores, how many threads a training has of them where it has fewer, processor and system."""
    import torch  # counts threads as the training that this process starts does, by OMP_NUM_THREADS

    cores, threads = os.cpu_count() or 1, torch.get_num_threads()
    fewer = f" ({threads} used)" if threads < cores else ""
    return f"{cores} cores{fewer}, {platform.machine()}, {platform.system()}"


def commit_file(run: Path) -> Path:
    """Where the commit stands that began the training of a run, which a resumed run goes on with."""
    return run.with_name(f"{run.name}.commit")


def call(command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    """Run a script, and leave as it ends. Ctrl-C is the script's to answer: it saves what it has, which takes a while.

    Args:
        command: Script and options.
        env: The environment, if it is not this one.
    """
    handler = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        subprocess.run([sys.executable, *command], cwd=ROOT, env=env, check=True)
    except CalledProcessError as error:
        print(
            f"{command[0]} ended with code {error.returncode}; what it saved is kept, see above for why",
            file=sys.stderr,
        )
        raise SystemExit(error.returncode if error.returncode > 0 else 128 - error.returncode) from None
    finally:
        signal.signal(signal.SIGINT, handler)


def train(run: Path, command: Sequence[str], *unnamed: str) -> dict[str, str]:
    """Run the command of a row, resuming a run that was cut. A run that had finished is scored anew.

    Args:
        run: Directory of the run.
        command: Script and options, which the row names.
        *unnamed: Further options, which it does not, such as the folder of the data.

    Returns:
        The beginning of what is stored of a row: command, commits of training and of scoring, and machine.
    """
    run.parent.mkdir(exist_ok=True)
    if not commit_file(run).exists():
        commit_file(run).write_text(commit())
    if (run / "metrics.json").exists():  # the last thing that is written; its row was removed, or it would not be here
        for scores in run.rglob("metrics.json"):
            scores.unlink()
    scored_at = commit()
    call([*command, *unnamed, "--output", str(run), "--resume"])
    return {
        "command": " ".join(["python", *command]),
        "trained_at": commit_file(run).read_text(),
        "scored_at": scored_at,
        "machine": machine(),
    }


def interval(numbers: Sequence[float], digits: int = 3) -> str:
    """Mean over seeds, and the half width of its 95 % interval (Student's t) where there are two seeds or more."""
    from pyrodis.metrics import paired_difference

    if not numbers:
        return ""
    if len(numbers) == 1:
        return _decimal(numbers[0], digits)
    mean = paired_difference(np.array(numbers), np.zeros(len(numbers)))
    return f"{_decimal(mean.value, digits)} ± {mean.high - mean.value:.{digits}f}"


def _decimal(value: float, digits: int) -> str:
    """The number with so many digits; what rounds to zero has no sign."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def line(*found: object) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(str(part) for part in found) + " |"


def write_blocks(text: str, blocks: Blocks) -> str:
    """A page with the tables between its markers."""
    for name, block in blocks.items():
        pattern = rf"(<!-- results:{name} -->\n).*?(<!-- /results -->)"
        text = re.sub(pattern, lambda found, block=block: found[1] + block() + "\n" + found[2], text, flags=re.DOTALL)
    return text


def run_tables(
    script: str,
    description: str | None,
    rows: Collection[str],
    path_of: Callable[[str], Path],
    finish: Callable[[str], None],
    pages: Sequence[Path],
    blocks: Blocks,
) -> bool:
    """Train the rows that are asked for and missing, print all tables, and name what is still missing.

    Args:
        script: Name of the script's file, without .py.
        description: What its help says.
        rows: Names of all rows, in the order in which they are trained.
        path_of: Where a row is stored.
        finish: Trains and stores a row.
        pages: The pages that --write writes the tables into.
        blocks: Name of a marker to what makes its table.

    Returns:
        Whether the pages were written.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", metavar="NAME", choices=rows, help="train these rows alone (default: all)")
    parser.add_argument("--table-only", action="store_true", help="train nothing, print what is finished")
    parser.add_argument("--write", action="store_true", help="write the tables into the pages")
    options = parser.parse_args()
    for row in options.rows or rows:
        if not path_of(row).exists() and not options.table_only:
            finish(row)
    if options.write:
        for page in pages:
            page.write_text(write_blocks(page.read_text(encoding="utf8"), blocks), encoding="utf8")
    for name, block in blocks.items():
        print(f"{name}\n\n{block()}\n")
    for row in rows:
        if not path_of(row).exists():
            print(f"{row}: missing; run python docs/results/{script}.py --rows {row}")
    return options.write
