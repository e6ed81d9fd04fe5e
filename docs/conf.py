"""How Sphinx builds the documentation: `make docs`."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pyrodis

project = "pyrodis"
author = "The pyrodis developers"
project_copyright = "The pyrodis developers"
version = release = pyrodis.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]
smartquotes = False
default_role = "code"  # single backticks mean code, as in Markdown

html_theme = "furo"
html_title = "pyrodis"
html_static_path = ["_static"]
html_css_files = ["custom.css"]

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3

# Notebooks are Markdown with code cells, or .ipynb. What a run of one gave is kept for as long as its code stays the
# same; short runs (PYRODIS_SMOKE) are kept apart from full ones. `make docs NOTEBOOKS=off` runs none.
nb_execution_mode = "cache"
nb_execution_cache_path = str(
    Path(__file__).parent / "_build" / ".jupyter_cache" / ("short" if os.environ.get("PYRODIS_SMOKE") else "full")
)
nb_execution_in_temp = True
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_output_stderr = "remove"  # progress bars

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Shape", "Source"]

# Links into the documentation of others need their inventories from the network, and a build must pass without one.
if os.environ.get("PYRODIS_DOCS_ONLINE"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
        "pyro": ("https://docs.pyro.ai/en/stable", None),
    }

_DISPLAY = re.compile(r"^([ ]*)\$\$(.+?)\$\$[ ]*([^\n]*)$", flags=re.MULTILINE | re.DOTALL)
_LONE_LETTER = re.compile(r"^([ ]*\w+: [A-Z])\.$", flags=re.MULTILINE)  # else "D." starts a numbered list
_INLINE = re.compile(r"(?<![\\$`])\$([^$\n]+)\$")


def dollars_to_math(text: str) -> str:
    """Turn `$$...$$` and `$...$` of a docstring into what reStructuredText knows, code examples excepted."""

    def display(match: re.Match[str]) -> str:
        indent, body, rest = match.groups()
        lines = [line.strip() for line in body.strip().splitlines()]
        block = "\n".join(f"{indent}   {line}" for line in lines)
        return f"{indent}.. math::\n\n{block}\n" + (f"\n{indent}{rest}" if rest else "")

    def inline(line: str) -> str:
        return line if line.lstrip().startswith((">>>", "...")) else _INLINE.sub(r":math:`\1`", line)

    return "\n".join(inline(line) for line in _DISPLAY.sub(display, text).split("\n"))


def setup(app: object) -> None:
    """Let docstrings write their equations between dollars, as the pages do; before napoleon reads them."""

    def process(app: object, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
        text = dollars_to_math("\n".join(lines))
        lines[:] = _LONE_LETTER.sub(r"\1\\.", text).split("\n")

    app.connect("autodoc-process-docstring", process, priority=400)  # type: ignore[attr-defined]
