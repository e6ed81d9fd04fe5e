"""From a network's raw output to the eigenvalues of a stable chain."""

from __future__ import annotations

import torch

from pyrodis.ops.precision import full_precision

LARGEST_EIGENVALUE = 1 - 1e-6


def bounded_eigenvalues(raw: torch.Tensor) -> torch.Tensor:
    r"""Map any numbers to eigenvalues strictly between -1 and 1.

    $$\lambda = (1 - 10^{-6}) \tanh(\mathrm{raw})$$

    The factor keeps the result off the ends in floating point as well: in float32 tanh is exactly 1 from 9.02 on, and a
    chain whose eigenvalue is 1 has no noise and no density. There the gradient is exactly 0 as well: an eigenvalue that
    is driven so far stays, whatever the data say later. Half precision is cast to float32 first, where it would
    round to 1 far earlier.

    Args:
        raw: Unbounded numbers, such as a network's output.

    Shape:
        Any; unchanged.

    Returns:
        Eigenvalues in float32, or in float64 if `raw` is.

    Raises:
        TypeError: If `raw` is not a floating-point tensor.

    Source:
        The bound is this library's own; the method of the eigenvalues leaves it open.

    Example:
        >>> bounded_eigenvalues(torch.tensor([0.0, 50.0]))
        tensor([0.0000, 1.0000])
        >>> bool((bounded_eigenvalues(torch.tensor([-50.0, 50.0])).abs() < 1).all())
        True
    """
    if not isinstance(raw, torch.Tensor) or not raw.is_floating_point():
        got = raw.dtype if isinstance(raw, torch.Tensor) else type(raw).__name__
        raise TypeError(f"raw must be a floating-point tensor, got {got}; convert it with torch.as_tensor(raw).float()")
    return LARGEST_EIGENVALUE * full_precision(raw).tanh()
