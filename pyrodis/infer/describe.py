"""Modules as plain descriptions, and built-in modules from descriptions again."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

__all__ = ["BUILT_IN", "SEQUENTIAL", "build", "describe"]

BUILT_IN: dict[str, str] = {
    "DSVAE": "pyrodis.models",
    "BetaVAE": "pyrodis.models",
    "DelayedVAE": "pyrodis.models",
    "DynamicsPrior": "pyrodis.models",
    "LinearDynamicsPrior": "pyrodis.models",
    "StandardPrior": "pyrodis.models",
    "LSTMPrior": "pyrodis.models",
    "MixtureStartPrior": "pyrodis.models",
    "StationaryPrior": "pyrodis.models",
    "EigenvalueVAE": "pyrodis.models",
    "LaplaceEigenvalues": "pyrodis.models",
    "SlowFastEigenvalues": "pyrodis.models",
    "LaplacePrior": "pyrodis.models",
    "NormalPixels": "pyrodis.models",
    "MaskedNormal": "pyrodis.models",
    "MixturePixels": "pyrodis.models",
    "ParallelVAE": "pyrodis.models",
    "WhatWhereVAE": "pyrodis.models",
    "AddCodes": "pyrodis.models",
    "ConcatenateCodes": "pyrodis.models",
    "BernoulliPixels": "pyrodis.models",
    "FullGuide": "pyrodis.guides",
    "FactorizedGuide": "pyrodis.guides",
    "FramewiseGuide": "pyrodis.guides",
    "GridGuide": "pyrodis.guides",
    "SmoothingGuide": "pyrodis.guides",
    "MeanFieldGuide": "pyrodis.guides",
    "BasisTransition": "pyrodis.guides",
    "DeltaGuide": "pyrodis.guides",
    "DenseTransition": "pyrodis.guides",
    "DiagonalTransition": "pyrodis.guides",
    "InertialGuide": "pyrodis.guides",
    "InformationGuide": "pyrodis.guides",
    "ParallelGuide": "pyrodis.guides",
    "ResidualGuide": "pyrodis.guides",
    "RotationTransition": "pyrodis.guides",
    "StructuredGuide": "pyrodis.guides",
    "EigenvalueGuide": "pyrodis.guides",
    "WhatThenWhereGuide": "pyrodis.guides",
    "WhatWhereGuide": "pyrodis.guides",
    "WhereThenWhatGuide": "pyrodis.guides",
    "DeltaWhatWhereGuide": "pyrodis.guides",
    "ConvEncoder": "pyrodis.nn",
    "ConvDecoder": "pyrodis.nn",
    "BroadcastDecoder": "pyrodis.nn",
    "GridDecoder": "pyrodis.nn",
    "GridEncoder": "pyrodis.nn",
    "GridLocScale": "pyrodis.nn",
    "LocScale": "pyrodis.nn",
    "PatchEncoder": "pyrodis.nn",
    "StridedDecoder": "pyrodis.nn",
    "StridedEncoder": "pyrodis.nn",
    "PooledEncoder": "pyrodis.nn",
    "PlaceBlindEncoder": "pyrodis.nn",
    "PlaceFinder": "pyrodis.nn",
    "PlacedDecoder": "pyrodis.nn",
    "PartsDecoder": "pyrodis.nn",
    "Glimpses": "pyrodis.nn",
    "UpsampleDecoder": "pyrodis.nn",
    "UniformDecoder": "pyrodis.nn",
    "WindowDecoder": "pyrodis.nn",
    "WindowEncoder": "pyrodis.nn",
    "BidirectionalLSTM": "pyrodis.nn",
    "MeanReader": "pyrodis.nn",
    "EveryFrame": "pyrodis.nn",
    "OneFrame": "pyrodis.nn",
    "OtherFrame": "pyrodis.nn",
    "MeanFrames": "pyrodis.nn",
    "ProductFrames": "pyrodis.nn",
    "SubtractMean": "pyrodis.nn",
    "PatchShuffle": "pyrodis.nn",
    "FrameShuffle": "pyrodis.nn",
    "MedianFrame": "pyrodis.nn",
    "Motion": "pyrodis.nn",
    "SingleFrame": "pyrodis.nn",
    "SubsetFrames": "pyrodis.nn",
    "RandomCrop": "pyrodis.nn",
    "RandomGray": "pyrodis.nn",
    "RandomTones": "pyrodis.nn",
    "RandomShift": "pyrodis.nn",
    "Downsample": "pyrodis.nn",
    "GaussianBlur": "pyrodis.nn",
    "Silhouette": "pyrodis.nn",
    "HideFrames": "pyrodis.nn",
    "ShownFrames": "pyrodis.infer.hidden_frames",
}
"""Class name to the module that exports it: with a sequence of them, the only classes that a description can build."""

SEQUENTIAL = "torch.nn.Sequential"
"""The one class of torch that a description can build: several built-in modules, one after the other."""

_PLAIN = (type(None), bool, int, float, str)


def describe(module: object) -> dict[str, Any]:
    """Return the class and the constructor arguments of a module, as JSON can hold them.

    Every argument of the constructor is read from the attribute of the same name; modules among them, and those of a
    `torch.nn.ModuleList`, are described the same way; tensors of bool become lists. A `torch.nn.Sequential` of unnamed
    modules has the one argument "modules", a list. A class that does not keep its arguments so is recorded with
    ``"arguments": None``.

    Args:
        module: A module.

    Returns:
        ``{"class": name, "arguments": {...}}``; the bare name for a built-in class, with its package for any other.

    Example:
        >>> describe(nn.Linear(2, 3, bias=False))
        {'class': 'torch.nn.modules.linear.Linear', 'arguments': None}
    """
    if type(module) is nn.Sequential and [*module._modules] == [str(i) for i in range(len(module))]:
        return {"class": SEQUENTIAL, "arguments": {"modules": [describe(part) for part in module]}}
    try:
        arguments = {name: _plain(getattr(module, name)) for name in _parameters(type(module))}
    except (AttributeError, TypeError):
        return {"class": _class_name(type(module)), "arguments": None}
    return {"class": _class_name(type(module)), "arguments": arguments}


def _parameters(cls: type) -> list[str]:
    """Names of the constructor's arguments; TypeError for a constructor with * or **."""
    if cls.__init__ is object.__init__ or cls.__init__ is nn.Module.__init__:  # type: ignore[misc]
        return []
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        raise TypeError("open-ended arguments")
    return [p.name for p in parameters]


def _class_name(cls: type) -> str:
    if cls.__module__.startswith("pyrodis.") and cls.__name__ in BUILT_IN and cls.__qualname__ == cls.__name__:
        return cls.__name__
    return f"{cls.__module__}.{cls.__qualname__}"


def _plain(value: object) -> Any:
    """The value as JSON holds it; TypeError where it cannot be held."""
    if type(value) in _PLAIN:
        return value
    if type(value) is nn.ModuleList:
        return [describe(part) for part in value]
    if isinstance(value, nn.Module):
        return describe(value)
    if isinstance(value, torch.Tensor) and value.dtype == torch.bool:
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(item) for key, item in value.items()}
    raise TypeError(f"{type(value).__name__} is no plain value")


def build(description: Mapping[str, Any]) -> Any:
    """Build a built-in module from its description, with freshly drawn weights.

    Only classes of the table :data:`BUILT_IN`, and sequences of them, are built; nothing is imported by a name that
    stands in a description. Lists become tuples.

    Args:
        description: What :func:`describe` returned.

    Returns:
        The module.

    Raises:
        ValueError: The description is malformed, its class is not built in, or its arguments do not fit the class.

    Example:
        >>> build({"class": "os.system", "arguments": {"command": "true"}})
        Traceback (most recent call last):
            ...
        ValueError: 'os.system' is not a class of pyrodis; pass your own objects with load(run, model=..., guide=...)
    """
    if not _is_description(description):
        raise ValueError(f"a description must hold 'class' and 'arguments', got {description!r}")
    name, arguments = description["class"], description["arguments"]
    if name == SEQUENTIAL:
        return _build_sequential(arguments)
    if name not in BUILT_IN:
        raise ValueError(
            f"{name!r} is not a class of pyrodis; pass your own objects with load(run, model=..., guide=...)"
        )
    if not isinstance(arguments, Mapping):
        raise ValueError(
            f"the arguments of {name} were not recorded; pass the objects with load(run, model=..., guide=...)"
        )
    cls = getattr(importlib.import_module(BUILT_IN[name]), name)
    unknown = sorted(set(arguments) - set(_parameters(cls)))
    if unknown:
        raise ValueError(
            f"{name} has no argument {', '.join(unknown)}; the description was changed or is of another version"
        )
    try:
        return cls(**{key: _revive(value) for key, value in arguments.items()})
    except ValueError:
        raise  # says what is wrong
    except Exception as error:  # arguments of any kind may come in a file
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{name} cannot be built from its recorded arguments: {reason}") from error


def _build_sequential(arguments: Any) -> nn.Sequential:
    modules = arguments.get("modules") if isinstance(arguments, Mapping) and set(arguments) == {"modules"} else None
    if not isinstance(modules, list):
        raise ValueError(f"the arguments of {SEQUENTIAL} must hold a list 'modules' alone, got {arguments!r}")
    return nn.Sequential(*(build(part) for part in modules))


def _is_description(value: object) -> bool:
    return isinstance(value, Mapping) and set(value) == {"class", "arguments"} and isinstance(value["class"], str)


def _revive(value: Any) -> Any:
    if _is_description(value):
        return build(value)
    if isinstance(value, list):
        return tuple(_revive(item) for item in value)
    if isinstance(value, Mapping):
        return {key: _revive(item) for key, item in value.items()}
    return value
