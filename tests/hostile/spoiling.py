"""How fuzzing spoils an argument, and what must come of it: a result, or one sentence of the library."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

import pyrodis

LIBRARY = str(Path(pyrodis.__file__).parent)
OTHERS = [None, "x", "", -1, 0, 1, 2.5, float("nan"), float("inf"), True, [], (3,), {}, b"x", object()]
DTYPES = ["float16", "float32", "float64", "int64", "uint8", "bool", "complex64"]
SPECIAL = [float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 2.0, 1e30]


def spoil(draw: Any, value: Any) -> Any:
    """Another value in place of a good one."""
    if isinstance(value, (np.ndarray, torch.Tensor)) and draw(st.integers(0, 9)):
        return spoil_array(draw, value)
    if isinstance(value, Mapping) and value and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: spoil(draw, value[key])}
    if isinstance(value, (list, tuple)) and draw(st.booleans()):
        return type(value)(draw(st.sampled_from([value[:-1], [*value, *value[:1]], [*value[:-1], None], []])))
    return draw(st.sampled_from(OTHERS))


def spoil_array(draw: Any, value: Any) -> Any:
    """Another shape, kind or value."""
    array = value.numpy() if isinstance(value, torch.Tensor) else value
    kind = draw(st.sampled_from(["shape", "kind", "value", "other", "length"]))
    if kind == "shape":
        axis = draw(st.integers(0, max(0, array.ndim - 1)))
        shapes = [array[None], array.swapaxes(0, -1), array[..., None], array.reshape(-1), array.sum(axis), array[:0]]
        array = draw(st.sampled_from(shapes))
    elif kind == "length":
        axis = draw(st.integers(0, array.ndim - 1))
        array = array.take(range(draw(st.integers(0, array.shape[axis]))), axis)
    elif kind == "kind":
        array = array.astype(draw(st.sampled_from(DTYPES)))
    elif kind == "value" and array.dtype.kind == "f":
        array = array.copy()
        array.reshape(-1)[draw(st.integers(0, max(0, array.size - 1)))] = draw(st.sampled_from(SPECIAL))
    elif kind == "value":
        array = draw(
            st.sampled_from([array * 0, array * 0 + 1, array.astype(np.int64) - 1, array.astype(np.int64) * 99])
        )
    else:
        return draw(st.sampled_from([array.tolist(), array.astype(str), array.astype(object), np.float64(1.0)]))
    return torch.from_numpy(np.ascontiguousarray(array)) if isinstance(value, torch.Tensor) else array


def complaint(error: BaseException, torch_too: bool = False) -> str:
    """What is wrong with an error; empty for a sentence of the library, or of torch on a distribution's parameters."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    if torch_too and isinstance(error, RuntimeError) and "must match the size" in str(error):
        return ""
    if not isinstance(error, (ValueError, TypeError)):
        return f"{type(error).__name__} instead of ValueError or TypeError: {error}"
    if torch_too and "/torch/distributions/" in last.filename:
        return ""
    if not last.filename.startswith(LIBRARY) and not _is_a_call_that_does_not_fit(error):
        return f"raised by {last.filename}:{last.lineno}, not by pyrodis: {error}"
    sentence = str(error)
    if not sentence or "\n" in sentence or len(sentence) > 500:
        return f"no single sentence: {sentence!r}"
    return ""


def _is_a_call_that_does_not_fit(error: BaseException) -> bool:
    return isinstance(error, TypeError) and ("argument" in str(error) or "os.PathLike" in str(error))


def finite(value: Any) -> bool:
    """Whether all numbers of a result are finite; NaN may stand for what is missing."""
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
    if isinstance(value, (np.ndarray, float)):
        array = np.asarray(value)
        return array.dtype.kind not in "fc" or not bool(np.isinf(array).any())
    if isinstance(value, Mapping):
        return all(finite(entry) for entry in value.values())
    if is_dataclass(value):
        return all(finite(getattr(value, field.name)) for field in fields(value))
    return True
