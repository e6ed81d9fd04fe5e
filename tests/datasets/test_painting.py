"""Shapes, covering and coloring of the drawn characters, against what simple geometry says."""

from __future__ import annotations

import numpy as np
import pytest

from pyrodis.datasets.painting import Part, chain, colorize, ellipse, shade
from pyrodis.datasets.puppet import GROUND, joints, project

MIDDLE = np.array([[32.0, 32.0]])


def disc(radius: float, near: float, slot: str, x: float = 32.0) -> Part:
    return Part(ellipse(np.array([[x, 32.0]]), radius, radius), np.array([near]), slot, flat=True)


def test_ellipse_covers_its_area() -> None:
    weights = shade([Part(ellipse(MIDDLE, 12.0, 7.0), np.zeros(1), "a", flat=True)])
    assert weights["alpha"].sum() == pytest.approx(np.pi * 12.0 * 7.0, rel=0.01)


def test_chain_covers_the_area_of_a_capsule_and_of_a_cone() -> None:
    ends = [np.array([[20.0, 32.0]]), np.array([[44.0, 32.0]])]
    capsule = shade([Part(chain(ends, [5.0, 5.0]), np.zeros(1), "a", flat=True)])["alpha"]
    assert capsule.sum() == pytest.approx(24 * 10 + np.pi * 25, rel=0.01)
    cone = chain(ends, [6.0, 2.0])
    assert cone[0, 32, 44] == pytest.approx(np.hypot(0.5, 0.5) - 2.0)
    assert cone[0, 32, 19] == pytest.approx(np.hypot(0.5, 0.5) - 6.0)


def test_chain_needs_joints_with_radii() -> None:
    with pytest.raises(ValueError, match="two or more joints with one radius each, got 1 and 1"):
        chain([MIDDLE], [1.0])
    with pytest.raises(ValueError, match="got 2 and 3"):
        chain([MIDDLE, MIDDLE], [1.0, 1.0, 1.0])


@pytest.mark.parametrize("swapped", [False, True])
def test_the_nearer_part_covers_whatever_the_order(swapped: bool) -> None:
    parts = [disc(10.0, 0.0, "far"), disc(5.0, 1.0, "near")]
    weights = shade(parts[::-1] if swapped else parts)
    assert weights["near"][0, 32, 32] == 1.0
    assert weights["far"][0, 32, 32] == 0.0
    assert weights["far"][0, 32, 40] == 1.0
    assert weights["alpha"].max() <= 1.0


def test_equally_near_parts_share_nothing_twice() -> None:
    weights = shade([disc(6.0, 0.0, "a", 30.0), disc(6.0, 0.0, "b", 34.0)])
    assert weights["alpha"].max() <= 1.0
    assert weights["b"][0, 32, 32] == 1.0


def test_a_blocker_cuts_what_is_behind_it_only() -> None:
    parts = [disc(10.0, 0.0, "shirt")]
    assert shade(parts, [disc(4.0, 1.0, "arm")])["alpha"][0, 32, 32] == 0.0
    assert shade(parts, [disc(4.0, -1.0, "arm")])["alpha"][0, 32, 32] == 1.0


def test_tones_leave_an_outline_and_light_the_upper_left() -> None:
    tone = shade([Part(ellipse(MIDDLE, 14.0, 14.0), np.zeros(1), "a")])["a"][0]
    assert tone[32, 32] == pytest.approx(1.0)
    assert tone[32, 18] < 0.6
    assert tone[22, 25] > 1.1
    assert tone[41, 38] < 0.9


def test_colors_are_not_premultiplied_and_empty_pixels_are_zero() -> None:
    tiles = colorize(shade([disc(8.0, 0.0, "a")]), {"a": np.array([200.0, 100.0, 50.0])})
    drawn = tiles[..., 3] > 0
    assert (tiles[drawn][:, :3] == [200, 100, 50]).all()
    assert (tiles[~drawn] == 0).all()
    assert ((tiles[..., 3] > 0) & (tiles[..., 3] < 255)).any()


def test_bones_keep_their_lengths_and_the_lower_foot_stands() -> None:
    places, _ = joints()
    for first, second in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "hand")):
        for side in ("right", "left"):
            length = np.linalg.norm(places[f"{side}_{first}"] - places[f"{side}_{second}"], axis=-1)
            assert np.ptp(length) < 1e-9
    feet = np.minimum(places["right_ankle"][:, 1], places["left_ankle"][:, 1])
    assert np.ptp(feet) < 1e-9


def test_actions_are_what_they_are_called() -> None:
    places, _ = joints()
    walk, spell, slash = (slice(start, start + 8) for start in (0, 24, 48))
    step = places["right_ankle"][walk, 2] - places["left_ankle"][walk, 2]
    assert step.max() > 8
    assert step.min() < -8
    for side in ("right", "left"):
        lifted = places[f"{side}_hand"][spell, 1] - places[f"{side}_shoulder"][spell, 1]
        assert lifted[0] < -10
        assert lifted[3:7].min() > 3
    stroke = places["right_hand"][slash, 2] - places["right_shoulder"][slash, 2]
    assert stroke[3] < -8
    assert stroke[5] > 8
    assert np.ptp(places["left_hand"][slash, 1] - places["left_shoulder"][slash, 1]) < 8


def test_projection_turns_forward_and_right() -> None:
    forward, right = np.array([0.0, 0.0, 10.0]), np.array([10.0, 0.0, 0.0])
    ground = [32.0, GROUND, 0.0]
    expected = {0: ([0, 2.5, 10], [-10, 0, 0]), 1: ([-10, 0, 0], [0, -2.5, -10]), 2: ([10, 0, 0], [0, 2.5, 10])}
    for direction, (ahead, aside) in expected.items():
        assert project(forward, np.array(direction)) - ground == pytest.approx(ahead)
        assert project(right, np.array(direction)) - ground == pytest.approx(aside)
