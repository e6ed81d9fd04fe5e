"""What guides declare is what their Jacobians show, guide by guide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyro
import pytest
import torch
from pyro.distributions import Normal
from torch import Tensor, nn

import pyrodis.guides
from pyrodis.guides import (
    DeltaGuide,
    DeltaWhatWhereGuide,
    EigenvalueGuide,
    Factorization,
    FactorizedGuide,
    FramewiseGuide,
    FullGuide,
    GridGuide,
    InertialGuide,
    InformationGuide,
    MeanFieldGuide,
    ParallelGuide,
    SmoothingGuide,
    StructuredGuide,
    WhatThenWhereGuide,
    WhatWhereGuide,
    WhereThenWhatGuide,
)
from pyrodis.infer import measure_factorization
from pyrodis.nn import (
    EveryFrame,
    Glimpses,
    GridEncoder,
    HideFrames,
    MedianFrame,
    Motion,
    OneFrame,
    OtherFrame,
    ProductFrames,
)
from pyrodis.testing import check_factorization
from tests.pairs import TRANSITIONS

T = 4


class Pixels(nn.Module):
    """A little network on the pixels of a frame."""

    feature_dim = 3

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, frames: Tensor) -> Tensor:
        return self.linear(frames.flatten(-3)).tanh()


def clips(num_frames: int = T) -> Tensor:
    return torch.rand(3, num_frames, 1, 2, 2, generator=torch.Generator().manual_seed(0))


def structured(transition: Any, static_dim: int | None) -> StructuredGuide:
    return StructuredGuide(Pixels(), 2, 4, transition=transition(3, 2, hidden_dim=4), static_dim=static_dim)


def what_where(guide: Any, reader: Any, **rest: Any) -> Any:
    return guide(Pixels(), Pixels(), 3, 2, what_reader=reader, **rest)


def cells() -> GridEncoder:
    return GridEncoder((1, 2, 2), 1, grid=2, widths=(2,), batch_norm=False)


class Finder(nn.Module):
    """Looks at a frame and at what with one linear layer."""

    feature_dim = 3

    def __init__(self) -> None:
        super().__init__()
        self.pixels, self.what = Pixels(), nn.Linear(3, 3)

    def forward(self, frames: Tensor, what: Tensor) -> Tensor:
        return (self.pixels(frames) * self.what(what)).tanh()


def what_then_where(reader: Any) -> Any:
    return WhatThenWhereGuide(Pixels(), Finder(), 3, 2, what_reader=reader)


def where_then_what(reader: Any, matched: bool = False) -> Any:
    """Glimpses of the four pixels around each of two places in a frame of two by two."""
    glimpses = Glimpses((1, 2, 2), num_parts=2, patch_size=1, size=2)
    return WhereThenWhatGuide(Pixels(), glimpses, Pixels(), 4, what_reader=reader, matched=matched)


MAKERS: dict[str, Callable[[], Any]] = {
    **{
        f"{cls.__name__}-{dim}": lambda cls=cls, dim=dim: cls(Pixels(), dim, 2, hidden_dim=4)
        for cls in (FullGuide, SmoothingGuide, FactorizedGuide, FramewiseGuide)
        for dim in (3, None)
    },
    **{
        f"StructuredGuide-{cls.__name__}-{dim}": lambda cls=cls, dim=dim: structured(cls, dim)
        for cls in TRANSITIONS
        for dim in (3, None)
    },
    "MeanFieldGuide": lambda: MeanFieldGuide(Pixels(), 2),
    "DeltaGuide": lambda: DeltaGuide(Pixels(), 2),
    "InformationGuide": lambda: InformationGuide(Pixels(), 2),
    "EigenvalueGuide": lambda: EigenvalueGuide(Pixels(), 2, hidden_dim=4),
    **{f"InertialGuide-{g}": lambda g=g: InertialGuide(Pixels(), 2, gamma=g, alpha=0.7) for g in (0.0, 0.3, 1.0)},
    "GridGuide": lambda: GridGuide(cells(), cells()),
    "GridGuide-Motion": lambda: GridGuide(cells(), cells(), static_view=MedianFrame(), dynamic_view=Motion()),
    "WhatWhereGuide-None": lambda: what_where(WhatWhereGuide, None),
    "WhatWhereGuide-ProductFrames": lambda: what_where(WhatWhereGuide, ProductFrames()),
    "WhatWhereGuide-EveryFrame": lambda: what_where(WhatWhereGuide, EveryFrame()),
    "WhatThenWhereGuide-None": lambda: what_then_where(None),
    "WhatThenWhereGuide-EveryFrame": lambda: what_then_where(EveryFrame()),
    "WhereThenWhatGuide-None": lambda: where_then_what(None),
    "WhereThenWhatGuide-EveryFrame": lambda: where_then_what(EveryFrame()),
    "DeltaWhatWhereGuide": lambda: what_where(DeltaWhatWhereGuide, None),
}


def make(name: str) -> Any:
    torch.manual_seed(1)
    guide = MAKERS[name]()
    for part in guide.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight)
    return guide


@pytest.mark.parametrize("name", MAKERS)
def test_the_jacobian_is_as_declared(name: str) -> None:
    guide = make(name)
    before = {key: value.clone() for key, value in guide.state_dict().items()}
    found = measure_factorization(guide, clips())
    assert {key: set(value) for key, value in found.items()} == {k: set(v) for k, v in guide.factorization(T).items()}
    assert guide.training
    assert all(torch.equal(value, before[key]) for key, value in guide.state_dict().items())


@pytest.mark.parametrize("reader", [None, EveryFrame()])
def test_the_order_of_places_reads_all_frames_without_a_derivative(reader: Any) -> None:
    guide = where_then_what(reader, matched=True)
    check_factorization(guide, clips(), may_see_less=True)
    with pytest.raises(AssertionError, match=r"where_1 does not depend on \['x_2', 'x_3', 'x_4'\]"):
        check_factorization(guide, clips())
    declared = guide.factorization(2)
    assert declared["where_2"] == ("x_1", "x_2")
    what = {"what": ("where_1", "where_2", "x_1", "x_2")} if reader is None else {"what_1": ("where_1", "x_1")}
    assert {name: declared[name] for name in what} == what


def test_components_read_the_image_and_not_each_other() -> None:
    guide = ParallelGuide([Pixels(), Pixels()], 2)
    assert guide.factorization() == {"z^1": ("x_1",), "z^2": ("x_1",)}
    assert measure_factorization(guide, clips(1)) == guide.factorization()
    with pytest.raises(ValueError, match="num_frames must be 1, since ParallelGuide reads images, got 3"):
        guide.factorization(3)


def test_every_guide_of_the_library_declares() -> None:
    guides = [
        cls for name in pyrodis.guides.__all__ if name.endswith("Guide") for cls in [getattr(pyrodis.guides, name)]
    ]
    tested = {name.split("-")[0] for name in MAKERS} | {"ParallelGuide", "ResidualGuide"}
    assert {cls.__name__ for cls in guides} == tested
    assert all(callable(cls.factorization) for cls in guides)


@pytest.mark.parametrize("name", MAKERS)
def test_a_declaration_is_a_directed_acyclic_graph(name: str) -> None:
    frames = {f"x_{t + 1}" for t in range(T)}
    drawn: set[str] = set()
    declared: Factorization = make(name).factorization(T)
    for code, seen in declared.items():
        assert len(set(seen)) == len(seen)
        assert set(seen) <= frames | drawn
        drawn.add(code)


def test_one_frame_is_enough() -> None:
    for name in MAKERS:
        guide = make(name)
        found = measure_factorization(guide, clips(1))
        declared = guide.factorization(1) | ({"z_1": ()} if "Motion" in name else {})  # in one frame nothing moves
        assert {k: set(v) for k, v in found.items()} == {k: set(v) for k, v in declared.items()}


def test_views_and_readers_show_less_than_is_declared() -> None:
    views = FramewiseGuide(Pixels(), 3, 2, hidden_dim=4, static_view=HideFrames(2))
    one = what_where(WhatWhereGuide, OneFrame())
    other = what_where(WhatWhereGuide, OtherFrame())
    for guide in (views, one, other):
        found, declared = measure_factorization(guide, clips()), guide.factorization(T)
        assert found.keys() == declared.keys()
        assert all(set(found[code]) <= set(declared[code]) for code in declared)
        check_factorization(guide, clips(), may_see_less=True)
        with pytest.raises(AssertionError, match="does not depend on"):
            check_factorization(guide, clips())


class Leaky(FramewiseGuide):
    """Says frame-wise, and reads the other frames."""

    def forward(self, x: Tensor, batch_size: int | None = None) -> dict[str, Tensor]:
        return super().forward(x + 1e-6 * x.mean(1, keepdim=True))


def test_the_check_finds_a_planted_leak() -> None:
    check_factorization(make("FramewiseGuide-3"), clips())
    with pytest.raises(AssertionError, match=r"z_1 depends on \['x_2', 'x_3', 'x_4'\], which factorization\(4\) does"):
        check_factorization(Leaky(Pixels(), 3, 2, hidden_dim=4), clips(), may_see_less=True)


def test_the_check_names_what_is_missing() -> None:
    with pytest.raises(AssertionError, match="Linear has no method factorization"):
        check_factorization(nn.Linear(2, 2), clips())
    guide = make("MeanFieldGuide")
    guide.factorization = lambda num_frames: {"y": ()}
    with pytest.raises(AssertionError, match=r"declares factors of \['y'\], its codes are \['z_1',"):
        check_factorization(guide, clips())


@pytest.mark.parametrize("num_frames", [0, -1])
def test_refuses_no_frames(num_frames: int) -> None:
    with pytest.raises(ValueError, match=f"num_frames must be .*{num_frames}"):
        make("FullGuide-3").factorization(num_frames)


def test_refuses_clips_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"must have shape \(B, T, C, H, W\)"):
        measure_factorization(make("FullGuide-3"), torch.zeros(3, 1, 2, 2))


class Odd(nn.Module):
    """A guide whose code is longer than the clip."""

    def forward(self, x: Tensor, batch_size: int | None = None) -> dict[str, Tensor]:
        loc = x.mean((1, 2, 3, 4))[:, None, None].expand(-1, T + 3, 2)
        with pyro.plate("data", len(x), dim=-1):
            return {"z": pyro.sample("z", Normal(loc, 1).to_event(2))}


def test_refuses_codes_that_are_of_no_frame() -> None:
    with pytest.raises(NotImplementedError, match=rf"'z' must have an event shape .* with T = {T}, got \({T + 3}, 2\)"):
        measure_factorization(Odd(), clips())
