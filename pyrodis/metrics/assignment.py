"""Which latent dimension holds which group of factors: object or background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pyrodis.metrics._arrays import Array
from pyrodis.metrics._codes import CodeTable, check_num_items, code_table
from pyrodis.metrics.activity import activity, check_threshold
from pyrodis.metrics.factor_r2 import held_out_r2

DEAD, NOTHING = "dead", "none"


def explained_by_groups(
    codes: Array, factors: Array, groups: Mapping[str, Sequence[int]], seed: int = 0
) -> dict[str, np.ndarray]:
    r"""Variance of every latent dimension that each group of factors explains.

    :math:`R^2_d = 1 - \sum (z_d - \hat z_d(y_g))^2 / \sum (z_d - \bar z_d)^2` on a half of the items, with boosted
    trees on the factors of the group that learned on the other half: bent relations count as well. Of independent
    groups that act on a dimension one by one, the variances add up to at most 1.

    Args:
        codes: posterior means.
        factors: true factors of the same rows; integers are taken as numbers.
        groups: name of each group -> its columns of ``factors``.
        seed: seed of the halves.

    Shape:
        codes: (N, D) or (N, T, D); factors: (N, F) or (N, T, F). An item's frames stay in one half.

    Returns:
        Name of each group -> explained variances (D,), at most 1; at or below 0 where the group explains nothing.

    Raises:
        TypeError: no arrays of real numbers, or a column that is no integer.
        ValueError: shapes that do not fit, NaN, a factor that is constant, fewer than 20 items, or groups that are
            empty, out of range, or called "dead" or "none".

    Source:
        The coefficient of determination, as in :func:`pyrodis.metrics.factor_r2`, in the other direction.

    Example:
        >>> factors = np.random.default_rng(0).random((200, 2))
        >>> shares = explained_by_groups(factors, factors, {"object": [0], "background": [1]})
        >>> (shares["object"] > 0.9).tolist(), (shares["background"] > 0.9).tolist()
        ([True, False], [False, True])
    """
    table = code_table(codes, factors)
    check_num_items(table, 20, "half of them train a regressor")
    columns = _checked(groups, table)
    numbers = table.factors.astype(np.float64)
    return {name: held_out_r2(numbers[:, column], table.codes, table.num, seed) for name, column in columns.items()}


def assign_latents(
    codes: Array,
    factors: Array,
    groups: Mapping[str, Sequence[int]],
    threshold: float = 0.01,
    seed: int = 0,
) -> tuple[str, ...]:
    """Name the group of factors that explains most of each latent dimension.

    Args:
        codes: posterior means.
        factors: true factors of the same rows; integers are taken as numbers.
        groups: name of each group -> its columns of ``factors``.
        threshold: variance above which a dimension counts as live, as in :func:`pyrodis.metrics.active_units`.
        seed: seed of the halves that :func:`explained_by_groups` learns and scores on.

    Shape:
        codes: (N, D) or (N, T, D); factors: (N, F) or (N, T, F).

    Returns:
        D names: the group of the largest :func:`explained_by_groups`, "dead" for a dimension that does not vary, or
        "none" for one that varies with no group at all. A name says nothing of how much else the dimension holds.

    Raises:
        TypeError: as :func:`explained_by_groups`.
        ValueError: as :func:`explained_by_groups`, or a negative threshold.

    Source:
        None that we know of.

    Example:
        >>> factors = np.random.default_rng(0).random((200, 2))
        >>> codes = np.concatenate([9 * factors[:, ::-1], 0 * factors[:, :1]], axis=1)
        >>> assign_latents(codes, factors, {"object": [0], "background": [1]})
        ('background', 'object', 'dead')
    """
    check_threshold(threshold)
    explained = explained_by_groups(codes, factors, groups, seed)
    live = activity(codes) > threshold
    names, shares = list(explained), np.stack(list(explained.values()))
    best = [names[number] if share > 0 else NOTHING for number, share in zip(shares.argmax(0), shares.max(0))]
    return tuple(name if alive else DEAD for name, alive in zip(best, live))


def _checked(groups: Mapping[str, Sequence[int]], table: CodeTable) -> dict[str, list[int]]:
    if not groups or {DEAD, NOTHING} & set(groups):
        raise ValueError(
            f"groups must name at least one group, none of them {DEAD!r} or {NOTHING!r}, got {tuple(groups)}; "
            'write {"object": (0, 1), "background": (2, 3)}'
        )
    num = len(table.names)
    if not isinstance(groups, Mapping) or any(isinstance(columns, str) for columns in groups.values()):
        raise TypeError(f"groups must map names to columns of factors, got {groups!r}; e.g. {{'object': [0, 1]}}")
    for name, columns in groups.items():
        if any(isinstance(column, bool) or not isinstance(column, (int, np.integer)) for column in columns):
            raise TypeError(f"group {name!r} must hold column numbers, got {tuple(columns)}; pass integers")
        if len(columns) == 0 or min(columns) < 0 or max(columns) >= num:
            raise ValueError(
                f"group {name!r} must hold columns of factors, 0 to {num - 1}, got {tuple(columns)}; pass its columns"
            )
    return {name: [int(column) for column in columns] for name, columns in groups.items()}
