"""Separated attribute predictability: does one latent dimension alone predict each factor?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyrodis.metrics._arrays import Array
from pyrodis.metrics._bootstrap import bootstrap_errors
from pyrodis.metrics._codes import CodeTable, chance_level, check_num_items, code_table, share_scores, with_mean
from pyrodis.metrics._moments import weighted_correlations
from pyrodis.metrics.score import Score


def sap(
    codes: Array,
    factors: Array,
    factor_names: Sequence[str] | None = None,
    num_resamples: int = 200,
    seed: int = 0,
) -> dict[str, Score]:
    r"""Gap between the two latent dimensions that best predict a factor by themselves, and the mean over factors.

    :math:`S_{(1)j} - S_{(2)j}`, the largest less the second largest of the scores :math:`S_{dj}` of all dimensions. For
    factors that are floating-point numbers :math:`S_{dj} = \mathrm{corr}(z_d, y_j)^2` over all items. For integer
    factors, which are classes, it is the share of hits of a linear support vector machine that sees dimension d alone;
    it learns on a random half of the items and is scored on the other half.

    1 would be one dimension that predicts a factor without error and no other that predicts any of it. For classes
    that is out of reach: a dimension that knows nothing still hits one class, so perfect codes of K even classes score
    about 1 - 1 / K, and no more where a line through one dimension cannot tell the classes apart, as with K > 2 classes
    in the order of their numbers, of which the middle ones have no half-line of their own.

    Args:
        codes: posterior means.
        factors: true factors of the same rows.
        factor_names: name of each factor; "factor_0" and so on by default.
        num_resamples: size of the bootstrap.
        seed: seed of the halves, of the bootstrap and of the chance level.

    Shape:
        codes: (N, D) or (N, T, D), D at least 2; factors: (N, F) or (N, T, F). An item's frames stay in one half.

    Returns:
        "sap" and "sap/<factor>", in [0, 1]; the ceiling is 1, chance the mean over three runs in which the factors go
        to other items. The intervals are 1.96 standard deviations of the bootstrap over items, for classes over those
        of the second half with the machines as they are, cut to [0, 1].

    Raises:
        TypeError: no arrays of real numbers, or a count that is no integer.
        ValueError: shapes that do not fit, NaN, a factor that is constant (in the first half), one dimension, fewer
            than 4 items or 2 resamples.

    Source:
        Kumar, Sattigeri and Balakrishnan, "Variational inference of disentangled latent concepts from unlabeled
        observations", 2018. The support vector machine (C = 0.01, balanced classes) is that of Locatello et al., 2019,
        whose value it equals on the same halves. Frames, chance and intervals are added here.

    Example:
        >>> factors = np.random.default_rng(0).random((500, 2))
        >>> scores = sap(3 - factors, factors, ("x", "y"))
        >>> round(scores["sap"].value, 1), sorted(scores)
        (1.0, ['sap', 'sap/x', 'sap/y'])
    """
    table = code_table(codes, factors, factor_names)
    check_num_items(table, 4, "half of them train a classifier")
    if table.codes.shape[1] < 2:
        raise ValueError("codes must have at least 2 dimensions, got 1; a gap needs a second one")
    values, errors, chances, num = (_of_classes if table.discrete else _of_numbers)(table, num_resamples, seed)
    return share_scores("sap", table.names, values, errors, chances, num)


Found = tuple[np.ndarray, np.ndarray, np.ndarray, int]


def _of_numbers(table: CodeTable, num_resamples: int, seed: int) -> Found:
    """Return values, errors, chance levels and number of items, by squared correlations."""

    def gaps(of: CodeTable, weights: np.ndarray) -> np.ndarray:
        return _gaps(weighted_correlations(of.codes, of.factors, np.repeat(weights, of.num_frames)) ** 2)

    values, errors = bootstrap_errors(lambda weights: gaps(table, weights), table.num, num_resamples, seed)
    chances = chance_level(table, lambda shuffled: gaps(shuffled, np.ones(table.num)), seed)
    return values, errors, chances, table.num


def _of_classes(table: CodeTable, num_resamples: int, seed: int) -> Found:
    """Return values, errors, chance levels and number of items, by the hits of support vector machines."""
    items = np.random.default_rng(seed).permutation(table.num)
    seen, unseen = items[: table.num // 2], items[table.num // 2 :]
    hits = _hits(table, seen, unseen)
    flat, num = hits.reshape(len(hits), -1), len(hits)
    values, errors = bootstrap_errors(
        lambda weights: _gaps((weights @ flat / num).reshape(hits.shape[1:])), num, num_resamples, seed
    )
    chances = chance_level(table, lambda shuffled: _gaps(_hits(shuffled, seen, unseen).mean(axis=0)), seed)
    return values, errors, chances, num


def _gaps(scores: np.ndarray) -> np.ndarray:
    """Return the gap of every column of scores (D, F) behind the mean of the gaps (F + 1,)."""
    ordered = np.sort(scores, axis=0)
    return with_mean(ordered[-1] - ordered[-2])


def _hits(table: CodeTable, seen: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """Return the share of the frames of each unseen item whose class each dimension predicts (N, D, F)."""
    from sklearn.svm import LinearSVC

    train, test = table.rows_of(seen), table.rows_of(unseen)
    hits = np.empty((len(unseen), table.codes.shape[1], len(table.names)))
    for j, (name, column) in enumerate(zip(table.names, table.factors.T)):
        if (column[train] == column[train[0]]).all():
            raise ValueError(f"factors must vary in every half of the items, got a constant {name!r}; pass more items")
        for d, code in enumerate(table.codes.T):
            machine = LinearSVC(C=0.01, class_weight="balanced", dual=False).fit(code[train, None], column[train])
            found = machine.predict(code[test, None]) == column[test]
            hits[:, d, j] = table.per_item(found.astype(np.float64)) / table.num_frames
    return hits
