"""Each guide's log-density against its written factorization, frame by frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyro
import pytest
import torch
from torch import Tensor

from pyrodis.distributions import AutoregressiveNormal
from pyrodis.guides import FactorizedGuide, FramewiseGuide, FullGuide, GridGuide, SmoothingGuide
from pyrodis.nn import GaussianBlur, GridEncoder, MedianFrame, Motion, RecurrentTransition
from tests.equations import by_hand
from tests.pairs import every_guide, make_clips, make_guide, make_latents, make_views


def guide_log_prob(guide: Any, x: Tensor, latents: dict[str, Tensor]) -> Tensor:
    trace = pyro.poutine.trace(pyro.poutine.condition(guide, data=latents)).get_trace(x)
    trace.compute_log_prob()
    return trace.nodes["f"]["log_prob"] + trace.nodes["z"]["log_prob"]


def written(guide: Any, x: Tensor, latents: dict[str, Tensor], dynamic: Callable[..., tuple[Tensor, Tensor]]) -> Tensor:
    """The density log q(f | v_f(x)) + sum_t log q(z_t | ..., v_z(x)); a view that is not there is x itself."""
    f, z = latents["f"], latents["z"]
    v_f, v_z = (x if view is None else view(x) for view in (guide.static_view, guide.dynamic_view))
    static_features = by_hand.encoded(guide.encoder, v_f)
    features = by_hand.encoded(guide.encoder if guide.dynamic_encoder is None else guide.dynamic_encoder, v_z)
    static = by_hand.normal_log_prob(f, *by_hand.static_parameters(guide.static, static_features))
    loc, scale = dynamic(guide, features, f, z)
    frames = [by_hand.total(by_hand.normal_log_prob(z[:, t], loc[:, t], scale[:, t])) for t in range(z.shape[1])]
    return by_hand.total(static) + sum(frames)


def full(guide: Any, features: Tensor, f: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    return by_hand.autoregression(guide.transition, z, by_hand.context_of(guide, features, f))


def factorized(guide: Any, features: Tensor, f: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    return by_hand.autoregression(guide.transition, z, features)


def framewise(guide: Any, features: Tensor, f: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    layer = guide.hidden[0]
    parts = [by_hand.head(guide.head, (h @ layer.weight.T + layer.bias).tanh()) for h in features.unbind(1)]
    return torch.stack([loc for loc, _ in parts], 1), torch.stack([scale for _, scale in parts], 1)


def smoothing(guide: Any, features: Tensor, f: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    rnn, state, parts = guide.recurrence, torch.zeros(len(f), guide.hidden_dim, dtype=f.dtype), []
    for context in by_hand.context_of(guide, features, f).unbind(1):
        inner = context @ rnn.weight_ih_l0.T + rnn.bias_ih_l0 + state @ rnn.weight_hh_l0.T + rnn.bias_hh_l0
        state = inner.tanh()
        parts.append(by_hand.head(guide.head, state))
    return torch.stack([loc for loc, _ in parts], 1), torch.stack([scale for _, scale in parts], 1)


def check(guide_class: type, dynamic: Callable[..., tuple[Tensor, Tensor]]) -> None:
    x, latents, views = make_clips(), make_latents(), make_views()
    one_encoder = {name: view for name, view in views.items() if name != "dynamic_encoder"}
    for arguments in (
        {},
        {"static_view": views["static_view"]},
        {"dynamic_view": GaussianBlur(1.0)},
        one_encoder,
        views,
    ):
        guide = make_guide(guide_class, **arguments)
        torch.testing.assert_close(guide_log_prob(guide, x, latents), written(guide, x, latents, dynamic))


def test_das_dandi_2a_full_factorization() -> None:
    check(FullGuide, full)


def test_das_dandi_2b_factorized_factorization() -> None:
    check(FactorizedGuide, factorized)


def test_li_mandt_framewise_factorization() -> None:
    check(FramewiseGuide, framewise)


def test_das_dandi_code_smoothing_factorization() -> None:
    check(SmoothingGuide, smoothing)


def test_grid_guide_factorization() -> None:
    x = make_clips()
    torch.manual_seed(0)
    encoders = [GridEncoder((1, 8, 8), channels, grid=2, widths=(2, 4)) for channels in (3, 2)]
    views = {"static_view": MedianFrame(), "dynamic_view": Motion()}
    for guide in (GridGuide(*encoders), GridGuide(*encoders, **views)):
        guide.double().eval()
        v_f, v_z = (x if view is None else view(x) for view in (guide.static_view, guide.dynamic_view))
        still = by_hand.encoded(guide.static_encoder, v_f).mean(1)
        moving = by_hand.encoded(guide.dynamic_encoder, v_z)
        f, z = torch.randn(3, 12, dtype=torch.float64), torch.randn(3, 4, 8, dtype=torch.float64)
        expected = sum(
            by_hand.normal_log_prob(code, h[..., :num], 1e-4 + (1 + (h[..., num:] + offset).exp()).log())
            .flatten(1)
            .sum(1)
            for code, h, num, offset in ((f, still, 12, guide.head.offset), (z, moving, 8, guide.head.offset))
        )
        torch.testing.assert_close(guide_log_prob(guide, x, {"f": f, "z": z}), expected)
        other = guide_log_prob(guide, x.flip(1), {"f": f, "z": z})
        assert (expected - other).abs().min() > 1e-4  # the order of frames matters to z


@every_guide
def test_factorizations_are_told_apart(guide_class: type) -> None:
    """The checks above can fail: the next clip's frames give another density."""
    guide, x, latents = make_guide(guide_class), make_clips(), make_latents()
    own, other = guide_log_prob(guide, x, latents), guide_log_prob(guide, x.flip(1), latents)
    assert (own - other).abs().min() > 1e-4


@every_guide
def test_a_guide_scores_its_own_draws(guide_class: type) -> None:
    guide, x = make_guide(guide_class), make_clips()
    trace = pyro.poutine.trace(guide).get_trace(x)
    trace.compute_log_prob()
    latents = {name: trace.nodes[name]["value"] for name in ("f", "z")}
    drawn = trace.nodes["f"]["log_prob"] + trace.nodes["z"]["log_prob"]
    dynamic = {FullGuide: full, FactorizedGuide: factorized, FramewiseGuide: framewise, SmoothingGuide: smoothing}
    torch.testing.assert_close(drawn, written(guide, x, latents, dynamic[guide_class]))


@pytest.mark.parametrize("with_context", [False, True])
def test_autoregressive_normal_density(with_context: bool) -> None:
    torch.manual_seed(0)
    transition = RecurrentTransition(2, 3 if with_context else 0, 4).double()
    context = torch.randn(5, 4, 3, dtype=torch.float64) if with_context else None
    z = make_latents(5)["z"]
    expected = by_hand.total(by_hand.normal_log_prob(z, *by_hand.autoregression(transition, z, context)))
    torch.testing.assert_close(AutoregressiveNormal(transition, 4, context).log_prob(z), expected)
