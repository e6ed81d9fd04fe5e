"""The mask panel: rows in the thesis's order, pixels as given; bad input."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from pyrodis.plotting import mask_panel

N, K, C, H, W = 3, 2, 3, 4, 5


def arrays() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"images": (N, C, H, W), "masks": (N, K, H, W), "components": (N, K, C, H, W), "mixture": (N, C, H, W)}
    return {name: torch.rand(shape, generator=generator) for name, shape in shapes.items()}


def test_rows_are_input_then_mask_and_picture_of_each_then_mixture() -> None:
    given = arrays()
    ax = mask_panel(**given, names=("cat", "dog"))
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["input", "mask of cat", "cat", "mask of dog", "dog", "mixture"]
    image = np.asarray(ax.images[0].get_array())
    expected = [
        given["images"][1],
        given["masks"][1, 0].expand(C, H, W),
        given["components"][1, 0],
        given["masks"][1, 1].expand(C, H, W),
        given["components"][1, 1],
        given["mixture"][1],
    ]
    for r, tile in enumerate(expected):
        top, left = round(ax.get_yticks()[r] - (H - 1) / 2), W + 2
        found = image[top : top + H, left : left + W].transpose(2, 0, 1)
        np.testing.assert_array_equal(found, np.rint(tile.numpy() * 255))


def test_draws_where_told() -> None:
    _, ax = plt.subplots()
    assert mask_panel(**arrays(), ax=ax) is ax


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"masks": np.zeros((N, K, H, W + 1))}, r"masks must have shape \(3, 2, 4, 5\)"),
        ({"components": np.zeros((N, K + 1, C, H, W))}, r"components must have shape \(3, 2, 3, 4, 5\)"),
        ({"mixture": np.zeros((N, 1, H, W))}, r"mixture must have shape \(3, 3, 4, 5\)"),
        ({"images": np.zeros((N, 1, C, H, W))}, "images must have 4 dimensions"),
        ({"names": ("a",)}, "names must hold 2 names"),
        ({"masks": np.full((N, K, H, W), 2.0)}, r"must be in \[0, 1\]"),
    ],
)
def test_refuses(change: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        mask_panel(**{**arrays(), **change})
