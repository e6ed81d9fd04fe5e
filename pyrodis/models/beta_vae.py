"""The beta-VAE: one code a frame, and whatever prior over the sequence of codes one likes."""

from __future__ import annotations

import pyro
import torch
from torch import nn

from pyrodis.models._sizes import check_part, check_size, clip_sizes
from pyrodis.ops import check_positive_int, register_parameters


class BetaVAE(nn.Module):
    r"""A clip from a sequence of codes, one a frame.

    $$z_{1:T} \sim p(z_{1:T}), \qquad x_t \mid z_t \sim \mathrm{likelihood}(\mathrm{decoder}(z_t))$$

    Every frame is decoded by itself; what frames have to do with each other is said by the prior alone. With
    `StandardPrior` it is a VAE of single frames, and still images are clips of one frame, T = 1.

    beta, the weight of the KL term, belongs to the objective, not to the model: `FitSettings(kl_weights={"z": beta})`,
    or `scale_latents(program, {"z": beta})` around both programs. With beta = 0 and a `DeltaGuide` it is an
    autoencoder.

    Sites: "z", batch (B), event (T, D); "x", observed, batch (B), event (T, C, H, W). Plate: "data", dim -1.

    Args:
        decoder: Maps codes (..., D) to the likelihood's parameters (..., C, H, W).
        prior: Maps T to the distribution of z: `StandardPrior`, `DynamicsPrior`, `LSTMPrior` or one's own.
        likelihood: Maps the decoder's output to a distribution of pixels, elementwise.
        latent_dim: D.
        num_frames: T of clips that are drawn without data; clips with data may have any T.

    Shape:
        x: (B, T, C, H, W) in [0, 1].

    Raises:
        TypeError: If a size is not an int or x is not a floating-point tensor.
        ValueError: If a size is not positive or does not fit decoder and prior, or x has another shape, or neither x
            nor batch_size is given.

    Source:
        Higgins et al., beta-VAE (2017), of still images; the prior over sequences is added.

    Example:
        >>> from pyrodis.models import NormalPixels, StandardPrior
        >>> from pyrodis.nn import ConvDecoder
        >>> model = BetaVAE(ConvDecoder(4, (1, 8, 8), base_channels=2), StandardPrior(4), NormalPixels(), latent_dim=4)
        >>> model(batch_size=3)["x"].shape
        torch.Size([3, 10, 1, 8, 8])
    """

    def __init__(
        self, decoder: nn.Module, prior: nn.Module, likelihood: nn.Module, latent_dim: int = 4, num_frames: int = 10
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.prior = prior
        check_part("likelihood", likelihood)
        self.likelihood = likelihood
        self.latent_dim = check_positive_int("latent_dim", latent_dim)
        self.num_frames = check_positive_int("num_frames", num_frames)
        check_size("decoder", "code_dim", decoder, "latent_dim", latent_dim)
        check_size("prior", "dynamic_dim", prior, "latent_dim", latent_dim)

    def forward(self, x: torch.Tensor | None = None, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        """Run the program: score a batch of clips, or draw clips from the prior.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1], or None.
            batch_size: B, if there is no x.

        Returns:
            "z" (B, T, D), "x" (B, T, C, H, W), and "reconstruction", the mean of x given z.
        """
        register_parameters(self)
        frame_shape = getattr(self.decoder, "frame_shape", None)
        batch_size, num_frames = clip_sizes(x, batch_size, frame_shape, self.num_frames)
        with pyro.plate("data", batch_size, dim=-1):
            z = pyro.sample("z", self.prior(num_frames))
            pixels = self.likelihood(self.decoder(z)).to_event(4)
            drawn = pyro.sample("x", pixels, obs=x)
        return {"z": z, "x": drawn, "reconstruction": pixels.mean}
