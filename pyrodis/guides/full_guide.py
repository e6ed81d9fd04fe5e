"""The guide in which z sees f, all frames and its own past."""

from __future__ import annotations

import pyro
import torch
from torch import nn

from pyrodis.distributions import AutoregressiveNormal
from pyrodis.guides.factorization import Factorization, named, static_factor
from pyrodis.guides.static_posterior import INITIAL_SCALE, feature_dim_of, join_static, make_static, sample_static
from pyrodis.guides.viewed_features import check_dynamic_encoder, check_view, encode_views
from pyrodis.nn import BidirectionalLSTM, RecurrentTransition
from pyrodis.ops import check_positive_int, register_parameters


class FullGuide(nn.Module):
    r"""The full factorization: a frame's code depends on the static code, on all frames and on the codes before it.

    $$q(f, z_{1:T} \mid x_{1:T}) = q(f \mid v_f(x_{1:T})) \prod_t q(z_t \mid z_{<t}, f, v_z(x_{1:T}))$$

    A bidirectional LSTM reads the features of x_t beside f; a second LSTM is fed the sampled z_{t-1}, and its state and
    the first one's at t give loc and scale of z_t.

    v_f and v_z are the views, x itself where none is given: what each code may be inferred from. A guide may be any
    function of x, so the objective stays a bound; of random views it is an average of bounds.

    Sites: "f", batch (B), event (S); "z", batch (B), event (T, D). Plate: "data", dim -1.

    Args:
        encoder: Maps frames (..., C, H, W) to features (..., encoder.feature_dim).
        static_dim: S, or None for a guide of a model without f: it has no site "f" then, and z reads x alone.
        dynamic_dim: D.
        hidden_dim: Size of every recurrent state.
        static_view: v_f, a module from frames to frames that `encoder` reads, any number of them, or None.
        dynamic_view: v_z, the same for z, but with as many frames as x has. One object as both views is applied once.
        dynamic_encoder: The encoder of v_z(x), or None for `encoder`. Where the views differ, one of its own is
            recommended: two kinds of frames are hard on one network, and on its batch statistics.
        static_reader: What summarizes the features of all frames for f, or None: a bidirectional LSTM. A `MeanReader`
            does not see the order of the frames.

    Shape:
        x: (B, T, C, H, W) in [0, 1].

    Raises:
        TypeError: If a size is not an int, a view or an encoder is no module, or x is not a floating-point tensor.
        ValueError: If a size is not positive, `dynamic_encoder` is `encoder`, x has another shape or a view
            returns what its encoder or its code cannot read.

    Source:
        Das and Dandi, section II.A, whose text writes q(z_t | z_{<t}, x_t, f) and whose network reads all frames both
        ways; the text's fed-back z is built here; the published network, which lacks it, is `SmoothingGuide`.

    Example:
        >>> from pyrodis.nn import ConvEncoder
        >>> encoder = ConvEncoder((1, 8, 8), 4, base_channels=2)
        >>> guide = FullGuide(encoder, static_dim=3, dynamic_dim=2, hidden_dim=8)
        >>> guide(torch.zeros(2, 5, 1, 8, 8))["z"].shape
        torch.Size([2, 5, 2])
    """

    def __init__(
        self,
        encoder: nn.Module,
        static_dim: int | None = 64,
        dynamic_dim: int = 32,
        hidden_dim: int = 128,
        *,
        static_view: nn.Module | None = None,
        dynamic_view: nn.Module | None = None,
        dynamic_encoder: nn.Module | None = None,
        static_reader: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.static_dim = static_dim
        self.dynamic_dim = check_positive_int("dynamic_dim", dynamic_dim)
        self.hidden_dim = check_positive_int("hidden_dim", hidden_dim)
        self.static_view = check_view("static_view", static_view)
        self.dynamic_view = check_view("dynamic_view", dynamic_view)
        self.dynamic_encoder = check_dynamic_encoder(dynamic_encoder, encoder)
        feature_dim = feature_dim_of(encoder if dynamic_encoder is None else dynamic_encoder)
        self.static = make_static(encoder, static_dim, hidden_dim, static_view, dynamic_encoder, static_reader)
        self.reader = BidirectionalLSTM(feature_dim + (static_dim or 0), hidden_dim)
        self.transition = RecurrentTransition(dynamic_dim, 2 * hidden_dim, hidden_dim, INITIAL_SCALE)

    @property
    def static_reader(self) -> nn.Module | None:
        """What summarizes the features of all frames for f."""
        return None if self.static is None else self.static.reader

    def factorization(self, num_frames: int) -> Factorization:
        """Return what the factor of every code reads: all frames, f and the codes before.

        Args:
            num_frames: T.

        Returns:
            Name of a code to the names of what its parameters depend on.
        """
        f = static_factor(self.static, num_frames)
        z, x = named("z", num_frames), named("x", num_frames)
        return f | {z[t]: (*f, *z[:t], *x) for t in range(num_frames)}

    def forward(self, x: torch.Tensor, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        """Draw f and z given clips.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1].
            batch_size: Not used; guides and models share one signature.

        Returns:
            "f" (B, S), if there is one, and "z" (B, T, D).
        """
        register_parameters(self)
        static_features, features = encode_views(
            x, self.encoder, self.static_view, self.dynamic_view, self.dynamic_encoder, self.static is not None
        )
        with pyro.plate("data", x.shape[0], dim=-1):
            codes = sample_static(self.static, static_features)
            context = self.reader(join_static(features, codes.get("f")))
            z = pyro.sample("z", AutoregressiveNormal(self.transition, x.shape[1], context))
        return {**codes, "z": z}
