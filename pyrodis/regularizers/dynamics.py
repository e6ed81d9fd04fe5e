"""Regularizers of how a latent sequence moves, and of the transitions that move it."""

from __future__ import annotations

import torch

from pyrodis.ops import check_positive_int, check_positive_number
from pyrodis.ops.checks import check_floating


def temporal_difference(z: torch.Tensor) -> torch.Tensor:
    r"""Return the summed squared difference of adjacent frames: zero for what stays.

    $$R(z) = \sum_{t=2}^{T} \lVert z_t - z_{t-1} \rVert^2$$

    Args:
        z: Latent sequences.

    Shape:
        z: (..., T, D) to (...).

    Returns:
        The penalty of each sequence, 0 or more.

    Raises:
        ValueError: If z has no time and latent dimension.

    Source:
        Wiskott and Sejnowski, Slow Feature Analysis (2002), without its constraint on the variance.

    Example:
        >>> temporal_difference(torch.tensor([[[0.0], [1.0], [3.0]]]))
        tensor([5.])
    """
    check_floating("z", z)
    if z.ndim < 2:
        raise ValueError(f"z must have shape (..., T, D), got {tuple(z.shape)}")
    return z.diff(dim=-2).square().sum(dim=(-2, -1))


def slowness(eigenvalues: torch.Tensor) -> torch.Tensor:
    r"""Return how far eigenvalues of the transitions are from one: zero for what stays.

    $$R(\lambda) = \sum_{t=2}^{T} \sum_{i=1}^{D} \bigl|\lambda_t^{(i)} - 1\bigr|$$

    Args:
        eigenvalues: The eigenvalue of every transition and dimension.

    Shape:
        eigenvalues: (..., T - 1, D) to (...).

    Returns:
        The penalty of each sequence, 0 or more; 0 of a single frame, which has no transition.

    Raises:
        ValueError: If there is no dimension of time and of latents.

    Source:
        Zaharia and Peters, Disentangling via dynamics, section 2.2.1. It is the negative log-density of a Laplace
        distribution at 1, up to a constant: see `pyrodis.models.LaplaceEigenvalues`.

    Example:
        >>> slowness(torch.tensor([[[1.0, 0.9], [1.0, 0.5]]]))
        tensor([0.6000])
        >>> import pyrodis
        >>> guide = torch.nn.Identity()  # any guide that returns "eigenvalues" beside its sites
        >>> penalty = lambda output: slowness(output["eigenvalues"])
        >>> guide = pyrodis.add_penalty(guide, "slow", penalty, 0.1, side="guide")
    """
    _check_eigenvalues(eigenvalues)
    return (eigenvalues - 1).abs().sum(dim=(-2, -1))


def weighted_slowness(eigenvalues: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    r"""Return `slowness` with a weight for each dimension.

    $$R(\lambda) = \sum_{t=2}^{T} \sum_{i=1}^{D} \gamma_i \bigl|\lambda_t^{(i)} - 1\bigr|$$

    Unequal weights make unequal eigenvalues by themselves, whatever the data are; where eigenvalues are to say
    something of the data, use equal ones.

    Args:
        eigenvalues: The eigenvalue of every transition and dimension.
        weights: gamma, 0 or more; `increasing_weights` gives those of the source.

    Shape:
        eigenvalues: (..., T - 1, D) to (...); weights: (D).

    Returns:
        The penalty of each sequence, 0 or more.

    Raises:
        ValueError: If the shapes do not fit.

    Source:
        Zaharia and Peters, Disentangling via dynamics, section 2.2.2.

    Example:
        >>> weighted_slowness(torch.tensor([[[0.9, 0.9]]]), torch.tensor([1.0, 3.0]))
        tensor([0.4000])
    """
    _check_eigenvalues(eigenvalues)
    check_floating("weights", weights)
    if weights.shape != eigenvalues.shape[-1:]:
        raise ValueError(
            f"weights must have shape (D) = {tuple(eigenvalues.shape[-1:])}, got {tuple(weights.shape)}; "
            "pass one weight for each dimension"
        )
    return ((eigenvalues - 1).abs() * weights.to(eigenvalues)).sum(dim=(-2, -1))


def increasing_weights(num: int, gamma: float = 1.0) -> torch.Tensor:
    r"""Return weights that grow with the number of the dimension.

    $$\gamma_i = \gamma \, i, \qquad i = 1, \dots, D$$

    Args:
        num: D.
        gamma: Weight of the first dimension.

    Returns:
        Weights (D).

    Raises:
        TypeError: If `num` is not an int or `gamma` not a number.
        ValueError: If either is not positive.

    Source:
        Zaharia and Peters, Disentangling via dynamics, section 2.2.2.

    Example:
        >>> increasing_weights(3, 0.5)
        tensor([0.5000, 1.0000, 1.5000])
    """
    return check_positive_number("gamma", gamma) * torch.arange(1, check_positive_int("num", num) + 1).float()


def identity_deviation(transition: torch.Tensor) -> torch.Tensor:
    r"""Return how far whole transition matrices are from the identity, entry by entry.

    $$R(A) = \sum_{t=2}^{T} \lVert A_t - I \rVert_1, \qquad \lVert M \rVert_1 = \sum_{ij} |M_{ij}|$$

    Args:
        transition: The matrix of every transition.

    Shape:
        transition: (..., T - 1, D, D) to (...).

    Returns:
        The penalty of each sequence, 0 or more.

    Raises:
        ValueError: If the last two dimensions are not those of square matrices of transitions.

    Source:
        Zaharia and Peters, Disentangling via dynamics, section 2.3.1, with the norm read entry by entry, as its own
        norm of eigenvalues is.

    Example:
        >>> identity_deviation(torch.tensor([[[[1.0, 0.5], [0.0, 0.0]]]]))
        tensor([1.5000])
    """
    check_floating("transition", transition)
    if transition.ndim < 3 or transition.shape[-1] != transition.shape[-2]:
        raise ValueError(f"transition must have shape (..., T - 1, D, D), got {tuple(transition.shape)}")
    identity = torch.eye(transition.shape[-1], dtype=transition.dtype, device=transition.device)
    return (transition - identity).abs().sum(dim=(-3, -2, -1))


def linear_prediction_error(z: torch.Tensor, alpha: float | torch.Tensor = 1.0) -> torch.Tensor:
    r"""Return the summed squared error of predicting each frame on a straight line through the two before.

    $$R(z) = \sum_{t=3}^{T} \bigl\lVert z_t - z_{t-1} - \alpha (z_{t-1} - z_{t-2}) \bigr\rVert^2$$

    With alpha = 1 it is zero for what stays and for what moves at constant velocity; with alpha = 0 it is
    `temporal_difference` from the third frame on.

    Args:
        z: Latent sequences of at least three frames.
        alpha: How much of the last step is repeated; a tensor may be learned, and have a value for each dimension.

    Shape:
        z: (..., T, D) to (...); alpha: () or (D).

    Returns:
        The penalty of each sequence, 0 or more.

    Raises:
        ValueError: If z has fewer than three frames, or alpha another shape.

    Source:
        Zaharia, Peters et al., Disentangled dynamics. The loss of its published code takes differences along batch and
        time as one axis, and so penalizes no prediction.

    Example:
        >>> linear_prediction_error(torch.tensor([[[0.0], [1.0], [2.0], [4.0]]]))
        tensor([1.])
    """
    check_floating("z", z)
    if not isinstance(alpha, (int, float, torch.Tensor)):
        raise TypeError(
            f"alpha must be a number or a tensor, got {type(alpha).__name__}; 1.0 predicts the last step again"
        )
    alpha = alpha if isinstance(alpha, torch.Tensor) else float(alpha)
    if z.ndim < 2 or z.shape[-2] < 3:
        raise ValueError(
            f"z must have shape (..., T, D) with T of 3 or more, got {tuple(z.shape)}; a prediction needs two frames"
        )
    if isinstance(alpha, torch.Tensor) and alpha.shape not in ((), z.shape[-1:]):
        raise ValueError(f"alpha must be one number or have shape (D) = ({z.shape[-1]},), got {tuple(alpha.shape)}")
    step = z.diff(dim=-2)
    return (step[..., 1:, :] - alpha * step[..., :-1, :]).square().sum(dim=(-2, -1))


def _check_eigenvalues(eigenvalues: torch.Tensor) -> None:
    check_floating("eigenvalues", eigenvalues)
    if eigenvalues.ndim < 2:
        raise ValueError(f"eigenvalues must have shape (..., T - 1, D), got {tuple(eigenvalues.shape)}")
