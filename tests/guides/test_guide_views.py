"""Guides with views: what each code may see, the contract, and that guides without views are as they were."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from torch import Tensor, nn

import pyrodis
from pyrodis.guides import FactorizedGuide, FramewiseGuide, FullGuide, SmoothingGuide
from pyrodis.infer import FitSettings
from pyrodis.models import DSVAE, LSTMPrior, NormalPixels
from pyrodis.nn import (
    ConvDecoder,
    ConvEncoder,
    Downsample,
    GaussianBlur,
    PatchShuffle,
    RandomCrop,
    RandomGray,
    SingleFrame,
    SubsetFrames,
)
from pyrodis.testing import check_model_guide
from tests.pairs import FRAME, D, S, T, every_guide, make_clips, make_guide, make_views
from tests.test_dependence import EVERY_FRAME, EXPECTED, SAME_CLIP, B, depends, inputs, parameters_of, site

# Sums of the draws of f and z, and the number of weights, of guides as they were before there were views.
WITHOUT_VIEWS = {
    FactorizedGuide: (-0.12444952130317688, -1.8218549489974976, 724),
    FramewiseGuide: (-0.12444952130317688, 0.4284079670906067, 580),
    FullGuide: (-0.12444952130317688, 2.7061243057250977, 1156),
    SmoothingGuide: (-0.12444952130317688, 2.4363367557525635, 1032),
}


class Counted(nn.Module):
    """A view that changes nothing and counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, frames: Tensor) -> Tensor:
        self.shapes.append(tuple(frames.shape))
        return frames


class Blind(nn.Module):
    """A view of nothing."""

    def forward(self, frames: Tensor) -> Tensor:
        return torch.zeros_like(frames)


class FirstChannel(nn.Module):
    """A view that changes the shape of frames."""

    def forward(self, frames: Tensor) -> Tensor:
        return frames[..., 0, :, :]


def count_calls(module: nn.Module) -> list[int]:
    calls: list[int] = []
    module.register_forward_hook(lambda *_: calls.append(1))
    return calls


def maker(guide_class: Any) -> Callable[[], tuple[nn.Module, nn.Module]]:
    def make() -> tuple[nn.Module, nn.Module]:
        decoder = ConvDecoder(S + D, FRAME, base_channels=2)
        model = DSVAE(decoder, LSTMPrior(D, hidden_dim=4), NormalPixels(), S, D, num_frames=T)
        encoder = ConvEncoder(FRAME, 4, base_channels=2)
        return model, guide_class(encoder, S, D, hidden_dim=4, **make_views())

    return make


@every_guide
def test_without_views_nothing_has_changed(guide_class: type) -> None:
    torch.manual_seed(5)
    guide: Any = guide_class(ConvEncoder(FRAME, 4, base_channels=2), S, D, hidden_dim=4)
    calls = count_calls(guide.encoder)
    torch.manual_seed(6)
    drawn = {name: value.detach() for name, value in guide(make_clips(2).float()).items()}
    f, z, num_weights = WITHOUT_VIEWS[guide_class]
    assert float(drawn["f"].sum()) == pytest.approx(f, rel=1e-4)
    assert float(drawn["z"].sum()) == pytest.approx(z, rel=1e-4)
    assert float(torch.rand(())) == 0.21090328693389893  # as many random numbers were used
    assert sum(parameter.numel() for parameter in guide.parameters()) == num_weights
    assert len(calls) == 1


@every_guide
@pytest.mark.parametrize("own_encoder", [False, True])
def test_each_view_is_applied_once(guide_class: type, own_encoder: bool) -> None:
    static_view, dynamic_view = Counted(), Counted()
    dynamic_encoder = ConvEncoder(FRAME, 5, base_channels=2) if own_encoder else None
    views = {"static_view": static_view, "dynamic_view": dynamic_view, "dynamic_encoder": dynamic_encoder}
    guide = make_guide(guide_class, **views)
    calls = [count_calls(encoder) for encoder in (guide.encoder, guide.dynamic_encoder) if encoder is not None]
    with pyro.plate("num_samples", 7, dim=-2):
        assert guide(make_clips(2))["z"].shape == (7, 2, T, D)
    assert static_view.shapes == dynamic_view.shapes == [(2, T, *FRAME)]
    assert [len(c) for c in calls] == ([1, 1] if own_encoder else [2])


def test_one_object_as_both_views_is_applied_once() -> None:
    view = Counted()
    guide = make_guide(FullGuide, static_view=view, dynamic_view=view)
    calls = count_calls(guide.encoder)
    guide(make_clips(2))
    assert len(view.shapes) == len(calls) == 1


@every_guide
def test_a_single_frame_for_f_and_all_for_z(guide_class: type) -> None:
    guide, (x, latents) = make_guide(guide_class, static_view=SingleFrame()), inputs()
    on_frames = depends(parameters_of(site(guide, x, latents, "f"), latents["f"]), x)
    assert torch.equal(on_frames.sum(2), torch.eye(B, dtype=torch.long))  # one frame of its clip, none of another
    frames, _, _ = EXPECTED[guide_class]
    output = parameters_of(site(guide, x, latents, "z"), latents["z"])
    assert torch.equal(depends(output, x), (frames & SAME_CLIP).expand(B, T, B, T))


@every_guide
@pytest.mark.parametrize("own_encoder", [False, True])
def test_what_a_code_may_not_see(guide_class: type, own_encoder: bool) -> None:
    """With f given, z depends on its view alone, and f on its own."""
    frames, _, _ = EXPECTED[guide_class]
    expected = {"f": SAME_CLIP[:, 0].expand(B, B, T), "z": (frames & SAME_CLIP).expand(B, T, B, T)}
    for name, argument in (("f", "static_view"), ("z", "dynamic_view")):
        encoder = ConvEncoder(FRAME, 5, base_channels=2) if own_encoder else None
        guide, (x, latents) = make_guide(guide_class, dynamic_encoder=encoder, **{argument: Blind()}), inputs()
        seen = {key: depends(parameters_of(site(guide, x, latents, key), latents[key]), x) for key in ("f", "z")}
        assert not seen[name].any()
        other = "z" if name == "f" else "f"
        assert torch.equal(seen[other], expected[other])


def test_a_view_may_widen_what_a_frame_s_code_sees() -> None:
    """A dynamic view that reorders frames gives z_t another frame: it is the view's frame t that z_t reads."""
    guide, (x, latents) = make_guide(FramewiseGuide, dynamic_view=SingleFrame()), inputs()
    on_frames = depends(parameters_of(site(guide, x, latents, "z"), latents["z"]), x)
    assert not torch.equal(on_frames, (EXPECTED[FramewiseGuide][0] & SAME_CLIP).expand(B, T, B, T))
    assert not (on_frames & ~(EVERY_FRAME & SAME_CLIP)).any()


@every_guide
def test_keeps_the_contract(guide_class: type) -> None:
    """In training mode the views draw, and every way to the loss draws the same after the same seed."""
    torch.manual_seed(0)
    check_model_guide(maker(guide_class), make_clips(3).float())


@every_guide
def test_codes_are_a_function_of_the_clip(guide_class: type) -> None:
    torch.manual_seed(0)
    (_, guide), x = maker(guide_class)(), make_clips(3).float()
    means = pyrodis.encode(guide, x)
    assert guide.training
    for name, value in pyrodis.encode(guide, x).items():
        assert torch.equal(value, means[name])
        torch.testing.assert_close(pyrodis.encode(guide, x[1:2])[name], value[1:2])
    assert pyrodis.encode(guide, x, num_samples=5)["z"].shape == (5, 3, T, D)


@every_guide
def test_runs_on_the_meta_device(guide_class: type) -> None:
    model, guide = (program.to("meta") for program in maker(guide_class)())
    x = torch.rand(2, T, *FRAME, device="meta")
    with pyro.validation_enabled(False):
        pyrodis.NamedELBO().terms(model, guide, x).total.backward()
        assert pyrodis.encode(guide, x)["z"].device.type == "meta"
    assert all(parameter.grad is not None for parameter in guide.parameters())


@every_guide
def test_float64_stays_float64(guide_class: type) -> None:
    model, guide = (program.double() for program in maker(guide_class)())
    terms = pyrodis.NamedELBO().terms(model, guide, make_clips(2))
    terms.total.backward()
    assert {value.dtype for value in terms.values.values()} == {torch.float64}
    assert {parameter.grad.dtype for parameter in guide.parameters()} == {torch.float64}


def test_a_run_with_views_loads(tmp_path: Path) -> None:
    torch.manual_seed(0)
    (model, guide), x = maker(FullGuide)(), make_clips(4).float()
    settings = FitSettings(num_epochs=1, batch_size=2, device="cpu")
    pyrodis.fit(model, guide, x, settings=settings, output=tmp_path / "run")
    _, loaded = pyrodis.load(tmp_path / "run")
    assert type(loaded.static_view) is PatchShuffle
    assert loaded.static_view.patch_size == 4
    assert [type(part).__name__ for part in loaded.dynamic_view] == ["RandomTones", "Downsample"]
    expected = pyrodis.encode(guide, x)
    for name, value in pyrodis.encode(loaded, x).items():
        assert torch.equal(value, expected[name])


ENCODER = ConvEncoder(FRAME, 4, base_channels=2)
BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "view of no module": ({"static_view": "gray"}, TypeError, "static_view must be a module from frames to frames or"),
    "a class": ({"dynamic_view": PatchShuffle}, TypeError, "dynamic_view must be a module from frames to frames or"),
    "no encoder": ({"dynamic_encoder": 4}, TypeError, "dynamic_encoder must be a module from frames to features or"),
    "one encoder": ({"dynamic_encoder": ENCODER}, ValueError, "dynamic_encoder must be another module than encoder"),
    "no features": ({"dynamic_encoder": nn.Identity()}, TypeError, "feature_dim must be a positive whole number"),
    "no clips": (
        {"static_view": FirstChannel()},
        ValueError,
        "static_view must return frames (B, T, C, H, W), B = 2 as x has, got (2, 4, 8, 8)",
    ),
    "other frames for z": (
        {"dynamic_view": SubsetFrames(3)},
        ValueError,
        "dynamic_view must keep the number of frames, since every frame has a code: expected 4, got 3; a view",
    ),
    "smaller frames": (
        {"static_view": Downsample(2, restore=False)},
        ValueError,
        "static_view must return frames of the (C, H, W) that encoder reads, (1, 8, 8), got (1, 4, 4); build encoder",
    ),
    "smaller frames for z": (
        {"dynamic_view": RandomCrop(4, enlarge=False), "dynamic_encoder": ConvEncoder(FRAME, 5, base_channels=2)},
        ValueError,
        "dynamic_view must return frames of the (C, H, W) that dynamic_encoder reads, (1, 8, 8), got (1, 4, 4)",
    ),
    "patches": ({"dynamic_view": PatchShuffle(3)}, ValueError, "patch_size must divide H and W, got 3"),
    "other frames": (
        {"dynamic_encoder": ConvEncoder((3, 8, 8), 4, base_channels=2)},
        ValueError,
        "x must have frames of shape (C, H, W) = (3, 8, 8), got (1, 8, 8)",
    ),
}


@every_guide
@pytest.mark.parametrize("case", BAD)
def test_refuses_bad_views(guide_class: type, case: str) -> None:
    views, error, text = BAD[case]
    with pytest.raises(error, match=re.escape(text)):
        guide_class(ENCODER, S, D, hidden_dim=4, **views)(make_clips(2).float())


@every_guide
def test_views_may_change_what_frames_look_like_and_how_many_f_sees(guide_class: type) -> None:
    """Each encoder reads frames of its own shape: gray and small ones for f, whole ones for z."""
    static_view = nn.Sequential(
        SubsetFrames(3, all_in_eval=False), RandomGray(keep_channels=False), Downsample(2, False)
    )
    encoder, dynamic_encoder = ConvEncoder((1, 8, 8), 4, 2), ConvEncoder((3, 16, 16), 5, 2)
    guide: Any = guide_class(encoder, S, D, 4, static_view=static_view, dynamic_encoder=dynamic_encoder)
    shapes: list[tuple[int, ...]] = []
    encoder.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(inputs[0].shape)))
    codes = guide.eval()(torch.rand(2, T, 3, 16, 16))
    assert (codes["f"].shape, codes["z"].shape) == ((2, S), (2, T, D))
    assert shapes == [(2, 3, 1, 8, 8)]
    swapped: Any = guide_class(
        dynamic_encoder, S, D, 4, dynamic_view=nn.Sequential(*static_view[1:]), dynamic_encoder=encoder
    )
    assert swapped(torch.rand(2, T, 3, 16, 16))["z"].shape == (2, T, D)
    assert shapes[-1] == (2, T, 1, 8, 8)


def test_one_object_as_both_views_must_keep_the_frames() -> None:
    view = SubsetFrames(3)
    guide: Any = FullGuide(ENCODER, S, D, hidden_dim=4, static_view=view, dynamic_view=view)
    with pytest.raises(ValueError, match="static_view must keep the number of frames"):
        guide(make_clips(2).float())


def test_x_is_checked_before_a_view_sees_it() -> None:
    guide: Any = FullGuide(ENCODER, S, D, hidden_dim=4, static_view=GaussianBlur(1.0))
    with pytest.raises(ValueError, match=r"x must have shape \(B, T, C, H, W\), got \(4, 1, 8, 8\); one clip is x"):
        guide(make_clips(2).float()[0])
