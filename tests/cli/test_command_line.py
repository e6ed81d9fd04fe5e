"""The command line: every command does its work, and a mistake of its user is one sentence and an exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import pyrodis
from pyrodis.cli import main
from pyrodis.cli.clips import Repeated, cut_of, open_folder, open_run, spread
from pyrodis.cli.recipe import RECIPES, make_pair, make_settings, recipe_for, steps_in
from pyrodis.cli.scoring import label_free_scores
from pyrodis.datasets import FlatScenes, VideoFolder
from pyrodis.infer.run_directory import read_config
from tests.datasets.clip_writing import moving_square, write_video


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYRODIS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a smoke test."""
    output = tmp_path_factory.mktemp("cli") / "run"
    assert main(["fit", "--smoke-test", "--output", str(output), "--device", "cpu"]) == 0
    return output


def test_fit_writes_a_whole_run(run: Path) -> None:
    for name in ("config.json", "weights.safetensors", "history.csv", "checkpoints/last.ckpt", "card.md"):
        assert (run / name).is_file()
    scores = json.loads((run / "metrics.json").read_text(encoding="utf8"))
    assert {"elbo", "iwae", "mse", "psnr", "ssim", "exchange/f", "exchange/z", "active_units/f"} <= set(scores)
    assert scores["exchange/f"]["chance"] == 0.5
    figures = {file.name for file in (run / "figures").iterdir()}
    assert figures == {"reconstruction.png", "swap.png", "swap.gif", "samples.png", "samples.gif", "training.png"}
    with Image.open(run / "figures" / "swap.gif") as film:
        assert film.n_frames == 8
    model, guide = pyrodis.load(run)
    assert type(model).__name__ == "DSVAE"
    assert pyrodis.encode(guide, torch.zeros(1, 8, 3, 16, 16))["f"].shape == (1, 64)


def test_resume_of_a_finished_run_changes_no_weight(run: Path) -> None:
    before = load_file(run / "weights.safetensors")
    assert main(["fit", "--smoke-test", "--output", str(run), "--device", "cpu", "--resume"]) == 0
    after = load_file(run / "weights.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_taken_directory_is_refused_at_once(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--smoke-test", "--output", str(run)]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("pyrodis fit: error: ")
    assert "already holds a run; go on with it by --resume" in err
    assert out == ""


def test_swap_takes_numbers_and_paths(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write_video(tmp_path / "other.mp4", moving_square(9, 40, 60))
    assert main(["swap", str(run), "0", str(video)]) == 0
    written = [Path(line.removeprefix("wrote ")) for line in capsys.readouterr().out.splitlines()]
    assert [file.name for file in written] == ["swap-0-other.png", "swap-0-other.gif"]
    assert all(file.is_file() for file in written)
    assert main(["swap", str(run), "0", "1", "--output", str(tmp_path / "new" / "pair")]) == 0
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["pair.gif", "pair.png"]


def test_sample_follows_its_seed(run: Path, tmp_path: Path) -> None:
    pictures = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert main(["sample", str(run), "--num", "2", "--seed", seed, "--output", str(tmp_path / name)]) == 0
        with Image.open(tmp_path / f"{name}.gif") as film:
            pictures.append(np.asarray(film.convert("RGB")).copy())
    assert (pictures[0] == pictures[1]).all()
    assert (pictures[0] != pictures[2]).any()


def test_evaluate_repeats_the_scores(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = json.loads((run / "metrics.json").read_text(encoding="utf8"))
    assert main(["evaluate", str(run)]) == 0
    assert "| exchange/f |" in capsys.readouterr().out
    after = json.loads((run / "metrics.json").read_text(encoding="utf8"))
    assert after.keys() == before.keys()
    for name, score in after.items():
        assert score["value"] == pytest.approx(before[name]["value"], rel=1e-3)


def test_evaluate_on_other_clips_leaves_the_scores(run: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", moving_square(9, 16, 16, 1))
    np.save(tmp_path / "b.npy", moving_square(9, 16, 16, 2))
    before = (run / "metrics.json").read_bytes()
    assert main(["evaluate", str(run), "--data", str(tmp_path), "--num-clips", "2"]) == 0
    assert (run / "metrics.json").read_bytes() == before


def test_export_writes_weights_and_draws(run: Path, tmp_path: Path) -> None:
    arviz = pytest.importorskip("arviz")
    weights, draws = tmp_path / "weights.safetensors", tmp_path / "draws.nc"
    command = ["export", str(run), "--safetensors", str(weights), "--arviz", str(draws), "--num-samples", "6"]
    assert main([*command, "--num-clips", "2"]) == 0
    assert weights.read_bytes() == (run / "weights.safetensors").read_bytes()
    posterior = arviz.from_netcdf(str(draws))["posterior"]
    assert posterior["f"].shape == (1, 6, 2, 64)


def test_info_says_what_a_run_is(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(run)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"model: DSVAE", "guide: GridGuide", "preset: smoke", "content: scenes", "seed: 0"} <= set(lines)
    assert any(line.startswith("trained: 3 steps") for line in lines)
    assert any(line.startswith("exchange/f: ") and "chance 0.5" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--help"], 0, ""),
        (["fit", "--help"], 0, ""),
        (["--version"], 0, ""),
        (["dance"], 2, "No such command 'dance'"),
        (["fit"], 2, "give a folder of videos, as in: pyrodis fit my_videos"),
        (["fit", "videos", "--size", "33"], 2, "--size must be a power of two such as 32, 64 or 128, got 33"),
        (["fit", "videos", "--size", "8"], 2, "Invalid value for '--size'"),
        (["fit", "videos", "--minutes", "0"], 2, "--minutes must be above 0, got 0"),
        (["fit", "videos", "--minutes", "nan"], 2, "--minutes must be above 0, got nan"),
        (["fit", "videos", "--num-frames", "two"], 2, "Invalid value for '--num-frames'"),
        (["fit", "videos", "--seed", "-1"], 2, "Invalid value for '--seed'"),
        (["fit", "videos", "--device", "tpu"], 2, "Invalid value for '--device'"),
        (["fit", "videos", "--resume", "--overwrite"], 2, "--resume and --overwrite exclude each other"),
        (["fit", "nowhere"], 1, "pyrodis fit: error: root must be a folder of videos, got nowhere"),
        (["fit", "empty"], 1, "empty must hold videos"),
        (["fit", "text"], 1, "text must hold a clip that can be read, got none: text/a.mp4 must be a whole .mp4 file"),
        (["fit", "videos", "--num-frames", "99"], 1, "must have at least 99 frames, got 12"),
        (["fit", "videos", "--output", "videos/0.npy"], 1, "output must be a directory, videos/0.npy is a file"),
        (["fit", "videos", "--device", "cuda"], 1, "device must be one that this machine has, got 'cuda'"),
        (["info", "nowhere"], 1, "nowhere/config.json does not exist; give the directory of a run"),
        (["sample", "nowhere"], 1, "nowhere/config.json does not exist"),
        (["sample", "RUN", "--num", "0"], 2, "Invalid value for '--num'"),
        (["swap", "RUN", "0"], 2, "Missing argument"),
        (["swap", "RUN", "0", "99"], 1, "a clip must be a path, or a number from 0 to 1, got 99"),
        (["swap", "RUN", "0", "none.mp4"], 1, "none.mp4 must be a video or a folder of images that exists"),
        (["swap", "RUN", "0", "text/a.mp4"], 1, "text/a.mp4 must be a whole .mp4 file"),
        (["evaluate", "RUN", "--data", "nowhere"], 1, "root must be a folder of videos, got nowhere"),
        (["export", "RUN"], 2, "say what to export"),
        (["export", "RUN", "--safetensors", "no/such/folder/w"], 1, "No such file or directory"),
    ],
)
def test_a_mistake_is_one_sentence(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    sentence: str,
) -> None:
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    monkeypatch.chdir(tmp_path)
    for name in ("videos", "empty", "text"):
        (tmp_path / name).mkdir()
    for i in range(2):
        np.save(tmp_path / "videos" / f"{i}.npy", moving_square(12, 16, 16, i))
    (tmp_path / "text" / "a.mp4").write_text("no video")
    options = ["--num-steps", "1", "--size", "16"] if arguments[:2] == ["fit", "videos"] else []
    options = [] if code == 2 else options
    assert main([str(run) if word == "RUN" else word for word in arguments] + options) == code
    err = capsys.readouterr().err
    assert sentence in " ".join(err.split())
    assert "Traceback" not in err
    if code == 1:
        assert err.strip().splitlines()[-1].startswith(f"pyrodis {arguments[0]}: error: ")


def test_debug_shows_the_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        main(["info", str(tmp_path / "nowhere"), "--debug"])


def test_a_damaged_run_is_named(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text("{", encoding="utf8")
    assert main(["info", str(tmp_path)]) == 1
    (tmp_path / "config.json").write_bytes((run / "config.json").read_bytes())
    (tmp_path / "metrics.json").write_text('{"elbo": 3}', encoding="utf8")
    assert main(["info", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert "config.json cannot be read, it is no JSON" in err
    assert "metrics.json must hold scores as pyrodis writes them" in err


def test_an_unreadable_file_is_named_and_the_rest_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(5):
        np.save(tmp_path / f"{i}.npy", moving_square(12, 16, 16, i))
    (tmp_path / "broken.mp4").write_text("no video")
    from pyrodis.cli.clips import Cut

    train, held_out, share = open_folder(tmp_path, Cut(8, 16, True, 1))
    assert held_out is not None
    assert (len(train.clips), len(held_out.clips), share) == (3, 2, 0.4)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"left out: {tmp_path / 'broken.mp4'} must be a whole .mp4 file")


def test_one_clip_is_trained_on_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "a.npy", moving_square(12, 16, 16))
    output = tmp_path / "run"
    options = ["--num-steps", "1", "--size", "16", "--gray", "--device", "cpu"]
    # A training of one step whose sizes are those of the smoke test.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPES, "default", RECIPES["smoke"])
        assert main(["fit", str(tmp_path), "--output", str(output), *options]) == 0
    config = read_config(output)
    assert config["run"]["validation_share"] == 0.0
    assert cut_of(config).color is False
    assert len(open_run(config, None)) == 1
    assert "exchange/f" not in json.loads((output / "metrics.json").read_text(encoding="utf8"))
    made = (output / "figures" / "swap.gif").is_file()
    assert ("figures/swap.gif and more are in" in capsys.readouterr().out) == made


def test_several_processes_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    assert main(["fit", str(tmp_path), "--output", str(tmp_path / "run")]) == 1
    assert "pyrodis fit trains on one process, and torchrun started 2" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_ctrl_c_saves_and_ends_with_130(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for i in range(4):
        np.save(videos / f"{i}.npy", moving_square(12, 16, 16, i))
    program = (
        "import sys; from pyrodis.cli import main; from pyrodis.cli.recipe import RECIPES;"
        "RECIPES['default'] = RECIPES['smoke']; sys.exit(main())"
    )
    output = tmp_path / "run"
    command = [sys.executable, "-c", program, "fit", str(videos), "--output", str(output)]
    command += ["--num-steps", "100000", "--size", "16", "--device", "cpu"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ)
    deadline = time.monotonic() + 100
    while not any(output.glob("logs/events*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "pyrodis fit: stopped at epoch" in err
    assert "continue with --resume" in err
    assert (output / "checkpoints" / "last.ckpt").is_file()


def test_help_needs_no_heavy_import() -> None:
    heavy = ("torch", "pyro", "lightning", "matplotlib", "arviz", "av")
    program = (
        "import sys; from pyrodis.cli import main; code = main(['fit', '--help']);"
        f"sys.exit(' '.join(m for m in {heavy!r} if m in sys.modules) or code)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert "--minutes" in result.stdout


def test_a_repeated_set_is_the_set() -> None:
    data = FlatScenes(num_images=3)
    repeated = Repeated(data, 7)
    assert (len(repeated), repeated.name, repeated.checksum) == (9, data.name, data.checksum)
    assert torch.equal(repeated[5]["x"], data[2]["x"])
    assert torch.equal(repeated.__getitems__([0, 3])[1]["x"], data[0]["x"])
    with pytest.raises(IndexError):
        repeated[9]


@pytest.mark.parametrize(("length", "num", "numbers"), [(10, 3, [1, 5, 8]), (2, 5, [0, 1]), (1, 1, [0])])
def test_numbers_are_spread(length: int, num: int, numbers: list[int]) -> None:
    assert spread(length, num) == numbers


def test_steps_follow_the_time(tmp_path: Path) -> None:
    for i in range(4):
        np.save(tmp_path / f"{i}.npy", moving_square(12, 16, 16, i))
    data = VideoFolder(tmp_path, size=16, stride=1, split="all")
    pair = make_pair(RECIPES["smoke"], torch.rand(2, 8, 3, 16, 16), 0)
    weights = {name: value.clone() for name, value in pair[0].state_dict().items()}
    state = torch.get_rng_state()
    few, many = (steps_in(RECIPES["smoke"], pair, data, minutes) for minutes in (0.01, 1.0))
    assert 1 <= few < many
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, weights[name]) for name, value in pair[0].state_dict().items())


def test_steps_are_timed_where_they_will_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that the training leaves alone must not say how long its steps take."""
    np.save(tmp_path / "a.npy", moving_square(12, 16, 16))
    data = VideoFolder(tmp_path, size=16, stride=1, split="all")
    pair = make_pair(RECIPES["smoke"], torch.rand(2, 8, 3, 16, 16), 0)
    places: list[str] = []
    monkeypatch.setattr(
        "pyrodis.cli.recipe._time_step", lambda pair, x, precision, device: places.append(device) or 1.0
    )
    for available in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        for device in ("auto", "cpu", "cuda"):
            steps_in(RECIPES["smoke"], pair, data, 1.0, device)
    assert places[::3] == ["cuda", "cpu", "cuda", "cpu", "cpu", "cpu"]


def test_settings_hold_every_step() -> None:
    settings = make_settings(recipe_for("default", "figures"), 1000, 300, "cpu", 7)
    assert (settings.num_epochs, settings.max_steps, settings.seed) == (4, 1000, 7)
    assert settings.kl_cooldown_epochs["f"] == pytest.approx(125 / 300)
    assert not make_settings(recipe_for("default", "scenes"), 1000, 300, "cpu", 7).kl_cooldown_epochs


RECIPE_NAMES = [("default", None), ("default", "figures"), ("best", "scenes"), ("best", "figures"), ("paper", None)]


@pytest.mark.parametrize(("name", "content"), RECIPE_NAMES)
@pytest.mark.parametrize("shape", [(1, 1, 16, 16), (4, 3, 32, 32)])
def test_recipes_take_any_size_and_color(name: str, content: str | None, shape: tuple[int, int, int, int]) -> None:
    from dataclasses import replace

    recipe = replace(recipe_for(name, content), base_channels=2, feature_dim=8, hidden_dim=8)
    x = torch.rand(2, *shape)
    model, guide = make_pair(recipe, x, 0)
    assert pyrodis.reconstruct(model, guide, x).shape == x.shape


class Remembering(torch.nn.Module):
    """A guide that reads f off the first pixel and z off the others."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        import pyro
        import pyro.distributions as dist

        with pyro.plate("data", len(x), dim=-1):
            f = pyro.sample("f", dist.Normal(x[:, 0, 0, 0, :1], 0.01).to_event(1))
            z = pyro.sample("z", dist.Normal(x[:, :, 0, 1, :1], 0.01).to_event(2))
        return {"f": f, "z": z}


class Painting(torch.nn.Module):
    """A model that paints f into the first pixel of every frame, and z into another unless it is deaf to it."""

    def __init__(self, deaf: bool) -> None:
        super().__init__()
        self.deaf = deaf

    def forward(self, x: torch.Tensor | None = None, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        import pyro
        import pyro.distributions as dist

        num = len(x) if x is not None else batch_size
        with pyro.plate("data", num, dim=-1):
            f = pyro.sample("f", dist.Normal(0.5, 1.0).expand([1]).to_event(1))
            z = pyro.sample("z", dist.Normal(0.5, 1.0).expand([4, 1]).to_event(2))
            frames = torch.full((*f.shape[:-1], 4, 1, 16, 16), 0.5)
            frames[..., 0, 0, 0] = f
            if not self.deaf:
                frames[..., 0, 1, 0] = z[..., 0]
            pyro.sample("x", dist.Normal(frames, 0.1).to_event(4), obs=x)
        return {"f": f, "z": z, "reconstruction": frames}


@pytest.mark.parametrize("deaf", [False, True])
def test_exchanges_are_found_again_or_not(tmp_path: Path, deaf: bool) -> None:
    generator = np.random.default_rng(0)
    for i in range(12):
        frames = generator.integers(0, 256, (4, 1, 1, 1), dtype=np.uint8).repeat(16, 1).repeat(16, 2)
        frames[:, 0, 0] = generator.integers(0, 256)
        np.save(tmp_path / f"{i}.npy", frames)
    data = VideoFolder(tmp_path, num_frames=4, size=16, color=False, split="all")
    scores = label_free_scores(Painting(deaf), Remembering(), data)
    assert scores["exchange/f"].value == 1.0
    assert scores["exchange/f"].num == 12
    if deaf:
        assert scores["exchange/z"].low < 0.5 < scores["exchange/z"].high
    else:
        assert scores["exchange/z"].value == 1.0
