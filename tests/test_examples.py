"""Every script in examples/ runs to its end in seconds and writes the whole run directory."""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from pyro import poutine
from pyro.distributions import MultivariateNormal, Normal
from safetensors import safe_open
from torch.distributions import kl_divergence

import pyrodis
from pyrodis.datasets import CircleOnGaussian, ProceduralSprites, render_circle
from pyrodis.infer import LinearPrediction
from pyrodis.infer.penalties import innermost, penalty_modules
from pyrodis.metrics import mean_score

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"

# Each script that examples/ holds, and where below its output directory the run lies that is looked at.
SCRIPTS = {
    "dsvae_sprites.py": ".",
    "beta_vae_circle.py": "beta-0.001",
    "structured_vae_circle.py": "dynamics",
    "inertial_vae_circle.py": "gamma-0.5",
    "compare_guides.py": "structured-rotation",
    "parallel_vae_digits.py": ".",
    "parallel_vae_scenes.py": ".",
    "unsupervised_objects.py": ".",
    "what_where_digits.py": "cure",
}

GROUPS = ("object", "background")
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


@pytest.mark.long
@pytest.mark.parametrize("script", SCRIPTS)
def test_two_processes_write_one_run(script: str, tmp_path: Path) -> None:
    """Every script under torchrun: both processes train, one scores and draws."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(EXAMPLES / script),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TORCHELASTIC")}
    environment |= {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH")]))
    output = tmp_path / "run"
    result = subprocess.run(
        [*command, "--smoke-test", "--output", str(output)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    assert (output / SCRIPTS[script] / "metrics.json").is_file() or (output / "metrics.json").is_file()
    assert result.stdout.count("every ") + result.stdout.count("weights, history.csv") == 1


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
    assert (finished / "checkpoints" / "last.ckpt").exists()
    kept = {path.name for path in finished.rglob("*.ckpt")} - {"previous.ckpt"}
    assert kept == {"last.ckpt", "best.ckpt"}  # the best ones of stages


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


def test_the_card_holds_what_the_files_hold(finished: Path) -> None:
    card = (finished / "card.md").read_text(encoding="utf8")
    config = json.loads((finished / "config.json").read_text(encoding="utf8"))
    for side in ("model", "guide"):
        assert f"`{config[side]['class']}`" in card
    assert "| latent site | batch | event |" in card or "Latent sites: `z`." in card
    assert "The guide's factorization, for" in card or "which `pyrodis.load` cannot build by itself" in card
    checksums = set(re.findall(r'"checksum": "(.+?)"', json.dumps(config["data"])))
    assert checksums
    parts = [
        *checksums,
        f"| seed | {config['training']['seed']} |",
        "| run: preset | smoke test |",
        config["started"][:10],
    ]
    parts += [f"| version of {name} | {version} |" for name, version in config["versions"].items()]
    parts += [f"| {name} | " for name in json.loads((finished / "metrics.json").read_text(encoding="utf8"))]
    parts += [f"](figures/{path.name})" for path in (finished / "figures").iterdir()]
    assert [part for part in (*parts, 'pyrodis.load("."') if part not in card] == []
    assert re.search(r"trained for \d+\.\d minutes \(\d+ epochs, [\d,]+ steps\)", card)


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


@pytest.mark.parametrize(
    "static_view", ["none", "patches", "shuffle", "single-frame", "frame-shuffle", "shift", "crop"]
)
@pytest.mark.parametrize("dynamic_view", ["none", "gray", "tones", "silhouette", "blur"])
def test_views_of_the_sprites_example(static_view: str, dynamic_view: str) -> None:
    example = load_example()
    options = parse(example, "--static-view", static_view, "--dynamic-view", dynamic_view)
    _, guide = example.make_pair(options, (3, 64, 64), 8)
    seen = [guide.static_view, *(guide.dynamic_view or [])]
    names = [type(view).__name__ for view in seen if view is not None]
    static = {"patches": "SubsetFrames", "shuffle": "PatchShuffle", "single-frame": "SingleFrame"}
    static |= {"frame-shuffle": "FrameShuffle", "shift": "RandomShift", "crop": "RandomCrop"}
    dynamic = {"gray": "RandomGray", "tones": "RandomTones", "silhouette": "Silhouette", "blur": "GaussianBlur"}
    expected = [static[static_view]] if static_view != "none" else []
    assert names == expected + ([dynamic[dynamic_view], "Downsample"] if dynamic_view != "none" else [])
    assert (guide.dynamic_encoder is None) == (static_view == dynamic_view == "none")
    assert guide(torch.rand(2, 8, 3, 64, 64))["z"].shape == (2, 8, options.dynamic_dim)


def test_a_plain_model_sees_everything_and_waits_for_nothing() -> None:
    example = load_example()
    options = parse(example, "--plain")
    _, guide = example.make_pair(options, (3, 64, 64), 8)
    assert (guide.static_view, guide.dynamic_view, guide.dynamic_encoder, guide.static_dim) == (None, None, None, 64)
    assert example.make_settings(options).kl_cooldown_epochs == {}
    assert example.make_settings(parse(example)).kl_cooldown_epochs == {"f": 0.5}


def test_the_default_preset_learns_its_scale_and_the_others_keep_it() -> None:
    example = load_example()

    def learned(*options: str) -> bool:
        model, _ = example.make_pair(parse(example, *options), (3, 64, 64), 8)
        return bool(model.likelihood.log_scale.requires_grad)

    assert [learned(), learned("--plain"), learned("--no-learn-scale")] == [True, True, False]
    assert [learned("--preset", preset) for preset in ("best", "paper")] == [False, False]
    assert learned("--preset", "best", "--learn-scale")


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
    assert example.split_held_out(options, data) == ("top", 5)
    column = data["test"].factor_names.index("top")
    assert set(data["test"].factors[:, column].tolist()) == {*range(6)}
    assert all(set(data[split].factors[:, column].tolist()) == {*range(5)} for split in ("fit", "validation"))
    for wrong in ("top", "action=3", "shoes=1"):
        message = f"must be FACTOR=VALUE such as top=5, FACTOR one of skin, bottom, top, hair, got '{wrong}'"
        with pytest.raises(ValueError, match=message):
            example.split_held_out(parse(example, "--hold-out", wrong), data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--feature-dim", "1"), "--feature-dim must be even and at least 2 with --static-view patches, got 1"),
        (("--feature-dim", "7"), "--feature-dim must be even and at least 2 with --static-view patches, got 7"),
        (("--recipe", "subtract-mean", "--guide", "framewise"), "a mean over all frames, which --guide framewise must"),
        (("--recipe", "subtract-mean", "--guide", "factorized"), "which --guide factorized must not read; use --guide"),
    ],
)
def test_the_sprites_refuse(options: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(load_example("dsvae_sprites"), *options)


def test_a_weight_without_a_penalty_is_refused() -> None:
    example = load_example()
    options = parse(example, "--recipe", "subtract-mean", "--recipe-weight", "3")
    with pytest.raises(ValueError, match="--recipe-weight is the weight of a penalty, --recipe subtract-mean has none"):
        example.add_recipes(options, *example.make_pair(options, (3, 64, 64), 8), 36)


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


def test_total_correlation_is_told_the_number_of_clips() -> None:
    example = load_example("structured_vae_circle")
    options = parse(example, "--methods", "tc-vae")
    train = example.circle.load_circles(True, 8, smoke_test=True)["train"]
    guide = example.make_pair(options, "tc-vae", train)[1]
    penalized = example.add_penalties(options, "tc-vae", guide, train)
    assert penalty_modules(penalized)["total_correlation"].num_data == len(train)


def test_eigenvalues_of_many_latents_are_drawn_by_what_they_hold(tmp_path: Path) -> None:
    example = load_example("structured_vae_circle")
    score = example.circle.number
    scores = {f"explained/z{i}/{group}": score(i % 2 == j, 1) for i in range(10) for j, group in enumerate(GROUPS)}
    by_group = example.by_group(scores, [np.full(3, 0.1 * i) for i in range(10)])
    assert {group: values[::3].round(1).tolist() for group, values in by_group.items()} == {
        "object": [0.0, 0.2, 0.4, 0.6, 0.8],
        "background": [0.1, 0.3, 0.5, 0.7, 0.9],
    }
    (tmp_path / "control").mkdir()
    np.save(tmp_path / "control" / "guide_eigenvalues.npy", np.zeros((5, 9, 10)))
    learned = scores | {f"prior_eigenvalue/z{i}": score(0.1 * i, 1) for i in range(10)}
    example.draw_eigenvalues(tmp_path, {"dynamics": learned, "control": scores})
    assert (tmp_path / "figures" / "eigenvalues.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("script", "held", "options"),
    [
        ("structured_vae_circle.py", "control", ("--methods", "dynamics", "control")),
        ("beta_vae_circle.py", "beta-5", ()),
    ],
)
def test_a_sweep_is_refused_before_its_first_training(
    script: str, held: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / held).mkdir()
    (tmp_path / held / "config.json").write_text("{}")
    result = run(script, "--smoke-test", "--output", str(tmp_path), *options)
    assert result.returncode == 1
    assert f"{held} already holds a run; --resume goes on with it" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == [held]


def test_inertia_is_swept_from_the_same_networks_with_half_of_the_published_loss() -> None:
    example = load_example("inertial_vae_circle")
    options = parse(example, "--gammas", "0.4", "0", "0.4", "--beta-norm", "0.02")
    assert options.gammas == [0.0, 0.4]
    data = example.circle.load_circles(True, 8, smoke_test=True)["train"]
    pairs = [example.make_pair(options, gamma, data) for gamma in options.gammas]
    assert [guide.gamma for _, guide in pairs] == [0.0, 0.4]
    for first, second in zip(*pairs, strict=True):
        for one, other in zip(first.parameters(), second.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert example.make_settings(options, 1024).kl_weights == {"z": pytest.approx(0.02 * 1024 / 4 / 2)}
    with pytest.raises(ValueError, match=r"gamma must be a finite number between 0 and 1, got 1\.5"):
        example.make_pair(options, 1.5, data)


@pytest.mark.parametrize("brightness", [1.0, 0.6])
def test_the_lag_of_reconstructions_that_are_known(brightness: float) -> None:
    """A disc that is where it was a frame ago lags by one, however dim; where there is none there is no lag."""
    example = load_example("inertial_vae_circle")
    data = CircleOnGaussian(split="test", num_sequences=40)
    items = data.__getitems__([*range(40)])
    x, positions = (torch.stack([item[key] for item in items]) for key in ("x", "factors"))
    background = torch.minimum(*(render_circle(torch.full((40, 10, 2), c), positions[..., 2:]) for c in (0.0, 1.0)))
    dim = background + brightness * (x - background)
    late = torch.cat([dim[:, :1], dim[:, :-1]], dim=1)
    for shown, lag in ((dim, 0.0), (late, 1.0), ((dim + late) / 2, 0.5)):
        scores = example.lag_scores(x, shown, positions)
        assert scores["lag"].value == pytest.approx(lag, abs=0.03)
        assert scores["disc_seen"].value == 1
    assert example.motion_scores(x, late)["motion/share"].value > 0.25
    for shown in (background, torch.full_like(x, 0.9)):
        assert example.lag_scores(x, shown, positions) == {"disc_seen": mean_score(np.zeros(40), ceiling=1.0)}
        assert example.motion_scores(x, shown)["motion/share"].value == pytest.approx(0, abs=1e-9)
    assert example.motion_scores(x, x)["motion/share"].value == pytest.approx(1)


def test_the_sweep_of_inertia_goes_on_where_it_was(tmp_path: Path) -> None:
    output = tmp_path / "run"
    options = ("--smoke-test", "--output", str(output), "--beta-norm", "0", "--learn-alpha")
    result = run("inertial_vae_circle.py", *options, "--gammas", "1")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    first = (output / "gamma-1" / "metrics.json").stat().st_mtime_ns
    result = run("inertial_vae_circle.py", *options, "--gammas", "0.2", "1")
    assert result.returncode == 1
    assert "gamma-1 already holds a run; --resume goes on with it" in result.stderr
    assert not (output / "gamma-0.2").exists()
    result = run("inertial_vae_circle.py", *options, "--gammas", "0.2", "1", "--resume")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    assert (output / "gamma-1" / "metrics.json").stat().st_mtime_ns == first
    scores = json.loads((output / "metrics.json").read_text(encoding="utf8"))
    assert {name.split("/")[0] for name in scores} == {"gamma-0.2", "gamma-1"}
    assert scores["gamma-1/motion/share"]["value"] == 0
    assert scores["gamma-0.2/alpha"]["value"] != 1
    assert {path.name for path in (output / "figures").iterdir()} >= {"reconstructions.gif", "sweep_error.png"}
    model, guide = pyrodis.load(output / "gamma-0.2")
    assert (model.num_frames, guide.gamma) == (10, 0.2)


@pytest.mark.parametrize("program", ["circle", "linear-gaussian"])
def test_every_guide_is_compared_from_the_same_model_and_encoder(program: str) -> None:
    example = load_example("compare_guides")
    options = parse(example, "--model", program, "--guides", *reversed(example.GUIDES))
    pairs = [example.make_pair(options, name) for name in options.guides]
    assert len({(type(guide), type(getattr(guide, "transition", None))) for _, guide in pairs}) == len(example.GUIDES)
    for model, guide in pairs[1:]:
        for one, other in ((model, pairs[0][0]), (guide.encoder, pairs[0][1].encoder)):
            assert one is not other
            for ours, theirs in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
                torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("latent_dim", [1, 3, 4])
def test_the_least_gaps_of_the_comparison(latent_dim: int) -> None:
    """Against the normal with the best diagonal covariance, whole or frame by frame, in dense algebra."""
    example = load_example("compare_guides")
    options = parse(example, "--model", "linear-gaussian", "--latent-dim", str(latent_dim))
    model = example.make_linear(options)
    gaps = example.known_gaps(model, 4)
    exact = model.double().exact_posterior(torch.full((1, 4, 1, 4, 4), 0.5, dtype=torch.float64))
    joint = MultivariateNormal(torch.zeros(4 * latent_dim).double(), precision_matrix=exact.precision_matrix[0])
    best = torch.diag(exact.precision_matrix[0].diagonal())
    mean_field = MultivariateNormal(joint.loc, precision_matrix=best)
    assert gaps["smoothing"].value == pytest.approx(float(kl_divergence(mean_field, joint)), rel=1e-6)
    assert gaps["information"].value == 0
    if latent_dim == 1:
        assert gaps["full"].value == pytest.approx(0, abs=1e-9)
    assert gaps["full"].value < gaps["smoothing"].value


def test_the_clips_of_the_linear_model_are_frames_and_their_evidence_is_a_bound() -> None:
    example = load_example("compare_guides")
    options = parse(example, "--model", "linear-gaussian")
    clips = example.load_data(options)
    assert not torch.equal(clips["validation"][:12], clips["test"])
    assert all(float(part.min()) >= 0 and float(part.max()) <= 1 for part in clips.values())
    model, guide = example.make_pair(options, "information")
    (row,) = pyrodis.compare_guides({"information": (model, guide)}, clips["test"], num_samples=4)
    scores = example.exact_scores(model, row, clips["test"])
    assert scores["evidence"].value > row.iwae.value
    assert scores["exact_gap"].value == pytest.approx(10 * scores["exact_gap_a_frame"].value)
    assert model.transition.dtype == torch.float32
    seconds = example.time_steps({"information": (model, guide)}, clips["test"], 2)["information"]
    assert 0 < seconds.low <= seconds.value <= seconds.high
    assert all(parameter.grad is None for parameter in guide.parameters())


def test_the_comparison_on_the_linear_model_goes_on_where_it_was(tmp_path: Path) -> None:
    output = tmp_path / "run"
    options = ("--smoke-test", "--output", str(output), "--model", "linear-gaussian")
    result = run("compare_guides.py", *options, "--guides", "full")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    history = (output / "full" / "history.csv").read_bytes()  # with its seconds: another training has others
    bound = json.loads((output / "metrics.json").read_text(encoding="utf8"))["full/elbo"]
    result = run("compare_guides.py", *options, "--guides", "information", "full", "--resume")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    assert (output / "full" / "history.csv").read_bytes() == history
    assert "evidence - ELBO" in result.stdout
    scores = json.loads((output / "metrics.json").read_text(encoding="utf8"))
    assert {name.split("/")[0] for name in scores} == {"full", "information", "least_gap"}
    assert scores["full/elbo"] == bound
    assert scores["information/elbo_gain"]["value"] == 0
    assert (output / "figures" / "guides.png").stat().st_size > 1000


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


def test_the_stages_of_the_digits_are_those_of_the_schedule() -> None:
    example = load_example("parallel_vae_digits")
    options = parse(example, "--num-components", "4", "--learning-rate", "0.5", "--together-learning-rate", "0.1")
    names = [stage.name for stage in example.SCHEDULES["together"](options)]
    assert names == ["train-0", "train-1", "together-1", "train-2", "together-2", "train-3", "together-3"]
    assert [stage.learning_rate for stage in example.SCHEDULES["together"](options)] == [0.5, *(0.5, 0.1) * 3]
    assert [stage.items for stage in example.SCHEDULES["individual"](options)][1:3] == [(0, 1), (0, 1, 2)]
    (stage,) = example.SCHEDULES["unsupervised"](options)
    assert (stage.active, stage.items, stage.num_epochs) == ((0, 1, 2, 3), (0, 1, 2, 3), 4)
    settings = example.staged.make_settings(parse(example, "--schedule", "unsupervised", "--halving-kl", "3"))
    assert settings.slow_learning.halving_kl == 3
    assert settings.kl_weights == {"z": 0.5}
    assert example.staged.make_settings(options).slow_learning is None


@pytest.mark.parametrize("num", [2, 5])
@pytest.mark.parametrize("decoder", ["grid", "strided"])
def test_one_vae_has_no_fewer_parameters_than_all_components(num: int, decoder: str) -> None:
    example = load_example("parallel_vae_digits")
    ways = ("--widths", "4", "8", "4", "--decoder", decoder)
    options = parse(example, "--num-components", str(num), *ways)
    wanted = example.staged.count_parameters(example.make_pair(options, num, options.widths))
    pair = example.make_single(options)
    assert len(pair[0].decoders) == 1
    assert wanted <= example.staged.count_parameters(pair) < 1.3 * wanted


def test_the_table_of_kls_beside_the_document() -> None:
    example = load_example("parallel_vae_digits")
    assert example.table_scenes(2) == [(None, None), (0, 0), (1, 1), (0, 1)]
    assert example.table_scenes(5)[-1] == (4, 4)
    table = {"33": [mean_score(np.full(3, 7.0 + k)) for k in range(4)]}
    rows = example.parallel.kl_table(table, example.THESIS_KL).splitlines()
    assert rows[-1] == "| 33 | 7.00 (1.64) | 8.00 (2.19) | 9.00 (28.37) | 10.00 (7.60) |"
    assert example.parallel.kl_table(table).splitlines()[-1] == "| 33 | 7.00 | 8.00 | 9.00 | 10.00 |"


def test_components_are_matched_with_what_they_draw() -> None:
    example = load_example("parallel_vae_digits")
    data = example.DigitPairs(items=(0, 1, 2), num_images=40, with_masks=True)
    scenes = example.parallel.read_items(data)
    by_type = example.parallel.type_masks(scenes["masks"][:, 0], scenes["factors"], data.num_types)[:, :3].float()
    order = [2, 0, 1]  # the component that owns type k
    masks = torch.empty_like(by_type)
    masks[:, order] = by_type
    present = (scenes["factors"].unsqueeze(-1) == torch.arange(3)).any(1)
    kl = torch.empty(40, 3)
    kl[:, order] = 1 + 3 * present.float()
    found = {"masks": masks, "kl": kl}
    assert example.parallel.match_components(found, scenes, 3) == order
    right = example.parallel.mask_scores(found, scenes, data.num_types, ("a", "b", "c"), order)
    assert {name for name, score in right.items() if score.value != 1} == {f"dominance/{name}" for name in "abc"}
    assert right["dominance/a"].value == pytest.approx(4)
    silent = example.parallel.mask_scores(found | {"kl": 0 * kl}, scenes, data.num_types, ("a", "b", "c"), order)
    assert [silent[f"{name}/a"].value for name in ("dominance", "presence")] == [1, 0.5]
    wrong = example.parallel.mask_scores(found, scenes, data.num_types, ("a", "b", "c"), [0, 1, 2])
    assert wrong["foreground_ari"].value == 1
    assert wrong["owner"].value == 0
    options = parse(example, "--num-components", "3")
    options.unseen = [1]
    owners = {name: score.value for name, score in example.unseen_scores(found, scenes, options, order).items()}
    assert owners == {"unseen/1/owned_by_0": 0, "unseen/1/owned_by_1": 1, "unseen/1/owned_by_2": 0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--num-components", "1"), "--num-components must be at least 2, got 1"),
        (("--latent-dim", "8"), "--latent-dim must not be given with --decoder grid, got 8; --latent-channels in each"),
        (("--unseen", "5", "5"), r"--unseen must name each type once, got \[5\] more than once"),
        (("--data", "bundled", "--data-root", "."), "--data-root has no effect with --data bundled"),
        (("--unseen", "1", "5"), r"--unseen must be types from 2 on, got \[1\], which are trained on"),
        (
            ("--schedule", "individual", "--together-epochs", "2"),
            "--together-epochs has no effect with --schedule indiv",
        ),
        (("--schedule", "individual", "--claims", "2"), "--claims has no effect with --schedule individual"),
        (("--halving-kl", "2"), "--halving-kl has no effect with --schedule labels; leave it out"),
        (("--decoder", "strided", "--latent-channels", "2"), "--latent-channels has no effect with --decoder strided"),
    ],
)
def test_the_digits_refuse(options: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(load_example("parallel_vae_digits"), *options)


@pytest.mark.parametrize("script", ["parallel_vae_digits", "parallel_vae_scenes"])
def test_batches_of_nothing_are_refused(script: str) -> None:
    with pytest.raises(ValueError, match="--batch-size must be a positive whole number, got 0"):
        parse(load_example(script), "--batch-size", "0")


@pytest.mark.parametrize("preset", ["default", "best", "paper"])
@pytest.mark.parametrize("schedule", ["labels", "together"])
@pytest.mark.parametrize("decoder", ["grid", "strided"])
def test_every_decoder_of_digits_can_be_built_by_default(preset: str, schedule: str, decoder: str) -> None:
    example = load_example("parallel_vae_digits")
    parser = example.make_parser()
    options = parser.parse_args(["--preset", preset, "--schedule", schedule, "--decoder", decoder])
    example.apply_preset(options)
    model, _ = example.make_pair(options, 2, options.widths)
    assert len(model.decoders) == 2


def test_the_digits_without_stages_go_on_where_they_were(tmp_path: Path) -> None:
    output = tmp_path / "run"
    options = ("--smoke-test", "--output", str(output), "--schedule", "unsupervised", "--likelihood", "mixture")
    options += ("--single", "--unseen", "5", "7", "--num-components", "3")
    result = run("parallel_vae_digits.py", *options)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    files = ("history.csv", "single/history.csv")  # with their seconds: another training has others
    kept = {name: (output / name).read_bytes() for name in files}
    scores = json.loads((output / "metrics.json").read_text(encoding="utf8"))
    result = run("parallel_vae_digits.py", *options, "--resume")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    assert {name: (output / name).read_bytes() for name in files} == kept
    again = json.loads((output / "metrics.json").read_text(encoding="utf8"))
    assert {name: score["value"] for name, score in again.items()} == pytest.approx(
        {name: score["value"] for name, score in scores.items()}, rel=1e-3, abs=1e-6
    )
    assert {"single/mse", "mse_less_single", "untrained/foreground_ari", "kl/22/2", "unseen/7/owned_by_2"} <= set(
        scores
    )
    assert sum(scores[f"unseen/5/owned_by_{k}"]["value"] for k in range(3)) == pytest.approx(1)
    assert (output / "figures" / "unseen.png").exists()
    model, guide = pyrodis.load(output)
    assert len(model.decoders) == len(guide.encoders) == 3


def test_the_digits_keep_the_set_up_of_the_document_where_a_schedule_has_no_labels() -> None:
    example = load_example("parallel_vae_digits")

    def parse(example: ModuleType, *arguments: str) -> argparse.Namespace:
        options = example.make_parser().parse_args([*arguments])
        example.apply_preset(options)
        return options

    labeled = parse(example)
    assert (labeled.schedule, labeled.decoder, labeled.latent_dim) == ("labels", "grid", 7 * 7 * 4)
    assert example.make_pair(labeled, 2, labeled.widths)[0].likelihood.scale == labeled.scale == 0.15
    assert parse(example, "--likelihood", "masked").scale is None
    for schedule in ("individual", "together", "unsupervised"):
        options = parse(example, "--schedule", schedule)
        assert (options.decoder, options.latent_dim, options.widths) == ("strided", 32, (16, 32))
        assert (options.likelihood, options.scale, options.beta, options.gamma) == ("masked", None, 0.5, 0.009)
        assert (options.num_epochs, options.precision) == (4, "32-true")
    paper = parse(example, "--preset", "paper")
    assert (paper.schedule, paper.decoder, paper.kernel_size) == ("together", "strided", 3)


@pytest.mark.parametrize("name", ["parallel_vae_digits", "parallel_vae_scenes"])
def test_labels_reach_both_programs_and_silence_has_its_price(name: str) -> None:
    example = load_example(name)
    options = parse(example, "--schedule", "labels", "--silence", "7")
    (stage,) = example.SCHEDULES["labels"](options)
    assert (stage.name, stage.active, stage.items) == ("labels", (0, 1), (0, 1))
    settings = example.staged.make_settings(options)
    assert settings.inputs == ("present",)
    assert settings.slow_learning is None
    assert example.staged.make_settings(parse(example, "--schedule", "individual")).inputs == ()
    load = (
        example.load_scenes(options)
        if name.endswith("scenes")
        else example.load_pairs(options, example.BundledDigits())
    )
    train, validation = load((0, 1))
    for data in (train, validation):
        assert torch.equal(
            data[3]["present"], torch.tensor([(data[3]["factors"][: data.num_slots] == k).any() for k in (0, 1)])
        )


def test_the_stages_of_the_scenes_are_those_of_the_schedule() -> None:
    example = load_example("parallel_vae_scenes")

    def stages(*arguments: str) -> list[tuple[str, tuple[int, ...], tuple[int, ...], int, float]]:
        arguments += ("--learning-rate", "0.5", "--together-learning-rate", "0.1")
        options = parse(example, *arguments)
        found = example.SCHEDULES[options.schedule](options)
        return [(stage.name, stage.active, stage.items, stage.num_epochs, stage.learning_rate) for stage in found]

    assert [name for name, *_ in stages()] == ["labels"]
    assert [name for name, *_ in stages("--schedule", "together")] == ["train-0", "train-1", "together-1"]
    rounds = ("--schedule", "tandem", "--num-rounds", "2")
    assert [name for name, *_ in stages(*rounds)][2:] == ["round-1-train-0", "round-1-train-1"]
    assert stages(*rounds, "--together-epochs", "3")[4:] == [("together", (0, 1), (0, 1), 3, 0.1)]
    assert stages("--schedule", "own") == [("train-0", (0,), (0,), 1, 0.5), ("train-1", (1,), (1,), 1, 0.5)]
    assert stages("--single", "--num-epochs", "3") == [("single", (0,), (0, 1), 6, 0.5)]
    assert stages("--types", "cube", "--num-epochs", "3") == [("single", (0,), (0,), 3, 0.5)]
    assert stages("--data", "flat", "--schedule", "unsupervised")[0][:4] == ("all", (0, 1, 2), (0, 1, 2), 3)


@pytest.mark.parametrize("decoder", ["strided", "broadcast"])
def test_the_networks_of_the_scenes(decoder: str) -> None:
    example = load_example("parallel_vae_scenes")
    options = example.make_parser().parse_args(["--preset", "paper", "--decoder", decoder, "--gray", "--channels", "8"])
    example.apply_preset(options)
    model, guide = example.make_pair(options)
    assert (len(model.decoders), model.frame_shape, model.latent_dim) == (2, (1, 64, 64), 128)
    encoder = guide.encoders[1]
    assert (encoder.widths, encoder.feature_dim, encoder.negative_slope) == ((4, 8, 8, 16), 256, 0.3)
    decoder_settings = {
        "strided": ("widths", (16, 8, 8, 4)),
        "broadcast": ("broadcast_size", 64),
    }
    name, value = decoder_settings[decoder]
    assert getattr(model.decoders[0], name) == value
    assert model.likelihood.scale == pytest.approx(math.sqrt(0.5))
    assert example.staged.make_settings(options).kl_weights == {"z": 0.5}


def test_codes_of_scenes_lie_on_a_grid() -> None:
    example = load_example("parallel_vae_scenes")

    def pair(*arguments: str) -> tuple[torch.nn.Module, torch.nn.Module]:
        options = example.make_parser().parse_args(arguments)
        example.apply_preset(options)
        return example.make_pair(options)

    model, guide = pair()
    assert (model.latent_dim, guide.encoders[1].widths, model.decoders[1].widths) == (256, (16, 32, 64), (64, 32, 16))
    assert (model.likelihood.scale, [type(head).__name__ for head in guide.heads]) == (0.15, ["GridLocScale"] * 2)
    model, guide = pair("--size", "128", "--grid", "4", "--latent-channels", "2", "--channels", "2", "--gray")
    assert (model.latent_dim, guide.encoders[0].widths) == (32, (2, 4, 8, 8, 8))
    assert model.frame_shape == (1, 128, 128)
    model, guide = pair("--decoder", "strided", "--latent-dim", "5", "--likelihood", "masked")
    assert (model.latent_dim, type(guide.heads[0]).__name__) == (5, "LocScale")
    assert model.likelihood.scale == pytest.approx(math.sqrt(0.5)), "that of a mixture is not for squared errors"


def test_stages_see_scenes_of_their_types_alone() -> None:
    example = load_example("parallel_vae_scenes")
    options = parse(example, "--types", "cylinder", "sphere", "--gray", "--max-objects", "3")
    train, validation = example.load_scenes(options)((1,))
    factors = train.dataset.factors[:, :3]
    assert set(factors.flatten().tolist()) == {1, 2}
    assert train.dataset.types == ("cylinder", "sphere")
    assert (len(train), len(validation), validation.split, train.frame_shape) == (32, 16, "validation", (1, 64, 64))
    assert train.checksum != example.load_scenes(options)((0,))[0].checksum


def test_scenes_of_some_types_are_drawn_once_for_all_their_stages() -> None:
    example = load_example("parallel_vae_scenes")
    data = example.load_scenes(parse(example))
    assert data((0, 1))[0] is data((0, 1))[0]
    assert data((0, 1))[0] is not data((0,))[0]


def test_errors_of_objects_and_background_are_apart() -> None:
    example = load_example("parallel_vae_scenes")
    options = parse(example)
    scenes = example.read_scenes(options, "test")
    objects = scenes["masks"][:, :, :-1].any(2, keepdim=True)
    shown = scenes["x"] + 0.5 * objects
    scores = example.error_scores(scenes, shown)
    assert scores["mse/foreground"].value == pytest.approx(0.25, rel=1e-5)
    assert scores["mse/background"].value == 0
    assert 0 < scores["mse"].value < 0.25
    bare = {"x": scenes["x"], "factors": scenes["factors"]}
    assert set(example.error_scores(bare, shown)) == {"mse"}


def test_the_kl_by_kind_of_scene() -> None:
    example = load_example("parallel_vae_scenes")
    options = parse(example, "--max-objects", "2")
    types = torch.tensor([[0, 0], [0, 1], [1, 2], [1, 0]])  # 2 is an empty place; colors and others come after
    scenes = {"factors": torch.cat([types, torch.zeros(4, 6, dtype=torch.long)], 1)}
    found = {"kl": torch.tensor([[5.0, 1.0], [5.0, 6.0], [1.0, 8.0], [7.0, 8.0]])}
    table = {
        kind: [score.value for score in row] for kind, row in example.kl_by_kind(found, scenes, options, [1, 0]).items()
    }
    assert table == {"sphere + cylinder": [7.0, 6.0], "sphere": [1.0, 5.0], "cylinder": [8.0, 1.0]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "clevr"), "--data clevr needs --data-root, the folder that holds clevr"),
        (("--data", "clevr", "--min-objects", "3"), "--min-objects must not be given with --data clevr, got 3"),
        (("--data", "flat", "--gray"), "--data flat is in color and of 64 x 64 pixels; leave --gray and --size out"),
        (("--channels", "7"), "--channels must be an even number of at least 2, got 7"),
        (("--latent-dim", "64", "--grid", "4"), "--latent-dim must not be given with --decoder grid, got 64; .* 64$"),
        (("--single", "--schedule", "together"), "--single is --schedule single, got --schedule together as well"),
        (("--max-objects", "1", "--min-objects", "1"), "--max-objects must be at least 2 to tell objects of 2 --types"),
        (("--min-objects", "5"), "--min-objects 5 is above --max-objects, 4 unless given; give both"),
        (("--data-root", "."), "--data-root has no effect with --data scenes, which is drawn; leave it out"),
        (("--single", "--gamma", "0.5"), "--gamma has no effect with --schedule single; leave it out"),
        (("--num-rounds", "3"), "--num-rounds has no effect with --schedule labels; leave it out"),
        (("--schedule", "tandem", "--silence", "3"), "--silence has no effect with --schedule tandem; leave it out"),
        (("--types", "cube", "--schedule", "tandem"), "--schedule tandem needs at least two --types, got cube alone"),
        (("--types", "sphere", "prism"), "types must be some of sphere, cylinder, cube, each once, got"),
    ],
)
def test_the_scenes_refuse(options: tuple[str, ...], message: str) -> None:
    example = load_example("parallel_vae_scenes")

    def prepare() -> None:
        parsed = example.make_parser().parse_args(options)
        example.apply_preset(parsed)
        example.load_scenes(parsed)((0,))

    with pytest.raises(ValueError, match=message):
        prepare()


def test_scenes_without_masks_are_scored_without_them(tmp_path: Path) -> None:
    """Images in the form of CLEVR's go all the way from their files to scores of presence and errors."""
    from PIL import Image

    example = load_example("parallel_vae_scenes")
    shapes = [["sphere"], ["cylinder"], ["sphere", "cylinder"], ["sphere", "cube"]] * 4
    for split in ("train", "val"):
        scenes, folder = [], tmp_path / "clevr" / "CLEVR_v1.0"
        (folder / "images" / split).mkdir(parents=True)
        for i, kinds in enumerate(shapes):
            name = f"CLEVR_{split}_{i:06d}.png"
            Image.new("RGB", (480, 320), (10 * i, 99, 200)).save(folder / "images" / split / name)
            scenes.append({"image_filename": name, "objects": [{"shape": kind} for kind in kinds]})
        (folder / "scenes").mkdir(exist_ok=True)
        (folder / "scenes" / f"CLEVR_{split}_scenes.json").write_text(json.dumps({"scenes": scenes}))
    arguments = ["--data", "clevr", "--data-root", str(tmp_path), "--channels", "2"]
    options = example.make_parser().parse_args(arguments)
    example.apply_preset(options)
    train, validation = example.load_scenes(options)((0,))
    assert (len(train), len(validation)) == (4, 2)
    result = example.evaluate(options, tuple(program.eval() for program in example.make_pair(options)))
    assert {name.split("/")[0] for name in result["scores"]} == {"presence", "dominance", "mse", "kl"}
    assert result["scores"]["mse"].num == 6


@pytest.mark.parametrize(
    "arguments", [("--single", "--gray"), *(("--data", "flat", "--schedule", s) for s in ("unsupervised", "labels"))]
)
def test_other_scenes_run_to_their_end(arguments: tuple[str, ...], tmp_path: Path) -> None:
    output = tmp_path / "run"
    result = run("parallel_vae_scenes.py", "--smoke-test", "--output", str(output), *arguments)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    scores = json.loads((output / "metrics.json").read_text(encoding="utf8"))
    assert {"mse", "mse/foreground", "mse/background"} <= set(scores)
    alone = "--single" in arguments
    assert ("foreground_ari" in scores) != alone
    assert (output / "figures" / "scenes.png").exists() != alone
    model, _ = pyrodis.load(output)
    assert len(model.decoders) == (1 if alone else 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--window-size", "0"), "--window-size must be at least 1, got 0"),
        (
            ("--window-size", "68"),
            "--window-size must be a multiple of 4, one doubling for each of --widths, at most 64",
        ),
        (("--window-size", "27"), r"--window-size must be a multiple of 4, .* got 27"),
        (("--num-windows", "0"), "--num-windows must be at least 1, got 0"),
        (("--widths", "4", "0"), "--widths must be at least 1 each, got 4 0"),
    ],
)
def test_the_windows_refuse(options: tuple[str, ...], message: str) -> None:
    module = load_example("unsupervised_objects")
    parsed = module.make_parser().parse_args(["--smoke-test", *options])

    def check() -> None:
        module.apply_preset(parsed)
        module.check_window(parsed, (3, 64, 64))

    with pytest.raises(ValueError, match=message):
        check()


def test_windows_are_trained_on_the_published_scenes_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyrodis.datasets import MULTI_DSPRITES
    from tests.datasets.test_object_records import write

    monkeypatch.delenv("PYRODIS_DATA", raising=False)
    module = load_example("unsupervised_objects")
    module.SIZES |= {"test": 2, "validation": 1}
    module.SMOKE_SIZES |= {"test": 2, "validation": 1}
    options = module.make_parser().parse_args(["--smoke-test", "--data", "multi-dsprites", "--num-train", "3"])
    module.apply_preset(options)
    with pytest.raises(
        ValueError, match="--data multi-dsprites needs --data-root, or PYRODIS_DATA, the folder that holds"
    ):
        module.load_data(options)
    options.data_root = tmp_path
    with pytest.raises(FileNotFoundError, match=module.RECORDS):
        module.load_data(options)
    write(tmp_path / module.RECORDS, MULTI_DSPRITES, num=6)
    data = module.load_data(options)
    assert {split: len(part) for split, part in data.items()} == {"test": 2, "validation": 1, "train": 3}
    assert len({part[0]["x"].sum().item() for part in data.values()}) == 3, "parts share no scene"
    pair = tuple(program.eval() for program in module.make_pair(options, data["train"]))
    scores = module.evaluate(options, pair, data["test"])["scores"]
    assert {"foreground_ari", "foreground_ari/posterior", "untrained/foreground_ari/windows", "mse"} <= set(scores)
    assert not any("types" in name for name in scores)
