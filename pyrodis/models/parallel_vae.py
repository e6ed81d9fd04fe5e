"""Several VAEs in parallel, each with a code of its own, that explain one image under masks."""

from __future__ import annotations

from collections.abc import Sequence

import pyro
import torch
from pyro.distributions import Normal
from torch import nn

from pyrodis.models._sizes import check_part, check_size, clip_sizes
from pyrodis.nn._grouped import check_grouped, run_components
from pyrodis.ops import as_components, check_positive_int, check_present, check_single_frames, register_parameters

ABSENT = 1e4  # taken from the confidence of what must not take a pixel: its mask is 0, and no logarithm infinite


class ParallelVAE(nn.Module):
    r"""An image from K codes, each decoded by a network of its own to an image and to its confidence in every pixel.

    $$z_k \sim \mathcal N(0, I), \qquad (h_k, c_k) = \mathrm{decoder}_k(z_k), \qquad
    m_k = \frac{e^{c_k}}{\sum_j e^{c_j}}, \qquad x \mid z_{1:K} \sim \mathrm{likelihood}(h_{1:K}, m_{1:K})$$

    Components hear of each other through the softmax over their confidences alone. With one component the mask is 1
    and this is a VAE of images.

    Where it is known which types an image holds, `present` keeps the components of all others from its pixels: their
    masks are 0. With `FitSettings(inputs=("present",))` `fit` hands it over; `silence_penalty` makes those components
    silent there as well, and `claim_penalty` teaches them to leave those pixels to others when labels are gone.

    beta belongs to the objective, `FitSettings(kl_weights={"z": beta})`; the price of confident masks is a penalty,
    `add_penalty(model, "entropy", lambda output: mask_entropy_penalty(output["masks"]), gamma, side="model")`.

    Sites: "z", batch (K, B), event (D); "x", observed, batch (B), event (1, C, H, W). Plates: "components", dim -2, and
    "data", dim -1.

    Args:
        decoders: One module for each of K components; each maps codes (..., D) to (..., C + 1, H, W): its image, and
            its confidence as the last channel. They are kept as `decoders`, a `torch.nn.ModuleList`.
        likelihood: Maps images (..., K, C, H, W) and confidences (..., K, H, W) to a distribution of event shape
            (1, C, H, W) with `loc`, `masks` and `mean`: `MaskedNormal` or `MixturePixels`.
        latent_dim: D, the same for every component.
        grouped: Whether decoders that are built alike, each a `GridDecoder`, run as one network of grouped
            convolutions. They draw the same up to rounding, and no hooks run; on a CPU it is faster for networks
            of the size of digits, and not for those of scenes (`benchmarks/components.py`). Where components are
            frozen they run one after another all the same.

    Shape:
        x: (B, 1, C, H, W) in [0, 1]: an image is a clip of one frame.

    Raises:
        TypeError: If decoders are not a list of modules, a size is not an int, grouped is no bool, or x is not a
            floating-point tensor.
        ValueError: If there is no decoder, one stands there twice, decoders do not fit each other or the size, they
            cannot run in groups, x has another shape, or neither x nor batch_size is given.

    Source:
        Stavarache, Multi-model disentanglement of object representations (2019). Its loss is that of `MaskedNormal`
        with a scale of sqrt(1/2); the proper mixture beside it is added.

    Example:
        >>> from pyrodis.models import MixturePixels
        >>> from pyrodis.nn import ConvDecoder
        >>> decoders = [ConvDecoder(4, (2, 8, 8), base_channels=2) for _ in range(3)]
        >>> output = ParallelVAE(decoders, MixturePixels(), latent_dim=4)(batch_size=5)
        >>> output["z"].shape, output["masks"].shape, output["x"].shape
        (torch.Size([3, 5, 4]), torch.Size([5, 3, 8, 8]), torch.Size([5, 1, 1, 8, 8]))
    """

    zero: torch.Tensor

    def __init__(
        self,
        decoders: Sequence[nn.Module] | nn.ModuleList,
        likelihood: nn.Module,
        latent_dim: int = 32,
        grouped: bool = False,
    ) -> None:
        super().__init__()
        self.decoders = as_components("decoders", decoders)
        check_part("likelihood", likelihood)
        self.likelihood = likelihood
        self.latent_dim = check_positive_int("latent_dim", latent_dim)
        for k, decoder in enumerate(self.decoders):
            check_size(f"decoders[{k}]", "code_dim", decoder, "latent_dim", latent_dim)
        self.frame_shape = _frame_shape(self.decoders)
        self.grouped = check_grouped("decoders", self.decoders, grouped)
        self.register_buffer("zero", torch.zeros(()), persistent=False)

    def forward(
        self, x: torch.Tensor | None = None, batch_size: int | None = None, present: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Run the program: score a batch of images, or draw images from the prior.

        Args:
            x: Images (B, 1, C, H, W) in [0, 1], or None.
            batch_size: B, if there is no x.
            present: Which components may take pixels of which image, bool (B, K); None for all. An image in which none
                may is shared by all.

        Returns:
            "z" (K, B, D), "masks" (B, K, H, W), "components" (B, K, C, H, W), "x" (B, 1, C, H, W), and
            "reconstruction", the mean of x given z: the components mixed by their masks. Besides, for
            penalties, "confidence" (B, K, H, W), that of the decoders whatever is present.
        """
        register_parameters(self)
        batch_size, _ = clip_sizes(x, batch_size, self.frame_shape, 1)
        if x is not None:
            check_single_frames(x)
        prior = Normal(self.zero, self.zero + 1, validate_args=False).expand([self.latent_dim]).to_event(1)
        data = pyro.plate("data", batch_size, dim=-1)
        with pyro.plate("components", len(self.decoders), dim=-2), data:
            z = pyro.sample("z", prior)
        output, confidence = self._decode(z)
        allowed = confidence
        if present is not None:
            check_present(present, batch_size, len(self.decoders))
            absent = ~present & present.any(-1, keepdim=True)
            allowed = confidence - ABSENT * absent[..., None, None]
        pixels = self.likelihood(output, allowed)
        observed = pixels
        if z.ndim > 3:  # leading draws are left of the components' plate, where x has a dimension of 1
            observed = self.likelihood(output.unsqueeze(-6), allowed.unsqueeze(-5))
        with data:
            drawn = pyro.sample("x", observed, obs=x)
        rest = {"masks": pixels.masks, "components": pixels.loc, "reconstruction": pixels.mean}
        return {"z": z, "x": drawn, **rest, "confidence": confidence}

    def _decode(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (..., B, K, C, H, W) and confidences (..., B, K, H, W) of codes (..., K, B, D)."""
        if z.shape[-3] != len(self.decoders):
            raise ValueError(
                f"z must have shape (..., K, B, D) with K = {len(self.decoders)} components, got {tuple(z.shape)}; "
                "build model and guide with the same number"
            )
        output = torch.stack(run_components(self.decoders, z.unbind(-3), self.grouped), dim=-4)
        return output[..., :-1, :, :], output[..., -1, :, :]


def _frame_shape(decoders: nn.ModuleList) -> tuple[int, int, int] | None:
    """Shape (C, H, W) of the images that decoders draw beside their confidence, if they tell."""
    shapes = {tuple(shape) for decoder in decoders if (shape := getattr(decoder, "frame_shape", None)) is not None}
    if len(shapes) > 1:
        raise ValueError(f"decoders must all have the same frame_shape, got {sorted(shapes)}")
    if not shapes:
        return None
    channels, height, width = shapes.pop()
    if channels < 2:
        raise ValueError(
            f"decoders must have a frame_shape of (C + 1, H, W), got {(channels, height, width)}; the last channel is "
            f"the confidence, so pass {(channels + 1, height, width)}"
        )
    return channels - 1, height, width
