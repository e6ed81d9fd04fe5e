"""The scores of exchanged codes on codes whose contents are known."""

from __future__ import annotations

import dataclasses
import itertools
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pyrodis.datasets import ClipSubset, ProceduralSprites
from pyrodis.guides import FactorizedGuide
from pyrodis.infer import Judge
from pyrodis.infer.evaluation import (
    Decodings,
    _cosine_scores,
    _frechet_scores,
    decode_exchanges,
    pair_table,
    unseen_scores,
)
from pyrodis.infer.queries import decode
from pyrodis.metrics import frechet_distance
from pyrodis.models import DSVAE, NormalPixels, StandardPrior
from pyrodis.nn import ConvDecoder, ConvEncoder

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
    return Decodings({}, {}, factors, factors[:, 0], {"f": f, "z": z}, {}, {})


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


@pytest.mark.parametrize(("dynamic", "error"), [(("acton",), ValueError), ("action", TypeError), ((), ValueError)])
def test_the_table_of_pairs_refuses_unknown_factors(decodings: Decodings, dynamic: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="dynamic must"):
        pair_table(decodings, DATA, dynamic)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ValueError, match='precision must be "32-true" or "bf16-mixed", got \'bf16\''):
        decode_exchanges(None, None, None, DATA, precision="bf16")  # type: ignore[arg-type]


def _oracle(factors: torch.Tensor, donors: torch.Tensor) -> dict[str, torch.Tensor]:
    """What a judge reads where f holds skin and hair, z the action, and hair 5 is always decoded as hair 0."""
    said = factors.clone()
    said[:, 2] = torch.where(factors[:, 2] == 5, 0, factors[:, 2])
    swapped = torch.cat([said[:, :1], said[donors][:, 1:]], 1)
    drawn = torch.cat([torch.zeros_like(said[:, :1]), said[:, 1:]], 1)
    return {"reconstruction": said, "static_swapped": swapped, "dynamic_sampled": drawn}


def test_scores_of_an_unseen_value_are_of_exchanges_with_other_values(decodings: Decodings) -> None:
    donors = torch.randperm(len(decodings.factors), generator=torch.Generator().manual_seed(1))
    found = dataclasses.replace(decodings, donors=donors, predictions=_oracle(decodings.factors, donors))
    scores = unseen_scores(found, DATA, "hair", 5)
    value = {name: score.value for name, score in scores.items()}
    assert value["reconstruction/hair"] == value["appearance/hair"] == value["dynamic_sampled/hair"] == 0
    assert all(value[f"{row}/skin"] == 1 for row in ("reconstruction", "appearance", "motion", "dynamic_sampled"))
    assert value["motion/hair"] == value["motion/action"] == value["appearance/action"] == 1
    assert value["dynamic_sampled/action"] == pytest.approx(1 / 9)
    own, donor = decodings.factors[:, 2] == 5, decodings.factors[donors][:, 2] == 5
    assert scores["appearance/hair"].num == int((donor & ~own).sum()) != int(donor.sum())
    assert scores["motion/hair"].num == int((own & ~donor).sum())
    assert scores["reconstruction/hair"].num == int(own.sum())


@pytest.mark.parametrize(
    ("factor", "value", "match"),
    [
        ("action", 3, "factor must be static, one of skin, hair, got 'action'"),
        ("shirt", 3, "factor must be static, one of skin, hair, got 'shirt'"),
        ("hair", 7, "some of the clips must have hair 7, got none"),
    ],
)
def test_what_was_not_held_out_is_refused(decodings: Decodings, factor: str, value: int, match: str) -> None:
    found = dataclasses.replace(decodings, predictions=_oracle(decodings.factors, decodings.donors))
    with pytest.raises(ValueError, match=match):
        unseen_scores(found, DATA, factor, value)


def _pair(data: ClipSubset) -> tuple[DSVAE, FactorizedGuide]:
    torch.manual_seed(0)
    encoder = ConvEncoder(data.frame_shape, 4, base_channels=1, growth=1)
    decoder = ConvDecoder(5, data.frame_shape, base_channels=1, growth=1)
    model = DSVAE(decoder, StandardPrior(2), NormalPixels(), 3, 2, data.num_frames)
    return model.eval(), FactorizedGuide(encoder, 3, 2, 4).eval()


def test_frechet_scores_measure_each_row_and_the_floor_of_real_halves() -> None:
    generator = torch.Generator().manual_seed(0)
    real, same = torch.randn(2, 600, 4, generator=generator)
    scores = _frechet_scores({"reconstruction": same, "unconditional": 0.5 * real + 2, "real": real})
    assert set(scores) == {"fid/reconstruction", "fid/unconditional", "fid/real_halves"}
    assert scores["fid/unconditional"].value == pytest.approx(16 + 1, rel=0.1)
    assert scores["fid/reconstruction"].value == pytest.approx(frechet_distance(real, same).value)
    assert scores["fid/reconstruction"].value < 0.1
    assert 0 < scores["fid/real_halves"].value < 0.1
    assert scores["fid/real_halves"].num == 300
    with pytest.raises(ValueError, match="a test set must have at least 4 clips, two for each half, got 3"):
        _frechet_scores({"real": real[:3], "reconstruction": same[:3]})
    assert all(score.ceiling == 0 for score in scores.values())


def test_features_are_what_the_judge_sees_in_the_very_frames_it_reads() -> None:
    data = ClipSubset(ProceduralSprites(split="test"), range(18))
    x = torch.stack([item["x"] for item in data.__getitems__(list(range(18)))])
    model, guide = _pair(data)
    judge = Judge(data.frame_shape, data.factor_sizes, base_channels=1).eval()
    found = decode_exchanges(model, guide, judge, data)
    assert set(found.features) == set(found.predictions) == set(found.probabilities)
    with torch.no_grad():
        torch.testing.assert_close(found.features["real"], judge.features(x))
        assert torch.equal(found.predictions["real"], judge.predict(x)[0])
        frames = decode(model, found.codes)
        torch.testing.assert_close(found.features["reconstruction"], judge.features(frames))
        for row, classes in found.predictions.items():
            read, first = judge.read(found.features[row])
            assert torch.equal(read, classes)
            torch.testing.assert_close(first, found.probabilities[row])
        assert torch.equal(judge.predict(frames)[0], found.predictions["reconstruction"])
