"""The script of what and where and its table of results: losses, runs, refusals, scores of overfitting, rows."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pyro
import pytest
import torch

import pyrodis
from pyrodis.datasets import BundledDigits
from pyrodis.guides import WhatThenWhereGuide, WhatWhereGuide, WhereThenWhatGuide
from pyrodis.infer import History, score_shown_frames
from pyrodis.infer.penalties import innermost
from pyrodis.nn import (
    BroadcastDecoder,
    ConvDecoder,
    Downsample,
    GaussianBlur,
    PartsDecoder,
    PlacedDecoder,
    UpsampleDecoder,
)
from pyrodis.regularizers import barlow_twins, inertial_loss, pixel_error
from tests.test_examples import load_example, parse, run

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "papers" / "what_where.md"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The script examples/what_where_digits.py."""
    return load_example("what_where_digits")


@pytest.fixture(scope="module")
def results() -> ModuleType:
    """The script docs/results/what_where.py."""
    spec = importlib.util.spec_from_file_location("what_where_results", ROOT / "docs" / "results" / "what_where.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("loss", ["inertial", "barlow"])
def test_what_is_trained_is_the_total_loss_of_the_report(example: ModuleType, loss: str) -> None:
    options, setting = parse(example), example.Setting(loss, 0.1)
    pair = example.make_pair(options, setting)
    model, guide = example.to_train(options, setting, pair)
    data = example.load_clips(options, setting, example.ww.load_source(options))["train"]
    x, weights = example.ww.first_clips(data, 6), example.kl_weights(options, setting)
    terms = pyrodis.NamedELBO().terms(*(pyrodis.scale_latents(part, weights) for part in (model, guide)), x)
    codes = pair[1](x)
    frames = pair[0].decoder(torch.cat([codes["what"], codes["where"]], -1)).sigmoid()
    agreement = (
        inertial_loss(codes["what_frames"])
        if loss == "inertial"
        else barlow_twins(*codes["what_frames"].unbind(1), redundancy_weight=0.05)
    )
    total = (pixel_error(frames[:, :1], x[:, :1]) + 0.1 * agreement).mean()
    found = sum(weight * terms.values[name] for name, weight in example.objective(options, setting)["loss"].items())
    torch.testing.assert_close(found - math.log(math.pi) / 2, total, rtol=1e-4, atol=1e-5)
    part = example.objective(options, setting)["agreement"][loss] * terms.values[loss]
    torch.testing.assert_close(part, agreement.mean(), rtol=1e-4, atol=1e-6)
    errors = example.ww.pixel_errors([float(terms.values["nll"].detach())], 4096, example.REPORT_SCALE)
    assert errors[0] == pytest.approx(float(pixel_error(frames[:, :1], x[:, :1]).mean().detach()), abs=1e-5)


def test_sgd_takes_the_steps_of_the_loss_of_the_report(example: ModuleType) -> None:
    """Its rate is one of the loss in pixels' units: a step of it, written out, is the step of the run."""
    options, setting = (
        parse(example, "--report-optimizer", "sgd", "--report-learning-rate", "0.5"),
        example.Setting("inertial", 0.1),
    )
    data = example.load_clips(options, setting, example.ww.load_source(options))["train"]
    settings = example.make_fit_settings(options, setting, data)
    alone = {"max_steps": 1, "batch_size": len(data), "warmup_steps": 0, "schedule": "constant"}
    fitted = example.make_pair(options, setting)
    pyrodis.fit(*example.to_train(options, setting, fitted), data, settings=dataclasses.replace(settings, **alone))

    model, guide = (program.train() for program in example.make_pair(options, setting))
    x = example.ww.first_clips(data, len(data))
    codes = guide(x)
    frames = model.decoder(torch.cat([codes["what"], codes["where"]], -1)).sigmoid()
    loss = (pixel_error(frames[:, :1], x[:, :1]) + 0.1 * inertial_loss(codes["what_frames"])).mean()
    parameters = [*model.decoder.parameters(), *guide.parameters()]
    gradient = torch.cat([part.flatten() for part in torch.autograd.grad(loss, parameters)])
    before, after = (
        torch.cat([part.detach().flatten() for part in parts])
        for parts in (parameters, [*fitted[0].decoder.parameters(), *fitted[1].parameters()])
    )
    assert gradient.norm() > 0.01
    assert (after - before + 0.5 * gradient).norm() < 0.05 * 0.5 * gradient.norm()  # float32, in another order


@pytest.mark.parametrize("view", ["none", "blur", "down"])
@pytest.mark.parametrize("combine", ["concatenate", "add"])
def test_what_the_report_proposes_is_an_option_of_its_model(example: ModuleType, view: str, combine: str) -> None:
    sizes = ("--report-where-dim", "4") if combine == "add" else ()
    options = parse(example, "--report-where-view", view, "--report-combine", combine, *sizes)
    model, guide = (program.eval() for program in example.make_pair(options, example.Setting("barlow", 1.0)))
    x = torch.rand(3, 2, 1, 64, 64)
    output = guide(x)
    what, where = output["what"], output["where"]
    code = what + where if combine == "add" else torch.cat([what, where], -1)
    with pyro.poutine.condition(data={"what": what, "where": where}):
        drawn = model(batch_size=3)["reconstruction"]
    torch.testing.assert_close(drawn, model.decoder(code).sigmoid())
    views = {"none": torch.nn.Identity(), "blur": GaussianBlur(options.blur), "down": Downsample(4, restore=False)}
    guide.where_view = None
    seen = guide.where_head(guide.where_encoder(views[view](x).flatten(0, 1))).unflatten(0, (3, 2))
    torch.testing.assert_close(where, seen)
    assert view == "none" or views[view](x).shape != x.shape or not torch.allclose(views[view](x), x, atol=0.1)


def test_runs_of_the_sweep(example: ModuleType) -> None:
    def names(*arguments: str) -> list[str]:
        return [setting.name for setting in example.make_settings(parse(example, *arguments))]

    assert names("--lambdas", "10", "0.001") == [
        "inertial-0.001",
        "inertial-10",
        "barlow-0.001",
        "barlow-10",
        "cure",
    ]
    assert names("--losses", "barlow", "--no-cure") == ["barlow-10"]
    assert names("--losses") == ["cure"]
    options = example.make_parser().parse_args(["--preset", "paper"])
    example.apply_preset(options)
    assert [setting.name for setting in example.make_settings(options)][-1] == "barlow-10"
    assert options.report_steps == 100 * math.ceil(options.report_train / options.report_batch_size)


def test_both_losses_begin_with_the_same_weights(example: ModuleType) -> None:
    options = parse(example)
    first, second = (
        example.make_pair(options, example.Setting(*kind)) for kind in (("inertial", 1.0), ("barlow", 9.0))
    )
    for one, other in zip(first, second, strict=True):
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.equal(a, b)


WHOLE = ("--what-encoder", "blind")  # what sees whole frames
PLACED = (*WHOLE, "--decoder", "placed")
CURES: dict[str, tuple[str, ...]] = {
    "defaults": (),
    "in no order": ("--no-match", "--reader", "mean", "--where-view", "down"),
    "placed": PLACED,
    "finder": (*PLACED, "--where-encoder", "finder"),
    "parts without glimpses": WHOLE,
    "views": (*PLACED, "--what-view", "shift", "--where-view", "down", "--what-frames", "2"),
    "blur": ("--where-view", "blur", "--what-encoder", "pooled", "--reader", "one"),
    "other": ("--reader", "other", "--same-clip", "2"),
    "add": (*WHOLE, "--combine", "add", "--num-frames", "1", "--decoder", "upsample"),
    "broadcast": (*WHOLE, "--decoder", "broadcast", "--what-factor", "1"),
    "conv": (*WHOLE, "--decoder", "conv", "--what-kernel", "3"),
    "three places": ("--num-places", "3", "--what-dim", "6", "--where-dim", "6", "--patch-size", "32"),
    "small glimpses": ("--glimpse-size", "16", "--num-frames", "1"),
}


@pytest.mark.parametrize("arguments", CURES.values(), ids=CURES)
def test_every_cure_can_be_trained(example: ModuleType, arguments: tuple[str, ...]) -> None:
    options, setting = parse(example, *arguments), example.Setting("cure")
    example.make_settings(options)
    model, guide = example.to_train(options, setting, example.make_pair(options, setting))
    data = example.load_clips(options, setting, example.ww.load_source(options))["train"]
    x = example.ww.first_clips(data, 3)
    assert x.shape == (3, options.num_frames, 1, 64, 64)
    terms = pyrodis.NamedELBO().terms(model, guide, x)
    assert terms.total.isfinite()
    assert ("same_clip" in terms.values) == bool(options.same_clip)
    what = innermost(guide)(x)["what"]
    assert what.ndim == (3 if options.reader == "other" else 2)


def test_adding_codes_needs_one_size(example: ModuleType) -> None:
    with pytest.raises(ValueError, match="must be one size for codes that are added, got 4 and 2"):
        example.make_cure(parse(example, *WHOLE, "--combine", "add", "--decoder", "upsample", "--where-dim", "2"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--lambdas", "0"), r"--lambdas must be finite numbers above 0, got \[0.0\]"),
        (("--lambdas", "1", "1.00000001"), "--lambdas must differ in six digits"),
        (("--losses", "--no-cure"), "leave nothing to train; leave one of them out"),
        (
            ("--report-batch-size", "1"),
            "Barlow Twins needs two clips in every batch, got 24 of --report-train in batches of 1",
        ),
        (("--report-train", "25"), "got 25 of --report-train in batches of 8, which leave one alone"),
        (("--num-frames", "0"), "--num-frames must be at least 1, got 0"),
        (("--where-view", "down", "--factor", "3"), "--factor must divide 64, the height of a frame, got 3"),
        (("--report-where-view", "down", "--factor", "3"), "--factor must divide 64, the height of a frame, got 3"),
        (("--report-combine", "add"), "sums codes of one size, got --report-what-dim 4 and --report-where-dim 2"),
        (("--what-factor", "3"), "--what-factor must divide 64, the height of a frame, got 3"),
        (("--combine", "add"), "--combine add leaves no what apart from where to place; take --decoder upsample"),
        (("--what-frames", "5"), "--what-frames must be at most --num-frames 4, got 5; 0 is all"),
        (("--reader", "other", "--what-frames", "2"), "--reader other needs the code of every frame of two or more"),
        (("--decoder", "placed"), "looks where --decoder parts puts things, got --decoder placed; take --what-encoder"),
        (("--what-frames", "2"), "--what-frames is for a what that sees whole frames; take --what-encoder blind"),
        (("--what-view", "shift"), "--what-view is for a what that sees whole frames"),
        (("--where-encoder", "finder"), "--where-encoder finder is for a what that sees whole frames"),
        (("--num-places", "3"), "two numbers of where a place, so --where-dim must be 6, got 4"),
        ((*PLACED, "--no-match"), "--no-match is for --what-encoder glimpses, got --what-encoder blind"),
        ((*PLACED, "--glimpse-size", "32"), "--glimpse-size is for --what-encoder glimpses, got --what-encoder blind"),
        (("--glimpse-size", "30"), "--glimpse-size must be a power of two of at least 8, got 30"),
        (("--what-dim", "5"), "what_dim must be a multiple of the number of parts 2"),
        (
            ("--num-places", "7", "--where-dim", "14", "--what-dim", "70"),
            "must be at most 6 for parts that are matched",
        ),
        (("--report-learning-rate", "-1"), "--report-learning-rate must be a finite number above 0, got -1"),
        (("--same-clip", "1", "--num-frames", "1"), "--same-clip needs --num-frames of at least 2, got 1"),
    ],
)
def test_bad_command_lines(example: ModuleType, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        example.make_settings(parse(example, *arguments))


def test_the_cure_has_parts_and_glimpses_unless_told_otherwise(example: ModuleType) -> None:
    model, guide = example.make_cure(parse(example))
    assert isinstance(model.decoder, PartsDecoder)
    assert isinstance(guide, WhereThenWhatGuide)
    assert (model.decoder.num_parts, model.decoder.what_dim, model.decoder.where_dim) == (2, 4, 4)
    assert torch.equal(model.decoder.room, guide.glimpses.room), "glimpses are where patches are"
    assert (guide.matched, guide.what_encoder.frame_shape) == (True, (1, 32, 32))
    assert not example.make_cure(parse(example, "--no-match"))[1].matched


def test_cures_with_a_what_of_whole_frames(example: ModuleType) -> None:
    model, guide = example.make_cure(parse(example, *PLACED))
    assert isinstance(model.decoder, PlacedDecoder)
    assert type(guide) is WhatWhereGuide
    assert guide.what_encoder.frame_shape == (1, 32, 32)
    finder = example.make_cure(parse(example, *PLACED, "--where-encoder", "finder"))[1]
    assert isinstance(finder, WhatThenWhereGuide)
    for name, kind in (("broadcast", BroadcastDecoder), ("conv", ConvDecoder), ("upsample", UpsampleDecoder)):
        assert isinstance(example.make_cure(parse(example, *WHOLE, "--decoder", name))[0].decoder, kind)


def test_short_test_clips_are_refused_before_training(example: ModuleType) -> None:
    options = parse(example, "--test-frames", "2")
    with pytest.raises(ValueError, match="--test-frames must be at least 3, two to foretell the next from, got 2"):
        example.ww.load_test(options, example.ww.load_source(options))


def test_few_test_clips_are_refused_before_training(example: ModuleType) -> None:
    options = parse(example, "--num-test", "59")
    with pytest.raises(ValueError, match="--num-test must be at least 60, 20 for each pair, got 59"):
        example.ww.load_test(options, example.ww.load_source(options))


def test_overfitting_is_growth_after_the_minimum(example: ModuleType) -> None:
    train, validation = [8.0, 4.0, 2.0, 1.0], [6.0, 3.0, 2.5, 3.5]
    rows = tuple(
        {"train_nll": a, "train_kl_z": 0.0, "validation_nll": b, "validation_kl_z": 0.5}
        for a, b in zip(train, validation, strict=True)
    )
    curves = example.ww.gap_curves(History(rows, "all steps", 3), {"nll": 1.0, "kl_z": 2.0})
    np.testing.assert_allclose(curves["validation"], [7, 4, 3.5, 4.5])
    np.testing.assert_allclose(curves["train"], [6, 3, 1.5, 1])
    scores = example.ww.overfit_scores(History(rows, "all steps", 3), {"loss": {"nll": 1.0}})
    found = {name.removeprefix("overfit/loss/"): score.value for name, score in scores.items()}
    assert found == {
        "validation": 3.5,
        "gap": 2.5,
        "lowest_validation_epoch": 3,
        "gap_growth_in_last_half": 1.5,
        "validation_growth": 1.0,
    }
    falling = tuple({"train_nll": a, "validation_nll": a} for a in train)
    scores = example.ww.overfit_scores(History(falling, "all steps", 4), {"loss": {"nll": 1.0}})
    assert scores["overfit/loss/validation_growth"].value == 0


def test_the_sweep_goes_on_where_it_was(tmp_path: Path) -> None:
    output = tmp_path / "run"
    options = ("--smoke-test", "--output", str(output), "--losses", "barlow")
    result = run("what_where_digits.py", *options, "--no-cure")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    first = (output / "barlow-10" / "metrics.json").stat().st_mtime_ns
    result = run("what_where_digits.py", *options)
    assert result.returncode == 1
    assert "barlow-10 already holds a run; --resume goes on with it" in result.stderr
    result = run("what_where_digits.py", *options, "--resume")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    assert (output / "barlow-10" / "metrics.json").stat().st_mtime_ns == first
    scores = json.loads((output / "metrics.json").read_text(encoding="utf8"))
    assert {name.split("/")[0] for name in scores} == {"barlow-10", "cure"}
    wanted = {"swapped/identity", "where/identity/network", "what/position/network", "future/ridge", "mse/without_what"}
    assert {f"cure/{name}" for name in wanted} <= set(scores)
    assert {"barlow-10/overfit/agreement/gap_growth_in_last_half", "cure/overfit/loss/gap_growth_in_last_half"} <= set(
        scores
    )
    figures = {path.name for path in (output / "figures").iterdir()}
    names = {"training_barlow.png", "reconstructions_barlow.png", "overfitting.png", "scores.png", "centers.png"}
    assert figures == names
    assert {path.name for path in (output / "cure" / "figures").iterdir()} == {
        "training.png",
        "ablation.png",
        "swap.png",
        "swap.gif",
    }
    assert "| cure | " in result.stdout
    model, guide = pyrodis.load(output / "cure")
    x = torch.rand(1, 3, 1, 64, 64)
    assert pyrodis.reconstruct(model, guide, x).shape == x.shape
    example = load_example("what_where_digits")
    model = example.make_report(parse(example))[0]
    shown = score_shown_frames(model, torch.tensor([True, False]))
    loaded, guide = pyrodis.load(output / "barlow-10", model=shown)
    assert loaded is shown
    assert pyrodis.reconstruct(model, guide, x).shape == x.shape


def test_tables_are_those_of_the_stored_rows(results: ModuleType) -> None:
    text = PAGE.read_text(encoding="utf8")
    assert results.write_blocks(text) == text, "run python docs/results/what_where.py --table-only --write"
    assert all(f"<!-- results:{name} -->" in text for name in results.BLOCKS)
    readme = (ROOT / "README.md").read_text(encoding="utf8")
    assert "<!-- results:what-where-goals -->" in readme
    assert results.write_blocks(readme) == readme


def test_the_example_takes_the_commands_of_the_rows(results: ModuleType, example: ModuleType) -> None:
    for row, command in results.ROWS.items():
        options = example.make_parser().parse_args(command[1:])
        example.apply_preset(options)
        names = [setting.name for setting in example.make_settings(options)]
        assert names == list(results.EXPERIMENTS[row.rpartition("-seed")[0]].runs)
        assert options.seed == int(row[-1])


def test_every_line_of_the_ablation_differs_from_the_cure(results: ModuleType, example: ModuleType) -> None:
    def options_of(*arguments: str) -> dict[str, Any]:
        options = example.make_parser().parse_args([*results.CURE[1:], *arguments])
        example.apply_preset(options)
        return vars(options)

    cure = options_of()
    lines = [options_of(*arguments) for _, arguments in results.CHANGES.values()]
    assert all(line != cure for line in lines), "a line of the ablation is the preset itself"
    assert len({json.dumps(line, default=str) for line in lines}) == len(lines)


def test_tables_over_seeds(results: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "HERE", tmp_path)
    assert results.goal_table().count("not finished") == 3 * len(results.GOALS)
    scores = {"swapped/identity": 0.4, "reconstruction/identity": 0.9, "swapped/centroid_error": 4.0}
    scores |= {
        "real/centroid_error": 1.0,
        "reconstruction/centroid_error": 1.5,
        "where/identity/network": 0.3,
        "where/identity/linear": 0.4,
    }
    scores |= {"what/position/linear": 0.02, "what/position/network": -0.2, "real/identity": 0.95}
    scores |= {"overfit/loss/gap_growth_in_last_half": 0.01, "swapped/identity_of_where": 0.02}
    for name, run_name in (("barlow", "barlow-10"), ("overfit-barlow", "barlow-10"), ("overfit-cure", "cure")):
        found = {f"{run_name}/{score}": {"value": value, "chance": 0.1} for score, value in scores.items()}
        minutes = dict.fromkeys(results.EXPERIMENTS[name].runs, 2.0)
        for seed in (0, 2):
            result = {"scores": found, "training_minutes": minutes, "trained_at": "1234567"}
            result["command"] = " ".join(["python", *results.ROWS.get(f"{name}-seed{seed}", ())])
            results.path_of(f"{name}-seed{seed}").write_text(json.dumps(result), encoding="utf8")
    lines = results.goal_table().splitlines()
    assert lines[2].endswith("| not finished | 0.900 |  | not finished |")
    assert lines[3].endswith("| not finished | 0.400 |  | not finished |")
    assert lines[4].endswith("| not finished | 0.375 | at least .90 | not finished |"), ".3 of .8 above chance"
    assert lines[5].endswith("| not finished | 3.000 | at most 2 | not finished |")
    assert lines[6].endswith("| not finished | -0.080 |  | not finished |"), ".02 less chance"
    assert lines[7].endswith("| not finished | 0.300 | at most .05 | not finished |"), "of the better probe"
    assert lines[8].endswith("| not finished | 0.020 | at most .05 | not finished |"), "of the better probe"
    assert lines[9].endswith("| not finished | 0.01000 | does not grow | 0.01000 |")
    table = results.table([*results.REPORT], results.SWAP_SCORES)
    assert (
        "| Barlow Twins, lambda 10; 500 steps | 2 | 0.900 ± 0.000 | 0.400 ± 0.000 | 0.375 ± 0.000 | 0.020 ± 0.000 | 1.5"
        in table
    )
    assert "Not finished: inertial (3 of 3 seeds), barlow (1 of 3 seeds)." in table
    assert "was trained by" not in table


def test_the_last_lines_of_a_table_are_chance_and_the_judge(
    results: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "HERE", tmp_path)
    scores = {"real/identity": (0.95, 0.02), "real/centroid_error": (1.2, 15.0), "where/identity/linear": (0.3, 0.018)}
    found = {f"cure/{name}": {"value": value, "chance": chance} for name, (value, chance) in scores.items()}
    result = {"scores": found, "training_minutes": {"cure": 2.0}, "trained_at": "1234567", "command": "python old.py"}
    results.path_of("cure-seed1").write_text(json.dumps(result), encoding="utf8")
    text = results.table([*results.CURES], results.SWAP_SCORES)
    columns = [*results.SWAP_SCORES.values()]
    chance, judge = (
        next(line for line in text.splitlines() if words in line).split(" | ")[2:]
        for words in ("*chance*", "*the judge")
    )
    assert chance[columns.index("where/identity/linear")] == "0.018"
    assert judge[columns.index("swapped/identity")] == judge[columns.index("reconstruction/identity")] == "0.950"
    assert judge[columns.index("swapped/centroid_error")] == "1.200"
    assert "cure, seed 1, was trained by `python old.py` at commit 1234567" in text
    assert "held out frames, not clips, and so may have learned clips by heart: the cured model. Their" in text
    result["scores"]["cure/where/identity/linear"]["chance"] = 0.03
    result["probes"] = results.PROBES
    results.path_of("cure-seed2").write_text(json.dumps(result), encoding="utf8")
    text = results.table([*results.CURES], results.SWAP_SCORES)
    assert "| 0.018 to 0.030 |" in next(line for line in text.splitlines() if "*chance*" in line)
    results.path_of("cure-seed1").unlink()
    assert "learned clips by heart" not in results.table([*results.CURES], results.SWAP_SCORES)


def test_a_row_is_stored_with_its_figures(results: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    for name in ("HERE", "ROOT", "FIGURES"):
        monkeypatch.setattr(results, name, tmp_path)
    shared = sys.modules["shared_results"]
    monkeypatch.setattr(shared, "commit", lambda: "1234567")

    def train(command: list[str], **_: object) -> None:
        output = Path(command[command.index("--output") + 1])
        for name in ("cure", "figures"):
            (output / name / "figures").mkdir(parents=True)
        picture = Image.new("RGB", (8, 8), (9, 9, 9))
        picture.save(output / "cure" / "figures" / "swap.png")
        picture.save(output / "cure" / "figures" / "swap.gif")
        picture.save(output / "figures" / "overfitting.png")
        table = "epoch,seconds,train_total,validation_total\n1,60,3,4\n2,30,2,5\n"
        (output / "cure" / "history.csv").write_text(table, encoding="utf8")
        (output / "metrics.json").write_text('{"cure/swapped/identity": {"value": 1.0}}', encoding="utf8")

    monkeypatch.setattr(shared, "subprocess", SimpleNamespace(run=train))
    for row in ("cure-seed0", "cure-seed1", "overfit-cure-seed0"):
        results.finish(row)
        found = json.loads(results.path_of(row).read_text(encoding="utf8"))
        assert found["training_minutes"] == {"cure": 1.5}
        assert found["command"].endswith(f"--seed {row[-1]}")
        assert ("history" in found) == row.startswith("overfit")
        assert found["figures"] == (row != "cure-seed1"), "the first seed has them already"
        assert found["probes"] == results.PROBES
    assert found["history"] == {"epoch": [1, 2], "train_total": [3, 2], "validation_total": [4, 5]}
    kept = {path.name for path in tmp_path.iterdir() if path.suffix in {".png", ".gif"}}
    assert kept == {"what_where-cure.png", "what_where-cure.gif", "what_where-overfit-cure.png"}


@pytest.mark.parametrize("preset", ["default", "best", "paper"])
def test_every_preset_has_test_clips_for_its_probes(example: ModuleType, preset: str) -> None:
    """As a user runs it: smoke tests have sizes of their own, so that they do not see a preset that is refused."""
    options = example.make_parser().parse_args(["--preset", preset])
    example.apply_preset(options)
    assert len(example.ww.load_test(options, BundledDigits())) == options.num_test
