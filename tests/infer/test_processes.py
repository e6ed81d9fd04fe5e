"""Two processes train as one that has the whole batch, and end with the same weights."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pyrodis.infer.checkpoint import read_checkpoint, read_weights
from pyrodis.infer.elbo import NamedELBO
from pyrodis.infer.interruption import StopRequest
from pyrodis.infer.processes import (
    any_process,
    end_processes,
    first_process,
    joint_batch,
    num_processes,
    on_first_process,
    sum_over_processes,
    synchronized_batch_norm,
)
from pyrodis.infer.sampler import StepBatchSampler, seed_noise
from pyrodis.infer.settings import FitSettings
from pyrodis.infer.training import fit
from pyrodis.options import add_shared_options, run_script
from tests.infer import two_processes
from tests.infer.tiny import make_frames, make_pair

ROOT = Path(__file__).parents[2]


def none(output: Any) -> torch.Tensor:
    return output["what_frames"].new_zeros(len(output["what_frames"]))


def distance(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def moments(run: Path) -> list[torch.Tensor]:
    """What Adam remembers of the gradients, which unlike its steps scales with them."""
    state = read_checkpoint(run / "checkpoints/last.ckpt")[1]["state"]
    return [entry["exp_avg"] for entry in state.values()]


# Two processes.


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes wrote, and where."""
    folder = tmp_path_factory.mktemp("two_processes")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TORCHELASTIC")}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += [str(ROOT / "tests/infer/two_processes.py"), str(folder)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def found(started: Path) -> list[dict[str, Any]]:
    return [torch.load(started / f"found{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("run", ["exact", "noisy", "resumed"])
def test_both_processes_end_with_identical_weights_and_buffers(found: list[dict[str, Any]], run: str) -> None:
    first, second = (each[run]["weights"] for each in found)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(name.endswith("running_mean") for name in first) or run == "exact"
    drop = {"seconds"}
    rows = [[{k: v for k, v in row.items() if k not in drop} for row in each[run]["rows"]] for each in found]
    assert rows[0] == rows[1]


def test_loss_and_steps_are_those_of_one_process_with_the_joint_batch(
    found: list[dict[str, Any]], started: Path, tmp_path: Path
) -> None:
    """Batches of 5 clips, 3 of one process and 2 of the other, under a penalty that couples all five."""
    alone = two_processes.fit_exact(tmp_path / "alone", two_processes.twins)
    assert distance(alone["weights"], found[0]["exact"]["weights"]) < 1e-9
    for row, joint in zip(alone["rows"], found[0]["exact"]["rows"], strict=True):
        for name in ("train_nll", "train_twins", "train_total"):
            assert joint[name] == pytest.approx(row[name], rel=1e-6)
    for a, b in zip(moments(tmp_path / "alone"), moments(started / "exact"), strict=True):
        assert torch.allclose(a, b, rtol=1e-8, atol=1e-10)


def test_without_the_joint_batch_the_penalty_is_another(found: list[dict[str, Any]]) -> None:
    joint, apart = (found[0][run]["rows"][0]["train_twins"] for run in ("exact", "apart"))
    assert abs(joint - apart) > 0.05 * joint
    assert distance(found[0]["exact"]["weights"], found[0]["apart"]["weights"]) > 1e-4


def test_gathered_correlations_have_the_value_and_the_gradient_of_the_joint_batch(found: list[dict[str, Any]]) -> None:
    codes = torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    scale = torch.ones(3, dtype=torch.float64, requires_grad=True)
    values = two_processes.twins({"what_frames": codes * scale + codes.square()})
    values.mean().backward()
    for each in found:
        assert torch.allclose(each["gradients"]["value"], values[:3].detach(), rtol=1e-12)
        assert torch.allclose(each["gradients"]["gradient"], scale.grad, rtol=1e-10)


def test_each_process_draws_noise_of_its_own(found: list[dict[str, Any]]) -> None:
    """The loss of a step is the mean over both halves of the batch, each with the noise of its process."""
    model, guide = make_pair()
    x = make_frames()
    batch = next(iter(StepBatchSampler(len(x), 8, 0, 0, 1)))
    totals = []
    for number in (0, 1):
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            seed_noise(torch.device("cpu"), 0, "noise", 0, number)
            totals.append(float(NamedELBO().terms(model, guide, x[batch[number::2]]).total))
    assert found[0]["one_step"]["rows"][0]["train_total"] == pytest.approx(sum(totals) / 2, rel=1e-6)
    assert abs(totals[0] - totals[1]) > 1e-3 * totals[0]


def test_a_resumed_training_of_two_processes_is_that_of_one_go(found: list[dict[str, Any]]) -> None:
    whole, resumed = (found[0][run]["weights"] for run in ("noisy", "resumed"))
    assert len(found[0]["short"]["rows"]) == 1
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_first_process_alone_writes(found: list[dict[str, Any]], started: Path) -> None:
    kept = read_weights(started / "noisy/weights.safetensors")
    assert all(torch.equal(kept[name], value) for name, value in found[1]["noisy"]["weights"].items())
    assert len(list((started / "noisy/logs").iterdir())) == 1
    assert [each["first"] for each in found] == [True, False]


def test_errors_and_flags_reach_both(found: list[dict[str, Any]]) -> None:
    assert [each["error"] for each in found] == ["integer division or modulo by zero"] * 2
    assert [each["any"] for each in found] == [[True, False]] * 2


# One process.


def test_one_process_is_the_first_and_shares_nothing() -> None:
    value = torch.ones(2)
    assert num_processes() == 1
    assert first_process()
    assert any_process(True)
    assert not any_process(False)
    assert sum_over_processes(value) is value
    assert on_first_process(lambda: "done") == "done"
    codes = {"what_frames": torch.randn(4, 2, 3)}
    assert torch.equal(joint_batch(two_processes.twins)(codes), two_processes.twins(codes))


@pytest.mark.parametrize("num_parts", [2, 3])
def test_accumulated_parts_make_the_step_of_the_whole_batch(tmp_path: Path, num_parts: int) -> None:
    """Batches of 5, 5 and 4 clips: parts that differ in size count by their clips."""
    whole = two_processes.fit_exact(tmp_path / "whole", none)
    parts = two_processes.fit_exact(tmp_path / "parts", none, accumulation=num_parts)
    assert distance(whole["weights"], parts["weights"]) < 1e-12
    for a, b in zip(moments(tmp_path / "whole"), moments(tmp_path / "parts"), strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)
    for row, joint in zip(whole["rows"], parts["rows"], strict=True):
        assert joint["step"] == row["step"]
        assert joint["train_total"] == pytest.approx(row["train_total"], rel=1e-6)


def test_an_accumulating_training_resumes_exactly(tmp_path: Path) -> None:
    settings = {"accumulation": 2, "patience": None}
    whole = two_processes.fit_noisy(tmp_path / "whole", settings=settings)
    two_processes.fit_noisy(tmp_path / "cut", settings=settings | {"num_epochs": 1})
    resumed = two_processes.fit_noisy(tmp_path / "cut", settings=settings, resume=True)
    assert distance(whole["weights"], resumed["weights"]) == 0


def test_parts_have_noise_of_their_own(tmp_path: Path) -> None:
    settings = {"batch_size": 2, "accumulation": 2, "max_steps": 1}
    model, guide = make_pair()
    frames = make_frames(1).expand(2, -1, -1, -1, -1)
    row = fit(model, guide, frames, settings=FitSettings(**settings, device="cpu")).rows[0]
    model, guide = make_pair()
    totals = []
    for later in ((), (1,)):
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            seed_noise(torch.device("cpu"), 0, "noise", 0, 0, *later)
            totals.append(float(NamedELBO().terms(model, guide, frames[:1]).total))
    assert row["train_total"] == pytest.approx(sum(totals) / 2, rel=1e-6)
    assert totals[0] != totals[1]


def test_shares_of_a_batch_are_the_batch() -> None:
    whole = list(StepBatchSampler(14, 5, seed=3, first_step=0, num_steps=6))
    shares = [
        list(StepBatchSampler(14, 5, 3, 2, 6, process=process, num_processes=2, num_parts=2)) for process in (0, 1)
    ]
    assert len(shares[0]) == len(shares[1]) == 2 * 4
    for step in range(4):
        parts = [share[2 * step + part] for share in shares for part in (0, 1)]
        assert sorted(index for part in parts for index in part) == sorted(whole[2 + step])
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_batch_that_leaves_a_process_without_clips_is_refused_before_a_run_is_claimed(tmp_path: Path) -> None:
    model, guide = make_pair()
    settings = FitSettings(batch_size=4, accumulation=3, device="cpu")
    with pytest.raises(ValueError, match="1 processes and 3 parts needs an item of every batch, but the last batch"):
        fit(model, guide, make_frames(22), settings=settings, output=tmp_path)
    assert not (tmp_path / "config.json").exists()


@pytest.mark.parametrize(
    ("setting", "error", "match"),
    [
        ({"accumulation": 0}, ValueError, "accumulation must be a whole number of at least 1, got 0"),
        ({"accumulation": 1.0}, TypeError, "accumulation must be a whole number of at least 1, got 1.0"),
        ({"strategy": "fsdp"}, ValueError, "strategy must be one of 'ddp', 'ddp_find_unused_parameters_true', got"),
    ],
)
def test_bad_settings(setting: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        FitSettings(**setting)


def test_batch_normalizations_are_exchanged_and_given_back_with_what_they_learned() -> None:
    shared = nn.BatchNorm1d(2)
    network, other = nn.Sequential(nn.Linear(2, 2), shared), nn.ModuleDict({"again": shared})
    frozen = nn.Sequential(nn.BatchNorm2d(1)).eval()
    with synchronized_batch_norm(network, other, frozen):
        assert isinstance(network[1], nn.SyncBatchNorm)
        assert network[1] is other["again"]
        assert network[1].weight is shared.weight
        assert not frozen[0].training
        network.double()  # makes new buffers, as a move to a GPU does
        network(torch.randn(5, 2, dtype=torch.float64))
        mean = network[1].running_mean.clone()
    assert network[1] is other["again"] is shared
    assert torch.equal(shared.running_mean, mean)
    assert int(shared.num_batches_tracked) == 1
    assert type(frozen[0]) is nn.BatchNorm2d


def test_a_signal_of_another_kind_is_no_second_one() -> None:
    """A launcher follows Ctrl-C up with a SIGTERM of its own."""
    request = StopRequest()
    with request.watch():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert request.asked


def test_the_same_signal_again_is_a_second_one() -> None:
    def terminate_twice() -> None:
        with StopRequest().watch():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt, match="second signal"):
        terminate_twice()


def test_a_script_ends_the_group_of_its_processes(tmp_path: Path) -> None:
    end_processes()  # there is none
    output = str(tmp_path / "run")
    parser = argparse.ArgumentParser()
    add_shared_options(parser, "none")

    def main(options: argparse.Namespace) -> None:
        store = f"file://{tmp_path / 'store'}"
        torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)

    assert run_script(main, parser, ["--output", output]) == 0
    assert not torch.distributed.is_initialized()
