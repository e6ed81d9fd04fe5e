"""A learned similarity: whose gradient is whose, what moves when, and training that goes on bit for bit."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from pyrodis.infer import LearnedSimilarity, NamedELBO
from pyrodis.infer.checkpoint import collect_weights, read_checkpoint, read_weights
from pyrodis.infer.interruption import TrainingInterrupted
from pyrodis.infer.penalties import add_penalty, innermost, wrappers
from pyrodis.infer.settings import FitSettings
from pyrodis.infer.training import fit
from pyrodis.nn import FrameDiscriminator
from pyrodis.testing import check_model_guide, tiny_dsvae


def make_penalty(seed: int = 0, **arguments: Any) -> LearnedSimilarity:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LearnedSimilarity(FrameDiscriminator((1, 8, 8), base_channels=2), **arguments)


def make_pair(seed: int = 0, weight: float = 1.0, **arguments: Any) -> tuple[nn.Module, nn.Module]:
    model, guide = tiny_dsvae(seed)
    penalty = make_penalty(seed, **arguments)
    return add_penalty(model, "similarity", penalty, weight, side="model"), guide


def make_output(requires_grad: bool = False) -> dict[str, Tensor]:
    x, decoded = torch.rand(2, 3, 5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return {"x": x, "reconstruction": decoded.requires_grad_(requires_grad)}


def test_each_side_gets_its_own_gradient() -> None:
    penalty, output = make_penalty(feature_weight=2.0, adversarial_weight=0.5).eval(), make_output(requires_grad=True)
    weights = list(penalty.parameters())
    decoded = output["reconstruction"]
    found = torch.autograd.grad(penalty(output).sum(), [decoded, *weights])
    discriminator = penalty.discriminator
    judged, seen = discriminator(decoded)
    logits, wanted = discriminator(output["x"])
    of_model = (seen - wanted).square().sum() + 0.5 * softplus(-judged).sum()
    (expected,) = torch.autograd.grad(of_model, decoded, retain_graph=True)
    torch.testing.assert_close(found[0], expected)
    of_discriminator = softplus(-logits).sum() + softplus(judged).sum()
    torch.testing.assert_close(found[1:], torch.autograd.grad(of_discriminator, weights))


def test_the_elbo_trains_model_and_discriminator_together_and_each_rightly() -> None:
    """The discriminator's gradient does not know the weights of the model's terms; the model's vanishes with them."""
    x = make_output()["x"]
    gradients = []
    for weight in (0.0, 5.0):
        model, guide = make_pair(feature_weight=weight, adversarial_weight=weight)
        model.eval(), guide.eval()
        torch.manual_seed(0)
        NamedELBO().terms(model, guide, x).total.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    first, second = gradients
    learned = [name for name in first if name.startswith("penalty.")]
    decoder = [name for name in first if name.startswith("program.decoder")]
    assert len(learned) == len(list(make_penalty().parameters()))
    assert decoder
    for name in learned:
        torch.testing.assert_close(first[name], second[name])
    assert not any(torch.allclose(first[name], second[name]) for name in decoder)
    model, guide = tiny_dsvae()
    model.eval(), guide.eval()
    torch.manual_seed(0)
    NamedELBO().terms(model, guide, x).total.backward()
    plain = dict(model.named_parameters())
    for name in decoder:
        torch.testing.assert_close(first[name], plain[name.removeprefix("program.")].grad)


def test_the_contract_of_a_pair_holds_with_it() -> None:
    check_model_guide(make_pair, torch.rand(3, 5, 1, 8, 8, generator=torch.Generator().manual_seed(0)))


def test_some_frames_stand_for_all() -> None:
    output = make_output()
    whole = make_penalty().eval()(output)
    alone = torch.stack([make_penalty().eval()({k: v[:, t : t + 1] for k, v in output.items()}) for t in range(5)])
    torch.testing.assert_close(alone.sum(0), whole)
    torch.testing.assert_close(make_penalty(num_frames=5).eval()(output), whole)
    torch.testing.assert_close(make_penalty(num_frames=2).eval()(output), 5 / 2 * (alone[0] + alone[2]))
    torch.manual_seed(0)
    penalty = make_penalty(num_frames=1).train()
    penalty.discriminator.eval()  # so that spectral norms stay as they are
    found = [[torch.allclose(value, 5 * frame) for frame in alone] for value in (penalty(output) for _ in range(12))]
    assert all(sum(matches) == 1 for matches in found)
    assert len({matches.index(True) for matches in found}) > 2


def test_nothing_moves_in_eval_mode_and_spectral_norms_move_in_training_mode() -> None:
    penalty, output = make_penalty(num_frames=2), make_output()
    state = {name: value.clone() for name, value in penalty.state_dict().items()}
    generator = torch.get_rng_state()
    penalty.eval()(output)
    assert torch.equal(generator, torch.get_rng_state())
    assert all(torch.equal(value, state[name]) for name, value in penalty.state_dict().items())
    for parameter in penalty.parameters():
        parameter.data += torch.linspace(-1, 1, parameter.numel()).reshape(parameter.shape)
    penalty.train()(output)
    assert any(not torch.equal(value, state[name]) for name, value in penalty.state_dict().items() if "_u" in name)


def test_draws_lead() -> None:
    output = make_output()
    both = torch.stack([output["reconstruction"], output["x"]])
    penalty = make_penalty().eval()
    value = penalty({"x": output["x"], "reconstruction": both})
    torch.testing.assert_close(value[0], penalty(output))
    torch.testing.assert_close(penalty.terms({"x": output["x"], "reconstruction": both})["features"][1], torch.zeros(3))


def test_a_discriminator_learns_and_a_decoding_follows_it() -> None:
    """A free image, trained by the penalty alone with the one optimizer, comes close to the real one."""
    torch.manual_seed(0)
    penalty = make_penalty(adversarial_weight=0.1, feature_weight=10.0)
    real = torch.zeros(1, 1, 1, 8, 8)
    real[..., 2:6, 2:6] = 1
    pixels = nn.Parameter(torch.zeros(1, 1, 1, 8, 8))
    optimizer = torch.optim.Adam([pixels, *penalty.parameters()], lr=0.03)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        output = {"x": real, "reconstruction": pixels.sigmoid()}
        penalty(output).sum().backward()
        optimizer.step()
        losses.append((pixels.sigmoid() - real).square().mean().item())
    assert losses[0] == pytest.approx(0.25, abs=0.02)
    assert losses[-1] < 0.05


def train(output: Path | None, stop_at: int = 0, seed: int = 0, **changes: Any) -> dict[str, Tensor]:
    model, guide = make_pair(seed, num_frames=2)
    calls = iter(range(1000))
    if stop_at:
        model.register_forward_hook(lambda *_: os.kill(os.getpid(), signal.SIGINT) if next(calls) == stop_at else None)
    settings = FitSettings(num_epochs=2, batch_size=2, warmup_steps=2, device="cpu", **changes)
    frames = torch.rand(8, 5, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    fit(model, guide, frames[:6], validation=frames[6:], settings=settings, output=output, resume=output is not None)
    return collect_weights(model, guide, penalties=True)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_stopped_training_goes_on_bit_for_bit(tmp_path: Path, precision: str) -> None:
    whole = train(None, precision=precision)
    with pytest.raises(TrainingInterrupted):
        train(tmp_path, stop_at=4, precision=precision)
    saved = read_checkpoint(tmp_path / "checkpoints/last.ckpt")[0]
    assert saved.keys() == whole.keys()
    resumed = train(tmp_path, seed=5, precision=precision)  # other initial weights: all come from the checkpoint
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    shared = read_weights(tmp_path / "weights.safetensors")
    assert shared.keys() == {name for name in whole if not name.startswith("penalty.")}
    before = collect_weights(*make_pair(), penalties=True)
    learned = [name for name in before if name.startswith("penalty.similarity.")]
    assert len(learned) == len(make_penalty().state_dict())
    # The norm of a single row has the one vector (1), up to its sign.
    assert not any(torch.equal(before[name], whole[name]) for name in learned if before[name].numel() > 1)


def test_it_is_described_and_left_out_of_what_is_saved() -> None:
    model, _ = make_pair(num_frames=2)
    assert not isinstance(innermost(model), type(model))
    (wrapper,) = wrappers(model)
    assert wrapper["settings"]["arguments"]["num_frames"] == 2
    assert wrapper["settings"]["arguments"]["discriminator"]["arguments"]["base_channels"] == 2


def test_bad_input() -> None:
    output = make_output()
    with pytest.raises(ValueError, match=r"must return 'x' and 'reconstruction', got \['f', 'z'\]; add the penalty to"):
        make_penalty()({"f": torch.zeros(1), "z": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"must have one shape .*, got \(3, 5, 1, 8, 8\) and \(3, 4, 1, 8, 8\)"):
        make_penalty()(output | {"reconstruction": output["reconstruction"][:, 1:]})
    with pytest.raises(ValueError, match="num_frames must be at most the T of the clips, 5, got 6"):
        make_penalty(num_frames=6)(output)
    with pytest.raises(ValueError, match="num_frames must be a positive whole number, got 0"):
        make_penalty(num_frames=0)
    with pytest.raises(ValueError, match="the weight of features must be finite and 0 or more, got -1"):
        make_penalty(feature_weight=-1)
    with pytest.raises(TypeError, match="discriminator must be a FrameDiscriminator, got Identity"):
        LearnedSimilarity(nn.Identity())  # type: ignore[arg-type]
