"""Motions stay in the unit square and obey their laws, whatever the numbers that they are drawn from."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from pyrodis.datasets import AtRest, BouncingMotion, GravityMotion, HeldOutBand, HeldOutCells, LinearMotion
from pyrodis.datasets.motion import reflect
from pyrodis.datasets.streams import accepted_uniforms, counter_uniforms

UNIFORMS = counter_uniforms(("test of motions",), torch.arange(500), 4)
MOTIONS = [AtRest(), AtRest(16), LinearMotion(), BouncingMotion(), GravityMotion()]

FIXED = 0.5184150369409909


@pytest.mark.parametrize("motion", MOTIONS, ids=repr)
@pytest.mark.parametrize("num_frames", [1, 2, 40])
def test_stays_in_the_square(motion: Any, num_frames: int) -> None:
    uniforms = UNIFORMS[:, : motion.num_uniforms]
    positions = motion.positions(uniforms, num_frames)
    assert positions.shape == (500, num_frames, 2)
    assert positions.min() >= 0
    assert positions.max() <= 1
    assert motion.accepts(uniforms).shape == (500,)


def test_reflection_is_that_of_a_ball_that_is_stepped() -> None:
    position, velocity, path = 0.3, 0.17, []
    for _ in range(40):
        path.append(position)
        position += velocity
        if not 0 <= position <= 1:
            position, velocity = (-position if position < 0 else 2 - position), -velocity
    free = 0.3 + 0.17 * torch.arange(40, dtype=torch.float64)
    assert torch.allclose(reflect(free), torch.tensor(path, dtype=torch.float64))


def test_a_line_has_equal_steps_and_a_least_length() -> None:
    motion = LinearMotion(0.5)
    chosen = UNIFORMS[motion.accepts(UNIFORMS)]
    assert 0 < len(chosen) < len(UNIFORMS)
    path = motion.positions(chosen, 10)
    assert path.diff(n=2, dim=1).abs().max() < 1e-12
    length = (path[:, -1] - path[:, 0]).norm(dim=-1)
    assert length.min() > 0.5
    assert torch.allclose(path[:, 0], chosen[:, :2])


def test_a_bouncing_position_keeps_its_speed_but_for_frames_with_a_bounce() -> None:
    steps = BouncingMotion(0.02, 0.05).positions(UNIFORMS, 30).diff(dim=1).norm(dim=-1)
    usual = steps.median(1, keepdim=True).values
    assert usual.min() > 0.02 - 1e-9
    assert usual.max() < 0.05 + 1e-9
    assert (steps <= usual + 1e-9).all()
    assert ((steps - usual).abs() < 1e-9).double().mean() > 0.9


def test_gravity_accelerates_downwards_but_for_frames_with_a_bounce() -> None:
    y = GravityMotion(gravity=0.01).positions(UNIFORMS, 30)[..., 1]
    falls = (y.diff(n=2, dim=1) - 0.01).abs() < 1e-9
    assert falls.double().mean() > 0.85
    energy = 0.01 * (1 - y[:, 1:-1]) + ((y[:, 2:] - y[:, :-2]) / 2).square() / 2
    flying = falls[:, :-1] & falls[:, 1:]
    change = energy.diff(dim=1)[flying]
    assert change.abs().max() < 1e-9


def test_the_grid_has_every_point_alike() -> None:
    positions = AtRest(4).positions(counter_uniforms(("grid",), torch.arange(8000), 2), 3)
    assert torch.equal(positions[:, 0], positions[:, 2])
    counts = torch.bincount((3 * positions[:, 0]).round().long() @ torch.tensor([4, 1]), minlength=16)
    assert counts.min() > 420
    assert counts.max() < 580


def test_numbers_are_uniform_unrelated_and_their_own() -> None:
    table = counter_uniforms(("numbers", 0), torch.arange(20000), 4)
    assert 0 <= table.min() < 1e-3
    assert 1 - 1e-3 < table.max() < 1
    assert (table.mean(0) - 0.5).abs().max() < 0.01
    assert (table.var(0) - 1 / 12).abs().max() < 0.002
    both = torch.cat([table, table.roll(1, 0), counter_uniforms(("numbers", 1), torch.arange(20000), 4)], 1)
    related = torch.corrcoef(both.T) - torch.eye(12)
    assert related.abs().max() < 0.03
    rows = torch.tensor([19999, 3])
    assert torch.equal(counter_uniforms(("numbers", 0), rows, 4), table[rows])
    assert abs(float(counter_uniforms(("fixed",), torch.tensor([5]), 1)) - FIXED) < 1e-12


def test_drawing_again_changes_no_other_row() -> None:
    key = ("again",)
    chosen = accepted_uniforms(key, 100, 2, lambda drawn: drawn[:, 0] > 0.8)
    assert chosen[:, 0].min() > 0.8
    assert torch.equal(accepted_uniforms(key, 30, 2, lambda drawn: drawn[:, 0] > 0.8), chosen[:30])
    with pytest.raises(ValueError, match="7 of 7 sequences were refused 1000 times; hold out more or less"):
        accepted_uniforms(key, 7, 2, lambda drawn: drawn[:, 0] > 1)


def test_cells_hold_out_their_share_and_know_all_values() -> None:
    values = torch.linspace(0, 1, 8)
    grid = torch.cartesian_prod(values, values, values).unsqueeze(1)
    inside = HeldOutCells(0.3, num_cells=8).contains(grid, ("a", "b", "c"))
    assert abs(float(inside.double().mean()) - 0.3) < 0.07
    shown = grid[~inside]
    assert all(shown[:, column].unique().numel() == 8 for column in range(3))
    assert not torch.equal(inside, HeldOutCells(0.3, num_cells=8, seed=1).contains(grid, ("a", "b", "c")))


BAD: dict[str, tuple[Any, str]] = {
    "points": (lambda: AtRest(1), "num_points must be at least 2, got 1"),
    "distance": (lambda: LinearMotion(1.5), "min_distance must be in [0, 1.4), got 1.5"),
    "nan": (lambda: LinearMotion(float("nan")), "min_distance must be in [0, 1.4), got nan"),
    "speed": (lambda: BouncingMotion(0.0), "min_speed must be a finite number above 0, got 0.0"),
    "speeds": (lambda: BouncingMotion(0.2, 0.1), "max_speed must be at least min_speed, got 0.1 and 0.2"),
    "gravity": (lambda: GravityMotion(-1.0), "gravity must be a finite number above 0, got -1.0"),
    "band": (lambda: HeldOutBand("x", 0.6, 0.4), "low and high must be 0 <= low < high <= 1, got 0.6 and 0.4"),
    "share": (lambda: HeldOutCells(1.0), "fraction must be in (0, 1), got 1.0"),
    "cells": (lambda: HeldOutCells(num_cells=0), "num_cells must be a positive whole number, got 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments(case: str) -> None:
    make, text = BAD[case]
    with pytest.raises(ValueError, match=re.escape(text)):
        make()
