"""The house rules that a machine can check, and that the files which state a fact twice agree."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import pyrodis

ROOT = Path(__file__).resolve().parents[1]

MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 9
FORBIDDEN_WORDS = frozenset({"mu", "sigma", "logvar"})
FORBIDDEN_MODULES = frozenset({"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"})
FORBIDDEN_CALLS = frozenset({"print", "eval", "exec", "__import__"})
# Lazy public names, and classes named by a configuration: both look the path up in a fixed table of their own source.
MAY_IMPORT_BY_NAME = re.compile(r"pyrodis/(.*/)?__init__\.py|pyrodis/infer/describe\.py")

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Public(NamedTuple):
    """A public object: its dotted name within the module, and its node."""

    name: str
    node: ast.Module | ast.ClassDef | Function


def code_lines(source: str) -> set[int]:
    """The numbers of the lines that hold code: no blank, no comment, no docstring."""
    blank = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in blank:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        documented = isinstance(node, ast.Module | ast.ClassDef | Function)
        if documented and ast.get_docstring(node, clean=False) is not None:
            lines.difference_update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return lines


def functions(tree: ast.AST) -> Iterator[Function]:
    """Every function and method, nested ones included."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def parameters(node: Function) -> list[ast.arg]:
    """The parameters of a function, self and cls excepted."""
    found = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    found += [argument for argument in (node.args.vararg, node.args.kwarg) if argument is not None]
    return [argument for argument in found if argument.arg not in {"self", "cls"}]


def public(tree: ast.Module) -> Iterator[Public]:
    """The module, and every class, function and method with no underscore before its name or a scope's."""

    def walk(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[Public]:
        for child in node.body:
            if not isinstance(child, ast.ClassDef | Function):
                continue
            dunder = child.name.startswith("__") and child.name.endswith("__")
            if child.name.startswith("_") and not dunder:
                continue
            yield Public(prefix + child.name, child)
            if isinstance(child, ast.ClassDef):
                yield from walk(child, f"{prefix}{child.name}.")

    yield Public("module", tree)
    yield from walk(tree, "")


def identifiers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that a source text gives or uses, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute):
            yield node.attr, node.lineno
        elif isinstance(node, ast.arg | ast.keyword) and node.arg is not None:
            yield node.arg, node.lineno
        elif isinstance(node, ast.ClassDef | Function):
            yield node.name, node.lineno


def undocumented(source: str) -> list[str]:
    """Public objects without a docstring (special methods say what they do by their name)."""
    return [
        f"{name} has no docstring"
        for name, node in public(ast.parse(source))
        if ast.get_docstring(node) is None and not name.rsplit(".", 1)[-1].startswith("__")
    ]


def unannotated(source: str) -> list[str]:
    """Public functions that leave a parameter or their value without a type."""
    sentences = []
    for name, node in public(ast.parse(source)):
        if not isinstance(node, Function):
            continue
        sentences += [f"{name}: {a.arg} has no annotation" for a in parameters(node) if a.annotation is None]
        if node.returns is None:
            sentences.append(f"{name}: the value has no annotation")
    return sentences


def oversized(source: str) -> list[str]:
    """Modules, functions and signatures over the orders of size to keep."""
    lines = code_lines(source)
    sentences = [f"the module has {len(lines)} code lines"] if len(lines) > MAX_MODULE_LINES else []
    tree = ast.parse(source)
    for node in functions(tree):
        count = len(lines.intersection(range(node.lineno, (node.end_lineno or 0) + 1)))
        if count > MAX_FUNCTION_LINES:
            sentences.append(f"{node.name} has {count} code lines")
    for name, node in public(tree):
        if isinstance(node, Function) and len(parameters(node)) > MAX_PARAMETERS:
            sentences.append(f"{name} has {len(parameters(node))} parameters")
    return sentences


def forbidden(source: str, path: str = "pyrodis/module.py") -> list[str]:
    """Bare asserts, prints, what could run code from a file, kwargs sinks, and names that the house does not use."""
    tree = ast.parse(source)
    sentences = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            sentences.append(f"line {node.lineno}: assert; raise an error that says what came")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found = FORBIDDEN_MODULES.intersection(name.split(".")[0] for name in names)
            sentences += [f"line {node.lineno}: imports {name}" for name in sorted(found)]
        elif isinstance(node, ast.Call):
            sentences += _forbidden_call(node, path)
    for name, line in identifiers(tree):
        if FORBIDDEN_WORDS.intersection(name.lower().strip("_").split("_")):
            sentences.append(f"line {line}: the name {name}; say loc, scale or log_scale")
    return sentences


def _forbidden_call(node: ast.Call, path: str) -> list[str]:
    called = ast.unparse(node.func)
    if called in FORBIDDEN_CALLS:
        return [f"line {node.lineno}: calls {called}"]
    if called == "torch.load":
        safe = any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords)
        return [] if safe else [f"line {node.lineno}: torch.load without weights_only=True"]
    if called.rsplit(".", 1)[-1] == "import_module" and not MAY_IMPORT_BY_NAME.fullmatch(path):
        literal = bool(node.args) and isinstance(node.args[0], ast.Constant)
        return [] if literal else [f"line {node.lineno}: imports by a name that is not a literal"]
    return []


library = pytest.mark.parametrize(
    "path", sorted((ROOT / "pyrodis").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)


@library
def test_every_public_object_has_a_docstring(path: Path) -> None:
    assert undocumented(path.read_text(encoding="utf8")) == []


@library
def test_every_public_function_is_annotated(path: Path) -> None:
    assert unannotated(path.read_text(encoding="utf8")) == []


@library
def test_sizes_stay_readable(path: Path) -> None:
    assert oversized(path.read_text(encoding="utf8")) == []


@library
def test_nothing_forbidden(path: Path) -> None:
    assert forbidden(path.read_text(encoding="utf8"), path.relative_to(ROOT).as_posix()) == []


@pytest.mark.parametrize(
    ("check", "source", "sentence"),
    [
        (undocumented, "x = 1", "module has no docstring"),
        (undocumented, '"""M."""\nclass A:\n    """A."""\n    def f(self): ...', "A.f has no docstring"),
        (unannotated, "def f(x) -> int: ...", "f: x has no annotation"),
        (unannotated, "class A:\n    def __init__(self, x: int): ...", "A.__init__: the value has no annotation"),
        (oversized, "x = 1\n" * 301, "the module has 301 code lines"),
        (oversized, "def _f():\n" + "    x = 1\n" * 60, "_f has 61 code lines"),
        (oversized, "def f(" + ", ".join("abcdefghij") + "): ...", "f has 10 parameters"),
        (forbidden, "def f(x):\n    assert x", "line 2: assert"),
        (forbidden, "print(1)", "calls print"),
        (forbidden, "from pickle import loads", "imports pickle"),
        (forbidden, "torch.load(path)", "torch.load without weights_only=True"),
        (forbidden, "torch.load(path, weights_only=False)", "torch.load without weights_only=True"),
        (forbidden, "import_module(config['class'])", "imports by a name that is not a literal"),
        (forbidden, "z_mu = 1", "the name z_mu"),
        (forbidden, "Normal(loc, sigma=1)", "the name sigma"),
    ],
)
def test_finds_a_planted_offence(check: Callable[[str], list[str]], source: str, sentence: str) -> None:
    found = check(source)
    assert len(found) == 1
    assert sentence in found[0]


def test_counts_code_as_a_reader_does() -> None:
    source = '"""Doc\n\nstring."""\n\n# comment\nx = [\n    1,\n]\n\n\ndef f() -> None:\n    """Doc."""\n'
    assert code_lines(source) == {6, 7, 8, 11}


def test_allows_what_is_safe() -> None:
    assert forbidden("torch.load(path, weights_only=True)\nimport_module('lightning')\nmultiply = mute = 1") == []
    assert forbidden("import_module(_PUBLIC[name])", "pyrodis/metrics/__init__.py") == []
    assert undocumented('"""M."""\nclass A:\n    """A."""\n    def _f(self): ...\n    def __len__(self): ...') == []


def test_importing_the_library_stays_light() -> None:
    heavy = ("lightning", "pytorch_lightning", "matplotlib", "sklearn", "torchmetrics", "arviz", "tensorboard")
    program = f"import sys, pyrodis; sys.exit(' '.join(m for m in {heavy!r} if m in sys.modules) or None)"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, f"import pyrodis imports {result.stderr.strip()}"


def readme_command(marker: str) -> str:
    """The one line in the fence that follows `<!-- marker -->` in README.md."""
    text = (ROOT / "README.md").read_text(encoding="utf8")
    found = re.findall(rf"^<!-- {marker} -->\n```\w*\n(.+)\n```$", text, flags=re.MULTILINE)
    assert len(found) == 1, f"README.md must hold one fenced line after <!-- {marker} -->, it holds {len(found)}"
    return found[0]


@pytest.mark.parametrize("marker", ["run-command", "test-command"])
def test_the_commands_of_the_readme_are_shell(marker: str) -> None:
    command = readme_command(marker)
    result = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    first, *rest = command.split(" && ")
    assert first == "python3 -m venv .venv"
    assert rest[0].startswith(".venv/bin/pip install ")
    assert rest[1].startswith(".venv/bin/python ")


def test_the_run_command_runs_an_example() -> None:
    script = readme_command("run-command").split()[-1]
    assert (ROOT / script).is_file()


def test_the_readme_and_the_makefile_test_alike() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf8")
    assert "$(PYTHON) -m pytest\n" in makefile
    assert readme_command("test-command").endswith(".venv/bin/python -m pytest")


def test_the_commands_that_ci_runs_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf8"), flags=re.MULTILINE))
    script = (ROOT / ".ci" / "run").read_text(encoding="utf8")
    called = set(re.findall(r"\bmake --no-print-directory (\w+)", script))
    assert called
    assert called <= targets
    assert "<!-- test-command -->" in script


def test_one_version_everywhere() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf8")
    assert re.findall(r"^version: (.+)$", citation, flags=re.MULTILINE) == [pyrodis.__version__]
    headings = re.findall(r"^## \[(.+?)\]", changelog, flags=re.MULTILINE)
    assert next(heading for heading in headings if heading != "Unreleased") == pyrodis.__version__


def test_one_license_everywhere() -> None:
    assert "license: Apache-2.0" in (ROOT / "CITATION.cff").read_text(encoding="utf8")
    assert "license = Apache-2.0" in (ROOT / "setup.cfg").read_text(encoding="utf8")
    assert "Version 2.0, January 2004" in (ROOT / "LICENSE").read_text(encoding="utf8")


def test_the_package_is_typed() -> None:
    assert (ROOT / "pyrodis" / "py.typed").is_file()


def test_every_paper_page_is_in_the_index() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "papers").glob("*.md")} - {"index"}
    index = (ROOT / "docs" / "papers" / "index.md").read_text(encoding="utf8")
    assert pages
    assert [page for page in sorted(pages) if page not in index] == []


def test_every_part_has_a_reference_page() -> None:
    parts = {path.stem for path in (ROOT / "pyrodis").iterdir() if path.is_dir() or path.suffix == ".py"}
    parts = {f"pyrodis.{part}" for part in parts if not part.startswith("_")}
    pages = "".join(page.read_text(encoding="utf8") for page in (ROOT / "docs" / "api").glob("*.md"))
    documented = set(re.findall(r"automodule:: (\S+)", pages))
    assert sorted(parts - documented) == [], "a public part of the library has no page in docs/api"
