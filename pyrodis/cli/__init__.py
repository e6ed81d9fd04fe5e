"""The command line: train on a folder of videos, exchange codes, draw, score and export, without a line of code.

`pyrodis --help` and `python -m pyrodis --help` are the same. Only the command that runs imports what it needs.
"""

from pyrodis.cli.commands import app, main

__all__ = ["app", "main"]
