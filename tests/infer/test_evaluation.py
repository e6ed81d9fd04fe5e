"""The scores of exchanged codes on codes whose contents are known."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch

from pyrodis.infer.evaluation import Decodings, _cosine_scores, pair_table

DATA = SimpleNamespace(factor_names=("action", "skin", "hair"), factor_sizes=(9, 6, 6))


@pytest.fixture
def decodings() -> Decodings:
    """Codes of which f knows the appearance and nothing else, z the motion and nothing else."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.tensor(list(itertools.product(*map(range, DATA.factor_sizes))))
    skin, hair, action = (torch.randn(size, 32, generator=generator) for size in (6, 6, 9))
    f = skin[factors[:, 1]] + hair[factors[:, 2]]
    z = action[factors[:, 0]]
    f, z = (code + 0.1 * torch.randn(code.shape, generator=generator) for code in (f, z))
    return Decodings({}, {}, factors, factors[:, 0], {"f": f, "z": z}, {})


def test_auc_is_one_for_what_a_code_holds_and_at_chance_for_the_rest(decodings: Decodings) -> None:
    scores = _cosine_scores(decodings, DATA, ("action",))
    for name in ("cosine_auc/f/appearance", "cosine_auc/z/motion"):
        assert scores[name].value > 0.99, name
    for name in ("cosine_auc/f/motion", "cosine_auc/z/appearance"):
        assert scores[name].value == pytest.approx(scores[name].chance, abs=0.05), name


def test_the_table_of_pairs_shares_what_it_says(decodings: Decodings) -> None:
    rows = pair_table(decodings, DATA, ("action",))
    assert len(rows) == 12
    for row in rows:
        a, b = decodings.factors[row["clip_a"]], decodings.factors[row["clip_b"]]
        shares = (bool((a[1:] == b[1:]).all()), bool(a[0] == b[0]))
        expected = {"appearance": (1, 0), "motion": (0, 1), "both": (1, 1), "neither": (0, 0)}
        assert shares == expected[row["shared"]]
