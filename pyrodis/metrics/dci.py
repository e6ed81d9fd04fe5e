"""Disentanglement, completeness and informativeness: which latent dimensions a forest uses to predict which factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pyrodis.metrics._arrays import Array, check_count, entropy
from pyrodis.metrics._bootstrap import bootstrap_intervals
from pyrodis.metrics._codes import CodeTable, check_num_items, code_table
from pyrodis.metrics.score import Score, share_score

NUM_FOLDS = 5
T_QUANTILE = 2.7764451051977987  # 97.5 % of Student's t with NUM_FOLDS - 1 degrees of freedom


def dci(
    codes: Array,
    factors: Array,
    factor_names: Sequence[str] | None = None,
    num_trees: int = 20,
    max_items: int | None = None,
    seed: int = 0,
) -> dict[str, Score]:
    r"""Disentanglement, completeness and informativeness, from the importances of random forests.

    With :math:`R_{dj}` the importance of dimension d for factor j, disentanglement is
    :math:`\sum_d \rho_d (1 - H_F(R_{d\cdot}))`: 1 where every dimension serves one factor (:math:`H_F` is the entropy
    of the normalized row to base F, :math:`\rho_d` the share of d in all importances, 0 for a dead dimension).
    Completeness is :math:`\frac1F \sum_j (1 - H_D(R_{\cdot j}))`: 1 where one dimension serves each factor.
    Informativeness is how well the forests predict what they have not seen: :math:`R^2` of factors that are
    floating-point numbers, the share of hits for integer factors, which are classes.

    The items are cut into five parts. Forests learn on four of them and predict the fifth, five times, so that every
    item is predicted once; the importances are the mean of the five.

    Args:
        codes: posterior means.
        factors: true factors of the same rows, at least 2.
        factor_names: name of each factor; "factor_0" and so on by default.
        num_trees: trees of each of the five forests of a factor.
        max_items: more items than these are left out, by a draw; None takes them all. Forests are slow: 10,000 items
            of 10 dimensions and 5 factors take the better part of a minute.
        seed: seed of the draw, of the parts and of the forests.

    Shape:
        codes: (N, D) or (N, T, D), D at least 2; factors: (N, F) or (N, T, F). An item's frames stay together.

    Returns:
        "disentanglement" and "completeness", whose interval is a jackknife over the five parts (with Student's t,
        wide on purpose: the forests' own noise counts as well), and "informativeness" and "informativeness/<factor>",
        whose interval is over the items with the forests as they are. Chance is 0, and for the hits of a class the
        share of the most frequent one; the ceiling is 1.

    Raises:
        TypeError: no arrays of real numbers, or a count that is no integer.
        ValueError: shapes that do not fit, NaN, a factor that is constant, one factor or dimension, or fewer than 10
            items.

    Source:
        Eastwood and Williams, "A framework for the quantitative evaluation of disentangled representations", 2018.
        Theirs are a lasso and forests of tuned depth, and an error in place of informativeness. Locatello et al.,
        "Challenging common assumptions in the unsupervised learning of disentangled representations", 2019, use boosted
        trees, and weigh factors in the completeness by their share of all importances, which is the same unless a
        forest found nothing to split; from the same importances disentanglement and completeness are then equal to
        theirs. Here leaves hold at least five rows, nothing is tuned, and numbers differ between regressors.

    Example:
        >>> factors = np.random.default_rng(0).random((200, 2))
        >>> scores = dci(-factors, factors, num_trees=5)
        >>> scores["disentanglement"].value > 0.95, scores["informativeness"].value > 0.95
        (True, True)
    """
    table = code_table(codes, factors, factor_names)
    check_count(num_trees, "num_trees")
    if min(table.codes.shape[1], len(table.names)) < 2:
        raise ValueError(
            f"codes and factors must have at least 2 columns each, got {table.codes.shape[1]} and {len(table.names)}; "
            "one alone cannot be entangled"
        )
    if max_items is not None:
        check_count(max_items, "max_items")
        table = _some(table, max_items, seed)
    check_num_items(table, 2 * NUM_FOLDS, f"they are cut into {NUM_FOLDS} parts")
    importances, predictions = _cross_fit(table, num_trees, seed)
    scores = {
        name: _jackknifed(function(importances.mean(0)), np.array([function(fold) for fold in importances]), table.num)
        for name, function in (("disentanglement", _disentanglement), ("completeness", _completeness))
    }
    return scores | (_hits if table.discrete else _explained)(table, predictions, seed)


def _some(table: CodeTable, max_items: int, seed: int) -> CodeTable:
    """Return the table, or a draw of its items where it has more."""
    if table.num <= max_items:
        return table
    rows = table.rows_of(np.sort(np.random.default_rng([seed, 2]).permutation(table.num)[:max_items]))
    return replace(table, codes=table.codes[rows], factors=table.factors[rows], num=max_items)


def _cross_fit(table: CodeTable, num_trees: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the importances of every part's forests (folds, D, F) and the predictions of all rows (R, F)."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind: Any = RandomForestClassifier if table.discrete else RandomForestRegressor
    items = np.random.default_rng(seed).permutation(table.num)
    importances = np.zeros((NUM_FOLDS, table.codes.shape[1], len(table.names)))
    predictions = np.zeros(table.factors.shape, dtype=table.factors.dtype)
    for fold in range(NUM_FOLDS):
        unseen = table.rows_of(items[fold::NUM_FOLDS])
        seen = np.setdiff1d(np.arange(len(table.codes)), unseen)
        for j, column in enumerate(table.factors.T):
            forest = kind(num_trees, min_samples_leaf=5, max_features=None, random_state=seed, n_jobs=1)
            forest.fit(table.codes[seen], column[seen])
            importances[fold, :, j] = forest.feature_importances_
            predictions[unseen, j] = forest.predict(table.codes[unseen])
    return importances, predictions


def _disentanglement(importances: np.ndarray) -> float:
    of_dimension = importances.sum(axis=1)
    live = of_dimension > 0
    if not live.any():  # no forest found a split: no dimension serves a factor
        return 0.0
    rows = importances[live] / of_dimension[live, None]
    purity = 1 - entropy(rows) / np.log(importances.shape[1])
    return float((of_dimension[live] / of_dimension.sum()) @ purity)


def _completeness(importances: np.ndarray) -> float:
    of_factor = importances.sum(axis=0)
    found = of_factor > 0
    columns = importances / np.where(found, of_factor, 1.0)
    purity = 1 - entropy(np.ascontiguousarray(columns.T)) / np.log(len(importances))
    return float(np.where(found, purity, 0.0).mean())


def _jackknifed(value: float, folds: np.ndarray, num: int) -> Score:
    """Put the interval of leaving out one part at a time around a share, cut to [0, 1]."""
    half = T_QUANTILE * float(np.sqrt((len(folds) - 1) / len(folds) * ((folds - folds.mean()) ** 2).sum()))
    value = min(max(value, 0.0), 1.0)  # rounding alone
    return Score(value, max(0.0, value - half), min(1.0, value + half), chance=0.0, ceiling=1.0, num=num)


def _hits(table: CodeTable, predictions: np.ndarray, seed: int) -> dict[str, Score]:
    """Score classes by the share of each item's frames that are predicted right."""
    hits = table.per_item((predictions == table.factors).astype(np.float64)) / table.num_frames
    chances = [np.unique(column, return_counts=True)[1].max() / len(column) for column in table.factors.T]
    scores = {"informativeness": share_score(hits.mean(axis=1), float(np.mean(chances)))}
    columns = zip(table.names, hits.T, chances)
    return scores | {f"informativeness/{name}": share_score(column, float(chance)) for name, column, chance in columns}


def _explained(table: CodeTable, predictions: np.ndarray, seed: int) -> dict[str, Score]:
    return explained_scores(table, table.factors, predictions, "informativeness", 1000, seed)


def explained_scores(
    table: CodeTable, truth: np.ndarray, predictions: np.ndarray, prefix: str, num_resamples: int, seed: int
) -> dict[str, Score]:
    r"""Score predictions by the share of the variance that they explain.

    :math:`R^2 = 1 - \sum (y - \hat y)^2 / \sum (y - \bar y)^2` over all rows, below 0 where the mean predicts better.

    Args:
        table: where the rows are from; it says which of them belong to one item.
        truth: true factors of the rows that are scored, whole items.
        predictions: predicted factors of the same rows.
        prefix: name of the mean over the factors.
        num_resamples: size of the bootstrap over items.
        seed: seed of the bootstrap.

    Shape:
        truth, predictions: (R, F).

    Returns:
        "<prefix>" and "<prefix>/<factor>"; chance 0, ceiling 1.

    Raises:
        ValueError: a factor that is constant over these rows.
    """
    centered = truth - truth.mean(axis=0)
    squares = (centered**2).sum(axis=0)
    for name, square in zip(table.names, squares):
        if square == 0:
            raise ValueError(f"factors must vary in every half of the items, got a constant {name!r}; pass more items")
    sums = [table.per_item(values) for values in ((truth - predictions) ** 2, centered, centered**2)]

    def statistic(items: np.ndarray) -> np.ndarray:
        error, first, second = (values[items].sum(axis=0) for values in sums)
        total = second - first**2 / (len(items) * table.num_frames)
        varied = total > 1e-9 * squares  # a resample of equal items has no variance to explain
        explained = np.where(varied, 1 - error / np.where(varied, total, 1.0), 0.0)
        return np.concatenate([explained.mean(keepdims=True), explained])

    num = len(sums[0])
    values, lows, highs = bootstrap_intervals(statistic, np.zeros(num), num_resamples, seed)
    keys = [prefix, *(f"{prefix}/{name}" for name in table.names)]
    return {
        key: Score(value, low, high, chance=0.0, ceiling=1.0, num=num)
        for key, value, low, high in zip(keys, values, lows, highs)
    }
