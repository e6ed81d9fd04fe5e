"""Which view hides which factor: trains what is missing, stores every finished row, prints the table.

    python docs/results/views.py [--data procedural] [--data-root DIR] [--rows NAME ...] [--table-only] [--write]

A row is two classifiers of clips, trained with labels on what one view shows of some characters and scored on
characters that they have not seen: the network that also judges results, which knows places, and the same with an
encoder that reads patches of 4 x 4 pixels wherever they are, and so finds colors among shuffled patches. Of each factor
the better one counts. This measures views and data; no model is trained here, and no model that the library trains sees
a label. Views draw anew for every clip, in training and in the test. Every row has the same budget, so a factor that is
read badly is hard to read through that view, if not hidden.

A row is stored as JSON beside this script once it has finished, and never measured again; stopped, the script goes on
with the first row that is missing. --write puts the table between the markers <!-- results:views --> and
<!-- /results --> of docs/concepts/views.md.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from shared_results import commit, machine, write_blocks
from torch import nn
from torch.nn.functional import cross_entropy

from pyrodis.datasets import ClipSubset, ProceduralSprites, Sprites
from pyrodis.infer import Judge
from pyrodis.metrics import factor_accuracies
from pyrodis.nn import (
    Downsample,
    FrameShuffle,
    GaussianBlur,
    MedianFrame,
    Motion,
    PatchEncoder,
    PatchShuffle,
    RandomCrop,
    RandomGray,
    RandomShift,
    RandomTones,
    Silhouette,
    SingleFrame,
    SubsetFrames,
)

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "concepts" / "views.md"

# Name of a row -> what the table calls it, and the view.
ROWS: dict[str, tuple[str, nn.Module]] = {
    "none": ("no view", nn.Identity()),
    **{f"patch{size}": (f"`PatchShuffle({size})`, an order a frame", PatchShuffle(size)) for size in (16, 8, 4, 2)},
    **{
        f"patch{size}-clip": (f"`PatchShuffle({size}, per_frame=False)`, an order a clip", PatchShuffle(size, False))
        for size in (16, 8, 4, 2)
    },
    "frame-shuffle": ("`FrameShuffle()`", FrameShuffle()),
    "single-frame": ("`SingleFrame()`", SingleFrame()),
    "subset1-patch8": (
        "`SubsetFrames(1)`, then `PatchShuffle(8)`",
        nn.Sequential(SubsetFrames(1), PatchShuffle(8)),
    ),
    "subset2-patch8": (
        "`SubsetFrames(2)`, then `PatchShuffle(8)`",
        nn.Sequential(SubsetFrames(2), PatchShuffle(8)),
    ),
    "subset2-patch2": (
        "`SubsetFrames(2)`, then `PatchShuffle(2)`",
        nn.Sequential(SubsetFrames(2), PatchShuffle(2)),
    ),
    "gray": ("`RandomGray()`", RandomGray()),
    "tones": ("`RandomTones()`", RandomTones()),
    "tones-down2": ("`RandomTones()`, then `Downsample(2)`", nn.Sequential(RandomTones(), Downsample(2))),
    "tones-down4": ("`RandomTones()`, then `Downsample(4)`", nn.Sequential(RandomTones(), Downsample(4))),
    "blur2": ("`GaussianBlur(2)`", GaussianBlur(2)),
    "blur4": ("`GaussianBlur(4)`", GaussianBlur(4)),
    "silhouette": ("`Silhouette()`", Silhouette()),
    "shift": ("`RandomShift(16)`", RandomShift(16)),
    "crop": ("`RandomCrop(16)`", RandomCrop(16)),
    "median": ("`MedianFrame()`", MedianFrame()),
    "motion": ("`Motion()`", Motion()),
}
READERS = ("places", "patches")
FACTORS = ("action", "skin", "bottom", "top", "hair")
# Clips of 300 characters, five times: about 420 steps.
SETTINGS = {"num_train": 2700, "num_test": 900, "num_epochs": 5, "batch_size": 32, "seed": 0}
SMOKE = {"num_train": 36, "num_test": 36, "num_epochs": 1, "batch_size": 18, "seed": 0}


def path_of(row: str, data: str, folder: Path = HERE) -> Path:
    return folder / f"views-{'' if data == 'sprites' else data + '-'}{row}.json"


def load_data(options: argparse.Namespace, settings: dict[str, int]) -> tuple[ClipSubset, ClipSubset]:
    """Clips to learn from and clips of other characters; the test split is left alone."""
    sizes = {"fit": settings["num_train"], "validation": settings["num_test"]}
    if options.data == "procedural":
        parts = [ClipSubset(ProceduralSprites(split=split), range(size)) for split, size in sizes.items()]
    else:
        parts = [ClipSubset(Sprites(options.data_root, split=split), range(size)) for split, size in sizes.items()]
    return parts[0], parts[1]


def seen_batches(data: ClipSubset, view: nn.Module, order: Any, batch_size: int) -> Iterator[tuple[Any, Any]]:
    for batch in torch.utils.data.DataLoader(data, batch_size=batch_size, sampler=order):
        yield view(batch["x"]), batch["factors"]


def train_probe(view: nn.Module, reader: str, train: ClipSubset, settings: dict[str, int]) -> Judge:
    """A classifier of what the view shows, in eval mode; its reader is "places" or "patches"."""
    torch.manual_seed(settings["seed"])
    frame_shape = view(train[0]["x"].unsqueeze(0)).shape[2:]
    probe = Judge(frame_shape, train.factor_sizes)
    if reader == "patches":
        probe.encoder = PatchEncoder(frame_shape, probe.encoder.feature_dim, patch_size=4)
    probe.to(memory_format=torch.channels_last)
    batch_size, num_epochs = settings["batch_size"], settings["num_epochs"]
    optimizer = torch.optim.Adam(probe.parameters())
    steps_an_epoch = -(-len(train) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=4e-3, epochs=num_epochs, steps_per_epoch=steps_an_epoch
    )
    for _ in range(num_epochs):
        for x, factors in seen_batches(train, view, torch.randperm(len(train)).tolist(), batch_size):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = probe(x)
            loss = sum(cross_entropy(part, factors[:, j]) for j, part in enumerate(logits))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return probe.eval()


def measure(row: str, train: ClipSubset, test: ClipSubset, settings: dict[str, int]) -> dict[str, Any]:
    """Train and score the probes of one row."""
    start = time.perf_counter()
    view = ROWS[row][1].train()
    scores = {}
    for reader in READERS:
        probe = train_probe(view, reader, train, settings)
        read = [(probe.predict(x)[0], factors) for x, factors in seen_batches(test, view, range(len(test)), 100)]
        predictions, labels = (torch.cat(parts) for parts in zip(*read, strict=True))
        found = factor_accuracies(predictions, labels, test.factor_names, test.factor_sizes)
        scores[reader] = {name: score.as_dict() for name, score in found.items()}
    return {
        "row": row,
        "view": ROWS[row][0],
        "data": test.name,
        "settings": settings,
        "measured_at": commit(),
        "machine": machine(),
        "seconds": round(time.perf_counter() - start, 1),
        "scores": scores,
    }


def table(results: dict[str, dict[str, Any] | None]) -> str:
    """Accuracy of the better reader in per cent, row by row, above what guessing reaches."""
    lines = ["| through | " + " | ".join(FACTORS) + " |", "| --- |" + " ---: |" * len(FACTORS)]
    finished = [result for result in results.values() if result is not None]
    for result in finished:
        cells = [
            f"{100 * max(result['scores'][reader][factor]['value'] for reader in READERS):.1f}" for factor in FACTORS
        ]
        lines.append(f"| {result['view']} | " + " | ".join(cells) + " |")
    if finished:
        chance = [f"{100 * finished[0]['scores']['places'][factor]['chance']:.1f}" for factor in FACTORS]
        lines.append("| *chance* | " + " | ".join(chance) + " |")
    return "\n".join(lines)


def summary(result: dict[str, Any]) -> str:
    """One line of how the rows were measured."""
    settings = result["settings"]
    return (
        f"{result['data']}: {settings['num_train']} clips of the fit split {settings['num_epochs']} times, batches of "
        f"{settings['batch_size']}, seed {settings['seed']}; {settings['num_test']} clips of the validation split, "
        f"whose characters are others; {result['machine']}."
    )


def page_table(results: dict[str, dict[str, Any] | None]) -> str:
    """The table, how it was measured, and which rows are missing."""
    finished = [result for result in results.values() if result is not None]
    parts = [table(results), *([summary(finished[0])] if finished else [])]
    missing = [ROWS[row][0] for row, result in results.items() if result is None]
    return "\n\n".join([*parts, *([f"Not finished: {'; '.join(missing)}."] if missing else [])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("sprites", "procedural"), default="sprites", help="default: sprites")
    parser.add_argument("--data-root", help="folder of the Sprites sheets (default: as the example)")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="NAME", help="default: all")
    parser.add_argument("--table-only", action="store_true", help="train nothing, print what is finished")
    parser.add_argument("--write", action="store_true", help="write the table of all rows into docs/concepts/views.md")
    parser.add_argument("--smoke-test", action="store_true", help="a few clips, stored nowhere")
    options = parser.parse_args()
    if options.write and options.data != "sprites":
        parser.error("--write puts the rows of Sprites into the page, so it takes no other --data; leave one out")
    with tempfile.TemporaryDirectory() as temporary:
        folder, settings = (Path(temporary), SMOKE) if options.smoke_test else (HERE, SETTINGS)
        paths = {row: path_of(row, options.data, folder) for row in options.rows}
        missing = [row for row, path in paths.items() if not path.exists()]
        if missing and not options.table_only:
            train, test = load_data(options, settings)
            for row in missing:
                result = measure(row, train, test, settings)
                print(f"{row}: {result['seconds']} s", flush=True)
                partial = paths[row].with_suffix(".tmp")
                partial.write_text(json.dumps(result, indent=1) + "\n")
                partial.replace(paths[row])  # whole or not at all
        results = {row: json.loads(path.read_text()) if path.exists() else None for row, path in paths.items()}
    if options.write:
        paths = {row: path_of(row, options.data) for row in ROWS}
        stored = {row: json.loads(path.read_text()) if path.exists() else None for row, path in paths.items()}
        PAGE.write_text(
            write_blocks(PAGE.read_text(encoding="utf8"), {"views": lambda: page_table(stored)}), encoding="utf8"
        )
    print(f"\n{table(results)}\n")
    finished = [result for result in results.values() if result is not None]
    if finished:
        print(f"{summary(finished[0])}\n")
    for row in [row for row, result in results.items() if result is None]:
        print(f"{row}: missing; run python docs/results/views.py --data {options.data}")


if __name__ == "__main__":
    main()
