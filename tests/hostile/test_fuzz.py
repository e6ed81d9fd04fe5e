"""Good calls with spoilt arguments: each gives a result without infinities, or one sentence of the library.

The default run draws few examples, always the same; `make long` draws many, other ones each time.
"""

from __future__ import annotations

import warnings
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.hostile.calls import CALLS, ELSEWHERE, TABLES
from tests.hostile.spoiling import complaint, finite, spoil

FEW = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
MANY = settings(FEW, max_examples=400, derandomize=False)
every_call = pytest.mark.parametrize("name", CALLS)


@every_call
def test_the_good_call_gives_finite_numbers(name: str) -> None:
    function, arguments = CALLS[name]
    assert finite(function(**arguments))
    plt.close("all")


@pytest.mark.parametrize("module", TABLES, ids=lambda module: module.__name__)
def test_no_function_is_left_out(module: Any) -> None:
    assert set(module.__all__) == (set(TABLES[module]) | ELSEWHERE) & set(module.__all__)


def fuzz(name: str, data: st.DataObject) -> None:
    function, arguments = CALLS[name]
    count = data.draw(st.integers(1, 2))
    spoilt = {key: spoil(data.draw, arguments[key]) for key in data.draw(st.permutations(sorted(arguments)))[:count]}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            result = function(**(arguments | spoilt))
        except Exception as error:
            found = complaint(error, torch_too=name.startswith("distributions"))
        else:
            found = "" if name.startswith(("ops", "reg", "dist")) or finite(result) else f"infinities: {result}"
        finally:
            plt.close("all")
    assert not found, f"{name} with {spoilt}: {found}"


@every_call
@FEW
@given(data=st.data())
def test_a_spoilt_call_gives_a_result_or_a_sentence(name: str, data: st.DataObject) -> None:
    fuzz(name, data)


@pytest.mark.long
@every_call
@MANY
@given(data=st.data())
def test_a_spoilt_call_gives_a_result_or_a_sentence_many_times(name: str, data: st.DataObject) -> None:
    fuzz(name, data)
