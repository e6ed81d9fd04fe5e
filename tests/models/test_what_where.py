"""What and where: the contract of every pair, what each code depends on, saving, and bad input."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from torch import Tensor, nn

import pyrodis
from pyrodis.guides import DeltaWhatWhereGuide, WhatThenWhereGuide, WhatWhereGuide, WhereThenWhatGuide
from pyrodis.infer import DensityRatio, FitSettings, NamedELBO, SameClip, score_shown_frames
from pyrodis.infer.describe import build, describe
from pyrodis.infer.handlers import scale_latents
from pyrodis.infer.penalties import add_penalty
from pyrodis.infer.queries import decode, encode, reconstruct, sample_prior, swap
from pyrodis.infer.traversal import traverse
from pyrodis.models import AddCodes, ConcatenateCodes, NormalPixels, WhatWhereVAE
from pyrodis.nn import (
    Downsample,
    EveryFrame,
    GaussianBlur,
    Glimpses,
    MeanFrames,
    OneFrame,
    OtherFrame,
    PartsDecoder,
    PlaceBlindEncoder,
    PlaceFinder,
    PooledEncoder,
    ProductFrames,
    RandomShift,
    SubsetFrames,
    UpsampleDecoder,
)
from pyrodis.regularizers import barlow_twins, inertial_loss
from pyrodis.testing import check_model_guide
from tests.pairs import FRAME, D, S, T, make_clips

PER_FRAME = (EveryFrame, OtherFrame)


def model_of(per_frame: bool = False, what_dim: int = S, code_dim: int = S + D, **rest: Any) -> WhatWhereVAE:
    return WhatWhereVAE(UpsampleDecoder(code_dim, FRAME, (3, 2)), NormalPixels(), what_dim, D, T, per_frame, **rest)


def guide_of(guide_class: Any = WhatWhereGuide, what_dim: int = S, **rest: Any) -> Any:
    encoders = PlaceBlindEncoder(FRAME, 4, (2, 2), 3), PooledEncoder(FRAME, (2, 2))
    return guide_class(*encoders, what_dim, D, **rest)


def make_of(guide_class: Any, reader: Any, **rest: Any) -> Callable[[], tuple[Any, Any]]:
    return lambda: (model_of(reader in PER_FRAME), guide_of(guide_class, what_reader=reader(), **rest))


def then_of(reader: Any, **rest: Any) -> Callable[[], tuple[Any, Any]]:
    def make() -> tuple[Any, Any]:
        encoder, finder = PlaceBlindEncoder(FRAME, 4, (2, 2), 3), PlaceFinder(S, FRAME, 2, 3, (2,), 3, 4)
        return model_of(reader in PER_FRAME), WhatThenWhereGuide(encoder, finder, S, D, what_reader=reader(), **rest)

    return make


def parts_guide(reader: Any = MeanFrames, **rest: Any) -> WhereThenWhatGuide:
    where_encoder = PooledEncoder((1, 4, 4) if "where_view" in rest else FRAME, (2, 2))
    what_encoder = PooledEncoder((1, 4, 4), (2,))
    return WhereThenWhatGuide(where_encoder, Glimpses(FRAME, 2, 4, 4), what_encoder, 4, what_reader=reader(), **rest)


def parts_of(reader: Any, **rest: Any) -> Callable[[], tuple[Any, Any]]:
    """A pair whose parts have codes of their own."""

    def make() -> tuple[Any, Any]:
        decoder = PartsDecoder(4, FRAME, 2, 4, (3, 2), hidden_dim=4)
        model = WhatWhereVAE(decoder, NormalPixels(), 4, 4, T, reader in PER_FRAME)
        return model, parts_guide(reader, **rest)

    return make


PAIRS: dict[str, Callable[[], tuple[Any, Any]]] = {
    **{f"normal-{reader.__name__}": make_of(WhatWhereGuide, reader) for reader in (*PER_FRAME, MeanFrames, OneFrame)},
    "normal-ProductFrames": make_of(WhatWhereGuide, ProductFrames),
    "normal-views": lambda: (
        model_of(),
        WhatWhereGuide(
            PlaceBlindEncoder(FRAME, 4, (2, 2), 3),
            PooledEncoder((1, 4, 4), (2,)),
            S,
            D,
            what_view=nn.Sequential(SubsetFrames(3), RandomShift(4, per_frame=True, circular=True)),
            where_view=Downsample(2, restore=False),
        ),
    ),
    **{f"then-{reader.__name__}": then_of(reader) for reader in (EveryFrame, MeanFrames)},
    "then-view": then_of(MeanFrames, where_view=GaussianBlur(1.0)),
    **{f"parts-{reader.__name__}": parts_of(reader) for reader in (*PER_FRAME, MeanFrames, OneFrame, ProductFrames)},
    "parts-view": parts_of(MeanFrames, where_view=Downsample(2, restore=False)),
    "parts-unmatched": parts_of(MeanFrames, matched=False),
    "delta": make_of(DeltaWhatWhereGuide, MeanFrames),
    "delta-EveryFrame": make_of(DeltaWhatWhereGuide, EveryFrame, affine=False),
    "delta-without-norm": make_of(DeltaWhatWhereGuide, OneFrame, batch_norm=False),
    "added": lambda: (model_of(what_dim=D, code_dim=D, combine=AddCodes()), guide_of(what_dim=D)),
}
every_pair = pytest.mark.parametrize("make", PAIRS.values(), ids=PAIRS)


@every_pair
def test_keeps_the_contract(make: Any) -> None:
    torch.manual_seed(0)
    check_model_guide(make, make_clips(3).float())


PENALTIES: dict[str, Callable[[Any], Tensor]] = {
    "inertial": lambda output: inertial_loss(output["what_frames"]),
    "barlow": lambda output: barlow_twins(output["what_frames"][:, 0], output["what_frames"][:, 1]),
}


@pytest.mark.filterwarnings("ignore:Found plate statements in guide but not model")
@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
def test_keeps_the_contract_with_penalties(penalty: Any) -> None:
    """A loss that couples clips is exempt from one promise: that a batch is the sum of its clips."""
    torch.manual_seed(0)
    coupled = penalty is PENALTIES["barlow"]

    def make() -> tuple[nn.Module, nn.Module]:
        model, guide = PAIRS["delta-EveryFrame"]()
        return model, add_penalty(guide, "agree", penalty, 20.0, side="guide")

    check_model_guide(make, make_clips(3).float(), couples_clips=coupled)
    if coupled:
        with pytest.raises(ValueError, match="a batch must have at least two clips"):
            check_model_guide(make, make_clips(3).float())


@every_pair
@pytest.mark.parametrize("analytic", [True, False])
def test_runs_on_the_meta_device(make: Any, analytic: bool) -> None:
    model, guide = (program.to("meta") for program in make())
    x = torch.rand(2, T, *FRAME, device="meta")
    with pyro.validation_enabled(False):
        terms = NamedELBO(analytic=analytic).terms(model, guide, x)
        terms.total.backward()
        drawn = (*model(batch_size=2).values(), *encode(guide, x, num_samples=3).values(), reconstruct(model, guide, x))
    assert all(value.device.type == "meta" for value in (*terms.values.values(), *drawn))


@every_pair
def test_float64_and_low_precision(make: Any) -> None:
    (model, guide), x = (program.double().eval() for program in make()), make_clips(2)
    terms = NamedELBO().terms(model, guide, x)
    values: dict[str, Tensor] = {"total": terms.total, **terms.values, **guide(x), **sample_prior(model, 2)}
    assert {value.dtype for value in values.values()} == {torch.float64}
    model, guide = make()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = NamedELBO().terms(model, guide, x.float()).values
        drawn = {**guide(x.float()), **model(batch_size=2)}
    assert {value.dtype for value in (*found.values(), *drawn.values())} == {torch.float32}


@every_pair
def test_is_built_from_its_description(make: Any) -> None:
    x = make_clips(2).float()
    for program in make():
        described = json.loads(json.dumps(describe(program)))
        again = build(described)
        again.load_state_dict(program.state_dict())
        assert describe(again) == described
    torch.testing.assert_close(encode(again, x), encode(program, x))


def test_kl_terms_are_analytic_and_weighted() -> None:
    (model, guide), x = PAIRS["normal-MeanFrames"](), make_clips(3).float()
    torch.manual_seed(0)
    plain = NamedELBO().terms(model, guide, x)
    weights = {"what": 0.5, "where": 20.0}
    torch.manual_seed(0)
    scaled = NamedELBO().terms(scale_latents(model, weights), scale_latents(guide, weights), x)
    assert plain.analytic == {"what", "where"}
    values = plain.values
    torch.testing.assert_close(scaled.total, values["nll"] + 0.5 * values["kl_what"] + 20 * values["kl_where"])


def test_any_number_of_frames_and_still_images() -> None:
    for num_frames in (1, 2, 7):
        x = make_clips(2, num_frames).float()
        for name in ("normal-MeanFrames", "normal-EveryFrame", "delta", "parts-ProductFrames"):
            model, guide = PAIRS[name]()
            assert reconstruct(model, guide, x).shape == x.shape
            assert bool(NamedELBO().terms(model, guide, x).total.isfinite())


def test_queries_exchange_and_traverse() -> None:
    (model, guide), x = (program.eval() for program in PAIRS["normal-MeanFrames"]()), make_clips(4).float()
    codes = encode(guide, x)
    assert {name: tuple(value.shape) for name, value in codes.items()} == {"what": (4, S), "where": (4, T, D)}
    mixed = swap(model, guide, x[:2], x[2:], take=["what"])
    torch.testing.assert_close(mixed, decode(model, {"what": codes["what"][2:], "where": codes["where"][:2]}))
    assert traverse(model, codes, site="where").shape[-3:] == FRAME
    views = guide_of(what_reader=OneFrame(), what_view=RandomShift(2, per_frame=True))
    averaged, one = encode(views, x, num_views=8), encode(views, x)
    assert not torch.equal(averaged["what"], one["what"])
    torch.testing.assert_close(averaged["where"], one["where"])


def test_penalties_of_dependence_take_these_sites() -> None:
    (model, guide), x = PAIRS["normal-MeanFrames"](), make_clips(3).float()
    for penalty in (DensityRatio(S, D, T, 4, static="what", dynamic="where"), SameClip(D, 4)):
        penalized = add_penalty(guide, "apart", penalty, 1.0, side="guide")
        terms = NamedELBO().terms(model, penalized, x)
        terms.total.backward()
        assert float(terms.values["apart"].detach()) > 0
        assert all(p.grad is not None for p in penalty.parameters())


def test_the_first_frame_alone_can_be_scored() -> None:
    (model, guide), x = (program.eval() for program in PAIRS["delta-EveryFrame"]()), make_clips(2).float()
    scored = score_shown_frames(model, torch.tensor([True, False, False, False]))
    found = NamedELBO().terms(scored, guide, x).values["nll"]
    torch.testing.assert_close(found, NamedELBO().terms(model, guide, x[:, :1]).values["nll"])


def gradient(value: Tensor, x: Tensor) -> Tensor:
    return torch.autograd.grad(value.square().sum(), x, retain_graph=True)[0].flatten(2).abs().sum(-1) > 0


@pytest.mark.parametrize("guide_class", [WhatWhereGuide, DeltaWhatWhereGuide])
def test_what_each_code_depends_on(guide_class: Any) -> None:
    torch.manual_seed(0)
    guide, x = guide_of(guide_class).double().eval(), make_clips(2).requires_grad_()
    output, own = guide(x), torch.tensor([[True] * T, [False] * T])
    frame_2 = own & (torch.arange(T) == 2)
    assert torch.equal(gradient(output["what"][0], x), own)
    assert torch.equal(gradient(output["where"][0, 2], x), frame_2)
    assert torch.equal(gradient(output["what_frames"][0, 2], x), frame_2)


def test_places_come_in_the_order_of_what_is_there() -> None:
    """Two squares of two grays, which an encoder from left to right tells apart by side alone, keep their numbers."""
    guide = parts_guide().double().eval()
    with torch.no_grad():
        guide.where_head.linear.weight[:4] = 0
        guide.where_head.linear.bias[:4] = torch.tensor([-2.0, 0, 2, 0]).double()
    x = torch.zeros(1, T, *FRAME, dtype=torch.float64)
    for t, (left, right) in enumerate([(1.0, 0.4), (0.4, 1.0), (0.4, 1.0), (1.0, 0.4)]):
        x[0, t, 0, 3:5, 1:3], x[0, t, 0, 3:5, 5:7] = left, right
    first = encode(guide, x)["where"][0, :, 0].sign()
    assert first.tolist() == [-1, 1, 1, -1]
    unmatched = copy.deepcopy(guide)
    unmatched.matched = False
    assert encode(unmatched, x)["where"][0, :, 0].sign().tolist() == [-1] * T
    codes = encode(guide, x)
    moved = encode(guide, x.roll(1, 1))  # the clip begins with another frame
    torch.testing.assert_close(moved["what"], codes["what"])
    begun = encode(guide, x.roll(-1, 1))  # and so with the other number
    torch.testing.assert_close(begun["what"].unflatten(-1, (2, -1)).flip(1).flatten(1), codes["what"])


def test_where_cannot_see_what_its_view_hides_nor_what_the_place() -> None:
    torch.manual_seed(0)
    guide = guide_of(where_view=Downsample(4)).double().eval()
    x = make_clips(2)
    codes, flipped = encode(guide, x), encode(guide, x.unflatten(-1, (2, 4)).flip(-1).flatten(-2))
    torch.testing.assert_close(flipped["where"], codes["where"])
    assert not torch.allclose(flipped["what"], codes["what"])
    moved = torch.stack([frame.roll((2 * t, 4), (-2, -1)) for t, frame in enumerate(x.unbind(1))], 1)
    torch.testing.assert_close(encode(guide, moved)["what"], codes["what"])


def test_a_frame_is_decoded_from_the_what_of_another() -> None:
    torch.manual_seed(0)
    x = make_clips(3)
    guide = guide_of(DeltaWhatWhereGuide, what_reader=OtherFrame()).double()
    output = guide(x)
    for b in range(3):
        for t in range(T):
            same = [torch.equal(output["what"][b, t], frame) for frame in output["what_frames"][b]]
            assert sum(same) == 1
            assert not same[t]
    guide.eval()
    output = guide(x)
    assert torch.equal(output["what"], output["what_frames"])


def test_copies_do_not_share() -> None:
    guide = guide_of()
    other = copy.deepcopy(guide)
    nn.init.zeros_(other.what_head.linear.weight)
    assert bool(guide.what_head.linear.weight.any())


def test_an_autoencoder_with_barlow_twins_is_trained_saved_and_loaded(tmp_path: Path) -> None:
    (model, guide), x = PAIRS["delta-EveryFrame"](), make_clips(5).float()
    penalized = add_penalty(guide, "barlow_twins", PENALTIES["barlow"], 0.1, side="guide")
    settings = FitSettings(num_epochs=1, batch_size=3, device="cpu", kl_weights={"what": 0.0, "where": 0.0})
    history = pyrodis.fit(model, penalized, x, settings=settings, output=tmp_path / "run")
    assert history.column("train_barlow_twins")[0] > 0
    _, loaded = pyrodis.load(tmp_path / "run")
    torch.testing.assert_close(encode(loaded, x), encode(guide, x))
    with pytest.raises(ValueError, match="take a batch size that leaves no rest of one clip"):
        pyrodis.fit(model, penalized, x, settings=FitSettings(num_epochs=1, batch_size=4, device="cpu"))


X = torch.full((2, T, *FRAME), 0.5)
CASES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "decoder": (lambda: model_of(code_dim=4), ValueError, r"decoder.code_dim must be the size of the joined codes = 5"),
    "decoder of sums": (lambda: model_of(what_dim=D, combine=AddCodes()), ValueError, r"joined codes = 2, got 5"),
    "sizes to add": (lambda: model_of(combine=AddCodes()), ValueError, "must be one size for codes that are added"),
    "flag": (lambda: model_of("yes"), TypeError, "what_per_frame must be True or False, got 'yes'"),
    "no module to join": (lambda: model_of(combine=torch.add), TypeError, "combine must be a module such as Conc"),
    "size": (lambda: guide_of(what_dim=0), ValueError, "what_dim must be a positive whole number, got 0"),
    "nothing to draw": (lambda: model_of()(), ValueError, "pass clips x, or batch_size"),
    "images": (lambda: guide_of()(X[:, 0]), ValueError, r"x must have shape \(B, T, C, H, W\)"),
    "other frames": (lambda: guide_of()(X.repeat(1, 1, 1, 2, 2)), ValueError, r"got \(1, 16, 16\); resize"),
    "one encoder": (
        lambda: WhatWhereGuide(*[PooledEncoder(FRAME, (2,))] * 2),
        ValueError,
        "where_encoder must be another module than what_encoder",
    ),
    "view": (lambda: guide_of(what_view=str.upper), TypeError, "what_view must be a module from frames to frames"),
    "reader": (lambda: guide_of(what_reader="mean"), TypeError, "what_reader must be a module such as MeanFrames()"),
    "reader's shape": (
        lambda: guide_of(what_reader=Broken())(X),
        ValueError,
        r"what_reader must return loc and scale of shape \(B, S\) or \(B, T, S\), one of",
    ),
    "where of fewer frames": (
        lambda: guide_of(where_view=SubsetFrames(2))(X),
        ValueError,
        "where_view must keep the number of frames, since every frame has a code: expected 4, got 2",
    ),
    "where of other pixels": (
        lambda: guide_of(where_view=Downsample(2, restore=False))(X),
        ValueError,
        r"where_view must return frames of the \(C, H, W\) that where_encoder reads, \(1, 8, 8\), got \(1, 4, 4\)",
    ),
    "where-input that does not divide": (
        lambda: guide_of(where_view=Downsample(3))(X),
        ValueError,
        "factor must divide H and W, got 3 for frames of 8 x 8",
    ),
    "what a frame, model a clip": (
        lambda: NamedELBO().loss(model_of(), guide_of(what_reader=EveryFrame()), X),
        ValueError,
        r"site 'what' has event shape \(4, 3\) in the guide and \(3,\) in the model",
    ),
    "one encoder of both": (
        lambda: WhereThenWhatGuide(encoder := PooledEncoder(FRAME, (2,)), Glimpses(FRAME, 2, 4, 8), encoder, 4),
        ValueError,
        "where_encoder must be another module than what_encoder",
    ),
    "no glimpses": (
        lambda: WhereThenWhatGuide(PooledEncoder(FRAME, (2,)), 4, PooledEncoder((1, 4, 4), (2,)), 4),  # type: ignore[arg-type]
        TypeError,
        "glimpses must be a pyrodis.nn.Glimpses, got 4",
    ),
    "glimpses of another size": (
        lambda: WhereThenWhatGuide(
            PooledEncoder(FRAME, (2,)), Glimpses(FRAME, 2, 4, 6), PooledEncoder((1, 4, 4), (2,))
        ),
        ValueError,
        r"what_encoder must read glimpses of shape \(1, 6, 6\), got one for \(1, 4, 4\)",
    ),
    "what of no part": (
        lambda: WhereThenWhatGuide(
            PooledEncoder(FRAME, (2,)), Glimpses(FRAME, 2, 4, 4), PooledEncoder((1, 4, 4), (2,)), 5
        ),
        ValueError,
        "what_dim must be a multiple of the number of parts 2, .* got 5",
    ),
    "matched": (lambda: parts_guide(matched=2), TypeError, "matched must be True or False, got 2"),
    "reader of parts": (
        lambda: parts_guide(Broken)(X),
        ValueError,
        r"what_reader must return loc and scale of shape",
    ),
    "where of fewer frames for glimpses": (
        lambda: WhereThenWhatGuide(
            PooledEncoder(FRAME, (2,)),
            Glimpses(FRAME, 2, 4, 4),
            PooledEncoder((1, 4, 4), (2,)),
            4,
            where_view=SubsetFrames(2),
        )(X),
        ValueError,
        "where_view must keep the number of frames",
    ),
    "one frame to normalize": (
        lambda: DeltaWhatWhereGuide(PooledEncoder(FRAME, (2,)), PooledEncoder(FRAME, (2,)))(X[:1, :1]),
        ValueError,
        "batch normalization needs two frames or more a batch in training, got 1",
    ),
}


class Broken(nn.Module):
    """A reader of the wrong shape."""

    def forward(self, loc: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        return loc[:, :2], scale[:, :2]


@pytest.mark.parametrize("case", CASES)
def test_refuses_bad_input(case: str) -> None:
    action, error, sentence = CASES[case]
    with pytest.raises(error, match=sentence):
        action()


def test_joined_codes_broadcast() -> None:
    what, where = torch.zeros(2, 1, 3), torch.ones(5, 2, 4, 2)
    assert ConcatenateCodes()(what, where).shape == (5, 2, 4, 5)


class NormalizedSum(nn.Module):
    """A way to join codes that has weights, learns from batches and draws."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm, self.drop = nn.Linear(S + D, S), nn.BatchNorm1d(S), nn.Dropout()
        self.drop.eval()

    def forward(self, what: Tensor, where: Tensor) -> Tensor:
        return self.drop(self.norm(self.layer(torch.cat([what, where], -1))))


def test_a_model_leaves_no_trace_in_what_joins_its_codes() -> None:
    combine = NormalizedSum().double()
    state = copy.deepcopy(combine.state_dict())
    before = torch.get_rng_state()
    model = WhatWhereVAE(nn.Identity(), NormalPixels(), S, D, T, combine=combine)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, state[name]) for name, value in model.combine.state_dict().items())
    assert (combine.training, combine.norm.training, combine.drop.training) == (True, True, False)
