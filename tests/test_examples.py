"""Every script in examples/ runs to its end in seconds and writes the whole run directory."""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from pyro import poutine
from pyro.distributions import Normal
from safetensors import safe_open
from torch.distributions import kl_divergence

import pyrodis
from pyrodis.datasets import ProceduralSprites
from pyrodis.infer import LinearPrediction
from pyrodis.infer.penalties import innermost

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"

# Each script that examples/ holds, and where below its output directory the run lies that is looked at.
SCRIPTS = {
    "dsvae_sprites.py": ".",
    "beta_vae_circle.py": "beta-0.001",
    "structured_vae_circle.py": "dynamics",
    "inertial_vae_circle.py": "gamma-0.5",
    "compare_guides.py": "structured-rotation",
}

SCORE_FIELDS = {"value", "low", "high", "chance", "ceiling", "num", "seeds"}


def run(script: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run an example from the checkout, with one thread, no data set and no display."""
    environment = {name: value for name, value in os.environ.items() if name != "PYRODIS_DATA"}
    environment |= {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH")]))
    command = [sys.executable, str(EXAMPLES / script), *options]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module", params=SCRIPTS)
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of a script's smoke test."""
    output = tmp_path_factory.mktemp(Path(request.param).stem) / "run"
    result = run(request.param, "--smoke-test", "--output", str(output))
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    return output / SCRIPTS[request.param]


def test_every_script_is_listed() -> None:
    found = {path.name for path in EXAMPLES.glob("*.py") if not path.name.startswith("shared_")}
    assert found == set(SCRIPTS), "examples/ and SCRIPTS in tests/test_examples.py differ"


def test_config_says_what_was_run(finished: Path) -> None:
    config = json.loads((finished / "config.json").read_text(encoding="utf8"))
    assert config
    text = json.dumps(config)
    for word in ("model", "guide", "data", "seed", "version", "checksum"):
        assert word in text, f"config.json says nothing of {word}"


def test_weights_belong_to_model_and_guide(finished: Path) -> None:
    with safe_open(finished / "weights.safetensors", framework="pt") as weights:
        prefixes = {name.split(".")[0] for name in weights.keys()}  # noqa: SIM118 (a file, not a dict)
        assert prefixes == {"model", "guide"}
        assert weights.metadata()


def test_checkpoints_are_kept(finished: Path) -> None:
    assert {path.name for path in (finished / "checkpoints").iterdir()} >= {"last.ckpt", "best.ckpt"}


def test_history_has_a_row_an_epoch(finished: Path) -> None:
    with (finished / "history.csv").open(encoding="utf8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert all(value not in (None, "") for row in rows for value in row.values())


def test_every_score_has_its_context(finished: Path) -> None:
    scores = json.loads((finished / "metrics.json").read_text(encoding="utf8"))
    assert scores
    for name, score in scores.items():
        assert set(score) >= SCORE_FIELDS, name


def test_figures_are_images(finished: Path) -> None:
    figures = list((finished / "figures").iterdir())
    heads = {path.suffix: path.read_bytes()[:4] for path in figures}
    assert heads.get(".png") == b"\x89PNG"
    assert heads.get(".gif") == b"GIF8"
    assert all(path.stat().st_size > 100 for path in figures)


def test_nothing_unfinished_is_left(finished: Path) -> None:
    assert not [path for path in finished.rglob("*") if path.suffix in {".tmp", ".part"}]


def load_example(name: str = "dsvae_sprites") -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    example = importlib.util.module_from_spec(spec)
    sys.modules[name] = example  # where its dataclasses look for the names of their annotations
    sys.path.insert(0, str(EXAMPLES))  # where a script finds what it shares with others
    try:
        spec.loader.exec_module(example)
    finally:
        sys.path.remove(str(EXAMPLES))
    return example


def parse(example: ModuleType, *arguments: str) -> argparse.Namespace:
    options = example.make_parser().parse_args(["--smoke-test", *arguments])
    example.apply_preset(options)
    return options


@pytest.mark.parametrize("static_view", ["none", "patches", "shuffle", "single-frame"])
@pytest.mark.parametrize("dynamic_view", ["none", "gray", "tones"])
def test_views_of_the_sprites_example(static_view: str, dynamic_view: str) -> None:
    example = load_example()
    options = parse(example, "--static-view", static_view, "--dynamic-view", dynamic_view)
    _, guide = example.make_pair(options, (3, 64, 64), 8)
    seen = [guide.static_view, *(guide.dynamic_view or [])]
    names = [type(view).__name__ for view in seen if view is not None]
    static = {"patches": ["SubsetFrames"], "shuffle": ["PatchShuffle"], "single-frame": ["SingleFrame"]}
    dynamic = {"gray": ["RandomGray", "Downsample"], "tones": ["RandomTones", "Downsample"]}
    assert names == static.get(static_view, []) + dynamic.get(dynamic_view, [])
    assert (guide.dynamic_encoder is None) == (static_view == dynamic_view == "none")
    assert guide(torch.rand(2, 8, 3, 64, 64))["z"].shape == (2, 8, options.dynamic_dim)


def test_a_plain_model_sees_everything_and_waits_for_nothing() -> None:
    example = load_example()
    options = parse(example, "--plain")
    _, guide = example.make_pair(options, (3, 64, 64), 8)
    assert (guide.static_view, guide.dynamic_view, guide.dynamic_encoder, guide.static_dim) == (None, None, None, 64)
    assert example.make_settings(options).kl_cooldown_epochs == {}
    assert example.make_settings(parse(example)).kl_cooldown_epochs == {"f": 0.5}


@pytest.mark.parametrize("recipe", ["mutual-information", "density-ratio", "contrast", "reencoding", "subtract-mean"])
def test_recipes_of_the_sprites_example_change_the_training_alone(recipe: str) -> None:
    example = load_example()
    options = parse(example, "--recipe", recipe, "--learned-similarity", "2")
    model, guide = example.make_pair(options, (3, 64, 64), 8)
    trained, penalized = example.add_recipes(options, model, guide, 36)
    terms = pyrodis.NamedELBO().terms(trained, penalized, torch.rand(2, 8, 3, 64, 64))
    assert set(terms.values) >= {"nll", "kl_f", "kl_z", "similarity"}
    assert len(terms.values) == {"contrast": 6, "subtract-mean": 4}.get(recipe, 5)
    assert (innermost(trained), innermost(penalized)) == (model, guide)


def test_a_held_out_value_is_in_no_training_clip() -> None:
    example = load_example()
    options = parse(example, "--hold-out", "top=5")
    data = {split: ProceduralSprites(split=split) for split in ("train", "fit", "validation", "test")}
    only = example.split_held_out(options, data)
    column = data["test"].factor_names.index("top")
    assert set(only.factors[:, column].tolist()) == {5}
    assert all(5 not in data[split].factors[:, column].tolist() for split in ("fit", "validation"))
    assert len(only) > 0
    with pytest.raises(ValueError, match="--hold-out must be FACTOR=VALUE such as top=5, got 'top'"):
        example.split_held_out(parse(example, "--hold-out", "top"), data)


def test_the_loss_of_the_beta_sweep_is_half_of_the_published_one() -> None:
    example = load_example("beta_vae_circle")
    options = parse(example, "--data", "moving", "--prediction-weights", "0.5", "--betas", "0.02")
    (setting,) = example.make_settings(options)
    data = example.circle.load_circles(True, 8, smoke_test=True)["train"]
    model, guide = example.make_pair(options, setting.beta, data)
    weights = example.make_fit_settings(options, setting.beta, data).kl_weights
    penalized = example.penalize(guide, setting, LinearPrediction())
    x = torch.stack([data[i]["x"] for i in range(3)])
    programs = [pyrodis.scale_latents(program, weights) for program in (model, penalized)]
    torch.manual_seed(0)
    total = pyrodis.NamedELBO().terms(*programs, x).total
    torch.manual_seed(0)
    trace = poutine.trace(guide).get_trace(x)
    posterior = trace.nodes["z"]["fn"]
    squares = (x - model.decoder(trace.nodes["z"]["value"]).sigmoid()).square().sum() / 3
    kl = kl_divergence(posterior, Normal(0.0, 1.0).expand([10, 4]).to_event(2)).mean()
    z = posterior.mean
    prediction = (z[:, 2:] - 2 * z[:, 1:-1] + z[:, :-2]).square().sum() / 3
    published = squares + 0.02 * 1024 / 4 * kl + 0.5 * prediction
    constant = 10 * 1024 * 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(total - constant, published / 2, rtol=1e-4, atol=1e-3)


def test_runs_of_the_beta_sweep() -> None:
    example = load_example("beta_vae_circle")
    names = [
        setting.name for setting in example.make_settings(parse(example, "--betas", "5", "0.001", "--autoencoder"))
    ]
    assert names == ["autoencoder", "beta-0.001", "beta-5"]
    options = example.make_parser().parse_args([])
    example.apply_preset(options)
    assert options.betas == example.BETAS == (0.001, 0.00549, 0.0302, 0.166, 0.91, 5.0)
    grid = parse(example, "--data", "moving", "--betas", "1", "--prediction-weights", "1e4", "0")
    assert [setting.weight for setting in example.make_settings(grid)] == [0, 1e4]
    table = example.sweep_table({example.Setting(0.0055): {}}, compare=True)
    assert "| 0.0055 |  |" in table
    assert table.endswith("| 2 | 0.065 | 0.283 | 0.196 | 0.0015 |")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--prediction-weights", "1"), "needs clips of several frames: add --data moving"),
        (("--learn-alpha",), "needs a prediction: add --prediction-weights"),
        (("--betas", "-1"), "--betas must be finite numbers of at least 0, got"),
        (("--betas", "1", "1.00001"), "must differ in four digits"),
    ],
)
def test_the_beta_sweep_refuses(options: tuple[str, ...], message: str) -> None:
    example = load_example("beta_vae_circle")
    with pytest.raises(ValueError, match=message):
        example.make_settings(parse(example, *options))


def test_the_beta_sweep_with_predictions_and_controls_goes_on_where_it_was(tmp_path: Path) -> None:
    output = tmp_path / "run"
    options = ("--smoke-test", "--output", str(output), "--data", "moving", "--betas", "0.001", "--supervised")
    options += ("--prediction-weights", "0", "1", "--learn-alpha")
    result = run("beta_vae_circle.py", *options)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    scores = json.loads((output / "metrics.json").read_text(encoding="utf8"))
    assert {name.split("/")[0] for name in scores} == {
        "beta-0.001-prediction-0",
        "beta-0.001-prediction-1",
        "supervised",
    }
    alpha = scores["beta-0.001-prediction-1/alpha"]["value"]
    assert alpha != 1
    assert "beta-0.001-prediction-0/alpha" not in scores
    assert (output / "figures" / "map_mig.png").exists()
    kept = {path: path.stat().st_mtime_ns for path in output.glob("*/metrics.json")}
    assert len(kept) == 3
    result = run("beta_vae_circle.py", *options, "--resume")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    assert {path: path.stat().st_mtime_ns for path in output.glob("*/metrics.json")} == kept


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_names_the_shared_options(script: str) -> None:
    result = run(script, "--help")
    assert result.returncode == 0, result.stderr
    for option in (
        "--output",
        "--data-root",
        "--preset",
        "--seed",
        "--device",
        "--resume",
        "--overwrite",
        "--smoke-test",
    ):
        assert option in result.stdout


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("options", [("--preset", "unheard-of"), ("--seed", "minus one"), ("--no-such-option",)])
def test_refuses_bad_options_in_one_sentence(script: str, options: tuple[str, ...], tmp_path: Path) -> None:
    result = run(script, *options, "--smoke-test", "--output", str(tmp_path / "run"))
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()
