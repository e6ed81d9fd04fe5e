"""The linear-Gaussian sequence with a static code: every posterior and the evidence are known exactly."""

from __future__ import annotations

from collections.abc import Sequence

import pyro
import torch
from pyro.distributions import Normal
from torch import nn
from torch.distributions import MultivariateNormal

from pyrodis.models._sizes import check_matrix, check_offset, clip_sizes, shape_of_pixels
from pyrodis.models.stationary_prior import StationaryPrior
from pyrodis.ops import (
    check_frames_shape,
    check_positive_int,
    check_positive_number,
    full_precision,
    register_parameters,
    without_autocast,
)
from pyrodis.ops.checks import check_same_dtype


class LinearGaussianSequence(nn.Module):
    r"""A clip whose pixels are linear in a static code f and in a sequence of dynamic codes z, plus noise.

    $$f \sim \mathcal N(0, I), \qquad z_1 \sim \mathcal N(0, I), \qquad
    z_t \mid z_{t-1} \sim \mathcal N\bigl(a z_{t-1}, (1 - a^2) I\bigr), \qquad
    x_t \mid f, z_t \sim \mathcal N(o + W f + V z_t, r^2 I)$$

    It has the sites of `DSVAE`, so every guide runs against it, and nothing to train; what a guide leaves of the
    evidence is then known, and known to be the guide's. `pyrodis.infer.factorization_gaps` says what each factorization
    must leave. Where a matrix is inverted, double precision (`model.double()`) is worth its price.

    Sites: "f", batch (B), event (S); "z", batch (B), event (T, D); "x", observed, batch (B), event (T, C, H, W). Plate:
    "data", dim -1.

    Args:
        static_weight: W, a row a pixel.
        dynamic_weight: V, a row a pixel.
        autocorrelation: a, above -1 and below 1.
        scale: r, standard deviation of a pixel's noise.
        offset: o, mean of every pixel. Frames stay in [0, 1] where the standard deviations are small beside 0.5.
        frame_shape: (C, H, W) with as many pixels as the weights have rows, or None for (1, 1, P).
        num_frames: T of clips that are drawn without data; clips with data may have any T.

    Shape:
        static_weight: (P, S); dynamic_weight: (P, D); x: (B, T, C, H, W).

    Raises:
        TypeError: If a weight is not a floating-point tensor, the weights or clips differ in dtype, or another argument
            has the wrong type.
        ValueError: If the weights differ in rows or are not finite, or another argument is out of range.

    Source:
        The linear dynamical system of Kalman filtering, with a factor-analysis term that is drawn once a sequence.

    Example:
        >>> model = LinearGaussianSequence(torch.ones(2, 1), torch.tensor([[1.0], [-1.0]]))
        >>> model(batch_size=3)["x"].shape
        torch.Size([3, 8, 1, 1, 2])
    """

    zero: torch.Tensor
    static_weight: torch.Tensor
    dynamic_weight: torch.Tensor

    def __init__(
        self,
        static_weight: torch.Tensor,
        dynamic_weight: torch.Tensor,
        autocorrelation: float = 0.9,
        scale: float = 1.0,
        offset: float = 0.0,
        frame_shape: Sequence[int] | None = None,
        num_frames: int = 8,
    ) -> None:
        super().__init__()
        self.register_buffer("static_weight", check_matrix("static_weight", static_weight))
        self.register_buffer("dynamic_weight", check_matrix("dynamic_weight", dynamic_weight))
        check_same_dtype("static_weight", static_weight, "dynamic_weight", dynamic_weight)
        num_pixels, self.static_dim = static_weight.shape
        self.dynamic_dim = dynamic_weight.shape[1]
        if len(dynamic_weight) != num_pixels:
            raise ValueError(
                f"static_weight and dynamic_weight must have a row a pixel each, got {num_pixels} and "
                f"{len(dynamic_weight)} rows"
            )
        self.prior = StationaryPrior(self.dynamic_dim, autocorrelation)
        self.autocorrelation = self.prior.autocorrelation
        self.scale = check_positive_number("scale", scale)
        self.offset = check_offset(offset)
        self.frame_shape = shape_of_pixels(num_pixels, frame_shape)
        self.num_frames = check_positive_int("num_frames", num_frames)
        self.register_buffer("zero", torch.zeros((), dtype=static_weight.dtype), persistent=False)
        self.prior.to(static_weight.dtype)

    def forward(self, x: torch.Tensor | None = None, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        """Run the program: score a batch of clips, or draw clips from the prior.

        Args:
            x: Clips (B, T, C, H, W), or None.
            batch_size: B, if there is no x.

        Returns:
            "f" (B, S), "z" (B, T, D), "x" (B, T, C, H, W), and "reconstruction", the mean of x given f and z.
        """
        register_parameters(self)
        batch_size, num_frames = clip_sizes(x, batch_size, self.frame_shape, self.num_frames)
        with pyro.plate("data", batch_size, dim=-1), without_autocast(self.static_weight):
            standard = Normal(self.zero, self.zero + 1, validate_args=False)
            f = pyro.sample("f", standard.expand([self.static_dim]).to_event(1))
            z = pyro.sample("z", self.prior(num_frames))
            loc = self.offset + (f @ self.static_weight.mT).unsqueeze(-2) + z @ self.dynamic_weight.mT
            loc = loc.reshape(*loc.shape[:-1], *self.frame_shape)
            drawn = pyro.sample("x", Normal(loc, self.scale, validate_args=False).to_event(4), obs=x)
        return {"f": f, "z": z, "x": drawn, "reconstruction": loc}

    def design(self, num_frames: int) -> torch.Tensor:
        """Return the matrix that maps all codes of a clip, (f, z_1, ..., z_T), to the means of all its pixels.

        Args:
            num_frames: T.

        Returns:
            Tensor of shape (T P, S + T D), without the offset.
        """
        static = self.static_weight.repeat(check_positive_int("num_frames", num_frames), 1)
        return torch.cat([static, torch.block_diag(*[self.dynamic_weight] * num_frames)], dim=-1)

    def prior_covariance(self, num_frames: int) -> torch.Tensor:
        """Return the prior covariance of all codes of a clip, (f, z_1, ..., z_T).

        Args:
            num_frames: T.

        Returns:
            Tensor of shape (S + T D, S + T D).
        """
        like = self.static_weight
        frame = torch.arange(check_positive_int("num_frames", num_frames), device=like.device)
        correlation = torch.as_tensor(self.autocorrelation, dtype=like.dtype, device=like.device).pow(
            (frame[:, None] - frame).abs()
        )
        static, dynamic = (torch.eye(dim, dtype=like.dtype, device=like.device) for dim in self._dims)
        return torch.block_diag(static, torch.kron(correlation, dynamic))

    def posterior(self, x: torch.Tensor, shown: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        r"""Return mean and covariance of the exact posterior of all codes of every clip.

        $$\Lambda = \Sigma_0^{-1} + C^\top C / r^2, \qquad
        p(f, z_{1:T} \mid x) = \mathcal N\bigl(\Lambda^{-1} C^\top (x - o) / r^2, \; \Lambda^{-1}\bigr)$$

        C is `design`, the rows of the shown frames alone; Sigma_0 is `prior_covariance`.

        Args:
            x: Clips.
            shown: Which frames are observed, the same for all clips; None for all.

        Shape:
            x: (B, T, C, H, W); shown: (T), bool.

        Returns:
            Mean (B, S + T D), f first and then z frame by frame, and covariance (S + T D, S + T D).
        """
        pixels, design = self._observed(x, shown)
        with without_autocast(pixels):
            precision = torch.linalg.inv(self.prior_covariance(x.shape[1])) + self._information(design)
            covariance = torch.linalg.inv(precision)
            return pixels @ design @ covariance / self.scale**2, covariance

    def log_evidence(self, x: torch.Tensor, shown: torch.Tensor | None = None) -> torch.Tensor:
        r"""Return the exact log-density of clips, all codes integrated out.

        $$\log p(x) = \log \mathcal N\bigl(x; \; o, \; C \Sigma_0 C^\top + r^2 I\bigr)$$

        Args:
            x: Clips.
            shown: Which frames are observed, the same for all clips; None for all.

        Shape:
            x: (B, T, C, H, W); shown: (T), bool.

        Returns:
            Log-densities (B) in nats.
        """
        pixels, design = self._observed(x, shown)
        with without_autocast(pixels):
            covariance = self._pixel_covariance(design, x.shape[1])
            return MultivariateNormal(torch.zeros_like(pixels), covariance).log_prob(pixels)

    def precision_and_regression(
        self, num_frames: int, shown: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return what the exact posterior is for every clip at once: its precision, and its mean as a linear map.

        Args:
            num_frames: T.
            shown: Which frames are observed; None for all.

        Shape:
            shown: (T), bool.

        Returns:
            The posterior's precision (S + T D, S + T D); the matrix (S + T D, shown T P) that maps observed pixels,
            less the offset, to its mean; and the covariance of those pixels.
        """
        design = self.design(num_frames)[self._rows(num_frames, shown)]
        with without_autocast(design):
            precision = torch.linalg.inv(self.prior_covariance(num_frames)) + self._information(design)
            regression = torch.linalg.solve(precision, design.mT) / self.scale**2
            return precision, regression, self._pixel_covariance(design, num_frames)

    @property
    def _dims(self) -> tuple[int, int]:
        return self.static_dim, self.dynamic_dim

    def _information(self, design: torch.Tensor) -> torch.Tensor:
        return design.mT @ design / self.scale**2

    def _pixel_covariance(self, design: torch.Tensor, num_frames: int) -> torch.Tensor:
        noise = torch.eye(len(design), dtype=design.dtype, device=design.device) * self.scale**2
        return design @ self.prior_covariance(num_frames) @ design.mT + noise

    def _rows(self, num_frames: int, shown: torch.Tensor | None) -> torch.Tensor:
        """Which pixels of a clip are observed, (T P)."""
        every = torch.ones(num_frames, dtype=torch.bool, device=self.static_weight.device)
        shown = every if shown is None else shown
        if not isinstance(shown, torch.Tensor) or shown.dtype != torch.bool or shown.shape != (num_frames,):
            got = f"{shown.dtype} {tuple(shown.shape)}" if isinstance(shown, torch.Tensor) else repr(shown)
            raise ValueError(f"shown must be a bool tensor of shape (T) = ({num_frames},), got {got}")
        if not bool(shown.any()):
            raise ValueError("shown must leave at least one frame to see, got False for all frames")
        return shown.to(every.device).repeat_interleave(len(self.static_weight))

    def _observed(self, x: torch.Tensor, shown: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Observed pixels less the offset, (B, shown T P), and their rows of the design."""
        num_frames = check_frames_shape(x, self.frame_shape).shape[1]
        check_same_dtype("x", x, "the weights", self.static_weight)
        rows = self._rows(num_frames, shown)
        return full_precision(x).flatten(1)[:, rows] - self.offset, self.design(num_frames)[rows]
