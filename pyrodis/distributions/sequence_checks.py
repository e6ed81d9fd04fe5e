"""Checks of the parameters of sequences, raised where a distribution is built."""

from __future__ import annotations

from numbers import Real
from typing import Any

import torch
from torch.distributions import Distribution, Independent, Normal

from pyrodis.ops.checks import check_floating


def check_event(name: str, value: torch.Tensor) -> torch.Size:
    """Return (T, n) of a sequence of vectors.

    Args:
        name: Name of the argument, for the message.
        value: What was given.

    Shape:
        value: (..., T, n).

    Returns:
        The last two sizes.

    Raises:
        TypeError: If it is not a floating-point tensor.
        ValueError: If it has no frames or no dimensions.

    Example:
        >>> check_event("loc", torch.zeros(2, 5, 3))
        torch.Size([5, 3])
    """
    _check_tensor(name, value)
    if value.ndim < 2 or 0 in value.shape[-2:]:
        raise ValueError(
            f"{name} must have shape (..., T, n) with at least one frame and one dimension, got {tuple(value.shape)}"
        )
    return value.shape[-2:]


def check_shapes(parts: dict[str, tuple[torch.Tensor | None, tuple[int, ...]]]) -> torch.Size:
    """Check that every part ends in its event shape, and return the batch shape to which all broadcast.

    Args:
        parts: Name to the part, or None where it is not given, and the shape in which it must end.

    Returns:
        The batch shape.

    Raises:
        TypeError: If a part is not a floating-point tensor.
        ValueError: If a part ends otherwise, or the batch shapes do not broadcast.

    Example:
        >>> check_shapes({"loc": (torch.zeros(7, 5, 3), (5, 3)), "scale": (torch.ones(5, 3), (5, 3))})
        torch.Size([7])
    """
    batch_shape = torch.Size()
    first = next(iter(parts))
    for name, (value, wanted) in parts.items():
        if value is None:
            continue
        _check_tensor(name, value)
        if value.ndim < len(wanted) or tuple(value.shape[value.ndim - len(wanted) :]) != wanted:
            raise ValueError(
                f"{name} must have a shape that ends in {wanted}, to go with {first} that ends in {parts[first][1]}, "
                f"got {tuple(value.shape)}"
            )
        try:
            batch_shape = torch.broadcast_shapes(batch_shape, value.shape[: value.ndim - len(wanted)])
        except RuntimeError as error:
            raise ValueError(
                f"the batch shapes must broadcast, got {name} of shape {tuple(value.shape)} beside {tuple(batch_shape)}"
            ) from error
    return batch_shape


def require_all(
    good: torch.Tensor, value: torch.Tensor, expectation: str, hint: str = "", event_dim: int = 2, first_frame: int = 0
) -> None:
    """Raise unless a condition holds everywhere; say at which frame it first does not, and what is there.

    Args:
        good: The condition.
        value: What it was tested on.
        expectation: The first part of the message.
        hint: The last part of the message.
        event_dim: Trailing dimensions from the frames on: 2 for vectors, 3 for matrices.
        first_frame: Number of the first frame.

    Raises:
        ValueError: If the condition fails anywhere.

    Example:
        >>> require_all(torch.tensor([[True]]), torch.tensor([[1.0]]), "scale must be above 0")
    """
    if good.is_meta or bool(good.all()):
        return
    position = tuple((~good).nonzero()[0].tolist())
    frame, *inside = position[len(position) - event_dim :]
    where = f"dimension {inside[0]}" if len(inside) == 1 else f"entry {tuple(inside)}"
    raise ValueError(f"{expectation}, got {float(value[position])} at frame {frame + first_frame}, {where}{hint}")


def independent_normal(fn: Distribution) -> Normal:
    """Return the normal of frames and dimensions that are all independent.

    Args:
        fn: A distribution.

    Returns:
        The normal whose batch dimensions end in (T, n).

    Raises:
        NotImplementedError: If it is another distribution, for which no closed form is known.

    Example:
        >>> independent_normal(Independent(Normal(torch.zeros(5, 3), 1.0), 2)).batch_shape
        torch.Size([5, 3])
    """
    base = fn
    while isinstance(base, Independent):
        base = base.base_dist
    if not isinstance(base, Normal) or len(fn.event_shape) != 2:
        raise NotImplementedError(f"no closed form with {fn}; it must be a Normal(...).to_event(2) over (T, n)")
    return base


def _check_tensor(name: str, value: Any) -> None:
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        raise TypeError(f"{name} must be a floating-point tensor, got {getattr(value, 'dtype', type(value).__name__)}")


def check_parameter(name: str, value: Any) -> Any:
    """Return a parameter of a distribution if it is a number or a floating-point tensor.

    Args:
        name: Name of the parameter, for the message.
        value: What was given.

    Returns:
        The same.

    Raises:
        TypeError: It is neither.

    Example:
        >>> check_parameter("scale", 0.5)
        0.5
    """
    if isinstance(value, torch.Tensor):
        return check_floating(name, value)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number or a floating-point tensor, got {type(value).__name__}")
    return value
