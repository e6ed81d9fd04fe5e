"""The guide that first says where the parts of a clip are, and then looks there for what they are."""

from __future__ import annotations

import pyro
import torch
from pyro.distributions import Normal
from torch import nn

from pyrodis.guides.factorization import Factorization, named
from pyrodis.guides.static_posterior import INITIAL_SCALE, encode_frames, feature_dim_of
from pyrodis.guides.viewed_features import check_view, see
from pyrodis.guides.what_factor import check_other, check_reader, read_what, what_factorization
from pyrodis.nn import Glimpses, LocScale
from pyrodis.nn._placing import check_what_dim
from pyrodis.ops import check_frames_shape, match_parts, register_parameters
from pyrodis.ops.matching import MOST_PARTS


class WhereThenWhatGuide(nn.Module):
    r"""Where from every frame, in an order that all frames agree on, then what from glimpses at the places.

    $$q(\mathrm{where}, \mathrm{what} \mid x) = \prod_t \mathcal N\bigl(\mathrm{where}_t;
    P_{\pi_t} \mathrm{loc}'(v'(x)_t), \operatorname{diag}(P_{\pi_t} \mathrm{scale}'(v'(x)_t))^2\bigr)\;
    \mathcal N\bigl(\mathrm{what}; r(\mathrm{loc}(g_1), \mathrm{scale}(g_1), \dots)\bigr), \qquad
    g_t = \mathrm{glimpses}(x_t, \mathrm{where}_t)$$

    An encoder of where that sees one frame tells where the M parts are, and not which of them is which: in the next
    frame they may come in another order. So the places of a frame are put in the order pi_t in which what is seen at
    them looks like what is seen at the places of the same number in the other frames, by `pyrodis.ops.match_parts` of
    the glimpses at loc'; P_pi exchanges the parts' pairs of numbers. Then where is drawn, glimpses are taken where it
    says, and one encoder reads each of them. loc(g_t) are its codes of all M parts side by side, and r, the reader,
    makes one code of those of all frames: `ProductFrames` lets frames in which parts hide each other say less.

    No gradient goes through pi, which jumps and is constant in between; one goes from what to where through the
    glimpses. Any order of the parts that all frames agree on will do for a model in which parts can be exchanged
    together with their places: `PartsDecoder`.

    Sites: "where", batch (B), event (T, 2 M); "what", batch (B), event (S), or (T, S) with a reader that gives a code a
    frame, for a model with `what_per_frame`. Plate: "data", dim -1.

    Args:
        where_encoder: Maps frames (..., C, H, W) to features (..., where_encoder.feature_dim).
        glimpses: Maps frames and where to glimpses, of the frame_shape, num_parts and patch_size of the model's
            `PartsDecoder`: nothing else tells the guide where patches are. At most six parts can be matched.
        what_encoder: Maps glimpses (..., C, G, G) to features (..., what_encoder.feature_dim), another module.
        what_dim: S, M codes of S / M.
        where_view: v', a module from frames to frames that `where_encoder` reads, or None; glimpses are of x.
        what_reader: As in `WhatWhereGuide`; `MeanFrames` is taken for None.
        matched: Whether the parts are put in order. If not, pi_t is the order in which the encoder has them.

    Shape:
        x: (B, T, C, H, W) in [0, 1].

    Raises:
        TypeError: If a size is not an int, glimpses are no `Glimpses`, a view or the reader is no module, matched is no
            bool, or x is not a floating-point tensor.
        ValueError: If a size is not positive, parts are too many to be matched, what_dim is no multiple of M, both
            encoders are one, glimpses not of the size that `what_encoder` reads, x has another shape, or a view or the
            reader returns what cannot be read.

    Source:
        This project. Eslami et al., Attend, Infer, Repeat (2016), look at glimpses, one object after the other in each
        frame; Hsieh et al., Learning to Decompose and Disentangle Representations for Video Prediction (2018), carry
        the order on by recurrence over frames, where it is matched here.

    Example:
        >>> from pyrodis.nn import ConvEncoder
        >>> where_encoder, what_encoder = (ConvEncoder((1, side, side), 4, base_channels=2) for side in (16, 8))
        >>> guide = WhereThenWhatGuide(where_encoder, Glimpses((1, 16, 16), 2, 6, 8), what_encoder, what_dim=6)
        >>> {name: tuple(value.shape) for name, value in guide(torch.zeros(2, 5, 1, 16, 16)).items()}
        {'what': (2, 6), 'where': (2, 5, 4), 'what_frames': (2, 5, 6)}
    """

    def __init__(
        self,
        where_encoder: nn.Module,
        glimpses: Glimpses,
        what_encoder: nn.Module,
        what_dim: int = 64,
        *,
        where_view: nn.Module | None = None,
        what_reader: nn.Module | None = None,
        matched: bool = True,
    ) -> None:
        super().__init__()
        self.where_encoder = check_other("where_encoder", where_encoder, what_encoder)
        self.glimpses = _check_glimpses(glimpses, what_encoder)
        self.what_encoder = what_encoder
        self.what_dim = check_what_dim(what_dim, glimpses.num_parts)
        self.where_dim = glimpses.where_dim
        self.where_view = check_view("where_view", where_view)
        self.what_reader = check_reader(what_reader)
        if not isinstance(matched, bool):
            raise TypeError(f"matched must be True or False, got {matched!r}")
        if matched and glimpses.num_parts > MOST_PARTS:
            raise ValueError(
                f"glimpses.num_parts must be at most {MOST_PARTS} for parts that are matched, all orders of which are "
                f"tried, got {glimpses.num_parts}; pass matched=False"
            )
        self.matched = matched
        self.where_head = LocScale(feature_dim_of(where_encoder), self.where_dim, INITIAL_SCALE)
        self.what_head = LocScale(feature_dim_of(what_encoder), what_dim // glimpses.num_parts, INITIAL_SCALE)

    def factorization(self, num_frames: int) -> Factorization:
        """Return what the factor of every code reads: where all frames, by its order; what as its reader says.

        Derivatives do not show that where reads other frames, since an order has none.

        Args:
            num_frames: T.

        Returns:
            Name of a code to the names of what its parameters depend on.
        """
        x, where = named("x", num_frames), named("where", num_frames)
        places: Factorization = {name: x if self.matched else (frame,) for name, frame in zip(where, x)}
        what: Factorization = {
            name: (*(where[x.index(frame)] for frame in frames), *frames)
            for name, frames in what_factorization(self.what_reader, num_frames).items()
            if name not in places
        }
        return places | what

    def forward(self, x: torch.Tensor, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        """Draw where and then what given clips.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1].
            batch_size: Not used; guides and models share one signature.

        Returns:
            "what" (B, S) or (B, T, S), "where" (B, T, 2 M), and "what_frames" (B, T, S), the loc that every frame says,
            before the reader: what penalties compare.
        """
        register_parameters(self)
        check_frames_shape(x)
        seen = see("where_view", self.where_view, "where_encoder", self.where_encoder, x, keeps_frames=True)
        where_loc, where_scale = self._in_order(x, *self.where_head(encode_frames(self.where_encoder, seen)))
        with pyro.plate("data", x.shape[0], dim=-1):
            where = pyro.sample("where", Normal(where_loc, where_scale, validate_args=False).to_event(2))
            frames, scales = self.what_head(self.what_encoder(self.glimpses(x, where)))
            frames, scales = frames.flatten(-2), scales.flatten(-2)
            loc, scale = self._read(frames, scales)
            num_events = loc.ndim - frames.ndim + 2
            what = pyro.sample("what", Normal(loc, scale, validate_args=False).to_event(num_events))
        return {"what": what, "where": where, "what_frames": frames}

    def _in_order(self, x: torch.Tensor, loc: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Loc and scale of where (B, T, 2 M) with the parts of all frames in one order."""
        if not self.matched:
            return loc, scale
        with torch.no_grad():
            order = match_parts(self.glimpses.looks(x, loc)).unsqueeze(-1).expand(-1, -1, -1, 2)
        parts = (self.glimpses.num_parts, 2)
        ordered = (value.unflatten(-1, parts).gather(2, order).flatten(-2) for value in (loc, scale))
        return next(ordered), next(ordered)

    def _read(self, loc: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the reader makes of codes (..., B, T, S): (..., B, S) or (..., B, T, S)."""
        leading = loc.shape[:-2]
        read = read_what(self.what_reader, loc.flatten(0, -3), scale.flatten(0, -3))
        return read[0].unflatten(0, leading), read[1].unflatten(0, leading)


def _check_glimpses(glimpses: Glimpses, what_encoder: nn.Module) -> Glimpses:
    """Refuse glimpses that are none, or that the encoder cannot read."""
    if not isinstance(glimpses, Glimpses):
        raise TypeError(f"glimpses must be a pyrodis.nn.Glimpses, got {glimpses!r}")
    frame_shape = getattr(what_encoder, "frame_shape", None)
    size = (glimpses.frame_shape[0], glimpses.size, glimpses.size)
    if frame_shape is not None and tuple(frame_shape) != size:
        raise ValueError(
            f"what_encoder must read glimpses of shape {size}, got one for {tuple(frame_shape)}; build it for that size"
        )
    return glimpses
