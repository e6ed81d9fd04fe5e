"""Linear-Gaussian chains z_t = A z_{t-1} + noise: transition, precision, and the evidence of what they emit."""

from __future__ import annotations

import math
from typing import Any

import torch

from pyrodis.ops.checks import check_floating, check_positive_int, check_positive_number, check_same_dtype
from pyrodis.ops.precision import full_precision, without_autocast

NORM_BOUND = 1 - 1e-5


def contraction(raw: torch.Tensor) -> torch.Tensor:
    r"""Map any square matrix to one whose spectral norm is below 1.

    $$A = (1 - 10^{-5})\, M C^{-\top}, \qquad C C^\top = I + M^\top M$$

    C is the Cholesky factor. A has the singular values m / sqrt(1 + m^2) of every singular value m of M, as
    M (I + M^T M)^{-1/2} has: another rotation, the same set of matrices, and no eigendecomposition, whose gradient has
    poles where eigenvalues meet. The norm stays far enough below 1 for I - A A^T to be positive definite in single
    precision; inside, double precision is used.

    Args:
        raw: M, any values.

    Shape:
        raw: (..., n, n).

    Returns:
        A of the same shape, float32 if raw was of half precision.

    Raises:
        ValueError: If the last two sizes differ.

    Source:
        The polar factor M (I + M^T M)^{-1/2} with a Cholesky root in place of the symmetric one.

    Example:
        >>> contraction(torch.tensor([[0.75]]))
        tensor([[0.6000]])
    """
    check_floating("raw", raw)
    if raw.ndim < 2 or raw.shape[-1] != raw.shape[-2]:
        raise ValueError(f"raw must have shape (..., n, n), got {tuple(raw.shape)}")
    raw = full_precision(raw)
    with without_autocast(raw):
        wide = raw.double()
        try:
            root = torch.linalg.cholesky(torch.eye(raw.shape[-1], dtype=wide.dtype, device=raw.device) + wide.mT @ wide)
        except torch.linalg.LinAlgError as error:
            raise ValueError(
                "raw must be finite and below some 1e7, got NaN, infinity or larger numbers; lower the learning rate"
            ) from error
        # M C^-T is the transposed solution of C y = M^T.
        return NORM_BOUND * torch.linalg.solve_triangular(root, wide.mT, upper=False).mT.to(raw.dtype)


def chain_precision(
    transition: torch.Tensor, process_covariance: torch.Tensor, initial_covariance: torch.Tensor, num_frames: int
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return the block-tridiagonal precision of a linear-Gaussian chain of T frames.

    $$J_{tt} = Q_t^{-1} + A^\top Q^{-1} A\,[t < T], \qquad J_{t,t-1} = -Q^{-1} A, \qquad Q_1 = P_0, \; Q_{t>1} = Q$$

    of z_1 ~ N(0, P_0), z_t ~ N(A z_{t-1}, Q).

    Args:
        transition: A.
        process_covariance: Q, positive definite.
        initial_covariance: P_0, positive definite.
        num_frames: T.

    Shape:
        transition, process_covariance, initial_covariance: (n, n).

    Returns:
        Diagonal blocks (T, n, n) and lower blocks (T - 1, n, n).

    Raises:
        TypeError: If num_frames is not an int.
        ValueError: If it is not positive.

    Source:
        The prior of Archer et al., Black box variational inference for state space models (2016).

    Example:
        >>> diagonal, lower = chain_precision(torch.zeros(2, 2), torch.eye(2), torch.eye(2), num_frames=5)
        >>> diagonal.shape, lower.shape
        (torch.Size([5, 2, 2]), torch.Size([4, 2, 2]))
    """
    check_positive_int("num_frames", num_frames)
    _check_chain(transition, process_covariance, initial_covariance)
    first, later = (_inverse(covariance) for covariance in (initial_covariance, process_covariance))
    forward = transition.mT @ later @ transition
    if num_frames == 1:
        return first[None], first.new_zeros(0, *first.shape)
    middle = (later + forward).expand(num_frames - 2, -1, -1)
    diagonal = torch.cat([(first + forward)[None], middle, later[None]])
    return diagonal, -(later @ transition).expand(num_frames - 1, -1, -1)


def kalman_log_evidence(
    observed: torch.Tensor,
    emission: torch.Tensor,
    scale: float,
    transition: torch.Tensor,
    process_covariance: torch.Tensor,
    initial_covariance: torch.Tensor,
    shown: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Return the log-density of what a linear-Gaussian chain emits, frame by frame, in O(T n^3 + T n P).

    $$\log p(y_{1:T}) = \sum_{t\,\mathrm{shown}} \log \mathcal N\bigl(y_t; \; V m_t, \; V P_t V^\top + r^2 I\bigr)$$

    m_t and P_t are the Kalman filter's mean and covariance of z_t given the shown frames before t. Matrices of size P
    are never built.

    Args:
        observed: y, sequences of observations with mean 0.
        emission: V.
        scale: r, standard deviation of the observations' noise.
        transition: A.
        process_covariance: Q.
        initial_covariance: P_0.
        shown: Which frames are observed; None for all.

    Shape:
        observed: (B, T, P); emission: (P, n); transition, process_covariance, initial_covariance: (n, n); shown:
        (B, T), bool.

    Returns:
        Log-densities (B) in nats.

    Source:
        Kalman (1960), in the form of the matrix inversion lemma.

    Example:
        >>> eye = torch.eye(1)
        >>> kalman_log_evidence(torch.zeros(3, 5, 2), torch.ones(2, 1), 1.0, 0.5 * eye, 0.75 * eye, eye).shape
        torch.Size([3])
    """
    check_positive_number("scale", scale)
    _check_chain(transition, process_covariance, initial_covariance)
    _check_observed(check_floating("observed", observed), check_floating("emission", emission), len(transition), shown)
    check_same_dtype("observed", observed, "transition", transition)
    check_same_dtype("emission", emission, "transition", transition)
    observed, emission = full_precision(observed), full_precision(emission)
    try:
        return _evidence(observed, emission, scale, (transition, process_covariance, initial_covariance), shown)
    except torch.linalg.LinAlgError as error:
        raise ValueError("transition must keep the covariance of the states finite, got one that does not") from error


def _evidence(
    observed: torch.Tensor,
    emission: torch.Tensor,
    scale: float,
    chain: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    shown: torch.Tensor | None,
) -> torch.Tensor:
    transition, process_covariance, initial_covariance = chain
    batch, num_frames, num_pixels = observed.shape
    eye = torch.eye(emission.shape[-1], dtype=emission.dtype, device=emission.device)
    information = emission.mT @ emission / scale**2
    seen = observed.new_ones(batch, num_frames) if shown is None else shown.to(observed.dtype)
    mean, covariance = observed.new_zeros(batch, len(eye)), initial_covariance.expand(batch, -1, -1)
    log_evidence = observed.new_zeros(batch)
    for t in range(num_frames):
        weight = seen[:, t]
        error = observed[:, t] - mean @ emission.mT
        score = error @ emission / scale**2
        root = torch.linalg.cholesky(covariance)
        inner = torch.linalg.cholesky(eye + weight[:, None, None] * (root.mT @ information @ root))
        half = torch.linalg.solve_triangular(inner, root.mT, upper=False)  # covariance afterwards is half^T half
        scored = (half @ score[:, :, None]).squeeze(-1)
        log_det = 2 * (inner.diagonal(dim1=-2, dim2=-1).log().sum(-1) + num_pixels * math.log(scale))
        distance = error.square().sum(-1) / scale**2 - scored.square().sum(-1)
        log_evidence = log_evidence - 0.5 * weight * (log_det + distance + num_pixels * math.log(2 * math.pi))
        mean = mean + weight[:, None] * (half.mT @ scored[:, :, None]).squeeze(-1)
        covariance = half.mT @ half
        mean, covariance = mean @ transition.mT, transition @ covariance @ transition.mT + process_covariance
    return log_evidence


def _inverse(covariance: torch.Tensor) -> torch.Tensor:
    return torch.cholesky_inverse(torch.linalg.cholesky(covariance))


def _check_chain(transition: Any, process_covariance: Any, initial_covariance: Any) -> None:
    """Refuse what is no chain of Gaussians: matrices of one size and type, the covariances positive definite."""
    matrices = {"transition": transition, "process_covariance": process_covariance}
    matrices["initial_covariance"] = initial_covariance
    for name, matrix in matrices.items():
        check_floating(name, matrix)
        if matrix.ndim != 2 or matrix.shape != transition.shape or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"{name} must have shape (D, D) as transition has, got {tuple(matrix.shape)}")
        if matrix.dtype != transition.dtype:
            raise TypeError(f"{name} must be {transition.dtype} as transition is, got {matrix.dtype}; convert it")
        if matrix.is_meta:  # has no numbers
            continue
        if not bool(matrix.isfinite().all()):
            raise ValueError(f"{name} must be finite, got NaN or infinity; find what produced it")
        if name != "transition" and bool(torch.linalg.cholesky_ex(matrix).info):
            raise ValueError(f"{name} must be positive definite, got a matrix that is not; add to its diagonal")


def _check_observed(observed: torch.Tensor, emission: torch.Tensor, dim: int, shown: Any) -> None:
    if observed.ndim != 3 or emission.shape != (observed.shape[-1], dim):
        raise ValueError(
            f"observed must have shape (B, T, P) and emission (P, D) with D = {dim}, got {tuple(observed.shape)} and "
            f"{tuple(emission.shape)}"
        )
    if not bool(observed.isfinite().all() and emission.isfinite().all()) or observed.dtype != emission.dtype:
        raise ValueError("observed and emission must be finite and of one precision; find what made NaN")
    if shown is not None and (not isinstance(shown, torch.Tensor) or shown.shape != observed.shape[:2]):
        got = tuple(shown.shape) if isinstance(shown, torch.Tensor) else type(shown).__name__
        raise ValueError(f"shown must be a tensor of shape (B, T) = {tuple(observed.shape[:2])}, got {got}")
