"""The card of a run: everything that the files of the run say, and a way to load it that works."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import pyrodis
from pyrodis.infer import FitSettings, Stage, fit_stages
from pyrodis.infer.card import find_runs, write_card
from pyrodis.metrics import Score
from tests.components import fresh_pair, make_images
from tests.infer import tiny
from tests.pairs import DYNAMIC_PAIRS, make_clips

SETTINGS = FitSettings(num_epochs=2, batch_size=2, device="cpu", seed=7, kl_weights={"z": 0.5})
SCORES = {
    "motion": Score(0.875, 0.75, 0.9375, 1 / 9, 1.0, num=32),
    "mse": Score(0.0123, 0.01, 0.015, None, 0.0, num=32, seeds=3),
}


class Clips(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Frames that say where they come from."""

    name, split, seed, checksum, num_frames, frame_shape = "clips_of_noise", "train", 3, "c0ffee", 4, (1, 8, 8)

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"x": make_clips(3).float()[index]}


def run_of(path: Path, **rest: Any) -> Path:
    torch.manual_seed(0)
    model, guide = DYNAMIC_PAIRS["DSVAE-DiagonalTransition"]()
    pyrodis.fit(model, guide, Clips(), settings=SETTINGS, output=path, description={"preset": "best"}, **rest)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with scores and figures."""
    run = run_of(tmp_path_factory.mktemp("card") / "run", validation=make_clips(2).float())
    (run / "metrics.json").write_text(json.dumps({name: score.as_dict() for name, score in SCORES.items()}))
    (run / "figures").mkdir()
    for name in ("swap.gif", "two_sided.png"):
        (run / "figures" / name).touch()
    return run


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def test_it_holds_what_the_run_holds(run: Path) -> None:
    path = write_card(run)
    assert path == run / "card.md"
    text = path.read_text(encoding="utf8")
    config = json.loads((run / "config.json").read_text())
    assert text.startswith("# DSVAE with StructuredGuide on clips_of_noise")
    for part in (
        "A clip from a static code f and a sequence of dynamic codes z.",  # what the model is
        r"$$f \sim \mathcal N(0, I)",
        '"class": "ConvDecoder"',
        "| `f` | (B) | (3) |",  # its sites
        "| `z` | (B) | (4, 2) |",
        "| `z_2` | `z_1`, `x_1`, `x_2` |",  # the guide's factorization
        "| train | clips_of_noise | Clips | train | 3 | 4 | [1, 8, 8] | 3 | c0ffee |",  # the data
        "| seed | 7 |",  # settings
        '| kl_weights | {"z": 0.5} |',
        "| run: preset | best |",
        *(f"| version of {name} | {version} |" for name, version in config["versions"].items()),
        f"started {config['started'][:10]}",  # when, how long
        "(2 epochs, 4 steps)",
        "| motion | 0.875 | 0.75 to 0.9375 | 0.1111 | 1 | 32 | 1 |",  # scores
        "| mse | 0.0123 | 0.01 to 0.015 |  | 0 | 32 | 3 |",
        "![swap](figures/swap.gif)",
        "![two sided](figures/two_sided.png)",
    ):
        assert part in text, part
    assert re.search(r"trained for \d+\.\d minutes", text)
    assert re.search(r"train_total -?\d+\.?\d*, validation_total -?\d", text)


def test_the_way_to_load_it_works(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = write_card(run).read_text(encoding="utf8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    monkeypatch.chdir(run)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["frames"].shape == (4, 4, 1, 8, 8)
    assert pyrodis.encode(names["guide"], names["frames"])["z"].shape == (4, 4, 2)
    assert "clips x of shape (B, 4, 1, 8, 8)" in text


def test_it_leaves_the_global_seed_alone_and_is_written_anew(run: Path) -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    first = write_card(run).read_text(encoding="utf8")
    assert torch.equal(torch.rand(1), expected)
    assert write_card(run).read_text(encoding="utf8") == first


def test_what_is_missing_is_said_to_be_missing(run: Path) -> None:
    (run / "metrics.json").unlink()
    (run / "weights.safetensors").unlink()
    (run / "history.csv").unlink()
    shutil.rmtree(run / "figures")
    config = json.loads((run / "config.json").read_text())
    del config["started"], config["versions"]
    (run / "config.json").write_text(json.dumps(config))
    text = write_card(run).read_text(encoding="utf8")
    for part in (
        "This run was not scored: there is no `metrics.json`.",
        "The run has no weights yet.",
        "There are no figures.",
        "start not recorded, no epoch finished yet",
    ):
        assert part in text, part
    (run / "metrics.json").write_text("{}")
    assert "`metrics.json` is empty" in write_card(run).read_text(encoding="utf8")


def test_programs_of_ones_own_are_named(tmp_path: Path) -> None:
    model, guide = tiny.make_pair()
    penalized = pyrodis.add_penalty(guide, "slow", lambda output: output["z"].square().sum((-1, -2)), 0.5, side="guide")
    pyrodis.fit(model, penalized, tiny.make_frames(4), settings=SETTINGS, output=tmp_path / "run")
    text = write_card(tmp_path / "run").read_text(encoding="utf8")
    assert "# TinyModel with TinyGuide" in text
    assert "tests.infer.tiny.TinyModel`, which `pyrodis.load` cannot build by itself" in text
    assert "Latent sites: `f`, `z`." in text
    assert "the guide does not declare it" in text
    assert '"penalty": "slow"' in text
    assert 'pyrodis.load(".", model=model, guide=guide)' in text
    assert "```python" not in text


def test_stages_have_one_card(tmp_path: Path) -> None:
    stages = [Stage("one", (0,), (0,), 1, 1e-3), Stage("two", (0, 1), (0, 1), 1, 1e-3)]
    model, guide = fresh_pair(2)
    data = {(0,): make_images(3).float(), (0, 1): make_images(4).float()}
    fit_stages(model, guide, stages, lambda items: (data[items], None), settings=SETTINGS, output=tmp_path / "run")
    assert find_runs(tmp_path / "run") == [tmp_path / "run"]
    text = write_card(tmp_path / "run").read_text(encoding="utf8")
    for part in ("| train, items 0 | ", "| train, items 0+1 | ", "| `z` | (K, B) | (2) |", "| `z^2` | `x_1` |"):
        assert part in text, part


def test_runs_of_a_sweep_are_found(finished: Path, tmp_path: Path) -> None:
    for name in ("b", "a"):
        shutil.copytree(finished, tmp_path / name)
    for name, text in (("controls", "{}"), ("broken", "{"), ("list", "[]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
    assert find_runs(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert find_runs(tmp_path / "a") == [tmp_path / "a"]


@pytest.mark.parametrize(
    ("file", "contents", "error", "match"),
    [
        ("config.json", None, FileNotFoundError, "config.json does not exist; give the directory of a run"),
        ("config.json", "{", ValueError, "config.json cannot be read, it is no JSON"),
        ("config.json", "{}", ValueError, "config.json does not describe a run of pyrodis"),
        ("metrics.json", "{", ValueError, "metrics.json cannot be read, it holds no scores by name"),
        ("metrics.json", "[1]", ValueError, "metrics.json cannot be read, it holds no scores by name"),
        ("metrics.json", '{"mse": 0.1}', ValueError, "metrics.json cannot be read, it holds no scores by name"),
        (
            "metrics.json",
            '{"mse": {"value": 1}}',
            ValueError,
            "metrics.json cannot be read, it holds no scores by name",
        ),
        (
            "history.csv",
            "epoch,seconds\n1,soon\n",
            ValueError,
            "history.csv cannot be read, it holds more than numbers",
        ),
        ("history.csv", "epoch,seconds\n1\n", ValueError, "history.csv cannot be read, it holds more than numbers"),
        (
            "history.csv",
            "epoch,seconds\n1,2\n",
            ValueError,
            r"must have columns 'epoch' and 'step', got \['epoch', 'sec",
        ),
    ],
)
def test_refuses_what_is_no_run_or_damaged(
    run: Path, file: str, contents: str | None, error: type[Exception], match: str
) -> None:
    (run / file).unlink()
    if contents is not None:
        (run / file).write_text(contents)
    with pytest.raises(error, match=match):
        write_card(run)
    assert not (run / "card.md").exists()


@pytest.mark.parametrize("side", ["model", "guide"])
def test_refuses_settings_without_classes(run: Path, side: str) -> None:
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {side: {}}))
    with pytest.raises(ValueError, match=f"lacks class or arguments of the {side}; it was changed or damaged"):
        write_card(run)
