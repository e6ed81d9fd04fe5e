"""Probabilistic programs that disentangle what stays from what moves, and which object from which.

The map of the library, from the ground up; each package imports only those before it.

- `pyrodis.ops`: small checks and tensor functions.
- `pyrodis.distributions`, `nn`, `regularizers`, `datasets`, `metrics`: parts that know nothing of each other.
- `pyrodis.models`, `guides`: the generative and the inference programs.
- `pyrodis.infer`: objective, training, handlers and queries; most names below come from there.
- `pyrodis.plotting`, `export`, `options`, `testing`: figures, draws for ArviZ, command lines, and the checks to run on
  parts of one's own.

Importing `pyrodis` imports none of them: a name is looked up when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyrodis.export import to_arviz as to_arviz
    from pyrodis.infer.card import write_card as write_card
    from pyrodis.infer.comparison import compare_guides as compare_guides
    from pyrodis.infer.comparison import importance_bound as importance_bound
    from pyrodis.infer.elbo import NamedELBO as NamedELBO
    from pyrodis.infer.handlers import scale_latents as scale_latents
    from pyrodis.infer.loading import load as load
    from pyrodis.infer.penalties import add_penalty as add_penalty
    from pyrodis.infer.queries import decode as decode
    from pyrodis.infer.queries import encode as encode
    from pyrodis.infer.queries import reconstruct as reconstruct
    from pyrodis.infer.queries import sample_prior as sample_prior
    from pyrodis.infer.queries import swap as swap
    from pyrodis.infer.training import fit as fit
    from pyrodis.infer.traversal import traverse as traverse

__version__ = "0.1.0"

_HOMES = {
    "NamedELBO": "pyrodis.infer.elbo",
    "add_penalty": "pyrodis.infer.penalties",
    "compare_guides": "pyrodis.infer.comparison",
    "decode": "pyrodis.infer.queries",
    "encode": "pyrodis.infer.queries",
    "fit": "pyrodis.infer.training",
    "importance_bound": "pyrodis.infer.comparison",
    "load": "pyrodis.infer.loading",
    "reconstruct": "pyrodis.infer.queries",
    "sample_prior": "pyrodis.infer.queries",
    "scale_latents": "pyrodis.infer.handlers",
    "swap": "pyrodis.infer.queries",
    "to_arviz": "pyrodis.export",
    "traverse": "pyrodis.infer.traversal",
    "write_card": "pyrodis.infer.card",
}
_PACKAGES = (
    "datasets",
    "distributions",
    "export",
    "guides",
    "infer",
    "metrics",
    "models",
    "nn",
    "ops",
    "options",
    "plotting",
    "regularizers",
    "testing",
)

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _PACKAGES:
        return import_module(f"pyrodis.{name}")
    raise AttributeError(f"module 'pyrodis' has no attribute '{name}'; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_PACKAGES])
