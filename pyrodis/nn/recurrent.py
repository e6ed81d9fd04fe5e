"""Recurrent networks over sequences of features, batch first, any number of leading dimensions."""

from __future__ import annotations

import torch
from torch import nn

from pyrodis.nn.conv import _SLOPE
from pyrodis.nn.heads import LocScale
from pyrodis.ops import check_positive_int, full_precision, without_autocast

State = tuple[torch.Tensor, torch.Tensor]


class BidirectionalLSTM(nn.Module):
    r"""Read a sequence of features in both directions.

    $$h_t = [\overrightarrow{h}_t(c_{1:t}), \overleftarrow{h}_t(c_{t:T})]$$

    Args:
        input_dim: Size of the features of a frame.
        hidden_dim: Size of each direction's state.

    Shape:
        (..., T, input_dim) to (..., T, 2 hidden_dim).

    Raises:
        TypeError: If a size is not an int.
        ValueError: If a size is not positive.

    Example:
        >>> BidirectionalLSTM(4, 8)(torch.zeros(2, 5, 4)).shape
        torch.Size([2, 5, 16])
    """

    def __init__(self, input_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.input_dim = check_positive_int("input_dim", input_dim)
        self.hidden_dim = check_positive_int("hidden_dim", hidden_dim)
        self.lstm = nn.LSTM(input_dim, hidden_dim, batch_first=True, bidirectional=True)

    @property
    def summary_dim(self) -> int:
        """Size of the summary: both directions' states."""
        return 2 * self.hidden_dim

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the states of both directions at every frame.

        Args:
            features: Tensor of shape (..., T, input_dim).

        Returns:
            Tensor of shape (..., T, 2 hidden_dim).
        """
        with without_autocast(features):
            flat = full_precision(features).reshape(-1, *features.shape[-2:])
            return self.lstm(flat)[0].reshape(*features.shape[:-1], 2 * self.hidden_dim)

    def summary(self, features: torch.Tensor) -> torch.Tensor:
        """Return the two last states, each of which has read the whole sequence.

        Args:
            features: Tensor of shape (..., T, input_dim).

        Returns:
            Tensor of shape (..., 2 hidden_dim).
        """
        states = self(features)
        return torch.cat([states[..., -1, : self.hidden_dim], states[..., 0, self.hidden_dim :]], dim=-1)


class MeanReader(nn.Module):
    r"""Read a set of features: a network of two layers on their mean, whatever their order and number.

    $$h = g\Bigl(\frac1T \sum_{t=1}^{T} c_t\Bigr)$$

    Where `BidirectionalLSTM` reads in which order the frames come, and so what moves, this one cannot.

    Args:
        input_dim: Size of the features of a frame.
        hidden_dim: Size of both layers.

    Shape:
        (..., T, input_dim) to (..., hidden_dim).

    Raises:
        TypeError: If a size is not an int.
        ValueError: If a size is not positive.

    Source:
        Zaheer et al., Deep Sets (2017).

    Example:
        >>> MeanReader(4, 8)(torch.zeros(2, 5, 4)).shape
        torch.Size([2, 8])
    """

    def __init__(self, input_dim: int, hidden_dim: int = 128) -> None:
        super().__init__()
        self.input_dim = check_positive_int("input_dim", input_dim)
        self.hidden_dim = check_positive_int("hidden_dim", hidden_dim)
        self.layers = nn.Sequential(
            nn.Linear(input_dim, hidden_dim),
            nn.LeakyReLU(_SLOPE),
            nn.Linear(hidden_dim, hidden_dim),
            nn.LeakyReLU(_SLOPE),
        )

    @property
    def summary_dim(self) -> int:
        """Size of the summary."""
        return self.hidden_dim

    def summary(self, features: torch.Tensor) -> torch.Tensor:
        """Return what the features say together.

        Args:
            features: Tensor of shape (..., T, input_dim).

        Returns:
            Tensor of shape (..., hidden_dim).
        """
        return self(features)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return what the features say together.

        Args:
            features: Tensor of shape (..., T, input_dim).

        Returns:
            Tensor of shape (..., hidden_dim), in full precision.
        """
        with without_autocast(features):
            summary: torch.Tensor = self.layers(full_precision(features).mean(dim=-2))
            return summary


class RecurrentTransition(nn.Module):
    r"""The network of an autoregressive normal: an LSTM over the frames before, a head that also sees the context.

    $$s_t = \mathrm{LSTM}(z_{t-1}, s_{t-1}), \qquad (\mathrm{loc}_t, \mathrm{scale}_t) = g(s_t, c_t)$$

    The context enters at the head alone, so loc_t and scale_t depend on z_{<t} and c_t and on nothing else: what the
    context of other frames may say is decided by whoever makes the context.

    Args:
        dim: D, size of a frame's variable.
        context_dim: C, size of a frame's context; 0 for none.
        hidden_dim: Size of the LSTM's state and of the head's hidden layer.
        initial_scale: Scale where training starts; see `LocScale`.

    Shape:
        previous (N, T, D) and context (N, T, C) to loc and scale (N, T, D).

    Raises:
        TypeError: If a size is not an int.
        ValueError: If a size is not positive, or the context has another size or is missing.

    Example:
        >>> transition = RecurrentTransition(dim=2, context_dim=3, hidden_dim=8)
        >>> loc, scale = transition(torch.zeros(4, 5, 2), torch.zeros(4, 5, 3))
        >>> loc.shape
        torch.Size([4, 5, 2])
    """

    def __init__(self, dim: int, context_dim: int = 0, hidden_dim: int = 256, initial_scale: float = 1.0) -> None:
        super().__init__()
        self.dim = check_positive_int("dim", dim)
        self.context_dim = check_positive_int("context_dim", context_dim) if context_dim != 0 else 0
        self.hidden_dim = check_positive_int("hidden_dim", hidden_dim)
        self.lstm = nn.LSTM(dim, hidden_dim, batch_first=True)
        self.hidden = nn.Sequential(nn.Linear(hidden_dim + context_dim, hidden_dim), nn.Tanh())
        self.head = LocScale(hidden_dim, dim, initial_scale)

    def forward(self, previous: torch.Tensor, context: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return loc and scale of every frame given the true frames before (teacher forcing), in one call.

        Args:
            previous: z_0 .. z_{T-1} with z_0 = 0, shape (N, T, D).
            context: Shape (N, T, C), or None.

        Returns:
            loc and scale, each of shape (N, T, D).
        """
        with without_autocast(previous):
            states, _ = self.lstm(previous)
            return self._parameters_of(states, context)

    def step(
        self, previous: torch.Tensor, context: torch.Tensor | None = None, state: State | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, State]:
        """Return loc and scale of one frame, and the state to hand to the next step.

        Args:
            previous: z_{t-1}, shape (N, D).
            context: Context of frame t, shape (N, C), or None.
            state: State after frame t - 1, or None at the first frame.

        Returns:
            loc and scale, each of shape (N, D), and the state.
        """
        with without_autocast(previous):
            states, state = self.lstm(previous.unsqueeze(1), state)
            loc, scale = self._parameters_of(states.squeeze(1), context)
            return loc, scale, state

    def _parameters_of(self, states: torch.Tensor, context: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        given = 0 if context is None else context.shape[-1]
        if given != self.context_dim:
            raise ValueError(
                f"context must have {self.context_dim} values a frame, got {given}; "
                "build the transition with the context_dim of its context, 0 for none"
            )
        if context is not None:
            states = torch.cat([states, full_precision(context)], dim=-1)
        return self.head(self.hidden(states))
