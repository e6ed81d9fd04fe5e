"""The mutual information of two codes of a guide, as a penalty."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from pyrodis.infer.penalties import GuideRun
from pyrodis.infer.sites import given_past
from pyrodis.ops import check_positive_int
from pyrodis.regularizers import mutual_information


def log_density_matrix(site: Any) -> torch.Tensor:
    r"""Return the log-density of every clip's draw under every clip's posterior.

    $$L_{ij} = \log q(z_i \mid x_j)$$

    Where a posterior feeds its draws back, or reads the draw of another site, clip j's is taken at its own draws: the
    product of its frames' normals given z_{j,<t} and f_j, whatever z_i is. On the diagonal that is the density itself;
    elsewhere it is an approximation, exact for posteriors that are independent normals given x, and costs no further
    run of a network. Bai et al. do the same.

    Args:
        site: A latent site of a guide's trace, with "fn" and "value".

    Shape:
        value: (..., B, event) to (..., B, B), draws along rows, clips along columns.

    Returns:
        Log-densities in nats.

    Example:
        >>> from pyrodis.infer.second_pass import second_pass
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, guide = tiny_dsvae()
        >>> log_density_matrix(second_pass(guide, torch.zeros(3, 5, 1, 8, 8))["z"]).shape
        torch.Size([3, 3])
    """
    fn, event = given_past(site), len(site["fn"].event_shape)
    draws = site["value"].movedim(-1 - event, 0).unsqueeze(-1 - event)  # (B, ..., 1, event)
    return fn.log_prob(draws).movedim(0, -2)


class MutualInformation(nn.Module):
    """The mutual information of two codes over the data set, estimated from each batch; for `add_guide_penalty`.

    The pure function is `pyrodis.regularizers.mutual_information`; its matrices are `log_density_matrix` of the sites.
    Gradients reach the guide through draws and through posteriors.

    Args:
        num_data: Number of clips in the training data.
        static: Name of one site.
        dynamic: Name of the other.

    Shape:
        A run over B clips to (B).

    Raises:
        TypeError: If `num_data` is not an int.
        ValueError: If it is not positive or smaller than a batch, or a site is missing.

    Source:
        Bai et al., Contrastively Disentangled Sequential Variational Autoencoder (2021).

    Example:
        >>> from pyrodis.infer import NamedELBO, add_guide_penalty
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, guide = tiny_dsvae()
        >>> guide = add_guide_penalty(guide, "mutual_information", MutualInformation(num_data=100), 0.1)
        >>> "mutual_information" in NamedELBO().terms(model, guide, torch.rand(3, 5, 1, 8, 8)).values
        True
    """

    def __init__(self, num_data: int, static: str = "f", dynamic: str = "z") -> None:
        super().__init__()
        self.num_data = check_positive_int("num_data", num_data)
        self.static = static
        self.dynamic = dynamic

    def forward(self, run: GuideRun) -> torch.Tensor:
        """Return each clip's share.

        Args:
            run: A run of the guide.

        Returns:
            Shares in nats, shape (B).
        """
        f, z = (log_density_matrix(run.site(name)) for name in (self.static, self.dynamic))
        return mutual_information(f, z, self.num_data)
