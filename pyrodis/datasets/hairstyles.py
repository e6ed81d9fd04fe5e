"""Hair of the procedural characters, as parts to paint over a head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pyrodis.datasets.painting import Part, chain, ellipse, offset
from pyrodis.datasets.wardrobe import Figure

_SIDES = (1.0, -1.0)  # right, left


def _cap(figure: Figure, *, grow: float = 1.2, brow: float = 0.0, nape: float = -5.0) -> Part:
    """Hair over the skull, down to `nape`, open around a face that starts `brow` pixels higher."""
    skull = ellipse(figure.at("head", up=0.5), figure.by_view(9.4, 9.2) + grow, 8.8 + grow)
    face = ellipse(figure.at("head", up=brow - 4.2, forward=6.5), figure.by_view(7.9, 7.6), 8.0)
    hair = np.maximum(np.maximum(skull, -face), offset(figure.at("head", up=nape))[1])
    return Part(hair, figure.head_near() + 0.5, "main")


def _crop(figure: Figure) -> list[Part]:
    return [_cap(figure, grow=1.0, brow=0.3, nape=-3.0)]


def _long(figure: Figure) -> list[Part]:
    root, tip = figure.at("head", up=-1.0, forward=-5.0), figure.at("chest", up=-4.5, forward=-6.5)
    fall = chain([root, tip], [figure.by_view(10.0, 5.6), figure.by_view(8.6, 4.2)])
    curtain = Part(fall, np.where(figure.side_view > 0, figure.head_near() + 0.55, figure.trunk_near() - 1.0), "main")
    locks = []
    for side in _SIDES:
        temple, end = (figure.at("head", right=9.4 * side, up=up, forward=1.5) for up in (2.0, -9.5))
        locks.append(Part(chain([temple, end], [2.2, 2.0]), np.maximum(temple[:, 2], figure.head_near()) + 0.6, "main"))
        hidden = (figure.side_view > 0) & (temple[:, 2] < 0)
        locks[-1] = replace(locks[-1], near=np.where(hidden, temple[:, 2], locks[-1].near))
    return [curtain, *locks, _cap(figure)]


def _topknot(figure: Figure) -> list[Part]:
    knot, band = figure.at("head", up=11.8, forward=-2.0), figure.at("head", up=8.7, forward=-1.4)
    near = figure.head_near()
    return [
        _cap(figure, brow=1.0),
        Part(ellipse(knot, 4.8, 3.9), near + 0.6, "main"),
        Part(ellipse(band, 4.0, 1.6), near + 0.7, "trim"),
    ]


def _mohawk(figure: Figure) -> list[Part]:
    spine = [
        figure.at("head", up=up, forward=forward) for up, forward in ((5.5, 7.0), (9.5, 2.5), (8.5, -4.5), (2.0, -9.0))
    ]
    return [Part(chain(spine, [2.4, 3.9, 3.9, 2.8]), figure.head_near() + 0.5, "main")]


def _spikes(figure: Figure) -> list[Part]:
    cap = _cap(figure, grow=0.9, brow=0.2)
    center = figure.at("head", up=0.5)
    lean = -0.35 * figure.gaze
    shape = cap.distance
    for angle in (-1.9, -1.15, -0.4, 0.4, 1.15, 1.9):
        along = np.stack([np.sin(angle + lean), -np.cos(angle + lean), 0 * lean], axis=-1)
        reach = np.where(angle * figure.gaze > 0.5, 8.0, 13.8).reshape(-1, 1)  # none over the face
        shape = np.minimum(shape, chain([center + 7.0 * along, center + reach * along], [3.8, 0.3]))
    face = ellipse(figure.at("head", up=-4.2, forward=6.5), figure.by_view(7.9, 7.6), 8.0)
    return [replace(cap, distance=np.maximum(shape, -face))]


def _pigtails(figure: Figure) -> list[Part]:
    parts = [_cap(figure, brow=0.8)]
    for side in _SIDES:
        tie = figure.at("head", right=9.6 * side, up=2.6, forward=-4.5)
        middle, end = (figure.at("head", right=12.8 * side, up=up, forward=-6.5) for up in (-3.0, -10.5))
        near = np.where(figure.side_view > 0, tie[:, 2] + 2.0 * np.sign(tie[:, 2]), tie[:, 2])
        parts.append(Part(chain([tie, middle, end], [2.6, 3.6, 1.5]), near, "main"))
        parts.append(Part(ellipse(tie, 2.3, 2.3), near + 0.1, "trim"))
    return parts


HAIRSTYLES: tuple[Callable[[Figure], list[Part]], ...] = (_crop, _long, _topknot, _mohawk, _spikes, _pigtails)
"""Shapes of the six values of hair."""
