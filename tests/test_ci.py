"""`.ci/run` runs the test command of the README in a clean clone, reports every failure, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / ".ci" / "run"
# Stands for the real command: it makes the environment whose pip the documentation step calls.
PASSES = "mkdir -p .venv/bin && ln -s /bin/true .venv/bin/pip && pwd && env | sort"

pytestmark = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("bash", "git", "make", "awk")), reason="needs bash, git, make and awk"
)


def readme(*lines: str, marker: str = "<!-- test-command -->", fence: str = "```") -> str:
    return "\n".join(["# Title", "", "```bash", "false", "```", "", marker, f"{fence}bash", *lines, fence, ""])


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with the script, a README and a Makefile whose steps only say their names."""
    root = tmp_path / "workplace" / "checkout"
    (root / ".ci").mkdir(parents=True)
    shutil.copy(SCRIPT, root / ".ci" / "run")
    (root / "README.md").write_text(readme(PASSES), encoding="utf8")
    (root / "Makefile").write_text("lint types docs:\n\t@echo ran $@\n", encoding="utf8")
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    commit(root)
    return root


def commit(root: Path) -> None:
    person = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    subprocess.run(["git", *person, "commit", "--quiet", "-m", "state"], cwd=root, check=True)


def run(root: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    scratch = root.parents[1] / "scratch"
    scratch.mkdir(exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYRODIS_", "GIT_"))}
    environment |= {"TMPDIR": str(scratch), "PYTHONPATH": "/nowhere", **variables}
    command = ["bash", ".ci/run"]
    result = subprocess.run(
        command, cwd=root, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert list(scratch.iterdir()) == [], "left litter in the temporary folder"
    status = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, check=True)
    assert status.stdout == "", "left litter in the checkout"
    return result


def test_runs_the_command_and_every_step_in_a_clone(checkout: Path) -> None:
    result = run(checkout)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line for line in lines if line.startswith("ran ")] == ["ran lint", "ran types", "ran docs"]
    assert str(checkout) not in lines
    assert not [line for line in lines if line.startswith(("PYTHONPATH=", "PYRODIS_DATA="))]


def test_tests_what_is_committed(checkout: Path) -> None:
    (checkout / "marker").write_text("", encoding="utf8")
    (checkout / "README.md").write_text(readme(f"{PASSES} && test -e marker"), encoding="utf8")
    commit(checkout)
    assert run(checkout).returncode == 0
    subprocess.run(["git", "rm", "--quiet", "marker"], cwd=checkout, check=True)
    commit(checkout)
    assert run(checkout).returncode == 1


def test_finds_the_data_beside_the_checkout(checkout: Path) -> None:
    data = checkout.parent / "shared" / "data"
    data.mkdir(parents=True)
    assert f"PYRODIS_DATA={data}" in run(checkout).stdout.splitlines()
    assert "PYRODIS_DATA=/elsewhere" in run(checkout, PYRODIS_DATA="/elsewhere").stdout.splitlines()


def test_a_failing_command_fails_the_run(checkout: Path) -> None:
    (checkout / "README.md").write_text(readme(f"{PASSES} && false"), encoding="utf8")
    commit(checkout)
    assert run(checkout).returncode == 1


@pytest.mark.parametrize("step", ["lint", "types", "docs"])
def test_a_failing_step_fails_the_run_and_hides_no_other(checkout: Path, step: str) -> None:
    (checkout / "Makefile").write_text(f"lint types docs:\n\t@echo ran $@; test $@ != {step}\n", encoding="utf8")
    commit(checkout)
    result = run(checkout)
    assert result.returncode == 1
    assert result.stdout.count("ran ") == 3


@pytest.mark.parametrize(
    "text",
    [
        "# No command\n",
        readme(PASSES, marker="<!-- other-command -->"),
        readme(PASSES, "true"),
        readme(),
        readme(PASSES, fence="~~~"),
        readme(PASSES, marker="<!-- test-command -->\n"),
        readme(PASSES).rstrip().removesuffix("```"),
    ],
    ids=["no marker", "other marker", "two lines", "no line", "no fence", "a blank line between", "unclosed fence"],
)
def test_refuses_a_readme_without_one_marked_line(checkout: Path, text: str) -> None:
    (checkout / "README.md").write_text(text, encoding="utf8")
    commit(checkout)
    result = run(checkout)
    assert result.returncode == 1
    assert "README.md must have '<!-- test-command -->'" in result.stderr
    assert "ran lint" not in result.stdout
