"""The guide that first says what there is, and then looks for where it is."""

from __future__ import annotations

import pyro
import torch
from pyro.distributions import Normal
from torch import nn

from pyrodis.guides.factorization import Factorization
from pyrodis.guides.static_posterior import INITIAL_SCALE, feature_dim_of
from pyrodis.guides.viewed_features import check_view, encode_seen, see
from pyrodis.guides.what_factor import check_other, check_reader, read_what, what_factorization
from pyrodis.nn import LocScale
from pyrodis.ops import check_frames_shape, check_positive_int, register_parameters


class WhatThenWhereGuide(nn.Module):
    r"""What from all frames through a reader, then where from every frame and what.

    $$q(\mathrm{what}, \mathrm{where} \mid x) = \mathcal N\bigl(\mathrm{what};
    r(\mathrm{loc}(v(x)_1), \mathrm{scale}(v(x)_1), \dots)\bigr)
    \prod_t \mathcal N\bigl(\mathrm{where}_t; \mathrm{loc}'(v'(x)_t, \mathrm{what}),
    \operatorname{diag}\mathrm{scale}'(v'(x)_t, \mathrm{what})^2\bigr)$$

    It differs from `WhatWhereGuide` in that where is inferred given what. Where a decoder draws parts from the one
    code and puts them where the other says, the posterior has this form: with two objects, whose place comes first is
    a convention of what. `PlaceFinder` follows it by construction.

    Sites: "what", batch (B), event (S), or (T, S) with a reader that gives a code a frame, for a model with
    `what_per_frame`; "where", batch (B), event (T, D). Plate: "data", dim -1.

    Args:
        what_encoder: Maps frames (..., C, H, W) to features (..., what_encoder.feature_dim).
        finder: Maps frames (B, T, C, H, W) and what, (..., B, T, S) or (..., B, 1, S) for one a clip, to features
            (..., B, T, finder.feature_dim): `pyrodis.nn.PlaceFinder` or one's own.
        what_dim: S.
        where_dim: D.
        what_view: v, a module from frames to frames that `what_encoder` reads, or None.
        where_view: v', the same for `finder`, with as many frames as x has.
        what_reader: As in `WhatWhereGuide`; `MeanFrames` is taken for None.

    Shape:
        x: (B, T, C, H, W) in [0, 1].

    Raises:
        TypeError: If a size is not an int, a view or the reader is no module, or x is not a floating-point tensor.
        ValueError: If a size is not positive, encoder and finder are one, x has another shape, or a view or the reader
            returns what cannot be read.

    Source:
        This project; the order is that of the exact posterior, since where is explained by what is seen only once it
        is said what to look for.

    Example:
        >>> from pyrodis.nn import PlaceBlindEncoder, PlaceFinder
        >>> what_encoder = PlaceBlindEncoder((1, 8, 8), feature_dim=4, widths=(2, 2), kernel_size=3)
        >>> guide = WhatThenWhereGuide(what_encoder, PlaceFinder(3, (1, 8, 8), widths=(2,)), what_dim=3, where_dim=4)
        >>> {name: tuple(value.shape) for name, value in guide(torch.zeros(2, 5, 1, 8, 8)).items()}
        {'what': (2, 3), 'where': (2, 5, 4), 'what_frames': (2, 5, 3)}
    """

    def __init__(
        self,
        what_encoder: nn.Module,
        finder: nn.Module,
        what_dim: int = 64,
        where_dim: int = 4,
        *,
        what_view: nn.Module | None = None,
        where_view: nn.Module | None = None,
        what_reader: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.what_encoder = what_encoder
        self.finder = check_other("finder", finder, what_encoder)
        self.what_dim = check_positive_int("what_dim", what_dim)
        self.where_dim = check_positive_int("where_dim", where_dim)
        self.what_view = check_view("what_view", what_view)
        self.where_view = check_view("where_view", where_view)
        self.what_reader = check_reader(what_reader)
        self.what_head = LocScale(feature_dim_of(what_encoder), what_dim, INITIAL_SCALE)
        self.where_head = LocScale(feature_dim_of(finder), where_dim, INITIAL_SCALE)

    def factorization(self, num_frames: int) -> Factorization:
        """Return what the factor of every code reads: what as its reader says, where its frame and what.

        Args:
            num_frames: T.

        Returns:
            Name of a code to the names of what its parameters depend on.
        """
        return what_factorization(self.what_reader, num_frames, given_what=True)

    def forward(self, x: torch.Tensor, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        """Draw what and then where given clips.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1].
            batch_size: Not used; guides and models share one signature.

        Returns:
            "what" (B, S) or (B, T, S), "where" (B, T, D), and "what_frames" (B, T, S), the loc that every frame says,
            before the reader: what penalties compare.
        """
        register_parameters(self)
        check_frames_shape(x)
        features = encode_seen("what_view", self.what_view, "what_encoder", self.what_encoder, x, keeps_frames=False)
        frames, scales = self.what_head(features)
        loc, scale = read_what(self.what_reader, frames, scales)
        seen = see("where_view", self.where_view, "finder", self.finder, x, keeps_frames=True)
        with pyro.plate("data", x.shape[0], dim=-1):
            what = pyro.sample("what", Normal(loc, scale, validate_args=False).to_event(loc.ndim - 1))
            of_frames = what if loc.ndim == 3 else what.unsqueeze(-2)
            where_loc, where_scale = self.where_head(self.finder(seen, of_frames))
            where = pyro.sample("where", Normal(where_loc, where_scale, validate_args=False).to_event(2))
        return {"what": what, "where": where, "what_frames": frames}
