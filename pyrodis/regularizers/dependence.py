"""Regularizers of how much two codes know of each other."""

from __future__ import annotations

import math

import torch

from pyrodis.ops import check_positive_int
from pyrodis.ops.checks import check_floating


def mutual_information(static: torch.Tensor, dynamic: torch.Tensor, num_data: int) -> torch.Tensor:
    r"""Return each clip's share of the mutual information of two codes over a data set, estimated from a batch.

    $$R_i = \log \hat q(f_i, z_i) - \log \hat q(f_i) - \log \hat q(z_i), \qquad
    \hat q(f_i) = \sum_j w_{ij}\, q(f_i \mid x_j), \qquad
    w_{ii} = \frac{1}{N}, \quad w_{ij} = \frac{N - 1}{N (B - 1)}$$

    Likewise for z, and for both together with the product of their densities, as codes are independent given a clip.
    N is `num_data`. The mean over the batch estimates I(f; z) under q(f, z) = 1/N sum_n q(f | x_n) q(z | x_n). The
    densities are unbiased over random batches; their logarithms are exact where the batch is the whole data set, and
    else somewhat off. A clip's share, and by chance the mean, may be negative. A batch of one gives 0.

    Posteriors that do not overlap carry no gradient: each clip then sees itself alone, and the estimate is log N,
    whatever the codes share. That is so for most pairs of clips where codes have many dimensions.

    Args:
        static: log q(f_i | x_j) at row i and column j: draws along rows, clips along columns.
        dynamic: log q(z_i | x_j), the same for z.
        num_data: N, the number of clips in the data set.

    Shape:
        static, dynamic: (..., B, B) to (..., B).

    Returns:
        The share of each clip, nats.

    Raises:
        TypeError: If `num_data` is not an int.
        ValueError: If the matrices are not square or of different shapes, or the batch has more than `num_data` clips.

    Source:
        Bai et al., Contrastively Disentangled Sequential Variational Autoencoder (2021). They weight all clips of a
        batch by 1/(N B), which is off by log N for independent codes; these weights are the stratified ones of Chen et
        al., Isolating Sources of Disentanglement in VAEs (2018), and 0 is 0.

    Example:
        >>> same = torch.zeros(4, 4)  # all posteriors alike
        >>> mutual_information(same, same, num_data=100).abs().max() < 1e-6
        tensor(True)
    """
    check_floating("static", static)
    check_floating("dynamic", dynamic)
    if static.ndim < 2 or static.shape[-1] != static.shape[-2] or static.shape != dynamic.shape:
        raise ValueError(
            "static and dynamic must be matrices (..., B, B) of log-densities, draws by clips, "
            f"got {tuple(static.shape)} and {tuple(dynamic.shape)}"
        )
    num = static.shape[-1]
    if num > check_positive_int("num_data", num_data):
        raise ValueError(f"num_data must be at least the batch's {num} clips, got {num_data}; pass the data set's size")
    if num == 1:
        return (0 * static).squeeze(-1)  # nothing to compare with
    weights = static.new_full((num, num), math.log((num_data - 1) / num_data / (num - 1)))
    weights.fill_diagonal_(-math.log(num_data))
    joint, f, z = ((part + weights).logsumexp(-1) for part in (static + dynamic, static, dynamic))
    return joint - f - z


def total_correlation(log_densities: torch.Tensor, log_weights: torch.Tensor) -> torch.Tensor:
    r"""Return each draw's share of the total correlation of the dimensions of a code, estimated from a batch.

    $$R_i = \log \sum_j w_{ij} \prod_d q(z_{id} \mid x_j) - \sum_d \log \sum_j w_{ij}\, q(z_{id} \mid x_j)$$

    The mean over draws estimates KL(q(z) || prod_d q(z_d)) of the aggregated posterior q(z): 0 where the dimensions of
    the code are independent over the data. A draw's share, and by chance the mean, may be negative.

    Args:
        log_densities: log q(z_id | x_j) at row i, column j and dimension d.
        log_weights: log w_ij: what share of the data set x_j stands for, as draw i sees it. Rows sum to one.

    Shape:
        log_densities: (..., M, M, D) to (..., M); log_weights: (M, M).

    Returns:
        The share of each draw, nats.

    Raises:
        ValueError: If the shapes do not fit.

    Source:
        Chen et al., Isolating Sources of Disentanglement in VAEs (2018).

    Example:
        >>> weights = torch.full((4, 4), 0.25).log()
        >>> total_correlation(torch.zeros(4, 4, 3), weights).abs().max() < 1e-6
        tensor(True)
    """
    check_floating("log_densities", log_densities)
    check_floating("log_weights", log_weights)
    square = log_densities.ndim > 2 and log_densities.shape[-3] == log_densities.shape[-2]
    if not square or log_weights.shape != log_densities.shape[-3:-1]:
        raise ValueError(
            "log_densities must have shape (..., M, M, D) and log_weights (M, M), "
            f"got {tuple(log_densities.shape)} and {tuple(log_weights.shape)}"
        )
    joint = (log_densities.sum(-1) + log_weights).logsumexp(-1)
    return joint - (log_densities + log_weights.unsqueeze(-1)).logsumexp(-2).sum(-1)
