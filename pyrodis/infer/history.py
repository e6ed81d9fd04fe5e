"""What a training measured, epoch by epoch."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["History"]


@dataclass(frozen=True)
class History:
    """The rows of a training, one an epoch, as history.csv holds them.

    A row maps a column to a number: ``epoch`` and ``step`` (both counted when the row was written), ``train_*`` and
    ``validation_*`` for each term and ``total`` (nats per datum; terms unweighted, the total weighted),
    ``kl_weight_*`` for each latent site, ``learning_rate`` and ``seconds``.

    Args:
        rows: The rows, oldest first.
        finished: ``"all steps"``, ``"early stop"``, or empty while the training is unfinished.
        best_epoch: Epoch of the lowest validation total; 0 without validation.

    Example:
        >>> rows = ({"epoch": 1, "train_nll": 3.0}, {"epoch": 2, "train_nll": 2.0})
        >>> History(rows, "all steps", best_epoch=0).column("train_nll")
        [3.0, 2.0]
    """

    rows: tuple[dict[str, float], ...]
    finished: str
    best_epoch: int

    def column(self, name: str) -> list[float]:
        """Return one column, oldest epoch first.

        Args:
            name: Name of the column.

        Returns:
            A number an epoch.

        Raises:
            KeyError: No row has such a column.
        """
        if not self.rows or name not in self.rows[0]:
            have = ", ".join(self.rows[0]) if self.rows else "none, no epoch has finished"
            raise KeyError(f"history has no column {name!r}; its columns are {have}")
        return [row[name] for row in self.rows]
