"""The guide whose posterior over a sequence of codes is one normal with a block-tridiagonal precision."""

from __future__ import annotations

from typing import Any

import pyro
import torch
from torch import nn

from pyrodis.guides.factorization import Factorization, chain, static_factor
from pyrodis.guides.static_posterior import INITIAL_SCALE, feature_dim_of, make_static, sample_static
from pyrodis.guides.transitions import DiagonalTransition
from pyrodis.guides.viewed_features import check_dynamic_encoder, check_view, encode_views
from pyrodis.nn import LocScale
from pyrodis.ops import check_positive_int, register_parameters, without_autocast


class StructuredGuide(nn.Module):
    r"""The structured guide: a frame's codes are tied to those of the frame before, by what the two frames show.

    $$u_1 \sim \mathcal N(0, I), \quad u_t = A_t u_{t-1} + (I - A_t A_t^\top)^{1/2} \epsilon_t, \quad
    z_t = \mathrm{loc}(x_t) + \mathrm{scale}(x_t) \odot u_t, \quad A_t = A(x_t, x_{t-1})$$

    So q(z | x) is one normal over all frames with a block-tridiagonal precision, found for all frames at once. Each
    frame by itself has loc and scale of its own frame, as in the `MeanFieldGuide`, which is A = 0; what the transition
    adds is how frames vary together. Under a prior that knows no eigenvalues, those of the guide say what that prior
    says, and nothing of the data: see `DynamicsPrior`.

    With a static code it is q(f | v_f(x)) q(z | v_z(x)), as in the `FramewiseGuide`.

    Sites: "z", batch (B), event (T, D); with static_dim also "f", batch (B), event (S). Plate: "data", dim -1.

    Args:
        encoder: Maps frames (..., C, H, W) to features (..., encoder.feature_dim).
        dynamic_dim: D.
        hidden_dim: Size of the hidden layer of a transition that is made here, and of every recurrent state.
        transition: `DiagonalTransition` (the one for None), `BasisTransition`, `RotationTransition`, `DenseTransition`
            or one's own, built for the encoder's features of z and for D.
        static_dim: S, or None for a guide of a model without f.
        static_view: v_f, a module from frames to frames that `encoder` reads, any number of them, or None.
        dynamic_view: v_z, the same for z, but with as many frames as x has. One object as both views is applied once.
        dynamic_encoder: The encoder of v_z(x), or None for `encoder`.
        static_reader: What summarizes the features of all frames for f, or None: a bidirectional LSTM.

    Shape:
        x: (B, T, C, H, W) in [0, 1]; T = 1 is valid.

    Raises:
        TypeError: If a size is not an int, a view, an encoder or the transition is no module, or x is not a
            floating-point tensor.
        ValueError: If a size is not positive or the transition's sizes do not fit, `dynamic_encoder` is `encoder`,
            something is for f alone but there is no f, or x or a view has another shape.

    Source:
        Zaharia and Peters, Disentangling via dynamics, section 2. Their unit diagonal of the precision cannot stand
        beside eigenvalues near 1; here the frames' variances are kept, and the precision follows.

    Example:
        >>> from pyrodis.nn import ConvEncoder
        >>> guide = StructuredGuide(ConvEncoder((1, 8, 8), 4, base_channels=2), dynamic_dim=2, hidden_dim=8)
        >>> output = guide(torch.zeros(3, 5, 1, 8, 8))
        >>> output["z"].shape, output["eigenvalues"].shape
        (torch.Size([3, 5, 2]), torch.Size([3, 4, 2]))
    """

    def __init__(
        self,
        encoder: nn.Module,
        dynamic_dim: int = 4,
        hidden_dim: int = 128,
        *,
        transition: nn.Module | None = None,
        static_dim: int | None = None,
        static_view: nn.Module | None = None,
        dynamic_view: nn.Module | None = None,
        dynamic_encoder: nn.Module | None = None,
        static_reader: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.dynamic_dim = check_positive_int("dynamic_dim", dynamic_dim)
        self.hidden_dim = check_positive_int("hidden_dim", hidden_dim)
        self.static_dim = static_dim
        self.static_view = check_view("static_view", static_view)
        self.dynamic_view = check_view("dynamic_view", dynamic_view)
        self.dynamic_encoder = check_dynamic_encoder(dynamic_encoder, encoder)
        self.static = make_static(encoder, static_dim, hidden_dim, static_view, dynamic_encoder, static_reader)
        feature_dim = feature_dim_of(encoder if dynamic_encoder is None else dynamic_encoder)
        self.head = LocScale(feature_dim, dynamic_dim, INITIAL_SCALE)
        given = _check_transition(transition, feature_dim, dynamic_dim)
        self.transition = DiagonalTransition(feature_dim, dynamic_dim, hidden_dim) if given is None else given

    @property
    def static_reader(self) -> nn.Module | None:
        """What summarizes the features of all frames for f."""
        return None if self.static is None else self.static.reader

    def factorization(self, num_frames: int) -> Factorization:
        """Return what the factor of every code reads: the code before, its frame, the frame before; f reads all.

        Args:
            num_frames: T.

        Returns:
            Name of a code to the names of what its parameters depend on.
        """
        return static_factor(self.static, num_frames) | chain(num_frames)

    def forward(self, x: torch.Tensor, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        """Draw z, and f where there is one, given clips.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1].
            batch_size: Not used; guides and models share one signature.

        Returns:
            "z" (B, T, D), "f" (B, S), if there is one, and what the transition tells: "eigenvalues" (B, T - 1, D) and
            more.
        """
        register_parameters(self)
        static_features, features = encode_views(
            x, self.encoder, self.static_view, self.dynamic_view, self.dynamic_encoder, self.static is not None
        )
        with pyro.plate("data", x.shape[0], dim=-1), without_autocast(features):
            codes = sample_static(self.static, static_features)
            posterior, told = self.transition(features, *self.head(features))
            z = pyro.sample("z", posterior)
        return {**codes, "z": z, **told}


def _check_transition(transition: Any, feature_dim: int, dynamic_dim: int) -> nn.Module | None:
    if transition is None:
        return None
    if not isinstance(transition, nn.Module):
        raise TypeError(
            f"transition must be a module such as DiagonalTransition({feature_dim}, {dynamic_dim}) or None, "
            f"got {transition!r}"
        )
    for name, size in (("feature_dim", feature_dim), ("dynamic_dim", dynamic_dim)):
        found = getattr(transition, name, size)
        if found != size:
            raise ValueError(
                f"transition.{name} must be {size}, as the guide's, got {found}; build the transition with {size}"
            )
    return transition
