"""Regularizers that compare the codes of two views of the same clips."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from pyrodis.ops import check_positive_number, full_precision, without_autocast
from pyrodis.ops.checks import check_floating, check_same_dtype


def info_nce(a: torch.Tensor, b: torch.Tensor, temperature: float = 0.5) -> torch.Tensor:
    r"""Return how badly each code tells its partner from the partners of the others.

    $$R_i = -\log \frac{\exp(\cos(a_i, b_i) / \tau)}{\sum_{j=1}^{B} \exp(\cos(a_i, b_j) / \tau)}$$

    tau is `temperature`. It is log B where all codes are alike, and log B minus its mean is a lower bound of the mutual
    information of a and b.

    Args:
        a: Codes of clips.
        b: Codes of another view of the same clips, in the same order.
        temperature: The smaller, the more the most similar of the others count.

    Shape:
        a, b: (..., B, D), leading dimensions that broadcast, to (..., B).

    Returns:
        The penalty of each clip, nats, 0 or more; of a batch of one, 0.

    Raises:
        TypeError: If `temperature` is not a number.
        ValueError: If it is not above 0, or the codes do not agree in their last two dimensions.

    Source:
        van den Oord et al., Representation Learning with Contrastive Predictive Coding (2018); cosine and temperature
        as in Bai et al. (2021).

    Example:
        >>> info_nce(torch.ones(4, 3), torch.ones(4, 3))  # log 4
        tensor([1.3863, 1.3863, 1.3863, 1.3863])
    """
    check_positive_number("temperature", temperature)
    check_same_dtype("a", check_floating("a", a), "b", check_floating("b", b))
    if a.ndim < 2 or a.shape[-2:] != b.shape[-2:]:
        raise ValueError(
            f"a and b must be codes (..., B, D) of the same clips, got {tuple(a.shape)} and {tuple(b.shape)}"
        )
    with without_autocast(a):
        a, b = (normalize(full_precision(part), dim=-1) for part in (a, b))
        logits = a @ b.mT / temperature
        return logits.logsumexp(-1) - logits.diagonal(dim1=-2, dim2=-1)
