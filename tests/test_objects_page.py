"""The code on the page of objects and masks runs, block after block, and what its comments say is so."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch

PAGE = Path(__file__).resolve().parents[1] / "docs" / "concepts" / "objects.md"


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the blocks of the page leave behind."""
    torch.manual_seed(0)
    blocks = re.findall(r"^```python\n(.+?)^```$", PAGE.read_text(encoding="utf8"), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) > 5
    found: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), found)
    return found


def test_masks_share_the_image(names: dict[str, Any]) -> None:
    torch.testing.assert_close(names["masks"].sum(1), torch.ones(5, 28, 56))
    torch.testing.assert_close(names["mixed"], names["output"]["reconstruction"])


def test_the_weighted_density_is_a_bound_of_the_mixture(names: dict[str, Any]) -> None:
    assert bool((names["weighted"] < names["mixture"]).all())
    torch.testing.assert_close(names["gap"], torch.zeros(2), rtol=0, atol=1e-3)


def test_prices_are_those_named(names: dict[str, Any]) -> None:
    assert float(names["shared"]) == pytest.approx(0, abs=1e-6)
    assert float(names["taken"]) == pytest.approx(-math.log(1e-6), rel=1e-4)


def test_the_kl_of_a_code_on_a_grid_is_a_sum_over_cells(names: dict[str, Any]) -> None:
    kl = names["component_kl"](*names["in_cells"], names["scenes"])
    torch.testing.assert_close(names["cell_kl"].sum((1, 2)), kl[:, 0])


def test_a_stage_moves_its_component_alone(names: dict[str, Any]) -> None:
    moved = names["moved"]
    assert {tuple(name.split(".")[:2]) for name in moved} == {
        ("encoders", "1"),
        ("heads", "1"),
    }
    assert any("running_mean" in name for name in moved)
    assert names["kl"].shape == (4, 3)


def test_labels_keep_components_from_pixels_and_put_a_price_on_what_they_say(names: dict[str, Any]) -> None:
    assert names["labeled_history"].column("train_silence")[0] > 0
    present = names["labeled"][0]["present"]
    x = names["labeled"][0]["x"].unsqueeze(0)
    assert 0 < int(present.sum()) < 3
    seen = names["model"](x, present=present.unsqueeze(0))["masks"].sum((0, 2, 3)) > 0
    assert torch.equal(seen, present)


def test_types_and_instances_differ(names: dict[str, Any]) -> None:
    assert (names["by_instance"], names["by_type"]) == (0, 1)


def test_the_page_is_in_the_index() -> None:
    assert "\nobjects\n" in (PAGE.parent / "index.md").read_text(encoding="utf8")
