"""What can be read off a code, by a classifier or a regression that is trained on codes with labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pyrodis.metrics._arrays import Array, check_count, check_ndim, check_same_length, finite, to_numpy
from pyrodis.metrics._bootstrap import bootstrap_intervals
from pyrodis.metrics.score import Score, proportion_score

# When a network for numbers stops: after so many passes without an error that is lower by as much; at most so many.
_PATIENCE, _TOLERANCE, _MAX_PASSES = 10, 1e-4, 500


def probe_accuracy(
    codes_train: Array,
    labels_train: Array,
    codes_test: Array,
    labels_test: Array,
    hidden: Sequence[int] = (),
    seed: int = 0,
) -> Score:
    r"""Share of items whose class a probe reads off their code, after it was trained on other items.

    Without `hidden` the probe is linear, a logistic regression; with it a network of these hidden layers, which also
    finds what is there but not linearly so. Codes are scaled to mean 0 and standard deviation 1 over the training items
    first. At chance a code does not show the factor to such a probe; a larger one may still find it. Chance is one over
    the number of classes, as for :func:`pyrodis.metrics.factor_accuracies`.

    Args:
        codes_train: codes that the probe learns from; those of sequences are flattened over time.
        labels_train: their classes.
        codes_test: codes that it is scored on.
        labels_test: their classes, each of which must be among those of the training items.
        hidden: sizes of the network's hidden layers, () for a linear probe. A tenth of the training items then decides
            when to stop.
        seed: seed of the network's weights and batches.

    Shape:
        codes: (N, D) or (N, T, D); labels: (N,), integers.

    Returns:
        The share in [0, 1], with Wilson's 95 % interval.

    Raises:
        TypeError: codes are no real numbers, labels no integers, or a size is no integer.
        ValueError: empty, of another shape, NaN, fewer than two classes, a class that is not in training, or too few
            items for the network.

    Source:
        Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2016.

    Example:
        >>> labels = np.arange(60) % 2
        >>> codes = np.random.default_rng(0).normal(size=(60, 3)) + 9 * labels[:, None]
        >>> probe_accuracy(codes[:40], labels[:40], codes[40:], labels[40:]).value
        1.0
    """
    for size in hidden:
        check_count(size, "hidden")
    codes, labels = _rows(codes_train, "codes_train"), _labels(labels_train, "labels_train")
    new_codes, new_labels = _rows(codes_test, "codes_test"), _labels(labels_test, "labels_test")
    check_same_length(codes, "codes_train", labels, "labels_train")
    check_same_length(new_codes, "codes_test", new_labels, "labels_test")
    if codes.shape[1] != new_codes.shape[1]:
        raise ValueError(
            f"codes_train and codes_test must have the same size, got {codes.shape[1]} and {new_codes.shape[1]} "
            "numbers an item; encode both alike"
        )
    num_classes = _count_classes(labels, new_labels, bool(hidden))
    probe = _make_probe(tuple(int(size) for size in hidden), seed).fit(codes, labels)
    return proportion_score(np.asarray(probe.predict(new_codes) == new_labels), chance=1 / num_classes)


def probe_r2(
    codes_train: Array,
    targets_train: Array,
    codes_test: Array,
    targets_test: Array,
    hidden: Sequence[int] = (),
    seed: int = 0,
) -> Score:
    r"""Share of the variance of numbers that a probe reads off codes, after it was trained on other items.

    :math:`R^2 = \frac1K \sum_k 1 - \sum (y_k - \hat y_k)^2 / \sum (y_k - \bar y_k)^2` over the test items, the mean
    over the K numbers, with their mean over the training items in place of :math:`\bar y_k`: 0 is a probe that knows
    nothing, and below 0 is worse. Without `hidden` the probe is linear, a ridge regression; with it a network of these
    hidden layers.
    Codes and numbers are scaled to mean 0 and standard deviation 1 over the training items first.

    Args:
        codes_train: codes that the probe learns from.
        targets_train: the numbers to read off them.
        codes_test: codes that it is scored on.
        targets_test: their numbers.
        hidden: sizes of the network's hidden layers, () for a linear probe. A tenth of the training items, with all
            their rows, then decides when to stop; of fewer than 10 items, a tenth of the rows. If nothing helps there,
            the network is the mean.
        seed: seed of the network's weights and batches, and of the bootstrap.

    Shape:
        codes: (N, D) or (N, T, D); targets: (N, K) or (N, T, K), a row for every row of codes.

    Returns:
        The share, at most 1, with a bootstrap over the items; chance 0, ceiling 1.

    Raises:
        TypeError: no arrays of real numbers, or a size is no integer.
        ValueError: empty, shapes that do not fit, NaN, a number that is constant in training, or fewer than 10 rows.

    Source:
        The coefficient of determination; :func:`probe_accuracy` is the same of classes.

    Example:
        >>> codes = np.random.default_rng(0).normal(size=(60, 3))
        >>> round(probe_r2(codes[:40], 2 * codes[:40, :1], codes[40:], 2 * codes[40:, :1]).value, 2)
        1.0
    """
    for size in hidden:
        check_count(size, "hidden")
    codes, targets, num_items = _paired_rows(codes_train, targets_train, "train")
    new_codes, new_targets, num = _paired_rows(codes_test, targets_test, "test")
    for name, old, new in (("codes", codes, new_codes), ("targets", targets, new_targets)):
        if old.shape[1] != new.shape[1]:
            raise ValueError(
                f"{name}_train and {name}_test must have the same size, got {old.shape[1]} and {new.shape[1]} numbers"
            )
    loc, scale = targets.mean(axis=0), targets.std(axis=0)
    if len(codes) < 10 or not (scale > 0).all():
        raise ValueError(
            f"targets_train must hold 10 rows or more of numbers that vary, got {len(codes)} with standard deviations "
            f"{scale.round(6).tolist()}; pass more items, or drop what is constant"
        )
    predict = _fit_numbers(codes, (targets - loc) / scale, num_items, tuple(int(size) for size in hidden), seed)
    truth = (new_targets - loc) / scale
    errors = (truth - predict(new_codes).reshape(truth.shape)) ** 2
    per_item = np.stack([values.reshape(num, -1, values.shape[1]).sum(axis=1) for values in (errors, truth**2)])

    def statistic(rows: np.ndarray) -> np.ndarray:
        error, total = per_item[:, rows].sum(axis=1)
        return np.asarray((1 - error / np.maximum(total, 1e-12)).mean())[None]

    value, low, high = bootstrap_intervals(statistic, np.zeros(num), 200, seed)
    return Score(value[0], low[0], high[0], chance=0.0, ceiling=1.0, num=num)


def _paired_rows(codes: Array, targets: Array, part: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Codes and numbers as rows (R, D) and (R, K), and the number of items."""
    values, numbers = finite(codes, f"codes_{part}"), finite(targets, f"targets_{part}")
    if values.ndim not in (2, 3) or numbers.shape[:-1] != values.shape[:-1]:
        raise ValueError(
            f"codes_{part} and targets_{part} must have shapes (N, D) and (N, K), or (N, T, D) and (N, T, K), "
            f"got {values.shape} and {numbers.shape}; pass a row of numbers for each row of codes"
        )
    return values.reshape(-1, values.shape[-1]), numbers.reshape(-1, numbers.shape[-1]), len(values)


def _fit_numbers(
    codes: np.ndarray, targets: np.ndarray, num_items: int, hidden: tuple[int, ...], seed: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Train a regression of targets (R, K) on codes (R, D), rows of items one after the other; return its prediction.

    What decides when a network stops are items of their own: rows of one item may hold the same code, by which a
    network that learns items by heart would look as if it had understood them. One that is never better there than the
    mean of the numbers gives way to it.
    """
    from sklearn.linear_model import Ridge
    from sklearn.neural_network import MLPRegressor
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(codes)
    rows = scaler.transform(codes)
    if not hidden:
        ridge = Ridge().fit(rows, targets)
        return lambda new: np.asarray(ridge.predict(scaler.transform(new)))
    num = num_items if num_items >= 10 else len(rows)
    held = np.zeros(num, dtype=bool)
    held[np.random.default_rng(seed).permutation(num)[: num // 10]] = True
    held = np.repeat(held, len(rows) // num)
    numbers = targets[:, 0] if targets.shape[1] == 1 else targets
    draws = np.random.RandomState(seed)  # one for all passes: a seed would begin each with the same batches
    network = MLPRegressor(hidden_layer_sizes=hidden, random_state=draws)
    best, stale = np.inf, 0
    kept: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for _ in range(_MAX_PASSES):
        network.partial_fit(rows[~held], numbers[~held])
        error = float(np.mean((network.predict(rows[held]) - numbers[held]) ** 2))
        stale = 0 if error < best - _TOLERANCE else stale + 1
        if error < best:
            best, kept = error, ([w.copy() for w in network.coefs_], [b.copy() for b in network.intercepts_])
        if stale == _PATIENCE:
            break
    if best >= float(np.mean(numbers[held] ** 2)):  # the error of the mean
        return lambda new: np.zeros((len(new), targets.shape[1]))
    network.coefs_, network.intercepts_ = kept
    return lambda new: np.asarray(network.predict(scaler.transform(new)))


def _make_probe(hidden: tuple[int, ...], seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if not hidden:
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return make_pipeline(StandardScaler(), MLPClassifier(hidden, early_stopping=True, random_state=seed))


def _count_classes(labels: np.ndarray, new_labels: np.ndarray, network: bool) -> int:
    found, counts = np.unique(labels, return_counts=True)
    if len(found) < 2:
        raise ValueError(f"labels_train must hold at least two classes, got {found.tolist()}; drop the constant factor")
    unknown = np.setdiff1d(new_labels, found)
    if len(unknown):
        raise ValueError(
            f"labels_test must hold classes of labels_train, {found.tolist()}, got {unknown.tolist()} besides; "
            "train the probe on all classes"
        )
    if network and (len(labels) < 10 * len(found) or counts.min() < 2):
        raise ValueError(
            f"a network needs 10 items a class, and 2 of each, to hold some out, got {len(labels)} for {len(found)} "
            f"classes, {counts.min()} of the rarest; pass more items, or hidden=() for a linear probe"
        )
    return len(found)


def _rows(codes: Array, name: str) -> np.ndarray:
    values = finite(codes, name)
    if values.ndim < 2:
        raise ValueError(f"{name} must have shape (N, D) or (N, T, D), got {values.shape}; pass one row for each item")
    return values.reshape(len(values), -1)


def _labels(labels: Array, name: str) -> np.ndarray:
    values = to_numpy(labels, name)
    check_ndim(values, name, 1, "(N,)")
    if values.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integer classes, got dtype {values.dtype}; pass one column of the factors")
    return values
