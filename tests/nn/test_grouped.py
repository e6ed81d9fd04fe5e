"""Components in groups: outputs, gradients and running averages as one after another, and what cannot run so."""

from __future__ import annotations

import copy
from typing import Any

import pyro
import pytest
import torch
from torch import nn
from torch.func import replace_all_batch_norm_modules_

from pyrodis.guides import ParallelGuide
from pyrodis.infer import FitSettings, NamedELBO
from pyrodis.infer.describe import build, describe
from pyrodis.infer.processes import synchronized_batch_norm
from pyrodis.infer.second_pass import unseen
from pyrodis.models import MixturePixels, ParallelVAE
from pyrodis.nn import GridDecoder, GridEncoder, GridLocScale, StridedDecoder, StridedEncoder
from pyrodis.nn import _grouped as module
from pyrodis.testing import check_model_guide

K, GRID, CHANNELS, IMAGE = 3, 2, 2, (1, 4, 8)
D = CHANNELS * GRID**2


def make_pair(grouped: bool = True, num: int = K, **options: Any) -> tuple[ParallelVAE, ParallelGuide]:
    decoders = [GridDecoder(CHANNELS, (2, 4, 8), GRID, (4, 3), **options) for _ in range(num)]
    encoders = [GridEncoder(IMAGE, CHANNELS, GRID, (3, 4), **options) for _ in range(num)]
    heads = [GridLocScale() for _ in range(num)]
    return ParallelVAE(decoders, MixturePixels(0.3), D, grouped), ParallelGuide(encoders, D, heads, grouped)


def both_ways(**options: Any) -> tuple[Any, Any]:
    """The same model and guide, in double precision, in groups and one component after another."""
    torch.manual_seed(0)
    grouped = nn.ModuleList(make_pair(**options)).double()
    other = copy.deepcopy(grouped)
    for program in other:
        program.grouped = False
    return grouped, other


def images() -> torch.Tensor:
    return torch.rand(5, 1, *IMAGE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def step(pair: Any) -> torch.Tensor:
    with pyro.validation_enabled(False):
        torch.manual_seed(2)
        loss = NamedELBO().differentiable_loss(*pair, images())
    loss.backward()
    return loss.detach()


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("num", [1, K])
@pytest.mark.parametrize("training", [True, False])
def test_loss_gradients_and_averages_are_those_of_one_after_another(num: int, training: bool, batch_norm: bool) -> None:
    grouped, other = (pair.train(training) for pair in both_ways(num=num, batch_norm=batch_norm))
    assert torch.allclose(step(grouped), step(other), rtol=1e-12)
    for (name, ours), theirs in zip(grouped.named_parameters(), other.parameters(), strict=True):
        assert ours.grad is not None, name
        assert torch.allclose(ours.grad, theirs.grad, rtol=1e-9, atol=1e-12), name
    for (name, mean), expected in zip(grouped.named_buffers(), other.buffers(), strict=True):
        assert torch.allclose(mean, expected, rtol=1e-12), name


def test_training_changes_running_averages() -> None:
    grouped, _ = both_ways()
    before = [buffer.clone() for name, buffer in grouped.named_buffers() if "running" in name or "tracked" in name]
    step(grouped)
    after = [buffer for name, buffer in grouped.named_buffers() if "running" in name or "tracked" in name]
    assert len(before) == 3 * K * (3 + 3)
    assert not any(torch.equal(old, new) for old, new in zip(before, after, strict=True))


def count_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Channels and groups of every convolution in groups."""
    calls = []

    def conv2d(x: torch.Tensor, *rest: Any) -> torch.Tensor:
        calls.append((x.shape[1], rest[5]))
        return torch.nn.functional.conv2d(x, *rest)

    def conv_transpose2d(x: torch.Tensor, *rest: Any) -> torch.Tensor:
        calls.append((x.shape[1], rest[5]))
        return torch.nn.functional.conv_transpose2d(x, *rest)

    monkeypatch.setattr(module, "conv2d", conv2d)
    monkeypatch.setattr(module, "conv_transpose2d", conv_transpose2d)
    return calls


def test_runs_one_convolution_a_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_calls(monkeypatch)
    grouped, _ = both_ways()
    grouped[1](images())
    assert calls == [(1, 1), (3 * K, K), (4 * K, K), (4 * K, K)]  # the image is read once, by all
    calls.clear()
    grouped[0](images())
    assert calls == [((CHANNELS + 2) * K, K), (4 * K, K), (4 * K, K), (3 * K, K)]


def test_synchronized_normalization_is_not_grouped(monkeypatch: pytest.MonkeyPatch) -> None:
    grouped, other = (pair.eval() for pair in both_ways())
    calls = count_calls(monkeypatch)
    with synchronized_batch_norm(*grouped):
        found = grouped[1](images())["kl"]
    assert calls == []
    assert torch.equal(found, other[1](images())["kl"])


def test_a_second_run_leaves_the_averages_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_calls(monkeypatch)
    guide = both_ways()[0][1].train()
    before = copy.deepcopy(guide.state_dict())
    with unseen(guide), torch.no_grad():
        guide(images())
    assert len(calls) == 4
    assert all(torch.equal(value, before[name]) for name, value in guide.state_dict().items())


def test_normalization_without_averages_is_not_grouped(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_calls(monkeypatch)
    guides = [replace_all_batch_norm_modules_(pair[1]) for pair in both_ways()]
    found = [guide(images())["kl"] for guide in guides]
    assert calls == []
    assert torch.equal(*found)


def test_a_frozen_component_does_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_calls(monkeypatch)
    grouped, other = both_ways()
    for pair in (grouped, other):
        for part in (pair[0].decoders[1], pair[1].encoders[1]):
            part.eval().requires_grad_(False)
    frozen = [grouped[0].decoders[1], grouped[1].encoders[1]]
    before = [copy.deepcopy(part.state_dict()) for part in frozen]
    assert torch.allclose(step(grouped), step(other), rtol=1e-12)
    for part, state in zip(frozen, before):
        assert all(torch.equal(value, state[name]) for name, value in part.state_dict().items())
        assert all(weight.grad is None for weight in part.parameters())
    assert all(weight.grad is not None for weight in grouped[0].decoders[0].parameters())
    assert calls == []


def test_one_normalization_in_another_mode_is_kept_apart() -> None:
    grouped, other = both_ways()
    for pair in (grouped, other):
        pair[0].decoders[1].convolutions[1].eval()
    assert torch.allclose(step(grouped), step(other), rtol=1e-12)
    for (name, mean), expected in zip(grouped.named_buffers(), other.buffers(), strict=True):
        assert torch.allclose(mean, expected, rtol=1e-12), name


def test_draws_in_front() -> None:
    grouped, other = both_ways()
    z = torch.randn(4, K, 5, D, dtype=torch.float64)
    found = []
    for model, _ in (grouped.eval(), other.eval()):
        with pyro.poutine.condition(data={"z": z}), torch.no_grad(), pyro.plate("draws", 4, dim=-3):
            found.append(model(images())["components"])
    assert torch.allclose(*found, rtol=1e-10)


def test_keeps_the_contract() -> None:
    torch.manual_seed(0)
    check_model_guide(make_pair, images().float())


def test_half_precision_gives_nearly_the_same() -> None:
    pairs = [pair.float() for pair in both_ways()]
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        codes = [guide(images().float())["kl"] for _, guide in pairs]
    assert torch.allclose(*codes, rtol=0.05)


def test_a_training_is_described_and_built_again() -> None:
    model, guide = make_pair()
    assert build(describe(model)).grouped
    assert build(describe(guide)).grouped
    assert not ParallelVAE([StridedDecoder(2, (2, 4, 8), (3,), 4)], MixturePixels(), 2).grouped


def test_trains(tmp_path: Any) -> None:
    import pyrodis

    torch.manual_seed(0)
    pair = make_pair()
    before = copy.deepcopy(pair[0].state_dict())
    data = torch.utils.data.TensorDataset(images().float().repeat(4, 1, 1, 1, 1))
    settings = FitSettings(num_epochs=1, batch_size=10, device="cpu", precision="32-true")
    pyrodis.fit(*pair, [{"x": x} for (x,) in data], settings=settings, output=tmp_path / "run")
    assert not torch.equal(before["decoders.2.convolutions.0.weight"], pair[0].decoders[2].convolutions[0].weight)


def test_refuses_networks_that_cannot_run_in_groups() -> None:
    decoders = [StridedDecoder(D, (2, 4, 8), (3,), 4) for _ in range(2)]
    with pytest.raises(ValueError, match=r"decoders must be GridEncoder or GridDecoder .* got StridedDecoder"):
        ParallelVAE(decoders, MixturePixels(), D, grouped=True)
    with pytest.raises(ValueError, match=r"encoders must be .* got StridedEncoder as encoders\[0\]"):
        ParallelGuide([StridedEncoder(IMAGE, (3,), 4)], D, grouped=True)


def test_refuses_words() -> None:
    with pytest.raises(TypeError, match="grouped must be True or False, got 'no'"):
        make_pair(grouped="no")  # type: ignore[arg-type]


def test_refuses_networks_that_differ() -> None:
    encoders = [GridEncoder(IMAGE, CHANNELS, GRID, (3, width)) for width in (4, 4, 5)]
    heads = [GridLocScale() for _ in encoders]
    with pytest.raises(ValueError, match=r"encoders must all be built alike .* encoders\[2\] is not as encoders\[0\]"):
        ParallelGuide(encoders, D, heads, grouped=True)
