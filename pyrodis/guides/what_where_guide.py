"""The guides of what and where: two encoders, each with a view of its own, and a reader of what the frames say."""

from __future__ import annotations

import pyro
import torch
from pyro.distributions import Delta, Normal
from torch import nn

from pyrodis.guides.factorization import Factorization
from pyrodis.guides.static_posterior import INITIAL_SCALE, feature_dim_of
from pyrodis.guides.viewed_features import check_view, encode_seen
from pyrodis.guides.what_factor import check_other, check_reader, read_what, what_factorization
from pyrodis.nn import LocScale, NormalizedHead
from pyrodis.ops import check_frames_shape, check_positive_int, full_precision, register_parameters, without_autocast


class WhatWhereGuide(nn.Module):
    r"""What from all frames through a reader, where from every frame by itself.

    $$q(\mathrm{what}, \mathrm{where} \mid x) = \mathcal N\bigl(\mathrm{what};
    r(\mathrm{loc}(v(x)_1), \mathrm{scale}(v(x)_1), \dots)\bigr)
    \prod_t \mathcal N\bigl(\mathrm{where}_t; \mathrm{loc}'(v'(x)_t),
    \operatorname{diag}\mathrm{scale}'(v'(x)_t)^2\bigr)$$

    r is the reader: it makes loc and scale of what from those of every frame. v and v' are the views, x itself where
    none is given: what each code may be inferred from. Frames are encoded in one call over batch and time. Loc and
    scale are linear in the encoders' features.

    Against place in what: a view that moves frames at random, `RandomShift(32, per_frame=True, circular=True)`; the
    encoder `PlaceBlindEncoder`; a reader that has every frame decoded from the what of others, `OneFrame`,
    `OtherFrame`, `MeanFrames`, `ProductFrames`. Against identity in where: a view without detail, `GaussianBlur` or
    `Downsample`; few dimensions; a KL weight above 1 for "where".

    Sites: "what", batch (B), event (S), or (T, S) with a reader that gives a code a frame, for a model with
    `what_per_frame`; "where", batch (B), event (T, D). Plate: "data", dim -1.

    Args:
        what_encoder: Maps frames (..., C, H, W) to features (..., what_encoder.feature_dim).
        where_encoder: The same for where, another module.
        what_dim: S.
        where_dim: D.
        what_view: v, a module from frames to frames that `what_encoder` reads, or None.
        where_view: v', the same for where, with as many frames as x has.
        what_reader: Maps loc and scale (B, T, S) of every frame to (B, S) or (B, T, S): `MeanFrames`, which is taken
            for None, `ProductFrames`, `OneFrame`, `OtherFrame`, `EveryFrame` or one's own.

    Shape:
        x: (B, T, C, H, W) in [0, 1].

    Raises:
        TypeError: If a size is not an int, a view or the reader is no module, or x is not a floating-point tensor.
        ValueError: If a size is not positive, both encoders are one, x has another shape, or a view or the reader
            returns what cannot be read.

    Source:
        Mantel, Disentangling Motion from Identity with Barlow Twins Autoencoders (2021), with the noise that it names
        as its future direction; there the reader is `EveryFrame`, and where is inferred from the first frame alone.

    Example:
        >>> from pyrodis.nn import PlaceBlindEncoder, PooledEncoder
        >>> what_encoder = PlaceBlindEncoder((1, 8, 8), feature_dim=4, widths=(2, 2), kernel_size=3)
        >>> guide = WhatWhereGuide(what_encoder, PooledEncoder((1, 8, 8), widths=(2, 2)), what_dim=3, where_dim=2)
        >>> {name: tuple(value.shape) for name, value in guide(torch.zeros(2, 5, 1, 8, 8)).items()}
        {'what': (2, 3), 'where': (2, 5, 2), 'what_frames': (2, 5, 3)}
    """

    def __init__(
        self,
        what_encoder: nn.Module,
        where_encoder: nn.Module,
        what_dim: int = 64,
        where_dim: int = 8,
        *,
        what_view: nn.Module | None = None,
        where_view: nn.Module | None = None,
        what_reader: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.what_encoder = what_encoder
        self.where_encoder = check_other("where_encoder", where_encoder, what_encoder)
        self.what_dim = check_positive_int("what_dim", what_dim)
        self.where_dim = check_positive_int("where_dim", where_dim)
        self.what_view = check_view("what_view", what_view)
        self.where_view = check_view("where_view", where_view)
        self.what_reader = check_reader(what_reader)
        self.what_head = LocScale(feature_dim_of(what_encoder), what_dim, INITIAL_SCALE)
        self.where_head = LocScale(feature_dim_of(where_encoder), where_dim, INITIAL_SCALE)

    def factorization(self, num_frames: int) -> Factorization:
        """Return what the factor of every code reads: what as its reader says, where its frame.

        A reader that pyrodis does not know is taken to make one code of all frames.

        Args:
            num_frames: T.

        Returns:
            Name of a code to the names of what its parameters depend on.
        """
        return what_factorization(self.what_reader, num_frames)

    def forward(self, x: torch.Tensor, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        """Draw what and where given clips.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1].
            batch_size: Not used; guides and models share one signature.

        Returns:
            "what" (B, S) or (B, T, S), "where" (B, T, D), and "what_frames" (B, T, S), the loc that every frame says,
            before the reader: what penalties compare.
        """
        register_parameters(self)
        what_features, where_features = _encode_both(self, x)
        frames, scales = self.what_head(what_features)
        loc, scale = read_what(self.what_reader, frames, scales)
        where_loc, where_scale = self.where_head(where_features)
        with pyro.plate("data", x.shape[0], dim=-1):
            what = pyro.sample("what", Normal(loc, scale, validate_args=False).to_event(loc.ndim - 1))
            where = pyro.sample("where", Normal(where_loc, where_scale, validate_args=False).to_event(2))
        return {"what": what, "where": where, "what_frames": frames}


class DeltaWhatWhereGuide(nn.Module):
    r"""The guide of an autoencoder of what and where: both codes are one value each.

    $$q(\mathrm{what}, \mathrm{where} \mid x) = \delta\bigl(\mathrm{what} - r(c(v(x)_1), \dots, c(v(x)_T))\bigr)
    \prod_t \delta\bigl(\mathrm{where}_t - c'(v'(x)_t)\bigr)$$

    c and c' are linear in the encoders' features, then normalized over the batch; see `WhatWhereGuide` for the rest.
    It is for KL weights of 0; with others see `DeltaGuide` for what the value means.

    Sites: "what", batch (B), event (S), or (T, S) with a reader that gives a code a frame; "where", batch (B), event
    (T, D). Plate: "data", dim -1.

    Args:
        what_encoder: Maps frames (..., C, H, W) to features (..., what_encoder.feature_dim).
        where_encoder: The same for where, another module.
        what_dim: S.
        where_dim: D.
        what_view: v, a module from frames to frames that `what_encoder` reads, or None.
        where_view: v', the same for where, with as many frames as x has.
        what_reader: Maps codes of every frame to those of the site, as in `WhatWhereGuide`, or None for `MeanFrames`;
            the source has `EveryFrame`.
        batch_norm: Whether codes are normalized over the batch. Without it a penalty of differences is escaped by
            codes that shrink.
        affine: Whether the normalization has a scale and an offset that are learned, as torch has by default. With
            them a code can still shrink by its scale, and the decoder make up for it.

    Shape:
        x: (B, T, C, H, W) in [0, 1].

    Raises:
        TypeError: If a size is not an int, a view or the reader is no module, or x is not a floating-point tensor.
        ValueError: If a size is not positive, both encoders are one, x has another shape, or a view or the reader
            returns what cannot be read; if a batch in training mode has one frame alone.

    Source:
        Mantel, Disentangling Motion from Identity with Barlow Twins Autoencoders (2021), section 2.2; there where is
        inferred from the first frame alone.

    Example:
        >>> from pyrodis.nn import EveryFrame, PooledEncoder
        >>> encoders = [PooledEncoder((1, 8, 8), widths=(2, 2)) for _ in range(2)]
        >>> guide = DeltaWhatWhereGuide(*encoders, what_dim=3, where_dim=2, what_reader=EveryFrame()).eval()
        >>> output = guide(torch.rand(2, 5, 1, 8, 8))
        >>> torch.equal(output["what"], output["what_frames"])
        True
    """

    def __init__(
        self,
        what_encoder: nn.Module,
        where_encoder: nn.Module,
        what_dim: int = 64,
        where_dim: int = 8,
        *,
        what_view: nn.Module | None = None,
        where_view: nn.Module | None = None,
        what_reader: nn.Module | None = None,
        batch_norm: bool = True,
        affine: bool = True,
    ) -> None:
        super().__init__()
        self.what_encoder = what_encoder
        self.where_encoder = check_other("where_encoder", where_encoder, what_encoder)
        self.what_dim = check_positive_int("what_dim", what_dim)
        self.where_dim = check_positive_int("where_dim", where_dim)
        self.what_view = check_view("what_view", what_view)
        self.where_view = check_view("where_view", where_view)
        self.what_reader = check_reader(what_reader)
        self.batch_norm = batch_norm
        self.affine = affine
        self.what_head = _point_head(feature_dim_of(what_encoder), what_dim, batch_norm, affine)
        self.where_head = _point_head(feature_dim_of(where_encoder), where_dim, batch_norm, affine)

    def factorization(self, num_frames: int) -> Factorization:
        """Return what the factor of every code reads: what as its reader says, where its frame.

        A reader that pyrodis does not know is taken to make one code of all frames.

        Args:
            num_frames: T.

        Returns:
            Name of a code to the names of what its parameters depend on.
        """
        return what_factorization(self.what_reader, num_frames)

    def forward(self, x: torch.Tensor, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        """Set what and where to the codes of clips.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1].
            batch_size: Not used; guides and models share one signature.

        Returns:
            "what" (B, S) or (B, T, S), "where" (B, T, D), and "what_frames" (B, T, S), the code that every frame says,
            before the reader: what penalties compare.
        """
        register_parameters(self)
        what_features, where_features = _encode_both(self, x)
        with without_autocast(what_features):
            frames = self.what_head(full_precision(what_features))
            loc, _ = read_what(self.what_reader, frames, torch.ones_like(frames))
            where_loc = self.where_head(full_precision(where_features))
        with pyro.plate("data", x.shape[0], dim=-1):
            what = pyro.sample("what", Delta(loc, event_dim=loc.ndim - 1, validate_args=False))
            where = pyro.sample("where", Delta(where_loc, event_dim=2, validate_args=False))
        return {"what": what, "where": where, "what_frames": frames}


def _encode_both(guide: WhatWhereGuide | DeltaWhatWhereGuide, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The features of what the views show for what and for where."""
    check_frames_shape(x)
    what = encode_seen("what_view", guide.what_view, "what_encoder", guide.what_encoder, x, keeps_frames=False)
    where = encode_seen("where_view", guide.where_view, "where_encoder", guide.where_encoder, x, keeps_frames=True)
    return what, where


def _point_head(input_dim: int, dim: int, batch_norm: bool, affine: bool) -> nn.Module:
    return NormalizedHead(input_dim, dim, affine) if batch_norm else nn.Linear(input_dim, dim)
