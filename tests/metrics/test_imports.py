"""The package stays light: what it computes with is imported where it is used."""

from __future__ import annotations

import subprocess
import sys


def test_importing_the_metrics_loads_nothing_heavy() -> None:
    heavy = "{'sklearn', 'scipy', 'torchmetrics', 'matplotlib', 'lightning', 'pyro'}"
    code = (
        f"import sys, torch; old = set(sys.modules); import pyrodis.metrics; print({heavy} & (set(sys.modules) - old))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
