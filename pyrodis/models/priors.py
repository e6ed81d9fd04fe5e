"""Priors over a sequence of dynamic latents: modules that return a distribution of event shape (T, D)."""

from __future__ import annotations

import torch
from pyro.distributions import Independent, Normal
from torch import nn

from pyrodis.distributions import AutoregressiveNormal, MixtureStart
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


class MixtureStartPrior(nn.Module):
    r"""An LSTM prior whose first frame is one of several: clips of different kinds begin in different places.

    $$p(z_{1:T}) = \Bigl(\sum_{k=1}^{K} w_k\, \mathcal N(z_1; m_k, \operatorname{diag} s_k^2)\Bigr)
    \prod_{t=2}^{T} \mathcal N\bigl(z_t; \mathrm{loc}(z_{<t}), \operatorname{diag}\mathrm{scale}(z_{<t})^2\bigr)$$

    Weights, means and scales of the starts are learned. Under `LSTMPrior` a motion that is drawn from the prior begins
    between the kinds, and decodes to a blend until the LSTM has settled on one.

    Args:
        dynamic_dim: D.
        hidden_dim: Size of the LSTM's state.
        num_starts: K. Take a few times as many as there are kinds of motion; starts that nothing uses lose weight.

    Raises:
        TypeError: If a size is not an int.
        ValueError: If a size is not positive.

    Source:
        Li and Mandt (2018) with a mixture in the first frame.

    Example:
        >>> MixtureStartPrior(4, hidden_dim=8, num_starts=3)(8).sample((2,)).shape
        torch.Size([2, 8, 4])
    """

    def __init__(self, dynamic_dim: int, hidden_dim: int = 128, num_starts: int = 32) -> None:
        super().__init__()
        self.dynamic_dim = check_positive_int("dynamic_dim", dynamic_dim)
        self.hidden_dim = check_positive_int("hidden_dim", hidden_dim)
        self.num_starts = check_positive_int("num_starts", num_starts)
        self.transition = RecurrentTransition(dynamic_dim, hidden_dim=hidden_dim)
        self.logits = nn.Parameter(torch.zeros(num_starts))
        self.loc = nn.Parameter(torch.randn(num_starts, dynamic_dim))
        self.log_scale = nn.Parameter(torch.zeros(num_starts, dynamic_dim))

    def forward(self, num_frames: int) -> MixtureStart:
        """Return the distribution of a sequence.

        Args:
            num_frames: T.

        Returns:
            A distribution of batch shape () and event shape (T, D).
        """
        base = AutoregressiveNormal(self.transition, num_frames)
        return MixtureStart(base, self.logits, self.loc, self.log_scale.exp())
