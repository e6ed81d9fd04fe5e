"""Does a component's KL say whether its type of item is there?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyrodis.metrics._arrays import Array, check_ndim, check_same_length, finite, to_numpy
from pyrodis.metrics._bootstrap import bootstrap_intervals
from pyrodis.metrics.score import Score


def presence_auroc(
    kl: Array, present: Array, type_names: Sequence[str], num_resamples: int = 200, seed: int = 0
) -> dict[str, Score]:
    r"""Area under the ROC curve of a component's KL as a detector of its type of item.

    :math:`P(\mathrm{KL}_k > \mathrm{KL}'_k) + \frac12 P(\mathrm{KL}_k = \mathrm{KL}'_k)` for a scene with type k
    against a scene without: 1 where one threshold tells them apart.

    Args:
        kl: KL of each component on each scene, nats.
        present: whether each scene holds each type, type k that of component k; further columns are of types that no
            component has, and are not scored.
        type_names: name of the type of each component.
        num_resamples: size of the bootstrap, within the scenes with and without.
        seed: seed of the bootstrap.

    Shape:
        kl: (N, K); present: (N, K) or wider, bool.

    Returns:
        Name of the type -> score in [0, 1]; chance 0.5, ceiling 1.

    Raises:
        TypeError: no arrays of real numbers, or ``present`` is not boolean.
        ValueError: shapes that do not fit, NaN, or a type that all scenes hold, or none.

    Source:
        Scikit-learn's ``roc_auc_score``.

    Example:
        >>> kl = np.array([[9.0, 0.1], [0.2, 8.0], [7.0, 9.0]])
        >>> present = np.array([[True, False], [False, True], [True, False]])
        >>> scores = presence_auroc(kl, present, ("zero", "one"), num_resamples=10)
        >>> {name: score.value for name, score in scores.items()}
        {'zero': 1.0, 'one': 0.5}
    """
    from sklearn.metrics import roc_auc_score

    values, there = _checked(kl, present, type_names)
    scores = {}
    for name, column, holds in zip(type_names, values.T, there.T):

        def statistic(rows: np.ndarray, column: np.ndarray = column, holds: np.ndarray = holds) -> np.ndarray:
            return np.array([roc_auc_score(holds[rows], column[rows])])

        value, low, high = bootstrap_intervals(statistic, holds, num_resamples, seed)
        scores[name] = Score(value[0], low[0], high[0], chance=0.5, ceiling=1.0, num=len(column))
    return scores


def dominance(
    kl: Array, present: Array, type_names: Sequence[str], num_resamples: int = 200, seed: int = 0
) -> dict[str, Score]:
    r"""How many times as much a component says of scenes with its type as of the worst kind of scene without.

    :math:`\overline{\mathrm{KL}}_k(\text{with } k) / \max_{\text{kind without } k} \overline{\mathrm{KL}}_k`, a kind
    being the set of types in a scene, the empty one too. A component dominates where it is at least 2. One that also
    speaks for another type has about 1.

    Args:
        kl: KL of each component on each scene, nats.
        present: whether each scene holds each type, type k that of component k; further columns are of types that no
            component has, and tell kinds of scenes apart.
        type_names: name of the type of each component.
        num_resamples: size of the bootstrap, within each kind of scene.
        seed: seed of the bootstrap.

    Shape:
        kl: (N, K), 0 or more; present: (N, K) or wider, bool.

    Returns:
        Name of the type -> ratio, 0 or more; chance 1, no ceiling.

    Raises:
        TypeError: no arrays of real numbers, or ``present`` is not boolean.
        ValueError: shapes that do not fit, NaN, a negative KL, a type that all scenes hold, or none, or a component
            whose KL is 0 on nearly all scenes without its type, for which there is no ratio.

    Source:
        Table 4.1 of Stavarache, "Multi-model disentanglement of object representations", 2019, as one number.

    Example:
        >>> kl = np.array([[9.0, 0.5], [0.5, 8.0], [1.0, 5.0]])
        >>> present = np.array([[True, False], [False, True], [False, False]])
        >>> scores = dominance(kl, present, ("zero", "one"), num_resamples=10)
        >>> {name: score.value for name, score in scores.items()}
        {'zero': 9.0, 'one': 1.6}
    """
    values, there = _checked(kl, present, type_names)
    if values.min() < 0:
        raise ValueError(f"kl must be 0 or more, got {values.min()}; pass KLs in closed form")
    patterns, kinds = np.unique(to_numpy(present, "present"), axis=0, return_inverse=True)
    kinds = kinds.reshape(-1)  # of another shape in some versions of numpy

    def statistic(rows: np.ndarray) -> np.ndarray:
        counts = np.bincount(kinds[rows], minlength=len(patterns))
        sums = np.stack([np.bincount(kinds[rows], column[rows], minlength=len(patterns)) for column in values.T])
        ratios = []
        for number, total in enumerate(sums):
            holds = patterns[:, number]
            worst = (total[~holds] / counts[~holds]).max()
            ratios.append(total[holds].sum() / counts[holds].sum() / worst)
        return np.array(ratios)

    with np.errstate(divide="ignore", invalid="ignore"):
        results = list(zip(type_names, *bootstrap_intervals(statistic, kinds, num_resamples, seed)))
    for (name, *ends), column, holds in zip(results, values.T, there.T):
        if not np.isfinite(ends).all():  # some resample, or all scenes, had nothing but zeros
            without = column[~holds]
            raise ValueError(
                f"kl must be above 0 on more scenes without {name!r}, got 0 on {int((without == 0).sum())} of "
                f"{len(without)}; a ratio needs it"
            )
    return {name: Score(v, low, high, chance=1.0, ceiling=None, num=len(values)) for name, v, low, high in results}


def _checked(kl: Array, present: Array, type_names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the KLs, and which scene holds the type of each component."""
    values, there = finite(kl, "kl"), to_numpy(present, "present")
    check_ndim(values, "kl", 2, "(N, K)")
    if there.dtype != np.bool_:
        raise TypeError(f"present must hold booleans, got dtype {there.dtype}; compare the types of each scene")
    check_ndim(there, "present", 2, "(N, K)")
    check_same_length(values, "kl", there, "present")
    num = values.shape[1]
    if there.shape[1] < num:
        raise ValueError(f"present must have a column for each of the {num} components, got shape {there.shape}")
    if len(type_names) != num or len(set(type_names)) != num:
        raise ValueError(f"type_names must be {num} different names, got {tuple(type_names)}; name each")
    for name, column in zip(type_names, there.T):
        if column.all() or not column.any():
            raise ValueError(
                f"present must hold scenes with and without {name!r}, got {len(column)} times {bool(column[0])}; "
                "add the other kind"
            )
    return values, there[:, :num]
