"""Rows of results that are collected batch by batch, in one tensor that is made once."""

from __future__ import annotations

from torch import Tensor


def keep_rows(table: dict[str, Tensor], name: str, index: Tensor, rows: Tensor, num: int) -> None:
    """Write the results of a batch to their places among those of all batches, on the CPU.

    Results that are kept in a list, batch after batch, lie between large tensors that are freed: the C library then can
    neither give their memory back nor use it again, and the process grows with every batch by about its frames.

    Args:
        table: Name to the results so far; is added to at the first batch.
        name: Name of the result.
        index: Numbers of the items of the batch (B).
        rows: Results (B, ...).
        num: N, number of all items.

    Example:
        >>> import torch
        >>> table = {}
        >>> for index in torch.arange(5).split(2):
        ...     keep_rows(table, "square", index, index.float() ** 2, num=5)
        >>> table["square"]
        tensor([ 0.,  1.,  4.,  9., 16.])
    """
    if name not in table:
        table[name] = rows.new_empty((num, *rows.shape[1:]), device="cpu")
    table[name][index] = rows.cpu()
