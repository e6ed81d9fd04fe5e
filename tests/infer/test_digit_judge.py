"""The judge of moving digits: how it counts groups, that it learns, and when it may not judge."""

from __future__ import annotations

from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import pytest
import torch

from pyrodis.datasets import BundledDigits, MixedItems, MovingDigits
from pyrodis.infer import DigitJudge, train_digit_judge
from pyrodis.infer.digit_judge import digit_judge_accuracies

DIGITS = BundledDigits()
TWO = MixedItems([(DIGITS, 0), (DIGITS, 1)])


def tiny(**options: Any) -> DigitJudge:
    torch.manual_seed(0)
    return DigitJudge((1, 32, 32), **{"base_channels": 2, **options}).eval()


@pytest.mark.parametrize(("num_types", "num_digits"), [(10, 2), (3, 3), (4, 1)])
def test_groups_are_counted_in_any_order(num_types: int, num_digits: int) -> None:
    judge = tiny(num_types=num_types, num_digits=num_digits)
    groups = list(combinations_with_replacement(range(num_types), num_digits))
    assert [tuple(row) for row in judge.groups.tolist()] == groups
    assert torch.equal(judge.group_number(judge.groups), torch.arange(len(groups)))
    assert torch.equal(judge.group_number(judge.groups.flip(-1)), torch.arange(len(groups)))


def test_a_group_has_the_sum_of_the_scores_of_its_counts() -> None:
    judge = tiny(num_types=3)
    frames = torch.rand(2, 1, 32, 32)
    log_probs, centers = judge(frames)
    scores = judge.scores(judge._hidden(frames)).unflatten(1, (3, 2))
    for i in range(2):
        logits = []
        for a, b in combinations_with_replacement(range(3), 2):
            logits.append(scores[i, a, 1] if a == b else scores[i, a, 0] + scores[i, b, 0])
        assert torch.allclose(log_probs[i], torch.stack(logits).log_softmax(0), atol=1e-5)
    assert centers.shape == (2, 2, 2)


def test_a_clip_is_read_by_the_mean_of_its_frames() -> None:
    judge = tiny()
    x = torch.rand(2, 4, 1, 32, 32)
    reading, (log_probs, centers) = judge.read(x), judge(x)
    assert torch.equal(reading.groups, log_probs.mean(1).argmax(-1))
    assert torch.equal(reading.frame_groups, log_probs.argmax(-1))
    assert torch.allclose(reading.centers, centers)
    assert reading.features.shape == (2, 128)


def judge_of(tmp_path: Path, **options: Any) -> tuple[DigitJudge, dict[str, float], list[str]]:
    lines: list[str] = []
    train = MovingDigits(TWO, num_sequences=2500, num_frames=1, size=48)
    test = MovingDigits(TWO, split="test", num_sequences=40, num_frames=4, size=48)
    settings = {"required_accuracy": 0.7, "allowed_error": 5.0, "cache": tmp_path, "report": lines.append} | options
    return *train_digit_judge(settings.pop("train", train), settings.pop("test", test), **settings), lines


def test_a_judge_learns_and_is_trained_once(tmp_path: Path) -> None:
    judge, measured, lines = judge_of(tmp_path)
    assert measured["clip"] >= 0.7, "three groups: one half is chance"
    assert measured["centroid_error"] < 5.0
    assert set(measured) == {"clip", "frame", "apart", "centroid_error"}
    again, same, quiet = judge_of(tmp_path)
    assert (same, quiet, again.training) == (measured, [], False)
    assert len(lines) >= 20
    other = MovingDigits(TWO, split="validation", num_sequences=10, num_frames=2, size=48)
    _, elsewhere, quiet = judge_of(tmp_path, test=other, required_accuracy=0.0, allowed_error=99.0)
    assert quiet == []
    assert elsewhere == pytest.approx(digit_judge_accuracies(judge, other))
    with pytest.raises(ValueError, match=r"the judge reads the digits of .* worse than 1\.01 and 5\.0, so it may not"):
        judge_of(tmp_path, required_accuracy=1.01)
    with pytest.raises(ValueError, match="so it may not judge"):
        judge_of(tmp_path, allowed_error=0.01)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DigitJudge((1, 30, 30)), "a multiple of 8 of at least 32, got"),
        (lambda: DigitJudge((1, 64, 32)), "H = W"),
        (lambda: DigitJudge(num_digits=5), "num_digits must be at most 4, got 5"),
        (lambda: tiny().group_number(torch.zeros(3, 1, dtype=torch.int64)), r"types must have shape \(\.\.\., 2\)"),
        (lambda: tiny().group_number(torch.tensor([3, 10])), r"types must lie in \[0, 10\), got 3 to 10"),
        (lambda: tiny().read(torch.zeros(2, 1, 32, 32)), "x must have shape"),
        (lambda: train_digit_judge(MovingDigits(), MovingDigits(TWO)), "the same num_types, got 10 and 2"),
        (lambda: train_digit_judge(MovingDigits(), MovingDigits(num_digits=1)), "the same num_digits, got 2 and 1"),
    ],
)
def test_refuses(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
