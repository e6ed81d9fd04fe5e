"""Priors over a sequence of dynamic latents: modules that return a distribution of event shape (T, D)."""

from __future__ import annotations

import torch
from pyro.distributions import Independent, Normal
from torch import nn

from pyrodis.distributions import AutoregressiveNormal
from pyrodis.nn import RecurrentTransition
from pyrodis.ops import check_positive_int


class StandardPrior(nn.Module):
    r"""Independent standard normal frames.

    $$p(z_{1:T}) = \prod_t \mathcal N(z_t; 0, I)$$

    Args:
        dynamic_dim: D.

    Raises:
        ValueError: If the size is not positive.

    Source:
        Das and Dandi, section II.

    Example:
        >>> StandardPrior(4)(8).event_shape
        torch.Size([8, 4])
    """

    zero: torch.Tensor

    def __init__(self, dynamic_dim: int) -> None:
        super().__init__()
        self.dynamic_dim = check_positive_int("dynamic_dim", dynamic_dim)
        self.register_buffer("zero", torch.zeros(()), persistent=False)

    def forward(self, num_frames: int) -> Independent:
        """Return the distribution of a sequence.

        Args:
            num_frames: T.

        Returns:
            A distribution of batch shape () and event shape (T, D).
        """
        shape = (num_frames, self.dynamic_dim)
        return Normal(self.zero, self.zero + 1, validate_args=False).expand(shape).to_event(2)


class LSTMPrior(nn.Module):
    r"""Frames that are normal given all frames before, through an LSTM.

    $$p(z_{1:T}) = \prod_t \mathcal N(z_t; \mathrm{loc}(z_{<t}), \operatorname{diag}\mathrm{scale}(z_{<t})^2)$$

    Densities are teacher-forced: the LSTM reads the very frames that are scored.

    Args:
        dynamic_dim: D.
        hidden_dim: Size of the LSTM's state.

    Raises:
        ValueError: If a size is not positive.

    Source:
        Li and Mandt (2018). A free-running LSTM, which feeds its own draws instead of the scored frames, defines no
        density of z; it appears in published code and is not offered here.

    Example:
        >>> LSTMPrior(4, hidden_dim=8)(8).event_shape
        torch.Size([8, 4])
    """

    def __init__(self, dynamic_dim: int, hidden_dim: int = 128) -> None:
        super().__init__()
        self.dynamic_dim = check_positive_int("dynamic_dim", dynamic_dim)
        self.hidden_dim = check_positive_int("hidden_dim", hidden_dim)
        self.transition = RecurrentTransition(dynamic_dim, hidden_dim=hidden_dim)

    def forward(self, num_frames: int) -> AutoregressiveNormal:
        """Return the distribution of a sequence.

        Args:
            num_frames: T.

        Returns:
            A distribution of batch shape () and event shape (T, D).
        """
        return AutoregressiveNormal(self.transition, num_frames)
