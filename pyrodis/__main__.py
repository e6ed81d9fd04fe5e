"""The command line, as `python -m pyrodis`."""

from __future__ import annotations

import sys

from pyrodis.cli.commands import main


def run() -> None:
    """Run the command line of this process, and end it with the exit code.

    Raises:
        SystemExit: Always: 0; 1 after an error; 2 after a wrong option; 130 after Ctrl-C.

    Example:
        >>> run()  # doctest: +SKIP
    """
    sys.exit(main())


if __name__ == "__main__":
    run()
