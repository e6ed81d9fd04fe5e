"""Schedules as data: which components train, on which items, for how long."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Item", "Stage", "individual_stages", "tandem_stages", "together_stages"]

Item = int | str
"""A type of item, as the data name it: a digit, or "sphere"."""


@dataclass(frozen=True)
class Stage:
    """One training of some components, the others frozen.

    Frozen components still draw their part of the image and compete for its pixels, and nothing of theirs changes.

    Args:
        name: What to call it; part of the name of its directory.
        active: Components that train, from 0; all others are frozen.
        items: Types of the items that its images are made of.
        num_epochs: Passes over its data.
        learning_rate: Step size of the optimizer at its highest.
        max_steps: Stop after this many optimizer steps; None for the setting of the whole training.

    Raises:
        TypeError: If an argument has another type.
        ValueError: If the name cannot be part of a file's name, a number lies outside its range, or active or items are
            empty or name something twice.

    Example:
        >>> Stage("second", active=(1,), items=(0, 1), learning_rate=1e-4).items
        (0, 1)
        >>> Stage("second", active=(), items=(0, 1))
        Traceback (most recent call last):
            ...
        ValueError: stage 'second' must train at least one component, got active=()
    """

    name: str
    active: tuple[int, ...]
    items: tuple[Item, ...]
    num_epochs: int = 10
    learning_rate: float = 1e-3
    max_steps: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"the name of a stage must be a str, got {self.name!r}")
        if not self.name or not all(c.isalnum() or c in "-_" for c in self.name):
            raise ValueError(f"the name of a stage must be letters, digits, - and _, got {self.name!r}")
        object.__setattr__(self, "active", _as_tuple(self, "active", (int,)))
        object.__setattr__(self, "items", _as_tuple(self, "items", (int, str)))
        if not self.active:
            raise ValueError(f"stage {self.name!r} must train at least one component, got active=()")
        if min(self.active) < 0:
            raise ValueError(f"components are numbered from 0, stage {self.name!r} names {min(self.active)}")
        if not self.items:
            raise ValueError(f"stage {self.name!r} must have at least one item to train on, got items=()")
        for name in ("num_epochs", "max_steps"):
            value = getattr(self, name)
            if name == "max_steps" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} of stage {self.name!r} must be a whole number, got {value!r}")
            if value < 1:
                raise ValueError(f"{name} of stage {self.name!r} must be at least 1, got {value}")
        rate = self.learning_rate
        if isinstance(rate, bool) or not isinstance(rate, (int, float)):
            raise TypeError(f"learning_rate of stage {self.name!r} must be a number, got {rate!r}")
        if not (math.isfinite(rate) and rate > 0):
            raise ValueError(f"learning_rate of stage {self.name!r} must be finite and above 0, got {rate}")


def _as_tuple(stage: Stage, name: str, types: tuple[type, ...]) -> tuple:
    values = getattr(stage, name)
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise TypeError(f"{name} of stage {stage.name!r} must be a tuple, got {values!r}; e.g. (0, 1)")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, types):
            wanted = " or ".join(t.__name__ for t in types)
            raise TypeError(f"{name} of stage {stage.name!r} must hold {wanted}, got {value!r}")
    if len(set(values)) < len(values):
        raise ValueError(f"{name} of stage {stage.name!r} must differ, got {tuple(values)}; name each once")
    return tuple(values)


def individual_stages(
    num_components: int,
    num_epochs: int = 10,
    *,
    items: Sequence[Item] | None = None,
    learning_rate: float = 1e-3,
    max_steps: int | None = None,
) -> list[Stage]:
    """Return K stages: in stage k component k alone trains, on images of the items 0 to k.

    The components before it have learnt the items before, so that item k alone is left to it.

    Args:
        num_components: K.
        num_epochs: Epochs of each stage.
        items: The type of item of each component; None for 0 to K - 1.
        learning_rate: Of each stage.
        max_steps: Steps of each stage at most.

    Returns:
        The stages, in order.

    Raises:
        TypeError: If an argument has another type.
        ValueError: If K is not at least 1, items are not K, or an argument of a stage is outside its range.

    Source:
        Stavarache (2019), sections 3.1.1 and 4.1. Its list says in one place that VAE n trains on item n alone; its
        first steps and all of its experiments train on the items 0 to n, as here.

    Example:
        >>> [(stage.name, stage.active, stage.items) for stage in individual_stages(2)]
        [('train-0', (0,), (0,)), ('train-1', (1,), (0, 1))]
    """
    types = _item_types(num_components, items)
    return [
        Stage(f"train-{k}", (k,), types[: k + 1], num_epochs, learning_rate, max_steps) for k in range(num_components)
    ]


def together_stages(
    num_components: int,
    num_epochs: int = 10,
    *,
    items: Sequence[Item] | None = None,
    learning_rate: float = 1e-3,
    together_learning_rate: float = 1e-4,
    together_epochs: int | None = None,
    max_steps: int | None = None,
) -> list[Stage]:
    """Return the individual stages, and after each but the first one in which all components so far train together.

    In it the earlier components learn to stay silent where the new item is.

    Args:
        num_components: K.
        num_epochs: Epochs of each individual stage.
        items: The type of item of each component; None for 0 to K - 1.
        learning_rate: Of individual stages.
        together_learning_rate: Of the stages between.
        together_epochs: Epochs of the stages between; None for num_epochs.
        max_steps: Steps of each stage at most.

    Returns:
        The stages, in order, 2 K - 1.

    Raises:
        TypeError: If an argument has another type.
        ValueError: If K is not at least 1, items are not K, or an argument of a stage is outside its range.

    Source:
        Stavarache (2019), section 4.1.3, with its learning rates.

    Example:
        >>> [(stage.name, stage.active, stage.learning_rate) for stage in together_stages(2)]
        [('train-0', (0,), 0.001), ('train-1', (1,), 0.001), ('together-1', (0, 1), 0.0001)]
    """
    alone = individual_stages(num_components, num_epochs, items=items, learning_rate=learning_rate, max_steps=max_steps)
    epochs = num_epochs if together_epochs is None else together_epochs
    stages = alone[:1]
    for k, stage in enumerate(alone[1:], start=1):
        everyone = tuple(range(k + 1))
        stages += [stage, Stage(f"together-{k}", everyone, stage.items, epochs, together_learning_rate, max_steps)]
    return stages


def tandem_stages(
    num_components: int,
    num_rounds: int,
    num_epochs: int = 1,
    *,
    items: Sequence[Item] | None = None,
    learning_rate: float = 1e-3,
    max_steps: int | None = None,
) -> list[Stage]:
    """Return the individual stages round after round, each of them short.

    No component trains so long at once that it learns to be confident everywhere.

    Args:
        num_components: K.
        num_rounds: How often the individual stages are gone through.
        num_epochs: Epochs of each stage.
        items: The type of item of each component; None for 0 to K - 1.
        learning_rate: Of each stage.
        max_steps: Steps of each stage at most.

    Returns:
        The stages, in order, K times num_rounds.

    Raises:
        TypeError: If an argument has another type.
        ValueError: If K or num_rounds is not at least 1, items are not K, or an argument of a stage is outside its
            range.

    Source:
        Stavarache (2019), section 4.3.2, where one epoch is a fixed number of updates: give max_steps.

    Example:
        >>> [(stage.name, stage.items) for stage in tandem_stages(2, 2, items=("cylinder", "sphere"))][1:3]
        [('round-0-train-1', ('cylinder', 'sphere')), ('round-1-train-0', ('cylinder',))]
    """
    _check_count("num_rounds", num_rounds)
    types = _item_types(num_components, items)
    return [
        Stage(f"round-{r}-train-{k}", (k,), types[: k + 1], num_epochs, learning_rate, max_steps)
        for r in range(num_rounds)
        for k in range(num_components)
    ]


def _item_types(num_components: int, items: Sequence[Item] | None) -> tuple[Item, ...]:
    _check_count("num_components", num_components)
    if items is None:
        return tuple(range(num_components))
    if isinstance(items, str) or not isinstance(items, Sequence):
        raise TypeError(f"items must be a sequence of item types, got {items!r}; e.g. ('cylinder', 'sphere')")
    if len(items) != num_components:
        raise ValueError(
            f"items must name one type for each of the {num_components} components, got {tuple(items)}; "
            "the others have nothing to learn"
        )
    return tuple(items)


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number of at least 1, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value}")
