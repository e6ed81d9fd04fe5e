"""The measures of "what and where": what a judge of moving digits reads off clips whose codes were exchanged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pyrodis.infer.digit_judge import ClipReading, DigitJudge
from pyrodis.infer.evaluation import clips_at, encode_all
from pyrodis.infer.kept_rows import keep_rows
from pyrodis.infer.queries import decode, encode
from pyrodis.infer.sampler import seeded
from pyrodis.metrics import (
    Score,
    active_units,
    centroid_error,
    centroid_errors,
    frechet_distance,
    mean_score,
    probe_accuracy,
    probe_r2,
    proportion_score,
    unordered_positions,
)

_NUM_STRANGERS = 8  # random other clips that chance is an average over


@dataclass(frozen=True)
class WhatWhereDecodings:
    """What `decode_what_where` collects over a test set.

    Args:
        readings: "real", "reconstruction" and "swapped" to what the judge read.
        groups: True group of types of each clip, as the judge counts them.
        centers: True centers in pixels.
        donors: Which clip gave each swapped clip its "what".
        codes: Site to posterior means.
        what: The sites of "what"; all others are "where".
        errors: "reconstruction", "without_what", "without_where" and "mean_frame" to mean squared errors.

    Shape:
        groups, donors: (N). centers: (N, T, M, 2). codes: (N, S) or (N, T, S). errors: (N) each.
    """

    readings: dict[str, ClipReading]
    groups: Tensor
    centers: Tensor
    donors: Tensor
    codes: dict[str, Tensor]
    what: tuple[str, ...]
    errors: dict[str, Tensor]


def decode_what_where(
    model: nn.Module,
    guide: nn.Module,
    judge: DigitJudge,
    dataset: Any,
    *,
    what: Sequence[str] = ("what",),
    seed: int = 0,
    num_views: int | None = None,
    real: ClipReading | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> WhatWhereDecodings:
    """Decode every test clip from its own codes, with the "what" of another one, and without either, and read it.

    A swapped clip has its own "where" and the "what" of its donor; donors are a random cyclic order of the clips, so
    that none is its own. "Without" a code means that it is zero, the mean of its prior.

    Args:
        model: A generative program.
        guide: An inference program over the same sites.
        judge: Reads digits and centers, on the device of model and guide.
        dataset: `MovingDigits`, the test split, at least two clips.
        what: Names of the sites of "what"; all others are "where".
        seed: Seed of the donors.
        num_views: Over how many draws of the guide's random views codes are averaged, as in `pyrodis.encode`.
        real: What this judge read off the clips themselves, `readings["real"]` of an earlier call; None to read them.
        report: Is called with a line of progress now and then.

    Returns:
        Readings, codes and errors.

    Raises:
        ValueError: If `what` does not name some, but not all, of the guide's sites, there is a single clip, or `real`
            is of another number of clips.

    Source:
        The swap and the ablation of codes of Mantel, "Disentangling motion from identity with Barlow Twins
        autoencoders" (2021), which were judged by eye there.

    Example:
        >>> decodings = decode_what_where(model, guide, judge, clips)  # doctest: +SKIP
    """
    device = next(guide.parameters()).device
    with seeded(device, seed):
        codes, factors = encode_all(guide, dataset, num_views)
        order = torch.randperm(len(factors))
    _check_sites(what, codes, len(factors))
    if real is not None and len(real.groups) != len(factors):
        raise ValueError(f"real must be read off the {len(factors)} clips of the dataset, got {len(real.groups)}")
    types, centers = dataset.read_factors(factors)
    donors = torch.empty_like(order)
    donors[order] = order.roll(1)
    mean = _mean_frame(dataset)
    known = vars(real).copy() if real else {}
    readings: dict[str, dict[str, Tensor]] = {"real": known, "reconstruction": {}, "swapped": {}}
    errors: dict[str, Tensor] = {}
    for number, index in enumerate(torch.arange(len(order)).split(32)):
        own = {site: value[index].to(device) for site, value in codes.items()}
        given = {site: codes[site][donors[index]].to(device) for site in what}
        clips = clips_at(dataset, index).to(device)
        frames = decode(model, own)
        shown = {"reconstruction": frames, "swapped": decode(model, own | given)}
        for row, seen in (shown if real else {"real": clips, **shown}).items():
            for name, part in vars(judge.read(seen)).items():
                keep_rows(readings[row], name, index, part, len(order))
        for row, drawn in (
            ("reconstruction", frames),
            ("without_what", decode(model, _without(own, what))),
            ("without_where", decode(model, _without(own, sorted(set(own) - set(what))))),
            ("mean_frame", mean.to(device).expand_as(clips)),
        ):
            keep_rows(errors, row, index, (drawn - clips).square().flatten(1).mean(1), len(order))
        if number % 10 == 9:
            report(f"evaluation: {int(index[-1]) + 1} of {len(order)} test clips decoded four ways")
    return WhatWhereDecodings(
        {row: ClipReading(**parts) for row, parts in readings.items()},
        judge.group_number(types),
        centers,
        donors,
        codes,
        tuple(what),
        errors,
    )


def what_where_scores(decodings: WhatWhereDecodings) -> dict[str, Score]:
    """Return the scores of identity, motion, ablation and likeness from what `decode_what_where` collected.

    Chance of an identity is how often a reading is that of a random clip; chance of a centroid error is that against
    the centers of random other clips. The ceiling is what the judge itself reaches: on real clips for reconstructions,
    on reconstructions for swaps.

    Args:
        decodings: Readings, codes and errors over the test set.

    Returns:
        Name to score: "real/identity", "reconstruction/identity" and "swapped/identity", the share of clips whose
        group of digits is that of the clip that gave "what"; "real/centroid_error", "reconstruction/centroid_error" and
        "swapped/centroid_error", pixels from the centers of the clip that gave "where"; "swapped/identity_of_where" and
        "swapped/centroid_error_of_what", the same against the other of the two clips, wanted at chance;
        "mse/reconstruction", "mse/without_what" and "mse/without_where", a pixel, with the mean frame as chance;
        "fid/reconstruction", "fid/swapped" and "fid/real_halves", Frechet distances from the real clips in the judge's
        features, the last one between two random halves of them; "active_units/site".

    Raises:
        ValueError: If there are fewer than 4 clips.

    Source:
        The identity of the pair and the centroids are ours; the distance in features of a network of digits is what
        Mantel (2021) proposes.

    Example:
        >>> what_where_scores(decodings)["swapped/identity"].value  # doctest: +SKIP
        0.93
    """
    groups, centers, donors = decodings.groups, decodings.centers, decodings.donors
    if len(groups) < 4:
        raise ValueError(f"a test set must have at least 4 clips, two for each half, got {len(groups)}; score more")
    scores: dict[str, Score] = {}
    targets = {"real": groups, "reconstruction": groups, "swapped": groups[donors]}
    best_identity, best_error = 1.0, 0.0
    for row, target in targets.items():
        reading = decodings.readings[row]
        scores[f"{row}/identity"] = _identity(reading, target, groups, best_identity)
        scores[f"{row}/centroid_error"] = centroid_error(
            reading.centers, centers, _stranger_error(reading, centers), best_error
        )
        best_identity, best_error = scores[f"{row}/identity"].value, scores[f"{row}/centroid_error"].value
    swapped, reconstruction = decodings.readings["swapped"], decodings.readings["reconstruction"]
    kept = scores["reconstruction/identity"].value
    scores["swapped/identity_of_where"] = _identity(swapped, groups, groups, kept)
    floor = scores["reconstruction/centroid_error"].value
    scores["swapped/centroid_error_of_what"] = centroid_error(
        swapped.centers, centers[donors], scores["swapped/centroid_error"].chance, floor
    )
    chance = float(decodings.errors["mean_frame"].mean())
    for row in ("reconstruction", "without_what", "without_where"):
        scores[f"mse/{row}"] = mean_score(decodings.errors[row], chance=chance, ceiling=0.0)
    real = decodings.readings["real"].features
    for row, reading in (("reconstruction", reconstruction), ("swapped", swapped)):
        scores[f"fid/{row}"] = frechet_distance(reading.features, real)
    halves = np.array_split(np.random.default_rng(0).permutation(len(real)), 2)
    scores["fid/real_halves"] = frechet_distance(real[halves[0]], real[halves[1]])
    for site, code in decodings.codes.items():
        count = float(active_units(code))
        scores[f"active_units/{site}"] = Score(count, count, count, None, float(code.shape[-1]), len(code))
    return scores


def what_where_probes(decodings: WhatWhereDecodings, hidden: Sequence[int] = (256,), seed: int = 0) -> dict[str, Score]:
    """Return what probes read off either code: the group of digits of the clip, and where they are.

    Half of the clips train the probes, the other half is scored. The group is read off the codes of all frames
    together; clips whose group does not occur twice in the first half are left out. Positions are read frame by frame
    off the frame's code (of a "what" of the whole clip, off that), as `unordered_positions`: mean and spread of the
    centers along x and y, which do not say which digit is which.

    Args:
        decodings: Codes over the test set; a thousand clips or more, for fifty-five pairs.
        hidden: Hidden layers of the network that is the second probe.
        seed: Seed of the halves and of the network.

    Returns:
        "what/identity/linear", "what/identity/network" and the same of "where": shares, whose chance is one over the
        number of groups; "where/position/linear", "where/position/network" and the same of "what": R^2, whose chance is
        0. "where/identity" and "what/position" are leaks, wanted at chance.

    Raises:
        ValueError: If there are too few clips for the probes.

    Source:
        See :func:`pyrodis.metrics.probe_accuracy` and :func:`pyrodis.metrics.probe_r2`.

    Example:
        >>> what_where_probes(decodings)["where/identity/network"].value  # doctest: +SKIP
        0.02
    """
    groups, targets = decodings.groups.numpy(), unordered_positions(decodings.centers)
    first, second = np.array_split(np.random.default_rng(seed).permutation(len(groups)), 2)
    found, counts = np.unique(groups[first], return_counts=True)
    seen, known = (half[np.isin(groups[half], found[counts > 1])] for half in (first, second))
    scores = {}
    for name, code in _sides(decodings.codes, decodings.what).items():
        frames = code if code.ndim == 3 else np.repeat(code[:, None], targets.shape[1], axis=1)
        for probe, layers in (("linear", ()), ("network", tuple(hidden))):
            scores[f"{name}/identity/{probe}"] = probe_accuracy(
                code[seen], groups[seen], code[known], groups[known], layers, seed
            )
            scores[f"{name}/position/{probe}"] = probe_r2(
                frames[first], targets[first], frames[second], targets[second], layers, seed
            )
    return scores


def future_frame_scores(
    model: nn.Module,
    guide: nn.Module,
    decodings: WhatWhereDecodings,
    dataset: Any,
    ridge: float = 1.0,
    seed: int = 0,
    num_views: int | None = None,
) -> dict[str, Score]:
    """Return how well the next frame is drawn from "what" and a "where" that two frames before foretell.

    Nothing of a frame that is foretold is read: a "what" of the whole clip is encoded anew, from its first two frames
    alone; of a "what" of each frame, that of the frame before is taken. A "where" has to be read off its own frame,
    as `WhatWhereGuide` does: one that is smoothed over the clip would tell the future.

    Args:
        model: The generative program that the codes belong to.
        guide: The inference program that they come from.
        decodings: Codes over the test set; every site of "where" has a code for each frame.
        dataset: The test set.
        ridge: Weight of the squared coefficients of the regression.
        seed: Seed of the halves.
        num_views: As in :func:`decode_what_where`.

    Returns:
        "future/linear", of which the next "where" is the last one plus the last step, and "future/ridge", of which it
        is a linear function of the last two, fitted on half of the clips: squared errors a pixel over all frames from
        the third on of the other half. Chance is the last frame, copied; the ceiling is the frame decoded from its own
        codes, "what" included.

    Raises:
        ValueError: If there are fewer than 3 frames, fewer than 4 clips, or a "where" has no frames.

    Source:
        Mantel (2021) names prediction as a use of such codes; nothing is measured there.

    Example:
        >>> future_frame_scores(model, guide, decodings, clips)["future/ridge"].value  # doctest: +SKIP
        0.012
    """
    from sklearn.linear_model import Ridge

    where = {site: code for site, code in decodings.codes.items() if site not in decodings.what}
    _check_future(where, len(decodings.groups))
    first, second = map(
        torch.from_numpy, np.array_split(np.random.default_rng(seed).permutation(len(decodings.groups)), 2)
    )
    foretold: dict[str, dict[str, Tensor]] = {"linear": {}, "ridge": {}, "own": {}}
    for site, code in where.items():
        pairs = torch.cat([code[:, :-2], code[:, 1:-1]], -1)
        fit = Ridge(ridge).fit(pairs[first].flatten(0, 1).numpy(), code[first, 2:].flatten(0, 1).numpy())
        predicted = torch.from_numpy(fit.predict(pairs[second].flatten(0, 1).numpy())).to(code)
        foretold["ridge"][site] = predicted.reshape(code[second, 2:].shape)
        foretold["linear"][site] = 2 * code[second, 1:-1] - code[second, :-2]
        foretold["own"][site] = code[second, 2:]
    errors: dict[str, list[Tensor]] = {name: [] for name in (*foretold, "copy")}
    device = next(model.parameters()).device
    for places in torch.arange(len(second)).split(32):
        index = second[places]
        x = clips_at(dataset, index).to(device)
        seen = _seen_what(guide, decodings, x, index, num_views)
        errors["copy"].append((x[:, 2:] - x[:, 1:-1]).square().flatten(1).mean(1).cpu())
        for name, sites in foretold.items():
            codes = {site: decodings.codes[site][index] for site in decodings.what}
            codes |= {} if name == "own" else seen
            codes |= {site: torch.cat([where[site][index, :2], value[places]], 1) for site, value in sites.items()}
            drawn = decode(model, {site: code.to(device) for site, code in codes.items()})
            errors[name].append((drawn[:, 2:] - x[:, 2:]).square().flatten(1).mean(1).cpu())
    means = {name: torch.cat(parts) for name, parts in errors.items()}
    chance, ceiling = float(means["copy"].mean()), float(means["own"].mean())
    return {f"future/{name}": mean_score(means[name], chance, ceiling) for name in ("linear", "ridge")}


def _seen_what(
    guide: nn.Module, decodings: WhatWhereDecodings, x: Tensor, index: Tensor, num_views: int | None
) -> dict[str, Tensor]:
    """For every frame from the third on of some clips, a "what" that knows only frames before it."""
    codes = {site: decodings.codes[site][index] for site in decodings.what}
    before = {site: torch.cat([code[:, :1], code[:, :-1]], 1) for site, code in codes.items() if code.ndim == 3}
    if len(before) == len(codes):
        return before
    begun = encode(guide, x[:, :2], num_views=num_views)
    return before | {site: begun[site].cpu() for site in codes if site not in before}


def _check_sites(what: Sequence[str], codes: Mapping[str, Tensor], num: int) -> None:
    if isinstance(what, str) or not what or not set(what) < set(codes):
        raise ValueError(f"what must name some but not all of the guide's sites {sorted(codes)}, got {what!r}")
    if num < 2:
        raise ValueError(f"a test set must have at least 2 clips, so that one can give to the other, got {num}")


def _check_future(where: Mapping[str, Tensor], num: int) -> None:
    for site, code in where.items():
        if code.ndim != 3 or code.shape[1] < 3:
            raise ValueError(
                f"site '{site}' must have a code for each of at least 3 frames, got shape {tuple(code.shape)}; "
                "encode longer clips"
            )
    if num < 4:
        raise ValueError(f"a test set must have at least 4 clips, two for each half, got {num}; encode more")


def _mean_frame(dataset: Any, most: int = 256) -> Tensor:
    """The mean over the frames of the first clips, which knows nothing of any clip."""
    index = torch.arange(min(len(dataset), most))
    sums = [clips_at(dataset, part).mean(1).sum(0) for part in index.split(32)]
    return torch.stack(sums).sum(0) / len(index)


def _without(codes: Mapping[str, Tensor], sites: Sequence[str]) -> dict[str, Tensor]:
    return {site: torch.zeros_like(code) if site in sites else code for site, code in codes.items()}


def _identity(reading: ClipReading, target: Tensor, groups: Tensor, ceiling: float) -> Score:
    """Share of readings that are the target's; chance is the share that are a random clip's."""
    size = int(max(reading.groups.max(), groups.max())) + 1
    read, true = (torch.bincount(values, minlength=size).double() / len(values) for values in (reading.groups, groups))
    return proportion_score(reading.groups == target, chance=float(read @ true), ceiling=ceiling)


def _stranger_error(reading: ClipReading, centers: Tensor) -> float:
    """Error of centers against those of random other clips."""
    generator = np.random.default_rng(0)
    shifts = generator.integers(1, len(centers), size=_NUM_STRANGERS)
    order = torch.from_numpy(generator.permutation(len(centers)))
    others = [centers[order.roll(int(shift))] for shift in shifts]
    return float(np.mean([centroid_errors(reading.centers[order], other).mean() for other in others]))


def _sides(codes: Mapping[str, Tensor], what: Sequence[str]) -> dict[str, np.ndarray]:
    """The codes of "what" and of "where": (N, S), or (N, T, S) if one of its sites has a code for each frame."""
    sides = {}
    for name, sites in (("what", list(what)), ("where", sorted(set(codes) - set(what)))):
        parts = [codes[site] for site in sites]
        lengths = {part.shape[1] for part in parts if part.ndim == 3}
        if lengths:
            num_frames = lengths.pop()
            parts = [part if part.ndim == 3 else part[:, None].expand(-1, num_frames, -1) for part in parts]
        sides[name] = torch.cat(parts, -1).double().numpy()
    return sides
