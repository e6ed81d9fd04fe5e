"""Several processes that share every step of a training, as torchrun starts them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = [
    "any_process",
    "end_processes",
    "first_process",
    "joint_batch",
    "num_processes",
    "on_first_process",
    "sum_over_processes",
    "synchronized_batch_norm",
]

_Result = TypeVar("_Result")
_TIMEOUT = timedelta(minutes=30)  # others wait this long for a validation by the first


def num_processes() -> int:
    """Return how many processes torchrun started, on all nodes together.

    Returns:
        The number; 1 without torchrun.

    Example:
        >>> num_processes()
        1
    """
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def process_number() -> int:
    """Return the number of this process among them, from 0."""
    return int(os.environ["RANK"]) if num_processes() > 1 else 0


def processes_per_node() -> int:
    """Return how many of them run on this machine."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if num_processes() > 1 else 1


def first_process() -> bool:
    """Return whether this process is the one that writes: the only one, or the first of those that torchrun started.

    `pyrodis.fit` returns on every process, with the same weights. What a script does afterwards, such as scores and
    figures, is for the first alone: `if not first_process(): return`.

    Returns:
        True without torchrun.

    Example:
        >>> first_process()
        True
    """
    return process_number() == 0


def _join() -> None:
    if not distributed.is_initialized():
        distributed.init_process_group(timeout=_TIMEOUT)  # gloo for tensors on a CPU, NCCL for those on a GPU


def on_first_process(action: Callable[[], _Result]) -> _Result:
    """Do something on the first process, and return what it returned on all; an error is raised on all as well.

    Args:
        action: What to do; what it returns is sent, so it must be possible to pickle it.

    Returns:
        What the action returned.

    Example:
        >>> on_first_process(lambda: 3)
        3
    """
    if num_processes() == 1:
        return action()
    _join()
    box: list[Any] = [None]
    if first_process():
        try:
            box = [(action(), None)]
        except Exception as error:  # the others would wait for ever
            box = [(None, error)]
    distributed.broadcast_object_list(box, src=0)
    value, failure = box[0]
    if failure is not None:
        raise failure
    return value


def end_processes() -> None:
    """End what connects the processes, as the last thing that a script does under torchrun; nothing without it.

    Its threads are otherwise cut off when the interpreter ends, which may abort the process after its work is done.

    Example:
        >>> end_processes()
    """
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def any_process(flag: bool) -> bool:
    """Return whether a flag is set on any process, the same on all.

    Args:
        flag: Whether it is set on this one.

    Returns:
        True if it is set anywhere.

    Example:
        >>> any_process(False)
        False
    """
    if num_processes() == 1:
        return flag
    _join()
    return bool(sum_over_processes(torch.tensor(float(flag))) > 0)


def sum_over_processes(value: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes, without a gradient.

    Args:
        value: A tensor of the same shape on each.

    Returns:
        The sum, on the device of the value.

    Example:
        >>> sum_over_processes(torch.ones(2))
        tensor([1., 1.])
    """
    if num_processes() == 1:
        return value
    total = value.detach().clone()
    distributed.all_reduce(total)
    return total


class _Sum(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.contiguous().clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total


class _Joint(Mapping[str, Tensor]):
    """What a program returned on all processes, clip after clip; an entry is gathered when it is first read."""

    def __init__(self, output: Mapping[str, Tensor]) -> None:
        self._output = output
        self._gathered: dict[str, Tensor] = {}
        self.first = self.last = 0

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._gathered:
            self._gathered[name] = self._gather(self._output[name])
        return self._gathered[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._output)

    def __len__(self) -> int:
        return len(self._output)

    def _gather(self, own: Tensor) -> Tensor:
        counts = torch.zeros(distributed.get_world_size(), dtype=torch.long)
        counts[distributed.get_rank()] = len(own)
        distributed.all_reduce(counts)
        self.first = int(counts[: distributed.get_rank()].sum())
        self.last = self.first + len(own)
        before, after = own.new_zeros(self.first, *own.shape[1:]), int(counts.sum()) - self.last
        joint: Tensor = _Sum.apply(torch.cat([before, own, own.new_zeros(after, *own.shape[1:])]))
        return joint


def joint_batch(
    penalty: Callable[[Mapping[str, Tensor]], Tensor],
) -> Callable[[Mapping[str, Tensor]], Tensor]:
    r"""Give a penalty that couples the clips of a batch those of all processes, not only those of its own.

    Without it `barlow_twins` would correlate the clips of one process with each other. With it, value and gradient are
    those of one process that has the whole batch. Without several processes, or without gradients (a validation or a
    query, which one process makes by itself), the penalty sees what it would see anyway.

    What couples clips elsewhere is not reached: of several processes, `Contrast`, `MutualInformation` and
    `TotalCorrelation` compare a clip with those of its own process. With `FitSettings(accumulation=...)` a batch is
    that of one part.

    Args:
        penalty: For `pyrodis.add_penalty`: maps the dict that a program returns to one value per datum. Each entry that
            it reads has the clips at dimension 0.

    Shape:
        the penalty's value: (B).

    Returns:
        A penalty that gathers each entry which is read, differentiably, and returns the values of its own clips.

    Raises:
        ValueError: On use, if a penalty on several processes reads no entry, or gives another number of values.

    Example:
        >>> from pyrodis.regularizers import barlow_twins
        >>> def twins(output):
        ...     return barlow_twins(output["what_frames"][:, 0], output["what_frames"][:, 1])
        >>> joint_batch(twins)({"what_frames": torch.randn(8, 2, 3)}).shape
        torch.Size([8])
    """

    def joint(output: Mapping[str, Tensor]) -> Tensor:
        several = distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
        if not (several and torch.is_grad_enabled()):
            return penalty(output)
        gathered = _Joint(output)
        values = penalty(gathered)
        if values.ndim != 1 or len(values) < gathered.last or gathered.last == 0:
            raise ValueError(
                f"a penalty of the joint batch must read an entry and return one value per clip, shape (B), got shape "
                f"{tuple(values.shape)}"
            )
        return values[gathered.first : gathered.last]

    return joint


@contextmanager
def synchronized_batch_norm(*programs: nn.Module) -> Iterator[None]:
    """Let batch normalizations use the statistics of all processes inside, by torch's `SyncBatchNorm`, for GPUs alone.

    After it the programs hold the modules that they held before, with the running statistics of those inside.

    Args:
        programs: The modules whose batch normalizations are exchanged.

    Yields:
        Nothing.

    Example:
        >>> network = nn.Sequential(nn.BatchNorm1d(2))
        >>> with synchronized_batch_norm(network):
        ...     type(network[0]).__name__
        'SyncBatchNorm'
        >>> type(network[0]).__name__
        'BatchNorm1d'
    """
    inside: dict[_BatchNorm, nn.Module] = {}
    exchanged: list[tuple[nn.Module, str, _BatchNorm]] = []
    for program in programs:
        for parent in list(program.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, _BatchNorm) and not isinstance(child, nn.SyncBatchNorm):
                    inside.setdefault(child, nn.SyncBatchNorm.convert_sync_batchnorm(child))
                    setattr(parent, name, inside[child])
                    exchanged.append((parent, name, child))
    try:
        yield
    finally:
        for parent, name, child in exchanged:
            child._buffers.update(inside[child]._buffers)  # what moves a module makes new buffers
            child.train(inside[child].training)
            setattr(parent, name, child)
