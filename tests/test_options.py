"""The shared options, and errors as one line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from pyrodis.infer.interruption import TrainingInterrupted
from pyrodis.infer.run_directory import RunDirectory, make_config
from pyrodis.options import add_shared_options, explain, run_script


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="script.py")
    add_shared_options(parser, "script")
    return parser


def fails_with(error: BaseException) -> Callable[[argparse.Namespace], NoReturn]:
    def main(options: argparse.Namespace) -> NoReturn:
        raise error

    return main


def test_defaults(parser: argparse.ArgumentParser) -> None:
    assert vars(parser.parse_args([])) == {
        "output": Path("runs/script"),
        "data_root": None,
        "preset": "default",
        "seed": 0,
        "device": "auto",
        "resume": False,
        "overwrite": False,
        "smoke_test": False,
        "debug": False,
    }


def test_help_states_every_option_and_default(parser: argparse.ArgumentParser) -> None:
    text = " ".join(parser.format_help().split())
    for option in ("--output", "--data-root", "--preset", "--seed", "--device"):
        assert "(default:" in text.split(f"{option} ", 2)[-1]
    for name in ("--resume", "--overwrite", "--smoke-test", "--debug", "PYRODIS_DATA", "runs/script"):
        assert name in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--seed", "-1"], "argument --seed: must be a whole number of at least 0 and below 2^63, got '-1'"),
        (["--seed", "one"], "argument --seed: must be a whole number of at least 0 and below 2^63, got 'one'"),
        (["--seed", "9" * 20], "argument --seed: must be a whole number of at least 0 and below 2^63, got '99999"),
        (["--output", ""], "argument --output: must name a directory, got ''"),
        (["--preset", "large"], "argument --preset: invalid choice: 'large'"),
        (["--device", "tpu"], "argument --device: invalid choice: 'tpu'"),
        (["--data-root", "/nowhere"], "argument --data-root: must be a directory that exists, got '/nowhere'"),
        (["--resume", "--overwrite"], "not allowed with argument --resume"),
        (["--unknown"], "unrecognized arguments: --unknown"),
    ],
)
def test_bad_options(
    parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        run_script(fails_with(AssertionError()), parser, arguments)
    assert caught.value.code == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("x must be\n  float"), 1, "script.py: error: x must be float\n"),
        (FileNotFoundError("no sheets"), 1, "script.py: error: no sheets\n"),
        (FileExistsError("holds a run"), 1, "script.py: error: holds a run\n"),
        (FloatingPointError("'nll' became nan"), 1, "script.py: error: 'nll' became nan\n"),
        (
            TrainingInterrupted(3, 40, Path("l")),
            130,
            "script.py: stopped at epoch 3, step 40; continue with --resume\n",
        ),
        (KeyboardInterrupt(), 130, "script.py: interrupted\n"),
    ],
)
def test_an_error_is_one_line(
    parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, line: str
) -> None:
    assert run_script(fails_with(error), parser, []) == code
    assert capsys.readouterr().err == line
    with pytest.raises(type(error)):
        run_script(fails_with(error), parser, ["--debug"])


def test_an_unsaved_stop_does_not_promise_a_resume(
    parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_script(fails_with(TrainingInterrupted(1, 2, None)), parser, []) == 130
    assert "nothing was saved" in capsys.readouterr().err


def test_a_mistake_of_the_library_keeps_its_traceback(parser: argparse.ArgumentParser) -> None:
    with pytest.raises(ZeroDivisionError):
        run_script(fails_with(ZeroDivisionError()), parser, [])


def test_success(parser: argparse.ArgumentParser) -> None:
    seen: list[int] = []
    assert run_script(lambda options: seen.append(options.seed), parser, ["--seed", "5"]) == 0
    assert seen == [5]


def test_every_run_of_a_script_gets_its_card(parser: argparse.ArgumentParser, tmp_path: Path) -> None:
    described = {"class": "mine.Model", "arguments": None}
    config = make_config(described, described, {}, {"seed": 0}, None)

    def main(options: argparse.Namespace) -> None:
        for name in ("a", "b"):
            RunDirectory(options.output / name).claim(config, resume=False, overwrite=False)

    assert run_script(main, parser, ["--output", str(tmp_path)]) == 0
    assert sorted(path.parent.name for path in tmp_path.glob("*/card.md")) == ["a", "b"]


def test_a_card_that_cannot_be_written_is_one_line(
    parser: argparse.ArgumentParser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(options: argparse.Namespace) -> None:
        (options.output / "config.json").write_text('{"format": "pyrodis.run"}')

    assert run_script(main, parser, ["--output", str(tmp_path)]) == 1
    assert "config.json has format version None" in capsys.readouterr().err


def test_an_error_without_words_is_still_a_sentence() -> None:
    assert explain(MemoryError()) == (1, "error: memory ran out; take smaller batches or clips")
    assert explain(MemoryError("Unable to allocate 3 GB"))[1] == "error: Unable to allocate 3 GB"
    assert explain(TypeError())[1] == "error: TypeError"
