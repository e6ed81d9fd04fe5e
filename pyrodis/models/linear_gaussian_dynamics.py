"""The linear-Gaussian state-space model: its evidence and its posterior are known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyro
import torch
from pyro.distributions import Normal
from torch import nn

from pyrodis.distributions import BlockTridiagonalNormal
from pyrodis.models._sizes import check_matrix, check_offset, clip_sizes, shape_of_pixels
from pyrodis.ops import (
    chain_precision,
    check_frames_shape,
    check_positive_int,
    check_positive_number,
    check_shown,
    full_precision,
    kalman_log_evidence,
    register_parameters,
    without_autocast,
)
from pyrodis.ops.checks import check_same_dtype


class LinearGaussianDynamics(nn.Module):
    r"""A clip whose pixels are linear in the codes of a linear chain, plus noise.

    $$z_1 \sim \mathcal N(0, P_0), \qquad z_t \mid z_{t-1} \sim \mathcal N(A z_{t-1}, Q), \qquad
    x_t \mid z_t \sim \mathcal N(o + V z_t, r^2 I)$$

    It has the site of `BetaVAE`, so every guide of one code a frame runs against it, and nothing to train: what a guide
    leaves of the evidence is then known, and known to be the guide's. `InformationGuide` contains the exact posterior.
    Double precision (`model.double()`) is worth its price here.

    Sites: "z", batch (B), event (T, D); "x", observed, batch (B), event (T, C, H, W). Plate: "data", dim -1.

    Args:
        transition: A.
        emission: V, a row a pixel.
        process_covariance: Q, positive definite, or None for I - A A^T: then every frame is standard normal, which
            takes an A of spectral norm below 1.
        initial_covariance: P_0, positive definite, or None for I.
        scale: r, standard deviation of a pixel's noise.
        offset: o, mean of every pixel. Frames stay in [0, 1] where the standard deviations are small beside 0.5.
        frame_shape: (C, H, W) with as many pixels as V has rows, or None for (1, 1, P).
        num_frames: T of clips that are drawn without data; clips with data may have any T.

    Shape:
        transition, process_covariance, initial_covariance: (D, D); emission: (P, D); x: (B, T, C, H, W).

    Raises:
        TypeError: If a matrix is not a floating-point tensor, matrices or clips differ in dtype, or another argument
            has the wrong type.
        ValueError: If a shape does not fit, a matrix is not finite, a covariance not symmetric and positive definite,
            or another argument is out of range.

    Source:
        The linear dynamical system of Kalman filtering.

    Example:
        >>> model = LinearGaussianDynamics(0.9 * torch.eye(1), torch.ones(2, 1))
        >>> model(batch_size=3)["x"].shape
        torch.Size([3, 8, 1, 1, 2])
    """

    transition: torch.Tensor
    emission: torch.Tensor
    process_covariance: torch.Tensor
    initial_covariance: torch.Tensor

    def __init__(
        self,
        transition: torch.Tensor,
        emission: torch.Tensor,
        process_covariance: torch.Tensor | None = None,
        initial_covariance: torch.Tensor | None = None,
        scale: float = 1.0,
        offset: float = 0.0,
        frame_shape: Sequence[int] | None = None,
        num_frames: int = 8,
    ) -> None:
        super().__init__()
        transition, emission = check_matrix("transition", transition), check_matrix("emission", emission)
        given = {"process_covariance": process_covariance, "initial_covariance": initial_covariance}
        for name, matrix in ({"emission": emission} | given).items():
            if isinstance(matrix, torch.Tensor):
                check_same_dtype("transition", transition, name, matrix)
        num_pixels, self.latent_dim = emission.shape
        if transition.shape != (self.latent_dim, self.latent_dim):
            raise ValueError(
                f"transition must have shape (D, D) with the D = {self.latent_dim} columns of emission, "
                f"got {tuple(transition.shape)}"
            )
        eye = torch.eye(self.latent_dim, dtype=transition.dtype, device=transition.device)
        noise = eye - transition @ transition.mT
        if process_covariance is None and not _is_positive_definite(noise):
            norm = float(torch.linalg.matrix_norm(transition, 2))
            raise ValueError(
                f"without process_covariance, transition must have a spectral norm below 1, got {norm:.6g}; "
                "pass the covariance of its noise"
            )
        self.register_buffer("transition", transition)
        self.register_buffer("emission", emission)
        self.register_buffer("process_covariance", _check_covariance("process_covariance", process_covariance, noise))
        self.register_buffer("initial_covariance", _check_covariance("initial_covariance", initial_covariance, eye))
        self.scale = check_positive_number("scale", scale)
        self.offset = check_offset(offset)
        self.frame_shape = shape_of_pixels(num_pixels, frame_shape)
        self.num_frames = check_positive_int("num_frames", num_frames)

    def prior(self, num_frames: int) -> BlockTridiagonalNormal:
        """Return the distribution of the codes.

        Args:
            num_frames: T.

        Returns:
            A distribution of batch shape () and event shape (T, D).
        """
        diagonal, lower = self._chain(num_frames)
        return BlockTridiagonalNormal(diagonal.new_zeros(diagonal.shape[:-1]), diagonal, lower)

    def forward(self, x: torch.Tensor | None = None, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        """Run the program: score a batch of clips, or draw clips from the prior.

        Args:
            x: Clips (B, T, C, H, W), or None.
            batch_size: B, if there is no x.

        Returns:
            "z" (B, T, D), "x" (B, T, C, H, W), and "reconstruction", the mean of x given z.
        """
        register_parameters(self)
        batch_size, num_frames = clip_sizes(x, batch_size, self.frame_shape, self.num_frames)
        with pyro.plate("data", batch_size, dim=-1), without_autocast(self.transition):
            z = pyro.sample("z", self.prior(num_frames))
            loc = self.offset + z @ self.emission.mT
            loc = loc.reshape(*loc.shape[:-1], *self.frame_shape)
            drawn = pyro.sample("x", Normal(loc, self.scale, validate_args=False).to_event(4), obs=x)
        return {"z": z, "x": drawn, "reconstruction": loc}

    def exact_posterior(self, x: torch.Tensor, shown: torch.Tensor | None = None) -> BlockTridiagonalNormal:
        r"""Return the posterior of the codes given clips.

        $$p(z_{1:T} \mid x) \propto p(z_{1:T}) \exp \sum_{t\,\mathrm{shown}} \Bigl(z_t^\top h_t
        - \tfrac12 z_t^\top R z_t\Bigr), \qquad R = V^\top V / r^2, \quad h_t = V^\top (x_t - o) / r^2$$

        Args:
            x: Clips.
            shown: Which frames are observed; None for all.

        Shape:
            x: (B, T, C, H, W); shown: (T) or (B, T), bool.

        Returns:
            A distribution of batch shape (B) and event shape (T, D).

        Raises:
            TypeError: If x is not a floating-point tensor or shown not a bool tensor.
            ValueError: If x or shown has another shape, or a clip has no frame that is shown.
        """
        pixels, seen = self._observed(x, shown)
        weight = seen.to(pixels.dtype) / self.scale**2
        with without_autocast(pixels):
            information = weight[..., None] * (pixels @ self.emission)
            precision = weight[..., None, None] * (self.emission.mT @ self.emission)
            return BlockTridiagonalNormal.from_information(*self._chain(x.shape[1]), precision, information)

    def log_evidence(self, x: torch.Tensor, shown: torch.Tensor | None = None) -> torch.Tensor:
        """Return the exact log-density of the shown frames of clips, all codes integrated out, by a Kalman filter.

        Args:
            x: Clips.
            shown: Which frames are observed; None for all.

        Shape:
            x: (B, T, C, H, W); shown: (T) or (B, T), bool.

        Returns:
            Log-densities (B) in nats.

        Raises:
            TypeError: If x is not a floating-point tensor or shown not a bool tensor.
            ValueError: If x or shown has another shape, or a clip has no frame that is shown.
        """
        pixels, seen = self._observed(x, shown)
        dynamics = self.transition, self.process_covariance, self.initial_covariance
        with without_autocast(pixels):
            return kalman_log_evidence(pixels, self.emission, self.scale, *dynamics, shown=seen)

    def _chain(self, num_frames: int) -> tuple[torch.Tensor, torch.Tensor]:
        return chain_precision(self.transition, self.process_covariance, self.initial_covariance, num_frames)

    def _observed(self, x: torch.Tensor, shown: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels less the offset, (B, T, P), and which frames of every clip are seen, (B, T)."""
        check_frames_shape(x, self.frame_shape)
        check_same_dtype("x", x, "the matrices", self.emission)
        every = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        seen = every if shown is None else check_shown(shown, x).to(x.device).expand(x.shape[:2])
        return full_precision(x).flatten(2) - self.offset, seen


def _is_positive_definite(matrix: torch.Tensor) -> bool:
    return not bool(torch.linalg.cholesky_ex(matrix).info.any())


def _check_covariance(name: str, value: Any, default: torch.Tensor) -> torch.Tensor:
    if value is None:
        return default
    value = check_matrix(name, value)
    if value.shape != default.shape:
        raise ValueError(f"{name} must have shape (D, D) = {tuple(default.shape)}, got {tuple(value.shape)}")
    if not torch.allclose(value, value.mT) or not _is_positive_definite(value):
        raise ValueError(f"{name} must be symmetric and positive definite, got {value.tolist()}")
    return value
