"""Supervised controls: what a network can learn at all when it is told the factors."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence, Sized
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from pyrodis.infer.history import History
from pyrodis.infer.interruption import StopRequest, TrainingInterrupted
from pyrodis.infer.sampler import StepBatchSampler
from pyrodis.ops import check_positive_int, check_positive_number

__all__ = ["fit_supervised"]

NUM_ROWS = 20
WARMUP = 0.05  # share of the steps over which the learning rate rises


def fit_supervised(
    network: nn.Module,
    train: Dataset[Any],
    inputs: str = "x",
    targets: str = "factors",
    num_steps: int = 5000,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> History:
    r"""Train a network to give one entry of the items from another, by squared error.

    $$\frac{1}{BN} \sum_{b,i} \big(\mathrm{network}(a_b)_i - c_{b,i}\big)^2$$

    Frames to factors (the default) is the control of an encoder: what it cannot learn when it is told, no guide that is
    built on it can. `inputs="factors", targets="x"` is the control of a decoder. Nothing of a run with labels may be
    compared with an unsupervised one as its equal.

    The mean is over the N numbers of a target too. Adam; the learning rate rises over the first 5 % of the steps and
    falls to nothing along a cosine. Ctrl-C or SIGTERM stops after a whole step and leaves the network as it is then.

    Args:
        network: The network, on the device and in the precision to train in.
        train: Data set of dict items.
        inputs: Entry of an item that the network reads.
        targets: Entry of an item that it should give, of the shape of its output.
        num_steps: Optimizer steps.
        batch_size: Items a step; the last batch of a pass may be smaller.
        learning_rate: Step size of Adam at its highest.
        seed: Seed of the batches; weights are made before.
        report: Is called with a line of progress twenty times.

    Returns:
        Twenty rows (fewer for fewer steps): passes over the data as "epoch", "step", "train_squared_error" as its mean
        since the row before, and "seconds".

    Raises:
        TypeError: If `train` has no length, or a number is of another type.
        ValueError: If items have no such entries, the network's output has another shape than the target, it has no
            parameter to train, or a number is out of range.
        FloatingPointError: If the error becomes infinite or NaN.
        TrainingInterrupted: If the training was asked to stop.

    Source:
        The supervised control of Zaharia and Peters, "Analyzing disentanglement of visual objects in semi-supervised
        neural networks"; theirs is of the encoder.

    Example:
        >>> items = [{"x": torch.tensor([float(i)]), "factors": torch.tensor([2.0 * i])} for i in range(4)]
        >>> network = nn.Linear(1, 1)
        >>> history = fit_supervised(network, items, num_steps=300, learning_rate=0.1)
        >>> abs(network(torch.tensor([3.0])).item() - 6) < 0.5
        True
    """
    check_positive_number("learning_rate", learning_rate)
    loader, per_epoch = _loader(train, inputs, targets, check_positive_int("num_steps", num_steps), batch_size, seed)
    trained = [p for p in network.parameters() if p.requires_grad]
    if not trained:
        raise ValueError("network must have a parameter to train, got none; unfreeze one with requires_grad_(True)")
    optimizer = torch.optim.Adam(trained, lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, num_steps))
    rows: list[dict[str, float]] = []
    marks = {math.ceil((k + 1) * num_steps / NUM_ROWS) for k in range(NUM_ROWS)}
    since, total, start = 0, torch.zeros((), device=trained[0].device), time.perf_counter()
    network.train()
    request = StopRequest()
    with request.watch():
        for step, (source, target) in enumerate(loader, start=1):
            error = _squared_error(network(source.to(trained[0])), target.to(trained[0]), targets)
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            schedule.step()
            total, since = total + error.detach(), since + 1
            if step in marks:
                mean = total.item() / since
                if not math.isfinite(mean):
                    raise FloatingPointError(f"the squared error became {mean} by step {step}; lower learning_rate")
                seconds = time.perf_counter() - start
                row = {"epoch": step / per_epoch, "step": step, "train_squared_error": mean, "seconds": seconds}
                rows.append(row)
                report(f"supervised: step {step} of {num_steps}, squared error {mean:.3g}, {seconds:.0f} s")
                since, total = 0, torch.zeros_like(total)
            if request.asked and step < num_steps:
                network.eval()
                raise TrainingInterrupted(math.ceil(step / per_epoch), step, None)
    network.eval()
    return History(tuple(rows), "all steps", best_epoch=0)


def _loader(
    train: Any, inputs: str, targets: str, num_steps: int, batch_size: int, seed: int
) -> tuple[DataLoader[Any], int]:
    """Return batches of pairs, and the number of them in one pass."""
    if not hasattr(train, "__getitem__") or not hasattr(train, "__len__"):
        raise TypeError(f"train must be a data set with a length, got {type(train).__name__}")
    check_positive_int("batch_size", batch_size)
    sampler = StepBatchSampler(len(cast(Sized, train)), batch_size, seed, 0, num_steps)
    item = train[0]
    for name, key in (("inputs", inputs), ("targets", targets)):
        if not isinstance(item, dict) or not isinstance(item.get(key), Tensor):
            has = sorted(item) if isinstance(item, dict) else type(item).__name__
            raise ValueError(f"{name} must name a tensor of the items, got {key!r} where an item has {has}")

    def pair(items: Sequence[dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
        return torch.stack([item[inputs] for item in items]), torch.stack([item[targets] for item in items])

    return DataLoader(train, batch_sampler=sampler, collate_fn=pair), sampler.steps_per_epoch


def _squared_error(output: Tensor, target: Tensor, name: str) -> Tensor:
    if output.shape != target.shape:
        raise ValueError(
            f"the network must return the shape of '{name}', {tuple(target.shape)}, got {tuple(output.shape)}; "
            "end it with a layer of that size"
        )
    return nn.functional.mse_loss(output, target)


def _rate(step: int, num_steps: int) -> float:
    """Return the learning rate of a step as a fraction of its highest."""
    rise = min(1.0, (step + 1) / max(1.0, WARMUP * num_steps))
    return rise * 0.5 * (1 + math.cos(math.pi * min(1.0, step / num_steps)))
