"""Colors and bodies of the procedural characters: the figure that clothes and hair are cut for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyrodis.datasets.painting import Part, chain, ellipse, offset
from pyrodis.datasets.puppet import joints, project

_SIDES = ("right", "left")
_FACE = {"eye": (34, 28, 44), "white": (250, 248, 244), "mouth": (150, 60, 64)}

PALETTES: dict[str, tuple[dict[str, tuple[int, int, int]], ...]] = {
    "skin": (
        {"main": (250, 208, 172), **_FACE},
        {"main": (205, 140, 88), **_FACE},
        {"main": (128, 78, 52), **_FACE},
        {"main": (118, 176, 82), **_FACE},
        {"main": (104, 152, 214), **_FACE},
        {"main": (206, 92, 104), **_FACE},
    ),
    "bottom": (
        {"main": (62, 92, 176), "trim": (120, 150, 220)},
        {"main": (196, 62, 54), "trim": (246, 226, 196)},
        {"main": (64, 140, 76), "trim": (222, 196, 84)},
        {"main": (226, 218, 198), "trim": (150, 128, 100)},
        {"main": (222, 158, 52), "trim": (134, 78, 36)},
        {"main": (134, 78, 170), "trim": (224, 186, 240)},
    ),
    "top": (
        {"main": (238, 236, 230), "trim": (206, 64, 60)},
        {"main": (58, 142, 88), "trim": (226, 200, 96)},
        {"main": (228, 122, 44), "trim": (116, 66, 38)},
        {"main": (60, 84, 190), "trim": (240, 208, 96)},
        {"main": (146, 152, 168), "trim": (214, 220, 232)},
        {"main": (176, 58, 116), "trim": (250, 190, 214)},
    ),
    "hair": (
        {"main": (122, 74, 40), "trim": (122, 74, 40)},
        {"main": (244, 206, 92), "trim": (244, 206, 92)},
        {"main": (206, 66, 36), "trim": (60, 190, 190)},
        {"main": (240, 92, 172), "trim": (240, 92, 172)},
        {"main": (224, 226, 236), "trim": (224, 226, 236)},
        {"main": (126, 82, 196), "trim": (246, 200, 80)},
    ),
}
"""Attribute -> colors of its six values, slot -> RGB."""

BOOTS = {"main": (112, 72, 44), "trim": (186, 142, 84)}
"""Colors of the boots that everybody wears."""


class Figure:
    """The projected skeleton in all poses, with the shapes that bodies and clothes share.

    Example:
        >>> Figure().screen["head"].shape
        (72, 3)
    """

    def __init__(self) -> None:
        self.places, self.directions = joints()
        self.screen = {name: project(place, self.directions) for name, place in self.places.items()}
        self.side_view = (self.directions > 0).astype(np.float64)
        self.gaze = np.choose(self.directions, [0.0, -1.0, 1.0])

    def near(self, *names: str) -> np.ndarray:
        """Mean nearness of some joints, shape (72,), pixels."""
        return np.mean([self.screen[name][:, 2] for name in names], axis=0)

    def at(self, name: str, right: float = 0.0, up: float = 0.0, forward: float = 0.0) -> np.ndarray:
        """A place fixed to a joint, on the screen, shape (72, 3), pixels."""
        return project(self.places[name] + np.array([right, up, forward]), self.directions)

    def by_view(self, front: float, side: float) -> np.ndarray:
        """One number for the front views and one for the side views, shape (72,)."""
        return front + (side - front) * self.side_view

    def limb(self, side: str, names: Sequence[str], radii: Sequence[float], *, lift: float, slot: str = "main") -> Part:
        """A part along the joints of one side's arm or leg, `lift` pixels nearer than its middle joints."""
        near = self.arm_near(side) if "elbow" in names else self.near(f"{side}_knee", f"{side}_ankle")
        return Part(chain([self.screen[f"{side}_{name}"] for name in names], radii), near + lift, slot)

    def arm_near(self, side: str) -> np.ndarray:
        """Nearness of one arm, shape (72,), pixels."""
        return self.near(f"{side}_elbow", f"{side}_hand") + 1.5

    def trunk(self, grow: float, waist: float = 0.0) -> np.ndarray:
        """Distance to the trunk, made wider by `grow` pixels and longer by `waist`, shape (72, 64, 64)."""
        chest, seat = self.at("chest", up=-2.5), self.at("pelvis", up=-waist)
        wide, slim = self.by_view(5.4, 4.6) + grow, self.by_view(5.0, 4.3) + grow
        shoulders = chain([self.at("right_shoulder", up=-0.6), self.at("left_shoulder", up=-0.6)], [2.0 + grow] * 2)
        return np.minimum(chain([chest, seat], [wide, slim]), shoulders)

    def trunk_near(self) -> np.ndarray:
        """Nearness of the trunk, shape (72,), pixels."""
        return self.near("chest", "pelvis")

    def head_near(self) -> np.ndarray:
        """Nearness of the head, shape (72,), pixels."""
        return self.near("head") + 2.0


def body(figure: Figure) -> list[Part]:
    """The naked body: trunk, limbs, head, ears, eyes and mouth."""
    parts = [Part(figure.trunk(0.0), figure.trunk_near(), "main")]
    for side, sign in zip(_SIDES, (1.0, -1.0), strict=True):
        parts.append(figure.limb(side, ("shoulder", "elbow", "wrist", "hand"), (2.3, 2.1, 2.0, 2.6), lift=0.0))
        parts.append(figure.limb(side, ("hip", "knee", "ankle"), (3.2, 2.8, 2.3), lift=-1.0))
        ear = figure.at("head", right=9.3 * sign, up=-1.0, forward=-0.8)
        parts.append(Part(ellipse(ear, 2.0, 2.4), ear[:, 2] + 1.9, "main"))
        eye = figure.at("head", right=3.9 * sign, up=0.2, forward=7.0)
        white, pupil = ellipse(eye, figure.by_view(2.1, 1.7), 2.7), ellipse(eye + [0, 0.2, 0], 1.15, 2.1)
        parts += [Part(white, eye[:, 2] + 2.2, "white", flat=True), Part(pupil, eye[:, 2] + 2.3, "eye", flat=True)]
    mouth = figure.at("head", up=-3.6, forward=7.6)
    shape = ellipse(mouth, figure.by_view(1.9, 1.5), 0.75)
    head = ellipse(figure.screen["head"], figure.by_view(9.3, 9.0), 8.8)
    nose = ellipse(figure.at("head", up=-2.2, forward=8.8), figure.by_view(0.4, 1.5), figure.by_view(0.4, 1.3))
    parts.append(Part(np.minimum(head, nose), figure.head_near(), "main"))
    return [*parts, Part(shape, figure.head_near() + 0.1, "mouth", flat=True)]


def blockers(figure: Figure) -> list[Part]:
    """What of the body may show in front of clothes and hair: arms, legs, trunk and head."""
    parts = [Part(figure.trunk(0.0), figure.trunk_near(), "main")]
    for side in _SIDES:
        parts.append(figure.limb(side, ("shoulder", "elbow", "wrist", "hand"), (2.3, 2.1, 2.0, 2.6), lift=0.0))
        parts.append(figure.limb(side, ("hip", "knee", "ankle"), (3.2, 2.8, 2.3), lift=-1.0))
    return [*parts, Part(ellipse(figure.screen["head"], 9.0, 8.8), figure.head_near(), "main")]


def boots(figure: Figure) -> list[Part]:
    """Boots with a lighter cuff."""
    parts = []
    for side in _SIDES:
        calf, ankle, toe = (figure.screen[f"{side}_{joint}"] for joint in ("calf", "ankle", "toe"))
        shape = chain([calf, ankle, toe], [3.1, 2.8, 2.4])
        x, y = offset(calf)
        down_x, down_y = ((ankle - calf)[:, axis].reshape(-1, 1, 1) for axis in (0, 1))
        along = (x * down_x + y * down_y) / np.sqrt(down_x**2 + down_y**2)
        cuff = np.clip(0.5 - along, 0.0, 1.0)
        near = figure.near(f"{side}_knee", f"{side}_ankle") + 0.7
        parts.append(Part(np.maximum(shape, -2.2 - along), near, "main", trim=(cuff, "trim")))
    return parts
