"""The factorization of a guide as a graph."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyrodis.plotting._frames import COLORS
from pyrodis.plotting._numbers import panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NODE_SIZE = 24  # points across
LOOKS: dict[str, dict[str, Any]] = {  # of arrows, by where they start: color and line differ both
    "frame": {"color": COLORS[0], "linestyle": "-"},
    "sequence": {"color": COLORS[5], "linestyle": (0, (4, 1.5))},
    "clip": {"color": COLORS[2], "linestyle": (0, (1, 1))},
}
Place = tuple[float, float]


def factorization_graph(factorization: Mapping[str, Sequence[str]], ax: Axes | None = None) -> Axes:
    """Draw a factorization: frames below, the codes of frames above them, the code of the clip on top.

    An arrow leads from what a factor reads to the code that is drawn from it: blue from frames, dashed red from codes
    of frames, dotted green from the code of the clip. What no path of arrows connects is independent in the guide.

    Args:
        factorization: name of a code -> names of what its factor reads, ``guide.factorization(3)`` or what
            :func:`pyrodis.infer.measure_factorization` found.
        ax: where to draw; without it a figure is made.

    Returns:
        The axes; every arrow's ``get_gid()`` is such as "x_1 -> z_1".

    Raises:
        TypeError: no mapping to names.
        ValueError: no codes, or a factor that reads what is neither a frame nor a code before it.

    Source:
        The graphs of Li and Mandt, "Disentangled sequential autoencoder", 2018, in spirit.

    Example:
        >>> ax = factorization_graph({"f": ("x_1", "x_2"), "z_1": ("x_1", "f"), "z_2": ("x_2", "f", "z_1")})
        >>> len(ax.patches), [text.get_text() for text in ax.texts][:3]
        (7, ['$x_{1}$', '$x_{2}$', '$z_{1}$'])
    """
    from matplotlib.patches import FancyArrowPatch

    _check(factorization)
    places = _places(factorization)
    width = max(x for x, _ in places.values()) + 1
    heights = [y for _, y in places.values()]
    ax = panels(ax, 1, (0.85 * width, 0.95 * (max(heights) - min(heights) + 1)))[0]
    for code, sources in factorization.items():
        for source in sources:
            arrow = FancyArrowPatch(
                places[source],
                places[code],
                arrowstyle="-|>",
                mutation_scale=9,
                shrinkA=NODE_SIZE / 2,
                shrinkB=NODE_SIZE / 2,
                lw=1.3,
                connectionstyle=_bend(places[source], places[code]),
                gid=f"{source} -> {code}",
                **LOOKS[_kind(source)],
            )
            ax.add_patch(arrow)
    for name, (x, y) in places.items():
        seen = name not in factorization
        edge = "black" if seen else LOOKS[_kind(name)]["color"]
        ax.plot(x, y, "o", ms=NODE_SIZE, mfc="#dddddd" if seen else "white", mec=edge, mew=1.3, zorder=3)
        label = _label(name)
        ax.text(x, y, label, ha="center", va="center", fontsize=7 if "mathrm" in label else 10, zorder=4)
    ax.set_xlim(0.45, width - 0.45)
    ax.set_ylim(min(heights) - 0.45, max(heights) + 0.45)
    ax.set_axis_off()
    return ax


def _check(factorization: Any) -> None:
    if not isinstance(factorization, Mapping) or not all(_are_names(seen) for seen in factorization.values()):
        raise TypeError(f"factorization must map names of codes to sequences of names, got {factorization!r}")
    if not factorization:
        raise ValueError("factorization must hold at least one code, got none; pass guide.factorization(3)")
    known: set[str] = set()
    for code, sources in factorization.items():
        strange = [name for name in sources if _kind(name) != "frame" and name not in known]
        if strange:
            raise ValueError(f"the factor of {code} must read frames or codes before it, got {strange}; put them first")
        known.add(code)


def _kind(name: str) -> str:
    if re.fullmatch(r"x_\d+", name):
        return "frame"
    return "sequence" if re.fullmatch(r".+_\d+", name) else "clip"


def _are_names(seen: object) -> bool:
    return isinstance(seen, (list, tuple, set, frozenset)) and all(isinstance(name, str) for name in seen)


def _places(factorization: Mapping[str, Sequence[str]]) -> dict[str, Place]:
    """Where each node stands; clips' codes between columns, so that no arrow to them meets the code of a frame."""
    frames = sorted({_number(name) for name in (*factorization, *_read(factorization)) if _kind(name) != "clip"})
    sites = list(dict.fromkeys(name.rsplit("_", 1)[0] for name in factorization if _kind(name) == "sequence"))
    rows = {site: -1.0 - i for i, site in enumerate(reversed(sites[:-1]))} | dict.fromkeys(sites[-1:], 1.0)
    clips = [name for name in factorization if _kind(name) == "clip"]
    start = sum(frames) / max(len(frames), 1) - (len(clips) - 1) / 2
    if sites and start == int(start):
        start -= 0.5
    places = {f"x_{t}": (float(t), 0.0) for t in frames}
    for name in factorization:
        if _kind(name) == "sequence":
            places[name] = float(_number(name)), rows[name.rsplit("_", 1)[0]]
    places |= {name: (start + i, 2.0 if sites else 1.0) for i, name in enumerate(clips)}
    first = min(x for x, _ in places.values())
    return {name: (x + 1 - first, y) for name, (x, y) in places.items()}


def _read(factorization: Mapping[str, Sequence[str]]) -> list[str]:
    return [name for sources in factorization.values() for name in sources]


def _number(name: str) -> int:
    return int(name.rsplit("_", 1)[1])


def _bend(start: Place, end: Place) -> str:
    """Arrows between nodes of one row that are not neighbors go around those between them."""
    return f"arc3,rad={-0.35 if start[1] == end[1] and abs(end[0] - start[0]) > 1 else 0}"


def _label(name: str) -> str:
    site, mark, number = re.fullmatch(r"(.+?)(?:([_^])(\d+))?", name).groups()  # type: ignore[union-attr]
    symbol = {"eigenvalues": r"\lambda"}.get(site, site if len(site) == 1 else rf"\mathrm{{{site}}}")
    return f"${symbol}{mark}{{{number}}}$" if mark else f"${symbol}$"
