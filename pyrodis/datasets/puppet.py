"""The skeleton of the procedural characters: nine actions of eight poses each, in space and on the screen."""

from __future__ import annotations

import math

import numpy as np

KINDS = ("walk", "spellcast", "slash")
"""What a character does; an action's label is `3 * kind + direction`."""

DIRECTIONS = ("front", "left", "right")
"""Where a character looks, as the viewer sees it."""

NUM_FRAMES = 8
"""Frames of an action."""

GROUND = 59.3
"""Where the ground's middle is on the screen, pixels from the upper edge."""

_THIGH, _SHIN, _ANKLE, _FOOT = 8.0, 8.0, 2.3, 4.0
_UPPER_ARM, _FOREARM, _HAND = 7.2, 6.2, 1.6
_SPINE, _NECK, _HEAD = 12.3, 3.0, 11.4
_HIP_WIDTH, _SHOULDER_WIDTH = 3.4, 7.6
_CENTER, _TILT = 32.0, 0.25

# Angles in radians, one value a frame. A limb's raise is 0 downwards, pi / 2 forwards, pi upwards.
_SPELL = np.array([0.0, 0.22, 0.55, 0.85, 1.0, 0.93, 1.05, 0.6])
_STROKE = np.array([0.5, 1.7, 3.3, 4.15, 2.5, 1.25, 0.7, 0.5])  # raise of the striking arm, back over the head at 4
_REACH = np.array([0.1, 0.3, 0.3, 0.2, 0.8, 1.0, 0.75, 0.35])  # how far the stroke has carried the body forward


def _walk(side: float) -> dict[str, np.ndarray]:
    phase = 2 * math.pi * np.arange(NUM_FRAMES) / NUM_FRAMES + 0.3
    swing = side * np.sin(phase)
    lift = np.maximum(side * np.cos(phase), 0.0)
    return {
        "arm_raise": 0.02 - 0.6 * swing,
        "arm_out": np.full(NUM_FRAMES, 0.2),
        "elbow": 0.4 - 0.2 * swing,
        "elbow_in": np.full(NUM_FRAMES, 0.25),
        "leg_raise": 0.1 + 0.62 * swing,
        "knee": 0.15 + 1.05 * lift,
        "lean": np.full(NUM_FRAMES, 0.5),
        "twist": -0.22 * np.sin(phase),
    }


def _spellcast(side: float) -> dict[str, np.ndarray]:
    wave = 0.12 * np.sin(2.4 * np.arange(NUM_FRAMES) + side)
    return {
        "arm_raise": 0.1 + 2.1 * _SPELL + wave,
        "arm_out": 0.22 + 0.4 * _SPELL,
        "elbow": 0.3 + 0.3 * _SPELL,
        "elbow_in": 0.1 + 0.15 * _SPELL,
        "leg_raise": side * 0.08 + 0.1 * _SPELL,
        "knee": 0.1 + 0.25 * _SPELL,
        "lean": 0.2 - 1.4 * _SPELL,
        "twist": np.zeros(NUM_FRAMES),
    }


def _slash(side: float) -> dict[str, np.ndarray]:
    right = side > 0
    return {
        "arm_raise": _STROKE if right else 0.35 - 1.1 * _REACH,
        "arm_out": 0.2 + 0.1 * _STROKE - 0.35 * _REACH if right else 0.25 + 0.35 * _REACH,
        "elbow": np.full(NUM_FRAMES, 0.2 if right else 0.7),
        "elbow_in": 0.35 + 0.4 * _REACH if right else np.full(NUM_FRAMES, 0.1),
        "leg_raise": -0.15 - 0.4 * _REACH if right else 0.15 + 0.55 * _REACH,
        "knee": 0.15 + 0.1 * _REACH if right else 0.15 + 0.55 * _REACH,
        "lean": -0.8 + 3.4 * _REACH,
        "twist": -0.35 + 0.9 * _REACH,
    }


def _toward(out: np.ndarray, raised: np.ndarray) -> np.ndarray:
    """Unit vectors (right, up, forward) of a limb raised forward by one angle and tilted sideways by another."""
    return np.stack([np.sin(out), -np.cos(raised) * np.cos(out), np.sin(raised) * np.cos(out)], axis=-1)


def _legs(angles: dict[str, np.ndarray], side: float) -> dict[str, np.ndarray]:
    """Joints of one leg relative to the middle of the pelvis."""
    out = np.full(NUM_FRAMES, 0.06 * side)
    hip = np.broadcast_to(np.array([_HIP_WIDTH * side, 0.0, 0.0]), (NUM_FRAMES, 3))
    knee = hip + _THIGH * _toward(out, angles["leg_raise"])
    ankle = knee + _SHIN * _toward(out, angles["leg_raise"] - angles["knee"])
    toe = ankle + _FOOT * _toward(out, angles["leg_raise"] - 0.7 * angles["knee"] + 0.5 * math.pi)
    return {"hip": hip, "knee": knee, "calf": ankle + 0.4 * (knee - ankle), "ankle": ankle, "toe": toe}


def _arms(angles: dict[str, np.ndarray], side: float, chest: np.ndarray) -> dict[str, np.ndarray]:
    """Joints of one arm that hangs from the twisted shoulder line at `chest`."""
    line = np.stack([np.cos(angles["twist"]), np.zeros(NUM_FRAMES), np.sin(angles["twist"])], axis=-1)
    shoulder = chest + _SHOULDER_WIDTH * side * line
    elbow = shoulder + _UPPER_ARM * _toward(side * angles["arm_out"], angles["arm_raise"])
    inward = angles["arm_out"] - angles["elbow_in"]
    along = _toward(side * inward, angles["arm_raise"] + angles["elbow"])
    places = {"shoulder": shoulder, "elbow": elbow}
    reaches = {"cuff": 0.75 * _FOREARM, "wrist": _FOREARM, "hand": _FOREARM + _HAND}
    return places | {name: elbow + reach * along for name, reach in reaches.items()}


def _posed(kind: str) -> dict[str, np.ndarray]:
    """Joints (8, 3) of one kind of action, the lower foot on the ground."""
    sides = {"right": 1.0, "left": -1.0}
    angles = {
        name: {"walk": _walk, "spellcast": _spellcast, "slash": _slash}[kind](side) for name, side in sides.items()
    }
    legs = {name: _legs(angles[name], side) for name, side in sides.items()}
    height = _ANKLE - np.minimum(legs["right"]["ankle"][:, 1], legs["left"]["ankle"][:, 1])
    pelvis = np.stack([np.zeros(NUM_FRAMES), height, np.zeros(NUM_FRAMES)], axis=-1)
    lean = angles["right"]["lean"]
    chest = pelvis + np.stack([0 * lean, _SPINE - 0.06 * lean**2, lean], axis=-1)
    joints = {"pelvis": pelvis, "chest": chest, "neck": chest + [0.0, _NECK, 0.0]}
    joints["head"] = chest + np.stack([0 * lean, 0 * lean + _HEAD, 0.5 * lean], axis=-1)
    for name, side in sides.items():
        joints |= {f"{name}_{joint}": pelvis + offset for joint, offset in legs[name].items()}
        joints |= {f"{name}_{joint}": place for joint, place in _arms(angles[name], side, chest).items()}
    return joints


def project(points: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Put points of space onto the screen, as a viewer slightly above the character sees them.

    x = 32 + across and y = 59.3 - up + 0.25 near, where (across, near) is the character's (right, forward) turned to
    the direction of its gaze: (-right, forward) for front, (-forward, -right) for left, (forward, right) for right.

    Args:
        points: places as (right, up, forward) of the character, in pixels above the ground's middle.
        directions: 0 front, 1 left, 2 right, one for each point.

    Shape:
        points: (..., 3); directions: broadcastable to (...); result: (..., 3).

    Returns:
        x and y in pixels from the upper left corner, and nearness to the viewer in pixels.

    Example:
        >>> project(np.array([0.0, 10.0, 5.0]), np.array(2)).round(1).tolist()
        [37.0, 49.3, 0.0]
    """
    right, up, forward = np.moveaxis(np.asarray(points, dtype=np.float64), -1, 0)
    across = np.choose(directions, [-right, -forward, forward])
    near = np.choose(directions, [forward, -right, right])
    return np.stack([_CENTER + across, GROUND - up + _TILT * near, near], axis=-1)


def joints() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """All poses of the character: nine actions of eight frames.

    Walk swings opposite arms and legs, spellcast lifts both arms over the head, slash cocks the right arm and strikes
    through with a lunge. The three directions show the same motion in space, so left is not right mirrored in slash.

    Shape:
        each joint: (72, 3), row 8 * action + frame; directions: (72,).

    Returns:
        Joint name -> place as (right, up, forward) in pixels; and each pose's direction (0 front, 1 left, 2 right).

    Example:
        >>> places, directions = joints()
        >>> places["head"].shape, directions[::8].tolist()
        ((72, 3), [0, 1, 2, 0, 1, 2, 0, 1, 2])
    """
    posed = [_posed(kind) for kind in KINDS]
    places = {name: np.concatenate([np.tile(pose[name], (len(DIRECTIONS), 1)) for pose in posed]) for name in posed[0]}
    return places, np.tile(np.repeat(np.arange(len(DIRECTIONS)), NUM_FRAMES), len(KINDS))
