"""Run every benchmark, print the one table of ratios, and write the tables of the pages from what is stored.

    python benchmarks/run_all.py [--only dsvae_step precision] [--table-only] [--smoke-test]

Each benchmark is a process of its own and stores docs/results/<name>.json; seconds are those of the machine, ratios are
what counts. --table-only measures nothing and writes the tables from what is stored. --smoke-test runs each in seconds
and stores nothing.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from shared_benchmark import BUSY, interval, number
from shared_benchmark import table as shared_table

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGES = ROOT / "docs" / "results", (ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "concepts" / "cost.md")
NAMES = ("dsvae_step", "elbo_step", "precision", "pipelines", "sprites_data", "structured_normal", "components")
NAMES += ("parts", "pixels", "draws", "guides", "allocation", "memory", "rates", "cost", "profile_presets")
SMOKE = (
    "dsvae_step",
    "precision",
    "parts",
    "pixels",
    "pipelines",
    "draws",
    "guides",
    "allocation",
    "memory",
    "rates",
)  # those that have --smoke-test
TARGETS = {
    "dsvae_step": "at least 4",
    "elbo_step": "at most 1.03",
    "pipelines": "at most 0.03",
    "structured_normal": "at least 10",
}


def read(name: str) -> dict[str, Any] | None:
    """The stored result of a benchmark, or None."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf8")) if path.exists() else None


def headlines(name: str, result: dict[str, Any]) -> list[tuple[str, dict[str, float]]]:
    """What the one table says of a benchmark: words, and the summary of a ratio."""
    if name == "dsvae_step":
        return [
            (f"DSVAE step, {c} base channels: plain PyTorch over pyrodis", r["plain PyTorch"])
            for c, r in _groups(result)
        ]
    if name == "elbo_step":
        row = result["sizes"]["sprites"]["rows"]["NamedELBO, analytic KL"]
        return [("the same step: NamedELBO over an ELBO written by hand", row)]
    if name == "precision":
        rows = next(iter(result["groups"].values()))
        return [("convolutions: bfloat16, channels-last over float32, default layout", rows["bfloat16, channels-last"])]
    if name == "parts":
        return [(f"evaluation, {network}: in parts over all at once", r["in parts"]) for network, r in _groups(result)]
    if name == "pixels":
        return [(f"{part}: pyrodis over torch or pyro", r["pyrodis"]) for part, r in _groups(result)]
    if name == "pipelines":
        return [(f"data over step, {data}", rows["data"]) for data, rows in _groups(result)]
    if name == "structured_normal":
        scans = [(t, row) for t, rows in result["lengths"].items() for way, row in rows.items() if "scan" in way]
        return [(f"normal sequence of {t} frames: parallel scan over ours", row) for t, row in scans]
    if name == "components":
        presets = {size: rows for size, rows in result["sizes"].items() if size.endswith(", cells")}
        return [
            (f"K = 5, default preset of {size.partition(',')[0]}: {way} over a loop", row)
            for size, rows in presets.items()
            for way, row in rows.items()
            if way != "loop"
        ]
    if name == "allocation":
        return [(f"{what}, freed memory kept over given back", r["keep_freed_memory"]) for what, r in _groups(result)]
    if name == "draws":
        return [
            (f"100 posterior draws, {guide}: one by one over all at once", r["one by one"])
            for guide, r in _groups(result)
        ]
    return []


def _groups(result: dict[str, Any]) -> list[tuple[str, Any]]:
    return list(result["groups"].items())


def one_table() -> str:
    """Every headline of what is stored, with its interval."""
    lines = ["| ratio of times | median | 95 % interval | to reach | machine |", "| --- | ---: | --- | --- | --- |"]
    for name in NAMES:
        result = read(name)
        for words, row in headlines(name, result) if result else []:
            load = result["machine"].get("busy_cores") if result else None
            busy = "" if load is None else "busy" if load > BUSY else "quiet"
            lines.append(f"| {words} | {number(row['ratio'])} | {interval(row)} | {TARGETS.get(name, '')} | {busy} |")
    return "\n".join(lines)


def block(name: str) -> str:
    """What the page says of a benchmark: its table and where it was made, or what is missing."""
    if name == "all":
        return one_table()
    result = read(name)
    if result is None:
        return f"Not finished: `python benchmarks/{name}.py --output docs/results/{name}.json` measures it."
    module = importlib.import_module(name)
    made = result["machine"]
    text = f"{made['threads']} threads, torch {made['torch']}, Pyro {made['pyro']}, Python {made['python']}"
    text += f", commit {made['commit']}"
    if made.get("busy_cores", 0.0) > BUSY:
        text += f"; **the machine was busy with other work** ({made['busy_cores']:.1f} cores): seconds are too long"
    return f"{getattr(module, 'table', shared_table)(result)}\n{training(result)}\n{text}."


def training(result: dict[str, Any]) -> str:
    """What was learned in as many steps, where that was measured."""
    if "training" not in result:
        return ""
    found = result["training"]
    each = [f"{name} {', '.join(f'{value:.0f}' for value in nats)}" for name, nats in found["nats"].items()]
    return f"\nNegative ELBO of held-out clips after {found['steps']} steps, nats a clip, by seed: {'; '.join(each)}.\n"


def write_blocks(text: str) -> str:
    """The page with every block between markers as the stored results have it."""

    def replace(match: re.Match[str]) -> str:
        return f"<!-- benchmark:{match[1]} -->\n{block(match[1])}\n<!-- /benchmark -->"

    return re.sub(r"<!-- benchmark:(\w+) -->\n.*?<!-- /benchmark -->", replace, text, flags=re.DOTALL)


def run(name: str, smoke: bool) -> None:
    """One benchmark in a process of its own."""
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py")]
    command += ["--smoke-test", "--rounds", "3"] if smoke else ["--output", str(RESULTS / f"{name}.json")]
    subprocess.run(command, check=True, cwd=ROOT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="which to run (default: all)")
    parser.add_argument("--table-only", action="store_true", help="run none, write the tables from what is stored")
    parser.add_argument("--smoke-test", action="store_true", help="run each that can in seconds, store nothing")
    options = parser.parse_args()
    for name in () if options.table_only else options.only:
        if not options.smoke_test or name in SMOKE:
            print(f"{name}:", flush=True)
            run(name, options.smoke_test)
    if not options.smoke_test:
        for page in PAGES:
            page.write_text(write_blocks(page.read_text(encoding="utf8")), encoding="utf8")
        print(one_table())


if __name__ == "__main__":
    main()
