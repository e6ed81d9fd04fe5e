"""Which part is which over frames: every order is tried, blurred parts have no say, and bad input is refused."""

from __future__ import annotations

from itertools import permutations, product

import pytest
import torch

from pyrodis.ops import match_parts, matching


def objective(looks: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """The sum over numbers of the squared length of the sum over frames, of one clip."""
    aligned = torch.stack([frame[row] for frame, row in zip(looks, order)])
    return aligned.sum(0).square().sum()


def shuffled(num_clips: int, num_frames: int, num_parts: int, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy looks of the same parts in a random order of every frame, and that order."""
    generator = torch.Generator().manual_seed(0)
    parts = torch.randn(num_clips, 1, num_parts, 12, generator=generator, dtype=torch.float64)
    looks = parts + noise * torch.randn(num_clips, num_frames, num_parts, 12, generator=generator, dtype=torch.float64)
    shown = torch.rand(num_clips, num_frames, num_parts, generator=generator).argsort(-1)
    return looks.gather(2, shown.unsqueeze(-1).expand_as(looks)), shown


@pytest.mark.parametrize(("num_frames", "num_parts"), [(1, 3), (2, 2), (4, 2), (20, 2), (5, 3), (3, 5)])
def test_parts_of_one_number_are_one_part(num_frames: int, num_parts: int) -> None:
    looks, shown = shuffled(16, num_frames, num_parts, noise=0.2)
    order = match_parts(looks)
    part = shown.gather(2, order)  # which part each number is in each frame
    assert torch.equal(part, part[:, :1].expand_as(part))
    first = torch.arange(num_parts).expand(16, num_parts)
    assert torch.equal(order[:, 0], first), "numbers are those of the first frame"


def test_the_objective_is_largest_nearly_always() -> None:
    looks = torch.randn(40, 4, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found, best = match_parts(looks), []
    for clip, order in zip(looks, found):
        every = [objective(clip, torch.tensor(rows)) for rows in product([*permutations(range(2))], repeat=4)]
        best.append(bool(objective(clip, order) >= max(every) - 1e-9))
    assert sum(best) >= 38, "of pure noise"


def test_of_two_frames_it_is_largest() -> None:
    looks = torch.randn(50, 2, 3, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for clip, order in zip(looks, match_parts(looks)):
        every = [objective(clip, torch.tensor([(0, 1, 2), rows])) for rows in permutations(range(3))]
        assert float(objective(clip, order)) == pytest.approx(float(max(every)))


def test_rounds_raise_the_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, found = torch.randn(30, 12, 2, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64), {}
    for num_rounds in (1, 2, 3):
        monkeypatch.setattr(matching, "_NUM_ROUNDS", num_rounds)
        found[num_rounds] = torch.stack([objective(*pair) for pair in zip(looks, match_parts(looks))])
    assert bool((found[2] >= found[1] - 1e-9).all())
    assert bool((found[3] >= found[2] - 1e-9).all())
    assert float((found[3] > found[1] + 1e-9).double().mean()) > 0.15
    monkeypatch.undo()
    again = torch.stack([objective(*pair) for pair in zip(looks, match_parts(looks))])
    torch.testing.assert_close(again, found[3])


def test_clips_do_not_mix_and_no_gradient_comes_back() -> None:
    looks, _ = shuffled(3, 4, 2, noise=1.0)
    assert torch.equal(match_parts(looks)[1:2], match_parts(looks[1:2]))
    assert not match_parts(looks.requires_grad_()).is_floating_point()
    fine = 100 + 0.01 * shuffled(20, 4, 2, noise=0.3)[0].float()  # alike in bfloat16
    found = match_parts(fine)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(match_parts(fine), found)


def test_a_frame_whose_parts_look_the_same_has_no_say() -> None:
    looks, shown = shuffled(8, 6, 2, noise=0.1)
    looks[:, 2] = 50.0  # both parts alike, however bright
    part = shown.gather(2, match_parts(looks))[:, [0, 1, 3, 4, 5]]
    assert torch.equal(part, part[:, :1].expand_as(part))


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 0, 2, 4), (2, 3, 2, 4, 4)])
def test_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"looks must have shape \(B, T, M, F\), none of them 0, got"):
        match_parts(torch.zeros(shape))


def test_refuses_many_parts() -> None:
    with pytest.raises(ValueError, match="looks may be of at most 6 parts, all orders of which are tried, got 7"):
        match_parts(torch.zeros(1, 2, 7, 1))
