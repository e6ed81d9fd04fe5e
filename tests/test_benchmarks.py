"""The page of benchmarks holds what is stored, and every benchmark runs."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
SMOKE = (
    "dsvae_step",
    "precision",
    "parts",
    "pixels",
    pytest.param("pipelines", marks=pytest.mark.long),
    "draws",
    "guides",
    "allocation",
    "rates",
)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Imports a script of benchmarks/ as it is imported there."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(ROOT / "benchmarks")):
            del sys.modules[name]


def test_the_pages_are_what_is_stored(load: object) -> None:
    run_all: ModuleType = load("run_all")  # type: ignore[operator]
    texts = [page.read_text(encoding="utf8") for page in run_all.PAGES]
    assert [run_all.write_blocks(text) for text in texts] == texts, "run python benchmarks/run_all.py --table-only"
    for name in ("all", *run_all.NAMES):
        assert f"<!-- benchmark:{name} -->" in "".join(texts)


def test_a_result_that_is_not_stored_is_asked_for(
    load: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_all: ModuleType = load("run_all")  # type: ignore[operator]
    monkeypatch.setattr(run_all, "RESULTS", tmp_path)
    assert run_all.block("draws").startswith("Not finished: `python benchmarks/draws.py --output")
    rows = {"all at once": {"ratio": 1.0}, "one by one": {"ratio": 4.0, "low": 3.0, "high": 5.5}}
    for row in rows.values():
        row |= {"median_milliseconds": 2.0, "low": row.get("low", 1.0), "high": row.get("high", 1.0)}
    made = {"threads": 2, "torch": "2", "pyro": "1", "python": "3", "commit": "abc", "busy_cores": 4.0}
    result = {"machine": made, "columns": ["guide", "draws", "all at once"], "groups": {"FullGuide": rows}}
    (tmp_path / "draws.json").write_text(json.dumps(result))
    assert "| FullGuide | one by one | 2.00 | 4.00 | 3.00 to 5.50 |" in run_all.block("draws")
    assert "busy with other work" in run_all.block("draws")
    words = "100 posterior draws, FullGuide: one by one over all at once"
    assert f"| {words} | 4.00 | 3.00 to 5.50 |  | busy |" in run_all.one_table()


@pytest.mark.parametrize("name", SMOKE)
def test_every_benchmark_runs(load: object, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script: ModuleType = load(name)  # type: ignore[operator]
    output = tmp_path / f"{name}.json"
    monkeypatch.setattr(sys, "argv", [name, "--smoke-test", "--rounds", "3", "--output", str(output)])
    with torch.random.fork_rng(devices=[]):
        script.main()
    result = json.loads(output.read_text())
    assert result["machine"]["busy_cores"] >= 0
    for rows in result["groups"].values():
        for row in rows.values():
            assert 0 < row["low"] <= row["ratio"] <= row["high"]


def test_the_plain_baseline_learns(load: object) -> None:
    """A baseline that is broken would be easily beaten."""
    plain: ModuleType = load("shared_plain_dsvae")  # type: ignore[operator]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = plain.PlainDSVAE(2, static_dim=4, dynamic_dim=2, hidden_dim=8, feature_dim=8)
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
        x = torch.rand(2, 1, 3, 1, 1).expand(2, 2, 3, 64, 64)
        losses = []
        for _ in range(20):
            loss = module(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    assert all(parameter.grad is not None for parameter in module.parameters())
    assert losses[-1] < 0.7 * losses[0]


def test_a_profile_ends_the_training_and_its_shares_are_a_whole(load: object, monkeypatch: pytest.MonkeyPatch) -> None:
    script: ModuleType = load("profile_presets")  # type: ignore[operator]
    tiny = ("--smoke-test", "--num-epochs", "99", "--num-train", "64")
    monkeypatch.setattr(script, "PRESETS", {"tiny": ("unsupervised_objects", tiny)})
    found = script.measure("tiny", 3)
    assert found["milliseconds"] > 0
    assert sum(found["shares"].values()) == pytest.approx(1.0, abs=1e-3)
    assert min(found["shares"][name] for name in ("convolutions", "other operations", "data", "Python")) > 0.001
    assert "| tiny | flat_scenes |" in script.table({"presets": {"tiny": found}})
    short = ("--smoke-test", "--num-epochs", "1", "--num-train", "32")
    monkeypatch.setattr(script, "PRESETS", {"short": ("unsupervised_objects", short)})
    with pytest.raises(RuntimeError, match=r"the training of short ended after .* steps; ask for fewer --rounds"):
        script.measure("short", 3)


@pytest.mark.parametrize(
    ("operation", "share"),
    [
        ("aten::mkldnn_convolution", "convolutions"),
        ("aten::convolution_backward", "convolutions"),
        ("aten::_fused_adam_", "optimizer"),
        ("aten::normal_", "random numbers"),
        ("aten::native_batch_norm", "norms, pooling, resizing"),
        ("aten::addmm", "products"),
        ("aten::mkldnn_rnn_layer", "recurrent layers"),
        ("aten::copy_", "copies and casts"),
        ("aten::to", "copies and casts"),
        ("aten::linalg_cholesky_ex", "linear algebra"),
        ("aten::resolve_conj", "other operations"),
        ("aten::lgamma", "other operations"),
        ("aten::amax", "other operations"),
        ("aten::upsample_bilinear2d_backward", "norms, pooling, resizing"),
        ("aten::linalg_vector_norm", "optimizer"),
        ("aten::normal", "random numbers"),
        ("aten::exponential_", "random numbers"),
        ("aten::mm", "products"),
        ("aten::leaky_relu", "other operations"),
    ],
)
def test_operations_are_told_by_their_names(load: object, operation: str, share: str) -> None:
    script: ModuleType = load("profile_presets")  # type: ignore[operator]
    assert script.share_of(operation) == share


def test_shares_of_events_that_are_known(load: object) -> None:
    script: ModuleType = load("profile_presets")  # type: ignore[operator]

    def event(name: str, own: float, whole: float, parent: object = None) -> SimpleNamespace:
        return SimpleNamespace(name=name, self_cpu_time_total=own, cpu_time_total=whole, cpu_parent=parent)

    loader = event("enumerate(DataLoader)#_SingleProcessDataLoaderIter.__next__", 5e4, 2e5)
    outer = event("aten::linear", 1e4, 3e5)
    drawn = event("aten::normal_", 1.5e5, 1.5e5, loader)  # a part of the data
    events = [loader, drawn, outer, event("aten::addmm", 2.9e5, 2.9e5, outer), event("autograd::engine", 9e5, 9e5)]
    found = script.shares(events, 1.0)
    assert {name: share for name, share in found.items() if share} == {"products": 0.3, "data": 0.2, "Python": 0.5}


def test_a_result_names_its_commit_from_any_folder(
    load: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared: ModuleType = load("shared_benchmark")  # type: ignore[operator]
    here = shared.machine()["commit"]
    monkeypatch.chdir(tmp_path)
    assert shared.machine()["commit"] == here
    assert here or not (ROOT / ".git").exists()
