"""How guides declare their factorization: the name of every code, and the names of what its factor reads."""

from __future__ import annotations

from torch import nn

from pyrodis.ops import check_positive_int

Factorization = dict[str, tuple[str, ...]]
"""Name of a code to the names of what the parameters of its factor depend on, in the order in which codes are drawn.

Frames are counted from 1: "x_2" is the second frame, "z_2" its code, "f" the code of the whole clip, "z^2" the code of
the second component. What stands behind a name may only stand before it: the mapping is a directed acyclic graph.
"""


def named(site: str, num_frames: int) -> tuple[str, ...]:
    """Return the names of a site's frames.

    Args:
        site: Name of a site, or "x".
        num_frames: T.

    Returns:
        Names such as "z_1", T of them.

    Raises:
        TypeError: If `num_frames` is not an int.
        ValueError: If it is not positive.

    Example:
        >>> named("z", 3)
        ('z_1', 'z_2', 'z_3')
    """
    return tuple(f"{site}_{t + 1}" for t in range(check_positive_int("num_frames", num_frames)))


def frame_by_frame(num_frames: int) -> Factorization:
    """Return the factorization in which a frame's code sees its frame alone.

    Args:
        num_frames: T.

    Returns:
        Name of a code to its frame.

    Example:
        >>> frame_by_frame(2)
        {'z_1': ('x_1',), 'z_2': ('x_2',)}
    """
    return {z: (x,) for z, x in zip(named("z", num_frames), named("x", num_frames))}


def chain(num_frames: int) -> Factorization:
    """Return the factorization in which a code sees the code before, its frame and the frame before.

    Args:
        num_frames: T.

    Returns:
        Name of a code to the code before and two frames; to its frame alone for the first.

    Example:
        >>> chain(2)
        {'z_1': ('x_1',), 'z_2': ('z_1', 'x_1', 'x_2')}
    """
    z, x = named("z", num_frames), named("x", num_frames)
    return {z[t]: (*z[max(t - 1, 0) : t], *x[max(t - 1, 0) : t + 1]) for t in range(num_frames)}


def static_factor(static: nn.Module | None, num_frames: int) -> Factorization:
    """Return the factor of the static code of a guide, if it has one.

    Args:
        static: The factor q(f | x), or None.
        num_frames: T.

    Returns:
        "f" to all frames, or nothing.

    Example:
        >>> static_factor(None, 3), static_factor(nn.Identity(), 2)
        ({}, {'f': ('x_1', 'x_2')})
    """
    return {} if static is None else {"f": named("x", num_frames)}
