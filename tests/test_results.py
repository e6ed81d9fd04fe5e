"""Every number of a table of results comes from a stored row, and the script that prints it names what is missing."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


def load_script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "results" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def results() -> ModuleType:
    """The script docs/results/dsvae_sprites.py."""
    return load_script("dsvae_sprites")


@pytest.mark.parametrize("page", ["README.md", "docs/papers/dsvae.md"])
def test_tables_are_those_of_the_stored_rows(results: ModuleType, page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf8")
    assert "<!-- results:main -->" in text
    assert results.write_blocks(text) == text, (
        f"run python docs/results/dsvae_sprites.py --table-only --write for {page}"
    )


def test_the_page_of_the_paper_holds_every_table(results: ModuleType) -> None:
    text = (ROOT / "docs" / "papers" / "dsvae.md").read_text(encoding="utf8")
    assert all(f"<!-- results:{name} -->" in text for name in results.BLOCKS)
    assert len([row for row in results.ROWS if results.path_of(row).exists()]) > 0


def test_every_row_is_in_a_table(results: ModuleType) -> None:
    guides = {f"{guide}-{prior}" for guide, prior in results.GUIDES} | {"default"}
    hidden = {row.removesuffix("-seed0") for row in results.ROWS if row.startswith("hidden-")}
    named = set(results.FULL) | set(results.SHORT_ROWS) | guides | hidden
    for row in results.ROWS:
        name = row.rsplit("-seed", 1)[0]
        assert name in named or name.startswith("held-out"), row


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
    assert "<!-- views -->" in text
    for data in ("sprites", "procedural"):
        paths = {row: views.path_of(row, data) for row in views.ROWS}
        results = {row: json.loads(p.read_text(encoding="utf8")) for row, p in paths.items() if p.exists()}
        if results:
            assert views.table(results) in text
            assert views.summary(next(iter(results.values()))) in text


def test_benchmarks_are_those_stored() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf8")
    step = json.loads((ROOT / "docs" / "results" / "elbo_step.json").read_text(encoding="utf8"))
    for name, size in step["sizes"].items():
        for variant, row in size["rows"].items():
            interval = f"{row['low']:.3f} to {row['high']:.3f}"
            assert f"| {name} | {variant} | {row['ratio']:.3f} | {interval} |" in page
    share = json.loads((ROOT / "docs" / "results" / "sprites_data.json").read_text(encoding="utf8"))["share"]
    assert f"takes {share['ratio']:.1%} of a step" in page
    chain = json.loads((ROOT / "docs" / "results" / "structured_normal.json").read_text(encoding="utf8"))["lengths"]
    for num_frames, rows in chain.items():
        for way, row in rows.items():
            interval = f"{row['ratio']:.1f} | {row['low']:.1f} to {row['high']:.1f}"
            assert f"| {num_frames} | {way} | {row['median_milliseconds']:.2f} | {interval} |" in page
