"""Penalties of motion and of transitions in cases whose value is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pyrodis.regularizers import (
    identity_deviation,
    increasing_weights,
    linear_prediction_error,
    slowness,
    temporal_difference,
    weighted_slowness,
)
from pyrodis.testing import check_regularizer

EIGENVALUES = torch.rand(3, 4, 2, generator=torch.Generator().manual_seed(0))


def test_are_regularizers() -> None:
    check_regularizer(slowness, EIGENVALUES)
    check_regularizer(lambda v: weighted_slowness(v, increasing_weights(2)), EIGENVALUES)
    check_regularizer(identity_deviation, torch.randn(3, 4, 2, 2))
    check_regularizer(linear_prediction_error, torch.randn(3, 5, 2))


def test_equal_weights_are_no_weights() -> None:
    torch.testing.assert_close(weighted_slowness(EIGENVALUES, torch.full((2,), 0.3)), 0.3 * slowness(EIGENVALUES))


def test_a_diagonal_transition_is_its_eigenvalues() -> None:
    torch.testing.assert_close(identity_deviation(torch.diag_embed(EIGENVALUES)), slowness(EIGENVALUES))


def test_a_single_frame_has_no_transition() -> None:
    assert slowness(torch.zeros(3, 0, 2)).tolist() == [0, 0, 0]
    assert identity_deviation(torch.zeros(3, 0, 2, 2)).tolist() == [0, 0, 0]


def test_what_moves_at_constant_velocity_is_predicted() -> None:
    steps = torch.arange(6.0).reshape(1, 6, 1)
    line = torch.randn(4, 1, 2) + steps * torch.randn(4, 1, 2)
    torch.testing.assert_close(linear_prediction_error(line), torch.zeros(4), rtol=0, atol=1e-9)
    decay = torch.randn(4, 1, 2) + 0.5**steps * torch.randn(4, 1, 2)
    torch.testing.assert_close(linear_prediction_error(decay, 0.5), torch.zeros(4), rtol=0, atol=1e-9)
    assert bool((linear_prediction_error(decay) > 1e-6).all())


def test_without_a_repeated_step_it_is_the_temporal_difference_of_later_frames() -> None:
    z = torch.randn(4, 5, 2)
    torch.testing.assert_close(linear_prediction_error(z, 0.0), temporal_difference(z[:, 1:]))


def test_prediction_is_along_time_and_not_along_the_batch() -> None:
    """The published loss joins batch and time; here clips do not touch each other."""
    z = torch.randn(4, 5, 2)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(linear_prediction_error(z[order]), linear_prediction_error(z)[order])


def test_a_learned_alpha_gets_a_gradient() -> None:
    alpha = torch.tensor(0.0, requires_grad=True)
    line = torch.arange(4.0).reshape(1, 4, 1)
    (gradient,) = torch.autograd.grad(linear_prediction_error(line, alpha).sum(), alpha)
    assert gradient == -4


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: slowness(torch.ones(3)), ValueError, r"eigenvalues must have shape \(\.\.\., T - 1, D\), got \(3,\)"),
        (lambda: weighted_slowness(EIGENVALUES, torch.ones(3)), ValueError, r"shape \(D\) = \(2,\), got \(3,\)"),
        (lambda: increasing_weights(0), ValueError, "num must be a positive whole number, got 0"),
        (lambda: increasing_weights(2, 0.0), ValueError, "gamma must be a finite number above 0, got 0"),
        (lambda: identity_deviation(torch.ones(3, 2, 4)), ValueError, r"\(\.\.\., T - 1, D, D\), got \(3, 2, 4\)"),
        (lambda: linear_prediction_error(torch.ones(3, 2, 4)), ValueError, r"T of 3 or more, got \(3, 2, 4\)"),
        (lambda: linear_prediction_error(torch.ones(4)), ValueError, r"T of 3 or more, got \(4,\)"),
        (lambda: linear_prediction_error(torch.ones(3, 1), torch.ones(5)), ValueError, r"\(D\) = \(1,\), got \(5,\)"),
    ],
)
def test_bad_input(call: Callable[[], Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()
