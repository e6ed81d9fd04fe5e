"""What every training script has in common on its command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["add_shared_options", "explain", "run_script"]

PRESETS = ("default", "best", "paper")
DEVICES = ("auto", "cpu", "cuda")


def add_shared_options(parser: argparse.ArgumentParser, script: str) -> None:
    """Add the options that all scripts share.

    They are ``--output``, ``--data-root``, ``--preset``, ``--seed``, ``--device``, ``--resume``, ``--overwrite``,
    ``--smoke-test`` and ``--debug``; their help states the defaults.

    Args:
        parser: The parser of a script.
        script: Name of the script, without ``.py``; the default output directory is ``runs/<script>``.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_shared_options(parser, "dsvae_sprites")
        >>> parser.parse_args(["--seed", "3"]).output
        PosixPath('runs/dsvae_sprites')
    """
    group = parser.add_argument_group("options of every script")
    add = group.add_argument
    output = Path("runs") / script
    add("--output", type=_path, default=output, metavar="DIR", help=f"directory of the run (default: {output})")
    add(
        "--data-root",
        type=_directory,
        metavar="DIR",
        help="where the data lies (default: the environment variable PYRODIS_DATA, else it is downloaded to a cache)",
    )
    add(
        "--preset",
        choices=PRESETS,
        default="default",
        help="default: minutes on two cores; best: our longer recipe, hours on two cores; paper: the document's "
        "own sizes, for a GPU (default: default)",
    )
    add("--seed", type=_seed, default=0, help="seed of weights, batches and noise (default: 0)")
    add("--device", choices=DEVICES, default="auto", help="auto takes a GPU where there is one (default: auto)")
    either = group.add_mutually_exclusive_group()
    either.add_argument("--resume", action="store_true", help="go on with the run in the output directory, exactly")
    either.add_argument("--overwrite", action="store_true", help="remove the run in the output directory, start again")
    add("--smoke-test", action="store_true", help="seconds, no data, no network; writes every file of a full run")
    add("--debug", action="store_true", help="show the whole traceback of an error")


def _seed(text: str) -> int:
    try:
        seed = int(text)
    except ValueError:
        seed = -1
    if not 0 <= seed < 2**63:  # what torch takes
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0 and below 2^63, got {text!r}")
    return seed


def _path(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError(f"must name a directory, got {text!r}; write . for the current one")
    return Path(text)


def _directory(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"must be a directory that exists, got {text!r}")
    return path


def run_script(
    main: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None
) -> int:
    """Run a script's main function, and say what a user can mend in one line instead of a traceback.

    At its end every run in the output directory gets its card, see `pyrodis.write_card`. The process keeps the memory
    of freed tensors, see `pyrodis.ops.keep_freed_memory`.

    Args:
        main: Takes the parsed options.
        parser: Parser with the shared options.
        arguments: The command line; None for that of the process.

    Returns:
        The exit code: 0; 1 after an error; 130 when the training was interrupted and saved. A wrong option ends the
        process with 2, as argparse does.

    Raises:
        Exception: With ``--debug``, any error as it came. Without it, errors that are no mistake of use.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_shared_options(parser, "example")
        >>> run_script(lambda options: None, parser, [])
        0
    """
    from pyrodis.infer.processes import end_processes
    from pyrodis.ops import keep_freed_memory

    options = parser.parse_args(arguments)
    keep_freed_memory()
    try:
        main(options)
        _write_cards(options.output)
        end_processes()
    except (KeyboardInterrupt, ValueError, TypeError, OSError, MemoryError, FloatingPointError) as error:
        if options.debug:
            raise
        code, sentence = explain(error)
        sys.stderr.write(f"{parser.prog}: {sentence}\n")
        return code
    return 0


def explain(error: BaseException) -> tuple[int, str]:
    """Return how a command ends after an error, and what it says of it.

    Args:
        error: An interruption, or an error that a user can mend.

    Returns:
        The exit code, 130 after an interruption and 1 after an error, and one line.

    Example:
        >>> explain(ValueError("size must be at least 8, got 3"))
        (1, 'error: size must be at least 8, got 3')
    """
    if isinstance(error, KeyboardInterrupt):
        return 130, _stopped(error)
    silent = "memory ran out; take smaller batches or clips" if isinstance(error, MemoryError) else type(error).__name__
    return 1, f"error: {' '.join(str(error).split()) or silent}"


def _write_cards(output: Path) -> None:
    from pyrodis.infer.card import find_runs, write_card

    for run in find_runs(output):
        write_card(run)


def _stopped(interruption: KeyboardInterrupt) -> str:
    """One line on an interruption; where and whether it saved is known for trainings alone."""
    epoch, step = getattr(interruption, "epoch", None), getattr(interruption, "step", None)
    if epoch is None or getattr(interruption, "checkpoint", None) is None:
        return str(interruption) or "interrupted"
    return f"stopped at epoch {epoch}, step {step}; continue with --resume"
