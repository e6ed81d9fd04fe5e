"""A penalty adds the same nats and the same gradient on either side, under plates and particles."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from torch import Tensor, nn

from pyrodis.infer.elbo import NamedELBO
from pyrodis.infer.loading import load
from pyrodis.infer.penalties import add_guide_penalty, add_penalty, penalty_factor
from pyrodis.infer.queries import encode, reconstruct
from pyrodis.infer.settings import FitSettings
from pyrodis.infer.sites import get_trace
from pyrodis.infer.training import fit
from pyrodis.models import StandardPrior
from pyrodis.regularizers import temporal_difference
from pyrodis.testing import tiny_dsvae
from tests.pairs import assert_same_gradients, every_pair, gradients, make_clips, make_pair

pytestmark = pytest.mark.filterwarnings("ignore:Found plate statements in guide but not model")

WEIGHT = 0.7
ELBOS = {
    "trace": Trace_ELBO(),
    "mean field": TraceMeanField_ELBO(),
    "named": NamedELBO(),
    "named, sampled": NamedELBO(analytic=False),
    "particles": Trace_ELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=1),
}
every_elbo = pytest.mark.parametrize("elbo", ELBOS.values(), ids=ELBOS)


class Recorder:
    """The penalty of z, which keeps its last value."""

    value = torch.empty(0)

    def __call__(self, output: Any) -> Tensor:
        self.value = temporal_difference(output["z"])
        return self.value


def run(elbo: Any, pair: tuple[nn.Module, nn.Module], x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    torch.manual_seed(0)
    loss = elbo.differentiable_loss(*pair, x)
    inner = [getattr(program, "program", program) for program in pair]
    return loss, gradients(inner, loss)


@every_elbo
def test_a_penalty_is_the_same_on_either_side(elbo: Any) -> None:
    (model, guide), x = make_pair(), make_clips(3)
    recorder = Recorder()
    plain, _ = run(elbo, (model, guide), x)
    on_model = run(elbo, (add_penalty(model, "slow", recorder, WEIGHT, side="model"), guide), x)
    expected = WEIGHT * recorder.value.sum() / (3 if recorder.value.ndim == 2 else 1)
    on_guide = run(elbo, (model, add_penalty(guide, "slow", recorder, WEIGHT, side="guide")), x)
    torch.testing.assert_close(on_model[0] - plain, expected)
    torch.testing.assert_close(on_guide[0], on_model[0])
    assert_same_gradients(on_guide[1], on_model[1])


@every_elbo
def test_the_gradient_of_a_penalty_is_its_own(elbo: Any) -> None:
    (model, guide), x = make_pair(), make_clips(3)
    recorder = Recorder()
    _, plain = run(elbo, (model, guide), x)
    penalized = run(elbo, (model, add_penalty(guide, "slow", recorder, WEIGHT, side="guide")), x)[1]
    torch.manual_seed(0)
    elbo.differentiable_loss(model, add_penalty(guide, "slow", recorder, WEIGHT, side="guide"), x)
    alone = gradients((model, guide), WEIGHT * recorder.value.sum() / (3 if recorder.value.ndim == 2 else 1))
    assert_same_gradients({name: penalized[name] - plain[name] for name in plain}, alone)


@every_pair
def test_a_penalty_on_every_pair(guide_class: type, prior_class: type) -> None:
    (model, guide), x = make_pair(guide_class, prior_class), make_clips(3)
    recorder = Recorder()
    terms = NamedELBO().terms(model, add_penalty(guide, "slow", recorder, WEIGHT, side="guide"), x)
    torch.testing.assert_close(terms.values["slow"], WEIGHT * recorder.value.mean())


def test_a_penalty_under_draws_has_one_value_a_datum_and_draw() -> None:
    (_, guide), x = make_pair(), make_clips(3)
    recorder = Recorder()
    penalized = add_penalty(guide, "slow", recorder, WEIGHT, side="guide")
    with pyro.plate("draws", 5, dim=-2):
        get_trace(penalized, x)
    assert recorder.value.shape == (5, 3)


def test_queries_see_through_a_penalty() -> None:
    (model, guide), x = make_pair(), make_clips(3)
    recorder = Recorder()
    pair = add_penalty(model, "a", recorder, 1.0, side="model"), add_penalty(guide, "b", recorder, 1.0, side="guide")
    assert torch.equal(reconstruct(*pair, x), reconstruct(model, guide, x))
    assert set(encode(pair[1], x)) == {"f", "z"}


def test_a_weight_of_zero_changes_nothing() -> None:
    (model, guide), x = make_pair(prior_class=StandardPrior), make_clips(3)
    plain = run(NamedELBO(), (model, guide), x)
    zero = run(NamedELBO(), (model, add_penalty(guide, "slow", Recorder(), 0.0, side="guide")), x)
    torch.testing.assert_close(zero[0], plain[0])
    assert_same_gradients(zero[1], plain[1])


@pytest.mark.parametrize(("wrong", "right"), [("model", "guide"), ("guide", "model")])
def test_refuses_the_sign_of_the_other_side(wrong: str, right: str) -> None:
    (model, guide), x = make_pair(), make_clips(3)
    pair = {"guide": (model, add_penalty(guide, "slow", Recorder(), 1.0, side=wrong)),
            "model": (add_penalty(model, "slow", Recorder(), 1.0, side=wrong), guide)}[right]  # fmt: skip
    with pytest.raises(ValueError, match=f"factor 'slow' is in the {right}, where it must be .* side=\"{right}\""):
        NamedELBO().terms(*pair, x)


def test_refuses_a_sum_over_the_batch() -> None:
    with pytest.raises(ValueError, match="must have one value per datum"):
        penalty_factor("slow", torch.tensor(1.0), 1.0, "model")


@pytest.mark.parametrize(
    ("penalty", "error", "match"),
    [
        (
            lambda output: output["z"].square().sum(-1).mean(0),
            ValueError,
            r"shape \(B\) = \(3,\), got \(\d+,\); reduce",
        ),
        (lambda output: output["f"].square().sum(-1)[:2], ValueError, r"shape \(B\) = \(3,\), got \(2,\)"),
        (lambda output: None, TypeError, "penalty 'slow' must return a tensor of one value per datum, got NoneType"),
        (lambda output: 0.5, TypeError, "must return a tensor of one value per datum, got float"),
    ],
)
def test_refuses_what_is_not_one_value_a_clip(penalty: Any, error: type[Exception], match: str) -> None:
    _, guide = make_pair()
    for penalized in (
        add_penalty(guide, "slow", penalty, 1.0, side="guide"),
        add_guide_penalty(guide, "slow", lambda run: penalty({n: s["value"] for n, s in run.sites.items()}), 1.0),
    ):
        with pytest.raises(error, match=match):
            penalized(make_clips(3))


@pytest.mark.parametrize(
    ("name", "error", "match"),
    [
        ("", ValueError, 'must neither be empty nor "total", got'),
        ("total", ValueError, 'must neither be empty nor "total", got'),
        (3, TypeError, "must be a string, got 3 of type int"),
    ],
)
def test_refuses_names_that_the_history_has_no_column_for(name: Any, error: type[Exception], match: str) -> None:
    for make in (partial(add_penalty, side="guide"), add_guide_penalty):
        with pytest.raises(error, match=match):
            make(nn.Identity(), name, lambda output: output["f"], 1.0)


def test_a_penalty_by_hand_is_that_of_add_penalty() -> None:
    """As the page on extending shows it: a factor of one's own, outside of the plate, for every clip a value."""
    (model, guide), x = make_pair(), make_clips(3)

    class Slow(nn.Module):
        def __init__(self, program: nn.Module, in_guide: bool) -> None:
            super().__init__()
            self.program, self.in_guide = program, in_guide

        def forward(self, x: Tensor) -> Any:
            output = self.program(x)
            value = 0.5 * temporal_difference(output["z"])
            if self.in_guide:
                pyro.factor("slow", value, has_rsample=True)
            else:
                pyro.factor("slow", -value)
            return output

    def terms(model: nn.Module, guide: nn.Module) -> dict[str, float]:
        torch.manual_seed(0)
        found = NamedELBO().terms(model, guide, x)
        return {name: float(value) for name, value in (found.values | {"total": found.total}).items()}

    expected = terms(
        model, add_penalty(guide, "slow", lambda output: temporal_difference(output["z"]), 0.5, side="guide")
    )
    assert expected["slow"] > 0
    assert terms(model, Slow(guide, True)) == pytest.approx(expected)
    assert terms(Slow(model, False), guide) == pytest.approx(expected)


def test_pyro_does_not_miss_the_plate_of_a_penalty_in_the_other_program(recwarn: pytest.WarningsRecorder) -> None:
    (model, guide), x = make_pair(), make_clips(3)
    for pair in (
        (model, add_penalty(guide, "slow", Recorder(), 1.0, side="guide")),
        (add_penalty(model, "slow", Recorder(), 1.0, side="model"), guide),
    ):
        Trace_ELBO().loss(*pair, x)
    assert [str(warning.message) for warning in recwarn if "plate" in str(warning.message)] == []


def test_a_penalty_that_is_nan_at_once_is_named() -> None:
    (model, guide), x = make_pair(), make_clips(3)
    penalized = add_penalty(guide, "spread", lambda output: output["z"].sum((-2, -1)) * torch.nan, 1.0, side="guide")
    with pytest.raises(FloatingPointError, match="the loss term 'spread' became nan at epoch 1, step 1"):
        fit(model, penalized, x, settings=FitSettings(num_epochs=1, device="cpu"))


def test_the_factor_has_a_plate_of_its_own() -> None:
    trace = pyro.poutine.trace(penalty_factor).get_trace("slow", torch.tensor([1.0, 2.0]), 0.5, "guide")
    trace.compute_log_prob()
    assert trace.nodes["slow"]["log_prob"].tolist() == [0.5, 1.0]
    assert trace.nodes["slow"]["fn"].has_rsample


def test_a_penalized_run_is_saved_without_its_penalty(tmp_path: Path) -> None:
    model, guide = tiny_dsvae()
    penalized = add_penalty(guide, "slow", lambda output: temporal_difference(output["z"]), 0.5, side="guide")
    settings = FitSettings(num_epochs=1, batch_size=2, device="cpu", kl_weights={"z": 0.5})
    fit(model, penalized, torch.rand(4, 5, 1, 8, 8), settings=settings, output=tmp_path / "run")
    _, loaded = load(tmp_path / "run")
    for name, value in guide.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    config = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf8"))
    assert config["training"]["wrappers"]["guide"] == [{"penalty": "slow", "weight": 0.5, "side": "guide"}]
    assert "train_slow" in (tmp_path / "run" / "history.csv").read_text(encoding="utf8")
