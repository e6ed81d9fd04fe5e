"""Imports go down only: L4 to L0; siblings of one layer never import each other; nothing below imports the root map."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A part is a package or a module directly under pyrodis/. The root map and the command line are doors.
LAYERS: dict[str, int] = {
    "ops": 0,
    "distributions": 1,
    "nn": 1,
    "regularizers": 1,
    "datasets": 1,
    "metrics": 1,
    "models": 2,
    "guides": 2,
    "infer": 3,
    "plotting": 4,
    "export": 4,
    "testing": 4,
    "options": 4,
    "cli": 5,
    "__init__": 5,
    "__main__": 6,
}
# What any layer may take from the root: a literal that costs no import.
ROOT_LITERALS = frozenset({"__version__"})


class Import(NamedTuple):
    """An import statement: the dotted name, the name taken from it (None for a plain import), and its line."""

    target: str
    name: str | None
    line: int


def part_of(path: Path) -> str:
    """The part that a file of the library belongs to."""
    inside = path.relative_to(ROOT / "pyrodis")
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def imports_of(source: str, package: str) -> list[Import]:
    """Every import of a source text, wherever it stands; relative ones are resolved against `package`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, None, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            target = node.module or ""
            if node.level:
                base = package.split(".")[: len(package.split(".")) - node.level + 1]
                target = ".".join([*base, *filter(None, [node.module])])
            found += [Import(target, alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.Call) and _is_import_call(node) and node.args:
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                found.append(Import(argument.value, None, node.lineno))
    return found


def _is_import_call(node: ast.Call) -> bool:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in {"import_module", "__import__"}


def imported_part(found: Import) -> str | None:
    """The part of pyrodis that an import reaches, None if it is another library's or a literal of the root."""
    names = found.target.split(".")
    if names[0] != "pyrodis":
        return None
    if len(names) > 1:
        return names[1]
    if found.name in ROOT_LITERALS:
        return None
    return found.name if found.name in LAYERS else "__init__"


def violations(source: str, part: str, package: str) -> list[str]:
    """One sentence for each import that does not go down."""
    sentences = []
    for found in imports_of(source, package):
        other = imported_part(found)
        if other is None or other == part:
            continue
        if other not in LAYERS:
            sentences.append(f"line {found.line}: pyrodis.{other} has no layer; add it to LAYERS")
        elif LAYERS[other] == LAYERS[part]:
            sentences.append(f"line {found.line}: {part} imports its sibling {other} (both L{LAYERS[part]})")
        elif LAYERS[other] > LAYERS[part]:
            sentences.append(f"line {found.line}: {part} (L{LAYERS[part]}) imports {other} (L{LAYERS[other]}), upward")
    return sentences


def library_files() -> list[Path]:
    return sorted((ROOT / "pyrodis").rglob("*.py"))


@pytest.mark.parametrize("path", library_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path: Path) -> None:
    part = part_of(path)
    assert part in LAYERS, f"pyrodis.{part} has no layer; add it to LAYERS"
    package = ".".join(path.relative_to(ROOT).parent.parts)
    assert violations(path.read_text(encoding="utf8"), part, package) == []


@pytest.mark.parametrize(
    ("part", "source", "sentence"),
    [
        ("ops", "import pyrodis.nn.heads", "ops (L0) imports nn (L1), upward"),
        ("nn", "from pyrodis.distributions import LSTMPrior", "nn imports its sibling distributions"),
        ("models", "from pyrodis.guides.dsvae import FullGuide", "models imports its sibling guides"),
        ("guides", "def f() -> None:\n    from ..models import DSVAE", "line 2: guides imports its sibling models"),
        ("datasets", "if TYPE_CHECKING:\n    from pyrodis import metrics", "datasets imports its sibling metrics"),
        ("infer", "importlib.import_module('pyrodis.plotting.grid')", "infer (L3) imports plotting (L4), upward"),
        ("infer", "from pyrodis import fit", "infer (L3) imports __init__ (L5), upward"),
        ("infer", "import pyrodis", "infer (L3) imports __init__ (L5), upward"),
        ("plotting", "from pyrodis.export import to_arviz", "plotting imports its sibling export"),
        ("nn", "from pyrodis.unheard_of import thing", "pyrodis.unheard_of has no layer"),
    ],
)
def test_finds_a_planted_offence(part: str, source: str, sentence: str) -> None:
    found = violations(source, part, f"pyrodis.{part}")
    assert len(found) == 1
    assert sentence in found[0]


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("nn", "from pyrodis.ops.shapes import check_frames"),
        ("models", "from pyrodis import __version__, nn"),
        ("infer", "from . import elbo\nfrom .elbo import NamedELBO\nfrom ..guides import FullGuide"),
        ("plotting", "import torch\nfrom matplotlib import pyplot"),
        ("__main__", "import pyrodis.options"),
    ],
)
def test_allows_what_goes_down(part: str, source: str) -> None:
    assert violations(source, part, f"pyrodis.{part}") == []
