"""What holds for every guide with every prior: the contract, the meta device, float64, low precision, SVI."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pyro
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from torch import Tensor, nn

from pyrodis.infer.elbo import NamedELBO
from pyrodis.infer.queries import decode, encode, reconstruct, sample_prior, swap
from pyrodis.models import DSVAE, BernoulliPixels, NormalPixels
from pyrodis.nn import ConvDecoder, ConvEncoder
from pyrodis.regularizers import temporal_difference
from pyrodis.testing import check_model_guide, check_regularizer, tiny_dsvae
from tests.pairs import FRAME, D, S, T, every_pair, make_clips, make_pair


def maker(guide_class: Any, prior_class: Any, likelihood: Callable[[], nn.Module] = NormalPixels) -> Any:
    """A function that builds fresh float32 pairs in training mode."""

    def make() -> tuple[nn.Module, nn.Module]:
        model = DSVAE(ConvDecoder(S + D, FRAME, base_channels=2), prior_class(D), likelihood(), S, D, num_frames=T)
        return model, guide_class(ConvEncoder(FRAME, 4, base_channels=2), S, D, hidden_dim=4)

    return make


@every_pair
def test_keeps_the_contract(guide_class: type, prior_class: type) -> None:
    """Among others: SVI and the ELBO as a module give the same loss and gradients, twice in one process."""
    torch.manual_seed(0)
    check_model_guide(maker(guide_class, prior_class), make_clips(3).float())


@pytest.mark.parametrize("likelihood", [BernoulliPixels, lambda: NormalPixels(0.2, learn_scale=True)])
def test_other_likelihoods_keep_the_contract(likelihood: Callable[[], nn.Module]) -> None:
    from pyrodis.guides import FramewiseGuide
    from pyrodis.models import StandardPrior

    torch.manual_seed(0)
    check_model_guide(maker(FramewiseGuide, StandardPrior, likelihood), make_clips(2).float())


def test_regularizers_keep_the_contract() -> None:
    check_regularizer(temporal_difference, torch.randn(3, T, D))


@every_pair
@pytest.mark.parametrize("analytic", [True, False])
def test_runs_on_the_meta_device(guide_class: type, prior_class: type, analytic: bool) -> None:
    """Nothing is made on another device, and nothing waits for a value."""
    model, guide = (program.to("meta") for program in maker(guide_class, prior_class)())
    x = torch.rand(2, T, *FRAME, device="meta")
    with pyro.validation_enabled(False):
        terms = NamedELBO(analytic=analytic).terms(model, guide, x)
        terms.total.backward()
        drawn = model(batch_size=2)
    assert all(value.device.type == "meta" for value in (*terms.values.values(), *drawn.values()))
    for program in (model, guide):
        missing = [name for name, p in program.named_parameters() if p.requires_grad and p.grad is None]
        assert missing == []


@every_pair
def test_queries_run_on_the_meta_device(guide_class: type, prior_class: type) -> None:
    model, guide = (program.to("meta") for program in maker(guide_class, prior_class)())
    x = torch.rand(2, T, *FRAME, device="meta")
    with pyro.validation_enabled(False):
        assert reconstruct(model, guide, x).device.type == "meta"
        assert encode(guide, x, num_samples=3)["z"].shape == (3, 2, T, D)
        assert swap(model, guide, x, x, take=["z"]).shape == x.shape


def assert_all(dtype: torch.dtype, values: dict[str, Tensor]) -> None:
    assert {name: value.dtype for name, value in values.items()} == dict.fromkeys(values, dtype)


@every_pair
@pytest.mark.parametrize("analytic", [True, False])
def test_float64_stays_float64(guide_class: type, prior_class: type, analytic: bool) -> None:
    (model, guide), x = make_pair(guide_class, prior_class), make_clips(2)
    terms = NamedELBO(analytic=analytic).terms(model, guide, x)
    terms.total.backward()
    assert terms.total.dtype == torch.float64
    assert_all(torch.float64, terms.values)
    for run in (model(x), model(batch_size=2), guide(x), encode(guide, x), encode(guide, x, 3), sample_prior(model, 2)):
        assert_all(torch.float64, run)
    assert decode(model, encode(guide, x)).dtype == torch.float64
    for program in (model, guide):
        assert_all(torch.float64, dict(program.named_parameters()))
        assert_all(torch.float64, {name: p.grad for name, p in program.named_parameters() if p.grad is not None})


@every_pair
def test_float32_and_float64_agree(guide_class: type, prior_class: type) -> None:
    """Densities at the same latents: single precision loses no more than its rounding."""
    (model, guide), x = make_pair(guide_class, prior_class), make_clips(2)
    latents = {name: value.detach() for name, value in guide(x).items()}
    losses = []
    for dtype in (torch.float64, torch.float32):
        values = {name: value.to(dtype) for name, value in latents.items()}
        logs = []
        for program in (model, guide):
            conditioned = pyro.poutine.condition(copy.deepcopy(program).to(dtype), data=values)
            logs.append(pyro.poutine.trace(conditioned).get_trace(x.to(dtype)).log_prob_sum())
        losses.append(float((logs[1] - logs[0]).detach()))
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


@every_pair
def test_autocast_keeps_densities_in_full_precision(guide_class: type, prior_class: type) -> None:
    model, guide = maker(guide_class, prior_class)()
    x = make_clips(2).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = NamedELBO().terms(model, guide, x)
        drawn = model(batch_size=2)
    assert_all(torch.float32, {**terms.values, **drawn})
    terms.total.backward()
    assert all(p.grad.isfinite().all() for p in (*model.parameters(), *guide.parameters()) if p.grad is not None)


def test_deep_copies_train_apart_under_svi() -> None:
    pair, x = tiny_dsvae(), torch.rand(3, 5, 1, 8, 8)
    copies = copy.deepcopy(pair)
    start = [p.detach().clone() for p in nn.ModuleList(pair).parameters()]
    for trained, resting in ((pair, copies), (copies, None)):
        svi = SVI(*trained, pyro.optim.Adam({"lr": 1e-2}), Trace_ELBO())
        svi.step(x)
        moved = [bool((a != b).any()) for a, b in zip(start, nn.ModuleList(trained).parameters()) if b.requires_grad]
        assert all(moved)
        if resting is not None:
            assert all(torch.equal(a, b) for a, b in zip(start, nn.ModuleList(resting).parameters()))
    assert len(pyro.get_param_store()) == 0


def test_svi_leaves_frozen_parameters_alone() -> None:
    (model, guide), x = tiny_dsvae(), torch.rand(3, 5, 1, 8, 8)
    model.decoder.requires_grad_(False)
    before = copy.deepcopy(model.decoder.state_dict())
    SVI(model.eval(), guide, pyro.optim.Adam({"lr": 1e-2}), Trace_ELBO()).step(x)
    assert all(torch.equal(before[name], value) for name, value in model.decoder.state_dict().items())
