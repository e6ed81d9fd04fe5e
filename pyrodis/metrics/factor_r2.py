"""How much of each true factor can be computed from the codes, by a linear map and by boosted trees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyrodis.metrics._arrays import Array
from pyrodis.metrics._codes import check_num_items, code_table
from pyrodis.metrics.dci import explained_scores
from pyrodis.metrics.score import Score


def factor_r2(
    codes: Array,
    factors: Array,
    factor_names: Sequence[str] | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Score]:
    r"""Explained variance of every factor, given the codes, on items that the regressors have not seen.

    :math:`R^2 = 1 - \sum (y - \hat y)^2 / \sum (y - \bar y)^2` on a random half of the items; least squares, and
    boosted trees, learn on the other half. Linear below nonlinear means that the factor is there, but bent. Neither
    sees entanglement: a rotation of perfect codes scores 1 as well, so read it beside :func:`pyrodis.metrics.mig`.

    Args:
        codes: posterior means.
        factors: true factors of the same rows; integers are taken as numbers, so for classes without an order use
            :func:`pyrodis.metrics.probe_accuracy`.
        factor_names: name of each factor; "factor_0" and so on by default.
        num_resamples: size of the bootstrap.
        seed: seed of the halves and of the bootstrap.

    Shape:
        codes: (N, D) or (N, T, D); factors: (N, F) or (N, T, F). An item's frames stay in one half.

    Returns:
        "linear", "linear/<factor>", "nonlinear" and "nonlinear/<factor>"; chance 0, ceiling 1, and below 0 where the
        mean predicts better. The intervals are a bootstrap over the items of the second half.

    Raises:
        TypeError: no arrays of real numbers, or a count that is no integer.
        ValueError: shapes that do not fit, NaN, a factor that is constant, or fewer than 20 items.

    Source:
        The coefficient of determination; boosted trees are scikit-learn's on histograms, 100 of at most 8 leaves.

    Example:
        >>> factors = np.random.default_rng(0).random((200, 2))
        >>> scores = factor_r2(3 * factors - 1, factors, ("x", "y"), num_resamples=10)
        >>> round(scores["linear"].value, 6), 0.9 < scores["nonlinear/x"].value < 1
        (1.0, True)
    """
    table = code_table(codes, factors, factor_names)
    check_num_items(table, 20, "half of them train a regressor")
    seen, unseen = (table.rows_of(items) for items in _halves(table.num, seed))
    numbers = table.factors.astype(np.float64)
    scores: dict[str, Score] = {}
    for prefix, make in (("linear", _linear), ("nonlinear", boosted_trees)):
        fits = [make().fit(table.codes[seen], column[seen]) for column in numbers.T]
        predictions = np.stack([fit.predict(table.codes[unseen]) for fit in fits], axis=1)
        scores |= explained_scores(table, numbers[unseen], predictions, prefix, num_resamples, seed)
    return scores


def held_out_r2(inputs: np.ndarray, targets: np.ndarray, num_items: int, seed: int) -> np.ndarray:
    """Return the variance of each target (R, K) that boosted trees on the inputs (R, P) explain on the other half."""
    rows = np.arange(len(inputs)).reshape(num_items, -1)
    seen, unseen = (rows[items].ravel() for items in _halves(num_items, seed))
    predictions = [boosted_trees().fit(inputs[seen], column[seen]).predict(inputs[unseen]) for column in targets.T]
    truth = targets[unseen]
    total = ((truth - truth.mean(axis=0)) ** 2).sum(axis=0)
    error = ((truth - np.stack(predictions, axis=1)) ** 2).sum(axis=0)
    return np.where(total > 0, 1 - error / np.where(total > 0, total, 1.0), 0.0)


def boosted_trees() -> Any:
    """Return scikit-learn's boosted trees on histograms, which draw nothing at random without early stopping."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(max_leaf_nodes=8, early_stopping=False, random_state=0)


def _linear() -> Any:
    from sklearn.linear_model import LinearRegression

    return LinearRegression()


def _halves(num_items: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    items = np.random.default_rng(seed).permutation(num_items)
    return items[: num_items // 2], items[num_items // 2 :]
