"""Scores of exchanged codes: the ceiling for an oracle that draws from true factors, chance for one that guesses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

from pyrodis.datasets import BundledDigits, MixedItems, MovingDigits
from pyrodis.datasets.moving_digits import _place
from pyrodis.infer import (
    ClipReading,
    DigitJudge,
    WhatWhereDecodings,
    decode_what_where,
    future_frame_scores,
    what_where_probes,
    what_where_scores,
)

T, M, SIZE, NUM = 5, 2, 64, 160
DIGITS = BundledDigits()
CLIPS = MovingDigits(
    MixedItems([(DIGITS, 0), (DIGITS, 1), (DIGITS, 4)]), split="test", num_sequences=NUM, num_frames=T, size=SIZE
)


class Memory:
    """A judge that remembers what every clip it was told of shows."""

    def __init__(self) -> None:
        self.known: dict[bytes, tuple[Tensor, Tensor]] = {}
        self.groups = DigitJudge(num_types=3, base_channels=1)

    def tell(self, x: Tensor, types: Tensor, centers: Tensor) -> None:
        for clip, kinds, places in zip(x, types, centers):
            self.known[clip.contiguous().numpy().tobytes()] = (kinds, places)

    def group_number(self, types: Tensor) -> Tensor:
        return self.groups.group_number(types)

    def read(self, x: Tensor) -> ClipReading:
        types, centers = zip(*(self.known[clip.contiguous().numpy().tobytes()] for clip in x))
        groups = self.group_number(torch.stack(types))
        features = torch.stack([x.mean((1, 2, 3, 4)), x.std((1, 2, 3, 4))], 1)
        return ClipReading(groups, groups[:, None].expand(-1, T), torch.stack(centers), features)


class Oracle(nn.Module):
    """Model: "what" is the number of a clip, "where" its places, and behind them its number again.

    `reads` says which of the two numbers the digits are drawn by; `places` whether they lie where "where" says.
    """

    def __init__(self, judge: Memory, reads: str = "what", shuffle: bool = False) -> None:
        super().__init__()
        self.judge, self.reads = judge, reads
        self.unused = nn.Parameter(torch.zeros(()))
        order = torch.from_numpy(np.random.default_rng(1).permutation(NUM))
        self.order = order if shuffle else torch.arange(NUM)

    def forward(self, x: Tensor | None = None, batch_size: int | None = None) -> dict[str, Tensor]:
        with pyro.plate("data", batch_size, dim=-1):
            what = pyro.sample("what", dist.Normal(torch.zeros(1), 1.0).to_event(1))
            where = pyro.sample("where", dist.Normal(torch.zeros(T, 2 * M + 1), 1.0).to_event(2))
        return {"what": what, "where": where, "reconstruction": self.draw(what, where)}

    def draw(self, what: Tensor, where: Tensor) -> Tensor:
        number = what[:, 0] if self.reads == "what" else where[:, 0, -1]
        number = self.order[number.round().long().clamp(0, NUM - 1)]
        types, chosen, _ = CLIPS._draw(number)
        places = where[..., :-1].unflatten(-1, (M, 2)).round().long().clamp(0, SIZE - 28)
        if not torch.equal(self.order, torch.arange(NUM)):
            places = CLIPS._draw(number.flip(0))[2]
        layers = _place(CLIPS._table.draw(types, chosen), places, SIZE)
        x = layers.amax(2, keepdim=True).float().div_(255)
        self.judge.tell(x, types, places + 13.5)
        return x


class Lookup(nn.Module):
    """Guide: finds the number of a clip."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))
        items = CLIPS.__getitems__(list(range(NUM)))
        self.numbers = {item["x"][:2].contiguous().numpy().tobytes(): i for i, item in enumerate(items)}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        index = torch.tensor([self.numbers[clip[:2].contiguous().numpy().tobytes()] for clip in x])
        places = CLIPS._draw(index)[2][:, : x.shape[1]].flatten(2).float()
        number = index.float()[:, None]
        with pyro.plate("data", len(x), dim=-1):
            what = pyro.sample("what", dist.Delta(number).to_event(1))
            where = pyro.sample(
                "where", dist.Delta(torch.cat([places, number[:, None].expand(-1, x.shape[1], 1)], -1)).to_event(2)
            )
        return {"what": what, "where": where}


def told() -> Memory:
    judge = Memory()
    items = CLIPS.__getitems__(list(range(NUM)))
    factors = torch.stack([item["factors"] for item in items])
    judge.tell(torch.stack([item["x"] for item in items]), *CLIPS.read_factors(factors))
    return judge


def decoded(**options: Any) -> WhatWhereDecodings:
    judge: Any = told()
    return decode_what_where(Oracle(judge, **options), Lookup(), judge, CLIPS)


def test_an_oracle_scores_the_ceiling() -> None:
    found = decoded()
    scores = what_where_scores(found)
    for row in ("real", "reconstruction", "swapped"):
        assert scores[f"{row}/identity"].value == scores[f"{row}/identity"].ceiling == 1.0
        assert scores[f"{row}/centroid_error"].value == scores[f"{row}/centroid_error"].ceiling == 0.0
    assert scores["mse/reconstruction"].value == 0.0
    assert scores["fid/reconstruction"].value < 1e-9 < scores["fid/swapped"].value
    assert scores["fid/real_halves"].value > 0
    leak = scores["swapped/identity_of_where"]
    assert leak.low <= leak.chance <= leak.high, "nothing of the other clip is left"
    stranger = scores["swapped/centroid_error_of_what"]
    assert stranger.value == pytest.approx(stranger.chance, rel=0.1)
    # Six pairs of three types: a third of the clips shows two of one type, each of a ninth of the chance.
    assert abs(scores["swapped/identity"].chance - (3 / 81 + 3 * 4 / 81)) < 0.05
    assert 5 < scores["swapped/centroid_error"].chance < 20
    assert sorted(found.donors.tolist()) == list(range(NUM))
    assert bool((found.donors != torch.arange(NUM)).all())


def test_without_a_code_the_frames_are_those_of_zero() -> None:
    found = decoded()
    x = torch.stack([item["x"] for item in CLIPS.__getitems__([3, 4])])
    model = Oracle(told())
    where = found.codes["where"][[3, 4]]
    drawn = model.draw(torch.zeros(2, 1), where)
    assert torch.allclose(found.errors["without_what"][[3, 4]], (drawn - x).square().flatten(1).mean(1))
    drawn = model.draw(found.codes["what"][[3, 4]], torch.zeros_like(where))
    assert torch.allclose(found.errors["without_where"][[3, 4]], (drawn - x).square().flatten(1).mean(1))
    scores = what_where_scores(found)
    assert scores["mse/without_where"].value > scores["mse/without_what"].value > 0
    assert scores["mse/without_what"].chance == pytest.approx(float(found.errors["mean_frame"].mean()))


def test_one_that_draws_other_clips_scores_chance() -> None:
    scores = what_where_scores(decoded(shuffle=True))
    for row in ("reconstruction", "swapped"):
        identity, error = scores[f"{row}/identity"], scores[f"{row}/centroid_error"]
        assert identity.low <= identity.chance <= identity.high
        assert error.value == pytest.approx(error.chance, rel=0.1)
    assert scores["real/identity"].value == 1.0


def test_identity_that_travels_with_where_is_found_out() -> None:
    scores = what_where_scores(decoded(reads="where"))
    assert scores["reconstruction/identity"].value == scores["swapped/identity_of_where"].value == 1.0
    swapped = scores["swapped/identity"]
    assert swapped.low <= swapped.chance <= swapped.high
    assert swapped.ceiling == 1.0


def test_probes_find_what_a_code_holds_and_nothing_else() -> None:
    found = decoded()
    draw = torch.Generator().manual_seed(0)
    group = nn.functional.one_hot(found.groups, 6).float()
    clean = {
        "what": group + 0.1 * torch.randn(NUM, 6, generator=draw),
        "where": found.centers.sort(2).values.flatten(2) / 9 + 0.1 * torch.randn(NUM, T, 4, generator=draw),
    }
    scores = what_where_probes(replace(found, codes=clean), hidden=(32,))
    assert scores["what/identity/linear"].value > 0.95
    assert scores["where/identity/linear"].value < 0.4
    assert scores["where/position/linear"].value > 0.9
    assert scores["where/position/network"].value > 0.9
    assert abs(scores["what/position/linear"].value) < 0.2
    assert abs(scores["what/position/network"].value) < 0.1, "below 0 a network has learned clips by heart"
    assert scores["where/identity/network"].chance == pytest.approx(1 / 6)
    leaky = clean | {"where": torch.cat([clean["where"], group[:, None].expand(-1, T, -1)], -1)}
    assert what_where_probes(replace(found, codes=leaky), hidden=(32,))["where/identity/linear"].value > 0.95


def test_probes_leave_out_groups_that_are_too_rare() -> None:
    found = decoded()
    groups = found.groups.clone().clamp_(max=4)
    groups[7] = 5  # the only one of its kind, in one half or the other
    codes = {"what": nn.functional.one_hot(groups, 6).float(), "where": found.centers.flatten(2)}
    for seed in range(2):
        scores = what_where_probes(replace(found, groups=groups, codes=codes), hidden=(4,), seed=seed)
        assert scores["what/identity/linear"].chance == pytest.approx(1 / 5)


def test_what_of_single_frames_is_probed_as_well() -> None:
    found = decoded()
    codes = {"what": torch.randn(NUM, T, 3), "where": found.centers.flatten(2)}
    assert len(what_where_probes(replace(found, codes=codes), hidden=(4,))) == 8


def test_the_next_frame_is_foretold_where_digits_fly_straight() -> None:
    found = decoded()
    scores = future_frame_scores(Oracle(told()), Lookup(), found, CLIPS)
    for score in scores.values():
        assert 0 == score.ceiling <= score.value < 0.7 * score.chance


class Repeat(nn.Module):
    """Model: every frame is a "what"; guide: "what" is the last frame that it is shown, or every frame's own."""

    def __init__(self, per_frame: bool) -> None:
        super().__init__()
        self.per_frame = per_frame
        self.unused = nn.Parameter(torch.zeros(()))

    def model(self, batch_size: int) -> dict[str, Tensor]:
        shape = (T, SIZE * SIZE) if self.per_frame else (SIZE * SIZE,)
        with pyro.plate("data", batch_size, dim=-1):
            what = pyro.sample("what", dist.Normal(torch.zeros(shape), 1.0).to_event(len(shape)))
            pyro.sample("where", dist.Normal(torch.zeros(T, 1), 1.0).to_event(2))
        frames = what if self.per_frame else what[:, None].expand(-1, T, -1)
        return {"reconstruction": frames.reshape(-1, T, 1, SIZE, SIZE)}

    def forward(self, x: Tensor | None = None, batch_size: int | None = None) -> dict[str, Tensor]:
        if x is None:
            return self.model(batch_size or 1)
        what = x.flatten(2) if self.per_frame else x[:, -1].flatten(1)
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("what", dist.Delta(what).to_event(what.ndim - 1))
            pyro.sample("where", dist.Delta(torch.zeros(len(x), x.shape[1], 1)).to_event(2))
        return {}


@pytest.mark.parametrize("per_frame", [False, True])
def test_what_of_the_frame_that_is_foretold_is_not_read(per_frame: bool) -> None:
    x = torch.stack([item["x"] for item in CLIPS.__getitems__(list(range(NUM)))])
    codes = {"what": x.flatten(2) if per_frame else x[:, -1].flatten(1), "where": torch.zeros(NUM, T, 1)}
    pair = Repeat(per_frame)
    scores = future_frame_scores(pair, pair, replace(decoded(), codes=codes), CLIPS)
    _, second = np.array_split(np.random.default_rng(0).permutation(NUM), 2)
    shown = x[:, 1:-1] if per_frame else x[:, 1:2]  # the frame before, or the second one
    error = float((x[:, 2:] - shown)[second].square().mean())
    for score in scores.values():
        assert score.value == pytest.approx(error)
        assert score.chance is not None
        assert score.value >= score.chance - 1e-6
    ceiling = scores["future/ridge"].ceiling
    assert ceiling == 0 if per_frame else ceiling > 0


def test_real_clips_are_read_once() -> None:
    judge: Any = told()
    pair = Oracle(judge), Lookup()
    first = decode_what_where(*pair, judge, CLIPS)
    calls, read = [], judge.read
    judge.read = lambda x: calls.append(len(x)) or read(x)
    again = decode_what_where(*pair, judge, CLIPS, real=first.readings["real"])
    assert sum(calls) == 2 * NUM, "reconstructions and exchanges alone"
    assert what_where_scores(again) == what_where_scores(first)
    few = replace(first.readings["real"], groups=torch.zeros(2))
    with pytest.raises(ValueError, match=f"real must be read off the {NUM} clips of the dataset, got 2"):
        decode_what_where(*pair, judge, CLIPS, real=few)


@pytest.mark.parametrize("what", [(), ("what", "where"), ("f",), "what"])
def test_refuses_sites_that_split_nothing(what: Any) -> None:
    judge: Any = told()
    with pytest.raises(ValueError, match="what must name some but not all of the guide's sites"):
        decode_what_where(Oracle(judge), Lookup(), judge, CLIPS, what=what)


def test_refuses_too_few_clips_or_frames() -> None:
    found = decoded()
    few = replace(found, groups=found.groups[:3])
    with pytest.raises(ValueError, match="at least 4 clips, two for each half, got 3"):
        what_where_scores(few)
    with pytest.raises(ValueError, match="at least 4 clips, two for each half, got 3"):
        future_frame_scores(Oracle(told()), Lookup(), few, CLIPS)
    short = replace(found, codes=found.codes | {"where": found.codes["where"][:, :2]})
    with pytest.raises(ValueError, match=r"'where' must have a code for each of at least 3 frames, got shape"):
        future_frame_scores(Oracle(told()), Lookup(), short, CLIPS)
