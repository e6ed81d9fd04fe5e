"""What programs show to SVI: every trainable parameter, once, and nothing to the global store."""

from __future__ import annotations

import pyro
from pyro import poutine
from torch import nn

from pyrodis.ops import register_parameters


def shown(*modules: nn.Module) -> list[nn.Parameter]:
    with poutine.trace(param_only=True) as messenger:
        for module in modules:
            register_parameters(module)
    return [site["value"].unconstrained() for site in messenger.trace.nodes.values() if site["type"] == "param"]


def test_two_modules_of_one_class_show_all_their_parameters() -> None:
    first, second = nn.Linear(2, 3), nn.Linear(2, 3)
    found = shown(first, second, first)
    expected = [*first.parameters(), *second.parameters()]
    assert len(found) == 4
    assert all(any(a is b for b in found) for a in expected)
    assert len(pyro.get_param_store()) == 0


def test_frozen_parameters_are_not_shown() -> None:
    layer = nn.Linear(2, 3)
    layer.bias.requires_grad_(False)
    assert [parameter is layer.weight for parameter in shown(layer)] == [True]


def test_a_trace_of_draws_sees_none() -> None:
    with poutine.trace() as messenger:
        register_parameters(nn.Linear(2, 3))
    assert list(messenger.trace.nodes) == []
