"""How plain modules show their parameters to `pyro.infer.SVI`, without the global parameter store."""

from __future__ import annotations

import weakref
from itertools import count

from pyro.poutine.runtime import _PYRO_STACK, apply_stack
from pyro.poutine.trace_messenger import TraceMessenger
from torch import nn

_numbers = count()
_names: weakref.WeakKeyDictionary[nn.Module, str] = weakref.WeakKeyDictionary()


class _Unconstrained:
    """The one method that `pyro.infer.SVI` calls on the value of a parameter site."""

    def __init__(self, parameter: nn.Parameter) -> None:
        self.parameter = parameter

    def unconstrained(self) -> nn.Parameter:
        return self.parameter


def register_parameters(program: nn.Module) -> None:
    """Show every trainable parameter of a program to `pyro.infer.SVI`, if one is looking.

    `SVI.step` collects the parameters that it trains from parameter sites. `pyro.module` would create them, at the
    price of the global store: a second module of one name is silently not trained. Here each module gets sites of its
    own (a number that is never used again) whose values are the parameters themselves; nothing is stored. Outside
    `SVI` the call does nothing, so `Trace_ELBO()(model, guide)` with a torch optimiser pays nothing for it.

    Args:
        program: The module whose `forward` is the running Pyro program.

    Example:
        >>> register_parameters(nn.Linear(1, 1))
    """
    if not any(isinstance(handler, TraceMessenger) and handler.param_only for handler in _PYRO_STACK):
        return
    name = _names.setdefault(program, f"{type(program).__name__}_{next(_numbers)}")
    for key, parameter in program.named_parameters():
        if parameter.requires_grad:
            value = _Unconstrained(parameter)
            apply_stack(
                {
                    "type": "param",
                    "name": f"{name}.{key}",
                    "fn": lambda *args: None,
                    "is_observed": False,
                    "args": (),
                    "kwargs": {},
                    "value": value,
                    "scale": 1.0,
                    "mask": None,
                    "cond_indep_stack": (),
                    "done": True,
                    "stop": False,
                    "continuation": None,
                    "infer": None,
                    "obs": None,
                }
            )
