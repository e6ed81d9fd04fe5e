"""What every score of codes against factors gives on codes that are known: computes what is missing, prints the tables.

    python docs/results/metrics_table.py [--rows NAME ...] [--table-only] [--write]

A row is one kind of factors, numbers or classes, and every score on every kind of codes, in a minute or less. It is
stored as JSON beside this script; --write puts the tables into the page of the metrics.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from shared_results import ROOT, commit, line, run_tables

HERE = Path(__file__).resolve().parent
PAGE = ROOT / "docs" / "concepts" / "metrics.md"
NUM = 1000
ROWS = ("numbers", "classes")
KINDS = ("perfect", "bent", "with dead", "twice", "rotated", "noise", "all dead")
Codes = dict[str, np.ndarray]


def path_of(row: str) -> Path:
    return HERE / f"metrics_table-{row}.json"


def factors_of(row: str) -> np.ndarray:
    """Three independent factors: uniform numbers, or classes of 4, 3 and 5 values."""
    rng = np.random.default_rng(0)
    if row == "numbers":
        return rng.random((NUM, 3))
    return np.stack([rng.integers(size, size=NUM) for size in (4, 3, 5)], axis=1)


def codes_of(factors: np.ndarray) -> Codes:
    """Codes of every kind, of the factors at mean 0 and standard deviation 1."""
    unit = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    mix = np.linalg.qr(np.array([[1.0, 1.0, 1.0], [1.0, -1.0, 0.5], [0.5, 1.0, -2.0]]))[0]
    dead = np.zeros((NUM, 3))
    codes = [
        unit,
        np.exp(1.5 * unit),
        np.concatenate([unit, dead], axis=1),
        np.concatenate([unit, unit], axis=1),
        unit @ mix,
        np.random.default_rng(1).normal(size=(NUM, 3)),
        dead,
    ]
    return dict(zip(KINDS, codes, strict=True))


def scores_of(codes: np.ndarray, factors: np.ndarray, quick: bool = False) -> dict[str, list[float]]:
    """Name of a score -> value and chance level; intervals are not shown, so there are two resamples."""
    from pyrodis import metrics

    few: dict[str, Any] = {"num_resamples": 2}
    found = metrics.mig(codes, factors, **few) | metrics.sap(codes, factors, **few)
    found |= {"modularity": metrics.modularity(codes, factors, **few)} | metrics.mcc(codes, factors, **few)
    found |= {"mcc of ranks": metrics.mcc(codes, factors, ranks=True, **few)["mcc"]}
    found |= metrics.factor_vae_score(codes, factors, **few) | metrics.beta_vae_score(codes, factors, **few)
    if not quick:
        found |= metrics.dci(codes, factors) | metrics.factor_r2(codes, factors, **few)
    return {name: [score.value, score.chance or 0.0] for name, score in found.items() if "/" not in name}


def finish(row: str) -> None:
    """Compute and store a row."""
    factors = factors_of(row)
    values = {kind: scores_of(codes, factors) for kind, codes in codes_of(factors).items()}
    record = {"commit": commit(), "num": NUM, "scores": values}
    path_of(row).write_text(json.dumps(record, indent=1) + "\n", encoding="utf8")


def table(row: str) -> str:
    """A line a score, a column a kind of codes, and the chance level of the noise."""
    if not path_of(row).exists():
        return "Not finished."
    values = json.loads(path_of(row).read_text(encoding="utf8"))["scores"]
    lines = [line("score", *KINDS, "chance"), line("---", *["---:"] * (len(KINDS) + 1))]
    for name in values["perfect"]:
        numbers = [*(values[kind][name][0] for kind in KINDS), values["noise"][name][1]]
        lines.append(line(name, *(f"{round(number, 2) + 0.0:.2f}" for number in numbers)))  # + 0.0: no minus before 0
    return "\n".join(lines)


BLOCKS = {f"metrics-{row}": partial(table, row) for row in ROWS}


def main() -> None:
    run_tables("metrics_table", __doc__, ROWS, path_of, finish, [PAGE], BLOCKS)


if __name__ == "__main__":
    main()
