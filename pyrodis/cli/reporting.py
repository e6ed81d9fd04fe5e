"""What a command says: lines on what it does, and one sentence on what went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from pyrodis.options import explain


def say(line: str) -> None:
    """Write a line to standard output.

    Args:
        line: The line.

    Example:
        >>> say("3 clips")
        3 clips
    """
    typer.echo(line)


def complain(line: str) -> None:
    """Write a line to standard error.

    Args:
        line: The line.

    Example:
        >>> complain("left out: walk.mp4")
    """
    typer.echo(line, err=True)


@contextmanager
def one_sentence(command: str, debug: bool) -> Iterator[None]:
    """Turn an error that a user can mend into one sentence and an exit code.

    Args:
        command: What the sentence begins with.
        debug: Whether to let every error through, with its traceback.

    Raises:
        typer.Exit: With the code of `pyrodis.options.explain`.

    Example:
        >>> with one_sentence("pyrodis info", debug=False):
        ...     pass
    """
    try:
        yield
    except (KeyboardInterrupt, ValueError, TypeError, OSError, MemoryError, FloatingPointError) as error:
        if debug:
            raise
        code, sentence = explain(error)
        complain(f"{command}: {sentence}")
        raise typer.Exit(code) from error
