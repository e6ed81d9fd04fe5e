"""Penalties of whole runs: what they cost, whom they train, and that queries and traces do not see them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from torch import Tensor, nn
from torch.nn.functional import softplus

from pyrodis.guides import (
    BasisTransition,
    DenseTransition,
    DiagonalTransition,
    FramewiseGuide,
    RotationTransition,
    StructuredGuide,
)
from pyrodis.infer import Contrast, DensityRatio, FitSettings, GuideRun, MutualInformation, Reencoding, SameClip
from pyrodis.infer.checkpoint import RunState
from pyrodis.infer.elbo import NamedELBO
from pyrodis.infer.engine import Engine
from pyrodis.infer.loading import load
from pyrodis.infer.penalties import add_guide_penalty, add_penalty, innermost, penalty_modules, wrappers
from pyrodis.infer.queries import encode, reconstruct
from pyrodis.infer.second_pass import second_pass, unseen
from pyrodis.infer.sites import get_trace, given_past
from pyrodis.infer.training import fit
from pyrodis.nn import ConvEncoder, FrameShuffle, RandomTones, SubtractMean
from pyrodis.testing import check_model_guide, tiny_dsvae
from tests.pairs import D, S, T, clone, every_guide, gradients, make_clips, make_guide, make_model, make_pair

RECIPES: dict[str, Callable[[nn.Module, nn.Module], nn.Module]] = {
    "mutual_information": lambda m, g: add_guide_penalty(g, "p", MutualInformation(100), 0.3),
    "contrast_f": lambda m, g: add_guide_penalty(g, "p", Contrast("f", FrameShuffle()), 0.3),
    "contrast_z": lambda m, g: add_guide_penalty(g, "p", Contrast("z", RandomTones()), 0.3),
    "reencoding": lambda m, g: add_guide_penalty(g, "p", Reencoding(m), 0.3),
    "same_clip": lambda m, g: add_penalty(g, "p", SameClip(D, 8, "z").double(), 0.3, side="guide"),
    "density_ratio": lambda m, g: add_penalty(g, "p", DensityRatio(S, D, T, 8).double(), 0.3, side="guide"),
}
every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)


def terms(model: nn.Module, guide: nn.Module, x: Tensor) -> Any:
    torch.manual_seed(0)
    return NamedELBO().terms(model, guide, x)


def zero_free(found: dict[str, Tensor], prefix: str) -> set[str]:
    return {name for name, value in found.items() if name.startswith(prefix) and bool((value != 0).any())}


@every_recipe
@every_guide
def test_adds_one_named_term_and_changes_no_other(guide_class: type, recipe: Any) -> None:
    (model, guide), x = make_pair(guide_class), make_clips(3)
    plain, penalized = terms(model, guide, x), terms(model, recipe(model, guide), x)
    assert set(penalized.values) - set(plain.values) == {"p"}
    for name, value in plain.values.items():
        assert torch.equal(penalized.values[name], value), name
    assert float(penalized.values["p"].detach().abs()) > 1e-6
    torch.testing.assert_close(penalized.total, plain.total + penalized.values["p"])


@every_recipe
def test_queries_see_through(recipe: Any) -> None:
    (model, guide), x = make_pair(), make_clips(3)
    penalized = recipe(model, guide)
    assert torch.equal(reconstruct(model, penalized, x), reconstruct(model, guide, x))
    torch.manual_seed(0)
    draws = encode(penalized, x, num_samples=5)
    torch.manual_seed(0)
    assert torch.equal(draws["z"], encode(guide, x, num_samples=5)["z"])


@every_recipe
def test_a_batch_of_one_clip_is_no_special_case(recipe: Any) -> None:
    (model, guide), x = make_pair(), make_clips(1)
    assert bool(terms(model, recipe(model, guide), x).total.isfinite())


@every_recipe
def test_vectorized_particles_give_one_value_a_datum_and_particle(recipe: Any) -> None:
    (model, guide), x = make_pair(), make_clips(3)
    trace = get_trace(pyro.poutine.trace(pyro.plate("particles", 6, dim=-2)(recipe(model, guide))), x)
    assert trace.nodes["p"]["fn"].log_factor.shape == (6, 3)


@every_recipe
@pytest.mark.filterwarnings("ignore:Found plate statements in guide but not model")
def test_svi_trains_everything(recipe: Any) -> None:
    model, guide = make_pair()
    penalized = recipe(model, guide)
    before = clone(model, penalized)
    torch.manual_seed(0)
    SVI(model, penalized, pyro.optim.Adam({"lr": 1e-3}), Trace_ELBO()).step(make_clips(3))
    for old, new in zip(before, (model, penalized)):
        for (name, was), now in zip(old.named_parameters(), new.parameters()):
            assert not now.requires_grad or not torch.equal(was, now), name


@pytest.mark.filterwarnings("ignore:Found plate statements in guide but not model")
def test_the_contract_of_a_pair_holds_with_penalties() -> None:
    def make() -> tuple[nn.Module, nn.Module]:
        model, guide = tiny_dsvae()
        guide = add_penalty(guide, "ratio", DensityRatio(3, 2, 5, 4), 20.0, side="guide")
        return model, guide

    check_model_guide(make, torch.rand(3, 5, 1, 8, 8, generator=torch.Generator().manual_seed(0)))


def test_same_clip_trains_codes_and_discriminator_each_by_its_own_loss() -> None:
    torch.manual_seed(0)
    penalty, codes = SameClip(2, 4), torch.randn(5, 4, 2, requires_grad=True)
    weights = list(penalty.parameters())
    found = torch.autograd.grad(penalty({"where": codes}).sum(), [codes, *weights])
    later = codes.roll(-2, 1)
    seen, same, other = (
        penalty.network(torch.cat([codes, part], -1)).squeeze(-1) for part in (later, later, later.roll(1, 0))
    )
    doubt = (softplus(seen) + softplus(-seen)).mean(-1).sum() / 2
    torch.testing.assert_close(found[0], torch.autograd.grad(doubt, codes, retain_graph=True)[0])
    entropy = (softplus(-same) + softplus(other)).mean(-1).sum()
    for ours, theirs in zip(found[1:], torch.autograd.grad(entropy, weights)):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("output", "match"),
    [
        ({"z": torch.zeros(2, 4, 2)}, "must return the site 'where', got"),
        ({"where": torch.zeros(2, 4, 3)}, r"'where' must have shape \(..., B, T, 2\) with T of 2 or more"),
        ({"where": torch.zeros(2, 1, 2)}, r"with T of 2 or more, got \(2, 1, 2\)"),
    ],
)
def test_same_clip_refuses_bad_input(output: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        SameClip(2)(output)


# The density ratio.


def test_codes_and_discriminator_get_a_gradient_each_of_its_own() -> None:
    torch.manual_seed(0)
    ratio = DensityRatio(2, 2, 1, 4)
    f, z = torch.randn(5, 2, requires_grad=True), torch.randn(5, 1, 2, requires_grad=True)
    weights = list(ratio.parameters())
    found = torch.autograd.grad(ratio({"f": f, "z": z}).sum(), [f, z, *weights])
    logit, other = (ratio.network(torch.cat([f, part.flatten(1)], 1)) for part in (z, z.roll(1, 0)))
    of_codes = torch.autograd.grad(logit.sum(), [f, z], retain_graph=True)
    cross_entropy = -(logit.sigmoid().log() + (1 - other.sigmoid()).log()).sum()
    of_weights = torch.autograd.grad(cross_entropy, weights)
    torch.testing.assert_close(found, (*of_codes, *of_weights))
    assert all(bool((g != 0).any()) for g in found)


def test_a_trained_discriminator_measures_the_mutual_information() -> None:
    torch.manual_seed(0)
    ratio, correlation = DensityRatio(1, 1, 1, 32), 0.9
    optimizer = torch.optim.Adam(ratio.parameters(), lr=3e-3)

    def codes(num: int) -> dict[str, Tensor]:
        f = torch.randn(num, 1)
        return {"f": f, "z": (correlation * f + math.sqrt(1 - correlation**2) * torch.randn(num, 1)).unsqueeze(1)}

    for _ in range(400):
        optimizer.zero_grad()
        ratio(codes(256)).mean().backward()
        optimizer.step()
    test = codes(20_000)
    with torch.no_grad():
        value = ratio.network(torch.cat([test["f"], test["z"].flatten(1)], 1)).mean()
    exact = -0.5 * math.log(1 - correlation**2)
    assert abs(float(value) - exact) < 0.15 * exact


@pytest.mark.parametrize(
    ("output", "match"),
    [
        ({"f": torch.zeros(2, 3)}, r"must return the site 'z', got \['f'\]"),
        ({"f": torch.zeros(2, 4), "z": torch.zeros(2, 5, 2)}, r"'f' must have shape \(\.\.\., B, 3\), got \(2, 4\)"),
        ({"f": torch.zeros(2, 3), "z": torch.zeros(2, 4, 2)}, r"'z' must have shape .* got \(2, 4, 2\); build"),
        ({"f": torch.zeros(3), "z": torch.zeros(2, 5, 2)}, r"'f' must have shape"),
    ],
)
def test_density_ratio_refuses_other_codes(output: dict[str, Tensor], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        DensityRatio(3, 2, 5)(output)


# Contrast.


def test_a_view_that_shows_everything_tells_clips_apart_best() -> None:
    guide, x = make_guide(), make_clips(6)

    class Mixed(nn.Module):
        def forward(self, frames: Tensor) -> Tensor:
            return frames.roll(1, 0)

    def contrast(view: nn.Module) -> Tensor:
        model = make_model()
        return terms(model, add_guide_penalty(guide, "c", Contrast("f", view, 0.1), 1.0), x).values["c"]

    assert contrast(nn.Identity()) < contrast(FrameShuffle()) < contrast(Mixed())


def test_the_gradient_of_a_contrast_passes_through_both_runs() -> None:
    model, guide = make_pair()
    x, view = make_clips(3), nn.Linear(8, 8).double()
    found = terms(model, add_guide_penalty(guide, "c", Contrast("z", view), 1.0), x).values["c"]
    assert len(zero_free(gradients([guide, view], found), "1.")) == 2


def test_contrast_refuses_what_is_no_view() -> None:
    with pytest.raises(TypeError, match="view must be a module from frames to frames, got 'shuffle'"):
        Contrast("f", "shuffle")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="temperature must be a finite number above 0, got -1"):
        Contrast("f", FrameShuffle(), -1)


# Re-encoding.


def test_reencoding_trains_decoder_and_second_run_alone() -> None:
    (model, guide), x = make_pair(), make_clips(3)
    value = terms(model, add_guide_penalty(guide, "again", Reencoding(model), 1.0), x).values["again"]
    found = gradients([model, guide], value)
    assert zero_free(found, "0.") == {name for name in found if name.startswith("0.decoder")}
    trained = {name for name in found if name.startswith("1.")}
    assert zero_free(found, "1.") >= {name for name in trained if "encoder" in name and "bias" not in name}
    kept = x.clone().requires_grad_()
    torch.manual_seed(0)
    penalty = get_trace(add_guide_penalty(guide, "again", Reencoding(model), 1.0), kept).nodes["again"]["fn"].log_factor
    assert torch.autograd.grad(penalty.sum(), kept, allow_unused=True) == (None,)


def test_the_model_is_registered_once(tmp_path: Path) -> None:
    model, guide = tiny_dsvae()
    penalized = add_guide_penalty(guide, "again", Reencoding(add_penalty(model, "m", abs, 1.0, side="model")), 1.0)
    assert [*penalized.parameters()] == [*guide.parameters()]
    assert penalty_modules(penalized)["again"].model is model
    fit(model, penalized, torch.rand(4, 5, 1, 8, 8), settings=FitSettings(num_epochs=1, device="cpu"), output=tmp_path)
    assert {name: v.shape for name, v in load(tmp_path)[1].state_dict().items()} == {
        name: v.shape for name, v in guide.state_dict().items()
    }


def test_reencoding_refuses_sites_that_are_not_there() -> None:
    model, guide = make_pair()
    for static in ((), ("f", "z"), ("g",)):
        with pytest.raises(ValueError, match=r"some but not all of the guide's sites \['f', 'z'\]"):
            add_guide_penalty(guide, "again", Reencoding(model, static), 1.0)(make_clips(2))
    with pytest.raises(TypeError, match="model must be a torch module that is a Pyro program, got str"):
        Reencoding("model")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match='static must be a list of site names, got the string "what"'):
        Reencoding(model, "what")


# The second run.


def test_a_second_run_leaves_no_trace_and_no_statistics() -> None:
    guide = FramewiseGuide(ConvEncoder((1, 16, 16), 4, base_channels=2), S, D, hidden_dim=4)
    x = torch.rand(3, T, 1, 16, 16)
    before = clone(guide)[0].state_dict()
    with pyro.poutine.trace() as messenger, pyro.poutine.scale(scale=2.0):
        sites = second_pass(guide, x)
    assert list(sites) == ["f", "z"]
    assert not messenger.trace.nodes
    assert sites["f"]["scale"] == 1
    assert all(torch.equal(before[name], value) for name, value in guide.state_dict().items())
    get_trace(guide, x)
    assert any(not torch.equal(before[name], value) for name, value in guide.state_dict().items())


def test_the_statistics_are_kept_again_after_an_error() -> None:
    norm = nn.BatchNorm1d(1)
    with pytest.raises(RuntimeError, match="stop"), unseen(norm):
        raise RuntimeError("stop")
    assert norm.track_running_stats


def test_a_second_run_normalizes_by_the_batch_in_training_and_by_statistics_in_eval() -> None:
    norm, x = nn.BatchNorm1d(1), torch.tensor([[1.0], [3.0]])
    with unseen(norm):
        torch.testing.assert_close(norm(x).mean(), torch.tensor(0.0))
        torch.testing.assert_close(norm.eval()(x), x, rtol=1e-4, atol=1e-4)


# Wrappers.


def test_nested_penalties_see_the_guide_itself() -> None:
    (model, guide), x = make_pair(), make_clips(3)
    seen: list[GuideRun] = []

    def penalty(run: GuideRun) -> Tensor:
        seen.append(run)
        return torch.zeros(3)

    wrapped = add_guide_penalty(add_guide_penalty(guide, "a", penalty, 1.0), "b", penalty, 1.0)
    assert set(terms(model, wrapped, x).values) == {"nll", "kl_f", "kl_z", "a", "b"}
    assert [run.guide for run in seen] == [guide, guide]
    assert all(set(run.sites) == {"f", "z"} for run in seen)
    assert innermost(wrapped) is guide


def test_a_penalty_that_names_no_site_says_so() -> None:
    guide = add_guide_penalty(make_guide(), "mi", MutualInformation(9, static="g"), 1.0)
    with pytest.raises(ValueError, match=r"a penalty names the site 'g', the guide has \['f', 'z'\]"):
        guide(make_clips(2))


def test_a_weight_is_checked() -> None:
    with pytest.raises(ValueError, match="the weight of p must be finite and 0 or more, got -1"):
        add_guide_penalty(make_guide(), "p", MutualInformation(9), -1.0)
    with pytest.raises(ValueError, match="num_data must be a positive whole number, got 0"):
        MutualInformation(0)


def test_wrappers_are_described_with_their_settings() -> None:
    guide = make_guide()
    guide = add_guide_penalty(guide, "c", Contrast("f", FrameShuffle(3), 0.2), 0.5)
    guide = add_guide_penalty(guide, "mi", MutualInformation(100), 0.1)
    described = json.loads(json.dumps(wrappers(guide)))
    assert [(d["penalty"], d["weight"], d["side"]) for d in described] == [("mi", 0.1, "guide"), ("c", 0.5, "guide")]
    assert described[0]["settings"]["arguments"] == {"num_data": 100, "static": "f", "dynamic": "z"}
    view = {"class": "FrameShuffle", "arguments": {"seed": 3}}
    assert described[1]["settings"]["arguments"] == {"site": "f", "view": view, "temperature": 0.2}


def test_warmups_of_single_sites() -> None:
    settings = FitSettings(kl_warmup_epochs={"f": 2}, kl_weights={"z": 3.0})
    model, guide = tiny_dsvae()
    engine = Engine(model, guide, settings, ["f", "z"], (4, 40), RunState(), {})
    assert engine.kl_weights(1) == {"f": 0.25, "z": 3.0}
    assert engine.kl_weights(39) == {"f": 1.0, "z": 3.0}
    settings = FitSettings(num_epochs=1, kl_warmup_epochs={"f": 4}, device="cpu")
    x = torch.rand(3, 5, 1, 8, 8)
    with pytest.warns(
        UserWarning, match="before all KL weights have come to their values, that of 'f' at 0.25 times it;"
    ):
        (row,) = fit(model, guide, x, validation=x, settings=settings).rows
    for part, weight in (("train", 0.25), ("validation", 1.0)):
        expected = row[f"{part}_nll"] + weight * row[f"{part}_kl_f"] + row[f"{part}_kl_z"]
        assert row[f"{part}_total"] == pytest.approx(expected, rel=1e-5)
        assert row[f"{part}_kl_f"] > 1e-3 * row[f"{part}_total"]
    with pytest.raises(ValueError, match="kl_warmup_epochs names the site 'g', the guide has 'f', 'z'"):
        fit(model, guide, torch.rand(3, 5, 1, 8, 8), settings=FitSettings(kl_warmup_epochs={"g": 2}, device="cpu"))


@pytest.mark.parametrize("sites", [("f",), ("f", "z")])
def test_what_all_sites_cool_down_by_is_taken_out_of_the_gradient(sites: tuple[str, ...]) -> None:
    """Else Adam remembers gradients of the prior that are 10,000 times too large for the rest of the training."""
    settings = FitSettings(kl_cooldown_epochs=dict.fromkeys(sites, 1.0))
    model, guide = tiny_dsvae()
    engine = Engine(model, guide, settings, ["f", "z"], (4, 40), RunState(), {})
    engine.set_kl_weights(engine.kl_weights(0))
    objective = engine.training_step({"x": torch.rand(3, 5, 1, 8, 8)}, 0)
    names, values = engine._measured
    total = float(values[names.index("total")])
    assert float(objective.detach()) == pytest.approx(total / (1e4 if len(sites) == 2 else 1.0), rel=1e-5)


def test_a_site_that_cools_down_opens_late() -> None:
    settings = FitSettings(kl_cooldown_epochs={"f": 0.5}, kl_weights={"f": 2.0})
    model, guide = tiny_dsvae()
    engine = Engine(model, guide, settings, ["f", "z"], (4, 40), RunState(), {})
    assert [engine.kl_weights(step)["f"] for step in range(4)] == [2e4, 2e2, 2.0, 2.0]
    assert engine.kl_weights(0)["z"] == 1.0
    with pytest.raises(ValueError, match="kl_cooldown_epochs names the site 'g', the guide has 'f', 'z'"):
        fit(model, guide, torch.rand(3, 5, 1, 8, 8), settings=FitSettings(kl_cooldown_epochs={"g": 2}, device="cpu"))


# SubtractMean.


def test_an_encoder_without_its_mean_in_a_guide_loads_again(tmp_path: Path) -> None:
    model, guide = tiny_dsvae()
    guide.dynamic_encoder = SubtractMean(clone(guide.encoder)[0])
    settings = FitSettings(num_epochs=1, device="cpu")
    fit(model, guide, torch.rand(4, 5, 1, 8, 8), settings=settings, output=tmp_path)
    _, loaded = load(tmp_path)
    assert type(loaded.dynamic_encoder) is SubtractMean
    x = torch.rand(2, 5, 1, 8, 8)
    assert torch.equal(encode(loaded, x)["z"], encode(guide, x)["z"])


def test_subtract_mean_refuses_images_and_what_is_no_encoder() -> None:
    encoder = SubtractMean(make_guide().encoder)
    assert encoder.frame_shape == (1, 8, 8)
    with pytest.raises(ValueError, match=r"frames must have shape \(\.\.\., T, C, H, W\), got \(1, 8, 8\)"):
        encoder(torch.zeros(1, 8, 8, dtype=torch.float64))
    with pytest.raises(TypeError, match=r"encoder\.feature_dim must be a positive whole number, got None"):
        SubtractMean(nn.Identity())
    with pytest.raises(TypeError, match="encoder must be a module from frames to features, got function"):
        SubtractMean(lambda x: x)  # type: ignore[arg-type]


@pytest.mark.parametrize("transition", [DiagonalTransition, BasisTransition, DenseTransition, RotationTransition])
def test_recipes_take_chains_whose_means_do_not_depend_on_draws(transition: type) -> None:
    """Their density is known as it is, and their mean is that of the guide, not that of a draw."""
    torch.manual_seed(0)
    guide = StructuredGuide(ConvEncoder((1, 8, 8), 4, base_channels=2), 2, 6, transition=transition(4, 2))
    x = torch.rand(3, T, 1, 8, 8)
    site = get_trace(guide, x).nodes["z"]
    assert torch.equal(given_past(site).mean, site["fn"].mean)
    contrast = Contrast("z", FrameShuffle())
    value = contrast(GuideRun(guide, x, {"z": site}))
    assert value.shape == (3,)
    assert bool(value.isfinite().all())
