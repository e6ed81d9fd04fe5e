"""What items hold beside frames, handed to model and guide; components that are kept from images without their type."""

from __future__ import annotations

from pathlib import Path

import pyro
import pytest
import torch

import pyrodis
from pyrodis.datasets import FlatScenes, PresentTypes
from pyrodis.guides import ParallelGuide
from pyrodis.infer import FitSettings, fit_stages, individual_stages, score_shown_frames
from pyrodis.models import MaskedNormal, MixturePixels, ParallelVAE
from pyrodis.nn import StridedDecoder, StridedEncoder
from pyrodis.regularizers import claim_penalty, silence_penalty

SETTINGS = FitSettings(num_epochs=1, batch_size=4, device="cpu", inputs=("present",))


def pair(num: int = 3, likelihood: torch.nn.Module | None = None) -> tuple[ParallelVAE, ParallelGuide]:
    torch.manual_seed(0)
    decoders = [StridedDecoder(2, (4, 64, 64), widths=(2, 2), hidden_dim=4) for _ in range(num)]
    encoders = [StridedEncoder((3, 64, 64), widths=(2, 2), feature_dim=4) for _ in range(num)]
    return ParallelVAE(decoders, likelihood or MixturePixels(), 2), ParallelGuide(encoders, 2)


@pytest.mark.parametrize("likelihood", [MixturePixels(), MaskedNormal()])
def test_absent_components_take_no_pixel_and_get_no_gradient_from_the_image(likelihood: torch.nn.Module) -> None:
    model, guide = pair(likelihood=likelihood)
    x = torch.rand(2, 1, 3, 64, 64)
    present = torch.tensor([[True, False, True]] * 2)
    terms = pyrodis.NamedELBO().terms(model, guide, x, present=present)
    terms.values["nll"].backward()
    grads = [[p.grad for p in decoder.parameters()] for decoder in model.decoders]
    assert all(grad is None or not grad.any() for grad in grads[1])
    assert any(grad.any() for grad in grads[0])
    assert all(torch.isfinite(grad).all() for grad in (*grads[0], *grads[2]))
    masks = model(x, present=present)["masks"]
    assert not masks[:, 1].any()
    torch.testing.assert_close(masks.sum(1), torch.ones(2, 64, 64))


def test_an_image_with_two_of_three_is_that_of_a_model_of_the_two() -> None:
    model, _ = pair()
    few = ParallelVAE([model.decoders[0], model.decoders[2]], MixturePixels(), 2)
    z, x = torch.randn(3, 5, 2), torch.rand(5, 1, 3, 64, 64)
    present = torch.tensor([[True, False, True]] * 5)

    def log_prob(program: torch.nn.Module, code: torch.Tensor, **given: torch.Tensor) -> torch.Tensor:
        with pyro.poutine.trace() as trace, pyro.poutine.condition(data={"z": code}):
            program.eval()(x, **given)
        trace.trace.compute_log_prob()
        return trace.trace.nodes["x"]["log_prob"]

    torch.testing.assert_close(log_prob(model, z, present=present), log_prob(few, z[[0, 2]]))


def test_an_image_of_nothing_is_shared_by_all() -> None:
    model, _ = pair()
    z = torch.randn(3, 1, 2)
    with pyro.poutine.condition(data={"z": z}):
        model.eval()
        nothing = model(batch_size=1, present=torch.zeros(1, 3, dtype=torch.bool))["masks"]
        assert torch.equal(nothing, model(batch_size=1)["masks"])


def test_guides_tell_the_divergence_of_each_component() -> None:
    model, guide = pair()
    x = torch.rand(2, 1, 3, 64, 64)
    told = guide.eval()(x)
    torch.testing.assert_close(told["kl"], pyrodis.infer.component_kl(model, guide, x))
    assert told["present"].all()


@pytest.mark.parametrize("likelihood", [MixturePixels(0.4), MaskedNormal(0.4)])
def test_with_claims_the_absent_learn_their_confidence_and_not_to_draw(likelihood: torch.nn.Module) -> None:
    """At confidences, claims add the gradient that `MaskedNormal` has without labels; at images they add nothing."""
    model, _ = pair(likelihood=likelihood)
    x, z = torch.rand(2, 1, 3, 64, 64), torch.randn(3, 2, 2)
    present = torch.tensor([[True, False, True], [False, False, True]])

    def gradients(program: torch.nn.Module, **given: torch.Tensor) -> list[torch.Tensor]:
        """Of the channels that a component draws and, last, of its confidence."""
        with pyro.poutine.trace() as trace, pyro.poutine.condition(data={"z": z}):
            program.eval()(x, **given)
        model.zero_grad()
        trace.trace.log_prob_sum().backward()
        return [decoder.convolutions[-1].bias.grad.clone() for decoder in model.decoders]  # type: ignore[union-attr]

    price = lambda out: claim_penalty(out["x"], out["components"], out["confidence"], 0.4)  # noqa: E731
    both = gradients(pyrodis.add_penalty(model, "claims", price, 1.0, side="model"), present=present)
    told = gradients(model, present=present)
    untold = gradients(ParallelVAE(model.decoders, MaskedNormal(0.4), 2))
    for k in range(3):
        torch.testing.assert_close(both[k][:-1], told[k][:-1])
        torch.testing.assert_close(both[k][-1], told[k][-1] + untold[k][-1])
    assert not told[1].any()
    assert not both[1][:-1].any()
    assert both[1][-1] != 0


def test_models_tell_their_confidence_whatever_is_present() -> None:
    model, _ = pair()
    with pyro.poutine.condition(data={"z": torch.randn(3, 2, 2)}):
        free = model.eval()(batch_size=2)
        told = model(batch_size=2, present=torch.tensor([[True, False, False]] * 2))
    torch.testing.assert_close(free["confidence"].softmax(1), free["masks"])
    assert torch.equal(told["confidence"], free["confidence"])
    assert not torch.equal(told["masks"], free["masks"])


def test_fit_hands_inputs_to_both_programs(tmp_path: Path) -> None:
    scenes = PresentTypes(FlatScenes(num_images=8, num_objects=(1, 2)))
    weighted = {}
    for weight in (1.0, 3.0):
        model, guide = pair()
        price = lambda out: silence_penalty(out["kl"], out["present"])  # noqa: E731
        silent = pyrodis.add_penalty(guide, "silence", price, weight, side="guide")
        output = tmp_path / str(weight)
        history = pyrodis.fit(model, silent, scenes, validation=scenes, settings=SETTINGS, output=output)
        row = history.rows[-1]
        assert row["validation_silence"] > 0
        parts = row["validation_nll"] + row["validation_kl_z"] + row["validation_silence"]
        assert row["validation_total"] == pytest.approx(parts, rel=1e-6)
        weighted[weight] = row["train_silence"]
    assert weighted[3.0] == pytest.approx(3 * weighted[1.0], rel=0.01)  # of two steps, the first from the same weights


class Lit(torch.nn.Module):
    """Frames as bright as an input says."""

    def forward(
        self, x: torch.Tensor | None = None, batch_size: int | None = None, light: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        num = batch_size if x is None else len(x)
        loc = torch.zeros(num, 2, 1, 4, 4) if light is None else light.view(-1, 1, 1, 1, 1).expand(num, 2, 1, 4, 4)
        with pyro.plate("data", num, dim=-1):
            pyro.sample("x", pyro.distributions.Normal(loc, 1.0).to_event(4), obs=x)
        return {"reconstruction": loc}


def test_a_model_of_shown_frames_is_given_inputs() -> None:
    shown, light = score_shown_frames(Lit(), torch.tensor([True, False])), torch.tensor([0.2, 0.7])
    for given in ({"x": torch.rand(2, 2, 1, 4, 4)}, {"batch_size": 2}):
        assert torch.equal(shown(**given, light=light)["reconstruction"][:, 0, 0, 0, 0], light)


class Deaf(ParallelVAE):
    """A model that takes frames alone."""

    def forward(self, x: torch.Tensor | None = None, batch_size: int | None = None) -> dict[str, torch.Tensor]:  # type: ignore[override]
        return super().forward(x, batch_size)


def test_programs_that_take_no_inputs_are_refused_before_a_run_is_removed(tmp_path: Path) -> None:
    (model, guide), scenes = pair(), PresentTypes(FlatScenes(num_images=4))
    deaf = Deaf(model.decoders, MixturePixels(), 2)
    (tmp_path / "run").mkdir()
    sentence = "model must take 'present', as inputs asks for it, but Deaf.forward does not"
    with pytest.raises(ValueError, match=sentence):
        pyrodis.fit(deaf, guide, scenes, settings=SETTINGS, output=tmp_path / "run", overwrite=True)
    with pytest.raises(ValueError, match=sentence):
        fit_stages(deaf, guide, individual_stages(3), lambda items: (scenes, None), settings=SETTINGS)
    assert not any((tmp_path / "run").iterdir())


def test_stages_whose_data_lack_inputs_are_refused_before_any_training(tmp_path: Path) -> None:
    model, guide = pair()
    labeled, bare = PresentTypes(FlatScenes(num_images=4)), FlatScenes(num_images=4)
    stages, settings = individual_stages(3, num_epochs=1), SETTINGS
    with pytest.raises(ValueError, match="items of training data of stage 'train-2' must hold a tensor 'present'"):
        fit_stages(
            model,
            guide,
            stages,
            lambda items: (bare if len(items) == 3 else labeled, None),
            settings=settings,
            output=tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


def test_bad_inputs() -> None:
    model, guide = pair()
    scenes = FlatScenes(num_images=4)
    with pytest.raises(ValueError, match="items of train must hold a tensor 'present', as inputs asks for it, got x"):
        pyrodis.fit(model, guide, scenes, settings=SETTINGS)
    with pytest.raises(ValueError, match="items of validation must hold a tensor 'present'"):
        pyrodis.fit(model, guide, PresentTypes(scenes), validation=scenes, settings=SETTINGS)
    with pytest.raises(TypeError, match="inputs must be a list of names of what items hold, got 'present'"):
        FitSettings(inputs="present")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='inputs must be names that differ, none "x"'):
        FitSettings(inputs=("present", "x"))
    x = torch.rand(2, 1, 3, 64, 64)
    with pytest.raises(ValueError, match=r"present must have shape \(B, K\) = \(2, 3\), got \(3, 2\)"):
        guide(x, present=torch.ones(3, 2, dtype=torch.bool))
    with pytest.raises(TypeError, match=r"present must be a tensor of bools \(B, K\), got torch.float32"):
        model(x, present=torch.ones(2, 3))
    some = torch.rand(2, 1, 3, 8, 8), torch.rand(2, 3, 3, 8, 8), torch.rand(2, 3, 8, 8)
    with pytest.raises(ValueError, match=r"and \(B, K, H, W\), got .*, \(2, 3, 3, 8, 8\) and \(2, 4, 8, 8\)$"):
        claim_penalty(*some[:2], torch.rand(2, 4, 8, 8))
    with pytest.raises(ValueError, match=r"x, components and confidence must have shapes .*, got \(3, 1, 3, 8, 8\), "):
        claim_penalty(torch.rand(3, 1, 3, 8, 8), *some[1:])
    with pytest.raises(ValueError, match="scale must be a finite number above 0, got 0"):
        claim_penalty(*some, 0.0)
    with pytest.raises(ValueError, match=r"kl and present must have one shape"):
        silence_penalty(torch.ones(2, 3), torch.ones(3, 2, dtype=torch.bool))
    with pytest.raises(TypeError, match="present must be a tensor of bools"):
        silence_penalty(torch.ones(2, 3), torch.ones(2, 3))
