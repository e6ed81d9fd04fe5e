"""Components that learn slower the more they have to say."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

__all__ = ["SlowLearning"]


@dataclass(frozen=True)
class SlowLearning:
    r"""Slow down every component by its KL, so that one that has learnt its objects leaves the rest to the others.

    $$\eta_k = \eta \, 2^{-(m_k - m_0) / h}, \qquad m_k \leftarrow d \, m_k + (1 - d) \, \mathrm{KL}_k$$

    The learning rate of component k is that of the training times a factor that halves with every h nats of m_k, the
    running mean of its KL over batches, which starts at the first batch's. It multiplies the step: a factor on the loss
    or on the gradient would cancel under Adam, which divides gradients by their size.

    Give it to a training as ``FitSettings(slow_learning=SlowLearning(halving_kl=5.0))``. The history then has
    ``rate_factor.0`` and so on beside the KL of each component, ``train_kl_z.0`` and so on.

    Args:
        halving_kl: h, nats of KL that halve the rate.
        memory: d, in [0, 1): weight of the past in the running mean.
        above_least: Whether m_0 is the smallest running mean of the components that train, so that one of them always
            learns at the full rate; else it is 0, and a training in which all have much to say comes to rest. One in
            which all have so much to say from the start that they could not begin is refused at its first step.

    Raises:
        TypeError: If an argument has another type.
        ValueError: If halving_kl is not above 0, or memory outside of [0, 1).

    Source:
        Stavarache, "Multi-model disentanglement of object representations" (2019), which asks for weights that are
        costlier to update the higher the KL of their model is, and leaves open how; the form is ours.

    Example:
        >>> slow = SlowLearning(halving_kl=4.0)
        >>> slow.factors(slow.update([], [0.0, 4.0, 12.0]))
        [1.0, 0.5, 0.125]
    """

    halving_kl: float = 5.0
    memory: float = 0.99
    above_least: bool = False

    def __post_init__(self) -> None:
        for name in ("halving_kl", "memory"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError(f"{name} of SlowLearning must be a number, got {value!r}")
        if not (math.isfinite(self.halving_kl) and self.halving_kl > 0):
            raise ValueError(f"halving_kl must be a finite number of nats above 0, got {self.halving_kl}")
        if not 0 <= self.memory < 1:
            raise ValueError(f"memory must be in [0, 1), got {self.memory}; 0 forgets all but the last batch")
        if not isinstance(self.above_least, bool):
            raise TypeError(f"above_least must be True or False, got {self.above_least!r}")

    def update(self, means: Sequence[float], kl: Sequence[float]) -> list[float]:
        """Return the running means after a batch.

        Args:
            means: Running means before it, nats; empty before the first batch.
            kl: KL of each component on the batch, nats per datum.

        Returns:
            The running mean of each component, nats.
        """
        if not means:
            return [float(value) for value in kl]
        return [self.memory * mean + (1 - self.memory) * value for mean, value in zip(means, kl, strict=True)]

    def factors(self, means: Sequence[float], active: Collection[int] | None = None) -> list[float]:
        """Return what multiplies the learning rate of each component.

        Args:
            means: Running means of the KL, nats.
            active: Components that train, from 0; None for all. The means of the others set no least.

        Returns:
            A factor for each component, at most 1 (a KL below 0, as an estimate can be, counts as 0); that of a frozen
            one multiplies nothing.
        """
        counted = [mean for k, mean in enumerate(means) if active is None or k in active]
        least = min(counted, default=0.0) if self.above_least else 0.0
        return [2.0 ** (-max(0.0, mean - least) / self.halving_kl) for mean in means]
