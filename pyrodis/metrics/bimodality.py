"""Are eigenvalues of two kinds, slow and fast? One against two normal components on -log(1 - eigenvalue)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pyrodis.metrics._arrays import Array, check_count, finite

# 1 - 1e-6 in single precision: the largest that the library makes; beyond it 1 - eigenvalue is rounding error
LARGEST = float(np.float32(1 - 1e-6))
LEAST_SCALE = 0.1  # of a component: a pile of equal eigenvalues must not look infinitely likely
STRONG = 10.0  # a difference of BIC that counts as very strong evidence


@dataclass(frozen=True)
class Bimodality:
    """What one and two normal components say about the memories -log(1 - eigenvalue) of a set of eigenvalues.

    Args:
        bic_difference: BIC of one component minus that of two; above 0, two describe the memories better.
        num_modes: maxima of the density of the two components, 1 or 2.
        bimodal: whether the difference is above 10 and the density has two modes.
        locs: means of the two components, in nats, the smaller first; ``1 - exp(-loc)`` is their eigenvalue.
        scales: their standard deviations.
        weights: their shares.
        num: number of eigenvalues.
        num_saturated: how many of them were 1 - 1e-6, the largest that the library makes, or above and counted as that.

    Example:
        >>> bimodality(np.array([0.9, 0.91, 0.92, 0.999, 0.9991, 0.9992] * 5)).as_dict()["bimodal"]
        True
    """

    bic_difference: float
    num_modes: int
    bimodal: bool
    locs: tuple[float, float]
    scales: tuple[float, float]
    weights: tuple[float, float]
    num: int
    num_saturated: int

    @property
    def eigenvalues(self) -> tuple[float, float]:
        """The eigenvalues at the means of the two components, the smaller first."""
        return -math.expm1(-self.locs[0]), -math.expm1(-self.locs[1])

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain Python values, ready for JSON.

        Returns:
            Field name -> value, in the order of the fields.

        Example:
            >>> list(bimodality(np.linspace(0.1, 0.9, 20)).as_dict())[:3]
            ['bic_difference', 'num_modes', 'bimodal']
        """
        return asdict(self)


def eigenvalue_memory(eigenvalues: Array) -> np.ndarray:
    r"""Stretch eigenvalues near 1 apart.

    :math:`-\log(1 - \lambda)`: 2.3 at .9, 6.9 at .999. An eigenvalue near 1 is remembered for about
    :math:`1 / (1 - \lambda)` frames, and this is the logarithm of it.

    Args:
        eigenvalues: from -1 to 1; those above 1 - 1e-6, the largest that the library makes, count as that, since
            beyond it 1 - eigenvalue is rounding error.

    Shape:
        eigenvalues: any.

    Returns:
        Memories of the same shape, in nats, at most 13.8.

    Raises:
        TypeError: no array of real numbers.
        ValueError: empty, NaN, or outside of [-1, 1].

    Source:
        A choice of axis: on that of the eigenvalues themselves slow and fast lie within a hundredth.

    Example:
        >>> eigenvalue_memory(np.array([0.0, 0.9, 0.999, 1.0])).round(1).tolist()
        [0.0, 2.3, 6.9, 13.8]
    """
    values = finite(eigenvalues, "eigenvalues")
    if np.abs(values).max() > 1:
        worst = values.flat[np.abs(values).argmax()]
        raise ValueError(f"eigenvalues must be in [-1, 1], got {worst}; pass the eigenvalues, not what they come from")
    return -np.log1p(-np.minimum(values, LARGEST))


def bimodality(eigenvalues: Array, num_starts: int = 5, seed: int = 0) -> Bimodality:
    r"""Fit one and two normal components to -log(1 - eigenvalue) and compare them.

    :math:`\mathrm{BIC}_k = -2 \log \hat L_k + (3k - 1) \log N`. Two components also describe one skewed heap better
    than one does, so the eigenvalues count as of two kinds only where the difference is above 10 and the fitted
    density has two maxima. A component is at least 0.1 wide: equal eigenvalues, as at the bound of the library, would
    else have an infinite likelihood.

    Args:
        eigenvalues: of all dimensions, transitions or runs that are to be compared; from -1 to 1. N counts them as
            independent: pass one a dimension and run where they do not depend on the frame.
        num_starts: starts of the fit of two components, the best of which counts.
        seed: seed of the starts.

    Shape:
        eigenvalues: any, at least 6 in all.

    Returns:
        The fit of two components, the difference, and the decision.

    Raises:
        TypeError: no array of real numbers, or a count that is no integer.
        ValueError: fewer than 6 (two components have five parameters), NaN, or outside of [-1, 1].

    Source:
        Schwarz, "Estimating the dimension of a model", 1978; the limit of 10 is that of Kass and Raftery, "Bayes
        factors", 1995.

    Example:
        >>> result = bimodality(np.array([0.97, 0.98, 0.985, 0.9995, 0.9996, 0.9998] * 4))
        >>> result.bimodal, [round(value, 3) for value in result.eigenvalues]
        (True, [0.979, 1.0])
    """
    check_count(num_starts, "num_starts")
    memory = eigenvalue_memory(eigenvalues).reshape(-1, 1)
    if len(memory) < 6:
        raise ValueError(f"eigenvalues must be at least 6, got {len(memory)}; pass those of several runs")
    one, two = (_fit(memory, count, num_starts, seed) for count in (1, 2))
    order = np.argsort(two.means_.ravel(), kind="stable")
    locs, weights = two.means_.ravel()[order], two.weights_[order]
    scales = np.sqrt(two.covariances_.ravel()[order])
    difference = float(one.bic(memory) - two.bic(memory))
    num_modes = _count_modes(locs, scales, weights)
    return Bimodality(
        bic_difference=difference,
        num_modes=num_modes,
        bimodal=difference > STRONG and num_modes == 2,
        locs=(float(locs[0]), float(locs[1])),
        scales=(float(scales[0]), float(scales[1])),
        weights=(float(weights[0]), float(weights[1])),
        num=len(memory),
        num_saturated=int((finite(eigenvalues, "eigenvalues") >= LARGEST).sum()),
    )


def _fit(memory: np.ndarray, num_components: int, num_starts: int, seed: int) -> Any:
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(num_components, reg_covar=LEAST_SCALE**2, n_init=num_starts, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # equal eigenvalues have one cluster, not two
        return mixture.fit(memory)


def _count_modes(locs: np.ndarray, scales: np.ndarray, weights: np.ndarray) -> int:
    """Count the maxima of a mixture of two; all of them lie between the means."""
    grid = np.linspace(locs[0] - 1e-9, locs[1] + 1e-9, 2001)[:, None]
    density = (weights / scales * np.exp(-0.5 * ((grid - locs) / scales) ** 2)).sum(axis=1)
    rises = np.sign(np.diff(density))
    rises = rises[rises != 0]
    return 1 + int(((rises[:-1] < 0) & (rises[1:] > 0)).any())
