"""Pictures are drawn off screen, and closed after each test."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import pytest


@pytest.fixture(autouse=True)
def off_screen() -> Iterator[None]:
    """Draw without a display."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    yield
    plt.close("all")
