"""Every number of a table of results comes from a stored row, and the script that prints it names what is missing."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from pyrodis.infer.describe import describe
from pyrodis.infer.penalties import wrappers

ROOT = Path(__file__).resolve().parents[1]


def load_script(name: str, folder: str = "docs/results") -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def results() -> ModuleType:
    """The script docs/results/dsvae_sprites.py."""
    return load_script("dsvae_sprites")


@pytest.mark.parametrize(
    "page", ["README.md", "docs/papers/dsvae.md", "docs/concepts/views.md", "docs/concepts/learned_similarity.md"]
)
def test_tables_are_those_of_the_stored_rows(results: ModuleType, page: str) -> None:
    assert ROOT / page in results.PAGES
    text = (ROOT / page).read_text(encoding="utf8")
    assert any(f"<!-- results:{name} -->" in text for name in results.BLOCKS)
    assert results.write_blocks(text) == text, (
        f"run python docs/results/dsvae_sprites.py --table-only --write for {page}"
    )


def test_the_pages_hold_every_table(results: ModuleType) -> None:
    text = "".join(page.read_text(encoding="utf8") for page in results.PAGES)
    assert all(f"<!-- results:{name} -->" in text for name in results.BLOCKS)
    assert len([row for row in results.ROWS if results.path_of(row).exists()]) > 0


def test_every_row_is_in_a_table(results: ModuleType) -> None:
    guides = {f"{guide}-{prior}" for guide, prior in results.GUIDES}
    hidden = {row.removesuffix("-seed0") for row in results.ROWS if row.startswith("hidden-")}
    averaged = {row.rsplit("-seed", 1)[0] for row in results.TRAINED_AS}
    named = set(results.FULL) | set(results.SHORT_ROWS) | guides | hidden | averaged
    assert set(results.VIEW_ROWS) <= set(results.SHORT_ROWS)
    for row in results.ROWS:
        name = row.rsplit("-seed", 1)[0]
        assert name in named or name.startswith("held-out"), row


def test_the_page_shows_the_figures_that_rows_keep(
    results: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    page = (results.ROOT / "docs" / "papers" / "dsvae.md").read_text(encoding="utf8")
    for row in results.FIGURES:
        assert row in results.ROWS
        assert f"(../_static/dsvae-{row}.png)" in page
        assert (results.ROOT / "docs" / "_static" / f"dsvae-{row}.png").is_file()
    for folder in ("figures", "docs/_static"):
        (tmp_path / folder).mkdir(parents=True)
    Image.new("RGBA", (4, 4), "red").save(tmp_path / "figures" / "style_transfer.png")
    monkeypatch.setattr(results, "ROOT", tmp_path)
    results.keep_figure("plain-seed0", tmp_path)
    results.keep_figure("plain-seed1", tmp_path)
    kept = [path.name for path in (tmp_path / "docs" / "_static").iterdir()]
    assert kept == ["dsvae-plain-seed0.png"]
    with Image.open(tmp_path / "docs" / "_static" / kept[0]) as figure:
        assert figure.convert("RGB").getpixel((0, 0)) == (255, 0, 0)


def test_commands_of_the_tables_still_train_what_their_rows_have_stored(results: ModuleType) -> None:
    example = load_script("dsvae_sprites", "examples")

    def plain(value: object) -> Any:
        return json.loads(json.dumps(value))

    for row in filter(lambda row: results.path_of(row).exists(), results.ROWS):
        stored = json.loads(results.path_of(row).read_text(encoding="utf8"))
        config = stored["config"]
        options = example.make_parser().parse_args(results.command(row).split()[2:])
        example.apply_preset(options)
        wanted = plain(dataclasses.asdict(example.make_settings(options)))
        trained = {name: value for name, value in config["training"].items() if name in wanted and name != "device"}
        assert len(trained) > 12
        assert trained == {name: wanted[name] for name in trained}, row
        pair = example.make_pair(options, (3, 64, 64), 8)
        assert [config["model"], config["guide"]] == plain([describe(part) for part in pair]), row
        added = example.add_recipes(options, *pair, config["data"]["train"]["num_items"])
        found = dict(zip(("model", "guide"), map(wrappers, added), strict=True))
        assert config["training"].get("wrappers", {"model": [], "guide": []}) == plain(found), row
        assert (config["run"]["hold_out"], config["run"]["preset"]) == (options.hold_out, options.preset), row
        assert stored["data"] == {"procedural": "procedural_sprites"}.get(options.data, options.data), row


def test_means_over_seeds_say_how_many_are_missing(
    results: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = {"value": 0.5, "low": 0.4, "high": 0.6, "chance": 0.25, "ceiling": 1.0, "num": 9, "seeds": 1}
    name = "reconstruction/skin"
    monkeypatch.setattr(results, "HERE", tmp_path)
    for seed, value in ((0, 0.5), (2, 0.9)):
        row = {"scores": {name: {**score, "value": value}}}
        results.path_of(f"default-seed{seed}").write_text(json.dumps(row), encoding="utf8")
    assert results.seeds("default") == "2 seeds, 1 missing"
    assert results.mean(results.stored("default"), name) == pytest.approx(0.7)
    assert results.full_tables(["best"]).endswith("not finished; `python docs/results/dsvae_sprites.py` trains it.")
    assert "Not finished: the recipe" in results.short_table()


def test_a_missing_row_is_named(
    results: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(results, "HERE", tmp_path)
    monkeypatch.setattr("sys.argv", ["dsvae_sprites.py", "--table-only"])
    results.main()
    printed = capsys.readouterr().out
    assert all(f"{row}: missing" in printed for row in results.ROWS)


@pytest.fixture(scope="module")
def views() -> ModuleType:
    """The script docs/results/views.py."""
    return load_script("views")


def test_views_are_measured_stored_and_not_measured_again(
    views: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(views, "HERE", tmp_path)
    monkeypatch.setattr(views, "SETTINGS", views.SMOKE)
    monkeypatch.setattr("sys.argv", ["views.py", "--data", "procedural", "--rows", "subset1-patch8", "silhouette"])
    measure = views.measure

    def stop_at_the_second(row: str, *rest: object) -> object:
        if row == "silhouette":
            raise KeyboardInterrupt
        return measure(row, *rest)

    monkeypatch.setattr(views, "measure", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        views.main()
    stored = [path.name for path in tmp_path.iterdir()]
    assert stored == ["views-procedural-subset1-patch8.json"]
    monkeypatch.setattr("sys.argv", [*sys.argv, "--table-only"])
    views.main()
    printed = capsys.readouterr().out
    assert "silhouette: missing; run python docs/results/views.py --data procedural" in printed
    result = json.loads((tmp_path / stored[0]).read_text(encoding="utf8"))
    assert set(result["scores"]) == set(views.READERS)
    best = max(result["scores"][reader]["hair"]["value"] for reader in views.READERS)
    assert f" {100 * best:.1f} |\n" in printed
    assert "| *chance* | 11.1 | 16.7 | 16.7 | 16.7 | 16.7 |" in printed


def test_every_row_of_views_can_be_read(views: ModuleType) -> None:
    """Judges read square frames of the data's size, whatever the view."""
    for name, (label, view) in views.ROWS.items():
        seen = view.train()(torch.rand(2, 8, 3, 64, 64))
        assert seen.shape[2:] == (3, 64, 64), name
        assert label


def test_the_table_of_views_is_that_of_the_stored_rows(views: ModuleType) -> None:
    text = (ROOT / "docs" / "concepts" / "views.md").read_text(encoding="utf8")
    paths = {row: views.path_of(row, "sprites") for row in views.ROWS}
    results = {row: json.loads(p.read_text(encoding="utf8")) if p.exists() else None for row, p in paths.items()}
    assert views.page_table(results) in text


@pytest.fixture(scope="module")
def parallel() -> ModuleType:
    """The script docs/results/parallel_vae.py."""
    spec = importlib.util.spec_from_file_location("parallel_vae_results", ROOT / "docs" / "results" / "parallel_vae.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["README.md", "docs/papers/parallel_vae.md"])
def test_tables_of_parallel_vaes_are_those_of_the_stored_rows(parallel: ModuleType, page: str) -> None:
    assert ROOT / page in parallel.PAGES
    text = (ROOT / page).read_text(encoding="utf8")
    assert "<!-- results:parallel-goals -->" in text
    assert parallel.write_blocks(text) == text, "run python docs/results/parallel_vae.py --table-only --write"


def test_every_table_of_parallel_vaes_is_on_their_page(parallel: ModuleType) -> None:
    text = (ROOT / "docs" / "papers" / "parallel_vae.md").read_text(encoding="utf8")
    assert all(f"<!-- results:{name} -->" in text for name in parallel.BLOCKS)
    assert {name for _, name, *_ in parallel.GOALS} <= set(parallel.EXPERIMENTS)


@pytest.mark.parametrize("example", ["parallel_vae_digits", "parallel_vae_scenes"])
def test_examples_take_the_commands_of_the_rows(parallel: ModuleType, example: str) -> None:
    path = ROOT / "examples" / f"{example}.py"
    if not path.exists():
        pytest.skip(f"there is no {path.name} yet")
    commands = [command[1:] for command in parallel.ROWS.values() if command[0] == f"examples/{path.name}"]
    assert len(commands) > 10
    sys.path.insert(0, str(path.parent))
    try:
        module = importlib.import_module(example)
    finally:
        sys.path.remove(str(path.parent))
    for command in commands:
        options = module.make_parser().parse_args(command)
        module.apply_preset(options)  # which refuses what has no effect
        assert options.seed == int(command[-1])


def test_a_rung_changes_one_part_of_the_set_up(parallel: ModuleType) -> None:
    """Of the thesis's, or of ours where it is taken back; and all rungs see as many images but for their own budget.

    A grid changes the capacity too: the number of its latents follows from it.
    """
    thesis, ours = parallel.rung("thesis", ()), parallel.rung("ours", parallel.OURS)
    for name, change in parallel.CHANGES.items():
        changed = (change.part, "capacity") if name == "grid" else (change.part,)
        before = [option for part, options in parallel.THESIS.items() if part not in changed for option in options]
        before += ["--channels", "16"] if name == "grid" else []
        command = parallel.rung(name, [name])
        assert command != thesis
        assert sorted(command) == sorted([*thesis[:3], *before, *change.options, *parallel.images(name)])
    for name in parallel.OURS:
        command = parallel.LADDER[f"ours-but-{name}"].command
        assert command not in (thesis, ours)
        assert set(parallel.THESIS[parallel.CHANGES[name].part]) <= set(command)
    for options in (parallel.SHORT_STAGES, parallel.LONG_STAGES):
        assert 2 * int(options[3]) * int(options[5]) == parallel.LADDER_PASSES
    assert 2 * int(parallel.TOGETHER[3]) + int(parallel.TOGETHER[5]) == parallel.LADDER_PASSES
    assert 2 * int(parallel.LABELS[3]) == parallel.LADDER_PASSES


def test_tables_of_parallel_vaes_over_seeds(
    parallel: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "HERE", tmp_path)
    names = dict.fromkeys(name for _, name, *_ in parallel.GOALS)
    assert parallel.goal_table() == f"Not finished: {', '.join(names)}."
    scores = {"foreground_ari": 0.9, "untrained/foreground_ari": 0.5, "presence/0": 0.99, "presence/1": 0.97}
    scores |= {"kl/00/0": 30.0, "kl/00/1": 1.0, "mse_less_single": -0.001, "dominance/0": 3.0}
    scores |= {"kl/sphere/sphere": 9.0, "kl/sphere + cube/sphere": 5.0, "kl/sphere + cube/cube": 4.0}
    scores["mse/foreground"] = 0.04
    for seed, shift in ((0, 0.0), (2, 0.02)):
        for name in ("4-mnist", "windows-digits", "ladder-thesis"):
            found = {score: {"value": value + shift, "chance": 0.1} for score, value in scores.items()}
            result = {"scores": found, "training_minutes": 2.0 + seed}
            parallel.path_of(f"{name}-seed{seed}").write_text(json.dumps(result), encoding="utf8")
    goals = parallel.goal_table()
    assert "| 4-MNIST: foreground ARI | at least .90 | 0.910 ± 0.127 | 2 |" in goals
    assert "AUROC of the worst VAE | at least .99 | 0.980 ± 0.127, **missed** | 2 |" in goals
    assert "gain by training, among windows | at least .20 | 0.400 ± 0.000 | 2 |" in goals
    words = parallel.LADDER["thesis"].words
    row = f"| {words} | 2 | 0.910 ± 0.127 |  | 0.980 ± 0.127 | 3.0 ± 0.1 | 9.0 ± 0.3 | 0.500 ± 1.271 |  | 750 | 3.0 |"
    assert row in parallel.ladder_table()
    assert "ladder-thesis (1 of 3 seeds), ladder-decoder (3 of 3 seeds)" in parallel.ladder_table()
    assert "| 00 | 30.01 ± 0.13 (33.91) | 1.01 ± 0.13 (0.70) | (20.23) | (0.54) |" in parallel.kl_table()
    published = "| MONet on Multi-dSprites, as published |  | 0.904 |"
    assert published in parallel.unsupervised_table().partition("Not finished")[0]


def test_a_row_of_parallel_vaes_is_stored_with_its_figure_and_minutes(
    parallel: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    for name in ("HERE", "ROOT", "FIGURES"):
        monkeypatch.setattr(parallel, name, tmp_path)
    shared = sys.modules["shared_results"]
    monkeypatch.setattr(shared, "commit", lambda: "1234567")

    def train(command: list[str], **_: object) -> None:
        run = Path(command[command.index("--output") + 1])
        (run / "figures").mkdir(parents=True)
        (run / "single").mkdir()
        (run / "history.csv").write_text("stage,seconds,loss\n0,60,1\n1,30,2\n", encoding="utf8")
        (run / "single" / "history.csv").write_text("seconds\n600\n", encoding="utf8")
        (run / "metrics.json").write_text('{"owner": {"value": 1.0}}', encoding="utf8")
        (run / "config.json").write_text('{"training": {"batch_size": 32}}', encoding="utf8")
        for name, color in (("components", "red"), ("unseen", "blue")):
            Image.new("RGB", (4, 4), color).save(run / "figures" / f"{name}.png")

    monkeypatch.setattr(shared, "subprocess", SimpleNamespace(run=train))
    for row in ("5-mnist-seed0", "5-mnist-seed1", "ladder-thesis-seed0", *parallel.SHOWN_BESIDE):
        parallel.finish(row)
        stored = json.loads(parallel.path_of(row).read_text(encoding="utf8"))
        assert stored["training_minutes"] == 1.5
        assert stored["scores"]["owner"]["value"] == 1.0
        assert stored["config"]["training"]["batch_size"] == 32
        assert stored["command"].startswith("python examples/parallel_vae_")
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [
        "parallel_vae-5-mnist.png",
        "parallel_vae-ladder-thesis.png",
        *(f"parallel_vae-{row}.png" for row in parallel.SHOWN_BESIDE),
    ]
    assert set(parallel.SHOWN_BESIDE) <= set(parallel.ROWS)
    with Image.open(tmp_path / "parallel_vae-5-mnist.png") as figure:
        assert figure.convert("RGB").getpixel((0, 0)) == (0, 0, 255)
    assert parallel.figure_list(["5-mnist", "2-mnist"]).endswith("\n\nNot drawn yet: 2-mnist.")


def test_goals_on_sprites_are_read_off_the_scores(results: ModuleType) -> None:
    scores = {f"reconstruction/{factor}": {"value": 0.9} for factor in results.FACTORS}
    scores["reconstruction/skin"] = {"value": 0.7}
    scores |= {f"static_sampled/{name}": {"value": 0.5, "chance": 0.5} for name in results.FACTORS}
    scores["static_sampled/hair"] = {"value": 0.44, "chance": 0.5}
    scores["static_sampled/action"] = {"value": 1.0, "chance": 0.1}  # to be kept, so no distance from chance
    scores |= {"dynamic_sampled/action": {"value": 0.3, "chance": 0.1}, "inception_score": {"value": 8.5}}
    result = {"scores": scores, "training_minutes": 12.5}
    names = (
        "worst",
        "off/static_sampled",
        "off/dynamic_sampled",
        "static_sampled/action",
        "inception_score",
        "minutes",
    )
    found = [results.goal_score(result, name) for name in names]
    assert found == pytest.approx([70.0, 6.0, 20.0, 100.0, 8.5, 12.5])


def test_minutes_of_the_default_preset_are_those_of_its_whole_command(
    results: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "goal_score", lambda result, name: result)
    monkeypatch.setattr(results, "stored", lambda name: [30.0, 40.0])
    monkeypatch.setattr(results, "seeds", lambda name: "2 seeds")
    monkeypatch.setattr(results, "HERE", tmp_path)
    assert (
        "| at most 20 | 35.0 (30.0 to 40.0), **missed** | at most 150 | 35.0 (30.0 to 40.0) |" in results.goal_table()
    )
    (tmp_path / "lengths-dsvae_sprites.json").write_text('{"minutes": 19.5}')
    wanted = "; default: of the whole command, by itself | at most 20 | 19.5 | at most 150 | 35.0 (30.0 to 40.0) |"
    assert wanted in results.goal_table()


def test_steps_of_a_rung_are_those_of_its_stages(parallel: ModuleType) -> None:
    """The set-up: six rounds of a pass over 4,000 images in batches of 32; with labels both at once, twelve passes."""
    assert parallel.steps_of("ladder-thesis") == "750"
    assert parallel.steps_of("ladder-ours") == "6,000"
    assert parallel.steps_of("ladder-schedule") == "1,000"
    assert parallel.is_enough(0.95, "at least .90")
    assert not parallel.is_enough(0.95, "at most .90")


def test_the_table_of_what_was_held_out(results: ModuleType) -> None:
    factors = ("action", "skin", "bottom", "top", "hair")
    names = [f"held_out/{row}/{factor}" for row in results.UNSEEN for factor in factors]
    scores = {name: {"value": 0.01 * number, "num": 7 + number} for number, name in enumerate(names)}
    head, _, *lines = results.unseen_table([{"scores": scores}]).splitlines()
    assert head == "| decoded from | clips | action | skin | bottom | top | hair |"
    assert lines[1] == "| f of a clip in shirt 5, z of another clip | 12 | 5.0 | 6.0 | 7.0 | 8.0 | 9.0 |"
    assert lines[3].startswith("| z drawn from the prior, f of a clip in shirt 5 | 22 | 15.0 [11.1] | 16.0 |")


def test_the_machine_says_how_many_threads_a_row_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "results"))
    shared = importlib.import_module("shared_results")
    monkeypatch.setattr(shared.os, "cpu_count", lambda: 8)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert shared.machine().startswith("8 cores (3 used), ")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert shared.machine().startswith("8 cores, ")


def test_intervals_of_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "results"))
    shared = importlib.import_module("shared_results")
    assert [shared.interval(numbers) for numbers in ([], [0.25], [-0.0002], [-0.0006])] == [
        "",
        "0.250",
        "0.000",
        "-0.001",
    ]
    assert shared.interval([-0.1, 0.1 - 1e-6], 1) == "0.0 ± 1.3", "t of one degree of freedom, 12.7, times .1"


def test_a_finished_run_is_scored_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "results"))
    shared = importlib.import_module("shared_results")
    run, commits = tmp_path / "runs" / "results-sgd-0.1-seed0", iter("aabbcc")
    commands: list[list[str]] = []

    def score(command: list[str], **_: object) -> None:
        commands.append(command)
        (run / "part").mkdir(parents=True, exist_ok=True)
        for folder in (run / "part", run):
            assert not (folder / "metrics.json").exists(), "what was scored before stands for a score"
            (folder / "metrics.json").write_text("{}", encoding="utf8")

    monkeypatch.setattr(shared, "commit", lambda: next(commits))
    monkeypatch.setattr(shared, "subprocess", SimpleNamespace(run=score))
    first, second = (shared.train(run, ["examples/it.py", "--seed", "0"], "--data-root", "here") for _ in range(2))
    assert (first["trained_at"], first["scored_at"]) == ("a", "a")
    assert (second["trained_at"], second["scored_at"]) == ("a", "b")
    assert first["command"] == "python examples/it.py --seed 0"
    assert commands[0][1:] == [
        *("examples/it.py", "--seed", "0", "--data-root", "here"),
        *("--output", str(run), "--resume"),
    ]
    assert [path.name for path in run.parent.glob("*.commit")] == ["results-sgd-0.1-seed0.commit"]


def test_an_interrupt_waits_for_what_the_training_saves(tmp_path: Path) -> None:
    """Ctrl-C reaches the whole group, the table's script as well, which must not kill a training that is saving."""
    script, ready, saved = tmp_path / "train.py", tmp_path / "ready", tmp_path / "saved"
    script.write_text(
        "import pathlib, sys, time\n"
        "try:\n"
        f"    pathlib.Path({str(ready)!r}).touch()\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    time.sleep(1)\n"
        f"    pathlib.Path({str(saved)!r}).touch()\n"
        "    sys.exit(130)\n",
        encoding="utf8",
    )
    table = (
        f"import sys; sys.path.insert(0, 'docs/results'); import shared_results; shared_results.call([{str(script)!r}])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", table], cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    try:
        for _ in range(600):
            if ready.exists():
                break
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, saved.exists()) == (130, True)
    assert errors == f"{script} ended with code 130; what it saved is kept, see above for why\n"


def test_a_cut_sweep_keeps_what_it_has_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "results"))
    shared = importlib.import_module("shared_results")
    scored = tmp_path / "run" / "part" / "metrics.json"
    scored.parent.mkdir(parents=True)
    scored.write_text("{}", encoding="utf8")
    monkeypatch.setattr(shared, "commit", lambda: "1234567")
    monkeypatch.setattr(shared, "subprocess", SimpleNamespace(run=lambda *_, **__: None))
    shared.train(tmp_path / "run", ["examples/it.py"])
    assert scored.exists()


def test_lengths_are_of_whole_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = load_script("lengths")
    text = lengths.PAGES[0].read_text(encoding="utf8")
    assert sys.modules["shared_results"].write_blocks(text, lengths.BLOCKS) == text, (
        "run python docs/results/lengths.py --table-only --write"
    )
    for (script, *_), _limit in lengths.ROWS.values():
        assert (ROOT / script).is_file()
    caches: list[str] = []

    def run(command: list[str], env: dict[str, str]) -> None:
        assert Path(command[-1]).parent.is_dir()
        assert not Path(env["PYRODIS_CACHE"]).exists(), "a judge is trained anew"
        caches.append(env["PYRODIS_CACHE"])

    monkeypatch.setattr(lengths, "HERE", tmp_path)
    monkeypatch.setattr(lengths, "busy_cores", lambda: 0.124)
    monkeypatch.setattr(lengths, "commit", lambda: "1234567")
    clock = iter([0.0, 15.04 * 60])
    monkeypatch.setattr(lengths, "call", run)
    monkeypatch.setattr(lengths, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.delenv("PYRODIS_DATA", raising=False)
    with pytest.raises(SystemExit, match="set PYRODIS_DATA to the folder"):
        lengths.finish("what_where_digits")
    monkeypatch.setenv("PYRODIS_DATA", str(tmp_path))
    lengths.finish("what_where_digits")
    assert len(caches) == 1
    table = lengths.length_table()
    assert "| `python examples/what_where_digits.py --data mnist` | 15.0, **missed** | 15 | 0.12 |" in table
    assert "Not timed yet: dsvae_sprites," in table
