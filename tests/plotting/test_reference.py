"""The reference page of the plots shows every function, and beside each what it draws."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image

import pyrodis.plotting

DOCS = Path(__file__).resolve().parents[2] / "docs"
TABLES = {"guide_table", "score_table"}  # text


def test_every_function_has_its_entry_and_its_picture() -> None:
    page = (DOCS / "api" / "plotting.md").read_text(encoding="utf8")
    names = set(pyrodis.plotting.__all__)
    assert re.findall(r"autofunction:: pyrodis\.plotting\.(\w+)", page) == list(
        dict.fromkeys(re.findall(r"autofunction:: pyrodis\.plotting\.(\w+)", page))
    )
    assert set(re.findall(r"autofunction:: pyrodis\.plotting\.(\w+)", page)) == names
    shown = re.findall(r"\]\(\.\./_static/plots/(\w+)\.(png|gif)\)", page)
    assert {name for name, _ in shown} == names - TABLES
    for name, suffix in shown:
        with Image.open(DOCS / "_static" / "plots" / f"{name}.{suffix}") as image:
            assert min(image.size) > 50


def test_the_script_draws_the_pictures_that_there_are() -> None:
    script = (DOCS / "figures" / "plots.py").read_text(encoding="utf8")
    drawn = set(re.findall(r"^def (\w+)\(\) -> Any:", script, flags=re.MULTILINE))
    assert drawn | {"save_gif", "traversal_film"} == {path.stem for path in (DOCS / "_static" / "plots").iterdir()}
