"""The equations of what and where, against plain torch."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn.functional import softplus

from pyrodis.guides import DeltaWhatWhereGuide, WhatThenWhereGuide, WhatWhereGuide, WhereThenWhatGuide
from pyrodis.infer import NamedELBO, SameClip, score_shown_frames
from pyrodis.infer.handlers import scale_latents
from pyrodis.infer.penalties import add_penalty
from pyrodis.infer.sites import get_trace
from pyrodis.models import AddCodes, NormalPixels, WhatWhereVAE
from pyrodis.nn import (
    EveryFrame,
    Glimpses,
    MeanFrames,
    NormalizedHead,
    PlaceBlindEncoder,
    PlaceFinder,
    PooledEncoder,
    ProductFrames,
    UpsampleDecoder,
)
from pyrodis.ops import match_parts
from pyrodis.regularizers import barlow_twins, inertial_loss, mixing_weight, pixel_error
from tests.equations import by_hand
from tests.pairs import FRAME, make_clips

S, D, T = 3, 2, 4


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def encoders() -> list[PooledEncoder]:
    return [PooledEncoder(FRAME, widths=(2, 2)) for _ in range(2)]


def delta_pair(scale: float = 0.3) -> tuple[WhatWhereVAE, DeltaWhatWhereGuide]:
    torch.manual_seed(0)
    model = WhatWhereVAE(UpsampleDecoder(S + D, FRAME, (3, 2)), NormalPixels(scale), S, D, T, what_per_frame=True)
    guide = DeltaWhatWhereGuide(*encoders(), S, D, what_reader=EveryFrame())
    return model.double(), guide.double()


def test_mantel_1_codes_are_added() -> None:
    what, where = randn(2, T, S), randn(2, T, S, seed=1)
    torch.testing.assert_close(
        AddCodes()(what[:, :1], where), torch.stack([what[:, 0] + w for w in where.unbind(1)], 1)
    )


def test_mantel_2_inertial_loss() -> None:
    """The source's mean over n is the mean over clips of two frames; of more, over their pairs."""
    pair = randn(5, 2, S)
    source = sum(float((z_2 - z_1).norm() ** 2) for z_1, z_2 in pair) / 5
    assert float(inertial_loss(pair).mean()) == pytest.approx(source)
    codes = randn(5, T, S)
    pairs = torch.stack([inertial_loss(codes[:, t : t + 2]) for t in range(T - 1)])
    torch.testing.assert_close(inertial_loss(codes), pairs.mean(0))
    assert not inertial_loss(codes[:, :1].expand(5, T, S)).any()
    torch.testing.assert_close(inertial_loss(codes.repeat(3, 1, 1)), inertial_loss(codes).repeat(3))
    assert gradcheck(inertial_loss, (codes.requires_grad_(),))


def test_mantel_3_pixel_error() -> None:
    x, decoded = make_clips(3), make_clips(3, seed=5)
    expected = [float(((decoded[b] - x[b]) ** 2).sum()) / x[b].numel() for b in range(3)]
    torch.testing.assert_close(pixel_error(decoded, x), torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(
        pixel_error(decoded.repeat(2, 1, 1, 1, 1), x.repeat(2, 1, 1, 1, 1)).mean(), x.new_tensor(expected).mean()
    )
    assert not pixel_error(x, x).any()


def correlation(first: Tensor, second: Tensor) -> Tensor:
    """Equation 6 entry by entry, without means, as the source has it."""
    rows = []
    for i in range(first.shape[1]):
        below = [(first[:, i] ** 2).sum().sqrt() * (second[:, j] ** 2).sum().sqrt() for j in range(second.shape[1])]
        rows.append(torch.stack([(first[:, i] * second[:, j]).sum() / below[j] for j in range(second.shape[1])]))
    return torch.stack(rows)


def test_mantel_5_barlow_twins() -> None:
    codes = randn(64, S)
    codes = codes - codes.mean(0)
    same = barlow_twins(codes, codes, redundancy_weight=0.0)
    assert float(same.abs().max()) < 1e-18  # equal codes: no invariance term
    white = torch.linalg.qr(codes)[0]
    assert float(barlow_twins(white, -white, 1.0).sub(4 * S).abs().max()) < 1e-8  # decorrelated: no redundancy term
    first, second = randn(6, S), randn(6, S, seed=1)
    c = correlation(first - first.mean(0), second - second.mean(0))
    expected = 0.0
    for i in range(S):
        expected += float((1 - c[i, i]) ** 2) + 0.05 * sum(float(c[i, j] ** 2) for j in range(S) if j != i)
    torch.testing.assert_close(barlow_twins(first, second), torch.full((6,), expected, dtype=torch.float64))
    repeated = barlow_twins(first.repeat(3, 1), second.repeat(3, 1))
    torch.testing.assert_close(repeated.mean(), barlow_twins(first, second).mean())
    assert gradcheck(barlow_twins, (first.requires_grad_(), second.requires_grad_()))


def test_mantel_6_cross_correlation() -> None:
    """With a weight of 1 and one dimension against another, C is read off; the source's C after normalization alone."""
    first, second = randn(6, 2), randn(6, 2, seed=1)
    for shift, equal in ((0.0, True), (1.0, False)):
        a, b = ((part - part.mean(0)) / part.std(0) + shift for part in (first, second))
        c = correlation(a, b)
        source = (1 - c.diagonal()).square().sum() + c[0, 1] ** 2 + c[1, 0] ** 2
        assert bool(torch.isclose(barlow_twins(a, b, 1.0)[0], source)) is equal
        torch.testing.assert_close(barlow_twins(a, b, 1.0), barlow_twins(first, second, 1.0))
    expected = torch.corrcoef(torch.stack([first[:, 0], second[:, 0]]))[0, 1]
    torch.testing.assert_close(barlow_twins(first[:, :1], second[:, :1])[0], (1 - expected) ** 2)


LOSSES = {
    "inertial": inertial_loss,
    "barlow_twins": lambda codes: barlow_twins(codes[:, 0], codes[:, 1]),
    "barlow_twins of all pairs": lambda codes: barlow_twins(codes.transpose(0, 1)[:-1], codes.transpose(0, 1)[1:]).mean(
        0
    ),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("first_alone", [False, True])
def test_mantel_7_total_loss(loss: object, first_alone: bool) -> None:
    """The objective of the delta guide is the source's total, up to the stated factor and constant; so its gradient."""
    scale, mixing = 0.3, 0.7
    (model, guide), x = delta_pair(scale), make_clips(3)
    num_pixels = (1 if first_alone else T) * math.prod(FRAME)
    weights = {"what": 0.0, "where": 0.0}
    scored = score_shown_frames(model, torch.tensor([True] + [False] * (T - 1))) if first_alone else model
    penalized = add_penalty(
        scale_latents(guide, weights),
        "agree",
        lambda output: loss(output["what_frames"]),  # type: ignore[operator]
        mixing_weight(mixing, num_pixels, scale),
        side="guide",
    )
    ours = NamedELBO().terms(scale_latents(scored, weights), penalized, x).total
    codes = guide(x)
    decoded = model.likelihood(model.decoder(torch.cat([codes["what"], codes["where"]], -1))).mean
    frames = slice(0, 1 if first_alone else T)
    total = (pixel_error(decoded[:, frames], x[:, frames]) + mixing * loss(codes["what_frames"])).mean()  # type: ignore[operator]
    factor, constant = num_pixels / (2 * scale**2), num_pixels * (math.log(scale) + math.log(2 * math.pi) / 2)
    torch.testing.assert_close(ours, factor * total + constant)
    parameters = [p for p in (*model.parameters(), *guide.parameters()) if p.requires_grad]
    found, expected = (torch.autograd.grad(value, parameters) for value in (ours, factor * total))
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b)
    assert mixing_weight(0.2, 10) == pytest.approx(2.0)  # of a squared error, N lambda


@pytest.mark.parametrize("per_frame", [False, True])
def test_what_where_joint_density(per_frame: bool) -> None:
    torch.manual_seed(0)
    model = WhatWhereVAE(UpsampleDecoder(S + D, FRAME, (3, 2)), NormalPixels(0.3), S, D, T, per_frame).double().eval()
    x, where = make_clips(2), randn(2, T, D)
    what = randn(2, T, S, seed=1) if per_frame else randn(2, S, seed=1)
    from pyro.poutine import condition

    ours = get_trace(condition(model, data={"what": what, "where": where}), x).log_prob_sum()
    one, zero = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    expected = by_hand.normal_log_prob(what, zero, one).sum() + by_hand.normal_log_prob(where, zero, one).sum()
    for t in range(T):
        joined = torch.cat([what[:, t] if per_frame else what, where[:, t]], -1)
        expected = expected + by_hand.normal_log_prob(x[:, t], model.decoder(joined).sigmoid(), 0.3 * one).sum()
    torch.testing.assert_close(ours, expected)


def test_what_where_guide_factorization() -> None:
    torch.manual_seed(0)
    guide, x = WhatWhereGuide(*encoders(), S, D, what_reader=ProductFrames()).double().eval(), make_clips(2)
    sites = get_trace(guide, x).nodes
    of_frames = [by_hand.head(guide.what_head, guide.what_encoder(x[:, t])) for t in range(T)]
    loc, scale = ProductFrames()(*(torch.stack(part, 1) for part in zip(*of_frames)))
    torch.testing.assert_close(sites["what"]["fn"].base_dist.loc, loc)
    torch.testing.assert_close(sites["what"]["fn"].base_dist.scale, scale)
    for t in range(T):
        loc, scale = by_hand.head(guide.where_head, guide.where_encoder(x[:, t]))
        torch.testing.assert_close(sites["where"]["fn"].base_dist.loc[:, t], loc)
        torch.testing.assert_close(sites["where"]["fn"].base_dist.scale[:, t], scale)
    torch.testing.assert_close(guide(x)["what_frames"], torch.stack([frame[0] for frame in of_frames], 1))


@pytest.mark.parametrize("reader", [MeanFrames, EveryFrame])
def test_what_then_where_guide_factorization(reader: type) -> None:
    torch.manual_seed(0)
    finder = PlaceFinder(S, FRAME, key_dim=3, widths=(2,), kernel_size=3, hidden_dim=4)
    guide = WhatThenWhereGuide(encoders()[0], finder, S, D, what_reader=reader()).double().eval()
    x = make_clips(2)
    sites = get_trace(guide, x).nodes
    of_frames = [by_hand.head(guide.what_head, guide.what_encoder(x[:, t])) for t in range(T)]
    loc, scale = reader()(*(torch.stack(part, 1) for part in zip(*of_frames)))
    torch.testing.assert_close(sites["what"]["fn"].base_dist.loc, loc)
    torch.testing.assert_close(sites["what"]["fn"].base_dist.scale, scale)
    what = sites["what"]["value"]
    for t in range(T):
        of_frame = what[:, t] if reader is EveryFrame else what
        features = finder(x[:, t : t + 1], of_frame.unsqueeze(1)).squeeze(1)
        loc, scale = by_hand.head(guide.where_head, features)
        torch.testing.assert_close(sites["where"]["fn"].base_dist.loc[:, t], loc)
        torch.testing.assert_close(sites["where"]["fn"].base_dist.scale[:, t], scale)


@pytest.mark.parametrize("reader", [ProductFrames, EveryFrame])
@pytest.mark.parametrize("matched", [True, False])
def test_where_then_what_guide_factorization(reader: type, matched: bool) -> None:
    torch.manual_seed(1)
    where_encoder, what_encoder = PooledEncoder(FRAME, (2, 2)), PooledEncoder((1, 4, 4), (2,))
    glimpses = Glimpses(FRAME, 2, 4, 4)
    guide = WhereThenWhatGuide(where_encoder, glimpses, what_encoder, 6, what_reader=reader(), matched=matched)
    with torch.no_grad():
        guide.where_head.linear.bias[:4] = torch.tensor([-2.0, 0.0, 2.0, 0.0])  # left and right
    guide, x = guide.double().eval(), make_clips(12) * torch.linspace(0, 1, FRAME[-1]).double()
    x[:, 1::2] = x[:, 1::2].flip(-1)  # what is bright goes from right to left
    sites = get_trace(guide, x).nodes
    where, of_frames = sites["where"]["value"], []
    told = [by_hand.head(guide.where_head, where_encoder(x[:, t])) for t in range(T)]
    locs, scales = (torch.stack(part, 1).unflatten(-1, (2, 2)) for part in zip(*told))
    order = match_parts(glimpses.looks(x, locs.flatten(-2)))
    assert bool((order != order[:, :1]).any()), "some frames are in another order"
    for b in range(len(x)):
        for t in range(T):
            rows = order[b, t].tolist() if matched else [0, 1]
            torch.testing.assert_close(sites["where"]["fn"].base_dist.loc[b, t], locs[b, t, rows].flatten())
            torch.testing.assert_close(sites["where"]["fn"].base_dist.scale[b, t], scales[b, t, rows].flatten())
    for t in range(T):
        seen = glimpses(x[:, t : t + 1], where[:, t : t + 1])[:, 0]
        parts = [by_hand.head(guide.what_head, what_encoder(seen[:, m])) for m in range(2)]
        of_frames.append([torch.cat(part, -1) for part in zip(*parts)])
    loc, scale = reader()(*(torch.stack(part, 1) for part in zip(*of_frames)))
    torch.testing.assert_close(sites["what"]["fn"].base_dist.loc, loc)
    torch.testing.assert_close(sites["what"]["fn"].base_dist.scale, scale)


def test_place_finder_is_attention_over_places() -> None:
    torch.manual_seed(0)
    finder = PlaceFinder(S, (1, 12, 16), num_places=2, key_dim=3, widths=(2,), kernel_size=3, hidden_dim=4).double()
    finder = finder.eval()
    frames, what = torch.rand(2, T, 1, 12, 16, dtype=torch.float64), randn(2, 1, S)
    found, weights = finder(frames, what), finder.attention(frames, what)
    for b in range(2):
        queries = finder.queries(what[b, 0]).reshape(2, 3)
        for t in range(T):
            keys = finder.keys(frames[b, t : t + 1])[0]
            for m in range(2):
                scores = sum(queries[m, k] * keys[k] for k in range(3)) / math.sqrt(3)
                attention = scores.exp() / scores.exp().sum()
                rows, columns = attention.shape
                torch.testing.assert_close(weights[b, t, m], attention)
                x = sum(attention[i, j] * (2 * j / (columns - 1) - 1) for i in range(rows) for j in range(columns))
                y = sum(attention[i, j] * (2 * i / (rows - 1) - 1) for i in range(rows) for j in range(columns))
                torch.testing.assert_close(found[b, t, 2 * m : 2 * m + 2], 2.5 * torch.stack([x, y]))


def test_delta_what_where_guide_sets_both_codes() -> None:
    torch.manual_seed(0)
    guide, x = DeltaWhatWhereGuide(*encoders(), S, D, batch_norm=False).double().eval(), make_clips(2)
    output = guide(x)
    codes = torch.stack([guide.what_head(guide.what_encoder(x[:, t])) for t in range(T)], 1)
    torch.testing.assert_close(output["what"], codes.mean(1))
    torch.testing.assert_close(output["what_frames"], codes)
    where = torch.stack([guide.where_head(guide.where_encoder(x[:, t])) for t in range(T)], 1)
    torch.testing.assert_close(output["where"], where)


def test_mantel_normalized_code() -> None:
    head, h = NormalizedHead(4, S).double(), randn(5, 6, 4)
    torch.nn.init.normal_(head.norm.weight)
    torch.nn.init.normal_(head.norm.bias)
    wh = h @ head.linear.weight.T  # its offset is gone with the mean
    normal = (wh - wh.mean((0, 1))) / (wh.var((0, 1), correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(head(h), head.norm.weight * normal + head.norm.bias)
    assert NormalizedHead(4, S, affine=False).norm.weight is None


def test_hosoya_mean_of_frames() -> None:
    loc, scale = randn(2, T, S), randn(2, T, S, seed=1).exp()
    found = MeanFrames()(loc, scale)
    torch.testing.assert_close(found[0], sum(loc.unbind(1)) / T)
    torch.testing.assert_close(found[1], sum(scale.unbind(1)) / T)


def test_bouchacourt_product_of_frames() -> None:
    """Up to a constant the density of the product is the product of the densities."""
    loc, scale = randn(2, T, S), randn(2, T, S, seed=1).exp()
    product = torch.distributions.Normal(*ProductFrames()(loc, scale))
    a, b = randn(2, S, seed=2), randn(2, S, seed=3)
    ours = product.log_prob(a) - product.log_prob(b)
    frames = torch.distributions.Normal(loc, scale)
    torch.testing.assert_close(ours, (frames.log_prob(a.unsqueeze(1)) - frames.log_prob(b.unsqueeze(1))).sum(1))


def test_place_blind_encoder_is_the_maximum_over_places() -> None:
    torch.manual_seed(0)
    encoder = PlaceBlindEncoder((1, 8, 8), 5, (2, 3), kernel_size=3).double().eval()
    torch.nn.init.normal_(encoder.norm.running_mean)
    x = make_clips(2).flatten(0, 1)
    places = encoder.blocks(x)
    assert places.shape == (2 * T, 5, 4, 4)
    expected = torch.stack([places[:, :, i, j] for i in range(4) for j in range(4)]).max(0)[0]
    torch.testing.assert_close(encoder(x), encoder.norm(expected))


def test_denton_birodkar_same_clip() -> None:
    torch.manual_seed(0)
    penalty, z = SameClip(D, 4).double(), randn(3, T, D)
    expected = []
    for i in range(3):
        value = torch.zeros((), dtype=torch.float64)
        for t in range(T):
            later = (t + T // 2) % T
            same = penalty.network(torch.cat([z[i, t], z[i, later]]))[0]
            other = penalty.network(torch.cat([z[i, t], z[i - 1, later]]))[0]
            value = value + (softplus(same) + softplus(-same)) / 2 + softplus(-same) + softplus(other)
        expected.append(value / T)
    torch.testing.assert_close(penalty({"where": z}), torch.stack(expected))
    for parameter in penalty.parameters():
        torch.nn.init.zeros_(parameter)
    torch.testing.assert_close(penalty({"where": z}), torch.full((3,), 3 * math.log(2), dtype=torch.float64))
