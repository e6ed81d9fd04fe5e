"""How a structured guide ties a frame's codes to those of the frame before: four kinds of transition."""

from __future__ import annotations

import torch
from torch import nn

from pyrodis.distributions import GaussMarkovNormal
from pyrodis.ops import bounded_eigenvalues, check_positive_int, contraction, full_precision, without_autocast

Drawn = tuple[GaussMarkovNormal, dict[str, torch.Tensor]]


class PairNetwork(nn.Module):
    r"""A network of one hidden layer on the features of every two successive frames.

    $$o_t = W_2 \tanh(W_1 [h_t, h_{t-1}] + b_1) + b_2, \qquad t = 2, \dots, T$$

    Args:
        feature_dim: Size of the features of a frame.
        output_dim: Size of the output.
        hidden_dim: Size of the hidden layer.

    Shape:
        features (..., T, feature_dim) to (..., T - 1, output_dim), in full precision.

    Raises:
        TypeError: If a size is not an int.
        ValueError: If a size is not positive.

    Example:
        >>> PairNetwork(4, 2, 8)(torch.zeros(3, 5, 4)).shape
        torch.Size([3, 4, 2])
    """

    def __init__(self, feature_dim: int, output_dim: int, hidden_dim: int) -> None:
        super().__init__()
        check_positive_int("hidden_dim", hidden_dim)
        self.hidden = nn.Linear(2 * check_positive_int("feature_dim", feature_dim), hidden_dim)
        self.output = nn.Linear(hidden_dim, check_positive_int("output_dim", output_dim))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the output for every frame after the first.

        Args:
            features: Tensor of shape (..., T, feature_dim).

        Returns:
            Tensor of shape (..., T - 1, output_dim).
        """
        with without_autocast(features):
            wide = full_precision(features)
            pairs = torch.cat([wide[..., 1:, :], wide[..., :-1, :]], dim=-1)
            output: torch.Tensor = self.output(self.hidden(pairs).tanh())
            return output


class DiagonalTransition(nn.Module):
    r"""Every dimension follows itself, with an eigenvalue that two successive frames tell.

    $$A_t = \operatorname{diag}(\lambda_t), \qquad \lambda_t = (1 - 10^{-6}) \tanh(g(h_t, h_{t-1}))$$

    Args:
        feature_dim: Size of the features of a frame.
        dynamic_dim: D.
        hidden_dim: Size of the network's hidden layer.

    Shape:
        features (..., T, feature_dim), loc and scale (..., T, D) to a distribution of event shape (T, D).

    Raises:
        TypeError: If a size is not an int.
        ValueError: If a size is not positive.

    Source:
        Zaharia and Peters, Disentangling via dynamics, section 2.1 with L = I.

    Example:
        >>> q, parts = DiagonalTransition(4, 2, 8)(torch.zeros(3, 5, 4), torch.zeros(3, 5, 2), torch.ones(3, 5, 2))
        >>> q.event_shape, parts["eigenvalues"].shape
        (torch.Size([5, 2]), torch.Size([3, 4, 2]))
    """

    def __init__(self, feature_dim: int, dynamic_dim: int, hidden_dim: int = 128) -> None:
        super().__init__()
        self.feature_dim, self.dynamic_dim, self.hidden_dim = _sizes(feature_dim, dynamic_dim, hidden_dim)
        self.network = PairNetwork(feature_dim, dynamic_dim, hidden_dim)

    def forward(self, features: torch.Tensor, loc: torch.Tensor, scale: torch.Tensor) -> Drawn:
        """Return the distribution of z, and what to tell of its transitions.

        Args:
            features: Features of the frames, (..., T, feature_dim).
            loc: Means of the frames, (..., T, D).
            scale: Standard deviations of the frames, (..., T, D).

        Returns:
            The distribution, and "eigenvalues" (..., T - 1, D).
        """
        eigenvalues = bounded_eigenvalues(self.network(features))
        return GaussMarkovNormal(loc, scale, eigenvalues), {"eigenvalues": eigenvalues}


class BasisTransition(nn.Module):
    r"""Directions of one learned basis follow themselves, each with an eigenvalue of its own.

    $$A_t = L \operatorname{diag}(\lambda_t) L^{-1}, \qquad u_1 \sim \mathcal N(0, L L^\top), \qquad
    \lambda_t = (1 - 10^{-6}) \tanh(g(h_t, h_{t-1}))$$

    The rows of L have length 1, so a dimension's standard deviation is still its scale; but the dimensions of one frame
    are correlated, as L L^T says: it is no mean-field posterior even where all eigenvalues are 0.

    Args:
        feature_dim: Size of the features of a frame.
        dynamic_dim: D.
        hidden_dim: Size of the network's hidden layer.

    Shape:
        features (..., T, feature_dim), loc and scale (..., T, D) to a distribution of event shape (T, D).

    Raises:
        TypeError: If a size is not an int.
        ValueError: If a size is not positive.

    Source:
        Zaharia and Peters, Disentangling via dynamics, section 2, with a stationary covariance that keeps every
        innovation positive definite, which eigenvalues below 1 alone do not.

    Example:
        >>> BasisTransition(4, 2, 8).basis
        tensor([[1., 0.],
                [0., 1.]], grad_fn=<DivBackward0>)
    """

    def __init__(self, feature_dim: int, dynamic_dim: int, hidden_dim: int = 128) -> None:
        super().__init__()
        self.feature_dim, self.dynamic_dim, self.hidden_dim = _sizes(feature_dim, dynamic_dim, hidden_dim)
        self.network = PairNetwork(feature_dim, dynamic_dim, hidden_dim)
        self.rows = nn.Parameter(torch.eye(dynamic_dim))

    @property
    def basis(self) -> torch.Tensor:
        """L, (D, D), whose columns are the directions and whose rows have length 1."""
        return self.rows / self.rows.norm(dim=-1, keepdim=True)

    def forward(self, features: torch.Tensor, loc: torch.Tensor, scale: torch.Tensor) -> Drawn:
        """Return the distribution of z, and what to tell of its transitions.

        Args:
            features: Features of the frames, (..., T, feature_dim).
            loc: Means of the frames, (..., T, D).
            scale: Standard deviations of the frames, (..., T, D).

        Returns:
            The distribution, and "eigenvalues" (..., T - 1, D).
        """
        eigenvalues = bounded_eigenvalues(self.network(features))
        return GaussMarkovNormal(loc, scale, eigenvalues, basis=self.basis), {"eigenvalues": eigenvalues}


class RotationTransition(nn.Module):
    r"""Pairs of dimensions turn around each other and shrink: complex pairs of eigenvalues.

    $$A_t = \operatorname{blockdiag}\bigl(\rho_t^{(1)} R(\theta_t^{(1)}), \rho_t^{(2)} R(\theta_t^{(2)}), \dots\bigr),
    \qquad R(\theta) = \begin{pmatrix} \cos\theta & -\sin\theta \\ \sin\theta & \cos\theta \end{pmatrix}$$

    rho is bounded as the eigenvalues of `DiagonalTransition` are, theta is unbounded; both are told by two successive
    frames. Dimensions 0 and 1 are the first pair; of an odd number, the last dimension keeps one real eigenvalue.

    Args:
        feature_dim: Size of the features of a frame.
        dynamic_dim: D.
        hidden_dim: Size of the network's hidden layer.

    Shape:
        features (..., T, feature_dim), loc and scale (..., T, D) to a distribution of event shape (T, D).

    Raises:
        TypeError: If a size is not an int.
        ValueError: If a size is not positive.

    Source:
        Zaharia and Peters, Disentangling via dynamics, sections 2.3.1 and 2.3.2; of the small Jordan blocks that they
        ask for, these are the complex pairs.

    Example:
        >>> q, parts = RotationTransition(4, 3, 8)(torch.zeros(2, 5, 4), torch.zeros(2, 5, 3), torch.ones(2, 5, 3))
        >>> parts["eigenvalues"].shape, parts["angles"].shape
        (torch.Size([2, 4, 3]), torch.Size([2, 4, 1]))
    """

    def __init__(self, feature_dim: int, dynamic_dim: int, hidden_dim: int = 128) -> None:
        super().__init__()
        self.feature_dim, self.dynamic_dim, self.hidden_dim = _sizes(feature_dim, dynamic_dim, hidden_dim)
        self.network = PairNetwork(feature_dim, dynamic_dim, hidden_dim)

    def forward(self, features: torch.Tensor, loc: torch.Tensor, scale: torch.Tensor) -> Drawn:
        """Return the distribution of z, and what to tell of its transitions.

        Args:
            features: Features of the frames, (..., T, feature_dim).
            loc: Means of the frames, (..., T, D).
            scale: Standard deviations of the frames, (..., T, D).

        Returns:
            The distribution, "eigenvalues" (..., T - 1, D), the rho of its pair for each of its two dimensions, and
            "angles" (..., T - 1, D // 2) in radians.
        """
        num_pairs = self.dynamic_dim // 2
        raw = self.network(features)
        angles, moduli = raw[..., :num_pairs], bounded_eigenvalues(raw[..., num_pairs:])
        pairs = moduli[..., :num_pairs].repeat_interleave(2, dim=-1)
        told = {"eigenvalues": torch.cat([pairs, moduli[..., num_pairs:]], dim=-1), "angles": angles}
        return GaussMarkovNormal(loc, scale, moduli, angles=angles), told


class DenseTransition(nn.Module):
    r"""Any dimension may follow any other: a whole matrix that two successive frames tell.

    $$A_t = (1 - 10^{-5})\, M_t C_t^{-\top}, \qquad C_t C_t^\top = I + M_t^\top M_t, \qquad M_t = g(h_t, h_{t-1})$$

    Its spectral norm is below 1 whatever the network says; see `pyrodis.ops.contraction`. Regularize it towards the
    identity with `identity_deviation` of the "transition" that is returned.

    Args:
        feature_dim: Size of the features of a frame.
        dynamic_dim: D.
        hidden_dim: Size of the network's hidden layer.

    Shape:
        features (..., T, feature_dim), loc and scale (..., T, D) to a distribution of event shape (T, D).

    Raises:
        TypeError: If a size is not an int.
        ValueError: If a size is not positive.

    Source:
        Zaharia and Peters, Disentangling via dynamics, section 2.3.1, whose matrix is not bounded.

    Example:
        >>> q, parts = DenseTransition(4, 2, 8)(torch.zeros(3, 5, 4), torch.zeros(3, 5, 2), torch.ones(3, 5, 2))
        >>> parts["transition"].shape
        torch.Size([3, 4, 2, 2])
    """

    def __init__(self, feature_dim: int, dynamic_dim: int, hidden_dim: int = 128) -> None:
        super().__init__()
        self.feature_dim, self.dynamic_dim, self.hidden_dim = _sizes(feature_dim, dynamic_dim, hidden_dim)
        self.network = PairNetwork(feature_dim, dynamic_dim**2, hidden_dim)

    def forward(self, features: torch.Tensor, loc: torch.Tensor, scale: torch.Tensor) -> Drawn:
        """Return the distribution of z, and what to tell of its transitions.

        Args:
            features: Features of the frames, (..., T, feature_dim).
            loc: Means of the frames, (..., T, D).
            scale: Standard deviations of the frames, (..., T, D).

        Returns:
            The distribution, "transition" (..., T - 1, D, D), and, in eval mode, "eigenvalues" (..., T - 1, D), the
            moduli of its eigenvalues, largest first, without gradient: training needs none, and they cost more than all
            the rest.
        """
        raw = self.network(features)
        transition = contraction(raw.reshape(*raw.shape[:-1], self.dynamic_dim, self.dynamic_dim))
        told = {"transition": transition}
        if not self.training:
            told["eigenvalues"] = torch.linalg.eigvals(transition.detach()).abs().sort(descending=True).values
        return GaussMarkovNormal(loc, scale, transition=transition), told


def _sizes(feature_dim: int, dynamic_dim: int, hidden_dim: int) -> tuple[int, int, int]:
    return (
        check_positive_int("feature_dim", feature_dim),
        check_positive_int("dynamic_dim", dynamic_dim),
        check_positive_int("hidden_dim", hidden_dim),
    )
