"""The equations of the docstrings over plain torch modules, without Pyro and without the library's own arithmetic."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal


def normal_log_prob(value: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """Log N(value; loc, scale^2), elementwise."""
    return -0.5 * ((value - loc) / scale) ** 2 - scale.log() - 0.5 * math.log(2 * math.pi)


def normal_kl(loc: Tensor, scale: Tensor, prior_loc: Any = 0.0, prior_scale: Any = 1.0) -> Tensor:
    """KL of N(loc, scale^2) from N(prior_loc, prior_scale^2), elementwise."""
    prior_scale = torch.as_tensor(prior_scale, dtype=loc.dtype)
    ratio = (scale / prior_scale) ** 2
    return 0.5 * (ratio + ((loc - prior_loc) / prior_scale) ** 2 - 1 - ratio.log())


def head(loc_scale: Any, h: Tensor) -> tuple[Tensor, Tensor]:
    """Loc = W_1 h + b_1 and scale = 1e-4 + log(1 + exp(W_2 h + b_2 + c))."""
    weight, bias = loc_scale.linear.weight, loc_scale.linear.bias
    dim = len(bias) // 2
    raw = h @ weight[dim:].T + bias[dim:] + loc_scale.offset
    return h @ weight[:dim].T + bias[:dim], 1e-4 + (1 + raw.exp()).log()


def read_both_ways(lstm: torch.nn.LSTM, features: Tensor) -> tuple[Tensor, Tensor]:
    """States of the forward direction on c_1..c_t and of the backward direction on c_T..c_t, each one from scratch."""
    onward, backward = one_direction(lstm, ""), one_direction(lstm, "_reverse")
    num_frames = features.shape[1]
    forth = [onward(features[:, : t + 1])[0][:, -1] for t in range(num_frames)]
    back = [backward(features[:, t:].flip(1))[0][:, -1] for t in range(num_frames)]
    return torch.stack(forth, 1), torch.stack(back, 1)


def one_direction(lstm: torch.nn.LSTM, suffix: str) -> torch.nn.LSTM:
    """One direction of a bidirectional LSTM as an LSTM of its own."""
    single = torch.nn.LSTM(lstm.input_size, lstm.hidden_size, batch_first=True).double()
    names = [name for name, _ in single.named_parameters()]
    single.load_state_dict({name: getattr(lstm, name + suffix).detach() for name in names})
    return single


def autoregression(transition: Any, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
    """Loc and scale of every z_t from a run of the LSTM over 0, z_1, .., z_{t-1} of its own, and c_t."""
    locs, scales = [], []
    for t in range(z.shape[1]):
        before = torch.cat([torch.zeros_like(z[:, :1]), z[:, :t]], 1)
        state = transition.lstm(before)[0][:, -1]
        if context is not None:
            state = torch.cat([state, context[:, t]], -1)
        loc, scale = head(transition.head, (state @ transition.hidden[0].weight.T + transition.hidden[0].bias).tanh())
        locs.append(loc)
        scales.append(scale)
    return torch.stack(locs, 1), torch.stack(scales, 1)


def features_of(guide: Any, x: Tensor) -> Tensor:
    """The encoder of a guide without views on one frame at a time."""
    return encoded(guide.encoder, x)


def encoded(encoder: Any, x: Tensor) -> Tensor:
    """An encoder on one frame at a time."""
    return torch.stack([encoder(x[:, t]) for t in range(x.shape[1])], 1)


def static_parameters(static: Any, features: Tensor) -> tuple[Tensor, Tensor]:
    """Loc and scale of q(f | x) from the last state of each direction."""
    forth, back = read_both_ways(static.reader.lstm, features)
    return head(static.head, torch.cat([forth[:, -1], back[:, 0]], -1))


def context_of(guide: Any, features: Tensor, f: Tensor) -> Tensor:
    """States of both directions over the features beside f."""
    repeated = torch.stack([f] * features.shape[1], 1)
    return torch.cat(read_both_ways(guide.reader.lstm, torch.cat([features, repeated], -1)), -1)


def decoded(model: Any, f: Tensor, z: Tensor) -> Tensor:
    """The decoder on one frame's code at a time."""
    return torch.stack([model.decoder(torch.cat([f, z[:, t]], -1)) for t in range(z.shape[1])], 1)


def total(log_prob: Tensor) -> Tensor:
    """Sum over all but the first dimension."""
    return log_prob.flatten(1).sum(1)


def standard(like: Tensor) -> Normal:
    """A standard normal of the shape of a tensor."""
    return Normal(torch.zeros_like(like), torch.ones_like(like))
