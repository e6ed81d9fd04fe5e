"""Parallel VAEs: the contract, masks, components in another order, draws in front, precision, saving, and bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from torch import Tensor, nn

import pyrodis
from pyrodis.guides import ParallelGuide
from pyrodis.infer import FitSettings, NamedELBO
from pyrodis.infer.describe import build, describe
from pyrodis.infer.sites import get_trace
from pyrodis.models import MaskedNormal, MixturePixels, ParallelVAE
from pyrodis.nn import (
    BroadcastDecoder,
    ConvDecoder,
    GridDecoder,
    GridEncoder,
    GridLocScale,
    LocScale,
    StridedEncoder,
)
from pyrodis.regularizers import mask_entropy_penalty
from pyrodis.testing import check_model_guide
from tests.components import IMAGE, C, D, H, K, W, fresh_pair, make_codes, make_images, make_pair

LIKELIHOODS = pytest.mark.parametrize("likelihood", [MaskedNormal, MixturePixels])


def with_entropy(model: nn.Module, weight: float = 0.009) -> Any:
    return pyrodis.add_penalty(
        model, "entropy", lambda output: mask_entropy_penalty(output["masks"]), weight, side="model"
    )


def run(model: nn.Module, z: Tensor, x: Tensor) -> dict[str, Tensor]:
    with pyro.poutine.condition(data={"z": z}):
        return model(x)


@LIKELIHOODS
@pytest.mark.parametrize("num", [1, K])
def test_keeps_the_contract(num: int, likelihood: type) -> None:
    torch.manual_seed(0)
    check_model_guide(lambda: fresh_pair(num, likelihood), make_images().float())


def test_keeps_the_contract_with_the_entropy_penalty() -> None:
    def make() -> tuple[nn.Module, nn.Module]:
        model, guide = fresh_pair()
        return with_entropy(model), guide

    torch.manual_seed(0)
    check_model_guide(make, make_images().float())


@pytest.mark.parametrize("decoder_class", [ConvDecoder, BroadcastDecoder])
def test_takes_the_decoders_of_frames(decoder_class: Any) -> None:
    decoders = [decoder_class(D, (2, 8, 8)) for _ in range(2)]
    output = ParallelVAE(decoders, MixturePixels(), D)(torch.rand(3, 1, 1, 8, 8))
    assert output["components"].shape == (3, 2, 1, 8, 8)


@LIKELIHOODS
def test_shapes_masks_and_mixture(likelihood: type) -> None:
    model, _ = make_pair(likelihood=likelihood)
    output = run(model, make_codes(), make_images())
    assert {name: tuple(value.shape) for name, value in output.items()} == {
        "z": (K, 4, D),
        "x": (4, 1, *IMAGE),
        "masks": (4, K, H, W),
        "components": (4, K, *IMAGE),
        "reconstruction": (4, 1, *IMAGE),
        "confidence": (4, K, H, W),
    }
    torch.testing.assert_close(output["masks"].sum(1), torch.ones(4, H, W, dtype=torch.float64))
    assert float(output["masks"].detach().std(1).mean()) > 0.01
    mixed = sum(output["masks"][:, k, None, None] * output["components"][:, k, None] for k in range(K))
    torch.testing.assert_close(output["reconstruction"], mixed)


@LIKELIHOODS
def test_masks_permute_with_their_components(likelihood: type) -> None:
    model, guide = make_pair(likelihood=likelihood)
    z, x, order = make_codes(), make_images(), [2, 0, 1]
    before, score = run(model, z, x), get_trace(pyro.poutine.condition(model, data={"z": z}), x).log_prob_sum()
    means = pyrodis.encode(guide, x)["z"]
    model.decoders = nn.ModuleList(model.decoders[k] for k in order)
    guide.encoders = nn.ModuleList(guide.encoders[k] for k in order)
    guide.heads = nn.ModuleList(guide.heads[k] for k in order)
    after = run(model, z[order], x)
    for name in ("masks", "components"):
        torch.testing.assert_close(after[name], before[name][:, order])
        assert not torch.allclose(after[name], before[name])
    torch.testing.assert_close(after["reconstruction"], before["reconstruction"])
    torch.testing.assert_close(pyrodis.encode(guide, x)["z"], means[order])
    permuted = get_trace(pyro.poutine.condition(model, data={"z": z[order]}), x).log_prob_sum()
    torch.testing.assert_close(permuted, score)


def test_one_component_has_a_mask_of_one() -> None:
    model, guide = make_pair(1)
    output = model(make_images())
    torch.testing.assert_close(output["masks"], torch.ones(4, 1, H, W, dtype=torch.float64))
    with pytest.raises(ValueError, match="at least two components, got K = 1"):
        NamedELBO().loss(with_entropy(model), guide, make_images())


@LIKELIHOODS
def test_draws_in_front_are_each_scored_and_penalized_once(likelihood: type) -> None:
    """A plate of draws left of the components: x and the penalty must not be counted once a component or a draw."""
    model, guide = make_pair(likelihood=likelihood)
    model, x = with_entropy(model, 0.7), make_images()
    with pyro.plate("draws", 5, dim=-3):
        drawn = get_trace(guide, x)
        with pyro.poutine.replay(trace=drawn):
            scored = get_trace(model, x)
    scored.compute_log_prob()
    z = drawn.nodes["z"]["value"]
    assert z.shape == (5, K, 4, D)
    for name in ("z", "x", "entropy"):
        together = scored.nodes[name]["log_prob"]
        for n in range(5):
            alone = get_trace(pyro.poutine.condition(model, data={"z": z[n]}), x)
            alone.compute_log_prob()
            torch.testing.assert_close(together[n].squeeze(), alone.nodes[name]["log_prob"].squeeze())
        assert together.numel() == 5 * 4 * (K if name == "z" else 1)


def test_decodes_draws_and_the_prior() -> None:
    model, guide = make_pair()
    draws = pyrodis.encode(guide, make_images(), num_samples=5)
    frames = pyrodis.decode(model, draws)
    assert frames.shape == (5, 4, 1, *IMAGE)
    torch.testing.assert_close(frames[3], pyrodis.decode(model, {"z": draws["z"][3]}))
    assert pyrodis.sample_prior(model, 6)["z"].shape == (K, 6, D)
    assert pyrodis.traverse(model, {"z": draws["z"][0]}, dims=[1]).shape == (1, 7, 4, 1, *IMAGE)
    assert bool(pyrodis.importance_bound(model, guide, make_images(), 8).isfinite().all())


@LIKELIHOODS
def test_runs_on_the_meta_device(likelihood: type) -> None:
    model, guide = (program.to("meta") for program in fresh_pair(likelihood=likelihood))
    x = torch.rand(4, 1, *IMAGE, device="meta")
    with pyro.validation_enabled(False):
        terms = NamedELBO().terms(with_entropy(model), guide, x)
        terms.total.backward()
        drawn = model(batch_size=2)
        assert pyrodis.reconstruct(model, guide, x).device.type == "meta"
    assert all(value.device.type == "meta" for value in (*terms.values.values(), *drawn.values()))
    assert all(p.grad is not None for program in (model, guide) for p in program.parameters())


@LIKELIHOODS
def test_float64_stays_float64_and_autocast_ends_before_densities(likelihood: type) -> None:
    model, guide = make_pair(likelihood=likelihood)
    values = {**NamedELBO().terms(with_entropy(model), guide, make_images()).values, **model(batch_size=2)}
    assert {value.dtype for value in values.values()} == {torch.float64}
    model, guide = fresh_pair(likelihood=likelihood)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = NamedELBO().terms(with_entropy(model), guide, make_images().float())
        values = {**terms.values, **model(batch_size=2)}
    assert {value.dtype for value in values.values()} == {torch.float32}
    terms.total.backward()
    assert all(bool(p.grad.isfinite().all()) for program in (model, guide) for p in program.parameters())


@LIKELIHOODS
def test_rebuilds_from_its_description(likelihood: type) -> None:
    for program in fresh_pair(likelihood=likelihood):
        described = json.loads(json.dumps(describe(program)))
        rebuilt = build(described)
        assert type(rebuilt) is type(program)
        assert describe(rebuilt) == described
        rebuilt.load_state_dict(program.state_dict())


def test_a_run_is_loaded_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, guide = fresh_pair()
    x = make_images().float()
    settings = FitSettings(num_epochs=1, batch_size=2, device="cpu")
    pyrodis.fit(with_entropy(model), guide, x, settings=settings, output=tmp_path / "run")
    loaded = pyrodis.load(tmp_path / "run")
    assert torch.equal(pyrodis.reconstruct(*loaded, x), pyrodis.reconstruct(model, guide, x))


def decoders_of(num: int = 2, **rest: Any) -> list[nn.Module]:
    return [ConvDecoder(D, **{"frame_shape": (2, 8, 8), "base_channels": 2, **rest}) for _ in range(num)]


def mixed_model(num: int) -> ParallelVAE:
    return make_pair(num)[0]


CASES: dict[str, tuple[Any, type[Exception], str]] = {
    "no decoder": (lambda: ParallelVAE([], MaskedNormal(), D), ValueError, "decoders must hold one module for each"),
    "no encoder": (lambda: ParallelGuide([], D), ValueError, "encoders must hold one module for each component"),
    "not a list": (lambda: ParallelVAE(decoders_of()[0], MaskedNormal(), D), TypeError, "got ConvDecoder"),
    "not modules": (lambda: ParallelGuide([len], D), TypeError, r"encoders\[0\] must be a torch module"),
    "one twice": (
        lambda: ParallelVAE(decoders_of(1) * 2, MaskedNormal(), D),
        ValueError,
        r"decoders\[1\] is the same module as decoders\[0\]; build one",
    ),
    "code": (lambda: ParallelVAE(decoders_of(), MaskedNormal(), 3), ValueError, r"decoders\[0\].code_dim must be"),
    "latent_dim": (lambda: ParallelVAE(decoders_of(), MaskedNormal(), 0), ValueError, "latent_dim must be a positive"),
    "no confidence": (
        lambda: ParallelVAE(decoders_of(frame_shape=(1, 8, 8)), MaskedNormal(), D),
        ValueError,
        r"\(C \+ 1, H, W\), got \(1, 8, 8\); the last channel is the confidence, so pass \(2, 8, 8\)",
    ),
    "two sizes": (
        lambda: ParallelVAE([*decoders_of(1), *decoders_of(1, frame_shape=(2, 16, 16))], MaskedNormal(), D),
        ValueError,
        "same frame_shape",
    ),
    "frames": (
        lambda: make_pair()[0](make_images().expand(4, 3, *IMAGE)),
        ValueError,
        r"clips of one frame, \(B, 1, C, H, W\), got \(4, 3, 2, 5, 6\)",
    ),
    "frames of the guide": (
        lambda: make_pair()[1](make_images().expand(4, 3, *IMAGE)),
        ValueError,
        "clips of one frame",
    ),
    "rank": (lambda: make_pair()[1](make_images()[:, 0]), ValueError, "one clip is x"),
    "size": (lambda: make_pair()[0](make_images()[..., :4]), ValueError, r"\(C, H, W\) = \(2, 5, 6\)"),
    "fewer components in the model": (
        lambda: NamedELBO().loss(mixed_model(2), make_pair()[1], make_images()),
        ValueError,
        r"K = 2 components, got \(3, 4, 2\); build model and guide with the same number",
    ),
    "latents of fewer components": (
        lambda: pyrodis.decode(make_pair()[0], {"z": make_codes(components=2)}),
        ValueError,
        "latent 'z' must have 3 components along dimension -3, got shape",
    ),
    "latents of one component": (
        lambda: pyrodis.decode(make_pair()[0], {"z": make_codes()[0]}),
        ValueError,
        "latent 'z' must have 3 components",
    ),
    "fewer heads": (
        lambda: ParallelGuide(make_pair()[1].encoders, D, [GridLocScale()]),
        ValueError,
        "heads must be as many as encoders, 3, got 1",
    ),
    "one head twice": (
        lambda: ParallelGuide(make_pair()[1].encoders, D, [GridLocScale()] * K),
        ValueError,
        r"heads\[1\] is the same module as heads\[0\]",
    ),
    "no heads": (lambda: ParallelGuide(make_pair()[1].encoders, D, LocScale(4, D)), TypeError, "heads must be a list"),
    "head of another size": (
        lambda: ParallelGuide([StridedEncoder(IMAGE, (3,), 4)], D, [LocScale(4, D + 1)])(make_images().float()),
        ValueError,
        r"heads\[0\] must give loc and scale of latent_dim = 2, got 3 and 3; build guide",
    ),
    "scale": (lambda: MaskedNormal(0.0), ValueError, "scale must be a finite number above 0"),
    "scale of the mixture": (lambda: MixturePixels("wide"), TypeError, "scale must be a number above 0"),
}


@pytest.mark.parametrize("case", CASES)
def test_refuses_bad_input(case: str) -> None:
    action, error, sentence = CASES[case]
    with pytest.raises(error, match=sentence):
        action()


def grid_pair() -> tuple[ParallelVAE, ParallelGuide]:
    """Two components with codes of one latent in each of 4 x 4 cells."""
    decoders = [GridDecoder(1, (2, 8, 8), 4, (3,)) for _ in range(2)]
    encoders = [GridEncoder((1, 8, 8), 1, 4, (3,)) for _ in range(2)]
    return ParallelVAE(decoders, MixturePixels(), 16), ParallelGuide(encoders, 16, [GridLocScale() for _ in range(2)])


def test_codes_on_a_grid_keep_the_contract() -> None:
    torch.manual_seed(0)
    check_model_guide(grid_pair, torch.rand(4, 1, 1, 8, 8))


def test_the_heads_given_are_those_used() -> None:
    torch.manual_seed(0)
    guide, x = grid_pair()[1].eval(), torch.rand(3, 1, 1, 8, 8)
    for k in range(2):
        features = guide.encoders[k](x[:, 0])
        torch.testing.assert_close(pyrodis.encode(guide, x)["z"][k], features[:, :16])
    assert not [*guide.heads.parameters()]


def test_a_run_with_codes_on_a_grid_is_loaded_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    (model, guide), x = grid_pair(), torch.rand(4, 1, 1, 8, 8)
    settings = FitSettings(num_epochs=1, batch_size=2, device="cpu")
    pyrodis.fit(model, guide, x, settings=settings, output=tmp_path / "run")
    loaded = pyrodis.load(tmp_path / "run")
    assert [type(head) for head in loaded[1].heads] == [GridLocScale] * 2
    assert torch.equal(pyrodis.reconstruct(*loaded, x), pyrodis.reconstruct(model, guide, x))


def test_a_description_without_heads_is_that_of_linear_ones() -> None:
    """Runs that were written before heads could be given."""
    guide = fresh_pair()[1]
    described = describe(guide)
    assert [head["class"] for head in described["arguments"].pop("heads")] == ["LocScale"] * K
    build(described).load_state_dict(guide.state_dict())


def test_encoders_may_differ() -> None:
    encoders = [StridedEncoder(IMAGE, (2,), 4), StridedEncoder(IMAGE, (3, 2), 5)]
    assert ParallelGuide(encoders, D)(torch.rand(3, 1, C, H, W))["z"].shape == (2, 3, D)
