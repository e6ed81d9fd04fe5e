"""The disentangled sequential autoencoder: one static code a clip, one dynamic code a frame."""

from __future__ import annotations

import pyro
import torch
from pyro.distributions import Normal
from torch import nn

from pyrodis.models._sizes import check_part, check_size, clip_sizes
from pyrodis.ops import check_positive_int, register_parameters


class DSVAE(nn.Module):
    r"""A clip from a static code f and a sequence of dynamic codes z.

    $$f \sim \mathcal N(0, I), \qquad z_{1:T} \sim p(z_{1:T}), \qquad
    x_t \mid f, z_t \sim \mathrm{likelihood}(\mathrm{decoder}(f, z_t))$$

    $$\log p(x, f, z) = \log p(f) + \log p(z_{1:T}) + \sum_t \log p(x_t \mid f, z_t)$$

    f is drawn once and enters every frame: it can hold only what stays. z has a value for every frame, so it can hold
    what moves, and, unless guide or objective prevent it, what stays as well.

    Sites: "f", batch (B), event (S); "z", batch (B), event (T, D); "x", observed, batch (B), event (T, C, H, W). Plate:
    "data", dim -1.

    Args:
        decoder: Maps codes (..., S + D), f first, to the likelihood's parameters (..., C, H, W).
        prior: Maps T to the distribution of z; `StandardPrior` or `LSTMPrior`.
        likelihood: Maps the decoder's output to a distribution of pixels, elementwise.
        static_dim: S.
        dynamic_dim: D.
        num_frames: T of clips that are drawn without data; clips with data may have any T.

    Shape:
        x: (B, T, C, H, W) in [0, 1].

    Raises:
        TypeError: If a size is not an int or x is not a floating-point tensor.
        ValueError: If a size is not positive or does not fit decoder and prior, or x has another shape, or neither x
            nor batch_size is given.

    Source:
        Li and Mandt, Disentangled Sequential Autoencoder (2018); Das and Dandi, section II (independent standard normal
        frames as prior).

    Example:
        >>> from pyrodis.models import NormalPixels, StandardPrior
        >>> from pyrodis.nn import ConvDecoder
        >>> model = DSVAE(ConvDecoder(6, (1, 8, 8), base_channels=2), StandardPrior(2), NormalPixels(), 4, 2)
        >>> model(batch_size=3)["x"].shape
        torch.Size([3, 8, 1, 8, 8])
    """

    zero: torch.Tensor

    def __init__(
        self,
        decoder: nn.Module,
        prior: nn.Module,
        likelihood: nn.Module,
        static_dim: int = 64,
        dynamic_dim: int = 32,
        num_frames: int = 8,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.prior = prior
        check_part("likelihood", likelihood)
        self.likelihood = likelihood
        self.static_dim = check_positive_int("static_dim", static_dim)
        self.dynamic_dim = check_positive_int("dynamic_dim", dynamic_dim)
        self.num_frames = check_positive_int("num_frames", num_frames)
        check_size("decoder", "code_dim", decoder, "static_dim + dynamic_dim", static_dim + dynamic_dim)
        check_size("prior", "dynamic_dim", prior, "dynamic_dim", dynamic_dim)
        self.register_buffer("zero", torch.zeros(()), persistent=False)

    def forward(self, x: torch.Tensor | None = None, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        """Run the program: score a batch of clips, or draw clips from the prior.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1], or None.
            batch_size: B, if there is no x.

        Returns:
            "f" (B, S), "z" (B, T, D), "x" (B, T, C, H, W), and "reconstruction", the mean of x given f and z.
        """
        register_parameters(self)
        frame_shape = getattr(self.decoder, "frame_shape", None)
        batch_size, num_frames = clip_sizes(x, batch_size, frame_shape, self.num_frames)
        with pyro.plate("data", batch_size, dim=-1):
            standard = Normal(self.zero, self.zero + 1, validate_args=False)
            f = pyro.sample("f", standard.expand([self.static_dim]).to_event(1))
            z = pyro.sample("z", self.prior(num_frames))
            pixels = self.likelihood(self.decoder(join_codes(f, z))).to_event(4)
            drawn = pyro.sample("x", pixels, obs=x)
        return {"f": f, "z": z, "x": drawn, "reconstruction": pixels.mean}


def join_codes(f: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Append the code of every frame to the code of the clip.

    Args:
        f: Static codes.
        z: Dynamic codes.

    Shape:
        f: (..., S); z: (..., T, D), leading dimensions that broadcast.

    Returns:
        Codes of shape (..., T, S + D).

    Example:
        >>> join_codes(torch.zeros(3, 4), torch.zeros(3, 8, 2)).shape
        torch.Size([3, 8, 6])
    """
    leading = torch.broadcast_shapes(f.shape[:-1], z.shape[:-2])
    static = f.unsqueeze(-2).expand(*leading, z.shape[-2], f.shape[-1])
    return torch.cat([static, z.expand(*leading, *z.shape[-2:])], dim=-1)
