"""What each factorization of a guide must leave of the evidence, where the exact posterior is known."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pyrodis.models import LinearGaussianSequence
from pyrodis.ops import check_positive_int

__all__ = ["factorization_gaps"]


def factorization_gaps(
    model: LinearGaussianSequence, num_frames: int, shown: torch.Tensor | None = None
) -> dict[str, float]:
    r"""Return the least expected KL of every factorization to the exact posterior of a linear-Gaussian sequence.

    $$\mathrm{gap} = \min_q \mathbb E_{p(x)}\, \mathrm{KL}\bigl(q(f, z_{1:T} \mid x) \,\|\, p(f, z_{1:T} \mid x)\bigr)
    = \mathbb E_{p(x)} \log p(x) - \max_q \mathbb E_{p(x)}\, \mathrm{ELBO}$$

    No network, however large, can close it. q is normal with diagonal scales in every factor, as those of the guides
    are. The posterior's precision Lambda is the same for every clip, so for the first three the best means are the
    posterior's own (conditional) means, and the gap is what the diagonals cost. With Lambda_b the precision of a block
    b given x and the blocks that its factor sees, all others integrated out,

    $$\mathrm{gap} = \sum_b \tfrac12 \Bigl(\sum_i \log (\Lambda_b)_{ii} - \log \det \Lambda_b\Bigr),$$

    - "full": the blocks f, then z_t given f and z_{<t}; 0 where S = D = 1.
    - "smoothing": the blocks f, then all of z given f; 0 where S = D = 1 and frames are independent.
    - "mean_field": one block of all codes; no guide of the library, but a bound on the next.

    In the last two a mean may see its own frame alone, f's sees all. What the means miss is added. With
    u = (f, z_{1:T}), G the map from the pixels x, less their offset, to u, B the feedback of u, A the map to the
    posterior's mean and L = (I - B)^{-1},

    $$\mathrm{gap} = \min_{B, G} \tfrac12 \Bigl(\sum_i \log (L^\top \Lambda L)_{ii} - \log \det \Lambda
    + \operatorname{tr} \Lambda (L G - A) \operatorname{Cov}(x) (L G - A)^\top\Bigr)$$

    - "frame_wise": B = 0, a convex problem. No guide of this factorization with normal factors is better, linear or
      not.
    - "factorized": B feeds z_{<t} to z_t. The best linear guide with constant scales, by descent; one that is not
      linear may be better, since z_{<t} can be used to tell of the frames before.

    Args:
        model: The model; its precision decides that of the result.
        num_frames: T.
        shown: Which frames are observed; None for all. A hidden frame enters no likelihood and no mean.

    Shape:
        shown: (T), bool.

    Returns:
        Name to gap, in nats per clip.

    Raises:
        TypeError: If the model is another one.
        ValueError: If `num_frames` is not positive or `shown` has another shape or type.
        FloatingPointError: If the descent did not end at a zero gradient.

    Source:
        The first four follow from the normal distribution alone; that linear means are best under information that
        differs from factor to factor is Radner, Team Decision Problems (1962), and that they need not be where factors
        hear each other's draws is Witsenhausen (1968).

    Example:
        >>> model = LinearGaussianSequence(torch.ones(2, 1).double(), torch.tensor([[1.0], [0.0]]).double(), 0.0)
        >>> gaps = factorization_gaps(model, 3)
        >>> [name for name, gap in gaps.items() if gap > 1e-9]
        ['mean_field', 'factorized', 'frame_wise']
    """
    if not isinstance(model, LinearGaussianSequence):
        raise TypeError(f"model must be a LinearGaussianSequence, got {type(model).__name__}")
    check_positive_int("num_frames", num_frames)
    problem = make_problem(model, num_frames, shown)
    precision, static_dim = problem.precision, problem.static_dim
    covariance = torch.linalg.inv(precision)
    static = _diagonal_gap(torch.linalg.inv(covariance[:static_dim, :static_dim]))
    full, size = static, model.dynamic_dim
    for end in range(static_dim + size, len(precision) + 1, size):
        seen = torch.linalg.inv(covariance[:end, :end])
        full = full + _diagonal_gap(seen[-size:, -size:])
    smoothing = static + _diagonal_gap(precision[static_dim:, static_dim:])
    gaps = {"full": full, "smoothing": smoothing, "mean_field": _diagonal_gap(precision)}
    gaps["factorized"] = best_autoregression(problem)[0]
    gaps["frame_wise"] = best_means(torch.zeros_like(precision), problem)[0]
    return {name: float(gap) for name, gap in gaps.items()}


@dataclass(frozen=True, eq=False)
class Problem:
    """An exact posterior, and what each factor of the factorized and the frame-wise guide may see of it.

    Args:
        precision: Lambda, of all codes u = (f, z_1, ..., z_T).
        regression: A, from observed pixels to the posterior's mean.
        pixel_covariance: Of the observed pixels.
        sees_pixels: Which pixels the mean of a code may see.
        sees_codes: Which codes the mean of a code may see if there is feedback.
        static_dim: S.
    """

    precision: torch.Tensor
    regression: torch.Tensor
    pixel_covariance: torch.Tensor
    sees_pixels: torch.Tensor
    sees_codes: torch.Tensor
    static_dim: int


def make_problem(model: LinearGaussianSequence, num_frames: int, shown: torch.Tensor | None = None) -> Problem:
    """Return the posterior of a model, and who sees what.

    Args:
        model: The model.
        num_frames: T.
        shown: Which frames are observed; None for all.

    Returns:
        The problem that `best_means` and `best_autoregression` solve.

    Example:
        >>> make_problem(LinearGaussianSequence(torch.ones(2, 1), torch.ones(2, 1)), 3).sees_pixels.shape
        torch.Size([4, 6])
    """
    precision, regression, pixel_covariance = model.precision_and_regression(num_frames, shown)
    frames = torch.arange(num_frames, device=precision.device)
    of_code = torch.cat([frames.new_full((model.static_dim,), -1), frames.repeat_interleave(model.dynamic_dim)])
    observed = frames if shown is None else frames[shown.to(frames.device)]
    of_pixel = observed.repeat_interleave(len(model.static_weight))
    dynamic = of_code[:, None] >= 0
    sees_pixels = (of_code[:, None] == of_pixel) | ~dynamic
    sees_codes = (of_code[:, None] > of_code) & (of_code >= 0)
    return Problem(precision, regression, pixel_covariance, sees_pixels, sees_codes, model.static_dim)


def best_means(feedback: torch.Tensor, problem: Problem) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the gap at the best linear means and scales for given feedback, which have a closed form.

    Args:
        feedback: B, strictly lower triangular.
        problem: The posterior and who sees what.

    Returns:
        The gap (), the map G from observed pixels to means, and the scales of all codes.

    Example:
        >>> problem = make_problem(LinearGaussianSequence(torch.ones(2, 1), torch.ones(2, 1)), 3)
        >>> best_means(torch.zeros(4, 4), problem)[1].shape
        torch.Size([4, 6])
    """
    unmixing = torch.eye(len(feedback), dtype=feedback.dtype, device=feedback.device) - feedback
    mixing = torch.linalg.inv(unmixing)
    precision = mixing.mT @ problem.precision @ mixing  # of the codes' own noise
    target = unmixing @ problem.regression
    row, column = problem.sees_pixels.nonzero().unbind(-1)
    normal = precision[row][:, row] * problem.pixel_covariance[column][:, column]
    seen = torch.linalg.solve(normal, (precision @ target @ problem.pixel_covariance)[row, column])
    means = torch.zeros_like(target).index_put((row, column), seen)
    miss = means - target
    cost = ((precision @ miss @ problem.pixel_covariance) * miss).sum() / 2
    return _diagonal_gap(precision) + cost, means, precision.diagonal().rsqrt()


def best_autoregression(problem: Problem) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the gap of the best linear guide with feedback, and that feedback, by quasi-Newton descent.

    Args:
        problem: The posterior and who sees what.

    Returns:
        The gap () and the feedback B.

    Raises:
        FloatingPointError: If the descent did not end at a zero gradient.

    Example:
        >>> problem = make_problem(LinearGaussianSequence(torch.ones(2, 1).double(), torch.ones(2, 1).double()), 3)
        >>> bool(best_autoregression(problem)[0] < best_means(torch.zeros(4, 4).double(), problem)[0])
        True
    """
    row, column = problem.sees_codes.nonzero().unbind(-1)
    none = torch.zeros_like(problem.precision)
    if not len(row):
        return best_means(none, problem)[0], none
    values = none[row, column].requires_grad_()
    optimizer = torch.optim.LBFGS(
        [values], max_iter=1000, tolerance_grad=0, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def evaluate() -> torch.Tensor:
        optimizer.zero_grad()
        gap = best_means(none.index_put((row, column), values), problem)[0]
        gap.backward()
        return gap

    with torch.enable_grad():
        optimizer.step(evaluate)
        gap = evaluate().detach()
    if values.grad is None or not float(values.grad.abs().max()) < torch.finfo(values.dtype).eps ** 0.4:
        raise FloatingPointError("the best feedback was not found; use a model in double precision, model.double()")
    return gap, none.index_put((row, column), values.detach())


def _diagonal_gap(precision: torch.Tensor) -> torch.Tensor:
    """The least KL of a normal with diagonal covariance to one of this precision."""
    return (precision.diagonal().log().sum() - torch.linalg.slogdet(precision)[1]) / 2
