"""The guide of parallel VAEs that look one after the other, each at what those before leave unexplained."""

from __future__ import annotations

from collections.abc import Sequence

import pyro
import torch
from pyro.distributions import Normal
from torch import nn
from torch.distributions import kl_divergence

from pyrodis.guides.factorization import Factorization
from pyrodis.ops import as_components, check_frames_shape, check_positive_int, check_single_frames, register_parameters


class ResidualGuide(nn.Module):
    r"""The guide of a `ParallelVAE` that needs no labels and no stages: every VAE looks where the ground fails.

    $$q(z_{1:K} \mid x) = \prod_{k=1}^{K} \mathcal N\bigl(z_k; \mathrm{loc}_k(x, u_k), \operatorname{diag}
    \mathrm{scale}_k(x, u_k)^2\bigr), \qquad
    u_k = \frac{e^{c_1}}{\sum_{j < k} e^{c_j}}\, \frac{1}{C} \lVert x - h_1 \rVert_1 \prod_{1 < j < k} (1 - v_j),
    \qquad (h_j, c_j) = \mathrm{decoder}_j(\mathrm{loc}_j)$$

    The first component is the ground. u_k says of every pixel how far it is from the ground and still the ground's,
    were there no VAEs but those before k; u_1 is 0. What the VAEs before k claim is thereby taken out of what VAE k
    looks at, so that each finds another object, which is what the stages of `fit_stages` are for. Nor does it look at
    the very place v_j where another has been, `decoder_j.visited(loc_j)` if the decoder has that, whether or not it
    found something: else two VAEs could look at the same object, and the one that draws it worse would never learn.
    The codes are independent given the image: u is made of posterior means. No gradient goes through u.

    The decoders are those of the model, the very same modules, and train with it; `fit` refuses others. A run stores
    them with both programs, and `load` lets the two share them again.

    Labels of images ("present") are not for this guide: what finds objects without them is its order.

    Sites: "z", batch (K, B), event (D). Plates: "components", dim -2, and "data", dim -1.

    Args:
        decoders: The decoders of the model, K of them, at least 2; the first draws the ground.
        encoders: One module for each, which maps images with what is unexplained as a last channel, (..., C + 1, H, W),
            to loc (..., D) and scale (..., D): `WindowEncoder`, or a `torch.nn.Sequential` of an encoder and a
            `LocScale`.
        latent_dim: D.

    Shape:
        x: (B, 1, C, H, W) in [0, 1]: an image is a clip of one frame.

    Raises:
        TypeError: If decoders or encoders are not a list of modules, the size is not an int, or x is not a
            floating-point tensor.
        ValueError: If there are fewer than two, one stands there twice, there are not as many encoders, they give no
            loc and scale of the size, the size is not positive, or x has another shape.

    Source:
        Ours. The scope that later components see is that of Burgess et al., MONet (2019); there a network learns it,
        here it is what the decoders draw. That attention does not return to where it was is an old idea of models of
        vision: Koch and Ullman, Shifts in selective visual attention (1985).

    Example:
        >>> from pyrodis.nn import UniformDecoder, WindowDecoder, LocScale, StridedEncoder, WindowEncoder
        >>> shape, windows = (2, 16, 16), {"patch_size": 8, "hidden_dim": 4}
        >>> decoders = [UniformDecoder(5, shape), *(WindowDecoder(5, shape, widths=(2,), **windows) for _ in range(2))]
        >>> ground = nn.Sequential(StridedEncoder(shape, (2, 2), 4), LocScale(4, 5, 0.1))
        >>> encoders = [ground, *(WindowEncoder(5, shape, widths=(2,), **windows) for _ in range(2))]
        >>> ResidualGuide(decoders, encoders, latent_dim=5)(torch.zeros(3, 1, 1, 16, 16))["z"].shape
        torch.Size([3, 3, 5])
    """

    def __init__(
        self,
        decoders: Sequence[nn.Module] | nn.ModuleList,
        encoders: Sequence[nn.Module] | nn.ModuleList,
        latent_dim: int = 16,
    ) -> None:
        super().__init__()
        self.decoders = as_components("decoders", decoders)
        self.encoders = as_components("encoders", encoders)
        self.latent_dim = check_positive_int("latent_dim", latent_dim)
        if len(self.encoders) != len(self.decoders):
            raise ValueError(
                f"encoders must be as many as decoders, {len(self.decoders)}, got {len(self.encoders)}; pass one for "
                "each, that of the ground first"
            )
        if len(self.encoders) < 2:
            raise ValueError("decoders must be at least 2, a ground and one VAE for what stands on it, got 1")

    def factorization(self, num_frames: int = 1) -> Factorization:
        """Return what the factor of every component's code reads: the image.

        Args:
            num_frames: 1, as an image is a clip of one frame.

        Returns:
            Name of a code, "z^1" for the ground, to "x_1".

        Raises:
            ValueError: If there are more frames.
        """
        if num_frames != 1:
            raise ValueError(f"num_frames must be 1, since ResidualGuide reads images, got {num_frames!r}")
        return {f"z^{k + 1}": ("x_1",) for k in range(len(self.encoders))}

    def shares_with(self, model: nn.Module) -> bool:
        """Return whether the decoders are the very modules of a model; `fit` asks, of any guide that has this method.

        Args:
            model: A `ParallelVAE`.

        Returns:
            Whether they are.
        """
        theirs = getattr(model, "decoders", ())
        return len(theirs) == len(self.decoders) and all(a is b for a, b in zip(self.decoders, theirs))

    def share_with(self, model: nn.Module) -> None:
        """Take the decoders of a model in place of one's own; `load` calls it, of any guide that has this method.

        Args:
            model: A `ParallelVAE` of as many components.

        Raises:
            ValueError: If it has another number of decoders.
        """
        theirs = as_components("decoders", getattr(model, "decoders", ()))
        if len(theirs) != len(self.encoders):
            raise ValueError(f"model must have {len(self.encoders)} decoders, as many as encoders, got {len(theirs)}")
        self.decoders = theirs

    def forward(self, x: torch.Tensor, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        """Draw the codes of all components given images.

        Args:
            x: Images (B, 1, C, H, W) in [0, 1].
            batch_size: Not used; guides and models share one signature.

        Returns:
            "z" (K, B, D); "kl" (B, K), the divergence of each code from N(0, I) in nats; "unexplained" (B, K, H, W),
            u, at which each component looks.
        """
        register_parameters(self)
        check_frames_shape(x)
        check_single_frames(x)
        image = self._check_image(x[:, 0])
        unexplained = [torch.zeros_like(image[:, :1])]
        found, drawn = [], []
        new = torch.ones_like(unexplained[0])
        for k, encoder in enumerate(self.encoders):
            found.append(self._parameters_of(k, encoder(torch.cat([image, unexplained[k]], 1))))
            if k + 1 < len(self.encoders):
                drawn.append(self._draw(k, found[k][0], image))
                visited = getattr(self.decoders[k], "visited", None)
                if k and visited is not None:
                    new = new * (1 - visited(found[k][0].detach()).unsqueeze(1).to(image))
                unexplained.append(new * _unexplained(image, drawn))
        loc, scale = (torch.stack(parts) for parts in zip(*found))
        with pyro.plate("components", len(self.encoders), dim=-2), pyro.plate("data", x.shape[0], dim=-1):
            z = pyro.sample("z", Normal(loc, scale, validate_args=False).to_event(1))
        prior = Normal(torch.zeros_like(loc), torch.ones_like(scale), validate_args=False)
        kl = kl_divergence(Normal(loc, scale, validate_args=False), prior).sum(-1).T
        return {"z": z, "kl": kl, "unexplained": torch.cat(unexplained, 1)}

    def _check_image(self, image: torch.Tensor) -> torch.Tensor:
        """Images (B, C, H, W), if they are of the shape that the decoders draw, in the words of who passed them."""
        shapes = {tuple(shape) for decoder in self.decoders if (shape := getattr(decoder, "frame_shape", None))}
        for channels, *size in shapes:
            if tuple(image.shape[1:]) != (channels - 1, *size):
                raise ValueError(
                    f"x must have images of shape {(channels - 1, *size)}, as the decoders draw, got "
                    f"{tuple(image.shape[1:])}"
                )
        return image

    def _parameters_of(self, k: int, found: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Loc and scale of an encoder, if they are that."""
        if not isinstance(found, tuple) or [isinstance(value, torch.Tensor) for value in found] != [True, True]:
            raise ValueError(
                f"encoders[{k}] must give loc and scale, got {type(found).__name__}; put a pyrodis.nn.LocScale after it"
            )
        for value in found:
            if value.shape[-1] != self.latent_dim:
                raise ValueError(
                    f"encoders[{k}] must give loc and scale of latent_dim = {self.latent_dim}, got {value.shape[-1]}; "
                    "build guide and encoder for one size"
                )
        return found

    def _draw(self, k: int, loc: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """What a component makes of its mean code (B, C + 1, H, W), without gradient."""
        with torch.no_grad():
            output: torch.Tensor = self.decoders[k](loc)
        if not isinstance(output, torch.Tensor):
            raise TypeError(f"decoders[{k}] must give a tensor, images and a confidence, got {type(output).__name__}")
        if output.shape[-3:] != (image.shape[-3] + 1, *image.shape[-2:]):
            raise ValueError(
                f"decoders[{k}] must give images and a confidence of shape {(image.shape[-3] + 1, *image.shape[-2:])} "
                f"for images {tuple(image.shape[-3:])}, got {tuple(output.shape[-3:])}"
            )
        return output


@torch.no_grad()
def _unexplained(image: torch.Tensor, drawn: Sequence[torch.Tensor]) -> torch.Tensor:
    """How far pixels are from the ground and still its own, (B, 1, H, W)."""
    confidence = torch.stack([output[:, -1:] for output in drawn])
    distance = (image - drawn[0][:, :-1].sigmoid()).abs().mean(1, keepdim=True)
    return confidence.softmax(0)[0] * distance.to(image)
