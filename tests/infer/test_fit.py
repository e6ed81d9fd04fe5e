"""What a training does to weights, history, generators and checks."""

from __future__ import annotations

import csv
import logging
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from pyro.distributions import Normal
from torch import Tensor, nn
from torch.utils.data import Dataset

from pyrodis.infer.checkpoint import collect_weights, read_checkpoint
from pyrodis.infer.data import as_dataset
from pyrodis.infer.elbo import NamedELBO
from pyrodis.infer.handlers import scale_latents
from pyrodis.infer.history import History
from pyrodis.infer.loading import load
from pyrodis.infer.sampler import StepBatchSampler, seed_noise
from pyrodis.infer.settings import FitSettings, learning_rate_at
from pyrodis.infer.training import fit
from tests.infer.tiny import TinyGuide, TinyModel, make_frames, make_pair

QUICK: dict[str, Any] = {"num_epochs": 2, "batch_size": 8, "warmup_steps": 2, "device": "cpu"}


class Sequences(Dataset[dict[str, Tensor]]):
    name, split, seed, checksum, num_frames, frame_shape = "dots", "fit", 4, "ab" * 32, 4, (1, 4, 4)

    def __init__(self, num: int = 22) -> None:
        self.frames = make_frames(num)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x": self.frames[index], "factors": torch.zeros(5, dtype=torch.long)}


class Singular(TinyModel):
    """Its loss is finite, and its gradient is not."""

    def forward(self, x: Tensor | None = None, batch_size: int | None = None) -> dict[str, Tensor]:
        values = super().forward(x, batch_size)
        pyro.factor("root", -(self.decoder.bias[0] * 0).sqrt())
        return values


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def train(data: Any = None, validation: Any = None, **settings: Any) -> tuple[TinyModel, TinyGuide, History]:
    model, guide = make_pair()
    data = make_frames() if data is None else data
    return model, guide, fit(model, guide, data, validation=validation, settings=FitSettings(**(QUICK | settings)))


@pytest.mark.parametrize(
    ("optimizer", "momentum", "make"),
    [
        ("adam", 0.0, lambda parameters: torch.optim.Adam(parameters, fused=True)),
        ("rmsprop", 0.5, lambda parameters: torch.optim.RMSprop(parameters, momentum=0.5)),
        ("sgd", 0.9, lambda parameters: torch.optim.SGD(parameters, momentum=0.9, fused=True)),
    ],
)
def test_fit_is_the_plain_loop_bit_for_bit(
    optimizer: str, momentum: float, make: Callable[[list[nn.Parameter]], torch.optim.Optimizer]
) -> None:
    settings = FitSettings(**QUICK, kl_weights={"z": 0.25}, gradient_clip=0.5, optimizer=optimizer, momentum=momentum)
    frames = make_frames()
    fitted = make_pair()
    fit(*fitted, frames, settings=settings)

    model, guide = make_pair()
    for module in (model, guide):
        module.to(memory_format=torch.channels_last)
    parameters = [*model.parameters(), *guide.parameters()]
    stepper = make(parameters)
    programs = [scale_latents(program, {"f": 1.0, "z": 0.25}) for program in (model, guide)]
    with torch.random.fork_rng():
        for step, batch in enumerate(StepBatchSampler(22, 8, 0, 0, 6)):
            seed_noise(torch.device("cpu"), 0, "noise", step, 0)
            stepper.param_groups[0]["lr"] = learning_rate_at(settings, step, 6)
            stepper.zero_grad()
            NamedELBO().terms(*programs, frames[batch]).total.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 0.5)
            stepper.step()
    expected, trained = collect_weights(model, guide), collect_weights(*fitted)
    assert same(expected, trained)


def test_every_parameter_trains_and_the_loss_falls() -> None:
    before = collect_weights(*make_pair())
    model, guide, history = train(num_epochs=10, learning_rate=0.01)
    assert not any(torch.equal(before[name], value) for name, value in collect_weights(model, guide).items())
    assert history.column("train_total")[-1] < history.column("train_total")[0] - 5
    assert history.finished == "all steps"
    assert not model.training
    assert not guide.training


def test_frozen_parameters_stay() -> None:
    model, guide = make_pair()
    model.decoder.requires_grad_(False)
    before = collect_weights(model, guide)
    fit(model, guide, make_frames(), settings=FitSettings(**QUICK))
    after = collect_weights(model, guide)
    assert torch.equal(before["model.decoder.weight"], after["model.decoder.weight"])
    assert not torch.equal(before["guide.conv.weight"], after["guide.conv.weight"])


def test_a_shared_module_trains_once() -> None:
    model, guide = make_pair()
    guide.shared = model.decoder
    fit(model, guide, make_frames(), settings=FitSettings(**QUICK))
    alone, _, _ = train()
    assert torch.allclose(model.decoder.weight, alone.decoder.weight, atol=1e-7)


def test_two_trainings_in_one_process_are_the_same_and_another_seed_is_not() -> None:
    first, second, other = (collect_weights(*train(seed=seed)[:2]) for seed in (0, 0, 1))
    assert same(first, second)
    assert not same(first, other)


def test_data_set_tensor_and_workers_give_the_same_weights() -> None:
    reference = collect_weights(*train()[:2])
    assert same(reference, collect_weights(*train(Sequences())[:2]))
    assert same(reference, collect_weights(*train(Sequences(), num_workers=1)[:2]))


def test_validation_does_not_disturb_training() -> None:
    with_validation, alone = train(validation=make_frames(7, 2)), train()
    assert same(collect_weights(*with_validation[:2]), collect_weights(*alone[:2]))


def test_validation_repeats_its_noise() -> None:
    model, guide = make_pair()
    guide.norm.momentum = 0.0
    settings = FitSettings(**QUICK | {"num_epochs": 3, "learning_rate": 1e-12})
    history = fit(model, guide, make_frames(), validation=make_frames(7, 2), settings=settings)
    totals = history.column("validation_total")
    assert totals == pytest.approx([totals[0]] * 3, rel=1e-6)


def test_validation_is_in_eval_mode_at_full_weights_and_training_is_not() -> None:
    model, guide = make_pair()
    modes: list[tuple[int, bool, bool]] = []
    model.register_forward_hook(lambda m, a, out: modes.append((len(a[0]), m.training, guide.training)))
    settings = FitSettings(**QUICK, kl_weights={"f": 2.0, "z": 3.0}, kl_warmup_epochs=4)
    with pytest.warns(UserWarning, match="that of 'f' at 0.5 times it, that of 'z' at 0.5 times it; train longer"):
        history = fit(model, guide, make_frames(), validation=make_frames(5, 2), settings=settings)
    assert {mode for mode in modes if mode[0] == 5} == {(5, False, False)}
    assert {mode[1:] for mode in modes if mode[0] != 5} == {(True, True)}
    row = history.rows[0]
    full = row["validation_nll"] + 2 * row["validation_kl_f"] + 3 * row["validation_kl_z"]
    assert row["validation_total"] == pytest.approx(full, rel=1e-6)
    assert [row["kl_weight_z"] for row in history.rows] == pytest.approx([0.75, 1.5])


def test_epoch_terms_are_means_over_sequences() -> None:
    _, _, history = train(num_epochs=1, learning_rate=1e-12, batch_size=5)
    frames = make_frames()
    model, guide = make_pair()
    sums = 0.0
    with torch.random.fork_rng():
        for step, batch in enumerate(StepBatchSampler(22, 5, 0, 0, 5)):
            seed_noise(torch.device("cpu"), 0, "noise", step, 0)
            sums += NamedELBO().terms(model, guide, frames[batch]).total.item() * len(batch)
    assert history.column("train_total") == pytest.approx([sums / 22], rel=1e-5)


def test_max_steps_ends_inside_an_epoch() -> None:
    _, _, history = train(num_epochs=5, max_steps=4)
    assert [row["step"] for row in history.rows] == [3, 4]
    assert [row["epoch"] for row in history.rows] == [1, 2]


@pytest.mark.parametrize("output", [True, False])
def test_early_stop_keeps_the_best_weights(tmp_path: Path, output: bool) -> None:
    model, guide = make_pair()
    settings = FitSettings(num_epochs=50, batch_size=8, learning_rate=0.2, patience=3, device="cpu", warmup_steps=0)
    run = tmp_path / "run" if output else None
    history = fit(model, guide, make_frames(8), validation=make_frames(8, 9), settings=settings, output=run)
    totals = history.column("validation_total")
    best = totals.index(min(totals)) + 1
    assert history.finished == "early stop"
    assert history.best_epoch == best == len(totals) - 3
    if run:
        kept = collect_weights(model, guide)
        assert same(kept, read_checkpoint(run / "checkpoints/best.ckpt")[0])
        assert not same(kept, read_checkpoint(run / "checkpoints/last.ckpt")[0])
        assert same(kept, collect_weights(*load(run, *make_pair(5))))


def test_the_run_directory_is_complete(tmp_path: Path) -> None:
    model, guide = make_pair()
    history = fit(
        model,
        guide,
        Sequences(),
        validation=make_frames(5),
        settings=FitSettings(**QUICK),
        output=tmp_path / "run",
        description={"preset": "default"},
    )
    files = {str(p.relative_to(tmp_path / "run")) for p in (tmp_path / "run").rglob("*") if p.is_file()}
    log = next(name for name in files if name.startswith("logs/events.out.tfevents"))
    named = {"config.json", "weights.safetensors", "history.csv", "checkpoints/last.ckpt", "checkpoints/best.ckpt"}
    named.add("checkpoints/previous.ckpt")
    assert files == named | {log}
    with (tmp_path / "run/history.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert rows == list(history.rows)
    loaded = load(tmp_path / "run", *make_pair(3))
    assert same(collect_weights(*loaded), collect_weights(model, guide))
    assert not loaded[0].training
    assert not loaded[1].training


def test_generators_checks_signals_loggers_and_filters_are_given_back() -> None:
    def snapshot() -> tuple[Any, ...]:
        checks = (pyro.infer.is_validation_enabled(), pyro.poutine.is_validation_enabled())
        handlers = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
        levels = tuple(logging.getLogger(name).level for name in ("lightning", "lightning.pytorch"))
        return checks, handlers, levels, list(warnings.filters)

    train()  # so that Lightning's own import is over
    torch.manual_seed(1234)
    before, generator = snapshot(), torch.get_rng_state()
    train()
    assert snapshot() == before
    assert torch.equal(generator, torch.get_rng_state())


def test_checks_are_on_for_three_steps_only() -> None:
    model, guide = make_pair()
    seen: list[bool] = []
    model.register_forward_hook(lambda *_: seen.append(pyro.infer.is_validation_enabled()))
    with pyro.validation_enabled(False):
        fit(model, guide, make_frames(), settings=FitSettings(**QUICK))
    assert seen == [True] * 3 + [False] * 3


def test_nothing_is_printed_but_a_line_an_epoch(capfd: pytest.CaptureFixture[str]) -> None:
    train(num_epochs=3)
    captured = capfd.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert [line.split(",")[0] for line in lines] == ["epoch 1/3", "epoch 3/3"]
    assert "train_kl_z" in lines[0]
    assert lines[0].endswith(" left")


def test_progress_can_be_silenced(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    train()
    assert capfd.readouterr().err == ""


def test_bfloat16_trains_close_to_float32() -> None:
    reference = train()[2].column("train_total")
    mixed = train(precision="bf16-mixed", validation=make_frames(5))[2]
    assert mixed.column("train_total") == pytest.approx(reference, rel=0.02)
    assert mixed.column("train_total") != reference


@pytest.mark.parametrize("validation", [False, True])
def test_a_nan_is_named_and_the_last_good_checkpoint_kept(tmp_path: Path, validation: bool) -> None:
    model, guide = make_pair(poison=8.0)  # epoch 3, step 9: three batches an epoch; with validation one more each
    settings = FitSettings(num_epochs=4, batch_size=8, device="cpu")
    data = make_frames(7) if validation else None
    named = "'nll' became nan at epoch 3, step 7" if validation else "'nll' became nan at epoch 3, step 9"
    with pytest.raises(
        FloatingPointError, match=f"the loss term {named}; the last good checkpoint, of step 6, is kept"
    ):
        fit(model, guide, make_frames(), validation=data, settings=settings, output=tmp_path / "run")
    weights, _, state = read_checkpoint(tmp_path / "run/checkpoints/last.ckpt")
    assert state.step == 6
    assert all(torch.isfinite(value).all() for value in [*weights.values(), *collect_weights(model, guide).values()])


def test_a_nan_in_validation_is_named() -> None:
    model, guide = make_pair(poison=8.0)
    with pytest.raises(FloatingPointError, match="the validation term 'nll' became nan at the end of epoch 2, step 6"):
        fit(model, guide, make_frames(9), validation=make_frames(6), settings=FitSettings(**QUICK | {"batch_size": 3}))


def test_a_gradient_that_is_not_finite_is_named() -> None:
    with torch.random.fork_rng():
        model, guide = Singular(), TinyGuide()
    before = [p.clone() for p in [*model.parameters(), *guide.parameters()]]
    with pytest.raises(
        FloatingPointError, match=r"gradient of model\.decoder\.bias became nan at epoch 1, step 1; no check"
    ):
        fit(model, guide, make_frames(), settings=FitSettings(**QUICK))
    assert all(map(torch.equal, before, [*model.parameters(), *guide.parameters()]))


def test_penalties_are_terms_of_the_history() -> None:
    class Penalized(TinyModel):
        def forward(self, x: Tensor | None = None, batch_size: int | None = None) -> dict[str, Tensor]:
            values = super().forward(x, batch_size)
            with pyro.plate("penalized", len(values["f"]), dim=-1):
                pyro.factor("length", -values["f"].square().sum(-1))
            return values

    model, guide = Penalized(), TinyGuide()
    history = fit(model, guide, make_frames(), settings=FitSettings(**QUICK))
    row = history.rows[0]
    terms = row["train_nll"] + row["train_kl_f"] + row["train_kl_z"] + row["train_length"]
    assert row["train_total"] == pytest.approx(terms, rel=1e-6)
    assert row["train_length"] > 0


FRAMES = make_frames(4)


def test_a_broken_validation_clip_is_named() -> None:
    """A data set is looked at as far as it is read: its first item before, all others in the first validation."""
    for broken, match in (
        (torch.full_like(FRAMES[0], torch.nan), r"validation\[2\]\['x'\] contains NaN; remove or fill"),
        (FRAMES[0] * 255, r"validation\[2\]\['x'\] must lie in \[0, 1\], got values from .*; divide 8-bit"),
    ):
        items = [{"x": frames} for frames in (FRAMES[0], FRAMES[1], broken)]
        with pytest.raises(ValueError, match=match):
            fit(*make_pair(), FRAMES, validation=items, settings=FitSettings(num_epochs=1, batch_size=2, device="cpu"))


def test_a_broken_training_clip_is_named_in_the_first_steps_too() -> None:
    items = [{"x": frames} for frames in (*FRAMES[:3], torch.full_like(FRAMES[0], torch.nan))]
    with pytest.raises(ValueError, match=r"train\[3\]\['x'\] holds NaN; mend that item; no checkpoint was written"):
        fit(*make_pair(), items, settings=FitSettings(num_epochs=1, device="cpu"))


def test_weights_that_are_nan_from_the_start_are_one_sentence() -> None:
    model, guide = make_pair()
    for parameter in guide.parameters():
        torch.nn.init.constant_(parameter, torch.nan)
    with pytest.raises(
        FloatingPointError, match=r"^loc of a Normal is nan for the first clip; look for NaN in the guide's weights"
    ):
        fit(model, guide, FRAMES, settings=FitSettings(num_epochs=1, device="cpu"))


def _break(module: nn.Module) -> None:
    for parameter in module.parameters():
        torch.nn.init.constant_(parameter, torch.nan)


def test_codes_that_are_nan_at_once_are_one_sentence() -> None:
    model, guide = make_pair()
    guide.register_forward_pre_hook(lambda module, given: _break(module) if len(given[0]) > 1 else None)
    with pytest.raises(
        FloatingPointError, match=r"^loc of a Normal became nan at epoch 1, step 1; no check.*; train again"
    ):
        fit(model, guide, FRAMES, settings=FitSettings(num_epochs=1, device="cpu"))


def test_channels_of_one_may_lie_anywhere_in_memory() -> None:
    turned = FRAMES.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    assert as_dataset(turned, "train").checksum == as_dataset(FRAMES, "train").checksum
    last = FRAMES[:, :, 0, :, :, None].transpose(1, 2)[..., :1]
    assert len(as_dataset(last, "train")) == len(FRAMES)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (
            {"train": FRAMES[0]},
            ValueError,
            r"train must have shape \(B, T, C, H, W\), got \(4, 1, 4, 4\); one clip is train",
        ),
        ({"train": FRAMES[:0]}, ValueError, r"train is empty, its shape is \(0, 4, 1, 4, 4\)"),
        ({"train": FRAMES * 255}, ValueError, r"train must be in \[0, 1\] without NaN, got values from .* to 2\d\d"),
        (
            {"train": FRAMES * float("nan")},
            ValueError,
            r"train must be in \[0, 1\] without NaN, got NaN; remove or fill",
        ),
        ({"train": FRAMES.mul(255).byte()}, TypeError, r"train must be float in \[0, 1\], got torch.uint8; convert"),
        ({"train": Sequences(0)}, ValueError, "train is empty; give it at least one sequence"),
        ({"train": [FRAMES[0]]}, TypeError, 'items of train must be dicts with a tensor "x" .* got Tensor'),
        ({"train": [{"x": FRAMES}]}, ValueError, r'"x" of an item of train must have shape \(T, C, H, W\), got \(4, 4'),
        ({"train": 5}, TypeError, "train must be a tensor or a data set with a length, got int"),
        ({"validation": FRAMES * 9}, ValueError, r"validation must be in \[0, 1\]"),
        ({"model": lambda x: x}, TypeError, "model must be a torch module that is a Pyro program, got function"),
        ({"guide": None}, TypeError, "guide must be a torch module that is a Pyro program, got NoneType"),
        (
            {"settings": FitSettings(kl_weights={"w": 1.0})},
            ValueError,
            "kl_weights names the site 'w', the guide has 'f', 'z'",
        ),
        ({"settings": FitSettings(patience=2)}, ValueError, "patience needs validation data, got patience=2"),
        ({"resume": True}, ValueError, "resume and overwrite need a run directory, got output=None"),
        ({"resume": True, "overwrite": True, "output": "r"}, ValueError, "resume and overwrite exclude each other"),
        ({"settings": {"num_epochs": 2}}, TypeError, "settings must be FitSettings, got dict"),
    ],
)
def test_bad_calls(change: dict[str, Any], error: type[Exception], match: str) -> None:
    model, guide = make_pair()
    arguments: dict[str, Any] = {"model": model, "guide": guide, "train": FRAMES} | change
    with pytest.raises(error, match=match):
        fit(**arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_a_missing_device_is_refused() -> None:
    with pytest.raises(ValueError, match="got 'cuda' and no CUDA device; use device='cpu'"):
        train(device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_gpu_trains_and_resumes(tmp_path: Path, precision: str) -> None:
    settings = FitSettings(**QUICK | {"device": "cuda", "precision": precision, "schedule": "constant"})
    model, guide = make_pair()
    fit(model, guide, make_frames(), validation=make_frames(5), settings=settings, output=tmp_path)
    longer = FitSettings(**QUICK | {"device": "cuda", "precision": precision, "schedule": "constant", "num_epochs": 4})
    history = fit(model, guide, make_frames(), validation=make_frames(5), settings=longer, output=tmp_path, resume=True)
    assert len(history.rows) == 4
    assert {p.device.type for p in model.parameters()} == {"cpu"}


def test_history_names_its_columns() -> None:
    history = History(({"epoch": 1, "train_nll": 2.0},), "all steps", 0)
    assert history.column("train_nll") == [2.0]
    with pytest.raises(KeyError, match="history has no column 'nll'; its columns are epoch, train_nll"):
        history.column("nll")


def test_importing_fit_does_not_import_lightning() -> None:
    import subprocess
    import sys

    code = "import sys, pyrodis.infer.training, pyrodis.infer.loading; print('lightning' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_a_module_of_no_distribution_is_named_normally() -> None:
    """A guide that lacks the model's sites is refused by the objective's own sentence."""

    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.loc = nn.Parameter(torch.zeros(2))

        def forward(self, x: Tensor) -> None:
            with pyro.plate("data", len(x), dim=-1):
                pyro.sample("f", Normal(self.loc, 1.0).to_event(1))

    with pytest.raises(ValueError, match="'z'"):
        fit(make_pair()[0], Half(), make_frames(), settings=FitSettings(**QUICK))


def test_a_pair_without_latent_sites_is_trained_by_likelihood() -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.loc = nn.Parameter(torch.zeros(()))

        def forward(self, x: Tensor) -> None:
            with pyro.plate("data", len(x), dim=-1):
                pyro.sample("x", Normal(self.loc.expand(x.shape), 1.0).to_event(4), obs=x)

    class Nothing(nn.Module):
        def forward(self, x: Tensor) -> None:
            return None

    model = Constant()
    history = fit(model, Nothing(), make_frames(), settings=FitSettings(**QUICK))
    assert history.column("train_total") == history.column("train_nll")
    assert float(model.loc.detach()) > 0


def test_frames_of_the_first_batches_are_checked() -> None:
    data = Sequences()
    data.frames = torch.cat([torch.zeros_like(data.frames[:1]), 255 * data.frames[1:]])
    with pytest.raises(ValueError, match=r"x of a batch must lie in \[0, 1\], got values from .* divide 8-bit frames"):
        train(data)


@pytest.mark.parametrize("penalized", [False, True])
def test_a_preview_sees_copies_and_changes_nothing(penalized: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyrodis.infer import callbacks
    from pyrodis.infer.penalties import add_penalty

    clock = iter(range(0, 10**6, 50))  # seconds; a step asks a few times
    seen = []

    def preview(model: nn.Module, guide: nn.Module) -> None:
        torch.rand(7)
        seen.append((model, guide, model.training, guide.training))
        with torch.no_grad():
            next(model.parameters()).fill_(9.0)

    def trained(**rest: Any) -> tuple[nn.Module, nn.Module]:
        model, guide = make_pair()
        program = (
            add_penalty(guide, "size", lambda output: output["z"].square().flatten(1).sum(1), 0.1, side="guide")
            if penalized
            else guide
        )
        fit(model, program, make_frames(), settings=FitSettings(**QUICK, **rest))
        return model, guide

    plain = trained()
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: float(next(clock)))
    model, guide = trained(preview=preview)
    assert same(collect_weights(model, guide), collect_weights(*plain))
    assert 1 <= len(seen) < 4  # ever more rarely: a step takes minutes of this clock
    assert all(shown is not model and not any(modes) for shown, _, *modes in seen)


def test_a_preview_that_fails_ends_no_training(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pyrodis.infer import callbacks

    def preview(model: nn.Module, guide: nn.Module) -> None:
        raise OSError("no space left on device")

    clock = iter(range(0, 10**6, 50))
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: float(next(clock)))
    history = fit(*make_pair(), make_frames(), settings=FitSettings(**QUICK, preview=preview))
    assert "the preview failed and the training goes on: no space left on device\n" in capsys.readouterr().err
    assert history.finished == "all steps"
    with pytest.raises(TypeError, match="preview must be a function of model and guide or None, got 3; pass its name"):
        FitSettings(preview=3)  # type: ignore[arg-type]
