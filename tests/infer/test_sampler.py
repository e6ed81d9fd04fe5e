"""Batches and noise follow from the seed and the step alone."""

from __future__ import annotations

import pytest
import torch

from pyrodis.infer.sampler import StepBatchSampler, derive_seed, seed_noise


def test_an_epoch_visits_every_item_once_and_epochs_differ() -> None:
    batches = list(StepBatchSampler(11, 4, seed=3, first_step=0, num_steps=6))
    first, second = ([index for batch in batches[i : i + 3] for index in batch] for i in (0, 3))
    assert [len(batch) for batch in batches] == [4, 4, 3] * 2
    assert sorted(first) == sorted(second) == list(range(11))
    assert first != second


@pytest.mark.parametrize("first_step", [1, 3, 5, 9])
def test_batches_do_not_depend_on_where_the_pass_started(first_step: int) -> None:
    whole = list(StepBatchSampler(11, 4, seed=3, first_step=0, num_steps=9))
    rest = StepBatchSampler(11, 4, seed=3, first_step=first_step, num_steps=9)
    assert list(rest) == whole[first_step:]
    assert len(rest) == 9 - first_step


def test_another_seed_gives_another_order() -> None:
    a, b = (list(StepBatchSampler(50, 50, seed=seed, first_step=0, num_steps=1)) for seed in (0, 1))
    assert a != b


def test_drawing_batches_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    list(StepBatchSampler(5, 2, seed=0, first_step=0, num_steps=3))
    assert torch.equal(before, torch.get_rng_state())


def test_seeds_of_different_keys_differ_and_stay_the_same_between_versions() -> None:
    keys = [(0, "noise", step, 0) for step in range(200)] + [(1, "noise", 0, 0), (0, "noise", 0, 1), (0, "order", 0)]
    assert len({derive_seed(*key) for key in keys}) == len(keys)
    assert derive_seed(0, "order", 0) == 2094333682667709378


def test_noise_repeats_for_a_key() -> None:
    draws = []
    with torch.random.fork_rng():
        for step in (4, 5, 4):
            seed_noise(torch.device("cpu"), 0, "noise", step)
            draws.append(torch.randn(3))
    assert torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0], draws[1])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((0, 4, 0, 0, 1), "num_items must be at least 1, got 0; the training set is empty"),
        ((5, 0, 0, 0, 1), "batch_size must be at least 1, got 0"),
        ((5, 2, 0, 7, 6), r"first_step must be in \[0, 6\], got 7"),
    ],
)
def test_bad_arguments(arguments: tuple[int, ...], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        StepBatchSampler(*arguments)
