"""Draws docs/_static/procedural_sprites.png: nine actions of one character, and what the attributes look like.

Run from the root of the repository: python docs/figures/procedural_sprites.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from pyrodis.datasets import ProceduralSprites

ENLARGE = 2
GAP = 12  # columns of gray between the two halves
HERO = (0, 0, 1, 1)  # skin, bottom, top, hair
NEIGHBORS = ((1, 1, 3, 3), (2, 2, 2, 2), (3, 3, 0, 4), (4, 4, 4, 0), (5, 5, 5, 5))


def clips() -> dict[tuple[int, ...], np.ndarray]:
    """Maps the factors of every clip that is shown to its frames, uint8 (8, 64, 64, 3)."""
    shown = {}
    for split in ("train", "test"):
        data = ProceduralSprites(split=split)
        for start in range(0, len(data), 9):
            factors = tuple(data[start]["factors"].tolist())
            if factors[1:] in (HERO, *NEIGHBORS):
                for item in data.__getitems__(list(range(start, start + 9))):
                    frames = (255 * item["x"]).round().byte().permute(0, 2, 3, 1).numpy()
                    shown[tuple(item["factors"].tolist())] = frames
    return shown


def main() -> None:
    """Writes the figure: the hero's nine actions by eight frames, and the neighbors' frame 3 of each action."""
    shown = clips()
    rows = []
    for action in range(9):
        left = np.concatenate(list(shown[(action, *HERO)]), axis=1)
        right = np.concatenate([shown[(action, *neighbor)][3] for neighbor in NEIGHBORS], axis=1)
        rows.append(np.concatenate([left, np.full((64, GAP, 3), 64, dtype=np.uint8), right], axis=1))
    sheet = Image.fromarray(np.concatenate(rows))
    sheet = sheet.resize((ENLARGE * sheet.width, ENLARGE * sheet.height), Image.Resampling.NEAREST)
    path = Path(__file__).resolve().parents[1] / "_static" / "procedural_sprites.png"
    path.parent.mkdir(exist_ok=True)
    sheet.save(path, optimize=True)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
