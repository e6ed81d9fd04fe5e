"""Probes read what a code holds, the network also what is not linear, and chance where there is nothing."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from pyrodis.metrics import probe_accuracy

GENERATOR = np.random.default_rng(0)
NUM = 600


def split(codes: np.ndarray, labels: np.ndarray) -> tuple[Any, Any, Any, Any]:
    half = len(codes) // 2
    return codes[:half], labels[:half], codes[half:], labels[half:]


def test_a_linear_code_is_read_whole() -> None:
    labels = GENERATOR.integers(6, size=NUM)
    codes = GENERATOR.normal(size=(6, 12))[labels] + 0.1 * GENERATOR.normal(size=(NUM, 12))
    score = probe_accuracy(*split(codes, labels))
    assert score.value > 0.99
    assert (score.chance, score.ceiling, score.num) == (1 / 6, 1.0, NUM // 2)


@pytest.mark.parametrize("hidden", [(), (32,)], ids=["linear", "network"])
def test_noise_is_at_chance(hidden: tuple[int, ...]) -> None:
    labels = GENERATOR.integers(6, size=NUM)
    score = probe_accuracy(*split(GENERATOR.normal(size=(NUM, 4)), labels), hidden=hidden)
    assert score.value == pytest.approx(1 / 6, abs=0.09)


def test_what_is_not_linear_is_read_by_the_network_alone() -> None:
    """The class is whether two numbers have the same sign."""
    codes = GENERATOR.uniform(-1, 1, size=(2 * NUM, 2))
    labels = (codes.prod(1) > 0).astype(int)
    assert probe_accuracy(*split(codes, labels)).value < 0.65
    network = [probe_accuracy(*split(codes, labels), hidden=(64, 64), seed=3) for _ in range(2)]
    assert network[0].value > 0.85
    assert network[0] == network[1]


def test_scales_and_shapes_do_not_matter() -> None:
    labels = GENERATOR.integers(3, size=90)
    codes = GENERATOR.normal(size=(90, 2, 5)) + labels[:, None, None]
    scaled = codes * np.array([1e-4, 1e4, 1.0, 1.0, 1.0]) + 7
    scaled[:, 0, 4] = 3.0  # a dead unit
    codes[:, 0, 4] = 0.0
    flat = probe_accuracy(*split(codes.reshape(90, -1), labels))
    assert probe_accuracy(*split(scaled, labels)).value == pytest.approx(flat.value, abs=1e-9)
    assert probe_accuracy(*(torch.from_numpy(part) for part in split(codes, labels))) == flat


CODES, LABELS = np.eye(4).repeat(3, 0), np.arange(4).repeat(3)
BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no rows": ({"codes_train": CODES[:, 0]}, ValueError, "codes_train must have shape (N, D) or (N, T, D), got (12,)"),
    "nan": ({"codes_test": CODES * np.nan}, ValueError, "codes_test must be finite, got 48 NaN or infinite values"),
    "sizes": ({"codes_test": CODES[:, :2]}, ValueError, "must have the same size, got 4 and 2 numbers an item"),
    "length": ({"labels_train": LABELS[:5]}, ValueError, "codes_train and labels_train must have the same length"),
    "table": ({"labels_test": LABELS[:, None]}, ValueError, "labels_test must have shape (N,), got (12, 1)"),
    "floats": ({"labels_train": LABELS * 1.0}, TypeError, "labels_train must hold integer classes, got dtype float64"),
    "constant": ({"labels_train": LABELS * 0}, ValueError, "labels_train must hold at least two classes, got [0]"),
    "unknown": (
        {"labels_test": LABELS + 2},
        ValueError,
        "labels_test must hold classes of labels_train, [0, 1, 2, 3], got [4, 5] besides",
    ),
    "few": ({"hidden": (8,)}, ValueError, "a network needs 10 items a class, and 2 of each, to hold some out, got 12"),
    "hidden": ({"hidden": (0,)}, ValueError, "hidden must be at least 1, got 0"),
    "list": ({"codes_train": CODES.tolist()}, TypeError, "codes_train must be a numpy array or a torch tensor"),
}


@pytest.mark.parametrize("case", BAD)
def test_refuses_bad_input(case: str) -> None:
    change, error, text = BAD[case]
    good = {"codes_train": CODES, "labels_train": LABELS, "codes_test": CODES, "labels_test": LABELS}
    with pytest.raises(error, match=re.escape(text)):
        probe_accuracy(**(good | change))
