"""The trace of a program, and which of its sites are latents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyro import poutine
from pyro.distributions import Unit

OBSERVED = "x"


def get_trace(program: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run a program and return its trace.

    It is the trace of `pyro.poutine.trace(program).get_trace`, without input and return value; an error of the program
    passes as it is, where that function would append the shapes of all sites to its sentence.

    Args:
        program: A model or a guide.
        args: Passed to the program.
        kwargs: Passed to the program.

    Returns:
        A Pyro trace.

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, _ = tiny_dsvae()
        >>> list(sample_sites(get_trace(model, batch_size=2)))
        ['f', 'z', 'x']
    """
    with poutine.trace() as messenger:
        program(*args, **kwargs)
    return messenger.trace


def sample_sites(trace: Any) -> dict[str, Any]:
    """Return the sample statements of a trace, without plates and `pyro.deterministic`.

    Args:
        trace: A Pyro trace.

    Returns:
        Site name to site, in the order of the program.

    Example:
        >>> import pyro
        >>> from pyro.distributions import Normal
        >>> def program():
        ...     with pyro.plate("data", 2):
        ...         return pyro.sample("z", Normal(0.0, 1.0))
        >>> list(sample_sites(pyro.poutine.trace(program).get_trace()))
        ['z']
    """
    return {
        name: site
        for name, site in trace.nodes.items()
        if site["type"] == "sample"
        and type(site["fn"]).__name__ != "_Subsample"
        and not (site["infer"] or {}).get("_deterministic")
    }


def is_factor(site: Any) -> bool:
    """Tell whether a sample statement is a `pyro.factor`.

    Args:
        site: A site of a trace.

    Returns:
        True for a factor.

    Example:
        >>> is_factor({"fn": Unit(log_factor=0.0)})
        True
    """
    fn = site["fn"]
    while hasattr(fn, "base_dist"):
        fn = fn.base_dist
    return isinstance(fn, Unit)


def latent_sites(trace: Any) -> dict[str, Any]:
    """Return the latent sites of a trace: draws that are neither data ("x") nor penalties.

    Args:
        trace: A Pyro trace of a model or a guide, with or without data.

    Returns:
        Site name to site, in the order of the program.

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, _ = tiny_dsvae()
        >>> list(latent_sites(get_trace(model, batch_size=2)))
        ['f', 'z']
    """
    return {
        name: site
        for name, site in sample_sites(trace).items()
        if not site["is_observed"] and name != OBSERVED and not is_factor(site)
    }


def given_past(site: Any) -> Any:
    """Return the distribution of a site, that of a sequence with feedback as its frames' normals given those before.

    A sequence whose mean does not depend on its draws, such as a Gauss-Markov chain, is returned as it is.

    Args:
        site: A site of a trace.

    Returns:
        The distribution; where it feeds its draws back, its `conditional` at the site's value. Its mean is what the
        program expects.

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, _ = tiny_dsvae()
        >>> given_past(latent_sites(get_trace(model, batch_size=2))["z"]).mean.shape
        torch.Size([2, 5, 2])
    """
    fn = site["fn"]
    return fn.conditional(site["value"]) if hasattr(fn, "mean_path") and hasattr(fn, "conditional") else fn
