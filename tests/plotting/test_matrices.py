"""Correlation matrices: cells, numbers, names, and bad input."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from pyrodis.plotting import correlation_matrix


def test_cells_are_the_matrix_and_say_so() -> None:
    matrix = np.array([[1.0, -0.25, 0.0], [float("nan"), 0.5, -1.0]])
    ax = correlation_matrix(matrix, column_names=("a", "b", "c"))
    cells = ax.images[0].get_array()
    np.testing.assert_array_equal(cells.filled(9), np.nan_to_num(matrix, nan=9))
    assert ax.images[0].get_clim() == (-1, 1)
    assert [text.get_text() for text in ax.texts] == ["1.00", "-0.25", "0.00", "–", "0.50", "-1.00"]
    shades = [text.get_color() for text in ax.texts]
    assert shades[0] == shades[5] == "white"
    assert shades[2] == "black"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["z 0", "z 1"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b", "c"]


def test_a_square_one_names_its_columns_as_its_rows_and_draws_where_told() -> None:
    _, given = plt.subplots()
    ax = correlation_matrix(torch.eye(2), row_names=("a", "b"), ax=given)
    assert ax is given
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b"]


@pytest.mark.parametrize(
    ("matrix", "rest", "error", "match"),
    [
        (np.zeros(3), {}, ValueError, r"matrix must have 2 dimensions and entries, got shape \(3,\)"),
        (np.zeros((0, 2)), {}, ValueError, "matrix must have 2 dimensions and entries"),
        (np.full((2, 2), 1.1), {}, ValueError, r"matrix must lie in \[-1, 1\], got 1.1 to 1.1"),
        (np.full((2, 2), np.inf), {}, ValueError, "matrix must be finite"),
        (np.eye(2), {"row_names": ("a",)}, ValueError, "row_names must hold 2 names"),
        (np.eye(2), {"column_names": "ab"}, ValueError, "column_names must hold 2 names, got 'ab'"),
        ("corr", {}, TypeError, "matrix must be an array of numbers, got str"),
    ],
)
def test_refuses(matrix: Any, rest: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        correlation_matrix(matrix, **rest)
