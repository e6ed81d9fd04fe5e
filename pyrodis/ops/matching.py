"""Which part of a frame is which part of another one."""

from __future__ import annotations

from itertools import permutations

import torch
from torch.nn.functional import one_hot

from pyrodis.ops.checks import check_floating
from pyrodis.ops.precision import full_precision, without_autocast

MOST_PARTS = 6  # of which there are 720 orders
_NUM_ROUNDS = 3


def match_parts(looks: torch.Tensor) -> torch.Tensor:
    r"""Return the order of the parts of every frame in which parts of one number look alike in all frames.

    $$\pi_{1:T} \approx \operatorname{arg\,max} \sum_m \Bigl\lVert \sum_t g_{t, \pi_t(m)} \Bigr\rVert^2$$

    pi_t are orders of M parts. Where it is largest, the squared distances of all looks to the mean look of their number
    are least. It is found in rounds: every frame takes the order that suits the sum of all aligned looks best, which
    never lessens the objective; the first sum is one frame, each of them in its turn, and the best of the T ends is
    taken. Of two frames the result is the best there is. A frame whose parts look the same, as
    where two objects lie upon each other, has no say in the order of others. All M! orders are tried, without a loop
    over clips or frames. The numbers themselves are those of the first frame: any order of all is as good.

    Args:
        looks: g, what M parts of T frames look like, in any order within a frame.

    Shape:
        looks: (B, T, M, F).

    Returns:
        pi, of shape (B, T, M): number m of frame t is what came as its part `order[b, t, m]`. No gradient.

    Raises:
        TypeError: If looks are no floating-point tensor.
        ValueError: If looks have another shape, or there are more than six parts.

    Source:
        This project; k-means with the constraint that a frame has one part of every mean.

    Example:
        >>> looks = torch.tensor([[[[1.0], [5.0]], [[5.1], [0.9]]]])
        >>> match_parts(looks).tolist()
        [[[0, 1], [1, 0]]]
    """
    check_floating("looks", looks)
    if looks.ndim != 4 or 0 in looks.shape:
        raise ValueError(f"looks must have shape (B, T, M, F), none of them 0, got {tuple(looks.shape)}")
    num_clips, num_frames, num_parts, _ = looks.shape
    if num_parts > MOST_PARTS:
        raise ValueError(f"looks may be of at most {MOST_PARTS} parts, all orders of which are tried, got {num_parts}")
    with torch.no_grad(), without_autocast(looks):
        flat = full_precision(looks).flatten(1, 2)
        alike = (flat @ flat.mT).reshape(num_clips, num_frames, num_parts, num_frames, num_parts)
        order = _largest(alike)
    return order.gather(2, order[:, :1].argsort(-1).expand_as(order))


def _largest(alike: torch.Tensor) -> torch.Tensor:
    """The best order (B, T, M) that rounds find, given how alike (B, T, M, T, M) all parts are."""
    num_clips, _, num_parts = alike.shape[:3]
    orders = torch.tensor([*permutations(range(num_parts))], device=alike.device)
    chosen = one_hot(orders, num_parts).to(alike)
    sums = alike.permute(0, 3, 1, 2, 4)  # (B, first, T, M, number): how alike each part is to the sum of each number
    for _ in range(_NUM_ROUNDS):
        best = torch.einsum("bftmn,knm->bftk", sums, chosen).argmax(-1)
        sums = torch.einsum("btmsj,bfsnj->bftmn", alike, chosen[best])
    objective = torch.einsum("bftmn,bftnm->bf", sums, chosen[best])
    return orders[best[torch.arange(num_clips, device=alike.device), objective.argmax(1)]]
