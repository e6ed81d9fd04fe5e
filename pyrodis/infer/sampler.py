"""Batches and noise as pure functions of the seed and the step, so that a resumed training repeats them exactly."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils.data import Sampler

__all__ = ["StepBatchSampler", "derive_seed", "seed_noise", "seeded"]


def derive_seed(*key: int | str) -> int:
    """Return a seed of 63 bits that is a function of a key, and unlike that of any other key.

    Args:
        key: Whole numbers and words, in order.

    Returns:
        A seed for a torch generator.

    Example:
        >>> derive_seed(0, "noise", 1) == derive_seed(0, "noise", 1), derive_seed(0, "noise", 1) == derive_seed(0, 1)
        (True, False)
    """
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def seed_noise(device: torch.device, *key: int | str) -> None:
    """Seed torch's generators of the CPU and of one device from a key.

    Args:
        device: The device that draws.
        key: As for :func:`derive_seed`.

    Example:
        >>> seed_noise(torch.device("cpu"), 0, "noise", 7); a = torch.randn(2)
        >>> seed_noise(torch.device("cpu"), 0, "noise", 7); torch.equal(a, torch.randn(2))
        True
    """
    _seed(device, derive_seed(*key))


def _seed(device: torch.device, seed: int) -> None:
    torch.default_generator.manual_seed(seed)  # torch.manual_seed formats a stack trace at each call without CUDA
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Seed torch's generators of the CPU and of one device for a while; afterwards they are as they were.

    `torch.manual_seed` would seed the generators of all devices, and `torch.random.fork_rng` keep those of the named.

    Args:
        device: The device that draws.
        seed: The seed.

    Example:
        >>> state = torch.get_rng_state()
        >>> with seeded(torch.device("cpu"), 0):
        ...     a = torch.randn(2)
        >>> torch.equal(torch.get_rng_state(), state)
        True
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        _seed(device, seed)
        yield


class StepBatchSampler(Sampler[list[int]]):
    """All batches of a training from one step on, in one pass over all epochs.

    Epoch e visits every item once, in the order of a permutation drawn from (seed, e); step s is batch s mod n of epoch
    s // n, where n batches make an epoch. So what a step sees does not depend on where the pass started.

    Args:
        num_items: Items of the data set.
        batch_size: Items a batch; the last batch of an epoch may be smaller.
        seed: Seed of the permutations.
        first_step: Step to start from.
        num_steps: Steps of the whole training.
        process: Number of this process, from 0, where several share each batch; it gets every item whose position in
            the batch leaves this rest.
        num_processes: How many share each batch.
        num_parts: Batches that each process makes of its share, one after the other.

    Raises:
        ValueError: An argument lies outside its range, or a batch has fewer items than processes and parts together.

    Example:
        >>> whole = list(StepBatchSampler(5, 2, seed=0, first_step=0, num_steps=6))
        >>> whole[4:] == list(StepBatchSampler(5, 2, seed=0, first_step=4, num_steps=6))
        True
    """

    def __init__(
        self,
        num_items: int,
        batch_size: int,
        seed: int,
        first_step: int,
        num_steps: int,
        *,
        process: int = 0,
        num_processes: int = 1,
        num_parts: int = 1,
    ) -> None:
        if num_items < 1:
            raise ValueError(f"num_items must be at least 1, got {num_items}; the training set is empty")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if not 0 <= first_step <= num_steps:
            raise ValueError(f"first_step must be in [0, {num_steps}], got {first_step}")
        self.num_items = num_items
        self.batch_size = batch_size
        self.seed = seed
        self.first_step = first_step
        self.num_steps = num_steps
        self.process = process
        self.num_processes = num_processes
        self.num_parts = num_parts
        self._check_shares()

    def _check_shares(self) -> None:
        smallest = self.num_in_step(self.steps_per_epoch - 1)
        if smallest < self.num_shares:
            raise ValueError(
                f"each of {self.num_processes} processes and {self.num_parts} parts needs an item of every batch, but "
                f"the last batch of an epoch has {smallest} of {self.num_items}; choose another batch_size than "
                f"{self.batch_size}, or leave items out"
            )

    @property
    def num_shares(self) -> int:
        """Into how many a batch is divided, over processes and parts."""
        return self.num_processes * self.num_parts

    def num_in_step(self, step: int) -> int:
        """Return the items of the whole batch of a step, over all processes and parts.

        Args:
            step: The step, from 0.

        Returns:
            The number of items.
        """
        position = step % self.steps_per_epoch
        return min(self.batch_size, self.num_items - position * self.batch_size)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of one epoch."""
        return math.ceil(self.num_items / self.batch_size)

    def __len__(self) -> int:
        return (self.num_steps - self.first_step) * self.num_parts

    def __iter__(self) -> Iterator[list[int]]:
        order: list[int] = []
        drawn = -1
        for step in range(self.first_step, self.num_steps):
            epoch, position = divmod(step, self.steps_per_epoch)
            if epoch != drawn:
                generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", epoch))
                order, drawn = torch.randperm(self.num_items, generator=generator).tolist(), epoch
            batch = order[position * self.batch_size : (position + 1) * self.batch_size]
            for part in range(self.num_parts):
                yield batch[part * self.num_processes + self.process :: self.num_shares]
