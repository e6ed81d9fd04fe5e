"""Importance-weighted bounds against known evidence, and guides side by side."""

from __future__ import annotations

import math
from typing import Any

import pyro
import pytest
import torch
from pyro.infer import Trace_ELBO
from torch import nn

import pyrodis
from pyrodis.infer.comparison import draw_log_ratios
from pyrodis.metrics import mean_score
from pyrodis.plotting import guide_table
from tests.linear_gaussian import PATTERN, ExactGuide, LinearGuide, draw, make_model
from tests.pairs import every_pair, make_clips, make_guide, make_pair


def test_the_exact_posterior_gives_the_evidence_at_every_draw() -> None:
    model = make_model()
    x = draw(model, 5)
    for num_samples in (1, 7):
        bound = pyrodis.importance_bound(model, ExactGuide(model), x, num_samples, chunk_size=3)
        torch.testing.assert_close(bound, model.log_evidence(x))


def test_hidden_frames_leave_the_evidence_of_the_shown_ones() -> None:
    model = make_model()
    x = draw(model, 5)
    shown = pyrodis.infer.score_shown_frames(model, PATTERN)
    bound = pyrodis.importance_bound(shown, ExactGuide(model, PATTERN), x, 3)
    torch.testing.assert_close(bound, model.log_evidence(x, PATTERN))
    assert float((bound - model.log_evidence(x)).abs().min()) > 0.1


def test_one_draw_is_the_elbo() -> None:
    """Its mean over clips is Pyro's ELBO, within four standard errors of both."""
    model = make_model()
    x = draw(model, 300)
    guide = LinearGuide(model)
    bound = torch.stack([pyrodis.importance_bound(model, guide, x, 1) for _ in range(10)]).mean(1)
    elbo = torch.tensor([-Trace_ELBO().loss(model, guide, x) / len(x) for _ in range(10)]).double()
    error = math.sqrt(float(bound.var() + elbo.var()) / 10)
    assert abs(float(bound.mean() - elbo.mean())) < 4 * error


def test_more_draws_tighten_the_bound() -> None:
    model = make_model()
    x = draw(model, 200)
    torch.manual_seed(0)
    bounds = [pyrodis.importance_bound(model, LinearGuide(model), x, k) for k in (1, 4, 16, 64)]
    steps = [b - a for a, b in zip([*bounds], [*bounds[1:], model.log_evidence(x)])]
    for step in steps:  # each rises by more than its Monte Carlo error
        assert float(step.mean()) > 2 * float(step.std()) / math.sqrt(len(x)) > 0


def test_chunks_change_the_noise_alone() -> None:
    model = make_model()
    x, guide = draw(model, 200), LinearGuide(model)
    few, many = (pyrodis.importance_bound(model, guide, x, 40, chunk_size=size) for size in (7, 40))
    assert abs(float((few - many).mean())) < 4 * float((few - many).std()) / math.sqrt(len(x))
    shapes = {name: value.shape for name, value in draw_log_ratios(model, guide, x, 5, chunk_size=2).items()}
    assert shapes == {"f": (5, 200), "z": (5, 200), "x": (5, 200)}


@every_pair
def test_penalties_and_kl_weights_are_left_out(guide_class: Any, prior_class: Any) -> None:
    (model, guide), x = make_pair(guide_class, prior_class), make_clips()
    wrapped = [pyrodis.scale_latents(program, {"f": 8.0, "z": 0.0}) for program in (model, guide)]
    penalized = pyrodis.add_penalty(
        wrapped[1], "far", lambda output: output["z"].square().sum((-1, -2)), 5.0, side="guide"
    )
    bounds = []
    for pair in ((model, guide), (wrapped[0], penalized)):
        for validate in (True, False):
            torch.manual_seed(0)
            with pyro.validation_enabled(validate):
                bounds.append(pyrodis.importance_bound(*pair, x, 3))
    for bound in bounds[1:]:
        torch.testing.assert_close(bound, bounds[0])


class Penalizing(nn.Module):
    """A program with a factor of its own."""

    def __init__(self, program: nn.Module, has_rsample: bool | None) -> None:
        super().__init__()
        self.program = program
        self.has_rsample = has_rsample

    def forward(self, x: torch.Tensor) -> Any:
        output = self.program(x)
        with pyro.plate("extra", len(x), dim=-1):
            pyro.factor("penalty", output["z"].square().sum((-1, -2)), has_rsample=self.has_rsample)
        return output


def test_factors_inside_the_programs_are_left_out() -> None:
    model = make_model()
    x = draw(model, 3)
    bound = pyrodis.importance_bound(Penalizing(model, None), Penalizing(ExactGuide(model), True), x, 4)
    torch.testing.assert_close(bound, model.log_evidence(x))


def test_penalties_are_not_even_computed() -> None:
    def refuse(output: Any) -> torch.Tensor:
        raise RuntimeError("computed")

    model, guide = make_pair()
    penalized = pyrodis.add_penalty(guide, "far", refuse, 1.0, side="guide")
    assert pyrodis.importance_bound(model, penalized, make_clips(), 2).shape == (3,)


def test_modes_and_gradients_are_left_as_they_were() -> None:
    model, guide = (program.train() for program in make_pair())
    guide.encoder.eval()
    before = {name: value.clone() for name, value in guide.state_dict().items()}
    bound = pyrodis.importance_bound(model, guide, make_clips(), 2)
    assert not bound.requires_grad
    assert guide.training
    assert not guide.encoder.training
    assert all(torch.equal(value, before[name]) for name, value in guide.state_dict().items())


def test_guides_side_by_side() -> None:
    model = make_model()
    x = draw(model, 60).clamp(0, 1)  # any data will do
    pairs = {"exact": (model, ExactGuide(model)), "independent": (model, LinearGuide(model))}
    random_state = torch.random.get_rng_state()
    exact, independent = pyrodis.compare_guides(pairs, x, num_samples=20, batch_size=25)
    assert torch.equal(torch.random.get_rng_state(), random_state)
    again = pyrodis.compare_guides({"independent": pairs["independent"]}, x, num_samples=20, batch_size=25)
    assert again == [independent]
    assert exact.elbo.value == pytest.approx(model.log_evidence(x).mean().item())
    assert exact.gap.value == pytest.approx(0, abs=1e-9)
    assert independent.gap.value > 0.1
    assert independent.elbo.value < independent.iwae.value < exact.elbo.value + 0.01
    total = -independent.nll.value - sum(score.value for score in independent.kl.values())
    assert independent.elbo.value == pytest.approx(total)
    wide = pyrodis.compare_guides({"wide": (model, LinearGuide(model, (0.7, 0.7)))}, x, num_samples=20, batch_size=25)
    paired = mean_score(independent.per_clip["elbo"] - wide[0].per_clip["elbo"])
    assert paired.low > 0
    assert paired.high - paired.low < independent.elbo.high - independent.elbo.low
    assert 0 < independent.seconds < 1
    plain = independent.as_dict()
    assert (plain["name"], plain["num_samples"], plain["elbo"]["num"]) == ("independent", 20, 60)
    lines = guide_table([exact, independent]).splitlines()
    assert len(lines) == 4
    assert lines[3].startswith(f"| independent | {independent.elbo.value:.2f} ± ")


def test_a_data_set_gives_what_its_frames_give() -> None:
    model, guide = make_pair()
    x = make_clips(5)
    items = [{"x": clip, "factors": torch.zeros(1)} for clip in x]
    rows = [pyrodis.compare_guides({"a": (model, guide)}, data, num_samples=2)[0] for data in (x, items)]
    assert rows[0] == rows[1]


def test_rows_print_as_a_table() -> None:
    model = make_model()
    x = draw(model, 6).clamp(0, 1)
    pairs = {"<exact>": (model, ExactGuide(model)), "narrow": (model, LinearGuide(model, (0.05, 0.05)))}
    plain = pyrodis.compare_guides(pairs, x, num_samples=4)
    assert plain[0].high_khat is None
    assert repr(plain).splitlines()[0] == "| guide | ELBO | IWAE, K = 4 | gap | nll | KL f | KL z | ms |"
    rows = pyrodis.compare_guides(pairs, x, num_samples=4, num_khat_samples=400, chunk_size=200)
    assert [row.high_khat.value for row in rows] == [0.0, 1.0]
    assert rows[1].per_clip["khat"].shape == (6,)
    assert rows[1].as_dict()["high_khat"]["num"] == 6
    for bound in ("elbo", "iwae", "gap"):  # k-hat has draws of its own
        torch.testing.assert_close(rows[1].per_clip[bound], plain[1].per_clip[bound])
    lines = str(rows).splitlines()
    assert len(lines) == 4
    assert "| k > 0.7 |" in lines[0]
    assert "| 100 % |" in lines[3]
    html = rows._repr_html_()
    assert html.count("<tr>") == 3
    assert "<td>&lt;exact&gt;</td>" in html
    assert guide_table(rows) == repr(rows)
    with pytest.raises(ValueError, match="num_khat_samples must be at least 100, got 50: fewer draws than PSIS needs"):
        pyrodis.compare_guides(pairs, x, num_samples=4, num_khat_samples=50)


def broken_clips() -> torch.Tensor:
    x = make_clips()
    x[0, 0] = float("nan")
    return x


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"x": make_clips()[0]}, ValueError, r"x must have shape \(B, T, C, H, W\), got \(4, 1, 8, 8\)"),
        ({"x": make_clips().tolist()}, TypeError, "x must be a torch tensor, got list"),
        ({"x": broken_clips()}, ValueError, "became NaN; look for NaN in the clips"),
        ({"num_samples": 0}, ValueError, "num_samples must be a positive whole number, got 0"),
        ({"chunk_size": 2.0}, TypeError, "chunk_size must be a positive whole number, got 2.0"),
        ({"model": make_guide()}, ValueError, "the model must observe x at a site 'x'"),
    ],
)
def test_bad_input(arguments: dict[str, Any], error: type[Exception], match: str) -> None:
    model, guide = make_pair()
    with pytest.raises(error, match=match):
        pyrodis.importance_bound(**{"model": model, "guide": guide, "x": make_clips(), "num_samples": 2} | arguments)


def test_a_broken_clip_is_named() -> None:
    items = [{"x": frames} for frames in make_clips(3)]
    items[2] = {"x": items[2]["x"] * 255}
    with pytest.raises(ValueError, match=r"data\[2\]\['x'\] must lie in \[0, 1\]"):
        pyrodis.compare_guides({"full": make_pair()}, items, num_samples=2, batch_size=2)


def test_a_guide_without_a_plate_is_told_so() -> None:
    model, guide = make_pair()

    class Bare(nn.Module):
        def forward(self, x: torch.Tensor) -> None:
            with pyro.poutine.block(), pyro.poutine.trace() as drawn:
                guide(x)
            for name, site in drawn.trace.nodes.items():
                if site["type"] == "sample" and name in ("f", "z"):
                    pyro.sample(name, site["fn"])

    with pytest.raises(ValueError, match=r'site \'f\' of the guide is in no plate.*pyro.plate\("data", x.shape\[0\]'):
        pyrodis.compare_guides({"bare": (model, Bare())}, make_clips(3), num_samples=2)


def test_one_clip_has_no_interval() -> None:
    table = pyrodis.compare_guides({"full": make_pair()}, make_clips(1), num_samples=2)
    assert "±" not in repr(table)
    assert "±" in repr(pyrodis.compare_guides({"full": make_pair()}, make_clips(2), num_samples=2))


def test_sites_that_differ() -> None:
    class Half(nn.Module):
        def forward(self, x: torch.Tensor) -> None:
            with pyro.plate("data", len(x), dim=-1):
                pyro.sample("f", pyro.distributions.Normal(torch.zeros(3).double(), 1.0).to_event(1))

    model, guide = make_pair()
    with pytest.raises(ValueError, match=r"the same latent sites, got \['f', 'z'\] and \['f'\]"):
        pyrodis.importance_bound(model, Half(), make_clips(), 2)
    with pytest.raises(ValueError, match="pairs must hold at least one model and guide by name, got none"):
        pyrodis.compare_guides({}, make_clips())
    with pytest.raises(TypeError, match=r"a dict of models and guides by name, .* got list"):
        pyrodis.compare_guides([(model, guide)], make_clips())  # type: ignore[arg-type]
    for pair in (guide, (guide,), (model, "guide")):
        with pytest.raises(TypeError, match=r"\(model, guide\)}, got .* for 'full'; pass both of its programs"):
            pyrodis.compare_guides({"full": pair}, make_clips())  # type: ignore[dict-item]
    rows = pyrodis.compare_guides({"a": (model, guide)}, make_clips(), num_samples=2)
    others = pyrodis.compare_guides({"b": (model, guide)}, make_clips(), num_samples=3)
    with pytest.raises(ValueError, match="rows must share sites and draws, got"):
        guide_table([*rows, *others])
    with pytest.raises(ValueError, match="rows must hold at least one guide's scores, got none"):
        guide_table([])
