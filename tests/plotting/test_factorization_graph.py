"""The graph of a factorization: its arrows are the declaration, and none meets a node that is not its end."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import FancyArrowPatch

from pyrodis.guides import EigenvalueGuide, FullGuide, ParallelGuide, SmoothingGuide, StructuredGuide, WhatWhereGuide
from pyrodis.nn import ConvEncoder
from pyrodis.plotting import factorization_graph


def encoder() -> ConvEncoder:
    return ConvEncoder((1, 8, 8), 4, base_channels=2)


DECLARED = {
    **{f"full-{t}": FullGuide(encoder(), 3, 2, 4).factorization(t) for t in (1, 2, 3, 4)},
    "smoothing": SmoothingGuide(encoder(), 3, 2, 4).factorization(3),
    "structured": StructuredGuide(encoder(), 2, 4).factorization(3),
    "eigenvalue": EigenvalueGuide(encoder(), 2, 4).factorization(3),
    "what-where": WhatWhereGuide(encoder(), encoder(), 2, 2).factorization(3),
    "parallel": ParallelGuide([encoder() for _ in range(4)], 2).factorization(),
}


def arrows(ax: Any) -> list[FancyArrowPatch]:
    return [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]


@pytest.mark.parametrize("name", DECLARED)
def test_arrows_are_the_declaration(name: str) -> None:
    ax = factorization_graph(DECLARED[name])
    expected = {f"{source} -> {code}" for code, sources in DECLARED[name].items() for source in sources}
    assert {arrow.get_gid() for arrow in arrows(ax)} == expected
    assert len(arrows(ax)) == len(expected)
    assert len(ax.texts) == len({node for arrow in expected for node in arrow.split(" -> ")})


@pytest.mark.parametrize("name", DECLARED)
def test_no_arrow_passes_through_a_node(name: str) -> None:
    ax = factorization_graph(DECLARED[name])
    nodes = np.array([text.get_position() for text in ax.texts])
    low, high = ax.get_ylim()
    assert len(np.unique(nodes, axis=0)) == len(nodes)
    assert ((nodes[:, 1] > low) & (nodes[:, 1] < high)).all()
    for arrow in arrows(ax):
        start, end = (np.array(place) for place in arrow._posA_posB)
        if "rad=-" in str(arrow.get_connectionstyle().__dict__.get("rad", 0)) or arrow.get_connectionstyle().rad:
            continue  # around what stands between
        for node in nodes:
            if (node == start).all() or (node == end).all():
                continue
            share = np.clip((node - start) @ (end - start) / ((end - start) @ (end - start)), 0, 1)
            assert np.linalg.norm(start + share * (end - start) - node) > 0.19, (arrow.get_gid(), node)


def test_kinds_of_arrows_differ_in_color_and_in_line() -> None:
    looks = {}
    for arrow in arrows(factorization_graph(DECLARED["full-3"])):
        looks.setdefault(arrow.get_gid()[0], set()).add((arrow.get_edgecolor(), str(arrow.get_linestyle())))
    assert set(looks) == {"x", "z", "f"}
    assert all(len(found) == 1 for found in looks.values())
    for part in (0, 1):
        assert len({next(iter(found))[part] for found in looks.values()}) == 3


def test_draws_where_told() -> None:
    _, ax = plt.subplots()
    assert factorization_graph(DECLARED["full-2"], ax=ax) is ax


@pytest.mark.parametrize(
    ("factorization", "error", "match"),
    [
        ({}, ValueError, "factorization must hold at least one code"),
        ({"z_1": "x_1"}, TypeError, "must map names of codes to sequences of names"),
        (["z_1"], TypeError, "must map names of codes to sequences of names"),
        (
            {"z_1": ("z_2",), "z_2": ()},
            ValueError,
            r"the factor of z_1 must read frames or codes before it, got \['z_2'\]",
        ),
    ],
)
def test_refuses(factorization: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        factorization_graph(factorization)
