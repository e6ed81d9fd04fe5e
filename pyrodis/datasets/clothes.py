"""Trousers, skirts and shirts of the procedural characters, as parts to paint over a body."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from pyrodis.datasets.painting import Part, chain, ellipse, offset
from pyrodis.datasets.puppet import GROUND
from pyrodis.datasets.wardrobe import Figure

_SIDES = ("right", "left")


def _belt(figure: Figure, part: Part) -> Part:
    """A part with a stripe of the trim color along the waist."""
    y = offset(figure.screen["pelvis"])[1]
    return replace(part, trim=(np.clip(1.5 - np.abs(y + 3.0), 0.0, 1.0), "trim"))


def _hips(figure: Figure, grow: float) -> Part:
    seat = chain([figure.at("pelvis", up=2.5), figure.at("pelvis", up=-1.5)], [figure.by_view(5.2, 4.5) + grow] * 2)
    return Part(seat, figure.trunk_near() + 0.4, "main")


def _trousers(figure: Figure, names: Sequence[str], radii: Sequence[float]) -> list[Part]:
    return [*(figure.limb(side, names, radii, lift=-0.5) for side in _SIDES), _hips(figure, 0.4)]


def _long_trousers(figure: Figure) -> list[Part]:
    return _trousers(figure, ("hip", "knee", "calf"), (3.9, 3.5, 3.1))


def _shorts(figure: Figure) -> list[Part]:
    parts = _trousers(figure, ("hip", "knee"), (4.3, 4.0))
    rims = []
    for side in _SIDES:
        y = offset(figure.screen[f"{side}_knee"])[1]
        rims.append(np.clip(1.2 - np.abs(y - 2.0), 0.0, 1.0))
    return [*(replace(part, trim=(rim, "trim")) for part, rim in zip(parts[:2], rims, strict=True)), parts[2]]


def _hem(figure: Figure, length: float, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Distance to a skirt down to `length` pixels above the ground, and its nearness."""
    sway = 0.35 * (
        figure.screen["right_knee"][:, 0] + figure.screen["left_knee"][:, 0] - 2 * figure.screen["pelvis"][:, 0]
    )
    low = figure.screen["pelvis"].copy()
    low[:, 0] += sway
    low[:, 1] = GROUND - length - width
    bell = chain([figure.at("pelvis", up=2.0), low], [figure.by_view(5.4, 4.8), width])
    cut = np.maximum(bell, offset(low)[1] - width + 2.0)
    near = np.maximum(figure.near("right_knee", "right_ankle"), figure.near("left_knee", "left_ankle"))
    return cut, np.maximum(near, figure.trunk_near()) + 0.6


def _kilt(figure: Figure) -> list[Part]:
    distance, near = _hem(figure, 6.5, 7.2)
    x, y = offset(figure.screen["pelvis"])
    plaid = np.clip(np.maximum(np.cos(2 * np.pi * x / 5.0), np.cos(2 * np.pi * (y - 2.0) / 5.0)) * 4.0 - 2.8, 0.0, 1.0)
    return [Part(distance, near, "main", trim=(plaid, "trim"))]


def _baggy_trousers(figure: Figure) -> list[Part]:
    parts = _trousers(figure, ("hip", "knee", "calf"), (4.3, 4.6, 4.2))
    return [*parts[:2], _belt(figure, parts[2])]


def _striped_trousers(figure: Figure) -> list[Part]:
    parts = _trousers(figure, ("hip", "knee", "calf"), (3.9, 3.5, 3.0))
    stripes = [
        np.clip(4 * np.cos(2 * np.pi * offset(figure.screen[f"{side}_knee"])[1] / 4.6), 0.0, 1.0) for side in _SIDES
    ]
    return [*(replace(part, trim=(mask, "trim")) for part, mask in zip(parts[:2], stripes, strict=True)), parts[2]]


def _robe(figure: Figure) -> list[Part]:
    distance, near = _hem(figure, 1.2, 8.2)
    y = offset(figure.screen["pelvis"])[1]
    ground = GROUND - 1.2 - figure.screen["pelvis"][:, 1].reshape(-1, 1, 1)
    return [Part(distance, near, "main", trim=(np.clip(1.6 - np.abs(y - ground + 5.0), 0.0, 1.0), "trim"))]


BOTTOMS: tuple[Callable[[Figure], list[Part]], ...] = (
    _long_trousers,
    _shorts,
    _kilt,
    _baggy_trousers,
    _striped_trousers,
    _robe,
)
"""Shapes of the six values of bottom."""


def _shirt(figure: Figure, *, grow: float = 0.7, hem: float = -1.0) -> Part:
    """A shirt with a straight hem, `hem` pixels below the pelvis."""
    y = offset(figure.screen["pelvis"])[1]
    return Part(np.maximum(figure.trunk(grow, 4.0), y - hem), figure.trunk_near() + 0.5, "main")


def _sleeves(figure: Figure, names: Sequence[str], radii: Sequence[float], *, slot: str = "main") -> list[Part]:
    return [figure.limb(side, names, radii, lift=0.2, slot=slot) for side in _SIDES]


def _tee(figure: Figure) -> list[Part]:
    y = offset(figure.screen["chest"])[1]
    stripe = np.clip(2.0 - np.abs(y - 4.0), 0.0, 1.0)
    return [replace(_shirt(figure), trim=(stripe, "trim")), *_sleeves(figure, ("shoulder", "elbow"), (3.0, 2.8))]


def _tunic(figure: Figure) -> list[Part]:
    shirt = _belt(figure, _shirt(figure, grow=0.9, hem=4.0))
    return [shirt, *_sleeves(figure, ("shoulder", "elbow", "cuff"), (3.0, 2.8, 2.7))]


def _vest(figure: Figure) -> list[Part]:
    middle = figure.at("chest", forward=5.0)
    x, y = offset(middle)
    open_front = np.clip(2.2 - np.abs(x), 0.0, 1.0) * np.clip(10.0 - y, 0.0, 1.0)
    return [replace(_shirt(figure, grow=1.0), trim=(open_front, "trim"))]


def _coat(figure: Figure) -> list[Part]:
    shirt = _shirt(figure, grow=1.1, hem=6.0)
    sleeves = _sleeves(figure, ("shoulder", "elbow", "cuff"), (3.2, 3.0, 2.8))
    buttons = [
        Part(ellipse(spot, 1.1, 1.1), figure.trunk_near() + 0.6, "trim", flat=True)
        for spot in (figure.at("chest", up=-3.0 - 4.0 * row, forward=5.0) for row in range(3))
    ]
    cuffs = [
        Part(ellipse(figure.screen[f"{side}_cuff"], 3.1, 3.1), figure.arm_near(side) + 0.3, "trim") for side in _SIDES
    ]
    return [shirt, *sleeves, *buttons, *cuffs]


def _armor(figure: Figure) -> list[Part]:
    y = offset(figure.screen["chest"])[1]
    bands = np.clip(4 * np.cos(2 * np.pi * (y - 5.0) / 5.0) - 2.0, 0.0, 1.0)
    pads = [
        Part(ellipse(figure.at(f"{side}_shoulder", up=0.2), 4.4, 3.9), figure.arm_near(side) + 0.4, "trim")
        for side in _SIDES
    ]
    return [replace(_shirt(figure, grow=0.9), trim=(bands, "trim")), *pads]


def _striped_jersey(figure: Figure) -> list[Part]:
    y = offset(figure.screen["chest"])[1]
    stripes = np.clip(4 * np.cos(2 * np.pi * (y - 1.5) / 4.4), 0.0, 1.0)
    shirt = replace(_shirt(figure), trim=(stripes, "trim"))
    sleeves = _sleeves(figure, ("shoulder", "elbow", "cuff"), (2.9, 2.6, 2.5))
    return [shirt, *(replace(part, trim=(stripes, "trim")) for part in sleeves)]


TOPS: tuple[Callable[[Figure], list[Part]], ...] = (_tee, _tunic, _vest, _coat, _armor, _striped_jersey)
"""Shapes of the six values of top."""
