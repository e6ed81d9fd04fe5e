"""NamedELBO against Pyro's estimators, and what it refuses."""

from __future__ import annotations

from typing import Any

import pyro
import pytest
import torch
from pyro.distributions import Beta, Normal, StudentT
from pyro.infer import SVI, Trace_ELBO, TraceMeanField_ELBO
from torch import Tensor, nn

from pyrodis.guides import FactorizedGuide, FramewiseGuide, FullGuide, SmoothingGuide
from pyrodis.infer.elbo import NamedELBO
from pyrodis.infer.handlers import scale_latents
from pyrodis.infer.penalties import add_penalty
from pyrodis.models import LSTMPrior, StandardPrior
from pyrodis.regularizers import temporal_difference
from tests.pairs import assert_same_gradients, every_pair, gradients, make_clips, make_guide, make_model, make_pair

pytestmark = pytest.mark.filterwarnings("ignore:Found plate statements in guide but not model")

WEIGHTS = [None, {"f": 0.5, "z": 2.0}, {"f": 3.0, "z": 0.0}, {"f": 0.0, "z": 0.0}]
weighted = pytest.mark.parametrize("weights", WEIGHTS, ids=["plain", "weighted", "without z", "without both"])


def slowness(output: Any) -> Tensor:
    return temporal_difference(output["z"])


def norm(output: Any) -> Tensor:
    return output["f"].square().sum(-1)


def dress(model: nn.Module, guide: nn.Module, weights: dict[str, float] | None) -> tuple[nn.Module, nn.Module]:
    """The pair with a penalty on either side, and weights."""
    model = add_penalty(model, "small", norm, 0.3, side="model")
    guide = add_penalty(guide, "slow", slowness, 0.7, side="guide")
    return (model, guide) if weights is None else (scale_latents(model, weights), scale_latents(guide, weights))


def loss_and_gradients(elbo: Any, pair: tuple[nn.Module, nn.Module], x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    torch.manual_seed(5)
    loss = elbo.differentiable_loss(*pair, x)
    return loss, gradients(pair, loss)


@every_pair
@weighted
def test_monte_carlo_terms_are_trace_elbo(guide_class: type, prior_class: type, weights: Any) -> None:
    pair, x = dress(*make_pair(guide_class, prior_class), weights), make_clips()
    ours, our_gradients = loss_and_gradients(NamedELBO(analytic=False), pair, x)
    theirs, their_gradients = loss_and_gradients(Trace_ELBO(), pair, x)
    torch.testing.assert_close(ours, theirs)
    assert_same_gradients(our_gradients, their_gradients)


@pytest.mark.parametrize("guide_class", [FramewiseGuide, SmoothingGuide])
@weighted
def test_analytic_terms_are_trace_mean_field_elbo(guide_class: type, weights: Any) -> None:
    pair, x = dress(*make_pair(guide_class, StandardPrior), weights), make_clips()
    ours, our_gradients = loss_and_gradients(NamedELBO(analytic=True), pair, x)
    theirs, their_gradients = loss_and_gradients(TraceMeanField_ELBO(), pair, x)
    torch.testing.assert_close(ours, theirs)
    assert_same_gradients(our_gradients, their_gradients)


@every_pair
def test_every_kl_of_every_pair_is_analytic(guide_class: type, prior_class: type) -> None:
    pair, x = make_pair(guide_class, prior_class), make_clips()
    assert NamedELBO().terms(*pair, x).analytic == {"f", "z"}
    assert NamedELBO(analytic=False).terms(*pair, x).analytic == frozenset()


def test_a_pair_without_closed_form_is_estimated_and_said_so() -> None:
    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", StudentT(torch.tensor(3.0)))
            pyro.sample("x", Normal(z, 1.0), obs=x)

    def guide(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", Normal(torch.full_like(x, 0.5), 0.01))

    x = torch.rand(5)
    assert NamedELBO().terms(model, guide, x).analytic == frozenset()
    torch.manual_seed(0)
    ours = NamedELBO().loss(model, guide, x)
    torch.manual_seed(0)
    assert ours == pytest.approx(Trace_ELBO().loss(model, guide, x), rel=1e-5)


def test_a_site_of_weight_zero_may_be_infinite() -> None:
    """The draws of q leave the support of p, so the KL is infinite; out of the objective, it leaves it finite."""

    class Model(nn.Module):
        def forward(self, x: Tensor) -> None:
            with pyro.plate("data", len(x)):
                z = pyro.sample("z", Beta(torch.ones(()), 1.0))
                pyro.sample("x", Normal(z, 1.0), obs=x)

    class Guide(nn.Module):
        def forward(self, x: Tensor) -> None:
            with pyro.plate("data", len(x)):
                pyro.sample("z", Normal(x, 1.0))

    terms = NamedELBO().terms(scale_latents(Model(), {"z": 0.0}), scale_latents(Guide(), {"z": 0.0}), torch.rand(5))
    assert terms.values["kl_z"].isinf()
    assert terms.total.isfinite()


@pytest.mark.parametrize("guide_class", [FullGuide, FactorizedGuide, FramewiseGuide])
def test_per_frame_kl_is_unbiased_and_quieter(guide_class: type) -> None:
    """Same draws, both estimates: their difference has mean zero within four standard errors."""
    pair, x = make_pair(guide_class, LSTMPrior), make_clips(1).expand(64, -1, -1, -1, -1)
    analytic, sampled = [], []
    with torch.no_grad():
        for seed in range(100):
            for found, elbo in ((analytic, NamedELBO()), (sampled, NamedELBO(analytic=False))):
                torch.manual_seed(seed)
                found.append(elbo.terms(*pair, x).values["kl_z"])
    kl, estimate = torch.stack(analytic), torch.stack(sampled)
    difference = kl - estimate
    error = difference.std() / len(difference) ** 0.5
    assert abs(float(difference.mean())) < 4 * error
    assert error < 0.02 * kl.mean(), "the check could not see a wrong KL"
    assert kl.var() < 0.5 * estimate.var()


def test_the_loss_sums_over_the_batch_and_the_terms_do_not() -> None:
    (model, guide), x = make_pair(), make_clips(3)
    elbo = NamedELBO()
    torch.manual_seed(0)
    terms = elbo.terms(model, guide, x)
    torch.manual_seed(0)
    assert elbo.loss(model, guide, x) == pytest.approx(3 * float(terms.total.detach()))
    torch.manual_seed(0)
    assert elbo.loss(model, guide, x=x) == pytest.approx(3 * float(terms.total.detach()))


@every_pair
def test_the_loss_of_a_batch_is_the_sum_over_its_items(guide_class: type, prior_class: type) -> None:
    """In eval mode, at given latents, every named term is the mean over the items."""
    (model, guide), x = make_pair(guide_class, prior_class), make_clips(3)
    torch.manual_seed(0)
    drawn = {name: value.detach() for name, value in guide(x).items()}

    def terms(index: slice) -> Any:
        replayed = {name: value[index] for name, value in drawn.items()}
        return fixed_terms(model, guide, x[index], replayed)

    whole = terms(slice(0, 3))
    parts = [terms(slice(i, i + 1)) for i in range(3)]
    for name in whole:
        torch.testing.assert_close(whole[name], sum(part[name] for part in parts))


def fixed_terms(model: nn.Module, guide: nn.Module, x: Tensor, values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Terms at given latents, summed over the batch."""
    with SetValues(values):
        terms = NamedELBO().terms(model, guide, x)
    return {name: value * len(x) for name, value in terms.values.items()}


class SetValues(pyro.poutine.messenger.Messenger):
    """Latents take given values and stay latents."""

    def __init__(self, values: dict[str, Tensor]) -> None:
        super().__init__()
        self.values = values

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] in self.values:
            msg["value"], msg["done"] = self.values[msg["name"]], True


def test_svi_trains_with_named_elbo() -> None:
    (model, guide), x = make_pair(), make_clips()
    before = [p.detach().clone() for p in (*model.parameters(), *guide.parameters()) if p.requires_grad]
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), NamedELBO())
    torch.manual_seed(0)
    expected = NamedELBO().loss(model, guide, x)
    torch.manual_seed(0)
    assert svi.step(x) == pytest.approx(expected)
    after = [p for p in (*model.parameters(), *guide.parameters()) if p.requires_grad]
    assert all(bool((a != b).any()) for a, b in zip(before, after))
    torch.manual_seed(0)
    assert svi.evaluate_loss(x) < expected


def test_a_deterministic_site_is_no_term() -> None:
    (model, guide), x = make_pair(), make_clips()

    class WithTrack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, x: Tensor | None = None, batch_size: int | None = None) -> Any:
            pyro.deterministic("track", torch.ones(3))
            return self.inner(x, batch_size)

    assert set(NamedELBO().terms(WithTrack(), guide, x).values) == {"nll", "kl_f", "kl_z"}


def test_a_tensor_mask_leaves_items_out() -> None:
    (model, guide), x = make_pair(), make_clips(3)
    keep = torch.tensor([True, False, True])
    torch.manual_seed(0)
    drawn = guide(x)
    values = {name: value.detach() for name, value in drawn.items()}
    with SetValues(values), pyro.poutine.mask(mask=keep):
        masked = NamedELBO().terms(model, guide, x)
    kept = fixed_terms(model, guide, x[keep], {name: value[keep] for name, value in values.items()})
    for name, value in kept.items():
        torch.testing.assert_close(masked.values[name] * 3, value)


class Masked(nn.Module):
    """A program under a mask of some clips."""

    def __init__(self, program: nn.Module, keep: list[bool]) -> None:
        super().__init__()
        self.program, self.keep = program, torch.tensor(keep)

    def forward(self, x: Tensor) -> Any:
        with pyro.poutine.mask(mask=self.keep):
            return self.program(x)


@pytest.mark.parametrize("analytic", [False, True])
@pytest.mark.parametrize("masks", [("both", [True, False, True]), ("guide", [True, False, True])])
def test_masks_of_each_side_are_its_own_as_in_trace_elbo(masks: tuple[str, list[bool]], analytic: bool) -> None:
    (model, guide), x = make_pair(), make_clips(3)
    where, keep = masks
    pair = (Masked(model, keep) if where == "both" else model, Masked(guide, keep))
    theirs, _ = loss_and_gradients(TraceMeanField_ELBO() if analytic and where == "both" else Trace_ELBO(), pair, x)
    ours, _ = loss_and_gradients(NamedELBO(analytic=analytic), pair, x)
    if not (analytic and where == "both"):  # of sequences with feedback the frames' divergences are ours alone
        torch.testing.assert_close(ours, theirs)
    assert bool(ours.isfinite())


def test_refuses_a_plate_of_some_of_the_clips() -> None:
    def model(x: Tensor) -> None:
        with pyro.plate("data", 100, subsample=x):
            z = pyro.sample("z", Normal(0.0, 1.0))
            pyro.sample("x", Normal(z, 1.0), obs=x)

    def guide(x: Tensor) -> None:
        with pyro.plate("data", 100, subsample=x):
            pyro.sample("z", Normal(x, 1.0))

    with pytest.raises(ValueError, match='the plate "data" must hold every clip of the batch, got 10 of 100; leave'):
        NamedELBO().terms(model, guide, torch.zeros(10))


def test_refuses_scales_that_it_could_not_follow() -> None:
    for scale in (torch.ones((), requires_grad=True), torch.ones(3)):

        def model(x: Tensor, scale: Tensor = scale) -> None:
            with pyro.plate("data", len(x)), pyro.poutine.scale(scale=scale):
                pyro.sample("x", Normal(0.0, 1.0), obs=x)

        with pytest.raises(ValueError, match="scale of site 'x' must be a number that is not learned, got a tensor"):
            NamedELBO().terms(model, lambda x: None, torch.zeros(3))


@pytest.mark.parametrize("side", ["model", "guide"])
@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_refuses_weights_on_one_side(side: str, weight: float) -> None:
    model, guide = make_pair()
    scaled = {
        "model": (scale_latents(model, {"z": weight}), guide),
        "guide": (model, scale_latents(guide, {"z": weight})),
    }
    with pytest.raises(ValueError, match=r"site 'z' has weight .* wrap both programs with scale_latents"):
        NamedELBO().terms(*scaled[side], make_clips())


def test_refuses_weights_of_unknown_sites() -> None:
    model, _ = make_pair()
    with pytest.raises(ValueError, match=r"weights must name latent sites of the program, \['f', 'z'\], got \['w'\]"):
        scale_latents(model, {"w": 2.0})(make_clips())


def test_refuses_sites_that_one_program_lacks() -> None:
    def one(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", Normal(torch.zeros(()), 1.0))
            pyro.sample("x", Normal(z, 1.0), obs=x)

    def two(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", Normal(torch.zeros(()), 1.0))
            pyro.sample("w", Normal(torch.zeros(()), 1.0))

    def none(x: Tensor) -> None:
        """Samples nothing."""

    with pytest.raises(ValueError, match="the guide has a latent site 'w' that the model lacks"):
        NamedELBO().terms(one, two, torch.zeros(3))
    with pytest.raises(ValueError, match="the model has a latent site 'z' that the guide lacks"):
        NamedELBO().terms(one, none, torch.zeros(3))


def test_refuses_sites_of_other_sizes() -> None:
    from pyrodis.models import DSVAE, NormalPixels
    from pyrodis.nn import ConvDecoder

    model = DSVAE(ConvDecoder(6, (1, 8, 8), 2), StandardPrior(2), NormalPixels(), 4, 2).double()
    with pytest.raises(ValueError, match=r"site 'f' has event shape \(3,\) in the guide and \(4,\) in the model"):
        NamedELBO().terms(model, make_guide(), make_clips())


def test_refuses_draws_without_gradient() -> None:
    def guide(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", pyro.distributions.Bernoulli(0.5))

    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("x", Normal(pyro.sample("z", Normal(torch.zeros(()), 1.0)), 1.0), obs=x)

    with pytest.raises(ValueError, match="'z' must be reparametrized"):
        NamedELBO().terms(model, guide, torch.zeros(3))


def test_refuses_two_terms_of_one_name() -> None:
    model, guide, x = make_model(), make_guide(), make_clips()
    both = (
        add_penalty(model, "slow", slowness, 1.0, side="model"),
        add_penalty(guide, "slow", slowness, 1.0, side="guide"),
    )
    with pytest.raises(ValueError, match="two terms of the objective have the name 'slow'"):
        NamedELBO().terms(*both, x)
    with pytest.raises(ValueError, match="two terms of the objective have the name 'kl_f'"):
        NamedELBO().terms(model, add_penalty(guide, "kl_f", slowness, 1.0, side="guide"), x)
