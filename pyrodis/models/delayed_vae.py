"""The beta-VAE with one frame of delay: a frame is decoded from the code of the frame before."""

from __future__ import annotations

import pyro
import torch
from torch import nn

from pyrodis.models._sizes import check_part, check_size, clip_sizes
from pyrodis.ops import check_positive_int, register_parameters

MIN_FRAMES = 3


class DelayedVAE(nn.Module):
    r"""A clip from a sequence of codes, each of which has to say what the next frame looks like.

    $$z_{1:T} \sim p(z_{1:T}), \qquad x_t \mid z_{t-1} \sim \mathrm{likelihood}(\mathrm{decoder}(z_{t-1})), \qquad
    t = 3, \dots, T$$

    A guide that infers z_{t-1} from frames up to t - 1 has to predict. Frames 1 and 2 are not scored: before the second
    frame nothing has moved that could be predicted from. The last code has its prior alone.

    Sites: "z", batch (B), event (T, D); "x", observed, batch (B), event (T, C, H, W). Plate: "data", dim -1.

    Args:
        decoder: Maps codes (..., D) to the likelihood's parameters (..., C, H, W).
        prior: Maps T to the distribution of z: `StandardPrior`, `DynamicsPrior`, `LSTMPrior` or one's own.
        likelihood: Maps the decoder's output to a distribution of pixels, elementwise.
        latent_dim: D.
        num_frames: T of clips that are drawn without data, 3 or more; clips with data may have any such T.

    Shape:
        x: (B, T, C, H, W) in [0, 1].

    Raises:
        TypeError: If a size is not an int or x is not a floating-point tensor.
        ValueError: If a size is not positive or does not fit decoder and prior, T is below 3, x has another shape, or
            neither x nor batch_size is given.

    Source:
        Zaharia and Peters, representational inertia; the published text shows the delay in its figure alone.

    Example:
        >>> from pyrodis.models import NormalPixels, StandardPrior
        >>> from pyrodis.nn import ConvDecoder
        >>> model = DelayedVAE(ConvDecoder(4, (1, 8, 8), base_channels=2), StandardPrior(4), NormalPixels())
        >>> model(torch.zeros(2, 5, 1, 8, 8))["reconstruction"].shape
        torch.Size([2, 5, 1, 8, 8])
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
        _check_frames("num_frames must be", num_frames)
        check_size("decoder", "code_dim", decoder, "latent_dim", latent_dim)
        check_size("prior", "dynamic_dim", prior, "latent_dim", latent_dim)

    def forward(self, x: torch.Tensor | None = None, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        """Run the program: score a batch of clips, or draw clips from the prior.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1], or None.
            batch_size: B, if there is no x.

        Returns:
            "z" (B, T, D), "x" (B, T, C, H, W), and "reconstruction", the mean of x given z; frames 1 and 2 of it are
            both what z_1 says.
        """
        register_parameters(self)
        frame_shape = getattr(self.decoder, "frame_shape", None)
        batch_size, num_frames = clip_sizes(x, batch_size, frame_shape, self.num_frames)
        _check_frames("the number of frames T of x must be", num_frames)
        with pyro.plate("data", batch_size, dim=-1):
            z = pyro.sample("z", self.prior(num_frames))
            before = torch.cat([z[..., :1, :], z[..., :-1, :]], dim=-2)
            pixels = self.likelihood(self.decoder(before))
            scored = torch.arange(z.shape[-2], device=z.device) >= MIN_FRAMES - 1
            drawn = pyro.sample("x", pixels.mask(scored[:, None, None, None]).to_event(4), obs=x)
        return {"z": z, "x": drawn, "reconstruction": pixels.mean}


def _check_frames(what: str, num_frames: int) -> None:
    if num_frames < MIN_FRAMES:
        raise ValueError(
            f"{what} {MIN_FRAMES} or more, since the third frame is the first that is scored, got {num_frames}; "
            "use BetaVAE for shorter clips"
        )
