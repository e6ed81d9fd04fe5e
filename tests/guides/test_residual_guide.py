"""The guide of VAEs that look one after the other: what it declares, objects it tells apart, saving, bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from pyro.distributions import Normal
from torch import nn

import pyrodis
from pyrodis.guides import ResidualGuide
from pyrodis.infer import FitSettings, component_kl, measure_factorization
from pyrodis.infer.penalties import innermost
from pyrodis.models import MixturePixels, ParallelVAE
from pyrodis.nn import LocScale, StridedEncoder, UniformDecoder, WindowDecoder, WindowEncoder
from pyrodis.testing import check_model_guide

SHAPE, CODE = (2, 16, 16), 4


def make_parts(windows: int = 2) -> tuple[list[nn.Module], list[nn.Module]]:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"patch_size": 8, "widths": (4,), "hidden_dim": 8}
    decoders = [UniformDecoder(CODE, SHAPE), *(WindowDecoder(CODE, SHAPE, **sizes) for _ in range(windows))]
    ground = nn.Sequential(StridedEncoder(SHAPE, (2, 2), 4), LocScale(4, CODE, 0.1))
    return decoders, [ground, *(WindowEncoder(CODE, SHAPE, **sizes) for _ in range(windows))]


def make_pair(windows: int = 2) -> tuple[ParallelVAE, ResidualGuide]:
    decoders, encoders = make_parts(windows)
    return ParallelVAE(decoders, MixturePixels(0.1), CODE), ResidualGuide(decoders, encoders, CODE)


class Spots(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Two squares of 4 pixels a side on a dark ground, apart from each other."""

    name, num_frames, frame_shape, checksum = "spots", 1, (1, 16, 16), "none"

    def __init__(self, num: int) -> None:
        generator = torch.Generator().manual_seed(num)
        self.places = torch.randint(0, 4, (num, 2), generator=generator)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        x, (left, right) = torch.full((1, 1, 16, 16), 0.1), self.places[index].tolist()
        x[..., 2 + left : 6 + left, 2:6] = 0.9
        x[..., 2 + right : 6 + right, 10:14] = 0.6
        return {"x": x}


def test_codes_are_independent_given_the_image() -> None:
    _, guide = make_pair()
    guide = guide.double()
    x = torch.rand(1, 1, 1, 16, 16, dtype=torch.float64)
    assert guide.factorization() == {"z^1": ("x_1",), "z^2": ("x_1",), "z^3": ("x_1",)}
    assert measure_factorization(guide, x) == guide.factorization()
    with pytest.raises(ValueError, match="num_frames must be 1, since ResidualGuide reads images, got 3"):
        guide.factorization(3)


def test_a_short_training_finds_both_squares_and_is_loaded_whole(tmp_path: Path) -> None:
    model, guide = make_pair()
    settings = FitSettings(num_epochs=30, batch_size=16, learning_rate=0.01, warmup_steps=0, device="cpu")
    pyrodis.fit(model, guide, Spots(128), settings=settings, output=tmp_path / "run")
    x = torch.stack([Spots(7)[i]["x"] for i in range(7)])
    model, guide = model.eval(), guide.eval()
    assert all(ours is theirs for ours, theirs in zip(model.decoders, guide.decoders))
    codes = pyrodis.encode(guide, x)
    with torch.no_grad():
        masks = model.likelihood(*model._decode(codes["z"])).masks
    first, second = ((masks * (x[:, 0] == value)).sum((2, 3))[:, 1:].argmax(1) for value in (0.9, 0.6))
    assert bool((first != second).all())
    again = pyrodis.load(tmp_path / "run")
    torch.testing.assert_close(pyrodis.encode(again[1], x)["z"], codes["z"])
    torch.testing.assert_close(component_kl(*again, x), component_kl(model, guide, x))


def test_the_pair_keeps_the_contract() -> None:
    model, guide = make_pair()
    check_model_guide(lambda: (model, guide), torch.rand(3, 1, 1, 16, 16))


def test_loaded_pairs_share_their_decoders_and_others_are_refused(tmp_path: Path) -> None:
    model, guide = make_pair()
    settings = FitSettings(num_epochs=1, batch_size=16, device="cpu")
    pyrodis.fit(model, guide, Spots(16), settings=settings, output=tmp_path / "run")
    again = pyrodis.load(tmp_path / "run")
    assert again[1].shares_with(again[0])
    pyrodis.fit(*again, Spots(16), settings=settings)
    assert all(torch.equal(a, b) for a, b in zip(again[0].decoders.parameters(), again[1].decoders.parameters()))
    with pytest.raises(ValueError, match="guide must have the very modules of the model that it uses, got others"):
        pyrodis.fit(make_pair()[0], guide, Spots(16), settings=settings)
    with pytest.raises(ValueError, match="model must have 3 decoders, as many as encoders, got 2"):
        guide.share_with(make_pair(1)[0])


def test_the_ground_is_visited_by_all() -> None:
    """A window in the place of the ground is looked at as any ground is."""
    decoders, encoders = make_parts()
    guide = ResidualGuide([decoders[1], decoders[2], decoders[0]], [encoders[1], encoders[2], encoders[0]], CODE)
    x = torch.rand(2, 1, 1, 16, 16)
    with torch.no_grad():
        ground = guide.decoders[0](guide.encoders[0](torch.cat([x[:, 0], torch.zeros(2, 1, 16, 16)], 1))[0])
        distance = (x[:, 0] - ground[:, :1].sigmoid()).abs()[:, 0]
    torch.testing.assert_close(guide(x)["unexplained"][:, 1], distance)


def test_no_gradient_goes_through_what_is_unexplained() -> None:
    _, guide = make_pair()
    output = guide(torch.rand(2, 1, 1, 16, 16))
    assert not output["unexplained"].requires_grad
    output["kl"].sum().backward()
    assert all(p.grad is None for p in guide.decoders.parameters())
    assert all(p.grad is not None for p in guide.encoders[1].parameters())


def test_bad_parts_are_refused() -> None:
    decoders, encoders = make_parts()
    with pytest.raises(ValueError, match="encoders must be as many as decoders, 3, got 2; pass one for each"):
        ResidualGuide(decoders, encoders[:2], CODE)
    with pytest.raises(ValueError, match="decoders must be at least 2, a ground and one VAE"):
        ResidualGuide(decoders[:1], encoders[:1], CODE)
    with pytest.raises(ValueError, match=r"encoders\[2\] is the same module as encoders\[1\]"):
        ResidualGuide(decoders, [encoders[0], encoders[1], encoders[1]], CODE)
    with pytest.raises(TypeError, match="decoders must be a list of modules"):
        ResidualGuide(decoders[0], encoders, CODE)  # type: ignore[arg-type]


def test_encoders_and_images_of_another_size_are_refused() -> None:
    decoders, encoders = make_parts()
    x = torch.rand(2, 1, 1, 16, 16)
    with pytest.raises(ValueError, match=r"encoders\[0\] must give loc and scale of latent_dim = 3, got 4"):
        ResidualGuide(decoders, encoders, 3)(x)
    bare = [encoders[0][0], *encoders[1:]]  # type: ignore[index]
    with pytest.raises(ValueError, match=r"encoders\[0\] must give loc and scale, got Tensor; put a pyrodis.nn.LocSc"):
        ResidualGuide(decoders, bare, CODE)(x)

    class Pair(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[int, int]:
            return 1, 2

    with pytest.raises(ValueError, match=r"encoders\[1\] must give loc and scale, got tuple; put a pyrodis.nn.LocSc"):
        ResidualGuide(decoders, [encoders[0], Pair(), encoders[2]], CODE)(x)
    with pytest.raises(TypeError, match=r"decoders\[0\] must give a tensor, images and a confidence, got tuple"):
        ResidualGuide([Pair(), *decoders[1:]], encoders, CODE)(x)
    other = [nn.Sequential(UniformDecoder(CODE, (4, 16, 16))), *decoders[1:]]
    with pytest.raises(ValueError, match=r"decoders\[0\] must give images and a confidence of shape \(2, 16, 16\)"):
        ResidualGuide(other, encoders, CODE)(x)
    with pytest.raises(ValueError, match=r"x must have images of shape \(1, 16, 16\), as the decoders draw, got \(3,"):
        ResidualGuide(decoders, encoders, CODE)(torch.rand(2, 1, 3, 16, 16))
    with pytest.raises(ValueError, match="frame"):
        ResidualGuide(decoders, encoders, CODE)(torch.rand(2, 3, 1, 16, 16))


def test_a_preview_shares_decoders_as_the_pair_does(monkeypatch: pytest.MonkeyPatch) -> None:
    from pyrodis.infer import callbacks

    clock, seen = iter(range(0, 10**6, 50)), []
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: float(next(clock)))
    settings = FitSettings(num_epochs=2, batch_size=8, device="cpu", preview=lambda *pair: seen.append(pair))
    pair = make_pair()
    pyrodis.fit(*pair, Spots(16), settings=settings)
    assert seen
    assert all(guide.shares_with(model) and model is not pair[0] for model, guide in seen)


class Borrower(nn.Module):
    """A guide of one's own, which reads with the decoder's layer turned round."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        with pyro.plate("data", len(x), dim=-1):
            return {"z": pyro.sample("z", Normal(x.flatten(1) @ self.layer.weight, 1.0).to_event(1))}

    def shares_with(self, model: nn.Module) -> bool:
        return self.layer is model.layer

    def share_with(self, model: nn.Module) -> None:
        self.layer = model.layer  # type: ignore[assignment]


class Drawer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 4)

    def forward(self, x: torch.Tensor | None = None, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        size = (batch_size or 1) if x is None else len(x)
        with pyro.plate("data", size, dim=-1):
            z = pyro.sample("z", Normal(torch.zeros(size, 2), 1.0).to_event(1))
            pixels = Normal(self.layer(z).reshape(size, 1, 1, 2, 2), 0.1).to_event(4)
            return {"x": pyro.sample("x", pixels, obs=x), "z": z}


def test_a_guide_of_ones_own_says_that_it_shares(tmp_path: Path) -> None:
    model, settings = Drawer(), FitSettings(num_epochs=1, device="cpu")
    guide = Borrower(model.layer)
    pyrodis.fit(model, guide, torch.rand(4, 1, 1, 2, 2), settings=settings, output=tmp_path)
    again = pyrodis.load(tmp_path, Drawer(), Borrower(nn.Linear(2, 4)))
    assert again[1].layer is again[0].layer
    assert torch.equal(again[0].layer.weight, model.layer.weight)
    with pytest.raises(ValueError, match=r"very modules of the model .* call guide\.share_with\(model\)"):
        pyrodis.fit(Drawer(), guide, torch.rand(4, 1, 1, 2, 2), settings=settings)


def test_a_pair_inside_penalties_shares_when_loaded(tmp_path: Path) -> None:
    model, settings = Drawer(), FitSettings(num_epochs=1, device="cpu")
    pyrodis.fit(model, Borrower(model.layer), torch.rand(4, 1, 1, 2, 2), settings=settings, output=tmp_path)

    def penalized(program: nn.Module, side: str) -> nn.Module:
        return pyrodis.add_penalty(program, "size", lambda output: output["z"].square().mean(-1), 1.0, side=side)

    again = pyrodis.load(tmp_path, penalized(Drawer(), "model"), penalized(Borrower(nn.Linear(2, 4)), "guide"))
    assert innermost(again[1]).layer is innermost(again[0]).layer
