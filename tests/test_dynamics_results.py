"""Tables of the linear-Gaussian dynamics and of the bouncing box: theory, stored rows, missing rows, tiny trainings."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.distributions import Normal, kl_divergence

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "papers" / "disentangling_via_dynamics.md"


def load_script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "results" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def linear() -> ModuleType:
    """The script docs/results/linear_gaussian.py."""
    return load_script("linear_gaussian")


@pytest.fixture(scope="module")
def box() -> ModuleType:
    """The script docs/results/bouncing_box.py."""
    return load_script("bouncing_box")


@pytest.fixture(scope="module")
def circles() -> ModuleType:
    """The script docs/results/dynamics.py."""
    return load_script("dynamics")


@pytest.mark.parametrize("name", ["linear", "box"])
def test_the_page_holds_the_stored_rows(name: str, request: pytest.FixtureRequest) -> None:
    script, text = request.getfixturevalue(name), PAGE.read_text(encoding="utf8")
    assert script.table() in text
    assert script.write_blocks(text) == text


def test_exact_parameters_leave_nothing(linear: ModuleType) -> None:
    model, guide = linear.make_model(), linear.make_guide("information-exact")
    x = model(batch_size=3)["x"].detach()
    before = kl_divergence(linear.posterior_of(guide, x), model.exact_posterior(x))
    linear.set_exactly(guide, model)
    after = kl_divergence(linear.posterior_of(guide, x), model.exact_posterior(x))
    assert float(before.min()) > 1
    assert float(after.abs().max()) < 1e-8


def test_least_gaps_are_minima(linear: ModuleType) -> None:
    """Mean field has its formula, a larger family leaves no more, and what sees one frame cannot have its mean."""
    model = linear.make_model()
    precision = model.exact_posterior(torch.zeros(1, 10, 1, 1, 6, dtype=torch.float64)).precision_matrix[0]
    expected = 0.5 * float(precision.diagonal().log().sum() - torch.linalg.slogdet(precision).logabsdet)
    gaps = {row: linear.least_gap(row, model) for row in linear.ROWS}
    assert gaps["mean_field-clip"] == pytest.approx(expected, rel=1e-6)
    for reader in ("frame", "clip"):
        diagonal = gaps[f"diagonal-{reader}"]
        assert diagonal < gaps[f"mean_field-{reader}"]
        assert all(gaps[f"{name}-{reader}"] < diagonal for name in ("basis", "dense"))
    assert all(gaps[f"{name}-frame"] > gaps[f"{name}-clip"] + 1 for name in ("mean_field", *linear.TRANSITIONS))


def test_the_least_gap_of_the_mean_is_a_minimum_over_maps_of_a_frame(linear: ModuleType) -> None:
    """By draws: the best map leaves the formula's value, and others leave more."""
    model = linear.make_model()
    torch.manual_seed(0)
    x = model(batch_size=4000)["x"].detach()
    exact, pixels = model.exact_posterior(x), x.flatten(2)
    weight = torch.zeros(6, 3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=100, line_search_fn="strong_wolfe")

    def gap() -> torch.Tensor:
        error = (pixels @ weight - exact.mean).flatten(1)
        return 0.5 * (error @ exact.precision_matrix[0] * error).sum(-1).mean()

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = gap()
        value.backward()
        return value

    optimizer.step(closure)
    assert float(gap().detach()) == pytest.approx(linear.least_mean_gap(model), rel=0.05)


def test_stored_gaps_keep_to_theory(linear: ModuleType) -> None:
    model = linear.make_model()
    for row in linear.ROWS:
        if not linear.path_of(row).exists():
            continue
        stored = json.loads(linear.path_of(row).read_text(encoding="utf8"))
        gap = stored["scores"]["gap"]
        assert stored["least_gap"] == pytest.approx(linear.least_gap(row, model) / 10, abs=1e-5)
        assert gap["high"] > stored["least_gap"] - 1e-6, "a guide cannot be better than its family"
        if row.startswith("information"):
            assert gap["high"] < 1e-3
        else:
            assert gap["low"] < stored["least_gap"] + 5e-3, row


def test_a_row_is_trained_stored_and_not_trained_again(
    linear: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"HERE": tmp_path, "NUM_CLIPS": 20, "NUM_SAMPLES": 3}.items():
        monkeypatch.setattr(linear, name, value)
    gaps = []
    for steps in (1, 60):
        monkeypatch.setattr(linear, "NUM_STEPS", steps)
        linear.finish("diagonal-clip")
        gaps.append(json.loads(linear.path_of("diagonal-clip").read_text())["scores"]["gap"]["value"])
    assert gaps[1] < 0.7 * gaps[0]
    before = linear.path_of("diagonal-clip").read_bytes()
    monkeypatch.setattr("sys.argv", ["linear_gaussian.py", "--rows", "diagonal-clip"])
    linear.main()
    assert linear.path_of("diagonal-clip").read_bytes() == before
    assert "Missing: information-exact, information, mean_field-frame" in capsys.readouterr().out


def test_hidden_windows(box: ModuleType) -> None:
    torch.manual_seed(0)
    shown = box.random_windows(4000, 20, 16)
    edges = (shown[:, 1:] != shown[:, :-1]).sum(1) + (~shown[:, 0]).int() + (~shown[:, -1]).int()
    assert set(edges.tolist()) == {0, 2}  # one window, or none
    assert set((~shown).sum(1).tolist()) == set(range(17))
    assert bool(box.random_windows(5, 20, 0).all())
    assert (box.shown_in("smoothed").nonzero().flatten() + 1).tolist() == [1, 2, 3, 4, 17, 18, 19, 20]
    assert (box.scored_in("smoothed").nonzero().flatten() + 1).tolist() == [*range(5, 17)]
    for setting in box.SEEN:
        assert not bool((box.shown_in(setting) & box.scored_in(setting)).any())


def test_baselines(box: ModuleType) -> None:
    """Black frames miss the 29 pixels of the ball; a ball that rests is where it was."""
    x = box.clips_of(box.BouncingBox(split="test", num_sequences=4), [0, 1, 2, 3])
    black = box.score(box.fill_in_without_learning("black", x), x)
    assert all(black[setting].value == 29 for setting in box.SEEN)
    resting = x[:, :1].expand_as(x)
    for name in ("nearest", "line"):
        filled = box.fill_in_without_learning(name, resting)
        assert all(score.value == 0 for score in box.score(filled, resting).values()), name
    moved = box.fill_in_without_learning("line", x)["smoothed"]
    middle = box.centers(moved)[:, 10]
    places = box.centers(x)
    expected = places[:, 3] + (places[:, 16] - places[:, 3]) * 7 / 13
    assert abs(middle - expected).max() <= 0.5


def test_priors_go_on_as_they_are(box: ModuleType) -> None:
    """Moments of a draw after two given codes are those of the prior given these codes."""
    torch.manual_seed(0)
    given = torch.randn(2, box.DIM).expand(20000, -1, -1)
    linear = box.METHODS["information"].prior()
    with torch.no_grad():
        linear.raw.add_(0.05 * torch.randn(box.DIM, box.DIM))
        drawn = box.go_on_linear(linear, given, 3)
        torch.testing.assert_close(drawn[:, :2], given)
        torch.testing.assert_close(drawn[:, 2].mean(0), linear.transition @ given[0, 1], rtol=0, atol=0.03)
        covariance = torch.eye(box.DIM) - linear.transition @ linear.transition.mT
        torch.testing.assert_close(drawn[:, 2].T.cov(), covariance, rtol=0, atol=0.03)
        recurrent = box.METHODS["smoothing"].prior()
        drawn = box.go_on_recurrent(recurrent, given, 3)
        torch.testing.assert_close(drawn[:, :2], given)
        normal = recurrent(3).conditional(drawn[:1]).base_dist
        while not isinstance(normal, Normal):
            normal = normal.base_dist
        torch.testing.assert_close(drawn[:, 2].mean(0), normal.loc[0, 2], rtol=0, atol=0.05)
        torch.testing.assert_close(drawn[:, 2].std(0), normal.scale[0, 2], rtol=0.05, atol=0)


@pytest.mark.parametrize("name", ["smoothing", "mean_field", "information", "mean_field_linear"])
def test_a_method_is_trained_scored_drawn_and_stored(
    box: ModuleType, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"NUM_STEPS": 5, "NUM_TRAIN": 20, "NUM_TEST": 6, "CHUNK": 4, "BATCH_SIZE": 3}
    for key, value in {"HERE": tmp_path, "ROOT": tmp_path, **settings}.items():
        monkeypatch.setattr(box, key, value)
    row = f"{name}-seed0"
    box.finish(row)
    stored = json.loads(box.path_of(row).read_text(encoding="utf8"))
    assert set(stored["scores"]) == {*box.SEEN, "reconstruction"}
    assert stored["training"]["steps"] == 5
    assert {path.name for path in (tmp_path / "runs" / f"results-bouncing_box-{row}").iterdir()} == {
        "filled_in.png",
        "filled_in.gif",
    }
    monkeypatch.setattr("sys.argv", ["bouncing_box.py", "--table-only"])
    box.main()
    printed = capsys.readouterr().out
    assert f"| {box.METHODS[name].words} | 1 |" in printed
    assert "Missing: black, nearest, line, " in printed


def test_means_and_differences_over_seeds(box: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box, "HERE", tmp_path)
    for name, values in {"smoothing": (10.0, 12.0, 14.0), "mean_field": (30.0, 31.0, 35.0)}.items():
        for seed, value in enumerate(values):
            scores = {setting: {"value": value} for setting in (*box.SEEN, "reconstruction")}
            box.path_of(f"{name}-seed{seed}").write_text(json.dumps({"scores": scores}), encoding="utf8")
    text = box.table()
    assert "| LSTM prior, smoothing guide | 3 | 12.0 (10.0 to 14.0) |" in text
    assert "less LSTM prior, mean-field guide: -20.0 pixels a frame, 95 % interval -22.5 to -17.5, 3 seeds." in text
    assert text.count("less linear prior") == 0


def test_tables_of_circles_over_seeds(circles: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circles, "HERE", tmp_path)
    for method, values in {"dynamics": (0.5, 0.6, 0.7), "beta-vae": (0.2, 0.4, 0.3)}.items():
        for seed, value in enumerate(values):
            scores = {score: {"value": value} for score in circles.COLUMNS.values()}
            result = {"scores": scores, "training_minutes": 2.0}
            circles.path_of(f"{method}-seed{seed}").write_text(json.dumps(result), encoding="utf8")
    assert "| 3 | 0.600 ± 0.248 |" in circles.method_table()
    assert "dynamics (2 of 5 seeds)" in circles.method_table()
    assert "| 3 | +0.300 (+0.052 to +0.548) |" in circles.difference_table()


@pytest.mark.parametrize("page", ["README.md", "disentangling_via_dynamics.md", "disentangled_dynamics.md"])
def test_tables_on_circles_are_those_of_the_stored_rows(circles: ModuleType, page: str) -> None:
    (path,) = (found for found in circles.PAGES if found.name == page)
    text = path.read_text(encoding="utf8")
    assert circles.write_blocks(text) == text, "run python docs/results/dynamics.py --table-only --write"


def test_every_table_on_circles_is_on_a_page(circles: ModuleType) -> None:
    text = "".join(path.read_text(encoding="utf8") for path in circles.PAGES)
    assert all(f"<!-- results:{name} -->" in text for name in circles.BLOCKS)
