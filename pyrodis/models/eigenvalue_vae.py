"""A VAE of sequences whose eigenvalues are latent variables themselves."""

from __future__ import annotations

import pyro
import torch
from pyro.distributions import TorchDistribution
from torch import nn

from pyrodis.distributions import GaussMarkovNormal
from pyrodis.models._sizes import check_part, check_size, clip_sizes
from pyrodis.ops import check_positive_int, register_parameters


class EigenvalueVAE(nn.Module):
    r"""A clip from a sequence of codes whose every step has eigenvalues of its own.

    $$\lambda \sim p(\lambda), \qquad z_1 \sim \mathcal N(0, I), \qquad
    z_t \mid z_{t-1}, \lambda_t \sim \mathcal N\bigl(\lambda_t z_{t-1}, 1 - \lambda_t^2\bigr), \qquad
    x_t \mid z_t \sim \mathrm{likelihood}(\mathrm{decoder}(z_t))$$

    Eigenvalues enter the prior of z, so a clip says something of them, and their posterior can be drawn and plotted:
    near one for what stays, lower for what moves.

    With `connected=False` they do not enter it; z is then standard normal, and the posterior of the eigenvalues is
    their prior, whatever the clip shows. That is the control of every claim about them.

    Sites: "eigenvalues", batch (B), event (T - 1, D); "z", batch (B), event (T, D); "x", observed, batch (B), event
    (T, C, H, W). Plate: "data", dim -1.

    Args:
        decoder: Maps codes (..., D) to the likelihood's parameters (..., C, H, W).
        eigenvalue_prior: Maps T to the distribution of the eigenvalues: `LaplaceEigenvalues`, `SlowFastEigenvalues` or
            one's own.
        likelihood: Maps the decoder's output to a distribution of pixels, elementwise.
        latent_dim: D.
        num_frames: T of clips that are drawn without data; clips with data may have any T.
        connected: Whether eigenvalues enter the prior of z.

    Shape:
        x: (B, T, C, H, W) in [0, 1].

    Raises:
        TypeError: If a size is not an int or x is not a floating-point tensor.
        ValueError: If a size is not positive or does not fit decoder and prior, or x has another shape, or neither x
            nor batch_size is given; if the prior gives another event shape, or eigenvalues that are not between -1 and
            1.

    Source:
        Zaharia and Peters, Disentangling via dynamics, with its penalty on eigenvalues as a prior, and the eigenvalues
        in the generative model: in a posterior whose marginals do not contain them they say nothing of the data.

    Example:
        >>> from pyrodis.models import LaplaceEigenvalues, NormalPixels
        >>> from pyrodis.nn import ConvDecoder
        >>> decoder = ConvDecoder(2, (1, 8, 8), base_channels=2)
        >>> model = EigenvalueVAE(decoder, LaplaceEigenvalues(2), NormalPixels(), latent_dim=2, num_frames=5)
        >>> model(batch_size=3)["eigenvalues"].shape
        torch.Size([3, 4, 2])
    """

    zero: torch.Tensor

    def __init__(
        self,
        decoder: nn.Module,
        eigenvalue_prior: nn.Module,
        likelihood: nn.Module,
        latent_dim: int = 4,
        num_frames: int = 10,
        connected: bool = True,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.eigenvalue_prior = eigenvalue_prior
        check_part("likelihood", likelihood)
        self.likelihood = likelihood
        self.latent_dim = check_positive_int("latent_dim", latent_dim)
        self.num_frames = check_positive_int("num_frames", num_frames)
        self.connected = connected
        check_size("decoder", "code_dim", decoder, "latent_dim", latent_dim)
        check_size("eigenvalue_prior", "dynamic_dim", eigenvalue_prior, "latent_dim", latent_dim)
        self.register_buffer("zero", torch.zeros(()), persistent=False)

    def forward(self, x: torch.Tensor | None = None, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        """Run the program: score a batch of clips, or draw clips from the prior.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1], or None.
            batch_size: B, if there is no x.

        Returns:
            "eigenvalues" (B, T - 1, D), "z" (B, T, D), "x" (B, T, C, H, W), and "reconstruction", the mean of x given
            z.
        """
        register_parameters(self)
        frame_shape = getattr(self.decoder, "frame_shape", None)
        batch_size, num_frames = clip_sizes(x, batch_size, frame_shape, self.num_frames)
        with pyro.plate("data", batch_size, dim=-1):
            eigenvalues = pyro.sample("eigenvalues", self._eigenvalues(num_frames))
            z = pyro.sample("z", self._chain(eigenvalues))
            pixels = self.likelihood(self.decoder(z)).to_event(4)
            drawn = pyro.sample("x", pixels, obs=x)
        return {"eigenvalues": eigenvalues, "z": z, "x": drawn, "reconstruction": pixels.mean}

    def _eigenvalues(self, num_frames: int) -> TorchDistribution:
        prior = self.eigenvalue_prior(num_frames)
        wanted = num_frames - 1, self.latent_dim
        if prior.event_shape != wanted:
            raise ValueError(
                f"eigenvalue_prior must return a distribution of event shape (T - 1, D) = {wanted}, "
                f"got {tuple(prior.event_shape)}"
            )
        return prior

    def _chain(self, eigenvalues: torch.Tensor) -> GaussMarkovNormal:
        """The prior of z; without memory where eigenvalues do not enter it."""
        loc = self.zero.expand(eigenvalues.shape[-2] + 1, self.latent_dim)  # as many frames as they were given for
        return GaussMarkovNormal(loc, loc + 1, eigenvalues if self.connected else loc[1:])
