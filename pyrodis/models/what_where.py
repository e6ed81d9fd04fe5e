"""A clip from what it shows and where that is: two codes, joined and decoded frame by frame."""

from __future__ import annotations

import pyro
import torch
from pyro.distributions import Normal
from torch import nn

from pyrodis.models._sizes import check_part, check_size, clip_sizes
from pyrodis.ops import check_positive_int, register_parameters


class ConcatenateCodes(nn.Module):
    """Put the code of what and the code of where side by side.

    Shape:
        what (..., S), where (..., D), leading dimensions that broadcast, to (..., S + D).

    Source:
        Mantel, Disentangling Motion from Identity with Barlow Twins Autoencoders (2021), section 2.2.

    Example:
        >>> ConcatenateCodes()(torch.zeros(2, 5, 3), torch.ones(2, 5, 2)).shape
        torch.Size([2, 5, 5])
    """

    def forward(self, what: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        """Return the joined codes.

        Args:
            what: Codes of what.
            where: Codes of where.

        Returns:
            Tensor of shape (..., S + D).
        """
        leading = torch.broadcast_shapes(what.shape[:-1], where.shape[:-1])
        return torch.cat([what.expand(*leading, what.shape[-1]), where.expand(*leading, where.shape[-1])], dim=-1)


class AddCodes(nn.Module):
    r"""Add the code of where to the code of what, both of one size.

    $$h_t = z_t + z'_t$$

    z is what, z' is where. The decoder sees the sum alone: two pairs of codes with one sum are one frame to it.

    Shape:
        what (..., S), where (..., S), leading dimensions that broadcast, to (..., S).

    Raises:
        ValueError: If the codes are of two sizes.

    Source:
        Mantel, Disentangling Motion from Identity with Barlow Twins Autoencoders (2021), equation 1, which the networks
        there do not build: they concatenate.

    Example:
        >>> AddCodes()(torch.ones(2, 5, 3), torch.ones(3))[0, 0]
        tensor([2., 2., 2.])
    """

    def forward(self, what: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        """Return the sum of the codes.

        Args:
            what: Codes of what.
            where: Codes of where.

        Returns:
            Tensor of shape (..., S).
        """
        if what.shape[-1] != where.shape[-1]:
            raise ValueError(
                f"what_dim and where_dim must be one size for codes that are added, got {what.shape[-1]} and "
                f"{where.shape[-1]}; make them equal, or use ConcatenateCodes()"
            )
        return what + where


class WhatWhereVAE(nn.Module):
    r"""A clip from a code of what it shows and a code of where that is in every frame.

    $$\log p(x, \mathrm{what}, \mathrm{where}) = \log \mathcal N(\mathrm{what}; 0, I)
    + \sum_t \log \mathcal N(\mathrm{where}_t; 0, I)
    + \sum_t \log p\bigl(x_t \mid \mathrm{decoder}(\mathrm{combine}(\mathrm{what}_t, \mathrm{where}_t))\bigr)$$

    what_t is the one code of the clip, or, with `what_per_frame`, a code of the frame as in the source: then it takes a
    penalty for what to stay, such as `pyrodis.regularizers.inertial_loss` or `barlow_twins` of the guide's
    "what_frames".

    The source is an autoencoder: `DeltaWhatWhereGuide` with KL weights 0, `scale_latents(program, {"what": 0.0,
    "where": 0.0})` around both programs or `FitSettings(kl_weights=...)`. It decodes the first of two frames alone:
    `pyrodis.infer.score_shown_frames(model, torch.tensor([True, False]))` scores that one, though both are decoded.

    Sites: "what", batch (B), event (S), or (T, S) with `what_per_frame`; "where", batch (B), event (T, D); "x",
    observed, batch (B), event (T, C, H, W). Plate: "data", dim -1.

    Args:
        decoder: Maps joined codes (..., E) to the likelihood's parameters (..., C, H, W).
        likelihood: Maps the decoder's output to a distribution of pixels, elementwise.
        what_dim: S.
        where_dim: D.
        num_frames: T of clips that are drawn without data; clips with data may have any T.
        what_per_frame: Whether every frame has a code of what of its own.
        combine: Maps codes (..., S) and (..., D) to (..., E): `ConcatenateCodes`, which is taken for None, E = S + D;
            `AddCodes`, E = S = D; or one's own.

    Shape:
        x: (B, T, C, H, W) in [0, 1].

    Raises:
        TypeError: If a size is not an int, `combine` is no module, or x is not a floating-point tensor.
        ValueError: If a size is not positive or does not fit decoder and `combine`, or x has another shape, or neither
            x nor batch_size is given.

    Source:
        Mantel, Disentangling Motion from Identity with Barlow Twins Autoencoders (2021); the prior is its "future
        direction".

    Example:
        >>> from pyrodis.models import NormalPixels
        >>> from pyrodis.nn import ConvDecoder
        >>> model = WhatWhereVAE(ConvDecoder(6, (1, 8, 8), base_channels=2), NormalPixels(), what_dim=4, where_dim=2)
        >>> model(batch_size=3)["x"].shape
        torch.Size([3, 2, 1, 8, 8])
    """

    zero: torch.Tensor

    def __init__(
        self,
        decoder: nn.Module,
        likelihood: nn.Module,
        what_dim: int = 64,
        where_dim: int = 8,
        num_frames: int = 2,
        what_per_frame: bool = False,
        combine: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        check_part("likelihood", likelihood)
        self.likelihood = likelihood
        self.what_dim = check_positive_int("what_dim", what_dim)
        self.where_dim = check_positive_int("where_dim", where_dim)
        self.num_frames = check_positive_int("num_frames", num_frames)
        if not isinstance(what_per_frame, bool):
            raise TypeError(f"what_per_frame must be True or False, got {what_per_frame!r}")
        self.what_per_frame = what_per_frame
        if combine is not None and not isinstance(combine, nn.Module):
            raise TypeError(f"combine must be a module such as ConcatenateCodes() or None, got {combine!r}")
        self.combine = ConcatenateCodes() if combine is None else combine
        check_size("decoder", "code_dim", decoder, "the size of the joined codes", self._joined_size())
        self.register_buffer("zero", torch.zeros(()), persistent=False)

    def _joined_size(self) -> int:
        """The size of joined codes, by one that leaves no trace in modules or in the state of random numbers."""
        like = next(self.combine.parameters(), torch.zeros(()))
        training = {module: module.training for module in self.combine.modules()}
        self.combine.eval()
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                return int(self.combine(like.new_zeros(1, self.what_dim), like.new_zeros(1, self.where_dim)).shape[-1])
        finally:
            for module, mode in training.items():
                module.training = mode

    def forward(self, x: torch.Tensor | None = None, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        """Run the program: score a batch of clips, or draw clips from the prior.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1], or None.
            batch_size: B, if there is no x.

        Returns:
            "what" (B, S) or (B, T, S), "where" (B, T, D), "x" (B, T, C, H, W), and "reconstruction", the mean of x
            given both.
        """
        register_parameters(self)
        frame_shape = getattr(self.decoder, "frame_shape", None)
        batch_size, num_frames = clip_sizes(x, batch_size, frame_shape, self.num_frames)
        what_shape = [num_frames, self.what_dim] if self.what_per_frame else [self.what_dim]
        standard = Normal(self.zero, self.zero + 1, validate_args=False)
        with pyro.plate("data", batch_size, dim=-1):
            what = pyro.sample("what", standard.expand(what_shape).to_event(len(what_shape)))
            where = pyro.sample("where", standard.expand([num_frames, self.where_dim]).to_event(2))
            joined = self.combine(what if self.what_per_frame else what.unsqueeze(-2), where)
            pixels = self.likelihood(self.decoder(joined)).to_event(4)
            drawn = pyro.sample("x", pixels, obs=x)
        return {"what": what, "where": where, "x": drawn, "reconstruction": pixels.mean}
