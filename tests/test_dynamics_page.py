"""The code on the page of eigenvalues runs, block after block, and its numbers are right."""

from __future__ import annotations

import re
from pathlib import Path

import torch

PAGE = Path(__file__).resolve().parents[1] / "docs" / "concepts" / "dynamics.md"


def test_the_code_of_the_page_runs() -> None:
    torch.manual_seed(0)
    blocks = re.findall(r"^```python\n(.+?)^```$", PAGE.read_text(encoding="utf8"), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) > 5
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["draws"].shape == (50, 2, 9, 4)  # type: ignore[attr-defined]
    torch.testing.assert_close(names["gamma"], torch.tensor([0.05, 0.10, 0.15, 0.20]))


def test_the_page_is_in_the_index() -> None:
    assert "\ndynamics\n" in (PAGE.parent / "index.md").read_text(encoding="utf8")


def test_what_one_step_says_of_its_eigenvalue() -> None:
    """The means that the page names, by quadrature over the cosine of an angle."""
    angle = torch.linspace(0, torch.pi, 20_003, dtype=torch.float64)[1:-1]
    grid, share = angle.cos(), (torch.arange(100, dtype=torch.float64) + 0.5) / 100
    code = torch.distributions.Normal(0, 1).icdf(share).unsqueeze(-1)
    prior = -2 * (1 - grid) + angle.sin().log()
    still = torch.distributions.Normal(grid * code, angle.sin()).log_prob(code)
    assert round(float(((prior + still).softmax(-1) * grid).sum(-1).mean()), 2) == 0.76
    assert round(float((prior.softmax(-1) * grid).sum()), 2) == 0.54
