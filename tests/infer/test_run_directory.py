"""Who may write into a run directory, and what it says when one may not."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pyrodis.infer.loading import load
from pyrodis.infer.run_directory import RunDirectory, find_differences, make_config, read_config
from pyrodis.infer.settings import FitSettings
from pyrodis.infer.training import fit
from tests.infer.tiny import TinyGuide, TinyModel, make_frames, make_pair

QUICK = {"num_epochs": 1, "batch_size": 8, "device": "cpu"}


def config(**changes: Any) -> dict[str, Any]:
    parts: dict[str, Any] = {"model": {"class": "A", "arguments": {"size": 1}}, "guide": {}, "data": {}, "run": {}}
    return make_config(**(parts | {"training": {"schedule": "cosine", "max_steps": None, "num_epochs": 3}} | changes))


def test_a_used_directory_is_refused_with_the_difference(tmp_path: Path) -> None:
    RunDirectory(tmp_path).claim(config(), resume=False, overwrite=False)
    other = config(model={"class": "A", "arguments": {"size": 2}}, run={"preset": "best"})
    with pytest.raises(
        FileExistsError, match=r"other settings: model\.arguments\.size was 1, is 2; run\.preset was None"
    ):
        RunDirectory(tmp_path).claim(other, resume=False, overwrite=False)
    with pytest.raises(ValueError, match=r"model\.arguments\.size was 1, is 2; .* overwrite=True"):
        RunDirectory(tmp_path).claim(other, resume=True, overwrite=False)
    stored = read_config(tmp_path)
    assert datetime.datetime.fromisoformat(stored.pop("started")) <= datetime.datetime.now(datetime.timezone.utc)
    assert stored == config()
    with pytest.raises(FileExistsError, match=r"already holds a run of these settings; resume=True goes on with it"):
        RunDirectory(tmp_path).claim(config(), resume=False, overwrite=False)
    RunDirectory(tmp_path).claim(config(), resume=True, overwrite=False)


def test_many_differences_are_counted() -> None:
    old, new = (config(run={str(i): value for i in range(8)}) for value in (0, 1))
    assert len(find_differences(old, new)) == 8
    directory = RunDirectory.__new__(RunDirectory)
    directory.path = Path("run")
    with pytest.raises(ValueError, match="; and 3 more; use those settings"):
        directory._check_same(old, new, resume=True)


def test_a_setting_that_did_not_exist_is_as_one_that_is_empty() -> None:
    old, new = ({"training": {"seed": 0} | rest} for rest in ({}, {"inputs": [], "kl_weights": {}}))
    assert find_differences(old, new) == find_differences(new, old) == []
    given = {"training": {"seed": 0, "inputs": ["present"]}}
    assert find_differences(new, given) == [("training.inputs", None, ["present"])]


def test_versions_are_recorded_and_not_compared() -> None:
    old = config()
    new = config() | {"versions": {"torch": "9.9"}}
    assert set(old["versions"]) == {"pyrodis", "torch", "pyro", "python"}
    assert find_differences(old, new) == []


def test_a_resumed_run_keeps_the_versions_that_began_it(tmp_path: Path) -> None:
    began = {**config(), "versions": {"torch": "1"}}
    RunDirectory(tmp_path).claim(began, resume=False, overwrite=False)
    RunDirectory(tmp_path).claim({**began, "versions": {"torch": "2"}}, resume=True, overwrite=False)
    stored = read_config(tmp_path)
    assert (stored["versions"], stored["resumed_with"]) == ({"torch": "1"}, {"torch": "2"})


def test_a_resumed_run_keeps_the_time_at_which_it_was_started(tmp_path: Path) -> None:
    RunDirectory(tmp_path).claim(config(), resume=False, overwrite=False)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"started": "2020-01-01T00:00:00+00:00"}))
    RunDirectory(tmp_path).claim(config(), resume=True, overwrite=False)
    assert read_config(tmp_path)["started"].startswith("2020")
    RunDirectory(tmp_path).claim(config(), resume=False, overwrite=True)
    assert not read_config(tmp_path)["started"].startswith("2020")


def test_overwrite_removes_the_files_of_a_run_and_no_other(tmp_path: Path) -> None:
    model, guide = make_pair()
    fit(model, guide, make_frames(), settings=FitSettings(**QUICK), output=tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/swap.gif").touch()
    (tmp_path / "figures/mine.svg").touch()
    for name in ("metrics.json", "pairs.csv", "card.md"):
        (tmp_path / name).touch()
    RunDirectory(tmp_path).claim(config(), resume=False, overwrite=True)
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert left == {"config.json", "notes.txt", "figures/mine.svg"}


def test_overwrite_trains_again(tmp_path: Path) -> None:
    for seed in (0, 1):
        model, guide = make_pair()
        settings = FitSettings(**QUICK, seed=seed)
        fit(model, guide, make_frames(), settings=settings, output=tmp_path, overwrite=seed == 1)
    assert read_config(tmp_path)["training"]["seed"] == 1
    assert len(list((tmp_path / "logs").iterdir())) == 1


@pytest.mark.parametrize(
    ("change", "match"),
    [({"kl_weights": {"w": 1.0}}, "kl_weights names the site 'w'"), ({"device": "cuda"}, "no CUDA device")],
)
def test_settings_that_cannot_train_cost_no_run_and_claim_no_directory(
    tmp_path: Path, change: dict[str, Any], match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    wrong = FitSettings(**(QUICK | change))
    with pytest.raises(ValueError, match=match):
        fit(*make_pair(), make_frames(), settings=wrong, output=tmp_path / "new", resume=True)
    fit(*make_pair(), make_frames(), settings=FitSettings(**QUICK), output=tmp_path / "new")
    kept = {path: path.read_bytes() for path in (tmp_path / "new").rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=match):
        fit(*make_pair(), make_frames(), settings=wrong, output=tmp_path / "new", overwrite=True)
    assert kept == {path: path.read_bytes() for path in (tmp_path / "new").rglob("*") if path.is_file()}


def test_a_run_made_longer_drops_the_scores_of_the_shorter_one(tmp_path: Path) -> None:
    constant = {"schedule": "constant", "max_steps": None}
    RunDirectory(tmp_path).claim(config(training=constant | {"num_epochs": 3}), resume=False, overwrite=False)
    (tmp_path / "figures").mkdir()
    scores = [tmp_path / name for name in ("metrics.json", "pairs.csv", "card.md", "figures/swap.gif")]
    for path in (*scores, tmp_path / "history.csv"):
        path.touch()
    RunDirectory(tmp_path).claim(config(training=constant | {"num_epochs": 3}), resume=True, overwrite=False)
    assert all(path.exists() for path in scores)
    RunDirectory(tmp_path).claim(config(training=constant | {"num_epochs": 4}), resume=True, overwrite=False)
    assert not any(path.exists() for path in scores)
    assert (tmp_path / "history.csv").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_files_that_are_no_run_are_left_alone(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "history.csv").write_text("mine")
    with pytest.raises(FileExistsError, match=r"holds history\.csv but no config\.json, so it is no run of pyrodis"):
        RunDirectory(tmp_path).claim(config(), resume=False, overwrite=overwrite)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"config\.json does not describe a run of pyrodis"):
        RunDirectory(tmp_path).claim(config(), resume=False, overwrite=overwrite)
    assert (tmp_path / "history.csv").read_text() == "mine"


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"output must be a directory, .*file is a file; choose another path"):
        RunDirectory(tmp_path / "file")
    with pytest.raises(
        OSError, match=r"output directory .*inner cannot be written \(Not a directory\); choose another"
    ):
        RunDirectory(tmp_path / "file" / "inner")


def test_a_description_must_be_plain() -> None:
    with pytest.raises(TypeError, match=r"description must hold plain JSON values only: .*Tensor"):
        config(run={"weights": torch.zeros(1)})


@pytest.mark.parametrize(
    ("contents", "match"),
    [
        ("{", r"config\.json cannot be read, it is no JSON"),
        ("[]", r"config\.json does not describe a run of pyrodis"),
        (json.dumps({"format": "other"}), "does not describe a run of pyrodis"),
        (
            json.dumps({"format": "pyrodis.run", "format_version": 2}),
            "has format version 2, this pyrodis reads up to 1",
        ),
        (
            json.dumps({"format": "pyrodis.run", "format_version": 1}),
            "lacks its part 'model'; it was changed or damaged",
        ),
    ],
)
def test_bad_configurations(tmp_path: Path, contents: str, match: str) -> None:
    (tmp_path / "config.json").write_text(contents)
    with pytest.raises(ValueError, match=match):
        load(tmp_path)


def test_load_wants_own_classes_and_fitting_sizes(tmp_path: Path) -> None:
    model, guide = make_pair()
    fit(model, guide, make_frames(), settings=FitSettings(**QUICK), output=tmp_path)
    with pytest.raises(
        ValueError, match=r"tiny\.TinyModel' is not a class of pyrodis; pass your own objects with load"
    ):
        load(tmp_path)
    with pytest.raises(
        ValueError, match=r"weights\.safetensors holds model\.decoder\.weight of shape \(16, 5\), expected"
    ):
        load(tmp_path, TinyModel(hidden_dim=4), TinyGuide(hidden_dim=4))
    (tmp_path / "weights.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"weights\.safetensors does not exist; a run writes it when its first"):
        load(tmp_path, *make_pair())
    with pytest.raises(FileNotFoundError, match="does not exist; give the directory of a run"):
        load(tmp_path / "nowhere")


def test_a_run_from_before_there_was_a_choice_of_optimizer_was_trained_with_adam() -> None:
    new = config(training=FitSettings().recorded())
    old = config(training={k: v for k, v in new["training"].items() if k not in ("optimizer", "momentum")})
    assert find_differences(old, new) == []
    other = config(training=FitSettings(optimizer="sgd", momentum=0.5).recorded())
    assert find_differences(old, other) == [("training.momentum", 0.0, 0.5), ("training.optimizer", "adam", "sgd")]
